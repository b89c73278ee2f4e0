/*
 * Remounting read-only again and again while programs change names: remount DEVICE [ROUNDS]. Each call of theirs works,
 * or says EROFS; while the file system is read-only, nothing changes. Source: mount(2).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 3

static _Noreturn void fail(const char *what)
{
    printf("remount: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A call, again and again while the file system is read-only. */
#define PERSIST(call)           \
    do {                        \
        while ((call) < 0)      \
            if (errno != EROFS) \
                fail(#call);    \
    } while (0)

/* A file of 600 KB, whose removal takes some transactions of a small journal. Nobody can remount while it is open. */
static void write_large(const char *name)
{
    static char data[10000];
    int fd;

    PERSIST(fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600));
    for (int i = 0; i < 60; i++)
        PERSIST(write(fd, data, sizeof(data)));
    close(fd);
}

static _Noreturn void work(int number)
{
    char a[40], b[40];

    snprintf(a, sizeof(a), "/mnt/a%d", number);
    snprintf(b, sizeof(b), "/mnt/b%d", number);
    for (int i = 0;; i++) {
        PERSIST(mkdir(a, 0700));
        PERSIST(rename(a, b));
        PERSIST(rmdir(b));
        PERSIST(symlink("target", a));
        PERSIST(link(a, b));
        PERSIST(unlink(a));
        PERSIST(unlink(b));
        if (i % 20 == number) {
            write_large(a);
            PERSIST(truncate(a, 100000));
            PERSIST(unlink(a));
        }
    }
}

static void read_only_for_a_while(void)
{
    struct stat before, after;

    if (stat("/mnt", &before) != 0 || mkdir("/mnt/new", 0700) == 0 || errno != EROFS)
        fail("mkdir on a read-only file system");
    usleep(20000);
    if (stat("/mnt", &after) != 0 || before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
        before.st_mtim.tv_nsec != after.st_mtim.tv_nsec)
        fail("it changed while it was read-only");
}

int main(int argc, char **argv)
{
    int rounds = argc > 2 ? atoi(argv[2]) : 30, read_only = 0, status;
    pid_t workers[WORKERS];

    setbuf(stdout, NULL);
    mkdir("/mnt", 0755);
    if (argc < 2 || mount(argv[1], "/mnt", "ext3", 0, "") != 0)
        fail("mount");
    for (int i = 0; i < WORKERS; i++)
        if ((workers[i] = fork()) == 0)
            work(i);
    for (int i = 0; i < 20 * rounds && read_only < rounds; i++) {
        usleep((useconds_t)(1000 + i * 997 % 20000));
        if (mount(NULL, "/mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0) {
            if (errno != EBUSY)
                fail("remount,ro");
            continue;
        }
        read_only++;
        read_only_for_a_while();
        if (mount(NULL, "/mnt", NULL, MS_REMOUNT, NULL) != 0)
            fail("remount,rw");
    }
    for (int i = 0; i < WORKERS; i++) {
        if (waitpid(workers[i], &status, WNOHANG) != 0)
            fail("a worker has ended");
        kill(workers[i], SIGKILL);
        waitpid(workers[i], &status, 0);
    }
    if (umount("/mnt") != 0)
        fail("umount");
    printf("%s\n", read_only > 0 ? "done" : "always busy");
    return 0;
}
