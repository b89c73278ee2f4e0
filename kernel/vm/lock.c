/*
 * Memory that stays: mlock(2), mlock2(2), mlockall(2). A locked range is brought in at once, unless it is to be locked
 * as it is used (ONFAULT), and is not evicted. Where the man page is silent, as Linux 6.12 does it.
 */
#include "lib/cred.h"
#include "lib/rlimit.h"
#include "sched/thread.h"
#include "vm/fault.h"
#include "vm/tlb.h"

#define ALL_LOCKS (VMA_LOCKED | VMA_LOCKED_ONFAULT)
#define NEVER_LOCKED (VMA_VDSO | VMA_DROPPABLE)

/* Pages of [start, end) that are locked already. => lock */
static u64 count_locked(struct space *s, u64 start, u64 end)
{
    u64 n = 0;

    for (struct vma *v = vma_find(s, start); v != NULL && v->start < end; v = v->above)
        if (v->flags & VMA_LOCKED)
            n += (MIN(v->end, end) - MAX(v->start, start)) >> PAGE_SHIFT;
    return n;
}

/* RLIMIT_MEMLOCK allows this range, or all that is mapped, to be locked. => lock, which is kept until it is: two that
 * lock at once would both find room for themselves */
static bool range_fits(struct space *s, u64 start, u64 end)
{
    return within_lock_limit(s, (end - start) >> PAGE_SHIFT) ||
           within_lock_limit(s, ((end - start) >> PAGE_SHIFT) - count_locked(s, start, end));
}
static bool all_fits(struct space *s, u64 start, u64 end)
{
    (void)start;
    (void)end;
    return s->total_pages <= rlimit_of_current(RLIMIT_MEMLOCK) >> PAGE_SHIFT || capable(current->cred, CAP_IPC_LOCK);
}

static int change_locks(struct space *s, u64 start, u64 end, u32 set)
{
    const struct flag_change change = {.set = set,
                                       .clear = ALL_LOCKS,
                                       .stops_at_hole = true,
                                       .passes = set != 0 ? NEVER_LOCKED : 0,
                                       .fits = set != 0 ? range_fits : NULL};
    int result = space_change_flags(s, start, end, &change);

    return result == -EDQUOT ? -ENOMEM : result;
}

/* Brings page VA in; a private page that may be written gets its own copy now. */
static enum fault_result bring_in(struct space *s, u64 va)
{
    enum fault_result result = FAULT_ACCERR;
    bool is_private;
    struct vma *v;

    read_lock(&s->lock);
    v = vma_at(s, va);
    is_private = v != NULL && !vma_is_shared(v);
    read_unlock(&s->lock);
    if (is_private)
        result = fault_in(s, va, FAULT_WRITE, false);
    if (result == FAULT_ACCERR)
        result = fault_in(s, va, FAULT_READ, false);
    return result == FAULT_ACCERR ? fault_in(s, va, FAULT_EXEC, false) : result;
}

/* -ENOMEM: something cannot be there (no access, past a file's end); -EAGAIN: there is no memory now. */
static int bring_in_range(struct space *s, u64 start, u64 end)
{
    for (u64 va = start; va < end; va += PAGE_SIZE) {
        switch (bring_in(s, va)) {
        case FAULT_MAPPED:
            break;
        case FAULT_NO_MEMORY:
            return fatal_signal_pending() ? -EINTR : -EAGAIN;
        default:
            return -ENOMEM;
        }
    }
    return 0;
}

int space_mlock(struct space *s, u64 address, u64 length, bool on_fault)
{
    u64 start = ALIGN_DOWN(address, PAGE_SIZE), end = start + ALIGN_UP(length + (address - start), PAGE_SIZE);
    int result;

    if (!may_lock_memory())
        return -EPERM;
    if (end < start)
        return -EINVAL;
    result = change_locks(s, start, end, on_fault ? ALL_LOCKS : VMA_LOCKED);
    return result == 0 && !on_fault ? bring_in_range(s, start, end) : result;
}

int space_munlock(struct space *s, u64 address, u64 length)
{
    u64 start = ALIGN_DOWN(address, PAGE_SIZE), end = start + ALIGN_UP(length + (address - start), PAGE_SIZE);

    if (end < start)
        return -EINVAL;
    return start == end ? 0 : change_locks(s, start, end, 0);
}

#define MCL_CURRENT 1u
#define MCL_FUTURE 2u
#define MCL_ONFAULT 4u

/* Every mapping there is gets SET, new ones FUTURE; none is in the way of others. -EDQUOT: it is too much. */
static int lock_all(struct space *s, u32 set, u32 future)
{
    const struct flag_change change = {.set = set,
                                       .clear = ALL_LOCKS,
                                       .passes = set != 0 ? NEVER_LOCKED : 0,
                                       .fits = set != 0 ? all_fits : NULL,
                                       .future = &future};

    return space_change_flags(s, 0, arch_user_address_limit(), &change);
}

static void bring_in_all(struct space *s)
{
    u64 at = 0, end;

    while (!fatal_signal_pending()) {
        struct vma *v;
        bool is_locked;

        read_lock(&s->lock);
        v = vma_find(s, at);
        at = v != NULL ? MAX(at, v->start) : 0;
        end = v != NULL ? v->end : 0;
        is_locked = v != NULL && (v->flags & ALL_LOCKS) == VMA_LOCKED;
        read_unlock(&s->lock);
        if (end == 0)
            break;
        if (is_locked)
            (void)bring_in_range(s, at, end); /* as far as it works */
        at = end;
    }
}

int space_mlockall(struct space *s, unsigned flags)
{
    u32 set = flags & MCL_ONFAULT ? ALL_LOCKS : VMA_LOCKED, future = flags & MCL_FUTURE ? set : 0;

    if (flags == 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || flags == MCL_ONFAULT)
        return -EINVAL;
    if (!may_lock_memory())
        return -EPERM;
    if (flags & MCL_CURRENT) {
        if (lock_all(s, set, future) == -EDQUOT)
            return -ENOMEM;
        bring_in_all(s);
    } else {
        write_lock(&s->lock);
        s->future_flags = future;
        write_unlock(&s->lock);
    }
    return 0;
}

void space_munlockall(struct space *s) { (void)lock_all(s, 0, 0); }
