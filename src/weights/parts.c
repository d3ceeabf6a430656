/* parts.c - which file of a folder is which part. */
#include "weights/parts.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "weights/kind.h"

void parts_free(parts *p)
{
    mem_free(p->dit);
    mem_free(p->t5);
    mem_free(p->clip);
    mem_free(p->vae);
    mem_free(p->passed);
    *p = (parts){ 0 };
}

static dreamo_status claim(char **place, const char *part, const char *path, dreamo_error *err)
{
    if (*place) {
        fail(err, DREAMO_ARG, "%s and %s both hold the %s", *place, path, part);
        return hint(err, "name the one that is meant: --dit, --t5, --clip or --vae FILE");
    }
    *place = mem_strdup(path);
    return *place ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", path);
}

static dreamo_status look_at(const char *path, int given, parts *out, dreamo_error *err)
{
    st_file f;
    dreamo_status s = st_open_any(path, &f, err);
    if (s) return s;
    weights_kind kind = kind_of_weights(&f);
    int holds = kind.holds & ~given;
    st_close(&f);
    if (kind.instead && kind.resembles & ~given) {
        out->passed_over |= kind.resembles & ~given;
        if (!out->passed && !(out->passed = mem_printf("%s: %s", path, kind.words))) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    }
    if (holds & HAS_DIT) s = claim(&out->dit, "transformer", path, err);
    if (!s && holds & HAS_T5) s = claim(&out->t5, "T5 encoder", path, err);
    if (!s && holds & HAS_CLIP) s = claim(&out->clip, "CLIP encoder", path, err);
    if (!s && holds & HAS_VAE) s = claim(&out->vae, "autoencoder", path, err);
    return s;
}

static bool is_weights(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".safetensors") == 0 || strcmp(dot, ".sft") == 0 || strcmp(dot, ".gguf") == 0);
}

static dreamo_status walk(const char *folder, int depth, int given, parts *out, dreamo_error *err)
{
    char **names;
    int n;
    dreamo_status s = folder_list(folder, &names, &n, err);
    if (s) return s;
    for (int i = 0; i < n && !s; i++) {
        char *path = path_join(folder, names[i]);
        if (!path) s = fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        else if (folder_exists(path)) s = depth ? walk(path, depth - 1, given, out, err) : DREAMO_OK;
        else if (is_weights(names[i])) s = look_at(path, given, out, err);
        mem_free(path);
    }
    folder_list_free(names, n);
    return s;
}

dreamo_status parts_find(const char *path, int given, parts *out, dreamo_error *err)
{
    *out = (parts){ 0 };
    dreamo_status s = folder_exists(path) ? walk(path, 1, given, out, err) : look_at(path, given, out, err);
    if (s) parts_free(out);
    return s;
}

int parts_holds(const parts *p) { return (p->dit ? HAS_DIT : 0) | (p->t5 ? HAS_T5 : 0) | (p->clip ? HAS_CLIP : 0) | (p->vae ? HAS_VAE : 0); }

dreamo_status parts_check(const parts *p, const char *path, int given, dreamo_error *err)
{
    static const struct { int part; const char *words, *instead; } all[] = {
        { HAS_DIT, "transformer", "--dit FILE (flux1-dev.safetensors, or a GGUF or fp8 file of it)" }, { HAS_T5, "T5 encoder", "--t5 FILE (t5xxl_fp16.safetensors)" },
        { HAS_CLIP, "CLIP text encoder", "--clip FILE (clip_l.safetensors)" }, { HAS_VAE, "autoencoder", "--vae FILE (ae.safetensors)" },
    };
    int missing = HAS_ANY & ~(parts_holds(p) | given);
    char words[120] = "", instead[240] = "";
    if (!missing) return DREAMO_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!(missing & all[i].part)) continue;
        snprintf(words + strlen(words), sizeof words - strlen(words), "%s%s", *words ? ", no " : "", all[i].words);
        snprintf(instead + strlen(instead), sizeof instead - strlen(instead), "%s%s", *instead ? ", " : "", all[i].instead);
    }
    if (p->passed && p->passed_over & missing) fail(err, DREAMO_NOT_FOUND, "%.180s: holds no %s that can be taken (%.180s)", path, words, p->passed);
    else fail(err, DREAMO_NOT_FOUND, "%s: holds no %s", path, words);
    return hint(err, "add it, or name it: %s", instead);
}
