/*
 * What sockets send and receive: send(2), recv(2), sendmsg(2), recvmsg(2), and many of these in one call (sendmmsg(2),
 * recvmmsg(2)). Descriptors and credentials come along as control messages (cmsg(3), unix(7)).
 */
#include "fs/fdtable.h"
#include "lib/string.h"
#include "sys/socket.h"
#include "sys/syscall.h"
#include "sys/user_time.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define MAX_CONTROL 8192
#define MAX_BYTES 0x7ffff000ul /* that one call moves */

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

/* ---- sending and receiving one buffer ---- */

/* TCP's sockets and local ones of packets ignore an address, those of streams an empty one. */
static bool takes_address(const struct unix_socket *s, u64 length)
{
    return s->type == SOCK_DGRAM || (s->family == AF_UNIX && s->type == SOCK_STREAM && length > 0);
}

/* The user's address becomes TO, where SEND goes, if it is one that S takes. */
static int read_address(struct unix_send *send, struct unix_name *to, const struct unix_socket *s, u64 user, u64 length)
{
    if (user == 0 || !takes_address(s, length))
        return 0;
    send->to = to;
    if (s->type != SOCK_DGRAM) /* it only refuses it */
        return 0;
    return socket_name_from_user(s, to, user, length);
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
    if (result == 0)
        result = read_address(&send, &to, file_socket(file), a4, a5);
    if (result == 0) {
        send.wait = socket_may_wait(file, (unsigned)a3);
        uio_init_user(&uio, (void *)a1, MIN(a2, MAX_BYTES));
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
    r->wait = socket_may_wait(file, flags);
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
    uio_init_user(&uio, (void *)a1, MIN(a2, MAX_BYTES));
    result = receive(file, &uio, &r, (unsigned)a3);
    drop_files(&r);
    if (result >= 0 && (a3 & MSG_TRUNC) && file_socket(file)->type != SOCK_STREAM)
        result = (ssize_t)r.full_length;
    error = result >= 0 && a4 != 0 ? socket_source_to_user(file_socket(file), &r.from, a4, a5) : 0;
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

/* The descriptors of one SCM_RIGHTS as files, behind those of others. */
static int take_rights(struct unix_send *send, const s32 *fds, unsigned n)
{
    struct file **files;

    if (n == 0)
        return 0;
    if (n > MAX_RIGHTS - send->n_files)
        return -EINVAL;
    files = kmalloc((send->n_files + n) * sizeof(*files));
    if (files == NULL)
        return -ENOMEM;
    memcpy(files, send->files, send->n_files * sizeof(*files));
    kfree(send->files);
    send->files = files;
    for (unsigned i = 0; i < n; i++, send->n_files++) {
        files[send->n_files] = fd_get_any(fds[i]);
        if (files[send->n_files] == NULL)
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

static ssize_t send_message(struct file *file, const struct msghdr *user_header, unsigned flags)
{
    struct msghdr copy;
    const struct msghdr *header = &copy;
    struct unix_send send = {.wait = socket_may_wait(file, flags), .no_signal = (flags & MSG_NOSIGNAL) != 0};
    struct unix_name to = {0};
    struct iovec *vec;
    struct uio uio;
    ssize_t result = copy_from_user(&copy, user_header, sizeof(copy)) != 0 ? -EFAULT : 0;

    if (result == 0)
        result = flags & MSG_OOB ? -EOPNOTSUPP : vector_get(&uio, &vec, header);
    if (result != 0)
        return result;
    if (header->name_length != 0)
        result = read_address(&send, &to, file_socket(file), header->name, header->name_length);
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
    unsigned done = 0, n = (unsigned)MIN(a2, (u64)IOV_MAX);
    ssize_t result = 0;

    if (IS_ERR(file))
        return PTR_ERR(file);
    for (; done < n; done++, user++) {
        result = send_message(file, &user->header, (unsigned)a3);
        if (result < 0 || put_user_u32((u32)result, &user->length) != 0)
            break;
    }
    file_put(file);
    return done > 0 ? (long)done : MIN(result, 0l);
}

DEFINE_SYSCALL(sys_sendmsg)
{
    struct file *file = socket_get(a0);
    ssize_t result;

    if (IS_ERR(file))
        return PTR_ERR(file);
    result = send_message(file, (struct msghdr *)a1, (unsigned)a2);
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

static ssize_t receive_message(struct file *file, struct msghdr *user_header, unsigned flags)
{
    struct msghdr copy, *header = &copy;
    struct unix_socket *s = file_socket(file);
    struct unix_receive r = {.files = NULL};
    struct iovec *vec;
    struct uio uio;
    ssize_t result = copy_from_user(&copy, user_header, sizeof(copy)) != 0 ? -EFAULT : 0;

    if (result == 0)
        result = header->name != 0 && (s32)header->name_length < 0 ? -EINVAL : vector_get(&uio, &vec, header);
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
        if (header->name != 0 && socket_source_to_user(s, &r.from, header->name, (u64)&user_header->name_length) != 0)
            result = -EFAULT;
    }
    if (result >= 0 && (copy_to_user(&user_header->control_length, &header->control_length, sizeof(u64)) != 0 ||
                        put_user_u32((u32)header->flags, (u32 *)&user_header->flags) != 0))
        result = -EFAULT;
    drop_files(&r);
    kfree(vec);
    return result;
}

DEFINE_SYSCALL(sys_recvmsg)
{
    struct file *file = socket_get(a0);
    ssize_t result;

    if (IS_ERR(file))
        return PTR_ERR(file);
    result = receive_message(file, (struct msghdr *)a1, (unsigned)a2);
    file_put(file);
    return result;
}

/* With a timeout, it is looked at after each message, as on Linux (recvmmsg(2), BUGS). */
DEFINE_SYSCALL(sys_recvmmsg)
{
    struct file *file;
    struct mmsghdr *user = (struct mmsghdr *)a1;
    u64 timeout = 0, deadline = NO_DEADLINE;
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
        result = receive_message(file, &user->header, flags & ~(unsigned)MSG_WAITFORONE);
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
