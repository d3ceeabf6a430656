/* dtype.h - how numbers are stored in files and weights. */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H
#include <stddef.h>
typedef enum dtype {
    DT_F32, DT_BF16, DT_F16,             /* what kernels compute from today */
    DT_F64, DT_I64, DT_I32, DT_I16, DT_I8, DT_U64, DT_U32, DT_U16, DT_U8, DT_BOOL, DT_F8_E4M3, DT_F8_E5M2, /* read, converted or refused by name */
    DT_COUNT
} dtype;
const char *dtype_name(dtype t);                    /* safetensors' spelling: "F32", "BF16" */
int         dtype_from_name(const char *s);         /* -1: unknown */
size_t      dtype_nbytes(dtype t);                  /* bytes an element */
/* n values of any type to fp32, rounded to nearest where fp32 has fewer bits.  src need not be aligned. */
void        dtype_to_f32(dtype t, const void *src, size_t n, float *dst);
#endif
