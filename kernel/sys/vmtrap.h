/* The way into a program's fault handler and back: sys/vmtrap.c. */
#ifndef SYS_VMTRAP_H
#define SYS_VMTRAP_H

#include "arch/riscv/regs.h"
#include "lib/types.h"
#include "sys/syscall.h"
#include "vm/space.h"

struct thread;

/* The current thread's ACCESS, which faulted, was forbidden: REGS enter its handler, or the access is to be tried
 * again. False: it is a signal's. => interrupts on; REGS as user_trap has them */
bool vmtrap_enter(struct regs *regs, enum fault_access access);
/* 0: the current thread's registers are what they are to be; or -errno. */
long vmtrap_resume(u64 n);

/* The calls from VMTRAP_REGISTER on, which are not in syscall_table. */
extern const syscall_fn vmtrap_table[], isolated_vmtrap_table[];

#endif
