/*
 * The first process: made from nothing by the thread that boots the kernel, with the console as its descriptors. From
 * then on processes come from clone.c only.
 */
#include "fs/path.h"
#include "fs/vfs.h"
#include "lib/print.h"
#include "proc/exec.h"
#include "proc/futex.h"
#include "proc/internal.h"
#include "proc/signalfd.h"
#include "proc/vdso/vdso.h"
#include "vm/kmalloc.h"
#include "vm/userfault.h"

static int open_console(void)
{
    for (int fd = 0; fd < 3; fd++) {
        int got = fd_give(file_open("/dev/console", O_RDWR | O_NOCTTY, 0), false);

        if (got < 0)
            return got;
    }
    return 0;
}

static const struct rlimits initial_limits = {
    .limit =
        {
            [RLIMIT_CPU] = {RLIM_INFINITY, RLIM_INFINITY},
            [RLIMIT_FSIZE] = {RLIM_INFINITY, RLIM_INFINITY},
            [RLIMIT_DATA] = {RLIM_INFINITY, RLIM_INFINITY},
            [RLIMIT_STACK] = {8 * MIB, RLIM_INFINITY},
            [RLIMIT_CORE] = {0, RLIM_INFINITY},
            [RLIMIT_RSS] = {RLIM_INFINITY, RLIM_INFINITY},
            [RLIMIT_NPROC] = {PID_MAX / 2, PID_MAX / 2},
            [RLIMIT_NOFILE] = {1024, 4096},
            [RLIMIT_MEMLOCK] = {8 * MIB, 8 * MIB},
            [RLIMIT_AS] = {RLIM_INFINITY, RLIM_INFINITY},
            [RLIMIT_LOCKS] = {RLIM_INFINITY, RLIM_INFINITY},
            [RLIMIT_SIGPENDING] = {PID_MAX / 2, PID_MAX / 2},
            [RLIMIT_MSGQUEUE] = {819200, 819200},
            [RLIMIT_NICE] = {0, 0},
            [RLIMIT_RTPRIO] = {0, 0},
            [RLIMIT_RTTIME] = {RLIM_INFINITY, RLIM_INFINITY},
        },
};

/* A process with nothing in it: pid 1, leader of its own group and session. */
static struct task *create_init(void)
{
    struct task *t = task_alloc("init");
    struct process *p = t != NULL ? process_alloc() : NULL;
    u64 flags;

    if (p == NULL)
        return NULL;
    t->process = p;
    t->start_ns = p->start_ns = time_ns();
    p->leader = t;
    p->exit_signal = SIGCHLD;
    p->limits = initial_limits;
    p->user = user_get(0);
    p->sighand = kzalloc(sizeof(*p->sighand));
    if (p->user == NULL || p->sighand == NULL)
        return NULL;
    p->sighand->refs = 1;
    p->user->processes = 1;
    flags = spin_lock_irqsave(&task_lock);
    t->pid = p->pid = pid_alloc();
    if (IS_ERR(t->pid)) {
        spin_unlock_irqrestore(&task_lock, flags);
        return NULL;
    }
    t->pid->task = t;
    list_add_tail(&p->threads, &t->thread_link);
    p->n_threads = p->n_live = p->n_undead = 1;
    list_add_tail(&all_processes, &p->all_link);
    group_join(p, p->pid);
    session_join(p, p->pid);
    init_process = p;
    spin_unlock_irqrestore(&task_lock, flags);
    t->thread.limits = &p->limits;
    return t;
}

/* What the booting thread has prepared in its own name becomes init's. */
static void hand_over(struct task *t, struct exec *x)
{
    struct thread *self = current;

    t->thread.cred = x->cred;
    t->thread.files = self->files;
    t->thread.fs = self->fs;
    t->thread.space = x->space;
    t->process->sigreturn = x->vdso_base + vdso_offset_sigreturn();
    cred_put(self->cred);
    self->cred = NULL;
    self->files = NULL;
    self->fs = NULL;
    self->limits = NULL;
    x->cred = NULL;
    x->space = NULL;
    exec_set_comm(&t->thread, x->name);
    exec_start_registers(thread_regs(&t->thread), x);
    arch_init_user_thread(&t->thread);
}

/* => a kernel thread, whose fs_context is the root's */
int proc_start_init(const char *path, const char *const argv[], const char *const envp[])
{
    struct task *t = init_process != NULL ? init_process->leader : create_init(); /* an earlier path may have failed */
    struct exec *x = kzalloc(sizeof(*x));
    int error;

    if (t == NULL || x == NULL)
        return -ENOMEM;
    if (current->cred == NULL)
        current->cred = cred_create_root();
    current->limits = &t->process->limits;
    if (current->files == NULL)
        current->files = fd_table_create();
    if (current->cred == NULL || current->files == NULL)
        return -ENOMEM;
    if (fd_table_next(current->files, 0) < 0) {
        error = open_console();
        if (error != 0)
            kprintf("cannot open /dev/console: error %d", -error);
    }
    x->args.kernel = argv;
    x->environment.kernel = envp;
    x->limits = &t->process->limits;
    error = exec_prepare(x, AT_FDCWD, path, 0, false);
    if (error == 0)
        hand_over(t, x);
    exec_discard(x);
    if (error == 0)
        thread_start(&t->thread);
    return error;
}

static u32 current_number(void) { return (u32)current_task()->pid->number; }

void proc_init(void)
{
    futex_init();
    vdso_init();
    oom_init();
    signalfd_init();
    userfault_set_thread_number(current_number);
}
