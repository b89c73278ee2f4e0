/*
 * Socket calls: socket(2), socketpair(2), bind(2), listen(2), accept4(2), connect(2), send(2), recv(2), sendmsg(2),
 * recvmsg(2), getsockopt(2)... There are the families AF_UNIX and AF_INET, the latter within this machine; others are
 * EAFNOSUPPORT. On descriptors that are no sockets all of them say ENOTSOCK. Options are in socket_options.c.
 */
#include "fs/fdtable.h"
#include "lib/string.h"
#include "sys/socket.h"
#include "sys/syscall.h"
#include "sys/user_time.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define TYPE_MASK 0xf
#define SOCKET_FLAGS (O_NONBLOCK | O_CLOEXEC)
#define MAX_CONTROL 8192

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

struct msghdr {
    u64 name;
    u32 name_length, pad1;
    u64 vec, vec_count;
    u64 control, control_length;
    u32 flags, pad2;
};
static_assert(sizeof(struct msghdr) == 56, "the ABI's struct msghdr");

struct cmsghdr {
    u64 length;
    s32 level, type;
};
#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2

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

static bool may_wait(const struct file *file, unsigned flags)
{
    return !(file->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT);
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

static int name_from_user(const struct unix_socket *s, struct unix_name *name, u64 user, u64 length)
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

/* Where a message came from; TCP does not say. */
static int source_to_user(const struct unix_socket *s, const struct unix_name *from, u64 user, u64 user_length)
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

static long install(struct file *file, bool cloexec)
{
    int fd;

    if (IS_ERR(file))
        return PTR_ERR(file);
    fd = fd_install(file, cloexec);
    if (fd < 0)
        file_put(file);
    return fd;
}

DEFINE_SYSCALL(sys_socket)
{
    int error = check_kind((int)a0, (int)a1, (int)a2);

    if (error != 0)
        return error;
    return install(unix_create((unsigned)a0, kind_of(a1), (u32)a1 & O_NONBLOCK), (a1 & O_CLOEXEC) != 0);
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
    fds[0] = (int)install(files[0], cloexec);
    fds[1] = (int)install(files[1], cloexec);
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
    error = name_from_user(file_socket(file), &name, a1, a2);
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
        error = name_from_user(file_socket(file), &name, a1, a2);
        if (error == 0 && name.length == 0)
            error = -EINVAL;
        if (error == 0)
            error = unix_connect(file_socket(file), &name, may_wait(file, 0));
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
    fresh = unix_accept(file_socket(file), flags & O_NONBLOCK, may_wait(file, 0));
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
    return install(fresh, (flags & O_CLOEXEC) != 0);
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

/* ---- sending and receiving one buffer ---- */

/* TCP's sockets and local ones of packets ignore an address, those of streams an empty one. */
static bool takes_address(const struct unix_socket *s, u64 length)
{
    return s->type == SOCK_DGRAM || (s->family == AF_UNIX && s->type == SOCK_STREAM && length > 0);
}

DEFINE_SYSCALL(sys_sendto)
{
    struct file *file = socket_get(a0);
    struct unix_send send = {.no_signal = (a3 & MSG_NOSIGNAL) != 0};
    struct unix_name to = {0};
    struct uio uio;
    ssize_t result = 0;

    if (IS_ERR(file))
        return PTR_ERR(file);
    if (a3 & MSG_OOB)
        result = -EOPNOTSUPP;
    if (result == 0 && a4 != 0 && takes_address(file_socket(file), a5)) {
        if (file_socket(file)->type == SOCK_DGRAM) /* the others only refuse it */
            result = name_from_user(file_socket(file), &to, a4, a5);
        send.to = &to;
    }
    if (result == 0) {
        send.wait = may_wait(file, (unsigned)a3);
        uio_init_user(&uio, (void *)a1, MIN(a2, 0x7ffff000ul));
        result = unix_send(file_socket(file), &uio, &send);
    }
    file_put(file);
    return result;
}

/* unix_receive, again and again for MSG_WAITALL on streams. */
static ssize_t receive(struct file *file, struct uio *uio, struct unix_receive *r, unsigned flags)
{
    struct unix_socket *s = file_socket(file);
    ssize_t total = 0, n;

    if (flags & MSG_OOB)
        return s->family == AF_INET && s->type == SOCK_STREAM ? -EINVAL : -EOPNOTSUPP;
    if ((flags & MSG_ERRQUEUE) && s->family == AF_INET)
        return -EAGAIN; /* that queue is never waited for, and IP_RECVERR is not supported: it is empty */
    r->wait = may_wait(file, flags);
    r->peek = (flags & MSG_PEEK) != 0;
    do {
        n = unix_receive(s, uio, r);
        if (n > 0)
            total += n;
    } while (n > 0 && uio->left > 0 && (flags & MSG_WAITALL) && s->type == SOCK_STREAM && !r->peek && r->n_files == 0);
    return total > 0 ? total : n;
}

static void drop_files(struct unix_receive *r)
{
    for (unsigned i = 0; i < r->n_files; i++)
        file_put(r->files[i]);
    kfree(r->files);
    r->files = NULL;
    r->n_files = 0;
}

DEFINE_SYSCALL(sys_recvfrom)
{
    struct file *file = socket_get(a0);
    struct unix_receive r = {.files = NULL};
    struct uio uio;
    ssize_t result;
    int error;

    if (IS_ERR(file))
        return PTR_ERR(file);
    uio_init_user(&uio, (void *)a1, MIN(a2, 0x7ffff000ul));
    result = receive(file, &uio, &r, (unsigned)a3);
    drop_files(&r);
    if (result >= 0 && (a3 & MSG_TRUNC) && file_socket(file)->type != SOCK_STREAM)
        result = (ssize_t)r.full_length;
    error = result >= 0 && a4 != 0 ? source_to_user(file_socket(file), &r.from, a4, a5) : 0;
    if (error != 0)
        result = error;
    file_put(file);
    return result;
}

/* ---- sendmsg, recvmsg ---- */

static int vector_get(struct uio *uio, struct iovec **vec, const struct msghdr *header)
{
    int error;

    if (header->vec_count > IOV_MAX)
        return -EMSGSIZE;
    *vec = kmalloc(header->vec_count * sizeof(struct iovec) + 1);
    if (*vec == NULL)
        return -ENOMEM;
    error = copy_from_user(*vec, (void *)header->vec, header->vec_count * sizeof(struct iovec));
    if (error == 0)
        error = uio_init_vector(uio, *vec, (unsigned)header->vec_count);
    if (error != 0)
        kfree(*vec);
    return error;
}

/* The descriptors of one SCM_RIGHTS as files. */
static int take_rights(struct unix_send *send, const s32 *fds, unsigned n)
{
    if (n > MAX_RIGHTS || send->files != NULL)
        return -EINVAL;
    if (n == 0)
        return 0;
    send->files = kmalloc(n * sizeof(*send->files));
    if (send->files == NULL)
        return -ENOMEM;
    for (; send->n_files < n; send->n_files++) {
        send->files[send->n_files] = fd_get_any(fds[send->n_files]);
        if (send->files[send->n_files] == NULL)
            return -EBADF;
    }
    return 0;
}

static int take_control(struct unix_send *send, const char *control, size_t length)
{
    size_t at = 0;
    int error = 0;

    while (error == 0 && length - at >= sizeof(struct cmsghdr)) {
        const struct cmsghdr *c = (const struct cmsghdr *)(control + at);
        size_t room = length - at;

        if (c->length < sizeof(*c) || c->length > room)
            return -EINVAL;
        if (c->level == SOL_SOCKET && c->type == SCM_RIGHTS)
            error = take_rights(send, (const s32 *)(c + 1), (unsigned)((c->length - sizeof(*c)) / sizeof(s32)));
        else if (c->level != SOL_SOCKET || c->type != SCM_CREDENTIALS) /* the sender's own are sent in any case */
            error = -EINVAL;
        at += MIN(ALIGN_UP(c->length, sizeof(u64)), room);
    }
    return error;
}

static int read_control(struct unix_send *send, const struct msghdr *header)
{
    char *control;
    int error;

    if (header->control == 0 || header->control_length == 0)
        return 0;
    if (header->control_length > MAX_CONTROL)
        return -ENOBUFS;
    control = kmalloc(header->control_length);
    if (control == NULL)
        return -ENOMEM;
    error = copy_from_user(control, (void *)header->control, header->control_length);
    if (error == 0)
        error = take_control(send, control, header->control_length);
    kfree(control);
    return error;
}

static ssize_t send_message(struct file *file, const struct msghdr *header, unsigned flags)
{
    struct unix_send send = {.wait = may_wait(file, flags), .no_signal = (flags & MSG_NOSIGNAL) != 0};
    struct unix_name to;
    struct iovec *vec;
    struct uio uio;
    ssize_t result = flags & MSG_OOB ? -EOPNOTSUPP : vector_get(&uio, &vec, header);

    if (result != 0)
        return result;
    if (header->name != 0 && header->name_length != 0) {
        result = name_from_user(file_socket(file), &to, header->name, header->name_length);
        send.to = &to;
    }
    if (result == 0)
        result = read_control(&send, header);
    if (result == 0 && send.n_files > 0)
        result = flight_admit();
    if (result == 0)
        result = unix_send(file_socket(file), &uio, &send);
    for (unsigned i = 0; i < send.n_files; i++) /* those that were not sent */
        file_put(send.files[i]);
    kfree(send.files);
    kfree(vec);
    return result;
}

/* sendmmsg(2), recvmmsg(2): many messages in one call. */
struct mmsghdr {
    struct msghdr header;
    u32 length, pad;
};
static_assert(sizeof(struct mmsghdr) == 64, "the ABI's struct mmsghdr");

DEFINE_SYSCALL(sys_sendmmsg)
{
    struct file *file = socket_get(a0);
    struct mmsghdr *user = (struct mmsghdr *)a1;
    struct msghdr header;
    unsigned done = 0, n = (unsigned)MIN(a2, (u64)IOV_MAX);
    ssize_t result = 0;

    if (IS_ERR(file))
        return PTR_ERR(file);
    for (; done < n; done++, user++) {
        result = copy_from_user(&header, &user->header, sizeof(header)) != 0
                     ? -EFAULT
                     : send_message(file, &header, (unsigned)a3);
        if (result < 0 || put_user_u32((u32)result, &user->length) != 0)
            break;
    }
    file_put(file);
    return done > 0 ? (long)done : MIN(result, 0l);
}

DEFINE_SYSCALL(sys_sendmsg)
{
    struct file *file = socket_get(a0);
    struct msghdr header;
    ssize_t result;

    if (IS_ERR(file))
        return PTR_ERR(file);
    if (copy_from_user(&header, (void *)a1, sizeof(header)) != 0)
        result = -EFAULT;
    else
        result = send_message(file, &header, (unsigned)a2);
    file_put(file);
    return result;
}

/* One control message into what is left of the buffer, cut where that ends: false if it was. */
static bool put_control(struct msghdr *header, u64 *used, int type, const void *data, size_t n)
{
    u64 room = header->control != 0 ? header->control_length - *used : 0;
    struct cmsghdr c = {MIN(sizeof(c) + n, room), SOL_SOCKET, type};

    if (room < sizeof(c))
        return false;
    if (copy_to_user((void *)(header->control + *used), &c, sizeof(c)) != 0 ||
        copy_to_user((void *)(header->control + *used + sizeof(c)), data, c.length - sizeof(c)) != 0)
        return false;
    *used += MIN(ALIGN_UP(sizeof(c) + n, sizeof(u64)), room);
    return c.length == sizeof(c) + n;
}

/* The received files become descriptors, as many as fit. */
static bool put_rights(struct msghdr *header, u64 *used, struct unix_receive *r, bool cloexec)
{
    u64 room = header->control_length > *used + sizeof(struct cmsghdr)
                   ? (header->control_length - *used - sizeof(struct cmsghdr)) / sizeof(s32)
                   : 0;
    unsigned n = (unsigned)MIN(room, (u64)r->n_files), done = 0;
    s32 fds[MAX_RIGHTS];

    for (; done < n; done++) {
        file_get(r->files[done]); /* the descriptor's, which another thread may close at once; drop_files puts ours */
        fds[done] = fd_install(r->files[done], cloexec);
        if (fds[done] >= 0)
            continue;
        file_put(r->files[done]);
        break;
    }
    return (done == 0 || put_control(header, used, SCM_RIGHTS, fds, done * sizeof(s32))) && done == r->n_files;
}

static void write_control(struct unix_socket *s, struct msghdr *header, struct unix_receive *r, unsigned flags)
{
    u64 used = 0;
    bool complete = true;

    if (s->pass_cred)
        complete = put_control(header, &used, SCM_CREDENTIALS, &r->cred, sizeof(r->cred));
    if (r->n_files > 0)
        complete = put_rights(header, &used, r, (flags & MSG_CMSG_CLOEXEC) != 0) && complete;
    if (!complete)
        header->flags |= MSG_CTRUNC;
    header->control_length = used;
}

static ssize_t receive_message(struct file *file, u64 user_header, struct msghdr *header, unsigned flags)
{
    struct unix_socket *s = file_socket(file);
    struct unix_receive r = {.files = NULL};
    struct iovec *vec;
    struct uio uio;
    u64 user_length = user_header + offsetof(struct msghdr, name_length);
    ssize_t result = header->name != 0 && (s32)header->name_length < 0 ? -EINVAL : vector_get(&uio, &vec, header);

    if (result != 0)
        return result;
    result = receive(file, &uio, &r, flags);
    header->flags = (s32)(flags & MSG_CMSG_CLOEXEC); /* as on Linux */
    if (result >= 0) {
        if (s->type != SOCK_STREAM && r.full_length > (size_t)result) {
            header->flags |= MSG_TRUNC;
            if (flags & MSG_TRUNC)
                result = (ssize_t)r.full_length;
        }
        write_control(s, header, &r, flags);
        if (header->name != 0 && source_to_user(s, &r.from, header->name, user_length) != 0)
            result = -EFAULT;
    }
    if (result >= 0 &&
        (copy_to_user((char *)user_header + offsetof(struct msghdr, control_length), &header->control_length,
                      sizeof(u64)) != 0 ||
         copy_to_user((char *)user_header + offsetof(struct msghdr, flags), &header->flags, sizeof(u32)) != 0))
        result = -EFAULT;
    drop_files(&r);
    kfree(vec);
    return result;
}

DEFINE_SYSCALL(sys_recvmsg)
{
    struct file *file = socket_get(a0);
    struct msghdr header;
    ssize_t result;

    if (IS_ERR(file))
        return PTR_ERR(file);
    if (copy_from_user(&header, (void *)a1, sizeof(header)) != 0)
        result = -EFAULT;
    else
        result = receive_message(file, a1, &header, (unsigned)a2);
    file_put(file);
    return result;
}

/* With a timeout, it is looked at after each message, as on Linux (recvmmsg(2), BUGS). */
DEFINE_SYSCALL(sys_recvmmsg)
{
    struct file *file;
    struct mmsghdr *user = (struct mmsghdr *)a1;
    u64 timeout = 0, deadline = NO_DEADLINE;
    struct msghdr header;
    unsigned done = 0, n = (unsigned)MIN(a2, (u64)IOV_MAX), flags = (unsigned)a3;
    ssize_t result = a4 != 0 ? get_user_timespec(&timeout, a4) : 0;

    if (result != 0)
        return result;
    if (a4 != 0)
        deadline = deadline_after(timeout);
    file = socket_get(a0);
    if (IS_ERR(file))
        return PTR_ERR(file);
    while (done < n && result >= 0) {
        result = copy_from_user(&header, &user->header, sizeof(header)) != 0
                     ? -EFAULT
                     : receive_message(file, (u64)&user->header, &header, flags & ~(unsigned)MSG_WAITFORONE);
        if (result < 0 || put_user_u32((u32)result, &user->length) != 0)
            break;
        done++;
        user++;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (time_ns() >= deadline)
            break;
    }
    file_put(file);
    return done > 0 ? (long)done : MIN(result, 0l);
}
