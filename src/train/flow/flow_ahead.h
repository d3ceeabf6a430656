/* flow_ahead.h - composing the next samples while the device computes with these, where that leaves the host's cores idle. */
#ifndef TRAIN_FLOW_AHEAD_H
#define TRAIN_FLOW_AHEAD_H
#include "train/flow/flow_item.h"

typedef struct flow_ahead flow_ahead;

/* Room for n samples.  NULL in *out where it would not pay: on devices that compute with the host's own cores. */
dreamo_status flow_ahead_open(const stage *s, int n, flow_ahead **out, dreamo_error *err);
void          flow_ahead_close(flow_ahead *a);
/* Begin to compose training samples first .. first + n - 1. */
void          flow_ahead_begin(flow_ahead *a, const mixture *kinds, int64_t first, bool references);
void          flow_ahead_wait(flow_ahead *a);
/* True: they were composed, and are in *item now, in exchange for the list that was there; *status says whether all went well. */
bool          flow_ahead_take(flow_ahead *a, int64_t first, flow_item **item, dreamo_status *status, dreamo_error *err);
#endif
