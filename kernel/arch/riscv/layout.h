/*
 * The kernel's address space. It fits the upper half of Sv39 (256 GiB), so that one layout serves Sv39, Sv48 and Sv57;
 * the wider formats reach it through one further root entry each.
 *
 *   0xffffffc0_00000000  direct map: physical address p is at DIRECT_MAP + p, 128 GiB, huge pages, read-write, no
 *                        execute.
 *                        Device registers are reached through it too.
 *   0xffffffe0_00000000  kernel stacks: STACK_SLOT bytes each, the lower part unmapped (guard), 4 GiB: 131072 threads
 *   0xffffffff_80000000  the kernel image: text read-execute, rodata read-only, data read-write
 *
 * Root entries (Sv39: the root's upper half; wider: the next level's) never change after boot: every space copies them
 * once.
 */
#ifndef ARCH_RISCV_LAYOUT_H
#define ARCH_RISCV_LAYOUT_H

#define DIRECT_MAP 0xffffffc000000000
#define DIRECT_MAP_SIZE 0x2000000000
#define STACK_AREA 0xffffffe000000000
#define STACK_AREA_SIZE 0x100000000
#define KERNEL_IMAGE 0xffffffff80000000

#define KERNEL_STACK_SIZE 16384
#define STACK_SLOT (2 * KERNEL_STACK_SIZE) /* aligned so: bit log2(KERNEL_STACK_SIZE) of sp tells an overflow */

#ifndef __ASSEMBLER__
#include "lib/types.h"
/* Where the stack that begins at BOTTOM is empty: not its very end, where the bit is that of the next guard. */
static inline u64 kernel_stack_top(const void *bottom) { return (u64)bottom + KERNEL_STACK_SIZE - 16; }
static inline void *phys_to_virt(u64 pa) { return (void *)(DIRECT_MAP + pa); }
/* P points into the direct map. */
static inline u64 virt_to_phys(const void *p) { return (u64)p - DIRECT_MAP; }
#endif

#endif
