/*
 * File locks: POSIX record locks of processes, open-file-description locks, and flock; deadlocks; what frees them.
 * Source: fcntl(2) (advisory record locking, OFD locks), flock(2).
 */
#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <sys/file.h>

static int fd;

static int lock(int on, int command, short type, off_t start, off_t length)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

    return fcntl(on, command, &range);
}

/* Runs in a child: 0 when it could lock, else the errno. */
struct attempt {
    int command;
    short type;
    off_t start, length;
};

static int try_lock(void *argument)
{
    struct attempt *attempt = argument;

    return lock(fd, attempt->command, attempt->type, attempt->start, attempt->length) ? errno : 0;
}

static int other_gets(short type, off_t start, off_t length)
{
    struct attempt attempt = {F_SETLK, type, start, length};

    return in_child(try_lock, &attempt).status;
}

static int ask(void *expected)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0}, *want = expected;

    if (fcntl(fd, F_GETLK, &range))
        return 1;
    return range.l_type == want->l_type && range.l_start == want->l_start && range.l_len == want->l_len &&
                   range.l_pid == getppid()
               ? 0
               : 2;
}

static int ask_free(void *unused UNUSED)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 500, .l_len = 10};

    return fcntl(fd, F_GETLK, &range) == 0 && range.l_type == F_UNLCK && range.l_start == 500 ? 0 : 1;
}

static void ranges(void)
{
    struct flock want = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
    int read_only;

    OKAY(lock(fd, F_SETLK, F_WRLCK, 10, 10), "a write lock on bytes 10 to 19");
    IS(other_gets(F_WRLCK, 15, 1), EAGAIN, "keeps others from writing there");
    IS(other_gets(F_RDLCK, 19, 5), EAGAIN, "and from reading");
    IS(other_gets(F_WRLCK, 0, 10), 0, "not before");
    IS(other_gets(F_WRLCK, 20, 0), 0, "nor behind");
    EXITS(ask, &want, 0, "F_GETLK tells the range, kind and owner");
    EXITS(ask_free, NULL, 0, "or that the range is free");
    OKAY(lock(fd, F_SETLK, F_UNLCK, 13, 2), "unlock a part");
    IS(other_gets(F_WRLCK, 13, 2), 0, "frees it");
    IS(other_gets(F_WRLCK, 12, 1), EAGAIN, "and no more");
    OKAY(lock(fd, F_SETLK, F_RDLCK, 0, 0), "one's own locks are converted, not fought");
    IS(other_gets(F_RDLCK, 0, 0), 0, "readers share");
    IS(other_gets(F_WRLCK, 1000000, 1), EAGAIN, "length 0 reaches to the end and beyond");
    OKAY(lock(fd, F_SETLK, F_UNLCK, 0, 0), "unlock everything");
    IS(other_gets(F_WRLCK, 0, 0), 0, "others get it");
    read_only = (int)NEED(open("file", O_RDONLY));
    FAILS(lock(read_only, F_SETLK, F_WRLCK, 0, 1), EBADF, "a write lock needs a descriptor open for writing");
    FAILS(lock(fd, F_SETLK, F_WRLCK, -5, 1), EINVAL, "a range before the file");
    FAILS(lock(fd, F_SETLK, 77, 0, 1), EINVAL, "an unknown kind");
    FAILS(lock(999, F_SETLK, F_WRLCK, 0, 1), EBADF, "no descriptor");
    NEED(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    close(read_only);
    IS(other_gets(F_WRLCK, 0, 1), 0, "closing any descriptor of the file drops the process's locks");
    NEED(lock(fd, F_SETLK, F_WRLCK, 100, -10));
    IS(other_gets(F_WRLCK, 90, 1), EAGAIN, "a negative length reaches backwards");
    NEED(lock(fd, F_SETLK, F_UNLCK, 0, 0));
}

/* ---- Waiting ---- */

static int hold_and_tell(void *pipe_end)
{
    if (lock(fd, F_SETLK, F_WRLCK, 0, 1) || write((int)(long)pipe_end, "h", 1) != 1)
        return 1;
    sleep_ms(60);
    return 0; /* and the lock goes with the process */
}

static void note(int signo UNUSED) {}

static void waiting(void)
{
    struct sigaction action = {.sa_handler = note};
    int fds[2], status;
    pid_t pid, other;
    char byte;

    NEED(pipe(fds));
    pid = (pid_t)NEED(fork());
    if (pid == 0)
        _exit(hold_and_tell((void *)(long)fds[1]));
    NEED(read(fds[0], &byte, 1));
    FAILS(lock(fd, F_SETLK, F_WRLCK, 0, 1), EAGAIN, "F_SETLK does not wait");
    OKAY(lock(fd, F_SETLKW, F_WRLCK, 0, 1), "F_SETLKW waits until the other has exited");
    waitpid(pid, &status, 0);
    IS(status, 0, "which it has");
    NEED(lock(fd, F_SETLK, F_UNLCK, 0, 0));

    /* two processes, each waiting for the other's byte */
    NEED(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    other = (pid_t)NEED(fork());
    if (other == 0) {
        if (lock(fd, F_SETLK, F_WRLCK, 1, 1) || write(fds[1], "h", 1) != 1)
            _exit(1);
        _exit(lock(fd, F_SETLKW, F_WRLCK, 0, 1) ? 2 : 0);
    }
    NEED(read(fds[0], &byte, 1));
    sleep_ms(50);
    FAILS(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK, "a circle of waiting is EDEADLK");
    NEED(lock(fd, F_SETLK, F_UNLCK, 0, 1));
    waitpid(other, &status, 0);
    IS(status, 0, "and the other goes on");

    sigaction(SIGUSR1, &action, NULL);
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        NEED(lock(fd, F_SETLK, F_WRLCK, 0, 1));
        NEED(write(fds[1], "h", 1));
        sleep_ms(60);
        kill(getppid(), SIGUSR1);
        sleep_ms(60);
        _exit(0);
    }
    NEED(read(fds[0], &byte, 1));
    FAILS(lock(fd, F_SETLKW, F_WRLCK, 0, 1), EINTR, "a signal ends the waiting with EINTR");
    waitpid(pid, &status, 0);
    signal(SIGUSR1, SIG_DFL);
    close(fds[0]), close(fds[1]);
}

static int inherited(void *unused UNUSED)
{
    return lock(fd, F_SETLK, F_UNLCK, 0, 0) || lock(fd, F_SETLK, F_WRLCK, 0, 1) == 0;
}

static void ownership(void)
{
    int one = (int)NEED(open("file", O_RDWR)), two = (int)NEED(open("file", O_RDWR)), copy = (int)NEED(dup(one));

    NEED(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    EXITS(inherited, NULL, 0, "a child does not inherit them");
    NEED(lock(fd, F_SETLK, F_UNLCK, 0, 0));

    OKAY(lock(one, F_OFD_SETLK, F_WRLCK, 0, 10), "an open-file-description lock");
    FAILS(lock(two, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN, "conflicts with another open of the same process");
    FAILS(lock(two, F_SETLK, F_WRLCK, 5, 1), EAGAIN, "and with its record locks");
    OKAY(lock(copy, F_OFD_SETLK, F_RDLCK, 0, 10), "a duplicate is the same owner");
    OKAY(lock(two, F_OFD_SETLK, F_RDLCK, 0, 10), "readers share");
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
    NEED(fcntl(two, F_OFD_GETLK, &range));
    CHECK(range.l_type == F_RDLCK && range.l_pid == -1, "F_OFD_GETLK names no process");
    range = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = 1};
    NEED(fcntl(two, F_OFD_GETLK, &range));
    CHECK(range.l_type == F_RDLCK && range.l_start == 0 && range.l_len == 10,
          "for F_UNLCK it tells the owner's own lock");
    range.l_pid = 5;
    FAILS(fcntl(one, F_OFD_SETLK, &range), EINVAL, "and wants none named");
    NEED(lock(two, F_OFD_SETLK, F_UNLCK, 0, 0));
    close(one);
    FAILS(lock(two, F_OFD_SETLK, F_WRLCK, 0, 10), EAGAIN, "it lasts while a duplicate is open");
    close(copy);
    OKAY(lock(two, F_OFD_SETLK, F_WRLCK, 0, 10), "and no longer");
    close(two);
}

static int flock_inherited(void *shared) { return flock((int)(long)shared, LOCK_UN); }

static void whole_files(void)
{
    int one = (int)NEED(open("file", O_RDONLY)), two = (int)NEED(open("file", O_RDONLY));

    OKAY(flock(one, LOCK_EX), "flock needs no rights to write");
    FAILS(flock(two, LOCK_SH | LOCK_NB), EWOULDBLOCK, "and excludes another open of the file");
    OKAY(lock(fd, F_SETLK, F_WRLCK, 0, 0), "but is no concern of fcntl's locks");
    OKAY(flock(one, LOCK_SH | LOCK_NB), "it can be turned into a shared one");
    OKAY(flock(two, LOCK_SH | LOCK_NB), "which several may hold");
    FAILS(flock(two, LOCK_EX | LOCK_NB), EWOULDBLOCK, "but not as exclusive");
    flock(two, LOCK_UN);
    EXITS(flock_inherited, (long)one, 0, "a child has the very same lock");
    OKAY(flock(two, LOCK_EX | LOCK_NB), "and has unlocked it");
    FAILS(flock(one, LOCK_SH | LOCK_EX), EINVAL, "two kinds at once are EINVAL");
    FAILS(flock(999, LOCK_SH), EBADF, "no descriptor");
    close(two);
    OKAY(flock(one, LOCK_EX | LOCK_NB), "closing unlocks");
    close(one);
    NEED(lock(fd, F_SETLK, F_UNLCK, 0, 0));
}

/* ---- a descriptor that is closed while it is locked ---- */

#define ROUNDS 3000

static volatile int raced, round_begun, round_done;

static void *close_raced(void *unused)
{
    for (int i = 1; i <= ROUNDS; i++) {
        while (round_begun < i)
            sched_yield();
        close(raced);
        round_done = i;
    }
    return unused;
}

/* Either the close comes first, or it takes the lock away: an own lock without a descriptor could never end. */
static void closed_meanwhile(void)
{
    int watcher = (int)NEED(open("file", O_RDWR)), kept = 0;
    pthread_t thread;

    NEED(-pthread_create(&thread, NULL, close_raced, NULL));
    for (int i = 1; i <= ROUNDS; i++) {
        struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        raced = (int)NEED(open("file", O_RDWR));
        round_begun = i;
        for (volatile int wait = i % 100; wait > 0; wait--)
            ;
        lock(raced, F_SETLK, F_WRLCK, 0, 0);
        while (round_done < i)
            sched_yield();
        NEED(fcntl(watcher, F_OFD_GETLK, &range));
        kept += range.l_type != F_UNLCK;
    }
    pthread_join(thread, NULL);
    IS(kept, 0, "no lock outlives the descriptor that was closed while it was taken");
    close(watcher);
}

static void body(void)
{
    fd = make_file("file", "content", 7);
    ranges();
    waiting();
    ownership();
    whole_files();
    closed_meanwhile();
    close(fd);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
