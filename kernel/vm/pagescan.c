/*
 * PAGEMAP_SCAN: reports runs of pages by what they are, and write-protects those of them that were written to.
 *
 * Where userfaultfd write-protects asynchronously (VMA_UFFD_ASYNC) a page is "written" until it is protected, and again
 * after a store. Protecting sets UFFD_WP in its entry. In private memory that clear_refs does not track, the entry
 * keeps W and loses D, and the hardware's D tells of the next store: no store faults. Else W goes, and the fault of the
 * next store takes UFFD_WP away:
 *
 *                     arm                       a store                     clear_refs
 *    written, W, D   ----->  UFFD_WP, W        ------->  UFFD_WP, W, D     ------------>  W, and from then on as below
 *    written, W, D   ----->  UFFD_WP, D if so  -fault->  W, D
 *
 * So soft-dirty and "written" can be asked for side by side. Source: Linux's admin-guide/mm/pagemap; where it is
 * silent, as Linux 6.12 does it: a page without content counts as written until it is protected, unless its table is
 * missing; that is protected without being reported.
 */
#include "vm/pagescan.h"
#include "vm/tlb.h"

#define OUT_OF_ROOM 1 /* besides 0 and -errno: the scan ends early */

/* One walk. */
struct scan {
    struct page_scan *s;
    const struct vma *v;
    bool uses_d;   /* protecting leaves W, see above */
    u64 quiet_end; /* what was a hole up to there is protected, not reported */
    u64 vma_categories;
    struct tlb_batch batch;
};

static bool is_async(const struct vma *v)
{
    return (v->flags & (VMA_UFFD_WP | VMA_UFFD_ASYNC)) == (VMA_UFFD_WP | VMA_UFFD_ASYNC);
}
static bool protects(const struct page_scan *s) { return (s->flags & PM_SCAN_WP_MATCHING) != 0; }

/* Only "written" is asked for: entries are not looked at any closer. */
static bool wants_written_only(const struct page_scan *s)
{
    return s->any_of == 0 && s->inverted == 0 && s->mask == PAGE_IS_WRITTEN && s->returned == PAGE_IS_WRITTEN;
}

static bool is_interesting(const struct page_scan *s, u64 categories)
{
    categories ^= s->inverted;
    return (categories & s->mask) == s->mask && (s->any_of == 0 || (categories & s->any_of) != 0);
}

/* What an entry of a leaf table is. */
static u64 categories_of(pte_t e)
{
    u64 result = pte_is_protected(e) ? 0 : PAGE_IS_WRITTEN;

    if (!pte_has_page(e) && !pte_is_swap(e))
        return result;
    result |= e & PTE_D ? PAGE_IS_SOFT_DIRTY : 0;
    if (pte_is_swap(e))
        return result | PAGE_IS_SWAPPED;
    if (pte_page(e)->flags & PG_RESERVED)
        result |= PAGE_IS_PFNZERO;
    else if (!(pte_page(e)->flags & PG_ANON))
        result |= PAGE_IS_FILE;
    return result | PAGE_IS_PRESENT;
}

/* [START, *END), all of CATEGORIES, is found: *END is how far there is room for it. */
static inline __attribute__((always_inline)) int report(struct page_scan *s, u64 categories, u64 start, u64 *end)
{
    struct page_region *next = s->regions + s->n_regions;
    u64 n = (*end - start) >> PAGE_SHIFT, most = s->max_pages - s->found_pages;
    int result = 0;

    if (s->regions == NULL)
        return 0;
    categories &= s->returned;
    if (unlikely(n > most)) {
        n = most;
        result = OUT_OF_ROOM;
    }
    if (s->n_regions > 0 && next[-1].end == start && next[-1].categories == categories) {
        next[-1].end += n << PAGE_SHIFT;
    } else if (unlikely(s->n_regions == s->room)) {
        n = 0;
        result = OUT_OF_ROOM;
    } else if (n > 0) {
        *next = (struct page_region){start, start + (n << PAGE_SHIFT), categories};
        s->n_regions++;
    }
    s->found_pages += n;
    *end = start + (n << PAGE_SHIFT);
    if (result != 0)
        s->walk_end = *end;
    return result;
}

/* ---- protecting ---- */

/* The hardware's D will tell of stores: *PTE, E, keeps W. */
static inline bool tells_by_d(const struct scan *c, pte_t e)
{
    return c->uses_d && (e & (PTE_V | PTE_W)) == (PTE_V | PTE_W);
}

/* => table locked */
static __attribute__((noinline)) void arm_slowly(struct scan *c, struct page *table, pte_t *pte, u64 va)
{
    pte_t e = load_relaxed(pte);

    if (pte_is_poisoned(e) || pte_is_protected(e))
        return;
    if (!pte_is_present(e)) {
        pte_set(table, pte, (e == 0 ? pte_mark(c->v->prot) : e) | PTE_UFFD_WP);
        if (pte_is_swap(e))
            tlb_note(&c->batch, va); /* swapout.c may not have flushed it yet */
        return;
    }
    atomic_and(pte, ~PTE_W);
    atomic_or(pte, PTE_UFFD_WP);
    if (e & PTE_W)
        tlb_note(&c->batch, va);
}

/* => table locked */
static inline void arm(struct scan *c, struct page *table, pte_t *pte, u64 va)
{
    pte_t e = load_relaxed(pte);

    if (!tells_by_d(c, e)) {
        arm_slowly(c, table, pte, va);
    } else if (!pte_is_protected(e)) {
        store_relaxed(pte, (e | PTE_UFFD_WP) & ~PTE_D);
        tlb_note(&c->batch, va);
    }
}

/* ---- the walk ---- */

/* The entries of one table, from VA on, if only those that were written to count: report and arm, with what they need
 * at hand. => table locked; there are regions */
static int scan_written(struct scan *c, struct page *table, pte_t *pte, u64 va, u64 end)
{
    struct page_scan *s = c->s;
    struct page_region *last = s->regions + s->n_regions - 1, *limit = s->regions + s->room - 1;
    u64 last_end = s->n_regions > 0 ? last->end : 0, left = s->max_pages - s->found_pages, before = left;
    bool protect = protects(s);

    for (; va < end; va += PAGE_SIZE, pte++) {
        pte_t e = load_relaxed(pte);

        if ((e & PTE_UFFD_WP) && (e & PTE_REWRITTEN) != PTE_REWRITTEN)
            continue;
        if (left == 0 || (last_end != va && last == limit)) {
            s->walk_end = va;
            break;
        }
        left--;
        if (last_end != va) {
            last++;
            last->start = va;
            last->categories = PAGE_IS_WRITTEN;
        }
        last->end = last_end = va + PAGE_SIZE;
        if (protect)
            arm(c, table, pte, va);
    }
    s->n_regions = (unsigned)(last + 1 - s->regions);
    s->found_pages += before - left;
    return va < end ? OUT_OF_ROOM : 0;
}

/* What W's entries were a hole of when that was reported is protected; pages that were stored to meanwhile are left for
 * the next scan to find. => table locked */
static void arm_hole(struct scan *c, struct pt_walk *w)
{
    for (unsigned i = 0; i < pt_walk_pages(w); i++)
        if (!pte_has_page(w->pte[i]) && !pte_is_swap(w->pte[i]))
            arm(c, w->table, &w->pte[i], w->va + i * PAGE_SIZE);
}

static int scan_leaves(struct scan *c, struct pt_walk *w, const struct pt_view *view)
{
    struct page_scan *s = c->s;

    for (unsigned i = 0; i < pt_walk_pages(w); i++) {
        u64 va = w->va + i * PAGE_SIZE, next = va + PAGE_SIZE;
        u64 categories =
            c->vma_categories | categories_of(load_relaxed(&view->entries[i])) | (view->huge ? PAGE_IS_HUGE : 0);
        int result;

        if (!is_interesting(s, categories))
            continue;
        result = report(s, categories, va, &next);
        if (protects(s) && (categories & PAGE_IS_WRITTEN) && next > va)
            arm(c, w->table, &w->pte[i], va);
        if (result != 0)
            return result;
    }
    return 0;
}

static int scan_table(struct scan *c, struct pt_walk *w, const struct pt_view *view)
{
    if (view->upper == NULL && c->s->regions != NULL && w->va < c->quiet_end) {
        arm_hole(c, w);
        return 0;
    }
    if (view->upper == NULL && protects(c->s) && c->s->regions == NULL) {
        for (unsigned i = 0; i < pt_walk_pages(w); i++)
            arm(c, w->table, &w->pte[i], w->va + i * PAGE_SIZE);
        return 0;
    }
    if (view->upper == NULL && c->s->regions != NULL && wants_written_only(c->s))
        return scan_written(c, w->table, w->pte, w->va, w->next);
    return scan_leaves(c, w, view);
}

/* The hole at an upper level that W found is protected, so that what is stored there later can be told from what is
 * not; a part of one first gets a table. */
static int arm_span(struct scan *c, struct pt_walk *w)
{
    bool is_whole = pt_walk_whole(w);
    u64 end = w->next;
    int locked;

    if (*w->pte & PTE_UFFD_WP)
        return 0;
    locked = pt_lock_span(w);
    if (locked == 0 && !is_whole)
        c->quiet_end = MAX(c->quiet_end, end);
    if (locked <= 0)
        return locked;
    arm(c, w->table, w->pte, w->va);
    w->space->has_spans = true;
    table_unlock(w->table);
    return 0;
}

static int scan_span(struct scan *c, struct pt_walk *w)
{
    u64 end = w->next;
    int result = 0;

    if (w->va < c->quiet_end) /* a part of a hole that was reported as a whole */
        return arm_span(c, w);
    if (is_interesting(c->s, c->vma_categories))
        result = report(c->s, c->vma_categories, w->va, &end);
    else if (c->s->regions != NULL && !(c->s->mask & ~c->s->inverted & PAGE_IS_WRITTEN))
        return 0;
    if (!protects(c->s) || end < w->next)
        return result;
    return arm_span(c, w);
}

static int scan_vma(struct scan *c, struct space *space, u64 start, u64 end)
{
    struct pt_walk w = {.space = space, .va = start, .end = end, .mode = protects(c->s) ? PT_OWN : PT_RAW};
    int result = 0;

    for (; result == 0 && pt_step(&w); w.va = w.next) {
        struct pt_view view;

        pt_look(&w, &view);
        if (view.entries != NULL)
            result = scan_table(c, &w, &view);
        pt_look_done(&view);
        if (view.entries == NULL)
            result = scan_span(c, &w);
    }
    return result != 0 ? result : w.error;
}

/* Whether C's vma is to be walked: 1 yes, 0 no, -EPERM. */
static int check_vma(struct scan *c)
{
    const struct vma *v = c->v;
    u64 required = c->s->mask & PAGE_IS_WPALLOWED;

    if (!is_async(v)) {
        if (c->s->flags & PM_SCAN_CHECK_WPASYNC)
            return -EPERM;
        if (protects(c->s))
            return 0;
    }
    c->uses_d = !vma_is_shared(v) && !(v->flags & VMA_TRACKED);
    c->vma_categories = (is_async(v) ? PAGE_IS_WPALLOWED : 0) | (v->flags & VMA_TRACKED ? 0 : PAGE_IS_SOFT_DIRTY);
    return ((c->vma_categories ^ c->s->inverted) & required) == required;
}

int space_scan_pages(struct space *space, struct page_scan *s)
{
    struct scan c = {.s = s};
    int result = 0;

    s->n_regions = 0;
    s->walk_end = 0;
    tlb_begin(&c.batch, space);
    read_lock(&space->lock);
    c.v = vma_find(space, s->start);
    for (; result == 0 && c.v != NULL && c.v->start < s->end; c.v = c.v->above) {
        result = check_vma(&c);
        if (result > 0)
            result = scan_vma(&c, space, MAX(c.v->start, s->start), MIN(c.v->end, s->end));
    }
    if (protects(s))
        tlb_note_unflushed(&c.batch, s->start, s->end, true);
    tlb_flush(&c.batch);
    read_unlock(&space->lock);
    return result == OUT_OF_ROOM ? 0 : result;
}
