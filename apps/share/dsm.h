/*
 * Memory that several processes share without sharing memory: each has pages of its own, which go between them by
 * messages.
 */
#ifndef SHARE_DSM_H
#define SHARE_DSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_PROCESSES 8

/* What one process counted. */
struct dsm_stats {
    uint64_t read_faults, write_faults, pages_received, invalidations, messages;
};

/*
 * In each process of the group: NUMBER is its own, of COUNT; SOCKETS[i] leads to process i. PAGES pages, zero, are the
 * group's then. Returns their address in this process, NULL with errno. BREAK_IT leaves invalidations out, so that a
 * checker has something to find.
 */
void *dsm_start(int number, int count, const int *sockets, size_t pages, bool break_it);

/* Waits until all processes are here; what any of them stored before, all of them see. */
void dsm_barrier(void);

/* After the last barrier. */
void dsm_stop(struct dsm_stats *stats);

#endif
