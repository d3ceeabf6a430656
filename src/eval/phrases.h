/* phrases.h - what captions say, in groups of labels: {"groups": [{"name": "weather", "labels": [{"name": "rain", "says": ["in the rain"]}]}]}.
 *
 * A label is said where one of its phrases stands in a caption as whole words, in any case; * is one or two words of any kind ("a plain
 * * background").  Of phrases that lie in each other the longest counts.  A caption that says two labels of a group, or none, has none. */
#ifndef EVAL_PHRASES_H
#define EVAL_PHRASES_H
#include "base/error.h"

typedef struct phrase_label { char *name; int nsays; char **says; } phrase_label;
typedef struct phrase_group { char *name; int first, n; } phrase_group; /* labels first .. first + n - 1 */
typedef struct phrases { int ngroups, nlabels; phrase_group *group; phrase_label *label; } phrases;

dreamo_status phrases_read(const char *path, phrases *out, dreamo_error *err); /* a judge's config.json */
void          phrases_free(phrases *l);
/* said [ngroups]: number of the label; -1: none. */
void          phrases_said(const phrases *l, const char *caption, int *said);
#endif
