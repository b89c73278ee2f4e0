/*
 * Changing a file's size, and holes. The order makes races harmless: first the size changes, so no new page past it
 * enters the cache; then pages leave the cache (page->object = NULL), so no fault installs them any more; then they
 * leave the mappings.
 *
 * Bytes past the size in the last page are zero on the disk and, but for stores through mappings, in the cache: writing
 * back clears them, so does getting shorter, and getting longer clears what mappings left there before it becomes part
 * of the file.
 */
#include "lib/string.h"
#include "vm/cache.h"
#include "vm/swapobj.h"

static bool is_mapped(struct object *o) { return load_relaxed(&o->mappings.root) != NULL; }

static void set_size(struct object *o, u64 size)
{
    u64 flags = spin_lock_irqsave(&o->lock);

    store_relaxed(&o->size, size);
    spin_unlock_irqrestore(&o->lock, flags);
    memory_barrier();
}

/* The last page of a file that ends at SIZE, if mappings may have stored to it; referenced. */
static struct page *stored_tail(struct object *o, u64 size)
{
    struct page *page = (size & PAGE_MASK) != 0 ? object_find_page(o, size >> PAGE_SHIFT) : NULL;

    if (page != NULL && !(load_relaxed(&page->flags) & PG_PLACED)) {
        page_put(page);
        return NULL;
    }
    return page;
}

void object_expose_tail(struct object *o)
{
    u64 size = load_relaxed(&o->size), index = size >> PAGE_SHIFT;
    struct page *page = stored_tail(o, size);

    if (page == NULL)
        return;
    rmap_write_protect(o, index, index);
    memset((char *)page_address(page) + (size & PAGE_MASK), 0, PAGE_SIZE - (size & PAGE_MASK));
    page_put(page);
}

/* Zeros bytes [from, to) of page INDEX, in the cache and, since it becomes dirty, on the disk. */
static int zero_part(struct object *o, u64 index, unsigned from, unsigned to)
{
    struct page *page;

    if (from == to || (object_is_memory(o) && !object_has_page(o, index)))
        return 0;
    page = object_get_page(o, index, NULL);
    if (IS_ERR(page))
        return (int)PTR_ERR(page);
    memset((char *)page_address(page) + from, 0, to - from);
    page_set_dirty(page);
    page_put(page);
    return 0;
}

void object_unplace_tail(struct object *o, u64 old_size)
{
    u64 index = old_size >> PAGE_SHIFT;
    struct page *page = stored_tail(o, old_size);

    if (page == NULL)
        return;
    atomic_and(&page->flags, ~(u32)PG_PLACED);
    rmap_write_protect(o, index, index);
    page_put(page);
}

static void grow(struct object *o, u64 size)
{
    u64 old = o->size;

    object_expose_tail(o);
    set_size(o, size);
    object_unplace_tail(o, old);
}

int object_set_size(struct object *o, u64 size)
{
    u64 first = size_in_pages(size);
    int error;

    if (size >= o->size) {
        if (size > o->size)
            grow(o, size);
        return 0;
    }
    error = (size & PAGE_MASK) == 0 ? 0 : zero_part(o, size >> PAGE_SHIFT, size & PAGE_MASK, PAGE_SIZE);
    if (error != 0)
        return error;
    set_size(o, size);
    object_remove_pages(o, first, UINT64_MAX);
    if (is_mapped(o))
        rmap_zap(o, first, UINT64_MAX, true);
    return 0;
}

/* A part of page INDEX has lost its place: the next store asks again, and what was stored meanwhile goes the same way.
 */
static int unplace_part(struct object *o, u64 index, unsigned from, unsigned to)
{
    struct page *page = from < to ? object_find_page(o, index) : NULL;

    if (page == NULL)
        return 0;
    atomic_and(&page->flags, ~(u32)PG_PLACED);
    rmap_write_protect(o, index, index);
    page_put(page);
    return zero_part(o, index, from, to);
}

int object_unplace(struct object *o, u64 from, u64 to)
{
    unsigned first = from & PAGE_MASK, last = to & PAGE_MASK;
    int error;

    if (from >> PAGE_SHIFT == to >> PAGE_SHIFT)
        return unplace_part(o, from >> PAGE_SHIFT, first, last);
    error = first > 0 ? unplace_part(o, from >> PAGE_SHIFT, first, PAGE_SIZE) : 0;
    return error != 0 ? error : unplace_part(o, to >> PAGE_SHIFT, 0, last);
}

int object_punch(struct object *o, u64 from, u64 to)
{
    u64 first = size_in_pages(from), end = to >> PAGE_SHIFT; /* whole pages: [first, end) */
    int error = 0;

    if (from >> PAGE_SHIFT == to >> PAGE_SHIFT)
        return zero_part(o, from >> PAGE_SHIFT, from & PAGE_MASK, to & PAGE_MASK);
    if ((from & PAGE_MASK) != 0)
        error = zero_part(o, from >> PAGE_SHIFT, from & PAGE_MASK, PAGE_SIZE);
    if (error == 0 && (to & PAGE_MASK) != 0)
        error = zero_part(o, end, 0, to & PAGE_MASK);
    if (error != 0 || first >= end)
        return error;
    object_remove_pages(o, first, end - 1);
    if (is_mapped(o))
        rmap_zap(o, first, end - 1, false);
    return 0;
}
