/* unigram_open.c - T5's vocabulary from a tokenizer_2 folder (spec 6.4, 2.5).
 *
 * The pieces come from spiece.model or from tokenizer.json, whichever transformers would read: a tokenizer_config.json that
 * sets add_prefix_space makes it rebuild everything from spiece.model, otherwise tokenizer.json is used as it is.  A
 * folder with only one of the two is read from that one.  Files that say something this tokenizer does not do are refused. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"
#include "text/spiece.h"
#include "text/unigram.h"
#include "text/utf8.h"

#define LARGEST_FILE ((size_t)64 << 20)
#define MOST_TOKENS  1000000
#define UNK_PENALTY  10.0 /* SentencePiece's kUnkPenalty */

typedef struct reader {
    unigram *t;
    const char *what;   /* file named in messages */
    size_t score_cap;
    int32_t model_unk;
} reader;

static dreamo_status no_memory(const reader *r, dreamo_error *err)
{
    return fail(err, DREAMO_MEMORY, "%s: no memory for the vocabulary", r->what);
}

static dreamo_status check_string(const reader *r, const char *s, size_t n, int id, dreamo_error *err)
{
    if (n == 0) return fail(err, DREAMO_FORMAT, "%s: token %d is empty", r->what, id);
    if (n > LEXICON_LONGEST)
        return fail(err, DREAMO_FORMAT, "%s: token %d has %zu bytes; at most %d are allowed", r->what, id, n, LEXICON_LONGEST);
    if (utf8_bad(s, n) < n || memchr(s, 0, n)) return fail(err, DREAMO_FORMAT, "%s: token %d is not UTF-8 text", r->what, id);
    return DREAMO_OK;
}

/* ---- pieces ----------------------------------------------------------------------------------- */

static dreamo_status add_piece(reader *r, const char *s, size_t n, double score, dreamo_error *err)
{
    unigram *t = r->t;
    if (t->npieces == MOST_TOKENS) return fail(err, DREAMO_FORMAT, "%s: more than %d pieces", r->what, MOST_TOKENS);
    dreamo_status bad = check_string(r, s, n, t->npieces, err);
    if (bad) return bad;
    if (!isfinite(score)) return fail(err, DREAMO_FORMAT, "%s: the score of piece %d is not finite", r->what, t->npieces);
    if ((size_t)t->npieces == r->score_cap) {
        size_t cap = r->score_cap ? 2 * r->score_cap : 4096;
        double *grown = mem_realloc(t->score, cap * sizeof *grown);
        if (!grown) return no_memory(r, err);
        t->score = grown;
        r->score_cap = cap;
    }
    if (!lexicon_add(&t->pieces, s, n, t->npieces)) return no_memory(r, err);
    t->score[t->npieces++] = score;
    if (t->npieces == 1 || score - UNK_PENALTY < t->unk_score) t->unk_score = score - UNK_PENALTY;
    return DREAMO_OK;
}

/* ---- added tokens ----------------------------------------------------------------------------- */

static bool is_ref_name(const char *s)
{
    for (int i = 0; i < NREFS; i++)
        if (strcmp(s, unigram_ref_names[i]) == 0) return true;
    return false;
}

/* A token that is cut out of the raw text.  DreamO's own names are ordinary tokens, so they are not; when a file holds
 * them, give_ref_names has to find the ids that they would have got. */
static dreamo_status add_token(reader *r, const char *s, int32_t id, dreamo_error *err)
{
    unigram *t = r->t;
    dreamo_status bad = check_string(r, s, strlen(s), id, err);
    if (bad) return bad;
    lexicon *set = is_ref_name(s) ? &t->refs : &t->added;
    if (set->n == MOST_TOKENS) return fail(err, DREAMO_FORMAT, "%s: more than %d added tokens", r->what, MOST_TOKENS);
    return lexicon_add(set, s, strlen(s), id) ? DREAMO_OK : no_memory(r, err);
}

/* {"content": ..., "normalized": false, ...} as in tokenizer.json and in tokenizer_config.json's added_tokens_decoder. */
static dreamo_status add_token_json(reader *r, const json_t *o, int64_t id, dreamo_error *err)
{
    const char *content;
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    dreamo_status s = json_get_string(o, r->what, "content", NULL, &content, err);
    if (s) return s;
    for (int i = 0; i < 3; i++) {
        bool on;
        s = json_get_bool(o, r->what, flags[i], false, &on, err);
        if (s) return s;
        if (on) return fail(err, DREAMO_FORMAT, "%s: added token %.64s: %s is not supported", r->what, content, flags[i]);
    }
    bool normalized;
    s = json_get_bool(o, r->what, "normalized", false, &normalized, err);
    if (s) return s;
    if (normalized && !is_ref_name(content)) return fail(err, DREAMO_FORMAT, "%s: added token %.64s: normalized is not supported", r->what, content);
    return add_token(r, content, (int32_t)id, err);
}

/* tokenizer_config.json: {"32000": {"content": ...}, ...} */
static dreamo_status read_decoder(reader *r, const json_t *config, dreamo_error *err)
{
    json_t *decoder = json_object_get(config, "added_tokens_decoder"), *o;
    const char *key;
    if (!decoder) return DREAMO_OK;
    if (!json_is_object(decoder)) return fail(err, DREAMO_FORMAT, "%s: added_tokens_decoder is not an object", r->what);
    json_object_foreach(decoder, key, o) {
        size_t n = strlen(key);
        if (n == 0 || n > 7 || strspn(key, "0123456789") != n || !json_is_object(o))
            return fail(err, DREAMO_FORMAT, "%s: added_tokens_decoder: %.64s is not the id of a token", r->what, key);
        int64_t id = 0;
        for (size_t i = 0; i < n; i++) id = 10 * id + (key[i] - '0');
        dreamo_status s = add_token_json(r, o, id, err);
        if (s) return s;
    }
    return DREAMO_OK;
}

/* ---- spiece.model ----------------------------------------------------------------------------- */

static dreamo_status take_piece(void *user, const char *s, size_t n, float score, spiece_kind kind, dreamo_error *err)
{
    reader *r = user;
    dreamo_status bad = add_piece(r, s, n, (double)score, err);
    if (bad || (kind != SPIECE_CONTROL && kind != SPIECE_USER_DEFINED)) return bad;
    char token[LEXICON_LONGEST + 1];
    memcpy(token, s, n);
    token[n] = 0;
    return add_token(r, token, r->t->npieces - 1, err);
}

/* The pieces, then the sentinels <extra_id_N-1> .. <extra_id_0>, which are not in the file. */
static dreamo_status read_spiece(reader *r, const char *path, int64_t extra_ids, dreamo_error *err)
{
    filemap m = {0};
    spiece_header head;
    r->what = path;
    dreamo_status s = file_map(path, &m, err);
    if (s) return s;
    if (m.nbytes > LARGEST_FILE) s = fail(err, DREAMO_FORMAT, "%s: %zu bytes; at most %zu are allowed", path, m.nbytes, LARGEST_FILE);
    if (!s) s = spiece_parse(m.data, m.nbytes, path, take_piece, r, &head, err);
    if (!s) s = charsmap_open(&r->t->map, head.charsmap, head.ncharsmap, path, err);
    file_unmap(&m);
    if (s) return s;
    r->model_unk = head.unk_id;
    r->t->strip_end = r->t->collapse = true;
    for (int64_t i = extra_ids - 1; i >= 0; i--) {
        char name[32];
        int n = snprintf(name, sizeof name, "<extra_id_%d>", (int)i);
        s = add_piece(r, name, (size_t)n, 0, err);
        if (!s) s = add_token(r, name, r->t->npieces - 1, err);
        if (s) return s;
    }
    return DREAMO_OK;
}

/* ---- tokenizer.json --------------------------------------------------------------------------- */

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* RFC 4648, padded.  out has room for n / 4 * 3 bytes.  false: not base64. */
static bool base64_decode(const char *s, size_t n, unsigned char *out, size_t *nout)
{
    size_t pad = n && s[n - 1] == '=' ? 1u + (n > 1 && s[n - 2] == '=') : 0;
    if (n % 4) return false;
    *nout = n / 4 * 3 - pad;
    for (size_t i = 0; i < n; i += 4) {
        uint32_t v = 0;
        for (size_t j = i; j < i + 4; j++) {
            int d = j >= n - pad ? 0 : base64_digit(s[j]);
            if (d < 0) return false;
            v = v << 6 | (uint32_t)d;
        }
        for (size_t j = 0; j < 3 && i / 4 * 3 + j < *nout; j++) out[i / 4 * 3 + j] = (unsigned char)(v >> (16 - 8 * j));
    }
    return true;
}

static dreamo_status read_charsmap(reader *r, const json_t *o, dreamo_error *err)
{
    const char *text;
    dreamo_status s = json_get_string(o, r->what, "precompiled_charsmap", NULL, &text, err);
    if (s) return s;
    size_t n = strlen(text), nbytes;
    unsigned char *blob = mem_alloc(n / 4 * 3 + 1);
    if (!blob) return no_memory(r, err);
    if (!base64_decode(text, n, blob, &nbytes)) s = fail(err, DREAMO_FORMAT, "%s: precompiled_charsmap is not base64", r->what);
    else s = charsmap_open(&r->t->map, blob, nbytes, r->what, err);
    mem_free(blob);
    return s;
}

static bool has_string(const json_t *o, const char *field, const char *value)
{
    const char *s = json_string_value(json_object_get(o, field));
    return s && strcmp(s, value) == 0;
}

/* One step of the normaliser; *stage is the last step done, and the order is fixed. */
static dreamo_status read_normalizer_step(reader *r, const json_t *o, int *stage, dreamo_error *err)
{
    unigram *t = r->t;
    int this;
    dreamo_status s = DREAMO_OK;
    if (has_string(o, "type", "Precompiled")) {
        this = 1;
    } else if (has_string(o, "type", "Strip") && json_is_false(json_object_get(o, "strip_left")) && json_is_true(json_object_get(o, "strip_right"))) {
        this = 2;
        t->strip_end = true;
    } else if (has_string(o, "type", "Replace") && has_string(json_object_get(o, "pattern"), "Regex", " {2,}") && has_string(o, "content", METASPACE)) {
        this = 3;
        t->collapse = true;
    } else {
        this = 0;
    }
    if (this <= *stage) {
        const char *type = json_string_value(json_object_get(o, "type"));
        return fail(err, DREAMO_FORMAT, "%s: normalizer %.32s with these settings is not supported here; supported are Precompiled, Strip at the right, "
                    "Replace of two or more spaces, in this order", r->what, type ? type : "without a type");
    }
    if (this == 1) s = read_charsmap(r, o, err);
    *stage = this;
    return s;
}

static dreamo_status read_normalizer(reader *r, const json_t *o, dreamo_error *err)
{
    int stage = 0;
    if (!o || json_is_null(o)) return DREAMO_OK;
    if (!has_string(o, "type", "Sequence")) return read_normalizer_step(r, o, &stage, err);
    json_t *steps = json_object_get(o, "normalizers"), *step;
    size_t i;
    json_array_foreach(steps, i, step) {
        dreamo_status s = read_normalizer_step(r, step, &stage, err);
        if (s) return s;
    }
    return DREAMO_OK;
}

static dreamo_status read_pre_tokenizer(reader *r, const json_t *o, dreamo_error *err)
{
    const char *scheme = json_string_value(json_object_get(o, "prepend_scheme"));
    json_t *old = json_object_get(o, "add_prefix_space"), *split = json_object_get(o, "split");
    if (!has_string(o, "type", "Metaspace") || !has_string(o, "replacement", METASPACE) || json_is_false(split)) {
        fail(err, DREAMO_FORMAT, "%s: pre_tokenizer: only a splitting Metaspace with U+2581 is supported", r->what);
        return hint(err, "With spiece.model in the folder and \"add_prefix_space\": true in tokenizer_config.json the file is not needed.");
    }
    if (!scheme) scheme = json_is_false(old) ? "never" : "always";
    if (strcmp(scheme, "never") == 0) r->t->prefix = PREFIX_NEVER;
    else if (strcmp(scheme, "first") == 0) r->t->prefix = PREFIX_FIRST;
    else if (strcmp(scheme, "always") == 0) r->t->prefix = PREFIX_ALWAYS;
    else return fail(err, DREAMO_FORMAT, "%s: prepend_scheme %.32s; never, first, always are allowed", r->what, scheme);
    return DREAMO_OK;
}

static dreamo_status read_model(reader *r, const json_t *o, dreamo_error *err)
{
    json_t *vocab = json_object_get(o, "vocab"), *entry;
    size_t i;
    int64_t unk;
    if (!has_string(o, "type", "Unigram") || !json_is_array(vocab))
        return fail(err, DREAMO_FORMAT, "%s: model: only type Unigram with a vocab list is supported", r->what);
    if (json_is_true(json_object_get(o, "byte_fallback"))) return fail(err, DREAMO_FORMAT, "%s: byte_fallback is not supported", r->what);
    dreamo_status s = json_get_int(o, r->what, "unk_id", 0, MOST_TOKENS, -1, &unk, err);
    if (s) return s;
    r->model_unk = (int32_t)unk;
    json_array_foreach(vocab, i, entry) {
        json_t *piece = json_array_get(entry, 0), *score = json_array_get(entry, 1);
        if (json_array_size(entry) != 2 || !json_is_string(piece) || !json_is_number(score))
            return fail(err, DREAMO_FORMAT, "%s: vocab entry %zu is not [piece, score]", r->what, i);
        s = add_piece(r, json_string_value(piece), json_string_length(piece), json_number_value(score), err);
        if (s) return s;
    }
    return DREAMO_OK;
}

/* The template must be: the text, then the end token. */
static dreamo_status check_template(const reader *r, const json_t *o, const char *eos, dreamo_error *err)
{
    json_t *single = json_object_get(o, "single");
    if (!has_string(o, "type", "TemplateProcessing") || json_array_size(single) != 2 ||
        !json_object_get(json_array_get(single, 0), "Sequence") ||
        !has_string(json_object_get(json_array_get(single, 1), "SpecialToken"), "id", eos))
        return fail(err, DREAMO_FORMAT, "%s: post_processor: only the template of the text and %s is supported", r->what, eos);
    return DREAMO_OK;
}

static dreamo_status read_added(reader *r, const json_t *list, dreamo_error *err)
{
    json_t *o;
    size_t i;
    json_array_foreach(list, i, o) {
        int64_t id;
        dreamo_status s = json_get_int(o, r->what, "id", 0, MOST_TOKENS, -1, &id, err);
        if (!s) s = add_token_json(r, o, id, err);
        if (s) return s;
    }
    return DREAMO_OK;
}

static dreamo_status read_tokenizer_json(reader *r, const char *path, const char *eos, dreamo_error *err)
{
    json_t *root;
    r->what = path;
    dreamo_status s = json_read(path, LARGEST_FILE, &root, err);
    if (s) return s;
    s = read_model(r, json_object_get(root, "model"), err);
    if (!s) s = read_normalizer(r, json_object_get(root, "normalizer"), err);
    if (!s) s = read_pre_tokenizer(r, json_object_get(root, "pre_tokenizer"), err);
    if (!s) s = check_template(r, json_object_get(root, "post_processor"), eos, err);
    if (!s) s = read_added(r, json_object_get(root, "added_tokens"), err);
    json_decref(root);
    return s;
}

/* ---- putting it together ---------------------------------------------------------------------- */

typedef struct settings {
    char pad[LEXICON_LONGEST], eos[LEXICON_LONGEST], unk[LEXICON_LONGEST];
    bool rebuild;         /* transformers makes the tokenizer anew from spiece.model */
    prefix_rule prefix;   /* ... with this rule */
    int64_t extra_ids;
} settings;

/* "pad_token": "<pad>" or {"content": "<pad>"} */
static dreamo_status get_token(const json_t *config, const char *what, const char *field, const char *otherwise, char *out, dreamo_error *err)
{
    json_t *v = json_object_get(config, field);
    if (json_is_object(v)) v = json_object_get(v, "content");
    const char *s = v ? json_string_value(v) : otherwise;
    if (!s || strlen(s) >= LEXICON_LONGEST) return fail(err, DREAMO_FORMAT, "%s: %s is not a token", what, field);
    memcpy(out, s, strlen(s) + 1);
    return DREAMO_OK;
}

static dreamo_status read_settings(reader *r, const json_t *config, settings *set, dreamo_error *err)
{
    const char *what = r->what;
    json_t *add_prefix = json_object_get(config, "add_prefix_space"), *legacy = json_object_get(config, "legacy");
    int64_t max_length;
    dreamo_status s = json_get_int(config, what, "model_max_length", 2, MOST_TOKENS, 1, &max_length, err);
    if (!s) s = json_get_int(config, what, "extra_ids", 0, 10000, 100, &set->extra_ids, err);
    if (!s) s = get_token(config, what, "pad_token", "<pad>", set->pad, err);
    if (!s) s = get_token(config, what, "eos_token", "</s>", set->eos, err);
    if (!s) s = get_token(config, what, "unk_token", "<unk>", set->unk, err);
    if (s) return s;
    r->t->max_length = (int)max_length;
    if ((add_prefix && !json_is_boolean(add_prefix) && !json_is_null(add_prefix)) || (legacy && !json_is_boolean(legacy) && !json_is_null(legacy)))
        return fail(err, DREAMO_FORMAT, "%s: add_prefix_space and legacy must be true, false or null", what);
    set->rebuild = json_is_boolean(add_prefix);
    set->prefix = json_is_false(add_prefix) ? PREFIX_NEVER : json_is_false(legacy) ? PREFIX_FIRST : PREFIX_ALWAYS;
    return DREAMO_OK;
}

static dreamo_status id_of(const reader *r, const char *s, int32_t *id, dreamo_error *err)
{
    const lexeme *e = lexicon_find(&r->t->pieces, s, strlen(s));
    if (!e) return fail(err, DREAMO_FORMAT, "%s: the vocabulary has no %.64s", r->what, s);
    *id = e->value;
    return DREAMO_OK;
}

/* The special tokens are added tokens whether or not a file lists them. */
static dreamo_status add_specials(reader *r, const settings *set, dreamo_error *err)
{
    unigram *t = r->t;
    const char *names[] = {set->pad, set->eos, set->unk};
    int32_t *ids[] = {&t->pad, &t->eos, &t->unk};
    for (int i = 0; i < 3; i++) {
        dreamo_status s = id_of(r, names[i], ids[i], err);
        if (!s) s = add_token(r, names[i], *ids[i], err);
        if (s) return s;
    }
    if (r->model_unk != t->unk)
        return fail(err, DREAMO_FORMAT, "%s: unk_id is %d, but %.64s has id %d", r->what, r->model_unk, set->unk, t->unk);
    return DREAMO_OK;
}

/* Fill in name[]: pieces, then added tokens that are no pieces, then DreamO's ten.  Ids may have neither gaps nor two names. */
static dreamo_status give_names(reader *r, dreamo_error *err)
{
    unigram *t = r->t;
    int total = t->npieces;
    for (int i = 0; i < t->added.n; i++) {
        const lexeme *e = &t->added.sorted[i], *piece = lexicon_find(&t->pieces, e->s, e->n);
        if (piece && piece->value != e->value)
            return fail(err, DREAMO_FORMAT, "%s: added token %.64s has id %d, but as a piece it has id %d", r->what, e->s, e->value, piece->value);
        if (!piece) total++;
    }
    t->first_added = total;
    t->name = mem_calloc((size_t)total + NREFS, sizeof *t->name);
    if (!t->name) return no_memory(r, err);
    for (int i = 0; i < t->pieces.n; i++) t->name[t->pieces.sorted[i].value] = t->pieces.sorted[i].s;
    for (int i = 0; i < t->added.n; i++) {
        const lexeme *e = &t->added.sorted[i];
        if (lexicon_find(&t->pieces, e->s, e->n)) continue;
        if (e->value < 0 || e->value >= total || t->name[e->value])
            return fail(err, DREAMO_FORMAT, "%s: added token %.64s: id %d is taken or leaves a gap; %d to %d are allowed", r->what, e->s, e->value, t->npieces, total - 1);
        t->name[e->value] = e->s;
    }
    return DREAMO_OK;
}

static dreamo_status give_ref_names(reader *r, dreamo_error *err)
{
    unigram *t = r->t;
    for (int i = 0; i < NREFS; i++)
        if (!lexicon_add(&t->refs, unigram_ref_names[i], strlen(unigram_ref_names[i]), t->first_added + i)) return no_memory(r, err);
    const char *twice = lexicon_sort(&t->refs);
    if (twice) return fail(err, DREAMO_FORMAT, "%s: %s has an id other than the next after the vocabulary's %d", r->what, twice, t->first_added);
    for (int i = 0; i < t->refs.n; i++) {
        const lexeme *e = &t->refs.sorted[i];
        if (lexicon_find(&t->pieces, e->s, e->n)) return fail(err, DREAMO_FORMAT, "%s: %s is a piece of the vocabulary", r->what, e->s);
        t->name[e->value] = e->s;
    }
    return DREAMO_OK;
}

static dreamo_status read_folder(reader *r, const char *config_path, const char *spiece, const char *json, dreamo_error *err)
{
    settings set;
    json_t *config;
    r->what = config_path;
    dreamo_status s = json_read(config_path, LARGEST_FILE, &config, err);
    if (s) return s;
    s = read_settings(r, config, &set, err);
    if (!s) s = read_decoder(r, config, err);
    json_decref(config);
    if (s) return s;

    bool have_json = file_exists(json), from_spiece = file_exists(spiece) && (set.rebuild || !have_json);
    if (!have_json && !from_spiece) return fail(err, DREAMO_NOT_FOUND, "%s: no such file, and no tokenizer.json beside it", spiece);
    s = from_spiece ? read_spiece(r, spiece, set.extra_ids, err) : read_tokenizer_json(r, json, set.eos, err);
    if (s) return s;
    if (from_spiece || set.rebuild) r->t->prefix = set.prefix;

    const char *twice = lexicon_sort(&r->t->pieces);
    if (twice) return fail(err, DREAMO_FORMAT, "%s: piece %.64s appears twice", r->what, twice);
    s = add_specials(r, &set, err);
    if (s) return s;
    twice = lexicon_sort(&r->t->added);
    if (twice) return fail(err, DREAMO_FORMAT, "%s: added token %.64s has two ids", r->what, twice);
    s = give_names(r, err);
    return s ? s : give_ref_names(r, err);
}

dreamo_status unigram_open(const char *folder, unigram **out, dreamo_error *err)
{
    *out = NULL;
    unigram *t = mem_calloc(1, sizeof *t);
    char *config = path_join(folder, "tokenizer_config.json"), *spiece = path_join(folder, "spiece.model"), *json = path_join(folder, "tokenizer.json");
    reader r = {.t = t, .what = folder, .model_unk = -1};
    dreamo_status s = t && config && spiece && json ? read_folder(&r, config, spiece, json, err) : no_memory(&r, err);
    mem_free(config);
    mem_free(spiece);
    mem_free(json);
    if (s) unigram_close(t);
    else *out = t;
    return s;
}
