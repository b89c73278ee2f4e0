/*
 * Slots and the swap cache: contract and invariants in swap.h.
 *
 *    state of a slot's bytes:   NOWHERE ---store---> FILL | POOL ---write out---> DEVICE
 *                               (page only)                \------ swapoff -----/
 *
 * A page that is read for one of several entries (swapin.c) stays in the cache, with its bytes where they were too, so
 * that the other entries find it and it can go again for nothing.
 *
 * Slots are in chunks of a page each, found through a directory; chunks stay. Locks: a slot's fields under one of
 * `locks`, taken after table locks and object->lock; `slots.lock` (the free list) and the store's after that. What
 * sleeps (devices) works on a pinned slot or, in eviction, on a page, and looks again afterwards.
 */
#include "vm/swap.h"
#include "lib/lz4.h"
#include "lib/string.h"
#include "sched/thread.h"
#include "vm/cache.h"
#include "vm/lazy.h"
#include "vm/swapdev.h"
#include "vm/swapslot.h"
#include "vm/zpool.h"

#define N_LOCKS 64
#define CHUNK_SLOTS (PAGE_SIZE / sizeof(struct swap_slot))
#define DIRECTORY_PAGES 512
#define PER_DIRECTORY_PAGE (PAGE_SIZE / sizeof(struct swap_slot *))
static_assert(DIRECTORY_PAGES * PER_DIRECTORY_PAGE * CHUNK_SLOTS <= BIT(32), "the store remembers slots in 32 bits");

static struct spinlock locks[N_LOCKS];

static struct {
    struct spinlock lock;
    u64 first_free; /* list through `where` */
    u64 n, n_used;  /* slots that exist, 0 included */
    struct swap_slot **directory[DIRECTORY_PAGES];
} slots;

struct swap_stats swap_counts; /* atomic; what memory_stats and /proc show */

struct swap_slot *swap_slot(u64 slot)
{
    u64 chunk = slot / CHUNK_SLOTS;

    ASSERT(slot != 0 && slot < load_relaxed(&slots.n));
    return &slots.directory[chunk / PER_DIRECTORY_PAGE][chunk % PER_DIRECTORY_PAGE][slot % CHUNK_SLOTS];
}

u64 swap_slot_limit(void) { return load_acquire(&slots.n); }

struct swap_slot *swap_lock(u64 slot)
{
    spin_lock(&locks[slot % N_LOCKS]);
    return swap_slot(slot);
}
void swap_unlock(u64 slot) { spin_unlock(&locks[slot % N_LOCKS]); }

/* ---- making and freeing slots ---- */

void *swap_table_page(void)
{
    struct page *page = page_alloc(ALLOC_ZERO | ALLOC_RESERVE | ALLOC_NO_WAIT);

    if (page == NULL)
        return NULL;
    page->flags = PG_KERNEL;
    return page_address(page);
}

/* One more chunk of free slots. => slots.lock */
static bool add_chunk(void)
{
    u64 chunk = slots.n / CHUNK_SLOTS, first = MAX(slots.n, 1ul), end = (chunk + 1) * CHUNK_SLOTS;
    struct swap_slot ***directory = &slots.directory[chunk / PER_DIRECTORY_PAGE], *new;

    if (chunk >= DIRECTORY_PAGES * PER_DIRECTORY_PAGE)
        return false;
    if (*directory == NULL && (*directory = swap_table_page()) == NULL)
        return false;
    new = swap_table_page();
    if (new == NULL)
        return false;
    (*directory)[chunk % PER_DIRECTORY_PAGE] = new;
    for (u64 i = end; i-- > first;) {
        new[i % CHUNK_SLOTS].where = slots.first_free;
        slots.first_free = i;
    }
    store_release(&slots.n, end);
    return true;
}

static u64 alloc_slot(void)
{
    u64 slot = 0;

    spin_lock(&slots.lock);
    if (slots.first_free != 0 || add_chunk()) {
        slot = slots.first_free;
        slots.first_free = swap_slot(slot)->where;
        slots.n_used++;
    }
    spin_unlock(&slots.lock);
    return slot;
}

void swap_forget_copy(struct swap_slot *s)
{
    if (s->kind == SLOT_POOL)
        zpool_free(slot_handle(s));
    if (s->kind == SLOT_POOL || s->kind == SLOT_FILL)
        atomic_sub(&swap_counts.compressed, 1);
    if (s->kind == SLOT_DEVICE)
        swapdev_free(s->where);
    s->kind = SLOT_NOWHERE;
}

/* S has neither references nor pins. => slot locked; its page, if any, was taken out */
static void free_slot(u64 slot, struct swap_slot *s)
{
    ASSERT(s->page == NULL && s->refs == 0 && s->pins == 0);
    swap_forget_copy(s);
    s->kind = SLOT_FREE;
    spin_lock(&slots.lock);
    s->where = slots.first_free;
    slots.first_free = slot;
    slots.n_used--;
    spin_unlock(&slots.lock);
}

struct page *swap_uncache(struct swap_slot *s)
{
    struct page *page = s->page;

    s->page = NULL;
    page->private = 0;
    atomic_and(&page->flags, ~(u32)PG_SWAPCACHE);
    atomic_sub(&swap_counts.cached, 1);
    return page;
}

void swap_cache(u64 slot, struct swap_slot *s, struct page *page)
{
    page->private = slot;
    s->page = page;
    atomic_or(&page->flags, PG_SWAPCACHE);
    atomic_add_relaxed(&swap_counts.cached, 1);
}

/* Frees S once nobody refers to it; returns a page for page_put outside the lock, or NULL. => slot locked */
static struct page *free_if_unused(u64 slot, struct swap_slot *s)
{
    struct page *page = NULL;

    if (s->refs != 0 || s->pins != 0)
        return NULL;
    if (s->page != NULL)
        page = swap_uncache(s);
    free_slot(slot, s);
    return page;
}

void swap_get(u64 slot)
{
    swap_lock(slot)->refs++;
    swap_unlock(slot);
}

u32 swap_references(u64 slot)
{
    u32 refs = swap_lock(slot)->refs;

    swap_unlock(slot);
    return refs;
}

void swap_put(u64 slot)
{
    struct swap_slot *s = swap_lock(slot);
    struct page *page;

    ASSERT(s->refs > 0);
    s->refs--;
    page = free_if_unused(slot, s);
    swap_unlock(slot);
    if (page != NULL)
        page_put(page);
}

void swap_unpin(u64 slot)
{
    struct swap_slot *s = swap_lock(slot);
    struct page *page;

    s->pins--;
    page = free_if_unused(slot, s);
    swap_unlock(slot);
    if (page != NULL)
        page_put(page);
}

/* ---- what is in memory still ---- */

static bool is_cached(const struct swap_slot *s)
{
    return s->page != NULL && !(load_acquire(&s->page->flags) & PG_LOADING);
}

struct page *swap_take(u64 slot, bool *shared)
{
    struct swap_slot *s = swap_lock(slot);
    struct page *page = NULL;

    if (is_cached(s) && unlikely(s->page->flags & PG_READ_AHEAD)) {
        atomic_and(&s->page->flags, ~(u32)PG_READ_AHEAD);
        atomic_add_relaxed(&swap_counts.read_ahead_hits, 1);
    }
    if (!is_cached(s)) {
        s->pins++;
    } else if (--s->refs == 0) {
        page = swap_uncache(s);
        if (s->pins == 0)
            free_slot(slot, s);
    } else {
        page = s->page;
        page_get(page);
    }
    *shared = page != NULL && (page->flags & PG_SWAPCACHE) != 0;
    swap_unlock(slot);
    return page;
}

void swap_leave_anonymous(struct page *page)
{
    if (atomic_and(&page->flags, ~(u32)PG_ANON) & PG_ANON)
        atomic_sub(&nr_anon_pages, 1);
}

/* ---- going ---- */

/* The slot of PAGE, if it is in the cache, locked; 0. The caller may hold no reference on PAGE: then it may have become
 * anything. */
static u64 lock_slot_of(const struct page *page)
{
    u64 slot = load_relaxed(&page->private);

    if (!(load_acquire(&page->flags) & PG_SWAPCACHE) || slot == 0 || slot >= swap_slot_limit())
        return 0;
    if (swap_lock(slot)->page == page)
        return slot;
    swap_unlock(slot);
    return 0;
}

u64 swap_add(struct page *page)
{
    u64 slot = lock_slot_of(page);
    struct swap_slot *s;

    if (slot != 0) {
        swap_slot(slot)->refs++;
        swap_unlock(slot);
        return slot;
    }
    slot = alloc_slot();
    if (slot == 0)
        return 0;
    s = swap_lock(slot);
    s->refs = 1;
    s->pins = 0;
    s->kind = SLOT_NOWHERE;
    s->where = 0;
    page_get(page);
    swap_cache(slot, s, page);
    swap_unlock(slot);
    return slot;
}

/* Is all of the page one word? */
static bool is_filled(const u64 *words)
{
    for (unsigned i = 1; i < PAGE_SIZE / sizeof(u64); i++)
        if (words[i] != words[0])
            return false;
    return true;
}

/* The place that eviction found for a page's bytes. Kind NOWHERE: none; `where` is what it compresses to then, in
 * bytes, 0 if it does not, or was not tried. */
struct place {
    u8 kind;
    u64 where;
};

/* => one thread at a time */
static struct place pack(u64 slot, const struct page *page)
{
    static u64 work[LZ4_WORK_SIZE / sizeof(u64)];
    static u8 packed[ZPOOL_LARGEST];
    const u64 *words = page_address(page);
    size_t size;
    u64 handle;

    if (is_filled(words))
        return (struct place){SLOT_FILL, words[0]};
    size = lz4_compress(packed, ZPOOL_LARGEST, words, PAGE_SIZE, work);
    handle = size == 0 ? 0 : zpool_store(packed, (unsigned)size, (u32)slot);
    if (handle == 0)
        return (struct place){SLOT_NOWHERE, size};
    return (struct place){SLOT_POOL, handle << SLOT_SIZE_BITS | size};
}

/* PAGE's bytes are at PLACE: it leaves SLOT, unless somebody has come for it meanwhile. The caller has a reference
 * beside the cache's. */
static bool settle(u64 slot, struct page *page, struct place place)
{
    struct swap_slot *s = swap_lock(slot);
    bool settled = s->page == page && s->kind == SLOT_NOWHERE && load_acquire(&page->refs) == 2;

    if (settled) {
        swap_uncache(s);
        s->kind = place.kind;
        s->where = place.where;
        if (place.kind == SLOT_DEVICE)
            swapdev_note(place.where, slot);
        else
            atomic_add_relaxed(&swap_counts.compressed, 1);
        s->is_young = true;
    }
    swap_unlock(slot);
    if (settled)
        page_put(page);
    return settled;
}

static void drop_place(struct place place)
{
    if (place.kind == SLOT_POOL)
        zpool_free(place.where >> SLOT_SIZE_BITS);
    if (place.kind == SLOT_DEVICE)
        swapdev_free(place.where);
}

/* The page of SLOT with a reference, if only the cache refers to it; a page whose bytes are stored goes at once
 * (*FREED). */
static struct page *unused_page(u64 slot, unsigned *freed)
{
    struct swap_slot *s = swap_lock(slot);
    struct page *page = s->page, *gone = NULL;

    if (page == NULL || load_acquire(&page->refs) != 1 || (load_relaxed(&page->flags) & PG_LOADING)) {
        page = NULL;
    } else if (s->kind != SLOT_NOWHERE) {
        gone = swap_uncache(s);
        page = NULL;
    } else {
        page_get(page);
    }
    swap_unlock(slot);
    if (gone != NULL)
        page_put(gone);
    *freed = gone != NULL;
    return page;
}

/* Slots whose pages wait to be written together. */
#define ASIDE 32
static u64 aside[ASIDE];
static unsigned n_aside;

unsigned swap_store(u64 slot)
{
    unsigned freed = 0;
    struct page *page = unused_page(slot, &freed);
    struct place place;

    if (page == NULL)
        return freed;
    place = swap_prefers_device() ? (struct place){SLOT_NOWHERE, 0} : pack(slot, page);
    if (place.kind != SLOT_NOWHERE) {
        if (settle(slot, page, place)) {
            freed++;
            atomic_add_relaxed(&swap_counts.stored, 1);
        } else {
            drop_place(place);
        }
    } else if (swapdev_has_room()) {
        aside[n_aside++] = slot;
    } else if (place.where == 0) {
        atomic_or(&page->flags, PG_INCOMPRESSIBLE);
    }
    page_put(page);
    if (n_aside == ASIDE)
        freed += swap_write_out();
    return freed;
}

bool swap_move(struct page *page)
{
    bool is_cached_page = (load_relaxed(&page->flags) & PG_SWAPCACHE) != 0;
    struct page *copy = is_cached_page ? page_alloc(ALLOC_USER | ALLOC_NO_WAIT) : NULL;
    u64 slot = copy != NULL ? lock_slot_of(page) : 0;
    bool done = false;

    if (slot != 0) {
        struct swap_slot *s = swap_slot(slot);

        done = load_acquire(&page->refs) == 1 && !(load_relaxed(&page->flags) & (PG_LOADING | PG_WRITEBACK));
        if (done) {
            u32 keeps = load_relaxed(&page->flags) & (PG_ANON | PG_REFERENCED | PG_INCOMPRESSIBLE);

            copy_page(page_address(copy), page_address(page));
            swap_uncache(s);
            copy->flags = keeps; /* with PG_ANON, for which that one was counted */
            page->flags = 0;
            swap_cache(slot, s, copy);
            copy = NULL;
        }
        swap_unlock(slot);
    }
    if (copy != NULL)
        page_put(copy);
    return done;
}

unsigned swap_store_page(struct page *page)
{
    u64 slot = lock_slot_of(page);

    if (slot == 0)
        return 0;
    if (atomic_and(&page->flags, ~(u32)PG_REFERENCED) & PG_REFERENCED) {
        swap_unlock(slot);
        return 0;
    }
    swap_unlock(slot);
    return swap_cannot_store(page) ? 0 : swap_store(slot);
}

static bool tries_all;

void swap_try_all(bool on) { tries_all = on; }

bool swap_cannot_store(const struct page *page)
{
    return (load_relaxed(&page->flags) & PG_INCOMPRESSIBLE) && !tries_all && !swapdev_has_room();
}

unsigned swap_write_out(void)
{
    struct page *pages[ASIDE];
    u64 which[ASIDE], block;
    unsigned n = 0, freed = 0, done, got;

    for (unsigned i = 0; i < n_aside; i++) {
        pages[n] = unused_page(aside[i], &got);
        which[n] = aside[i];
        freed += got;
        n += pages[n] != NULL;
    }
    n_aside = 0;
    for (done = 0; done < n && (got = swapdev_alloc(n - done, &block)) > 0; done += got) {
        int error = swapdev_write(block, &pages[done], got);

        for (unsigned i = 0; i < got; i++) {
            struct place place = {SLOT_DEVICE, block + i};

            if (error == 0 && settle(which[done + i], pages[done + i], place)) {
                freed++;
                atomic_add_relaxed(&swap_counts.out, 1);
            } else {
                drop_place(place);
            }
        }
    }
    for (unsigned i = 0; i < n; i++)
        page_put(pages[i]);
    return freed;
}

void swap_count_written_back(u64 n)
{
    atomic_add_relaxed(&swap_counts.out, n);
    atomic_add_relaxed(&swap_counts.written_back, n);
}

bool swap_is_used(void) { return load_relaxed(&slots.n_used) != 0; }

void swap_stats(struct swap_stats *stats)
{
    struct zpool_stats store;

    zpool_stats(&store);
    *stats = swap_counts;
    stats->store_pages = store.pages;
    stats->lazy_marked = load_relaxed(&nr_lazy_marked);
    stats->lazy_freed = load_relaxed(&nr_lazy_freed);
    stats->slots = load_relaxed(&slots.n_used);
    swapdev_stats(&stats->device_total, &stats->device_free);
}
