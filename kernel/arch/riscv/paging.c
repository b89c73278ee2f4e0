/*
 * The kernel's own page tables. start.S has made a first Sv39 map; here the image gets its final permissions, page by
 * page (text read-execute, constants read-only, data read-write), in the direct map too, where text and constants lose
 * their W; then the widest format is switched on. All of the kernel lives in the upper half of Sv39 (layout.h), so the
 * wider formats only need a root above it:
 *
 *     Sv57: kernel_table5[511] -> Sv48: kernel_table4[511] -> Sv39: kernel_table3[256..511]
 *
 * and writing satp with another mode changes nothing about where the kernel is mapped. A mode that the hart does not
 * have leaves satp as it was (privileged specification, "Supervisor Address Translation and Protection Register").
 *
 * The kernel-stack area's tables exist from the start for STACK_AREA_SIZE, so that spaces may copy the root entries
 * once; its lowest level is made as stacks come. Lock: stack_map_lock.
 */
#include "arch/riscv/internal.h"
#include "arch/riscv/stub.h"
#include "lib/cmdline.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "sched/sched.h"
#include "vm/page.h"

#define IMAGE_TABLES 4 /* level-0 tables: 2 MiB each, as many as start.S maps */
#define LEAF_RX (PTE_V | PTE_R | PTE_X | PTE_A | PTE_D | PTE_G)
#define LEAF_RO (PTE_V | PTE_R | PTE_A | PTE_D | PTE_G)
#define LEAF_RW (PTE_V | PTE_R | PTE_W | PTE_A | PTE_D | PTE_G)
#define STACK_TABLES (STACK_AREA_SIZE / GIB)
#define TABLE_ALIGNED __attribute__((aligned(PAGE_SIZE)))

extern pte_t kernel_table3[PT_ENTRIES], image_table1[PT_ENTRIES]; /* start.S begins them */
extern char boot_stack_guard[];

pte_t kernel_table3[PT_ENTRIES] TABLE_ALIGNED, image_table1[PT_ENTRIES] TABLE_ALIGNED;
static pte_t kernel_table4[PT_ENTRIES] TABLE_ALIGNED, kernel_table5[PT_ENTRIES] TABLE_ALIGNED;
static pte_t image_table0[IMAGE_TABLES][PT_ENTRIES] TABLE_ALIGNED;
static pte_t stack_table1[STACK_TABLES][PT_ENTRIES] TABLE_ALIGNED;
/* The GiB and the 2 MiB blocks of the direct map that hold text and constants. */
static pte_t direct_table1[PT_ENTRIES] TABLE_ALIGNED, direct_table0[IMAGE_TABLES][PT_ENTRIES] TABLE_ALIGNED;

static struct spinlock stack_map_lock;
u64 user_address_limit;
u64 stack_map_generation;

/* Isolated, the kernel's entries are of its ASID alone: none may serve user mode, whatever its table says. */
static pte_t leaf(u64 pfn, pte_t bits) { return pte_make(pfn, machine.isolated ? bits & ~PTE_G : bits); }

static pte_t table_entry(const pte_t *table) { return pte_make(image_virt_to_phys(table) >> PAGE_SHIFT, PTE_V); }

static u64 image_permission(u64 va)
{
    if (va < (u64)rodata_start)
        return LEAF_RX;
    return va < (u64)data_start ? LEAF_RO : LEAF_RW;
}

static void map_image(void)
{
    u64 va = (u64)image_start, end = ALIGN_UP((u64)image_end, PAGE_SIZE);

    for (u64 i = 0; va < end; i++, va += PAGE_SIZE)
        if (va != (u64)boot_stack_guard)
            image_table0[i / PT_ENTRIES][i % PT_ENTRIES] = leaf((image_pa >> PAGE_SHIFT) + i, image_permission(va));
    for (unsigned i = 0; i < IMAGE_TABLES; i++)
        image_table1[i] = table_entry(image_table0[i]);
}

/* Text and constants must not be writable through the direct map either. */
static void protect_direct_map(void)
{
    u64 gib = ALIGN_DOWN(image_pa, GIB), block = ALIGN_DOWN(image_pa, level_size(1));
    u64 first = pt_index((u64)phys_to_virt(block), 1);
    u64 protected_end = image_virt_to_phys(data_start);

    for (unsigned i = 0; i < PT_ENTRIES; i++)
        direct_table1[i] = leaf((gib >> PAGE_SHIFT) + i * PT_ENTRIES, LEAF_RW);
    for (unsigned t = 0; t < IMAGE_TABLES && block < protected_end; t++, block += level_size(1)) {
        for (unsigned i = 0; i < PT_ENTRIES; i++) {
            u64 pa = block + i * PAGE_SIZE;
            bool is_protected = pa >= image_pa && pa < protected_end;

            direct_table0[t][i] = leaf(pa >> PAGE_SHIFT, is_protected ? LEAF_RO : LEAF_RW);
        }
        if (first + t < PT_ENTRIES)
            direct_table1[first + t] = table_entry(direct_table0[t]);
    }
    kernel_table3[pt_index((u64)phys_to_virt(gib), 2)] = table_entry(direct_table1);
}

static u64 *root_for(unsigned levels)
{
    return levels == 5 ? kernel_table5 : levels == 4 ? kernel_table4 : kernel_table3;
}

u64 satp_for(unsigned levels, u64 root_pfn, u64 asid)
{
    return (u64)(SATP_SV39 + levels - 3) << SATP_MODE_SHIFT | asid << SATP_ASID_SHIFT | root_pfn;
}

u64 kernel_satp(void)
{
    return satp_for(machine.paging_levels, image_virt_to_phys(root_for(machine.paging_levels)) >> PAGE_SHIFT,
                    machine.isolated ? ISOLATED_KERNEL_ASID : 0);
}

static bool try_levels(unsigned levels)
{
    u64 satp = satp_for(levels, image_virt_to_phys(root_for(levels)) >> PAGE_SHIFT, 0);

    csr_write(satp, satp);
    if (csr_read(satp) != satp)
        return false;
    arch_flush_tlb_all();
    machine.paging_levels = levels;
    user_address_limit = 1ull << (levels == 5 ? 56 : levels == 4 ? 47 : 38);
    return true;
}

static unsigned wanted_levels(void)
{
    const char *name = cmdline_get("paging");

    if (name == NULL)
        return 5;
    if (strcmp(name, "sv39") == 0)
        return 3;
    if (strcmp(name, "sv48") == 0)
        return 4;
    if (strcmp(name, "sv57") != 0)
        kprintf("paging=%s is not known: the widest format is used", name);
    return 5;
}

static bool is_isolation_wanted(void)
{
    const char *value = cmdline_get("isolation");

    if (value != NULL && strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        kprintf("isolation=%s is not known: it is off", value);
    return value != NULL && strcmp(value, "on") == 0;
}

static void detect_asid_bits(void)
{
    u64 satp = csr_read(satp);

    csr_write(satp, satp | 0xffffull << SATP_ASID_SHIFT);
    machine.asid_bits = (unsigned)__builtin_popcountll(csr_read(satp) >> SATP_ASID_SHIFT & 0xffff);
    csr_write(satp, satp);
    arch_flush_tlb_all();
}

void paging_init(void)
{
    unsigned levels = wanted_levels();

    machine.isolated = is_isolation_wanted();
    if (machine.isolated)
        for (unsigned i = 0; i < PT_ENTRIES; i++)
            if (pte_is_leaf(kernel_table3[i]))
                kernel_table3[i] &= ~PTE_G;
    for (unsigned i = 0; i < STACK_TABLES; i++)
        kernel_table3[pt_index(STACK_AREA, 2) + i] = table_entry(stack_table1[i]);
    kernel_table4[PT_ENTRIES - 1] = table_entry(kernel_table3);
    kernel_table5[PT_ENTRIES - 1] = table_entry(kernel_table4);
    map_image();
    protect_direct_map();
    while (!try_levels(levels))
        levels--;
    detect_asid_bits();
    if (machine.isolated && machine.asid_bits == 0) {
        kprintf("isolation=on needs a hart with address-space identifiers: it stays off");
        machine.isolated = false;
    }
    if (machine.isolated) {
        isolation_init();
        csr_write(satp, kernel_satp());
        arch_flush_tlb_all();
    }
}

void arch_init_root(u64 *root)
{
    if (machine.isolated) {
        isolation_init_root(root);
        return;
    }
    if (machine.paging_levels > 3) {
        root[PT_ENTRIES - 1] = root_for(machine.paging_levels)[PT_ENTRIES - 1];
        return;
    }
    memcpy(root + PT_ENTRIES / 2, kernel_table3 + PT_ENTRIES / 2, PT_ENTRIES / 2 * sizeof(pte_t));
}

void arch_clear_root(u64 *root)
{
    if (machine.paging_levels > 3)
        root[PT_ENTRIES - 1] = 0;
    else
        memset(root + PT_ENTRIES / 2, 0, PT_ENTRIES / 2 * sizeof(pte_t));
}

void arch_set_root(u64 root_pfn, unsigned asid)
{
    u64 satp = satp_for(machine.paging_levels, root_pfn, asid);

    if (machine.isolated)
        this_hart()->stub->user_satp = satp;
    else
        csr_write(satp, satp);
}

u64 arch_image_pfn(const void *p) { return image_virt_to_phys(p) >> PAGE_SHIFT; }

/* The level-0 entry for VA in the stack area; makes its table if CREATE. => stack_map_lock held */
static pte_t *stack_entry(u64 va, bool create)
{
    pte_t *entry = &stack_table1[(va - STACK_AREA) / GIB][pt_index(va, 1)], *table;

    if (*entry == 0) {
        struct page *page = create ? page_alloc(ALLOC_ZERO | ALLOC_NO_WAIT) : NULL;

        if (page == NULL)
            return NULL;
        page->flags = PG_KERNEL;
        store_release(entry, pte_make(page_pfn(page), PTE_V));
    }
    table = phys_to_virt(pte_pfn(*entry) << PAGE_SHIFT);
    return &table[pt_index(va, 0)];
}

int arch_map_kernel_page(u64 va, u64 pfn)
{
    u64 flags = spin_lock_irqsave(&stack_map_lock);
    pte_t *entry = stack_entry(va, true);

    if (entry != NULL)
        store_release(entry, leaf(pfn, LEAF_RW));
    spin_unlock_irqrestore(&stack_map_lock, flags);
    atomic_add(&stack_map_generation, 1);
    return entry != NULL ? 0 : -ENOMEM;
}

u64 arch_unmap_kernel_page(u64 va)
{
    u64 flags = spin_lock_irqsave(&stack_map_lock), pfn;
    pte_t *entry = stack_entry(va, false);

    ASSERT_ALWAYS(entry != NULL && (*entry & PTE_V));
    pfn = pte_pfn(*entry);
    store_release(entry, 0);
    spin_unlock_irqrestore(&stack_map_lock, flags);
    return pfn;
}
