/*
 * The descriptor of userfaultfd(2): reading messages, poll, and the ioctls, which check their arguments and hand on to
 * vm/userfault.h. Also /dev/userfaultfd, whose permissions say who may have one. Source: userfaultfd(2),
 * ioctl_userfaultfd(2).
 */
#include "vm/userfault.h"
#include "lib/cred.h"
#include "fs/devfs/devfs.h"
#include "fs/events.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "lib/print.h"
#include "sched/thread.h"
#include "vm/uaccess.h"

bool userfaultfd_is_for_all;

/* ---- the ABI's ---- */

struct range {
    u64 start, length;
};
struct api_args {
    u64 api, features, ioctls;
};
struct register_args {
    struct range range;
    u64 mode, ioctls;
};
struct fill_args { /* ZEROPAGE, CONTINUE, POISON */
    struct range range;
    u64 mode;
    s64 done;
};
struct copy_args { /* COPY, MOVE */
    u64 to, from, length, mode;
    s64 done;
};
struct protect_args {
    struct range range;
    u64 mode;
};

#define UFFD_API 0xaa
#define COMMAND(direction, number, type) ((direction) << 30 | (u32)sizeof(type) << 16 | UFFD_API << 8 | (number))
#define READS 2u
#define BOTH 3u
enum { REGISTER, UNREGISTER, WAKE, COPY, ZEROPAGE, MOVE, WRITEPROTECT, CONTINUE, POISON, API = 0x3f };
#define UFFDIO_API COMMAND(BOTH, API, struct api_args)
#define UFFDIO_REGISTER COMMAND(BOTH, REGISTER, struct register_args)
#define UFFDIO_UNREGISTER COMMAND(READS, UNREGISTER, struct range)
#define UFFDIO_WAKE COMMAND(READS, WAKE, struct range)
#define UFFDIO_COPY COMMAND(BOTH, COPY, struct copy_args)
#define UFFDIO_ZEROPAGE COMMAND(BOTH, ZEROPAGE, struct fill_args)
#define UFFDIO_MOVE COMMAND(BOTH, MOVE, struct copy_args)
#define UFFDIO_WRITEPROTECT COMMAND(BOTH, WRITEPROTECT, struct protect_args)
#define UFFDIO_CONTINUE COMMAND(BOTH, CONTINUE, struct fill_args)
#define UFFDIO_POISON COMMAND(BOTH, POISON, struct fill_args)

#define DONTWAKE BIT(0) /* COPY, ZEROPAGE, CONTINUE, POISON, MOVE */
#define MODE_WP BIT(1)  /* COPY, CONTINUE */
#define MOVE_ALLOW_SRC_HOLES BIT(1)
#define WRITEPROTECT_ON BIT(0)
#define WRITEPROTECT_DONTWAKE BIT(1)

#define FEATURES                                                                                                       \
    (UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | \
     UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MINOR_HUGETLBFS | UFFD_FEATURE_MISSING_SHMEM |                      \
     UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_SIGBUS | UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_MINOR_SHMEM |              \
     UFFD_FEATURE_EXACT_ADDRESS | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED |                      \
     UFFD_FEATURE_POISON | UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_MOVE)
#define API_IOCTLS (BIT(REGISTER) | BIT(UNREGISTER) | BIT(API))
#define RANGE_IOCTLS \
    (BIT(WAKE) | BIT(COPY) | BIT(ZEROPAGE) | BIT(MOVE) | BIT(WRITEPROTECT) | BIT(CONTINUE) | BIT(POISON))

/* ---- reading ---- */

static struct file *file_of(struct userfault *u);

/* The child's context gets a descriptor, whose number goes into the message. */
static int install_forked(struct userfault *u, struct userfault *forked, struct uffd_msg *message)
{
    struct file *file = file_of(forked);
    int fd = IS_ERR(file) ? (int)PTR_ERR(file) : fd_install(file, (userfault_flags(forked) & O_CLOEXEC) != 0);

    if (!IS_ERR(file) && fd < 0) { /* the context goes on without this file */
        file->private = NULL;
        file_put(file);
    }
    if (fd < 0)
        userfault_put(forked);
    else
        message->fork.fd = (u32)fd;
    userfault_fork_taken(u, forked, fd >= 0);
    return fd < 0 ? fd : 0;
}

/* 0, -EAGAIN: none there, or what went wrong with a fork's. */
static int take_message(struct userfault *u, struct uffd_msg *message)
{
    struct userfault *forked;

    if (!userfault_take(u, message, &forked))
        return -EAGAIN;
    return forked != NULL ? install_forked(u, forked, message) : 0;
}

/* Until there is a message; one of several readers is woken for each. */
static int wait_for_message(struct userfault *u)
{
    struct waiter waiter = {.thread = current, .exclusive = true};
    int result = 0;

    list_init(&waiter.link);
    for (;;) {
        wait_prepare(userfault_readers(u), &waiter, THREAD_INTERRUPTIBLE);
        if (userfault_has_message(u))
            break;
        result = wait_interrupted(THREAD_INTERRUPTIBLE);
        if (result != 0)
            break;
        schedule();
    }
    wait_finish(&waiter);
    return result;
}

static ssize_t userfaultfd_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct userfault *u = file->private;
    struct uffd_msg message;
    ssize_t total = 0;

    (void)pos;
    if (!userfault_is_enabled(u) || uio->left < sizeof(message))
        return -EINVAL;
    while (uio->left >= sizeof(message)) {
        int error = take_message(u, &message);

        if (error == -EAGAIN && total == 0 && !(file->flags & O_NONBLOCK)) {
            if (wait_for_message(u) != 0)
                return -ERESTARTSYS;
            continue;
        }
        if (error != 0)
            return total > 0 ? total : error;
        if (uio_copy_out(uio, &message, sizeof(message)) != sizeof(message))
            return total > 0 ? total : -EFAULT;
        total += sizeof(message);
    }
    return total;
}

static unsigned userfaultfd_poll(struct file *file, struct poll_table *table)
{
    struct userfault *u = file->private;

    if (table != NULL)
        poll_wait(table, userfault_readers(u));
    if (!userfault_is_enabled(u) || !(file->flags & O_NONBLOCK))
        return POLLERR;
    return userfault_has_message(u) ? POLLIN : 0;
}

/* ---- ioctls ---- */

static long negotiate(struct userfault *u, struct api_args *user)
{
    struct api_args args;
    u64 features;
    long error = 0;

    if (copy_from_user(&args, user, sizeof(args)) != 0)
        return -EFAULT;
    features = args.features;
    if (features & UFFD_FEATURE_WP_ASYNC)
        features |= UFFD_FEATURE_WP_UNPOPULATED;
    if (args.api != UFFD_API)
        error = -EINVAL;
    else if ((features & UFFD_FEATURE_EVENT_FORK) && !capable(current->cred, CAP_SYS_PTRACE))
        error = -EPERM;
    else if (features & ~(u64)FEATURES)
        error = -EINVAL;
    args = error != 0 ? (struct api_args){0}
                      : (struct api_args){.api = UFFD_API, .features = FEATURES, .ioctls = API_IOCTLS};
    if (copy_to_user(user, &args, sizeof(args)) != 0)
        return -EFAULT;
    if (error == 0 && !userfault_enable(u, (u32)features)) {
        args = (struct api_args){0};
        return copy_to_user(user, &args, sizeof(args)) != 0 ? -EFAULT : -EINVAL;
    }
    return error;
}

static bool is_range(const struct range *range) { return userfault_is_range(range->start, range->length); }

static long register_range(struct userfault *u, struct register_args *user)
{
    struct register_args args;
    u64 ioctls = RANGE_IOCTLS;
    long error;

    if (copy_from_user(&args, user, sizeof(args) - sizeof(args.ioctls)) != 0)
        return -EFAULT;
    if (args.mode == 0 || (args.mode & ~(u64)(UFFD_REGISTER_MISSING | UFFD_REGISTER_WP | UFFD_REGISTER_MINOR)) ||
        !is_range(&args.range))
        return -EINVAL;
    error = userfault_register(u, args.range.start, args.range.length, (unsigned)args.mode);
    if (error != 0)
        return error;
    if (!(args.mode & UFFD_REGISTER_WP))
        ioctls &= ~BIT(WRITEPROTECT);
    if (!(args.mode & UFFD_REGISTER_MINOR))
        ioctls &= ~BIT(CONTINUE);
    return put_user_u64(ioctls, &user->ioctls);
}

static long unregister_range(struct userfault *u, const struct range *user)
{
    struct range range;

    if (copy_from_user(&range, user, sizeof(range)) != 0)
        return -EFAULT;
    return is_range(&range) ? userfault_unregister(u, range.start, range.length) : -EINVAL;
}

static long wake_range(struct userfault *u, const struct range *user)
{
    struct range range;

    if (copy_from_user(&range, user, sizeof(range)) != 0)
        return -EFAULT;
    if (!is_range(&range))
        return -EINVAL;
    userfault_wake(u, range.start, range.length);
    return 0;
}

/* DONE of RANGE's bytes are there, or it is an error: the program is told how many, then who waits for them goes on. */
static long finish(struct userfault *u, const struct range *range, s64 done, bool wake, s64 *user_done)
{
    if (done == -ESRCH)
        return -ESRCH;
    if (put_user_u64((u64)done, (u64 *)user_done) != 0)
        return -EFAULT;
    if (done < 0)
        return done;
    if (wake)
        userfault_wake(u, range->start, (u64)done);
    return (u64)done == range->length ? 0 : -EAGAIN;
}

static long fill(struct userfault *u, enum userfault_fill kind, struct fill_args *user)
{
    u64 modes = kind == FILL_CONTINUE ? DONTWAKE | MODE_WP : DONTWAKE;
    struct fill_args args;
    s64 done;

    if (copy_from_user(&args, user, sizeof(args) - sizeof(args.done)) != 0)
        return -EFAULT;
    if (!is_range(&args.range) || (args.mode & ~modes))
        return -EINVAL;
    done =
        userfault_fill(u, kind, args.range.start, 0, args.range.length, kind == FILL_CONTINUE && (args.mode & MODE_WP));
    return finish(u, &args.range, done, !(args.mode & DONTWAKE), &user->done);
}

/* What is copied need not be aligned, or be there. */
static bool is_source(u64 start, u64 length)
{
    u64 limit = arch_user_address_limit();

    return start < limit && length <= limit - start;
}

static long copy(struct userfault *u, struct copy_args *user)
{
    struct copy_args args;
    struct range to;
    s64 done;

    if (copy_from_user(&args, user, sizeof(args) - sizeof(args.done)) != 0)
        return -EFAULT;
    to = (struct range){args.to, args.length};
    if (!is_range(&to) || !is_source(args.from, args.length) || (args.mode & ~(u64)(DONTWAKE | MODE_WP)))
        return -EINVAL;
    done = userfault_fill(u, FILL_COPY, args.to, args.from, args.length, (args.mode & MODE_WP) != 0);
    return finish(u, &to, done, !(args.mode & DONTWAKE), &user->done);
}

static long move(struct userfault *u, struct copy_args *user)
{
    struct copy_args args;
    struct range to, from;
    s64 done;

    if (copy_from_user(&args, user, sizeof(args) - sizeof(args.done)) != 0)
        return -EFAULT;
    to = (struct range){args.to, args.length};
    from = (struct range){args.from, args.length};
    if (!userfault_is_of_current(u) || !is_range(&to) || !is_range(&from) ||
        (args.mode & ~(u64)(DONTWAKE | MOVE_ALLOW_SRC_HOLES)))
        return -EINVAL;
    done = userfault_move(u, args.to, args.from, args.length, (args.mode & MOVE_ALLOW_SRC_HOLES) != 0);
    return finish(u, &to, done, !(args.mode & DONTWAKE), &user->done);
}

static long write_protect(struct userfault *u, const struct protect_args *user)
{
    struct protect_args args;
    bool on;
    int error;

    if (copy_from_user(&args, user, sizeof(args)) != 0)
        return -EFAULT;
    on = (args.mode & WRITEPROTECT_ON) != 0;
    if (!is_range(&args.range) || (args.mode & ~(u64)(WRITEPROTECT_ON | WRITEPROTECT_DONTWAKE)) ||
        (on && (args.mode & WRITEPROTECT_DONTWAKE)))
        return -EINVAL;
    error = userfault_write_protect(u, args.range.start, args.range.length, on);
    if (error == 0 && !on && !(args.mode & WRITEPROTECT_DONTWAKE))
        userfault_wake(u, args.range.start, args.range.length);
    return error;
}

static long userfaultfd_ioctl(struct file *file, unsigned command, u64 argument)
{
    struct userfault *u = file->private;
    void *user = (void *)argument;

    if (command == UFFDIO_API)
        return negotiate(u, user);
    if (!userfault_is_enabled(u))
        return -EINVAL;
    switch (command) {
    case UFFDIO_REGISTER:
        return register_range(u, user);
    case UFFDIO_UNREGISTER:
        return unregister_range(u, user);
    case UFFDIO_WAKE:
        return wake_range(u, user);
    case UFFDIO_COPY:
        return copy(u, user);
    case UFFDIO_ZEROPAGE:
        return fill(u, FILL_ZERO, user);
    case UFFDIO_CONTINUE:
        return fill(u, FILL_CONTINUE, user);
    case UFFDIO_POISON:
        return fill(u, FILL_POISON, user);
    case UFFDIO_MOVE:
        return move(u, user);
    case UFFDIO_WRITEPROTECT:
        return write_protect(u, user);
    default:
        return -EINVAL;
    }
}

/* ---- the file ---- */

static void userfaultfd_release(struct file *file)
{
    if (file->private != NULL)
        userfault_close(file->private);
}

static s64 userfaultfd_seek(struct file *file, s64 offset, int whence)
{
    (void)offset;
    (void)whence;
    return (s64)load_relaxed(&file->pos);
}

static size_t userfaultfd_describe(struct file *file, char *buf, size_t size)
{
    struct userfault *u = file->private;
    u64 pending, total;

    userfault_count(u, &pending, &total);
    return (size_t)snprintf(buf, size, "pending:\t%lu\ntotal:\t%lu\nAPI:\t%x:%x:%lx\n", pending, total, UFFD_API,
                            userfault_features(u), (u64)(API_IOCTLS | RANGE_IOCTLS));
}

static const struct file_ops userfaultfd_ops = {
    .release = userfaultfd_release,
    .read = userfaultfd_read,
    .poll = userfaultfd_poll,
    .ioctl = userfaultfd_ioctl,
    .seek = userfaultfd_seek,
    .describe = userfaultfd_describe,
};

/* The file takes the caller's reference to U over. */
static struct file *file_of(struct userfault *u)
{
    struct file *file =
        file_create(anon_inode_shared(), O_RDONLY | (userfault_flags(u) & O_NONBLOCK), &userfaultfd_ops);

    if (IS_ERR(file))
        return file;
    file->private = u;
    file->anon_name = "anon_inode:[userfaultfd]";
    return file;
}

struct file *userfaultfd_create(u32 flags, bool trusted)
{
    struct userfault *u;
    struct file *file;

    if (!trusted && !(flags & USERFAULT_USER_MODE_ONLY) && !userfaultfd_is_for_all &&
        !capable(current->cred, CAP_SYS_PTRACE))
        return ERR_PTR(-EPERM);
    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK | USERFAULT_USER_MODE_ONLY))
        return ERR_PTR(-EINVAL);
    u = userfault_create(flags);
    if (u == NULL)
        return ERR_PTR(-ENOMEM);
    file = file_of(u);
    if (IS_ERR(file))
        userfault_put(u);
    return file;
}

/* ---- /dev/userfaultfd ---- */

#define USERFAULTFD_IOC_NEW (UFFD_API << 8)

static long device_ioctl(struct file *file, unsigned command, u64 argument)
{
    if (command != USERFAULTFD_IOC_NEW)
        return -EINVAL;
    return fd_give(userfaultfd_create((u32)argument, true), (argument & O_CLOEXEC) != 0);
}

static const struct file_ops device_ops = {.ioctl = device_ioctl};

int userfaultfd_device_add(void)
{
    return devfs_add("userfaultfd", S_IFCHR | 0600, makedev(10, 126), &device_ops, NULL);
}
