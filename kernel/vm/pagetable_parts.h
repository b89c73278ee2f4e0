/* Inside vm/: what the files about page tables share (pagetable.c, pagewalk.c, pagetable_huge.c, pagetable_shared.c;
 * unmap.c). */
#ifndef VM_PAGETABLE_PARTS_H
#define VM_PAGETABLE_PARTS_H

#include "vm/vma.h"

extern u64 nr_page_tables; /* of all spaces; atomic */

static inline pte_t *table_of(pte_t entry) { return phys_to_virt(pte_pfn(entry) << PAGE_SHIFT); }
/* Not inline: all tables' locks are of one class (sched/order.h). */
void table_lock_init(struct page *table);

/* A table of LEVEL, all zeros, that nobody knows; NULL = no memory. */
struct page *table_create(unsigned level);
/* TABLE is all zeros again. */
void table_free(struct page *table);

/* The leaf table T serves ADDRESS, whose entry this returns. => lock or tables_lock: the table is not about to be freed
 */
static inline pte_t *remember_leaf(struct space *s, pte_t *t, u64 address, struct page **table)
{
    *table = address_page(t);
    store_relaxed(&s->leaves[(address >> SPAN_SHIFT) % LEAF_HINTS], *table);
    return &t[pt_index(address, 0)];
}

/* *ENTRY, of LEVEL in TABLE, leads to a table of the space's own that is not huge, or does so a step later. False = no
 * memory. */
bool pt_make_table(struct space *s, struct page *table, pte_t *entry, u64 address, unsigned level);

/* ---- pagetable_huge.c ---- */

/* One more, or less, like the huge page that E maps. */
static inline void pt_count_huge(pte_t e, long change)
{
    atomic_add_relaxed(pte_page(e)->flags & PG_ANON ? &nr_huge_pages : &nr_huge_shared, change);
}
/* *ENTRY of UPPER becomes the leaf E, with TABLE behind it. => UPPER locked; it has room for what is behind */
void pt_set_huge(struct page *upper, pte_t *entry, struct page *table, pte_t e);
/* TABLE, which holds anything but references, goes. */
void pt_forget_table(struct page *table);

/* ---- pagetable_shared.c ---- */

/* *ENTRY in UPPER, just seen SHARED, becomes a present table: the shared one if nobody else refers to it any more, else
 * a copy. False = no memory. */
bool pt_unshare(struct space *s, struct page *upper, pte_t *entry);

#endif
