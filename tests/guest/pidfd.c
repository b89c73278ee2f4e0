/* pidfd_open(2), CLONE_PIDFD, pidfd_send_signal(2), pidfd_getfd(2), waitid(P_PIDFD); signalfd(2). */
#include "tap.h"
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int pidfd_open_(pid_t pid, unsigned flags) { return (int)syscall(SYS_pidfd_open, pid, flags); }
static int pidfd_kill(int fd, int sig, siginfo_t *info, unsigned flags)
{
    return (int)syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static pid_t sleeper(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(1);
    }
    return pid;
}

static int ready(int fd, int events, int timeout)
{
    struct pollfd p = {.fd = fd, .events = (short)events};

    return poll(&p, 1, timeout) == 1 ? p.revents : 0;
}

static void opened(void)
{
    pid_t pid = sleeper();
    int fd = pidfd_open_(pid, 0), quick = pidfd_open_(pid, O_NONBLOCK);
    siginfo_t info;

    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "a descriptor for a process, close-on-exec");
    IS(ready(fd, POLLIN, 0), 0, "it lives: nothing to read");
    FAILS(waitid((idtype_t)P_PIDFD, (id_t)quick, &info, WEXITED), EAGAIN, "a wait that does not block");
    OKAY(pidfd_kill(fd, 0, NULL, 0), "signal 0");
    FAILS(pidfd_kill(fd, 99, NULL, 0), EINVAL, "no such signal");
    FAILS(pidfd_kill(fd, SIGTERM, NULL, 0x100), EINVAL, "unknown flags");
    FAILS(pidfd_kill(1, SIGTERM, NULL, 0), EBADF, "not such a descriptor");
    OKAY(pidfd_kill(fd, SIGTERM, NULL, 0), "a signal");
    CHECK(ready(fd, POLLIN, 10000) & POLLIN, "the end wakes those who poll");
    OKAY(pidfd_kill(fd, 0, NULL, 0), "a zombie can be signalled");
    memset(&info, 0, sizeof(info));
    OKAY(waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED), "waitid by descriptor");
    CHECK(info.si_pid == pid && info.si_status == SIGTERM && info.si_code == CLD_KILLED, "tells what happened");
    FAILS(waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED), ECHILD, "once");
    FAILS(pidfd_kill(fd, 0, NULL, 0), ESRCH, "then it is gone");
    CHECK(ready(fd, POLLIN, 0) & POLLIN, "but still readable");
    FAILS(waitid((idtype_t)P_PIDFD, 1, &info, WEXITED), EBADF, "waitid on another descriptor");
    FAILS(pidfd_open_(pid, 0), ESRCH, "no such process");
    FAILS(pidfd_open_(0, 0), EINVAL, "pid 0");
    FAILS(pidfd_open_(-1, 0), EINVAL, "pid -1");
    FAILS(pidfd_open_(getpid(), 1), EINVAL, "unknown flags");
    close(fd);
    close(quick);
}

static void cloned(void)
{
    int fd = -1, second = -1;
    struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&fd, .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    siginfo_t info;

    if (pid == 0)
        _exit(fcntl(fd, F_GETFD) < 0 ? 7 : 8);
    CHECK(pid > 0 && fd >= 0, "clone3 with CLONE_PIDFD");
    OKAY(waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED), "its end");
    IS(info.si_status, 7, "the child has no such descriptor");
    close(fd);
    pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &second, 0, 0);
    if (pid == 0)
        _exit(0);
    CHECK(pid > 0 && second >= 0 && waitpid(pid, NULL, 0) == pid, "clone with CLONE_PIDFD");
    close(second);
    FAILS(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, NULL, &second, 0, 0), EINVAL,
          "both words at one place");
    args.pidfd = 8;
    FAILS(syscall(SYS_clone3, &args, sizeof(args)), EFAULT, "nowhere to put it");
}

static void descriptors(void)
{
    int ends[2], fd, copy;
    char byte = 0;
    pid_t pid;

    OKAY(pipe(ends), "a pipe");
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        pause();
        _exit(0);
    }
    close(ends[1]);
    fd = pidfd_open_(pid, 0);
    copy = (int)syscall(SYS_pidfd_getfd, fd, ends[1], 0);
    CHECK(copy >= 0 && write(copy, "x", 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 'x',
          "a descriptor of another process");
    FAILS(syscall(SYS_pidfd_getfd, fd, 900, 0), EBADF, "that it does not have");
    FAILS(syscall(SYS_pidfd_getfd, fd, 0, 1), EINVAL, "flags");
    FAILS(syscall(SYS_pidfd_getfd, ends[0], 0, 0), EBADF, "by another descriptor");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    FAILS(syscall(SYS_pidfd_getfd, fd, 0, 0), ESRCH, "of the dead");
    close(fd);
    close(copy);
    close(ends[0]);
}

static void *send_later(void *arg)
{
    usleep(50000);
    kill(getpid(), SIGUSR2);
    return arg;
}

static void signals(void)
{
    struct signalfd_siginfo got[4];
    struct epoll_event event = {.events = EPOLLIN};
    pthread_t thread;
    sigset_t set;
    int fd, epoll;
    pid_t pid;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0, "signalfd");
    FAILS(read(fd, got, sizeof(got)), EAGAIN, "nothing is pending");
    FAILS(read(fd, got, 100), EINVAL, "no room for a record");
    IS(ready(fd, POLLIN, 0), 0, "not readable");
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 42});
    CHECK(ready(fd, POLLIN, 0) & POLLIN, "readable");
    IS(read(fd, got, sizeof(got)), sizeof(got[0]), "one record");
    CHECK(got[0].ssi_signo == SIGUSR1 && got[0].ssi_code == SI_QUEUE && got[0].ssi_int == 42 &&
              got[0].ssi_pid == (unsigned)getpid(),
          "says all");
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    pid = fork();
    if (pid == 0)
        _exit(5);
    CHECK(epoll_wait(epoll, &event, 1, 10000) == 1, "epoll sees a child's end");
    CHECK(read(fd, got, sizeof(got)) == sizeof(got[0]) && got[0].ssi_signo == SIGCHLD &&
              got[0].ssi_pid == (unsigned)pid && got[0].ssi_status == 5 && got[0].ssi_code == CLD_EXITED,
          "whose it was");
    waitpid(pid, NULL, 0);
    close(epoll);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    IS(signalfd(fd, &set, 0), fd, "the set changes");
    fcntl(fd, F_SETFL, 0);
    pthread_create(&thread, NULL, send_later, NULL);
    CHECK(read(fd, got, sizeof(got)) == sizeof(got[0]) && got[0].ssi_signo == SIGUSR2, "a read waits");
    pthread_join(thread, NULL);
    FAILS(signalfd(0, &set, 0), EINVAL, "another descriptor");
    FAILS(signalfd(900, &set, 0), EBADF, "none");
    FAILS(signalfd(-1, &set, 1), EINVAL, "unknown flags");
    FAILS(syscall(SYS_signalfd4, -1, &set, 4, 0), EINVAL, "a set of another size");
    FAILS(syscall(SYS_signalfd4, -1, 8, 8, 0), EFAULT, "a bad set");
    close(fd);
}

#define process_mrelease(fd, flags) syscall(448, fd, flags)

/* The memory of who is being killed, without waiting for its end. */
static void releasing(void)
{
    pid_t pid = fork();
    siginfo_t info;
    long result;
    int fd;

    if (pid == 0)
        for (;;)
            pause();
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    FAILS(process_mrelease(fd, 0), EINVAL, "process_mrelease of who lives");
    FAILS(process_mrelease(fd, 1), EINVAL, "with unknown flags");
    FAILS(process_mrelease(0, 0), EBADF, "of another descriptor");
    kill(pid, SIGKILL);
    result = process_mrelease(fd, 0);
    CHECK(result == 0 || errno == ESRCH, "of who dies: %s", errno_name(result ? errno : 0));
    waitid(P_PID, (id_t)pid, &info, WEXITED);
    FAILS(process_mrelease(fd, 0), ESRCH, "of who is dead");
    close(fd);
}

static void by_folder(void)
{
    int folder = (int)NEED(open("/proc/self", O_DIRECTORY | O_CLOEXEC)), other = (int)NEED(open("/proc", O_DIRECTORY));

    OKAY(pidfd_kill(folder, 0, NULL, 0), "an open /proc/PID names a process for pidfd_send_signal");
    FAILS(pidfd_kill(other, 0, NULL, 0), EBADF, "another folder does not");
    close(folder);
    close(other);
}

static void body(void)
{
    by_folder();
    releasing();
    opened();
    cloned();
    descriptors();
    signals();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
