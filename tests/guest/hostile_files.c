/*
 * Descriptors used to harm: sets of epoll that watch each other in a long chain, messages without bytes that nobody
 * receives, a received descriptor that another thread closes at once. The kernel bounds each. Source: epoll_ctl(2),
 * ELOOP; unix(7), sysctl net.unix.max_dgram_qlen.
 */
#include "tap.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define LEVELS 300
#define MANY 20000
#define ROUNDS 300

/* A chain built from its top: each set is new and empty when it is added. */
static void epoll_chain(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int top = epoll_create1(0), bottom = top, levels = 0, fds[LEVELS], error = 0, ready = eventfd(1, 0);

    while (levels < LEVELS && error == 0) {
        fds[levels] = epoll_create1(0);
        if (epoll_ctl(bottom, EPOLL_CTL_ADD, fds[levels], &event) != 0)
            error = errno;
        bottom = error == 0 ? fds[levels] : bottom;
        levels++;
    }
    CHECK(error == ELOOP && levels < 10, "a chain of sets ends early: %d levels, %s", levels, errno_name(error));
    OKAY(epoll_ctl(bottom, EPOLL_CTL_ADD, ready, &event), "the lowest set watches something that is ready");
    CHECK(epoll_wait(top, &event, 1, 0) == 1, "the top learns of it");
    for (int i = 0; i < levels; i++)
        close(fds[i]);
    close(ready);
    close(top);
}

static void empty_messages(int type, const char *name)
{
    int s[2], n = 0;

    OKAY(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s), "a pair");
    while (n < MANY && send(s[0], "", 0, 0) == 0)
        n++;
    CHECK(n > 0 && n < MANY && errno == EAGAIN, "%s: empty messages have a bound (%d)", name, n);
    CHECK(recv(s[1], &n, 1, 0) == 0, "one is received");
    CHECK(send(s[0], "", 0, 0) == 0, "and one more has room");
    close(s[0]);
    close(s[1]);
}

static int expected; /* the number that the next received descriptor gets */
static int stop;

static void *closer(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        close(expected);
    return NULL;
}

static void closed_at_once(void)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    char byte = 'x';
    struct iovec vec = {&byte, 1};
    int s[2], done = 0;
    pthread_t thread;

    OKAY(socketpair(AF_UNIX, SOCK_STREAM, 0, s), "a pair");
    expected = eventfd(0, 0);
    close(expected);
    expected++;
    pthread_create(&thread, NULL, closer, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        struct msghdr m = {
            .msg_iov = &vec, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        int fd = eventfd(0, 0);

        control.header =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        if (sendmsg(s[0], &m, 0) == 1 && recvmsg(s[1], &m, 0) == 1)
            done++;
        close(fd);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    CHECK(done == ROUNDS, "each message arrives, whoever closes what it brings");
    close(s[0]);
    close(s[1]);
}

static void body(void)
{
    epoll_chain();
    empty_messages(SOCK_DGRAM, "datagrams");
    empty_messages(SOCK_SEQPACKET, "packets");
    closed_at_once();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
