/*
 * System calls on the system as a whole: uname(2), sysinfo(2), getrandom(2), membarrier(2), riscv_hwprobe, and its
 * end: reboot(2).
 */
#include "dev/tty.h"
#include "fs/vfs.h"
#include "lib/print.h"
#include "lib/random.h"
#include "lib/string.h"
#include "proc/internal.h"
#include "proc/uname.h"
#include "sched/sched.h"
#include "sys/syscall.h"
#include "sys/user_time.h"
#include "vm/swap.h"

/* ---- names ---- */

struct utsname {
    char sysname[UNAME_LENGTH + 1], nodename[UNAME_LENGTH + 1], release[UNAME_LENGTH + 1], version[UNAME_LENGTH + 1];
    char machine[UNAME_LENGTH + 1], domain[UNAME_LENGTH + 1];
};

DEFINE_SYSCALL(sys_uname)
{
    struct utsname u = {
        .sysname = UNAME_SYSNAME, .release = UNAME_RELEASE, .version = UNAME_VERSION, .machine = UNAME_MACHINE};

    host_name_get(HOST_NAME, u.nodename);
    host_name_get(HOST_DOMAIN, u.domain);
    return copy_to_user((void *)a0, &u, sizeof(u));
}

static long set_host_name(enum host_name which, u64 user, s64 length)
{
    char name[UNAME_LENGTH];

    if (!capable(current->cred, CAP_SYS_ADMIN))
        return -EPERM;
    if (length < 0 || length > UNAME_LENGTH)
        return -EINVAL;
    if (copy_from_user(name, (const void *)user, (size_t)length) != 0)
        return -EFAULT;
    host_name_set(which, name, (size_t)length);
    return 0;
}

DEFINE_SYSCALL(sys_sethostname) { return set_host_name(HOST_NAME, a0, (int)a1); }
DEFINE_SYSCALL(sys_setdomainname) { return set_host_name(HOST_DOMAIN, a0, (int)a1); }

/* ---- sysinfo ---- */

struct sysinfo {
    s64 uptime;
    u64 loads[3]; /* fixed point, 16 fraction bits */
    u64 total_ram, free_ram, shared_ram, buffer_ram, total_swap, free_swap;
    u16 processes, pad;
    u32 pad2;
    u64 total_high, free_high;
    u32 unit, pad3;
};
static_assert(sizeof(struct sysinfo) == 112, "struct sysinfo");

DEFINE_SYSCALL(sys_sysinfo)
{
    struct memory_stats m;
    struct swap_stats swap;
    struct sysinfo s = {.uptime = (s64)DIV_ROUND_UP(time_ns(), NSEC_PER_SEC), .unit = 1};

    memory_stats(&m);
    sched_loadavg(s.loads);
    for (int i = 0; i < 3; i++)
        s.loads[i] <<= 16 - 11;
    swap_stats(&swap);
    s.total_swap = swap.device_total * PAGE_SIZE;
    s.free_swap = swap.device_free * PAGE_SIZE;
    s.total_ram = m.total * PAGE_SIZE;
    s.free_ram = m.free * PAGE_SIZE;
    s.shared_ram = m.shmem * PAGE_SIZE;
    s.processes = (u16)MIN(task_count(), (u64)UINT16_MAX);
    return copy_to_user((void *)a0, &s, sizeof(s));
}

/* ---- getrandom ---- */

#define GRND_NONBLOCK 1
#define GRND_RANDOM 2
#define GRND_INSECURE 4

DEFINE_SYSCALL(sys_getrandom)
{
    u64 n = MIN(a1, (u64)INT32_MAX), done = 0;
    u8 buf[256];

    if ((a2 & ~(u64)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
        (a2 & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    while (done < n) {
        u64 chunk = MIN(n - done, sizeof(buf));

        random_bytes(buf, chunk);
        if (copy_to_user((void *)(a0 + done), buf, chunk) != 0)
            return done > 0 ? (long)done : -EFAULT;
        done += chunk;
        cond_resched();
        if (signal_pending() && done < n)
            break;
    }
    memset(buf, 0, sizeof(buf));
    return (long)done;
}

/* ---- harts ---- */

enum {
    MEMBARRIER_GLOBAL = 1,
    MEMBARRIER_GLOBAL_EXPEDITED = 2,
    MEMBARRIER_REGISTER_GLOBAL_EXPEDITED = 4,
    MEMBARRIER_PRIVATE_EXPEDITED = 8,
    MEMBARRIER_REGISTER_PRIVATE_EXPEDITED = 16,
    MEMBARRIER_PRIVATE_SYNC_CORE = 32,
    MEMBARRIER_REGISTER_PRIVATE_SYNC_CORE = 64,
    MEMBARRIER_GET_REGISTRATIONS = 512,
    MEMBARRIER_ALL = 127 | MEMBARRIER_GET_REGISTRATIONS,
};

static void fence(void *unused)
{
    (void)unused;
    memory_barrier();
}

DEFINE_SYSCALL(sys_membarrier)
{
    struct process *p = current_process();
    u64 all = BIT(machine.harts) - 1;

    if (a1 != 0)
        return -EINVAL;
    switch ((int)a0) {
    case 0: /* query */
        return MEMBARRIER_ALL;
    case MEMBARRIER_REGISTER_GLOBAL_EXPEDITED:
    case MEMBARRIER_REGISTER_PRIVATE_EXPEDITED:
    case MEMBARRIER_REGISTER_PRIVATE_SYNC_CORE:
        atomic_or(&p->membarriers, (u32)a0);
        return 0;
    case MEMBARRIER_GET_REGISTRATIONS:
        return load_relaxed(&p->membarriers);
    case MEMBARRIER_PRIVATE_SYNC_CORE:
        if (!(p->membarriers & MEMBARRIER_REGISTER_PRIVATE_SYNC_CORE))
            return -EPERM;
        arch_sync_icache(all);
        return 0;
    case MEMBARRIER_PRIVATE_EXPEDITED:
        if (!(p->membarriers & MEMBARRIER_REGISTER_PRIVATE_EXPEDITED))
            return -EPERM;
        arch_call_harts(all, fence, NULL);
        return 0;
    case MEMBARRIER_GLOBAL:
    case MEMBARRIER_GLOBAL_EXPEDITED:
        arch_call_harts(all, fence, NULL);
        return 0;
    default:
        return -EINVAL;
    }
}

/* The range is not looked at: fence.i is for everything. FLAGS bit 0: this thread alone, which may run anywhere next.
 */
DEFINE_SYSCALL(sys_riscv_flush_icache)
{
    if (a2 & ~1ull)
        return -EINVAL;
    arch_sync_icache(BIT(machine.harts) - 1);
    return 0;
}

enum {
    PROBE_VENDOR = 0,
    PROBE_ARCH = 1,
    PROBE_IMPLEMENTATION = 2,
    PROBE_BASE_BEHAVIOR = 3,
    PROBE_EXTENSIONS = 4,
    PROBE_MISALIGNED_OLD = 5,
    PROBE_ZICBOZ_BLOCK = 6,
    PROBE_HIGHEST_ADDRESS = 7,
    PROBE_TIME_FREQUENCY = 8,
    PROBE_MISALIGNED_SCALAR = 9,
};
#define PROBE_IMA 1
#define PROBE_MISALIGNED_UNKNOWN 0

struct probe_pair {
    s64 key;
    u64 value;
};

static u64 probe_extensions(void)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {{"_zba", 3}, {"_zbb", 4}, {"_zbs", 5}, {"_zicboz", 6}, {"_zbc", 7}, {"_zicond", 35}};
    u64 bits = 1 | 2; /* F and D, C: what rv64gc promises */

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (strstr(machine.isa, known[i].name) != NULL)
            bits |= BIT(known[i].bit);
    return bits;
}

static void probe(struct probe_pair *pair)
{
    pair->value = 0;
    switch (pair->key) {
    case PROBE_VENDOR:
        pair->value = machine.vendor_id;
        break;
    case PROBE_ARCH:
        pair->value = machine.arch_id;
        break;
    case PROBE_IMPLEMENTATION:
        pair->value = machine.implementation_id;
        break;
    case PROBE_BASE_BEHAVIOR:
        pair->value = PROBE_IMA;
        break;
    case PROBE_EXTENSIONS:
        pair->value = probe_extensions();
        break;
    case PROBE_MISALIGNED_OLD:
    case PROBE_MISALIGNED_SCALAR:
        pair->value = PROBE_MISALIGNED_UNKNOWN;
        break;
    case PROBE_ZICBOZ_BLOCK:
        pair->value = machine.has_zicboz ? machine.cboz_block : 0;
        break;
    case PROBE_HIGHEST_ADDRESS:
        pair->value = MIN(arch_user_address_limit(), 1ull << 47) - 1;
        break;
    case PROBE_TIME_FREQUENCY:
        pair->value = machine.timebase_hz;
        break;
    default:
        pair->key = -1;
        break;
    }
}

/* (pairs, count, cpusetsize, cpus, flags). All harts are alike, so which are asked about matters only as far as there
 * must be one. */
DEFINE_SYSCALL(sys_riscv_hwprobe)
{
    u64 mask = 0;

    if (a4 != 0)
        return -EINVAL;
    if (a2 == 0 && a3 == 0)
        mask = 1;
    else if (copy_from_user(&mask, (const void *)a3, MIN(a2, sizeof(mask))) != 0)
        return -EFAULT;
    if ((mask & (BIT(machine.harts) - 1)) == 0)
        return -EINVAL;
    for (u64 i = 0; i < a1; i++) {
        struct probe_pair pair, *user = (struct probe_pair *)a0 + i;

        if (copy_from_user(&pair, user, sizeof(pair)) != 0)
            return -EFAULT;
        probe(&pair);
        if (copy_to_user(user, &pair, sizeof(pair)) != 0)
            return -EFAULT;
        if (fatal_signal_pending())
            return -EINTR;
    }
    return 0;
}

/* There is one namespace of each kind. */
DEFINE_SYSCALL(sys_setns)
{
    struct file *file = fd_get((int)a0);

    if (file == NULL)
        return -EBADF;
    file_put(file);
    return -EINVAL;
}

/* ---- the end ---- */

#define REBOOT_MAGIC 0xfee1dead
#define REBOOT_RESTART 0x01234567
#define REBOOT_HALT 0xcdef0123
#define REBOOT_CAD_ON 0x89abcdef
#define REBOOT_CAD_OFF 0x00000000
#define REBOOT_POWER_OFF 0x4321fedc
#define REBOOT_RESTART2 0xa1b2c3d4
#define REBOOT_ARG_SIZE 256
#define PATIENCE_NS (3 * NSEC_PER_SEC)

static bool is_second_magic(u32 magic)
{
    return magic == 672274793 || magic == 85072278 || magic == 369367448 || magic == 537993216;
}

/* How many processes but the caller still run. */
static unsigned kill_others(void)
{
    unsigned n = 0;
    struct process *p;
    u64 flags = spin_lock_irqsave(&task_lock);
    struct siginfo info = {.signo = SIGKILL, .code = SI_KERNEL};

    list_for_each(p, &all_processes, all_link) {
        if (p == current_process() || p->is_zombie)
            continue;
        if (p != init_process) { /* which may not die; it does nothing without children */
            signal_send(p, NULL, &info);
            n++;
        }
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return n;
}

/* Processes end, files are closed, everything is on the disk. */
static void shut_down(void)
{
    u64 deadline = time_ns() + PATIENCE_NS;

    while (kill_others() > 0 && time_ns() < deadline) {
        store_relaxed(&current->state, THREAD_SLEEPING);
        schedule_until(time_ns() + NSEC_PER_MSEC);
    }
    vfs_shutdown();
    console_drain();
}

/* "exit:N" ends the simulator with status N: how a test's result leaves the machine. */
static noreturn_fn void restart_with(const char *arg)
{
    if (strncmp(arg, "exit:", 5) == 0)
        arch_poweroff((unsigned)strtoul(arg + 5, NULL, 10) & 0xff);
    arch_reboot();
}

static noreturn_fn void halt(void)
{
    kprintf("system halted");
    arch_stop_other_harts();
    irq_disable();
    for (;;)
        arch_wait_for_interrupt();
}

DEFINE_SYSCALL(sys_reboot)
{
    char arg[REBOOT_ARG_SIZE] = "";
    u32 command = (u32)a2;

    if (!capable(current->cred, CAP_SYS_BOOT))
        return -EPERM;
    if ((u32)a0 != REBOOT_MAGIC || !is_second_magic((u32)a1))
        return -EINVAL;
    switch (command) {
    case REBOOT_CAD_ON:
    case REBOOT_CAD_OFF:
        return 0; /* there is no such key */
    case REBOOT_RESTART2:
        if (strncpy_from_user(arg, (const char *)a3, sizeof(arg)) == -EFAULT)
            return -EFAULT;
        arg[sizeof(arg) - 1] = '\0';
        break;
    case REBOOT_RESTART:
    case REBOOT_HALT:
    case REBOOT_POWER_OFF:
        break;
    default:
        return -EINVAL;
    }
    shut_down();
    if (command == REBOOT_POWER_OFF)
        arch_poweroff(0);
    if (command == REBOOT_HALT)
        halt();
    restart_with(arg);
}
