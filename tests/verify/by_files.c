/* The backward pass of RMSNorm for every case that rmsnorm_math.verify wrote.
   Build and run: gcc -O2 -o by_files by_files.c -lm && ./by_files cases      */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { double *at; long count, last; int bytes; char shape[64]; } Array;

/* Reads folder/name.npy; 0 if there is no such file. */
static int load(const char *folder, const char *name, Array *a) {
    char path[512], header[4096];
    unsigned char size[2];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    if (fseek(f, 8, SEEK_SET) || fread(size, 1, 2, f) != 2) exit(1);
    int length = size[0] + 256 * size[1];
    if (length >= (int)sizeof header || fread(header, 1, length, f) != (size_t)length) exit(1);
    header[length] = 0;
    a->bytes = strstr(header, "<f8") ? 8 : 4;
    char *from = strchr(strstr(header, "shape"), '('), *to = strchr(from, ')');
    snprintf(a->shape, sizeof a->shape, "%.*s", (int)(to - from + 1), from);
    a->count = a->last = 1;
    for (char *p = from + 1; p < to; p++)
        if (*p >= '0' && *p <= '9') { a->last = strtol(p, &p, 10); a->count *= a->last; }
    a->at = malloc((a->count + 1) * sizeof(double));
    for (long k = 0; k < a->count; k++) {
        float single;
        if (a->bytes == 8 ? !fread(&a->at[k], 8, 1, f) : !fread(&single, 4, 1, f)) exit(1);
        if (a->bytes == 4) a->at[k] = single;
    }
    fclose(f);
    return 1;
}

/* Writes the numbers as folder/name.npy, in the shape and the type of `like`. */
static void save(const char *folder, const char *name, const double *at, const Array *like) {
    char path[512], header[118];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f) exit(1);
    int used = snprintf(header, sizeof header,
                        "{'descr': '<f%d', 'fortran_order': False, 'shape': %s, }",
                        like->bytes, like->shape);
    memset(header + used, ' ', sizeof header - used);
    header[117] = '\n';
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, f);
    fwrite(header, 1, 118, f);
    for (long k = 0; k < like->count; k++) {
        float single = (float)at[k];
        fwrite(like->bytes == 8 ? (const void *)&at[k] : &single, like->bytes, 1, f);
    }
    fclose(f);
}

/* Put your own function here. */
static void backward(long rows, long n, const double *dy, const double *x, const double *gamma,
                     double eps, double *dx, double *dgamma) {
    for (long k = 0; k < n; k++) dgamma[k] = 0;
    for (long row = 0; row < rows; row++, x += n, dy += n, dx += n) {
        double square = 0, dot = 0;
        for (long k = 0; k < n; k++) {
            square += x[k] * x[k];
            dot += gamma[k] * dy[k] * x[k];
        }
        double rstd = 1 / sqrt(square / n + eps), mean = dot * rstd / n;
        for (long k = 0; k < n; k++) {
            dx[k] = rstd * (gamma[k] * dy[k] - x[k] * rstd * mean);
            dgamma[k] += dy[k] * x[k] * rstd;
        }
    }
}

int main(int count, char **words) {
    char folder[256];
    Array dy, x, gamma, eps;
    for (int number = 0; count > 1; number++) {
        snprintf(folder, sizeof folder, "%s/%03d", words[1], number);
        if (!load(folder, "x", &x)) return number == 0;
        if (!load(folder, "dy", &dy) || !load(folder, "gamma", &gamma)) return 1;
        if (!load(folder, "eps", &eps)) return 1;
        double *dx = malloc((x.count + 1) * sizeof(double));
        double *dgamma = malloc((gamma.count + 1) * sizeof(double));
        backward(x.count / gamma.count, gamma.count, dy.at, x.at, gamma.at, *eps.at, dx, dgamma);
        save(folder, "dx", dx, &x);
        save(folder, "dgamma", dgamma, &gamma);
        free(dx), free(dgamma), free(dy.at), free(x.at), free(gamma.at), free(eps.at);
    }
    fprintf(stderr, "usage: %s FOLDER\n", words[0]);
    return 1;
}
