/* t5.h - the T5 v1.1 encoder (spec 6). */
#ifndef MODEL_T5_H
#define MODEL_T5_H
#include "nn/nn.h"
#include "nn/param.h"

typedef struct t5_config {
    int layers, width, heads, head_dim, ff;  /* inner width = heads * head_dim */
    int vocab, buckets, max_distance;
    float eps;
    bool gated;                              /* feed-forward wi_0, wi_1 */
} t5_config;
typedef struct t5_block { vec norm1, norm2; weight q, k, v, o, wi0, wi1, wo; } t5_block;
typedef struct t5 { t5_config config; weight embed, relbias; t5_block *blocks; vec norm; } t5;

t5  *t5_new(const t5_config *c);
void t5_free(t5 *m);
/* Rows [first, first + n) of the token table come from `rows` from now on, fp32 [n, width], which must stay: its one part becomes three, theirs the
 * middle one.  False: it is in parts already, or has too few rows. */
bool t5_replace_rows(t5 *m, int first, int n, const float *rows);
void t5_visit(t5 *m, param_visitor visit, void *user);
/* ids: all samples packed as the layout says -> [rows, width]. No mask: padding takes part (spec 6.3). */
tensor t5_encode(nn *cx, const t5 *m, const int32_t *ids, layout l);
#endif
