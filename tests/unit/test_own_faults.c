/* test_own_faults.c - broken sets of pictures: each fault is refused with its place, `check` lists them all, nothing crashes or leaks. */
#include <sys/stat.h>
#include <unistd.h>
#include "own_files.h"

static int make_folder(void **state)
{
    if (scratch_enter(state)) return -1;
    put_folder("own");
    put_picture("own/ref.png", 20, 20, 1, false); /* the manifests' own; in no folder form: it has no caption */
    put_picture("own/small.png", 8, 8, 1, true);
    put_text("own/text.png", "hello");
    put_text("own/empty.txt", " \n");
    put_text("own/latin.txt", "caf\351");
    put_text("outside.png", "x");
    return symlink("../outside.png", "own/link.png") || symlink("a.png", "own/inner.png") || mkfifo("own/pipe.png", 0600);
}

/* ---- manifests ---- */

#define ITEM(more) "{\"prompt\":\"x\",\"target\":\"a.png\"" more "}"
#define REFS(list) ITEM(",\"references\":" list)

static const struct { const char *line; dreamo_status status; const char *says; } lines[] = {
    { "{", DREAMO_FORMAT, "not valid JSON" }, { "[]", DREAMO_FORMAT, "not an object" }, { "{} {}", DREAMO_FORMAT, "not valid JSON" },
    { "{}", DREAMO_FORMAT, "\"target\" is missing" }, { "{\"target\":\"a.png\"}", DREAMO_FORMAT, "the caption is missing" },
    { "{\"prompt\":\"\",\"target\":\"a.png\"}", DREAMO_FORMAT, "the caption is empty" }, { "{\"prompt\":\" \\n\",\"target\":\"a.png\"}", DREAMO_FORMAT, "the caption is empty" },
    { "{\"prompt\":7,\"target\":\"a.png\"}", DREAMO_FORMAT, "\"prompt\" is not a plain string" },
    { "{\"prompt\":\"a\\u0000b\",\"target\":\"a.png\"}", DREAMO_FORMAT, "\"prompt\" is not a plain string" },
    { "{\"prompt\":\"\xff\",\"target\":\"a.png\"}", DREAMO_FORMAT, "not valid JSON" }, { "{\"prompt\":\"\\ud800\",\"target\":\"a.png\"}", DREAMO_FORMAT, "not valid JSON" },
    { "{\"prompt\":\"x\",\"prompt\":\"y\",\"target\":\"a.png\"}", DREAMO_FORMAT, "duplicate" },
    { ITEM(",\"caption_file\":\"a.txt\""), DREAMO_FORMAT, "both \"prompt\" and \"caption_file\"" },
    { "{\"caption_file\":\"empty.txt\",\"target\":\"a.png\"}", DREAMO_FORMAT, "empty.txt: the caption is empty" },
    { "{\"caption_file\":\"latin.txt\",\"target\":\"a.png\"}", DREAMO_FORMAT, "latin.txt: is not UTF-8" },
    { "{\"caption_file\":\"no.txt\",\"target\":\"a.png\"}", DREAMO_NOT_FOUND, "no.txt" },
    { "{\"prompt\":\"x\",\"target\":\"\"}", DREAMO_FORMAT, "\"target\" is empty" }, { "{\"prompt\":\"x\",\"target\":\"no.png\"}", DREAMO_NOT_FOUND, "no.png" },
    { "{\"prompt\":\"x\",\"target\":\"/etc/passwd\"}", DREAMO_FORMAT, "not a name below" }, { "{\"prompt\":\"x\",\"target\":\"../outside.png\"}", DREAMO_FORMAT, "not a name below" },
    { "{\"prompt\":\"x\",\"target\":\"a/../../outside.png\"}", DREAMO_FORMAT, "not a name below" }, { "{\"prompt\":\"x\",\"target\":\"./a.png\"}", DREAMO_FORMAT, "not a name below" },
    { "{\"prompt\":\"x\",\"target\":\"link.png\"}", DREAMO_FORMAT, "is a link that leads out of own" }, { "{\"prompt\":\"x\",\"target\":\"pipe.png\"}", DREAMO_FORMAT, "is a pipe" },
    { "{\"prompt\":\"x\",\"target\":\".\"}", DREAMO_FORMAT, "not a name below" }, { ITEM(",\"refernces\":[]"), DREAMO_FORMAT, "unknown field \"refernces\"" },
    { REFS("{}"), DREAMO_FORMAT, "\"references\" is not a list" }, { REFS("[1]"), DREAMO_FORMAT, "references[0]: not an object" },
    { REFS("[{}]"), DREAMO_FORMAT, "references[0]: field \"image\" is missing" }, { REFS("[{\"image\":\"no.png\"}]"), DREAMO_NOT_FOUND, "no.png" },
    { REFS("[{\"image\":\"link.png\"}]"), DREAMO_FORMAT, "leads out of" }, { REFS("[{\"image\":\"a.png\",\"mask\":\"../a.png\"}]"), DREAMO_FORMAT, "not a name below" },
    { REFS("[{\"image\":\"a.png\",\"task\":\"face\"}]"), DREAMO_FORMAT, "none of ip, id, style" }, { REFS("[{\"image\":\"a.png\",\"index\":0}]"), DREAMO_FORMAT, "\"index\" is 0" },
    { REFS("[{\"image\":\"a.png\",\"index\":10}]"), DREAMO_FORMAT, "\"index\" is 10" }, { REFS("[{\"image\":\"a.png\",\"index\":1.5}]"), DREAMO_FORMAT, "not a whole number" },
    { REFS("[{\"image\":\"a.png\"},{\"image\":\"a.png\",\"index\":1}]"), DREAMO_FORMAT, "index 1 is there twice" },
    { REFS("[{\"image\":\"a.png\",\"weight\":1}]"), DREAMO_FORMAT, "unknown field \"weight\"" },
    { REFS("[{\"image\":\"a.png\"},{\"image\":\"a.png\"},{\"image\":\"a.png\"},{\"image\":\"a.png\"},{\"image\":\"a.png\"}]"), DREAMO_LIMIT, "5 references" },
    { ITEM(",\"kind\":\"dog\""), DREAMO_FORMAT, "\"kind\" is \"dog\"" }, { ITEM(",\"kind\":\"any\""), DREAMO_FORMAT, "\"kind\" is \"any\"" },
    { ITEM(",\"split\":\"test\""), DREAMO_FORMAT, "\"split\" is \"test\"" }, { ITEM(",\"sha256\":\"12\""), DREAMO_FORMAT, "not 64 hex digits" }, { ITEM(",\"licence\":[]"), DREAMO_FORMAT, "\"licence\"" },
};
enum { NLINES = sizeof lines / sizeof *lines };

static void bad_lines(void **state)
{
    (void)state;
    size_t live = mem_live();
    for (int i = 0; i < NLINES; i++) {
        char *text = mem_printf("\xEF\xBB\xBF%s\n%s\n", ITEM(""), lines[i].line);
        data_set *d;
        dreamo_error err = { 0 };
        put_text("own/m.jsonl", text);
        dreamo_status s = data_open("own/m.jsonl", &d, &err);
        if (s != lines[i].status || !strstr(err.message, lines[i].says) || strncmp(err.message, "own/m.jsonl:2: ", 15)) fail_msg("%s: %d \"%s\"", lines[i].line, s, err.message);
        assert_null(d);
        assert_int_equal(data_open("own/m.jsonl", &d, NULL), lines[i].status);
        mem_free(text);
    }
    assert_int_equal(mem_live(), live);
}

static void good_lines(void **state)
{
    (void)state;
    static const char *const good[] = { ITEM(""), ITEM(",\"references\":null"), REFS("[]"), "{\"prompt\":\"x\",\"target\":\"inner.png\"}", "{\"caption_file\":\"b.txt\",\"target\":\"a.png\"}\r",
                                        REFS("[{\"image\":\"ref.png\",\"task\":\"id\",\"index\":9},{\"image\":\"ref.png\"}]") };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        put_text("own/m.jsonl", good[i]); /* without a last line end */
        data_close(must_open("own/m.jsonl"));
    }
    char *long_caption = mem_alloc(3000);
    memset(long_caption, 'x', 2999);
    for (int n = 2047; n < 2049; n++) {
        char *line = mem_printf("{\"prompt\":\"%.*s\",\"target\":\"a.png\"}", n, (memset(long_caption, 'x', 2999), long_caption[2999] = 0, long_caption));
        data_set *d;
        put_text("own/m.jsonl", line);
        assert_int_equal(data_open("own/m.jsonl", &d, NULL), n < DATA_CAPTION ? DREAMO_OK : DREAMO_LIMIT);
        data_close(d);
        mem_free(line);
    }
    mem_free(long_caption);
}

/* ---- every fault at once ---- */

typedef struct heard { int faults, notes; bool line[NLINES + 4]; } heard;

static bool hear(void *user, const dreamo_event *e)
{
    heard *h = user;
    int line;
    h->notes += e->kind == DREAMO_EVENT_NOTE;
    if (e->kind != DREAMO_EVENT_WARNING) return true;
    h->faults++;
    assert_int_equal(sscanf(e->text, "own/m.jsonl:%d: ", &line), 1);
    assert_true(line >= 1 && line < NLINES + 4 && !h->line[line]);
    h->line[line] = true;
    return true;
}

static void check_lists_all(void **state)
{
    (void)state;
    char *text = mem_strdup("");
    for (int i = 0; i < NLINES; i++) {
        char *longer = mem_printf("%s%s\n", text, lines[i].line);
        mem_free(text);
        text = longer;
    }
    char *all = mem_printf("%s%s\n%s\n%s\n", text, ITEM(""), "{\"prompt\":\"x\",\"target\":\"text.png\"}", REFS("[{\"image\":\"ref.png\",\"mask\":\"small.png\"}]"));
    put_text("own/m.jsonl", all);
    heard h = { 0 };
    dreamo_error err = { 0 };
    assert_int_equal(dreamo_dataset_check("own/m.jsonl", hear, &h, &err), DREAMO_FORMAT);
    assert_int_equal(h.faults, NLINES + 2); /* of the last three two: a target that is text, a mask of another size */
    assert_true(!h.line[NLINES + 1] && h.line[NLINES + 2] && h.line[NLINES + 3]);
    assert_non_null(strstr(err.message, "faults"));
    data_set *d;
    err = (dreamo_error){ 0 };
    assert_int_equal(data_open("own/m.jsonl", &d, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.hint, "dataset check"));
    mem_free(all);
    mem_free(text);
}

static bool stop_at_once(void *user, const dreamo_event *e)
{
    (void)e;
    ++*(int *)user;
    return false;
}

static void check_can_be_stopped(void **state)
{
    (void)state;
    int calls = 0;
    assert_int_equal(dreamo_dataset_check("own/m.jsonl", stop_at_once, &calls, NULL), DREAMO_CANCELLED); /* at a fault */
    assert_int_equal(calls, 1);
    put_folder("whole");
    assert_int_equal(dreamo_dataset_check("whole", stop_at_once, &calls, NULL), DREAMO_CANCELLED); /* at a step */
    assert_int_equal(calls, 2);
}

typedef struct listener { const char *says; bool heard; } listener;

static bool expect_words(void *user, const dreamo_event *e)
{
    listener *l = user;
    l->heard |= e->text && strstr(e->text, l->says);
    return true;
}

static void check_says(const char *path, dreamo_status status, const char *says)
{
    listener l = { says, false };
    dreamo_error err = { 0 };
    dreamo_status s = dreamo_dataset_check(path, expect_words, &l, &err);
    if (s != status || !(l.heard || strstr(err.message, says))) fail_msg("%s: %d \"%s\", expected \"%s\"", path, s, err.message, says);
}

static void check_looks_at_pictures(void **state)
{
    (void)state;
    put_text("own/m.jsonl", "{\"prompt\":\"x\",\"target\":\"a.png\",\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\"}\n");
    check_says("own/m.jsonl", DREAMO_FORMAT, "has sha256");
    put_text("own/m.jsonl", REFS("[{\"image\":\"ref.png\",\"mask\":\"text.png\"}]"));
    check_says("own/m.jsonl", DREAMO_FORMAT, "text.png: is text");
    put_text("own/m.jsonl", REFS("[{\"image\":\"ref.png\",\"mask\":\"black.png\"}]"));
    bitmap b;
    assert_int_equal(bitmap_new(&b, 60, 40, 3, NULL), DREAMO_OK);
    memset(b.data, 0, 60 * 40 * 3);
    assert_int_equal(image_write_png("own/black.png", &b, NULL, 0, true, NULL), DREAMO_OK);
    bitmap_free(&b);
    check_says("own/m.jsonl", DREAMO_FORMAT, "the mask is empty");
    /* the same picture, scaled, on both sides */
    put_picture("own/large.png", 120, 80, 1, false);
    put_text("own/m.jsonl", "{\"prompt\":\"x\",\"target\":\"a.png\",\"split\":\"train\"}\n{\"prompt\":\"x\",\"target\":\"large.png\",\"split\":\"val\"}\n{\"prompt\":\"x\",\"target\":\"b.png\",\"split\":\"train\"}\n");
    check_says("own/m.jsonl", DREAMO_OK, "own/m.jsonl:2 is held out and looks like own/m.jsonl:1");
    /* while training: the run ends with the name of what is missing */
    data_set *d = must_open("own/m.jsonl");
    remove("own/large.png");
    data_sample s;
    dreamo_error err = { 0 };
    assert_int_equal(data_sample_make(d, NULL, &(data_request){ DATA_ANY, DATA_VAL, 1, 0, 32, 32, 0 }, &s, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "large.png"));
    assert_null(s.target.data);
    data_close(d);
}

/* ---- folders ---- */

static void bad_folders(void **state)
{
    (void)state;
    static const struct { const char *name, *text; dreamo_status status; const char *says; } files[] = {
        { "x.jpg", NULL, DREAMO_FORMAT, "x.jpg: there is no caption x.txt" }, { "a.jpg", NULL, DREAMO_FORMAT, "a.png: a second picture of this name" },
        { "note.txt", "x", DREAMO_FORMAT, "note.txt: there is no picture note.png" }, { "y.ref1.png", NULL, DREAMO_FORMAT, "y.ref1.png: there is no picture y.png" },
        { "a.ref0.png", NULL, DREAMO_FORMAT, "reference index 0 is not in 1..9" }, { "a.ref10.id.png", NULL, DREAMO_FORMAT, "reference index 10 is not in 1..9" },
        { "b.ref1.id.png", NULL, DREAMO_FORMAT, "reference 1 is there twice" }, { "a.ref2.mask.png", NULL, DREAMO_FORMAT, "a mask of reference 2, which is not there" },
        { "a.mask.png", NULL, DREAMO_FORMAT, "a mask of no reference" }, { "f.ref2.ip.mask.png", NULL, DREAMO_FORMAT, "its reference has another task" },
        { "z.heic", "x", DREAMO_FORMAT, "not .heic" }, { "a.json", "{", DREAMO_FORMAT, "a.json: not valid JSON" }, { "a.json", "[]", DREAMO_FORMAT, "a.json: not an object" },
        { "a.json", "{\"split\": 3}", DREAMO_FORMAT, "a.json: field \"split\"" }, { "notes.json", "{", DREAMO_OK, "" }, { "Thumbs.db", "x", DREAMO_OK, "" },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[300];
        data_set *d;
        dreamo_error err = { 0 };
        put_folder("bad");
        snprintf(path, sizeof path, "bad/%s", files[i].name);
        if (files[i].text) put_text(path, files[i].text);
        else put_picture(path, 16, 16, 3, false);
        size_t live = mem_live();
        dreamo_status s = data_open("bad", &d, &err);
        if (s != files[i].status || !strstr(err.message, files[i].says)) fail_msg("%s: %d \"%s\"", path, s, err.message);
        data_close(d);
        assert_int_equal(mem_live(), live);
        remove(path);
    }
    data_set *d;
    dreamo_error err = { 0 };
    assert_int_equal(folder_make("nothing", NULL), DREAMO_OK);
    assert_int_equal(data_open("nothing", &d, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "nothing: the dataset is empty"));
    put_text("nothing/manifest.jsonl", "\n\n");
    assert_int_equal(data_open("nothing", &d, NULL), DREAMO_FORMAT);
    assert_int_equal(data_open("nothing/x-*.tar", &d, NULL), DREAMO_NOT_FOUND);
    assert_int_equal(data_open("nowhere", &d, NULL), DREAMO_NOT_FOUND);
    assert_int_equal(data_open("nowhere.jsonl", &d, NULL), DREAMO_NOT_FOUND);
    assert_int_equal(data_open("own/a.png", &d, NULL), DREAMO_FORMAT);
    assert_int_equal(symlink("../outside.png", "bad/l.png"), 0); /* links out of the folder are no pictures of it */
    put_text("bad/l.txt", "x");
    err = (dreamo_error){ 0 };
    assert_int_equal(data_open("bad", &d, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "l.png: is a link that leads out of bad"));
}

/* ---- tar files ---- */

static void put_tar(const char *path, const char *const *names, int n)
{
    filewriter w;
    char *picture;
    size_t nbytes;
    assert_int_equal(file_read("own/a.png", 1 << 20, &picture, &nbytes, NULL), DREAMO_OK);
    assert_int_equal(file_create(&w, path, true, NULL), DREAMO_OK);
    for (int i = 0; i < n; i++) {
        bool text = strstr(names[i], ".txt") != NULL;
        assert_int_equal(tar_put(&w, names[i], text ? "x" : picture, text ? 1 : nbytes, NULL), DREAMO_OK);
    }
    assert_int_equal(tar_end(&w, NULL), DREAMO_OK);
    assert_int_equal(file_commit(&w, NULL), DREAMO_OK);
    mem_free(picture);
}

/* Bytes of the header at 0 changed, its sum mended. */
static void patch(const char *bytes, size_t n, size_t at, const char *with, size_t nwith)
{
    char *copy = mem_alloc(n);
    memcpy(copy, bytes, n);
    memcpy(copy + at, with, nwith);
    unsigned sum = 8 * ' ';
    for (int i = 0; i < 512; i++)
        if (i < 148 || i >= 156) sum += (unsigned char)copy[i];
    snprintf(copy + 148, 8, "%06o", sum);
    copy[155] = ' ';
    scratch_write("bad.tar", copy, n);
    mem_free(copy);
}

static void expect_tar(dreamo_status status, const char *says)
{
    data_set *d;
    dreamo_error err = { 0 };
    size_t live = mem_live();
    dreamo_status s = data_open("bad.tar", &d, &err);
    if (s != status || !strstr(err.message, says)) fail_msg("%d \"%s\", expected \"%s\"", s, err.message, says);
    data_close(d);
    assert_int_equal(mem_live(), live);
}

static void bad_tars(void **state)
{
    (void)state;
    char *bytes, longer[130], longest[5000];
    size_t n;
    memset(longer, 'n', 120);
    strcpy(longer + 120, ".png");
    put_tar("bad.tar", (const char *const[]){ longer, "nn.png", "nn.txt" }, 3);
    expect_tar(DREAMO_FORMAT, "there is no caption nnnn");
    put_tar("bad.tar", (const char *const[]){ "../x.png", "../x.txt" }, 2);
    expect_tar(DREAMO_FORMAT, "member \"../x.png\"");
    put_tar("bad.tar", (const char *const[]){ "/x.png", "/x.txt" }, 2);
    expect_tar(DREAMO_FORMAT, "member \"/x.png\"");
    put_tar("bad.tar", (const char *const[]){ "x.png", "x.txt", "x.png" }, 3);
    expect_tar(DREAMO_FORMAT, "a second picture");
    put_tar("bad.tar", (const char *const[]){ "readme", "x.cls" }, 2);
    expect_tar(DREAMO_FORMAT, "the dataset is empty");
    memset(longest, 'n', 4999);
    longest[4999] = 0;
    put_tar("bad.tar", (const char *const[]){ longest }, 1);
    expect_tar(DREAMO_FORMAT, "too long");
    put_tar("good.tar", (const char *const[]){ "x.png", "x.txt", "y/z.png", "y/z.txt" }, 4);
    assert_int_equal(file_read("good.tar", 1 << 20, &bytes, &n, NULL), DREAMO_OK);
    patch(bytes, n, 0, "x.png", 5);
    expect_tar(DREAMO_OK, "");
    patch(bytes, n, 156, "2", 1);
    expect_tar(DREAMO_FORMAT, "\"x.png\" is a link");
    patch(bytes, n, 156, "3", 1);
    expect_tar(DREAMO_FORMAT, "a device or sparse");
    patch(bytes, n, 156, "S", 1);
    expect_tar(DREAMO_FORMAT, "a device or sparse");
    patch(bytes, n, 124, "77777777777", 11);
    expect_tar(DREAMO_FORMAT, "runs past the end");
    patch(bytes, n, 124, "\x80\0\0\0\0\0\0\0\0\0\0\1", 12);
    expect_tar(DREAMO_FORMAT, "length is broken");
    patch(bytes, n, 124, "-0000000001", 11);
    expect_tar(DREAMO_FORMAT, "length is broken");
    scratch_write("bad.tar", "\x1F\x8B\x08 and more", 12);
    expect_tar(DREAMO_FORMAT, "is compressed");
    scratch_write("bad.tar", "", 0);
    expect_tar(DREAMO_FORMAT, "has no end");
    bytes[3]++; /* of a name, and not in the sum */
    scratch_write("bad.tar", bytes, n);
    expect_tar(DREAMO_FORMAT, "not a tar header, or damaged");
    bytes[3]--;
    size_t live = mem_live();
    for (size_t cut = 0; cut <= n - 1024; cut += cut % 512 == 0 ? 1 : cut % 512 == 1 ? 510 : 1) { /* around every block */
        data_set *d;
        scratch_write("bad.tar", bytes, cut);
        assert_int_equal(data_open("bad.tar", &d, NULL), DREAMO_FORMAT);
    }
    rng r = rng_new(3, 3);
    for (int i = 0; i < 2000; i++) { /* any byte of any header, with sums that fit the first */
        data_set *d;
        char with = (char)rng_u32(&r);
        patch(bytes, n, rng_below(&r, 512), &with, 1);
        if (!data_open("bad.tar", &d, NULL)) data_close(d);
    }
    for (int i = 0; i < 300; i++) { /* extended headers full of anything */
        data_set *d;
        char junk[600];
        int length = snprintf(junk, sizeof junk, "%u path=%u\n%u size=%d\n", rng_below(&r, 30), rng_u32(&r), rng_below(&r, 30), (int)rng_u32(&r));
        filewriter w;
        assert_int_equal(file_create(&w, "pax.tar", true, NULL), DREAMO_OK);
        assert_int_equal(tar_put(&w, "pax", junk, (size_t)length, NULL), DREAMO_OK);
        assert_int_equal(file_write(&w, bytes, n, NULL), DREAMO_OK);
        assert_int_equal(file_commit(&w, NULL), DREAMO_OK);
        char *pax;
        size_t npax;
        assert_int_equal(file_read("pax.tar", 1 << 20, &pax, &npax, NULL), DREAMO_OK);
        patch(pax, npax, 156, "x", 1);
        if (!data_open("bad.tar", &d, NULL)) data_close(d);
        mem_free(pax);
    }
    assert_int_equal(mem_live(), live);
    mem_free(bytes);
}

/* ---- failing allocations ---- */

static void no_memory(void **state)
{
    (void)state;
    put_folder("starved");
    assert_int_equal(dreamo_dataset_pack("starved", "starved-tar", 1 << 20, NULL), DREAMO_OK);
    put_folder("starved-lists");
    assert_int_equal(dreamo_dataset_split("starved-lists", NULL, 0.1, NULL), DREAMO_OK);
    for (const char *const *path = (const char *const[]){ "starved", "starved-tar", "starved-lists", NULL }; *path; path++) {
        size_t live = mem_live();
        int failures = 0;
        for (long nth = 1;; nth++) {
            data_set *d = NULL;
            data_sample s = { 0 };
            dreamo_error err = { 0 };
            mem_fail_at(nth);
            dreamo_status status = data_open(*path, &d, &err);
            for (uint64_t i = 0; i < 4 && !status; i++) {
                data_sample_free(&s);
                status = data_sample_make(d, NULL, &(data_request){ DATA_ANY, DATA_TRAIN, 1, i, 32, 32, 0 }, &s, &err);
            }
            if (!status) status = dreamo_dataset_captions(*path, "words.txt", &err);
            if (!status) status = dreamo_dataset_check(*path, NULL, NULL, &err);
            mem_fail_at(0);
            data_sample_free(&s);
            data_close(d);
            assert_int_equal(mem_live(), live);
            if (!status) break;
            if (status != DREAMO_MEMORY) fail_msg("%s: allocation %ld: %d \"%s\"", *path, nth, status, err.message);
            failures++;
        }
        assert_true(failures > 100);
    }
}

/* pack and remove, too, leave what was there whole. */
static void no_memory_to_write(void **state)
{
    (void)state;
    data_set *d = must_open("starved-tar");
    char hash[65];
    memcpy(hash, ((const own_set *)d)->items[0].sha256, sizeof hash);
    data_close(d);
    size_t live = mem_live();
    for (long nth = 1;; nth++) {
        dreamo_error err = { 0 };
        mem_fail_at(nth);
        dreamo_status status = dreamo_dataset_pack("starved", "starved-new", 1 << 20, &err);
        mem_fail_at(0);
        assert_int_equal(mem_live(), live);
        if (!status) break;
        if (status != DREAMO_MEMORY) fail_msg("allocation %ld: %d \"%s\"", nth, status, err.message);
        assert_false(file_exists("starved-new"));
    }
    for (long nth = 1;; nth++) {
        dreamo_error err = { 0 };
        mem_fail_at(nth);
        dreamo_status status = dreamo_dataset_remove("starved-tar", hash, NULL, NULL, NULL, &err);
        mem_fail_at(0);
        assert_int_equal(mem_live(), live);
        if (!status) break;
        if (status != DREAMO_MEMORY) fail_msg("allocation %ld: %d \"%s\"", nth, status, err.message);
        d = must_open("starved-tar");
        assert_int_equal(((const own_set *)d)->nitems, 5);
        data_close(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_lines), cmocka_unit_test(good_lines), cmocka_unit_test(check_lists_all), cmocka_unit_test(check_can_be_stopped), cmocka_unit_test(check_looks_at_pictures),
        cmocka_unit_test(bad_folders), cmocka_unit_test(bad_tars), cmocka_unit_test(no_memory), cmocka_unit_test(no_memory_to_write),
    };
    return cmocka_run_group_tests(tests, make_folder, scratch_leave);
}
