/* scene.h - program-drawn backgrounds: large calm shapes that a small model can learn, with light and weather.
 *
 * A scene is a few numbers drawn from a generator; drawing it is a function of those numbers and the canvas alone. */
#ifndef DATA_SCENE_H
#define DATA_SCENE_H
#include "base/rng.h"
#include "data/canvas.h"

typedef enum scene_weather { WEATHER_NONE, WEATHER_RAIN, WEATHER_FOG, WEATHER_SNOWFALL, WEATHER_GOLDEN, WEATHER_COLD, WEATHERS } scene_weather;

typedef struct scene {
    int kind;              /* row of the table in scene.c */
    int colour[2];         /* rows of the colour table where the kind has a choice */
    double horizon;        /* where the ground begins, share of the height, 0 = top; 1 = there is none (things float) */
    double p[8];           /* the kind's own numbers, 0..1 */
    float shade[2][3];     /* the chosen colours, slightly varied */
    scene_weather weather;
    light lit;             /* on what stands in it */
} scene;

int         scene_kinds(void);
const char *scene_kind_name(int kind);                                    /* "beach" */
scene       scene_pick(rng *r);                                           /* any kind, by weight */
scene       scene_pick_kind(rng *r, int kind);
void        scene_draw(const scene *s, canvas *c);
/* Weather and coloured light, over everything that stands in the scene. */
void        scene_veil(const scene *s, canvas *c);
/* Mean distance of a colour from the scene's main colours, 0..1: small means a subject of that colour would vanish. */
double      scene_contrast(const scene *s, const float rgb[3]);
void        scene_phrase(const scene *s, char *out, size_t nbytes);       /* "on a beach by the sea in the rain" */
void        scene_alone(const scene *s, char *out, size_t nbytes);        /* "a beach by the sea in the rain" */
/* Every phrase there is but for the weather, for the vocabulary; false when i is past the last. */
bool        scene_phrase_at(int i, char *out, size_t nbytes);
bool        scene_alone_at(int i, char *out, size_t nbytes);
#endif
