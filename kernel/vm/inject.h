/*
 * Allocations that fail on purpose, in the debug kernel: after N was written to /proc/thread-self/fail-nth the thread's
 * Nth allocation of kernel memory fails, once; the file then says 0. What the thread has yet to count is in
 * thread->fail_nth. Memory for user pages does not count, nor does what a page fault needs: it would end in the death
 * of a process. Source: Linux's Documentation/fault-injection/fault-injection.rst.
 */
#ifndef VM_INJECT_H
#define VM_INJECT_H

#if defined(DEBUG) && !defined(QUIRE_HOST)
#include "sched/thread.h"
#include "vm/page.h"

static inline bool injected_failure(unsigned alloc_flags)
{
    unsigned *left = &current->fail_nth;

    return *left != 0 && !(alloc_flags & (ALLOC_USER | ALLOC_RESERVE)) && --*left == 0;
}
/* Around what may not fail so; gives what injection_resume takes. */
static inline unsigned injection_pause(void)
{
    unsigned left = current->fail_nth;

    current->fail_nth = 0;
    return left;
}
static inline void injection_resume(unsigned left) { current->fail_nth = left; }
#else
static inline bool injected_failure(unsigned alloc_flags)
{
    (void)alloc_flags;
    return false;
}
static inline unsigned injection_pause(void) { return 0; }
static inline void injection_resume(unsigned left) { (void)left; }
#endif

#endif
