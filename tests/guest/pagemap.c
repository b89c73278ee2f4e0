/* /proc/PID/pagemap and clear_refs: what is there, what was written to since, who may look. */
#include "tap.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#define RW (PROT_READ | PROT_WRITE)
#define SOFT_DIRTY (1ULL << 55)
#define EXCLUSIVE (1ULL << 56)
#define FILE_PAGE (1ULL << 61)
#define PRESENT (1ULL << 63)
#define FRAME ((1ULL << 55) - 1)

static int pagemap = -1;

static uint64_t entry(const volatile void *at)
{
    uint64_t value = 0;

    NEED(pread(pagemap, &value, 8, (off_t)((uintptr_t)at / PAGE * 8)) == 8 ? 0 : -1);
    return value;
}

static int clear_refs(const char *what)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY), saved;
    ssize_t n = fd < 0 ? -1 : write(fd, what, strlen(what));

    saved = errno;
    close(fd);
    errno = saved;
    return n == (ssize_t)strlen(what) ? 0 : -1;
}

static int dirty(const volatile void *at) { return (entry(at) & SOFT_DIRTY) != 0; }

static void test_entries(void)
{
    volatile char *at = anon(8 * PAGE, RW), *shared, *file;
    char bytes[2 * PAGE] = "file";
    uint64_t several[16];
    int fd = make_file("data", bytes, sizeof(bytes)), mem = memfd_create("m", 0);

    IS(entry(at) & PRESENT, 0, "an untouched page is not present");
    at[0] = 1;
    CHECK((entry(at) & (PRESENT | FILE_PAGE)) == PRESENT, "a page that was written to is, and is anonymous");
    CHECK(entry(at) & EXCLUSIVE, "mapped here alone");
    CHECK((entry(at) & FRAME) != 0, "root sees its frame");
    (void)at[PAGE];
    CHECK((entry(at + PAGE) & (PRESENT | FILE_PAGE | EXCLUSIVE)) == PRESENT,
          "a page that was only read is that of zeros");
    at[2 * PAGE] = 1;
    mprotect((void *)(at + 2 * PAGE), PAGE, PROT_NONE);
    CHECK((entry(at + 2 * PAGE) & PRESENT) != 0, "present without any permission");
    madvise((void *)at, PAGE, MADV_DONTNEED);
    IS(entry(at) & (PRESENT | FRAME), 0, "MADV_DONTNEED takes it away");

    shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[0] = 1;
    CHECK((entry(shared) & (PRESENT | FILE_PAGE)) == (PRESENT | FILE_PAGE), "shared memory is of a file");
    file = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
    (void)file[0];
    CHECK((entry(file) & (PRESENT | FILE_PAGE)) == (PRESENT | FILE_PAGE), "a private mapping's page is the file's");
    file[0] = 1;
    CHECK((entry(file) & (PRESENT | FILE_PAGE)) == PRESENT, "until it is written to");
    NEED(ftruncate(mem, PAGE));
    shared = mmap(NULL, PAGE, RW, MAP_SHARED, mem, 0);
    file = mmap(NULL, PAGE, RW, MAP_SHARED, mem, 0);
    shared[0] = 1;
    CHECK(entry(shared) & EXCLUSIVE, "a shared page that is mapped once is exclusive");
    file[0] = 1;
    CHECK(!(entry(shared) & EXCLUSIVE), "mapped twice it is not");
    CHECK((entry(shared) & FRAME) == (entry(file) & FRAME), "both are the same frame");

    at[5 * PAGE] = 1;
    IS(pread(pagemap, several, sizeof(several), (off_t)((uintptr_t)at / PAGE * 8)), sizeof(several), "many at once");
    CHECK(!(several[4] & PRESENT) && (several[5] & PRESENT) && !(several[6] & PRESENT), "each at its place");
    munmap((void *)(at + 6 * PAGE), 2 * PAGE);
    IS(entry(at + 6 * PAGE), 0, "nothing is known of what is not mapped");
    close(fd);
    close(mem);
}

static void test_reading(void)
{
    char *at = anon(PAGE, RW);
    off_t where = (off_t)((uintptr_t)at / PAGE * 8);
    uint64_t value;

    FAILS(pread(pagemap, &value, 8, where + 1), EINVAL, "an offset that is no multiple of 8");
    FAILS(pread(pagemap, &value, 7, where), EINVAL, "a length that is none");
    IS(pread(pagemap, &value, 0, where), 0, "nothing");
    IS(pread(pagemap, &value, 8, (off_t)(1UL << 60)), 0, "past the last address");
    FAILS(syscall(SYS_pread64, pagemap, 1L, 8L, where), EFAULT, "a bad buffer");
    IS(lseek(pagemap, where, SEEK_SET), where, "lseek");
    IS(read(pagemap, &value, 8), 8, "read goes on from there");
    IS(lseek(pagemap, 0, SEEK_CUR), where + 8, "and moves the offset");
    FAILS(lseek(pagemap, 0, SEEK_END), EINVAL, "there is no end to seek from");
    FAILS(write(pagemap, &value, 8), EBADF, "it is not for writing");
}

/* Without privileges: frames are hidden; a stranger's pagemap is closed. */
static int as_nobody(void *at)
{
    int own, fd;
    uint64_t value;

    if (setgid(65534) || setuid(65534))
        return 1;
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    fd = open("/proc/1/pagemap", O_RDONLY);
    if (fd >= 0 || errno != EACCES)
        return 2;
    own = open("/proc/self/pagemap", O_RDONLY);
    if (own < 0 || pread(own, &value, 8, (off_t)((uintptr_t)at / PAGE * 8)) != 8)
        return 3;
    if (!(value & PRESENT) || (value & FRAME))
        return 4;
    if (open("/proc/1/clear_refs", O_WRONLY) >= 0 || errno != EACCES)
        return 5;
    return 0;
}

static void test_permissions(void)
{
    char *at = anon(PAGE, RW);
    struct stat st;

    at[0] = 1;
    EXITS(as_nobody, at, 0, "an ordinary user sees his own pages, without frames, and no others'");
    OKAY(stat("/proc/self/pagemap", &st), "stat");
    IS(st.st_mode & 07777, 0400, "pagemap is its owner's to read");
    OKAY(stat("/proc/self/clear_refs", &st), "stat");
    IS(st.st_mode & 07777, 0200, "clear_refs is its owner's to write");
}

/* The file is about the memory that it was opened for. */
static void test_gone(void)
{
    char name[64];
    uint64_t value;
    int fds[2], fd;
    pid_t pid;

    NEED(pipe(fds));
    pid = fork();
    if (pid == 0) {
        char byte;

        _exit(read(fds[0], &byte, 1) != 1);
    }
    snprintf(name, sizeof(name), "/proc/%d/pagemap", (int)pid);
    fd = (int)NEED(open(name, O_RDONLY));
    IS(pread(fd, &value, 8, (off_t)((uintptr_t)name / PAGE * 8)), 8, "a child's pagemap");
    NEED(write(fds[1], "", 1));
    waitpid(pid, NULL, 0);
    IS(pread(fd, &value, 8, (off_t)((uintptr_t)name / PAGE * 8)), 0, "ends when the child's memory is gone");
    close(fd);
    close(fds[0]);
    close(fds[1]);
}

static void test_clear_refs_errors(void)
{
    FAILS(clear_refs("0"), EINVAL, "clear_refs 0");
    FAILS(clear_refs("6"), EINVAL, "clear_refs 6");
    FAILS(clear_refs("-1"), EINVAL, "clear_refs -1");
    FAILS(clear_refs("x"), EINVAL, "no number");
    FAILS(clear_refs("1 1"), EINVAL, "two numbers");
    OKAY(clear_refs("1\n"), "clear_refs 1");
    OKAY(clear_refs(" 2"), "clear_refs 2");
    OKAY(clear_refs("3"), "clear_refs 3");
    FAILS(open("/proc/self/clear_refs", O_RDONLY) < 0 && geteuid() != 0 ? -1 : (errno = EACCES, -1), EACCES,
          "not read");
}

static void test_peak(void)
{
    size_t length = 4 << 20;
    char *at = anon(length, RW);
    long peak, now;

    memset(at, 1, length);
    munmap(at, length);
    peak = proc_value("/proc/self/status", "VmHWM");
    OKAY(clear_refs("5"), "clear_refs 5");
    now = proc_value("/proc/self/status", "VmHWM");
    CHECK(now < peak - 2048, "forgets the peak of resident memory: %ld, then %ld kB", peak, now);
    CHECK(now >= proc_value("/proc/self/status", "VmRSS") - 64, "and begins with what is there");
}

/* ---- soft-dirty ---- */

static int has_soft_dirty(void)
{
    volatile char *at = anon(PAGE, RW);

    at[0] = 1;
    return dirty(at);
}

static void test_soft_dirty(void)
{
    volatile char *at = anon(10 * PAGE, RW), *young, *moved;
    int written = 0, dirty_pages = 0, fd;
    char name[] = "abcdefgh";

    CHECK(dirty(at), "a new mapping is soft-dirty, untouched");
    for (int i = 0; i < 8; i++)
        at[i * PAGE] = (char)i;
    OKAY(clear_refs("4"), "clear_refs 4");
    for (int i = 0; i < 10; i++)
        dirty_pages += dirty(at + i * PAGE);
    IS(dirty_pages, 0, "nothing is soft-dirty after it");
    for (int i = 0; i < 8; i++)
        written += at[i * PAGE] == i;
    IS(written, 8, "the contents are as they were");
    IS(dirty(at + 7 * PAGE), 0, "reading changes nothing");
    at[3 * PAGE] = 1;
    CHECK(dirty(at + 3 * PAGE) && !dirty(at + 2 * PAGE) && !dirty(at + 4 * PAGE),
          "a store makes its own page soft-dirty");
    at[9 * PAGE] = 1;
    CHECK(dirty(at + 9 * PAGE), "so does the first store to an untouched page");
    (void)at[8 * PAGE];
    IS(dirty(at + 8 * PAGE), 0, "a first read does not");
    fd = (int)NEED(open("/dev/zero", O_RDONLY));
    IS(read(fd, (void *)(at + 5 * PAGE), 8), 8, "read(2) into a page");
    CHECK(dirty(at + 5 * PAGE), "makes it soft-dirty");
    close(fd);
    fd = (int)NEED(open("/proc/self/mem", O_RDWR));
    IS(pwrite(fd, name, 8, (off_t)(uintptr_t)(at + 6 * PAGE)), 8, "a store through /proc/self/mem");
    CHECK(dirty(at + 6 * PAGE), "does, too");
    mprotect((void *)at, PAGE, PROT_READ);
    IS(pwrite(fd, name, 8, (off_t)(uintptr_t)at), 8, "even one to a read-only page");
    CHECK(dirty(at), "makes it soft-dirty");
    close(fd);

    OKAY(clear_refs("4"), "clear_refs 4");
    mprotect((void *)at, 10 * PAGE, PROT_READ);
    mprotect((void *)at, 10 * PAGE, RW);
    IS(dirty(at + 3 * PAGE) + dirty(at + 9 * PAGE), 0, "mprotect to and fro makes nothing soft-dirty");
    at[3 * PAGE] = 2;
    mprotect((void *)at, 10 * PAGE, PROT_NONE);
    CHECK(dirty(at + 3 * PAGE) && !dirty(at + 4 * PAGE), "nor does it make clean");
    mprotect((void *)at, 10 * PAGE, RW);
    CHECK(dirty(at + 3 * PAGE) && !dirty(at + 4 * PAGE), "whatever it is set to");

    OKAY(clear_refs("4"), "clear_refs 4");
    munmap((void *)(at + 4 * PAGE), PAGE);
    young = mmap((void *)(at + 4 * PAGE), PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(dirty(young), "what is mapped anew is soft-dirty");
    OKAY(clear_refs("4"), "clear_refs 4");
    moved = mremap((void *)(at + 2 * PAGE), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, anon(PAGE, PROT_NONE));
    CHECK(moved != MAP_FAILED && dirty(moved), "what mremap moved is, too");
}

/* The child has what the parent has; each then has its own. */
static int child_writes(void *argument)
{
    volatile char *at = argument;
    int own = open("/proc/self/pagemap", O_RDONLY);
    uint64_t e[2];

    pagemap = own;
    at[PAGE] = 2;
    e[0] = entry(at), e[1] = entry(at + PAGE);
    if (e[0] & SOFT_DIRTY)
        return 1;
    if (!(e[1] & SOFT_DIRTY))
        return 2;
    return dirty(at + 2 * PAGE) ? 0 : 3;
}

static void test_soft_dirty_fork(void)
{
    volatile char *at = anon(3 * PAGE, RW);

    memset((void *)at, 1, 3 * PAGE);
    OKAY(clear_refs("4"), "clear_refs 4");
    at[2 * PAGE] = 3;
    EXITS(child_writes, at, 0, "a child's pages are as soft-dirty as its parent's were");
    CHECK(!dirty(at) && !dirty(at + PAGE) && dirty(at + 2 * PAGE), "the parent's stay as they were");
    at[0] = 5;
    CHECK(dirty(at), "a store after a fork is seen");
}

static void test_soft_dirty_shared(void)
{
    static char zeros[4 * PAGE];
    int fd = make_file("shared", zeros, sizeof(zeros));
    volatile char *file = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0),
                  *memory = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    for (int i = 0; i < 4; i++)
        file[i * PAGE] = memory[i * PAGE] = 1;
    OKAY(clear_refs("4"), "clear_refs 4");
    IS(dirty(file) + dirty(memory), 0, "shared pages become clean");
    file[PAGE] = memory[PAGE] = 2;
    CHECK(dirty(file + PAGE) && dirty(memory + PAGE), "and soft-dirty by stores");
    NEED(msync((void *)file, 4 * PAGE, MS_SYNC));
    CHECK(dirty(file + PAGE), "writing a file back does not take that away");
    CHECK(!dirty(file) && !dirty(memory), "the others stay clean");
    (void)file[0];
    IS(dirty(file), 0, "reading leaves it so");
    close(fd);
}

/* Stores on all harts while protections change and clear_refs runs: what changed after it is soft-dirty. */
#define RACE_PAGES 64
static volatile uint32_t *race_page[RACE_PAGES];
static volatile int race_over;

static void *race_writer(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;

    while (!race_over) {
        seed = seed * 1103515245 + 12345;
        race_page[seed >> 16 & (RACE_PAGES - 1)][(uintptr_t)argument]++;
    }
    return NULL;
}

static void *race_protector(void *argument UNUSED)
{
    while (!race_over) {
        mprotect((void *)race_page[0], RACE_PAGES * PAGE, RW | PROT_EXEC);
        mprotect((void *)race_page[0], RACE_PAGES * PAGE, RW);
    }
    return NULL;
}

static void test_soft_dirty_race(void)
{
    static char copy[RACE_PAGES * PAGE];
    char *at = anon(RACE_PAGES * PAGE, RW);
    uint64_t entries[RACE_PAGES];
    pthread_t threads[3];
    int missed = 0, found = 0;

    for (int i = 0; i < RACE_PAGES; i++)
        race_page[i] = (uint32_t *)(at + i * PAGE);
    for (int round = 0; round < 30; round++) {
        race_over = 0;
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, i < 2 ? race_writer : race_protector, (void *)(uintptr_t)(i + 1));
        sleep_ms(1);
        NEED(clear_refs("4"));
        memcpy(copy, at, sizeof(copy));
        sleep_ms(3);
        race_over = 1;
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        NEED(pread(pagemap, entries, sizeof(entries), (off_t)((uintptr_t)at / PAGE * 8)));
        for (int i = 0; i < RACE_PAGES; i++) {
            found += (entries[i] & SOFT_DIRTY) != 0;
            missed += !(entries[i] & SOFT_DIRTY) && memcmp(copy + i * PAGE, at + i * PAGE, PAGE);
        }
    }
    CHECK(found > 0, "stores are found while others change protections");
    IS(missed, 0, "and none is missed");
}

static void body(void)
{
    pagemap = (int)NEED(open("/proc/self/pagemap", O_RDONLY));
    test_entries();
    test_reading();
    test_permissions();
    test_gone();
    test_clear_refs_errors();
    test_peak();
    if (!has_soft_dirty()) {
        skip("soft-dirty", "this kernel does not track it");
        return;
    }
    test_soft_dirty();
    test_soft_dirty_fork();
    test_soft_dirty_shared();
    test_soft_dirty_race();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
