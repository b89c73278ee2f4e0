/*
 * Spinlocks. The kernel is not preemptible, so a thread that holds one keeps its hart; it may not sleep. A lock that an
 * interrupt handler also takes is taken by spin_lock_irqsave everywhere. No spinlock may be held across arch_call_harts
 * (the other side may be spinning for it with interrupts off), but for those of page tables (vm/tlb.h).
 */
#ifndef SCHED_SPINLOCK_H
#define SCHED_SPINLOCK_H

#include "arch/riscv/arch.h"
#include "lib/atomic.h"
#include "lib/print.h"
#include "sched/order.h"

struct spinlock {
    u32 locked; /* 0, or something else. DEBUG: the holder's hart + 1, and from bit 16 on the number of its class (order.h) */
};

#define SPINLOCK_INIT {0}

unsigned hart_id(void); /* this hart's number; stable while interrupts are off or a spinlock is held */

#ifdef DEBUG
#define SPINLOCK_CLASS_SHIFT 16
#define SPINLOCK_HOLDER (BIT(SPINLOCK_CLASS_SHIFT) - 1)
#define spin_init(l) ((void)((l)->locked = ORDER_CLASS(#l) << SPINLOCK_CLASS_SHIFT))
/* sched/spinlock.c: panics when a hart waits for itself or without end; counts for schedule() what the thread holds. */
bool spin_trylock(struct spinlock *l);
void spin_lock(struct spinlock *l);
void spin_unlock(struct spinlock *l);
#else
#define SPINLOCK_HOLDER UINT32_MAX
static inline void spin_init(struct spinlock *l) { l->locked = 0; }
static inline bool spin_trylock(struct spinlock *l)
{
    return arch_swap_acquire(&l->locked, 1) == 0;
}
static inline void spin_lock(struct spinlock *l)
{
    while (unlikely(!spin_trylock(l)))
        while (load_relaxed(&l->locked))
            cpu_relax();
}
static inline void spin_unlock(struct spinlock *l) { store_release(&l->locked, 0); }
#endif
static inline bool spin_is_locked(const struct spinlock *l) 
{
    return (load_relaxed(&l->locked) & SPINLOCK_HOLDER) != 0;
}

static inline u64 spin_lock_irqsave(struct spinlock *l)
{
    u64 flags = irq_save();

    spin_lock(l);
    return flags;
}
static inline void spin_unlock_irqrestore(struct spinlock *l, u64 flags)
{
    spin_unlock(l);
    irq_restore(flags);
}

#endif
