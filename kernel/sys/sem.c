/*
 * System V semaphores. Sources: semget(2), semop(2), semctl(2), sysvipc(7), clone(2) (CLONE_SYSVSEM).
 *
 *   set (key, id, permissions) --> values, each with the process that changed it last
 *        |--> waiters, the oldest first: operations that cannot be done yet, and whose they are
 *        '--> undos: what a process has to give back when it ends <-- process->end_work
 *
 * Operations are done all at once or not at all. Whoever changes a value then does the operations of those who wait, in
 * their order, as long as one succeeds: a waiter wakes when its operations are done, or never will be.
 *
 * Lock: sem.lock guards the list, all sets, waiters (which are on the stacks of those who sleep) and undos.
 */
#include "lib/print.h"
#include "lib/string.h"
#include "proc/task.h"
#include "sys/ipc.h"
#include "sys/syscall.h"
#include "sys/sysvipc.h"
#include "sys/user_time.h"
#include "vm/kmalloc.h"

#define GETPID 11
#define GETVAL 12
#define GETALL 13
#define GETNCNT 14
#define GETZCNT 15
#define SETVAL 16
#define SETALL 17
#define SEM_STAT 18
#define SEM_INFO 19
#define SEM_STAT_ANY 20
#define SEM_UNDO 0x1000

#define MAX_SETS 32000          /* SEMMNI */
#define MAX_IN_SET 32000        /* SEMMSL */
#define MAX_IN_ALL 1024000000ul /* SEMMNS */
#define MAX_OPERATIONS 500      /* SEMOPM */
#define MAX_VALUE 32767         /* SEMVMX */

struct semid_ds { /* the ABI's struct semid64_ds */
    struct ipc_perm perm;
    s64 used_at, changed_at;
    u64 count;
    u64 unused[2];
};
static_assert(sizeof(struct semid_ds) == 88, "asm-generic/sembuf.h");

struct operation { /* the ABI's struct sembuf */
    u16 number;
    s16 change;
    s16 flags;
};

struct semaphore {
    int value;
    int pid; /* of the last one that changed or waited for it */
};

struct set {
    struct ipc_object ipc;
    struct semid_ds ds;
    struct list waiters, undos;
    struct semaphore sem[];
};

/* One process's adjustments of one set. */
struct undo {
    struct list set_link, process_link;
    const struct end_work *owner;
    struct set *set;
    s16 adjust[];
};

#define WAITS 1 /* a waiter's result until it has one */

struct sem_waiter {
    struct list link;
    const struct operation *operations;
    unsigned n, stuck; /* at this one */
    struct undo *undo;
    int pid, result;
    struct wait_queue wait;
};

static struct {
    struct mutex lock;
    struct ipc_table table;
    u64 semaphores;
} sem = {.lock = MUTEX_INIT(sem.lock), .table = {.objects = LIST_INIT(sem.table.objects)}};

/* ---- sets; => sem.lock ---- */

static struct set *set_of(struct ipc_object *o) { return o != NULL ? container_of(o, struct set, ipc) : NULL; }
static struct set *find_id(int id) { return set_of(ipc_find_id(&sem.table, id)); }

static struct set *find_key(s32 key) { return set_of(ipc_find_key(&sem.table, key)); }

static struct set *find_index(int index) { return set_of(ipc_find_index(&sem.table, index)); }

static long set_create(s32 key, int count, u32 mode)
{
    struct set *s;

    if (count == 0)
        return -EINVAL;
    if (sem.table.count >= MAX_SETS || sem.semaphores + (u64)count > MAX_IN_ALL)
        return -ENOSPC;
    s = kzalloc(sizeof(*s) + (size_t)count * sizeof(s->sem[0]));
    if (s == NULL)
        return -ENOMEM;
    s->ds.changed_at = ipc_now();
    s->ds.count = (u64)count;
    list_init(&s->waiters);
    list_init(&s->undos);
    sem.semaphores += (u64)count;
    return ipc_enter(&sem.table, &s->ipc, &s->ds.perm, key, mode);
}

static long semget_locked(s32 key, int count, u32 flags)
{
    struct set *s = key == IPC_PRIVATE ? NULL : find_key(key);

    if (s == NULL)
        return key == IPC_PRIVATE || (flags & IPC_CREAT) ? set_create(key, count, flags) : -ENOENT;
    if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
        return -EEXIST;
    if ((u64)count > s->ds.count)
        return -EINVAL;
    return ipc_may_access(&s->ds.perm, flags & 0777) ? s->ipc.id : -EACCES;
}

DEFINE_SYSCALL(sys_semget)
{
    int count = (int)a1;
    long result;

    if (count < 0 || count > MAX_IN_SET)
        return -EINVAL;
    mutex_lock(&sem.lock);
    result = semget_locked((s32)a0, count, (u32)a2);
    mutex_unlock(&sem.lock);
    return result;
}

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

/* Values of S have changed. */
static void serve_waiters(struct set *s)
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
        serve_waiters(s);
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
        serve_waiters(s);
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

/* ---- control ---- */

/* => sem.lock, as for the next. Those who wait for semaphore NUMBER to grow, or to become 0. */
static long count_waiters(const struct set *s, unsigned number, bool zero)
{
    struct sem_waiter *w;
    long n = 0;

    list_for_each(w, &s->waiters, link)
        n += w->operations[w->stuck].number == number && (w->operations[w->stuck].change == 0) == zero;
    return n;
}

static long get_one(int id, u64 number, int command)
{
    struct set *s = find_id(id);

    if (s == NULL)
        return -EINVAL;
    if (!ipc_may_access(&s->ds.perm, 0444))
        return -EACCES;
    if (number >= s->ds.count)
        return -EINVAL;
    switch (command) {
    case GETVAL:
        return s->sem[number].value;
    case GETPID:
        return s->sem[number].pid;
    default:
        return count_waiters(s, (unsigned)number, command == GETZCNT);
    }
}

/* S's value FIRST and N - 1 more are set: nobody has them to adjust any more. */
static void values_set(struct set *s, u64 first, u64 n)
{
    struct undo *u;

    list_for_each(u, &s->undos, set_link)
        memset(&u->adjust[first], 0, n * sizeof(u->adjust[0]));
    for (u64 i = first; i < first + n; i++)
        s->sem[i].pid = task_pid(current_task());
    s->ds.changed_at = ipc_now();
    serve_waiters(s);
}

static long set_one(int id, u64 number, int value)
{
    struct set *s = find_id(id);

    if (s == NULL || number >= s->ds.count)
        return -EINVAL;
    if (!ipc_may_access(&s->ds.perm, 0222))
        return -EACCES;
    s->sem[number].value = value;
    values_set(s, number, 1);
    return 0;
}

/* For GETALL and SETALL: how many values there are. */
static long count_for(int id, bool to_set)
{
    struct set *s = find_id(id);

    if (s == NULL)
        return -EINVAL;
    return ipc_may_access(&s->ds.perm, to_set ? 0222 : 0444) ? (long)s->ds.count : -EACCES;
}

static long set_all(int id, const u16 *values, long n)
{
    struct set *s = find_id(id);

    if (s == NULL || s->ds.count != (u64)n)
        return -EIDRM;
    for (long i = 0; i < n; i++)
        if (values[i] > MAX_VALUE)
            return -ERANGE;
    for (long i = 0; i < n; i++)
        s->sem[i].value = values[i];
    values_set(s, 0, (u64)n);
    return 0;
}

static long get_all(int id, u16 *values, long n)
{
    struct set *s = find_id(id);

    if (s == NULL || s->ds.count != (u64)n)
        return -EIDRM;
    for (long i = 0; i < n; i++)
        values[i] = (u16)s->sem[i].value;
    return 0;
}

/* => no lock: user memory is touched without it */
static long all_values(int id, int command, void *user)
{
    bool to_set = command == SETALL;
    u16 *values;
    long n, result;

    mutex_lock(&sem.lock);
    n = count_for(id, to_set);
    mutex_unlock(&sem.lock);
    if (n < 0)
        return n;
    values = kmalloc((size_t)n * sizeof(*values));
    if (values == NULL)
        return -ENOMEM;
    if (to_set && copy_from_user(values, user, (size_t)n * sizeof(*values)) != 0) {
        kfree(values);
        return -EFAULT;
    }
    mutex_lock(&sem.lock);
    result = to_set ? set_all(id, values, n) : get_all(id, values, n);
    mutex_unlock(&sem.lock);
    if (result == 0 && !to_set && copy_to_user(user, values, (size_t)n * sizeof(*values)) != 0)
        result = -EFAULT;
    kfree(values);
    return result;
}

/* 0, or for the commands that look by index, the id. */
static long stat_locked(int id, int command, struct semid_ds *ds)
{
    struct set *s = command == IPC_STAT ? find_id(id) : find_index(id);

    if (s == NULL)
        return -EINVAL;
    if (command != SEM_STAT_ANY && !ipc_may_access(&s->ds.perm, 0444))
        return -EACCES;
    *ds = s->ds;
    return command == IPC_STAT ? 0 : s->ipc.id;
}

static long set_locked(int id, const struct semid_ds *ds)
{
    struct set *s = find_id(id);

    if (s == NULL)
        return -EINVAL;
    if (!ipc_is_owner(&s->ds.perm))
        return -EPERM;
    s->ds.perm.uid = ds->perm.uid;
    s->ds.perm.gid = ds->perm.gid;
    s->ds.perm.mode = ds->perm.mode & 0777;
    s->ds.changed_at = ipc_now();
    return 0;
}

static long remove_locked(int id)
{
    struct set *s = find_id(id);
    struct sem_waiter *w, *next_waiter;
    struct undo *u, *next_undo;

    if (s == NULL)
        return -EINVAL;
    if (!ipc_is_owner(&s->ds.perm))
        return -EPERM;
    list_for_each_safe(w, next_waiter, &s->waiters, link)
        finish(w, -EIDRM);
    list_for_each_safe(u, next_undo, &s->undos, set_link)
        undo_free(u);
    ipc_leave(&sem.table, &s->ipc);
    sem.semaphores -= s->ds.count;
    kfree(s);
    return 0;
}

/* IPC_INFO: limits; SEM_INFO: two of them replaced by what is in use. The result is the highest index in use. */
static long info(int command, void *user)
{
    struct { /* the ABI's struct seminfo */
        s32 map, max_sets, max_in_all, max_undo, max_in_set, max_operations, undo_per_process, undo_size, max_value,
            max_adjust;
    } limits = {
        .map = (s32)MAX_IN_ALL,
        .max_sets = MAX_SETS,
        .max_in_all = (s32)MAX_IN_ALL,
        .max_undo = (s32)MAX_IN_ALL,
        .max_in_set = MAX_IN_SET,
        .max_operations = MAX_OPERATIONS,
        .undo_per_process = MAX_OPERATIONS,
        .undo_size = 20,
        .max_value = MAX_VALUE,
        .max_adjust = MAX_VALUE,
    };
    long highest;

    mutex_lock(&sem.lock);
    if (command == SEM_INFO) {
        limits.undo_size = (s32)sem.table.count;
        limits.max_adjust = (s32)sem.semaphores;
    }
    highest = sem.table.count == 0 ? 0 : (long)sem.table.count - 1;
    mutex_unlock(&sem.lock);
    return copy_to_user(user, &limits, sizeof(limits)) != 0 ? -EFAULT : highest;
}

/* What needs the lock, and no user memory meanwhile. */
static long control_locked(int id, u64 number, int command, u64 argument, struct semid_ds *ds)
{
    switch (command) {
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY:
        return stat_locked(id, command, ds);
    case IPC_SET:
        return set_locked(id, ds);
    case IPC_RMID:
        return remove_locked(id);
    case SETVAL:
        return (int)argument < 0 || (int)argument > MAX_VALUE ? -ERANGE : set_one(id, number, (int)argument);
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT:
        return get_one(id, number, command);
    default:
        return -EINVAL;
    }
}

DEFINE_SYSCALL(sys_semctl)
{
    int id = (int)a0, command = (int)a2;
    bool stats = command == IPC_STAT || command == SEM_STAT || command == SEM_STAT_ANY;
    struct semid_ds ds;
    long result;

    if (id < 0)
        return -EINVAL;
    if (command == IPC_INFO || command == SEM_INFO)
        return info(command, (void *)a3);
    if (command == GETALL || command == SETALL)
        return all_values(id, command, (void *)a3);
    if (command == IPC_SET && copy_from_user(&ds, (const void *)a3, sizeof(ds)) != 0)
        return -EFAULT;
    mutex_lock(&sem.lock);
    result = control_locked(id, (u32)a1, command, a3, &ds);
    mutex_unlock(&sem.lock);
    return result >= 0 && stats && copy_to_user((void *)a3, &ds, sizeof(ds)) != 0 ? -EFAULT : result;
}

/* ---- /proc/sysvipc/sem ---- */

bool sem_show(unsigned index, char *line, size_t size)
{
    const struct set *s;

    mutex_lock(&sem.lock);
    s = find_index((int)index);
    if (s != NULL)
        snprintf(line, size, "%10d %10d  %4o %10lu %5u %5u %5u %5u %10ld %10ld\n", s->ds.perm.key, s->ipc.id,
                 s->ds.perm.mode, s->ds.count, s->ds.perm.uid, s->ds.perm.gid, s->ds.perm.cuid, s->ds.perm.cgid,
                 s->ds.used_at, s->ds.changed_at);
    mutex_unlock(&sem.lock);
    return s != NULL;
}
