/* rows.c - rows chosen, and rows weighed against each other. */
#include <math.h>
#include "backend/ref/ref.h"

void ref_softmax(device *dev, tensor y, tensor x, layout l)
{
    (void)dev;
    for (int i = 0; i < l.nspans; i++)
        for (int c = 0; c < x.cols; c++) {
            int row0 = l.spans[i].start, row1 = row0 + l.spans[i].rows;
            double most = -INFINITY, sum = 0;
            for (int r = row0; r < row1; r++) most = fmax(most, *at(x, r, c));
            for (int r = row0; r < row1; r++) sum += exp(*at(x, r, c) - most);
            for (int r = row0; r < row1; r++) *at(y, r, c) = (float)(exp(*at(x, r, c) - most) / sum);
        }
}

/* dx = y (dy - sum(y dy)) */
void ref_softmax_backward(device *dev, tensor dx, tensor dy, tensor y, layout l)
{
    (void)dev;
    for (int i = 0; dx.p && i < l.nspans; i++)
        for (int c = 0; c < y.cols; c++) {
            int row0 = l.spans[i].start, row1 = row0 + l.spans[i].rows;
            double dot = 0;
            for (int r = row0; r < row1; r++) dot += (double)*at(y, r, c) * *at(dy, r, c);
            for (int r = row0; r < row1; r++) *at(dx, r, c) += (float)(*at(y, r, c) * (*at(dy, r, c) - dot));
        }
}

void ref_takerows(device *dev, tensor y, tensor x, const int32_t *ids)
{
    (void)dev;
    for (int r = 0; r < y.rows; r++)
        for (int c = 0; c < y.cols; c++) *at(y, r, c) = *at(x, ids[r], c);
}

void ref_takerows_backward(device *dev, tensor dx, tensor dy, const int32_t *ids)
{
    (void)dev;
    for (int r = 0; dx.p && r < dy.rows; r++)
        for (int c = 0; c < dy.cols; c++) *at(dx, ids[r], c) += *at(dy, r, c);
}
