/* fuzz_recipe.c - recipes as files, and each of their lines as a setting of the command line; what counts is written and read again. */
#include "fuzz.h"
#include "train/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    recipe r, again;
    dreamo_error err = { 0 }, other = { 0 };
    fuzz_put("r.conf", data, nbytes);
    dreamo_status s = recipe_read("r.conf", &r, &err);
    fuzz_told(s, &err);
    if (!s && recipe_check(&r, NULL) == DREAMO_OK) {
        char *text = recipe_write(&r);
        fuzz_put("again.conf", text, strlen(text));
        fuzz_must(!recipe_read("again.conf", &again, &err) && memcmp(&r, &again, sizeof r) == 0, "written is read again");
        mem_free(text);
    }
    char *line = malloc(nbytes + 1); /* exactly as long as it is */
    memcpy(line, data, nbytes);
    line[nbytes] = '\0';
    recipe_defaults(&r);
    fuzz_told(recipe_override(&r, line, &other), &other);
    free(line);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
