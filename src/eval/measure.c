/* measure.c - a kind's loop, and its numbers. */
#include "eval/measure.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "eval/cases.h"

/* Everything that is counted of a kind. */
typedef struct counts {
    tally first, ceiling, floor, all, swapped, swapped_real, merged, text, text_real, scenes, copies, wins;
    tally head[JUDGE_HEADS], head_real[JUDGE_HEADS], *label, *label_real; /* [groups] */
    int fewest;
    double apart, between;      /* sums of distances: pictures of one sample, of two samples */
    int napart, nbetween;
    double most_alike;          /* of a target and one of its own references */
    int ntargets;
} counts;

/* What is kept between samples of a kind. */
typedef struct measuring {
    evaluation *e;
    data_kind kind;
    int n, seeds;
    counts c;
    kind_case *cases;           /* [n] */
    asked now, before;          /* references of this sample and the one before */
    float *cells, *vectors;
    int *said;
    bool *agrees;
    unsigned char (*tiny)[TINY_NUMBERS]; /* [seeds] of this sample */
    unsigned char tiny_before[TINY_NUMBERS];
    double *alike;              /* [n * seeds] likeness of a picture and its most alike reference */
    int nalike;
    double worth;               /* of the last picture, as preferences see it */
    char scene[128];            /* of the sample before */
} measuring;

/* ---- samples ---- */

/* What is held out measures; what is to be trained on comes from the rest. */
static data_split split_of(const evaluation *e) { return e->o->pairs ? DATA_TRAIN : DATA_VAL; }

int measure_count(const evaluation *e, data_kind kind)
{
    int n = 0;
    data_split split = split_of(e);
    if (data_given(e->data)) {
        n = data_count(e->data, kind, split);
        if (e->o->trained && split == DATA_VAL) n += data_count(e->data, kind, DATA_TRAIN);
    } else if (data_can(e->data, kind, split))
        n = e->o->n;
    return n < e->o->n ? n : e->o->n;
}

dreamo_status measure_sample(const evaluation *e, data_kind kind, int i, data_sample *out, dreamo_error *err)
{
    int held = data_given(e->data) ? data_count(e->data, kind, split_of(e)) : e->o->n;
    data_split split = i < held ? split_of(e) : DATA_TRAIN;
    data_request q = { kind, split, e->o->seed, (uint64_t)(i < held ? i : i - held), e->made.width, e->made.height, pictures_ref_side(&e->made, kind) };
    return data_sample_make(e->data, NULL, &q, out, err);
}

/* ---- one picture ---- */

static const char *words_of(const evaluation *e, const data_sample *s) { return e->o->placed && *s->placed ? s->placed : s->caption; }

static void count_answer(measuring *m, const answer *a, tally *first, tally *head)
{
    for (int i = 0; i < a->n; i++) {
        tally_add(first, a->first[i]);
        if (head) tally_add(&head[m->now.head[i]], a->first[i]);
        if (!m->c.fewest || a->among[i] < m->c.fewest) m->c.fewest = a->among[i];
    }
}

static void count_text(measuring *m, tally *all, tally *each, int *counted, int *right)
{
    const judging *j = &m->e->judge;
    judging_labels(j, m->cells, m->said, counted, right, m->agrees);
    all->n += *counted, all->yes += *right;
    for (int g = 0; g < j->words.ngroups; g++)
        if (m->said[g] >= 0) tally_add(&each[g], m->agrees[g]);
}

static void score(measuring *m, const asked *about, const asked *other, answer *a)
{
    score_picture(&m->e->judge, m->e->pool, m->e->o->candidates, about, other, m->cells, m->vectors, a);
}

/* The references of the sample before, looked for in this picture: found only by chance. */
static void count_floor(measuring *m)
{
    answer a;
    if (!m->before.n) return;
    score(m, &m->before, &m->now, &a);
    for (int i = 0; i < a.n; i++) {
        bool shared = false;
        for (int k = 0; k < m->now.n; k++) shared = shared || shown_alike(m->now.what[k], m->before.what[i]);
        if (!shared) tally_add(&m->c.floor, a.first[i]);
    }
}

static double most_alike(const data_sample *s, const unsigned char *tiny, dreamo_error *err, dreamo_status *status)
{
    double most = -1;
    for (int i = 0; i < s->nrefs && !*status; i++) {
        unsigned char ref[TINY_NUMBERS];
        *status = score_tiny(&s->ref[i].picture, ref, err);
        double alike = *status ? -1 : score_likeness(tiny, ref);
        most = alike > most ? alike : most;
    }
    return most;
}

/* The sample's own target: what the judge makes of what is right. */
static dreamo_status look_at_target(measuring *m, const data_sample *s, const order *o, bool floors, dreamo_error *err)
{
    counts *c = &m->c;
    answer a;
    int counted, right;
    unsigned char tiny[TINY_NUMBERS];
    dreamo_status status = judging_look(&m->e->judge, &s->target, m->cells, err);
    if (!status) status = score_tiny(&s->target, tiny, err);
    if (status) return status;
    score(m, &m->now, NULL, &a);
    count_answer(m, &a, &c->ceiling, c->head_real);
    count_text(m, &c->text_real, c->label_real, &counted, &right);
    if (o->n) tally_add(&c->swapped_real, score_order(o, &m->now, &a) < 0);
    if (floors) count_floor(m);
    double alike = most_alike(s, tiny, err, &status);
    if (!c->ntargets++ || alike > c->most_alike) c->most_alike = alike;
    return status;
}

/* A picture that the model made. */
static dreamo_status look_at_made(measuring *m, const data_sample *s, const order *o, const bitmap *picture, int i, int seed, dreamo_error *err)
{
    counts *c = &m->c;
    answer a;
    int counted, right;
    dreamo_status status = judging_look(&m->e->judge, picture, m->cells, err);
    if (!status) status = score_tiny(picture, m->tiny[seed], err);
    if (status) return status;
    score(m, &m->now, NULL, &a);
    count_answer(m, &a, &c->first, c->head);
    count_text(m, &c->text, c->label, &counted, &right);
    if (a.n) {
        bool all = true;
        for (int k = 0; k < a.n; k++) all = all && a.first[k];
        tally_add(&c->all, all);
        c->merged.yes += score_merged(&m->now, &a, &c->merged.n);
        m->alike[m->nalike++] = most_alike(s, m->tiny[seed], err, &status);
    }
    if (o->n) tally_add(&c->swapped, score_order(o, &m->now, &a) < 0);
    m->worth = pairs_worth(&a, counted, right);
    if (!status) status = pairs_see(&m->e->liked, picture, m->worth, pairs_said(counted, right), err);
    count_floor(m);
    for (int k = 0; k < seed; k++, c->napart++) c->apart += score_distance(m->tiny[k], m->tiny[seed]);
    if (!seed && !status) status = case_fill(&m->cases[i], picture, &a, counted, right, m->e->pool, &m->now, err);
    return status;
}

/* The same sample's picture by another model, beside the last one of ours. */
static dreamo_status look_at_other(measuring *m, const char *name, dreamo_error *err)
{
    bitmap other;
    answer a;
    int counted = 0, right = 0;
    dreamo_status status = pictures_other(&m->e->made, name, &other, err);
    if (!status) status = judging_look(&m->e->judge, &other, m->cells, err);
    bitmap_free(&other);
    if (status) return status;
    score(m, &m->now, NULL, &a);
    judging_labels(&m->e->judge, m->cells, m->said, &counted, &right, m->agrees);
    double worth = pairs_worth(&a, counted, right);
    if (worth < m->worth || worth > m->worth) tally_add(&m->c.wins, m->worth > worth);
    return DREAMO_OK;
}

static dreamo_status stepped(measuring *m, dreamo_error *err)
{
    progress_step(&m->e->pace, m->e->pace.done + 1);
    return report_step(&m->e->to, &m->e->pace, err);
}

enum { NAME_BYTES = 96 };

static void name_of(const measuring *m, int i, const char *which, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%s-%05d%s%s", data_kind_name(m->kind), i, *which ? "-" : "", which);
}

static dreamo_status make(measuring *m, const data_sample *s, const char *words, int i, const char *which, uint64_t seed, bitmap *out, dreamo_error *err)
{
    char name[NAME_BYTES];
    name_of(m, i, which, name);
    dreamo_status status = pictures_make(&m->e->made, s, words, name, seed, out, err);
    return status ? status : stepped(m, err);
}

/* The same references where the sample before stood: the caption with its scene. */
static dreamo_status another_scene(measuring *m, const data_sample *s, int i, dreamo_error *err)
{
    const char *words = words_of(m->e, s), *at = *s->scene && *m->scene ? strstr(words, s->scene) : NULL;
    bitmap picture = { 0 };
    answer a;
    if (!at || !s->nrefs) return stepped(m, err);
    char *moved = mem_printf("%.*s%s%s", (int)(at - words), words, m->scene, at + strlen(s->scene));
    dreamo_status status = moved ? make(m, s, moved, i, "scene", m->e->o->seed, &picture, err) : fail(err, DREAMO_MEMORY, "no memory for a caption");
    if (!status) status = judging_look(&m->e->judge, &picture, m->cells, err);
    if (!status) {
        score(m, &m->now, NULL, &a);
        count_answer(m, &a, &m->c.scenes, NULL);
    }
    bitmap_free(&picture);
    mem_free(moved);
    return status;
}

/* ---- a kind ---- */

static dreamo_status one_sample(measuring *m, int i, dreamo_error *err)
{
    evaluation *e = m->e;
    data_sample s = { 0 };
    order o;
    dreamo_status status = measure_sample(e, m->kind, i, &s, err);
    if (!status) status = asked_read(&m->now, &e->judge, &s, m->cells, err);
    if (!status) {
        order_read(s.placed, &o);
        phrases_said(&e->judge.words, s.caption, m->said);
        if (!s.bare) status = look_at_target(m, &s, &o, !e->made.m, err);
    }
    for (int k = 0; k < m->seeds && !status; k++) {
        char which[16], name[NAME_BYTES];
        bitmap picture = { 0 };
        snprintf(which, sizeof which, "%d", k);
        status = make(m, &s, words_of(e, &s), i, which, e->o->seed + (uint64_t)k, &picture, err);
        if (!status) status = look_at_made(m, &s, &o, &picture, i, k, err);
        name_of(m, i, which, name);
        if (!status && e->o->against) status = look_at_other(m, name, err);
        bitmap_free(&picture);
    }
    if (!status && m->seeds) {
        char name[NAME_BYTES];
        name_of(m, i, "", name);
        status = pairs_keep(&e->liked, &s, words_of(e, &s), name, err);
    }
    if (!status && m->seeds) {
        if (i) m->c.between += score_distance(m->tiny[0], m->tiny_before), m->c.nbetween++;
        memcpy(m->tiny_before, m->tiny[0], TINY_NUMBERS);
        if (e->o->scenes) status = another_scene(m, &s, i, err);
    }
    if (!status && !m->seeds) status = stepped(m, err);
    snprintf(m->scene, sizeof m->scene, "%s", s.scene);
    asked swap = m->before;
    m->before = m->now;
    m->now = swap;
    data_sample_free(&s);
    return status;
}

static int list_parts(dreamo_eval_part *out, int n, const tally *made, const tally *real, const char *const *names)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        if (made[i].n || real[i].n) out[count++] = (dreamo_eval_part){ names[i], made[i].n ? made[i].n : real[i].n, tally_share(made[i]), tally_share(real[i]) };
    return count;
}

static dreamo_status tell(measuring *m, dreamo_error *err)
{
    const counts *c = &m->c;
    const phrases *words = &m->e->judge.words;
    dreamo_eval_part heads[JUDGE_HEADS], *labels = mem_calloc((size_t)words->ngroups + 1, sizeof *labels);
    const char **names = mem_calloc((size_t)words->ngroups + 1, sizeof *names);
    dreamo_eval_row r = { .size = sizeof r, .kind = data_kind_name(m->kind), .n = m->n, .seeds = m->seeds, .references = m->seeds ? c->first.n : c->ceiling.n,
                          .candidates = c->fewest, .top1 = tally_share(c->first), .ceiling = tally_share(c->ceiling), .floor = tally_share(c->floor), .all = tally_share(c->all),
                          .swapped = tally_share(c->swapped), .swapped_ceiling = tally_share(c->swapped_real), .merged = tally_share(c->merged), .text = tally_share(c->text),
                          .text_ceiling = tally_share(c->text_real), .scenes = tally_share(c->scenes), .copies = tally_share(c->copies), .wins = tally_share(c->wins), .diversity = -1, .heads = heads,
                          .labels = labels };
    dreamo_status s = labels && names ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a row");
    if (!s) {
        tally_interval(c->first, &r.top1_lo, &r.top1_hi);
        tally_interval(c->ceiling, &r.ceiling_lo, &r.ceiling_hi);
        tally_interval(c->text, &r.text_lo, &r.text_hi);
        tally_interval(c->wins, &r.wins_lo, &r.wins_hi);
        if (c->napart && c->nbetween && c->between > 0) r.diversity = c->apart / c->napart / (c->between / c->nbetween);
        for (int g = 0; g < words->ngroups; g++) names[g] = words->group[g].name;
        r.nheads = list_parts(heads, JUDGE_HEADS, c->head, c->head_real, judge_head_names);
        r.nlabels = list_parts(labels, words->ngroups, c->label, c->label_real, names);
        if (m->e->o->row && !m->e->o->row(m->e->o->user, &r)) s = fail(err, DREAMO_CANCELLED, "stopped on request");
    }
    if (!s && m->e->o->page) s = cases_write(&m->e->page, m->e, m->kind, &r, m->cases, m->n, err);
    mem_free(names);
    mem_free(labels);
    return s;
}

static dreamo_status begin(measuring *m, dreamo_error *err)
{
    evaluation *e = m->e;
    size_t embed = (size_t)e->judge.net->config.embed, groups = (size_t)e->judge.words.ngroups, seeds = (size_t)m->seeds + 1;
    m->cases = mem_calloc((size_t)m->n + 1, sizeof *m->cases);
    m->cells = mem_alloc(judging_numbers(&e->judge) * sizeof *m->cells);
    m->vectors = mem_alloc((size_t)e->judge.all.n * embed * sizeof *m->vectors);
    m->said = mem_calloc(groups + 1, sizeof *m->said);
    m->agrees = mem_calloc(groups + 1, sizeof *m->agrees);
    m->tiny = mem_alloc(seeds * sizeof *m->tiny);
    m->alike = mem_alloc(((size_t)m->n * seeds + 1) * sizeof *m->alike);
    m->c.label = mem_calloc(groups + 1, sizeof *m->c.label);
    m->c.label_real = mem_calloc(groups + 1, sizeof *m->c.label_real);
    bool ok = m->cases && m->cells && m->vectors && m->said && m->agrees && m->tiny && m->alike && m->c.label && m->c.label_real;
    dreamo_status s = ok ? asked_new(&m->now, &e->judge, err) : fail(err, DREAMO_MEMORY, "no memory for %d samples", m->n);
    return s ? s : asked_new(&m->before, &e->judge, err);
}

static void end(measuring *m)
{
    for (int i = 0; m->cases && i < m->n; i++) bitmap_free(&m->cases[i].picture);
    mem_free(m->cases);
    mem_free(m->cells);
    mem_free(m->vectors);
    mem_free(m->said);
    mem_free(m->agrees);
    mem_free(m->tiny);
    mem_free(m->alike);
    mem_free(m->c.label);
    mem_free(m->c.label_real);
    asked_free(&m->now);
    asked_free(&m->before);
}

dreamo_status measure_kind(evaluation *e, data_kind kind, dreamo_error *err)
{
    measuring m = { .e = e, .kind = kind, .n = measure_count(e, kind), .seeds = e->made.m ? e->o->seeds : 0 };
    dreamo_status s = begin(&m, err);
    for (int i = 0; i < m.n && !s; i++) s = one_sample(&m, i, err);
    for (int i = 0; m.c.ntargets && i < m.nalike; i++) tally_add(&m.c.copies, m.alike[i] > m.c.most_alike);
    if (!s) s = tell(&m, err);
    end(&m);
    return s;
}
