/*
 * Stops of mutators: every stretch in which a mutator does the collector's work or waits for it, by kind, with its
 * length in nanoseconds. Under QEMU's -icount shift=0 a nanosecond is an instruction.
 */
#ifndef GC_STATS_H
#define GC_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thread;
struct pauses;

enum pause {
    PAUSE_FLIP,    /* concurrent: the world stops for the roots */
    PAUSE_TRAP,    /* concurrent: a closed page was touched; generational: a protected one was written to */
    PAUSE_HELP,    /* concurrent: a mutator scans because the collector is late */
    PAUSE_MINOR,   /* generational: the young */
    PAUSE_FULL,    /* everything in one stop */
    PAUSE_STOPPED, /* waiting for another's stop to end */
    PAUSES
};

struct pauses *stats_new(void);
/* A thread has ended: its stops count on. */
void stats_end(struct pauses *pauses);

uint64_t stats_now(void);
void stats_pause(struct thread *thread, enum pause kind, uint64_t nanoseconds);
void stats_collection(void);

/* A table on standard error. */
void stats_print(void);
/* All stops to a file: a line with kind, when (ns since the start) and length (ns) for each. Returns 0 or -1. */
int stats_write(const char *path);
void stats_open(void);

#endif
