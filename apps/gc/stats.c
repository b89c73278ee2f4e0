/*
 * Stops of mutators are written down by the mutators themselves, each into its own list, so that writing takes no lock
 * and is possible in a fault handler. A list that is full (a million stops) keeps the count and the sums.
 */
#include "stats.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "heap.h"
#include "threads.h"

#define MOST_PAUSES (1 << 20)

struct event {
    uint64_t kind : 4, start : 60;
    uint64_t length;
};

struct pauses {
    struct event *events;
    size_t count;
    size_t number[PAUSES];
    uint64_t sum[PAUSES], longest[PAUSES];
    struct pauses *next;
};

static const char *const names[PAUSES] = {"flip", "trap", "help", "minor", "full", "stopped"};

static struct pauses *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t start_time;
static size_t collections;
static uint64_t copied_words;

uint64_t stats_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

void stats_open(void) { start_time = stats_now(); }

struct pauses *stats_new(void)
{
    struct pauses *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->events = mmap(NULL, MOST_PAUSES * sizeof(*p->events), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->events == MAP_FAILED)
        p->events = NULL;
    pthread_mutex_lock(&lock);
    p->next = all;
    all = p;
    pthread_mutex_unlock(&lock);
    return p;
}

void stats_end(struct pauses *pauses) { (void)pauses; }

void stats_pause(struct thread *thread, enum pause kind, uint64_t length)
{
    struct pauses *p = thread->pauses;
    if (!p)
        return;
    p->number[kind]++;
    p->sum[kind] += length;
    if (length > p->longest[kind])
        p->longest[kind] = length;
    if (p->events && p->count < MOST_PAUSES)
        p->events[p->count++] = (struct event){kind, stats_now() - length - start_time, length};
}

void stats_collection(void)
{
    collections++;
    copied_words += copier.copied_words;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The lengths of all stops of KIND (PAUSES: of any), sorted; *COUNT of them. The caller frees it. */
static uint64_t *lengths(int kind, size_t *count)
{
    size_t all_events = 0;
    for (struct pauses *p = all; p; p = p->next)
        all_events += p->count;
    uint64_t *list = malloc((all_events + 1) * sizeof(*list));
    *count = 0;
    if (!list)
        return NULL;
    for (struct pauses *p = all; p; p = p->next)
        for (size_t i = 0; i < p->count; i++)
            if (kind == PAUSES || (int)p->events[i].kind == kind)
                list[(*count)++] = p->events[i].length;
    qsort(list, *count, sizeof(*list), compare);
    return list;
}

static void print_kind(int kind)
{
    size_t number = 0, count;
    uint64_t sum = 0, longest = 0;

    for (struct pauses *p = all; p; p = p->next)
        for (int k = 0; k < PAUSES; k++)
            if (kind == k || kind == PAUSES) {
                number += p->number[k];
                sum += p->sum[k];
                longest = p->longest[k] > longest ? p->longest[k] : longest;
            }
    if (!number)
        return;
    uint64_t *list = lengths(kind, &count);
    if (!list)
        return;
    fprintf(stderr, "gc: %-8s %9zu %12.0f", kind == PAUSES ? "any" : names[kind], number, (double)sum / number);
    static const double parts[] = {0.5, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        fprintf(stderr, " %12llu", (unsigned long long)(count ? list[(size_t)(parts[i] * (count - 1))] : 0));
    fprintf(stderr, " %12llu\n", (unsigned long long)longest);
    free(list);
}

void stats_print(void)
{
    uint64_t run = stats_now() - start_time;
    uint64_t stopped = 0;
    for (struct pauses *p = all; p; p = p->next)
        for (int k = 0; k < PAUSES; k++)
            stopped += p->sum[k];
    fprintf(stderr, "gc: %zu collections, %.1f MiB copied; %.3f s in all, %.3f s of stops\n", collections,
            copied_words / 131072.0, run / 1e9, stopped / 1e9);
    fprintf(stderr, "gc: %-8s %9s %12s %12s %12s %12s %12s %12s  (ns)\n", "stop", "number", "mean", "median", "90 %",
            "99 %", "99.9 %", "longest");
    for (int kind = 0; kind <= PAUSES; kind++)
        print_kind(kind);
}

int stats_write(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return -1;
    fprintf(f, "kind\tstart\tlength\n");
    for (struct pauses *p = all; p; p = p->next)
        for (size_t i = 0; i < p->count; i++)
            fprintf(f, "%s\t%llu\t%llu\n", names[p->events[i].kind], (unsigned long long)p->events[i].start,
                    (unsigned long long)p->events[i].length);
    return fclose(f) ? -1 : 0;
}
