/*
 * Random system calls with random arguments, from several processes of an ordinary user at once: whatever they answer,
 * the kernel lives, goes on serving others, and keeps nothing of theirs. The seed is printed; one process with one seed
 * makes the same calls. callfuzz [DIR] [PROCESSES [CALLS [SEED]]]
 */
#include "storm.h"

#include <sys/prctl.h>

#define USER 4242

static char *area; /* good memory, with holes */
static char *paths[8];

/* Calls that would only end the test: those that leave, wait for ever, or kill the others; those that make what
 * outlives its maker. */
static int is_left_out(long number)
{
    static const int left_out[] = {SYS_exit,
                                   SYS_exit_group,
                                   SYS_rt_sigreturn,
                                   SYS_kill,
                                   SYS_tkill,
                                   SYS_tgkill,
                                   SYS_reboot,
                                   SYS_rt_sigsuspend,
                                   SYS_ppoll,
                                   SYS_pselect6,
                                   SYS_rt_sigtimedwait,
                                   SYS_vhangup,
                                   SYS_rt_sigqueueinfo,
                                   SYS_rt_tgsigqueueinfo,
                                   SYS_pidfd_send_signal,
                                   SYS_execve,
                                   SYS_execveat,
                                   SYS_sync,
                                   SYS_shmget,
                                   SYS_semget,
                                   SYS_msgget,
                                   SYS_mq_open,
                                   SYS_syncfs,
                                   SYS_fsync,
                                   SYS_fdatasync,
                                   SYS_clone3,
                                   SYS_seccomp};

    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
        if (number == left_out[i])
            return 1;
    return 0;
}

static long argument(void)
{
    static const long odd[] = {0,           1,
                               -1,          2,
                               7,           8,
                               4095,        4096,
                               4097,        65536,
                               1L << 31,    -4096,
                               1L << 32,    1L << 47,
                               1L << 62,    0x7fffffffffffffffL,
                               1L << 63,    -100 /* AT_FDCWD */,
                               0x100,       0x1000,
                               0x80000,     0x7fffffff,
                               0xffffffffL, 100};

    switch (pick(12)) {
    case 0:
    case 1:
    case 2:
        return odd[pick(sizeof(odd) / sizeof(odd[0]))];
    case 3:
    case 4:
        return pick(12); /* a descriptor, or a small number */
    case 5:
        return (long)paths[pick(8)];
    case 6:
        return (long)(area + pick(64) * PAGE + pick(2) * (PAGE - 1 - pick(16)));
    case 7:
    case 8:
        return (long)(area + pick(4) * PAGE + pick(64) * 8);
    case 9:
        return 1L << pick(64);
    case 10:
        return (long)(0xffffffff80000000UL + pick(1u << 22) * 8);
    default:
        return (long)next();
    }
}

/* Memory with structures of odd numbers in it, some pages of it unmapped, read-only or a file's. */
static void prepare(void)
{
    static const char *const names[8] = {".", "..", "file", "dir/x", "/proc/self/maps", "/dev/zero", "fifo", "link"};
    int fd;

    for (int i = 0; i < 8; i++)
        paths[i] = strdup(names[i]);
    area = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < 64; k++)
            ((long *)(area + i * PAGE))[k] = k % 3 ? argument() : pick(20);
    munmap(area + 20 * PAGE, PAGE);
    mprotect(area + 30 * PAGE, PAGE, PROT_READ);
    mprotect(area + 31 * PAGE, PAGE, PROT_NONE);
    fd = open("file", O_RDWR | O_CREAT, 0644);
    if (fd >= 0 && ftruncate(fd, 5000) == 0)
        mmap(area + 40 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    mkdir("dir", 0755);
    mkfifo("fifo", 0644);
    if (symlink("file", "link"))
        return;
}

static void limit(int what, rlim_t value)
{
    struct rlimit both = {value, value};

    setrlimit(what, &both);
}

/* One fuzzing process; ends by itself or is killed from outside. */
static void fuzz(uint64_t seed, long calls)
{
    char folder[32];

    snprintf(folder, sizeof(folder), "of-%lu", (unsigned long)seed);
    if (mkdir(folder, 0777) || chown(folder, USER, USER) || chdir(folder) || setgid(USER) || setuid(USER))
        _exit(1);
    limit(RLIMIT_NPROC, 40);
    limit(RLIMIT_FSIZE, 1 << 20);
    limit(RLIMIT_AS, 64 << 20);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, 20);
    munmap(tap, PAGE);             /* which a call with a large enough range could change */
    for (int fd = 0; fd < 8; fd++) /* nothing of the test's own to write on */
        dup2(open(fd % 2 ? "/dev/null" : "/dev/zero", O_RDWR), fd);
    state = seed * 0x9e3779b97f4a7c15u + 1;
    prepare();
    for (long i = 0; i < calls; i++) {
        long number = pick(470);

        if (is_left_out(number))
            continue;
        syscall(number, argument(), argument(), argument(), argument(), argument(), argument());
    }
    _exit(0);
}

static void as_the_user(int signo)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (setuid(USER))
            _exit(1);
        kill(-1, signo);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

/* Until none is left: some may just be being made while others are killed. */
static int kill_all(void)
{
    pid_t pid = 0;

    for (int tries = 0; tries < 500 && pid >= 0; tries++) {
        as_the_user(SIGKILL);
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        sleep_ms(tries < 5 ? 1 : 20);
    }
    return pid < 0;
}

static void body(void)
{
    int count = tap_arguments[0] ? atoi(tap_arguments[0]) : 6, rounds = 4, good = 1;
    long calls = tap_arguments[0] && tap_arguments[1] ? atol(tap_arguments[1]) : 3000;
    uint64_t seed = tap_arguments[0] && tap_arguments[1] && tap_arguments[2] ? strtoul(tap_arguments[2], NULL, 0) : 1;

    if (geteuid() != 0) {
        skip("random system calls", "needs root, to become a user of no others");
        return;
    }
    NEED(chmod(".", 0777));
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    diag("%d processes, %ld calls each, seed %lu", count, calls, (unsigned long)seed);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++)
            if (NEED(fork()) == 0)
                fuzz(seed * 1000 + round * 100 + i, calls);
        for (int waited = 0; waited < 100 && waitpid(-1, NULL, WNOHANG) >= 0;
             waited++) /* some end; others sit in a call */
            sleep_ms(20);
        if (!CHECK(kill_all(), "round %d: every process could be killed", round + 1))
            return;
        good &= still_serves();
        CHECK(good, "round %d: the kernel lives and serves", round + 1);
    }
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
