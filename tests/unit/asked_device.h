/* asked_device.h - which of ggml's devices a test is to run on: DREAMO_TEST_DEVICE, else ggml's CPU. */
#ifndef TESTS_ASKED_DEVICE_H
#define TESTS_ASKED_DEVICE_H
#include <stdlib.h>

static inline const char *asked_device(void)
{
    const char *name = getenv("DREAMO_TEST_DEVICE");
    return name ? name : "ggml:CPU";
}
#endif
