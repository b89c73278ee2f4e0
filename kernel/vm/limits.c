/*
 * How large spaces may grow. Limits of a process come from its rlimits; what all of them may be promised together from
 * vm.overcommit_memory:
 *
 *   0  a single request may not be for more than there is: the memory and what the swap devices hold. (What compression
 *      saves is not counted: it is known only when the pages are there.)
 *   1  anything
 *   2  all private writable memory, stacks and shared memory together stay below CommitLimit
 *
 * What is promised is not kept in a sum of its own: it is added up over the spaces when somebody asks, which is often
 * in mode 2 only. Sources: getrlimit(2), proc_sys_vm(5), Linux's mm/overcommit-accounting.
 */
#include "vm/limits.h"
#include "lib/cred.h"
#include "lib/rlimit.h"
#include "sched/thread.h"
#include "vm/cache.h"
#include "vm/swap.h"
#include "vm/swapobj.h"
#include "vm/swapout.h"
#include "vm/vma.h"

struct vm_settings vm_settings = {
    .overcommit_memory = OVERCOMMIT_GUESS,
    .overcommit_ratio = 50,
    .user_reserve_kbytes = 131072,
    .admin_reserve_kbytes = 8192,
    .max_map_count = 65530,
    .page_cluster = 3,
};
static bool all_count; /* while OVERCOMMIT_NEVER is set */

void space_count_exactly(struct space *s)
{
    store_relaxed(&s->counts_exactly, true);
    pt_forget_leaves(s); /* threads that remember how it was: vm/vmtrap.h */
}
bool vm_counts_exactly(void) { return load_relaxed(&all_count) || rlimit_of_current(RLIMIT_DATA) != RLIM_INFINITY; }

static void count_in(struct space *s, void *argument)
{
    (void)argument;
    space_count_exactly(s);
}

void vm_set_overcommit(enum overcommit_mode mode)
{
    store_release(&all_count, mode == OVERCOMMIT_NEVER);
    if (mode == OVERCOMMIT_NEVER)
        swapout_each_space(count_in, NULL);
    store_relaxed(&vm_settings.overcommit_memory, mode);
}

u64 rlimit_of_current(unsigned which)
{
    return current->limits != NULL ? load_relaxed(&current->limits->limit[which].soft) : RLIM_INFINITY;
}

/* ---- of one process ---- */

bool within_limits(const struct space *s, u64 n, bool is_data)
{
    if (s->total_pages + n > rlimit_of_current(RLIMIT_AS) >> PAGE_SHIFT)
        return false;
    return !is_data || s->data_pages + n <= rlimit_of_current(RLIMIT_DATA) >> PAGE_SHIFT;
}

bool within_lock_limit(const struct space *s, u64 n)
{
    return s->locked_pages + n <= rlimit_of_current(RLIMIT_MEMLOCK) >> PAGE_SHIFT ||
           capable(current->cred, CAP_IPC_LOCK);
}

bool may_lock_memory(void) { return rlimit_of_current(RLIMIT_MEMLOCK) != 0 || capable(current->cred, CAP_IPC_LOCK); }

/* ---- of all together ---- */

static u64 swap_pages(void)
{
    struct swap_stats stats;

    swap_stats(&stats);
    return stats.device_total;
}

u64 vm_commit_limit(void)
{
    u64 kbytes = load_relaxed(&vm_settings.overcommit_kbytes);
    u64 own = kbytes != 0 ? kbytes / (PAGE_SIZE / KIB)
                          : page_total_count() * load_relaxed(&vm_settings.overcommit_ratio) / 100;

    return own + swap_pages();
}

static void add_committed(struct space *s, void *sum)
{
    *(u64 *)sum += load_relaxed(&s->data_pages) + load_relaxed(&s->stack_pages);
}

u64 vm_committed(void)
{
    u64 sum = load_relaxed(&nr_memory_pages) + load_relaxed(&nr_memory_swapped);

    swapout_each_space(add_committed, &sum);
    return sum;
}

/* Some of the limit is kept for root, and for who cleans up. */
static u64 limit_for(const struct space *s)
{
    u64 limit = vm_commit_limit(), reserve = 0;

    if (!capable(current->cred, CAP_SYS_ADMIN))
        reserve += load_relaxed(&vm_settings.admin_reserve_kbytes) / (PAGE_SIZE / KIB);
    if (s != NULL)
        reserve += MIN(s->total_pages / 32, load_relaxed(&vm_settings.user_reserve_kbytes) / (PAGE_SIZE / KIB));
    return limit - MIN(limit, reserve);
}

bool may_commit_many(const struct space *s, u64 n)
{
    unsigned mode = load_relaxed(&vm_settings.overcommit_memory);

    if (mode == OVERCOMMIT_ALWAYS)
        return true;
    if (mode == OVERCOMMIT_GUESS)
        return likely(n <= page_total_count()) || n <= page_total_count() + swap_pages();
    return vm_committed() + n < limit_for(s);
}
