/* flow_item.c - composing one sample. */
#include "train/flow/flow_item.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/resize.h"

enum { VALIDATION_STREAM = 0x56414c, OTHERS_TRIED = 64 };

flow_item flow_item_train(const stage *s, const mixture *kinds, uint64_t index)
{
    rng r = rng_new((uint64_t)s->r->seed, ~index);
    return (flow_item){ .kind = (data_kind)mixture_draw(kinds, &r)->a, .split = DATA_TRAIN, .index = index, .sigma = -1 };
}

static bool shows(const data_sample *s, const char *name)
{
    for (int i = 0; i < s->nrefs; i++)
        if (strcmp(s->ref[i].name, name) == 0) return true;
    return false;
}

/* Another sample's references in the places of this one's: of the same tasks, none of them shown here.  False: they do not fit. */
static bool take_others(flow_item *it)
{
    bool taken[DATA_MAX_REFS] = { false };
    for (int i = 0; i < it->sample.nrefs; i++) {
        int k = 0;
        while (k < it->other.nrefs && (taken[k] || it->other.ref[k].task != it->sample.ref[i].task || shows(&it->sample, it->other.ref[k].name)))
            k++;
        if (k == it->other.nrefs) return false;
        taken[k] = true;
        it->shown[i] = &it->other.ref[k].picture;
    }
    return true;
}

static dreamo_status find_others(const stage *s, flow_item *it, data_request q, dreamo_error *err)
{
    for (int k = 0; k < OTHERS_TRIED; k++) {
        q.index++;
        dreamo_status status = data_sample_make(s->data, NULL, &q, &it->other, err);
        if (status || take_others(it)) return status;
        data_sample_free(&it->other);
    }
    it->missing = true;
    for (int i = 0; i < it->sample.nrefs; i++) it->shown[i] = &it->sample.ref[i].picture; /* not those of a try that failed half-way */
    return DREAMO_OK;
}

static void leave_out(flow_item *it, int which)
{
    it->nrefs--;
    for (int i = which; i < it->nrefs; i++) {
        it->ref[i] = it->ref[i + 1];
        it->shown[i] = it->shown[i + 1];
    }
}

/* The rows of [ref#slot] in the caption; a caption that was cut may lack some, then it says nothing for sure. */
static void find_names(const stage *s, flow_item *it)
{
    int first = unigram_first_added(s->n.t5_words);
    it->named.has = it->placed;
    for (int k = 0; k < it->nrefs && it->named.has; k++) {
        int row = 0;
        while (row < it->words.rows.nt5 && it->words.t5[row] != first + it->ref[k]->slot - 1) row++;
        it->named.row[k] = row;
        it->named.has = row < it->words.rows.nt5;
    }
}

/* A share of each reference's tokens, all equally likely (selection sampling: Knuth, 3.4.2, algorithm S). */
static dreamo_status thin_out(const stage *s, flow_item *it, rng *r, dreamo_error *err)
{
    int cell = 2 * vae_factor(&s->n.vae->config), total = 0, at = 0;
    for (int k = 0; k < it->nrefs; k++) total += it->shown[k]->width / cell * (it->shown[k]->height / cell);
    it->tokens = mem_alloc((size_t)total * sizeof *it->tokens + 1);
    if (!it->tokens) return fail(err, DREAMO_MEMORY, "no memory for %d tokens", total);
    for (int k = 0; k < it->nrefs; k++) {
        int n = it->shown[k]->width / cell * (it->shown[k]->height / cell), want = (int)lrint(s->r->ref_tokens * n), taken = 0;
        it->few.token[k] = it->tokens + at;
        want = want < 1 ? 1 : want;
        for (int t = 0; t < n; t++)
            if ((int)rng_below(r, (uint32_t)(n - t)) < want - taken) {
                it->tokens[at++] = t;
                taken++;
            }
        it->few.n[k] = taken;
    }
    return DREAMO_OK;
}

/* A share of n tokens, at least `least`; *first: where it begins. */
static int draw_part(int n, double least, rng *r, int *first)
{
    int most = (int)lrint(n * rng_range(r, least, 1)), part = most < 1 ? 1 : most;
    *first = (int)rng_below(r, (uint32_t)(n - part + 1));
    return part;
}

/* A side of n tokens, made larger or smaller: whole tokens again, and no more than the target's. */
static int scaled_part(int n, double by, int most)
{
    int part = (int)lrint(n * by);
    return part < 1 ? 1 : part > most ? most : part;
}

/* The target as its own reference, or a rectangle of its tokens: then what is copied has been moved, and the network must find how far; and in another size,
 * how large. */
static dreamo_status refer_to_itself(const stage *s, flow_item *it, rng *r, dreamo_error *err)
{
    const bitmap *whole = it->reference == REF_OTHER ? &it->other.target : &it->sample.target;
    int cell = 2 * vae_factor(&s->n.vae->config), wide = whole->width / cell, high = whole->height / cell, left, top;
    it->self = (data_ref){ .task = DATA_IP, .slot = 1 };
    it->ref[0] = &it->self;
    it->shown[0] = whole;
    if (s->r->ref_crop >= 1 && s->r->ref_scale >= 1) return DREAMO_OK;
    int w = draw_part(wide, s->r->ref_crop, r, &left), h = draw_part(high, s->r->ref_crop, r, &top);
    it->shown[0] = &it->part;
    if (s->r->ref_scale >= 1) return bitmap_cut(whole, left * cell, top * cell, w * cell, h * cell, &it->part, err);
    double by = exp(log(s->r->ref_scale) * rng_range(r, -1, 1));
    bitmap cut = { 0 };
    dreamo_status status = bitmap_cut(whole, left * cell, top * cell, w * cell, h * cell, &cut, err);
    if (!status) status = resize_lanczos(&cut, scaled_part(w, by, wide) * cell, scaled_part(h, by, high) * cell, &it->part, err);
    bitmap_free(&cut);
    return status;
}

dreamo_status flow_item_compose(const stage *s, flow_item *it, bool references, dreamo_error *err)
{
    const recipe *p = s->r;
    bool training = it->sigma < 0;
    rng r = rng_new((uint64_t)p->seed + (training ? 0 : VALIDATION_STREAM), it->index);
    const mixture_part *size = mixture_draw(&p->pictures, &r);
    mixture sides = mixture_for(&p->ref_sides, (int)it->kind);
    data_request q = { it->kind, it->split, (uint64_t)p->seed, it->index, size->a, size->b, mixture_draw(&sides, &r)->a };
    data_params how;
    data_params_init(&how);
    if (training) how.same = p->same_size;
    dreamo_status status = data_sample_make(s->data, &how, &q, &it->sample, err);
    for (int i = 0; i < it->sample.nrefs; i++) {
        it->ref[i] = &it->sample.ref[i];
        it->shown[i] = &it->sample.ref[i].picture;
    }
    it->target = &it->sample.target;
    if (!status && it->rejected && it->sample.rejected.data) {
        it->target = &it->sample.rejected;
    } else if (!status && it->rejected) {
        rng kinds = rng_new((uint64_t)p->seed, q.index);
        if (p->rejected.n) q.kind = (data_kind)mixture_draw(&p->rejected, &kinds)->a;
        q.index += UINT64_C(1) << 40; /* far from what the run draws */
        status = data_sample_make(s->data, &how, &q, &it->other, err);
        it->target = &it->other.target;
    } else if (!status && it->reference == REF_OTHER) {
        if (p->self_reference) {
            q.index++;
            status = data_sample_make(s->data, NULL, &q, &it->other, err);
        } else {
            status = find_others(s, it, q, err);
        }
    }
    if (status) return status;
    if (p->self_reference) status = refer_to_itself(s, it, &(rng){ r.state, r.stream ^ 4 }, err);
    if (status) return status;
    int shown = p->self_reference ? 1 : it->sample.nrefs;
    /* always drawn, so that no choice moves another */
    double text = rng_double(&r), all = rng_double(&r), one = rng_double(&r), placed = rng_double(&r);
    int which = (int)rng_below(&r, DATA_MAX_REFS * 3); /* a multiple of 2, 3 and 4 */
    it->nrefs = references && it->reference != REF_NONE && !(training && all < p->ref_dropout) ? shown : 0;
    bool several = it->nrefs > 1, lacking = training && several && one < p->one_dropout;
    if (lacking) leave_out(it, which % it->nrefs);
    /* a placeholder of a reference that is not there would say nothing */
    it->placed = training && several && !lacking && *it->sample.placed && placed < p->placeholders;
    if (training) it->sigma = flow_sigma(&p->flow, &r);
    it->noise = r;
    if (p->ref_tokens < 1 && it->nrefs) status = thin_out(s, it, &(rng){ r.state, r.stream ^ 2 }, err);
    const char *words = training && text < p->text_dropout ? "" : it->placed ? it->sample.placed : it->sample.caption;
    it->placed = it->placed && *words;
    if (!status) status = caption_read(&s->n, words, &it->words, err);
    if (!status) find_names(s, it);
    return status;
}

void flow_item_free(flow_item *it)
{
    data_sample_free(&it->sample);
    data_sample_free(&it->other);
    caption_free(&it->words);
    bitmap_free(&it->part);
    mem_free(it->tokens);
}

void flow_item_cover(const unsigned char *mask, int w, int h, int cell, float *out)
{
    for (int y = 0; y < h / cell; y++)
        for (int x = 0; x < w / cell; x++) {
            int sum = 0;
            for (int p = 0; mask && p < cell * cell; p++) sum += mask[(y * cell + p / cell) * w + x * cell + p % cell];
            *out++ = (float)sum / (255.0f * (float)(cell * cell));
        }
}

void flow_item_subjects(const flow_item *it, int cell, float *out)
{
    const data_sample *s = &it->sample;
    int w = s->width / cell, h = s->height / cell;
    for (int t = 0; t < w * h; t++) {
        int sum = 0;
        for (int p = 0; p < cell * cell; p++) {
            size_t at = (size_t)(t / w * cell + p / cell) * (size_t)s->width + (size_t)(t % w * cell + p % cell);
            int most = s->subject_mask ? s->subject_mask[at] : 0;
            for (int i = 0; i < s->nrefs; i++)
                if (s->ref[i].mask && s->ref[i].mask[at] > most) most = s->ref[i].mask[at];
            sum += most;
        }
        out[t] = (float)sum / (255.0f * (float)(cell * cell));
    }
}
