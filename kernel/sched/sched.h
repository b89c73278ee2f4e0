/*
 * The scheduler: one run queue per hart, round robin by time slices that nice values stretch; idle harts take work from
 * busy ones. Not preemptible in the kernel: a thread gives its hart away when it sleeps, at cond_resched() and on the
 * way to user mode.
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "sched/thread.h"

struct runqueue {
    struct spinlock lock; /* irqsave */
    struct list threads;
    unsigned count;
    bool has_strangers; /* threads that may no longer run here: they could not be moved at once */
};

struct hart {
    struct stub *stub; /* entry.S knows that it is first */
    unsigned id;       /* 0.. */
    u64 sbi_id;        /* mhartid */
    struct thread *current_thread, *idle;
    struct runqueue queue;
    struct space *space;     /* whose page table satp holds */
    struct thread *fp_owner; /* whose FP state the registers hold */
    u64 timer_deadline;
    u64 idle_ns; /* time spent idle */
    u64 user_ns; /* time in user mode; the rest is the kernel's */
    u64 interrupts, switches, ticks;
    u64 stack_generation;       /* arch/: of the kernel-stack map that this hart's TLB knows */
    u64 readings;               /* sched/reading.h */
    u64 run_start;              /* when current_thread began to run, or was last accounted */
    bool is_idle;               /* waits for an interrupt */
    bool in_interrupt;          /* DEBUG */
    struct thread *emigrant;    /* leaves this hart for another: enqueued there once it is off its stack */
    struct timer_queue *timers; /* sched/timer.c */
};

extern struct hart harts[MAX_HARTS];
static inline struct hart *this_hart(void) { return current->hart; }

/* Gives the hart away. The caller has set its own state (a thread that is still RUNNABLE goes to the end of the queue).
 * => no spinlock held. */
void schedule(void);
void sched_yield(void);
static inline void cond_resched(void)
{
    if (unlikely(load_relaxed(&current->flags) & THREAD_RESCHED))
        schedule();
}
/* Makes T runnable if it sleeps in a state of MASK (BIT(THREAD_SLEEPING) | ...). True if it did. Callable in
 * interrupts. */
bool thread_wake(struct thread *t, unsigned state_mask);
#define WAKE_ANY (BIT(THREAD_SLEEPING) | BIT(THREAD_KILLABLE) | BIT(THREAD_INTERRUPTIBLE))
#define WAKE_SIGNAL BIT(THREAD_INTERRUPTIBLE)
#define WAKE_KILL (BIT(THREAD_KILLABLE) | BIT(THREAD_INTERRUPTIBLE) | BIT(THREAD_STOPPED))
#define WAKE_CONT BIT(THREAD_STOPPED)
/* Makes T's hart look at T's flags soon, if T runs in user mode there. */
void thread_kick(struct thread *t);
/* The current thread ends; never returns. => THREAD_DEAD set, nothing held. */
noreturn_fn void thread_exit(void);
/* Accounts CPU time: called at the kernel's entry from and return to user mode only by readers who need it exact. */
void sched_account(struct thread *t, u64 *user_ns, u64 *system_ns);
int sched_set_affinity(struct thread *t, u64 mask);
/* Time that HART has been idle, up to now. */
u64 sched_idle_ns(const struct hart *hart);
/* Number of runnable threads on all harts, and the load averages (fixed point, 1/2048). */
unsigned sched_runnable(void);
void sched_loadavg(u64 avg[3]);

void sched_init(void);
void sched_init_hart(void);
noreturn_fn void sched_idle(void); /* the idle thread's life */
void sched_timer_interrupt(void);
void sched_ipi(void);
/* A timer interrupt came while user mode (or the kernel) ran: that is how CPU time is divided between the two. */
void sched_interrupted_user(bool user);
/* The first thing that a thread does on its hart after a switch. */
void sched_finish_switch(struct thread *prev);
/* vm/tlb.c: HART runs a thread of NEXT from now on. => interrupts off */
void space_switch(struct hart *hart, struct space *next);

#endif
