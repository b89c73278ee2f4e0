/*
 * Process groups and sessions (credentials(7), setpgid(2), setsid(2); POSIX.1-2024 XBD 11.1.4 and 3.264 "Orphaned
 * Process Group"). A group or session is nothing but its struct pid and the processes listed there.
 */
#include "proc/internal.h"

static void (*tty_leader_exits)(void *tty, int sid);

void proc_set_tty_hangup(void (*leader_exits)(void *tty, int sid)) { tty_leader_exits = leader_exits; }

void group_join(struct process *p, struct pid *group)
{
    pid_use(group);
    p->group = group;
    list_add_tail(&group->group, &p->group_link);
}

void group_leave(struct process *p)
{
    list_remove(&p->group_link);
    pid_put(p->group);
    p->group = NULL;
}

void session_join(struct process *p, struct pid *session)
{
    pid_use(session);
    p->session = session;
    list_add_tail(&session->session, &p->session_link);
}

void session_leave(struct process *p)
{
    struct pid *session = p->session;

    list_remove(&p->session_link);
    if (list_empty(&session->session))
        session->tty = NULL;
    p->session = NULL;
    pid_put(session);
}

/* ---- orphaned groups ---- */

/* A member whose parent is in another group of the same session keeps a group from being orphaned. */
static bool has_caring_parent(const struct process *p)
{
    const struct process *parent = p->parent;

    return parent != NULL && parent != init_process && !parent->is_zombie && parent->group != p->group &&
           parent->session == p->session;
}

bool group_is_orphaned_locked(const struct pid *group, const struct process *ignored)
{
    struct process *p;

    list_for_each(p, &group->group, group_link) {
        if (p != ignored && !p->is_zombie && has_caring_parent(p))
            return false;
    }
    return true;
}

static bool has_stopped_member(const struct pid *group)
{
    struct process *p;

    list_for_each(p, &group->group, group_link) {
        if (p->is_stopped)
            return true;
    }
    return false;
}

static void send_locked(struct process *p, int sig)
{
    struct siginfo info = {.signo = sig, .code = SI_KERNEL};

    signal_send(p, NULL, &info);
}

static void send_hangup(struct pid *group)
{
    struct process *p;

    list_for_each(p, &group->group, group_link) {
        send_locked(p, SIGHUP);
        send_locked(p, SIGCONT);
    }
}

void group_check_orphaned_by_exit(struct process *p)
{
    struct process *parent = p->parent;

    if (parent == NULL || parent->group == p->group || parent->session != p->session)
        return;
    if (group_is_orphaned_locked(p->group, p) && has_stopped_member(p->group))
        send_hangup(p->group);
}

void group_check_orphaned_child(struct process *child, struct process *old_parent)
{
    if (old_parent->group == child->group || old_parent->session != child->session)
        return;
    if (group_is_orphaned_locked(child->group, NULL) && has_stopped_member(child->group))
        send_hangup(child->group);
}

bool group_is_orphaned(int pgid)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct pid *group = pid_lookup(pgid);
    bool orphaned = group == NULL || group_is_orphaned_locked(group, NULL);

    spin_unlock_irqrestore(&task_lock, flags);
    return orphaned;
}

int group_session(int pgid, int *sid)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct pid *group = pid_lookup(pgid);
    int error = -ESRCH;

    if (group != NULL && !list_empty(&group->group)) {
        *sid = list_first(&group->group, struct process, group_link)->session->number;
        error = 0;
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return error;
}

int signal_send_group(int pgid, int sig)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct pid *group = pid_lookup(pgid);
    struct process *p;
    int error = -ESRCH;

    if (group != NULL) {
        list_for_each(p, &group->group, group_link) {
            if (sig != 0)
                send_locked(p, sig);
            error = 0;
        }
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return error;
}

/* ---- terminals ---- */

void *session_tty(const struct process *p)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    void *tty = p->session != NULL ? p->session->tty : NULL;

    spin_unlock_irqrestore(&task_lock, flags);
    return tty;
}

bool process_is_session_leader(const struct process *p)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    bool is_leader = p->session != NULL && p->session == p->pid;

    spin_unlock_irqrestore(&task_lock, flags);
    return is_leader;
}

void session_set_tty(void *tty)
{
    u64 flags = spin_lock_irqsave(&task_lock);

    current_process()->session->tty = tty;
    spin_unlock_irqrestore(&task_lock, flags);
}

void session_clear_tty(int sid, void *tty)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct pid *session = pid_lookup(sid);

    if (session != NULL && session->tty == tty)
        session->tty = NULL;
    spin_unlock_irqrestore(&task_lock, flags);
}

void session_leader_exits(struct process *p)
{
    void *tty = NULL;
    int sid = 0;
    u64 flags = spin_lock_irqsave(&task_lock);

    if (p->session == p->pid) {
        sid = p->session->number;
        tty = p->session->tty;
        p->session->tty = NULL;
    }
    spin_unlock_irqrestore(&task_lock, flags);
    if (tty != NULL && tty_leader_exits != NULL)
        tty_leader_exits(tty, sid);
}
