/*
 * userfaultfd's write protection: a bit in each entry, UFFD_WP, whatever else the entry says. A present entry with it
 * has no W, so a store faults, and vm/fault.c asks: the reader of the descriptor, or with WP_ASYNC nobody (the bit
 * goes, which is what PAGEMAP_SCAN looks for). Source: ioctl_userfaultfd(2), UFFDIO_WRITEPROTECT.
 *
 *     entry                protect                    unprotect
 *     present, W           UFFD_WP, no W, TLBs told   no UFFD_WP; W if a store needs nothing else
 *     other with a page    UFFD_WP                    no UFFD_WP
 *     mark                 UFFD_WP, see below         no UFFD_WP; 0 if it then says what the vma says
 *     0                    a mark with UFFD_WP, but private anonymous memory only with WP_UNPOPULATED
 */
#include "vm/userfaults.h"

bool userfault_marks_absent(const struct vma *v)
{
    return v->object != NULL || (v->userfault->features & UFFD_FEATURE_WP_UNPOPULATED);
}

/* A and D are the hardware's to set meanwhile: atomic where they may be. */
bool userfault_protect_entry(const struct vma *v, struct page *table, pte_t *pte, bool mark_absent)
{
    pte_t e = load_relaxed(pte);
    bool had_write;

    if (e == 0 || pte_is_mark(e)) {
        if (mark_absent)
            pte_set(table, pte, (e == 0 ? pte_mark(v->prot) : e) | PTE_UFFD_WP);
        return false;
    }
    had_write = pte_is_present(e) && (e & PTE_W);
    if (had_write)
        atomic_and(pte, ~PTE_W);
    if (!(e & PTE_UFFD_WP))
        atomic_or(pte, PTE_UFFD_WP);
    return had_write;
}

/* Stores go on without a fault where nothing else forbids it. => table locked */
static void unprotect_entry(struct space *s, const struct vma *v, struct page *table, pte_t *pte, u64 va)
{
    pte_t old = load_relaxed(pte), e = old & ~PTE_UFFD_WP;

    if (e == old)
        return;
    if (!pte_is_present(e)) {
        pte_set(table, pte, e == pte_mark(v->prot) ? 0 : e);
        return;
    }
    atomic_and(pte, ~PTE_UFFD_WP);
    if ((e & PTE_SOFT_W) && page_is_store_ready(vma_is_shared(v), pte_page(e))) {
        atomic_or(pte, PTE_W);
        tlb_flush_local(s, va);
    }
}

/* The upper-level entry that W is at. */
static int change_span(struct pt_walk *w, const struct vma *v, bool on, bool mark_absent)
{
    pte_t e = load_relaxed(w->pte);
    int locked;

    if (on ? (e & PTE_UFFD_WP) || !mark_absent : !(e & PTE_UFFD_WP))
        return 0;
    locked = pt_lock_span(w);
    if (locked <= 0)
        return locked;
    if (on)
        (void)userfault_protect_entry(v, w->table, w->pte, mark_absent);
    else
        unprotect_entry(w->space, v, w->table, w->pte, w->va);
    if (*w->pte != 0)
        w->space->has_spans = true;
    table_unlock(w->table);
    return 0;
}

static void change_leaves(struct pt_walk *w, const struct vma *v, bool on, bool mark_absent, struct tlb_batch *batch)
{
    unsigned n = pt_walk_pages(w);

    table_lock(w->table);
    for (unsigned i = 0; i < n; i++) {
        u64 va = w->va + i * PAGE_SIZE;

        if (!on)
            unprotect_entry(w->space, v, w->table, &w->pte[i], va);
        else if (userfault_protect_entry(v, w->table, &w->pte[i], mark_absent))
            tlb_note(batch, va);
    }
    table_unlock(w->table);
}

/* => lock */
static int change_vma(struct space *s, const struct vma *v, u64 start, u64 end, bool on)
{
    bool mark_absent = on && userfault_marks_absent(v);
    struct pt_walk w = {.space = s, .va = start, .end = end};
    struct tlb_batch batch;
    int error = 0;

    tlb_begin(&batch, s);
    for (; error == 0 && pt_step(&w); w.va = w.next) {
        if (w.level == 0)
            change_leaves(&w, v, on, mark_absent, &batch);
        else
            error = change_span(&w, v, on, mark_absent);
    }
    if (on)
        tlb_note_unflushed(&batch, start, end, true);
    tlb_flush(&batch);
    return error != 0 ? error : w.error;
}

int userfault_unprotect_vma(struct space *s, const struct vma *v, u64 start, u64 end)
{
    return change_vma(s, v, start, end, false);
}

/* => lock */
static int change_range(struct space *s, u64 start, u64 end, bool on)
{
    int result = -ENOENT;

    for (struct vma *v = vma_find(s, start); v != NULL && v->start < end; v = v->above) {
        if (!(v->flags & VMA_UFFD_WP))
            return -ENOENT;
        result = change_vma(s, v, MAX(start, v->start), MIN(end, v->end), on);
        if (result != 0)
            return result;
    }
    return result;
}

int userfault_write_protect(struct userfault *u, u64 start, u64 length, bool on)
{
    int error = -EAGAIN;

    if (!userfault_enter(u))
        return -ESRCH;
    read_lock(&u->space->lock);
    if (!userfault_is_changing(u))
        error = change_range(u->space, start, start + length, on);
    read_unlock(&u->space->lock);
    userfault_leave(u);
    return error;
}
