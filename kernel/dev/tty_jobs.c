/*
 * Terminals and job control: which session a terminal controls, which of its groups is in the foreground, and what
 * background processes may do. Sources: POSIX.1-2017 11.1.2 to 11.1.4, tty_ioctl(4), credentials(7), setsid(2).
 */
#include "dev/tty.h"
#include "lib/signum.h"
#include "vm/uaccess.h"

#define TIOCSCTTY 0x540e
#define TIOCSPGRP 0x5410
#define TIOCNOTTY 0x5422
#define TIOCVHANGUP 0x5437

static bool is_controlling(const struct tty *tty)
{
    return tty_process_ops != NULL && tty_process_ops->current_tty() == tty &&
           load_relaxed(&tty->session) == tty_process_ops->current_sid();
}

int tty_check_background(struct tty *tty, int sig)
{
    int group, foreground = load_relaxed(&tty->foreground);

    if (!is_controlling(tty) || foreground <= 0)
        return 0;
    group = tty_process_ops->current_pgid();
    if (group == foreground)
        return 0;
    if (tty_process_ops->current_ignores(sig))
        return sig == SIGTTIN ? -EIO : 0;
    if (tty_process_ops->group_is_orphaned(group))
        return -EIO;
    tty_process_ops->signal_group(group, sig);
    return -ERESTARTSYS;
}

/* The caller, a session leader, gets TTY; nobody else has it. */
static void make_controlling(struct tty *tty)
{
    u64 flags = spin_lock_irqsave(&tty->lock);

    tty->session = tty_process_ops->current_sid();
    tty->foreground = tty_process_ops->current_pgid();
    spin_unlock_irqrestore(&tty->lock, flags);
    tty_process_ops->set_current_tty(tty);
}

void tty_claim_as_controlling(struct tty *tty)
{
    if (tty_process_ops == NULL || !tty_process_ops->current_is_session_leader() ||
        tty_process_ops->current_tty() != NULL)
        return;
    mutex_lock(&tty->open_lock);
    if (tty->session == 0)
        make_controlling(tty);
    mutex_unlock(&tty->open_lock);
}

/* ARGUMENT 1: root may take the terminal away from another session. => open_lock */
static int set_controlling_locked(struct tty *tty, u64 argument)
{
    if (tty->session != 0) {
        if (argument != 1 || !capable(current->cred, CAP_SYS_ADMIN))
            return -EPERM;
        tty_process_ops->clear_session_tty(tty->session, tty);
    }
    make_controlling(tty);
    return 0;
}

static int set_controlling(struct file *file, struct tty *tty, u64 argument)
{
    bool is_leader = tty_process_ops->current_is_session_leader();
    int error;

    if (is_leader && is_controlling(tty))
        return 0;
    if (!is_leader || tty_process_ops->current_tty() != NULL)
        return -EPERM;
    if (!file->can_read && !capable(current->cred, CAP_SYS_ADMIN))
        return -EPERM;
    mutex_lock(&tty->open_lock);
    error = set_controlling_locked(tty, argument);
    mutex_unlock(&tty->open_lock);
    return error;
}

static int give_up_controlling(struct tty *tty)
{
    int session = tty_process_ops->current_sid(), group;
    u64 flags;

    if (!is_controlling(tty))
        return -ENOTTY;
    /* The terminal is the session's; one member alone cannot leave it but by setsid(2). */
    if (!tty_process_ops->current_is_session_leader())
        return -EPERM;
    flags = spin_lock_irqsave(&tty->lock);
    group = tty->foreground;
    tty->session = tty->foreground = 0;
    spin_unlock_irqrestore(&tty->lock, flags);
    tty_process_ops->clear_session_tty(session, tty);
    if (group > 0) {
        tty_process_ops->signal_group(group, SIGHUP);
        tty_process_ops->signal_group(group, SIGCONT);
    }
    return 0;
}

static int set_foreground(struct tty *tty, s32 group)
{
    int error = tty_check_background(tty, SIGTTOU), session;

    if (error != 0)
        return error == -EIO ? -ENOTTY : error;
    if (!is_controlling(tty))
        return -ENOTTY;
    if (group < 0)
        return -EINVAL;
    session = tty_process_ops->session_of_group(group);
    if (session < 0)
        return -ESRCH;
    if (session != tty_process_ops->current_sid())
        return -EPERM;
    store_relaxed(&tty->foreground, group);
    return 0;
}

long tty_jobs_ioctl(struct file *file, unsigned command, u64 argument)
{
    struct tty *tty = ((struct tty_file *)file->private)->tty;
    u32 group;

    if (tty_process_ops == NULL)
        return -ENOIOCTL;
    switch (command) {
    case TIOCSCTTY:
        return set_controlling(file, tty, argument);
    case TIOCNOTTY:
        return give_up_controlling(tty);
    case TIOCGPGRP:
        return is_controlling(tty) ? put_user_u32((u32)load_relaxed(&tty->foreground), (u32 *)argument) : -ENOTTY;
    case TIOCSPGRP:
        if (get_user_u32(&group, (const u32 *)argument) != 0)
            return -EFAULT;
        return set_foreground(tty, (s32)group);
    case TIOCGSID:
        return is_controlling(tty) ? put_user_u32((u32)load_relaxed(&tty->session), (u32 *)argument) : -ENOTTY;
    case TIOCVHANGUP:
        if (!capable(current->cred, CAP_SYS_ADMIN))
            return -EPERM;
        tty_hangup(tty);
        return 0;
    default:
        return -ENOIOCTL;
    }
}
