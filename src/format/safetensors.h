/* safetensors.h - the weight format we trust (rules: robustness C4, one to ten).
 *
 * Reading maps the file and checks the whole header before anything is used; every broken file is refused
 * with DREAMO_FORMAT and a line that names the file, the tensor and the rule. */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H
#include <stdint.h>
#include "base/dtype.h"
#include "base/file.h"

#define ST_MAX_RANK 8
#define ST_MAX_NAME 1024 /* bytes */
#define ST_MAX_FILE 1000000000000000ull /* what may be told as a size */

typedef struct st_tensor {
    const char *name;
    dtype type;
    int rank;
    int64_t shape[ST_MAX_RANK];
    size_t nbytes, count;
    const void *data;          /* into the map (reading; aligned only as the file is) or the caller's memory (writing) */
    bool used;                 /* set by whoever binds it, so that leftovers can be listed */
} st_tensor;

typedef struct st_file {
    char *path;
    filemap map;
    size_t header_nbytes;      /* what lies before the data */
    int ntensors;
    st_tensor *tensors;        /* sorted by name */
    int nmeta;
    char **meta_key, **meta_value;
    char *strings;             /* owns names */
} st_file;

dreamo_status st_open(const char *path, st_file *out, dreamo_error *err);
dreamo_status st_open_any(const char *path, st_file *out, dreamo_error *err); /* or a GGUF, torch or ONNX file (gguf.h, pth.h, onnx.h), told by its content */
void          st_close(st_file *f);                         /* a zeroed file is allowed */
st_tensor    *st_find(const st_file *f, const char *name);  /* NULL: not there */
const char   *st_meta(const st_file *f, const char *key);

/* A set of tensors from one file or from shards named by an index file. */
typedef struct st_set { int nfiles; st_file *files; char *name; /* what to call it in messages */ } st_set;
/* path: a .safetensors or GGUF file, a .safetensors.index.json, or a folder; `stem` picks stem.safetensors,
 * stem.safetensors.index.json or stem.gguf in a folder. */
dreamo_status st_set_open(const char *path, const char *stem, st_set *out, dreamo_error *err);
void          st_set_close(st_set *s);
st_tensor    *st_set_find(const st_set *s, const char *name);

/* Write tensors (name, type, rank, shape, data given; the sizes follow) atomically; meta may be NULL.  A name that is there twice, or
 * anything else that st_open would refuse, is DREAMO_BUG. */
dreamo_status st_write(const char *path, const st_tensor *tensors, int ntensors,
                       const char *const (*meta)[2], int nmeta, dreamo_error *err);

/* The same for tensors that are not in memory: their bytes are asked for one after the other, in the order of the file, and the
 * callback writes them through w, all of tensor i's and no more.  Its failure, which may be a wish to stop, leaves nothing behind. */
typedef dreamo_status (*st_fill)(void *user, int i, filewriter *w, dreamo_error *err);
dreamo_status st_write_filled(const char *path, bool clobber, const st_tensor *tensors, int ntensors,
                              const char *const (*meta)[2], int nmeta, st_fill fill, void *user, dreamo_error *err);
/* For writers of other formats: fill tensor i; another number of bytes than `nbytes` is DREAMO_BUG. */
dreamo_status st_fill_one(filewriter *w, int i, size_t nbytes, st_fill fill, void *user, dreamo_error *err);
#endif
