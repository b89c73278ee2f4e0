/* Locked memory: mlock, mlock2, mlockall, MAP_LOCKED, their limits and their errors. */
#include "tap.h"

#include <pthread.h>
#include <stdatomic.h>

#define RW (PROT_READ | PROT_WRITE)
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

static int in_core(void *at, size_t pages)
{
    unsigned char vec[1024];
    int n = 0;

    NEED(mincore(at, pages * PAGE, vec));
    for (size_t i = 0; i < pages; i++)
        n += vec[i] & 1;
    return n;
}

static long locked(void) { return proc_value("/proc/self/status", "VmLck") / 4; }

/* In pages; drops the privilege that ignores it. */
static void set_limit(long soft)
{
    struct rlimit limit = {(rlim_t)soft * PAGE, (rlim_t)soft * PAGE};

    if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgid(65534) || setuid(65534))
        _exit(100);
}

static void test_mlock(void)
{
    char *at = anon(16 * PAGE, RW);
    long before = locked();

    OKAY(mlock(at + PAGE, 2 * PAGE), "mlock");
    IS(in_core(at, 16), 2, "brings its pages in");
    IS(locked() - before, 2, "and counts them");
    OKAY(mlock(at + 5 * PAGE + 100, 1), "mlock of one byte");
    IS(in_core(at + 5 * PAGE, 1), 1, "locks its page");
    OKAY(mlock(at + 7 * PAGE + 4000, 200), "mlock across a border");
    IS(in_core(at + 7 * PAGE, 2), 2, "locks both pages");
    OKAY(mlock(at, 0), "mlock of nothing");
    OKAY(mlock(at + PAGE, 2 * PAGE), "locks do not nest");
    IS(locked() - before, 5, "nor count twice");
    OKAY(munlock(at + PAGE, 2 * PAGE), "munlock");
    IS(locked() - before, 3, "once is enough");
    OKAY(munlock(at, 16 * PAGE), "munlock of what is partly not locked");
    IS(locked(), before, "unlocks all");
    FAILS(syscall(SYS_mlock, at, -PAGE), EINVAL, "a length past the end");
    munmap(at + 10 * PAGE, PAGE);
    FAILS(mlock(at + 9 * PAGE, 3 * PAGE), ENOMEM, "a hole in the range");
    IS(locked() - before, 1, "what is below it is locked");
    FAILS(munlock(at + 9 * PAGE, 3 * PAGE), ENOMEM, "munlock with a hole");
    IS(locked(), before, "unlocks what is below it");
    mprotect(at + 12 * PAGE, PAGE, PROT_NONE);
    FAILS(mlock(at + 12 * PAGE, PAGE), ENOMEM, "what cannot be accessed cannot be brought in");
    OKAY(munlock(at + 12 * PAGE, PAGE), "munlock of it");
    mprotect(at + 13 * PAGE, PAGE, PROT_READ);
    OKAY(mlock(at + 13 * PAGE, PAGE), "mlock of a read-only page");
    FAILS(madvise(at + 13 * PAGE, PAGE, MADV_DONTNEED), EINVAL, "MADV_DONTNEED of a locked page");
    OKAY(madvise(at + 13 * PAGE, PAGE, 24), "MADV_DONTNEED_LOCKED");
    munlock(at, 10 * PAGE);
    munlock(at + 11 * PAGE, 5 * PAGE);
}

static void test_mlock2(void)
{
    char *at = anon(16 * PAGE, RW);
    long before = locked();

    madvise(at, 16 * PAGE, MADV_NOHUGEPAGE);
    OKAY(mlock2(at, 8 * PAGE, MLOCK_ONFAULT), "mlock2(MLOCK_ONFAULT)");
    IS(in_core(at, 16), 0, "brings nothing in");
    IS(locked() - before, 8, "but counts");
    at[2 * PAGE] = 1;
    IS(in_core(at, 16), 1, "what is used is there");
    OKAY(mlock2(at, 4 * PAGE, 0), "mlock2 without flags");
    IS(in_core(at, 16), 4, "is mlock");
    FAILS(mlock2(at, PAGE, 2), EINVAL, "mlock2 with an unknown flag");
    FAILS(madvise(at + 6 * PAGE, PAGE, MADV_DONTNEED), EINVAL, "MADV_DONTNEED where pages are locked as they come");
    OKAY(munlock(at, 8 * PAGE), "munlock");
    IS(locked(), before, "unlocks both kinds");
}

static int lock_all(void *unused UNUSED)
{
    char *old = anon(4 * PAGE, RW), *new;
    long before = proc_value("/proc/self/status", "VmSize") / 4;

    if (mlockall(MCL_CURRENT) || in_core(old, 4) != 4)
        return 1;
    if (locked() < before - 64)
        return 2;
    new = anon(4 * PAGE, RW);
    if (in_core(new, 4) != 0)
        return 3;
    if (munlockall() || locked() != 0)
        return 4;
    return 0;
}

static int lock_future(void *unused UNUSED)
{
    char *at;
    long before;

    if (mlockall(MCL_FUTURE))
        return 1;
    before = locked();
    at = anon(4 * PAGE, RW);
    if (in_core(at, 4) != 4)
        return 2;
    if (locked() - before != 4)
        return 3;
    if (mlockall(MCL_FUTURE | MCL_ONFAULT))
        return 4;
    at = anon(8 * PAGE, RW);
    if (in_core(at, 8) != 0)
        return 5;
    if (locked() - before != 12)
        return 6;
    if (munlockall() || locked() != 0)
        return 7;
    at = anon(4 * PAGE, RW);
    if (in_core(at, 4) != 0 || locked() != 0)
        return 8;
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
        return 9;
    at = anon(4 * PAGE, RW);
    if (in_core(at, 4) != 0)
        return 10;
    return 0;
}

static int child_is_unlocked(void *unused UNUSED) { return locked() != 0; }

static void test_mlockall(void)
{
    char *at = anon(PAGE, RW);

    EXITS(lock_all, NULL, 0, "mlockall(MCL_CURRENT)");
    EXITS(lock_future, NULL, 0, "MCL_FUTURE and MCL_ONFAULT");
    FAILS(mlockall(0), EINVAL, "mlockall(0)");
    FAILS(mlockall(8), EINVAL, "an unknown flag");
    FAILS(mlockall(MCL_ONFAULT), EINVAL, "MCL_ONFAULT alone");
    NEED(mlock(at, PAGE));
    EXITS(child_is_unlocked, NULL, 0, "a child inherits no locks");
    munlock(at, PAGE);
}

static int with_limit_8(void *unused UNUSED)
{
    char *at = anon(16 * PAGE, RW), *p;

    set_limit(8);
    if (mlock(at, 8 * PAGE))
        return 1;
    if (mlock(at + 8 * PAGE, PAGE) != -1 || errno != ENOMEM)
        return 2;
    if (mlock(at, 8 * PAGE))
        return 3; /* what is locked already does not count again */
    p = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    if (p != MAP_FAILED || errno != EAGAIN)
        return 4;
    if (munlock(at, PAGE))
        return 5;
    p = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    if (p == MAP_FAILED || in_core(p, 1) != 1)
        return 6;
    if (mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED || errno != EAGAIN)
        return 7;
    munmap(p, PAGE);
    if (mlockall(MCL_CURRENT) != -1 || errno != ENOMEM)
        return 8;
    if (munlock(at, 16 * PAGE) || mlockall(MCL_FUTURE))
        return 9;
    if (mmap(NULL, 9 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED || errno != EAGAIN)
        return 10;
    p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || in_core(p, 4) != 4)
        return 11;
    if (sbrk(64 * PAGE) != (void *)-1)
        return 12;
    return 0;
}

static int with_limit_0(void *unused UNUSED)
{
    char *at = anon(PAGE, RW);

    set_limit(0);
    if (mlock(at, PAGE) != -1 || errno != EPERM)
        return 1;
    if (mlock2(at, PAGE, MLOCK_ONFAULT) != -1 || errno != EPERM)
        return 2;
    if (mlockall(MCL_CURRENT) != -1 || errno != EPERM)
        return 3;
    if (mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) != MAP_FAILED || errno != EPERM)
        return 4;
    return munlock(at, PAGE) || munlockall() ? 5 : 0;
}

#define ROUNDS 3000

static atomic_int arrived, both;

static void await(int n)
{
    for (int spins = 0; atomic_load(&arrived) < n; spins++)
        if (spins > 1000)
            sched_yield();
}

/* ROUNDS times, together with the other one: eight of twelve pages that may be locked. */
static void *lock_beside(void *at)
{
    for (int round = 0; round < ROUNDS; round++) {
        int locks;

        atomic_fetch_add(&arrived, 1);
        await(4 * round + 2);
        locks = mlock2(at, 8 * PAGE, MLOCK_ONFAULT) == 0;
        atomic_fetch_add(&both, locks ? 1 : 1 << 16);
        atomic_fetch_add(&arrived, 1);
        await(4 * round + 4);
        munlock(at, 8 * PAGE);
    }
    return NULL;
}

static int two_with_limit_12(void *unused UNUSED)
{
    char *at = anon(32 * PAGE, RW);
    pthread_t other;

    set_limit(12);
    if (pthread_create(&other, NULL, lock_beside, at + 16 * PAGE))
        return 1;
    lock_beside(at);
    pthread_join(other, NULL);
    return (atomic_load(&both) & 0xffff) > ROUNDS ? 2 : 0; /* in some round both did */
}

static void test_limits(void)
{
    EXITS(two_with_limit_12, NULL, 0, "RLIMIT_MEMLOCK of 12 pages is no room for twice 8");

    EXITS(with_limit_8, NULL, 0, "RLIMIT_MEMLOCK of 8 pages");
    EXITS(with_limit_0, NULL, 0, "RLIMIT_MEMLOCK 0: EPERM");
}

static void test_file(void)
{
    static char zeros[4 * PAGE];
    int fd = make_file("data", zeros, sizeof(zeros));
    char *at = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

    OKAY(mlock(at, 4 * PAGE), "mlock of a file's pages");
    FAILS(msync(at, 4 * PAGE, MS_SYNC | MS_INVALIDATE), EBUSY, "MS_INVALIDATE of locked pages");
    OKAY(msync(at, 4 * PAGE, MS_SYNC), "MS_SYNC alone");
    FAILS(mlock(at + 4 * PAGE, PAGE), ENOMEM, "past the end of the file");
    munmap(at, 8 * PAGE);
    close(fd);
}

static void test_map_locked(void)
{
    char *at = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0), *moved;
    long before = locked();

    IS(in_core(at, 8), 8, "MAP_LOCKED brings all in");
    moved = mremap(at, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && in_core(moved, 16) == 16, "what it grows by, too");
    IS(locked() - before, 8, "which counts");
    at = mremap(moved, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL);
    CHECK(at != MAP_FAILED, "MREMAP_DONTUNMAP");
    IS(locked() - before, 8, "leaves no lock behind");
    IS(in_core(moved, 16), 0, "nor pages");
    munmap(at, 16 * PAGE);
    munmap(moved, 16 * PAGE);
}

static void body(void)
{
    test_mlock();
    test_mlock2();
    test_mlockall();
    test_limits();
    test_file();
    test_map_locked();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
