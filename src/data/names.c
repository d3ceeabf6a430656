/* names.c - English well enough for captions: articles, plurals, mass nouns. */
#include "data/names.h"
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/ends.h"
#include "base/rng.h"

#define HOLD_OUT_EVERY 12

/* Latin-1 letters U+00C0..U+00FF without their accents. */
static const char latin[] = "AAAAAAACEEEEIIIIDNOOOOO*OUUUUYTsaaaaaaaceeeeiiiidnooooo/ouuuuyty";

bool name_clean(const char *s, char *out, size_t nbytes)
{
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        char c = (char)*p;
        if (*p == 0xC3 && (p[1] & 0xC0) == 0x80) c = latin[*++p & 0x3F];
        else if (*p == 0xE2 && p[1] == 0x80 && (p[2] == 0x99 || p[2] == 0x98)) c = '\'', p += 2;
        else if (*p >= 0x80) c = ' ';
        if (c == ':' || c == '(') break;
        c = (char)tolower((unsigned char)c);
        if (!isalnum((unsigned char)c) && c != '\'' && c != '-') c = ' ';
        if (c == ' ' && (!n || out[n - 1] == ' ')) continue;
        if (n + 1 >= nbytes) return false;
        out[n++] = c;
    }
    while (n && out[n - 1] == ' ') n--;
    if (!nbytes || !n) return false;
    out[n] = 0;
    return true;
}

void name_slug(const char *name, char *out, size_t nbytes)
{
    size_t n = 0;
    for (; *name && n + 1 < nbytes; name++) {
        unsigned char c = (unsigned char)*name;
        if (c == '\'') continue;
        if (isalnum(c)) out[n++] = (char)tolower(c);
        else if (n && out[n - 1] != '-') out[n++] = '-';
    }
    while (n && out[n - 1] == '-') n--;
    out[n] = 0;
}

static bool listed(const char *const *list, const char *word)
{
    for (; *list; list++)
        if (!strcmp(*list, word)) return true;
    return false;
}

static bool starts(const char *s, const char *with) { return !strncmp(s, with, strlen(with)); }

/* The noun that decides singular or plural: the last word before "of", "with", "on", "in", "and", "at". */
static void head_noun(const char *name, char *out, size_t nbytes)
{
    static const char *const stops[] = { " of ", " with ", " on ", " in ", " and ", " at ", " over ", " behind ", " for ", " without ", " under ",
                                        " savoring ", " holding ", " screaming ", " blowing ", " vomiting ", " exhaling ", NULL };
    const char *end = name + strlen(name);
    for (int i = 0; stops[i]; i++) {
        const char *at = strstr(name, stops[i]);
        if (at && at < end) end = at;
    }
    const char *start = end;
    while (start > name && start[-1] != ' ') start--;
    snprintf(out, nbytes, "%.*s", (int)(end - start), start);
}

static bool vowel_sound(const char *s)
{
    if (starts(s, "hour") || starts(s, "x-ray") || starts(s, "suv")) return true;
    if (starts(s, "uni") || starts(s, "uk") || starts(s, "use") || starts(s, "ut") || starts(s, "eu") || starts(s, "ew") ||
        starts(s, "urin") || starts(s, "one")) return false;
    return *s && strchr("aeiou", *s);
}

void name_phrase(const char *name, char *out, size_t nbytes)
{
    static const char *const mass[] = {
        "tennis", "bread", "rice", "sushi", "butter", "salt", "milk", "fog", "rain", "snow", "popcorn", "spaghetti", "sake", "garlic",
        "ginger", "broccoli", "coral", "corn", "wood", "thread", "yarn", "money", "hockey", "badminton", "lacrosse", "meat", "bacon",
        "soap", "paper", "coffee", "food", "clothing", "green", "bamboo", "lightning", "seaweed", "ice", "grass", "ivy", "sugar", "pottery", NULL };
    static const char *const plural[] = { "people", "children", "men", "women", "teeth", "feet", "skis", NULL };
    static const char *const singular[] = { "compass", "glass", "dress", "cactus", "bus", "gas", "lens", "christmas", "canvas", "rhinoceros", NULL };
    static const char *const unique[] = { "sun", "statue of liberty", "tokyo tower", "eiffel tower", "milky way", NULL };
    char head[64];
    head_noun(name, head, sizeof head);
    const char *article = vowel_sound(name) ? "an " : "a ";
    bool many = ends(head, "s") && !ends(head, "ss") && !ends(head, "us") && !ends(head, "is") && !ends(head, "'s") && !listed(singular, head);
    if (listed(unique, name)) article = "the ";
    else if (starts(name, "a ") || starts(name, "an ") || many || listed(plural, head) || listed(mass, head)) article = "";
    snprintf(out, nbytes, "%s%s", article, name);
}

bool name_held_out(const char *name)
{
    uint64_t h = hash_fnv1a(name, strlen(name));
    return (h ^ (h >> 32)) % HOLD_OUT_EVERY == 0;
}
