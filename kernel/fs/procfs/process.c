/* The files of /proc/PID and /proc/PID/task/TID that tell of a process or thread. Source: proc(5); stat and status have
 * files of their own. */
#include "fs/procfs/internal.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/space.h"
#include "vm/uaccess.h"

#define CHUNK 1024
#define MAX_ARGUMENTS (2 * MIB - PAGE_SIZE)
#define OOM_SCORE_ADJ_MAX 1000

/* ---- bytes from the process's own memory ---- */

static bool copy_memory(struct seq *s, struct space *space, u64 start, u64 end)
{
    char chunk[CHUNK];

    while (start < end) {
        ssize_t n = space_read(space, start, chunk, MIN(end - start, sizeof(chunk)), true);

        if (n <= 0)
            return false;
        seq_write(s, chunk, (size_t)n);
        start += (u64)n;
    }
    return true;
}

/* A process that wrote over the NUL behind its arguments has given itself a longer title (setproctitle(3)). */
static void copy_title(struct seq *s, struct space *space, const struct space_layout *l)
{
    size_t start = s->length;

    if (!copy_memory(s, space, l->arg_start, l->arg_end) || s->length == start || s->text[s->length - 1] == '\0')
        return;
    if (l->env_start != l->arg_end || !copy_memory(s, space, l->env_start, l->env_end))
        return;
    s->length = start + strnlen(s->text + start, s->length - start);
}

static int show_cmdline(struct seq *s, const struct proc_target *t)
{
    struct space *space = task_space(t->task);
    const struct space_layout *l;

    if (space == NULL)
        return 0;
    l = space_layout(space);
    if (l->arg_end > l->arg_start && l->arg_end - l->arg_start <= MAX_ARGUMENTS)
        copy_title(s, space, l);
    space_put(space);
    return 0;
}

static int show_environ(struct seq *s, const struct proc_target *t)
{
    const struct space_layout *l;

    if (t->space == NULL)
        return 0;
    l = space_layout(t->space);
    if (l->env_end > l->env_start && l->env_end - l->env_start <= MAX_ARGUMENTS)
        copy_memory(s, t->space, l->env_start, l->env_end);
    return 0;
}

static int show_auxv(struct seq *s, const struct proc_target *t)
{
    const struct space_layout *l;

    if (t->space == NULL)
        return 0;
    l = space_layout(t->space);
    seq_write(s, (const char *)l->auxv, l->n_auxv * sizeof(l->auxv[0]));
    return 0;
}

/* ---- names ---- */

static int show_comm(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%s\n", t->task->thread.name);
    return 0;
}

static int write_comm(const struct proc_target *t, char *text, size_t n)
{
    struct thread *thread = &t->task->thread;

    if (!is_user_thread(current) || t->task->process != current_process())
        return -EINVAL;
    memset(thread->name, 0, sizeof(thread->name));
    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = '\0';
    copy_string(thread->name, text, sizeof(thread->name));
    return 0;
}

/* ---- numbers ---- */

static int show_statm(struct seq *s, const struct proc_target *t)
{
    struct space *space = task_space(t->task);
    struct space_stats m = {0};
    u64 text = 0;

    if (space != NULL) {
        space_stats(space, &m);
        space_count_data(space, &m);
        text = text_pages(space_layout(space));
        space_put(space);
    }
    seq_printf(s, "%lu %lu %lu %lu 0 %lu 0\n", m.total, m.rss_anon + m.rss_file + m.rss_shmem, m.rss_file + m.rss_shmem,
               text, m.data + m.stack);
    return 0;
}

static void show_limit(struct seq *s, u64 value)
{
    if (value == RLIM_INFINITY)
        seq_printf(s, "%-20s ", "unlimited");
    else
        seq_printf(s, "%-20lu ", value);
}

static int show_limits(struct seq *s, const struct proc_target *t)
{
    static const struct {
        const char *name, *unit;
    } lines[RLIMIT_COUNT] = {
        [RLIMIT_CPU] = {"Max cpu time", "seconds"},         [RLIMIT_FSIZE] = {"Max file size", "bytes"},
        [RLIMIT_DATA] = {"Max data size", "bytes"},         [RLIMIT_STACK] = {"Max stack size", "bytes"},
        [RLIMIT_CORE] = {"Max core file size", "bytes"},    [RLIMIT_RSS] = {"Max resident set", "bytes"},
        [RLIMIT_NPROC] = {"Max processes", "processes"},    [RLIMIT_NOFILE] = {"Max open files", "files"},
        [RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},  [RLIMIT_AS] = {"Max address space", "bytes"},
        [RLIMIT_LOCKS] = {"Max file locks", "locks"},       [RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
        [RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"}, [RLIMIT_NICE] = {"Max nice priority", ""},
        [RLIMIT_RTPRIO] = {"Max realtime priority", ""},    [RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
    };

    struct process *p = t->task->process;
    struct rlimits all;
    u64 flags = spin_lock_irqsave(&p->signal_lock);

    all = p->limits;
    spin_unlock_irqrestore(&p->signal_lock, flags);
    seq_printf(s, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (unsigned i = 0; i < RLIMIT_COUNT; i++) {
        seq_printf(s, "%-25s ", lines[i].name);
        show_limit(s, all.limit[i].soft);
        show_limit(s, all.limit[i].hard);
        seq_printf(s, "%-10s\n", lines[i].unit);
    }
    return 0;
}

static int show_personality(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%08x\n", t->task->process->personality);
    return 0;
}

/* Where it sleeps in the kernel: not told, as on a Linux without symbols. */
static int show_wchan(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "0");
    return 0;
}

static int show_cgroup(struct seq *s, const struct proc_target *t)
{
    seq_puts(s, "0::/\n");
    return 0;
}

/* ---- who dies first when memory is out ---- */

static int show_oom_score(struct seq *s, const struct proc_target *t)
{
    struct space *space = task_space(t->task);
    struct space_stats m = {0};
    struct memory_stats all;
    s64 score;

    if (space != NULL) {
        space_stats(space, &m);
        space_put(space);
    }
    memory_stats(&all);
    score = (s64)((m.rss_anon + m.rss_file + m.rss_shmem + m.tables_bytes / PAGE_SIZE) * 1000 / MAX(all.total, (u64)1));
    score += t->task->process->oom_score_adj;
    seq_printf(s, "%ld\n", MAX(score, (s64)0));
    return 0;
}

static int show_oom_score_adj(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%d\n", t->task->process->oom_score_adj);
    return 0;
}

int parse_number(const char *text, long *value)
{
    unsigned long magnitude;
    bool negative;
    char *end;

    while (*text == ' ' || *text == '\t')
        text++;
    negative = *text == '-';
    if (negative)
        text++;
    if (*text < '0' || *text > '9')
        return -EINVAL;
    magnitude = strtoul(text, &end, 10);
    if (magnitude > INT64_MAX) /* also one that no word holds */
        return -EINVAL;
    *value = negative ? -(long)magnitude : (long)magnitude;
    while (*end == ' ' || *end == '\n' || *end == '\t')
        end++;
    return *end == '\0' ? 0 : -EINVAL;
}

static int write_oom_score_adj(const struct proc_target *t, char *text, size_t n)
{
    struct process *process = t->task->process;
    long value;

    if (parse_number(text, &value) != 0 || value < -OOM_SCORE_ADJ_MAX || value > OOM_SCORE_ADJ_MAX)
        return -EINVAL;
    if (value < process->oom_score_adj && !capable(current->cred, CAP_SYS_RESOURCE))
        return -EACCES;
    store_relaxed(&process->oom_score_adj, (int)value);
    return 0;
}

#ifdef DEBUG
/* vm/inject.h */
static int show_fail_nth(struct seq *s, const struct proc_target *t)
{
    seq_printf(s, "%u\n", load_relaxed(&t->task->thread.fail_nth));
    return 0;
}

static int write_fail_nth(const struct proc_target *t, char *text, size_t n)
{
    long value;

    (void)n;
    if (parse_number(text, &value) != 0 || value < 0 || value > 1000000)
        return -EINVAL;
    store_relaxed(&t->task->thread.fail_nth, (unsigned)value);
    return 0;
}
#define DEBUG_ENTRIES {.name = "fail-nth", .mode = S_IFREG | 0600, .show = show_fail_nth, .write = write_fail_nth},
#else
#define DEBUG_ENTRIES
#endif

/* ---- the tables: what processes and single threads have alike, and what only processes have ---- */

#define GUARDED_FILE(name_, permissions, show_)                                              \
    {                                                                                        \
        .name = name_, .mode = S_IFREG | (permissions), .flags = PROC_GUARDED, .show = show_ \
    }
#define SPACE_FILE(name_, permissions, show_)                                                             \
    {                                                                                                     \
        .name = name_, .mode = S_IFREG | (permissions), .flags = PROC_GUARDED | PROC_SPACE, .show = show_ \
    }
#define SPACE_PARTS(name_, show_)                                                                     \
    {                                                                                                 \
        .name = name_, .mode = S_IFREG | 0444, .flags = PROC_GUARDED | PROC_SPACE, .show_part = show_ \
    }
#define WRITABLE_FILE(name_, show_, write_)                                   \
    {                                                                         \
        .name = name_, .mode = S_IFREG | 0644, .show = show_, .write = write_ \
    }
#define GUARDED_LINK(name_, read_, follow_)                                                                 \
    {                                                                                                       \
        .name = name_, .mode = S_IFLNK | 0777, .flags = PROC_GUARDED, .read_link = read_, .follow = follow_ \
    }

/* clang-format off: a line an entry */
#define COMMON_ENTRIES                                                                                              \
    SPACE_FILE("auxv", 0400, show_auxv), PROC_FILE("cgroup", 0444, show_cgroup),                                    \
        {.name = "clear_refs", .mode = S_IFREG | 0200, .write = write_clear_refs},                                  \
        PROC_FILE("cmdline", 0444, show_cmdline), WRITABLE_FILE("comm", show_comm, write_comm),                     \
        GUARDED_LINK("cwd", read_cwd_link, follow_cwd), SPACE_FILE("environ", 0400, show_environ),                  \
        GUARDED_LINK("exe", read_exe_link, follow_exe), {.name = "fd", .mode = S_IFDIR | 0500, .dir = &fd_dir_ops}, \
        {.name = "fdinfo", .mode = S_IFDIR | 0500, .dir = &fdinfo_dir_ops}, PROC_FILE("limits", 0444, show_limits), \
        SPACE_PARTS("maps", show_maps), {.name = "mem", .mode = S_IFREG | 0600, .file_ops = &proc_mem_ops},         \
        PROC_FILE("mountinfo", 0444, show_mountinfo), PROC_FILE("mounts", 0444, show_mounts),                       \
        PROC_DIRECTORY("net", net_entries),                                                                         \
        PROC_FILE("oom_score", 0444, show_oom_score),                                                               \
        {.name = "pagemap", .mode = S_IFREG | 0400, .file_ops = &proc_pagemap_ops},                                 \
        WRITABLE_FILE("oom_score_adj", show_oom_score_adj, write_oom_score_adj),                                    \
        GUARDED_FILE("personality", 0400, show_personality), GUARDED_LINK("root", read_root_link, follow_root),     \
        SPACE_PARTS("smaps", show_smaps), SPACE_FILE("smaps_rollup", 0444, show_smaps_rollup),                      \
        PROC_FILE("stat", 0444, show_process_stat), PROC_FILE("statm", 0444, show_statm),                           \
        PROC_FILE("status", 0444, show_process_status), PROC_FILE("wchan", 0444, show_wchan)
/* clang-format on */

const struct proc_entry process_entries[] = {
    COMMON_ENTRIES,
    {.name = "map_files", .mode = S_IFDIR | 0500, .dir = &map_files_dir_ops},
    {.name = "task", .mode = S_IFDIR | 0555, .dir = &task_dir_ops},
    {0},
};
const struct proc_entry thread_entries[] = {COMMON_ENTRIES, DEBUG_ENTRIES{0}};
