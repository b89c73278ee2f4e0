/* Local sockets: life, connections, files. Contract in unix_socket.h; unix_name.c has the names, unix_message.c what is
 * sent. Sources: unix(7), connect(2), accept(2). */
#include "fs/unix_socket.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "proc/task.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define BACKLOG_MAX 4096u /* net.core.somaxconn */

struct mutex unix_lock = MUTEX_INIT(unix_lock);
static struct list all = LIST_INIT(all);
static const struct file_ops socket_ops;

bool file_is_socket(const struct file *file) { return file->ops == &socket_ops; }

/* ---- life ---- */

static struct unix_cred own_cred(void)
{
    return (struct unix_cred){task_pid(current_task()), current->cred->euid, current->cred->egid};
}

static struct unix_socket *socket_alloc(unsigned family, unsigned type)
{
    struct unix_socket *s = kzalloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    s->refs = 1;
    s->family = family;
    s->type = type;
    s->cred = own_cred();
    s->send_buffer = s->receive_buffer = SOCKET_BUFFER;
    mutex_init(&s->lock);
    list_init(&s->bound_link);
    list_init(&s->all_link);
    list_init(&s->backlog);
    list_init(&s->backlog_link);
    list_init(&s->messages);
    list_init(&s->flight_link);
    wait_queue_init(&s->readable);
    wait_queue_init(&s->writable);
    return s;
}

/* Moves what waits in S to MESSAGES. */
static void take_messages(struct unix_socket *s, struct list *messages)
{
    mutex_lock(&s->lock);
    list_splice_tail(messages, &s->messages);
    s->queued = 0;
    s->n_messages = 0;
    mutex_unlock(&s->lock);
}

static void free_messages(struct list *messages)
{
    while (!list_empty(messages)) {
        struct message *m = list_first(messages, struct message, link);

        list_remove(&m->link);
        message_free(m);
    }
}

void unix_drop_messages(struct unix_socket *s)
{
    struct list dropped;

    list_init(&dropped);
    take_messages(s, &dropped);
    free_messages(&dropped);
}

void unix_drop_backlog_messages(struct unix_socket *s)
{
    struct unix_socket *waiting;
    struct list dropped;

    list_init(&dropped);
    mutex_lock(&unix_lock);
    list_for_each(waiting, &s->backlog, backlog_link)
        take_messages(waiting, &dropped);
    mutex_unlock(&unix_lock);
    free_messages(&dropped);
}

void unix_put(struct unix_socket *s)
{
    if (atomic_sub(&s->refs, 1) != 0)
        return;
    unix_drop_messages(s);
    kfree(s);
}

/* What S's peer has sent, or will, is lost: it is told. => unix_lock not held */
static void reset_peer(struct unix_socket *s)
{
    mutex_lock(&unix_lock);
    if (s->peer != NULL)
        store_relaxed(&s->peer->error, ECONNRESET);
    mutex_unlock(&unix_lock);
}

static bool has_unread(struct unix_socket *s)
{
    bool unread;

    mutex_lock(&s->lock);
    unread = !list_empty(&s->messages);
    mutex_unlock(&s->lock);
    return unread;
}

/* SO_LINGER with no time: TCP ends a connection by a reset. */
static bool resets_on_close(const struct unix_socket *s)
{
    return s->family == AF_INET && s->options.linger[0] != 0 && s->options.linger[1] == 0;
}

/* Nobody will read from S or send by it any more: its peer and those who wait to connect learn of it. */
static void socket_close(struct unix_socket *s)
{
    struct unix_socket *peer;
    struct inode *inode;

    if (s->type != SOCK_DGRAM && (has_unread(s) || resets_on_close(s)))
        reset_peer(s);
    mutex_lock(&unix_lock);
    peer = s->peer;
    store_release(&s->closed, true);
    s->peer = NULL;
    inode = s->inode;
    s->inode = NULL;
    list_remove(&s->bound_link);
    list_remove(&s->all_link);
    while (!list_empty(&s->backlog)) {
        struct unix_socket *waiting = list_first(&s->backlog, struct unix_socket, backlog_link);

        list_remove(&waiting->backlog_link);
        flight_set_listener(waiting, NULL);
        mutex_unlock(&unix_lock);
        reset_peer(waiting);
        socket_close(waiting); /* not a listener: no deeper */
        mutex_lock(&unix_lock);
    }
    mutex_unlock(&unix_lock);
    wake_all(&s->writable);
    wake_all(&s->readable);
    if (peer != NULL) {
        wake_all(&peer->readable);
        wake_all(&peer->writable);
        unix_put(peer);
    }
    if (inode != NULL)
        inode_put(inode);
    unix_drop_messages(s);
    unix_put(s);
}

static void socket_release(struct file *file)
{
    socket_close(file->private);
    flight_collect();
}

/* A file for S, whose reference it takes over. */
static struct file *socket_file(struct unix_socket *s, u32 flags)
{
    struct inode *inode = anon_inode(S_IFSOCK | 0777);
    struct file *file;

    if (IS_ERR(inode))
        return (struct file *)inode;
    file = file_create(inode, O_RDWR | flags, &socket_ops);
    if (IS_ERR(file)) {
        inode_put(inode);
        return file;
    }
    file->private = s;
    s->file = file;
    mutex_lock(&unix_lock);
    list_add(&all, &s->all_link);
    mutex_unlock(&unix_lock);
    return file;
}

void unix_for_each(void (*fn)(struct unix_socket *s, void *arg), void *arg)
{
    struct unix_socket *s;

    list_for_each(s, &all, all_link)
        fn(s, arg);
}

struct file *unix_create(unsigned family, unsigned type, u32 flags)
{
    struct unix_socket *s = socket_alloc(family, type);
    struct file *file = s != NULL ? socket_file(s, flags) : ERR_PTR(-ENOMEM);

    if (s != NULL && IS_ERR(file))
        unix_put(s);
    return file;
}

/* => unix_lock, or nobody else knows them */
static void join(struct unix_socket *a, struct unix_socket *b)
{
    a->peer = b;
    b->peer = a;
    atomic_add_relaxed(&a->refs, 1);
    atomic_add_relaxed(&b->refs, 1);
    a->peer_cred = b->cred;
    b->peer_cred = a->cred;
    a->state = b->state = UNIX_CONNECTED;
}

int unix_pair(unsigned type, u32 flags, struct file *files[2])
{
    files[0] = unix_create(AF_UNIX, type, flags);
    if (IS_ERR(files[0]))
        return (int)PTR_ERR(files[0]);
    files[1] = unix_create(AF_UNIX, type, flags);
    if (IS_ERR(files[1])) {
        file_put(files[0]);
        return (int)PTR_ERR(files[1]);
    }
    join(file_socket(files[0]), file_socket(files[1]));
    return 0;
}

struct unix_socket *unix_get_peer(struct unix_socket *s)
{
    struct unix_socket *peer;

    mutex_lock(&unix_lock);
    peer = s->peer;
    if (peer != NULL)
        atomic_add_relaxed(&peer->refs, 1);
    mutex_unlock(&unix_lock);
    return peer;
}

void unix_forget_peer(struct unix_socket *s, struct unix_socket *peer)
{
    bool was = false;

    mutex_lock(&unix_lock);
    if (s->peer == peer) {
        s->peer = NULL;
        was = true;
    }
    mutex_unlock(&unix_lock);
    if (was)
        unix_put(peer);
}

/* ---- connections ---- */

int unix_listen(struct unix_socket *s, int backlog)
{
    int error = 0;

    if (s->type == SOCK_DGRAM)
        return -EOPNOTSUPP;
    if (s->family == AF_INET)
        error = inet_before_listen(s);
    if (error != 0)
        return error;
    mutex_lock(&unix_lock);
    if (s->name.length == 0 || s->state == UNIX_CONNECTED) {
        error = -EINVAL;
    } else {
        s->state = UNIX_LISTENING;
        s->backlog_max = MIN((unsigned)backlog, BACKLOG_MAX); /* below 0: as many as may be */
        s->cred = own_cred();
    }
    mutex_unlock(&unix_lock);
    if (error == 0)
        wake_all(&s->writable);
    return error;
}

/* Whether one more may wait in L's backlog; a listener that is gone lets the waiters find that out. */
static bool has_room(const struct unix_socket *l)
{
    return load_relaxed(&l->backlog_count) <= load_relaxed(&l->backlog_max) || load_acquire(&l->closed);
}

/* Puts FRESH, joined with S, into L's backlog: 0, -EAGAIN when there is no room. */
static int enqueue(struct unix_socket *s, struct unix_socket *l, struct unix_socket *fresh,
                   const struct unix_name *name)
{
    int error = 0;

    mutex_lock(&unix_lock);
    if (s->state == UNIX_CONNECTED)
        error = -EISCONN;
    else if (s->state == UNIX_LISTENING)
        error = -EINVAL;
    else if (l->closed || l->state != UNIX_LISTENING || (l->shut & SHUT_READ))
        error = -ECONNREFUSED;
    else if (l->backlog_count > l->backlog_max)
        error = -EAGAIN;
    if (error == 0) {
        fresh->cred = l->cred;
        fresh->name = *name;
        join(s, fresh);
        list_add_tail(&l->backlog, &fresh->backlog_link);
        flight_set_listener(fresh, l);
        store_relaxed(&l->backlog_count, l->backlog_count + 1);
    }
    mutex_unlock(&unix_lock);
    if (error == 0)
        wake_all(&l->readable);
    return error;
}

int unix_connect_to(struct unix_socket *s, struct unix_socket *l, const struct unix_name *name, bool wait)
{
    struct unix_socket *fresh = socket_alloc(s->family, s->type);
    u64 deadline = deadline_in(s->send_timeout);
    int error = fresh != NULL ? 0 : -ENOMEM;

    while (error == 0) {
        error = enqueue(s, l, fresh, name);
        if (error != -EAGAIN || !wait)
            break;
        error = wait_event_deadline(&l->writable, has_room(l), deadline);
        if (error != 0)
            error = error == -ETIMEDOUT ? -EAGAIN : -ERESTARTSYS;
    }
    if (error != 0 && fresh != NULL)
        unix_put(fresh);
    unix_put(l);
    return error;
}

static int connect_stream(struct unix_socket *s, const struct unix_name *name, bool wait)
{
    struct unix_socket *l = unix_find(name, s->type);

    return IS_ERR(l) ? (int)PTR_ERR(l) : unix_connect_to(s, l, &l->name, wait);
}

static int connect_datagram(struct unix_socket *s, const struct unix_name *name)
{
    struct unix_socket *peer = name != NULL ? unix_find(name, s->type) : NULL, *old;

    if (IS_ERR(peer))
        return (int)PTR_ERR(peer);
    mutex_lock(&unix_lock);
    old = s->peer;
    s->peer = peer;
    s->state = peer != NULL ? UNIX_CONNECTED : UNIX_IDLE;
    if (peer != NULL)
        s->peer_cred = peer->cred;
    mutex_unlock(&unix_lock);
    if (old != NULL)
        unix_put(old);
    return 0;
}

int unix_connect(struct unix_socket *s, const struct unix_name *name, bool wait)
{
    if (s->family == AF_INET)
        return inet_connect(s, name, wait);
    if (s->type == SOCK_DGRAM)
        return connect_datagram(s, name);
    return name != NULL ? connect_stream(s, name, wait) : -EINVAL;
}

static struct unix_socket *take_connection(struct unix_socket *s)
{
    struct unix_socket *fresh = NULL;

    mutex_lock(&unix_lock);
    if (s->state != UNIX_LISTENING) {
        fresh = ERR_PTR(-EINVAL);
    } else if (!list_empty(&s->backlog)) {
        fresh = list_first(&s->backlog, struct unix_socket, backlog_link);
        list_remove(&fresh->backlog_link);
        flight_set_listener(fresh, NULL);
        store_relaxed(&s->backlog_count, s->backlog_count - 1);
    } else if (s->shut & SHUT_READ) {
        fresh = ERR_PTR(-EINVAL);
    }
    mutex_unlock(&unix_lock);
    return fresh;
}

struct file *unix_accept(struct unix_socket *s, u32 flags, bool wait)
{
    u64 deadline = deadline_in(s->receive_timeout);
    struct unix_socket *fresh;
    struct file *file;
    int error;

    if (s->type == SOCK_DGRAM)
        return ERR_PTR(-EOPNOTSUPP);
    while ((fresh = take_connection(s)) == NULL) {
        if (!wait)
            return ERR_PTR(-EAGAIN);
        error = wait_event_deadline(&s->readable, !list_empty(&s->backlog) || (load_relaxed(&s->shut) & SHUT_READ),
                                    deadline);
        if (error != 0)
            return ERR_PTR(error == -ETIMEDOUT ? -EAGAIN : -ERESTARTSYS);
    }
    if (IS_ERR(fresh))
        return (struct file *)fresh;
    wake_all(&s->writable);
    file = socket_file(fresh, flags);
    if (IS_ERR(file))
        socket_close(fresh);
    return file;
}

int unix_shutdown(struct unix_socket *s, int how)
{
    struct unix_socket *peer;
    unsigned bits = how == 0 ? SHUT_READ : how == 1 ? SHUT_WRITE : SHUT_READ | SHUT_WRITE;
    unsigned mirrored = (bits & SHUT_READ ? SHUT_WRITE : 0) | (bits & SHUT_WRITE ? SHUT_READ : 0);

    if (how < 0 || how > 2)
        return -EINVAL;
    mutex_lock(&unix_lock);
    peer = s->peer;
    if (s->family != AF_UNIX && s->state == UNIX_IDLE && peer == NULL) {
        mutex_unlock(&unix_lock);
        return -ENOTCONN;
    }
    store_relaxed(&s->shut, s->shut | bits);
    if (peer != NULL && s->type != SOCK_DGRAM) {
        store_relaxed(&peer->shut, peer->shut | mirrored);
        wake_all(&peer->readable);
        wake_all(&peer->writable);
    }
    mutex_unlock(&unix_lock);
    wake_all(&s->readable);
    wake_all(&s->writable);
    return 0;
}

bool unix_at_end(struct unix_socket *s)
{
    struct unix_socket *peer;
    bool end;

    if (load_relaxed(&s->shut) & SHUT_READ)
        return true;
    if (s->type == SOCK_DGRAM)
        return false;
    peer = load_acquire(&s->peer); /* stays while S is open */
    end = peer != NULL && load_acquire(&peer->closed);
    return end;
}

/* ---- the file ---- */

/* UDP never waits. Of a datagram socket whose peer sends elsewhere nobody would hear that there is room again
 * (unix_receive): it finds out by trying. */
static bool is_writable(struct unix_socket *s)
{
    struct unix_socket *peer = unix_get_peer(s);
    bool result = true;

    if (peer == NULL)
        return true;
    if (s->type != SOCK_DGRAM || (s->family == AF_UNIX && load_relaxed(&peer->peer) == s))
        result = unix_has_much_room(peer, load_relaxed(&s->send_buffer)) || load_acquire(&peer->closed);
    unix_put(peer);
    return result;
}

static unsigned socket_poll(struct file *file, struct poll_table *table)
{
    struct unix_socket *s = file->private;
    unsigned events = 0, shut;
    bool end;

    if (table != NULL) {
        poll_wait(table, &s->readable);
        poll_wait(table, &s->writable);
    }
    end = unix_at_end(s);
    shut = load_relaxed(&s->shut);
    if (end && s->type != SOCK_DGRAM && !(shut & SHUT_READ)) /* a TCP whose peer has gone may still send */
        shut |= s->family == AF_INET ? SHUT_READ : SHUT_READ | SHUT_WRITE;
    if (!list_empty(&s->messages) || !list_empty(&s->backlog) || end)
        events |= POLLIN | POLLRDNORM;
    if (load_relaxed(&s->error) != 0)
        events |= POLLERR | POLLIN | POLLRDNORM;
    if (end)
        events |= POLLRDHUP;
    if (shut == (SHUT_READ | SHUT_WRITE) || (s->type != SOCK_DGRAM && s->state == UNIX_IDLE))
        events |= POLLHUP;
    if (s->state != UNIX_LISTENING && is_writable(s))
        events |= POLLOUT | POLLWRNORM | (s->family == AF_UNIX ? POLLWRBAND : 0);
    return events;
}

static ssize_t socket_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct unix_receive receive = {.wait = !(file->flags & O_NONBLOCK)};
    ssize_t n;

    (void)pos;
    if (uio->left == 0) /* read(2); recv(2) waits, and takes an empty datagram */
        return 0;
    n = unix_receive(file->private, uio, &receive);
    for (unsigned i = 0; i < receive.n_files; i++)
        file_put(receive.files[i]);
    kfree(receive.files);
    return n;
}

static ssize_t socket_write(struct file *file, struct uio *uio, u64 *pos)
{
    struct unix_send send = {.wait = !(file->flags & O_NONBLOCK)};

    (void)pos;
    return unix_send(file->private, uio, &send);
}

static long socket_ioctl(struct file *file, unsigned command, u64 argument)
{
    struct unix_socket *s = file->private;
    u32 bytes = 0;

    if (command != FIONREAD)
        return -ENOTTY;
    mutex_lock(&s->lock);
    if (!list_empty(&s->messages)) {
        const struct message *first = list_first(&s->messages, struct message, link);

        bytes = (u32)(s->type == SOCK_STREAM ? s->queued : first->length - first->offset);
    }
    mutex_unlock(&s->lock);
    return put_user_u32(bytes, (u32 *)argument);
}

static const struct file_ops socket_ops = {
    .release = socket_release, .read = socket_read, .write = socket_write, .ioctl = socket_ioctl, .poll = socket_poll};
