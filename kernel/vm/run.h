/*
 * Runs: 512 pages of a memory object (tmpfs, shared memory) that fill an aligned 2 MiB of it and lie together, so that
 * a mapping can show them by one entry. They are ordinary pages; all have PG_RUN, and the first one says by it that the
 * run is whole. A page that leaves its object (truncation, a hole, swap) ends that, under the object's lock, before the
 * mappings are looked at.
 */
#ifndef VM_RUN_H
#define VM_RUN_H

#include "vm/object.h"

struct fault;

/* Who wants a page that may come as a run: nobody who is asked, a mapping with MADV_HUGEPAGE, or one that forbids it.
 */
enum run_wish { RUN_PLAIN, RUN_ADVISED, RUN_FORBIDDEN };

extern u64 nr_runs;

/* O gets the run around page INDEX, where it has no page yet, if its owner wants that and there is memory. False: not.
 */
bool run_add(struct object *o, u64 index, bool below_size, enum run_wish wish);
/* The 512 pages of O from FIRST on become a run, whatever its owner says; mappings lose them. 0, -ENOMEM; -EAGAIN: some
 * are in use. => no spinlock, no mappings_lock */
int run_collapse(struct object *o, u64 first, bool only_if_plenty);
/* They are no run, but at most so many of them are missing or swapped. */
bool run_is_due(struct object *o, u64 first, unsigned max_none, unsigned max_swapped);
/* A mapping that shows any of them has one of VMA_FLAGS. => no spinlock, no mappings_lock */
bool run_is_watched(struct object *o, u64 first, u32 vma_flags);
/* PAGE, which has PG_RUN, leaves its object. => the object's lock */
void run_break(struct page *page);

/* For pt_install_huge: the run that begins with HEAD, at page INDEX of O. */
struct run_hold {
    struct object *object;
    struct page *head;
    u64 index, lock_flags;
    bool for_stores; /* all pages must be ready to be stored to */
};
/* True: it is whole, each page has a reference more, and the object's lock is held until run_held. => table locked */
bool run_hold(struct run_hold *run);
void run_held(struct run_hold *run);

/* The fault is in a span without a table of a shared mapping that may be large enough: maps a run there. NOT_OURS:
 * single pages, then. => space->lock for reading */
int run_fault(struct fault *f);

#endif
