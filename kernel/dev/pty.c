/*
 * Pseudo terminals (pty(7), pts(4)): /dev/ptmx opens the master of a fresh pair, /dev/pts/N is its slave, an ordinary
 * tty.
 *
 *   master's write -> tty_receive -> line discipline -> slave's read
 *   master's read  <- [output ring] <- line discipline <- slave's write, echo
 *
 * A pair is in use from the opening of the master until it and every slave are closed; the struct stays and is used
 * again.
 *
 * Locks: pairs_lock (sleeping) guards the table and `in_use`; the slave's tty->lock guards the output ring and the
 * master's flags.
 */
#include "dev/tty.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define MAX_PAIRS 256
#define QUEUE_SIZE 8192u /* each way; a power of two, more than two of the longest lines */
#define RESERVE 512u     /* of the output ring: for echo */
#define CHUNK 256
#define SLAVE_MAJOR 136
#define GROUP_TTY 5 /* Debian's: its members may write to others' terminals (wall(1)) */

#define TIOCPKT 0x5420
#define TIOCGPTN 0x80045430
#define TIOCSPTLCK 0x40045431
#define TIOCGPKT 0x80045438
#define TIOCGPTLCK 0x80045439
#define TIOCGPTPEER 0x5441
#define TIOCSIG 0x40045436
#define TIOCPKT_DATA 0

struct pty {
    struct tty slave; /* first */
    unsigned number;
    bool in_use;
    unsigned arrivals; /* slaves that are being opened; pairs_lock */
    bool master_open, locked, packet_mode;
    bool slave_was_open; /* the master sees a hang-up only after somebody was there */
    struct wait_queue master_readers, master_writers;
    u64 head, tail; /* of the ring; they only grow */
    u8 ring[QUEUE_SIZE];
};

static struct mutex pairs_lock = MUTEX_INIT(pairs_lock);
static struct pty *pairs[MAX_PAIRS];

static struct pty *slave_pty(struct tty *tty) { return container_of(tty, struct pty, slave); }
static size_t ring_used(const struct pty *p) { return (size_t)(load_relaxed(&p->head) - load_relaxed(&p->tail)); }

/* ---- the slave's driver ---- */

static size_t slave_write(struct tty *tty, const u8 *bytes, size_t n)
{
    struct pty *p = slave_pty(tty);

    n = MIN(n, QUEUE_SIZE - ring_used(p));
    for (size_t i = 0; i < n; i++)
        p->ring[(p->head + i) % QUEUE_SIZE] = bytes[i];
    store_relaxed(&p->head, p->head + n);
    if (n > 0)
        wake_all(&p->master_readers);
    return n;
}

static size_t slave_room(struct tty *tty)
{
    size_t room = QUEUE_SIZE - ring_used(slave_pty(tty));

    return room > RESERVE ? room - RESERVE : 0;
}

static void slave_drop_output(struct tty *tty)
{
    struct pty *p = slave_pty(tty);

    store_relaxed(&p->tail, p->head);
}

static void slave_room_for_input(struct tty *tty) { wake_all(&slave_pty(tty)->master_writers); }

static void slave_opened(struct tty *tty) { slave_pty(tty)->slave_was_open = true; }

/* => pairs_lock */
static void end_use_if_unused(struct pty *p)
{
    if (!p->master_open && p->arrivals == 0 && p->slave.opens == 0)
        p->in_use = false;
}

static void release_pair_if_unused(struct pty *p)
{
    mutex_lock(&pairs_lock);
    end_use_if_unused(p);
    mutex_unlock(&pairs_lock);
}

static void slave_closed(struct tty *tty)
{
    struct pty *p = slave_pty(tty);

    wake_all(&p->master_readers);
    wake_all(&p->master_writers);
    release_pair_if_unused(p);
}

static const struct tty_driver slave_driver = {
    .outlives_sessions = true,
    .write = slave_write,
    .room = slave_room,
    .drop_output = slave_drop_output,
    .room_for_input = slave_room_for_input,
    .opened = slave_opened,
    .closed = slave_closed,
};

static int slave_open(struct inode *inode, struct file *file)
{
    struct pty *p = file->private;
    int error = 0;

    mutex_lock(&pairs_lock);
    if (!p->master_open || p->locked || inode->nlink == 0) /* the name of an earlier pair, and its owner */
        error = -EIO;
    else
        p->arrivals++;
    mutex_unlock(&pairs_lock);
    if (error != 0)
        return error;
    file->private = &p->slave;
    error = tty_file_ops.open(inode, file);
    mutex_lock(&pairs_lock);
    p->arrivals--;
    end_use_if_unused(p);
    mutex_unlock(&pairs_lock);
    return error;
}
static const struct file_ops slave_file_ops = {.open = slave_open};

/* ---- the master ---- */

/* => whoever looks at the ring after this sees all that the slave wrote */
static bool slave_is_gone(const struct pty *p) { return p->slave_was_open && load_acquire(&p->slave.opens) == 0; }

/* Takes bytes out of the ring: how many. */
static size_t take_output(struct pty *p, u8 *bytes, size_t max)
{
    u64 flags = spin_lock_irqsave(&p->slave.lock);
    size_t n = MIN(max, ring_used(p));

    for (size_t i = 0; i < n; i++)
        bytes[i] = p->ring[(p->tail + i) % QUEUE_SIZE];
    store_relaxed(&p->tail, p->tail + n);
    spin_unlock_irqrestore(&p->slave.lock, flags);
    return n;
}

static ssize_t master_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct pty *p = file->private;
    bool packet = p->packet_mode;
    u8 chunk[CHUNK];
    size_t done = 0, n;

    if (uio->left == 0)
        return 0;
    chunk[0] = TIOCPKT_DATA;
    /* Another reader may take what we have waited for. */
    while ((n = take_output(p, chunk + packet, MIN(uio->left, sizeof(chunk)) - packet)) == 0) {
        if (packet && uio->left == 1 && ring_used(p) > 0)
            break; /* room for the type only */
        if (slave_is_gone(p) && ring_used(p) == 0)
            return -EIO;
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        if (wait_event_interruptible(&p->master_readers, ring_used(p) > 0 || slave_is_gone(p)) != 0)
            return -ERESTARTSYS;
    }
    n += packet;
    do {
        if (uio_copy_out(uio, chunk, n) != n)
            return done > 0 ? (ssize_t)done : -EFAULT;
        done += n;
    } while (uio->left > 0 && (n = take_output(p, chunk, MIN(uio->left, sizeof(chunk)))) > 0);
    tty_output_possible(&p->slave);
    return (ssize_t)done;
}

static bool can_type(const struct pty *p) { return slave_is_gone(p) || ldisc_room(&p->slave.ldisc) > 0; }

static ssize_t master_write(struct file *file, struct uio *uio, u64 *pos)
{
    struct pty *p = file->private;
    u8 chunk[CHUNK];
    size_t done = 0;

    while (uio->left > 0) {
        size_t room = ldisc_room(&p->slave.ldisc), wanted = MIN(uio->left, sizeof(chunk)), n = MIN(wanted, room);

        if (slave_is_gone(p))
            return done > 0 ? (ssize_t)done : -EIO;
        if (n == 0) {
            if (done > 0 || (file->flags & O_NONBLOCK))
                return done > 0 ? (ssize_t)done : -EAGAIN;
            if (wait_event_interruptible(&p->master_writers, can_type(p)) != 0)
                return -ERESTARTSYS;
            continue;
        }
        if (uio_copy_in(uio, chunk, n) != n)
            return done > 0 ? (ssize_t)done : -EFAULT;
        tty_receive(&p->slave, chunk, n);
        done += n;
    }
    return (ssize_t)done;
}

static unsigned master_poll(struct file *file, struct poll_table *table)
{
    struct pty *p = file->private;
    unsigned events = 0;

    if (table != NULL) {
        poll_wait(table, &p->master_readers);
        poll_wait(table, &p->master_writers);
    }
    if (ring_used(p) > 0)
        events |= POLLIN | POLLRDNORM;
    if (slave_is_gone(p))
        events |= POLLHUP;
    else if (can_type(p))
        events |= POLLOUT | POLLWRNORM;
    return events;
}

static long set_flag(bool *flag, const u32 *user)
{
    u32 value;

    if (get_user_u32(&value, user) != 0)
        return -EFAULT;
    *flag = value != 0;
    return 0;
}

static void slave_path(const struct pty *p, char *path, size_t size) { snprintf(path, size, "/dev/pts/%u", p->number); }

/* Opens the slave of this very master, whatever is mounted on /dev/pts. */
static long open_peer(const struct pty *p, u32 flags)
{
    char path[24];

    slave_path(p, path, sizeof(path));
    return fd_give(file_open(path, flags, 0), (flags & O_CLOEXEC) != 0);
}

static long signal_slave(struct pty *p, u64 sig)
{
    if (sig == 0 || sig > 64)
        return -EINVAL;
    tty_signal_foreground(&p->slave, (int)sig);
    return 0;
}

static u32 count_output(struct pty *p)
{
    u64 flags = spin_lock_irqsave(&p->slave.lock);
    size_t n = ring_used(p);

    spin_unlock_irqrestore(&p->slave.lock, flags);
    return (u32)n;
}

static long master_ioctl(struct file *file, unsigned command, u64 argument)
{
    struct pty *p = file->private;
    u32 *user = (u32 *)argument;

    switch (command) {
    case FIONREAD:
        return put_user_u32(count_output(p), user);
    case TIOCGPTN:
        return put_user_u32(p->number, user);
    case TIOCSPTLCK:
        return set_flag(&p->locked, user);
    case TIOCGPTLCK:
        return put_user_u32(p->locked, user);
    case TIOCPKT:
        return set_flag(&p->packet_mode, user);
    case TIOCGPKT:
        return put_user_u32(p->packet_mode, user);
    case TIOCGPTPEER:
        return open_peer(p, (u32)argument);
    case TIOCSIG:
        return signal_slave(p, argument);
    case TCFLSH: /* the master's input is the slave's output, and the other way round */
        if (argument == TCIFLUSH || argument == TCOFLUSH)
            argument = argument == TCIFLUSH ? TCOFLUSH : TCIFLUSH;
        return tty_master_ioctl(&p->slave, command, argument);
    default:
        return tty_master_ioctl(&p->slave, command, argument);
    }
}

static void master_release(struct file *file)
{
    struct pty *p = file->private;

    devfs_remove(p->slave.name);
    tty_hangup(&p->slave);
    mutex_lock(&pairs_lock);
    p->master_open = false;
    end_use_if_unused(p);
    mutex_unlock(&pairs_lock);
}

static const struct file_ops master_file_ops = {
    .release = master_release,
    .read = master_read,
    .write = master_write,
    .poll = master_poll,
    .ioctl = master_ioctl,
};

/* ---- making pairs ---- */

static struct pty *create_pair(unsigned number)
{
    struct pty *p = kzalloc(sizeof(*p));
    char name[16];

    if (p == NULL)
        return NULL;
    snprintf(name, sizeof(name), "pts/%u", number);
    if (tty_setup(&p->slave, name, makedev(SLAVE_MAJOR, number), &slave_driver, QUEUE_SIZE) != 0) {
        kfree(p);
        return NULL;
    }
    p->number = number;
    wait_queue_init(&p->master_readers);
    wait_queue_init(&p->master_writers);
    return p;
}

/* A pair nobody uses: ERR_PTR(-ENOSPC: all are in use; -ENOMEM). => pairs_lock */
static struct pty *find_pair(void)
{
    for (unsigned i = 0; i < MAX_PAIRS; i++) {
        if (pairs[i] == NULL)
            pairs[i] = create_pair(i);
        if (pairs[i] == NULL)
            return ERR_PTR(-ENOMEM);
        if (!pairs[i]->in_use)
            return pairs[i];
    }
    return ERR_PTR(-ENOSPC);
}

static struct pty *claim_pair(void)
{
    struct pty *p;

    mutex_lock(&pairs_lock);
    p = find_pair();
    if (!IS_ERR(p)) {
        p->in_use = p->master_open = p->locked = true;
        p->packet_mode = p->slave_was_open = false;
        p->head = p->tail = 0;
        tty_reset(&p->slave);
    }
    mutex_unlock(&pairs_lock);
    return p;
}

static int master_open(struct inode *inode, struct file *file)
{
    struct pty *p = claim_pair();
    int error;

    if (IS_ERR(p))
        return (int)PTR_ERR(p);
    error = devfs_add(p->slave.name, S_IFCHR | 0620, p->slave.dev, &slave_file_ops, p);
    if (error != 0) {
        mutex_lock(&pairs_lock);
        p->in_use = p->master_open = false;
        mutex_unlock(&pairs_lock);
        return error;
    }
    devfs_set_owner(p->slave.name, current->cred->fsuid, GROUP_TTY);
    file->private = p;
    file->ops = &master_file_ops;
    return 0;
}
static const struct file_ops ptmx_file_ops = {.open = master_open};

void pty_init(void)
{
    int error = devfs_add("ptmx", S_IFCHR | 0666, makedev(5, 2), &ptmx_file_ops, NULL);

    if (error != 0)
        kprintf("pty: /dev/ptmx: error %d", -error);
}
