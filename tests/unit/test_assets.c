/* test_assets.c - people and garments: cut from sheets, chosen from photographs, packed, opened, hashed; broken folders are refused.
 *
 * The sheet of a person is written here with known shapes, so that sizes and mattes are known by arithmetic. */
#include <string.h>
#include <zlib.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/assets.h"
#include "data/names.h"
#include "data/source/garments.h"
#include "data/source/pack.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

static const char folder[] = TEST_DATA "/assets";

/* ---- reading ---- */

static void reads_people_and_garments(void **state)
{
    (void)state;
    data_set *d;
    assert_int_equal(data_open(folder, &d, NULL), DREAMO_OK);
    assert_int_equal(d->npeople, 11);
    assert_int_equal(d->nfaces[DATA_TRAIN], 6);
    assert_int_equal(d->nfaces[DATA_VAL], 4);
    assert_int_equal(d->nodd_faces, 1);
    assert_string_equal(d->people[d->odd_faces[0]].system, "croodles");
    assert_int_equal(d->nodd, 1);
    assert_string_equal(d->subjects[d->odd[0]].set, "streamline-emojis");
    for (int i = 1; i < d->npeople; i++) {
        int c = strcmp(d->people[i - 1].system, d->people[i].system);
        assert_true(c < 0 || (c == 0 && strcmp(d->people[i - 1].twin, d->people[i].twin) < 0));
    }
    const person *p = &d->people[0];
    assert_string_equal(p->system, "avataaars");
    assert_int_equal(p->nvariants, 2);
    assert_true(p->width == 48 || p->height == 48);
    int twins = 0;
    for (int i = 0; i < d->npeople; i++) /* clothes are where a person is, and at the foot of it */
        for (int v = 0; v < d->people[i].nvariants; v++) {
            const person *q = &d->people[i];
            size_t each = (size_t)q->width * (size_t)q->height, upper = 0, lower = 0;
            const unsigned char *matte = q->matte + each * (size_t)v, *rgba = q->rgba + 4 * each * (size_t)v;
            for (size_t k = 0; k < each; k++) {
                assert_true(matte[k] <= rgba[4 * k + 3]);
                *(k < each / 2 ? &upper : &lower) += matte[k];
            }
            assert_true(*q->variants[v].clothes ? lower > 10 * each : !lower);
            assert_true(upper * 20 <= lower);
            twins += !strcmp(q->twin, p->twin) && !strcmp(q->words, p->words);
        }
    assert_int_equal(twins, 4); /* two ways of drawing, two variants */
    assert_int_equal(d->ngarments, 6);
    assert_int_equal(d->nworn[DATA_TRAIN], 3);
    for (int i = 0; i < 3; i++) {
        const garment *g = &d->garments[d->worn[DATA_TRAIN][i]], *h = &d->garments[d->worn[DATA_VAL][i]];
        assert_int_equal(g->count, 6);
        assert_int_equal(h->count, 3);
        assert_string_equal(g->name, h->name);
        assert_int_equal(g->part, !strcmp(g->name, "dress") ? GARMENT_WHOLE : !strcmp(g->name, "trousers") ? GARMENT_BOTTOM : GARMENT_TOP);
    }
    data_close(d);
    dreamo_dataset_stats s;
    assert_int_equal(dreamo_dataset_count(folder, &s, NULL), DREAMO_OK);
    assert_int_equal(s.people, 11);
    assert_int_equal(s.held_out_people, 5);
    assert_int_equal(s.variants, 22);
    assert_int_equal(s.systems, 3);
    assert_int_equal(s.garments, 27);
    assert_int_equal(s.held_out_garments, 9);
    assert_int_equal(s.flat + s.solid, s.subjects);
}

/* The test folder with a text changed in its manifest, and the byte at `flip` from its end of the tensors' file, as folder "changed". */
static void change(const char *from, const char *to, size_t flip)
{
    char *text, *bytes, *path = mem_printf("%s/assets.json", folder), *weights = mem_printf("%s/assets.safetensors", folder);
    size_t nbytes, nweights;
    assert_int_equal(file_read(path, 1 << 20, &text, &nbytes, NULL), DREAMO_OK);
    assert_int_equal(file_read(weights, 1 << 20, &bytes, &nweights, NULL), DREAMO_OK);
    char *at = strstr(text, from);
    assert_non_null(at);
    char *changed = mem_printf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    if (flip) bytes[nweights - flip] ^= 1;
    assert_int_equal(folder_make("changed", NULL), DREAMO_OK);
    scratch_write("changed/assets.json", changed, strlen(changed));
    scratch_write("changed/assets.safetensors", bytes, nweights);
    mem_free(changed);
    mem_free(text);
    mem_free(bytes);
    mem_free(path);
    mem_free(weights);
}

static void broken_manifests(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *says; } breaks[] = {
        { "\"people\": [", "\"people\": 7, \"x\": [", "people: not a list" }, { "\"garments\": [", "\"garments\": {}, \"x\": [", "garments: not a list" },
        { "\"people\": [", "\"people\": [ 5, ", "people[0]: not an object" }, { "\"garments\": [", "\"garments\": [ [], ", "garments[0]: not an object" },
        { "\"tensor\": \"p000000\"", "\"tensor\": \"nobody\"", "nobody" }, { "\"tensor\": \"p000001\"", "\"tensor\": \"p000000\"", "twice" },
        { "\"matte\": \"m000000\"", "\"matte\": \"m000010\"", "another size" }, { "\"matte\": \"m000000\"", "\"matte\": \"p000000\"", "twice" },
        { "\"matte\": \"m000000\"", "\"matte\": 3", "matte" }, { "\"matte\": \"m000000\"", "\"matte\": \"s000000\"", "twice" },
        { "\"tensor\": \"p000000\"", "\"tensor\": \"m000000\"", "m000000" }, { "\"system\": \"avataaars\"", "\"system\": \"\"", "system" },
        { "\"noun\": \"a man\"", "\"noun\": \"a man whose noun goes on for longer than any\"", "noun" }, { "\"words\": \"a man", "\"words\": 4, \"x\": \"", "words" },
        { "\"variants\": [", "\"variants\": [ {}, ", "3 variants" }, { "\"variants\": [", "\"variants\": [], \"x\": [", "0 variants" },
        { "\"clothes\": \"", "\"clothes\": [], \"x\": \"", "clothes" }, { "\"expression\": \"", "\"expression\": false, \"x\": \"", "expression" },
        { "\"part\": \"top\"", "\"part\": \"hat\"", "part \"hat\"" }, { "\"tensor\": \"g000000\"", "\"tensor\": \"m000000\"", "twice" },
        { "\"tensor\": \"g000000\"", "\"tensor\": \"s000000\"", "twice" }, { "\"name\": \"t-shirt\"", "\"name\": \"\"", "name" } };
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        change(breaks[i].from, breaks[i].to, 0);
        data_set *d;
        dreamo_error err = { 0 };
        size_t live = mem_live();
        assert_int_equal(data_open("changed", &d, &err), DREAMO_FORMAT);
        if (!strstr(err.message, breaks[i].says)) fail_msg("\"%s\" does not say \"%s\"", err.message, breaks[i].says);
        assert_int_equal(mem_live(), live);
    }
}

/* A twin may not be trained on in one way of drawing and held out in another. */
static void twins_stay_together(void **state)
{
    (void)state;
    char *text, *path = mem_printf("%s/assets.json", folder);
    size_t nbytes;
    assert_int_equal(file_read(path, 1 << 20, &text, &nbytes, NULL), DREAMO_OK);
    char *person = strstr(text, "\"tensor\": \"p000000\""), *at = strstr(person, "\"held_out\": false");
    char *from = mem_printf("%.*s", (int)(at - person) + 17, person), *to = mem_printf("%.*s\"held_out\": true", (int)(at - person), person);
    change(from, to, 0);
    data_set *d;
    dreamo_error err = { 0 };
    assert_int_equal(data_open("changed", &d, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "is held out in one system and not in another"));
    mem_free(from);
    mem_free(to);
    mem_free(text);
    mem_free(path);
}

/* One byte of anything: tensors lie in the order of their names, garments first, then mattes, people, subjects. */
static void hashes(void **state)
{
    (void)state;
    data_set *d;
    assert_int_equal(data_open(folder, &d, NULL), DREAMO_OK);
    const unsigned char *end = d->file.map.data + d->file.map.nbytes;
    const size_t flips[] = { 1, (size_t)(end - d->people[3].rgba) - 10, (size_t)(end - d->people[7].matte) - 5, (size_t)(end - d->garments[2].grey) - 800 };
    data_close(d);
    change("{", "{", 0);
    assert_int_equal(dreamo_dataset_check("changed", NULL, NULL, NULL), DREAMO_OK);
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        change("{", "{", flips[i]);
        dreamo_error err = { 0 };
        assert_int_equal(dreamo_dataset_check("changed", NULL, NULL, &err), DREAMO_DIFFERS);
        assert_non_null(strstr(err.message, "sha256"));
    }
}

/* ---- people from sheets ---- */

/* Two variants in cells of 100: a head (a square of 40 at (30, 20)) over clothes (60 wide, 30 high at (20, 60), the second 10 lower), with
 * a shade of a tenth on their left half. */
static char *sheet_of(int cells_down)
{
    static const char *const colour[3] = { "#3060c0", "#000000", "#ffffff" };
    char *svg = mem_printf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 200 %d\">", 100 * cells_down);
    for (int row = 0; row < cells_down; row++)
        for (int i = 0; i < 2; i++) {
            int x = 100 * i, y = 100 * row;
            char *more = mem_printf("%s<rect x=\"%d\" y=\"%d\" width=\"40\" height=\"40\" fill=\"#e0b090\"/><rect x=\"%d\" y=\"%d\" width=\"60\" height=\"%d\" fill=\"%s\"/>"
                                    "<rect x=\"%d\" y=\"%d\" width=\"30\" height=\"%d\" fill=\"#000000\" fill-opacity=\"0.1\"/>",
                                    svg, x + 30, y + 20, x + 20, y + 60 + 10 * i, 30 - 10 * i, colour[row], x + 20, y + 60 + 10 * i, 30 - 10 * i);
            mem_free(svg);
            svg = more;
        }
    char *whole = mem_printf("%s</svg>", svg);
    mem_free(svg);
    return whole;
}

#define SYSTEMS "\"systems\": [ { \"system\": \"squares\", \"package\": \"none\", \"version\": \"1\", \"licence\": \"CC0\", \"author\": \"this test\" } ]"
#define PERSON(file, twin, identity, matte, variants) \
    "{ \"file\": \"" file "\", \"system\": \"squares\", \"twin\": \"" twin "\", \"identity\": \"" identity "\", \"noun\": \"a person\", \"words\": \"a square person\", \"matte\": " matte ", \"variants\": [" variants "] }"
#define TWO "{ \"expression\": \"\", \"clothes\": \"a blue box\" }, { \"expression\": \"calm\", \"clothes\": \"a low blue box\" }"

static void write_people(const char *people, const char *systems)
{
    char *text = mem_printf("{ \"format\": \"dreamo-people\", \"version\": 1, %s, \"people\": [ %s ] }", systems, people);
    assert_int_equal(folder_make("people", NULL), DREAMO_OK);
    scratch_write("people/people.json", text, strlen(text));
    mem_free(text);
}

static void write_sheet(const char *path, int cells_down)
{
    char *svg = sheet_of(cells_down);
    scratch_write(path, svg, strlen(svg));
    mem_free(svg);
}

static void cuts_sheets(void **state)
{
    (void)state;
    people_source s;
    write_people(PERSON("a.svg", "", "one", "true", TWO) ", " PERSON("b.svg", "", "two", "false", TWO) ", " PERSON("c.svg", "", "three", "true", TWO) ", "
                 PERSON("none.svg", "", "four", "true", TWO) ", " PERSON("text.svg", "", "five", "true", TWO), SYSTEMS);
    write_sheet("people/a.svg", 3);
    write_sheet("people/b.svg", 1);
    write_sheet("people/c.svg", 2);
    scratch_write("people/text.svg", "no drawing", 10);
    assert_int_equal(people_open("people", &s, NULL), DREAMO_OK);
    assert_int_equal(s.nitems, 5);
    dreamo_error err = { 0 };
    if (people_draw(&s, 0, &err)) fail_msg("%s", err.message);
    const figure *f = &s.items[0];
    assert_null(f->refused);
    assert_int_equal(f->height, FIGURE_SIDE);            /* from 20 to 90 of both */
    assert_int_equal(f->width, FIGURE_SIDE * 60 / 70);   /* from 20 to 80 */
    size_t each = (size_t)f->width * (size_t)f->height;
    for (int v = 0; v < 2; v++) {
        const unsigned char *matte = f->rgba + 4 * figure_pixels(f) + each * (size_t)v, *rgba = f->rgba + 4 * each * (size_t)v;
        int high = v ? 20 : 30;
        for (int y = 0; y < f->height; y++) {
            double at = 20 + (y + 0.5) * 70 / FIGURE_SIDE; /* in the cell */
            if (at > 89 || (at > 89 - high && at < 91 - high)) continue; /* mixed with what is beyond */
            for (int x = 2; x < f->width - 2; x++) {
                const unsigned char *p = rgba + 4 * (y * f->width + x);
                bool clothes = at > 90 - high;
                assert_int_equal(matte[y * f->width + x], clothes ? 255 : 0); /* the shade is clothes, too */
                if (clothes && x > f->width / 2 + 2) assert_memory_equal(p, ((unsigned char[4]){ 0x30, 0x60, 0xc0, 255 }), 4);
            }
        }
    }
    assert_int_equal(people_draw(&s, 1, &err), DREAMO_OK); /* one row, and clothes promised */
    assert_string_equal(s.items[1].refused, "its clothes are not seen");
    err = (dreamo_error){ 0 };
    assert_int_equal(people_draw(&s, 2, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "squares"));
    assert_int_equal(people_draw(&s, 3, &err), DREAMO_NOT_FOUND);
    assert_int_equal(people_draw(&s, 4, &err), DREAMO_FORMAT);
    people_close(&s);
}

static void broken_people(void **state)
{
    (void)state;
    static const struct { const char *people, *systems, *says; } breaks[] = {
        { PERSON("../a.svg", "", "one", "true", TWO), SYSTEMS, "not a name in this folder" }, { PERSON("a.svg", "", "", "true", TWO), SYSTEMS, "identity" },
        { PERSON("a.svg", "", "one", "3", TWO), SYSTEMS, "matte" }, { PERSON("a.svg", "", "one", "true", ""), SYSTEMS, "0 variants" },
        { PERSON("a.svg", "", "one", "true", TWO "," TWO "," TWO "," TWO "," TWO), SYSTEMS, "10 variants" }, { PERSON("a.svg", "", "one", "true", "7"), SYSTEMS, "expression" },
        { PERSON("a.svg", "", "one\\u0007", "true", TWO), SYSTEMS, "ASCII" }, { PERSON("a.svg", "", "one", "true", TWO), "\"systems\": []", "0 systems" },
        { PERSON("a.svg", "", "one", "true", TWO), "\"systems\": [ { \"system\": \"circles\", \"package\": \"p\", \"version\": \"1\", \"licence\": \"l\", \"author\": \"a\" } ]", "squares" },
        { "5", SYSTEMS, "people[0]" }, { "", SYSTEMS, "0 people" } };
    size_t live = mem_live();
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        people_source s;
        dreamo_error err = { 0 };
        write_people(breaks[i].people, breaks[i].systems);
        assert_int_equal(people_open("people", &s, &err), DREAMO_FORMAT);
        if (!strstr(err.message, breaks[i].says)) fail_msg("\"%s\" does not say \"%s\"", err.message, breaks[i].says);
        assert_int_equal(mem_live(), live);
    }
}

/* ---- garments ---- */

/* An IDX file, gzipped: `says` items announced, n given. */
static void write_idx(const char *path, int magic, int says, int n, int side, const unsigned char *items)
{
    gzFile f = gzopen(path, "wb");
    unsigned char head[16] = { 0, 0, (unsigned char)(magic >> 8), (unsigned char)magic, 0, 0, (unsigned char)(says >> 8), (unsigned char)says, 0, 0, 0, (unsigned char)side, 0, 0, 0, (unsigned char)side };
    bool pictures = magic == 0x803;
    assert_int_equal(gzwrite(f, head, pictures ? 16 : 8), pictures ? 16 : 8);
    unsigned nbytes = (unsigned)(pictures ? n * side * side : n);
    assert_int_equal(gzwrite(f, items, nbytes), (int)nbytes);
    gzclose(f);
}

enum { N = 12 };

/* Twelve pictures: a lit square of a side and brightness each, labels 0 (t-shirt), 3 (dress), 9 (a boot). */
static void write_wardrobe(void)
{
    static unsigned char picture[N][28 * 28], label[N];
    for (int i = 0; i < N; i++) {
        int side = i == 1 ? 8 : 20, light = i == 2 ? 60 : 150 + i;
        label[i] = (unsigned char)(i < 6 ? 0 : i < 10 ? 3 : 9);
        for (int y = 0; y < 28; y++)
            for (int x = 0; x < 28; x++) picture[i][28 * y + x] = (unsigned char)(x < side && y < side ? light : 0);
    }
    assert_int_equal(folder_make("mnist", NULL), DREAMO_OK);
    write_idx("mnist/train-images-idx3-ubyte.gz", 0x803, N, N, 28, picture[0]);
    write_idx("mnist/train-labels-idx1-ubyte.gz", 0x801, N, N, 28, label);
    write_idx("mnist/t10k-images-idx3-ubyte.gz", 0x803, 4, 4, 28, picture[5]);
    write_idx("mnist/t10k-labels-idx1-ubyte.gz", 0x801, 4, 4, 28, label + 5);
}

static void chooses_garments(void **state)
{
    (void)state;
    garment_source s;
    write_wardrobe();
    assert_int_equal(garments_open("mnist", 30, &s, NULL), DREAMO_OK);
    assert_int_equal(s.dark, 1);
    assert_int_equal(s.small, 1);
    int found = 0;
    for (int i = 0; i < 2 * WARDROBE_CLASSES; i++) {
        const wardrobe_class *c = &s.item[i];
        if (!c->count) continue;
        found++;
        bool shirt = !strcmp(c->name, "t-shirt");
        assert_int_equal(c->count, c->held_out ? (shirt ? 1 : 3) : 4);
        assert_string_equal(c->part, shirt ? "top" : "whole");
        assert_int_equal(c->grey[0], c->held_out ? (shirt ? 155 : 156) : shirt ? 150 : 156);
    }
    assert_int_equal(found, 4);
    garments_close(&s);
    assert_int_equal(garments_open("mnist", 3, &s, NULL), DREAMO_OK); /* no more than asked for */
    for (int i = 0; i < 2 * WARDROBE_CLASSES; i++) assert_true(s.item[i].count <= (s.item[i].held_out ? 1 : 3));
    garments_close(&s);
}

static void broken_garments(void **state)
{
    (void)state;
    static const unsigned char nothing[3 * 28 * 28];
    garment_source s;
    dreamo_error err = { 0 };
    size_t live = mem_live();
    char *bytes;
    size_t nbytes;
    write_wardrobe();
    assert_int_equal(file_read("mnist/train-images-idx3-ubyte.gz", 1 << 20, &bytes, &nbytes, NULL), DREAMO_OK);
    for (size_t n = 0; n < nbytes; n += 7) { /* cut anywhere */
        scratch_write("mnist/train-images-idx3-ubyte.gz", bytes, n);
        assert_int_equal(garments_open("mnist", 30, &s, &err), DREAMO_FORMAT);
    }
    mem_free(bytes);
    write_idx("mnist/train-images-idx3-ubyte.gz", 0x801, 3, 3, 28, nothing);
    assert_int_equal(garments_open("mnist", 30, &s, &err), DREAMO_FORMAT);
    write_idx("mnist/train-images-idx3-ubyte.gz", 0x803, 3, 3, 27, nothing);
    assert_int_equal(garments_open("mnist", 30, &s, &err), DREAMO_FORMAT);
    write_idx("mnist/train-images-idx3-ubyte.gz", 0x803, 0, 0, 28, nothing);
    assert_int_equal(garments_open("mnist", 30, &s, &err), DREAMO_LIMIT);
    write_idx("mnist/train-images-idx3-ubyte.gz", 0x803, 2, 3, 28, nothing); /* more than announced */
    assert_int_equal(garments_open("mnist", 30, &s, &err), DREAMO_FORMAT);
    write_idx("mnist/train-images-idx3-ubyte.gz", 0x803, 4, 3, 28, nothing); /* fewer */
    assert_int_equal(garments_open("mnist", 30, &s, &err), DREAMO_FORMAT);
    write_idx("mnist/train-images-idx3-ubyte.gz", 0x803, 3, 3, 28, nothing); /* not as many as labels */
    err = (dreamo_error){ 0 };
    assert_int_equal(garments_open("mnist", 30, &s, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "3 pictures and 12 labels"));
    assert_int_equal(garments_open("nowhere", 30, &s, &err), DREAMO_NOT_FOUND);
    assert_int_equal(mem_live(), live);
}

/* ---- packed ---- */

/* Sheets and photographs through to samples' lists; whoever has one identity is in one split. */
static void pack_and_open(void **state)
{
    (void)state;
    people_source p;
    garment_source g;
    char who[8][64], all[8192] = "";
    for (int i = 0; i < 8; i++) {
        snprintf(who[i], sizeof who[i], "p%d.svg", i);
        char *one = mem_printf("%s{ \"file\": \"p%d.svg\", \"system\": \"%s\", \"twin\": \"twin %d\", \"identity\": \"twin %d\", \"noun\": \"a person\", \"words\": \"\\u0061 person\", "
                               "\"matte\": true, \"variants\": [" TWO "] }", i ? ", " : "", i, i % 2 ? "squares" : "boxes", i / 2 + 35, i / 2 + 35);
        strcat(all, one);
        mem_free(one);
    }
    write_people(all, "\"systems\": [ { \"system\": \"squares\", \"package\": \"none\", \"version\": \"1\", \"licence\": \"CC0\", \"author\": \"this test\" }, "
                      "{ \"system\": \"boxes\", \"package\": \"none\", \"version\": \"1\", \"licence\": \"CC0\", \"author\": \"this test\" } ]");
    for (int i = 0; i < 8; i++) {
        char *path = path_join("people", who[i]);
        write_sheet(path, 3);
        mem_free(path);
    }
    write_wardrobe();
    assert_int_equal(people_open("people", &p, NULL), DREAMO_OK);
    assert_int_equal(garments_open("mnist", 30, &g, NULL), DREAMO_OK);
    for (int i = 0; i < 8; i++) assert_int_equal(people_draw(&p, i, NULL), DREAMO_OK);
    unsigned char dot[4 * 4 * 4];
    memset(dot, 200, sizeof dot);
    asset thing = { .concept = "dot", .phrase = "a dot", .set = "drawn", .yaws = 1, .pitches = 1, .width = 4, .height = 4, .rgba = dot };
    asset_source source = { "drawn", "none", "1", "CC0", "this test" };
    pack_lists lists = { 1, 8, 2 * WARDROBE_CLASSES, 1, &thing, p.items, g.item, &source };
    assert_int_equal(pack_write("packed", &lists, NULL), DREAMO_OK);
    data_set *d;
    assert_int_equal(data_open("packed", &d, NULL), DREAMO_OK);
    assert_int_equal(dreamo_dataset_check("packed", NULL, NULL, NULL), DREAMO_OK);
    assert_int_equal(d->npeople, 8);
    assert_int_equal(d->ngarments, 4);
    int held = 0;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(d->people[i].held_out, name_held_out(d->people[i].twin));
        held += d->people[i].held_out;
    }
    assert_int_equal(held, 2); /* twin 38, in both systems */
    data_close(d);
    people_close(&p);
    garments_close(&g);
}

/* Folders of the first version, subjects only, still open. */
static void first_version(void **state)
{
    (void)state;
    unsigned char dot[4 * 4 * 4];
    memset(dot, 200, sizeof dot);
    asset thing = { .concept = "dot", .phrase = "a dot", .set = "drawn", .yaws = 1, .pitches = 1, .width = 4, .height = 4, .rgba = dot };
    asset_source source = { "drawn", "none", "1", "CC0", "this test" };
    assert_int_equal(pack_write("old", &(pack_lists){ .nassets = 1, .nsources = 1, .assets = &thing, .sources = &source }, NULL), DREAMO_OK);
    json_t *m;
    assert_int_equal(json_read("old/assets.json", 1 << 20, &m, NULL), DREAMO_OK);
    json_object_set_new(m, "version", json_integer(1));
    json_object_del(m, "people");
    json_object_del(m, "garments");
    json_object_del(m, "held_out_styles");
    assert_int_equal(json_dump_file(m, "old/assets.json", 0), 0);
    json_decref(m);
    data_set *d;
    assert_int_equal(data_open("old", &d, NULL), DREAMO_OK);
    assert_int_equal(d->nsubjects, 1);
    assert_int_equal(d->npeople + d->ngarments + d->nodd, 0);
    data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_people_and_garments), cmocka_unit_test(broken_manifests), cmocka_unit_test(twins_stay_together), cmocka_unit_test(hashes),
        cmocka_unit_test(cuts_sheets), cmocka_unit_test(broken_people), cmocka_unit_test(chooses_garments), cmocka_unit_test(broken_garments),
        cmocka_unit_test(pack_and_open), cmocka_unit_test(first_version),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
