/* vocab_unigram.c - a unigram vocabulary by SentencePiece's own trainer, run as a child process.
 *
 * The trainer writes its arguments into the model, so it is started inside the folder and sees relative names only: no
 * path of this machine gets into the file.  One thread, because the sums of its EM steps depend on how many there are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/vocab.h"
#include "text/utf8.h"

#define CORPUS "captions.txt"

static const char config_format[] =
    "{\n"
    "  \"add_prefix_space\": true,\n"
    "  \"added_tokens_decoder\": {\n"
    "    \"0\": {\"content\": \"<pad>\", \"lstrip\": false, \"normalized\": false, \"rstrip\": false, \"single_word\": false, \"special\": true},\n"
    "    \"1\": {\"content\": \"</s>\", \"lstrip\": false, \"normalized\": false, \"rstrip\": false, \"single_word\": false, \"special\": true},\n"
    "    \"2\": {\"content\": \"<unk>\", \"lstrip\": false, \"normalized\": false, \"rstrip\": false, \"single_word\": false, \"special\": true}\n"
    "  },\n"
    "  \"eos_token\": \"</s>\",\n"
    "  \"extra_ids\": 0,\n"
    "  \"legacy\": true,\n"
    "  \"model_max_length\": %d,\n"
    "  \"pad_token\": \"<pad>\",\n"
    "  \"tokenizer_class\": \"T5Tokenizer\",\n"
    "  \"unk_token\": \"<unk>\"\n"
    "}\n";

static const char special_map[] = "{\n  \"eos_token\": \"</s>\",\n  \"pad_token\": \"<pad>\",\n  \"unk_token\": \"<unk>\"\n}\n";

/* ---- the corpus ----
 *
 * Captions say the same few words over and over, and the trainer's EM then takes "and" apart, whose pieces other words can use.  So it is
 * shown the words alone, rare and common ones nearly as often: what comes out is whole words, and pieces for words that nobody foresaw. */

enum { WORDS_A_LINE = 100, LEAST_TIMES = 30 };

typedef struct words { char *text; const char **list; size_t n; } words;

static int by_bytes(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The captions' words, marks at their ends apart, sorted. */
static dreamo_status split_words(const char *const *captions, size_t n, words *w, dreamo_error *err)
{
    static const char marks[][2] = { ".", ",", ":", ";", "!", "?" };
    size_t nbytes = 1;
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(captions[i]);
        if (utf8_bad(captions[i], length) < length || strpbrk(captions[i], "\r\n")) return fail(err, DREAMO_FORMAT, "caption %zu is not one line of UTF-8", i);
        nbytes += length + 1;
    }
    w->text = mem_alloc(nbytes);
    w->list = mem_alloc(nbytes * sizeof *w->list); /* no more words and marks than bytes */
    if (!w->text || !w->list) return fail(err, DREAMO_MEMORY, "no memory for the words of %zu captions", n);
    char *to = w->text, *rest;
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(captions[i]);
        memcpy(to, captions[i], length + 1);
        for (char *word = strtok_r(to, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
            size_t end = strlen(word);
            for (size_t k = 0; k < sizeof marks / sizeof *marks; k++)
                if (end > 1 && word[end - 1] == marks[k][0]) w->list[w->n++] = marks[k], word[--end] = 0;
            w->list[w->n++] = word;
        }
        to += length + 1;
    }
    qsort(w->list, w->n, sizeof *w->list, by_bytes);
    return DREAMO_OK;
}

/* A word that is said n times stands there 30 + sqrt(n) times. */
static dreamo_status write_words(filewriter *f, const words *w, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (size_t i = 0, next; i < w->n && !s; i = next) {
        for (next = i + 1; next < w->n && !strcmp(w->list[next], w->list[i]);) next++;
        size_t times = LEAST_TIMES, length = strlen(w->list[i]);
        while ((times - LEAST_TIMES) * (times - LEAST_TIMES) < next - i) times++;
        for (size_t k = 0; k < times && !s; k++) {
            s = file_write(f, w->list[i], length, err);
            if (!s) s = file_write(f, k + 1 == times || (k + 1) % WORDS_A_LINE == 0 ? "\n" : " ", 1, err);
        }
    }
    return s;
}

static dreamo_status write_corpus(const char *const *captions, size_t n, const char *path, dreamo_error *err)
{
    filewriter f;
    words w = { 0 };
    dreamo_status s = split_words(captions, n, &w, err);
    if (!s) s = file_create(&f, path, true, err);
    if (!s) {
        s = write_words(&f, &w, err);
        if (!s) s = file_commit(&f, err);
        else file_abort(&f);
    }
    mem_free(w.text);
    mem_free(w.list);
    return s;
}

/* In the child: become the trainer.  Only calls that are safe between fork and exec. */
static void exec_trainer(const char *folder, const char *pieces, int out)
{
    if (chdir(folder) || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(126);
    execlp("spm_train", "spm_train", "--input=" CORPUS, "--model_prefix=spiece", "--model_type=unigram", pieces, "--hard_vocab_limit=false",
           "--pad_id=0", "--eos_id=1", "--unk_id=2", "--bos_id=-1", "--normalization_rule_name=nmt_nfkc", "--character_coverage=1.0",
           "--num_threads=1", "--num_sub_iterations=1", "--minloglevel=1", (char *)NULL);
    _exit(127);
}

/* Read all that the child says; its last line, cut to what fits, stays in `last`. */
static void read_last_line(int fd, char *last, size_t room)
{
    char buffer[4096];
    ssize_t n;
    size_t len = 0;
    bool fresh = true;
    last[0] = 0;
    while ((n = read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] == '\n') {
                fresh = true;
                continue;
            }
            if (fresh) len = 0;
            fresh = false;
            if (len + 1 < room) last[len++] = buffer[i];
            last[len] = 0;
        }
}

static dreamo_status run_trainer(const char *folder, int pieces, dreamo_error *err)
{
    char size[32], last[200];
    int ends[2], state = 0;
    snprintf(size, sizeof size, "--vocab_size=%d", pieces);
    if (pipe(ends)) return fail_errno(err, "spm_train", "cannot be started");
    pid_t child = fork();
    if (child == 0) exec_trainer(folder, size, ends[1]);
    close(ends[1]);
    if (child > 0) read_last_line(ends[0], last, sizeof last);
    close(ends[0]);
    if (child < 0) return fail_errno(err, "spm_train", "cannot be started");
    while (waitpid(child, &state, 0) < 0 && errno == EINTR) {}
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return DREAMO_OK;
    if (WIFEXITED(state) && WEXITSTATUS(state) == 127) {
        fail(err, DREAMO_NOT_FOUND, "spm_train, SentencePiece's trainer, is not installed");
        return hint(err, "Install the package sentencepiece.");
    }
    return fail(err, DREAMO_IO, "spm_train failed: %s", last);
}

dreamo_status vocab_make_unigram(const char *const *captions, size_t ncaptions, int pieces, int max_length, const char *folder, dreamo_error *err)
{
    if (pieces < 4 || max_length < 2) return fail(err, DREAMO_ARG, "%d pieces and %d tokens a text; at least 4 and 2 are needed", pieces, max_length);
    dreamo_status s = folder_make(folder, err);
    if (s) return s;
    char *corpus = path_join(folder, CORPUS), *listing = path_join(folder, "spiece.vocab"), *config = path_join(folder, "tokenizer_config.json");
    char *map = path_join(folder, "special_tokens_map.json"), *text = mem_printf(config_format, max_length);
    if (!corpus || !listing || !config || !map || !text) s = fail(err, DREAMO_MEMORY, "%s: no memory for the vocabulary", folder);
    if (!s) s = write_corpus(captions, ncaptions, corpus, err);
    if (!s) s = run_trainer(folder, pieces, err);
    if (!s) s = file_replace(config, text, strlen(text), err);
    if (!s) s = file_replace(map, special_map, strlen(special_map), err);
    if (corpus) unlink(corpus);
    if (listing) unlink(listing);
    mem_free(corpus);
    mem_free(listing);
    mem_free(config);
    mem_free(map);
    mem_free(text);
    return s;
}
