/* page.c - the web page: its three files, and the example pictures it offers. */
#include "serve/api/page.h"

#include <stdio.h>
#include <string.h>

#include "serve/server.h"

static const char *type_of(const char *name)
{
    const char *end = strrchr(name, '.');
    return strcmp(end, ".html") == 0 ? "text/html; charset=utf-8" : strcmp(end, ".js") == 0 ? "text/javascript; charset=utf-8"
         : strcmp(end, ".css") == 0  ? "text/css; charset=utf-8"
                                     : "image/png";
}

static void file(exchange *x, const char *name)
{
    problem p = { 0 };
    const page_file *f = page_files;
    if (x->server->o->no_web) {
        refuse(&p, DREAMO_NOT_FOUND, NULL, "this server has no page (--no-web)");
        reply_problem(x, &p);
        return;
    }
    while (f->name && strcmp(f->name, name)) f++;
    if (!f->name) {
        refuse(&p, DREAMO_NOT_FOUND, NULL, "%s: no such picture", name);
        reply_problem(x, &p);
        return;
    }
    exchange_set(x, "Cache-Control", "no-cache");
    reply_bytes(x, 200, type_of(name), (void *)(uintptr_t)f->data, f->nbytes, NULL);
}

void page_html(exchange *x) { file(x, "page.html"); }
void page_js(exchange *x) { file(x, "page.js"); }
void page_css(exchange *x) { file(x, "page.css"); }

void page_example(exchange *x)
{
    char name[96];
    snprintf(name, sizeof name, "examples/%s", x->args[0]);
    file(x, name);
}
