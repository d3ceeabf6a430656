/* fuzz_record.c - what fetch keeps beside its files: the record of a folder's downloads, and the facts of a part. */
#include "fetch/part.h"
#include "fetch/record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    json_t *record = NULL;
    part_facts facts;
    dreamo_error err = { 0 };
    fuzz_put("dreamo/fetched.json", data, nbytes);
    fuzz_put("w.part.json", data, nbytes);
    dreamo_status s = record_open(".", &record, &err);
    fuzz_told(s, &err);
    for (const manifest_file *f = manifest_next(NULL, ~0u); !s && f; f = manifest_next(f, ~0u)) {
        record_entry e;
        bool found;
        s = record_find(record, ".", manifest_path(f), &e, &found, &err);
        fuzz_told(s, &err);
        if (!s && found) fuzz_must(strlen(e.sha256) == 64, "an entry has a checksum");
    }
    json_decref(record);
    part_read("w", &facts);
    fuzz_must(facts.total >= -1 && strlen(facts.etag) < sizeof facts.etag && strlen(facts.sha256) < sizeof facts.sha256, "facts are plain");
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
