/* Walking page tables: steps over ranges (pt_step), looking at what a step shows, the clock's hand. The modes are told
 * in pagetable.h. */
#include "vm/pagetable_parts.h"

/* The end of what an entry of LEVEL serves, or of the walk. */
static inline u64 step_end(const struct pt_walk *w, unsigned level)
{
    return MIN(ALIGN_DOWN(w->va, level_size(level)) + level_size(level), w->end);
}

static inline bool step_in_known_leaf(struct pt_walk *w)
{
    pte_t *pte = likely(w->mode != PT_TABLES) ? pt_in_known_leaf(w->space, w->va, &w->table) : NULL;

    if (unlikely(pte == NULL))
        return false;
    w->pte = pte;
    w->level = 0;
    w->next = step_end(w, 1);
    return true;
}

/* One step from the root on, however the entry is. */
static void step_raw(struct pt_walk *w)
{
    pte_t *t = w->space->root, *entry, e;
    unsigned level = machine.paging_levels - 1, last = w->mode == PT_TABLES;

    for (; level > 0; level--) {
        entry = &t[pt_index(w->va, level)];
        e = load_acquire(entry);
        if (!pte_is_table(e) || level == last) {
            w->pte = entry;
            w->next = step_end(w, level);
            w->level = level;
            w->table = address_page(t);
            return;
        }
        t = table_of(e);
    }
    w->pte = remember_leaf(w->space, t, w->va, &w->table);
    w->next = step_end(w, 1);
    w->level = 0;
}

static noinline_fn bool step_slowly(struct pt_walk *w)
{
    do {
        pte_t e;

        step_raw(w);
        if (w->level == 0 || w->mode >= PT_RAW)
            return true;
        e = load_relaxed(w->pte);
        if (!(pte_is_shared(e) || pte_is_present(e)))
            return true;
        if (pt_walk_whole(w) && (w->mode == PT_WHOLE || (w->mode == PT_HUGE && pte_is_huge(e))))
            return true;
    } while (pt_make_table(w->space, w->table, w->pte, w->va, w->level));
    w->error = -ENOMEM;
    return false;
}

bool pt_step_from(struct pt_walk *w) { return likely(step_in_known_leaf(w)) || step_slowly(w); }

int pt_lock_span(struct pt_walk *w)
{
    if (pt_walk_whole(w)) {
        table_lock(w->table);
        if (!pte_is_present(*w->pte))
            return 1;
        table_unlock(w->table); /* a fault made a table just now */
    } else if (!pt_push_down(w->space, w->table, w->pte, w->va, w->level)) {
        return -ENOMEM;
    }
    w->next = w->va;
    return 0;
}

int pt_own(struct space *s, u64 start, u64 end, enum pt_mode mode)
{
    struct pt_walk w = {.space = s, .va = start, .end = end, .mode = mode};

    while (s->has_spans && pt_step(&w))
        w.va = w.next;
    return w.error;
}

int pt_split_spans_at(struct space *s, u64 address)
{
    struct pt_walk w = {.space = s, .va = address, .end = address + PAGE_SIZE, .mode = PT_RAW};

    if (address >= arch_user_address_limit())
        return 0;
    while (pt_step(&w) && w.level > 0 && *w.pte != 0 && !IS_ALIGNED(address, level_size(w.level)))
        if (!pt_make_table(s, w.table, w.pte, w.va, w.level))
            return -ENOMEM;
    return 0;
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
        table_lock(view->leaf);
        view->huge = (view->leaf->flags & PG_HUGE) != 0;
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
