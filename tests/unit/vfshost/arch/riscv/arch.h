/* The machine as unit tests of fs/ see it. Shadows kernel/arch/riscv/arch.h. */
#ifndef ARCH_RISCV_ARCH_H
#define ARCH_RISCV_ARCH_H

#include "lib/types.h"

struct thread;
struct hart;
static inline u64 irq_save(void) { return 0; }
static inline void irq_restore(u64 flags) { (void)flags; }
static inline void cpu_relax(void) {}
u64 time_ns(void);
u64 time_realtime_offset(void);
#define MAX_HARTS 8

#endif
