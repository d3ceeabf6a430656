/* refs.c - references, read from the command line and saved. */
#include "cli/refs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/screen.h"

static const char *folder;      /* --save-refs */
static dreamo_error unsaved;    /* why one could not be saved */

/* A copy of s[0..n) in the list's own memory. */
static const char *keep(ref_list *l, const char *s, size_t n)
{
    if (n + 1 > sizeof l->text - l->used) return NULL;
    char *copy = memcpy(l->text + l->used, s, n);
    copy[n] = '\0';
    l->used += n + 1;
    return copy;
}

/* "X,Y,W,H" */
static bool read_box(const char *value, int box[4])
{
    for (int i = 0; i < 4; i++) {
        char piece[12];
        int64_t n;
        size_t length = strcspn(value, ",");
        if (length == 0 || length >= sizeof piece || (i < 3) != (value[length] == ',')) return false;
        memcpy(piece, value, length);
        piece[length] = '\0';
        if (!text_integer(piece, &n) || n < 0 || n > 1000000) return false;
        box[i] = (int)n;
        value += length + (i < 3);
    }
    return box[2] > 0 && box[3] > 0;
}

static dreamo_status setting(const char *whole, const char *key, const char *value, dreamo_reference *r, dreamo_error *err)
{
    static const struct { const char *name; dreamo_cut cut; } cuts[] = { { "on", DREAMO_CUT_BEST }, { "off", DREAMO_CUT_OFF }, { "alpha", DREAMO_CUT_ALPHA }, { "net", DREAMO_CUT_NET } };
    int64_t n = 0;
    if (strcmp(key, "slot") == 0) {
        if (!text_integer(value, &n) || n < 1 || n > 9) return complain(err, DREAMO_ARG, NULL, "--ref %s: slot=%s is outside 1 to 9", whole, value);
        r->slot = (int)n;
    } else if (strcmp(key, "res") == 0) {
        if (strcmp(value, "keep") == 0) n = -1;
        else if (!text_integer(value, &n) || n < 16 || n > 4096)
            return complain(err, DREAMO_ARG, NULL, "--ref %s: res=%s is neither keep nor 16 to 4096", whole, value);
        r->res = (int)n;
    } else if (strcmp(key, "cut") == 0) {
        size_t i = 0;
        while (i < 4 && strcmp(value, cuts[i].name) != 0) i++;
        if (i == 4) return complain(err, DREAMO_ARG, NULL, "--ref %s: cut=%s is none of on, off, alpha, net", whole, value);
        r->cut = cuts[i].cut;
    } else if (strcmp(key, "face") == 0) {
        if (!text_integer(value, &n) || n < 1 || n > 1000) return complain(err, DREAMO_ARG, "faces are counted from left to right, from 1", "--ref %s: face=%s is no number of a face", whole, value);
        r->face = (int)n;
    } else if (strcmp(key, "box") == 0) {
        if (!read_box(value, r->box)) return complain(err, DREAMO_ARG, "for example box=120,40,256,256", "--ref %s: box=%s is not LEFT,TOP,WIDTH,HEIGHT in pixels", whole, value);
    } else if (strcmp(key, "part") == 0) {
        if (strcmp(value, "garment") != 0) return complain(err, DREAMO_ARG, NULL, "--ref %s: part=%s: garment is known", whole, value);
        r->garment = true;
    } else if (strcmp(key, "exif") == 0) {
        if (strcmp(value, "off") && strcmp(value, "on")) return complain(err, DREAMO_ARG, NULL, "--ref %s: exif=%s is neither on nor off", whole, value);
        r->as_stored = strcmp(value, "off") == 0;
    } else {
        return complain(err, DREAMO_ARG, "slot, res, cut, face, box, part and exif are known", "--ref %s: %s: no such setting", whole, key);
    }
    return DREAMO_OK;
}

/* Where a setting's value ends: at a comma, or, in a box, at its fourth. */
static size_t value_length(const char *s)
{
    size_t n = strcspn(s, ",");
    for (int i = 0; i < 3 && s[n] == ',' && s[n + 1] >= '0' && s[n + 1] <= '9'; i++) n += 1 + strcspn(s + n + 1, ",");
    return n;
}

/* Where the settings begin: the last run of ",word=..." pieces, so that a comma in a file name stays part of it; nowhere, when there is
 * a file of the whole name. */
static size_t settings_at(const char *s)
{
    size_t end = strlen(s);
    if (access(s, F_OK) == 0) return end;
    for (size_t stop = end;;) {
        size_t at = stop;
        while (at > 0 && s[at - 1] != ',') at--;
        if (at == 0) return end;
        size_t digits = strspn(s + at, "0123456789");
        if (digits && at + digits == stop) { /* perhaps the rest of a box */
            stop = at - 1;
            continue;
        }
        size_t word = strspn(s + at, "abcdefghijklmnopqrstuvwxyz");
        if (word == 0 || s[at + word] != '=' || at + value_length(s + at) < end || strcspn(s + at, "/") < end - at) return end;
        end = stop = at - 1;
    }
}

static dreamo_status read_one(ref_list *l, const char *whole, dreamo_reference *r, dreamo_error *err)
{
    static const struct { const char *name; dreamo_task task; } tasks[] = { { "ip", DREAMO_IP }, { "id", DREAMO_ID }, { "style", DREAMO_STYLE }, { "auto", DREAMO_AUTO } };
    size_t name = strcspn(whole, "="), i, ntasks = sizeof tasks / sizeof *tasks;
    for (i = 0; i < ntasks; i++)
        if (strlen(tasks[i].name) == name && memcmp(whole, tasks[i].name, name) == 0) break;
    if (i == ntasks || whole[name] != '=')
        return complain(err, DREAMO_ARG, "for example -r ip=toy.png", "--ref \"%s\": must begin with ip=, id=, style= or auto=", whole);
    const char *file = whole + name + 1;
    size_t end = settings_at(file);
    r->task = tasks[i].task;
    r->path = keep(l, file, end);
    if (!r->path) return complain(err, DREAMO_LIMIT, NULL, "--ref %s: file names are too long", whole);
    if (!*r->path) return complain(err, DREAMO_ARG, NULL, "--ref %s: the file is missing", whole);
    for (const char *at = file + end; *at;) {
        size_t length = value_length(++at), word = strcspn(at, "=");
        const char *key = keep(l, at, word), *value = keep(l, at + word + 1, length - word - 1);
        if (!key || !value) return complain(err, DREAMO_LIMIT, NULL, "--ref %s: too long", whole);
        dreamo_status s = setting(whole, key, value, r, err);
        if (s) return s;
        at += length;
    }
    return DREAMO_OK;
}

dreamo_status refs_read(const parsed *p, ref_list *out, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (const char *text; !s && (text = option_nth(p, "ref", out->n)); out->n++) {
        if (out->n == REFS_MAX) return complain(err, DREAMO_LIMIT, NULL, "more than 9 references");
        s = read_one(out, text, &out->ref[out->n], err);
    }
    folder = option_text(p, "save-refs", NULL);
    return s;
}

void refs_path(const char *dir, int slot, char *out, size_t nbytes) { snprintf(out, nbytes, "%s/ref-%d.png", dir, slot); }

bool refs_is_input(const ref_list *l, const char *path)
{
    struct stat out, in;
    if (stat(path, &out) != 0) return false;
    for (int i = 0; i < l->n; i++)
        if (stat(l->ref[i].path, &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino) return true;
    return false;
}

bool refs_event(void *user, const dreamo_event *e)
{
    char path[4200];
    if (folder && e->kind == DREAMO_EVENT_REF && e->image) {
        if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
            complain(&unsaved, DREAMO_IO, NULL, "--save-refs %s: the folder cannot be made: %s", folder, strerror(errno));
            return false;
        }
        refs_path(folder, (int)e->done, path, sizeof path);
        if (dreamo_image_write(e->image, path, "png", true, &unsaved)) return false;
    }
    return screen_event(user, e);
}

dreamo_status refs_error(dreamo_status s, dreamo_error *err)
{
    if (!unsaved.status) return s;
    *err = unsaved;
    return err->status;
}
