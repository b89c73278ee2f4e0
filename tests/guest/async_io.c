/*
 * Signals for input and output: O_ASYNC on pipes, sockets and terminals, whom they go to and what they tell. Packets in
 * pipes. Source: fcntl(2) "Managing signals", pipe(2) "O_DIRECT", readv(2) RWF_APPEND.
 */
#include "tap.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static volatile sig_atomic_t came, band, fd, code;

static void note(int sig, siginfo_t *info, void *context)
{
    (void)context;
    came = sig;
    code = info->si_code;
    band = (int)info->si_band;
    fd = info->si_fd;
}

static void listen_to(int sig)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};

    NEED(sigaction(sig, &action, NULL));
}

static void whom(void)
{
    struct f_owner_ex owner = {F_OWNER_TID, 0};
    int fds[2];

    NEED(pipe(fds));
    IS(fcntl(fds[0], F_GETOWN), 0, "at first nobody");
    NEED(fcntl(fds[0], F_SETOWN, getpid()));
    IS(fcntl(fds[0], F_GETOWN), getpid(), "F_SETOWN: a process");
    NEED(fcntl(fds[0], F_SETOWN, -getpgrp()));
    NEED(fcntl(fds[0], F_GETOWN_EX, &owner));
    CHECK(owner.type == F_OWNER_PGRP && owner.pid == getpgrp(), "below 0: a group");
    owner = (struct f_owner_ex){F_OWNER_TID, gettid()};
    NEED(fcntl(fds[0], F_SETOWN_EX, &owner));
    owner.type = 9;
    NEED(fcntl(fds[0], F_GETOWN_EX, &owner));
    CHECK(owner.type == F_OWNER_TID && owner.pid == gettid(), "F_SETOWN_EX: a thread");
    owner.type = 3;
    FAILS(fcntl(fds[0], F_SETOWN_EX, &owner), EINVAL, "another type");
    FAILS(fcntl(fds[0], F_SETOWN, 0x3ffffff), ESRCH, "a process that there is not");
    FAILS(fcntl(fds[0], F_SETSIG, 65), EINVAL, "F_SETSIG of no signal");
    NEED(fcntl(fds[0], F_SETSIG, SIGUSR1));
    IS(fcntl(fds[0], F_GETSIG), SIGUSR1, "F_GETSIG");
    close(fds[0]);
    close(fds[1]);
}

static void pipes(void)
{
    char bytes[8];
    int fds[2], on = 1;

    NEED(pipe(fds));
    listen_to(SIGIO);
    NEED(fcntl(fds[0], F_SETOWN, getpid()));
    NEED(fcntl(fds[0], F_SETFL, O_ASYNC));
    CHECK(fcntl(fds[0], F_GETFL) & O_ASYNC, "O_ASYNC is set");
    came = 0;
    NEED(write(fds[1], "a", 1));
    CHECK(came == SIGIO && code == SI_KERNEL, "a write to the pipe raises SIGIO");
    NEED(read(fds[0], bytes, 1));

    listen_to(SIGRTMIN);
    NEED(fcntl(fds[0], F_SETSIG, SIGRTMIN));
    came = 0;
    NEED(write(fds[1], "a", 1));
    CHECK(came == SIGRTMIN && code == POLL_IN && fd == fds[0] && (band & 1),
          "with F_SETSIG its signal tells the descriptor and why");
    NEED(read(fds[0], bytes, 1));

    NEED(fcntl(fds[0], F_SETFL, 0));
    came = 0;
    NEED(write(fds[1], "a", 1));
    IS(came, 0, "without O_ASYNC none comes");
    NEED(ioctl(fds[0], FIOASYNC, &on));
    CHECK(fcntl(fds[0], F_GETFL) & O_ASYNC, "FIOASYNC sets it, too");
    NEED(read(fds[0], bytes, 1));
    close(fds[1]);
    IS(came, SIGRTMIN, "the end of the last writer is told");
    close(fds[0]);
}

static void sockets(void)
{
    int fds[2], null;

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    NEED(fcntl(fds[0], F_SETOWN, getpid()));
    NEED(fcntl(fds[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    came = 0;
    NEED(write(fds[1], "a", 1));
    IS(came, SIGIO, "a socket's peer writes");
    close(fds[0]);
    NEED(fcntl(fds[1], F_SETFL, O_ASYNC));
    close(fds[1]);
    null = (int)NEED(open("/tmp/async", O_RDWR | O_CREAT, 0600));
    IS(fcntl(null, F_SETFL, O_ASYNC), 0, "O_ASYNC of a regular file is ignored");
    IS(fcntl(null, F_GETFL) & O_ASYNC, 0, "and not remembered");
    close(null);
    unlink("/tmp/async");
}

static void packets(void)
{
    char bytes[5000] = {0};
    int fds[2];

    NEED(pipe2(fds, O_DIRECT | O_NONBLOCK));
    IS(write(fds[1], "one", 3), 3, "a packet");
    IS(write(fds[1], "three", 5), 5, "another");
    IS(read(fds[0], bytes, sizeof(bytes)), 3, "are read one by one");
    IS(read(fds[0], bytes, 2), 2, "what a read leaves of one");
    FAILS(read(fds[0], bytes, sizeof(bytes)), EAGAIN, "is gone");
    IS(write(fds[1], bytes, 5000), 5000, "what is longer than PIPE_BUF");
    IS(read(fds[0], bytes, sizeof(bytes)), 4096, "is cut into packets");
    IS(read(fds[0], bytes, sizeof(bytes)), 904, "of up to that");
    NEED(fcntl(fds[1], F_SETFL, O_NONBLOCK));
    NEED(write(fds[1], "a", 1));
    NEED(write(fds[1], "b", 1));
    IS(read(fds[0], bytes, sizeof(bytes)), 2, "F_SETFL without O_DIRECT makes it a stream again");
    close(fds[0]);
    close(fds[1]);
}

static void appending(void)
{
    struct iovec piece = {(void *)"xy", 2};
    int file = (int)NEED(open("/tmp/append", O_RDWR | O_CREAT | O_TRUNC, 0600));
    char bytes[8] = "";

    NEED(write(file, "0123", 4));
    IS(pwritev2(file, &piece, 1, 0, RWF_APPEND), 2, "RWF_APPEND");
    IS(pread(file, bytes, 8, 0), 6, "writes at the end");
    CHECK(!memcmp(bytes, "0123xy", 6), "whatever the position");
    NEED(fcntl(file, F_SETFL, O_APPEND));
    IS(pwritev2(file, &piece, 1, 0, 0x20 /* RWF_NOAPPEND */), 2, "RWF_NOAPPEND");
    IS(pread(file, bytes, 8, 0), 6, "does not");
    CHECK(!memcmp(bytes, "xy23xy", 6), "even with O_APPEND");
    FAILS(pwritev2(file, &piece, 1, 0, RWF_APPEND | 0x20), EINVAL, "both");
    FAILS(pwritev2(file, &piece, 1, 0, 0x1000), EOPNOTSUPP, "an unknown flag");
    close(file);
    unlink("/tmp/append");
}

static void body(void)
{
    whom();
    pipes();
    sockets();
    packets();
    appending();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
