/* What dev/tty asks about processes, sessions and groups, answered; and vhangup(2). */
#include "dev/tty.h"
#include "lib/syscall.h"
#include "proc/task.h"
#include "proc/terminal.h"

static int current_pgid(void) { return process_group_id(current_process()); }
static int current_sid(void) { return process_session_id(current_process()); }
static bool current_is_session_leader(void) { return process_is_session_leader(current_process()); }
static struct tty *current_tty(void) { return session_tty(current_process()); }
static void set_current_tty(struct tty *tty) { session_set_tty(tty); }
static void clear_session_tty(int sid, struct tty *tty) { session_clear_tty(sid, tty); }
static void leader_exits(void *tty, int sid) { tty_session_leader_exits(tty, sid); }

static int session_of_group(int pgid)
{
    int sid, error = group_session(pgid, &sid);

    return error != 0 ? error : sid;
}

static void signal_session_leader(int sid, int sig)
{
    struct process *leader = process_find(sid);

    if (leader == NULL)
        return;
    signal_send_process(leader, sig);
    process_put(leader);
}

static const struct tty_process_ops ops = {
    .current_pgid = current_pgid,
    .current_sid = current_sid,
    .current_is_session_leader = current_is_session_leader,
    .current_tty = current_tty,
    .set_current_tty = set_current_tty,
    .clear_session_tty = clear_session_tty,
    .session_of_group = session_of_group,
    .group_is_orphaned = group_is_orphaned,
    .current_ignores = signal_is_blocked_or_ignored,
    .signal_group = signal_send_group,
    .signal_session_leader = signal_session_leader,
};

void terminal_init(void)
{
    tty_set_process_ops(&ops);
    proc_set_tty_hangup(leader_exits);
}

DEFINE_SYSCALL(sys_vhangup)
{
    if (!capable(current->cred, CAP_SYS_TTY_CONFIG))
        return -EPERM;
    tty_hangup_current();
    return 0;
}
