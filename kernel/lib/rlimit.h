/* Resource limits of a process (getrlimit(2)), shared by its threads. */
#ifndef LIB_RLIMIT_H
#define LIB_RLIMIT_H

#include "lib/types.h"

enum {
    RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_NOFILE,
    RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO,
    RLIMIT_RTTIME, RLIMIT_COUNT
};
#define RLIM_INFINITY UINT64_MAX

struct rlimit {
    u64 soft, hard; /* the ABI's struct rlimit: rlim_cur, rlim_max */
};
struct rlimits {
    struct rlimit limit[RLIMIT_COUNT];
};

#endif
