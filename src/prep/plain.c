/* plain.c - things on plain backgrounds, without a network.
 *
 * DreamO's ip references are objects on pure white.  A picture taken against one colour can be brought there by a flood
 * fill from its border; a busy one needs a matting network. */
#include "prep/plain.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { TOLERANCE = 14, WHITE = 250 }; /* levels a channel; JPEG noise around a flat colour stays within the first */

static int border_count(const bitmap *b)
{
    return b->width > 1 && b->height > 1 ? 2 * (b->width + b->height) - 4 : b->width * b->height;
}

/* Offset of the i-th border pixel: top row, bottom row, then the rest of both sides. */
static size_t border_offset(const bitmap *b, int i)
{
    int w = b->width, h = b->height, x, y;
    if (w == 1 || h == 1) return (size_t)i * 3;
    if (i < 2 * w) {
        x = i % w;
        y = i < w ? 0 : h - 1;
    } else {
        x = (i - 2 * w) % 2 ? w - 1 : 0;
        y = 1 + (i - 2 * w) / 2;
    }
    return ((size_t)y * (size_t)w + (size_t)x) * 3;
}

static void median_colour(const bitmap *b, unsigned char out[3])
{
    int n = border_count(b);
    for (int c = 0; c < 3; c++) {
        int histogram[256] = { 0 }, seen = 0, level = 0;
        for (int i = 0; i < n; i++) histogram[b->data[border_offset(b, i) + (size_t)c]]++;
        while ((seen += histogram[level]) * 2 < n) level++;
        out[c] = (unsigned char)level;
    }
}

static bool near_colour(const unsigned char *p, const unsigned char colour[3])
{
    for (int c = 0; c < 3; c++)
        if (abs(p[c] - colour[c]) > TOLERANCE) return false;
    return true;
}

background plain_background(const bitmap *rgb)
{
    unsigned char colour[3];
    int n = border_count(rgb), plain = 0;
    median_colour(rgb, colour);
    for (int i = 0; i < n; i++) plain += near_colour(rgb->data + border_offset(rgb, i), colour);
    if (plain * 20LL < n * 19LL) return BACKGROUND_BUSY; /* a thing may touch the border a little */
    return colour[0] >= WHITE && colour[1] >= WHITE && colour[2] >= WHITE ? BACKGROUND_WHITE : BACKGROUND_PLAIN;
}

dreamo_status plain_mask(const bitmap *rgb, unsigned char *mask, dreamo_error *err)
{
    int w = rgb->width, h = rgb->height;
    size_t pixels = (size_t)w * (size_t)h, top = 0;
    unsigned char colour[3];
    median_colour(rgb, colour);
    /* Each pixel is pushed once at most: its mask falls when it is pushed. */
    int *stack = mem_alloc(pixels * sizeof *stack);
    if (!stack) return fail(err, DREAMO_MEMORY, "no memory to cut out %d x %d pixels", w, h);
    memset(mask, 255, pixels);
    for (int i = 0; i < border_count(rgb); i++) {
        size_t at = border_offset(rgb, i) / 3;
        if (mask[at] && near_colour(rgb->data + at * 3, colour)) {
            mask[at] = 0;
            stack[top++] = (int)at;
        }
    }
    while (top) {
        int at = stack[--top], x = at % w;
        const int next[4] = { x > 0 ? at - 1 : -1, x < w - 1 ? at + 1 : -1, at - w, at + w < w * h ? at + w : -1 };
        for (int k = 0; k < 4; k++)
            if (next[k] >= 0 && mask[next[k]] && near_colour(rgb->data + (size_t)next[k] * 3, colour)) {
                mask[next[k]] = 0;
                stack[top++] = next[k];
            }
    }
    mem_free(stack);
    return DREAMO_OK;
}
