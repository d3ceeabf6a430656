#include "data/furniture.h"
dreamo_status furniture_open(const char *folder, furniture_source *out, dreamo_error *err) { (void)folder; *out = (furniture_source){0}; (void)err; return DREAMO_OK; }
void furniture_close(furniture_source *s) { *s = (furniture_source){ 0 }; }
dreamo_status furniture_draw(const furniture_source *s, int i, asset *out, dreamo_error *err) { (void)s; (void)i; (void)out; (void)err; return DREAMO_OK; }
