/* prep.c - the way of one picture, and what is remembered of it. */
#include "prep/prep.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "format/image_codec.h"
#include "image/resize.h"
#include "prep/store.h"
#include "prep/work.h"

struct prep { tools t; store s; pthread_mutex_t busy; };

/* ---- opening ---- */

dreamo_status prep_open(const prep_choice *c, prep **out, dreamo_error *err)
{
    static const char *const cutters[] = { "auto", "ben2", "isnet", "own", "plain" };
    const char *cutter = c->cutter ? c->cutter : "auto";
    bool known = false;
    *out = NULL;
    for (size_t i = 0; i < sizeof cutters / sizeof *cutters; i++) known = known || strcmp(cutter, cutters[i]) == 0;
    if (!known) return fail(err, DREAMO_ARG, "cutter \"%s\" is none of auto, ben2, isnet, own, plain", cutter);
    prep *p = mem_calloc(1, sizeof *p);
    if (!p) return fail(err, DREAMO_MEMORY, "no memory for what prepares references");
    pthread_mutexattr_t kind; /* a callback that asks again is told so */
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&p->busy, &kind);
    pthread_mutexattr_destroy(&kind);
    p->t.threads = c->threads;
    dreamo_status s = places_find(c->networks, &p->t.at, err);
    if (!s && !(p->t.cutter = mem_strdup(cutter))) s = fail(err, DREAMO_MEMORY, "no memory for a cutter's name");
    if (!s && c->cache && !(p->s.folder = mem_strdup(c->cache))) s = fail(err, DREAMO_MEMORY, "%s: no memory", c->cache);
    if (!s && c->cache) s = folder_make(c->cache, err);
    if (!s && c->cache) s = places_hash(&p->t.at, err); /* results outlive this process and its networks */
    if (s) prep_close(p);
    else *out = p;
    return s;
}

void prep_close(prep *p)
{
    if (!p) return;
    cut_net_close(p->t.cut);
    own_net_close(p->t.own);
    face_net_close(p->t.faces);
    parse_net_close(p->t.parser);
    if (p->t.own_device) p->t.own_device->be->close(p->t.own_device);
    places_free(&p->t.at);
    mem_free(p->t.cutter);
    store_free(&p->s);
    pthread_mutex_destroy(&p->busy);
    mem_free(p);
}

static dreamo_status use_device(tools *t, device *dev, dreamo_error *err)
{
    if (!dev && !t->own_device && !(t->own_device = backend_cpu.open(t->threads)))
        return fail(err, DREAMO_MEMORY, "no memory or no threads for the networks that prepare references");
    t->dev = dev ? dev : t->own_device;
    return DREAMO_OK;
}

/* ---- telling ---- */

dreamo_status work_note(work *w, dreamo_event_kind kind, dreamo_error *err, const char *format, ...)
{
    char line[400];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    size_t used = strlen(w->told), n = strlen(line);
    if (used + n + 3 < sizeof w->told) snprintf(w->told + used, sizeof w->told - used, "%c%s\n", kind == DREAMO_EVENT_WARNING ? 'W' : 'N', line);
    return report_line(w->to, kind, err, "%s", line);
}

static dreamo_status tell_again(const reporter *to, const char *told, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (const char *at = told, *end; !s && *at && (end = strchr(at, '\n')); at = end + 1)
        s = report_line(to, *at == 'W' ? DREAMO_EVENT_WARNING : DREAMO_EVENT_NOTE, err, "%.*s", (int)(end - at - 1), at + 1);
    return s;
}

bool work_tick(void *user, double share)
{
    const work *w = user;
    const dreamo_event tick = { .kind = DREAMO_EVENT_TICK, .seconds_left = -1 };
    (void)share;
    return !w->to || !w->to->call || w->to->call(w->to->user, &tick);
}

/* ---- what is asked for ---- */

dreamo_status prep_check(const dreamo_reference *r, const char *what, dreamo_error *err)
{
    enum { RES_MIN = 16, RES_MAX = 4096, FACES = 1000 };
    bool boxed = r->box[2] || r->box[3];
    if (r->task < DREAMO_IP || r->task > DREAMO_AUTO) return fail(err, DREAMO_ARG, "%s: task %d is none of ip, id, style, auto", what, (int)r->task);
    if (r->cut < DREAMO_CUT_BEST || r->cut > DREAMO_CUT_NET) return fail(err, DREAMO_ARG, "%s: cut %d is none of the known", what, (int)r->cut);
    if (r->res < -1 || (r->res > 0 && r->res < RES_MIN) || r->res > RES_MAX)
        return fail(err, DREAMO_ARG, "%s: res %d, allowed is %d to %d, or keep", what, r->res, RES_MIN, RES_MAX);
    if (r->face < 0 || r->face > FACES) return fail(err, DREAMO_ARG, "%s: face %d, they are counted from 1", what, r->face);
    if (r->face && (r->task == DREAMO_STYLE || (r->task == DREAMO_IP && !r->garment))) return fail(err, DREAMO_ARG, "%s: a face is chosen for id, and for ip with part=garment", what);
    if (r->garment && r->task != DREAMO_IP) return fail(err, DREAMO_ARG, "%s: part=garment belongs to ip", what);
    if (boxed && (r->box[0] < 0 || r->box[1] < 0 || r->box[2] < 1 || r->box[3] < 1))
        return fail(err, DREAMO_ARG, "%s: box %d,%d,%d,%d: left and top are 0 or more, width and height 1 or more", what, r->box[0], r->box[1], r->box[2], r->box[3]);
    return DREAMO_OK;
}

/* The picture's bytes: a file's, which *owned then holds, the caller's, or those of its pixels. */
static dreamo_status read_bytes(const dreamo_reference *r, const char *name, const unsigned char **bytes, size_t *nbytes, char **owned, dreamo_error *err)
{
    const dreamo_image *im = r->image;
    if (r->path) {
        dreamo_status s = file_read(r->path, IMAGE_MAX_FILE, owned, nbytes, err);
        *bytes = (const unsigned char *)*owned;
        return s;
    }
    if (!r->data && (!im || !im->rgb || im->width < 1 || im->height < 1)) return fail(err, DREAMO_ARG, "%s: neither a file nor pixels are given", name);
    *bytes = r->data ? r->data : im->rgb;
    *nbytes = r->data ? r->nbytes : (size_t)im->width * (size_t)im->height * 3;
    return DREAMO_OK;
}

static void key_of(const prep *p, const device *dev, const dreamo_reference *r, const char *picture, int cell, prep_sides sides, char out[65])
{
    const int numbers[] = { (int)r->task, (int)r->cut, r->face, r->box[0], r->box[1], r->box[2], r->box[3], r->garment, r->as_stored, cell, r->res, sides.ip, sides.id, sides.style, r->path || r->data ? 0 : r->image->width };
    sha256 h;
    sha256_init(&h);
    sha256_add(&h, DREAMO_VERSION_TEXT, sizeof DREAMO_VERSION_TEXT);
    sha256_add(&h, picture, 64);
    sha256_add(&h, p->t.at.hash, 64);
    sha256_add(&h, p->t.cutter, strlen(p->t.cutter) + 1);
    sha256_add(&h, numbers, sizeof numbers);
    if (dev) sha256_add(&h, device_name(dev), strlen(device_name(dev))); /* others round otherwise */
    sha256_text(&h, out);
}

/* ---- reading ---- */

/* Any pixel that is not opaque. */
static bool has_holes(const bitmap *b)
{
    size_t n = (size_t)b->width * (size_t)b->height;
    for (size_t i = 0; b->channels == 4 && i < n; i++)
        if (b->data[4 * i + 3] != 255) return true;
    return false;
}

static dreamo_status read_picture(work *w, const unsigned char *bytes, size_t nbytes, dreamo_error *err)
{
    const dreamo_reference *r = w->r;
    const char *what = r->path ? r->path : w->name;
    char note[256] = "";
    bitmap raw = { 0 };
    if (!r->path && !r->data) {
        const bitmap given = { r->image->width, r->image->height, 3, r->image->rgb };
        return bitmap_copy(&given, &w->rgb, err);
    }
    dreamo_status s = r->as_stored ? image_decode_as_stored(bytes, nbytes, what, &raw, note, sizeof note, err) : image_decode(bytes, nbytes, what, &raw, note, sizeof note, err);
    if (!s && note[0]) s = work_note(w, DREAMO_EVENT_NOTE, err, "%s: %s", w->name, note);
    if (!s && raw.channels == 3) {
        w->rgb = raw;
        return DREAMO_OK;
    }
    if (!s) {
        w->holes = has_holes(&raw);
        s = composite_white(&raw, &w->rgb, err);
    }
    bitmap_free(&raw);
    return s;
}

/* The part that the box says. */
static dreamo_status take_box(work *w, dreamo_error *err)
{
    const int *b = w->r->box;
    bitmap part;
    if (!b[2]) return DREAMO_OK;
    if (b[0] >= w->rgb.width || b[2] > w->rgb.width - b[0] || b[1] >= w->rgb.height || b[3] > w->rgb.height - b[1])
        return fail(err, DREAMO_ARG, "%s: box=%d,%d,%d,%d reaches out of the picture, which has %d x %d pixels", w->name, b[0], b[1], b[2], b[3], w->rgb.width, w->rgb.height);
    dreamo_status s = bitmap_cut(&w->rgb, b[0], b[1], b[2], b[3], &part, err);
    if (s) return s;
    bitmap_free(&w->rgb);
    w->rgb = part;
    return DREAMO_OK;
}

/* ---- bringing to size ---- */

static dreamo_status fit_to_grid(work *w, int cell, prep_sides sides, dreamo_error *err)
{
    enum { SIDE_MAX = 16384 };
    int wide = w->rgb.width, high = w->rgb.height, width = wide - wide % cell, height = high - high % cell;
    int res = w->r->res ? w->r->res : w->task == DREAMO_ID ? sides.id : w->task == DREAMO_STYLE ? sides.style : sides.ip;
    if (res > 0) area_size(wide, high, res, cell, &width, &height);
    if (width < cell || height < cell)
        return fail(err, DREAMO_CONTENT, "%s: %d x %d pixels become %d x %d; a reference needs at least %d on both sides", w->name, wide, high, width, height, cell);
    if (width > SIDE_MAX || height > SIDE_MAX) {
        fail(err, DREAMO_LIMIT, "%s: a strip of %d x %d pixels would become %d x %d, a side may have at most %d", w->name, wide, high, width, height, SIDE_MAX);
        return hint(err, "crop it, or give it a border: a reference is best not far from square");
    }
    if (width == wide && height == high) return DREAMO_OK;
    bitmap resized = { 0 };
    dreamo_status s = resize_area(&w->rgb, width, height, &resized, err);
    if (s) return s;
    bitmap_free(&w->rgb);
    w->rgb = resized;
    return DREAMO_OK;
}

/* ---- all of it ---- */

static dreamo_status prepare(work *w, const unsigned char *bytes, size_t nbytes, int cell, prep_sides sides, stored *out, dreamo_error *err)
{
    dreamo_status s = read_picture(w, bytes, nbytes, err);
    if (!s) s = take_box(w, err);
    out->width = w->rgb.width, out->height = w->rgb.height;
    if (!s && w->task == DREAMO_AUTO) s = choose_task(w, err);
    if (!s && w->r->garment && w->r->cut != DREAMO_CUT_OFF) s = cut_garment(w, err);
    else if (!s && w->task == DREAMO_ID) s = cut_face(w, err);
    else if (!s && w->task == DREAMO_IP) s = cut_thing(w, err);
    else if (!s) snprintf(w->how, sizeof w->how, "%s", w->holes ? "alpha on white" : "as it is");
    if (!s) s = fit_to_grid(w, cell, sides, err);
    face_list_free(&w->found);
    out->rgb = w->rgb;
    out->task = w->task;
    memcpy(out->how, w->how, sizeof out->how);
    memcpy(out->told, w->told, sizeof out->told);
    return s;
}

dreamo_status prep_run(prep *p, device *dev, const dreamo_reference *r, const char *name, int cell, prep_sides sides, const reporter *to, prepared *out, dreamo_error *err)
{
    char key[65], *owned = NULL;
    const unsigned char *bytes = NULL;
    size_t nbytes = 0;
    stored result = { 0 };
    *out = (prepared){ 0 };
    dreamo_status s = prep_check(r, name, err);
    if (!s) s = read_bytes(r, name, &bytes, &nbytes, &owned, err);
    if (s) return s;
    sha256_hex(bytes, nbytes, out->sha256);
    key_of(p, dev, r, out->sha256, cell, sides, key);
    if (pthread_mutex_lock(&p->busy) != 0) s = fail(err, DREAMO_BUSY, "%s: another reference is being prepared, and this is its callback", name);
    else {
        if (store_get(&p->s, key, &result)) {
            s = tell_again(to, result.told, err);
        } else if ((s = use_device(&p->t, dev, err)) == DREAMO_OK) {
            work w = { .t = &p->t, .r = r, .name = name, .to = to, .task = r->task };
            s = prepare(&w, bytes, nbytes, cell, sides, &result, err);
            if (!s) s = store_put(&p->s, key, &result, err);
        }
        pthread_mutex_unlock(&p->busy);
    }
    mem_free(owned);
    if (s) {
        bitmap_free(&result.rgb);
        return s;
    }
    out->rgb = result.rgb;
    out->task = result.task;
    out->width = result.width, out->height = result.height;
    memcpy(out->how, result.how, sizeof out->how);
    return DREAMO_OK;
}
