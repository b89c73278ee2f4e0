/* /sys, made of procfs's entries: the harts, and what the kernel says of huge pages. Source: sysfs(5). */
#include "fs/sysfs/sysfs.h"
#include "fs/procfs/internal.h"
#include "fs/tmpfs/tmpfs.h"
#include "lib/string.h"
#include "vm/space.h"

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

/* "always [madvise] never": what is chosen is in brackets. */
static int show_choice(struct seq *s, const char *const *names, unsigned n, unsigned chosen)
{
    for (unsigned i = 0; i < n; i++)
        seq_printf(s, i == chosen ? "%s[%s]" : "%s%s", i > 0 ? " " : "", names[i]);
    seq_puts(s, "\n");
    return 0;
}

/* Which of NAMES the N bytes of TEXT are, or -EINVAL. */
static int parse_choice(char *text, size_t n, const char *const *names, unsigned n_names)
{
    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = '\0';
    for (unsigned i = 0; i < n_names; i++)
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    return -EINVAL;
}

static int show_huge_pages(struct seq *s, const struct proc_target *t)
{
    return show_choice(s, huge_policy_names, ARRAY_SIZE(huge_policy_names), huge_policy);
}

static int write_huge_pages(const struct proc_target *t, char *text, size_t n)
{
    int chosen = parse_choice(text, n, huge_policy_names, ARRAY_SIZE(huge_policy_names));

    if (chosen < 0)
        return chosen;
    huge_policy = (enum huge_policy)chosen;
    khugepaged_settings_changed();
    return 0;
}

static int show_effort(struct seq *s, const struct proc_target *t)
{
    return show_choice(s, huge_effort_names, ARRAY_SIZE(huge_effort_names), huge_effort);
}

static int write_effort(const struct proc_target *t, char *text, size_t n)
{
    int chosen = parse_choice(text, n, huge_effort_names, ARRAY_SIZE(huge_effort_names));

    if (chosen < 0)
        return chosen;
    huge_effort = (enum huge_effort)chosen;
    return 0;
}

static int show_shared_huge_pages(struct seq *s, const struct proc_target *t)
{
    return show_choice(s, huge_shared_policy_names, ARRAY_SIZE(huge_shared_policy_names), huge_shared_policy);
}

static int write_shared_huge_pages(const struct proc_target *t, char *text, size_t n)
{
    int chosen = parse_choice(text, n, huge_shared_policy_names, ARRAY_SIZE(huge_shared_policy_names));

    if (chosen < 0)
        return chosen;
    tmpfs_set_shared_policy((enum huge_shared_policy)chosen);
    khugepaged_settings_changed();
    return 0;
}

static int show_no_huge_zero_page(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "0\n");
    return 0;
}

/* It may be told to stay off. */
static int write_no_huge_zero_page(const struct proc_target *t, char *text, size_t n)
{
    long value;
    int error = parse_number(text, &value);

    return error != 0 ? error : value != 0 ? -EINVAL : 0;
}

static int show_huge_page_size(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "2097152\n");
    return 0;
}

/* ---- khugepaged's settings ---- */

static int write_setting(char *text, unsigned min, unsigned max, unsigned *setting)
{
    long value;
    int error = parse_number(text, &value);

    if (error != 0)
        return error;
    if (value < (long)min || value > (long)max)
        return -EINVAL;
    store_relaxed(setting, (unsigned)value);
    khugepaged_settings_changed();
    return 0;
}

#define KHUGEPAGED_SETTING(name, min, max)                                     \
    static int show_##name(struct seq *s, const struct proc_target *t)         \
    {                                                                          \
        seq_printf(s, "%u\n", load_relaxed(&khugepaged_settings.name));        \
        return 0;                                                              \
    }                                                                          \
    static int write_##name(const struct proc_target *t, char *text, size_t n) \
    {                                                                          \
        return write_setting(text, min, max, &khugepaged_settings.name);       \
    }
#define ANY_COUNT UINT32_MAX
#define OF_A_SPAN 511
KHUGEPAGED_SETTING(alloc_sleep_ms, 0, ANY_COUNT)
KHUGEPAGED_SETTING(defrag, 0, 1)
KHUGEPAGED_SETTING(max_ptes_none, 0, OF_A_SPAN)
KHUGEPAGED_SETTING(max_ptes_shared, 0, OF_A_SPAN)
KHUGEPAGED_SETTING(max_ptes_swap, 0, OF_A_SPAN)
KHUGEPAGED_SETTING(pages_to_scan, 1, ANY_COUNT)
KHUGEPAGED_SETTING(scan_sleep_ms, 0, ANY_COUNT)

static int show_full_scans(struct seq *s, const struct proc_target *t)
{
    u64 full_scans, collapsed;

    khugepaged_counts(&full_scans, &collapsed);
    seq_printf(s, "%lu\n", full_scans);
    return 0;
}

static int show_pages_collapsed(struct seq *s, const struct proc_target *t)
{
    u64 full_scans, collapsed;

    khugepaged_counts(&full_scans, &collapsed);
    seq_printf(s, "%lu\n", collapsed);
    return 0;
}

/* ---- /sys/devices/system/cpu/cpuN: each hart is a core of one package; its number travels as the target's fd ---- */

static int show_core(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%d\n", t->fd);
    return 0;
}

static int show_package(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "0\n");
    return 0;
}

static int show_core_mask(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%x\n", 1u << t->fd);
    return 0;
}

static int show_package_mask(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%x\n", (1u << machine.harts) - 1);
    return 0;
}

static const struct proc_entry topology_entries[] = {
    PROC_FILE("core_cpus", 0444, show_core_mask),
    PROC_FILE("core_cpus_list", 0444, show_core),
    PROC_FILE("core_id", 0444, show_core),
    PROC_FILE("core_siblings", 0444, show_package_mask),
    PROC_FILE("core_siblings_list", 0444, show_harts),
    PROC_FILE("package_cpus", 0444, show_package_mask),
    PROC_FILE("package_cpus_list", 0444, show_harts),
    PROC_FILE("physical_package_id", 0444, show_package),
    PROC_FILE("thread_siblings", 0444, show_core_mask),
    PROC_FILE("thread_siblings_list", 0444, show_core),
    {0},
};
static const struct proc_entry hart_entries[] = {PROC_DIRECTORY("topology", topology_entries), {0}};
static const struct proc_entry hart_entry = PROC_DIRECTORY("", hart_entries);

static struct inode *lookup_hart(struct inode *dir, struct name name)
{
    static const char prefix[] = {'c', 'p', 'u'};
    struct name digits = {name.s + sizeof(prefix), name.length - (unsigned)sizeof(prefix)};
    struct inode *inode;
    int n;

    if (name.length <= sizeof(prefix) || memcmp(name.s, prefix, sizeof(prefix)) != 0)
        return ERR_PTR(-ENOENT);
    n = name_number(digits);
    if (n < 0 || n >= (int)machine.harts)
        return ERR_PTR(-ENOENT);
    inode = proc_inode_create(dir, &hart_entry, NULL);
    if (!IS_ERR(inode))
        proc_inode_set_number(inode, n);
    return inode;
}

static bool emit_harts(struct inode *dir, struct dir_context *ctx, u64 first)
{
    char name[12];

    for (u64 n = ctx->pos > first ? ctx->pos - first : 0; n < machine.harts; n++) {
        snprintf(name, sizeof(name), "cpu%lu", n);
        if (!proc_emit(ctx, name, proc_ino(dir, &hart_entry, (int)n), DT_DIR, first + n + 1))
            return false;
    }
    return true;
}

static const struct proc_dir_ops harts_ops = {.lookup = lookup_hart, .emit = emit_harts};

static const struct proc_entry cpu_entries[] = {
    PROC_FILE("kernel_max", 0444, show_kernel_max), PROC_FILE("offline", 0444, show_offline),
    PROC_FILE("online", 0444, show_harts),          PROC_FILE("possible", 0444, show_harts),
    PROC_FILE("present", 0444, show_harts),         {0},
};
static const struct proc_entry system_devices[] = {
    {.name = "cpu", .mode = S_IFDIR | 0555, .children = cpu_entries, .dir = &harts_ops}, {0}};
static const struct proc_entry device_entries[] = {PROC_DIRECTORY("system", system_devices), {0}};
#define KHUGEPAGED_ENTRY(name_, field_)                                                       \
    {                                                                                         \
        .name = name_, .mode = S_IFREG | 0644, .show = show_##field_, .write = write_##field_ \
    }
static const struct proc_entry khugepaged_entries[] = {
    KHUGEPAGED_ENTRY("alloc_sleep_millisecs", alloc_sleep_ms),
    KHUGEPAGED_ENTRY("defrag", defrag),
    PROC_FILE("full_scans", 0444, show_full_scans),
    KHUGEPAGED_ENTRY("max_ptes_none", max_ptes_none),
    KHUGEPAGED_ENTRY("max_ptes_shared", max_ptes_shared),
    KHUGEPAGED_ENTRY("max_ptes_swap", max_ptes_swap),
    PROC_FILE("pages_collapsed", 0444, show_pages_collapsed),
    KHUGEPAGED_ENTRY("pages_to_scan", pages_to_scan),
    KHUGEPAGED_ENTRY("scan_sleep_millisecs", scan_sleep_ms),
    {0},
};
static const struct proc_entry huge_page_entries[] = {
    {.name = "defrag", .mode = S_IFREG | 0644, .show = show_effort, .write = write_effort},
    {.name = "enabled", .mode = S_IFREG | 0644, .show = show_huge_pages, .write = write_huge_pages},
    PROC_FILE("hpage_pmd_size", 0444, show_huge_page_size),
    PROC_DIRECTORY("khugepaged", khugepaged_entries),
    {.name = "shmem_enabled", .mode = S_IFREG | 0644, .show = show_shared_huge_pages, .write = write_shared_huge_pages},
    {.name = "use_zero_page",
     .mode = S_IFREG | 0644,
     .show = show_no_huge_zero_page,
     .write = write_no_huge_zero_page},
    {0},
};
static const struct proc_entry mm_entries[] = {PROC_DIRECTORY("transparent_hugepage", huge_page_entries), {0}};
static const struct proc_entry kernel_entries[] = {PROC_DIRECTORY("mm", mm_entries), {0}};
static const struct proc_entry top_entries[] = {
    PROC_DIRECTORY("devices", device_entries), PROC_DIRECTORY("kernel", kernel_entries), {0}};
static const struct proc_entry root_entry = {.name = "", .mode = S_IFDIR | 0555, .children = top_entries};

static int sysfs_mount(struct super *super, const char *options) { return proc_mount_tree(super, &root_entry); }

static struct fs_type sysfs_type = {.name = "sysfs", .magic = SYSFS_MAGIC, .mount = sysfs_mount};

void sysfs_init(void) { fs_register(&sysfs_type); }
