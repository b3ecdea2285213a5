// SPDX-License-Identifier: MIT-0
// RMSNorm over rows of n elements, forward and backward, in C99 with OpenMP.
//
//   y = gamma * x / sqrt(mean(x**2) + eps)
//
// cc -std=c99 -O3 -march=native -ffp-contract=fast -fopenmp -shared -fPIC
//    rmsnorm.c -o librmsnorm.so -lm
//
// Arrays are float, or what -DREAL=double says, and what is computed is double,
// rounded once. x, y, dy and dx have rows * n elements, gamma and dgamma n, or
// they are NULL; rstd has one double a row. The results do not depend on how
// many threads there are. A row of zeros has no gradient at eps = 0: it gives
// NaN.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef REAL
#define REAL float
#endif

enum {
    TASKS = 64,   // dgamma has one partial sum a task
    SMALL = 65536 // elements: below, a second thread costs more than it brings
};

static double reciprocal_rms(const REAL *x, int64_t n, double eps)
{
    double total = 0, largest = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < n; j++)
        total += (double)x[j] * x[j];
    if (total > 1e-200 && total < 1e200)
        return 1 / sqrt(total / n + eps);
    // Squares leave the range of double: divide by the largest element first.
    for (int64_t j = 0; j < n; j++)
        largest = fmax(largest, fabs((double)x[j]));
    if (isinf(largest)) // y is 0, NaN where x is infinite, NaN with a NaN in x
        return isnan(total) ? total : 0;
    const double scale = largest > 0 ? largest : 1;
    total = 0;
    for (int64_t j = 0; j < n; j++)
        total += (x[j] / scale) * (x[j] / scale);
    return 1 / hypot(scale * sqrt(total / n), sqrt(eps));
}

// Writes y, and rstd = 1 / rms for the backward pass.
void rmsnorm_forward(int64_t rows, int64_t n, double eps, const REAL *x,
                     const REAL *gamma, REAL *y, double *rstd)
{
#pragma omp parallel for schedule(static) if (rows * n > SMALL)
    for (int64_t row = 0; row < rows; row++) {
        const double r = rstd[row] = reciprocal_rms(x + row * n, n, eps);
        const REAL *xs = x + row * n;
        REAL *ys = y + row * n;
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            ys[j] = (REAL)((gamma ? gamma[j] : 1) * (xs[j] * r));
    }
}

static void row_backward(int64_t n, const REAL *dy, const REAL *x,
                         const REAL *gamma, double rstd, REAL *dx, double *sums)
{
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < n; j++) {
        const double product = dy[j] * (rstd * x[j]);
        total += product * (gamma ? gamma[j] : 1);
        if (sums)
            sums[j] += product;
    }
    const double mean = total / n;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        const double v = (double)dy[j] * (gamma ? gamma[j] : 1);
        dx[j] = (REAL)(rstd * (v - mean * (rstd * x[j])));
    }
}

// Writes dx and dgamma; returns -1 if there is no memory for the sums, else 0.
int rmsnorm_backward(int64_t rows, int64_t n, const REAL *dy, const REAL *x,
                     const REAL *gamma, const double *rstd, REAL *dx,
                     REAL *dgamma)
{
    double *parts = dgamma ? calloc((size_t)(TASKS * n), sizeof *parts) : NULL;
    if (dgamma && n && !parts)
        return -1;
#pragma omp parallel for schedule(static) if (rows * n > SMALL)
    for (int64_t task = 0; task < TASKS; task++) {
        const int64_t end = rows * (task + 1) / TASKS;
        for (int64_t row = rows * task / TASKS; row < end; row++)
            row_backward(n, dy + row * n, x + row * n, gamma, rstd[row],
                         dx + row * n, parts ? parts + task * n : NULL);
    }
    for (int64_t j = 0; dgamma && j < n; j++) {
        double total = 0;
        for (int64_t task = 0; task < TASKS; task++)
            total += parts[task * n + j];
        dgamma[j] = (REAL)total;
    }
    free(parts);
    return 0;
}
