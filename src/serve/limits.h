/* limits.h - what a request may ask for.  The validator enforces these, capabilities and openapi.json announce them. */
#ifndef SERVE_LIMITS_H
#define SERVE_LIMITS_H
#include <stdint.h>

typedef struct limits {
    int64_t body;            /* bytes of a request */
    int64_t pixels;          /* of a picture to be made */
    int64_t upload_pixels;   /* of a picture given */
    int64_t refs, steps, count;
    int64_t queue;
    int64_t prompt;          /* bytes */
    int64_t side;            /* pixels */
    int cell;                /* sides are multiples of it; 1: not known */
} limits;
#endif
