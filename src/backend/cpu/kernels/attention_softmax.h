/* attention_softmax.h - an attention made ready: whose rows, T5's bias; and the softmax of a tile of scores. */
#ifndef CPU_KERNELS_ATTENTION_SOFTMAX_H
#define CPU_KERNELS_ATTENTION_SOFTMAX_H
#include <stdlib.h>
#include "backend/cpu/kernels/attention_job.h"
#include "backend/cpu/kernels/elementwise.h"
#include "backend/cpu/kernels/linear.h"

/* T5 (spec 6.3): half of the buckets for keys behind, half for keys ahead; near distances have their own, far ones share
 * logarithmically. */
static int t5_bucket(int d, int buckets, int max_distance)
{
    int half = buckets / 2, exact = half / 2, base = d > 0 ? half : 0, a = abs(d);
    if (a < exact) return base + a;
    int far = exact + (int)(logf((float)a / (float)exact) / logf((float)max_distance / (float)exact) * (float)(half - exact));
    return base + (far < half - 1 ? far : half - 1);
}

static float relbias_at(const weight *w, int bucket, int head)
{
    const weight_part *p = part_of(w, &bucket);
    size_t at = (size_t)bucket * (size_t)w->in + (size_t)head;
    return p->type == DT_F32 ? load_as(DT_F32, p->data, at) : p->type == DT_BF16 ? load_as(DT_BF16, p->data, at) : load_as(DT_F16, p->data, at);
}

/* Forward, scores lie transposed, st [keys][NR queries]: a vector holds as many queries, so that maximum and sum over the keys
 * need nothing across lanes. */
typedef struct att_tile {
    float *st, *max, *sum;  /* max and sum so far, [NR] */
    float *out;             /* [m][wide], what was summed so far */
    int head, query, m;     /* first query (within the sample), how many */
    int key, n;             /* first key, how many */
} att_tile;

/* What is added to the scores of key k for the VL queries from q on: T5's bias, -infinity where the future is hidden. */
INLINE vf att_score_offset(const att_job *j, int head, int q, int k)
{
    vf x = v_zero();
    if (j->bias) x = v_load(j->bias + (size_t)head * (size_t)(2 * j->longest - 1) + (q - k + j->longest - 1));
    if (j->o.causal && k > q) x += v_keep(v_set(-INFINITY), k - q, 0.0f);
    return x;
}

/* Scores -> e^(score - max), for the queries from `v` on; the running maximum and sum move on, `out` is rescaled. */
static void att_softmax(const att_job *j, const att_tile *t, int v)
{
    vf before = v_load(t->max + v), top = before, sum = v_zero();
    bool plain = !j->bias && !j->o.causal;
    for (int k = 0; k < t->n; k++) {
        vf x = v_load(t->st + k * NR + v);
        if (!plain) {
            x += att_score_offset(j, t->head, t->query + v, t->key + k);
            v_store(t->st + k * NR + v, x);
        }
        top = v_max(top, x);
    }
    for (int k = 0; k < t->n; k++) {
        vf e = v_exp(v_load(t->st + k * NR + v) - top);
        sum += e;
        v_store(t->st + k * NR + v, e);
    }
    vf shrink = v_exp(before - top);
    v_store(t->max + v, top);
    v_store(t->sum + v, v_fma(v_load(t->sum + v), shrink, sum));
    float each[VL];
    v_store(each, shrink);
    for (int i = 0; t->key > 0 && i < VL && v + i < t->m; i++) {
        if (each[i] == 1.0f) continue;
        float *out = t->out + (v + i) * j->wide;
        for (int c = 0; c < j->wide; c += VL) v_store(out + c, v_load(out + c) * v_set(each[i]));
    }
}

/* Job fields that both directions need; `order`, `sample` and the bias table live in TEMP scratch.  false: no memory. */
static bool att_prepare(device *dev, att_job *j, layout l, bool forward, size_t extra)
{
    int rows = 0;
    j->samples = l.samples;
    j->dim = j->q.cols / j->o.heads;
    j->wide = round_up(j->dim, NR);
    j->scale = j->o.scale != 0 ? j->o.scale : 1.0f / sqrtf((float)j->dim);
    for (int i = 0; i < l.nspans; i++) rows += l.spans[i].rows;
    size_t lists = ((size_t)rows + 2 * (size_t)l.samples + 15) / 16 * 16;
    size_t bias = j->o.relbias ? (size_t)j->o.heads * (size_t)(2 * rows) + VL : 0; /* a vector more: lanes beyond the last query */
    float *memory = cpu_scratch(dev, CPU_TEMP, lists + bias + extra);
    if (!memory) return false;
    att_sample *sample = (att_sample *)memory;
    int *order = (int *)(sample + l.samples), at = 0;
    for (int i = 0; i < l.samples; i++) sample[i] = (att_sample){0, 0};
    for (int i = 0; i < l.nspans; i++) {
        span s = l.spans[i];
        if (!sample[s.sample].rows) sample[s.sample].first = at;
        sample[s.sample].rows += s.rows;
        for (int r = 0; r < s.rows; r++) order[at++] = s.start + r;
    }
    j->order = j->key_order = order;
    j->sample = j->key_sample = sample;
    for (int i = 0; i < l.samples; i++) j->longest = imax(j->longest, sample[i].rows);
    if (j->o.relbias) {
        float *table = memory + lists;
        j->bias = table;
        for (int h = 0; h < j->o.heads; h++)
            for (int d = 1 - j->longest; d < j->longest; d++) {
                int bucket = t5_bucket(forward ? -d : d, j->o.relbias->out, j->o.max_distance);
                *table++ = relbias_at(j->o.relbias, bucket, h);
            }
        memset(table, 0, sizeof(float) * VL);
    }
    j->dbias = memory + lists + bias;
    return true;
}
#endif
