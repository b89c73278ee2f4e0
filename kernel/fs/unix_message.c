/*
 * What local sockets send: a message is copied from the sender's memory, then put into the receiver's list as a whole.
 * A stream's messages are only pieces; a read takes from as many as it can, but stops before one that carries
 * descriptors, unless it is the first.
 */
#include "fs/file.h"
#include "fs/unix_socket.h"
#include "lib/string.h"
#include "proc/task.h"
#include "vm/kmalloc.h"

#define STREAM_PIECE (16 * KIB)
#define UDP_MAX 65507 /* bytes in an IPv4 datagram */

/*
 * A file that a message carries may be a socket in which messages with sockets wait, and so on, as deep as a program
 * likes. So nobody releases files while releasing files: one thread at a time takes such messages from `doomed`, where
 * the release of their files puts further ones.
 */
static struct spinlock doomed_lock;
static struct list doomed = LIST_INIT(doomed);
static bool is_draining; /* doomed_lock */

static struct message *next_doomed(void)
{
    struct message *m = NULL;

    spin_lock(&doomed_lock);
    if (list_empty(&doomed)) {
        is_draining = false;
    } else {
        m = list_first(&doomed, struct message, link);
        list_remove(&m->link);
    }
    spin_unlock(&doomed_lock);
    return m;
}

static void free_with_files(struct message *m)
{
    bool is_ours;

    spin_lock(&doomed_lock);
    list_add_tail(&doomed, &m->link);
    is_ours = !is_draining;
    is_draining = true;
    spin_unlock(&doomed_lock);
    while (is_ours && (m = next_doomed()) != NULL) {
        for (unsigned i = 0; i < m->n_files; i++)
            file_put(m->files[i]);
        kfree(m->files);
        kfree(m);
    }
}

void message_free(struct message *m)
{
    if (m->n_files > 0) {
        flight_end(m);
        free_with_files(m);
        return;
    }
    kfree(m->files);
    kfree(m);
}

/* ---- sending ---- */

static struct message *message_create(struct unix_socket *s, struct uio *uio, size_t n)
{
    struct message *m = kmalloc(sizeof(*m) + n);

    if (m == NULL)
        return ERR_PTR(-ENOBUFS);
    memset(m, 0, sizeof(*m));
    list_init(&m->link);
    list_init(&m->carrier_link);
    m->length = n;
    m->cred = (struct unix_cred){task_pid(current_task()), current->cred->uid, current->cred->gid};
    m->from = s->family == AF_INET ? inet_source(s) : s->name;
    if (uio_copy_in(uio, m->data, n) == n)
        return m;
    kfree(m);
    return ERR_PTR(-EFAULT);
}

/* For a message of S's. */
static bool has_room(const struct unix_socket *s, struct unix_socket *to)
{
    return unix_has_room(to, load_relaxed(&s->send_buffer)) || load_acquire(&to->closed);
}

/* Takes M of S's over on success: 0, -EAGAIN when there is no room. */
static int deliver(const struct unix_socket *s, struct unix_socket *to, struct message *m)
{
    int error = 0;

    mutex_lock(&to->lock);
    if (load_acquire(&to->closed) || (load_relaxed(&to->shut) & SHUT_READ))
        error = to->type == SOCK_DGRAM && to->closed ? -ECONNREFUSED : -EPIPE;
    else if (!has_room(s, to))
        error = -EAGAIN;
    if (error == 0) {
        if (m->n_files > 0)
            flight_begin(m, to);
        list_add_tail(&to->messages, &m->link);
        store_relaxed(&to->queued, to->queued + m->length);
        store_relaxed(&to->n_messages, to->n_messages + 1);
    }
    mutex_unlock(&to->lock);
    if (error == 0)
        wake_all(&to->readable);
    return error;
}

/* Sleeps until TO has room. A stream's reader wakes its peer, S; a datagram's wakes those who wait at the receiver
 * itself. */
static int wait_for_room(struct unix_socket *s, struct unix_socket *to, u64 deadline)
{
    int error;
    struct wait_queue *q = s->type == SOCK_DGRAM ? &to->writable : &s->writable;

    error = wait_event_deadline(q, has_room(s, to) || (load_relaxed(&s->shut) & SHUT_WRITE), deadline);
    return error == 0 ? 0 : error == -ETIMEDOUT ? -EAGAIN : -ERESTARTSYS;
}

static int send_one(struct unix_socket *s, struct unix_socket *to, struct uio *uio, size_t n, struct unix_send *send)
{
    struct message *m = message_create(s, uio, n);
    u64 deadline = deadline_in(s->send_timeout);
    int error;

    if (IS_ERR(m))
        return (int)PTR_ERR(m);
    m->files = send->files;
    m->n_files = send->n_files;
    for (;;) {
        error = load_relaxed(&s->shut) & SHUT_WRITE ? -EPIPE : deliver(s, to, m);
        if (error != -EAGAIN || !send->wait)
            break;
        error = wait_for_room(s, to, deadline);
        if (error != 0)
            break;
    }
    if (error == 0) {
        send->files = NULL; /* the message's now */
        send->n_files = 0;
        return 0;
    }
    m->n_files = 0;
    m->files = NULL;
    message_free(m);
    return error;
}

/* TCP: why nothing can be sent any more, once what it was is told -EPIPE; or 0. */
static int refusal(struct unix_socket *s)
{
    int error;

    if (load_relaxed(&s->error) == 0 && !(load_relaxed(&s->shut) & SHUT_WRITE))
        return 0;
    error = unix_take_error(s);
    return error != 0 ? error : -EPIPE;
}

/* TCP: bytes that nobody will have are sent all the same, and the answer to them ends the connection. Whether it did. */
static bool reset_by_loss(struct unix_socket *s, const struct unix_socket *to)
{
    if (s->family != AF_INET || !load_acquire(&to->closed) || (load_relaxed(&s->shut) & SHUT_WRITE))
        return false;
    mutex_lock(&unix_lock);
    store_relaxed(&s->error, EPIPE);
    store_relaxed(&s->shut, SHUT_READ | SHUT_WRITE);
    mutex_unlock(&unix_lock);
    wake_all(&s->readable);
    wake_all(&s->writable);
    return true;
}

/* Where a message goes: referenced, or ERR_PTR. */
static struct unix_socket *destination(struct unix_socket *s, const struct unix_send *send)
{
    int error = s->family == AF_INET ? refusal(s) : 0;
    struct unix_socket *to;

    if (error != 0)
        return ERR_PTR(error);
    if (send->to != NULL) {
        if (s->type != SOCK_DGRAM)
            return ERR_PTR(s->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP);
        return unix_find(send->to, s->type);
    }
    to = unix_get_peer(s);
    return to != NULL ? to : ERR_PTR(s->family == AF_INET ? -EPIPE : -ENOTCONN);
}

/* UDP: a datagram that finds nobody, or no room, is lost, and sent all the same. */
static ssize_t send_udp(struct unix_socket *s, struct uio *uio, struct unix_send *send)
{
    size_t n = uio->left;
    struct unix_socket *to;
    int error = unix_take_error(s);

    if (error != 0)
        return error;
    if (n > UDP_MAX)
        return -EMSGSIZE;
    to = inet_destination(s, send->to);
    if (IS_ERR(to))
        return PTR_ERR(to);
    send->wait = false;
    error = to != NULL ? send_one(s, to, uio, n, send) : 0;
    if (to != NULL)
        unix_put(to);
    return error == 0 || error == -EAGAIN || error == -ECONNREFUSED ? (ssize_t)n : error;
}

static ssize_t send_along(struct unix_socket *s, struct uio *uio, struct unix_send *send)
{
    bool stream = s->type == SOCK_STREAM;
    struct unix_socket *to = destination(s, send);
    ssize_t total = 0;
    int error = 0;

    if (IS_ERR(to) && PTR_ERR(to) == -EPIPE && !send->no_signal)
        signal_send_current(SIGPIPE);
    if (IS_ERR(to))
        return PTR_ERR(to);
    if (!stream && uio->left > load_relaxed(&s->send_buffer)) {
        unix_put(to);
        return -EMSGSIZE;
    }
    do {
        size_t n = stream ? MIN(uio->left, MIN(STREAM_PIECE, (size_t)load_relaxed(&s->send_buffer))) : uio->left;

        if (stream && n == 0)
            break;
        error = send_one(s, to, uio, n, send);
        if (error == 0 || (error == -EPIPE && reset_by_loss(s, to)))
            total += (ssize_t)n;
    } while (error == 0 && uio->left > 0);
    if (error == -ECONNREFUSED && send->to == NULL && s->type == SOCK_DGRAM) /* told once */
        unix_forget_peer(s, to);
    unix_put(to);
    if (error == -EPIPE && total == 0 && stream && !send->no_signal)
        signal_send_current(SIGPIPE);
    return total > 0 || error == 0 ? total : error;
}

ssize_t unix_send(struct unix_socket *s, struct uio *uio, struct unix_send *send)
{
    return s->family == AF_INET && s->type == SOCK_DGRAM ? send_udp(s, uio, send) : send_along(s, uio, send);
}

/* ---- receiving ---- */

/* Copies of M's descriptors, or with PEEK further references. */
static int give_files(struct message *m, struct unix_receive *r)
{
    if (m->n_files == 0)
        return 0;
    if (!r->peek) {
        flight_end(m);
        r->files = m->files;
        r->n_files = m->n_files;
        m->files = NULL;
        m->n_files = 0;
        return 0;
    }
    r->files = kmalloc(m->n_files * sizeof(*r->files));
    if (r->files == NULL)
        return -ENOMEM;
    flight_copy(m, r->files);
    r->n_files = m->n_files;
    return 0;
}

/* => s->lock */
static void finish(struct unix_socket *s, struct message *m)
{
    list_remove(&m->link);
    store_relaxed(&s->n_messages, s->n_messages - 1);
    message_free(m);
}

static ssize_t receive_packet(struct unix_socket *s, struct uio *uio, struct unix_receive *r)
{
    struct message *m = list_first(&s->messages, struct message, link);
    size_t n = MIN(uio->left, m->length);
    ssize_t result;

    if (uio_copy_out(uio, m->data, n) != n)
        return -EFAULT;
    result = (ssize_t)n;
    r->from = m->from;
    r->cred = m->cred;
    r->full_length = m->length;
    if (give_files(m, r) != 0)
        return -ENOMEM;
    if (!r->peek) {
        store_relaxed(&s->queued, s->queued - m->length);
        finish(s, m);
    }
    return result;
}

static ssize_t receive_stream(struct unix_socket *s, struct uio *uio, struct unix_receive *r)
{
    struct message *m, *next;
    size_t total = 0;

    list_for_each_safe(m, next, &s->messages, link) {
        size_t n = MIN(uio->left, m->length - m->offset), done;
        bool has_files = m->n_files > 0;

        if (uio->left == 0 || (total > 0 && m->n_files > 0))
            break;
        done = uio_copy_out(uio, m->data + m->offset, n);
        if (total == 0) {
            r->cred = m->cred;
            if (s->family == AF_UNIX)
                r->from = m->from;
            if (done > 0 && give_files(m, r) != 0)
                return -ENOMEM;
        }
        total += done;
        if (!r->peek) {
            m->offset += done;
            store_relaxed(&s->queued, s->queued - done);
            if (m->offset == m->length)
                finish(s, m);
        }
        if (done < n)
            return total > 0 ? (ssize_t)total : -EFAULT;
        if (has_files)
            break; /* bytes that came with descriptors are not mixed with later ones */
    }
    r->full_length = total;
    return (ssize_t)total;
}

static int wait_for_message(struct unix_socket *s, bool wait, u64 deadline)
{
    int error = unix_take_error(s);

    if (error != 0)
        return error;
    if (s->type != SOCK_DGRAM && s->state != UNIX_CONNECTED)
        return s->type == SOCK_STREAM && s->family == AF_UNIX ? -EINVAL : -ENOTCONN;
    if (!wait)
        return -EAGAIN;
    error = wait_event_deadline(
        &s->readable, !list_seems_empty(&s->messages) || unix_at_end(s) || load_relaxed(&s->error) != 0, deadline);
    return error == 0 ? 0 : error == -ETIMEDOUT ? -EAGAIN : -ERESTARTSYS;
}

ssize_t unix_receive(struct unix_socket *s, struct uio *uio, struct unix_receive *r)
{
    u64 deadline = deadline_in(s->receive_timeout);
    struct unix_socket *peer;
    ssize_t result;
    bool end;
    int error;

    if (uio->left == 0 && s->type == SOCK_STREAM && load_relaxed(&s->state) == UNIX_CONNECTED)
        return 0;
    for (;;) {
        end = unix_at_end(s); /* asked before the list, which what was sent before the end has reached */
        mutex_lock(&s->lock);
        if (!list_empty(&s->messages))
            break;
        mutex_unlock(&s->lock);
        if (end) /* that nobody has what was sent after it is for senders */
            return load_relaxed(&s->error) == EPIPE ? 0 : unix_take_error(s);
        error = wait_for_message(s, r->wait, deadline);
        if (error != 0)
            return error;
    }
    result = s->type == SOCK_STREAM ? receive_stream(s, uio, r) : receive_packet(s, uio, r);
    mutex_unlock(&s->lock);
    peer = unix_get_peer(s);
    if (peer != NULL) {
        wake_all(&peer->writable);
        unix_put(peer);
    }
    if (s->type == SOCK_DGRAM) /* where senders wait; of another an edge-triggered poll would tell its own reading */
        wake_all(&s->writable);
    return result;
}
