/*
 * Pipes and FIFOs, and waiting for several descriptors: atomic writes, full and empty ones, readers and writers that
 * leave, O_NONBLOCK, poll and select. Source: pipe(7), fifo(7), pipe(2), write(2), poll(2), select(2).
 */
#include "tap.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/select.h>

static char buffer[1 << 20];

static void basics(void)
{
    struct stat stat;
    int fds[2], count;

    NEED(pipe2(fds, O_CLOEXEC));
    IS(fcntl(fds[0], F_GETFD), FD_CLOEXEC, "pipe2 with O_CLOEXEC");
    NEED(fstat(fds[0], &stat));
    CHECK(S_ISFIFO(stat.st_mode), "fstat says FIFO");
    IS(write(fds[1], "hello", 5), 5, "write");
    IS(ioctl(fds[0], FIONREAD, &count), 0, "FIONREAD");
    IS(count, 5, "counts");
    IS(read(fds[0], buffer, 2), 2, "a short read");
    IS(read(fds[0], buffer + 2, 100), 3, "gets the rest next");
    CHECK(!memcmp(buffer, "hello", 5), "in order");
    FAILS(write(fds[0], "x", 1), EBADF, "write to the reading end");
    FAILS(read(fds[1], buffer, 1), EBADF, "read from the writing end");
    IS(write(fds[1], "left", 4), 4, "what is in it when the writer leaves");
    close(fds[1]);
    IS(read(fds[0], buffer, 100), 4, "can be read");
    IS(read(fds[0], buffer, 100), 0, "and then it ends");
    close(fds[0]);
    FAILS(pipe2(fds, 0x1), EINVAL, "unknown flags");
    NEED(pipe(fds));
    close(fds[0]);
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(fds[1], "x", 1), EPIPE, "no reader: EPIPE");
    signal(SIGPIPE, SIG_DFL);
    close(fds[1]);
}

static int write_to_nobody(void *unused UNUSED)
{
    int fds[2];

    if (pipe(fds))
        return 1;
    close(fds[0]);
    return (int)write(fds[1], "x", 1);
}

static void without_waiting(void)
{
    int fds[2];
    long filled = 0, got;

    NEED(pipe2(fds, O_NONBLOCK));
    FAILS(read(fds[0], buffer, 1), EAGAIN, "O_NONBLOCK: an empty pipe is EAGAIN");
    while ((got = write(fds[1], buffer, PIPE_BUF)) > 0)
        filled += got;
    CHECK(got == -1 && errno == EAGAIN, "a full one too");
    IS(filled, 65536, "it holds 64 KiB");
    IS(read(fds[0], buffer, 100), 100, "with room for a hundred bytes");
    FAILS(write(fds[1], buffer, PIPE_BUF), EAGAIN, "PIPE_BUF bytes go in whole or not at all");
    IS(read(fds[0], buffer, 3 * PIPE_BUF), 3 * PIPE_BUF, "with room for more");
    got = write(fds[1], buffer, 10 * PIPE_BUF);
    CHECK(got >= PIPE_BUF && got < 10 * PIPE_BUF, "a larger write is partial (%ld)", got);
    if ((got = fcntl(fds[1], F_SETPIPE_SZ, 1 << 17)) == -1) {
        CHECK(errno == EINVAL || errno == EPERM, "F_SETPIPE_SZ is refused");
    } else {
        IS(fcntl(fds[1], F_GETPIPE_SZ), 1 << 17, "F_SETPIPE_SZ");
    }
    close(fds[0]), close(fds[1]);
}

/* Four writers of records of PIPE_BUF bytes: none may be torn. */
static void atomic_writes(void)
{
    int fds[2], torn = 0, records = 0, status;

    NEED(pipe(fds));
    for (int writer = 0; writer < 4; writer++)
        if (fork() == 0) {
            static char record[PIPE_BUF];

            memset(record, 'a' + writer, sizeof(record));
            for (int i = 0; i < 100; i++)
                if (write(fds[1], record, sizeof(record)) != (ssize_t)sizeof(record))
                    _exit(1);
            _exit(0);
        }
    close(fds[1]);
    for (;; records++) {
        size_t used = 0;
        ssize_t got = 0;

        while (used < PIPE_BUF && (got = read(fds[0], buffer + used, PIPE_BUF - used)) > 0)
            used += got;
        if (used == 0)
            break;
        for (size_t i = 1; i < used; i++)
            torn += buffer[i] != buffer[0];
    }
    IS(records, 400, "four writers, four hundred records");
    IS(torn, 0, "none torn");
    while (wait(&status) > 0)
        torn |= status;
    IS(torn, 0, "every writer is content");
    close(fds[0]);
}

static void stream(void)
{
    const size_t length = 4 << 20;
    int fds[2], status, good = 1;
    size_t used = 0;
    ssize_t got;

    NEED(pipe(fds));
    if (fork() == 0) {
        unsigned *words = malloc(length);

        for (size_t i = 0; i < length / 4; i++)
            words[i] = (unsigned)i;
        _exit(write(fds[1], words, length) != (ssize_t)length);
    }
    close(fds[1]);
    while ((got = read(fds[0], buffer, 77777 & ~3)) > 0) {
        for (ssize_t i = 0; i + 4 <= got && used % 4 == 0; i += 4)
            good &= *(unsigned *)(buffer + i) == (used + i) / 4;
        used += got;
    }
    wait(&status);
    CHECK(good && used == length && status == 0, "4 MiB in one write arrive in order");
    close(fds[0]);
}

/* ---- poll, select ---- */

static int polled(int fd, short events, int timeout)
{
    struct pollfd item = {fd, events, 0x5555};
    int result = poll(&item, 1, timeout);

    return result < 0 ? -errno : result == 0 ? 0 : item.revents;
}

static void polling(void)
{
    struct timespec start, end, little = {0, 30000000}, no_time = {0, 0};
    struct pollfd items[3];
    fd_set set;
    int fds[2], file = make_file("file", "x", 1), status;
    pid_t pid;

    NEED(pipe2(fds, O_NONBLOCK));
    IS(polled(fds[0], POLLIN, 0), 0, "poll: an empty pipe is not readable");
    IS(polled(fds[1], POLLOUT, 0), POLLOUT, "but writable");
    clock_gettime(CLOCK_MONOTONIC, &start);
    IS(polled(fds[0], POLLIN, 40), 0, "poll waits");
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK((end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec >= 40000000, "as long as asked");
    NEED(write(fds[1], "x", 1));
    IS(polled(fds[0], POLLIN, -1), POLLIN, "with a byte it is readable");
    while (write(fds[1], buffer, 4096) > 0)
        ;
    IS(polled(fds[1], POLLOUT, 0), 0, "a full pipe is not writable");
    IS(polled(file, POLLIN | POLLOUT, 0), POLLIN | POLLOUT, "a file always is both");
    IS(polled(999, POLLIN, 0), POLLNVAL, "a closed descriptor is POLLNVAL");
    IS(polled(-1, POLLIN, 0), 0, "a negative one is left out");
    items[0] = (struct pollfd){fds[0], POLLIN, 0};
    items[1] = (struct pollfd){file, POLLOUT, 0};
    items[2] = (struct pollfd){fds[1], POLLOUT, 0};
    IS(poll(items, 3, 0), 2, "poll counts descriptors");
    FAILS(ppoll(items, 3, &(struct timespec){0, -1}, NULL), EINVAL, "ppoll: a bad time");
    IS(ppoll(NULL, 0, &little, NULL), 0, "ppoll of nothing only waits");

    FD_ZERO(&set);
    FD_SET(fds[0], &set);
    IS(select(fds[0] + 1, &set, NULL, NULL, NULL), 1, "select: readable");
    CHECK(FD_ISSET(fds[0], &set), "says which");
    FD_ZERO(&set);
    FD_SET(fds[1], &set);
    IS(pselect(fds[1] + 1, NULL, &set, NULL, &no_time, NULL), 0, "pselect: not writable");
    CHECK(!FD_ISSET(fds[1], &set), "and clears the set");
    FD_SET(50, &set);
    FAILS(select(51, &set, NULL, NULL, NULL), EBADF, "select: a closed descriptor");
    FAILS(select(-1, NULL, NULL, NULL, NULL), EINVAL, "select: a negative number");

    close(fds[1]);
    while (read(fds[0], buffer, sizeof(buffer)) > 0)
        ;
    IS(polled(fds[0], POLLIN, 0), POLLHUP, "no writer: POLLHUP");
    close(fds[0]);
    NEED(pipe(fds));
    close(fds[0]);
    IS(polled(fds[1], POLLOUT, 0) & POLLERR, POLLERR, "no reader: POLLERR");
    close(fds[1]);

    NEED(pipe(fds));
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        sleep_ms(30);
        _exit(write(fds[1], "w", 1) != 1);
    }
    IS(polled(fds[0], POLLIN, 5000), POLLIN, "a write wakes who polls");
    waitpid(pid, &status, 0);
    close(fds[0]), close(fds[1]), close(file);
}

/* Though a reader makes room just when the pipe was full. */
static void whole_writes(void)
{
    int fds[2], status, rounds = 100, whole = 0;
    pid_t pid;

    NEED(pipe(fds));
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        close(fds[1]);
        while (read(fds[0], buffer, 5 * PAGE) > 0)
            ;
        _exit(0);
    }
    close(fds[0]);
    for (int i = 0; i < rounds; i++)
        whole += write(fds[1], buffer, sizeof(buffer)) == sizeof(buffer);
    IS(whole, rounds, "a write that waits writes all");
    close(fds[1]);
    waitpid(pid, &status, 0);
}

static volatile sig_atomic_t alarms;

static void note_alarm(int signo UNUSED) { alarms++; }

static void interrupted(void)
{
    struct sigaction action = {.sa_handler = note_alarm, .sa_flags = SA_RESTART};
    sigset_t block, none;
    int fds[2];

    NEED(pipe(fds));
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    struct pollfd item = {fds[0], POLLIN, 0};
    FAILS(ppoll(&item, 1, NULL, &none), EINTR, "ppoll lets a signal in and ends with EINTR, SA_RESTART or not");
    IS(alarms, 1, "after its handler");
    sigprocmask(SIG_BLOCK, NULL, &none);
    CHECK(sigismember(&none, SIGUSR1), "with the old mask back");
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    signal(SIGUSR1, SIG_DFL);
    close(fds[0]), close(fds[1]);
}

/* ---- FIFOs ---- */

static int open_for_reading(void *name)
{
    char text[8] = "";
    int fd = open(name, O_RDONLY);

    return fd >= 0 && read(fd, text, 7) == 3 && !strcmp(text, "abc") && read(fd, text, 7) == 0 ? 0 : 1;
}

static void fifos(void)
{
    int fd, other, status;
    pid_t pid;

    OKAY(mkfifo("fifo", 0644), "mkfifo");
    FAILS(mkfifo("fifo", 0644), EEXIST, "mkfifo again");
    FAILS(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO, "O_NONBLOCK: to write without a reader is ENXIO");
    fd = (int)OKAY(open("fifo", O_RDONLY | O_NONBLOCK), "to read without a writer is fine");
    IS(read(fd, buffer, 1), 0, "and at its end at once");
    IS(polled(fd, POLLIN, 0), 0, "though poll does not say so before there was a writer");
    other = (int)OKAY(open("fifo", O_WRONLY | O_NONBLOCK), "with a reader, to write is fine");
    FAILS(read(fd, buffer, 1), EAGAIN, "now there is a writer, reading is EAGAIN");
    close(other);
    close(fd);
    pid = (pid_t)NEED(fork());
    if (pid == 0)
        _exit(open_for_reading("fifo"));
    fd = (int)OKAY(open("fifo", O_WRONLY), "two that open it wait for each other");
    IS(write(fd, "abc", 3), 3, "write");
    close(fd);
    waitpid(pid, &status, 0);
    IS(status, 0, "the other has read it, then the end");
    fd = (int)OKAY(open("fifo", O_RDWR), "both ways at once");
    CHECK(write(fd, "x", 1) == 1 && read(fd, buffer, 1) == 1, "needs nobody else");
    close(fd);
    NEED(unlink("fifo"));
}

/* Both ends go at the same moment, on different harts: the one that goes last takes the pipe with it, and the other
 * must be done with it by then. */
#define CLOSINGS 5000
static volatile int ends[2], round_ready, round_done;

static void *close_reading_ends(void *unused)
{
    bool is_alone = sysconf(_SC_NPROCESSORS_ONLN) == 1;

    for (int round = 1; round <= CLOSINGS; round++) {
        while (__atomic_load_n(&round_ready, __ATOMIC_ACQUIRE) != round)
            if (is_alone)
                sched_yield();
        close(ends[0]);
        __atomic_store_n(&round_done, round, __ATOMIC_RELEASE);
    }
    return unused;
}

static void both_ends_close(void)
{
    bool is_alone = sysconf(_SC_NPROCESSORS_ONLN) == 1;
    pthread_t other;

    NEED(-pthread_create(&other, NULL, close_reading_ends, NULL));
    for (int round = 1; round <= CLOSINGS; round++) {
        NEED(pipe((int *)ends));
        __atomic_store_n(&round_ready, round, __ATOMIC_RELEASE);
        close(ends[1]);
        while (__atomic_load_n(&round_done, __ATOMIC_ACQUIRE) != round)
            if (is_alone)
                sched_yield();
    }
    NEED(-pthread_join(other, NULL));
    CHECK(1, "%d pipes, both ends closed at once", CLOSINGS);
}

static void body(void)
{
    both_ends_close();
    basics();
    DIES(write_to_nobody, NULL, SIGPIPE, ANY_CODE, 0, "no reader: SIGPIPE kills");
    without_waiting();
    atomic_writes();
    stream();
    polling();
    whole_writes();
    interrupted();
    fifos();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
