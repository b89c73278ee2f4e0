/*
 * Taking mappings away: pages first (zap), then vmas, then page tables that have become empty. Pages are freed only
 * after the TLB shootdown (vm/tlb.h). Source: munmap(2).
 */
#include "vm/pagetable_parts.h"
#include "vm/swap.h"
#include "vm/tlb.h"
#include "vm/userfaults.h"

static void count_gone(struct space *s, const u64 *gone)
{
    space_note_peak(s);
    for (unsigned k = 0; k < RSS_KINDS; k++)
        if (gone[k] != 0)
            atomic_add_relaxed(&s->rss[k], -gone[k]);
}

/* A private page, not the object's. */
static bool is_copy(pte_t e) { return pte_is_swap(e) || (pte_has_page(e) && (pte_page(e)->flags & PG_ANON)); }

static inline bool is_spared(const struct tlb_batch *batch, pte_t e)
{
    return (batch->spares_copies && is_copy(e)) ||
           (unlikely(batch->spares_lazy) && pte_has_page(e) && (pte_page(e)->flags & PG_LAZY));
}

/* The first entry from PTE on, before END, that perhaps says something; whole eights are looked at: most of a table
 * that is nearly empty. */
static inline const pte_t *skip_empty(const pte_t *pte, const pte_t *end)
{
    while (end - pte >= 8 && (pte[0] | pte[1] | pte[2] | pte[3] | pte[4] | pte[5] | pte[6] | pte[7]) == 0)
        pte += 8;
    return pte;
}

/* Entries of one leaf table. Returns how many are done. */
static unsigned zap_leaves(struct pt_walk *w, const struct vma *keep, struct tlb_batch *batch)
{
    unsigned n = pt_walk_pages(w), live, i;
    u64 gone[RSS_KINDS] = {0};

    table_lock(w->table);
    live = w->table->table_live;
    for (i = 0; i < n && live > 0; i++) {
        pte_t e = load_relaxed(&w->pte[i]), rest = 0;

        if (e == 0) {
            i = (unsigned)(skip_empty(w->pte + i + 1, w->pte + n) - w->pte) - 1;
            continue;
        }
        if (keep != NULL && is_spared(batch, e))
            continue;
        if (pte_has_page(e)) {
            struct page *page = pte_page(e);

            if (tlb_is_full(batch))
                break;
            tlb_note(batch, w->va + i * PAGE_SIZE);
            if (!(page->flags & PG_RESERVED)) {
                gone[rss_kind(page)]++;
                tlb_free_page(batch, page);
            }
            if (keep != NULL)
                rest = vma_entry_without_page(keep, e);
        } else if (pte_is_swap(e)) {
            swap_put(pte_slot(e));
            if (keep != NULL)
                rest = vma_entry_without_page(keep, e);
        } else if (keep != NULL) {
            if (!(e & (PTE_UFFD_WP | PTE_POISON)))
                continue;
            rest = vma_entry_without_page(keep, e);
        }
        store_relaxed(&w->pte[i], rest);
        live -= rest == 0;
    }
    w->table->table_live = (u16)live;
    if (live == 0) {
        batch->emptied = true;
        i = n;
    }
    if (unlikely(batch->from_object))
        tlb_flush_entries(batch);
    table_unlock(w->table);
    if (gone[RSS_ANON] + gone[RSS_FILE] + gone[RSS_SHMEM] != 0)
        count_gone(w->space, gone);
    return i;
}

/* An upper-level entry. False: there is a table now. => the batch is not full */
static bool zap_span(struct pt_walk *w, const struct vma *keep, struct tlb_batch *batch)
{
    bool is_huge = pte_is_huge(load_relaxed(w->pte)), done = true;
    struct page *shared = NULL;

    if (is_huge)
        spin_lock(&w->space->tables_lock); /* who comes from an object may look at the table behind it */
    table_lock(w->table);
    if (pte_is_shared(*w->pte)) {
        shared = pt_drop_shared(w->space, w->table, w->pte);
    } else if (pte_is_table(*w->pte)) {
        done = false;
    } else if (pte_is_huge(*w->pte) && keep != NULL) { /* faults may look at its table, which must stay */
        pt_split(w->table, w->pte);
        done = false;
    } else if (pte_is_huge(*w->pte)) {
        tlb_free_page(batch, pt_drop_huge(w->space, w->table, w->pte));
        tlb_note(batch, w->va);
        batch->tables = true;
    } else if (keep == NULL) {
        pte_set(w->table, w->pte, 0);
    } else if ((*w->pte & PTE_UFFD_WP) && pt_walk_whole(w)) {
        pte_set(w->table, w->pte, vma_entry_without_page(keep, *w->pte));
    }
    table_unlock(w->table);
    if (is_huge)
        spin_unlock(&w->space->tables_lock);
    if (shared != NULL)
        pt_put_shared(shared);
    return done;
}

/* How to walk: what an object shows is in no shared table, and who comes from it may not sleep. */
enum pt_mode zap_mode(const struct vma *keep)
{
    if (keep == NULL)
        return PT_WHOLE;
    if (keep->object != NULL)
        return PT_RAW;
    return keep->flags & VMA_MARKED ? PT_OWN : PT_WHOLE;
}

/* The walk needs no memory, as the caller has seen to it, but for one thing: somebody else may have begun since to mark
 * pages of KEEP beside this. Tables that are still shared have no marks then, and can go as a whole as before. */
static bool step_without_memory(struct pt_walk *w)
{
    if (pt_step(w))
        return true;
    if (w->error == 0 || w->mode != PT_OWN)
        return false;
    w->error = 0;
    w->mode = PT_WHOLE;
    return pt_step(w);
}

u64 zap_some(struct space *s, u64 start, u64 end, const struct vma *keep, struct tlb_batch *batch)
{
    enum pt_mode mode = zap_mode(keep);
    struct pt_walk w = {.space = s, .va = start, .end = end, .mode = mode};

    for (; step_without_memory(&w); w.va = w.next) {
        if (w.level == 0) {
            unsigned done = zap_leaves(&w, keep, batch);

            if (done < pt_walk_pages(&w))
                return w.va + done * PAGE_SIZE;
            continue;
        }
        if (mode == PT_RAW && w.level == 1 && pte_is_huge(load_relaxed(w.pte))) {
            pt_split_huge(w.table, w.pte);
            w.next = w.va;
            continue;
        }
        if (tlb_is_full(batch))
            return w.va;
        if (mode != PT_RAW && load_relaxed(w.pte) != 0 && !zap_span(&w, keep, batch)) {
            w.next = w.va;
            continue;
        }
        if (w.table->table_live == 0)
            batch->emptied = true;
    }
    return end;
}

void zap_range(struct space *s, u64 start, u64 end, const struct vma *keep, struct tlb_batch *batch)
{
    while ((start = zap_some(s, start, end, keep, batch)) < end)
        tlb_flush(batch);
}

void zap_pages(struct space *s, const struct vma *v, u64 start, u64 end, bool spares_lazy)
{
    struct tlb_batch batch;

    tlb_begin(&batch, s);
    batch.spares_lazy = spares_lazy;
    zap_range(s, start, end, v, &batch);
    tlb_note_unflushed(&batch, start, end, true);
    tlb_flush(&batch);
}

static void prune_tables(struct space *s, u64 start, u64 end, struct tlb_batch *batch)
{
    for (struct pt_walk w = {.space = s, .va = start, .end = end, .mode = PT_RAW}; pt_step(&w); w.va = w.next)
        if (load_relaxed(&w.table->table_live) == 0 && w.table != address_page(s->root))
            pt_prune(s, w.va, batch);
}

#define FEW_ENTRIES 8

/* One page whose entry is PTE. False: there is no page, or none that is counted. */
static bool zap_page(struct space *s, u64 va, struct page *table, pte_t *pte, bool *emptied)
{
    struct page *page;
    pte_t e;

    table_lock(table);
    e = load_relaxed(pte);
    page = pte_page(e);
    if (!pte_has_page(e) || (page->flags & PG_RESERVED)) {
        table_unlock(table);
        return false;
    }
    store_relaxed(pte, 0);
    *emptied = --table->table_live == 0;
    table_unlock(table);
    space_note_peak(s);
    space_count_page(s, page, -1);
    tlb_flush_range(s, va, va + PAGE_SIZE);
    page_put(page);
    return true;
}

/* Entries of TABLE were just seen to be 0: who has come from an object and took what was there has flushed it after
 * this (vm/tlb.h). */
static inline void await_flush(struct page *table)
{
    if (machine.harts == 1)
        return;
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the entries before the lock */
    if (unlikely(spin_is_locked((struct spinlock *)&table->table_lock))) {
        table_lock(table);
        table_unlock(table);
    }
}

/* The two commonest cases, one page and nothing at all, in a table that was used lately or is not there: no walk.
 * Nothing only if the table has other entries: else it should go. *EMPTIED: now it has none. False: neither it is.
 * => write lock */
static inline bool zap_quickly(struct space *s, u64 start, u64 end, bool *emptied)
{
    struct page *table;
    pte_t *pte, all = 0;

    if (end - start > FEW_ENTRIES * PAGE_SIZE || (end - 1) >> SPAN_SHIFT != start >> SPAN_SHIFT)
        return false;
    pte = pt_in_known_leaf(s, start, &table);
    if (pte == NULL) {
        if (s->has_spans)
            return false;
        pte = pt_find(s, start, &table);
        if (pte == NULL)
            return true; /* no table, and nothing that stands for one */
        if (!(table->flags & PG_HUGE))
            pte = remember_leaf(s, page_address(table), start, &table);
    }
    if (table->table_live == 0)
        return false;
    for (unsigned i = 0; i < (end - start) >> PAGE_SHIFT; i++)
        all |= load_relaxed(&pte[i]);
    if (all != 0)
        return end - start == PAGE_SIZE && zap_page(s, start, table, pte, emptied);
    await_flush(table);
    return true;
}

/* If threads remember something about a vma from V on that begins below END, it is void. */
static noinline_fn bool forget_what_is_remembered(struct space *s, const struct vma *v, u64 end)
{
    for (; v != NULL && v->start < end; v = v->above) {
        if (v->flags & VMA_TRAP) {
            pt_forget_leaves(s);
            return true;
        }
    }
    return false;
}

/* Mappings from V on lose what they have of [start, end). => write lock, their entries are gone */
static inline void remove_vmas(struct space *s, struct vma *v, u64 start, u64 end, struct list *removed)
{
    struct vma *next;

    for (; v != NULL && v->start < end; v = next) {
        next = v->above;
        if (v->start < start) {
            vma_resize(v, v->start, start);
        } else if (v->end > end) {
            vma_resize(v, end, v->end);
        } else {
            vma_remove(s, v);
            vma_give_up(s, v, removed);
        }
    }
}

/* The same with a shootdown. ZAP: the entries are still there; EMPTIED: tables may be empty. */
static noinline_fn void remove_slowly(struct space *s, struct vma *v, u64 start, u64 end, struct list *removed,
                                      bool zap, bool emptied)
{
    struct tlb_batch batch;

    tlb_begin(&batch, s);
    if (zap) {
        zap_range(s, start, end, NULL, &batch);
        emptied = batch.emptied;
    }
    remove_vmas(s, v, start, end, removed);
    if (emptied)
        prune_tables(s, start, end, &batch);
    tlb_flush(&batch);
}

/* => as unmap_range; EMPTY: the entries have gone elsewhere already */
static inline __attribute__((always_inline)) int unmap(struct space *s, u64 start, u64 end, struct list *removed,
                                                       bool empty)
{
    struct vma *v = vma_find(s, start);
    bool emptied = empty /* perhaps */, slowly = false;

    if (v == NULL || v->start >= end)
        return 0;
    if (unlikely(s->has_sealed) && range_is_sealed(s, start, end))
        return -EPERM;
    if (v->start < start && v->end > end) {
        if (!has_room_for_vma(s) || vma_split(s, v, start) != 0)
            return -ENOMEM;
        v = v->above;
    }
    if (pt_split_spans(s, start) != 0 || pt_split_spans(s, end) != 0)
        return -ENOMEM;
    if (unlikely(s->has_userfaults) && userfault_note_unmap(s, start, end, removed) != 0)
        return -ENOMEM;
    if (!empty) /* what threads remember forbids looks without a lock */
        slowly =
            (unlikely(s->has_traps) && forget_what_is_remembered(s, v, end)) || !zap_quickly(s, start, end, &emptied);
    if (emptied || slowly)
        remove_slowly(s, v, start, end, removed, slowly, emptied);
    else
        remove_vmas(s, v, start, end, removed);
    return 0;
}

int unmap_range(struct space *s, u64 start, u64 end, struct list *removed)
{
    return unmap(s, start, end, removed, false);
}

int unmap_moved(struct space *s, u64 start, u64 end, struct list *removed)
{
    return unmap(s, start, end, removed, true);
}

int space_munmap(struct space *s, u64 address, u64 length)
{
    u64 limit = arch_user_address_limit();
    struct list removed;
    int result;

    if ((address & PAGE_MASK) != 0 || length == 0 || length > limit || address > limit - length)
        return -EINVAL;
    list_init(&removed);
    write_lock(&s->lock);
    result = unmap_range(s, address, ALIGN_UP(address + length, PAGE_SIZE), &removed);
    write_unlock(&s->lock);
    vma_free_list(&removed);
    return result;
}
