/* What the files of sched/ share among themselves. */
#ifndef SCHED_INTERNAL_H
#define SCHED_INTERNAL_H

#include "sched/sched.h"
#include "sched/timer.h"

/* timer.c. Both: interrupts off, HART is this one. */
void timer_follow_wall_clock(struct hart *hart); /* in a kick: if it was set, the hart looks at its timers anew */
void timer_set_tick(struct hart *hart, u64 at); /* sched_tick at that time; UINT64_MAX = never */
bool timer_tick_is_set(const struct hart *hart);
void timer_init_hart(struct hart *hart);

/* sched.c: a tick is due; when the next one is. */
u64 sched_tick(struct hart *hart, u64 now);

/* load.c: counts what is runnable now into the load averages. */
void load_update(u64 now);

#endif
