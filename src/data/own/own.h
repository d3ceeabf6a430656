/* own.h - pictures that somebody has, as training samples: a target, its caption, up to four references with a task each, masks where
 * there are some.
 *
 * Three forms become one list of items (docs/data.md describes them for people):
 *   manifest   x.jsonl, one object a line, names relative to it; in a folder manifest.jsonl, or train.jsonl and val.jsonl
 *   folder     NAME.jpg, NAME.txt, NAME.ref1[.TASK].png, NAME.ref1[.TASK].mask.png, NAME.rejected.jpg, NAME.json (where it comes from)
 *   shards     *.tar, each the folder form in a tar file (WebDataset's layout)
 *
 * All of it is untrusted.  Names stay inside the folder, links included; pictures meet the limits of image_file.h; an item that breaks a
 * rule is a fault with its place.  Opening refuses a set with faults, naming the first; `dataset check` lists them all. */
#ifndef DATA_OWN_H
#define DATA_OWN_H
#include "data/own/tar.h"
#include "data/set.h"
#include "format/json.h"

#define OWN_HELD_OUT 0.1 /* share of the sources */
enum { OWN_MOST_ITEMS = 20000000, OWN_MAX_SLOT = 9, OWN_MAX_TEXT = 65536, OWN_MAX_LINE = 1 << 20 };

typedef enum own_form { OWN_MANIFEST, OWN_FOLDER, OWN_SHARDS } own_form;

/* Where bytes lie. */
typedef struct own_file {
    char *name;          /* below the set's folder, or of a member; NULL: there is none */
    int shard;           /* -1: a file */
    size_t at, nbytes;   /* in the shard */
} own_file;

typedef struct own_ref {
    own_file image, mask;
    data_task task;
    int slot;            /* the manifest's "index", 1..9 */
} own_ref;

typedef struct own_item {
    own_file target;
    bool bare;           /* there is none: the first reference stands in for it.  Only to ask with, never trained on */
    own_file rejected;   /* what was liked less for the same words and references; no name: there is none */
    char *caption;
    own_file words;      /* a manifest's caption file */
    char *source, *licence; /* as the set tells; NULL: it does not */
    char sha256[65];     /* of the target's bytes when it came into a set: the item's source */
    bool hash_told;      /* by the set, not just computed */
    int nrefs;
    own_ref *ref;        /* in the order of their slots */
    data_kind kind;
    bool kind_told;
    data_split split;
    bool split_told;
    int list, line;      /* manifest: which file, and its line from 1; else line orders the items */
} own_item;

typedef struct own_set {
    data_set set;
    bool asks;           /* items without a target are welcome */
    own_form form;
    char *path, *folder; /* as given; where names begin */
    int nfiles;          /* manifests, or shards */
    char **files;
    tar *shards;         /* [nfiles] */
    int nitems, room;
    own_item *items;
    int count[2][DATA_KINDS + 1], *list[2][DATA_KINDS + 1]; /* items by split and kind; DATA_ANY and T2I: all */
} own_set;

/* Faults, one line each: told, or only counted, with the first kept. */
typedef struct own_faults {
    dreamo_progress tell;
    void *user;
    int n;
    bool stopped;        /* tell said so */
    dreamo_error first;
} own_faults;
void own_fault(own_faults *f, const dreamo_error *e);

/* ---- own_open.c ---- */

bool          own_is(const char *path);  /* not a folder of assets, and there */
dreamo_status own_open(const char *path, bool asks, data_set **out, dreamo_error *err);
/* The same, and what is whole of a set with faults.  `every`: all manifests that lie in the folder, not only those that training reads. */
dreamo_status own_load(const char *path, bool every, bool asks, own_set **out, own_faults *f, dreamo_error *err);
void          own_close(data_set *set);
own_item     *own_add(own_set *d, dreamo_error *err); /* a zeroed one at the end; NULL: no room */
void          own_item_free(own_item *it);
/* "manifest.jsonl:17", "my-pictures/dog.jpg" */
void          own_where(const own_set *d, const own_item *it, char *out, size_t nbytes);
double        own_share(const char *hash); /* the beginning of 64 hex digits as a number in [0, 1): sources below a share are held out */
/* No target, where the set asks: its first reference stands in for it, and the item is held out. */
dreamo_status own_stand_in(own_item *it, const char *what, dreamo_error *err);
/* An optional string of a JSON object, in new memory; NULL where there is none. */
dreamo_status own_string(const json_t *o, const char *what, const char *field, char **out, dreamo_error *err);
/* source, licence, sha256, kind, split: what a manifest's line and NAME.json have in common. */
dreamo_status own_read_common(const json_t *o, const char *what, own_item *it, dreamo_error *err);

/* ---- own_file.c ---- */

typedef struct own_bytes { const unsigned char *data; size_t nbytes; char *owned; } own_bytes;
dreamo_status own_read(const own_set *d, const own_file *f, size_t max, own_bytes *out, dreamo_error *err);
void          own_done(own_bytes *b);
/* RGB; alpha over white.  `hash` (may be NULL): FNV-1a of the file. */
dreamo_status own_picture(const own_set *d, const own_file *f, bitmap *out, uint64_t *hash, dreamo_error *err);
/* Coverage 0..255 as grey RGB: brightness, times alpha where there is some. */
dreamo_status own_mask(const own_set *d, const own_file *f, bitmap *out, dreamo_error *err);
/* A caption file: its lines as one, white space at the ends gone; DREAMO_FORMAT when nothing is left or it is not UTF-8. */
dreamo_status own_text(const own_set *d, const own_file *f, char **out, dreamo_error *err);
void          own_file_path(const own_set *d, const own_file *f, char *out, size_t nbytes); /* for messages */

/* ---- manifest.c, stems.c ---- */

dreamo_status own_read_manifest(own_set *d, int list, own_faults *f, dreamo_error *err);
/* Files with their names become items; the files are taken over. */
dreamo_status own_read_stems(own_set *d, own_file *files, int n, own_faults *f, dreamo_error *err);
/* One line of a manifest for this item, with its newline; mem_free. */
dreamo_status own_manifest_line(const own_item *it, char **out, dreamo_error *err);
/* NAME.json for it. */
dreamo_status own_sidecar(const own_item *it, char **out, dreamo_error *err);

/* ---- own_sample.c ---- */

extern const data_maker own_maker;
/* Number i of n things in the order of an epoch: a permutation of 0..n-1 that (seed, epoch) decides, without a list. */
uint64_t own_order(uint64_t n, uint64_t seed, uint64_t epoch, uint64_t i);

/* ---- own_check.c, own_report.c, own_edit.c: what the public functions do for such sets ---- */

dreamo_status own_check(const char *path, dreamo_progress progress, void *user, dreamo_error *err);
dreamo_status own_captions(const data_set *d, filewriter *w, dreamo_error *err); /* one a line */
#endif
