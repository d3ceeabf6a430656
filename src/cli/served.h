/* served.h - what `serve` and `worker` share. */
#ifndef CLI_SERVED_H
#define CLI_SERVED_H
#include "cli/options.h"

/* Rows of an option table: the model that is kept open. */
#define SERVED_MODEL_OPTIONS \
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "model folder, or flux-dev; DREAMO_MODEL, else the shipped model" }, \
    { "variant", 0, VALUE_TEXT, false, 0, 0, "NAME", "v1 or v1.1: DreamO's published LoRAs with their settings" }, \
    { "dreamo", 0, VALUE_TEXT, false, 0, 0, "DIR", "where those files lie; DIR/dreamo of the model" }, \
    { "no-turbo", 0, VALUE_NONE, false, 0, 0, NULL, "a variant without its turbo LoRA" }, \
    { "dit", 0, VALUE_TEXT, false, 0, 0, "FILE", "transformer from this file" }, \
    { "t5", 0, VALUE_TEXT, false, 0, 0, "FILE", "T5 encoder from this file" }, \
    { "clip", 0, VALUE_TEXT, false, 0, 0, "FILE", "CLIP encoder from this file" }, \
    { "vae", 0, VALUE_TEXT, false, 0, 0, "FILE", "autoencoder from this file" }, \
    { "lora", 0, VALUE_TEXT, true, 0, 0, "FILE@S", "add a LoRA with scale S" }, \
    { "fast", 0, VALUE_NONE, false, 0, 0, NULL, "8-bit products in the denoising steps" }, \
    { "cutter", 0, VALUE_TEXT, false, 0, 0, "NAME", "what cuts references out: auto (the best there is), ben2, isnet, own or plain" }, \
    { "networks", 0, VALUE_TEXT, false, 0, 0, "DIR", "where the networks that prepare references lie; $DREAMO_NETWORKS, or prep beside the shipped model" }, \
    { "ref-cache", 0, VALUE_TEXT, false, 0, 0, "DIR", "keep prepared references here, and take them from here" }, \
    { "threads", 0, VALUE_INTEGER, false, 0, 1024, "N", "0 = one for each core" }, \
    { "device", 0, VALUE_TEXT, false, 0, 0, "NAME", "cpu (default), auto, ggml:NAME or ref" }, \
    { "memory", 0, VALUE_TEXT, false, 0, 0, "8G", "what a device of its own may take" }

void          served_say(const char *label, const char *text); /* any thread */
dreamo_status served_time(const parsed *p, const char *name, int64_t *seconds, dreamo_error *err); /* "30s", "10m", "2h"; not given: left as it is */
#endif
