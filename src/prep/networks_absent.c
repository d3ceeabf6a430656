/* networks_absent.c - the faces of networks.h in a program that is built without the networks behind them: each says so. */
#include "prep/networks.h"

#include "base/error.h"

static dreamo_status absent(const char *path, dreamo_error *err) { return fail(err, DREAMO_VERSION, "%s: this dreamo is built without the networks that prepare references", path); }

dreamo_status cut_net_open(const char *path, int threads, cut_net **out, dreamo_error *err)
{
    (void)threads;
    *out = NULL;
    return absent(path, err);
}

void        cut_net_close(cut_net *n) { (void)n; }
const char *cut_net_name(const cut_net *n) { (void)n; return ""; }

dreamo_status cut_net_mask(cut_net *n, const bitmap *rgb, float *mask, prep_progress tell, void *user, dreamo_error *err)
{
    (void)n, (void)rgb, (void)mask, (void)tell, (void)user;
    return absent("networks", err);
}

dreamo_status face_net_open(const char *path, int threads, face_net **out, dreamo_error *err)
{
    (void)threads;
    *out = NULL;
    return absent(path, err);
}

void        face_net_close(face_net *n) { (void)n; }
const char *face_net_name(const face_net *n) { (void)n; return ""; }

dreamo_status face_net_find(face_net *n, const bitmap *rgb, float threshold, face_list *out, prep_progress tell, void *user, dreamo_error *err)
{
    (void)n, (void)rgb, (void)threshold, (void)tell, (void)user;
    *out = (face_list){ 0 };
    return absent("networks", err);
}

void face_list_free(face_list *l) { (void)l; }

dreamo_status parse_net_open(const char *path, int threads, parse_net **out, dreamo_error *err)
{
    (void)threads;
    *out = NULL;
    return absent(path, err);
}

void        parse_net_close(parse_net *n) { (void)n; }
const char *parse_net_name(const parse_net *n) { (void)n; return ""; }

dreamo_status parse_net_labels(parse_net *n, const bitmap *rgb, unsigned char *labels, prep_progress tell, void *user, dreamo_error *err)
{
    (void)n, (void)rgb, (void)labels, (void)tell, (void)user;
    return absent("networks", err);
}
