/* Spinlocks of the debug kernel; the others are inline in spinlock.h. */
#include "sched/sched.h"

#ifdef DEBUG

#define PATIENCE_NS (20 * NSEC_PER_SEC)

bool spin_trylock(struct spinlock *l)
{
    u32 free = 0;

    if (!__atomic_compare_exchange_n(&l->locked, &free, hart_id() + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    current->spinlocks_held++;
    return true;
}

void spin_lock(struct spinlock *l)
{
    u64 start;

    if (likely(spin_trylock(l)))
        return;
    if (load_relaxed(&l->locked) == hart_id() + 1)
        panic("spinlock %p is held by the hart that wants it", (void *)l);
    start = time_ns();
    while (!spin_trylock(l))
        if (time_ns() - start > PATIENCE_NS)
            panic("spinlock %p has been held for %lu s, by hart %u", (void *)l, PATIENCE_NS / NSEC_PER_SEC,
                  l->locked - 1);
}

void spin_unlock(struct spinlock *l)
{
    ASSERT(l->locked == hart_id() + 1);
    current->spinlocks_held--;
    store_release(&l->locked, 0);
}

#endif
