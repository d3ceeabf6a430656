/* test_tokens.c - the public tokenizer of a model folder: ids, pieces, what is cut, failures that leave nothing behind. */
#include "tokenizer_files.h"

static const char prompt[] = "a photo of a cat";

static void ids_and_pieces(void **state)
{
    (void)state;
    static const int32_t clip[] = {49406, 320, 1125, 539, 320, 2368, 49407}; /* spec 12 */
    dreamo_tokens t;
    dreamo_error err = {0};
    if (dreamo_tokenize(TEST_DATA "/../../models/flux-dev", prompt, &t, &err)) fail_msg("%s", err.message);
    assert_int_equal(t.nclip, 7);
    for (int i = 0; i < 7; i++) assert_int_equal(t.clip[i], clip[i]);
    assert_string_equal(t.clip_piece[0], "<|startoftext|>");
    assert_string_equal(t.clip_piece[5], "cat</w>");
    assert_string_equal(t.t5_piece[0], "\xE2\x96\x81");
    assert_string_equal(t.t5_piece[t.nt5 - 1], "</s>");
    assert_null(t.t5_cut);
    assert_null(t.clip_cut);
    dreamo_tokens_free(&t);
    dreamo_tokens_free(&t); /* twice is harmless */
    dreamo_tokens_free(NULL);
}

/* 90 words fit 512 T5 tokens but not 77 of CLIP; 600 fit neither. */
static void cut_texts(void **state)
{
    (void)state;
    static const int words[] = {75, 90, 600};
    dreamo_tokenizer *tokenizer;
    dreamo_error err = {0};
    assert_int_equal(dreamo_tokenizer_open(TEST_DATA "/../../models/flux-dev", &tokenizer, &err), DREAMO_OK);
    for (size_t i = 0; i < 3; i++) {
        bytes text = {0};
        dreamo_tokens t;
        for (int w = 0; w < words[i]; w++) put_text(&text, w ? " dog" : "dog");
        assert_int_equal(dreamo_tokenizer_run(tokenizer, (char *)text.p, text.n, &t, &err), DREAMO_OK);
        assert_int_equal(t.nclip, 77);
        assert_int_equal(t.nt5, words[i] < 512 ? words[i] + 1 : 512);
        if (words[i] == 75) assert_null(t.clip_cut);
        else assert_int_equal(strlen(t.clip_cut), 4 * (size_t)(words[i] - 75) - 1);
        if (words[i] < 512) assert_null(t.t5_cut);
        else assert_int_equal(strlen(t.t5_cut), 4 * (size_t)(words[i] - 511) - 1);
        dreamo_tokens_free(&t);
        free(text.p);
    }
    dreamo_tokenizer_close(tokenizer);
    dreamo_tokenizer_close(NULL);
}

static void failures(void **state)
{
    (void)state;
    dreamo_tokens t;
    dreamo_tokenizer *tokenizer;
    dreamo_error err = {0};
    size_t live = mem_live();
    assert_int_equal(dreamo_tokenize("/no/such/folder", prompt, &t, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "/no/such/folder"));
    err = (dreamo_error){0};
    assert_int_equal(dreamo_tokenize(TEST_DATA, prompt, &t, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "tokenizer_2"));
    err = (dreamo_error){0};
    assert_int_equal(dreamo_tokenizer_open(TEST_DATA "/../../models/flux-dev", &tokenizer, &err), DREAMO_OK);
    assert_int_equal(dreamo_tokenizer_run(tokenizer, "ab\xFFz", 4, &t, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "offset 2"));
    assert_null(t.t5);
    assert_int_equal(dreamo_tokenize(TEST_DATA "/../../models/flux-dev", prompt, &t, NULL), DREAMO_OK); /* the next call works, without an error struct */
    dreamo_tokens_free(&t);
    dreamo_tokenizer_close(tokenizer);
    assert_int_equal(mem_live(), live);
}

static void failing_allocations(void **state)
{
    (void)state;
    dreamo_tokens t;
    dreamo_tokenizer *tokenizer;
    dreamo_error err = {0};
    bytes text = {0};
    for (int i = 0; i < 600; i++) put_text(&text, "dog ");
    assert_int_equal(dreamo_tokenizer_open(TEST_DATA "/../../models/flux-dev", &tokenizer, &err), DREAMO_OK);
    size_t live = mem_live();
    dreamo_status s = DREAMO_MEMORY;
    for (long n = 1; s; n += n < 40 ? 1 : 37) {
        err = (dreamo_error){0};
        mem_fail_at(n);
        s = dreamo_tokenizer_run(tokenizer, (char *)text.p, text.n, &t, &err);
        mem_fail_at(0);
        if (s) assert_int_equal(s, DREAMO_MEMORY);
        else dreamo_tokens_free(&t);
        assert_int_equal(mem_live(), live);
    }
    dreamo_tokenizer_close(tokenizer);
    free(text.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_pieces), cmocka_unit_test(cut_texts), cmocka_unit_test(failures), cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
