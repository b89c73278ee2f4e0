/* semctl(2): System V semaphores looked at, set and removed. User memory is touched without sem.lock. */
#include "lib/string.h"
#include "proc/task.h"
#include "sys/sem.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

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
    sem_serve_waiters(s);
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
    struct set *s = command == IPC_STAT ? find_id(id) : set_of(ipc_find_index(&sem.table, id));

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

    if (s == NULL)
        return -EINVAL;
    if (!ipc_is_owner(&s->ds.perm))
        return -EPERM;
    sem_dismiss(s);
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
    highest = ipc_highest_index(&sem.table);
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
