/*
 * Radix trees. A node has 64 slots and stands for 6 bits of the index; the tree is as high as its largest index needs.
 *
 *     height 2:   root --slot[i >> 6]--> node --slot[i & 63]--> entry
 *
 * Each node keeps two bitmaps: `present`, which slots are used, and `tagged`, which of them lead to a tagged entry, so
 * that a search skips what it does not want 64 slots at a time. Invariants: no node but the root is empty; a node's bit
 * in its parent's `tagged` is set exactly when its own `tagged` is not 0.
 */
#include "lib/radix.h"
#include "lib/errno.h"
#ifdef QUIRE_HOST
#include <stdlib.h>
#include <string.h>
#define allocate_node() calloc(1, sizeof(struct radix_node))
#define free_node(n) free(n)
#else
#include "lib/string.h"
#include "vm/kmalloc.h"
#endif

#define SLOT_BITS RADIX_SLOT_BITS
#define SLOTS RADIX_SLOTS
#define SLOT_MASK (SLOTS - 1)
#define MAX_HEIGHT 11 /* 66 bits >= 64 */

#ifndef QUIRE_HOST
static struct radix_node *allocate_node(void)
{
    struct radix_node *n = kmalloc_nowait(sizeof(*n));

    if (n != NULL)
        memset(n, 0, sizeof(*n));
    return n;
}
static void free_node(struct radix_node *n) { kfree(n); }
#endif

static unsigned slot_of(u64 index, unsigned level) { return (index >> (SLOT_BITS * level)) & SLOT_MASK; }

/* Whether INDEX is too large for a tree of HEIGHT levels. */
static bool is_beyond(u64 index, unsigned height)
{
    return height < MAX_HEIGHT && (height == 0 || (index >> (SLOT_BITS * height)) != 0);
}

/* The lowest node for INDEX, or NULL; PATH (may be NULL) gets the nodes passed, by level. */
static struct radix_node *find_leaf(const struct radix *r, u64 index, struct radix_node **path)
{
    struct radix_node *n = r->root;

    if (is_beyond(index, r->height))
        return NULL;
    for (unsigned level = r->height; level-- > 0;) {
        if (n == NULL)
            return NULL;
        if (path != NULL)
            path[level] = n;
        if (level > 0)
            n = n->slot[slot_of(index, level)];
    }
    return n;
}

/* The same, where the next look-up will begin. */
static struct radix_node *go_to_leaf(struct radix *r, u64 index)
{
    struct radix_node *leaf;

    if (radix_is_near(r, index))
        return r->leaf;
    leaf = find_leaf(r, index, NULL);
    if (leaf != NULL) {
        r->leaf = leaf;
        r->leaf_number = (index >> SLOT_BITS) + 1;
    }
    return leaf;
}

void *radix_get_from_root(struct radix *r, u64 index)
{
    const struct radix_node *leaf = go_to_leaf(r, index);

    return leaf != NULL ? leaf->slot[slot_of(index, 0)] : NULL;
}

void radix_replace(struct radix *r, u64 index, void *item)
{
    find_leaf(r, index, NULL)->slot[slot_of(index, 0)] = item;
}

void radix_get_run(struct radix *r, u64 index, unsigned n, void **items)
{
    while (n > 0) {
        const struct radix_node *leaf = go_to_leaf(r, index);
        unsigned slot = slot_of(index, 0), here = n < SLOTS - slot ? n : SLOTS - slot;

        if (leaf == NULL)
            memset(items, 0, here * sizeof(*items));
        else
            for (void *const *from = &leaf->slot[slot], *const *end = from + here, **to = items; from < end;)
                *to++ = *from++; /* most often so few that a call would take longer */
        items += here;
        index += here;
        n -= here;
    }
}

void *const *radix_slots(const struct radix *r, u64 index, unsigned *n)
{
    const struct radix_node *leaf = find_leaf(r, index, NULL);
    unsigned slot = slot_of(index, 0);

    if (*n > SLOTS - slot)
        *n = SLOTS - slot;
    return leaf != NULL ? &leaf->slot[slot] : NULL;
}

/* Adds levels at the top until INDEX fits; an empty tree gets a root of the right height at once. */
static int grow(struct radix *r, u64 index)
{
    unsigned height = r->height;

    if (r->root == NULL) {
        while (is_beyond(index, height))
            height++;
        r->root = allocate_node();
        r->height = r->root == NULL ? 0 : height;
        return r->root == NULL ? -ENOMEM : 0;
    }
    while (is_beyond(index, r->height)) {
        struct radix_node *n = allocate_node();

        if (n == NULL)
            return -ENOMEM;
        n->slot[0] = r->root;
        n->present = 1;
        n->tagged = r->root->tagged != 0;
        r->root = n;
        r->height++;
    }
    return 0;
}

/* Takes out nodes that are empty, from PATH's at LEVEL upwards. */
static void prune_path(struct radix *r, u64 index, struct radix_node **path, unsigned level)
{
    if (path[level]->present == 0)
        r->leaf_number = 0;
    for (; level < r->height && path[level]->present == 0; level++) {
        bool is_root = level + 1 == r->height;

        free_node(path[level]);
        if (is_root) {
            r->root = NULL;
            r->height = 0;
        } else {
            struct radix_node *parent = path[level + 1];
            u64 bit = BIT(slot_of(index, level + 1));

            parent->slot[slot_of(index, level + 1)] = NULL;
            parent->present &= ~bit;
            parent->tagged &= ~bit;
        }
    }
}

int radix_insert(struct radix *r, u64 index, void *item)
{
    struct radix_node *n, *path[MAX_HEIGHT];
    unsigned level;
    int err = grow(r, index);

    if (err != 0)
        return err;
    n = r->root;
    for (level = r->height - 1;; level--) {
        unsigned slot = slot_of(index, level);

        path[level] = n;
        if (level == 0)
            break;
        if (n->slot[slot] == NULL) {
            n->slot[slot] = allocate_node();
            if (n->slot[slot] == NULL)
                goto no_memory;
            n->present |= BIT(slot);
        }
        n = n->slot[slot];
    }
    if (n->slot[slot_of(index, 0)] != NULL)
        return -EEXIST;
    n->slot[slot_of(index, 0)] = item;
    n->present |= BIT(slot_of(index, 0));
    return 0;

no_memory:
    prune_path(r, index, path, level);
    return -ENOMEM;
}

int radix_insert_run(struct radix *r, u64 index, unsigned n, void *first, size_t step)
{
    char *item = first;
    unsigned done = 0;

    while (done < n) {
        struct radix_node *leaf;
        int error = radix_insert(r, index + done, item); /* makes the leaf; the rest of it follows */

        if (error != 0) {
            while (done > 0)
                radix_remove(r, index + --done);
            return error;
        }
        leaf = find_leaf(r, index + done, NULL);
        for (done++, item += step; done < n && slot_of(index + done, 0) != 0; done++, item += step)
            leaf->slot[slot_of(index + done, 0)] = item, leaf->present |= BIT(slot_of(index + done, 0));
    }
    return 0;
}

/* Makes the `tagged` bits above agree after the lowest node's changed. */
static void propagate_tag(struct radix *r, u64 index, struct radix_node **path)
{
    for (unsigned level = 1; level < r->height; level++) {
        u64 bit = BIT(slot_of(index, level)), old = path[level]->tagged;

        path[level]->tagged = path[level - 1]->tagged != 0 ? old | bit : old & ~bit;
        if (path[level]->tagged == old)
            return;
    }
}

void radix_tag(struct radix *r, u64 index, bool on)
{
    struct radix_node *path[MAX_HEIGHT], *n = find_leaf(r, index, path);
    u64 bit = BIT(slot_of(index, 0));

    if (n == NULL || (n->present & bit) == 0)
        return;
    n->tagged = on ? n->tagged | bit : n->tagged & ~bit;
    propagate_tag(r, index, path);
}

bool radix_is_tagged(const struct radix *r, u64 index)
{
    const struct radix_node *n = find_leaf(r, index, NULL);

    return n != NULL && (n->tagged & BIT(slot_of(index, 0))) != 0;
}

void *radix_remove(struct radix *r, u64 index)
{
    struct radix_node *path[MAX_HEIGHT], *n = find_leaf(r, index, path);
    unsigned slot = slot_of(index, 0);
    void *item;

    if (n == NULL || n->slot[slot] == NULL)
        return NULL;
    item = n->slot[slot];
    n->slot[slot] = NULL;
    n->present &= ~BIT(slot);
    if (n->tagged & BIT(slot)) {
        n->tagged &= ~BIT(slot);
        propagate_tag(r, index, path);
    }
    prune_path(r, index, path, 0);
    return item;
}

/* The first entry at or after *INDEX below N, which stands at LEVEL and covers *INDEX or begins after it. */
static void *search(const struct radix_node *n, unsigned level, u64 *index, bool tagged)
{
    u64 map = (tagged ? n->tagged : n->present) & ~(BIT(slot_of(*index, level)) - 1);

    while (map != 0) {
        unsigned slot = (unsigned)__builtin_ctzll(map), shift = SLOT_BITS * level;
        void *found;

        if (slot != slot_of(*index, level)) { /* skipped ahead: the bits below begin at 0 again */
            *index = (*index >> shift & ~(u64)SLOT_MASK) << shift;
            *index |= (u64)slot << shift;
        }
        if (level == 0)
            return n->slot[slot];
        found = search(n->slot[slot], level - 1, index, tagged);
        if (found != NULL)
            return found;
        map &= map - 1;
    }
    return NULL;
}

static void *next_entry(const struct radix *r, u64 *index, bool tagged)
{
    u64 at = *index;
    void *found;

    if (r->root == NULL || is_beyond(at, r->height))
        return NULL;
    found = search(r->root, r->height - 1, &at, tagged);
    if (found != NULL)
        *index = at;
    return found;
}

void *radix_next(const struct radix *r, u64 *index) { return next_entry(r, index, false); }
void *radix_next_tagged(const struct radix *r, u64 *index) { return next_entry(r, index, true); }

static void destroy_below(struct radix_node *n, unsigned level)
{
    if (level > 0)
        for (u64 map = n->present; map != 0; map &= map - 1)
            destroy_below(n->slot[__builtin_ctzll(map)], level - 1);
    free_node(n);
}

void radix_destroy(struct radix *r)
{
    if (r->root != NULL)
        destroy_below(r->root, r->height - 1);
    r->root = NULL;
    r->height = 0;
    r->leaf_number = 0;
}
