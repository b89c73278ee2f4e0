/*
 * fork: the child gets the parent's vmas and entries. A private page stays one page with two references; the parent's
 * entry loses W (keeps SOFT_W), and whoever stores first copies it, or takes it over when it is the last (vm/fault.c).
 * Entries that a fault can make again - those of shared mappings - are not copied, only their protections.
 *
 * Cost: one step per live entry; tables tell how many they have.
 */
#include "vm/tlb.h"

/* What the child gets for the parent's entry *PTE of V. Returns 0 for nothing. => parent's table locked */
static pte_t share_entry(struct pt_walk *w, pte_t *pte, const struct vma *v, u64 va, u64 *counts,
                         struct tlb_batch *batch)
{
    pte_t e = *pte;
    struct page *page;

    if (!pte_has_page(e))
        return e;
    if (vma_is_shared(v))
        return vma_entry_without_page(v, e);
    if (e & PTE_W) {
        e = pte_may_get_dirty(e) ? atomic_and(pte, ~PTE_W) & ~PTE_W : e & ~PTE_W;
        store_release(pte, e);
        tlb_note(batch, va);
    }
    page = pte_page(e);
    if (!(page->flags & PG_RESERVED)) {
        page_get(page);
        counts[rss_kind(page)]++;
    }
    return e;
}

static int copy_leaves(struct pt_walk *w, struct space *child, const struct vma *v, struct tlb_batch *batch)
{
    unsigned n = pt_walk_pages(w), live;
    u64 counts[RSS_KINDS] = {0};
    struct page *table;
    pte_t *to;

    if (w->table->table_live == 0)
        return 0;
    to = pt_make(child, w->va, 0, &table);
    if (to == NULL)
        return -ENOMEM;
    table_lock(w->table);
    table_lock(table);
    live = w->table->table_live;
    for (unsigned i = 0; i < n && live > 0; i++) {
        if (w->pte[i] == 0)
            continue;
        live--;
        pte_set(table, &to[i], share_entry(w, &w->pte[i], v, w->va + i * PAGE_SIZE, counts, batch));
    }
    table_unlock(table);
    table_unlock(w->table);
    for (unsigned k = 0; k < RSS_KINDS; k++)
        if (counts[k] != 0)
            atomic_add_relaxed(&child->rss[k], counts[k]);
    return 0;
}

static int copy_span(struct pt_walk *w, struct space *child)
{
    struct page *table;
    pte_t *to = pt_make(child, w->va, w->level, &table);

    if (to == NULL)
        return -ENOMEM;
    table_lock(table);
    pte_set(table, to, *w->pte);
    table_unlock(table);
    child->has_spans = true;
    return 0;
}

static int copy_entries(struct space *child, struct space *parent, const struct vma *v, struct tlb_batch *batch)
{
    int result = 0;

    if (vma_is_shared(v) && !(v->flags & VMA_MARKED))
        return 0;
    for (struct pt_walk w = {.space = parent, .va = v->start, .end = v->end}; result == 0 && pt_step(&w);
         w.va = w.next) {
        if (w.level == 0)
            result = copy_leaves(&w, child, v, batch);
        else if (*w.pte != 0)
            result = copy_span(&w, child);
    }
    return result;
}

static int copy_vma(struct space *child, const struct vma *v)
{
    struct vma *copy = vma_alloc();

    if (copy == NULL)
        return -ENOMEM;
    copy->start = v->start;
    copy->end = v->end;
    copy->object = v->object;
    copy->file = v->file;
    copy->offset = v->offset;
    copy->prot = v->prot;
    copy->max_prot = v->max_prot;
    copy->flags = v->flags & (u32)~VMA_LOCKED;
    if (copy->file != NULL)
        vm_file_ops->get(copy->file);
    /* The copy is linked behind V in the object's tree: who takes pages away from all mappings comes to V first, then
     * to the copy, and so misses no entry that is copied in between. */
    vma_insert(child, copy);
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
    struct tlb_batch batch;
    int error = 0;

    if (child == NULL)
        return ERR_PTR(-ENOMEM);
    tlb_begin(&batch, parent);
    write_lock(&parent->lock);
    copy_layout(child, parent);
    for (struct tree_node *node = tree_first(&parent->vmas); node != NULL && error == 0; node = tree_next(node)) {
        const struct vma *v = container_of(node, struct vma, node);

        if (v->flags & VMA_DONTFORK)
            continue;
        error = copy_vma(child, v);
        if (error == 0 && !(v->flags & VMA_WIPEONFORK))
            error = copy_entries(child, parent, v, &batch);
    }
    tlb_flush(&batch);
    write_unlock(&parent->lock);
    if (error != 0) {
        space_put(child);
        return ERR_PTR(error);
    }
    return child;
}
