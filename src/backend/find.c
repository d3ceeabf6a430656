/* find.c - the backends of this build, by name. */
#include <string.h>
#include "nn/backend.h"
#ifdef DREAMO_GGML
#include "backend/ggml/ggml.h"
#include "backend/ggml/self_test.h"
#endif

const backend *backend_find(const char *name)
{
    static const backend *const all[] = { &backend_cpu, &backend_ref, &backend_dry };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i]->name) == 0) return all[i];
    return NULL;
}

const char *device_name(const device *dev) { return dev->name ? dev->name : dev->be->name; }

static device *open_own(const char *name, int threads, dreamo_error *err)
{
    const backend *be = backend_find(name);
    if (!be || be->dry) {
        fail(err, DREAMO_ARG, "device \"%s\" is none of auto, cpu, ref, ggml:NAME", name);
        return NULL;
    }
    device *dev = be->open(threads);
    if (!dev) fail(err, DREAMO_MEMORY, "no memory or no threads for device %s", name);
    return dev;
}

#ifdef DREAMO_GGML
device *device_open(const char *name, int threads, uint64_t memory, dreamo_error *err)
{
    if (name && strncmp(name, "ggml:", 5) == 0) return ggml_device_open(name, threads, memory, err);
    if (name && strcmp(name, "auto") == 0) {
        char best[64];
        if (ggml_fastest(best)) return ggml_device_open(best, threads, memory, err);
        name = "cpu";
    }
    return open_own(name ? name : "cpu", threads, err);
}
#else
device *device_open(const char *name, int threads, uint64_t memory, dreamo_error *err)
{
    (void)memory; /* of devices with memory of their own */
    if (name && strncmp(name, "ggml:", 5) == 0) {
        fail(err, DREAMO_DEVICE, "device %s: this program was built without ggml", name);
        hint(err, "tools/get-ggml.sh and -DDREAMO_GGML=ON bring it: docs/gpu.md");
        return NULL;
    }
    return open_own(name && strcmp(name, "auto") != 0 ? name : "cpu", threads, err);
}
#endif
