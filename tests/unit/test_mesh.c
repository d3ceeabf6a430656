/* test_mesh.c - OBJ and MTL reading, the renderer against closed forms, ZIP archives. */
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "data/canvas.h"
#include "data/source/raster.h"
#include "data/source/zip.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

static const char cube[] = "v -1 -1 -1\nv 1 -1 -1\nv 1 1 -1\nv -1 1 -1\nv -1 -1 1\nv 1 -1 1\nv 1 1 1\nv -1 1 1\n"
                           "f 1 2 3 4\nf 5 6 7 8\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8\n";

static dreamo_status parse_text(const char *text, obj_mesh *m, dreamo_error *err) { return obj_parse(text, strlen(text), "test.obj", m, err); }

static double covered(const unsigned char *rgba, int side)
{
    double n = 0;
    for (int i = 0; i < side * side; i++) n += rgba[4 * i + 3] / 255.0;
    return n;
}

/* A cube seen from straight ahead, and turned by an eighth: areas of the silhouettes in perspective from 4 radii away. */
static void cube_silhouette(void **state)
{
    (void)state;
    enum { SIDE = 400 };
    obj_mesh m;
    assert_int_equal(parse_text(cube, &m, NULL), DREAMO_OK);
    assert_int_equal(m.ntriangles, 12);
    unsigned char *out = mem_alloc(SIDE * SIDE * 4);
    const double filled = 0.96 * SIDE, eye = 4 * sqrt(3), root = sqrt(2);
    assert_int_equal(raster_views(&m, &(view){ 0, 0 }, 1, SIDE, out, NULL), DREAMO_OK);
    assert_true(fabs(covered(out, SIDE) / (filled * filled) - 1) < 0.01);

    /* an edge is now nearest, at z = sqrt 2; two more stand at x = +-sqrt 2, z = 0, where lengths are true */
    double near_height = 2 * eye / (eye - root), width = 2 * root, widest = fmax(width, near_height);
    double area = width * (near_height + 2) / 2 * (filled / widest) * (filled / widest);
    assert_int_equal(raster_views(&m, &(view){ 0.125, 0 }, 1, SIDE, out, NULL), DREAMO_OK);
    assert_true(fabs(covered(out, SIDE) / area - 1) < 0.01);
    mem_free(out);
    obj_free(&m);
}

/* Each quarter of a square shows its texel, dimmed by the same Lambert factor; v runs upwards. */
static void texture_lookup(void **state)
{
    (void)state;
    enum { SIDE = 64 };
    static const char quad[] = "mtllib q.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl paint\nf 1/1 2/2 3/3 4/4\n";
    static const unsigned char texels[4][3] = { { 200, 0, 0 }, { 0, 200, 0 }, { 0, 0, 200 }, { 200, 200, 0 } }; /* top left, top right, bottom left, bottom right */
    obj_mesh m;
    assert_int_equal(parse_text(quad, &m, NULL), DREAMO_OK);
    assert_string_equal(m.library, "q.mtl");
    static const char mtl[] = "newmtl other\nKd 1 1 1\nnewmtl paint\nKd 0.5 0.25 1\nd 1\nmap_Kd -s 1 1 1 my file.png\n";
    assert_int_equal(mtl_parse(mtl, strlen(mtl), "q.mtl", &m, NULL), DREAMO_OK);
    assert_int_equal(m.nmaterials, 2);
    assert_string_equal(m.materials[1].map, "my file.png");
    assert_true(m.materials[1].colour[1] == 0.25f);
    assert_int_equal(bitmap_new(&m.materials[1].texture, 2, 2, 3, NULL), DREAMO_OK);
    memcpy(m.materials[1].texture.data, texels, sizeof texels);

    static const double one[9] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
    assert_int_equal(mesh_normalise(&m, one, (double[3]){ 2, 2, 0 }, "quad", NULL), DREAMO_OK);
    unsigned char out[SIDE * SIDE * 4];
    assert_int_equal(raster_views(&m, &(view){ 0, 0 }, 1, SIDE, out, NULL), DREAMO_OK);
    const double light = 0.55 + 0.5 * 0.67; /* ambient + (1.05 - ambient) n.l for a face that looks at the viewer */
    for (int q = 0; q < 4; q++) {
        /* the texel's centre is the quarter's centre; the square fills the middle 0.96 of the picture */
        int x = (int)(SIDE * (0.5 + 0.96 * (q % 2 ? 0.25 : -0.25))), y = (int)(SIDE * (0.5 + 0.96 * (q / 2 ? 0.25 : -0.25)));
        for (int k = 0; k < 3; k++) assert_true(fabs(out[4 * (y * SIDE + x) + k] - light * texels[q][k]) < 8);
    }
    obj_free(&m);
}

/* Half-transparent glass over an opaque face mixes by its opacity, whichever comes first in the file. */
static void glass_in_front(void **state)
{
    (void)state;
    enum { SIDE = 32 };
    static const char text[] = "v -1 -1 1\nv 1 -1 1\nv 1 1 1\nv -1 1 1\nv -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\n"
                               "usemtl glass\nf 1 2 3 4\nusemtl wall\nf 5 6 7 8\n";
    static const char mtl[] = "newmtl glass\nKd 1 0 0\nd 0.5\nnewmtl wall\nKd 0 0 1\n";
    obj_mesh m;
    assert_int_equal(parse_text(text, &m, NULL), DREAMO_OK);
    assert_int_equal(mtl_parse(mtl, strlen(mtl), "g.mtl", &m, NULL), DREAMO_OK);
    unsigned char out[SIDE * SIDE * 4];
    assert_int_equal(raster_views(&m, &(view){ 0, 0 }, 1, SIDE, out, NULL), DREAMO_OK);
    const unsigned char *p = out + 4 * (SIDE / 2 * SIDE + SIDE / 2);
    double expected = (0.55 + 0.5 * 0.67) * 255 / 2;
    assert_true(fabs(p[0] - expected) < 2 && p[1] == 0 && fabs(p[2] - expected) < 2);
    assert_int_equal(p[3], 255);
    obj_free(&m);
}

static void numbers_and_indices(void **state)
{
    (void)state;
    obj_mesh m;
    assert_int_equal(parse_text("v 1.5 -2e-1 .25\nv +3 0 1E+2\nv 0 0 0\nvn 0 0 1\nf -3//1 -2//1 -1//1\r\n# end", &m, NULL), DREAMO_OK);
    assert_true(fabs(m.v[0][0] - 1.5) < 1e-6 && fabs(m.v[0][1] + 0.2) < 1e-6 && fabs(m.v[0][2] - 0.25) < 1e-6 && m.v[1][2] == 100);
    assert_int_equal(m.triangles[0].v[0], 0);
    assert_int_equal(m.triangles[0].v[2], 2);
    assert_int_equal(m.triangles[0].t[0], -1);
    obj_free(&m);
}

static void bad_meshes(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "v 0 0 0\n", "v 0 0\nf 1 1 1\n", "v nan 0 0\nf 1 1 1\n", "v inf 0 0\n", "v 1e999 0 0\n", "v 1e20 0 0\nf 1 1 1\n", "v 0 0 0\nf 1 1 2\n",
        "v 0 0 0\nf 1 1 0\n", "v 0 0 0\nf 1 1 -2\n", "v 0 0 0\nf 1/1 1/1 1/1\n", "v 0 0 0\nf 1 1 99999999999999999999\n", "v 0 0 0\nf 1x 1 1\n",
        "v 0 0 0\nf a b c\n" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        obj_mesh m;
        dreamo_error err = { 0 };
        assert_int_equal(parse_text(bad[i], &m, &err), DREAMO_FORMAT);
        assert_non_null(strstr(err.message, "test.obj"));
    }
    char long_name[400];
    memset(long_name, 'x', sizeof long_name);
    memcpy(long_name, "usemtl ", 7);
    long_name[sizeof long_name - 1] = 0;
    obj_mesh m;
    assert_int_equal(parse_text(long_name, &m, NULL), DREAMO_FORMAT);
    /* a flat point cloud cannot be scaled or seen */
    assert_int_equal(parse_text("v 0 0 0\nf 1 1 1\n", &m, NULL), DREAMO_OK);
    static const double one[9] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
    unsigned char out[16 * 16 * 4];
    assert_int_equal(mesh_normalise(&m, one, (double[3]){ 1, 1, 1 }, "point", NULL), DREAMO_FORMAT);
    assert_int_equal(raster_views(&m, &(view){ 0, 0 }, 1, 16, out, NULL), DREAMO_FORMAT);
    obj_free(&m);
    /* every cut of a good file parses or is refused, and nothing leaks */
    size_t live = mem_live();
    for (size_t n = 0; n < strlen(cube); n++)
        if (!obj_parse(cube, n, "cut.obj", &m, NULL)) obj_free(&m);
    assert_int_equal(mem_live(), live);
}

static void sines(void **state)
{
    (void)state;
    for (double t = -3; t < 3; t += 0.0137) assert_true(fabs(sine(t) - sin(2 * 3.14159265358979323846 * t)) < 1e-6);
}

/* ---- ZIP ---- */

/* Made by Python's zipfile: "a.txt" deflated (100 times "dreamo "), "b/c.txt" stored ("hello"). */
static const char zip_path[] = TEST_DATA "/small.zip";

static void zip_members(void **state)
{
    (void)state;
    zip z;
    assert_int_equal(zip_open(zip_path, &z, NULL), DREAMO_OK);
    assert_int_equal(z.nentries, 2);
    char *data;
    size_t nbytes;
    assert_int_equal(zip_read(&z, zip_find(&z, "a.txt"), 10000, &data, &nbytes, NULL), DREAMO_OK);
    assert_int_equal(nbytes, 700);
    for (size_t i = 0; i < nbytes; i++) assert_int_equal(data[i], "dreamo "[i % 7]);
    mem_free(data);
    assert_int_equal(zip_read(&z, zip_find(&z, "b/c.txt"), 5, &data, &nbytes, NULL), DREAMO_OK);
    assert_string_equal(data, "hello");
    mem_free(data);
    assert_null(zip_find(&z, "c.txt"));
    assert_int_equal(zip_read(&z, zip_find(&z, "a.txt"), 699, &data, &nbytes, NULL), DREAMO_LIMIT);
    zip_close(&z);
}

/* Any one byte changed, or the end cut off: refused, or the members still have their CRC. */
static void zip_damage(void **state)
{
    (void)state;
    char *whole, *data;
    size_t nbytes, got;
    assert_int_equal(file_read(zip_path, 1 << 20, &whole, &nbytes, NULL), DREAMO_OK);
    int refused = 0;
    for (size_t i = 0; i < 2 * nbytes; i++) {
        if (i < nbytes) whole[i] ^= 0x55;
        scratch_write("damaged.zip", whole, i < nbytes ? nbytes : i - nbytes);
        if (i < nbytes) whole[i] ^= 0x55;
        zip z;
        if (zip_open("damaged.zip", &z, NULL)) {
            refused++;
            continue;
        }
        for (int k = 0; k < z.nentries; k++) {
            if (zip_read(&z, &z.entries[k], 10000, &data, &got, NULL)) refused++;
            else {
                assert_true(got == 700 || got == 5);
                mem_free(data);
            }
        }
        zip_close(&z);
    }
    assert_true(refused > (int)nbytes);
    mem_free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cube_silhouette), cmocka_unit_test(texture_lookup), cmocka_unit_test(glass_in_front),
        cmocka_unit_test(numbers_and_indices), cmocka_unit_test(bad_meshes), cmocka_unit_test(sines),
        cmocka_unit_test(zip_members), cmocka_unit_test(zip_damage),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
