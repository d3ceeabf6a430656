/* bind.h - file tensors to a network's parameters, by name.
 *
 * Matrices stay where the file's map has them; biases, norms and other vectors are copied to fp32.  Every tensor that is
 * missing, left over, of another shape, or of a type that kernels cannot compute from is listed by name. */
#ifndef PIPE_BIND_H
#define PIPE_BIND_H
#include "format/safetensors.h"
#include "nn/param.h"

/* Lists a network's parameters: dit_visit and its kin behind one type. */
typedef void (*bind_walk)(void *network, param_visitor visit, void *user);

/* What a bound network reads from; keep it as long as the network. */
typedef struct bound_files { st_set set; int ncopies, room; void **copies; } bound_files;

/* path: a .safetensors file, an index, or a folder with stem.safetensors or its shards.  `ignored`: names (NULL-ended list)
 * that may be there and are not used; NULL: none.  On failure *out is zeroed and the network must not be used. */
dreamo_status bind_network(void *network, bind_walk walk, const char *path, const char *stem, const char *const *ignored,
                           bound_files *out, dreamo_error *err);
void          bind_close(bound_files *b); /* a zeroed one is allowed */
uint64_t      bind_nbytes(const bound_files *b); /* of the mapped files */

/* bind_network with the names each kind of file has, and those it may carry unused. */
struct dit;
struct vae;
struct t5;
struct clip;
dreamo_status bind_dit(struct dit *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_vae(struct vae *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_t5(struct t5 *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_clip(struct clip *m, const char *path, bound_files *out, dreamo_error *err);
#endif
