/*
 * Robust lists (get_robust_list(2)): what a thread tells of the locks that it holds is walked when it leaves its space,
 * and each lock in it is marked and one waiter woken. The list is user memory and may be anything.
 *
 *     struct robust_list_head { next; long futex_offset; pending }     next, pending: bit 0 says "priority inheritance"
 */
#include "proc/futex.h"
#include "proc/internal.h"
#include "vm/uaccess.h"

#define ROBUST_LIST_LIMIT 2048

/* The word at USER, held by the dying thread, is marked, and a waiter woken. */
static int owner_died(u32 *user, bool is_pi, bool is_pending)
{
    u32 tid = (u32)task_tid(current_task()), value, seen;

    if (((u64)user & 3) != 0 || get_user_u32(&value, user) != 0)
        return -EFAULT;
    if (is_pending && !is_pi && value == 0) { /* it died between unlocking and waking */
        (void)futex_wake(user, false, 1, FUTEX_BITSET_ANY);
        return 0;
    }
    while ((value & FUTEX_TID_MASK) == tid) {
        if (cmpxchg_user_u32(user, value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &seen) != 0)
            return -EFAULT;
        if (seen == value) {
            if (is_pi)
                futex_wake_pi(user);
            else if (value & FUTEX_WAITERS)
                (void)futex_wake(user, false, 1, FUTEX_BITSET_ANY);
            return 0;
        }
        value = seen;
    }
    return 0;
}

/* The lowest bit of a list pointer tells a priority-inheritance lock. */
static int read_entry(u64 from, u64 *entry, bool *is_pi)
{
    u64 value;

    if (get_user_u64(&value, (const u64 *)from) != 0)
        return -EFAULT;
    *is_pi = value & 1;
    *entry = value & ~1ull;
    return 0;
}

static void walk_robust_list(u64 head)
{
    u64 entry, next = 0, pending, offset;
    bool is_pi, next_pi = false, pending_pi;

    if (read_entry(head, &entry, &is_pi) != 0 || get_user_u64(&offset, (const u64 *)(head + 8)) != 0 ||
        read_entry(head + 16, &pending, &pending_pi) != 0)
        return;
    for (unsigned n = 0; entry != head && n < ROBUST_LIST_LIMIT; n++) {
        int error = read_entry(entry, &next, &next_pi); /* before the lock's owner-to-be may free it */

        if (entry != pending && owner_died((u32 *)(entry + offset), is_pi, false) != 0)
            return;
        if (error != 0)
            return;
        entry = next;
        is_pi = next_pi;
        cond_resched();
    }
    if (pending != 0)
        (void)owner_died((u32 *)(pending + offset), pending_pi, true);
}

void futex_exit(struct task *t)
{
    if (t->robust_list != 0)
        walk_robust_list(t->robust_list);
    t->robust_list = 0;
    if (t->clear_child_tid != NULL && put_user_u32(0, t->clear_child_tid) == 0)
        (void)futex_wake(t->clear_child_tid, false, 1, FUTEX_BITSET_ANY);
    t->clear_child_tid = NULL;
}
