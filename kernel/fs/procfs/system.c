/* The files of /proc about the whole machine, in the formats of proc(5) that ps, top, free, mount, df and their like
 * parse. */
#include "dev/block.h"
#include "fs/buffer.h"
#include "fs/procfs/internal.h"
#include "lib/cmdline.h"
#include "lib/string.h"
#include "proc/uname.h"
#include "vm/limits.h"
#include "vm/cache.h"
#include "vm/kmalloc.h"
#include "vm/swap.h"
#include "vm/swapdev.h"
#include "vm/swapout.h"

#define LINE_SIZE (PATH_MAX * 2)
#define LOAD_ONE 2048 /* sched_loadavg's fixed point */

static int show_meminfo(struct seq *s, const struct proc_target *t)
{
    struct memory_stats m;
    struct swap_stats swap;
    u64 pages_available, file_pages;

    memory_stats(&m);
    swap_stats(&swap);
    file_pages = m.cached > m.shmem ? m.cached - m.shmem : 0;
    pages_available = m.free + (file_pages > m.dirty ? file_pages - m.dirty : 0);
    const struct {
        const char *name;
        u64 n_pages;
    } lines[] = {
        {"MemTotal:", m.total},
        {"MemFree:", m.free},
        {"MemAvailable:", MIN(pages_available, m.total)},
        {"Buffers:", buffer_pages()},
        {"Cached:", m.cached},
        {"SwapCached:", swap.cached},
        {"Active:", m.anon},
        {"Inactive:", file_pages},
        {"Active(anon):", m.anon},
        {"Inactive(anon):", 0},
        {"Active(file):", 0},
        {"Inactive(file):", file_pages},
        {"Unevictable:", 0},
        {"Mlocked:", 0},
        {"SwapTotal:", swap.device_total},
        {"SwapFree:", swap.device_free},
        {"Zswap:", swap.store_pages},
        {"Zswapped:", swap.compressed},
        {"Dirty:", m.dirty},
        {"Writeback:", m.writeback},
        {"AnonPages:", m.anon},
        {"Mapped:", 0},
        {"Shmem:", m.shmem},
        {"KReclaimable:", 0},
        {"Slab:", m.slab},
        {"SReclaimable:", 0},
        {"SUnreclaim:", m.slab},
        {"KernelStack:", 0},
        {"PageTables:", m.tables},
        {"CommitLimit:", vm_commit_limit()},
        {"Committed_AS:", vm_committed()},
        {"VmallocTotal:", 0},
        {"VmallocUsed:", 0},
        {"VmallocChunk:", 0},
        {"AnonHugePages:", m.huge},
        {"ShmemHugePages:", m.shmem_huge},
        {"ShmemPmdMapped:", m.shmem_huge_mapped},
        {"FileHugePages:", 0},
        {"FilePmdMapped:", 0},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
        seq_printf(s, "%-15s %8lu kB\n", lines[i].name, pages_to_kib(lines[i].n_pages));
    /* Pages set aside to be huge: there are none. The size is what a transparent one has. */
    seq_puts(s, "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
                "HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n");
    return 0;
}

/* ---- harts and time ---- */

struct hart_times {
    u64 user, system, idle; /* ns */
};

static struct hart_times hart_times(const struct hart *hart)
{
    u64 now = time_ns();
    struct hart_times times = {.user = load_relaxed(&hart->user_ns), .idle = sched_idle_ns(hart)};

    times.system = now > times.user + times.idle ? now - times.user - times.idle : 0;
    return times;
}

static void show_hart_line(struct seq *s, const char *name, const struct hart_times *t)
{
    seq_printf(s, "%s %lu 0 %lu %lu 0 0 0 0 0 0\n", name, ns_to_ticks(t->user), ns_to_ticks(t->system),
               ns_to_ticks(t->idle));
}

static int show_stat(struct seq *s, const struct proc_target *t)
{
    struct hart_times sum = {0};
    u64 interrupts = 0, switches = 0;
    char name[8];

    for (unsigned i = 0; i < machine.harts; i++) {
        struct hart_times times = hart_times(&harts[i]);

        sum.user += times.user;
        sum.system += times.system;
        sum.idle += times.idle;
        interrupts += load_relaxed(&harts[i].interrupts);
        switches += load_relaxed(&harts[i].switches);
    }
    show_hart_line(s, "cpu ", &sum);
    for (unsigned i = 0; i < machine.harts; i++) {
        struct hart_times times = hart_times(&harts[i]);

        snprintf(name, sizeof(name), "cpu%u", i);
        show_hart_line(s, name, &times);
    }
    seq_printf(s, "intr %lu\nctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %u\nprocs_blocked 0\n", interrupts,
               switches, time_realtime_offset() / NSEC_PER_SEC, fork_count(), sched_runnable());
    seq_puts(s, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
    return 0;
}

static int show_uptime(struct seq *s, const struct proc_target *t)
{
    u64 up = time_ns() / (NSEC_PER_SEC / 100), idle = 0;

    for (unsigned i = 0; i < machine.harts; i++)
        idle += sched_idle_ns(&harts[i]);
    idle /= NSEC_PER_SEC / 100;
    seq_printf(s, "%lu.%02lu %lu.%02lu\n", up / 100, up % 100, idle / 100, idle % 100);
    return 0;
}

static int show_loadavg(struct seq *s, const struct proc_target *t)
{
    u64 averages[3];

    sched_loadavg(averages);
    for (unsigned i = 0; i < ARRAY_SIZE(averages); i++) {
        u64 hundredths = (averages[i] * 100 + LOAD_ONE / 2) / LOAD_ONE;

        seq_printf(s, "%lu.%02lu ", hundredths / 100, hundredths % 100);
    }
    seq_printf(s, "%u/%lu %d\n", sched_runnable(), task_count(), last_pid());
    return 0;
}

static int show_cpuinfo(struct seq *s, const struct proc_target *t)
{
    for (unsigned i = 0; i < machine.harts; i++)
        seq_printf(s,
                   "processor\t: %u\nhart\t\t: %lu\nisa\t\t: %s\nmmu\t\t: sv%u\n"
                   "mvendorid\t: 0x%lx\nmarchid\t\t: 0x%lx\nmimpid\t\t: 0x%lx\nhart isa\t: %s\n\n",
                   i, harts[i].sbi_id, machine.isa, 9 * machine.paging_levels + 12, machine.vendor_id, machine.arch_id,
                   machine.implementation_id, machine.isa);
    return 0;
}

/* No counts per device: one line of all external, timer and software interrupts. */
static int show_interrupts(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "    ");
    for (unsigned i = 0; i < machine.harts; i++)
        seq_printf(s, "       CPU%-4u", i);
    seq_puts(s, "\nALL:");
    for (unsigned i = 0; i < machine.harts; i++)
        seq_printf(s, " %10lu   ", load_relaxed(&harts[i].interrupts));
    seq_puts(s, "   All interrupts\n");
    return 0;
}

static void show_huge_counts(struct seq *s)
{
    struct huge_counts c;

    huge_get_counts(&c);
    seq_printf(s, "thp_fault_alloc %lu\nthp_fault_fallback %lu\n", c.fault_alloc, c.fault_fallback);
    seq_printf(s, "thp_collapse_alloc %lu\nthp_collapse_alloc_failed %lu\n", c.collapse_alloc, c.collapse_failed);
    seq_printf(s, "thp_file_alloc %lu\nthp_file_fallback %lu\nthp_file_mapped %lu\n", c.file_alloc, c.file_fallback,
               c.file_mapped);
    seq_printf(s, "thp_split_page %lu\nthp_split_pmd %lu\n", c.split, c.split_mapping);
    seq_printf(s, "compact_fail %lu\ncompact_success %lu\n", c.not_compacted, c.compacted);
}

static int show_vmstat(struct seq *s, const struct proc_target *t)
{
    struct memory_stats m;
    struct swap_stats swap;
    u64 faults, major_faults;

    memory_stats(&m);
    swap_stats(&swap);
    seq_printf(
        s, "nr_free_pages %lu\nnr_anon_pages %lu\nnr_file_pages %lu\nnr_dirty %lu\nnr_writeback %lu\nnr_shmem %lu\n",
        m.free, m.anon, m.cached, m.dirty, m.writeback, m.shmem);
    seq_printf(s, "nr_page_table_pages %lu\nnr_slab_unreclaimable %lu\n", m.tables, m.slab);
    seq_printf(s, "nr_swapcached %lu\nnr_zspages %lu\n", swap.cached, swap.store_pages);
    space_fault_totals(&faults, &major_faults);
    seq_printf(s, "pgfault %lu\npgmajfault %lu\n", faults, major_faults);
    seq_printf(s, "swap_ra %lu\nswap_ra_hit %lu\n", swap.read_ahead, swap.read_ahead_hits);
    seq_printf(s, "pglazyfree %lu\npglazyfreed %lu\n", swap.lazy_marked, swap.lazy_freed);
    seq_printf(s, "pswpin %lu\npswpout %lu\n", swap.in, swap.out);
    seq_printf(s, "zswpin %lu\nzswpout %lu\nzswpwb %lu\n", swap.loaded, swap.stored, swap.written_back);
    show_huge_counts(s);
    return 0;
}

/* ---- names and versions ---- */

static int show_version(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%s version %s (Quire) %s\n", UNAME_SYSNAME, UNAME_RELEASE, UNAME_VERSION);
    return 0;
}

static int show_cmdline(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%s\n", machine.command_line);
    return 0;
}

static int show_filesystems(struct seq *s, const struct proc_target *t)
{
    const struct fs_type *type;

    for (unsigned i = 0; (type = fs_type_nth(i)) != NULL; i++)
        seq_printf(s, "%s\t%s\n", type->needs_device ? "" : "nodev", type->name);
    return 0;
}

static int show_mount_lines(struct seq *s, bool info)
{
    char *line = kmalloc(LINE_SIZE);
    unsigned id = 0;
    size_t n;

    if (line == NULL)
        return -ENOMEM;
    while ((n = mount_line(&id, info, line, LINE_SIZE)) > 0)
        seq_write(s, line, n);
    kfree(line);
    return 0;
}

int show_mounts(struct seq *s, const struct proc_target *t) { return show_mount_lines(s, false); }
int show_mountinfo(struct seq *s, const struct proc_target *t) { return show_mount_lines(s, true); }

/* ---- disks ---- */

static int show_partitions(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "major minor  #blocks  name\n\n");
    for (struct block_device *b = block_next(NULL); b != NULL; b = block_next(b))
        seq_printf(s, "%4u  %7u %10lu %s\n", dev_major(b->dev), dev_minor(b->dev), b->sectors / 2, b->name);
    return 0;
}

static int show_diskstats(struct seq *s, const struct proc_target *t)
{
    for (struct block_device *b = block_next(NULL); b != NULL; b = block_next(b))
        seq_printf(s, "%4u %7u %s %lu 0 %lu 0 %lu 0 %lu 0 0 0 0 0 0 0 0 %lu 0\n", dev_major(b->dev), dev_minor(b->dev),
                   b->name, load_relaxed(&b->reads), load_relaxed(&b->sectors_read), load_relaxed(&b->writes),
                   load_relaxed(&b->sectors_written), load_relaxed(&b->flushes));
    return 0;
}

static int show_swaps(struct seq *s, const struct proc_target *t)
{
    char *line = kmalloc(LINE_SIZE);
    struct swap_area area;

    if (line == NULL)
        return -ENOMEM;
    seq_puts(s, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    for (unsigned i = 0; i < MAX_SWAP_DEVICES; i++) {
        const char *name;

        if (!swapdev_get(i, &area))
            continue;
        name = path_name(&area.file->path, line, LINE_SIZE);
        seq_printf(s, "%-39s %-15s %-15lu %-15lu %d\n", IS_ERR(name) ? "?" : name, area.is_file ? "file" : "partition",
                   pages_to_kib(area.pages), pages_to_kib(area.used), area.priority);
        file_put(area.file);
    }
    kfree(line);
    return 0;
}

static int show_devices(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "Character devices:\n  1 mem\n  4 ttyS\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\n");
    seq_puts(s, "Block devices:\n254 virtblk\n");
    return 0;
}

/* ---- links to the reader itself ---- */

static ssize_t read_self(const struct proc_target *t, char *buf, size_t size)
{
    return is_user_thread(current) ? snprintf(buf, size, "%d", task_pid(current_task())) : -ENOENT;
}

static ssize_t read_thread_self(const struct proc_target *t, char *buf, size_t size)
{
    if (!is_user_thread(current))
        return -ENOENT;
    return snprintf(buf, size, "%d/task/%d", task_pid(current_task()), task_tid(current_task()));
}

static ssize_t read_mounts_link(const struct proc_target *t, char *buf, size_t size)
{
    return snprintf(buf, size, "self/mounts");
}

static ssize_t read_net_link(const struct proc_target *t, char *buf, size_t size)
{
    return snprintf(buf, size, "self/net");
}

/* Addresses are for those who may know them. */
static int show_iomem(struct seq *s, const struct proc_target *t)
{
    bool all = capable(current->cred, CAP_SYS_ADMIN);
    u64 first = all ? first_pfn << PAGE_SHIFT : 0, last = all ? (end_pfn << PAGE_SHIFT) - 1 : 0;

    seq_printf(s, "%08lx-%08lx : System RAM\n", first, last);
    return 0;
}

const struct proc_entry system_entries[] = {
    PROC_FILE("cmdline", 0444, show_cmdline),
    PROC_FILE("config.gz", 0444, show_config),
    PROC_FILE("cpuinfo", 0444, show_cpuinfo),
    PROC_FILE("devices", 0444, show_devices),
    PROC_FILE("diskstats", 0444, show_diskstats),
    PROC_FILE("filesystems", 0444, show_filesystems),
    PROC_DIRECTORY("fs", journal_entries),
    PROC_FILE("interrupts", 0444, show_interrupts),
    PROC_FILE("iomem", 0400, show_iomem),
    {.name = "kmsg", .mode = S_IFREG | 0400, .file_ops = &proc_kmsg_ops},
    {.name = "kpageflags", .mode = S_IFREG | 0400, .file_ops = &proc_kpageflags_ops},
    PROC_FILE("loadavg", 0444, show_loadavg),
    PROC_FILE("meminfo", 0444, show_meminfo),
    {.name = "mounts", .mode = S_IFLNK | 0777, .read_link = read_mounts_link},
    {.name = "net", .mode = S_IFLNK | 0777, .read_link = read_net_link},
    PROC_FILE("partitions", 0444, show_partitions),
    PROC_FILE("quire", 0444, show_quire),
    {.name = "self", .mode = S_IFLNK | 0777, .read_link = read_self},
    PROC_FILE("stat", 0444, show_stat),
    PROC_FILE("swaps", 0444, show_swaps),
    PROC_DIRECTORY("sys", sys_entries),
    PROC_DIRECTORY("sysvipc", sysvipc_entries),
    {.name = "thread-self", .mode = S_IFLNK | 0777, .read_link = read_thread_self},
    PROC_FILE("uptime", 0444, show_uptime),
    PROC_FILE("version", 0444, show_version),
    PROC_FILE("vmstat", 0444, show_vmstat),
    {0},
};
