/* ask.h - what a job asks for: one table of fields, read by the parser, capabilities and openapi.json.
 *
 * A request comes as JSON or as a form.  Pictures in it become uploads, a missing seed is drawn, and what is stored and handed to a
 * worker is the canonical JSON of the same fields: it says everything, and reads back to the same ask. */
#ifndef SERVE_ASK_H
#define SERVE_ASK_H
#include <jansson.h>
#include "serve/limits.h"
#include "serve/problem.h"

enum { ASK_REFS = 16, ASK_NAME = 96 };

typedef struct ask_ref {
    dreamo_task task;
    int slot, res;            /* as in dreamo_reference */
    dreamo_cut cut;
    int face, box[4];
    bool garment;
    char name[ASK_NAME];      /* for messages */
    char upload[65];          /* sha256 of the picture; "" until it has been taken in */
    void *data;               /* or its bytes, owned: an image that came with the request */
    size_t nbytes;
} ask_ref;

typedef struct ask {
    char *prompt, *negative;  /* owned; negative NULL = none */
    int64_t seed;             /* -1: draw one */
    int64_t width, height;    /* 0 = the model's */
    int64_t steps, count, preview_every, cfg_start, cfg_end, ref_seed; /* ref_seed -1: the mean */
    double guidance, first_guidance, true_cfg, negative_guidance;
    int nrefs;
    ask_ref refs[ASK_REFS];
} ask;

void          ask_free(ask *a);
/* All fields checked against the limits; unknown ones refused.  `form`: numbers come as text, and pictures are added by ask_add_file.
 * `inside`: our own canonical JSON. */
dreamo_status ask_read(const json_t *o, const limits *l, bool form, ask *out, problem *p);
/* One more reference of a form: its field's name is the task; bytes are taken over. */
dreamo_status ask_add_file(ask *a, const limits *l, const char *task, const char *name, void *data, size_t nbytes, problem *p);
json_t       *ask_write(const ask *a);        /* canonical; every picture must be an upload */
void          ask_draw_seed(ask *a);
/* The library's request for picture number n; its reference list is written into refs. */
void          ask_request(const ask *a, int n, dreamo_reference refs[ASK_REFS], dreamo_request *out);

bool        cut_from_name(const char *name, dreamo_cut *out); /* "on", "off", "alpha", "net" */
bool        task_from_name(const char *name, dreamo_task *out);
const char *task_name(dreamo_task task);

/* The table as others see it. */
typedef enum ask_kind { ASK_TEXT, ASK_INTEGER, ASK_NUMBER, ASK_SIZE, ASK_LIST } ask_kind;
typedef struct ask_field { const char *name; ask_kind kind; double lo, hi; const char *doc; } ask_field;
int ask_fields(const limits *l, ask_field out[24]);  /* how many */
#endif
