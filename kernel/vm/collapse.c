/*
 * Small pages become a huge page: they are copied to a block of 512, and so are the zeros between them.
 *
 *   private   [level 1] -> table: p  .  p  p  .        1. the table leaves the tree: no fault is under way (the lock is
 *                                                         held for writing), nor an access after the flush
 *             [   0   ]    table: p  .  p  p  .        2. pages are copied, entries changed
 *             [leaf   ] -> table: h0 h1 h2 h3 h4       3. it is back, behind a huge page
 *
 *   shared    the object's pages leave all mappings, one after the other they are replaced in the object by the
 *             block's, which are a run then (vm/run.c)
 *
 * Nothing that somebody watches is touched: not what is registered with a userfaultfd, and by khugepaged, of whom
 * nobody knows when he comes, neither mappings in which D tells of stores (VMA_TRACKED: all 512 pages would count as
 * stored to) nor those armed for user traps. Who asks with MADV_COLLAPSE stores to all of it, so to speak, as on Linux.
 */
#include "vm/collapse.h"
#include "lib/string.h"
#include "vm/compact.h"
#include "vm/fault.h"
#include "vm/huge.h"
#include "vm/run.h"
#include "vm/tlb.h"

/* What khugepaged leaves alone. */
#define WATCHED (VMA_TRACKED | VMA_TRAP)

/* There are swapped pages in the way, which can be brought in. */
#define SWAPPED 1
#define TRIES 4

/* ---- which spans ---- */

/* V is of a kind that can have huge pages, and long enough for one. */
static bool suits(const struct space *s, const struct vma *v)
{
    u64 first = ALIGN_UP(v->start, level_size(1));

    if (s->no_huge_pages || first + level_size(1) > v->end)
        return false;
    if (v->object == NULL)
        return !(v->flags & NOT_HUGE);
    return run_may_be_at(v) && run_fits(v, first);
}

static bool has_span(const struct vma *v, u64 va)
{
    return v != NULL && va >= v->start && va + level_size(1) <= v->end;
}

/* Khugepaged may see to the span at VA of V, as far as V goes. */
static bool is_allowed(struct space *s, const struct vma *v, u64 va)
{
    if (v->flags & WATCHED)
        return false;
    if (v->object == NULL)
        return huge_is_allowed(s, v, va);
    return run_may_be_at(v) && run_fits(v, va) && !s->no_huge_pages &&
           v->object->ops->wants_run(v->object, vma_index(v, va), v->flags & VMA_HUGEPAGE);
}

/* What the 512 entries of a table have in common, and how many are what. */
struct tally {
    unsigned prot, none, swapped, shared, used;
    bool has_writable;
};

/* False: they have different protections, or one of them is not like the others. */
static bool take_stock(const struct vma *v, const pte_t *t, struct tally *c)
{
    *c = (struct tally){0};
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        pte_t e = load_relaxed(&t[i]);
        unsigned prot = e == 0 ? v->prot : pte_prot(e);

        if (pte_is_resident(e) || (e & PTE_UFFD_WP) || pte_is_poisoned(e))
            return false;
        if (i > 0 && prot_effective(prot) != prot_effective(c->prot))
            return false;
        c->prot = prot;
        if (pte_is_swap(e)) {
            c->swapped++;
        } else if (pte_is_present(e) && !(load_relaxed(&pte_page(e)->flags) & PG_RESERVED)) {
            c->shared += load_relaxed(&pte_page(e)->refs) > 1 + page_cache_refs(pte_page(e));
            c->used += (e & PTE_A) != 0;
            c->has_writable |= (e & PTE_W) != 0;
        } else {
            c->none++;
        }
    }
    return c->prot != PROT_NONE;
}

/* Linux, too, wants one page that may be stored to, or is swapped. */
static bool is_worth_it(const struct tally *c, const struct collapse_limits *limits)
{
    if (!c->has_writable && c->swapped == 0)
        return false;
    return limits == NULL ||
           (c->none <= limits->none && c->swapped <= limits->swapped && c->shared <= limits->shared && c->used > 0);
}

bool collapse_is_due(struct space *s, const struct vma *v, u64 va, const struct page *table,
                     const struct collapse_limits *limits)
{
    struct tally c;

    if (!has_span(v, va) || !is_allowed(s, v, va))
        return false;
    if (v->object != NULL)
        return run_is_due(v->object, vma_index(v, va), limits->none, limits->swapped);
    return take_stock(v, page_address(table), &c) && is_worth_it(&c, limits);
}

static struct page *alloc_block(const struct collapse_limits *limits)
{
    struct page *head = limits == NULL ? page_alloc_huge(false, PG_ANON) : huge_alloc_unzeroed(PG_ANON);

    if (head == NULL)
        atomic_add_relaxed(&huge_counts.collapse_failed, 1);
    return head;
}

static void forget_block(struct page *head)
{
    if (head != NULL)
        (void)page_free_huge(head);
}

/* ---- private memory ---- */

/* Bits of a huge page's entry in place of the entries C; 0: it cannot be. */
static pte_t bits_of(const struct vma *v, const pte_t *t, const struct collapse_limits *limits)
{
    struct tally c;

    if (!take_stock(v, t, &c) || c.swapped > 0 || !is_worth_it(&c, limits))
        return 0;
    return pte_bits(c.prot) | PTE_D | (c.prot & PROT_WRITE ? PTE_W : 0);
}

/* The 512 pages of TABLE lie together as it is, as when a child that shared a huge page is gone, and belong to nobody
 * else: the first of them; else NULL. */
static struct page *find_block(const struct page *table)
{
    const pte_t *t = page_address(table);
    u64 first = pte_has_page(t[0]) ? pte_pfn(t[0]) : 1;

    if (first % HUGE_PAGES != 0)
        return NULL;
    for (unsigned i = 0; i < PT_ENTRIES; i++)
        if (!pte_has_page(t[i]) || pte_pfn(t[i]) != first + i || !page_is_alone(pte_page(t[i])))
            return NULL;
    return pfn_page(first);
}

/* The pages of TABLE, which nobody reaches now, move to the block HEAD, if they are not it. */
static void move_pages(struct space *s, struct page *table, struct page *head, pte_t bits)
{
    pte_t *t = page_address(table);
    u64 fresh = 0;

    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        struct page *old = pte_has_page(t[i]) ? pte_page(t[i]) : NULL;

        if (old == NULL || (old->flags & PG_RESERVED)) {
            clear_page(page_address(head + i));
            fresh++;
        } else if (old != head + i) {
            copy_page(page_address(head + i), page_address(old));
            page_put(old);
        }
        t[i] = pte_make(page_pfn(head + i), bits);
    }
    table->table_live = PT_ENTRIES;
    table->flags |= PG_HUGE;
    atomic_add_relaxed(&s->rss[RSS_ANON], fresh);
}

/* *ENTRY of UPPER leads to TABLE again, as an ordinary one. */
static void put_back(struct page *upper, pte_t *entry, struct page *table)
{
    table->flags &= ~(u32)PG_HUGE;
    table_lock(upper);
    pte_set(upper, entry, pte_make(page_pfn(table), PTE_V));
    table_unlock(upper);
}

/* TABLE, which *ENTRY of UPPER leads to, leaves the tree if its entries allow that: bits for the huge page, or 0. */
static pte_t take_out(struct space *s, const struct vma *v, struct page *upper, pte_t *entry, struct page *table,
                      const struct collapse_limits *limits)
{
    pte_t bits;

    spin_lock(&s->tables_lock);
    table_lock(upper);
    bits = bits_of(v, page_address(table), limits);
    if (bits != 0) {
        pte_set(upper, entry, 0);
        pt_forget_leaves(s);
    }
    table_unlock(upper);
    spin_unlock(&s->tables_lock);
    return bits;
}

/* => write lock, so no fault is under way; the flush ends all other accesses */
static int collapse_private(struct space *s, const struct vma *v, u64 va, const struct collapse_limits *limits)
{
    struct page *upper, *table, *head, *fresh = NULL;
    pte_t *entry = pt_make(s, va, 1, &upper), bits;
    struct tally c;

    if (entry == NULL)
        return -ENOMEM;
    if (pte_is_huge(*entry))
        return 0;
    if (*entry == 0 || pte_is_mark(*entry))
        return -EINVAL;
    if (pt_make(s, va, 0, &table) == NULL)
        return -ENOMEM;
    if (!take_stock(v, page_address(table), &c) || !is_worth_it(&c, limits))
        return -EINVAL;
    if (c.swapped > 0)
        return SWAPPED;
    head = find_block(table);
    if (head == NULL && (head = fresh = alloc_block(limits)) == NULL)
        return -ENOMEM;
    bits = take_out(s, v, upper, entry, table, limits);
    if (bits == 0) {
        forget_block(fresh);
        return -EAGAIN;
    }
    tlb_flush_range(s, 0, UINT64_MAX);
    if (bits_of(v, page_address(table), NULL) != bits) { /* vm/vmtrap_quick.c has changed one until then */
        put_back(upper, entry, table);
        forget_block(fresh);
        return -EAGAIN;
    }
    move_pages(s, table, head, bits);
    s->has_spans = true;
    if (pt_put_huge(upper, entry, table, head, bits)) {
        atomic_add_relaxed(&huge_counts.collapse_alloc, 1);
        return 0;
    }
    put_back(upper, entry, table);
    return -ENOMEM;
}

/* ---- shared memory ---- */

/* The span at VA of V has no page any more, nor a table, so that the next fault maps the run. => write lock */
static void zap_all(struct space *s, const struct vma *v, u64 va)
{
    struct tlb_batch batch;
    struct page *table;

    tlb_begin(&batch, s);
    zap_range(s, va, va + level_size(1), v, &batch);
    if (pt_find(s, va, &table) != NULL && table->table_live == 0)
        pt_prune(s, va, &batch);
    tlb_flush(&batch);
}

/* => write lock */
static int map_run(struct space *s, const struct vma *v, u64 va)
{
    bool for_stores = (v->prot & PROT_WRITE) != 0;
    struct run_hold run = {.object = v->object, .index = vma_index(v, va), .for_stores = for_stores};

    run.head = object_find_page(v->object, run.index);
    if (run.head == NULL)
        return -EAGAIN;
    page_put(run.head); /* run_hold looks whether it is that still */
    return pt_install_huge(s, va, run.head, pte_bits(v->prot) | (for_stores ? PTE_W | PTE_D : 0), 0, &run) ? 0
                                                                                                           : -EAGAIN;
}

/* => write lock */
static int collapse_shared(struct space *s, const struct vma *v, u64 va, const struct collapse_limits *limits)
{
    u64 index = vma_index(v, va);
    struct page *table;
    int error;

    if (!run_fits(v, va) || (v->prot & PROT_EXEC) || v->prot == PROT_NONE ||
        index + HUGE_PAGES > DIV_ROUND_UP(load_relaxed(&v->object->size), PAGE_SIZE))
        return -EINVAL;
    if (pt_find(s, va, &table) != NULL && (table->flags & PG_HUGE))
        return 0;
    if (run_is_watched(v->object, index, VMA_USERFAULT | (limits != NULL ? WATCHED : 0)))
        return -EINVAL;
    error = run_collapse(v->object, index, limits != NULL);
    if (error != 0)
        return error;
    zap_all(s, v, va);
    return limits != NULL ? 0 : map_run(s, v, va);
}

/* ---- either ---- */

static int try_span(struct space *s, u64 va, const struct collapse_limits *limits)
{
    int result = -EINVAL;
    struct vma *v;

    write_lock(&s->lock);
    v = vma_at(s, va);
    if (!has_span(v, va) || !suits(s, v) || (limits != NULL && !is_allowed(s, v, va)))
        result = -EINVAL;
    else if (v->object != NULL)
        result = collapse_shared(s, v, va, limits);
    else
        result = collapse_private(s, v, va, limits);
    write_unlock(&s->lock);
    return result;
}

static bool is_swapped(struct space *s, u64 va)
{
    struct page *table;
    const pte_t *pte;
    bool result;

    read_lock(&s->lock);
    pte = pt_find(s, va, &table);
    result = pte != NULL && pte_is_swap(load_relaxed(pte));
    read_unlock(&s->lock);
    return result;
}

static int bring_in(struct space *s, u64 start)
{
    for (u64 va = start; va < start + level_size(1); va += PAGE_SIZE)
        if (is_swapped(s, va) && fault_in(s, va, FAULT_READ, false) == FAULT_NO_MEMORY)
            return -ENOMEM;
    return 0;
}

/* There was no block. */
static bool make_block(const struct collapse_limits *limits)
{
    return (limits == NULL || (load_relaxed(&khugepaged_settings.defrag) && huge_has_plenty())) && compact_memory();
}

int collapse_span(struct space *s, u64 va, const struct collapse_limits *limits)
{
    int result = try_span(s, va, limits);

    if (result == -ENOMEM && make_block(limits))
        result = try_span(s, va, limits);
    for (unsigned i = 0; i < TRIES && result == SWAPPED; i++) {
        result = bring_in(s, va);
        if (result == 0)
            result = try_span(s, va, limits);
    }
    return result == SWAPPED ? -EAGAIN : result;
}

/* ---- MADV_COLLAPSE ---- */

/* [START, END) of one vma. */
static int collapse_part(struct space *s, u64 start, u64 end)
{
    u64 first = ALIGN_UP(start, level_size(1)), last = ALIGN_DOWN(end, level_size(1));
    int result = first <= last ? 0 : -EINVAL;

    for (u64 va = first; va < last && result != -ENOMEM; va += level_size(1)) {
        int error = collapse_span(s, va, NULL);

        if (error != 0)
            result = error;
        cond_resched();
    }
    return result;
}

int space_collapse(struct space *s, u64 start, u64 end)
{
    int result = 0;

    while (start < end && (result == 0 || result == -ENOMEM)) {
        const struct vma *v;
        bool is_suitable;
        u64 to;
        int error;

        read_lock(&s->lock);
        v = vma_find(s, start);
        if (v == NULL || v->start > start)
            result = -ENOMEM; /* which what lies behind the hole may outdo */
        start = v != NULL ? MAX(v->start, start) : end;
        to = v != NULL ? MIN(v->end, end) : end;
        is_suitable = v != NULL && suits(s, v);
        read_unlock(&s->lock);
        if (start >= end)
            break;
        error = is_suitable ? collapse_part(s, start, to) : -EINVAL;
        if (error != 0)
            return error;
        start = to;
    }
    return result;
}
