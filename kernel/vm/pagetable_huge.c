/*
 * Huge pages in page tables: a leaf at level 1 with its table of 512 entries behind it (pagetable.h draws them). Who
 * gets them is huge.c's and run.c's affair.
 */
#include "vm/huge.h"
#include "vm/pagetable_parts.h"
#include "vm/run.h"

u64 nr_huge_pages, nr_huge_shared;

/* Room for what is behind the huge pages of UPPER, of level 1. */
static bool make_behind(struct page *upper)
{
    struct page *page;

    if (load_acquire(&upper->table_behind) != NULL)
        return true;
    page = page_alloc(ALLOC_ZERO);
    if (page == NULL)
        return false;
    page->flags = PG_KERNEL;
    table_lock(upper);
    if (upper->table_behind == NULL) {
        store_release(&upper->table_behind, page_address(page));
        page = NULL;
    }
    table_unlock(upper);
    if (page != NULL)
        page_put(page);
    return true;
}

void pt_set_huge(struct page *upper, pte_t *entry, struct page *table, pte_t e)
{
    upper->table_behind[(u64)entry / sizeof(pte_t) % PT_ENTRIES] = table;
    pte_set(upper, entry, e);
    pt_count_huge(e, 1);
}

void pt_split(struct page *upper, pte_t *entry)
{
    pte_t e = load_relaxed(entry);
    struct page *table = pt_leaf_table(entry, e);

    if (!(table->flags & PG_HUGE))
        return;
    /* Not used since the clock passed: neither was any of its pages. Others may be changing one of these entries. */
    if (pte_is_huge(e) && !(e & PTE_A) && (pte_page(e)->flags & PG_ANON))
        for (pte_t *t = page_address(table), *end = t + PT_ENTRIES; t < end; t++)
            atomic_and(t, ~PTE_A);
    table->flags &= ~(u32)PG_HUGE;
    if (!pte_is_huge(e))
        return;
    pt_count_huge(e, -1);
    atomic_add_relaxed(&huge_counts.split_mapping, 1);
    pte_set(upper, entry, pte_make(page_pfn(table), PTE_V));
}

void pt_follow_table(struct page *upper, pte_t *entry)
{
    const pte_t *t = page_address(pt_leaf_table(entry, *entry));

    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        if (!pte_is_present(t[i]) || t[i] != t[0] + ((u64)i << PTE_PPN_SHIFT)) {
            pt_split(upper, entry);
            return;
        }
    }
    pte_set(upper, entry, t[0]);
}

void pt_split_huge(struct page *upper, pte_t *entry)
{
    table_lock(upper);
    if (pte_is_huge(*entry))
        pt_split(upper, entry);
    table_unlock(upper);
}

/* A table that maps the pages from HEAD on. */
static struct page *create_huge_table(struct page *head, u64 span, pte_t bits)
{
    struct page *table = page_alloc(0);
    u64 pfn = page_pfn(head);
    pte_t *t;

    if (table == NULL)
        return NULL;
    t = page_address(table);
    for (unsigned i = 0; i < PT_ENTRIES; i++)
        t[i] = pte_make(pfn + i, bits);
    table->flags = PG_TABLE | PG_HUGE;
    table_lock_init(table);
    table->table_live = PT_ENTRIES;
    table->table_level = 0;
    table->table_span = span;
    atomic_add_relaxed(&nr_page_tables, 1);
    return table;
}

void pt_forget_table(struct page *table)
{
    atomic_sub(&nr_page_tables, 1);
    table->flags = 0;
    page_put(table);
}

bool pt_install_huge(struct space *s, u64 address, struct page *head, pte_t bits, pte_t old, struct run_hold *run)
{
    struct page *upper, *table = create_huge_table(head, address >> SPAN_SHIFT, bits);
    pte_t *entry;
    bool done;

    if (table == NULL)
        return false;
    entry = pt_make(s, address, 1, &upper);
    if (entry == NULL || !make_behind(upper)) {
        pt_forget_table(table);
        return false;
    }
    table_lock(upper);
    done = *entry == old && (run == NULL || run_hold(run));
    if (done) {
        s->has_spans = true;
        pt_set_huge(upper, entry, table, pte_make(page_pfn(head), bits));
        atomic_add_relaxed(&s->rss[rss_kind(head)], HUGE_PAGES);
        if (run != NULL)
            run_held(run);
    }
    table_unlock(upper);
    if (!done) {
        pt_forget_table(table);
        return false;
    }
    atomic_add_relaxed(&s->n_tables, 1);
    return true;
}

bool pt_put_huge(struct page *upper, pte_t *entry, struct page *table, struct page *head, pte_t bits)
{
    if (!make_behind(upper))
        return false;
    table_lock(upper);
    pt_set_huge(upper, entry, table, pte_make(page_pfn(head), bits));
    table_unlock(upper);
    return true;
}

struct page *pt_drop_huge(struct space *s, struct page *upper, pte_t *entry)
{
    struct page *table = pt_leaf_table(entry, *entry);

    space_note_peak(s);
    pt_count_huge(*entry, -1);
    atomic_sub(&s->n_tables, 1);
    atomic_sub(&s->rss[rss_kind(pte_page(*entry))], HUGE_PAGES);
    pte_set(upper, entry, 0);
    pt_forget_leaves(s);
    return table;
}

void pt_touch_huge(struct space *s, u64 address)
{
    struct page *upper;
    pte_t *entry = pt_make(s, address, 1, &upper);

    if (entry == NULL)
        return;
    table_lock(upper);
    if (pte_is_huge(*entry))
        atomic_or(entry, PTE_A | PTE_D);
    table_unlock(upper);
}
