/* fuzz_emoji.c - the npm folder that drawings come from: labels, groups, one package's info and icons.  Nothing is drawn. */
#include "data/source/emoji.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_parts p = { data, data + nbytes, false };
    emoji_source s;
    dreamo_error err = { 0 };
    fuzz_put_next(&p, "node_modules/emojibase-data/en/data.json");
    fuzz_put_next(&p, "node_modules/emojibase-data/meta/groups.json");
    fuzz_put_next(&p, "node_modules/@iconify-json/twemoji/icons.json");
    fuzz_put_next(&p, "node_modules/@iconify-json/twemoji/info.json");
    fuzz_put("node_modules/@iconify-json/twemoji/package.json", "{\"version\":\"1\"}", 15);
    fuzz_put("node_modules/emojibase-data/package.json", "{}", 2);
    dreamo_status status = emoji_open(".", &s, &err);
    fuzz_told(status, &err);
    for (int i = 0; !status && i < s.nitems; i++) fuzz_must(*s.items[i].concept && s.items[i].name, "a drawing has a name");
    if (!status) emoji_close(&s);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
