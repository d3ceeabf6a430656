/* fuzz_json.c - JSON: what is read and written is read again as the same. */
#include "format/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    json_t *o = NULL, *again = NULL;
    dreamo_error err = { 0 };
    dreamo_status s = json_parse((const char *)data, nbytes, "a text", &o, &err);
    fuzz_told(s, &err);
    if (!s) {
        char *text = json_text(o);
        fuzz_must(text && json_parse(text, strlen(text), "its copy", &again, &err) == DREAMO_OK && json_equal(o, again), "written is read again");
        mem_free(text);
    }
    json_decref(o);
    json_decref(again);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
