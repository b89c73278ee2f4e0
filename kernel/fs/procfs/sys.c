/* /proc/sys: the settings of sysctl(8) that programs ask for. Those that cannot be changed here are read-only. Source:
 * proc(5), proc_sys(5). */
#include "fs/events.h"
#include "fs/notify.h"
#include "fs/procfs/internal.h"
#include "lib/random.h"
#include "lib/string.h"
#include "proc/uname.h"
#include "vm/limits.h"
#include "vm/reclaim.h"
#include "vm/space.h"

/* ---- names ---- */

static int show_constant(struct seq *s, const char *text)
{
    seq_printf(s, "%s\n", text);
    return 0;
}

#define CONSTANT(function, text) \
    static int function(struct seq *s, const struct proc_target *t) { return show_constant(s, text); }

CONSTANT(show_ostype, UNAME_SYSNAME)
CONSTANT(show_osrelease, UNAME_RELEASE)
CONSTANT(show_kernel_version, UNAME_VERSION)
CONSTANT(show_pid_max, "32768")
CONSTANT(show_ngroups_max, "65536")
CONSTANT(show_cap_last_cap, "40")
CONSTANT(show_overflow_id, "65534")
CONSTANT(show_core_pattern, "core")
CONSTANT(show_zero, "0")
CONSTANT(show_one, "1")
CONSTANT(show_printk, "7\t4\t1\t7")
CONSTANT(show_entropy, "256")
CONSTANT(show_msgmax, "8192")
CONSTANT(show_msgmnb, "16384")
CONSTANT(show_msgmni, "32000")
CONSTANT(show_shmall, "18446744073692774399")
CONSTANT(show_shmmni, "4096")
CONSTANT(show_sem, "32000\t1024000000\t500\t32000")
CONSTANT(show_mmap_min_addr, "65536")
CONSTANT(show_swappiness, "60")
CONSTANT(show_dirty_ratio, "20")
CONSTANT(show_dirty_background_ratio, "10")
CONSTANT(show_file_max, "9223372036854775807")
CONSTANT(show_nr_open, "1048576")
CONSTANT(show_pipe_max_size, "1048576")
CONSTANT(show_aio_max, "65536")

static int show_randomize(struct seq *s, const struct proc_target *t)
{
    return show_constant(s, space_is_randomised() ? "2" : "0");
}

static int show_threads_max(struct seq *s, const struct proc_target *t)
{
    struct memory_stats m;

    /* What Linux allows by default: an eighth of memory for kernel stacks. */
    memory_stats(&m);
    seq_printf(s, "%lu\n", m.total * PAGE_SIZE / 8 / KERNEL_STACK_SIZE);
    return 0;
}

static int show_host_name(struct seq *s, enum host_name which)
{
    char name[UNAME_LENGTH + 1];

    host_name_get(which, name);
    return show_constant(s, name);
}

static int write_host_name(enum host_name which, const char *text)
{
    size_t n = strlen(text);

    if (!capable(current->cred, CAP_SYS_ADMIN))
        return -EPERM;
    if (n > 0 && text[n - 1] == '\n')
        n--;
    if (n > UNAME_LENGTH)
        return -EINVAL;
    host_name_set(which, text, n);
    return 0;
}

static int show_hostname(struct seq *s, const struct proc_target *t) { return show_host_name(s, HOST_NAME); }
static int write_hostname(const struct proc_target *t, char *text, size_t n)
{
    return write_host_name(HOST_NAME, text);
}
static int show_domainname(struct seq *s, const struct proc_target *t) { return show_host_name(s, HOST_DOMAIN); }
static int write_domainname(const struct proc_target *t, char *text, size_t n)
{
    return write_host_name(HOST_DOMAIN, text);
}

/* ---- random ---- */

/* RFC 9562, version 4. */
static void show_uuid_bytes(struct seq *s, const u8 random[16])
{
    for (unsigned i = 0; i < 16; i++) {
        u8 byte = random[i];

        if (i == 6)
            byte = (byte & 0x0f) | 0x40;
        if (i == 8)
            byte = (byte & 0x3f) | 0x80;
        seq_printf(s, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", byte);
    }
    seq_puts(s, "\n");
}

static int show_uuid(struct seq *s, const struct proc_target *t)
{
    u8 random[16];

    random_bytes(random, sizeof(random));
    show_uuid_bytes(s, random);
    return 0;
}

static int show_boot_id(struct seq *s, const struct proc_target *t)
{
    static u8 id[16];
    static bool is_drawn;
    static struct spinlock lock;

    spin_lock(&lock);
    if (!is_drawn)
        random_bytes(id, sizeof(id));
    is_drawn = true;
    spin_unlock(&lock);
    show_uuid_bytes(s, id);
    return 0;
}

/* ---- files ---- */

static int show_file_nr(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%lu\t0\t9223372036854775807\n", file_count());
    return 0;
}

static int show_inode_nr(struct seq *s, const struct proc_target *t)
{
    u64 cached, in_use;

    inode_counts(&cached, &in_use);
    seq_printf(s, "%lu\t%lu\n", cached, cached - in_use);
    return 0;
}

/* ---- vm ---- */

static int show_number(struct seq *s, u64 value)
{
    seq_printf(s, "%lu\n", value);
    return 0;
}

static int parse_limited(const char *text, long max, long *value)
{
    return parse_number(text, value) != 0 || *value < 0 || *value > max ? -EINVAL : 0;
}

/* The words of vm_settings that are plain numbers. */
#define VM_SETTING(name, max)                                                      \
    static int show_##name(struct seq *s, const struct proc_target *t)             \
    {                                                                              \
        return show_number(s, load_relaxed(&vm_settings.name));                    \
    }                                                                              \
    static int write_##name(const struct proc_target *t, char *text, size_t n)     \
    {                                                                              \
        long value;                                                                \
        int error = parse_limited(text, max, &value);                              \
                                                                                   \
        if (error == 0)                                                            \
            store_relaxed(&vm_settings.name, (__typeof__(vm_settings.name))value); \
        return error;                                                              \
    }
VM_SETTING(max_map_count, INT32_MAX)
VM_SETTING(page_cluster, 31)
VM_SETTING(user_reserve_kbytes, INT64_MAX)
VM_SETTING(admin_reserve_kbytes, INT64_MAX)

static int show_overcommit_memory(struct seq *s, const struct proc_target *t)
{
    return show_number(s, load_relaxed(&vm_settings.overcommit_memory));
}
static int write_overcommit_memory(const struct proc_target *t, char *text, size_t n)
{
    long value;
    int error = parse_limited(text, OVERCOMMIT_NEVER, &value);

    if (error == 0)
        vm_set_overcommit((enum overcommit_mode)value);
    return error;
}

/* The ratio and the number of kilobytes take each other's place. */
static int show_overcommit_ratio(struct seq *s, const struct proc_target *t)
{
    return show_number(s, load_relaxed(&vm_settings.overcommit_ratio));
}
static int write_overcommit_ratio(const struct proc_target *t, char *text, size_t n)
{
    long value;
    int error = parse_limited(text, INT32_MAX, &value);

    if (error != 0)
        return error;
    store_relaxed(&vm_settings.overcommit_kbytes, 0);
    store_relaxed(&vm_settings.overcommit_ratio, (unsigned)value);
    return 0;
}
static int show_overcommit_kbytes(struct seq *s, const struct proc_target *t)
{
    return show_number(s, load_relaxed(&vm_settings.overcommit_kbytes));
}
static int write_overcommit_kbytes(const struct proc_target *t, char *text, size_t n)
{
    long value;
    int error = parse_limited(text, INT64_MAX, &value);

    if (error != 0)
        return error;
    store_relaxed(&vm_settings.overcommit_kbytes, (u64)value);
    store_relaxed(&vm_settings.overcommit_ratio, 0);
    return 0;
}

/* What nobody but the kernel gets. */
static int show_min_free(struct seq *s, const struct proc_target *t)
{
    return show_number(s, page_reserve() * (PAGE_SIZE / KIB));
}

/* What may be told to stay off. */
static int write_only_zero(const struct proc_target *t, char *text, size_t n)
{
    long value;

    return parse_limited(text, 0, &value);
}

/* Nothing is set aside: whoever asks for pages reads that he got none, as where memory is too full. */
static int write_no_huge_pages(const struct proc_target *t, char *text, size_t n)
{
    long value;

    return parse_limited(text, INT64_MAX, &value);
}

static int write_drop_caches(const struct proc_target *t, char *text, size_t n)
{
    unsigned which = (unsigned)text[0] - '0';

    if (which < 1 || which > 7 || (text[1] != '\0' && text[1] != '\n'))
        return -EINVAL;
    drop_caches(which & (DROP_PAGES | DROP_OTHERS));
    return 0;
}

/* ---- memory ---- */

static int show_unprivileged_userfaultfd(struct seq *s, const struct proc_target *t)
{
    return show_constant(s, userfaultfd_is_for_all ? "1" : "0");
}

static int write_unprivileged_userfaultfd(const struct proc_target *t, char *text, size_t n)
{
    if ((text[0] != '0' && text[0] != '1') || (text[1] != '\0' && text[1] != '\n'))
        return -EINVAL;
    userfaultfd_is_for_all = text[0] == '1';
    return 0;
}

/* ---- POSIX message queues ---- */

struct mqueue_settings mqueue_settings = {
    .msg_default = 10, .msg_max = 10, .msgsize_default = 8192, .msgsize_max = 8192, .queues_max = 256};

#define MQUEUE_SETTING(name, min, max)                                                \
    static int show_mqueue_##name(struct seq *s, const struct proc_target *t)         \
    {                                                                                 \
        return show_number(s, load_relaxed(&mqueue_settings.name));                   \
    }                                                                                 \
    static int write_mqueue_##name(const struct proc_target *t, char *text, size_t n) \
    {                                                                                 \
        long value;                                                                   \
        int error = parse_limited(text, max, &value);                                 \
                                                                                      \
        if (error != 0 || value < (min))                                              \
            return -EINVAL;                                                           \
        store_relaxed(&mqueue_settings.name, (unsigned)value);                        \
        return 0;                                                                     \
    }
MQUEUE_SETTING(msg_default, 1, 65536)
MQUEUE_SETTING(msg_max, 1, 65536)
MQUEUE_SETTING(msgsize_default, 128, 16777216)
MQUEUE_SETTING(msgsize_max, 128, 16777216)
MQUEUE_SETTING(queues_max, 0, INT32_MAX)

/* ---- inotify ---- */

#define INOTIFY_SETTING(name)                                                  \
    static int show_##name(struct seq *s, const struct proc_target *t)         \
    {                                                                          \
        return show_number(s, load_relaxed(&inotify_limits.name));             \
    }                                                                          \
    static int write_##name(const struct proc_target *t, char *text, size_t n) \
    {                                                                          \
        long value;                                                            \
        int error = parse_limited(text, INT32_MAX, &value);                    \
                                                                               \
        if (error == 0)                                                        \
            store_relaxed(&inotify_limits.name, (unsigned)value);              \
        return error;                                                          \
    }
INOTIFY_SETTING(max_queued_events)
INOTIFY_SETTING(max_user_instances)
INOTIFY_SETTING(max_user_watches)

static const struct proc_entry random_entries[] = {
    PROC_FILE("boot_id", 0444, show_boot_id),
    PROC_FILE("entropy_avail", 0444, show_entropy),
    PROC_FILE("poolsize", 0444, show_entropy),
    PROC_FILE("uuid", 0444, show_uuid),
    {0},
};

static const struct proc_entry kernel_entries[] = {
    PROC_FILE("cap_last_cap", 0444, show_cap_last_cap),
    PROC_FILE("core_pattern", 0444, show_core_pattern),
    {.name = "domainname", .mode = S_IFREG | 0644, .show = show_domainname, .write = write_domainname},
    PROC_FILE("dmesg_restrict", 0444, show_zero),
    {.name = "hostname", .mode = S_IFREG | 0644, .show = show_hostname, .write = write_hostname},
    PROC_FILE("kptr_restrict", 0444, show_one),
    PROC_FILE("msgmax", 0444, show_msgmax),
    PROC_FILE("msgmnb", 0444, show_msgmnb),
    PROC_FILE("msgmni", 0444, show_msgmni),
    PROC_FILE("ngroups_max", 0444, show_ngroups_max),
    PROC_FILE("osrelease", 0444, show_osrelease),
    PROC_FILE("ostype", 0444, show_ostype),
    PROC_FILE("overflowgid", 0444, show_overflow_id),
    PROC_FILE("overflowuid", 0444, show_overflow_id),
    PROC_FILE("pid_max", 0444, show_pid_max),
    PROC_FILE("printk", 0444, show_printk),
    PROC_DIRECTORY("random", random_entries),
    PROC_FILE("randomize_va_space", 0444, show_randomize),
    PROC_FILE("sem", 0444, show_sem),
    PROC_FILE("shmall", 0444, show_shmall),
    PROC_FILE("shmmax", 0444, show_shmall),
    PROC_FILE("shmmni", 0444, show_shmmni),
    PROC_FILE("tainted", 0444, show_zero), /* an oops would have been a panic */
    PROC_FILE("threads-max", 0444, show_threads_max),
    PROC_FILE("version", 0444, show_kernel_version),
    {0},
};

#define SETTING(name_)                                                                       \
    {                                                                                        \
        .name = #name_, .mode = S_IFREG | 0644, .show = show_##name_, .write = write_##name_ \
    }

static const struct proc_entry vm_entries[] = {
    SETTING(admin_reserve_kbytes),
    PROC_FILE("dirty_background_ratio", 0444, show_dirty_background_ratio),
    PROC_FILE("dirty_ratio", 0444, show_dirty_ratio),
    {.name = "drop_caches", .mode = S_IFREG | 0200, .write = write_drop_caches},
    SETTING(max_map_count),
    PROC_FILE("min_free_kbytes", 0444, show_min_free),
    PROC_FILE("mmap_min_addr", 0444, show_mmap_min_addr),
    {.name = "nr_hugepages", .mode = S_IFREG | 0644, .show = show_zero, .write = write_no_huge_pages},
    SETTING(overcommit_kbytes),
    SETTING(overcommit_memory),
    SETTING(overcommit_ratio),
    {.name = "panic_on_oom", .mode = S_IFREG | 0644, .show = show_zero, .write = write_only_zero},
    {.name = "page-cluster", .mode = S_IFREG | 0644, .show = show_page_cluster, .write = write_page_cluster},
    PROC_FILE("swappiness", 0444, show_swappiness),
    {.name = "unprivileged_userfaultfd",
     .mode = S_IFREG | 0644,
     .show = show_unprivileged_userfaultfd,
     .write = write_unprivileged_userfaultfd},
    SETTING(user_reserve_kbytes),
    {0},
};

#define MQUEUE_ENTRY(name_)                                                                                \
    {                                                                                                      \
        .name = #name_, .mode = S_IFREG | 0644, .show = show_mqueue_##name_, .write = write_mqueue_##name_ \
    }

static const struct proc_entry mqueue_entries[] = {
    MQUEUE_ENTRY(msg_default), MQUEUE_ENTRY(msg_max),    MQUEUE_ENTRY(msgsize_default),
    MQUEUE_ENTRY(msgsize_max), MQUEUE_ENTRY(queues_max), {0},
};

static const struct proc_entry inotify_entries[] = {
    SETTING(max_queued_events),
    SETTING(max_user_instances),
    SETTING(max_user_watches),
    {0},
};

static const struct proc_entry fs_entries[] = {
    PROC_FILE("aio-max-nr", 0444, show_aio_max),
    PROC_FILE("file-max", 0444, show_file_max),
    PROC_FILE("file-nr", 0444, show_file_nr),
    PROC_FILE("inode-nr", 0444, show_inode_nr),
    PROC_DIRECTORY("inotify", inotify_entries),
    PROC_DIRECTORY("mqueue", mqueue_entries),
    PROC_FILE("nr_open", 0444, show_nr_open),
    PROC_FILE("pipe-max-size", 0444, show_pipe_max_size),
    PROC_FILE("protected_hardlinks", 0444, show_zero),
    PROC_FILE("protected_symlinks", 0444, show_zero),
    {0},
};

const struct proc_entry sys_entries[] = {
    PROC_DIRECTORY("fs", fs_entries),
    PROC_DIRECTORY("kernel", kernel_entries),
    PROC_DIRECTORY("vm", vm_entries),
    {0},
};
