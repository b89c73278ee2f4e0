/*
 * Whom a signal goes to that is sent on somebody's behalf later: a thread, a process or a group, and with whose rights.
 * The target keeps the number from being given to another. Guarded by task_lock; sending works in interrupts.
 */
#include "proc/internal.h"

/* => task_lock */
static bool exists(enum signal_target_kind kind, const struct pid *pid)
{
    if (pid == NULL)
        return false;
    switch (kind) {
    case TARGET_THREAD:
        return pid->task != NULL;
    case TARGET_PROCESS:
        return pid->task != NULL && pid->task == pid->task->process->leader;
    default:
        return !list_empty(&pid->group);
    }
}

int signal_target_set(struct signal_target *target, enum signal_target_kind kind, int number)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct pid *pid = number != 0 ? pid_lookup(number) : NULL, *old = target->pid;
    int error = number != 0 && !exists(kind, pid) ? -ESRCH : 0;

    if (error == 0) {
        if (pid != NULL)
            pid_use(pid);
        *target = (struct signal_target){kind, pid, current->cred->uid, current->cred->euid};
        if (old != NULL)
            pid_put(old);
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return error;
}

int signal_target_get(const struct signal_target *target, enum signal_target_kind *kind)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    int number = exists(target->kind, target->pid) ? target->pid->number : 0;

    *kind = target->kind;
    spin_unlock_irqrestore(&task_lock, flags);
    return number;
}

/* fcntl(2), F_SETOWN: as if who set the target sent it with kill. => task_lock */
static bool is_allowed(const struct signal_target *target, const struct task *t)
{
    const struct cred *other = t->thread.cred;

    return target->euid == 0 || target->euid == other->suid || target->euid == other->uid ||
           target->uid == other->suid || target->uid == other->uid;
}

/* A real-time signal for which there is no room becomes SIGIO. => task_lock */
static void send(const struct signal_target *target, struct process *p, struct task *t, const struct siginfo *info)
{
    const struct siginfo instead = {.signo = SIGIO, .code = SI_KERNEL};

    if (is_allowed(target, t != NULL ? t : p->leader) && signal_send(p, t, info) == -EAGAIN)
        signal_send(p, t, &instead);
}

void signal_target_send(const struct signal_target *target, const struct siginfo *info)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct process *p;

    if (!exists(target->kind, target->pid)) {
        ;
    } else if (target->kind == TARGET_GROUP) {
        list_for_each(p, &target->pid->group, group_link)
            send(target, p, NULL, info);
    } else {
        struct task *t = target->pid->task;

        send(target, t->process, target->kind == TARGET_THREAD ? t : NULL, info);
    }
    spin_unlock_irqrestore(&task_lock, flags);
}
