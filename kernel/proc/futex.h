/* Futexes: the operations of futex(2) and futex_waitv(2). USER is checked. */
#ifndef PROC_FUTEX_H
#define PROC_FUTEX_H

#include "sched/wait.h"

#define FUTEX_BITSET_ANY 0xffffffffu
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu

void futex_init(void);
/* 0, -EAGAIN (the word is not EXPECTED), -ETIMEDOUT, -EINTR, -EFAULT, -EINVAL */
long futex_wait(u32 *user, bool is_private, u32 expected, struct deadline deadline, u32 bitset);
/* Until one of N words is woken: its number; the errors of futex_wait, and -ENOMEM. */
struct futex_word {
    u32 *user;
    u32 expected;
    bool is_private;
};
#define FUTEX_WAITV_MAX 128u
long futex_wait_any(const struct futex_word *words, unsigned n, struct deadline deadline);
/* How many were woken. */
long futex_wake(u32 *user, bool is_private, int n, u32 bitset);
long futex_requeue(u32 *user, u32 *target, bool is_private, int n_wake, int n_requeue, const u32 *expected);
long futex_wake_op(u32 *user, u32 *target, bool is_private, int n_wake, int n_wake_target, u32 encoded);
long futex_lock_pi(u32 *user, bool is_private, struct deadline deadline, bool only_try);
long futex_unlock_pi(u32 *user, bool is_private);
/* All who wait for the priority-inheritance lock at USER try again to take it: its owner died. */
void futex_wake_pi(u32 *user);

#endif
