/*
 * Sending signals: queues, who gets one, and who is woken (signal(7), "Execution of signal handlers", POSIX.1 2.4.1).
 *
 *   signal_send -> ignored? nothing.  fatal? every thread is marked at once.  else: queue, wake a thread that does not
 *                  block it
 *
 * SIGSTOP and its like throw a pending SIGCONT away and the other way round; SIGCONT and SIGKILL end a stop when they
 * are sent, not when they are taken. Locks: signal_lock for all of it.
 */
#include "lib/string.h"
#include "proc/internal.h"
#include "proc/signalfd.h"
#include "sched/sched.h"
#include "vm/kmalloc.h"

u64 n_sigqueues;

u64 signal_queue_count(void) { return load_relaxed(&n_sigqueues); }

/* ---- pending sets ---- */

void sigpending_init(struct sigpending *pending)
{
    pending->set = 0;
    list_init(&pending->queue);
}

void sigqueue_free(struct sigqueue *q)
{
    list_remove(&q->link);
    if (q->user == NULL)
        return;
    atomic_sub(&q->user->signals, 1);
    user_put(q->user);
    atomic_sub(&n_sigqueues, 1);
    if (q->spare_used != NULL)
        store_release(q->spare_used, false);
    else
        kfree(q);
}

void sigpending_remove(struct sigpending *pending, u64 set)
{
    struct sigqueue *q, *next;

    if ((pending->set & set) == 0)
        return;
    pending->set &= ~set;
    list_for_each_safe(q, next, &pending->queue, link) {
        if (set & SIGNAL_BIT(q->info.signo))
            sigqueue_free(q);
    }
}

void sigpending_flush(struct sigpending *pending) { sigpending_remove(pending, ~0ull); }

/* => signal_lock. NULL = no memory */
static struct sigqueue *entry_memory(struct process *p)
{
    struct sigqueue *q;

    if (likely(!load_acquire(&p->spare_used))) {
        p->spare_used = true;
        p->spare.spare_used = &p->spare_used;
        return &p->spare;
    }
    q = kmalloc_nowait(sizeof(*q));
    if (q != NULL)
        q->spare_used = NULL;
    return q;
}

/* Signals from the kernel and from kill() always get an entry; others only below the user's limit. */
static struct sigqueue *entry_alloc(struct process *p, const struct siginfo *info)
{
    bool is_exempt = info->signo < SIGRTMIN && info->code >= 0;
    struct user *user = p->user;
    struct sigqueue *q = NULL;

    if (atomic_add(&user->signals, 1) <= p->limits.limit[RLIMIT_SIGPENDING].soft || is_exempt)
        q = entry_memory(p);
    if (q == NULL) {
        atomic_sub(&user->signals, 1);
        return NULL;
    }
    user_hold(user);
    q->user = user;
    q->ptimer = NULL;
    atomic_add_relaxed(&n_sigqueues, 1);
    return q;
}

/* ---- actions ---- */

bool signal_default_is_stop(int sig) { return sig < SIGRTMIN && (SIGNAL_BIT(sig) & SIGNALS_STOP); }

u64 signal_handler(struct process *p, int sig) { return load_relaxed(&p->sighand->action[sig - 1].handler); }

static bool is_ignored(struct process *p, const struct task *t, int sig)
{
    u64 handler = signal_handler(p, sig);

    if (t != NULL && (load_relaxed(&t->blocked) & SIGNAL_BIT(sig)))
        return false; /* the action may change before it is unblocked */
    if (handler == SIG_DFL)
        return signal_default_is_ignore(sig) || p == init_process;
    return handler == SIG_IGN;
}

static bool is_fatal(struct process *p, const struct task *t, int sig)
{
    return p != init_process && signal_handler(p, sig) == SIG_DFL && !signal_default_is_ignore(sig) &&
           !signal_default_is_stop(sig) && !(t->awaited & SIGNAL_BIT(sig));
}

struct sighand *sighand_copy(const struct process *from)
{
    struct sighand *copy = kmalloc(sizeof(*copy));
    u64 flags;

    if (copy == NULL)
        return NULL;
    copy->refs = 1;
    spin_init(&copy->lock);
    flags = spin_lock_irqsave(&from->sighand->lock);
    memcpy(copy->action, from->sighand->action, sizeof(copy->action));
    spin_unlock_irqrestore(&from->sighand->lock, flags);
    return copy;
}

void sighand_put(struct sighand *s)
{
    if (atomic_sub(&s->refs, 1) == 0)
        kfree(s);
}

/* ---- waking ---- */

void signal_wake(struct task *t, bool fatal)
{
    atomic_or(&t->thread.flags, fatal ? THREAD_SIGNAL | THREAD_KILLED : THREAD_SIGNAL);
    if (&t->thread == current && t->thread.state == THREAD_RUNNABLE)
        return; /* it looks at its flags before it sleeps or leaves the kernel */
    if (!thread_wake(&t->thread, fatal ? WAKE_KILL : WAKE_SIGNAL))
        thread_kick(&t->thread);
}

void process_kill_threads(struct process *p, struct task *except)
{
    struct task *t;

    list_for_each(t, &p->threads, thread_link) {
        if (t != except && !t->is_exiting)
            signal_wake(t, true);
    }
}

static bool may_take(const struct task *t, int sig)
{
    if (t->is_exiting)
        return false;
    if (sig == SIGKILL || (t->awaited & SIGNAL_BIT(sig)))
        return true;
    return !(load_relaxed(&t->blocked) & SIGNAL_BIT(sig)) && load_relaxed(&t->thread.state) != THREAD_STOPPED;
}

static bool is_on_hart(const struct task *t)
{
    return load_relaxed(&load_relaxed(&t->thread.hart)->current_thread) == &t->thread;
}

/* The thread of P that shall take SIG now: TASK if it is meant for that one alone, else one that runs, for a timer's
 * signal (which so interrupts whose time is measured and wakes nobody), else the leader if it can, else any. NULL: it
 * stays pending. */
static struct task *choose_taker(struct process *p, struct task *task, int sig, bool is_timer)
{
    struct task *t;

    if (task != NULL)
        return may_take(task, sig) ? task : NULL;
    if (is_timer) {
        list_for_each(t, &p->threads, thread_link) {
            if (is_on_hart(t) && may_take(t, sig))
                return t;
        }
    }
    if (p->leader != NULL && may_take(p->leader, sig))
        return p->leader;
    list_for_each(t, &p->threads, thread_link) {
        if (may_take(t, sig))
            return t;
    }
    return NULL;
}

static void wake_taker(struct process *p, struct task *task, int sig, bool is_timer)
{
    struct task *taker = choose_taker(p, task, sig, is_timer);

    if (taker == NULL)
        return;
    if (!is_fatal(p, taker, sig)) {
        signal_wake(taker, false);
        return;
    }
    if (!p->is_group_exit) {
        p->is_group_exit = true;
        p->exit_code = sig;
    }
    process_kill_threads(p, NULL);
}

/* ---- sending ---- */

static void remove_from_all(struct process *p, u64 set)
{
    struct task *t;

    sigpending_remove(&p->pending, set);
    list_for_each(t, &p->threads, thread_link)
        sigpending_remove(&t->pending, set);
}

/* What stop and continue signals do at once, whoever blocks them. */
static void apply_job_control(struct process *p, int sig)
{
    if (signal_default_is_stop(sig)) {
        remove_from_all(p, SIGNAL_BIT(SIGCONT));
    } else if (sig == SIGCONT) {
        remove_from_all(p, SIGNALS_STOP);
        stop_end(p, true);
    } else if (sig == SIGKILL) {
        stop_end(p, false);
    }
}

int signal_queue_locked(struct process *p, struct task *t, const struct siginfo *info, struct sigqueue *own)
{
    struct sigpending *pending = t != NULL ? &t->pending : &p->pending;
    int sig = info->signo;
    struct sigqueue *q = own;

    ASSERT(spin_is_locked(&p->signal_lock));
    if (p->n_live == 0 || p->is_zombie || (p->is_group_exit && sig != SIGKILL))
        return 0;
    apply_job_control(p, sig);
    if (is_ignored(p, t != NULL ? t : p->leader, sig))
        return 0;
    if (sig < SIGRTMIN && (pending->set & SIGNAL_BIT(sig)))
        return 0;
    if (q == NULL)
        q = entry_alloc(p, info);
    if (q == NULL && sig >= SIGRTMIN && info->code != SI_USER)
        return -EAGAIN;
    if (q != NULL) {
        q->info = *info;
        list_add_tail(&pending->queue, &q->link);
    }
    pending->set |= SIGNAL_BIT(sig);
    memory_barrier(); /* before the look at masks: see signal_block */
    signalfd_notice();
    wake_taker(p, t, sig, info->code == SI_TIMER);
    return 0;
}

int signal_send(struct process *p, struct task *t, const struct siginfo *info)
{
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    int error = signal_queue_locked(p, t, info, NULL);

    spin_unlock_irqrestore(&p->signal_lock, flags);
    return error;
}

int signal_send_process(struct process *p, int sig)
{
    struct siginfo info = {.signo = sig, .code = SI_KERNEL};

    return sig == 0 ? 0 : signal_send(p, NULL, &info);
}

int signal_send_current(int sig)
{
    struct siginfo info = {
        .signo = sig, .code = SI_USER, .rt = {.pid = process_pid(current_process()), .uid = current->cred->uid}};

    return signal_send(current_process(), current_task(), &info);
}

/* Only what no queue would change: a handler gets it, nothing pending comes before it or is affected by it. */
bool signal_send_own(int sig, int code)
{
    struct task *t = current_task();
    struct process *p = t->process;
    u64 not_now = load_relaxed(&t->blocked) | SIGNALS_STOP | SIGNAL_BIT(SIGCONT);

    if ((not_now & SIGNAL_BIT(sig)) || signal_handler(p, sig) <= SIG_IGN ||
        (load_relaxed(&t->pending.set) | load_relaxed(&p->pending.set)) != 0)
        return false;
    t->own.signo = sig;
    t->own.code = code;
    t->own.rt.pid = p->pid->number;
    t->own.rt.uid = current->cred->uid;
    t->own_kind = OWN_SENT;
    atomic_or(&t->thread.flags, THREAD_SIGNAL);
    return true;
}

/* The thread takes it on its way back to user mode (signal_deliver.c), before anything that is queued. */
void signal_force_noted(bool always_kill)
{
    struct task *t = current_task();

    t->own_kind = always_kill ? OWN_DEADLY : OWN_FAULT;
    atomic_or(&t->thread.flags, THREAD_SIGNAL);
}

void signal_force(int sig, int code, u64 address)
{
    signal_note_fault(sig, code, address);
    signal_force_noted(false);
}

void signal_force_kill(int sig)
{
    signal_note_fault(sig, SI_KERNEL, 0);
    signal_force_noted(true);
}

bool signal_is_blocked_or_ignored(int sig)
{
    struct process *p = current_process();
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    bool yes = (current_task()->blocked & SIGNAL_BIT(sig)) || signal_handler(p, sig) == SIG_IGN;

    spin_unlock_irqrestore(&p->signal_lock, flags);
    return yes;
}
