/*
 * Reading what others may take away, without locks and references. A hart says that it reads, and takes nothing; who
 * frees something that readers may stand on takes it out of their sight first, and then waits until each other hart has
 * left the reading it was in.
 *
 *      reader:  reading_begin() ... follows pointers, takes references that it may still get ... reading_end()
 *      other:   unlinks it, reading_wait(), frees it
 *
 * Readings are short, do not sleep and do not nest, and wait for nobody: what is freed may be freed under any lock that
 * neither they nor interrupt handlers take. The kernel is not preemptible, so a reader keeps its hart. Pointers that
 * readers follow are published with store_release; what they load through a pointer comes after the pointer (addresses
 * that depend on a load are ordered behind it on RISC-V), so they need no barriers.
 */
#ifndef SCHED_READING_H
#define SCHED_READING_H

#include "sched/sched.h"

/* Each beginning and each end counts: odd while the hart reads. */
static inline void reading_begin(void)
{
    struct hart *hart = this_hart();

    ASSERT((hart->readings & 1) == 0);
    store_relaxed(&hart->readings, hart->readings + 1);
    memory_barrier(); /* it is seen before anything is read; pairs with reading_wait's */
}

static inline void reading_end(void)
{
    struct hart *hart = this_hart();

    ASSERT((hart->readings & 1) == 1);
    store_release(&hart->readings, hart->readings + 1);
}

#ifdef QUIRE_HOST
static inline void reading_wait(void) {}
#else
static inline void reading_wait(void)
{
    struct hart *self = this_hart();

    memory_barrier();
    for (struct hart *hart = harts; hart < harts + machine.harts; hart++) {
        u64 before = load_acquire(&hart->readings);

        if (hart != self && unlikely((before & 1) != 0))
            while (load_acquire(&hart->readings) == before)
                cpu_relax();
    }
}
#endif

#endif
