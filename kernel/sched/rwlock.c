/*
 * Reader-writer locks.
 *
 *     state:  | 31: a writer holds it | 30..16: waiting writers | 15..0: readers |
 *
 * A reader gets in while the upper half is 0; a writer when all but the waiting writers is. Whoever makes a change that
 * lets others in wakes the readers at the queue's front and one writer; those who find that they may not after all go
 * back to sleep.
 */
#include "sched/wait.h"

#define READER 1u
#define READERS RWLOCK_READERS
#define WAITING_WRITER 0x10000u
#define WAITING_WRITERS RWLOCK_WAITING
#define WRITER RWLOCK_WRITER

/* In as a reader, if nobody has one of the bits OUT. */
static bool try_to_read(struct rwlock *l, u32 out)
{
    u32 old = load_relaxed(&l->state);

    while ((old & out) == 0)
        if (__atomic_compare_exchange_n(&l->state, &old, old + READER, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    return false;
}

bool read_trylock(struct rwlock *l) { return try_to_read(l, WRITER | WAITING_WRITERS); }

bool read_trylock_first(struct rwlock *l) { return try_to_read(l, WRITER); }

void read_lock_contended(struct rwlock *l)
{
    if (!read_unlock_begin(l))
        read_unlock_contended(l);
    wait_event(&l->waiters, read_trylock(l));
}

/* The last reader is gone and a writer waits. */
void read_unlock_contended(struct rwlock *l) { wake_one(&l->waiters); }

bool write_trylock(struct rwlock *l)
{
    u32 free = 0;

    return atomic_cas_acquire(&l->state, &free, WRITER);
}

/* As trylock, for one who is counted among the waiting writers. */
static bool take_as_waiter(struct rwlock *l)
{
    u32 old = load_relaxed(&l->state);

    while ((old & (WRITER | READERS)) == 0)
        if (atomic_cas_acquire(&l->state, &old, (old - WAITING_WRITER) | WRITER))
            return true;
    return false;
}

void write_lock_contended(struct rwlock *l)
{
    struct waiter waiter = {.thread = current, .exclusive = true};

    list_init(&waiter.link);
    atomic_add(&l->state, WAITING_WRITER);
    for (;;) {
        wait_prepare(&l->waiters, &waiter, THREAD_SLEEPING);
        if (take_as_waiter(l))
            break;
        schedule();
    }
    wait_finish(&waiter);
}

void write_unlock_contended(struct rwlock *l) { wake_one(&l->waiters); }

void write_downgrade(struct rwlock *l)
{
    atomic_sub(&l->state, WRITER - READER);
    wake_one(&l->waiters);
}
