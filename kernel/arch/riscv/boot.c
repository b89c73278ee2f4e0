/*
 * From the first instructions to kernel_main: the boot hart runs boot_main on boot_thread, which becomes its idle
 * thread; it starts the other harts later (arch_start_harts), each on an idle thread of its own.
 */
#include "arch/riscv/boot.h"
#include "arch/riscv/internal.h"
#include "arch/riscv/sbi.h"
#include "lib/string.h"
#include "sched/sched.h"

#define HART_START_TIMEOUT_NS (20 * NSEC_PER_SEC) /* simulated harts may share few processors with others */
#define HART_START_LOOK_NS (10 * NSEC_PER_USEC)

extern char boot_stack[];
void boot_main(u64 sbi_hart, u64 fdt_pa, u64 pa);
void secondary_main(void);

struct machine machine;
struct hart harts[MAX_HARTS];
struct thread boot_thread;
u64 image_pa;

/* Where secondary_start in start.S looks a hart up; the last one has no thread. */
extern struct hart_start {
    u64 sbi_id, satp;
    struct thread *thread;
} hart_starts[MAX_HARTS + 1];
struct hart_start hart_starts[MAX_HARTS + 1];
static_assert(sizeof(struct hart_start) == 24, "start.S: HART_START_SIZE");
static bool has_started[MAX_HARTS];

static void init_boot_thread(u64 sbi_hart)
{
    boot_thread.hart = &harts[0];
    boot_thread.stack = boot_stack;
    boot_thread.kernel_sp = kernel_stack_top(boot_stack);
    boot_thread.on_cpu = true;
    list_init(&boot_thread.run_link);
    copy_string(boot_thread.name, "idle/0", sizeof(boot_thread.name));
    harts[0].sbi_id = sbi_hart;
    harts[0].current_thread = harts[0].idle = &boot_thread;
}

/* On the boot stack, in the first map, interrupts off. PA: where the image lies. */
void boot_main(u64 sbi_hart, u64 fdt_pa, u64 pa)
{
    image_pa = pa;
    init_boot_thread(sbi_hart);
    platform_init(phys_to_virt(fdt_pa));
    time_init();
    paging_init();
    hart_init_traps();
    kernel_main();
    panic("kernel_main returned");
}

void arch_init_devices(void) { plic_init(); }

void secondary_main(void)
{
    hart_init_traps();
    plic_init_hart();
    store_release(&has_started[hart_id()], true);
    kernel_main_secondary();
    panic("kernel_main_secondary returned");
}

/* Asks the firmware for those that are not there, and returns one of them (0: none). It may not have got so far with a
 * hart that it can be started, and a hart may have lost its way (start.S). For one that is on its way it does nothing.
 * What is asked is the same each time, and the argument is not used: whichever call a hart starts by is as good. */
static unsigned start_missing(void)
{
    unsigned missing = 0;

    for (unsigned i = 1; i < machine.harts; i++) {
        if (load_acquire(&has_started[i]))
            continue;
        missing = i;
        (void)sbi_hart_start(harts[i].sbi_id, image_virt_to_phys(secondary_start), 0);
    }
    return missing;
}

/* => interrupts off */
void arch_start_harts(void)
{
    u64 deadline = time_ns() + HART_START_TIMEOUT_NS;
    unsigned missing;

    for (unsigned i = 0; i < machine.harts; i++)
        hart_starts[i] = (struct hart_start){.sbi_id = harts[i].sbi_id, .satp = kernel_satp(), .thread = harts[i].idle};
    memory_barrier();
    while ((missing = start_missing()) != 0) {
        if (time_ns() > deadline)
            panic("hart %lu does not start", harts[missing].sbi_id);
        /* A simulator may run the others on this very processor, and only while this hart sleeps. */
        arch_set_timer(time_ns() + HART_START_LOOK_NS);
        arch_wait_for_interrupt();
    }
    arch_set_timer(UINT64_MAX);
}
