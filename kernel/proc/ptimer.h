/* POSIX timers of a process (timer_create(2)), and the clocks that they and clock_nanosleep may run on. */
#ifndef PROC_PTIMER_H
#define PROC_PTIMER_H

#include "proc/task.h"

enum {
    CLOCK_REALTIME = 0,
    CLOCK_MONOTONIC = 1,
    CLOCK_PROCESS_CPUTIME_ID = 2,
    CLOCK_THREAD_CPUTIME_ID = 3,
    CLOCK_MONOTONIC_RAW = 4,
    CLOCK_REALTIME_COARSE = 5,
    CLOCK_MONOTONIC_COARSE = 6,
    CLOCK_BOOTTIME = 7,
    CLOCK_REALTIME_ALARM = 8,
    CLOCK_BOOTTIME_ALARM = 9,
    CLOCK_TAI = 11,
};

/* Whose CPU time a clock counts; neither for the ordinary clocks. References are held: clock_put. */
struct clock {
    int id;
    struct process *process;
    struct task *task;
    bool user_only, is_cpu;
};
/* Decodes a clockid_t, those of other processes too (clock_getcpuclockid(3)): 0, -EINVAL. */
int clock_get(int id, struct clock *clock);
void clock_put(struct clock *clock);
u64 clock_read(const struct clock *clock); /* ns; callable in interrupts */

struct sigevent { /* the ABI's 64 bytes; what is used of them */
    u64 value;
    s32 signo, notify;
    s32 tid;
};
enum { SIGEV_SIGNAL = 0, SIGEV_NONE = 1, SIGEV_THREAD = 2, SIGEV_THREAD_ID = 4 };

/* As the system calls; times in ns. EVENT NULL: SIGALRM with the timer's id as its value. */
int ptimer_create(int clock_id, const struct sigevent *event);
int ptimer_delete(int id);
int ptimer_set(int id, bool is_absolute, u64 value, u64 interval, u64 *old_left, u64 *old_interval);
int ptimer_get(int id, u64 *left, u64 *interval);
int ptimer_overrun(int id);

#endif
