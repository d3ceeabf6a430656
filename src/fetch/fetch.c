/* fetch.c - the public calls: what a preset needs, what is there, and getting the rest. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/progress.h"
#include "fetch/address.h"
#include "fetch/download.h"
#include "fetch/http.h"
#include "fetch/manifest.h"
#include "fetch/part.h"
#include "fetch/record.h"

#define HUB "https://huggingface.co"
#define RELEASES "https://github.com"

bool dreamo_fetch_can_download(void) { return http_available(); }

void dreamo_fetch_options_init_sized(dreamo_fetch_options *o, size_t nbytes)
{
    const dreamo_fetch_options usual = { .size = sizeof usual };
    options_give(o, nbytes, &usual, sizeof usual);
}

/* ---- one preset and one folder ---- */

/* What the three calls share. */
typedef struct job {
    const dreamo_fetch_options *o; /* = &own */
    dreamo_fetch_options own;
    const char *endpoint;
    char *token;       /* owned; NULL: none */
    unsigned choice;
    json_t *record;    /* of the folder's downloads; owned; NULL: no folder, or not read yet */
    teller tell;
    const manifest_file *want[MANIFEST_MOST]; /* not there, or bad */
    int nwant;
    uint64_t to_come;  /* their listed bytes, less what lies in their parts */
} job;

static dreamo_status no_memory(dreamo_error *err) { return fail(err, DREAMO_MEMORY, "no memory for a list of files"); }

/* The token, without the line end that an editor leaves.  Messages never show it. */
static dreamo_status read_token(const dreamo_fetch_options *o, char **token, dreamo_error *err)
{
    const char *from = o->token_file ? o->token_file : "the token";
    size_t n = 0;
    dreamo_status s = DREAMO_OK;
    if (o->token_file) s = file_read(o->token_file, 4096, token, &n, err);
    else if (o->token && !(*token = mem_strdup(o->token))) s = no_memory(err);
    if (s || !*token) return s;
    for (n = strlen(*token); n > 0 && strchr(" \t\r\n", (*token)[n - 1]); n--) (*token)[n - 1] = '\0';
    if (address_token_is_plain(*token)) return DREAMO_OK;
    return fail(err, DREAMO_ARG, "%s: is not a token: one word of at most 512 ASCII characters", from);
}

static void job_close(job *j)
{
    mem_free(j->token);
    json_decref(j->record);
}

static dreamo_status job_open(job *j, const dreamo_fetch_options *given, dreamo_error *err)
{
    const dreamo_fetch_options *o = &j->own;
    *j = (job){ .o = o };
    dreamo_fetch_options_init(&j->own);
    dreamo_status s = options_take(&j->own, sizeof j->own, given, err);
    if (s) return s;
    j->endpoint = o->endpoint ? o->endpoint : HUB;
    j->tell = (teller){ .call = o->progress, .user = o->user };
    s = address_check_endpoint(j->endpoint, err);
    if (!s) s = manifest_choose(o->preset, !o->no_turbo, o->t5, &j->choice, err);
    if (!s && o->dir && file_exists(o->dir) && !folder_exists(o->dir))
        s = fail(err, DREAMO_FORMAT, "%s: is a file, not a folder", o->dir);
    return s ? s : read_token(o, &j->token, err);
}

/* Where a file lies: an endpoint that was named stands for both places. */
static const char *place_of(const job *j, const manifest_file *f) { return f->from->releases && !j->o->endpoint ? RELEASES : j->endpoint; }

/* The token is for the hub. */
static const char *token_for(const job *j, const manifest_file *f) { return f->from->releases ? NULL : j->token; }

/* PLACE/REPOSITORY, or a file of it, without a doubled slash. */
static char *url_of(const job *j, const manifest_file *f, bool page)
{
    const char *place = place_of(j, f);
    size_t n = strlen(place);
    while (n > 0 && place[n - 1] == '/') n--;
    if (page) return mem_printf("%.*s/%s", (int)n, place, f->from->name);
    return mem_printf("%.*s/%s/%s/%s", (int)n, place, f->from->name, f->from->releases ? "releases/download" : "resolve/main", f->file);
}

/* ---- what is there ---- */

/* A row and the memory that its strings borrow. */
typedef struct finding { dreamo_fetch_file row; char sha256[65]; char problem[160]; } finding;

static void say_bad(finding *at, const char *problem)
{
    at->row.state = DREAMO_FETCH_BAD;
    snprintf(at->problem, sizeof at->problem, "%s", problem);
    at->row.problem = at->problem;
}

/* A file under its name: by the record of its download, if it has one, and by its checksum when asked. */
static dreamo_status examine(job *j, const manifest_file *f, const char *full, finding *at, dreamo_error *err)
{
    record_entry e;
    bool recorded;
    char found[65];
    dreamo_status s = record_find(j->record, j->o->dir, manifest_path(f), &e, &recorded, err);
    if (s) return s;
    at->row.state = DREAMO_FETCH_THERE;
    if (recorded && (strcmp(e.repository, f->from->name) != 0 || strcmp(e.file, f->file) != 0)) {
        say_bad(at, "is another file, from another choice");
        return DREAMO_OK;
    }
    if (recorded && !f->sha256) {
        snprintf(at->sha256, sizeof at->sha256, "%s", e.sha256);
        at->row.sha256 = at->sha256;
    }
    if (recorded && e.nbytes != at->row.nbytes) {
        say_bad(at, "has another size than when it was downloaded");
        return DREAMO_OK;
    }
    if (!j->o->verify || !at->row.sha256) return DREAMO_OK;
    s = tell_sha256(&j->tell, full, manifest_path(f), found, err);
    if (s) return s;
    at->row.verified = true;
    if (strcmp(found, at->row.sha256) != 0) say_bad(at, "has another checksum");
    return DREAMO_OK;
}

static dreamo_status look(job *j, const manifest_file *f, finding *at, dreamo_error *err)
{
    *at = (finding){ .row = { .repository = f->from->name, .file = f->file, .path = manifest_path(f), .licence = f->from->licence,
                              .gated = f->from->gated, .listed = f->listed, .sha256 = f->sha256, .state = DREAMO_FETCH_MISSING } };
    if (!j->o->dir) return DREAMO_OK;
    char *full = path_join(j->o->dir, manifest_path(f)), *part = full ? mem_printf("%s.part", full) : NULL;
    dreamo_status s = part ? DREAMO_OK : no_memory(err);
    if (!s && file_exists(full)) {
        s = file_nbytes(full, &at->row.nbytes, err);
        if (!s) s = examine(j, f, full, at, err);
    } else if (!s && file_exists(part)) {
        s = file_nbytes(part, &at->row.nbytes, err);
        at->row.state = DREAMO_FETCH_PART;
    }
    mem_free(part);
    mem_free(full);
    return s;
}

typedef struct counts { int all, missing, begun, bad; } counts;

/* Fills the job's list of wanted files. */
static dreamo_status look_at_all(job *j, dreamo_fetch_row row, void *user, counts *c, dreamo_error *err)
{
    finding at;
    dreamo_status s = j->o->dir ? record_open(j->o->dir, &j->record, err) : DREAMO_OK;
    *c = (counts){ 0 };
    for (const manifest_file *f = manifest_next(NULL, j->choice); f && !s; f = manifest_next(f, j->choice)) {
        if ((s = look(j, f, &at, err)) != DREAMO_OK) break;
        c->all++;
        c->missing += at.row.state == DREAMO_FETCH_MISSING;
        c->begun += at.row.state == DREAMO_FETCH_PART;
        c->bad += at.row.state == DREAMO_FETCH_BAD;
        if (at.row.state != DREAMO_FETCH_THERE) {
            uint64_t begun = at.row.state == DREAMO_FETCH_PART ? at.row.nbytes : 0;
            j->want[j->nwant++] = f;
            j->to_come += f->listed > begun ? f->listed - begun : 0;
        }
        if (row && !row(user, &at.row)) s = fail(err, DREAMO_CANCELLED, "stopped on request");
    }
    return s;
}

dreamo_status dreamo_fetch_list(const dreamo_fetch_options *o, dreamo_fetch_row row, void *user, dreamo_error *err)
{
    job j;
    counts c;
    dreamo_status s = job_open(&j, o, err);
    if (!s && !row) s = fail(err, DREAMO_ARG, "nobody takes the list");
    if (!s) s = look_at_all(&j, row, user, &c, err);
    job_close(&j);
    return s;
}

dreamo_status dreamo_fetch_check(const dreamo_fetch_options *o, dreamo_fetch_row row, void *user, dreamo_error *err)
{
    job j;
    counts c;
    dreamo_status s = job_open(&j, o, err);
    if (!s && !j.own.dir) s = fail(err, DREAMO_ARG, "the folder to check is missing");
    if (!s) s = look_at_all(&j, row, user, &c, err);
    if (!s && c.missing + c.begun + c.bad)
        s = fail(err, DREAMO_DIFFERS, "%s: of %d files %d are missing, %d begun, %d not as they should be", j.own.dir, c.all, c.missing,
                 c.begun, c.bad);
    job_close(&j);
    return s;
}

/* ---- getting it ---- */

/* The folders between `dir` and the last name of `path`. */
static dreamo_status make_folders(const char *dir, const char *path, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (const char *slash = strchr(path, '/'); slash && !s; slash = strchr(slash + 1, '/')) {
        char *folder = mem_printf("%s/%.*s", dir, (int)(slash - path), path);
        s = folder ? folder_make(folder, err) : no_memory(err);
        mem_free(folder);
    }
    return s;
}

/* A file that is about to take its name. */
typedef struct entering { job *j; const manifest_file *f; const char *full; } entering;

/* The record comes before the name: a process that is killed between them leaves a complete part, and the next one goes on from there.
 * What has the name now is not what the record will say; so that it cannot pass for it, it goes. */
static dreamo_status enter(void *user, uint64_t nbytes, const char *sha256, dreamo_error *err)
{
    entering *e = user;
    if (file_exists(e->full) && unlink(e->full) != 0) return fail_errno(err, e->full, "cannot be replaced");
    return record_add(e->j->record, e->j->o->dir, e->f, nbytes, sha256, err);
}

static dreamo_status get(job *j, const manifest_file *f, dreamo_error *err)
{
    char *full = path_join(j->o->dir, manifest_path(f)), *name = mem_printf("%s: %s", f->from->name, f->file);
    char *url = url_of(j, f, false), *about = url_of(j, f, true);
    char sha256[65];
    uint64_t nbytes = 0;
    entering e = { j, f, full };
    dreamo_status s = full && url && about && name ? make_folders(j->o->dir, manifest_path(f), err) : no_memory(err);
    const download_request r = { .url = url, .path = full, .name = name, .shown = manifest_path(f), .token = token_for(j, f),
                                 .sha256 = f->sha256, .about = about, .patience = &download_patient, .tell = &j->tell, .enter = enter, .user = &e };
    if (!s) s = download(&r, &nbytes, sha256, err);
    if (!s && !tell_line(&j->tell, DREAMO_EVENT_NOTE, "%s: complete, %llu bytes, sha256 %s", manifest_path(f),
                         (unsigned long long)nbytes, sha256))
        s = fail(err, DREAMO_CANCELLED, "stopped on request");
    mem_free(name);
    mem_free(about);
    mem_free(url);
    mem_free(full);
    return s;
}

static bool belongs(void *user, const char *name)
{
    const char *file = user;
    size_t n = strlen(file);
    return strncmp(name, file, n) == 0 && (!name[n] || strcmp(name + n, ".part.json") == 0);
}

/* What a killed run left of one file: temporaries, and facts of a part that is not there (any more). */
static dreamo_status sweep_file(const char *dir, const char *path, dreamo_error *err)
{
    char *full = path_join(dir, path), *folder = NULL, *part = full ? mem_printf("%s.part", full) : NULL;
    char *slash = full ? strrchr(full, '/') : NULL;
    if (slash) folder = mem_printf("%.*s", (int)(slash - full), full);
    dreamo_status s = part && folder ? DREAMO_OK : no_memory(err);
    if (!s && folder_exists(folder)) {
        s = folder_sweep(folder, belongs, slash + 1, err);
        if (!file_exists(part)) part_remove(full);
    }
    mem_free(part);
    mem_free(folder);
    mem_free(full);
    return s;
}

static dreamo_status sweep(const char *dir, dreamo_error *err)
{
    dreamo_status s = sweep_file(dir, "dreamo/fetched.json", err);
    for (const manifest_file *f = manifest_next(NULL, ~0u); f && !s; f = manifest_next(f, ~0u)) s = sweep_file(dir, manifest_path(f), err);
    return s;
}

/* Everything that is wanted; `own` is DIR/dreamo. */
static dreamo_status get_all(job *j, const char *own, dreamo_error *err)
{
    counts c;
    uint64_t space = 0;
    dreamo_status s = look_at_all(j, NULL, NULL, &c, err);
    if (!s) s = file_space(own, &space, err);
    char want[24], have[24];
    progress_bytes((double)j->to_come, want, sizeof want);
    progress_bytes((double)space, have, sizeof have);
    /* Sizes are rounded or unknown: here too little room is only told; it is refused when the hub has said how large a file is. */
    if (!s && j->to_come > space)
        tell_line(&j->tell, DREAMO_EVENT_WARNING, "%s: about %s are to come, the disk has room for %s", j->o->dir, want, have);
    if (!s && j->nwant) tell_line(&j->tell, DREAMO_EVENT_PLAN, "%d of %d files to get, at least %s", j->nwant, c.all, want);
    for (int i = 0; i < j->nwant && !s; i++) s = get(j, j->want[i], err);
    return s;
}

dreamo_status dreamo_fetch_run(const dreamo_fetch_options *o, dreamo_error *err)
{
    job j;
    int lock = -1;
    char *own = NULL, *lock_name = NULL;
    dreamo_status s = job_open(&j, o, err);
    if (!s && !j.own.dir) s = fail(err, DREAMO_ARG, "the folder to download to is missing");
    if (!s && !http_available())
        s = fail(err, DREAMO_NET, "this dreamo was built without libcurl: fetch lists and checks, and cannot download");
    if (!s && (!(own = path_join(j.own.dir, "dreamo")) || !(lock_name = path_join(j.own.dir, "dreamo/fetch.lock")))) s = no_memory(err);
    if (!s) s = folder_make(j.own.dir, err);
    if (!s) s = folder_make(own, err);
    if (!s) s = file_lock(lock_name, &lock, err);
    if (!s) s = sweep(j.own.dir, err); /* the lock is ours */
    if (!s) s = get_all(&j, own, err);
    file_unlock(lock);
    mem_free(lock_name);
    mem_free(own);
    job_close(&j);
    return s;
}
