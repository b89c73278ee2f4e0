/*
 * Radix tree from a 64-bit index to a pointer, 64 slots a node, with one tag bit per entry ("dirty") that can be
 * searched. The caller serialises all calls (the page cache holds object->lock); lookups may not run beside changes.
 */
#ifndef LIB_RADIX_H
#define LIB_RADIX_H

#include "lib/types.h"

#define RADIX_SLOT_BITS 6
#define RADIX_SLOTS (1u << RADIX_SLOT_BITS)

struct radix_node {
    u64 present, tagged;     /* slots, see radix.c */
    void *slot[RADIX_SLOTS]; /* nodes, or entries in the lowest level */
};
#define RADIX_NODE_SIZE sizeof(struct radix_node) /* what an insertion may have to allocate, several times */

struct radix {
    struct radix_node *root;
    unsigned height; /* levels of nodes; 0 = empty */
    /* The lowest node that a look-up ended in last, where most of those to come end too; it holds the indexes from
     * (leaf_number - 1) * RADIX_SLOTS on. 0: none. */
    u64 leaf_number;
    struct radix_node *leaf;
};

/* Whether INDEX is where the last look-up ended. */
static inline bool radix_is_near(const struct radix *r, u64 index)
{
    return r->leaf_number == (index >> RADIX_SLOT_BITS) + 1;
}

void *radix_get_from_root(struct radix *r, u64 index);
static inline void *radix_get(struct radix *r, u64 index)
{
    if (likely(radix_is_near(r, index)))
        return r->leaf->slot[index % RADIX_SLOTS];
    return radix_get_from_root(r, index);
}
/* The entries of [INDEX, INDEX + N) into ITEMS, NULL where there is none. */
void radix_get_run(struct radix *r, u64 index, unsigned n, void **items);
/* Where the entries of [INDEX, INDEX + *N) are, as many as lie in one node: *N becomes how many. NULL: there are none
 * of these. */
void *const *radix_slots(const struct radix *r, u64 index, unsigned *n);
/* 0, -ENOMEM, or -EEXIST when there is an entry already. ITEM is not NULL. Allocates, never sleeps. */
int radix_insert(struct radix *r, u64 index, void *item);
/* N entries at once from INDEX on, where there is none: FIRST and what lies STEP bytes behind each other. -ENOMEM: none
 * is entered. */
int radix_insert_run(struct radix *r, u64 index, unsigned n, void *first, size_t step);
/* What there is at INDEX becomes ITEM, its tag stays. => there is something */
void radix_replace(struct radix *r, u64 index, void *item);
/* Takes the entry out and returns it (NULL if none); frees nodes that became empty. */
void *radix_remove(struct radix *r, u64 index);
/* The first entry with index >= *INDEX: returned with *INDEX set to its index, or NULL. */
void *radix_next(const struct radix *r, u64 *index);
void *radix_next_tagged(const struct radix *r, u64 *index);
void radix_tag(struct radix *r, u64 index, bool on);
bool radix_is_tagged(const struct radix *r, u64 index);
/* Frees the nodes; the entries are the caller's. */
void radix_destroy(struct radix *r);

#endif
