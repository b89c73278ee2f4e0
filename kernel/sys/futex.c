/* futex(2), futex_waitv(2), set_robust_list(2). The operation's number and flags are taken apart here; proc/futex.c
 * does the work. */
#include "proc/futex.h"
#include "proc/internal.h"
#include "proc/ptimer.h"
#include "sys/syscall.h"
#include "sys/user_time.h"
#include "vm/kmalloc.h"

enum {
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    FUTEX_REQUEUE = 3,
    FUTEX_CMP_REQUEUE = 4,
    FUTEX_WAKE_OP = 5,
    FUTEX_LOCK_PI = 6,
    FUTEX_UNLOCK_PI = 7,
    FUTEX_TRYLOCK_PI = 8,
    FUTEX_WAIT_BITSET = 9,
    FUTEX_WAKE_BITSET = 10,
    FUTEX_LOCK_PI2 = 13,
};
#define FUTEX_PRIVATE 128
#define FUTEX_CLOCK_REALTIME 256
#define ROBUST_LIST_HEAD_SIZE 24

/* WAIT's timeout is relative, all others are absolute. */
static int get_deadline(u64 user, bool is_relative, bool is_wall_clock, struct deadline *deadline)
{
    int error = get_user_deadline(deadline, user, is_wall_clock && !is_relative);

    if (error == 0 && is_relative && deadline->at != NO_DEADLINE)
        deadline->at = deadline_after(deadline->at);
    return error;
}

enum { AGAIN_PRIVATE = 1, AGAIN_WALL_CLOCK = 2 };

static long wait_again(const u64 args[RESTART_ARGS])
{
    struct deadline deadline = {args[3], (args[1] & AGAIN_WALL_CLOCK) != 0};
    long result = futex_wait((u32 *)args[0], (args[1] & AGAIN_PRIVATE) != 0, (u32)args[2], deadline, (u32)args[4]);

    return result == -EINTR ? restart_later(wait_again, args[0], args[1], args[2], args[3], args[4]) : result;
}

/* Without a timeout the call is simply made again; with one it must not begin anew. */
static long do_wait(u32 *user, bool is_private, u32 expected, struct deadline deadline, u32 bitset)
{
    long result = futex_wait(user, is_private, expected, deadline, bitset);

    if (result != -EINTR)
        return result;
    if (deadline.at == NO_DEADLINE)
        return -ERESTARTSYS;
    return restart_later(wait_again, (u64)user,
                         (is_private ? AGAIN_PRIVATE : 0) | (deadline.on_wall_clock ? AGAIN_WALL_CLOCK : 0), expected,
                         deadline.at, bitset);
}

DEFINE_SYSCALL(sys_futex)
{
    u32 *user = (u32 *)a0, *target = (u32 *)a4, value = (u32)a2, expected = (u32)a5;
    int command = (int)a1 & ~(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME);
    bool is_private = a1 & FUTEX_PRIVATE, is_wall_clock = a1 & FUTEX_CLOCK_REALTIME;
    struct deadline deadline = NO_MOMENT;
    bool may_choose_clock = command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI2;
    bool has_timeout = may_choose_clock || command == FUTEX_WAIT || command == FUTEX_LOCK_PI;
    int error;

    if (has_timeout) {
        error = get_deadline(a3, command == FUTEX_WAIT, is_wall_clock || command == FUTEX_LOCK_PI, &deadline);
        if (error != 0)
            return error;
    }
    if (is_wall_clock && !may_choose_clock)
        return -ENOSYS;
    switch (command) {
    case FUTEX_WAIT:
        return do_wait(user, is_private, value, deadline, FUTEX_BITSET_ANY);
    case FUTEX_WAIT_BITSET:
        return do_wait(user, is_private, value, deadline, expected);
    case FUTEX_WAKE:
        return futex_wake(user, is_private, (int)value, FUTEX_BITSET_ANY);
    case FUTEX_WAKE_BITSET:
        return futex_wake(user, is_private, (int)value, expected);
    case FUTEX_REQUEUE:
        return futex_requeue(user, target, is_private, (int)value, (int)a3, NULL);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(user, target, is_private, (int)value, (int)a3, &expected);
    case FUTEX_WAKE_OP:
        return futex_wake_op(user, target, is_private, (int)value, (int)a3, expected);
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
        return futex_lock_pi(user, is_private, deadline, false);
    case FUTEX_TRYLOCK_PI:
        return futex_lock_pi(user, is_private, deadline, true);
    case FUTEX_UNLOCK_PI:
        return futex_unlock_pi(user, is_private);
    default:
        return -ENOSYS;
    }
}

/* ---- futex_waitv ---- */

struct user_waitv { /* the ABI's struct futex_waitv */
    u64 value, address;
    u32 flags, reserved;
};
static_assert(sizeof(struct user_waitv) == 24, "linux/futex.h");
#define FUTEX2_SIZE 3u /* of the word: */
#define FUTEX2_SIZE_U32 2u

/* -EINVAL: only words of 32 bits are known. */
static int get_word(struct futex_word *word, const struct user_waitv *user)
{
    struct user_waitv w;

    if (copy_from_user(&w, user, sizeof(w)) != 0)
        return -EFAULT;
    if ((w.flags & ~(FUTEX2_SIZE | FUTEX_PRIVATE)) || (w.flags & FUTEX2_SIZE) != FUTEX2_SIZE_U32 || w.reserved != 0 ||
        w.value > UINT32_MAX)
        return -EINVAL;
    *word = (struct futex_word){(u32 *)w.address, (u32)w.value, (w.flags & FUTEX_PRIVATE) != 0};
    return 0;
}

static long wait_for_words(u64 user, unsigned n, struct deadline deadline)
{
    struct futex_word *words = kmalloc(n * sizeof(*words));
    long result = words == NULL ? -ENOMEM : 0;

    for (unsigned i = 0; i < n && result == 0; i++)
        result = get_word(&words[i], (const struct user_waitv *)user + i);
    if (result == 0)
        result = futex_wait_any(words, n, deadline);
    kfree(words);
    return result == -EINTR ? -ERESTARTSYS : result; /* the deadline is absolute */
}

DEFINE_SYSCALL(sys_futex_waitv)
{
    u64 user = a0, user_timeout = a3;
    unsigned n = (unsigned)a1, flags = (unsigned)a2;
    int clock = (int)a4, error;
    struct deadline deadline;

    if (flags != 0 || n == 0 || n > FUTEX_WAITV_MAX || user == 0)
        return -EINVAL;
    if (user_timeout != 0 && clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return -EINVAL;
    error = get_user_deadline(&deadline, user_timeout, clock == CLOCK_REALTIME);
    return error != 0 ? error : wait_for_words(user, n, deadline);
}

/* ---- robust lists ---- */

DEFINE_SYSCALL(sys_set_robust_list)
{
    if (a1 != ROBUST_LIST_HEAD_SIZE)
        return -EINVAL;
    current_task()->robust_list = a0;
    return 0;
}

/* Of another thread: only who may look into its memory. */
DEFINE_SYSCALL(sys_get_robust_list)
{
    int tid = (int)a0;
    struct task *t = tid == 0 ? current_task() : task_find(tid);
    const struct cred *own = current->cred;
    struct cred *other;
    bool allowed;
    u64 list;

    if (t == NULL)
        return -ESRCH;
    other = task_cred(t);
    allowed = t->process == current_process() || (own->uid == other->euid && own->uid == other->uid) ||
              capable(own, CAP_SYS_PTRACE);
    cred_put(other);
    list = load_relaxed(&t->robust_list);
    if (tid != 0)
        task_put(t);
    if (!allowed)
        return -EPERM;
    if (put_user_u64(ROBUST_LIST_HEAD_SIZE, (u64 *)a2) != 0 || put_user_u64(list, (u64 *)a1) != 0)
        return -EFAULT;
    return 0;
}
