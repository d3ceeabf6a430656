/* test_prep_networks.c - BEN2, RetinaFace and BiSeNet at their full size against the official modules, through files and the three faces of
 * prep/networks.h.
 *
 * Weights are made from their names; what the official modules make of three pictures lies in tests/data/prep, the whole of it in
 * ../shared/golden/prep where that is at hand.  DREAMO_TEST_DEVICE=ggml:NAME computes them there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "image/resize.h"
#include "model/ben2.h"
#include "model/bisenet.h"
#include "model/retinaface.h"
#include "prep/networks.h"
#include "weights/prep/bind_prep.h"

#include "named_files.h" /* and cmocka, last: it has a macro called fail */
#include "scratch.h"

#define PREP TEST_DATA "/prep/"
#define WHOLE REPO_ROOT "/../shared/golden/prep/"

static bitmap picture(const char *path)
{
    bitmap b;
    dreamo_error err = { 0 };
    if (image_read(path, &b, NULL, 0, &err)) fail_msg("%s", err.message);
    assert_int_equal(b.channels, 3);
    return b;
}

static const st_tensor *stored(const char *name)
{
    const st_tensor *t = st_find(&want, name);
    if (!t) fail_msg("%s is not stored", name);
    return t;
}

static bool whole_is_there(void) { return access(WHOLE "ben2-out.png", R_OK) == 0; }

static device *on; /* what the networks compute on */
/* The next network's weights may lie where the last one's did. */
static void forget(void)
{
    if (on->be->forget) on->be->forget(on);
}

static double coarser = 1; /* than the processor: devices may multiply as f16 */

/* ---- BEN2 ---- */

static double last_share;
static bool tell(void *user, double share)
{
    (void)user;
    assert_true(share >= last_share && share <= 1);
    last_share = share;
    return true;
}
static bool stop(void *user, double share)
{
    (void)user;
    return share < 0.05;
}

static void test_ben2(void **state)
{
    dreamo_error err = { 0 };
    cut_net *n;
    ben2 *m = ben2_new();
    (void)state;
    write_named("ben2.safetensors", bind_walk_ben2, m, NULL);
    ben2_free(m);
    if (cut_net_open("ben2.safetensors", &n, &err)) fail_msg("%s", err.message);
    unlink("ben2.safetensors");
    assert_string_equal(cut_net_name(n), "BEN2");
    bitmap b = picture(PREP "ben2-in.png"), big;
    float *mask = mem_alloc(sizeof(float) * (size_t)(BEN2_SIDE * BEN2_SIDE));
    if (cut_net_mask(n, on, &b, mask, stop, NULL, &err) != DREAMO_CANCELLED) fail_msg("%s", err.message);
    err = (dreamo_error){ 0 };
    /* at the network's own size, where the mask is not resampled again */
    assert_int_equal(resize_lanczos(&b, BEN2_SIDE, BEN2_SIDE, &big, NULL), DREAMO_OK);
    if (cut_net_mask(n, on, &big, mask, tell, NULL, &err)) fail_msg("%s", err.message);
    assert_true(last_share > 0.99);
    const float *w = stored("ben2.mask.every8")->data;
    double worst = 0;
    for (int i = 0; i < 128 * 128; i++) worst = fmax(worst, fabs((double)mask[i / 128 * 8 * BEN2_SIDE + i % 128 * 8] - w[i]));
    print_message("    mask: largest difference %.1e\n", worst);
    assert_true(worst < 1e-4 * coarser);
    mem_free(mask);
    bitmap_free(&b);
    bitmap_free(&big);
    cut_net_close(n);
    forget();
}

/* ---- RetinaFace ---- */

static void near(const char *what, double got, double wanted, double scale, double *worst)
{
    double d = fabs(got - wanted) / fmax(fabs(wanted), scale);
    *worst = fmax(*worst, d);
    if (!(d <= 1e-3 * coarser)) fail_msg("%s: %.8g, stored %.8g", what, got, wanted);
}

/* On devices: of the faces the one with nearly this box, since of two whose scores are the same but for rounding either may come first. */
static const face *with_box(const face_list *l, const float *box)
{
    const face *best = &l->faces[0];
    double least = INFINITY;
    for (int i = 0; i < l->n; i++) {
        double d = 0;
        for (int k = 0; k < 4; k++) d += fabs((double)l->faces[i].box[k] - box[k]);
        if (d < least) least = d, best = &l->faces[i];
        if (i) assert_true(l->faces[i].score <= l->faces[i - 1].score);
    }
    return best;
}

static void test_retinaface(void **state)
{
    dreamo_error err = { 0 };
    face_net *n;
    face_list l;
    retinaface *m = retinaface_new();
    float threshold = *(const float *)stored("retinaface.threshold")->data;
    double worst = 0;
    (void)state;
    write_named("faces.safetensors", bind_walk_retinaface, m, NULL);
    retinaface_free(m);
    if (face_net_open("faces.safetensors", &n, &err)) fail_msg("%s", err.message);
    unlink("faces.safetensors");
    assert_string_equal(face_net_name(n), "RetinaFace");
    bitmap b = picture(PREP "retinaface-in.png");
    if (face_net_find(n, on, &b, threshold, &l, NULL, NULL, &err)) fail_msg("%s", err.message);
    const st_tensor *t = stored("retinaface.detections");
    assert_true(l.n >= t->shape[0]);
    for (int i = 0; i < t->shape[0]; i++) {
        const float *w = (const float *)t->data + 15 * i;
        const face *f = on->be->reserve ? with_box(&l, w) : &l.faces[i];
        for (int k = 0; k < 4; k++) near("box", f->box[k], w[k], 1, &worst);
        near("score", f->score, w[4], 1e-3, &worst);
        for (int k = 0; k < 10; k++) near("landmark", f->landmark[k / 2][k % 2], w[5 + k], 1, &worst);
    }
    print_message("    %d faces; largest difference %.1e\n", l.n, worst);
    float best = l.best;
    face_list_free(&l);
    assert_int_equal(face_net_find(n, on, &b, 0.9999f, &l, NULL, NULL, &err), DREAMO_OK); /* none that sure: no error */
    assert_int_equal(l.n, 0);
    assert_true(l.best == best && best > threshold);
    face_list_free(&l);
    bitmap_free(&b);
    face_net_close(n);
    forget();
}

/* Every anchor of every cell, before any is left out. */
static void test_retinaface_cells(void **state)
{
    bitmap b = picture(PREP "retinaface-in.png");
    retinaface *m = retinaface_new();
    bound_files files;
    dreamo_error err = { 0 };
    (void)state;
    write_named("faces.safetensors", bind_walk_retinaface, m, NULL);
    if (bind_retinaface(m, "faces.safetensors", &files, &err)) fail_msg("%s", err.message);
    unlink("faces.safetensors");
    int pixels = b.width * b.height;
    float *x = mem_alloc(sizeof(float) * 3 * (size_t)pixels), *out = mem_alloc(sizeof(float) * RETINA_COLUMNS * 4000);
    static const float mean[3] = { 104, 117, 123 };
    for (int i = 0; i < 3 * pixels; i++) x[i] = (float)b.data[i / 3 * 3 + 2 - i % 3] - mean[i % 3];
    nn *cx = nn_new(&(nn_options){ .dev = on, .work_nbytes = (size_t)1 << 30, .keep_nbytes = 1 }, NULL);
    tensor level[RETINA_LEVELS];
    grid to[RETINA_LEVELS];
    retinaface_run(cx, m, tensor_from(cx, pixels, 3, x), (grid){ 1, b.height, b.width }, level, to);
    const float *conf = stored("retinaface.conf")->data, *loc = stored("retinaface.loc")->data, *points = stored("retinaface.landmarks")->data;
    double worst = 0;
    int at = 0;
    for (int i = 0; i < RETINA_LEVELS; i++) {
        tensor_read(cx, level[i], out);
        if (nn_status(cx, &err)) fail_msg("%s", err.message);
        for (int k = 0; k < level[i].rows * RETINA_ANCHORS; k++, at++) {
            const float *r = out + k / 2 * RETINA_COLUMNS, *score = r + 2 * (k % 2), *box = r + 4 + 4 * (k % 2), *point = r + 12 + 10 * (k % 2);
            near("conf", 1 / (1 + exp((double)score[0] - score[1])), conf[2 * at + 1], 0.1, &worst);
            for (int c = 0; c < 4; c++) near("loc", box[c], loc[4 * at + c], 0.1, &worst);
            for (int c = 0; c < 10; c++) near("landmark", point[c], points[10 * at + c], 0.1, &worst);
        }
    }
    assert_int_equal(at, stored("retinaface.conf")->shape[0]);
    print_message("    %d anchors; largest difference %.1e\n", at, worst);
    nn_free(cx);
    mem_free(x);
    mem_free(out);
    bind_close(&files);
    retinaface_free(m);
    forget();
    bitmap_free(&b);
}

/* ---- BiSeNet ---- */

static void test_bisenet(void **state)
{
    dreamo_error err = { 0 };
    parse_net *n;
    bisenet *m = bisenet_new();
    static unsigned char labels[PARSE_SIDE * PARSE_SIDE];
    int off = 0;
    (void)state;
    write_named("parse.safetensors", bind_walk_bisenet, m, NULL);
    bisenet_free(m);
    if (parse_net_open("parse.safetensors", &n, &err)) fail_msg("%s", err.message);
    unlink("parse.safetensors");
    bitmap b = picture(PREP "bisenet-in.png");
    if (parse_net_labels(n, on, &b, labels, NULL, NULL, &err)) fail_msg("%s", err.message);
    const unsigned char *w = stored("bisenet.labels.every4")->data;
    for (int i = 0; i < 128 * 128; i++) off += labels[i / 128 * 4 * PARSE_SIDE + i % 128 * 4] != w[i];
    print_message("    %d of %d labels differ\n", off, 128 * 128);
    assert_true(off <= 128 * 128 / 1000 * coarser);
    if (whole_is_there()) {
        st_file all;
        assert_int_equal(st_open(WHOLE "outputs.safetensors", &all, &err), DREAMO_OK);
        const unsigned char *every = st_find(&all, "bisenet.labels")->data;
        off = 0;
        for (int i = 0; i < PARSE_SIDE * PARSE_SIDE; i++) off += labels[i] != every[i];
        print_message("    of all, %d\n", off);
        assert_true(off <= PARSE_SIDE * PARSE_SIDE / 1000 * coarser);
        st_close(&all);
    }
    bitmap_free(&b);
    parse_net_close(n);
    forget();
}

static int setup(void **state)
{
    const char *name = getenv("DREAMO_TEST_DEVICE");
    if (name && strcmp(name, "ggml:CPU") != 0) coarser = 5;
    on = device_open(name ? name : "cpu", 0, 0, NULL);
    return !on || scratch_enter(state) || numbers_open(PREP "outputs.safetensors");
}

static int done(void **state)
{
    if (on) on->be->close(on);
    return numbers_close(state) || scratch_leave(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_bisenet), cmocka_unit_test(test_retinaface), cmocka_unit_test(test_retinaface_cells),
                                        cmocka_unit_test(test_ben2) };
    if (getenv("DREAMO_TEST_ONLY")) cmocka_set_test_filter(getenv("DREAMO_TEST_ONLY"));
    return cmocka_run_group_tests(tests, setup, done);
}
