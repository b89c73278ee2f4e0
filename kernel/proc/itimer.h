/* Interval timers of a process, for sys/time.c. */
#ifndef PROC_ITIMER_H
#define PROC_ITIMER_H

#include "proc/task.h"

#define INTERVAL_MAX ((u64)INT64_MAX) /* ns: with a time that has come it makes one that 64 bits can hold */
enum { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };

/* Nanoseconds until expiry (0: off) and from then on. */
void itimer_get(struct process *process, int which, u64 *left, u64 *interval);
void itimer_set(struct process *process, int which, u64 value, u64 interval);
/* When a timer on CPU time, of which LEFT ns are left, could be due at the earliest (monotonic). */
u64 cpu_timer_next_look(u64 left);

#endif
