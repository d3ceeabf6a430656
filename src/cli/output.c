/* output.c - file names, checks, the grid. */
#include "cli/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

#include "cli/screen.h"

#define SIDE_MAX 16384 /* what our own reader takes, and most others */

/* ---- names ---- */

typedef struct name { char text[1024]; size_t used; } name;

static void put(name *out, const char *s, size_t n)
{
    if (n > sizeof out->text - 1 - out->used) n = sizeof out->text - 1 - out->used;
    memcpy(out->text + out->used, s, n);
    out->text[out->used += n] = '\0';
}

/* Letters, their marks, and digits of every script. */
static bool is_word(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) || (k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME) ||
           (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO);
}

/* The prompt as part of a file name: letters, digits and dashes, at most 48 bytes, no letter cut; where nothing is left, the seed. */
static void put_prompt(name *out, const char *prompt, const char *otherwise)
{
    char words[49];
    size_t n = 0;
    utf8proc_int32_t c;
    for (utf8proc_ssize_t k; *prompt && (k = utf8proc_iterate((const utf8proc_uint8_t *)prompt, -1, &c)) > 0; prompt += k) {
        size_t room = sizeof words - 1 - n;
        if (is_word(c)) {
            if ((size_t)k > room) break;
            memcpy(words + n, prompt, (size_t)k);
            n += (size_t)k;
        } else if (utf8proc_category(c) != UTF8PROC_CATEGORY_CF && n && words[n - 1] != '-' && room) { /* joiners stand within words */
            words[n++] = '-';
        }
    }
    if (n) put(out, words, n);
    else put(out, otherwise, strlen(otherwise));
}

/* Of the i-th picture; i = n: of the grid. */
static dreamo_status output_name(const output *o, int i, name *out, dreamo_error *err)
{
    char number[32];
    time_t now = time(NULL);
    out->used = 0;
    bool grid = i == o->n;
    char seed[32] = "grid";
    if (!grid) snprintf(seed, sizeof seed, "%llu", (unsigned long long)o->seeds[i]);
    for (const char *s = o->pattern; *s;) {
        size_t plain = strcspn(s, "{"), brace = strcspn(s + plain, "}");
        put(out, s, plain);
        s += plain;
        if (!*s) break;
        if (grid && (strncmp(s, "{seed}", 6) == 0 || strncmp(s, "{n}", 3) == 0)) put(out, "grid", 4);
        else if (strncmp(s, "{seed}", 6) == 0) put(out, seed, strlen(seed));
        else if (strncmp(s, "{n}", 3) == 0) put(out, number, (size_t)snprintf(number, sizeof number, "%d", i + 1));
        else if (strncmp(s, "{date}", 6) == 0) put(out, number, strftime(number, sizeof number, "%Y-%m-%d", localtime(&now)));
        else if (strncmp(s, "{prompt}", 8) == 0) put_prompt(out, o->prompt, seed);
        else return complain(err, DREAMO_ARG, "{seed} {n} {date} {prompt} are known", "--output %s: %.*s: no such field", o->pattern, (int)brace + 1, s);
        s += brace + 1;
    }
    if (out->used >= sizeof out->text - 1) return complain(err, DREAMO_ARG, NULL, "--output: the name is longer than %zu bytes", sizeof out->text - 2);
    return DREAMO_OK;
}

/* One name: not a folder, not there already when that matters. */
static dreamo_status check_name(const char *path, bool clobber, dreamo_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) return DREAMO_OK;
    if (S_ISDIR(st.st_mode)) return complain(err, DREAMO_ARG, "add a file name", "--output %s: is a folder", path);
    if (!clobber) return complain(err, DREAMO_IO, "leave out --no-clobber to replace it", "%s: exists already", path);
    return DREAMO_OK;
}

/* A picture in place of what it was made from would be found out too late. */
static dreamo_status check_inputs(const char *path, const char *const *inputs, int n, dreamo_error *err)
{
    struct stat out, in;
    if (stat(path, &out) != 0) return DREAMO_OK;
    for (int i = 0; i < n; i++)
        if (stat(inputs[i], &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            return complain(err, DREAMO_ARG, "choose another name", "--output %s: is the run's own input %s", path, inputs[i]);
    return DREAMO_OK;
}

const char *output_format(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0) ? "jpeg" : "png";
}

/* png or jpeg, by --format or by the name's end; a name of another kind of file would lie. */
static dreamo_status choose_format(output *o, const char *dot, dreamo_error *err)
{
    if (o->format) {
        if (strcmp(o->format, "png") && strcmp(o->format, "jpeg")) return complain(err, DREAMO_ARG, NULL, "--format: \"%s\" is neither png nor jpeg", o->format);
        return DREAMO_OK;
    }
    size_t letters = dot ? strspn(dot + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") : 0;
    bool png = dot && strcasecmp(dot, ".png") == 0;
    o->format = output_format(o->pattern);
    if (*o->format == 'j' || png || !letters || dot[1 + letters] || letters > 11 || strspn(dot + 1, "0123456789") == letters) return DREAMO_OK; /* "v1.2" is no kind of file */
    return complain(err, DREAMO_ARG, "name it .png or .jpg; --format png writes PNG under any name", "--output %s: %s files are not written", o->pattern, dot);
}

/* The same name twice would lose a picture. */
static dreamo_status check_seeds(const output *o, dreamo_error *err)
{
    if (strstr(o->pattern, "{n}")) return DREAMO_OK;
    for (int i = 0; i < o->n; i++)
        for (int k = 0; k < i; k++)
            if (o->seeds[i] == o->seeds[k])
                return complain(err, DREAMO_ARG, "add {n} to its name", "--output %s: seed %llu is there twice, and its pictures would replace each other", o->pattern,
                                (unsigned long long)o->seeds[i]);
    return DREAMO_OK;
}

static dreamo_status check_folder(const char *path, dreamo_error *err)
{
    struct stat st;
    char folder[1024];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (stat(folder, &st) != 0) return complain(err, DREAMO_NOT_FOUND, "create it first", "--output %s: the folder %s does not exist", path, folder);
    if (!S_ISDIR(st.st_mode)) return complain(err, DREAMO_NOT_FOUND, NULL, "--output %s: %s is not a folder", path, folder);
    if (access(folder, W_OK) != 0) return complain(err, DREAMO_IO, NULL, "--output %s: the folder %s cannot be written", path, folder);
    return DREAMO_OK;
}

/* One picture on standard output, and nothing else. */
static dreamo_status open_stdout(const output *o, dreamo_error *err)
{
    if (o->n > 1 || o->grid) return complain(err, DREAMO_ARG, "ask for one picture", "--output -: standard output takes one picture, not %d", o->n);
    if (screen_json()) return complain(err, DREAMO_ARG, "leave one out", "--output -: standard output has the events of --json");
    if (isatty(1)) return complain(err, DREAMO_ARG, "send it to a file or a program", "--output -: standard output is a terminal");
    return DREAMO_OK;
}

dreamo_status output_open(output *o, const parsed *p, const char *prompt, const uint64_t *seeds, int n, const char *const *inputs, int ninputs,
                          dreamo_error *err)
{
    name out;
    *o = (output){ .pattern = option_text(p, "output", "dreamo-{seed}.png"), .format = option_text(p, "format", NULL), .prompt = prompt,
                   .seeds = seeds, .n = n, .clobber = !option_flag(p, "no-clobber"), .metadata = !option_flag(p, "no-metadata"),
                   .grid = option_flag(p, "grid") };
    const char *dot = strrchr(o->pattern, '.');
    if (dot && strchr(dot, '/')) dot = NULL;
    o->to_stdout = strcmp(o->pattern, "-") == 0;
    dreamo_status s = choose_format(o, dot, err);
    if (!s && o->to_stdout) return open_stdout(o, err);
    if (!s && o->grid && n < 2) s = complain(err, DREAMO_ARG, "add --count, or more seeds", "--grid: one picture makes no grid");
    if (s) return s;
    if (n > 1 && !strstr(o->pattern, "{seed}") && !strstr(o->pattern, "{n}")) {
        size_t stem = dot ? (size_t)(dot - o->pattern) : strlen(o->pattern);
        snprintf(o->numbered, sizeof o->numbered, "%.*s-{n}%s", (int)stem, o->pattern, dot ? dot : "");
        o->pattern = o->numbered;
    }
    s = check_seeds(o, err);
    for (int i = 0; !s && i < n + o->grid; i++) {
        s = output_name(o, i, &out, err);
        if (!s) s = check_name(out.text, o->clobber, err);
        if (!s) s = check_inputs(out.text, inputs, ninputs, err);
    }
    return s ? s : check_folder(out.text, err);
}

/* ---- pictures ---- */

/* Pixels of the i-th picture into its place. */
static void keep_for_grid(output *o, int i, const dreamo_image *image)
{
    size_t row = (size_t)image->width * 3, whole = (size_t)o->sheet.width * 3;
    uint8_t *to = o->sheet.rgb + (size_t)(i / o->columns) * (size_t)image->height * whole + (size_t)(i % o->columns) * row;
    for (int y = 0; y < image->height; y++) memcpy(to + (size_t)y * whole, image->rgb + (size_t)y * row, row);
}

/* The library writes files: one in the system's folder for such, whose bytes go on. */
static dreamo_status put_stdout(const output *o, const dreamo_image *image, dreamo_error *err)
{
    const char *folder = getenv("TMPDIR");
    char path[1024];
    snprintf(path, sizeof path, "%s/dreamo-XXXXXX", folder && *folder ? folder : "/tmp");
    int fd = mkstemp(path);
    if (fd < 0) return complain(err, DREAMO_IO, NULL, "%s: %s", path, strerror(errno));
    close(fd);
    dreamo_status s = dreamo_image_write(image, path, o->format, true, err);
    if (!s) s = print_file(path, err);
    unlink(path);
    return s;
}

dreamo_status output_put(output *o, int i, dreamo_image *image, dreamo_error *err)
{
    name out = { "", 0 };
    char *metadata = image->metadata;
    dreamo_status s = o->to_stdout ? DREAMO_OK : output_name(o, i, &out, err);
    if (!o->metadata) image->metadata = NULL;
    if (!s && o->to_stdout) s = put_stdout(o, image, err);
    else if (!s) s = dreamo_image_write(image, out.text, o->format, o->clobber, err);
    image->metadata = metadata;
    if (s) return s;
    if (o->sheet.rgb) keep_for_grid(o, i, image);
    screen_line("seed", "%llu", (unsigned long long)o->seeds[i]);
    if (!o->to_stdout) screen_result(out.text);
    return DREAMO_OK;
}

dreamo_status output_grid(output *o, int width, int height, dreamo_error *err)
{
    int columns = 1;
    while (columns * columns < o->n) columns++;
    int rows = (o->n + columns - 1) / columns;
    if ((int64_t)columns * width > SIDE_MAX || (int64_t)rows * height > SIDE_MAX)
        return complain(err, DREAMO_LIMIT, "ask for fewer pictures", "--grid: %d x %d pictures of %dx%d are wider or higher than %d pixels", columns, rows,
                        width, height, SIDE_MAX);
    size_t nbytes = (size_t)columns * (size_t)width * (size_t)rows * (size_t)height * 3;
    o->columns = columns;
    o->sheet = (dreamo_image){ .width = columns * width, .height = rows * height, .rgb = malloc(nbytes) };
    if (!o->sheet.rgb) return complain(err, DREAMO_MEMORY, NULL, "--grid: no memory for %zu bytes", nbytes);
    memset(o->sheet.rgb, 255, nbytes);
    return DREAMO_OK;
}

dreamo_status output_put_grid(output *o, dreamo_error *err)
{
    name out;
    dreamo_status s = output_name(o, o->n, &out, err);
    if (!s) s = dreamo_image_write(&o->sheet, out.text, o->format, o->clobber, err);
    if (!s) screen_result(out.text);
    return s;
}

void output_close(output *o)
{
    free(o->sheet.rgb);
    o->sheet.rgb = NULL;
}
