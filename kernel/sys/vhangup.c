/* vhangup(2): the caller's terminal is hung up, so that the next login finds it unused. */
#include "dev/tty.h"
#include "sys/syscall.h"

DEFINE_SYSCALL(sys_vhangup)
{
    if (!capable(current->cred, CAP_SYS_TTY_CONFIG))
        return -EPERM;
    tty_hangup_current();
    return 0;
}
