/*
 * From an object to all page-table entries that map its pages: through the tree of its vmas (vm/mappings.h), each of
 * which can hold a page at one place only.
 *
 * => the object's mappings_lock keeps vmas and spaces alive and their ranges fixed; each space's tables_lock keeps its
 * tables. space->lock is not taken, so faults and other changes run beside this under the table locks; each table stays
 * locked until what changed in it is flushed (vm/tlb.h).
 */
#include "vm/cache.h"
#include "vm/mappings.h"
#include "vm/tlb.h"

/* Where V, which shows some of pages [first, last], shows them. */
static u64 visible_start(const struct vma *v, u64 first)
{
    return v->start + ((MAX(first, vma_first_page(v)) - vma_first_page(v)) << PAGE_SHIFT);
}
static u64 visible_end(const struct vma *v, u64 last)
{
    return v->start + ((MIN(last, vma_last_page(v)) - vma_first_page(v) + 1) << PAGE_SHIFT);
}

static void zap_vma(struct vma *v, u64 start, u64 end, bool copies_too)
{
    const u64 first = start;
    struct tlb_batch batch;

    tlb_begin(&batch, v->space);
    do {
        batch.spares_copies = !copies_too;
        batch.from_object = true;
        spin_lock(&v->space->tables_lock);
        start = zap_some(v->space, start, end, v, &batch);
        spin_unlock(&v->space->tables_lock);
        if (start >= end)
            tlb_note_unflushed(&batch, first, end, false);
        tlb_flush(&batch);
    } while (start < end);
}

void rmap_zap(struct object *o, u64 first, u64 last, bool copies_too)
{
    struct vma *v;

    mutex_lock(&o->mappings_lock);
    for_each_mapping(v, o, first, last)
        zap_vma(v, visible_start(v, first), visible_end(v, last), copies_too);
    mutex_unlock(&o->mappings_lock);
}

static void protect_vma(struct vma *v, u64 start, u64 end)
{
    const u64 first = start;
    struct tlb_batch batch;

    tlb_begin(&batch, v->space);
    spin_lock(&v->space->tables_lock);
    for (struct pt_walk w = {.space = v->space, .va = start, .end = end, .mode = PT_RAW}; pt_step(&w); w.va = w.next) {
        unsigned n = w.level == 0 ? pt_walk_pages(&w) : 0;

        if (w.level == 1 && pte_is_huge(load_relaxed(w.pte))) {
            pt_split_huge(w.table, w.pte);
            w.next = w.va;
            continue;
        }
        table_lock(w.table);
        for (unsigned i = 0; i < n; i++) {
            if ((load_relaxed(&w.pte[i]) & (PTE_V | PTE_W)) != (PTE_V | PTE_W))
                continue;
            atomic_and(&w.pte[i], ~PTE_W);
            tlb_note(&batch, w.va + i * PAGE_SIZE);
        }
        tlb_flush_entries(&batch);
        table_unlock(w.table);
    }
    spin_unlock(&v->space->tables_lock);
    tlb_note_unflushed(&batch, first, end, false);
    tlb_flush(&batch);
}

void rmap_write_protect(struct object *o, u64 first, u64 last)
{
    struct vma *v;

    spin_unlock_irqrestore(&o->lock, spin_lock_irqsave(&o->lock)); /* who maps a run just now has done so: run_hold */
    mutex_lock(&o->mappings_lock);
    for_each_mapping(v, o, first, last)
        if (vma_is_shared(v))
            protect_vma(v, visible_start(v, first), visible_end(v, last));
    mutex_unlock(&o->mappings_lock);
}

/* Where V shows a run as a huge page at VA: that it was used is written down for each page of it; or, UNMAP, it is
 * split.
 * => tables_lock */
static void visit_huge(struct vma *v, u64 va, bool unmap)
{
    struct pt_walk w = {.space = v->space, .va = va, .end = va + PAGE_SIZE, .mode = PT_TABLES};
    pte_t e;

    if (!pt_step(&w) || w.level != 1 || !pte_is_huge(load_relaxed(w.pte)))
        return;
    table_lock(w.table);
    e = load_relaxed(w.pte);
    if (!pte_is_huge(e)) {
    } else if (unmap) {
        pt_split(w.table, w.pte);
    } else if (e & PTE_A) {
        pte_t *t = page_address(pt_leaf_table(w.pte, e));

        atomic_and(w.pte, ~PTE_A);
        for (unsigned i = 0; i < PT_ENTRIES; i++)
            atomic_or(&t[i], PTE_A);
    }
    table_unlock(w.table);
}

/* E maps PAGE as V's object's: the caller has no reference, so it may be a private copy by now. => table locked */
static bool is_page_of(const struct vma *v, pte_t e, const struct page *page)
{
    return pte_has_page(e) && pte_page(e) == page && load_relaxed(&page->object) == v->object;
}

/* PAGE's entry in V at VA, if it has one there: was it used since A was last cleared? The TLB may still hold A = 1,
 * which only makes a page look unused a little early. UNMAP: takes it out instead. */
static bool visit_entry(struct vma *v, u64 va, struct page *page, bool unmap)
{
    struct page *table;
    bool used = false, unmapped = false;
    pte_t *pte, e;

    spin_lock(&v->space->tables_lock);
    pte = pt_find(v->space, va, &table);
    if (pte != NULL && (table->flags & PG_HUGE))
        visit_huge(v, va, unmap);
    if (pte != NULL) {
        table_lock(table);
        e = load_relaxed(pte);
        if (is_page_of(v, e, page)) {
            if (!unmap) {
                used = (atomic_and(pte, ~PTE_A) & PTE_A) != 0;
            } else {
                space_count_page(v->space, page, -1);
                pte_set(table, pte, vma_entry_without_page(v, e));
                tlb_flush_range(v->space, va, va + PAGE_SIZE);
                unmapped = true;
            }
        }
        table_unlock(table);
    }
    spin_unlock(&v->space->tables_lock);
    if (unmapped)
        page_put(page);
    return used;
}

bool rmap_unmap_unused(struct object *o, struct page *page)
{
    u64 index = page->index;
    struct vma *v;
    bool used = false;

    if (!mutex_trylock(&o->mappings_lock))
        return false;
    for_each_mapping(v, o, index, index)
        used |= (v->flags & VMA_LOCKED) ||
                (visit_entry(v, visible_start(v, index), page, false) && !(v->flags & VMA_SEQUENTIAL));
    for (v = used ? NULL : mappings_first(&o->mappings, index, index); v != NULL; v = mappings_next(v, index, index))
        visit_entry(v, visible_start(v, index), page, true);
    mutex_unlock(&o->mappings_lock);
    return !used;
}
