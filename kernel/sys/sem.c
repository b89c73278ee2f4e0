/* System V semaphores: sets, how they are made (semget(2)), and what /proc/sysvipc/sem shows. The picture is in sem.h.
 */
#include "sys/sem.h"
#include "lib/print.h"
#include "sys/syscall.h"
#include "sys/sysvipc.h"
#include "vm/kmalloc.h"

struct semaphore_sets sem = {.lock = MUTEX_INIT(sem.lock), .table = {.objects = LIST_INIT(sem.table.objects)}};

/* ---- making; => sem.lock ---- */

static long set_create(s32 key, int count, u32 mode)
{
    struct set *s;
    int id;

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
    id = ipc_enter(&sem.table, &s->ipc, &s->ds.perm, key, mode);
    if (id < 0)
        kfree(s);
    else
        sem.semaphores += (u64)count;
    return id;
}

static long semget_locked(s32 key, int count, u32 flags)
{
    struct set *s = key == IPC_PRIVATE ? NULL : set_of(ipc_find_key(&sem.table, key));

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

/* ---- /proc/sysvipc/sem ---- */

bool sem_show(unsigned *index, char *line, size_t size)
{
    const struct set *s;

    mutex_lock(&sem.lock);
    s = set_of(ipc_next(&sem.table, index));
    if (s != NULL)
        snprintf(line, size, "%10d %10d  %4o %10lu %5u %5u %5u %5u %10ld %10ld\n", s->ds.perm.key, s->ipc.id,
                 s->ds.perm.mode, s->ds.count, s->ds.perm.uid, s->ds.perm.gid, s->ds.perm.cuid, s->ds.perm.cgid,
                 s->ds.used_at, s->ds.changed_at);
    mutex_unlock(&sem.lock);
    return s != NULL;
}
