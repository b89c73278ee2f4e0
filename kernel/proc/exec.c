/*
 * execve(2): a process becomes another program.
 *
 *   prepare   open the file, make a space, put strings and segments into it; any failure up to here is the call's error
 *   take over the other threads of the process die; the caller gets the leader's id
 *   commit    the old space goes, signals, files, names, credentials change; a failure from the take-over on kills
 *
 * The new space is written to from outside (space_write) while the old one is still the current one, so arguments are
 * copied straight from old to new.
 */
#include "fs/path.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "lib/syscall.h"
#include "proc/exec.h"
#include "proc/internal.h"
#include "proc/vdso/vdso.h"
#include "vm/vmtrap.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define ADDR_NO_RANDOMIZE 0x0040000 /* personality(2) */

/* ---- prepare ---- */

void exec_discard(struct exec *x)
{
    if (x->space != NULL)
        space_put(x->space);
    if (x->file != NULL)
        file_put_exec(x->file);
    if (x->cred != NULL)
        cred_put(x->cred);
    for (unsigned i = 0; i < x->n_prefix; i++)
        kfree(x->prefix[i]);
    kfree(x->name);
    if (x->page != NULL)
        page_put(address_page(x->page));
    kfree(x->addresses);
    elf_done(&x->elf);
    kfree(x);
}

static int prepare_cred(struct exec *x, bool no_new_privs)
{
    x->cred = cred_copy(current->cred);
    if (x->cred == NULL)
        return -ENOMEM;
    cred_after_exec(x->cred, x->set_uid && !no_new_privs, x->file_uid, x->set_gid && !no_new_privs, x->file_gid);
    return 0;
}

static void fill_layout(struct exec *x)
{
    struct space_layout *l = space_layout(x->space);

    l->start_code = x->program.start_code;
    l->end_code = x->program.end_code;
    l->start_data = x->program.start_data;
    l->end_data = x->program.end_data;
    l->exe = x->file;
    file_get(x->file);
}

static bool wants_executable_stack(const struct exec *x)
{
    return x->elf_error == 0 && elf_wants_executable_stack(&x->elf);
}

int exec_prepare(struct exec *x, int dirfd, const char *name, int at_flags, bool no_new_privs)
{
    int error = exec_open(x, dirfd, name, at_flags);

    if (error == 0)
        error = exec_count_strings(x);
    if (error == 0)
        error = prepare_cred(x, no_new_privs);
    if (error != 0)
        return error;
    x->elf_error = elf_read(&x->elf, x->file, x->head);
    x->space = space_create();
    if (x->space != NULL && current->space != NULL) {
        space_set_no_huge_pages(x->space, space_has_no_huge_pages(current->space));
        space_inherit_exec_gain(x->space, current->space);
    }
    if (x->space == NULL)
        return -ENOMEM;
    space_randomise(x->space, &x->random, !(x->personality & ADDR_NO_RANDOMIZE) || x->set_uid || x->set_gid);
    error = space_set_up_stack(x->space, x->random.stack_top, wants_executable_stack(x));
    if (error == 0)
        error = exec_push_strings(x);
    if (error == 0)
        error = exec_load(x);
    if (error == 0)
        error = exec_push_table(x);
    if (error == 0)
        fill_layout(x);
    return error;
}

/* ---- take over ---- */

/* Kills the other threads and waits for their end. -EAGAIN: the process dies otherwise, or another thread was first. */
static int kill_other_threads(struct task *t)
{
    struct process *p = t->process;
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    int error;

    if (p->is_group_exit || p->exec_task != NULL) {
        spin_unlock_irqrestore(&p->signal_lock, flags);
        return -EAGAIN;
    }
    p->exec_task = t;
    process_kill_threads(p, t);
    spin_unlock_irqrestore(&p->signal_lock, flags);
    error = wait_event_killable(&p->exec_wait, load_relaxed(&p->n_undead) == 1);
    if (error != 0)
        p->exec_task = NULL;
    return error != 0 ? -EAGAIN : 0;
}

/* T, the only thread left, takes the place and the id of the leader, who is dead. => task_lock, signal_lock */
static void become_leader(struct task *t)
{
    struct process *p = t->process;
    struct task *old = p->leader;
    struct pid *own = t->pid;

    list_remove(&old->thread_link);
    p->n_threads--;
    store_relaxed(&old->pid, NULL);
    own->task = NULL;
    pid_put(own);
    t->pid = p->pid;
    p->pid->task = t;
    p->leader = t;
    t->start_ns = old->start_ns;
    task_bury(old);
}

static int take_over(struct task *t)
{
    struct process *p = t->process;
    u64 flags;
    int error;

    if (p->n_threads == 1)
        return 0;
    error = kill_other_threads(t);
    if (error != 0)
        return error;
    flags = spin_lock_irqsave(&task_lock);
    spin_lock(&p->signal_lock);
    if (p->leader != t)
        become_leader(t);
    p->exec_task = NULL;
    p->exit_code = 0;
    spin_unlock(&p->signal_lock);
    spin_unlock_irqrestore(&task_lock, flags);
    proc_reap_dead();
    return 0;
}

/* ---- commit ---- */

/* Actions that other processes do not share, with handlers back to the default. -ENOMEM */
static int reset_actions(struct process *p)
{
    struct sighand *old = p->sighand, *mine;
    u64 flags;

    if (load_relaxed(&old->refs) > 1) {
        mine = sighand_copy(p);
        if (mine == NULL)
            return -ENOMEM;
        flags = spin_lock_irqsave(&p->signal_lock);
        p->sighand = mine;
        spin_unlock_irqrestore(&p->signal_lock, flags);
        sighand_put(old);
    }
    mine = p->sighand;
    flags = spin_lock_irqsave(&mine->lock);
    for (struct sigaction *a = mine->action; a < mine->action + SIGNAL_MAX; a++)
        if ((a->handler | a->flags | a->mask) != 0)
            *a = (struct sigaction){.handler = a->handler == SIG_IGN ? SIG_IGN : SIG_DFL};
    spin_unlock_irqrestore(&mine->lock, flags);
    return 0;
}

void exec_set_comm(struct thread *t, const char *path)
{
    const char *slash = strrchr(path, '/');

    copy_string(t->name, slash != NULL ? slash + 1 : path, sizeof(t->name));
}

static void switch_space(struct exec *x, struct task *t)
{
    struct space *old;
    u64 flags;

    futex_exit(t);
    record_space_usage(t);
    vmtrap_drop(&t->thread);
    flags = spin_lock_irqsave(&task_lock);
    old = space_switch_current(x->space);
    x->space = NULL;
    vfork_release(t);
    spin_unlock_irqrestore(&task_lock, flags);
    space_put(old);
}

void exec_start_registers(struct regs *regs, const struct exec *x)
{
    u64 cause = regs->cause;

    memset(regs, 0, sizeof(*regs));
    regs->pc = x->entry;
    regs->x[REG_SP] = x->sp;
    regs->cause = cause;
}

/* The credentials come before the space they are for: nobody looks into the new space by the old ones' right. Nor may
 * anybody look into the old one who could not, while it is there. Returns whether the new program keeps itself shut. */
static bool commit_cred(struct exec *x, struct task *t)
{
    struct process *p = t->process;
    bool gains_ids = x->cred->euid != current->cred->euid || x->cred->egid != current->cred->egid, is_undumpable;

    if (gains_ids)
        t->parent_death_signal = 0;
    cred_commit(x->cred);
    x->cred = NULL;
    is_undumpable = gains_ids || current->cred->uid != current->cred->euid || current->cred->gid != current->cred->egid;
    if (is_undumpable)
        p->is_undumpable = true;
    return is_undumpable;
}

static void commit_process(const struct exec *x, struct task *t)
{
    struct process *p = t->process;

    p->sigreturn = x->vdso_base + vdso_offset_sigreturn();
    t->altstack = (struct sigaltstack){.flags = 2}; /* SS_DISABLE */
    t->restart.fn = NULL;
    exec_set_comm(&t->thread, x->name);
}

/* From here on the parent may not move the child to another group (setpgid(2), EACCES). Comes before descriptors are
 * closed: parents wait for the end of a pipe to know that exec has happened. */
static void note_exec(struct process *p)
{
    u64 flags = spin_lock_irqsave(&task_lock);

    p->did_exec = true;
    p->exit_signal = SIGCHLD;
    spin_unlock_irqrestore(&task_lock, flags);
}

static int commit(struct exec *x)
{
    struct task *t = current_task();
    int error = take_over(t);
    bool is_undumpable;

    if (error != 0)
        return error;
    note_exec(t->process);
    error = fd_table_unshare_for_exec();
    if (error == 0)
        error = reset_actions(t->process);
    if (error != 0) { /* threads and descriptors are gone: there is no program to return to */
        signal_force_kill(SIGKILL);
        return error;
    }
    ptimers_delete_all(t->process);
    is_undumpable = commit_cred(x, t);
    switch_space(x, t);
    t->process->is_undumpable = is_undumpable;
    commit_process(x, t);
    arch_fp_drop();
    exec_start_registers(thread_regs(&t->thread), x);
    return 0;
}

static long exec(int dirfd, u64 user_path, u64 user_argv, u64 user_envp, int at_flags)
{
    struct task *t = current_task();
    struct user_path path;
    long error = user_path_get(&path, (const char *)user_path);
    struct exec *x;

    if (error != 0)
        return error;
    x = kzalloc(sizeof(*x));
    if (x == NULL) {
        error = -ENOMEM;
    } else if (path.s[0] == '\0' && !(at_flags & AT_EMPTY_PATH)) {
        error = -ENOENT;
    } else {
        x->args.user = user_argv;
        x->environment.user = user_envp;
        x->limits = current->limits;
        x->personality = t->process->personality;
        error = exec_prepare(x, dirfd, path.s, at_flags, t->no_new_privs);
        if (error == 0)
            error = commit(x);
    }
    user_path_put(&path);
    if (x != NULL)
        exec_discard(x);
    return error;
}

DEFINE_SYSCALL(sys_execve) { return exec(AT_FDCWD, a0, a1, a2, 0); }

DEFINE_SYSCALL(sys_execveat)
{
    if (a4 & ~(u64)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    return exec((int)a0, a1, a2, a3, (int)a4);
}
