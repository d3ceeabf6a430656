/* order.c - the words between placeholders. */
#include "eval/order.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_NAMED = 9 };

/* A placeholder, and the words from its end to the next one. */
typedef struct named { int slot; const char *words; size_t nbytes; } named;

static int find_named(const char *placed, named *out)
{
    int n = 0;
    for (const char *at = placed; (at = strstr(at, "[ref#")) != NULL && n < MOST_NAMED; n++) {
        const char *end = strchr(at, ']');
        if (!end) break;
        out[n] = (named){ .slot = (int)strtol(at + 5, NULL, 10), .words = end + 1 };
        const char *next = strstr(end, "[ref#");
        out[n].nbytes = next ? (size_t)(next - end - 1) : strlen(end + 1);
        at = end;
    }
    return n;
}

static bool says(const named *w, const char *phrase) { return memmem(w->words, w->nbytes, phrase, strlen(phrase)) != NULL; }
static bool begins(const named *w, const char *phrase) { return w->nbytes >= strlen(phrase) && !memcmp(w->words, phrase, strlen(phrase)); }

static void add(order *o, int before, int after, bool vertical)
{
    if (o->n < ORDER_MOST && before != after) o->rule[o->n++] = (order_rule){ before, after, vertical };
}

/* 0, 1, 2: "on the left", "in the middle", "on the right" right after the name; -1: none of them. */
static int place_of(const named *w)
{
    return begins(w, " on the left") ? 0 : begins(w, " in the middle") ? 1 : begins(w, " on the right") ? 2 : -1;
}

void order_read(const char *placed, order *out)
{
    named w[MOST_NAMED];
    int n = find_named(placed, w);
    *out = (order){ 0 };
    for (int i = 0; i + 1 < n; i++) {
        int a = w[i].slot, b = w[i + 1].slot;
        if (says(&w[i], "to the left of")) add(out, a, b, false);
        else if (says(&w[i], "to the right of")) add(out, b, a, false);
        else if (says(&w[i], " above ")) add(out, a, b, true);
        else if (says(&w[i], " below ") || says(&w[i], " under ")) add(out, b, a, true);
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            if (place_of(&w[i]) >= 0 && place_of(&w[k]) == place_of(&w[i]) + 1) add(out, w[i].slot, w[k].slot, false);
    int left = -1, right = -1;
    for (int i = 0; i < n; i++) {
        if (place_of(&w[i]) == 0) left = w[i].slot;
        if (place_of(&w[i]) == 2) right = w[i].slot;
    }
    if (n == 2 && left >= 0 && right >= 0) add(out, left, right, false);
}

int order_kept(const order_rule *r, window before, window after)
{
    int a = r->vertical ? 2 * before.y + before.h : 2 * before.x + before.w;
    int b = r->vertical ? 2 * after.y + after.h : 2 * after.x + after.w;
    return (a < b) - (a > b);
}
