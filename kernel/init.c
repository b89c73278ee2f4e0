/* Bringing the kernel up, bottom to top, until the first program runs. */
#include "arch/riscv/boot.h"
#include "lib/cmdline.h"
#include "lib/print.h"
#include "sched/sched.h"
#include "selftest.h"
#include "vm/reclaim.h"

#define MAX_RESERVED 12

static void init_memory(void)
{
    struct phys_range ram, reserved[MAX_RESERVED];
    unsigned n = arch_memory(&ram, reserved, MAX_RESERVED);

    page_init(ram, reserved, n);
    kprintf("memory: %lu MiB at 0x%lx, %lu KiB in use", (ram.end - ram.start) / MIB, ram.start,
            ((ram.end - ram.start) >> PAGE_SHIFT) * 4 - page_free_count() * 4);
}

static void say_hello(void)
{
    kprintf("Quire on %u hart%s, Sv%u, %u ASID bits, %s timer, %s", machine.harts, machine.harts == 1 ? "" : "s",
            9 * machine.paging_levels + 12, machine.asid_bits, machine.has_sstc ? "Sstc" : "SBI", machine.isa);
}

/* What may sleep, on a thread of its own. */
static void start_system(void *unused)
{
    (void)unused;
    if (cmdline_has("selftest"))
        selftest_run(cmdline_get("selftest"));
}

void kernel_main(void)
{
    say_hello();
    init_memory();
    sched_init();
    arch_init_devices();
    irq_enable();
    arch_start_harts();
    if (IS_ERR(kernel_thread("init", start_system, NULL)))
        panic("no memory for the first thread");
    sched_idle();
}

void kernel_main_secondary(void)
{
    sched_init_hart();
    sched_idle();
}
