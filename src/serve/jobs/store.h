/* store.h - one SQLite file, many threads.
 *
 * Writes are handed to one thread, which runs all that wait in one transaction and answers them when it is on the disk: one fsync for many
 * jobs.  The file belongs to one process at a time.  Reads take the same connection between two transactions. */
#ifndef SERVE_STORE_H
#define SERVE_STORE_H
#include <sqlite3.h>
#include "serve/problem.h"

typedef struct store store;

/* Opens or makes the file and runs `schema`, which is of this version (1 or more); DREAMO_BUSY when another process has it, DREAMO_VERSION when a
 * later program wrote it. */
dreamo_status store_open(const char *path, const char *schema, int version, store **out, problem *p);
void          store_close(store *s);

/* Run `work` inside a transaction; returns when it is on the disk, or undone.  `work` may run more than once: its effects must all be in the
 * file, or be set anew each time. */
typedef dreamo_status (*store_work)(store *s, void *job, problem *p);
dreamo_status store_write(store *s, store_work work, void *job, problem *p);
dreamo_status store_read(store *s, store_work work, void *job, problem *p);

/* Inside work.  SQL is a literal: statements are kept by its address.  Binds: t text or NULL, i int64_t, b pointer and size_t. */
sqlite3_stmt *store_query(store *s, const char *sql, const char *binds, ...);
dreamo_status store_step(store *s, sqlite3_stmt *q, bool *row, problem *p); /* *row: there is one; at the end the statement is reset */
const char   *store_text(sqlite3_stmt *q, int column);                      /* NULL is "" */
void          store_done(sqlite3_stmt *q);                                  /* no more rows are wanted */
dreamo_status store_run(store *s, problem *p, const char *sql, const char *binds, ...);
int           store_changes(store *s);
#endif
