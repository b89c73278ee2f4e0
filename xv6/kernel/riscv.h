/* Pages, and the registers that a program may read. */
#ifndef XV6_KERNEL_RISCV_H
#define XV6_KERNEL_RISCV_H

#define PGSIZE 4096
#define PGSHIFT 12
#define PGROUNDUP(size) (((size) + PGSIZE - 1) & ~(PGSIZE - 1))
#define PGROUNDDOWN(at) ((at) & ~(PGSIZE - 1))

#define SUPERPGSIZE (2 * (1 << 20))
#define SUPERPGROUNDUP(size) (((size) + SUPERPGSIZE - 1) & ~(SUPERPGSIZE - 1))

/* The first address that no program has under xv6's three-level page table. */
#define MAXVA (1L << (9 + 9 + 9 + 12 - 1))

#define PTE_V (1L << 0)
#define PTE_R (1L << 1)
#define PTE_W (1L << 2)
#define PTE_X (1L << 3)
#define PTE_U (1L << 4)

typedef uint64 pte_t;
typedef uint64 *pagetable_t;

static inline uint64 r_sp(void)
{
    uint64 value;

    __asm__ volatile("mv %0, sp" : "=r"(value));
    return value;
}

static inline uint64 r_tp(void)
{
    uint64 value;

    __asm__ volatile("mv %0, tp" : "=r"(value));
    return value;
}

static inline uint64 r_ra(void)
{
    uint64 value;

    __asm__ volatile("mv %0, ra" : "=r"(value));
    return value;
}

static inline uint64 r_fp(void)
{
    uint64 value;

    __asm__ volatile("mv %0, s0" : "=r"(value));
    return value;
}

static inline uint64 r_time(void)
{
    uint64 value;

    __asm__ volatile("rdtime %0" : "=r"(value));
    return value;
}

#endif
