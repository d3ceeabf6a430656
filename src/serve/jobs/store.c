/* store.c - the writing thread, and SQLite's answers as problems. */
#include "serve/jobs/store.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    STATEMENTS = 64,
    LOG_MANY = 1000, LOG_MOST = 32000, /* pages of 4 KB in the log: written back when nobody waits, and at the latest */
    IDLE_MS = 100,
};

typedef struct task {
    store_work work;
    void *job;
    problem *p;
    dreamo_status status;
    sem_t done;                    /* its owner's alone: nobody is woken for others */
    struct task *next;
} task;

struct store {
    sqlite3 *db;
    char *path;
    int log_pages;                 /* in the write-ahead log; of the writing thread */
    pthread_mutex_t db_lock;       /* the connection and its statements */
    struct { const char *sql; sqlite3_stmt *q; } kept[STATEMENTS];
    int nkept;
    pthread_mutex_t lock;          /* what follows */
    pthread_cond_t some;
    task *first, **last;
    bool stop;
    pthread_t writer;
    bool running;
};

/* ---- errors ---- */

static dreamo_status failure(store *s, problem *p)
{
    int code = sqlite3_extended_errcode(s->db), main_code = code & 0xFF;
    const char *words = sqlite3_errmsg(s->db);
    switch (main_code) {
    case SQLITE_FULL:
        refuse_http(p, DREAMO_IO, 507, "%s: the disk is full", s->path);
        return advise(p, "make room, or shorten --keep-results");
    case SQLITE_NOMEM: return refuse(p, DREAMO_MEMORY, NULL, "%s: no memory", s->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        refuse(p, DREAMO_BUSY, NULL, "%s: is in use by another server", s->path);
        return advise(p, "give --store another file");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return refuse(p, DREAMO_FORMAT, NULL, "%s: is not a job store, or is damaged (%s)", s->path, words);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return refuse(p, DREAMO_IO, NULL, "%s: cannot be written (%s)", s->path, words);
    case SQLITE_TOOBIG: return refuse(p, DREAMO_LIMIT, NULL, "%s: too large for one entry", s->path);
    default: return refuse(p, main_code == SQLITE_IOERR ? DREAMO_IO : DREAMO_BUG, NULL, "%s: %s (%d)", s->path, words, code);
    }
}

/* ---- statements ---- */

static void bind_all(sqlite3_stmt *q, const char *binds, va_list ap)
{
    for (int i = 1; *binds; i++, binds++) {
        if (*binds == 'i') {
            sqlite3_bind_int64(q, i, va_arg(ap, int64_t));
        } else if (*binds == 't') {
            const char *text = va_arg(ap, const char *);
            if (text) sqlite3_bind_text(q, i, text, -1, SQLITE_STATIC);
        } else {
            const void *data = va_arg(ap, const void *);
            sqlite3_bind_blob64(q, i, data, va_arg(ap, size_t), SQLITE_STATIC);
        }
    }
}

static sqlite3_stmt *find(store *s, const char *sql)
{
    for (int i = 0; i < s->nkept; i++)
        if (s->kept[i].sql == sql) {
            sqlite3_reset(s->kept[i].q);
            sqlite3_clear_bindings(s->kept[i].q);
            return s->kept[i].q;
        }
    sqlite3_stmt *q = NULL;
    if (s->nkept == STATEMENTS || sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL) != SQLITE_OK) return NULL;
    s->kept[s->nkept].sql = sql;
    return s->kept[s->nkept++].q = q;
}

static sqlite3_stmt *query(store *s, const char *sql, const char *binds, va_list ap)
{
    sqlite3_stmt *q = find(s, sql);
    if (q) bind_all(q, binds, ap);
    return q;
}

sqlite3_stmt *store_query(store *s, const char *sql, const char *binds, ...)
{
    va_list ap;
    va_start(ap, binds);
    sqlite3_stmt *q = query(s, sql, binds, ap);
    va_end(ap);
    return q;
}

void store_done(sqlite3_stmt *q) { sqlite3_reset(q); }

const char *store_text(sqlite3_stmt *q, int column)
{
    const char *text = (const char *)sqlite3_column_text(q, column);
    return text ? text : "";
}

dreamo_status store_step(store *s, sqlite3_stmt *q, bool *row, problem *p)
{
    int code = q ? sqlite3_step(q) : SQLITE_ERROR;
    if (row) *row = code == SQLITE_ROW;
    if (code == SQLITE_ROW) return DREAMO_OK;
    dreamo_status status = code == SQLITE_DONE ? DREAMO_OK : failure(s, p);
    sqlite3_reset(q);
    return status;
}

dreamo_status store_run(store *s, problem *p, const char *sql, const char *binds, ...)
{
    va_list ap;
    va_start(ap, binds);
    sqlite3_stmt *q = query(s, sql, binds, ap);
    va_end(ap);
    dreamo_status status = store_step(s, q, NULL, p);
    if (q) sqlite3_reset(q);
    return status;
}

int store_changes(store *s) { return sqlite3_changes(s->db); }

/* ---- writing ---- */

static bool simple(store *s, const char *sql) { return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK; }

/* One task in its own savepoint; false: the whole transaction is gone. */
static bool run_one(store *s, task *t)
{
    simple(s, "SAVEPOINT one");
    t->status = t->work(s, t->job, t->p);
    if (sqlite3_get_autocommit(s->db)) return false; /* SQLite has rolled everything back: disk full, no memory */
    if (t->status) simple(s, "ROLLBACK TO one");
    simple(s, "RELEASE one");
    return true;
}

static void clear(task *t)
{
    t->status = DREAMO_OK;
    *t->p = (problem){ 0 };
}

/* All tasks of the list in one transaction. */
static bool run_together(store *s, task *list)
{
    bool whole = simple(s, "BEGIN IMMEDIATE");
    for (task *t = list; whole && t; t = t->next) whole = run_one(s, t);
    if (whole && simple(s, "COMMIT")) return true;
    if (!sqlite3_get_autocommit(s->db)) simple(s, "ROLLBACK");
    return false;
}

/* After that failed, each by itself: one that does not fit must not take the others along. */
static void run_apart(store *s, task *list)
{
    for (task *t = list; t; t = t->next) {
        clear(t);
        bool begun = simple(s, "BEGIN IMMEDIATE"), whole = begun && run_one(s, t);
        if (whole && simple(s, "COMMIT")) continue;
        t->status = t->status ? t->status : failure(s, t->p);
        if (!sqlite3_get_autocommit(s->db)) simple(s, "ROLLBACK");
    }
}

static int on_commit(void *user, sqlite3 *db, const char *name, int pages)
{
    (void)db, (void)name;
    ((store *)user)->log_pages = pages;
    return SQLITE_OK;
}

static void write_back(store *s)
{
    pthread_mutex_lock(&s->db_lock);
    sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    s->log_pages = 0; /* when it did not work, after the next commit again */
    pthread_mutex_unlock(&s->db_lock);
}

/* Under the lock: nobody has come for a moment. */
static bool idle(store *s)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t); /* a clock that is set makes it a moment longer or none */
    t.tv_nsec += IDLE_MS * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return pthread_cond_timedwait(&s->some, &s->lock, &t) != 0 && !s->first && !s->stop;
}

static void *write_all(void *user)
{
    store *s = user;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->first && !s->stop) {
            if (s->log_pages < LOG_MANY) {
                pthread_cond_wait(&s->some, &s->lock);
            } else if (idle(s)) {
                pthread_mutex_unlock(&s->lock);
                write_back(s);
                pthread_mutex_lock(&s->lock);
            }
        }
        task *list = s->first;
        if (!list) break;
        s->first = NULL;
        s->last = &s->first;
        pthread_mutex_unlock(&s->lock);
        pthread_mutex_lock(&s->db_lock);
        if (!run_together(s, list)) {
            sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL); /* a full disk may hold a long log of pages long written */
            run_apart(s, list);
        }
        pthread_mutex_unlock(&s->db_lock);
        for (task *t = list, *next; t; t = next) {
            next = t->next; /* its owner may be gone right after */
            sem_post(&t->done);
        }
        if (s->log_pages >= LOG_MOST) write_back(s);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

dreamo_status store_write(store *s, store_work work, void *job, problem *p)
{
    problem own = { 0 };
    task t = { .work = work, .job = job, .p = &own };
    sem_init(&t.done, 0, 0);
    pthread_mutex_lock(&s->lock);
    *s->last = &t;
    s->last = &t.next;
    pthread_cond_signal(&s->some);
    pthread_mutex_unlock(&s->lock);
    while (sem_wait(&t.done)) {} /* a signal */
    sem_destroy(&t.done);
    if (t.status && !p->e.status) *p = own;
    return t.status;
}

dreamo_status store_read(store *s, store_work work, void *job, problem *p)
{
    pthread_mutex_lock(&s->db_lock);
    dreamo_status status = work(s, job, p);
    pthread_mutex_unlock(&s->db_lock);
    return status;
}

/* ---- opening ---- */

/* Exclusive: the lock is the process's, and goes with it however it ends.  Deleted pictures are overwritten.  The log is written back when nobody
 * waits: submissions change the same few pages again and again, and each time they would wait. */
static const char *const settings[] = {
    "PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=0",
    "PRAGMA secure_delete=ON", "PRAGMA cache_size=-4000", "PRAGMA journal_size_limit=16777216", "PRAGMA trusted_schema=OFF", "BEGIN EXCLUSIVE", "COMMIT",
};

static dreamo_status check_version(store *s, int version, problem *p)
{
    bool row;
    char set[48];
    sqlite3_stmt *q = store_query(s, "PRAGMA user_version", "");
    dreamo_status status = store_step(s, q, &row, p);
    int found = row ? sqlite3_column_int(q, 0) : 0;
    if (q) store_done(q);
    if (status) return status;
    if (found > version) {
        refuse(p, DREAMO_VERSION, NULL, "%s: was written by a later version of dreamo (%d, this one knows %d)", s->path, found, version);
        return advise(p, "give --store another file");
    }
    snprintf(set, sizeof set, "PRAGMA user_version=%d", version);
    return found == version || simple(s, set) ? DREAMO_OK : failure(s, p);
}

static dreamo_status open_db(store *s, const char *schema, int version, problem *p)
{
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK) {
        if (!s->db) return refuse(p, DREAMO_MEMORY, NULL, "%s: no memory to open it", s->path);
        return failure(s, p);
    }
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (!simple(s, settings[i])) return failure(s, p);
    sqlite3_wal_hook(s->db, on_commit, s);
    dreamo_status status = check_version(s, version, p);
    return status || simple(s, schema) ? status : failure(s, p);
}

dreamo_status store_open(const char *path, const char *schema, int version, store **out, problem *p)
{
    store *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s || !(s->path = strdup(path))) {
        free(s);
        return refuse(p, DREAMO_MEMORY, NULL, "%s: no memory to open it", path);
    }
    s->last = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->db_lock, NULL);
    pthread_cond_init(&s->some, NULL);
    dreamo_status status = open_db(s, schema, version, p);
    if (!status && pthread_create(&s->writer, NULL, write_all, s)) status = refuse(p, DREAMO_MEMORY, NULL, "no thread for the job store");
    s->running = !status;
    if (status) store_close(s);
    else *out = s;
    return status;
}

void store_close(store *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->some);
    pthread_mutex_unlock(&s->lock);
    if (s->running) pthread_join(s->writer, NULL);
    for (int i = 0; i < s->nkept; i++) sqlite3_finalize(s->kept[i].q);
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->db_lock);
    pthread_cond_destroy(&s->some);
    free(s->path);
    free(s);
}
