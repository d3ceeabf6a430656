/* layout.h - where a parameter lies in the files that people have.
 *
 * The networks know one name a parameter, diffusers' or transformers'.  BFL's files, ComfyUI's and GGUF files hold the same numbers
 * under other names, sometimes several parameters in one tensor, once with its halves swapped (spec 1.2, 1.3, 4.7, 6.2).  A layout
 * is a function from the name to the place. */
#ifndef WEIGHTS_LAYOUT_H
#define WEIGHTS_LAYOUT_H
#include <stdbool.h>
#include "nn/param.h"

typedef struct file_place {
    char name[232];      /* of the file's tensor, without the file's prefix */
    int64_t row0, rows;  /* the parameter is rows row0.. of a tensor of `rows` rows; rows 0: all of it */
    bool swapped;        /* its two halves of rows come in the other order */
} file_place;

/* network: the struct that the parameter belongs to.  False: this layout has no such parameter. */
typedef bool (*file_layout)(const void *network, const param *p, file_place *out);

bool layout_own(const void *network, const param *p, file_place *out);      /* as the parameter is called */
bool layout_dit_bfl(const void *network, const param *p, file_place *out);  /* flux1-dev.safetensors; ComfyUI; GGUF */
bool layout_vae_bfl(const void *network, const param *p, file_place *out);  /* ae.safetensors */
bool layout_vae_old(const void *network, const param *p, file_place *out);  /* diffusers before 0.18: attention.query, ... */
bool layout_clip_bare(const void *network, const param *p, file_place *out);   /* without "text_model." */
bool layout_clip_openai(const void *network, const param *p, file_place *out); /* transformer.resblocks.0.attn.in_proj_weight, ... */
bool layout_t5_twin(const void *network, const param *p, file_place *out);  /* the table under its second name */
bool layout_t5_gguf(const void *network, const param *p, file_place *out);  /* llama.cpp's names */
#endif
