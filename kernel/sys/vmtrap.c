/*
 * User traps, the part with registers: the system calls, the way into a program's fault handler and back. The calls are
 * told in vmtrap(2), structures and numbers in libvm/include/quire/vmtrap.h, the rules in docs/vmtrap.md.
 *
 * What is here is the long way: it finds the save area as any system call finds user memory, by its address, each time.
 * entry.S has the short one, for when the thread remembers (vm/vmtrap.h). Both leave the same behind.
 *
 *   in    the registers that a C function may change -> the save area, busy = the cause; sp = the handler's stack,
 *         a0 = the area, a1 = the address, a2 = the cause, a3 = pc = where the fault was
 *   out   changes of protection, busy = 0, the same registers from the area
 *
 * The others are never touched: the kernel's C code keeps s0 to s11 for the user (entry.S). A save area is user memory
 * like any other: other threads may change or unmap it meanwhile, so each word is read once and nothing is believed but
 * values of registers, of which every one is the user's own.
 *
 * Nothing waits for a handler: the kernel has no state of a running one but the word in the save area, and what fp.c
 * has of the interrupted code's floating point. So it may longjmp away, fork, or never come back.
 */
#include "arch/riscv/arch.h"
#include "proc/internal.h"
#include "quire/vmtrap.h"
#include "sched/thread.h"
#include "sys/syscall.h"
#include "sys/vmtrap.h"
#include "vm/uaccess.h"
#include "vm/vmtrap.h"

static_assert(VMTRAP_AREA_SIZE <= PAGE_SIZE && VMTRAP_FETCH == 12 && VMTRAP_LOAD == 13 && VMTRAP_STORE == 15,
              "entry.S goes by this");

/* The registers that are in the area. */
static const u8 saved[] = {1, 2, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31};

bool vmtrap_enter(struct regs *regs, enum fault_access access)
{
    struct trap_state *trap = &current->trap;
    struct space *s = current->space;
    enum trap_kind kind = vmtrap_look(s, regs->tval, access);
    struct vmtrap_area *area;
    u64 flags;

    if (kind != TRAP_FAULT)
        return kind == TRAP_RETRY;
    area = user_pin_write(trap->user_area, &flags);
    if (area == NULL)
        return false;
    if (load_relaxed(&area->busy) != 0) {
        user_unpin(flags);
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++)
        area->x[saved[i]] = regs->x[saved[i]];
    area->pc = regs->pc;
    store_release(&area->busy, regs->cause);
    vmtrap_note_area(s, area);
    user_unpin(flags);
    regs->x[REG_A0] = trap->user_area;
    regs->x[REG_A1] = regs->tval;
    regs->x[REG_A2] = regs->cause;
    regs->x[REG_A3] = regs->pc;
    regs->x[REG_SP] = trap->stack;
    regs->pc = trap->entry;
    return true;
}

/* The ranges in the area. -errno: those before the one that failed are done. */
static int protect(u64 area, u64 n)
{
    struct vmtrap_range ranges[VMTRAP_RANGES];
    u64 at = area + offsetof(struct vmtrap_area, ranges), done;

    if (n > VMTRAP_RANGES)
        return -EINVAL;
    if (copy_from_user(ranges, (const void *)at, n * sizeof(*ranges)) != 0)
        return -EFAULT;
    return space_protect_ranges(current->space, ranges, n, &done);
}

long vmtrap_resume(u64 n)
{
    struct regs *regs = thread_regs(current);
    struct trap_state *trap = &current->trap;
    struct vmtrap_area *area;
    u64 flags;
    long error;

    if (trap->user_area == 0)
        return -EINVAL;
    error = n != 0 ? protect(trap->user_area, n) : 0;
    if (error != 0)
        return error;
    area = user_pin_write(trap->user_area, &flags);
    if (area == NULL)
        return -EFAULT;
    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++)
        regs->x[saved[i]] = load_relaxed(&area->x[saved[i]]);
    regs->pc = load_relaxed(&area->pc);
    store_release(&area->busy, 0);
    user_unpin(flags);
    regs->cause = CAUSE_SETTLED;
    return 0;
}

DEFINE_SYSCALL(sys_vmtrap_register)
{
    u64 area = a0, entry = a1, stack = a2, limit = arch_user_address_limit();

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

#define PROTECT_AT_ONCE 16

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
        at += some * sizeof(*ranges);
    }
    return done != 0 ? (long)done : error;
}

static long no_such_call(SYSCALL_ARG(0), SYSCALL_ARG(1), SYSCALL_ARG(2), SYSCALL_ARG(3), SYSCALL_ARG(4), SYSCALL_ARG(5))
{
    return -ENOSYS;
}

long vmtrap_resume_entry(u64, u64, u64, u64, u64, u64);
long isolated_vmtrap_resume_entry(u64, u64, u64, u64, u64, u64);

#define TABLE(resume)                                                                               \
    {                                                                                               \
        sys_vmtrap_register, resume, sys_vmtrap_arm, sys_vmtrap_protect, no_such_call, no_such_call \
    }
const syscall_fn vmtrap_table[VMTRAP_CALLS] = TABLE(vmtrap_resume_entry);
const syscall_fn isolated_vmtrap_table[VMTRAP_CALLS] = TABLE(isolated_vmtrap_resume_entry);
