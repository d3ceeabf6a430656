/* fuzz_argv.c - command lines: a command and its arguments. */
#include "cli/commands.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    enum { MOST = 80 };
    fuzz_parts p = { data, data + nbytes, false };
    const uint8_t *part;
    size_t n;
    char *argv[MOST];
    int argc = 0;
    parsed given;
    dreamo_error err = { 0 };
    while (argc < MOST && fuzz_next(&p, &part, &n)) {
        argv[argc] = malloc(n + 1);
        memcpy(argv[argc], part, n);
        argv[argc++][n] = '\0';
    }
    const command *c = argc ? command_find(argv[0]) : NULL;
    if (argc && !c) fuzz_told(command_unknown(argv[0], &err), &err);
    if (c) {
        dreamo_status s = options_parse(c, argc - 1, argv + 1, &given, &err);
        fuzz_told(s, &err);
        for (const option *o = c->options; !s && o->name; o++) {
            double v = option_number(&given, o->name, o->lo);
            if (o->kind == VALUE_INTEGER || o->kind == VALUE_NUMBER) fuzz_must(v >= o->lo && v <= o->hi, "a number lies in its range");
        }
    }
    for (int i = 0; i < argc; i++) free(argv[i]);
    return 0;
}
