/*
 * inotify(7): watches on inodes, and the events that they put into the queues of their instances.
 *
 *     inode->watches --> watch --> watch ...        of all instances; a watch holds a reference to its inode
 *                          |
 *     instance->watches ---+   instance->events: event, event ... <- read(2)
 *
 * A watch ends by inotify_rm_watch(2), with its instance, with its inode's last name, with the file system, or after
 * one event (IN_ONESHOT); IN_IGNORED is the last that is heard of it. What is the same as the newest event in the queue
 * is not queued again.
 *
 * Lock: watches_lock (spin), for all watches and queues; below names_lock. References to inodes are put without it.
 */
#include "fs/file.h"
#include "fs/notify.h"
#include "fs/poll.h"
#include "lib/radix.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define EVENTS_TO_ASK_FOR 0xfffu /* IN_ACCESS to IN_MOVE_SELF */
#define ALWAYS_TOLD (IN_UNMOUNT | IN_IGNORED)

struct user_event { /* the ABI's struct inotify_event; a name of LENGTH bytes follows */
    s32 wd;
    u32 mask, cookie, length;
};
static_assert(sizeof(struct user_event) == 16, "the ABI's struct inotify_event");

struct event {
    struct list link;
    struct user_event told;
    char name[]; /* as long as TOLD says, filled up with NULs */
};

struct instance {
    struct list watches, events;
    struct radix by_wd; /* the watches */
    unsigned n_watches, n_events;
    bool has_overflowed; /* the newest event says so */
    s32 last_wd;
    u32 uid;
    struct list link; /* instances */
    struct wait_queue readable;
};

struct watch {
    struct watch *next; /* inode->watches */
    struct list link;   /* instance->watches */
    struct instance *instance;
    struct inode *inode; /* referenced */
    s32 wd;
    u32 mask;
};

static struct spinlock watches_lock;
static struct list instances = LIST_INIT(instances);
static const struct file_ops inotify_ops;
u32 notify_watches;
struct inotify_limits inotify_limits = {16384, 128, 65536};

bool file_is_inotify(const struct file *file) { return file->ops == &inotify_ops; }

/* ---- events ---- */

static struct event *newest(struct instance *i)
{
    return list_empty(&i->events) ? NULL : list_last(&i->events, struct event, link);
}

static bool is_repeated(const struct event *e, s32 wd, u32 mask, struct name name)
{
    return e != NULL && e->told.wd == wd && e->told.mask == mask && !(mask & IN_IGNORED) &&
           (e->told.length == 0) == (name.length == 0) &&
           (name.length == 0 || (strlen(e->name) == name.length && memcmp(e->name, name.s, name.length) == 0));
}

/* With a NUL behind, in multiples of the event's own size. */
static u32 told_length(struct name name)
{
    return name.length == 0 ? 0 : (u32)ALIGN_UP(name.length + 1, sizeof(struct user_event));
}

/* => watches_lock */
static void queue(struct instance *i, s32 wd, u32 mask, struct name name, u32 cookie)
{
    u32 length = told_length(name);
    struct event *e;

    if (is_repeated(newest(i), wd, mask, name))
        return;
    e = i->n_events < load_relaxed(&inotify_limits.max_queued_events) ? kmalloc_nowait(sizeof(*e) + length) : NULL;
    if (e == NULL) {
        if (i->has_overflowed)
            return;
        e = kmalloc_nowait(sizeof(*e));
        if (e == NULL)
            return;
        i->has_overflowed = true;
        wd = -1;
        mask = IN_Q_OVERFLOW;
        cookie = length = 0;
    }
    e->told = (struct user_event){wd, mask, cookie, length};
    if (length > 0) {
        memset(e->name, 0, length);
        memcpy(e->name, name.s, name.length);
    }
    list_init(&e->link);
    list_add_tail(&i->events, &e->link);
    i->n_events++;
    wake_all(&i->readable);
}

/* ---- the ends of watches ---- */

/* W, the last that is heard of which is queued, becomes one of ENDED, which are freed without the lock. =>
 * watches_lock */
static void end_watch(struct watch *w, struct watch **ended)
{
    struct watch **at = &w->inode->watches;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    list_remove(&w->link);
    radix_remove(&w->instance->by_wd, (u64)w->wd);
    w->instance->n_watches--;
    queue(w->instance, w->wd, IN_IGNORED, (struct name){NULL, 0}, 0);
    w->next = *ended;
    *ended = w;
    atomic_sub(&notify_watches, 1);
}

static void free_ended(struct watch *ended)
{
    while (ended != NULL) {
        struct watch *next = ended->next;

        inode_put(ended->inode);
        kfree(ended);
        ended = next;
    }
}

/* ---- what happens ---- */

/* => watches_lock */
static void tell(struct inode *inode, u32 mask, struct name name, u32 cookie, bool unlinked, struct watch **ended)
{
    struct watch *w, *next;

    for (w = inode->watches; w != NULL; w = next) {
        next = w->next;
        if (!(w->mask & mask & (EVENTS_TO_ASK_FOR | IN_UNMOUNT)) || (unlinked && (w->mask & IN_EXCL_UNLINK)))
            continue;
        queue(w->instance, w->wd, mask, name, cookie);
        if (w->mask & IN_ONESHOT)
            end_watch(w, ended);
    }
}

static const struct name no_name = {NULL, 0};

void notify_watchers(struct inode *inode, struct dentry *d, u32 mask)
{
    struct watch *ended = NULL;
    bool unlinked = false;

    if (S_ISDIR(inode->mode) && !(mask & (IN_DELETE_SELF | IN_MOVE_SELF)))
        mask |= IN_ISDIR;
    if (d != NULL) {
        dentry_lock_names();
        unlinked = dentry_is_unlinked(d);
        if (d->parent != d && d->parent->inode != NULL && d->parent->inode->watches != NULL) {
            spin_lock(&watches_lock);
            tell(d->parent->inode, mask, dentry_name(d), 0, unlinked, &ended);
            spin_unlock(&watches_lock);
        }
        dentry_unlock_names();
    }
    if (load_relaxed(&inode->watches) != NULL) {
        spin_lock(&watches_lock);
        tell(inode, mask, no_name, 0, unlinked, &ended);
        spin_unlock(&watches_lock);
    }
    free_ended(ended);
}

void notify_watchers_of_name(struct inode *dir, struct name name, u32 mask, u32 cookie)
{
    struct watch *ended = NULL;

    spin_lock(&watches_lock);
    tell(dir, mask, name, cookie, false, &ended);
    spin_unlock(&watches_lock);
    free_ended(ended);
}

void notify_watchers_of_move(struct inode *from, struct name old_name, struct inode *to, struct name new_name,
                             struct inode *inode, struct inode *replaced)
{
    static u32 last_cookie;
    u32 cookie = atomic_add(&last_cookie, 1), is_dir = S_ISDIR(inode->mode) ? IN_ISDIR : 0;

    notify_watchers_of_name(from, old_name, IN_MOVED_FROM | is_dir, cookie);
    notify_watchers_of_name(to, new_name, IN_MOVED_TO | is_dir, cookie);
    if (replaced != NULL)
        notify_watchers(replaced, NULL, IN_ATTRIB);
    notify_watchers(inode, NULL, IN_MOVE_SELF);
}

void notify_watchers_of_end(struct inode *inode, u32 mask)
{
    struct watch *ended = NULL;

    spin_lock(&watches_lock);
    tell(inode, mask, no_name, 0, false, &ended);
    while (inode->watches != NULL)
        end_watch(inode->watches, &ended);
    spin_unlock(&watches_lock);
    free_ended(ended);
}

/* An inode of SUPER that is watched, referenced; NULL: there is none. */
static struct inode *watched_inode(const struct super *super)
{
    struct inode *found = NULL;
    struct instance *i;
    struct watch *w;

    spin_lock(&watches_lock);
    list_for_each(i, &instances, link)
        list_for_each(w, &i->watches, link)
            if (found == NULL && w->inode->super == super)
                found = w->inode;
    if (found != NULL)
        inode_hold(found);
    spin_unlock(&watches_lock);
    return found;
}

void notify_unmount(struct super *super)
{
    struct inode *inode;

    while (somebody_watches() && (inode = watched_inode(super)) != NULL) {
        notify_watchers_of_end(inode, IN_UNMOUNT);
        inode_put(inode);
    }
}

/* ---- adding and removing watches ---- */

/* => watches_lock */
static struct watch *watch_of(const struct instance *i, const struct inode *inode)
{
    struct watch *w = inode->watches;

    while (w != NULL && w->instance != i)
        w = w->next;
    return w;
}

static int change_mask(struct watch *w, u32 mask)
{
    if (mask & IN_MASK_CREATE)
        return -EEXIST;
    w->mask = (mask & ~(u32)IN_MASK_ADD) | ALWAYS_TOLD | (mask & IN_MASK_ADD ? w->mask : 0);
    return w->wd;
}

/* What the instances of UID have, by COUNT. => watches_lock */
static unsigned count_of_user(u32 uid, bool watches)
{
    struct instance *i;
    unsigned n = 0;

    list_for_each(i, &instances, link)
        if (i->uid == uid)
            n += watches ? i->n_watches : 1;
    return n;
}

/* Gives W a number that no other watch of its instance has; it is used again only after all others. 0, -ENOMEM. =>
 * watches_lock */
static int number(struct instance *i, struct watch *w)
{
    int error;

    do {
        i->last_wd = i->last_wd == INT32_MAX ? 1 : i->last_wd + 1;
        error = radix_insert(&i->by_wd, (u64)i->last_wd, w);
    } while (error == -EEXIST);
    w->wd = i->last_wd;
    return error;
}

/* FRESH becomes a watch of I on INODE: its number, or -ENOSPC, -ENOMEM. => watches_lock */
static int begin_watch(struct instance *i, struct inode *inode, u32 mask, struct watch *fresh)
{
    int error;

    if (count_of_user(i->uid, true) >= load_relaxed(&inotify_limits.max_user_watches))
        return -ENOSPC;
    *fresh = (struct watch){.next = inode->watches, .instance = i, .inode = inode, .mask = mask | ALWAYS_TOLD};
    error = number(i, fresh);
    if (error != 0)
        return error;
    inode_hold(inode);
    list_init(&fresh->link);
    list_add_tail(&i->watches, &fresh->link);
    store_release(&inode->watches, fresh);
    i->n_watches++;
    atomic_add(&notify_watches, 1);
    return fresh->wd;
}

int inotify_add(struct file *inotify, struct inode *inode, u32 mask)
{
    struct instance *i = inotify->private;
    struct watch *fresh = kmalloc(sizeof(*fresh)), *old;
    int result;

    if (fresh == NULL)
        return -ENOMEM;
    spin_lock(&watches_lock);
    old = watch_of(i, inode);
    result = old != NULL ? change_mask(old, mask) : begin_watch(i, inode, mask, fresh);
    spin_unlock(&watches_lock);
    if (old != NULL || result < 0)
        kfree(fresh);
    return result;
}

int inotify_remove(struct file *inotify, int wd)
{
    struct instance *i = inotify->private;
    struct watch *w, *ended = NULL;

    spin_lock(&watches_lock);
    w = wd > 0 ? radix_get(&i->by_wd, (u64)wd) : NULL;
    if (w != NULL)
        end_watch(w, &ended);
    spin_unlock(&watches_lock);
    free_ended(ended);
    return w != NULL ? 0 : -EINVAL;
}

/* ---- the file ---- */

/* The oldest event, out of the queue, if it fits into ROOM bytes: NULL, there is none; ERR_PTR(-EINVAL), it does not.
 */
static struct event *take(struct instance *i, size_t room)
{
    struct event *e = NULL;

    spin_lock(&watches_lock);
    if (!list_empty(&i->events)) {
        e = list_first(&i->events, struct event, link);
        if (sizeof(e->told) + e->told.length > room) {
            e = ERR_PTR(-EINVAL);
        } else {
            list_remove(&e->link);
            i->n_events--;
            if (e->told.mask & IN_Q_OVERFLOW)
                i->has_overflowed = false;
        }
    }
    spin_unlock(&watches_lock);
    return e;
}

static ssize_t inotify_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct instance *i = file->private;
    ssize_t total = 0;

    (void)pos;
    for (;;) {
        struct event *e = take(i, uio->left);
        size_t n;
        bool copied;

        if (IS_ERR(e))
            return total > 0 ? total : PTR_ERR(e);
        if (e != NULL) {
            n = sizeof(e->told) + e->told.length;
            copied = uio_copy_out(uio, &e->told, n) == n; /* the name lies behind */
            kfree(e);
            if (!copied)
                return total > 0 ? total : -EFAULT;
            total += (ssize_t)n;
            continue;
        }
        if (total > 0)
            return total;
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        if (wait_event_interruptible(&i->readable, !list_empty(&i->events)) != 0)
            return -ERESTARTSYS;
    }
}
static_assert(offsetof(struct event, name) == offsetof(struct event, told) + sizeof(struct user_event),
              "an event is told with its name in one piece");

static unsigned inotify_poll(struct file *file, struct poll_table *table)
{
    struct instance *i = file->private;

    if (table != NULL)
        poll_wait(table, &i->readable);
    return list_empty(&i->events) ? 0 : POLLIN | POLLRDNORM;
}

static long inotify_ioctl(struct file *file, unsigned command, u64 argument)
{
    struct instance *i = file->private;
    struct event *e;
    u32 bytes = 0;

    if (command != FIONREAD)
        return -ENOTTY;
    spin_lock(&watches_lock);
    list_for_each(e, &i->events, link)
        bytes += (u32)sizeof(e->told) + e->told.length;
    spin_unlock(&watches_lock);
    return put_user_u32(bytes, (u32 *)argument);
}

static void inotify_release(struct file *file)
{
    struct instance *i = file->private;
    struct watch *ended = NULL;

    spin_lock(&watches_lock);
    while (!list_empty(&i->watches))
        end_watch(list_first(&i->watches, struct watch, link), &ended);
    list_remove(&i->link);
    spin_unlock(&watches_lock);
    free_ended(ended);
    while (!list_empty(&i->events)) {
        struct event *e = list_first(&i->events, struct event, link);

        list_remove(&e->link);
        kfree(e);
    }
    kfree(i);
}

/* The lines of /proc/PID/fdinfo (proc_pid_fdinfo(5)). */
static size_t inotify_describe(struct file *file, char *buf, size_t size)
{
    struct instance *i = file->private;
    struct watch *w;
    size_t n = 0;

    spin_lock(&watches_lock);
    list_for_each(w, &i->watches, link)
        if (n + 80 < size)
            n += (size_t)snprintf(buf + n, size - n, "inotify wd:%x ino:%lx sdev:%x mask:%x ignored_mask:0\n", w->wd,
                                  w->inode->ino, w->inode->super->dev, w->mask & ~(u32)ALWAYS_TOLD);
    spin_unlock(&watches_lock);
    return n;
}

static const struct file_ops inotify_ops = {
    .release = inotify_release,
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .describe = inotify_describe,
};

struct file *inotify_create(u32 flags)
{
    struct instance *i = kzalloc(sizeof(*i));
    struct file *file;
    bool too_many;

    if (i == NULL)
        return ERR_PTR(-ENOMEM);
    list_init(&i->watches);
    list_init(&i->events);
    list_init(&i->link);
    wait_queue_init(&i->readable);
    i->uid = current->cred->uid;
    file = file_create(anon_inode_shared(), O_RDONLY | flags, &inotify_ops);
    if (IS_ERR(file)) {
        kfree(i);
        return file;
    }
    file->private = i;
    file->anon_name = "anon_inode:inotify";
    spin_lock(&watches_lock);
    too_many = count_of_user(i->uid, false) >= load_relaxed(&inotify_limits.max_user_instances);
    if (!too_many)
        list_add(&instances, &i->link);
    spin_unlock(&watches_lock);
    if (!too_many)
        return file;
    file_put(file);
    return ERR_PTR(-EMFILE);
}
