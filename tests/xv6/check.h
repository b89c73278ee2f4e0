/*
 * Test points for programs in xv6's style: CHECK(condition, "what holds"). finish() says the plan and exits with 1 when
 * a point failed. Points count in the process that began only: children tell by their exit status.
 */
#ifndef TESTS_XV6_CHECK_H
#define TESTS_XV6_CHECK_H

#include "kernel/types.h"
#include "kernel/fcntl.h"
#include "kernel/fs.h"
#include "kernel/memlayout.h"
#include "kernel/param.h"
#include "kernel/riscv.h"
#include "kernel/stat.h"
#include "user/user.h"

static int points, failures;

#define CHECK(condition, what) check((condition) != 0, what, __LINE__)

static inline void check(int good, const char *what, int line)
{
    printf("%s %d - %s\n", good ? "ok" : "not ok", ++points, what);
    if (!good) {
        printf("# line %d\n", line);
        failures++;
    }
}

static inline __attribute__((noreturn)) void finish(void)
{
    printf("1..%d\n", points);
    exit(failures != 0);
}

/* Runs BODY in a child; its exit status as wait() tells it, -2 when there is no child. */
static inline int status_of(void (*body)(void))
{
    int pid = fork(), status = -3;

    if (pid == 0) {
        body();
        exit(0);
    }
    return pid > 0 && wait(&status) == pid ? status : -2;
}

/* A file of LENGTH bytes, of which byte I is FIRST + I / PGSIZE. */
static inline int make_file(const char *name, int length, char first)
{
    int fd = open(name, O_CREATE | O_TRUNC | O_RDWR);
    char block[512];

    for (int at = 0; fd >= 0 && at < length; at += sizeof(block)) {
        int part = length - at < (int)sizeof(block) ? length - at : (int)sizeof(block);

        memset(block, first + at / PGSIZE, part);
        if (write(fd, block, part) != part)
            return -1;
    }
    return fd;
}

#endif
