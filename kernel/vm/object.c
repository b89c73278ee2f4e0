/*
 * The page cache: objects and their pages. Contract and life of a page in object.h.
 *
 * A lookup takes o->lock, one radix walk and one reference. A page that is LOADING or under WRITEBACK stays in the
 * cache until that ends: truncation and eviction wait or pass it by, so the completion functions, which run in
 * interrupts, always find page->object.
 */
#include "vm/object.h"
#include "lib/string.h"
#include "vm/cache.h"
#include "vm/fault.h"
#include "vm/mappings.h"
#include "vm/reclaim.h"
#include "vm/run.h"
#include "vm/swapobj.h"

u64 nr_dirty_pages, nr_writeback_pages, nr_cached_pages, nr_memory_pages;

/* ---- waiting for pages ---- */

#define WAIT_BUCKETS 64
static struct wait_queue page_waits[WAIT_BUCKETS];

void cache_init(void)
{
    for (unsigned i = 0; i < WAIT_BUCKETS; i++)
        wait_queue_init(&page_waits[i]);
}

static struct wait_queue *wait_queue_of(const struct page *page) { return &page_waits[page_pfn(page) % WAIT_BUCKETS]; }

/* Says each time that somebody waits: since the last look the bit may have been cleared, and PG_WAITERS with it, and
 * set again. */
static bool must_wait(struct page *page, u32 bit)
{
    return (load_acquire(&page->flags) & bit) && (atomic_or(&page->flags, PG_WAITERS) & bit);
}

void page_wait(struct page *page, u32 bit) { wait_event(wait_queue_of(page), !must_wait(page, bit)); }

void page_clear_and_wake(struct page *page, u32 bits)
{
    if (atomic_and(&page->flags, ~(bits | PG_WAITERS)) & PG_WAITERS)
        wake_all(wait_queue_of(page));
}

/* ---- objects ---- */

void object_init(struct object *o, const struct object_ops *ops)
{
    memset(o, 0, sizeof(*o));
    o->ops = ops;
    mutex_init(&o->mappings_lock);
    mappings_init(&o->mappings);
}

#define REMOVED_AT_ONCE 64

void object_remove_pages(struct object *o, u64 first, u64 last)
{
    u64 index = first, flags = spin_lock_irqsave(&o->lock);
    struct page *page, *gone[REMOVED_AT_ONCE];
    unsigned n_gone = 0;

    for (unsigned n = 1; (page = radix_next(&o->pages, &index)) != NULL && index <= last; n++) {
        struct page *busy = NULL;

        if (is_marker(page)) {
            object_forget_marker(o, index, page);
        } else if (page->flags & (PG_LOADING | PG_WRITEBACK)) {
            busy = page;
            page_get(busy);
        } else {
            object_remove_locked(o, page);
            gone[n_gone++] = page;
        }
        if (busy == NULL && n % REMOVED_AT_ONCE != 0)
            continue;
        spin_unlock_irqrestore(&o->lock, flags);
        page_put_many(gone, n_gone);
        n_gone = 0;
        if (busy != NULL) {
            page_wait(busy, PG_LOADING | PG_WRITEBACK);
            page_put(busy);
        }
        flags = spin_lock_irqsave(&o->lock);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    page_put_many(gone, n_gone);
}

void object_destroy(struct object *o)
{
    u64 flags;

    object_remove_pages(o, 0, UINT64_MAX);
    flags = spin_lock_irqsave(&o->lock);
    radix_destroy(&o->pages);
    spin_unlock_irqrestore(&o->lock, flags);
    reclaim_forget_object(o);
}

int object_insert(struct object *o, u64 index, struct page *page, bool below_size)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    int error = below_size && index >= size_in_pages(o->size) ? -ERANGE : radix_insert(&o->pages, index, page);

    if (error == 0) {
        page_get(page);
        page->index = index;
        store_release(&page->object, o);
        o->nr_pages++;
        atomic_add_relaxed(object_is_memory(o) ? &nr_memory_pages : &nr_cached_pages, 1);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    return error;
}

void object_remove_locked(struct object *o, struct page *page)
{
    u32 old = atomic_and(&page->flags, ~(u32)(PG_DIRTY | PG_PLACED));

    if (unlikely(old & PG_RUN))
        run_break(page);
    radix_remove(&o->pages, page->index);
    store_release(&page->object, NULL);
    o->nr_pages--;
    atomic_sub(object_is_memory(o) ? &nr_memory_pages : &nr_cached_pages, 1);
    if ((old & PG_DIRTY) && o->ops->write_pages != NULL) {
        o->nr_dirty--;
        atomic_sub(&nr_dirty_pages, 1);
    }
}

u64 object_drop_clean_range(struct object *o, u64 first, u64 last)
{
    u64 index = first, dropped = 0, flags = spin_lock_irqsave(&o->lock);
    struct page *page;

    for (unsigned n = 1; (page = radix_next(&o->pages, &index)) != NULL && index <= last; n++) {
        index++;
        if (!is_marker(page) && (page->flags & (PG_LOADING | PG_WRITEBACK | PG_DIRTY)) == 0 &&
            load_relaxed(&page->refs) == 1) {
            object_remove_locked(o, page);
            page_put(page);
            dropped++;
        }
        if (n % REMOVED_AT_ONCE == 0) { /* lets interrupts in */
            spin_unlock_irqrestore(&o->lock, flags);
            flags = spin_lock_irqsave(&o->lock);
        }
    }
    spin_unlock_irqrestore(&o->lock, flags);
    return dropped;
}

/* ---- finding pages ---- */

struct page *object_find_page(struct object *o, u64 index) { return object_find_loaded(o, index); }

unsigned object_find_run(struct object *o, u64 index, unsigned n, struct page **pages)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    unsigned found;

    radix_get_run(&o->pages, index, n, (void **)pages);
    for (found = 0; found < n; found++) {
        struct page *page = pages[found];
        u32 state;

        if (page == NULL || is_marker(page))
            break;
        state = load_relaxed(&page->flags);
        if ((state & (PG_UPTODATE | PG_LOADING)) != PG_UPTODATE)
            break;
        page_get(page);
        if (unlikely(!(state & PG_REFERENCED)))
            atomic_or(&page->flags, PG_REFERENCED);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    return found;
}

void page_note_untouched(struct page *page)
{
    atomic_or(&page->flags, PG_UNTOUCHED);
    atomic_and(&page->flags, ~(u32)PG_REFERENCED);
}

bool object_is_in_core(struct object *o, u64 index)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    const struct page *page = radix_get(&o->pages, index);
    u32 state = page != NULL && !is_marker(page) ? load_relaxed(&page->flags) : 0;

    spin_unlock_irqrestore(&o->lock, flags);
    return (state & (PG_UPTODATE | PG_LOADING)) == PG_UPTODATE &&
           (state & (PG_UNTOUCHED | PG_REFERENCED)) != PG_UNTOUCHED;
}

#define COUNTED_AT_ONCE 256 /* pages, with the lock held */

void object_count_cached(struct object *o, u64 first, u64 last, struct cache_counts *counts)
{
    struct page *page;

    *counts = (struct cache_counts){0};
    do {
        u64 flags = spin_lock_irqsave(&o->lock);

        page = NULL;
        for (unsigned n = 0; n < COUNTED_AT_ONCE; n++) {
            page = radix_next(&o->pages, &first);
            if (page == NULL || first > last)
                break;
            if (is_marker(page)) {
                counts->evicted++;
            } else {
                u32 state = load_relaxed(&page->flags);

                counts->cached++;
                counts->dirty += (state & (PG_DIRTY | PG_MEMORY_ONLY)) == PG_DIRTY;
                counts->writeback += (state & PG_WRITEBACK) != 0;
            }
            if (first++ == UINT64_MAX)
                page = NULL;
        }
        spin_unlock_irqrestore(&o->lock, flags);
        cond_resched();
    } while (page != NULL && first <= last && first != 0);
}

bool object_has_page(struct object *o, u64 index)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    bool has = radix_get(&o->pages, index) != NULL;

    spin_unlock_irqrestore(&o->lock, flags);
    return has;
}

/* A page of zeros for an object without a disk, or a run of them. */
static int add_zero_page(struct object *o, u64 index, bool below_size, enum run_wish wish)
{
    struct page *page;
    int error;

    if (o->ops->wants_run != NULL && run_add(o, index, below_size, wish))
        return 0;
    page = page_alloc(ALLOC_ZERO | ALLOC_USER);
    if (page == NULL)
        return -ENOMEM;
    page->flags = PG_UPTODATE | PG_MEMORY_ONLY;
    error = object_insert(o, index, page, below_size);
    page_put(page);
    return error == -EEXIST ? 0 : error;
}

/* A page whose reading fails at once, without I/O, is gone before the next look; so is one that reclaim took. */
#define READ_ATTEMPTS 4

/* Why PAGE, which has left its object, could not be read. Too little memory is no fault of the disk's: the caller may
 * wait for memory and try again. */
static int why_unread(const struct page *page) { return (int)page->private; }

static struct page *get_page(struct object *o, u64 index, struct readahead *ra, bool below_size, enum run_wish wish)
{
    for (unsigned attempt = 0;; attempt++) {
        struct page *page = object_look_up(o, index);
        u64 first;
        int error, failure;

        if (page != NULL) {
            page_wait(page, PG_LOADING);
            if (load_relaxed(&page->flags) & PG_UPTODATE)
                return page;
            error = why_unread(page);
            page_put(page);
            return ERR_PTR(error);
        }
        if (object_is_memory(o)) {
            error = object_has_page(o, index) ? object_swap_in(o, index) : add_zero_page(o, index, below_size, wish);
        } else if (attempt >= READ_ATTEMPTS && (failure = load_relaxed(&o->read_error)) != 0) {
            error = failure; /* perhaps another page's */
        } else {
            unsigned n = readahead_miss(o, ra, index, &first);

            store_relaxed(&o->read_error, 0);
            error = start_reading(o, first, n, below_size);
            if (error == 0 && first != index && !object_has_page(o, index))
                error = start_reading(o, index, 1, below_size);
        }
        if (error == -ERANGE)
            return NULL;
        if (error != 0)
            return ERR_PTR(error);
    }
}

struct page *object_get_page(struct object *o, u64 index, struct readahead *ra)
{
    return get_page(o, index, ra, false, RUN_PLAIN);
}
struct page *object_get_page_in_size(struct object *o, u64 index, struct readahead *ra, enum run_wish wish)
{
    return get_page(o, index, ra, true, wish);
}

/* ---- dirty pages ---- */

void page_set_dirty(struct page *page)
{
    struct object *o = load_acquire(&page->object);
    u64 flags;
    bool first = false;

    if (o == NULL || (load_relaxed(&page->flags) & PG_DIRTY))
        return;
    if (o->ops->write_pages == NULL) {
        atomic_or(&page->flags, PG_DIRTY);
        return;
    }
    flags = spin_lock_irqsave(&o->lock);
    if (page->object == o && !(atomic_or(&page->flags, PG_DIRTY) & PG_DIRTY)) {
        radix_tag(&o->pages, page->index, true);
        first = o->nr_dirty++ == 0;
        atomic_add_relaxed(&nr_dirty_pages, 1);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    if (first && o->ops->dirtied != NULL)
        o->ops->dirtied(o);
}

/* How many bytes of page INDEX are below SIZE. */
static unsigned bytes_below(u64 size, u64 index)
{
    return index >= size >> PAGE_SHIFT ? (unsigned)(size - MIN(size, index << PAGE_SHIFT)) : PAGE_SIZE;
}

static int note_store(struct object *o) { return o->ops->mapping_stored != NULL ? o->ops->mapping_stored(o) : 0; }

bool page_prepare_now(struct object *o, struct page *page)
{
    if (!(load_relaxed(&page->flags) & PG_PLACED) || writers_must_wait() || note_store(o) != 0)
        return false;
    page_set_dirty(page);
    return page_takes_stores(page);
}

int page_prepare_stores(struct object *o, struct page *page, u64 index)
{
    int error = note_store(o);
    unsigned n;

    if (error != 0)
        return error;
    do {
        n = bytes_below(load_relaxed(&o->size), index);
        error = n > 0 && o->ops->prepare_write != NULL ? o->ops->prepare_write(o, index, 0, n) : 0;
        if (error != 0 && error != -ERANGE)
            return error;
        if (error == 0)
            atomic_or(&page->flags, PG_PLACED);
        memory_barrier(); /* who makes the file longer changes size first, then takes PLACED away */
    } while (error != 0 || n != bytes_below(load_relaxed(&o->size), index));
    page_set_dirty(page);
    throttle_writer(o);
    return 0;
}

/* ---- completion, in interrupts ---- */

void page_read_done(struct page *page, int error)
{
    struct object *o = page->object;
    bool failed = error != 0;

    if (failed) { /* out of the cache: the next one who wants it tries again */
        u64 flags = spin_lock_irqsave(&o->lock);

        object_remove_locked(o, page);
        store_relaxed(&o->read_error, error);
        spin_unlock_irqrestore(&o->lock, flags);
        page->private = (u64)(s64)error;
        atomic_or(&page->flags, PG_ERROR);
    } else {
        atomic_or(&page->flags, PG_UPTODATE);
    }
    page_clear_and_wake(page, PG_LOADING);
    if (failed)
        page_put(page);
}

void page_write_done(struct page *page, int error)
{
    struct object *o = page->object;
    u64 flags = spin_lock_irqsave(&o->lock);

    if (error != 0) {
        o->error = error;
        o->error_sequence++;
    }
    o->writeback--;
    spin_unlock_irqrestore(&o->lock, flags);
    atomic_sub(&nr_writeback_pages, 1);
    page_clear_and_wake(page, PG_WRITEBACK);
    page_put(page);
}
