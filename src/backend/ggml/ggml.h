/* ggml.h - what the rest of the program sees of ggml: its devices.  No header of ggml's own. */
#ifndef BACKEND_GGML_GGML_H
#define BACKEND_GGML_GGML_H
#include "base/error.h"
#include "nn/backend.h"

typedef struct ggml_device_info {
    char name[64], description[128]; /* "ggml:Vulkan0" */
    uint64_t free, total, largest;   /* bytes; largest: of one buffer */
    bool gpu;                        /* not the processor */
    bool async, events, pinned;      /* uploads while it computes; ordered by events; out of pinned memory */
} ggml_device_info;

int         ggml_devices(ggml_device_info *out, int most); /* how many were filled in */
const char *ggml_release(void);                           /* "0.25.3" */

/* name: with or without "ggml:".  memory: bytes that it may take, 0 for what is free.  threads: for what the host does, and for ggml's CPU; 0: all.
 * NULL on failure; dev->be->close it. */
device     *ggml_device_open(const char *name, int threads, uint64_t memory, dreamo_error *err);
void        ggml_device_forget(device *d);                /* weights and graphs: what they were made of is going away or changing */

typedef struct ggml_counts {
    int64_t graphs, built, nodes, fused;  /* graphs computed; those that were recorded anew; nodes in all computed, and fusable ones */
    double bytes, rest, uploaded;         /* read and written by nodes; of these by other than products and attention; sent over */
    size_t held, peak, cap;               /* device memory now, at most, and allowed */
    size_t resident, streamed;            /* bytes of weights that stay; that passed through */
} ggml_counts;
const ggml_counts *ggml_device_counts(const device *d);
void        ggml_device_count_anew(device *d);

extern const backend backend_ggml;
#endif
