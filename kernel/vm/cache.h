/* Inside vm/: the page cache's parts, and how they reach the mappings of an object. */
#ifndef VM_CACHE_H
#define VM_CACHE_H

#include "vm/swapobj.h"
#include "vm/vma.h"

#define MAX_IO_PAGES 128 /* pages of one read_pages or write_pages call */

static inline bool object_is_memory(const struct object *o) { return o->ops->read_pages == NULL; }
static inline bool object_is_journalled(const struct object *o) { return o->ops->write_range != NULL; }
static inline u64 size_in_pages(u64 size) { return DIV_ROUND_UP(size, PAGE_SIZE); }

/* Sleeps while PAGE, which is referenced, has BIT (PG_LOADING, PG_WRITEBACK). */
void page_wait(struct page *page, u32 bit);
/* Takes BITS away from PAGE and wakes who waits for that. */
void page_clear_and_wake(struct page *page, u32 bits);

/* The page at INDEX with a reference, in whatever state; NULL. */
static inline struct page *object_look_up(struct object *o, u64 index)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    struct page *page = radix_get(&o->pages, index);

    if (is_marker(page))
        page = NULL;
    if (page != NULL) {
        page_get(page);
        if (!(page->flags & PG_REFERENCED))
            atomic_or(&page->flags, PG_REFERENCED);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    return page;
}

/* object_find_page, for where it is all that there is to do. */
static inline struct page *object_find_loaded(struct object *o, u64 index)
{
    struct page *page = object_look_up(o, index);

    if (page == NULL || (load_acquire(&page->flags) & (PG_UPTODATE | PG_LOADING)) == PG_UPTODATE)
        return page;
    page_put(page);
    return NULL;
}

/* object.c */
void cache_init(void);
extern u64 nr_dirty_pages, nr_writeback_pages, nr_cached_pages, nr_memory_pages; /* atomic */
/* The loaded pages of [INDEX, INDEX + N) up to the first that is not, with references: how many. Never sleeps. */
unsigned object_find_run(struct object *o, u64 index, unsigned n, struct page **pages);
/* Enters a new page, whose flags are set, at INDEX: 0, -EEXIST, -ENOMEM; -ERANGE if BELOW_SIZE and it would begin past
 * the size. The cache has its own reference then. */
int object_insert(struct object *o, u64 index, struct page *page, bool below_size);
/* Takes pages [FIRST, LAST] out of the cache, dirty or not, and waits for those on their way to or from the disk; lets
 * interrupts in now and then. */
void object_remove_pages(struct object *o, u64 first, u64 last);
/* Takes PAGE out of its object: the cache's reference becomes the caller's. => o->lock */
void object_remove_locked(struct object *o, struct page *page);

/* rmap.c: => no spinlock, no mappings_lock */
/* All mappings of pages [first, last] lose them, and private copies of them if COPIES_TOO; the entries keep their
 * protections. */
void rmap_zap(struct object *o, u64 first, u64 last, bool copies_too);
/* Shared mappings of pages [first, last] lose W, so that the next store faults. */
void rmap_write_protect(struct object *o, u64 first, u64 last);
/* Takes PAGE of O out of all mappings if none of them was used since the last call; else forgets that they were. False:
 * it is still mapped, or the mappings are being looked at by others. */
bool rmap_unmap_unused(struct object *o, struct page *page);

/* truncate.c: the file is about to get longer: what mappings stored past its end goes. Afterwards, its old last page,
 * whose blocks may reach to the old size only, must be prepared anew for stores (page_prepare_stores sees a size that
 * changes under it). */
void object_expose_tail(struct object *o);
void object_unplace_tail(struct object *o, u64 old_size);

/* writeback.c */
/* Nobody writes PAGE, of an object that cannot go, until page_write_done(page, 0): waits for a write under way. */
void page_hold_back(struct page *page);
/* A fifth of memory may be dirty. A writer that finds more writes its own object O out, and waits for that when as much
 * again is on its way. */
static inline bool writers_must_wait(void) { return load_relaxed(&nr_dirty_pages) >= page_total_count() / 5; }
void throttle_writer(struct object *o);

/* readahead.c */
/* Starts reading pages [index, index + n) that are not cached; 0, or -ENOMEM when not even the first could be started.
 */
int start_reading(struct object *o, u64 index, unsigned n, bool below_size);
/* INDEX, which is in the cache, is read: whether RA has come to the middle of its window, so that the next one is due;
 * and starting that, if so. */
static inline bool readahead_is_due(const struct readahead *ra, u64 index)
{
    return ra->window != 0 && index + ra->window / 2 >= ra->ahead;
}
void readahead_hit(struct object *o, struct readahead *ra, u64 index);
/* How many pages to read when INDEX is missing. */
unsigned readahead_miss(struct object *o, struct readahead *ra, u64 index, u64 *first);

#endif
