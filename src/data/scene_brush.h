/* scene_brush.h - what the shading functions paint with: each covers `rgb` with a flat or shaded colour where a shape is. */
#ifndef DATA_SCENE_BRUSH_H
#define DATA_SCENE_BRUSH_H
#include <stdint.h>
#include <string.h>
#include "data/scene_shade.h"

static inline void cover(float rgb[3], const float with[3], double share)
{
    for (int k = 0; k < 3; k++) rgb[k] += (float)share * (with[k] - rgb[k]);
}

static inline void paint(float rgb[3], float r, float g, float b) { rgb[0] = r, rgb[1] = g, rgb[2] = b; }

static inline void dim(float rgb[3], double by)
{
    for (int k = 0; k < 3; k++) rgb[k] *= (float)by;
}

/* Sky: the colour overhead fading to near white at the horizon. */
static inline void sky(float rgb[3], const float top[3], double v, double horizon)
{
    static const float haze[3] = { 1, 1, 1 };
    memcpy(rgb, top, 3 * sizeof *rgb);
    cover(rgb, haze, 0.55 * (horizon > 0 ? v / horizon : 1));
}

static inline bool disc(place p, double x, double y, double radius)
{
    double dx = p.u - x, dy = p.v - y;
    return dx * dx + dy * dy < radius * radius;
}

/* A line of hills: height above the horizon at u. */
static inline double wave(double u, double waves, double shift, double height)
{
    return height * (0.5 + 0.5 * sine(u * waves + shift));
}

/* A repeated triangle, 1 at its peak. */
static inline double peak(double u, double count, double shift)
{
    double t = u * count + shift;
    t -= (double)(int)t;
    return 1 - 2 * (t > 0.5 ? t - 0.5 : 0.5 - t);
}

/* A fixed random number in 0..1 for a cell. */
static inline double cell(int i, int j, double seed)
{
    uint32_t h = (uint32_t)i * 374761393u + (uint32_t)j * 668265263u + (uint32_t)(seed * 1e6) * 2246822519u;
    h = (h ^ (h >> 13)) * 1274126177u;
    h ^= h >> 16;
    return h / 4294967296.0;
}

static inline double share(double x) { return x - (double)(long long)(x < 0 ? x - 1 : x); } /* the part after the point, 0..1 */

/* How far down the ground a place lies, 0 at the horizon, 1 at the lower border. */
static inline double depth_of(const scene *s, place p) { return s->horizon < 1 ? (p.v - s->horizon) / (1 - s->horizon) : p.v; }

/* The ground plane seen in perspective: sideways and away, in steps of about a tile; `far` is the distance of the horizon's steps. */
static inline void ground(const scene *s, place p, double *across, double *away)
{
    double near = 0.12 + depth_of(s, p);
    *across = p.mid / near * 2, *away = 1.6 / near;
}

#endif
