/*
 * What processes may ask about and be limited in: rlimits, usage, times, sysinfo, uname, capabilities, priorities,
 * affinity, prctl, random numbers; and calls that do not exist. Source: getrlimit(2), prlimit(2), getrusage(2),
 * times(2), sysinfo(2), uname(2), sys_capget(2), getpriority(2), sched_getaffinity(2), prctl(2), getrandom(2).
 */
#include "tap.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/times.h>
#include <sys/utsname.h>

static int sys_capget(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data)
{
    return (int)syscall(SYS_capget, header, data);
}

static int sys_capset(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data)
{
    return (int)syscall(SYS_capset, header, data);
}

static int lower_and_raise(void *unused UNUSED)
{
    struct rlimit limit, old;

    limit = (struct rlimit){100, 200};
    if (setrlimit(RLIMIT_NOFILE, &limit) || setuid(1000))
        return 1;
    limit.rlim_cur = 200;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        return 2;
    limit.rlim_cur = 201;
    if (setrlimit(RLIMIT_NOFILE, &limit) != -1 || errno != EINVAL)
        return 3;
    limit.rlim_max = 201;
    if (setrlimit(RLIMIT_NOFILE, &limit) != -1 || errno != EPERM)
        return 4;
    limit = (struct rlimit){50, 60};
    if (prlimit(0, RLIMIT_NOFILE, &limit, &old) || old.rlim_cur != 200 || old.rlim_max != 200)
        return 5;
    return getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur != 50 || limit.rlim_max != 60 ? 6 : 0;
}

static int burn(void *unused UNUSED)
{
    struct rlimit limit = {1, 2};

    setrlimit(RLIMIT_CPU, &limit);
    while (1)
        ;
    return 0;
}

static void limits(void)
{
    struct rlimit limit;
    int good = 1;

    for (int i = 0; i < RLIM_NLIMITS; i++)
        good &= getrlimit(i, &limit) == 0 && limit.rlim_cur <= limit.rlim_max;
    CHECK(good, "sixteen limits, soft ones below hard ones");
    NEED(getrlimit(RLIMIT_STACK, &limit));
    IS(limit.rlim_cur, 8 << 20, "8 MiB of stack");
    FAILS(getrlimit(99, &limit), EINVAL, "an unknown limit");
    limit = (struct rlimit){10, 5};
    FAILS(setrlimit(RLIMIT_CORE, &limit), EINVAL, "a soft limit above the hard one");
    FAILS(prlimit(99999, RLIMIT_CORE, NULL, &limit), ESRCH, "prlimit of nobody");
    if (geteuid() == 0)
        EXITS(lower_and_raise, NULL, 0, "a user lowers both, raises the soft one, not the hard one");
    IS(in_child(burn, NULL).signal, SIGXCPU, "RLIMIT_CPU: SIGXCPU");
}

/* /proc/PID/limits shows both of a pair as they were set together. */
static void limits_in_pairs(void)
{
    static const char name[] = "Max core file size";
    pid_t pid = (pid_t)NEED(fork());
    int torn = 0, seen = 0;
    char path[40];

    if (pid == 0)
        for (rlim_t n = 0;; n ^= 8) {
            struct rlimit limit = {n, n};

            setrlimit(RLIMIT_CORE, &limit);
        }
    snprintf(path, sizeof(path), "/proc/%d/limits", pid);
    for (int i = 0; i < 1000; i++) {
        char *text = slurp(path), *line = text ? strstr(text, name) : NULL;
        long soft, hard;

        if (line && sscanf(line + sizeof(name), "%ld %ld", &soft, &hard) == 2) {
            seen++;
            torn += soft != hard;
        }
        free(text);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK(seen > 0 && torn == 0, "limits that change are shown in pairs (%d of %d were not)", torn, seen);
}

static int use_time(void *unused UNUSED)
{
    volatile char *at = anon(100 * PAGE, PROT_READ | PROT_WRITE);

    for (int i = 0; i < 100; i++)
        at[i * PAGE] = 1;
    for (volatile int i = 0; i < 30000000; i++)
        ;
    return 0;
}

/* Limits set when their process is only a zombie: nothing of it may go on after it has been waited for. */
static void limits_of_the_dead(void)
{
    struct rlimit limit = {1000, 1000};
    int good = 1;

    for (int i = 0; i < 20; i++) {
        siginfo_t info;
        pid_t pid = (pid_t)NEED(fork());

        if (pid == 0)
            _exit(0);
        NEED(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
        good &= syscall(SYS_prlimit64, pid, RLIMIT_CPU, &limit, NULL) == 0 && waitpid(pid, NULL, 0) == pid;
    }
    for (int i = 0; i < 20; i++) { /* others have its memory */
        pid_t pid = (pid_t)NEED(fork());

        if (pid == 0)
            _exit(0);
        sleep_ms(10);
        good &= waitpid(pid, NULL, 0) == pid;
    }
    CHECK(good, "RLIMIT_CPU of a process that is a zombie");
}

static void usage(void)
{
    struct rusage before, after, children;
    struct tms ticks;

    NEED(getrusage(RUSAGE_SELF, &before));
    use_time(NULL);
    NEED(getrusage(RUSAGE_SELF, &after));
    CHECK(after.ru_utime.tv_sec * 1000000 + after.ru_utime.tv_usec >=
              before.ru_utime.tv_sec * 1000000 + before.ru_utime.tv_usec,
          "user time grows");
    CHECK(after.ru_minflt - before.ru_minflt >= 1 && after.ru_maxrss >= 100, "faults and the largest size are counted");
    EXITS(use_time, NULL, 0, "a child that computes");
    NEED(getrusage(RUSAGE_CHILDREN, &children));
    CHECK(children.ru_utime.tv_sec * 1000000 + children.ru_utime.tv_usec > 0, "is in RUSAGE_CHILDREN once waited for");
    CHECK(times(&ticks) != -1 && ticks.tms_cutime >= 0 && ticks.tms_utime >= 0, "times");
    FAILS(getrusage(99, &after), EINVAL, "getrusage of nobody");
    IS(sysconf(_SC_CLK_TCK), 100, "a hundred ticks a second");
}

static int change_host(void *unused UNUSED)
{
    struct utsname name, old;

    uname(&old);
    if (sethostname("renamed", 7) || uname(&name) || strcmp(name.nodename, "renamed"))
        return 1;
    return sethostname(old.nodename, strlen(old.nodename));
}

static void system_wide(void)
{
    struct sysinfo info;
    struct utsname name;

    OKAY(sysinfo(&info), "sysinfo");
    CHECK(info.uptime >= 0 && info.totalram > info.freeram && info.freeram > 0 && info.procs > 0 && info.mem_unit > 0,
          "its numbers make sense");
    OKAY(uname(&name), "uname");
    CHECK(!strcmp(name.machine, "riscv64") && *name.sysname && *name.release && *name.version, "is riscv64");
    if (geteuid() == 0)
        EXITS(change_host, NULL, 0, "sethostname changes nodename");
    FAILS(sethostname(name.nodename, 65), EINVAL, "names of 65 letters are too long");
}

static int drop_capabilities(void *unused UNUSED)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (sys_capget(&header, data) || !(data[0].effective & 1 << CAP_CHOWN))
        return 1;
    data[0].effective &= ~(1u << CAP_CHOWN);
    data[0].permitted &= ~(1u << CAP_CHOWN);
    if (sys_capset(&header, data))
        return 2;
    close(open("owned", O_CREAT | O_RDWR, 0644));
    if (chown("owned", 1000, 1000) != -1 || errno != EPERM)
        return 3;
    data[0].effective |= 1u << CAP_CHOWN;
    if (sys_capset(&header, data) != -1 || errno != EPERM)
        return 4;
    if (setuid(1000) || sys_capget(&header, data) || data[0].effective || data[0].permitted)
        return 5;
    return 0;
}

static void capabilities(void)
{
    struct __user_cap_header_struct header = {0x12345678, 0};
    struct __user_cap_data_struct data[2];

    FAILS(sys_capget(&header, data), EINVAL, "capget: an unknown version");
    IS(header.version, _LINUX_CAPABILITY_VERSION_3, "tells the right one");
    header.pid = 99999;
    FAILS(sys_capget(&header, data), ESRCH, "capget of nobody");
    if (geteuid() == 0)
        EXITS(drop_capabilities, NULL, 0, "root without CAP_CHOWN cannot chown, and a user has none");
}

static int lower_priority(void *unused UNUSED)
{
    if (setpriority(PRIO_PROCESS, 0, 10) || getpriority(PRIO_PROCESS, 0) != 10 || setuid(1000))
        return 1;
    errno = 0;
    if (setpriority(PRIO_PROCESS, 0, 5) != -1 || errno != EACCES)
        return 2;
    return setpriority(PRIO_PROCESS, 0, 100) || getpriority(PRIO_PROCESS, 0) != 19 ? 3 : 0;
}

static void scheduling(void)
{
    struct sched_param parameter;
    cpu_set_t set, none;

    if (geteuid() == 0)
        EXITS(lower_priority, NULL, 0, "a user may lower its priority, not raise it");
    FAILS(getpriority(99, 0), EINVAL, "getpriority of an unknown kind");
    FAILS(getpriority(PRIO_PROCESS, 99999), ESRCH, "getpriority of nobody");
    OKAY(sched_getaffinity(0, sizeof(set), &set), "sched_getaffinity");
    CHECK(CPU_COUNT(&set) >= 1 && CPU_COUNT(&set) <= 8, "says how many harts (%d)", CPU_COUNT(&set));
    OKAY(sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity to the same");
    CPU_ZERO(&none);
    FAILS(sched_setaffinity(0, sizeof(none), &none), EINVAL, "to none");
    FAILS(syscall(SYS_sched_getaffinity, 0, 1, &set), EINVAL, "into too small a buffer");
    FAILS(sched_getaffinity(99999, sizeof(set), &set), ESRCH, "of nobody");
    IS(sched_getscheduler(0), SCHED_OTHER, "SCHED_OTHER");
    IS(sched_getparam(0, &parameter), 0, "sched_getparam");
    IS(sched_yield(), 0, "sched_yield");
    IS(sched_get_priority_max(SCHED_OTHER), 0, "has no priorities");
}

static void the_rest(void)
{
    unsigned char one[64] = {0}, two[64] = {0};
    char name[17] = "";

    OKAY(prctl(PR_SET_NAME, "a long name of a thread"), "PR_SET_NAME");
    OKAY(prctl(PR_GET_NAME, name), "PR_GET_NAME");
    CHECK(!strcmp(name, "a long name of "), "keeps fifteen letters");
    FAILS(prctl(99999, 0, 0, 0, 0), EINVAL, "an unknown prctl");
    IS(getrandom(one, 64, 0), 64, "getrandom");
    IS(getrandom(two, 64, 0), 64, "again");
    CHECK(memcmp(one, two, 64), "is something else");
    FAILS(getrandom(one, 64, 0x100), EINVAL, "unknown flags");
    FAILS(syscall(1000), ENOSYS, "a call that does not exist");
    FAILS(syscall(-1), ENOSYS, "nor one of this number");
    FAILS(syscall(SYS_reboot, 1, 2, 3, 0), geteuid() ? EPERM : EINVAL, "reboot with the wrong words");
}

static void body(void)
{
    limits();
    limits_in_pairs();
    limits_of_the_dead();
    usage();
    system_wide();
    capabilities();
    scheduling();
    the_rest();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
