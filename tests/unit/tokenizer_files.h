/* tokenizer_files.h - makes small vocabularies, whole or broken, for the tests of the tokenizers. */
#ifndef TESTS_TOKENIZER_FILES_H
#define TESTS_TOKENIZER_FILES_H
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "text/tokenizer.h"
#include <cmocka.h> /* last: it defines a macro with the name of our fail() */

/* Bytes that grow. */
typedef struct bytes { unsigned char *p; size_t n, cap; } bytes;

static inline void put(bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n) + 64;
        b->p = realloc(b->p, b->cap);
        assert_non_null(b->p);
    }
    if (n) memcpy(b->p + b->n, data, n);
    b->n += n;
}

static inline void put_text(bytes *b, const char *s) { put(b, s, strlen(s)); }
static inline void put_byte(bytes *b, int c) { put(b, &(unsigned char){(unsigned char)c}, 1); }

static inline void put_varint(bytes *b, uint64_t v)
{
    for (; v > 127; v >>= 7) put_byte(b, (int)(v & 127) | 128);
    put_byte(b, (int)v);
}

static inline void put_field(bytes *b, unsigned number, const void *data, size_t n)
{
    put_varint(b, number << 3 | 2);
    put_varint(b, n);
    put(b, data, n);
}

/* A piece of a SentencePiece model. */
static inline void put_piece(bytes *b, const char *s, size_t n, float score, int kind)
{
    bytes m = {0};
    put_field(&m, 1, s, n);
    put_byte(&m, 2 << 3 | 5);
    put(&m, &score, 4);
    put_byte(&m, 3 << 3);
    put_varint(&m, (uint64_t)kind);
    put_field(b, 1, m.p, m.n);
    free(m.p);
}

/* The trainer's part: model type 1 is unigram. */
static inline void put_trainer(bytes *b, int model_type, int unk_id)
{
    bytes m = {0};
    put_byte(&m, 3 << 3);
    put_varint(&m, (uint64_t)model_type);
    put_varint(&m, 40 << 3);
    put_varint(&m, (uint64_t)unk_id);
    put_field(b, 2, m.p, m.n);
    free(m.p);
}

static inline void put_charsmap(bytes *b, const void *map, size_t n)
{
    bytes m = {0};
    put_field(&m, 2, map, n);
    put_field(b, 3, m.p, m.n);
    free(m.p);
}

/* A map of one entry, 'A' -> "a": 256 units, of which three are used. */
static inline void make_charsmap(bytes *b)
{
    uint32_t units[257] = {1024};
    units[1] = 64u << 10;               /* root: children at 0 ^ 64 ^ label */
    units[1 + (64 ^ 'A')] = (uint32_t)'A' | 1u << 8 | 128u << 10; /* leaf: value at its place ^ 128 */
    units[1 + ((64 ^ 'A') ^ 128)] = 0x80000000u | 0;
    put(b, units, sizeof units);
    put(b, "a\0", 2);
}

/* <pad> </s> <unk> and a few pieces of letters, or fewer. */
static inline void put_pieces(bytes *b)
{
    static const char *const pieces[] = {"\xE2\x96\x81", "a", "b", "c", "ab", "\xE2\x96\x81" "ab", "bc", "abc", "\xC3\xA9", "\xE2\x96\x81" "aa", "d"};
    static const float scores[] = {-2, -3, -3.5f, -4, -4.5f, -4.75f, -5, -6.25f, -5, -6, -7};
    put_piece(b, "<pad>", 5, 0, 3);
    put_piece(b, "</s>", 4, 0, 3);
    put_piece(b, "<unk>", 5, 0, 2);
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) put_piece(b, pieces[i], strlen(pieces[i]), scores[i], 1);
}

static inline void make_spiece(bytes *b)
{
    bytes map = {0};
    make_charsmap(&map);
    put_pieces(b);
    put_trainer(b, 1, 2);
    put_charsmap(b, map.p, map.n);
    free(map.p);
}

static const char small_t5_config[] = "{\"add_prefix_space\": true, \"legacy\": true, \"model_max_length\": 16, \"extra_ids\": 2}";

/* A tokenizer.json with the same pieces, the map by \1. */
static inline void make_tokenizer_json(bytes *b, const char *scheme)
{
    put_text(b, "{\"added_tokens\": [{\"id\": 0, \"content\": \"<pad>\", \"normalized\": false}, {\"id\": 6, \"content\": \"<extra>\", \"normalized\": false}],\n"
                "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Strip\", \"strip_left\": false, \"strip_right\": true},"
                "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, \"content\": \"\xE2\x96\x81\"}]},\n"
                "\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\xE2\x96\x81\", \"prepend_scheme\": \"");
    put_text(b, scheme);
    put_text(b, "\"},\n\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"A\"}}, {\"SpecialToken\": {\"id\": \"</s>\"}}]},\n"
                "\"model\": {\"type\": \"Unigram\", \"unk_id\": 2, \"vocab\": [[\"<pad>\", 0], [\"</s>\", 0], [\"<unk>\", 0], [\"\xE2\x96\x81\", -2.5], [\"a\", -3.5], [\"b\", -4]]}}");
}

/* CLIP: 256 bytes, the same with </w>, the merges' products, start and end; merges is a NULL-terminated list of lines. */
static inline void byte_name(int c, char *out)
{
    int cp = (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || c >= 174 ? c : 0;
    if (!cp) {
        cp = 256;
        for (int i = 0; i < c; i++)
            if (!((i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174)) cp++;
    }
    if (cp < 128) sprintf(out, cp == '"' || cp == '\\' ? "\\%c" : "%c", cp);
    else sprintf(out, "%c%c", 0xC0 | cp >> 6, 0x80 | (cp & 63));
}

static inline void make_vocab_json(bytes *b, const char *const *merges)
{
    char name[64], line[4096];
    int id = 0;
    put_text(b, "{");
    for (int end = 0; end < 2; end++)
        for (int c = 0; c < 256; c++) {
            byte_name(c, name);
            sprintf(line, "\"%s%s\": %d, ", name, end ? "</w>" : "", id++);
            put_text(b, line);
        }
    for (; *merges; merges++) {
        const char *space = strchr(*merges, ' ');
        size_t n = (size_t)snprintf(line, sizeof line, "\"%.*s%s\": ", (int)(space - *merges), *merges, space + 1);
        if (memmem(b->p, b->n, line, n)) continue; /* two merges with one product */
        snprintf(line + n, sizeof line - n, "%d, ", id++);
        put_text(b, line);
    }
    sprintf(line, "\"<|startoftext|>\": %d, \"<|endoftext|>\": %d}", id, id + 1);
    put_text(b, line);
}

static inline void make_merges(bytes *b, const char *const *merges)
{
    put_text(b, "#version: 0.2\n");
    for (; *merges; merges++) {
        put_text(b, *merges);
        put_text(b, "\n");
    }
}

static const char small_clip_config[] = "{\"model_max_length\": 16, \"bos_token\": \"<|startoftext|>\", \"pad_token\": {\"content\": \"<|endoftext|>\"}}";

/* ---- folders ---------------------------------------------------------------------------------- */

static inline char *make_folder(void)
{
    char *dir = strdup("/tmp/dreamo-tokenizer-XXXXXX");
    assert_non_null(dir);
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline void write_in(const char *dir, const char *name, const void *data, size_t n)
{
    char *path = path_join(dir, name);
    dreamo_error err = {0};
    if (file_replace(path, data, n, &err)) fail_msg("%s", err.message);
    mem_free(path);
}

static inline void remove_in(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    remove(path);
    mem_free(path);
}

static inline void drop_folder(char *dir)
{
    dreamo_error err = {0};
    assert_int_equal(folder_remove(dir, &err), DREAMO_OK);
    free(dir);
}
#endif
