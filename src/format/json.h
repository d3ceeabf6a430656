/* json.h - strict JSON over jansson: duplicate keys and trailing text refused, depth limited,
 * and getters that name the file, the field and what is allowed. */
#ifndef FORMAT_JSON_H
#define FORMAT_JSON_H
#include <jansson.h>
#include "base/error.h"

dreamo_status json_read(const char *path, size_t max_nbytes, json_t **out, dreamo_error *err); /* json_decref */
dreamo_status json_parse(const char *text, size_t nbytes, const char *what, json_t **out, dreamo_error *err);
/* Compact text in the order of insertion; mem_free, not free; NULL: no memory, or o is NULL. */
char *json_text(const json_t *o);

/* True when values that this thread built since the last call were refused memory: what they were put into then lacks something, without
 * a word.  For builders of large documents, who ask before (to begin anew) and after. */
bool json_lost(void);

/* A string of bytes that need not be UTF-8 (a file's name, words of a GGUF): U+FFFD stands for each that is no character. */
json_t *json_any_string(const char *bytes); /* NULL: no memory */

/* Field getters.  `what` names the file.  A missing field gives `otherwise` when it lies in [lo, hi], else an error
 * (so pass otherwise = lo - 1 for a field that must be there). */
dreamo_status json_get_int(const json_t *o, const char *what, const char *field, int64_t lo, int64_t hi, int64_t otherwise, int64_t *out, dreamo_error *err);
dreamo_status json_get_number(const json_t *o, const char *what, const char *field, double lo, double hi, double otherwise, double *out, dreamo_error *err);
dreamo_status json_get_bool(const json_t *o, const char *what, const char *field, bool otherwise, bool *out, dreamo_error *err);
dreamo_status json_get_string(const json_t *o, const char *what, const char *field, const char *otherwise, const char **out, dreamo_error *err); /* borrowed; otherwise NULL = required */
#endif
