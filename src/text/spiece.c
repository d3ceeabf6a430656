/* spiece.c - SentencePiece model files.
 *
 * The wire format: a message is a row of fields; a field is a varint key (number << 3 | type) and a varint, eight bytes,
 * a length and so many bytes, or four bytes.  Field numbers are those of sentencepiece_model.proto. */
#include "text/spiece.h"
#include <string.h>

typedef struct cursor { const unsigned char *p, *end; } cursor;

typedef struct field {
    uint32_t number;
    int type;                    /* 0 varint, 1 eight bytes, 2 bytes, 5 four bytes */
    uint64_t value;              /* types 0, 1, 5 */
    const unsigned char *data;   /* type 2 */
    size_t nbytes;
} field;

static bool read_varint(cursor *c, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && c->p < c->end; shift += 7) {
        unsigned char b = *c->p++;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (!(b & 0x80)) return *out = v, true;
    }
    return false;
}

static bool read_fixed(cursor *c, size_t nbytes, uint64_t *out)
{
    if ((size_t)(c->end - c->p) < nbytes) return false;
    *out = 0;
    for (size_t i = 0; i < nbytes; i++) *out |= (uint64_t)c->p[i] << (8 * i);
    c->p += nbytes;
    return true;
}

/* The next field; false when the bytes break the rules.  Call while c->p < c->end. */
static bool read_field(cursor *c, field *f)
{
    uint64_t key, n;
    if (!read_varint(c, &key) || key >> 3 == 0 || key >> 3 > 0x1FFFFFFF) return false;
    *f = (field){.number = (uint32_t)(key >> 3), .type = (int)(key & 7)};
    switch (f->type) {
    case 0: return read_varint(c, &f->value);
    case 1: return read_fixed(c, 8, &f->value);
    case 5: return read_fixed(c, 4, &f->value);
    case 2:
        if (!read_varint(c, &n) || n > (uint64_t)(c->end - c->p)) return false;
        f->data = c->p;
        f->nbytes = (size_t)n;
        c->p += n;
        return true;
    default: return false; /* groups are not used by this message */
    }
}

static dreamo_status broken(const char *what, const char *part, dreamo_error *err)
{
    return fail(err, DREAMO_FORMAT, "%s: not a SentencePiece model: %s is cut short or malformed", what, part);
}

/* SentencePiece { piece = 1, score = 2 (float), type = 3 } */
static dreamo_status read_piece(cursor c, const char *what, spiece_fn fn, void *user, dreamo_error *err)
{
    const char *s = "";
    size_t n = 0;
    float score = 0;
    uint64_t kind = SPIECE_NORMAL;
    field f;
    while (c.p < c.end) {
        if (!read_field(&c, &f)) return broken(what, "a piece", err);
        if (f.number == 1 && f.type == 2) s = (const char *)f.data, n = f.nbytes;
        else if (f.number == 2 && f.type == 5) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&score, &bits, 4);
        } else if (f.number == 3 && f.type == 0) kind = f.value;
        else if (f.number <= 3) return broken(what, "a piece", err);
    }
    if (kind < SPIECE_NORMAL || kind > SPIECE_BYTE)
        return fail(err, DREAMO_FORMAT, "%s: a piece has type %llu; 1 to 6 are allowed", what, (unsigned long long)kind);
    return fn(user, s, n, score, (spiece_kind)kind, err);
}

/* TrainerSpec { model_type = 3, byte_fallback = 35, unk_id = 40 } */
static dreamo_status read_trainer(cursor c, const char *what, spiece_header *out, dreamo_error *err)
{
    field f;
    while (c.p < c.end) {
        if (!read_field(&c, &f)) return broken(what, "the trainer's part", err);
        if (f.type != 0) continue;
        if (f.number == 3 && f.value != 1)
            return fail(err, DREAMO_FORMAT, "%s: model type %llu; only 1 (unigram) is supported", what, (unsigned long long)f.value);
        if (f.number == 35 && f.value) return fail(err, DREAMO_FORMAT, "%s: byte fallback is not supported", what);
        if (f.number == 40) out->unk_id = f.value > INT32_MAX ? -1 : (int32_t)f.value;
    }
    return DREAMO_OK;
}

/* NormalizerSpec { precompiled_charsmap = 2 } */
static dreamo_status read_normalizer(cursor c, const char *what, spiece_header *out, dreamo_error *err)
{
    field f;
    while (c.p < c.end) {
        if (!read_field(&c, &f)) return broken(what, "the normaliser's part", err);
        if (f.number == 2 && f.type == 2) out->charsmap = f.data, out->ncharsmap = f.nbytes;
    }
    return DREAMO_OK;
}

/* ModelProto { pieces = 1, trainer_spec = 2, normalizer_spec = 3 } */
dreamo_status spiece_parse(const void *data, size_t nbytes, const char *what, spiece_fn fn, void *user, spiece_header *out, dreamo_error *err)
{
    field f;
    *out = (spiece_header){0};
    if (!nbytes) return fail(err, DREAMO_FORMAT, "%s: is empty", what); /* and has no address to count from */
    cursor c = {data, (const unsigned char *)data + nbytes};
    while (c.p < c.end) {
        if (!read_field(&c, &f)) return broken(what, "the file", err);
        if (f.number > 3) continue;
        if (f.type != 2) return broken(what, "the file", err);
        cursor part = {f.data, f.data + f.nbytes};
        dreamo_status s = f.number == 1 ? read_piece(part, what, fn, user, err)
                        : f.number == 2 ? read_trainer(part, what, out, err) : read_normalizer(part, what, out, err);
        if (s) return s;
    }
    return DREAMO_OK;
}
