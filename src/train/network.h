/* network.h - a model folder, opened for training: the parts a stage needs, and which of them have no weights yet. */
#ifndef TRAIN_NETWORK_H
#define TRAIN_NETWORK_H
#include "model/clip.h"
#include "model/dit.h"
#include "model/judge.h"
#include "model/matting.h"
#include "model/t5.h"
#include "model/vae.h"
#include "weights/bind.h"
#include "text/tokenizer.h"
#include "train/params.h"

typedef enum network_part { PART_DIT, PART_T5, PART_CLIP, PART_VAE, PART_JUDGE, PART_MATTING, PARTS } network_part;
#define PARTS_OF_A_MODEL ((1u << PART_JUDGE) - 1) /* of what makes pictures: the judge looks at them, the cutter prepares */

typedef struct network {
    char *dir;                       /* of configurations and vocabularies */
    char *from[PARTS];               /* what the parts were bound to; NULL: fresh or not opened */
    dit *dit;
    t5 *t5;
    clip *clip;
    vae *vae;
    judge *judge;
    matting *matting;
    bound_files files[PARTS];
    bool has[PARTS], fresh[PARTS];   /* opened; opened without weights: every data pointer is NULL */
    unigram *t5_words;
    bpe *clip_words;
} network;

/* dir: a model in the diffusers layout, or a folder of FLUX's single weight files, told apart by content, under the shipped configurations.
 * file[part], NULL: from dir; `file` NULL: all of them.
 * `parts`: a bit (1 << PART_...) for each part wanted; a part in `may_lack` may have a config and no weights.  The text
 * encoders come with their tokenizers.  On failure *n is closed. */
dreamo_status network_open(network *n, const char *dir, const char *const file[PARTS], unsigned parts, unsigned may_lack, dreamo_error *err);
void          network_close(network *n);

void        *network_get(network *n, network_part part);
network_walk network_walker(network_part part);
const char  *network_folder(network_part part);  /* "transformer", "text_encoder_2", ... */
const char  *network_stem(network_part part);    /* of its weight file */
int64_t      network_count(network *n);           /* numbers in the opened parts */
uint64_t     network_nbytes(const network *n);    /* of their files, which are mapped */
/* sha256 over the weight files of the opened parts; 64 zeros when there are none. */
void network_hash(const network *n, char hex[65]);
/* The same of one part. */
void network_part_hash(const network *n, network_part part, char hex[65]);
#endif
