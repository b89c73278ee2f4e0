/* TCP and UDP over the loopback addresses: ip(7), tcp(7), udp(7). */
#include "tap.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char buffer[300000], back[300000];

static struct sockaddr_in address(const char *host, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    inet_pton(AF_INET, host, &a.sin_addr);
    return a;
}

static int bind_to(int fd, const char *host, int port)
{
    struct sockaddr_in a = address(host, port);

    return bind(fd, (struct sockaddr *)&a, sizeof(a));
}

static int connect_to(int fd, const char *host, int port)
{
    struct sockaddr_in a = address(host, port);

    return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static struct sockaddr_in name_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_in a = {0};
    socklen_t length = sizeof(a);

    ask(fd, (struct sockaddr *)&a, &length);
    return a;
}

static int port_of(int fd) { return ntohs(name_of(fd, getsockname).sin_port); }

static int listener(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    bind_to(fd, "127.0.0.1", 0);
    listen(fd, 5);
    return fd;
}

static void *echo(void *arg)
{
    int fd = *(int *)arg;
    ssize_t n;

    while ((n = recv(fd, back, 5000, 0)) > 0)
        for (ssize_t done = 0; done < n;) {
            ssize_t put = send(fd, back + done, (size_t)(n - done), 0);

            if (put <= 0)
                return NULL;
            done += put;
        }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void *feed(void *arg)
{
    int fd = *(int *)arg;

    for (size_t done = 0; done < sizeof(buffer);) {
        ssize_t n = write(fd, buffer + done, sizeof(buffer) - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void streams(void)
{
    int l = listener(), client = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP), server, one = 1;
    struct sockaddr_in a;
    socklen_t length = sizeof(a);
    pthread_t feeder, echoer;
    static char got[sizeof(buffer)];
    size_t total = 0;
    char line[2];
    struct iovec vec = {"b", 1};
    struct msghdr message = {.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &vec, .msg_iovlen = 1};
    ssize_t n;

    CHECK(port_of(l) >= 32768, "a port is chosen");
    OKAY(connect_to(client, "127.0.0.1", port_of(l)), "connect");
    server = accept4(l, (struct sockaddr *)&a, &length, SOCK_CLOEXEC);
    CHECK(server >= 0 && length == sizeof(a) && a.sin_family == AF_INET && ntohs(a.sin_port) == port_of(client) &&
              a.sin_addr.s_addr == htonl(INADDR_LOOPBACK),
          "accept tells whom");
    IS(ntohs(name_of(client, getpeername).sin_port), port_of(l), "the client's peer");
    IS(port_of(server), port_of(l), "the server's own name");
    OKAY(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), "TCP_NODELAY");
    one = 0;
    length = sizeof(one);
    CHECK(getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, &length) == 0 && one == 1, "is kept");
    FAILS(connect_to(client, "127.0.0.1", port_of(l)), EISCONN, "twice");
    a = address("127.0.0.1", 9);
    IS(sendto(client, "a", 1, 0, (struct sockaddr *)&a, sizeof(a)), 1, "sendto does not look at an address");
    a.sin_family = AF_UNSPEC;
    IS(sendmsg(client, &message, 0), 1, "nor does sendmsg");
    CHECK(recv(server, line, 2, MSG_WAITALL) == 2 && memcmp(line, "ab", 2) == 0, "and the peer has it");
    for (size_t i = 0; i < sizeof(buffer); i++)
        buffer[i] = (char)(i * 7 >> 2);
    pthread_create(&echoer, NULL, echo, &server);
    pthread_create(&feeder, NULL, feed, &client);
    while (total < sizeof(got) && (n = read(client, got + total, sizeof(got) - total)) > 0)
        total += (size_t)n;
    CHECK(total == sizeof(got) && memcmp(got, buffer, total) == 0, "bytes there and back");
    IS(read(client, got, 1), 0, "and the end");
    pthread_join(feeder, NULL);
    pthread_join(echoer, NULL);
    close(server);
    close(client);
    close(l);
}

static void names(void)
{
    int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), one = 1, port;

    FAILS(bind_to(a, "192.0.2.1", 0), EADDRNOTAVAIL, "an address that is not ours");
    FAILS(bind(a, (struct sockaddr *)buffer, 3), EINVAL, "too short");
    FAILS(connect_to(a, "127.0.0.1", 1), ECONNREFUSED, "nobody listens");
    close(a);
    a = socket(AF_INET, SOCK_STREAM, 0);
    OKAY(bind_to(a, "0.0.0.0", 0), "all addresses");
    port = port_of(a);
    FAILS(bind_to(b, "127.0.0.1", port), EADDRINUSE, "a port in use");
    FAILS(bind_to(a, "127.0.0.1", 0), EINVAL, "a second name");
    OKAY(listen(a, 1), "listen");
    setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    FAILS(bind_to(b, "127.0.0.1", port), EADDRINUSE, "also with SO_REUSEADDR: somebody listens");
    OKAY(connect_to(b, "127.0.0.5", port), "any loopback address reaches it");
    close(a);
    close(b);
    FAILS(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT, "no such type");
    FAILS(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT, "no such protocol");
    a = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(getpeername(a, (struct sockaddr *)buffer, &(socklen_t){16}), ENOTCONN, "no peer");
    FAILS(recv(a, buffer, 1, 0), ENOTCONN, "nobody to receive from");
    FAILS(send(a, buffer, 1, MSG_NOSIGNAL), EPIPE, "or to send to");
    close(a);
}

/* Closed with SO_LINGER and no time: the peer sees a reset, not an end. */
static void test_linger(int l)
{
    int client = socket(AF_INET, SOCK_STREAM, 0), server;
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    char byte;

    connect_to(client, "127.0.0.1", port_of(l));
    server = accept(l, NULL, NULL);
    OKAY(setsockopt(server, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), "SO_LINGER without time");
    close(server);
    usleep(20000);
    FAILS(recv(client, &byte, 1, 0), ECONNRESET, "close resets the connection");
    IS(recv(client, &byte, 1, 0), 0, "which is told once");
    close(client);
}

/* A peer that has gone: what is sent to it is lost, and only then it is known. */
static void test_gone(int l)
{
    int client = socket(AF_INET, SOCK_STREAM, 0), server, error = 0;
    socklen_t length = sizeof(error);
    struct pollfd p = {.fd = client, .events = POLLIN | POLLOUT};

    connect_to(client, "127.0.0.1", port_of(l));
    server = accept(l, NULL, NULL);
    close(server);
    usleep(20000);
    IS(poll(&p, 1, 0), 1, "the peer has gone: poll");
    IS(p.revents, POLLIN | POLLOUT, "tells of the end, and that one may write");
    IS(send(client, "lost", 4, MSG_NOSIGNAL), 4, "what is sent then is lost");
    usleep(20000);
    IS(poll(&p, 1, 0), 1, "then poll");
    IS(p.revents, POLLIN | POLLOUT | POLLERR | POLLHUP, "tells that it is over");
    IS(recv(client, buffer, 1, 0), 0, "there is nothing to be read");
    FAILS(send(client, "more", 4, MSG_NOSIGNAL), EPIPE, "the next is refused");
    FAILS(send(client, "more", 4, MSG_NOSIGNAL), EPIPE, "and each after it");
    OKAY(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length), "SO_ERROR");
    IS(error, 0, "was told");
    close(client);
}

static void endings(void)
{
    int l = listener(), client = socket(AF_INET, SOCK_STREAM, 0), server, error = 0;
    struct timeval soon = {.tv_usec = 50000};
    socklen_t length = sizeof(error);

    connect_to(client, "127.0.0.1", port_of(l));
    server = accept(l, NULL, NULL);
    OKAY(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), "SO_RCVTIMEO");
    FAILS(recv(client, buffer, 1, 0), EAGAIN, "ends a wait");
    FAILS(recv(client, buffer, 1, MSG_DONTWAIT), EAGAIN, "MSG_DONTWAIT");
    IS(send(client, "lost", 4, 0), 4, "bytes that nobody reads");
    usleep(20000);
    close(server);
    usleep(20000);
    FAILS(recv(client, buffer, 1, 0), ECONNRESET, "are reset");
    test_linger(l);
    test_gone(l);
    IS(recv(client, buffer, 1, 0), 0, "once");
    OKAY(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length), "SO_ERROR");
    IS(error, 0, "says no more");
    close(client);
    close(l);
}

static void datagrams(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to, from;
    socklen_t length = sizeof(from);
    struct mmsghdr several[2] = {0};
    struct iovec pieces[2] = {{"one", 3}, {"three", 5}};

    OKAY(bind_to(a, "127.0.0.1", 0), "bind");
    to = address("127.0.0.1", port_of(a));
    IS(sendto(b, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5, "sendto");
    CHECK(port_of(b) != 0, "gives the sender a port");
    CHECK(recvfrom(a, buffer, 100, 0, (struct sockaddr *)&from, &length) == 5 && ntohs(from.sin_port) == port_of(b) &&
              from.sin_addr.s_addr == htonl(INADDR_LOOPBACK),
          "recvfrom tells the sender");
    OKAY(connect_to(b, "127.0.0.1", port_of(a)), "connect");
    IS(send(b, buffer, 0, 0), 0, "an empty one");
    IS(recv(a, buffer, 100, 0), 0, "arrives");
    FAILS(send(b, buffer, 65508, 0), EMSGSIZE, "too long");
    to = address("127.0.0.1", port_of(b));
    IS(sendto(c, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1, "a stranger's");
    FAILS(recv(b, buffer, 100, MSG_DONTWAIT), EAGAIN, "does not reach a connected one");
    for (int i = 0; i < 2; i++)
        several[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
    IS(sendmmsg(b, several, 2, 0), 2, "two in one call");
    CHECK(several[0].msg_len == 3 && several[1].msg_len == 5, "with their lengths");
    pieces[0] = (struct iovec){buffer, 100};
    pieces[1] = (struct iovec){back, 100};
    CHECK(recvmmsg(a, several, 2, MSG_WAITFORONE, NULL) == 2 && memcmp(buffer, "one", 3) == 0 &&
              several[1].msg_len == 5 && memcmp(back, "three", 5) == 0,
          "and received in one");
    close(a);
    IS(send(b, "x", 1, 0), 1, "to nobody");
    usleep(20000);
    FAILS(send(b, "x", 1, 0), ECONNREFUSED, "the next call learns it");
    FAILS(send(c, "x", 1, 0), EDESTADDRREQ, "no destination");
    close(b);
    close(c);
}

static void events(void)
{
    int l = listener(), client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), server;
    struct pollfd p = {.fd = l, .events = POLLIN};

    IS(poll(&p, 1, 0), 0, "nobody comes");
    FAILS(accept4(l, NULL, NULL, 0x1), EINVAL, "accept4: unknown flags");
    FAILS(connect_to(client, "127.0.0.1", port_of(l)), EINPROGRESS, "a connect that does not wait");
    CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLIN, "somebody came");
    p = (struct pollfd){.fd = client, .events = POLLOUT | POLLIN};
    CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLOUT, "the client may write");
    OKAY(connect_to(client, "127.0.0.1", port_of(l)), "connect again: it is done");
    FAILS(connect_to(client, "127.0.0.1", port_of(l)), EISCONN, "and again");
    server = accept(l, NULL, NULL);
    (void)!write(server, "x", 1);
    p.events = POLLIN;
    CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLIN, "and read");
    close(server);
    (void)!read(client, buffer, 9);
    p.events = POLLIN | POLLRDHUP;
    CHECK(poll(&p, 1, 5000) == 1 && (p.revents & (POLLIN | POLLRDHUP)) == (POLLIN | POLLRDHUP), "and sees the end");
    close(client);
    close(l);
    client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    FAILS(connect_to(client, "127.0.0.1", 1), EINPROGRESS, "nobody listens there");
    p = (struct pollfd){.fd = client, .events = POLLOUT};
    CHECK(poll(&p, 1, 5000) == 1 && (p.revents & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP), "poll tells");
    FAILS(connect_to(client, "127.0.0.1", 1), ECONNREFUSED, "connect again says why");
    close(client);
}

/* ---- /proc/net ---- */

/* The line of NAME, a file of /proc/net, about FD's inode: what is before the inode's number (column INODE). */
static bool find_line(const char *name, int fd, int inode, char *line, size_t size)
{
    char path[64], word[32];
    bool found = false;
    struct stat st;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/net/%s", name);
    fstat(fd, &st);
    snprintf(word, sizeof(word), "%lu", (unsigned long)st.st_ino);
    f = fopen(path, "r");
    while (f != NULL && !found && fgets(line, (int)size, f) != NULL) {
        char copy[300], *rest = copy, *token = NULL;

        snprintf(copy, sizeof(copy), "%s", line);
        for (int i = 0; i < inode; i++)
            token = strtok_r(rest, " \n", &rest);
        found = token != NULL && strcmp(token, word) == 0;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

/* Whether NAME has a line of FD's, with these addresses (host byte order), ports and state. */
static bool is_told(const char *name, int fd, int own, int other, unsigned state)
{
    char line[300], wanted[64];

    if (!find_line(name, fd, 10, line, sizeof(line)))
        return false;
    snprintf(wanted, sizeof(wanted), "%08X:%04X %08X:%04X %02X ", htonl(INADDR_LOOPBACK), own,
             other != 0 ? htonl(INADDR_LOOPBACK) : 0, other, state);
    return strstr(line, wanted) != NULL;
}

static void tables(void)
{
    int l = listener(), client = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), server;
    char line[300], link[64] = "", path[64];
    struct stat st;

    connect_to(client, "127.0.0.1", port_of(l));
    server = accept(l, NULL, NULL);
    bind_to(udp, "127.0.0.1", 0);
    CHECK(is_told("tcp", l, port_of(l), 0, 10), "a listener is in /proc/net/tcp");
    CHECK(is_told("tcp", client, port_of(client), port_of(l), 1), "and a connection");
    CHECK(is_told("tcp", server, port_of(l), port_of(client), 1), "its other side, too");
    CHECK(is_told("udp", udp, port_of(udp), 0, 7), "a UDP socket is in /proc/net/udp");
    connect_to(udp, "127.0.0.1", port_of(l));
    CHECK(is_told("udp", udp, port_of(udp), port_of(l), 1), "and whom it is connected to");
    fstat(l, &st);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", l);
    NEED(readlink(path, link, sizeof(link) - 1));
    snprintf(path, sizeof(path), "socket:[%lu]", (unsigned long)st.st_ino);
    CHECK(strcmp(link, path) == 0, "a descriptor's link has the inode's number (%s)", link);
    close(l);
    l = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!find_line("tcp", l, 10, line, sizeof(line)), "a socket without a name is not there");
    close(l);
    close(client);
    close(server);
    close(udp);
}

/* ---- options: what they take, and what is shown of it ---- */

struct setting {
    const char *name;
    int level, option, size, value, error, shown;
};

#define SETTING(level, option, size, value, error, shown) \
    {                                                     \
#option, level, option, size, value, error, shown \
    }

static const struct setting for_tcp[] = {
    SETTING(SOL_SOCKET, SO_KEEPALIVE, 4, 5, 0, 1),
    SETTING(SOL_SOCKET, SO_BROADCAST, 4, -2, 0, 1),
    SETTING(SOL_SOCKET, SO_RCVLOWAT, 4, 0, 0, 1),
    SETTING(IPPROTO_TCP, TCP_NODELAY, 4, 300, 0, 1),
    SETTING(IPPROTO_TCP, TCP_KEEPIDLE, 4, 0, EINVAL, 7200),
    SETTING(IPPROTO_TCP, TCP_KEEPIDLE, 4, 32767, 0, 32767),
    SETTING(IPPROTO_TCP, TCP_KEEPINTVL, 4, 32768, EINVAL, 75),
    SETTING(IPPROTO_TCP, TCP_KEEPCNT, 4, 128, EINVAL, 9),
    SETTING(IPPROTO_TCP, TCP_SYNCNT, 4, 0, EINVAL, 6),
    SETTING(IPPROTO_TCP, TCP_USER_TIMEOUT, 4, -1, EINVAL, 0),
    SETTING(IPPROTO_TCP, TCP_NODELAY, 1, 1, EINVAL, 0),
    SETTING(IPPROTO_IP, IP_TOS, 4, 255, 0, 252),
    SETTING(IPPROTO_IP, IP_TTL, 4, 0, EINVAL, 64),
    SETTING(IPPROTO_IP, IP_TTL, 4, -1, 0, 64),
    SETTING(IPPROTO_IP, IP_TTL, 1, 10, 0, 10),
    SETTING(IPPROTO_IP, IP_TTL, 0, 10, EINVAL, 64),
    SETTING(IPPROTO_IP, IP_MULTICAST_TTL, 4, 10, EINVAL, 1),
};

static const struct setting for_udp[] = {
    SETTING(IPPROTO_IP, IP_TOS, 4, 257, 0, 1),          SETTING(IPPROTO_IP, IP_TTL, 4, 256, EINVAL, 64),
    SETTING(IPPROTO_IP, IP_RECVERR, 4, 10, 0, 1),       SETTING(IPPROTO_IP, IP_MULTICAST_TTL, 1, 10, 0, 10),
    SETTING(IPPROTO_IP, IP_MULTICAST_TTL, 4, -1, 0, 1), SETTING(IPPROTO_IP, IP_MULTICAST_TTL, 4, 256, EINVAL, 1),
    SETTING(IPPROTO_IP, IP_MULTICAST_LOOP, 1, 0, 0, 0), SETTING(IPPROTO_IP, IP_FREEBIND, 2, 7, 0, 1),
};

static void check_settings(int type, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct setting *t = settings + i;
        int fd = socket(AF_INET, type, 0), shown = -1;
        int error = setsockopt(fd, t->level, t->option, &t->value, (socklen_t)t->size) == 0 ? 0 : errno;
        socklen_t length = sizeof(shown);

        NEED(getsockopt(fd, t->level, t->option, &shown, &length));
        CHECK(error == t->error && shown == t->shown, "%s to %d in %d bytes: error %d, then %d", t->name, t->value,
              t->size, error, shown);
        close(fd);
    }
}

static void options(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t length = 2;
    char byte = 0;

    check_settings(SOCK_STREAM, for_tcp, sizeof(for_tcp) / sizeof(for_tcp[0]));
    check_settings(SOCK_DGRAM, for_udp, sizeof(for_udp) / sizeof(for_udp[0]));
    CHECK(getsockopt(fd, IPPROTO_IP, IP_TTL, &byte, &length) == 0 && length == 1 && byte == 64,
          "a small number in little room is a byte");
    close(fd);
}

/* ip(7): IP_FREEBIND. The address is one for documentation, and nobody's. */
static void free_names(void)
{
    int l = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    struct sockaddr_in to = address("127.0.0.1", 9);

    FAILS(bind_to(l, "192.0.2.1", 0), EADDRNOTAVAIL, "another machine's address");
    NEED(setsockopt(l, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)));
    NEED(setsockopt(udp, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)));
    OKAY(bind_to(l, "192.0.2.1", 0), "with IP_FREEBIND it may be");
    IS(ntohl(name_of(l, getsockname).sin_addr.s_addr), 0xc0000201, "this name");
    OKAY(listen(l, 1), "listens in vain");
    OKAY(bind_to(udp, "192.0.2.1", 0), "the same for datagrams");
    FAILS(sendto(udp, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), ENETUNREACH, "nothing comes from there");
    FAILS(connect_to(udp, "127.0.0.1", 9), ENETUNREACH, "nor connects");
    close(l);
    close(udp);
}

/* Linux boots with the loopback interface down. */
static void raise_loopback(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.ifr_name = "lo"};

    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        ioctl(fd, SIOCSIFFLAGS, &request);
    }
    close(fd);
}

static void body(void)
{
    raise_loopback();
    signal(SIGPIPE, SIG_IGN);
    streams();
    names();
    endings();
    datagrams();
    events();
    tables();
    options();
    free_names();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
