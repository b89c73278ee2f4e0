/*
 * ioctl(2) on terminals: attributes, window size, flow control, queues. Sources: tty_ioctl(4), ioctl_tty(2),
 * termios(3). What belongs to virtual consoles and modems (KD*, VT_*, TIOCM*) is ENOTTY: there are none.
 */
#include "dev/tty.h"
#include "lib/signum.h"
#include "lib/string.h"
#include "vm/uaccess.h"

#define TCGETS 0x5401
#define TCSETS 0x5402
#define TCSETSW 0x5403
#define TCSETSF 0x5404
#define TCGETA 0x5405
#define TCSETA 0x5406
#define TCSETAW 0x5407
#define TCSETAF 0x5408
#define TCSBRK 0x5409
#define TCXONC 0x540a
#define TIOCEXCL 0x540c
#define TIOCNXCL 0x540d
#define TIOCOUTQ 0x5411
#define TIOCSTI 0x5412
#define TIOCGWINSZ 0x5413
#define TIOCSWINSZ 0x5414
#define TIOCCONS 0x541d
#define TIOCSETD 0x5423
#define TIOCGETD 0x5424
#define TCSBRKP 0x5425
#define TIOCSBRK 0x5427
#define TIOCCBRK 0x5428
#define TCGETS2 0x802c542a
#define TCSETS2 0x402c542b
#define TCSETSW2 0x402c542c
#define TCSETSF2 0x402c542d
#define TIOCGDEV 0x80045432
#define TIOCGEXCL 0x80045440

#define TCOOFF 0
#define TCOON 1
#define TCIOFF 2
#define TCION 3

struct termio { /* System V's, in the ABI still: the low halves of the flags, the first characters */
    u16 iflag, oflag, cflag, lflag;
    u8 line, cc[8];
};
static_assert(sizeof(struct termio) == 18, "the ABI's size");

#define N_TTY 0
#define BREAK_NS (250 * NSEC_PER_MSEC)

/* ---- attributes ---- */

static long get_termios(struct tty *tty, void *user, size_t size)
{
    struct termios t;
    u64 flags = spin_lock_irqsave(&tty->lock);

    t = tty->ldisc.termios;
    spin_unlock_irqrestore(&tty->lock, flags);
    return copy_to_user(user, &t, size);
}

static long get_termio(struct tty *tty, void *user)
{
    struct termio old = {0};
    u64 flags = spin_lock_irqsave(&tty->lock);
    const struct termios *t = &tty->ldisc.termios;

    old.iflag = (u16)t->iflag;
    old.oflag = (u16)t->oflag;
    old.cflag = (u16)t->cflag;
    old.lflag = (u16)t->lflag;
    old.line = t->line;
    memcpy(old.cc, t->cc, sizeof(old.cc));
    spin_unlock_irqrestore(&tty->lock, flags);
    return copy_to_user(user, &old, sizeof(old));
}

static bool everything_is_sent(struct tty *tty)
{
    return tty->driver->pending == NULL || tty->driver->pending(tty) == 0;
}

static int drain(struct tty *tty)
{
    return wait_event_interruptible(&tty->writers, everything_is_sent(tty)) != 0 ? -ERESTARTSYS : 0;
}

static void flush_input(struct tty *tty)
{
    u64 flags = spin_lock_irqsave(&tty->lock);

    ldisc_flush_input(&tty->ldisc);
    spin_unlock_irqrestore(&tty->lock, flags);
    if (tty->driver->room_for_input != NULL)
        tty->driver->room_for_input(tty);
}

static void flush_output(struct tty *tty)
{
    u64 flags = spin_lock_irqsave(&tty->lock);

    if (tty->driver->drop_output != NULL)
        tty->driver->drop_output(tty);
    spin_unlock_irqrestore(&tty->lock, flags);
    wake_all(&tty->writers);
}

struct set_rules {
    bool drain, flush;
    size_t size;
};

static long change_termios(struct tty *tty, struct termios *t, struct set_rules rules)
{
    u64 flags;
    int error = rules.drain ? drain(tty) : 0;

    if (error != 0)
        return error;
    if (rules.flush)
        flush_input(tty);
    flags = spin_lock_irqsave(&tty->lock);
    t->line = tty->ldisc.termios.line;
    ldisc_set_termios(&tty->ldisc, t);
    tty->ldisc.events = 0;
    spin_unlock_irqrestore(&tty->lock, flags);
    /* Readers may find a line where there was none, writers that nothing holds them any more. */
    wake_all(&tty->readers);
    wake_all(&tty->writers);
    return 0;
}

static long set_termios(struct tty *tty, const void *user, struct set_rules rules)
{
    struct termios t = tty->ldisc.termios;

    if (copy_from_user(&t, user, rules.size) != 0)
        return -EFAULT;
    return change_termios(tty, &t, rules);
}

static u32 with_low_half(u32 flags, u16 low) { return (flags & 0xffff0000u) | low; }

static long set_termio(struct tty *tty, const void *user, struct set_rules rules)
{
    struct termios t = tty->ldisc.termios;
    struct termio old;

    if (copy_from_user(&old, user, sizeof(old)) != 0)
        return -EFAULT;
    t.iflag = with_low_half(t.iflag, old.iflag);
    t.oflag = with_low_half(t.oflag, old.oflag);
    t.cflag = with_low_half(t.cflag, old.cflag);
    t.lflag = with_low_half(t.lflag, old.lflag);
    memcpy(t.cc, old.cc, sizeof(old.cc));
    return change_termios(tty, &t, rules);
}

/* ---- window size ---- */

void tty_set_winsize(struct tty *tty, const struct winsize *size)
{
    u64 flags = spin_lock_irqsave(&tty->lock);
    bool changed = memcmp(&tty->winsize, size, sizeof(*size)) != 0;

    tty->winsize = *size;
    spin_unlock_irqrestore(&tty->lock, flags);
    if (changed)
        tty_signal_foreground(tty, SIGWINCH);
}

static long set_winsize(struct tty *tty, const void *user)
{
    struct winsize size;

    if (copy_from_user(&size, user, sizeof(size)) != 0)
        return -EFAULT;
    tty_set_winsize(tty, &size);
    return 0;
}

static long get_winsize(struct tty *tty, void *user)
{
    struct winsize size;
    u64 flags = spin_lock_irqsave(&tty->lock);

    size = tty->winsize;
    spin_unlock_irqrestore(&tty->lock, flags);
    return copy_to_user(user, &size, sizeof(size));
}

/* ---- flow, queues, breaks ---- */

static void hold_output(struct tty *tty, bool hold)
{
    u64 flags = spin_lock_irqsave(&tty->lock);

    tty->stopped = hold;
    if (!hold)
        tty->ldisc.output_held = false;
    spin_unlock_irqrestore(&tty->lock, flags);
    wake_all(&tty->writers);
}

/* Tells the other side to stop or to go on. */
static void send_key(struct tty *tty, unsigned index)
{
    u64 flags = spin_lock_irqsave(&tty->lock);
    u8 key = tty->ldisc.termios.cc[index];

    if (key != 0)
        tty->driver->write(tty, &key, 1);
    spin_unlock_irqrestore(&tty->lock, flags);
}

static long control_flow(struct tty *tty, u64 action)
{
    switch (action) {
    case TCOOFF:
    case TCOON:
        hold_output(tty, action == TCOOFF);
        return 0;
    case TCIOFF:
    case TCION:
        send_key(tty, action == TCIOFF ? VSTOP : VSTART);
        return 0;
    default:
        return -EINVAL;
    }
}

static long flush(struct tty *tty, u64 which)
{
    if (which > TCIOFLUSH)
        return -EINVAL;
    if (which != TCOFLUSH)
        flush_input(tty);
    if (which != TCIFLUSH)
        flush_output(tty);
    return 0;
}

static void set_break(struct tty *tty, bool on)
{
    if (tty->driver->set_break != NULL)
        tty->driver->set_break(tty, on);
}

static long send_break(struct tty *tty)
{
    struct wait_queue nobody_wakes = WAIT_QUEUE_INIT(nobody_wakes);
    int error = drain(tty);

    if (error != 0)
        return error;
    set_break(tty, true);
    error = wait_event_deadline(&nobody_wakes, false, time_ns() + BREAK_NS);
    set_break(tty, false);
    return error == -EINTR ? -EINTR : 0;
}

static long count_input(struct tty *tty, u32 *user)
{
    u64 flags = spin_lock_irqsave(&tty->lock);
    size_t n = ldisc_available(&tty->ldisc);

    spin_unlock_irqrestore(&tty->lock, flags);
    return put_user_u32((u32)n, user);
}

static long set_exclusive(struct tty *tty, bool exclusive)
{
    mutex_lock(&tty->open_lock);
    tty->exclusive = exclusive;
    mutex_unlock(&tty->open_lock);
    return 0;
}

static long set_discipline(const u32 *user)
{
    u32 discipline;

    if (get_user_u32(&discipline, user) != 0)
        return -EFAULT;
    return discipline == N_TTY ? 0 : -EINVAL;
}

/* Does COMMAND change the terminal, so that a background process has to stop first? */
static bool is_change(unsigned command)
{
    switch (command) {
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
    case TCSBRK:
    case TCSBRKP:
    case TIOCSBRK:
    case TIOCCBRK:
    case TCXONC:
    case TCFLSH:
    case TIOCSETD:
        return true;
    default:
        return false;
    }
}

static long attributes_ioctl(struct tty *tty, unsigned command, void *user)
{
    switch (command) {
    case TCGETS:
        return get_termios(tty, user, TERMIOS1_SIZE);
    case TCGETS2:
        return get_termios(tty, user, sizeof(struct termios));
    case TCSETS:
        return set_termios(tty, user, (struct set_rules){.size = TERMIOS1_SIZE});
    case TCSETS2:
        return set_termios(tty, user, (struct set_rules){.size = sizeof(struct termios)});
    case TCSETSW:
        return set_termios(tty, user, (struct set_rules){.drain = true, .size = TERMIOS1_SIZE});
    case TCSETSW2:
        return set_termios(tty, user, (struct set_rules){.drain = true, .size = sizeof(struct termios)});
    case TCSETSF:
        return set_termios(tty, user, (struct set_rules){.drain = true, .flush = true, .size = TERMIOS1_SIZE});
    case TCSETSF2:
        return set_termios(tty, user, (struct set_rules){.drain = true, .flush = true, .size = sizeof(struct termios)});
    case TCGETA:
        return get_termio(tty, user);
    case TCSETA:
        return set_termio(tty, user, (struct set_rules){0});
    case TCSETAW:
        return set_termio(tty, user, (struct set_rules){.drain = true});
    case TCSETAF:
        return set_termio(tty, user, (struct set_rules){.drain = true, .flush = true});
    case TIOCGWINSZ:
        return get_winsize(tty, user);
    case TIOCSWINSZ:
        return set_winsize(tty, user);
    case TIOCGETD:
        return put_user_u32(N_TTY, user);
    case TIOCSETD:
        return set_discipline(user);
    default:
        return -ENOIOCTL;
    }
}

static long line_ioctl(struct tty *tty, unsigned command, u64 argument)
{
    switch (command) {
    case TCSBRK:
        return argument == 0 ? send_break(tty) : drain(tty);
    case TCSBRKP:
        return send_break(tty);
    case TIOCSBRK:
    case TIOCCBRK:
        set_break(tty, command == TIOCSBRK);
        return 0;
    case TCXONC:
        return control_flow(tty, argument);
    case TCFLSH:
        return flush(tty, argument);
    case TIOCOUTQ:
        return put_user_u32(tty->driver->pending != NULL ? (u32)tty->driver->pending(tty) : 0, (u32 *)argument);
    case FIONREAD:
        return count_input(tty, (u32 *)argument);
    case TIOCEXCL:
    case TIOCNXCL:
        return set_exclusive(tty, command == TIOCEXCL);
    case TIOCGEXCL:
        return put_user_u32(tty->exclusive, (u32 *)argument);
    case TIOCGDEV:
        return put_user_u32(tty->dev, (u32 *)argument);
    case TIOCSTI: /* injecting input: refused as Linux does with dev.tty.legacy_tiocsti = 0 */
    case TIOCCONS:
        return -EPERM;
    default:
        return -ENOTTY;
    }
}

long tty_master_ioctl(struct tty *tty, unsigned command, u64 argument)
{
    long result = attributes_ioctl(tty, command, (void *)argument);

    if (command == TIOCGPGRP)
        return put_user_u32((u32)load_relaxed(&tty->foreground), (u32 *)argument);
    if (command == TIOCGSID)
        return tty->session > 0 ? put_user_u32((u32)tty->session, (u32 *)argument) : -ENOTTY;
    return result == -ENOIOCTL ? line_ioctl(tty, command, argument) : result;
}

long tty_ioctl(struct file *file, unsigned command, u64 argument)
{
    struct tty *tty = ((struct tty_file *)file->private)->tty;
    long result = -ENOIOCTL;

    if (is_change(command))
        result = tty_check_background(tty, SIGTTOU);
    if (result != 0 && result != -ENOIOCTL)
        return result;
    result = -ENOIOCTL;
    if (tty->driver->ioctl != NULL)
        result = tty->driver->ioctl(tty, command, argument);
    if (result == -ENOIOCTL)
        result = tty_jobs_ioctl(file, command, argument);
    if (result == -ENOIOCTL)
        result = attributes_ioctl(tty, command, (void *)argument);
    if (result == -ENOIOCTL)
        result = line_ioctl(tty, command, argument);
    return result;
}
