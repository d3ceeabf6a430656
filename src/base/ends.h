/* ends.h - how names end. */
#ifndef BASE_ENDS_H
#define BASE_ENDS_H
#include <stdbool.h>
#include <string.h>

/* It may be all of s. */
static inline bool ends(const char *s, const char *with)
{
    size_t n = strlen(s), k = strlen(with);
    return n >= k && strcmp(s + n - k, with) == 0;
}

/* There is more of s before it. */
static inline bool ends_after(const char *s, const char *with) { return strlen(s) > strlen(with) && ends(s, with); }
#endif
