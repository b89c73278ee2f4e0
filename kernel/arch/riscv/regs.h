/*
 * The registers of an interrupted context as entry.S saves them: in the thread for a trap from user mode, wherever the
 * stack was for one from the kernel. x[0] is unused (x0 is zero); x[n] is register n.
 */
#ifndef ARCH_RISCV_REGS_H
#define ARCH_RISCV_REGS_H

#include "lib/types.h"

enum {
    REG_RA = 1, REG_SP = 2, REG_GP = 3, REG_TP = 4,
    REG_T0 = 5, REG_T1 = 6, REG_T2 = 7,
    REG_S0 = 8, REG_S1 = 9,
    REG_A0 = 10, REG_A1, REG_A2, REG_A3, REG_A4, REG_A5, REG_A6, REG_A7,
    REG_S2 = 18,
    REG_T3 = 28,
};

struct regs {
    u64 x[32];
    u64 pc;      /* sepc */
    u64 status;  /* sstatus */
    u64 cause;   /* scause */
    u64 tval;    /* stval */
    u64 orig_a0; /* a0 at the entry of a system call, for restarts: set when signals are looked at */
    u64 pad;     /* keeps the stack 16-byte aligned */
};
static_assert(sizeof(struct regs) == 38 * 8, "entry.S knows this size");

/* FP state of user mode: f0-f31 and fcsr (psABI; the signal frame has the same order). */
struct fp_state {
    u64 f[32];
    u32 fcsr;
    u32 pad;
};

#endif
