/*
 * Pages whose bytes are elsewhere. A slot names the bytes of one page, wherever they are: a page-table entry
 * (pte_is_swap) or an object's marker says the slot's number, and the slot says the place, which may change without
 * anybody who refers to it taking notice.
 *
 *     entry --+                       +--> compressed store (vm/zpool.h)
 *     entry --+--> slot: references --+--> a block of a swap device (vm/swapdev.h)
 *     marker -+         |             +--> one word, of which the page is full
 *                       v
 *                  page in memory ("swap cache"): not written yet, or read again and still shared
 *
 * Invariants:
 *   1. A page in the swap cache (PG_SWAPCACHE, its slot in page->private) has a reference of the cache's own, so it has
 *      at least two when an entry maps it: no entry gets W for it, its bytes do not change.
 *   2. Pages enter the cache in eviction only, one thread at a time (vm/reclaim.c): while that thread works on a page,
 *      others may take it out of its slot but nobody puts it back.
 *   3. A slot with references or pins is not reused.
 */
#ifndef VM_SWAP_H
#define VM_SWAP_H

#include "vm/page.h"

/* Slot numbers begin at 1: 0 is none. */

/* Another reference for an entry that was copied, and one entry's end. => under table locks */
void swap_get(u64 slot);
void swap_put(u64 slot);
u32 swap_references(u64 slot); /* that entries and markers have, at this moment */

/* The page of SLOT, whose reference the caller gives up for one on the page. The last one takes it out of the cache and
 * the slot is gone; *SHARED tells that others refer to the bytes still. NULL: it is not in memory; SLOT is pinned then,
 * for swap_load. => the entry's or marker's lock */
struct page *swap_take(u64 slot, bool *shared);
/* Brings the page of SLOT, which is pinned, into the cache and unpins it: 0, -ENOMEM, -EIO. => no spinlock */
int swap_load(u64 slot);
/* PAGE, which swap_take gave without SHARED, becomes an object's. */
void swap_leave_anonymous(struct page *page);

/* ---- eviction: one thread at a time ---- */

/* A slot for PAGE, which enters the cache, with one reference; or one more on the slot it has. 0: no memory. */
u64 swap_add(struct page *page);
/* Stores the bytes of SLOT's page and frees it, if nobody uses it: pages freed. May sleep. */
unsigned swap_store(u64 slot);
/* The same for a page that the clock's hand has come to and that may be in the swap cache. */
unsigned swap_store_page(struct page *page);
/* PAGE, if it is in the swap cache and nobody uses it, leaves it to a copy of it, and is the caller's, with one
 * reference. The caller may hold none before. */
bool swap_move(struct page *page);
/* Writes what swap_store has put aside for a device: pages freed. Sleeps. */
unsigned swap_write_out(void);
/* Moves about N pages' bytes, those stored first, from the store to devices: how many. Sleeps. */
u64 swap_write_back(u64 n);
/* Packs what is in the store more closely, until N pages are free or there is nothing to gain: pages freed. */
u64 swap_pack(u64 n);
/* Whether PAGE is known not to compress while there is no device for it. */
bool swap_cannot_store(const struct page *page);
/* Whether such pages are tried again all the same: they may have changed. */
void swap_try_all(bool on);

/* ---- figures: pages ---- */
struct swap_stats {
    u64 cached;      /* in the swap cache */
    u64 compressed;  /* slots whose bytes are in the store, or one word */
    u64 store_pages; /* memory that the store takes */
    u64 slots;       /* in use */
    u64 device_total, device_free;
    u64 in, out;                      /* since boot: read from and written to devices */
    u64 stored, loaded, written_back; /* into and out of the store; from there to a device */
    u64 read_ahead, read_ahead_hits;  /* of `in`: with others; and asked for then */
    u64 lazy_marked, lazy_freed;      /* by MADV_FREE; dropped for it */
};
void swap_stats(struct swap_stats *stats);
bool swap_is_used(void); /* there are slots */

#endif
