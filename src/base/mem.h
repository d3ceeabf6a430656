/* mem.h - the one place for malloc, so that a test can make the nth allocation fail. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t nbytes);              /* NULL on failure; 0 bytes gives a unique pointer */
void *mem_calloc(size_t count, size_t each); /* zeroed, multiplication checked */
void *mem_realloc(void *p, size_t nbytes);
void *mem_aligned(size_t nbytes);            /* 64-byte aligned; freed by mem_free like the others */
void  mem_free(void *p);

/* Zeroed pages of which the system gives each when it is first touched: for what is large and used bit by bit.  NULL on failure. */
void *mem_map(size_t nbytes);
/* Addresses that are nobody else's, without memory: reading or writing there is a fault. */
void *mem_addresses(size_t nbytes);
void  mem_unmap(void *p, size_t nbytes); /* the same number; NULL is allowed */

char *mem_strdup(const char *s);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2))); /* NULL on failure */

/* Checked arithmetic on sizes that come from files: false on overflow, *out untouched. */
bool mul_nbytes(size_t a, size_t b, size_t *out);
bool add_nbytes(size_t a, size_t b, size_t *out);

/* Tests only: the nth allocation from now fails (1 = the next); 0 switches it off.  mem_live
 * counts blocks and mappings not yet freed; mem_fail_left the allocations before the one that fails (0: it has failed). */
void   mem_fail_at(long nth);
long   mem_fail_left(void);
size_t mem_live(void);
#endif
