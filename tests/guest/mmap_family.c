/* The rarer members of mmap's family: remap_file_pages, mremap over borders, madvise's rules, process_madvise, mmap's
 * and mprotect's rare flags; files that shrink or get holes under their mappings. */
#include "tap.h"

#include <sys/uio.h>

#define RW (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define MREMAP_DONTUNMAP_ 4
enum {
    FREE = 8,
    REMOVE = 9,
    MERGEABLE = 12,
    HUGEPAGE = 14,
    DONTDUMP = 16,
    COLD = 20,
    PAGEOUT = 21,
    POPULATE_READ = 22,
    POPULATE_WRITE = 23,
    DONTNEED_LOCKED = 24
};

static int numbered_file(size_t pages)
{
    static char page[PAGE];
    int fd = memfd_create("numbered", 0);

    for (size_t i = 0; i < pages; i++) {
        memset(page, 'a' + (int)i, PAGE);
        NEED(write(fd, page, PAGE) == (ssize_t)PAGE ? 0 : -1);
    }
    return fd;
}

/* ---- remap_file_pages ---- */

static void test_remap_file_pages(void)
{
    int fd = numbered_file(8);
    char *at = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0), *private;

    OKAY(remap_file_pages(at, PAGE, 0, 5, 0), "remap_file_pages of one page");
    CHECK(at[0] == 'f' && at[PAGE] == 'b', "shows the other page, and only there");
    at[0] = 'F';
    IS(at[5 * PAGE], 'F', "it is the same page");
    OKAY(remap_file_pages(at + 2 * PAGE, 2 * PAGE, 0, 6, 0), "of two pages");
    CHECK(at[2 * PAGE] == 'g' && at[3 * PAGE] == 'h', "shows those");
    OKAY(remap_file_pages(at + 4 * PAGE + 10, PAGE + 10, 0, 0, 0), "the address and the size are rounded down");
    CHECK(at[4 * PAGE] == 'a' && at[5 * PAGE] == 'F', "to a page");
    OKAY(remap_file_pages(at, 8 * PAGE, 0, 0, 0), "over what was remapped before");
    CHECK(at[0] == 'a' && at[4 * PAGE] == 'e' && at[7 * PAGE] == 'h', "puts all in order");
    mprotect(at, 8 * PAGE, PROT_READ);
    OKAY(remap_file_pages(at, PAGE, 0, 1, MAP_NONBLOCK), "of a read-only mapping");
    CHECK(at[0] == 'b', "works");
    FAILS(remap_file_pages(at, PAGE, PROT_READ, 1, 0), EINVAL, "a protection");
    FAILS(remap_file_pages(at, 0, 0, 1, 0), EINVAL, "no size");
    FAILS(remap_file_pages(at, 100, 0, 1, 0), EINVAL, "less than a page");
    FAILS(remap_file_pages(at, 9 * PAGE, 0, 0, 0), EINVAL, "more than the mapping");
    private = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    FAILS(remap_file_pages(private, PAGE, 0, 1, 0), EINVAL, "a private mapping");
    FAILS(remap_file_pages(anon(PAGE, RW), PAGE, 0, 1, 0), EINVAL, "anonymous memory");
    munmap(private, PAGE);
    FAILS(remap_file_pages(private, PAGE, 0, 1, 0), EINVAL, "nothing there");
    close(fd);
}

/* ---- mremap ---- */

static void test_mremap(void)
{
    char *at = anon(32 * PAGE, PROT_NONE), *p, *spare = anon(8 * PAGE, PROT_NONE);
    int fd = numbered_file(4);

    mmap(at, 2 * PAGE, RW, PRIVATE | MAP_FIXED, -1, 0);
    mmap(at + 2 * PAGE, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    IS((long)mremap(at, 4 * PAGE, 4 * PAGE, 0) - (long)at, 0, "the same size over two mappings is no change");
    IS((long)mremap(at, 4 * PAGE, 3 * PAGE, 0) - (long)at, 0, "shrinking over two mappings");
    FAILS((long)mremap(at, 3 * PAGE, 6 * PAGE, MREMAP_MAYMOVE), EFAULT, "growing over two");
    FAILS((long)mremap(at, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, spare), EFAULT, "moving two");
    FAILS((long)mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP_, NULL), EINVAL,
          "MREMAP_DONTUNMAP with another size");
    FAILS((long)mremap(at, PAGE, PAGE, MREMAP_DONTUNMAP_, NULL), EINVAL, "without MREMAP_MAYMOVE");
    FAILS((long)mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, spare + 1), EINVAL, "an odd new address");
    FAILS((long)mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, -PAGE), EINVAL, "one past user memory");
    FAILS((long)mremap(at, 0, PAGE, MREMAP_MAYMOVE), EINVAL, "old size 0 of private memory");
    spare = anon(8 * PAGE, PROT_NONE);
    p = mremap(at + 2 * PAGE, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, spare);
    CHECK(p == spare && p[0] == 'a' && at[2 * PAGE] == 'a', "old size 0 of a shared one: the page twice");
    p = mremap(at + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP_, NULL);
    CHECK(p != MAP_FAILED && p != at + 2 * PAGE && p[0] == 'a', "MREMAP_DONTUNMAP of a shared mapping");
    IS(at[2 * PAGE], 'a', "shows the page at both places");
    strcpy(at, "moved");
    p = mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP_ | MREMAP_FIXED, spare + PAGE);
    CHECK(p == spare + PAGE && !strcmp(p, "moved") && at[0] == 0, "MREMAP_DONTUNMAP to a place of choice");
    FAILS((long)mremap(at, PAGE, 1UL << 62, MREMAP_MAYMOVE), ENOMEM, "more than there are addresses");
    close(fd);
}

/* ---- mmap, mprotect ---- */

static void test_flags(void)
{
    int fd = numbered_file(2), disk = make_file("disk", "x", 1);
    char *at;

    FAILS((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x80000 /* MAP_SYNC */, disk, 0), EOPNOTSUPP,
          "MAP_SYNC");
    at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | 0x80000, fd, 0);
    CHECK(at != MAP_FAILED, "which plain MAP_SHARED ignores");
    munmap(at, PAGE);
    FAILS((long)mmap(at, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_FIXED_NOREPLACE, fd, 0), EOPNOTSUPP,
          "MAP_SHARED_VALIDATE knows no MAP_FIXED_NOREPLACE");
    at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_POPULATE | MAP_LOCKED | MAP_NORESERVE, fd, 0);
    CHECK(at != MAP_FAILED, "but the old flags");
    FAILS((long)mmap(NULL, 2 << 20, RW, PRIVATE | MAP_HUGETLB, -1, 0), ENOMEM, "MAP_HUGETLB: the pool is empty");
    FAILS((long)mmap(NULL, 2 << 20, RW, MAP_PRIVATE | MAP_HUGETLB, fd, 0), EINVAL, "MAP_HUGETLB of another file");
    FAILS((long)mmap(NULL, PAGE, RW, 0x04 | MAP_ANONYMOUS, -1, 0), EINVAL, "an unknown type");
    at = anon(4 * PAGE, PROT_NONE);
    OKAY(mprotect(at, PAGE, PROT_READ | 8 /* PROT_SEM */), "PROT_SEM");
    FAILS(mprotect(at, PAGE, PROT_READ | 0x10), EINVAL, "an unknown protection");
    FAILS(mprotect(at, PAGE, PROT_READ | PROT_GROWSUP), EINVAL, "PROT_GROWSUP of what does not grow");
    munmap(at + PAGE, PAGE);
    FAILS(mprotect(at + PAGE, PAGE, PROT_READ | PROT_GROWSUP), ENOMEM, "and of what is not there");
    at = mmap(NULL, 8 * PAGE, PROT_READ, PRIVATE | MAP_GROWSDOWN, -1, 0);
    OKAY(mprotect(at + 6 * PAGE, PAGE, RW | PROT_GROWSDOWN), "PROT_GROWSDOWN");
    at[0] = at[6 * PAGE] = 1;
    CHECK(at[0] == 1, "changes all below, too");
    close(fd);
    close(disk);
}

/* ---- madvise ---- */

static int zero_in_child(void *at) { return ((char *)at)[0] != 0; }

static void test_madvise(void)
{
    int fd = numbered_file(4);
    char *at = anon(16 * PAGE, RW), *shared = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0),
         *private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0), *read_only, *write_only;
    unsigned char core[16];

    memset(at, 1, 16 * PAGE);
    FAILS(madvise(at, -PAGE + 1, MADV_NORMAL), EINVAL, "a length that wraps");
    FAILS(madvise(at, PAGE, 5), EINVAL, "advice 5");
    FAILS(madvise(at, PAGE, 7), EINVAL, "advice 7");
    FAILS(madvise(at, PAGE, 99), EINVAL, "advice 99");
    OKAY(madvise(at, 1, MADV_NORMAL), "a length is rounded up");
    OKAY(madvise(at, 4 * PAGE, FREE), "MADV_FREE");
    CHECK(at[0] == 0 || at[0] == 1, "may take the contents at any time");
    at[0] = 2;
    IS(at[0], 2, "but not what is written after");
    FAILS(madvise(shared, PAGE, FREE), EINVAL, "MADV_FREE of a shared mapping");
    FAILS(madvise(private, PAGE, FREE), EINVAL, "and of a private file");
    FAILS(madvise(shared, PAGE, MADV_WIPEONFORK), EINVAL, "MADV_WIPEONFORK of a shared mapping");
    FAILS(madvise(private, PAGE, MADV_WIPEONFORK), EINVAL, "and of a private file");
    OKAY(madvise(at + 8 * PAGE, PAGE, MADV_WIPEONFORK), "of private memory");
    EXITS(zero_in_child, at + 8 * PAGE, 0, "a child finds zeros");
    OKAY(madvise(at + 8 * PAGE, PAGE, COLD), "MADV_COLD");
    OKAY(madvise(at + 8 * PAGE, PAGE, PAGEOUT), "MADV_PAGEOUT");
    IS(at[8 * PAGE], 1, "loses nothing");
    NEED(mlock(at + 9 * PAGE, PAGE));
    FAILS(madvise(at + 9 * PAGE, PAGE, COLD), EINVAL, "MADV_COLD of a locked page");
    FAILS(madvise(at + 9 * PAGE, PAGE, PAGEOUT), EINVAL, "MADV_PAGEOUT of one");
    FAILS(madvise(at + 9 * PAGE, PAGE, FREE), EINVAL, "MADV_FREE of one");
    munlock(at + 9 * PAGE, PAGE);
    read_only = mmap(NULL, 4 * PAGE, PROT_READ, PRIVATE, -1, 0);
    OKAY(madvise(read_only, 4 * PAGE, POPULATE_READ), "MADV_POPULATE_READ");
    NEED(mincore(read_only, 4 * PAGE, core));
    IS((core[0] & core[3]) & 1, 1, "brings pages in");
    FAILS(madvise(read_only, PAGE, POPULATE_WRITE), EINVAL, "MADV_POPULATE_WRITE of read-only memory");
    mprotect(read_only, PAGE, PROT_NONE);
    FAILS(madvise(read_only, PAGE, POPULATE_READ), EINVAL, "MADV_POPULATE_READ without permission");
    munmap(read_only, PAGE);
    FAILS(madvise(read_only, 2 * PAGE, POPULATE_READ), ENOMEM, "with a hole");
    write_only = mmap(NULL, 2 * PAGE, PROT_WRITE, PRIVATE, -1, 0);
    FAILS(madvise(write_only, 2 * PAGE, POPULATE_READ), EINVAL, "of memory that may only be written");
    OKAY(madvise(write_only, 2 * PAGE, 23), "which MADV_POPULATE_WRITE brings in");
    munmap(write_only, 2 * PAGE);
    shared = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0);
    FAILS(madvise(shared + 4 * PAGE, PAGE, POPULATE_READ), EFAULT, "past the end of a file");
    OKAY(madvise(at, PAGE, MERGEABLE), "MADV_MERGEABLE");
    OKAY(madvise(at, PAGE, MERGEABLE + 1), "MADV_UNMERGEABLE");
    close(fd);
}

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

/* Memory whose pages may go, with what is in them, when memory is low. */
static void test_droppable(void)
{
    int fd = numbered_file(1), left = 1;
    char *at;

    FAILS((long)mmap(NULL, PAGE, RW, MAP_DROPPABLE, fd, 0), EINVAL, "MAP_DROPPABLE of a file");
    FAILS((long)mmap(NULL, PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0), EINVAL, "and locked");
    FAILS((long)mmap(NULL, PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), EINVAL, "and growing");
    at = mmap(NULL, 8 * PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED, "MAP_DROPPABLE");
    memset(at, 1, 8 * PAGE);
    IS(at[5 * PAGE], 1, "is memory");
    EXITS(zero_in_child, at, 0, "that a child finds empty");
    FAILS(madvise(at, PAGE, MADV_KEEPONFORK), EINVAL, "always");
    FAILS(madvise(at, PAGE, MADV_DODUMP), EINVAL, "nor is it ever dumped");
    OKAY(mlock(at, 8 * PAGE), "mlock leaves it as it is:");
    for (int i = 0; i < 100 && left; i++) {
        if (madvise(at, 8 * PAGE, PAGEOUT))
            break;
        left = memchr(at, 1, 8 * PAGE) != NULL;
    }
    IS(left, 0, "MADV_PAGEOUT drops its pages");
    at[PAGE] = 2;
    IS(at[PAGE] + at[0], 2, "which can be used again");
    munmap(at, 8 * PAGE);
    close(fd);
}

static void test_remove(void)
{
    int fd = numbered_file(8);
    char *at = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0), *again = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0),
         *copy = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE, fd, 0), *p, byte;
    struct stat st;

    copy[2 * PAGE] = 'C';
    CHECK(again[2 * PAGE] == 'c' && copy[3 * PAGE] == 'd', "before");
    OKAY(madvise(at + 2 * PAGE, 2 * PAGE, REMOVE), "MADV_REMOVE");
    CHECK(at[2 * PAGE] == 0 && at[3 * PAGE + 5] == 0 && again[2 * PAGE] == 0, "leaves zeros in every mapping");
    IS(copy[3 * PAGE], 0, "and in private ones of the file");
    IS(copy[2 * PAGE], 'C', "but for what they have copied");
    CHECK(pread(fd, &byte, 1, 2 * PAGE) == 1 && byte == 0, "and in the file");
    CHECK(at[PAGE] == 'b' && at[4 * PAGE] == 'e', "around it all stays");
    NEED(fstat(fd, &st));
    IS(st.st_size, 8 * PAGE, "the file is as long");
    at[2 * PAGE] = 'n';
    IS(again[2 * PAGE], 'n', "new stores are shared again");
    FAILS(madvise(copy, PAGE, REMOVE), EACCES, "MADV_REMOVE of a private mapping");
    FAILS(madvise(anon(PAGE, RW), PAGE, REMOVE), EINVAL, "of anonymous memory");
    p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    OKAY(madvise(p, PAGE, REMOVE), "of a mapping that could be made writable");
    IS(at[0], 0, "works");
    NEED(mlock(at, PAGE));
    FAILS(madvise(at, PAGE, REMOVE), EINVAL, "of locked pages");
    munlock(at, PAGE);
    p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    p[0] = p[PAGE] = 1;
    OKAY(madvise(p, PAGE, REMOVE), "of shared anonymous memory");
    CHECK(p[0] == 0 && p[PAGE] == 1, "works");
    FAILS(madvise(p + 1, PAGE, REMOVE), EINVAL, "an odd address");
    OKAY(madvise(p, 0, REMOVE), "nothing");
    close(fd);
}

/* ---- process_madvise ---- */

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static long advise(int pidfd, struct iovec *pieces, size_t n, int advice, unsigned flags)
{
    return syscall(SYS_process_madvise, pidfd, pieces, n, advice, flags);
}

static int without_nice(void *argument)
{
    int *arguments = argument;
    struct iovec piece = {(void *)(uintptr_t)arguments[1], PAGE};

    if (setgid(65534) || setuid(65534))
        return 1;
    return advise(arguments[0], &piece, 1, COLD, 0) == -1 && (errno == EPERM || errno == EACCES) ? 0 : 2;
}

static void test_process_madvise(void)
{
    char *at = anon(8 * PAGE, RW);
    int fds[2], pidfd, self, other = make_file("f", "x", 1), arguments[2];
    struct iovec pieces[3] = {{at, 2 * PAGE}, {at + 4 * PAGE, PAGE}, {at + 6 * PAGE, PAGE}};
    pid_t pid;
    char byte;

    memset(at, 4, 8 * PAGE);
    NEED(pipe(fds));
    pid = fork();
    if (pid == 0)
        _exit(read(fds[0], &byte, 1) != 1 || at[0] != 4);
    pidfd = (int)NEED(syscall(SYS_pidfd_open, pid, 0));
    self = (int)NEED(syscall(SYS_pidfd_open, getpid(), 0));
    IS(advise(pidfd, pieces, 3, COLD, 0), 4 * PAGE, "process_madvise(MADV_COLD): the bytes advised");
    IS(advise(pidfd, pieces, 3, PAGEOUT, 0), 4 * PAGE, "MADV_PAGEOUT");
    IS(advise(pidfd, pieces, 1, MADV_WILLNEED, 0), 2 * PAGE, "MADV_WILLNEED");
    IS(advise(self, pieces, 2, COLD, 0), 3 * PAGE, "of oneself");
    IS(advise(pidfd, pieces, 0, COLD, 0), 0, "no pieces");
    FAILS(advise(pidfd, pieces, 1, COLD, 1), EINVAL, "a flag");
    FAILS(advise(pidfd, pieces, 1, MADV_DONTNEED, 0), EINVAL, "advice that takes contents away");
    FAILS(advise(-1, pieces, 1, COLD, 0), EBADF, "no descriptor");
    FAILS(advise(other, pieces, 1, COLD, 0), EBADF, "another descriptor");
    FAILS(advise(pidfd, (struct iovec *)8, 1, COLD, 0), EFAULT, "a bad vector");
    FAILS(advise(pidfd, pieces, 2000, COLD, 0), EINVAL, "too long a vector");
    pieces[1].iov_base = (char *)pieces[1].iov_base + 1;
    IS(advise(pidfd, pieces, 3, COLD, 0), 2 * PAGE, "what comes before a bad piece");
    FAILS(advise(pidfd, pieces + 1, 1, COLD, 0), EINVAL, "a bad piece alone");
    pieces[0].iov_base = NULL;
    FAILS(advise(pidfd, pieces, 1, COLD, 0), ENOMEM, "nothing mapped there");
    arguments[0] = pidfd, arguments[1] = 0;
    EXITS(without_nice, arguments, 0, "another's process needs privileges");
    NEED(write(fds[1], "", 1));
    NEED(waitpid(pid, NULL, 0));
    FAILS(advise(pidfd, pieces + 2, 1, COLD, 0), ESRCH, "a process that is gone");
    close(pidfd);
    close(self);
    close(other);
    close(fds[0]);
    close(fds[1]);
}

/* ---- SIGBUS ---- */

static int load(void *at) { return *(volatile char *)at == 'Z'; }
static int store(void *at)
{
    *(volatile char *)at = 1;
    return 0;
}

/* A file of 4 pages that is cut to CUT bytes: every mapping of it feels that. */
static void cut_file(int fd, const char *kind, off_t cut)
{
    char *shared, *private, *read_only;
    size_t kept = (size_t)cut / PAGE + (cut % (off_t)PAGE != 0);

    NEED(ftruncate(fd, 4 * PAGE));
    shared = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0);
    private = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE, fd, 0);
    read_only = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    memset(shared, 'x', 4 * PAGE);
    private[3 * PAGE] = 'p';
    CHECK(read_only[0] == 'x' && read_only[3 * PAGE] == 'x', "%s: before", kind);
    DIES(load, shared + 4 * PAGE, SIGBUS, BUS_ADRERR, shared + 4 * PAGE, "%s: a load past the end", kind);
    NEED(ftruncate(fd, cut));
    DIES(load, shared + kept * PAGE, SIGBUS, BUS_ADRERR, shared + kept * PAGE, "%s: a load past the new end", kind);
    DIES(store, shared + 3 * PAGE, SIGBUS, BUS_ADRERR, shared + 3 * PAGE, "%s: a store", kind);
    DIES(load, private + 3 * PAGE, SIGBUS, BUS_ADRERR, private + 3 * PAGE, "%s: even where a private copy was", kind);
    DIES(load, read_only + 3 * PAGE, SIGBUS, BUS_ADRERR, read_only + 3 * PAGE, "%s: in a read-only mapping", kind);
    FAILS(write(fd, shared + 3 * PAGE, 1), EFAULT, "%s: a system call gets EFAULT", kind);
    if (cut > 0) {
        CHECK(shared[0] == 'x' && shared[cut - 1] == 'x', "%s: what is left stays", kind);
        if (cut % (off_t)PAGE)
            CHECK(shared[cut] == 0 && read_only[cut] == 0, "%s: the rest of its last page is zero", kind);
    }
    NEED(ftruncate(fd, 4 * PAGE));
    CHECK(shared[3 * PAGE] == 0 && private[3 * PAGE] == 0 && read_only[3 * PAGE] == 0, "%s: grown again it is zero",
          kind);
    munmap(shared, 8 * PAGE);
    munmap(private, 8 * PAGE);
    munmap(read_only, 8 * PAGE);
}

static void punch_file(int fd, const char *kind)
{
    char *shared, *private, byte = 'q';

    NEED(ftruncate(fd, 4 * PAGE));
    shared = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
    memset(shared, 'x', 4 * PAGE);
    private[PAGE] = 'p';
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE + 100, 2 * PAGE) == 0) {
        CHECK(shared[PAGE + 99] == 'x' && shared[PAGE + 100] == 0 && shared[2 * PAGE] == 0 &&
                  shared[3 * PAGE + 99] == 0 && shared[3 * PAGE + 100] == 'x',
              "%s: a hole is zero, exactly", kind);
        CHECK(private[PAGE] == 'p' && private[2 * PAGE] == 0, "%s: in a private mapping, too, but for copies", kind);
        shared[2 * PAGE] = 'y';
        CHECK(pread(fd, &byte, 1, 2 * PAGE) == 1 && byte == 'y', "%s: a store into it reaches the file", kind);
    } else {
        skip(kind, "the file system makes no holes");
    }
    munmap(shared, 4 * PAGE);
    munmap(private, 4 * PAGE);
}

static void test_bus(void)
{
    int disk = make_file("cut", "", 0), memory = memfd_create("cut", 0);

    cut_file(disk, "disk", PAGE);
    cut_file(disk, "disk, within a page", PAGE + 100);
    cut_file(disk, "disk, to nothing", 0);
    cut_file(memory, "memory", PAGE);
    cut_file(memory, "memory, within a page", PAGE + 100);
    punch_file(disk, "disk");
    punch_file(memory, "memory");
    close(disk);
    close(memory);
}

static int store_to(void *at) { return *(volatile char *)at = 7, 0; }

/* Shared mappings of /dev/zero: each has memory of its own, as long as it is, of which it shows what its offset says.
 */
static void dev_zero(void)
{
    int fd = (int)NEED(open("/dev/zero", O_RDWR)), readable = (int)NEED(open("/dev/zero", O_RDONLY));
    char *one = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0), *other = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);

    CHECK(one != MAP_FAILED && other != MAP_FAILED, "/dev/zero is mapped twice, shared");
    EXITS(store_to, one + PAGE, 0, "a child stores to it");
    CHECK(one[PAGE] == 7 && other[0] == 0, "the parent sees it, not in the other mapping");
    EXITS(store_to, other, 0, "to that, which begins at its second page");
    DIES(store_to, other + PAGE, SIGBUS, BUS_ADRERR, other + PAGE, "there is no third");
    NEED(munmap(one, 2 * PAGE));
    NEED(munmap(other, 2 * PAGE));
    FAILS((long)mmap(NULL, PAGE, RW, MAP_SHARED, readable, 0), EACCES, "a descriptor that cannot write");
    one = (char *)NEED((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, readable, 0));
    FAILS(mprotect(one, PAGE, RW), EACCES, "nor make it writable later");
    IS(*(volatile char *)one, 0, "it reads zeros");
    NEED(munmap(one, PAGE));
    close(fd);
    close(readable);
}

static void body(void)
{
    test_remap_file_pages();
    test_mremap();
    test_flags();
    test_madvise();
    test_droppable();
    test_remove();
    test_process_madvise();
    test_bus();
    dev_zero();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
