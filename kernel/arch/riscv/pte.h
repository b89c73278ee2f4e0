/*
 * The page-table format of Sv39, Sv48 and Sv57 (RISC-V privileged specification, chapter "Supervisor-Level ISA").
 *
 *   63      54 53                    10 9   8 7 6 5 4 3 2 1 0
 *  +----------+------------------------+-----+-+-+-+-+-+-+-+-+
 *  | reserved | physical page number   | RSW |D|A|G|U|X|W|R|V|
 *  +----------+------------------------+-----+-+-+-+-+-+-+-+-+
 *
 * Tables have 512 entries of 8 bytes. Level 0 is the leaf level (4 KiB); a leaf at level 1 is 2 MiB, at level 2 1 GiB.
 * What vm/ keeps in the software bits and in entries with V = 0 is told in vm/pagetable.h.
 */
#ifndef ARCH_RISCV_PTE_H
#define ARCH_RISCV_PTE_H

#include "lib/types.h"

typedef u64 pte_t;

#define PTE_V BIT(0)
#define PTE_R BIT(1)
#define PTE_W BIT(2)
#define PTE_X BIT(3)
#define PTE_U BIT(4)
#define PTE_G BIT(5)
#define PTE_A BIT(6)
#define PTE_D BIT(7)
#define PTE_RSW0 BIT(8)
#define PTE_RSW1 BIT(9)
#define PTE_PPN_SHIFT 10
#define PTE_PPN_MASK (((1ull << 44) - 1) << PTE_PPN_SHIFT)

#define PT_ENTRIES 512
#define PT_LEVEL_BITS 9

static inline bool pte_is_leaf(pte_t pte) { return (pte & (PTE_R | PTE_W | PTE_X)) != 0; }
static inline bool pte_is_table(pte_t pte) { return (pte & PTE_V) != 0 && !pte_is_leaf(pte); }
/* The reserved bits are 0 in all that we write. */
static inline u64 pte_pfn(pte_t pte) { return pte >> PTE_PPN_SHIFT; }
static inline pte_t pte_make(u64 pfn, u64 bits) { return pfn << PTE_PPN_SHIFT | bits; }
static inline unsigned level_shift(unsigned level) { return PAGE_SHIFT + PT_LEVEL_BITS * level; }
static inline u64 level_size(unsigned level) { return 1ull << level_shift(level); }
static inline unsigned pt_index(u64 va, unsigned level) { return (va >> level_shift(level)) & (PT_ENTRIES - 1); }

#endif
