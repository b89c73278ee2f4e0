/*
 * timerfd_create(2): a timer whose expirations are read. CLOCK_REALTIME timers are set on the monotonic clock with the
 * offset of that moment: setting the clock later does not move them.
 *
 * Lock: t->lock (irqsave), taken in the timer interrupt.
 */
#include "fs/events.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "sched/timer.h"
#include "vm/kmalloc.h"

struct timerfd {
    struct spinlock lock;
    struct timer timer;
    struct wait_queue expired;
    u64 deadline, interval; /* ns, monotonic; deadline 0: not set */
    u64 count;              /* expirations not read yet */
    bool realtime;
};

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
    u64 now = time_ns(), flags = spin_lock_irqsave(&t->lock), hold = t->count != 0 ? now + TIMER_UNHEARD_NS : 0;

    catch_up(t, now);
    if (t->deadline != 0)
        timer_start(&t->timer, MAX(t->deadline, hold));
    spin_unlock_irqrestore(&t->lock, flags);
    wake_all(&t->expired);
}

static void read_setting(struct timerfd *t, struct timer_setting *setting)
{
    u64 now = time_ns();

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

static u64 deadline_of(const struct timerfd *t, bool absolute, u64 value)
{
    u64 offset = time_realtime_offset();

    if (value == 0)
        return 0;
    if (!absolute)
        return time_ns() + value;
    if (!t->realtime)
        return value;
    return value > offset ? value - offset : 1;
}

void timerfd_set(struct file *file, bool absolute, const struct timer_setting *setting, struct timer_setting *old)
{
    struct timerfd *t = file->private;
    u64 flags;

    timer_stop(&t->timer); /* waits for its function, so without the lock */
    flags = spin_lock_irqsave(&t->lock);
    read_setting(t, old);
    t->interval = to_ns(&setting->interval);
    t->deadline = deadline_of(t, absolute, to_ns(&setting->value));
    t->count = 0;
    if (t->deadline != 0)
        timer_start(&t->timer, t->deadline);
    spin_unlock_irqrestore(&t->lock, flags);
}

static ssize_t timerfd_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct timerfd *t = file->private;
    u64 count, flags;

    (void)pos;
    if (uio->left < sizeof(count))
        return -EINVAL;
    for (;;) {
        flags = spin_lock_irqsave(&t->lock);
        if (t->interval != 0) {
            catch_up(t, time_ns());
            if (t->deadline != 0 && t->timer.deadline > t->deadline)
                timer_start(&t->timer, t->deadline); /* it was held back while nobody read */
        }
        count = t->count;
        t->count = 0;
        spin_unlock_irqrestore(&t->lock, flags);
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
    u64 flags = spin_lock_irqsave(&t->lock);

    t->interval = t->deadline = 0; /* it does not start itself again */
    spin_unlock_irqrestore(&t->lock, flags);
    timer_stop(&t->timer);
    kfree(t);
}

static const struct file_ops timerfd_ops = {.release = timerfd_release, .read = timerfd_read, .poll = timerfd_poll};

struct file *timerfd_create(bool realtime, u32 flags)
{
    struct timerfd *t = kzalloc(sizeof(*t));
    struct file *file;

    if (t == NULL)
        return ERR_PTR(-ENOMEM);
    timer_init(&t->timer, fire);
    wait_queue_init(&t->expired);
    t->realtime = realtime;
    file = file_create(anon_inode_shared(), O_RDWR | flags, &timerfd_ops);
    if (IS_ERR(file)) {
        kfree(t);
        return file;
    }
    file->private = t;
    file->anon_name = "anon_inode:[timerfd]";
    return file;
}
