/*
 * Which pages were stored to: runs of them in ranges that are armed with VMTRAP_TRACK, and all of them clean again, in
 * one call and with one flush.
 *
 * The hardware's D bit tells, as for clear_refs (vm/pagemap.c), so no store faults because of it; tracked vmas are
 * VMA_TRACKED, whose entries get D from stores alone. Who uses both, clear_refs and this, finds that each makes clean
 * for the other, too.
 *
 *     entries, D:   . . D D . D . .       found:  [ 2, 3 ] [ 5 ]        rearm:  D goes, TLBs are flushed, then the
 *                                                                       caller hears of it
 *
 * A store that finds D still in a TLB, between the look and the flush, is one to a page that is in the list, and comes
 * before the call's end.
 *
 * The lock is let go of to hand out what was found: the space may change meanwhile, the walk goes on where it was. The
 * flush comes before that (vm/tlb.h).
 */
#include "lib/string.h"
#include "quire/vmtrap.h"
#include "sched/thread.h"
#include "vm/tlb.h"
#include "vm/uaccess.h"
#include "vm/vmtrap.h"

#define ROOM 64 /* runs at a time */

struct look {
    struct space *space;
    bool rearm;
    struct vmtrap_range *runs; /* NULL: they are not wanted */
    unsigned n, room;
    u64 first, last; /* pages that were made clean: to be flushed before the lock is let go of */
};

#define NO_END 1 /* no page begins there */

/* A look at the entries of one table. */
struct scan {
    u64 bias;                        /* a page's address less that of its entry, scaled */
    bool wanted, rearm;              /* as in struct look */
    struct vmtrap_range *run, *full; /* where the next run goes; the end of the room */
    u64 run_end;                     /* where the run before that one ends */
    u64 first, last;                 /* pages that were made clean */
};

/* Entry E at PTE has D: its page is another run, or more of the one before. False: there is no room for it. => table
 * locked */
static inline_fn bool take(struct scan *s, pte_t *pte, pte_t e)
{
    u64 at = s->bias + ((u64)pte << (PAGE_SHIFT - 3));

    if (s->wanted) {
        if (unlikely(s->run == s->full)) /* it may belong to the last run, but comes the next time */
            return false;
        if (at == s->run_end)
            s->run[-1].length += PAGE_SIZE;
        else
            *s->run++ = (struct vmtrap_range){at, PAGE_SIZE, 0};
        s->run_end = at + PAGE_SIZE;
    }
    if (s->rearm) {
        (void)__atomic_fetch_and(pte, ~(PTE_D | (pte_is_rewritten(e) ? PTE_UFFD_WP : 0)), __ATOMIC_RELAXED);
        if (s->first == UINT64_MAX)
            s->first = at;
        s->last = at;
    }
    return true;
}

/* Returns the first of [pte, end) that there was no room for, or END. The loads are plain ones, for the compiler to
 * arrange: only the hardware changes entries meanwhile, and it does no more than set A and D. => table locked */
static inline_fn pte_t *scan(struct scan *s, pte_t *pte, const pte_t *end)
{
    for (const pte_t *stop = pte + ((end - pte) & -4); pte < stop; pte += 4) {
        const pte_t e[4] = {pte[0], pte[1], pte[2], pte[3]};

        if (likely(!((e[0] | e[1] | e[2] | e[3]) & PTE_D)))
            continue;
#pragma GCC unroll 4
        for (unsigned i = 0; i < 4; i++)
            if ((e[i] & PTE_D) && !take(s, &pte[i], e[i]))
                return &pte[i];
    }
    for (; pte < end; pte++)
        if ((*pte & PTE_D) && !take(s, pte, *pte))
            break;
    return pte;
}

/* N leaf entries for pages from VA on: where the look has ended. => table locked */
static noinline_fn u64 look_at(struct look *l, pte_t *entries, unsigned n, u64 va)
{
    struct vmtrap_range *run = l->runs + l->n;
    struct scan s = {.bias = va - ((u64)entries << (PAGE_SHIFT - 3)),
                     .wanted = l->runs != NULL,
                     .rearm = l->rearm,
                     .run = run,
                     .full = l->runs + l->room,
                     .run_end = l->n != 0 ? run[-1].start + run[-1].length : NO_END,
                     .first = l->first,
                     .last = l->last};
    pte_t *end = scan(&s, entries, entries + n);

    l->first = s.first;
    l->last = s.last;
    if (s.wanted)
        l->n = (unsigned)(s.run - l->runs);
    return va + ((u64)(end - entries) << PAGE_SHIFT);
}

/* [*AT, end): *AT becomes where it has ended. 0, or -errno. => lock */
static int look_in_tables(struct look *l, u64 *at, u64 end)
{
    struct pt_walk w = {.space = l->space, .va = *at, .end = end};

    while (pt_step(&w)) {
        *at = w.next;
        if (w.level == 0 && load_relaxed(&w.table->table_live) != 0) {
            table_lock(w.table);
            *at = look_at(l, w.pte, pt_walk_pages(&w), w.va);
            table_unlock(w.table);
        }
        if (*at < w.next)
            break;
        w.va = w.next;
    }
    return w.error;
}

/* The same in any vmas; -EINVAL: something is not tracked. => lock */
static int look_in_range(struct look *l, u64 *at, u64 end)
{
    int error = 0;

    while (error == 0 && *at < end) {
        const struct vma *v = vma_at(l->space, *at);
        u64 stop = v != NULL ? MIN(end, v->end) : 0;

        if (v == NULL)
            error = -ENOMEM;
        else if (!(v->trap & VMTRAP_TRACK))
            error = -EINVAL;
        else
            error = look_in_tables(l, at, stop);
        if (*at < stop)
            break;
    }
    return error;
}

static void begin(struct look *l, unsigned room)
{
    l->n = 0;
    l->room = room;
    l->first = UINT64_MAX;
    l->last = 0;
}

/* => lock */
static inline_fn void flush(struct look *l)
{
    if (l->rearm && tlb_may_be_behind(l->space, true)) /* somebody else has made pages clean just now */
        tlb_flush_range(l->space, 0, UINT64_MAX);
    else if (l->first <= l->last)
        tlb_flush_range(l->space, l->first, l->last + PAGE_SIZE);
    l->first = UINT64_MAX;
    l->last = 0;
}

int space_clean(struct space *s, u64 start, u64 end)
{
    struct look l = {.space = s, .rearm = true};
    int error;

    begin(&l, 0);
    read_lock(&s->lock);
    error = look_in_range(&l, &start, end);
    flush(&l);
    read_unlock(&s->lock);
    return error;
}

static bool is_in_order(const struct vmtrap_range *r)
{
    return ((r->start | r->length) & PAGE_MASK) == 0 && r->start + r->length >= r->start;
}

/* Up to ROOM runs from where D says on, in the N ranges at R: -errno, or 0. => lock */
static int look_in_ranges(struct look *l, struct vmtrap_dirty *d, const struct vmtrap_range *r, u64 n)
{
    int error = 0;

    for (const struct vmtrap_range *last = r + n; error == 0 && r < last && l->n < l->room; r++) {
        if (!is_in_order(r) || (d->address & PAGE_MASK) != 0)
            return -EINVAL;
        d->address = MAX(d->address, r->start);
        error = look_in_range(l, &d->address, r->start + r->length);
        if (d->address < r->start + r->length)
            break;
        d->range++;
        d->address = 0;
    }
    return error;
}

#define FETCHED 8 /* ranges at a time, for which one flush is enough */

static int look_on(struct look *l, struct vmtrap_dirty *d)
{
    struct vmtrap_range r[FETCHED];
    int error = 0;

    while (error == 0 && d->range < d->n_ranges && l->n < l->room) {
        u64 from = d->ranges + d->range * sizeof(*r), n = MIN(d->n_ranges - d->range, (u64)FETCHED), next;

        if (n == 1 || copy_from_user(r, (const void *)from, n * sizeof(*r)) != 0) {
            n = 1;
            if (get_user_words(r, from, sizeof(*r)) != 0)
                return -EFAULT;
        }
        next = d->range + n;
        read_lock(&l->space->lock);
        error = look_in_ranges(l, d, r, n);
        flush(l);
        read_unlock(&l->space->lock);
        if (d->range < next)
            break;
    }
    return error;
}

long space_dirty(struct space *s, struct vmtrap_dirty *d)
{
    struct vmtrap_range runs[ROOM];
    struct look l = {.space = s, .rearm = (d->flags & VMTRAP_REARM) != 0, .runs = runs};
    u64 n = 0, left;
    int error = 0;

    if ((d->flags & ~(u64)VMTRAP_REARM) || d->range > d->n_ranges || d->max > INT64_MAX / sizeof(*runs))
        return -EINVAL;
    do {
        left = d->max - n;
        begin(&l, (unsigned)MIN(left, (u64)ROOM));
        error = look_on(&l, d);
        if (l.n != 0 && copy_to_user((void *)(d->found + n * sizeof(*runs)), runs, l.n * sizeof(*runs)) != 0)
            return -EFAULT;
        n += l.n;
    } while (error == 0 && l.n == ROOM && left > ROOM && !fatal_signal_pending());
    return n != 0 || error == 0 ? (long)n : error;
}
