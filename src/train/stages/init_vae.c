/* init_vae.c - an encoder that begins as principal components.
 *
 * The path: conv_in copies the three colours; each downsampling but the last moves 2x2 pixels into channels (space to depth),
 * shortcuts copy them; the last downsampling multiplies by the components' axes.  What stands in the way is the head,
 * GroupNorm and SiLU.  Each component is sent as x and -x, and silu(x) - silu(-x) = x.  Each group also gets the constants K
 * and -K: next to them x hardly matters for the group's variance, so GroupNorm divides by a constant, which its gain gives
 * back. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "train/init.h"

static const double big = 16; /* K: the components have variance 1 */

typedef struct coder { params *p; int first, last; } coder;

static param_slot *slot(const coder *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static param_slot *slot(const coder *c, const char *format, ...)
{
    char name[160];
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    for (int i = c->first; i < c->last; i++) {
        const char *have = c->p->slot[i].name;
        size_t n = strlen(have), m = strlen(name);
        if (n >= m && strcmp(have + n - m, name) == 0) return &c->p->slot[i];
    }
    return NULL;
}

/* Value [out, in, ky, kx] of a convolution. */
static float *tap(const coder *c, const param_slot *s, int out, int in, int ky, int kx)
{
    return &c->p->value[s->at + (size_t)(((out * s->shape[1] + in) * s->shape[2] + ky) * s->shape[3] + kx)];
}

static void clear_out(const coder *c, const param_slot *s, int out)
{
    size_t row = s->count / (size_t)s->shape[0];
    memset(c->p->value + s->at + (size_t)out * row, 0, row * sizeof(float));
}

/* Is there a channel for everything? */
static bool fits(const vae_config *c, const pca *from)
{
    int wide = 12, last = c->levels - 1, per_group = c->channels[last] / c->groups;
    if (c->levels < 2 || from->side != vae_factor(c) || from->kept != c->latent_channels || c->image_channels != 3) return false;
    for (int i = 0; i + 1 < last; i++, wide *= 4)
        if (c->channels[i] < wide || c->channels[i + 1] < wide) return false;
    if (c->channels[last - 1] < from->kept || c->channels[last] < from->kept) return false;
    return per_group >= 4 && (from->kept + c->groups - 1) / c->groups <= (per_group - 2) / 2;
}

/* Which channel of the last level holds component k. */
static int place(const vae_config *c, int k)
{
    return k % c->groups * (c->channels[c->levels - 1] / c->groups) + 2 + k / c->groups * 2;
}

static void copy_colours(const coder *x)
{
    const param_slot *in = slot(x, "encoder.conv_in.weight");
    for (int k = 0; k < 3; k++) {
        clear_out(x, in, k);
        *tap(x, in, k, k, 1, 1) = 1;
    }
}

/* Channels 0 .. wide-1 pass a level whose first resnet changes the width. */
static void copy_through(const coder *x, int level, int wide)
{
    const param_slot *s = slot(x, "encoder.down_blocks.%d.resnets.0.conv_shortcut.weight", level);
    for (int k = 0; s && k < wide; k++) {
        clear_out(x, s, k);
        *tap(x, s, k, k, 0, 0) = 1;
    }
}

/* wide channels become 4 wide: channel (dy 2 + dx) wide + k. */
static void space_to_depth(const coder *x, int level, int wide)
{
    const param_slot *s = slot(x, "encoder.down_blocks.%d.downsamplers.0.conv.weight", level);
    for (int d = 0; d < 4; d++)
        for (int k = 0; k < wide; k++) {
            clear_out(x, s, d * wide + k);
            *tap(x, s, d * wide + k, k, d / 2, d % 2) = 1;
        }
}

/* Where a patch's number (y, x, colour) has gone after `levels` such moves: its channel. */
static int channel_of(int y, int x, int colour, int levels)
{
    int channel = colour, wide = 3;
    for (int i = 0; i < levels; i++, wide *= 4, y /= 2, x /= 2) channel += (y % 2 * 2 + x % 2) * wide;
    return channel;
}

/* The last downsampling: component k into channel k. */
static void project(const coder *x, const vae_config *c, const pca *from)
{
    int level = c->levels - 2, side = from->side;
    const param_slot *s = slot(x, "encoder.down_blocks.%d.downsamplers.0.conv.weight", level),
        *b = slot(x, "encoder.down_blocks.%d.downsamplers.0.conv.bias", level);
    for (int k = 0; k < from->kept; k++) {
        double scale = 1 / sqrt(fmax(from->variance[k], 1e-8)), shift = 0;
        clear_out(x, s, k);
        for (int i = 0; i < from->dim; i++) {
            int py = i / (3 * side), px = i / 3 % side;
            double a = from->axis[k * from->dim + i] * scale;
            *tap(x, s, k, channel_of(py, px, i % 3, level), py >> level, px >> level) = (float)a;
            shift -= a * from->mean[i];
        }
        x->p->value[b->at + (size_t)k] = (float)shift;
    }
}

/* Into the last level: components to their pairs of channels, constants beside them. */
static void spread(const coder *x, const vae_config *c, const pca *from)
{
    int last = c->levels - 1, per_group = c->channels[last] / c->groups;
    const param_slot *s = slot(x, "encoder.down_blocks.%d.resnets.0.conv_shortcut.weight", last),
        *b = slot(x, "encoder.down_blocks.%d.resnets.0.conv_shortcut.bias", last);
    for (int g = 0; g < c->groups; g++)
        for (int sign = 0; sign < 2; sign++) {
            clear_out(x, s, g * per_group + sign);
            x->p->value[b->at + (size_t)(g * per_group + sign)] = (float)(sign ? -big : big);
        }
    for (int k = 0; k < from->kept; k++)
        for (int sign = 0; sign < 2; sign++) {
            clear_out(x, s, place(c, k) + sign);
            *tap(x, s, place(c, k) + sign, k, 0, 0) = sign ? -1 : 1;
        }
}

static void read_out(const coder *x, const vae_config *c, const pca *from)
{
    int channels = c->channels[c->levels - 1];
    const param_slot *gain = slot(x, "encoder.conv_norm_out.weight"), *s = slot(x, "encoder.conv_out.weight");
    for (int i = 0; i < channels; i++) x->p->value[gain->at + (size_t)i] = (float)(big / sqrt(channels / c->groups / 2.0));
    for (int k = 0; k < from->kept; k++) {
        clear_out(x, s, k);
        clear_out(x, s, from->kept + k); /* the log variance is its bias */
        *tap(x, s, k, place(c, k), 1, 1) = 1;
        *tap(x, s, k, place(c, k) + 1, 1, 1) = -1;
    }
}

bool init_vae_pca(params *p, int first, const vae_config *c, const pca *from)
{
    coder x = { p, first, p->n };
    if (!fits(c, from) || c->channels[c->levels - 1] == c->channels[c->levels - 2]) return false;
    copy_colours(&x);
    for (int i = 0, wide = 3; i + 1 < c->levels; i++, wide *= 4) {
        copy_through(&x, i, wide);
        if (i + 2 < c->levels) space_to_depth(&x, i, wide);
    }
    project(&x, c, from);
    spread(&x, c, from);
    read_out(&x, c, from);
    return true;
}
