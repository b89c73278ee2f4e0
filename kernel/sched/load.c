/*
 * The load averages of 1, 5 and 15 minutes: exponentially fading means of the number of runnable threads, sampled every
 * 5 seconds. Idle harts have no tick; the intervals that were slept through are made up for at the next update, as
 * intervals without load.
 */
#include "sched/internal.h"

#define INTERVAL_NS (5 * NSEC_PER_SEC)
#define FIXED_ONE 2048
#define MAX_CATCH_UP 1000 /* intervals; everything has faded by then */

static const u64 fade[3] = {1884, 2014, 2037}; /* 2048 * exp(-5 s / 1, 5, 15 min) */

static struct spinlock lock;
static u64 averages[3], next_sample;

unsigned sched_runnable(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < machine.harts; i++)
        n += load_relaxed(&harts[i].queue.count) + (load_relaxed(&harts[i].current_thread) != harts[i].idle);
    return n;
}

static void sample(u64 runnable)
{
    for (unsigned i = 0; i < ARRAY_SIZE(averages); i++)
        averages[i] = (averages[i] * fade[i] + runnable * FIXED_ONE * (FIXED_ONE - fade[i])) / FIXED_ONE;
}

void load_update(u64 now)
{
    u64 flags;

    if (now < load_relaxed(&next_sample))
        return;
    flags = spin_lock_irqsave(&lock);
    for (unsigned i = 0; next_sample + INTERVAL_NS <= now && i < MAX_CATCH_UP; i++, next_sample += INTERVAL_NS)
        sample(0);
    if (now >= next_sample) {
        sample(sched_runnable());
        next_sample = now + INTERVAL_NS;
    }
    spin_unlock_irqrestore(&lock, flags);
}

void sched_loadavg(u64 avg[3])
{
    load_update(time_ns());
    for (unsigned i = 0; i < ARRAY_SIZE(averages); i++)
        avg[i] = load_relaxed(&averages[i]);
}
