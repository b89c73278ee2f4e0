/*
 * getsockopt(2), setsockopt(2). Options that change nothing between sockets of one machine (keep-alive, Nagle's delay,
 * priorities...) are remembered and shown again. Sources: socket(7), ip(7), tcp(7), unix(7).
 */
#include "lib/string.h"
#include "sys/socket.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

#define SO_REUSEADDR 2
#define SO_TYPE 3
#define SO_ERROR 4
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_LINGER 13
#define SO_PASSCRED 16
#define SO_PEERCRED 17
#define SO_RCVTIMEO 20
#define SO_SNDTIMEO 21
#define SO_ACCEPTCONN 30
#define SO_SNDBUFFORCE 32
#define SO_RCVBUFFORCE 33
#define SO_PROTOCOL 38
#define SO_DOMAIN 39

#define IP_TOS 1
#define IP_TTL 2
#define IP_FREEBIND 15
#define IP_MULTICAST_TTL 33
#define SO_PRIORITY 12
#define SO_RCVLOWAT 18
#define SO_MARK 36

enum takes {
    FLAG,   /* anything but 0 is shown as 1 */
    NUMBER, /* within bounds, else EINVAL */
};

/* Remembered ones: a slot of socket_options.value each. */
static const struct {
    u8 level, option, takes;
    s32 first; /* its value on a new socket */
    s32 least, most;
} remembered[] = {
    {SOL_SOCKET, 5 /* SO_DONTROUTE */, FLAG, 0, 0, 0},
    {SOL_SOCKET, 6 /* SO_BROADCAST */, FLAG, 0, 0, 0},
    {SOL_SOCKET, 9 /* SO_KEEPALIVE */, FLAG, 0, 0, 0},
    {SOL_SOCKET, 10 /* SO_OOBINLINE */, FLAG, 0, 0, 0},
    {SOL_SOCKET, SO_PRIORITY, NUMBER, 0, INT32_MIN, INT32_MAX},
    {SOL_SOCKET, 15 /* SO_REUSEPORT */, FLAG, 0, 0, 0},
    {SOL_SOCKET, SO_RCVLOWAT, NUMBER, 1, 1, INT32_MAX},
    {SOL_SOCKET, SO_MARK, NUMBER, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IP, IP_TOS, NUMBER, 0, 0, 255},
    {IPPROTO_IP, IP_TTL, NUMBER, 64, 1, 255},
    {IPPROTO_IP, 11 /* IP_RECVERR */, FLAG, 0, 0, 0},
    {IPPROTO_IP, IP_MULTICAST_TTL, NUMBER, 1, 0, 255},
    {IPPROTO_IP, 34 /* IP_MULTICAST_LOOP */, FLAG, 1, 0, 0},
    {IPPROTO_TCP, 1 /* TCP_NODELAY */, FLAG, 0, 0, 0},
    {IPPROTO_TCP, 3 /* TCP_CORK */, FLAG, 0, 0, 0},
    {IPPROTO_TCP, 4 /* TCP_KEEPIDLE */, NUMBER, 7200, 1, 32767},
    {IPPROTO_TCP, 5 /* TCP_KEEPINTVL */, NUMBER, 75, 1, 32767},
    {IPPROTO_TCP, 6 /* TCP_KEEPCNT */, NUMBER, 9, 1, 127},
    {IPPROTO_TCP, 7 /* TCP_SYNCNT */, NUMBER, 6, 1, 127},
    {IPPROTO_TCP, 9 /* TCP_DEFER_ACCEPT */, NUMBER, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_TCP, 12 /* TCP_QUICKACK */, FLAG, 1, 0, 0},
    {IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */, NUMBER, 0, 0, INT32_MAX},
};
static_assert(ARRAY_SIZE(remembered) <= SOCKET_OPTIONS, "a slot for each");

struct timeval { /* the ABI's */
    s64 sec, usec;
};

static bool has_level(const struct unix_socket *s, int level)
{
    if (level == SOL_SOCKET)
        return true;
    return s->family == AF_INET && (level == IPPROTO_IP || (level == IPPROTO_TCP && s->type == SOCK_STREAM));
}

/* The slot of an option, or -1. Slots hold the difference to the first value, so a new socket's are zero. */
static int slot_of(int level, int option)
{
    for (unsigned i = 0; i < ARRAY_SIZE(remembered); i++)
        if (remembered[i].level == level && remembered[i].option == option)
            return (int)i;
    return -1;
}

/* ---- getting ---- */

static int option_value(struct unix_socket *s, int level, int option, s32 *value)
{
    int slot = slot_of(level, option);

    if (slot >= 0) {
        *value = remembered[slot].first + s->options.value[slot];
        return 0;
    }
    if (level == IPPROTO_IP && option == IP_FREEBIND) {
        *value = s->free_bind;
        return 0;
    }
    if (level != SOL_SOCKET)
        return -ENOPROTOOPT;
    switch (option) {
    case SO_TYPE:
        *value = (s32)s->type;
        return 0;
    case SO_DOMAIN:
        *value = (s32)s->family;
        return 0;
    case SO_ERROR:
        *value = -unix_take_error(s);
        return 0;
    case SO_PROTOCOL:
        *value = s->family == AF_UNIX ? 0 : s->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
        return 0;
    case SO_REUSEADDR:
        *value = s->reuse_address;
        return 0;
    case SO_SNDBUF:
        *value = (s32)s->send_buffer;
        return 0;
    case SO_RCVBUF:
        *value = (s32)s->receive_buffer;
        return 0;
    case SO_PASSCRED:
        *value = s->pass_cred;
        return 0;
    case SO_ACCEPTCONN:
        *value = s->state == UNIX_LISTENING;
        return 0;
    }
    return -ENOPROTOOPT;
}

static struct timeval to_timeval(u64 ns)
{
    return (struct timeval){(s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC / 1000)};
}

union option {
    s32 number, linger[2];
    struct unix_cred cred;
    struct timeval time;
};

/* Fills *O: its length, or -errno. */
static int read_option(struct unix_socket *s, int level, int option, union option *o)
{
    int error;

    if (!has_level(s, level))
        return -EOPNOTSUPP; /* of setsockopt, internet sockets say ENOPROTOOPT */
    if (level == SOL_SOCKET && option == SO_PEERCRED) {
        o->cred = s->family == AF_UNIX && s->state == UNIX_CONNECTED ? s->peer_cred
                                                                     : (struct unix_cred){0, UINT32_MAX, UINT32_MAX};
        return sizeof(o->cred);
    }
    if (level == SOL_SOCKET && option == SO_LINGER) {
        memcpy(o->linger, s->options.linger, sizeof(o->linger));
        return sizeof(o->linger);
    }
    if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO)) {
        o->time = to_timeval(option == SO_RCVTIMEO ? s->receive_timeout : s->send_timeout);
        return sizeof(o->time);
    }
    error = option_value(s, level, option, &o->number);
    return error != 0 ? error : (int)sizeof(o->number);
}

/* ip(7): who has no room for a number gets one byte, if the number fits. */
static bool fits_byte(int level, u32 room, s32 number)
{
    return level == IPPROTO_IP && room > 0 && room < sizeof(number) && number >= 0 && number <= UINT8_MAX;
}

static long get_option(struct unix_socket *s, int level, int option, u64 user, u64 user_length)
{
    union option o;
    u32 room;
    int n;

    if (s->family == AF_UNIX && !has_level(s, level))
        return -EOPNOTSUPP;
    if (get_user_u32(&room, (u32 *)user_length) != 0)
        return -EFAULT;
    if ((s32)room < 0)
        return -EINVAL;
    n = read_option(s, level, option, &o);
    if (n < 0)
        return n;
    n = fits_byte(level, room, o.number) ? 1 : MIN(n, (int)room);
    if (copy_to_user((void *)user, &o, (size_t)n) != 0)
        return -EFAULT;
    return put_user_u32((u32)n, (u32 *)user_length);
}

DEFINE_SYSCALL(sys_getsockopt)
{
    struct file *file = socket_get(a0);
    long result;

    if (IS_ERR(file))
        return PTR_ERR(file);
    result = get_option(file_socket(file), (int)a1, (int)a2, a3, a4);
    file_put(file);
    return result;
}

/* ---- setting ---- */

static int set_timeout(u64 *timeout, u64 user, u64 length)
{
    struct timeval t;

    if (length < sizeof(t))
        return -EINVAL;
    if (copy_from_user(&t, (void *)user, sizeof(t)) != 0)
        return -EFAULT;
    if (t.usec < 0 || t.usec >= 1000000)
        return -EDOM;
    if (t.sec < 0 || t.sec > INT32_MAX) /* at once, for ever */
        *timeout = t.sec < 0 ? 1 : 0;
    else
        *timeout = (u64)t.sec * NSEC_PER_SEC + (u64)t.usec * 1000;
    return 0;
}

static int set_linger(struct unix_socket *s, u64 user, u64 length)
{
    if (length < sizeof(s->options.linger))
        return -EINVAL;
    return copy_from_user(s->options.linger, (void *)user, sizeof(s->options.linger));
}

static u32 *buffer_of(struct unix_socket *s, int option)
{
    return option == SO_SNDBUF || option == SO_SNDBUFFORCE ? &s->send_buffer : &s->receive_buffer;
}

/* socket(7): what is asked for is doubled, and there are least sizes. */
static u32 buffer_size(int option, u32 value)
{
    bool sends = option == SO_SNDBUF || option == SO_SNDBUFFORCE;

    return MAX(MIN(value, INT32_MAX / 2u) * 2, sends ? 4608u : 2304u);
}

/* What *VALUE means for an option at IPPROTO_IP. */
static int translate_ip(const struct unix_socket *s, int option, s32 *value)
{
    switch (option) {
    case IP_TOS: /* the lowest two bits are congestion's, which TCP sets itself */
        *value &= s->type == SOCK_STREAM ? 0xfc : 0xff;
        return 0;
    case IP_TTL:
        if (*value == -1)
            *value = 64;
        return 0;
    case IP_MULTICAST_TTL:
        if (*value == -1)
            *value = 1;
        return s->type == SOCK_STREAM ? -EINVAL : 0;
    }
    return 0;
}

static int translate_socket(int option, s32 *value)
{
    switch (option) {
    case SO_PRIORITY:
        return (*value >= 0 && *value <= 6) || capable(current->cred, CAP_NET_ADMIN) ? 0 : -EPERM;
    case SO_MARK:
        return capable(current->cred, CAP_NET_ADMIN) ? 0 : -EPERM;
    case SO_RCVLOWAT:
        *value = *value < 0 ? INT32_MAX : MAX(*value, 1);
        return 0;
    }
    return 0;
}

static int set_remembered(struct unix_socket *s, int slot, s32 value)
{
    int level = remembered[slot].level, option = remembered[slot].option, error = 0;

    if (level == IPPROTO_IP)
        error = translate_ip(s, option, &value);
    else if (level == SOL_SOCKET)
        error = translate_socket(option, &value);
    if (error != 0)
        return error;
    if (remembered[slot].takes == FLAG)
        value = value != 0;
    else if (value < remembered[slot].least || value > remembered[slot].most)
        return -EINVAL;
    s->options.value[slot] = value - remembered[slot].first;
    return 0;
}

static int set_number(struct unix_socket *s, int level, int option, s32 value)
{
    int slot = slot_of(level, option);

    if (slot >= 0)
        return set_remembered(s, slot, value);
    if (level == IPPROTO_IP && option == IP_FREEBIND) {
        s->free_bind = value != 0;
        return 0;
    }
    if (level != SOL_SOCKET)
        return -ENOPROTOOPT;
    switch (option) {
    case SO_PASSCRED:
        s->pass_cred = value != 0;
        return 0;
    case SO_REUSEADDR:
        s->reuse_address = value != 0;
        return 0;
    case SO_SNDBUFFORCE:
    case SO_RCVBUFFORCE:
        if (!capable(current->cred, CAP_NET_ADMIN))
            return -EPERM;
        store_relaxed(buffer_of(s, option), buffer_size(option, (u32)value));
        return 0;
    case SO_SNDBUF:
    case SO_RCVBUF:
        store_relaxed(buffer_of(s, option), buffer_size(option, MIN((u32)value, (u32)SOCKET_BUFFER)));
        return 0;
    }
    return -ENOPROTOOPT;
}

/* ip(7): options of this level may be given as one byte. */
static int get_number(int level, u64 user, u64 length, s32 *value)
{
    u8 byte;

    if (length >= sizeof(*value))
        return copy_from_user(value, (void *)user, sizeof(*value)) != 0 ? -EFAULT : 0;
    if (level != IPPROTO_IP || length == 0)
        return -EINVAL;
    if (copy_from_user(&byte, (void *)user, 1) != 0)
        return -EFAULT;
    *value = byte;
    return 0;
}

static long set_option(struct unix_socket *s, int level, int option, u64 user, u64 length)
{
    s32 value;
    int error;

    if (!has_level(s, level))
        return s->family == AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
    if (level == SOL_SOCKET && option == SO_LINGER)
        return set_linger(s, user, length);
    if (level == SOL_SOCKET && option == SO_RCVTIMEO)
        return set_timeout(&s->receive_timeout, user, length);
    if (level == SOL_SOCKET && option == SO_SNDTIMEO)
        return set_timeout(&s->send_timeout, user, length);
    error = get_number(level, user, length, &value);
    return error != 0 ? error : set_number(s, level, option, value);
}

DEFINE_SYSCALL(sys_setsockopt)
{
    struct file *file = socket_get(a0);
    long result;

    if (IS_ERR(file))
        return PTR_ERR(file);
    result = set_option(file_socket(file), (int)a1, (int)a2, a3, a4);
    file_put(file);
    return result;
}
