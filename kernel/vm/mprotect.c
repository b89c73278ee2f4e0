/*
 * Changing protection. Every page's protection is in its own entry, so protecting part of a mapping changes entries and
 * leaves the vma alone; only a change of the larger half moves the vma's default protection, and the smaller rest gets
 * its old one written into its entries.
 *
 *      vma, default rw-   [  0   0   0   0   0   0   0   0  ]        0: the vma's default
 *      protect two        [  0   0   r   r   0   0   0   0  ]        r: a mark, or a present entry with R
 *      protect six to r   [  w   w   0   0   0   0   0   0  ]        default r--, the first two are marked rw-
 *
 * A few pages change their entries even if they are all of the vma. So the cost is that of the smaller part's entries;
 * untouched spans of 2 MiB, 1 GiB... are one entry. Source: mprotect(2).
 */
#include "lib/rlimit.h"
#include "sched/thread.h"
#include "vm/fault.h"
#include "vm/tlb.h"

/* What a protect operation does to each entry of a vma. */
struct protection {
    bool writable, shared;
    pte_t present; /* the bits of a page's entry, W left out */
    pte_t store;   /* and what it gets when a store needs no fault */
    pte_t absent;  /* an entry without a page */
    pte_t mark;    /* the same where something has to be kept */
};

static inline pte_t absent_entry(const struct vma *v, unsigned prot) { return prot == v->prot ? 0 : pte_mark(prot); }

#define PTE_KEPT (PTE_UFFD_WP | PTE_POISON) /* of a mark: what userfaultfd put there stays */

static inline struct protection protection_of(const struct vma *v, unsigned prot)
{
    return (struct protection){
        .writable = (prot & PROT_WRITE) != 0 && !(v->flags & VMA_UFFD_WP),
        .shared = vma_is_shared(v),
        .present = prot == PROT_NONE ? PTE_RESIDENT : pte_bits(prot),
        .store = vma_store_bits(v),
        .absent = absent_entry(v, prot),
        .mark = pte_mark(prot),
    };
}

/* Replaces OLD, whose D says something or may yet be set by the hardware. NEW has no W if OLD has UFFD_WP. */
static __attribute__((noinline)) void replace_racing(pte_t *pte, pte_t old, pte_t new)
{
    pte_t kept = PTE_A | PTE_D | PTE_UFFD_WP;

    while (!atomic_cas(pte, &old, (new & ~kept) | (pte_settled(old) & kept)))
        ;
}

/* What was changed in entries that TLBs may hold: bits that went, bits that came. */
struct changes {
    pte_t gone, new;
};

#define PTE_SURVIVES (PTE_PPN_MASK | PTE_A | PTE_D | PTE_UFFD_WP) /* of a page's entry */

/* Nothing can happen to E that a plain store in its place would lose. */
static inline bool is_quiet(pte_t e) { return !(e & PTE_W) || (e & (PTE_D | PTE_UFFD_WP)) == PTE_D; }

/* *PTE is OLD. => table locked. Returns what the entry is now. */
static inline __attribute__((always_inline)) pte_t protect_entry(struct page *table, pte_t *pte, pte_t old,
                                                                 const struct protection *p, struct changes *c)
{
    pte_t new = p->absent;

    if (unlikely(!pte_has_page(old))) {
        if (pte_is_swap(old))
            new = (old & ~pte_mark(PROT_ALL)) | PTE_SWAP | p->mark;
        else if (unlikely(old & PTE_KEPT))
            new = p->mark | (old & PTE_KEPT);
        pte_set(table, pte, new);
        return new;
    }
    new = (old & PTE_SURVIVES) | p->present;
    if (p->writable && ((old & PTE_W) || page_is_store_ready(p->shared, pte_page(old))))
        new |= p->store;
    if (likely(is_quiet(old)))
        store_relaxed(pte, new);
    else
        replace_racing(pte, old, new);
    c->gone |= old & ~new;
    c->new |= new & ~old;
    return new;
}

#define PTE_LOW_BITS (BIT(PTE_PPN_SHIFT) - 1)

/* *PTE becomes as one that was like it; false: it is not like it. A plain load, for the compiler to arrange: entries like
 * that one are quiet, so no more than A can come between. */
static inline bool become(pte_t *pte, pte_t low, pte_t change, const struct page *pages, bool gets_w)
{
    pte_t e = *pte;

    if ((e & PTE_LOW_BITS) != low || (gets_w && !page_is_alone(pages + pte_pfn(e))))
        return false;
    store_relaxed(pte, e ^ change);
    return true;
}

#define AT_ONCE 8

/* Entries from PTE on, up to the first that is not like them or END; returns where that is. */
static inline __attribute__((always_inline)) pte_t *become_all(pte_t *pte, const pte_t *end, pte_t low, pte_t change,
                                                               bool gets_w)
{
    const struct page *pages = page_array;

    for (; end - pte >= AT_ONCE; pte += AT_ONCE)
#pragma GCC unroll 8
        for (unsigned i = 0; i < AT_ONCE; i++)
            if (!become(pte + i, low, change, pages, gets_w))
                return pte + i;
    while (pte < end && become(pte, low, change, pages, gets_w))
        pte++;
    return pte;
}

/* An entry for a page was OLD and became NEW. Those from PTE on that were like it, and whose pages allow the same,
 * become like it in a tight loop; returns where that ends. => table locked */
static inline pte_t *protect_alike(const struct protection *p, pte_t *pte, const pte_t *end, pte_t old, pte_t new)
{
    const pte_t low = old & PTE_LOW_BITS, change = old ^ new;
    bool gets_w = (new & ~old &PTE_W) != 0;

    if (!pte_has_page(old) || !is_quiet(old) || (p->writable && !(new &PTE_W)) || (gets_w && p->shared))
        return pte;
    return gets_w ? become_all(pte, end, low, change, true) : become_all(pte, end, low, change, false);
}

/* N entries of one leaf table. */
static inline __attribute__((always_inline)) struct changes protect_leaves_here(const struct vma *v, struct page *table,
                                                                                pte_t *pte, unsigned n, unsigned prot)
{
    const struct protection p = protection_of(v, prot);
    const pte_t *end = pte + n;
    struct changes c = {0, 0};

    table_lock(table);
    while (pte < end) {
        pte_t old = load_relaxed(pte), new = protect_entry(table, pte, old, &p, &c);

        pte = protect_alike(&p, pte + 1, end, old, new);
    }
    table_unlock(table);
    return c;
}

static __attribute__((noinline)) struct changes protect_leaves(const struct vma *v, struct page *table, pte_t *pte,
                                                               unsigned n, unsigned prot)
{
    return protect_leaves_here(v, table, pte, n, prot);
}

/* PROT forbids stores, and somebody else may have forbidden them a moment ago, so that this has found nothing to do. */
static inline bool is_flush_owed(const struct space *s, unsigned prot)
{
    return !(prot & PROT_WRITE) && tlb_may_be_behind(s, true);
}

/* After changes in [start, end): what TLBs must not allow any more goes at once, on all harts; of what is newly allowed
 * only this hart hears, the others find out by a fault. */
static inline void flush_changes(struct space *s, u64 start, u64 end, struct changes c, unsigned prot)
{
    if ((c.gone & (PTE_V | PTE_R | PTE_W | PTE_X)) || is_flush_owed(s, prot))
        tlb_flush_range(s, start, end);
    else if (c.new != 0)
        tlb_flush_here(s, start, end);
}

/* The upper-level entry that W is at gets MARK, or what says PROT and keeps what has to be kept. */
static int mark_span(struct pt_walk *w, pte_t mark, unsigned prot)
{
    int locked = pt_lock_span(w);
    pte_t kept;

    if (locked <= 0)
        return locked;
    kept = *w->pte & PTE_KEPT;
    pte_set(w->table, w->pte, kept != 0 ? pte_mark(prot) | kept : mark);
    w->space->has_spans = true;
    table_unlock(w->table);
    return 0;
}

static inline void add_changes(struct changes *all, struct changes c)
{
    all->gone |= c.gone;
    all->new |= c.new;
}

/* A huge page. False: it has been split meanwhile, or a fault has made it where W wants a part of it only. */
static bool protect_huge(const struct vma *v, struct pt_walk *w, unsigned prot, struct changes *all)
{
    struct page *table;
    bool is_huge;

    table_lock(w->table);
    is_huge = pt_walk_whole(w) && pte_is_huge(*w->pte);
    if (is_huge) {
        table = pt_leaf_table(w->pte, *w->pte);
        add_changes(all, protect_leaves(v, table, page_address(table), PT_ENTRIES, prot));
        pt_follow_table(w->table, w->pte);
    }
    table_unlock(w->table);
    return is_huge;
}

/* Any range of V, table by table. */
static __attribute__((noinline)) int protect_tables(struct space *s, const struct vma *v, u64 start, u64 end,
                                                    unsigned prot)
{
    struct pt_walk w = {.space = s, .va = start, .end = end, .mode = PT_HUGE};
    struct changes all = {0, 0};
    int result = 0;

    for (; result == 0 && pt_step(&w); w.va = w.next) {
        if (w.level == 0) {
            add_changes(&all, protect_leaves_here(v, w.table, w.pte, pt_walk_pages(&w), prot));
        } else if (pte_is_huge(load_relaxed(w.pte))) {
            if (!protect_huge(v, &w, prot, &all))
                w.next = w.va;
        } else if (load_relaxed(w.pte) != absent_entry(v, prot)) {
            result = mark_span(&w, absent_entry(v, prot), prot);
        }
    }
    flush_changes(s, start, end, all, prot);
    return result != 0 ? result : w.error;
}

/* The entry of START, if all of [start, end) is in one table, and that was used lately. */
static inline pte_t *in_known_table(struct space *s, u64 start, u64 end, struct page **table)
{
    return (end - 1) >> SPAN_SHIFT == start >> SPAN_SHIFT ? pt_in_known_leaf(s, start, table) : NULL;
}

/* Entries of [start, end) in V get PROT; where they all are in one table that is known, from PTE on. */
static inline __attribute__((always_inline)) int protect_known(struct space *s, struct vma *v, u64 start, u64 end,
                                                               unsigned prot, struct page *table, pte_t *pte)
{
    struct changes c;

    if (prot != v->prot && !(load_relaxed(&v->flags) & VMA_MARKED))
        atomic_or(&v->flags, VMA_MARKED);
    if (unlikely(pte == NULL))
        return protect_tables(s, v, start, end, prot);
    c = protect_leaves_here(v, table, pte, (unsigned)((end - start) >> PAGE_SHIFT), prot);
    flush_changes(s, start, end, c, prot);
    return 0;
}

static int protect_entries(struct space *s, struct vma *v, u64 start, u64 end, unsigned prot)
{
    struct page *table = NULL;
    pte_t *pte = in_known_table(s, start, end, &table);

    return protect_known(s, v, start, end, prot, table, pte);
}

/* Untouched pages of [start, end) get V's present default written into their entries, for it is about to change. */
static int pin_default(struct space *s, struct vma *v, u64 start, u64 end)
{
    struct pt_walk w = {.space = s, .va = start, .end = end};
    pte_t mark = pte_mark(v->prot);
    int result = 0;

    if (unlikely(v->flags & VMA_TRAP)) /* what is pinned stays so: vm/vmtrap_quick.c */
        pt_forget_leaves(s);
    for (; result == 0 && pt_step(&w); w.va = w.next) {
        if (w.level > 0) {
            if (*w.pte == 0)
                result = mark_span(&w, mark, v->prot);
            continue;
        }
        table_lock(w.table);
        for (unsigned i = 0; i < pt_walk_pages(&w); i++)
            if (w.pte[i] == 0)
                pte_set(w.table, &w.pte[i], mark);
        table_unlock(w.table);
    }
    return result != 0 ? result : w.error;
}

/* => write lock */
static void set_default(struct space *s, struct vma *v, unsigned prot)
{
    vma_count_pages(s, v, false);
    v->prot = prot;
    vma_count_pages(s, v, true);
    if (unlikely(v->flags & VMA_TRAP))
        pt_forget_leaves(s); /* who remembers it: vm/vmtrap.h */
}

#define FEW_PAGES 32
#define FEW_PAGES_IN_TABLES 128

/* Changing entries is enough: few of them, or fewer than those that would have to keep the old default. */
static inline bool is_minor_part(const struct vma *v, u64 start, u64 end)
{
    u64 length = end - start;

    return length <= FEW_PAGES * PAGE_SIZE || length < (v->end - v->start) - length;
}

/* => write lock; [start, end) lies in V */
static int protect_in_vma(struct space *s, struct vma *v, u64 start, u64 end, unsigned prot)
{
    int result = 0;

    if (is_minor_part(v, start, end))
        return protect_entries(s, v, start, end, prot);
    if (start > v->start)
        result = pin_default(s, v, v->start, start);
    if (result == 0 && end < v->end)
        result = pin_default(s, v, end, v->end);
    if (start > v->start || end < v->end)
        v->flags |= VMA_MARKED;
    if (result != 0)
        return result;
    set_default(s, v, prot);
    result = protect_entries(s, v, start, end, prot);
    if (result == 0 && start == v->start && end == v->end)
        v->flags &= (u32)~VMA_MARKED;
    return result;
}

/* The same, but the vma's default says it all, so that private writable pages can be counted and limited. */
static int protect_exactly(struct space *s, struct vma *v, u64 start, u64 end, unsigned prot, struct list *removed)
{
    u64 n = (end - start) >> PAGE_SHIFT;
    int result;

    if ((prot & PROT_WRITE) && !(v->prot & PROT_WRITE) && !vma_is_shared(v)) {
        if (s->data_pages + n > rlimit_of_current(RLIMIT_DATA) >> PAGE_SHIFT)
            return -ENOMEM;
        if (!(v->flags & VMA_NORESERVE) && !may_commit(s, n))
            return -ENOMEM;
    }
    v = vma_isolate(s, v, start, end);
    if (v == NULL)
        return -ENOMEM;
    set_default(s, v, prot);
    result = protect_entries(s, v, start, end, prot);
    if (result == 0) {
        v->flags &= (u32)~VMA_MARKED;
        vma_merge_around(s, v, removed);
    }
    return result;
}

struct vma *vma_prepare_growth(struct space *s, struct vma *v, u64 start, u64 end)
{
    unsigned last;

    (void)vma_prot_end(s, v, end - PAGE_SIZE, &last);
    if (last == v->prot)
        return v;
    v = vma_isolate(s, v, start, end);
    if (v == NULL || pin_default(s, v, start, end) != 0)
        return NULL;
    set_default(s, v, last);
    return v;
}

static int protect_range(struct space *s, u64 address, u64 end, unsigned prot, unsigned grows, struct list *removed)
{
    bool grows_down = (grows & PROT_GROWSDOWN) != 0, grows_up = (grows & PROT_GROWSUP) != 0;
    struct vma *v = vma_find(s, address);

    if (grows_down) {
        if (v == NULL || v->start >= end)
            return -ENOMEM;
        if (!(v->flags & VMA_GROWSDOWN))
            return -EINVAL;
        address = v->start;
    }
    while (address < end) {
        u64 to;
        int result;

        if (v == NULL || v->start > address)
            return -ENOMEM;
        if (grows_up)
            return -EINVAL; /* nothing grows upwards */
        if (prot & ~v->max_prot)
            return -EACCES;
        if (v->flags & VMA_SEALED)
            return -EPERM;
        to = MIN(v->end, end);
        if (s->exec_gain != 0 && range_gains_exec(s, v, address, to, prot))
            return -EACCES;
        result = s->counts_exactly ? protect_exactly(s, v, address, to, prot, removed)
                                   : protect_in_vma(s, v, address, to, prot);
        if (result != 0)
            return result;
        address = to;
        v = vma_find(s, address);
    }
    return 0;
}

static inline bool may_protect(const struct vma *v, unsigned prot)
{
    return !(prot & ~v->max_prot) && !(load_relaxed(&v->flags) & VMA_SEALED);
}

static inline bool are_in_known_tables(struct space *s, u64 start, u64 end)
{
    struct page *table;

    return pt_in_known_leaf(s, start, &table) != NULL && pt_in_known_leaf(s, end - 1, &table) != NULL;
}

/* Whatever the arguments are. */
static __attribute__((noinline)) int protect_mappings(struct space *s, u64 address, u64 length, unsigned prot)
{
    unsigned grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
    u64 end = address + ALIGN_UP(length, PAGE_SIZE);
    struct list removed;
    int result;

    prot &= ~grows;
    if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || (address & PAGE_MASK) != 0)
        return -EINVAL;
    if (length == 0)
        return 0;
    if (end <= address)
        return -ENOMEM;
    if (prot & ~(PROT_ALL | PROT_SEM))
        return -EINVAL;
    list_init(&removed);
    write_lock(&s->lock);
    if (prot_effective(prot) != prot) /* entries cannot tell PROT_WRITE alone, but vmas can */
        space_count_exactly(s);
    result = protect_range(s, address, end, prot & PROT_ALL, grows, &removed);
    write_unlock(&s->lock);
    vma_free_list(&removed);
    return result;
}

/* Changing entries beside faults is enough: a minor part, or not too many that are there already. */
static inline bool is_entries_only(struct space *s, const struct vma *v, u64 start, u64 end, unsigned prot,
                                   const pte_t *pte)
{
    if (end - start <= FEW_PAGES_IN_TABLES * PAGE_SIZE && prot_effective(prot) == prot &&
        (pte != NULL || are_in_known_tables(s, start, end)))
        return true;
    return is_minor_part(v, start, end);
}

/* Most often it is a part of one mapping. => arguments are in order */
static __attribute__((noinline)) long protect_part(struct space *s, u64 address, u64 length, unsigned prot)
{
    u64 end = address + ALIGN_UP(length, PAGE_SIZE);
    struct page *table = NULL;
    bool is_part;
    struct vma *v;
    pte_t *pte;
    int result = 0;

    read_lock(&s->lock);
    v = vma_at(s, address);
    pte = in_known_table(s, address, end, &table);
    is_part = v != NULL && end <= v->end && may_protect(v, prot) && is_entries_only(s, v, address, end, prot, pte);
    if (likely(is_part))
        result = protect_known(s, v, address, end, prot, table, pte);
    read_unlock(&s->lock);
    return is_part ? result : protect_mappings(s, address, end - address, prot);
}

/* ---- one page ----
 *
 * Collectors protect and open single pages all the time. protect_page does that without calling anything, so that the
 * compiler saves no registers; whatever is not plain ends in one of these. */

static __attribute__((noinline)) long protect_locked_page(struct space *s, u64 address, unsigned prot)
{
    read_unlock(&s->lock);
    return protect_part(s, address, PAGE_SIZE, prot);
}

static __attribute__((noinline)) long protect_page_later(struct space *s, u64 address, unsigned prot)
{
    read_lock_contended(&s->lock);
    return protect_locked_page(s, address, prot);
}

static __attribute__((noinline)) long unlock_flushed(struct space *s, u64 address)
{
    tlb_flush_range(s, address, address + PAGE_SIZE);
    read_unlock(&s->lock);
    return 0;
}

static __attribute__((noinline)) long wake_writer(struct space *s)
{
    read_unlock_contended(&s->lock);
    return 0;
}

/* A page of which it is clear already that it may have PROT: what its entry becomes, 0 if that takes more than this. */
static inline pte_t plain_change(const struct vma *v, pte_t old, unsigned prot)
{
    const pte_t new = (old & PTE_SURVIVES) | (prot == PROT_NONE ? PTE_RESIDENT : pte_bits(prot));

    if (!pte_has_page(old) || !is_quiet(old))
        return 0;
    if (!(prot & PROT_WRITE))
        return new;
    return !(v->flags & VMA_UFFD_WP) && page_is_alone(pte_page(old)) ? new | vma_store_bits(v) : 0;
}

static inline __attribute__((always_inline)) long protect_page(struct space *s, u64 address, unsigned prot)
{
    struct vma *v;
    struct page *table;
    pte_t *pte, old, new;

    if (!read_lock_begin(&s->lock))
        return protect_page_later(s, address, prot);
    v = load_relaxed(&s->last_found);
    if (!vma_contains(v, address))
        v = vma_search(s, address);
    if (unlikely(!vma_contains(v, address) || !may_protect(v, prot)))
        return protect_locked_page(s, address, prot);
    pte = pt_in_known_leaf(s, address, &table);
    if (unlikely(pte == NULL || !spin_trylock((struct spinlock *)&table->table_lock)))
        return protect_locked_page(s, address, prot);
    old = load_relaxed(pte);
    new = plain_change(v, old, prot);
    if (likely(new != 0)) {
        if (prot != v->prot && !(load_relaxed(&v->flags) & VMA_MARKED))
            atomic_or(&v->flags, VMA_MARKED);
        store_relaxed(pte, new);
    }
    table_unlock(table);
    if (unlikely(new == 0))
        return protect_locked_page(s, address, prot);
    if (machine.harts > 1 && ((old & ~new &(PTE_V | PTE_R | PTE_W | PTE_X)) || is_flush_owed(s, prot)))
        return unlock_flushed(s, address);
    tlb_flush_local(s, address);
    return read_unlock_begin(&s->lock) ? 0 : wake_writer(s);
}

long space_mprotect(struct space *s, u64 address, u64 length, unsigned prot)
{
    const u64 too_far = ~(BIT(60) - 1); /* sums of what is below do not overflow */

    if (unlikely(prot > PROT_ALL || (address & PAGE_MASK) != 0 || ((address | (length - 1)) & too_far) != 0 ||
                 s->counts_exactly))
        return protect_mappings(s, address, length, prot);
    if (prot_effective(prot) != prot)
        return protect_mappings(s, address, length, prot);
    return length <= PAGE_SIZE ? protect_page(s, address, prot) : protect_part(s, address, length, prot);
}
