/* options.c - reading a command line by its table.
 *
 * Refuse, do not guess: an unknown option gets the nearest names, a prefix gets the full name, a number must
 * be one, and nothing is clamped. */
#include "cli/options.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

dreamo_status complain(dreamo_error *err, dreamo_status status, const char *hint, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(err->message, sizeof err->message, format, ap);
    va_end(ap);
    snprintf(err->hint, sizeof err->hint, "%s", hint ? hint : "");
    return err->status = status;
}

/* ---- numbers ---- */

bool text_integer(const char *s, int64_t *out)
{
    const char *digits = s + (*s == '-');
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || digits[n] != '\0') return false;
    errno = 0;
    long long v = strtoll(s, NULL, 10);
    if (errno) return false;
    *out = v;
    return true;
}

bool text_seed(const char *s, uint64_t *out)
{
    size_t n = strspn(s, "0123456789");
    if (n == 0 || s[n] != '\0') return false;
    errno = 0;
    unsigned long long v = strtoull(s, NULL, 10);
    if (errno) return false;
    *out = v;
    return true;
}

bool text_number(const char *s, double *out)
{
    const char *p = s + (*s == '-');
    size_t whole = strspn(p, "0123456789"), fraction = 0;
    p += whole;
    if (*p == '.') {
        fraction = strspn(++p, "0123456789");
        p += fraction;
    }
    if (whole + fraction == 0) return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        size_t exponent = strspn(p, "0123456789");
        if (exponent == 0) return false;
        p += exponent;
    }
    if (*p != '\0') return false;
    double v = strtod(s, NULL); /* main leaves LC_NUMERIC at "C" */
    if (!isfinite(v)) return false;
    *out = v;
    return true;
}

dreamo_status text_file(const char *option, const char *path, char *room, size_t nbytes, dreamo_error *err)
{
    struct stat st;
    bool given = strcmp(path, "-") == 0;
    if (!given && stat(path, &st) == 0 && !S_ISREG(st.st_mode)) /* opening a pipe that nobody writes would wait for ever */
        return complain(err, DREAMO_FORMAT, "- reads standard input", "--%s %s: is %s, not a file", option, path,
                        S_ISDIR(st.st_mode) ? "a folder" : S_ISFIFO(st.st_mode) ? "a pipe" : "a device");
    FILE *f = given ? stdin : fopen(path, "re");
    bool absent = errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG || errno == EACCES;
    if (!f) return complain(err, absent ? DREAMO_NOT_FOUND : DREAMO_IO, NULL, "--%s %s: %s", option, path, strerror(errno));
    size_t n = fread(room, 1, nbytes, f);
    bool broken = ferror(f);
    int why = errno;
    if (!given) fclose(f);
    if (broken) return complain(err, DREAMO_IO, NULL, "--%s %s: %s", option, path, strerror(why));
    if (n == nbytes) return complain(err, DREAMO_LIMIT, NULL, "--%s %s: is longer than %zu bytes", option, path, nbytes - 1);
    if (memchr(room, '\0', n)) return complain(err, DREAMO_FORMAT, NULL, "--%s %s: is not text: there is a zero byte in it", option, path);
    while (n > 0 && (room[n - 1] == '\n' || room[n - 1] == '\r')) n--;
    room[n] = '\0';
    return DREAMO_OK;
}

dreamo_status print_file(const char *path, dreamo_error *err)
{
    char bytes[1 << 14];
    FILE *f = fopen(path, "re");
    if (!f) return complain(err, DREAMO_IO, NULL, "%s: %s", path, strerror(errno));
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;) fwrite(bytes, 1, n, stdout);
    bool broken = ferror(f);
    fclose(f);
    return broken || fflush(stdout) ? complain(err, DREAMO_IO, NULL, "standard output: could not be written") : DREAMO_OK;
}

dreamo_status text_lora(const char *option, const char *whole, char *room, size_t nbytes, dreamo_lora *out, dreamo_error *err)
{
    const char *at = access(whole, F_OK) == 0 ? NULL : strrchr(whole, '@');
    double scale = 1;
    if (at && strcspn(at, "/") < strlen(at)) at = NULL; /* a folder's name has it */
    if (at && strstr(at, ".safetensors")) at = NULL;    /* "my@home.safetensors", which is not there */
    size_t n = at ? (size_t)(at - whole) : strlen(whole);
    if (at && !text_number(at + 1, &scale)) return complain(err, DREAMO_ARG, NULL, "--%s %s: \"%s\" is not a number", option, whole, at + 1);
    if (fabs(scale) > 1000) return complain(err, DREAMO_ARG, NULL, "--%s %s: the scale is outside -1000 to 1000", option, whole);
    if (n == 0) return complain(err, DREAMO_ARG, NULL, "--%s %s: the file is missing", option, whole);
    if (n + 1 > nbytes) return complain(err, DREAMO_LIMIT, NULL, "--%s %s: file names are too long", option, whole);
    memcpy(room, whole, n);
    room[n] = '\0';
    *out = (dreamo_lora){ .path = room, .scale = (float)scale };
    return DREAMO_OK;
}

/* ---- nearest names ---- */

static int edit_distance(const char *a, const char *b)
{
    int row[64], n = (int)strlen(b);
    if (n > 60 || strlen(a) > 60) return 99;
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[n];
}

/* The three nearest candidates; a name that begins with what was typed counts as near. */
typedef struct nearest { const char *name[3]; int distance[3]; } nearest;

static void nearest_offer(nearest *best, const char *typed, const char *name)
{
    int d = strncmp(name, typed, strlen(typed)) == 0 ? 1 : edit_distance(typed, name);
    if (d > 3 && d > (int)strlen(typed) / 2) return;
    for (int i = 0; i < 3; i++) {
        if (best->name[i] && best->distance[i] <= d) continue;
        for (int k = 2; k > i; k--) {
            best->name[k] = best->name[k - 1];
            best->distance[k] = best->distance[k - 1];
        }
        best->name[i] = name;
        best->distance[i] = d;
        return;
    }
}

static void nearest_words(const nearest *best, const char *before, const char *otherwise, char *out, size_t nbytes)
{
    if (!best->name[0]) {
        snprintf(out, nbytes, "%s", otherwise);
        return;
    }
    size_t used = (size_t)snprintf(out, nbytes, "did you mean ");
    for (int i = 0; i < 3 && best->name[i] && used < nbytes; i++)
        used += (size_t)snprintf(out + used, nbytes - used, "%s%s%s", i ? ", " : "", before, best->name[i]);
    if (used < nbytes) snprintf(out + used, nbytes - used, "?");
}

/* ---- parsing ---- */

static const option *find_in(const option *table, const char *name, size_t length, char letter)
{
    for (const option *o = table; o && o->name; o++)
        if (letter ? o->letter == letter : strlen(o->name) == length && memcmp(o->name, name, length) == 0) return o;
    return NULL;
}

static const option *find_option(const command *c, const char *name, size_t length, char letter)
{
    const option *o = find_in(c->options, name, length, letter);
    return o ? o : find_in(global_options, name, length, letter);
}

/* What other programs of this field call it. */
static const char *known_elsewhere(const char *name, size_t n)
{
    static const struct { const char *theirs, *ours; } names[] = {
        { "width", "-s WIDTHxHEIGHT" }, { "height", "-s WIDTHxHEIGHT" }, { "W", "-s WIDTHxHEIGHT" }, { "H", "-s WIDTHxHEIGHT" }, { "resolution", "-s WIDTHxHEIGHT" },
        { "cfg", "--guidance, or --true-cfg with --negative" }, { "cfg-scale", "--guidance, or --true-cfg with --negative" }, { "scale", "--guidance" },
        { "guidance-scale", "--guidance" }, { "sampling-steps", "--steps" }, { "num-inference-steps", "--steps" }, { "negative-prompt", "--negative" },
        { "image", "-r ip=FILE" }, { "input", "-r ip=FILE" }, { "init-img", "-r ip=FILE" }, { "ref-image", "-r ip=FILE" }, { "reference", "-r ip=FILE" },
        { "prompt", "the prompt as an argument: dreamo generate \"a red toy\"" }, { "batch", "--count" }, { "batch-count", "--count" }, { "batch-size", "--count" },
        { "num-images", "--count" }, { "n-samples", "--count" }, { "checkpoint", "--model" }, { "ckpt", "--model" }, { "diffusion-model", "--dit" }, { "unet", "--dit" },
        { "transformer", "--dit" }, { "clip_l", "--clip" }, { "t5xxl", "--t5" }, { "lora-dir", "--lora FILE@SCALE" }, { "outdir", "--output DIR/{seed}.png" },
        { "out", "--output" }, { "backend", "--device" }, { "vram", "--memory" }, { "max-vram", "--memory" }, { "type", "dreamo convert --to TYPE" }, { "quant", "dreamo convert --to TYPE" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].theirs) == n && strncmp(names[i].theirs, name, n) == 0) return names[i].ours;
    return NULL;
}

static dreamo_status unknown_option(const command *c, const char *typed, dreamo_error *err)
{
    nearest best = { 0 };
    char words[200], otherwise[80];
    const char *name = typed + strspn(typed, "-"), *ours = strcmp(c->name, "generate") == 0 ? known_elsewhere(name, strcspn(name, "=")) : NULL;
    if (ours) {
        snprintf(words, sizeof words, "here it is %s", ours);
        return complain(err, DREAMO_ARG, words, "%s: no such option", typed);
    }
    for (const option *o = c->options; o->name; o++) nearest_offer(&best, name, o->name);
    for (const option *o = global_options; o->name; o++) nearest_offer(&best, name, o->name);
    snprintf(otherwise, sizeof otherwise, "dreamo help %s lists the options", c->name);
    nearest_words(&best, "--", otherwise, words, sizeof words);
    return complain(err, DREAMO_ARG, words, "%s: no such option", typed);
}

static dreamo_status check_value(const option *o, const char *text, dreamo_error *err)
{
    double v = 0;
    if (o->kind == VALUE_INTEGER) {
        int64_t i;
        if (!text_integer(text, &i)) return complain(err, DREAMO_ARG, NULL, "--%s: \"%s\" is not a whole number", o->name, text);
        v = (double)i;
    } else if (o->kind == VALUE_NUMBER) {
        if (!text_number(text, &v)) return complain(err, DREAMO_ARG, NULL, "--%s: \"%s\" is not a number", o->name, text);
    } else {
        return DREAMO_OK;
    }
    if (v < o->lo || v > o->hi)
        return complain(err, DREAMO_ARG, NULL, "--%s: %s is outside %.15g to %.15g", o->name, text, o->lo, o->hi);
    return DREAMO_OK;
}

static dreamo_status give(const option *o, const char *text, parsed *out, dreamo_error *err)
{
    if (!o->many)
        for (int i = 0; i < out->ngiven; i++)
            if (out->given[i].option == o) return complain(err, DREAMO_ARG, "give it once", "--%s: given twice", o->name);
    if (out->ngiven == MAX_GIVEN) return complain(err, DREAMO_LIMIT, NULL, "more than %d options", MAX_GIVEN);
    dreamo_status s = o->kind == VALUE_NONE ? DREAMO_OK : check_value(o, text, err);
    if (s) return s;
    out->given[out->ngiven].option = o;
    out->given[out->ngiven++].text = text;
    return DREAMO_OK;
}

static dreamo_status parse_one(const command *c, int argc, char **argv, int *at, parsed *out, dreamo_error *err)
{
    char *word = argv[*at];
    const option *o;
    const char *text = NULL;
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        o = find_option(c, word + 2, length, 0);
        if (word[2 + length] == '=') text = word + 3 + length;
    } else {
        o = find_option(c, NULL, 0, word[1]);
        if (o && word[2]) {
            if (o->kind == VALUE_NONE) return unknown_option(c, word, err);
            text = word + 2 + (word[2] == '=');
        }
    }
    if (!o) return unknown_option(c, word, err);
    if (o->kind == VALUE_NONE) {
        if (text) return complain(err, DREAMO_ARG, NULL, "--%s takes no value, and got \"%s\"", o->name, text);
    } else if (!text) {
        if (*at + 1 >= argc) return complain(err, DREAMO_ARG, NULL, "--%s: the value (%s) is missing", o->name, o->value);
        text = argv[++*at];
    }
    return give(o, text, out, err);
}

static dreamo_status stray(const command *c, const char *word, dreamo_error *err)
{
    if (c->max_args == 0) return complain(err, DREAMO_ARG, NULL, "\"%s\": %s takes no arguments", word, c->name);
    return complain(err, DREAMO_ARG, "did you forget quotes?", "\"%s\": %s takes one argument (%s)", word, c->name, c->args);
}

dreamo_status options_parse(const command *c, int argc, char **argv, parsed *out, dreamo_error *err)
{
    bool only_args = false;
    *out = (parsed){ .command = c };
    for (int i = 0; i < argc; i++) {
        dreamo_status s = DREAMO_OK;
        if (!only_args && strcmp(argv[i], "--") == 0) only_args = true;
        else if (!only_args && argv[i][0] == '-' && argv[i][1] != '\0') s = parse_one(c, argc, argv, &i, out, err);
        else if (out->nargs == c->max_args) s = stray(c, argv[i], err);
        else out->args[out->nargs++] = argv[i];
        if (s) return s;
    }
    if (!option_flag(out, "help") && out->nargs < c->min_args)
        return complain(err, DREAMO_ARG, NULL, "%s: %s is missing", c->name, c->args);
    return DREAMO_OK;
}

/* ---- values ---- */

const char *option_nth(const parsed *p, const char *name, int nth)
{
    for (int i = 0; i < p->ngiven; i++)
        if (strcmp(p->given[i].option->name, name) == 0 && nth-- == 0) return p->given[i].text ? p->given[i].text : "";
    return NULL;
}

const char *option_text(const parsed *p, const char *name, const char *otherwise)
{
    const char *s = option_nth(p, name, 0);
    return s ? s : otherwise;
}

bool option_flag(const parsed *p, const char *name) { return option_nth(p, name, 0) != NULL; }

int64_t option_integer(const parsed *p, const char *name, int64_t otherwise)
{
    const char *s = option_nth(p, name, 0);
    if (s) text_integer(s, &otherwise); /* checked when parsed */
    return otherwise;
}

double option_number(const parsed *p, const char *name, double otherwise)
{
    const char *s = option_nth(p, name, 0);
    if (s) text_number(s, &otherwise);
    return otherwise;
}

/* ---- commands and help ---- */

const command *command_find(const char *name)
{
    for (const command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

dreamo_status command_unknown(const char *name, dreamo_error *err)
{
    nearest best = { 0 };
    char words[200];
    for (const command *c = commands; c->name; c++) nearest_offer(&best, name, c->name);
    nearest_words(&best, "dreamo ", "dreamo help lists the commands", words, sizeof words);
    return complain(err, DREAMO_ARG, words, "%s: no such command", name);
}

static void print_option(FILE *to, const option *o)
{
    char left[64], letter[8] = "   ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c,", o->letter);
    snprintf(left, sizeof left, "%s --%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
    fprintf(to, "  %-34s %s\n", left, o->help);
}

void options_help(FILE *to, const command *c)
{
    fprintf(to, "dreamo %s %s%s[options]\n%s\n\n", c->name, c->args, *c->args ? " " : "", c->summary);
    for (const option *o = c->options; o->name; o++) print_option(to, o);
    fprintf(to, "\nFor every command:\n");
    for (const option *o = global_options; o->name; o++) print_option(to, o);
}

void commands_help(FILE *to)
{
    fprintf(to, "dreamo COMMAND [options] [arguments]\n\n");
    for (const command *c = commands; c->name; c++) fprintf(to, "  %-10s %s\n", c->name, c->summary);
    fprintf(to, "\ndreamo help COMMAND tells a command's options.\n"
                "Exit codes: 0 done, 1 the answer is no, 2 bad argument, 3 bad file, 4 not found, 5 memory,\n"
                "6 over a limit, 7 read or write failed, 8 device, 9 not finite, 10 unusable picture,\n"
                "11 does not belong together, 12 busy, 70 internal, 130 stopped.\n");
}
