/*
 * The compressed store: bytes that need less than a page, packed into pages. An object is named by a handle, which
 * stays until its owner moves it; what is in it is its owner's, who also remembers its size.
 */
#ifndef VM_ZPOOL_H
#define VM_ZPOOL_H

#include "lib/types.h"

#define ZPOOL_LARGEST 3516 /* bytes; more than these save too little */

/* A copy of SIZE bytes, which OWNER can tell apart from all others: its handle, 0 when there is no page for it. Neither
 * sleeps nor waits for reclaim. */
u64 zpool_store(const void *data, unsigned size, u32 owner);
/* The SIZE bytes of an object that nobody frees meanwhile: in place, or in BOUNCE if they lie on two pages. */
const void *zpool_load(u64 handle, unsigned size, void *bounce);
void zpool_free(u64 handle);

/* Packs what is in the store more closely where it has become loose, until N pages are free or there is nothing to gain:
 * how many are. MOVE is asked, with no lock held, to have OWNER's object moved (zpool_move), if it has that handle
 * still. => one thread at a time */
typedef void zpool_mover(u64 owner, u64 handle);
u64 zpool_compact(zpool_mover *move, u64 n);
/* From MOVE: the object's new handle; 0: it stays. => nobody frees it or looks at it meanwhile */
u64 zpool_move(u64 handle);

struct zpool_stats {
    u64 pages, objects;
};
void zpool_stats(struct zpool_stats *stats);

#endif
