/* names.h - how a subject is called in captions, and which subjects stay out. */
#ifndef DATA_NAMES_H
#define DATA_NAMES_H
#include <stdbool.h>
#include <stddef.h>

/* Lower-case ASCII: accents dropped, typographic apostrophes straightened, a bracketed or colon-led tail cut.
 * False when nothing printable is left or it does not fit. */
bool name_clean(const char *utf8, char *out, size_t nbytes);
/* The name as a file name: letters and digits, runs of anything else as one '-'. */
void name_slug(const char *name, char *out, size_t nbytes);
/* With its article: "an umbrella", "the sun", "chopsticks", "sushi". */
void name_phrase(const char *name, char *out, size_t nbytes);
/* Every twelfth concept by hash is never trained on. */
bool name_held_out(const char *name);
#endif
