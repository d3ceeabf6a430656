/* dpo.h - the loss of preferences (Wallace et al. 2023, Eq. 14, with velocity errors as in flow matching).
 *
 * A pair: two targets of one request, noised alike; L is the squared error of the network's velocity on each, L' that of the network
 * before training.  loss = mean over pairs of -log sigmoid(-beta/2 ((L_won - L_lost) - (L'_won - L'_lost))). */
#ifndef TRAIN_DPO_H
#define TRAIN_DPO_H

/* error, before: [2 pairs], won and lost in turn.  slope [2 pairs]: d loss / d error.  *ahead: share of pairs whose difference is on the
 * right side of what it was. */
double dpo_loss(const double *error, const double *before, int pairs, double beta, double *slope, double *ahead);
#endif
