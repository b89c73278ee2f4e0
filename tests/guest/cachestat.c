/*
 * cachestat: how many pages of a file are cached, dirty, or gone; for whom. Source: cachestat(2) of Linux 6.5, and 6.12
 * for who may ask.
 */
#include "tap.h"

#include <sys/socket.h>

#define SYS_cachestat_ 451
#define N 16 /* pages */

struct range {
    uint64_t offset, length;
};
struct counts {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

static struct counts counts;

static int cachestat_of(int fd, uint64_t offset, uint64_t length)
{
    struct range range = {offset, length};

    memset(&counts, 0xff, sizeof(counts));
    return (int)syscall(SYS_cachestat_, fd, &range, &counts, 0);
}

/* How many pages, -1 if the call fails. */
static long cached(int fd, uint64_t offset, uint64_t length)
{
    return cachestat_of(fd, offset, length) == 0 ? (long)counts.cached : -1;
}

static void of_a_file(void)
{
    static char data[N * PAGE];
    int fd;

    memset(data, 1, sizeof(data));
    fd = make_file("file", data, sizeof(data));
    IS(cached(fd, 0, 0), N, "what was written is cached");
    IS(counts.dirty + counts.writeback, N, "and dirty, or on its way");
    IS(cached(fd, PAGE, 2 * PAGE), 2, "two pages of it");
    IS(cached(fd, PAGE - 1, 2), 2, "two bytes on two pages");
    IS(cached(fd, 5, 1), 1, "one byte");
    IS(cached(fd, N * PAGE, 0), 0, "past the end there is none");
    IS(cached(fd, (N - 1) * PAGE, -1UL), 0, "a range that comes round the end is none");
    IS(cached(fd, (uint64_t)-PAGE, 0), 0, "nor is there any at the end of all numbers");
    NEED(fsync(fd));
    IS(cached(fd, 0, 0), N, "when it is written back, it is still cached");
    CHECK(counts.dirty == 0 && counts.writeback == 0, "and clean");
    IS(counts.evicted + counts.recently_evicted, 0, "nothing was evicted");
    NEED(pwrite(fd, "x", 1, 3 * PAGE));
    IS(cached(fd, 0, 0), N, "a byte more");
    IS(counts.dirty, 1, "makes one page dirty");
    NEED(fsync(fd));
    NEED(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0 ? 0 : -1);
    IS(cached(fd, 0, 0), 0, "POSIX_FADV_DONTNEED: nothing is cached");
    NEED(pread(fd, data, 1, 0));
    CHECK(cached(fd, 0, 0) >= 1 && cached(fd, 0, PAGE) == 1, "what is read is");
    close(fd);
    fd = (int)NEED(open("file", O_WRONLY));
    CHECK(cached(fd, 0, PAGE) == 1, "who cannot read may ask, too");
    close(fd);
}

static void of_memory(void)
{
    static char data[5 * PAGE];
    int fd = (int)NEED(memfd_create("memory", 0));
    char *at;

    NEED(ftruncate(fd, N * PAGE));
    IS(cached(fd, 0, 0), 0, "a file of memory with nothing in it");
    NEED(write(fd, data, sizeof(data)));
    IS(cached(fd, 0, 0), 5, "its pages are cached");
    IS(counts.dirty, 0, "never dirty: they have no other place");
    at = (char *)NEED((long)mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    at[8 * PAGE] = 1;
    IS(cached(fd, 0, 0), 6, "one more, through a mapping");
    NEED(madvise(at, N * PAGE, MADV_PAGEOUT));
    NEED(cachestat_of(fd, 0, 0));
    IS(counts.cached + counts.evicted, 6, "MADV_PAGEOUT: they are cached or evicted");
    IS(at[8 * PAGE], 1, "one comes back");
    CHECK(cached(fd, 8 * PAGE, 1) == 1 && counts.evicted == 0, "and is cached again");
    NEED(munmap(at, N * PAGE));
    close(fd);
}

static void of_others(void)
{
    int ends[2];

    NEED(pipe(ends));
    IS(cached(ends[0], 0, 0), 0, "a pipe has none");
    close(ends[0]);
    close(ends[1]);
    ends[0] = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    IS(cached(ends[0], 0, 0), 0, "nor has a socket");
    close(ends[0]);
    ends[0] = (int)NEED(open("/proc/self/maps", O_RDONLY));
    IS(cached(ends[0], 0, 0), 0, "nor a file of /proc");
    close(ends[0]);
}

static void errors(void)
{
    int fd = make_file("other", "1", 1);
    struct range range = {0, 0};

    FAILS(syscall(SYS_cachestat_, -1, &range, &counts, 0), EBADF, "no file");
    FAILS(syscall(SYS_cachestat_, fd, (void *)8, &counts, 0), EFAULT, "no range");
    FAILS(syscall(SYS_cachestat_, fd, &range, (void *)8, 0), EFAULT, "no place");
    FAILS(syscall(SYS_cachestat_, fd, &range, &counts, 1), EINVAL, "flags");
    FAILS(syscall(SYS_cachestat_, fd, (void *)8, &counts, 1), EFAULT, "flags and no range");
    close(fd);
    fd = (int)NEED(memfd_create("huge", MFD_HUGETLB));
    FAILS(cachestat_of(fd, 0, 0), EOPNOTSUPP, "of huge pages");
    OKAY(fsync(fd), "which can be synchronised");
    close(fd);
    FAILS(memfd_create("huge", MFD_HUGETLB | 16U << 26), ENODEV, "not of 64 KiB");
    fd = (int)NEED(open("other", O_PATH));
    FAILS(cachestat_of(fd, 0, 0), EBADF, "O_PATH");
    close(fd);
}

static int others_file(void *unused)
{
    int of_root, writable, own;

    (void)unused;
    of_root = (int)NEED(open("other", O_RDONLY));
    writable = (int)NEED(open("other", O_RDWR));
    own = make_file("own", "1", 1);
    NEED(fchown(own, 1000, 1000));
    close(own);
    own = (int)NEED(open("own", O_RDONLY));
    NEED(setgid(1000));
    NEED(setuid(1000));
    if (cachestat_of(of_root, 0, 0) != -1)
        return 77; /* before 6.12.12 */
    if (errno != EPERM)
        return 1;
    return cachestat_of(writable, 0, 0) != 0 || cachestat_of(own, 0, 0) != 0 ? 2 : 0;
}

static void body(void)
{
    of_a_file();
    of_memory();
    of_others();
    errors();
    if (geteuid() == 0) {
        int status = in_child(others_file, NULL).status;

        CHECK(status == 0 || (status == 77 && access("/proc/quire", F_OK) != 0),
              "a file that one may neither write nor owns: EPERM");
    }
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
