/*
 * Taking signals on the way back to user mode: default actions, the restart of interrupted system calls, and entering
 * handlers (signal(7), "Interruption of system calls and library functions by signal handlers").
 *
 * A call that wants to be restarted has left -ERESTART... in a0:
 *
 *                          no handler runs       handler with SA_RESTART     handler without
 *   ERESTARTSYS            again                 again                       EINTR
 *   ERESTARTNOHAND         again                 EINTR                       EINTR
 *   ERESTARTNOINTR         again                 again                       again
 *   ERESTART_RESTARTBLOCK  restart_syscall(2)    EINTR                       EINTR
 */
#include "proc/internal.h"
#include "sched/sched.h"

#define NR_RESTART_SYSCALL 128
#define ECALL_SIZE 4

/* The entry of SIG leaves PENDING; the bit stays while there are more. */
static void take(struct sigpending *pending, int sig, struct siginfo *info)
{
    struct sigqueue *q, *next, *found = NULL;
    struct ptimer *timer;
    bool more = false;

    list_for_each_safe(q, next, &pending->queue, link) {
        if (q->info.signo != sig)
            continue;
        if (found != NULL) {
            more = true;
            break;
        }
        found = q;
    }
    if (!more)
        pending->set &= ~SIGNAL_BIT(sig);
    if (found == NULL) {
        *info = (struct siginfo){.signo = sig, .code = SI_USER};
        return;
    }
    *info = found->info;
    timer = found->user == NULL ? found->ptimer : NULL;
    sigqueue_free(found);
    if (timer != NULL)
        ptimer_signal_taken(timer, info);
}

int signal_dequeue(struct task *t, u64 mask, struct siginfo *info)
{
    struct sigpending *pending = &t->pending;
    u64 set = t->pending.set & ~mask;
    int sig;

    if (set & SIGNALS_SYNCHRONOUS)
        set &= SIGNALS_SYNCHRONOUS;
    if (set == 0) {
        pending = &t->process->pending;
        set = pending->set & ~mask;
    }
    if (set == 0)
        return 0;
    sig = __builtin_ctzll(set) + 1;
    take(pending, sig, info);
    if (signal_default_is_stop(sig))
        t->process->stop_dequeued = true;
    return sig;
}

/* A terminal's stop signals do nothing to an orphaned group: nobody could continue it. => signal_lock, which is
 * released meanwhile */
static bool stop_is_allowed(struct process *p, int sig, u64 *flags)
{
    bool orphaned;

    if (sig == SIGSTOP)
        return true;
    spin_unlock_irqrestore(&p->signal_lock, *flags);
    *flags = spin_lock_irqsave(&task_lock);
    orphaned = group_is_orphaned_locked(p->group, NULL);
    spin_unlock_irqrestore(&task_lock, *flags);
    *flags = spin_lock_irqsave(&p->signal_lock);
    return !orphaned && p->stop_dequeued;
}

noreturn_fn static void process_dies(struct process *p, int sig, u64 *flags)
{
    spin_unlock_irqrestore(&p->signal_lock, *flags);
    process_exit(sig);
}

static bool is_handler(u64 action) { return action > SIG_IGN; }

/* SIG's action, which resets itself if it is a handler for one time. => signal_lock */
static inline_fn struct sigaction take_action(struct process *p, int sig)
{
    struct sigaction *own = &p->sighand->action[sig - 1], action;

    spin_lock(&p->sighand->lock);
    action = *own;
    if (unlikely(action.flags & SA_RESETHAND) && is_handler(action.handler))
        own->handler = SIG_DFL;
    spin_unlock(&p->sighand->lock);
    return action;
}

/* What SIG does when there is no handler. => signal_lock */
static noinline_fn void do_without_handler(struct process *p, int sig, u64 action, u64 *flags)
{
    if (action == SIG_IGN || signal_default_is_ignore(sig) || p == init_process)
        return;
    if (!signal_default_is_stop(sig))
        process_dies(p, sig, flags);
    if (stop_is_allowed(p, sig, flags))
        stop_begin(p, sig);
}

/* What comes before any signal: death, the parent's notice of a stop that is over, stopping. True: look again, the lock
 * was given up. => signal_lock */
static noinline_fn bool did_other_work(struct task *t, u64 *flags)
{
    struct process *p = t->process;
    int code = p->notify_parent;

    if (load_relaxed(&t->thread.flags) & THREAD_KILLED) {
        code = p->is_group_exit ? p->exit_code : SIGKILL;
        spin_unlock_irqrestore(&p->signal_lock, *flags);
        task_exit(code);
    }
    if (code != 0) {
        p->notify_parent = 0;
        spin_unlock_irqrestore(&p->signal_lock, *flags);
        stop_notify_parent(p, code);
        *flags = spin_lock_irqsave(&p->signal_lock);
        return true;
    }
    return stop_take_part(t, flags);
}

static bool has_other_work(const struct task *t)
{
    return (load_relaxed(&t->thread.flags) & THREAD_KILLED) || t->process->notify_parent != 0 ||
           t->process->is_stopping;
}

/* What a handler interrupts. */
struct interrupted {
    u64 mask, saved_mask;
    bool restore_mask;
};

/* The mask for the handler; what it was is kept in BEFORE. => signal_lock */
static void block_for_handler(struct task *t, int sig, const struct sigaction *action, struct interrupted *before)
{
    u64 more = action->mask | (action->flags & SA_NODEFER ? 0 : SIGNAL_BIT(sig));

    *before = (struct interrupted){t->blocked, t->saved_mask, t->restore_mask};
    t->restore_mask = false;
    signal_block_locked(t, t->blocked | more);
}

/* The signal that the thread has brought upon itself, or -EAGAIN. A fault's that no handler may get, or that is blocked
 * or ignored, kills: POSIX leaves that undefined, Linux does so. => signal_lock */
static int take_own(struct task *t, struct sigaction *action, u64 *flags)
{
    enum own_signal kind = t->own_kind;
    int sig = t->own.signo;

    t->own_kind = OWN_NONE;
    *action = take_action(t->process, sig);
    if (likely(kind != OWN_DEADLY && is_handler(action->handler) && !(t->blocked & SIGNAL_BIT(sig))))
        return sig;
    if (kind != OWN_SENT)
        process_dies(t->process, sig, flags);
    do_without_handler(t->process, sig, action->handler, flags); /* another thread has changed the action */
    return -EAGAIN;
}

/* The next queued signal with a handler, or 0. => signal_lock */
static noinline_fn int take_queued(struct task *t, struct siginfo *info, struct sigaction *action, u64 *flags)
{
    struct process *p = t->process;
    int sig = signal_dequeue(t, t->blocked, info);

    if (sig == 0)
        return 0;
    *action = take_action(p, sig);
    if (is_handler(action->handler))
        return sig;
    do_without_handler(p, sig, action->handler, flags);
    return -EAGAIN;
}

/* The next signal with a handler, which may run now, or 0; stops and dies as it goes. The own one's siginfo stays where
 * it is, INFO is another's. => no locks */
static inline_fn int next_handled(struct task *t, struct siginfo *info, struct sigaction *action,
                                  struct interrupted *before, bool *is_own)
{
    struct process *p = t->process;
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    int sig;

    do {
        while (unlikely(has_other_work(t)) && did_other_work(t, &flags))
            ;
        *is_own = t->own_kind != OWN_NONE;
        sig = *is_own ? take_own(t, action, &flags) : take_queued(t, info, action, &flags);
    } while (unlikely(sig < 0));
    if (likely(sig != 0))
        block_for_handler(t, sig, action, before);
    signal_recalculate(t);
    spin_unlock_irqrestore(&p->signal_lock, flags);
    return sig;
}

/* ---- restarts ---- */

static void call_again(struct regs *regs)
{
    regs->x[REG_A0] = regs->orig_a0;
    regs->pc -= ECALL_SIZE;
}

static noinline_fn void settle_without_handler(struct regs *regs)
{
    switch (-(long)regs->x[REG_A0]) {
    case ERESTARTSYS:
    case ERESTARTNOHAND:
    case ERESTARTNOINTR:
        call_again(regs);
        break;
    case ERESTART_RESTARTBLOCK:
        call_again(regs);
        regs->x[REG_A7] = NR_RESTART_SYSCALL;
        break;
    }
}

static noinline_fn void settle_with_handler(struct regs *regs, const struct sigaction *action)
{
    switch (-(long)regs->x[REG_A0]) {
    case ERESTARTSYS:
        if (!(action->flags & SA_RESTART)) {
            regs->x[REG_A0] = (u64)-EINTR;
            break;
        }
        call_again(regs);
        break;
    case ERESTARTNOINTR:
        call_again(regs);
        break;
    case ERESTARTNOHAND:
    case ERESTART_RESTARTBLOCK:
        regs->x[REG_A0] = (u64)-EINTR;
        break;
    }
}

/* ---- */

/* The frame did not fit: SIGSEGV, deadly if that was the signal itself. */
static noinline_fn void frame_failed(struct task *t, int sig, const struct interrupted *before)
{
    signal_set_mask(before->mask);
    t->saved_mask = before->saved_mask;
    t->restore_mask = before->restore_mask;
    if (sig == SIGSEGV)
        signal_force_kill(SIGSEGV);
    else
        signal_force(SIGSEGV, SI_KERNEL, 0);
}

void signal_deliver(struct regs *regs)
{
    struct task *t = current_task();
    struct siginfo info;
    struct sigaction action;
    struct interrupted before;
    bool in_call = regs->cause == CAUSE_SYSCALL, is_own;
    int sig = next_handled(t, &info, &action, &before, &is_own);

    regs->cause = CAUSE_SETTLED;
    if (likely(sig != 0)) {
        if (in_call)
            settle_with_handler(regs, &action);
        if (signal_frame_push(regs, &action, is_own ? &t->own : &info,
                              before.restore_mask ? before.saved_mask : before.mask) != 0)
            frame_failed(t, sig, &before);
        return;
    }
    if (in_call)
        settle_without_handler(regs);
    signal_mask_done(false);
}
