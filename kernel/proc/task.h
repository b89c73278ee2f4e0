/*
 * Tasks (threads of user programs) and processes (thread groups), as clone(2) defines them.
 *
 *   session (sid) -> process group (pgid) -> process -> task     begins with the struct thread that sched/ runs
 *
 * `process` holds what all threads of a group share whatever clone flags they had: ids, parent, children, exit status,
 * shared pending signals, timers, limits. Address space, files, fs_context and cred hang on each thread
 * (sched/thread.h), reference counted. `struct pid` is a number in use: by a task, by the members of a process group
 * or of a session; it is free when none is left.
 *
 * Locks:
 *   task_lock             (spin, irqsave) the table of pids, the tree of processes, groups, sessions, states that
 *                         wait4 sees, and the cred pointers of tasks other than the current one
 *   process->signal_lock  (spin, irqsave) pending signals, group exit and stop; the list of threads changes
 *                         under both locks
 *   sighand->lock         (spin, irqsave) signal actions
 * Order: task_lock -> signal_lock -> sighand->lock -> run queues and wait queues.
 */
#ifndef PROC_TASK_H
#define PROC_TASK_H

#include "lib/cred.h"
#include "lib/rlimit.h"
#include "proc/signal.h"
#include "sched/thread.h"
#include "sched/timer.h"
#include "sched/wait.h"

#define PID_MAX 32768

struct process;
struct user;
struct ptimer;

struct pid {
    int number;
    unsigned users;      /* the task, members of the group, members of the session */
    struct task *task;   /* NULL: only a group or session has this number now */
    struct list group;   /* struct process.group_link */
    struct list session; /* struct process.session_link */
    void *tty;           /* the session's controlling terminal, or NULL; dev/tty's */
};

/* A call that a signal interrupted and that restart_syscall(2) shall continue. */
#define RESTART_ARGS 5
struct restart {
    long (*fn)(const u64 args[RESTART_ARGS]);
    u64 args[RESTART_ARGS];
};

/* What task->own is: a signal that a thread takes before it does anything else, so it is in no queue. */
enum own_signal {
    OWN_NONE,   /* taken */
    OWN_FAULT,  /* if it is blocked or has no handler, it kills */
    OWN_DEADLY, /* no handler gets it */
    OWN_SENT,   /* by itself, with kill(2) or its like */
};

struct task {
    struct thread thread;
    u32 refs;
    struct process *process; /* referenced */
    struct pid *pid;         /* NULL once released */
    struct list thread_link; /* process->threads */
    struct list dead_link;   /* waits for its stack and memory to be freed */
    u64 start_ns;
    bool is_exiting;
    bool no_new_privs;
    bool counts_to_stop; /* part of process->threads_to_stop */
    bool is_counted;     /* its CPU time is in process->dead_threads */

    u64 blocked;    /* changed by the task itself: signal_block */
    u64 saved_mask; /* what `blocked` becomes again: sigsuspend, ppoll */
    bool restore_mask;
    u64 awaited; /* sigtimedwait takes these although they are blocked */
    struct sigpending pending;
    struct siginfo own; /* a signal that the thread has brought upon itself; words[1] to [3] stay 0. Its own field */
    enum own_signal own_kind;
    struct sigaltstack altstack;
    struct restart restart;

    u32 *clear_child_tid; /* user address: zeroed and woken at exit */
    u64 robust_list;      /* user address of struct robust_list_head */
    struct vfork *vfork;  /* the parent that waits for exec or exit; task_lock */
    int parent_death_signal;
    u64 timer_slack;
    u8 memory_error_policy; /* PR_MCE_KILL_*: told again; no memory fails here */
    unsigned policy, rt_priority; /* sched_setscheduler */
    bool reset_on_fork;
    u16 io_priority; /* ioprio_set: class and level */
};

struct itimer {
    struct timer timer; /* REAL: expiry; VIRTUAL, PROF: the next look at the CPU time used */
    struct process *process;
    int which;
    u64 value, interval; /* ns; value: monotonic or CPU time of expiry, 0 = off. signal_lock */
};

struct cpu_times {
    u64 user_ns, system_ns;
};

/* getrusage(2)'s sums. */
struct usage {
    struct cpu_times time;
    u64 minor_faults, major_faults, switches_voluntary, switches_forced, max_rss; /* max_rss in pages */
};

struct process {
    u32 refs;
    struct pid *pid, *group, *session; /* NULL once released */
    struct process *parent;            /* not referenced: children leave when the parent goes */
    struct list sibling_link, children;
    struct list group_link, session_link;
    struct list all_link; /* every process that is not released */
    struct list threads;  /* struct task.thread_link; the leader is first */
    struct task *leader;
    unsigned n_threads; /* in the list; zombie leaders too */
    unsigned n_live;    /* not exiting */
    unsigned n_undead;  /* that have not finished exiting: so many count to `user`. task_lock and signal_lock */
    struct user *user;  /* whose RLIMIT_NPROC it counts to; signal_lock, since any thread may change it */
    u64 start_ns;

    struct spinlock signal_lock;
    struct sighand *sighand; /* replaced under signal_lock */
    struct sigpending pending;
    struct sigqueue spare; /* the entry of one pending signal: mostly there is no other */
    bool spare_used;
    bool is_group_exit;          /* all threads are to die with exit_code */
    struct task *exec_task;      /* this thread survives while the others die: execve */
    struct wait_queue exec_wait; /* ... and waits here for them */
    int exit_code;               /* as wait4 shows it */
    int exit_signal;             /* to the parent; 0 = none */

    bool is_stopping;                          /* a stop signal was taken and no SIGCONT since */
    bool is_stopped;                           /* ... and every thread has stopped */
    bool stop_unreported, continue_unreported; /* for wait4 */
    bool stop_dequeued;                        /* no SIGCONT came since a stop signal was taken */
    int stop_signal;
    unsigned threads_to_stop;
    int notify_parent; /* CLD_* that the next thread in signal delivery sends; 0 = none */

    bool is_zombie; /* the last thread is dead; wait4 may reap */
    bool is_reaped;
    struct wait_queue ended; /* pidfds wait here for is_zombie */
    bool did_exec;
    bool is_subreaper, has_subreaper_above;
    bool is_undumpable;
    struct wait_queue wait_children; /* wait4 sleeps here */

    struct rlimits limits; /* signal_lock for changes */
    struct itimer itimers[3];
    struct list ptimers; /* timer_create's; signal_lock */
    int next_ptimer;
    struct timer cpu_limit_timer;
    u64 cpu_limit_warned; /* seconds of CPU time at the last SIGXCPU */

    struct usage dead_threads, children_usage; /* of threads gone, of children waited for; signal_lock */
    unsigned personality;
    int oom_score_adj;
    u64 sigreturn;   /* user address of the vDSO's __vdso_rt_sigreturn */
    struct end_work *end_work; /* NULL until there is some */
    u32 membarriers; /* membarrier(2): what was registered for; atomic */
};

/* What is to be done once all processes that share it have ended: semop(2)'s SEM_UNDO. ITEMS are END's. */
struct end_work {
    u32 refs;
    struct list items;
    void (*end)(struct end_work *work); /* NULL: nothing yet */
};

static inline struct task *current_task(void) { return (struct task *)current; } /* => a user thread */
static inline struct process *current_process(void) { return current_task()->process; }
static inline bool is_user_thread(const struct thread *t) { return (t->flags & THREAD_USER) != 0; }

extern struct spinlock task_lock;
extern struct process *init_process;

/* ---- ids and look-up (task.c, pid.c) ---- */
int task_pid(const struct task *task); /* tgid */
int task_tid(const struct task *task);
int process_pid(const struct process *process);
int process_group_id(const struct process *process);
int process_session_id(const struct process *process);
int process_parent_id(const struct process *process); /* 0: none */
struct task *task_find(int tid);                      /* referenced, or NULL; task_put */
void task_put(struct task *task);                     /* may free: process context, no spinlock */
static inline void task_get(struct task *task) { atomic_add_relaxed(&task->refs, 1); }
struct process *process_find(int pid); /* referenced, or NULL (also for the ids of other threads); process_put */
void process_put(struct process *process);
/* P's, made if there is none; END (may be NULL) is what it is for. NULL: no memory. => process context */
struct end_work *process_end_work(struct process *p, void (*end)(struct end_work *));
void end_work_put(struct end_work *work); /* NULL: nothing */
static inline void process_get(struct process *process) { atomic_add_relaxed(&process->refs, 1); }
struct pid *pid_lookup(int number); /* => task_lock */
/* The process with the lowest pid >= *PID, referenced, *PID set to it; NULL at the end. So for the threads of one. */
struct process *process_next(int *pid);
struct task *process_next_thread(struct process *process, int *tid);
struct task *process_leader(struct process *process); /* referenced */
/* The space of its threads, referenced, or NULL if none is alive. The leader may have ended before the others. */
struct space *process_space(struct process *process);

/* ---- what others see of a task (/proc) ---- */
/* One of "RSDTZX" as /proc/PID/stat has them; a process's is its leader's. */
char task_state(const struct task *task);
struct cred *task_cred(const struct task *task); /* referenced */
/* NEW, whose reference is taken over, is the current task's from now on: the old one, which is the caller's. */
struct cred *cred_replace(struct cred *new);
/* These may be NULL for one that is exiting; referenced otherwise (space_put, fd_table_put, fs_context_put). */
struct space *task_space(struct task *task);
/* The same for one who needs to be let in by MAY_LOOK: ERR_PTR(-EACCES) if not. An exec just now may bring another space
 * and other credentials: MAY_LOOK is asked before the space is taken and once more after. */
struct space *task_space_guarded(struct task *task, bool (*may_look)(struct task *));
struct fd_table *task_files(struct task *task);
struct fs_context *task_fs(struct task *task);
void process_usage(struct process *process, struct usage *usage); /* of all threads, dead and alive */
void task_usage(struct task *task, struct usage *usage);
u64 process_cpu_ns(struct process *process, bool user, bool system); /* callable in interrupts, without signal_lock */
/* Signal sets for /proc/PID/status. */
struct signal_state {
    u64 pending, shared_pending, blocked, ignored, caught;
    u64 queued, queue_limit; /* SigQ: entries of the user */
};
void task_signal_state(struct task *task, struct signal_state *state);
u64 process_count(void);
u64 task_count(void);
u64 signal_queue_count(void);
u64 fork_count(void); /* since boot */
int last_pid(void);

/* ---- sessions and terminals (pgrp.c). A session's terminal is a pointer of dev/tty's; these take task_lock ---- */
void *session_tty(const struct process *process); /* of the process's session */
bool process_is_session_leader(const struct process *process);
/* Gives the current process's session the terminal TTY (NULL: takes it away). */
void session_set_tty(void *tty);
/* Takes TTY away from the session SID, whoever calls. */
void session_clear_tty(int sid, void *tty);
/* 0 and the session id of group PGID in *SID, or -ESRCH when no process is in it. */
int group_session(int pgid, int *sid);
/* True if no member has a parent in another group of the same session (POSIX: orphaned). */
bool group_is_orphaned(int pgid);

/* What dev/tty hands down (terminal.c): the session leader SID, whose terminal TTY was, exits: SIGHUP and SIGCONT to
 * the foreground group, and so on. */
void proc_set_tty_hangup(void (*leader_exits)(void *tty, int sid));

/* ---- restarts ---- */
/* Returns -ERESTART_RESTARTBLOCK after having noted that restart_syscall shall call FN with these arguments. */
long restart_later(long (*fn)(const u64 args[RESTART_ARGS]), u64 a, u64 b, u64 c, u64 d, u64 e);

/* ---- life and death ---- */
noreturn_fn void task_exit(int code);    /* this thread; CODE as wait4 shows it */
noreturn_fn void process_exit(int code); /* all threads */
/* Frees what dead threads have left (the current hart could not). For counters that must be exact. */
void proc_reap_dead(void);

/* ---- boot ---- */
void proc_init(void);
/* Starts PATH as pid 1 with console descriptors; -errno when it cannot be run. */
int proc_start_init(const char *path, const char *const argv[], const char *const envp[]);

#endif
