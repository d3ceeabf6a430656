/* matting_loss.h - what a matting network is trained on, computed on the host from its log odds, with the gradient to each of them.
 *
 * For each picture, of p = 1 / (1 + exp(-x)) and the true matte a in 0 .. 1:
 *
 *     mean over pixels of -a log p - (1 - a) log(1 - p)  +  1 - sum(p a) / sum(p + a - p a)
 *
 * the cross entropy, which wants each pixel right, and the soft Jaccard distance (as in BASNet; Qin et al. 2019), which wants the thing whole however
 * little of the picture it takes.  The loss is the mean over pictures. */
#ifndef TRAIN_MATTING_LOSS_H
#define TRAIN_MATTING_LOSS_H

/* x, grad [pictures * pixels] (grad may be NULL), alpha likewise in 0 .. 255.  part [2]: both terms. */
double matting_loss(const float *x, const unsigned char *alpha, int pictures, int pixels, float *grad, double part[2]);
/* Mean |p - a|, and the Jaccard index of p > 1/2 and a > 1/2 (1 where both are empty); from masks in 0 .. 1. */
void   matting_measure(const float *p, const unsigned char *alpha, int pixels, double *error, double *jaccard);
#endif
