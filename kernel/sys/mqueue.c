/* POSIX message queues: how they are made, named, opened and counted; their files (mq_open(2), mq_unlink(2)). The
 * picture is in mqueue.h. */
#include "sys/mqueue.h"
#include "fs/file.h"
#include "fs/names.h"
#include "fs/poll.h"
#include "fs/procfs/procfs.h"
#include "lib/print.h"
#include "lib/string.h"
#include "proc/internal.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"

#define MOST_MESSAGES 65536        /* with CAP_SYS_RESOURCE */
#define LARGEST_MESSAGE (16 * MIB) /* the same */
/* What RLIMIT_MSGQUEUE counts for each message besides its text, as getrlimit(2) has it: two structures of Linux's. */
#define MESSAGE_OVERHEAD 48
#define PRIORITY_OVERHEAD 48

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
        mqueue_free_message(m);
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
    u64 n = (u64)attr->max_messages, priorities = MIN(n, (u64)MQ_MAX_PRIORITY);

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
    struct user *user;
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
    user = user_of(current_process());
    if (!charge(user, q->cost)) {
        user_put(user);
        inode_put(q->inode);
        kfree(q);
        return ERR_PTR(-EMFILE);
    }
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

void mqueue_drop_notice(struct queue *q)
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
        mqueue_drop_notice(q);
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

int mqueue_use(int descriptor, bool to_read, bool to_write, struct fd_use *f)
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
    int error = check_name(name);

    if (error != 0)
        return error;
    mutex_lock(&mqueues.lock);
    q = find_or_create(name, flags, mode, attr);
    mutex_unlock(&mqueues.lock);
    if (IS_ERR(q))
        return PTR_ERR(q);
    return fd_give(file_on(q, flags), true);
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
