/*
 * Inside the page allocator: the free pages of all harts. vm/buddy.c keeps them in blocks of 2^order pages; vm/page.c
 * takes pages from there by the batch for each hart, and gives them back so.
 */
#ifndef VM_BUDDY_H
#define VM_BUDDY_H

#include "vm/page.h"

#define MAX_ORDER 10
#define BATCH_ORDER 4
#define BATCH_PAGES (1u << BATCH_ORDER)

/* P was free, and is the caller's: one reference, and nothing is said about it. */
static inline void page_claim(struct page *p)
{
    p->refs = 1;
    p->flags = 0;
    p->object = NULL;
    p->index = 0;
    p->private = 0;
}

/* All of these take the lock themselves; the pages that they give are to be claimed. */

/* A block of 2^order pages; NULL: there is none beyond the reserve that ALLOC_FLAGS must leave. */
struct page *buddy_take(unsigned order, unsigned alloc_flags);
/* The same only while twice that is left to user memory, and no batches are broken up for it. => interrupts off */
struct page *buddy_take_spare(unsigned order);
/* The block from HEAD on goes back, and merges with its free buddies. */
void buddy_put(struct page *head, unsigned order);

/* Free pages, the one to be used first at the end: BATCH_PAGES, or 1 where memory is in pieces, or 0, when the reserve
 * that ALLOC_FLAGS must leave begins. How many. => interrupts off; room for BATCH_PAGES in PAGES */
unsigned buddy_take_batch(struct page **pages, unsigned alloc_flags);
/* BATCH_PAGES free pages are kept as they are for the next who takes a batch. => interrupts off */
void buddy_put_batch(struct page **pages);
/* These N free pages go back one by one, and all kept batches: what can merge does. => interrupts off */
void buddy_merge(struct page **pages, u64 n);

u64 buddy_free_count(void); /* pages; those that harts keep are not counted */

#endif
