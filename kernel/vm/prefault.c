/*
 * What a program is going to use, mapped when it is executed. A program that starts goes through the same pages of its
 * file each time, and a fault for each sixteen of them costs more than all these entries. So a page of a file remembers
 * how the last ones who had it mapped have used it:
 *
 *     PG_TOUCHED   in place                                     -> mapped, without A
 *     PG_COPIED    a store to a private mapping copied it       -> copied, and the copy is mapped, without D
 *
 * At their end A and D tell whether that was right (note_used, note_unused): a page that two have not used is not
 * mapped for the next one, nor is one copied for nothing that another one did not store to. So fork, exec and exit have
 * only such entries to go through as matter. Both are hints. They go with the page: what memory pressure has taken out
 * of the cache is read, and learnt, again.
 *
 * => the space has no user yet; but who comes from the object (vm/rmap.c) may be there, so locks are taken.
 */
#include "lib/string.h"
#include "vm/cache.h"
#include "vm/fault_parts.h"
#include "vm/prefault.h"

#define LOOK_PAGES 1024 /* of a mapping, from its start: to look at more could take longer than to fault */
#define COPY_PAGES 64   /* of a mapping, at most */

/* ---- what is remembered ---- */

void note_used(struct page *page) { atomic_or(&page->flags, PG_TOUCHED | PG_TOUCHED_LAST); }

void note_unused(struct page *page)
{
    atomic_and(&page->flags, ~(load_relaxed(&page->flags) & PG_TOUCHED_LAST ? PG_TOUCHED_LAST : PG_TOUCHED));
}

void note_unstored(const struct vma *v, u64 va)
{
    struct page *page = object_find_loaded(v->object, vma_index(v, va));

    if (page == NULL)
        return;
    if (load_relaxed(&page->flags) & PG_COPIED)
        atomic_and(&page->flags, ~PG_COPIED);
    page_put(page);
}

/* ---- pages in place ---- */

/* The cached pages SLOTS[0..N) that have the flags WANTED become present as PLAIN says, from PTE on. Returns how many.
 * => table and object locked */
static unsigned map_slots(void *const *slots, unsigned n, pte_t *pte, u32 wanted, pte_t plain)
{
    const struct page *array = page_array;
    unsigned mapped = 0;

    for (void *const *end = slots + n; slots < end; slots++, pte++) {
        struct page *page = *slots;

        if (page == NULL || is_marker(page) || (page->flags & (wanted | PG_LOADING)) != wanted || *pte != 0)
            continue;
        page_get(page);
        store_relaxed(pte, plain | pte_make((u64)(page - array), 0));
        mapped++;
    }
    return mapped;
}

/* The pages of V at [VA, END), which lie in one leaf table, where PTE is VA's entry. => table locked */
static unsigned map_part(const struct vma *v, u64 va, u64 end, pte_t *pte)
{
    struct object *o = v->object;
    u32 wanted = PG_UPTODATE | PG_TOUCHED | (v->prot & PROT_EXEC ? PG_FETCHABLE : 0);
    pte_t plain = unused_entry(page_entry(0, v->prot, 0));
    u64 flags = spin_lock_irqsave(&o->lock), index = vma_index(v, va), last = MIN(vma_index(v, end), object_pages(o));
    unsigned mapped = 0, n;

    __atomic_thread_fence(__ATOMIC_RELEASE); /* what is in the pages, before the entries */
    for (; index < last; index += n, pte += n) {
        void *const *slots;

        n = (unsigned)MIN(last - index, RADIX_SLOTS);
        slots = radix_slots(&o->pages, index, &n);
        if (slots != NULL)
            mapped += map_slots(slots, n, pte, wanted, plain);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    return mapped;
}

static void map_touched(struct space *s, const struct vma *v, u64 end)
{
    for (u64 va = v->start, next; va < end; va = next) {
        struct page *table;
        pte_t *pte = pt_reach(s, va, &table);
        unsigned mapped;

        if (pte == NULL)
            return;
        next = MIN(ALIGN_DOWN(va, level_size(1)) + level_size(1), end);
        table_lock(table);
        mapped = map_part(v, va, next, pte);
        table->table_live += (u16)mapped;
        table_unlock(table);
        if (mapped != 0)
            atomic_add_relaxed(&s->rss[object_rss_kind(v->object)], mapped);
    }
}

/* ---- copies ---- */

/* COPY becomes the page of PTE in TABLE, where V has nothing yet, unless PAGE, of which it is a copy, is not the
 * object's any more. D will tell whether it was stored to, where harts set it. Takes COPY over. */
static void install_copy(struct space *s, const struct vma *v, pte_t *pte, struct page *table, const struct page *page,
                         struct page *copy)
{
    pte_t e = writable_entry(copy, v->prot);
    bool installed;

    table_lock(table);
    installed = *pte == 0 && load_relaxed(&page->object) == v->object;
    if (installed)
        pte_set(table, pte, load_relaxed(&harts_set_accessed) ? e & ~PTE_D : e);
    table_unlock(table);
    if (installed)
        space_count_page(s, copy, 1);
    else
        page_put(copy);
}

static void copy_stored(struct space *s, const struct vma *v, u64 end)
{
    unsigned copies = 0;

    for (u64 va = v->start; va < end && copies < COPY_PAGES; va += PAGE_SIZE) {
        u64 index = vma_index(v, va);
        struct page *page = object_find_loaded(v->object, index), *copy, *table;
        pte_t *pte;

        if (page == NULL)
            continue;
        if ((load_relaxed(&page->flags) & PG_COPIED) && index < object_pages(v->object) &&
            (pte = pt_reach(s, va, &table)) != NULL && *pte == 0 && (copy = fault_copy_of(page)) != NULL) {
            install_copy(s, v, pte, table, page, copy);
            copies++;
        }
        page_put(page);
    }
}

void space_map_used(struct space *s, u64 start, u64 end)
{
    const struct vma *v;

    end = MIN(end, start + LOOK_PAGES * PAGE_SIZE);
    read_lock(&s->lock);
    v = vma_at(s, start);
    if (v != NULL && v->object != NULL && v->start == start && v->end >= end && !vma_is_shared(v)) {
        if (v->prot & PROT_WRITE)
            copy_stored(s, v, end);
        map_touched(s, v, end);
    }
    read_unlock(&s->lock);
}

bool space_copy_head(struct space *s, u64 va, size_t n)
{
    struct page *page, *table, *copy = NULL;
    const struct vma *v;
    pte_t *pte;

    read_lock(&s->lock);
    v = vma_at(s, va);
    page = v != NULL && v->object != NULL ? object_find_loaded(v->object, vma_index(v, va)) : NULL;
    if (page != NULL && vma_index(v, va) < object_pages(v->object) && (pte = pt_reach(s, va, &table)) != NULL)
        copy = page_alloc(ALLOC_USER);
    if (copy != NULL) {
        page_make_anonymous(copy);
        memcpy(page_address(copy), page_address(page), n);
        memset((char *)page_address(copy) + n, 0, PAGE_SIZE - n);
        install_copy(s, v, pte, table, page, copy);
    }
    if (page != NULL)
        page_put(page);
    read_unlock(&s->lock);
    return copy != NULL;
}

bool space_give_page(struct space *s, u64 va, struct page *page)
{
    struct page *table;
    const struct vma *v;
    bool given = false;
    pte_t *pte;

    read_lock(&s->lock);
    v = vma_at(s, va);
    if (v != NULL && v->object == NULL && (pte = pt_reach(s, va, &table)) != NULL) {
        table_lock(table);
        given = *pte == 0;
        if (given) {
            page_make_anonymous(page);
            pte_set(table, pte, writable_entry(page, v->prot));
        }
        table_unlock(table);
    }
    if (given)
        space_count_page(s, page, 1);
    read_unlock(&s->lock);
    return given;
}
