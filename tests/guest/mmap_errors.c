/*
 * The errors of mmap and its family, one by one, and what their odd arguments mean when they are not errors.
 * Source: mmap(2), munmap(2), mprotect(2), msync(2), madvise(2), mincore(2), mremap(2), mlock(2), brk(2).
 */
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define UNKNOWN_FLAG 0x1000000

/* The system call itself: glibc refuses some arguments on its own. */
static long sys_mmap(unsigned long at, size_t length, int protection, int flags, int fd, unsigned long offset)
{
    return syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}

static unsigned long free_range(size_t length)
{
    void *at = anon(length, PROT_NONE);

    NEED(munmap(at, length));
    return (unsigned long)at;
}

#define HUGE (2UL << 20)

/* Of huge pages that are set aside none are, on either system. */
static void huge_pages(void)
{
    int anywhere = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    static const int wrong_sizes[] = {1, 12, 20, 22, 25, 63};

    FAILS(sys_mmap(0, HUGE, RW, anywhere, -1, 0), ENOMEM, "MAP_HUGETLB: there are none");
    FAILS(sys_mmap(0, PAGE, RW, anywhere, -1, 0), ENOMEM, "MAP_HUGETLB: also for a page");
    FAILS(sys_mmap(0, HUGE, PROT_NONE, anywhere, -1, 0), ENOMEM, "MAP_HUGETLB: PROT_NONE");
    FAILS(sys_mmap(0, HUGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0), ENOMEM, "MAP_HUGETLB: shared");
    FAILS(sys_mmap(0, HUGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0), ENOMEM,
          "MAP_HUGETLB: MAP_SHARED_VALIDATE");
    FAILS(sys_mmap(0, HUGE, RW, anywhere | MAP_POPULATE, -1, 0), ENOMEM, "MAP_HUGETLB: MAP_POPULATE");
    FAILS(sys_mmap(0, HUGE, RW, anywhere | 21 << 26, -1, 0), ENOMEM, "MAP_HUGETLB: of 2 MiB");
    FAILS(sys_mmap(0, HUGE, RW, anywhere | 30 << 26, -1, 0), ENOMEM, "MAP_HUGETLB: of 1 GiB");
    for (unsigned i = 0; i < sizeof(wrong_sizes) / sizeof(wrong_sizes[0]); i++)
        FAILS(sys_mmap(0, HUGE, RW, anywhere | (int)((unsigned)wrong_sizes[i] << 26), -1, 0), EINVAL,
              "MAP_HUGETLB: of 2^%d bytes", wrong_sizes[i]);
    FAILS(sys_mmap(0, 0, RW, anywhere, -1, 0), EINVAL, "MAP_HUGETLB: length 0");
    FAILS(sys_mmap(0, -1UL, RW, anywhere, -1, 0), EINVAL, "MAP_HUGETLB: all there is");
    FAILS(sys_mmap(0, 1UL << 60, RW, anywhere, -1, 0), ENOMEM, "MAP_HUGETLB: nearly");
    FAILS(sys_mmap(0, HUGE, RW, anywhere | MAP_GROWSDOWN, -1, 0), EINVAL, "MAP_HUGETLB: MAP_GROWSDOWN");
    FAILS(sys_mmap(0, HUGE, RW, MAP_ANONYMOUS | MAP_HUGETLB, -1, 0), EINVAL, "MAP_HUGETLB: no type");
    FAILS(sys_mmap(0, HUGE, RW, 8 | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0), EINVAL, "MAP_HUGETLB: MAP_DROPPABLE");
    FAILS(sys_mmap(0, HUGE, RW, anywhere, -1, PAGE), EINVAL, "MAP_HUGETLB: an offset within");
    FAILS(sys_mmap(0, HUGE, RW, anywhere, -1, -(long)HUGE), EOVERFLOW, "MAP_HUGETLB: an offset below 0");
    FAILS(sys_mmap(0, HUGE, RW, anywhere | MAP_GROWSDOWN, -1, -(long)HUGE), EOVERFLOW,
          "MAP_HUGETLB: which comes first");
    FAILS(sys_mmap(0x40001000, HUGE, RW, anywhere | MAP_FIXED, -1, -(long)HUGE), EOVERFLOW,
          "MAP_HUGETLB: before the place, too");
    FAILS(sys_mmap(0x40000000, HUGE, RW, anywhere | MAP_FIXED, -1, 0), ENOMEM, "MAP_HUGETLB: a place");
    FAILS(sys_mmap(0x40001000, HUGE, RW, anywhere | MAP_FIXED, -1, 0), EINVAL, "MAP_HUGETLB: one that is not aligned");
    FAILS(sys_mmap(0, HUGE, RW, MAP_PRIVATE | MAP_HUGETLB, -1, 0), EBADF, "MAP_HUGETLB: no file");
}

static void mmap_arguments(void)
{
    int fd = make_file("file", "text", 4);
    int read_only = (int)NEED(open("file", O_RDONLY)), write_only = (int)NEED(open("file", O_WRONLY));
    int folder = (int)NEED(open(".", O_RDONLY)), path = (int)NEED(open("file", O_PATH)), pipes[2];
    unsigned long at;

    NEED(pipe(pipes));
    FAILS(sys_mmap(0, 0, RW, ANON, -1, 0), EINVAL, "mmap: length 0");
    FAILS(sys_mmap(0, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL, "mmap: neither shared nor private");
    FAILS(sys_mmap(0, PAGE, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE, -1, 0), EINVAL,
          "mmap: MAP_SHARED_VALIDATE of no file");
    FAILS(sys_mmap(0, PAGE, RW, MAP_PRIVATE, fd, 100), EINVAL, "mmap: offset not a multiple of the page size");
    FAILS(sys_mmap(0, PAGE, RW, MAP_PRIVATE, 999, 0), EBADF, "mmap: a descriptor that is not open");
    FAILS(sys_mmap(0, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF, "mmap: descriptor -1 without MAP_ANONYMOUS");
    FAILS(sys_mmap(0, PAGE, PROT_READ, MAP_SHARED, write_only, 0), EACCES,
          "mmap: descriptor open for writing only, shared");
    FAILS(sys_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, write_only, 0), EACCES,
          "mmap: descriptor open for writing only, private");
    FAILS(sys_mmap(0, PAGE, RW, MAP_SHARED, read_only, 0), EACCES,
          "mmap: shared and writable of a read-only descriptor");
    FAILS(sys_mmap(0, PAGE, RW, MAP_SHARED_VALIDATE | UNKNOWN_FLAG, fd, 0), EOPNOTSUPP,
          "mmap: MAP_SHARED_VALIDATE with an unknown flag");
    at = OKAY(sys_mmap(0, PAGE, RW, MAP_SHARED_VALIDATE | 4 << 26, fd, 0), "mmap: with bits of a size of huge pages");
    munmap((void *)at, PAGE);
    at = OKAY(sys_mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 1UL << 46), "mmap: past all that the file may have");
    munmap((void *)at, PAGE);
    FAILS(sys_mmap(0, 1 << 21, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 13 << 26, -1, 0), EINVAL,
          "mmap: no such size of huge pages");
    huge_pages();
    at = OKAY(sys_mmap(0, PAGE, RW, MAP_SHARED_VALIDATE, fd, 0), "mmap: MAP_SHARED_VALIDATE");
    munmap((void *)at, PAGE);
    at = OKAY(sys_mmap(0, 1, RW, ANON | UNKNOWN_FLAG, -1, 0),
              "mmap: an unknown flag is ignored elsewhere, length 1 is a page");
    munmap((void *)at, PAGE);
    at = OKAY(sys_mmap(0, PAGE, RW, ANON, 999, 0), "mmap: MAP_ANONYMOUS ignores the descriptor");
    munmap((void *)at, PAGE);
    FAILS(sys_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, folder, 0), ENODEV, "mmap: a directory");
    FAILS(sys_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, pipes[0], 0), ENODEV, "mmap: a pipe");
    FAILS(sys_mmap(0, PAGE, PROT_READ, MAP_PRIVATE, path, 0), EBADF, "mmap: an O_PATH descriptor");

    FAILS(sys_mmap(0, 1UL << 63, RW, ANON, -1, 0), ENOMEM, "mmap: half of everything");
    FAILS(sys_mmap(0, -1UL, RW, ANON, -1, 0), ENOMEM, "mmap: a length that rounds to nothing");
    FAILS(sys_mmap(0, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0x7ffffffffffff000UL), EOVERFLOW,
          "mmap: past what a file can hold");
    FAILS(sys_mmap(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), EINVAL,
          "mmap: MAP_GROWSDOWN shared");
    FAILS(sys_mmap(0, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0), EINVAL, "mmap: MAP_GROWSDOWN of a file");
    close(fd), close(read_only), close(write_only), close(path), close(folder), close(pipes[0]), close(pipes[1]);
}

static int low_as_user(void *unused UNUSED)
{
    if (setuid(1000))
        return 2;
    return sys_mmap(0, PAGE, RW, ANON | MAP_FIXED, -1, 0) == -1 && errno == EPERM ? 0 : 1;
}

static void mmap_addresses(void)
{
    unsigned long range = free_range(8 * PAGE), at;

    IS(sys_mmap(range, PAGE, RW, ANON, -1, 0), range, "mmap: a free hint is taken");
    at = sys_mmap(range, PAGE, RW, ANON, -1, 0);
    CHECK(at != range && at != -1UL, "mmap: a hint in use is not, and does no harm");
    munmap((void *)at, PAGE);
    IS(sys_mmap(range + 2 * PAGE + 123, PAGE, RW, ANON, -1, 0), range + 2 * PAGE, "mmap: a hint is rounded down");
    munmap((void *)range, 8 * PAGE);

    FAILS(sys_mmap(range + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL, "mmap: MAP_FIXED at no page's start");
    FAILS(sys_mmap(range + 1, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EINVAL,
          "mmap: MAP_FIXED_NOREPLACE at no page's start");
    FAILS(sys_mmap(0xffffffc000000000UL, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM,
          "mmap: MAP_FIXED in the kernel's half");
    FAILS(sys_mmap(-PAGE, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM,
          "mmap: MAP_FIXED around the end of all addresses");
    at = sys_mmap(0xffffffc000000000UL, PAGE, RW, ANON, -1, 0);
    CHECK(at != -1UL && at < 1UL << 56, "mmap: a hint in the kernel's half is only a hint");
    munmap((void *)at, PAGE);

    IS(sys_mmap(range, 4 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), range,
       "mmap: MAP_FIXED_NOREPLACE of a free range");
    *(char *)range = 'k';
    FAILS(sys_mmap(range, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST,
          "mmap: MAP_FIXED_NOREPLACE of a used one");
    FAILS(sys_mmap(range + 3 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST,
          "mmap: and of one used in part");
    IS(*(char *)range, 'k', "mmap: and nothing is replaced");
    IS(sys_mmap(range, PAGE, RW, ANON | MAP_FIXED, -1, 0), range, "mmap: MAP_FIXED replaces");
    IS(*(char *)range, 0, "mmap: and the new memory is zero");
    IS(sys_mmap(range + 4 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), range + 4 * PAGE,
       "mmap: NOREPLACE right behind another");
    munmap((void *)range, 8 * PAGE);
    if (geteuid() == 0)
        EXITS(low_as_user, NULL, 0, "mmap: address 0 is EPERM for a user");
    else
        skip("mmap: address 0 is EPERM for a user", "needs root to become one");
}

static int with_limits(void *unused UNUSED)
{
    struct rlimit limit = {64UL << 20, 64UL << 20}, data = {32UL << 20, 32UL << 20};

    if (setrlimit(RLIMIT_AS, &limit))
        return 1;
    if (sys_mmap(0, 128UL << 20, RW, ANON, -1, 0) != -1 || errno != ENOMEM)
        return 2;
    if (sys_mmap(0, 128UL << 20, PROT_NONE, ANON | MAP_NORESERVE, -1, 0) != -1 || errno != ENOMEM)
        return 3;
    if (sys_mmap(0, 1UL << 20, RW, ANON, -1, 0) == -1)
        return 4;
    if (setrlimit(RLIMIT_DATA, &data))
        return 5;
    if (sys_mmap(0, 40UL << 20, RW, ANON, -1, 0) != -1 || errno != ENOMEM)
        return 6;
    if (sys_mmap(0, 40UL << 20, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == -1)
        return 7;
    return 0;
}

static void munmap_errors(void)
{
    unsigned long range = free_range(4 * PAGE);

    FAILS(munmap((void *)(range + 1), PAGE), EINVAL, "munmap: not a page's start");
    FAILS(munmap((void *)range, 0), EINVAL, "munmap: length 0");
    FAILS(munmap((void *)0xffffffc000000000UL, PAGE), EINVAL, "munmap: the kernel's half");
    FAILS(munmap((void *)range, -PAGE), EINVAL, "munmap: a length past the end of user space");
    OKAY(munmap((void *)range, 4 * PAGE), "munmap: nothing there is no error");
    IS(sys_mmap(range, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0), range, "two pages");
    OKAY(munmap((void *)range, PAGE + 1), "munmap: the length is rounded up");
    FAILS(msync((void *)(range + PAGE), PAGE, MS_SYNC), ENOMEM, "munmap: so that the second page is gone too");
}

static void mprotect_errors(void)
{
    char *at = anon(4 * PAGE, RW);
    int zero = (int)NEED(open("/dev/zero", O_RDONLY));

    FAILS(mprotect(at + 1, PAGE, PROT_READ), EINVAL, "mprotect: not a page's start");
    FAILS(syscall(SYS_mprotect, at, PAGE, 0x100), EINVAL, "mprotect: an unknown protection");
    FAILS(mprotect(at, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP), EINVAL, "mprotect: growing both ways");
    FAILS(mprotect(at, PAGE, PROT_READ | PROT_GROWSDOWN), EINVAL, "mprotect: PROT_GROWSDOWN of what does not grow");
    OKAY(mprotect(at, 0, PROT_NONE), "mprotect: length 0 does nothing");
    at[0] = 1;
    FAILS(mprotect((void *)0xffffffc000000000UL, PAGE, PROT_READ), ENOMEM, "mprotect: the kernel's half");
    FAILS(mprotect(at, -PAGE, PROT_READ), ENOMEM, "mprotect: a length past the end of everything");
    NEED(munmap(at + 2 * PAGE, PAGE));
    FAILS(mprotect(at + 2 * PAGE, PAGE, PROT_READ), ENOMEM, "mprotect: nothing mapped");
    FAILS(mprotect(at, 4 * PAGE, PROT_READ), ENOMEM, "mprotect: a gap amid the range");
    FAILS(read(zero, at, 1), EFAULT, "mprotect: what lies before the gap has changed");
    close(zero);
    at[3 * PAGE] = 1;
    CHECK(1, "mprotect: what lies behind the gap has not");
    munmap(at, 4 * PAGE);
}

static void msync_errors(void)
{
    char *at = anon(4 * PAGE, RW);

    FAILS(msync(at, PAGE, MS_SYNC | MS_ASYNC), EINVAL, "msync: both MS_SYNC and MS_ASYNC");
    FAILS(msync(at, PAGE, 0x80), EINVAL, "msync: unknown flags");
    FAILS(msync(at + 1, PAGE, MS_SYNC), EINVAL, "msync: not a page's start");
    OKAY(msync(at, PAGE, 0), "msync: no flags");
    OKAY(msync(at, PAGE, MS_SYNC), "msync: anonymous memory");
    OKAY(msync(at, 0, MS_SYNC), "msync: length 0");
    NEED(munmap(at + 2 * PAGE, PAGE));
    FAILS(msync(at, 4 * PAGE, MS_SYNC), ENOMEM, "msync: a gap amid the range");
    FAILS(msync(at, 4 * PAGE, MS_ASYNC), ENOMEM, "msync: with MS_ASYNC too");
    if (mlock(at, PAGE) == 0)
        FAILS(msync(at, PAGE, MS_SYNC | MS_INVALIDATE), EBUSY, "msync: MS_INVALIDATE of locked memory");
    else
        skip("msync: MS_INVALIDATE of locked memory", "mlock failed");
    munmap(at, 4 * PAGE);
}

static void madvise_errors(void)
{
    char *at = anon(4 * PAGE, RW);
    unsigned char vector[8];

    FAILS(madvise(at, PAGE, 9999), EINVAL, "madvise: unknown advice");
    FAILS(madvise(at + 1, PAGE, MADV_NORMAL), EINVAL, "madvise: not a page's start");
    OKAY(madvise(at, 0, MADV_DONTNEED), "madvise: length 0");
    memset(at, 1, 4 * PAGE);
    OKAY(madvise(at + PAGE, PAGE, MADV_DONTNEED), "madvise: MADV_DONTNEED");
    CHECK(at[0] == 1 && at[PAGE] == 0 && at[2 * PAGE - 1] == 0 && at[2 * PAGE] == 1,
          "madvise: drops exactly the range's contents");
    NEED(munmap(at + 2 * PAGE, PAGE));
    FAILS(madvise(at, 4 * PAGE, MADV_DONTNEED), ENOMEM, "madvise: a gap amid the range");
    CHECK(at[0] == 0 && at[3 * PAGE] == 0, "madvise: is applied around the gap all the same");

    FAILS(mincore(at + 1, PAGE, vector), EINVAL, "mincore: not a page's start");
    FAILS(mincore(at + 2 * PAGE, PAGE, vector), ENOMEM, "mincore: nothing mapped");
    FAILS(mincore(at, PAGE, (void *)8), EFAULT, "mincore: nowhere to write");
    FAILS(mincore(at, (size_t)-1, vector), ENOMEM, "mincore: a length that wraps around");
    FAILS(mincore(NULL, PAGE, vector), ENOMEM, "mincore: page 0");
    FAILS(mlock(at + 2 * PAGE, PAGE), ENOMEM, "mlock: nothing mapped");
    FAILS(munlock(at + 2 * PAGE, PAGE), ENOMEM, "munlock: nothing mapped");
    munmap(at, 4 * PAGE);
}

static void mremap_errors(void)
{
    char *at = anon(8 * PAGE, RW), *moved;

    at[0] = 'a';
    at[PAGE] = 'b';
    FAILS((long)mremap(at + 1, PAGE, PAGE, 0), EINVAL, "mremap: not a page's start");
    for (unsigned bit = 58; bit < 64; bit++)
        FAILS((long)mremap(at, 1ul << bit, 4 * PAGE, 0), EINVAL, "mremap: 2^%u bytes do not shrink", bit);
    FAILS((long)mremap(at, -2 * PAGE, 4 * PAGE, 0), EINVAL, "mremap: nor does what ends before it starts");
    FAILS((long)mremap(at, 1ul << 62, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 4 * PAGE), EINVAL,
          "mremap: nor on the way to another place");
    IS((long)mmap(at + 4 * PAGE, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), (long)at + 4 * PAGE,
       "mremap: the place is filled again");
    FAILS((long)mremap(at, PAGE, 0, 0), EINVAL, "mremap: new length 0");
    FAILS((long)mremap(at, PAGE, PAGE, 0x80), EINVAL, "mremap: unknown flags");
    FAILS((long)mremap(at, PAGE, PAGE, MREMAP_FIXED, at + 4 * PAGE), EINVAL,
          "mremap: MREMAP_FIXED without MREMAP_MAYMOVE");
    FAILS((long)mremap(at, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE), EINVAL,
          "mremap: overlapping ranges");
    NEED(munmap(at + 4 * PAGE, PAGE));
    FAILS((long)mremap(at + 4 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT, "mremap: nothing mapped");
    FAILS((long)mremap(at + 2 * PAGE, 2 * PAGE, 4 * PAGE, 0), ENOMEM, "mremap: no room to grow in place");
    IS((long)mremap(at + 2 * PAGE, 2 * PAGE, 3 * PAGE, 0), (long)at + 2 * PAGE, "mremap: room to grow in place");
    moved = mremap(at, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved != at, "mremap: moves when it must");
    CHECK(moved != MAP_FAILED && moved[0] == 'a' && moved[PAGE] == 'b' && moved[2 * PAGE] == 0,
          "mremap: with its contents");
    FAILS(msync(at, PAGE, MS_SYNC), ENOMEM, "mremap: the old place is free");
    IS((long)mremap(moved, 64 * PAGE, PAGE, 0), (long)moved, "mremap: shrinks in place");
    FAILS(msync(moved + PAGE, PAGE, MS_SYNC), ENOMEM, "mremap: and gives the rest back");
    munmap(moved, PAGE);
    munmap(at, 8 * PAGE);
}

/* vm.mmap_min_addr, from which CAP_SYS_RAWIO exempts. */
static void mremap_to_page_0(void)
{
    char *at = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *page_0 = NULL;

    at[0] = 7;
    IS((long)mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, NULL), 0, "root may move a page to address 0");
    IS(**(char *volatile *)&page_0, 7, "where it is");
    OKAY(munmap(NULL, PAGE), "until it goes");
}

static void brk_rules(void)
{
    char *start = (char *)syscall(SYS_brk, 0), *end = start + 5 * PAGE;

    IS(syscall(SYS_brk, end), (long)end, "brk: grows");
    end[-1] = 'x';
    IS(start[PAGE * 2], 0, "brk: new memory is zero");
    IS(syscall(SYS_brk, 8), (long)end, "brk: below its start leaves it");
    IS(syscall(SYS_brk, -PAGE), (long)end, "brk: past everything leaves it");
    IS(syscall(SYS_brk, -1), (long)end, "brk: so does the last address of all");
    IS(syscall(SYS_brk, start), (long)start, "brk: shrinks");
    IS(syscall(SYS_brk, end), (long)end, "brk: grows again");
    IS(end[-1], 0, "brk: what was given back comes back as zero");
    IS(syscall(SYS_brk, start + 3), (long)(start + 3), "brk: need not be a page's start");
    IS(syscall(SYS_brk, start), (long)start, "brk: back to where it was");
}

static void body(void)
{
    mmap_arguments();
    mmap_addresses();
    EXITS(with_limits, NULL, 0, "mmap: RLIMIT_AS and RLIMIT_DATA give ENOMEM");
    munmap_errors();
    mprotect_errors();
    msync_errors();
    madvise_errors();
    mremap_errors();
    mremap_to_page_0();
    brk_rules();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
