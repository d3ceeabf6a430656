/* flow_batch.c - layouts, positions and mixing of a packed batch. */
#include "train/flow/flow_batch.h"

#include <string.h>

#include "base/mem.h"
#include "pipe/schedule.h"
#include "train/flow/flow.h"

/* Rotary tables of the shapes met so far: sines and cosines cost more than the rest of composing. */
enum { MEMO = 64 };
typedef struct memo_entry { condition_sample shape; int text_rows, rows; float *cos, *sin; } memo_entry;
struct rope_memo { int n; memo_entry entry[MEMO]; };

static void memo_clear(struct rope_memo *m)
{
    for (int i = 0; i < m->n; i++) {
        mem_free(m->entry[i].cos);
        mem_free(m->entry[i].sin);
    }
    m->n = 0;
}

static bool same_grids(const condition_sample *a, const condition_sample *b)
{
    bool same = a->out.h == b->out.h && a->out.w == b->out.w && a->nrefs == b->nrefs;
    for (int i = 0; same && i < a->nrefs; i++) same = a->ref[i].h == b->ref[i].h && a->ref[i].w == b->ref[i].w;
    return same;
}

/* ---- memory ---- */

typedef struct array { void *place; size_t count, each; } array;

/* Arrays of a sample each, and arrays that grow with what the samples hold. */
enum { PER_SAMPLE = 17, PER_ROW = 18 };

static void sample_arrays(flow_batch *b, size_t n, array list[PER_SAMPLE])
{
    const array all[PER_SAMPLE] = {
        { &b->sample, n, sizeof *b->sample }, { &b->text, n, sizeof *b->text }, { &b->masked, n, sizeof *b->masked },
        { &b->words, n, sizeof *b->words }, { &b->few, n, sizeof *b->few },
        { &b->text0, n, sizeof(int) }, { &b->clip0, n, sizeof(int) }, { &b->image0, n, sizeof(int) },
        { &b->text_spans, n, sizeof(span) }, { &b->clip_spans, n, sizeof(span) }, { &b->image_spans, n, sizeof(span) },
        { &b->joint_spans, 2 * n, sizeof(span) }, { &b->clip_end, n, sizeof(int) },
        { &b->sigma, n, sizeof(float) }, { &b->guidance, n, sizeof(float) },
        { &b->time_table, n * 256, sizeof(float) }, { &b->guidance_table, n * 256, sizeof(float) },
    };
    memcpy(list, all, sizeof all);
}

static void row_arrays(flow_batch *b, size_t half, array list[PER_ROW])
{
    size_t text = b->rows_room.text, image = b->rows_room.image, channels = (size_t)b->channels;
    const array all[PER_ROW] = {
        { &b->task, image, sizeof(int32_t) }, { &b->slot, image, sizeof(int32_t) }, { &b->row_weight, image, sizeof(float) },
        { &b->cos, (text + image) * half, sizeof(float) }, { &b->sin, (text + image) * half, sizeof(float) },
        { &b->routes, b->rows_room.routes, sizeof(route) }, { &b->route_weight, b->rows_room.routes, sizeof(float) },
        { &b->t5_ids, text, sizeof(int32_t) }, { &b->clip_ids, b->rows_room.clip, sizeof(int32_t) },
        { &b->clean, image * channels, sizeof(float) }, { &b->noise, image * channels, sizeof(float) },
        { &b->mask, b->rows_room.mask, sizeof(float) },
        { &b->matches, b->rows_room.matches, sizeof(route) }, { &b->match, b->rows_room.matches, sizeof(float) },
        { &b->match_weight, b->rows_room.matches, sizeof(float) }, { &b->match_spans, b->rows_room.matches, sizeof(span) },
        { &b->shown, image * channels, sizeof(float) }, { &b->target, image * channels, sizeof(float) },
    };
    memcpy(list, all, sizeof all);
}

static void free_arrays(const array *list, int n)
{
    for (int i = 0; i < n; i++) {
        void *p, *none = NULL;
        memcpy(&p, list[i].place, sizeof p);
        mem_free(p);
        memcpy(list[i].place, &none, sizeof none);
    }
}

static bool new_arrays(const array *list, int n)
{
    bool ok = true;
    for (int i = 0; i < n; i++) {
        void *p = mem_calloc(list[i].count + 1, list[i].each);
        memcpy(list[i].place, &p, sizeof p);
        ok = ok && p;
    }
    return ok;
}

dreamo_status flow_batch_new(flow_batch *b, const dit_config *c, int samples, dreamo_error *err)
{
    array list[PER_SAMPLE];
    *b = (flow_batch){ .room = samples, .channels = c->in_channels, .memo = mem_calloc(1, sizeof *b->memo) };
    sample_arrays(b, (size_t)samples, list);
    if (new_arrays(list, PER_SAMPLE) && b->memo) return DREAMO_OK;
    flow_batch_free(b);
    return fail(err, DREAMO_MEMORY, "no memory for a batch of %d samples", samples);
}

static void free_kept(flow_kept *k)
{
    mem_free(k->text);
    mem_free(k->pooled);
    mem_free(k->live);
    mem_free(k->live_ids);
    mem_free(k->take);
    mem_free(k->live_spans);
    *k = (flow_kept){ 0 };
}

void flow_batch_free(flow_batch *b)
{
    array samples[PER_SAMPLE], rows[PER_ROW];
    if (b->memo) memo_clear(b->memo);
    mem_free(b->memo);
    sample_arrays(b, 0, samples);
    row_arrays(b, 0, rows);
    free_arrays(samples, PER_SAMPLE);
    free_arrays(rows, PER_ROW);
    free_kept(&b->kept);
    *b = (flow_batch){ 0 };
}

static bool most(size_t *room, int need)
{
    bool more = (size_t)need > *room;
    if (more) *room = (size_t)need;
    return more;
}

/* Room for the rows that were counted.  What the arrays held is gone when they grow: they are filled anew for each batch. */
static dreamo_status grow(flow_batch *b, int half, dreamo_error *err)
{
    array list[PER_ROW];
    bool more = most(&b->rows_room.text, b->text_rows);
    more |= most(&b->rows_room.clip, b->clip_rows);
    more |= most(&b->rows_room.image, b->image_rows);
    more |= most(&b->rows_room.routes, b->nroutes);
    more |= most(&b->rows_room.mask, b->nroutes * b->widest);
    more |= most(&b->rows_room.matches, b->nmatches);
    if (!more) return DREAMO_OK;
    row_arrays(b, (size_t)half, list);
    free_arrays(list, PER_ROW);
    if (new_arrays(list, PER_ROW)) return DREAMO_OK;
    free_arrays(list, PER_ROW);
    memset(&b->rows_room, 0, sizeof b->rows_room);
    return fail(err, DREAMO_MEMORY, "no memory for a batch of %d rows", b->text_rows + b->image_rows);
}

/* ---- shape ---- */

int flow_batch_ref_rows(const flow_batch *b, int sample, int ref)
{
    token_grid g = b->sample[sample].ref[ref];
    int few = b->few[sample].n[ref];
    return few ? few : g.h * g.w;
}

int flow_batch_rows(const flow_batch *b, int sample)
{
    int rows = condition_noise_rows(&b->sample[sample]);
    for (int k = 0; k < b->sample[sample].nrefs; k++) rows += flow_batch_ref_rows(b, sample, k);
    return rows;
}

static void lay_spans(flow_batch *b)
{
    b->text_rows = b->clip_rows = b->image_rows = b->noise_total = b->nroutes = b->widest = b->nmatches = 0;
    for (int i = 0; i < b->samples; i++) {
        int image = flow_batch_rows(b, i), noise = condition_noise_rows(&b->sample[i]);
        b->text0[i] = b->text_rows;
        b->clip0[i] = b->clip_rows;
        b->image0[i] = b->image_rows;
        b->text_spans[i] = (span){ b->text_rows, b->text[i].nt5, i };
        b->clip_spans[i] = (span){ b->clip_rows, b->text[i].nclip, i };
        b->image_spans[i] = (span){ b->image_rows, image, i };
        b->clip_end[i] = b->clip_rows + b->text[i].nclip - 1;
        b->text_rows += b->text[i].nt5;
        b->clip_rows += b->text[i].nclip;
        b->image_rows += image;
        b->noise_total += noise;
        if (b->words[i].has) b->nmatches += b->sample[i].nrefs * b->sample[i].nrefs;
        for (int k = 0; k < b->sample[i].nrefs; k++)
            if (b->masked[i] >> k & 1) {
                b->nroutes++;
                if (noise > b->widest) b->widest = noise;
            }
    }
    for (int i = 0; i < b->samples; i++) {
        b->joint_spans[2 * i] = b->text_spans[i];
        b->joint_spans[2 * i + 1] = (span){ b->text_rows + b->image0[i], b->image_spans[i].rows, i };
    }
    b->text_layout = (layout){ b->samples, b->samples, b->text_spans };
    b->clip_layout = (layout){ b->samples, b->samples, b->clip_spans };
    b->image_layout = (layout){ b->samples, b->samples, b->image_spans };
    b->joint_layout = (layout){ b->samples, 2 * b->samples, b->joint_spans };
}

/* Reference r of sample i, `rows` rows from ref0 on, with each placeholder of its sample. */
static void lay_matches(flow_batch *b, int i, int r, int ref0, int rows, int *at)
{
    int n = b->sample[i].nrefs;
    b->match_spans[b->match_layout.nspans++] = (span){ *at, n, b->match_layout.samples++ };
    for (int k = 0; k < n; k++, ++*at) {
        b->matches[*at] = (route){ .ref0 = ref0, .nref = rows, .img0 = b->text0[i] + b->words[i].row[k], .nimg = 1 };
        b->match[*at] = k == r;
        b->match_weight[*at] = (float)b->nmatches / (float)(n * n); /* x 1 / samples with names, below */
    }
}

static void lay_rows(flow_batch *b)
{
    int at = 0, matches = 0, named = 0;
    for (int i = 0; i < b->samples; i++) named += b->words[i].has;
    b->match_layout = (layout){ 0, 0, b->match_spans };
    for (int i = 0; i < b->samples; i++) {
        const condition_sample *s = &b->sample[i];
        int noise = condition_noise_rows(s), row = b->image0[i];
        float weight = (float)b->image_rows / (float)(b->samples * noise);
        for (int k = 0; k < noise; k++, row++) {
            b->task[row] = 1;
            b->slot[row] = -1;
            b->row_weight[row] = weight;
        }
        for (int r = 0; r < s->nrefs; r++) {
            int rows = flow_batch_ref_rows(b, i, r);
            if (b->words[i].has) lay_matches(b, i, r, b->text_rows + row, rows, &matches);
            if (b->masked[i] >> r & 1)
                b->routes[at++] = (route){ .ref0 = b->text_rows + row, .nref = rows, .img0 = b->text_rows + b->image0[i], .nimg = noise };
            for (int k = 0; k < rows; k++, row++) {
                b->task[row] = 0;
                b->slot[row] = s->slot[r];
                b->row_weight[row] = 0;
            }
        }
    }
    for (int r = 0; r < b->nmatches; r++) b->match_weight[r] /= (float)named;
    for (int r = 0; r < b->nroutes; r++) b->route_weight[r] = (float)b->widest / (float)b->routes[r].nimg;
}

static const memo_entry *rope_of(flow_batch *b, const dit_config *c, const condition_sample *s, int text_rows)
{
    struct rope_memo *m = b->memo;
    for (int i = 0; i < m->n; i++)
        if (m->entry[i].text_rows == text_rows && same_grids(&m->entry[i].shape, s)) return &m->entry[i];
    if (m->n == MEMO) memo_clear(m);
    memo_entry e = { .shape = *s, .text_rows = text_rows, .rows = text_rows + condition_image_rows(s) };
    size_t values = (size_t)e.rows * (size_t)c->head_dim / 2;
    int32_t(*pos)[3] = mem_calloc((size_t)e.rows + 1, sizeof *pos);
    e.cos = mem_alloc(values * sizeof(float));
    e.sin = mem_alloc(values * sizeof(float));
    if (!pos || !e.cos || !e.sin) {
        mem_free(pos);
        mem_free(e.cos);
        mem_free(e.sin);
        return NULL;
    }
    condition_positions(s, pos + text_rows); /* text stays at 0, 0, 0 */
    dit_rope(c, (const int32_t(*)[3])pos, e.rows, e.cos, e.sin);
    mem_free(pos);
    m->entry[m->n] = e;
    return &m->entry[m->n++];
}

/* Rows of the sample's own table into the batch's. */
static void take_rope(flow_batch *b, size_t half, int to, const memo_entry *e, int from, int rows)
{
    memcpy(b->cos + (size_t)to * half, e->cos + (size_t)from * half, (size_t)rows * half * sizeof(float));
    memcpy(b->sin + (size_t)to * half, e->sin + (size_t)from * half, (size_t)rows * half * sizeof(float));
}

static dreamo_status lay_rope(flow_batch *b, const dit_config *c, dreamo_error *err)
{
    size_t half = (size_t)c->head_dim / 2;
    for (int i = 0; i < b->samples; i++) {
        int text_rows = b->text[i].nt5;
        const memo_entry *e = rope_of(b, c, &b->sample[i], text_rows);
        if (!e) return fail(err, DREAMO_MEMORY, "no memory for rotary tables");
        int to = b->text_rows + b->image0[i], from = text_rows, noise = condition_noise_rows(&b->sample[i]);
        take_rope(b, half, b->text0[i], e, 0, text_rows);
        take_rope(b, half, to, e, from, noise);
        to += noise;
        from += noise;
        for (int k = 0; k < b->sample[i].nrefs; k++) {
            const flow_few *few = &b->few[i];
            token_grid g = b->sample[i].ref[k];
            if (!few->n[k]) take_rope(b, half, to, e, from, g.h * g.w);
            for (int j = 0; j < few->n[k]; j++) take_rope(b, half, to + j, e, from + few->token[k][j], 1);
            to += flow_batch_ref_rows(b, i, k);
            from += g.h * g.w;
        }
    }
    return DREAMO_OK;
}

dreamo_status flow_batch_shape(flow_batch *b, const dit_config *c, int samples, dreamo_error *err)
{
    if (samples < 1 || samples > b->room) return fail(err, DREAMO_BUG, "a batch of %d samples, at most %d", samples, b->room);
    b->samples = samples;
    b->kept.here = false;
    lay_spans(b);
    dreamo_status s = grow(b, c->head_dim / 2, err);
    if (s) return s;
    lay_rows(b);
    return lay_rope(b, c, err);
}

void flow_batch_mix(flow_batch *b)
{
    size_t channels = (size_t)b->channels;
    memcpy(b->shown, b->clean, (size_t)b->image_rows * channels * sizeof(float));
    memset(b->target, 0, (size_t)b->image_rows * channels * sizeof(float));
    for (int i = 0; i < b->samples; i++) {
        size_t at = (size_t)b->image0[i] * channels, n = (size_t)condition_noise_rows(&b->sample[i]) * channels;
        flow_mix(b->clean + at, b->noise + at, b->sigma[i], n, b->shown + at, b->target + at);
        dit_sinusoid(schedule_embedded_time(b->sigma[i] * 1000.0f, false), b->time_table + 256 * i);
        dit_sinusoid(schedule_embedded_guidance(b->guidance[i], false), b->guidance_table + 256 * i);
    }
}

/* ---- kept text ---- */

dreamo_status flow_batch_keep(flow_batch *b, int width, int pooled_width, dreamo_error *err)
{
    flow_kept *k = &b->kept;
    size_t rows = (size_t)b->text_rows, samples = (size_t)b->room;
    if (rows > k->room || !k->live) {
        free_kept(k);
        k->text = mem_calloc(rows * (size_t)width + 1, sizeof *k->text);
        k->pooled = mem_calloc(samples * (size_t)pooled_width + 1, sizeof *k->pooled);
        k->live = mem_calloc(samples, sizeof *k->live);
        k->live_ids = mem_calloc(rows + 1, sizeof *k->live_ids);
        k->take = mem_calloc(rows + 1, sizeof *k->take);
        k->live_spans = mem_calloc(samples, sizeof *k->live_spans);
        k->room = rows;
    }
    k->width = width;
    k->pooled_width = pooled_width;
    k->here = k->text && k->pooled && k->live && k->live_ids && k->take && k->live_spans;
    if (k->here) return DREAMO_OK;
    free_kept(k);
    return fail(err, DREAMO_MEMORY, "no memory for the text of %d samples", b->samples);
}

void flow_batch_lay_live(flow_batch *b)
{
    flow_kept *k = &b->kept;
    k->nlive = k->live_rows = 0;
    for (int i = 0; i < b->samples; i++) {
        int rows = b->text[i].nt5, first = b->text0[i];
        if (k->live[i]) {
            memcpy(k->live_ids + k->live_rows, b->t5_ids + first, (size_t)rows * sizeof(int32_t));
            k->live_spans[k->nlive] = (span){ k->live_rows, rows, k->nlive };
            k->nlive++;
        }
        for (int r = 0; r < rows; r++) k->take[first + r] = k->live[i] ? b->text_rows + k->live_rows + r : first + r;
        if (k->live[i]) k->live_rows += rows;
    }
    k->live_layout = (layout){ k->nlive, k->nlive, k->live_spans };
}
