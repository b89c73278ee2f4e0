/* Allocations that fail in what programs do with their own faults (userfaultfd, user traps), in huge pages, advice and
 * scans, and in calls of files and IPC that no_memory.c leaves out: see no_memory.h. */
#include "no_memory.h"
#include "uffd.h"
#include "libvm/include/quire/vmtrap.h"

#include <netinet/in.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif

#define SPAN (2UL << 20)

/* An errno that the result of undoing does not change. */
static int after(int result, int undone)
{
    int error = errno;

    if (undone != 0)
        _exit(8);
    errno = error;
    return result;
}

/* ---- huge pages ---- */

/* Every 16th page of the span in AT, which is 4 MiB long, has bytes of its own. */
static char *span_of(char *at) { return (char *)(((uintptr_t)at + SPAN - 1) & ~(SPAN - 1)); }

static void fill_span(char *span)
{
    for (unsigned i = 0; i < SPAN / PAGE; i += 16)
        span[i * PAGE + 5] = (char)(i / 16 + 1);
}

static int span_is_intact(const char *span)
{
    for (unsigned i = 0; i < SPAN / PAGE; i += 16)
        if (span[i * PAGE + 5] != (char)(i / 16 + 1))
            return 0;
    return 1;
}

static int collapse_in(char *at)
{
    int left = failures_left(), result;
    char *span;

    if (at == MAP_FAILED)
        return -1;
    span = span_of(at);
    set_failure(0);
    fill_span(span);
    set_failure(left);
    result = madvise(span, SPAN, MADV_COLLAPSE);
    if (result != 0 && errno == EINVAL) /* there are none in this machine */
        result = 0;
    left = failures_left();
    set_failure(0);
    if (!span_is_intact(span) || mprotect(span + 7 * PAGE, PAGE, PROT_READ) != 0 || !span_is_intact(span))
        _exit(8);
    set_failure(left);
    return after(result, munmap(at, 2 * SPAN));
}

static int collapse_private(void) { return collapse_in(mmap(NULL, 2 * SPAN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); }

static int collapse_shared(void) { return collapse_in(mmap(NULL, 2 * SPAN, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0)); }

/* A huge page is cut in two, moved, and given to a child. */
static int use_huge(void)
{
    char *at = mmap(NULL, 2 * SPAN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *span, *moved;
    int result = 0, status;
    pid_t pid;

    if (at == MAP_FAILED)
        return -1;
    span = span_of(at);
    if (madvise(at, 2 * SPAN, MADV_HUGEPAGE) != 0 && errno != EINVAL)
        return after(-1, munmap(at, 2 * SPAN));
    fill_span(span);
    pid = fork();
    if (pid == 0)
        _exit(span_is_intact(span) ? 0 : 1);
    result = pid < 0 ? -1 : 0;
    if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0))
        _exit(8);
    moved = mremap(span + SPAN / 2, SPAN / 4, SPAN / 4, MREMAP_MAYMOVE | MREMAP_FIXED, at == span ? at + SPAN : at);
    if (moved == MAP_FAILED)
        result = -1;
    else if (moved[5] != span[5] + SPAN / PAGE / 32)
        _exit(8);
    return after(result, munmap(at, 2 * SPAN));
}

/* ---- advice ---- */

static int advise(int advice)
{
    char *at = mmap(NULL, 700 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int result;

    if (at == MAP_FAILED)
        return -1;
    for (unsigned i = 0; i < 700; i++)
        at[i * PAGE] = (char)(i + 1);
    result = madvise(at + 13 * PAGE, 600 * PAGE, advice);
    for (unsigned i = 0; i < 700; i++)
        if (at[i * PAGE] != (char)(i + 1) && (advice == MADV_PAGEOUT || advice == MADV_COLD || i < 13 || i >= 613))
            _exit(8);
    return after(result, munmap(at, 700 * PAGE));
}

static int advise_free(void) { return advise(MADV_FREE); }
static int advise_pageout(void) { return advise(MADV_PAGEOUT); }
static int advise_cold(void) { return advise(MADV_COLD); }

/* Tables are shared since a fork, and then taken apart. */
static int advise_after_fork(void)
{
    char *at = mmap(NULL, 700 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int result, stop[2], left = failures_left();
    pid_t pid;

    if (at == MAP_FAILED)
        return -1;
    set_failure(0);
    memset(at, 1, 700 * PAGE);
    NEED(pipe(stop));
    pid = NEED(fork());
    if (pid == 0) {
        char byte;

        close(stop[1]);
        _exit(read(stop[0], &byte, 1) == 0 && at[100 * PAGE] == 1 && at[699 * PAGE] == 1 ? 0 : 1);
    }
    set_failure(left);
    result = madvise(at + 99 * PAGE, 2 * PAGE, MADV_DONTNEED) | mprotect(at + 300 * PAGE, PAGE, PROT_READ) |
             madvise(at + 400 * PAGE, 2 * PAGE, MADV_FREE);
    left = failures_left();
    set_failure(0);
    close(stop[0]);
    close(stop[1]);
    waitpid(pid, &stop[0], 0);
    if (stop[0] != 0)
        _exit(8);
    set_failure(left);
    return after(result, munmap(at, 700 * PAGE));
}

static int punch_hole(void)
{
    int fd = memfd_create("m", 0), result = -1;

    if (fd >= 0 && ftruncate(fd, 40 * PAGE) == 0 && pwrite(fd, area, 40 * PAGE, 0) == (ssize_t)(40 * PAGE))
        result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE + 7, 30 * PAGE);
    return fd < 0 ? -1 : after(result, close(fd));
}

/* ---- userfaultfd ---- */

static int fill_by_userfault(void)
{
    char *at = mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *from = mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = uffd_new(O_CLOEXEC, 0), result = -1;

    if (at != MAP_FAILED && from != MAP_FAILED && fd >= 0 && uffd_register(fd, at, 12 * PAGE, MISSING) == 0 &&
        uffd_copy(fd, at, area, 4 * PAGE, 0) == 0 && uffd_zero(fd, at + 4 * PAGE, 4 * PAGE, 0) == 0)
        result = memcmp(at, area, 4 * PAGE) == 0 && at[5 * PAGE] == 0 ? 0 : (errno = EPROTO, -1);
    if (fd >= 0)
        result = after(result, close(fd));
    if (at != MAP_FAILED)
        result = after(result, munmap(at, 16 * PAGE));
    return from != MAP_FAILED ? after(result, munmap(from, 16 * PAGE)) : -1;
}

static int protect_by_userfault(void)
{
    char *at;
    int fd, result;

    if (!has_wp)
        return 0;
    at = mmap(NULL, 600 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -1;
    memset(at, 1, 30 * PAGE);
    fd = uffd_new(O_CLOEXEC, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    result = fd >= 0 && uffd_register(fd, at + PAGE, 590 * PAGE, WP) == 0 &&
                     uffd_protect(fd, at + 2 * PAGE, 500 * PAGE, 1) == 0 &&
                     uffd_protect(fd, at + 3 * PAGE, 5 * PAGE, 0) == 0
                 ? 0
                 : -1;
    if (result == 0)
        at[3 * PAGE] = 2;
    if (fd >= 0)
        result = after(result, close(fd));
    return after(result, munmap(at, 600 * PAGE));
}

static int fork_with_event(void)
{
    char *at = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, 0), result = -1, status;
    pid_t pid;

    if (at == MAP_FAILED || fd < 0)
        return at != MAP_FAILED ? after(-1, munmap(at, 4 * PAGE)) : closed(fd) | -1;
    if (uffd_register(fd, at, 4 * PAGE, MISSING) == 0) {
        pid = fork();
        if (pid == 0)
            _exit(0);
        result = pid < 0 ? -1 : 0;
        if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0))
            _exit(8);
    }
    return after(after(result, close(fd)), munmap(at, 4 * PAGE));
}

/* ---- user traps ---- */

static int has_traps(void) { return syscall(VMTRAP_ARM, 0, 0, 0) == 0; }

static int use_traps(void)
{
    char *at;
    struct vmtrap_range ranges[3], found[8];
    struct vmtrap_dirty dirty = {
        .ranges = (uintptr_t)ranges, .n_ranges = 1, .found = (uintptr_t)found, .max = 8, .flags = VMTRAP_REARM};
    int result;

    if (!has_traps())
        return 0;
    at = mmap(NULL, 2048 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return -1;
    for (unsigned i = 0; i < 3; i++)
        ranges[i] = (struct vmtrap_range){(uintptr_t)at + i * 512 * PAGE, (i + 1) * PAGE, PROT_READ};
    at[0] = at[1025 * PAGE] = 1;
    result = syscall(VMTRAP_ARM, at, 2000 * PAGE, VMTRAP_FAULTS | VMTRAP_TRACK) == 0 &&
                     syscall(VMTRAP_PROTECT, ranges, 3) == 3
                 ? 0
                 : -1;
    for (unsigned i = 0; i < 3; i++)
        ranges[i].prot = RW;
    if (result == 0)
        result = syscall(VMTRAP_PROTECT, ranges, 3) == 3 ? 0 : -1;
    ranges[0].length = 1500 * PAGE;
    if (result == 0) {
        at[1025 * PAGE] = 2;
        result = syscall(VMTRAP_DIRTY, &dirty) == 1 ? 0 : -1;
        if (result != 0 && errno == 0)
            _exit(8);
    }
    if (result == 0 && found[0].start != (uintptr_t)at + 1025 * PAGE)
        _exit(8);
    return after(result, munmap(at, 2048 * PAGE));
}

static char trap_stack[65536];
static struct vmtrap_area trap_area __attribute__((aligned(1024)));

static int register_handler(void)
{
    static struct {
        struct vmtrap_log log;
        uint64_t entries[8];
    } ring __attribute__((aligned(4096)));
    long log, result;
    int left, error;

    if (!has_traps())
        return 0;
    if (syscall(VMTRAP_REGISTER, &trap_area, trap_stack, trap_stack + sizeof(trap_stack), 0) != 0)
        return -1;
    log = syscall(VMTRAP_LOG, 0, &ring, 8);
    result = log < 0 ? -1 : syscall(VMTRAP_ARM, area, PAGES * PAGE, VMTRAP_LOGGED(log));
    if (result == 0)
        result = mprotect(area + 3 * PAGE, 2 * PAGE, PROT_READ);
    if (result == 0) /* an injected failure may refuse to log it, and there is no handler that could go on then */
        result = mprotect(area + 3 * PAGE, 2 * PAGE, RW);
    error = errno;
    left = failures_left();
    set_failure(0);
    if (syscall(VMTRAP_ARM, area, PAGES * PAGE, 0) != 0 || (log > 0 && syscall(VMTRAP_LOG, log, 0, 0) != 0) ||
        syscall(VMTRAP_REGISTER, 0, 0, 0, 0) != 0)
        _exit(8);
    mprotect(area, PAGES * PAGE, RW);
    set_failure(left);
    errno = error;
    return (int)result;
}

/* ---- scans ---- */

static int read_pagemap(void)
{
    uint64_t entries[64];
    int fd = open("/proc/self/pagemap", O_RDONLY);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = pread(fd, entries, sizeof(entries), (off_t)((uintptr_t)area / PAGE * 8));
    return after(n == (ssize_t)sizeof(entries) ? 0 : -1, close(fd));
}

static int read_smaps(void)
{
    char buffer[4096];
    int fd = open("/proc/self/smaps", O_RDONLY);
    ssize_t n;

    if (fd < 0)
        return -1;
    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        ;
    return after((int)n, close(fd));
}

static int clear_soft_dirty(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    return after(write(fd, "4", 1) == 1 ? 0 : -1, close(fd));
}

static int see_in_core(void)
{
    unsigned char in_core[PAGES];

    return mincore(area, PAGES * PAGE, in_core);
}

/* ---- files and IPC ---- */

static int use_messages(void)
{
    struct {
        long type;
        char text[600];
    } message = {.type = 1};
    int id = msgget(IPC_PRIVATE, 0600), result, left;

    if (id < 0)
        return -1;
    result = msgsnd(id, &message, sizeof(message.text), IPC_NOWAIT) == 0 &&
                     msgrcv(id, &message, sizeof(message.text), 0, IPC_NOWAIT) == (ssize_t)sizeof(message.text)
                 ? 0
                 : -1;
    left = failures_left();
    set_failure(0);
    result = after(result, msgctl(id, IPC_RMID, NULL));
    set_failure(left);
    return result;
}

static int watch_folder(void)
{
    int fd = inotify_init1(IN_NONBLOCK), result;

    if (fd < 0)
        return -1;
    result = inotify_add_watch(fd, ".", IN_ALL_EVENTS) < 0 ? -1 : 0;
    if (result == 0)
        result = access("data", F_OK);
    return after(result, close(fd));
}

static int wait_for_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return closed(signalfd(-1, &set, 0));
}

static int lock_ranges(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 100}, middle;
    int result = fcntl(data_file, F_SETLK, &lock), left;

    middle = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 50, .l_len = 10};
    if (result == 0)
        result = fcntl(data_file, F_SETLK, &middle);
    if (result != 0 && errno == ENOLCK)
        errno = ENOMEM;
    left = failures_left();
    set_failure(0);
    lock = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET};
    result = after(result, fcntl(data_file, F_SETLK, &lock));
    set_failure(left);
    return result;
}

static int make_links(void)
{
    char target[300] = "";
    int result, left, error;

    memset(target, 'x', sizeof(target) - 1);
    result = symlink(target, "symbolic");
    if (result == 0)
        result = link("data", "hard");
    if (result == 0)
        result = readlink("symbolic", target, sizeof(target)) == sizeof(target) - 1 ? 0 : -1;
    error = errno;
    left = failures_left();
    set_failure(0);
    unlink("symbolic");
    unlink("hard");
    set_failure(left);
    errno = error;
    return result;
}

static int send_file(void)
{
    int ends[2], result;
    off_t from = 0;

    if (pipe(ends) != 0)
        return -1;
    result = sendfile(ends[1], data_file, &from, 3 * PAGE) > 0 ? 0 : -1;
    return after(result, close(ends[0]) | close(ends[1]));
}

static int splice_pages(void)
{
    int ends[2], others[2], result;
    off_t from = 0;

    if (pipe(ends) != 0)
        return -1;
    if (pipe(others) != 0)
        return after(-1, close(ends[0]) | close(ends[1]));
    result =
        splice(data_file, &from, ends[1], NULL, 2 * PAGE, 0) > 0 && tee(ends[0], others[1], 2 * PAGE, 0) > 0 ? 0 : -1;
    return after(result, close(ends[0]) | close(ends[1]) | close(others[0]) | close(others[1]));
}

/* A descriptor goes through a local socket, as does a datagram. */
static int send_descriptor(void)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec one = {"x", 1};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int ends[2], result;

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0)
        return -1;
    memcpy(CMSG_DATA(&control.header), &data_file, sizeof(data_file));
    result = sendmsg(ends[0], &message, MSG_DONTWAIT) == 1 ? 0 : -1;
    if (result != 0 && errno == ENOBUFS)
        errno = ENOMEM;
    return after(result, close(ends[0]) | close(ends[1]));
}

static int connect_here(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), result = -1, accepted;

    if (server >= 0 && client >= 0 && bind(server, (void *)&address, sizeof(address)) == 0 && listen(server, 1) == 0 &&
        getsockname(server, (void *)&address, &length) == 0 &&
        connect(client, (void *)&address, sizeof(address)) == 0 && send(client, area, 2 * PAGE, 0) > 0) {
        accepted = accept(server, NULL, NULL);
        result = accepted < 0 ? -1 : close(accepted);
    }
    if (result != 0 && (errno == ENOBUFS || errno == ECONNREFUSED))
        errno = ENOMEM;
    if (server >= 0)
        result = after(result, close(server));
    return client >= 0 ? after(result, close(client)) : -1;
}

static int open_terminal(void)
{
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);

    if (fd < 0 && errno == ENOENT)
        return 0;
    return closed(fd);
}

static int make_clock(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    timer_t timer;

    return timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ? -1 : timer_delete(timer);
}

static const struct failing_call calls[] = {
    {"MADV_COLLAPSE", collapse_private},
    {"MADV_COLLAPSE of shared memory", collapse_shared},
    {"fork and mremap of huge pages", use_huge},
    {"MADV_FREE", advise_free},
    {"MADV_PAGEOUT", advise_pageout},
    {"MADV_COLD", advise_cold},
    {"taking shared tables apart", advise_after_fork},
    {"a hole in a memfd", punch_hole},
    {"UFFDIO_COPY", fill_by_userfault},
    {"UFFDIO_WRITEPROTECT", protect_by_userfault},
    {"fork of registered memory", fork_with_event},
    {"user traps: arming, protecting, dirty pages", use_traps},
    {"user traps: a handler and a log", register_handler},
    {"reading pagemap", read_pagemap},
    {"reading smaps", read_smaps},
    {"clear_refs", clear_soft_dirty},
    {"mincore", see_in_core},
    {"System V messages", use_messages},
    {"inotify", watch_folder},
    {"signalfd", wait_for_signals},
    {"fcntl locks", lock_ranges},
    {"links", make_links},
    {"sendfile", send_file},
    {"splice and tee", splice_pages},
    {"sending a descriptor", send_descriptor},
    {"TCP", connect_here},
    {"pseudo-terminals", open_terminal},
    {"timer_create", make_clock},
};

static void body(void)
{
    close(uffd_new(O_CLOEXEC, 0)); /* sets has_wp */
    fail_all(calls, sizeof(calls) / sizeof(calls[0]));
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
