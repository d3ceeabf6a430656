/* scene_shade.h - the colour of a place in each kind of scene. */
#ifndef DATA_SCENE_SHADE_H
#define DATA_SCENE_SHADE_H
#include "data/scene.h"

/* A place in the picture in units of its height: u from the left, v from the top (0..1); mid is u from the middle, aspect = width / height. */
typedef struct place { double u, v, mid, aspect; } place;
typedef void shade_fn(const scene *s, place p, float rgb[3]);

shade_fn shade_plain, shade_outdoors, shade_beach, shade_sea, shade_hills, shade_mountains, shade_desert, shade_snow, shade_forest, shade_night,
    shade_city, shade_room, shade_table, shade_stripes, shade_sunset, shade_road, shade_street, shade_lake, shade_meadow, shade_garden,
    shade_tiles, shade_library, shade_stage, shade_window, shade_underwater, shade_space, shade_moon, shade_volcano, shade_farm, shade_bricks,
    shade_dots, shade_checks, shade_studio, shade_cave, shade_bridge, shade_kitchen;
#endif
