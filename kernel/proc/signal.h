/*
 * Signals: sets, siginfo, and how to send them (signal(7)). The ABI's numbers and structures are those of Linux on
 * riscv64.
 *
 * Sending: signal_*.c look whether the target ignores it, queue it at the process or the thread, and wake a thread
 * that may take it. A fatal one (default action, not blocked) marks all threads at once, so that killable sleeps end.
 * Taking: signal_deliver.c, on the way back to user mode.
 */
#ifndef PROC_SIGNAL_H
#define PROC_SIGNAL_H

#include "lib/list.h"
#include "lib/signum.h"
#include "lib/types.h"
#include "sched/spinlock.h"

struct task;
struct process;
struct regs;

#define SIG_DFL 0ul
#define SIG_IGN 1ul

#define SA_NOCLDSTOP 0x1
#define SA_NOCLDWAIT 0x2
#define SA_SIGINFO 0x4
#define SA_EXPOSE_TAGBITS 0x800
#define SA_ONSTACK 0x08000000
#define SA_RESTART 0x10000000
#define SA_NODEFER 0x40000000
#define SA_RESETHAND 0x80000000

#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_QUEUE (-1)
#define SI_TIMER (-2)
#define SI_MESGQ (-3)
#define SI_ASYNCIO (-4)
#define SI_SIGIO (-5)
#define SI_TKILL (-6)
#define ILL_ILLOPC 1
#define ILL_ILLTRP 4
#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define BUS_ADRALN 1
#define BUS_ADRERR 2
#define BUS_OBJERR 3
#define TRAP_BRKPT 1
#define CLD_EXITED 1
#define CLD_KILLED 2
#define CLD_STOPPED 5
#define CLD_CONTINUED 6

struct siginfo { /* the part of the ABI's 128 bytes that is ever not zero */
    s32 signo, error, code, pad;
    union {
        struct {
            s32 pid;
            u32 uid;
            u64 value;
        } rt; /* kill, sigqueue */
        struct {
            s32 pid;
            u32 uid;
            s32 status, pad;
            s64 user_ticks, system_ticks;
        } child;
        struct {
            s32 timer, overrun;
            u64 value;
        } timer;
        struct {
            u64 address;
        } fault;
        u64 words[4];
    };
};
static_assert(sizeof(struct siginfo) == 48, "siginfo");
#define SIGINFO_SIZE 128 /* what programs see */

struct sigaction { /* the ABI's, without a restorer */
    u64 handler, flags, mask;
};
struct sighand {
    u32 refs;
    struct spinlock lock;
    struct sigaction action[SIGNAL_MAX]; /* of signal n at n - 1 */
};

struct sigaltstack { /* the ABI's */
    u64 base;
    s32 flags, pad;
    u64 size;
};

struct ptimer;
struct user;

struct sigqueue { /* one pending signal */
    struct list link;
    struct user *user;     /* to whose RLIMIT_SIGPENDING it counts; NULL: not allocated, but part of a timer */
    struct ptimer *ptimer; /* of a timer: its signal is pending only once */
    bool *spare_used;      /* the process's spare entry: false again when it is free. NULL: of its own memory */
    struct siginfo info;
};

struct sigpending {
    u64 set;
    struct list queue; /* struct sigqueue; a signal may be pending without an entry when memory was short */
};

/* ---- sending; callable in interrupts and under spinlocks but signal_lock unless said otherwise ---- */
/* To a process, from the kernel (SI_KERNEL); SIG 0 does nothing. */
int signal_send_process(struct process *process, int sig);
/* With INFO, whose signo counts. TASK: that thread, NULL: any of PROCESS. 0, -EAGAIN (no room in the queue, real-time
 * ones). */
int signal_send(struct process *process, struct task *task, const struct siginfo *info);
/* signal_target.c: whom to signal later, zeroed at first. Kinds are fcntl's F_OWNER_*. */
enum signal_target_kind { TARGET_THREAD, TARGET_PROCESS, TARGET_GROUP };
struct signal_target {
    enum signal_target_kind kind;
    struct pid *pid; /* NULL: nobody */
    u32 uid, euid;   /* of who set it */
};
int signal_target_set(struct signal_target *target, enum signal_target_kind kind, int number); /* 0, -ESRCH */
int signal_target_get(const struct signal_target *target, enum signal_target_kind *kind);      /* 0: nobody */
void signal_target_send(const struct signal_target *target, const struct siginfo *info); /* => not under task_lock */
/* => not under task_lock */
int signal_send_group(int pgid, int sig); /* the tty's; 0, -ESRCH */
int signal_send_current(int sig);         /* SIGPIPE, SIGXFSZ: to the current thread */
/* A fault of the current thread: cannot be blocked or ignored. */
void signal_force(int sig, int code, u64 address);
/* The second of two steps: what signal_note_fault has noted is to be taken. */
void signal_force_noted(bool always_kill);
/* The current thread sends SIG to itself and will take it at once: true. False, nothing done: it is to be queued. */
bool signal_send_own(int sig, int code);
void signal_force_kill(int sig); /* even a handler does not help: exec failed half-way, no stack for a frame */

/* Terminal access from the background asks: is SIG blocked or ignored by the current task? */
bool signal_is_blocked_or_ignored(int sig);

/* ---- masks of the current task ---- */
#define SIGSET_SIZE 8
void signal_set_mask(u64 mask);
/* ppoll, pselect6, epoll_pwait: takes the user's mask into use until signal_mask_done(). USER_MASK NULL: nothing. 0,
 * -EINVAL (size), -EFAULT. */
int signal_use_mask(const void *user_mask, u64 size);
/* The call is over: puts the mask back, unless it was INTERRUPTED: then the handler runs with it first and its frame
 * puts it back. */
void signal_mask_done(bool interrupted);

#endif
