/*
 * How vmbench measures: MEASURE defines one, REPEAT times it.
 *
 * Time is CLOCK_MONOTONIC's, less what reading it costs. Under QEMU's -icount shift=0 a nanosecond is an instruction;
 * the clock's tick is 100 of them, so a timed stretch covers many operations. Every measure runs once unrecorded, to
 * warm up, and then an odd number of rounds of which the median counts.
 *
 * The clock also runs while a hart waits for a disk. So each timed stretch lies between two marks, instructions that do
 * nothing and that counter.c, a plugin of QEMU, knows: where it runs, its counts replace the clock's (counts.awk).
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define NONE NAN /* this kernel cannot do it, or this machine is too small */

struct measure {
    const char *name, *per, *what;
    double (*run)(void);
};

static struct measure measures[128];
static int measure_count;
static double clock_cost;
static const char *self_path; /* of this program */

static void add_measure(const char *name, const char *per, const char *what, double (*run)(void))
{
    measures[measure_count++] = (struct measure){name, per, what, run};
}

#define MEASURE(name, per, what)                                                                       \
    static double name(void);                                                                          \
    static __attribute__((constructor)) void add_##name(void) { add_measure(#name, per, what, name); } \
    static double name(void)

/* The marks' numbers, which counts.awk knows too. */
#define MARK_BEGIN 1
#define MARK_END 2
#define MARK_MEASURE 3 /* one begins */

#ifdef __riscv
#define MARK(number) __asm__ volatile("slti zero, zero, %0" ::"i"(number) : "memory")
#else
#define MARK(number) ((void)(number))
#endif

static inline double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

/* A timed stretch: `began = begin_stretch(); ...; nanoseconds = end_stretch(began);` */
static inline double begin_stretch(void)
{
    double began = now();

    MARK(MARK_BEGIN);
    return began;
}

static inline double end_stretch(double began)
{
    MARK(MARK_END);
    return now() - began - clock_cost;
}

/* What the plugin's counts are divided by: 0 when several kinds of stretches were timed for one measure. */
static double stretch_units = NAN;

static void divide_by(double units) { stretch_units = isnan(stretch_units) || stretch_units == units ? units : 0; }

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double *samples, int count)
{
    qsort(samples, count, sizeof(*samples), by_size);
    return samples[count / 2];
}

/* Nanoseconds for each of UNITS that BODY does; BEFORE and AFTER are not timed. `round` counts from 0, the warm-up. */
#define REPEAT(rounds, units, before, body, after)        \
    __extension__({                                       \
        double samples[rounds], began, took;              \
        divide_by(units);                                 \
        for (int round = 0; round <= (rounds); round++) { \
            before;                                       \
            began = begin_stretch();                      \
            body;                                         \
            took = end_stretch(began);                    \
            after;                                        \
            if (round)                                    \
                samples[round - 1] = took / (units);      \
        }                                                 \
        median(samples, rounds);                          \
    })

/* The same of COUNT equal operations, given as one. */
#define TIMES(rounds, count, operation)                   \
    REPEAT(rounds, count, {},                             \
           {                                              \
               for (int turn = 0; turn < (count); turn++) \
                   operation;                             \
           },                                             \
           {})

static void die(const char *what)
{
    fprintf(stderr, "vmbench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void must(int good, const char *what)
{
    if (!good)
        die(what);
}

static char *map_pages(size_t pages, int protection)
{
    char *at = mmap(NULL, pages * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    must(at != MAP_FAILED, "mmap");
    return at;
}

static void unmap_pages(char *at, size_t pages) { must(munmap(at, pages * PAGE) == 0, "munmap"); }

/* Pages of 4 KiB each. */
static char *map_small(size_t pages, int protection)
{
    char *at = map_pages(pages, protection);

    madvise(at, pages * PAGE, MADV_NOHUGEPAGE);
    return at;
}

static inline void store_all(char *at, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        *(volatile char *)(at + i * PAGE) = 1;
}

static inline void load_all(const char *at, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        (void)*(const volatile char *)(at + i * PAGE);
}

static int memory_is_at_least(size_t bytes)
{
    struct sysinfo info;

    return sysinfo(&info) == 0 && (size_t)info.totalram * info.mem_unit >= bytes;
}

/* A fixed permutation of 0 to COUNT - 1. */
static void shuffle(int *order, int count)
{
    uint32_t seed = 12345;

    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int i = count - 1; i > 0; i--) {
        int k, swap = order[i];

        seed = seed * 1664525 + 1013904223;
        k = (int)((seed >> 8) % (uint32_t)(i + 1));
        order[i] = order[k];
        order[k] = swap;
    }
}

static void wait_for(pid_t pid)
{
    int status;

    must(waitpid(pid, &status, 0) == pid && status == 0, "a child failed");
}

#endif
