/* test_prep_official.c - `dreamo prep` and `generate` with the official networks in their folder: from a picture's file through the choice of a network
 * to the reference that is written.
 *
 * BEN2's reference is the official code's own (tests/data/prep/ben2-out.png).  A face's, and a garment's, are what facexlib and OpenCV make of the same
 * weights (tests/oracle/prep_official.py): those of names, but for RetinaFace's heads, without which nothing is a face. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/image_file.h"
#include "model/ben2.h"
#include "model/bisenet.h"
#include "model/retinaface.h"
#include "weights/prep/bind_prep.h"
#include "named_files.h" /* and cmocka, last: it has a macro called fail */
#include "scratch.h"

#define PREP TEST_DATA "/prep/"
#define PERSON PREP "retinaface-in.png"
#define MODEL TEST_DATA "/models/tiny"
#define LORA TEST_DATA "/lora/tiny/dreamo.safetensors"

int dreamo_main(int argc, char **argv);

/* ---- the command ---- */

enum { ARGS = 24 };
static char said[4000]; /* both streams of the last command */

/* In a child, as its process ends.  Returns the exit code. */
static int command(const char *const *args)
{
    char *argv[ARGS] = { "dreamo" }, *text = NULL;
    int argc = 1, status = 0;
    size_t nbytes;
    fflush(stdout);
    for (; *args; args++) argv[argc++] = (char *)(uintptr_t)*args;
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("said", "w", stderr) || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) _exit(98);
        int code = dreamo_main(argc, argv);
        fflush(NULL);
        _exit(code);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    assert_true(WIFEXITED(status));
    assert_int_equal(file_read("said", sizeof said - 1, &text, &nbytes, NULL), DREAMO_OK);
    memcpy(said, text, nbytes);
    said[nbytes] = '\0';
    mem_free(text);
    return WEXITSTATUS(status);
}
#define RUN(...) command((const char *const[]){ __VA_ARGS__, NULL })

static void says(const char *words)
{
    if (!strstr(said, words)) fail_msg("\"%s\" does not say \"%s\"", said, words);
}

/* The exit code, one line with its reason and its hint, and no file. */
static void refused(int code, int want, const char *reason, const char *way_out)
{
    if (code != want) fail_msg("%d: %s", code, said);
    says(reason);
    says(way_out);
    assert_false(file_exists("out.png"));
}

static bitmap made(const char *path)
{
    bitmap b;
    dreamo_error err = { 0 };
    if (image_read(path, &b, NULL, 0, &err)) fail_msg("%s\n%s", err.message, said);
    assert_int_equal(b.channels, 3);
    return b;
}

/* How many of the bytes, every `step`th of both directions, are off by more than a level; at most a thousandth may be. */
static void compare(const bitmap *got, const unsigned char *want_bytes, int step)
{
    int off = 0, n = 0;
    for (int y = 0; y < got->height; y += step)
        for (int x = 0; x < got->width; x += step)
            for (int c = 0; c < 3; c++, n++) off += abs(got->data[3 * (y * got->width + x) + c] - want_bytes[n]) > 1;
    print_message("    %d of %d bytes are off by more than a level\n", off, n);
    assert_true(off <= n / 1000);
}

static const st_tensor *stored(const char *name)
{
    const st_tensor *t = st_find(&want, name);
    if (!t) fail_msg("%s is not stored", name);
    return t;
}

/* ---- the folders ---- */

/* A score tells the second anchor of the middle level apart, and its five points lie as a face's do. */
static void with_heads(const char *name, float *data, size_t n)
{
    static const double points[10] = { 192.98138, 239.94708, 318.90277, 240.1936, 256.63416, 314.01935, 201.26117, 371.41043, 313.08905, 371.15118 };
    bool bias = strstr(name, ".bias") != NULL;
    if (strncmp(name, "ClassHead", 9) == 0)
        for (size_t i = 0; i < n; i++) data[i] = !bias ? data[i] * 4 : i % 2 == 0 || (i == 3 && strstr(name, ".1.")) ? 0 : -9000;
    if (strncmp(name, "LandmarkHead", 12) == 0 && bias)
        for (size_t i = 0; i < n; i++) data[i] = (float)((points[i % 10] - 256) / 26);
}

enum { CLOTH = 16, OFTEN = 12 };

/* Random weights have a favourite few among the classes: one of these exchanges its name with cloth. */
static void with_cloth(const char *name, float *data, size_t n)
{
    if (strcmp(name, "conv_out.conv_out.weight") != 0) return;
    for (size_t i = 0, in = n / BISENET_CLASSES; i < in; i++) {
        float cloth = data[CLOTH * in + i];
        data[CLOTH * in + i] = data[OFTEN * in + i];
        data[OFTEN * in + i] = cloth;
    }
}

/* What comes before the classes is never negative, so this one never wins. */
static void without_cloth(const char *name, float *data, size_t n)
{
    if (strcmp(name, "conv_out.conv_out.weight") != 0) return;
    for (size_t i = 0, in = n / BISENET_CLASSES; i < in; i++) data[CLOTH * in + i] = -1;
}

static void no_one(const char *name, float *data, size_t n)
{
    with_heads(name, data, n);
    if (strncmp(name, "ClassHead", 9) == 0 && strstr(name, ".bias")) data[1] = data[3] = -9000;
}

static void write_finder(const char *path, change_fn change)
{
    retinaface *m = retinaface_new();
    write_named(path, bind_walk_retinaface, m, change);
    retinaface_free(m);
}

static void write_parser(const char *path, change_fn change)
{
    bisenet *m = bisenet_new();
    write_named(path, bind_walk_bisenet, m, change);
    bisenet_free(m);
}

/* ---- a face ---- */

static void test_face(void **state)
{
    (void)state;
    if (RUN("prep", "-r", "id=" PERSON, "--networks", "nets", "-o", "face.png")) fail_msg("%s", said);
    says("face 3 of 5 (0.99) by RetinaFace, whitened by BiSeNet");
    bitmap b = made("face.png");
    assert_true(b.width == 512 && b.height == 512);
    compare(&b, stored("face.every8")->data, 8);
    bitmap_free(&b);
}

/* auto finds the same, and what a picture is made from is the same. */
static void test_within_generate(void **state)
{
    (void)state;
    if (RUN("generate", "x", "-m", MODEL, "--lora", LORA, "-s", "32x32", "--steps", "1", "--seed", "5", "-r", "auto=" PERSON, "--networks", "nets", "--save-refs", "seen", "-o", "o.png")) fail_msg("%s", said);
    says("auto takes it as a face (id)");
    bitmap a = made("face.png"), b = made("seen/ref-1.png");
    assert_true(b.width == a.width && b.height == a.height);
    assert_memory_equal(a.data, b.data, 3 * 512 * 512);
    bitmap_free(&a);
    bitmap_free(&b);
}

static void test_no_face(void **state)
{
    (void)state;
    write_finder("other/detection_Resnet50_Final.safetensors", no_one);
    refused(RUN("prep", "-r", "id=" PERSON, "--networks", "other", "-o", "out.png"), 10, "no face found (id needs one); the best score was 0.00, above 0.97 is one", "box=x,y,w,h");
    assert_int_equal(link("nets/parsing_bisenet.safetensors", "other/parsing_bisenet.safetensors"), 0);
    refused(RUN("prep", "-r", "ip=" PERSON ",part=garment", "--networks", "other", "-o", "out.png"), 10, "no face found", "box=x,y,w,h");
}

/* ---- a garment ---- */

static void test_garment(void **state)
{
    const st_tensor *t = stored("garment");
    (void)state;
    if (RUN("prep", "-r", "ip=" PERSON ",part=garment,res=keep", "--cell", "1", "--networks", "nets", "-o", "garment.png")) fail_msg("%s", said);
    says("clothes below face 3 of 5 by BiSeNet");
    bitmap b = made("garment.png");
    assert_true(b.height == t->shape[0] && b.width == t->shape[1]);
    compare(&b, t->data, 1);
    bitmap_free(&b);
}

static void test_no_garment(void **state)
{
    (void)state;
    remove("other/parsing_bisenet.safetensors");
    refused(RUN("prep", "-r", "ip=" PERSON ",part=garment", "--networks", "other", "-o", "out.png"), 4, "the parser is not there", "dreamo fetch prep");
    remove("other/detection_Resnet50_Final.safetensors");
    write_parser("other/parsing_bisenet.safetensors", without_cloth);
    refused(RUN("prep", "-r", "ip=" PERSON ",part=garment", "--networks", "other", "-o", "out.png"), 4, "the finder is not there", "dreamo fetch prep");
    assert_int_equal(link("nets/detection_Resnet50_Final.safetensors", "other/detection_Resnet50_Final.safetensors"), 0);
    refused(RUN("prep", "-r", "ip=" PERSON ",part=garment", "--networks", "other", "-o", "out.png"), 10, "no clothes found below the face", "without part=garment");
}

/* ---- a thing ---- */

/* The official network is taken before ours; within one grey level for 99.9 % of the bytes. */
static void test_thing(void **state)
{
    ben2 *m = ben2_new();
    (void)state;
    write_named("nets/BEN2_Base.safetensors", bind_walk_ben2, m, NULL);
    ben2_free(m);
    if (RUN("prep", "-r", "ip=" PREP "ben2-in.png,res=keep", "--cell", "1", "--networks", "nets", "-o", "thing.png")) fail_msg("%s", said);
    says("cut out by BEN2");
    bitmap b = made("thing.png"), official = made(PREP "ben2-out.png");
    assert_true(b.width == official.width && b.height == official.height);
    compare(&b, official.data, 1);
    bitmap_free(&b);
    bitmap_free(&official);
}

static int setup(void **state)
{
    if (scratch_enter(state) || numbers_open(PREP "official.safetensors") || mkdir("nets", 0777) || mkdir("other", 0777)) return -1;
    write_finder("nets/detection_Resnet50_Final.safetensors", with_heads);
    write_parser("nets/parsing_bisenet.safetensors", with_cloth);
    return 0;
}

static int done(void **state) { return numbers_close(state) || scratch_leave(state); }

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_face), cmocka_unit_test(test_within_generate), cmocka_unit_test(test_no_face), cmocka_unit_test(test_garment),
                                        cmocka_unit_test(test_no_garment), cmocka_unit_test(test_thing) };
    return cmocka_run_group_tests(tests, setup, done);
}
