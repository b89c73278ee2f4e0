/*
 * Advisory locks: byte ranges by fcntl(2), owned by a process or (OFD) by an open file, and whole files by flock(2),
 * owned by an open file.
 *
 *     inode->locks -> struct lock_list: `ranges`, `whole`     each a list of struct lock, ranges sorted by owner's own
 * non-overlapping pieces
 *
 * Lock: one mutex for all, since deadlock detection looks at everybody who waits. Waiters sleep on the list's queue and
 * try again.
 */
#include "fs/locks.h"
#include "proc/task.h"
#include "vm/kmalloc.h"

#define LOCK_END INT64_MAX

struct lock {
    struct list link;
    const void *owner; /* a process (its fd table's user, by pid) or a struct file */
    s32 pid;           /* what F_GETLK tells; -1: OFD */
    s16 type;
    s64 start, end; /* bytes, both included */
};

struct lock_list {
    struct list ranges, whole;
    struct wait_queue changed;
};

/* Who waits for whom: for EDEADLK. On the waiter's stack. */
struct blocked {
    struct list link;
    const void *owner, *holder;
};

static struct mutex locks_mutex = MUTEX_INIT(locks_mutex);
static struct list blocked_owners = LIST_INIT(blocked_owners);

/* POSIX locks belong to a process; its number stands for it. */
static const void *process_owner(void) { return (const void *)(u64)task_pid(current_task()); }

static struct lock_list *list_of(struct inode *inode)
{
    struct lock_list *l = inode->locks;

    if (l != NULL)
        return l;
    l = kmalloc(sizeof(*l));
    if (l == NULL)
        return NULL;
    list_init(&l->ranges);
    list_init(&l->whole);
    wait_queue_init(&l->changed);
    store_release(&inode->locks, l);
    return l;
}

void locks_free(struct inode *inode)
{
    kfree(inode->locks);
    inode->locks = NULL;
}

/* ---- conflicts ---- */

static bool overlaps(const struct lock *l, s64 start, s64 end) { return l->start <= end && start <= l->end; }

/* F_OFD_GETLK for F_UNLCK asks for the owner's own locks. */
static struct lock *own_lock(struct list *list, const struct lock *wanted)
{
    struct lock *l;

    list_for_each(l, list, link)
        if (l->owner == wanted->owner && overlaps(l, wanted->start, wanted->end))
            return l;
    return NULL;
}

static struct lock *conflict(struct list *list, const struct lock *wanted)
{
    struct lock *l;

    list_for_each(l, list, link)
        if (l->owner != wanted->owner && overlaps(l, wanted->start, wanted->end) &&
            (l->type == F_WRLCK || wanted->type == F_WRLCK))
            return l;
    return NULL;
}

/* Would waiting for HOLDER close a circle? Follows who HOLDER itself waits for. */
static bool would_deadlock(const void *owner, const void *holder)
{
    for (unsigned depth = 0; depth < 64; depth++) {
        struct blocked *b;
        const void *next = NULL;

        if (holder == owner)
            return true;
        list_for_each(b, &blocked_owners, link)
            if (b->owner == holder)
                next = b->holder;
        if (next == NULL)
            return false;
        holder = next;
    }
    return false;
}

/* ---- setting ranges ---- */

static struct lock *new_lock(const struct lock *like, s64 start, s64 end)
{
    struct lock *l = kmalloc(sizeof(*l));

    if (l == NULL)
        return NULL;
    *l = *like;
    list_init(&l->link);
    l->start = start;
    l->end = end;
    return l;
}

/* Takes [start, end] out of what OWNER holds, splitting at most one lock in two, for which SPARE is used: true if it
 * was. */
static bool cut(struct list *list, const void *owner, s64 start, s64 end, struct lock *spare)
{
    struct lock *l, *next;
    bool used = false;

    list_for_each_safe(l, next, list, link) {
        if (l->owner != owner || !overlaps(l, start, end))
            continue;
        if (l->start < start && l->end > end) {
            *spare = *l;
            list_init(&spare->link);
            spare->start = end + 1;
            l->end = start - 1;
            list_add(&l->link, &spare->link);
            used = true;
        } else if (l->start < start) {
            l->end = start - 1;
        } else if (l->end > end) {
            l->start = end + 1;
        } else {
            list_remove(&l->link);
            kfree(l);
        }
    }
    return used;
}

/* Joins WANTED with OWNER's neighbours of the same type. */
static void absorb_neighbours(struct list *list, struct lock *wanted)
{
    struct lock *l, *next;

    list_for_each_safe(l, next, list, link) {
        bool touches = l->owner == wanted->owner && l->type == wanted->type && l != wanted &&
                       (l->end == LOCK_END || l->end + 1 >= wanted->start) &&
                       (wanted->end == LOCK_END || wanted->end + 1 >= l->start);

        if (!touches)
            continue;
        wanted->start = MIN(wanted->start, l->start);
        wanted->end = MAX(wanted->end, l->end);
        list_remove(&l->link);
        kfree(l);
    }
}

/* => locks_mutex, no conflict */
static int apply(struct lock_list *l, const struct lock *wanted)
{
    struct lock *spare = new_lock(wanted, 0, 0), *fresh = new_lock(wanted, wanted->start, wanted->end);

    if (spare == NULL || fresh == NULL) {
        kfree(spare);
        kfree(fresh);
        return -ENOLCK;
    }
    if (!cut(&l->ranges, wanted->owner, wanted->start, wanted->end, spare))
        kfree(spare);
    if (wanted->type == F_UNLCK) {
        kfree(fresh);
    } else {
        absorb_neighbours(&l->ranges, fresh);
        list_add_tail(&l->ranges, &fresh->link);
    }
    wake_all(&l->changed);
    return 0;
}

/* Waits until HOLDER's lock in LIST that conflicts with WANTED may be gone. => locks_mutex, released while asleep */
static int wait_for_change(struct lock_list *l, const struct lock *wanted, const struct lock *in_the_way, bool detect)
{
    struct blocked me = {.owner = wanted->owner, .holder = in_the_way->owner};
    struct waiter waiter = {.thread = current};
    int error = 0;

    if (detect && would_deadlock(wanted->owner, in_the_way->owner))
        return -EDEADLK;
    list_init(&me.link);
    if (detect)
        list_add(&blocked_owners, &me.link);
    list_init(&waiter.link);
    wait_prepare(&l->changed, &waiter, THREAD_INTERRUPTIBLE);
    mutex_unlock(&locks_mutex);
    error = signal_pending() ? -ERESTARTSYS : (schedule_until(NO_DEADLINE), 0);
    wait_finish(&waiter);
    mutex_lock(&locks_mutex);
    list_remove(&me.link);
    return error;
}

/* What the range of an fcntl call means in bytes. -EINVAL, -EOVERFLOW. */
static int resolve(struct file *file, const struct flock_range *range, struct lock *lock)
{
    s64 start;

    switch (range->whence) {
    case 0:
        start = 0;
        break;
    case 1:
        start = (s64)file->pos;
        break;
    case 2:
        start = (s64)inode_size(file->inode);
        break;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(start, range->start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    lock->start = start;
    lock->end = LOCK_END;
    if (range->length > 0) {
        if (__builtin_add_overflow(start, range->length - 1, &lock->end))
            return -EOVERFLOW;
    } else if (range->length < 0) {
        if (start + range->length < 0)
            return -EINVAL;
        lock->end = start - 1;
        lock->start = start + range->length;
    }
    return 0;
}

static int describe(struct file *file, const struct flock_range *range, bool ofd, struct lock *lock)
{
    int error = resolve(file, range, lock);

    if (error != 0)
        return error;
    if (range->type != F_RDLCK && range->type != F_WRLCK && range->type != F_UNLCK)
        return -EINVAL;
    lock->type = range->type;
    lock->owner = ofd ? (const void *)file : process_owner();
    lock->pid = ofd ? -1 : (s32)task_pid(current_task());
    return 0;
}

int lock_range_set(struct file *file, const struct flock_range *range, bool ofd, bool wait)
{
    struct lock wanted, *in_the_way;
    struct lock_list *l;
    int error = describe(file, range, ofd, &wanted);

    if (error != 0)
        return error;
    if ((wanted.type == F_RDLCK && !file->can_read) || (wanted.type == F_WRLCK && !file->can_write))
        return -EBADF;
    if (ofd && range->pid != 0)
        return -EINVAL;
    mutex_lock(&locks_mutex);
    l = list_of(file->inode);
    if (l == NULL)
        error = -ENOLCK;
    while (error == 0 && wanted.type != F_UNLCK && (in_the_way = conflict(&l->ranges, &wanted)) != NULL)
        error = wait ? wait_for_change(l, &wanted, in_the_way, !ofd) : -EAGAIN;
    if (error == 0)
        error = apply(l, &wanted);
    mutex_unlock(&locks_mutex);
    return error;
}

int lock_range_test(struct file *file, struct flock_range *range, bool ofd)
{
    struct lock wanted, *l = NULL;
    int error;

    if (!ofd && range->type != F_RDLCK && range->type != F_WRLCK)
        return -EINVAL;
    error = describe(file, range, ofd, &wanted);
    if (error == 0 && ofd && range->pid != 0)
        error = -EINVAL;
    if (error != 0)
        return error;
    mutex_lock(&locks_mutex);
    if (file->inode->locks != NULL)
        l = wanted.type == F_UNLCK ? own_lock(&file->inode->locks->ranges, &wanted)
                                   : conflict(&file->inode->locks->ranges, &wanted);
    if (l == NULL) {
        range->type = F_UNLCK;
    } else {
        range->type = l->type;
        range->whence = 0;
        range->start = l->start;
        range->length = l->end == LOCK_END ? 0 : l->end - l->start + 1;
        range->pid = l->pid;
    }
    mutex_unlock(&locks_mutex);
    return 0;
}

/* ---- flock(2) ---- */

/* OWNER's locks in LIST go: whether there were any. => locks_mutex */
static bool drop_owner(struct list *list, const void *owner)
{
    struct lock *l, *next;
    bool found = false;

    list_for_each_safe(l, next, list, link) {
        if (l->owner != owner)
            continue;
        list_remove(&l->link);
        kfree(l);
        found = true;
    }
    return found;
}

/* Changing the type gives the old lock up first, as flock(2) says; somebody else may come in between. */
int lock_whole(struct file *file, unsigned operation)
{
    struct lock wanted = {.owner = file, .pid = -1, .start = 0, .end = LOCK_END}, *in_the_way, *fresh;
    bool wait = !(operation & LOCK_NB);
    struct lock_list *l;
    int error = 0;

    operation &= ~(unsigned)LOCK_NB;
    wanted.type = operation == LOCK_SH ? F_RDLCK : operation == LOCK_EX ? F_WRLCK : F_UNLCK;
    mutex_lock(&locks_mutex);
    l = list_of(file->inode);
    if (l == NULL)
        error = -ENOLCK;
    else if (drop_owner(&l->whole, file))
        wake_all(&l->changed);
    while (error == 0 && wanted.type != F_UNLCK && (in_the_way = conflict(&l->whole, &wanted)) != NULL)
        error = wait ? wait_for_change(l, &wanted, in_the_way, false) : -EWOULDBLOCK;
    if (error == 0 && wanted.type != F_UNLCK) {
        fresh = new_lock(&wanted, 0, LOCK_END);
        if (fresh != NULL)
            list_add_tail(&l->whole, &fresh->link);
        else
            error = -ENOLCK;
    }
    mutex_unlock(&locks_mutex);
    return error;
}

/* ---- the end of owners ---- */

void locks_close(struct file *file)
{
    struct lock_list *l = file->inode->locks;

    mutex_lock(&locks_mutex);
    if (drop_owner(&l->ranges, process_owner()))
        wake_all(&l->changed);
    mutex_unlock(&locks_mutex);
}

void locks_release(struct file *file)
{
    struct lock_list *l = file->inode->locks;
    bool dropped;

    mutex_lock(&locks_mutex);
    dropped = drop_owner(&l->ranges, file);
    dropped |= drop_owner(&l->whole, file);
    if (dropped)
        wake_all(&l->changed);
    mutex_unlock(&locks_mutex);
}
