/* Page tables of user spaces: finding and making entries, walking ranges, freeing. The format is told in pagetable.h.
 */
#include "vm/pagetable.h"
#include "lib/string.h"
#include "vm/tlb.h"

static u64 n_tables;

u64 pt_count(void) { return load_relaxed(&n_tables); }

static struct page *table_create(unsigned level)
{
    struct page *table = page_alloc(ALLOC_ZERO);

    if (table == NULL)
        return NULL;
    table->flags = PG_TABLE;
    table->table_lock = 0;
    table->table_live = 0;
    table->table_level = (u16)level;
    atomic_add_relaxed(&n_tables, 1);
    return table;
}

/* TABLE is all zeros again. */
static void table_free(struct page *table)
{
    atomic_sub(&n_tables, 1);
    table->flags = PG_ZEROED;
    page_put(table);
}

pte_t *pt_create_root(void)
{
    struct page *table = table_create(machine.paging_levels - 1);
    pte_t *root;

    if (table == NULL)
        return NULL;
    root = page_address(table);
    arch_init_root(root);
    return root;
}

static pte_t *table_of(pte_t entry) { return phys_to_virt(pte_pfn(entry) << PAGE_SHIFT); }

/* => lock or tables_lock: the table is not about to be freed */
static inline pte_t *remember_leaf(struct space *s, pte_t *t, u64 address, struct page **table)
{
    *table = address_page(t);
    store_relaxed(&s->last_leaf, *table);
    return &t[pt_index(address, 0)];
}

pte_t *pt_find(struct space *s, u64 address, struct page **table)
{
    pte_t *t = s->root, *entry = pt_in_last_leaf(s, address, table);

    if (likely(entry != NULL))
        return entry;
    for (unsigned level = machine.paging_levels - 1; level > 0; level--) {
        pte_t e = load_acquire(&t[pt_index(address, level)]);

        if (!pte_is_present(e))
            return NULL;
        t = table_of(e);
    }
    *table = address_page(t);
    return &t[pt_index(address, 0)];
}

bool pt_push_down(struct space *s, struct page *table, pte_t *entry, u64 address, unsigned level)
{
    struct page *child = table_create(level - 1);
    pte_t *t, old;

    if (child == NULL)
        return false;
    t = page_address(child);
    child->table_span = address >> SPAN_SHIFT;
    table_lock(table);
    old = *entry;
    if (pte_is_present(old)) { /* somebody else was faster */
        table_unlock(table);
        table_free(child);
        return true;
    }
    if (old != 0) {
        for (unsigned i = 0; i < PT_ENTRIES; i++)
            t[i] = old;
        child->table_live = PT_ENTRIES;
    }
    pte_set(table, entry, pte_make(page_pfn(child), PTE_V));
    table_unlock(table);
    atomic_add_relaxed(&s->n_tables, 1);
    return true;
}

pte_t *pt_make(struct space *s, u64 address, unsigned to_level, struct page **table)
{
    pte_t *t = s->root, *found = to_level == 0 ? pt_in_last_leaf(s, address, table) : NULL;

    if (likely(found != NULL))
        return found;
    for (unsigned level = machine.paging_levels - 1; level > to_level; level--) {
        pte_t *entry = &t[pt_index(address, level)];

        if (unlikely(!pte_is_present(load_acquire(entry))) && !pt_push_down(s, address_page(t), entry, address, level))
            return NULL;
        t = table_of(load_acquire(entry));
    }
    if (to_level == 0)
        return remember_leaf(s, t, address, table);
    *table = address_page(t);
    return &t[pt_index(address, to_level)];
}

int pt_split_spans(struct space *s, u64 address)
{
    struct pt_walk w = {.space = s, .va = address, .end = address + PAGE_SIZE};

    if (!s->has_spans || address >= arch_user_address_limit())
        return 0;
    while (pt_step(&w) && w.level > 0 && *w.pte != 0 && !IS_ALIGNED(address, level_size(w.level)))
        if (!pt_push_down(s, w.table, w.pte, w.va, w.level))
            return -ENOMEM;
    return 0;
}

bool pt_step(struct pt_walk *w)
{
    pte_t *t = w->space->root;
    unsigned level = machine.paging_levels - 1;

    if (w->va >= w->end)
        return false;
    w->level = 0;
    w->next = MIN(ALIGN_DOWN(w->va, level_size(1)) + level_size(1), w->end);
    w->pte = pt_in_last_leaf(w->space, w->va, &w->table);
    if (likely(w->pte != NULL))
        return true;
    for (; level > 0; level--) {
        pte_t *entry = &t[pt_index(w->va, level)];
        pte_t e = load_acquire(entry);

        if (!pte_is_present(e)) {
            w->pte = entry;
            w->next = MIN(ALIGN_DOWN(w->va, level_size(level)) + level_size(level), w->end);
            w->level = level;
            w->table = address_page(t);
            return true;
        }
        t = table_of(e);
    }
    w->pte = remember_leaf(w->space, t, w->va, &w->table);
    return true;
}

void pt_prune(struct space *s, u64 address, struct tlb_batch *batch)
{
    pte_t *path[5];
    unsigned top = machine.paging_levels - 1, level = top;

    for (path[top] = s->root; level > 0; level--) {
        pte_t e = path[level][pt_index(address, level)];

        if (!pte_is_present(e))
            break;
        path[level - 1] = table_of(e);
    }
    for (; level < top && address_page(path[level])->table_live == 0; level++) {
        struct page *parent = address_page(path[level + 1]), *table = address_page(path[level]);

        if (tlb_is_full(batch))
            tlb_flush(batch);
        spin_lock(&s->tables_lock);
        table_lock(parent);
        pte_set(parent, &path[level + 1][pt_index(address, level + 1)], 0);
        table_unlock(parent);
        store_release(&s->last_leaf, NULL);
        spin_unlock(&s->tables_lock);
        atomic_sub(&s->n_tables, 1);
        atomic_sub(&n_tables, 1);
        table->flags = PG_ZEROED;
        batch->tables = true;
        tlb_note(batch, ALIGN_DOWN(address, PAGE_SIZE));
        tlb_free_page(batch, table);
    }
}

/* Empties and frees the tables below T, which covers LEVEL; its last live entry ends the scan. */
static void destroy_table(struct space *s, struct page *table, unsigned level, unsigned n_entries)
{
    pte_t *t = page_address(table);
    unsigned live = table->table_live;

    for (unsigned i = 0; live > 0 && i < n_entries; i++) {
        pte_t e = t[i];

        if (e == 0)
            continue;
        live--;
        t[i] = 0;
        if (level > 0 && pte_is_present(e)) {
            destroy_table(s, pte_page(e), level - 1, PT_ENTRIES);
            table_free(pte_page(e));
        } else if (level == 0 && pte_has_page(e) && !(pte_page(e)->flags & PG_RESERVED)) {
            space_count_page(s, pte_page(e), -1);
            page_put(pte_page(e));
        }
    }
    table->table_live = 0;
}

void pt_destroy(struct space *s)
{
    unsigned top = machine.paging_levels - 1;
    struct page *root = address_page(s->root);

    destroy_table(s, root, top, PT_ENTRIES / 2);
    s->n_tables = 0;
    s->last_leaf = NULL;
    pt_free_root(s->root);
    s->root = NULL;
}

void pt_free_root(pte_t *root)
{
    memset(root + PT_ENTRIES / 2, 0, PAGE_SIZE / 2);
    table_free(address_page(root));
}
