/* test_judge.c - the judge's arithmetic: windows against sums of their own, the loss against central differences and against numbers
 * that follow from its formula, what captions say, orders, intervals. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/order.h"
#include "eval/pairs.h"
#include "eval/phrases.h"
#include "eval/score.h"
#include "eval/tally.h"
#include "eval/windows.h"
#include "train/params.h"
#include "train/stages/judge_loss.h"
#include "weights/bind.h"
#include "scratch.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* ---- windows ---- */

static void test_windows(void **state)
{
    (void)state;
    windows all;
    dreamo_error err = { 0 };
    assert_int_equal(windows_new(&all, 4, 3, &err), DREAMO_OK);
    /* 2x2: 3*2, 3x2: 2*2, 4x2: 1*2, 2x3: 3, 3x3: 2, 4x3: 1 */
    assert_int_equal(all.n, 6 + 4 + 2 + 3 + 2 + 1);
    assert_true(windows_overlap((window){ 0, 0, 2, 2 }, (window){ 1, 0, 2, 2 }) == 2.0 / 6);
    assert_true(windows_overlap((window){ 0, 0, 2, 2 }, (window){ 2, 0, 2, 2 }) == 0);

    float cells[12][3], mean[2];
    for (int i = 0; i < 12; i++) cells[i][0] = 100, cells[i][1] = (float)i, cells[i][2] = 1;
    window at = { 1, 0, 2, 2 }; /* cells 1 2 5 6 */
    double length = window_mean(&all, &cells[0][1], 3, 2, at, mean);
    assert_true(mean[0] == 3.5f && mean[1] == 1 && fabs(length - sqrt(3.5 * 3.5 + 1)) < 1e-6);

    unsigned char mask[24 * 32] = { 0 }; /* 8 x 8 pixels a cell; columns 2 and 3, rows 1 and 2, and a little beside */
    float coverage[12];
    for (int y = 8; y < 24; y++)
        for (int x = 14; x < 32; x++) mask[y * 32 + x] = 255;
    windows_coverage(&all, mask, 32, 24, coverage);
    assert_true(coverage[6] == 1 && coverage[11] == 1 && coverage[5] == 0.25f && coverage[2] == 0);
    window best = windows_of_mask(&all, coverage);
    assert_true(best.x == 2 && best.y == 1 && best.w == 2 && best.h == 2);
    windows_free(&all);
    assert_int_equal(windows_new(&all, 1, 8, &err), DREAMO_ARG);
}

/* Something that stands in one window only is found there. */
static void test_best_window(void **state)
{
    (void)state;
    windows all;
    enum { N = 3 };
    float cells[64][N], wanted[N] = { 0, 1, 0 };
    assert_int_equal(windows_new(&all, 8, 8, NULL), DREAMO_OK);
    for (int i = 0; i < 64; i++) cells[i][0] = 1, cells[i][1] = cells[i][2] = 0;
    for (int y = 3; y < 5; y++)
        for (int x = 5; x < 8; x++) cells[y * 8 + x][0] = 0, cells[y * 8 + x][1] = 1;
    float *vectors = mem_alloc((size_t)all.n * N * sizeof *vectors);
    int which = -1;
    windows_vectors(&all, &cells[0][0], N, N, vectors);
    assert_true(fabs(windows_best(&all, vectors, N, wanted, &which) - 1) < 1e-6);
    assert_true(windows_overlap(all.list[which], (window){ 5, 3, 3, 2 }) > 0.5); /* or a part of it */
    for (int i = 0; i < 64; i++) cells[i][1] = 0, cells[i][0] = 1;
    windows_vectors(&all, &cells[0][0], N, N, vectors);
    assert_true(fabs(windows_best(&all, vectors, N, wanted, &which)) < 1e-6);
    mem_free(vectors);
    windows_free(&all);
}

/* ---- what captions say ---- */

static const char words[] = "{\"groups\": [{\"name\": \"wall\", \"labels\": [{\"name\": \"blue\", \"says\": [\"a blue wall\"]},"
                            " {\"name\": \"light blue\", \"says\": [\"a light blue wall\"]}, {\"name\": \"wall\", \"says\": [\"by the wall\"]}]},"
                            " {\"name\": \"room\", \"labels\": [{\"name\": \"room\", \"says\": [\"a room with a * wall\"]}, {\"name\": \"stripes\", \"says\": [\"* and * stripes\"]}]},"
                            " {\"name\": \"garment\", \"labels\": [{\"name\": \"shirt\", \"says\": [\"shirt\"]}, {\"name\": \"t-shirt\", \"says\": [\"t-shirt\"]}]}]}";

static void test_phrases(void **state)
{
    (void)state;
    phrases l;
    dreamo_error err = { 0 };
    static const struct { const char *caption; int said[3]; } cases[] = {
        { "a cat in a room with a blue wall", { 0, 3, -1 } },
        { "A cat, in A Room with a light blue WALL.", { 1, 3, -1 } },
        { "a cat on red and light blue stripes", { -1, 4, -1 } },
        { "a man in a t-shirt", { -1, -1, 6 } },
        { "a man in a shirt by the wall", { 2, -1, 5 } },
        { "a man in a t-shirt to the left of a man in a shirt", { -1, -1, -1 } }, /* two: whose? */
        { "a shirt [ref#1], and another shirt", { -1, -1, 5 } },
        { "shirts and walls", { -1, -1, -1 } },
        { "", { -1, -1, -1 } },
    };
    scratch_write("words.json", words, sizeof words - 1);
    if (phrases_read("words.json", &l, &err)) fail_msg("%s", err.message);
    assert_int_equal(l.ngroups, 3);
    assert_int_equal(l.nlabels, 7);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int said[3];
        phrases_said(&l, cases[i].caption, said);
        if (memcmp(said, cases[i].said, sizeof said)) fail_msg("\"%s\": %d %d %d", cases[i].caption, said[0], said[1], said[2]);
    }
    phrases_free(&l);
}

static void test_phrases_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "{}", "{\"groups\": []}", "{\"groups\": [{\"name\": \"a\", \"labels\": [{\"name\": \"b\", \"says\": [\"c\"]}]}]}",
                                       "{\"groups\": [{\"name\": \"a\", \"labels\": [{\"name\": \"b\", \"says\": []}, {\"name\": \"c\", \"says\": [\"d\"]}]}]}",
                                       "{\"groups\": [{\"name\": \"a\", \"labels\": [{\"name\": \"b\", \"says\": [7]}, {\"name\": \"c\", \"says\": [\"d\"]}]}]}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        phrases l;
        dreamo_error err = { 0 };
        scratch_write("bad.json", bad[i], strlen(bad[i]));
        assert_int_equal(phrases_read("bad.json", &l, &err), DREAMO_FORMAT);
        assert_non_null(strstr(err.message, "bad.json"));
    }
}

/* ---- orders ---- */

static void test_order(void **state)
{
    (void)state;
    order o;
    order_read("a dog [ref#1] to the left of a cat [ref#2], on a beach", &o);
    assert_int_equal(o.n, 1);
    assert_true(o.rule[0].before == 1 && o.rule[0].after == 2 && !o.rule[0].vertical);
    order_read("a dog [ref#7] to the right of a cat [ref#3], on a beach", &o);
    assert_true(o.n == 1 && o.rule[0].before == 3 && o.rule[0].after == 7);
    order_read("a dog [ref#1] above a cat [ref#2], on red", &o);
    assert_true(o.n == 1 && o.rule[0].before == 1 && o.rule[0].vertical);
    order_read("a [ref#2] on the left, b [ref#1] in the middle and c [ref#3] on the right, in a room", &o);
    assert_true(o.n == 2 && o.rule[0].before == 2 && o.rule[0].after == 1 && o.rule[1].before == 1 && o.rule[1].after == 3);
    order_read("a [ref#2] on the left and c [ref#3] on the right", &o);
    assert_true(o.n == 1 && o.rule[0].before == 2 && o.rule[0].after == 3);
    order_read("a dog [ref#1] next to a cat [ref#2]", &o);
    assert_int_equal(o.n, 0);
    order_read("a dog to the left of a cat", &o);
    assert_int_equal(o.n, 0);
    order_read("a dog [ref#1", &o);
    assert_int_equal(o.n, 0);
    order_rule left = { 1, 2, false }, above = { 1, 2, true };
    assert_int_equal(order_kept(&left, (window){ 0, 0, 2, 2 }, (window){ 4, 0, 2, 2 }), 1);
    assert_int_equal(order_kept(&left, (window){ 4, 0, 2, 2 }, (window){ 0, 0, 3, 3 }), -1);
    assert_int_equal(order_kept(&left, (window){ 1, 0, 2, 2 }, (window){ 0, 4, 4, 4 }), 0);
    assert_int_equal(order_kept(&above, (window){ 0, 0, 2, 2 }, (window){ 0, 1, 2, 3 }), 1);
}

/* ---- shares ---- */

/* Wilson's interval as R's prop.test(k, n, correct = FALSE) gives it. */
static void test_interval(void **state)
{
    (void)state;
    static const struct { tally t; double lo, hi; } cases[] = {
        { { 5, 10 }, 0.2365931, 0.7634069 }, { { 0, 10 }, 0, 0.2775328 }, { { 90, 100 }, 0.8256343, 0.9447709 }, { { 0, 0 }, 0, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double lo, hi;
        tally_interval(cases[i].t, &lo, &hi);
        assert_true(fabs(lo - cases[i].lo) < 1e-6 && fabs(hi - cases[i].hi) < 1e-6);
    }
    assert_true(tally_first((const double[]){ 0.3, 0.5, 0.4 }, 3, 1));
    assert_false(tally_first((const double[]){ 0.3, 0.5, 0.5 }, 3, 1)); /* what is alike everywhere is not found */
    assert_true(tally_share((tally){ 0, 0 }) < 0);
}

/* ---- a picture and its references ---- */

/* A judge of 8 x 8 cells whose things are the axes of four dimensions; nothing of it computes. */
typedef struct looked { judging j; judge net; candidates pool[JUDGE_HEADS]; asked now, other; float *cells, *vectors; } looked;
enum { AXES = 4, STRIDE = JUDGE_HEADS * AXES + 1 };

static void open_looked(looked *l)
{
    *l = (looked){ .net.config = { .embed = AXES, .labels = 1 } };
    l->j.net = &l->net;
    assert_int_equal(windows_new(&l->j.all, 8, 8, NULL), DREAMO_OK);
    l->j.everywhere = windows_whole(&l->j.all);
    l->j.whole = (windows){ 8, 8, 1, &l->j.everywhere };
    l->cells = mem_calloc(64 * STRIDE, sizeof(float));
    l->vectors = mem_calloc((size_t)l->j.all.n * AXES, sizeof(float));
    for (int i = 0; i < 64; i++) l->cells[i * STRIDE + AXES - 1] = 1; /* the last axis is the ground */
    candidates *c = &l->pool[JUDGE_THING];
    *c = (candidates){ .n = AXES - 1, .what = mem_calloc(AXES, sizeof *c->what), .vectors = mem_calloc(AXES * AXES, sizeof(float)) };
    for (int i = 0; i < c->n; i++) {
        c->what[i] = (shown){ 100 + (uint64_t)i, 200 + (uint64_t)i };
        c->vectors[i * AXES + i] = 1;
    }
    assert_int_equal(asked_new(&l->now, &l->j, NULL), DREAMO_OK);
    assert_int_equal(asked_new(&l->other, &l->j, NULL), DREAMO_OK);
}

static void close_looked(looked *l)
{
    candidates_free(&l->pool[JUDGE_THING]);
    asked_free(&l->now);
    asked_free(&l->other);
    windows_free(&l->j.all);
    mem_free(l->cells);
    mem_free(l->vectors);
}

static void ask_for(asked *a, int axis, int slot)
{
    a->head[a->n] = JUDGE_THING;
    a->slot[a->n] = slot;
    a->what[a->n] = (shown){ 100 + (uint64_t)axis, 200 + (uint64_t)axis };
    a->wanted[a->n++ * AXES + axis] = 1;
}

static void stand(looked *l, int axis, window at)
{
    for (int y = at.y; y < at.y + at.h; y++)
        for (int x = at.x; x < at.x + at.w; x++) {
            float *cell = l->cells + (y * 8 + x) * STRIDE;
            memset(cell, 0, AXES * sizeof *cell);
            cell[axis] = 1;
        }
}

static void test_found(void **state)
{
    (void)state;
    looked l;
    answer a;
    order o;
    int pairs = 0;
    open_looked(&l);
    ask_for(&l.now, 0, 1);
    ask_for(&l.now, 1, 2);
    stand(&l, 0, (window){ 0, 2, 3, 3 });
    stand(&l, 1, (window){ 5, 3, 3, 3 });
    score_picture(&l.j, l.pool, 100, &l.now, NULL, l.cells, l.vectors, &a);
    assert_true(a.n == 2 && a.first[0] && a.first[1]);
    assert_int_equal(a.among[0], 2); /* of three candidates two are what is asked for: no one's rival */
    assert_int_equal(a.instead[0], 2);
    assert_true(fabs(a.margin[0] - 1) < 1e-6);
    assert_true(a.at[0].x + a.at[0].w <= 3 && a.at[1].x >= 5);
    assert_true(score_merged(&l.now, &a, &pairs) == 0 && pairs == 1);
    order_read("a [ref#1] to the left of b [ref#2]", &o);
    assert_int_equal(score_order(&o, &l.now, &a), 1);
    order_read("a [ref#1] to the right of b [ref#2]", &o);
    assert_int_equal(score_order(&o, &l.now, &a), -1);
    order_read("a [ref#1] to the left of b [ref#3]", &o); /* nobody asked for a third */
    assert_int_equal(score_order(&o, &l.now, &a), 0);

    /* what is not there is not found, and what stands there comes before it */
    ask_for(&l.other, 2, 1);
    score_picture(&l.j, l.pool, 100, &l.other, NULL, l.cells, l.vectors, &a);
    assert_true(!a.first[0] && a.margin[0] < -0.9 && (a.instead[0] == 0 || a.instead[0] == 1));
    assert_int_equal(a.among[0], 3);
    score_picture(&l.j, l.pool, 100, &l.other, &l.now, l.cells, l.vectors, &a); /* the floor: what the picture shows is no rival */
    assert_int_equal(a.among[0], 1);
    score_picture(&l.j, l.pool, 2, &l.other, NULL, l.cells, l.vectors, &a);
    assert_int_equal(a.among[0], 2);
    close_looked(&l);
}

/* Both references as one thing in one place: one of them is found, in it. */
static void test_merged(void **state)
{
    (void)state;
    looked l;
    answer a;
    int pairs = 0;
    open_looked(&l);
    ask_for(&l.now, 0, 1);
    ask_for(&l.now, 1, 2);
    l.now.wanted[AXES] = 0.2f; /* the second is a little like the first, and less than like candidate 2 */
    l.pool[JUDGE_THING].vectors[2 * AXES] = 0.5f;
    stand(&l, 0, (window){ 2, 2, 4, 4 });
    score_picture(&l.j, l.pool, 100, &l.now, NULL, l.cells, l.vectors, &a);
    assert_true(a.first[0] && !a.first[1]);
    assert_true(score_merged(&l.now, &a, &pairs) == 1 && pairs == 1);
    l.now.head[1] = JUDGE_PERSON; /* a thing in front of a person is no such pair */
    pairs = 0;
    assert_true(score_merged(&l.now, &a, &pairs) == 0 && pairs == 0);
    close_looked(&l);
}

/* The pair that differs most, but none whose better picture says less of the caption. */
static void test_preferences(void **state)
{
    (void)state;
    int liked = -1, disliked = -1;
    const seen_picture most[] = { { .worth = 0.2, .said = 1 }, { .worth = 0.5, .said = 1 }, { .worth = -0.1, .said = 0.5 } };
    assert_true(pairs_choose(most, 3, &liked, &disliked) && liked == 1 && disliked == 2);
    const seen_picture hidden[] = { { .worth = 0.2, .said = 1 }, { .worth = 0.9, .said = 0.5 }, { .worth = 0.4, .said = 1 }, { .worth = 0.3, .said = 0.5 } };
    assert_true(pairs_choose(hidden, 4, &liked, &disliked) && liked == 1 && disliked == 3); /* 0.9 in place of 0.2 would be the most */
    assert_true(pairs_choose(hidden, 2, &liked, &disliked) == false);
    assert_true(pairs_worst(most, 3) == 2 && pairs_worst(hidden, 4) == 0);
    const seen_picture alike[] = { { .worth = 0.2, .said = 0.5 }, { .worth = 0.2, .said = 1 } };
    assert_false(pairs_choose(alike, 2, &liked, &disliked) || pairs_choose(alike, 1, &liked, &disliked) || pairs_choose(NULL, 0, &liked, &disliked));
}

static void test_likeness(void **state)
{
    (void)state;
    unsigned char a[TINY_NUMBERS], b[TINY_NUMBERS];
    for (int i = 0; i < TINY_NUMBERS; i++) a[i] = (unsigned char)(i % 100), b[i] = (unsigned char)(200 - i % 100);
    assert_true(fabs(score_likeness(a, a) - 1) < 1e-6 && fabs(score_likeness(a, b) + 1) < 1e-6);
    for (int i = 0; i < TINY_NUMBERS; i++) b[i] = (unsigned char)(2 * a[i] + 30);
    assert_true(fabs(score_likeness(a, b) - 1) < 1e-6); /* brighter is as alike */
    for (int i = 0; i < TINY_NUMBERS; i++) b[i] = (unsigned char)(a[i] + 51);
    assert_true(fabs(score_distance(a, b) - 0.2) < 1e-6 && score_distance(a, a) == 0);
    for (int i = 0; i < TINY_NUMBERS; i++) b[i] = 7;
    assert_true(fabs(score_likeness(a, b)) < 1e-3); /* a plain picture is like none */
}

/* ---- the loss ---- */

enum { PICTURES = 9, TARGETS = 4, EMBED = 3, SIDE = 3, CELLS = SIDE * SIDE };

typedef struct scene {
    judge_config config;
    windows all;
    phrases words;
    judge_pair pair[6];
    struct judge_other other[TARGETS];
    int said[TARGETS * 3];
    judge_batch b;
    int n;              /* numbers in all cells */
    float *cells, *grad, *spare;
} scene;

static void open_scene(scene *s)
{
    rng r = rng_new(3, 4);
    *s = (scene){ .config = { .embed = EMBED, .labels = 7 } };
    scratch_write("words.json", words, sizeof words - 1);
    assert_int_equal(phrases_read("words.json", &s->words, NULL), DREAMO_OK);
    assert_int_equal(windows_new(&s->all, SIDE, SIDE, NULL), DREAMO_OK);
    window whole = windows_whole(&s->all);
    const judge_pair pairs[6] = {
        { JUDGE_THING, 4, 0, { 0, 0, 2, 2 }, 1, 11 }, { JUDGE_THING, 5, 0, { 1, 1, 2, 2 }, 2, 12 }, { JUDGE_THING, 6, 1, { 0, 1, 3, 2 }, 3, 11 }, /* as the first */
        { JUDGE_STYLE, 7, 2, whole, 4, 14 }, { JUDGE_STYLE, 8, 3, whole, 5, 15 }, { JUDGE_PERSON, 8, 3, whole, 6, 16 },
    };
    const struct judge_other others[2] = { { 1, { 1, 0, 2, 2 } }, { 2, { 0, 0, 2, 3 } } };
    const int said[TARGETS * 3] = { 0, -1, 5, 2, -1, -1, -1, -1, 6, 0, -1, 5 };
    memcpy(s->pair, pairs, sizeof pairs);
    memcpy(s->other, others, sizeof others);
    memcpy(s->said, said, sizeof said);
    s->b = (judge_batch){ &s->config, &s->all, &s->words, PICTURES, TARGETS, 6, 6, s->pair, 2, s->other, s->said, 0.7 };
    s->n = PICTURES * CELLS * judge_columns(&s->config);
    s->cells = mem_alloc((size_t)s->n * sizeof(float));
    s->grad = mem_alloc((size_t)s->n * sizeof(float));
    s->spare = mem_alloc((size_t)s->n * sizeof(float));
    for (int i = 0; i < s->n; i++) s->cells[i] = (float)rng_normal(&r);
}

static void close_scene(scene *s)
{
    mem_free(s->cells);
    mem_free(s->grad);
    mem_free(s->spare);
    windows_free(&s->all);
    phrases_free(&s->words);
}

static void test_loss_differences(void **state)
{
    (void)state;
    scene s;
    double part[JUDGE_HEADS + 1];
    int moved = 0;
    open_scene(&s);
    double loss = judge_loss(&s.b, s.cells, s.grad, part);
    assert_true(part[JUDGE_THING] > 0 && part[JUDGE_STYLE] > 0 && part[JUDGE_GARMENT] == 0);
    assert_true(part[JUDGE_PERSON] == 0); /* one pair alone is no contrast */
    assert_true(fabs(loss - part[JUDGE_THING] - part[JUDGE_STYLE] - 0.7 * part[JUDGE_HEADS]) < 1e-9);
    for (int i = 0; i < s.n; i++) {
        const float h = 1e-3f, x = s.cells[i];
        s.cells[i] = x + h;
        double up = judge_loss(&s.b, s.cells, s.spare, part);
        s.cells[i] = x - h;
        double down = judge_loss(&s.b, s.cells, s.spare, part);
        s.cells[i] = x;
        double slope = (up - down) / (2 * (double)h);
        if (fabs(slope - s.grad[i]) > 1e-4 + 2e-3 * fabs(slope)) fail_msg("cell number %d: %g, by differences %g", i, (double)s.grad[i], slope);
        moved += fabs(slope) > 1e-3;
    }
    assert_true(moved > 100);
    close_scene(&s);
}

/* Two styles whose references and targets agree, at right angles: each softmax is e^(1/T) / (e^(1/T) + 1). */
static void test_loss_known(void **state)
{
    (void)state;
    scene s;
    double part[JUDGE_HEADS + 1];
    open_scene(&s);
    s.b.npairs = 2, s.b.pair = &s.pair[3], s.b.label_weight = 0;
    int columns = judge_columns(&s.config), column = JUDGE_STYLE * EMBED;
    memset(s.cells, 0, (size_t)s.n * sizeof(float));
    for (int c = 0; c < CELLS; c++) {
        s.cells[(2 * CELLS + c) * columns + column] = s.cells[(7 * CELLS + c) * columns + column] = 2;
        s.cells[(3 * CELLS + c) * columns + column + 1] = s.cells[(8 * CELLS + c) * columns + column + 1] = 3;
    }
    double loss = judge_loss(&s.b, s.cells, s.grad, part);
    assert_true(fabs(loss - log1p(exp(-1 / 0.07))) < 1e-9);
    s.pair[4].name = s.pair[3].name; /* the same style: nothing to be told apart */
    assert_true(fabs(judge_loss(&s.b, s.cells, s.grad, part)) < 1e-12);
    /* without any evidence, a group of three labels: log 3 */
    for (int i = 0; i < TARGETS * 3; i++) s.said[i] = -1;
    s.said[0] = 1;
    s.b.label_weight = 1;
    assert_true(fabs(judge_loss(&s.b, s.cells, s.grad, part) - log(3)) < 1e-6);
    close_scene(&s);
}

/* ---- the network: a parameter's gradient by the way the stage goes back, against differences of the loss ---- */

typedef struct network_scene { scene s; judge *m; params p; device *dev; float *pixels; bool backward; double loss; } network_scene;

static void run(network_scene *t)
{
    nn *cx = nn_new(&(nn_options){ .dev = t->dev, .work_nbytes = 64 << 20, .keep_nbytes = 16 << 20, .taping = true }, NULL);
    double part[JUDGE_HEADS + 1];
    assert_non_null(cx);
    tensor x = tensor_from(cx, PICTURES * 144, 3, t->pixels), cells = judge_cells(cx, t->m, x, (grid){ PICTURES, 12, 12 });
    assert_int_equal(cells.rows * cells.cols, t->s.n);
    tensor_read(cx, cells, t->s.cells);
    t->loss = judge_loss(&t->s.b, t->s.cells, t->s.grad, part);
    for (int i = 0; t->backward && i < t->s.n; i++) t->s.grad[i] = (float)(t->s.cells[i] - 0.5 * (double)t->s.n * t->s.grad[i]);
    if (t->backward) nn_backward(cx, op_mse(cx, cells, tensor_from(cx, cells.rows, cells.cols, t->s.grad), NULL));
    dreamo_error err = { 0 };
    if (nn_status(cx, &err)) fail_msg("%s", err.message);
    nn_free(cx);
}

static void test_network_gradient(void **state)
{
    (void)state;
    network_scene t = { .dev = backend_ref.open(1) };
    rng r = rng_new(8, 9);
    open_scene(&t.s);
    t.s.config.levels = 2, t.s.config.channels[0] = 4, t.s.config.channels[1] = 5, t.s.config.blocks[1] = 1, t.s.config.hidden = 6;
    t.m = judge_new(&t.s.config);
    assert_non_null(t.m);
    assert_int_equal(params_add_network(&t.p, "", t.m, bind_walk_judge, NULL), DREAMO_OK);
    assert_int_equal(params_allocate(&t.p, false, NULL), DREAMO_OK);
    params_attach(&t.p, 0, t.m, bind_walk_judge);
    for (int i = 0; i < t.p.n; i++)
        for (size_t k = 0; k < t.p.slot[i].count; k++) t.p.value[t.p.slot[i].at + k] = (float)(0.4 * rng_normal(&r)) + (t.p.slot[i].rank == 1 ? 0.6f : 0);
    t.pixels = mem_alloc((size_t)PICTURES * 144 * 3 * sizeof(float));
    for (int i = 0; i < PICTURES * 144 * 3; i++) t.pixels[i] = (float)rng_range(&r, -1, 1);
    t.backward = true;
    run(&t);
    t.backward = false;
    for (int i = 0; i < t.p.n; i++)
        for (int tries = 0; tries < 3; tries++) {
            size_t at = t.p.slot[i].at + rng_below(&r, (uint32_t)t.p.slot[i].count);
            const float h = 2e-3f, x = t.p.value[at];
            t.p.value[at] = x + h;
            run(&t);
            double up = t.loss;
            t.p.value[at] = x - h;
            run(&t);
            t.p.value[at] = x;
            double slope = (up - t.loss) / (2 * (double)h);
            if (fabs(slope - t.p.grad[at]) > 2e-3 + 0.02 * fabs(slope)) fail_msg("%s: %g, by differences %g", t.p.slot[i].name, (double)t.p.grad[at], slope);
        }
    mem_free(t.pixels);
    params_free(&t.p);
    judge_free(t.m);
    t.dev->be->close(t.dev);
    close_scene(&t.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows), cmocka_unit_test(test_best_window), cmocka_unit_test(test_phrases), cmocka_unit_test(test_phrases_refused),
        cmocka_unit_test(test_order), cmocka_unit_test(test_found), cmocka_unit_test(test_merged), cmocka_unit_test(test_preferences), cmocka_unit_test(test_likeness), cmocka_unit_test(test_interval), cmocka_unit_test(test_loss_differences), cmocka_unit_test(test_loss_known),
        cmocka_unit_test(test_network_gradient),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
