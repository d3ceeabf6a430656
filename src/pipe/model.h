/* model.h - an opened model: what dreamo_model is inside the library. */
#ifndef PIPE_MODEL_H
#define PIPE_MODEL_H
#include <pthread.h>
#include "dreamo.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/t5.h"
#include "model/vae.h"
#include "weights/bind.h"
#include "pipe/condition.h"
#include "weights/lora.h"
#include "weights/lora/merge.h"
#include "weights/parts.h"
#include "pipe/schedule.h"
#include "prep/prep.h"
#include "text/tokenizer.h"

/* What a request gets when it does not say: DIR/dreamo/defaults.json, else FLUX's and the DreamO demo's. */
typedef struct model_defaults {
    int width, height, steps;
    int ref_res, ref_res_face, ref_res_style; /* side of a thing, a face, a style */
    int ref_res_several, ref_res_faces;       /* of a thing and a face where there are several references */
    double guidance, true_cfg;
    double cfg_above;    /* true CFG in steps of more noise than this, where the request names none */
    bool known;          /* the model was trained at about this size */
} model_defaults;

enum { MODEL_DIT, MODEL_T5, MODEL_CLIP, MODEL_VAE, MODEL_PARTS };

struct dreamo_model {
    char *source;               /* what was asked for: a folder, or a file of several networks */
    char *home;                 /* that folder, or the file's: adapters lie in its dreamo/ */
    char *dir;                  /* with the configuration files: the same, or the shipped ones of FLUX.1-dev */
    parts parts;                /* weight files outside it, found in a folder of them */
    bound_files files[MODEL_PARTS];
    dtype stored;               /* of most of the transformer in its files: merged layers are fp32 */
    dit *dit;
    t5 *t5;
    clip *clip;
    vae *vae;
    unigram *t5_words;
    bpe *clip_words;
    int text_tokens;            /* T5's, padding included */
    schedule_config schedule;
    model_defaults defaults;
    double said_cfg;            /* the true CFG that one pass says by itself: 1, or the default where a LoRA was distilled from it */
    int nloras;
    lora_file *loras;
    lora_merged merged;         /* layers that LoKr and its kin change */
    dreamo_tables own;          /* of a transformer that was fused with DreamO's LoRA */
    dreamo_tables tables;       /* borrowed from the last LoRA file that has them, else `own` */
    prep *prep;                 /* of references */
    char *cache;                /* folder of prompts' embeddings; NULL: none */
    bool official;              /* numerics */
    bool fast;                  /* the denoising steps may round what they multiply (nn/backend.h) */
    const backend *backend;
    device *dev;
    uint64_t memory;            /* what a device of its own may take; 0: what it has free */
    /* Plans read these while a request runs. */
    _Atomic double rate, step_rate; /* flops a second with plain weights and with the transformer's; 0: not measured yet */
    _Atomic double pace;            /* seconds of the last request as a share of those planned at these rates; 0: none yet */
    char hash[65];              /* sha256 over the transformer files' headers and sizes */
    pthread_mutex_t busy;       /* one request at a time */
};

/* Side of a token in picture pixels: 2 x the autoencoder's factor. */
int model_cell(const dreamo_model *m);
/* Sides of a request's references that do not say theirs. */
prep_sides model_ref_sides(const dreamo_model *m, const dreamo_reference *refs, int nrefs); /* a style takes no room in the picture: it does not count */
/* The device if it has memory of its own, on which references are then prepared, too; else NULL. */
device *model_own_device(const dreamo_model *m);
dtype model_weights_type(const dreamo_model *m);     /* of most of the transformer */
uint64_t model_weight_bytes(const dreamo_model *m); /* of all mapped files */
/* DREAMO_IO when a weight file under the map was cut or grown since it was opened. */
dreamo_status model_check_files(const dreamo_model *m, dreamo_error *err);
#endif
