/* test_data.c - samples from the small asset folder in tests/data/assets: what they show, that they repeat, that held-out
 * concepts stay out, and that broken folders are refused. */
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"
#include "data/assets.h"
#include "data/filter.h"
#include "data/names.h"
#include "data/source/pack.h"
#include "data/scene.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

static const char folder[] = TEST_DATA "/assets";
static data_set *set;

static int open_set(void **state)
{
    return scratch_enter(state) || data_open(folder, &set, NULL);
}

static int close_set(void **state)
{
    data_close(set);
    return scratch_leave(state);
}

static uint64_t sample_hash(const data_sample *s)
{
    size_t n = (size_t)s->width * (size_t)s->height;
    uint64_t h = hash_fnv1a(s->target.data, n * 3) * 31 + hash_fnv1a(s->caption, strlen(s->caption));
    if (s->nrefs) h = h * 31 + hash_fnv1a(s->ref[0].picture.data, n * 3) * 31 + hash_fnv1a(s->ref[0].mask, n);
    return h;
}

/* A square sample. */
static dreamo_status make(const data_params *p, data_kind kind, data_split split, uint64_t seed, uint64_t index, int size, data_sample *s, dreamo_error *err)
{
    return data_sample_make(set, p, &(data_request){ kind, split, seed, index, size, size, 0 }, s, err);
}

static uint64_t hash_of(data_kind kind, data_split split, uint64_t seed, uint64_t index, int size)
{
    data_sample s;
    assert_int_equal(make(NULL, kind, split, seed, index, size, &s, NULL), DREAMO_OK);
    uint64_t h = sample_hash(&s);
    data_sample_free(&s);
    return h;
}

/* ---- determinism ---- */

/* Fixed numbers: a change here is a change of every training run. */
static void same_bytes_as_ever(void **state)
{
    (void)state;
    assert_int_equal(hash_of(DATA_SUBJECT, DATA_TRAIN, 1, 0, 64), 0x40ea689f69a1997eu);
    assert_int_equal(hash_of(DATA_SUBJECT, DATA_VAL, 1, 3, 64), 0x846e4716c548e319u);
    assert_int_equal(hash_of(DATA_T2I, DATA_TRAIN, 7, 123456789, 32), 0x5600792278ab7b11u);
}

typedef struct many { uint64_t hash[64]; } many;

static void one_of_many(void *arg, int task, int worker)
{
    (void)worker;
    ((many *)arg)->hash[task] = hash_of(task % 2 ? DATA_T2I : DATA_SUBJECT, DATA_TRAIN, 5, (uint64_t)task, 48);
}

static void threads_agree(void **state)
{
    (void)state;
    many alone, together;
    pool *p = pool_new(4);
    pool_run(NULL, 64, one_of_many, &alone);
    pool_run(p, 64, one_of_many, &together);
    pool_free(p);
    assert_memory_equal(&alone, &together, sizeof alone);
    for (int i = 1; i < 64; i++) assert_true(alone.hash[i] != alone.hash[i - 1]);
}

/* ---- what a sample shows ---- */

/* The longest side of the mask is the asked share of the picture, and the subject lies inside. */
static void size_of_subject(void **state)
{
    (void)state;
    data_params p;
    data_params_init(&p);
    p.turn = p.same = 0;
    for (uint64_t i = 0; i < 60; i++) {
        data_sample s;
        assert_int_equal(make(&p, DATA_SUBJECT, DATA_TRAIN, 3, i, 128, &s, NULL), DREAMO_OK);
        int x0 = 128, x1 = -1, y0 = 128, y1 = -1;
        for (int y = 0; y < 128; y++)
            for (int x = 0; x < 128; x++)
                if (s.ref[0].mask[y * 128 + x] > 64) {
                    x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1;
                    y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
                }
        int longest = (x1 - x0 > y1 - y0 ? x1 - x0 : y1 - y0) + 1;
        assert_true(longest >= p.scale_lo * 128 - 4 && longest <= p.scale_hi * 128 + 3);
        assert_true(x0 > 0 && y0 > 0 && x1 < 127 && y1 < 127);
        assert_true(strstr(s.caption, s.subject) && strstr(s.caption, s.scene));
        assert_int_equal(s.nrefs, 1);
        for (int k = 0; k < 3; k++) assert_int_equal(s.ref[0].picture.data[k], 255); /* its corner is white */
        data_sample_free(&s);
    }
}

/* The columns and rows of pixels for which `in` holds, x0 y0 x1 y1. */
static void extent(const data_sample *s, bool (*in)(const data_sample *s, int i), int box[4])
{
    box[0] = box[1] = s->width, box[2] = box[3] = -1;
    for (int i = 0; i < s->width * s->height; i++) {
        int x = i % s->width, y = i / s->width;
        if (!in(s, i)) continue;
        box[0] = x < box[0] ? x : box[0], box[2] = x > box[2] ? x : box[2];
        box[1] = y < box[1] ? y : box[1], box[3] = y > box[3] ? y : box[3];
    }
}

static bool inked(const data_sample *s, int i)
{
    const unsigned char *p = s->ref[0].picture.data + 3 * i;
    return p[0] < 255 || p[1] < 255 || p[2] < 255;
}

/* Of the pixels that reference k's mask covers, how many are the reference's, moved by the best whole number of tokens. */
static double shifted_share(const data_sample *s, int k, int token, int *bx, int *by)
{
    const bitmap *ref = &s->ref[k].picture;
    int best = -1, all = 0;
    *bx = *by = 0;
    for (int i = 0; i < s->width * s->height; i++) all += s->ref[k].mask[i] == 255;
    for (int ty = -s->height; ty <= s->height; ty += token)
        for (int tx = -s->width; tx <= s->width; tx += token) {
            int equal = 0;
            for (int y = 0; y < ref->height; y++)
                for (int x = 0; x < ref->width; x++) {
                    int from = y * ref->width + x, to = (y + ty) * s->width + x + tx;
                    if (x + tx < 0 || x + tx >= s->width || y + ty < 0 || y + ty >= s->height || s->ref[k].mask[to] != 255) continue;
                    bool same = true;
                    for (int c = 0; c < 3; c++) same = same && abs(ref->data[3 * from + c] - s->target.data[3 * to + c]) <= 1;
                    equal += same;
                }
            if (equal > best) best = equal, *bx = tx, *by = ty;
        }
    return all ? (double)best / all : 0; /* hidden whole: nothing was found */
}

/* In the reference's size: a flat subject's pixels are those of its reference, whole tokens away. */
static void same_size_is_a_shift(void **state)
{
    (void)state;
    data_params p;
    data_params_init(&p);
    p.same = 1;
    p.solid_share = p.light = 0;
    int moved = 0, still = 0;
    for (uint64_t i = 0; i < 40; i++) {
        data_sample s;
        int there[4], dx, dy;
        assert_int_equal(make(&p, DATA_SUBJECT, DATA_TRAIN, 4, i, 64, &s, NULL), DREAMO_OK);
        extent(&s, inked, there);
        double share = shifted_share(&s, 0, 8, &dx, &dy);
        if (share < 1) fail_msg("sample %d: %g of the pixels are the reference's, shifted by %d, %d", (int)i, share, dx, dy);
        assert_true(there[2] - there[0] + 1 <= p.ref_fill * 64 + 2);
        moved += dx || dy;
        still += !(dx || dy);
        data_sample_free(&s);
    }
    assert_true(moved > 5 && still > 2);
    p.same = 2;
    data_sample s;
    assert_int_equal(make(&p, DATA_SUBJECT, DATA_TRAIN, 4, 0, 64, &s, NULL), DREAMO_ARG);
}

/* So do several things, heads (of which another expression is shown) and garments, where they fit into the reference. */
static void every_kind_is_a_shift(void **state)
{
    (void)state;
    static const struct { data_kind kind; int side; double share; int least; } rows[] = { /* so many of 24 first references have this share */
        { DATA_SUBJECTS, 112, 0.999, 24 }, { DATA_ID, 112, 0.75, 24 }, { DATA_IDS, 80, 0.75, 17 }, { DATA_TRYON, 80, 0.99, 16 }, { DATA_ID_SUBJECT, 96, 0.75, 20 } };
    data_params p;
    data_params_init(&p);
    p.same = 1;
    p.solid_share = p.light = 0;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        int met = 0;
        for (uint64_t i = 0; i < 24; i++) {
            data_sample s;
            int dx, dy;
            data_request q = { rows[k].kind, DATA_TRAIN, 9, i, i % 3 ? 128 : 144, i % 3 ? 128 : 112, rows[k].side };
            assert_int_equal(data_sample_make(set, &p, &q, &s, NULL), DREAMO_OK);
            met += shifted_share(&s, 0, 16, &dx, &dy) >= rows[k].share;
            data_sample_free(&s);
        }
        if (met < rows[k].least) fail_msg("%s: %d of 24 references are found again, moved by whole tokens", data_kind_name(rows[k].kind), met);
    }
}

/* Pasting changes the scene exactly where the cover is, blended by it: out = scene (1 - cover) + colour cover. */
static void mask_is_the_difference(void **state)
{
    (void)state;
    enum { SIDE = 40 };
    unsigned char square[SIDE * SIDE * 4];
    for (int i = 0; i < SIDE * SIDE; i++) memcpy(square + 4 * i, (unsigned char[4]){ 10, 200, 90, i % 5 ? 255 : 100 }, 4);
    for (int k = 0; k < scene_kinds(); k++) {
        canvas bare, c;
        rng r = rng_new(11, (uint64_t)k);
        scene s = scene_pick_kind(&r, k);
        assert_int_equal(canvas_new(&bare, 64, 64, NULL), DREAMO_OK);
        assert_int_equal(canvas_new(&c, 64, 64, NULL), DREAMO_OK);
        scene_draw(&s, &bare);
        scene_draw(&s, &c);
        tile t = { SIDE, SIDE, SIDE, square, NULL };
        assert_int_equal(canvas_paste(&c, &(paste){ &t, { 0.4, 0.6, 0.5, 0.03, false }, PART_ALL, 0, 0, NULL }, NULL), DREAMO_OK);
        static const float colour[3] = { 10 / 255.0f, 200 / 255.0f, 90 / 255.0f };
        double covered = 0;
        for (int i = 0; i < c.width * c.height; i++) {
            covered += c.cover[0][i] > 0;
            for (int j = 0; j < 3; j++)
                assert_true(fabsf(c.rgb[3 * i + j] - (bare.rgb[3 * i + j] * (1 - c.cover[0][i]) + colour[j] * c.cover[0][i])) < 2e-6f);
        }
        assert_true(fabs(covered / (0.25 * c.width * c.height) - 1) < 0.08); /* half of the side, turned or not */
        canvas_free(&bare);
        canvas_free(&c);
    }
}

/* Downsampling keeps the mean, and a tile drawn at its own size comes through as it is. */
static void area_mean_is_kept(void **state)
{
    (void)state;
    canvas c;
    assert_int_equal(canvas_new(&c, 64, 64, NULL), DREAMO_OK);
    unsigned char dots[128 * 128 * 4];
    for (int i = 0; i < 128 * 128; i++) memcpy(dots + 4 * i, (unsigned char[4]){ (unsigned char)i, (unsigned char)(i * 7), 30, 255 }, 4);
    tile t = { 128, 128, 128, dots, NULL };
    assert_int_equal(canvas_paste(&c, &(paste){ &t, { 0.5, 0.5, 1, 0, false }, PART_ALL, 0, 0, NULL }, NULL), DREAMO_OK);
    bitmap out;
    unsigned char *mask;
    assert_int_equal(canvas_finish(&c, &out, NULL), DREAMO_OK);
    assert_int_equal(canvas_mask(&c, 0, &mask, NULL), DREAMO_OK);
    for (int y = 0; y < 64; y++)
        for (int x = 0; x < 64; x++)
            for (int k = 0; k < 3; k++) {
                int sum = 0;
                for (int q = 0; q < 4; q++) sum += dots[4 * ((2 * y + q / 2) * 128 + 2 * x + q % 2) + k];
                assert_true(fabs(out.data[3 * (y * 64 + x) + k] - sum / 4.0) <= 0.51);
            }
    for (int i = 0; i < 64 * 64; i++) assert_int_equal(mask[i], 255);
    bitmap_free(&out);
    mem_free(mask);
    canvas_free(&c);
}

/* Samples without reference: some are empty scenes, some on white; what stands there is known by its mask. */
static void without_reference(void **state)
{
    (void)state;
    int empty = 0, white = 0, styled = 0;
    for (uint64_t i = 0; i < 200; i++) {
        data_sample s;
        assert_int_equal(make(NULL, DATA_T2I, DATA_TRAIN, 1, i, 32, &s, NULL), DREAMO_OK);
        assert_int_equal(s.nrefs, 0);
        assert_string_equal(s.placed, "");
        bool in_style = strstr(s.caption, ", as ") || strstr(s.caption, ", in g");
        styled += in_style;
        if (!s.subject_mask) {
            assert_string_equal(s.subject, "");
            empty++;
        } else if (strstr(s.caption, " on a white background")) {
            white++;
            for (int k = 0; k < 32 * 32 && !in_style; k++)
                if (!s.subject_mask[k]) assert_int_equal(s.target.data[3 * k] & s.target.data[3 * k + 1] & s.target.data[3 * k + 2], 255);
        }
        data_sample_free(&s);
    }
    assert_in_range(empty, 1, 30);
    assert_in_range(white, 8, 60);
    assert_in_range(styled, 10, 70);
}

/* ---- kinds ---- */

/* Every kind can be made of the small folder, in both splits where it has something held out: references with their tasks, masks that
 * lie in the picture and do not overlap, slots that differ, captions with their placeholders. */
static void every_kind(void **state)
{
    (void)state;
    static const int most[DATA_KINDS] = { 0, 1, 3, 1, 3, 1, 2, 2, 3, 2, 2 }, least[DATA_KINDS] = { 0, 1, 2, 1, 2, 1, 2, 1, 2, 2, 2 };
    for (int k = 0; k < DATA_KINDS; k++) {
        assert_true(data_can(set, (data_kind)k, DATA_TRAIN));
        for (uint64_t i = 0; i < 24; i++) {
            data_sample s;
            data_request q = { (data_kind)k, DATA_TRAIN, 21, i, 64, i % 3 ? 64 : 48, i % 2 ? 32 : 0 };
            assert_int_equal(data_sample_make(set, NULL, &q, &s, NULL), DREAMO_OK);
            assert_int_equal(s.target.width, q.width);
            assert_int_equal(s.target.height, q.height);
            assert_in_range(s.nrefs, least[k], most[k]);
            assert_true(*s.caption && !strchr(s.caption, '%') && !strstr(s.caption, "  "));
            unsigned slots = 0;
            int places = 0;
            for (int r = 0; r < s.nrefs; r++) {
                const data_ref *f = &s.ref[r];
                char place[16];
                assert_in_range(f->slot, 1, 9);
                assert_false(slots >> f->slot & 1);
                slots |= 1u << f->slot;
                snprintf(place, sizeof place, "[ref#%d]", f->slot);
                places += strstr(s.placed, place) != NULL;
                assert_int_equal(f->picture.width, q.ref_side ? q.ref_side : q.width < q.height ? q.width : q.height);
                assert_true(*f->name && f->identity);
                assert_true((f->mask == NULL) == (f->task == DATA_LOOK));
                long seen = 0;
                for (int p = 0; f->mask && p < q.width * q.height; p++) {
                    int sum = 0;
                    for (int o = 0; o < s.nrefs; o++) sum += s.ref[o].mask ? s.ref[o].mask[p] : 0;
                    assert_true(sum <= 255 + s.nrefs); /* rounding */
                    seen += f->mask[p];
                }
                if (f->mask) assert_true(seen > 255 * 8); /* never hidden whole */
            }
            if (*s.placed) assert_int_equal(places, s.nrefs);
            data_sample_free(&s);
        }
    }
}

/* Of a person only the head is the identity: the mask of an id reference leaves the clothes out, that of a garment is nothing else. */
static void masks_of_people(void **state)
{
    (void)state;
    int dressed = 0;
    for (uint64_t i = 0; i < 30; i++) {
        data_sample s;
        assert_int_equal(make(NULL, DATA_ID_TRYON, DATA_TRAIN, 5, i, 96, &s, NULL), DREAMO_OK);
        long head = 0, head_y = 0, worn = 0, worn_y = 0;
        for (int r = 0; r < s.nrefs; r++)
            for (int p = 0; p < 96 * 96; p++)
                if (s.ref[r].task == DATA_FACE) head += s.ref[r].mask[p], head_y += s.ref[r].mask[p] * (p / 96);
                else worn += s.ref[r].mask[p], worn_y += s.ref[r].mask[p] * (p / 96);
        assert_true(head > 0 && worn > 0);
        assert_true(head_y / head < worn_y / worn); /* heads are above clothes */
        dressed++;
        data_sample_free(&s);
    }
    assert_int_equal(dressed, 30);
}

/* A style that is never trained on stays out of training; in the other split it is the only one. */
static void styles_are_held_out(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 60; i++)
        for (int split = 0; split < 2; split++) {
            data_sample s;
            filter_kind f = FILTER_NONE;
            if (!data_can(set, DATA_SUBJECT_STYLE, (data_split)split)) continue;
            assert_int_equal(make(NULL, DATA_SUBJECT_STYLE, (data_split)split, 5, i, 32, &s, NULL), DREAMO_OK);
            for (int k = 1; k < FILTERS; k++)
                if (!strcmp(s.ref[1].name, filter_name((filter_kind)k))) f = (filter_kind)k;
            assert_true(f != FILTER_NONE);
            assert_int_equal(filter_held_out(f), split == DATA_VAL);
            assert_non_null(strstr(s.caption, "same style image"));
            data_sample_free(&s);
        }
}

static void kinds_have_names(void **state)
{
    (void)state;
    char all[256] = "";
    for (int k = 0; k < DATA_KINDS; k++) {
        data_kind found;
        assert_true(data_kind_find(data_kind_name((data_kind)k), &found));
        assert_int_equal(found, k);
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", k ? " " : "", data_kind_name((data_kind)k));
    }
    data_kind none;
    assert_false(data_kind_find("faces", &none));
    assert_string_equal(all, DATA_KIND_NAMES);
}

static void parameters_are_checked(void **state)
{
    (void)state;
    data_params p;
    data_sample s;
    data_params_init(&p);
    p.scale_lo = 0.9, p.scale_hi = 0.5;
    assert_int_equal(make(&p, DATA_SUBJECT, DATA_TRAIN, 1, 1, 32, &s, NULL), DREAMO_ARG);
    assert_int_equal(make(NULL, DATA_SUBJECT, DATA_TRAIN, 1, 1, 8, &s, NULL), DREAMO_ARG);
    data_sample_free(&s);
}

/* ---- hold-out ---- */

static void held_out_stay_out(void **state)
{
    (void)state;
    int nval = data_concepts(set, DATA_VAL);
    assert_true(nval >= 2);
    for (int i = 1; i < nval; i++) assert_true(strcmp(data_concept(set, DATA_VAL, i - 1), data_concept(set, DATA_VAL, i)) < 0);
    for (int i = 0; i < nval; i++) {
        assert_true(name_held_out(data_concept(set, DATA_VAL, i)));
        data_sample s;
        assert_int_equal(make(NULL, DATA_SUBJECT, DATA_VAL, 9, (uint64_t)i, 32, &s, NULL), DREAMO_OK);
        assert_string_equal(s.subject, data_concept(set, DATA_VAL, i));
        data_sample_free(&s);
    }
    for (uint64_t i = 0; i < 200; i++) {
        data_sample s;
        assert_int_equal(make(NULL, i % 2 ? DATA_T2I : DATA_SUBJECT, DATA_TRAIN, 9, i, 32, &s, NULL), DREAMO_OK);
        for (int k = 0; k < nval; k++) assert_string_not_equal(s.subject, data_concept(set, DATA_VAL, k));
        data_sample_free(&s);
    }
}

/* ---- words ---- */

static void phrases(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        { "hot dog", "a hot dog" }, { "umbrella", "an umbrella" }, { "unicorn", "a unicorn" }, { "hourglass", "an hourglass" },
        { "chopsticks", "chopsticks" }, { "glass of milk", "a glass of milk" }, { "cactus", "a cactus" }, { "compass", "a compass" },
        { "sun", "the sun" }, { "spaghetti", "spaghetti" }, { "bowl with fruits", "a bowl with fruits" }, { "ewe", "a ewe" },
        { "face savoring food", "a face savoring food" }, { "clinking glasses", "clinking glasses" } };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char out[96];
        name_phrase(good[i][0], out, sizeof out);
        assert_string_equal(out, good[i][1]);
    }
    char out[64];
    assert_true(name_clean("Pi\303\261ata", out, sizeof out));
    assert_string_equal(out, "pinata");
    assert_true(name_clean("woman\342\200\231s  hat (red)", out, sizeof out));
    assert_string_equal(out, "woman's hat");
    assert_false(name_clean("\346\274\242", out, sizeof out));
    name_slug("woman's hat", out, sizeof out);
    assert_string_equal(out, "womans-hat");
}

static void scene_phrases(void **state)
{
    (void)state;
    char out[96];
    int n = 0, orange = 0;
    for (; scene_phrase_at(n, out, sizeof out); n++) {
        assert_null(strchr(out, '%'));
        assert_null(strstr(out, "a orange"));
        orange += strstr(out, "an orange wall") != NULL;
    }
    assert_true(n > 100);
    assert_int_equal(orange, 3); /* in a room, by a table, on tiles */
}

/* ---- writing and reading folders ---- */

static void pack_and_open(void **state)
{
    (void)state;
    enum { SIDE = 60, N = 3 };
    static const char *const names[N] = { "red disc", "blue disc", "green disc" };
    asset assets[N] = { 0 };
    unsigned char *picture = mem_alloc(SIDE * SIDE * 4);
    for (int n = 0; n < N; n++) {
        assets[n].yaws = assets[n].pitches = 1;
        strcpy(assets[n].concept, names[n]);
        name_phrase(names[n], assets[n].phrase, sizeof assets[n].phrase);
        strcpy(assets[n].set, "drawn");
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                bool in = (x - 29.5) * (x - 29.5) + (y - 29.5) * (y - 29.5) < 20 * 20;
                memcpy(picture + 4 * (y * SIDE + x), (unsigned char[4]){ n == 0 ? 220 : 30, n == 2 ? 220 : 30, y > 29 ? 40 : 200, in ? 255 : 0 }, 4);
            }
        assert_int_equal(asset_trim(&assets[n], picture, SIDE, NULL), DREAMO_OK);
        assert_null(assets[n].refused);
        assert_int_equal(assets[n].width, ASSET_SIDE);
        assert_int_equal(assets[n].height, ASSET_SIDE);
        double cover = 0; /* a disc covers pi/4 of its square */
        for (int i = 0; i < ASSET_SIDE * ASSET_SIDE; i++) cover += assets[n].rgba[4 * i + 3] / 255.0;
        assert_true(fabs(cover / (ASSET_SIDE * ASSET_SIDE) - 0.785398) < 0.01);
    }
    asset_source source = { "drawn", "none", "1", "CC0-1.0", "this test" };
    assert_int_equal(pack_write("packed", &(pack_lists){ .nassets = N, .nsources = 1, .assets = assets, .sources = &source }, NULL), DREAMO_OK);
    data_set *d;
    assert_int_equal(data_open("packed", &d, NULL), DREAMO_OK);
    assert_int_equal(data_subjects(d, DATA_TRAIN) + data_subjects(d, DATA_VAL), N);
    data_close(d);
    assert_int_equal(dreamo_dataset_check("packed", NULL, NULL, NULL), DREAMO_OK);
    dreamo_dataset_stats stats;
    assert_int_equal(dreamo_dataset_count("packed", &stats, NULL), DREAMO_OK);
    assert_int_equal(stats.subjects, N);

    /* one pixel changed: the hash says so */
    char *bytes;
    size_t nbytes;
    assert_int_equal(file_read("packed/assets.safetensors", 1 << 20, &bytes, &nbytes, NULL), DREAMO_OK);
    bytes[nbytes - 5] ^= 1;
    assert_int_equal(file_replace("packed/assets.safetensors", bytes, nbytes, NULL), DREAMO_OK);
    dreamo_error err = { 0 };
    assert_int_equal(dreamo_dataset_check("packed", NULL, NULL, &err), DREAMO_DIFFERS);
    mem_free(bytes);
    mem_free(picture);
    for (int n = 0; n < N; n++) asset_free(&assets[n]);
}

static void judged(void **state)
{
    (void)state;
    enum { SIDE = 96 };
    unsigned char *p = mem_calloc(SIDE * SIDE, 4);
    asset a = { .yaws = 1, .pitches = 1 };
    assert_int_equal(asset_trim(&a, p, SIDE, NULL), DREAMO_OK);
    assert_string_equal(a.refused, "empty");
    for (int i = 0; i < SIDE * SIDE; i++) memcpy(p + 4 * i, (unsigned char[4]){ (unsigned char)i, 20, 20, 255 }, 4);
    a = (asset){ .yaws = 1, .pitches = 1 };
    assert_int_equal(asset_trim(&a, p, SIDE, NULL), DREAMO_OK);
    assert_string_equal(a.refused, "fills its rectangle");
    asset_free(&a);
    for (int i = 0; i < SIDE * SIDE; i++) p[4 * i + 3] = i % SIDE > 40 && i % SIDE < 50 ? 255 : 0;
    a = (asset){ .yaws = 1, .pitches = 1 };
    assert_int_equal(asset_trim(&a, p, SIDE, NULL), DREAMO_OK);
    assert_string_equal(a.refused, "too thin");
    asset_free(&a);
    mem_free(p);
}

/* One change to the manifest at a time: each is refused with its reason. */
static void broken_manifests(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *says; } breaks[] = {
        { "dreamo-assets", "other-assets", "format" }, { "\"version\": 2", "\"version\": 3", "version" }, { "\"subjects\": [", "\"subjects\": 3, \"x\": [", "subjects" },
        { "\"tensor\": \"s000000\"", "\"tensor\": \"nobody\"", "nobody" }, { "\"tensor\": \"s000000\"", "\"tensor\": \"s000001\"", "twice" },
        { "\"yaws\": 1", "\"yaws\": 3", "views" }, { "\"yaws\": 1", "\"yaws\": 0", "yaws" }, { "\"yaws\": 1", "\"yaws\": 1e99", "yaws" },
        { "\"mean\": [", "\"mean\": [ 999, ", "mean" }, { "\"concept\": \"", "\"concept\": \"\", \"unused\": \"", "concept" },
        { "\"held_out\": false", "\"held_out\": \"no\"", "held_out" }, { "{", "[", "" } };
    char *text, *path = mem_printf("%s/assets.json", folder), *weights = mem_printf("%s/assets.safetensors", folder), *bytes;
    size_t nbytes, nweights;
    assert_int_equal(file_read(path, 1 << 20, &text, &nbytes, NULL), DREAMO_OK);
    assert_int_equal(file_read(weights, 1 << 20, &bytes, &nweights, NULL), DREAMO_OK);
    assert_int_equal(folder_make("broken", NULL), DREAMO_OK);
    scratch_write("broken/assets.safetensors", bytes, nweights);
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        char *at = strstr(text, breaks[i].from);
        assert_non_null(at);
        char *changed = mem_printf("%.*s%s%s", (int)(at - text), text, breaks[i].to, at + strlen(breaks[i].from));
        scratch_write("broken/assets.json", changed, strlen(changed));
        data_set *d;
        dreamo_error err = { 0 };
        assert_int_equal(data_open("broken", &d, &err), DREAMO_FORMAT);
        assert_null(d);
        assert_non_null(strstr(err.message, breaks[i].says));
        mem_free(changed);
    }
    size_t live = mem_live();
    for (size_t n = 0; n < nbytes - 2; n += 97) { /* cut anywhere */
        scratch_write("broken/assets.json", text, n);
        data_set *d;
        assert_int_equal(data_open("broken", &d, NULL), DREAMO_FORMAT);
    }
    assert_int_equal(mem_live(), live);
    data_set *d;
    assert_int_equal(data_open("nowhere", &d, NULL), DREAMO_NOT_FOUND);
    mem_free(text);
    mem_free(bytes);
    mem_free(path);
    mem_free(weights);
}

/* Every allocation fails once: DREAMO_MEMORY, and nothing is lost. */
static void no_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    int failures = 0;
    for (long nth = 1;; nth++) {
        data_set *d;
        data_sample s = { 0 };
        mem_fail_at(nth);
        dreamo_status status = data_open(folder, &d, NULL);
        if (!status) status = data_sample_make(d, NULL, &(data_request){ DATA_SUBJECT, DATA_TRAIN, 1, 1, 32, 32, 0 }, &s, NULL);
        mem_fail_at(0);
        data_sample_free(&s);
        data_close(d);
        assert_int_equal(mem_live(), live);
        if (!status) break;
        assert_int_equal(status, DREAMO_MEMORY);
        failures++;
    }
    assert_true(failures > 20);
}

static void sheet_and_captions(void **state)
{
    (void)state;
    dreamo_sheet_options o;
    dreamo_sheet_options_init(&o);
    o.folder = folder, o.path = "sheet.png", o.count = 5, o.columns = 2, o.side = 32, o.zoom = 1;
    assert_int_equal(dreamo_dataset_show(&o, NULL), DREAMO_OK);
    bitmap b;
    assert_int_equal(image_read("sheet.png", &b, NULL, 0, NULL), DREAMO_OK);
    assert_int_equal(b.width, 4 + 2 * (3 * 32 + 4));
    assert_int_equal(b.height, 4 + 3 * (32 + 4));
    bitmap_free(&b);
    char *text;
    size_t nbytes;
    int lines = 0;
    assert_int_equal(file_read("sheet.png.txt", 1 << 16, &text, &nbytes, NULL), DREAMO_OK);
    for (size_t i = 0; i < nbytes; i++) lines += text[i] == '\n';
    assert_int_equal(lines, 5);
    mem_free(text);
    assert_int_equal(dreamo_dataset_show(&o, NULL), DREAMO_IO); /* there already */

    assert_int_equal(dreamo_dataset_captions(folder, "captions.txt", NULL), DREAMO_OK);
    assert_int_equal(file_read("captions.txt", 1 << 26, &text, &nbytes, NULL), DREAMO_OK);
    for (uint64_t i = 0; i < 12; i++) { /* whatever word a sample says is in it */
        data_sample s;
        char *rest;
        assert_int_equal(make(NULL, i % 2 ? DATA_T2I : DATA_SUBJECTS, DATA_TRAIN, 2, i, 16, &s, NULL), DREAMO_OK);
        for (char *word = strtok_r(s.caption, " ,.", &rest); word; word = strtok_r(NULL, " ,.", &rest)) assert_non_null(strstr(text, word));
        data_sample_free(&s);
    }
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_as_ever), cmocka_unit_test(threads_agree), cmocka_unit_test(size_of_subject),
        cmocka_unit_test(same_size_is_a_shift), cmocka_unit_test(every_kind_is_a_shift),
        cmocka_unit_test(mask_is_the_difference), cmocka_unit_test(area_mean_is_kept), cmocka_unit_test(without_reference),
        cmocka_unit_test(every_kind), cmocka_unit_test(masks_of_people), cmocka_unit_test(styles_are_held_out), cmocka_unit_test(kinds_have_names),
        cmocka_unit_test(parameters_are_checked), cmocka_unit_test(held_out_stay_out), cmocka_unit_test(phrases),
        cmocka_unit_test(scene_phrases), cmocka_unit_test(pack_and_open), cmocka_unit_test(judged),
        cmocka_unit_test(broken_manifests), cmocka_unit_test(no_memory), cmocka_unit_test(sheet_and_captions),
    };
    return cmocka_run_group_tests(tests, open_set, close_set);
}
