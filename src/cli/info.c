/* info.c - dreamo info FILE: what it is, by content. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option info_options[] = {
    { "tensors", 0, VALUE_NONE, false, 0, 0, NULL, "list every tensor of a weight file" },
    { "devices", 0, VALUE_NONE, false, 0, 0, NULL, "list what networks can run on here, and test each for a second" },
    { 0 }
};

/* Values line by line, indented by depth; short lists of numbers on one line. */
static void print_value(const char *key, const json_t *v, int depth)
{
    const char *name;
    json_t *inner;
    size_t i;
    printf("%*s%s%s", 2 * depth, "", key, *key ? ": " : "");
    switch (json_typeof(v)) {
    case JSON_STRING: printf("%s\n", json_string_value(v)); return;
    case JSON_INTEGER: printf("%lld\n", (long long)json_integer_value(v)); return;
    case JSON_REAL: printf("%g\n", json_real_value(v)); return;
    case JSON_OBJECT:
        printf("\n");
        json_object_foreach((json_t *)(uintptr_t)v, name, inner) print_value(name, inner, depth + 1);
        return;
    case JSON_ARRAY:
        if (json_is_object(json_array_get(v, 0)) || json_is_array(json_array_get(v, 0))) {
            printf("\n");
            json_array_foreach(v, i, inner) print_value("-", inner, depth + 1);
            return;
        }
        json_array_foreach(v, i, inner) {
            if (json_is_string(inner)) printf("%s%s", i ? ", " : "", json_string_value(inner));
            else printf("%s%g", i ? ", " : "", json_number_value(inner));
        }
        printf("\n");
        return;
    default: printf("%s\n", json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "none"); return;
    }
}

static bool device_row(void *user, const dreamo_device *d)
{
    int *n = user;
    ++*n;
    if (screen_json()) {
        json_t *o = json_pack("{ss, ss, sI, sI, sI, sb, sb, sf, sf, ss?}", "name", d->name, "description", d->description, "free", (json_int_t)d->free_bytes, "total",
                              (json_int_t)d->total_bytes, "largest", (json_int_t)d->largest_bytes, "gpu", d->gpu, "overlaps", d->overlaps, "error", d->error, "rate", d->rate,
                              "fault", d->fault);
        char *line = json_dumps(o, JSON_COMPACT);
        if (line) printf("%s\n", line);
        free(line);
        json_decref(o);
    } else {
        printf("%s: %s\n  %.1f of %.1f GB free, largest buffer %.1f GB%s\n", d->name, d->description, (double)d->free_bytes / 1e9, (double)d->total_bytes / 1e9,
               (double)d->largest_bytes / 1e9, d->overlaps ? ", weights are sent while it computes" : "");
        if (d->fault) printf("  does not pass: %s\n", d->fault);
        else printf("  passes: error %.1e against ref, %.3g TFLOP/s with bf16 weights\n", d->error, d->rate / 1e12);
    }
    fflush(stdout);
    return !screen_stop;
}

static int list_devices(const parsed *p)
{
    dreamo_error err = { 0 };
    int n = 0;
    const char *version = dreamo_ggml_version();
    screen_catch_signals();
    if (!screen_json()) printf("cpu: the default\n");
    if (dreamo_devices(true, device_row, &n, &err)) return report(p, &err);
    if (!screen_json() && !version) printf("no others: this program was built without ggml (docs/gpu.md)\n");
    else if (!screen_json()) printf("ggml %s\n", version);
    return 0;
}

int run_info(const parsed *p)
{
    dreamo_error err = { 0 };
    char *text = NULL;
    if (option_flag(p, "devices")) return list_devices(p);
    if (!p->nargs) return complain(&err, DREAMO_ARG, NULL, "info: FILE is missing"), report(p, &err);
    if (dreamo_info(p->args[0], option_flag(p, "tensors"), &text, &err)) return report(p, &err);
    json_t *o = screen_json() ? NULL : json_loads(text, 0, NULL);
    if (screen_json()) {
        printf("%s\n", text);
    } else if (!o) { /* the library wrote it, so it is no question of its form */
        complain(&err, DREAMO_MEMORY, NULL, "%s: no memory for what there is to tell", p->args[0]);
    } else {
        const char *name;
        json_t *v;
        json_object_foreach(o, name, v) print_value(name, v, 0);
    }
    json_decref(o);
    dreamo_text_free(text);
    return err.status ? report(p, &err) : 0;
}
