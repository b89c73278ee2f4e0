/* What /proc/PID/fdinfo says beyond position and flags, of each kind of descriptor. Source: proc_pid_fdinfo(5). */
#include "tap.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static const char *fdinfo(int fd)
{
    static char text[8192];
    char path[40];
    int info;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    info = (int)NEED(open(path, O_RDONLY));
    n = NEED(read(info, text, sizeof(text) - 1));
    text[n] = 0;
    close(info);
    return text;
}

/* The value of the line that begins with KEY, as a number; -12345: no such line. */
static long line(int fd, const char *key)
{
    const char *at = strstr(fdinfo(fd), key);

    return at == NULL ? -12345 : strtol(at + strlen(key), NULL, 0);
}

static void of_processes(void)
{
    pid_t pid = fork();
    siginfo_t info;
    int fd;

    if (pid == 0)
        _exit(0);
    fd = (int)NEED(syscall(SYS_pidfd_open, pid, 0));
    IS(line(fd, "Pid:"), pid, "a pidfd's process");
    IS(line(fd, "NSpid:"), pid, "in its namespace");
    NEED(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
    IS(line(fd, "Pid:"), pid, "a zombie still has a number");
    NEED(waitid(P_PID, (id_t)pid, &info, WEXITED));
    IS(line(fd, "Pid:"), -1, "who was waited for has none");
    close(fd);
}

static void of_events(void)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x1234567890};
    struct itimerspec set = {.it_value = {1000, 0}, .it_interval = {7, 5}};
    int epoll = (int)NEED(epoll_create1(0)), counter = (int)NEED(eventfd(7, 0)), timer, signals, entry, pipes[300][2];
    unsigned events;
    unsigned long long data;
    sigset_t set_of;

    IS(line(counter, "eventfd-count:"), 7, "an eventfd's count");
    sigemptyset(&set_of);
    sigaddset(&set_of, SIGUSR1);
    signals = (int)NEED(signalfd(-1, &set_of, 0));
    CHECK(strstr(fdinfo(signals), "sigmask:\t0000000000000200\n"), "a signalfd's mask");
    timer = (int)NEED(timerfd_create(CLOCK_MONOTONIC, 0));
    NEED(timerfd_settime(timer, 0, &set, NULL));
    IS(line(timer, "clockid: "), CLOCK_MONOTONIC, "a timerfd's clock");
    IS(line(timer, "ticks: "), 0, "its ticks");
    CHECK(strstr(fdinfo(timer), "settime flags: 00\n"), "the flags of its setting");
    CHECK(strstr(fdinfo(timer), "it_value: (999, "), "its time left");
    CHECK(strstr(fdinfo(timer), "it_interval: (7, 5)\n"), "its interval");
    CHECK(!strstr(fdinfo(epoll), "tfd:"), "an empty set");
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event));
    CHECK(sscanf(strstr(fdinfo(epoll), "tfd:") ?: "", "tfd: %d events: %x data: %llx", &entry, &events, &data) == 3 &&
              entry == counter && data == 0x1234567890 && (events & EPOLLIN),
          "an entry of a set");
    for (int i = 0; i < 300; i++) {
        NEED(pipe(pipes[i]));
        NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[i][0], &event));
    }
    CHECK(strstr(fdinfo(epoll), "tfd:"), "a set of hundreds");
    for (int i = 0; i < 300; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    close(epoll);
    close(counter);
    close(signals);
    close(timer);
}

static void body(void)
{
    of_processes();
    of_events();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
