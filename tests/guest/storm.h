/* For the tests that make random calls: where the numbers come from, and whether the kernel serves others after it. */
#ifndef STORM_H
#define STORM_H

#include "tap.h"

/* Of this thread: one seed, the same numbers. Not 0. */
static __thread uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 2685821657736338717u;
}

static unsigned pick(unsigned below) { return (unsigned)(next() >> 33) % below; }

#define ONE_OF(array) ((array)[pick(sizeof(array) / sizeof((array)[0]))])

static int still_serves(void)
{
    int fds[2], fd = open("probe", O_RDWR | O_CREAT, 0644), status = 1;
    char byte = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return fd >= 0 && pwrite(fd, "p", 1, 0) == 1 && pread(fd, &byte, 1, 0) == 1 && byte == 'p' && close(fd) == 0 &&
           pipe(fds) == 0 && close(fds[0]) == 0 && close(fds[1]) == 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

#endif
