/* page.h - the files of the web page, put into the program when it is built (web/embed.cmake). */
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H
#include <stddef.h>

typedef struct page_file { const char *name; const unsigned char *data; size_t nbytes; } page_file;
extern const page_file page_files[]; /* name NULL ends it */
#endif
