/* caption.h - a caption as both encoders read it. */
#ifndef TRAIN_CAPTION_H
#define TRAIN_CAPTION_H
#include "train/flow/flow_batch.h"
#include "train/network.h"

typedef struct caption {
    flow_text rows;
    int32_t *t5, *clip;   /* rows.nt5 ids, padded as in generation; rows.nclip ids, the last one the first end token */
} caption;

dreamo_status caption_read(const network *n, const char *text, caption *out, dreamo_error *err);
void          caption_free(caption *c);
#endif
