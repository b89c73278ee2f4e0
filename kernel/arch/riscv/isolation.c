/*
 * isolation=on: what user mode sees of the kernel. Its root tables have, instead of the kernel's upper half, a small
 * tree with two pages at the addresses that they have in the kernel too:
 *
 *     user root -> ... -> isolation_table1 -> isolation_table0 -> stub code (read, execute), stub_data (read, write)
 *
 * The tree is one for all spaces and never changes. Neither page is accessible in user mode; what could be learnt of
 * the stub by other ways is where the threads of this moment are, and nothing else. Each hart's satp is the kernel's
 * while the kernel runs; ASIDs differ, so changing it flushes nothing.
 */
#include "arch/riscv/internal.h"
#include "arch/riscv/stub.h"
#include "sched/sched.h"

#define TABLE_ALIGNED __attribute__((aligned(PAGE_SIZE)))
#define IMAGE_TABLES 4
#define STUB_CODE (PTE_V | PTE_R | PTE_X | PTE_A | PTE_D)
#define STUB_DATA (PTE_V | PTE_R | PTE_W | PTE_A | PTE_D)

static pte_t isolation_table0[IMAGE_TABLES][PT_ENTRIES] TABLE_ALIGNED, isolation_table1[PT_ENTRIES] TABLE_ALIGNED;
static pte_t isolation_table2[PT_ENTRIES] TABLE_ALIGNED, isolation_table3[PT_ENTRIES] TABLE_ALIGNED;

static union {
    struct stub stubs[MAX_HARTS];
    u8 bytes[PAGE_SIZE]; /* nothing else may lie in the page */
} stub_data TABLE_ALIGNED;
static_assert(sizeof(stub_data) == PAGE_SIZE, "stub_data is a page");

static pte_t table_entry(const pte_t *table) { return pte_make(arch_image_pfn(table), PTE_V); }

static void show(const void *page, pte_t bits)
{
    u64 i = ((u64)page - (u64)image_start) >> PAGE_SHIFT;

    isolation_table0[0][i] = pte_make(arch_image_pfn(page), bits);
}

void isolation_init(void)
{
    u64 image = (u64)image_start;

    show((const void *)stub_enter, STUB_CODE);
    show(&stub_data, STUB_DATA);
    for (unsigned i = 0; i < IMAGE_TABLES; i++)
        isolation_table1[pt_index(image, 1) + i] = table_entry(isolation_table0[i]);
    isolation_table2[pt_index(image, 2)] = table_entry(isolation_table1);
    isolation_table3[pt_index(image, 3)] = table_entry(isolation_table2);
}

void isolation_init_root(u64 *root)
{
    static pte_t *const below_root[] = {isolation_table1, isolation_table2, isolation_table3};
    unsigned top = machine.paging_levels - 1;

    root[pt_index((u64)image_start, top)] = table_entry(below_root[top - 2]);
}

void isolation_init_hart(void)
{
    struct hart *hart = this_hart();

    hart->stub = &stub_data.stubs[hart->id];
    hart->stub->kernel_satp = kernel_satp();
    hart->stub->user_satp = kernel_satp();
    csr_write(stvec, (u64)stub_enter);
}
