/* page.c - the three files of the web page, put into the program when it is built (web/). */
#include "serve/server.h"

extern const unsigned char web_page_html[], web_page_js[], web_page_css[];
extern const size_t web_page_html_nbytes, web_page_js_nbytes, web_page_css_nbytes;

static void file(exchange *x, const char *type, const unsigned char *data, size_t nbytes)
{
    problem p = { 0 };
    if (x->server->o->no_web) {
        refuse(&p, DREAMO_NOT_FOUND, NULL, "this server has no page (--no-web)");
        reply_problem(x, &p);
        return;
    }
    exchange_set(x, "Cache-Control", "no-cache");
    reply_bytes(x, 200, type, (void *)(uintptr_t)data, nbytes, NULL);
}

void page_html(exchange *x) { file(x, "text/html; charset=utf-8", web_page_html, web_page_html_nbytes); }
void page_js(exchange *x) { file(x, "text/javascript; charset=utf-8", web_page_js, web_page_js_nbytes); }
void page_css(exchange *x) { file(x, "text/css; charset=utf-8", web_page_css, web_page_css_nbytes); }
