/* image_kernels.h - what OpenCV and Pillow made of stored pictures (golden/kernels), open for a group of tests. */
#ifndef TEST_IMAGE_KERNELS_H
#define TEST_IMAGE_KERNELS_H
#include "format/safetensors.h"

static st_file stored;

static inline int open_stored(void **state)
{
    (void)state;
    return st_open(TEST_DATA "/image-kernels.safetensors", &stored, NULL) == DREAMO_OK ? 0 : -1;
}

static inline int close_stored(void **state)
{
    (void)state;
    st_close(&stored);
    return 0;
}
#endif
