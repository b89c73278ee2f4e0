/*
 * A thread: a kernel stack and a saved context that a hart can run. User threads are `struct task` (proc/task.h), which
 * begins with one. The pointers below the line belong to the layers above; sched/ switches `space` and looks at nothing
 * else of theirs.
 *
 *  States:   RUNNING <-> RUNNABLE -> (RUNNING) -> SLEEPING / INTERRUPTIBLE / STOPPED -> RUNNABLE ... -> DEAD
 *
 * A thread changes its own state; others only make it RUNNABLE again (thread_wake). `current` is in register tp.
 */
#ifndef SCHED_THREAD_H
#define SCHED_THREAD_H

#include "arch/riscv/arch.h"
#include "arch/riscv/layout.h"
#include "lib/list.h"
#include "sched/spinlock.h"
#include "sched/trap_state.h"

enum thread_state {
    THREAD_RUNNABLE,      /* on a run queue, or running */
    THREAD_SLEEPING,      /* until woken */
    THREAD_KILLABLE,      /* until woken or a fatal signal */
    THREAD_INTERRUPTIBLE, /* until woken or any signal */
    THREAD_STOPPED,       /* until SIGCONT or a fatal signal */
    THREAD_DEAD,
};

/* thread->flags; changed by atomic_or/atomic_and */
#define THREAD_SIGNAL BIT(0)  /* a signal may be pending: look at it before returning to user mode */
#define THREAD_KILLED BIT(1)  /* a fatal signal is pending: killable sleeps end too */
#define THREAD_RESCHED BIT(2) /* give the hart away at the next chance */
#define THREAD_WORK (THREAD_SIGNAL | THREAD_KILLED | THREAD_RESCHED) /* before user mode goes on */
#define THREAD_USER BIT(3)                                           /* embedded in a struct task */
#define THREAD_LEAVING BIT(4) /* gives its space up: waits for nobody who could fill memory in */

struct context { /* arch_switch: callee-saved registers, and gp, which the kernel leaves to the user */
    u64 ra, sp, s[12], gp;
};

#define THREAD_LEAVES 16u
struct leaf_hint { /* the page table of 2 MiB of user memory that the kernel reached lately for the thread */
    u64 generation, span;
    u64 *entries;
    u64 unused; /* found by shifts */
};

struct thread {
    /* entry.S knows the offsets of these; static_asserts in arch/riscv */
    u64 kernel_sp;      /* 0: where the kernel stack begins after a trap of user mode */
    u64 user_scratch;   /* 8: entry.S's own */
    u32 flags;          /* 16 */
    u32 spinlocks_held; /* DEBUG */
    struct hart *hart;  /* 24: where it runs, or ran last */
    struct regs regs;   /* 32: of its user mode */

    struct context context;
    struct trap_state trap;  /* 456 */
    enum thread_state state; /* under the lock of the run queue of `hart`, or own */
    bool on_cpu;             /* still on a hart's stack: may not be switched to or freed */
    struct list run_link;    /* in a run queue */
    u64 hart_mask;           /* allowed harts (sched_setaffinity) */
    int nice;                /* -20..19 */
    s64 slice_left;          /* ns that it may run before it goes behind the others; counted without a lock */
    u64 slept_at;            /* time_ns() when it last gave its hart away to sleep */
    u64 user_ns, system_ns;  /* CPU time used */
    u64 switches_voluntary, switches_forced;
    bool sampled_in_user; /* where the last timer interrupt found it */
    struct fp_state fp;   /* valid unless some hart's registers hold it */
    bool fp_used;
    u16 fp_status;        /* FS of sstatus while it does not run: fp.c */
    struct hart *fp_hart; /* whose registers hold the newest FP state; NULL = `fp` does */
    void *stack;          /* lowest mapped byte of the kernel stack */
    char name[16];        /* comm */

    /* ---- of the layers above ---- */
    struct space *space;                    /* user address space; NULL for kernel threads */
    struct leaf_hint leaves[THREAD_LEAVES]; /* vm/uaccess.c's, by span */
    struct fd_table *files;                 /* fs/ */
    struct fs_context *fs;                  /* fs/: root, cwd, umask */
    struct cred *cred;                      /* lib/cred.h */
    struct rlimits *limits;                 /* lib/rlimit.h */
#ifdef DEBUG
    struct order_held held[ORDER_HELD_MAX]; /* sched/order.h */
    unsigned n_held;
    unsigned fail_nth; /* vm/inject.h */
#endif
};

static inline struct thread *current_thread(void)
{
    struct thread *t;
    __asm__("mv %0, tp" : "=r"(t));
    return t;
}
#define current (current_thread())

/* Registers of T's user mode. */
static inline struct regs *thread_regs(struct thread *t) { return &t->regs; }

static inline bool signal_pending(void) { return (load_relaxed(&current->flags) & THREAD_SIGNAL) != 0; }
static inline bool fatal_signal_pending(void) { return (load_relaxed(&current->flags) & THREAD_KILLED) != 0; }

/* A kernel thread that runs FN(ARG); when FN returns the thread ends and frees itself. ERR_PTR(-ENOMEM). */
struct thread *kernel_thread(const char *name, void (*fn)(void *), void *arg);
/* Initialises T's fields and gives it a kernel stack. 0 or -ENOMEM. Not yet runnable. */
int thread_init(struct thread *t, const char *name);
/* T is DEAD and off its hart (waits for that), or never ran: frees the stack, not T. */
void thread_release(struct thread *t);
/* Makes a new thread runnable for the first time. */
void thread_start(struct thread *t);

#endif
