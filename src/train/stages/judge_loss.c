/* judge_loss.c - both losses and their way back. */
#include "train/stages/judge_loss.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

static const double HEAT = 0.07; /* T */

/* A vector that was taken from cells: made 1 long on the way, and its gradient. */
typedef struct pooled { int picture; window at; double length; float *unit, *grad; } pooled;

/* Where the first cell of a picture has its column. */
static size_t place(const judge_batch *b, int picture, int column)
{
    return (size_t)picture * (size_t)(b->all->cols * b->all->rows) * (size_t)judge_columns(b->config) + (size_t)column;
}

static void take(const judge_batch *b, const float *cells, int head, int picture, window at, float *room, pooled *out)
{
    int n = b->config->embed;
    *out = (pooled){ .picture = picture, .at = at, .unit = room, .grad = room + n };
    out->length = window_mean(b->all, cells + place(b, picture, head * n), judge_columns(b->config), n, at, out->unit) + 1e-12;
    for (int k = 0; k < n; k++) out->unit[k] = (float)(out->unit[k] / out->length);
    memset(out->grad, 0, (size_t)n * sizeof(float));
}

/* d unit -> d cells: the part along the vector does not change it. */
static void give_back(const judge_batch *b, const pooled *p, int head, float *grad)
{
    int n = b->config->embed, stride = judge_columns(b->config);
    double along = 0, scale = 1 / (p->length * p->at.w * p->at.h);
    for (int k = 0; k < n; k++) along += (double)p->unit[k] * p->grad[k];
    float *to = grad + place(b, p->picture, head * n);
    for (int y = p->at.y; y < p->at.y + p->at.h; y++)
        for (int x = p->at.x; x < p->at.x + p->at.w; x++) {
            float *cell = to + (size_t)(y * b->all->cols + x) * (size_t)stride;
            for (int k = 0; k < n; k++) cell[k] += (float)(scale * (p->grad[k] - along * p->unit[k]));
        }
}

static double dot(const pooled *a, const pooled *b, int n)
{
    double sum = 0;
    for (int k = 0; k < n; k++) sum += (double)a->unit[k] * b->unit[k];
    return sum;
}

/* What d loss / d (a . b) is adds to both gradients. */
static void pull(pooled *a, pooled *b, int n, double slope)
{
    for (int k = 0; k < n; k++) {
        a->grad[k] += (float)(slope * b->unit[k]);
        b->grad[k] += (float)(slope * a->unit[k]);
    }
}

/* -log softmax of one of n logits (-inf: not there); slope: its gradient to each. */
static double cross_entropy(const double *logit, int n, int right, double *slope)
{
    double most = logit[right], sum = 0;
    for (int i = 0; i < n; i++) most = logit[i] > most ? logit[i] : most;
    for (int i = 0; i < n; i++) sum += slope[i] = exp(logit[i] - most);
    for (int i = 0; i < n; i++) slope[i] /= sum;
    slope[right] -= 1;
    return most + log(sum) - logit[right];
}

static bool same(const judge_pair *p, const judge_pair *q) { return p->identity == q->identity || p->name == q->name; }

/* One head's pairs p[0..n-1]: a, b [n], o [others]. */
static double contrast(const judge_batch *b, judge_pair *const *p, int n, int others, pooled *anchor, pooled *seen, pooled *other, double *room)
{
    int width = b->config->embed;
    double *logit = room, *slope = room + n + others, sum = 0;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) logit[k] = k != i && same(p[i], p[k]) ? -INFINITY : dot(&anchor[i], &seen[k], width) / HEAT;
        for (int k = 0; k < others; k++) logit[n + k] = dot(&anchor[i], &other[k], width) / HEAT;
        sum += cross_entropy(logit, n + others, i, slope) / 2;
        for (int k = 0; k < n; k++) pull(&anchor[i], &seen[k], width, slope[k] / (2 * n * HEAT));
        for (int k = 0; k < others; k++) pull(&anchor[i], &other[k], width, slope[n + k] / (2 * n * HEAT));
        for (int k = 0; k < n; k++) logit[k] = k != i && same(p[i], p[k]) ? -INFINITY : dot(&anchor[k], &seen[i], width) / HEAT;
        sum += cross_entropy(logit, n, i, slope) / 2;
        for (int k = 0; k < n; k++) pull(&anchor[k], &seen[i], width, slope[k] / (2 * n * HEAT));
    }
    return sum / n;
}

static bool one_head(const judge_batch *b, int head, const float *cells, float *grad, double *loss)
{
    int n = 0, others = head == JUDGE_STYLE ? 0 : b->nothers, width = b->config->embed;
    judge_pair **p = mem_calloc((size_t)b->npairs + 1, sizeof(judge_pair *));
    for (int i = 0; p && i < b->npairs; i++)
        if (b->pair[i].head == head) p[n++] = &b->pair[i];
    int all = 2 * n + others;
    pooled *v = mem_calloc((size_t)all + 1, sizeof *v);
    float *vectors = mem_alloc((size_t)(all + 1) * 2 * (size_t)width * sizeof *vectors);
    double *room = mem_alloc((size_t)(n + others + 1) * 2 * sizeof *room);
    bool ok = p && v && vectors && room;
    *loss = 0;
    if (ok && n > 1) {
        for (int i = 0; i < all; i++) {
            const judge_pair *q = i < 2 * n ? p[i % n] : NULL;
            int picture = !q ? b->other[i - 2 * n].picture : i < n ? q->reference : q->target;
            window at = !q ? b->other[i - 2 * n].at : i < n ? windows_whole(b->all) : q->at;
            take(b, cells, head, picture, at, vectors + (size_t)i * 2 * (size_t)width, &v[i]);
        }
        *loss = contrast(b, p, n, others, v, v + n, v + 2 * n, room);
        for (int i = 0; i < all; i++) give_back(b, &v[i], head, grad);
    }
    mem_free(p);
    mem_free(v);
    mem_free(vectors);
    mem_free(room);
    return ok;
}

static int how_many_say(const judge_batch *b, int group)
{
    int n = 0;
    for (int t = 0; t < b->targets; t++) n += b->said[t * b->words->ngroups + group] >= 0;
    return n;
}

static bool labels(const judge_batch *b, const float *cells, float *grad, double *loss)
{
    int first = JUDGE_HEADS * b->config->embed, n = b->config->labels, stride = judge_columns(b->config), ncells = b->all->cols * b->all->rows, used = 0;
    float *mean = mem_alloc((size_t)(n + 1) * sizeof *mean);
    double *room = mem_alloc((size_t)(n + 1) * 2 * sizeof *room), *slope = room + n;
    bool ok = mean && room;
    *loss = 0;
    for (int g = 0; g < b->words->ngroups; g++) used += how_many_say(b, g) > 0;
    for (int g = 0; ok && g < b->words->ngroups; g++) {
        const phrase_group *group = &b->words->group[g];
        int count = how_many_say(b, g);
        for (int t = 0; t < b->targets; t++) {
            int said = b->said[t * b->words->ngroups + g];
            if (said < 0) continue;
            window_mean(b->all, cells + place(b, t, first + group->first), stride, group->n, windows_whole(b->all), mean);
            for (int k = 0; k < group->n; k++) room[k] = mean[k];
            *loss += cross_entropy(room, group->n, said - group->first, slope) / (count * (double)used);
            float *to = grad + place(b, t, first + group->first);
            for (int c = 0; c < ncells; c++)
                for (int k = 0; k < group->n; k++) to[(size_t)c * (size_t)stride + (size_t)k] += (float)(b->label_weight * slope[k] / (count * (double)used * ncells));
        }
    }
    mem_free(mean);
    mem_free(room);
    return ok;
}

double judge_loss(const judge_batch *b, const float *cells, float *grad, double *part)
{
    double sum = 0;
    memset(grad, 0, (size_t)b->pictures * (size_t)(b->all->cols * b->all->rows) * (size_t)judge_columns(b->config) * sizeof *grad);
    for (int h = 0; h < JUDGE_HEADS; h++) {
        if (!one_head(b, h, cells, grad, &part[h])) return -1;
        sum += part[h];
    }
    if (!labels(b, cells, grad, &part[JUDGE_HEADS])) return -1;
    return sum + b->label_weight * part[JUDGE_HEADS];
}
