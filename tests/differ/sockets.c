/* Calls on sockets: local ones by path, abstract name and without, and those of AF_INET at the loopback address. */
#include "differ.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_storage where;
static socklen_t where_length;

static void set_path(const char *path)
{
    struct sockaddr_un *local = (struct sockaddr_un *)&where;

    local->sun_family = AF_UNIX;
    strcpy(local->sun_path, path);
    where_length = sizeof(*local);
}

static void set_port(in_addr_t host)
{
    struct sockaddr_in *inet = (struct sockaddr_in *)&where;

    inet->sin_family = AF_INET;
    inet->sin_port = htons((uint16_t)(5000 + draw(3)));
    inet->sin_addr.s_addr = htonl(host);
    where_length = sizeof(*inet);
}

static long socket_address(void)
{
    unsigned kind = draw(10);
    char path[40];

    memset(&where, 0, sizeof(where));
    tell(" address%u", kind);
    switch (kind) {
    case 0:
    case 1:
    case 2:
        snprintf(path, sizeof(path), "/root/differ/s%u", draw(3));
        set_path(path);
        break;
    case 3:
        set_path("");
        memcpy(((struct sockaddr_un *)&where)->sun_path, "\0abs", 4);
        ((struct sockaddr_un *)&where)->sun_path[4] = (char)('a' + draw(2));
        where_length = 7;
        break;
    case 4:
        set_path("");
        where_length = 2;
        break;
    case 5:
        set_port(INADDR_LOOPBACK);
        break;
    case 6:
        set_port(INADDR_ANY);
        break;
    case 7:
        where.ss_family = (sa_family_t)draw_of((const long[]){77, 0}, 2);
        where_length = sizeof(struct sockaddr_un);
        break;
    case 8:
        set_path("/nope/x");
        break;
    default:
        set_port(INADDR_LOOPBACK);
        where_length = draw(20);
    }
    return (long)&where;
}

static long address_length(void) { return (long)where_length; }

static long no_address(void)
{
    where_length = 0;
    return chance(2) ? socket_address() : 0;
}

static socklen_t length_room;
static long address_room(void)
{
    memset(&where, 0, sizeof(where));
    return (long)&where;
}
static long length_in_out(void)
{
    length_room = (socklen_t)DRAW_OF(128, 128, 2, 0, 110, -1);
    return (long)&length_room;
}
static void show_address(long result, const long *arguments)
{
    (void)arguments;
    if (result == 0)
        tell(" length %u family %u", length_room, where.ss_family);
}

static void show_accepted(long result, const long *arguments) { show_placed(result, arguments); }

static int option[20];
static long option_room(void)
{
    memset(option, 0, sizeof(option));
    return (long)option;
}
static long option_value(void)
{
    option[0] = (int)DRAW_OF(0, 1, -1, 1000);
    option[1] = 0;
    return (long)option;
}
static void show_option(long result, const long *arguments)
{
    static const int telling[] = {2, 3, 30, 38, 39}; /* whose values say nothing of sizes and times */

    if (result != 0)
        return;
    tell(" length %u", length_room);
    for (unsigned i = 0; i < COUNT(telling); i++)
        if (arguments[1] == SOL_SOCKET && arguments[2] == telling[i] && length_room == sizeof(int))
            tell(" value %d", option[0]);
}

#define FD FROM(descriptor)
#define LEVEL ONE_OF(SOL_SOCKET, SOL_SOCKET, SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, 99)
#define OPTION ONE_OF(1, 2, 3, 4, 5, 6, 9, 13, 15, 16, 17, 20, 30, 38, 39, 99)

static const struct call calls[] = {
    TOLD(socket, 6, show_placed, ONE_OF(AF_UNIX, AF_UNIX, AF_INET, AF_INET, 99, 0),
         ONE_OF(SOCK_NONBLOCK | 1, SOCK_NONBLOCK | 1, SOCK_NONBLOCK | 2, SOCK_NONBLOCK | 5, SOCK_NONBLOCK | 9,
                SOCK_NONBLOCK),
         ONE_OF(0, 0, 0, 6, 17)),
    TOLD(socketpair, 2, show_placed_two, ONE_OF(AF_UNIX),
         ONE_OF(SOCK_NONBLOCK | 1, SOCK_NONBLOCK | 2, SOCK_NONBLOCK | 5), ONE_OF(0), FROM(place_fds)),
    CALL(bind, 4, FD, FROM(socket_address), FROM(address_length)),
    CALL(listen, 2, FD, ONE_OF(0, 5, -1)),
    CALL(connect, 4, FD, FROM(socket_address), FROM(address_length)),
    TOLD(accept4, 2, show_accepted, FD, ONE_OF(0), ONE_OF(0),
         ONE_OF(SOCK_NONBLOCK, SOCK_NONBLOCK | SOCK_CLOEXEC, SOCK_NONBLOCK | 1)),
    TOLD(getsockname, 2, show_address, FD, FROM(address_room), FROM(length_in_out)),
    TOLD(getpeername, 2, show_address, FD, FROM(address_room), FROM(length_in_out)),
    CALL(sendto, 3, FD, FROM(in_buffer), ONE_OF(0, 1, 100, 4000),
         ONE_OF(0x4040, 0x4041, 0x40c0, 0xc040, 0x4042, 0x4044), FROM(no_address), FROM(address_length)),
    TOLD(recvfrom, 3, show_bytes, FD, FROM(out_buffer), ONE_OF(0, 1, 100, 4000),
         ONE_OF(0x40, 0x42, 0x60, 0x41, 0x140, 0x2040), ONE_OF(0), ONE_OF(0)),
    CALL(shutdown, 1, FD, ONE_OF(0, 1, 2, 3, -1)),
    TOLD(getsockopt, 2, show_option, FD, LEVEL, OPTION, FROM(option_room), FROM(length_in_out)),
    CALL(setsockopt, 2, FD, LEVEL, OPTION, FROM(option_value), ONE_OF(4, 4, 1, 0, 16)),
    CALL(read, 1, FD, FROM(out_buffer), ONE_OF(0, 1, 100)),
    CALL(write, 1, FD, FROM(in_buffer), ONE_OF(0, 1, 100)),
    CALL(close, 1, FD),
    CALL(lseek, 1, FD, ONE_OF(0, 1), ONE_OF(0, 1, 2)),
};

static void prepare(void)
{
    signal(SIGPIPE, SIG_IGN);
    close_below_places();
}

const struct set sockets_set = {"sockets", calls, COUNT(calls), prepare, NULL, NULL, NULL};
