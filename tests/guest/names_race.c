/*
 * Paths walked while others rename, remove, replace and mount what lies on them: every walk comes to what was there at
 * some moment, or to ENOENT, never to something else. Bounded by rounds, not by time. names_race [DIR] [ROUNDS]
 */
#include "tap.h"

#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>

#define WALKERS 3

static int rounds = 400;

/* What the walkers share with the changer. */
struct board {
    volatile int stop;
    volatile int walks[WALKERS + 1];
};
static struct board *board;

static int rename_exchange(const char *from, const char *to)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE);
}

static int write_text(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

    close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* ---- what walkers look at: 0, or what is wrong ---- */

static ino_t ino_a, ino_b;

/* Two files that change places: each name is always one of them. */
static int look_at_exchanged(void)
{
    struct stat info;
    char text[2] = "";
    int fd;

    if (stat("x/one/file", &info) != 0)
        return 1;
    if (info.st_ino != ino_a && info.st_ino != ino_b)
        return 2;
    fd = open("x/two/file", O_RDONLY);
    if (fd < 0)
        return 3;
    if (read(fd, text, 1) != 1 || (text[0] != 'a' && text[0] != 'b'))
        return 4;
    close(fd);
    return 0;
}

/* A folder that is moved to and fro: its file is under one name or the other, and is always the same. */
static int look_at_moved(void)
{
    struct stat info;
    int here = stat("m/left/folder/deep/file", &info), error = errno;

    if (here != 0 && error != ENOENT)
        return 5;
    if (here == 0 && (info.st_size != 5 || !S_ISREG(info.st_mode)))
        return 6;
    if (access("m/right/folder/deep/nothing", F_OK) == 0 || errno != ENOENT)
        return 7;
    return 0;
}

/* A tree that is made and removed. */
static int look_at_passing(void)
{
    struct stat info;
    int fd;

    if (stat("p/a/b/c", &info) == 0) {
        if (!S_ISREG(info.st_mode))
            return 8;
    } else if (errno != ENOENT) {
        return 9;
    }
    fd = open("p/a/b/c", O_RDWR);
    if (fd >= 0) {
        if (write(fd, "xyz", 3) != 3)
            return 10;
        close(fd);
    } else if (errno != ENOENT) {
        return 11;
    }
    fd = open("p/a/b/new", O_RDWR | O_CREAT, 0644);
    if (fd >= 0)
        close(fd);
    else if (errno != ENOENT)
        return 12;
    unlink("p/a/b/new");
    return 0;
}

/* A folder that something is mounted on, and not. */
static int look_at_covered(void)
{
    struct stat info;

    if (stat("c/below", &info) == 0)
        return info.st_size == 5 ? 0 : 13;
    return errno == ENOENT ? 0 : 14;
}

static int look(void)
{
    int wrong = look_at_exchanged();

    if (wrong == 0)
        wrong = look_at_moved();
    if (wrong == 0)
        wrong = look_at_passing();
    if (wrong == 0)
        wrong = look_at_covered();
    return wrong;
}

static int walker(int me)
{
    int wrong = 0;

    while (wrong == 0 && !board->stop) {
        wrong = look();
        board->walks[me]++;
    }
    return wrong;
}

static void *walking_thread(void *arg) { return (void *)(intptr_t)walker((int)(intptr_t)arg); }

/* Half of the walkers are threads, which share their root and current directory with each other. */
static int threaded_walker(int me)
{
    pthread_t thread;
    void *wrong;

    if (pthread_create(&thread, NULL, walking_thread, (void *)(intptr_t)WALKERS) != 0)
        return 20;
    if (walker(me) != 0)
        return 21;
    pthread_join(thread, &wrong);
    return (int)(intptr_t)wrong;
}

/* ---- the changer ---- */

static int make_and_remove(void)
{
    if (mkdir("p/a", 0755) != 0 || mkdir("p/a/b", 0755) != 0 || write_text("p/a/b/c", "12345") != 0)
        return 1;
    unlink("p/a/b/c");
    while (rmdir("p/a/b") != 0) { /* a walker's file may be there */
        if (errno != ENOTEMPTY)
            return 2;
        unlink("p/a/b/new");
    }
    return rmdir("p/a") != 0 ? 3 : 0;
}

static int mount_and_unmount(void)
{
    if (mount("none", "c", "tmpfs", 0, NULL) != 0)
        return 4;
    while (umount("c") != 0)
        if (errno != EBUSY)
            return 5;
    return 0;
}

static int change(int round)
{
    int wrong = make_and_remove();

    if (wrong == 0 && rename_exchange("x/one/file", "x/two/file") != 0)
        wrong = 6;
    if (wrong == 0 && rename_exchange("x/one", "x/two") != 0)
        wrong = 7;
    if (wrong == 0 &&
        (round % 2 == 0 ? rename("m/left/folder", "m/right/folder") : rename("m/right/folder", "m/left/folder")) != 0)
        wrong = 8;
    if (wrong == 0 && round % 8 == 0 && geteuid() == 0)
        wrong = mount_and_unmount();
    return wrong;
}

static void prepare(void)
{
    struct stat info;

    OKAY(mkdir("x", 0755) | mkdir("x/one", 0755) | mkdir("x/two", 0755), "folders of files that change places");
    OKAY(write_text("x/one/file", "a") | write_text("x/two/file", "b"), "their files");
    stat("x/one/file", &info);
    ino_a = info.st_ino;
    stat("x/two/file", &info);
    ino_b = info.st_ino;
    OKAY(mkdir("m", 0755) | mkdir("m/left", 0755) | mkdir("m/right", 0755) | mkdir("m/left/folder", 0755) |
             mkdir("m/left/folder/deep", 0755),
         "a folder that moves");
    OKAY(write_text("m/left/folder/deep/file", "12345"), "its file");
    OKAY(mkdir("p", 0755) | mkdir("c", 0755) | write_text("c/below", "12345"),
         "places to make things in, and to mount on");
}

static void body(void)
{
    pid_t pids[WALKERS];
    int status, wrong = 0;

    if (tap_arguments[0] != NULL)
        rounds = atoi(tap_arguments[0]);
    board = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prepare();
    for (int i = 0; i < WALKERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(i == 0 ? threaded_walker(i) : walker(i));
    }
    for (int round = 0; round < rounds && wrong == 0; round++) {
        wrong = change(round);
        if (round % 16 == 0)
            sched_yield();
    }
    for (int i = 0; i <= WALKERS; i++) /* on one hart they may not have had a turn yet */
        while (board->walks[i] == 0 && wrong == 0)
            usleep(1000);
    IS(wrong, 0, "names were changed %d times", rounds);
    board->stop = 1;
    for (int i = 0; i < WALKERS; i++) {
        waitpid(pids[i], &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "walker %d saw only what may be seen (status %#x)", i,
              status);
    }
    for (int i = 0; i <= WALKERS; i++)
        CHECK(board->walks[i] > 0, "walker %d walked", i);
    munmap(board, PAGE);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
