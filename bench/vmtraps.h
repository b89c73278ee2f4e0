/*
 * Quire's direct way (docs/vmtrap.md): the measures of traps.h by user traps. The stub calls a C function as libvm's
 * does. What the hardware and the ABI alone ask for is told there, too.
 */
#ifndef BENCH_VMTRAPS_H
#define BENCH_VMTRAPS_H

#include "traps.h"

#include "libvm/include/quire/vmtrap.h"

/* NAME(area, address, cause, pc), which returns what the resume gets; NAME_entry is where the kernel enters. */
#ifdef __riscv
#define TRAP_STUB(name)                              \
    __asm__(".pushsection .text\n" #name "_entry:\n" \
            "    call " #name "\n"                   \
            "    li a7, 1025\n"                      \
            "    ecall\n"                            \
            "    ebreak\n"                           \
            ".popsection\n")
#else
#define TRAP_STUB(name) __asm__(".pushsection .text\n" #name "_entry:\n.popsection\n")
#endif
#define TRAP_HANDLER(name)                                                                                  \
    extern char name##_entry[];                                                                             \
    TRAP_STUB(name);                                                                                        \
    __attribute__((used)) static uint64_t name(struct vmtrap_area *area, uintptr_t address, uint64_t cause, \
                                               uintptr_t pc)

static struct vmtrap_area trap_area __attribute__((aligned(VMTRAP_AREA_SIZE)));
static char trap_stack[16384] __attribute__((aligned(16)));

/* False: this kernel has no user traps. */
static int trap_with(char *entry, char *at, size_t pages)
{
    return syscall(VMTRAP_REGISTER, &trap_area, entry, trap_stack + sizeof(trap_stack), 0) == 0 &&
           syscall(VMTRAP_ARM, at, pages * PAGE, VMTRAP_FAULTS) == 0;
}

TRAP_HANDLER(trap_step_over)
{
    (void)address, (void)cause;
    area->pc = pc + 4;
    return 0;
}

TRAP_HANDLER(trap_open)
{
    (void)area, (void)cause, (void)pc;
    return VMTRAP_PAGE(address & -PAGE, RW);
}

static uint64_t *const traps_seen = &trap_area.program[0];

TRAP_HANDLER(trap_count_and_open)
{
    (void)cause, (void)pc;
    area->program[0]++;
    return VMTRAP_PAGE(address & -PAGE, RW);
}

TRAP_HANDLER(trap_close_previous_open_this)
{
    char *page = (char *)(address & -PAGE);

    (void)cause, (void)pc;
    area->program[0]++;
    area->ranges[0] = (struct vmtrap_range){(uintptr_t)previous_page, PAGE, PROT_NONE};
    area->ranges[1] = (struct vmtrap_range){(uintptr_t)page, PAGE, RW};
    previous_page = page;
    return 2;
}

/* One access by INSTRUCTION, which is four bytes long, for each trap. */
#define TRAP_BY(instruction, before, prot)                                                                         \
    __extension__({                                                                                                \
        char *at = map_pages(1, prot);                                                                             \
        double result_ = NONE;                                                                                     \
        if (trap_with(trap_step_over_entry, at, 1)) {                                                              \
            before;                                                                                                \
            result_ = TIMES(9, 200,                                                                                \
                            __asm__ volatile(".option push\n.option norvc\n" instruction "\n.option pop" ::"r"(at) \
                                             : "t0", "memory"));                                                   \
        }                                                                                                          \
        unmap_pages(at, 1);                                                                                        \
        result_;                                                                                                   \
    })

MEASURE(vmtrap_only, "trap", "user trap: load from a no-access page, handler steps over it, resume")
{
    return TRAP_BY("lb t0, 0(%0)", {}, PROT_NONE);
}

MEASURE(vmtrap_only_write, "trap", "the same, a store to a read-only page")
{
    return TRAP_BY("sb zero, 0(%0)", (void)*(volatile char *)at, PROT_READ);
}

/* Appel & Li's measures: BEFORE each pass over the pool. */
static double pool_by_traps(char *entry, int (*before)(void))
{
    double result = NONE;

    new_pool();
    if (trap_with(entry, pool, POOL)) {
        mprotect(pool, POOL * PAGE, PROT_NONE);
        previous_page = pool + pool_order[POOL - 1] * PAGE;
        if (entry == trap_close_previous_open_this_entry)
            mprotect(previous_page, PAGE, RW);
        *traps_seen = 0;
        result = REPEAT(15, POOL, {},
                        {
                            must(before() == 0, "protect");
                            load_pool();
                        },
                        {});
        must(*traps_seen == 16 * POOL, "each page traps");
    }
    drop_pool();
    return result;
}

static int do_nothing(void) { return 0; }

static int protect_pool(void)
{
    struct vmtrap_range all = {(uintptr_t)pool, POOL * PAGE, PROT_NONE};

    return syscall(VMTRAP_PROTECT, &all, 1) == 1 ? 0 : -1;
}

MEASURE(vmtrap_unprot, "trap", "user trap: load from a no-access page, opened by resume, load retried")
{
    double result = NONE;

    new_pool();
    if (trap_with(trap_open_entry, pool, POOL))
        result = REPEAT(15, POOL, mprotect(pool, POOL * PAGE, PROT_NONE), load_pool(), {});
    drop_pool();
    return result;
}

MEASURE(appel1_vm, "trap", "Appel & Li prot1 + trap + unprot by user traps, random page of 100")
{
    return pool_by_traps(trap_close_previous_open_this_entry, do_nothing);
}

MEASURE(appel2_vm, "page", "Appel & Li prot100 + 100 x (trap + unprot) by user traps, per page")
{
    return pool_by_traps(trap_count_and_open_entry, protect_pool);
}

static void vmtrap_dirty_round(struct vmtrap_range *found)
{
    static struct vmtrap_range all; /* beside FOUND, as far as page tables go */
    static struct vmtrap_dirty look;

    all = (struct vmtrap_range){(uintptr_t)pool, POOL * PAGE, 0};
    look = (struct vmtrap_dirty){
        .ranges = (uintptr_t)&all, .n_ranges = 1, .found = (uintptr_t)found, .max = POOL, .flags = VMTRAP_REARM};
    write_ten();
    must(syscall(VMTRAP_DIRTY, &look) == 10, "ten are dirty");
}

MEASURE(vmtrap_dirty, "round", "10 of 100 written, VMTRAP_DIRTY get-and-rearm")
{
    static struct vmtrap_range found[POOL];
    double result = NONE;

    new_pool();
    if (syscall(VMTRAP_ARM, pool, POOL * PAGE, VMTRAP_TRACK) == 0)
        result = TIMES(9, 20, vmtrap_dirty_round(found));
    drop_pool();
    return result;
}

MEASURE(vmtrap_log, "page", "first store to each of 100 read-only pages, logged and opened by the kernel")
{
    static struct {
        struct vmtrap_log ring;
        uint64_t entries[128];
    } log __attribute__((aligned(4096)));
    double result = NONE;
    long number = syscall(VMTRAP_LOG, 0, &log.ring, 128);

    new_pool();
    if (number > 0 && trap_with(trap_count_and_open_entry, pool, POOL)) {
        must(syscall(VMTRAP_ARM, pool, POOL * PAGE, VMTRAP_FAULTS | VMTRAP_LOGGED(number)) == 0, "arm");
        *traps_seen = 0;
        result = REPEAT(
            15, POOL,
            {
                mprotect(pool, POOL * PAGE, PROT_READ);
                log.ring.tail = log.ring.head;
            },
            {
                for (int i = 0; i < POOL; i++)
                    *(volatile char *)pool_pages[i] = 1;
            },
            must(log.ring.head - log.ring.tail == POOL && *traps_seen == 0, "each page is logged"));
    }
    drop_pool();
    return result;
}

#endif
