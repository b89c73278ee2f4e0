/* Atomic operations on plain integers, by the compiler's builtins; the suffix names the ordering. */
#ifndef LIB_ATOMIC_H
#define LIB_ATOMIC_H

#include "lib/types.h"

#define load_relaxed(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
/* Plain stores: GCC 12's builtin makes a swap of each on RISC-V. */
#define store_relaxed(p, v) (*(volatile __typeof__(*(p)) *)(p) = (v))
#define store_release(p, v) (__atomic_thread_fence(__ATOMIC_RELEASE), store_relaxed(p, v))
#define atomic_add(p, v) __atomic_add_fetch(p, v, __ATOMIC_ACQ_REL) /* returns the new value */
#define atomic_sub(p, v) __atomic_sub_fetch(p, v, __ATOMIC_ACQ_REL)
#define atomic_add_relaxed(p, v) __atomic_add_fetch(p, v, __ATOMIC_RELAXED)
#define atomic_or(p, v) __atomic_fetch_or(p, v, __ATOMIC_ACQ_REL)   /* returns the old value */
#define atomic_and(p, v) __atomic_fetch_and(p, v, __ATOMIC_ACQ_REL) /* returns the old value */
#define atomic_swap(p, v) __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL)
/* True when *P was *EXPECTED and is V now; else *EXPECTED is what *P held. The plain one orders both ways: asked for
 * acquire and release, GCC 12 derives the fence before it from the failure's order and leaves it out. */
#define CAS_ORDERED(p, expected, v, order) __atomic_compare_exchange_n(p, expected, v, false, order, order)
#define atomic_cas(p, expected, v) CAS_ORDERED(p, expected, v, __ATOMIC_SEQ_CST)
#define atomic_cas_acquire(p, expected, v) CAS_ORDERED(p, expected, v, __ATOMIC_ACQUIRE)
#define memory_barrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Takes a reference unless the count is 0 (the thing is being freed). */
static inline bool ref_get_unless_zero(u32 *count)
{
    u32 old = load_relaxed(count);

    while (old != 0)
        if (atomic_cas(count, &old, old + 1))
            return true;
    return false;
}

#endif
