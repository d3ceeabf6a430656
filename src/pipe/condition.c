/* condition.c - task, index and position of every image token (spec 2.2, 2.3). */
#include "pipe/condition.h"

#include <string.h>

#include "base/half.h"

int condition_noise_rows(const condition_sample *s) { return s->out.h * s->out.w; }

int condition_image_rows(const condition_sample *s)
{
    int rows = condition_noise_rows(s);
    for (int k = 0; k < s->nrefs; k++) rows += s->ref[k].h * s->ref[k].w;
    return rows;
}

static int32_t (*place_grid(int32_t (*pos)[3], token_grid g, int row0, int col0))[3]
{
    for (int i = 0; i < g.h; i++)
        for (int j = 0; j < g.w; j++, pos++) {
            (*pos)[0] = 0;
            (*pos)[1] = row0 + i;
            (*pos)[2] = col0 + j;
        }
    return pos;
}

void condition_positions(const condition_sample *s, int32_t (*pos)[3])
{
    int row0 = s->out.h, col0 = s->out.w;
    pos = place_grid(pos, s->out, 0, 0);
    for (int k = 0; k < s->nrefs; k++) {
        pos = place_grid(pos, s->ref[k], row0, col0);
        row0 += s->ref[k].h;
        col0 += s->ref[k].w;
    }
}

void condition_rows(const condition_sample *s, const dreamo_tables *t, bool official, float *cond)
{
    size_t width = (size_t)t->width;
    const float *noise = t->task + width, *reference = t->task;
    for (int i = 0; i < condition_noise_rows(s); i++, cond += width) memcpy(cond, noise, width * sizeof *cond);
    for (int k = 0; k < s->nrefs; k++) {
        const float *slot = t->idx + (size_t)s->slot[k] * width;
        for (int i = 0; i < s->ref[k].h * s->ref[k].w; i++, cond += width)
            for (size_t j = 0; j < width; j++) {
                float sum = reference[j] + slot[j];
                cond[j] = official ? round_bf16(sum) : sum;
            }
    }
}
