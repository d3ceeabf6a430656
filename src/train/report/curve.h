/* curve.h - series as a picture: an SVG with axes, for a page that needs nothing else. */
#ifndef TRAIN_CURVE_H
#define TRAIN_CURVE_H
#include "train/report/history.h"
#include "format/text.h"

#define CURVE_LINES 6

typedef struct curve_line {
    const series *of;
    const series *error;    /* half the length of a bar at each point; NULL: none */
    bool faint;             /* behind the others */
} curve_line;

typedef struct curve {
    const char *title;
    bool logarithmic;       /* the vertical axis, when all numbers are above zero */
    int n;
    curve_line line[CURVE_LINES];
} curve;

/* Nothing when there is no finite number. */
void curve_write(text *t, const curve *c);
#endif
