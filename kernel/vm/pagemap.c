/*
 * Which pages are there, which were written to, which were used: /proc/PID/pagemap and clear_refs.
 *
 * A page is soft-dirty when it was written to since clear_refs was told to forget. The hardware's D bit is that bit:
 * nothing else in the kernel needs it, so clear_refs takes D out of all entries, with one TLB flush, and no store
 * faults for it. Pages of mappings that are younger than that all count as soft-dirty, touched or not (a vma without
 * VMA_TRACKED), or memory that is unmapped and mapped anew would look untouched; so do pages that mremap moved.
 * Sources: Linux's admin-guide/mm/pagemap and soft-dirty, proc_pid_clear_refs(5).
 */
#include "vm/lazy.h"
#include "vm/tlb.h"

/* Bits of an entry of /proc/PID/pagemap; the lowest are the frame, or a swap slot. */
#define PM_SOFT_DIRTY BIT(55)
#define PM_EXCLUSIVE BIT(56)
#define PM_UFFD_WP BIT(57)
#define PM_FILE BIT(61)
#define PM_SWAP BIT(62)
#define PM_PRESENT BIT(63)

/* ---- pagemap ---- */

/* Only one entry, of a table that SPACES spaces refer to, maps PAGE. => its table locked */
static bool is_exclusive(const struct page *page, u32 spaces)
{
    return !(page->flags & PG_RESERVED) && spaces == 1 && load_relaxed(&page->refs) == 1 + page_cache_refs(page);
}

/* What the page-table entry E is to the reader besides BASE, which its vma says of all; its table serves SPACES spaces.
 * => its table locked */
static inline u64 describe(u64 base, bool is_vdso, pte_t e, u32 spaces, bool show_frames)
{
    const struct page *page;
    u32 flags;

    if (e == 0)
        return base;
    if (unlikely(e & PTE_UFFD_WP))
        base |= pte_is_rewritten(e) ? 0 : PM_UFFD_WP;
    if (!pte_has_page(e) && !pte_is_swap(e))
        return base;
    base |= e & PTE_D ? PM_SOFT_DIRTY : 0;
    if (pte_is_swap(e)) /* five bits for the number of the device, which is 0 */
        return base | PM_SWAP | (show_frames ? pte_slot(e) << 5 : 0);
    page = pte_page(e);
    flags = load_relaxed(&page->flags);
    base |= PM_PRESENT | (show_frames ? pte_pfn(e) : 0);
    if ((flags & (PG_ANON | PG_SWAPCACHE)) == PG_ANON) /* the commonest */
        return base | (spaces == 1 && load_relaxed(&page->refs) == 1 ? PM_EXCLUSIVE : 0);
    if (!(flags & (PG_ANON | PG_RESERVED)) || is_vdso)
        base |= PM_FILE;
    return base | (is_exclusive(page, spaces) ? PM_EXCLUSIVE : 0);
}

/* The pages of [start, end), which lies in V. */
static void describe_range(struct space *s, const struct vma *v, u64 start, u64 end, u64 *entries, bool show_frames)
{
    struct pt_walk w = {.space = s, .va = start, .end = end, .mode = PT_RAW};
    u64 base = v->flags & VMA_TRACKED ? 0 : PM_SOFT_DIRTY;
    bool is_vdso = (v->flags & VMA_VDSO) != 0;
    struct pt_view view;

    for (; pt_step(&w); w.va = w.next) {
        unsigned n = pt_walk_pages(&w);

        pt_look(&w, &view);
        if (view.entries != NULL)
            for (unsigned i = 0; i < n; i++)
                *entries++ = describe(base, is_vdso, load_relaxed(&view.entries[i]), view.spaces, show_frames);
        else
            for (unsigned i = 0; i < n; i++)
                *entries++ = describe(base, is_vdso, view.span, 1, show_frames);
        pt_look_done(&view);
    }
}

void space_pagemap(struct space *s, u64 address, u64 *entries, unsigned n, bool show_frames)
{
    u64 end = address + n * PAGE_SIZE;

    read_lock(&s->lock);
    for (struct vma *v = vma_find(s, address); address < end; v = v->above) {
        u64 start = v != NULL ? MIN(v->start, end) : end, stop;

        for (; address < start; address += PAGE_SIZE)
            *entries++ = 0;
        if (v == NULL)
            break;
        stop = MIN(v->end, end);
        if (address < stop)
            describe_range(s, v, address, stop, entries, show_frames);
        entries += (stop - address) >> PAGE_SHIFT;
        address = stop;
    }
    read_unlock(&s->lock);
}

/* ---- clear_refs ---- */

/* Takes D, which told of stores, out of *PTE, E; what it told to userfaultfd stays told. => table locked */
static inline bool forget_store(pte_t *pte, pte_t e)
{
    if (!pte_has_page(e) && !pte_is_swap(e))
        return false;
    atomic_and(pte, ~(PTE_D | (pte_is_rewritten(e) ? PTE_UFFD_WP : 0)));
    return true;
}

static inline bool forget_use(pte_t *pte, pte_t e)
{
    if (!pte_has_page(e))
        return false;
    atomic_and(pte, ~PTE_A);
    atomic_and(&pte_page(e)->flags, ~(u32)(PG_REFERENCED | PG_UNTOUCHED));
    return true;
}

/* The entries of V lose BIT: D or A. */
static int forget(struct space *s, const struct vma *v, pte_t bit, struct tlb_batch *batch)
{
    struct pt_walk w = {.space = s, .va = v->start, .end = v->end};

    for (; pt_step(&w); w.va = w.next) {
        unsigned n = w.level == 0 ? pt_walk_pages(&w) : 0;

        if (n == 0 || w.table->table_live == 0)
            continue;
        table_lock(w.table);
        for (unsigned i = 0; i < n; i++) {
            pte_t e = load_relaxed(&w.pte[i]);

            if (!(e & bit))
                continue;
            if (bit == PTE_D ? forget_store(&w.pte[i], e) : forget_use(&w.pte[i], e))
                tlb_note(batch, w.va + i * PAGE_SIZE);
        }
        table_unlock(w.table);
    }
    return w.error;
}

static bool is_meant(const struct vma *v, enum clear_refs what)
{
    return what == CLEAR_ANONYMOUS ? v->file == NULL : what == CLEAR_FILES ? v->file != NULL : true;
}

int space_clear_refs(struct space *s, enum clear_refs what)
{
    struct tlb_batch batch;
    int result = 0;

    tlb_begin(&batch, s);
    write_lock(&s->lock);
    if (what == CLEAR_PEAK)
        store_relaxed(&s->peak_rss, 0); /* whoever reads it, or takes pages away, notes what is there then */
    for (struct tree_node *node = tree_first(&s->vmas); node != NULL && what != CLEAR_PEAK && result == 0;
         node = tree_next(node)) {
        struct vma *v = container_of(node, struct vma, node);

        if (what == CLEAR_SOFT_DIRTY)
            lazy_keep(s, v);
        if (what == CLEAR_SOFT_DIRTY && !(v->flags & VMA_TRACKED)) {
            v->flags |= VMA_TRACKED;
            if (v->flags & VMA_TRAP)
                pt_forget_leaves(s); /* before D goes: vm/vmtrap_quick.c */
        }
        if (is_meant(v, what))
            result = forget(s, v, what == CLEAR_SOFT_DIRTY ? PTE_D : PTE_A, &batch);
    }
    tlb_flush(&batch);
    write_unlock(&s->lock);
    return result;
}
