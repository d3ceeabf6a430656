/* mapped.h - which file lies at an address, for the handler of SIGBUS: a file that is cut short while it is mapped has no pages behind its
 * new end, and reading there kills the process unless somebody can say why. */
#ifndef BASE_MAPPED_H
#define BASE_MAPPED_H
#include <stddef.h>

void mapped_add(const void *data, size_t nbytes, const char *path); /* path is copied; beyond MOST maps a file stays nameless */
void mapped_remove(const void *data);
/* Looked up by dreamo_mapped_file (dreamo.h). */
#endif
