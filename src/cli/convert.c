/* convert.c - dreamo convert IN -o OUT: another type, LoRAs fused in; or a LoRA under other names. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option convert_options[] = {
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "whose configurations a single file belongs to (flux-dev)" },
    { "output", 'o', VALUE_TEXT, false, 0, 0, "FILE", "what to write: .gguf or .safetensors" },
    { "to", 0, VALUE_TEXT, false, 0, 0, "TYPE", "f32, bf16, f16, fp8, q8, q6, q5, q4 (q8 in .gguf, bf16 in .safetensors)" },
    { "to-naming", 0, VALUE_TEXT, false, 0, 0, "NAMING", "IN is a LoRA: write it as dreamo, diffusers or kohya names it, or its embedding tables" },
    { "fuse", 0, VALUE_TEXT, true, 0, 0, "FILE[@SCALE]", "add this LoRA to the weights; may be given several times" },
    { "variant", 0, VALUE_TEXT, false, 0, 0, "v1|v1.1", "fuse DreamO's published LoRA set" },
    { "dreamo", 0, VALUE_TEXT, false, 0, 0, "DIR", "where its files lie (IN/dreamo)" },
    { "no-turbo", 0, VALUE_NONE, false, 0, 0, NULL, "the set without its turbo LoRA" },
    { "numerics", 0, VALUE_TEXT, false, 0, 0, "HOW", "exact (default), or official: round after each fused LoRA as the official pipeline does" },
    { "force", 'f', VALUE_NONE, false, 0, 0, NULL, "replace an existing file" },
    { "plan", 0, VALUE_NONE, false, 0, 0, NULL, "tell types, bytes and free space, write nothing" },
    { "verify", 0, VALUE_NONE, false, 0, 0, NULL, "read the file back and print what each tensor lost" },
    { "verbose", 'v', VALUE_NONE, false, 0, 0, NULL, "with --verify: all tensors, not the worst five" },
    { "threads", 0, VALUE_INTEGER, false, 1, 1024, "N", "one a core by default" },
    { 0 }
};

enum { MAX_FUSED = 16, WORST = 5 };

/* What --verify found, kept until all is known. */
typedef struct row { char name[64], type[16]; double worst, mean; } row;
typedef struct table { int n, room; row *rows; bool failed; } table;

typedef struct job {
    dreamo_convert_options o;
    dreamo_lora fuse[MAX_FUSED];
    char text[4096]; /* paths of the LoRAs */
    table losses;
} job;

static dreamo_status parse(const parsed *p, job *j, dreamo_error *err)
{
    dreamo_convert_options *o = &j->o;
    const char *numerics = option_text(p, "numerics", "exact"), *text;
    size_t used = 0;
    dreamo_convert_options_init(o);
    o->in = p->args[0];
    o->model = option_text(p, "model", NULL);
    o->out = option_text(p, "output", NULL);
    o->to = option_text(p, "to", NULL);
    o->variant = option_text(p, "variant", NULL);
    o->variant_dir = option_text(p, "dreamo", NULL);
    o->no_turbo = option_flag(p, "no-turbo");
    o->official = strcmp(numerics, "official") == 0;
    o->clobber = option_flag(p, "force");
    o->verify = option_flag(p, "verify");
    o->threads = (int)option_integer(p, "threads", 0);
    o->fuse = j->fuse;
    if (!o->out) return complain(err, DREAMO_ARG, NULL, "convert: --output FILE is missing");
    if (!o->variant && (o->variant_dir || o->no_turbo))
        return complain(err, DREAMO_ARG, "add --variant v1.1", "--no-turbo and --dreamo belong to a --variant");
    if (!o->official && strcmp(numerics, "exact") != 0)
        return complain(err, DREAMO_ARG, NULL, "--numerics: \"%s\" is neither official nor exact", numerics);
    for (; (text = option_nth(p, "fuse", o->nfuse)); o->nfuse++) {
        if (o->nfuse == MAX_FUSED) return complain(err, DREAMO_LIMIT, NULL, "more than %d LoRAs", MAX_FUSED);
        dreamo_status s = text_lora("fuse", text, j->text + used, sizeof j->text - used, &j->fuse[o->nfuse], err);
        if (s) return s;
        used += strlen(j->fuse[o->nfuse].path) + 1;
    }
    return DREAMO_OK;
}

/* ---- --plan ---- */

static dreamo_status plan(const job *j, dreamo_error *err)
{
    dreamo_convert_costs c;
    dreamo_status s = dreamo_convert_plan(&j->o, &c, err);
    if (s) return s;
    if (screen_json()) {
        printf("{\"event\":\"plan\",\"types\":[");
        for (int i = 0; i < c.ntypes; i++)
            printf("%s{\"type\":\"%s\",\"tensors\":%lld,\"numbers\":%lld,\"bytes\":%llu}", i ? "," : "", c.types[i].type,
                   (long long)c.types[i].tensors, (long long)c.types[i].numbers, (unsigned long long)c.types[i].bytes);
        printf("],\"bytes\":%llu,\"free_bytes\":%llu}\n", (unsigned long long)c.bytes, (unsigned long long)c.free_bytes);
        return DREAMO_OK;
    }
    printf("%-8s %8s %16s %16s\n", "type", "tensors", "numbers", "bytes");
    for (int i = 0; i < c.ntypes; i++)
        printf("%-8s %8lld %16lld %16llu\n", c.types[i].type, (long long)c.types[i].tensors, (long long)c.types[i].numbers,
               (unsigned long long)c.types[i].bytes);
    printf("%llu bytes to write, %llu free%s\n", (unsigned long long)c.bytes, (unsigned long long)c.free_bytes,
           c.bytes > c.free_bytes ? ": not enough" : "");
    return DREAMO_OK;
}

/* ---- --verify ---- */

static bool keep_row(void *user, const dreamo_tensor_loss *l)
{
    table *t = &((job *)user)->losses;
    if (t->n == t->room) {
        int room = t->room ? 2 * t->room : 256;
        row *more = realloc(t->rows, (size_t)room * sizeof *more);
        if (!more) {
            t->failed = true;
            return false;
        }
        t->rows = more;
        t->room = room;
    }
    row *r = &t->rows[t->n++];
    snprintf(r->name, sizeof r->name, "%s", l->name);
    snprintf(r->type, sizeof r->type, "%s", l->type);
    r->worst = l->worst;
    r->mean = l->mean;
    return true;
}

static int by_mean(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->mean != y->mean) return x->mean > y->mean ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void print_losses(const parsed *p, table *t)
{
    bool few = isatty(1) && !option_flag(p, "verbose");
    if (screen_json()) {
        for (int i = 0; i < t->n; i++) {
            printf("{\"event\":\"loss\",\"tensor\":");
            json_print_string(stdout, t->rows[i].name);
            printf(",\"type\":\"%s\",\"worst\":%.6g,\"mean\":%.6g}\n", t->rows[i].type, t->rows[i].worst, t->rows[i].mean);
        }
        return;
    }
    qsort(t->rows, (size_t)t->n, sizeof *t->rows, by_mean);
    screen_clear();
    printf("%-56s %-8s %10s %10s\n", few ? "what lost most" : "tensor", "type", "worst", "mean");
    for (int i = 0; i < t->n && (!few || i < WORST); i++)
        printf("%-56s %-8s %8.4f %% %8.4f %%\n", t->rows[i].name, t->rows[i].type, 100 * t->rows[i].worst, 100 * t->rows[i].mean);
}

static bool on_event(void *user, const dreamo_event *e)
{
    (void)user;
    return screen_event(NULL, e);
}

static dreamo_status convert(const parsed *p, job *j, dreamo_error *err)
{
    j->o.progress = on_event;
    j->o.row = keep_row;
    j->o.user = j;
    dreamo_status s = dreamo_convert(&j->o, err);
    if (j->losses.failed) {
        *err = (dreamo_error){ 0 };
        s = complain(err, DREAMO_MEMORY, NULL, "convert: no memory for the table");
    }
    if (j->losses.n && (s == DREAMO_OK || s == DREAMO_DIFFERS)) print_losses(p, &j->losses);
    if (s == DREAMO_OK) screen_result(j->o.out);
    return s;
}

/* --to-naming: nothing else goes with it but -m, -o and -f. */
static dreamo_status rename_lora(const parsed *p, const char *naming, dreamo_error *err)
{
    static const char *const others[] = { "to", "fuse", "variant", "dreamo" };
    static const char *const flags[] = { "no-turbo", "plan", "verify" };
    const char *out = option_text(p, "output", NULL);
    bool more = false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) more = more || option_nth(p, others[i], 0);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) more = more || option_flag(p, flags[i]);
    if (more) return complain(err, DREAMO_ARG, NULL, "convert: with --to-naming a LoRA is renamed, nothing else is done to it");
    if (!out) return complain(err, DREAMO_ARG, NULL, "convert: --output FILE is missing");
    dreamo_status s = dreamo_lora_rename(p->args[0], option_text(p, "model", NULL), naming, out, option_flag(p, "force"), on_event, NULL, err);
    if (!s) screen_result(out);
    return s;
}

int run_convert(const parsed *p)
{
    dreamo_error err = { 0 };
    job j = { 0 };
    screen_catch_signals();
    const char *naming = option_text(p, "to-naming", NULL);
    if (naming) return rename_lora(p, naming, &err) ? report(p, &err) : 0;
    dreamo_status s = parse(p, &j, &err);
    if (!s) s = option_flag(p, "plan") ? plan(&j, &err) : convert(p, &j, &err);
    free(j.losses.rows);
    return s ? report(p, &err) : 0;
}
