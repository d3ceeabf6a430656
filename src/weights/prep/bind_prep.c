/* bind_prep.c - the four official and free networks.  What training left in a file (counters, auxiliary heads, optimizers) is passed over by name. */
#include "weights/prep/bind_prep.h"
#include "model/ben2.h"
#include "model/bisenet.h"
#include "model/isnet.h"
#include "model/retinaface.h"
#include "weights/kind.h"

void bind_walk_ben2(void *m, param_visitor visit, void *user) { ben2_visit(m, visit, user); }
void bind_walk_retinaface(void *m, param_visitor visit, void *user) { retinaface_visit(m, visit, user); }
void bind_walk_bisenet(void *m, param_visitor visit, void *user) { bisenet_visit(m, visit, user); }
void bind_walk_isnet(void *m, param_visitor visit, void *user) { isnet_visit(m, visit, user); }

static const file_layout layouts[] = { layout_own, NULL };
/* A trained parallel network has "module."; BEN2's .pth keeps its weights beside an optimizer's. */
static const char *const prefixes[] = { "", "module.", "model_state_dict.", "state_dict.", NULL };

static dreamo_status folded(bool good, const char *path, bound_files *out, dreamo_error *err)
{
    if (good) return DREAMO_OK;
    bind_close(out);
    return fail(err, DREAMO_MEMORY, "%s: no memory for its norms", path);
}

dreamo_status bind_ben2(struct ben2 *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const char *const unused[] = { "*.relative_position_index", "sideout*", NULL };
    static const bind_names names = { .stem = "model", .layouts = layouts, .prefixes = prefixes, .unused = unused, .holds = HAS_BEN2 };
    return bind_network(m, bind_walk_ben2, path, &names, out, err);
}

dreamo_status bind_retinaface(struct retinaface *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const char *const unused[] = { "*.num_batches_tracked", NULL };
    static const bind_names names = { .stem = "model", .layouts = layouts, .prefixes = prefixes, .unused = unused, .holds = HAS_RETINAFACE };
    dreamo_status s = bind_network(m, bind_walk_retinaface, path, &names, out, err);
    return s ? s : folded(retinaface_fold(m), path, out, err);
}

dreamo_status bind_bisenet(struct bisenet *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const char *const unused[] = { "*.num_batches_tracked", "conv_out16.*", "conv_out32.*", NULL };
    static const bind_names names = { .stem = "model", .layouts = layouts, .prefixes = prefixes, .unused = unused, .holds = HAS_BISENET };
    dreamo_status s = bind_network(m, bind_walk_bisenet, path, &names, out, err);
    return s ? s : folded(bisenet_fold(m), path, out, err);
}

dreamo_status bind_isnet(struct isnet *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const char *const unused[] = { "side2.*", "side3.*", "side4.*", "side5.*", "side6.*", "/*", NULL }; /* the last: sizes that the graph computed once */
    static const bind_names names = { .stem = "model", .layouts = layouts, .prefixes = prefixes, .unused = unused, .holds = HAS_ISNET };
    return bind_network(m, bind_walk_isnet, path, &names, out, err);
}

/* ---- all of them ---- */

#define NETWORK(name)                                                                                                                          \
    static void *name##_make(void) { return name##_new(); }                                                                                    \
    static void name##_unmake(void *m) { name##_free(m); }                                                                                     \
    static dreamo_status name##_bind(void *m, const char *path, bound_files *f, dreamo_error *err) { return bind_##name(m, path, f, err); }
NETWORK(ben2)
NETWORK(retinaface)
NETWORK(bisenet)
NETWORK(isnet)

const prep_network *prep_network_of(int holds)
{
#define ROW(words, bit, name) { words, bit, name##_make, name##_unmake, bind_walk_##name, name##_bind }
    static const prep_network all[] = { ROW("BEN2", HAS_BEN2, ben2), ROW("RetinaFace", HAS_RETINAFACE, retinaface), ROW("BiSeNet", HAS_BISENET, bisenet), ROW("ISNet", HAS_ISNET, isnet) };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].holds & holds) return &all[i];
    return NULL;
}
