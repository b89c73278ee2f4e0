/*
 * Local sockets: pairs, streams with listen and accept, datagrams, abstract names, descriptors and credentials in
 * messages, shutdown, polling. Source: unix(7), socket(2), connect(2), recv(2), cmsg(3).
 */
#include "tap.h"

#include <poll.h>
#include <stddef.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buffer[65536];

static socklen_t set_name(struct sockaddr_un *address, const char *path, size_t n)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, n);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static int events_of(int fd, short wanted)
{
    struct pollfd p = {.fd = fd, .events = wanted};

    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static void kinds(void)
{
    FAILS(socket(AF_UNIX, 77, 0), EINVAL, "no such type");
    FAILS(socket(AF_UNIX, SOCK_STREAM, 77), EPROTONOSUPPORT, "no such protocol");
    FAILS(socket(12345, SOCK_STREAM, 0), EAFNOSUPPORT, "no such family");
    FAILS(recv(0, buffer, 1, 0), ENOTSOCK, "a file that is no socket");
    FAILS(recv(999, buffer, 1, 0), EBADF, "no file");
}

static void pairs(void)
{
    int s[2], value;
    socklen_t length = sizeof(value);

    OKAY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), "a pair");
    CHECK(fcntl(s[0], F_GETFD) == FD_CLOEXEC, "SOCK_CLOEXEC");
    OKAY(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &length), "SO_TYPE");
    IS(value, SOCK_STREAM, "says stream");
    IS(events_of(s[0], POLLIN | POLLOUT), POLLOUT, "writable, nothing to read");
    IS(write(s[0], "hello", 5), 5, "write");
    IS(write(s[0], "world", 5), 5, "and again");
    IS(events_of(s[1], POLLIN | POLLOUT), POLLIN | POLLOUT, "readable on the other side");
    IS(recv(s[1], buffer, 3, MSG_PEEK), 3, "a look");
    IS(read(s[1], buffer, 100), 10, "a stream has no borders");
    CHECK(memcmp(buffer, "helloworld", 10) == 0, "and keeps the order");
    FAILS(recv(s[1], buffer, 1, MSG_DONTWAIT), EAGAIN, "empty");
    OKAY(shutdown(s[0], SHUT_WR), "shutdown of one direction");
    IS(read(s[1], buffer, 1), 0, "is the end for the other side");
    IS(write(s[1], "back", 4), 4, "which may still write");
    IS(read(s[0], buffer, 100), 4, "and be read");
    FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE, "the shut direction is a broken pipe");
    close(s[1]);
    CHECK(events_of(s[0], POLLIN | POLLOUT) & POLLHUP, "hang-up when the other side closes");
    IS(read(s[0], buffer, 1), 0, "and the end");
    close(s[0]);
}

static int write_to_closed(void *argument)
{
    int *s = argument;

    close(s[1]);
    return write(s[0], "x", 1) == 1;
}

static void broken(void)
{
    int s[2];

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    close(s[1]);
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(s[0], "x", 1), EPIPE, "write to a closed side");
    signal(SIGPIPE, SIG_DFL);
    close(s[0]);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    close(s[1]);
    DIES(write_to_closed, s, SIGPIPE, ANY_CODE, NULL, "SIGPIPE");
    close(s[0]);
}

static void full(void)
{
    int s[2];
    ssize_t n, total = 0, got = 0;
    pid_t child;

    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
    while ((n = write(s[0], buffer, sizeof(buffer))) > 0)
        total += n;
    CHECK(n < 0 && errno == EAGAIN && total > 65536, "a full socket is EAGAIN");
    IS(events_of(s[0], POLLOUT), 0, "and not writable");
    while ((n = read(s[1], buffer, sizeof(buffer))) > 0)
        got += n;
    IS(got, total, "all of it comes out");
    IS(events_of(s[0], POLLOUT), POLLOUT, "and it is writable again");
    fcntl(s[0], F_SETFL, 0);
    fcntl(s[1], F_SETFL, 0);
    child = fork();
    if (child == 0) {
        close(s[1]);
        for (int i = 0; i < 40; i++)
            if (write(s[0], buffer, 50000) != 50000)
                _exit(1);
        _exit(0);
    }
    close(s[0]);
    for (got = 0; (n = read(s[1], buffer, 30000)) > 0;)
        got += n;
    IS(got, 2000000, "a writer that must wait gives everything");
    waitpid(child, NULL, 0);
    close(s[1]);
}

static int connect_and_talk(void *argument)
{
    struct sockaddr_un *address = argument;
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    if (connect(s, (void *)address, sizeof(*address)) != 0 || write(s, "ping", 4) != 4 || read(s, buffer, 4) != 4)
        return 1;
    return memcmp(buffer, "pong", 4) != 0;
}

static void streams(void)
{
    struct sockaddr_un address, got;
    struct ucred cred;
    struct stat st;
    socklen_t length = set_name(&address, "sock", 5), n;
    int listener, connection, status;
    pid_t child;

    NEED(listener = socket(AF_UNIX, SOCK_STREAM, 0));
    FAILS(listen(listener, 5), EINVAL, "listen without a name");
    OKAY(bind(listener, (void *)&address, length), "bind");
    FAILS(bind(listener, (void *)&address, length), EADDRINUSE, "twice");
    set_name(&got, "sock2", 6);
    FAILS(bind(listener, (void *)&got, length + 1), EINVAL, "to another name");
    CHECK(stat("sock", &st) == 0 && S_ISSOCK(st.st_mode), "makes a socket file");
    FAILS(open("sock", O_RDWR), ENXIO, "that cannot be opened");
    NEED(connection = socket(AF_UNIX, SOCK_STREAM, 0));
    FAILS(bind(connection, (void *)&address, length), EADDRINUSE, "whose name is in use");
    FAILS(connect(connection, (void *)&address, length), ECONNREFUSED, "nobody listens yet");
    FAILS(read(connection, buffer, 1), EINVAL, "not connected");
    close(connection);
    OKAY(listen(listener, 1), "listen");
    IS(events_of(listener, POLLIN), 0, "nobody is there");
    child = fork();
    if (child == 0)
        _exit(connect_and_talk(&address));
    n = sizeof(got);
    OKAY(connection = accept4(listener, (void *)&got, &n, SOCK_CLOEXEC), "accept");
    IS(n, 2, "from a nameless one");
    IS(read(connection, buffer, 100), 4, "what was sent");
    n = sizeof(cred);
    OKAY(getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &cred, &n), "SO_PEERCRED");
    IS(cred.pid, child, "tells who connected");
    n = sizeof(got);
    OKAY(getsockname(connection, (void *)&got, &n), "its name");
    CHECK(strcmp(got.sun_path, "sock") == 0, "is the listener's");
    IS(write(connection, "pong", 4), 4, "an answer");
    waitpid(child, &status, 0);
    IS(status, 0, "was got");
    IS(read(connection, buffer, 1), 0, "the client is gone");
    close(connection);
    OKAY(fcntl(listener, F_SETFL, O_NONBLOCK), "not blocking");
    FAILS(accept(listener, NULL, NULL), EAGAIN, "nobody to accept");
    close(listener);
    NEED(connection = socket(AF_UNIX, SOCK_STREAM, 0));
    FAILS(connect(connection, (void *)&address, length), ECONNREFUSED, "the file without its socket");
    unlink("sock");
    FAILS(connect(connection, (void *)&address, length), ENOENT, "nothing at all");
    close(connection);
}

static void datagrams(void)
{
    struct sockaddr_un a, b, from;
    socklen_t length_a = set_name(&a, "\0quire-test-a", 13), length_b = set_name(&b, "\0quire-test-b", 13),
              n = sizeof(from);
    int one, two;

    NEED(one = socket(AF_UNIX, SOCK_DGRAM, 0));
    NEED(two = socket(AF_UNIX, SOCK_DGRAM, 0));
    OKAY(bind(one, (void *)&a, length_a), "an abstract name");
    FAILS(bind(two, (void *)&a, length_a), EADDRINUSE, "in use");
    OKAY(bind(two, (void *)&b, length_b), "another");
    FAILS(send(one, "x", 1, 0), ENOTCONN, "send needs a peer");
    IS(sendto(one, "first", 5, 0, (void *)&b, length_b), 5, "sendto");
    IS(sendto(one, "", 0, 0, (void *)&b, length_b), 0, "an empty one");
    IS(sendto(one, "third", 5, 0, (void *)&b, length_b), 5, "and one more");
    IS(recvfrom(two, buffer, 3, MSG_TRUNC, (void *)&from, &n), 5, "MSG_TRUNC tells the full length");
    CHECK(n == length_a && memcmp(from.sun_path, "\0quire-test-a", 13) == 0, "and the sender is named");
    IS(read(two, buffer, 100), 0, "borders are kept, of nothing too");
    IS(read(two, buffer, 100), 5, "and the rest of a short read is gone");
    OKAY(connect(two, (void *)&a, length_a), "connected");
    IS(write(two, "x", 1), 1, "write");
    IS(read(one, buffer, 100), 1, "read");
    close(one);
    FAILS(write(two, "x", 1), ECONNREFUSED, "the receiver is gone");
    close(two);
}

/* epoll(7): an edge is what arrives, not what is taken. */
static void edges(void)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int s[2], ep = epoll_create1(0);

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    IS(write(s[0], "abc", 3), 3, "three bytes");
    NEED(shutdown(s[0], SHUT_WR));
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &event));
    IS(epoll_wait(ep, &event, 1, 0), 1, "an edge-triggered epoll tells of them");
    IS(read(s[1], buffer, 1), 1, "one is read");
    IS(epoll_wait(ep, &event, 1, 0), 0, "which is no news");
    close(s[0]);
    close(s[1]);
    close(ep);
}

/* Who is told that he can write can write, however much he wants to. */
static void little_room(void)
{
    static char much[60000];
    struct pollfd p = {.events = POLLOUT};
    int s[2], refused = 0;

    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
    p.fd = s[0];
    while (write(s[0], much, 7001) > 0)
        ;
    for (int i = 0; i < 60; i++) {
        NEED(read(s[1], much, 3000));
        if (poll(&p, 1, 0) == 1 && write(s[0], much, sizeof(much)) < 0)
            refused++;
    }
    IS(refused, 0, "a stream with little room takes a part");
    close(s[0]);
    close(s[1]);
}

static void packets(void)
{
    int s[2];
    struct iovec vec = {"abc", 3};
    struct msghdr message = {.msg_name = "", .msg_namelen = 1, .msg_iov = &vec, .msg_iovlen = 1};

    OKAY(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), "SOCK_SEQPACKET");
    IS(sendmsg(s[0], &message, 0), 3, "a packet, for which no address is looked at");
    IS(write(s[0], "defgh", 5), 5, "another");
    IS(read(s[1], buffer, 100), 3, "come as they were sent");
    IS(read(s[1], buffer, 2), 2, "and are cut");
    close(s[0]);
    IS(read(s[1], buffer, 100), 0, "then the end");
    close(s[1]);
}

static void rights(void)
{
    int s[2], fds[2], got[2];
    char byte = 'x';
    char control[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8)));
    struct iovec vec = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &vec, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c;

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    NEED(pipe(fds));
    memset(control, 0, sizeof(control));
    c = (struct cmsghdr *)control;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(c), fds, sizeof(fds));
    IS(sendmsg(s[0], &message, 0), 1, "two descriptors are sent");
    close(fds[0]);
    memset(control, 0, sizeof(control));
    message.msg_controllen = sizeof(control);
    IS(recvmsg(s[1], &message, MSG_CMSG_CLOEXEC), 1, "and received");
    c = (struct cmsghdr *)control;
    CHECK(message.msg_controllen > 0 && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(2 * sizeof(int)),
          "as SCM_RIGHTS");
    memcpy(got, CMSG_DATA(c), sizeof(got));
    CHECK(fcntl(got[0], F_GETFD) == FD_CLOEXEC, "closed at exec");
    IS(write(fds[1], "through", 7), 7, "into the pipe");
    IS(read(got[0], buffer, 100), 7, "out of the received end");
    close(got[0]);
    close(got[1]);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    *(int *)CMSG_DATA(c) = 999;
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    FAILS(sendmsg(s[0], &message, 0), EBADF, "a descriptor that is not open");
    *(int *)CMSG_DATA(c) = fds[1];
    IS(sendmsg(s[0], &message, 0), 1, "one on its way");
    close(fds[1]);
    close(s[0]);
    close(s[1]); /* it must not be lost: the count of files tells */
}

/* Several SCM_RIGHTS in one message are received as one; no more than 253 descriptors in all. */
static void rights_in_parts(void)
{
    struct {
        struct cmsghdr header;
        int fds[252];
        struct cmsghdr next;
        int more[2];
    } control = {.header = {CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct cmsghdr *second = (struct cmsghdr *)((char *)&control + CMSG_SPACE(2 * sizeof(int)));
    char byte = 'x';
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control};
    int s[2], fds[3];

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    control.fds[0] = s[0];
    control.fds[1] = s[1];
    *second = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    *(int *)CMSG_DATA(second) = s[0];
    message.msg_controllen = CMSG_SPACE(2 * sizeof(int)) + CMSG_SPACE(sizeof(int));
    IS(sendmsg(s[0], &message, 0), 1, "descriptors in two parts");
    message.msg_controllen = sizeof(control);
    IS(recvmsg(s[1], &message, 0), 1, "are received");
    IS(control.header.cmsg_len, CMSG_LEN(3 * sizeof(int)), "as one");
    memcpy(fds, control.fds, sizeof(fds));
    for (int i = 0; i < 3; i++)
        NEED(close(fds[i]));
    control.header.cmsg_len = CMSG_LEN(252 * sizeof(int));
    for (int i = 0; i < 252; i++)
        control.fds[i] = s[0];
    control.next = (struct cmsghdr){CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    control.more[0] = control.more[1] = s[1];
    message.msg_controllen = sizeof(control);
    FAILS(sendmsg(s[0], &message, 0), EINVAL, "254 are too many");
    close(s[0]);
    close(s[1]);
}

static int send_descriptor(int socket, int fd)
{
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    return (int)sendmsg(socket, &message, 0);
}

/* Sockets in messages of sockets in messages: the end of the outermost is the end of all. */
static void nested(void)
{
    int previous = -1, ends[2], made = 0;

    for (; made < 5000 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0; made++) {
        if (previous >= 0 && send_descriptor(ends[0], previous) < 0)
            break;
        close(previous);
        close(ends[0]);
        previous = ends[1];
    }
    IS(made, 5000, "a chain of sockets in flight");
    OKAY(close(previous), "goes with its outermost");
}

/* Sockets that are sent through themselves and closed do not stay for ever: files run out otherwise. */
static void circles(void)
{
    int ends[2], made = 0;

    for (; made < 5000 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0; made++) {
        if (send_descriptor(ends[0], ends[1]) < 0 || send_descriptor(ends[1], ends[0]) < 0)
            break;
        close(ends[0]);
        close(ends[1]);
    }
    IS(made, 5000, "sockets sent through each other");
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    IS(send_descriptor(ends[0], 1), 1, "a message with a descriptor");
    IS(write(ends[0], "plain", 5), 5, "and one without");
    IS(read(ends[1], buffer, 100), 1, "are read one after the other");
    IS(read(ends[1], buffer, 100), 5, "the second");
    close(ends[0]);
    close(ends[1]); /* what was left of the circles goes with it */
}

/* socket(7): the size that is asked for is doubled, between bounds; a sender waits when as much is under way. */
static void buffers(void)
{
    int s[2], size = 1, small, first = 0;
    socklen_t length = sizeof(small);
    char bytes[1024] = "";
    ssize_t n, sent = 0;

    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
    NEED(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &first, &length));
    OKAY(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), "SO_SNDBUF");
    NEED(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &small, &length));
    CHECK(small >= 2048 && small <= 8192, "has a least size: %d", small);
    while ((n = write(s[0], bytes, sizeof(bytes))) > 0)
        sent += n;
    CHECK(errno == EAGAIN && sent <= 2 * small, "and counts: %zd bytes of at most %d are taken", sent, first);
    size = 8192;
    NEED(setsockopt(s[1], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
    NEED(getsockopt(s[1], SOL_SOCKET, SO_RCVBUF, &small, &length));
    IS(small, 2 * size, "SO_RCVBUF is doubled");
    size = 1 << 30;
    NEED(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
    NEED(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &small, &length));
    CHECK(small < size, "there is a largest size: %d", small);
    close(s[0]);
    close(s[1]);
}

static int is_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* Who is told that he may write can write, and who cannot is told when he can. */
static void writable(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    static const size_t sizes[] = {100, 3100, 96100};
    static char bytes[96100];
    unsigned wrong = 0, stuck = 0, refused = 0;
    int s[2];

    for (unsigned i = 0; i < 9; i++) {
        size_t size = sizes[i % 3];

        NEED(socketpair(AF_UNIX, types[i / 3] | SOCK_NONBLOCK, 0, s));
        while (send(s[0], bytes, size, 0) > 0)
            ;
        wrong += errno != EAGAIN || is_writable(s[0]);
        while (!is_writable(s[0]) && recv(s[1], bytes, size, 0) > 0)
            ;
        stuck += !is_writable(s[0]);
        refused += send(s[0], bytes, size, 0) <= 0;
        close(s[0]);
        close(s[1]);
    }
    IS(wrong, 0, "a socket that takes nothing more is not writable");
    IS(stuck, 0, "it is after some have been read");
    IS(refused, 0, "and takes a message then");
}

/* A listener that waits in a message in its own backlog: nobody can accept that connection any more. */
static void own_backlog(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0own backlog"};
    int made = 0, listener, client;

    for (; made < 3000; made++) {
        listener = socket(AF_UNIX, SOCK_STREAM, 0);
        client = socket(AF_UNIX, SOCK_STREAM, 0);
        if (listener < 0 || client < 0 || bind(listener, (struct sockaddr *)&name, sizeof(name)) < 0 ||
            listen(listener, 1) < 0 || connect(client, (struct sockaddr *)&name, sizeof(name)) < 0 ||
            send_descriptor(client, listener) != 1)
            break;
        close(listener);
        close(client);
        name.sun_path[20] = (char)(made + 1); /* on Linux the collector comes a little later */
        name.sun_path[21] = (char)((made + 1) >> 8);
    }
    IS(made, 3000, "listeners sent into their own backlogs go");
}

/* unix(7), ETOOMANYREFS: as many descriptors may be on their way as a process may have open, and one message more. */
static int sends_too_many(void *unused UNUSED)
{
    struct rlimit limit = {16, 16};
    int ends[2], sent = 0;

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || setgid(1000) < 0 || setuid(1000) < 0)
        return 100;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return 101;
    while (sent < 50 && send_descriptor(ends[0], 0) == 1)
        sent++;
    if (errno != ETOOMANYREFS)
        return 102;
    if (read(ends[1], buffer, 1) != 1 || send_descriptor(ends[0], 0) != 1)
        return 103;
    return sent;
}

/* What recvmsg(2) says besides the bytes. */
static void told(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0told"}, from;
    char bytes[4], control[CMSG_SPACE(sizeof(int)) + 8] __attribute__((aligned(8)));
    struct iovec vec = {bytes, sizeof(bytes)};
    struct msghdr m = {.msg_iov = &vec, .msg_iovlen = 1};
    struct cmsghdr *c = (struct cmsghdr *)control;
    int s[2], listener = socket(AF_UNIX, SOCK_STREAM, 0), on = 1;
    struct ucred *cred = (struct ucred *)CMSG_DATA(c);

    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    NEED(write(s[0], "longer", 6));
    m.msg_name = &from;
    m.msg_namelen = 77;
    m.msg_flags = 12345;
    IS(recvmsg(s[1], &m, MSG_PEEK | MSG_TRUNC), 6, "MSG_TRUNC: the datagram's full length");
    CHECK(m.msg_flags == MSG_TRUNC && m.msg_namelen == 0, "it was cut, and its sender has no name (%#x, %u)",
          m.msg_flags, m.msg_namelen);
    m.msg_name = NULL;
    m.msg_namelen = 77;
    IS(recvmsg(s[1], &m, MSG_CMSG_CLOEXEC), 4, "without MSG_TRUNC: what fits");
    CHECK(m.msg_flags == (int)(MSG_TRUNC | MSG_CMSG_CLOEXEC) && m.msg_namelen == 77,
          "the flags, and a length that nobody asked for (%#x, %u)", m.msg_flags, m.msg_namelen);

    NEED(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    NEED(write(s[0], "x", 1));
    IS(recvmsg(s[1], &m, 0), 1, "credentials that nobody takes");
    CHECK(m.msg_flags == MSG_CTRUNC && m.msg_controllen == 0, "MSG_CTRUNC (%#x)", m.msg_flags);
    NEED(write(s[0], "x", 1));
    memset(control, 0x55, sizeof(control));
    m.msg_control = control;
    m.msg_controllen = CMSG_LEN(sizeof(pid_t));
    IS(recvmsg(s[1], &m, 0), 1, "credentials that do not fit");
    CHECK(m.msg_flags == MSG_CTRUNC && c->cmsg_len == CMSG_LEN(sizeof(pid_t)) && cred->pid == getpid() &&
              m.msg_controllen == CMSG_LEN(sizeof(pid_t)),
          "are cut (%#x, %zu, %zu)", m.msg_flags, c->cmsg_len, m.msg_controllen);
    CHECK(control[CMSG_LEN(sizeof(pid_t))] == 0x55, "where the buffer ends");
    on = 0;
    NEED(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    send_descriptor(s[0], 0);
    m.msg_controllen = sizeof(*c);
    IS(recvmsg(s[1], &m, 0), 1, "a descriptor for which there is no room");
    CHECK(m.msg_flags == MSG_CTRUNC && m.msg_controllen == 0, "is dropped (%#x, %zu)", m.msg_flags, m.msg_controllen);
    close(s[0]);
    close(s[1]);

    s[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    NEED(bind(listener, (struct sockaddr *)&name, sizeof(sa_family_t) + 5));
    NEED(listen(listener, 1));
    NEED(connect(s[0], (struct sockaddr *)&name, sizeof(sa_family_t) + 5));
    s[1] = accept(listener, NULL, NULL);
    NEED(write(s[1], "named", 5));
    m = (struct msghdr){.msg_iov = &vec, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof(from)};
    IS(recvmsg(s[0], &m, 0), 4, "a piece of a stream");
    CHECK(m.msg_flags == 0 && m.msg_namelen == sizeof(sa_family_t) + 5 && memcmp(from.sun_path, "\0told", 5) == 0,
          "comes from the name that its sender has (%#x, %u)", m.msg_flags, m.msg_namelen);
    close(s[0]);
    close(s[1]);
    close(listener);
}

/* ---- /proc/net/unix ---- */

/* Whether /proc/net/unix says WANTED of FD, behind its flags. */
static bool table_says(int fd, const char *wanted)
{
    char line[300], expected[200];
    bool found = false;
    struct stat st;
    FILE *f = fopen("/proc/net/unix", "r");

    NEED(fstat(fd, &st));
    snprintf(expected, sizeof(expected), wanted, (unsigned long)st.st_ino);
    while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
        found = strlen(line) > 36 && strcmp(line + 36, expected) == 0;
    if (f != NULL)
        fclose(f);
    return found;
}

static void table(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "in-the-table"}, abstract = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), datagram = socket(AF_UNIX, SOCK_DGRAM, 0), s[2];

    memcpy(abstract.sun_path, "\0tab\0le", 7);
    NEED(bind(listener, (struct sockaddr *)&name, sizeof(name)));
    NEED(listen(listener, 1));
    NEED(bind(datagram, (struct sockaddr *)&abstract, sizeof(sa_family_t) + 7));
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    CHECK(table_says(listener, "00010000 0001 01 %5lu in-the-table\n"), "/proc/net/unix: a listener, its path");
    CHECK(table_says(datagram, "00000000 0002 01 %5lu @tab@le\n"), "an abstract name");
    CHECK(table_says(s[0], "00000000 0005 03 %5lu\n"), "and one of a pair");
    close(listener);
    close(datagram);
    close(s[0]);
    close(s[1]);
    unlink("in-the-table");
}

/* Below 0 it is as many as the system allows. */
static void negative_backlog(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0backlog"};
    int listener = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0)), clients[8], connected = 0;

    NEED(bind(listener, (struct sockaddr *)&name, sizeof(name)));
    OKAY(listen(listener, -1), "listen with a negative backlog");
    for (int i = 0; i < 8; i++) {
        clients[i] = (int)NEED(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
        connected += connect(clients[i], (struct sockaddr *)&name, sizeof(name)) == 0;
    }
    IS(connected, 8, "is one for many");
    for (int i = 0; i < 8; i++)
        close(clients[i]);
    close(listener);
}

static void body(void)
{
    struct ending end = in_child(sends_too_many, NULL);

    CHECK(end.status == 17, "more descriptors on their way than may be open: ETOOMANYREFS (%d)", end.status);
    told();
    table();
    writable();
    own_backlog();
    negative_backlog();
    buffers();
    kinds();
    pairs();
    broken();
    full();
    streams();
    datagrams();
    edges();
    little_room();
    packets();
    rights();
    rights_in_parts();
    nested();
    circles();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
