/* recipe.c - the table of names and the reader of the file. */
#include "train/recipe.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

typedef enum entry_kind { ENTRY_INT, ENTRY_NUMBER, ENTRY_BOOL, ENTRY_CHOICE, ENTRY_KINDS, ENTRY_SIZES, ENTRY_SIDES } entry_kind;

typedef struct entry {
    const char *name, *heading;
    entry_kind kind;
    size_t offset;
    double lo, hi, otherwise;
    const char *choices;       /* "vae|base": the enum's values in order; lists: the default as it is written */
} entry;

#define AT(field) offsetof(recipe, field)
static const entry entries[] = {
    { "stage", "run", ENTRY_CHOICE, AT(stage), 0, 0, STAGE_VAE, "vae|base|adapter|cfg|sft|dpo|judge|matting" },
    { "steps", "run", ENTRY_INT, AT(steps), 1, 1e9, 1000, NULL },
    { "batch", "run", ENTRY_INT, AT(batch), 1, 1 << 16, 8, NULL },
    { "micro", "run", ENTRY_INT, AT(micro), 1, 1 << 16, 8, NULL },
    { "seed", "run", ENTRY_INT, AT(seed), 0, 9007199254740991.0, 1, NULL },
    { "checkpoint", "run", ENTRY_BOOL, AT(checkpoint), 0, 1, 0, NULL },
    { "products", "run", ENTRY_CHOICE, AT(products), 0, 0, PRODUCTS_FP32, "fp32|bf16" },
    { "optimizer", "optimizer", ENTRY_CHOICE, AT(optimizer), 0, 0, OPTIMIZER_ADAMW, "adamw|adamw8|muon" },
    { "lr", "optimizer", ENTRY_NUMBER, AT(lr.peak), 0, 10, 1e-3, NULL },
    { "lr_last", "optimizer", ENTRY_NUMBER, AT(lr.last), 0, 10, 0, NULL },
    { "schedule", "optimizer", ENTRY_CHOICE, AT(lr.shape), 0, 0, LR_COSINE, "constant|cosine|wsd" },
    { "decay", "optimizer", ENTRY_NUMBER, AT(lr.decay), 1e-6, 1, 0.2, NULL },
    { "warmup", "optimizer", ENTRY_INT, AT(lr.warmup), 0, 1e9, 100, NULL },
    { "beta1", "optimizer", ENTRY_NUMBER, AT(adamw.beta1), 0, 0.99999, 0.9, NULL },
    { "beta2", "optimizer", ENTRY_NUMBER, AT(adamw.beta2), 0, 0.9999999, 0.99, NULL },
    { "eps", "optimizer", ENTRY_NUMBER, AT(adamw.eps), 1e-20, 1, 1e-8, NULL },
    { "weight_decay", "optimizer", ENTRY_NUMBER, AT(adamw.decay), 0, 10, 0.01, NULL },
    { "momentum", "optimizer", ENTRY_NUMBER, AT(adamw.momentum), 0, 0.99999, 0.95, NULL },
    { "clip", "optimizer", ENTRY_NUMBER, AT(adamw.clip), 0, 1e9, 1, NULL },
    { "ema", "optimizer", ENTRY_NUMBER, AT(ema), 0, 0.9999999, 0.999, NULL },
    { "ema_every", "optimizer", ENTRY_INT, AT(ema_every), 1, 10000, 1, NULL },
    { "max_skips", "optimizer", ENTRY_INT, AT(max_skips), 0, 1e6, 10, NULL },
    { "log_every", "files", ENTRY_INT, AT(log_every), 1, 1e9, 10, NULL },
    { "save_every", "files", ENTRY_INT, AT(save_every), 1, 1e9, 250, NULL },
    { "keep", "files", ENTRY_INT, AT(keep), 1, 1e6, 2, NULL },
    { "validate_every", "files", ENTRY_INT, AT(validate_every), 0, 1e9, 250, NULL },
    { "validation", "files", ENTRY_INT, AT(validation), 0, 1e6, 64, NULL },
    { "sample_every", "files", ENTRY_INT, AT(sample_every), 0, 1e9, 0, NULL },
    { "samples", "files", ENTRY_INT, AT(samples), 1, 1000, 8, NULL },
    { "export_bf16", "files", ENTRY_BOOL, AT(export_bf16), 0, 1, 1, NULL },
    { "kinds", "data", ENTRY_KINDS, AT(kinds), 0, 0, 0, "auto" },
    { "pictures", "data", ENTRY_SIZES, AT(pictures), 0, 0, 0, "64x64" },
    { "ref_sides", "data", ENTRY_SIDES, AT(ref_sides), 0, 0, 0, "0" },
    { "distil", "data", ENTRY_INT, AT(distil), 0, 1e7, 0, NULL },
    { "text_dropout", "data", ENTRY_NUMBER, AT(text_dropout), 0, 1, 0.1, NULL },
    { "ref_dropout", "data", ENTRY_NUMBER, AT(ref_dropout), 0, 1, 0.1, NULL },
    { "one_dropout", "data", ENTRY_NUMBER, AT(one_dropout), 0, 1, 0.1, NULL },
    { "placeholders", "data", ENTRY_NUMBER, AT(placeholders), 0, 1, 0.5, NULL },
    { "same_size", "data", ENTRY_NUMBER, AT(same_size), 0, 1, 0.5, NULL },
    { "ref_tokens", "data", ENTRY_NUMBER, AT(ref_tokens), 0.001, 1, 1, NULL },
    { "self_reference", "data", ENTRY_BOOL, AT(self_reference), 0, 1, 0, NULL },
    { "ref_crop", "data", ENTRY_NUMBER, AT(ref_crop), 0.05, 1, 1, NULL },
    { "ref_scale", "data", ENTRY_NUMBER, AT(ref_scale), 0.1, 1, 1, NULL },
    { "token_dropout", "flow", ENTRY_NUMBER, AT(token_dropout), 0, 0.95, 0, NULL },
    { "subject_weight", "flow", ENTRY_NUMBER, AT(subject_weight), 0, 1000, 0, NULL },
    { "density", "flow", ENTRY_CHOICE, AT(flow.density), 0, 0, FLOW_LOGIT_NORMAL, "logit-normal|uniform" },
    { "t_mean", "flow", ENTRY_NUMBER, AT(flow.mean), -10, 10, 0, NULL },
    { "t_std", "flow", ENTRY_NUMBER, AT(flow.std), 0.001, 10, 1, NULL },
    { "t_shift", "flow", ENTRY_NUMBER, AT(flow.shift), 0.01, 100, 1, NULL },
    { "init", "autoencoder", ENTRY_CHOICE, AT(init), 0, 0, INIT_PCA, "plain|pca" },
    { "kl", "autoencoder", ENTRY_NUMBER, AT(kl), 0, 100, 1e-3, NULL },
    { "edges", "autoencoder", ENTRY_NUMBER, AT(edges), 0, 100, 0, NULL },
    { "decoder_only", "autoencoder", ENTRY_BOOL, AT(decoder_only), 0, 1, 0, NULL },
    { "even_channels", "autoencoder", ENTRY_BOOL, AT(even_channels), 0, 1, 0, NULL },
    { "visible_channels", "autoencoder", ENTRY_NUMBER, AT(visible_channels), 0, 1, 0, NULL },
    { "guidance", "flow", ENTRY_NUMBER, AT(guidance), 0, 100, 1, NULL },
    { "rejected", "after", ENTRY_KINDS, AT(rejected), 0, 0, 0, "auto" },
    { "cfg_scale", "after", ENTRY_NUMBER, AT(cfg_scale), 1, 100, 3, NULL },
    { "cfg_above", "after", ENTRY_NUMBER, AT(cfg_above), 0, 1, 0, NULL },
    { "dpo_beta", "after", ENTRY_NUMBER, AT(dpo_beta), 1e-3, 1e6, 2000, NULL },
    { "begin", "adapter", ENTRY_CHOICE, AT(begin), 0, 0, BEGIN_FRESH, "fresh|model" },
    { "rank", "adapter", ENTRY_INT, AT(rank), 1, 1024, 16, NULL },
    { "lora_layers", "after", ENTRY_CHOICE, AT(layers), 0, 0, LAYERS_ATTENTION, "attention|all" },
    { "routing_loss", "adapter", ENTRY_NUMBER, AT(routing_loss), 0, 100, 0, NULL },
    { "placeholder_loss", "adapter", ENTRY_NUMBER, AT(placeholder_loss), 0, 100, 0, NULL },
    { "train_tables", "adapter", ENTRY_BOOL, AT(train_tables), 0, 1, 1, NULL },
    { "train_t5_rows", "adapter", ENTRY_BOOL, AT(train_t5_rows), 0, 1, 0, NULL },
    { "label_weight", "judge", ENTRY_NUMBER, AT(label_weight), 0, 100, 1, NULL },
};
enum { NENTRIES = sizeof entries / sizeof entries[0], FILE_MAX = 1 << 20 };

/* ---- one value ---- */

static bool is_list(const entry *e) { return e->kind >= ENTRY_KINDS; }

static mixture_of list_of(const entry *e) { return (mixture_of)(e->kind - ENTRY_KINDS); }

static void put(recipe *r, const entry *e, double value)
{
    char *at = (char *)r + e->offset;
    switch (e->kind) {
    case ENTRY_INT: *(int64_t *)(void *)at = (int64_t)value; break;
    case ENTRY_NUMBER: *(double *)(void *)at = value; break;
    case ENTRY_BOOL: *(bool *)at = value != 0; break;
    case ENTRY_CHOICE: *(unsigned *)(void *)at = (unsigned)value; break; /* enums here have no negative value */
    default: mixture_read((mixture *)(void *)at, list_of(e), "default", e->name, e->choices, NULL); break;
    }
}

static double get(const recipe *r, const entry *e)
{
    const char *at = (const char *)r + e->offset;
    switch (e->kind) {
    case ENTRY_INT: return (double)*(const int64_t *)(const void *)at;
    case ENTRY_NUMBER: return *(const double *)(const void *)at;
    case ENTRY_BOOL: return *(const bool *)at;
    default: return *(const unsigned *)(const void *)at;
    }
}

/* The number of WORD in "a|b|c"; -1: not there. */
static int choice(const char *choices, const char *word)
{
    size_t n = strlen(word);
    for (int k = 0; choices; k++) {
        const char *end = strchr(choices, '|');
        size_t len = end ? (size_t)(end - choices) : strlen(choices);
        if (len == n && memcmp(choices, word, n) == 0) return k;
        choices = end ? end + 1 : NULL;
    }
    return -1;
}

static dreamo_status parse(recipe *r, const entry *e, const char *where, const char *word, dreamo_error *err)
{
    char *end;
    double value = 0;
    if (is_list(e)) return mixture_read((mixture *)(void *)((char *)r + e->offset), list_of(e), where, e->name, word, err);
    if (e->kind == ENTRY_CHOICE || e->kind == ENTRY_BOOL) {
        const char *choices = e->kind == ENTRY_BOOL ? "no|yes" : e->choices;
        int k = choice(choices, word);
        if (k < 0) return fail(err, DREAMO_ARG, "%s: %s = %s: allowed are %s", where, e->name, word, choices);
        put(r, e, k);
        return DREAMO_OK;
    }
    errno = 0;
    value = strtod(word, &end);
    bool sign = word[0] == '+' || word[0] == '-' || word[0] == '.'; /* or the point before the digits */
    bool digits = isdigit((unsigned char)word[0]) || (sign && (isdigit((unsigned char)word[1]) || word[1] == '.'));
    if (end == word || *end || !digits || strpbrk(word, "xX") || !isfinite(value) || errno == ERANGE)
        return fail(err, DREAMO_ARG, "%s: %s = %s: is not a number", where, e->name, word);
    if (e->kind == ENTRY_INT && value != floor(value))
        return fail(err, DREAMO_ARG, "%s: %s = %s: must be a whole number", where, e->name, word);
    if (value < e->lo || value > e->hi)
        return fail(err, DREAMO_ARG, "%s: %s = %s: must lie between %.10g and %.10g", where, e->name, word, e->lo, e->hi);
    put(r, e, value);
    return DREAMO_OK;
}

static dreamo_status find(const char *where, const char *name, const entry **e, dreamo_error *err)
{
    if (strcmp(name, "picture") == 0) name = "pictures"; /* one size reads better so */
    for (int i = 0; i < NENTRIES; i++)
        if (strcmp(entries[i].name, name) == 0) {
            *e = &entries[i];
            return DREAMO_OK;
        }
    return fail(err, DREAMO_ARG, "%s: there is no setting called %.60s", where, name);
}

/* ---- lines ---- */

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t') s++;
    size_t n = strlen(s);
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r')) s[--n] = '\0';
    return s;
}

/* Reading stands in the common part, in the wanted stage, or in another one. */
typedef struct reading { const char *path, *stage; recipe *r; recipe_stages found; bool inside; int seen[NENTRIES]; } reading;

/* The NAME of "[stage NAME]": lower-case letters, digits and -, for it becomes a folder's name. */
static dreamo_status stage_heading(reading *d, char *name, const char *where, dreamo_error *err)
{
    name = trim(name);
    size_t n = strlen(name);
    if (!n || n >= sizeof d->found.name[0] || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != n || *name == '-')
        return fail(err, DREAMO_ARG, "%s: [stage %.60s]: a stage's name is up to 31 lower-case letters, digits and -", where, name);
    if (d->found.n == RECIPE_STAGES) return fail(err, DREAMO_ARG, "%s: more than %d stages", where, RECIPE_STAGES);
    for (int i = 0; i < d->found.n; i++)
        if (strcmp(d->found.name[i], name) == 0) return fail(err, DREAMO_ARG, "%s: there is a stage called %s already", where, name);
    memcpy(d->found.name[d->found.n++], name, n + 1);
    d->inside = d->stage && strcmp(d->stage, name) == 0;
    memset(d->seen, 0, sizeof d->seen);
    return DREAMO_OK;
}

static dreamo_status read_line(reading *d, char *line, int number, dreamo_error *err)
{
    char where[300];
    snprintf(where, sizeof where, "%.250s:%d", d->path, number);
    line[strcspn(line, "#")] = '\0';
    char *name = trim(line), *equals = strchr(name, '=');
    if (!*name) return DREAMO_OK;
    if (*name == '[') {
        char *end = name + strlen(name) - 1;
        if (*end != ']') return fail(err, DREAMO_ARG, "%s: a heading ends with ]", where);
        *end = '\0';
        return strncmp(name, "[stage ", 7) == 0 ? stage_heading(d, name + 7, where, err) : DREAMO_OK;
    }
    if (!equals) return fail(err, DREAMO_ARG, "%s: \"%.60s\" is neither name = value nor a [heading]", where, name);
    if (d->found.n && !d->inside) return DREAMO_OK;
    *equals = '\0';
    const entry *e = NULL;
    dreamo_status s = find(where, trim(name), &e, err);
    if (s) return s;
    int *before = &d->seen[e - entries];
    if (*before) return fail(err, DREAMO_ARG, "%s: %s was set in line %d already", where, e->name, *before);
    *before = number;
    return parse(d->r, e, where, trim(equals + 1), err);
}

void recipe_defaults(recipe *r)
{
    *r = (recipe){ 0 };
    for (int i = 0; i < NENTRIES; i++) put(r, &entries[i], entries[i].otherwise);
}

static dreamo_status read_file(reading *d, dreamo_error *err)
{
    char *text = NULL;
    size_t nbytes = 0;
    recipe_defaults(d->r);
    dreamo_status s = file_read(d->path, FILE_MAX, &text, &nbytes, err);
    if (s) return s;
    if (strlen(text) != nbytes) s = fail(err, DREAMO_ARG, "%s: holds a zero byte; a recipe is text", d->path);
    char *line = strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? text + 3 : text;
    for (int number = 1; !s && line; number++) {
        char *end = strchr(line, '\n');
        if (end) *end = '\0';
        s = read_line(d, line, number, err);
        line = end ? end + 1 : NULL;
    }
    mem_free(text);
    return s;
}

dreamo_status recipe_read(const char *path, recipe *r, dreamo_error *err)
{
    reading d = { .path = path, .r = r };
    dreamo_status s = read_file(&d, err);
    if (!s && d.found.n) s = fail(err, DREAMO_ARG, "%s: is a plan of %d stages, here one is wanted", path, d.found.n);
    return s;
}

dreamo_status recipe_list_stages(const char *path, recipe_stages *out, dreamo_error *err)
{
    recipe r;
    reading d = { .path = path, .r = &r };
    dreamo_status s = read_file(&d, err);
    *out = d.found;
    return s;
}

dreamo_status recipe_read_stage(const char *path, const char *stage, recipe *r, dreamo_error *err)
{
    reading d = { .path = path, .stage = stage, .r = r };
    bool there = false;
    dreamo_status s = read_file(&d, err);
    for (int i = 0; i < d.found.n; i++) there = there || strcmp(d.found.name[i], stage) == 0;
    return s || there ? s : fail(err, DREAMO_ARG, "%s: has no [stage %s]", path, stage);
}

dreamo_status recipe_override(recipe *r, const char *assignment, dreamo_error *err)
{
    char *copy = mem_strdup(assignment);
    if (!copy) return fail(err, DREAMO_MEMORY, "no memory for %s", assignment);
    char *equals = strchr(copy, '=');
    const entry *e = NULL;
    dreamo_status s = equals ? DREAMO_OK : fail(err, DREAMO_ARG, "%s: must read name=value", assignment);
    if (!s) {
        *equals = '\0';
        s = find("setting", trim(copy), &e, err);
    }
    if (!s) s = parse(r, e, "setting", trim(equals + 1), err);
    mem_free(copy);
    return s;
}

dreamo_status recipe_check(const recipe *r, dreamo_error *err)
{
    long long batch = r->batch, micro = r->micro, steps = r->steps, warmup = r->lr.warmup;
    if (batch % micro) return fail(err, DREAMO_ARG, "batch = %lld must be a multiple of micro = %lld", batch, micro);
    if (warmup > steps) return fail(err, DREAMO_ARG, "warmup = %lld is longer than steps = %lld", warmup, steps);
    if (r->lr.last > r->lr.peak) return fail(err, DREAMO_ARG, "lr_last = %g is above lr = %g", r->lr.last, r->lr.peak);
    if (r->save_every % r->ema_every)
        return fail(err, DREAMO_ARG, "save_every = %lld must be a multiple of ema_every = %lld", (long long)r->save_every,
                    (long long)r->ema_every);
    if ((r->ref_crop < 1 || r->ref_scale < 1) && !r->self_reference)
        return fail(err, DREAMO_ARG, "%s is of the target shown as its own reference: it wants self_reference = yes", r->ref_crop < 1 ? "ref_crop" : "ref_scale");
    return DREAMO_OK;
}

/* ---- writing ---- */

static void write_value(const recipe *r, const entry *e, char *out, size_t room)
{
    if (is_list(e)) {
        mixture_write((const mixture *)(const void *)((const char *)r + e->offset), list_of(e), out, room);
        return;
    }
    double value = get(r, e);
    if (e->kind == ENTRY_INT) snprintf(out, room, "%.0f", value);
    else if (e->kind == ENTRY_NUMBER) snprintf(out, room, "%.*g", DBL_DECIMAL_DIG, value);
    else {
        const char *word = e->kind == ENTRY_BOOL ? "no|yes" : e->choices;
        for (int k = (int)value; k > 0; k--) word = strchr(word, '|') + 1;
        snprintf(out, room, "%.*s", (int)strcspn(word, "|"), word);
    }
}

char *recipe_write(const recipe *r)
{
    char *text = mem_strdup("");
    const char *heading = "";
    for (int i = 0; text && i < NENTRIES; i++) {
        char value[MIXTURE_MAX * 48];
        const entry *e = &entries[i];
        write_value(r, e, value, sizeof value);
        char *longer = strcmp(heading, e->heading) == 0
                           ? mem_printf("%s%s = %s\n", text, e->name, value)
                           : mem_printf("%s%s[%s]\n%s = %s\n", text, *text ? "\n" : "", e->heading, e->name, value);
        heading = e->heading;
        mem_free(text);
        text = longer;
    }
    return text;
}
