/* What keeps a space from growing: resource limits, vm.max_map_count, vm.overcommit_memory. */
#ifndef VM_LIMITS_H
#define VM_LIMITS_H

#include "lib/types.h"

struct space;
struct vma;

enum overcommit_mode { OVERCOMMIT_GUESS, OVERCOMMIT_ALWAYS, OVERCOMMIT_NEVER };

/* /proc/sys/vm: plain words, written by root. */
extern struct vm_settings {
    unsigned overcommit_memory; /* enum overcommit_mode */
    unsigned overcommit_ratio;  /* percent; 0 while overcommit_kbytes counts */
    u64 overcommit_kbytes, user_reserve_kbytes, admin_reserve_kbytes;
    unsigned max_map_count;
    unsigned page_cluster; /* 2^this pages are read from a swap device together; 0: one */
} vm_settings;
void vm_set_overcommit(enum overcommit_mode mode);

/* Where private writable pages are counted (RLIMIT_DATA, OVERCOMMIT_NEVER), vmas tell exactly which those are, and a
 * change of protection splits them (vm/mprotect.c). S, whose process got a limit, is such a space from now on. */
void space_count_exactly(struct space *s);
/* Whether a new space of the current process is. */
bool vm_counts_exactly(void);

/* RLIMIT_AS, and for private writable pages RLIMIT_DATA, let S have N pages more. => S's lock */
bool within_limits(const struct space *s, u64 n, bool is_data);
/* There is, or is promised by overcommitting, memory for N pages more. S: who wants them, or NULL. */
bool may_commit_many(const struct space *s, u64 n);
#define COMMITTED_ANYHOW 256 /* pages; so many any machine has */
static inline bool may_commit(const struct space *s, u64 n)
{
    return (n <= COMMITTED_ANYHOW && vm_settings.overcommit_memory != OVERCOMMIT_NEVER) || may_commit_many(s, n);
}
/* RLIMIT_MEMLOCK lets S lock N pages more. => S's lock */
bool within_lock_limit(const struct space *s, u64 n);
/* Whether anything may be locked at all (EPERM). */
bool may_lock_memory(void);
u64 rlimit_of_current(unsigned which);

/* For /proc/meminfo: pages. */
u64 vm_committed(void);
u64 vm_commit_limit(void);

#endif
