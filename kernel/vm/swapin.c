/*
 * Bytes come back: out of the compressed store, or from a swap device, where a read brings the blocks around along
 * (vm.page-cluster): what was evicted together was written in a row. Contract in swap.h.
 *
 * A page that is being read is in the swap cache and LOADING, its slot pinned: others who want it wait for it there.
 */
#include "lib/lz4.h"
#include "lib/string.h"
#include "sched/thread.h"
#include "vm/cache.h"
#include "vm/limits.h"
#include "vm/swap.h"
#include "vm/swapdev.h"
#include "vm/swapslot.h"
#include "vm/zpool.h"

#define MAX_CLUSTER_SHIFT 5
#define MAX_CLUSTER (1u << MAX_CLUSTER_SHIFT)

/* The slot's lock keeps the store's object, and us on this hart with its bounce page. */
bool swap_unpack(const struct swap_slot *s, struct page *page)
{
    static u8 bounce[MAX_HARTS][PAGE_SIZE];
    u64 *words = page_address(page);

    if (s->kind == SLOT_FILL) {
        if (s->where == 0)
            clear_page(words);
        else
            for (unsigned i = 0; i < PAGE_SIZE / sizeof(u64); i++)
                words[i] = s->where;
        return true;
    }
    return lz4_decompress(words, PAGE_SIZE, zpool_load(slot_handle(s), slot_size(s), bounce[hart_id()]), slot_size(s));
}

/* ---- reading from devices, with neighbours ---- */

/* Blocks in a row and the slots whose bytes they have. Pages are in the cache and LOADING, their slots pinned. */
struct cluster {
    u64 block; /* the first */
    unsigned n;
    u64 slots[MAX_CLUSTER];
    struct page *pages[MAX_CLUSTER];
};

/* A page for the slot whose bytes are on BLOCK, if there is one and nobody else has begun to read them; NULL. => a
 * block of the same device is being read */
static struct page *begin_ahead(u64 block, u64 *of)
{
    u64 slot = *of = swapdev_slot(block);
    struct swap_slot *s = slot == 0 ? NULL : swap_slot(slot);
    struct page *page;
    bool wanted = s != NULL && load_relaxed(&s->where) == block && load_relaxed(&s->page) == NULL; /* most often */

    page = wanted ? page_alloc(ALLOC_USER | ALLOC_NO_WAIT) : NULL;
    if (page == NULL)
        return NULL;
    s = swap_lock(slot);
    wanted = s->kind == SLOT_DEVICE && s->where == block && s->page == NULL && s->refs > 0;
    if (wanted) {
        page_make_anonymous(page);
        atomic_or(&page->flags, PG_LOADING | PG_READ_AHEAD);
        s->pins++;
        swap_cache(slot, s, page);
    }
    swap_unlock(slot);
    if (wanted)
        return page;
    page_put(page);
    return NULL;
}

/* PAGE is to be read for SLOT from BLOCK: finds what can be read with it, within an aligned group of blocks. */
static void gather_cluster(struct cluster *c, u64 slot, u64 block, struct page *page)
{
    unsigned size = 1u << MIN(load_relaxed(&vm_settings.page_cluster), (unsigned)MAX_CLUSTER_SHIFT), n = 0;
    struct page *below[MAX_CLUSTER];
    u64 of[MAX_CLUSTER], first, end;

    if (page_free_count() < page_total_count() / 48) /* memory is low: this costs more than it may bring */
        size = 1;
    swapdev_group(block, &first, &size);
    end = first + size;
    while (block - n > first && (below[n] = begin_ahead(block - n - 1, &of[n])) != NULL)
        n++;
    c->block = block - n;
    for (c->n = 0; n > 0; c->n++) {
        c->pages[c->n] = below[--n];
        c->slots[c->n] = of[n];
    }
    do {
        c->pages[c->n] = page;
        c->slots[c->n++] = slot;
    } while (++block < end && (page = begin_ahead(block, &slot)) != NULL);
}

/* The reading of PAGE, SLOT's, has ended. */
static void loaded(u64 slot, struct page *page, int error)
{
    struct swap_slot *s = swap_lock(slot);

    if (error != 0)
        swap_uncache(s);
    swap_unlock(slot);
    page_clear_and_wake(page, PG_LOADING);
    if (error != 0)
        page_put(page);
}

/* The slot's block is read into PAGE, which is in the cache and LOADING. */
static int load_from_device(u64 slot, struct page *page, u64 block)
{
    struct cluster c;
    int error;

    gather_cluster(&c, slot, block, page);
    error = swapdev_read(c.block, c.pages, c.n);
    if (error == 0) {
        atomic_add_relaxed(&swap_counts.in, c.n);
        atomic_add_relaxed(&swap_counts.read_ahead, c.n - 1);
    }
    for (unsigned i = 0; i < c.n; i++)
        if (c.slots[i] != slot) {
            loaded(c.slots[i], c.pages[i], error);
            swap_unpin(c.slots[i]);
        }
    if (error != 0 && c.n > 1) /* perhaps a neighbour's fault */
        error = swapdev_read(block, &page, 1);
    loaded(slot, page, error);
    return error;
}

static int load(u64 slot, struct page *fresh, bool *used)
{
    struct swap_slot *s = swap_lock(slot);
    struct page *page = s->page;
    u64 block = s->where;
    int error = 0;

    *used = page == NULL;
    if (page != NULL) { /* somebody else was faster, or still reads it */
        page_get(page);
        swap_unlock(slot);
        page_wait(page, PG_LOADING);
        page_put(page);
        return 0;
    }
    page_make_anonymous(fresh);
    atomic_or(&fresh->flags, PG_REFERENCED);
    if (s->kind == SLOT_DEVICE) {
        atomic_or(&fresh->flags, PG_LOADING);
        swap_cache(slot, s, fresh);
        swap_unlock(slot);
        return load_from_device(slot, fresh, block);
    }
    if (s->kind == SLOT_NOWHERE) { /* its page was taken meanwhile, by the last one who referred to it */
        *used = false;
    } else if (swap_unpack(s, fresh)) {
        swap_cache(slot, s, fresh);
        atomic_add_relaxed(&swap_counts.loaded, 1);
    } else {
        *used = false;
        error = -EIO;
    }
    swap_unlock(slot);
    return error;
}

int swap_load(u64 slot)
{
    struct page *fresh = page_alloc(ALLOC_USER);
    bool used = false;
    int error = fresh == NULL ? -ENOMEM : load(slot, fresh, &used);

    if (fresh != NULL && !used)
        page_put(fresh);
    swap_unpin(slot);
    return error;
}
