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
 * The lock is let go of to hand out what was found: the space may change meanwhile, the walk goes on where it was.
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
    unsigned n, room;
    struct vmtrap_range *runs; /* NULL: they are not wanted */
    u64 first, last;           /* pages that were made clean: to be flushed */
};

/* The page at VA is dirty. False: there is no room for it. */
static inline_fn bool report(struct look *l, u64 va)
{
    struct vmtrap_range *last = l->n > 0 ? &l->runs[l->n - 1] : NULL;

    if (l->runs == NULL)
        return true;
    if (last != NULL && last->start + last->length == va) {
        last->length += PAGE_SIZE;
        return true;
    }
    if (l->n == l->room)
        return false;
    l->runs[l->n++] = (struct vmtrap_range){va, PAGE_SIZE, 0};
    return true;
}

static inline_fn void make_clean(struct look *l, pte_t *pte, pte_t e, u64 va)
{
    atomic_and(pte, ~(PTE_D | (pte_is_rewritten(e) ? PTE_UFFD_WP : 0)));
    l->first = MIN(l->first, va);
    l->last = va;
}

/* N leaf entries for pages from VA on: how many were looked at. => table locked */
static unsigned look_at(struct look *l, pte_t *pte, unsigned n, u64 va)
{
    unsigned i = 0;

    while (i < n) {
        pte_t e = load_relaxed(&pte[i]);

        if (!(e & PTE_D)) {
            for (i++; i + 4 <= n && !((pte[i] | pte[i + 1] | pte[i + 2] | pte[i + 3]) & PTE_D); i += 4)
                ;
            continue;
        }
        if (!report(l, va + i * PAGE_SIZE))
            break;
        if (l->rearm)
            make_clean(l, &pte[i], e, va + i * PAGE_SIZE);
        i++;
    }
    return i;
}

/* [*AT, end): *AT becomes where it has ended. 0, or -errno. => lock */
static int look_in_tables(struct look *l, u64 *at, u64 end)
{
    struct pt_walk w = {.space = l->space, .va = *at, .end = end};

    while (pt_step(&w)) {
        unsigned n = w.level == 0 ? pt_walk_pages(&w) : 0, done = n;

        if (n != 0 && load_relaxed(&w.table->table_live) != 0) {
            table_lock(w.table);
            done = look_at(l, w.pte, n, w.va);
            table_unlock(w.table);
        }
        *at = done == n ? w.next : w.va + done * PAGE_SIZE;
        if (done < n)
            break;
        w.va = w.next;
    }
    return w.error;
}

/* The same; -EINVAL: something is not tracked. */
static int look_in_range(struct look *l, u64 *at, u64 end)
{
    int error = 0;

    read_lock(&l->space->lock);
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
    read_unlock(&l->space->lock);
    return error;
}

static void begin(struct look *l, unsigned room)
{
    l->n = 0;
    l->room = room;
    l->first = UINT64_MAX;
    l->last = 0;
}

static void flush(struct look *l)
{
    if (l->first <= l->last)
        tlb_flush_range(l->space, l->first, l->last + PAGE_SIZE);
    l->first = UINT64_MAX;
    l->last = 0;
}

int space_clean(struct space *s, u64 start, u64 end)
{
    struct look l = {.space = s, .rearm = true};
    int error;

    begin(&l, 0);
    error = look_in_range(&l, &start, end);
    flush(&l);
    return error;
}

/* Up to ROOM runs from where D says on: -errno, or 0. */
static int look_on(struct look *l, struct vmtrap_dirty *d)
{
    struct vmtrap_range r = {0, 0, 0};
    int error = 0;

    while (error == 0 && d->range < d->n_ranges && l->n < l->room) {
        if (get_user_words(&r, d->ranges + d->range * sizeof(r), sizeof(r)) != 0)
            return -EFAULT;
        if ((r.start & PAGE_MASK) != 0 || (r.length & PAGE_MASK) != 0 || r.start + r.length < r.start ||
            (d->address & PAGE_MASK) != 0)
            return -EINVAL;
        d->address = MAX(d->address, r.start);
        error = look_in_range(l, &d->address, r.start + r.length);
        if (d->address < r.start + r.length)
            break;
        d->range++;
        d->address = 0;
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
        flush(&l);
        if (l.n != 0 && copy_to_user((void *)(d->found + n * sizeof(*runs)), runs, l.n * sizeof(*runs)) != 0)
            return -EFAULT;
        n += l.n;
    } while (error == 0 && l.n == ROOM && left > ROOM && !fatal_signal_pending());
    return n != 0 || error == 0 ? (long)n : error;
}
