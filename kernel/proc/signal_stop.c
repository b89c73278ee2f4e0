/*
 * Stopping and continuing a process: job control's half of signals.
 *
 *   stop signal taken by one thread: stop_begin -> every thread comes by in signal_deliver.c and sleeps STOPPED
 *   -> the last one: the process is stopped, its parent is told -> SIGCONT (stop_end): all wake, one tells the parent
 *
 * Lock: signal_lock; telling the parent needs task_lock, which comes before it, so that happens with neither held.
 */
#include "proc/internal.h"
#include "sched/sched.h"

void stop_begin(struct process *p, int sig)
{
    struct task *t;

    ASSERT(spin_is_locked(&p->signal_lock));
    p->is_stopping = true;
    p->is_stopped = p->stop_unreported = p->continue_unreported = false;
    p->stop_signal = sig;
    p->threads_to_stop = 0;
    list_for_each(t, &p->threads, thread_link) {
        t->counts_to_stop = !t->is_exiting;
        if (!t->counts_to_stop)
            continue;
        p->threads_to_stop++;
        if (t != current_task())
            signal_wake(t, false);
    }
}

static bool is_last_to_stop(struct task *t)
{
    struct process *p = t->process;

    if (!t->counts_to_stop)
        return false;
    t->counts_to_stop = false;
    if (--p->threads_to_stop > 0)
        return false;
    p->is_stopped = p->stop_unreported = true;
    return true;
}

bool stop_leave(struct task *t) { return t->process->is_stopping && is_last_to_stop(t) && t->process->n_live > 0; }

bool stop_take_part(struct task *t, u64 *flags)
{
    struct process *p = t->process;
    bool tell;

    if (!p->is_stopping || (load_relaxed(&t->thread.flags) & THREAD_KILLED))
        return false;
    tell = is_last_to_stop(t);
    store_relaxed(&t->thread.state, THREAD_STOPPED);
    spin_unlock_irqrestore(&p->signal_lock, *flags);
    if (tell)
        stop_notify_parent(p, CLD_STOPPED);
    schedule();
    *flags = spin_lock_irqsave(&p->signal_lock);
    return true;
}

void stop_end(struct process *p, bool by_continue)
{
    struct task *t;

    p->stop_dequeued = false;
    if (!p->is_stopping)
        return;
    if (by_continue && p->is_stopped) {
        p->continue_unreported = true;
        p->notify_parent = CLD_CONTINUED;
    }
    p->is_stopping = p->is_stopped = p->stop_unreported = false;
    list_for_each(t, &p->threads, thread_link) {
        t->counts_to_stop = false;
        atomic_or(&t->thread.flags, THREAD_SIGNAL);
        thread_wake(&t->thread, WAKE_CONT);
    }
}

void stop_notify_parent(struct process *p, int code)
{
    u64 flags = spin_lock_irqsave(&task_lock);

    if (p->parent != NULL)
        notify_parent_locked(p, code, code == CLD_STOPPED ? p->stop_signal : SIGCONT);
    spin_unlock_irqrestore(&task_lock, flags);
}
