/* options.c - copying what both sides know. */
#include "base/options.h"
#include <string.h>

void options_give(void *to, size_t nbytes, const void *defaults, size_t known)
{
    if (!to || nbytes < sizeof nbytes) return;
    memset(to, 0, nbytes);
    memcpy(to, defaults, nbytes < known ? nbytes : known);
    memcpy(to, &nbytes, sizeof nbytes);
}

dreamo_status options_take(void *own, size_t known, const void *given, dreamo_error *err)
{
    size_t nbytes;
    if (!given) return fail(err, DREAMO_ARG, "the options are missing");
    memcpy(&nbytes, given, sizeof nbytes);
    if (nbytes < sizeof nbytes || nbytes > 1 << 16) return fail(err, DREAMO_ARG, "options of size %zu: their *_init function was not called", nbytes);
    for (size_t i = known; i < nbytes; i++)
        if (((const unsigned char *)given)[i])
            return fail(err, DREAMO_VERSION, "options of %zu bytes: this library knows %zu, and a later field is set", nbytes, known);
    memcpy(own, given, nbytes < known ? nbytes : known);
    memcpy(own, &known, sizeof known);
    return DREAMO_OK;
}
