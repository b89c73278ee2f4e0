/*
 * Wait queues, and sleeping locks built on them.
 *
 *   wait_event(&pipe->readers, pipe_has_data(pipe));    the waker changes the condition, then wake_all(&pipe->readers)
 *
 * Conditions are evaluated without the queue's lock, possibly many times, and must not sleep. A waiter is also how poll
 * learns of events: its `wake` function runs under the queue's lock, in interrupts too.
 */
#ifndef SCHED_WAIT_H
#define SCHED_WAIT_H

#include "lib/errno.h"
#include "sched/sched.h"

struct wait_queue {
    struct spinlock lock; /* irqsave */
    struct list waiters;
};
#define WAIT_QUEUE_INIT(q) {SPINLOCK_INIT, LIST_INIT((q).waiters)}

struct waiter {
    struct list link;
    struct wait_queue *queue;
    struct thread *thread;
    bool exclusive;                       /* wake_one stops after one of these */
    void (*wake)(struct waiter *waiter); /* NULL: wake `thread` */
};

#define NO_DEADLINE UINT64_MAX

static inline void(wait_queue_init)(struct wait_queue *q)
{
    spin_init(&q->lock);
    list_init(&q->waiters);
}
#ifdef DEBUG
#define wait_queue_init(q) ((wait_queue_init)(q), spin_init(&(q)->lock))
#endif
/* Enqueues W, unless it is already, and sets the own state. */
void wait_prepare(struct wait_queue *q, struct waiter *w, enum thread_state state);
void wait_finish(struct waiter *w);                    /* dequeue, state RUNNABLE */
void wait_add(struct wait_queue *q, struct waiter *w); /* enqueue only, for poll */
/* Sleeps until woken or the monotonic clock reaches DEADLINE (ns): 0 or -ETIMEDOUT. */
int schedule_until(u64 deadline);
int schedule_until_wall(u64 wall); /* the same on the wall clock, which may be set meanwhile */
/* A moment on one of the two; or never (NO_DEADLINE). */
struct deadline {
    u64 at;
    bool on_wall_clock;
};
#define NO_MOMENT ((struct deadline){NO_DEADLINE, false})
static inline int schedule_until_moment(struct deadline d)
{
    return d.on_wall_clock && d.at != NO_DEADLINE ? schedule_until_wall(d.at) : schedule_until(d.at);
}
void wake_all(struct wait_queue *q);
void wake_one(struct wait_queue *q);
static inline bool wait_queue_is_idle(const struct wait_queue *q) { return list_seems_empty(&q->waiters); }

/* 0; -EINTR if STATE allows signals and one is pending; or what SLEEP came to, say -ETIMEDOUT. The condition wins over
 * both. */
#define wait_event_asleep(q, cond, thread_state_, sleep)                                                               \
    ({                                                                                                                 \
        int wait_result_ = 0;                                                                                          \
        if (!(cond)) {                                                                                                 \
            struct waiter waiter_ = {.thread = current};                                                               \
            list_init(&waiter_.link);                                                                                  \
            for (;;) {                                                                                                 \
                wait_prepare(q, &waiter_, thread_state_);                                                              \
                if (cond) {                                                                                            \
                    wait_result_ = 0;                                                                                  \
                    break;                                                                                             \
                }                                                                                                      \
                if (wait_result_ == 0)                                                                                 \
                    wait_result_ = wait_interrupted(thread_state_);                                                    \
                if (wait_result_ != 0)                                                                                 \
                    break;                                                                                             \
                wait_result_ = sleep;                                                                                  \
            }                                                                                                          \
            wait_finish(&waiter_);                                                                                     \
        }                                                                                                              \
        wait_result_;                                                                                                  \
    })
#define wait_event_state(q, cond, thread_state_, deadline)                                                             \
    wait_event_asleep(q, cond, thread_state_, schedule_until(deadline))
static inline int wait_interrupted(enum thread_state state)
{
    if (state == THREAD_INTERRUPTIBLE && signal_pending())
        return -EINTR;
    if (state == THREAD_KILLABLE && fatal_signal_pending())
        return -EINTR;
    return 0;
}
#define wait_event(q, cond) ((void)wait_event_state(q, cond, THREAD_SLEEPING, NO_DEADLINE))
#define wait_event_killable(q, cond) wait_event_state(q, cond, THREAD_KILLABLE, NO_DEADLINE)
#define wait_event_interruptible(q, cond) wait_event_state(q, cond, THREAD_INTERRUPTIBLE, NO_DEADLINE)
#define wait_event_deadline(q, cond, deadline) wait_event_state(q, cond, THREAD_INTERRUPTIBLE, deadline)
#define wait_event_until(q, cond, moment)                                                                              \
    wait_event_asleep(q, cond, THREAD_INTERRUPTIBLE, schedule_until_moment(moment))

/* A sleeping lock. */
struct mutex {
    u32 state; /* 0 free, 1 held, 2 held and perhaps waited for */
    struct wait_queue waiters;
    struct thread *holder;
#ifdef DEBUG
    unsigned class; /* order.h */
#endif
};
#define MUTEX_INIT(m) {.waiters = WAIT_QUEUE_INIT((m).waiters)}
static inline void(mutex_init)(struct mutex *m)
{
    m->state = 0;
    m->holder = NULL;
    wait_queue_init(&m->waiters);
}
#ifdef DEBUG
#define mutex_init(m) ((mutex_init)(m), (void)((m)->class = ORDER_CLASS(#m)))
#endif
void mutex_lock(struct mutex *m);
bool mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);
static inline bool mutex_is_held(const struct mutex *m) { return load_relaxed(&m->holder) == current; }

/* Many readers or one writer, sleeping; a waiting writer holds new readers back. A reader may not read-lock twice.
 * Uncontended: one atomic operation to lock, one to unlock. */
struct rwlock {
    u32 state; /* readers, plus flags; see sched/rwlock.c */
    struct wait_queue waiters;
#ifdef DEBUG
    unsigned class; /* order.h */
#endif
};
#define RWLOCK_INIT(l) {.waiters = WAIT_QUEUE_INIT((l).waiters)}
#define RWLOCK_READERS 0xffffu
#define RWLOCK_WAITING 0x7fff0000u
#define RWLOCK_WRITER 0x80000000u
static inline void(rwlock_init)(struct rwlock *l)
{
    l->state = 0;
    wait_queue_init(&l->waiters);
}
#ifdef DEBUG
#define rwlock_init(l) ((rwlock_init)(l), (void)((l)->class = ORDER_CLASS(#l)))
#define RWLOCK_TAKE(l) order_take(l, (l)->class, NULL)
#define RWLOCK_DROP(l) order_drop(l)
#else
#define RWLOCK_TAKE(l) ((void)(l))
#define RWLOCK_DROP(l) ((void)(l))
#endif
bool read_trylock(struct rwlock *l);
/* Before writers that wait: for who does what the readers inside may be waiting for. */
bool read_trylock_first(struct rwlock *l);
void read_lock_contended(struct rwlock *l);
void read_unlock_contended(struct rwlock *l);
/* Counts itself among the readers first and looks then: one who may not be there takes itself out again. The two
 * halves, for who must not call anything where nobody is in the way: false, and read_lock_contended has to follow, or
 * read_unlock_contended. */
static inline bool read_lock_begin(struct rwlock *l)
{
    return likely(!(__atomic_fetch_add(&l->state, 1, __ATOMIC_ACQUIRE) & (RWLOCK_WRITER | RWLOCK_WAITING)));
}
static inline bool read_unlock_begin(struct rwlock *l)
{
    u32 state = __atomic_sub_fetch(&l->state, 1, __ATOMIC_RELEASE);

    return likely(!(state & RWLOCK_WAITING)) || (state & RWLOCK_READERS) != 0;
}
static inline void read_lock(struct rwlock *l)
{
    RWLOCK_TAKE(l);
    if (!read_lock_begin(l))
        read_lock_contended(l);
}
static inline void read_unlock(struct rwlock *l)
{
    RWLOCK_DROP(l);
    if (!read_unlock_begin(l))
        read_unlock_contended(l);
}
bool write_trylock(struct rwlock *l);
void write_lock_contended(struct rwlock *l);
void write_unlock_contended(struct rwlock *l);
static inline void write_lock(struct rwlock *l)
{
    u32 free = 0;

    RWLOCK_TAKE(l);
    if (unlikely(!atomic_cas_acquire(&l->state, &free, RWLOCK_WRITER)))
        write_lock_contended(l);
}
static inline void write_unlock(struct rwlock *l)
{
    RWLOCK_DROP(l);
    atomic_and(&l->state, ~RWLOCK_WRITER);
    memory_barrier(); /* the state before the look at who waits: wait_prepare has it the other way round */
    if (unlikely(!wait_queue_is_idle(&l->waiters)))
        write_unlock_contended(l);
}
void write_downgrade(struct rwlock *l); /* writer becomes reader */

#endif
