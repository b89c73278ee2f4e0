/*
 * Calls that a small kernel may lack: each either works as on Linux or says ENOSYS (or what its manual page says for
 * "not supported"). eventfd, epoll, sendfile, copy_file_range, splice, socketpair, memfd, signalfd, inotify,
 * close_range.
 */
#include "tap.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

/* Whether a call is there; a point says so when it is not. */
static int is_there(long result, const char *name)
{
    if (result >= 0)
        return 1;
    CHECK(errno == ENOSYS || errno == EAFNOSUPPORT || errno == EOPNOTSUPP, "%s is not there, and says so (%s)", name,
          errno_name(errno));
    return 0;
}

static void event_descriptors(void)
{
    uint64_t value = 5;
    int fd = eventfd(3, EFD_NONBLOCK);
    struct pollfd item = {fd, POLLIN | POLLOUT, 0};

    if (!is_there(fd, "eventfd"))
        return;
    IS(write(fd, &value, 8), 8, "eventfd: add");
    IS(poll(&item, 1, 0), 1, "eventfd: poll");
    IS(item.revents, POLLIN | POLLOUT, "eventfd: readable and writable");
    IS(read(fd, &value, 8), 8, "eventfd: take");
    IS(value, 8, "eventfd: the sum");
    FAILS(read(fd, &value, 8), EAGAIN, "eventfd: empty");
    FAILS(write(fd, &value, 4), EINVAL, "eventfd: four bytes");
    value = -1UL;
    FAILS(write(fd, &value, 8), EINVAL, "eventfd: the largest number");
    close(fd);
    fd = eventfd(2, EFD_SEMAPHORE);
    CHECK(read(fd, &value, 8) == 8 && value == 1, "eventfd: as a semaphore gives one at a time");
    close(fd);
}

/* Sets that watch sets: no circles, no more than five levels, and no more ways up from a file than can be woken along.
 */
static void epoll_graphs(void)
{
    struct epoll_event event = {.events = EPOLLIN}, got;
    int wrong = 0;
    int fds[2], outer = epoll_create1(0), sets[520], levels[6], n, error;

    if (!is_there(outer, "epoll"))
        return;
    for (int i = 0; i < 6; i++)
        levels[i] = epoll_create1(0);
    for (n = 0; n < 5 && epoll_ctl(levels[n], EPOLL_CTL_ADD, levels[n + 1], &event) == 0; n++)
        ;
    error = errno;
    CHECK(n == 4 && error == ELOOP, "epoll: sets in sets in sets (%d, %s)", n, errno_name(error));
    FAILS(epoll_ctl(levels[3], EPOLL_CTL_ADD, levels[0], &event), ELOOP, "epoll: in a circle");
    for (int i = 0; i < 6; i++)
        close(levels[i]);

    OKAY(pipe(fds), "a pipe");
    for (n = 0; n < 520; n++) {
        sets[n] = epoll_create1(0);
        if (sets[n] < 0 || epoll_ctl(sets[n], EPOLL_CTL_ADD, fds[0], &event) != 0)
            break;
    }
    IS(n, 520, "epoll: one file in many sets");
    for (n = 0; n < 520 && epoll_ctl(outer, EPOLL_CTL_ADD, sets[n], &event) == 0; n++)
        ;
    error = errno;
    CHECK(n == 500 && error == EINVAL, "epoll: too many ways to one set above them (%d, %s)", n, errno_name(error));
    IS(write(fds[1], "x", 1), 1, "a byte");
    IS(epoll_wait(outer, &got, 1, 1000), 1, "epoll: goes all the ways up");
    for (n = 0; n < 520; n++)
        close(sets[n]);
    close(outer);
    close(fds[0]);
    close(fds[1]);

    /* Sets without files, each level watching all of the next: 10^4 ways, looked through once a set. */
    for (n = 0; n < 40; n++)
        sets[n] = epoll_create1(0);
    for (int from = 0; from < 30; from++)
        for (int to = from / 10 * 10 + 10; to < from / 10 * 10 + 20; to++)
            wrong |= epoll_ctl(sets[from], EPOLL_CTL_ADD, sets[to], &event);
    IS(wrong, 0, "epoll: four levels of ten");
    for (n = 0; n < 40; n++)
        close(sets[n]);
}

static void *wait_for_level(void *set)
{
    struct epoll_event got;

    return (void *)(intptr_t)(epoll_wait(*(int *)set, &got, 1, 3000) == 1);
}

/* Nobody reads, so it stays ready for all who wait, however they come in each other's way. */
static void epoll_level_for_all(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int fds[2], set = epoll_create1(0), missed = 0;
    char byte;

    NEED(pipe(fds) + epoll_ctl(set, EPOLL_CTL_ADD, fds[0], &event));
    for (int i = 0; i < 60 && missed == 0; i++) {
        pthread_t thread[4];
        void *found;

        for (int k = 0; k < 4; k++)
            pthread_create(&thread[k], NULL, wait_for_level, &set);
        usleep(2000);
        NEED(write(fds[1], "x", 1));
        for (int k = 0; k < 4; k++) {
            pthread_join(thread[k], &found);
            missed += found == NULL;
        }
        NEED(read(fds[0], &byte, 1));
    }
    IS(missed, 0, "epoll: a level is there for each thread that waits");
    close(fds[0]), close(fds[1]), close(set);
}

static void epolls(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 42}, got[4];
    int fds[2], fd = epoll_create1(EPOLL_CLOEXEC), file;
    char byte;

    if (!is_there(fd, "epoll"))
        return;
    NEED(pipe(fds));
    OKAY(epoll_ctl(fd, EPOLL_CTL_ADD, fds[0], &event), "epoll: add");
    FAILS(epoll_ctl(fd, EPOLL_CTL_ADD, fds[0], &event), EEXIST, "epoll: add twice");
    FAILS(epoll_ctl(fd, EPOLL_CTL_MOD, fds[1], &event), ENOENT, "epoll: change what is not there");
    FAILS(epoll_ctl(fd, EPOLL_CTL_ADD, fd, &event), EINVAL, "epoll: itself");
    FAILS(epoll_ctl(fd, EPOLL_CTL_ADD, 999, &event), EBADF, "epoll: no descriptor");
    file = make_file("file", "x", 1);
    FAILS(epoll_ctl(fd, EPOLL_CTL_ADD, file, &event), EPERM, "epoll: a regular file");
    close(file);
    IS(epoll_wait(fd, got, 4, 0), 0, "epoll: nothing yet");
    IS(epoll_wait(fd, got, 4, 20), 0, "epoll: nor after a while");
    NEED(write(fds[1], "xy", 2));
    IS(epoll_wait(fd, got, 4, -1), 1, "epoll: one ready");
    CHECK(got[0].events == EPOLLIN && got[0].data.u64 == 42, "epoll: which");
    IS(epoll_wait(fd, got, 4, 0), 1, "epoll: level-triggered, still");
    event.events = EPOLLIN | EPOLLET;
    NEED(epoll_ctl(fd, EPOLL_CTL_MOD, fds[0], &event));
    IS(epoll_wait(fd, got, 4, 0), 1, "epoll: edge-triggered, once");
    IS(epoll_wait(fd, got, 4, 0), 0, "epoll: and not again");
    NEED(write(fds[1], "z", 1));
    IS(epoll_wait(fd, got, 4, 0), 1, "epoll: each write to a pipe is an edge");
    NEED(read(fds[0], &byte, 1));
    event.events = EPOLLIN | EPOLLONESHOT;
    NEED(epoll_ctl(fd, EPOLL_CTL_MOD, fds[0], &event));
    IS(epoll_wait(fd, got, 4, 0), 1, "epoll: one shot");
    IS(epoll_wait(fd, got, 4, 0), 0, "epoll: is one");
    event.events = EPOLLIN;
    NEED(epoll_ctl(fd, EPOLL_CTL_MOD, fds[0], &event));
    close(fds[1]);
    IS(epoll_wait(fd, got, 4, 0), 1, "epoll: the writer leaves");
    CHECK(got[0].events == (EPOLLIN | EPOLLHUP), "epoll: EPOLLHUP");
    NEED(read(fds[0], &byte, 1));
    close(fds[0]);
    IS(epoll_wait(fd, got, 4, 0), 0, "epoll: closing takes it out");
    FAILS(epoll_wait(fd, got, 0, 0), EINVAL, "epoll: no room");
    close(fd);
}

static void copying(void)
{
    char back[16] = "";
    int from = make_file("from", "0123456789", 10), to = make_file("to", "", 0), fds[2];
    off_t at = 2, in = 1, out = 3;
    long got;

    got = sendfile(to, from, &at, 5);
    if (is_there(got, "sendfile")) {
        CHECK(got == 5 && at == 7 && pread(to, back, 16, 0) == 5 && !memcmp(back, "23456", 5),
              "sendfile copies from an offset");
        FAILS(sendfile(999, from, NULL, 1), EBADF, "sendfile: no descriptor");
    }
    NEED(ftruncate(to, 0));
    got = copy_file_range(from, &in, to, &out, 4, 0);
    if (is_there(got, "copy_file_range")) {
        CHECK(got == 4 && in == 5 && out == 7 && pread(to, back, 16, 3) == 4 && !memcmp(back, "1234", 4),
              "copy_file_range");
        FAILS(copy_file_range(from, &in, to, &out, 4, 1), EINVAL, "copy_file_range: unknown flags");
        in = 100;
        IS(copy_file_range(from, &in, to, &out, 4, 0), 0, "copy_file_range past the end");
    }
    NEED(pipe(fds));
    in = 0;
    got = splice(from, &in, fds[1], NULL, 6, 0);
    if (got >= 0) {
        CHECK(got == 6 && read(fds[0], back, 16) == 6 && !memcmp(back, "012345", 6), "splice from a file to a pipe");
    } else {
        CHECK(errno == ENOSYS || errno == EINVAL, "splice is not there, and says so");
    }
    close(fds[0]), close(fds[1]), close(from), close(to);
}

static void sockets(void)
{
    struct pollfd item;
    char back[16];
    int fds[2], status;
    pid_t pid;

    if (!is_there(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair"))
        return;
    IS(write(fds[0], "there", 5), 5, "socketpair: write");
    IS(read(fds[1], back, 16), 5, "socketpair: read");
    IS(send(fds[1], "back", 4, 0), 4, "socketpair: send");
    IS(recv(fds[0], back, 2, MSG_PEEK), 2, "socketpair: peek");
    IS(recv(fds[0], back, 16, 0), 4, "socketpair: receive");
    item = (struct pollfd){fds[0], POLLIN, 0};
    IS(poll(&item, 1, 0), 0, "socketpair: empty");
    FAILS(recv(fds[0], back, 1, MSG_DONTWAIT), EAGAIN, "socketpair: MSG_DONTWAIT");
    pid = (pid_t)NEED(fork());
    if (pid == 0)
        _exit(write(fds[1], "child", 5) != 5);
    IS(read(fds[0], back, 16), 5, "socketpair: from a child");
    waitpid(pid, &status, 0);
    close(fds[1]);
    IS(read(fds[0], back, 16), 0, "socketpair: the other end is closed");
    FAILS(send(fds[0], "x", 1, MSG_NOSIGNAL), EPIPE, "socketpair: EPIPE");
    close(fds[0]);
    FAILS(socketpair(AF_UNIX, SOCK_RDM, 0, fds), ESOCKTNOSUPPORT, "socketpair: an unknown type");
}

static void memory_files(void)
{
    int fd = memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    char *at;

    if (!is_there(fd, "memfd_create"))
        return;
    OKAY(ftruncate(fd, 2 * PAGE), "memfd: ftruncate");
    at = (char *)NEED((long)mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    at[PAGE] = 'm';
    char byte = 0;
    CHECK(pread(fd, &byte, 1, PAGE) == 1 && byte == 'm', "memfd: a store is read");
    char *twice = (char *)NEED((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE));
    twice[1] = 'n';
    IS(at[PAGE + 1], 'n', "memfd: the same page twice");
    munmap(twice, PAGE);
    munmap(at, 2 * PAGE);
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE) == 0) {
        FAILS(ftruncate(fd, PAGE), EPERM, "memfd: sealed against shrinking");
        FAILS(pwrite(fd, "x", 1, 0), EPERM, "memfd: and writing");
        FAILS((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM, "memfd: by mappings too");
    } else {
        CHECK(errno == EINVAL, "seals are not there, and say so");
    }
    close(fd);
    FAILS(memfd_create("x", 0x8000), EINVAL, "memfd: unknown flags");
}

static void signal_descriptors(void)
{
    struct signalfd_siginfo info;
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    fd = signalfd(-1, &set, SFD_NONBLOCK);
    if (!is_there(fd, "signalfd"))
        return;
    sigprocmask(SIG_BLOCK, &set, NULL);
    FAILS(read(fd, &info, sizeof(info)), EAGAIN, "signalfd: nothing");
    raise(SIGUSR1);
    CHECK(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1, "signalfd: a signal");
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    close(fd);
}

static void ranges(void)
{
    int first = (int)NEED(fcntl(0, F_DUPFD, 50));

    NEED(fcntl(0, F_DUPFD, 50));
    if (!is_there(syscall(SYS_close_range, first, first + 10, 0), "close_range")) {
        close(first), close(first + 1);
        return;
    }
    FAILS(fcntl(first + 1, F_GETFD), EBADF, "close_range closes them all");
    FAILS(syscall(SYS_close_range, 10, 5, 0), EINVAL, "close_range: backwards");
}

static void fcntl_queries(void)
{
    int fd = (int)NEED(open("made", O_CREAT | O_RDWR, 0600)), again = (int)NEED(open("made", O_CREAT | O_RDWR, 0600));
    int copy = (int)NEED(dup(fd));

    IS(fcntl(fd, 1028), 1, "F_CREATED_QUERY: this open made the file");
    IS(fcntl(again, 1028), 0, "F_CREATED_QUERY: the next one did not");
    IS(fcntl(fd, 1027, copy), 1, "F_DUPFD_QUERY: a duplicate");
    IS(fcntl(fd, 1027, again), 0, "F_DUPFD_QUERY: another open file");
    FAILS(fcntl(fd, 1027, 999), EBADF, "F_DUPFD_QUERY: nothing");
    close(fd), close(again), close(copy);
}

static void membarriers(void)
{
    enum { QUERY, GLOBAL, PRIVATE = 8, REGISTER_PRIVATE = 16, GET_REGISTRATIONS = 512 };

    IS(syscall(SYS_membarrier, QUERY, 0, 0) & (GLOBAL | PRIVATE | REGISTER_PRIVATE | GET_REGISTRATIONS),
       GLOBAL | PRIVATE | REGISTER_PRIVATE | GET_REGISTRATIONS, "membarrier: what there is");
    IS(syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0), 0, "membarrier: registered for nothing");
    FAILS(syscall(SYS_membarrier, PRIVATE, 0, 0), EPERM, "membarrier: not registered");
    OKAY(syscall(SYS_membarrier, REGISTER_PRIVATE, 0, 0), "membarrier: register");
    OKAY(syscall(SYS_membarrier, PRIVATE, 0, 0), "membarrier: now it works");
    IS(syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0), REGISTER_PRIVATE, "membarrier: registered for that");
}

static void body(void)
{
    fcntl_queries();
    membarriers();
    event_descriptors();
    epolls();
    epoll_graphs();
    epoll_level_for_all();
    copying();
    sockets();
    memory_files();
    signal_descriptors();
    ranges();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
