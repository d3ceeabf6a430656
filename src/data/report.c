/* report.c - what an asset folder holds: counts, hashes, every caption it can say. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "data/assets.h"
#include "data/scene.h"

enum { DRAWN = 20000 }; /* captions of a kind */

static size_t subject_nbytes(const subject *s) { return (size_t)(s->yaws * s->pitches) * (size_t)s->width * (size_t)s->height * 4; }

dreamo_status dreamo_dataset_count(const char *folder, dreamo_dataset_stats *out, dreamo_error *err)
{
    data_set *d;
    dreamo_status status = data_open(folder, &d, err);
    if (status) return status;
    *out = (dreamo_dataset_stats){ .subjects = d->nsubjects, .flat = d->nflat[0] + d->nflat[1], .solid = d->nsolid[0] + d->nsolid[1],
                                   .concepts = d->nconcepts[DATA_TRAIN], .held_out_concepts = d->nconcepts[DATA_VAL],
                                   .held_out_subjects = data_subjects(d, DATA_VAL), .bytes = d->file.map.nbytes };
    data_close(d);
    return DREAMO_OK;
}

dreamo_status dreamo_dataset_check(const char *folder, dreamo_progress progress, void *user, dreamo_error *err)
{
    data_set *d;
    dreamo_status status = data_open(folder, &d, err);
    if (status) return status;
    struct progress pace;
    progress_start(&pace, d->nsubjects);
    for (int i = 0; i < d->nsubjects && !status; i++) {
        const subject *s = &d->subjects[i];
        char hash[65];
        sha256_hex(s->rgba, subject_nbytes(s), hash);
        if (strcmp(hash, s->sha256))
            status = fail(err, DREAMO_DIFFERS, "%s: %s (%s): pixels have sha256 %s, the manifest says %s", folder, s->concept, s->set, hash, s->sha256);
        progress_step(&pace, i + 1);
        dreamo_event e = { .kind = DREAMO_EVENT_STEP, .done = i + 1, .total = d->nsubjects, .seconds_left = progress_seconds_left(&pace),
                           .seconds_a_step = progress_seconds_a_step(&pace) };
        if (!status && progress && !progress(user, &e)) status = fail(err, DREAMO_CANCELLED, "%s: stopped after %d subjects", folder, i + 1);
    }
    data_close(d);
    return status;
}

/* "PHRASE SCENE" for every scene, or "SCENE" alone for phrase NULL. */
static dreamo_status write_with_scenes(filewriter *w, const char *phrase, dreamo_error *err)
{
    char scene[128], line[256];
    dreamo_status status = DREAMO_OK;
    for (int i = 0; !status && (phrase ? scene_phrase_at : scene_alone_at)(i, scene, sizeof scene); i++) {
        int n = phrase ? snprintf(line, sizeof line, "%s %s\n", phrase, scene) : snprintf(line, sizeof line, "%s\n", scene);
        status = file_write(w, line, (size_t)n, err);
    }
    return status;
}

/* Captions of samples: words and relations that no list of phrases has. */
static dreamo_status write_drawn(filewriter *w, const data_set *d, data_kind kind, dreamo_error *err)
{
    char text[512], line[600];
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < DRAWN && !status; i++) {
        data_request q = { .kind = kind, .split = DATA_TRAIN, .seed = 1, .index = (uint64_t)i, .width = 64, .height = 64 };
        status = data_sample_words(d, &q, text, sizeof text, err);
        if (!status) status = file_write(w, line, (size_t)snprintf(line, sizeof line, "%s\n", text), err);
    }
    return status;
}

dreamo_status dreamo_dataset_captions(const char *folder, const char *path, dreamo_error *err)
{
    data_set *d;
    filewriter w;
    dreamo_status status = data_open(folder, &d, err);
    if (status) return status;
    if ((status = file_create(&w, path, true, err))) {
        data_close(d);
        return status;
    }
    for (int i = 0; i < d->nsubjects && !status; i++) {
        if (i && !strcmp(d->subjects[i].phrase, d->subjects[i - 1].phrase)) continue;
        char line[160];
        int n = snprintf(line, sizeof line, "%s on a white background\n", d->subjects[i].phrase);
        status = file_write(&w, line, (size_t)n, err);
        if (!status) status = write_with_scenes(&w, d->subjects[i].phrase, err);
    }
    if (!status) status = write_with_scenes(&w, NULL, err);
    for (int k = 0; k < DATA_KINDS && !status; k++)
        if (data_can(d, (data_kind)k, DATA_TRAIN)) status = write_drawn(&w, d, (data_kind)k, err);
    if (!status) status = file_commit(&w, err);
    else file_abort(&w);
    data_close(d);
    return status;
}
