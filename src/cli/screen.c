/* screen.c - what a person sees: a label and a thing a line, and one moving bar. */
#include "cli/screen.h"
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool quiet, json, terminal, color, unicode, bar_open;
volatile bool screen_stop;
static volatile sig_atomic_t caught;

dreamo_status screen_open(const parsed *p, dreamo_error *err)
{
    static const char *const variables[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    const char *when = option_text(p, "color", "auto"), *lang = NULL;
    quiet = option_flag(p, "quiet");
    json = option_flag(p, "json");
    terminal = isatty(2) && !json;
    if (strcmp(when, "always") == 0) color = true;
    else if (strcmp(when, "never") == 0) color = false;
    else if (strcmp(when, "auto") == 0) color = terminal && !getenv("NO_COLOR");
    else return complain(err, DREAMO_ARG, NULL, "--color: \"%s\" is none of auto, always, never", when);
    for (int i = 0; i < 3 && (!lang || !*lang); i++) lang = getenv(variables[i]);
    unicode = lang && (strstr(lang, "UTF-8") || strstr(lang, "utf8"));
    return DREAMO_OK;
}

bool screen_json(void) { return json; }

/* Bytes of the UTF-8 character at `c`; 0: there is none (RFC 3629). */
static int utf8_length(const unsigned char *c)
{
    int n = *c < 0x80 ? 1 : *c >= 0xC2 && *c < 0xE0 ? 2 : (*c & 0xF0) == 0xE0 ? 3 : *c >= 0xF0 && *c < 0xF5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((c[i] & 0xC0) != 0x80) return 0;
    bool bad = (*c == 0xE0 && c[1] < 0xA0) || (*c == 0xED && c[1] >= 0xA0) || (*c == 0xF0 && c[1] < 0x90) || (*c == 0xF4 && c[1] >= 0x90);
    return bad ? 0 : n;
}

/* JSON is UTF-8, file names may be anything: U+FFFD stands for a byte that is no character. */
void json_print_string(FILE *to, const char *s)
{
    putc('"', to);
    for (const unsigned char *c = (const unsigned char *)s; *c;) {
        int n = utf8_length(c);
        if (!n) fputs("\\ufffd", to);
        else if (*c == '"' || *c == '\\') fprintf(to, "\\%c", *c);
        else if (*c < 0x20) fprintf(to, "\\u%04x", *c);
        else fwrite(c, 1, (size_t)n, to);
        c += n ? n : 1;
    }
    putc('"', to);
}

static void json_event(const char *event, const char *field, const char *text)
{
    printf("{\"event\":\"%s\",\"%s\":", event, field);
    json_print_string(stdout, text);
    printf("}\n");
    fflush(stdout);
}

void screen_clear(void)
{
    if (bar_open) fputs("\r\033[K", stderr);
    bar_open = false;
}

/* One line of talk: `plain` is printf's format with the label first. */
static void say(const char *label, const char *style, const char *plain, const char *text)
{
    if (json) {
        json_event(label, "text", text);
        return;
    }
    screen_clear();
    if (color) fprintf(stderr, "\033[%sm", style);
    fprintf(stderr, plain, label);
    if (color) fputs("\033[0m", stderr);
    fprintf(stderr, " %s\n", text);
}

void screen_line(const char *label, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (!quiet || json) say(label, "2", "%-6s", text);
}

void screen_warn(const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    say("warning", "33", "%s:", text);
}

static void words_left(double seconds, char *out, size_t nbytes)
{
    if (seconds < 0) snprintf(out, nbytes, "...");
    else if (seconds < 60) snprintf(out, nbytes, "%.1f s left", seconds);
    else if (seconds < 3600) snprintf(out, nbytes, "%d min %02d s left", (int)seconds / 60, (int)seconds % 60);
    else snprintf(out, nbytes, "%d h %02d min left", (int)seconds / 3600, (int)seconds / 60 % 60);
}

static void draw_bar(const dreamo_event *e, char bar[24 * 3 + 1])
{
    int filled = e->total > 0 ? (int)(24 * e->done / e->total) : 0;
    bar[0] = '\0';
    for (int i = 0; i < 24; i++) strcat(bar, i < filled ? (unicode ? "█" : "#") : (unicode ? "░" : "."));
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Where there is no terminal, long work says where it is at each of `parts` (tenths for a person, hundredths for a program that draws a
 * bar of its own) and at its end, and between those at most once a second. */
static bool worth_a_line(const dreamo_event *e, int parts)
{
    static double last;
    static int64_t total, done;
    bool another = e->total != total || e->done <= done; /* thing begins */
    bool part = e->total > 0 && parts * e->done / e->total > parts * done / e->total;
    bool due = another || part || e->done == e->total || seconds() - last >= 1;
    total = e->total, done = e->done;
    if (due) last = seconds();
    return due;
}

static void draw_step(const dreamo_event *e)
{
    char left[48], bar[24 * 3 + 1];
    long long done = e->done, total = e->total;
    words_left(e->seconds_left, left, sizeof left);
    if (!terminal) {
        if (worth_a_line(e, 10)) fprintf(stderr, "step   %lld/%lld  %.3g s/step  %s\n", done, total, e->seconds_a_step, left);
        return;
    }
    draw_bar(e, bar);
    fprintf(stderr, "\r\033[Kstep   %lld/%lld  %s  %.3g s/step  %s", done, total, bar, e->seconds_a_step, left);
    bar_open = done != total;
    if (!bar_open) putc('\n', stderr);
}

void screen_bytes(const dreamo_event *e)
{
    static double last = -1; /* seconds, of the last line where there is no terminal: one in ten seconds */
    char left[48], bar[24 * 3 + 1], of[32] = "";
    double rate = e->seconds_a_step > 0 ? 1e-6 / e->seconds_a_step : 0;
    const char *slash = strrchr(e->text, '/');
    words_left(e->seconds_left, left, sizeof left);
    if (e->total) snprintf(of, sizeof of, " of %.1f", (double)e->total * 1e-6);
    double now = seconds();
    if (!terminal) {
        if (last < 0) last = now;
        if (now - last < 10) return;
        last = now;
        fprintf(stderr, "bytes  %s  %.1f%s MB  %.1f MB/s  %s\n", e->text, (double)e->done * 1e-6, of, rate, left);
        return;
    }
    draw_bar(e, bar);
    fprintf(stderr, "\r\033[K%s  %s  %.1f%s MB  %.1f MB/s  %s", slash ? slash + 1 : e->text, bar, (double)e->done * 1e-6, of, rate, left);
    bar_open = true;
}

bool screen_event(void *user, const dreamo_event *e)
{
    static const char *const label[] = { "model", "refs", "plan", "step", "warning", "note" };
    (void)user;
    if (e->kind == DREAMO_EVENT_TICK || e->kind == DREAMO_EVENT_PREVIEW) return !screen_stop;
    if (e->kind == DREAMO_EVENT_WARNING) {
        screen_warn("%s", e->text);
    } else if (e->kind != DREAMO_EVENT_STEP) {
        screen_line(label[e->kind], "%s", e->text ? e->text : "");
    } else if (json) {
        if (!worth_a_line(e, 100)) return !screen_stop;
        printf("{\"event\":\"step\",\"done\":%lld,\"total\":%lld,\"seconds_a_step\":%.4g,\"seconds_left\":%.4g}\n",
               (long long)e->done, (long long)e->total, e->seconds_a_step, e->seconds_left);
        fflush(stdout);
    } else if (!quiet) {
        draw_step(e);
    }
    return !screen_stop;
}

void screen_result(const char *path)
{
    screen_clear();
    if (json) json_event("done", "path", path);
    else printf("%s\n", path);
    fflush(stdout);
}

int report(const parsed *p, const dreamo_error *err)
{
    screen_clear();
    if (p->command && option_flag(p, "json")) {
        printf("{\"event\":\"error\",\"code\":\"%s\",\"message\":", dreamo_status_code(err->status));
        json_print_string(stdout, err->message);
        printf(",\"hint\":");
        json_print_string(stdout, err->hint);
        printf("}\n");
        fflush(stdout);
    }
    fprintf(stderr, "dreamo: %s%s%s\n", err->message, *err->hint ? "; " : "", err->hint);
    if (err->status == DREAMO_CANCELLED && caught) return 128 + caught;
    return dreamo_exit_code(err->status);
}

static void on_signal(int number)
{
    if (caught) _exit(128 + number);
    caught = number;
    screen_stop = true;
}

/* A model file was cut while we read it: say which, and end; nothing can be read that is not there.  Only write and _exit are safe here,
 * and the first of several threads speaks for all. */
static void on_bus(int number, siginfo_t *info, void *context)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    const char *file = dreamo_mapped_file(info->si_addr);
    (void)context;
    if (!file) { /* ours has nothing to say: as if there were no handler */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    while (atomic_flag_test_and_set(&told)) pause();
    const char *line[] = { "dreamo: ", file, ": changed while in use; run again once it is whole\n" };
    for (int i = 0; i < 3; i++)
        if (write(STDERR_FILENO, line[i], strlen(line[i])) < 0) break;
    _exit(dreamo_exit_code(DREAMO_IO));
}

void screen_catch_signals(void)
{
    struct sigaction act = { .sa_handler = on_signal }, bus = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO }, before;
    sigemptyset(&act.sa_mask);
    sigemptyset(&bus.sa_mask);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &act, NULL); /* nohup ignores it */
    sigaction(SIGBUS, &bus, NULL);
}
