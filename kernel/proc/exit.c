/*
 * The end of a thread, and with the last one of its process (exit(2), exit_group(2)).
 *
 *   task_exit: gives everything back that it refers to -> leaves the counts -> dead
 *     thread that is not the leader: takes itself out of the process and is buried
 *     leader: stays as the process's zombie
 *     last one: the process is a zombie: children go to init (or a subreaper), groups may be orphaned, the parent is
 *     told; if the parent does not want to know, it is released at once
 */
#include "fs/vfs.h"
#include "proc/internal.h"
#include "vm/kmalloc.h"
#include "vm/space.h"
#include "vm/vmtrap.h"

#define STATUS_SIGNAL(code) ((code)&0x7f)
#define STATUS_EXIT(code) (((code) >> 8) & 0xff)

/* ---- telling the parent ---- */

void vfork_put(struct vfork *v)
{
    if (atomic_sub(&v->refs, 1) == 0)
        kfree(v);
}

/* The parent of a vfork goes on: the child has its own space now, or none. */
void vfork_release(struct task *t)
{
    struct vfork *v = t->vfork;

    if (v == NULL)
        return;
    t->vfork = NULL;
    store_release(&v->done, true);
    wake_all(&v->wait);
    vfork_put(v);
}

void notify_parent_locked(struct process *p, int code, int status)
{
    struct process *parent = p->parent;
    struct siginfo info = {.signo = SIGCHLD, .code = code};
    bool wants = true;

    info.child.pid = p->pid->number;
    info.child.uid = p->leader->thread.cred->uid;
    info.child.status = status;
    info.child.user_ticks = (s64)(p->dead_threads.time.user_ns / (NSEC_PER_SEC / 100));
    info.child.system_ticks = (s64)(p->dead_threads.time.system_ns / (NSEC_PER_SEC / 100));
    spin_lock(&parent->signal_lock);
    if (code == CLD_STOPPED || code == CLD_CONTINUED)
        wants = !(parent->sighand->action[SIGCHLD - 1].flags & SA_NOCLDSTOP);
    if (wants)
        signal_queue_locked(parent, NULL, &info, NULL);
    spin_unlock(&parent->signal_lock);
    wake_all(&parent->wait_children);
}

/* True if the parent asks not to be told of its children's ends: they are not to become zombies (sigaction(2),
 * SA_NOCLDWAIT). */
static bool parent_does_not_wait(const struct process *p)
{
    struct process *parent = p->parent;
    struct sigaction action;

    spin_lock(&parent->signal_lock); /* execve replaces sighand under it */
    spin_lock(&parent->sighand->lock);
    action = parent->sighand->action[SIGCHLD - 1];
    spin_unlock(&parent->sighand->lock);
    spin_unlock(&parent->signal_lock);
    return p->exit_signal == SIGCHLD && (action.handler == SIG_IGN || (action.flags & SA_NOCLDWAIT));
}

/* P has become a zombie, or a zombie has got a new parent. True: it shall be released at once. => task_lock */
static bool tell_of_death(struct process *p)
{
    bool unwanted = parent_does_not_wait(p);
    int code = p->exit_code;

    if (p->exit_signal == SIGCHLD) {
        notify_parent_locked(p, STATUS_SIGNAL(code) ? CLD_KILLED : CLD_EXITED,
                             STATUS_SIGNAL(code) ? STATUS_SIGNAL(code) : STATUS_EXIT(code));
    } else if (p->exit_signal != 0) {
        struct siginfo info = {.signo = p->exit_signal, .code = SI_KERNEL};

        signal_send(p->parent, NULL, &info);
    }
    wake_all(&p->parent->wait_children);
    return unwanted;
}

/* ---- the process ---- */

void process_release(struct process *p)
{
    struct task *leader = p->leader;

    ASSERT(spin_is_locked(&task_lock) && p->is_zombie && p->n_threads == 1);
    list_remove(&p->sibling_link);
    list_remove(&p->all_link);
    group_leave(p);
    session_leave(p);
    store_release(&p->is_reaped, true);
    wake_all(&p->ended);
    p->parent = NULL;
    p->pid = NULL;
    spin_lock(&p->signal_lock);
    p->leader = NULL;
    spin_unlock(&p->signal_lock);
    task_release(leader);
    task_bury(leader);
}

/* Who gets the children of P: the nearest living subreaper above, else init. */
static struct process *find_reaper(struct process *p)
{
    for (struct process *a = p->parent; a != NULL; a = a->parent)
        if (a->is_subreaper && a->n_live > 0)
            return a;
    return init_process;
}

static void send_parent_death_signals(struct process *child)
{
    struct task *t;

    list_for_each(t, &child->threads, thread_link) {
        if (t->parent_death_signal != 0) {
            struct siginfo info = {.signo = t->parent_death_signal, .code = SI_USER};

            signal_send(child, t, &info);
        }
    }
}

static void give_children_away(struct process *p)
{
    struct process *child, *next, *reaper = find_reaper(p);

    list_for_each_safe(child, next, &p->children, sibling_link) {
        list_remove(&child->sibling_link);
        list_add_tail(&reaper->children, &child->sibling_link);
        child->parent = reaper;
        child->exit_signal = SIGCHLD;
        send_parent_death_signals(child);
        if (child->is_zombie) {
            if (tell_of_death(child))
                process_release(child);
        } else {
            group_check_orphaned_child(child, p);
        }
    }
}

/* The last thread of P is dead. => task_lock */
static void process_dies(struct process *p)
{
    give_children_away(p);
    group_check_orphaned_by_exit(p);
    store_release(&p->is_zombie, true);
    wake_all(&p->ended);
    if (tell_of_death(p))
        process_release(p);
}

/* ---- the thread ---- */

static void leave_space(struct task *t)
{
    struct space *space = t->thread.space;
    u64 flags;

    if (space == NULL)
        return;
    atomic_or(&t->thread.flags, THREAD_LEAVING);
    futex_exit(t);
    vmtrap_drop(&t->thread);
    flags = spin_lock_irqsave(&task_lock);
    t->is_exiting = true;
    space_switch_current(NULL);
    vfork_release(t);
    spin_unlock_irqrestore(&task_lock, flags);
    space_put(space);
}

static void leave_files(struct task *t)
{
    struct fd_table *files = t->thread.files;
    struct fs_context *fs = t->thread.fs;
    u64 flags = spin_lock_irqsave(&task_lock);

    t->thread.files = NULL;
    t->thread.fs = NULL;
    spin_unlock_irqrestore(&task_lock, flags);
    if (files != NULL)
        fd_table_put(files);
    if (fs != NULL)
        fs_context_put(fs);
}

/* Its peak memory and faults stay on record while the space is still there. */
void record_space_usage(struct task *t)
{
    struct process *p = t->process;
    struct space_stats stats;
    struct usage usage = {0};
    u64 flags;

    space_stats(t->thread.space, &stats);
    usage.max_rss = stats.peak_rss;
    usage.minor_faults = stats.minor_faults;
    usage.major_faults = stats.major_faults;
    flags = spin_lock_irqsave(&p->signal_lock);
    process_add_usage(&p->dead_threads, &usage);
    spin_unlock_irqrestore(&p->signal_lock, flags);
}

/* Leaves the counts of living threads; true for the last one of the process. */
static bool leave_process(struct task *t, int code)
{
    struct process *p = t->process;
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    bool is_last, tell_stop;

    t->is_exiting = true;
    is_last = --p->n_live == 0;
    if (!p->is_group_exit && t == p->leader)
        p->exit_code = code;
    tell_stop = stop_leave(t);
    if (!is_last && (p->pending.set & ~t->blocked)) { /* a signal for anybody, which woke this thread */
        struct task *other;

        list_for_each(other, &p->threads, thread_link) {
            if (!other->is_exiting)
                signal_wake(other, false);
        }
    }
    spin_unlock_irqrestore(&p->signal_lock, flags);
    if (tell_stop)
        stop_notify_parent(p, CLD_STOPPED);
    return is_last;
}

static void count_time(struct task *t)
{
    struct process *p = t->process;
    struct usage usage;

    task_usage(t, &usage);
    spin_lock(&p->signal_lock);
    process_add_usage(&p->dead_threads, &usage);
    t->is_counted = true;
    spin_unlock(&p->signal_lock);
}

/* One thread of P is none of its user's any more. => task_lock */
static void leave_user(struct process *p)
{
    spin_lock(&p->signal_lock);
    store_relaxed(&p->n_undead, p->n_undead - 1);
    atomic_sub(&p->user->processes, 1);
    spin_unlock(&p->signal_lock);
}

static void end_of_init(const struct process *p)
{
    int code = p->exit_code;

    if (STATUS_SIGNAL(code))
        panic("init was killed by signal %d", STATUS_SIGNAL(code));
    panic("init exited with status %d", STATUS_EXIT(code));
}

void task_exit(int code)
{
    struct task *t = current_task();
    struct process *p = t->process;
    bool is_last, is_leader = t == p->leader;

    proc_reap_dead();
    t->restart.fn = NULL;
    is_last = leave_process(t, code);
    if (is_last) {
        if (p == init_process)
            end_of_init(p);
        itimers_stop(p);
        ptimers_delete_all(p);
        record_space_usage(t);
    }
    leave_space(t);
    if (is_last) {
        end_work_put(p->end_work);
        p->end_work = NULL;
    }
    leave_files(t);
    if (is_last)
        session_leader_exits(p);
    arch_fp_drop();

    irq_disable(); /* from here on nothing sleeps; the list of the dead is emptied by others only after this hart has
                      switched */
    spin_lock(&task_lock);
    count_time(t);
    if (!is_leader) {
        task_release(t);
        task_bury(t);
    }
    leave_user(p);
    wake_all(&p->exec_wait);
    if (p->n_undead == 0)
        process_dies(p);
    spin_unlock(&task_lock);
    thread_exit();
}

void process_exit(int code)
{
    struct task *t = current_task();
    struct process *p = t->process;
    u64 flags = spin_lock_irqsave(&p->signal_lock);

    if (p->is_group_exit) {
        code = p->exit_code;
    } else {
        p->is_group_exit = true;
        p->exit_code = code;
        process_kill_threads(p, t);
    }
    spin_unlock_irqrestore(&p->signal_lock, flags);
    task_exit(code);
}
