/* Eviction of private pages: the clock hand that walks the spaces. */
#ifndef VM_SWAPOUT_H
#define VM_SWAPOUT_H

#include "lib/types.h"

struct page;
struct space;

/* A space is there to be walked, or goes away: then waits until the hand has left it. => no locks */
void swapout_add_space(struct space *s);
void swapout_forget_space(struct space *s);

/* Calls VISIT for every space there is. => VISIT takes no lock */
void swapout_each_space(void (*visit)(struct space *s, void *argument), void *argument);

/* While entries move to where the TLBs do not know them yet, the hand passes S by. => space lock for writing */
void swapout_bar(struct space *s, bool on);

/* S has a mapping with VMA_LOCKED from now on. => space lock for writing */
void swapout_note_locked(struct space *s);

/* Moves the hand over about N entries: pages freed. One thread at a time; may sleep. */
u64 swapout_scan(u64 n);
/* Evicts the private pages of [start, end) at once, used or not (MADV_PAGEOUT), or only forgets that they were used
 * (MADV_COLD). => space lock for reading */
void swapout_range(struct space *s, u64 start, u64 end, bool evict);

/* The entries that map one of the N private pages from HEAD on get slots, and the pages enter the swap cache, as far as
 * they are not locked (vm/compact.c). => reclaim_pause; no locks */
void swapout_move(struct page *head, unsigned n);

/* Page faults since boot, and those that had to wait for a disk or the store. */
void space_fault_totals(u64 *all, u64 *major);
/* How many private pages of S are elsewhere: a look at every entry. */
u64 swapout_count(struct space *s);

#endif
