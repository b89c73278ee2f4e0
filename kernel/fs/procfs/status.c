/* /proc/PID/stat and /proc/PID/status, field by field as proc(5) numbers and names them. */
#include "dev/tty.h"
#include "fs/procfs/internal.h"
#include "lib/string.h"
#include "vm/space.h"

#define PRIORITY_OF_NICE_0 20

/* What both files tell; gathered first, since parts of it may go while we look. */
struct facts {
    struct usage usage;
    struct usage children;
    struct space_stats memory;
    struct space_layout layout; /* without the file */
    bool has_space, has_huge_pages;
    struct signal_state signals;
};

static void gather(const struct proc_target *t, struct facts *f)
{
    struct process *process = t->task->process;
    struct space *space = task_space(t->task);
    u64 flags;

    memset(f, 0, sizeof(*f));
    if (t->is_thread)
        task_usage(t->task, &f->usage);
    else
        process_usage(process, &f->usage);
    flags = spin_lock_irqsave(&process->signal_lock);
    f->children = process->children_usage;
    spin_unlock_irqrestore(&process->signal_lock, flags);
    task_signal_state(t->task, &f->signals);
    if (space == NULL)
        return;
    f->has_space = true;
    f->has_huge_pages = !space_has_no_huge_pages(space);
    space_stats(space, &f->memory);
    space_count_data(space, &f->memory);
    f->layout = *space_layout(space);
    f->layout.exe = NULL;
    space_put(space);
}

static u64 resident(const struct space_stats *m) { return m->rss_anon + m->rss_file + m->rss_shmem; }

/* Addresses tell where things are in memory: only to those who may trace. */
static void show_stat_addresses(struct seq *s, const struct facts *f, bool may_see)
{
    const struct space_layout *l = &f->layout;

    if (may_see)
        seq_printf(s, " %lu %lu %lu 0 0", l->start_code, l->end_code, l->start_stack);
    else
        seq_puts(s, f->has_space ? " 1 1 0 0 0" : " 0 0 0 0 0");
}

int show_process_stat(struct seq *s, const struct proc_target *t)
{
    struct task *task = t->task;
    struct process *process = task->process;
    struct tty *tty = session_tty(process);
    bool may_see = may_trace(task);
    struct facts f;
    const struct space_layout *l = &f.layout;

    gather(t, &f);
    seq_printf(s, "%d (%s) %c %d %d %d %d %d 0", t->is_thread ? task_tid(task) : process_pid(process),
               task->thread.name, task_state(task), process_parent_id(process), process_group_id(process),
               process_session_id(process), (int)tty_dev(tty), tty_foreground(tty));
    seq_printf(s, " %lu %lu %lu %lu", f.usage.minor_faults, f.children.minor_faults, f.usage.major_faults,
               f.children.major_faults);
    seq_printf(s, " %lu %lu %lu %lu", ns_to_ticks(f.usage.time.user_ns), ns_to_ticks(f.usage.time.system_ns),
               ns_to_ticks(f.children.time.user_ns), ns_to_ticks(f.children.time.system_ns));
    seq_printf(s, " %d %d %u 0 %lu", PRIORITY_OF_NICE_0 + task->thread.nice, task->thread.nice, process->n_threads,
               ns_to_ticks(t->is_thread ? task->start_ns : process->start_ns));
    seq_printf(s, " %lu %lu %lu", f.memory.total * PAGE_SIZE, resident(&f.memory),
               process->limits.limit[RLIMIT_RSS].soft);
    show_stat_addresses(s, &f, may_see);
    seq_printf(s, " %lu %lu %lu %lu", f.signals.pending & INT32_MAX, f.signals.blocked & INT32_MAX,
               f.signals.ignored & INT32_MAX, f.signals.caught & INT32_MAX);
    seq_printf(s, " 0 0 0 %d %u %u %u 0 0 0", t->is_thread ? -1 : process->exit_signal, task->thread.hart->id,
               task->rt_priority, task->policy);
    if (may_see)
        seq_printf(s, " %lu %lu %lu %lu %lu %lu %lu %d\n", l->start_data, l->end_data, l->start_brk, l->arg_start,
                   l->arg_end, l->env_start, l->env_end, process->exit_code);
    else
        seq_puts(s, " 0 0 0 0 0 0 0 0\n");
    return 0;
}

/* ---- status ---- */

static const char *state_name(char state)
{
    switch (state) {
    case 'R':
        return "R (running)";
    case 'S':
        return "S (sleeping)";
    case 'D':
        return "D (disk sleep)";
    case 'T':
        return "T (stopped)";
    case 't':
        return "t (tracing stop)";
    case 'Z':
        return "Z (zombie)";
    default:
        return "X (dead)";
    }
}

static void show_ids(struct seq *s, const struct proc_target *t)
{
    struct cred *cred = task_cred(t->task);
    struct fd_table *files = task_files(t->task);
    unsigned fd_size = 0;

    if (files != NULL) {
        for (int fd = 0; (fd = fd_table_next(files, fd)) >= 0; fd++)
            fd_size = (unsigned)fd + 1;
        fd_table_put(files);
    }
    seq_printf(s, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", cred->uid, cred->euid, cred->suid, cred->fsuid,
               cred->gid, cred->egid, cred->sgid, cred->fsgid);
    seq_printf(s, "FDSize:\t%u\nGroups:\t", ALIGN_UP(MAX(fd_size, 1u), 64u));
    for (unsigned i = 0; i < cred->n_groups; i++)
        seq_printf(s, "%u ", cred->groups[i]);
    seq_puts(s, "\n");
    cred_put(cred);
}

static void show_memory(struct seq *s, const struct facts *f)
{
    const struct space_stats *m = &f->memory;
    u64 text = MIN(text_pages(&f->layout), m->exec);
    const struct {
        const char *name;
        u64 n_pages;
    } lines[] = {
        {"VmPeak", m->peak_total},  {"VmSize", m->total},
        {"VmLck", m->locked},       {"VmPin", 0},
        {"VmHWM", m->peak_rss},     {"VmRSS", resident(m)},
        {"RssAnon", m->rss_anon},   {"RssFile", m->rss_file},
        {"RssShmem", m->rss_shmem}, {"VmData", m->data},
        {"VmStk", m->stack},        {"VmExe", text},
        {"VmLib", m->exec - text},  {"VmPTE", m->tables_bytes / PAGE_SIZE},
        {"VmSwap", m->swap},        {"HugetlbPages", 0},
    };

    for (unsigned i = 0; f->has_space && i < ARRAY_SIZE(lines); i++)
        seq_printf(s, "%s:\t%8lu kB\n", lines[i].name, pages_to_kib(lines[i].n_pages));
}

static void show_signals(struct seq *s, const struct signal_state *g)
{
    seq_printf(s, "SigQ:\t%lu/%lu\n", g->queued, g->queue_limit);
    seq_printf(s, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n", g->pending,
               g->shared_pending, g->blocked, g->ignored, g->caught);
}

static void show_capabilities(struct seq *s, struct task *task)
{
    struct cred *c = task_cred(task);

    seq_printf(s, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\n",
               c->cap_inheritable, c->cap_permitted, c->cap_effective, c->cap_bounding, c->cap_ambient);
    cred_put(c);
    seq_printf(s, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n", task->no_new_privs);
}

/* A bit mask of harts as a list of ranges: "0-3,5". */
static void show_hart_list(struct seq *s, u64 mask)
{
    const char *separator = "";

    for (unsigned first = 0; first < MAX_HARTS; first++) {
        unsigned last = first;

        if (!(mask >> first & 1))
            continue;
        while (last + 1 < MAX_HARTS && (mask >> (last + 1) & 1))
            last++;
        seq_printf(s, first == last ? "%s%u" : "%s%u-%u", separator, first, last);
        separator = ",";
        first = last;
    }
}

int show_process_status(struct seq *s, const struct proc_target *t)
{
    struct task *task = t->task;
    struct process *process = task->process;
    struct fs_context *fs = task_fs(task);
    u64 mask = task->thread.hart_mask & (BIT(machine.harts) - 1);
    struct facts f;

    gather(t, &f);
    seq_puts(s, "Name:\t");
    seq_escaped(s, task->thread.name, "\n\\");
    seq_printf(s, "\nUmask:\t%04o\nState:\t%s\n", fs != NULL ? fs->umask : 0, state_name(task_state(task)));
    if (fs != NULL)
        fs_context_put(fs);
    seq_printf(s, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", process_pid(process),
               t->is_thread ? task_tid(task) : process_pid(process), process_parent_id(process));
    show_ids(s, t);
    show_memory(s, &f);
    seq_printf(s, "CoreDumping:\t0\nTHP_enabled:\t%u\nThreads:\t%u\n", f.has_huge_pages, process->n_threads);
    show_signals(s, &f.signals);
    show_capabilities(s, task);
    seq_printf(s, "Cpus_allowed:\t%02lx\nCpus_allowed_list:\t", mask);
    show_hart_list(s, mask);
    seq_printf(
        s,
        "\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
        f.usage.switches_voluntary, f.usage.switches_forced);
    return 0;
}
