/*
 * Calls on memory, in an arena of 48 pages: mmap and its family, segments of System V, other ways to look at pages.
 * The set "mapped" mixes them with calls on files.
 *
 * The digest tells of each page whether the kernel can read and write it for us, its first byte, and what
 * /proc/self/smaps says of it. Addresses are told as A+OFFSET.
 */
#include "differ.h"
#include "memory.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/uio.h>

/* Descriptors of ours, above those that calls draw. */
enum { PROBE_READ = 200, PROBE_WRITE, PAGEMAP, SELF };

static int in_arena(unsigned long address) { return address - ARENA < ARENA_PAGES * PAGE; }

/* --- Arguments --- */

static void tell_address(unsigned long address)
{
    if (in_arena(address))
        tell(" A+%lx", address - ARENA);
    else
        tell(" 0x%lx", address);
}

long address(void)
{
    static const long far[] = {-4096, -4096, 0, 1L << 62};
    unsigned long drawn = ARENA + draw(ARENA_PAGES) * PAGE;

    if (chance(16))
        drawn += 1 + draw(PAGE - 1);
    if (chance(50))
        drawn = (unsigned long)draw_of(far, COUNT(far));
    tell_address(drawn);
    return (long)drawn;
}

/* Never at 0, where programs that are not root could not map; this one could. */
static long fixed_address(void)
{
    long drawn = address();

    return drawn ? drawn : (long)ARENA;
}

long length(void)
{
    unsigned long drawn = (1 + draw(8)) * PAGE;

    if (chance(10))
        drawn = draw(3) ? draw(20000) : draw(2) ? 0 : -1ul - draw(2) * (PAGE - 1);
    tell(" %lx", drawn);
    return (long)drawn;
}

static long old_length(void) { return chance(8) ? 0 : length(); }

#define ADDRESS FROM(address)
#define LENGTH FROM(length)
#define PROTECTION ONE_OF(0, 1, 1, 3, 3, 3, 5, 7, 2, 4, 8, 0x10, 3 | 0x01000000, 3 | 0x02000000)

void tell_where(long result)
{
    if (result == -1)
        tell_result(-1);
    else if (in_arena((unsigned long)result))
        tell(" = A+%lx", (unsigned long)result - ARENA);
    else
        tell(" = elsewhere");
}

/* --- Calls --- */

static void run_mmap(void)
{
    static const long kinds[] = {0x22,   0x22,   0x22,   0x21, 0x02,   0x01, 0x03,    0x20,    0x23,
                                 0x8022, 0x4022, 0x2022, 0x22, 0x1022, 0,    0x40022, 0x20022, 0x80003};
    unsigned long start = (unsigned long)fixed_address(), bytes = (unsigned long)length();
    long protection = DRAW_OF(0, 1, 1, 3, 3, 3, 5, 7, 2, 4, 8, 3 | 0x01000000);
    long flags = draw_of(kinds, COUNT(kinds)), offset;
    int fd;
    void *where;

    if (!chance(20))
        flags |= draw(3) ? MAP_FIXED : MAP_FIXED_NOREPLACE;
    tell(" 0x%lx", flags);
    fd = (flags & MAP_ANONYMOUS) && draw(4) ? -1 : (int)descriptor();
    offset = draw(6) ? (long)(draw(4) * PAGE) : (long)draw(2) * 100 - (long)draw(2) * (long)PAGE;
    tell(" %ld", offset);
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        tell_where(syscall(SYS_mmap, start, bytes, protection, flags, fd, offset));
        return;
    }
    where = (void *)syscall(SYS_mmap, NULL, bytes, protection, flags, fd, offset);
    if (where == MAP_FAILED) {
        tell_result(-1);
        return;
    }
    tell(" = elsewhere");
    munmap(where, bytes);
}

/* What is moved out of the arena goes. */
static void show_moved(long result, const long *arguments)
{
    if (result != -1 && !in_arena((unsigned long)result) && arguments[2])
        munmap((void *)result, (size_t)arguments[2]);
}

static void run_mremap(void)
{
    long a[5], result;

    a[0] = address();
    a[1] = old_length();
    a[2] = length();
    a[3] = DRAW_OF(0, 1, 1, 1, 3, 3, 3, 5, 7, 2, 4, 8);
    a[4] = fixed_address();
    result = syscall(SYS_mremap, a[0], a[1], a[2], a[3], a[4]);
    tell_where(result);
    show_moved(result, a);
}

/* A byte of a page by way of a pipe: the kernel's answer is EFAULT where ours would be a signal. */
int byte_at(const void *page)
{
    unsigned char byte;

    if (write(PROBE_WRITE, page, 1) != 1)
        return -1;
    return read(PROBE_READ, &byte, 1) == 1 ? byte : -2;
}

int store_at(void *page, char byte)
{
    if (write(PROBE_WRITE, &byte, 1) != 1)
        return 0;
    if (read(PROBE_READ, page, 1) == 1)
        return 1;
    if (read(PROBE_READ, &byte, 1) != 1)
        _exit(8);
    return 0;
}

static void run_store(void)
{
    char *page = (char *)ARENA + draw(ARENA_PAGES) * PAGE;

    tell_address((unsigned long)page);
    tell_result(store_at(page, (char)draw(255)));
}

static void run_load(void)
{
    char *page = (char *)ARENA + draw(ARENA_PAGES) * PAGE;

    tell_address((unsigned long)page);
    tell_result(byte_at(page));
}

static long mincore_vector(void)
{
    memset(buffer, 0, 64);
    return in_buffer();
}

static struct iovec ranges[2];
static long two_ranges(void)
{
    ranges[0].iov_base = (void *)address();
    ranges[0].iov_len = (size_t)length();
    ranges[1].iov_base = (void *)address();
    ranges[1].iov_len = 100;
    return (long)ranges;
}

static void run_process_vm(void)
{
    static char bytes[PAGE];
    struct iovec local = {bytes, sizeof(bytes)};
    long number = chance(2) ? SYS_process_vm_readv : SYS_process_vm_writev, remote = two_ranges();
    long count = DRAW_OF(1, 2, 0, 1025), flags = DRAW_OF(0, 0, 0, 1);

    tell(number == SYS_process_vm_readv ? " read" : " write");
    memset(bytes, 'v', sizeof(bytes));
    tell_result(syscall(number, getpid(), &local, 1, remote, count, flags));
    if (number == SYS_process_vm_readv)
        tell(" #%lx", sum_of(bytes, sizeof(bytes)));
}

static void run_brk(void)
{
    char *now = sbrk(0);
    long by = DRAW_OF(0, 4096, 1, 100000);

    tell(" = +%ld", syscall(SYS_brk, now + by) - (long)now);
    syscall(SYS_brk, now);
}

static void run_mseal(void)
{
    long start = address(), bytes = length(), flags = DRAW_OF(0, 0, 1);

    if (draw(5)) /* what is sealed stays as it is: rarely */
        flags |= 2;
    tell_result(syscall(SYS_mseal, start, bytes, flags));
}

static void run_mlockall(void)
{
    long flags = DRAW_OF(0, 1, 2, 3, 4, 5, 8);

    tell_result(mlockall((int)flags));
    munlockall();
}

/* --- Other ways to look at pages --- */

#define BIT(n) (1ul << (n))
/* Soft-dirty bits, which Linux has not got on riscv64, and frames are left out. */
#define PAGEMAP_BITS (BIT(63) | BIT(62) | BIT(61) | BIT(57) | BIT(56))

/* How far around a fault the kernel maps pages of files is its own affair: all that can be are mapped. */
static void touch_arena(void)
{
    for (unsigned i = 0; i < ARENA_PAGES; i++) {
        const volatile char *page = (char *)ARENA + i * PAGE;

        if (byte_at((const char *)page) >= 0)
            (void)*page; /* the kernel may have read the file's page without mapping it */
    }
}

static void run_pagemap(void)
{
    unsigned page = draw(ARENA_PAGES - 8);
    uint64_t entries[8] = {0};
    long result;

    touch_arena();
    result = pread(PAGEMAP, entries, sizeof(entries), (off_t)((ARENA / PAGE + page) * sizeof(uint64_t)));
    tell_address(ARENA + page * PAGE);
    tell_result(result);
    for (int i = 0; i < 8; i++)
        tell(" %lx", (entries[i] & PAGEMAP_BITS) >> 56);
}

struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};
#define SCAN 0xc0606610

struct scan_region {
    uint64_t start, end, categories;
};

static void run_pagemap_scan(void)
{
    struct scan_region regions[8] = {{0}};
    struct scan s = {.size = sizeof(s)};
    long result;

    s.start = (uint64_t)address();
    s.end = s.start + (uint64_t)length();
    s.flags = (uint64_t)DRAW_OF(0, 0, 0, 1, 2, 3, 4);
    s.vec = chance(8) ? 0 : (uint64_t)regions;
    s.vec_len = (uint64_t)DRAW_OF(8, 8, 1, 0);
    s.max_pages = (uint64_t)DRAW_OF(0, 0, 1, 3);
    s.inverted = (uint64_t)DRAW_OF(0, 0, 4, 0x200);
    s.mask = (uint64_t)DRAW_OF(0, 0, 1, 2, 4, 8, 0x10, 0x100);
    s.anyof = (uint64_t)DRAW_OF(0, 0x1f, 8);
    s.returned = (uint64_t)DRAW_OF(0x3f, 0x7f, 2, 8);
    tell("%s", s.vec ? "" : " null");
    touch_arena();
    result = syscall(SYS_ioctl, PAGEMAP, SCAN, &s);
    tell_result(result);
    for (long i = 0; i < result && i < 8; i++)
        tell(" %lx-%lx:%lx", regions[i].start - ARENA, regions[i].end - ARENA, regions[i].categories);
    if (result >= 0)
        tell(" to %lx", s.walk_end - ARENA);
}

static void run_clear_refs(void)
{
    char digit = (char)('0' + DRAW_OF(1, 2, 3, 6, 0));
    int fd = open("/proc/self/clear_refs", O_WRONLY);

    tell_result(write(fd, &digit, 1));
    close(fd);
}

/* --- Segments of System V --- */

static int segments[2] = {-1, -1};

static long segment(void)
{
    unsigned drawn = draw(8);

    tell(" segment%u", drawn % 3);
    return drawn % 3 == 2 ? -1 : segments[drawn % 3];
}

static void run_shmat(void)
{
    long id = segment(), where = address(),
         flags = DRAW_OF(0, SHM_RDONLY, SHM_REMAP, SHM_REMAP, SHM_RND, SHM_REMAP | SHM_RND, SHM_EXEC | SHM_REMAP, 1);
    long result = syscall(SYS_shmat, id, where, flags);

    tell_where(result);
    if (result != -1 && !in_arena((unsigned long)result))
        shmdt((void *)result);
}

static void run_shmctl(void)
{
    struct shmid_ds ds = {0};
    long id = segment(), command = DRAW_OF(IPC_STAT, SHM_LOCK, SHM_UNLOCK, IPC_SET, 999), result;

    ds.shm_perm.mode = 0600;
    result = syscall(SYS_shmctl, id, command, &ds);
    tell_result(result);
    if (result == 0 && command == IPC_STAT)
        tell(" %zu mode %o", ds.shm_segsz, ds.shm_perm.mode); /* Linux counts a mapping that is split as two */
}

/* --- The digest --- */

/* Tells words with counts of how often each comes. */
static void tell_runs(char words[][80], unsigned count)
{
    for (unsigned i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && !strcmp(words[i], words[i + n]); n++)
            ;
        tell(n > 1 ? " %u*%s" : " %.0u%s", n > 1 ? n : 0, words[i]);
    }
}

/*
 * Flags of smaps that are left out: "sd" is not on riscv64, "mg" is of KSM, which Quire does not need, and "ac" tells
 * how a range came to be writable rather than what it is.
 */
static void put_flags(char *words, char *flags)
{
    for (char *flag = strtok(flags, " \n"); flag; flag = strtok(NULL, " \n"))
        if (strcmp(flag, "sd") && strcmp(flag, "mg") && strcmp(flag, "ac") && strlen(words) < 60) {
            strcat(words, ",");
            strcat(words, flag);
        }
}

static void tell_maps(void)
{
    static char words[ARENA_PAGES][80], text[500];
    unsigned long start = 0, end = 0, offset = 0;
    char protection[8] = "";
    int has_file = 0;
    FILE *smaps = fopen("/proc/self/smaps", "r");

    for (unsigned i = 0; i < ARENA_PAGES; i++)
        strcpy(words[i], "-");
    while (fgets(text, sizeof(text), smaps)) {
        unsigned long from, to;
        char flags[80] = "";

        if (sscanf(text, "%lx-%lx %7s %lx", &from, &to, protection, &offset) == 4) {
            start = from;
            end = to;
            has_file = strchr(text, '/') != NULL;
        }
        if (strncmp(text, "VmFlags:", 8) || !in_arena(start))
            continue;
        put_flags(flags, text + 8);
        for (unsigned long page = start; page < end && in_arena(page); page += PAGE)
            snprintf(words[(page - ARENA) / PAGE], sizeof(words[0]), "%s@%lx%.60s", protection,
                     has_file ? offset + page - start : 0, flags);
    }
    fclose(smaps);
    tell_runs(words, ARENA_PAGES);
}

void tell_arena(void)
{
    static char words[ARENA_PAGES][80];

    for (unsigned i = 0; i < ARENA_PAGES; i++) {
        char *page = (char *)ARENA + i * PAGE;
        int byte = byte_at(page);

        snprintf(words[i], sizeof(words[i]), "%d%s", byte, store_at(page, byte < 0 ? 0 : (char)byte) ? "w" : "");
    }
    tell_runs(words, ARENA_PAGES);
    tell_maps();
}

/* --- The table --- */

static const struct call calls[] = {
    RUN(mmap, 5),
    CALL(munmap, 2, FROM(fixed_address), LENGTH),
    CALL(mprotect, 4, ADDRESS, LENGTH, PROTECTION),
    RUN(mremap, 4),
    CALL(madvise, 4, ADDRESS, LENGTH,
         ONE_OF(0, 1, 2, 3, 4, 4, 4, 8, 9, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 5,
                102, 103)),
    CALL(process_madvise, 1, ONE_OF(SELF, SELF, SELF, -1, 12), FROM(two_ranges), ONE_OF(1, 2, 0, 1025),
         ONE_OF(20, 21, 3, 25, 4, 8, 9, 99), ONE_OF(0, 0, 0, 1)),
    CALL(msync, 1, ADDRESS, LENGTH, ONE_OF(0, 1, 2, 4, 5, 6, 3, 7, 8)),
    CALL(mincore, 1, ADDRESS, LENGTH, FROM(mincore_vector)),
    CALL(mlock, 1, ADDRESS, LENGTH),
    CALL(mlock2, 1, ADDRESS, LENGTH, ONE_OF(0, 1, 2)),
    CALL(munlock, 1, ADDRESS, LENGTH),
    RUN(mlockall, 1),
    CALL(remap_file_pages, 1, ADDRESS, LENGTH, ONE_OF(0, 0, 0, 1), ONE_OF(0, 1, 2, 3, 4, -1),
         ONE_OF(0, 0, 0x10000, 0x2000)),
    RUN(store, 4),
    RUN(load, 1),
    RUN(process_vm, 1),
    RUN(brk, 1),
    RUN(mseal, 1),
    RUN(pagemap, 1),
    RUN(pagemap_scan, 1),
    RUN(clear_refs, 1),
    RUN(shmat, 1),
    CALL(shmdt, 1, ADDRESS),
    RUN(shmctl, 1),
    CALL(ftruncate, 1, ONE_OF(10, 17), ONE_OF(0, 4096, 10000, 20000, 5000)),
    CALL(fcntl, 1, ONE_OF(17, 17, 20), ONE_OF(F_ADD_SEALS, F_GET_SEALS),
         ONE_OF(0, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_FUTURE_WRITE, F_SEAL_WRITE, 0x20, 64)),
    CALL(fallocate, 1, ONE_OF(10, 17), ONE_OF(0, 1, 3), ONE_OF(0, 4096, 100, 8192), ONE_OF(4096, 100, 8192)),
};

/* --- The sets --- */

void make_arena(void)
{
    int ends[2];
    void *arena = (void *)ARENA;

    make_files();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGIO, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (pipe2(ends, O_NONBLOCK))
        _exit(8);
    keep_at(ends[0], PROBE_READ);
    keep_at(ends[1], PROBE_WRITE);
    keep_at(open("/proc/self/pagemap", O_RDONLY), PAGEMAP);
    keep_at((int)syscall(SYS_pidfd_open, getpid(), 0), SELF);
    segments[0] = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
    segments[1] = shmget(IPC_PRIVATE, 100, IPC_CREAT | 0600);
    shmctl(segments[1], IPC_RMID, NULL); /* goes with its last attachment */
    mmap(arena, 16 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap(arena + 16 * PAGE, 4 * PAGE, 3, MAP_SHARED | MAP_FIXED, 10, 0);
    mmap(arena + 20 * PAGE, 4 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap(arena + 24 * PAGE, 3 * PAGE, 1, MAP_PRIVATE | MAP_FIXED, 15, 0);
    mmap(arena + 27 * PAGE, 5 * PAGE, 3, MAP_SHARED | MAP_FIXED, 17, 0);
    shmat(segments[0], arena + 32 * PAGE, SHM_REMAP);
}

void detach_segments(void)
{
    shmdt((char *)ARENA + 32 * PAGE);
    forget_arena();
    segments[0] = segments[1] = -1;
}

void forget_arena(void) { shmctl(segments[0], IPC_RMID, NULL); }

const struct set memory_set = {"memory", calls, COUNT(calls), make_arena, tell_arena, forget_arena, NULL};
const struct set mapped_set = {"mapped", calls, COUNT(calls), make_arena, tell_arena, forget_arena, &files_set};
