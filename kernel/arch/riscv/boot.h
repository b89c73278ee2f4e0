/* What init.c asks of the machine while the kernel comes up, in this order. */
#ifndef ARCH_RISCV_BOOT_H
#define ARCH_RISCV_BOOT_H

#include "arch/riscv/arch.h"
#include "vm/page.h"

/* RAM and what of it is in use already (firmware, image, device tree); returns how many RESERVED. */
unsigned arch_memory(struct phys_range *ram, struct phys_range *reserved, unsigned max_reserved);
/* Interrupt controller and clocks; needs no memory. */
void arch_init_devices(void);
/* Starts the other harts on their idle threads (sched_init_hart's) and waits until they run. */
void arch_start_harts(void);

#endif
