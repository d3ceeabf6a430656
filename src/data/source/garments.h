/* garments.h - photographs of clothes from the Fashion-MNIST data set (Debian: dataset-fashion-mnist), 28 x 28, grey on black.
 *
 * Reads the four gzipped IDX files of a folder.  The training files give garments to train on, the test files the held-out ones. */
#ifndef DATA_GARMENTS_H
#define DATA_GARMENTS_H
#include <stdbool.h>
#include "base/error.h"

#define WARDROBE_CLASSES 6 /* t-shirt, trousers, pullover, dress, coat, shirt */

typedef struct wardrobe_class {
    const char *name, *part;  /* "t-shirt", "top" */
    bool held_out;
    int count;
    unsigned char *grey;      /* [count, 28, 28]; mem_free */
} wardrobe_class;

typedef struct garment_source {
    wardrobe_class item[2 * WARDROBE_CLASSES];
    int seen, dark, small;    /* pictures of these classes; left out: too dark to tell from the ground, too small */
} garment_source;

/* At most `most` of each class to train on and a tenth of that to hold out, in the order of the files. */
dreamo_status garments_open(const char *folder, int most, garment_source *out, dreamo_error *err);
void          garments_close(garment_source *s); /* a zeroed source is allowed */
#endif
