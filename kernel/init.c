/*
 * Bringing the kernel up, bottom to top, until the first program runs.
 *
 *   kernel_main (boot hart, its idle thread): memory, scheduler, interrupts, the other harts
 *   start_system (a thread, since it sleeps): caches, drivers, file systems, the root, pid 1
 *
 * Options: root=/dev/vda, rootfstype=ext3, rootflags=MOUNT-OPTIONS, ro, init=PATH, and selftest instead of all that.
 */
#include "arch/riscv/boot.h"
#include "dev/block.h"
#include "dev/tty.h"
#include "dev/virtio.h"
#include "fs/ext3/ext3.h"
#include "fs/procfs/procfs.h"
#include "fs/sysfs/sysfs.h"
#include "fs/vfs.h"
#include "lib/cmdline.h"
#include "lib/print.h"
#include "lib/random.h"
#include "proc/task.h"
#include "proc/terminal.h"
#include "proc/vdso/vdso.h"
#include "sched/race.h"
#include "sched/sched.h"
#include "selftest.h"
#include "sys/sysvipc.h"
#include "vm/space.h"
#include "vm/vm.h"

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

static const char *option(const char *name, const char *default_value)
{
    const char *value = cmdline_get(name);

    return value != NULL && *value != '\0' ? value : default_value;
}

static void mount_root(void)
{
    const char *device = option("root", "/dev/vda"), *type = option("rootfstype", "ext3");
    int err = vfs_mount_root(device, type, cmdline_has("ro"), option("rootflags", ""));

    if (err != 0)
        panic("cannot mount root %s as %s: error %d", device, type, -err);
}

static void start_first_program(void)
{
    static const char *const candidates[] = {"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"};
    static const char *const environment[] = {"HOME=/", "TERM=linux", NULL};
    const char *path = option("init", NULL);
    int err = -ENOENT;

    for (unsigned i = 0; i < ARRAY_SIZE(candidates) && err != 0; i++) {
        const char *argv[] = {path != NULL ? path : candidates[i], NULL};

        kprintf("starting %s", argv[0]);
        err = proc_start_init(argv[0], argv, environment);
        if (path != NULL)
            break;
    }
    if (err != 0)
        panic("cannot start %s: error %d", path != NULL ? path : "/sbin/init", -err);
}

/* What may sleep, on a thread of its own. */
static void start_system(void *unused)
{
    (void)unused;
    if (cmdline_has("selftest"))
        selftest_run(cmdline_get("selftest"));
    race_init();
    random_init();
    reclaim_init();
    khugepaged_init();
    vfs_init();
    procfs_init();
    sysfs_init();
    ext3_init();
    tty_init();
    block_init();
    virtio_init();
    proc_init();
    terminal_init();
    sysvipc_init();
    mount_root();
    start_first_program();
}

void kernel_main(void)
{
    say_hello();
    init_memory();
    sched_init();
    vm_init();
    arch_init_devices();
    arch_start_harts();
    irq_enable();
    if (IS_ERR(kernel_thread("init", start_system, NULL)))
        panic("no memory for the first thread");
    sched_idle();
}

void kernel_main_secondary(void)
{
    sched_init_hart();
    sched_idle();
}
