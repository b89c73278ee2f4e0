/*
 * Operations on System V semaphores: semop(2), semtimedop(2); SEM_UNDO and clone(2)'s CLONE_SYSVSEM.
 *
 * Operations are done all at once or not at all. Whoever changes a value then does the operations of those who wait, in
 * their order, as long as one succeeds: a waiter wakes when its operations are done, or never will be.
 */
#include "proc/task.h"
#include "sys/sem.h"
#include "sys/syscall.h"
#include "sys/user_time.h"
#include "vm/kmalloc.h"

#define SEM_UNDO 0x1000

/* ---- operations; => sem.lock ---- */

/* What one operation makes of its semaphore and its adjustment: 0, WAITS, -ERANGE. */
static int do_operation(struct set *s, const struct operation *o, struct undo *undo)
{
    struct semaphore *one = &s->sem[o->number];
    int value = one->value + o->change, adjust;

    if (o->change == 0 ? value != 0 : value < 0)
        return WAITS;
    if (value > MAX_VALUE)
        return -ERANGE;
    if (o->flags & SEM_UNDO) {
        adjust = undo->adjust[o->number] - o->change;
        if (adjust < -MAX_VALUE - 1 || adjust > MAX_VALUE)
            return -ERANGE;
        undo->adjust[o->number] = (s16)adjust;
    }
    one->value = value;
    return 0;
}

static void take_back(struct set *s, const struct operation *o, struct undo *undo)
{
    s->sem[o->number].value -= o->change;
    if (o->flags & SEM_UNDO)
        undo->adjust[o->number] = (s16)(undo->adjust[o->number] + o->change);
}

/* All of W's, or none: 0, WAITS, -errno. */
static int do_operations(struct set *s, struct sem_waiter *w)
{
    const struct operation *o = w->operations;
    int result = 0;
    unsigned i;

    for (i = 0; i < w->n && result == 0; i++)
        result = do_operation(s, &o[i], w->undo);
    if (result == 0) {
        for (i = 0; i < w->n; i++)
            s->sem[o[i].number].pid = w->pid;
        s->ds.used_at = ipc_now();
        return 0;
    }
    w->stuck = --i;
    while (i-- > 0)
        take_back(s, &o[i], w->undo);
    return result == WAITS && (o[w->stuck].flags & IPC_NOWAIT) ? -EAGAIN : result;
}

static void finish(struct sem_waiter *w, int result)
{
    list_remove(&w->link);
    store_release(&w->result, result);
    wake_all(&w->wait);
}

void sem_serve_waiters(struct set *s)
{
    struct sem_waiter *w, *next;
    bool served;

    do {
        served = false;
        list_for_each_safe(w, next, &s->waiters, link) {
            int result = do_operations(s, w);

            if (result != WAITS)
                finish(w, result);
            served |= result == 0;
        }
    } while (served);
}

/* The own process's adjustments of S. ERR_PTR(-ENOMEM) */
static struct undo *find_undo(struct set *s, struct end_work *owner)
{
    struct undo *u;

    list_for_each(u, &s->undos, set_link)
        if (u->owner == owner)
            return u;
    u = kzalloc(sizeof(*u) + s->ds.count * sizeof(u->adjust[0]));
    if (u == NULL)
        return ERR_PTR(-ENOMEM);
    u->owner = owner;
    u->set = s;
    list_add(&s->undos, &u->set_link);
    list_add(&owner->items, &u->process_link);
    return u;
}

static void undo_free(struct undo *u)
{
    list_remove(&u->set_link);
    list_remove(&u->process_link);
    kfree(u);
}

void sem_dismiss(struct set *s)
{
    struct sem_waiter *w, *next_waiter;
    struct undo *u, *next_undo;

    list_for_each_safe(w, next_waiter, &s->waiters, link)
        finish(w, -EIDRM);
    list_for_each_safe(u, next_undo, &s->undos, set_link)
        undo_free(u);
}

/* The last process that shares WORK has ended. */
static void undo_all(struct end_work *work)
{
    struct undo *u, *next;

    mutex_lock(&sem.lock);
    list_for_each_safe(u, next, &work->items, process_link) {
        struct set *s = u->set;

        for (u64 i = 0; i < s->ds.count; i++) {
            if (u->adjust[i] == 0)
                continue;
            s->sem[i].value = MAX(0, MIN(s->sem[i].value + u->adjust[i], MAX_VALUE));
            s->sem[i].pid = task_pid(current_task());
        }
        undo_free(u);
        s->ds.used_at = ipc_now();
        sem_serve_waiters(s);
    }
    mutex_unlock(&sem.lock);
}

/* Sleeps until somebody has done W's operations. => the lock is given up meanwhile */
static int wait_in_line(struct set *s, struct sem_waiter *w, u64 deadline)
{
    int error;

    w->result = WAITS;
    wait_queue_init(&w->wait);
    list_add_tail(&s->waiters, &w->link);
    mutex_unlock(&sem.lock);
    error = wait_event_deadline(&w->wait, load_acquire(&w->result) != WAITS, deadline);
    mutex_lock(&sem.lock); /* even if there is a result: whoever gave it has done with W now */
    if (w->result == WAITS)
        finish(w, error == -ETIMEDOUT ? -EAGAIN : -EINTR);
    return w->result;
}

static int check_operations(const struct set *s, const struct operation *o, unsigned n, bool *undoes)
{
    bool changes = false;

    *undoes = false;
    for (unsigned i = 0; i < n; i++) {
        if (o[i].number >= s->ds.count)
            return -EFBIG;
        changes |= o[i].change != 0;
        *undoes |= (o[i].flags & SEM_UNDO) != 0;
    }
    return ipc_may_access(&s->ds.perm, changes ? 0222 : 0444) ? 0 : -EACCES;
}

static int operate(int id, const struct operation *o, unsigned n, struct end_work *work, u64 deadline)
{
    struct sem_waiter w = {.operations = o, .n = n, .pid = task_pid(current_task())};
    struct set *s = find_id(id);
    bool undoes;
    int result;

    if (s == NULL)
        return -EINVAL;
    result = check_operations(s, o, n, &undoes);
    if (result != 0)
        return result;
    if (undoes) {
        w.undo = find_undo(s, work);
        if (IS_ERR(w.undo))
            return (int)PTR_ERR(w.undo);
    }
    result = do_operations(s, &w);
    if (result == 0)
        sem_serve_waiters(s);
    return result == WAITS ? wait_in_line(s, &w, deadline) : result;
}

static bool has_undo(const struct operation *o, u64 n)
{
    for (u64 i = 0; i < n; i++)
        if (o[i].flags & SEM_UNDO)
            return true;
    return false;
}

#define FEW_OPERATIONS 8

static long semtimedop(int id, u64 user_operations, u64 n, u64 deadline)
{
    struct operation few[FEW_OPERATIONS], *o = few;
    struct end_work *work = NULL;
    long result = 0;

    if (n > FEW_OPERATIONS)
        o = kmalloc(n * sizeof(*o));
    if (o == NULL)
        return -ENOMEM;
    if (copy_from_user(o, (const void *)user_operations, n * sizeof(*o)) != 0)
        result = -EFAULT;
    else if (has_undo(o, n) && (work = process_end_work(current_process(), undo_all)) == NULL)
        result = -ENOMEM;
    if (result == 0) {
        mutex_lock(&sem.lock);
        result = operate(id, o, (unsigned)n, work, deadline);
        mutex_unlock(&sem.lock);
    }
    if (o != few)
        kfree(o);
    return result;
}

static int check_call(int id, u64 n)
{
    if (n > MAX_OPERATIONS)
        return -E2BIG;
    return n < 1 || id < 0 ? -EINVAL : 0;
}

DEFINE_SYSCALL(sys_semop)
{
    int error = check_call((int)a0, (u32)a2);

    return error != 0 ? error : semtimedop((int)a0, a1, (u32)a2, NO_DEADLINE);
}

DEFINE_SYSCALL(sys_semtimedop)
{
    int error = check_call((int)a0, (u32)a2);
    u64 timeout = NO_DEADLINE;

    if (a3 != 0) {
        int bad = get_user_timespec(&timeout, a3);

        if (bad == -EFAULT)
            return bad;
        error = error != 0 ? error : bad;
    }
    return error != 0 ? error : semtimedop((int)a0, a1, (u32)a2, deadline_after(timeout));
}
