/* find.c - the backends of this build, by name. */
#include <stdio.h>
#include <string.h>
#include "nn/backend.h"
#ifdef DREAMO_GGML
#include "backend/ggml/ggml.h"
#include "backend/ggml/self_test.h"
#endif

const backend *backend_find(const char *name)
{
    static const backend *const all[] = { &backend_cpu, &backend_ref, &backend_dry,
#ifdef DREAMO_CUDA
                                          &backend_cuda,
#endif
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i]->name) == 0) return all[i];
    return NULL;
}

const backend *backend_to_train(const char *name, dreamo_error *err)
{
    const backend *be = backend_find(name ? name : "cpu");
    if (be && !be->dry) return be;
    if (strcmp(name, "cuda") == 0) {
        fail(err, DREAMO_DEVICE, "backend cuda: this program was built without it");
        hint(err, "-DDREAMO_CUDA=ON brings it: docs/gpu.md");
    } else {
        fail(err, DREAMO_ARG, "backend \"%s\" is none of cpu, cuda, ref", name);
    }
    return NULL;
}

static bool makes_pictures(const backend *be) { return be && !be->dry && !be->settle; }

const char *backend_for_pictures(const char *name) { return name && makes_pictures(backend_find(name)) ? name : NULL; }

const char *device_name(const device *dev) { return dev->name ? dev->name : dev->be->name; }

static device *open_own(const char *name, int threads, dreamo_error *err)
{
    const backend *be = backend_find(name);
    if (!makes_pictures(be)) {
        fail(err, DREAMO_ARG, "device \"%s\" is none of auto, cpu, ref, ggml:NAME", name);
        return NULL;
    }
    device *dev = be->open(threads);
    if (!dev) fail(err, DREAMO_MEMORY, "no memory or no threads for device %s", name);
    return dev;
}

#ifdef DREAMO_GGML
int devices_here(char (*names)[64], int most)
{
    enum { MOST = 32 };
    ggml_device_info all[MOST];
    int n = ggml_devices(all, MOST), count = 0;
    if (most > 0) snprintf(names[count++], sizeof *names, "cpu");
    for (int i = 0; i < n && count < most; i++) memcpy(names[count++], all[i].name, sizeof *names);
    return count;
}

device *device_open(const char *name, int threads, uint64_t memory, dreamo_error *err)
{
    if (name && strncmp(name, "ggml:", 5) == 0) return ggml_device_open(name, threads, memory, err);
    return open_own(name ? name : "cpu", threads, err);
}

bool device_is_gpu(const char *name)
{
    enum { MOST = 32 };
    ggml_device_info all[MOST];
    int n = ggml_devices(all, MOST);
    for (int i = 0; i < n; i++)
        if (strcmp(all[i].name, name) == 0) return all[i].gpu;
    return false;
}

dreamo_status device_test(const char *name, dreamo_error *err)
{
    self_test t;
    dreamo_error why = { 0 };
    if (strncmp(name, "ggml:", 5) != 0 || ggml_self_test(name, &t, &why)) return DREAMO_OK;
    return fail(err, DREAMO_DEVICE, "%s", why.message);
}
#else
int devices_here(char (*names)[64], int most)
{
    if (most > 0) snprintf(*names, sizeof *names, "cpu");
    return most > 0;
}

device *device_open(const char *name, int threads, uint64_t memory, dreamo_error *err)
{
    (void)memory; /* of devices with memory of their own */
    if (name && strncmp(name, "ggml:", 5) == 0) {
        fail(err, DREAMO_DEVICE, "device %s: this program was built without ggml", name);
        hint(err, "tools/get-ggml.sh and -DDREAMO_GGML=ON bring it: docs/gpu.md");
        return NULL;
    }
    return open_own(name ? name : "cpu", threads, err);
}

bool device_is_gpu(const char *name)
{
    (void)name;
    return false;
}

dreamo_status device_test(const char *name, dreamo_error *err)
{
    (void)name, (void)err; /* "cpu" is what tests compare with ref */
    return DREAMO_OK;
}
#endif
