/*
 * Bad pointers to system calls: null, unmapped, read-only where the kernel must write, kernel addresses, a buffer that
 * begins well and runs off its mapping. Each call answers EFAULT, and the process lives. Raw system calls, so that no
 * library looks at the pointer first.
 */
#include "tap.h"

#include <poll.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>

static int text_fd, zero_fd, null_fd, pipe_fds[2], folder_fd;

enum direction { IN, OUT }; /* the kernel reads the memory, or writes to it */

/* The pointer under test goes where an argument is THE_POINTER. */
#define THE_POINTER 0x123456789abcdefL
/* Other arguments that exist at run time only: descriptors, a child to wait for, the start of a page. */
enum { A_FILE = 0x7f00000, A_ZERO, A_PIPE_OUT, A_PIPE_IN, A_FOLDER, A_CHILD, A_PAGE };

struct call {
    const char *name;
    long number;
    enum direction direction;
    int null_allowed; /* a null pointer means something else */
    long arguments[6];
};

static char buffer[4096];
static struct timespec no_time;

static struct call calls[] = {
    {"read of a file", SYS_read, OUT, 0, {A_FILE, THE_POINTER, 100}},
    {"read of /dev/zero", SYS_read, OUT, 0, {A_ZERO, THE_POINTER, 100}},
    {"pread64", SYS_pread64, OUT, 0, {A_FILE, THE_POINTER, 100, 0}},
    {"write to a file", SYS_write, IN, 0, {A_FILE, THE_POINTER, 100}},
    {"write to a pipe", SYS_write, IN, 0, {A_PIPE_IN, THE_POINTER, 100}},
    {"pwrite64", SYS_pwrite64, IN, 0, {A_FILE, THE_POINTER, 100, 0}},
    {"readv's vector", SYS_readv, IN, 0, {A_FILE, THE_POINTER, 1}},
    {"writev's vector", SYS_writev, IN, 0, {A_FILE, THE_POINTER, 1}},
    {"openat's path", SYS_openat, IN, 0, {AT_FDCWD, THE_POINTER, O_RDONLY}},
    {"mkdirat", SYS_mkdirat, IN, 0, {AT_FDCWD, THE_POINTER, 0755}},
    {"mknodat", SYS_mknodat, IN, 0, {AT_FDCWD, THE_POINTER, S_IFIFO | 0600, 0}},
    {"unlinkat", SYS_unlinkat, IN, 0, {AT_FDCWD, THE_POINTER, 0}},
    {"symlinkat's target", SYS_symlinkat, IN, 0, {THE_POINTER, AT_FDCWD, (long)"link"}},
    {"symlinkat's name", SYS_symlinkat, IN, 0, {(long)"target", AT_FDCWD, THE_POINTER}},
    {"linkat's old name", SYS_linkat, IN, 0, {AT_FDCWD, THE_POINTER, AT_FDCWD, (long)"x", 0}},
    {"linkat's new name", SYS_linkat, IN, 0, {AT_FDCWD, (long)"text", AT_FDCWD, THE_POINTER, 0}},
    {"renameat2's old name", SYS_renameat2, IN, 0, {AT_FDCWD, THE_POINTER, AT_FDCWD, (long)"x", 0}},
    {"renameat2's new name", SYS_renameat2, IN, 0, {AT_FDCWD, (long)"text", AT_FDCWD, THE_POINTER, 0}},
    {"readlinkat's path", SYS_readlinkat, IN, 0, {AT_FDCWD, THE_POINTER, (long)buffer, 100}},
    {"readlinkat's buffer", SYS_readlinkat, OUT, 0, {AT_FDCWD, (long)"symlink", THE_POINTER, 100}},
    {"newfstatat's path", SYS_newfstatat, IN, 0, {AT_FDCWD, THE_POINTER, (long)buffer, 0}},
    {"newfstatat's result", SYS_newfstatat, OUT, 0, {AT_FDCWD, (long)"text", THE_POINTER, 0}},
    {"fstat", SYS_fstat, OUT, 0, {A_FILE, THE_POINTER}},
    {"statx's result", SYS_statx, OUT, 0, {AT_FDCWD, (long)"text", 0, STATX_BASIC_STATS, THE_POINTER}},
    {"statfs's path", SYS_statfs, IN, 0, {THE_POINTER, (long)buffer}},
    {"statfs's result", SYS_statfs, OUT, 0, {(long)".", THE_POINTER}},
    {"fstatfs", SYS_fstatfs, OUT, 0, {A_FILE, THE_POINTER}},
    {"truncate", SYS_truncate, IN, 0, {THE_POINTER, 0}},
    {"faccessat", SYS_faccessat, IN, 0, {AT_FDCWD, THE_POINTER, R_OK}},
    {"chdir", SYS_chdir, IN, 0, {THE_POINTER}},
    {"fchmodat", SYS_fchmodat, IN, 0, {AT_FDCWD, THE_POINTER, 0644}},
    {"fchownat", SYS_fchownat, IN, 0, {AT_FDCWD, THE_POINTER, 0, 0, 0}},
    {"utimensat's times", SYS_utimensat, IN, 1, {AT_FDCWD, (long)"text", THE_POINTER, 0}},
    {"getdents64", SYS_getdents64, OUT, 0, {A_FOLDER, THE_POINTER, 1000}},
    {"getcwd", SYS_getcwd, OUT, 0, {THE_POINTER, 1000}},
    {"pipe2", SYS_pipe2, OUT, 0, {THE_POINTER, 0}},
    {"fcntl F_GETLK", SYS_fcntl, IN, 0, {A_FILE, F_GETLK, THE_POINTER}},
    {"fcntl F_SETLK", SYS_fcntl, IN, 0, {A_FILE, F_SETLK, THE_POINTER}},
    {"ioctl FIONREAD", SYS_ioctl, OUT, 0, {A_PIPE_OUT, 0x541b /* FIONREAD */, THE_POINTER}},
    {"ppoll's descriptors", SYS_ppoll, IN, 0, {THE_POINTER, 1, (long)&no_time, 0, 8}},
    {"ppoll's time", SYS_ppoll, IN, 1, {0, 0, THE_POINTER, 0, 8}},
    {"pselect6's set", SYS_pselect6, IN, 1, {1, THE_POINTER, 0, 0, (long)&no_time, 0}},
    {"execve's path", SYS_execve, IN, 0, {THE_POINTER, 0, 0}},
    {"execve's arguments", SYS_execve, IN, 1, {(long)"/proc/self/exe", THE_POINTER, 0}},
    {"wait4's status", SYS_wait4, OUT, 1, {A_CHILD, THE_POINTER, 0, 0}},
    {"rt_sigaction's new action", SYS_rt_sigaction, IN, 1, {SIGUSR1, THE_POINTER, 0, 8}},
    {"rt_sigaction's old action", SYS_rt_sigaction, OUT, 1, {SIGUSR1, 0, THE_POINTER, 8}},
    {"rt_sigprocmask's new mask", SYS_rt_sigprocmask, IN, 1, {SIG_BLOCK, THE_POINTER, 0, 8}},
    {"rt_sigprocmask's old mask", SYS_rt_sigprocmask, OUT, 1, {SIG_BLOCK, 0, THE_POINTER, 8}},
    {"rt_sigpending", SYS_rt_sigpending, OUT, 0, {THE_POINTER, 8}},
    {"rt_sigsuspend", SYS_rt_sigsuspend, IN, 0, {THE_POINTER, 8}},
    {"rt_sigtimedwait's set", SYS_rt_sigtimedwait, IN, 0, {THE_POINTER, 0, (long)&no_time, 8}},
    {"sigaltstack's new stack", SYS_sigaltstack, IN, 1, {THE_POINTER, 0}},
    {"sigaltstack's old stack", SYS_sigaltstack, OUT, 1, {0, THE_POINTER}},
    {"nanosleep", SYS_nanosleep, IN, 0, {THE_POINTER, 0}},
    {"clock_nanosleep", SYS_clock_nanosleep, IN, 0, {CLOCK_MONOTONIC, 0, THE_POINTER, 0}},
    {"clock_gettime", SYS_clock_gettime, OUT, 0, {CLOCK_MONOTONIC, THE_POINTER}},
    {"clock_getres", SYS_clock_getres, OUT, 1, {CLOCK_MONOTONIC, THE_POINTER}},
    {"gettimeofday", SYS_gettimeofday, OUT, 1, {THE_POINTER, 0}},
    {"setitimer", SYS_setitimer, IN, 1, {ITIMER_REAL, THE_POINTER, 0}},
    {"getitimer", SYS_getitimer, OUT, 0, {ITIMER_REAL, THE_POINTER}},
    {"uname", SYS_uname, OUT, 0, {THE_POINTER}},
    {"sysinfo", SYS_sysinfo, OUT, 0, {THE_POINTER}},
    {"times", SYS_times, OUT, 1, {THE_POINTER}},
    {"getrusage", SYS_getrusage, OUT, 0, {RUSAGE_SELF, THE_POINTER}},
    {"prlimit64's new limit", SYS_prlimit64, IN, 1, {0, RLIMIT_CORE, THE_POINTER, 0}},
    {"prlimit64's old limit", SYS_prlimit64, OUT, 1, {0, RLIMIT_CORE, 0, THE_POINTER}},
    {"getgroups", SYS_getgroups, OUT, 0, {64, THE_POINTER}},
    {"getresuid", SYS_getresuid, OUT, 0, {THE_POINTER, (long)buffer, (long)buffer}},
    {"getresgid", SYS_getresgid, OUT, 0, {(long)buffer, (long)buffer, THE_POINTER}},
    {"getrandom", SYS_getrandom, OUT, 0, {THE_POINTER, 16, 0}},
    {"sched_getaffinity", SYS_sched_getaffinity, OUT, 0, {0, 128, THE_POINTER}},
    {"futex", SYS_futex, IN, 0, {THE_POINTER, 128 /* FUTEX_WAIT_PRIVATE */, 0, (long)&no_time}},
    {"mincore's vector", SYS_mincore, OUT, 0, {A_PAGE, 4096, THE_POINTER}},
};

static long resolve(long argument, const void *pointer)
{
    switch (argument) {
    case THE_POINTER:
        return (long)pointer;
    case A_FILE:
        return text_fd;
    case A_ZERO:
        return zero_fd;
    case A_PIPE_OUT:
        return pipe_fds[0];
    case A_PIPE_IN:
        return pipe_fds[1];
    case A_FOLDER:
        return folder_fd;
    case A_PAGE:
        return (long)buffer & -PAGE;
    default:
        return argument;
    }
}

static int is_efault(const struct call *call, const void *pointer)
{
    long a[6], result;
    int error;
    pid_t child = -1;

    for (int i = 0; i < 6; i++) {
        a[i] = resolve(call->arguments[i], pointer);
        if (a[i] == A_CHILD && (a[i] = child = fork()) == 0)
            _exit(0);
    }
    lseek(text_fd, 0, SEEK_SET);
    lseek(folder_fd, 0, SEEK_SET);
    errno = 0;
    result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    error = errno;
    if (child > 0)
        waitpid(child, NULL, 0);
    if (result == -1 && error == EFAULT)
        return 1;
    diag("%s with pointer %p: %ld, %s", call->name, pointer, result, result == -1 ? errno_name(error) : "success");
    return 0;
}

static void every_call(void)
{
    char *gone = anon(2 * PAGE, PROT_READ | PROT_WRITE), *read_only = anon(PAGE, PROT_READ),
         *none = anon(PAGE, PROT_NONE);
    const struct {
        const void *at;
        int is_null, in;
        const char *what;
    } bad[] = {{NULL, 1, 1, "null"},
               {gone, 0, 1, "unmapped"},
               {none, 0, 1, "PROT_NONE"},
               {read_only, 0, 0, "read-only"},
               {(void *)0xffffffff80000000, 0, 1, "kernel text"},
               {(void *)0xff60000000000000, 0, 1, "kernel data"},
               {(void *)0x4000000000000000, 0, 1, "non-canonical"},
               {(void *)-8, 0, 1, "last word"}};

    NEED(munmap(gone, 2 * PAGE));
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        int good = 1;

        for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
            if ((bad[k].is_null && calls[i].null_allowed) || (!bad[k].in && calls[i].direction == IN))
                continue;
            good &= is_efault(&calls[i], bad[k].at);
        }
        CHECK(good, "%s", calls[i].name);
    }
    munmap(read_only, PAGE);
    munmap(none, PAGE);
}

/* Buffers that start in good memory and end in none. */
static void partly_good(void)
{
    char *at = anon(2 * PAGE, PROT_READ | PROT_WRITE);
    struct iovec vectors[2] = {{at + PAGE - 10, 10}, {at + PAGE, 10}};
    long got;
    int fds[2];

    NEED(munmap(at + PAGE, PAGE));
    memset(at, 'x', PAGE);
    memcpy(at + PAGE - 5, "text\0", 5);
    got = syscall(SYS_openat, AT_FDCWD, at + PAGE - 5, O_RDONLY);
    CHECK(got >= 0, "a path that ends with the mapping is fine");
    close((int)got);
    FAILS(syscall(SYS_openat, AT_FDCWD, at + PAGE - 4, O_RDONLY), ENOENT, "so is one that is not there");
    at[PAGE - 1] = 't';
    FAILS(syscall(SYS_openat, AT_FDCWD, at + PAGE - 4, O_RDONLY), EFAULT, "one without an end is EFAULT");
    FAILS(syscall(SYS_fstat, text_fd, at + PAGE - 64), EFAULT, "a struct stat that crosses into nothing is EFAULT");
    FAILS(syscall(SYS_uname, at + PAGE - 8), EFAULT, "so is a struct utsname");

    lseek(text_fd, 0, SEEK_SET);
    got = read(text_fd, at + PAGE - 10, 100);
    CHECK(got == 10 || (got == -1 && errno == EFAULT), "read() into partly good memory is short or EFAULT (%ld)", got);
    got = write(null_fd, at + PAGE - 10, 100);
    CHECK(got == 100, "/dev/null does not look");
    NEED(pipe(fds));
    got = write(fds[1], at + PAGE - 10, 100);
    CHECK(got == 10 || (got == -1 && errno == EFAULT), "write() from partly good memory is short or EFAULT (%ld)", got);
    close(fds[0]);
    close(fds[1]);
    lseek(text_fd, 0, SEEK_SET);
    got = readv(text_fd, vectors, 2);
    CHECK(got == 10, "readv() stops at the first bad buffer (%ld)", got);
    vectors[0].iov_base = at + PAGE;
    FAILS(readv(text_fd, vectors, 2), EFAULT, "readv() with a bad first buffer is EFAULT");
    /* Linux on riscv64 loops for ever when the good part is shorter than the 64 bytes that it copies in one go. */
    got = pwrite(text_fd, at + PAGE - 128, 300, 5000);
    CHECK(got == 128 || (got == -1 && errno == EFAULT), "pwrite() from partly good memory is short or EFAULT (%ld)",
          got);
    NEED(munmap(at, PAGE));
}

static void harmless(void)
{
    char *volatile low = (char *)8; /* volatile: compilers warn of what they see */

    IS(read(zero_fd, NULL, 0), 0, "read() of 0 bytes to null");
    IS(write(text_fd, NULL, 0), 0, "write() of 0 bytes from null");
    IS(write(null_fd, low, 5), 5, "write() to /dev/null never reads");
    lseek(text_fd, 0, SEEK_END);
    IS(read(text_fd, low, 10), 0, "read() at the end of file never writes");
    CHECK(getpid() == (pid_t)syscall(SYS_getpid), "the process lives");
}

static void body(void)
{
    char text[512];

    memset(text, 't', sizeof(text));
    text_fd = make_file("text", text, sizeof(text));
    zero_fd = (int)NEED(open("/dev/zero", O_RDONLY));
    null_fd = (int)NEED(open("/dev/null", O_WRONLY));
    folder_fd = (int)NEED(open(".", O_RDONLY));
    NEED(pipe(pipe_fds));
    NEED(write(pipe_fds[1], "p", 1));
    NEED(symlink("text", "symlink"));
    if (getgroups(0, NULL) == 0) {
        gid_t group = 5;

        syscall(SYS_setgroups, 1, &group); /* so that getgroups has something to write */
    }
    every_call();
    partly_good();
    harmless();
    close(text_fd), close(zero_fd), close(null_fd), close(folder_fd), close(pipe_fds[0]), close(pipe_fds[1]);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
