/*
 * Changing protection. Every page's protection is in its own entry, so protecting part of a mapping changes entries and leaves the vma alone; only a
 * change of the larger half moves the vma's default protection, and the smaller rest gets its old one written into its entries.
 *
 *      vma, default rw-   [  0   0   0   0   0   0   0   0  ]        0: the vma's default
 *      protect two        [  0   0   r   r   0   0   0   0  ]        r: a mark, or a present entry with R
 *      protect six to r   [  w   w   0   0   0   0   0   0  ]        default r--, the first two are marked rw-
 *
 * So the cost is that of the smaller part's entries; untouched spans of 2 MiB, 1 GiB... are one entry. Source: mprotect(2).
 */
#include "sched/thread.h"
#include "vm/tlb.h"

/* May a store go ahead without a fault when the page gets write permission? */
static bool is_store_ready(const struct vma *v, const struct page *page)
{
    u32 flags = load_relaxed(&page->flags);

    if (vma_is_shared(v))
        return (flags & (PG_DIRTY | PG_PLACED)) == (PG_DIRTY | PG_PLACED);
    return (flags & PG_ANON) != 0 && load_relaxed(&page->refs) == 1;
}

/* The entry E with protection PROT. */
static pte_t reprotect(const struct vma *v, pte_t e, unsigned prot)
{
    pte_t kept = e & (PTE_PPN_MASK | PTE_A | PTE_D);

    if (!pte_has_page(e))
        return prot == v->prot ? 0 : pte_mark(prot);
    if (prot == PROT_NONE)
        return kept | PTE_RESIDENT;
    kept |= pte_bits(prot);
    if ((prot & PROT_WRITE) && ((e & PTE_W) || is_store_ready(v, pte_page(e))))
        kept |= PTE_W | PTE_D;
    return kept;
}

static bool takes_away(pte_t old, pte_t new)
{
    return pte_is_present(old) && (old & ~new & (PTE_V | PTE_R | PTE_W | PTE_X)) != 0;
}

static void protect_leaves(struct pt_walk *w, const struct vma *v, unsigned prot, struct tlb_batch *batch)
{
    unsigned n = pt_walk_pages(w);

    table_lock(w->table);
    for (unsigned i = 0; i < n; i++) {
        pte_t old = w->pte[i], new = reprotect(v, old, prot);

        if (old == new)
            continue;
        pte_set(w->table, &w->pte[i], new);
        if (takes_away(old, new))
            tlb_note(batch, w->va + i * PAGE_SIZE);
        else if (pte_is_present(new))
            tlb_flush_local(w->space, w->va + i * PAGE_SIZE);
    }
    table_unlock(w->table);
}

/* Gives an upper-level entry MARK if the walk covers its whole span, else pushes it down to be walked again. */
static int mark_span(struct pt_walk *w, pte_t mark)
{
    if (!pt_walk_whole(w)) {
        if (!pt_push_down(w->space, w->table, w->pte, w->va, w->level))
            return -ENOMEM;
        w->next = w->va;
        return 0;
    }
    table_lock(w->table);
    if (pte_is_present(*w->pte)) {
        w->next = w->va; /* a fault made a table just now */
    } else {
        pte_set(w->table, w->pte, mark);
        w->space->has_spans = true;
    }
    table_unlock(w->table);
    return 0;
}

/* Entries of [start, end) in V get PROT. */
static int protect_entries(struct space *s, struct vma *v, u64 start, u64 end, unsigned prot)
{
    pte_t mark = prot == v->prot ? 0 : pte_mark(prot);
    struct tlb_batch batch;
    int result = 0;

    if (mark != 0 && !(load_relaxed(&v->flags) & VMA_MARKED))
        atomic_or(&v->flags, VMA_MARKED);
    tlb_begin(&batch, s);
    for (struct pt_walk w = {.space = s, .va = start, .end = end}; result == 0 && pt_step(&w); w.va = w.next) {
        if (w.level == 0)
            protect_leaves(&w, v, prot, &batch);
        else if (load_relaxed(w.pte) != mark)
            result = mark_span(&w, mark);
    }
    tlb_flush(&batch);
    return result;
}

/* Untouched pages of [start, end) get V's present default written into their entries, for it is about to change. */
static int pin_default(struct space *s, struct vma *v, u64 start, u64 end)
{
    pte_t mark = pte_mark(v->prot);
    int result = 0;

    for (struct pt_walk w = {.space = s, .va = start, .end = end}; result == 0 && pt_step(&w); w.va = w.next) {
        if (w.level > 0) {
            if (*w.pte == 0)
                result = mark_span(&w, mark);
            continue;
        }
        table_lock(w.table);
        for (unsigned i = 0; i < pt_walk_pages(&w); i++)
            if (w.pte[i] == 0)
                pte_set(w.table, &w.pte[i], mark);
        table_unlock(w.table);
    }
    return result;
}

/* => write lock; [start, end) lies in V */
static int protect_in_vma(struct space *s, struct vma *v, u64 start, u64 end, unsigned prot)
{
    int result = 0;

    if (end - start < (v->end - v->start) - (end - start))
        return protect_entries(s, v, start, end, prot);
    if (start > v->start)
        result = pin_default(s, v, v->start, start);
    if (result == 0 && end < v->end)
        result = pin_default(s, v, end, v->end);
    if (start > v->start || end < v->end)
        v->flags |= VMA_MARKED;
    if (result != 0)
        return result;
    vma_count_pages(s, v, false);
    v->prot = prot;
    vma_count_pages(s, v, true);
    result = protect_entries(s, v, start, end, prot);
    if (result == 0 && start == v->start && end == v->end)
        v->flags &= (u32)~VMA_MARKED;
    return result;
}

static int protect_range(struct space *s, u64 address, u64 end, unsigned prot, bool grows_down)
{
    struct vma *v = vma_find(s, address);

    if (grows_down) {
        if (v == NULL || v->start >= end)
            return -ENOMEM;
        if (!(v->flags & VMA_GROWSDOWN))
            return -EINVAL;
        address = v->start;
    }
    while (address < end) {
        u64 to;
        int result;

        if (v == NULL || v->start > address)
            return -ENOMEM;
        if (prot & ~v->max_prot)
            return -EACCES;
        to = MIN(v->end, end);
        result = protect_in_vma(s, v, address, to, prot);
        if (result != 0)
            return result;
        address = to;
        v = vma_next(v);
    }
    return 0;
}

/* The common case, beside faults: a part of one mapping. False when it is not that. */
static bool protect_part(struct space *s, u64 address, u64 end, unsigned prot, int *result)
{
    struct vma *v;
    bool is_part;

    read_lock(&s->lock);
    v = vma_at(s, address);
    is_part = v != NULL && end <= v->end && end - address < (v->end - v->start) - (end - address) && !(prot & ~v->max_prot);
    if (is_part)
        *result = protect_entries(s, v, address, end, prot);
    read_unlock(&s->lock);
    return is_part;
}

int space_mprotect(struct space *s, u64 address, u64 length, unsigned prot)
{
    bool grows_down = (prot & PROT_GROWSDOWN) != 0, grows_up = (prot & PROT_GROWSUP) != 0;
    u64 end;
    int result;

    prot &= ~(unsigned)(PROT_GROWSDOWN | PROT_GROWSUP);
    if ((grows_down && grows_up) || (address & PAGE_MASK) != 0)
        return -EINVAL;
    if (length == 0)
        return 0;
    end = address + ALIGN_UP(length, PAGE_SIZE);
    if (end <= address)
        return -ENOMEM;
    if (prot & ~(unsigned)(PROT_READ | PROT_WRITE | PROT_EXEC) || grows_up)
        return -EINVAL;
    if (!grows_down && protect_part(s, address, end, prot, &result))
        return result;
    write_lock(&s->lock);
    result = protect_range(s, address, end, prot, grows_down);
    write_unlock(&s->lock);
    return result;
}
