/* userfaultfd for the tests: what older headers lack, and the calls in one line each. */
#ifndef TESTS_GUEST_UFFD_H
#define TESTS_GUEST_UFFD_H

#include "tap.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#define UFFD_FEATURE_POISON (1 << 14)
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16)
#endif
#ifndef UFFDIO_POISON
struct uffdio_poison {
    struct uffdio_range range;
    __u64 mode;
    __s64 updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 8, struct uffdio_poison)
#endif
#ifndef UFFDIO_MOVE
struct uffdio_move {
    __u64 dst, src, len, mode;
    __s64 move;
};
#define UFFDIO_MOVE _IOWR(UFFDIO, 5, struct uffdio_move)
#define UFFDIO_MOVE_MODE_DONTWAKE 1
#define UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES 2
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0)
#endif

#define MISSING UFFDIO_REGISTER_MODE_MISSING
#define WP UFFDIO_REGISTER_MODE_WP
#define MINOR UFFDIO_REGISTER_MODE_MINOR

/* Linux has no write protection on riscv64. */
static int has_wp;

UNUSED static int uffd_raw(int flags) { return (int)syscall(SYS_userfaultfd, flags); }

/* A descriptor with FEATURES, or -1. */
UNUSED static int uffd_new(int flags, uint64_t features)
{
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    int fd = uffd_raw(flags);

    if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
        close(fd);
        return -1;
    }
    has_wp = (api.features & UFFD_FEATURE_PAGEFAULT_FLAG_WP) != 0;
    return fd;
}

UNUSED static int uffd_register(int fd, void *at, size_t length, uint64_t mode)
{
    struct uffdio_register r = {.range = {(uintptr_t)at, length}, .mode = mode};

    return ioctl(fd, UFFDIO_REGISTER, &r);
}

UNUSED static int uffd_unregister(int fd, void *at, size_t length)
{
    struct uffdio_range r = {(uintptr_t)at, length};

    return ioctl(fd, UFFDIO_UNREGISTER, &r);
}

UNUSED static int uffd_wake(int fd, void *at, size_t length)
{
    struct uffdio_range r = {(uintptr_t)at, length};

    return ioctl(fd, UFFDIO_WAKE, &r);
}

/* The result field of the last operation. */
static __thread int64_t uffd_done;

UNUSED static int uffd_copy(int fd, void *to, const void *from, size_t length, uint64_t mode)
{
    struct uffdio_copy c = {.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = length, .mode = mode, .copy = 77};
    int result = ioctl(fd, UFFDIO_COPY, &c);

    uffd_done = c.copy;
    return result;
}

UNUSED static int uffd_zero(int fd, void *to, size_t length, uint64_t mode)
{
    struct uffdio_zeropage z = {.range = {(uintptr_t)to, length}, .mode = mode, .zeropage = 77};
    int result = ioctl(fd, UFFDIO_ZEROPAGE, &z);

    uffd_done = z.zeropage;
    return result;
}

UNUSED static int uffd_continue(int fd, void *to, size_t length, uint64_t mode)
{
    struct uffdio_continue c = {.range = {(uintptr_t)to, length}, .mode = mode, .mapped = 77};
    int result = ioctl(fd, UFFDIO_CONTINUE, &c);

    uffd_done = c.mapped;
    return result;
}

UNUSED static int uffd_poison(int fd, void *to, size_t length, uint64_t mode)
{
    struct uffdio_poison p = {.range = {(uintptr_t)to, length}, .mode = mode, .updated = 77};
    int result = ioctl(fd, UFFDIO_POISON, &p);

    uffd_done = p.updated;
    return result;
}

UNUSED static int uffd_move(int fd, void *to, void *from, size_t length, uint64_t mode)
{
    struct uffdio_move m = {.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = length, .mode = mode, .move = 77};
    int result = ioctl(fd, UFFDIO_MOVE, &m);

    uffd_done = m.move;
    return result;
}

UNUSED static int uffd_protect(int fd, void *at, size_t length, int on)
{
    struct uffdio_writeprotect w = {.range = {(uintptr_t)at, length}, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};

    return ioctl(fd, UFFDIO_WRITEPROTECT, &w);
}

/* The next message within five seconds; event 0 when there is none. */
UNUSED static struct uffd_msg uffd_next(int fd)
{
    struct uffd_msg message = {.event = 0};
    int flags = fcntl(fd, F_GETFL);

    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    for (int i = 0; i < 5000; i++) {
        if (read(fd, &message, sizeof(message)) == sizeof(message))
            break;
        message.event = 0;
        if (errno != EAGAIN)
            break;
        sleep_ms(1);
    }
    fcntl(fd, F_SETFL, flags);
    return message;
}

UNUSED static pthread_t start(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, function, argument);

    if (error) {
        CHECK(0, "needed: pthread_create, %s", errno_name(error));
        _exit(1);
    }
    return thread;
}

UNUSED static long finish(pthread_t thread)
{
    void *result;

    pthread_join(thread, &result);
    return (long)result;
}

#define RW (PROT_READ | PROT_WRITE)

static char bytes[4 * PAGE] __attribute__((aligned(4096)));

/* Each page of BYTES has a letter of its own. */
UNUSED static void fill_bytes(void)
{
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i / PAGE + 'a');
}

UNUSED static void *load(void *at) { return (void *)(long)*(volatile char *)at; }

UNUSED static void *store(void *at)
{
    *(volatile char *)at = 'S';
    return NULL;
}

UNUSED static int child_loads(void *at) { return (int)(long)load(at); }

/* A system call that stores: read(2) with three arguments. Returns 0 or the negative errno. */
UNUSED static void *read_pipe(void *argument)
{
    long *a = argument;

    return (void *)(read((int)a[0], (void *)a[1], (size_t)a[2]) < 0 ? -(long)errno : 0L);
}

UNUSED static char *shared(size_t pages)
{
    return (char *)NEED((long)mmap(NULL, pages * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

#endif
