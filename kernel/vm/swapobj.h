/*
 * Pages of memory-only objects (tmpfs, memfd, shared memory) whose bytes are elsewhere: in the object's tree stands a
 * marker with the number of a slot (vm/swap.h) instead of the page. The object still has that page (nr_pages,
 * object_has_page).
 */
#ifndef VM_SWAPOBJ_H
#define VM_SWAPOBJ_H

#include "vm/object.h"

static inline bool is_marker(const void *item) { return ((u64)item & 1) != 0; }
static inline u64 marker_slot(const void *item) { return (u64)item >> 1; }

extern u64 nr_memory_swapped; /* markers; atomic */

/* PAGE, which only O refers to, goes: its slot, whose store the caller starts when O is unlocked; 0: no memory.
 * => o->lock; one thread at a time */
u64 object_swap_out_locked(struct object *o, struct page *page);
/* How many pages of O are elsewhere. */
u64 object_count_swapped(struct object *o);
/* The page at INDEX, if a marker stands there, is brought back: 0 (also if there is none), -ENOMEM, -EIO. May sleep. */
int object_swap_in(struct object *o, u64 index);
/* The marker ITEM at INDEX goes, with its bytes. => o->lock */
void object_forget_marker(struct object *o, u64 index, void *item);

#endif
