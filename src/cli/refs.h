/* refs.h - references on the command line: -r TASK=FILE,KEY=VALUE..., how they are prepared, and where what the model sees is saved. */
#ifndef CLI_REFS_H
#define CLI_REFS_H
#include "cli/options.h"

#define REFS_MAX 16 /* more than any model takes: the library names the limit */
#define REFS_HELP "a reference: ip (thing), id (face), style or auto; then ,slot=K ,res=N|keep ,cut=off|alpha|net ,face=N ,box=X,Y,W,H ,part=garment ,exif=off"
#define REFS_OPTIONS \
    { "save-refs", 0, VALUE_TEXT, false, 0, 0, "DIR", "write what the model sees of each reference there: ref-SLOT.png" }, \
    { "cutter", 0, VALUE_TEXT, false, 0, 0, "NAME", "what cuts things out: auto (the best there is), ben2, isnet, own or plain" }, \
    { "networks", 0, VALUE_TEXT, false, 0, 0, "DIR", "where the networks that prepare references lie; $DREAMO_NETWORKS, or prep beside the shipped model" }

typedef struct ref_list {
    dreamo_reference ref[REFS_MAX];
    int n;
    char text[8192];          /* file names cut out of "TASK=FILE,..." */
    size_t used;
} ref_list;

/* All of -r. */
dreamo_status refs_read(const parsed *p, ref_list *out, dreamo_error *err);
void          refs_path(const char *dir, int slot, char *out, size_t nbytes); /* the file of --save-refs */
bool          refs_is_input(const ref_list *l, const char *path);              /* a file that must not be written */
/* screen_event, which also saves references: --save-refs.  A file that cannot be written stops the call; refs_error tells why. */
bool          refs_event(void *user, const dreamo_event *e);
/* The error of a file that could not be written over that of the call which it stopped. */
dreamo_status refs_error(dreamo_status s, dreamo_error *err);
#endif
