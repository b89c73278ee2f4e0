/*
 * A random checker of sequential consistency.
 */
#ifndef SHARE_CHECK_H
#define SHARE_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct history;

/* Ordinary shared memory for what PROCESSES see in ROUNDS each; before fork. NULL with errno. */
struct history *check_histories(int processes, int rounds);

/* Process SELF's ROUNDS random loads and stores in the PAGES at MEMORY. */
void check_work(struct history *histories, int self, int processes, char *memory, size_t pages, int rounds,
                unsigned seed);

/* Whether one order of all loads and stores explains what was seen; else says where it does not. */
bool check_consistent(struct history *histories, int processes);

#endif
