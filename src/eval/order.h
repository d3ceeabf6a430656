/* order.h - where a caption says that its references stand: "[ref#1] to the left of [ref#2]", "above", "on the left, ... in the middle and
 * ... on the right".  References are known by their placeholders; what a caption does not say is not guessed. */
#ifndef EVAL_ORDER_H
#define EVAL_ORDER_H
#include "eval/windows.h"

enum { ORDER_MOST = 8 };
typedef struct order_rule { int before, after; bool vertical; } order_rule; /* slots: `before` is further left, or higher */
typedef struct order { int n; order_rule rule[ORDER_MOST]; } order;

void order_read(const char *placed, order *out);
/* 1: the middles of both windows lie as the rule says, -1: the other way round, 0: neither. */
int  order_kept(const order_rule *r, window before, window after);
#endif
