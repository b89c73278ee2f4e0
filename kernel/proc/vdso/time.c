/*
 * Clocks without a system call: read the time CSR, scale it, add the wall clock's offset (vdso.h). Other clocks go to
 * the kernel.
 */
#include "proc/vdso/vdso.h"

#define NR_CLOCK_GETTIME 113
#define NR_CLOCK_GETRES 114

enum {
    CLOCK_REALTIME = 0,
    CLOCK_MONOTONIC = 1,
    CLOCK_MONOTONIC_RAW = 4,
    CLOCK_REALTIME_COARSE = 5,
    CLOCK_MONOTONIC_COARSE = 6,
    CLOCK_BOOTTIME = 7,
};

struct timespec {
    s64 sec, nsec;
};
struct timeval {
    s64 sec, usec;
};
struct timezone {
    s32 minutes_west, dst;
};

extern const struct vdso_data vdso_data __attribute__((visibility("hidden")));

int __vdso_clock_gettime(int clock, struct timespec *time);
int __vdso_clock_getres(int clock, struct timespec *resolution);
int __vdso_gettimeofday(struct timeval *time, struct timezone *zone);

static long kernel_call(long number, long first, void *second)
{
    register long a0 __asm__("a0") = first;
    register void *a1 __asm__("a1") = second;
    register long a7 __asm__("a7") = number;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a7) : "memory");
    return a0;
}

/* Monotonic time, and in *OFFSET what makes it wall time, as of one moment. */
static u64 read_clock(u64 *offset)
{
    const volatile struct vdso_data *d = &vdso_data;
    u64 ticks, ns;
    u32 sequence;

    do {
        sequence = d->sequence;
        __asm__ volatile("fence r, r; rdtime %0" : "=r"(ticks)::"memory");
        ns = (u64)((unsigned __int128)(ticks - d->boot_ticks) * d->factor >> 32);
        *offset = d->realtime_offset;
        __asm__ volatile("fence r, r" ::: "memory");
    } while ((sequence & 1) != 0 || sequence != d->sequence);
    return ns;
}

int __vdso_clock_gettime(int clock, struct timespec *time)
{
    u64 offset, ns;

    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        ns = read_clock(&offset);
        ns += offset;
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        ns = read_clock(&offset);
        break;
    default:
        return (int)kernel_call(NR_CLOCK_GETTIME, clock, time);
    }
    time->sec = (s64)(ns / NSEC_PER_SEC);
    time->nsec = (s64)(ns % NSEC_PER_SEC);
    return 0;
}

int __vdso_gettimeofday(struct timeval *time, struct timezone *zone)
{
    u64 offset, ns;

    if (time != NULL) {
        ns = read_clock(&offset);
        ns += offset;
        time->sec = (s64)(ns / NSEC_PER_SEC);
        time->usec = (s64)(ns % NSEC_PER_SEC / NSEC_PER_USEC);
    }
    if (zone != NULL)
        *zone = (struct timezone){0, 0};
    return 0;
}

int __vdso_clock_getres(int clock, struct timespec *resolution)
{
    return (int)kernel_call(NR_CLOCK_GETRES, clock, resolution);
}
