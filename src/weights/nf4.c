/* nf4.c - the tensors that belong together, and their numbers. */
#include "weights/nf4.h"

#include <stdio.h>
#include <string.h>

#include "base/blocks_decode.h"
#include "format/json.h"

static st_tensor *beside(const st_set *s, const st_tensor *t, const char *suffix)
{
    char name[ST_MAX_NAME + 64];
    snprintf(name, sizeof name, "%s.%s", t->name, suffix);
    st_tensor *found = st_set_find(s, name);
    if (found) found->used = true;
    return found;
}

/* quant_state: {"quant_type": "nf4", "blocksize": 64, "shape": [...], "nested_blocksize": 256, "nested_offset": 0.04, ...} */
static dreamo_status read_state(const st_tensor *state, nf4 *q, dreamo_error *err)
{
    json_t *o;
    int64_t block = 0, nested = 0;
    double offset = 0;
    dreamo_status s = json_parse(state->data, state->nbytes, state->name, &o, err);
    if (s) return s;
    s = json_get_int(o, state->name, "blocksize", 32, 1 << 20, 64, &block, err);
    if (!s) s = json_get_int(o, state->name, "nested_blocksize", 1, 1 << 20, 256, &nested, err);
    if (!s) s = json_get_number(o, state->name, "nested_offset", -1e30, 1e30, 0, &offset, err);
    q->block = (size_t)block;
    q->nested_block = (size_t)nested;
    q->offset = (float)offset;
    json_decref(o);
    return s;
}

static dreamo_status check(const nf4 *q, const st_tensor *t, const st_tensor *map, dreamo_error *err)
{
    size_t blocks = (q->count + q->block - 1) / q->block, nested = (blocks + q->nested_block - 1) / q->nested_block;
    bool ok = q->block % 32 == 0 && map && map->type == DT_F32 && map->count == 16 && q->absmax->count == blocks;
    if (ok && q->absmax->type == DT_U8)
        ok = q->nested_absmax && q->nested_map && q->nested_absmax->type == DT_F32 && q->nested_map->type == DT_F32 && q->nested_map->count == 256 &&
             q->nested_absmax->count == nested;
    else ok = ok && q->absmax->type == DT_F32;
    return ok ? DREAMO_OK : fail(err, DREAMO_FORMAT, "%s: is packed in 4 bits by bitsandbytes, and its absmax or quant_map are missing or of the wrong size", t->name);
}

dreamo_status nf4_find(const st_set *s, st_tensor *t, bool *is, nf4 *out, dreamo_error *err)
{
    static const float common[16] = { BLOCKS_NF4_VALUES };
    *is = false;
    if (t->type != DT_U8) return DREAMO_OK;
    const st_tensor *state = beside(s, t, "quant_state.bitsandbytes__nf4"), *map = beside(s, t, "quant_map");
    *out = (nf4){ .codes = t->data, .count = 2 * t->count, .absmax = beside(s, t, "absmax"), .nested_absmax = beside(s, t, "nested_absmax"),
                  .nested_map = beside(s, t, "nested_quant_map") };
    if (!state || !out->absmax) return DREAMO_OK;
    *is = true;
    dreamo_status status = read_state(state, out, err);
    if (!status) status = check(out, t, map, err);
    if (status) return status;
    memcpy(out->map, map->data, sizeof out->map);
    out->common = memcmp(out->map, common, sizeof common) == 0;
    return DREAMO_OK;
}

static float value_at(const st_tensor *t, size_t i)
{
    float v;
    memcpy(&v, (const char *)t->data + i * sizeof v, sizeof v);
    return v;
}

static float magnitude(const nf4 *q, size_t block)
{
    if (q->absmax->type == DT_F32) return value_at(q->absmax, block);
    return value_at(q->nested_map, ((const unsigned char *)q->absmax->data)[block]) * value_at(q->nested_absmax, block / q->nested_block) + q->offset;
}

void nf4_values(const nf4 *q, size_t from, size_t n, float *dst)
{
    size_t block = (size_t)-1;
    float most = 0;
    for (size_t i = from; i < from + n; i++) {
        if (i / q->block != block) most = magnitude(q, block = i / q->block);
        dst[i - from] = q->map[i % 2 ? q->codes[i / 2] & 15 : q->codes[i / 2] >> 4] * most;
    }
}

void nf4_blocks(const nf4 *q, size_t from, size_t n, unsigned char *dst)
{
    for (size_t i = from; i < from + n; i += 32, dst += 20) {
        float most = magnitude(q, i / q->block);
        memcpy(dst, &most, sizeof most);
        memcpy(dst + sizeof most, q->codes + i / 2, 16);
    }
}
