/*
 * MADV_FREE: pages stay as they are until memory is low; then the clock (vm/swapout.c) drops those that were not stored
 * to meanwhile, and their next touch finds zeros. The hardware tells it: D is taken out of the entry, W stays, so a
 * store costs nothing, and is seen.
 *
 *     madvise         page: PG_LAZY    entry: D = 0, A = 0
 *     a store         ...              entry: D = 1        the page stays; the clock takes PG_LAZY away
 *     the clock       D = 0: the entry becomes a mark, the page goes
 *
 * A page is given up so only while one entry alone refers to it. A fork copies that entry with its D, so each entry of
 * such a page goes on saying whether it was stored to since. Where others clear D to learn of stores (soft-dirty pages,
 * userfaultfd, user traps: not in plain mappings), pages are dropped at once, and those given up before are kept for
 * good when that begins (lazy_keep); VMA_LAZY says that there may be some. Swapped pages, pages shared since a fork and
 * whole tables and huge pages are dropped at once as well: a next touch finds zeros sooner, which is allowed.
 *
 * Source: madvise(2).
 */
#include "vm/lazy.h"
#include "vm/swap.h"
#include "vm/tlb.h"

u64 nr_lazy_marked, nr_lazy_freed;

#define NOT_LAZY (VMA_TRACKED | VMA_USERFAULT | VMA_TRAP | VMA_DROPPABLE | VMA_SHARED)

/* N entries from PTE on. How many pages are given up now; *OTHERS: there is something else. => table locked */
static u64 give_up(pte_t *pte, unsigned n, u64 va, struct tlb_batch *batch, bool *others)
{
    u64 given_up = 0;

    for (unsigned i = 0; i < n; i++) {
        pte_t e = load_relaxed(&pte[i]);
        struct page *page;

        if (e == 0 || pte_is_mark(e))
            continue;
        page = pte_page(e);
        if (!pte_has_page(e) || (load_relaxed(&page->flags) & ~(u32)PG_LAZY) != PG_ANON ||
            load_relaxed(&page->refs) != 1) {
            *others = true;
            continue;
        }
        if (!(page->flags & PG_LAZY))
            atomic_or(&page->flags, PG_LAZY);
        else if (!(e & (PTE_D | PTE_A)))
            continue;
        atomic_and(&pte[i], ~(PTE_D | PTE_A));
        tlb_note(batch, va + i * PAGE_SIZE);
        given_up++;
    }
    return given_up;
}

int lazy_free(struct space *s, struct vma *v, u64 start, u64 end)
{
    struct pt_walk w = {.space = s, .va = start, .end = end, .mode = zap_mode(v)};
    struct tlb_batch batch;
    u64 given_up = 0;
    bool others = false;

    if (pt_own(s, start, end, zap_mode(v)) != 0)
        return -ENOMEM;
    if (v->flags & NOT_LAZY) {
        zap_pages(s, v, start, end, false);
        return 0;
    }
    if (!(load_relaxed(&v->flags) & VMA_LAZY))
        atomic_or(&v->flags, VMA_LAZY);
    tlb_begin(&batch, s);
    for (; pt_step(&w); w.va = w.next) {
        if (w.level > 0) {
            others |= load_relaxed(w.pte) != 0;
            continue;
        }
        table_lock(w.table);
        if (w.table->table_live > 0)
            given_up += give_up(w.pte, pt_walk_pages(&w), w.va, &batch, &others);
        table_unlock(w.table);
    }
    tlb_note_unflushed(&batch, start, end, true);
    tlb_flush(&batch);
    atomic_add_relaxed(&nr_lazy_marked, given_up);
    if (others)
        zap_pages(s, v, start, end, true);
    return 0;
}

void lazy_keep_vma(struct space *s, const struct vma *v)
{
    for (struct pt_walk w = {.space = s, .va = v->start, .end = v->end, .mode = PT_RAW}; pt_step(&w); w.va = w.next) {
        struct pt_view view;

        pt_look(&w, &view);
        for (unsigned i = 0; view.entries != NULL && i < pt_walk_pages(&w); i++)
            if (pte_has_page(view.entries[i]) && (pte_page(view.entries[i])->flags & PG_LAZY))
                atomic_and(&pte_page(view.entries[i])->flags, ~(u32)PG_LAZY);
        pt_look_done(&view);
    }
}
