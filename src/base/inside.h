/* inside.h - names that a file gives for other files: they must stay inside its folder. */
#ifndef BASE_INSIDE_H
#define BASE_INSIDE_H
#include "base/error.h"

/* A relative name of one or more parts, none of them empty, "." or "..": true.  (Backslashes and colons are letters like others here.) */
bool          name_is_inside(const char *name);
/* The path of `name` below `folder` (mem_free).  DREAMO_FORMAT when the name is none of those, DREAMO_NOT_FOUND when nothing is there,
 * DREAMO_FORMAT when links lead out of the folder.  (Links within it are fine.) */
dreamo_status path_inside(const char *folder, const char *name, char **path, dreamo_error *err);
#endif
