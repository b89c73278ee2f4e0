/*
 * Terminals as files: open, read, write, poll, hang-up; and what drivers call. dev/tty.h has the picture and the locks.
 * Sources: termios(3) ("Canonical and noncanonical mode"), tty(4), POSIX.1-2017 11.1.
 */
#include "dev/tty.h"
#include "lib/signum.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

#define WRITE_CHUNK 1024 /* bytes of one write(2) that reach the line together */
#define READ_CHUNK 256
#define TIME_UNIT (NSEC_PER_SEC / 10) /* of VTIME */

const struct tty_process_ops *tty_process_ops;

void tty_set_process_ops(const struct tty_process_ops *ops) { tty_process_ops = ops; }

/* ---- making ---- */

static struct tty *ldisc_tty(struct ldisc *l) { return container_of(l, struct tty, ldisc); }
static void emit_echo(struct ldisc *l, const u8 *bytes, size_t n)
{
    ldisc_tty(l)->driver->write(ldisc_tty(l), bytes, n);
}
static void drop_output(struct ldisc *l)
{
    struct tty *tty = ldisc_tty(l);

    if (tty->driver->drop_output != NULL)
        tty->driver->drop_output(tty);
}

void tty_reset(struct tty *tty)
{
    ldisc_reset(&tty->ldisc);
    tty->winsize = (struct winsize){0};
    tty->session = tty->foreground = 0;
    tty->stopped = tty->exclusive = tty->sender_stopped = false;
}

int tty_setup(struct tty *tty, const char *name, u32 dev, const struct tty_driver *driver, size_t queue_size)
{
    copy_string(tty->name, name, sizeof(tty->name));
    tty->dev = dev;
    tty->driver = driver;
    mutex_init(&tty->open_lock);
    wait_queue_init(&tty->readers);
    wait_queue_init(&tty->writers);
    spin_init(&tty->lock);
    tty->ldisc.queue = kmalloc(queue_size);
    tty->ldisc.marks = kmalloc(queue_size / 8);
    if (tty->ldisc.queue == NULL || tty->ldisc.marks == NULL) {
        kfree(tty->ldisc.queue);
        kfree(tty->ldisc.marks);
        return -ENOMEM;
    }
    tty->ldisc.size = queue_size;
    tty->ldisc.emit = emit_echo;
    tty->ldisc.drop_output = drop_output;
    tty_reset(tty);
    return 0;
}

/* ---- input, from drivers ---- */

void tty_signal_foreground(struct tty *tty, int sig)
{
    int group = load_relaxed(&tty->foreground);

    if (group > 0 && tty_process_ops != NULL)
        tty_process_ops->signal_group(group, sig);
}

/* What the line discipline asked for. => no lock */
static void act_on(struct tty *tty, u32 events)
{
    if (events & LDISC_INTR)
        tty_signal_foreground(tty, SIGINT);
    if (events & LDISC_QUIT)
        tty_signal_foreground(tty, SIGQUIT);
    if (events & LDISC_SUSP)
        tty_signal_foreground(tty, SIGTSTP);
    if (events != 0)
        wake_all(&tty->writers);
}

/* IXOFF: asks the other side to stop when the queue is nearly full, and to go on when half of it is free. => tty->lock
 */
static void pace_sender(struct tty *tty)
{
    const struct ldisc *l = &tty->ldisc;
    size_t room = ldisc_room(l);
    bool stop = tty->sender_stopped ? room < l->size / 2 : room < l->size / 8;

    if (!(l->termios.iflag & IXOFF))
        stop = false;
    if (stop == tty->sender_stopped)
        return;
    tty->sender_stopped = stop;
    tty->driver->write(tty, &l->termios.cc[stop ? VSTOP : VSTART], 1);
}

static void received(struct tty *tty, u64 flags)
{
    u32 events = tty->ldisc.events;
    bool is_readable = ldisc_is_readable(&tty->ldisc, 1);

    tty->ldisc.events = 0;
    pace_sender(tty);
    spin_unlock_irqrestore(&tty->lock, flags);
    act_on(tty, events);
    if (is_readable)
        wake_all(&tty->readers);
}

void tty_receive(struct tty *tty, const u8 *bytes, size_t n)
{
    u64 flags = spin_lock_irqsave(&tty->lock);

    for (size_t i = 0; i < n; i++)
        ldisc_receive(&tty->ldisc, bytes[i]);
    received(tty, flags);
}

void tty_receive_break(struct tty *tty)
{
    u64 flags = spin_lock_irqsave(&tty->lock);

    ldisc_receive_break(&tty->ldisc);
    received(tty, flags);
}

size_t tty_input_room(struct tty *tty) { return ldisc_room(&tty->ldisc); }
void tty_output_possible(struct tty *tty) { wake_all(&tty->writers); }

/* ---- open, close ---- */

static bool is_hung_up(const struct tty_file *f)
{
    return !f->survives_hangup && f->hangups != load_relaxed(&f->tty->hangups);
}

static bool is_refused_as_exclusive(const struct tty *tty)
{
    return tty->exclusive && !capable(current->cred, CAP_SYS_ADMIN);
}

static int open_tty(struct tty *tty, struct file *file, bool as_console)
{
    struct tty_file *f;

    mutex_lock(&tty->open_lock);
    if (is_refused_as_exclusive(tty)) {
        mutex_unlock(&tty->open_lock);
        return -EBUSY;
    }
    f = kmalloc(sizeof(*f));
    if (f == NULL) {
        mutex_unlock(&tty->open_lock);
        return -ENOMEM;
    }
    *f = (struct tty_file){.tty = tty, .hangups = load_relaxed(&tty->hangups), .survives_hangup = as_console};
    file->private = f;
    file->ops = &tty_file_ops;
    tty->opens++;
    if (tty->driver->opened != NULL)
        tty->driver->opened(tty);
    mutex_unlock(&tty->open_lock);
    if (!(file->flags & O_NOCTTY) && !as_console && file->can_read)
        tty_claim_as_controlling(tty);
    return 0;
}

static int tty_open(struct inode *inode, struct file *file) { return open_tty(file->private, file, false); }
static int console_open(struct inode *inode, struct file *file) { return open_tty(file->private, file, true); }

/* /dev/tty: the caller's own. */
static int own_tty_open(struct inode *inode, struct file *file)
{
    struct tty *tty = tty_process_ops != NULL ? tty_process_ops->current_tty() : NULL;

    return tty == NULL ? -ENXIO : open_tty(tty, file, false);
}

static void tty_release(struct file *file)
{
    struct tty_file *f = file->private;
    struct tty *tty = f->tty;

    mutex_lock(&tty->open_lock);
    if (--tty->opens == 0) {
        tty->exclusive = tty->stopped = false;
        if (tty->driver->closed != NULL)
            tty->driver->closed(tty);
    }
    mutex_unlock(&tty->open_lock);
    kfree(f);
}

/* ---- read ---- */

struct raw_rules {
    size_t min;       /* bytes to wait for */
    u64 first, later; /* ns to wait for the first byte, for each further one; NO_DEADLINE: for ever */
};

/* The four cases of MIN and TIME (termios(3)); a canonical read waits for a line without limit. */
static struct raw_rules raw_rules(const struct ldisc *l, size_t wanted)
{
    size_t min = l->termios.cc[VMIN];
    u64 time = l->termios.cc[VTIME] * TIME_UNIT;

    if (ldisc_is_canonical(l))
        return (struct raw_rules){1, NO_DEADLINE, NO_DEADLINE};
    if (min == 0)
        return (struct raw_rules){1, time, time};
    return (struct raw_rules){MIN(min, wanted), NO_DEADLINE, time > 0 ? time : NO_DEADLINE};
}

/* Moves what is there to the reader. *END: the read is complete. Bytes, or -EFAULT. */
static ssize_t read_some(struct tty *tty, struct uio *uio, bool *end)
{
    u8 buffer[READ_CHUNK];
    u64 flags = spin_lock_irqsave(&tty->lock);
    size_t n = ldisc_read(&tty->ldisc, buffer, MIN(uio->left, sizeof(buffer)), end);

    pace_sender(tty);
    spin_unlock_irqrestore(&tty->lock, flags);
    return uio_copy_out(uio, buffer, n) == n ? (ssize_t)n : -EFAULT;
}

static bool has_input(const struct tty_file *f) { return ldisc_is_readable(&f->tty->ldisc, 1) || is_hung_up(f); }

/* 0: look again; 1: the read is over, with what it has; -errno. */
static int wait_for_input(struct file *file, struct tty_file *f, const struct raw_rules *rules, size_t done)
{
    u64 limit = done > 0 ? rules->later : rules->first;
    int error;

    if (is_hung_up(f) || limit == 0 || done >= rules->min)
        return 1;
    if (file->flags & O_NONBLOCK)
        return -EAGAIN;
    error = wait_event_deadline(&f->tty->readers, has_input(f), limit == NO_DEADLINE ? NO_DEADLINE : time_ns() + limit);
    if (error == -ETIMEDOUT)
        return 1;
    return error == -EINTR ? -ERESTARTSYS : error;
}

static ssize_t tty_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct tty_file *f = file->private;
    struct tty *tty = f->tty;
    struct raw_rules rules = raw_rules(&tty->ldisc, uio->left);
    size_t done = 0;
    int result = 0;

    while (uio->left > 0 && result == 0) {
        bool end;
        ssize_t n;

        if (is_hung_up(f))
            break;
        result = tty_check_background(tty, SIGTTIN);
        if (result != 0)
            break;
        n = read_some(tty, uio, &end);
        if (n < 0) {
            result = (int)n;
            break;
        }
        done += (size_t)n;
        if (n > 0 && tty->driver->room_for_input != NULL)
            tty->driver->room_for_input(tty);
        if (end || (n == 0 && done > 0 && ldisc_is_canonical(&tty->ldisc)))
            break;
        if (n == 0)
            result = wait_for_input(file, f, &rules, done);
    }
    return done > 0 || result == 1 ? (ssize_t)done : result;
}

/* ---- write ---- */

static bool output_is_held(const struct tty *tty) { return tty->stopped || tty->ldisc.output_held; }

/* Sends as much of BYTES as the line takes now: bytes. */
static size_t send_some(struct tty *tty, const u8 *bytes, size_t n)
{
    u8 out[128];
    u64 flags = spin_lock_irqsave(&tty->lock);
    size_t sent = 0, room = tty->driver->room(tty);

    while (sent < n && !output_is_held(tty) && room >= LDISC_EXPANSION) {
        size_t filled = 0;

        while (sent < n && filled + LDISC_EXPANSION <= MIN(room, sizeof(out)))
            filled += ldisc_output(&tty->ldisc, bytes[sent++], out + filled);
        tty->driver->write(tty, out, filled);
        room = tty->driver->room(tty);
    }
    spin_unlock_irqrestore(&tty->lock, flags);
    return sent;
}

static bool can_write(const struct tty_file *f)
{
    struct tty *tty = f->tty;

    return is_hung_up(f) || (!output_is_held(tty) && tty->driver->room(tty) >= LDISC_EXPANSION);
}

static int send_all(struct file *file, struct tty_file *f, const u8 *bytes, size_t n, size_t *sent)
{
    struct tty *tty = f->tty;

    *sent = 0;
    for (;;) {
        if (is_hung_up(f))
            return -EIO;
        *sent += send_some(tty, bytes + *sent, n - *sent);
        if (*sent == n)
            return 0;
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        if (wait_event_interruptible(&tty->writers, can_write(f)) != 0)
            return -ERESTARTSYS;
    }
}

static ssize_t tty_write(struct file *file, struct uio *uio, u64 *pos)
{
    struct tty_file *f = file->private;
    u8 chunk[WRITE_CHUNK];
    size_t done = 0, sent;
    int error = 0;

    if (is_hung_up(f))
        return -EIO;
    if (f->tty->ldisc.termios.lflag & TOSTOP)
        error = tty_check_background(f->tty, SIGTTOU);
    while (uio->left > 0 && error == 0) {
        size_t wanted = MIN(uio->left, sizeof(chunk)), n = uio_copy_in(uio, chunk, wanted);

        if (n < wanted)
            error = -EFAULT;
        if (n > 0) {
            int send_error = send_all(file, f, chunk, n, &sent);

            done += sent;
            error = send_error != 0 ? send_error : error;
        }
    }
    return done > 0 ? (ssize_t)done : error;
}

static unsigned tty_poll(struct file *file, struct poll_table *table)
{
    struct tty_file *f = file->private;
    struct tty *tty = f->tty;
    const struct termios *t = &tty->ldisc.termios;
    unsigned events = 0;

    if (table != NULL) {
        poll_wait(table, &tty->readers);
        poll_wait(table, &tty->writers);
    }
    if (is_hung_up(f))
        return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP;
    if (ldisc_is_readable(&tty->ldisc, t->cc[VTIME] == 0 ? t->cc[VMIN] : 1))
        events |= POLLIN | POLLRDNORM;
    if (can_write(f))
        events |= POLLOUT | POLLWRNORM;
    return events;
}

static long tty_file_ioctl(struct file *file, unsigned command, u64 argument)
{
    return is_hung_up(file->private) ? -EIO : tty_ioctl(file, command, argument);
}

const struct file_ops tty_file_ops = {
    .open = tty_open,
    .release = tty_release,
    .read = tty_read,
    .write = tty_write,
    .ioctl = tty_file_ioctl,
    .poll = tty_poll,
};
static const struct file_ops console_file_ops = {.open = console_open};
static const struct file_ops own_tty_file_ops = {.open = own_tty_open};

/* ---- the end of a line ---- */

/* The session and its foreground group lose the terminal, and are told. */
static void end_session(struct tty *tty)
{
    u64 flags = spin_lock_irqsave(&tty->lock);
    int session = tty->session, group = tty->foreground;

    tty->session = tty->foreground = 0;
    spin_unlock_irqrestore(&tty->lock, flags);
    if (tty_process_ops != NULL && session > 0) {
        tty_process_ops->clear_session_tty(session, tty);
        tty_process_ops->signal_session_leader(session, SIGHUP);
        tty_process_ops->signal_session_leader(session, SIGCONT);
    }
    if (tty_process_ops != NULL && group > 0) {
        tty_process_ops->signal_group(group, SIGHUP);
        tty_process_ops->signal_group(group, SIGCONT);
    }
}

void tty_hangup(struct tty *tty)
{
    u64 flags = spin_lock_irqsave(&tty->lock);

    tty->hangups++;
    tty->stopped = tty->ldisc.output_held = false;
    ldisc_flush_input(&tty->ldisc);
    spin_unlock_irqrestore(&tty->lock, flags);
    end_session(tty);
    wake_all(&tty->readers);
    wake_all(&tty->writers);
    if (tty->driver->room_for_input != NULL)
        tty->driver->room_for_input(tty);
}

void tty_session_leader_exits(struct tty *tty, int sid)
{
    if (load_relaxed(&tty->session) != sid)
        return;
    if (tty->driver->outlives_sessions)
        end_session(tty);
    else
        tty_hangup(tty);
}

void tty_hangup_current(void)
{
    struct tty *tty = tty_process_ops->current_tty();

    if (tty != NULL)
        tty_hangup(tty);
}

u32 tty_dev(const struct tty *tty) { return tty != NULL ? tty->dev : 0; }
int tty_foreground(struct tty *tty) { return tty != NULL ? load_relaxed(&tty->foreground) : -1; }

void console_drain(void) { uart_flush(); }

/* ---- boot ---- */

static void add_device(const char *name, u32 mode, u32 dev, const struct file_ops *ops, void *private)
{
    int error = devfs_add(name, S_IFCHR | mode, dev, ops, private);

    if (error != 0)
        kprintf("tty: /dev/%s: error %d", name, -error);
}

void tty_init(void)
{
    struct tty *console = uart_init();

    add_device("tty", 0666, makedev(5, 0), &own_tty_file_ops, NULL);
    if (console != NULL) {
        console->ldisc.termios.cflag = B115200 | CS8 | CREAD | HUPCL | CLOCAL;
        console->ldisc.termios.ispeed = console->ldisc.termios.ospeed = 115200;
        console->ldisc.termios.iflag |= IUTF8;
        add_device(console->name, 0620, console->dev, &tty_file_ops, console);
        add_device("console", 0600, makedev(5, 1), &console_file_ops, console);
    }
    pty_init();
}
