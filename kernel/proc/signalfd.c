/*
 * signalfd(2): signals that the reader blocks, read as records. What is read is always the reading thread's and its
 * process's own, whoever made the descriptor, so no process has a queue of waiters here: all signalfds share one, which
 * is woken when a signal becomes pending anywhere while there is a signalfd. Source: signalfd(2).
 */
#include "proc/signalfd.h"
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "lib/print.h"
#include "proc/internal.h"
#include "vm/kmalloc.h"

struct record { /* the ABI's struct signalfd_siginfo */
    u32 signo;
    s32 error, code;
    u32 pid, uid;
    s32 fd;
    u32 timer, band, overrun, trap;
    s32 status, integer;
    u64 pointer, user_ticks, system_ticks, address;
    u16 address_bits, pad;
    s32 syscall;
    u64 call_address;
    u32 arch;
    u8 rest[28];
};
static_assert(sizeof(struct record) == 128, "linux/signalfd.h");

u32 n_signalfds;
struct wait_queue signalfd_wait;

void signalfd_init(void) { wait_queue_init(&signalfd_wait); }

static u64 mask_of(const struct file *file) { return load_relaxed((const u64 *)&file->private); }

static struct record make_record(const struct siginfo *info)
{
    struct record r = {.signo = (u32)info->signo, .error = info->error, .code = info->code};

    if (info->code == SI_TIMER) {
        r.timer = (u32)info->timer.timer;
        r.overrun = (u32)info->timer.overrun;
        r.pointer = info->timer.value;
        r.integer = (s32)info->timer.value;
    } else if (info->signo == SIGCHLD && info->code > 0 && info->code != SI_KERNEL) {
        r.pid = (u32)info->child.pid;
        r.uid = info->child.uid;
        r.status = info->child.status;
        r.user_ticks = (u64)info->child.user_ticks;
        r.system_ticks = (u64)info->child.system_ticks;
    } else if (info->code > 0 && info->code != SI_KERNEL) {
        r.address = info->fault.address;
    } else {
        r.pid = (u32)info->rt.pid;
        r.uid = info->rt.uid;
        r.pointer = info->rt.value;
        r.integer = (s32)info->rt.value;
    }
    return r;
}

static bool is_any_pending(u64 set)
{
    struct task *t = current_task();

    return ((load_relaxed(&t->pending.set) | load_relaxed(&t->process->pending.set)) & set) != 0;
}

/* Takes a pending signal of SET: its number, or 0. */
static int take(u64 set, struct siginfo *info)
{
    struct task *t = current_task();
    u64 flags = spin_lock_irqsave(&t->process->signal_lock);
    int sig = signal_dequeue(t, ~set, info);

    signal_recalculate(t);
    spin_unlock_irqrestore(&t->process->signal_lock, flags);
    return sig;
}

static ssize_t signalfd_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct siginfo info;
    size_t total = 0;

    (void)pos;
    if (uio->left < sizeof(struct record))
        return -EINVAL;
    while (uio->left >= sizeof(struct record)) {
        struct record r;

        if (take(mask_of(file), &info) == 0) {
            if (total > 0)
                break;
            if (file->flags & O_NONBLOCK)
                return -EAGAIN;
            if (wait_event_interruptible(&signalfd_wait, is_any_pending(mask_of(file))) != 0)
                return -ERESTARTSYS;
            continue;
        }
        r = make_record(&info);
        if (uio_copy_out(uio, &r, sizeof(r)) != sizeof(r))
            return total > 0 ? (ssize_t)total : -EFAULT;
        total += sizeof(r);
    }
    return (ssize_t)total;
}

static unsigned signalfd_poll(struct file *file, struct poll_table *table)
{
    if (table != NULL)
        poll_wait(table, &signalfd_wait);
    return is_any_pending(mask_of(file)) ? POLLIN : 0;
}

static void signalfd_release(struct file *file)
{
    (void)file;
    atomic_sub(&n_signalfds, 1);
}

/* Source: proc_pid_fdinfo(5) */
static size_t signalfd_describe(struct file *file, char *buf, size_t size)
{
    return (size_t)snprintf(buf, size, "sigmask:\t%016lx\n", mask_of(file));
}

static const struct file_ops signalfd_ops = {
    .release = signalfd_release, .read = signalfd_read, .poll = signalfd_poll, .describe = signalfd_describe};

struct file *signalfd_create(u64 mask, u32 flags)
{
    struct file *file = file_create(anon_inode_shared(), O_RDWR | (flags & O_NONBLOCK), &signalfd_ops);

    if (IS_ERR(file))
        return file;
    file->private = (void *)(mask & ~SIGNALS_UNBLOCKABLE);
    file->anon_name = "anon_inode:[signalfd]";
    atomic_add(&n_signalfds, 1);
    return file;
}

int signalfd_set_mask(struct file *file, u64 mask)
{
    if (file->ops != &signalfd_ops)
        return -EINVAL;
    store_relaxed((u64 *)&file->private, mask & ~SIGNALS_UNBLOCKABLE);
    wake_all(&signalfd_wait);
    return 0;
}
