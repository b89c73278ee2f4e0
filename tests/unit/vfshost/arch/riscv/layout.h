/* No direct map is needed: fs/ touches no physical memory. Shadows kernel/arch/riscv/layout.h. */
#ifndef ARCH_RISCV_LAYOUT_H
#define ARCH_RISCV_LAYOUT_H

#include "lib/types.h"

static inline void *phys_to_virt(u64 pa) { return (void *)pa; }
static inline u64 virt_to_phys(const void *p) { return (u64)p; }

#endif
