/*
 * sigalarm and sigreturn of the lab on traps, by a timer that runs while the program does, and its signal.
 *
 * The timer fires once; sigreturn, or the handler's return, sets it again. So a handler is not called again before it
 * is done, and its own time does not count.
 */
#include "lib/machine.h"
#include "lib/linux.h"
#include "user/user.h"

#define TICK_US 100000L

static void (*handler)(void);
static int interval;              /* in ticks; 0: none */
static struct linux_frame *frame; /* of the handler that runs */

struct linux_frame *xv6_alarm_again(void); /* for start.S */

static void set_timer(int ticks)
{
    long value[4] = {0, 0, ticks / 10, ticks % 10 * TICK_US};

    linux_(LINUX_setitimer, LINUX_ITIMER_VIRTUAL, value, 0);
}

void xv6_alarm_stop(void)
{
    if (interval > 0)
        set_timer(0);
}

void xv6_alarm_start(void)
{
    if (interval > 0 && !frame)
        set_timer(interval);
}

/* The handler ends: returns the frame that sigreturn goes back to, 0 outside of a handler. */
struct linux_frame *xv6_alarm_again(void)
{
    struct linux_frame *ended = frame;

    frame = 0;
    if (ended)
        xv6_alarm_start();
    return ended;
}

static void on_alarm(int signal, struct linux_siginfo *info)
{
    (void)signal;
    if (interval <= 0)
        return;
    frame = (struct linux_frame *)info;
    handler();
    xv6_alarm_again();
}

int sigalarm(int ticks, void (*call)())
{
    struct linux_sigaction action = {(uint64)on_alarm, LINUX_SA_SIGINFO | LINUX_SA_ONSTACK, 0};

    if (ticks < 0)
        return -1;
    handler = (void (*)(void))call;
    interval = ticks;
    linux_(LINUX_rt_sigaction, LINUX_SIGVTALRM, &action, 0, sizeof(action.mask));
    if (!frame)
        set_timer(ticks);
    return 0;
}
