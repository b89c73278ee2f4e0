/*
 * What is known of each block of the guarded heap. The heap is one range of addresses, of which every page has a
 * record:
 *
 *     [closed][ block's pages, its bytes at their end ][closed][ block's pages ][closed] ...
 *
 * A block's own pages and the closed page behind them are its run; `first` of all their records is the run's first
 * page, which has the rest.
 */
#ifndef GUARD_BLOCKS_H
#define GUARD_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096UL
#define SLACK 0xa5 /* fills what is between a block's last byte and its page's end */

enum block_state { NEVER, LIVE, FREED };

struct record {
    uint32_t first; /* page of the run, this page's own number for the first */
    uint32_t next;  /* FREED: the run freed after this one, of the same length; 0 for none */
    uint32_t pages; /* of the run, the closed one included */
    uint32_t state;
    size_t size;
    uintptr_t address;
    uintptr_t allocated_by, freed_by;
};

extern char *heap; /* page 0 is never used */
extern struct record *records;
extern size_t heap_pages, used_pages; /* those from used_pages on have never been used */
extern bool go_on;                    /* after a report, as if nothing had happened */

/* Says what was wrong with the block of RUN, whose OFFENDER is where the program did it. */
void report_access(uintptr_t address, bool is_store, uintptr_t pc);
void report_block(const char *what, uintptr_t address, const struct record *run, uintptr_t pc);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
