/* tokens.c - what the two text encoders of a model read of a prompt (the public dreamo_tokenize).
 *
 * Both tokenizers of a model folder are opened together; how much of a text is read is what their files say
 * (model_max_length: 512 and 77 for FLUX, end and start tokens included). */
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "weights/default_model.h"
#include "text/tokenizer.h"

struct dreamo_tokenizer {
    unigram *t5;
    bpe *clip;
};

static dreamo_status open_both(const char *model_dir, dreamo_tokenizer **out, dreamo_error *err)
{
    if (!folder_exists(model_dir)) return fail(err, DREAMO_NOT_FOUND, "%s: no such model folder", model_dir);
    dreamo_tokenizer *t = mem_calloc(1, sizeof *t);
    char *t5 = path_join(model_dir, "tokenizer_2"), *clip = path_join(model_dir, "tokenizer");
    dreamo_status s = t && t5 && clip ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for the tokenizers", model_dir);
    if (!s) s = unigram_open(t5, &t->t5, err);
    if (!s) s = bpe_open(clip, &t->clip, err);
    mem_free(t5);
    mem_free(clip);
    if (s) dreamo_tokenizer_close(t);
    else *out = t;
    return s;
}

dreamo_status dreamo_tokenizer_open(const char *model_dir, dreamo_tokenizer **out, dreamo_error *err)
{
    if (out) *out = NULL;
    if (!model_dir || !out) return fail(err, DREAMO_ARG, "the %s is missing", model_dir ? "place for the tokenizers" : "model folder");
    char *folder = model_folder(model_dir);
    dreamo_status s = folder ? open_both(folder, out, err) : fail(err, DREAMO_MEMORY, "%s: no memory", model_dir);
    mem_free(folder);
    return s;
}

void dreamo_tokenizer_close(dreamo_tokenizer *t)
{
    if (!t) return;
    unigram_close(t->t5);
    bpe_close(t->clip);
    mem_free(t);
}

/* A copy of n strings.  NULL: no memory; what was copied is in *out for dreamo_tokens_free. */
static bool copy_pieces(char ***out, int n, const int32_t *ids, const void *t, bool is_t5)
{
    *out = mem_calloc((size_t)n, sizeof **out);
    for (int i = 0; *out && i < n; i++) {
        const char *piece = is_t5 ? unigram_piece(t, ids[i]) : bpe_piece(t, ids[i]);
        if (!((*out)[i] = mem_strdup(piece))) return false;
    }
    return *out;
}

/* The part of the text that was not read, without the space before it; *out stays NULL when all was. */
static bool copy_cut(char **out, const char *text, size_t nbytes, size_t cut_at)
{
    while (cut_at < nbytes && text[cut_at] == ' ') cut_at++;
    if (cut_at == nbytes) return true;
    *out = mem_alloc(nbytes - cut_at + 1);
    if (!*out) return false;
    memcpy(*out, text + cut_at, nbytes - cut_at);
    (*out)[nbytes - cut_at] = 0;
    return true;
}

dreamo_status dreamo_tokenizer_run(const dreamo_tokenizer *t, const char *text, size_t nbytes, dreamo_tokens *out, dreamo_error *err)
{
    token_ids t5, clip;
    if (!t || !text || !out) return fail(err, DREAMO_ARG, "%s", !t ? "the tokenizers are missing" : !text ? "the text is missing" : "the place for the tokens is missing");
    *out = (dreamo_tokens){0};
    dreamo_status s = unigram_encode_n(t->t5, text, nbytes, unigram_max_length(t->t5), &t5, err);
    if (s) return s;
    out->t5 = t5.ids;
    out->nt5 = t5.n;
    s = bpe_encode_n(t->clip, text, nbytes, bpe_max_length(t->clip), &clip, err);
    if (!s) {
        out->clip = clip.ids;
        out->nclip = clip.n;
        if (!copy_pieces(&out->t5_piece, t5.n, t5.ids, t->t5, true) || !copy_pieces(&out->clip_piece, clip.n, clip.ids, t->clip, false) ||
            (t5.nunknown && !(out->t5_unknown = mem_strdup(t5.unknown))) ||
            !copy_cut(&out->t5_cut, text, nbytes, t5.cut_at) || !copy_cut(&out->clip_cut, text, nbytes, clip.cut_at))
            s = fail(err, DREAMO_MEMORY, "no memory for the tokens of a prompt of %zu bytes", nbytes);
    }
    if (s) dreamo_tokens_free(out);
    return s;
}

dreamo_status dreamo_tokenize(const char *model_dir, const char *text, dreamo_tokens *out, dreamo_error *err)
{
    dreamo_tokenizer *t;
    if (!text || !out) return fail(err, DREAMO_ARG, "the %s is missing", text ? "place for the tokens" : "text");
    *out = (dreamo_tokens){0};
    dreamo_status s = dreamo_tokenizer_open(model_dir, &t, err);
    if (!s) s = dreamo_tokenizer_run(t, text, strlen(text), out, err);
    dreamo_tokenizer_close(t);
    return s;
}

static void free_pieces(char **pieces, int n)
{
    for (int i = 0; pieces && i < n; i++) mem_free(pieces[i]);
    mem_free(pieces);
}

void dreamo_tokens_free(dreamo_tokens *t)
{
    if (!t) return;
    free_pieces(t->t5_piece, t->nt5);
    free_pieces(t->clip_piece, t->nclip);
    mem_free(t->t5);
    mem_free(t->clip);
    mem_free(t->t5_unknown);
    mem_free(t->t5_cut);
    mem_free(t->clip_cut);
    *t = (dreamo_tokens){0};
}
