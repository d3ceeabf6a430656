/* screen.h - talk on stderr, results on stdout; events as JSON with --json. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H
#include "cli/options.h"

dreamo_status screen_open(const parsed *p, dreamo_error *err); /* reads -q, --json, --color */
/* A dreamo_progress callback: a bar on a terminal; elsewhere a line at each tenth (a JSON event
 * at each hundredth) and once a second.
 * Returns false once the user has pressed Ctrl-C. */
bool screen_event(void *user, const dreamo_event *e);
void screen_bytes(const dreamo_event *e); /* a STEP event whose steps are bytes of the file that `text` names */
void screen_line(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3))); /* "seed   42" */
void screen_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void screen_clear(void);                 /* end an unfinished bar */
void screen_result(const char *path);    /* the path on stdout, or {"event":"done","path":...} */
bool screen_json(void);
void json_print_string(FILE *to, const char *s); /* quoted and escaped */

/* Ctrl-C, SIGTERM and SIGHUP set screen_stop; the second one ends the program at once. */
void screen_catch_signals(void);
extern volatile bool screen_stop;
#endif
