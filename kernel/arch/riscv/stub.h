/*
 * What the entry stub of isolated user mode works with: one for each hart, all in one page that every user table maps.
 * entry.S knows the offsets.
 */
#ifndef ARCH_RISCV_STUB_H
#define ARCH_RISCV_STUB_H

#include "arch/riscv/arch.h"

struct stub {
    u64 t0, tp;                 /* the user's, while satp changes */
    struct thread *thread;      /* whose user mode runs */
    u64 kernel_satp, user_satp; /* what satp becomes on the way in, on the way out */
    u64 pad[3];                 /* a cache line each */
};
static_assert(offsetof(struct stub, thread) == 16 && offsetof(struct stub, user_satp) == 32, "entry.S: STUB_*");

/* The kernel's own ASID; spaces get others. */
#define ISOLATED_KERNEL_ASID 1

#endif
