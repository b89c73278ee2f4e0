/* Off and on again: QEMU's test device ("sifive,test0/1": a status ends the simulator with it), else the firmware. */
#include "arch/riscv/internal.h"
#include "arch/riscv/sbi.h"

#define TEST_FAIL 0x3333 /* status in the upper half */
#define TEST_PASS 0x5555
#define TEST_RESET 0x7777

#define DEVICE_NS 1000000000ull /* for the simulator to end */

/* QEMU ends some time after the store; the firmware, asked meanwhile, would end it with status 0. */
static void write_test_device(u32 value)
{
    u64 reg, size, written;
    unsigned irq;

    if (!fdt_device("sifive,test1", 0, &reg, &size, &irq) && !fdt_device("sifive,test0", 0, &reg, &size, &irq))
        return;
    *(volatile u32 *)phys_to_virt(reg) = value;
    written = time_ns();
    while (time_ns() - written < DEVICE_NS)
        continue;
}

void arch_poweroff(unsigned exit_status)
{
    irq_disable();
    write_test_device(exit_status == 0 ? TEST_PASS : exit_status << 16 | TEST_FAIL);
    sbi_shutdown();
}

void arch_reboot(void)
{
    irq_disable();
    sbi_reboot();
    write_test_device(TEST_RESET);
    sbi_shutdown();
}
