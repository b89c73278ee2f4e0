/*
 * What a program may expect of mmap, munmap, fork and page faults: contents, sharing, laziness, privacy, and which
 * signal tells of what. Source: mmap(2), fork(2), sigaction(2). Errors of mmap's arguments are mmap_errors' subject;
 * copy-on-write trees are cow's.
 */
#include "tap.h"

#define HALF (PAGE / 2)

/* Page N of a test file is full of 'A' + n. */
static char pattern(size_t offset) { return 'A' + offset / PAGE % 26; }

static int pattern_file(const char *name, size_t length)
{
    char *data = malloc(length);
    int fd;

    for (size_t i = 0; i < length; i++)
        data[i] = pattern(i);
    fd = make_file(name, data, length);
    free(data);
    return fd;
}

static int holds_pattern(const volatile char *at, size_t offset, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (at[i] != pattern(offset + i))
            return 0;
    return 1;
}

static int is_zero(const volatile char *at, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (at[i])
            return 0;
    return 1;
}

static volatile char *map(size_t length, int protection, int flags, int fd, off_t offset)
{
    return (volatile char *)NEED((long)mmap(NULL, length, protection, flags, fd, offset));
}

static void unmap(volatile char *at, size_t length) { NEED(munmap((void *)at, length)); }

static int reopen(const char *name, int flags) { return (int)NEED(open(name, flags)); }

/* ---- Children that die or answer ---- */

static int load(void *at) { return *(volatile char *)at & 0x7f; }

static int store(void *at)
{
    *(volatile char *)at = 1;
    return 0;
}

static int jump(void *at)
{
    ((void (*)(void))at)();
    return 0;
}

/* ---- Subjects ---- */

static void private_read_only(void)
{
    int fd = pattern_file("private", PAGE + HALF);
    volatile char *at = map(2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

    CHECK(holds_pattern(at, 0, PAGE + HALF), "a private map of 1.5 pages shows the file");
    CHECK(is_zero(at + PAGE + HALF, HALF), "the rest of its last page is zero");
    DIES(store, at, SIGSEGV, SEGV_ACCERR, at, "a store to PROT_READ is SIGSEGV with SEGV_ACCERR and the address");
    DIES(store, at + PAGE + 77, SIGSEGV, SEGV_ACCERR, at + PAGE + 77, "its address is exact to the byte");
    OKAY(munmap((void *)at, 2 * PAGE), "munmap of the whole");
    DIES(load, at, SIGSEGV, SEGV_MAPERR, at, "a load after munmap is SIGSEGV with SEGV_MAPERR");
    close(fd);
}

static void private_writable(void)
{
    char back[PAGE + HALF];
    int fd;
    volatile char *at;

    close(pattern_file("writable", PAGE + HALF));
    fd = reopen("writable", O_RDONLY);
    at = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(1, "a read-only descriptor maps private and writable");
    close(fd);
    CHECK(holds_pattern(at, 0, PAGE + HALF), "the map is usable after close");
    for (size_t i = 0; i < 2 * PAGE; i++)
        at[i] = 'z';
    CHECK(at[0] == 'z' && at[2 * PAGE - 1] == 'z', "its stores are seen through it, past the file's end too");
    fd = reopen("writable", O_RDONLY);
    IS(read(fd, back, sizeof(back)), PAGE + HALF, "the file keeps its length");
    CHECK(holds_pattern(back, 0, sizeof(back)), "stores to a private map never reach the file");
    close(fd);
    unmap(at, 2 * PAGE);
}

static void shared_needs_write(void)
{
    int fd = reopen("writable", O_RDONLY);
    volatile char *at;

    FAILS((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EACCES,
          "a read-only descriptor does not map shared and writable");
    at = map(PAGE, PROT_READ, MAP_SHARED, fd, 0);
    FAILS(mprotect((void *)at, PAGE, PROT_READ | PROT_WRITE), EACCES, "nor becomes writable by mprotect");
    unmap(at, PAGE);
    close(fd);
}

static void shared_partial(void)
{
    char back[3 * PAGE];
    int fd = pattern_file("shared", PAGE + HALF);
    volatile char *at = map(3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    close(fd);
    at[0] = 'x';
    at[PAGE] = 'y';
    at[PAGE + HALF] = 'q'; /* in the last page, past the end of the file */
    OKAY(munmap((void *)at, 2 * PAGE), "unmap the first two pages of a shared map longer than its file");
    OKAY(munmap((void *)(at + 2 * PAGE), PAGE), "unmap the third page, never touched");
    fd = reopen("shared", O_RDONLY);
    IS(read(fd, back, sizeof(back)), PAGE + HALF, "the file keeps its old length");
    CHECK(back[0] == 'x' && back[PAGE] == 'y', "the file has the stores");
    CHECK(holds_pattern(back + 1, 1, PAGE - 1) && holds_pattern(back + PAGE + 1, PAGE + 1, HALF - 1),
          "and nothing but the stores");
    NEED(truncate("shared", 2 * PAGE));
    IS(lseek(fd, PAGE + HALF, SEEK_SET), PAGE + HALF, "seek to the old end");
    IS(read(fd, back, HALF), HALF, "read what growing the file added");
    CHECK(is_zero(back, HALF), "a store past the end of file is not in the file when it grows");
    close(fd);
}

static void past_the_end(void)
{
    int fd = pattern_file("end", PAGE + HALF);
    volatile char *at = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    DIES(load, at + 2 * PAGE, SIGBUS, BUS_ADRERR, at + 2 * PAGE, "a load past the last page is SIGBUS with BUS_ADRERR");
    DIES(store, at + 3 * PAGE + 5, SIGBUS, BUS_ADRERR, at + 3 * PAGE + 5, "so is a store, with its exact address");
    NEED(ftruncate(fd, 3 * PAGE));
    CHECK(is_zero(at + 2 * PAGE, PAGE), "a page within the grown file can be read at once");
    NEED(ftruncate(fd, PAGE));
    DIES(load, at + PAGE, SIGBUS, BUS_ADRERR, at + PAGE, "truncation takes pages out of a mapping");
    CHECK(holds_pattern(at, 0, PAGE), "and leaves those before");
    NEED(ftruncate(fd, 2 * PAGE));
    CHECK(is_zero(at + PAGE, PAGE), "what was cut off comes back as zeros");
    NEED(ftruncate(fd, 100));
    CHECK(is_zero(at + 100, PAGE - 100), "cutting within a page zeroes the rest of it in the mapping");
    unmap(at, 4 * PAGE);
    close(fd);
}

static void truncated_private(void)
{
    int fd = pattern_file("cut", 2 * PAGE);
    volatile char *at = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

    at[PAGE] = 'p';
    NEED(ftruncate(fd, 0));
    DIES(load, at + PAGE, SIGBUS, BUS_ADRERR, at + PAGE, "truncation drops even private copies of a file's pages");
    unmap(at, 2 * PAGE);
    close(fd);
}

static void two_files(void)
{
    int one = pattern_file("one", PAGE), two = pattern_file("two", PAGE);
    volatile char *first = map(PAGE, PROT_READ, MAP_PRIVATE, one, 0),
                  *second = map(PAGE, PROT_READ, MAP_SHARED, two, 0);

    close(one);
    close(two);
    NEED(unlink("one"));
    NEED(unlink("two"));
    CHECK(holds_pattern(first, 0, PAGE) && holds_pattern(second, 0, PAGE),
          "two files, closed and unlinked, stay readable");
    unmap(first, PAGE);
    CHECK(holds_pattern(second, 0, PAGE), "unmapping one leaves the other");
    unmap(second, PAGE);
}

static void lazy(void)
{
    struct sysinfo info;
    size_t pages, touched = 0;
    volatile char *at;
    long before, after;
    int fd = pattern_file("lazy", 4 * PAGE);

    at = map(4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    NEED(pwrite(fd, "fresh", 5, PAGE));
    CHECK(!memcmp((char *)at + PAGE, "fresh", 5), "a write() after mmap but before the first touch is visible");
    unmap(at, 4 * PAGE);
    close(fd);

    sysinfo(&info);
    pages = info.totalram * info.mem_unit / PAGE / 8;
    if (pages > 16384)
        pages = 16384;
    before = resident_pages();
    at = map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    after = resident_pages();
    CHECK(before >= 0 && after - before < 64, "mmap of %zu pages makes none resident (%ld)", pages, after - before);
    madvise((void *)at, pages * PAGE, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < pages; i += 4, touched++)
        at[i * PAGE] = 1;
    after = resident_pages();
    CHECK(labs(after - before - (long)touched) < 64, "touching %zu of them makes about as many resident (%ld)", touched,
          after - before);
    unmap(at, pages * PAGE);
    after = resident_pages();
    CHECK(labs(after - before) < 64, "and munmap gives them back (%ld)", after - before);
}

static int child_sees_maps(void *argument)
{
    volatile char **maps = argument;

    if (!holds_pattern(maps[0], 0, PAGE + HALF) || !holds_pattern(maps[1], 0, PAGE + HALF))
        return 1;
    if (munmap((void *)maps[0], PAGE) || munmap((void *)(maps[1] + PAGE), PAGE))
        return 2;
    return holds_pattern(maps[1], 0, PAGE) && holds_pattern(maps[0] + PAGE, PAGE, HALF) ? 0 : 3;
}

static int child_touches_unmapped(void *argument)
{
    volatile char **maps = argument;

    if (munmap((void *)maps[0], PAGE))
        return 1;
    return load((void *)maps[0]);
}

static void forked(void)
{
    int fd = pattern_file("forked", PAGE + HALF);
    volatile char *maps[2] = {map(2 * PAGE, PROT_READ, MAP_SHARED, fd, 0),
                              map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)};
    struct ending end;

    CHECK(maps[0][0] == 'A', "only one of four pages is touched before fork");
    EXITS(child_sees_maps, maps, 0, "a child sees both maps, touched or not, and unmaps parts");
    CHECK(holds_pattern(maps[0], 0, PAGE + HALF) && holds_pattern(maps[1], 0, PAGE + HALF),
          "the parent's maps stay whole");
    DIES(child_touches_unmapped, maps, SIGSEGV, SEGV_MAPERR, maps[0],
         "a child touching what it unmapped dies of SIGSEGV");
    end = in_child(child_touches_unmapped, maps);
    CHECK(end.status == -1 && end.signal == SIGSEGV, "and the parent sees that in the wait status");
    unmap(maps[0], 2 * PAGE);
    unmap(maps[1], 2 * PAGE);
    close(fd);
}

/* ---- Sharing between processes that have nothing but the file in common ---- */

struct meeting {
    volatile int turn, value;
};

static void await(struct meeting *place, int turn)
{
    while (place->turn != turn)
        syscall(SYS_sched_yield);
}

static int partner(void *name)
{
    int fd = open(name, O_RDWR);
    struct meeting *place = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (place == MAP_FAILED)
        return 1;
    close(fd);
    for (int i = 0; i < 50; i++) {
        await(place, 2 * i + 1);
        if (place->value != i)
            return 2;
        place->value = 1000 + i;
        __sync_synchronize();
        place->turn = 2 * i + 2;
    }
    return 0;
}

static void unrelated(void)
{
    int fd = pattern_file("meeting", 16), status, good = 1;
    struct meeting *place;
    pid_t pid;

    NEED(ftruncate(fd, 0));
    NEED(ftruncate(fd, PAGE));
    pid = (pid_t)NEED(fork()); /* before the mapping, so that the child's is its own */
    if (pid == 0)
        _exit(partner("meeting"));
    place = (struct meeting *)map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (int i = 0; i < 50; i++) {
        place->value = i;
        __sync_synchronize();
        place->turn = 2 * i + 1;
        await(place, 2 * i + 2);
        good &= place->value == 1000 + i;
    }
    waitpid(pid, &status, 0);
    CHECK(good && status == 0, "two processes that map a file each for itself see each other's stores without a call");
    unmap((volatile char *)place, PAGE);
    close(fd);
}

static void coherent(void)
{
    char back[16] = "";
    int fd = pattern_file("coherent", 2 * PAGE), other = reopen("coherent", O_RDONLY);
    volatile char *at = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    volatile char *private = map(2 * PAGE, PROT_READ, MAP_PRIVATE, other, 0);

    memcpy((char *)at + 10, "stored", 6);
    IS(pread(other, back, 6, 10), 6, "read through another descriptor");
    CHECK(!memcmp(back, "stored", 6), "read() sees a store at once");
    CHECK(!memcmp((char *)private + 10, "stored", 6), "so does another mapping, untouched private pages included");
    NEED(pwrite(fd, "written", 7, PAGE + 3));
    CHECK(!memcmp((char *)at + PAGE + 3, "written", 7), "a mapping sees a write() at once");
    NEED(pwrite(fd, "again", 5, PAGE + 3));
    CHECK(!memcmp((char *)at + PAGE + 3, "again", 5), "a page already mapped sees a write() at once");
    unmap(at, 2 * PAGE);
    unmap(private, 2 * PAGE);
    close(fd);
    close(other);
}

static void partial_unmaps(void)
{
    int fd = pattern_file("parts", 8 * PAGE);
    volatile char *at = map(5 * PAGE, PROT_READ, MAP_SHARED, fd, 0), *fixed;

    unmap(at + 2 * PAGE, PAGE);
    CHECK(holds_pattern(at, 0, 2 * PAGE) && holds_pattern(at + 3 * PAGE, 3 * PAGE, 2 * PAGE),
          "munmap of a middle page leaves both sides with their contents");
    DIES(load, at + 2 * PAGE, SIGSEGV, SEGV_MAPERR, at + 2 * PAGE, "and the middle gone");
    OKAY(munmap((void *)(at + PAGE), 3 * PAGE), "munmap across a gap and two mappings");
    OKAY(munmap((void *)(at + PAGE), 3 * PAGE), "munmap of nothing");
    CHECK(holds_pattern(at, 0, PAGE) && holds_pattern(at + 4 * PAGE, 4 * PAGE, PAGE), "leaves the outermost pages");
    unmap(at, 5 * PAGE);

    at = map(5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset((char *)at, 7, 5 * PAGE);
    fixed = mmap((char *)at + PAGE, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 5 * PAGE);
    IS((long)fixed, (long)at + PAGE, "MAP_FIXED takes the very address");
    CHECK(holds_pattern(at + PAGE, 5 * PAGE, 2 * PAGE),
          "MAP_FIXED over part of a map shows the new file, from its offset");
    CHECK(at[0] == 7 && at[PAGE - 1] == 7 && at[3 * PAGE] == 7 && at[5 * PAGE - 1] == 7, "and keeps what is around it");
    unmap(at, 5 * PAGE);

    at = map(2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 6 * PAGE);
    CHECK(holds_pattern(at, 6 * PAGE, 2 * PAGE), "a map with an offset starts there");
    unmap(at, PAGE);
    CHECK(holds_pattern(at + PAGE, 7 * PAGE, PAGE), "and cutting its start keeps the offset of the rest");
    unmap(at + PAGE, PAGE);
    close(fd);
}

static void sparse(void)
{
    const size_t length = 1UL << 30, step = length / 100 & -PAGE;
    volatile char *at = map(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    long before, after;
    int fd, good = 1;

    madvise((void *)at, length, MADV_NOHUGEPAGE);
    before = resident_pages();
    for (size_t i = 0; i < 100; i++)
        at[i * step + i] = i;
    after = resident_pages();
    for (size_t i = 0; i < 100; i++)
        good &= at[i * step + i] == (char)i;
    CHECK(good, "a 1 GiB map touched at a hundred places keeps the bytes");
    CHECK(after - before >= 100 && after - before < 132, "and uses a hundred pages (%ld)", after - before);
    unmap(at, length);

    fd = pattern_file("sparse", 1);
    NEED(ftruncate(fd, length));
    at = map(length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (size_t i = 0; i < 100; i++)
        at[i * step + 1] = i;
    for (size_t i = 0; i < 100; i++) {
        char byte = 0;

        good &= pread(fd, &byte, 1, i * step + 1) == 1 && byte == (char)i;
    }
    CHECK(good, "a sparse file of 1 GiB stored to at a hundred places reads back");
    unmap(at, length);
    close(fd);
    NEED(unlink("sparse"));
}

/* ---- Forks with much memory and many levels ---- */

static int rewrite_third(void *argument)
{
    volatile char **range = argument;
    size_t length = range[1] - range[0];

    for (size_t i = 0; i < length / 8; i += PAGE)
        range[0][i] = 'c';
    for (size_t i = 0; i < length; i += PAGE)
        if (range[0][i] != (i < length / 8 ? 'c' : 'p'))
            return 1;
    return 0;
}

/* Two thirds of the free memory, in this process and not twice. */
static void fork_with_much(void)
{
    struct sysinfo info;
    volatile char *range[2];
    size_t length;

    sysinfo(&info);
    length = info.freeram * info.mem_unit / 3 * 2;
    if (length > 256UL << 20)
        length = 256UL << 20;
    length &= -PAGE;
    range[0] = map(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    range[1] = range[0] + length;
    madvise((void *)range[0], length, MADV_NOHUGEPAGE);
    for (int round = 1; round <= 2; round++) {
        int good = 1;

        for (size_t i = 0; i < length; i += PAGE)
            range[0][i] = 'p';
        EXITS(rewrite_third, range, 0, "fork with two thirds of memory private and written, time %d", round);
        for (size_t i = 0; i < length; i += PAGE)
            good &= range[0][i] == 'p';
        CHECK(good, "the child's stores stay the child's, time %d", round);
    }
    unmap(range[0], length);
}

static int nest(void *argument)
{
    static volatile int depth_seen[3];
    int depth = (int)(intptr_t)argument, status;
    pid_t pid;

    depth_seen[depth] = depth + 1;
    if (depth == 2)
        return 0;
    pid = fork();
    if (pid < 0)
        return 1;
    if (pid == 0)
        _exit(nest((void *)(intptr_t)(depth + 1)));
    if (waitpid(pid, &status, 0) != pid || status || depth_seen[depth] != depth + 1 || depth_seen[depth + 1])
        return 2;
    return 0;
}

static void nested_forks(void)
{
    int bad = 0;

    for (int round = 0; round < 100; round++)
        bad += in_child(nest, (void *)0).status != 0;
    IS(bad, 0, "a hundred rounds of nested fork with stores");
}

/* ---- The kernel as the one who faults ---- */

static int read_into(void *argument)
{
    volatile char **maps = argument; /* maps[0] written before the fork, maps[1] never touched */
    int fds[2], fd = open("source", O_RDONLY);

    if (pipe(fds) || fd < 0)
        return 1;
    for (int i = 0; i < 2; i++) {
        if (write(fds[1], "through a pipe", 14) != 14 || read(fds[0], (char *)maps[i] + PAGE - 7, 14) != 14)
            return 2;
        if (memcmp((char *)maps[i] + PAGE - 7, "through a pipe", 14))
            return 3;
        if (pread(fd, (char *)maps[i] + 2 * PAGE + 9, PAGE, 0) != PAGE)
            return 4;
        if (!holds_pattern(maps[i] + 2 * PAGE + 9, 0, PAGE) || maps[i][0] != (i ? 0 : 'k'))
            return 5;
    }
    return 0;
}

static void kernel_stores(void)
{
    volatile char *maps[2] = {map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                              map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};

    close(pattern_file("source", 2 * PAGE));
    memset((char *)maps[0], 'k', 4 * PAGE);
    EXITS(read_into, maps, 0, "pipe reads and read() go into copy-on-write and untouched pages");
    CHECK(maps[0][PAGE] == 'k' && maps[0][2 * PAGE + 9] == 'k' && is_zero(maps[1], 4 * PAGE),
          "and leave the parent's pages as they were");
    unmap(maps[0], 4 * PAGE);
    unmap(maps[1], 4 * PAGE);
}

static void bad_pointers(void)
{
    volatile char *read_only = map(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = reopen("source", O_RDWR);
    const struct {
        void *at;
        const char *what;
    } bad[] = {{NULL, "null"},
               {(void *)8, "low"},
               {(void *)read_only, "read-only"},
               {(void *)0xffffffff80200000, "kernel"},
               {(void *)0x0100000000000000, "non-canonical"},
               {(void *)-1, "last"}};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        FAILS(read(fd, bad[i].at, 10), EFAULT, "read() to a %s pointer is EFAULT", bad[i].what);
    FAILS(write(fd, (void *)0xffffffff80200000, 10), EFAULT, "write() from a kernel pointer is EFAULT");
    IS(pwrite(fd, (void *)read_only, 10, 0), 10, "write() from read-only memory is fine");
    unmap(read_only, PAGE);
    FAILS(write(fd, (void *)read_only, 10), EFAULT, "write() from unmapped memory is EFAULT");
    FAILS(open((void *)read_only, O_RDONLY), EFAULT, "a path at an unmapped address is EFAULT");
    close(fd);
}

static void protections(void)
{
    static const unsigned instructions[] = {0x00008067}; /* ret */
    volatile char *at = map(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    DIES(load, at, SIGSEGV, SEGV_ACCERR, at, "a load from PROT_NONE is SEGV_ACCERR");
    NEED(mprotect((void *)at, PAGE, PROT_READ | PROT_WRITE));
    memcpy((char *)at, instructions, sizeof(instructions));
    DIES(jump, at, SIGSEGV, SEGV_ACCERR, at, "a jump into memory without PROT_EXEC is SEGV_ACCERR");
    NEED(mprotect((void *)at, PAGE, PROT_READ | PROT_EXEC));
    EXITS(jump, at, 0, "code stored before mprotect(PROT_EXEC) runs");
    unmap(at, PAGE);
    DIES(jump, at, SIGSEGV, SEGV_MAPERR, at, "a jump into nothing is SEGV_MAPERR");
    DIES(load, NULL, SIGSEGV, SEGV_MAPERR, NULL, "a load through a null pointer is SEGV_MAPERR at 0");
}

static void synced(void)
{
    char back[4] = "";
    int fd = pattern_file("synced", 2 * PAGE);
    volatile char *at = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    at[PAGE + 1] = 'S';
    OKAY(msync((void *)at, 2 * PAGE, MS_SYNC), "msync");
    CHECK(at[PAGE + 1] == 'S' && pread(fd, back, 1, PAGE + 1) == 1 && back[0] == 'S', "the store is in the file");
    at[PAGE + 1] = 'T';
    OKAY(msync((void *)at, 2 * PAGE, MS_ASYNC), "msync after another store to a page already clean");
    OKAY(fsync(fd), "fsync");
    CHECK(pread(fd, back, 1, PAGE + 1) == 1 && back[0] == 'T', "that store is in the file too");
    unmap(at, 2 * PAGE);
    close(fd);
}

static void body(void)
{
    private_read_only();
    private_writable();
    shared_needs_write();
    shared_partial();
    past_the_end();
    truncated_private();
    two_files();
    lazy();
    forked();
    unrelated();
    coherent();
    partial_unmaps();
    sparse();
    fork_with_much();
    nested_forks();
    kernel_stores();
    bad_pointers();
    protections();
    synced();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
