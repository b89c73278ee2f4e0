/*
 * The clock is the `time` CSR, which counts at machine.timebase_hz; user mode may read it too. Nanoseconds are ticks
 * times a 64-bit fixed-point factor with 32 fraction bits (128-bit product: no overflow). Wall time is an offset, read
 * once from the Goldfish RTC (64-bit nanoseconds since 1970; reading the low half latches the high one).
 *
 * The timer is Sstc's stimecmp where every hart has it, else the firmware's.
 */
#include "arch/riscv/internal.h"
#include "arch/riscv/sbi.h"
#include "lib/atomic.h"
#include "sched/sched.h"

#define RTC_TIME_LOW 0
#define RTC_TIME_HIGH 4

struct time_scale time_scale;
static u64 ticks_factor; /* ticks per nanosecond, 64 fraction bits; the clock is slower than 1 GHz */
u64 realtime_offset;

void time_set_realtime(u64 ns) { store_relaxed(&realtime_offset, ns - time_ns()); }

/* Rounded up: the interrupt must not come early. */
static u64 ns_to_ticks(u64 ns) { return (u64)((unsigned __int128)ns * ticks_factor >> 64) + 1 + time_scale.boot_ticks; }

/* Off means masked, not set to the end of time: a simulator that skips idle time would go there. */
void arch_set_timer(u64 deadline_ns)
{
    if (deadline_ns == UINT64_MAX) {
        csr_clear(sie, SIE_TIMER);
        return;
    }
    if (machine.has_sstc)
        csr_write(CSR_STIMECMP, ns_to_ticks(deadline_ns));
    else
        sbi_set_timer(ns_to_ticks(deadline_ns));
    csr_set(sie, SIE_TIMER);
}

void timer_interrupt(void)
{
    arch_set_timer(UINT64_MAX); /* the scheduler sets the next one */
    sched_timer_interrupt();
}

static void read_rtc(void)
{
    u64 reg, size, low, high;
    unsigned irq;
    volatile u32 *rtc;

    if (!fdt_device("google,goldfish-rtc", 0, &reg, &size, &irq))
        return;
    rtc = phys_to_virt(reg);
    low = rtc[RTC_TIME_LOW / 4];
    high = rtc[RTC_TIME_HIGH / 4];
    time_set_realtime(high << 32 | low);
}

/* (a << 64) / b, for a < b, by long division. */
static u64 divide_shifted(u64 a, u64 b)
{
    u64 quotient = 0;

    for (unsigned i = 0; i < 64; i++) {
        a <<= 1;
        quotient = quotient << 1 | (a >= b);
        if (a >= b)
            a -= b;
    }
    return quotient;
}

void time_init(void)
{
    time_scale.boot_ticks = arch_ticks();
    if (machine.timebase_hz == 0 || machine.timebase_hz >= NSEC_PER_SEC)
        panic("a clock of %lu Hz", machine.timebase_hz);
    time_scale.factor = (NSEC_PER_SEC << 32) / machine.timebase_hz;
    ticks_factor = divide_shifted(machine.timebase_hz, NSEC_PER_SEC);
    read_rtc();
}
