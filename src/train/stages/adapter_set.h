/* adapter_set.h - what DreamO trains: LoRA pairs on the attention layers, and three embedding tables, as trainable parameters.
 *
 * Fresh: one pair on qkv and one on proj of both streams of a double block, on the qkv rows of linear1 and on linear2 of a single
 * block, under DreamO's own names (spec 2.8); B zero, so that training begins at the base model.  Or those of a LoRA file, under
 * that file's names. */
#ifndef TRAIN_ADAPTER_SET_H
#define TRAIN_ADAPTER_SET_H
#include "model/t5.h"
#include "weights/lora.h"
#include "train/params.h"

typedef struct adapter_module { adapter a; weight *w; int down, up; /* slots of A and B */ } adapter_module;

typedef struct adapter_set {
    int n;
    adapter_module *module;
    weight task, idx;                 /* [2, D], [slots, D] */
    int task_slot, idx_slot, t5_slot; /* slots of the tables; -1: not there */
    int t5_first;                     /* the id of [ref#1] */
} adapter_set;

/* Name all parameters in p (before params_allocate). */
dreamo_status adapter_set_fresh(adapter_set *a, params *p, dit *m, int rank, const t5 *text, int t5_first, dreamo_error *err);
dreamo_status adapter_set_from_file(adapter_set *a, params *p, const lora_file *f, int t5_first, dreamo_error *err);
/* The pairs of a fresh one, or pairs on every linear layer of the blocks, and no tables: a LoRA that goes on top of DreamO's. */
dreamo_status adapter_set_pairs(adapter_set *a, params *p, dit *m, int rank, bool everywhere, dreamo_error *err);
/* Those of a LoRA file that went on top; tables that it has are left out. */
dreamo_status adapter_set_pairs_from_file(adapter_set *a, params *p, const lora_file *f, dreamo_error *err);
/* After params_allocate: begin (fresh: random A; T5 rows as the encoder has them; from a file: its values), then hang everything
 * into the networks.  train_t5: the rows of [ref#1] to [res] get gradients.  From then on the set may not move. */
dreamo_status adapter_set_attach(adapter_set *a, params *p, const lora_file *f, uint64_t seed, t5 *text, bool train_t5,
                                 dreamo_error *err);
/* Compute with p->value or p->ema. */
void          adapter_set_use(adapter_set *a, const params *p, const float *vector, t5 *text);
/* Off: the networks compute without these adapters (tables stay); on: with them, behind all others. */
void          adapter_set_switch(adapter_set *a, bool on);
/* No gradients of the task and index rows from now on; a fresh set's stay zero, as if there were none. */
void          adapter_set_freeze_tables(adapter_set *a);
void          adapter_set_free(adapter_set *a);
#endif
