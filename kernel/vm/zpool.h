/*
 * The compressed store: bytes that need less than a page, packed into pages. An object is named by a handle, which
 * stays; what is in it is its owner's, who also remembers its size.
 */
#ifndef VM_ZPOOL_H
#define VM_ZPOOL_H

#include "lib/types.h"

#define ZPOOL_LARGEST 3520 /* bytes; more than these save too little */

/* A copy of SIZE bytes: its handle, 0 when there is no page for it. Neither sleeps nor waits for reclaim. */
u64 zpool_store(const void *data, unsigned size);
/* The SIZE bytes of an object that nobody frees meanwhile: in place, or in BOUNCE if they lie on two pages. */
const void *zpool_load(u64 handle, unsigned size, void *bounce);
void zpool_free(u64 handle);

struct zpool_stats {
    u64 pages, objects;
};
void zpool_stats(struct zpool_stats *stats);

#endif
