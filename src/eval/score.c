/* score.c - finding references in a picture. */
#include "eval/score.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "image/resize.h"

dreamo_status asked_new(asked *a, const judging *j, dreamo_error *err)
{
    *a = (asked){ .wanted = mem_calloc(DATA_MAX_REFS, (size_t)j->net->config.embed * sizeof(float)) };
    return a->wanted ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a sample's references");
}

void asked_free(asked *a)
{
    mem_free(a->wanted);
    *a = (asked){ 0 };
}

dreamo_status asked_read(asked *a, judging *j, const data_sample *s, float *cells, dreamo_error *err)
{
    dreamo_status status = DREAMO_OK;
    for (a->n = 0; a->n < s->nrefs && !status; a->n++) {
        const data_ref *f = &s->ref[a->n];
        a->head[a->n] = head_of(s->kind, f->task);
        a->slot[a->n] = f->slot;
        a->what[a->n] = shown_by(f);
        status = judging_look(j, &f->picture, cells, err);
        if (!status) judging_wanted(j, a->head[a->n], cells, a->wanted + (size_t)a->n * (size_t)j->net->config.embed);
    }
    return status;
}

static bool shows(const asked *a, shown what)
{
    for (int i = 0; a && i < a->n; i++)
        if (shown_alike(a->what[i], what)) return true;
    return false;
}

void score_picture(const judging *j, const candidates *pool, int most, const asked *about, const asked *other, const float *cells, float *vectors, answer *out)
{
    int embed = j->net->config.embed, drawn = -1, which;
    *out = (answer){ .n = about->n };
    for (int i = 0; i < about->n; i++) {
        int head = about->head[i];
        const candidates *c = &pool[head];
        const windows *where = judging_where(j, head);
        if (head != drawn) judging_seen(j, head, cells, vectors);
        drawn = head;
        double mine = windows_best(where, vectors, embed, about->wanted + (size_t)i * (size_t)embed, &which), best = -2;
        out->at[i] = where->list[which];
        out->instead[i] = -1;
        out->among[i] = 1;
        for (int k = 0; k < c->n && out->among[i] < most; k++) {
            if (shows(about, c->what[k]) || shows(other, c->what[k])) continue;
            double score = windows_best(where, vectors, embed, c->vectors + (size_t)k * (size_t)embed, &which);
            out->among[i]++;
            if (score > best) best = score, out->instead[i] = k;
        }
        out->margin[i] = mine - best;
        out->first[i] = mine > best;
    }
}

int score_merged(const asked *about, const answer *a, int *pairs)
{
    int merged = 0;
    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < i; k++) {
            if (about->head[i] != about->head[k] || about->head[i] == JUDGE_STYLE) continue;
            ++*pairs;
            merged += windows_overlap(a->at[i], a->at[k]) > 0.5 && a->first[i] != a->first[k];
        }
    return merged;
}

static int index_of(const asked *a, int slot)
{
    for (int i = 0; i < a->n; i++)
        if (a->slot[i] == slot) return i;
    return -1;
}

int score_order(const order *o, const asked *about, const answer *a)
{
    int kept = o->n > 0;
    for (int r = 0; r < o->n; r++) {
        int b = index_of(about, o->rule[r].before), e = index_of(about, o->rule[r].after);
        int one = b < 0 || e < 0 ? 0 : order_kept(&o->rule[r], a->at[b], a->at[e]);
        if (one < 0) return -1;
        if (!one) kept = 0;
    }
    return kept;
}

dreamo_status score_tiny(const bitmap *picture, unsigned char tiny[TINY_NUMBERS], dreamo_error *err)
{
    bitmap small;
    dreamo_status s = resize_area(picture, TINY, TINY, &small, err);
    if (s) return s;
    memcpy(tiny, small.data, TINY_NUMBERS);
    bitmap_free(&small);
    return DREAMO_OK;
}

double score_likeness(const unsigned char *a, const unsigned char *b)
{
    double ma = 0, mb = 0, aa = 1e-9, bb = 1e-9, ab = 0;
    for (int i = 0; i < TINY_NUMBERS; i++) ma += a[i], mb += b[i];
    ma /= TINY_NUMBERS, mb /= TINY_NUMBERS;
    for (int i = 0; i < TINY_NUMBERS; i++) {
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
        ab += (a[i] - ma) * (b[i] - mb);
    }
    return ab / sqrt(aa * bb);
}

double score_distance(const unsigned char *a, const unsigned char *b)
{
    double sum = 0;
    for (int i = 0; i < TINY_NUMBERS; i++) sum += (double)(a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum / TINY_NUMBERS) / 255;
}
