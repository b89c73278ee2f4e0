/*
 * Process ids. A number is in use as long as a task has it or a process group or a session is named by it, so that a
 * new process never becomes the leader of an old group. Numbers go up and wrap at PID_MAX; after the first turn those
 * below FIRST_AGAIN stay free for daemons.
 *
 * Lock: task_lock for everything.
 */
#include "lib/radix.h"
#include "proc/internal.h"
#include "vm/kmalloc.h"

#define FIRST_AGAIN 300

struct spinlock task_lock = SPINLOCK_INIT;

static struct radix pids;
static int last;

int last_pid(void) { return load_relaxed(&last); }
struct pid *pid_lookup(int number) { return number <= 0 ? NULL : radix_get(&pids, (u64)number); }
struct pid *pid_next(u64 number) { return radix_next(&pids, &number); }

/* 0 when there is none. */
static int find_free(void)
{
    int candidate = last;

    for (int i = 0; i < PID_MAX; i++) {
        candidate = candidate + 1 >= PID_MAX ? FIRST_AGAIN : candidate + 1;
        if (pid_lookup(candidate) == NULL)
            return candidate;
    }
    return 0;
}

struct pid *pid_alloc(void)
{
    int number = find_free(), error;
    struct pid *pid;

    ASSERT(spin_is_locked(&task_lock));
    if (number == 0)
        return ERR_PTR(-EAGAIN);
    pid = kmalloc_nowait(sizeof(*pid));
    if (pid == NULL)
        return ERR_PTR(-ENOMEM);
    *pid = (struct pid){.number = number, .users = 1};
    list_init(&pid->group);
    list_init(&pid->session);
    error = radix_insert(&pids, (u64)number, pid);
    if (error != 0) {
        kfree(pid);
        return ERR_PTR(error);
    }
    store_relaxed(&last, number);
    return pid;
}

void pid_put(struct pid *pid)
{
    ASSERT(spin_is_locked(&task_lock) && pid->users > 0);
    if (--pid->users > 0)
        return;
    radix_remove(&pids, (u64)pid->number);
    kfree(pid);
}
