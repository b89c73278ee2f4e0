/*
 * timerfd_create(2): a timer whose expirations are read. One that was set to an absolute time of CLOCK_REALTIME follows
 * that clock when it is set; with TFD_TIMER_CANCEL_ON_SET its reader is told so.
 *
 * Locks: watchers_lock (the list of those that are told) -> t->lock (irqsave), taken in the timer interrupt.
 */
#include "fs/events.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "lib/print.h"
#include "proc/ptimer.h"
#include "sched/timer.h"
#include "vm/kmalloc.h"

struct timerfd {
    struct spinlock lock;
    struct timer timer;
    struct wait_queue expired;
    u64 deadline, interval; /* ns; deadline 0: not set */
    u64 count;              /* expirations not read yet */
    int clock;              /* as the program named it */
    u32 set_flags;          /* the last setting's */
    bool on_wall_clock;     /* what DEADLINE is on */
    bool is_watcher;        /* in the list; watchers_lock */
    bool was_cancelled;     /* the clock was set, and nobody was told yet */
    struct list watcher_link;
};

/* Those with TFD_TIMER_CANCEL_ON_SET. */
static struct list watchers = LIST_INIT(watchers);
static struct spinlock watchers_lock;

static const struct file_ops timerfd_ops;

bool file_is_timerfd(const struct file *file) { return file->ops == &timerfd_ops; }

static u64 to_ns(const struct timespec64 *t)
{
    return (u64)t->sec > INT64_MAX / NSEC_PER_SEC - 1 ? INT64_MAX : (u64)t->sec * NSEC_PER_SEC + (u64)t->nsec;
}

static struct timespec64 from_ns(u64 ns)
{
    return (struct timespec64){(s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC)};
}

static u64 timerfd_now(const struct timerfd *t) { return time_ns() + (t->on_wall_clock ? time_realtime_offset() : 0); }

static void arm(struct timerfd *t, u64 at)
{
    if (t->on_wall_clock)
        timer_start_wall(&t->timer, at);
    else
        timer_start(&t->timer, at);
}

/* Count the expirations until NOW. => t->lock */
static void catch_up(struct timerfd *t, u64 now)
{
    u64 periods = 1;

    if (t->deadline == 0 || now < t->deadline)
        return;
    if (t->interval != 0) {
        periods += (now - t->deadline) / t->interval;
        t->deadline += periods * t->interval;
    } else {
        t->deadline = 0;
    }
    store_relaxed(&t->count, t->count + periods);
}

/* In the timer interrupt. */
static void fire(struct timer *timer)
{
    struct timerfd *t = container_of(timer, struct timerfd, timer);
    u64 flags = spin_lock_irqsave(&t->lock), now = timerfd_now(t), hold = t->count != 0 ? now + TIMER_UNHEARD_NS : 0;

    catch_up(t, now);
    if (t->deadline != 0)
        arm(t, MAX(t->deadline, hold));
    spin_unlock_irqrestore(&t->lock, flags);
    wake_all(&t->expired);
}

static void read_setting(const struct timerfd *t, struct timer_setting *setting)
{
    u64 now = timerfd_now(t);

    setting->interval = from_ns(t->interval);
    setting->value = from_ns(t->deadline == 0 ? 0 : t->deadline > now ? t->deadline - now : 1);
}

void timerfd_get(struct file *file, struct timer_setting *now)
{
    struct timerfd *t = file->private;
    u64 flags = spin_lock_irqsave(&t->lock);

    read_setting(t, now);
    spin_unlock_irqrestore(&t->lock, flags);
}

static bool is_real(const struct timerfd *t) { return t->clock == CLOCK_REALTIME || t->clock == CLOCK_REALTIME_ALARM; }

/* Whether T is told when somebody sets the clock. */
static void set_watching(struct timerfd *t, bool watches)
{
    u64 flags = spin_lock_irqsave(&watchers_lock);

    if (watches != t->is_watcher) {
        if (watches)
            list_add_tail(&watchers, &t->watcher_link);
        else
            list_remove(&t->watcher_link);
        t->is_watcher = watches;
    }
    spin_unlock_irqrestore(&watchers_lock, flags);
}

void timerfds_wall_clock_was_set(void)
{
    u64 flags = spin_lock_irqsave(&watchers_lock);
    struct timerfd *t;

    list_for_each(t, &watchers, watcher_link) {
        spin_lock(&t->lock);
        t->was_cancelled = true;
        store_relaxed(&t->count, t->count + 1);
        spin_unlock(&t->lock);
        wake_all(&t->expired);
    }
    spin_unlock_irqrestore(&watchers_lock, flags);
}

/* Whether it was cancelled, which it is no more. => t->lock */
static bool take_cancellation(struct timerfd *t)
{
    bool was = t->was_cancelled && t->is_watcher;

    if (was)
        t->was_cancelled = false;
    return was;
}

int timerfd_set(struct file *file, u32 set_flags, const struct timer_setting *setting, struct timer_setting *old)
{
    struct timerfd *t = file->private;
    bool absolute = set_flags & TFD_TIMER_ABSTIME;
    u64 flags, value = to_ns(&setting->value);
    int error = 0;

    set_watching(t, is_real(t) && absolute && (set_flags & TFD_TIMER_CANCEL_ON_SET));
    timer_stop(&t->timer); /* waits for its function, so without the lock */
    flags = spin_lock_irqsave(&t->lock);
    read_setting(t, old);
    t->on_wall_clock = absolute && is_real(t);
    t->interval = to_ns(&setting->interval);
    t->deadline = value == 0 || absolute ? value : time_ns() + value;
    t->count = 0;
    if (t->deadline != 0) {
        arm(t, t->deadline);
        error = take_cancellation(t) ? -ECANCELED : 0;
    }
    if (error == 0)
        t->set_flags = set_flags;
    spin_unlock_irqrestore(&t->lock, flags);
    return error;
}

static ssize_t timerfd_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct timerfd *t = file->private;
    u64 count, flags;
    bool cancelled;

    (void)pos;
    if (uio->left < sizeof(count))
        return -EINVAL;
    for (;;) {
        flags = spin_lock_irqsave(&t->lock);
        if (t->interval != 0) {
            catch_up(t, timerfd_now(t));
            if (t->deadline != 0 && t->timer.deadline > t->deadline)
                arm(t, t->deadline); /* it was held back while nobody read */
        }
        count = t->count;
        t->count = 0;
        cancelled = take_cancellation(t);
        spin_unlock_irqrestore(&t->lock, flags);
        if (cancelled)
            return -ECANCELED;
        if (count != 0)
            break;
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        if (wait_event_interruptible(&t->expired, load_relaxed(&t->count) != 0) != 0)
            return -ERESTARTSYS;
    }
    return uio_copy_out(uio, &count, sizeof(count)) == sizeof(count) ? (ssize_t)sizeof(count) : -EFAULT;
}

static unsigned timerfd_poll(struct file *file, struct poll_table *table)
{
    struct timerfd *t = file->private;

    if (table != NULL)
        poll_wait(table, &t->expired);
    return load_relaxed(&t->count) != 0 ? POLLIN : 0;
}

static void timerfd_release(struct file *file)
{
    struct timerfd *t = file->private;
    u64 flags;

    set_watching(t, false);
    flags = spin_lock_irqsave(&t->lock);
    t->interval = t->deadline = 0; /* it does not start itself again */
    spin_unlock_irqrestore(&t->lock, flags);
    timer_stop(&t->timer);
    kfree(t);
}

/* Source: proc_pid_fdinfo(5) */
static size_t timerfd_describe(struct file *file, char *buf, size_t size)
{
    struct timerfd *t = file->private;
    struct timer_setting now;
    u64 flags = spin_lock_irqsave(&t->lock), count = t->count;
    u32 set_flags = t->set_flags;

    read_setting(t, &now);
    spin_unlock_irqrestore(&t->lock, flags);
    return (size_t)snprintf(
        buf, size, "clockid: %d\nticks: %lu\nsettime flags: 0%o\nit_value: (%ld, %ld)\nit_interval: (%ld, %ld)\n",
        t->clock, count, set_flags, now.value.sec, now.value.nsec, now.interval.sec, now.interval.nsec);
}

static const struct file_ops timerfd_ops = {
    .release = timerfd_release, .read = timerfd_read, .poll = timerfd_poll, .describe = timerfd_describe};

struct file *timerfd_create(int clock, u32 flags)
{
    struct timerfd *t = kzalloc(sizeof(*t));
    struct file *file;

    if (t == NULL)
        return ERR_PTR(-ENOMEM);
    timer_init(&t->timer, fire);
    wait_queue_init(&t->expired);
    t->clock = clock;
    list_init(&t->watcher_link);
    file = file_create(anon_inode_shared(), O_RDWR | flags, &timerfd_ops);
    if (IS_ERR(file)) {
        kfree(t);
        return file;
    }
    file->private = t;
    file->anon_name = "anon_inode:[timerfd]";
    return file;
}
