/*
 * Tasks (threads of user programs) and processes (thread groups), as clone(2) defines them.
 *
 *   session -> process group -> process -> task          struct task begins with the struct thread that sched/ runs.
 *
 * `process` holds what all threads of a group share whatever clone flags they had: pid, parent, children, exit status, signal
 * actions queue, timers, limits. Address space, files, fs_context and cred hang on each thread (sched/thread.h), reference counted.
 *
 * Lock: task_lock (one spinlock, irqsave) guards the tree of processes, groups, sessions, pid table and state changes that wait4 sees;
 * process->signal_lock guards pending signals and actions. Order: task_lock -> signal_lock -> run queues.
 */
#ifndef PROC_TASK_H
#define PROC_TASK_H

#include "sched/thread.h"

struct task;
struct process;

static inline struct task *current_task(void) { return (struct task *)current; } /* => a user thread */

/* ---- what other layers use ---- */
int task_pid(const struct task *task);   /* tgid */
int task_tid(const struct task *task);
struct task *task_find(int tid);         /* referenced, or NULL; task_put */
void task_put(struct task *task);
/* Signals (kill(2)): SIGINFO's code and sender are those of the current task, or SI_KERNEL. 0, -ESRCH, -EPERM(kill_* with CHECK). */
int signal_send_process(struct process *process, int sig);
int signal_send_group(int pgid, int sig);     /* the tty's */
int signal_send_current(int sig);             /* SIGPIPE, SIGXFSZ */

/* ---- boot ---- */
void proc_init(void);
/* Starts PATH as pid 1 with console descriptors; -errno when it cannot be run. */
int proc_start_init(const char *path, const char *const argv[], const char *const envp[]);

#endif
