/*
 * Processes, threads and what passes between them.
 */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include "measure.h"
#include "memory.h"

#include <linux/futex.h>
#include <pthread.h>
#include <spawn.h>

MEASURE(fork_exit_wait, "op", "fork + exit + wait, small process") { return TIMES(9, 10, fork_and_wait()); }

static double fork_with_64m(int small)
{
    size_t pages = 64 * MIB / PAGE;
    double result;
    char *at;

    if (!memory_is_at_least(200 * MIB))
        return NONE;
    at = small ? map_small(pages, RW) : map_pages(pages, RW);
    store_all(at, pages);
    result = TIMES(5, 2, fork_and_wait());
    unmap_pages(at, pages);
    return result;
}

MEASURE(fork_exit_wait_64m, "op", "with 64 MiB touched, default THP") { return fork_with_64m(0); }

MEASURE(fork_exit_wait_64m_nothp, "op", "with 64 MiB touched in 4 KiB pages") { return fork_with_64m(1); }

static char *exit_arguments[] = {"vmbench", "--exit", NULL};
extern char **environ;

static __attribute__((noinline)) void fork_and_exec(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        execve(self_path, exit_arguments, environ);
        _exit(1);
    }
    wait_for(pid);
}

static __attribute__((noinline)) void vfork_and_exec(void)
{
    pid_t pid = vfork();

    if (pid == 0) {
        execve(self_path, exit_arguments, environ);
        _exit(1);
    }
    wait_for(pid);
}

MEASURE(fork_exec, "op", "fork + exec self + exit + wait") { return TIMES(9, 5, fork_and_exec()); }

MEASURE(vfork_exec, "op", "vfork + exec self + exit + wait") { return TIMES(9, 5, vfork_and_exec()); }

MEASURE(posix_spawn_self, "op", "posix_spawn self + exit + wait")
{
    return TIMES(9, 5, {
        pid_t pid;

        must(posix_spawn(&pid, self_path, NULL, NULL, exit_arguments, environ) == 0, "posix_spawn");
        wait_for(pid);
    });
}

static void *nothing(void *argument) { return argument; }

MEASURE(thread_create_join, "op", "pthread_create + join")
{
    return TIMES(9, 50, {
        pthread_t thread;

        must(pthread_create(&thread, NULL, nothing, NULL) == 0, "pthread_create");
        pthread_join(thread, NULL);
    });
}

/* ---- Round trips ---- */

static cpu_set_t all_cpus;

static void pin(int on)
{
    cpu_set_t first;

    if (on) {
        sched_getaffinity(0, sizeof(all_cpus), &all_cpus);
        CPU_ZERO(&first);
        CPU_SET(0, &first);
        sched_setaffinity(0, sizeof(first), &first);
    } else {
        sched_setaffinity(0, sizeof(all_cpus), &all_cpus);
    }
}

static double pipe_round_trip(int pinned)
{
    int there[2], back[2];
    double result;
    char byte = 0;
    pid_t pid;

    if (pinned)
        pin(1);
    must(pipe(there) == 0 && pipe(back) == 0, "pipe");
    pid = fork();
    if (pid == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
            ;
        _exit(0);
    }
    close(there[0]);
    result = TIMES(9, 200, must(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "pipe"));
    close(there[1]);
    wait_for(pid);
    close(back[0]);
    close(back[1]);
    if (pinned)
        pin(0);
    return result;
}

MEASURE(pipe_pingpong, "rtt", "two processes, 1 byte, round trip") { return pipe_round_trip(0); }

MEASURE(pipe_pingpong_pin, "rtt", "the same, both on CPU 0") { return pipe_round_trip(1); }

MEASURE(pipe_self, "op", "write + read 1 byte in one process")
{
    int fds[2];
    char byte = 0;
    double result;

    must(pipe(fds) == 0, "pipe");
    result = TIMES(9, 300, must(write(fds[1], &byte, 1) == 1 && read(fds[0], &byte, 1) == 1, "pipe"));
    close(fds[0]);
    close(fds[1]);
    return result;
}

MEASURE(ctx_switch, "switch", "pipe_pingpong_pin / 2 - pipe_self") { return pipe_pingpong_pin() / 2 - pipe_self(); }

static volatile int ball;

static void pass_ball(int mine, int theirs)
{
    while (ball != mine)
        syscall(SYS_futex, &ball, FUTEX_WAIT_PRIVATE, theirs, NULL, NULL, 0);
    ball = theirs;
    syscall(SYS_futex, &ball, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#define PASSES (10 * 200)

static void *return_ball(void *unused)
{
    for (int i = 0; i < PASSES; i++)
        pass_ball(1, 0);
    return unused;
}

static double futex_round_trip(int pinned)
{
    pthread_t thread;
    double result;

    if (pinned)
        pin(1);
    ball = 0;
    must(pthread_create(&thread, NULL, return_ball, NULL) == 0, "pthread_create");
    result = TIMES(9, 200, { /* passed on when it comes back, so each turn is a round trip */
                             pass_ball(0, 1);
    });
    pthread_join(thread, NULL);
    if (pinned)
        pin(0);
    return result;
}

MEASURE(futex_pingpong, "rtt", "two threads, round trip") { return futex_round_trip(0); }

MEASURE(futex_pingpong_pin, "rtt", "the same, both on CPU 0") { return futex_round_trip(1); }

static void ignore(int signo) { (void)signo; }

MEASURE(signal_self, "op", "kill(self), handler, sigreturn")
{
    double result;
    pid_t pid = getpid();

    signal(SIGUSR1, ignore);
    result = TIMES(9, 200, kill(pid, SIGUSR1));
    signal(SIGUSR1, SIG_DFL);
    return result;
}

#endif
