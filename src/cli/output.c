/* output.c - file names, checks, the grid. */
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

/* The prompt as part of a file name: letters, digits and dashes, at most 48 bytes. */
static void put_prompt(name *out, const char *prompt)
{
    char words[49];
    size_t n = 0;
    for (; *prompt && n < 48; prompt++) {
        bool plain = (*prompt >= 'a' && *prompt <= 'z') || (*prompt >= 'A' && *prompt <= 'Z') || (*prompt >= '0' && *prompt <= '9');
        if (plain) words[n++] = *prompt;
        else if (n && words[n - 1] != '-') words[n++] = '-';
    }
    put(out, words, n);
}

/* Of the i-th picture; i = n: of the grid. */
static dreamo_status output_name(const output *o, int i, name *out, dreamo_error *err)
{
    char number[32];
    time_t now = time(NULL);
    out->used = 0;
    bool grid = i == o->n;
    for (const char *s = o->pattern; *s;) {
        size_t plain = strcspn(s, "{"), brace = strcspn(s + plain, "}");
        put(out, s, plain);
        s += plain;
        if (!*s) break;
        if (grid && (strncmp(s, "{seed}", 6) == 0 || strncmp(s, "{n}", 3) == 0)) put(out, "grid", 4);
        else if (strncmp(s, "{seed}", 6) == 0) put(out, number, (size_t)snprintf(number, sizeof number, "%llu", (unsigned long long)o->seeds[i]));
        else if (strncmp(s, "{n}", 3) == 0) put(out, number, (size_t)snprintf(number, sizeof number, "%d", i + 1));
        else if (strncmp(s, "{date}", 6) == 0) put(out, number, strftime(number, sizeof number, "%Y-%m-%d", localtime(&now)));
        else if (strncmp(s, "{prompt}", 8) == 0) put_prompt(out, o->prompt);
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

dreamo_status output_open(output *o, const parsed *p, const char *prompt, const uint64_t *seeds, int n, dreamo_error *err)
{
    name out;
    *o = (output){ .pattern = option_text(p, "output", "dreamo-{seed}.png"), .format = option_text(p, "format", NULL), .prompt = prompt,
                   .seeds = seeds, .n = n, .clobber = !option_flag(p, "no-clobber"), .metadata = !option_flag(p, "no-metadata"),
                   .grid = option_flag(p, "grid") };
    const char *dot = strrchr(o->pattern, '.');
    if (dot && strchr(dot, '/')) dot = NULL;
    if (!o->format) o->format = dot && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0) ? "jpeg" : "png";
    if (strcmp(o->format, "png") && strcmp(o->format, "jpeg")) return complain(err, DREAMO_ARG, NULL, "--format: \"%s\" is neither png nor jpeg", o->format);
    if (o->grid && n < 2) return complain(err, DREAMO_ARG, "add --count, or more seeds", "--grid: one picture makes no grid");
    if (n > 1 && !strstr(o->pattern, "{seed}") && !strstr(o->pattern, "{n}")) {
        size_t stem = dot ? (size_t)(dot - o->pattern) : strlen(o->pattern);
        snprintf(o->numbered, sizeof o->numbered, "%.*s-{n}%s", (int)stem, o->pattern, dot ? dot : "");
        o->pattern = o->numbered;
    }
    for (int i = 0; i < n + o->grid; i++) {
        dreamo_status s = output_name(o, i, &out, err);
        if (!s) s = check_name(out.text, o->clobber, err);
        if (s) return s;
    }
    return check_folder(out.text, err);
}

/* ---- pictures ---- */

/* Pixels of the i-th picture into its place. */
static void keep_for_grid(output *o, int i, const dreamo_image *image)
{
    size_t row = (size_t)image->width * 3, whole = (size_t)o->sheet.width * 3;
    uint8_t *to = o->sheet.rgb + (size_t)(i / o->columns) * (size_t)image->height * whole + (size_t)(i % o->columns) * row;
    for (int y = 0; y < image->height; y++) memcpy(to + (size_t)y * whole, image->rgb + (size_t)y * row, row);
}

dreamo_status output_put(output *o, int i, dreamo_image *image, dreamo_error *err)
{
    name out;
    char *metadata = image->metadata;
    dreamo_status s = output_name(o, i, &out, err);
    if (!o->metadata) image->metadata = NULL;
    if (!s) s = dreamo_image_write(image, out.text, o->format, o->clobber, err);
    image->metadata = metadata;
    if (s) return s;
    if (o->sheet.rgb) keep_for_grid(o, i, image);
    screen_line("seed", "%llu", (unsigned long long)o->seeds[i]);
    screen_result(out.text);
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
