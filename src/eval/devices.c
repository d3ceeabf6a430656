/* devices.c - the devices of this machine that networks can run on. */
#include <string.h>
#include "base/error.h"
#include "base/options.h"
#include "pipe/model.h"
#ifdef DREAMO_GGML
#include "backend/ggml/ggml.h"
#include "backend/ggml/self_test.h"

dreamo_status dreamo_devices(bool test, dreamo_device_row row, void *user, dreamo_error *err)
{
    enum { MOST = 32 };
    ggml_device_info all[MOST];
    if (!row) return fail(err, DREAMO_ARG, "the function for the rows is missing");
    int n = ggml_devices(all, MOST);
    for (int i = 0; i < n; i++) {
        const ggml_device_info *d = &all[i];
        dreamo_error why = { 0 };
        self_test t = { .error = -1 };
        bool well = !test || ggml_self_test(d->name, &t, &why);
        dreamo_device out = { .size = sizeof out, .name = d->name, .description = d->description, .free_bytes = d->free, .total_bytes = d->total,
                              .largest_bytes = d->largest, .gpu = d->gpu, .overlaps = d->async && d->events, .error = t.error, .rate = t.rate,
                              .fault = well ? NULL : why.message };
        if (!row(user, &out)) break;
    }
    return DREAMO_OK;
}

dreamo_status dreamo_count_device(dreamo_model *m, dreamo_device_counts *out, dreamo_error *err)
{
    if (!m || !out) return fail(err, DREAMO_ARG, "%s is missing", m ? "the place for the counts" : "the model");
    if (m->dev->be != &backend_ggml) return fail(err, DREAMO_DEVICE, "device %s: nothing is counted on it; name one of `dreamo info --devices`", device_name(m->dev));
    ggml_counts c = *ggml_device_counts(m->dev);
    dreamo_device_counts all = { .size = sizeof all, .graphs = c.graphs, .recorded = c.built, .nodes = c.nodes, .fusable = c.fused, .bytes = c.bytes, .uploaded = c.uploaded,
                                 .held = c.held, .peak = c.peak, .limit = c.cap, .resident = c.resident, .streamed = c.streamed };
    size_t nbytes = out->size;
    options_give(out, nbytes, &all, sizeof all);
    ggml_device_count_anew(m->dev);
    return DREAMO_OK;
}

const char *dreamo_ggml_version(void) { return ggml_release(); }
#else
dreamo_status dreamo_count_device(dreamo_model *m, dreamo_device_counts *out, dreamo_error *err)
{
    if (!m || !out) return fail(err, DREAMO_ARG, "%s is missing", m ? "the place for the counts" : "the model");
    return fail(err, DREAMO_DEVICE, "device %s: nothing is counted on it, and this library was built without ggml", device_name(m->dev));
}

dreamo_status dreamo_devices(bool test, dreamo_device_row row, void *user, dreamo_error *err)
{
    (void)test, (void)user;
    return row ? DREAMO_OK : fail(err, DREAMO_ARG, "the function for the rows is missing");
}

const char *dreamo_ggml_version(void) { return NULL; }
#endif
