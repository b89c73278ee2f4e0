/* Page tables of user spaces: finding and making entries, walking ranges, freeing. The format is told in pagetable.h.
 */
#include "vm/pagetable.h"
#include "lib/string.h"
#include "vm/huge.h"
#include "vm/run.h"
#include "vm/swap.h"
#include "vm/tlb.h"

static u64 n_tables;

u64 pt_count(void) { return load_relaxed(&n_tables); }

static void table_lock_init(struct page *table) { spin_init((struct spinlock *)&table->table_lock); }

static struct page *table_create(unsigned level)
{
    struct page *table = page_alloc(ALLOC_ZERO);

    if (table == NULL)
        return NULL;
    table->flags = PG_TABLE;
    table_lock_init(table);
    table->table_live = 0;
    table->table_level = (u16)level;
    atomic_add_relaxed(&n_tables, 1);
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

/* TABLE is all zeros again. */
static void table_free(struct page *table)
{
    struct page *behind = take_behind(table);

    if (behind != NULL)
        page_put(behind);
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
    store_relaxed(&s->leaves[(address >> SPAN_SHIFT) % LEAF_HINTS], *table);
    return &t[pt_index(address, 0)];
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

/* ---- remembered leaves ---- */

static u64 leaf_generations;
#define GENERATION_STEP 16 /* room for a trap's cause: entry.S */

void pt_forget_leaves(struct space *s)
{
    for (unsigned i = 0; i < LEAF_HINTS; i++)
        store_release(&s->leaves[i], NULL);
    store_release(&s->leaf_generation, atomic_add_relaxed(&leaf_generations, GENERATION_STEP));
}

/* ---- tables shared since a fork ---- */

/* One more table has what *PTE says: private pages lose W. Returns the entry for the other one. => table locked */
static pte_t share_entry(pte_t *pte)
{
    pte_t e = *pte;

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

/* ---- huge pages ---- */

u64 nr_huge_pages, nr_huge_shared;

/* One more, or less, like the huge page that E maps. */
static void count_huge(pte_t e, long change)
{
    atomic_add_relaxed(pte_page(e)->flags & PG_ANON ? &nr_huge_pages : &nr_huge_shared, change);
}

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

/* *ENTRY of UPPER becomes the leaf E, with TABLE behind it. => UPPER locked, make_behind has been called */
static void set_huge(struct page *upper, pte_t *entry, struct page *table, pte_t e)
{
    upper->table_behind[(u64)entry / sizeof(pte_t) % PT_ENTRIES] = table;
    pte_set(upper, entry, e);
    count_huge(e, 1);
}

void pt_split(struct page *upper, pte_t *entry)
{
    pte_t e = *entry;
    struct page *table = pt_leaf_table(entry, e);

    if (!(table->flags & PG_HUGE))
        return;
    if (pte_is_huge(e) && !(e & PTE_A) &&
        (pte_page(e)->flags & PG_ANON)) /* who looks through the table may change an entry of it meanwhile */
        for (pte_t *t = page_address(table), *end = t + PT_ENTRIES; t < end; t++)
            atomic_and(t, ~PTE_A);
    table->flags &= ~(u32)PG_HUGE;
    if (!pte_is_huge(e))
        return;
    count_huge(e, -1);
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
    atomic_add_relaxed(&n_tables, 1);
    return table;
}

/* TABLE, which holds anything but references, goes. */
static void forget_table(struct page *table)
{
    atomic_sub(&n_tables, 1);
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
        forget_table(table);
        return false;
    }
    table_lock(upper);
    done = *entry == old && (run == NULL || run_hold(run));
    if (done) {
        s->has_spans = true;
        set_huge(upper, entry, table, pte_make(page_pfn(head), bits));
        atomic_add_relaxed(&s->rss[rss_kind(head)], HUGE_PAGES);
        if (run != NULL)
            run_held(run);
    }
    table_unlock(upper);
    if (!done) {
        forget_table(table);
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
    set_huge(upper, entry, table, pte_make(page_pfn(head), bits));
    table_unlock(upper);
    return true;
}

struct page *pt_drop_huge(struct space *s, struct page *upper, pte_t *entry)
{
    struct page *table = pt_leaf_table(entry, *entry);

    space_note_peak(s);
    count_huge(*entry, -1);
    atomic_sub(&s->n_tables, 1);
    atomic_sub(&s->rss[rss_kind(pte_page(*entry))], HUGE_PAGES);
    pte_set(upper, entry, 0);
    pt_forget_leaves(s);
    return table;
}

/* ---- the end of leaf tables ---- */

/* Empties entries of a leaf table, N at most. Returns how many of LIVE are left. */
static unsigned destroy_leaves(pte_t *pte, unsigned n, unsigned live)
{
    for (const pte_t *end = pte + n; live > 0; live--) {
        pte_t e;

        do {
            if (pte == end)
                return live;
            e = *pte++;
        } while (e == 0);
        pte[-1] = 0;
        release_entry(e);
    }
    return live;
}

void pt_free_leaf(struct page *table)
{
    pte_t *t = page_address(table);

    if ((table->flags & PG_HUGE) && page_free_huge(pte_page(*t))) {
        forget_table(table);
        return;
    }
    if (table->table_live > 0)
        destroy_leaves(t, PT_ENTRIES, table->table_live);
    table->table_live = 0;
    table_free(table);
}

void pt_put_shared(struct page *table)
{
    if (atomic_sub(&table->refs, 1) != 0)
        return;
    table->refs = 1;
    pt_free_leaf(table);
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
        set_huge(upper, entry, table, *(pte_t *)page_address(table));
        return;
    }
    table->flags &= ~(u32)PG_HUGE;
    pte_set(upper, entry, pte_make(page_pfn(table), PTE_V));
}

/* *ENTRY in UPPER, just seen SHARED, becomes a present table: the shared one if nobody else refers to it any more, else
 * a copy. False = no memory. */
static bool unshare(struct space *s, struct page *upper, pte_t *entry)
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

static u32 count_leaf_pages(const struct page *table)
{
    const pte_t *t = page_address(table);
    unsigned live = table->table_live;
    u32 n = 0;

    for (; live > 0; t++) {
        if (*t == 0)
            continue;
        live--;
        n += pte_has_page(*t) && !(pte_page(*t)->flags & PG_RESERVED);
    }
    return n;
}

pte_t pt_share(struct space *s, struct page *upper, pte_t *entry)
{
    struct page *table = pt_leaf_table(entry, *entry);

    if (pte_is_present(*entry)) {
        if (pte_is_huge(*entry))
            count_huge(*entry, -1);
        table->table_pages = table->flags & PG_HUGE ? HUGE_PAGES : count_leaf_pages(table);
        table->table_evicted = 0;
        pte_set(upper, entry, pte_make(page_pfn(table), PTE_SHARED));
        pt_forget_leaves(s);
        s->has_spans = true;
    }
    page_get(table);
    return *entry;
}

static bool make_table(struct space *s, struct page *table, pte_t *entry, u64 address, unsigned level)
{
    if (pte_is_shared(load_relaxed(entry)))
        return unshare(s, table, entry);
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
            if (!make_table(s, address_page(t), entry, address, level))
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
        if (!make_table(s, upper, entry, address, 1))
            return NULL;
    }
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

int pt_split_spans_at(struct space *s, u64 address)
{
    struct pt_walk w = {.space = s, .va = address, .end = address + PAGE_SIZE, .mode = PT_RAW};

    if (address >= arch_user_address_limit())
        return 0;
    while (pt_step(&w) && w.level > 0 && *w.pte != 0 && !IS_ALIGNED(address, level_size(w.level)))
        if (!make_table(s, w.table, w.pte, w.va, w.level))
            return -ENOMEM;
    return 0;
}

int pt_own(struct space *s, u64 start, u64 end, enum pt_mode mode)
{
    struct pt_walk w = {.space = s, .va = start, .end = end, .mode = mode};

    while (s->has_spans && pt_step(&w))
        w.va = w.next;
    return w.error;
}

void pt_look(const struct pt_walk *w, struct pt_view *view)
{
    *view = (struct pt_view){.spaces = 1};
    table_lock(w->table);
    if (w->level == 0) {
        view->leaf = w->table;
        view->entries = w->pte;
        return;
    }
    view->upper = w->table;
    if (pte_is_shared(*w->pte) || pte_is_huge(*w->pte)) {
        view->leaf = pt_leaf_table(w->pte, *w->pte);
        view->huge = pte_is_huge(*w->pte);
        table_lock(view->leaf);
        view->entries = (pte_t *)page_address(view->leaf) + pt_index(w->va, 0);
        view->spaces = load_relaxed(&view->leaf->refs);
    } else {
        view->span = pte_is_mark(*w->pte) ? *w->pte : 0;
    }
}

void pt_look_done(struct pt_view *view)
{
    if (view->leaf != NULL)
        table_unlock(view->leaf);
    if (view->upper != NULL)
        table_unlock(view->upper);
}

/* One step, however the entry is. */
static bool step_raw(struct pt_walk *w)
{
    pte_t *t = w->space->root;
    unsigned level = machine.paging_levels - 1, last = w->mode == PT_TABLES;

    if (w->va >= w->end)
        return false;
    w->level = 0;
    w->next = MIN(ALIGN_DOWN(w->va, level_size(1)) + level_size(1), w->end);
    w->pte = last == 0 ? pt_in_known_leaf(w->space, w->va, &w->table) : NULL;
    if (likely(w->pte != NULL))
        return true;
    for (; level > 0; level--) {
        pte_t *entry = &t[pt_index(w->va, level)];
        pte_t e = load_acquire(entry);

        if (!pte_is_table(e) || level == last) {
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

bool pt_step(struct pt_walk *w)
{
    while (step_raw(w)) {
        pte_t e;

        if (likely(w->level == 0) || w->mode >= PT_RAW)
            return true;
        e = load_relaxed(w->pte);
        if (!(pte_is_shared(e) || pte_is_present(e)))
            return true;
        if (pt_walk_whole(w) && (w->mode == PT_WHOLE || (w->mode == PT_HUGE && pte_is_huge(e))))
            return true;
        if (!make_table(w->space, w->table, w->pte, w->va, w->level)) {
            w->error = -ENOMEM;
            return false;
        }
    }
    return false;
}

/* The first entry from INDEX on, below END, that leads to a table of LEVEL - 1, or to a shared leaf table; END. */
static unsigned next_table(const pte_t *t, unsigned level, unsigned index, unsigned end)
{
    for (; index < end; index++) {
        pte_t e = load_acquire(&t[index]);

        if (pte_is_table(e) || (level == 1 && (pte_is_shared(e) || pte_is_huge(e))))
            break;
    }
    return index;
}

pte_t *pt_next_leaf(struct space *s, u64 *va, struct page **upper)
{
    unsigned top = machine.paging_levels - 1, level = top;
    pte_t *t = s->root;

    while (*va < arch_user_address_limit()) {
        unsigned first = pt_index(*va, level), i = next_table(t, level, first, PT_ENTRIES);

        if (i != first)
            *va = ALIGN_DOWN(*va, level_size(level)) + (i - first) * level_size(level);
        if (i == PT_ENTRIES) { /* nothing more in this table: on behind it, from the root */
            level = top;
            t = s->root;
        } else if (level == 1) {
            *upper = address_page(t);
            return &t[i];
        } else {
            t = table_of(load_acquire(&t[i]));
            level--;
        }
    }
    return NULL;
}

/* TABLE, a leaf, says nothing, and nothing will be put into it any more: who does that without space->lock looks at the
 * generation under the table's lock (vm/vmtrap_quick.c). => write lock */
static bool is_empty_for_good(struct space *s, struct page *table)
{
    bool result;

    pt_forget_leaves(s);
    table_lock(table);
    result = table->table_live == 0;
    table_unlock(table);
    return result;
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
        atomic_sub(&n_tables, 1);
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

static void destroy_table(struct page *table, unsigned level, u64 base, const struct vma **v);

/* What was entry E at ENTRY, of LEVEL and addresses from BASE on, goes. */
static inline void destroy_entry(const pte_t *entry, pte_t e, unsigned level, u64 base, const struct vma **v)
{
    if (pte_is_huge(e)) {
        count_huge(e, -1);
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
            live = destroy_leaves(t + i, last + 1 - i, live);
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
