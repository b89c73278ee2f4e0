/* For the tests of huge pages: what /proc/self/smaps says of a range, and pages full of numbers. */
#ifndef HUGE_H
#define HUGE_H

#include "tap.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define RW (PROT_READ | PROT_WRITE)
#define HUGE (2UL << 20)
#define HUGE_PAGES (HUGE / PAGE)

/* kB of NAME in the smaps of the mappings in [AT, AT + LENGTH). */
static UNUSED long smaps_kb(volatile void *at, size_t length, const char *name)
{
    unsigned long start = (unsigned long)at, low = 0, high = 0;
    char *text = slurp("/proc/self/smaps"), *line = text;
    long sum = 0;

    for (; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        unsigned long a, b;

        if (sscanf(line, "%lx-%lx ", &a, &b) == 2) {
            low = a;
            high = b;
        } else if (low >= start && high <= start + length && !strncmp(line, name, strlen(name)) &&
                   line[strlen(name)] == ':') {
            sum += strtol(line + strlen(name) + 1, NULL, 10);
        }
    }
    free(text);
    return sum;
}

static UNUSED void fill(volatile char *at, size_t pages, int seed)
{
    for (size_t i = 0; i < pages; i++)
        at[i * PAGE] = at[i * PAGE + PAGE - 1] = (char)(1 + (i * 7 + seed) % 251);
}

static UNUSED int is_filled(volatile char *at, size_t from, size_t to, int seed)
{
    for (size_t i = from; i < to; i++)
        if (at[i * PAGE] != (char)(1 + (i * 7 + seed) % 251) || at[i * PAGE + PAGE - 1] != at[i * PAGE])
            return 0;
    return 1;
}

static UNUSED int is_zero(volatile char *at, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (at[i * PAGE] != 0 || at[i * PAGE + PAGE - 1] != 0)
            return 0;
    return 1;
}

#endif
