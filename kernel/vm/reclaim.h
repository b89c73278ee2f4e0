/* Taking memory back from caches when it runs low. */
#ifndef VM_RECLAIM_H
#define VM_RECLAIM_H

#include "lib/list.h"
#include "lib/types.h"

/* The allocator found no run of 1 << ORDER pages: wakes the reclaim thread and waits for progress. False after some
 * ROUNDs without (0, 1, 2...): give up. FOR_USER: at once, too, when the caller is to be killed. */
bool reclaim_wait(unsigned round, unsigned order, bool for_user);
/* An allocator's hint that free memory is low. */
void reclaim_kick(void);

/* Nobody else evicts meanwhile: who does it himself (vm/swapout.h, vm/swap.h) is the one thread. => no locks */
void reclaim_pause(bool on);

struct object;
/* Pages [first, last] of O that can go, go, used or not. => O stays; no locks but space locks */
void reclaim_object_range(struct object *o, u64 first, u64 last);

/* /proc/sys/vm/drop_caches: clean cache pages, and what the caches above vm (inodes, names) can spare. */
#define DROP_PAGES 1
#define DROP_OTHERS 2
void drop_caches(unsigned which);

/* OBJECT has no pages any more and is going away: waits until reclaim does not look at it. */
void reclaim_forget_object(struct object *object);

/* Reclaim asks caches outside vm/ (inodes, names, buffers) to give memory back: SHRINK frees about N pages' worth and
 * says how many. May sleep. Who waits for the memory meanwhile may hold inode or space locks: use trylock. => no locks
 */
struct shrinker {
    struct list link;
    u64 (*shrink)(u64 n_pages);
    const char *name;
};
void shrinker_register(struct shrinker *s);

#endif
