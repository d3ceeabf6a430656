/* options.h - one table a command: parsing, ranges, help, completion and "did you mean" all read it. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "dreamo.h"

typedef enum value_kind {
    VALUE_NONE,    /* a flag */
    VALUE_TEXT,
    VALUE_INTEGER, /* digits with an optional minus; lo..hi */
    VALUE_NUMBER   /* decimal, finite; lo..hi */
} value_kind;

typedef struct option {
    const char *name;     /* long name without dashes; NULL ends a table */
    char letter;          /* 0 = none */
    value_kind kind;
    bool many;            /* may be given more than once */
    double lo, hi;        /* for numbers */
    const char *value;    /* what help calls the value: "N", "FILE" */
    const char *help;
} option;

struct parsed;
typedef struct command {
    const char *name, *args, *summary; /* args: "PROMPT", "" */
    int min_args, max_args;
    const option *options;
    int (*run)(const struct parsed *p);
} command;

#define MAX_GIVEN 64
typedef struct parsed {
    const command *command;
    int ngiven;
    struct { const option *option; const char *text; } given[MAX_GIVEN];
    int nargs;
    const char *args[16];
} parsed;

extern const option global_options[];  /* valid for every command */
extern const command commands[];       /* name NULL ends it */

/* argv after the command's name.  Unknown, stray, repeated, out-of-range: DREAMO_ARG with one line. */
dreamo_status  options_parse(const command *c, int argc, char **argv, parsed *out, dreamo_error *err);
const command *command_find(const char *name);
dreamo_status  command_unknown(const char *name, dreamo_error *err);

/* Values.  nth counts repeats from 0. */
const char *option_text(const parsed *p, const char *name, const char *otherwise);
const char *option_nth(const parsed *p, const char *name, int nth);  /* NULL past the end */
bool        option_flag(const parsed *p, const char *name);
int64_t     option_integer(const parsed *p, const char *name, int64_t otherwise);
double      option_number(const parsed *p, const char *name, double otherwise);

void options_help(FILE *to, const command *c);
void commands_help(FILE *to);

/* Strict readings of text: the whole string, ASCII digits, finite. */
bool text_integer(const char *s, int64_t *out);
bool text_seed(const char *s, uint64_t *out); /* 0 to 2^64 - 1, as other programs take them */
bool text_number(const char *s, double *out);

/* The words in PATH (- = standard input), the value of --OPTION, without the line ends after them; at most nbytes - 1 bytes, none of them 0. */
dreamo_status text_file(const char *option, const char *path, char *room, size_t nbytes, dreamo_error *err);

/* A file's bytes to standard output. */
dreamo_status print_file(const char *path, dreamo_error *err);

/* FILE[@SCALE], the value of --OPTION; a file whose name is all of it counts first.  The path is copied into `room`. */
dreamo_status text_lora(const char *option, const char *whole, char *room, size_t nbytes, dreamo_lora *out, dreamo_error *err);

/* Fill err and return the status, so that checks read `return complain(err, DREAMO_ARG, hint, ...)`. */
dreamo_status complain(dreamo_error *err, dreamo_status status, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Print "dreamo: message; hint" on stderr (and a JSON event with --json) and return the exit code. */
int report(const parsed *p, const dreamo_error *err);
#endif
