/*
 * Memory full of file pages, in small pieces: whoever needs several pages that lie together in the kernel gets them,
 * since file pages can go. (A fork needs a stack, copy_file_range a buffer, a set of semaphores a table.)
 */
#include "tap.h"

#include <sys/sem.h>

static unsigned seed = 1;

static size_t pick(size_t below) { return (seed = seed * 1103515245 + 12345) / 65536 % below; }

/* Pages of a large sparse file in any order, some of them twice, so that some look used and some do not. */
static void fill(int fd, size_t pages)
{
    char byte;

    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* page by page */
    for (size_t i = 0; i < pages; i++) {
        size_t page = pick(pages);

        for (size_t times = 1 + pick(2); times > 0; times--)
            NEED(pread(fd, &byte, 1, page * PAGE));
    }
}

/* Copies parts of one large file to another: dirty pages fill the memory. Returns how often it failed. */
static int copier(void *which)
{
    static char block[16 * PAGE];
    size_t length = 48UL << 20;
    char name[20];
    int from, to, failed = 0;

    seed = (unsigned)(uintptr_t)which;
    snprintf(name, sizeof(name), "from-%u", seed);
    from = make_file(name, "", 0);
    snprintf(name, sizeof(name), "to-%u", seed);
    to = make_file(name, "", 0);
    memset(block, 7, sizeof(block));
    for (size_t at = 0; at < length; at += sizeof(block))
        if (pwrite(from, block, sizeof(block), at) != sizeof(block))
            return 100;
    for (int i = 0; i < 50; i++) {
        loff_t in = pick(length / PAGE / 2) * PAGE, out = pick(length / PAGE / 2) * PAGE;

        if (copy_file_range(from, &in, to, &out, 2 << 20, 0) <= 0)
            failed++;
    }
    return failed;
}

static void copiers(void)
{
    int status, failed = 0;

    for (uintptr_t i = 1; i <= 3; i++)
        if (NEED(fork()) == 0)
            _exit(copier((void *)i));
    for (int i = 0; i < 3; i++) {
        NEED(wait(&status));
        failed += WEXITSTATUS(status);
    }
    IS(failed, 0, "copies that fail while dirty pages fill the memory");
}

static void body(void)
{
    int fd, from, to, forked = 0, copied = 0, sets = 0, tables = 0;
    struct rlimit files = {65536, 65536};
    struct sysinfo info;
    size_t pages;

    NEED(sysinfo(&info));
    if (info.totalram > 512UL << 20) {
        skip("full of file pages", "more memory than is worth while");
        return;
    }
    pages = info.totalram / PAGE * 3 / 2;
    setrlimit(RLIMIT_NOFILE, &files);
    fd = (int)NEED(open("large", O_RDWR | O_CREAT, 0600));
    NEED(ftruncate(fd, pages * PAGE));
    from = make_file("from", "", 0);
    NEED(ftruncate(from, 4 * PAGE));
    to = make_file("to", "", 0);
    for (int round = 0; round < 20; round++) {
        int set, high;
        pid_t pid;

        fill(fd, round == 0 ? pages : pages / 8);
        pid = fork();
        if (pid == 0)
            _exit(0);
        forked += pid > 0 && waitpid(pid, NULL, 0) == pid;
        copied += copy_file_range(from, &(loff_t){0}, to, &(loff_t){0}, 4 * PAGE, 0) == 4 * (ssize_t)PAGE;
        set = semget(IPC_PRIVATE, 2000, 0600);
        sets += set >= 0 && semctl(set, 0, IPC_RMID) == 0;
        high = fcntl(fd, F_DUPFD, 2000 + round * 100);
        tables += high >= 0 && close(high) == 0;
    }
    copiers();
    IS(forked, 20, "forks");
    IS(copied, 20, "copies");
    IS(sets, 20, "large sets of semaphores");
    IS(tables, 20, "large tables of descriptors");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
