/* The direct map of unit tests: "physical memory" is a buffer of the test. Shadows kernel/arch/riscv/layout.h. */
#ifndef ARCH_RISCV_LAYOUT_H
#define ARCH_RISCV_LAYOUT_H

#include "lib/types.h"

extern char *host_memory; /* physical address 0 */
static inline void *phys_to_virt(u64 pa) { return host_memory + pa; }
static inline u64 virt_to_phys(const void *p) { return (u64)((const char *)p - host_memory); }

#endif
