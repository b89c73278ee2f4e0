/*
 * Taking memory back. One kernel thread turns a clock's hand over all page descriptors: a cache page that was used
 * since the last turn loses its mark (PG_REFERENCED, A in its mappings), one that was not leaves its mappings and the
 * cache. Dirty pages are left to write-back. Then the caches above vm (inodes, names, buffers) are asked.
 *
 *     free pages:   0 ......... user limit (1/64) ...... low: wake (1/32) ...... enough: sleep (1/24) .........
 *
 * The hand holds no reference. It reads page->object, pins that object under reclaim.lock, and looks again under
 * object->lock; who destroys an object waits while it is pinned (reclaim_forget_object).
 */
#include "vm/reclaim.h"
#include "sched/timer.h"
#include "vm/cache.h"
#include "vm/kmalloc.h"
#include "vm/swap.h"
#include "vm/swapdev.h"
#include "vm/swapobj.h"
#include "vm/swapout.h"

static struct {
    struct mutex busy; /* one at a time turns the hand */
    struct spinlock lock;
    struct wait_queue work, progress;
    struct thread *thread;
    struct object *pinned;
    u64 hand;                /* pfn */
    bool wanted, clean_only; /* clean_only: what has no place but swap stays */
    u64 rounds, idle_rounds; /* idle: rounds in a row that freed nothing */
    u64 goal;                /* of this round: so many free pages */
    u64 extra;               /* atomic: somebody waits for pages that lie together, which more free ones may bring */
    struct list shrinkers;
} reclaim = {.busy = MUTEX_INIT(reclaim.busy),
             .work = WAIT_QUEUE_INIT(reclaim.work),
             .progress = WAIT_QUEUE_INIT(reclaim.progress),
             .shrinkers = LIST_INIT(reclaim.shrinkers)};

void shrinker_register(struct shrinker *s) { list_add_tail(&reclaim.shrinkers, &s->link); }

static u64 pages_low(void) { return page_total_count() / 32; }
static u64 pages_enough(void) { return page_total_count() / 24 + 32; }

void reclaim_kick(void)
{
    if (reclaim.thread == NULL || load_relaxed(&reclaim.wanted) || page_free_count() >= pages_low())
        return;
    store_relaxed(&reclaim.wanted, true);
    wake_all(&reclaim.work);
}

/* What is worth trying for a run of 1 << ORDER pages: more each time. */
static u64 extra_for(unsigned order, unsigned round)
{
    return MIN((32ul << order) << MIN(round, 4u), page_total_count() / 8);
}

bool reclaim_wait(unsigned round, unsigned order, bool for_user)
{
    u64 rounds = load_relaxed(&reclaim.rounds);

    if (reclaim.thread == NULL || current == reclaim.thread || current == this_hart()->idle)
        return false;
    if (round > 100 || (round > 3 && load_relaxed(&reclaim.idle_rounds) > 3))
        return false;
    if (order > 0)
        store_relaxed(&reclaim.extra, extra_for(order, round));
    store_relaxed(&reclaim.wanted, true);
    wake_all(&reclaim.work);
    if (for_user) /* who is killed gives memory back soonest by not waiting for more */
        return wait_event_killable(&reclaim.progress, load_relaxed(&reclaim.rounds) != rounds) == 0;
    wait_event(&reclaim.progress, load_relaxed(&reclaim.rounds) != rounds);
    return true;
}

static void unpin(void)
{
    store_release(&reclaim.pinned, NULL);
    wake_all(&reclaim.progress);
}

void reclaim_forget_object(struct object *o)
{
    bool pinned;

    spin_lock(&reclaim.lock);
    pinned = reclaim.pinned == o;
    spin_unlock(&reclaim.lock);
    if (pinned)
        wait_event(&reclaim.progress, load_acquire(&reclaim.pinned) != o);
}

#define NOT_CACHE (PG_RESERVED | PG_FREE | PG_SLAB | PG_TABLE | PG_ANON | PG_KERNEL)

static bool is_clean_cache(const struct page *page)
{
    u32 flags = load_acquire(&page->flags);

    return (flags & (NOT_CACHE | PG_UPTODATE | PG_LOADING | PG_WRITEBACK | PG_DIRTY)) == PG_UPTODATE;
}

/* Its bytes have no place but the swap cache's. */
static bool is_memory_page(const struct page *page)
{
    u32 flags = load_acquire(&page->flags);

    return (flags & (NOT_CACHE | PG_UPTODATE | PG_LOADING | PG_MEMORY_ONLY)) == (PG_UPTODATE | PG_MEMORY_ONLY);
}

static bool is_evictable(const struct page *page)
{
    if (is_memory_page(page))
        return !reclaim.clean_only && !swap_cannot_store(page);
    return is_clean_cache(page);
}

/* The object of a page that may be evicted, pinned; NULL. */
static struct object *pin_object(struct page *page)
{
    struct object *o = NULL;

    if (!is_evictable(page))
        return NULL;
    if (load_relaxed(&page->flags) & PG_REFERENCED) {
        atomic_and(&page->flags, ~(u32)(PG_REFERENCED | PG_UNTOUCHED));
        return NULL;
    }
    spin_lock(&reclaim.lock);
    o = load_acquire(&page->object);
    /* The descriptor may have changed its purpose while we looked, or even be another object's page by now. */
    if (o != NULL && (!is_evictable(page) || load_acquire(&page->object) != o))
        o = NULL;
    reclaim.pinned = o;
    spin_unlock(&reclaim.lock);
    return o;
}

/* Pages freed. */
static unsigned evict(struct object *o, struct page *page)
{
    bool removed = false;
    u64 flags, slot = 0;

    if (load_relaxed(&page->refs) > 1 && !rmap_unmap_unused(o, page))
        return 0;
    flags = spin_lock_irqsave(&o->lock);
    if (page->object == o && is_evictable(page) && load_relaxed(&page->refs) == 1) {
        removed = !is_memory_page(page);
        if (removed)
            object_remove_locked(o, page);
        else
            slot = object_swap_out_locked(o, page);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    if (removed)
        page_put(page);
    return slot != 0 ? swap_store(slot) : removed;
}

/* Moves the hand over N descriptors: pages freed. */
static u64 turn(u64 n)
{
    u64 freed = 0;

    for (; n > 0; n--) {
        struct page *page;
        struct object *o;

        if (reclaim.hand < first_pfn || reclaim.hand >= end_pfn)
            reclaim.hand = first_pfn;
        page = pfn_page(reclaim.hand++);
        if (load_relaxed(&page->flags) & PG_SWAPCACHE) {
            freed += reclaim.clean_only ? 0 : swap_store_page(page);
            continue;
        }
        o = pin_object(page);
        if (o == NULL)
            continue;
        freed += evict(o, page);
        unpin();
        if ((n & 63) == 0)
            cond_resched();
    }
    return freed + swap_write_out();
}

static u64 shrink_others(u64 n)
{
    struct shrinker *s;
    u64 freed = 0;

    list_for_each(s, &reclaim.shrinkers, link)
        freed += s->shrink(n);
    return freed;
}

/* While there are many cache pages, the hand passes a quarter of them before private pages are looked at. */
#define FILES_FIRST 2
static bool is_cache_small(void) { return load_relaxed(&nr_cached_pages) < page_total_count() / 8; }

/* Moves the other hand over N entries of page tables, with time for those who wait to see what has come free: pages
 * freed. */
static u64 evict_private(u64 n)
{
    u64 freed = 0;

    for (u64 part; n > 0 && page_free_count() < pages_enough(); n -= part) {
        u64 now;

        part = MIN(n, (u64)PT_ENTRIES);
        now = swapout_scan(part);
        if (now > 0) {
            freed += now;
            atomic_add(&reclaim.rounds, 1);
            wake_all(&reclaim.progress);
        }
        cond_resched();
    }
    return freed;
}

#define WRITE_BACK_PAGES 512 /* that a round moves from the store to a swap device */
#define DESPERATE 2          /* idle rounds; after these, pages that did not compress are tried again, once */

/* A round began with BEFORE free pages and freed FREED: did that help, or do a few pages only go round in circles? What
 * it freed others may have taken already. */
static bool has_helped(u64 before, u64 freed)
{
    u64 wanted = reclaim.goal - MIN(before, reclaim.goal);

    return page_free_count() > before || freed > wanted / 2;
}

static void reclaim_round(void)
{
    u64 before = page_free_count(), all = end_pfn - first_pfn, freed = 0;
    u64 extra = atomic_swap(&reclaim.extra, 0);

    mutex_lock(&reclaim.busy);
    reclaim.goal = extra == 0 ? pages_enough() : MAX(pages_enough(), before + extra);
    swap_try_all(reclaim.idle_rounds == DESPERATE);
    if (before < reclaim.goal)
        freed += swap_pack(reclaim.goal - before);
    for (unsigned eighth = 0; eighth < 2 * 8 && page_free_count() < reclaim.goal; eighth++) {
        freed += turn(all / 8 + 1);
        if (eighth >= FILES_FIRST || is_cache_small())
            freed += evict_private(load_relaxed(&nr_anon_pages) / 8 + PT_ENTRIES);
    }
    swap_try_all(false);
    if (swap_store_is_large())
        swap_write_back(WRITE_BACK_PAGES);
    mutex_unlock(&reclaim.busy);
    if (page_free_count() < reclaim.goal)
        freed += shrink_others(reclaim.goal - page_free_count());
    reclaim.idle_rounds = has_helped(before, freed) ? 0 : reclaim.idle_rounds + 1;
    atomic_add(&reclaim.rounds, 1);
    wake_all(&reclaim.progress);
}

/* MADV_PAGEOUT of what an object shows. */
void reclaim_object_range(struct object *o, u64 first, u64 last)
{
    u64 index = first;

    reclaim_pause(true);
    for (;; index++) {
        u64 flags = spin_lock_irqsave(&o->lock);
        struct page *page = radix_next(&o->pages, &index);
        bool wanted = page != NULL && index <= last && !is_marker(page) && is_evictable(page);

        spin_unlock_irqrestore(&o->lock, flags);
        if (page == NULL || index > last)
            break;
        if (!wanted)
            continue;
        atomic_and(&page->flags, ~(u32)PG_REFERENCED);
        if (load_relaxed(&page->refs) > 1) /* its mappings forget that it was used */
            (void)rmap_unmap_unused(o, page);
        evict(o, page);
        if (index % 64 == 0)
            cond_resched();
    }
    swap_write_out();
    reclaim_pause(false);
}

void reclaim_pause(bool on)
{
    if (on)
        mutex_lock(&reclaim.busy);
    else
        mutex_unlock(&reclaim.busy);
}

void drop_caches(unsigned which)
{
    if (which & DROP_PAGES) {
        mutex_lock(&reclaim.busy);
        reclaim.clean_only = true;
        turn(2 * (end_pfn - first_pfn)); /* once round to forget what was used, once to evict */
        reclaim.clean_only = false;
        mutex_unlock(&reclaim.busy);
    }
    if (which & DROP_OTHERS)
        shrink_others(page_total_count());
}

static void reclaim_thread(void *unused)
{
    (void)unused;
    for (;;) {
        wait_event(&reclaim.work, load_acquire(&reclaim.wanted));
        store_relaxed(&reclaim.wanted, false);
        reclaim_round();
    }
}

void reclaim_init(void)
{
    struct thread *t = kernel_thread("reclaim", reclaim_thread, NULL);

    if (IS_ERR(t))
        panic("no memory for the reclaim thread");
    reclaim.thread = t;
}
