/* epoll_create1(2), epoll_ctl(2), epoll_pwait(2), eventfd2(2), inotify_init1(2), timerfd_create(2) and their
 * relatives. */
#include "fs/epoll.h"
#include "fs/events.h"
#include "fs/fdtable.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "proc/ptimer.h"
#include "proc/signal.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

/* ---- epoll ---- */

DEFINE_SYSCALL(sys_epoll_create1)
{
    return a0 & ~(u64)O_CLOEXEC ? -EINVAL : fd_give(epoll_create(), (a0 & O_CLOEXEC) != 0);
}

static long control(struct file *epoll, int operation, int fd, struct file *file, const struct epoll_event *event)
{
    if (file->ops->poll == NULL)
        return -EPERM;
    if (epoll == file || !file_is_epoll(epoll))
        return -EINVAL;
    if (operation != EPOLL_CTL_ADD && operation != EPOLL_CTL_DEL && operation != EPOLL_CTL_MOD)
        return -EINVAL;
    if (operation != EPOLL_CTL_DEL && (event->events & EPOLLEXCLUSIVE) &&
        (operation == EPOLL_CTL_MOD || file_is_epoll(file) || (event->events & EPOLLONESHOT)))
        return -EINVAL;
    return epoll_control(epoll, operation, fd, file, event);
}

DEFINE_SYSCALL(sys_epoll_ctl)
{
    struct epoll_event event = {0, 0};
    struct file *epoll, *file;
    long result = -EBADF;

    if ((int)a1 != EPOLL_CTL_DEL && copy_from_user(&event, (void *)a3, sizeof(event)) != 0)
        return -EFAULT;
    epoll = fd_get((int)a0);
    file = fd_get((int)a2);
    if (epoll != NULL && file != NULL)
        result = control(epoll, (int)a1, (int)a2, file, &event);
    if (epoll != NULL)
        file_put(epoll);
    if (file != NULL)
        file_put(file);
    return result;
}

static long wait_events(int fd, u64 user_events, int n, u64 deadline, u64 mask, u64 mask_size)
{
    struct file *epoll;
    long result;

    if (n <= 0 || n > INT32_MAX / (int)sizeof(struct epoll_event))
        return -EINVAL;
    epoll = fd_get(fd);
    if (epoll == NULL)
        return -EBADF;
    result = file_is_epoll(epoll) ? signal_use_mask((const void *)mask, mask_size) : -EINVAL;
    if (result == 0) {
        result = epoll_wait_events(epoll, (struct epoll_event *)user_events, (unsigned)n, deadline);
        signal_mask_done(result == -EINTR);
    }
    file_put(epoll);
    return result;
}

DEFINE_SYSCALL(sys_epoll_pwait)
{
    int milliseconds = (int)a3;
    u64 deadline = milliseconds < 0    ? NO_DEADLINE
                   : milliseconds == 0 ? 0
                                       : time_ns() + (u64)milliseconds * NSEC_PER_MSEC;

    return wait_events((int)a0, a1, (int)a2, deadline, a4, a5);
}

DEFINE_SYSCALL(sys_epoll_pwait2)
{
    u64 deadline = NO_DEADLINE;
    struct timespec64 ts;

    if (a3 != 0) {
        if (copy_from_user(&ts, (void *)a3, sizeof(ts)) != 0)
            return -EFAULT;
        if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (s64)NSEC_PER_SEC)
            return -EINVAL;
        if (ts.sec == 0 && ts.nsec == 0)
            deadline = 0;
        else if ((u64)ts.sec < INT64_MAX / NSEC_PER_SEC / 2)
            deadline = time_ns() + (u64)ts.sec * NSEC_PER_SEC + (u64)ts.nsec;
    }
    return wait_events((int)a0, a1, (int)a2, deadline, a4, a5);
}

/* ---- eventfd ---- */

#define EFD_SEMAPHORE 1

DEFINE_SYSCALL(sys_eventfd2)
{
    u32 flags = (u32)a1;

    if (flags & ~(u32)(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    return fd_give(eventfd_create((u32)a0, (flags & EFD_SEMAPHORE) != 0, flags & O_NONBLOCK), (flags & O_CLOEXEC) != 0);
}

/* ---- inotify ---- */

DEFINE_SYSCALL(sys_inotify_init1)
{
    u32 flags = (u32)a0;

    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    return fd_give(inotify_create(flags & O_NONBLOCK), (flags & O_CLOEXEC) != 0);
}

#define WATCH_BITS                                                                                     \
    (0xfffu | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | \
     IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT)

static long add_watch(struct file *inotify, u64 user_name, u32 mask)
{
    unsigned lookup = (mask & IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW) | (mask & IN_ONLYDIR ? LOOKUP_DIRECTORY : 0);
    struct path path;
    long result;

    if ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE))
        return -EINVAL;
    if (!file_is_inotify(inotify))
        return -EINVAL;
    result = path_lookup_user(AT_FDCWD, (const char *)user_name, lookup, &path);
    if (result != 0)
        return result;
    result = inode_permission(path_inode(&path), current->cred, MAY_READ);
    if (result == 0)
        result = inotify_add(inotify, path_inode(&path), mask);
    path_put(&path);
    return result;
}

DEFINE_SYSCALL(sys_inotify_add_watch)
{
    u32 mask = (u32)a2;
    struct file *inotify;
    long result;

    if ((mask & ~WATCH_BITS) || !(mask & WATCH_BITS))
        return -EINVAL;
    inotify = fd_get((int)a0);
    if (inotify == NULL)
        return -EBADF;
    result = add_watch(inotify, a1, mask);
    file_put(inotify);
    return result;
}

DEFINE_SYSCALL(sys_inotify_rm_watch)
{
    struct file *inotify = fd_get((int)a0);
    long result;

    if (inotify == NULL)
        return -EBADF;
    result = file_is_inotify(inotify) ? inotify_remove(inotify, (int)a1) : -EINVAL;
    file_put(inotify);
    return result;
}

/* ---- userfaultfd ---- */

DEFINE_SYSCALL(sys_userfaultfd) { return fd_give(userfaultfd_create((u32)a0, false), (a0 & O_CLOEXEC) != 0); }

/* ---- timerfd ---- */

DEFINE_SYSCALL(sys_timerfd_create)
{
    int clock = (int)a0;
    bool is_alarm = clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;

    if (a1 & ~(u64)(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    /* The machine never sleeps, so that there is nothing to wake: the same as the clocks without alarm. */
    if (is_alarm && !capable(current->cred, CAP_WAKE_ALARM))
        return -EPERM;
    if (!is_alarm && clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
        return -EINVAL;
    return fd_give(timerfd_create(clock, (u32)a1 & O_NONBLOCK), (a1 & O_CLOEXEC) != 0);
}

/* The timer of FD with a reference; ERR_PTR(-EBADF, -EINVAL). */
static struct file *timer_of(int fd)
{
    struct file *file = fd_get(fd);

    if (file == NULL)
        return ERR_PTR(-EBADF);
    if (file_is_timerfd(file))
        return file;
    file_put(file);
    return ERR_PTR(-EINVAL);
}

static bool is_valid_time(const struct timespec64 *t)
{
    return t->sec >= 0 && t->nsec >= 0 && t->nsec < (s64)NSEC_PER_SEC;
}

DEFINE_SYSCALL(sys_timerfd_settime)
{
    struct timer_setting setting, old;
    struct file *file;
    long result;

    if (copy_from_user(&setting, (void *)a2, sizeof(setting)) != 0)
        return -EFAULT;
    if ((a1 & ~(u64)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) || !is_valid_time(&setting.value) ||
        !is_valid_time(&setting.interval))
        return -EINVAL;
    file = timer_of((int)a0);
    if (IS_ERR(file))
        return PTR_ERR(file);
    result = timerfd_set(file, (u32)a1, &setting, &old);
    file_put(file);
    return result == 0 && a3 != 0 ? copy_to_user((void *)a3, &old, sizeof(old)) : result;
}

DEFINE_SYSCALL(sys_timerfd_gettime)
{
    struct timer_setting now;
    struct file *file = timer_of((int)a0);

    if (IS_ERR(file))
        return PTR_ERR(file);
    timerfd_get(file, &now);
    file_put(file);
    return copy_to_user((void *)a1, &now, sizeof(now));
}
