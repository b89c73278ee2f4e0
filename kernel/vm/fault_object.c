/*
 * Faults on pages of objects: files, shared memory.
 *
 *     read             the cached pages of the window around the faulting one are mapped, those that are there
 *     store, private   a copy of the cached page
 *     store, shared    the cached page, once it has its blocks and is dirty
 *
 * What is not cached is read, and what has no blocks gets them, with space->lock given up: the caller asks for it by
 * FAULT_LOAD and FAULT_PREPARE, and the fault begins again. => space->lock for reading in all but those two.
 */
#include "vm/fault_parts.h"
#include "sched/thread.h"
#include "vm/cache.h"
#include "vm/swapobj.h"
#include "vm/tlb.h"

#define AROUND_PAGES 16 /* a read fault maps cached neighbours in this aligned window */

/* Asks space_fault to do something with the object while the lock is given up. */
int fault_with_file(struct fault *f, int request)
{
    vm_file_ops->get(f->vma->file);
    f->file = f->vma->file;
    f->object = f->vma->object;
    f->index = vma_index(f->vma, f->va);
    f->prepare = is_write(f) && vma_is_shared(f->vma);
    f->wish = fault_run_wish(f);
    f->advice = f->vma->flags & (VMA_RANDOM | VMA_SEQUENTIAL);
    return request;
}

/* A store to a private page that is only in the cache. PAGE is referenced. */
static int install_copy(struct fault *f, struct page *page)
{
    struct page *copy = fault_copy_of(page);
    bool installed = false;

    note_copied(page);
    page_put(page);
    if (copy == NULL)
        return FAULT_NO_MEMORY;
    table_lock(f->table);
    if (*f->pte == f->old && f->index < object_pages(f->object)) {
        pte_set(f->table, f->pte, writable_entry(copy, f->prot));
        installed = true;
    }
    table_unlock(f->table);
    if (!installed) {
        page_put(copy);
        return FAULT_AGAIN;
    }
    space_count_page(f->space, copy, 1);
    return FAULT_MAPPED;
}

/* The pages of a window that are cached, by place, each with a reference. */
struct around {
    struct page *pages[AROUND_PAGES];
    unsigned n;     /* pages of the window that are within the object's size */
    unsigned found; /* of these, cached */
    u32 flags;      /* that all of them have */
};

static void gather_around(struct object *o, u64 index, unsigned n, struct around *a)
{
    u64 flags = spin_lock_irqsave(&o->lock), below_end = object_pages(o) - MIN(object_pages(o), index);
    unsigned found = 0;
    u32 common = ~0u;

    n = (unsigned)MIN(n, below_end);
    radix_get_run(&o->pages, index, n, (void **)a->pages);
    for (struct page **at = a->pages, **end = at + n; at < end; at++) {
        struct page *page = *at;
        u32 its;

        if (page == NULL)
            continue;
        if (is_marker(page) || ((its = page->flags) & (PG_UPTODATE | PG_LOADING)) != PG_UPTODATE) {
            *at = NULL;
            continue;
        }
        page_get(page);
        common &= its;
        found++;
    }
    spin_unlock_irqrestore(&o->lock, flags);
    a->n = n;
    a->found = found;
    a->flags = common;
}

/* Instruction fetch must see the bytes that were loaded as data (RISC-V: fence.i on every hart, once per page). */
static noinline_fn void make_fetchable(const struct around *a)
{
    arch_sync_icache((1ull << machine.harts) - 1);
    for (unsigned i = 0; i < a->n; i++)
        if (a->pages[i] != NULL && !(load_relaxed(&a->pages[i]->flags) & PG_FETCHABLE))
            atomic_or(&a->pages[i]->flags, PG_FETCHABLE);
}

/* Maps the pages of A at entries from PTE on where nothing is mapped yet and the protection is the faulting page's; W
 * only if a store needs no preparation any more. */
static unsigned install_around(struct fault *f, pte_t *pte, struct around *a)
{
    const pte_t plain = unused_entry(page_entry(0, f->prot, f->old & PTE_UFFD_WP)), old = f->old;
    const pte_t store = !vma_is_shared(f->vma) || !(f->prot & PROT_WRITE) || (old & PTE_UFFD_WP)
                            ? 0
                            : vma_store_bits(f->vma) | (is_write(f) ? PTE_D : 0);
    const struct object *o = f->object;
    const struct page *array = page_array;
    unsigned mapped = 0;

    table_lock(f->table);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* what is in the pages, before the entries */
    for (struct page **at = a->pages, **end = at + a->n; at < end; at++, pte++) {
        const struct page *page = *at;
        pte_t e;

        if (page == NULL || *pte != old || load_relaxed(&page->object) != o)
            continue;
        e = plain | pte_make((u64)(page - array), 0);
        if (store != 0 && page_takes_stores(page))
            e |= store;
        store_relaxed(pte, e);
        *at = NULL; /* the entry's reference now */
        mapped++;
    }
    if (old == 0)
        f->table->table_live += (u16)mapped;
    table_unlock(f->table);
    for (unsigned i = 0; mapped < a->found && i < a->n; i++)
        if (a->pages[i] != NULL)
            page_put(a->pages[i]);
    return mapped;
}

/* A file in memory has pages that are never clean: that a store makes an entry is what tells of a change. */
static void note_store_to_memory(struct object *o)
{
    if (o->ops->write_pages == NULL && o->ops->mapping_stored != NULL)
        o->ops->mapping_stored(o);
}

/* Maps the cache's pages around the faulting one; there is at least that one, or it is loaded first. */
static int map_cached(struct fault *f)
{
    struct around around;
    struct page *page;
    u64 window = AROUND_PAGES * PAGE_SIZE;
    u64 start = MAX(ALIGN_DOWN(f->va, window), f->vma->start),
        end = MIN(ALIGN_DOWN(f->va, window) + window, f->vma->end);
    unsigned at, n, mapped;

    if (is_write(f) || (f->vma->flags & VMA_UFFD_MINOR)) {
        start = f->va;
        end = f->va + PAGE_SIZE;
    }
    at = (f->va - start) >> PAGE_SHIFT;
    n = (end - start) >> PAGE_SHIFT;
    gather_around(f->object, vma_index(f->vma, start), n, &around);
    page = at < around.n ? around.pages[at] : NULL;
    if (page != NULL && is_write(f)) {
        if (page_takes_stores(page)) {
            note_store_to_memory(f->object);
        } else if (!page_prepare_now(f->object, page)) {
            f->page = page;
            return fault_with_file(f, FAULT_PREPARE);
        }
    }
    if (page != NULL) {
        if (!(page->flags & PG_REFERENCED) && !(f->vma->flags & VMA_SEQUENTIAL))
            atomic_or(&page->flags, PG_REFERENCED);
        if ((f->prot & PROT_EXEC) && !(around.flags & PG_FETCHABLE))
            make_fetchable(&around);
    }
    mapped = install_around(f, f->pte - at, &around);
    if (mapped != 0)
        atomic_add_relaxed(&f->space->rss[object_rss_kind(f->object)], mapped);
    return page != NULL ? FAULT_MAPPED : fault_with_file(f, FAULT_LOAD);
}

int fault_object(struct fault *f)
{
    struct page *page;

    f->object = f->vma->object;
    f->index = vma_index(f->vma, f->va);
    if (f->index >= object_pages(f->object))
        return FAULT_BUS;
    if (!is_write(f) || vma_is_shared(f->vma))
        return map_cached(f);
    page = object_find_page(f->object, f->index);
    return page != NULL ? install_copy(f, page) : fault_with_file(f, FAULT_LOAD);
}

int fault_shared_store(struct fault *f)
{
    struct page *page = pte_page(f->old);
    bool ready;

    table_lock(f->table);
    if (*f->pte != f->old) {
        table_unlock(f->table);
        return FAULT_AGAIN;
    }
    ready = page_takes_stores(page) || page_prepare_now(f->vma->object, page);
    if (ready)
        pte_set(f->table, f->pte, f->old | PTE_W | PTE_D | PTE_A);
    else
        page_get(page);
    table_unlock(f->table);
    if (ready) {
        tlb_flush_local(f->space, f->va);
        return FAULT_MAPPED;
    }
    f->page = page;
    return fault_with_file(f, FAULT_PREPARE);
}

/* ---- what is done with the lock given up ---- */

/* As madvise(2) was told: the page alone, much of what follows, or (NULL) its neighbourhood. */
static struct readahead *readahead_advised(struct readahead *ra, const struct fault *f)
{
    *ra = (struct readahead){.next = f->index, .window = MAX_IO_PAGES, .disabled = (f->advice & VMA_RANDOM) != 0};
    return f->advice != 0 ? ra : NULL;
}

enum fault_result fault_load_page(struct fault *f)
{
    struct readahead ra;
    struct page *page = object_get_page_in_size(f->object, f->index, readahead_advised(&ra, f), f->wish);
    long error = IS_ERR(page) ? PTR_ERR(page) : 0;

    if (page != NULL && error == 0) {
        if (f->prepare)
            error = page_prepare_stores(f->object, page, f->index);
        page_put(page);
    }
    vm_file_ops->put(f->file);
    f->loaded = true;
    atomic_add_relaxed(&f->space->major_faults, 1);
    if (error == -ENOMEM)
        return FAULT_NO_MEMORY;
    return error != 0 ? FAULT_BUS : FAULT_MAPPED;
}

enum fault_result fault_prepare_page(struct fault *f)
{
    int error = page_prepare_stores(f->object, f->page, f->index);

    page_put(f->page);
    vm_file_ops->put(f->file);
    if (error == -ENOMEM)
        return FAULT_NO_MEMORY;
    return error != 0 ? FAULT_BUS : FAULT_MAPPED;
}
