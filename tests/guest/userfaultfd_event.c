/*
 * userfaultfd's events: fork, remap, remove and unmap are read before the call that caused them goes on, and what they
 * do to registrations. Source: userfaultfd(2).
 */
#include "uffd.h"

#define ALL (UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)

/* A call made by another thread, which an event holds up. */
struct call {
    long (*function)(struct call *);
    char *at, *to;
    size_t length, new_length;
    int number;
    long result;
    volatile int done;
};

static void *make_call(void *argument)
{
    struct call *c = argument;

    c->result = c->function(c);
    c->done = 1;
    return NULL;
}

/* The event that the call causes; it must not be done before that is read. */
static struct uffd_msg event_of(int fd, struct call *c, pthread_t *thread)
{
    struct uffd_msg message;

    c->done = 0;
    *thread = start(make_call, c);
    sleep_ms(30);
    CHECK(!c->done, "the call waits");
    message = uffd_next(fd);
    return message;
}

static long call_munmap(struct call *c) { return munmap(c->at, c->length); }
static long call_madvise(struct call *c) { return madvise(c->at, c->length, c->number); }
static long call_mmap(struct call *c)
{
    return (long)mmap(c->at, c->length, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
static long call_mremap(struct call *c) { return (long)mremap(c->at, c->length, c->new_length, c->number, c->to); }

/* ---- remove and unmap ---- */

static void removing(void)
{
    int fd = uffd_new(0, UFFD_FEATURE_EVENT_REMOVE);
    char *at = anon(4 * PAGE, RW), *shm = shared(4);
    struct call c = {.function = call_madvise, .at = at + PAGE, .length = 2 * PAGE, .number = MADV_DONTNEED};
    struct uffd_msg message;
    pthread_t thread;

    uffd_register(fd, at, 4 * PAGE, MISSING);
    uffd_copy(fd, at, bytes, 4 * PAGE, 0);
    message = event_of(fd, &c, &thread);
    finish(thread);
    IS(message.event, UFFD_EVENT_REMOVE, "MADV_DONTNEED is an event");
    CHECK(message.arg.remove.start == (uintptr_t)at + PAGE && message.arg.remove.end == (uintptr_t)at + 3 * PAGE,
          "with its range");
    IS(c.result, 0, "and then is done");
    CHECK(at[0] == 'a' && at[3 * PAGE] == 'd', "the rest is still there");
    thread = start(load, at + PAGE);
    message = uffd_next(fd);
    IS(message.event, UFFD_EVENT_PAGEFAULT, "a dropped page is missing again");
    uffd_zero(fd, at + PAGE, PAGE, 0);
    IS(finish(thread), 0, "and filled in");
    c.number = MADV_FREE;
    c.at = at;
    message = event_of(fd, &c, &thread);
    finish(thread);
    IS(message.event, UFFD_EVENT_REMOVE, "MADV_FREE is one, too");
    uffd_register(fd, shm, 4 * PAGE, MISSING);
    uffd_zero(fd, shm, 4 * PAGE, 0);
    c = (struct call){.function = call_madvise, .at = shm, .length = 2 * PAGE, .number = MADV_REMOVE};
    message = event_of(fd, &c, &thread);
    finish(thread);
    IS(message.event, UFFD_EVENT_REMOVE, "so is MADV_REMOVE");
    CHECK(message.arg.remove.start == (uintptr_t)shm && message.arg.remove.end == (uintptr_t)shm + 2 * PAGE,
          "with its range");
    OKAY(munmap(shm, 4 * PAGE), "munmap is none without its feature");
    OKAY(madvise(at, 4 * PAGE, MADV_WILLNEED), "other advice is none");
    c = (struct call){.function = call_madvise, .at = at, .length = PAGE, .number = MADV_DONTNEED};
    thread = start(make_call, &c);
    sleep_ms(20);
    FAILS(uffd_zero(fd, at + PAGE, PAGE, 0), EAGAIN, "while an event is not read nothing is filled in");
    FAILS(uffd_copy(fd, at + PAGE, bytes, PAGE, 0), EAGAIN, "or copied");
    close(fd);
    finish(thread);
    IS(c.result, 0, "closing the descriptor lets the call go on");
    munmap(at, 4 * PAGE);
}

static void unmapping(void)
{
    int fd = uffd_new(0, UFFD_FEATURE_EVENT_UNMAP);
    char *at = anon(8 * PAGE, RW);
    struct call c = {.function = call_munmap, .at = at + PAGE, .length = 2 * PAGE};
    struct uffd_msg message;
    pthread_t thread;

    uffd_register(fd, at, 8 * PAGE, MISSING);
    message = event_of(fd, &c, &thread);
    finish(thread);
    IS(message.event, UFFD_EVENT_UNMAP, "munmap is an event");
    CHECK(message.arg.remove.start == (uintptr_t)at + PAGE && message.arg.remove.end == (uintptr_t)at + 3 * PAGE,
          "with its range");
    IS(c.result, 0, "and then is done");
    c = (struct call){.function = call_mmap, .at = at + 4 * PAGE, .length = PAGE};
    message = event_of(fd, &c, &thread);
    finish(thread);
    IS(message.event, UFFD_EVENT_UNMAP, "so is a mapping in the place of a registered one");
    IS(message.arg.remove.start, (uintptr_t)at + 4 * PAGE, "with its range");
    IS((long)load(at + 4 * PAGE), 0, "the new mapping is not registered");
    OKAY(munmap(at + 4 * PAGE, PAGE), "its end is no event");
    OKAY(munmap(at + PAGE, 2 * PAGE), "nor is that of nothing");
    close(fd);
    munmap(at, 8 * PAGE);
}

static int unmap_and_die(void *at)
{
    int fd = uffd_new(0, UFFD_FEATURE_EVENT_UNMAP);

    uffd_register(fd, at, PAGE, MISSING);
    munmap(at, PAGE);
    return 1;
}

static void killed(void)
{
    char *at = anon(PAGE, RW);
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(unmap_and_die(at));
    sleep_ms(100);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status), "who waits for an event to be read can be killed");
    munmap(at, PAGE);
}

/* ---- remap ---- */

static void moving(void)
{
    int fd = uffd_new(0, UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_UNMAP);
    char *at = anon(4 * PAGE, RW), *to = anon(4 * PAGE, PROT_NONE);
    struct call c = {.function = call_mremap, .at = at, .to = to, .length = 4 * PAGE, .new_length = 4 * PAGE};
    struct uffd_msg message;
    pthread_t thread;

    c.number = MREMAP_MAYMOVE | MREMAP_FIXED;
    uffd_register(fd, at, 4 * PAGE, MISSING);
    uffd_copy(fd, at, bytes, PAGE, 0);
    message = event_of(fd, &c, &thread);
    IS(message.event, UFFD_EVENT_REMAP, "mremap is an event");
    CHECK(message.arg.remap.from == (uintptr_t)at && message.arg.remap.to == (uintptr_t)to &&
              message.arg.remap.len == 4 * PAGE,
          "with both places");
    message = uffd_next(fd);
    CHECK(message.event == UFFD_EVENT_UNMAP && message.arg.remove.start == (uintptr_t)at,
          "then the end of the old place is one");
    finish(thread);
    IS(c.result, (long)to, "then it is done");
    IS(to[0], 'a', "pages have moved");
    thread = start(load, to + PAGE);
    message = uffd_next(fd);
    IS(message.arg.pagefault.address, (uintptr_t)to + PAGE, "the new place is registered");
    OKAY(uffd_copy(fd, to + PAGE, bytes + PAGE, PAGE, 0), "and can be filled in");
    IS(finish(thread), 'b', "with its bytes");
    close(fd);
    fd = uffd_new(0, 0);
    uffd_register(fd, to, 4 * PAGE, MISSING);
    at = mremap(to, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, anon(4 * PAGE, PROT_NONE));
    IS((long)load(at + 2 * PAGE), 0, "without the event the new place is not registered");
    FAILS(uffd_copy(fd, at + 3 * PAGE, bytes, PAGE, 0), ENOENT, "and cannot be filled in");
    close(fd);
    munmap(at, 4 * PAGE);
}

/* ---- fork ---- */

static char *forked_memory;

static long call_fork(struct call *c)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(forked_memory[0] == 'a' && forked_memory[PAGE] == 'b' && forked_memory[2 * PAGE] == 'c' ? 0 : 1);
    c->number = pid;
    return pid;
}

static void forking(void)
{
    int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, ALL), child, status;
    struct call c = {.function = call_fork};
    struct uffd_msg message;
    pthread_t thread;

    forked_memory = anon(4 * PAGE, RW);
    uffd_register(fd, forked_memory, 2 * PAGE, MISSING);
    uffd_register(fd, forked_memory + 2 * PAGE, 2 * PAGE, MISSING);
    uffd_copy(fd, forked_memory, bytes, PAGE, 0);
    message = event_of(fd, &c, &thread);
    IS(message.event, UFFD_EVENT_FORK, "fork is an event");
    child = (int)message.arg.fork.ufd;
    CHECK(child > 2 && child != fd && fcntl(child, F_GETFD) == FD_CLOEXEC, "with a descriptor for the child: %d",
          child);
    CHECK(fcntl(child, F_GETFL) & O_NONBLOCK, "which does not block either");
    finish(thread);
    message = uffd_next(child);
    CHECK(message.event == UFFD_EVENT_PAGEFAULT && message.arg.pagefault.address == (uintptr_t)forked_memory + PAGE,
          "the child's faults are read there");
    OKAY(uffd_copy(child, forked_memory + PAGE, bytes + PAGE, PAGE, 0), "and answered there");
    message = uffd_next(child);
    IS(message.arg.pagefault.address, (uintptr_t)forked_memory + 2 * PAGE, "for both ranges");
    OKAY(uffd_copy(child, forked_memory + 2 * PAGE, bytes + 2 * PAGE, PAGE, 0), "which is answered");
    waitpid(c.number, &status, 0);
    IS(status, 0, "the child has all bytes");
    FAILS(uffd_copy(child, forked_memory + 3 * PAGE, bytes, PAGE, 0), ESRCH, "it is gone");
    close(child);
    thread = start(load, forked_memory + PAGE);
    message = uffd_next(fd);
    IS(message.arg.pagefault.address, (uintptr_t)forked_memory + PAGE, "the parent's faults are the parent's");
    uffd_zero(fd, forked_memory + PAGE, PAGE, 0);
    finish(thread);
    close(fd);
}

static long call_fork_empty(struct call *c)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(forked_memory[3 * PAGE]);
    c->number = pid;
    return pid;
}

static void forking_closed(void)
{
    int fd = uffd_new(0, UFFD_FEATURE_EVENT_FORK), status;
    struct call c = {.function = call_fork_empty};
    pthread_t thread;

    if (access("/proc/quire", F_OK)) {
        skip("the descriptor is closed during a fork", "the child has it by then, and the parent waits for ever");
        close(fd);
        munmap(forked_memory, 4 * PAGE);
        return;
    }
    uffd_register(fd, forked_memory, 4 * PAGE, MISSING);
    thread = start(make_call, &c);
    sleep_ms(30);
    close(fd);
    finish(thread);
    waitpid(c.number, &status, 0);
    IS(status, 0, "when nobody reads of the fork any more the child has plain memory");
    munmap(forked_memory, 4 * PAGE);
}

static int fork_then_die(void *unused UNUSED)
{
    int fd = uffd_new(0, UFFD_FEATURE_EVENT_FORK);

    uffd_register(fd, forked_memory, 4 * PAGE, MISSING);
    if (fork() == 0)
        _exit(0);
    return 0;
}

static void forking_killed(void)
{
    int status;
    pid_t pid;

    forked_memory = anon(4 * PAGE, RW);
    pid = fork();
    if (pid == 0)
        _exit(fork_then_die(NULL));
    sleep_ms(100);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status), "who waits in a fork can be killed");
    munmap(forked_memory, 4 * PAGE);
}

static void body(void)
{
    fill_bytes();
    removing();
    unmapping();
    killed();
    moving();
    forking();
    forking_closed();
    forking_killed();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
