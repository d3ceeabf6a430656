/* init.c - how each network begins.
 *
 * Transformer: Xavier matrices; modulation layers and the last projection zero, so that every block begins as the identity
 * (adaLN-Zero, Peebles and Xie 2023).  T5 and CLIP: normal, with the widths' square roots of their papers.  Autoencoder: normal
 * with variance 1 / fan-in; the second convolution of a resnet and the attention's output zero, for the same reason.  Judge: normal, so
 * that variances stay. */
#include "train/init.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/ends.h"
#include "base/rng.h"

static bool has(const char *s, const char *part) { return strstr(s, part) != NULL; }

static double fan_in(const param_slot *s) { return (double)s->count / (double)s->shape[0]; }

/* Standard deviation of a matrix's values; 0: zeros. */
static double dit_std(const char *name, const param_slot *s)
{
    if (ends(name, "norm1.linear.weight") || ends(name, "norm1_context.linear.weight") || ends(name, ".norm.linear.weight") ||
        ends(name, "norm_out.linear.weight")) return 0;
    if (strcmp(name, "proj_out.weight") == 0) return 0;
    if (has(name, "time_text_embed")) return 0.02;
    return sqrt(2 / (double)(s->shape[0] + s->shape[1]));
}

static double t5_std(const char *name, const param_slot *s, const t5_config *c)
{
    if (ends(name, "shared.weight")) return 1;
    if (has(name, "relative_attention_bias")) return 0.1;
    if (ends(name, ".q.weight")) return 1 / sqrt((double)c->width * c->head_dim); /* scores are not scaled */
    return 1 / sqrt((double)s->shape[1]);
}

static double clip_std(const char *name, const param_slot *s, const clip_config *c)
{
    if (has(name, "embedding")) return 0.1;
    double depth = 1 / sqrt(2.0 * c->layers);
    return (ends(name, "out_proj.weight") || ends(name, "fc2.weight") ? depth : 1) / sqrt((double)s->shape[1]);
}

static double vae_std(const char *name, const param_slot *s)
{
    if (ends(name, ".conv2.weight") || has(name, "to_out")) return 0;
    return (ends(name, "conv_out.weight") ? 0.3 : 1) / sqrt(fan_in(s));
}

/* What goes through silu comes out with a third of its variance. */
static double judge_std(const char *name, const param_slot *s)
{
    double gain = strncmp(name, "levels.0.down", 13) == 0 ? 1 : has(name, ".block.") ? 0.8 : has(name, "labels") ? 0.3 : 1.6;
    return gain / sqrt(fan_in(s));
}

/* Residuals begin small: a dozen of them add up. */
static double matting_std(const char *name, const param_slot *s)
{
    double gain = strncmp(name, "levels.0.down", 13) == 0 ? 1 : has(name, "block.") ? 0.8 : has(name, "down.") ? 1.6
                : ends(name, "out.weight") ? 0.5 : 1;
    return gain / sqrt(fan_in(s));
}

static double std_of(const network *n, network_part part, const param_slot *s, const char *name)
{
    switch (part) {
    case PART_DIT: return dit_std(name, s);
    case PART_T5: return t5_std(name, s, &n->t5->config);
    case PART_CLIP: return clip_std(name, s, &n->clip->config);
    case PART_JUDGE: return judge_std(name, s);
    case PART_MATTING: return matting_std(name, s);
    default: return vae_std(name, s);
    }
}

typedef struct initing { params *p; int next; const network *n; network_part part; uint64_t seed; } initing;

static void init_one(void *user, const param *q)
{
    initing *x = user;
    const param_slot *s = &x->p->slot[x->next++];
    float *value = x->p->value + s->at;
    rng r = rng_new(x->seed, hash_fnv1a(q->name, strlen(q->name)) + (uint64_t)x->part);
    double std = s->rank >= 2 ? std_of(x->n, x->part, s, q->name) : 0;
    double fixed = s->rank < 2 && ends(q->name, ".weight") ? 1 : 0; /* gains */
    for (size_t i = 0; i < s->count; i++) value[i] = (float)(std > 0 ? std * rng_normal(&r) : fixed);
    if (x->part == PART_VAE && strcmp(q->name, "encoder.conv_out.bias") == 0) /* begin with little noise: log variance -6 */
        for (size_t i = s->count / 2; i < s->count; i++) value[i] = -6;
}

void init_network(params *p, int first, const network *n, network_part part, uint64_t seed)
{
    initing x = { p, first, n, part, seed };
    network_walker(part)(network_get((network *)(uintptr_t)n, part), init_one, &x);
}
