/*
 * Page tables of user spaces: finding and making entries, freeing tables. The format is told in pagetable.h; walks are
 * in pagewalk.c, huge pages in pagetable_huge.c, tables that spaces share since a fork in pagetable_shared.c.
 */
#include "vm/pagetable_parts.h"
#include "vm/huge.h"
#include "vm/prefault.h"
#include "vm/swap.h"
#include "vm/tlb.h"

u64 nr_page_tables;

u64 pt_count(void) { return load_relaxed(&nr_page_tables); }

void table_lock_init(struct page *table) { spin_init((struct spinlock *)&table->table_lock); }

struct page *table_create(unsigned level)
{
    struct page *table = page_alloc_grouped();

    if (table == NULL)
        return NULL;
    table->flags = PG_TABLE;
    table_lock_init(table);
    table->table_live = 0;
    table->table_level = (u16)level;
    atomic_add_relaxed(&nr_page_tables, 1);
    return table;
}

/* What stands beside a level-1 table with huge pages; nobody reaches them any more. */
static struct page *take_behind(struct page *table)
{
    struct page *behind =
        table->table_level == 1 && table->table_behind != NULL ? address_page(table->table_behind) : NULL;

    if (behind != NULL)
        table->table_behind = NULL;
    return behind;
}

void table_free(struct page *table)
{
    struct page *behind = take_behind(table);

    if (behind != NULL)
        page_put(behind);
    atomic_sub(&nr_page_tables, 1);
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

pte_t *pt_find(struct space *s, u64 address, struct page **table)
{
    pte_t *t = s->root, *entry = pt_in_known_leaf(s, address, table);

    if (likely(entry != NULL))
        return entry;
    for (unsigned level = machine.paging_levels - 1; level > 0; level--) {
        pte_t e = load_acquire(&t[pt_index(address, level)]);

        if (unlikely(!pte_is_table(e))) {
            if (!pte_is_huge(e))
                return NULL;
            t = page_address(pt_leaf_table(&t[pt_index(address, level)], e));
            break;
        }
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
    old = load_relaxed(entry);
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

/* ---- remembered leaves ---- */

static u64 leaf_generations;
#define GENERATION_STEP 16 /* room for a trap's cause: entry.S */

void pt_forget_leaves(struct space *s)
{
    for (unsigned i = 0; i < LEAF_HINTS; i++)
        store_release(&s->leaves[i], NULL);
    store_release(&s->leaf_generation, atomic_add_relaxed(&leaf_generations, GENERATION_STEP));
}

/* ---- making them ---- */

bool pt_make_table(struct space *s, struct page *table, pte_t *entry, u64 address, unsigned level)
{
    if (pte_is_shared(load_relaxed(entry)))
        return pt_unshare(s, table, entry);
    if (pte_is_huge(load_relaxed(entry))) {
        pt_split_huge(table, entry);
        return true;
    }
    return pt_push_down(s, table, entry, address, level);
}

pte_t *pt_make(struct space *s, u64 address, unsigned to_level, struct page **table)
{
    pte_t *t = s->root, *found = to_level == 0 ? pt_in_known_leaf(s, address, table) : NULL;

    if (likely(found != NULL))
        return found;
    for (unsigned level = machine.paging_levels - 1; level > to_level; level--) {
        pte_t *entry = &t[pt_index(address, level)];

        while (unlikely(!pte_is_table(load_acquire(entry))))
            if (!pt_make_table(s, address_page(t), entry, address, level))
                return NULL;
        t = table_of(load_acquire(entry));
    }
    if (to_level == 0)
        return remember_leaf(s, t, address, table);
    *table = address_page(t);
    return &t[pt_index(address, to_level)];
}

pte_t *pt_reach(struct space *s, u64 address, struct page **table)
{
    struct page *upper;
    pte_t *entry, *found = pt_in_known_leaf(s, address, table);

    if (likely(found != NULL))
        return found;
    entry = pt_make(s, address, 1, &upper);
    if (entry == NULL)
        return NULL;
    for (;;) {
        pte_t e = load_acquire(entry);

        if (pte_is_table(e))
            return remember_leaf(s, table_of(e), address, table);
        if (pte_is_huge(e)) {
            *table = pt_leaf_table(entry, e);
            return (pte_t *)page_address(*table) + pt_index(address, 0);
        }
        if (!pt_make_table(s, upper, entry, address, 1))
            return NULL;
    }
}

/* ---- empty tables ---- */

/* TABLE, a leaf, says nothing, and nothing will be put into it any more: who does that without space->lock looks at the
 * generation under the table's lock (vm/vmtrap_quick.c). => write lock */
static bool is_empty_for_good(struct space *s, struct page *table)
{
    pt_forget_leaves(s);
    return table_is_empty(table);
}

void pt_prune(struct space *s, u64 address, struct tlb_batch *batch)
{
    pte_t *path[5];
    unsigned top = machine.paging_levels - 1, level = top;

    for (path[top] = s->root; level > 0; level--) {
        pte_t e = path[level][pt_index(address, level)];

        if (!pte_is_table(e))
            break;
        path[level - 1] = table_of(e);
    }
    if (level == 0 && !is_empty_for_good(s, address_page(path[0])))
        return;
    for (; level < top && address_page(path[level])->table_live == 0; level++) {
        struct page *parent = address_page(path[level + 1]), *table = address_page(path[level]), *behind;

        if (tlb_is_full(batch))
            tlb_flush(batch);
        spin_lock(&s->tables_lock);
        table_lock(parent);
        pte_set(parent, &path[level + 1][pt_index(address, level + 1)], 0);
        table_unlock(parent);
        pt_forget_leaves(s);
        spin_unlock(&s->tables_lock);
        atomic_sub(&s->n_tables, 1);
        atomic_sub(&nr_page_tables, 1);
        table->flags = PG_ZEROED;
        batch->tables = true;
        behind = take_behind(table);
        tlb_note(batch, ALIGN_DOWN(address, PAGE_SIZE));
        tlb_free_page(batch, table);
        if (behind != NULL) {
            if (tlb_is_full(batch))
                tlb_flush(batch);
            tlb_free_page(batch, behind);
        }
    }
}

/* ---- the end ---- */

/* What an entry refers to has one entry less. */
static inline void release_entry(pte_t e)
{
    if (likely(pte_is_present(e)) || pte_is_resident(e)) {
        if (likely(!(pte_page(e)->flags & PG_RESERVED)))
            page_put(pte_page(e));
    } else if (pte_is_swap(e)) {
        swap_put(pte_slot(e));
    }
}

/* Empties entries of a leaf table, N at most, which are V's and begin at VA (NULL: of several, or of nobody). Returns
 * how many of LIVE are left. */
static unsigned destroy_leaves(pte_t *pte, unsigned n, unsigned live, const struct vma *v, u64 va)
{
    struct page *array = page_array;

    for (const pte_t *first = pte, *end = pte + n; live > 0; live--) {
        struct page *page;
        u32 flags;
        pte_t e;

        do {
            if (pte == end)
                return live;
            e = *pte++;
        } while (e == 0);
        pte[-1] = 0;
        if (unlikely(!pte_is_present(e))) {
            release_entry(e);
            continue;
        }
        page = &array[pte_pfn(e)];
        flags = load_relaxed(&page->flags);
        if (unlikely(flags & PG_RESERVED))
            continue;
        if (!(flags & PG_ANON))
            note_end_of_use(e, page, flags);
        else if (unlikely(!(e & PTE_D)) && v != NULL && v->object != NULL)
            note_unstored(v, va + (u64)(pte - 1 - first) * PAGE_SIZE);
        page_put(page);
    }
    return live;
}

void pt_free_leaf(struct page *table)
{
    pte_t *t = page_address(table);

    if ((table->flags & PG_HUGE) && page_free_huge(pte_page(*t))) {
        pt_forget_table(table);
        return;
    }
    if (table->table_live > 0)
        destroy_leaves(t, PT_ENTRIES, table->table_live, NULL, 0);
    table->table_live = 0;
    table_free(table);
}

static void destroy_table(struct page *table, unsigned level, u64 base, const struct vma **v);

/* What was entry E at ENTRY, of LEVEL and addresses from BASE on, goes. */
static inline void destroy_entry(const pte_t *entry, pte_t e, unsigned level, u64 base, const struct vma **v)
{
    if (pte_is_huge(e)) {
        pt_count_huge(e, -1);
        pt_free_leaf(pt_leaf_table(entry, e));
    } else if (pte_is_present(e)) {
        destroy_table(pte_page(e), level - 1, base, v);
        table_free(pte_page(e));
    } else if (pte_is_shared(e)) {
        pt_put_shared(pte_page(e));
    }
}

/* Empties TABLE, of LEVEL and addresses from BASE on. Entries are where vmas are: *V, none of which lies before BASE,
 * tells where to look, and moves on. */
static void destroy_table(struct page *table, unsigned level, u64 base, const struct vma **v)
{
    u64 size = level_size(level);
    pte_t *t = page_address(table);
    unsigned live = table->table_live, i = 0;

    while (live > 0) {
        unsigned last = PT_ENTRIES - 1;

        while (*v != NULL && (*v)->end <= base + i * size)
            *v = (*v)->above;
        if (*v != NULL && i < PT_ENTRIES && (*v)->start < base + PT_ENTRIES * size) {
            i = MAX(i, (*v)->start > base ? (unsigned)(((*v)->start - base) >> level_shift(level)) : 0);
            last = (unsigned)MIN(((*v)->end - 1 - base) >> level_shift(level), PT_ENTRIES - 1ul);
        } else {
            ASSERT(live == 0);
            i = 0;
        }
        if (level == 0) {
            live = destroy_leaves(t + i, last + 1 - i, live, *v, base + i * size);
            i = last + 1;
        }
        for (; i <= last && live > 0; i++) {
            pte_t e = t[i];

            if (e == 0)
                continue;
            live--;
            t[i] = 0;
            destroy_entry(&t[i], e, level, base + i * size, v);
        }
    }
    table->table_live = 0;
}

void pt_destroy(struct space *s, const struct vma *lowest)
{
    destroy_table(address_page(s->root), machine.paging_levels - 1, 0, &lowest);
    s->n_tables = 0;
    pt_forget_leaves(s);
    pt_free_root(s->root);
    s->root = NULL;
}

void pt_free_root(pte_t *root)
{
    arch_clear_root(root);
    table_free(address_page(root));
}
