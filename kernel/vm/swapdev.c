/*
 * Swap devices. Each has a bitmap of its pages; blocks are handed out in runs, so that what is evicted together is
 * written together, from the device with the highest priority that has room, in turns among equals.
 *
 *    priority  5: [vdb] [vdc]     <- these two by turns, until both are full
 *    priority -2: [/swapfile]     <- then this one
 *
 * Each also knows, in pages that come when they are needed, whose bytes are on its blocks, so that who reads one can
 * read those around it (swapin.c). An entry stays when its block is freed: a slot says where its bytes are, this is
 * where to look.
 *
 * swapoff needs no look at page tables or objects: slots that say "on this device" get their pages read into the swap
 * cache and forget the block.
 *
 * Locks: `lock` (spin) devices' bitmaps and figures, after slot locks; `admin` (mutex) adding and removing.
 */
#include "vm/swapdev.h"
#include "dev/block.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "sched/thread.h"
#include "vm/kmalloc.h"
#include "vm/reclaim.h"
#include "vm/space.h"
#include "vm/swap.h"
#include "vm/swapslot.h"
#include "vm/vma.h"
#include "vm/zpool.h"

#define FIRST_PRIORITY (-2) /* of those that are given none, then downwards */
#define PAGE_BIT_SHIFT 48
#define PAGE_SECTORS (PAGE_SIZE / SECTOR_SIZE)
#define MAX_RUN 32
#define SLOTS_PER_PAGE (PAGE_SIZE / sizeof(u32))

struct device {
    struct swap_area area; /* file == NULL: not there */
    u64 *bitmap;           /* 1: in use, or never to be used */
    u32 **slots;           /* by page: whose bytes are there, SLOTS_PER_PAGE in each part; parts may be NULL */
    u64 n_usable, n_used, next;
    bool closing; /* nothing more goes there */
};

static struct {
    struct spinlock lock;
    struct mutex admin;
    struct device device[MAX_SWAP_DEVICES];
    unsigned turn; /* who of equals is asked first */
    int lowest;    /* priority given last */
    bool removing; /* a swapoff is under way */
    bool no_room;  /* and had better end */
    u64 total, used;
} swap = {.admin = MUTEX_INIT(swap.admin), .lowest = FIRST_PRIORITY + 1};

static bool is_set(const struct device *d, u64 i) { return (d->bitmap[i / 64] & BIT(i % 64)) != 0; }

/* ---- blocks ---- */

bool swapdev_has_room(void) { return load_relaxed(&swap.used) < load_relaxed(&swap.total); }

static u64 store_pages(void)
{
    struct zpool_stats store;

    zpool_stats(&store);
    return store.pages;
}

bool swap_store_is_large(void) { return swapdev_has_room() && store_pages() > page_total_count() / 4; }
bool swap_prefers_device(void) { return swapdev_has_room() && store_pages() > page_total_count() * 2 / 5; }

static bool has_room(const struct device *d) { return d->area.file != NULL && !d->closing && d->n_used < d->n_usable; }

/* => lock */
static struct device *next_device(void)
{
    struct device *best = NULL;

    for (unsigned k = 0; k < MAX_SWAP_DEVICES; k++) {
        struct device *d = &swap.device[(swap.turn + k) % MAX_SWAP_DEVICES];

        if (has_room(d) && (best == NULL || d->area.priority > best->area.priority))
            best = d;
    }
    if (best != NULL)
        swap.turn = (unsigned)(best - swap.device) + 1;
    return best;
}

unsigned swapdev_alloc(unsigned n, u64 *block)
{
    struct device *d;
    unsigned got = 0;
    u64 at;

    spin_lock(&swap.lock);
    d = next_device();
    if (d != NULL) {
        for (at = d->next; is_set(d, at); at = at + 1 < d->area.pages ? at + 1 : 0)
            if (at % 64 == 0 && d->bitmap[at / 64] == UINT64_MAX)
                at = MIN(at + 63, d->area.pages - 1);
        while (got < n && at + got < d->area.pages && !is_set(d, at + got)) {
            d->bitmap[(at + got) / 64] |= BIT((at + got) % 64);
            got++;
        }
        d->next = at + got < d->area.pages ? at + got : 0;
        d->n_used += got;
        swap.used += got;
        *block = (u64)(d - swap.device + 1) << PAGE_BIT_SHIFT | at;
    }
    spin_unlock(&swap.lock);
    return got;
}

static struct device *device_of(u64 block, u64 *page)
{
    *page = block & (BIT(PAGE_BIT_SHIFT) - 1);
    return &swap.device[swapdev_of(block)];
}

void swapdev_free(u64 block)
{
    u64 page;
    struct device *d = device_of(block, &page);

    spin_lock(&swap.lock);
    ASSERT(is_set(d, page));
    d->bitmap[page / 64] &= ~BIT(page % 64);
    d->n_used--;
    if (!d->closing)
        swap.used--;
    spin_unlock(&swap.lock);
}

void swapdev_note(u64 block, u64 slot)
{
    u64 at;
    struct device *d = device_of(block, &at);
    u32 *part = d->slots[at / SLOTS_PER_PAGE];

    if (part == NULL) {
        part = swap_table_page();
        if (part == NULL) /* it will be read alone */
            return;
        store_release(&d->slots[at / SLOTS_PER_PAGE], part);
    }
    store_relaxed(&part[at % SLOTS_PER_PAGE], (u32)slot);
}

u64 swapdev_slot(u64 block)
{
    u64 at;
    struct device *d = device_of(block, &at);
    u32 *part = load_acquire(&d->slots[at / SLOTS_PER_PAGE]);

    return part == NULL ? 0 : load_relaxed(&part[at % SLOTS_PER_PAGE]);
}

void swapdev_group(u64 block, u64 *first, unsigned *n)
{
    u64 at;
    struct device *d = device_of(block, &at);

    *first = block - at % *n;
    *n = (unsigned)MIN((u64)*n, d->area.pages - ALIGN_DOWN(at, (u64)*n));
}

void swapdev_stats(u64 *total, u64 *free)
{
    u64 used = load_relaxed(&swap.used);

    *total = load_relaxed(&swap.total);
    *free = *total - MIN(used, *total);
}

/* ---- transfers ---- */

/* The sector of PAGE; *N becomes how many pages follow it there, at most what it was. */
static u64 sector_of(const struct swap_area *a, u64 page, unsigned *n)
{
    unsigned low = 0, high = a->n_extents;
    const struct swap_extent *e;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (a->extents[middle].first <= page)
            low = middle;
        else
            high = middle;
    }
    e = &a->extents[low];
    *n = (unsigned)MIN((u64)*n, e->first + e->n - page);
    return e->sector + (page - e->first) * PAGE_SECTORS;
}

static int transfer(enum block_op op, u64 block, struct page **pages, unsigned n)
{
    struct block_segment segments[MAX_RUN];
    u64 page;
    struct device *d = device_of(block, &page);
    unsigned run;
    int error = 0;

    for (unsigned done = 0; error == 0 && done < n; done += run) {
        u64 sector;

        run = MIN(MIN(n - done, (unsigned)MAX_RUN), d->area.disk->max_segments);
        sector = sector_of(&d->area, page + done, &run);
        for (unsigned i = 0; i < run; i++)
            segments[i] = (struct block_segment){page_address(pages[done + i]), PAGE_SIZE};
        error = block_transfer_segments(d->area.disk, op, sector, segments, run);
    }
    return error;
}

int swapdev_write(u64 block, struct page **pages, unsigned n) { return transfer(BLOCK_WRITE, block, pages, n); }

int swapdev_read(u64 block, struct page **pages, unsigned n) { return transfer(BLOCK_READ, block, pages, n); }

/* ---- on ---- */

/* => admin */
static struct device *free_device(void)
{
    for (unsigned i = 0; i < MAX_SWAP_DEVICES; i++)
        if (swap.device[i].area.file == NULL)
            return &swap.device[i];
    return NULL;
}

static void mark_bad(struct device *d, u64 page)
{
    if (page < d->area.pages && !is_set(d, page)) {
        d->bitmap[page / 64] |= BIT(page % 64);
        d->n_usable--;
    }
}

static void free_tables(struct device *d)
{
    for (u64 i = 0; d->slots != NULL && i < DIV_ROUND_UP(d->area.pages, SLOTS_PER_PAGE); i++)
        if (d->slots[i] != NULL)
            page_put(address_page(d->slots[i]));
    kfree(d->slots);
    kfree(d->bitmap);
}

int swapdev_add(struct swap_area *area, bool has_priority, const u32 *bad, unsigned n_bad, u64 *usable)
{
    struct device *d, new = {.area = *area};
    int error = 0;

    new.bitmap = kzalloc(DIV_ROUND_UP(area->pages, 64ul) * sizeof(u64));
    new.slots = kzalloc(DIV_ROUND_UP(area->pages, SLOTS_PER_PAGE) * sizeof(u32 *));
    if (new.bitmap == NULL || new.slots == NULL) {
        free_tables(&new);
        return -ENOMEM;
    }
    new.n_usable = area->pages;
    new.next = 1;
    mark_bad(&new, 0);
    for (unsigned i = 0; i < n_bad; i++)
        mark_bad(&new, bad[i]);
    mutex_lock(&swap.admin);
    d = free_device();
    if (d == NULL) {
        error = -EPERM;
        free_tables(&new);
    } else {
        if (!has_priority)
            new.area.priority = --swap.lowest;
        spin_lock(&swap.lock);
        *d = new;
        swap.total += new.n_usable;
        spin_unlock(&swap.lock);
        *usable = new.n_usable;
        *area = new.area;
    }
    mutex_unlock(&swap.admin);
    return error;
}

bool swapdev_get(unsigned i, struct swap_area *area)
{
    const struct device *d = &swap.device[i];

    spin_lock(&swap.lock); /* not admin, which swapoff keeps for long */
    *area = d->area;
    area->used = d->n_used;
    area->pages = d->n_usable;
    if (area->file != NULL)
        vm_file_ops->get(area->file);
    spin_unlock(&swap.lock);
    return area->file != NULL;
}

bool swapdev_is(const struct block_device *disk)
{
    bool found = false;

    spin_lock(&swap.lock);
    for (unsigned i = 0; i < MAX_SWAP_DEVICES; i++)
        found |= swap.device[i].area.file != NULL && swap.device[i].area.disk == disk && !swap.device[i].area.is_file;
    spin_unlock(&swap.lock);
    return found;
}

/* ---- off ---- */

/* No new block of D is handed out any more; or it is taken back into service. */
static void set_closing(struct device *d, bool closing)
{
    reclaim_pause(true); /* what is on its way there arrives first */
    spin_lock(&swap.lock);
    d->closing = closing;
    swap.total += closing ? -d->n_usable : d->n_usable;
    swap.used += closing ? -d->n_used : d->n_used;
    spin_unlock(&swap.lock);
    reclaim_pause(false);
}

/* The bytes of SLOT, if they are on device I, come into memory. */
static int bring_back(u64 slot, unsigned i)
{
    struct swap_slot *s = swap_lock(slot);

    while (s->kind == SLOT_DEVICE && swapdev_of(s->where) == i) {
        int error;

        if (s->page != NULL && !(load_acquire(&s->page->flags) & PG_LOADING)) {
            swap_forget_copy(s);
            break;
        }
        s->pins++;
        swap_unlock(slot);
        error = swap_load(slot);
        if (error != 0)
            return error;
        s = swap_lock(slot);
    }
    swap_unlock(slot);
    return 0;
}

static int bring_all_back(unsigned i)
{
    struct device *d = &swap.device[i];

    while (load_relaxed(&d->n_used) > 0) {
        for (u64 slot = 1; slot < swap_slot_limit() && load_relaxed(&d->n_used) > 0; slot++) {
            int error = swap_slot(slot)->kind == SLOT_DEVICE ? bring_back(slot, i) : 0;

            if (error == 0 && load_relaxed(&swap.no_room))
                error = -ENOMEM;
            if (error == 0 && signal_pending())
                error = -EINTR;
            if (error != 0)
                return error;
            if (slot % 256 == 0)
                cond_resched();
        }
        cond_resched();
    }
    return 0;
}

bool swapdev_end_removal(void)
{
    if (!load_relaxed(&swap.removing))
        return false;
    store_relaxed(&swap.no_room, true);
    return true;
}

/* The priority of D, which goes, was given by us: those that were given later move up. => swap.lock */
static void close_ranks(const struct device *d)
{
    for (unsigned i = 0; i < MAX_SWAP_DEVICES; i++)
        if (swap.device[i].area.file != NULL && swap.device[i].area.priority < d->area.priority)
            swap.device[i].area.priority++;
    swap.lowest++;
}

int swapdev_remove(unsigned i, struct file **file)
{
    struct device *d = &swap.device[i], old;
    int error;

    mutex_lock(&swap.admin);
    if (d->area.file == NULL) {
        mutex_unlock(&swap.admin);
        return -EINVAL;
    }
    store_relaxed(&swap.no_room, false);
    store_relaxed(&swap.removing, true);
    set_closing(d, true);
    error = bring_all_back(i);
    if (error != 0)
        set_closing(d, false);
    store_relaxed(&swap.removing, false);
    if (error == 0) {
        spin_lock(&swap.lock);
        old = *d;
        memset(d, 0, sizeof(*d));
        if (old.area.priority < 0)
            close_ranks(&old);
        spin_unlock(&swap.lock);
        *file = old.area.file;
        free_tables(&old);
        kfree(old.area.extents);
    }
    mutex_unlock(&swap.admin);
    return error;
}
