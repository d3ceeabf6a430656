/* store.c - a ring in memory before a folder of pictures. */
#include "prep/store.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

static const char text_key[] = "dreamo-prep";

static dreamo_status copy(const stored *from, stored *to, dreamo_error *err)
{
    *to = *from;
    return bitmap_copy(&from->rgb, &to->rgb, err);
}

static dreamo_status keep(store *s, const char key[65], const stored *what, dreamo_error *err)
{
    for (int i = 0; i < STORE_KEPT; i++) /* there, but no memory to read it: made once more */
        if (memcmp(s->kept[i].key, key, 65) == 0) return DREAMO_OK;
    stored new;
    dreamo_status status = copy(what, &new, err);
    if (status) return status;
    bitmap_free(&s->kept[s->next].what.rgb);
    s->kept[s->next].what = new;
    memcpy(s->kept[s->next].key, key, 65);
    s->next = (s->next + 1) % STORE_KEPT;
    return DREAMO_OK;
}

/* "TASK WIDTH HEIGHT\nHOW\nTOLD..." */
static bool read_text(const char *text, stored *out)
{
    int task, used = 0;
    if (sscanf(text, "%d %d %d%n", &task, &out->width, &out->height, &used) != 3 || text[used] != '\n' || task < DREAMO_IP || task > DREAMO_STYLE) return false;
    const char *how = text + used + 1, *end = strchr(how, '\n');
    if (!end || (size_t)(end - how) >= sizeof out->how || strlen(end + 1) >= sizeof out->told) return false;
    snprintf(out->how, sizeof out->how, "%.*s", (int)(end - how), how);
    snprintf(out->told, sizeof out->told, "%s", end + 1);
    out->task = (dreamo_task)task;
    return true;
}

static bool read_file(const store *s, const char *key, stored *out)
{
    char *path = mem_printf("%s/%s.png", s->folder, key), *text = NULL;
    *out = (stored){ 0 };
    bool ok = path && file_exists(path) && image_read(path, &out->rgb, NULL, 0, NULL) == DREAMO_OK;
    ok = ok && out->rgb.channels == 3 && image_read_text(path, text_key, &text, NULL) == DREAMO_OK && text && read_text(text, out);
    if (!ok) bitmap_free(&out->rgb);
    mem_free(text);
    mem_free(path);
    return ok;
}

bool store_get(store *s, const char key[65], stored *out)
{
    for (int i = 0; i < STORE_KEPT; i++)
        if (memcmp(s->kept[i].key, key, 65) == 0) return copy(&s->kept[i].what, out, NULL) == DREAMO_OK;
    if (!s->folder || !read_file(s, key, out)) return false;
    keep(s, key, out, NULL); /* no memory: it is read again */
    return true;
}

dreamo_status store_put(store *s, const char key[65], const stored *what, dreamo_error *err)
{
    dreamo_status status = keep(s, key, what, err);
    if (status || !s->folder) return status;
    char *path = mem_printf("%s/%s.png", s->folder, key), *value = mem_printf("%d %d %d\n%s\n%s", (int)what->task, what->width, what->height, what->how, what->told);
    const char *const text[][2] = { { text_key, value } };
    status = path && value ? folder_make(s->folder, err) : fail(err, DREAMO_MEMORY, "%s: no memory", s->folder);
    if (!status) status = image_write_png(path, &what->rgb, text, 1, true, err);
    mem_free(path);
    mem_free(value);
    return status;
}

void store_free(store *s)
{
    for (int i = 0; i < STORE_KEPT; i++) bitmap_free(&s->kept[i].what.rgb);
    mem_free(s->folder);
    *s = (store){ 0 };
}
