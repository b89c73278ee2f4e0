/*
 * Tasks: memory, look-up by number, and what others may see of one.
 *
 * Life: task_alloc -> clone.c links it -> runs -> exit.c -> (the leader of a process stays as a zombie until wait4) ->
 * task_release takes it out of its process -> the last task_put frees the stack and the memory. A task cannot free the
 * stack that it runs on: it leaves itself in the list of the dead, and the next task that exits, waits or is cloned
 * drops that reference.
 */
#include "fs/vfs.h"
#include "lib/string.h"
#include "proc/internal.h"
#include "vm/kmalloc.h"
#include "vm/space.h"

u64 n_tasks;
static struct list dead_tasks = LIST_INIT(dead_tasks); /* struct task.dead_link; task_lock */

u64 task_count(void)
{
    proc_reap_dead();
    return load_relaxed(&n_tasks);
}

struct task *task_alloc(const char *name)
{
    struct task *t = kmalloc(sizeof(*t));

    if (t == NULL)
        return NULL;
    memset((char *)t + sizeof(t->thread), 0, sizeof(*t) - sizeof(t->thread));
    if (thread_init(&t->thread, name) != 0) {
        kfree(t);
        return NULL;
    }
    t->thread.flags = THREAD_USER;
    t->refs = 1;
    list_init(&t->thread_link);
    list_init(&t->dead_link);
    sigpending_init(&t->pending);
    t->altstack.flags = 2; /* SS_DISABLE */
    t->timer_slack = 50 * NSEC_PER_USEC;
    t->memory_error_policy = 2; /* PR_MCE_KILL_DEFAULT */
    atomic_add_relaxed(&n_tasks, 1);
    return t;
}

void task_put(struct task *t)
{
    if (atomic_sub(&t->refs, 1) > 0)
        return;
    thread_release(&t->thread);
    sigpending_flush(&t->pending);
    if (t->thread.cred != NULL)
        cred_put(t->thread.cred);
    if (t->process != NULL)
        process_put(t->process);
    kfree(t);
    atomic_sub(&n_tasks, 1);
}

void task_bury(struct task *t) { list_add_tail(&dead_tasks, &t->dead_link); }

void proc_reap_dead(void)
{
    while (!list_empty(&dead_tasks)) {
        u64 flags = spin_lock_irqsave(&task_lock);
        struct task *t = list_empty(&dead_tasks) ? NULL : list_first(&dead_tasks, struct task, dead_link);

        if (t != NULL)
            list_remove(&t->dead_link);
        spin_unlock_irqrestore(&task_lock, flags);
        if (t != NULL)
            task_put(t);
    }
}

void task_release(struct task *t)
{
    struct process *p = t->process;

    ASSERT(spin_is_locked(&task_lock) && t->is_exiting);
    spin_lock(&p->signal_lock);
    list_remove(&t->thread_link);
    p->n_threads--;
    spin_unlock(&p->signal_lock);
    t->pid->task = NULL;
    pid_put(t->pid);
    store_relaxed(&t->pid, NULL);
}

/* ---- look-up ---- */

/* Ids of the current task and its process need no lock: they stay as long as it runs. */
int task_tid(const struct task *t)
{
    u64 flags;
    int tid;

    if (t == current_task())
        return t->pid->number;
    flags = spin_lock_irqsave(&task_lock);
    tid = t->pid != NULL ? t->pid->number : 0;
    spin_unlock_irqrestore(&task_lock, flags);
    return tid;
}

int task_pid(const struct task *t) { return process_pid(t->process); }

struct task *task_find(int tid)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct pid *pid = pid_lookup(tid);
    struct task *t = pid != NULL ? pid->task : NULL;

    if (t != NULL)
        task_get(t);
    spin_unlock_irqrestore(&task_lock, flags);
    return t;
}

/* ---- what others see ---- */

char task_state(const struct task *t)
{
    if (t->is_exiting && load_relaxed(&t->thread.state) == THREAD_DEAD)
        return 'Z';
    switch (load_relaxed(&t->thread.state)) {
    case THREAD_RUNNABLE:
        return 'R';
    case THREAD_INTERRUPTIBLE:
        return 'S';
    case THREAD_STOPPED:
        return 'T';
    case THREAD_DEAD:
        return 'X';
    default:
        return 'D';
    }
}

struct cred *task_cred_locked(const struct task *t)
{
    cred_get(t->thread.cred);
    return t->thread.cred;
}

struct cred *task_cred(const struct task *t)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct cred *c = task_cred_locked(t);

    spin_unlock_irqrestore(&task_lock, flags);
    return c;
}

/* The pointers below change under task_lock in exec.c, exit.c and unshare. */
struct space *task_space(struct task *t)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct space *s = t->is_exiting ? NULL : t->thread.space;

    if (s != NULL)
        space_get(s);
    spin_unlock_irqrestore(&task_lock, flags);
    return s;
}

struct space *task_space_guarded(struct task *t, bool (*may_look)(struct task *))
{
    bool allowed = may_look(t);
    struct space *s = task_space(t);

    if (s == NULL || (allowed && may_look(t)))
        return s;
    space_put(s);
    return ERR_PTR(-EACCES);
}

struct fd_table *task_files(struct task *t)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct fd_table *f = t->is_exiting ? NULL : t->thread.files;

    if (f != NULL)
        fd_table_get(f);
    spin_unlock_irqrestore(&task_lock, flags);
    return f;
}

struct fs_context *task_fs(struct task *t)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct fs_context *c = t->is_exiting ? NULL : t->thread.fs;

    if (c != NULL)
        fs_context_get(c);
    spin_unlock_irqrestore(&task_lock, flags);
    return c;
}

void task_usage(struct task *t, struct usage *u)
{
    *u = (struct usage){.switches_voluntary = t->thread.switches_voluntary,
                        .switches_forced = t->thread.switches_forced};
    sched_account(&t->thread, &u->time.user_ns, &u->time.system_ns);
}
