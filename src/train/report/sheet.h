/* sheet.h - a contact sheet of generated pictures, made the way a user makes them: through dreamo.h and an exported model. */
#ifndef TRAIN_SHEET_H
#define TRAIN_SHEET_H
#include "train/stages/stage.h"

/* Row i: the i-th held-out sample: its reference (with `references`), its true picture, and `seeds` generated ones. */
dreamo_status sheet_generated(stage *s, const char *model, const char *path, data_kind kind, bool references, int seeds,
                              dreamo_error *err);
#endif
