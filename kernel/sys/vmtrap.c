/* System calls for user traps: vmtrap(2). Arguments are checked here; proc/vmtrap.c has the registers, vm/vmtrap.c the
 * memory. Their numbers lie past syscall_table, in a table of their own. */
#include "arch/riscv/arch.h"
#include "proc/vmtrap.h"
#include "quire/vmtrap.h"
#include "sched/sched.h"
#include "sched/thread.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"
#include "vm/vmtrap.h"

DEFINE_SYSCALL(sys_vmtrap_register)
{
    u64 area = a0, entry = a1, stack = a2, limit = arch_user_address_limit();

    arch_fp_release(); /* a handler that runs is none any more */
    if (area == 0 && (entry | stack | a3) == 0) {
        vmtrap_drop(current);
        return 0;
    }
    if (a3 != 0 || area % VMTRAP_AREA_SIZE != 0 || stack % 16 != 0 || entry % 2 != 0)
        return -EINVAL;
    if (area >= limit || entry >= limit || stack > limit)
        return -EFAULT;
    if (put_user_u64(0, (u64 *)(area + offsetof(struct vmtrap_area, busy))) != 0)
        return -EFAULT;
    return vmtrap_set(area, entry, stack);
}

DEFINE_SYSCALL(sys_vmtrap_arm) { return space_arm(current->space, a0, a1, a2); }

#define PROTECT_AT_ONCE 64 /* and with one shootdown */

DEFINE_SYSCALL(sys_vmtrap_protect)
{
    struct vmtrap_range ranges[PROTECT_AT_ONCE];
    u64 at = a0, n = a1, done = 0;
    int error = 0;

    while (done < n && error == 0 && !fatal_signal_pending()) {
        u64 some = MIN(n - done, (u64)PROTECT_AT_ONCE), more = 0;

        error = copy_from_user(ranges, (const void *)at, some * sizeof(*ranges));
        if (error == 0)
            error = space_protect_ranges(current->space, ranges, some, &more);
        done += more;
        cond_resched();
        at += some * sizeof(*ranges);
    }
    return done != 0 ? (long)done : error;
}

DEFINE_SYSCALL(sys_vmtrap_dirty)
{
    struct vmtrap_dirty d;
    long result;

    if (get_user_words(&d, a0, sizeof(d)) != 0)
        return -EFAULT;
    result = space_dirty(current->space, &d);
    return put_user_words(a0 + offsetof(struct vmtrap_dirty, range), &d.range, 2 * sizeof(u64)) == 0 ? result : -EFAULT;
}

DEFINE_SYSCALL(sys_vmtrap_log) { return space_log(current->space, a0, a1, a2); }

/* entry.S: vmtrap_resume, and the way back to user mode */
long vmtrap_resume_entry(u64, u64, u64, u64, u64, u64);
long isolated_vmtrap_resume_entry(u64, u64, u64, u64, u64, u64);

#define TABLE(resume)                                                                                     \
    {                                                                                                     \
        sys_vmtrap_register, resume, sys_vmtrap_arm, sys_vmtrap_protect, sys_vmtrap_dirty, sys_vmtrap_log \
    }
extern const syscall_fn vmtrap_table[], isolated_vmtrap_table[]; /* entry.S's */
const syscall_fn vmtrap_table[VMTRAP_CALLS] = TABLE(vmtrap_resume_entry);
const syscall_fn isolated_vmtrap_table[VMTRAP_CALLS] = TABLE(isolated_vmtrap_resume_entry);
