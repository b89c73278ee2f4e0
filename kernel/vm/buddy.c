/*
 * The buddy system (Knuth, TAOCP 1, 2.5), and the depot of batches before it.
 *
 *     vm/page.c: <--- take a batch --- depot: pages of batches ---(full, or a block is wanted)---> lists of free blocks,
 *     harts       --- put a batch --->                                                             orders 0..10
 *                 <--- the depot is empty: a block of 16 ---------------------------------------
 *
 * A block of 2^n pages is aligned to its size, so the only other that it can merge with, its buddy, differs from it in
 * one bit of the frame number. A free block's head page has PG_FREE and its order in `private`; the other pages of the
 * block say nothing. Batches are 16 pages that need not lie together: they spare lists and merging to pages that come
 * and go.
 *
 * The last pages are kept for those who need them most: user memory may not touch the lower 1/64 of memory, ordinary
 * kernel memory leaves 1/256 to those who free memory by allocating (ALLOC_RESERVE).
 *
 * Lock: `buddy.lock` (irqsave).
 */
#include "vm/buddy.h"
#include "lib/string.h"
#include "sched/sched.h"

#define DEPOT_BATCHES 64

struct page *page_array;
u64 page_to_address, address_to_page;
u64 first_pfn, end_pfn;

static struct {
    struct spinlock lock;
    struct list free[MAX_ORDER + 1];
    struct page *depot[DEPOT_BATCHES]; /* each heads BATCH_PAGES pages, chained by free_link.next */
    unsigned n_depot;
    u64 n_free;  /* pages in the lists and the depot */
    u64 n_total; /* pages that were ever given to the allocator */
} buddy;

u64 buddy_free_count(void) { return load_relaxed(&buddy.n_free); }
u64 page_total_count(void) { return buddy.n_total; }

/* ---- the lists; => buddy.lock held ---- */

static bool is_free_block(u64 pfn, unsigned order)
{
    struct page *p;

    if (pfn < first_pfn || pfn + (1ul << order) > end_pfn)
        return false;
    p = pfn_page(pfn);
    return (p->flags & PG_FREE) != 0 && p->private == order;
}

static void add_block(struct page *head, unsigned order)
{
    head->refs = 0;
    head->flags = PG_FREE;
    head->private = order;
    list_add(&buddy.free[order], &head->free_link);
}

static void remove_block(struct page *head)
{
    list_remove(&head->free_link);
    head->flags = 0;
}

/* Gives the block back, merged with its free buddies. */
static void lists_put(u64 pfn, unsigned order)
{
    buddy.n_free += 1ul << order;
    while (order < MAX_ORDER) {
        u64 other = pfn ^ (1ul << order);

        if (!is_free_block(other, order))
            break;
        remove_block(pfn_page(other));
        pfn &= ~(1ul << order);
        order++;
    }
    add_block(pfn_page(pfn), order);
}

/* NULL when no block is large enough. */
static struct page *lists_take(unsigned order)
{
    unsigned have = order;
    struct page *head;

    while (have <= MAX_ORDER && list_empty(&buddy.free[have]))
        have++;
    if (have > MAX_ORDER)
        return NULL;
    head = list_first(&buddy.free[have], struct page, free_link);
    remove_block(head);
    while (have > order) { /* the upper half stays */
        have--;
        add_block(head + (1ul << have), have);
    }
    buddy.n_free -= 1ul << order;
    return head;
}

/* ---- the depot; => buddy.lock held ---- */

static struct page *next_in_batch(const struct page *p)
{
    return p->free_link.next != NULL ? container_of(p->free_link.next, struct page, free_link) : NULL;
}

/* => room in the depot */
static void depot_put(struct page **pages)
{
    struct list *next = NULL;

    for (unsigned i = BATCH_PAGES; i-- > 0;) {
        pages[i]->free_link.next = next;
        next = &pages[i]->free_link;
    }
    buddy.depot[buddy.n_depot++] = container_of(next, struct page, free_link);
    buddy.n_free += BATCH_PAGES;
}

/* => the depot is not empty */
static void depot_take(struct page **pages)
{
    for (struct page *p = buddy.depot[--buddy.n_depot]; p != NULL; p = next_in_batch(p))
        *pages++ = p;
    buddy.n_free -= BATCH_PAGES;
}

/* All batches but the KEEP newest go back to the lists. */
static void depot_drain(unsigned keep)
{
    unsigned n = buddy.n_depot - keep;

    for (unsigned i = 0; i < n; i++) {
        struct page *next;

        buddy.n_free -= BATCH_PAGES;
        for (struct page *p = buddy.depot[i]; p != NULL; p = next) {
            next = next_in_batch(p);
            lists_put(page_pfn(p), 0);
        }
    }
    for (unsigned i = 0; i < keep; i++)
        buddy.depot[i] = buddy.depot[i + n];
    buddy.n_depot = keep;
}

/* ---- giving and taking ---- */

/* Pages that are to be left. */
static u64 reserve_for(unsigned alloc_flags)
{
    if (alloc_flags & ALLOC_RESERVE)
        return 0;
    if (alloc_flags & ALLOC_USER)
        return buddy.n_total / 64;
    return buddy.n_total / 256;
}

u64 page_reserve(void) { return reserve_for(ALLOC_USER); }

unsigned buddy_take_batch(struct page **pages, unsigned alloc_flags)
{
    struct page *block;
    unsigned n = 0;

    spin_lock(&buddy.lock);
    if (buddy.n_free <= reserve_for(alloc_flags)) {
        /* none */
    } else if (buddy.n_depot > 0) {
        depot_take(pages);
        n = BATCH_PAGES;
    } else if ((block = lists_take(BATCH_ORDER)) != NULL) {
        for (unsigned i = BATCH_PAGES; i-- > 0;) /* the lowest last: a fresh run of pages is used in order */
            pages[n++] = block + i;
    } else if ((block = lists_take(0)) != NULL) {
        pages[n++] = block;
    }
    spin_unlock(&buddy.lock);
    return n;
}

void buddy_put_batch(struct page **pages)
{
    spin_lock(&buddy.lock);
    if (buddy.n_depot == DEPOT_BATCHES)
        depot_drain(DEPOT_BATCHES / 2);
    depot_put(pages);
    spin_unlock(&buddy.lock);
}

void buddy_merge(struct page **pages, u64 n)
{
    spin_lock(&buddy.lock);
    depot_drain(0);
    while (n > 0)
        lists_put(page_pfn(pages[--n]), 0);
    spin_unlock(&buddy.lock);
}

struct page *buddy_take(unsigned order, unsigned alloc_flags)
{
    struct page *p = NULL;
    u64 flags = spin_lock_irqsave(&buddy.lock);

    if (buddy.n_free > reserve_for(alloc_flags) + (1ul << order))
        p = lists_take(order);
    if (p == NULL && buddy.n_depot > 0) {
        depot_drain(0);
        p = buddy.n_free > reserve_for(alloc_flags) + (1ul << order) ? lists_take(order) : NULL;
    }
    spin_unlock_irqrestore(&buddy.lock, flags);
    return p;
}

struct page *buddy_take_spare(unsigned order)
{
    struct page *p = NULL;

    spin_lock(&buddy.lock);
    if (buddy.n_free > reserve_for(ALLOC_USER) + (2ul << order))
        p = lists_take(order);
    spin_unlock(&buddy.lock);
    return p;
}

void buddy_put(struct page *head, unsigned order)
{
    u64 flags = spin_lock_irqsave(&buddy.lock);

    lists_put(page_pfn(head), order);
    spin_unlock_irqrestore(&buddy.lock, flags);
}

unsigned page_claim_free(u64 first, u64 *claimed)
{
    u64 flags = spin_lock_irqsave(&buddy.lock);
    unsigned n = 0;

    for (unsigned i = 0; i < HUGE_PAGES;) {
        struct page *head = pfn_page(first + i);
        u64 order = head->private;

        if (!(head->flags & PG_FREE) || order >= HUGE_ORDER) {
            i++;
            continue;
        }
        remove_block(head);
        buddy.n_free -= 1ul << order;
        n += 1u << order;
        for (unsigned end = i + (1u << order); i < end; i++) {
            page_claim(pfn_page(first + i));
            claimed[i / 64] |= 1ul << i % 64;
        }
    }
    spin_unlock_irqrestore(&buddy.lock, flags);
    return n;
}

/* ---- boot ---- */

static bool overlaps(const struct phys_range *r, u64 start, u64 end) { return r->start < end && start < r->end; }

/* The end of the part of [pfn, end_pfn) that begins at PFN and is all reserved or all free; *FREE says which. */
static u64 run_end(u64 pfn, const struct phys_range *reserved, unsigned n, bool *is_free)
{
    u64 at = pfn << PAGE_SHIFT, end = end_pfn << PAGE_SHIFT;

    *is_free = true;
    for (unsigned i = 0; i < n; i++) {
        if (overlaps(&reserved[i], at, at + PAGE_SIZE)) {
            *is_free = false;
            return MIN(ALIGN_UP(reserved[i].end, PAGE_SIZE), end) >> PAGE_SHIFT;
        }
        if (reserved[i].start > at && reserved[i].start < end)
            end = ALIGN_DOWN(reserved[i].start, PAGE_SIZE);
    }
    return end >> PAGE_SHIFT;
}

/* A free place for SIZE bytes of descriptors: behind the reserved ranges, as high as needed. */
static u64 place_descriptors(struct phys_range ram, u64 size, const struct phys_range *reserved, unsigned n)
{
    u64 at = ALIGN_UP(ram.start, PAGE_SIZE);

    for (unsigned i = 0; i < n;) {
        if (overlaps(&reserved[i], at, at + size)) {
            at = ALIGN_UP(reserved[i].end, PAGE_SIZE);
            i = 0;
        } else {
            i++;
        }
    }
    if (at + size > ram.end)
        panic("no room for page descriptors in %lu MiB of memory", (ram.end - ram.start) / MIB);
    return at;
}

static void free_run(u64 pfn, u64 end)
{
    while (pfn < end) {
        unsigned order = MAX_ORDER;

        while (!IS_ALIGNED(pfn, 1ul << order) || pfn + (1ul << order) > end)
            order--;
        lists_put(pfn, order);
        buddy.n_total += 1ul << order;
        pfn += 1ul << order;
    }
}

void page_init(struct phys_range ram, const struct phys_range *reserved, unsigned n_reserved)
{
    struct phys_range all[16];
    u64 size, at;
    bool is_free;

    ASSERT_ALWAYS(n_reserved < ARRAY_SIZE(all));
    first_pfn = DIV_ROUND_UP(ram.start, PAGE_SIZE);
    end_pfn = ram.end >> PAGE_SHIFT;
    size = ALIGN_UP((end_pfn - first_pfn) * sizeof(struct page), PAGE_SIZE);
    at = place_descriptors(ram, size, reserved, n_reserved);
    page_set_array((struct page *)phys_to_virt(at) - first_pfn);
    memset(pfn_page(first_pfn), 0, size);
    memcpy(all, reserved, n_reserved * sizeof(all[0]));
    all[n_reserved] = (struct phys_range){at, at + size};

    for (unsigned i = 0; i <= MAX_ORDER; i++)
        list_init(&buddy.free[i]);
    for (u64 pfn = first_pfn; pfn < end_pfn;) {
        u64 end = run_end(pfn, all, n_reserved + 1, &is_free);

        if (is_free)
            free_run(pfn, end);
        else
            for (u64 i = pfn; i < end; i++)
                pfn_page(i)->flags = PG_RESERVED;
        pfn = end;
    }
}
