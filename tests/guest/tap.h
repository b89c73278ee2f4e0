/*
 * The Test Anything Protocol for programs that test a kernel from the inside.
 *
 * A test is a function BODY and `int main(int argc, char **argv) { return tap_main(argc, argv, BODY); }`. The body runs
 * in a child process with a folder of its own as working directory; its parent prints the plan, removes the folder, and
 * compares the kernel's own counts (/proc/quire, where there is one) with those from before: what the body made must be
 * gone with it. Only the body's process states facts; what it forks answers with exit statuses (see in_child).
 *
 *     CHECK(cond, "name")              a fact
 *     OKAY(call, "name")               a call that must not return -1
 *     FAILS(call, EINVAL, "name")      a call that must return -1 with this errno
 *     IS(got, want, "name")            two integers are equal
 *     DIES(function, argument, SIGSEGV, SEGV_MAPERR, address, "name")   run in a child, which must die so
 *
 * Names may be formats. Everything is printed at once, so a dead kernel leaves a readable log.
 */
#ifndef TESTS_GUEST_TAP_H
#define TESTS_GUEST_TAP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#define PAGE 4096UL

struct tap_state {
    int count, failures;
};

static struct tap_state *tap; /* shared by the body and its parent */
static char **tap_arguments;  /* what the command line said after the folder */
static const char *tap_program;

UNUSED static int tap_ok(int good, const char *file, int line, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* One test point; when it is bad also where and WHAT. Keeps errno. */
UNUSED static int tap_ok(int good, const char *file, int line, const char *what, const char *fmt, ...)
{
    char buffer[600];
    int saved = errno, used;
    va_list args;

    used = snprintf(buffer, sizeof(buffer), "%sok %d - ", good ? "" : "not ", ++tap->count);
    va_start(args, fmt);
    used += vsnprintf(buffer + used, 300, fmt, args);
    va_end(args);
    used += snprintf(buffer + used, sizeof(buffer) - used, "\n");
    if (!good) {
        tap->failures++;
        used += snprintf(buffer + used, sizeof(buffer) - used, "# %s:%d: %.200s\n", file, line, what);
        if (used > (int)sizeof(buffer) - 1)
            used = sizeof(buffer) - 1;
    }
    if (write(STDOUT_FILENO, buffer, used) != used)
        _exit(9);
    errno = saved;
    return good;
}

__attribute__((format(printf, 1, 2))) UNUSED static void diag(const char *fmt, ...)
{
    char buffer[400];
    va_list args;
    int used;

    va_start(args, fmt);
    used = vsnprintf(buffer, sizeof(buffer) - 1, fmt, args);
    va_end(args);
    if (used > (int)sizeof(buffer) - 2)
        used = sizeof(buffer) - 2;
    if (dprintf(STDOUT_FILENO, "# %.*s\n", used, buffer) < 0)
        _exit(9);
}

/* A point that cannot be tested here, and why. */
UNUSED static void skip(const char *name, const char *why)
{
    dprintf(STDOUT_FILENO, "ok %d - %s # SKIP %s\n", ++tap->count, name, why);
}

UNUSED static const char *errno_name(int error)
{
    const char *name = error == 0 ? "success" : strerrorname_np(error);

    return name ? name : "unknown errno";
}

#define CHECK(cond, ...) tap_ok(!!(cond), __FILE__, __LINE__, #cond, __VA_ARGS__)

#define IS(got, want, ...)                                                                                      \
    __extension__({                                                                                             \
        long long tap_got = (long long)(got), tap_want = (long long)(want);                                     \
        char tap_text[160];                                                                                     \
        snprintf(tap_text, sizeof(tap_text), "%.60s is %lld (%#llx), not %lld (%#llx)", #got, tap_got, tap_got, \
                 tap_want, tap_want);                                                                           \
        tap_ok(tap_got == tap_want, __FILE__, __LINE__, tap_text, __VA_ARGS__);                                 \
    })

#define OKAY(call, ...)                                                                                      \
    __extension__({                                                                                          \
        long tap_result = (long)(call);                                                                      \
        char tap_text[200];                                                                                  \
        snprintf(tap_text, sizeof(tap_text), "%.120s: %s", #call, errno_name(tap_result == -1 ? errno : 0)); \
        tap_ok(tap_result != -1, __FILE__, __LINE__, tap_text, __VA_ARGS__);                                 \
        tap_result;                                                                                          \
    })

#define FAILS(call, error, ...)                                                                     \
    __extension__({                                                                                 \
        long tap_result = (long)(call);                                                             \
        char tap_text[200];                                                                         \
        snprintf(tap_text, sizeof(tap_text), "%.100s: returned %ld, %s, not %s", #call, tap_result, \
                 errno_name(tap_result == -1 ? errno : 0), errno_name(error));                      \
        tap_ok(tap_result == -1 && errno == (error), __FILE__, __LINE__, tap_text, __VA_ARGS__);    \
    })

/* ---- Children ---- */

/* How a child ended: exit status, or signal with the code and address of its siginfo. */
struct ending {
    int status; /* exit status, -1 when killed */
    int signal; /* 0 when it exited */
    int code;   /* the fault's si_code and si_addr, for faults */
    uintptr_t address;
};

static int tap_fault_pipe = -1;

/* In the dying child: tell the parent what the signal said, then die of the same signal. */
UNUSED static void tap_report_fault(int signo, siginfo_t *info, void *context UNUSED)
{
    struct ending report = {-1, signo, info->si_code, (uintptr_t)info->si_addr};

    if (write(tap_fault_pipe, &report, sizeof(report)) != sizeof(report))
        _exit(99);
    signal(signo, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    raise(signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Run FUNCTION(ARGUMENT) in a child, which exits with its result. */
UNUSED static struct ending in_child(int (*function)(void *), void *argument)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
    struct ending report = {-1, 0, 0, 0}, end = {-1, 0, 0, 0};
    int fds[2], status;
    pid_t pid;

    if (pipe(fds) || (pid = fork()) < 0) {
        diag("in_child: %s", errno_name(errno));
        return end;
    }
    if (pid == 0) {
        struct sigaction action = {.sa_sigaction = tap_report_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        static char stack[32768];
        stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};

        close(fds[0]);
        tap_fault_pipe = fds[1];
        sigaltstack(&alternate, NULL);
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
            sigaction(faults[i], &action, NULL);
        _exit(function(argument));
    }
    close(fds[1]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    if (read(fds[0], &report, sizeof(report)) == sizeof(report))
        end = report;
    close(fds[0]);
    end.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return end;
}

#define ANY_CODE (-9999)
#define DIES(function, argument, signo, sicode, addr, ...)                                                           \
    __extension__({                                                                                                  \
        struct ending tap_end = in_child(function, (void *)(argument));                                              \
        char tap_text[200];                                                                                          \
        snprintf(tap_text, sizeof(tap_text), "exit %d, signal %d code %d at %#lx; wanted signal %d code %d at %#lx", \
                 tap_end.status, tap_end.signal, tap_end.code, (long)tap_end.address, (signo), (sicode),             \
                 (long)(uintptr_t)(addr));                                                                           \
        tap_ok(tap_end.signal == (signo) &&                                                                          \
                   ((sicode) == ANY_CODE || (tap_end.code == (sicode) && tap_end.address == (uintptr_t)(addr))),     \
               __FILE__, __LINE__, tap_text, __VA_ARGS__);                                                           \
    })

#define EXITS(function, argument, wanted, ...)                                                                     \
    __extension__({                                                                                                \
        struct ending tap_end = in_child(function, (void *)(argument));                                            \
        char tap_text[200];                                                                                        \
        snprintf(tap_text, sizeof(tap_text), "exit %d, signal %d code %d at %#lx; wanted exit %d", tap_end.status, \
                 tap_end.signal, tap_end.code, (long)tap_end.address, (wanted));                                   \
        tap_ok(tap_end.status == (wanted), __FILE__, __LINE__, tap_text, __VA_ARGS__);                             \
    })

/* ---- Helpers ---- */

/* What must work for the test to make sense; not a test point. */
#define NEED(call)                                                                 \
    __extension__({                                                                \
        long tap_result = (long)(call);                                            \
        if (tap_result == -1) {                                                    \
            tap_ok(0, __FILE__, __LINE__, errno_name(errno), "needed: %s", #call); \
            _exit(1);                                                              \
        }                                                                          \
        tap_result;                                                                \
    })

UNUSED static void *anon(size_t length, int protection)
{
    return (void *)NEED((long)mmap(NULL, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* A word for X that looks like none of its neighbours': pages of them do not compress. */
UNUSED static uint64_t noise(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

UNUSED static void sleep_ms(long ms)
{
    struct timespec wait = {ms / 1000, ms % 1000 * 1000000L};

    while (nanosleep(&wait, &wait) < 0 && errno == EINTR)
        ;
}

/* A whole file of /proc or the like as a string; NULL when it cannot be opened. */
UNUSED static char *slurp(const char *path)
{
    size_t used = 0, size = 65536;
    char *text;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    text = malloc(size);
    while ((got = read(fd, text + used, size - used - 1)) > 0) {
        used += got;
        if (size - used < 4096)
            text = realloc(text, size *= 2);
    }
    close(fd);
    text[used] = 0;
    return text;
}

/* The number after NAME in a file of "name value" or "Name: value kB" lines; -1 when absent. */
UNUSED static long proc_value(const char *path, const char *name)
{
    char *text = slurp(path), *line = text;
    size_t length = strlen(name);
    long value = -1;

    for (; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (!strncmp(line, name, length) && strchr(" \t:", line[length])) {
            value = strtol(line + length + strspn(line + length, " \t:"), NULL, 10);
            break;
        }
    free(text);
    return value;
}

/* Pages of this process that are in memory. */
UNUSED static long resident_pages(void)
{
    char *text = slurp("/proc/self/statm");
    long size = 0, resident = -1;

    if (text)
        sscanf(text, "%ld %ld", &size, &resident);
    free(text);
    return resident;
}

UNUSED static int make_file(const char *name, const void *data, size_t length)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, data, length) != (ssize_t)length) {
        tap_ok(0, __FILE__, __LINE__, errno_name(errno), "needed: file %s", name);
        _exit(1);
    }
    return fd;
}

/* ---- Frame ---- */

static const char *const tap_counts[] = {
    "pages_anon", "pages_shared", "pages_pagetable", "pages_stack", "vmas",   "spaces", "threads",
    "processes",  "files",        "inodes_open",     "pipes",       "timers", "locks"};
#define TAP_COUNTS (sizeof(tap_counts) / sizeof(tap_counts[0]))

static void tap_read_counts(long counts[TAP_COUNTS])
{
    static char text[16384];
    int fd = open("/proc/quire", O_RDONLY | O_CLOEXEC);
    ssize_t used = read(fd, text, sizeof(text) - 1);

    close(fd);
    text[used > 0 ? used : 0] = 0;
    for (size_t i = 0; i < TAP_COUNTS; i++) {
        size_t length = strlen(tap_counts[i]);

        counts[i] = -1;
        for (char *line = text; line; line = (line = strchr(line, '\n')) ? line + 1 : NULL)
            if (!strncmp(line, tap_counts[i], length) && line[length] == ' ')
                counts[i] = strtol(line + length, NULL, 10);
    }
}

/* Counts may lag behind the exit of a process for a moment; not longer. */
static void tap_compare_counts(const long before[TAP_COUNTS])
{
    long now[TAP_COUNTS];
    int tries = 100, same = 0;

    while (!same && tries-- > 0) {
        tap_read_counts(now);
        same = !memcmp(now, before, sizeof(now));
        if (!same)
            sleep_ms(20);
    }
    tap_ok(same, __FILE__, __LINE__, "see the counts below", "nothing is left behind in the kernel");
    for (size_t i = 0; i < TAP_COUNTS && !same; i++)
        if (now[i] != before[i])
            diag("%s: %ld before, %ld after", tap_counts[i], before[i], now[i]);
}

/* Remove a folder with all it holds, whatever its permissions. */
UNUSED static void remove_tree(const char *path)
{
    char name[4200];
    struct dirent *entry;
    DIR *dir;

    chmod(path, 0700);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (unlink(name) && errno == EISDIR)
            remove_tree(name);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

/* Run BODY in a child that works in FOLDER. */
static pid_t tap_spawn(void (*body)(void), const char *folder)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (chdir(folder)) {
            tap_ok(0, __FILE__, __LINE__, errno_name(errno), "entering %s", folder);
            _exit(1);
        }
        umask(022);
        body();
        _exit(0);
    }
    return pid;
}

static char tap_folder[512];

static void tap_nothing(void) {}

static void tap_remove_folder(void) { remove_tree(tap_folder); }

/* The stack's pages are there before pages are counted, wherever it begins. */
__attribute__((noinline)) static void tap_touch_stack(void)
{
    volatile char deep[8 * PAGE];

    for (size_t i = 0; i < sizeof(deep); i += PAGE / 2)
        deep[i] = 1;
}

/* Runs BODY; the first argument, or TEST_DIR, or /var/tmp, says where it may write. Returns what main returns. */
UNUSED static int tap_main(int argc, char **argv, void (*body)(void))
{
    static long before[TAP_COUNTS];
    const char *base = argc > 1 && argv[1][0] == '/' ? argv[1] : getenv("TEST_DIR");
    int counted, status = 0;
    pid_t pid;

    tap_program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    tap_arguments = argv + 1 + (argc > 1 && argv[1][0] == '/');
    tap = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tap == MAP_FAILED) {
        printf("Bail out! no shared memory: %s\n", errno_name(errno));
        return 1;
    }
    memset(tap, 0, sizeof(*tap)); /* its page is there before pages are counted */
    tap_touch_stack();
    if (!base)
        base = access("/var/tmp", W_OK) ? "/tmp" : "/var/tmp";
    snprintf(tap_folder, sizeof(tap_folder), "%s/%s.%d", base, tap_program, (int)getpid());
    if (mkdir(tap_folder, 0755)) {
        printf("Bail out! cannot make %s: %s\n", tap_folder, errno_name(errno));
        return 1;
    }
    fflush(stdout);
    counted = access("/proc/quire", R_OK) == 0;
    if (counted) { /* the first round touches every page that the second one needs */
        for (int round = 0; round < 2; round++) {
            waitpid(tap_spawn(tap_nothing, tap_folder), &status, 0);
            tap_read_counts(before);
            sleep_ms(20);
        }
    }
    pid = tap_spawn(body, tap_folder);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status)
        tap_ok(0, tap_program, 0, strsignal(WTERMSIG(status)), "the test ran to its end (wait status %#x)", status);
    waitpid(tap_spawn(tap_remove_folder, "/"), NULL, 0);
    if (counted)
        tap_compare_counts(before);
    dprintf(STDOUT_FILENO, "1..%d\n", tap->count);
    return tap->failures != 0 || tap->count == 0;
}

#endif
