/*
 * POSIX message queues. A queue is an inode without a directory entry and a place in a list of names; descriptors are
 * ordinary ones, of files on that inode. Sources: mq_overview(7), mq_open(2), mq_unlink(2), mq_timedsend(2),
 * mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).
 *
 *   name --> queue --> messages, the most urgent first, the older before the younger
 *              |-----> whom to tell when a message comes and nobody waits for it
 *              '<----- files
 *
 * A queue lives as long as it has a name or a file. Who finds no room, or no message, sleeps until something about the
 * queue changes and looks again.
 *
 * Locks: mqueues.lock guards names and the count -> queue->lock guards all of a queue. User memory is touched with
 * neither.
 */
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/names.h"
#include "fs/poll.h"
#include "fs/procfs/procfs.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/internal.h"
#include "proc/ptimer.h"
#include "sys/syscall.h"
#include "sys/user_time.h"
#include "vm/kmalloc.h"

#define MAX_PRIORITY 32768
#define MOST_MESSAGES 65536        /* with CAP_SYS_RESOURCE */
#define LARGEST_MESSAGE (16 * MIB) /* the same */
/* What RLIMIT_MSGQUEUE counts for each message besides its text, as getrlimit(2) has it: two structures of Linux's. */
#define MESSAGE_OVERHEAD 48
#define PRIORITY_OVERHEAD 48

struct mq_attr { /* the ABI's */
    s64 flags, max_messages, message_size, messages, reserved[4];
};
static_assert(sizeof(struct mq_attr) == 64, "linux/mqueue.h");

struct message {
    struct list link;
    u32 priority;
    u64 size;
    char text[];
};

/* One signal for one message: mq_notify(2). */
struct notice {
    struct process *owner; /* referenced; NULL: nobody asked */
    struct sigevent event;
};

struct queue {
    struct list link; /* in the list of names, while it has one */
    u32 refs;         /* its name, its files */
    struct inode *inode;
    struct user *user; /* whose RLIMIT_MSGQUEUE it counts to */
    u64 cost;          /* ... and how much */
    struct mutex lock;
    s64 max_messages, message_size, count;
    u64 bytes;
    struct list messages;
    struct wait_queue wait; /* for `changes` */
    u64 changes;
    unsigned receivers; /* that sleep */
    struct notice notice;
    char name[];
};

static struct {
    struct mutex lock;
    struct list queues;
    unsigned count; /* also of those without a name */
} mqueues = {.lock = MUTEX_INIT(mqueues.lock), .queues = LIST_INIT(mqueues.queues)};

/* ---- a queue's life ---- */

static void queue_put(struct queue *q)
{
    struct message *m, *next;

    if (atomic_sub(&q->refs, 1) > 0)
        return;
    list_for_each_safe(m, next, &q->messages, link)
        kfree(m);
    if (q->notice.owner != NULL)
        process_put(q->notice.owner);
    atomic_sub(&q->user->mq_bytes, q->cost);
    user_put(q->user);
    inode_put(q->inode);
    kfree(q);
    atomic_sub(&mqueues.count, 1);
}

/* What a queue of ATTR counts; UINT64_MAX: more than anybody may have. */
static u64 cost_of(const struct mq_attr *attr)
{
    u64 n = (u64)attr->max_messages, priorities = MIN(n, (u64)MAX_PRIORITY);

    return n * (u64)attr->message_size + n * MESSAGE_OVERHEAD + priorities * PRIORITY_OVERHEAD;
}

static int check_attr(const struct mq_attr *attr)
{
    bool privileged = capable(current->cred, CAP_SYS_RESOURCE);
    s64 most = privileged ? MOST_MESSAGES : load_relaxed(&mqueue_settings.msg_max);
    s64 largest = privileged ? (s64)LARGEST_MESSAGE : load_relaxed(&mqueue_settings.msgsize_max);

    return attr->max_messages <= 0 || attr->message_size <= 0 || attr->max_messages > most ||
                   attr->message_size > largest
               ? -EINVAL
               : 0;
}

/* COST more for the current user: false if that is over his limit. */
static bool charge(struct user *user, u64 cost)
{
    if (atomic_add(&user->mq_bytes, cost) <= current->limits->limit[RLIMIT_MSGQUEUE].soft)
        return true;
    atomic_sub(&user->mq_bytes, cost);
    return false;
}

/* A queue with a name, which nobody has opened yet. => mqueues.lock. ERR_PTR */
static struct queue *queue_create(const char *name, u32 mode, const struct mq_attr *attr)
{
    struct user *user = current_process()->user;
    struct queue *q;
    int error = check_attr(attr);

    if (error != 0)
        return ERR_PTR(error);
    if (load_relaxed(&mqueues.count) >= load_relaxed(&mqueue_settings.queues_max) &&
        !capable(current->cred, CAP_SYS_RESOURCE))
        return ERR_PTR(-ENOSPC);
    q = kzalloc(sizeof(*q) + strlen(name) + 1);
    if (q == NULL)
        return ERR_PTR(-ENOMEM);
    q->inode = anon_inode(S_IFREG | (mode & 07777 & ~current_umask()));
    if (IS_ERR(q->inode)) {
        error = (int)PTR_ERR(q->inode);
        kfree(q);
        return ERR_PTR(error);
    }
    q->cost = cost_of(attr);
    if (!charge(user, q->cost)) {
        inode_put(q->inode);
        kfree(q);
        return ERR_PTR(-EMFILE);
    }
    user_hold(user);
    q->user = user;
    q->refs = 1;
    mutex_init(&q->lock);
    q->max_messages = attr->max_messages;
    q->message_size = attr->message_size;
    list_init(&q->messages);
    wait_queue_init(&q->wait);
    memcpy(q->name, name, strlen(name) + 1);
    list_add_tail(&mqueues.queues, &q->link);
    atomic_add_relaxed(&mqueues.count, 1);
    return q;
}

/* => mqueues.lock */
static struct queue *find_name(const char *name)
{
    struct queue *q;

    list_for_each(q, &mqueues.queues, link)
        if (strcmp(q->name, name) == 0)
            return q;
    return NULL;
}

/* Its name goes; the caller puts the name's reference. => mqueues.lock */
static void take_name(struct queue *q) { list_remove(&q->link); }

/* => q->lock */
static void changed(struct queue *q)
{
    store_release(&q->changes, q->changes + 1);
    wake_all(&q->wait);
}

/* Nobody is to be told any more. => q->lock */
static void drop_notice(struct queue *q)
{
    process_put(q->notice.owner);
    q->notice.owner = NULL;
}

/* ---- files ---- */

static void mqueue_release(struct file *file) { queue_put(file->private); }

/* Who closes a descriptor of the queue is not told of messages any more. */
static int mqueue_flush(struct file *file)
{
    struct queue *q = file->private;

    mutex_lock(&q->lock);
    if (q->notice.owner != NULL && q->notice.owner == current_process())
        drop_notice(q);
    mutex_unlock(&q->lock);
    return 0;
}

static ssize_t mqueue_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct queue *q = file->private;
    char text[80];
    size_t length, n;

    mutex_lock(&q->lock);
    length =
        (size_t)snprintf(text, sizeof(text), "QSIZE:%-10lu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", q->bytes,
                         q->notice.owner != NULL ? q->notice.event.notify : 0,
                         q->notice.owner != NULL && q->notice.event.notify == SIGEV_SIGNAL ? q->notice.event.signo : 0,
                         q->notice.owner != NULL ? process_pid(q->notice.owner) : 0);
    mutex_unlock(&q->lock);
    if (*pos >= length || uio->left == 0)
        return 0;
    n = uio_copy_out(uio, text + *pos, MIN(uio->left, length - *pos));
    *pos += n;
    return n > 0 ? (ssize_t)n : -EFAULT;
}

static unsigned mqueue_poll(struct file *file, struct poll_table *table)
{
    struct queue *q = file->private;
    s64 count;

    if (table != NULL)
        poll_wait(table, &q->wait);
    count = load_relaxed(&q->count);
    return (count > 0 ? POLLIN | POLLRDNORM : 0) | (count < q->max_messages ? POLLOUT | POLLWRNORM : 0);
}

static const struct file_ops mqueue_ops = {
    .release = mqueue_release, .flush = mqueue_flush, .read = mqueue_read, .seek = generic_seek, .poll = mqueue_poll};

/* Takes the reference over. */
static struct file *file_on(struct queue *q, u32 flags)
{
    struct file *file;

    inode_hold(q->inode);
    file = file_create(q->inode, flags & (O_ACCMODE | O_NONBLOCK), &mqueue_ops);
    if (IS_ERR(file)) {
        inode_put(q->inode);
        queue_put(q);
        return file;
    }
    file->private = q;
    file->anon_name = q->name;
    return file;
}

/* The queue of DESCRIPTOR, if it may be used so; ends with fd_release. -EBADF */
static int use_queue(int descriptor, bool to_read, bool to_write, struct fd_use *f)
{
    if (!fd_use(descriptor, false, f))
        return -EBADF;
    if (f->file->ops == &mqueue_ops && (!to_read || f->file->can_read) && (!to_write || f->file->can_write))
        return 0;
    fd_release(f);
    return -EBADF;
}

/* ---- opening ---- */

/* One component, without the slash that the C library takes off. */
static int check_name(const char *name)
{
    size_t length = strlen(name);

    if (length == 0)
        return -ENOENT;
    if (length > NAME_MAX)
        return -ENAMETOOLONG;
    return strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? -EACCES : 0;
}

static int check_access(const struct queue *q, u32 flags)
{
    static const unsigned may[] = {[O_RDONLY] = MAY_READ, [O_WRONLY] = MAY_WRITE, [O_RDWR] = MAY_READ | MAY_WRITE};

    if ((flags & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    return inode_permission(q->inode, current->cred, may[flags & O_ACCMODE]);
}

/* => mqueues.lock. With a reference; ERR_PTR */
static struct queue *find_or_create(const char *name, u32 flags, u32 mode, const struct mq_attr *attr)
{
    struct queue *q = find_name(name);
    int error = 0;

    if (q == NULL && !(flags & O_CREAT))
        return ERR_PTR(-ENOENT);
    if (q == NULL) {
        if ((flags & O_ACCMODE) == O_ACCMODE)
            return ERR_PTR(-EINVAL);
        q = queue_create(name, mode, attr);
        if (IS_ERR(q))
            return q;
    } else {
        error = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? -EEXIST : check_access(q, flags);
    }
    if (error != 0)
        return ERR_PTR(error);
    atomic_add_relaxed(&q->refs, 1);
    return q;
}

static long mq_open(const char *name, u32 flags, u32 mode, const struct mq_attr *attr)
{
    struct queue *q;
    struct file *file;
    int fd = check_name(name);

    if (fd != 0)
        return fd;
    mutex_lock(&mqueues.lock);
    q = find_or_create(name, flags, mode, attr);
    mutex_unlock(&mqueues.lock);
    if (IS_ERR(q))
        return PTR_ERR(q);
    file = file_on(q, flags);
    if (IS_ERR(file))
        return PTR_ERR(file);
    fd = fd_install(file, true);
    if (fd < 0)
        file_put(file);
    return fd;
}

DEFINE_SYSCALL(sys_mq_open)
{
    s64 most = load_relaxed(&mqueue_settings.msg_max), largest = load_relaxed(&mqueue_settings.msgsize_max);
    struct mq_attr attr = {
        .max_messages = MIN(most, (s64)load_relaxed(&mqueue_settings.msg_default)),
        .message_size = MIN(largest, (s64)load_relaxed(&mqueue_settings.msgsize_default)),
    };
    struct user_path name;
    long result;

    if (a3 != 0 && copy_from_user(&attr, (const void *)a3, sizeof(attr)) != 0)
        return -EFAULT;
    result = user_path_get(&name, (const char *)a0);
    if (result != 0)
        return result;
    result = mq_open(name.s, (u32)a1, (u32)a2, &attr);
    user_path_put(&name);
    return result;
}

/* As in a sticky directory that is everybody's: only the owner takes a name away (mq_overview(7): mode 1777). */
static bool may_unlink(const struct queue *q)
{
    return current->cred->fsuid == q->inode->uid || current->cred->fsuid == 0 || capable(current->cred, CAP_FOWNER);
}

static int mq_unlink(const char *name)
{
    struct queue *q;
    int error = check_name(name);

    if (error != 0)
        return error;
    mutex_lock(&mqueues.lock);
    q = find_name(name);
    error = q == NULL ? -ENOENT : may_unlink(q) ? 0 : -EPERM;
    if (error == 0)
        take_name(q);
    mutex_unlock(&mqueues.lock);
    if (error == 0)
        queue_put(q);
    return error;
}

DEFINE_SYSCALL(sys_mq_unlink)
{
    struct user_path name;
    int error = user_path_get(&name, (const char *)a0);

    if (error != 0)
        return error;
    error = mq_unlink(name.s);
    user_path_put(&name);
    return error;
}

/* ---- sending and receiving ---- */

/* The monotonic time at which the user's absolute CLOCK_REALTIME is reached. */
static int get_deadline(u64 user, u64 *deadline)
{
    u64 offset = time_realtime_offset();
    int error = 0;

    *deadline = NO_DEADLINE;
    if (user != 0)
        error = get_user_timespec(deadline, user);
    if (error == 0 && *deadline != NO_DEADLINE)
        *deadline -= MIN(*deadline, offset);
    return error;
}

/* Sleeps until something about Q changes. => q->lock, which is given up meanwhile. -EAGAIN: the file does not wait;
 * -ETIMEDOUT, -ERESTARTSYS */
static int wait_for_change(struct queue *q, const struct file *file, u64 deadline)
{
    u64 seen = q->changes;
    int error;

    if (file->flags & O_NONBLOCK)
        return -EAGAIN;
    mutex_unlock(&q->lock);
    error = wait_event_deadline(&q->wait, load_acquire(&q->changes) != seen, deadline);
    mutex_lock(&q->lock);
    return error == -EINTR ? -ERESTARTSYS : error;
}

/* A message has come into the empty queue, and nobody waits for it. => q->lock */
static void tell(struct queue *q)
{
    const struct sigevent *e = &q->notice.event;
    struct siginfo info = {.signo = e->signo, .code = SI_MESGQ};

    info.rt.pid = task_pid(current_task());
    info.rt.uid = current->cred->uid;
    info.rt.value = e->value;
    if (e->notify == SIGEV_SIGNAL && e->signo != 0)
        (void)signal_send(q->notice.owner, NULL, &info);
    drop_notice(q);
}

/* Before the first less urgent one. => q->lock, as for the next */
static void enter(struct queue *q, struct message *m)
{
    struct list *at = q->messages.prev;

    while (at != &q->messages && list_entry(at, struct message, link)->priority < m->priority)
        at = at->prev;
    list_add(at, &m->link);
    q->bytes += m->size;
    store_relaxed(&q->count, q->count + 1);
    if (q->count == 1 && q->receivers == 0 && q->notice.owner != NULL)
        tell(q);
    changed(q);
}

static int send_locked(struct queue *q, const struct file *file, struct message *m, u64 deadline)
{
    while (q->count >= q->max_messages) {
        int error = wait_for_change(q, file, deadline);

        if (error != 0)
            return error;
    }
    enter(q, m);
    return 0;
}

/* M is used up on success. */
static int send(struct file *file, struct message *m, u64 deadline)
{
    struct queue *q = file->private;
    int error;

    mutex_lock(&q->lock);
    error = send_locked(q, file, m, deadline);
    mutex_unlock(&q->lock);
    return error;
}

static struct message *get_message(u64 user, u64 size, u32 priority)
{
    struct message *m = kmalloc(sizeof(*m) + size);

    if (m == NULL)
        return ERR_PTR(-ENOMEM);
    m->size = size;
    m->priority = priority;
    if (copy_from_user(m->text, (const void *)user, size) == 0)
        return m;
    kfree(m);
    return ERR_PTR(-EFAULT);
}

DEFINE_SYSCALL(sys_mq_timedsend)
{
    struct message *m;
    struct fd_use f;
    u64 deadline;
    int error = get_deadline(a4, &deadline);

    if (error == 0 && (u32)a3 >= MAX_PRIORITY)
        error = -EINVAL;
    if (error == 0)
        error = use_queue((int)a0, false, true, &f);
    if (error != 0)
        return error;
    m = a2 > (u64)((struct queue *)f.file->private)->message_size ? ERR_PTR(-EMSGSIZE) : get_message(a1, a2, (u32)a3);
    error = IS_ERR(m) ? (int)PTR_ERR(m) : send(f.file, m, deadline);
    if (error != 0 && !IS_ERR(m))
        kfree(m);
    fd_release(&f);
    return error;
}

/* => q->lock. The first message, taken out; ERR_PTR */
static struct message *receive_locked(struct queue *q, const struct file *file, u64 deadline)
{
    struct message *m;

    while (q->count == 0) {
        int error;

        q->receivers++;
        error = wait_for_change(q, file, deadline);
        q->receivers--;
        if (error != 0)
            return ERR_PTR(error);
    }
    m = list_first(&q->messages, struct message, link);
    list_remove(&m->link);
    q->bytes -= m->size;
    store_relaxed(&q->count, q->count - 1);
    changed(q);
    return m;
}

static long receive(struct file *file, u64 user, u64 size, u64 user_priority, u64 deadline)
{
    struct queue *q = file->private;
    struct message *m;
    long result;

    if (size < (u64)q->message_size)
        return -EMSGSIZE;
    mutex_lock(&q->lock);
    m = receive_locked(q, file, deadline);
    mutex_unlock(&q->lock);
    if (IS_ERR(m))
        return PTR_ERR(m);
    result = (long)m->size;
    if ((user_priority != 0 && put_user_u32(m->priority, (u32 *)user_priority) != 0) ||
        copy_to_user((void *)user, m->text, m->size) != 0)
        result = -EFAULT;
    kfree(m);
    return result;
}

DEFINE_SYSCALL(sys_mq_timedreceive)
{
    struct fd_use f;
    u64 deadline;
    long result = get_deadline(a4, &deadline);

    if (result == 0)
        result = use_queue((int)a0, true, false, &f);
    if (result != 0)
        return result;
    result = receive(f.file, a1, a2, a3, deadline);
    fd_release(&f);
    return result;
}

/* ---- the rest ---- */

/* => q->lock. EVENT NULL: not any more. */
static int set_notice(struct queue *q, const struct sigevent *event)
{
    struct process *p = current_process();

    if (event == NULL) {
        if (q->notice.owner == p)
            drop_notice(q);
        return 0;
    }
    if (q->notice.owner != NULL)
        return -EBUSY;
    process_get(p);
    q->notice = (struct notice){.owner = p, .event = *event};
    return 0;
}

DEFINE_SYSCALL(sys_mq_notify)
{
    struct sigevent event;
    struct queue *q;
    struct fd_use f;
    int error;

    if (a1 != 0) {
        if (copy_from_user(&event, (const void *)a1, sizeof(event)) != 0)
            return -EFAULT;
        /* SIGEV_THREAD is the C library's, which needs a netlink socket for it. */
        if (event.notify != SIGEV_NONE && event.notify != SIGEV_SIGNAL)
            return -EINVAL;
        if (event.notify == SIGEV_SIGNAL && (event.signo < 0 || event.signo > SIGNAL_MAX))
            return -EINVAL;
    }
    error = use_queue((int)a0, false, false, &f);
    if (error != 0)
        return error;
    q = f.file->private;
    mutex_lock(&q->lock);
    error = set_notice(q, a1 != 0 ? &event : NULL);
    mutex_unlock(&q->lock);
    fd_release(&f);
    return error;
}

DEFINE_SYSCALL(sys_mq_getsetattr)
{
    struct mq_attr new, old = {0};
    struct queue *q;
    struct fd_use f;
    int error;

    if (a1 != 0 && copy_from_user(&new, (const void *)a1, sizeof(new)) != 0)
        return -EFAULT;
    if (a1 != 0 && (new.flags & ~(s64)O_NONBLOCK))
        return -EINVAL;
    error = use_queue((int)a0, false, false, &f);
    if (error != 0)
        return error;
    q = f.file->private;
    mutex_lock(&q->lock);
    old.flags = f.file->flags & O_NONBLOCK;
    old.max_messages = q->max_messages;
    old.message_size = q->message_size;
    old.messages = q->count;
    if (a1 != 0)
        f.file->flags = (f.file->flags & ~(u32)O_NONBLOCK) | (u32) new.flags;
    mutex_unlock(&q->lock);
    fd_release(&f);
    return a2 != 0 ? copy_to_user((void *)a2, &old, sizeof(old)) : 0;
}
