/*
 * Leaf tables that several spaces refer to since a fork: sharing them, and getting one's own back (pagetable.h draws
 * it). While the upper table is locked, an entry that is SHARED keeps its table alive.
 */
#include "vm/pagetable_parts.h"
#include "vm/swap.h"

/* One more table has what *PTE says: private pages lose W. Returns the entry for the other one. => table locked */
static pte_t share_entry(pte_t *pte)
{
    pte_t e = load_relaxed(pte);

    if (!pte_has_page(e)) {
        if (pte_is_swap(e))
            swap_get(pte_slot(e));
        return e;
    }
    if ((e & (PTE_V | PTE_W)) == (PTE_V | PTE_W))
        e = pte_write_protect(pte);
    if (!(pte_page(e)->flags & PG_RESERVED))
        page_get(pte_page(e));
    return e;
}

/* S, which stops sharing TABLE, has counted pages that are no longer there. */
static void count_evicted(struct space *s, const struct page *table)
{
    if (unlikely(table->table_evicted != 0))
        atomic_sub(&s->rss[RSS_ANON], table->table_evicted);
}

/* COPY, all zeros, gets the entries of TABLE. */
static void copy_leaf(struct space *s, struct page *copy, struct page *table)
{
    pte_t *from = page_address(table), *to = page_address(copy);

    table_lock(table);
    table->flags &= ~(u32)PG_HUGE; /* W goes */
    copy->table_span = table->table_span;
    copy->table_live = table->table_live;
    for (unsigned live = table->table_live; live > 0; from++, to++) {
        if (*from == 0)
            continue;
        live--;
        *to = share_entry(from);
    }
    count_evicted(s, table);
    table_unlock(table);
}

/* TABLE, *ENTRY's, is nobody else's any more. */
static void claim(struct page *upper, pte_t *entry, struct page *table)
{
    if ((table->flags & PG_HUGE) && upper->table_behind != NULL) {
        pt_set_huge(upper, entry, table, *(pte_t *)page_address(table));
        return;
    }
    table->flags &= ~(u32)PG_HUGE;
    pte_set(upper, entry, pte_make(page_pfn(table), PTE_V));
}

bool pt_unshare(struct space *s, struct page *upper, pte_t *entry)
{
    struct page *copy = NULL, *table = NULL;
    bool done = false;

    while (!done) {
        table_lock(upper);
        table = pte_is_shared(*entry) ? pte_page(*entry) : NULL;
        done = true;
        if (table == NULL) { /* somebody else was faster */
        } else if (load_acquire(&table->refs) == 1) {
            count_evicted(s, table);
            claim(upper, entry, table);
            table = NULL;
        } else if (copy != NULL) {
            copy_leaf(s, copy, table);
            pte_set(upper, entry, pte_make(page_pfn(copy), PTE_V));
            copy = NULL;
        } else {
            done = false;
        }
        table_unlock(upper);
        if (!done && (copy = table_create(0)) == NULL)
            return false;
    }
    if (copy != NULL)
        table_free(copy);
    if (table != NULL)
        pt_put_shared(table);
    return true;
}

struct page *pt_drop_shared(struct space *s, struct page *upper, pte_t *entry)
{
    struct page *table = pte_page(*entry);

    space_note_peak(s);
    atomic_sub(&s->rss[RSS_ANON], table->table_pages);
    atomic_sub(&s->n_tables, 1);
    pte_set(upper, entry, 0);
    return table;
}

void pt_put_shared(struct page *table)
{
    if (atomic_sub(&table->refs, 1) != 0)
        return;
    table->refs = 1;
    pt_free_leaf(table);
}

static u32 count_leaf_pages(struct page *table)
{
    const pte_t *t = page_address(table);
    u32 n = 0;

    table_lock(table);
    for (unsigned live = table->table_live; live > 0; t++) {
        if (*t == 0)
            continue;
        live--;
        n += pte_has_page(*t) && !(pte_page(*t)->flags & PG_RESERVED);
    }
    table_unlock(table);
    return n;
}

pte_t pt_share(struct space *s, struct page *upper, pte_t *entry)
{
    struct page *table = pt_leaf_table(entry, *entry);

    if (pte_is_present(*entry)) {
        if (pte_is_huge(*entry))
            pt_count_huge(*entry, -1);
        table->table_pages = table->flags & PG_HUGE ? HUGE_PAGES : count_leaf_pages(table);
        table->table_evicted = 0;
        pte_set(upper, entry, pte_make(page_pfn(table), PTE_SHARED));
        pt_forget_leaves(s);
        s->has_spans = true;
    }
    page_get(table);
    return *entry;
}
