/* fuzz_people.c - people.json, the list of drawn persons.  Nothing is drawn. */
#include "data/source/people.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    people_source s;
    dreamo_error err = { 0 };
    fuzz_put("people.json", data, nbytes);
    dreamo_status status = people_open(".", &s, &err);
    fuzz_told(status, &err);
    for (int i = 0; !status && i < s.nitems; i++) fuzz_must(s.items[i].by && *s.items[i].file && s.items[i].nvariants > 0, "a person has a file and a maker");
    if (!status) people_close(&s);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
