/* report.c - what an asset folder holds: counts, hashes, every caption it can say. */
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "data/assets.h"
#include "data/own/own.h"
#include "data/scene.h"
#include "data/vocab.h"

enum { DRAWN = 6000 }; /* captions of a kind */

static size_t subject_nbytes(const subject *s) { return (size_t)(s->yaws * s->pitches) * (size_t)s->width * (size_t)s->height * 4; }
static size_t person_pixels(const person *p) { return (size_t)p->nvariants * (size_t)p->width * (size_t)p->height; }

dreamo_status dreamo_dataset_count(const char *folder, dreamo_dataset_stats *out, dreamo_error *err)
{
    data_set *set;
    if (!folder || !out) return fail(err, DREAMO_ARG, "dataset count: the %s is missing", folder ? "place for the counts" : "data folder");
    dreamo_status status = assets_open(folder, &set, err);
    if (status) return status;
    const asset_set *d = (const asset_set *)set;
    *out = (dreamo_dataset_stats){ .subjects = d->nsubjects, .concepts = d->nconcepts[DATA_TRAIN], .held_out_concepts = d->nconcepts[DATA_VAL],
                                   .people = d->npeople, .bytes = d->file.map.nbytes };
    for (int i = 0; i < d->nsubjects; i++) {
        const subject *s = &d->subjects[i];
        *(s->yaws * s->pitches > 1 ? &out->solid : &out->flat) += 1;
        out->held_out_subjects += s->held_out || s->odd_style;
    }
    for (int i = 0; i < d->npeople; i++) {
        const person *p = &d->people[i];
        out->held_out_people += p->held_out || p->odd_style;
        out->variants += p->nvariants;
        out->systems += !i || strcmp(p->system, p[-1].system) != 0;
    }
    for (int i = 0; i < d->ngarments; i++) {
        out->garments += d->garments[i].count;
        if (d->garments[i].held_out) out->held_out_garments += d->garments[i].count;
    }
    data_close(set);
    return DREAMO_OK;
}

/* The bytes of thing i (subjects, then people, then garments) against the hash in the manifest. */
static dreamo_status check_one(const asset_set *d, const char *folder, int i, dreamo_error *err)
{
    char name[128], hash[65];
    const char *expected;
    if (i < d->nsubjects) {
        const subject *s = &d->subjects[i];
        snprintf(name, sizeof name, "%.60s (%.40s)", s->concept, s->set);
        sha256_hex(s->rgba, subject_nbytes(s), hash);
        expected = s->sha256;
    } else if (i < d->nsubjects + d->npeople) {
        const person *p = &d->people[i - d->nsubjects];
        sha256 all;
        snprintf(name, sizeof name, "%.60s (%.40s)", *p->words ? p->words : p->noun, p->system);
        sha256_init(&all);
        sha256_add(&all, p->rgba, 4 * person_pixels(p));
        sha256_add(&all, p->matte, person_pixels(p));
        sha256_text(&all, hash);
        expected = p->sha256;
    } else {
        const garment *g = &d->garments[i - d->nsubjects - d->npeople];
        snprintf(name, sizeof name, "%.60s (garments)", g->name);
        sha256_hex(g->grey, (size_t)g->count * GARMENT_SIDE * GARMENT_SIDE, hash);
        expected = g->sha256;
    }
    if (!strcmp(hash, expected)) return DREAMO_OK;
    return fail(err, DREAMO_DIFFERS, "%s: %s: pixels have sha256 %s, the manifest says %s", folder, name, hash, expected);
}

dreamo_status dreamo_dataset_check(const char *folder, dreamo_progress progress, void *user, dreamo_error *err)
{
    data_set *set;
    if (!folder) return fail(err, DREAMO_ARG, "dataset check: the data folder is missing");
    if (own_is(folder)) return own_check(folder, progress, user, err);
    dreamo_status status = assets_open(folder, &set, err);
    if (status) return status;
    const asset_set *d = (const asset_set *)set;
    struct progress pace;
    int n = d->nsubjects + d->npeople + d->ngarments;
    progress_start(&pace, n);
    for (int i = 0; i < n && !status; i++) {
        status = check_one(d, folder, i, err);
        progress_step(&pace, i + 1);
        dreamo_event e = { .kind = DREAMO_EVENT_STEP, .done = i + 1, .total = n, .seconds_left = progress_seconds_left(&pace),
                           .seconds_a_step = progress_seconds_a_step(&pace) };
        if (!status && progress && !progress(user, &e)) status = fail(err, DREAMO_CANCELLED, "%s: stopped after %d of %d drawings", folder, i + 1, n);
    }
    data_close(set);
    return status;
}

static dreamo_status write_line(filewriter *w, const char *a, const char *b, dreamo_error *err)
{
    char line[700];
    return file_write(w, line, (size_t)snprintf(line, sizeof line, "%.500s%s%.160s\n", a, *a && *b ? " " : "", b), err);
}

/* Captions of samples: relations, persons, clothes, styles. */
static dreamo_status write_drawn(filewriter *w, const data_set *d, data_kind kind, dreamo_error *err)
{
    char text[512];
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < DRAWN && !status; i++) {
        data_request q = { .kind = kind, .split = DATA_TRAIN, .seed = 1, .index = (uint64_t)i, .width = 64, .height = 64 };
        status = data_sample_words(d, &q, text, sizeof text, err);
        if (!status) status = write_line(w, text, "", err);
    }
    return status;
}

/* Every caption that assets can say, or nearly. */
static dreamo_status write_composed(filewriter *w, const data_set *set, dreamo_error *err)
{
    const asset_set *d = (const asset_set *)set;
    dreamo_status status = DREAMO_OK;
    char scene[128];
    int scenes = 0;
    while (scene_phrase_at(scenes, scene, sizeof scene)) scenes++;
    for (int i = 0; i < d->nsubjects && !status; i++) { /* every name, on white and in two scenes */
        if (i && !strcmp(d->subjects[i].phrase, d->subjects[i - 1].phrase)) continue;
        status = write_line(w, d->subjects[i].phrase, "on a white background", err);
        for (int k = 0; k < 2 && !status; k++) {
            scene_phrase_at((i * 7 + k * 101) % scenes, scene, sizeof scene);
            status = write_line(w, d->subjects[i].phrase, scene, err);
        }
    }
    for (int i = 0; !status && scene_alone_at(i, scene, sizeof scene); i++) status = write_line(w, scene, "", err);
    for (int k = 0; k < DATA_KINDS && !status; k++)
        if (data_can(set, (data_kind)k, DATA_TRAIN)) status = write_drawn(w, set, (data_kind)k, err);
    return status;
}

dreamo_status dreamo_dataset_captions(const char *folder, const char *path, dreamo_error *err)
{
    data_set *d;
    if (!folder || !path) return fail(err, DREAMO_ARG, "dataset captions: the %s is missing", folder ? "name of the text" : "data folder");
    filewriter w;
    dreamo_status status = data_open(folder, &d, err);
    if (status) return status;
    if ((status = file_create(&w, path, true, err))) {
        data_close(d);
        return status;
    }
    status = data_given(d) ? own_captions(d, &w, err) : write_composed(&w, d, err);
    if (!status) status = file_commit(&w, err);
    else file_abort(&w);
    data_close(d);
    return status;
}

/* The lines of a text, in place. */
static size_t split_lines(char *text, size_t nbytes, const char **line)
{
    size_t n = 0;
    for (char *at = text, *end = text + nbytes; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) break;
        *stop = 0;
        if (line) line[n] = at;
        else *stop = '\n';
        n++;
        at = stop + 1;
    }
    return n;
}

dreamo_status dreamo_dataset_vocabulary(const char *folder, int pieces, int max_length, const char *out, dreamo_error *err)
{
    if (!folder || !out) return fail(err, DREAMO_ARG, "vocabulary: the %s folder is missing", folder ? "output" : "data");
    if (pieces < 300 || pieces > 32000) return fail(err, DREAMO_ARG, "vocabulary: %d pieces are not in 300..32000", pieces);
    if (max_length < 8 || max_length > 4096) return fail(err, DREAMO_ARG, "vocabulary: a length of %d is not in 8..4096", max_length);
    char *t5 = mem_printf("%s/tokenizer_2", out), *clip = mem_printf("%s/tokenizer", out), *list = mem_printf("%s/captions.txt", out), *text = NULL;
    size_t nbytes = 0;
    const char **line = NULL;
    dreamo_status status = t5 && clip && list ? folder_make(out, err) : fail(err, DREAMO_MEMORY, "%s: no memory", out);
    if (!status) status = dreamo_dataset_captions(folder, list, err);
    if (!status) status = file_read(list, 256u << 20, &text, &nbytes, err);
    if (!status && !(line = mem_calloc(split_lines(text, nbytes, NULL) + 1, sizeof *line))) status = fail(err, DREAMO_MEMORY, "%s: no memory", out);
    if (!status) {
        size_t n = split_lines(text, nbytes, line);
        status = folder_make(t5, err);
        if (!status) status = folder_make(clip, err);
        if (!status) status = vocab_make_unigram(line, n, pieces, max_length, t5, err);
        if (!status) status = vocab_make_bpe(line, n, pieces - 514, max_length, clip, err);
    }
    mem_free(line);
    mem_free(text);
    mem_free(t5);
    mem_free(clip);
    mem_free(list);
    return status;
}
