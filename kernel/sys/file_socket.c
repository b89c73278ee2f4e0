/*
 * Socket calls: making sockets, their names, and connections (socket(2), socketpair(2), bind(2), listen(2), accept4(2),
 * connect(2)...). There are the families AF_UNIX and AF_INET, the latter within this machine; others are EAFNOSUPPORT.
 * On descriptors that are no sockets all calls say ENOTSOCK. What is sent and received is in socket_message.c, options
 * are in socket_options.c.
 */
#include "fs/fdtable.h"
#include "lib/string.h"
#include "sys/socket.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

#define TYPE_MASK 0xf
#define SOCKET_FLAGS (O_NONBLOCK | O_CLOEXEC)

struct sockaddr_un { /* the ABI's */
    u16 family;
    char path[UNIX_PATH_MAX];
};

struct sockaddr_in { /* the ABI's; network byte order */
    u16 family, port;
    u32 address;
    u8 zero[8];
};

union sockaddr_any {
    struct sockaddr_un un;
    struct sockaddr_in in;
};

struct file *socket_get(u64 fd)
{
    struct file *file = fd_get((int)fd);

    if (file == NULL)
        return ERR_PTR(-EBADF);
    if (file_is_socket(file))
        return file;
    file_put(file);
    return ERR_PTR(-ENOTSOCK);
}

/* ---- addresses ---- */

static u32 swap32(u32 value) { return __builtin_bswap32(value); }
static u16 swap16(u16 value) { return __builtin_bswap16(value); }

static int inet_from_user(struct unix_name *name, u64 user, u64 length)
{
    struct sockaddr_in address;

    if (length < sizeof(address))
        return -EINVAL;
    if (copy_from_user(&address, (void *)user, sizeof(address)) != 0)
        return -EFAULT;
    if (address.family != AF_INET && (address.family != 0 || address.address != 0))
        return -EAFNOSUPPORT;
    *name = inet_name(swap32(address.address), swap16(address.port));
    return 0;
}

int socket_name_from_user(const struct unix_socket *s, struct unix_name *name, u64 user, u64 length)
{
    struct sockaddr_un address;
    unsigned n;

    if ((int)length < 0 || length > 128)
        return -EINVAL;
    if (s->family == AF_INET)
        return inet_from_user(name, user, length);
    length = MIN(length, sizeof(address));
    memset(&address, 0, sizeof(address));
    if (copy_from_user(&address, (void *)user, length) != 0)
        return -EFAULT;
    if (length < sizeof(u16) || address.family != AF_UNIX)
        return -EINVAL;
    n = (unsigned)length - (unsigned)sizeof(u16);
    memset(name, 0, sizeof(*name));
    memcpy(name->path, address.path, n);
    if (n > 0 && address.path[0] != '\0') {
        n = (unsigned)strnlen(address.path, n);
        if (n == UNIX_PATH_MAX)
            return -EINVAL; /* no room for the NUL that path calls need */
        n++;
    }
    name->length = n;
    return 0;
}

/* NAME as the ABI has it: its length. */
static u32 encode_name(const struct unix_socket *s, const struct unix_name *name, union sockaddr_any *address)
{
    struct inet_address a = inet_address(name);

    memset(address, 0, sizeof(*address));
    if (s->family == AF_INET) {
        address->in = (struct sockaddr_in){AF_INET, swap16(a.port), swap32(a.address), {0}};
        return sizeof(address->in);
    }
    address->un.family = AF_UNIX;
    memcpy(address->un.path, name->path, name->length);
    return (u32)sizeof(u16) + name->length;
}

static int name_to_user(const struct unix_socket *s, const struct unix_name *name, u64 user, u64 user_length)
{
    union sockaddr_any address;
    u32 room, length = encode_name(s, name, &address);

    if (user == 0)
        return 0;
    if (get_user_u32(&room, (u32 *)user_length) != 0)
        return -EFAULT;
    if ((s32)room < 0)
        return -EINVAL;
    if (copy_to_user((void *)user, &address, MIN(room, length)) != 0)
        return -EFAULT;
    return put_user_u32(length, (u32 *)user_length);
}

int socket_source_to_user(const struct unix_socket *s, const struct unix_name *from, u64 user, u64 user_length)
{
    s32 room;

    if (from->length == 0) {
        if (get_user_u32((u32 *)&room, (u32 *)user_length) != 0)
            return -EFAULT;
        return room < 0 ? -EINVAL : put_user_u32(0, (u32 *)user_length);
    }
    return name_to_user(s, from, user, user_length);
}

/* ---- making ---- */

/* TCP over streams, UDP over datagrams. */
static int check_inet(int kind, int protocol)
{
    int usual = kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;

    if (kind == SOCK_RAW)
        return -EPROTONOSUPPORT;
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    if (kind == SOCK_DGRAM && protocol == IPPROTO_ICMP) /* for the groups of net.ipv4.ping_group_range: none */
        return -EACCES;
    return protocol == 0 || protocol == usual ? 0 : -EPROTONOSUPPORT;
}

static int check_kind(int family, int type, int protocol)
{
    int kind = type & TYPE_MASK;

    if (type & ~(TYPE_MASK | SOCKET_FLAGS))
        return -EINVAL;
    if (family == AF_INET)
        return check_inet(kind, protocol);
    if (family != AF_UNIX)
        return -EAFNOSUPPORT;
    if (protocol != 0 && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    return kind == SOCK_STREAM || kind == SOCK_DGRAM || kind == SOCK_SEQPACKET || kind == SOCK_RAW ? 0
                                                                                                   : -ESOCKTNOSUPPORT;
}

/* unix(7): raw sockets are datagram sockets. */
static unsigned kind_of(u64 type) { return (type & TYPE_MASK) == SOCK_RAW ? SOCK_DGRAM : type & TYPE_MASK; }

DEFINE_SYSCALL(sys_socket)
{
    int error = check_kind((int)a0, (int)a1, (int)a2);

    if (error != 0)
        return error;
    return fd_give(unix_create((unsigned)a0, kind_of(a1), (u32)a1 & O_NONBLOCK), (a1 & O_CLOEXEC) != 0);
}

DEFINE_SYSCALL(sys_socketpair)
{
    int error, fds[2];
    bool cloexec = (a1 & O_CLOEXEC) != 0;
    struct file *files[2];

    if (a1 & ~(u64)(TYPE_MASK | SOCKET_FLAGS))
        return -EINVAL;
    /* Where the pair goes must be good before it is known whether there is such a pair. */
    if (copy_from_user(fds, (void *)a3, sizeof(fds)) != 0 || copy_to_user((void *)a3, fds, sizeof(fds)) != 0)
        return -EFAULT;
    error = check_kind((int)a0, (int)a1, (int)a2);
    if (error == 0 && a0 != AF_UNIX)
        error = -EOPNOTSUPP;
    if (error == 0)
        error = unix_pair(kind_of(a1), (u32)a1 & O_NONBLOCK, files);
    if (error != 0)
        return error;
    fds[0] = fd_give(files[0], cloexec);
    fds[1] = fd_give(files[1], cloexec);
    error = fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : copy_to_user((void *)a3, fds, sizeof(fds));
    if (error != 0) {
        for (unsigned i = 0; i < 2; i++)
            if (fds[i] >= 0)
                fd_close(fds[i]);
    }
    return error;
}

/* ---- names and connections ---- */

DEFINE_SYSCALL(sys_bind)
{
    struct file *file = socket_get(a0);
    struct unix_name name;
    int error;

    if (IS_ERR(file))
        return PTR_ERR(file);
    error = socket_name_from_user(file_socket(file), &name, a1, a2);
    if (error == 0)
        error = unix_bind(file_socket(file), &name);
    file_put(file);
    return error;
}

DEFINE_SYSCALL(sys_listen)
{
    struct file *file = socket_get(a0);
    int error;

    if (IS_ERR(file))
        return PTR_ERR(file);
    error = unix_listen(file_socket(file), (int)a1);
    file_put(file);
    return error;
}

/* A datagram socket is disconnected by an address of family AF_UNSPEC, 0. */
static bool is_unspecified(u64 user, u64 length)
{
    u16 family = AF_UNIX;

    return length >= sizeof(family) && copy_from_user(&family, (void *)user, sizeof(family)) == 0 && family == 0;
}

DEFINE_SYSCALL(sys_connect)
{
    struct file *file = socket_get(a0);
    struct unix_name name;
    int error;

    if (IS_ERR(file))
        return PTR_ERR(file);
    if (is_unspecified(a1, a2)) {
        error = unix_connect(file_socket(file), NULL, false);
    } else {
        error = socket_name_from_user(file_socket(file), &name, a1, a2);
        if (error == 0 && name.length == 0)
            error = -EINVAL;
        if (error == 0)
            error = unix_connect(file_socket(file), &name, socket_may_wait(file, 0));
    }
    file_put(file);
    return error;
}

static long accept_one(u64 fd, u64 user_address, u64 user_length, unsigned flags)
{
    struct file *file, *fresh;
    struct unix_socket *peer;
    long result;

    file = socket_get(fd);
    if (IS_ERR(file))
        return PTR_ERR(file);
    if (flags & ~(unsigned)SOCKET_FLAGS) {
        file_put(file);
        return -EINVAL;
    }
    fresh = unix_accept(file_socket(file), flags & O_NONBLOCK, socket_may_wait(file, 0));
    file_put(file);
    if (IS_ERR(fresh))
        return PTR_ERR(fresh);
    peer = unix_get_peer(file_socket(fresh));
    result = peer != NULL ? name_to_user(peer, &peer->name, user_address, user_length) : 0;
    if (peer != NULL)
        unix_put(peer);
    if (result != 0) {
        file_put(fresh);
        return result;
    }
    return fd_give(fresh, (flags & O_CLOEXEC) != 0);
}

DEFINE_SYSCALL(sys_accept) { return accept_one(a0, a1, a2, 0); }

DEFINE_SYSCALL(sys_accept4) { return accept_one(a0, a1, a2, (unsigned)a3); }

DEFINE_SYSCALL(sys_getsockname)
{
    struct file *file = socket_get(a0);
    int error;

    if (IS_ERR(file))
        return PTR_ERR(file);
    error = name_to_user(file_socket(file), &file_socket(file)->name, a1, a2);
    file_put(file);
    return error;
}

DEFINE_SYSCALL(sys_getpeername)
{
    struct file *file = socket_get(a0);
    struct unix_socket *peer, *s;
    int error = -ENOTCONN;

    if (IS_ERR(file))
        return PTR_ERR(file);
    s = file_socket(file);
    peer = unix_get_peer(s);
    if (peer != NULL) {
        error = name_to_user(s, &peer->name, a1, a2);
        unix_put(peer);
    } else if (s->peer_name.length != 0) {
        error = name_to_user(s, &s->peer_name, a1, a2);
    }
    file_put(file);
    return error;
}

DEFINE_SYSCALL(sys_shutdown)
{
    struct file *file = socket_get(a0);
    int error;

    if (IS_ERR(file))
        return PTR_ERR(file);
    error = unix_shutdown(file_socket(file), (int)a1);
    file_put(file);
    return error;
}
