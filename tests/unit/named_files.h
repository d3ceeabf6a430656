/* named_files.h - files of weights that are made from their names (named_weights.h), for what reads files. */
#ifndef TESTS_NAMED_FILES_H
#define TESTS_NAMED_FILES_H
#include "base/mem.h"
#include "named_weights.h"
#include "weights/bind.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What a test changes of a tensor before it is written; NULL: nothing. */
typedef void (*change_fn)(const char *name, float *data, size_t n);

enum { NAMED_MOST = 1000 };
typedef struct listing { st_tensor t[NAMED_MOST]; char names[NAMED_MOST][200]; int n; change_fn change; } listing;

static void list_named(void *user, const param *p)
{
    listing *l = user;
    assert_true(l->n < NAMED_MOST);
    size_t n = (size_t)param_count(p);
    float *data = mem_alloc(n * sizeof *data);
    assert_non_null(data);
    fill_param(dev->threads, data, p);
    if (l->change) l->change(p->name, data, n);
    st_tensor *t = &l->t[l->n];
    snprintf(l->names[l->n], sizeof l->names[0], "%s", p->name);
    *t = (st_tensor){ .name = l->names[l->n++], .type = DT_F32, .rank = p->rank, .data = data };
    for (int i = 0; i < p->rank; i++) t->shape[i] = p->shape[i];
}

static void write_named(const char *path, bind_walk walk, void *network, change_fn change)
{
    static listing l;
    dreamo_error err = { 0 };
    l.n = 0;
    l.change = change;
    walk(network, list_named, &l);
    if (st_write(path, l.t, l.n, NULL, 0, &err)) fail_msg("%s", err.message);
    for (int i = 0; i < l.n; i++) mem_free((void *)(uintptr_t)l.t[i].data);
}
#endif
