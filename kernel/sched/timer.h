/*
 * One-shot timers on the monotonic clock, kept in a tree per hart; no tick when nothing is due.
 * The function runs in the timer interrupt: it may wake threads, take irqsave locks and start timers, not sleep.
 */
#ifndef SCHED_TIMER_H
#define SCHED_TIMER_H

#include "lib/tree.h"
#include "lib/types.h"

struct timer {
    struct tree_node node;
    u64 deadline;
    struct hart *hart; /* in whose tree it is; NULL = not started */
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
/* True if it was stopped before it ran. Waits while its function runs on another hart, so afterwards T may be freed:
 * not to be called with a lock held that the function takes. */
bool timer_stop(struct timer *t);
static inline bool timer_is_active(const struct timer *t) { return t->hart != NULL; }

#endif
