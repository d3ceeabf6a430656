/* test_tokenizer.c - both tokenizers against the official ones: 400 strings and the spec's vectors, every id equal; against a
 * slow reference for what the strings do not reach; cutting, bad prompts, long prompts, failing allocations. */
#include <jansson.h>
#include "base/rng.h"
#include "tokenizer_files.h"

#define VOCAB TEST_DATA "/../../models/flux-dev"

static unigram *t5;  /* FLUX's own folder: rebuilt from spiece.model, metaspace always */
static bpe *clip;

static unigram *open_t5(const char *dir)
{
    unigram *t;
    dreamo_error err = {0};
    if (unigram_open(dir, &t, &err)) fail_msg("%s", err.message);
    return t;
}

static bpe *open_clip(const char *dir)
{
    bpe *t;
    dreamo_error err = {0};
    if (bpe_open(dir, &t, &err)) fail_msg("%s", err.message);
    return t;
}

static int setup(void **state)
{
    (void)state;
    t5 = open_t5(VOCAB "/tokenizer_2");
    clip = open_clip(VOCAB "/tokenizer");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unigram_close(t5);
    bpe_close(clip);
    return 0;
}

/* ids as words: easy to read when they differ */
static char *words(const int32_t *ids, int n)
{
    bytes b = {0};
    for (int i = 0; i < n; i++) {
        char one[16];
        sprintf(one, i ? " %d" : "%d", ids[i]);
        put_text(&b, one);
    }
    put_byte(&b, 0);
    return (char *)b.p;
}

static void expect(const char *what, const char *text, const token_ids *got, const char *want)
{
    char *have = words(got->ids, got->n);
    if (strcmp(have, want)) fail_msg("%s of \"%s\":\n  is      %s\n  must be %s", what, text, have, want);
    free(have);
}

static void expect_t5(const unigram *t, const char *text, size_t n, const char *want)
{
    token_ids out;
    dreamo_error err = {0};
    if (unigram_encode_n(t, text, n, unigram_max_length(t), &out, &err)) fail_msg("%s", err.message);
    expect("T5 ids", text, &out, want);
    mem_free(out.ids);
}

static void expect_clip(const bpe *t, const char *text, size_t n, const char *want)
{
    token_ids out;
    dreamo_error err = {0};
    if (bpe_encode_n(t, text, n, bpe_max_length(t), &out, &err)) fail_msg("%s", err.message);
    expect("CLIP ids", text, &out, want);
    mem_free(out.ids);
}

/* ---- golden ----------------------------------------------------------------------------------- */

static char *json_words(const json_t *list)
{
    int n = (int)json_array_size(list);
    int32_t *ids = malloc((size_t)n * sizeof *ids + 1);
    for (int i = 0; i < n; i++) ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    char *s = words(ids, n);
    free(ids);
    return s;
}

static void check_golden(const unigram *u, const bpe *b)
{
    FILE *f = fopen(TEST_DATA "/tokens.jsonl", "r");
    char *line = NULL;
    size_t room = 0;
    int n = 0;
    assert_non_null(f);
    for (; getline(&line, &room, f) > 0; n++) {
        json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL), *text = json_object_get(row, "text");
        assert_non_null(text);
        char *want = json_words(json_object_get(row, "t5"));
        if (u) expect_t5(u, json_string_value(text), json_string_length(text), want);
        free(want);
        want = json_words(json_object_get(row, "clip"));
        if (b) expect_clip(b, json_string_value(text), json_string_length(text), want);
        free(want);
        json_decref(row);
    }
    assert_int_equal(n, 400);
    free(line);
    fclose(f);
}

static void golden_strings(void **state)
{
    (void)state;
    check_golden(t5, clip);
    assert_int_equal(unigram_first_added(t5), 32100);
    assert_int_equal(unigram_pad(t5), 0);
    assert_int_equal(unigram_max_length(t5), 512);
    assert_int_equal(bpe_max_length(clip), 77);
    assert_int_equal(bpe_start(clip), 49406);
    assert_int_equal(bpe_end(clip), 49407);
}

static void copy_in(const char *dir, const char *from, const char *name)
{
    char *data;
    size_t n;
    dreamo_error err = {0};
    assert_int_equal(file_read(from, (size_t)1 << 24, &data, &n, &err), DREAMO_OK);
    write_in(dir, name, data, n);
    mem_free(data);
}

/* Without spiece.model the same tokenizer is made of tokenizer.json's vocabulary. */
static void golden_strings_from_json(void **state)
{
    (void)state;
    char *dir = make_folder();
    copy_in(dir, VOCAB "/tokenizer_2/tokenizer.json", "tokenizer.json");
    copy_in(dir, VOCAB "/tokenizer_2/tokenizer_config.json", "tokenizer_config.json");
    unigram *t = open_t5(dir);
    check_golden(t, NULL);
    unigram_close(t);
    drop_folder(dir);
}

static void spec_vectors(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"a photo of a cat", NULL, "49406 320 1125 539 320 2368 49407"},
        {"a person playing guitar in the street", "3 9 568 1556 5507 16 8 2815 1", "49406 320 2533 1629 5084 530 518 2012 49407"},
        {"portrait, Chibi", "7956 6 205 13506 1", "49406 5352 267 22306 49407"},
        {"a purple toy holding a sign saying \"DreamO\", on the mountain", "3 9 11094 12 63 3609 3 9 1320 2145 96 308 60 265 667 1686 30 8 4180 1",
         "49406 320 5496 5988 5050 320 2292 4455 257 4595 334 4332 525 518 3965 49407"},
        {"[ref#1] and [res]", NULL, "49406 314 9591 258 272 316 537 314 934 316 49407"},
        {"It's 2025", NULL, "49406 585 568 273 271 273 276 49407"},
        {"", "1", "49406 49407"},
        {"caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD", NULL, "49406 15304 47466 510 29290 377 49407"},
        {"generate a same style image. A rooster wearing overalls.", "3806 3 9 337 869 1023 5 71 3 52 32 32 1370 5119 1879 7 5 1", NULL},
        {"  hello   world ", "21820 296 1", NULL},
        {"translate English to German: The house is wonderful.", "13959 1566 12 2968 10 37 629 19 1627 5 1", NULL},
        {"caf\xC3\xA9 \xEF\xAC\x81ne \xE2\x91\xA0\xEF\xBC\x92\xEF\xBC\x93 na\xC3\xAFve \xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x98\x80",
         "11949 1399 3 14574 3 29 9 2 162 3 2 3 2 1", NULL},
        {"a [ref#1] dog", "3 9 3 32100 1782 1", NULL},
        {"[ref#1]'s cat and [ref#2] on [res]", "32100 3 31 7 1712 11 3 32101 30 3 32109 1", NULL},
        /* corners of Unicode that the strings do not reach; ids of the official class */
        {"cy\xCD\x85\xD6\xB3", NULL, "49406 1678 146 367 49407"},
        {"\xCE\x91\xCE\xA3\xF0\x9F\x84\xBF", NULL, "49406 138 109 139 481 558 226 379 49407"},
        {"\xCE\x9F\xCE\x94\xCE\xA5\xCE\xA3\xCE\xA3\xCE\x95\xCE\xA5\xCE\xA3'", NULL,
         "49406 138 123 138 112 139 227 139 225 139 225 138 113 139 227 139 480 262 49407"},
        {"\xC4\xB0x", NULL, "49406 328 16384 343 49407"},
        {"x'\xC5\xBFy", NULL, "49406 343 6 129 379 344 49407"},
        {"<|ENDOFTEXT|>", NULL, "49406 49407 49407"},
        {"the dog of [ref#1], walking", "8 1782 13 3 32100 3 6 3214 1", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i][1]) expect_t5(t5, rows[i][0], strlen(rows[i][0]), rows[i][1]);
        if (rows[i][2]) expect_clip(clip, rows[i][0], strlen(rows[i][0]), rows[i][2]);
    }
}

/* A folder without add_prefix_space is taken as its tokenizer.json says: prefix "first" (golden case odd_three). */
static void prefix_first(void **state)
{
    (void)state;
    static const char text[] = "portrait of [ref#1], holding [ref#2]'s cup", want[] = "7956 13 3 32100 6 3609 3 32101 31 7 4119 1";
    static const char config[] = "{\"legacy\": false, \"model_max_length\": 512}", rebuilt[] = "{\"add_prefix_space\": true, \"legacy\": false, \"model_max_length\": 512}";
    char *dir = make_folder();
    copy_in(dir, VOCAB "/tokenizer_2/tokenizer.json", "tokenizer.json");
    copy_in(dir, VOCAB "/tokenizer_2/spiece.model", "spiece.model");
    write_in(dir, "tokenizer_config.json", config, strlen(config));
    unigram *t = open_t5(dir);
    expect_t5(t, text, strlen(text), want);
    expect_t5(t, "[ref#1]'s", 9, "32100 31 7 1");
    expect_t5(t, "</s>cat", 7, "1 2138 1"); /* "cat" without the space before it */
    unigram_close(t);
    write_in(dir, "tokenizer_config.json", rebuilt, strlen(rebuilt));
    t = open_t5(dir);
    expect_t5(t, text, strlen(text), want);
    unigram_close(t);
    drop_folder(dir);
}

static void pieces_have_names(void **state)
{
    (void)state;
    assert_string_equal(unigram_piece(t5, 8), "\xE2\x96\x81the");
    assert_string_equal(unigram_piece(t5, 32099), "<extra_id_0>");
    assert_string_equal(unigram_piece(t5, 32100), "[ref#1]");
    assert_string_equal(unigram_piece(t5, 32109), "[res]");
    assert_null(unigram_piece(t5, 32110));
    assert_null(unigram_piece(t5, -1));
    assert_string_equal(bpe_piece(clip, 320), "a</w>");
    assert_string_equal(bpe_piece(clip, 49407), "<|endoftext|>");
    assert_null(bpe_piece(clip, 49408));
    assert_null(bpe_piece(clip, -1));
}

/* ---- prompts ---------------------------------------------------------------------------------- */

static void cut_texts(void **state)
{
    (void)state;
    static const char text[] = "a person playing guitar in the street";
    token_ids out;
    dreamo_error err = {0};
    assert_int_equal(unigram_encode(t5, text, 5, &out, &err), DREAMO_OK);
    expect("T5 ids", text, &out, "3 9 568 1556 1");
    assert_int_equal(out.nfull, 9);
    assert_string_equal(text + out.cut_at, " guitar in the street");
    mem_free(out.ids);
    assert_int_equal(unigram_encode(t5, text, 9, &out, &err), DREAMO_OK);
    assert_int_equal(out.n, 9);
    assert_int_equal(out.cut_at, strlen(text));
    mem_free(out.ids);
    assert_int_equal(bpe_encode(clip, text, 5, &out, &err), DREAMO_OK);
    expect("CLIP ids", text, &out, "49406 320 2533 1629 49407");
    assert_int_equal(out.nfull, 9);
    assert_string_equal(text + out.cut_at, "guitar in the street");
    mem_free(out.ids);
    assert_int_equal(bpe_encode(clip, text, 9, &out, &err), DREAMO_OK);
    assert_int_equal(out.n, 9);
    assert_int_equal(out.cut_at, strlen(text));
    mem_free(out.ids);
    assert_int_equal(unigram_encode(t5, text, 0, &out, &err), DREAMO_ARG);
    err = (dreamo_error){0};
    assert_int_equal(bpe_encode(clip, text, 1, &out, &err), DREAMO_ARG);
}

static void invalid_utf8(void **state)
{
    (void)state;
    static const struct { const char *text; const char *offset; } rows[] = {
        {"ab\x80", "offset 2"}, {"\xC3", "offset 0"}, {"\xC3(", "offset 0"}, {"x\xC0\xAF", "offset 1"}, {"\xE0\x80\x80", "offset 0"},
        {"\xED\xA0\x80", "offset 0"}, {"\xF4\x90\x80\x80", "offset 0"}, {"\xF8\x88\x80\x80\x80", "offset 0"}, {"\xE4\xBD", "offset 0"},
        {"caf\xC3\xA9 \xFF", "offset 6"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        token_ids out;
        dreamo_error err = {0};
        assert_int_equal(unigram_encode(t5, rows[i].text, 512, &out, &err), DREAMO_ARG);
        assert_non_null(strstr(err.message, rows[i].offset));
        err = (dreamo_error){0};
        assert_int_equal(bpe_encode(clip, rows[i].text, 77, &out, &err), DREAMO_ARG);
        assert_non_null(strstr(err.message, rows[i].offset));
    }
    token_ids out;
    dreamo_error err = {0};
    size_t n = ((size_t)1 << 20) + 1;
    char *huge = malloc(n);
    memset(huge, 'a', n);
    assert_int_equal(unigram_encode_n(t5, huge, n, 512, &out, &err), DREAMO_LIMIT);
    assert_int_equal(bpe_encode_n(clip, huge, n, 77, &out, &err), DREAMO_LIMIT);
    free(huge);
}

/* 1 MiB of one word, of marks that have to be sorted, of tokens, of spaces: a quadratic step would take hours. */
static void long_prompts(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "hello world ", "\xCC\x81\xCC\xA3", "<", "[ref#1]", " ", "\xF0\x9F\x98\x80", "lol", "\xCE\xA3'", "<|endoftext|>", "\xD9\x80"};
    size_t n = (size_t)1 << 20;
    char *text = malloc(n + 1);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        size_t each = strlen(units[u]), len = n / each * each;
        for (size_t i = 0; i < len; i++) text[i] = units[u][i % each];
        text[len] = 0;
        token_ids out;
        dreamo_error err = {0};
        assert_int_equal(unigram_encode(t5, text, 512, &out, &err), DREAMO_OK);
        mem_free(out.ids);
        assert_int_equal(bpe_encode(clip, text, 77, &out, &err), DREAMO_OK);
        mem_free(out.ids);
    }
    free(text);
}

/* ---- a slow reference ------------------------------------------------------------------------- */

/* Merges whose order is not that of training, so that a merge makes pairs of lower rank. */
static const char *const odd_merges[] = {"abc a", "b c", "a bc", "a a", "aa a", "c c", "a b", "ab c", "bc bc", "abc d", "c a</w>", "bc a</w>", "a c", "ac ac", "b b", "bb a", NULL};

static bool is_pair(const char *merge, const char *left, const char *right)
{
    size_t n = strlen(left);
    return strncmp(merge, left, n) == 0 && merge[n] == ' ' && strcmp(merge + n + 1, right) == 0;
}

/* By the book: strings, all pairs looked at, the lowest rank merged everywhere from the left, again. */
static char *slow_bpe(const char *word)
{
    char sym[64][64];
    int n = 0;
    for (; word[n]; n++) sprintf(sym[n], "%c%s", word[n], word[n + 1] ? "" : "</w>");
    for (;;) {
        int best = -1;
        for (int r = 0; odd_merges[r] && best < 0; r++)
            for (int i = 0; i + 1 < n && best < 0; i++)
                if (is_pair(odd_merges[r], sym[i], sym[i + 1])) best = r;
        if (best < 0) break;
        for (int i = 0; i + 1 < n; i++) {
            if (!is_pair(odd_merges[best], sym[i], sym[i + 1])) continue;
            strcpy(sym[i] + strlen(sym[i]), sym[i + 1]);
            memmove(sym[i + 1], sym[i + 2], (size_t)(n - i - 2) * sizeof *sym);
            n--;
        }
    }
    bytes b = {0};
    for (int i = 0; i < n; i++) {
        put_text(&b, sym[i]);
        put_text(&b, " ");
    }
    put_byte(&b, 0);
    return (char *)b.p;
}

static char *make_clip_folder(const char *const *merges)
{
    char *dir = make_folder();
    bytes vocab = {0}, lines = {0};
    make_vocab_json(&vocab, merges);
    make_merges(&lines, merges);
    write_in(dir, "vocab.json", vocab.p, vocab.n);
    write_in(dir, "merges.txt", lines.p, lines.n);
    write_in(dir, "tokenizer_config.json", small_clip_config, strlen(small_clip_config));
    free(vocab.p);
    free(lines.p);
    return dir;
}

static void bpe_against_slow(void **state)
{
    (void)state;
    char *dir = make_clip_folder(odd_merges);
    bpe *t = open_clip(dir);
    rng r = rng_new(7, 1);
    for (int round = 0; round < 20000; round++) {
        char word[24];
        int n = 1 + (int)rng_below(&r, 20);
        for (int i = 0; i < n; i++) word[i] = "aaabbcccd"[rng_below(&r, 9)];
        word[n] = 0;
        token_ids out;
        dreamo_error err = {0};
        assert_int_equal(bpe_encode(t, word, 64, &out, &err), DREAMO_OK);
        bytes b = {0};
        for (int i = 1; i + 1 < out.n; i++) {
            put_text(&b, bpe_piece(t, out.ids[i]));
            put_text(&b, " ");
        }
        put_byte(&b, 0);
        char *want = slow_bpe(word);
        if (strcmp(want, (char *)b.p)) fail_msg("%s: is %s, must be %s", word, (char *)b.p, want);
        free(want);
        free(b.p);
        mem_free(out.ids);
    }
    bpe_close(t);
    drop_folder(dir);
}

static char *make_t5_folder(void)
{
    char *dir = make_folder();
    bytes model = {0};
    make_spiece(&model);
    write_in(dir, "spiece.model", model.p, model.n);
    write_in(dir, "tokenizer_config.json", small_t5_config, strlen(small_t5_config));
    free(model.p);
    return dir;
}

/* The highest sum of scores over every way to cut w, by trying them all. */
static double best_score(const char *w)
{
    static const char *const pieces[] = {"_", "a", "b", "c", "ab", "_ab", "bc", "abc", "_aa", "d"};
    static const double scores[] = {-2, -3, -3.5, -4, -4.5, -4.75, -5, -6.25, -6, -7};
    double best = -1e9;
    if (!*w) return 0;
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        size_t n = strlen(pieces[i]);
        if (strncmp(w, pieces[i], n)) continue;
        double s = scores[i] + best_score(w + n);
        if (s > best) best = s;
    }
    return best;
}

static void unigram_against_slow(void **state)
{
    (void)state;
    static const double scores[] = {0, 0, 0, -2, -3, -3.5, -4, -4.5, -4.75, -5, -6.25, -5, -6, -7};
    char *dir = make_t5_folder();
    unigram *t = open_t5(dir);
    rng r = rng_new(8, 1);
    for (int round = 0; round < 5000; round++) {
        char word[24] = "_";
        int n = 1 + (int)rng_below(&r, 10);
        for (int i = 1; i <= n; i++) word[i] = "aabbcd"[rng_below(&r, 6)];
        word[n + 1] = 0;
        token_ids out;
        dreamo_error err = {0};
        assert_int_equal(unigram_encode(t, word + 1, 64, &out, &err), DREAMO_OK);
        double sum = 0;
        for (int i = 0; i + 1 < out.n; i++) sum += scores[out.ids[i]];
        assert_true(sum == best_score(word));
        mem_free(out.ids);
    }
    unigram_close(t);
    drop_folder(dir);
}

/* A vocabulary of our own: 14 pieces and two sentinels, so [ref#1] is 16; 'A' is mapped to 'a'. */
static void small_t5(void **state)
{
    (void)state;
    char *dir = make_t5_folder();
    unigram *t = open_t5(dir);
    assert_int_equal(unigram_first_added(t), 16);
    assert_int_equal(unigram_max_length(t), 16);
    expect_t5(t, "A xyx [res]<extra_id_1>B", 24, "3 4 3 2 3 25 14 3 2 1"); /* 'B' is unknown */
    expect_t5(t, "\xC3\xA9 x\xC3\xA9", 6, "3 11 3 2 11 1");
    unigram_close(t);
    bytes json = {0};
    make_tokenizer_json(&json, "never");
    remove_in(dir, "spiece.model");
    write_in(dir, "tokenizer.json", json.p, json.n);
    write_in(dir, "tokenizer_config.json", "{\"model_max_length\": 9}", 23);
    t = open_t5(dir);
    assert_int_equal(unigram_first_added(t), 7);
    expect_t5(t, "ab  a<extra>[ref#2]", 19, "4 5 3 4 6 8 1");
    unigram_close(t);
    free(json.p);
    drop_folder(dir);
}

/* ---- failing allocations ---------------------------------------------------------------------- */

static dreamo_status try_t5(const char *dir, dreamo_error *err)
{
    unigram *t;
    token_ids out = {0};
    dreamo_status s = unigram_open(dir, &t, err);
    if (!s) s = unigram_encode(t, "ab A xx [ref#1] abc</s>", 4, &out, err);
    mem_free(out.ids);
    unigram_close(t);
    return s;
}

static dreamo_status try_clip(const char *dir, dreamo_error *err)
{
    bpe *t;
    token_ids out = {0};
    dreamo_status s = bpe_open(dir, &t, err);
    if (!s) s = bpe_encode(t, "abca \xCC\x81\xCC\xA3 a's <|endoftext|>", 5, &out, err);
    mem_free(out.ids);
    bpe_close(t);
    return s;
}

/* The nth allocation fails, for every n: an error is reported, nothing leaks, and the next call works. */
static void torture(const char *dir, dreamo_status (*attempt)(const char *, dreamo_error *))
{
    size_t live = mem_live();
    dreamo_error err = {0};
    assert_int_equal(attempt(dir, &err), DREAMO_OK);
    assert_int_equal(mem_live(), live);
    dreamo_status s = DREAMO_MEMORY;
    for (long n = 1; s; n++) {
        err = (dreamo_error){0};
        mem_fail_at(n);
        s = attempt(dir, &err);
        mem_fail_at(0);
        assert_int_equal(mem_live(), live);
        if (s && s != DREAMO_MEMORY) fail_msg("allocation %ld: status %d: %s", n, s, err.message);
        if (s) assert_true(err.message[0]);
        assert_true(n < 100000);
    }
}

static void failing_allocations(void **state)
{
    (void)state;
    char *dir = make_t5_folder();
    torture(dir, try_t5);
    bytes json = {0};
    make_tokenizer_json(&json, "first");
    remove_in(dir, "spiece.model");
    write_in(dir, "tokenizer.json", json.p, json.n);
    torture(dir, try_t5);
    free(json.p);
    drop_folder(dir);
    dir = make_clip_folder(odd_merges);
    torture(dir, try_clip);
    drop_folder(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_strings), cmocka_unit_test(golden_strings_from_json), cmocka_unit_test(spec_vectors),
        cmocka_unit_test(prefix_first), cmocka_unit_test(pieces_have_names), cmocka_unit_test(cut_texts), cmocka_unit_test(invalid_utf8),
        cmocka_unit_test(long_prompts), cmocka_unit_test(bpe_against_slow), cmocka_unit_test(unigram_against_slow),
        cmocka_unit_test(small_t5), cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
