/* vmhost's machine, and a clock. */
#ifndef EXT3HOST_ARCH_H
#define EXT3HOST_ARCH_H

#include_next <arch/riscv/arch.h>

u64 time_ns(void);
u64 time_realtime_offset(void);

#endif
