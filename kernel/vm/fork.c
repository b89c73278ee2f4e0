/*
 * fork: the child gets the parent's vmas and entries. A private page stays one page with two references; the parent's
 * entry loses W (keeps SOFT_W), and whoever stores first copies it, or takes it over when it is the last (vm/fault.c).
 * Entries that a fault can make again - those of shared mappings - are not copied, only their protections.
 *
 * Leaf tables with many entries that serve nothing but plain private memory are not even copied: both spaces refer to
 * them until one of them wants to use an entry (vm/pagetable.h draws it). What else has few entries is copied at once.
 *
 * Cost: one step per leaf table that can be shared, one per live entry elsewhere; tables tell how many they have. A
 * table that was used since the last fork has its pages counted once.
 */
#include "vm/swapout.h"
#include "vm/tlb.h"

struct fork {
    struct space *parent, *child;
    u64 shared_to; /* tables below this address are shared, whatever vma they serve */
    struct tlb_batch batch;
};

/* What the child gets for the parent's entry *PTE of V, 0 for nothing. => parent's table locked */
static pte_t copy_entry(struct fork *f, pte_t *pte, const struct vma *v, u64 va, u64 *counts)
{
    pte_t e = *pte;

    if (!pte_has_page(e))
        return pt_share_entry(pte);
    if (vma_is_shared(v))
        return vma_entry_without_page(v, e);
    if (e & PTE_W)
        tlb_note(&f->batch, va);
    if (!(pte_page(e)->flags & PG_RESERVED))
        counts[rss_kind(pte_page(e))]++;
    return pt_share_entry(pte);
}

/* The N entries from PTE in TABLE, at VA in V. */
static int copy_leaves(struct fork *f, const struct vma *v, struct page *from, pte_t *pte, unsigned n, u64 va)
{
    u64 counts[RSS_KINDS] = {0};
    struct page *table;
    unsigned live;
    pte_t *to;

    if (from->table_live == 0)
        return 0;
    to = pt_make(f->child, va, 0, &table);
    if (to == NULL)
        return -ENOMEM;
    table_lock(from);
    table_lock(table);
    live = from->table_live;
    for (unsigned i = 0; i < n && live > 0; i++) {
        if (pte[i] == 0)
            continue;
        live--;
        pte_set(table, &to[i], copy_entry(f, &pte[i], v, va + i * PAGE_SIZE, counts));
    }
    table_unlock(table);
    table_unlock(from);
    for (unsigned k = 0; k < RSS_KINDS; k++)
        if (counts[k] != 0)
            atomic_add_relaxed(&f->child->rss[k], counts[k]);
    return 0;
}

static int copy_span(struct fork *f, const struct pt_walk *w)
{
    struct page *table;
    pte_t *to = pt_make(f->child, w->va, w->level, &table);

    if (to == NULL)
        return -ENOMEM;
    table_lock(table);
    pte_set(table, to, *w->pte);
    table_unlock(table);
    f->child->has_spans = true;
    return 0;
}

/* ---- sharing tables ---- */

/* Fewer live entries than these are copied sooner than two spaces find out that they want tables of their own. */
#define WORTH_SHARING 48

/* Private memory that the child gets as it is, and of which no object's pages can be taken away. */
static bool is_plain_memory(const struct vma *v)
{
    return v->object == NULL && !(v->flags & (VMA_VDSO | VMA_LOCKED | VMA_DONTFORK | VMA_WIPEONFORK | VMA_USERFAULT));
}

/* All that the leaf table at SPAN, which serves V, serves is plain memory. */
static bool serves_plain_memory(const struct vma *v, u64 span)
{
    const struct vma *other;

    if (!is_plain_memory(v))
        return false;
    for (other = v; other->start > span && (other = other->below) != NULL && other->end > span;)
        if (!is_plain_memory(other))
            return false;
    for (other = v;
         other->end < span + level_size(1) && (other = other->above) != NULL && other->start < span + level_size(1);)
        if (!is_plain_memory(other))
            return false;
    return true;
}

static bool is_worth_sharing(pte_t e)
{
    return pte_is_shared(e) || (pte_is_present(e) && pte_page(e)->table_live >= WORTH_SHARING);
}

/* Both spaces refer to the leaf table from now on. */
static int share_table(struct fork *f, const struct pt_walk *w)
{
    struct page *upper, *table = pte_page(*w->pte);
    pte_t *to = pt_make(f->child, w->va, 1, &upper), e;

    if (to == NULL)
        return -ENOMEM;
    if (pte_is_present(*w->pte)) {
        f->batch.tables = true;
        tlb_note(&f->batch, w->va);
    }
    spin_lock(&f->parent->tables_lock);
    table_lock(w->table);
    e = pt_share(f->parent, w->table, w->pte);
    table_unlock(w->table);
    spin_unlock(&f->parent->tables_lock);
    pte_set(upper, to, e);
    f->child->has_spans = true;
    f->child->n_tables++;
    f->child->rss[RSS_ANON] += table->table_pages;
    f->shared_to = ALIGN_DOWN(w->va, level_size(1)) + level_size(1);
    return 0;
}

/* What the parent has at W in V: nothing, a mark, or a leaf table. */
static int copy_span_or_table(struct fork *f, const struct vma *v, struct pt_walk *w)
{
    pte_t e = *w->pte;
    struct page *table;
    pte_t *pte;

    if (e == 0)
        return 0;
    if (pte_is_mark(e))
        return copy_span(f, w);
    if (is_worth_sharing(e) && serves_plain_memory(v, ALIGN_DOWN(w->va, level_size(1))))
        return share_table(f, w);
    pte = pt_make(f->parent, w->va, 0, &table);
    if (pte == NULL)
        return -ENOMEM;
    return copy_leaves(f, v, table, pte, pt_walk_pages(w), w->va);
}

static int copy_entries(struct fork *f, const struct vma *v)
{
    struct pt_walk w = {.space = f->parent, .va = MAX(v->start, f->shared_to), .end = v->end, .mode = PT_TABLES};
    int result = 0;

    if (vma_is_shared(v) && !(v->flags & VMA_MARKED))
        return 0;
    for (; result == 0 && pt_step(&w); w.va = w.next)
        result = copy_span_or_table(f, v, &w);
    return result;
}

static int copy_vma(struct space *child, const struct vma *v)
{
    struct vma *copy = vma_alloc();

    if (copy == NULL)
        return -ENOMEM;
    *copy = *v;
    copy->flags &= ~(u32)(VMA_LOCKED | VMA_USERFAULT);
    copy->userfault = NULL;
    if (copy->file != NULL)
        vm_file_ops->get(copy->file);
    /* The copy is linked behind V in the object's tree: who takes pages away from all mappings comes to V first, then
     * to the copy, and so misses no entry that is copied in between. */
    vma_insert(child, copy, NULL);
    return 0;
}

static void copy_layout(struct space *child, struct space *parent)
{
    child->mmap_top = parent->mmap_top;
    child->brk_start = parent->brk_start;
    child->brk = parent->brk;
    child->layout = parent->layout;
    if (child->layout.exe != NULL)
        vm_file_ops->get(child->layout.exe);
}

struct space *space_fork(struct space *parent)
{
    struct space *child = space_create();
    struct fork f = {.parent = parent, .child = child};
    int error = 0;

    if (child == NULL)
        return ERR_PTR(-ENOMEM);
    tlb_begin(&f.batch, parent);
    write_lock(&parent->lock);
    swapout_bar(parent, true); /* the child's tables are the parent's, whose harts still use them */
    swapout_bar(child, true);
    copy_layout(child, parent);
    for (struct tree_node *node = tree_first(&parent->vmas); node != NULL && error == 0; node = tree_next(node)) {
        const struct vma *v = container_of(node, struct vma, node);

        if (v->flags & VMA_DONTFORK)
            continue;
        error = copy_vma(child, v);
        if (error == 0 && !(v->flags & VMA_WIPEONFORK))
            error = copy_entries(&f, v);
    }
    tlb_flush(&f.batch);
    swapout_bar(parent, false);
    swapout_bar(child, false);
    write_unlock(&parent->lock);
    if (error != 0) {
        space_put(child);
        return ERR_PTR(error);
    }
    return child;
}
