/*
 * New tasks: fork, vfork, clone and clone3 (clone(2)).
 *
 *   check flags -> task_alloc -> copy or share space, files, fs, process -> link into pids, process, groups (from here
 *   on it can be seen and killed, though it does not run) -> write the ids that user memory wants -> start
 *
 * What a failure leaves behind is undone by discard(); the steps do nothing twice and leave NULL where they did
 * nothing.
 */
#include "fs/fdtable.h"
#include "lib/string.h"
#include "lib/syscall.h"
#include "proc/clone.h"
#include "proc/internal.h"
#include "proc/pidfd.h"
#include "vm/kmalloc.h"
#include "vm/space.h"
#include "vm/uaccess.h"
#include "vm/vmtrap.h"

#define NAMESPACES                                                                                               \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
     CLONE_NEWTIME)

static int check_flags(const struct clone_args *a)
{
    u64 f = a->flags;

    if (f & NAMESPACES)
        return current->cred->euid == 0 ? -EINVAL : -EPERM;
    if (f & CLONE_INTO_CGROUP)
        return -EINVAL;
    if ((f & CLONE_PIDFD) && ((f & CLONE_THREAD) || ((f & CLONE_PARENT_SETTID) && a->pidfd == a->parent_tid)))
        return -EINVAL;
    if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND))
        return -EINVAL;
    if ((f & CLONE_SIGHAND) && !(f & CLONE_VM))
        return -EINVAL;
    if ((f & CLONE_CLEAR_SIGHAND) && (f & CLONE_SIGHAND))
        return -EINVAL;
    if ((f & CLONE_PARENT) && current_process() == init_process)
        return -EINVAL;
    return 0;
}

static bool is_over_process_limit(struct process *p)
{
    const struct cred *c = current->cred;
    struct user *user = user_of(p);
    bool is_over = load_relaxed(&user->processes) >= p->limits.limit[RLIMIT_NPROC].soft && user->uid != 0 &&
                   !capable(c, CAP_SYS_RESOURCE) && !capable(c, CAP_SYS_ADMIN);

    user_put(user);
    return is_over;
}

/* ---- the thread ---- */

static void copy_registers(struct task *child, const struct clone_args *a)
{
    struct regs *regs = thread_regs(&child->thread);

    *regs = *thread_regs(current);
    regs->x[REG_A0] = 0;
    if (a->stack != 0)
        regs->x[REG_SP] = a->stack + a->stack_size;
    if (a->flags & CLONE_SETTLS)
        regs->x[REG_TP] = a->tls;
    arch_fp_give(&child->thread);
    arch_init_user_thread(&child->thread);
}

static void copy_task_state(struct task *child, const struct clone_args *a)
{
    struct task *parent = current_task();

    child->thread.hart_mask = current->hart_mask;
    child->thread.nice = current->nice;
    child->thread.cred = current->cred;
    cred_get(child->thread.cred);
    child->start_ns = time_ns();
    child->blocked = parent->restore_mask ? parent->saved_mask : parent->blocked;
    child->no_new_privs = parent->no_new_privs;
    child->timer_slack = parent->timer_slack;
    child->memory_error_policy = parent->memory_error_policy;
    child->io_priority = parent->io_priority;
    if (parent->reset_on_fork) {
        child->thread.nice = MAX(child->thread.nice, 0);
    } else {
        child->policy = parent->policy;
        child->rt_priority = parent->rt_priority;
    }
    if (!(a->flags & CLONE_VM) || (a->flags & CLONE_VFORK)) {
        child->altstack = parent->altstack;
        vmtrap_inherit(&child->thread);
    }
    if (a->flags & CLONE_CHILD_CLEARTID)
        child->clear_child_tid = (u32 *)a->child_tid;
}

/* => the child has its registers */
static int copy_space(struct task *child, const struct clone_args *a)
{
    const u64 stored[FORK_STORED] = {
        thread_regs(&child->thread)->x[REG_SP],
        a->flags & CLONE_CHILD_SETTID ? a->child_tid : UINT64_MAX,
    };
    struct space *s = current->space;

    if (a->flags & CLONE_VM)
        space_get(s);
    else
        s = space_fork(s, stored);
    if (IS_ERR(s))
        return (int)PTR_ERR(s);
    child->thread.space = s;
    return 0;
}

static int copy_files(struct task *child, u64 flags)
{
    struct fd_table *files = current->files;
    struct fs_context *fs = current->fs;

    if (flags & CLONE_FILES)
        fd_table_get(files);
    else
        files = fd_table_copy(files);
    if (IS_ERR(files))
        return (int)PTR_ERR(files);
    child->thread.files = files;
    if (flags & CLONE_FS)
        fs_context_get(fs);
    else
        fs = fs_context_copy(fs);
    if (fs == NULL || IS_ERR(fs))
        return -ENOMEM;
    child->thread.fs = fs;
    return 0;
}

/* ---- the process ---- */

static void clear_handlers(struct sighand *s)
{
    for (int i = 0; i < SIGNAL_MAX; i++)
        s->action[i] = (struct sigaction){.handler = s->action[i].handler == SIG_IGN ? SIG_IGN : SIG_DFL};
}

static int copy_process(struct task *child, const struct clone_args *a)
{
    struct process *parent = current_process(), *p;
    int error = 0;
    u64 flags;

    if (a->flags & CLONE_THREAD) {
        process_get(parent);
        child->process = parent;
        return 0;
    }
    p = process_alloc();
    if (p == NULL)
        return -ENOMEM;
    child->process = p;
    p->leader = child;
    p->start_ns = child->start_ns;
    p->exit_signal = (int)a->exit_signal;
    p->personality = parent->personality;
    p->oom_score_adj = parent->oom_score_adj;
    p->sigreturn = parent->sigreturn;
    p->is_undumpable = parent->is_undumpable;
    p->user = user_of(parent);
    flags = spin_lock_irqsave(&parent->signal_lock);
    p->limits = parent->limits;
    spin_unlock_irqrestore(&parent->signal_lock, flags);
    if (a->flags & CLONE_SYSVSEM) {
        p->end_work = process_end_work(parent, NULL);
        if (p->end_work == NULL)
            return -ENOMEM;
        atomic_add_relaxed(&p->end_work->refs, 1);
    }
    if (a->flags & CLONE_SIGHAND) {
        atomic_add_relaxed(&parent->sighand->refs, 1);
        p->sighand = parent->sighand;
    } else {
        p->sighand = sighand_copy(parent);
        if (p->sighand == NULL)
            error = -ENOMEM;
        else if (a->flags & CLONE_CLEAR_SIGHAND)
            clear_handlers(p->sighand);
    }
    return error;
}

/* => task_lock */
static void link_process(struct process *p, u64 flags)
{
    struct process *creator = current_process();
    struct process *parent = flags & CLONE_PARENT ? creator->parent : creator;

    if (flags & CLONE_PARENT)
        p->exit_signal = creator->exit_signal;
    p->pid = p->leader->pid;
    p->parent = parent;
    list_add_tail(&parent->children, &p->sibling_link);
    list_add_tail(&all_processes, &p->all_link);
    group_join(p, creator->group);
    session_join(p, creator->session);
}

/* Makes CHILD visible. A pending signal goes first (the call is restarted), so that a new member never escapes a signal
 * to its group.
 * => 0 or -errno */
static int link_task(struct task *child, u64 flags)
{
    struct process *p = child->process, *creator = current_process();
    u64 irq = spin_lock_irqsave(&task_lock);
    struct pid *pid = NULL;
    int error = 0;

    spin_lock(&creator->signal_lock);
    signal_recalculate(current_task());
    if (signal_pending())
        error = -ERESTARTNOINTR;
    if (error == 0) {
        pid = pid_alloc();
        error = IS_ERR(pid) ? (int)PTR_ERR(pid) : 0;
    }
    if (error != 0) {
        spin_unlock(&creator->signal_lock);
        spin_unlock_irqrestore(&task_lock, irq);
        return error;
    }
    child->pid = pid;
    pid->task = child;
    list_add_tail(&p->threads, &child->thread_link);
    p->n_threads++;
    p->n_live++;
    p->n_undead++;
    atomic_add_relaxed(&p->user->processes, 1);
    spin_unlock(&creator->signal_lock);
    if (!(flags & CLONE_THREAD))
        link_process(p, flags);
    store_relaxed(&n_forks, n_forks + 1);
    spin_unlock_irqrestore(&task_lock, irq);
    return 0;
}

/* A child that was never linked. Somebody may have reached its process by the descriptor meanwhile: for him it is dead
 * first. */
static void discard(struct task *child)
{
    struct process *p = child->process;
    u64 flags = spin_lock_irqsave(&task_lock);

    child->is_exiting = true;
    if (p != NULL && p->leader == child)
        p->leader = NULL;
    spin_unlock_irqrestore(&task_lock, flags);
    if (child->thread.space != NULL)
        space_put(child->thread.space);
    if (child->thread.files != NULL)
        fd_table_put(child->thread.files);
    if (child->thread.fs != NULL)
        fs_context_put(child->thread.fs);
    task_put(child);
}

static struct vfork *vfork_create(void)
{
    struct vfork *v = kmalloc(sizeof(*v));

    if (v == NULL)
        return NULL;
    wait_queue_init(&v->wait);
    v->done = false;
    v->refs = 2;
    return v;
}

/* The caller's descriptor for the child. It is made after the child's table was copied, so the child has none. */
static int make_pidfd(const struct task *child, const struct clone_args *a, int *fd)
{
    *fd = pidfd_install(child->process, 0);
    if (*fd < 0)
        return *fd;
    return put_user_u32((u32)*fd, (u32 *)a->pidfd);
}

static struct task *create(const struct clone_args *a, int *error)
{
    struct task *child = task_alloc(current->name);
    int pidfd = -1;

    *error = -ENOMEM;
    if (child == NULL)
        return NULL;
    copy_task_state(child, a);
    copy_registers(child, a);
    *error = copy_space(child, a);
    if (*error == 0)
        *error = copy_files(child, a->flags);
    if (*error == 0)
        *error = copy_process(child, a);
    if (*error == 0 && (a->flags & CLONE_VFORK)) {
        child->vfork = vfork_create();
        *error = child->vfork == NULL ? -ENOMEM : 0;
    }
    if (*error == 0 && (a->flags & CLONE_PIDFD))
        *error = make_pidfd(child, a, &pidfd);
    if (*error == 0) {
        child->thread.limits = &child->process->limits;
        *error = link_task(child, a->flags);
    }
    if (*error == 0)
        return child;
    if (pidfd >= 0)
        fd_close(pidfd);
    kfree(child->vfork);
    discard(child);
    return NULL;
}

static void write_ids(struct task *child, const struct clone_args *a, int tid)
{
    int failed = 0; /* as on Linux, a bad address is not an error here */

    if (a->flags & CLONE_PARENT_SETTID)
        failed |= put_user_u32((u32)tid, (u32 *)a->parent_tid);
    if (a->flags & CLONE_CHILD_SETTID)
        failed |= space_write(child->thread.space, a->child_tid, &tid, sizeof(tid), false) < 0;
    (void)failed;
}

static long clone(const struct clone_args *a)
{
    struct process *p = current_process();
    int error = check_flags(a), tid;
    struct task *child;
    struct vfork *vfork;

    proc_reap_dead();
    if (error != 0)
        return error;
    if (is_over_process_limit(p))
        return -EAGAIN;
    child = create(a, &error);
    if (child == NULL)
        return error;
    tid = child->pid->number;
    vfork = child->vfork;
    write_ids(child, a, tid);
    if (!(a->flags & CLONE_THREAD) && child->process->limits.limit[RLIMIT_CPU].soft != RLIM_INFINITY)
        cpu_limit_start(child->process);
    thread_start(&child->thread);
    if (vfork != NULL) {
        (void)wait_event_killable(&vfork->wait, load_acquire(&vfork->done));
        vfork_put(vfork);
    }
    return tid;
}

DEFINE_SYSCALL(sys_clone)
{
    struct clone_args a = {
        .flags = a0 & 0xffffffff & ~(u64)CSIGNAL,
        .exit_signal = a0 & CSIGNAL,
        .stack = a1,
        .parent_tid = a2,
        .pidfd = a2,
        .tls = a3,
        .child_tid = a4,
    };

    if (a.exit_signal > SIGNAL_MAX)
        a.exit_signal = 0;
    if ((a.flags & CLONE_PIDFD) && (a.flags & CLONE_DETACHED))
        return -EINVAL;
    a.flags &= ~(u64)CLONE_DETACHED; /* was never more than a hint */
    return clone(&a);
}

/* Reads a structure that may be shorter or longer than ours: missing fields are zero, surplus ones must be. */
static int get_clone_args(struct clone_args *a, u64 user, u64 size)
{
    u64 known = MIN(size, sizeof(*a));

    memset(a, 0, sizeof(*a));
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (size < CLONE_ARGS_SIZE_MIN)
        return -EINVAL;
    for (u64 at = known; at < size; at++) {
        u8 byte;

        if (copy_from_user(&byte, (const void *)(user + at), 1) != 0)
            return -EFAULT;
        if (byte != 0)
            return -E2BIG;
    }
    return copy_from_user(a, (const void *)user, known);
}

DEFINE_SYSCALL(sys_clone3)
{
    struct clone_args a;
    int error = get_clone_args(&a, a0, a1);

    if (error != 0)
        return error;
    if ((a.flags & (CLONE_DETACHED | CSIGNAL)) || a.flags >> 34)
        return -EINVAL;
    if (a.exit_signal > SIGNAL_MAX || ((a.flags & (CLONE_THREAD | CLONE_PARENT)) && a.exit_signal != 0))
        return -EINVAL;
    if ((a.stack == 0) != (a.stack_size == 0) || a.stack + a.stack_size < a.stack)
        return -EINVAL;
    if (a.set_tid != 0 || a.set_tid_size != 0)
        return a.set_tid != 0 && a.set_tid_size != 0 && !capable(current->cred, CAP_SYS_ADMIN) ? -EPERM : -EINVAL;
    return clone(&a);
}

DEFINE_SYSCALL(sys_set_tid_address)
{
    current_task()->clear_child_tid = (u32 *)a0;
    return task_tid(current_task());
}

/* Nothing is ever shared but by clone(), so giving up sharing means a copy. */
DEFINE_SYSCALL(sys_unshare)
{
    struct task *t = current_task();
    struct fd_table *files = NULL, *old_files = NULL;
    struct fs_context *fs = NULL, *old_fs = NULL;
    u64 irq;

    if (a0 & NAMESPACES)
        return current->cred->euid == 0 ? -EINVAL : -EPERM;
    if (a0 & ~(u64)(CLONE_FS | CLONE_FILES | CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM))
        return -EINVAL;
    if ((a0 & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)) && t->process->n_threads > 1)
        return -EINVAL;
    if (a0 & CLONE_FILES)
        files = fd_table_copy(current->files);
    if (IS_ERR(files))
        return PTR_ERR(files);
    if ((a0 & CLONE_SYSVSEM) && t->process->n_threads == 1) {
        end_work_put(t->process->end_work);
        t->process->end_work = NULL;
    }
    if (a0 & CLONE_FS) {
        fs = fs_context_copy(current->fs);
        if (fs == NULL || IS_ERR(fs)) {
            if (files != NULL)
                fd_table_put(files);
            return -ENOMEM;
        }
    }
    irq = spin_lock_irqsave(&task_lock);
    if (files != NULL) {
        old_files = current->files;
        current->files = files;
    }
    if (fs != NULL) {
        old_fs = current->fs;
        current->fs = fs;
    }
    spin_unlock_irqrestore(&task_lock, irq);
    if (old_files != NULL)
        fd_table_put(old_files);
    if (old_fs != NULL)
        fs_context_put(old_fs);
    return 0;
}
