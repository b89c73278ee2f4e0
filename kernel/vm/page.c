/*
 * The page allocator: a few free pages are kept back per hart, so that most pages come and go without a lock.
 *
 *     page_alloc <--- this hart's stack <---(empty: take 16)--- vm/buddy.c: the free pages of all harts
 *     page_free  --->   of free pages   ----(full: give 16)--->
 *
 * A second stack per hart holds pages that are known to be all zeros: an idle hart fills it, page tables come back to
 * it clean.
 *
 * A third stack is filled with a block at a time, for page tables when none comes back: else each 2 MiB of memory that
 * a program fills would have the table for it in its midst, and never be in one piece again (vm/compact.c).
 *
 * When memory runs low, vm/reclaim.c takes pages back from caches.
 *
 * Locks: the stacks of a hart by interrupts being off.
 */
#include "vm/page.h"
#include "lib/string.h"
#include "sched/sched.h"
#include "vm/buddy.h"
#include "vm/inject.h"
#include "vm/reclaim.h"

#define HART_STACK 64
#define GROUP_ORDER 5
#define ZEROED_KEEP 32 /* how many an idle hart prepares */

struct page_stack {
    u64 n;
    struct page *pages[HART_STACK];
};

struct hart_pages {
    struct page_stack free, zeroed, grouped;
};

u64 nr_anon_pages;

static struct hart_pages hart_pages[MAX_HARTS];

u64 page_free_count(void)
{
    u64 n = buddy_free_count();

    for (unsigned i = 0; i < machine.harts; i++)
        n += load_relaxed(&hart_pages[i].free.n) + load_relaxed(&hart_pages[i].zeroed.n) +
             load_relaxed(&hart_pages[i].grouped.n);
    return n;
}

/* ---- taking a page ---- */

static inline struct hart_pages *my_pages(void) { return &hart_pages[current->hart->id]; }

static inline struct page *pop(struct page_stack *s) { return s->pages[--s->n]; }

/* => interrupts off. False when the reserve must not be touched. */
static bool refill(struct hart_pages *h, unsigned alloc_flags)
{
    h->free.n += buddy_take_batch(&h->free.pages[h->free.n], alloc_flags);
    reclaim_kick();
    return h->free.n > 0;
}

/* One page off this hart's stacks, which may be filled up for it, or NULL. */
static struct page *take(unsigned alloc_flags, bool *zeroed)
{
    u64 flags = irq_save();
    struct hart_pages *h = my_pages();
    struct page *p = NULL;

    *zeroed = (alloc_flags & ALLOC_ZERO) && h->zeroed.n > 0;
    if (!*zeroed && h->free.n == 0 && !refill(h, alloc_flags))
        *zeroed = h->zeroed.n > 0;
    if (*zeroed)
        p = pop(&h->zeroed);
    else if (h->free.n > 0)
        p = pop(&h->free);
    irq_restore(flags);
    return p;
}

static noinline_fn struct page *cleared(struct page *p)
{
    clear_page(page_address(p));
    return p;
}

static inline struct page *make_ready(struct page *p, unsigned alloc_flags, bool zeroed)
{
    page_claim(p);
    return (alloc_flags & ALLOC_ZERO) && !zeroed ? cleared(p) : p;
}

/* This hart has none left. Waits for reclaim until there is a page, or no hope. */
static noinline_fn struct page *alloc_slowly(unsigned alloc_flags)
{
    bool zeroed;
    struct page *p = take(alloc_flags, &zeroed);

    for (unsigned round = 0; p == NULL; round++) {
        if ((alloc_flags & ALLOC_NO_WAIT) || !reclaim_wait(round, 0, (alloc_flags & ALLOC_USER) != 0))
            return NULL;
        p = take(alloc_flags, &zeroed);
    }
    return make_ready(p, alloc_flags, zeroed);
}

/* The usual way is short enough to need no stack. */
struct page *page_alloc(unsigned alloc_flags)
{
    bool zeroed = false;
    struct hart_pages *h;
    struct page *p;
    u64 flags;

    if (unlikely(injected_failure(alloc_flags)))
        return NULL;
    flags = irq_save();
    h = my_pages();
    if ((alloc_flags & ALLOC_ZERO) && h->zeroed.n > 0) {
        p = pop(&h->zeroed);
        zeroed = true;
    } else if (likely(h->free.n > 0)) {
        p = pop(&h->free);
    } else {
        irq_restore(flags);
        return alloc_slowly(alloc_flags);
    }
    irq_restore(flags);
    return make_ready(p, alloc_flags, zeroed);
}

/* => interrupts off. False: no block of the size, or memory is low. */
static noinline_fn bool refill_grouped(struct page_stack *s)
{
    struct page *block = buddy_take_spare(GROUP_ORDER);

    for (unsigned i = 1u << GROUP_ORDER; block != NULL && i-- > 0;)
        s->pages[s->n++] = block + i;
    return block != NULL;
}

struct page *page_alloc_grouped(void)
{
    struct page *p = NULL;
    struct hart_pages *h;
    bool zeroed = false;
    u64 flags;

    if (unlikely(injected_failure(0)))
        return NULL;
    flags = irq_save();
    h = my_pages();
    if (h->zeroed.n > 0) { /* most of these were page tables before */
        p = pop(&h->zeroed);
        zeroed = true;
    } else if (h->grouped.n > 0 || refill_grouped(&h->grouped)) {
        p = pop(&h->grouped);
    }
    irq_restore(flags);
    return p != NULL ? make_ready(p, ALLOC_ZERO, zeroed) : alloc_slowly(ALLOC_ZERO);
}

void page_make_anonymous(struct page *p)
{
    p->flags = PG_ANON;
    atomic_add_relaxed(&nr_anon_pages, 1);
}

/* ---- giving pages back ---- */

/* => interrupts off */
static noinline_fn void spill(struct page_stack *s)
{
    s->n -= BATCH_PAGES;
    buddy_put_batch(&s->pages[s->n]);
}

static inline struct page_stack *stack_for(struct hart_pages *h, const struct page *p)
{
    return p->flags & PG_ZEROED ? &h->zeroed : &h->free;
}

/* Nobody refers to P any more, S has room. => interrupts off */
static inline void push(struct page_stack *s, struct page *p)
{
    ASSERT(!(p->flags & (PG_RESERVED | PG_FREE)));
#ifdef DEBUG
    if (!(p->flags & PG_ZEROED))
        memset(page_address(p), 0xa5, PAGE_SIZE); /* poison: a reader of freed memory shall notice */
#endif
    s->pages[s->n++] = p;
    p->refs = 0;
    p->flags = 0;
}

static noinline_fn void spill_and_push(struct page_stack *s, struct page *p, u64 irq_flags)
{
    spill(s);
    push(s, p);
    irq_restore(irq_flags);
}

void page_free(struct page *p)
{
    struct page_stack *s;
    u64 flags;

    if (p->flags & PG_ANON)
        atomic_add_relaxed(&nr_anon_pages, -1ul);
    flags = irq_save();
    s = stack_for(my_pages(), p);
    if (unlikely(s->n == HART_STACK)) {
        spill_and_push(s, p, flags);
        return;
    }
    push(s, p);
    irq_restore(flags);
}

void page_put_many(struct page **pages, unsigned n)
{
    u64 n_anon = 0, flags = irq_save();
    struct hart_pages *h = my_pages();
    struct page_stack *s;

    for (struct page **at = pages + n; at > pages;) { /* the first on top: a run in memory will be used as one again */
        struct page *p = *--at;

        if (atomic_sub(&p->refs, 1) != 0)
            continue;
        n_anon += (p->flags & PG_ANON) != 0;
        s = stack_for(h, p);
        if (unlikely(s->n == HART_STACK))
            spill(s);
        push(s, p);
    }
    irq_restore(flags);
    if (n_anon != 0)
        atomic_add_relaxed(&nr_anon_pages, -n_anon);
}

static void empty_stack(struct page_stack *s)
{
    buddy_merge(s->pages, s->n);
    s->n = 0;
}

void page_drain(void)
{
    u64 flags = irq_save();

    empty_stack(&my_pages()->free);
    empty_stack(&my_pages()->zeroed);
    irq_restore(flags);
}

/* => interrupts off (the idle loop) */
bool page_zero_one(void)
{
    struct hart_pages *h = my_pages();
    struct page_stack *z = &h->zeroed;
    struct page *p;

    if (z->n >= ZEROED_KEEP || (h->free.n == 0 && !refill(h, ALLOC_USER)))
        return false;
    p = pop(&h->free);
    clear_page(page_address(p));
    memmove(&z->pages[1], &z->pages[0], z->n++ * sizeof(z->pages[0])); /* below the others: a run is used in order */
    z->pages[0] = p;
    return true;
}

/* ---- several pages that lie together ---- */

struct page *page_alloc_order(unsigned order, unsigned alloc_flags)
{
    struct page *p;

    if (order == 0)
        return page_alloc(alloc_flags);
    if (order > MAX_ORDER || injected_failure(alloc_flags))
        return NULL;
    p = buddy_take(order, alloc_flags);
    for (unsigned round = 0; p == NULL; round++) {
        if ((alloc_flags & ALLOC_NO_WAIT) || !reclaim_wait(round, order, (alloc_flags & ALLOC_USER) != 0))
            return NULL;
        p = buddy_take(order, alloc_flags);
    }
    make_ready(p, 0, false);
    if (alloc_flags & ALLOC_ZERO)
        memset(page_address(p), 0, PAGE_SIZE << order);
    return p;
}

void page_free_order(struct page *p, unsigned order)
{
    if (order == 0)
        page_free(p);
    else
        buddy_put(p, order);
}

struct page *page_alloc_huge(bool zero, u32 page_flags)
{
    struct page *head = page_alloc_order(HUGE_ORDER, ALLOC_USER | ALLOC_NO_WAIT);

    for (struct page *p = head; head != NULL && p < head + HUGE_PAGES; p++) {
        page_claim(p);
        p->flags = page_flags;
        if (zero)
            clear_page(page_address(p));
    }
    if (head != NULL && (page_flags & PG_ANON))
        atomic_add_relaxed(&nr_anon_pages, HUGE_PAGES);
    return head;
}

bool page_free_huge(struct page *head)
{
    bool is_anonymous = head->flags & PG_ANON;

    for (struct page *p = head; p < head + HUGE_PAGES; p++)
        if (load_relaxed(&p->refs) != 1)
            return false;
    memory_barrier(); /* after what others did before they gave up theirs */
    for (struct page *p = head; p < head + HUGE_PAGES; p++) {
        p->refs = 0;
        p->flags = 0;
    }
#ifdef DEBUG
    memset(page_address(head), 0xa5, PAGE_SIZE << HUGE_ORDER);
#endif
    if (is_anonymous)
        atomic_add_relaxed(&nr_anon_pages, -(u64)HUGE_PAGES);
    page_free_order(head, HUGE_ORDER);
    return true;
}
