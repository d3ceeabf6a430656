/* test_vocab.c - vocabularies of our own: learned merges against the textbook example, unigram ids against SentencePiece's
 * own encoder, and both through our readers. */
#include <sys/wait.h>
#include "base/rng.h"
#include "data/vocab.h"
#include "text/bpe.h"
#include "tokenizer_files.h"

/* "a red biplane above the green hills, 3 clouds": captions such as the dataset has. */
static char **make_captions(size_t n)
{
    static const char *const colours[] = {"red", "blue", "dark green", "yellow", "white", "grey", "orange", "purple", "brown", "pink"};
    static const char *const things[] = {"biplane", "armchair", "teapot", "bicycle", "bookcase", "piano", "cat", "lighthouse", "rooster", "lamp",
                                         "desk", "sailing boat", "guitar", "mushroom", "robot", "fire engine", "cactus", "kettle", "sofa", "owl"};
    static const char *const places[] = {"above green hills", "on the beach", "in a living room", "under a night sky", "beside a river", "on a wooden floor",
                                         "in the snow", "in front of a brick wall", "at sunset", "on plain white"};
    static const char *const tails[] = {"", ".", ", 3 clouds", ", it's raining", " (toy)", ", seen from above", "!", ", 1 sun and 2 moons"};
    char **captions = calloc(n, sizeof *captions);
    rng r = rng_new(3, 1);
    for (size_t i = 0; i < n; i++) {
        captions[i] = malloc(200);
        snprintf(captions[i], 200, "%s %s %s %s%s", rng_below(&r, 4) ? "a" : "A", colours[rng_below(&r, 10)], things[rng_below(&r, 20)],
                 places[rng_below(&r, 10)], tails[rng_below(&r, 8)]);
    }
    return captions;
}

static void drop_captions(char **captions, size_t n)
{
    for (size_t i = 0; i < n; i++) free(captions[i]);
    free(captions);
}

static char *read_in(const char *dir, const char *name, size_t *n)
{
    char *path = path_join(dir, name), *data;
    dreamo_error err = {0};
    if (file_read(path, (size_t)1 << 24, &data, n, &err)) fail_msg("%s", err.message);
    mem_free(path);
    return data;
}

/* Both folders have the same bytes under this name. */
static void expect_same(const char *a, const char *b, const char *name)
{
    size_t na, nb;
    char *da = read_in(a, name, &na), *db = read_in(b, name, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(da, db, na);
    mem_free(da);
    mem_free(db);
}

/* The example of Sennrich et al. (2016): low x5, lower x2, newest x6, widest x3; merges worked out by hand, ties by ids. */
static void textbook_merges(void **state)
{
    (void)state;
    static const char *const captions[] = {"low LOW low low low", "lower lower", "newest newest newest newest newest newest", "widest widest widest"};
    static const char want[] = "#version: 0.2\ne s\nes t</w>\nl o\ne w\nn ew\nnew est</w>\nlo w</w>\nd est</w>\ni dest</w>\nw idest</w>\ne r</w>\nw er</w>\nlo wer</w>\n";
    char *dir = make_folder();
    dreamo_error err = {0};
    size_t n;
    assert_int_equal(vocab_make_bpe(captions, 4, 1500, 32, dir, &err), DREAMO_OK);
    char *merges = read_in(dir, "merges.txt", &n);
    assert_string_equal(merges, want);
    mem_free(merges);
    bpe *t;
    assert_int_equal(bpe_open(dir, &t, &err), DREAMO_OK);
    assert_int_equal(bpe_start(t), 512 + 13);
    assert_int_equal(bpe_end(t), 512 + 14);
    assert_int_equal(bpe_max_length(t), 32);
    assert_string_equal(bpe_piece(t, 0), "!");
    assert_string_equal(bpe_piece(t, 93), "~");
    assert_string_equal(bpe_piece(t, 188), "\xC4\x80"); /* byte 0 */
    assert_string_equal(bpe_piece(t, 256), "!</w>");
    assert_string_equal(bpe_piece(t, 512), "es");
    token_ids out;
    assert_int_equal(bpe_encode(t, "Lowest", 32, &out, &err), DREAMO_OK);
    assert_int_equal(out.n, 5); /* lo w est</w> */
    assert_string_equal(bpe_piece(t, out.ids[1]), "lo");
    assert_string_equal(bpe_piece(t, out.ids[3]), "est</w>");
    mem_free(out.ids);
    bpe_close(t);
    assert_int_equal(vocab_make_bpe(captions, 4, 2, 32, dir, &err), DREAMO_OK);
    merges = read_in(dir, "merges.txt", &n);
    assert_string_equal(merges, "#version: 0.2\ne s\nes t</w>\n");
    mem_free(merges);
    drop_folder(dir);
}

/* FLUX's own order of bytes: ids 0..511 of a vocabulary made by us are those of CLIP. */
static void bytes_like_clip(void **state)
{
    (void)state;
    char *dir = make_folder();
    dreamo_error err = {0};
    bpe *ours, *clip;
    assert_int_equal(vocab_make_bpe(NULL, 0, 0, 77, dir, &err), DREAMO_OK);
    assert_int_equal(bpe_open(dir, &ours, &err), DREAMO_OK);
    assert_int_equal(bpe_open(TEST_DATA "/../../models/flux-dev/tokenizer", &clip, &err), DREAMO_OK);
    for (int i = 0; i < 512; i++) assert_string_equal(bpe_piece(ours, i), bpe_piece(clip, i));
    bpe_close(ours);
    bpe_close(clip);
    drop_folder(dir);
}

/* Captions come back from their pieces, and common words are whole. */
static void bpe_round_trip(void **state)
{
    (void)state;
    enum { N = 4000 };
    char **captions = make_captions(N), *dir = make_folder(), *again = make_folder();
    dreamo_error err = {0};
    bpe *t;
    assert_int_equal(vocab_make_bpe((const char *const *)captions, N, 1500, 32, dir, &err), DREAMO_OK);
    assert_int_equal(vocab_make_bpe((const char *const *)captions, N, 1500, 32, again, &err), DREAMO_OK);
    expect_same(dir, again, "vocab.json");
    expect_same(dir, again, "merges.txt");
    assert_int_equal(bpe_open(dir, &t, &err), DREAMO_OK);
    for (int i = 0; i < N; i++) {
        char text[400] = "", want[400] = "";
        size_t n = 0;
        token_ids out;
        assert_int_equal(bpe_encode(t, captions[i], 100, &out, &err), DREAMO_OK);
        for (int j = 1; j + 1 < out.n; j++) {
            const char *piece = bpe_piece(t, out.ids[j]), *end = strstr(piece, "</w>");
            n += (size_t)snprintf(text + n, sizeof text - n, "%.*s", end ? (int)(end - piece) : (int)strlen(piece), piece);
        }
        for (size_t j = 0, k = 0; captions[i][j]; j++)
            if (captions[i][j] != ' ') want[k++] = captions[i][j] == 'A' ? 'a' : captions[i][j];
        assert_string_equal(text, want);
        assert_in_range(out.n, 5, 24);
        mem_free(out.ids);
    }
    bpe_close(t);
    drop_captions(captions, N);
    drop_folder(dir);
    drop_folder(again);
}

static bool installed(const char *program)
{
    char command[200];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
    return system(command) == 0;
}

/* spm_encode's ids of every caption, a line each. */
static void compare_with_spm_encode(const char *dir, const unigram *t, char **captions, size_t n)
{
    char command[400];
    char *line = NULL;
    size_t room = 0;
    bytes text = {0};
    for (size_t i = 0; i < n; i++) {
        put_text(&text, captions[i]);
        put_text(&text, "\n");
    }
    write_in(dir, "text", text.p, text.n);
    free(text.p);
    snprintf(command, sizeof command, "spm_encode --model=%s/spiece.model --output_format=id %s/text", dir, dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    for (size_t i = 0; i < n; i++) {
        token_ids out;
        dreamo_error err = {0};
        assert_true(getline(&line, &room, f) > 0);
        assert_int_equal(unigram_encode(t, captions[i], 100, &out, &err), DREAMO_OK);
        char *rest = line;
        for (int j = 0; j + 1 < out.n; j++) assert_int_equal(out.ids[j], strtol(rest, &rest, 10));
        assert_int_equal(*rest, '\n');
        mem_free(out.ids);
    }
    free(line);
    assert_int_equal(pclose(f), 0);
}

static void unigram_like_sentencepiece(void **state)
{
    (void)state;
    enum { N = 4000 };
    char **captions = make_captions(N), *dir = make_folder(), *again = make_folder();
    dreamo_error err = {0};
    dreamo_status s = vocab_make_unigram((const char *const *)captions, N, 300, 32, dir, &err);
    if (!installed("spm_train")) {
        assert_int_equal(s, DREAMO_NOT_FOUND);
        assert_non_null(strstr(err.hint, "sentencepiece"));
    } else {
        unigram *t;
        size_t n;
        if (s) fail_msg("%s", err.message);
        assert_int_equal(vocab_make_unigram((const char *const *)captions, N, 300, 32, again, &err), DREAMO_OK);
        expect_same(dir, again, "spiece.model");
        char *model = read_in(dir, "spiece.model", &n);
        assert_null(memmem(model, n, "/tmp", 4)); /* no path of this machine */
        mem_free(model);
        if (unigram_open(dir, &t, &err)) fail_msg("%s", err.message);
        assert_int_equal(unigram_pad(t), 0);
        assert_string_equal(unigram_piece(t, 0), "<pad>");
        assert_string_equal(unigram_piece(t, 1), "</s>");
        assert_string_equal(unigram_piece(t, 2), "<unk>");
        assert_int_equal(unigram_max_length(t), 32);
        assert_in_range(unigram_first_added(t), 100, 300);
        assert_string_equal(unigram_piece(t, unigram_first_added(t) + 9), "[res]");
        token_ids out;
        assert_int_equal(unigram_encode(t, "a [ref#2]", 32, &out, &err), DREAMO_OK);
        assert_int_equal(out.ids[out.n - 2], unigram_first_added(t) + 1);
        mem_free(out.ids);
        if (installed("spm_encode")) compare_with_spm_encode(dir, t, captions, N);
        unigram_close(t);
    }
    drop_captions(captions, N);
    drop_folder(dir);
    drop_folder(again);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"fine", "caf\xE9"}, *const lines[] = {"two\nlines"};
    char *dir = make_folder();
    dreamo_error err = {0};
    size_t live = mem_live();
    assert_int_equal(vocab_make_bpe(bad, 2, 10, 32, dir, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "caption 1"));
    err = (dreamo_error){0};
    assert_int_equal(vocab_make_unigram(bad, 2, 10, 32, dir, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "caption 1"));
    err = (dreamo_error){0};
    assert_int_equal(vocab_make_unigram(lines, 1, 10, 32, dir, &err), DREAMO_FORMAT);
    err = (dreamo_error){0};
    assert_int_equal(vocab_make_bpe(bad, 1, -1, 32, dir, &err), DREAMO_ARG);
    err = (dreamo_error){0};
    assert_int_equal(vocab_make_unigram(bad, 1, 0, 32, dir, &err), DREAMO_ARG);
    err = (dreamo_error){0};
    assert_int_equal(vocab_make_bpe(bad, 1, 10, 32, "/tmp/no/such/parent/folder", &err), DREAMO_NOT_FOUND);
    assert_int_equal(mem_live(), live);
    drop_folder(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(textbook_merges), cmocka_unit_test(bytes_like_clip), cmocka_unit_test(bpe_round_trip),
        cmocka_unit_test(unigram_like_sentencepiece), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
