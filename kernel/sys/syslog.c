/* syslog(2), which dmesg(1) calls; dev/syslog.h does the work. */
#include "dev/syslog.h"
#include "lib/cred.h"
#include "lib/kmsg.h"
#include "sched/thread.h"
#include "sys/syscall.h"

enum syslog_action {
    ACTION_CLOSE,
    ACTION_OPEN,
    ACTION_READ,
    ACTION_READ_ALL,
    ACTION_READ_CLEAR,
    ACTION_CLEAR,
    ACTION_CONSOLE_OFF,
    ACTION_CONSOLE_ON,
    ACTION_CONSOLE_LEVEL,
    ACTION_SIZE_UNREAD,
    ACTION_SIZE_BUFFER
};
#define MAX_CONSOLE_LEVEL 8

/* Anybody may read all (dmesg_restrict = 0); what changes something is root's. */
static bool is_for_everybody(int action) { return action == ACTION_READ_ALL || action == ACTION_SIZE_BUFFER; }

static long read_messages(int action, void *buffer, int length)
{
    struct uio uio;

    if (buffer == NULL || length < 0)
        return -EINVAL;
    if (length == 0)
        return 0;
    uio_init_user(&uio, buffer, (size_t)length);
    return action == ACTION_READ ? syslog_read(&uio, false) : syslog_read_all(&uio, action == ACTION_READ_CLEAR);
}

DEFINE_SYSCALL(sys_syslog)
{
    int action = (int)a0;

    if (!is_for_everybody(action) && !capable(current->cred, CAP_SYS_ADMIN))
        return -EPERM;
    switch (action) {
    case ACTION_CLOSE:
    case ACTION_OPEN:
        return 0;
    case ACTION_READ:
    case ACTION_READ_ALL:
    case ACTION_READ_CLEAR:
        return read_messages(action, (void *)a1, (int)a2);
    case ACTION_CLEAR:
        syslog_clear();
        return 0;
    case ACTION_CONSOLE_OFF: /* every message goes to the console, or with klog=ram none does */
    case ACTION_CONSOLE_ON:
        return 0;
    case ACTION_CONSOLE_LEVEL:
        return (int)a2 >= 1 && (int)a2 <= MAX_CONSOLE_LEVEL ? 0 : -EINVAL;
    case ACTION_SIZE_UNREAD:
        return (long)syslog_unread_bytes();
    case ACTION_SIZE_BUFFER:
        return KMSG_RING_SIZE;
    default:
        return -EINVAL;
    }
}
