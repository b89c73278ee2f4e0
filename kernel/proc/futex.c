/*
 * Futexes (futex(2)): threads that sleep until somebody wakes the word in user memory that they looked at.
 *
 * A waiter is in the bucket of its word's key (vm/uaccess.h) from before the word is compared until it is woken;
 * comparing happens with the bucket locked, so a wake-up after a change of the word is never missed. The word is read
 * without sleeping then; if its page is not there, the bucket is unlocked, the page faulted in, and all is done again.
 *
 * Priority-inheritance futexes (FUTEX_LOCK_PI...) hand the lock over to the longest waiter; no priority is inherited.
 *
 * Lock: bucket.lock; two buckets by address. Order: bucket -> run queues.
 */
#include "proc/futex.h"
#include "proc/internal.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define N_BUCKETS 256

struct bucket {
    struct spinlock lock;
    struct list waiters;
};

struct futex_waiter { /* on the sleeper's stack */
    struct list link;
    struct bucket *bucket; /* where it is; NULL: woken. Changes under the bucket's lock */
    struct user_key key;
    struct thread *thread;
    u32 bitset;
    bool is_pi;
};

static struct bucket buckets[N_BUCKETS];

static struct bucket *bucket_of(const struct user_key *key)
{
    u64 h = (key->owner >> 4) * 31 + (key->offset >> 2);

    h ^= h >> 17;
    h *= 0x9e3779b97f4a7c15ull; /* 2^64 / golden ratio */
    return &buckets[h >> 56];
}

static bool is_same(const struct user_key *a, const struct user_key *b)
{
    return a->owner == b->owner && a->offset == b->offset;
}

static void lock_two(struct bucket *a, struct bucket *b)
{
    struct bucket *first = a < b ? a : b, *second = a < b ? b : a;

    spin_lock(&first->lock);
    if (first != second)
        spin_lock(&second->lock);
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
    spin_unlock(&a->lock);
    if (a != b)
        spin_unlock(&b->lock);
}

void futex_init(void)
{
    for (unsigned i = 0; i < N_BUCKETS; i++)
        list_init(&buckets[i].waiters);
}

/* ---- waking ---- */

/* => bucket locked. W stays until it has had that lock once more (leave). */
static void wake_waiter(struct futex_waiter *w)
{
    struct thread *t = w->thread;

    list_remove(&w->link);
    store_release(&w->bucket, NULL);
    thread_wake(t, WAKE_ANY);
}

/* => bucket locked */
static int wake_matching(struct bucket *b, const struct user_key *key, int n, u32 bitset)
{
    struct futex_waiter *w, *next;
    int woken = 0;

    list_for_each_safe(w, next, &b->waiters, link) {
        if (woken >= n)
            break;
        if (!is_same(&w->key, key) || !(w->bitset & bitset) || w->is_pi)
            continue;
        wake_waiter(w);
        woken++;
    }
    return woken;
}

long futex_wake(u32 *user, bool is_private, int n, u32 bitset)
{
    struct user_key key;
    struct bucket *b;
    int error = user_memory_key(user, is_private, &key);
    long woken;

    if (error != 0)
        return error;
    if (bitset == 0)
        return -EINVAL;
    b = bucket_of(&key);
    spin_lock(&b->lock);
    woken = wake_matching(b, &key, n < 1 ? 1 : n, bitset);
    spin_unlock(&b->lock);
    return woken;
}

/* ---- waiting ---- */

/* Leaves the bucket, wherever requeueing has put the waiter; true if it had been woken. */
static bool leave(struct futex_waiter *w)
{
    struct bucket *b;

    while ((b = load_acquire(&w->bucket)) != NULL) {
        spin_lock(&b->lock);
        if (w->bucket == b) {
            list_remove(&w->link);
            w->bucket = NULL;
            spin_unlock(&b->lock);
            return false;
        }
        spin_unlock(&b->lock);
    }
    b = bucket_of(&w->key);
    spin_lock(&b->lock); /* who woke it is done with the thread, which may end now */
    spin_unlock(&b->lock);
    return true;
}

/* Compares *USER with EXPECTED and enters W if they are equal: 0, -EAGAIN; -EFAULT: its page is not there. */
static inline int try_enter(struct futex_waiter *w, const u32 *user, u32 expected)
{
    struct bucket *b = bucket_of(&w->key);
    u32 value;
    int error;

    spin_lock(&b->lock);
    error = get_user_u32_nofault(&value, user);
    if (error == 0 && value != expected)
        error = -EAGAIN;
    if (error == 0) {
        list_add_tail(&b->waiters, &w->link);
        w->bucket = b;
    }
    spin_unlock(&b->lock);
    return error;
}

/* The same; -EFAULT: there is no page. */
static int enter_if_equal(struct futex_waiter *w, const u32 *user, u32 expected)
{
    u32 value;
    int error;

    while ((error = try_enter(w, user, expected)) == -EFAULT)
        if (get_user_u32(&value, user) != 0)
            return -EFAULT;
    return error;
}

/* One of the N waiters at W, who are one thread. */
static inline bool is_woken(const struct futex_waiter *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (load_acquire(&w[i].bucket) == NULL)
            return true;
    return false;
}

/* Sleeps until one is woken: 0, -ETIMEDOUT, -EINTR. They are entered still. */
static inline int sleep_until_woken(struct futex_waiter *w, unsigned n, struct deadline deadline)
{
    int result = 0;

    while (!is_woken(w, n) && result == 0) {
        store_relaxed(&current->state, THREAD_INTERRUPTIBLE);
        memory_barrier(); /* the state before the look at `bucket`: the waker writes in the other order */
        if (is_woken(w, n))
            break;
        if (signal_pending()) {
            result = -EINTR;
            break;
        }
        result = schedule_until_moment(deadline);
    }
    store_relaxed(&current->state, THREAD_RUNNABLE);
    return result;
}

static int sleep_and_leave(struct futex_waiter *w, struct deadline deadline)
{
    int result = sleep_until_woken(w, 1, deadline);

    return leave(w) ? 0 : result;
}

long futex_wait(u32 *user, bool is_private, u32 expected, struct deadline deadline, u32 bitset)
{
    struct futex_waiter w = {.thread = current, .bitset = bitset};
    int error;

    if (bitset == 0)
        return -EINVAL;
    error = user_memory_key(user, is_private, &w.key);
    if (error == 0)
        error = enter_if_equal(&w, user, expected);
    if (error != 0)
        return error;
    return sleep_and_leave(&w, deadline);
}

/* ---- waiting for one of several ---- */

/* The last of N waiters that had been woken, or -1. */
static long leave_all(struct futex_waiter *w, unsigned n)
{
    long woken = -1;

    for (unsigned i = 0; i < n; i++)
        if (leave(&w[i]))
            woken = i;
    return woken;
}

/* Enters all N (*WOKEN is -1), or none: then one was woken before the last was compared (*WOKEN), or -EAGAIN, -EFAULT.
 * A page is brought in with none entered: who is woken must not be asleep for another reason. */
static int enter_all(struct futex_waiter *w, const struct futex_word *words, unsigned n, long *woken)
{
    u32 value;

    for (;;) {
        unsigned done = 0;
        int error = 0;

        while (done < n && (error = try_enter(&w[done], words[done].user, words[done].expected)) == 0)
            done++;
        *woken = done == n ? -1 : leave_all(w, done);
        if (done == n || *woken >= 0)
            return 0;
        if (error != -EFAULT || get_user_u32(&value, words[done].user) != 0)
            return error;
    }
}

static long wait_any(struct futex_waiter *w, const struct futex_word *words, unsigned n, struct deadline deadline)
{
    long woken;
    int error = 0;

    for (unsigned i = 0; i < n && error == 0; i++) {
        w[i].thread = current;
        w[i].bitset = FUTEX_BITSET_ANY;
        error = user_memory_key(words[i].user, words[i].is_private, &w[i].key);
    }
    if (error == 0)
        error = enter_all(w, words, n, &woken);
    if (error != 0)
        return error;
    if (woken < 0) {
        error = sleep_until_woken(w, n, deadline);
        woken = leave_all(w, n);
    }
    return woken >= 0 ? woken : error;
}

long futex_wait_any(const struct futex_word *words, unsigned n, struct deadline deadline)
{
    struct futex_waiter *w = kzalloc(n * sizeof(*w));
    long result;

    if (w == NULL)
        return -ENOMEM;
    result = wait_any(w, words, n, deadline);
    kfree(w);
    return result;
}

/* ---- requeue, wake_op ---- */

long futex_requeue(u32 *user, u32 *target, bool is_private, int n_wake, int n_requeue, const u32 *expected)
{
    struct user_key key, target_key;
    struct bucket *from, *to;
    struct futex_waiter *w, *next;
    int error, done = 0, moved = 0;

    if (n_wake < 0 || n_requeue < 0)
        return -EINVAL;
    error = user_memory_key(user, is_private, &key);
    if (error == 0)
        error = user_memory_key(target, is_private, &target_key);
    if (error != 0)
        return error;
    from = bucket_of(&key);
    to = bucket_of(&target_key);
    for (;;) {
        u32 value;

        lock_two(from, to);
        if (expected == NULL)
            break;
        if (get_user_u32_nofault(&value, user) == 0) {
            if (value == *expected)
                break;
            unlock_two(from, to);
            return -EAGAIN;
        }
        unlock_two(from, to);
        if (get_user_u32(&value, user) != 0)
            return -EFAULT;
    }
    list_for_each_safe(w, next, &from->waiters, link) {
        if (!is_same(&w->key, &key) || w->is_pi)
            continue;
        if (done < n_wake) {
            wake_waiter(w);
            done++;
        } else if (moved < n_requeue) {
            list_remove(&w->link);
            w->key = target_key;
            list_add_tail(&to->waiters, &w->link);
            store_release(&w->bucket, to);
            moved++;
        } else {
            break;
        }
    }
    unlock_two(from, to);
    return done + moved;
}

enum { OP_SET, OP_ADD, OP_OR, OP_ANDN, OP_XOR };
enum { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };
#define OP_ARG_SHIFT 8

static bool apply_op(int op, s32 arg, u32 old, u32 *new)
{
    switch (op) {
    case OP_SET:
        *new = (u32)arg;
        return true;
    case OP_ADD:
        *new = old + (u32)arg;
        return true;
    case OP_OR:
        *new = old | (u32)arg;
        return true;
    case OP_ANDN:
        *new = old & ~(u32)arg;
        return true;
    case OP_XOR:
        *new = old ^ (u32)arg;
        return true;
    default:
        return false;
    }
}

static bool compare(int cmp, s32 a, s32 b)
{
    switch (cmp) {
    case CMP_EQ:
        return a == b;
    case CMP_NE:
        return a != b;
    case CMP_LT:
        return a < b;
    case CMP_LE:
        return a <= b;
    case CMP_GT:
        return a > b;
    default:
        return a >= b;
    }
}

/* The operation comes before both wake-ups; that it happens before the buckets are locked is invisible to who waits for
 * either word. */
long futex_wake_op(u32 *user, u32 *target, bool is_private, int n_wake, int n_wake_target, u32 encoded)
{
    int op = encoded >> 28 & 7, cmp = encoded >> 24 & 15;
    s32 op_arg = (s32)(encoded << 8) >> 20, cmp_arg = (s32)(encoded << 20) >> 20;
    struct user_key key, target_key;
    u32 old, seen, new;
    int error = user_memory_key(user, is_private, &key);
    long woken;

    if (error == 0)
        error = user_memory_key(target, is_private, &target_key);
    if (error != 0)
        return error;
    if (encoded >> 28 & OP_ARG_SHIFT)
        op_arg = (s32)(1u << (op_arg & 31));
    if (cmp > CMP_GE)
        return -ENOSYS;
    if (get_user_u32(&old, target) != 0)
        return -EFAULT;
    for (;;) {
        if (!apply_op(op, op_arg, old, &new))
            return -ENOSYS;
        if (cmpxchg_user_u32(target, old, new, &seen) != 0)
            return -EFAULT;
        if (seen == old)
            break;
        old = seen;
    }
    woken = futex_wake(user, is_private, n_wake, FUTEX_BITSET_ANY);
    if (woken >= 0 && compare(cmp, (s32)old, cmp_arg)) {
        long more = futex_wake(target, is_private, n_wake_target, FUTEX_BITSET_ANY);

        woken = more < 0 ? more : woken + more;
    }
    return woken;
}

/* ---- locks with an owner: the word holds the owner's tid, FUTEX_WAITERS and FUTEX_OWNER_DIED ---- */

/* Tries to take the lock: 0 taken, 1 must wait (FUTEX_WAITERS is set; *VALUE is what the word holds), or -errno. */
static int try_lock_pi(u32 *user, u32 *value)
{
    u32 tid = (u32)task_tid(current_task()), old, seen;

    if (get_user_u32(&old, user) != 0)
        return -EFAULT;
    for (;;) {
        bool is_free = (old & FUTEX_TID_MASK) == 0;
        u32 new = is_free ? tid | (old & ~FUTEX_TID_MASK) : old | FUTEX_WAITERS;

        if ((old & FUTEX_TID_MASK) == tid)
            return -EDEADLK;
        if (cmpxchg_user_u32(user, old, new, &seen) != 0)
            return -EFAULT;
        if (seen == old) {
            *value = new;
            return is_free ? 0 : 1;
        }
        old = seen;
    }
}

static bool owner_exists(u32 value)
{
    struct task *owner = task_find((int)(value & FUTEX_TID_MASK));

    if (owner == NULL)
        return false;
    task_put(owner);
    return true;
}

long futex_lock_pi(u32 *user, bool is_private, struct deadline deadline, bool only_try)
{
    struct user_key key;
    int error = user_memory_key(user, is_private, &key), result;
    u32 value;

    if (error != 0)
        return error;
    for (;;) {
        struct futex_waiter w = {.thread = current, .bitset = FUTEX_BITSET_ANY, .key = key, .is_pi = true};

        result = try_lock_pi(user, &value);
        if (result <= 0)
            return result;
        if (only_try)
            return -EAGAIN;
        if (!owner_exists(value))
            return -ESRCH;
        result = enter_if_equal(&w, user, value);
        if (result == -EAGAIN)
            continue;
        if (result == 0)
            result = sleep_and_leave(&w, deadline);
        if (get_user_u32(&value, user) != 0)
            return -EFAULT;
        if ((value & FUTEX_TID_MASK) == (u32)task_tid(current_task()))
            return 0; /* unlock has handed it over, perhaps just when this thread gave up */
        if (result != 0)
            return result == -EINTR ? -ERESTARTNOINTR : result;
    }
}

/* The longest waiter for KEY and whether there are more. => bucket locked */
static struct futex_waiter *first_pi_waiter(struct bucket *b, const struct user_key *key, bool *more)
{
    struct futex_waiter *w, *found = NULL;

    *more = false;
    list_for_each(w, &b->waiters, link) {
        if (!w->is_pi || !is_same(&w->key, key))
            continue;
        if (found != NULL) {
            *more = true;
            break;
        }
        found = w;
    }
    return found;
}

long futex_unlock_pi(u32 *user, bool is_private)
{
    struct user_key key;
    struct bucket *b;
    int error = user_memory_key(user, is_private, &key);
    u32 value, seen, new;

    if (error != 0)
        return error;
    if (get_user_u32(&value, user) != 0)
        return -EFAULT;
    if ((value & FUTEX_TID_MASK) != (u32)task_tid(current_task()))
        return -EPERM;
    b = bucket_of(&key);
    for (;;) {
        struct futex_waiter *w;
        bool more, is_there;

        /* The word changes under the lock, too: a waiter that gives up has left before, and is not chosen, or looks at
         * the word afterwards and finds that it is the owner. */
        spin_lock(&b->lock);
        w = first_pi_waiter(b, &key, &more);
        new = w != NULL ? (u32)((struct task *)w->thread)->pid->number | (more ? FUTEX_WAITERS : 0) : 0;
        is_there = cmpxchg_user_u32_nofault(user, value, new, &seen) == 0;
        if (is_there && seen == value) {
            if (w != NULL)
                wake_waiter(w);
            spin_unlock(&b->lock);
            return 0;
        }
        spin_unlock(&b->lock);
        if (!is_there && cmpxchg_user_u32(user, value, value, &seen) != 0) /* brings the page in */
            return -EFAULT;
        value = seen;
    }
}

void futex_wake_pi(u32 *user)
{
    struct futex_waiter *w, *next;
    struct user_key key;
    struct bucket *b;

    if (user_memory_key(user, false, &key) != 0)
        return;
    b = bucket_of(&key);
    spin_lock(&b->lock);
    list_for_each_safe(w, next, &b->waiters, link) {
        if (w->is_pi && is_same(&w->key, &key))
            wake_waiter(w);
    }
    spin_unlock(&b->lock);
}
