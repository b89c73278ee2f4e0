/*
 * What counts to a real user, and to whom: processes and threads (RLIMIT_NPROC), pending signals and timers
 * (RLIMIT_SIGPENDING). What a user has in use is known by what is left of a limit. Source: getrlimit(2), setresuid(2),
 * timer_create(2), sigqueue(3).
 *
 *     user_counts [DIR] [ROUNDS (150)]
 */
#include "tap.h"

#include <pthread.h>
#include <stdbool.h>

#define LIMIT 12
#define MAKERS 2
#define CHANGERS 2

static const uid_t users[] = {60001, 60002};
static int rounds = 150;
static volatile bool is_over;

static int become(uid_t user) { return setresuid(user, user, user); }

/* Processes that a user may still make. */
static int room_for_processes(void *user)
{
    struct rlimit limit = {LIMIT, LIMIT};
    pid_t children[2 * LIMIT];
    int n = 0;

    if (setrlimit(RLIMIT_NPROC, &limit) || become(*(const uid_t *)user))
        return 99;
    while (n < 2 * LIMIT && (children[n] = fork()) >= 0) {
        if (children[n] == 0) {
            pause();
            _exit(0);
        }
        n++;
    }
    for (int i = 0; i < n; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    return n;
}

/* Each has a process that lasts, so that what is counted to it does not begin anew. */
static pid_t keeper(uid_t user)
{
    pid_t pid = (pid_t)NEED(fork());

    if (pid == 0) {
        if (become(user))
            _exit(1);
        pause();
        _exit(0);
    }
    return pid;
}

/* ---- users change while threads and processes come and go ---- */

/* The C library would change the ids of all threads. */
static void *change(void *unused UNUSED)
{
    for (int i = 0; !is_over; i++)
        syscall(SYS_setresuid, users[i % 2], -1, -1);
    return NULL;
}

static void *nothing(void *unused) { return unused; }

static void *make(void *unused UNUSED)
{
    for (int i = 0; i < rounds; i++) {
        pthread_t thread;
        pid_t pid;

        if (pthread_create(&thread, NULL, nothing, NULL) == 0)
            pthread_join(thread, NULL);
        pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid > 0)
            waitpid(pid, NULL, 0);
    }
    return NULL;
}

static int come_and_go(void *unused UNUSED)
{
    pthread_t makers[MAKERS], changers[CHANGERS];

    if (setresuid(users[0], 0, 0)) /* which still may change it */
        return 1;
    for (int i = 0; i < CHANGERS; i++)
        if (pthread_create(&changers[i], NULL, change, NULL) != 0)
            return 2;
    for (int i = 0; i < MAKERS; i++)
        if (pthread_create(&makers[i], NULL, make, NULL) != 0)
            return 3;
    for (int i = 0; i < MAKERS; i++)
        pthread_join(makers[i], NULL);
    is_over = true;
    for (int i = 0; i < CHANGERS; i++)
        pthread_join(changers[i], NULL);
    return 0;
}

static void processes(void)
{
    pid_t keepers[2];

    for (int i = 0; i < 2; i++)
        keepers[i] = keeper(users[i]);
    sleep_ms(50);
    for (int i = 0; i < 2; i++)
        EXITS(room_for_processes, (void *)&users[i], LIMIT - 2, "a user with two processes");
    EXITS(come_and_go, NULL, 0, "threads and processes come and go while their user changes");
    for (int i = 0; i < 2; i++)
        EXITS(room_for_processes, (void *)&users[i], LIMIT - 2, "none of them still counts to user %d", i);
    for (int i = 0; i < 2; i++) {
        kill(keepers[i], SIGKILL);
        waitpid(keepers[i], NULL, 0);
    }
}

/* ---- signals and timers ---- */

#define MANY 64

static timer_t timers[MANY];

/* How many of MANY can be made, each of which has a place for its signal. */
static int make_timers(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    int n = 0;

    while (n < MANY && timer_create(CLOCK_MONOTONIC, &event, &timers[n]) == 0)
        n++;
    return n;
}

static int queue_signals(void)
{
    int n = 0;

    while (n < MANY && sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = n}) == 0)
        n++;
    return n;
}

static int limited_signals(void *user)
{
    struct rlimit limit = {LIMIT, LIMIT};
    sigset_t all;
    int n;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (setrlimit(RLIMIT_SIGPENDING, &limit) || become(*(const uid_t *)user))
        return 99;
    if (make_timers() != LIMIT || errno != EAGAIN)
        return 1;
    if (queue_signals() != 0 || errno != EAGAIN)
        return 2;
    for (n = 0; n < LIMIT; n++)
        if (timer_delete(timers[n]))
            return 3;
    if (queue_signals() != LIMIT)
        return 4;
    if (make_timers() != 0)
        return 5;
    return 0;
}

static void signals(void)
{
    EXITS(limited_signals, (void *)&users[0], 0, "RLIMIT_SIGPENDING is for queued signals and timers together");
    EXITS(limited_signals, (void *)&users[0], 0, "and all are given back at a process's end");
}

static void body(void)
{
    if (tap_arguments[0])
        rounds = atoi(tap_arguments[0]);
    if (geteuid() != 0) {
        skip("what counts to users", "only root may become others");
        return;
    }
    processes();
    signals();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
