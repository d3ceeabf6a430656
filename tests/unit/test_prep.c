/* test_prep.c - from a picture to what the model sees of it (catalogue P24, P25, P27, P28): tasks, cutters, faces, boxes, the store.
 *
 * Faces come from a finder of the test's own, so that what is done with them is judged and not where they are found; the networks have tests of theirs.  The
 * pictures of tests/data/photos are DreamO's examples, shrunk. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/resize.h"
#include "prep/faces.h"
#include "prep/plain.h"
#include "prep/prep.h"
#include "prep/work.h"
#include "scratch.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define OWN REPO_ROOT "/models"

/* ---- telling ---- */

typedef struct heard { char warning[400], note[400]; int ticks; } heard;
static heard last;

static bool listen(void *user, const dreamo_event *e)
{
    (void)user;
    if (e->kind == DREAMO_EVENT_WARNING) snprintf(last.warning, sizeof last.warning, "%s", e->text);
    if (e->kind == DREAMO_EVENT_NOTE) snprintf(last.note, sizeof last.note, "%s", e->text);
    last.ticks += e->kind == DREAMO_EVENT_TICK;
    return true;
}
static const reporter to = { listen, NULL };

static prep *open_with(const char *networks, const char *cutter, const char *cache)
{
    prep *p;
    dreamo_error err = { 0 };
    const prep_choice c = { networks, cutter, cache, 1 };
    if (prep_open(&c, &p, &err)) fail_msg("%s", err.message);
    return p;
}

static prepared run(prep *p, dreamo_reference r, int res, dreamo_status want, const char *says)
{
    prepared out;
    dreamo_error err = { 0 };
    last = (heard){ 0 };
    dreamo_status s = prep_run(p, NULL, &r, "it", 16, (prep_sides){ res, res, res }, &to, &out, &err);
    if (s != want || (want && !strstr(err.message, says)) || (!want && !strstr(out.how, says))) fail_msg("%d: \"%s\" \"%s\", wanted %d: \"%s\"", s, err.message, out.how, want, says);
    return out;
}

static void drop(prepared p) { bitmap_free(&p.rgb); }

/* A square of one colour on another; level 256: a busy ground. */
static dreamo_image square(int side, int ground, int thing)
{
    dreamo_image im = { side, side, malloc((size_t)(side * side * 3)), NULL };
    for (int i = 0; i < side * side; i++) {
        int x = i % side, y = i / side;
        bool in = x >= side / 4 && x < side * 3 / 4 && y >= side / 4 && y < side * 3 / 4;
        for (int c = 0; c < 3; c++) im.rgb[3 * i + c] = (uint8_t)(in ? thing : ground < 256 ? ground : (x * 37 + y * 91 * (c + 1)) % 256);
    }
    return im;
}

/* ---- ip ---- */

static void plain_grounds_become_white(void **state)
{
    prep *p = open_with(scratch_folder, "plain", NULL);
    dreamo_image grey = square(64, 180, 20), white = square(64, 255, 20), busy = square(64, 256, 20), flat = square(64, 90, 90);
    (void)state;
    prepared out = run(p, (dreamo_reference){ .image = &grey, .res = -1 }, 64, DREAMO_OK, "cut out by its plain background");
    assert_true(out.rgb.data[0] == 255 && out.rgb.data[3 * (32 * 64 + 32)] == 20 && out.task == DREAMO_IP);
    drop(out);
    out = run(p, (dreamo_reference){ .image = &grey, .res = -1, .cut = DREAMO_CUT_OFF }, 64, DREAMO_OK, "as it is");
    assert_memory_equal(out.rgb.data, grey.rgb, 64 * 64 * 3);
    drop(out);
    drop(run(p, (dreamo_reference){ .image = &white, .res = -1 }, 64, DREAMO_OK, "white background"));
    drop(run(p, (dreamo_reference){ .image = &busy, .res = -1 }, 64, DREAMO_OK, "as it is"));
    assert_non_null(strstr(last.warning, "no network to cut it out is there"));
    drop(run(p, (dreamo_reference){ .image = &flat, .res = -1 }, 64, DREAMO_OK, "as it is")); /* P28 */
    assert_non_null(strstr(last.warning, "nothing was found to cut out"));
    assert_non_null(strstr(last.warning, "cut=off"));
    prep_close(p);
    free(grey.rgb), free(white.rgb), free(busy.rgb), free(flat.rgb);
    assert_int_equal(mem_live(), 0);
}

/* P25: alpha is used, and laid on white as Pillow does it. */
static void alpha_is_used(void **state)
{
    prep *p = open_with(scratch_folder, "plain", NULL);
    bitmap b, flat;
    (void)state;
    assert_int_equal(bitmap_new(&b, 32, 32, 4, NULL), DREAMO_OK);
    for (int i = 0; i < 32 * 32; i++) b.data[4 * i] = (unsigned char)i, b.data[4 * i + 1] = 10, b.data[4 * i + 2] = 200, b.data[4 * i + 3] = (unsigned char)(i * 7);
    assert_int_equal(image_write_png("alpha.png", &b, NULL, 0, true, NULL), DREAMO_OK);
    assert_int_equal(composite_white(&b, &flat, NULL), DREAMO_OK);
    prepared out = run(p, (dreamo_reference){ .path = "alpha.png", .res = -1 }, 64, DREAMO_OK, "alpha on white");
    assert_memory_equal(out.rgb.data, flat.data, 32 * 32 * 3);
    drop(out);
    drop(run(p, (dreamo_reference){ .path = "alpha.png", .res = -1, .cut = DREAMO_CUT_ALPHA }, 64, DREAMO_OK, "alpha on white"));
    drop(run(p, (dreamo_reference){ .path = "alpha.png", .res = -1, .task = DREAMO_STYLE }, 64, DREAMO_OK, "alpha on white"));
    for (int i = 0; i < 32 * 32; i++) b.data[4 * i + 3] = 255;
    assert_int_equal(image_write_png("alpha.png", &b, NULL, 0, true, NULL), DREAMO_OK);
    run(p, (dreamo_reference){ .path = "alpha.png", .cut = DREAMO_CUT_ALPHA }, 64, DREAMO_CONTENT, "has no transparent pixel");
    bitmap_free(&b);
    bitmap_free(&flat);
    prep_close(p);
    assert_int_equal(mem_live(), 0);
}

static void cutters_that_are_not_there(void **state)
{
    prep *p;
    dreamo_error err = { 0 };
    dreamo_image busy = square(64, 256, 20);
    prep_choice c = { .cutter = "scissors" };
    (void)state;
    assert_int_equal(prep_open(&c, &p, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "none of auto, ben2, isnet, own, plain"));
    c = (prep_choice){ .networks = "no/such" };
    err = (dreamo_error){ 0 };
    assert_int_equal(prep_open(&c, &p, &err), DREAMO_NOT_FOUND);
    p = open_with(scratch_folder, "ben2", NULL);
    run(p, (dreamo_reference){ .image = &busy }, 64, DREAMO_NOT_FOUND, "the cutter \"ben2\" is not there");
    prep_close(p);
    scratch_write("isnet.safetensors", "no tensors", 10); /* P26 of networks: what is there is taken, or refused by name */
    p = open_with(scratch_folder, NULL, NULL);
    run(p, (dreamo_reference){ .image = &busy }, 64, DREAMO_FORMAT, "isnet.safetensors");
    prep_close(p);
    remove("isnet.safetensors");
    free(busy.rgb);
    assert_int_equal(mem_live(), 0);
}

static void what_is_asked_is_checked(void **state)
{
    prep *p = open_with(scratch_folder, "plain", NULL);
    dreamo_image im = square(64, 180, 20);
    (void)state;
#define ASK(...) run(p, (dreamo_reference){ .image = &im, __VA_ARGS__ }, 64, DREAMO_ARG, says)
    const char *says = "box 0,0,5,0";
    ASK(.box = { 0, 0, 5, 0 });
    says = "box=60,0,5,64 reaches out";
    ASK(.box = { 60, 0, 5, 64 });
    says = "face is chosen for id";
    ASK(.face = 2);
    says = "part=garment belongs to ip";
    ASK(.garment = true, .task = DREAMO_ID);
    says = "res 7";
    ASK(.res = 7);
    says = "task 9";
    ASK(.task = (dreamo_task)9);
    run(p, (dreamo_reference){ .task = DREAMO_IP }, 64, DREAMO_ARG, "neither a file nor pixels");
    run(p, (dreamo_reference){ .image = &im, .garment = true }, 64, DREAMO_NOT_FOUND, "part=garment needs");
    prepared out = run(p, (dreamo_reference){ .image = &im, .box = { 16, 16, 32, 16 }, .res = -1, .cut = DREAMO_CUT_OFF }, 64, DREAMO_OK, "as it is");
    assert_true(out.rgb.width == 32 && out.rgb.height == 16 && out.width == 32 && out.rgb.data[0] == 20);
    drop(out);
    prep_close(p);
    free(im.rgb);
    assert_int_equal(mem_live(), 0);
}

/* P24: sizes at the edges of what there is. */
static void small_and_long_pictures(void **state)
{
    static const struct { int w, h, want_w, want_h; dreamo_task task; dreamo_status s; const char *says; } cases[] = {
        { 1, 1, 512, 512, DREAMO_IP, DREAMO_OK, "" },
        { 15, 15, 512, 512, DREAMO_STYLE, DREAMO_OK, "" },
        { 1, 1500, 16, 16384, DREAMO_IP, DREAMO_LIMIT, "a strip of 1 x 1500" },
        { 300, 20, 1968, 128, DREAMO_STYLE, DREAMO_OK, "" },
    };
    prep *p = open_with(scratch_folder, "plain", NULL);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dreamo_image im = { cases[i].w, cases[i].h, calloc((size_t)(cases[i].w * cases[i].h), 3), NULL };
        prepared out = run(p, (dreamo_reference){ .image = &im, .task = cases[i].task }, 512, cases[i].s, cases[i].says);
        if (!cases[i].s) assert_true(out.rgb.width == cases[i].want_w && out.rgb.height == cases[i].want_h);
        drop(out);
        free(im.rgb);
    }
    prep_close(p);
    assert_int_equal(mem_live(), 0);
}

/* ---- id ---- */

static face_list given;

static dreamo_status give_faces(void *state, device *dev, const bitmap *rgb, float threshold, face_list *out, prep_progress tell, void *user, dreamo_error *err)
{
    (void)state, (void)dev, (void)threshold, (void)err;
    assert_true(rgb->width <= 1024 && rgb->height <= 1024);
    assert_true(tell(user, 0.5f));
    *out = (face_list){ .best = given.best, .threshold = 0.97f };
    for (int i = 0; i < given.n; i++) assert_true(faces_add(out, &given.faces[i]));
    return DREAMO_OK;
}

/* A face whose five points are the template's, shrunk by `scale` and moved. */
static face face_at(double x, double y, double scale, float score)
{
    static const double points[5][2] = { { 192.98138, 239.94708 }, { 318.90277, 240.1936 }, { 256.63416, 314.01935 }, { 201.26117, 371.41043 }, { 313.08905, 371.15118 } };
    face f = { .score = score };
    for (int i = 0; i < 5; i++) f.landmark[i][0] = (float)(x + scale * (points[i][0] - 256)), f.landmark[i][1] = (float)(y + scale * (points[i][1] - 256));
    const float box[4] = { (float)(x - 100 * scale), (float)(y - 130 * scale), (float)(x + 100 * scale), (float)(y + 130 * scale) };
    memcpy(f.box, box, sizeof box);
    return f;
}

static dreamo_status portrait(bitmap picture, dreamo_reference r, face *faces, int n, work *w, dreamo_error *err)
{
    static face_net finder = { .name = "the test", .threshold = 0.97f, .find = give_faces };
    static char there[] = "there", plain[] = "plain";
    static tools t;
    t = (tools){ .at.path[PLACE_FACES] = there, .cutter = plain, .faces = &finder };
    static dreamo_reference kept;
    kept = r;
    given = (face_list){ .faces = faces, .n = n, .best = 0.41f };
    *w = (work){ .t = &t, .r = &kept, .name = "it", .to = &to, .rgb = picture, .task = r.task };
    dreamo_status s = r.task == DREAMO_AUTO ? choose_task(w, err) : cut_face(w, err);
    face_list_free(&w->found);
    return s;
}

/* Every pixel says where it is: red is x / 4, green y / 4. */
static bitmap map_of(int width, int height)
{
    bitmap b;
    assert_int_equal(bitmap_new(&b, width, height, 3, NULL), DREAMO_OK);
    for (int i = 0; i < width * height; i++) b.data[3 * i] = (unsigned char)(i % width / 4), b.data[3 * i + 1] = (unsigned char)(i / width / 4), b.data[3 * i + 2] = 77;
    return b;
}

static void faces_are_chosen(void **state)
{
    face three[3] = { face_at(800, 200, 0.5, 0.999f), face_at(420, 250, 0.4, 0.98f), face_at(120, 300, 0.3, 0.99f) };
    work w;
    dreamo_error err = { 0 };
    (void)state;
    last = (heard){ 0 };
    static const struct { int face, x, y; const char *how; } cases[] = { { 0, 420, 250, "face 2 of 3 (0.98)" }, { 1, 120, 300, "face 1 of 3 (0.99)" }, { 3, 800, 200, "face 3 of 3 (1.00)" } };
    for (int i = 0; i < 3; i++) { /* the nearest to the middle, or by number from the left */
        assert_int_equal(portrait(map_of(1000, 600), (dreamo_reference){ .task = DREAMO_ID, .face = cases[i].face }, three, 3, &w, &err), DREAMO_OK);
        assert_true(w.rgb.width == 512 && w.rgb.height == 512 && strstr(w.how, cases[i].how));
        const unsigned char *middle = w.rgb.data + 3 * (256 * 512 + 256);
        assert_true(abs(middle[0] - cases[i].x / 4) <= 1 && abs(middle[1] - cases[i].y / 4) <= 1);
        bitmap_free(&w.rgb);
    }
    assert_true(last.ticks > 0);
    assert_int_equal(portrait(map_of(1000, 600), (dreamo_reference){ .task = DREAMO_ID, .face = 4 }, three, 3, &w, &err), DREAMO_CONTENT);
    assert_non_null(strstr(err.message, "face=4, but there are 3"));
    bitmap_free(&w.rgb);
    assert_int_equal(mem_live(), 0);
}

static void no_face_is_one_clear_error(void **state)
{
    work w;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(portrait(map_of(300, 300), (dreamo_reference){ .task = DREAMO_ID }, NULL, 0, &w, &err), DREAMO_CONTENT);
    assert_string_equal(err.message, "it: no face found (id needs one); the best score was 0.41, above 0.97 is one");
    assert_non_null(strstr(err.hint, "box=x,y,w,h"));
    bitmap_free(&w.rgb);
    err = (dreamo_error){ 0 };
    assert_int_equal(portrait(map_of(23, 400), (dreamo_reference){ .task = DREAMO_ID }, NULL, 0, &w, &err), DREAMO_CONTENT);
    assert_non_null(strstr(err.message, "too small for id"));
    bitmap_free(&w.rgb);
    assert_int_equal(mem_live(), 0);
}

/* What lies outside the picture has the official border's colour; a face of 30 pixels is enlarged; a long edge is limited first. */
static void faces_at_the_border_and_small_ones(void **state)
{
    face corner = face_at(10, 10, 0.5, 0.99f), small = face_at(200, 200, 30 / 260.0, 0.99f);
    work w;
    (void)state;
    assert_int_equal(portrait(map_of(400, 400), (dreamo_reference){ .task = DREAMO_ID }, &corner, 1, &w, NULL), DREAMO_OK);
    assert_true(w.rgb.data[0] == 132 && w.rgb.data[1] == 133 && w.rgb.data[2] == 135);
    bitmap_free(&w.rgb);
    assert_int_equal(portrait(map_of(400, 400), (dreamo_reference){ .task = DREAMO_ID }, &small, 1, &w, NULL), DREAMO_OK);
    assert_true(w.rgb.width == 512 && abs(w.rgb.data[3 * (256 * 512 + 256)] - 50) <= 1);
    bitmap_free(&w.rgb);
    assert_int_equal(portrait(map_of(1800, 900), (dreamo_reference){ .task = DREAMO_ID }, &small, 1, &w, NULL), DREAMO_OK); /* found at 1024 x 512 */
    assert_true(abs(w.rgb.data[3 * (256 * 512 + 256)] - (int)(200 * 1800 / 1024.0 / 4) % 256) <= 1);
    bitmap_free(&w.rgb);
    assert_int_equal(mem_live(), 0);
}

static void auto_decides_by_the_largest_face(void **state)
{
    face large = face_at(200, 200, 0.5, 0.99f), small = face_at(200, 200, 0.25, 0.99f);
    work w;
    (void)state;
    assert_int_equal(portrait(map_of(400, 400), (dreamo_reference){ .task = DREAMO_AUTO }, &large, 1, &w, NULL), DREAMO_OK);
    assert_true(w.task == DREAMO_ID && w.rgb.width == 400);
    assert_string_equal(last.note, "it: auto takes it as a face (id): its largest face is 25 % of the shorter side");
    bitmap_free(&w.rgb);
    assert_int_equal(portrait(map_of(400, 400), (dreamo_reference){ .task = DREAMO_AUTO }, &small, 1, &w, NULL), DREAMO_OK);
    assert_true(w.task == DREAMO_IP);
    bitmap_free(&w.rgb);
    assert_int_equal(portrait(map_of(400, 400), (dreamo_reference){ .task = DREAMO_AUTO }, NULL, 0, &w, NULL), DREAMO_OK);
    assert_true(w.task == DREAMO_IP);
    assert_non_null(strstr(last.note, "there is no face"));
    bitmap_free(&w.rgb);
    assert_int_equal(mem_live(), 0);
}

/* The finished reference of the official code, from its labels: every byte. */
static void labels_whiten_as_the_official_code(void **state)
{
    bitmap in, want, labels;
    (void)state;
    assert_int_equal(image_read(TEST_DATA "/prep/bisenet-in.png", &in, NULL, 0, NULL), DREAMO_OK);
    assert_int_equal(image_read(TEST_DATA "/prep/bisenet-out.png", &want, NULL, 0, NULL), DREAMO_OK);
    assert_int_equal(image_read(TEST_DATA "/prep/bisenet-labels.png", &labels, NULL, 0, NULL), DREAMO_OK);
    unsigned char *mask = malloc(PARSE_SIDE * PARSE_SIDE);
    for (int i = 0; i < PARSE_SIDE * PARSE_SIDE; i++) mask[i] = labels.data[3 * i];
    keep_face(mask);
    whiten(&in, mask);
    assert_memory_equal(in.data, want.data, PARSE_SIDE * PARSE_SIDE * 3);
    free(mask);
    bitmap_free(&in);
    bitmap_free(&want);
    bitmap_free(&labels);
}

/* ---- the store ---- */

/* The second time nothing is looked at, and all is said again; a broken file is as if it were not there; another question has another answer. */
static void results_are_stored(void **state)
{
    char **names;
    int n;
    dreamo_image busy = square(64, 256, 20);
    (void)state;
    for (int round = 0; round < 3; round++) {
        prep *p = open_with(scratch_folder, "plain", "store");
        if (round == 2) {
            assert_int_equal(folder_list("store", &names, &n, NULL), DREAMO_OK);
            for (int i = 0; i < n; i++) {
                char path[300];
                snprintf(path, sizeof path, "store/%s", names[i]);
                scratch_write(path, "damaged", 7);
            }
            folder_list_free(names, n);
        }
        for (int again = 0; again < 2; again++) {
            prepared out = run(p, (dreamo_reference){ .image = &busy, .res = 32 }, 64, DREAMO_OK, "as it is");
            assert_non_null(strstr(last.warning, "no network to cut it out is there"));
            assert_true(out.rgb.width == 32 && out.width == 64 && out.task == DREAMO_IP);
            drop(out);
        }
        drop(run(p, (dreamo_reference){ .image = &busy, .res = 32, .cut = DREAMO_CUT_OFF }, 64, DREAMO_OK, "as it is"));
        assert_string_equal(last.warning, "");
        prep_close(p);
        assert_int_equal(folder_list("store", &names, &n, NULL), DREAMO_OK);
        assert_int_equal(n, 2);
        folder_list_free(names, n);
    }
    free(busy.rgb);
    assert_int_equal(mem_live(), 0);
}

/* ---- the shipped network on photographs ---- */

/* Of each example on a plain ground the network must find what the ground's colour tells; all of them must come out. */
static void examples_are_cut_out(void **state)
{
    char **names, *folder = REPO_ROOT "/models";
    int n, judged = 0;
    double sum = 0;
    prep *p = open_with(folder, "own", NULL);
    (void)state;
    assert_int_equal(folder_list(TEST_DATA "/photos", &names, &n, NULL), DREAMO_OK);
    assert_int_equal(n, 17);
    for (int i = 0; i < n; i++) {
        char path[400];
        bitmap in;
        snprintf(path, sizeof path, "%s/%s", TEST_DATA "/photos", names[i]);
        prepared out = run(p, (dreamo_reference){ .path = path, .res = -1, .cut = DREAMO_CUT_NET }, 512, DREAMO_OK, "cut out by dreamo's own network");
        size_t pixels = (size_t)out.rgb.width * (size_t)out.rgb.height, left = 0;
        for (size_t k = 0; k < pixels; k++) left += out.rgb.data[3 * k] < 250 || out.rgb.data[3 * k + 1] < 250 || out.rgb.data[3 * k + 2] < 250;
        assert_true(left > pixels / 50 && left < pixels);
        bool fails = strcmp(names[i], "mountain.jpg") == 0 || strcmp(names[i], "shirt.jpg") == 0; /* by eye: the mountain is gone, the white shirt has holes */
        assert_int_equal(strstr(last.warning, "is unsure of") != NULL, fails);
        assert_int_equal(image_read(path, &in, NULL, 0, NULL), DREAMO_OK);
        if (plain_background(&in) != BACKGROUND_BUSY) {
            unsigned char *truth = malloc((size_t)in.width * (size_t)in.height);
            double both = 0, either = 0;
            assert_int_equal(plain_mask(&in, truth, NULL), DREAMO_OK);
            for (int y = 0; y < out.rgb.height; y++)
                for (int x = 0; x < out.rgb.width; x++) {
                    size_t at = (size_t)y * (size_t)out.rgb.width + (size_t)x;
                    int u = x * in.width / out.rgb.width, v = y * in.height / out.rgb.height, dark = 0, was = 0;
                    const unsigned char *source = in.data + 3 * (v * in.width + u), *now = out.rgb.data + 3 * at;
                    for (int c = 0; c < 3; c++) dark += 255 - now[c], was += 255 - source[c];
                    bool is = truth[v * in.width + u] && was > 60, found = 2 * dark > was && was > 60;
                    both += is && found, either += is || found;
                }
            sum += both / either;
            judged++;
            free(truth);
        }
        bitmap_free(&in);
        drop(out);
    }
    folder_list_free(names, n);
    prep_close(p);
    print_message("IoU %.3f on %d pictures with plain grounds\n", sum / judged, judged);
    assert_true(judged >= 7 && sum / judged > 0.85);
    assert_int_equal(mem_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_grounds_become_white), cmocka_unit_test(alpha_is_used), cmocka_unit_test(cutters_that_are_not_there), cmocka_unit_test(what_is_asked_is_checked),
        cmocka_unit_test(small_and_long_pictures), cmocka_unit_test(faces_are_chosen), cmocka_unit_test(no_face_is_one_clear_error),
        cmocka_unit_test(faces_at_the_border_and_small_ones), cmocka_unit_test(auto_decides_by_the_largest_face), cmocka_unit_test(labels_whiten_as_the_official_code),
        cmocka_unit_test(results_are_stored), cmocka_unit_test(examples_are_cut_out),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
