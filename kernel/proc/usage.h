/* struct rusage as getrusage(2), wait4(2) and waitid(2) show it. */
#ifndef PROC_USAGE_H
#define PROC_USAGE_H

#include "proc/task.h"

struct user_timeval {
    s64 sec, usec;
};
struct user_rusage {
    struct user_timeval user_time, system_time;
    s64 max_rss; /* KiB */
    s64 ixrss, idrss, isrss, minor_faults, major_faults, swaps, in_blocks, out_blocks, messages_sent, messages_received,
        signals;
    s64 switches_voluntary, switches_forced;
};
static_assert(sizeof(struct user_rusage) == 144, "struct rusage");

static inline struct user_timeval timeval_from_ns(u64 ns)
{
    return (struct user_timeval){.sec = (s64)(ns / NSEC_PER_SEC), .usec = (s64)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};
}

static inline void usage_to_user(struct user_rusage *out, const struct usage *u)
{
    *out = (struct user_rusage){
        .user_time = timeval_from_ns(u->time.user_ns),
        .system_time = timeval_from_ns(u->time.system_ns),
        .max_rss = (s64)(u->max_rss * (PAGE_SIZE / KIB)),
        .minor_faults = (s64)u->minor_faults,
        .major_faults = (s64)u->major_faults,
        .switches_voluntary = (s64)u->switches_voluntary,
        .switches_forced = (s64)u->switches_forced,
    };
}

#endif
