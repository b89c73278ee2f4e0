/*
 * userfaultfd on parts of the arena of memory.c. It takes faults of user mode only, so accesses by the kernel, as those
 * of the digest, fail where they would wait. Linux has neither write protection by it on riscv64,: nor faults on
 * pages that only wait in the cache: both are left out.
 */
#include "differ.h"
#include "memory.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#define UFFD 210

/* What libc's headers may be too old for. */
#define FEATURE_POISON (1 << 14)
#define FEATURE_MOVE (1 << 16)
#define FEATURES_WITHOUT_WP (0x1ffffl & ~(1l | 1 << 12 | 1 << 13 | 1 << 15 | 1 << 9 | 1 << 10))

/* Most requests are a range, a mode, and an answer; or two addresses, a length, a mode, and an answer. */
static void request(unsigned number, unsigned words, uint64_t *w)
{
    tell_result(ioctl(UFFD, _IOC(_IOC_READ | _IOC_WRITE, UFFDIO, number, words * sizeof(*w)), w));
}

static void on_range(unsigned number)
{
    uint64_t w[4];

    w[0] = (uint64_t)address();
    w[1] = (uint64_t)length();
    w[2] = (uint64_t)DRAW_OF(0, 0, 0, 1, 4);
    w[3] = 77;
    request(number, 4, w);
    tell(" %ld", (long)w[3]);
}

static void run_zeropage(void) { on_range(4); }
static void run_continue(void) { on_range(7); }
static void run_poison(void) { on_range(8); }

static void from_to(unsigned number, int from_buffer)
{
    uint64_t w[5];

    w[0] = (uint64_t)address();
    w[1] = (uint64_t)(from_buffer ? (long)buffer : address());
    w[2] = (uint64_t)length();
    w[3] = (uint64_t)DRAW_OF(0, 0, 0, 1, 4);
    w[4] = 77;
    request(number, 5, w);
    tell(" %ld", (long)w[4]);
}

static void run_copy(void) { from_to(3, !chance(4)); }
static void run_move(void) { from_to(5, 0); }

static void run_register(void)
{
    uint64_t w[4];

    w[0] = (uint64_t)address();
    w[1] = (uint64_t)length();
    w[2] = (uint64_t)DRAW_OF(1, 1, 1, 1, 0, 8);
    w[3] = 0;
    request(0, 4, w);
    tell(" ioctls %lx", (long)w[3] & ~(1l << 6));
}

static void run_unregister(void)
{
    struct uffdio_range r;

    r.start = (uint64_t)address();
    r.len = (uint64_t)length();
    tell_result(ioctl(UFFD, UFFDIO_UNREGISTER, &r));
}

static void run_wake(void)
{
    struct uffdio_range r;

    r.start = (uint64_t)address();
    r.len = (uint64_t)length();
    tell_result(ioctl(UFFD, UFFDIO_WAKE, &r));
}

static void run_api(void)
{
    int fd = (int)syscall(SYS_userfaultfd, DRAW_OF(1, 0, 1 | O_NONBLOCK, 1 | O_CLOEXEC, 2));
    struct uffdio_api api = {0};

    if (fd < 0) {
        tell_result(fd);
        return;
    }
    api.api = (uint64_t)DRAW_OF(0xaa, 0xaa, 0xaa, 0, 0xab);
    api.features = (uint64_t)DRAW_OF(0, FEATURES_WITHOUT_WP, 0x20000, 1L << 40, FEATURE_POISON, FEATURE_MOVE, 1 << 7);
    tell_result(ioctl(fd, UFFDIO_API, &api));
    tell(" %llx %llx %llx", api.api, api.features & FEATURES_WITHOUT_WP, api.ioctls);
    close(fd);
}

static void run_read_events(void)
{
    struct uffd_msg messages[2];

    tell_result(read(UFFD, messages, (size_t)DRAW_OF(32, 64, 31, 0)));
}

static const struct call calls[] = {
    RUN(register, 6), RUN(unregister, 2), RUN(copy, 4), RUN(zeropage, 2), RUN(continue, 2),
    RUN(poison, 1),   RUN(move, 3),       RUN(wake, 1), RUN(api, 1),      RUN(read_events, 1),
};

static void prepare(void)
{
    static const long features[] = {0, 0, UFFD_FEATURE_SIGBUS, UFFD_FEATURE_MISSING_SHMEM,
                                    FEATURE_POISON | FEATURE_MOVE};
    struct uffdio_api api = {.api = UFFD_API, .features = (uint64_t)draw_of(features, COUNT(features))};

    make_arena();
    detach_segments(); /* Linux does not take them, Quire does */
    keep_at((int)syscall(SYS_userfaultfd, 1 | O_NONBLOCK | O_CLOEXEC), UFFD);
    if (ioctl(UFFD, UFFDIO_API, &api))
        _exit(8);
}

const struct set userfault_set = {"userfault", calls, COUNT(calls), prepare, tell_arena, forget_arena, &memory_set};
