/* device.c - ggml's devices: which there are, opening one, and the table of its kernels. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "backend/ggml/ggml.h"
#include "backend/ggml/state.h"
#include "base/mem.h"

#define PREFIX "ggml:"

static void quiet(enum ggml_log_level level, const char *text, void *user) { (void)level, (void)text, (void)user; }

static void load_all(void *user)
{
    (void)user;
    ggml_backend_load_all();
    (void)ggml_backend_dev_count(); /* Vulkan looks for its devices here */
}

/* How many there are.  Drivers are asked once. */
static size_t devices(char why[GUARD_TEXT])
{
    static bool asked;
    if (!asked) {
        asked = true;
        ggml_log_set(quiet, NULL);
        if (!guarded(load_all, NULL, why)) return 0;
    }
    return ggml_backend_dev_count();
}

int ggml_devices(ggml_device_info *out, int most)
{
    char why[GUARD_TEXT] = "";
    int n = 0;
    for (size_t i = 0; i < devices(why) && n < most; i++, n++) {
        ggml_backend_dev_t d = ggml_backend_dev_get(i);
        struct ggml_backend_dev_props p;
        ggml_backend_dev_get_props(d, &p);
        snprintf(out[n].name, sizeof out[n].name, PREFIX "%s", ggml_backend_dev_name(d));
        snprintf(out[n].description, sizeof out[n].description, "%s", ggml_backend_dev_description(d));
        size_t free_bytes = 0, total = 0;
        ggml_backend_dev_memory(d, &free_bytes, &total);
        ggml_backend_buffer_type_t type = ggml_backend_dev_buffer_type(d);
        out[n].free = free_bytes;
        out[n].total = total;
        out[n].largest = ggml_backend_buft_get_max_size(type) < total ? ggml_backend_buft_get_max_size(type) : total;
        out[n].gpu = ggml_backend_dev_type(d) == GGML_BACKEND_DEVICE_TYPE_GPU || ggml_backend_dev_type(d) == GGML_BACKEND_DEVICE_TYPE_IGPU;
        out[n].async = p.caps.async;
        out[n].events = p.caps.events;
        out[n].pinned = p.caps.host_buffer;
    }
    return n;
}

const char *ggml_release(void) { return ggml_version(); }

/* ---- names ---- */

static int distance(const char *a, const char *b) /* of edits, letters alike whatever their case */
{
    int row[80], n = (int)strlen(b);
    if (n > 79) return 99;
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int up = row[j], change = corner + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            row[j] = up + 1 < row[j - 1] + 1 ? up + 1 : row[j - 1] + 1;
            if (change < row[j]) row[j] = change;
            corner = up;
        }
    }
    return row[n];
}

/* NAME, and with two of one name, which ggml does not give out, the first. */
static ggml_backend_dev_t device_named(const char *name, dreamo_error *err)
{
    char why[GUARD_TEXT] = "", all[256] = "";
    const char *nearest = NULL;
    int least = 99;
    for (size_t i = 0; i < devices(why); i++) {
        const char *there = ggml_backend_dev_name(ggml_backend_dev_get(i));
        size_t n = strlen(all);
        if (strcmp(there, name) == 0) return ggml_backend_dev_get(i);
        if (distance(name, there) < least) least = distance(name, there), nearest = there;
        snprintf(all + n, sizeof all - n, "%s" PREFIX "%s", n ? ", " : "", there);
    }
    if (*why) fail(err, DREAMO_DEVICE, "device " PREFIX "%s: a driver failed: %s", name, why);
    else fail(err, DREAMO_DEVICE, "device " PREFIX "%s is none of this machine's: %s", name, *all ? all : "ggml was built without any");
    if (nearest && least <= 3) hint(err, "did you mean " PREFIX "%s?", nearest);
    else hint(err, "`dreamo info --devices` lists them; a card that is missing needs its driver, and a ggml that was built for it (docs/gpu.md)");
    return NULL;
}

/* ---- opening ---- */

typedef struct open_job { state *s; ggml_backend_dev_t id; } open_job;

static void open_backends(void *user)
{
    open_job *j = user;
    struct ggml_backend_dev_props p;
    ggml_backend_dev_get_props(j->id, &p);
    j->s->be = ggml_backend_dev_init(j->id, NULL);
    if (j->s->be && p.caps.async && p.caps.events) j->s->copier = ggml_backend_dev_init(j->id, NULL);
}

static void set_threads(const state *s, int threads)
{
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(s->id);
    ggml_backend_set_n_threads_t set = (ggml_backend_set_n_threads_t)(uintptr_t)ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads");
    if (set) set(s->be, threads);
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

device *ggml_device_open(const char *name, int threads, uint64_t memory, dreamo_error *err)
{
    char why[GUARD_TEXT] = "";
    if (strncmp(name, PREFIX, strlen(PREFIX)) == 0) name += strlen(PREFIX);
    ggml_backend_dev_t id = device_named(name, err);
    if (!id) return NULL;
    device *d = mem_calloc(1, sizeof *d);
    state *s = mem_calloc(1, sizeof *s);
    pool *workers = d && s ? pool_new(threads) : NULL;
    if (!workers) {
        mem_free(d);
        mem_free(s);
        fail(err, DREAMO_MEMORY, "no memory or no threads for device " PREFIX "%s", name);
        return NULL;
    }
    *d = (device){ .be = &backend_ggml, .threads = workers, .state = s };
    s->dev = d;
    s->id = id;
    snprintf(s->name, sizeof s->name, PREFIX "%s", name);
    d->name = s->name;
    open_job j = { s, id };
    size_t free_bytes = 0, total = 0;
    if (!guarded(open_backends, &j, why) || !s->be) {
        fail(err, DREAMO_DEVICE, "device %s does not open%s%s", s->name, *why ? ": " : "", why);
        hint(err, "its driver may be missing an extension that ggml needs; another device: `dreamo info --devices`");
        backend_ggml.close(d);
        return NULL;
    }
    ggml_backend_dev_memory(id, &free_bytes, &total);
    s->type = ggml_backend_dev_buffer_type(id);
    s->align = ggml_backend_buft_get_alignment(s->type);
    s->border = s->align > 16 ? s->align : 16;
    if (s->align < 64) s->align = 64;
    s->largest = ggml_backend_buft_get_max_size(s->type);
    s->host = ggml_backend_buft_is_host(s->type);
    s->count.cap = memory ? memory : free_bytes ? free_bytes - free_bytes / 16 : SIZE_MAX / 4; /* the driver and the screen need some, too */
    if (memory && total) s->count.cap = smaller(s->count.cap, total);
    set_threads(s, pool_threads(workers));
    return d;
}

static void free_backend(void *user) { ggml_backend_free(user); }

static void gg_close(device *d)
{
    char why[GUARD_TEXT];
    if (!d) return;
    state *s = d->state;
    if (s->be && !s->lost) gg_wait(s);
    gg_drop(s);
    for (int i = 0; i < RANGES; i++)
        if (s->range[i].base) gg_buffer_free(s, s->range[i].buffer), mem_unmap(s->range[i].base, s->range[i].nbytes);
    for (int i = 0; i < SCRATCHES; i++) gg_buffer_free(s, s->scratch[i].buffer);
    gg_tables_free(s);
    gg_weights_free(s);
    gg_spares_free(s);
    if (s->copier) guarded(free_backend, s->copier, why);
    if (s->be) guarded(free_backend, s->be, why);
    pool_free(d->threads);
    mem_free(s);
    mem_free(d);
}

const ggml_counts *ggml_device_counts(const device *d) { return &((state *)d->state)->count; }

void ggml_device_count_anew(device *d)
{
    ggml_counts *c = &state_of(d)->count;
    *c = (ggml_counts){ .held = c->held, .peak = c->held, .cap = c->cap, .resident = c->resident };
}

void ggml_device_forget(device *d)
{
    state *s = d->state;
    gg_flush(s, true);
    gg_drop(s);
    gg_weights_free(s);
    gg_tables_free(s);
    s->count.resident = 0;
}

static double gg_memory(const device *d) { return (double)ggml_device_counts(d)->cap; }

/* ---- the table ---- */

/* What only training asks for. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define MISSING(op, ...) static void no_##op(__VA_ARGS__) { gg_fail(d->state, DREAMO_DEVICE, "%s is not done on this device: train on cpu", #op); }
MISSING(linear_backward, device *d, tensor dx, tensor dy, tensor x, const weight *w, tensor low)
MISSING(symmetric, device *d, tensor y, tensor x, tensor w)
MISSING(embed_backward, device *d, tensor dy, const int32_t *ids, const weight *w)
MISSING(adaln_backward, device *d, tensor dx, modulation dm, tensor dy, tensor x, modulation m, layout l, float eps)
MISSING(gateadd_backward, device *d, tensor dx, tensor dgate, tensor dd, tensor dy, tensor gate, tensor z, layout l)
MISSING(qknorm_backward, device *d, tensor dx, tensor dy, tensor x, vec gain, rope pe, float eps)
MISSING(attention_backward, device *d, tensor dq, tensor dk, tensor dv, tensor dy, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse)
MISSING(routemap, device *d, tensor y, tensor q, tensor k, const route *r, int heads)
MISSING(routemap_backward, device *d, tensor dq, tensor dk, tensor dy, tensor q, tensor k, const route *r, int heads)
MISSING(softmax, device *d, tensor y, tensor x, layout l)
MISSING(softmax_backward, device *d, tensor dx, tensor dy, tensor y, layout l)
MISSING(takerows_backward, device *d, tensor dx, tensor dy, const int32_t *ids)
MISSING(activation_backward, device *d, tensor dx, tensor dy, tensor x)
MISSING(mul_backward, device *d, tensor da, tensor db, tensor dy, tensor a, tensor b)
MISSING(scale_backward, device *d, tensor dx, tensor dy, float f)
MISSING(layernorm_backward, device *d, tensor dx, tensor dy, tensor x, vec gain, vec bias, float eps)
MISSING(rmsnorm_backward, device *d, tensor dx, tensor dy, tensor x, vec gain, float eps)
MISSING(groupnorm_backward, device *d, tensor dx, tensor dy, tensor x, grid g, int groups, vec gain, vec bias, float eps, bool silu, tensor stats)
MISSING(conv2d_backward, device *d, tensor dx, tensor dy, tensor x, grid g, const weight *w, int stride)
MISSING(pixels_backward, device *d, tensor dx, tensor dy, grid g)
MISSING(gaussian_backward, device *d, tensor dx, tensor dy, tensor x, tensor eps)
MISSING(kl, device *d, tensor y, tensor x)
MISSING(kl_backward, device *d, tensor dx, tensor dy, tensor x)
MISSING(mse, device *d, tensor y, tensor a, tensor b, const float *row_weight)
MISSING(mse_backward, device *d, tensor da, tensor dy, tensor a, tensor b, const float *row_weight)

const backend backend_ggml = {
    .name = "ggml", .close = gg_close, .reserve = gg_reserve, .release = gg_release, .expect = gg_expect,
    .foresee = gg_foresee, .memory = gg_memory, .forget = ggml_device_forget,
    .write = gg_write, .read = gg_read, .zero = gg_zero, .copy = gg_copy, .add_to = gg_add_to,
    .linear = gg_linear, .linear_backward = no_linear_backward, .symmetric = no_symmetric,
    .embed = gg_embed, .embed_backward = no_embed_backward,
    .adaln = gg_adaln, .adaln_backward = no_adaln_backward,
    .gateadd = gg_gateadd, .gateadd_backward = no_gateadd_backward,
    .qknorm = gg_qknorm, .qknorm_backward = no_qknorm_backward,
    .attention = gg_attention, .attention_backward = no_attention_backward,
    .routemap = no_routemap, .routemap_backward = no_routemap_backward,
    .softmax = no_softmax, .softmax_backward = no_softmax_backward,
    .takerows = gg_takerows, .takerows_backward = no_takerows_backward,
    .gelu = gg_gelu, .gelu_backward = no_activation_backward,
    .quickgelu = gg_quickgelu, .quickgelu_backward = no_activation_backward,
    .silu = gg_silu, .silu_backward = no_activation_backward,
    .add = gg_add, .mul = gg_mul, .mul_backward = no_mul_backward,
    .scale = gg_scale, .scale_backward = no_scale_backward,
    .layernorm = gg_layernorm, .layernorm_backward = no_layernorm_backward,
    .rmsnorm = gg_rmsnorm, .rmsnorm_backward = no_rmsnorm_backward,
    .groupstats = gg_groupstats, .groupnorm = gg_groupnorm, .groupnorm_backward = no_groupnorm_backward,
    .conv2d = gg_conv2d, .conv2d_backward = no_conv2d_backward,
    .upsample2x = gg_upsample2x, .upsample2x_backward = no_pixels_backward,
    .pack2x2 = gg_pack2x2, .pack2x2_backward = no_pixels_backward,
    .unpack2x2 = gg_unpack2x2, .unpack2x2_backward = no_pixels_backward,
    .gaussian = gg_gaussian, .gaussian_backward = no_gaussian_backward,
    .kl = no_kl, .kl_backward = no_kl_backward,
    .mse = no_mse, .mse_backward = no_mse_backward,
    .activate = gg_activate, .rowscale = gg_rowscale, .instancenorm = gg_instancenorm, .conv = gg_conv, .depthwise = gg_depthwise, .maxpool = gg_maxpool,
    .boxmean = gg_boxmean, .resample = gg_resample, .windowattention = gg_windowattention, .crossattention = gg_crossattention,
};
