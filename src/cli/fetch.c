/* fetch.c - dreamo fetch [PRESET] -o DIR: what FLUX.1-dev with DreamO needs, or the networks that prepare references; what of it is there, and getting
 * the rest. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option fetch_options[] = {
    { "output", 'o', VALUE_TEXT, false, 0, 0, "DIR", "the model folder; made when missing" },
    { "list", 0, VALUE_NONE, false, 0, 0, NULL, "print what the preset needs (and with -o what is there), download nothing" },
    { "check", 0, VALUE_NONE, false, 0, 0, NULL, "the same, and exit with 1 unless all is there" },
    { "verify", 0, VALUE_NONE, false, 0, 0, NULL, "read the files that are there and compare their checksums, where known" },
    { "turbo", 0, VALUE_NONE, false, 0, 0, NULL, "with the turbo adapter (default): pictures in 12 steps" },
    { "no-turbo", 0, VALUE_NONE, false, 0, 0, NULL, "without it: 25 steps" },
    { "t5", 0, VALUE_TEXT, false, 0, 0, "KIND", "copy of the T5 encoder: bf16 (default, 9.5 GB), fp16 (9.8 GB) or fp8 (4.9 GB)" },
    { "token-file", 0, VALUE_TEXT, false, 0, 0, "FILE", "access token for gated repositories; else HF_TOKEN" },
    { "endpoint", 0, VALUE_TEXT, false, 0, 0, "URL", "another hub or mirror: https://HOST[/PATH], http:// on this machine only; else HF_ENDPOINT" },
    { 0 }
};

/* ---- the list ---- */

static void size_words(uint64_t nbytes, char *out, size_t room)
{
    double n = (double)nbytes;
    if (n < 1e3) snprintf(out, room, "%.0f B", n);
    else if (n < 1e6) snprintf(out, room, "%.3g kB", n / 1e3);
    else if (n < 1e9) snprintf(out, room, "%.3g MB", n / 1e6);
    else snprintf(out, room, "%.3g GB", n / 1e9);
}

static const char *state_word(const dreamo_fetch_file *f)
{
    switch (f->state) {
    case DREAMO_FETCH_PART: return "begun";
    case DREAMO_FETCH_THERE: return f->verified ? "verified" : "there";
    case DREAMO_FETCH_BAD: return "bad";
    default: return "missing";
    }
}

static void json_text_field(const char *name, const char *text)
{
    printf(",\"%s\":", name);
    if (text) json_print_string(stdout, text);
    else printf("null");
}

static void print_json(const dreamo_fetch_file *f)
{
    printf("{\"event\":\"file\"");
    json_text_field("path", f->path);
    json_text_field("repository", f->repository);
    json_text_field("file", f->file);
    json_text_field("licence", f->licence);
    printf(",\"gated\":%s,\"listed_bytes\":", f->gated ? "true" : "false");
    if (f->listed) printf("%llu", (unsigned long long)f->listed);
    else printf("null");
    json_text_field("sha256", f->sha256);
    json_text_field("state", state_word(f));
    printf(",\"bytes\":%llu", (unsigned long long)f->nbytes);
    json_text_field("problem", f->problem);
    printf("}\n");
}

/* What the list has come to. */
typedef struct listing { const char *repository; bool states; uint64_t listed; int unknown, files; } listing;

static void print_plain(listing *l, const dreamo_fetch_file *f)
{
    char size[32] = "?", now[32] = "";
    if (!l->repository || strcmp(l->repository, f->repository) != 0)
        printf("%s%s (%s%s)\n", l->repository ? "\n" : "", f->repository, f->licence,
               f->gated ? "; gated: accept it there, then pass a token" : "");
    if (f->listed) size_words(f->listed, size, sizeof size);
    if (f->state == DREAMO_FETCH_PART) size_words(f->nbytes, now, sizeof now);
    printf("  %8s  ", size);
    if (l->states) printf("%-8s  ", state_word(f));
    printf("%s", f->path);
    if (strcmp(f->path, f->file) != 0) printf("  from %s", f->file);
    if (f->sha256) printf("  sha256 %s", f->sha256);
    if (*now) printf("  (%s so far)", now);
    if (f->problem) printf("  (%s)", f->problem);
    putchar('\n');
}

static bool row(void *user, const dreamo_fetch_file *f)
{
    listing *l = user;
    screen_clear();
    if (screen_json()) print_json(f);
    else print_plain(l, f);
    l->repository = f->repository;
    l->listed += f->listed;
    l->unknown += !f->listed;
    l->files++;
    return !screen_stop;
}

static dreamo_status list(const parsed *p, const dreamo_fetch_options *o, dreamo_error *err)
{
    listing l = { .states = o->dir != NULL };
    dreamo_status s = option_flag(p, "check") ? dreamo_fetch_check(o, row, &l, err) : dreamo_fetch_list(o, row, &l, err);
    char size[32];
    size_words(l.listed, size, sizeof size);
    if (!screen_json() && l.files) printf("\n%d files, %s, and %d whose size is not listed\n", l.files, size, l.unknown);
    return s;
}

/* ---- progress ---- */

/* Bytes want other words than steps. */
static bool event(void *user, const dreamo_event *e)
{
    const parsed *p = user;
    if (e->kind != DREAMO_EVENT_STEP) return screen_event(NULL, e);
    if (screen_json()) {
        printf("{\"event\":\"bytes\",\"file\":");
        json_print_string(stdout, e->text);
        printf(",\"done\":%lld,\"total\":%lld,\"seconds_left\":%.4g}\n", (long long)e->done, (long long)e->total, e->seconds_left);
        fflush(stdout);
    } else if (!option_flag(p, "quiet")) {
        screen_bytes(e);
    }
    return !screen_stop;
}

/* A variable that says something; NULL otherwise. */
static const char *environment(const char *name)
{
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

static dreamo_status choose(const parsed *p, dreamo_fetch_options *o, dreamo_error *err)
{
    dreamo_fetch_options_init(o);
    o->preset = p->nargs ? p->args[0] : NULL;
    o->no_turbo = option_flag(p, "no-turbo");
    o->t5 = option_text(p, "t5", NULL);
    o->dir = option_text(p, "output", NULL);
    o->endpoint = option_text(p, "endpoint", environment("HF_ENDPOINT"));
    o->token_file = option_text(p, "token-file", NULL);
    o->token = environment("HF_TOKEN");
    o->verify = option_flag(p, "verify");
    o->progress = event;
    o->user = (void *)(uintptr_t)p;
    bool look = option_flag(p, "list") || option_flag(p, "check");
    if (o->no_turbo && option_flag(p, "turbo"))
        return complain(err, DREAMO_ARG, NULL, "--turbo and --no-turbo exclude each other");
    if (o->dir && !*o->dir) return complain(err, DREAMO_ARG, NULL, "--output: the folder's name is empty");
    if (!o->dir && (!look || option_flag(p, "check") || o->verify))
        return complain(err, DREAMO_ARG, "or --list tells what there is to get", "fetch: --output DIR is missing");
    return DREAMO_OK;
}

int run_fetch(const parsed *p)
{
    dreamo_error err = { 0 };
    dreamo_fetch_options o;
    dreamo_status s = choose(p, &o, &err);
    screen_catch_signals();
    if (!s && (option_flag(p, "list") || option_flag(p, "check"))) s = list(p, &o, &err);
    else if (!s && (s = dreamo_fetch_run(&o, &err)) == DREAMO_OK) screen_result(o.dir);
    return s ? report(p, &err) : 0;
}
