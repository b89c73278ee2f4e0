/*
 * The system-call table (riscv64: asm-generic numbers). Handlers take the six argument registers as u64 and return a
 * result or a negative errno; each group of calls has a file in sys/ that checks arguments, copies to and from user
 * memory and calls the layer below.
 */
#ifndef SYS_SYSCALL_H
#define SYS_SYSCALL_H

#include "arch/riscv/regs.h"
#include "lib/syscall.h"

typedef long (*syscall_fn)(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);

/* table.c: every number's handler. One line a call: SYSCALL(63, sys_read). */
#define SYSCALL_COUNT 470
extern const syscall_fn syscall_table[SYSCALL_COUNT], isolated_syscall_table[SYSCALL_COUNT];

#endif
