/* The messages of POSIX message queues: mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2). */
#include "fs/file.h"
#include "proc/internal.h"
#include "sys/mqueue.h"
#include "sys/syscall.h"
#include "sys/user_time.h"
#include "vm/kmalloc.h"

/* ---- sending and receiving ---- */

/* => q->lock */
static void changed(struct queue *q)
{
    store_release(&q->changes, q->changes + 1);
    wake_all(&q->wait);
}

/* Sleeps until something about Q changes. => q->lock, which is given up meanwhile. -EAGAIN: the file does not wait;
 * -ETIMEDOUT, -ERESTARTSYS */
static int wait_for_change(struct queue *q, const struct file *file, struct deadline deadline)
{
    u64 seen = q->changes;
    int error;

    if (file->flags & O_NONBLOCK)
        return -EAGAIN;
    mutex_unlock(&q->lock);
    error = wait_event_until(&q->wait, load_acquire(&q->changes) != seen, deadline);
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
    mqueue_drop_notice(q);
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

static int send_locked(struct queue *q, const struct file *file, struct message *m, struct deadline deadline)
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
static int send(struct file *file, struct message *m, struct deadline deadline)
{
    struct queue *q = file->private;
    int error;

    mutex_lock(&q->lock);
    error = send_locked(q, file, m, deadline);
    mutex_unlock(&q->lock);
    return error;
}

void mqueue_free_message(struct message *m)
{
    pieces_free_rest(&m->text);
    kfree(m);
}

static struct message *get_message(u64 user, u64 size, u32 priority)
{
    struct message *m = kmalloc(pieces_first_allocation(sizeof(*m), size));
    int error;

    if (m == NULL)
        return ERR_PTR(-ENOMEM);
    m->size = size;
    m->priority = priority;
    error = pieces_from_user(&m->text, sizeof(*m), (const void *)user, size);
    if (error == 0)
        return m;
    kfree(m);
    return ERR_PTR(error);
}

DEFINE_SYSCALL(sys_mq_timedsend)
{
    struct message *m;
    struct fd_use f;
    struct deadline deadline;
    int error = get_user_deadline(&deadline, a4, true);

    if (error == 0 && (u32)a3 >= MQ_MAX_PRIORITY)
        error = -EINVAL;
    if (error == 0)
        error = mqueue_use((int)a0, false, true, &f);
    if (error != 0)
        return error;
    m = a2 > (u64)((struct queue *)f.file->private)->message_size ? ERR_PTR(-EMSGSIZE) : get_message(a1, a2, (u32)a3);
    error = IS_ERR(m) ? (int)PTR_ERR(m) : send(f.file, m, deadline);
    if (error != 0 && !IS_ERR(m))
        mqueue_free_message(m);
    fd_release(&f);
    return error;
}

/* => q->lock. The first message, taken out; ERR_PTR */
static struct message *receive_locked(struct queue *q, const struct file *file, struct deadline deadline)
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

static long receive(struct file *file, u64 user, u64 size, u64 user_priority, struct deadline deadline)
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
        pieces_to_user(&m->text, sizeof(*m), (void *)user, m->size) != 0)
        result = -EFAULT;
    mqueue_free_message(m);
    return result;
}

DEFINE_SYSCALL(sys_mq_timedreceive)
{
    struct fd_use f;
    struct deadline deadline;
    long result = get_user_deadline(&deadline, a4, true);

    if (result == 0)
        result = mqueue_use((int)a0, true, false, &f);
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
            mqueue_drop_notice(q);
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
    error = mqueue_use((int)a0, false, false, &f);
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
    error = mqueue_use((int)a0, false, false, &f);
    if (error != 0)
        return error;
    q = f.file->private;
    mutex_lock(&q->lock);
    old.flags = f.file->flags & O_NONBLOCK;
    old.max_messages = q->max_messages;
    old.message_size = q->message_size;
    old.messages = q->count;
    if (a1 != 0)
        file_change_flags(f.file, O_NONBLOCK, (u32) new.flags);
    mutex_unlock(&q->lock);
    fd_release(&f);
    return a2 != 0 ? copy_to_user((void *)a2, &old, sizeof(old)) : 0;
}
