/*
 * From an object to all page-table entries that map its pages: through the list of vmas, each of which can hold a page at one place only.
 *
 * => the object's mappings_lock keeps vmas and spaces alive and their ranges fixed; each space's tables_lock keeps its tables. space->lock is not taken,
 * so faults and other changes run beside this under the table locks.
 */
#include "vm/cache.h"
#include "vm/tlb.h"

/* The part of V that shows pages [first, last] of its object: false = none. */
static bool visible_range(const struct vma *v, u64 first, u64 last, u64 *start, u64 *end)
{
    u64 v_first = v->offset >> PAGE_SHIFT, v_last = v_first + ((v->end - v->start) >> PAGE_SHIFT) - 1;

    if (last < v_first || first > v_last)
        return false;
    *start = v->start + ((MAX(first, v_first) - v_first) << PAGE_SHIFT);
    *end = v->start + ((MIN(last, v_last) - v_first + 1) << PAGE_SHIFT);
    return true;
}

static void zap_vma(struct vma *v, u64 start, u64 end)
{
    struct tlb_batch batch;

    tlb_begin(&batch, v->space);
    do {
        spin_lock(&v->space->tables_lock);
        start = zap_some(v->space, start, end, v, &batch);
        spin_unlock(&v->space->tables_lock);
        tlb_flush(&batch);
    } while (start < end);
}

void rmap_zap(struct object *o, u64 first, u64 last)
{
    struct vma *v;
    u64 start, end;

    mutex_lock(&o->mappings_lock);
    list_for_each(v, &o->mappings, object_link) if (visible_range(v, first, last, &start, &end)) zap_vma(v, start, end);
    mutex_unlock(&o->mappings_lock);
}

static void protect_vma(struct vma *v, u64 start, u64 end)
{
    struct tlb_batch batch;

    tlb_begin(&batch, v->space);
    spin_lock(&v->space->tables_lock);
    for (struct pt_walk w = {.space = v->space, .va = start, .end = end}; pt_step(&w); w.va = w.next) {
        unsigned n = w.level == 0 ? pt_walk_pages(&w) : 0;

        table_lock(w.table);
        for (unsigned i = 0; i < n; i++) {
            if (!(w.pte[i] & PTE_V) || !(w.pte[i] & PTE_W))
                continue;
            atomic_and(&w.pte[i], ~PTE_W);
            tlb_note(&batch, w.va + i * PAGE_SIZE);
        }
        table_unlock(w.table);
    }
    spin_unlock(&v->space->tables_lock);
    tlb_flush(&batch);
}

void rmap_write_protect(struct object *o, u64 first, u64 last)
{
    struct vma *v;
    u64 start, end;

    mutex_lock(&o->mappings_lock);
    list_for_each(v, &o->mappings, object_link) if (vma_is_shared(v) && visible_range(v, first, last, &start, &end)) protect_vma(v, start, end);
    mutex_unlock(&o->mappings_lock);
}

/* PAGE's entry in V at VA, if it has one there: was it used since A was last cleared? The TLB may still hold A = 1, which only makes a page look
 * unused a little early. UNMAP: takes it out instead. */
static bool visit_entry(struct vma *v, u64 va, const struct page *page, bool unmap, struct tlb_batch *batch)
{
    struct page *table;
    bool used = false;
    pte_t *pte;

    spin_lock(&v->space->tables_lock);
    pte = pt_find(v->space, va, &table);
    if (pte != NULL) {
        table_lock(table);
        if (pte_has_page(*pte) && pte_page(*pte) == page) {
            if (!unmap) {
                used = (atomic_and(pte, ~PTE_A) & PTE_A) != 0;
            } else {
                space_count_page(v->space, page, -1);
                pte_set(table, pte, vma_entry_without_page(v, *pte));
                tlb_note(batch, va);
                tlb_free_page(batch, pfn_page(page_pfn(page)));
            }
        }
        table_unlock(table);
    }
    spin_unlock(&v->space->tables_lock);
    return used;
}

bool rmap_unmap_unused(struct object *o, const struct page *page)
{
    u64 index = page->index, start, end;
    struct tlb_batch batch;
    struct vma *v;
    bool used = false;

    if (!mutex_trylock(&o->mappings_lock))
        return false;
    list_for_each(v, &o->mappings, object_link) if (visible_range(v, index, index, &start, &end)) used |= (v->flags & VMA_LOCKED) || visit_entry(v, start, page, false, NULL);
    list_for_each(v, &o->mappings, object_link)
    {
        if (used || !visible_range(v, index, index, &start, &end))
            continue;
        tlb_begin(&batch, v->space);
        visit_entry(v, start, page, true, &batch);
        tlb_flush(&batch);
    }
    mutex_unlock(&o->mappings_lock);
    return !used;
}
