/* form.c - parts between boundaries. */
#include "serve/http/form.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { BOUNDARY_MAX = 70, PART_HEADERS_MAX = 2048 };

/* What stands behind NAME= in "...; NAME=value" or "...; NAME=\"value\"", at most nbytes - 1 bytes of it.  False: it is not there. */
static bool parameter(const char *s, size_t n, const char *name, char *out, size_t nbytes)
{
    size_t length = strlen(name);
    const char *end = s + n;
    while ((s = memchr(s, ';', (size_t)(end - s)))) {
        for (s++; s < end && (*s == ' ' || *s == '\t'); s++) {}
        if ((size_t)(end - s) <= length || strncasecmp(s, name, length) || s[length] != '=') continue;
        s += length + 1;
        size_t used = 0;
        bool quoted = s < end && *s == '"';
        for (s += quoted; s < end && (quoted ? *s != '"' : *s != ';' && *s != ' '); s++) {
            if (quoted && *s == '\\' && s + 1 < end) s++;
            if (used + 1 < nbytes) out[used++] = *s;
        }
        out[used] = '\0';
        return true;
    }
    return false;
}

static dreamo_status part_header(const char *line, size_t n, form_part *part, bool *named, problem *p)
{
    static const char disposition[] = "Content-Disposition:", type[] = "Content-Type:";
    if (n > sizeof disposition - 1 && strncasecmp(line, disposition, sizeof disposition - 1) == 0) {
        *named = parameter(line, n, "name", part->name, sizeof part->name);
        if (!parameter(line, n, "filename", part->file, sizeof part->file)) part->file[0] = '\0';
        else if (!part->file[0]) snprintf(part->file, sizeof part->file, "a picture");
        size_t base = strlen(part->file); /* a name, for messages: never a path */
        while (base > 0 && part->file[base - 1] != '/' && part->file[base - 1] != '\\') base--;
        memmove(part->file, part->file + base, strlen(part->file + base) + 1);
    }
    if (n > sizeof type - 1 && strncasecmp(line, type, sizeof type - 1) == 0) {
        const char *value = line + sizeof type - 1;
        while (value < line + n && *value == ' ') value++;
        if ((size_t)(line + n - value) > 9 && strncasecmp(value, "multipart", 9) == 0)
            return refuse(p, DREAMO_ARG, NULL, "form: a form inside a form is not read");
    }
    return DREAMO_OK;
}

/* From the line after a boundary to the data. */
static dreamo_status part_headers(const char **at, const char *end, form_part *part, problem *p)
{
    bool named = false;
    const char *begin = *at;
    *part = (form_part){ 0 };
    for (;;) {
        const char *eol = memmem(*at, (size_t)(end - *at), "\r\n", 2);
        if (!eol || eol - begin > PART_HEADERS_MAX) return refuse(p, DREAMO_ARG, NULL, "form: the headers of a part do not end");
        size_t n = (size_t)(eol - *at);
        if (n == 0) break;
        dreamo_status s = part_header(*at, n, part, &named, p);
        if (s) return s;
        *at = eol + 2;
    }
    *at += 2;
    return named ? DREAMO_OK : refuse(p, DREAMO_ARG, NULL, "form: a part has no name");
}

dreamo_status form_read(const char *content_type, const char *body, size_t nbytes, form *out, problem *p)
{
    char line[BOUNDARY_MAX + 8] = "\r\n--";
    const char *end = body + nbytes;
    out->n = 0;
    if (!parameter(content_type, strlen(content_type), "boundary", line + 4, BOUNDARY_MAX + 2) || !line[4] || strlen(line + 4) > BOUNDARY_MAX)
        return refuse(p, DREAMO_ARG, NULL, "form: Content-Type tells no boundary of 1 to %d characters", BOUNDARY_MAX);
    size_t length = strlen(line);
    if (nbytes < length || memcmp(body, line + 2, length - 2)) return refuse(p, DREAMO_ARG, NULL, "form: does not begin with its boundary");
    const char *at = body + length - 2;
    for (;;) {
        if (end - at >= 2 && memcmp(at, "--", 2) == 0) {
            at += 2;
            if (end - at >= 2 && memcmp(at, "\r\n", 2) == 0) at += 2;
            return at == end ? DREAMO_OK : refuse(p, DREAMO_ARG, NULL, "form: bytes after its end");
        }
        if (end - at < 2 || memcmp(at, "\r\n", 2)) return refuse(p, DREAMO_ARG, NULL, "form: a boundary is not followed by a new line");
        at += 2;
        if (out->n == FORM_PARTS) return refuse(p, DREAMO_LIMIT, NULL, "form: more than %d parts", FORM_PARTS);
        form_part *part = &out->part[out->n];
        dreamo_status s = part_headers(&at, end, part, p);
        if (s) return s;
        const char *next = memmem(at - 2, (size_t)(end - at) + 2, line, length); /* an empty part's boundary begins with its headers' last line end */
        if (!next) return refuse(p, DREAMO_ARG, part->name, "the part does not end");
        part->data = at;
        part->nbytes = next < at ? 0 : (size_t)(next - at);
        out->n++;
        at = next + length;
    }
}
