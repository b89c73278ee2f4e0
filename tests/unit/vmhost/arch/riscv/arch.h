/* The machine as unit tests of vm/ see it: one hart, no interrupts. Shadows kernel/arch/riscv/arch.h. */
#ifndef ARCH_RISCV_ARCH_H
#define ARCH_RISCV_ARCH_H

#include "lib/types.h"

struct thread;
struct hart;
struct machine {
    unsigned harts, paging_levels;
};
extern struct machine machine;
static inline u64 irq_save(void) { return 0; }
static inline void irq_restore(u64 flags) { (void)flags; }
static inline void cpu_relax(void) {}
u64 arch_user_address_limit(void);
#define MAX_HARTS 8

#endif
