/*
 * epoll(7): a set of files of interest that stays on their queues, and a list of those that may be ready.
 *
 *     file's queues --wake--> item --> epoll->ready --> epoll_wait asks the file once more, and reports
 *                                                        level-triggered items go back to the list while they are ready
 *
 * An item holds no reference to its file; the file's end takes its items away (epoll_forget_file).
 *
 * Locks: control (mutex, one for all: which items exist, cycles) -> epoll->lock (mutex: items of one set; outer sets
 * before inner ones) -> ready_lock (spin, irqsave, under the locks of wait queues).
 */
#include "fs/epoll.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "lib/print.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define MAX_NESTING 4 /* times that a set may lie in another */
#define PRIVATE_BITS (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

struct epoll {
    struct mutex lock;
    struct list items;
    struct spinlock ready_lock;
    struct list ready;
    struct wait_queue waiters, pollers; /* who waits for its events; who polls or watches its file */
    struct file *file;                  /* whose private we are */
    /* What a search that visits each set once has found here; control. */
    u64 seen_by;
    unsigned levels;
};

struct item_waiter {
    struct waiter waiter;
    struct item *item;
    struct item_waiter *next;
};

struct item {
    struct list link;      /* epoll->items */
    struct list file_link; /* file->epoll_links */
    struct list ready_link;
    struct epoll *epoll;
    struct file *file;
    int fd;
    struct epoll_event event;
    struct item_waiter *waiters;
    struct poll_table table;
    int error;
};

static struct mutex control = MUTEX_INIT(control);
static const struct file_ops epoll_ops;

bool file_is_epoll(const struct file *file) { return file->ops == &epoll_ops; }

/* ---- becoming ready ---- */

static void make_ready(struct item *item)
{
    struct epoll *ep = item->epoll;
    u64 flags = spin_lock_irqsave(&ep->ready_lock);

    if (list_empty(&item->ready_link))
        list_add_tail(&ep->ready, &item->ready_link);
    spin_unlock_irqrestore(&ep->ready_lock, flags);
    wake_all(&ep->waiters);
    wake_all(&ep->pollers);
}

static void item_wake(struct waiter *waiter)
{
    struct item *item = container_of(waiter, struct item_waiter, waiter)->item;

    if ((item->event.events & ~(u32)PRIVATE_BITS) != 0) /* else a spent one-shot */
        make_ready(item);
}

static void item_add_queue(struct poll_table *table, struct wait_queue *queue)
{
    struct item *item = container_of(table, struct item, table);
    struct item_waiter *w = kmalloc(sizeof(*w));

    if (w == NULL) {
        item->error = -ENOMEM;
        return;
    }
    w->waiter = (struct waiter){.wake = item_wake};
    list_init(&w->waiter.link);
    w->item = item;
    w->next = item->waiters;
    item->waiters = w;
    wait_add(queue, &w->waiter);
}

static unsigned item_events(const struct item *item)
{
    unsigned wanted = item->event.events & ~(u32)PRIVATE_BITS;

    return wanted == 0 ? 0 : file_poll(item->file, NULL) & (wanted | POLLERR | POLLHUP);
}

/* ---- items ---- */

/* => control, epoll->lock */
static void item_destroy(struct item *item)
{
    struct epoll *ep = item->epoll;
    u64 flags;

    while (item->waiters != NULL) {
        struct item_waiter *w = item->waiters;

        item->waiters = w->next;
        wait_finish(&w->waiter);
        kfree(w);
    }
    flags = spin_lock_irqsave(&ep->ready_lock);
    list_remove(&item->ready_link);
    spin_unlock_irqrestore(&ep->ready_lock, flags);
    list_remove(&item->link);
    list_remove(&item->file_link);
    kfree(item);
}

static struct item *find(struct epoll *ep, int fd, const struct file *file)
{
    struct item *item;

    list_for_each(item, &ep->items, link)
        if (item->fd == fd && item->file == file)
            return item;
    return NULL;
}

void epoll_forget_file(struct file *file)
{
    mutex_lock(&control);
    while (!list_empty(&file->epoll_links)) {
        struct item *item = list_first(&file->epoll_links, struct item, file_link);
        struct epoll *ep = item->epoll;

        mutex_lock(&ep->lock);
        item_destroy(item);
        mutex_unlock(&ep->lock);
    }
    mutex_unlock(&control);
}

/* ---- sets of sets: how deep, and how wide (each search visits a set once, or a bounded number of paths) ---- */

static u64 last_search; /* control */

/* How many sets watch each other up to one that watches EP: asking and waking recurse along them. => control */
static unsigned levels_above(struct epoll *ep, u64 search)
{
    unsigned levels = 0;
    struct item *item;

    if (ep->seen_by == search)
        return ep->levels;
    list_for_each(item, &ep->file->epoll_links, file_link)
        levels = MAX(levels, levels_above(item->epoll, search) + 1);
    ep->seen_by = search;
    ep->levels = levels;
    return levels;
}

/* How many sets lie below EP, one in the other; more than MAX_NESTING if TARGET is among them, or is EP. => control */
static unsigned levels_below(struct epoll *ep, const struct epoll *target, u64 search)
{
    unsigned levels = 0;
    struct item *item;

    if (ep == target)
        return MAX_NESTING + 1;
    if (ep->seen_by == search)
        return ep->levels;
    list_for_each(item, &ep->items, link)
        if (file_is_epoll(item->file))
            levels = MAX(levels, levels_below(item->file->private, target, search) + 1);
    ep->seen_by = search;
    ep->levels = levels;
    return levels;
}

/* Whether EP may not watch INNER: that would be a circle, or too deep. => control */
static bool is_too_deep(struct epoll *ep, struct epoll *inner)
{
    unsigned above = levels_above(ep, ++last_search);

    return above + 1 + levels_below(inner, ep, ++last_search) > MAX_NESTING;
}

/* Whether the ways up from FILE, DEPTH sets below the outermost, are more than may be woken along. A way is counted by
 * its length. => control */
static bool has_too_many_ways_up(const struct file *file, unsigned depth, unsigned *ways)
{
    static const unsigned limits[MAX_NESTING + 1] = {UINT32_MAX, 500, 100, 50, 10}; /* Linux's */
    struct item *item;

    list_for_each(item, &file->epoll_links, file_link) {
        const struct file *above = item->epoll->file;

        if (list_empty(&above->epoll_links) ? ++ways[depth] > limits[depth]
                                            : depth == MAX_NESTING || has_too_many_ways_up(above, depth + 1, ways))
            return true;
    }
    return false;
}

/* The same of FILE itself, or of all files that lie below it. => control */
static bool is_too_wide(const struct file *file, u64 search)
{
    unsigned ways[MAX_NESTING + 1] = {0};
    struct epoll *ep = file->private;
    struct item *item;

    if (!file_is_epoll(file))
        return has_too_many_ways_up(file, 0, ways);
    if (ep->seen_by == search)
        return false;
    ep->seen_by = search;
    list_for_each(item, &ep->items, link)
        if (is_too_wide(item->file, search))
            return true;
    return false;
}

/* A file that one set watches which nobody watches has one way up: nothing to count. => control */
static bool needs_width_check(const struct epoll *ep, const struct file *file)
{
    return file_is_epoll(file) || !list_empty(&ep->file->epoll_links) ||
           file->epoll_links.next->next != &file->epoll_links;
}

/* => control, ep->lock */
static int add(struct epoll *ep, int fd, struct file *file, const struct epoll_event *event)
{
    struct item *item = kzalloc(sizeof(*item));
    int error;

    if (item == NULL)
        return -ENOMEM;
    item->epoll = ep;
    item->file = file;
    item->fd = fd;
    item->event = *event;
    item->table.add = item_add_queue;
    list_init(&item->ready_link);
    list_add_tail(&ep->items, &item->link);
    list_add(&file->epoll_links, &item->file_link);
    if (file_poll(file, &item->table) & (event->events | POLLERR | POLLHUP))
        make_ready(item);
    error = item->error;
    if (error == 0 && needs_width_check(ep, file) && is_too_wide(file, ++last_search))
        error = -EINVAL;
    if (error != 0)
        item_destroy(item);
    return error;
}

static int modify(struct item *item, const struct epoll_event *event)
{
    if ((item->event.events | event->events) & EPOLLEXCLUSIVE)
        return -EINVAL;
    item->event = *event;
    memory_barrier();
    if (item_events(item) != 0)
        make_ready(item);
    return 0;
}

int epoll_control(struct file *epoll, int operation, int fd, struct file *file, const struct epoll_event *event)
{
    struct epoll *ep = epoll->private;
    struct item *item;
    int error = 0;

    mutex_lock(&control);
    if (operation == EPOLL_CTL_ADD && file_is_epoll(file) && is_too_deep(ep, file->private)) {
        mutex_unlock(&control);
        return -ELOOP;
    }
    mutex_lock(&ep->lock);
    item = find(ep, fd, file);
    if (operation == EPOLL_CTL_ADD)
        error = item != NULL ? -EEXIST : add(ep, fd, file, event);
    else if (item == NULL)
        error = -ENOENT;
    else if (operation == EPOLL_CTL_MOD)
        error = modify(item, event);
    else
        item_destroy(item);
    mutex_unlock(&ep->lock);
    mutex_unlock(&control);
    return error;
}

/* ---- waiting ---- */

static struct item *take_ready(struct epoll *ep)
{
    struct item *item = NULL;
    u64 flags = spin_lock_irqsave(&ep->ready_lock);

    if (!list_empty(&ep->ready)) {
        item = list_first(&ep->ready, struct item, ready_link);
        list_remove(&item->ready_link);
    }
    spin_unlock_irqrestore(&ep->ready_lock, flags);
    return item;
}

/* Items stay in AGAIN while the list is gone through, so that each is reported once. Who looked at the list meanwhile
 * and found none looks again. => ep->lock */
static void put_back(struct epoll *ep, struct list *again)
{
    u64 flags;

    if (list_empty(again))
        return;
    flags = spin_lock_irqsave(&ep->ready_lock);
    list_splice_tail(&ep->ready, again);
    spin_unlock_irqrestore(&ep->ready_lock, flags);
    wake_all(&ep->waiters);
}

static void keep_for_again(struct epoll *ep, struct item *item, struct list *again)
{
    u64 flags = spin_lock_irqsave(&ep->ready_lock);

    list_remove(&item->ready_link);
    list_add_tail(again, &item->ready_link);
    spin_unlock_irqrestore(&ep->ready_lock, flags);
}

/* How many of N events there were, or -EFAULT: the memory for the first is not there. Nobody waits for memory here: a
 * program that pages it (userfaultfd(2)) may want this set, or control, for that. */
static long report(struct epoll *ep, struct epoll_event *user_events, unsigned n)
{
    struct list again;
    struct item *item;
    long count = 0;

    list_init(&again);
    mutex_lock(&ep->lock);
    while (count < n && (item = take_ready(ep)) != NULL) {
        struct epoll_event event = {item_events(item), item->event.data};

        if (event.events == 0)
            continue;
        if (copy_to_user_nofault(&user_events[count], &event, sizeof(event)) != 0) {
            keep_for_again(ep, item, &again);
            count = count > 0 ? count : -EFAULT;
            break;
        }
        count++;
        if (item->event.events & EPOLLONESHOT)
            item->event.events &= PRIVATE_BITS;
        else if (!(item->event.events & EPOLLET))
            keep_for_again(ep, item, &again);
    }
    put_back(ep, &again);
    mutex_unlock(&ep->lock);
    return count;
}

static bool may_be_ready(struct epoll *ep) { return !list_empty(&ep->ready); }

long epoll_wait_events(struct file *epoll, struct epoll_event *user_events, unsigned n, u64 deadline)
{
    struct epoll *ep = epoll->private;

    for (;;) {
        long count = may_be_ready(ep) ? report(ep, user_events, n) : 0;
        int result;

        if (count == -EFAULT && user_fault_in_writable(user_events, sizeof(*user_events)) == 0)
            continue;
        if (count != 0 || deadline == 0)
            return count;
        result = wait_event_deadline(&ep->waiters, may_be_ready(ep), deadline);
        if (result == -EINTR)
            return -EINTR;
        if (result == -ETIMEDOUT)
            deadline = 0;
    }
}

/* ---- the file ---- */

static unsigned epoll_poll(struct file *file, struct poll_table *table)
{
    struct epoll *ep = file->private;
    struct item *item;
    bool ready = false;

    if (table != NULL)
        poll_wait(table, &ep->pollers);
    mutex_lock(&ep->lock); /* first: a report that is under way has the list */
    if (may_be_ready(ep))
        list_for_each(item, &ep->items, link)
            ready = ready || (!list_empty(&item->ready_link) && item_events(item) != 0);
    mutex_unlock(&ep->lock);
    return ready ? POLLIN | POLLRDNORM : 0;
}

static void epoll_release(struct file *file)
{
    struct epoll *ep = file->private;

    mutex_lock(&control);
    mutex_lock(&ep->lock);
    while (!list_empty(&ep->items))
        item_destroy(list_first(&ep->items, struct item, link));
    mutex_unlock(&ep->lock);
    mutex_unlock(&control);
    kfree(ep);
}

/* The lines of /proc/PID/fdinfo (proc_pid_fdinfo(5)), as many as fit. */
static size_t epoll_describe(struct file *file, char *buf, size_t size)
{
    struct epoll *ep = file->private;
    struct item *item;
    size_t n = 0;

    mutex_lock(&ep->lock);
    list_for_each(item, &ep->items, link) {
        const struct inode *inode = item->file->inode;

        if (n + 160 > size)
            break;
        n += (size_t)snprintf(buf + n, size - n, "tfd: %8d events: %8x data: %16lx  pos:%ld ino:%lx sdev:%x\n",
                              item->fd, item->event.events, item->event.data, (s64)load_relaxed(&item->file->pos),
                              inode->ino, inode->super != NULL ? (u32)inode->super->dev : 0);
    }
    mutex_unlock(&ep->lock);
    return n;
}

static const struct file_ops epoll_ops = {.release = epoll_release, .poll = epoll_poll, .describe = epoll_describe};

struct file *epoll_create(void)
{
    struct epoll *ep = kzalloc(sizeof(*ep));
    struct file *file;

    if (ep == NULL)
        return ERR_PTR(-ENOMEM);
    mutex_init(&ep->lock);
    list_init(&ep->items);
    list_init(&ep->ready);
    wait_queue_init(&ep->waiters);
    wait_queue_init(&ep->pollers);
    file = file_create(anon_inode_shared(), O_RDWR, &epoll_ops);
    if (IS_ERR(file)) {
        kfree(ep);
        return file;
    }
    file->private = ep;
    ep->file = file;
    file->anon_name = "anon_inode:[eventpoll]";
    return file;
}
