/*
 * Traps of user mode: page faults and what else a program can do wrong become signals. System calls do not come here
 * (arch/riscv/entry.S).
 *
 *   page fault           space_fault; what it cannot mend: the program's handler (proc/vmtrap.c), SIGSEGV (MAPERR,
 *                        ACCERR), SIGBUS, or death without memory
 *   illegal instruction  perhaps the first floating-point one (arch_fp_trap); else SIGILL
 *   breakpoint           SIGTRAP
 *   misaligned           SIGBUS (the firmware emulates what the hart cannot do)
 */
#include "arch/riscv/arch.h"
#include "proc/internal.h"
#include "proc/vmtrap.h"
#include "sched/sched.h"
#include "vm/space.h"

enum { /* scause; RISC-V privileged specification */
       CAUSE_MISALIGNED_FETCH = 0,
       CAUSE_FETCH_ACCESS = 1,
       CAUSE_ILLEGAL = 2,
       CAUSE_BREAKPOINT = 3,
       CAUSE_MISALIGNED_LOAD = 4,
       CAUSE_LOAD_ACCESS = 5,
       CAUSE_MISALIGNED_STORE = 6,
       CAUSE_STORE_ACCESS = 7,
       CAUSE_FETCH_PAGE = 12,
       CAUSE_LOAD_PAGE = 13,
       CAUSE_STORE_PAGE = 15,
};

static inline bool fault_is(int sig, int code, u64 address)
{
    signal_note_fault(sig, code, address);
    return true;
}

/* Neither mapped nor forbidden. */
static noinline_fn bool page_fault_failed(enum fault_result result, u64 address)
{
    switch (result) {
    case FAULT_MAPPED:
    case FAULT_ACCERR:
        break;
    case FAULT_MAPERR:
        return fault_is(SIGSEGV, SEGV_MAPERR, address);
    case FAULT_BUS:
        return fault_is(SIGBUS, BUS_ADRERR, address);
    case FAULT_NO_MEMORY:
        if (!fatal_signal_pending()) /* else it is dying already, for this reason or another */
            signal_force_kill(SIGKILL);
        break;
    }
    return false;
}

static inline_fn bool page_fault(struct regs *regs, enum fault_access access)
{
    u64 address = regs->tval;
    enum fault_result result = space_fault(current->space, address, access);

    if (likely(result == FAULT_MAPPED))
        return false;
    if (unlikely(result != FAULT_ACCERR))
        return page_fault_failed(result, address);
    if (unlikely(has_traps()) && vmtrap_enter(regs, access))
        return false;
    return fault_is(SIGSEGV, SEGV_ACCERR, address);
}

static noinline_fn bool other_trap(const struct regs *regs)
{
    switch (regs->cause) {
    case CAUSE_ILLEGAL:
        if (unlikely(has_trap_handler()))
            vmtrap_save_fp();
        return !arch_fp_trap() && fault_is(SIGILL, ILL_ILLOPC, regs->pc);
    case CAUSE_BREAKPOINT:
        return fault_is(SIGTRAP, TRAP_BRKPT, regs->pc);
    case CAUSE_MISALIGNED_FETCH:
    case CAUSE_MISALIGNED_LOAD:
    case CAUSE_MISALIGNED_STORE:
        return fault_is(SIGBUS, BUS_ADRALN, regs->tval);
    case CAUSE_FETCH_ACCESS:
    case CAUSE_LOAD_ACCESS:
    case CAUSE_STORE_ACCESS:
        return fault_is(SIGSEGV, SEGV_ACCERR, regs->tval);
    default:
        return fault_is(SIGILL, ILL_ILLTRP, regs->pc);
    }
}

bool user_trap(struct regs *regs)
{
    u64 cause = regs->cause;

    if (likely(cause == CAUSE_LOAD_PAGE))
        return page_fault(regs, FAULT_READ);
    if (likely(cause == CAUSE_STORE_PAGE))
        return page_fault(regs, FAULT_WRITE);
    if (cause == CAUSE_FETCH_PAGE)
        return page_fault(regs, FAULT_EXEC);
    return other_trap(regs);
}

void user_return_work(struct regs *regs)
{
    cond_resched();
    if (load_relaxed(&current->flags) & (THREAD_SIGNAL | THREAD_KILLED))
        signal_deliver(regs);
}

/* User memory is reached through the kernel's own map after a look at the page table, so no fault in the kernel is
 * expected. */
bool kernel_fault_fixup(struct regs *regs)
{
    (void)regs;
    return false;
}
