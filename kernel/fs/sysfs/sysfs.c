/* /sys, made of procfs's entries: the harts, and what the kernel says of huge pages. Source: sysfs(5). */
#include "fs/sysfs/sysfs.h"
#include "fs/procfs/internal.h"

#define SYSFS_MAGIC 0x62656572

static int show_harts(struct seq *s, const struct proc_target *t)
{
    if (machine.harts > 1)
        seq_printf(s, "0-%u\n", machine.harts - 1);
    else
        seq_puts(s, "0\n");
    return 0;
}

static int show_kernel_max(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%u\n", MAX_HARTS - 1);
    return 0;
}

/* No hart is ever off line: an empty list. */
static int show_offline(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "\n");
    return 0;
}

static int show_huge_pages(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "always madvise [never]\n");
    return 0;
}

static int show_huge_page_size(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "2097152\n");
    return 0;
}

static const struct proc_entry cpu_entries[] = {
    PROC_FILE("kernel_max", 0444, show_kernel_max), PROC_FILE("offline", 0444, show_offline),
    PROC_FILE("online", 0444, show_harts),          PROC_FILE("possible", 0444, show_harts),
    PROC_FILE("present", 0444, show_harts),         {0},
};
static const struct proc_entry system_devices[] = {PROC_DIRECTORY("cpu", cpu_entries), {0}};
static const struct proc_entry device_entries[] = {PROC_DIRECTORY("system", system_devices), {0}};
static const struct proc_entry huge_page_entries[] = {
    PROC_FILE("enabled", 0444, show_huge_pages), PROC_FILE("hpage_pmd_size", 0444, show_huge_page_size), {0}};
static const struct proc_entry mm_entries[] = {PROC_DIRECTORY("transparent_hugepage", huge_page_entries), {0}};
static const struct proc_entry kernel_entries[] = {PROC_DIRECTORY("mm", mm_entries), {0}};
static const struct proc_entry top_entries[] = {
    PROC_DIRECTORY("devices", device_entries), PROC_DIRECTORY("kernel", kernel_entries), {0}};
static const struct proc_entry root_entry = {.name = "", .mode = S_IFDIR | 0555, .children = top_entries};

static int sysfs_mount(struct super *super, const char *options) { return proc_mount_tree(super, &root_entry); }

static struct fs_type sysfs_type = {.name = "sysfs", .magic = SYSFS_MAGIC, .mount = sysfs_mount};

void sysfs_init(void) { fs_register(&sysfs_type); }
