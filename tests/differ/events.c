/*
 * Calls that wait for events, none of which waits here: epoll, eventfd, timerfd, signalfd, inotify, POSIX's message
 * queues, and locks and leases of files.
 */
#include "differ.h"

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

/* --- epoll --- */

static struct epoll_event event, events[4];
static long new_event(void)
{
    event.events = (uint32_t)DRAW_OF(EPOLLIN, EPOLLIN | EPOLLOUT, EPOLLOUT | EPOLLET, EPOLLIN | EPOLLONESHOT,
                                     EPOLLIN | EPOLLEXCLUSIVE, 0);
    event.data.u32 = draw(100);
    return chance(20) ? 8 : (long)&event;
}

static void run_epoll_wait(void)
{
    int fd = (int)descriptor(), room = (int)DRAW_OF(4, 1, 0, -1);
    long result = epoll_wait(fd, events, room, 0);

    tell_result(result);
    for (long i = 0; i < result; i++)
        tell(" %x:%u", events[i].events, events[i].data.u32);
}

/* --- Timers: far away or long over, so that the clock does not matter --- */

static struct itimerspec spec, old_spec;
static long timer_spec(void)
{
    static const long parts[] = {0, 0, 1000000000, -1, 5};

    spec.it_interval.tv_sec = draw(2);
    spec.it_interval.tv_nsec = draw_of(parts, COUNT(parts));
    spec.it_value.tv_sec = draw(3) ? 100000 : 0;
    spec.it_value.tv_nsec = 0;
    tell(" %ld.%ld %ld", (long)spec.it_interval.tv_sec, spec.it_interval.tv_nsec, (long)spec.it_value.tv_sec);
    return (long)&spec;
}
static long spec_room(void) { return (long)&old_spec; }

static void show_spec(long result, const long *arguments)
{
    (void)arguments;
    if (result == 0)
        tell(" %ld.%ld %d", (long)old_spec.it_interval.tv_sec, old_spec.it_interval.tv_nsec,
             old_spec.it_value.tv_sec > 0);
}

/* --- signalfd --- */

static sigset_t signals;
static long signal_set(void)
{
    sigemptyset(&signals);
    sigaddset(&signals, (int)DRAW_OF(10, 12, 9));
    return chance(20) ? 8 : (long)&signals;
}

static void run_raise(void)
{
    static union sigval value;

    value.sival_int = (int)draw(9);
    tell(" %d", value.sival_int);
    tell_result(sigqueue(getpid(), (int)DRAW_OF(10, 12), value));
}

/* --- Reading what such descriptors have --- */

static void run_read(void)
{
    int fd = (int)descriptor();
    long room = DRAW_OF(8, 128, 4, 0, 4096, 40), result;

    memset(buffer, 0, 4096);
    result = read(fd, buffer, (size_t)room);
    tell_result(result);
    for (long at = 0; result >= 16 && room != 128 && at < result;) { /* of inotify; cookies are the kernel's own */
        struct inotify_event *e = (struct inotify_event *)(buffer + at);

        tell(" wd %d mask %x %s '%s'", e->wd, e->mask, e->cookie ? "moved" : "", e->len ? e->name : "");
        at += (long)(sizeof(*e) + e->len);
    }
    if (result == 128) {
        struct signalfd_siginfo *s = (struct signalfd_siginfo *)buffer;

        tell(" signal %u code %d value %d", s->ssi_signo, s->ssi_code, s->ssi_int);
    } else if (result == 8) {
        tell(" value %lu", *(unsigned long *)buffer);
    }
    fill_buffer();
}

static uint64_t counter;
static long counter_value(void)
{
    counter = (uint64_t)DRAW_OF(1, 0, 5, -1, -2);
    return (long)&counter;
}

static void run_poll(void)
{
    struct pollfd p[3];

    for (int i = 0; i < 3; i++) {
        p[i].fd = (int)descriptor();
        p[i].events = POLLIN | POLLOUT | POLLRDNORM | POLLRDHUP;
        p[i].revents = 0;
    }
    tell_result(poll(p, 3, 0));
    tell(" %x %x %x", p[0].revents, p[1].revents, p[2].revents);
}

/* --- Message queues --- */

static long queue_name(void)
{
    static const char *const names[] = {"differ-a", "differ-b", "", "a/b", "differ-a"};
    const char *drawn = names[draw(COUNT(names))];

    tell(" '%s'", drawn);
    return (long)drawn;
}
static struct mq_attr queue;
static long queue_attributes(void)
{
    memset(&queue, 0, sizeof(queue));
    queue.mq_maxmsg = DRAW_OF(3, 2, 0, 100000);
    queue.mq_msgsize = DRAW_OF(100, 10, 0, 1L << 30);
    queue.mq_flags = O_NONBLOCK;
    return chance(6) ? 0 : (long)&queue;
}
static unsigned message_priority;
static long priority_room(void) { return (long)&message_priority; }
static void show_message(long result, const long *arguments)
{
    if (result >= 0)
        tell(" priority %u", message_priority);
    show_bytes(result, arguments);
}
static struct mq_attr old_queue;
static long queue_room(void) { return (long)&old_queue; }
static void show_queue(long result, const long *arguments)
{
    (void)arguments;
    if (result == 0)
        tell(" %ld of %ld, %ld bytes, %lx", old_queue.mq_curmsgs, old_queue.mq_maxmsg, old_queue.mq_msgsize,
             old_queue.mq_flags);
}

/* --- Locks and leases --- */

static struct flock lock;
static long new_lock(void)
{
    lock.l_type = (short)DRAW_OF(F_RDLCK, F_WRLCK, F_UNLCK, 5);
    lock.l_whence = (short)DRAW_OF(SEEK_SET, SEEK_CUR, SEEK_END, 9);
    lock.l_start = near_offset();
    lock.l_len = near_offset();
    lock.l_pid = chance(5);
    return (long)&lock;
}
static void show_lock(long result, const long *arguments)
{
    if (result == 0 && (arguments[1] == F_GETLK || arguments[1] == F_OFD_GETLK))
        tell(" type %d %ld+%ld %s", lock.l_type, (long)lock.l_start, (long)lock.l_len,
             lock.l_pid > 0   ? "pid"
             : lock.l_pid < 0 ? "-1"
                              : "");
}

#define FD FROM(descriptor)
#define NAME FROM(name)
#define CWD ONE_OF(AT_FDCWD)

static const struct call calls[] = {
    TOLD(epoll_create1, 2, show_placed, ONE_OF(0, EPOLL_CLOEXEC, 1)),
    CALL(epoll_ctl, 6, FD, ONE_OF(1, 1, 2, 3, 9), FD, FROM(new_event)),
    RUN(epoll_wait, 3),
    TOLD(eventfd2, 2, show_placed, ONE_OF(0, 3, 0xffffffff), ONE_OF(EFD_NONBLOCK, EFD_NONBLOCK | EFD_SEMAPHORE, 2)),
    TOLD(timerfd_create, 1, show_placed, ONE_OF(0, 1, 2, 7, 8, 99),
         ONE_OF(TFD_NONBLOCK, TFD_NONBLOCK | TFD_CLOEXEC, 1)),
    TOLD(timerfd_settime, 2, show_spec, FD, ONE_OF(0, 0, 1, 2, 3, 4), FROM(timer_spec), FROM(spec_room)),
    TOLD(timerfd_gettime, 1, show_spec, FD, FROM(spec_room)),
    TOLD(signalfd4, 1, show_placed, ONE_OF(-1, -1, 10, 12, 15), FROM(signal_set), ONE_OF(8, 8, 4),
         ONE_OF(O_NONBLOCK, O_NONBLOCK | O_CLOEXEC, 1)),
    RUN(raise, 1),
    TOLD(inotify_init1, 1, show_placed, ONE_OF(O_NONBLOCK, O_NONBLOCK | O_CLOEXEC, 1)),
    CALL(inotify_add_watch, 4, FD, NAME,
         ONE_OF(0xfff, 0x100, 0x3c0, 0x01000fff, 0x20000fff, 0x80000002, 0x10000fff, 0, 0x02000020)),
    CALL(inotify_rm_watch, 1, FD, ONE_OF(1, 2, 3, 0, -1)),
    RUN(read, 6),
    CALL(write, 2, FD, FROM(counter_value), ONE_OF(8, 8, 4, 9)),
    RUN(poll, 2),
    TOLD(openat, 2, show_placed, CWD, NAME,
         ONE_OF(O_RDWR | O_NONBLOCK | O_CREAT, O_RDONLY | O_NONBLOCK, O_RDONLY | O_DIRECTORY,
                O_WRONLY | O_TRUNC | O_NONBLOCK),
         ONE_OF(0644)),
    CALL(close, 1, FD),
    CALL(unlinkat, 1, CWD, NAME, ONE_OF(0, AT_REMOVEDIR)),
    CALL(renameat2, 1, CWD, NAME, CWD, NAME, ONE_OF(0, 2)),
    CALL(mkdirat, 1, CWD, NAME, ONE_OF(0755)),
    CALL(linkat, 1, CWD, NAME, CWD, NAME, ONE_OF(0)),
    CALL(fchmodat, 1, CWD, NAME, ONE_OF(0644, 0755)),
    CALL(lseek, 1, FD, ONE_OF(0, 5), ONE_OF(0, 1, 2)),
    TOLD(mq_open, 2, show_placed, FROM(queue_name),
         ONE_OF(O_RDWR | O_CREAT | O_NONBLOCK, O_RDONLY | O_NONBLOCK, O_WRONLY | O_NONBLOCK,
                O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK),
         ONE_OF(0600), FROM(queue_attributes)),
    CALL(mq_unlink, 1, FROM(queue_name)),
    CALL(mq_timedsend, 3, FD, FROM(in_buffer), ONE_OF(0, 10, 100, 101), ONE_OF(0, 1, 31, 32768), ONE_OF(0)),
    TOLD(mq_timedreceive, 3, show_message, FD, FROM(out_buffer), ONE_OF(100, 10, 4096), FROM(priority_room), ONE_OF(0)),
    TOLD(mq_getsetattr, 1, show_queue, FD, ONE_OF(0), FROM(queue_room)),
    TOLD(fcntl, 4, show_lock, FD, ONE_OF(F_SETLK, F_GETLK, F_OFD_SETLK, F_OFD_SETLK, F_OFD_GETLK), FROM(new_lock)),
    CALL(flock, 1, FD, ONE_OF(5, 6, 8)),
};

static void prepare(void)
{
    sigset_t blocked;

    sigemptyset(&blocked);
    sigaddset(&blocked, 10);
    sigaddset(&blocked, 12);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGIO, SIG_IGN);
    make_files();
    keep_at(eventfd(0, EFD_NONBLOCK), 18);
    keep_at(epoll_create1(0), 19);
    keep_at(inotify_init1(IN_NONBLOCK), 20);
}

static void finish(void)
{
    syscall(SYS_mq_unlink, "differ-a");
    syscall(SYS_mq_unlink, "differ-b");
}

const struct set events_set = {"events", calls, COUNT(calls), prepare, NULL, finish, NULL};
