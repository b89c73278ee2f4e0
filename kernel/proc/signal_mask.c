/*
 * The current task's signal mask, what is pending below it, and what /proc shows of both. Locks: signal_lock, but for
 * the mask itself, which the task changes alone (signal_block).
 */
#include "proc/internal.h"
#include "vm/uaccess.h"

/* A signal may have been sent to the process, or to a thread, that now blocks it: another thread may be able to take
 * it. => signal_lock */
void signal_pass_on(struct process *p, u64 newly_blocked)
{
    u64 set = p->pending.set & newly_blocked;
    struct task *t;

    if (set == 0)
        return;
    list_for_each(t, &p->threads, thread_link) {
        if (t != current_task() && !t->is_exiting && (set & ~load_relaxed(&t->blocked)))
            signal_wake(t, false);
    }
}

noinline_fn void signal_mask_changed(struct task *t, u64 before)
{
    struct process *p = t->process;
    u64 flags = spin_lock_irqsave(&p->signal_lock);

    signal_pass_on(p, t->blocked & ~before);
    signal_recalculate(t);
    spin_unlock_irqrestore(&p->signal_lock, flags);
}

void signal_set_mask(u64 mask) { signal_block(current_task(), mask); }

int signal_use_mask(const void *user_mask, u64 size)
{
    struct task *t = current_task();
    u64 mask;

    if (user_mask == NULL)
        return 0;
    if (size != SIGSET_SIZE)
        return -EINVAL;
    if (copy_from_user(&mask, user_mask, sizeof(mask)) != 0)
        return -EFAULT;
    t->saved_mask = t->blocked;
    t->restore_mask = true;
    signal_set_mask(mask);
    return 0;
}

void signal_mask_done(bool interrupted)
{
    struct task *t = current_task();

    if (!t->restore_mask || interrupted)
        return;
    t->restore_mask = false;
    signal_set_mask(t->saved_mask);
}

void task_signal_state(struct task *t, struct signal_state *state)
{
    struct process *p = t->process;
    u64 flags = spin_lock_irqsave(&p->signal_lock);

    *state = (struct signal_state){.pending = t->pending.set, .shared_pending = p->pending.set, .blocked = t->blocked};
    for (int sig = 1; sig <= SIGNAL_MAX; sig++) {
        u64 handler = signal_handler(p, sig);

        if (handler == SIG_IGN)
            state->ignored |= SIGNAL_BIT(sig);
        else if (handler != SIG_DFL)
            state->caught |= SIGNAL_BIT(sig);
    }
    state->queued = p->user != NULL ? load_relaxed(&p->user->signals) : 0;
    state->queue_limit = p->limits.limit[RLIMIT_SIGPENDING].soft;
    spin_unlock_irqrestore(&p->signal_lock, flags);
}
