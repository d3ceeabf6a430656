/* matrix.h - what of a weight is sent to a device, and as what: blocks, bf16 and fp32 byte for byte; f16, fp8, NF4 and what has row scales as bf16. */
#ifndef BACKEND_GGML_MATRIX_H
#define BACKEND_GGML_MATRIX_H
#include "backend/ggml/state.h"

enum { BY_TAP = 99 };

/* A matrix of the host as it is to lie on the device. */
typedef struct matrix {
    const void *data;
    dtype from;
    int rows, in;
    const float *row_scale;
    float factor;
    const weight *conv;      /* not NULL: row `tap` of its taps in order of use; BY_TAP: all, a row each */
    int tap;
    enum ggml_type type;
    const weight *whole;     /* not NULL: all its parts one below the other, or with `biases` their biases one after the other */
    bool biases;
} matrix;

matrix matrix_part(const weight *w, int i);
matrix matrix_whole(const weight *w);
matrix matrix_biases(const weight *w);
matrix matrix_down(const weight *w, const adapter *a);
matrix matrix_up(const weight *w, const adapter *a);
matrix matrix_taps(const weight *w, int dy);        /* row dy of a convolution's taps, as [out, kw in] */
matrix matrix_by_tap(const weight *w);              /* of a filter a channel: [kh kw, channels] */
size_t matrix_nbytes(const matrix *m);
size_t matrix_room(const state *s, const matrix *m); /* what it takes there: some devices want quantised rows to end on a border, and clear what is behind */
bool   matrix_is_stored(const matrix *m);           /* the host's bytes are the device's */
bool   matrix_convert(state *s, const matrix *m, char *out);
#endif
