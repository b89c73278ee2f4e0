/*
 * The page allocator: a buddy system (Knuth, TAOCP 1, 2.5) with a few pages kept back per hart.
 *
 *     page_alloc <--- this hart's stack <--(empty: take 16)--- depot: a stack <--- buddy lists,
 *     page_free  --->   of free pages   ---(full: give 16)---> of sixteens    ---> orders 0..10
 *
 * Pages go back from the depot to the lists, where they merge, when it is full or a larger block is wanted.
 *
 * A second stack per hart holds pages that are known to be all zeros: an idle hart fills it, page tables come back to
 * it clean. A free block's head page has PG_FREE and its order in `private`; the other pages of the block say nothing.
 *
 * A third stack is filled with a block at a time, for page tables when none comes back: else each 2 MiB of memory that
 * a program fills would have the table for it in its midst, and never be in one piece again (vm/compact.c).
 *
 * When memory runs low, vm/reclaim.c takes pages back from caches. The last pages are kept for those who need them
 * most: user memory may not touch the lower 1/64 of memory, ordinary kernel memory leaves 1/256 to those who free
 * memory by allocating (ALLOC_RESERVE).
 *
 * Locks: `buddy.lock` (irqsave); the stacks of a hart by interrupts being off.
 */
#include "vm/page.h"
#include "lib/string.h"
#include "sched/sched.h"
#include "vm/inject.h"
#include "vm/reclaim.h"

#define MAX_ORDER 10
#define HART_STACK 64
#define HART_BATCH_ORDER 4
#define GROUP_ORDER 5
#define HART_BATCH (1u << HART_BATCH_ORDER)
#define DEPOT_BATCHES 64
#define ZEROED_KEEP 32 /* how many an idle hart prepares */

struct page_stack {
    u64 n;
    struct page *pages[HART_STACK];
};

struct hart_pages {
    struct page_stack free, zeroed, grouped;
};

struct page *page_array;
u64 page_to_address, address_to_page;
u64 first_pfn, end_pfn;
u64 nr_anon_pages;

static struct {
    struct spinlock lock;
    struct list free[MAX_ORDER + 1];
    struct page *depot[DEPOT_BATCHES]; /* each heads HART_BATCH pages, chained by free_link.next */
    unsigned n_depot;
    u64 n_free;  /* pages, those in hart stacks not counted */
    u64 n_total; /* pages that were ever given to the allocator */
} buddy;

static struct hart_pages hart_pages[MAX_HARTS];

static bool is_free_block(u64 pfn, unsigned order)
{
    struct page *p;

    if (pfn < first_pfn || pfn + (1ul << order) > end_pfn)
        return false;
    p = pfn_page(pfn);
    return (p->flags & PG_FREE) != 0 && p->private == order;
}

/* Gives the block back, merged with its free buddies. => buddy.lock held */
static void buddy_free(u64 pfn, unsigned order)
{
    struct page *head;

    buddy.n_free += 1ul << order;
    while (order < MAX_ORDER) {
        u64 other = pfn ^ (1ul << order);

        if (!is_free_block(other, order))
            break;
        head = pfn_page(other);
        list_remove(&head->free_link);
        head->flags = 0;
        pfn &= ~(1ul << order);
        order++;
    }
    head = pfn_page(pfn);
    head->refs = 0;
    head->flags = PG_FREE;
    head->private = order;
    list_add(&buddy.free[order], &head->free_link);
}

/* => buddy.lock held; NULL when no block is large enough */
static struct page *buddy_alloc(unsigned order)
{
    unsigned have = order;
    struct page *head;
    u64 pfn;

    while (have <= MAX_ORDER && list_empty(&buddy.free[have]))
        have++;
    if (have > MAX_ORDER)
        return NULL;
    head = list_first(&buddy.free[have], struct page, free_link);
    list_remove(&head->free_link);
    head->flags = 0;
    pfn = page_pfn(head);
    while (have > order) {
        struct page *upper;

        have--;
        upper = pfn_page(pfn + (1ul << have));
        upper->refs = 0;
        upper->flags = PG_FREE;
        upper->private = have;
        list_add(&buddy.free[have], &upper->free_link);
    }
    buddy.n_free -= 1ul << order;
    return head;
}

static u64 reserve_for(unsigned alloc_flags)
{
    if (alloc_flags & ALLOC_RESERVE)
        return 0;
    if (alloc_flags & ALLOC_USER)
        return buddy.n_total / 64;
    return buddy.n_total / 256;
}

u64 page_reserve(void) { return reserve_for(ALLOC_USER); }

u64 page_free_count(void)
{
    u64 n = load_relaxed(&buddy.n_free);

    for (unsigned i = 0; i < machine.harts; i++)
        n += load_relaxed(&hart_pages[i].free.n) + load_relaxed(&hart_pages[i].zeroed.n) +
             load_relaxed(&hart_pages[i].grouped.n);
    return n;
}

u64 page_total_count(void) { return buddy.n_total; }

static struct page *next_in_batch(const struct page *p)
{
    return p->free_link.next != NULL ? container_of(p->free_link.next, struct page, free_link) : NULL;
}

/* Sixteen pages off the stack go to the depot. => buddy.lock held, room in the depot */
static void depot_put(struct page_stack *s)
{
    struct list *next = NULL;

    for (unsigned i = 0; i < HART_BATCH; i++) {
        struct page *p = s->pages[--s->n];

        p->free_link.next = next;
        next = &p->free_link;
    }
    buddy.depot[buddy.n_depot++] = container_of(next, struct page, free_link);
    buddy.n_free += HART_BATCH;
}

/* => buddy.lock held, the depot is not empty */
static void depot_take(struct page_stack *s)
{
    for (struct page *p = buddy.depot[--buddy.n_depot]; p != NULL; p = next_in_batch(p))
        s->pages[s->n++] = p;
    buddy.n_free -= HART_BATCH;
}

/* All batches but the KEEP newest go back to the lists. => buddy.lock held */
static void depot_drain(unsigned keep)
{
    unsigned n = buddy.n_depot - keep;

    for (unsigned i = 0; i < n; i++) {
        struct page *next;

        buddy.n_free -= HART_BATCH;
        for (struct page *p = buddy.depot[i]; p != NULL; p = next) {
            next = next_in_batch(p);
            buddy_free(page_pfn(p), 0);
        }
    }
    for (unsigned i = 0; i < keep; i++)
        buddy.depot[i] = buddy.depot[i + n];
    buddy.n_depot = keep;
}

/* => interrupts off. False when the reserve must not be touched. */
static bool refill(struct hart_pages *h, unsigned alloc_flags)
{
    spin_lock(&buddy.lock);
    if (buddy.n_free > reserve_for(alloc_flags)) {
        struct page *block, *p;

        if (buddy.n_depot > 0)
            depot_take(&h->free);
        else if ((block = buddy_alloc(HART_BATCH_ORDER)) != NULL)
            for (unsigned i = HART_BATCH; i-- > 0;) /* the lowest on top: a fresh run of pages is used in order */
                h->free.pages[h->free.n++] = block + i;
        else if ((p = buddy_alloc(0)) != NULL)
            h->free.pages[h->free.n++] = p;
    }
    spin_unlock(&buddy.lock);
    reclaim_kick();
    return h->free.n > 0;
}

void page_make_anonymous(struct page *p)
{
    p->flags = PG_ANON;
    atomic_add_relaxed(&nr_anon_pages, 1);
}

struct page *page_alloc_huge(bool zero, u32 page_flags)
{
    struct page *head = page_alloc_order(HUGE_ORDER, ALLOC_USER | ALLOC_NO_WAIT);

    for (struct page *p = head; head != NULL && p < head + HUGE_PAGES; p++) {
        p->refs = 1;
        p->flags = page_flags;
        p->object = NULL;
        p->index = 0;
        p->private = 0;
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

/* PAGE was free, and is the caller's. */
static void claim(struct page *page)
{
    page->refs = 1;
    page->flags = 0;
    page->object = NULL;
    page->index = 0;
    page->private = 0;
}

unsigned page_claim_free(u64 first, u64 *claimed)
{
    u64 flags = spin_lock_irqsave(&buddy.lock);
    unsigned n = 0;

    for (unsigned i = 0; i < HUGE_PAGES;) {
        struct page *head = pfn_page(first + i);
        u64 order = head->private;

        if (!(head->flags & PG_FREE) || order >= HUGE_ORDER) {
            i++;
            continue;
        }
        list_remove(&head->free_link);
        buddy.n_free -= 1ul << order;
        n += 1u << order;
        for (unsigned end = i + (1u << order); i < end; i++) {
            claim(pfn_page(first + i));
            claimed[i / 64] |= 1ul << i % 64;
        }
    }
    spin_unlock_irqrestore(&buddy.lock, flags);
    return n;
}

static inline struct hart_pages *my_pages(void) { return &hart_pages[current->hart->id]; }

static inline struct page *pop(struct page_stack *s) { return s->pages[--s->n]; }

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
    p->refs = 1;
    p->flags = 0;
    p->object = NULL;
    p->index = 0;
    p->private = 0;
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
    struct page *block = NULL;

    spin_lock(&buddy.lock);
    if (buddy.n_free > reserve_for(ALLOC_USER) + HART_STACK)
        block = buddy_alloc(GROUP_ORDER);
    spin_unlock(&buddy.lock);
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

static struct page *take_order(unsigned order, unsigned alloc_flags)
{
    struct page *p = NULL;
    u64 flags = spin_lock_irqsave(&buddy.lock);

    if (buddy.n_free > reserve_for(alloc_flags) + (1ul << order))
        p = buddy_alloc(order);
    if (p == NULL && buddy.n_depot > 0) {
        depot_drain(0);
        p = buddy.n_free > reserve_for(alloc_flags) + (1ul << order) ? buddy_alloc(order) : NULL;
    }
    spin_unlock_irqrestore(&buddy.lock, flags);
    return p;
}

struct page *page_alloc_order(unsigned order, unsigned alloc_flags)
{
    struct page *p;

    if (order == 0)
        return page_alloc(alloc_flags);
    if (order > MAX_ORDER || injected_failure(alloc_flags))
        return NULL;
    p = take_order(order, alloc_flags);
    for (unsigned round = 0; p == NULL; round++) {
        if ((alloc_flags & ALLOC_NO_WAIT) || !reclaim_wait(round, order, (alloc_flags & ALLOC_USER) != 0))
            return NULL;
        p = take_order(order, alloc_flags);
    }
    make_ready(p, 0, false);
    if (alloc_flags & ALLOC_ZERO)
        memset(page_address(p), 0, PAGE_SIZE << order);
    return p;
}

/* => interrupts off */
static noinline_fn void spill(struct page_stack *s)
{
    spin_lock(&buddy.lock);
    if (buddy.n_depot == DEPOT_BATCHES)
        depot_drain(DEPOT_BATCHES / 2);
    depot_put(s);
    spin_unlock(&buddy.lock);
}

static void empty_stack(struct page_stack *s)
{
    while (s->n > 0)
        buddy_free(page_pfn(s->pages[--s->n]), 0);
}

void page_drain(void)
{
    u64 flags = spin_lock_irqsave(&buddy.lock);

    depot_drain(0);
    empty_stack(&my_pages()->free);
    empty_stack(&my_pages()->zeroed);
    spin_unlock_irqrestore(&buddy.lock, flags);
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

void page_free_order(struct page *p, unsigned order)
{
    u64 flags;

    if (order == 0) {
        page_free(p);
        return;
    }
    flags = spin_lock_irqsave(&buddy.lock);
    buddy_free(page_pfn(p), order);
    spin_unlock_irqrestore(&buddy.lock, flags);
}

/* => interrupts off (the idle loop) */
bool page_zero_one(void)
{
    struct hart_pages *h = &hart_pages[current->hart->id];
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

static bool overlaps(const struct phys_range *r, u64 start, u64 end) { return r->start < end && start < r->end; }

/* The end of the part of [pfn, end_pfn) that begins at PFN and is all reserved or all free; *FREE says which. */
static u64 run_end(u64 pfn, const struct phys_range *reserved, unsigned n, bool *is_free)
{
    u64 at = pfn << PAGE_SHIFT, end = end_pfn << PAGE_SHIFT;

    *is_free = true;
    for (unsigned i = 0; i < n; i++) {
        if (overlaps(&reserved[i], at, at + PAGE_SIZE)) {
            *is_free = false;
            return MIN(ALIGN_UP(reserved[i].end, PAGE_SIZE), end) >> PAGE_SHIFT;
        }
        if (reserved[i].start > at && reserved[i].start < end)
            end = ALIGN_DOWN(reserved[i].start, PAGE_SIZE);
    }
    return end >> PAGE_SHIFT;
}

/* A free place for SIZE bytes of descriptors: behind the reserved ranges, as high as needed. */
static u64 place_descriptors(struct phys_range ram, u64 size, const struct phys_range *reserved, unsigned n)
{
    u64 at = ALIGN_UP(ram.start, PAGE_SIZE);

    for (unsigned i = 0; i < n;) {
        if (overlaps(&reserved[i], at, at + size)) {
            at = ALIGN_UP(reserved[i].end, PAGE_SIZE);
            i = 0;
        } else {
            i++;
        }
    }
    if (at + size > ram.end)
        panic("no room for page descriptors in %lu MiB of memory", (ram.end - ram.start) / MIB);
    return at;
}

static void free_run(u64 pfn, u64 end)
{
    while (pfn < end) {
        unsigned order = MAX_ORDER;

        while (!IS_ALIGNED(pfn, 1ul << order) || pfn + (1ul << order) > end)
            order--;
        buddy_free(pfn, order);
        buddy.n_total += 1ul << order;
        pfn += 1ul << order;
    }
}

void page_init(struct phys_range ram, const struct phys_range *reserved, unsigned n_reserved)
{
    struct phys_range all[16];
    u64 size, at;
    bool is_free;

    ASSERT_ALWAYS(n_reserved < ARRAY_SIZE(all));
    first_pfn = DIV_ROUND_UP(ram.start, PAGE_SIZE);
    end_pfn = ram.end >> PAGE_SHIFT;
    size = ALIGN_UP((end_pfn - first_pfn) * sizeof(struct page), PAGE_SIZE);
    at = place_descriptors(ram, size, reserved, n_reserved);
    page_set_array((struct page *)phys_to_virt(at) - first_pfn);
    memset(pfn_page(first_pfn), 0, size);
    memcpy(all, reserved, n_reserved * sizeof(all[0]));
    all[n_reserved] = (struct phys_range){at, at + size};

    for (unsigned i = 0; i <= MAX_ORDER; i++)
        list_init(&buddy.free[i]);
    for (u64 pfn = first_pfn; pfn < end_pfn;) {
        u64 end = run_end(pfn, all, n_reserved + 1, &is_free);

        if (is_free)
            free_run(pfn, end);
        else
            for (u64 i = pfn; i < end; i++)
                pfn_page(i)->flags = PG_RESERVED;
        pfn = end;
    }
}
