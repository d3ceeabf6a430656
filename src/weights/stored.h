/* stored.h - a weight's numbers as fp32, wherever they lie: any rows and columns of a matrix of any storage type. */
#ifndef WEIGHTS_STORED_H
#define WEIGHTS_STORED_H
#include "nn/tensor.h"

/* Columns [col, col + n) of rows [row, row + rows), adapters not counted -> dst [rows, n].  col and n are multiples of the type's
 * blocks, or reach the end of the row. */
void stored_values(const weight *w, int row, int rows, int col, int n, float *dst);
#endif
