/* compare.h - two folders, file for file.  What a clock wrote is taken out of both first: how long a step took, and when. */
#ifndef TESTS_COMPARE_H
#define TESTS_COMPARE_H
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

static void must(bool holds, const char *what)
{
    if (holds) return;
    printf("not ok: %s\n", what);
    exit(1);
}

/* Take out "name":number. */
static void blank_number(char *line, const char *name)
{
    char *at = strstr(line, name);
    if (!at) return;
    at += strlen(name);
    size_t n = strspn(at, " 0123456789.eE+-nul");
    memmove(at, at + n, strlen(at + n) + 1);
}

/* Take out what stands between the two, the first time. */
static void blank_between(char *text, const char *from, const char *to)
{
    char *at = strstr(text, from), *end = at ? strstr(at + strlen(from), to) : NULL;
    if (end) memmove(at + strlen(from), end, strlen(end) + 1);
}

/* Of a TensorBoard file: each record's time (its first field) and checksums, and the speeds.  What is no whole record stays as it is. */
static void blank_events(char *p, size_t n)
{
    static const char speed[] = "samples_per_s\x15"; /* a tag's end, then the number's key */
    for (size_t at = 0; n - at >= 16;) {
        size_t length = 0;
        for (int i = 0; i < 4; i++) length |= (size_t)(unsigned char)p[at + (size_t)i] << 8 * i;
        if (length < 9 || length > n - at - 16) return;
        memset(p + at + 13, 0, 8);
        memset(p + at + 12 + length, 0, 4);
        char *value = memmem(p + at + 12, length, speed, sizeof speed - 1);
        if (value && value + sizeof speed - 1 + 4 <= p + at + 12 + length) memset(value + sizeof speed - 1, 0, 4);
        at += 16 + length;
    }
}

/* What a clock wrote, out of a file of text. */
static void blank_clock(const char *path, char *text)
{
    static const char *const numbers[] = { "\"seconds\":", "\"s_per_step\":", "\"samples_per_s\":", "\"left_s\":" };
    const char *name = strrchr(path, '/') + 1;
    if (strcmp(name, "MANIFEST") == 0) { /* of state.json, whose seconds differ */
        char *end = strstr(text, " state.json\n"), *line = end;
        while (line && line > text && line[-1] != '\n') line--;
        if (line) memmove(line, end, strlen(end) + 1);
    } else if (strcmp(name, "report.html") == 0) {
        blank_between(text, "; written ", "</div>");
        blank_between(text, "<dt>computing</dt><dd>", "</dd>");
        blank_between(text, "<dt>a step</dt><dd>", ",");
        blank_between(text, "<figcaption>samples a second", "</figure>");
    } else if (strcmp(name, "log.ndjson") == 0 || strcmp(name, "state.json") == 0) {
        for (char *line = text; line; line = strchr(line + 1, '\n'))
            for (int i = 0; i < 4; i++) blank_number(line, numbers[i]);
    }
}

static bool same_file(const char *a, const char *b)
{
    char *x = NULL, *y = NULL;
    size_t nx = 0, ny = 0;
    must(!file_read(a, 1 << 26, &x, &nx, NULL) && !file_read(b, 1 << 26, &y, &ny, NULL), a);
    bool text = strlen(x) == nx && strlen(y) == ny;
    if (text) blank_clock(a, x), blank_clock(b, y);
    else if (strstr(a, "tfevents")) blank_events(x, nx), blank_events(y, ny);
    bool same = text ? strcmp(x, y) == 0 : nx == ny && memcmp(x, y, nx) == 0;
    mem_free(x);
    mem_free(y);
    return same;
}

/* Prints the first difference. */
static bool same_tree(const char *a, const char *b)
{
    char **x = NULL, **y = NULL;
    int nx = 0, ny = 0;
    must(!folder_list(a, &x, &nx, NULL) && !folder_list(b, &y, &ny, NULL), a);
    bool same = true;
    for (int i = 0, k = 0; same && (i < nx || k < ny); i++, k++) {
        int c = i == nx ? 1 : k == ny ? -1 : strcmp(x[i], y[k]);
        if (c) printf("  only in %s: %s\n", c < 0 ? a : b, c < 0 ? x[i] : y[k]);
        same = c == 0;
        if (c) break;
        char *p = path_join(a, x[i]), *q = path_join(b, y[k]);
        if (folder_exists(p)) same = same_tree(p, q);
        else if (!(same = same_file(p, q))) printf("  %s and %s differ\n", p, q);
        mem_free(p);
        mem_free(q);
    }
    folder_list_free(x, nx);
    folder_list_free(y, ny);
    return same;
}
#endif
