/* info.c - dreamo info FILE: what it is, by content. */
#include <jansson.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option info_options[] = {
    { "tensors", 0, VALUE_NONE, false, 0, 0, NULL, "list every tensor of a weight file" },
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

int run_info(const parsed *p)
{
    dreamo_error err = { 0 };
    char *text = NULL;
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
