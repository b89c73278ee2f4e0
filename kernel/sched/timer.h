/*
 * One-shot timers on the monotonic or the wall clock, kept in trees per hart; no tick when nothing is due.
 * The function runs in the timer interrupt: it may wake threads, take irqsave locks and start timers, not sleep.
 */
#ifndef SCHED_TIMER_H
#define SCHED_TIMER_H

#include "lib/tree.h"
#include "lib/types.h"

struct timer {
    struct tree_node node;
    u64 deadline;
    bool on_wall_clock; /* what DEADLINE is on: it moves when somebody sets that clock */
    struct hart *hart;  /* in whose tree it is; NULL = not started */
    void (*fn)(struct timer *timer);
};

/*
 * A periodic timer whose last expiry nobody has taken note of yet (its signal is pending or ignored, its count unread)
 * is not due again before this long, however short its period: or a few of them would keep a hart in its timer
 * interrupt. What was missed is counted later.
 */
#define TIMER_UNHEARD_NS (10 * NSEC_PER_MSEC)

void timer_init(struct timer *t, void (*fn)(struct timer *));
void timer_start(struct timer *t, u64 deadline_ns); /* restarts it when it runs already */
void timer_start_wall(struct timer *t, u64 wall_ns); /* the same on the wall clock */
/* The wall clock was set: every hart looks anew when its next timer is due. */
void timers_wall_clock_was_set(void);
/* True if it was stopped before it ran. Waits while its function runs on another hart, so afterwards T may be freed:
 * not to be called with a lock held that the function takes. */
bool timer_stop(struct timer *t);
static inline bool timer_is_active(const struct timer *t) { return t->hart != NULL; }

#endif
