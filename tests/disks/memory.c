/*
 * Allocations that fail in the middle of changes, one after another, while another process makes the journal commit
 * what they change: memory DEVICE. Needs a kernel that can be told to fail (/proc/thread-self/fail-nth).
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

#define MOST_ALLOCATIONS 25

static int fail_file;

static _Noreturn void fail(const char *what)
{
    printf("memory: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void set_failure(int n)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d", n);

    if (pwrite(fail_file, text, length, 0) != length && pwrite(fail_file, text, length, 0) != length)
        fail("fail-nth");
}

/* With the N-th allocation failing: CALL works, or there was no memory. */
#define TRY(n, call)                                                                                   \
    do {                                                                                               \
        long result;                                                                                   \
        set_failure(n);                                                                                \
        result = (call);                                                                               \
        set_failure(0);                                                                                \
        if (result < 0 && errno != ENOMEM && errno != ENOENT) /* what it is about could not be made */ \
            fail(#call);                                                                               \
    } while (0)

static void change_much(int n)
{
    static char data[40000];
    int fd;

    TRY(n, mkdir("d", 0700));
    TRY(n, symlink("/a/target/that/needs/a/block/of/its/own/because/it/is/longer/than/sixty/characters", "s"));
    fd = open("f", O_WRONLY | O_CREAT, 0600);
    if (fd < 0)
        fail("open");
    for (int i = 0; i < 10; i++)
        TRY(n, write(fd, data, sizeof(data)));
    TRY(n, ftruncate(fd, 100000));
    TRY(n, fsync(fd));
    close(fd);
    TRY(n, link("f", "g"));
    TRY(n, rename("g", "f2"));
    unlink("f2");
    unlink("g");
    TRY(n, unlink("f"));
    unlink("s");
    TRY(n, rmdir("d"));
    rmdir("d");
}

int main(int argc, char **argv)
{
    pid_t committer;
    int status;

    setbuf(stdout, NULL);
    fail_file = open("/proc/thread-self/fail-nth", O_RDWR);
    if (fail_file < 0) {
        printf("no faults\n");
        return 0;
    }
    mkdir("/mnt", 0755);
    if (argc < 2 || mount(argv[1], "/mnt", "ext3", 0, "") != 0 || chdir("/mnt") != 0)
        fail("mount");
    committer = fork();
    while (committer == 0)
        sync();
    for (int n = 1; n <= MOST_ALLOCATIONS; n++)
        for (int i = 0; i < 2; i++)
            change_much(n);
    kill(committer, SIGKILL);
    waitpid(committer, &status, 0);
    if (chdir("/") != 0 || umount("/mnt") != 0)
        fail("umount");
    printf("done\n");
    return 0;
}
