/* obj.h - Wavefront OBJ meshes and their MTL materials (the 1995 specification's v, vt, f, usemtl; newmtl, Kd, d, map_Kd).
 *
 * Polygons become fans of triangles.  Lines, points, curves, normals and groups are skipped.  Files are untrusted: every
 * index is checked, numbers must be finite, and counts are limited. */
#ifndef DATA_OBJ_H
#define DATA_OBJ_H
#include <stdint.h>
#include "format/image_file.h"

#define OBJ_MAX_VERTICES 2000000
#define OBJ_MAX_TRIANGLES 4000000
#define OBJ_MAX_MATERIALS 4096
#define OBJ_MAX_NAME 128

typedef struct obj_material {
    char name[OBJ_MAX_NAME], map[OBJ_MAX_NAME]; /* map: file of the texture; empty: none */
    float colour[3], opacity;                   /* Kd, d */
    bitmap texture;                             /* RGB or RGBA; data NULL: none */
} obj_material;

typedef struct obj_triangle { int32_t v[3], t[3]; /* t < 0: no texture coordinate */ int32_t material; } obj_triangle;

typedef struct obj_mesh {
    int nv, nt, ntriangles, nmaterials;
    float (*v)[3], (*t)[2];
    obj_triangle *triangles;
    obj_material *materials;    /* [0] is the grey of faces without a material */
    char library[OBJ_MAX_NAME]; /* mtllib; empty: none */
} obj_mesh;

/* `text` ends with a NUL (which is not counted). */
dreamo_status obj_parse(const char *text, size_t nbytes, const char *what, obj_mesh *out, dreamo_error *err);
/* Fills in the materials that the mesh uses; the others are skipped. */
dreamo_status mtl_parse(const char *text, size_t nbytes, const char *what, obj_mesh *mesh, dreamo_error *err);
void          obj_free(obj_mesh *m); /* a zeroed mesh is allowed */
#endif
