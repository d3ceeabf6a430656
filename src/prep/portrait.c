/* portrait.c - the face of a person, upright in a square of 512 pixels, on white (spec 3). */
#include "prep/work.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "image/resize.h"
#include "image/warp.h"

enum { LONG_EDGE = 1024, LEAST_SIDE = 24 };

/* Where the eyes, the nose and the corners of the mouth belong (spec 3.4). */
static const double template[5][2] = { { 192.98138, 239.94708 }, { 318.90277, 240.1936 }, { 256.63416, 314.01935 }, { 201.26117, 371.41043 }, { 313.08905, 371.15118 } };
static const unsigned char border[3] = { 132, 133, 135 };

/* ---- finding ---- */

/* Never larger, and truncated, in doubles (spec 1.2). */
static dreamo_status limit_edge(bitmap *rgb, dreamo_error *err)
{
    int longest = rgb->width > rgb->height ? rgb->width : rgb->height;
    if (longest <= LONG_EDGE) return DREAMO_OK;
    double k = (double)LONG_EDGE / longest;
    int w = (int)(rgb->width * k), h = (int)(rgb->height * k);
    bitmap small;
    dreamo_status s = resize_area(rgb, w > 0 ? w : 1, h > 0 ? h : 1, &small, err);
    if (s) return s;
    bitmap_free(rgb);
    *rgb = small;
    return DREAMO_OK;
}

static dreamo_status look(work *w, dreamo_error *err)
{
    if (w->looked) return DREAMO_OK;
    dreamo_status s = w->t->faces ? DREAMO_OK : face_net_open(w->t->at.path[PLACE_FACES], &w->t->faces, err);
    if (!s) s = face_net_find(w->t->faces, w->t->dev, &w->rgb, 0, &w->found, work_tick, w, err);
    w->looked = !s;
    return s;
}

static double middle_of(const face *f) { return (f->box[0] + f->box[2]) / 2.0; }

static double from_centre(const face *f, const bitmap *rgb)
{
    return hypot(middle_of(f) - rgb->width / 2.0, (f->box[1] + f->box[3]) / 2.0 - rgb->height / 2.0);
}

/* The number of a face, counted from left to right, from 1. */
static int number_of(const face_list *l, int i)
{
    int n = 1;
    for (int k = 0; k < l->n; k++) n += middle_of(&l->faces[k]) < middle_of(&l->faces[i]) || (k < i && middle_of(&l->faces[k]) == middle_of(&l->faces[i]));
    return n;
}

static dreamo_status no_face(const work *w, dreamo_error *err)
{
    fail(err, DREAMO_CONTENT, "%s: no face found (id needs one); the best score was %.2f, above %.2f is one", w->name, (double)w->found.best, (double)w->found.threshold);
    return hint(err, "give the part with the face by box=x,y,w,h, take the picture as a thing (ip), or as it is by cut=off");
}

/* The one that was asked for, else the nearest to the centre, of equal ones the surest (spec 3.3). */
static dreamo_status choose(work *w, int *chosen, dreamo_error *err)
{
    const face_list *l = &w->found;
    *chosen = 0;
    if (l->n == 0) return no_face(w, err);
    for (int i = 0; i < l->n; i++) {
        if (w->r->face && number_of(l, i) == w->r->face) *chosen = i;
        if (!w->r->face && from_centre(&l->faces[i], &w->rgb) < from_centre(&l->faces[*chosen], &w->rgb)) *chosen = i;
    }
    if (w->r->face <= l->n) return DREAMO_OK;
    fail(err, DREAMO_CONTENT, "%s: face=%d, but there %s %d", w->name, w->r->face, l->n == 1 ? "is" : "are", l->n);
    return hint(err, "faces are counted from left to right, from 1");
}

static dreamo_status find_face(work *w, affine *to_crop, int *chosen, dreamo_error *err)
{
    double points[5][2];
    if (w->rgb.width < LEAST_SIDE || w->rgb.height < LEAST_SIDE)
        return fail(err, DREAMO_CONTENT, "%s: %d x %d pixels are too small for id, which needs a face", w->name, w->rgb.width, w->rgb.height);
    dreamo_status s = limit_edge(&w->rgb, err);
    if (!s) s = look(w, err);
    if (!s) s = choose(w, chosen, err);
    if (s) return s;
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 2; k++) points[i][k] = w->found.faces[*chosen].landmark[i][k];
    return similarity_lmeds((const double (*)[2])points, template, to_crop, NULL, err);
}

static dreamo_status parse(work *w, const bitmap *crop, unsigned char *labels, dreamo_error *err)
{
    dreamo_status s = w->t->parser ? DREAMO_OK : parse_net_open(w->t->at.path[PLACE_PARSER], &w->t->parser, err);
    return s ? s : parse_net_labels(w->t->parser, w->t->dev, crop, labels, work_tick, w, err);
}

static void say_which(work *w, int chosen, const char *whitened)
{
    const face *f = &w->found.faces[chosen];
    snprintf(w->how, sizeof w->how, "face %d of %d (%.2f) by %s%s%s", number_of(&w->found, chosen), w->found.n, (double)f->score, face_net_name(w->t->faces), whitened ? ", whitened by " : "",
             whitened ? whitened : "");
}

/* ---- id ---- */

/* 255 where the labels say the person's face or hair (spec 3.6); in place. */
void keep_face(unsigned char *labels)
{
    static const bool gone[PARSE_CLASSES] = { [0] = true, [7] = true, [8] = true, [9] = true, [14] = true, [15] = true, [16] = true, [18] = true };
    for (int i = 0; i < PARSE_SIDE * PARSE_SIDE; i++) labels[i] = labels[i] < PARSE_CLASSES && gone[labels[i]] ? 0 : 255;
}

/* Without a parser the next best: the whole person, with neck and clothes, as the network that cuts things out sees it in the picture.  *by NULL: none is there;
 * our own small one is not trusted with faces. */
static dreamo_status person_mask(work *w, const affine *to_crop, unsigned char *mask, bool *found, const char **by, dreamo_error *err)
{
    static const unsigned char nothing[3] = { 0 };
    size_t n = (size_t)w->rgb.width * (size_t)w->rgb.height;
    bitmap whole = { 0 }, crop = { 0 };
    if (!w->t->at.path[PLACE_BEN2] && !w->t->at.path[PLACE_ISNET]) return DREAMO_OK;
    dreamo_status s = bitmap_new(&whole, w->rgb.width, w->rgb.height, 3, err);
    if (!s) s = cut_mask(w, &w->rgb, whole.data, found, by, err);
    for (size_t i = s ? 0 : n; i-- > 0;) memset(whole.data + 3 * i, whole.data[i], 3); /* from the last: each byte is read before it is overwritten */
    if (!s) s = warp_affine(&whole, to_crop, PARSE_SIDE, PARSE_SIDE, nothing, &crop, err);
    for (int i = 0; i < PARSE_SIDE * PARSE_SIDE && !s; i++) mask[i] = crop.data[3 * i];
    bitmap_free(&whole);
    bitmap_free(&crop);
    return s;
}

static dreamo_status whiten_crop(work *w, const affine *to_crop, bitmap *crop, const char **by, dreamo_error *err)
{
    bool found = true;
    unsigned char *mask = mem_alloc(PARSE_SIDE * PARSE_SIDE);
    dreamo_status s = mask ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for its labels", w->name);
    *by = NULL;
    if (!s && w->t->at.path[PLACE_PARSER]) {
        s = parse(w, crop, mask, err);
        if (!s) keep_face(mask);
        if (!s) *by = parse_net_name(w->t->parser);
    } else if (!s) {
        s = person_mask(w, to_crop, mask, &found, by, err);
    }
    if (!s && *by && found) whiten(crop, mask);
    else *by = NULL;
    mem_free(mask);
    return s;
}

dreamo_status cut_face(work *w, dreamo_error *err)
{
    affine to_crop;
    bitmap crop = { 0 };
    const char *by = NULL;
    int chosen = 0;
    snprintf(w->how, sizeof w->how, "as it is");
    if (w->r->cut == DREAMO_CUT_OFF) return DREAMO_OK;
    if (!w->t->at.path[PLACE_FACES])
        return work_note(w, DREAMO_EVENT_WARNING, err, "%s: no network that finds faces is there (dreamo fetch prep, or tools/fetch-prep-free.sh): the whole picture is used (cut=off says so silently)", w->name);
    dreamo_status s = find_face(w, &to_crop, &chosen, err);
    if (!s) s = warp_affine(&w->rgb, &to_crop, PARSE_SIDE, PARSE_SIDE, border, &crop, err);
    if (!s) s = whiten_crop(w, &to_crop, &crop, &by, err);
    if (!s && !by)
        s = work_note(w, DREAMO_EVENT_NOTE, err, "%s: no network is there that tells a face from what is around it (dreamo fetch prep): the background stays", w->name);
    if (s) {
        bitmap_free(&crop);
        return s;
    }
    say_which(w, chosen, by);
    bitmap_free(&w->rgb);
    w->rgb = crop;
    return DREAMO_OK;
}

/* ---- clothes ---- */

/* The part of the picture that the mask leaves, with a border of a twentieth. */
static dreamo_status crop_to(bitmap *rgb, const unsigned char *mask, dreamo_error *err)
{
    int x0 = rgb->width, x1 = -1, y0 = rgb->height, y1 = -1;
    for (int y = 0; y < rgb->height; y++)
        for (int x = 0; x < rgb->width; x++)
            if (mask[(size_t)y * (size_t)rgb->width + (size_t)x]) {
                x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1;
                y0 = y < y0 ? y : y0, y1 = y;
            }
    if (x1 < 0) return DREAMO_OK;
    int rim = ((x1 - x0 > y1 - y0 ? x1 - x0 : y1 - y0) + 1) / 20;
    bitmap out;
    dreamo_status s = bitmap_new(&out, x1 - x0 + 1 + 2 * rim, y1 - y0 + 1 + 2 * rim, 3, err);
    if (s) return s;
    memset(out.data, 255, 3 * (size_t)out.width * (size_t)out.height);
    for (int y = y0; y <= y1; y++)
        memcpy(out.data + 3 * ((size_t)(y - y0 + rim) * (size_t)out.width + (size_t)rim), rgb->data + 3 * ((size_t)y * (size_t)rgb->width + (size_t)x0), 3 * (size_t)(x1 - x0 + 1));
    bitmap_free(rgb);
    *rgb = out;
    return DREAMO_OK;
}

/* Labels of the square back into the picture: 255 where they are clothes. */
static dreamo_status clothes_in_picture(const work *w, const affine *to_square, const unsigned char *labels, unsigned char *mask, size_t *count)
{
    enum { CLOTHES = 16 };
    *count = 0;
    for (int y = 0; y < w->rgb.height; y++)
        for (int x = 0; x < w->rgb.width; x++) {
            double u = to_square->m[0][0] * x + to_square->m[0][1] * y + to_square->m[0][2], v = to_square->m[1][0] * x + to_square->m[1][1] * y + to_square->m[1][2];
            long i = lrint(u), k = lrint(v);
            bool is = i >= 0 && k >= 0 && i < PARSE_SIDE && k < PARSE_SIDE && labels[k * PARSE_SIDE + i] == CLOTHES;
            mask[(size_t)y * (size_t)w->rgb.width + (size_t)x] = is ? 255 : 0;
            *count += is;
        }
    return DREAMO_OK;
}

/* The parser knows faces with what is below them: the person is shown to it so small that the square reaches to the hips. */
dreamo_status cut_garment(work *w, dreamo_error *err)
{
    static const affine further = { { { 0.4, 0, 153.6 }, { 0, 0.4, 40 } } }; /* the face in the upper middle of the square */
    affine to_crop, to_square;
    bitmap square = { 0 };
    int chosen = 0;
    size_t count = 0, pixels;
    if (!w->t->at.path[PLACE_FACES] || !w->t->at.path[PLACE_PARSER]) {
        fail(err, DREAMO_NOT_FOUND, "%s: part=garment needs a network that finds faces and one that parses them, and %s is not there", w->name, w->t->at.path[PLACE_FACES] ? "the parser" : "the finder");
        return hint(err, "dreamo fetch prep gets both; a picture of the garment alone needs neither");
    }
    dreamo_status s = find_face(w, &to_crop, &chosen, err);
    if (s) return s;
    to_square = affine_then(&to_crop, &further);
    pixels = (size_t)w->rgb.width * (size_t)w->rgb.height;
    unsigned char *labels = mem_alloc(PARSE_SIDE * PARSE_SIDE), *mask = mem_alloc(pixels);
    if (!labels || !mask) s = fail(err, DREAMO_MEMORY, "%s: no memory for its labels", w->name);
    if (!s) s = warp_affine(&w->rgb, &to_square, PARSE_SIDE, PARSE_SIDE, border, &square, err);
    if (!s) s = parse(w, &square, labels, err);
    if (!s) s = clothes_in_picture(w, &to_square, labels, mask, &count);
    if (!s && count < pixels / 1000 + 1) {
        fail(err, DREAMO_CONTENT, "%s: no clothes found below the face", w->name);
        s = hint(err, "give the part with the garment by box=x,y,w,h without part=garment");
    }
    if (!s) whiten(&w->rgb, mask);
    if (!s) s = crop_to(&w->rgb, mask, err);
    if (!s) snprintf(w->how, sizeof w->how, "clothes below face %d of %d by %s", number_of(&w->found, chosen), w->found.n, parse_net_name(w->t->parser));
    bitmap_free(&square);
    mem_free(labels);
    mem_free(mask);
    return s;
}

/* ---- auto ---- */

/* A face that is a fifth of the shorter side is what the picture is of. */
dreamo_status choose_task(work *w, dreamo_error *err)
{
    enum { SHARE = 5, LEAST = 40 };
    double largest = 0;
    w->task = DREAMO_IP;
    if (!w->t->at.path[PLACE_FACES]) return work_note(w, DREAMO_EVENT_NOTE, err, "%s: auto takes it as a thing (ip): no network that finds faces is there", w->name);
    if (w->rgb.width < LEAST_SIDE || w->rgb.height < LEAST_SIDE) return DREAMO_OK;
    bitmap whole = w->rgb, small = { 0 }; /* a thing keeps its size */
    size_t nbytes = 3 * (size_t)whole.width * (size_t)whole.height;
    dreamo_status s = bitmap_new(&small, whole.width, whole.height, 3, err);
    if (s) return s;
    memcpy(small.data, whole.data, nbytes);
    s = limit_edge(&small, err);
    if (!s) {
        w->rgb = small;
        s = look(w, err);
        small = w->rgb;
        w->rgb = whole;
    }
    for (int i = 0; i < w->found.n && !s; i++) {
        const float *b = w->found.faces[i].box;
        double side = fmin(b[2] - b[0], b[3] - b[1]);
        largest = side > largest ? side : largest;
    }
    double shorter = small.width < small.height ? small.width : small.height;
    bitmap_free(&small);
    if (s) return s;
    if (largest * SHARE >= shorter && largest >= LEAST) w->task = DREAMO_ID;
    if (largest > 0)
        return work_note(w, DREAMO_EVENT_NOTE, err, "%s: auto takes it as %s: its largest face is %.0f %% of the shorter side", w->name, w->task == DREAMO_ID ? "a face (id)" : "a thing (ip)", 100 * largest / shorter);
    return work_note(w, DREAMO_EVENT_NOTE, err, "%s: auto takes it as a thing (ip): there is no face", w->name);
}
