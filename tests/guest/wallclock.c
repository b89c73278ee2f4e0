/*
 * Setting the wall clock: what waits for an absolute time of it follows (timer_settime, timerfd_settime,
 * clock_nanosleep, futexes and what libc makes of them, message queues), what waits for a span of time does not.
 * TFD_TIMER_CANCEL_ON_SET. The clock is set back at the end. Source: clock_settime(2), timer_settime(2),
 * timerfd_create(2), clock_nanosleep(2), futex(2), mq_receive(3).
 */
#include "tap.h"

#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/timerfd.h>

#define MS 1000000L
#define SECOND 1000000000L
#define HOUR 3600

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    NEED(clock_gettime(clock, &t));
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* Moves the wall clock by SECONDS. */
static int step(long seconds)
{
    struct timespec t;

    NEED(clock_gettime(CLOCK_REALTIME, &t));
    t.tv_sec += seconds;
    return clock_settime(CLOCK_REALTIME, &t);
}

static struct itimerspec at(long seconds, int absolute)
{
    struct itimerspec set = {.it_value = {seconds, 0}};

    if (absolute)
        set.it_value.tv_sec += clock_ns(CLOCK_REALTIME) / SECOND;
    return set;
}

static void posix_timers(void)
{
    struct itimerspec absolute = at(HOUR, 1), relative = at(HOUR, 0), left;
    struct timespec patience = {60, 0}, moment = {0, 50 * MS};
    siginfo_t info;
    sigset_t set;
    timer_t on_wall, span;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    NEED(timer_create(CLOCK_REALTIME, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1},
                      &on_wall));
    NEED(timer_create(CLOCK_REALTIME, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2}, &span));
    NEED(timer_settime(on_wall, TIMER_ABSTIME, &absolute, NULL));
    NEED(timer_settime(span, 0, &relative, NULL));
    OKAY(step(2 * HOUR), "the clock is set two hours forward");
    IS(sigtimedwait(&set, &info, &patience), SIGUSR1, "a timer for in one hour by the clock expires");
    FAILS(sigtimedwait(&set, &info, &moment), EAGAIN, "one that waits for an hour does not");
    NEED(timer_gettime(span, &left));
    CHECK(left.it_value.tv_sec > HOUR - 600 && left.it_value.tv_sec <= HOUR, "it has an hour left (%ld s)",
          (long)left.it_value.tv_sec);
    absolute = at(HOUR, 1);
    NEED(timer_settime(on_wall, TIMER_ABSTIME, &absolute, NULL));
    relative = (struct itimerspec){.it_value = {0, 300 * MS}};
    NEED(timer_settime(span, 0, &relative, NULL));
    NEED(step(-2 * HOUR));
    IS(sigtimedwait(&set, &info, &patience), SIGUSR2, "set back: a span is no longer for it");
    NEED(timer_gettime(on_wall, &left));
    CHECK(left.it_value.tv_sec > 2 * HOUR, "but the time by the clock is farther off (%ld s)",
          (long)left.it_value.tv_sec);
    timer_delete(on_wall);
    timer_delete(span);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void *sleeps(void *until) { return (void *)(long)clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, until, NULL); }

static void sleepers(void)
{
    struct timespec until;
    int64_t start;
    pthread_t thread;
    void *result;

    NEED(clock_gettime(CLOCK_REALTIME, &until));
    until.tv_sec += HOUR;
    start = clock_ns(CLOCK_MONOTONIC);
    pthread_create(&thread, NULL, sleeps, &until);
    sleep_ms(100);
    NEED(step(2 * HOUR));
    pthread_join(thread, &result);
    CHECK(result == NULL && clock_ns(CLOCK_MONOTONIC) - start < HOUR * SECOND, "a sleeper's hour is struck early");
    NEED(step(-2 * HOUR));

    NEED(clock_gettime(CLOCK_REALTIME, &until));
    until.tv_sec += 1;
    start = clock_ns(CLOCK_MONOTONIC);
    pthread_create(&thread, NULL, sleeps, &until);
    sleep_ms(50);
    NEED(step(-2));
    pthread_join(thread, &result);
    CHECK(result == NULL && clock_ns(CLOCK_MONOTONIC) - start >= 2 * SECOND, "set back, he sleeps longer");
    NEED(step(2));
}

/* ---- waiting with a time-out by the clock: all for what never comes ---- */

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static sem_t empty;
static mqd_t quiet;
static uint32_t word, locked_word;

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static long futex_waits(const struct timespec *until)
{
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, until, NULL, ~0);
}

/* For the monotonic clock's time UNTIL: that one is not set. */
static long futex_waits_steadily(const struct timespec *until)
{
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, until, NULL, ~0);
}

static long futex_locks(const struct timespec *until)
{
    return syscall(SYS_futex, &locked_word, FUTEX_LOCK_PI, 0, until);
}

static long futex_waits_for_several(const struct timespec *until)
{
    struct {
        uint64_t value, address;
        uint32_t flags, reserved;
    } w = {0, (uintptr_t)&word, 2, 0};

    return syscall(449, &w, 1, 0, until, CLOCK_REALTIME);
}

static long semaphore_waits(const struct timespec *until) { return sem_timedwait(&empty, until); }

static long mutex_waits(const struct timespec *until)
{
    errno = pthread_mutex_timedlock(&held, until);
    return errno == 0 ? 0 : -1;
}

static long queue_waits(const struct timespec *until)
{
    char buffer[16];

    return mq_timedreceive(quiet, buffer, sizeof(buffer), NULL, until);
}

struct waiting {
    long (*wait)(const struct timespec *until);
    struct timespec until;
    int error;     /* it ended with */
    int64_t ended; /* 0: not yet; on the monotonic clock */
};

static void *waits(void *argument)
{
    struct waiting *w = argument;

    w->error = w->wait(&w->until) < 0 ? errno : 0;
    __atomic_store_n(&w->ended, clock_ns(CLOCK_MONOTONIC), __ATOMIC_RELEASE);
    return NULL;
}

static void timed_out(const char *name, long (*wait)(const struct timespec *until))
{
    struct waiting w = {.wait = wait};
    int64_t start = clock_ns(CLOCK_MONOTONIC);
    pthread_t thread;

    NEED(clock_gettime(CLOCK_REALTIME, &w.until));
    w.until.tv_sec += HOUR;
    pthread_create(&thread, NULL, waits, &w);
    sleep_ms(100);
    NEED(step(2 * HOUR));
    pthread_join(thread, NULL);
    NEED(step(-2 * HOUR));
    CHECK(w.error == ETIMEDOUT && w.ended - start < HOUR * SECOND, "%s times out when the clock is set forward", name);

    NEED(clock_gettime(CLOCK_REALTIME, &w.until));
    w.until.tv_sec += 1;
    start = clock_ns(CLOCK_MONOTONIC);
    w.ended = 0;
    pthread_create(&thread, NULL, waits, &w);
    sleep_ms(50);
    NEED(step(-1));
    pthread_join(thread, NULL);
    NEED(step(1));
    CHECK(w.error == ETIMEDOUT && w.ended - start >= 2 * SECOND, "%s waits longer when it is set back", name);
}

static void timeouts(void)
{
    struct waiting steady = {.wait = futex_waits_steadily};
    char name[40];
    pthread_t thread;

    snprintf(name, sizeof(name), "/wallclock%d", (int)getpid());
    quiet = (mqd_t)NEED(mq_open(name, O_RDWR | O_CREAT, 0600, &(struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = 16}));
    NEED(mq_unlink(name));
    NEED(sem_init(&empty, 0, 0));
    pthread_mutex_lock(&held);
    locked_word = (uint32_t)getpid(); /* this thread's, who holds it */
    timed_out("a futex's waiter", futex_waits);
    timed_out("one of several futexes", futex_waits_for_several);
    timed_out("a lock's (FUTEX_LOCK_PI)", futex_locks);
    timed_out("a semaphore's", semaphore_waits);
    timed_out("a mutex's", mutex_waits);
    timed_out("a message queue's", queue_waits);
    mq_close(quiet);

    NEED(clock_gettime(CLOCK_MONOTONIC, &steady.until));
    steady.until.tv_sec += 1;
    pthread_create(&thread, NULL, waits, &steady);
    sleep_ms(50);
    NEED(step(HOUR));
    CHECK(__atomic_load_n(&steady.ended, __ATOMIC_ACQUIRE) == 0, "by the monotonic clock nothing changes");
    NEED(step(-HOUR));
    pthread_join(thread, NULL);
    IS(steady.error, ETIMEDOUT, "until it is time");
}

static int readable(int fd, int patience) { return poll(&(struct pollfd){fd, POLLIN, 0}, 1, patience); }

static void descriptors(void)
{
    int fd = (int)NEED(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK)),
        told = (int)NEED(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
    int span = (int)NEED(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
    struct itimerspec absolute = at(HOUR, 1), far = at(100 * HOUR, 1), relative = at(HOUR, 0), left;
    uint64_t count = 0;

    NEED(timerfd_settime(fd, TFD_TIMER_ABSTIME, &absolute, NULL));
    NEED(timerfd_settime(span, 0, &relative, NULL));
    OKAY(timerfd_settime(told, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL),
         "a timer cancelled by setting");
    FAILS(read(told, &count, 8), EAGAIN, "not yet");
    NEED(step(2 * HOUR));
    IS(readable(fd, 60000), 1, "a timerfd by the clock expires");
    CHECK(read(fd, &count, 8) == 8 && count == 1, "once");
    IS(readable(span, 50), 0, "one for a span does not");
    IS(readable(told, 0), 1, "the third is readable");
    FAILS(read(told, &count, 8), ECANCELED, "and says so");
    FAILS(read(told, &count, 8), EAGAIN, "once");
    NEED(timerfd_gettime(told, &left));
    CHECK(left.it_value.tv_sec > 97 * HOUR && left.it_value.tv_sec < 99 * HOUR, "it goes on (%ld s)",
          (long)left.it_value.tv_sec);
    NEED(step(-2 * HOUR));
    FAILS(timerfd_settime(told, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL), ECANCELED,
          "a new setting is told of it, too");
    OKAY(timerfd_settime(told, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL), "once");
    NEED(timerfd_settime(told, TFD_TIMER_ABSTIME, &far, NULL));
    NEED(step(1));
    IS(readable(told, 0), 0, "without the flag it is told nothing");
    NEED(step(-1));
    close(fd);
    close(told);
    close(span);
}

static void body(void)
{
    posix_timers();
    sleepers();
    timeouts();
    descriptors();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
