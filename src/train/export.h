/* export.h - trained parameters into files that generation reads. */
#ifndef TRAIN_EXPORT_H
#define TRAIN_EXPORT_H
#include "train/params.h"

/* Slots [first, first + n) of `vector` as a safetensors file, without `prefix` before their names. */
dreamo_status export_weights(const char *path, const params *p, const float *vector, int first, int n, const char *prefix,
                             bool bf16, dreamo_error *err);

/* Remove what a folder DIR named dreamo has beside the adapter: LoRAs that were trained on top of another one.  but: one that stays, or NULL. */
dreamo_status export_remove_atop(const char *dir, const char *but, dreamo_error *err);

/* Copy a folder with everything in it.  Files of more than `most` bytes are left out and counted in *skipped. */
dreamo_status copy_folder(const char *from, const char *to, size_t most, int *skipped, dreamo_error *err);
#endif
