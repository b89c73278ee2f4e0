/* Calls into the firmware: extension in a7, function in a6, error in a0, value in a1. */
#include "arch/riscv/sbi.h"
#include "arch/riscv/arch.h"

#define EXTENSION_LEGACY_PUTCHAR 1
#define EXTENSION_BASE 0x10
#define EXTENSION_TIME 0x54494d45
#define EXTENSION_IPI 0x735049
#define EXTENSION_HSM 0x48534d
#define EXTENSION_RESET 0x53525354

#define BASE_GET_MVENDORID 4
#define BASE_GET_MARCHID 5
#define BASE_GET_MIMPID 6
#define RESET_SHUTDOWN 0
#define RESET_COLD_REBOOT 1

struct sbi_result {
    long error;
    u64 value;
};

static struct sbi_result sbi_call_for_value(u64 extension, u64 function, u64 arg0, u64 arg1, u64 arg2)
{
    register u64 a0 __asm__("a0") = arg0;
    register u64 a1 __asm__("a1") = arg1;
    register u64 a2 __asm__("a2") = arg2;
    register u64 a6 __asm__("a6") = function;
    register u64 a7 __asm__("a7") = extension;

    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_result){(long)a0, a1};
}

static long sbi_call(u64 extension, u64 function, u64 arg0, u64 arg1, u64 arg2)
{
    return sbi_call_for_value(extension, function, arg0, arg1, arg2).error;
}

void sbi_get_identity(u64 *vendor, u64 *arch, u64 *implementation)
{
    *vendor = sbi_call_for_value(EXTENSION_BASE, BASE_GET_MVENDORID, 0, 0, 0).value;
    *arch = sbi_call_for_value(EXTENSION_BASE, BASE_GET_MARCHID, 0, 0, 0).value;
    *implementation = sbi_call_for_value(EXTENSION_BASE, BASE_GET_MIMPID, 0, 0, 0).value;
}

long sbi_hart_start(u64 sbi_hart, u64 start_pa, u64 opaque)
{
    return sbi_call(EXTENSION_HSM, 0, sbi_hart, start_pa, opaque);
}
void sbi_set_timer(u64 ticks) { sbi_call(EXTENSION_TIME, 0, ticks, 0, 0); }
void sbi_send_ipi(u64 sbi_hart) { sbi_call(EXTENSION_IPI, 0, 1, sbi_hart, 0); }
void sbi_reboot(void) { sbi_call(EXTENSION_RESET, 0, RESET_COLD_REBOOT, 0, 0); }
void sbi_console_putc(char c) { sbi_call(EXTENSION_LEGACY_PUTCHAR, 0, (u8)c, 0, 0); }

void sbi_shutdown(void)
{
    sbi_call(EXTENSION_RESET, 0, RESET_SHUTDOWN, 0, 0);
    for (;;)
        arch_wait_for_interrupt();
}
