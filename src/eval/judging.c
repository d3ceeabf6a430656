/* judging.c - opening, and one picture at a time. */
#include "eval/judging.h"
#include "base/file.h"
#include "base/mem.h"
#include "image/resize.h"
#include "weights/config.h"

static void run(nn *cx, const judging *j, float *cells)
{
    int side = j->net->config.side;
    tensor x = tensor_from(cx, side * side, 3, j->pixels), y = judge_cells(cx, j->net, x, (grid){ 1, side, side });
    if (cells && nn_ok(cx)) tensor_read(cx, y, cells);
}

/* All pictures are alike to it, so one dry run tells how much memory is wanted. */
static dreamo_status make_room(judging *j, dreamo_error *err)
{
    device *dry = backend_dry.open(1);
    nn *plan = dry ? nn_new(&(nn_options){ .dev = dry }, err) : NULL;
    dreamo_status s = plan ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for the judge's plan");
    if (!s) {
        run(plan, j, NULL);
        s = nn_status(plan, err);
        nn_counts c = nn_count(plan);
        if (!s && !(j->cx = nn_new(&(nn_options){ .dev = j->dev, .work_nbytes = c.work_peak, .keep_nbytes = c.keep_peak }, err))) s = DREAMO_MEMORY;
    }
    nn_free(plan);
    if (dry) dry->be->close(dry);
    return s;
}

dreamo_status judging_open(judging *j, const char *folder, const char *backend, int threads, dreamo_error *err)
{
    judge_config c;
    *j = (judging){ 0 };
    const char *name = backend ? backend : "cpu";
    const struct backend *be = backend_find(name);
    if (!be || be->dry) return fail(err, DREAMO_ARG, "backend \"%s\" is none of cpu, ref", name);
    if (!folder_exists(folder)) {
        fail(err, DREAMO_NOT_FOUND, "%s: no such folder: a judge is config.json and model.safetensors", folder);
        return hint(err, "train one: dreamo train recipes/mini/judge.conf");
    }
    char *config = path_join(folder, "config.json");
    dreamo_status s = config ? config_judge(config, &c, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!s) s = phrases_read(config, &j->words, err);
    int cells = s ? 0 : c.side / (1 << c.levels);
    if (!s && !(j->net = judge_new(&c))) s = fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!s) s = bind_judge(j->net, folder, &j->files, err);
    if (!s) s = windows_new(&j->all, cells, cells, err);
    if (!s && !(j->dev = be->open(threads))) s = fail(err, DREAMO_MEMORY, "no memory or no threads for backend %s", name);
    if (!s && !(j->pixels = mem_alloc((size_t)(c.side * c.side) * 3 * sizeof *j->pixels))) s = fail(err, DREAMO_MEMORY, "no memory for a picture");
    if (!s) {
        j->everywhere = windows_whole(&j->all);
        j->whole = (windows){ cells, cells, 1, &j->everywhere };
        s = make_room(j, err);
    }
    mem_free(config);
    if (s) judging_close(j);
    return s;
}

void judging_close(judging *j)
{
    nn_free(j->cx);
    if (j->dev) j->dev->be->close(j->dev);
    mem_free(j->pixels);
    windows_free(&j->all);
    phrases_free(&j->words);
    bind_close(&j->files);
    judge_free(j->net);
    *j = (judging){ 0 };
}

int    judging_stride(const judging *j) { return judge_columns(&j->net->config); }
size_t judging_numbers(const judging *j) { return (size_t)(j->all.cols * j->all.rows) * (size_t)judging_stride(j); }

dreamo_status judging_look(judging *j, const bitmap *picture, float *cells, dreamo_error *err)
{
    int side = j->net->config.side;
    bitmap small = *picture;
    bool same = picture->width == side && picture->height == side;
    dreamo_status s = same ? DREAMO_OK : resize_area(picture, side, side, &small, err);
    if (s) return s;
    for (size_t i = 0; i < (size_t)(side * side) * 3; i++) j->pixels[i] = 2.0f * ((float)small.data[i] / 255.0f) - 1.0f;
    if (!same) bitmap_free(&small);
    nn_reset(j->cx);
    run(j->cx, j, cells);
    return nn_status(j->cx, err);
}

const windows *judging_where(const judging *j, int head) { return head == JUDGE_STYLE ? &j->whole : &j->all; }

void judging_wanted(const judging *j, int head, const float *cells, float *vector)
{
    int n = j->net->config.embed;
    window_vector(&j->all, cells + head * n, judging_stride(j), n, j->everywhere, vector);
}

void judging_seen(const judging *j, int head, const float *cells, float *vectors)
{
    int n = j->net->config.embed;
    windows_vectors(judging_where(j, head), cells + head * n, judging_stride(j), n, vectors);
}

void judging_labels(const judging *j, const float *cells, const int *said, int *counted, int *right, bool *agrees)
{
    int first = JUDGE_HEADS * j->net->config.embed;
    float mean[4096];
    *counted = *right = 0;
    for (int g = 0; g < j->words.ngroups; g++) {
        const phrase_group *group = &j->words.group[g];
        int best = 0;
        agrees[g] = false;
        if (said[g] < 0) continue;
        window_mean(&j->all, cells + first + group->first, judging_stride(j), group->n, j->everywhere, mean);
        for (int k = 1; k < group->n; k++) best = mean[k] > mean[best] ? k : best;
        agrees[g] = group->first + best == said[g];
        ++*counted;
        *right += agrees[g];
    }
}
