/* matrix.c - a stored matrix of the host in the form that a device has it in. */
#include "backend/ggml/matrix.h"
#include <string.h>
#include "base/half.h"
#include "base/mem.h"

enum { ROWS_A_TASK = 16 };

static enum ggml_type type_of(dtype t)
{
    switch (t) {
    case DT_F32: return GGML_TYPE_F32;
    case DT_Q8_0: return GGML_TYPE_Q8_0;
    case DT_Q6_K: return GGML_TYPE_Q6_K;
    case DT_Q5_K: return GGML_TYPE_Q5_K;
    case DT_Q5_1: return GGML_TYPE_Q5_1;
    case DT_Q5_0: return GGML_TYPE_Q5_0;
    case DT_Q4_K: return GGML_TYPE_Q4_K;
    case DT_Q4_1: return GGML_TYPE_Q4_1;
    case DT_Q4_0: return GGML_TYPE_Q4_0;
    case DT_Q3_K: return GGML_TYPE_Q3_K;
    case DT_Q2_K: return GGML_TYPE_Q2_K;
    default: return GGML_TYPE_BF16;
    }
}

matrix matrix_part(const weight *w, int i)
{
    const weight_part *p = &w->part[i];
    return (matrix){ .data = p->data, .from = p->type, .rows = p->rows, .in = w->in, .row_scale = p->row_scale, .factor = 1, .type = type_of(weight_sent_type(w, i)) };
}

matrix matrix_whole(const weight *w)
{
    matrix m = matrix_part(w, 0);
    m.rows = w->out;
    m.whole = w->nparts > 1 ? w : NULL;
    return m;
}

matrix matrix_biases(const weight *w)
{
    matrix m = { .data = w->part[0].bias, .from = DT_F32, .rows = 1, .in = w->out, .factor = 1, .type = GGML_TYPE_F32, .biases = true };
    m.whole = w->nparts > 1 ? w : NULL;
    return m;
}

static enum ggml_type adapter_type(const weight *w) { return type_of(weight_sent_type_beside(w)); }
matrix matrix_down(const weight *w, const adapter *a) { return (matrix){ .data = a->A, .from = DT_F32, .rows = a->rank, .in = w->in, .factor = 1, .type = adapter_type(w) }; }
matrix matrix_up(const weight *w, const adapter *a) { return (matrix){ .data = a->B, .from = DT_F32, .rows = a->rows, .in = a->rank, .factor = a->scale, .type = adapter_type(w) }; }

matrix matrix_taps(const weight *w, int dy)
{
    const weight_part *p = &w->part[0];
    return (matrix){ .data = p->data, .from = p->type, .rows = p->rows, .in = w->kw * w->in, .row_scale = p->row_scale, .factor = 1, .conv = w, .tap = dy,
                     .type = type_of(weight_sent_type(w, 0)) };
}

matrix matrix_by_tap(const weight *w)
{
    const weight_part *p = &w->part[0];
    return (matrix){ .data = p->data, .from = p->type, .rows = w->kh * w->kw, .in = p->rows, .row_scale = p->row_scale, .factor = 1, .conv = w, .tap = BY_TAP, .type = GGML_TYPE_F32 };
}

size_t matrix_nbytes(const matrix *m) { return ggml_row_size(m->type, m->in) * (size_t)m->rows; }

size_t matrix_room(const state *s, const matrix *m)
{
    struct ggml_context *cx = ggml_init((struct ggml_init_params){ .mem_size = 2 * ggml_tensor_overhead(), .no_alloc = true });
    gt *t = cx ? ggml_new_tensor_2d(cx, m->type, m->in, m->rows) : NULL;
    size_t n = t ? ggml_backend_buft_get_alloc_size(s->type, t) : matrix_nbytes(m);
    ggml_free(cx);
    return (n + s->align - 1) / s->align * s->align;
}

/* ---- from the host's form to the device's ---- */

typedef struct convert_job { const matrix *m; char *out; float *rows; size_t row_nbytes; } convert_job;

/* Row `out` of a row of taps: [out, kw in] from [out, in, kh, kw]. */
static void taps_row(const matrix *m, int out, float *values, float *row)
{
    const weight *w = m->conv;
    int taps = w->kh * w->kw;
    size_t n = (size_t)w->in * (size_t)taps;
    dtype_to_f32(m->from, (const char *)m->data + (size_t)out * dtype_nbytes_of(m->from, n), n, row);
    for (int dx = 0; dx < w->kw; dx++)
        for (int c = 0; c < w->in; c++) values[dx * w->in + c] = row[c * taps + m->tap * w->kw + dx] * (m->row_scale ? m->row_scale[out] : 1);
}

/* Tap `tap` of every channel's filter, from [channels, 1, kh, kw]. */
static void tap_row(const matrix *m, int tap, float *values)
{
    size_t taps = (size_t)m->rows, size = dtype_nbytes_of(m->from, 1);
    for (size_t c = 0; c < (size_t)m->in; c++) {
        dtype_to_f32(m->from, (const char *)m->data + (c * taps + (size_t)tap) * size, 1, values + c);
        if (m->row_scale) values[c] *= m->row_scale[c];
    }
}

/* Rows of m that a worker needs: the one that it makes, and of a convolution all from which it is made. */
static size_t rows_beside(const matrix *m) { return m->conv ? 1 + (size_t)m->conv->kh : 1; }

static void convert_rows(void *user, int task, int worker)
{
    const convert_job *j = user;
    const matrix *m = j->m;
    size_t in = (size_t)m->in, stride = dtype_nbytes_of(m->from, in);
    float *values = j->rows + (size_t)worker * rows_beside(m) * in;
    int end = (task + 1) * ROWS_A_TASK < m->rows ? (task + 1) * ROWS_A_TASK : m->rows;
    for (int r = task * ROWS_A_TASK; r < end; r++) {
        if (m->conv && m->tap == BY_TAP) tap_row(m, r, values);
        else if (m->conv) taps_row(m, r, values, values + in);
        else {
            float scale = m->factor * (m->row_scale ? m->row_scale[r] : 1);
            dtype_to_f32(m->from, (const char *)m->data + (size_t)r * stride, in, values);
            for (size_t i = 0; scale != 1 && i < in; i++) values[i] *= scale;
        }
        char *to = j->out + (size_t)r * j->row_nbytes;
        if (m->type == GGML_TYPE_F32) memcpy(to, values, in * sizeof *values);
        else dtype_from_f32(DT_BF16, values, in, to);
    }
}

bool matrix_is_stored(const matrix *m)
{
    enum ggml_type same = m->from == DT_BF16 ? GGML_TYPE_BF16 : m->from == DT_F16 ? GGML_TYPE_COUNT : type_of(m->from);
    bool kept = m->from != DT_F8_E4M3 && m->from != DT_F8_E5M2 && m->from != DT_NF4 && same == m->type;
    return kept && !m->conv && !m->whole && !m->row_scale && m->factor == 1;
}

static bool convert_whole(state *s, const matrix *m, char *out)
{
    const weight *w = m->whole;
    for (int i = 0; i < w->nparts; i++) {
        matrix part = matrix_part(w, i);
        size_t nbytes = m->biases ? sizeof(float) * (size_t)w->part[i].rows : matrix_nbytes(&part);
        if (m->biases && w->part[i].bias) memcpy(out, w->part[i].bias, nbytes);
        else if (m->biases) memset(out, 0, nbytes);
        else if (!matrix_convert(s, &part, out)) return false;
        out += nbytes;
    }
    return true;
}

bool matrix_convert(state *s, const matrix *m, char *out)
{
    if (m->whole) return convert_whole(s, m, out);
    if (matrix_is_stored(m)) return memcpy(out, m->data, matrix_nbytes(m)), true;
    int workers = pool_threads(s->dev->threads);
    float *rows = mem_alloc((size_t)workers * rows_beside(m) * (size_t)m->in * sizeof *rows);
    if (!rows) return gg_fail(s, DREAMO_MEMORY, "no memory to convert a weight");
    convert_job j = { m, out, rows, ggml_row_size(m->type, m->in) };
    pool_run(s->dev->threads, (m->rows + ROWS_A_TASK - 1) / ROWS_A_TASK, convert_rows, &j);
    mem_free(rows);
    return true;
}
