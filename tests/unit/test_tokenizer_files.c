/* test_tokenizer_files.c - broken vocabularies (robustness F52): each is refused with DREAMO_FORMAT and a line that names the
 * fault; random damage is refused or read, never followed out of the file. */
#include <math.h>
#include "base/rng.h"
#include "text/spiece.h"
#include "tokenizer_files.h"

static char *dir; /* a folder that each case fills anew */

static int setup(void **state)
{
    (void)state;
    dir = make_folder();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drop_folder(dir);
    return 0;
}

/* Open the folder as a T5 or CLIP vocabulary; when that works, use it. */
static dreamo_status try_t5(dreamo_error *err)
{
    unigram *t;
    token_ids out = {0};
    *err = (dreamo_error){0};
    dreamo_status s = unigram_open(dir, &t, err);
    if (s) return s;
    assert_int_equal(unigram_encode(t, "A abc \xC3\xA9\xCC\x81 x<extra_id_0> [ref#1]", 16, &out, err), DREAMO_OK);
    for (int i = 0; i < out.n; i++) assert_non_null(unigram_piece(t, out.ids[i]));
    mem_free(out.ids);
    unigram_close(t);
    return DREAMO_OK;
}

static dreamo_status try_clip(dreamo_error *err)
{
    bpe *t;
    token_ids out = {0};
    *err = (dreamo_error){0};
    dreamo_status s = bpe_open(dir, &t, err);
    if (s) return s;
    assert_int_equal(bpe_encode(t, "A abca \xC3\xA9\xCC\x81 x's 12", 16, &out, err), DREAMO_OK);
    for (int i = 0; i < out.n; i++) assert_non_null(bpe_piece(t, out.ids[i]));
    mem_free(out.ids);
    bpe_close(t);
    return DREAMO_OK;
}

static void check(const char *label, dreamo_status got, const dreamo_error *err, const char *want)
{
    if (!want) {
        if (got) fail_msg("%s: must be accepted, but: %s", label, err->message);
        return;
    }
    if (got != DREAMO_FORMAT) fail_msg("%s: status %d instead of DREAMO_FORMAT", label, got);
    if (!strstr(err->message, want)) fail_msg("%s: \"%s\" does not name \"%s\"", label, err->message, want);
    if (strchr(err->message, '\n')) fail_msg("%s: more than one line", label);
}

/* ---- spiece.model ----------------------------------------------------------------------------- */

static void t5_model(const char *label, bytes *model, const char *want)
{
    dreamo_error err;
    size_t live = mem_live();
    write_in(dir, "spiece.model", model->p, model->n);
    write_in(dir, "tokenizer_config.json", small_t5_config, strlen(small_t5_config));
    dreamo_status s = try_t5(&err);
    check(label, s, &err, want);
    assert_int_equal(mem_live(), live);
    model->n = 0;
}

/* A whole model and one more field of raw bytes. */
static void with_tail(bytes *b, const char *tail, size_t n)
{
    make_spiece(b);
    put(b, tail, n);
}

static void with_piece(bytes *b, const char *s, size_t n, float score, int kind)
{
    make_spiece(b);
    put_piece(b, s, n, score, kind);
}

static void spiece_empty(void **state)
{
    (void)state;
    spiece_header h;
    dreamo_error err = {0};
    assert_int_equal(spiece_parse(NULL, 0, "x/spiece.model", NULL, NULL, &h, &err), DREAMO_FORMAT); /* how an empty file is mapped */
    assert_string_equal(err.message, "x/spiece.model: is empty");
}

static void spiece_pieces(void **state)
{
    (void)state;
    bytes b = {0};
    char huge[2000];
    memset(huge, 'x', sizeof huge);
    make_spiece(&b);
    t5_model("whole", &b, NULL);
    with_piece(&b, "ab", 2, -1, 1);
    t5_model("twice", &b, "piece ab appears twice");
    with_piece(&b, "", 0, -1, 1);
    t5_model("empty", &b, "token 14 is empty");
    with_piece(&b, huge, sizeof huge, -1, 1);
    t5_model("huge", &b, "2000 bytes");
    with_piece(&b, "\xC3(", 2, -1, 1);
    t5_model("not UTF-8", &b, "token 14 is not UTF-8");
    with_piece(&b, "a\0b", 3, -1, 1);
    t5_model("NUL", &b, "token 14 is not UTF-8");
    with_piece(&b, "z", 1, (float)NAN, 1);
    t5_model("NaN", &b, "score of piece 14");
    with_piece(&b, "z", 1, (float)-INFINITY, 1);
    t5_model("infinite", &b, "score of piece 14");
    with_piece(&b, "z", 1, -1, 9);
    t5_model("kind", &b, "type 9");
    with_piece(&b, "<extra_id_1>", 12, -1, 1);
    t5_model("sentinel twice", &b, "<extra_id_1> appears twice");
    with_piece(&b, "[ref#4]", 7, -1, 1);
    t5_model("DreamO's token as a piece", &b, "[ref#4] is a piece");
    with_piece(&b, "zz", 2, -1, 4);
    t5_model("user-defined", &b, NULL);
    put_trainer(&b, 1, 2);
    t5_model("no pieces", &b, "no <pad>");
    put_pieces(&b);
    put_trainer(&b, 1, 7);
    t5_model("unk_id", &b, "unk_id is 7");
    put_pieces(&b);
    put_trainer(&b, 1, -1);
    t5_model("unk_id negative", &b, "unk_id is -1");
    put_pieces(&b);
    put_trainer(&b, 2, 2);
    t5_model("BPE model", &b, "model type 2");
    free(b.p);
}

static void spiece_wire(void **state)
{
    (void)state;
    bytes b = {0};
    put_text(&b, "");
    t5_model("empty file", &b, "is empty");
    put_text(&b, "this is not a protobuf at all");
    t5_model("text", &b, "not a SentencePiece model");
    with_tail(&b, "\x0A\x7F" "abc", 5);
    t5_model("length past the end", &b, "cut short or malformed");
    with_tail(&b, "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11);
    t5_model("length 2^64-1", &b, "cut short or malformed");
    with_tail(&b, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 13);
    t5_model("endless varint", &b, "cut short or malformed");
    with_tail(&b, "\x0B\x0C", 2);
    t5_model("a group", &b, "cut short or malformed");
    with_tail(&b, "\x02\x00", 2);
    t5_model("field 0", &b, "cut short or malformed");
    with_tail(&b, "\x08\x01", 2);
    t5_model("pieces as a number", &b, "cut short or malformed");
    with_tail(&b, "\x0A\x04\x0A\x09" "ab", 6);
    t5_model("piece longer than its message", &b, "a piece is cut short");
    with_tail(&b, "\x12\x02\x18\x80", 4);
    t5_model("trainer cut", &b, "trainer's part is cut short");
    with_tail(&b, "\x22\x03xyz", 5);
    t5_model("unknown field", &b, NULL);
    free(b.p);
}

/* The model with the map changed at one place. */
static void bad_map(const char *label, size_t at, const void *patch, size_t n, size_t keep, const char *want)
{
    bytes map = {0}, b = {0};
    make_charsmap(&map);
    memcpy(map.p + at, patch, n);
    put_pieces(&b);
    put_trainer(&b, 1, 2);
    put_charsmap(&b, map.p, keep < map.n ? keep : map.n);
    t5_model(label, &b, want);
    free(map.p);
    free(b.p);
}

static void bad_unit(const char *label, size_t i, uint32_t unit, const char *want) { bad_map(label, 4 + 4 * i, &unit, 4, SIZE_MAX, want); }

static void spiece_charsmap(void **state)
{
    (void)state;
    size_t all = SIZE_MAX, leaf = 64 ^ 'A';
    bad_map("whole map", 0, "", 0, all, NULL);
    bad_map("map of three bytes", 0, "", 0, 3, "trie has 0 bytes");
    bad_map("trie cut", 0, "", 0, 1000, "trie has 1024 bytes");
    bad_map("no strings", 0, "", 0, 4 + 1024, "not NUL-terminated");
    bad_map("strings cut", 0, "", 0, 4 + 1024 + 1, "not NUL-terminated");
    bad_map("strings not UTF-8", 4 + 1024, "\xFF", 1, all, "not NUL-terminated");
    bad_map("trie of 1020 bytes", 0, "\xFC\x03\0\0", 4, all, "trie has 1020 bytes");
    bad_map("trie of no bytes", 0, "\0\0\0\0", 4, all, "trie has 0 bytes");
    bad_map("trie of 4 GiB", 0, "\xFF\xFF\xFF\xFF", 4, all, "trie has 4294967295 bytes");
    bad_unit("root is a leaf", 0, 0x80000000u, "root of its trie");
    bad_unit("points outside", leaf, 'A' | 1u << 8 | 256u << 10, "points outside");
    bad_unit("points far outside", leaf, 'A' | 1u << 9 | 0x1FFFFFu << 10, "points outside");
    bad_unit("leaf without value", leaf, 'A' | 1u << 8 | 3u << 10, "a leaf of its trie has no value");
    bad_unit("value outside", leaf ^ 128, 0x80000000u | 2, "a replacement lies outside");
    bad_unit("value far outside", leaf ^ 128, 0xFFFFFFFFu, "a replacement lies outside");
}

/* ---- tokenizer_config.json -------------------------------------------------------------------- */

static void t5_config(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"model_max_length\": 1}", "model_max_length"}, {"{\"model_max_length\": -5}", "model_max_length"},
        {"{\"model_max_length\": \"512\"}", "model_max_length"}, {"{}", "model_max_length"}, {"[]", ""}, {"{", ""},
        {"{\"model_max_length\": 9, \"extra_ids\": -1}", "extra_ids"}, {"{\"model_max_length\": 9, \"extra_ids\": 100000}", "extra_ids"},
        {"{\"model_max_length\": 9, \"pad_token\": \"zz\"}", "no zz"}, {"{\"model_max_length\": 9, \"eos_token\": 3}", "eos_token"},
        {"{\"model_max_length\": 9, \"unk_token\": \"a\"}", "unk_id is 2"},
        {"{\"model_max_length\": 9, \"add_prefix_space\": \"yes\"}", "add_prefix_space"}, {"{\"model_max_length\": 9, \"legacy\": 1}", "legacy"},
        {"{\"model_max_length\": 9, \"model_max_length\": 9}", "duplicate"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": []}", "added_tokens_decoder"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"x\": {\"content\": \"<x>\"}}}", "not the id"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"-1\": {\"content\": \"<x>\"}}}", "not the id"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"99999999\": {\"content\": \"<x>\"}}}", "not the id"},
        {"{\"model_max_length\": 9, \"extra_ids\": 0, \"added_tokens_decoder\": {\"15\": {\"content\": \"<x>\"}}}", "leaves a gap"},
        {"{\"model_max_length\": 9, \"extra_ids\": 0, \"added_tokens_decoder\": {\"4\": {\"content\": \"<x>\"}}}", "is taken"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"4\": {\"content\": \"b\"}}}", "as a piece it has id 5"},
        {"{\"model_max_length\": 9, \"extra_ids\": 0, \"added_tokens_decoder\": {\"14\": {\"content\": \"<x>\"}, \"15\": {\"content\": \"<x>\"}}}", "two ids"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"14\": {\"content\": \"<x>\", \"lstrip\": true}}}", "lstrip"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"14\": {\"content\": \"<x>\", \"normalized\": true}}}", "normalized"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"14\": {\"content\": \"\"}}}", "is empty"},
        {"{\"model_max_length\": 9, \"added_tokens_decoder\": {\"14\": {}}}", "content"},
        {"{\"model_max_length\": 9, \"extra_ids\": 0, \"added_tokens_decoder\": {\"20\": {\"content\": \"[ref#1]\"}}}", "[ref#1] has an id other than"},
        {"{\"model_max_length\": 9, \"extra_ids\": 0, \"added_tokens_decoder\": {\"14\": {\"content\": \"[ref#1]\", \"normalized\": true}}}", NULL},
        {"{\"model_max_length\": 9, \"extra_ids\": 0, \"added_tokens_decoder\": {\"14\": {\"content\": \"<x>\"}}}", NULL},
    };
    bytes b = {0};
    make_spiece(&b);
    write_in(dir, "spiece.model", b.p, b.n);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dreamo_error err;
        write_in(dir, "tokenizer_config.json", rows[i][0], strlen(rows[i][0]));
        dreamo_status s = try_t5(&err);
        check(rows[i][0], s, &err, rows[i][1]);
    }
    free(b.p);
    dreamo_error err;
    write_in(dir, "tokenizer_config.json", small_t5_config, strlen(small_t5_config));
    remove_in(dir, "spiece.model");
    assert_int_equal(try_t5(&err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "spiece.model"));
    remove_in(dir, "tokenizer_config.json");
    assert_int_equal(try_t5(&err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "tokenizer_config.json"));
}

/* ---- tokenizer.json --------------------------------------------------------------------------- */

/* The whole file with `find` replaced by `with`. */
static void json_case(const char *find, const char *with, const char *want)
{
    bytes b = {0}, c = {0};
    dreamo_error err;
    make_tokenizer_json(&b, "first");
    put_byte(&b, 0);
    char *at = strstr((char *)b.p, find);
    assert_non_null(at);
    put(&c, b.p, (size_t)(at - (char *)b.p));
    put_text(&c, with);
    put_text(&c, at + strlen(find));
    write_in(dir, "tokenizer.json", c.p, c.n);
    dreamo_status s = try_t5(&err);
    check(with, s, &err, want);
    free(b.p);
    free(c.p);
}

static void tokenizer_json(void **state)
{
    (void)state;
    remove_in(dir, "spiece.model");
    write_in(dir, "tokenizer_config.json", "{\"model_max_length\": 9}", 23);
    json_case("\"a\"", "\"a\"", NULL);
    json_case("\"Unigram\"", "\"BPE\"", "only type Unigram");
    json_case("\"vocab\": [", "\"vocab\": 3, \"other\": [", "only type Unigram");
    json_case("\"unk_id\": 2", "\"unk_id\": -3", "unk_id");
    json_case("\"unk_id\": 2", "\"unk_id\": 3", "unk_id is 3");
    json_case("\"unk_id\": 2", "\"byte_fallback\": true, \"unk_id\": 2", "byte_fallback");
    json_case("[\"a\", -3.5]", "[\"a\"]", "vocab entry 4");
    json_case("[\"a\", -3.5]", "[\"a\", \"x\"]", "vocab entry 4");
    json_case("[\"a\", -3.5]", "7", "vocab entry 4");
    json_case("[\"a\", -3.5]", "[\"b\", -3.5]", "piece b appears twice");
    json_case("[\"a\", -3.5]", "[\"\", -3.5]", "token 4 is empty");
    json_case("[\"a\", -3.5]", "[\"\xC3\", -3.5]", "");
    json_case("\"Strip\"", "\"NFKC\"", "normalizer NFKC");
    json_case("\"strip_left\": false", "\"strip_left\": true", "normalizer Strip");
    json_case(" {2,}", " {3,}", "normalizer Replace");
    json_case("[{\"type\": \"Strip\"", "[{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"A?==\"}, {\"type\": \"Strip\"", "not base64");
    json_case("[{\"type\": \"Strip\"", "[{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAA\"}, {\"type\": \"Strip\"", "not base64");
    json_case("[{\"type\": \"Strip\"", "[{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAAAA==\"}, {\"type\": \"Strip\"", "trie has 0 bytes");
    json_case("[{\"type\": \"Strip\"", "[{\"type\": \"Precompiled\"}, {\"type\": \"Strip\"", "precompiled_charsmap");
    json_case("\"Metaspace\"", "\"WhitespaceSplit\"", "only a splitting Metaspace");
    json_case("\"first\"", "\"last\"", "prepend_scheme last");
    json_case("\"id\": \"</s>\"", "\"id\": \"<pad>\"", "post_processor");
    json_case("\"post_processor\"", "\"other\"", "post_processor");
    json_case("\"id\": 6", "\"id\": 9", "leaves a gap");
    json_case("\"id\": 6", "\"id\": -1", "id");
    json_case("\"id\": 6", "\"id\": 1e3", "id");
    json_case("\"id\": 6", "\"id\": 6, \"rstrip\": true", "rstrip");
    json_case("[{\"id\": 0", "[5, {\"id\": 0", "");
    json_case("{\"added", "[{\"added", "");
    remove_in(dir, "tokenizer.json");
}

/* ---- CLIP ------------------------------------------------------------------------------------- */

static const char *const merges[] = {"a b", "ab c", "c a</w>", "ab c</w>", NULL};

static void clip_case(const char *label, const char *file, const char *find, const char *with, size_t nwith, const char *want)
{
    bytes vocab = {0}, lines = {0}, config = {0}, made = {0};
    dreamo_error err;
    make_vocab_json(&vocab, merges);
    make_merges(&lines, merges);
    put_text(&config, small_clip_config);
    write_in(dir, "vocab.json", vocab.p, vocab.n);
    write_in(dir, "merges.txt", lines.p, lines.n);
    write_in(dir, "tokenizer_config.json", config.p, config.n);
    bytes *from = file[0] == 'v' ? &vocab : file[0] == 'm' ? &lines : &config;
    unsigned char *at = memmem(from->p, from->n, find, strlen(find));
    assert_non_null(at);
    put(&made, from->p, (size_t)(at - from->p));
    put(&made, with, nwith);
    put(&made, at + strlen(find), from->n - (size_t)(at - from->p) - strlen(find));
    write_in(dir, file, made.p, made.n);
    size_t live = mem_live();
    dreamo_status s = try_clip(&err);
    check(label, s, &err, want);
    assert_int_equal(mem_live(), live);
    free(vocab.p);
    free(lines.p);
    free(config.p);
    free(made.p);
}

static void clip_vocab(const char *find, const char *with, const char *want) { clip_case(with, "vocab.json", find, with, strlen(with), want); }
static void clip_merges(const char *find, const char *with, const char *want) { clip_case(with, "merges.txt", find, with, strlen(with), want); }
static void clip_config(const char *find, const char *with, const char *want) { clip_case(with, "tokenizer_config.json", find, with, strlen(with), want); }

static void clip_files(void **state)
{
    (void)state;
    char huge[4000];
    memset(huge, 'x', sizeof huge);
    clip_vocab("\"ab\": 512", "\"ab\": 512", NULL);
    clip_vocab("\"ab\": 512", "\"ab\": 511", "have the same id 511");
    clip_vocab("\"ab\": 512", "\"ab\": 518", "from 0 to 517");
    clip_vocab("\"ab\": 512", "\"ab\": 4294967808", "from 0 to 517");
    clip_vocab("\"ab\": 512", "\"ab\": -1", "from 0 to 517");
    clip_vocab("\"ab\": 512", "\"ab\": 512.0", "from 0 to 517");
    clip_vocab("\"ab\": 512", "\"ab\": \"512\"", "from 0 to 517");
    clip_vocab("\"ab\": 512", "\"ab\": 512, \"ab\": 512", "duplicate");
    clip_vocab("\"ab\": 512", "\"\": 512", "has 0 bytes");
    clip_vocab("\"ab\": 512", "\"aq\": 512", "ab is not in vocab.json");
    clip_vocab("\"ab\": 512", "\"\xFF\": 512", "");
    clip_vocab("\"<|endoftext|>\"", "\"<|end|>\"", "no token <|endoftext|>");
    clip_vocab("\"<|startoftext|>\"", "\"<|start|>\"", "no token <|startoftext|>");
    clip_vocab("\"x\": ", "\"xx\": ", NULL); /* a byte that the vocabulary lacks is unknown */
    memcpy(huge, "\"ab", 3);
    memcpy(huge + sizeof huge - 6, "\": 512", 6);
    clip_case("huge token", "vocab.json", "\"ab\": 512", huge, sizeof huge, "bytes; 1 to 1024");
    clip_merges("ab c\n", "ab c\r\n", NULL);
    clip_merges("ab c\n", "a b\n", "lines 2 and 3 are the same merge");
    clip_merges("ab c\n", "ab q\n", "abq is not in vocab.json");
    clip_merges("ab c\n", "zz c\n", "zz is not in vocab.json");
    clip_merges("ab c\n", "abc\n", "line 3 is not two symbols");
    clip_merges("ab c\n", "a b c\n", "line 3 is not two symbols");
    clip_merges("ab c\n", "\n", "line 3 is not two symbols");
    clip_merges("ab c\n", " c\n", "line 3 is not two symbols");
    clip_merges("ab c\n", "ab \n", "line 3 is not two symbols");
    clip_merges("ab c\n", "\xFF\xFE c\n", "is not in vocab.json");
    clip_merges("#version: 0.2\n", "", "#version");
    clip_case("NUL", "merges.txt", "ab c\n", "ab\0c\n", 5, "NUL");
    memset(huge, 'x', sizeof huge);
    huge[2000] = ' ';
    clip_case("huge merge", "merges.txt", "ab c", huge, sizeof huge, "more than 1024 bytes");
    clip_config("\"model_max_length\": 16", "\"model_max_length\": 2", "model_max_length");
    clip_config("\"model_max_length\": 16", "\"other\": 16", "model_max_length");
    clip_config("\"<|endoftext|>\"", "\"!\"", "pad_token is !");
    clip_config("\"<|startoftext|>\"", "5", "bos_token");
    clip_config("\"<|startoftext|>\"", "\"<|startoftext|>\", \"added_tokens_decoder\": {\"9\": {\"content\": \"<new>\"}}", "added token <new>");
    dreamo_error err;
    write_in(dir, "tokenizer_config.json", small_clip_config, strlen(small_clip_config));
    write_in(dir, "merges.txt", "", 0);
    assert_int_equal(try_clip(&err), DREAMO_FORMAT);
    write_in(dir, "vocab.json", "[]", 2);
    assert_int_equal(try_clip(&err), DREAMO_FORMAT);
    write_in(dir, "vocab.json", "{}", 2);
    assert_int_equal(try_clip(&err), DREAMO_FORMAT);
    remove_in(dir, "vocab.json");
    assert_int_equal(try_clip(&err), DREAMO_NOT_FOUND);
    remove_in(dir, "merges.txt");
}

/* ---- random damage ---------------------------------------------------------------------------- */

/* Bytes changed, removed, doubled; or the end missing. */
static void damage(rng *r, const bytes *whole, bytes *out)
{
    out->n = 0;
    put(out, whole->p, whole->n);
    if (rng_below(r, 4) == 0) out->n = rng_below(r, (uint32_t)whole->n);
    for (uint32_t i = rng_below(r, 5); i > 0 && out->n; i--) {
        uint32_t at = rng_below(r, (uint32_t)out->n);
        out->p[at] = rng_below(r, 2) ? (unsigned char)rng_u32(r) : (unsigned char)(out->p[at] ^ 1u << rng_below(r, 8));
    }
}

static void damaged(const char *name, const bytes *whole, dreamo_status (*attempt)(dreamo_error *), int rounds)
{
    rng r = rng_new(11, whole->n);
    bytes b = {0};
    int refused = 0;
    size_t live = mem_live();
    for (int i = 0; i < rounds; i++) {
        dreamo_error err;
        damage(&r, whole, &b);
        write_in(dir, name, b.p, b.n);
        dreamo_status s = attempt(&err);
        if (s && s != DREAMO_FORMAT) fail_msg("%s: status %d: %s", name, s, err.message);
        refused += s != DREAMO_OK;
        assert_int_equal(mem_live(), live);
    }
    assert_in_range(refused, rounds / 10, rounds - 1);
    free(b.p);
    remove_in(dir, name);
}

static void random_damage(void **state)
{
    (void)state;
    bytes spiece = {0}, json = {0}, vocab = {0}, lines = {0};
    write_in(dir, "tokenizer_config.json", small_t5_config, strlen(small_t5_config));
    make_spiece(&spiece);
    damaged("spiece.model", &spiece, try_t5, 3000);
    make_tokenizer_json(&json, "first");
    damaged("tokenizer.json", &json, try_t5, 1000);
    write_in(dir, "tokenizer_config.json", small_clip_config, strlen(small_clip_config));
    make_vocab_json(&vocab, merges);
    make_merges(&lines, merges);
    write_in(dir, "vocab.json", vocab.p, vocab.n);
    damaged("merges.txt", &lines, try_clip, 500);
    write_in(dir, "merges.txt", lines.p, lines.n);
    damaged("vocab.json", &vocab, try_clip, 500);
    free(spiece.p);
    free(json.p);
    free(vocab.p);
    free(lines.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spiece_empty), cmocka_unit_test(spiece_pieces), cmocka_unit_test(spiece_wire), cmocka_unit_test(spiece_charsmap), cmocka_unit_test(t5_config),
        cmocka_unit_test(tokenizer_json), cmocka_unit_test(clip_files), cmocka_unit_test(random_damage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
