/*
 * Writing dirty pages back. A page's DIRTY is taken away before its mappings lose W, and they lose W before the page is
 * written: a store that comes in between is in what is written, one that comes later faults and makes the page dirty
 * again.
 */
#include "lib/string.h"
#include "vm/cache.h"

/* N pages from INDEX on are under write-back. => o->lock */
static void note_writeback(struct object *o, u64 index, unsigned n)
{
    u64 last = index + n - 1;

    if (o->writeback == 0) {
        o->writeback_first = index;
        o->writeback_last = last;
    }
    o->writeback_first = MIN(o->writeback_first, index);
    o->writeback_last = MAX(o->writeback_last, last);
    o->writeback += n;
}

/* Takes the next run of at most MOST dirty pages in [*INDEX, last] for writing: how many. A page that is still being
 * written from the last time stops the run; alone at the front it is waited for if WAIT, else passed by. */
static unsigned take_run(struct object *o, u64 *index, u64 last, bool wait, struct page **batch, unsigned most)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    struct page *page;
    unsigned n = 0;

    while (n < most && (page = radix_next_tagged(&o->pages, index)) != NULL && *index <= last) {
        if (n > 0 && *index != batch[n - 1]->index + 1)
            break;
        if (page->flags & PG_WRITEBACK) {
            if (n > 0)
                break;
            if (!wait) {
                (*index)++;
                continue;
            }
            page_get(page);
            spin_unlock_irqrestore(&o->lock, flags);
            page_wait(page, PG_WRITEBACK);
            page_put(page);
            flags = spin_lock_irqsave(&o->lock);
            continue;
        }
        atomic_and(&page->flags, ~(u32)PG_DIRTY);
        atomic_or(&page->flags, PG_WRITEBACK);
        radix_tag(&o->pages, *index, false);
        page_get(page);
        batch[n++] = page;
        (*index)++;
    }
    o->nr_dirty -= n;
    if (n > 0)
        note_writeback(o, batch[0]->index, n);
    spin_unlock_irqrestore(&o->lock, flags);
    atomic_sub(&nr_dirty_pages, n);
    atomic_add_relaxed(&nr_writeback_pages, n);
    return n;
}

void page_hold_back(struct page *page)
{
    struct object *o = page->object;
    u64 flags;

    for (;;) {
        page_wait(page, PG_WRITEBACK);
        flags = spin_lock_irqsave(&o->lock);
        if (!(page->flags & PG_WRITEBACK))
            break;
        spin_unlock_irqrestore(&o->lock, flags);
    }
    atomic_or(&page->flags, PG_WRITEBACK);
    note_writeback(o, page->index, 1);
    spin_unlock_irqrestore(&o->lock, flags);
    atomic_add_relaxed(&nr_writeback_pages, 1);
    page_get(page);
}

/* What mappings stored past the file's end. A write that moves the end has its bytes there before or after this, never
 * in between. */
static void clear_past_size(struct object *o, struct page *page)
{
    u64 flags, size;

    if (page->index != load_relaxed(&o->size) >> PAGE_SHIFT)
        return;
    flags = spin_lock_irqsave(&o->lock);
    size = load_relaxed(&o->size);
    if (page->index == size >> PAGE_SHIFT && (size & PAGE_MASK) != 0)
        memset((char *)page_address(page) + (size & PAGE_MASK), 0, PAGE_SIZE - (size & PAGE_MASK));
    spin_unlock_irqrestore(&o->lock, flags);
}

static void wait_for_writes(struct object *o, u64 first, u64 last)
{
    u64 index = first, flags;
    struct page *page;

    if (load_acquire(&o->writeback) == 0)
        return;
    flags = spin_lock_irqsave(&o->lock);
    index = MAX(first, o->writeback_first); /* what others begin to write from now on need not be waited for */
    last = MIN(last, o->writeback_last);
    while (o->writeback > 0 && (page = radix_next(&o->pages, &index)) != NULL && index <= last) {
        if (page->flags & PG_WRITEBACK) {
            page_get(page);
            spin_unlock_irqrestore(&o->lock, flags);
            page_wait(page, PG_WRITEBACK);
            page_put(page);
            flags = spin_lock_irqsave(&o->lock);
        }
        index++;
    }
    spin_unlock_irqrestore(&o->lock, flags);
}

void object_wait_for_writes(struct object *o) { wait_for_writes(o, 0, UINT64_MAX); }

unsigned object_take_dirty(struct object *o, u64 *index, u64 last, bool wait, struct page **batch, unsigned most)
{
    unsigned n = load_relaxed(&o->nr_dirty) > 0 ? take_run(o, index, last, wait, batch, most) : 0;

    if (n == 0)
        return 0;
    if (load_relaxed(&o->mappings.root) != NULL)
        rmap_write_protect(o, batch[0]->index, batch[n - 1]->index);
    clear_past_size(o, batch[n - 1]);
    return n;
}

int object_writeback(struct object *o, u64 from, u64 to, bool wait)
{
    struct page *batch[MAX_IO_PAGES];
    u64 index = from >> PAGE_SHIFT, last = to >> PAGE_SHIFT;
    u32 errors = load_relaxed(&o->error_sequence);
    unsigned n;

    if (o->ops->write_pages == NULL)
        return 0;
    while (load_acquire(&o->ops)->write_range == NULL &&
           (n = object_take_dirty(o, &index, last, wait, batch, MAX_IO_PAGES)) > 0) {
        o->ops->write_pages(o, batch, n);
        cond_resched();
    }
    if (load_acquire(&o->ops)->write_range != NULL) /* perhaps only now: object.h */
        o->ops->write_range(o, from >> PAGE_SHIFT, last, wait);
    if (wait)
        wait_for_writes(o, from >> PAGE_SHIFT, last);
    return load_relaxed(&o->error_sequence) != errors ? o->error : 0;
}

void throttle_writer(struct object *o)
{
    if (likely(!writers_must_wait()) || o->ops->write_pages == NULL)
        return;
    object_writeback(o, 0, OBJECT_END, load_relaxed(&nr_writeback_pages) > page_total_count() / 5);
}
