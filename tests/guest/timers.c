/*
 * Clocks, sleeping, interval timers, POSIX timers, timer descriptors. Nothing here fails because the machine is slow:
 * times are only checked from below, or against each other. Source: clock_gettime(2), nanosleep(2), clock_nanosleep(2),
 * setitimer(2), alarm(2), timer_create(2), timerfd_create(2).
 */
#include "tap.h"

#include <poll.h>
#include <pthread.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>

#define MS 1000000L

static volatile sig_atomic_t ticks, last_code, last_value;
static timer_t timer;

static void tick(int signo UNUSED, siginfo_t *info, void *context UNUSED)
{
    ticks++;
    last_code = info->si_code;
    last_value = info->si_value.sival_int;
}

static void on_signal(int signo)
{
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO};

    sigaction(signo, &action, NULL);
    ticks = 0;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec time;

    NEED(clock_gettime(clock, &time));
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* Wait for a number of ticks, with a bound that only a broken kernel reaches. */
static int ticked(int count)
{
    for (int i = 0; i < 2000 && ticks < count; i++)
        sleep_ms(5);
    return ticks >= count;
}

static void clocks(void)
{
    static const clockid_t known[] = {CLOCK_REALTIME,           CLOCK_MONOTONIC,        CLOCK_MONOTONIC_RAW,
                                      CLOCK_BOOTTIME,           CLOCK_REALTIME_COARSE,  CLOCK_MONOTONIC_COARSE,
                                      CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    struct timespec value, raw;
    int64_t last = 0, now, cpu;
    int good = 1;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        good &= clock_gettime(known[i], &value) == 0 && value.tv_nsec >= 0 && value.tv_nsec < 1000000000;
        good &= clock_getres(known[i], &value) == 0 && value.tv_sec == 0 && value.tv_nsec > 0;
    }
    CHECK(good, "eight clocks and their resolutions");
    for (int i = 0; i < 10000; i++) {
        now = clock_ns(CLOCK_MONOTONIC);
        good &= now >= last;
        last = now;
    }
    CHECK(good, "CLOCK_MONOTONIC never goes back");
    NEED(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &raw));
    now = clock_ns(CLOCK_MONOTONIC);
    CHECK(raw.tv_sec * 1000000000L + raw.tv_nsec >= last && raw.tv_sec * 1000000000L + raw.tv_nsec <= now,
          "the system call and the vDSO agree");
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (volatile int i = 0; i < 20000000; i++)
        ;
    CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) > cpu, "work counts on CLOCK_PROCESS_CPUTIME_ID");
    FAILS(clock_gettime(99, &value), EINVAL, "an unknown clock");
    FAILS(clock_getres(99, &value), EINVAL, "for clock_getres");
    now = clock_ns(CLOCK_REALTIME) / 1000000000;
    CHECK(labs(time(NULL) - now) <= 1, "time() and CLOCK_REALTIME agree");
}

static void sleeping(void)
{
    struct timespec bad = {0, 1000000000}, negative = {-1, 0}, wait = {0, 30 * MS}, until;
    int64_t began = clock_ns(CLOCK_MONOTONIC);

    IS(nanosleep(&wait, NULL), 0, "nanosleep");
    CHECK(clock_ns(CLOCK_MONOTONIC) - began >= 30 * MS, "lasts as long as asked");
    FAILS(nanosleep(&bad, NULL), EINVAL, "too many nanoseconds");
    FAILS(nanosleep(&negative, NULL), EINVAL, "negative seconds");
    began = clock_ns(CLOCK_MONOTONIC) + 30 * MS;
    until = (struct timespec){began / 1000000000, began % 1000000000};
    IS(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0, "clock_nanosleep to a time");
    CHECK(clock_ns(CLOCK_MONOTONIC) >= began, "not before it");
    IS(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0, "to a time that has passed");
    IS(clock_nanosleep(99, 0, &until, NULL), EINVAL, "by an unknown clock");
    IS(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &until, NULL), EINVAL, "by the thread's own clock");
}

static int die_by_alarm(void *unused UNUSED)
{
    struct itimerval once = {{0, 0}, {0, 20000}};

    signal(SIGALRM, SIG_DFL);
    setitimer(ITIMER_REAL, &once, NULL);
    while (1)
        pause();
    return 0;
}

static int itimer_in_child(void *unused UNUSED)
{
    struct itimerval left;

    return getitimer(ITIMER_REAL, &left) == 0 && left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0 ? 0 : 1;
}

static void interval_timers(void)
{
    struct itimerval set = {{0, 10000}, {0, 10000}}, old, bad = {{0, 0}, {0, 1000000}}, off = {{0, 0}, {0, 0}};

    on_signal(SIGALRM);
    set.it_value.tv_usec = 0;
    NEED(setitimer(ITIMER_REAL, &set, NULL));
    NEED(getitimer(ITIMER_REAL, &old));
    IS(old.it_interval.tv_usec, 0, "a timer that is not set has no interval either");
    set.it_value.tv_usec = 10000;
    OKAY(setitimer(ITIMER_REAL, &set, NULL), "setitimer");
    CHECK(ticked(3), "ticks again and again");
    NEED(getitimer(ITIMER_REAL, &old));
    CHECK(old.it_interval.tv_usec == 10000 && old.it_value.tv_usec <= 10000,
          "getitimer tells the interval and what is left");
    EXITS(itimer_in_child, NULL, 0, "a child does not inherit it");
    NEED(setitimer(ITIMER_REAL, &off, &old));
    IS(old.it_interval.tv_usec, 10000, "and setitimer tells it when it stops it");
    ticks = 0;
    sleep_ms(40);
    IS(ticks, 0, "then it is quiet");
    FAILS(setitimer(ITIMER_REAL, &bad, NULL), EINVAL, "a million microseconds");
    FAILS(setitimer(77, &off, NULL), EINVAL, "an unknown timer");
    IS(alarm(100), 0, "alarm");
    CHECK(alarm(0) >= 99, "tells what was left");
    IS(in_child(die_by_alarm, NULL).signal, SIGALRM, "SIGALRM kills who does not catch it");
    signal(SIGALRM, SIG_DFL);

    on_signal(SIGVTALRM);
    NEED(setitimer(ITIMER_VIRTUAL, &set, NULL));
    while (!ticks)
        ;
    CHECK(1, "ITIMER_VIRTUAL ticks while the program computes");
    NEED(setitimer(ITIMER_VIRTUAL, &off, NULL));
    signal(SIGVTALRM, SIG_DFL);
    on_signal(SIGPROF);
    NEED(setitimer(ITIMER_PROF, &set, NULL));
    while (!ticks)
        getppid();
    CHECK(1, "ITIMER_PROF while the system works for it, too");
    NEED(setitimer(ITIMER_PROF, &off, NULL));
    signal(SIGPROF, SIG_DFL);
}

static void posix_timers(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
    struct itimerspec set = {{0, 0}, {0, 10 * MS}}, left, off = {{0, 0}, {0, 0}}, bad = {{0, 0}, {0, -1}};
    sigset_t block;
    int64_t until;

    on_signal(SIGUSR1);
    OKAY(timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
    OKAY(timer_settime(timer, 0, &set, NULL), "timer_settime");
    CHECK(ticked(1), "signals");
    CHECK(last_code == SI_TIMER && last_value == 77, "with SI_TIMER and its value");
    NEED(timer_gettime(timer, &left));
    CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0, "once only");
    until = clock_ns(CLOCK_MONOTONIC) + 10 * MS;
    set.it_value = (struct timespec){until / 1000000000, until % 1000000000};
    ticks = 0;
    NEED(timer_settime(timer, TIMER_ABSTIME, &set, NULL));
    CHECK(ticked(1) && clock_ns(CLOCK_MONOTONIC) >= until, "at an absolute time");

    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    set = (struct itimerspec){{0, 5 * MS}, {0, 5 * MS}};
    ticks = 0;
    NEED(timer_settime(timer, 0, &set, NULL));
    sleep_ms(60);
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    CHECK(ticks >= 1 && ticks <= 3 && timer_getoverrun(timer) >= 1,
          "expiries while it is blocked are counted as overruns");
    NEED(timer_settime(timer, 0, &off, NULL));
    FAILS(timer_settime(timer, 0, &bad, NULL), EINVAL, "a bad time");
    OKAY(timer_delete(timer), "timer_delete");
    FAILS(timer_delete(timer), EINVAL, "twice");
    FAILS(syscall(SYS_timer_settime, 12345, 0, &off, NULL), EINVAL, "timer_settime of nothing");
    event.sigev_signo = 99;
    FAILS(timer_create(CLOCK_MONOTONIC, &event, &timer), EINVAL, "no such signal");
    signal(SIGUSR1, SIG_DFL);
}

/* Such a sleep ends by a signal. */
static void far_sleeps(void)
{
    static const clockid_t known[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_MONOTONIC, CLOCK_REALTIME};
    struct itimerval value = {.it_value = {0, 20000}};
    struct timespec ages = {INT64_MAX, 0};

    on_signal(SIGALRM);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        for (int flags = 0; flags <= TIMER_ABSTIME; flags++) {
            NEED(setitimer(ITIMER_REAL, &value, NULL));
            IS(clock_nanosleep(known[i], flags, &ages, NULL), EINTR, "clock %d, flags %d: a sleep of ages", known[i],
               flags);
        }
    signal(SIGALRM, SIG_DFL);
}

/* An interval so long that its next end cannot be told in nanoseconds: the timer expires once. */
static void far_intervals(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec spec = {.it_interval = {INT64_MAX, 0}, .it_value = {0, MS}}, left;
    struct itimerval value = {.it_interval = {INT64_MAX, 0}, .it_value = {0, 1000}}, now, off = {{0, 0}, {0, 0}};

    on_signal(SIGALRM);
    ticks = 0;
    NEED(setitimer(ITIMER_REAL, &value, NULL));
    CHECK(ticked(1), "setitimer with an interval of ages");
    sleep_ms(30);
    IS(ticks, 1, "ticks once");
    NEED(getitimer(ITIMER_REAL, &now));
    CHECK(now.it_value.tv_sec > 1000000000 && now.it_interval.tv_sec > 1000000000, "and has ages left");
    NEED(setitimer(ITIMER_REAL, &off, NULL));
    signal(SIGALRM, SIG_DFL);

    on_signal(SIGUSR1);
    ticks = 0;
    NEED(timer_create(CLOCK_MONOTONIC, &event, &timer));
    NEED(timer_settime(timer, 0, &spec, NULL));
    CHECK(ticked(1), "timer_settime with such an interval");
    sleep_ms(30);
    IS(ticks, 1, "ticks once");
    NEED(timer_gettime(timer, &left));
    CHECK(left.it_value.tv_sec > 1000000000, "and has ages left");
    NEED(timer_delete(timer));
    signal(SIGUSR1, SIG_DFL);
}

static void timer_descriptors(void)
{
    struct itimerspec set = {{0, 5 * MS}, {0, 5 * MS}}, left;
    uint64_t count = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct pollfd item = {fd, POLLIN, 0};

    if (fd < 0) {
        CHECK(errno == ENOSYS, "timerfd_create is not there, and says so");
        return;
    }
    FAILS(read(fd, &count, 8), EAGAIN, "timerfd: nothing yet");
    OKAY(timerfd_settime(fd, 0, &set, NULL), "timerfd_settime");
    IS(poll(&item, 1, 10000), 1, "poll");
    sleep_ms(30);
    IS(read(fd, &count, 8), 8, "read");
    CHECK(count >= 3, "counts expiries (%lu)", (unsigned long)count);
    FAILS(read(fd, &count, 4), EINVAL, "into too small a buffer");
    NEED(timerfd_gettime(fd, &left));
    IS(left.it_interval.tv_nsec, 5 * MS, "timerfd_gettime");
    close(fd);
    FAILS(timerfd_create(99, 0), EINVAL, "an unknown clock");
    FAILS(timerfd_create(CLOCK_MONOTONIC, 0x10), EINVAL, "unknown flags");
}

/* A setting takes the signal back that the one before has sent and nobody has got. */
static void set_again(void)
{
    struct itimerspec soon = {.it_value = {0, MS}, .it_interval = {0, MS}}, late = {.it_value = {100, 0}};
    sigset_t set, pending;
    timer_t id;

    on_signal(SIGUSR1);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    NEED(timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1}, &id));
    NEED(timer_settime(id, 0, &soon, NULL));
    do {
        sleep_ms(5);
        sigpending(&pending);
    } while (!sigismember(&pending, SIGUSR1));
    NEED(timer_settime(id, 0, &late, NULL));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    IS(ticks, 0, "a timer set anew takes its pending signal back");
    NEED(timer_delete(id));
}

static pthread_t busy_thread;
static volatile sig_atomic_t elsewhere;

static void tick_where(int signo UNUSED)
{
    if (!pthread_equal(pthread_self(), busy_thread))
        elsewhere++;
    ticks++;
}

static void *be_busy(void *unused)
{
    struct itimerspec often = {.it_value = {0, MS}, .it_interval = {0, MS}};
    timer_t id;

    sleep_ms(20); /* the other thread sleeps */
    NEED(timer_create(CLOCK_PROCESS_CPUTIME_ID, NULL, &id));
    NEED(timer_settime(id, 0, &often, NULL));
    while (ticks < 20 && !elsewhere)
        ;
    NEED(timer_delete(id));
    return unused;
}

/* The signal of a timer on CPU time goes to a thread that runs. */
static void who_is_told(void)
{
    signal(SIGALRM, tick_where);
    ticks = 0;
    NEED(-pthread_create(&busy_thread, NULL, be_busy, NULL));
    pthread_join(busy_thread, NULL);
    IS(elsewhere, 0, "a CPU timer's signals go to the thread that runs");
}

static void body(void)
{
    set_again();
    who_is_told();
    clocks();
    sleeping();
    interval_timers();
    posix_timers();
    far_intervals();
    far_sleeps();
    timer_descriptors();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
