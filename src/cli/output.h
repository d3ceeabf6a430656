/* output.h - where pictures go: names made from a pattern, what can be refused before any work, and one picture of them all. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H
#include "cli/options.h"

typedef struct output {
    const char *pattern, *format, *prompt;
    const uint64_t *seeds;     /* [n], one a picture; not owned */
    int n;
    bool clobber, metadata, grid, to_stdout;
    dreamo_image sheet;        /* of --grid, `columns` pictures a row, white where there is none; its pixels are malloc's */
    int columns;
    char numbered[1024];       /* the pattern, when it needed {n} */
} output;

/* -o, --format, --no-clobber, --no-metadata, --grid.  The folder is there and can be written, the names differ, none is that of one of the `inputs`,
 * the format is known and is the name's.  What is passed in must outlive the output. */
dreamo_status output_open(output *o, const parsed *p, const char *prompt, const uint64_t *seeds, int n, const char *const *inputs, int ninputs,
                          dreamo_error *err);
/* "jpeg" where a name ends in .jpg or .jpeg, in letters of any size, else "png". */
const char   *output_format(const char *name);
/* Write the i-th picture and tell its name; keep it for the grid. */
dreamo_status output_put(output *o, int i, dreamo_image *image, dreamo_error *err);
/* Room for a grid of width x height pictures, before the first of them; and its file, after the last. */
dreamo_status output_grid(output *o, int width, int height, dreamo_error *err);
dreamo_status output_put_grid(output *o, dreamo_error *err);
void          output_close(output *o); /* a zeroed one is allowed */
#endif
