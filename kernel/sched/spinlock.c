/* Spinlocks of the debug kernel; the others are inline in spinlock.h. */
#include "sched/sched.h"

#ifdef DEBUG

#define PATIENCE_NS (20 * NSEC_PER_SEC)

static u32 holder(const struct spinlock *l) { return load_relaxed(&l->locked) & SPINLOCK_HOLDER; }

/* An interrupt handler may come between, but leaves the number as it was. */
static void count_held(int change)
{
    store_relaxed(&current->spinlocks_held, load_relaxed(&current->spinlocks_held) + (u32)change);
}

bool spin_trylock(struct spinlock *l)
{
    u32 class = load_relaxed(&l->locked) & ~(u32)SPINLOCK_HOLDER, free = class;

    if (!__atomic_compare_exchange_n(&l->locked, &free, class | (hart_id() + 1), false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return false;
    count_held(1);
    return true;
}

void spin_lock(struct spinlock *l)
{
    u64 start;

    if (unlikely(load_relaxed(&l->locked) >> SPINLOCK_CLASS_SHIFT == 0))
        atomic_or(&l->locked, order_of_static(l) << SPINLOCK_CLASS_SHIFT);
    order_take_spin(l, load_relaxed(&l->locked) >> SPINLOCK_CLASS_SHIFT, __builtin_return_address(0));
    if (likely(spin_trylock(l)))
        return;
    if (holder(l) == hart_id() + 1)
        panic("spinlock %p is held by the hart that wants it", (void *)l);
    start = time_ns();
    while (!spin_trylock(l))
        if (time_ns() - start > PATIENCE_NS)
            panic("spinlock %p has been held for %lu s, by hart %u", (void *)l, PATIENCE_NS / NSEC_PER_SEC,
                  holder(l) - 1);
}

void spin_unlock(struct spinlock *l)
{
    ASSERT(holder(l) == hart_id() + 1);
    count_held(-1);
    order_drop(l);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    atomic_and(&l->locked, ~(u32)SPINLOCK_HOLDER); /* somebody may be giving it its class */
}

#endif
