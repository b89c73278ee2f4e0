/*
 * System V message queues. Sources: msgget(2), msgop(2), msgctl(2), sysvipc(7).
 *
 *   queue (key, id, permissions, limit of bytes) --> messages, the oldest first: type, text
 *
 * Who finds no room, or no message that it wants, sleeps until something about the queue changes and looks again.
 *
 * Lock: msg.lock guards the list, all queues and their messages. Sleepers hold a reference to their queue: it may be
 * removed meanwhile.
 */
#include "lib/print.h"
#include "lib/string.h"
#include "proc/task.h"
#include "sys/ipc.h"
#include "sys/pieces.h"
#include "sys/syscall.h"
#include "sys/sysvipc.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define MSG_STAT 11
#define MSG_INFO 12
#define MSG_STAT_ANY 13
#define MSG_NOERROR 010000
#define MSG_EXCEPT 020000
#define MSG_COPY 040000

#define MAX_QUEUES 32000
#define MAX_MESSAGE 8192
#define DEFAULT_BYTES 16384 /* in one queue; more with CAP_SYS_RESOURCE */

struct msqid_ds { /* the ABI's struct msqid64_ds */
    struct ipc_perm perm;
    s64 sent_at, received_at, changed_at;
    u64 bytes, messages, max_bytes;
    s32 last_sender, last_receiver;
    u64 unused[2];
};
static_assert(sizeof(struct msqid_ds) == 120, "asm-generic/msgbuf.h");

struct message {
    struct list link;
    s64 type;
    u64 size;
    struct piece text; /* the first */
};

struct queue {
    struct ipc_object ipc;
    struct msqid_ds ds;
    struct list messages;
    struct wait_queue wait; /* for `changes` */
    u64 changes;
    unsigned sleepers;
    bool removed; /* freed by the last sleeper */
};

static struct {
    struct mutex lock;
    struct ipc_table table;
} msg = {.lock = MUTEX_INIT(msg.lock), .table = {.objects = LIST_INIT(msg.table.objects)}};

/* ---- queues; => msg.lock ---- */

static void message_free(struct message *m)
{
    pieces_free_rest(&m->text);
    kfree(m);
}

static struct queue *queue_of(struct ipc_object *o) { return o != NULL ? container_of(o, struct queue, ipc) : NULL; }
static struct queue *find_id(int id) { return queue_of(ipc_find_id(&msg.table, id)); }

static struct queue *find_key(s32 key) { return queue_of(ipc_find_key(&msg.table, key)); }

static struct queue *find_index(int index) { return queue_of(ipc_find_index(&msg.table, index)); }

static void changed(struct queue *q)
{
    store_release(&q->changes, q->changes + 1);
    wake_all(&q->wait);
}

/* Sleeps until something about Q changes. => the lock is given up meanwhile. -EIDRM: it is gone, maybe freed;
 * -ERESTARTNOHAND: a signal. */
static int wait_for_change(struct queue *q)
{
    u64 seen = q->changes;
    int error;

    q->sleepers++;
    mutex_unlock(&msg.lock);
    error = wait_event_interruptible(&q->wait, load_acquire(&q->changes) != seen);
    mutex_lock(&msg.lock);
    q->sleepers--;
    if (!q->removed)
        return error != 0 ? -ERESTARTNOHAND : 0;
    if (q->sleepers == 0)
        kfree(q);
    return -EIDRM;
}

static long queue_create(s32 key, u32 mode)
{
    struct queue *q;
    int id;

    if (msg.table.count >= MAX_QUEUES)
        return -ENOSPC;
    q = kzalloc(sizeof(*q));
    if (q == NULL)
        return -ENOMEM;
    q->ds.changed_at = ipc_now();
    q->ds.max_bytes = DEFAULT_BYTES;
    list_init(&q->messages);
    wait_queue_init(&q->wait);
    id = ipc_enter(&msg.table, &q->ipc, &q->ds.perm, key, mode);
    if (id < 0)
        kfree(q);
    return id;
}

static long msgget_locked(s32 key, u32 flags)
{
    struct queue *q = key == IPC_PRIVATE ? NULL : find_key(key);

    if (q == NULL)
        return key == IPC_PRIVATE || (flags & IPC_CREAT) ? queue_create(key, flags) : -ENOENT;
    if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
        return -EEXIST;
    return ipc_may_access(&q->ds.perm, flags & 0777) ? q->ipc.id : -EACCES;
}

DEFINE_SYSCALL(sys_msgget)
{
    long result;

    mutex_lock(&msg.lock);
    result = msgget_locked((s32)a0, (u32)a1);
    mutex_unlock(&msg.lock);
    return result;
}

/* ---- sending ---- */

static bool has_room(const struct queue *q, u64 size)
{
    return q->ds.bytes + size <= q->ds.max_bytes && q->ds.messages + 1 <= q->ds.max_bytes;
}

static long send_locked(int id, struct message *m, u32 flags)
{
    struct queue *q = find_id(id);
    int error;

    for (;;) {
        if (q == NULL)
            return -EINVAL;
        if (!ipc_may_access(&q->ds.perm, 0222))
            return -EACCES;
        if (has_room(q, m->size))
            break;
        if (flags & IPC_NOWAIT)
            return -EAGAIN;
        error = wait_for_change(q);
        if (error != 0)
            return error;
    }
    list_add_tail(&q->messages, &m->link);
    q->ds.bytes += m->size;
    q->ds.messages++;
    q->ds.last_sender = task_pid(current_task());
    q->ds.sent_at = ipc_now();
    changed(q);
    return 0;
}

DEFINE_SYSCALL(sys_msgsnd)
{
    struct message *m;
    u64 type;
    long result;

    if (get_user_u64(&type, (const u64 *)a1) != 0)
        return -EFAULT;
    if (a2 > MAX_MESSAGE || (int)a0 < 0 || (s64)type < 1)
        return -EINVAL;
    m = kmalloc(pieces_first_allocation(sizeof(*m), a2));
    if (m == NULL)
        return -ENOMEM;
    m->type = (s64)type;
    m->size = a2;
    result = pieces_from_user(&m->text, sizeof(*m), (const void *)(a1 + sizeof(u64)), a2);
    if (result != 0) {
        kfree(m);
        return result;
    }
    mutex_lock(&msg.lock);
    result = send_locked((int)a0, m, (u32)a3);
    mutex_unlock(&msg.lock);
    if (result != 0)
        message_free(m);
    return result;
}

/* ---- receiving ---- */

/* The lowest type that is not above LIMIT, the oldest of it. */
static struct message *find_lowest(struct queue *q, s64 limit)
{
    struct message *m, *found = NULL;

    list_for_each(m, &q->messages, link)
        if (m->type <= limit && (found == NULL || m->type < found->type))
            found = m;
    return found;
}

/* The message that msgrcv(2) means by WANTED and FLAGS, or NULL. */
static struct message *find_message(struct queue *q, s64 wanted, u32 flags)
{
    struct message *m;
    s64 place = 0;

    if (!(flags & MSG_COPY) && wanted < 0)
        return find_lowest(q, wanted == INT64_MIN ? INT64_MAX : -wanted);
    list_for_each(m, &q->messages, link) {
        if (flags & MSG_COPY ? place++ == wanted : wanted == 0 || (m->type == wanted) == ((flags & MSG_EXCEPT) == 0))
            return m;
    }
    return NULL;
}

/* A copy of M, which stays where it is; NULL: no memory. */
static struct message *copy_of(const struct message *m)
{
    struct message *copy = kmalloc(pieces_first_allocation(sizeof(*copy), m->size));

    if (copy == NULL)
        return NULL;
    copy->type = m->type;
    copy->size = m->size;
    if (pieces_copy(&copy->text, &m->text, sizeof(*m), m->size) == 0)
        return copy;
    kfree(copy);
    return NULL;
}

static void take_out(struct queue *q, struct message *m)
{
    list_remove(&m->link);
    q->ds.bytes -= m->size;
    q->ds.messages--;
    q->ds.last_receiver = task_pid(current_task());
    q->ds.received_at = ipc_now();
    changed(q);
}

static struct message *receive_locked(int id, u64 size, s64 wanted, u32 flags)
{
    struct queue *q = find_id(id);
    struct message *m;
    int error;

    for (;;) {
        if (q == NULL)
            return ERR_PTR(-EINVAL);
        if (!ipc_may_access(&q->ds.perm, 0444))
            return ERR_PTR(-EACCES);
        m = find_message(q, wanted, flags);
        if (m != NULL)
            break;
        if (flags & IPC_NOWAIT)
            return ERR_PTR(-ENOMSG);
        error = wait_for_change(q);
        if (error != 0)
            return ERR_PTR(error);
    }
    if (m->size > size && !(flags & MSG_NOERROR))
        return ERR_PTR(-E2BIG);
    if (flags & MSG_COPY) {
        m = copy_of(m);
        return m != NULL ? m : ERR_PTR(-ENOMEM);
    }
    take_out(q, m);
    return m;
}

DEFINE_SYSCALL(sys_msgrcv)
{
    u32 flags = (u32)a4;
    struct message *m;
    u64 size;
    bool failed;

    if ((int)a0 < 0 || (s64)a2 < 0)
        return -EINVAL;
    if ((flags & MSG_COPY) && ((flags & MSG_EXCEPT) || !(flags & IPC_NOWAIT)))
        return -EINVAL;
    mutex_lock(&msg.lock);
    m = receive_locked((int)a0, a2, (s64)a3, flags);
    mutex_unlock(&msg.lock);
    if (IS_ERR(m))
        return PTR_ERR(m);
    size = MIN(m->size, a2);
    failed = put_user_u64((u64)m->type, (u64 *)a1) != 0 ||
             pieces_to_user(&m->text, sizeof(*m), (void *)(a1 + sizeof(u64)), size) != 0;
    message_free(m);
    return failed ? -EFAULT : (long)size;
}

/* ---- control ---- */

/* => msg.lock, as for the next. 0, or for the commands that look by index, the id. */
static long stat_locked(int id, int command, struct msqid_ds *ds)
{
    struct queue *q = command == IPC_STAT ? find_id(id) : find_index(id);

    if (q == NULL)
        return -EINVAL;
    if (command != MSG_STAT_ANY && !ipc_may_access(&q->ds.perm, 0444))
        return -EACCES;
    *ds = q->ds;
    return command == IPC_STAT ? 0 : q->ipc.id;
}

static long set_locked(int id, const struct msqid_ds *ds)
{
    struct queue *q = find_id(id);

    if (q == NULL)
        return -EINVAL;
    if (!ipc_is_owner(&q->ds.perm))
        return -EPERM;
    if (ds->max_bytes > DEFAULT_BYTES && !capable(current->cred, CAP_SYS_RESOURCE))
        return -EPERM;
    q->ds.max_bytes = ds->max_bytes;
    q->ds.perm.uid = ds->perm.uid;
    q->ds.perm.gid = ds->perm.gid;
    q->ds.perm.mode = ds->perm.mode & 0777;
    q->ds.changed_at = ipc_now();
    changed(q);
    return 0;
}

static long remove_locked(int id)
{
    struct queue *q = find_id(id);
    struct message *m, *next;

    if (q == NULL)
        return -EINVAL;
    if (!ipc_is_owner(&q->ds.perm))
        return -EPERM;
    ipc_leave(&msg.table, &q->ipc);
    list_for_each_safe(m, next, &q->messages, link)
        message_free(m);
    q->removed = true;
    changed(q);
    if (q->sleepers == 0)
        kfree(q);
    return 0;
}

/* IPC_INFO: limits; MSG_INFO: some of them replaced by what is in use. The result is the highest index in use. */
static long info(int command, void *user)
{
    struct { /* the ABI's struct msginfo */
        s32 pool, map, max_size, max_bytes, max_queues, segment_size, total;
        u16 segments;
    } limits = {
        .pool = MAX_QUEUES * (DEFAULT_BYTES / 1024),
        .map = DEFAULT_BYTES,
        .max_size = MAX_MESSAGE,
        .max_bytes = DEFAULT_BYTES,
        .max_queues = MAX_QUEUES,
        .segment_size = 16,
        .total = DEFAULT_BYTES,
        .segments = UINT16_MAX,
    };
    struct queue *q;
    long highest;

    mutex_lock(&msg.lock);
    if (command == MSG_INFO) {
        limits.pool = (s32)msg.table.count;
        limits.map = limits.total = 0;
        list_for_each(q, &msg.table.objects, ipc.link) {
            limits.map += (s32)q->ds.messages;
            limits.total += (s32)q->ds.bytes;
        }
    }
    highest = ipc_highest_index(&msg.table);
    mutex_unlock(&msg.lock);
    return copy_to_user(user, &limits, sizeof(limits)) != 0 ? -EFAULT : highest;
}

DEFINE_SYSCALL(sys_msgctl)
{
    int id = (int)a0, command = (int)a1;
    struct msqid_ds ds;
    long result;

    if (id < 0 || command < 0)
        return -EINVAL;
    if (command == IPC_SET && copy_from_user(&ds, (const void *)a2, sizeof(ds)) != 0)
        return -EFAULT;
    if (command == IPC_INFO || command == MSG_INFO)
        return info(command, (void *)a2);
    mutex_lock(&msg.lock);
    switch (command) {
    case IPC_STAT:
    case MSG_STAT:
    case MSG_STAT_ANY:
        result = stat_locked(id, command, &ds);
        break;
    case IPC_SET:
        result = set_locked(id, &ds);
        break;
    case IPC_RMID:
        result = remove_locked(id);
        break;
    default:
        result = -EINVAL;
    }
    mutex_unlock(&msg.lock);
    if (result >= 0 && (command == IPC_STAT || command == MSG_STAT || command == MSG_STAT_ANY) &&
        copy_to_user((void *)a2, &ds, sizeof(ds)) != 0)
        return -EFAULT;
    return result;
}

/* ---- /proc/sysvipc/msg ---- */

bool msg_show(unsigned *index, char *line, size_t size)
{
    const struct queue *q;

    mutex_lock(&msg.lock);
    q = queue_of(ipc_next(&msg.table, index));
    if (q != NULL)
        snprintf(line, size, "%10d %10d  %4o  %10lu %10lu %5u %5u %5u %5u %5u %5u %10ld %10ld %10ld\n", q->ds.perm.key,
                 q->ipc.id, q->ds.perm.mode, q->ds.bytes, q->ds.messages, (u32)q->ds.last_sender,
                 (u32)q->ds.last_receiver, q->ds.perm.uid, q->ds.perm.gid, q->ds.perm.cuid, q->ds.perm.cgid,
                 q->ds.sent_at, q->ds.received_at, q->ds.changed_at);
    mutex_unlock(&msg.lock);
    return q != NULL;
}
