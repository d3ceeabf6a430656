/* bind.h - file tensors to a network's parameters, by name.
 *
 * Matrices stay where the file's map has them, in its type; biases, norms and other vectors are copied to fp32, and so is what kernels
 * want plain: convolutions and T5's position table when they are quantised.  Every tensor that is missing, left over, of another shape, or of a
 * type that kernels cannot compute from is listed by name. */
#ifndef WEIGHTS_BIND_H
#define WEIGHTS_BIND_H
#include "format/safetensors.h"
#include "nn/param.h"
#include "weights/layout.h"

/* Lists a network's parameters: dit_visit and its kin behind one type. */
typedef void (*bind_walk)(void *network, param_visitor visit, void *user);
void bind_walk_dit(void *network, param_visitor visit, void *user);
void bind_walk_vae(void *network, param_visitor visit, void *user);
void bind_walk_t5(void *network, param_visitor visit, void *user);
void bind_walk_clip(void *network, param_visitor visit, void *user);
void bind_walk_judge(void *network, param_visitor visit, void *user);
void bind_walk_matting(void *network, param_visitor visit, void *user);

/* What a bound network reads from; keep it as long as the network. */
typedef struct bound_files {
    st_set set;
    int ncopies, room;
    void **copies;
    char *warning;       /* matrices that hold zeros only, as after a download that stopped; NULL: none */
} bound_files;

/* How one kind of network may be named in files.  All lists end with NULL. */
typedef struct bind_names {
    const char *stem;                /* of the file in a folder: STEM.safetensors or its shards */
    const file_layout *layouts;
    const char *const *prefixes;     /* that all its tensors may have: "" and those of all-in-one files; any other that a file has is found */
    const char *const *unused;       /* tensors that may be there without being used; one that ends with * begins their names, one that begins with it ends them */
    int holds;                       /* HAS_... of kind.h: what it is */
} bind_names;

/* path: a .safetensors or GGUF file, an index, or a folder.  Of the layouts and prefixes the pair counts that explains most parameters.
 *  What does not fit and is of another kind is refused by the name of its kind.  On failure *out is zeroed and the network must not be used. */
dreamo_status bind_network(void *network, bind_walk walk, const char *path, const bind_names *names, bound_files *out,
                           dreamo_error *err);
void          bind_close(bound_files *b); /* a zeroed one is allowed */
/* Let go of the memory that the mapped files take: what is read again comes back from the file. */
void          bind_forget(const bound_files *b);
uint64_t      bind_nbytes(const bound_files *b); /* of the mapped files */

/* bind_network with the names that each kind of file has. */
struct dit;
struct vae;
struct t5;
struct clip;
struct judge;
struct matting;
dreamo_status bind_dit(struct dit *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_vae(struct vae *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_t5(struct t5 *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_clip(struct clip *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_judge(struct judge *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_matting(struct matting *m, const char *path, bound_files *out, dreamo_error *err);
#endif
