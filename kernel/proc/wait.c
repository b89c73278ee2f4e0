/*
 * Waiting for children: wait4(2), waitid(2). A child is reported when it is a zombie (and then reaped, unless
 * WNOWAIT), when it has stopped, or when it was continued. Any thread of a process waits for the children of all.
 */
#include "fs/vfs.h"
#include "lib/syscall.h"
#include "proc/internal.h"
#include "proc/pidfd.h"
#include "proc/usage.h"
#include "vm/uaccess.h"

#define WNOHANG 1
#define WUNTRACED 2
#define WEXITED 4
#define WCONTINUED 8
#define WNOWAIT 0x01000000
#define WNOTHREAD 0x20000000
#define WALL 0x40000000
#define WCLONE 0x80000000u
enum { P_ALL, P_PID, P_PGID, P_PIDFD };
#define STATUS_CONTINUED 0xffff

struct wait_request {
    int type;                      /* P_* */
    int id;                        /* P_PGID: 0 = the caller's group */
    const struct process *process; /* P_PIDFD */
    unsigned options;
    /* out */
    int pid, code, status; /* code: CLD_*; status: as wait4 has it */
    u32 uid;
    struct usage usage;
};

static bool is_meant(const struct process *child, const struct wait_request *w)
{
    bool is_clone = child->exit_signal != SIGCHLD;

    if (w->type == P_PID && child->pid->number != w->id)
        return false;
    if (w->type == P_PIDFD && child != w->process)
        return false;
    if (w->type == P_PGID && child->group->number != w->id)
        return false;
    return (w->options & WALL) || is_clone == ((w->options & WCLONE) != 0);
}

static void report(const struct process *child, struct wait_request *w, int code, int status)
{
    w->pid = child->pid->number;
    w->uid = child->leader->thread.cred->uid;
    w->code = code;
    w->status = status;
    w->usage = child->dead_threads;
    process_add_usage(&w->usage, &child->children_usage);
}

/* => task_lock */
static void reap(struct process *child, struct wait_request *w)
{
    struct process *self = current_process();

    report(child, w, child->exit_code & 0x7f ? CLD_KILLED : CLD_EXITED, child->exit_code);
    if (w->options & WNOWAIT)
        return;
    spin_lock(&self->signal_lock);
    process_add_usage(&self->children_usage, &w->usage);
    spin_unlock(&self->signal_lock);
    process_release(child);
}

/* True if CHILD has something to tell that W asks for. => task_lock */
static bool collect(struct process *child, struct wait_request *w)
{
    bool found = true;

    if (child->is_zombie) {
        if (!(w->options & WEXITED))
            return false;
        reap(child, w);
        return true;
    }
    spin_lock(&child->signal_lock);
    if ((w->options & WUNTRACED) && child->stop_unreported) {
        report(child, w, CLD_STOPPED, child->stop_signal << 8 | 0x7f);
        if (!(w->options & WNOWAIT))
            child->stop_unreported = false;
    } else if ((w->options & WCONTINUED) && child->continue_unreported) {
        report(child, w, CLD_CONTINUED, STATUS_CONTINUED);
        if (!(w->options & WNOWAIT))
            child->continue_unreported = false;
    } else {
        found = false;
    }
    spin_unlock(&child->signal_lock);
    return found;
}

/* 1: W is filled in; 0: nothing yet; -ECHILD: nobody to wait for. */
static int look(struct wait_request *w)
{
    struct process *self = current_process(), *child, *next;
    u64 flags = spin_lock_irqsave(&task_lock);
    int result = -ECHILD;

    list_for_each_safe(child, next, &self->children, sibling_link) {
        if (!is_meant(child, w))
            continue;
        /* One that has ended will not stop or go on any more. */
        if (!child->is_zombie || (w->options & WEXITED))
            result = 0;
        if (collect(child, w)) {
            result = 1;
            break;
        }
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return result;
}

/* 1, 0 (WNOHANG), -ECHILD, -ERESTARTSYS */
static int wait_for_child(struct wait_request *w)
{
    int result, interrupted = 0;

    proc_reap_dead();
    if (w->options & WNOHANG)
        result = look(w);
    else
        interrupted = wait_event_interruptible(&current_process()->wait_children, (result = look(w)) != 0);
    if (interrupted != 0)
        return -ERESTARTSYS;
    if (result == 1)
        proc_reap_dead();
    return result;
}

DEFINE_SYSCALL(sys_wait4)
{
    int pid = (int)a0;
    struct wait_request w = {.options = (unsigned)a2 | WEXITED};
    struct user_rusage usage;
    int result;

    if ((unsigned)a2 & ~(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE))
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid > 0) {
        w.type = P_PID;
        w.id = pid;
    } else if (pid != -1) {
        w.type = P_PGID;
        w.id = pid == 0 ? process_group_id(current_process()) : -pid;
    }
    result = wait_for_child(&w);
    if (result <= 0)
        return result;
    usage_to_user(&usage, &w.usage);
    if (a1 != 0 && put_user_u32((u32)w.status, (u32 *)a1) != 0)
        return -EFAULT;
    if (a3 != 0 && copy_to_user((void *)a3, &usage, sizeof(usage)) != 0)
        return -EFAULT;
    return w.pid;
}

static int siginfo_status(const struct wait_request *w)
{
    switch (w->code) {
    case CLD_EXITED:
        return w->status >> 8 & 0xff;
    case CLD_STOPPED:
        return w->status >> 8;
    case CLD_CONTINUED:
        return SIGCONT;
    default:
        return w->status & 0x7f;
    }
}

/* The descriptor that W names becomes its process, which *HELD keeps. A descriptor that does not block does not here
 * either. */
static int resolve_pidfd(struct wait_request *w, struct process **held, bool *nonblock)
{
    *held = pidfd_process(w->id, nonblock);
    if (IS_ERR(*held))
        return (int)PTR_ERR(*held);
    w->process = *held;
    if (*nonblock)
        w->options |= WNOHANG;
    return 0;
}

DEFINE_SYSCALL(sys_waitid)
{
    struct process *held = NULL;
    bool nonblock = false;
    struct wait_request w = {.type = (int)a0, .id = (int)a1, .options = (unsigned)a3};
    struct siginfo info = {0};
    struct user_rusage usage;
    int result;

    if (w.options & ~(WNOHANG | WNOWAIT | WEXITED | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE))
        return -EINVAL;
    if (!(w.options & (WEXITED | WUNTRACED | WCONTINUED)))
        return -EINVAL;
    if (w.type < P_ALL || w.type > P_PIDFD)
        return -EINVAL;
    if ((w.type == P_PID && w.id <= 0) || ((w.type == P_PGID || w.type == P_PIDFD) && w.id < 0))
        return -EINVAL;
    if (w.type == P_PGID && w.id == 0)
        w.id = process_group_id(current_process());
    if (w.type == P_PIDFD) {
        result = resolve_pidfd(&w, &held, &nonblock);
        if (result != 0)
            return result;
    }
    result = wait_for_child(&w);
    if (held != NULL)
        process_put(held);
    if (result < 0)
        return result;
    if (result == 0 && nonblock && !((unsigned)a3 & WNOHANG))
        return -EAGAIN;
    if (result == 1) {
        info.signo = SIGCHLD;
        info.code = w.code;
        info.child.pid = w.pid;
        info.child.uid = w.uid;
        info.child.status = siginfo_status(&w);
        usage_to_user(&usage, &w.usage);
        if (a4 != 0 && copy_to_user((void *)a4, &usage, sizeof(usage)) != 0)
            return -EFAULT;
    }
    /* Only these fields are written (waitid(2)): the rest of the user's structure stays as it is. */
    if (a2 != 0 && copy_to_user((void *)a2, &info, offsetof(struct siginfo, child.pad)) != 0)
        return -EFAULT;
    return 0;
}
