/* Allocations that fail in the calls of memory, processes, files and IPC: see no_memory.h. */
#include "no_memory.h"
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

/* ---- the calls ---- */

static int map_anonymous(void)
{
    return unmapped(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
}
static int map_shared(void)
{
    return unmapped(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), 8 * PAGE);
}
static int map_populated(void)
{
    size_t n = 4UL << 20;

    return unmapped(mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0), n);
}
static int map_file(void) { return unmapped(mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, data_file, 0), 8 * PAGE); }
static int map_file_over(void)
{
    char *p = mmap(NULL, 9 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int result;

    if (p == MAP_FAILED)
        return -1;
    result = mmap(p + 3 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, data_file, PAGE) == MAP_FAILED ? -1 : 0;
    if (result == 0 && (p[3 * PAGE] != 2 || p[2 * PAGE] != 0 || p[4 * PAGE] != 0))
        _exit(8);
    return munmap(p, 9 * PAGE) != 0 ? -1 : result;
}
/* A hole is made and filled again. */
static int unmap_middle(void)
{
    char *at = area + 20 * PAGE;

    if (munmap(at, PAGE) != 0)
        return -1;
    set_failure(0);
    if (mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
        _exit(8);
    memset(at, 21, PAGE);
    return 0;
}
static int protect_part(void)
{
    int result = mprotect(area + 5 * PAGE, 50 * PAGE, PROT_READ);

    set_failure(0);
    if (mprotect(area, PAGES * PAGE, PROT_READ | PROT_WRITE) != 0)
        _exit(8);
    return result;
}
static int protect_reserve(void)
{
    size_t n = 1UL << 32;
    char *p = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int result;

    if (p == MAP_FAILED)
        return -1;
    result = mprotect(p + n / 2 + PAGE, PAGE, PROT_READ | PROT_WRITE);
    if (result == 0)
        p[n / 2 + PAGE] = 1;
    return munmap(p, n) != 0 ? -1 : result;
}
static int move_and_back(void)
{
    char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
    int result = 0;

    if (p == MAP_FAILED)
        return -1;
    p[PAGE] = 77;
    q = mremap(p, PAGES * PAGE, 4 * PAGES * PAGE, MREMAP_MAYMOVE);
    if (q == MAP_FAILED)
        result = -1;
    set_failure(0);
    if ((result == 0 ? q : p)[PAGE] != 77)
        _exit(8);
    munmap(result == 0 ? q : p, result == 0 ? 4 * PAGES * PAGE : PAGES * PAGE);
    return result;
}
static int grow_heap(void)
{
    char *old = sbrk(0);

    if (sbrk(16 * PAGE) == (void *)-1)
        return -1;
    old[PAGE] = 1;
    return sbrk(-16 * (long)PAGE) == (void *)-1 ? -1 : 0;
}
static int advise_split(void)
{
    int result = madvise(area + 10 * PAGE, 10 * PAGE, MADV_DONTFORK);

    set_failure(0);
    if (madvise(area, PAGES * PAGE, MADV_DOFORK) != 0)
        _exit(8);
    return result;
}
static int advise_populate(void)
{
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int result;

    if (p == MAP_FAILED)
        return -1;
    result = madvise(p, 4 * PAGE, MADV_POPULATE_WRITE);
    return munmap(p, 4 * PAGE) != 0 ? -1 : result;
}
static int lock_part(void)
{
    int result = mlock(area + 30 * PAGE, 3 * PAGE);

    set_failure(0);
    if (munlock(area, PAGES * PAGE) != 0)
        _exit(8);
    return result;
}
static int fork_child(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        set_failure(0);
        _exit(area_is_intact() ? 0 : 1);
    }
    if (pid < 0)
        return -1;
    if (waitpid(pid, &status, 0) != pid)
        return -1;
    if (status != 0)
        _exit(8);
    return 0;
}
static int vfork_and_run(void)
{
    static char *const words[] = {"true", NULL};
    int status;
    pid_t pid = vfork();

    if (pid == 0) {
        execve("/bin/true", words, NULL);
        _exit(errno == ENOMEM || errno == EAGAIN ? 42 : 43);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    if (WIFSIGNALED(status) || WEXITSTATUS(status) == 42) { /* past the point of no return it can only be killed */
        errno = ENOMEM;
        return -1;
    }
    return status == 0 ? 0 : (errno = EIO, -1);
}
static void *no_work(void *p) { return p; }
static int run_thread(void)
{
    static char stack[65536] __attribute__((aligned(4096)));
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, sizeof(stack));
    error = pthread_create(&thread, &attributes, no_work, NULL);
    if (error == 0)
        error = pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    errno = error;
    return error == 0 ? 0 : -1;
}
static int make_pipe(void)
{
    int ends[2];

    if (pipe(ends) != 0)
        return -1;
    if (write(ends[1], area, 2 * PAGE) < 0) {
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    return close(ends[0]) | close(ends[1]);
}
static int make_sockets(void)
{
    int ends[2];

    return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 ? -1 : close(ends[0]) | close(ends[1]);
}
static int make_memfd(void)
{
    int fd = memfd_create("m", 0);

    if (fd < 0)
        return -1;
    if (ftruncate(fd, 4 * PAGE) != 0 || pwrite(fd, area, PAGE, 2 * PAGE) != (ssize_t)PAGE) {
        close(fd);
        return -1;
    }
    return close(fd);
}
static int make_epoll(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int ep = epoll_create1(0), fd, result;

    if (ep < 0)
        return -1;
    fd = eventfd(0, 0);
    result = fd < 0 ? -1 : epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
    if (fd >= 0)
        close(fd);
    return close(ep) != 0 ? -1 : result;
}
static int make_timer(void) { return closed(timerfd_create(CLOCK_MONOTONIC, 0)); }
static int create_file(void)
{
    int fd = open("new", O_RDWR | O_CREAT | O_EXCL, 0600), result;

    if (fd < 0)
        return -1;
    result = write(fd, area, 3 * PAGE) == (ssize_t)(3 * PAGE) ? 0 : -1;
    close(fd);
    set_failure(0);
    if (unlink("new") != 0)
        _exit(8);
    return result;
}
static int make_folder(void)
{
    if (mkdir("folder", 0700) != 0)
        return -1;
    set_failure(0);
    return rmdir("folder");
}
static int rename_file(void)
{
    int left = failures_left(), result;

    set_failure(0);
    close(open("a", O_CREAT | O_WRONLY, 0600));
    set_failure(left);
    result = rename("a", "b");
    left = failures_left();
    set_failure(0);
    if (unlink(result == 0 ? "b" : "a") != 0)
        _exit(8);
    set_failure(left);
    return result;
}
static int read_folder(void)
{
    DIR *d = opendir(".");
    int error;

    if (d == NULL)
        return -1;
    errno = 0;
    while (readdir(d) != NULL)
        ;
    error = errno;
    closedir(d);
    errno = error;
    return error == 0 ? 0 : -1;
}
static int attach_shared(void)
{
    int id = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
    void *p;
    int result = 0;

    if (id < 0)
        return -1;
    p = shmat(id, NULL, 0);
    if (p == (void *)-1)
        result = -1;
    else
        shmdt(p);
    set_failure(0);
    if (shmctl(id, IPC_RMID, NULL) != 0)
        _exit(8);
    return result;
}
static int use_semaphores(void)
{
    struct sembuf many[9] = {{.sem_num = 0, .sem_op = 1, .sem_flg = SEM_UNDO}};
    unsigned short values[200];
    int id = semget(IPC_PRIVATE, 200, 0600), result;

    if (id < 0)
        return -1;
    for (unsigned short k = 1; k < 9; k++)
        many[k].sem_num = k;
    result =
        semop(id, many, 9) == 0 && semctl(id, 0, GETALL, values) == 0 && semctl(id, 0, SETALL, values) == 0 ? 0 : -1;
    semctl(id, 0, IPC_RMID);
    return result;
}

static int use_message_queue(void)
{
    struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 64};
    mqd_t q = mq_open("/no_memory", O_RDWR | O_CREAT, 0600, &attr);
    int result;

    if (q < 0) {
        result = errno;
        mq_unlink("/no_memory"); /* it may be there, with no file to open it by */
        errno = result;
        return -1;
    }
    result = mq_send(q, "text", 5, 1);
    mq_close(q);
    mq_unlink("/no_memory");
    return result;
}

/* For one of several words, until a moment that is past. */
static int wait_for_words(void)
{
    static uint32_t words[100];
    struct {
        uint64_t value, address;
        uint32_t flags, reserved;
    } list[100];
    struct timespec past = {1, 0};

    for (unsigned k = 0; k < 100; k++) {
        list[k].value = list[k].reserved = 0;
        list[k].address = (uintptr_t)&words[k];
        list[k].flags = 2 | 128;
    }
    return syscall(449 /* futex_waitv */, list, 100, 0, &past, CLOCK_MONOTONIC) == -1 && errno == ETIMEDOUT ? 0 : -1;
}

static int read_own_memory(void)
{
    char buffer[64];
    struct iovec to = {buffer, sizeof(buffer)}, from = {area, sizeof(buffer)};

    return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof(buffer) ? 0 : -1;
}
static int read_maps(void)
{
    static char buffer[8192];
    int fd = open("/proc/self/maps", O_RDONLY);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = read(fd, buffer, sizeof(buffer));
    close(fd);
    return n > 0 ? 0 : -1;
}

static const struct failing_call calls[] = {
    {"mmap of anonymous memory", map_anonymous},
    {"mmap of shared memory", map_shared},
    {"mmap with MAP_POPULATE", map_populated},
    {"mmap of a file", map_file},
    {"mmap of a file over a part of a mapping", map_file_over},
    {"munmap of a middle page", unmap_middle},
    {"mprotect of most of a mapping", protect_part},
    {"mprotect of a page amid a reserve", protect_reserve},
    {"mremap", move_and_back},
    {"brk", grow_heap},
    {"madvise that splits", advise_split},
    {"MADV_POPULATE_WRITE", advise_populate},
    {"mlock", lock_part},
    {"fork", fork_child},
    {"vfork and execve", vfork_and_run},
    {"pthread_create", run_thread},
    {"pipe and write", make_pipe},
    {"socketpair", make_sockets},
    {"memfd_create, ftruncate, write", make_memfd},
    {"epoll and eventfd", make_epoll},
    {"timerfd", make_timer},
    {"creating and writing a file", create_file},
    {"mkdir", make_folder},
    {"rename", rename_file},
    {"reading a folder", read_folder},
    {"System V shared memory", attach_shared},
    {"System V semaphores", use_semaphores},
    {"POSIX message queues", use_message_queue},
    {"futex_waitv", wait_for_words},
    {"process_vm_readv", read_own_memory},
    {"reading /proc/self/maps", read_maps},
};

static void body(void) { fail_all(calls, sizeof(calls) / sizeof(calls[0])); }

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
