/* What the files of proc/ share among themselves. */
#ifndef PROC_INTERNAL_H
#define PROC_INTERNAL_H

#include "arch/riscv/regs.h"
#include "lib/errno.h"
#include "proc/task.h"

/* ---- pid.c; => task_lock ---- */
/* The next free number for T (locked by the caller's task_lock): -EAGAIN when all are used, -ENOMEM. */
struct pid *pid_alloc(void);
void pid_put(struct pid *pid); /* one user less; frees the number with the last */
static inline void pid_use(struct pid *pid) { pid->users++; }
struct pid *pid_next(u64 number); /* the first in use with a number >= NUMBER */

/* ---- task.c ---- */
struct task *task_alloc(const char *name); /* refs = 1, own kernel stack; NULL = no memory */
void task_release(struct task *task);      /* => task_lock. Takes a dead one out of its process and the table */
void task_bury(struct task *task);         /* => task_lock. Its last reference is dropped once it is off its stack */
struct cred *task_cred_locked(const struct task *task);

/* ---- process.c ---- */
struct process *process_alloc(void); /* refs = 1 */
void process_add_usage(struct usage *sum, const struct usage *more);
/* => task_lock. Counts changes of threads. */
extern u64 n_tasks, n_processes, n_forks;
extern struct list all_processes;

/* ---- user.c: accounting per real uid ---- */
struct user {
    struct list link;
    u32 refs;
    u32 uid;
    u32 processes; /* threads, as RLIMIT_NPROC counts them; atomic */
    u32 signals;   /* queued; atomic */
    u64 mq_bytes;  /* of POSIX message queues; atomic */
    u64 shm_pages; /* of segments that stay in memory, as RLIMIT_MEMLOCK counts them; atomic */
};
struct user *user_get(u32 uid); /* NULL = no memory */
void user_hold(struct user *user);
struct user *user_of(struct process *process); /* with a reference. => signal_lock not held */
void user_put(struct user *user); /* callable in interrupts */

/* ---- cred.c ---- */
/* Takes NEW over as the current task's. */
void cred_commit(struct cred *new);
/* The capabilities and ids after execve of a file with these bits. */
void cred_after_exec(struct cred *cred, bool set_uid, u32 file_uid, bool set_gid, u32 file_gid);
struct cred *cred_prepare(void); /* a copy of the current one */

/* ---- pgrp.c; => task_lock ---- */
void group_join(struct process *process, struct pid *group);
void group_leave(struct process *process);
void session_join(struct process *process, struct pid *session);
void session_leave(struct process *process);
bool group_is_orphaned_locked(const struct pid *group, const struct process *ignored);
/* PROCESS exits (or CHILD loses it as its parent): groups that become orphaned while a member is stopped get SIGHUP and
 * SIGCONT. */
void group_check_orphaned_by_exit(struct process *process);
void group_check_orphaned_child(struct process *child, struct process *old_parent);
/* The current process is the leader of its session and exits: the terminal is told. => task_lock not held */
void session_leader_exits(struct process *process);

/* ---- signal.c ---- */
void sigpending_init(struct sigpending *pending);
void sigpending_flush(struct sigpending *pending);
/* Entries of the signals in SET go. => signal_lock */
void sigpending_remove(struct sigpending *pending, u64 set);
/* Queues and wakes. OWN: a timer's entry, which is in no queue; NULL: allocate one. => signal_lock of PROCESS */
int signal_queue_locked(struct process *process, struct task *task, const struct siginfo *info, struct sigqueue *own);
/* All threads but EXCEPT are to die (signal_lock held). CODE as wait4 shows it. */
void process_kill_threads(struct process *process, struct task *except);
void signal_wake(struct task *task, bool fatal);
/* Takes the next signal that is not in MASK. 0: none. => signal_lock of the current process */
int signal_dequeue(struct task *task, u64 mask, struct siginfo *info);
struct sighand *sighand_copy(const struct process *from); /* NULL = no memory */
void sighand_put(struct sighand *sighand);
void sigqueue_free(
    struct sigqueue *q); /* takes it out of its queue; one that was not allocated stays. => signal_lock */
u64 signal_handler(struct process *process, int sig); /* => signal_lock */
extern u64 n_sigqueues;
#define SIGNALS_IGNORED (SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(SIGURG) | SIGNAL_BIT(SIGWINCH) | SIGNAL_BIT(SIGCONT))
static inline bool signal_default_is_ignore(int sig) { return (SIGNAL_BIT(sig) & SIGNALS_IGNORED) != 0; }
bool signal_default_is_stop(int sig);
#define SIGNALS_STOP (SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU))
#define SIGNALS_UNBLOCKABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))
#define SIGNALS_SYNCHRONOUS                                                                                     \
    (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGFPE) | \
     SIGNAL_BIT(SIGSYS))

/* The first of two steps of signal_force: what it is. */
static inline void signal_note_fault(int sig, int code, u64 address)
{
    struct task *t = current_task();

    t->own.signo = sig;
    t->own.code = code;
    t->own.fault.address = address;
}

/* ---- signal_mask.c ---- */
void signal_pass_on(struct process *process, u64 newly_blocked); /* => signal_lock */
/* The current task's mask was BEFORE and something may be pending. => no locks */
void signal_mask_changed(struct task *task, u64 before);
/* Sets or clears the current task's THREAD_SIGNAL from what is pending. => signal_lock */
static inline void signal_recalculate(struct task *t)
{
    struct process *p = t->process;
    u64 deliverable = (t->pending.set | p->pending.set) & ~t->blocked;
    u32 flags = load_relaxed(&t->thread.flags);

    if (unlikely(deliverable != 0 || t->own_kind != OWN_NONE))
        atomic_or(&t->thread.flags, THREAD_SIGNAL);
    else if ((flags & (THREAD_SIGNAL | THREAD_KILLED)) == THREAD_SIGNAL && !p->is_stopping && !p->is_group_exit &&
             p->notify_parent == 0)
        atomic_and(&t->thread.flags, ~(u32)THREAD_SIGNAL);
}
/* The current task T blocks MASK from now on; signal_recalculate has to follow. => signal_lock */
static inline void signal_block_locked(struct task *t, u64 mask)
{
    u64 before = t->blocked;

    store_relaxed(&t->blocked, mask & ~SIGNALS_UNBLOCKABLE);
    if (unlikely(t->process->pending.set != 0))
        signal_pass_on(t->process, t->blocked & ~before);
}
/* The same without the lock. Who sends a signal makes it pending and then looks who blocks it; here the mask changes
 * and then what is pending is looked at: one of the two sees the other. => no locks */
static inline void signal_block(struct task *t, u64 mask)
{
    u64 before = t->blocked;

    store_relaxed(&t->blocked, mask & ~SIGNALS_UNBLOCKABLE);
    memory_barrier();
    if (unlikely((load_relaxed(&t->pending.set) | load_relaxed(&t->process->pending.set)) != 0 ||
                 (load_relaxed(&t->thread.flags) & THREAD_SIGNAL)))
        signal_mask_changed(t, before);
}

/* ---- signal_stop.c ---- */
/* SIGCONT or SIGKILL was sent: ends a stop. => signal_lock */
void stop_end(struct process *process, bool by_continue);
/* Takes part in a stop of the process if there is one; true if it slept. => signal_lock, which is released and taken
 * again */
bool stop_take_part(struct task *task, u64 *flags);
void stop_begin(struct process *process, int sig); /* => signal_lock */
bool stop_leave(struct task *task); /* an exiting thread is not waited for; true: the stop is complete, tell the parent.
                                       => signal_lock */
void stop_notify_parent(struct process *process, int code); /* => no locks */

/* ---- signal_frame.c ---- */
/* Builds the handler's frame and points REGS at it: 0, -EFAULT. MASK: what sigreturn restores. */
int signal_frame_push(struct regs *regs, const struct sigaction *action, const struct siginfo *info, u64 mask);
int siginfo_to_user(void *user, const struct siginfo *info);
/* rt_sigreturn(2), for entry.S. The address in kernel memory of pc and x1 to x31 in the frame: interrupts are off and
 * nothing else is to be done, so they may be loaded from there. 0: they are in the thread's regs, and work may be.
 * -1: there is no frame, nothing has changed but that a signal says so. */
long signal_return(void);
/* For entry.S, after user_trap said that there is a fault's signal: the short way to its handler. The address in kernel
 * memory of pc and x1 to x31 in the frame, where the callee-saved ones are still to be stored, at once: interrupts are
 * off. NULL: it waits for signal_deliver, which knows all ways. */
u64 *signal_take_fault(struct regs *regs);

/* ---- signal_deliver.c ---- */
void signal_deliver(struct regs *regs);
/* What struct regs.cause is when the trap was no system call, or the call's restart has been decided. */
#define CAUSE_SETTLED (~0ull)
#define CAUSE_SYSCALL 8

/* ---- exit.c ---- */
struct vfork { /* on the parent's stack */
    struct wait_queue wait;
    bool done;
    u32 refs;
};
void vfork_release(struct task *task);
/* The child tells its parent: SIGCHLD with CODE (CLD_*) and STATUS. => task_lock */
void notify_parent_locked(struct process *process, int code, int status);
void vfork_put(struct vfork *vfork);
/* Takes PROCESS, a zombie, out of everything; proc_reap_dead frees it. => task_lock */
void process_release(struct process *process);
/* Faults and peak memory of the current task's space go to its process: the space is about to be left. */
void record_space_usage(struct task *task);

/* ---- futex_robust.c ---- */
/* The current task leaves its space: the robust list is walked, clear_child_tid zeroed and woken. */
void futex_exit(struct task *task);

/* ---- itimer.c, ptimer.c ---- */
void itimers_init(struct process *process);
void itimers_stop(struct process *process);
void cpu_limit_start(struct process *process);
void ptimers_delete_all(struct process *process);
void ptimer_signal_taken(struct ptimer *timer, struct siginfo *info); /* => signal_lock */

/* ---- oom.c ---- */
void oom_init(void);

#endif
