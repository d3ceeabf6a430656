/* raster.c - project, cover, shade. */
#include "data/source/raster.h"
#include <math.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"
#include "data/canvas.h"

#define EYE 4.0       /* distance of the eye from the centre, in bounding radii */
#define AMBIENT 0.55
#define FILL 0.96

typedef struct point { double x, y, w; } point; /* on the screen; w = 1 / distance from the eye, larger is nearer */

typedef struct raster {
    const obj_mesh *m;
    double turn[9], radius; /* rows: camera x, y, z of the mesh's x, y, z */
    double zoom, cx, cy;    /* pixel = c + zoom * projected */
    int side;
    float *near;            /* [side, side] largest w so far */
    unsigned char *rgba;    /* [side, side, 4] */
} raster;

/* ---- geometry ---- */

dreamo_status mesh_normalise(obj_mesh *m, const double rotation[9], const double box[3], const char *what, dreamo_error *err)
{
    double lo[3] = { 1e30, 1e30, 1e30 }, hi[3] = { -1e30, -1e30, -1e30 };
    for (int i = 0; i < m->nv; i++) {
        double v[3];
        for (int k = 0; k < 3; k++) v[k] = rotation[3 * k] * m->v[i][0] + rotation[3 * k + 1] * m->v[i][1] + rotation[3 * k + 2] * m->v[i][2];
        for (int k = 0; k < 3; k++) m->v[i][k] = (float)v[k];
    }
    for (int i = 0; i < m->ntriangles; i++) /* stray vertices do not count */
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 3; k++) {
                double x = m->v[m->triangles[i].v[c]][k];
                lo[k] = x < lo[k] ? x : lo[k];
                hi[k] = x > hi[k] ? x : hi[k];
            }
    double most = 0;
    for (int k = 0; k < 3; k++) most = hi[k] - lo[k] > most ? hi[k] - lo[k] : most;
    if (!(most > 0)) return fail(err, DREAMO_FORMAT, "%s: the mesh has no extent", what);
    for (int i = 0; i < m->nv; i++)
        for (int k = 0; k < 3; k++) {
            double side = hi[k] - lo[k], scale = box[k] > 0 && side > 1e-6 * most ? box[k] / side : 1;
            m->v[i][k] = (float)((m->v[i][k] - (lo[k] + hi[k]) / 2) * scale);
        }
    return DREAMO_OK;
}

/* Of the vertices that triangles use, around the origin. */
static double bounding_radius(const obj_mesh *m)
{
    double most = 0;
    for (int i = 0; i < m->ntriangles; i++)
        for (int c = 0; c < 3; c++) {
            const float *v = m->v[m->triangles[i].v[c]];
            most = fmax(most, (double)v[0] * v[0] + (double)v[1] * v[1] + (double)v[2] * v[2]);
        }
    return sqrt(most);
}

static void set_view(raster *r, view v)
{
    double sy = sine(v.yaw), cy = sine(v.yaw + 0.25), sp = sine(v.pitch), cp = sine(v.pitch + 0.25);
    double turn[9] = { cy, 0, sy, sp * sy, cp, -sp * cy, -cp * sy, sp, cp * cy };
    memcpy(r->turn, turn, sizeof turn);
}

static void to_camera(const raster *r, const float v[3], double out[3])
{
    for (int k = 0; k < 3; k++) out[k] = r->turn[3 * k] * v[0] + r->turn[3 * k + 1] * v[1] + r->turn[3 * k + 2] * v[2];
}

/* Perspective, y downwards, in units in which the centre plane keeps its size. */
static point project(const raster *r, const double c[3])
{
    double eye = EYE * r->radius, w = 1 / (eye - c[2]);
    return (point){ c[0] * eye * w, -c[1] * eye * w, w };
}

static void extent(raster *r, double lo[2], double hi[2])
{
    lo[0] = lo[1] = 1e30, hi[0] = hi[1] = -1e30;
    for (int i = 0; i < r->m->ntriangles; i++)
        for (int c = 0; c < 3; c++) {
            double cam[3];
            to_camera(r, r->m->v[r->m->triangles[i].v[c]], cam);
            point p = project(r, cam);
            lo[0] = p.x < lo[0] ? p.x : lo[0], hi[0] = p.x > hi[0] ? p.x : hi[0];
            lo[1] = p.y < lo[1] ? p.y : lo[1], hi[1] = p.y > hi[1] ? p.y : hi[1];
        }
}

/* ---- shading ---- */

/* Bilinear, repeating; v runs upwards. */
static void texel(const bitmap *t, double u, double v, float out[4])
{
    u = (u - floor(u)) * t->width - 0.5, v = (1 - (v - floor(v))) * t->height - 0.5;
    int x0 = (int)floor(u), y0 = (int)floor(v);
    float fx = (float)(u - x0), fy = (float)(v - y0);
    memset(out, 0, 4 * sizeof *out);
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            int x = (x0 + i + t->width) % t->width, y = (y0 + j + t->height) % t->height;
            const unsigned char *p = t->data + (size_t)t->channels * ((size_t)y * (size_t)t->width + (size_t)x);
            float w = (i ? fx : 1 - fx) * (j ? fy : 1 - fy) / 255;
            for (int k = 0; k < 3; k++) out[k] += w * p[k];
            out[3] += w * (t->channels == 4 ? p[3] : 255);
        }
}

/* Light from the upper left in front of the object; both sides of a face are lit. */
static double lambert(double cam[3][3])
{
    static const double light[3] = { -0.40, 0.62, 0.67 };
    double a[3], b[3], n[3];
    for (int k = 0; k < 3; k++) a[k] = cam[1][k] - cam[0][k], b[k] = cam[2][k] - cam[0][k];
    for (int k = 0; k < 3; k++) n[k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3];
    double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    if (!(length > 0)) return AMBIENT;
    double dot = (n[0] * light[0] + n[1] * light[1] + n[2] * light[2]) / length;
    if (n[2] < 0) dot = -dot; /* the side that faces the viewer */
    return AMBIENT + (1.05 - AMBIENT) * (dot > 0 ? dot : 0);
}

/* Colour `c` with opacity `a` over the pixel (straight alpha). */
static void blend(unsigned char *px, const float c[3], float a)
{
    float under = (float)px[3] / 255 * (1 - a), total = a + under;
    for (int k = 0; k < 3; k++) {
        float v = (c[k] * a + (float)px[k] / 255 * under) / total;
        px[k] = (unsigned char)((v > 1 ? 1 : v) * 255 + 0.5f);
    }
    px[3] = (unsigned char)(total * 255 + 0.5f);
}

/* ---- covering ---- */

typedef struct patch { point p[3]; double uv[3][2]; const obj_material *material; double light; bool textured; } patch;

static void shade_pixel(raster *r, const patch *t, size_t at, const double b[3], double w)
{
    float c[4] = { t->material->colour[0], t->material->colour[1], t->material->colour[2], 1 };
    if (t->textured) { /* perspective-correct: uv / distance is linear on the screen */
        double uv[2];
        for (int k = 0; k < 2; k++) uv[k] = (b[0] * t->uv[0][k] * t->p[0].w + b[1] * t->uv[1][k] * t->p[1].w + b[2] * t->uv[2][k] * t->p[2].w) / w;
        texel(&t->material->texture, uv[0], uv[1], c);
        if (c[3] < 0.5f) return;
    }
    for (int k = 0; k < 3; k++) c[k] *= (float)t->light;
    float opacity = t->material->opacity;
    bool solid = opacity >= 0.99f;
    if (solid) {
        r->near[at] = (float)w;
        memset(r->rgba + 4 * at, 0, 4);
    }
    if (opacity > 0.01f) blend(r->rgba + 4 * at, c, solid ? 1 : opacity);
}

static void cover(raster *r, const patch *t)
{
    const point *p = t->p;
    double area = (p[1].x - p[0].x) * (p[2].y - p[0].y) - (p[2].x - p[0].x) * (p[1].y - p[0].y);
    if (!(area > 1e-9) && !(area < -1e-9)) return;
    double lo_x = fmin(p[0].x, fmin(p[1].x, p[2].x)), hi_x = fmax(p[0].x, fmax(p[1].x, p[2].x));
    double lo_y = fmin(p[0].y, fmin(p[1].y, p[2].y)), hi_y = fmax(p[0].y, fmax(p[1].y, p[2].y));
    int x0 = (int)fmax(0, lo_x), x1 = (int)fmin(r->side - 1, hi_x), y0 = (int)fmax(0, lo_y), y1 = (int)fmin(r->side - 1, hi_y);
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            double px = x + 0.5, py = y + 0.5, b[3];
            b[0] = ((p[1].x - px) * (p[2].y - py) - (p[2].x - px) * (p[1].y - py)) / area;
            b[1] = ((p[2].x - px) * (p[0].y - py) - (p[0].x - px) * (p[2].y - py)) / area;
            b[2] = 1 - b[0] - b[1];
            if (b[0] < 0 || b[1] < 0 || b[2] < 0) continue;
            double w = b[0] * p[0].w + b[1] * p[1].w + b[2] * p[2].w;
            size_t at = (size_t)y * (size_t)r->side + (size_t)x;
            if (w > (double)r->near[at]) shade_pixel(r, t, at, b, w);
        }
}

static void draw_triangle(raster *r, const obj_triangle *f)
{
    patch t = { .material = &r->m->materials[f->material] };
    double cam[3][3];
    t.textured = t.material->texture.data != NULL;
    for (int c = 0; c < 3; c++) {
        to_camera(r, r->m->v[f->v[c]], cam[c]);
        point p = project(r, cam[c]);
        t.p[c] = (point){ r->cx + r->zoom * p.x, r->cy + r->zoom * p.y, p.w };
        if (f->t[c] < 0) t.textured = false;
        else t.uv[c][0] = r->m->t[f->t[c]][0], t.uv[c][1] = r->m->t[f->t[c]][1];
    }
    t.light = lambert(cam);
    cover(r, &t);
}

dreamo_status raster_views(const obj_mesh *m, const view *views, int n, int side, unsigned char *out, dreamo_error *err)
{
    size_t pixels = (size_t)side * (size_t)side;
    raster r = { .m = m, .side = side, .near = mem_alloc(pixels * sizeof(float)) };
    if (!r.near) return fail(err, DREAMO_MEMORY, "no memory for a z-buffer of %d x %d", side, side);
    r.radius = bounding_radius(m);
    if (!(r.radius > 0)) {
        mem_free(r.near);
        return fail(err, DREAMO_FORMAT, "the mesh has no extent");
    }
    double most = 0, lo[2], hi[2];
    for (int i = 0; i < n; i++) {
        set_view(&r, views[i]);
        extent(&r, lo, hi);
        most = fmax(most, fmax(hi[0] - lo[0], hi[1] - lo[1]));
    }
    r.zoom = FILL * side / most;
    memset(out, 0, pixels * 4 * (size_t)n);
    for (int i = 0; i < n; i++) {
        set_view(&r, views[i]);
        extent(&r, lo, hi);
        r.cx = side / 2.0 - r.zoom * (lo[0] + hi[0]) / 2, r.cy = side / 2.0 - r.zoom * (lo[1] + hi[1]) / 2;
        r.rgba = out + 4 * pixels * (size_t)i;
        memset(r.near, 0, pixels * sizeof(float));
        for (int glass = 0; glass < 2; glass++) /* what can be seen through comes last */
            for (int k = 0; k < m->ntriangles; k++)
                if ((m->materials[m->triangles[k].material].opacity < 0.99f) == (glass == 1)) draw_triangle(&r, &m->triangles[k]);
    }
    mem_free(r.near);
    return DREAMO_OK;
}
