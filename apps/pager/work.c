/* See work.h. The matrices' elements are small whole numbers, so that sums are exact, and pages compress. */
#include "work.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define MAX_THREADS 64

static int nothing(void) { return 0; }
static void nothing_more(void) {}
int (*work_thread_enter)(void) = nothing;
void (*work_thread_leave)(void) = nothing_more;

/* A part of the work; threads do part 0 to n-1. */
struct part {
    void (*run)(const struct part *part);
    void *memory;
    size_t n;
    unsigned number, of;
};

static void *run_part(void *argument)
{
    const struct part *part = argument;

    if (work_thread_enter() == 0) {
        part->run(part);
        work_thread_leave();
    }
    return NULL;
}

static void share_out(void (*run)(const struct part *), void *memory, size_t n, unsigned threads)
{
    struct part parts[MAX_THREADS];
    pthread_t ids[MAX_THREADS];

    for (unsigned i = 0; i < threads; i++) {
        parts[i] = (struct part){run, memory, n, i, threads};
        if (i == 0 || pthread_create(&ids[i], NULL, run_part, &parts[i]) != 0)
            ids[i] = pthread_self();
    }
    for (unsigned i = 0; i < threads; i++)
        if (pthread_equal(ids[i], pthread_self()))
            run(&parts[i]); /* ours, and those for which there was no thread */
    for (unsigned i = 1; i < threads; i++)
        if (!pthread_equal(ids[i], pthread_self()))
            pthread_join(ids[i], NULL);
}

/* --- Matrix --- */

#define BLOCK 64

static double a_at(size_t i, size_t k) { return (double)((i * 7 + k) % 11); }
static double b_at(size_t k, size_t j) { return (double)((k + j * 5) % 13); }

size_t matrix_size(size_t bytes)
{
    size_t n = (size_t)sqrt((double)bytes / 24);

    return n / BLOCK * BLOCK;
}

static void fill_rows(const struct part *p)
{
    double *a = p->memory, *b = a + p->n * p->n;

    for (size_t i = p->n * p->number / p->of; i < p->n * (p->number + 1) / p->of; i++)
        for (size_t j = 0; j < p->n; j++) {
            a[i * p->n + j] = a_at(i, j);
            b[i * p->n + j] = b_at(i, j);
        }
}

/* One block of C gets the product of one of A and one of B added. */
static void multiply_block(double *restrict c, const double *restrict a, const double *restrict b, size_t n)
{
    for (size_t i = 0; i < BLOCK; i++)
        for (size_t k = 0; k < BLOCK; k++) {
            double factor = a[i * n + k];

            for (size_t j = 0; j < BLOCK; j++)
                c[i * n + j] += factor * b[k * n + j];
        }
}

static void multiply_rows(const struct part *p)
{
    double *a = p->memory, *b = a + p->n * p->n, *c = b + p->n * p->n;
    size_t n = p->n, blocks = n / BLOCK;

    for (size_t i = blocks * p->number / p->of; i < blocks * (p->number + 1) / p->of; i++)
        for (size_t k = 0; k < blocks; k++)
            for (size_t j = 0; j < blocks; j++)
                multiply_block(c + (i * n + j) * BLOCK, a + (i * n + k) * BLOCK, b + (k * n + j) * BLOCK, n);
}

int matrix_work(void *memory, size_t n, unsigned threads)
{
    const double *c = (double *)memory + 2 * n * n;

    share_out(fill_rows, memory, n, threads);
    memset((void *)c, 0, n * n * sizeof(double));
    share_out(multiply_rows, memory, n, threads);
    for (size_t i = 0; i < n; i += n / 16 + 1)
        for (size_t j = 0; j < n; j += n / 16 + 1) {
            double sum = 0;

            for (size_t k = 0; k < n; k++)
                sum += a_at(i, k) * b_at(k, j);
            if (sum != c[i * n + j])
                return -1;
        }
    return 0;
}

/* --- Sort --- */

size_t sort_size(size_t bytes, unsigned threads) { return bytes / (threads > 1 ? 16 : 8); }

static uint64_t number_at(size_t i)
{
    uint64_t x = i * 0x9e3779b97f4a7c15ull;

    return (x ^ x >> 32) & 0xfffffff;
}

static void swap(uint64_t *a, uint64_t *b)
{
    uint64_t t = *a;

    *a = *b;
    *b = t;
}

/* Sorts V[0] to before V[N] in place. */
static void quicksort(uint64_t *v, size_t n)
{
    while (n > 24) {
        size_t i = 0, j = n - 1;
        uint64_t pivot;

        if (v[n / 2] < v[0])
            swap(&v[n / 2], &v[0]);
        if (v[n - 1] < v[0])
            swap(&v[n - 1], &v[0]);
        if (v[n - 1] < v[n / 2])
            swap(&v[n - 1], &v[n / 2]);
        pivot = v[n / 2];
        for (;;) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            swap(&v[i++], &v[j--]);
        }
        if (i < n - i) {
            quicksort(v, i);
            v += i;
            n -= i;
        } else {
            quicksort(v + i, n - i);
            n = i;
        }
    }
    for (size_t i = 1; i < n; i++) {
        uint64_t x = v[i];
        size_t at = i;

        for (; at > 0 && v[at - 1] > x; at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
}

static void sort_part(const struct part *p)
{
    size_t from = p->n * p->number / p->of, to = p->n * (p->number + 1) / p->of;
    uint64_t *v = p->memory;

    for (size_t i = from; i < to; i++)
        v[i] = number_at(i);
    quicksort(v + from, to - from);
}

/* [FROM, MIDDLE) and [MIDDLE, TO), in order each, become one in OUT. */
static void merge(const uint64_t *v, size_t from, size_t middle, size_t to, uint64_t *out)
{
    size_t a = from, b = middle;

    for (size_t i = from; i < to; i++)
        out[i] = b == to || (a < middle && v[a] <= v[b]) ? v[a++] : v[b++];
}

int sort_work(void *memory, size_t n, unsigned threads)
{
    uint64_t *v = memory, *spare = v + n, want = 0, have = 0;

    share_out(sort_part, memory, n, threads);
    for (unsigned width = 1; width < threads; width *= 2) {
        uint64_t *t = v;

        for (unsigned i = 0; i < threads; i += 2 * width) {
            unsigned middle = i + width < threads ? i + width : threads,
                     end = i + 2 * width < threads ? i + 2 * width : threads;

            merge(v, n * i / threads, n * middle / threads, n * end / threads, spare);
        }
        v = spare;
        spare = t;
    }
    for (size_t i = 0; i < n; i++) {
        want += number_at(i) * number_at(i);
        have += v[i] * v[i];
        if (i > 0 && v[i - 1] > v[i])
            return -1;
    }
    return want == have ? 0 : -1;
}
