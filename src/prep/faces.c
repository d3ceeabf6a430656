/* faces.c - the list, and which finder a path has. */
#include "prep/faces.h"
#include <stdlib.h>
#include "base/file.h"
#include "base/mem.h"

bool faces_add(face_list *l, const face *f)
{
    enum { STEP = 64 };
    if (l->n % STEP == 0) {
        face *more = mem_realloc(l->faces, (size_t)(l->n + STEP) * sizeof *more);
        if (!more) return false;
        l->faces = more;
    }
    l->faces[l->n++] = *f;
    return true;
}

/* Of equal scores the earlier one first. */
typedef struct ranked { face f; int at; } ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->f.score != y->f.score) return x->f.score > y->f.score ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static float overlap(const face *a, const face *b)
{
    float w = (a->box[2] < b->box[2] ? a->box[2] : b->box[2]) - (a->box[0] > b->box[0] ? a->box[0] : b->box[0]);
    float h = (a->box[3] < b->box[3] ? a->box[3] : b->box[3]) - (a->box[1] > b->box[1] ? a->box[1] : b->box[1]);
    float both = w > 0 && h > 0 ? w * h : 0;
    return both / ((a->box[2] - a->box[0]) * (a->box[3] - a->box[1]) + (b->box[2] - b->box[0]) * (b->box[3] - b->box[1]) - both);
}

bool faces_settle(face_list *l, float most)
{
    ranked *r = mem_alloc(((size_t)l->n + 1) * sizeof *r);
    int kept = 0;
    if (!r) return false;
    for (int i = 0; i < l->n; i++) r[i] = (ranked){ l->faces[i], i };
    qsort(r, (size_t)l->n, sizeof *r, by_score);
    for (int i = 0; i < l->n; i++) {
        bool covered = false;
        for (int k = 0; k < kept && !covered; k++) covered = overlap(&r[i].f, &l->faces[k]) > most;
        if (!covered) l->faces[kept++] = r[i].f;
    }
    l->n = kept;
    mem_free(r);
    return true;
}

void face_list_free(face_list *l)
{
    mem_free(l->faces);
    *l = (face_list){ 0 };
}

const char *face_net_name(const face_net *n) { return n->name; }

void face_net_close(face_net *n)
{
    if (!n) return;
    if (n->close) n->close(n->state);
    mem_free(n);
}

dreamo_status face_net_open(const char *path, face_net **out, dreamo_error *err)
{
    char *manifest = path_join(path, "tiny_face_detector_model-weights_manifest.json");
    face_net *n = mem_calloc(1, sizeof *n);
    dreamo_status s = manifest && n ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for the network", path);
    *out = NULL;
    if (!s) s = folder_exists(path) && file_exists(manifest) ? faceapi_finder(path, n, err) : retinaface_finder(path, n, err);
    mem_free(manifest);
    if (s) face_net_close(n);
    else *out = n;
    return s;
}

dreamo_status face_net_find(face_net *n, device *dev, const bitmap *rgb, float threshold, face_list *out, prep_progress tell, void *user, dreamo_error *err)
{
    *out = (face_list){ .threshold = threshold > 0 ? threshold : n->threshold };
    if (rgb->channels != 3) return fail(err, DREAMO_BUG, "%s takes RGB pictures, this one has %d channels", n->name, rgb->channels);
    dreamo_status s = n->find(n->state, dev, rgb, out->threshold, out, tell, user, err);
    if (s) face_list_free(out);
    return s;
}
