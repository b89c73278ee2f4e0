/*
 * Mutexes: 0 free, 1 held, 2 held and perhaps waited for. Taking a free one and releasing one that nobody waits for is
 * one atomic operation each. Who has slept takes it as 2, since others may still sleep: then the release looks at the
 * queue.
 */
#include "sched/wait.h"

bool mutex_trylock(struct mutex *m)
{
    u32 free = 0;

    if (!atomic_cas_acquire(&m->state, &free, 1))
        return false;
    store_relaxed(&m->holder, current);
    return true;
}

/* The holder runs on another hart: it will not be long. */
static bool is_holder_running(const struct mutex *m)
{
    const struct thread *holder = load_relaxed(&m->holder);

    for (unsigned i = 0; i < machine.harts; i++)
        if (holder != NULL && load_relaxed(&harts[i].current_thread) == holder)
            return true;
    return false;
}

static bool spin_a_while(struct mutex *m)
{
    for (unsigned i = 0; i < 100 && is_holder_running(m); i++)
        if (load_relaxed(&m->state) == 0 && mutex_trylock(m))
            return true;
    return false;
}

/* Not inlined, so that the usual case saves no registers. */
static __attribute__((noinline)) void lock_contended(struct mutex *m)
{
    struct waiter waiter = {.thread = current, .exclusive = true};

    ASSERT(!mutex_is_held(m));
    if (machine.harts > 1 && spin_a_while(m))
        return;
    list_init(&waiter.link);
    for (;;) {
        wait_prepare(&m->waiters, &waiter, THREAD_SLEEPING);
        if (atomic_swap(&m->state, 2) == 0)
            break;
        schedule();
    }
    wait_finish(&waiter);
    store_relaxed(&m->holder, current);
}

void mutex_lock(struct mutex *m)
{
#ifdef DEBUG
    order_take(m, m->class, __builtin_return_address(0));
#endif
    if (unlikely(!mutex_trylock(m)))
        lock_contended(m);
}

void mutex_unlock(struct mutex *m)
{
    ASSERT(mutex_is_held(m));
#ifdef DEBUG
    order_drop(m);
#endif
    store_relaxed(&m->holder, NULL);
    if (atomic_swap(&m->state, 0) == 2)
        wake_one(&m->waiters);
}
