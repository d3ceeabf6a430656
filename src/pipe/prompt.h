/* prompt.h - one prompt as the networks see it: ids, T5's rows, CLIP's pooled vector. */
#ifndef PIPE_PROMPT_H
#define PIPE_PROMPT_H
#include "pipe/dump.h"
#include "pipe/model.h"
#include "base/report.h"

typedef struct prompt {
    int nt5, nclip;             /* padded lengths */
    int32_t *t5_ids, *clip_ids;
    int clip_end;               /* position of the first end token */
    float *embeds;              /* [nt5, text width] */
    float *pooled;              /* [pooled width] */
    bool ready;                 /* both come from the cache: there is nothing to compute */
} prompt;

/* Tokenise; what does not fit is told as a warning.  Nothing is computed yet: embeds and pooled are zero, or the cache's. */
dreamo_status prompt_read(const dreamo_model *m, const char *text, const reporter *to, prompt *out, dreamo_error *err);
/* Run both encoders.  `prefix` stands before the dumped names ("" or "neg."). */
dreamo_status prompt_encode(const dreamo_model *m, prompt *p, dump *d, const char *prefix, dreamo_error *err);
dreamo_status prompt_measure(const dreamo_model *m, prompt *p, int64_t times, nn_counts *out, dreamo_error *err);
void          prompt_free(prompt *p);
#endif
