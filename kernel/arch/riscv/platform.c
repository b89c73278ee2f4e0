/* What the device tree says about the machine: harts, memory, clock rate, instruction sets, command line, console. */
#include "arch/riscv/boot.h"
#include "arch/riscv/fdt.h"
#include "arch/riscv/internal.h"
#include "arch/riscv/sbi.h"
#include "lib/cmdline.h"
#include "lib/string.h"
#include "sched/sched.h"

static volatile u8 *uart; /* 8250's transmit register; NULL = ask the firmware */
static unsigned uart_shift;
static u64 fdt_pa;

#define UART_LINE_STATUS 5
#define UART_TRANSMIT_EMPTY 0x20

void arch_console_putc(char c)
{
    if (uart == NULL) {
        sbi_console_putc(c);
        return;
    }
    while ((uart[UART_LINE_STATUS << uart_shift] & UART_TRANSMIT_EMPTY) == 0)
        cpu_relax();
    uart[0] = (u8)c;
}

static void find_console(void)
{
    struct fdt_node node;
    u64 reg, size;

    fdt_root(&node);
    if (fdt_find_compatible(&node, "ns16550a") && fdt_reg(&node, 0, &reg, &size)) {
        uart_shift = fdt_u32(&node, "reg-shift", 0);
        uart = phys_to_virt(reg);
    }
}

/* Whether ISA ("rv64imafdc_zicbom_sstc") has the multi-letter extension NAME. */
static bool isa_string_has(const char *isa, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = strchr(isa, '_'); p != NULL; p = strchr(p, '_')) {
        p++;
        if (strncmp(p, name, n) == 0 && (p[n] == '_' || p[n] == '\0'))
            return true;
    }
    return false;
}

static bool hart_has(const struct fdt_node *cpu, const char *extension)
{
    const char *isa = fdt_string(cpu, "riscv,isa");

    return (isa != NULL && isa_string_has(isa, extension)) || fdt_has_string(cpu, "riscv,isa-extensions", extension);
}

/* An extension counts only if every hart has it. */
static void note_extensions(const struct fdt_node *cpu, bool is_first)
{
    const char *isa = fdt_string(cpu, "riscv,isa");

    machine.has_sstc = (is_first || machine.has_sstc) && hart_has(cpu, "sstc");
    machine.has_zicboz = (is_first || machine.has_zicboz) && hart_has(cpu, "zicboz");
    if (is_first) {
        copy_string(machine.isa, isa != NULL ? isa : "rv64imafdc", sizeof(machine.isa));
        machine.cboz_block = fdt_u32(cpu, "riscv,cboz-block-size", 64);
    }
}

static bool is_hart(const struct fdt_node *node)
{
    const char *type = fdt_string(node, "device_type");

    return node->depth == 2 && type != NULL && strcmp(type, "cpu") == 0 && fdt_is_okay(node);
}

/* The boot hart is number 0, whichever the firmware chose; the others follow as the tree lists them. */
static void find_harts(void)
{
    struct fdt_node node;
    unsigned others = 0;
    u64 id, size;

    if (!fdt_find_path(&node, "cpus"))
        panic("the device tree names no harts");
    sbi_get_identity(&machine.vendor_id, &machine.arch_id, &machine.implementation_id);
    machine.timebase_hz = fdt_u32(&node, "timebase-frequency", 10000000);
    for (bool is_first = true; fdt_next_below(&node, 1);) {
        if (!is_hart(&node) || !fdt_reg(&node, 0, &id, &size))
            continue;
        note_extensions(&node, is_first);
        is_first = false;
        if (id == harts[0].sbi_id || others == MAX_HARTS - 1)
            continue;
        others++;
        harts[others].id = others;
        harts[others].sbi_id = id;
    }
    machine.harts = others + 1;
}

static unsigned add_range(struct phys_range *ranges, unsigned n, unsigned max, u64 start, u64 end)
{
    if (n == max)
        panic("too many reserved memory ranges");
    ranges[n] = (struct phys_range){start, end};
    return n + 1;
}

/* RAM is the span of all memory nodes; holes between them count as reserved. */
static unsigned find_ram(struct phys_range *ram, struct phys_range *reserved, unsigned max)
{
    struct fdt_node node;
    u64 start, size;
    unsigned n = 0;

    *ram = (struct phys_range){0, 0};
    fdt_root(&node);
    while (fdt_next(&node)) {
        const char *type = fdt_string(&node, "device_type");

        if (type == NULL || strcmp(type, "memory") != 0)
            continue;
        for (unsigned i = 0; fdt_reg(&node, i, &start, &size); i++) {
            u64 end = MIN(start + size, (u64)DIRECT_MAP_SIZE);

            if (start >= end)
                continue;
            if (ram->end == 0)
                *ram = (struct phys_range){start, end};
            else if (start > ram->end)
                n = add_range(reserved, n, max, ram->end, start);
            else if (end < ram->start)
                n = add_range(reserved, n, max, end, ram->start);
            ram->start = MIN(ram->start, start);
            ram->end = MAX(ram->end, end);
        }
    }
    if (ram->end == 0)
        panic("the device tree names no memory");
    return n;
}

unsigned arch_memory(struct phys_range *ram, struct phys_range *reserved, unsigned max_reserved)
{
    unsigned n = find_ram(ram, reserved, max_reserved);
    struct fdt_node node;
    u64 start, size;

    n = add_range(reserved, n, max_reserved, image_pa, image_virt_to_phys(image_end));
    n = add_range(reserved, n, max_reserved, fdt_pa, fdt_pa + fdt_size());
    for (unsigned i = 0; fdt_memory_reservation(i, &start, &size); i++)
        n = add_range(reserved, n, max_reserved, start, start + size);
    if (fdt_find_path(&node, "reserved-memory"))
        while (fdt_next_below(&node, 1))
            for (unsigned i = 0; fdt_reg(&node, i, &start, &size); i++)
                n = add_range(reserved, n, max_reserved, start, start + size);
    return n;
}

const void *arch_random_seed(unsigned *length)
{
    struct fdt_node node;

    return fdt_find_path(&node, "chosen") ? fdt_property(&node, "rng-seed", length) : NULL;
}

void platform_init(const void *fdt)
{
    struct fdt_node node;

    fdt_pa = virt_to_phys(fdt);
    if (!fdt_init(fdt))
        panic("the firmware gave no device tree");
    find_console();
    machine.command_line = "";
    if (fdt_find_path(&node, "chosen") && fdt_string(&node, "bootargs") != NULL)
        machine.command_line = fdt_string(&node, "bootargs");
    cmdline_init(machine.command_line);
    find_harts();
}
