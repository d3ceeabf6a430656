/* set.h - what lies behind a data_set: a table of the few things that a way of getting samples must be able to do.
 *
 * Two ways: composed from assets (assets.h, compose.c), and pictures that somebody has (own/own.h). */
#ifndef DATA_SET_H
#define DATA_SET_H
#include "data/sample.h"

typedef struct data_maker {
    bool given;     /* the samples are there, each of its own kind: data_given */
    void (*close)(data_set *d);
    bool (*can)(const data_set *d, data_kind kind, data_split split);
    void (*preferences)(const data_set *d, int *samples, int *with); /* NULL: has no such samples */
    int  (*count)(const data_set *d, data_kind kind, data_split split); /* NULL: there is no end of them */
    int  (*most_refs)(const data_set *d, data_kind kind);
    /* Only called where `can` says so.  On failure what was made is freed by the caller. */
    dreamo_status (*make)(const data_set *d, const data_params *params, const data_request *q, data_sample *out, dreamo_error *err);
    dreamo_status (*words)(const data_set *d, const data_request *q, char *out, size_t nbytes, dreamo_error *err);
} data_maker;

/* The first member of each way's own struct. */
struct data_set {
    const data_maker *maker;
    char hash[65];  /* set by data_open */
};
#endif
