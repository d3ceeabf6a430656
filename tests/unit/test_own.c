/* test_own.c - pictures of one's own: the three forms give the same samples, each once an epoch, in the right sizes; split, pack and remove. */
#include <math.h>
#include "own_files.h"

enum { N = 5 };

static int make_folder(void **state)
{
    if (scratch_enter(state)) return -1;
    put_folder("own");
    return 0;
}

/* ---- composed samples as files ---- */

/* What is written and read again is what was drawn: targets, references, masks, words, tasks and slots. */
static void composed_come_back(void **state)
{
    (void)state;
    static const char *const kinds[] = { "subjects", "ids", "style", "tryon" };
    dreamo_export_options o;
    dreamo_error err = { 0 };
    dreamo_export_options_init(&o);
    o.data = TEST_DATA "/assets";
    o.out = "exported";
    o.kinds = "subjects ids, style tryon";
    o.held_out = true;
    o.count = 2;
    o.width = o.height = o.ref_side = 64;
    o.seed = 5;
    if (dreamo_dataset_export(&o, &err)) fail_msg("%s", err.message);
    assert_int_equal(dreamo_dataset_check("exported", NULL, NULL, &err), DREAMO_OK);
    data_set *from, *back = must_open("exported");
    if (data_open(o.data, &from, &err)) fail_msg("%s", err.message);
    for (int k = 0; k < 4; k++)
        for (uint64_t i = 0; i < 2; i++) {
            data_sample a, b;
            data_request q = { .split = DATA_VAL, .seed = 5, .index = i, .width = 64, .height = 64, .ref_side = 64 };
            assert_true(data_kind_find(kinds[k], &q.kind));
            if (data_sample_make(from, NULL, &q, &a, &err) || data_sample_make(back, NULL, &q, &b, &err)) fail_msg("%s", err.message);
            assert_int_equal(a.kind, b.kind);
            assert_string_equal(a.caption, b.caption);
            assert_memory_equal(a.target.data, b.target.data, 64 * 64 * 3);
            assert_int_equal(a.nrefs, b.nrefs);
            for (int r = 0; r < a.nrefs; r++) {
                const data_ref *x = &a.ref[r], *y = &b.ref[r];
                for (int j = 0; y->slot != x->slot && j < b.nrefs; j++) y = &b.ref[j]; /* those that are read lie in the order of their slots */
                assert_true(x->task == y->task && x->slot == y->slot && x->picture.width == y->picture.width && !x->mask == !y->mask);
                assert_memory_equal(x->picture.data, y->picture.data, (size_t)x->picture.width * (size_t)x->picture.height * 3);
                if (x->mask) assert_memory_equal(x->mask, y->mask, 64 * 64);
            }
            data_sample_free(&a);
            data_sample_free(&b);
        }
    data_close(from);
    data_close(back);
    assert_int_equal(dreamo_dataset_export(&o, &err), DREAMO_BUSY); /* nothing is written over */
    err = (dreamo_error){ 0 };
    o.out = "other";
    o.kinds = "subject dog";
    assert_int_equal(dreamo_dataset_export(&o, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "dog"));
    err = (dreamo_error){ 0 };
    o.kinds = "style, subject style"; /* the second time it would write over the first */
    assert_int_equal(dreamo_dataset_export(&o, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "\"style\" stands there twice"));
    assert_false(folder_exists("other"));
}

/* ---- order ---- */

static void order_is_a_permutation(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 1, 2, 3, 4, 5, 10, 63, 64, 65, 1000 };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint64_t n = sizes[k], same = 0, fixed = 0;
        char seen[1000] = { 0 };
        for (uint64_t i = 0; i < n; i++) {
            uint64_t at = own_order(n, 7, 3, i);
            assert_true(at < n);
            assert_false(seen[at]);
            seen[at] = 1;
            same += at == own_order(n, 7, 4, i);
            fixed += at == i;
            assert_int_equal(at, own_order(n, 7, 3, i));
        }
        if (n >= 63) assert_true(same < n / 4 && fixed < n / 4);
    }
    /* no list: far numbers cost nothing */
    assert_true(own_order((uint64_t)1 << 40, 1, 1, 12345) < (uint64_t)1 << 40);
}

/* Every place is as likely for every number: chi-squared over 6 numbers and 3,000 epochs, 25 degrees of freedom. */
static void order_is_even(void **state)
{
    (void)state;
    int count[6][6] = { { 0 } };
    for (uint64_t epoch = 0; epoch < 3000; epoch++)
        for (uint64_t i = 0; i < 6; i++) count[i][own_order(6, 1, epoch, i)]++;
    double chi = 0;
    for (int i = 0; i < 36; i++) chi += (count[i / 6][i % 6] - 500.0) * (count[i / 6][i % 6] - 500.0) / 500;
    assert_true(chi < 60); /* one in 10,000 */
}

static void each_once_an_epoch(void **state)
{
    (void)state;
    data_set *d = must_open("own");
    const own_set *o = (const own_set *)d;
    int n = o->count[DATA_TRAIN][DATA_ANY];
    assert_int_equal(n + o->count[DATA_VAL][DATA_ANY], N);
    assert_int_equal(o->count[DATA_VAL][DATA_ANY], 1);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        char words[N][64], held[64];
        for (int i = 0; i < n; i++) {
            data_request q = { DATA_ANY, DATA_TRAIN, 5, epoch * (uint64_t)n + (uint64_t)i, 32, 32, 0 };
            assert_int_equal(data_sample_words(d, &q, words[i], 64, NULL), DREAMO_OK);
            for (int k = 0; k < i; k++) assert_string_not_equal(words[i], words[k]);
        }
        for (uint64_t i = 0; i < 3; i++) { /* held out: in their order, again and again */
            assert_int_equal(data_sample_words(d, &(data_request){ DATA_ANY, DATA_VAL, 5, i, 32, 32, 0 }, held, 64, NULL), DREAMO_OK);
            for (int k = 0; k < n; k++) assert_string_not_equal(held, words[k]);
        }
    }
    data_close(d);
}

/* ---- sizes ---- */

/* Against all sizes that cannot grow in one direction. */
static void buckets_are_the_nearest(void **state)
{
    (void)state;
    rng r = rng_new(1, 1);
    for (int i = 0; i < 3000; i++) {
        int side = 16 + (int)rng_below(&r, 1009), w = 1 + (int)rng_below(&r, 4000), h = 1 + (int)rng_below(&r, 4000), bw, bh, tw, th;
        double best = 1e9, aspect = log((double)w / h);
        data_bucket(w, h, side, &bw, &bh);
        data_bucket(h, w, side, &tw, &th);
        assert_true(bw % 16 == 0 && bh % 16 == 0 && bw >= 16 && bh >= 16 && bw * bh <= side * side && bw <= 3 * bh && bh <= 3 * bw);
        assert_true(bw < 1.7321 * side && bh < 1.7321 * side);
        if (w != h) assert_true(tw == bh && th == bw);
        for (int x = 16; x <= 3 * side; x += 16) {
            int y = side * side / x / 16 * 16;
            if (y >= 16 && y <= x && x <= 3 * y) best = fmin(best, fmin(fabs(log((double)x / y) - aspect), fabs(log((double)y / x) - aspect)));
        }
        if (side >= 32) assert_true(fabs(log((double)bw / bh) - aspect) <= best + 1e-9);
    }
    static const int known[][5] = { { 1, 1, 1024, 1024, 1024 }, { 3, 2, 1024, 1248, 832 }, { 640, 960, 1024, 832, 1248 }, { 1, 1, 64, 64, 64 },
                                    { 3, 2, 64, 80, 48 }, { 100, 1, 512, 864, 288 }, { 1, 1, 72, 64, 64 } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int w, h;
        data_bucket(known[i][0], known[i][1], known[i][2], &w, &h);
        assert_int_equal(w, known[i][3]);
        assert_int_equal(h, known[i][4]);
    }
}

/* Stripes of known colours: what is cut off, and that the mask is cut alike. */
static void targets_are_cut_in_the_middle(void **state)
{
    (void)state;
    bitmap b;
    assert_int_equal(folder_make("cut", NULL), DREAMO_OK);
    assert_int_equal(bitmap_new(&b, 128, 64, 3, NULL), DREAMO_OK);
    for (int i = 0; i < 128 * 64; i++) memset(b.data + 3 * i, i % 128 < 32 ? 10 : i % 128 < 64 ? 255 : i % 128 < 96 ? 0 : 200, 3);
    assert_int_equal(image_write_png("cut/x.png", &b, NULL, 0, true, NULL), DREAMO_OK);
    assert_int_equal(image_write_png("cut/x.ref1.mask.png", &b, NULL, 0, true, NULL), DREAMO_OK);
    bitmap_free(&b);
    assert_int_equal(bitmap_new(&b, 10, 20, 3, NULL), DREAMO_OK);
    memset(b.data, 0, 600);
    assert_int_equal(image_write_png("cut/x.ref1.png", &b, NULL, 0, true, NULL), DREAMO_OK);
    bitmap_free(&b);
    put_text("cut/x.txt", "stripes");
    data_set *d = must_open("cut");
    assert_false(data_can(d, DATA_ANY, DATA_VAL)); /* one source only */
    data_sample s = must_make(d, (data_request){ DATA_SUBJECT, DATA_TRAIN, 1, 0, 64, 64, 32 });
    for (int i = 0; i < 64 * 64; i++) {
        assert_int_equal(s.target.data[3 * i], i % 64 < 32 ? 255 : 0);
        assert_int_equal(s.ref[0].mask[i], i % 64 < 32 ? 255 : 0);
    }
    for (int i = 0; i < 32 * 32; i++) assert_int_equal(s.ref[0].picture.data[3 * i], i % 32 >= 8 && i % 32 < 24 ? 0 : 255); /* on white, whole */
    data_sample_free(&s);
    s = must_make(d, (data_request){ DATA_ANY, DATA_TRAIN, 1, 9, 128, 64, 0 }); /* as it is */
    for (int i = 0; i < 128 * 64; i++) assert_int_equal(s.target.data[3 * i], i % 128 < 32 ? 10 : i % 128 < 64 ? 255 : i % 128 < 96 ? 0 : 200);
    assert_int_equal(s.ref[0].picture.width, 64);
    data_sample_free(&s);
    s = must_make(d, (data_request){ DATA_T2I, DATA_TRAIN, 1, 9, 32, 32, 0 });
    assert_int_equal(s.nrefs, 0);
    assert_int_equal(s.kind, DATA_T2I);
    data_sample_free(&s);
    data_close(d);
}

static void shapes_are_free_when_asked(void **state)
{
    (void)state;
    data_set *d = must_open("own");
    static const struct { int width, ref_side, target, reference; } asked[] = { { 64, 0, 64, 64 }, { 64, 32, 64, 32 }, { 0, 48, 48, 48 } };
    for (size_t k = 0; k < sizeof asked / sizeof *asked; k++)
        for (uint64_t i = 0; i < 4; i++) {
            data_sample s = must_make(d, (data_request){ DATA_ANY, DATA_TRAIN, 1, i, asked[k].width, 0, asked[k].ref_side });
            assert_true(s.target.width == s.width && s.target.height == s.height && s.width % 16 == 0 && s.height % 16 == 0);
            assert_true(s.width * s.height <= asked[k].target * asked[k].target && s.width * s.height * 2 >= asked[k].target * asked[k].target);
            if (!strcmp(s.caption, "a thing")) assert_true(s.width > s.height);
            if (!strcmp(s.caption, "another thing")) assert_true(s.width < s.height && s.ref[0].mask);
            for (int r = 0; r < s.nrefs; r++) assert_true(s.ref[r].picture.width * s.ref[r].picture.height <= asked[k].reference * asked[k].reference);
            data_sample_free(&s);
        }
    data_sample s = must_make(d, (data_request){ DATA_ANY, DATA_TRAIN, 1, 0, 0, 0, 0 }); /* as large as they are */
    assert_true(s.width >= 32 && s.width <= 64 && s.height >= 32 && s.height <= 64);
    data_sample_free(&s);
    static const data_request wrong[] = { { DATA_ANY, DATA_TRAIN, 1, 0, 8, 8, 0 }, { DATA_ANY, DATA_TRAIN, 1, 0, 64, 8, 0 }, { DATA_ANY, DATA_TRAIN, 1, 0, 2000, 0, 0 },
                                          { DATA_ANY, DATA_TRAIN, 1, 0, 64, 64, 8 }, { DATA_ANY, DATA_TRAIN, 1, 0, 64, -1, 0 }, { DATA_ANY, DATA_TRAIN, 1, 0, -1, 0, 0 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_int_equal(data_sample_make(d, NULL, &wrong[i], &s, NULL), DREAMO_ARG);
    data_close(d);
    d = must_open(TEST_DATA "/assets"); /* composed ones are square then, and have no kind of their own */
    s = must_make(d, (data_request){ DATA_SUBJECT, DATA_TRAIN, 1, 0, 32, 0, 0 });
    assert_true(s.width == 32 && s.height == 32);
    data_sample_free(&s);
    assert_false(data_given(d));
    assert_int_equal(data_sample_make(d, NULL, &(data_request){ DATA_ANY, DATA_TRAIN, 1, 0, 32, 32, 0 }, &s, NULL), DREAMO_CONTENT);
    data_close(d);
}

/* ---- kinds ---- */

static void kinds_follow_tasks(void **state)
{
    (void)state;
    static const struct { const char *tasks[4]; data_kind kind; } cases[] = {
        { { NULL }, DATA_T2I }, { { "ip" }, DATA_SUBJECT }, { { "ip", "ip" }, DATA_SUBJECTS }, { { "ip", "ip", "ip", "ip" }, DATA_SUBJECTS }, { { "id" }, DATA_ID },
        { { "id", "id" }, DATA_IDS }, { { "style" }, DATA_STYLE }, { { "style", "style" }, DATA_STYLE }, { { "id", "style" }, DATA_ID_STYLE },
        { { "ip", "style" }, DATA_SUBJECT_STYLE }, { { "ip", "id" }, DATA_ID_SUBJECT }, { { "ip", "id", "style" }, DATA_ID_STYLE } };
    assert_int_equal(folder_make("kinds", NULL), DREAMO_OK);
    put_picture("kinds/x.png", 32, 32, 1, false);
    for (size_t i = 0; i <= sizeof cases / sizeof *cases; i++) {
        bool told = i == sizeof cases / sizeof *cases;
        char line[1000] = "{\"prompt\":\"x\",\"target\":\"x.png\",\"references\":[";
        for (int k = 0; !told && k < 4 && cases[i].tasks[k]; k++)
            snprintf(line + strlen(line), sizeof line - strlen(line), "%s{\"image\":\"x.png\",\"task\":\"%s\"}", k ? "," : "", cases[i].tasks[k]);
        strcat(line, told ? "{\"image\":\"x.png\"}],\"kind\":\"tryon\"}\r\n\r\n" : "]}");
        put_text("kinds/m.jsonl", line);
        data_set *d = must_open("kinds/m.jsonl");
        data_sample s = must_make(d, (data_request){ DATA_ANY, DATA_TRAIN, 1, 0, 32, 32, 0 });
        assert_int_equal(s.kind, told ? DATA_TRYON : cases[i].kind);
        assert_true(data_can(d, s.kind, DATA_TRAIN) && data_can(d, DATA_T2I, DATA_TRAIN));
        assert_int_equal(data_most_refs(d, s.kind), s.nrefs);
        for (int k = 0; k < s.nrefs; k++) assert_int_equal(s.ref[k].slot, k + 1);
        data_sample_free(&s);
        data_close(d);
    }
}

static void placeholders_are_told(void **state)
{
    (void)state;
    data_set *d = must_open("own");
    const own_set *o = (const own_set *)d;
    for (int split = 0; split < 2; split++)
        for (int i = 0; i < o->count[split][DATA_ID]; i++) {
            data_sample s = must_make(d, (data_request){ DATA_ID, (data_split)split, 1, (uint64_t)i, 32, 32, 0 });
            assert_string_equal(s.placed, "someone with [ref#3]");
            assert_int_equal(s.ref[0].slot, 3);
            assert_null(s.ref[0].mask);
            assert_string_equal(s.subject, "c.d.ref3.id.png");
            data_sample_free(&s);
        }
    data_close(d);
}

/* ---- the forms agree ---- */

/* All samples of both splits. */
static void same_samples(const char *one, const char *two)
{
    data_set *a = must_open(one), *b = must_open(two);
    for (int split = 0; split < 2; split++)
        for (uint64_t i = 0; i < 8; i++)
            for (int free_shape = 0; free_shape < 2; free_shape++) {
                data_request q = { DATA_ANY, (data_split)split, 3, i, 48, free_shape ? 0 : 32, 0 };
                data_sample x = must_make(a, q), y = must_make(b, q);
                assert_string_equal(x.caption, y.caption);
                assert_int_equal(sample_bytes(&x), sample_bytes(&y));
                data_sample_free(&x);
                data_sample_free(&y);
            }
    data_close(a);
    data_close(b);
}

static void forms_agree(void **state)
{
    (void)state;
    put_folder("forms");
    assert_int_equal(dreamo_dataset_pack("forms", "packed", 1 << 20, NULL), DREAMO_OK);
    same_samples("own", "packed");
    same_samples("own", "packed/shard-*.tar");
    same_samples("own", "packed/shard-000000.tar");
    assert_int_equal(dreamo_dataset_split("forms", NULL, 0.1, NULL), DREAMO_OK);
    same_samples("own", "forms"); /* now by train.jsonl and val.jsonl */
    assert_int_equal(dreamo_dataset_pack("forms", "again", 1 << 20, NULL), DREAMO_OK);
    same_samples("own", "again");
    dreamo_error err = { 0 };
    assert_int_equal(dreamo_dataset_split("forms", NULL, 0.1, &err), DREAMO_IO);
    assert_int_equal(dreamo_dataset_pack("forms", "again", 1 << 20, &err), DREAMO_IO);
    assert_false(file_exists("again.part"));
    assert_int_equal(dreamo_dataset_split("packed", NULL, 0.1, NULL), DREAMO_ARG);
    assert_int_equal(dreamo_dataset_split("packed", "halves", 0.5, NULL), DREAMO_OK);
    assert_true(file_exists("halves/train-000000.tar") && file_exists("halves/val-000000.tar"));
    data_set *d = must_open("halves");
    for (uint64_t i = 0; i < N; i++) { /* where they come from went along */
        const own_item *it = &((const own_set *)d)->items[i];
        assert_int_equal(it->split, own_share(it->sha256) < 0.5 ? DATA_VAL : DATA_TRAIN);
        assert_true(it->hash_told && it->source);
        if (strstr(it->caption, "someone in")) {
            assert_string_equal(it->licence, "CC0-1.0");
            assert_string_equal(it->source, "a camera");
        } else
            assert_null(it->licence);
        if (!strcmp(it->caption, "a thing")) assert_string_equal(it->source, "a.png");
    }
    data_close(d);
}

/* Other programs' tar files are read, and ours by them. */
static void tar_is_tar(void **state)
{
    (void)state;
    if (system("tar --version > /dev/null 2>&1")) skip();
    put_folder("plain");
    assert_int_equal(dreamo_dataset_pack("plain", "ours", 1 << 20, NULL), DREAMO_OK);
    assert_int_equal(folder_make("out", NULL), DREAMO_OK);
    assert_int_equal(system("tar -C out -xf ours/shard-000000.tar"), 0);
    assert_int_equal(system("cmp -s out/000000.png plain/a.png && cmp -s out/000001.ref1.ip.mask.png plain/b.ref1.mask.png"), 0);
    same_samples("own", "out");
    assert_int_equal(system("long=$(printf 'n%.0s' $(seq 65)) && mkdir -p deep/$long/$long && cp plain/[a-f]* deep/$long/$long"), 0);
    for (const char *const *f = (const char *const[]){ "ustar", "gnu", "pax", "v7", NULL }; *f; f++) {
        char command[300];
        bool is_short = !strcmp(*f, "v7"); /* has no long names */
        snprintf(command, sizeof command, "rm -f other.tar; tar --format=%s --sort=name -C %s -cf other.tar .", *f, is_short ? "plain" : "deep");
        assert_int_equal(system(command), 0);
        same_samples("own", "other.tar");
    }
}

static void shards_are_cut_by_size(void **state)
{
    (void)state;
    char name[64];
    assert_int_equal(folder_make("big", NULL), DREAMO_OK);
    bitmap b;
    assert_int_equal(bitmap_new(&b, 400, 400, 3, NULL), DREAMO_OK);
    rng r = rng_new(5, 5);
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 400 * 400 * 3; k++) b.data[k] = (unsigned char)rng_u32(&r);
        snprintf(name, sizeof name, "big/%d.png", i);
        assert_int_equal(image_write_png(name, &b, NULL, 0, true, NULL), DREAMO_OK);
        snprintf(name, sizeof name, "big/%d.txt", i);
        put_text(name, "noise");
    }
    bitmap_free(&b);
    assert_int_equal(dreamo_dataset_pack("big", "cut-up", 1 << 20, NULL), DREAMO_OK); /* 480 kB each: three in the first */
    assert_true(file_exists("cut-up/shard-000001.tar") && !file_exists("cut-up/shard-000002.tar"));
    same_samples("big", "cut-up");
    assert_int_equal(dreamo_dataset_pack("big", "x", 1000, NULL), DREAMO_ARG);
}

/* ---- what is held out ---- */

static void held_out_by_source(void **state)
{
    (void)state;
    char *text = mem_strdup("");
    assert_int_equal(folder_make("many", NULL), DREAMO_OK);
    for (int i = 0; i < 120; i++) {
        char name[64], *longer;
        snprintf(name, sizeof name, "many/%d.png", i);
        put_picture(name, 16, 16, (unsigned)(i / 2), false); /* each source twice */
        longer = mem_printf("%s{\"prompt\":\"%d\",\"target\":\"%d.png\"}\n", text, i / 2, i);
        mem_free(text);
        text = longer;
    }
    put_text("many/manifest.jsonl", text);
    data_set *d = must_open("many");
    const own_set *o = (const own_set *)d;
    int held = 0;
    bool is_held[60] = { false };
    for (int i = 0; i < 120; i++) {
        assert_int_equal(o->items[i].split, o->items[i ^ 1].split);
        assert_int_equal(o->items[i].split, own_share(o->items[i].sha256) < 0.1 ? DATA_VAL : DATA_TRAIN);
        is_held[i / 2] = o->items[i].split == DATA_VAL;
        held += is_held[i / 2];
    }
    assert_true(held > 0 && held < 40);
    char *first = mem_strdup(data_hash(d));
    data_close(d);
    *strstr(text, "{\"prompt\":\"40\"") = 0; /* a third of the set goes: nobody changes sides */
    put_text("many/manifest.jsonl", text);
    d = must_open("many");
    for (int i = 0; i < 80; i++) assert_int_equal(((const own_set *)d)->items[i].split == DATA_VAL, is_held[i / 2]);
    assert_string_not_equal(data_hash(d), first);
    data_close(d);
    mem_free(first);
    mem_free(text);
}

/* ---- removing ---- */

typedef struct told { int n; char text[4000]; } told;

static bool listen(void *user, const dreamo_event *e)
{
    told *t = user;
    if (e->kind == DREAMO_EVENT_STEP) return true;
    t->n++;
    snprintf(t->text + strlen(t->text), sizeof t->text - strlen(t->text), "%s\n", e->text);
    return true;
}

static void expect_gone(const char *path, const char *hash, int samples, int left)
{
    told t = { 0 };
    int n = 0;
    dreamo_error err = { 0 };
    if (dreamo_dataset_remove(path, hash, listen, &t, &n, &err)) fail_msg("%s", err.message);
    assert_int_equal(n, samples);
    assert_true(t.n > samples && strstr(t.text, " goes: ") && strstr(t.text, "removed "));
    data_set *d = must_open(path);
    assert_int_equal(((const own_set *)d)->nitems, left);
    data_close(d);
    assert_int_equal(dreamo_dataset_check(path, NULL, NULL, NULL), DREAMO_OK);
    assert_int_equal(dreamo_dataset_remove(path, hash, NULL, NULL, NULL, NULL), DREAMO_NOT_FOUND);
}

static void source_is_removed(void **state)
{
    (void)state;
    data_set *d = must_open("own");
    char hash[65];
    memcpy(hash, ((const own_set *)d)->items[1].sha256, sizeof hash); /* b */
    data_close(d);
    put_folder("gone");
    assert_int_equal(dreamo_dataset_pack("gone", "gone-tar", 1 << 20, NULL), DREAMO_OK);
    expect_gone("gone-tar", hash, 1, N - 1);
    expect_gone("gone", hash, 1, N - 1);
    for (const char *const *f = (const char *const[]){ "gone/b.png", "gone/b.txt", "gone/b.ref1.png", "gone/b.ref1.mask.png", NULL }; *f; f++) assert_false(file_exists(*f));
    assert_true(file_exists("gone/a.png") && file_exists("gone/f.json"));

    /* manifests: a reference is a source, too; what others need stays; all lists of the folder lose their lines; its first digits do */
    put_folder("lists");
    put_text("lists/manifest.jsonl", "{\"prompt\":\"1\",\"target\":\"a.png\",\"references\":[{\"image\":\"b.png\"}]}\n\n"
                                     "{\"prompt\":\"2\",\"target\":\"a.png\"}\n{\"caption_file\":\"a.txt\",\"target\":\"e.png\"}");
    put_text("lists/train.jsonl", "{\"prompt\":\"4\",\"target\":\"b.png\"}\n{\"prompt\":\"2\",\"target\":\"a.png\"}\n{\"prompt\":\"5\",\"target\":\"f.png\"}\n");
    hash[10] = 0;
    expect_gone("lists", hash, 2, 2);
    assert_true(file_exists("lists/a.png") && file_exists("lists/a.txt") && !file_exists("lists/b.png"));
    char *text;
    size_t n;
    assert_int_equal(file_read("lists/manifest.jsonl", 10000, &text, &n, NULL), DREAMO_OK);
    assert_string_equal(text, "\n{\"prompt\":\"2\",\"target\":\"a.png\"}\n{\"caption_file\":\"a.txt\",\"target\":\"e.png\"}");
    mem_free(text);
    static const char *const wrong[] = { "", "abc", "ABCDEF0123", "../x", "0123456789012345678901234567890123456789012345678901234567890123456789" };
    for (size_t i = 0; i < 5; i++) assert_int_equal(dreamo_dataset_remove("own", wrong[i], NULL, NULL, NULL, NULL), DREAMO_ARG);
    assert_int_equal(dreamo_dataset_remove(TEST_DATA "/assets", "0123456789", NULL, NULL, NULL, NULL), DREAMO_ARG);
}

/* ---- what is told ---- */

typedef struct tally { int64_t train, held, subject, bucket, word, other; } tally;

static bool count_row(void *user, const char *group, const char *name, int64_t n)
{
    tally *t = user;
    if (!strcmp(group, "samples") && !strcmp(name, "train")) t->train = n;
    if (!strcmp(group, "samples") && !strcmp(name, "held out")) t->held = n;
    if (!strcmp(group, "kind") && !strcmp(name, "subject")) t->subject = n;
    if (!strcmp(group, "bucket")) t->bucket += n;
    if (!strcmp(group, "word") && !strcmp(name, "thing")) t->word = n;
    if (!strcmp(group, "word") && !strcmp(name, "\303\251t\303\251")) t->other = n;
    return true;
}

static void set_is_told(void **state)
{
    (void)state;
    tally t = { 0 };
    assert_int_equal(dreamo_dataset_tally("own", 64, count_row, &t, NULL), DREAMO_OK);
    assert_true(t.train == N - 1 && t.held == 1 && t.subject == 1 && t.bucket == N && t.word == 3 && t.other == 1);
    assert_int_equal(dreamo_dataset_tally(TEST_DATA "/assets", 64, count_row, &t, NULL), DREAMO_ARG);
    assert_int_equal(dreamo_dataset_tally("own", 8, count_row, &t, NULL), DREAMO_ARG);
    assert_int_equal(dreamo_dataset_captions("own", "words.txt", NULL), DREAMO_OK);
    char *text;
    size_t n;
    assert_int_equal(file_read("words.txt", 10000, &text, &n, NULL), DREAMO_OK);
    assert_string_equal(text, "a thing\nanother thing\nsomeone with [ref#3]\na thing in a style\nsomeone in a style, \303\251t\303\251\n");
    mem_free(text);
    dreamo_sheet_options o;
    dreamo_sheet_options_init(&o);
    o.folder = "own", o.path = "sheet.png", o.kind = "any", o.count = 4, o.columns = 1, o.side = 64;
    assert_int_equal(dreamo_dataset_show(&o, NULL), DREAMO_OK);
    bitmap b;
    assert_int_equal(image_read("sheet.png", &b, NULL, 0, NULL), DREAMO_OK);
    assert_int_equal(b.width, 4 + 2 * 64 + 2 * 96 + 4); /* two references at most, target and masks, each in the largest one's place */
    bitmap_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_a_permutation), cmocka_unit_test(order_is_even), cmocka_unit_test(each_once_an_epoch), cmocka_unit_test(buckets_are_the_nearest),
        cmocka_unit_test(targets_are_cut_in_the_middle), cmocka_unit_test(shapes_are_free_when_asked), cmocka_unit_test(kinds_follow_tasks),
        cmocka_unit_test(placeholders_are_told), cmocka_unit_test(forms_agree), cmocka_unit_test(tar_is_tar), cmocka_unit_test(shards_are_cut_by_size),
        cmocka_unit_test(held_out_by_source), cmocka_unit_test(source_is_removed), cmocka_unit_test(set_is_told), cmocka_unit_test(composed_come_back),
    };
    return cmocka_run_group_tests(tests, make_folder, scratch_leave);
}
