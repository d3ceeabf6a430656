/* sheet.h - a contact sheet of generated pictures, made the way a user makes them: through dreamo.h and an exported model. */
#ifndef TRAIN_SHEET_H
#define TRAIN_SHEET_H
#include "train/stages/stage.h"

/* recipe.samples rows, dealt out to the kinds that have held-out material, at least one each; the sizes that the recipe lists take turns.
 * A row: the references of a held-out sample (with `references`), its true picture, and `seeds` generated ones. */
typedef struct sheet_wishes {
    bool references;
    int seeds;
    bool frozen;            /* the networks themselves are not trained: they are taken from where the run has them */
} sheet_wishes;

dreamo_status sheet_generated(stage *s, const char *model, const char *path, const mixture *kinds, sheet_wishes w, dreamo_error *err);
#endif
