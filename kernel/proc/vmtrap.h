/* The way into a program's fault handler and back: proc/vmtrap.c. */
#ifndef PROC_VMTRAP_H
#define PROC_VMTRAP_H

#include "arch/riscv/regs.h"
#include "lib/types.h"
#include "sched/thread.h"
#include "vm/space.h"
#include "vm/vmtrap.h"

static inline bool has_trap_handler(void) { return current->trap.user_area != 0; }
static inline bool has_traps(void) { return has_trap_handler() || space_has_logs(current->space); }
/* The current thread's ACCESS, which faulted, was forbidden: REGS enter its handler, or (it was logged, or
 * allowed just now) it is to be tried again. False: it is a signal's. => interrupts on; REGS as user_trap has them */
bool vmtrap_enter(struct regs *regs, enum fault_access access);
/* 0: the current thread's registers are what they are to be; or -errno. */
long vmtrap_resume(u64 n);
/* Before floating point is used or replaced: if a handler runs, the interrupted code's goes to the save area, unless it
 * is there. => it has a handler; may sleep */
void vmtrap_save_fp(void);

#endif
