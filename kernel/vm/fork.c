/*
 * fork: the child gets the parent's vmas and entries. A private page stays one page with two references; the parent's
 * entry loses W (keeps SOFT_W), and whoever stores first copies it, or takes it over when it is the last
 * (vm/fault_private.c). Entries that a fault can make again - those of shared mappings - are not copied, only their
 * protections.
 *
 * Leaf tables with many entries that serve nothing but plain private memory are not even copied: both spaces refer to
 * them until one of them wants to use an entry (vm/pagetable.h draws it). All others are copied at once.
 *
 * The pages that are stored to as soon as both sides run would be copied by a fault at once: the stack's, where the
 * child's id is written, and some to which a child of an earlier fork has stored, as they tell themselves. For a
 * process with one thread the child's copies of those are made here, and the parent keeps W. With more threads a copy
 * made before the others' W is gone could be of another moment than the rest.
 *
 * Cost: one step per leaf table that can be shared, one per live entry elsewhere; tables tell how many they have. A
 * table that was used since the last fork has its pages counted once.
 */
#include "lib/string.h"
#include "vm/reclaim.h"
#include "vm/swap.h"
#include "vm/swapout.h"
#include "vm/tlb.h"
#include "vm/userfaults.h"

#define FORK_MORE_COPIES 4

struct fork {
    struct space *parent, *child;
    struct page *upper; /* the parent's level-1 table that was used last, for addresses of UPPER_SPAN */
    u64 upper_span;
    u64 shared_to;           /* tables below this address are shared, whatever vma they serve */
    u64 private_pages;       /* anonymous ones that the child has got */
    u64 stored[FORK_STORED]; /* pages at these addresses are copied, */
    unsigned more_copies;    /* ... and so many of those that children before have stored to */
    pte_t dropped;           /* bits of entries that the child does not get, of the vma at hand */
    struct list userfaults;  /* contexts of the child's own */
    struct tlb_batch batch;
};

/* ---- entries ---- */

/* The entries FROM[0..N) of V, a shared mapping, TO is zeros: only what they allow is copied, faults find the pages
 * again. Returns how many are live. => both tables locked, as for the next */
static unsigned copy_protections(const struct vma *v, const pte_t *from, pte_t *to, unsigned n)
{
    unsigned copied = 0;

    for (unsigned i = 0; i < n; i++) {
        pte_t e = load_relaxed(&from[i]);

        to[i] = pte_has_page(e) ? vma_entry_without_page(v, e) : e;
        copied += to[i] != 0;
    }
    return copied;
}

/* PAGE, at VA, which the parent alone has. */
static bool is_stored_soon(struct fork *f, u64 va, const struct page *page)
{
    for (unsigned i = 0; i < FORK_STORED; i++)
        if ((va ^ f->stored[i]) < PAGE_SIZE)
            return true;
    if (likely(!page->stored_after_fork) || f->more_copies == 0)
        return false;
    f->more_copies--;
    return true;
}

/* The entry of a copy for the child, where E, at VA, is the parent's only one of its page; 0: they shall share it.
 * => both tables locked */
static pte_t copy_stored(struct fork *f, pte_t e, u64 va)
{
    struct page *copy;

    if ((e & (PTE_V | PTE_SOFT_W | PTE_UFFD_WP)) != (PTE_V | PTE_SOFT_W) || !page_is_alone(pte_page(e)) ||
        !is_stored_soon(f, va, pte_page(e)))
        return 0;
    copy = page_alloc(ALLOC_USER | ALLOC_NO_WAIT);
    if (copy == NULL)
        return 0;
    page_make_anonymous(copy);
    copy_page(page_address(copy), page_address(pte_page(e)));
    return pte_make(page_pfn(copy), (e & (BIT(PTE_PPN_SHIFT) - 1)) | PTE_W);
}

/* What the child gets of the parent's entry *PTE, which is not 0; the entry FROM is that of address VA. The page has
 * one reference more; *PRIVATE counts such of private memory, *PAGES those and an object's. */
static pte_t share_page(struct fork *f, pte_t *pte, const pte_t *from, u64 va, unsigned *private, unsigned *pages)
{
    u64 at = va + (u64)(pte - from) * PAGE_SIZE;
    pte_t e = load_relaxed(pte), copied;

    if (unlikely((copied = copy_stored(f, e, at)) != 0)) {
        ++*private;
        ++*pages;
        return copied;
    }
    if (pte_has_page(e)) {
        struct page *page = pte_page(e);

        if ((e & (PTE_V | PTE_W)) == (PTE_V | PTE_W)) {
            tlb_note(&f->batch, at);
            e = pte_write_protect(pte);
        }
        if (!(page->flags & PG_RESERVED)) {
            page_get(page);
            *private += (page->flags & PG_ANON) != 0;
            ++*pages;
        }
    } else if (pte_is_swap(e)) {
        swap_get(pte_slot(e));
        tlb_note(&f->batch, at); /* swapout.c may not have flushed it yet */
    }
    return e;
}

/* The same of private memory at VA; LIVE: as many at most. Most are pages of a program's file, and only read. Of these,
 * such as the parent has never used are left to the child's faults. */
static unsigned share_pages(struct fork *f, const struct vma *v, pte_t *from, pte_t *to, unsigned n, unsigned live,
                            u64 va)
{
    struct page *array = page_array;
    unsigned missing = live, unused = 0, pages = 0, private = 0;
    bool all = (v->flags & VMA_MARKED) != 0; /* entries tell protections */

    for (pte_t *pte = from, *end = from + n; pte < end && missing > 0; pte++, to++) {
        pte_t e = load_relaxed(pte);

        if (e == 0)
            continue;
        missing--;
        if ((e & (PTE_V | PTE_W)) == PTE_V && !(array[pte_pfn(e)].flags & (PG_RESERVED | PG_ANON))) {
            if (!(e & (PTE_A | PTE_UFFD_WP)) && !all) {
                unused++;
                continue;
            }
            page_get(&array[pte_pfn(e)]);
            pages++;
            *to = e;
        } else {
            *to = share_page(f, pte, from, va, &private, &pages);
        }
    }
    f->private_pages += private;
    if (pages > private)
        atomic_add_relaxed(&f->child->rss[object_rss_kind(v->object)], pages - private);
    return live - missing - unused;
}

/* The N entries from PTE on in the leaf table FROM, at VA in V. */
static int copy_leaves(struct fork *f, const struct vma *v, struct page *from, pte_t *pte, unsigned n, u64 va)
{
    struct page *table;
    unsigned copied;
    pte_t *to;

    if (from->table_live == 0)
        return 0;
    to = pt_make(f->child, va, 0, &table);
    if (to == NULL)
        return -ENOMEM;
    table_lock(from);
    table_lock(table);
    copied = vma_is_shared(v) ? copy_protections(v, pte, to, n) : share_pages(f, v, pte, to, n, from->table_live, va);
    table->table_live += copied;
    for (unsigned i = 0; unlikely(f->dropped != 0) && i < n; i++)
        to[i] &= ~f->dropped;
    table_unlock(table);
    table_unlock(from);
    return 0;
}

static int copy_span(struct fork *f, const struct pt_walk *w)
{
    struct page *table;
    pte_t *to = pt_make(f->child, w->va, w->level, &table);

    if (to == NULL)
        return -ENOMEM;
    table_lock(table);
    pte_set(table, to, *w->pte & ~f->dropped);
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

static bool is_worth_sharing(pte_t e) { return !pte_is_table(e) || pte_page(e)->table_live >= WORTH_SHARING; }

/* Both spaces refer to the leaf table from now on. */
static int share_table(struct fork *f, const struct pt_walk *w)
{
    struct page *upper, *table = pt_leaf_table(w->pte, *w->pte);
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
    f->private_pages += table->table_pages;
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
    if (!pte_is_table(e) && pt_make(f->parent, w->va, 0, &table) == NULL)
        return -ENOMEM;
    table = pte_page(*w->pte);
    pte = (pte_t *)page_address(table) + pt_index(w->va, 0);
    return copy_leaves(f, v, table, pte, pt_walk_pages(w), w->va);
}

/* pt_step, which most often stays in the level-1 table of the step before. */
static bool next_entry(struct fork *f, struct pt_walk *w)
{
    if (likely(w->va >> level_shift(2) == f->upper_span)) {
        if (w->va >= w->end)
            return false;
        w->pte = (pte_t *)page_address(f->upper) + pt_index(w->va, 1);
        w->table = f->upper;
        w->level = 1;
        w->next = MIN(ALIGN_DOWN(w->va, level_size(1)) + level_size(1), w->end);
        return true;
    }
    if (!pt_step(w))
        return false;
    if (w->level == 1) {
        f->upper = w->table;
        f->upper_span = w->va >> level_shift(2);
    }
    return true;
}

static int copy_pages(struct fork *f, const struct vma *v)
{
    struct pt_walk w = {.space = f->parent, .va = MAX(v->start, f->shared_to), .end = v->end, .mode = PT_TABLES};
    int result = 0;

    if (vma_is_shared(v) && !(v->flags & VMA_MARKED) && (!(v->flags & VMA_UFFD_WP) || f->dropped != 0))
        return 0;
    for (; result == 0 && next_entry(f, &w); w.va = w.next)
        result = copy_span_or_table(f, v, &w);
    return result;
}

static int copy_vma(struct fork *f, const struct vma *v)
{
    struct vma *copy = vma_alloc();

    if (copy == NULL)
        return -ENOMEM;
    *copy = *v;
    copy->flags &= ~(u32)(VMA_LOCKED | VMA_LOCKED_ONFAULT);
    if (unlikely(v->flags & VMA_USERFAULT) && userfault_fork_vma(v, copy, f->child, &f->userfaults) != 0) {
        vma_free(copy);
        return -ENOMEM;
    }
    f->dropped = v->flags & ~copy->flags & VMA_UFFD_WP ? PTE_UFFD_WP : 0;
    if (copy->file != NULL)
        vm_file_ops->get(copy->file);
    /* The copy is linked behind V in the object's tree: who takes pages away from all mappings comes to V first, then
     * to the copy, and so misses no entry that is copied in between. */
    vma_insert(f->child, copy, NULL);
    return 0;
}

static void copy_layout(struct space *child, struct space *parent)
{
    child->mmap_top = parent->mmap_top;
    child->brk_start = parent->brk_start;
    child->brk = parent->brk;
    child->layout = parent->layout;
    child->has_sealed = parent->has_sealed;
    child->has_traps = parent->has_traps;
    child->no_huge_pages = parent->no_huge_pages;
    space_inherit_exec_gain(child, parent);
    memcpy(child->logs, parent->logs, sizeof(child->logs));
    child->has_logs = parent->has_logs;
    if (child->layout.exe != NULL)
        vm_file_ops->get(child->layout.exe);
}

static int copy_all(struct fork *f)
{
    int error = 0;
    struct tree_node *lowest = tree_first(&f->parent->vmas);
    const struct vma *v = lowest != NULL ? container_of(lowest, struct vma, node) : NULL;

    for (; v != NULL && error == 0; v = v->above) {
        if (v->flags & VMA_DONTFORK)
            continue;
        error = copy_vma(f, v);
        if (error == 0 && !(v->flags & VMA_WIPEONFORK))
            error = copy_pages(f, v);
    }
    atomic_add_relaxed(&f->child->rss[RSS_ANON], f->private_pages);
    return error;
}

static struct space *try_fork(struct space *parent, const u64 *stored)
{
    struct fork f;
    int error;

    f.child = space_create();
    if (f.child == NULL)
        return ERR_PTR(-ENOMEM);
    f.parent = parent;
    f.shared_to = f.private_pages = 0;
    f.upper_span = UINT64_MAX;
    f.more_copies = load_relaxed(&parent->users) == 1 ? FORK_MORE_COPIES : 0;
    for (unsigned i = 0; i < FORK_STORED; i++)
        f.stored[i] = f.more_copies != 0 ? ALIGN_DOWN(stored[i], PAGE_SIZE) : UINT64_MAX;
    list_init(&f.userfaults);
    tlb_begin(&f.batch, parent);
    write_lock(&parent->lock);
    swapout_bar(parent, true); /* the child's tables are the parent's, whose harts still use them */
    swapout_bar(f.child, true);
    copy_layout(f.child, parent);
    if (vm_settings.overcommit_memory == OVERCOMMIT_NEVER &&
        !may_commit(parent, parent->data_pages + parent->stack_pages))
        error = -ENOMEM;
    else
        error = copy_all(&f);
    tlb_flush(&f.batch);
    swapout_bar(parent, false);
    swapout_bar(f.child, false);
    write_unlock(&parent->lock);
    if (error != 0) {
        userfault_fork_failed(&f.userfaults);
        space_put(f.child);
        return ERR_PTR(error);
    }
    userfault_forked(&f.userfaults);
    return f.child;
}

#define FORK_TRIES 8

/* While tables are copied the clock must leave the parent's pages alone. If all memory is the parent's, reclaim has its
 * turn between two tries. */
struct space *space_fork(struct space *parent, const u64 stored[FORK_STORED])
{
    struct space *child = try_fork(parent, stored);

    for (unsigned round = 0; round < FORK_TRIES && IS_ERR(child) && PTR_ERR(child) == -ENOMEM; round++) {
        if (page_free_count() > page_total_count() / 128 || fatal_signal_pending() || !reclaim_wait(round, 0, true))
            break;
        child = try_fork(parent, stored);
    }
    return child;
}
