/* Pages of memory-only objects go to a slot, and come back: the contract is in swapobj.h. */
#include "vm/swapobj.h"
#include "vm/cache.h"
#include "vm/run.h"
#include "vm/swap.h"

u64 nr_memory_swapped;

static void *marker_of(u64 slot) { return (void *)(slot << 1 | 1); }

u64 object_swap_out_locked(struct object *o, struct page *page)
{
    u64 slot = load_relaxed(&o->stays_in_memory) ? 0 : swap_add(page);

    if (slot == 0)
        return 0;
    if (page->flags & PG_RUN)
        run_break(page);
    radix_replace(&o->pages, page->index, marker_of(slot));
    store_release(&page->object, NULL);
    atomic_sub(&nr_memory_pages, 1);
    atomic_add_relaxed(&nr_memory_swapped, 1);
    atomic_and(&page->flags, ~(u32)(PG_MEMORY_ONLY | PG_UPTODATE | PG_DIRTY | PG_PLACED | PG_FETCHABLE));
    atomic_or(&page->flags, PG_ANON);
    atomic_add_relaxed(&nr_anon_pages, 1);
    page_put(page); /* the object's reference; the swap cache has one */
    return slot;
}

/* PAGE, which has left its slot, stands at INDEX again. => o->lock */
static void enter_again(struct object *o, u64 index, struct page *page)
{
    swap_leave_anonymous(page);
    atomic_and(&page->flags, ~(u32)PG_INCOMPRESSIBLE);
    atomic_or(&page->flags, PG_UPTODATE | PG_MEMORY_ONLY | PG_DIRTY | PG_REFERENCED);
    page->index = index;
    store_release(&page->object, o);
    radix_replace(&o->pages, index, page);
    atomic_add_relaxed(&nr_memory_pages, 1);
    atomic_sub(&nr_memory_swapped, 1);
}

int object_swap_in(struct object *o, u64 index)
{
    for (;;) {
        u64 flags = spin_lock_irqsave(&o->lock), slot = 0;
        void *item = radix_get(&o->pages, index);
        struct page *page = NULL;
        bool shared;
        int error;

        if (is_marker(item)) {
            slot = marker_slot(item);
            page = swap_take(slot, &shared);
            if (page != NULL)
                enter_again(o, index, page);
        }
        spin_unlock_irqrestore(&o->lock, flags);
        if (slot == 0 || page != NULL)
            return 0;
        error = swap_load(slot);
        if (error != 0)
            return error;
    }
}

void object_forget_marker(struct object *o, u64 index, void *item)
{
    radix_remove(&o->pages, index);
    o->nr_pages--;
    atomic_sub(&nr_memory_swapped, 1);
    swap_put(marker_slot(item));
}

u64 object_count_swapped(struct object *o)
{
    u64 n = 0, index = 0, flags = spin_lock_irqsave(&o->lock);
    void *item;

    for (; (item = radix_next(&o->pages, &index)) != NULL; index++)
        n += is_marker(item);
    spin_unlock_irqrestore(&o->lock, flags);
    return n;
}
