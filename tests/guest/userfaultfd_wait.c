/*
 * userfaultfd: who waits for an answer, and who reads. Signals and deaths meanwhile, wake-ups, several readers, poll,
 * other processes. Source: userfaultfd(2), ioctl_userfaultfd(2).
 */
#include "uffd.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* ---- waiting ---- */

static volatile int handled;
static void on_usr1(int signo UNUSED) { handled++; }

static int wait_forever(void *at)
{
    int fd = uffd_new(0, 0);

    uffd_register(fd, at, PAGE, MISSING);
    return (int)(long)load(at);
}

static int wait_in_call(void *at)
{
    int fd = uffd_new(0, 0);

    uffd_register(fd, at, PAGE, MISSING);
    return (int)write(1, at, 1);
}

static void kill_waiting(const char *what, int (*function)(void *), void *at)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(function(at));
    sleep_ms(100);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s can be killed", what);
}

static volatile int leaver;

static void *exit_with_missing_tid(void *at)
{
    syscall(SYS_set_tid_address, at);
    leaver = (int)syscall(SYS_gettid);
    return NULL;
}

/* Joining would wait for the word that the kernel does not clear. */
static int leaves(char *at)
{
    char path[64];

    pthread_detach(start(exit_with_missing_tid, at));
    for (int i = 0; i < 5000; i++) {
        snprintf(path, sizeof(path), "/proc/self/task/%d", leaver);
        if (leaver && access(path, F_OK))
            return 1;
        sleep_ms(1);
    }
    return 0;
}

static void waiting(void)
{
    struct sigaction action = {.sa_handler = on_usr1};
    char *at = anon(8 * PAGE, RW);
    int fd = uffd_new(0, 0);
    struct uffd_msg message;
    char path[64], *text;
    pthread_t thread, second;

    sigaction(SIGUSR1, &action, NULL);
    uffd_register(fd, at, 8 * PAGE, MISSING);
    thread = start(load, at);
    uffd_next(fd);
    pthread_kill(thread, SIGUSR1);
    for (int i = 0; i < 2000 && !handled; i++)
        sleep_ms(1);
    IS(handled, 1, "a signal's handler runs while a fault of user mode waits");
    message = uffd_next(fd);
    IS(message.arg.pagefault.address, (uintptr_t)at, "then the fault is reported anew");
    uffd_copy(fd, at, bytes, PAGE, 0);
    IS(finish(thread), 'a', "and answered");
    thread = start(load, at + PAGE);
    second = start(load, at + PAGE);
    uffd_next(fd);
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    for (int i = 0; i < 2000 && proc_value(path, "total") != 2; i++)
        sleep_ms(1);
    text = slurp(path);
    CHECK(strstr(text, "total:\t2\n") && strstr(text, "pending:\t") && strstr(text, "API:\taa:"),
          "fdinfo counts those who wait");
    free(text);
    uffd_wake(fd, at + 2 * PAGE, PAGE);
    uffd_wake(fd, at + PAGE, PAGE);
    message = uffd_next(fd);
    IS(message.event, UFFD_EVENT_PAGEFAULT, "who is woken without a page asks again");
    uffd_copy(fd, at + PAGE, bytes, PAGE, 0);
    CHECK(finish(thread) == 'a' && finish(second) == 'a', "one answer is for all who wait");
    thread = start(load, at + 2 * PAGE);
    uffd_next(fd);
    OKAY(uffd_unregister(fd, at + 2 * PAGE, PAGE), "unregister a range where a fault waits");
    IS(finish(thread), 0, "the fault goes the usual way");
    thread = start(load, at + 3 * PAGE);
    uffd_next(fd);
    OKAY(munmap(at + 3 * PAGE, PAGE), "munmap where a fault waits");
    mmap(at + 3 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    uffd_wake(fd, at + 3 * PAGE, PAGE);
    IS(finish(thread), 0, "who is woken finds the new mapping");
    thread = start(load, at + 4 * PAGE);
    second = start(load, at + 5 * PAGE);
    sleep_ms(20);
    close(fd);
    CHECK(finish(thread) == 0 && finish(second) == 0, "closing the descriptor lets all go on");
    kill_waiting("a fault of user mode", wait_forever, at + 6 * PAGE);
    kill_waiting("a fault of a system call", wait_in_call, at + 6 * PAGE);
    fd = uffd_new(0, 0);
    uffd_register(fd, at + 6 * PAGE, PAGE, MISSING);
    CHECK(leaves(at + 6 * PAGE), "a thread that ends does not wait for its child-tid word");
    close(fd);
    munmap(at, 8 * PAGE);
}

/* ---- several readers, poll, epoll ---- */

static char *many;
static int many_fd;
static volatile int answered;

static void *serve(void *unused UNUSED)
{
    struct uffd_msg message;
    long n = 0;

    while (read(many_fd, &message, sizeof(message)) == sizeof(message)) {
        if (message.event != UFFD_EVENT_PAGEFAULT || message.arg.pagefault.address == (uintptr_t)many)
            break;
        __sync_fetch_and_add(&answered, 1);
        uffd_copy(many_fd, (void *)(uintptr_t)message.arg.pagefault.address, bytes, PAGE, 0);
        n++;
    }
    uffd_zero(many_fd, many, PAGE, 0);
    return (void *)n;
}

static void *load_many(void *first)
{
    for (long i = (long)first; i < 256; i += 4)
        if (*(volatile char *)(many + i * PAGE) != 'a')
            return (void *)1L;
    return NULL;
}

static void readers(void)
{
    pthread_t servers[3], loaders[4], last_loads[3];
    struct pollfd p;
    struct epoll_event event = {.events = EPOLLIN};
    struct uffd_msg messages[4];
    long wrong = 0;
    int epoll;

    many = anon(257 * PAGE, RW);
    many_fd = uffd_new(0, 0);
    uffd_register(many_fd, many, 257 * PAGE, MISSING);
    for (int i = 0; i < 3; i++)
        servers[i] = start(serve, NULL);
    for (long i = 0; i < 4; i++)
        loaders[i] = start(load_many, (void *)(i + 1));
    for (int i = 0; i < 4; i++)
        wrong += finish(loaders[i]);
    IS(wrong, 0, "three readers serve four threads");
    CHECK(answered >= 255, "every page was asked for: %d", answered);
    for (int i = 0; i < 3; i++) { /* page 0 ends a server; it is dropped for the next one */
        last_loads[i] = start(load, many);
        finish(last_loads[i]);
        madvise(many, PAGE, MADV_DONTNEED);
    }
    for (int i = 0; i < 3; i++)
        finish(servers[i]);
    close(many_fd);
    many_fd = uffd_new(O_NONBLOCK | O_CLOEXEC, 0);
    madvise(many, 257 * PAGE, MADV_DONTNEED);
    uffd_register(many_fd, many, 257 * PAGE, MISSING);
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, many_fd, &event);
    IS(epoll_wait(epoll, &event, 1, 0), 0, "epoll sees nothing yet");
    loaders[0] = start(load, many);
    p = (struct pollfd){.fd = many_fd, .events = POLLIN};
    IS(poll(&p, 1, 5000), 1, "poll waits for a fault");
    IS(p.revents, POLLIN, "and says that it can be read");
    IS(epoll_wait(epoll, &event, 1, 5000), 1, "so does epoll");
    loaders[1] = start(load, many + PAGE);
    sleep_ms(50);
    IS(read(many_fd, messages, sizeof(messages)), 2 * sizeof(messages[0]), "one read gives both messages");
    CHECK(messages[0].arg.pagefault.address == (uintptr_t)many &&
              messages[1].arg.pagefault.address == (uintptr_t)many + PAGE,
          "in their order");
    IS(poll(&p, 1, 0), 0, "what was read is no longer polled");
    uffd_zero(many_fd, many, 2 * PAGE, 0);
    finish(loaders[0]);
    finish(loaders[1]);
    FAILS(syscall(SYS_read, many_fd, 8, sizeof(messages)), EAGAIN, "nothing to read into nowhere");
    loaders[0] = start(load, many + 2 * PAGE);
    poll(&p, 1, 5000);
    FAILS(syscall(SYS_read, many_fd, 8, sizeof(messages)), EFAULT, "a message into nowhere");
    uffd_zero(many_fd, many + 2 * PAGE, PAGE, 0);
    finish(loaders[0]);
    close(epoll);
    close(many_fd);
    munmap(many, 257 * PAGE);
}

struct report {
    int epoll, done;
    struct epoll_event *events;
};

static void *wait_for_one(void *argument)
{
    struct report *r = argument;

    return (void *)(long)epoll_wait(r->epoll, r->events, 1, 5000);
}

static void *change_set(void *argument)
{
    struct report *r = argument;
    struct epoll_event event = {.events = EPOLLIN};
    int pipe_ends[2];

    NEED(pipe(pipe_ends));
    epoll_ctl(r->epoll, EPOLL_CTL_ADD, pipe_ends[0], &event);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    __atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Events are to go where a fault has to be answered first: other sets of files do not wait for that, and the events
 * come. */
static void report_into_missing(void)
{
    char *at = anon(2 * PAGE, RW);
    int fd = uffd_new(0, 0), ends[2];
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 77};
    /* over the end of a page */
    struct report waiting = {.epoll = NEED(epoll_create1(0)), .events = (void *)(at + PAGE - 8)};
    struct report other = {.epoll = NEED(epoll_create1(0))};
    struct epoll_event *volatile nowhere = (void *)8; /* of which the compiler knows nothing */
    pthread_t waiter, late, changer;

    memset(at, 0, 2 * PAGE);
    madvise(at + PAGE, PAGE, MADV_DONTNEED);
    NEED(uffd_register(fd, at, 2 * PAGE, MISSING));
    NEED(pipe(ends));
    NEED(write(ends[1], "x", 1));
    NEED(epoll_ctl(waiting.epoll, EPOLL_CTL_ADD, ends[0], &event));
    waiter = start(wait_for_one, &waiting);
    IS(uffd_next(fd).arg.pagefault.address, (uintptr_t)at + PAGE, "epoll_wait waits for memory to report into");
    late = start(change_set, &waiting); /* may have to wait, but nobody for him */
    sleep_ms(50);
    changer = start(change_set, &other);
    for (int i = 0; i < 2000 && !__atomic_load_n(&other.done, __ATOMIC_ACQUIRE); i++)
        sleep_ms(1);
    CHECK(other.done, "another set changes meanwhile");
    NEED(uffd_zero(fd, at + PAGE, PAGE, 0));
    IS(finish(waiter), 1, "then the event comes");
    finish(changer);
    finish(late);
    memcpy(&event, at + PAGE - 8, sizeof(event));
    CHECK(event.events == EPOLLIN && event.data.u64 == 77, "whole, over the end of a page");
    IS(epoll_wait(waiting.epoll, &event, 1, 0), 0, "once, since it is edge-triggered");
    FAILS(epoll_wait(waiting.epoll, nowhere, 0, 0), EINVAL, "room for none");
    NEED(write(ends[1], "x", 1));
    FAILS(epoll_wait(waiting.epoll, nowhere, 1, 0), EFAULT, "an event into nowhere");
    IS(epoll_wait(waiting.epoll, &event, 1, 0), 1, "stays");
    close(ends[0]);
    close(ends[1]);
    close(waiting.epoll);
    close(other.epoll);
    close(fd);
    munmap(at, 2 * PAGE);
}

static volatile int reading;

static void *read_once(void *unused UNUSED)
{
    struct uffd_msg message;

    __sync_fetch_and_add(&reading, 1);
    return (void *)(long)(read(many_fd, &message, sizeof(message)) < 0 ? errno : 0);
}

/* A reader that waits does not hold up another, nor what is sent to it. */
static void interrupted_readers(void)
{
    struct sigaction action = {.sa_handler = on_usr1};
    pthread_t first, second;

    sigaction(SIGUSR1, &action, NULL);
    many_fd = uffd_new(0, 0);
    reading = 0;
    first = start(read_once, NULL);
    second = start(read_once, NULL);
    while (reading < 2)
        sleep_ms(1);
    sleep_ms(50);
    pthread_kill(second, SIGUSR1);
    IS(finish(second), EINTR, "the second of two readers is interrupted");
    pthread_kill(first, SIGUSR1);
    IS(finish(first), EINTR, "and so is the first");
    close(many_fd);
}

/* ---- other processes ---- */

static int between[2];

static int asks_parent(void *at)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec one = {"", 1};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int fd = uffd_new(0, 0);

    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    if (uffd_register(fd, at, PAGE, MISSING) || sendmsg(between[1], &message, 0) != 1)
        return 1;
    return *(volatile char *)at == 'b' ? 0 : 2;
}

static int receive_descriptor(void)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec one = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int fd;

    NEED(recvmsg(between[0], &message, 0));
    memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
    return fd;
}

static void other_processes(void)
{
    char *at = anon(PAGE, RW);
    int status, fd;
    pid_t pid;

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, between));
    pid = fork();
    if (pid == 0)
        _exit(asks_parent(at));
    fd = receive_descriptor();
    IS(uffd_next(fd).arg.pagefault.address, (uintptr_t)at, "another process reads the message");
    FAILS(uffd_move(fd, at, at, PAGE, 0), EINVAL, "it cannot move pages there");
    OKAY(uffd_copy(fd, at, bytes + PAGE, PAGE, 0), "it copies its own bytes there");
    waitpid(pid, &status, 0);
    IS(status, 0, "the first one gets them");
    FAILS(uffd_copy(fd, at, bytes, PAGE, 0), ESRCH, "copy to a process that is gone");
    FAILS(uffd_zero(fd, at, PAGE, 0), ESRCH, "zeropage there");
    FAILS(uffd_register(fd, at, PAGE, MISSING), ENOMEM, "register its memory");
    FAILS(uffd_unregister(fd, at, PAGE), ENOMEM, "unregister its memory");
    OKAY(uffd_wake(fd, at, PAGE), "wake it");
    close(fd);
    close(between[0]);
    close(between[1]);
    munmap(at, PAGE);
}

/* Without the fork event a child has memory like any other. */
static void forking(void)
{
    char *at = anon(2 * PAGE, RW);
    int fd = uffd_new(0, 0);

    uffd_register(fd, at, 2 * PAGE, MISSING);
    uffd_copy(fd, at, bytes, PAGE, 0);
    EXITS(child_loads, at, 'a', "a child has the parent's pages");
    EXITS(child_loads, at + PAGE, 0, "and faults of its own, which nobody is told of");
    close(fd);
    munmap(at, 2 * PAGE);
}

static void body(void)
{
    fill_bytes();
    waiting();
    readers();
    report_into_missing();
    interrupted_readers();
    other_processes();
    forking();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
