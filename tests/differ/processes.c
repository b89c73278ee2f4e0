/*
 * Calls on processes, their signals, timers, scheduling and limits, with three children: two that wait for signals and
 * one that has ended. Numbers of processes are told by their parts.
 */
#include "differ.h"

#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#define CHILDREN 3
#define ENDED 2 /* the child that has */

static pid_t children[CHILDREN], self;

/* --- Arguments --- */

static long some_process(void)
{
    static const char *const roles[] = {"0", "self", "none", "-self", "child0", "child1", "ended", "child0"};
    unsigned drawn = draw(COUNT(roles));

    tell(" %s", roles[drawn]);
    switch (drawn) {
    case 0:
        return 0;
    case 1:
        return self;
    case 2:
        return 999999;
    case 3:
        return -self;
    default:
        return children[(drawn - 4) % CHILDREN];
    }
}

/* One whose signals are nobody else's. */
static long target_process(void)
{
    long pid;

    do
        pid = some_process();
    while (pid == 0 || pid == -self);
    return pid;
}

#define PROCESS FROM(some_process)
#define TARGET FROM(target_process)
#define SIGNAL ONE_OF(0, 10, 12, 14, 18, 23, 64, 65, -1)
#define CLOCK ONE_OF(0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 99, -1, -2)

static struct timespec moment;
static void draw_moment(void)
{
    moment.tv_sec = draw_of((const long[]){0, 0, 0, -1}, 4);
    moment.tv_nsec = draw_of((const long[]){0, 1, 1000, 1000000000, -1}, 5);
    tell(" %ld.%ld", (long)moment.tv_sec, moment.tv_nsec);
}

static long short_time(void)
{
    draw_moment();
    return (long)&moment;
}

static long time_room(void) { return chance(10) ? 0 : (long)&moment; }

static sigset_t signals, old_signals;
static long signal_set(void)
{
    sigemptyset(&signals);
    sigaddset(&signals, (int)DRAW_OF(10, 12, 18));
    return chance(6) ? 0 : (long)&signals;
}
ROOM(old_set, old_signals)
static void show_set(long result, const long *arguments)
{
    (void)arguments;
    if (result == 0)
        tell(" %lx", *(unsigned long *)&old_signals);
}

static siginfo_t info;
ROOM(info_room, info)

static void tell_sender(pid_t pid)
{
    tell(" from %s", pid == self                                                          ? "self"
                     : pid == 0                                                           ? "0"
                     : pid == children[0] || pid == children[1] || pid == children[ENDED] ? "child"
                                                                                          : "other");
}

static void show_info(long result, const long *arguments)
{
    (void)arguments;
    if (result < 0)
        return;
    tell(" signal %d code %d", info.si_signo, info.si_code);
    if (info.si_signo) {
        tell_sender(info.si_pid);
        tell(" value %d", info.si_code == SI_QUEUE ? info.si_value.sival_int : info.si_status);
    }
}

static long queued_info(void)
{
    memset(&info, 0, sizeof(info));
    info.si_code = (int)DRAW_OF(-1, -6, 0, 1, 0x80);
    info.si_pid = self;
    info.si_value.sival_int = (int)draw(5);
    return (long)&info;
}

static struct rlimit limits[2];
static long new_limit(void)
{
    limits[0].rlim_cur = (rlim_t)DRAW_OF(10, 1000, 0, -1);
    limits[0].rlim_max = (rlim_t)DRAW_OF(100000, 1000, 1, -1);
    return chance(2) ? 0 : (long)&limits[0];
}
static long old_limit(void) { return (long)&limits[1]; }

static struct sched_param parameters;
static long priority(void)
{
    parameters.sched_priority = (int)DRAW_OF(0, 0, 1, 99, 100, -1);
    return (long)&parameters;
}

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t low, high;
};
static struct attributes schedule;
static long new_schedule(void)
{
    memset(&schedule, 0, sizeof(schedule));
    schedule.size = (uint32_t)DRAW_OF(48, 48, 48, 56, 0, 40, 5000);
    schedule.policy = (uint32_t)DRAW_OF(0, 1, 2, 3, 5, 7);
    schedule.priority = (uint32_t)DRAW_OF(0, 0, 1, 100);
    schedule.nice = (int)DRAW_OF(0, 5, 19);
    schedule.flags = (uint64_t)DRAW_OF(0, 0, 1, 128, 1 << 20);
    return (long)&schedule;
}
ROOM(schedule_room, schedule)
static void show_schedule(long result, const long *arguments)
{
    (void)arguments;
    if (result == 0)
        tell(" size %u policy %u flags %lx nice %d priority %u", schedule.size, schedule.policy, (long)schedule.flags,
             schedule.nice, schedule.priority);
}

/* --- Calls --- */

static void tell_found(long result)
{
    if (result < 0)
        tell_result(result);
    else
        tell(" = %s", result == 0                                                                   ? "0"
                      : result == self                                                              ? "self"
                      : result == children[0] || result == children[1] || result == children[ENDED] ? "child"
                                                                                                    : "other");
}

static void run_getpgid(void) { tell_found(getpgid((pid_t)some_process())); }
static void run_getsid(void) { tell_found(getsid((pid_t)some_process())); }

static void run_sigaction(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    long number = DRAW_OF(0, 1, 10, 12, 14, 18, 64, 65, -1, 9, 19), size = DRAW_OF(8, 8, 8, 4, 16);

    tell_result(syscall(SYS_rt_sigaction, number, chance(2) ? &ignore : NULL, &old, size));
}

static void run_wait4(void)
{
    int status = 0;
    long pid = chance(2) ? -1 : some_process(), options = WNOHANG | DRAW_OF(0, 0, 2, 8, 0x40000000, 0x80000000, 16);

    tell_found(wait4((pid_t)pid, &status, (int)options, NULL));
    tell(" status %x", (unsigned)status);
}

static void run_waitid(void)
{
    long kind = DRAW_OF(0, 1, 2, 3, 4), id = some_process();
    long options = WNOHANG | DRAW_OF(4, 4, 2, 8, 0, 0x01000004, 16);
    long result = syscall(SYS_waitid, kind, id, info_room(), options, NULL);

    tell_result(result);
    show_info(result, NULL);
}

static timer_t timers[3];
static unsigned timer_count;

static void run_timer_create(void)
{
    struct sigevent event = {0};
    long clock = DRAW_OF(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 99, -1), result;
    int timer;

    event.sigev_notify = (int)DRAW_OF(0, 1, 2, 4, 9);
    event.sigev_signo = (int)DRAW_OF(10, 12, 0, 65);
    event._sigev_un._tid = chance(2) ? self : 1;
    tell("%s", event._sigev_un._tid == 1 ? " other" : "");
    result = syscall(SYS_timer_create, clock, chance(4) ? NULL : &event, &timer);
    tell(result == 0 ? " = made" : "");
    if (result != 0)
        tell_result(result);
    else if (timer_count < COUNT(timers))
        timers[timer_count++] = (timer_t)(long)timer;
    else
        syscall(SYS_timer_delete, timer);
}

static long some_timer(void)
{
    unsigned drawn = draw(4);

    tell(" timer%u", drawn);
    return drawn < timer_count ? (long)timers[drawn] : 99;
}

static void run_timer_settime(void)
{
    struct itimerspec spec, old;
    long timer = some_timer(), flags = DRAW_OF(0, 0, 2, 3);

    draw_moment();
    spec.it_interval = moment;
    draw_moment();
    spec.it_value = moment;
    spec.it_value.tv_sec += moment.tv_sec == 0 ? 1000 : 0;
    tell_result(syscall(SYS_timer_settime, timer, flags, &spec, chance(2) ? &old : NULL));
}

static void run_timer_gettime(void)
{
    struct itimerspec spec;

    tell_result(syscall(SYS_timer_gettime, some_timer(), &spec));
}

static void run_clock_nanosleep(void)
{
    long clock = DRAW_OF(0, 1, 4, 5, 6, 7, 10, 11, 99), flags = DRAW_OF(0, 1, 2);

    draw_moment();
    tell_result(syscall(SYS_clock_nanosleep, clock, flags, &moment, NULL));
}

static void run_itimer(void)
{
    long which = DRAW_OF(0, 1, 2, 3, -1);
    struct itimerval value = {{DRAW_OF(0, -1, 0), DRAW_OF(0, 999999, 1000000)}, {1000, 0}}, room;

    if (chance(2))
        tell_result(getitimer((int)which, &room));
    else
        tell_result(setitimer((int)which, &value, &room));
}

static void run_prctl(void)
{
    long option =
        DRAW_OF(PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_GET_KEEPCAPS, PR_SET_KEEPCAPS,
                PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK, PR_MCE_KILL,
                PR_MCE_KILL_GET, PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS,
                PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE, PR_CAP_AMBIENT, 999);
    long second = DRAW_OF(0, 1, 2, 9, 50000, -1), third = DRAW_OF(0, 0, 1, 2), fourth = DRAW_OF(0, 0, 0, 1), result;

    if (option == PR_SET_NAME || option == PR_GET_NAME || option == PR_GET_PDEATHSIG ||
        option == PR_GET_CHILD_SUBREAPER || option == PR_GET_TID_ADDRESS)
        second = (long)buffer;
    result = prctl((int)option, second, third, fourth, 0);
    tell_result(option == PR_GET_TIMERSLACK && result >= 0 ? 0 : result);
}

static void run_capget(void)
{
    struct __user_cap_header_struct header = {(unsigned)DRAW_OF(0x20080522, 0x19980330, 0x20071026, 1, 0), 0};
    struct __user_cap_data_struct data[2] = {{0}};
    long result;

    header.pid = (int)(chance(2) ? 0 : some_process());
    result = syscall(SYS_capget, &header, chance(4) ? NULL : data);
    tell_result(result);
    tell(" %x %x", header.version, data[0].effective);
}

static void run_clone(void)
{
    long flags = DRAW_OF(0x100, 0x800, 0x10000, 0x10800, 0x200 | 0x20000, 0x1000 | 0x10000, 0x4000, 0x100);
    long result;

    if (flags & 0x4000) /* the parent would wait for what never ends */
        flags = 0;
    result = syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (result == 0)
        _exit(3);
    if (result > 0)
        waitpid((pid_t)result, NULL, __WALL);
    tell_result(result > 0 ? 1 : result);
}

static void run_clone3(void)
{
    uint64_t a[11] = {0};
    long size, result;

    a[0] = (uint64_t)DRAW_OF(0, 0x800, 0x10000, 0x80000000, 0x100000000, 0x1000000);
    a[4] = (uint64_t)DRAW_OF(17, 0, 65, 256);
    a[5] = (uint64_t)DRAW_OF(0, 0x1000);
    a[6] = (uint64_t)DRAW_OF(0, 0x1000);
    size = DRAW_OF(64, 88, 63, 80, 0);
    result = syscall(SYS_clone3, a, size);
    if (result == 0)
        _exit(3);
    if (result > 0)
        waitpid((pid_t)result, NULL, __WALL);
    tell_result(result > 0 ? 1 : result);
}

static void run_pidfd_send_signal(void)
{
    int fd = (int)syscall(SYS_pidfd_open, some_process(), DRAW_OF(0, 0, 04000, 1));
    long number, flags;

    tell_result(fd < 0 ? -1 : 0);
    number = DRAW_OF(0, 18, 65);
    flags = DRAW_OF(0, 0, 1, 2, 4, 8);
    if (flags == 4 || fd < 0) /* a group: ours, too */
        flags = 0;
    tell_result(syscall(SYS_pidfd_send_signal, fd, number, NULL, flags));
    if (fd >= 0)
        close(fd);
}

static const struct call calls[] = {
    CALL(setpgid, 1, TARGET, PROCESS),
    RUN(getpgid, 1),
    RUN(getsid, 1),
    CALL(kill, 2, TARGET, ONE_OF(0, 18, 23, 65, -1)),
    CALL(tgkill, 1, TARGET, TARGET, ONE_OF(0, 18, 23, 65, -1)),
    CALL(tkill, 1, TARGET, ONE_OF(0, 18, 65)),
    RUN(sigaction, 1),
    TOLD(rt_sigprocmask, 2, show_set, ONE_OF(0, 1, 2, 3, -1), FROM(signal_set), FROM(old_set), ONE_OF(8, 8, 8, 16)),
    TOLD(rt_sigpending, 1, show_set, FROM(old_set), ONE_OF(8, 4, 16, 0)),
    TOLD(rt_sigtimedwait, 3, show_info, FROM(signal_set), FROM(info_room), FROM(short_time), ONE_OF(8, 8, 8, 16)),
    CALL(rt_sigqueueinfo, 3, TARGET, ONE_OF(0, 10, 12, 18, 65), FROM(queued_info)),
    CALL(prlimit64, 2, TARGET, ONE_OF(0, 1, 4, 8, 12, 13, 14, 15, 16, -1), FROM(new_limit), FROM(old_limit)),
    CALL(getpriority, 1, ONE_OF(0, 1, 2, 3), TARGET),
    CALL(setpriority, 1, ONE_OF(0, 1, 3), TARGET, ONE_OF(0, 5, 19, 100, -5)),
    CALL(sched_setscheduler, 1, TARGET, ONE_OF(0, 1, 2, 3, 5, 6, 7, 77, 0x40000000), FROM(priority)),
    CALL(sched_setparam, 1, TARGET, FROM(priority)),
    CALL(sched_getscheduler, 1, PROCESS),
    CALL(sched_setattr, 2, TARGET, FROM(new_schedule), ONE_OF(0, 0, 1)),
    TOLD(sched_getattr, 2, show_schedule, TARGET, FROM(schedule_room), ONE_OF(48, 48, 56, 47, 4096), ONE_OF(0, 0, 1)),
    CALL(sched_get_priority_max, 1, ONE_OF(0, 1, 2, 3, 5, 6, 77)),
    CALL(sched_get_priority_min, 1, ONE_OF(0, 1, 2, 3, 5, 6, 77)),
    CALL(sched_rr_get_interval, 1, TARGET, FROM(time_room)),
    RUN(prctl, 3),
    RUN(wait4, 1),
    RUN(waitid, 2),
    RUN(timer_create, 2),
    RUN(timer_settime, 2),
    RUN(timer_gettime, 1),
    RUN(clock_nanosleep, 1),
    CALL(clock_getres, 1, CLOCK, FROM(time_room)),
    CALL(clock_gettime, 1, CLOCK, FROM(time_room)),
    RUN(itimer, 1),
    RUN(capget, 2),
    RUN(clone, 1),
    RUN(clone3, 1),
    RUN(pidfd_send_signal, 1),
    CALL(personality, 1, ONE_OF(0xffffffff, 0)),
    CALL(membarrier, 1, ONE_OF(0, 1, 2, 8, 16, 4, 99), ONE_OF(0, 1)),
    CALL(unshare, 1, ONE_OF(0, 0x200, 0x400, 0x100, 0x10000, 0x800, 1)),
};

static void prepare(void)
{
    siginfo_t ended;

    setpgid(0, 0);
    self = getpid();
    for (int number = 1; number < 64; number++)
        if (number != SIGCHLD && number != SIGSEGV)
            signal(number, SIG_IGN);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        if (i == ENDED)
            _exit(7);
        for (;;)
            pause();
    }
    waitid(P_PID, (id_t)children[ENDED], &ended, WEXITED | WNOWAIT);
}

static void finish(void)
{
    kill(children[0], SIGKILL);
    kill(children[1], SIGKILL);
}

const struct set processes_set = {"processes", calls, COUNT(calls), prepare, NULL, finish, NULL};
