/*
 * System calls on signals: rt_sigaction(2), rt_sigprocmask(2), kill(2), tgkill(2), rt_sigqueueinfo(2), sigsuspend(2),
 * sigwaitinfo(2), sigaltstack(2).
 */
#include "lib/string.h"
#include "fs/vfs.h"
#include "proc/internal.h"
#include "proc/pidfd.h"
#include "proc/sigaltstack.h"
#include "proc/signalfd.h"
#include "sys/syscall.h"
#include "sys/user_time.h"
#include "vm/uaccess.h"

enum { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };

static bool is_signal(int sig) { return sig >= 1 && sig <= SIGNAL_MAX; }
static bool may_be_set(int sig) { return is_signal(sig) && !(SIGNAL_BIT(sig) & SIGNALS_UNBLOCKABLE); }

/* ---- actions and masks ---- */

/* A signal that is ignored from now on is not pending any more. => signal_lock */
static void forget_pending(struct process *p, int sig)
{
    struct task *t;

    sigpending_remove(&p->pending, SIGNAL_BIT(sig));
    list_for_each(t, &p->threads, thread_link)
        sigpending_remove(&t->pending, SIGNAL_BIT(sig));
}

static bool is_ignored_by(int sig, const struct sigaction *a)
{
    return a->handler == SIG_IGN || (a->handler == SIG_DFL && signal_default_is_ignore(sig));
}

static noinline_fn void ignore_signal(struct process *p, int sig)
{
    u64 flags = spin_lock_irqsave(&p->signal_lock);

    spin_lock(&p->sighand->lock);
    if (is_ignored_by(sig, &p->sighand->action[sig - 1]))
        forget_pending(p, sig);
    spin_unlock(&p->sighand->lock);
    spin_unlock_irqrestore(&p->signal_lock, flags);
}

/* P is the own process: its actions are replaced by execve alone, when it has no other thread. OLD: NULL if nobody
 * wants to know. */
static inline void set_action(struct process *p, int sig, const struct sigaction *new, struct sigaction *old)
{
    struct sighand *s = p->sighand;
    struct sigaction *action = &s->action[sig - 1];

    irq_disable();
    spin_lock(&s->lock);
    if (old != NULL)
        *old = *action;
    *action = *new;
    spin_unlock(&s->lock);
    irq_enable();
    if (is_ignored_by(sig, new))
        ignore_signal(p, sig);
}

/* What an action may say. */
static inline struct sigaction allowed_action(struct sigaction a)
{
    a.mask &= ~SIGNALS_UNBLOCKABLE;
    a.flags &= SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND |
               SA_EXPOSE_TAGBITS;
    return a;
}

/* Where user memory holds an action in one piece, which most do, it is copied straight between there and its place:
 * posix_spawn(3) asks for and sets all of them. */
static inline bool is_in_one_piece(u64 user)
{
    return IS_ALIGNED(user, 8) && user_is_in_page(user, sizeof(struct sigaction));
}

/* Only asked for. */
static noinline_fn long get_action(int sig, u64 user)
{
    struct sighand *s = current_process()->sighand;
    struct sigaction old, *to;
    u64 flags;

    if (!is_signal(sig))
        return -EINVAL;
    if (user == 0)
        return 0;
    if (likely(is_in_one_piece(user))) {
        to = user_pin_write(user);
        if (unlikely(to == NULL))
            return -EFAULT;
        spin_lock(&s->lock);
        *to = s->action[sig - 1];
        spin_unlock(&s->lock);
        user_unpin();
        return 0;
    }
    flags = spin_lock_irqsave(&s->lock);
    old = s->action[sig - 1];
    spin_unlock_irqrestore(&s->lock, flags);
    return copy_to_user((void *)user, &old, sizeof(old));
}

/* Nobody wants to know the old one. */
static noinline_fn long set_only(int sig, u64 user)
{
    struct process *p = current_process();
    struct sighand *s = p->sighand;
    const struct sigaction *from;
    struct sigaction new;

    from = user_pin_read(user);
    if (unlikely(from == NULL))
        return -EFAULT;
    new = allowed_action(
        (struct sigaction){load_relaxed(&from->handler), load_relaxed(&from->flags), load_relaxed(&from->mask)});
    spin_lock(&s->lock);
    s->action[sig - 1] = new;
    spin_unlock(&s->lock);
    user_unpin();
    if (unlikely(is_ignored_by(sig, &new)))
        ignore_signal(p, sig);
    return 0;
}

static noinline_fn long replace_action(int sig, u64 user_new, u64 user_old)
{
    struct sigaction new, old;

    if (get_user_words(&new, user_new, sizeof(new)) != 0)
        return -EFAULT;
    if (!may_be_set(sig))
        return -EINVAL;
    new = allowed_action(new);
    set_action(current_process(), sig, &new, user_old != 0 ? &old : NULL);
    return user_old != 0 ? put_user_words(user_old, &old, sizeof(old)) : 0;
}

DEFINE_SYSCALL(sys_rt_sigaction)
{
    if (a3 != SIGSET_SIZE)
        return -EINVAL;
    if (a1 != 0)
        return a2 == 0 && may_be_set((int)a0) && is_in_one_piece(a1) ? set_only((int)a0, a1)
                                                                     : replace_action((int)a0, a1, a2);
    return get_action((int)a0, a2);
}

DEFINE_SYSCALL(sys_rt_sigprocmask)
{
    struct task *t = current_task();
    u64 old = t->blocked, set;

    if (a3 != SIGSET_SIZE)
        return -EINVAL;
    if (a1 != 0) {
        if (get_user_u64(&set, (const u64 *)a1) != 0)
            return -EFAULT;
        switch ((int)a0) {
        case SIG_BLOCK:
            signal_set_mask(old | set);
            break;
        case SIG_UNBLOCK:
            signal_set_mask(old & ~set);
            break;
        case SIG_SETMASK:
            signal_set_mask(set);
            break;
        default:
            return -EINVAL;
        }
    }
    return a2 != 0 ? put_user_u64(old, (u64 *)a2) : 0;
}

DEFINE_SYSCALL(sys_rt_sigpending)
{
    struct task *t = current_task();
    u64 flags, set;

    if (a1 > SIGSET_SIZE)
        return -EINVAL;
    flags = spin_lock_irqsave(&t->process->signal_lock);
    set = (t->pending.set | t->process->pending.set) & t->blocked;
    spin_unlock_irqrestore(&t->process->signal_lock, flags);
    return copy_to_user((void *)a0, &set, a1);
}

DEFINE_SYSCALL(sys_rt_sigsuspend)
{
    struct task *t = current_task();
    u64 mask;

    if (a1 != SIGSET_SIZE)
        return -EINVAL;
    if (get_user_u64(&mask, (const u64 *)a0) != 0)
        return -EFAULT;
    t->saved_mask = t->blocked;
    signal_set_mask(mask);
    t->restore_mask = true;
    while (!signal_pending()) {
        store_relaxed(&current->state, THREAD_INTERRUPTIBLE);
        memory_barrier(); /* the state before the look at the flag: signal_wake does it in the other order */
        if (!signal_pending())
            schedule();
        store_relaxed(&current->state, THREAD_RUNNABLE);
    }
    return -ERESTARTNOHAND;
}

/* ---- waiting for signals ---- */

/* Takes one of SET that is pending: its number, or 0. */
static int take_pending(struct task *t, u64 set, struct siginfo *info)
{
    u64 flags = spin_lock_irqsave(&t->process->signal_lock);
    int sig = signal_dequeue(t, ~set, info);

    signal_recalculate(t);
    spin_unlock_irqrestore(&t->process->signal_lock, flags);
    return sig;
}

static void set_awaited(struct task *t, u64 set)
{
    u64 flags = spin_lock_irqsave(&t->process->signal_lock);

    t->awaited = set;
    spin_unlock_irqrestore(&t->process->signal_lock, flags);
}

static bool is_any_pending(struct task *t, u64 set)
{
    return ((load_relaxed(&t->pending.set) | load_relaxed(&t->process->pending.set)) & set) != 0;
}

/* Sleeps until one of SET is pending, another signal comes, or DEADLINE. */
static void wait_for(struct task *t, u64 set, u64 deadline)
{
    int timed_out = 0;

    set_awaited(t, set);
    while (timed_out == 0 && !is_any_pending(t, set) && !signal_pending()) {
        store_relaxed(&current->state, THREAD_INTERRUPTIBLE);
        memory_barrier();
        if (is_any_pending(t, set) || signal_pending())
            break;
        timed_out = schedule_until(deadline);
    }
    store_relaxed(&current->state, THREAD_RUNNABLE);
    set_awaited(t, 0);
}

DEFINE_SYSCALL(sys_rt_sigtimedwait)
{
    struct task *t = current_task();
    struct siginfo info;
    u64 set, timeout = NO_DEADLINE, deadline = NO_DEADLINE;
    int sig;

    if (a3 != SIGSET_SIZE)
        return -EINVAL;
    if (get_user_u64(&set, (const u64 *)a0) != 0)
        return -EFAULT;
    if (a2 != 0) {
        int error = get_user_timespec(&timeout, a2);

        if (error != 0)
            return error;
        deadline = deadline_after(timeout);
    }
    set &= ~SIGNALS_UNBLOCKABLE;
    sig = take_pending(t, set, &info);
    if (sig == 0 && timeout != 0) {
        wait_for(t, set, deadline);
        sig = take_pending(t, set, &info);
    }
    if (sig == 0)
        return signal_pending() && timeout != 0 ? -EINTR : -EAGAIN;
    if (a1 != 0 && siginfo_to_user((void *)a1, &info) != 0)
        return -EFAULT;
    return sig;
}

/* ---- sending ---- */

/* Who may signal whom (kill(2)): same user, or CAP_KILL; SIGCONT within a session. => task_lock */
static bool may_signal(const struct task *target, int sig)
{
    const struct cred *own = current->cred, *other = target->thread.cred;

    if (target->process == current_process())
        return true;
    if (own->euid == other->suid || own->euid == other->uid || own->uid == other->suid || own->uid == other->uid)
        return true;
    if (capable(own, CAP_KILL))
        return true;
    return sig == SIGCONT && target->process->session == current_process()->session;
}

static struct siginfo own_info(int sig, int code)
{
    return (struct siginfo){
        .signo = sig, .code = code, .rt = {.pid = process_pid(current_process()), .uid = current->cred->uid}};
}

/* => task_lock */
static int send_checked(struct process *p, struct task *t, const struct siginfo *info)
{
    if (info->signo != 0 && !is_signal(info->signo))
        return -EINVAL;
    if (!may_signal(t != NULL ? t : p->leader, info->signo))
        return -EPERM;
    return info->signo == 0 ? 0 : signal_send(p, t, info);
}

/* => task_lock. 0 if one could be signalled, else the last error. */
static int kill_group(const struct pid *group, const struct siginfo *info)
{
    struct process *p;
    int result = -ESRCH;

    if (group == NULL)
        return -ESRCH;
    list_for_each(p, &group->group, group_link) {
        int error = send_checked(p, NULL, info);

        if (result != 0)
            result = error;
    }
    return result;
}

/* All but init and the caller. => task_lock */
static int kill_everybody(const struct siginfo *info)
{
    struct process *p;
    int result = -ESRCH;

    list_for_each(p, &all_processes, all_link) {
        int error;

        if (p == init_process || p == current_process())
            continue;
        error = send_checked(p, NULL, info);
        if (error != -EPERM)
            result = error;
        else if (result == -ESRCH)
            result = error;
    }
    return result;
}

DEFINE_SYSCALL(sys_kill)
{
    int pid = (int)a0, sig = (int)a1, error = -ESRCH;
    struct task *t = current_task();
    struct siginfo info;
    struct pid *found;
    u64 flags;

    if (pid == INT32_MIN)
        return -ESRCH;
    if (t == t->process->leader && pid == t->process->pid->number && is_signal(sig) && signal_send_own(sig, SI_USER))
        return 0;
    info = own_info(sig, SI_USER);
    flags = spin_lock_irqsave(&task_lock);
    if (pid > 0) {
        found = pid_lookup(pid);
        if (found != NULL && found->task != NULL)
            error = send_checked(found->task->process, NULL, &info);
    } else if (pid == -1) {
        error = kill_everybody(&info);
    } else {
        error = kill_group(pid == 0 ? current_process()->group : pid_lookup(-pid), &info);
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return error;
}

/* To thread TID, of process PID if that is not 0. */
static int send_to_thread(int pid, int tid, const struct siginfo *info)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct pid *found = pid_lookup(tid);
    struct task *t = found != NULL ? found->task : NULL;
    int error = -ESRCH;

    if (t != NULL && (pid == 0 || t->process->pid->number == pid))
        error = send_checked(t->process, t, info);
    spin_unlock_irqrestore(&task_lock, flags);
    return error;
}

DEFINE_SYSCALL(sys_tkill)
{
    struct siginfo info = own_info((int)a1, SI_TKILL);

    if ((int)a0 <= 0)
        return -EINVAL;
    return send_to_thread(0, (int)a0, &info);
}

DEFINE_SYSCALL(sys_tgkill)
{
    struct task *t = current_task();
    int sig = (int)a2;
    struct siginfo info;

    if ((int)a0 <= 0 || (int)a1 <= 0)
        return -EINVAL;
    if ((int)a1 == t->pid->number && (int)a0 == t->process->pid->number && is_signal(sig) &&
        signal_send_own(sig, SI_TKILL))
        return 0; /* raise(3) */
    info = own_info(sig, SI_TKILL);
    return send_to_thread((int)a0, (int)a1, &info);
}

/* A siginfo that a program made up. It may not look as if the kernel or kill() had sent it, but to oneself. */
static int get_siginfo(struct siginfo *info, u64 user, int sig, int target_pid)
{
    if (copy_from_user(info, (const void *)user, sizeof(*info)) != 0)
        return -EFAULT;
    info->signo = sig;
    if ((info->code >= 0 || info->code == SI_TKILL) && target_pid != process_pid(current_process()))
        return -EPERM;
    return sig != 0 && !is_signal(sig) ? -EINVAL : 0;
}

DEFINE_SYSCALL(sys_rt_sigqueueinfo)
{
    struct siginfo info;
    int pid = (int)a0, error = get_siginfo(&info, a2, (int)a1, pid);
    struct pid *found;
    u64 flags;

    if (error != 0)
        return error;
    flags = spin_lock_irqsave(&task_lock);
    found = pid_lookup(pid);
    error = found != NULL && found->task != NULL ? send_checked(found->task->process, NULL, &info) : -ESRCH;
    spin_unlock_irqrestore(&task_lock, flags);
    return error;
}

DEFINE_SYSCALL(sys_rt_tgsigqueueinfo)
{
    struct siginfo info;
    int error;

    if ((int)a0 <= 0 || (int)a1 <= 0)
        return -EINVAL;
    error = get_siginfo(&info, a3, (int)a2, (int)a0);
    return error != 0 ? error : send_to_thread((int)a0, (int)a1, &info);
}

/* si_signo as the program wrote it; 0 when it cannot be read. */
static int signo_of_user(u64 user)
{
    u32 signo = 0;

    return get_user_u32(&signo, (const u32 *)user) == 0 ? (int)signo : 0;
}

#define PIDFD_SIGNAL_THREAD 1
#define PIDFD_SIGNAL_THREAD_GROUP 2
#define PIDFD_SIGNAL_PROCESS_GROUP 4 /* the group with the process's number */

DEFINE_SYSCALL(sys_pidfd_send_signal)
{
    int sig = (int)a1, error = 0;
    struct siginfo info = own_info(sig, SI_USER);
    struct process *p;
    u64 flags;

    if ((u32)a3 != 0 && (u32)a3 != PIDFD_SIGNAL_THREAD && (u32)a3 != PIDFD_SIGNAL_THREAD_GROUP &&
        (u32)a3 != PIDFD_SIGNAL_PROCESS_GROUP)
        return -EINVAL;
    p = pidfd_or_folder_process((int)a0);
    if (IS_ERR(p))
        return PTR_ERR(p);
    if (a2 != 0) {
        error = get_siginfo(&info, a2, sig, process_pid(p));
        if (error == 0 && signo_of_user(a2) != sig)
            error = -EINVAL; /* the two must agree */
    }
    flags = spin_lock_irqsave(&task_lock);
    if (error == 0 && p->leader == NULL)
        error = -ESRCH;
    if (error == 0)
        error = (u32)a3 == PIDFD_SIGNAL_PROCESS_GROUP
                    ? kill_group(pid_lookup(p->pid->number), &info)
                    : send_checked(p, (u32)a3 == PIDFD_SIGNAL_THREAD ? p->leader : NULL, &info);
    spin_unlock_irqrestore(&task_lock, flags);
    process_put(p);
    return error;
}

/* ---- signalfd ---- */

DEFINE_SYSCALL(sys_signalfd4)
{
    u32 flags = (u32)a3;
    struct file *file;
    u64 mask;
    int result;

    if ((flags & ~(u32)(O_CLOEXEC | O_NONBLOCK)) || a2 != SIGSET_SIZE)
        return -EINVAL;
    if (get_user_u64(&mask, (const u64 *)a1) != 0)
        return -EFAULT;
    if ((int)a0 != -1) {
        file = fd_get((int)a0);
        if (file == NULL)
            return -EBADF;
        result = signalfd_set_mask(file, mask);
        file_put(file);
        return result != 0 ? result : (int)a0;
    }
    return fd_give(signalfd_create(mask, flags), (flags & O_CLOEXEC) != 0);
}

/* ---- sigaltstack, restart_syscall ---- */

DEFINE_SYSCALL(sys_sigaltstack)
{
    struct task *t = current_task();
    struct sigaltstack new, old = t->altstack;
    u64 sp = thread_regs(current)->x[REG_SP];
    int error;

    old.flags = (s32)((u32)altstack_state(&old, sp) | ((u32)old.flags & SS_AUTODISARM));
    old.pad = 0;
    if (a0 != 0) {
        if (copy_from_user(&new, (const void *)a0, sizeof(new)) != 0)
            return -EFAULT;
        error = altstack_set(&new, sp);
        if (error != 0)
            return error;
    }
    return a1 != 0 ? copy_to_user((void *)a1, &old, sizeof(old)) : 0;
}

long restart_later(long (*fn)(const u64 args[RESTART_ARGS]), u64 a, u64 b, u64 c, u64 d, u64 e)
{
    current_task()->restart = (struct restart){.fn = fn, .args = {a, b, c, d, e}};
    return -ERESTART_RESTARTBLOCK;
}

DEFINE_SYSCALL(sys_restart_syscall)
{
    struct restart r = current_task()->restart;

    if (r.fn == NULL)
        return -EINTR;
    current_task()->restart.fn = NULL;
    return r.fn(r.args);
}
