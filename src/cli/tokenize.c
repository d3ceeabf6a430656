/* tokenize.c - what the two text encoders read of a prompt, and what is cut off. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option tokenize_options[] = {
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "model folder; the shipped model by default" },
    { 0 }
};

static void print_ids(const char *name, const int32_t *ids, int n)
{
    printf("\"%s\":[", name);
    for (int i = 0; i < n; i++) printf(i ? ",%d" : "%d", ids[i]);
    printf("]");
}

static void print_json(const dreamo_tokens *t)
{
    printf("{");
    print_ids("t5", t->t5, t->nt5);
    printf(",");
    print_ids("clip", t->clip, t->nclip);
    printf("}\n");
}

static void print_pieces(const char *name, const int32_t *ids, char **pieces, int n, const char *cut, const char *unknown)
{
    printf("%s, %d tokens\n", name, n);
    for (int i = 0; i < n; i++) printf("  %6d  %s\n", ids[i], pieces[i]);
    if (cut) printf("  not read: %s\n", cut);
    if (unknown) printf("  not in the vocabulary: %s\n", unknown);
}

/* One text; its result on stdout. */
static dreamo_status tokenize(const dreamo_tokenizer *tokenizer, const char *text, size_t nbytes, dreamo_error *err)
{
    dreamo_tokens t = { 0 };
    dreamo_status s = dreamo_tokenizer_run(tokenizer, text, nbytes, &t, err);
    if (s) return s;
    if (screen_json()) {
        print_json(&t);
    } else {
        print_pieces("T5", t.t5, t.t5_piece, t.nt5, t.t5_cut, t.t5_unknown);
        print_pieces("CLIP", t.clip, t.clip_piece, t.nclip, t.clip_cut, NULL);
    }
    dreamo_tokens_free(&t);
    return DREAMO_OK;
}

/* Standard input: with --json a JSON string a line, else a text a line. */
static dreamo_status tokenize_lines(const dreamo_tokenizer *tokenizer, dreamo_error *err)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    dreamo_status s = DREAMO_OK;
    for (long number = 1; !s && (n = getline(&line, &room, stdin)) >= 0; number++) {
        if (n && line[n - 1] == '\n') line[--n] = '\0';
        if (!screen_json()) {
            s = tokenize(tokenizer, line, (size_t)n, err);
            continue;
        }
        json_t *text = json_loads(line, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!json_is_string(text)) s = complain(err, DREAMO_ARG, NULL, "standard input: line %ld is not a JSON string", number);
        else s = tokenize(tokenizer, json_string_value(text), json_string_length(text), err);
        json_decref(text);
    }
    free(line);
    return s;
}

int run_tokenize(const parsed *p)
{
    dreamo_error err = { 0 };
    const char *model = option_text(p, "model", NULL);
    dreamo_tokenizer *tokenizer = NULL;
    dreamo_status s;
    if (!model) model = dreamo_default_model();
    if (!model) s = complain(&err, DREAMO_NOT_FOUND, "give one with -m DIR", "no model: the shipped one was not found");
    else if (p->nargs == 0) s = complain(&err, DREAMO_ARG, "- reads lines from standard input", "tokenize: TEXT is missing");
    else s = dreamo_tokenizer_open(model, &tokenizer, &err);
    if (!s) s = strcmp(p->args[0], "-") == 0 ? tokenize_lines(tokenizer, &err) : tokenize(tokenizer, p->args[0], strlen(p->args[0]), &err);
    dreamo_tokenizer_close(tokenizer);
    return s ? report(p, &err) : 0;
}
