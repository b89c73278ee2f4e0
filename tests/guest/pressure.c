/*
 * More is asked for than there is memory: files twice as large are written, read, mapped and stored to, and come back
 * whole; anonymous memory without end costs its owner's life and nobody else's. For small machines; on others it is
 * skipped, for it would take long. Source: mmap(2), proc(5) (oom_score_adj), the design's rule that the largest process
 * dies and the kernel never does.
 */
#include "tap.h"

#include <pthread.h>
#include <sys/statvfs.h>

#define SMALL_MACHINE (300UL << 20)

static size_t memory;

static uint64_t word_at(size_t page, unsigned round) { return page * 0x9e3779b97f4a7c15u + round; }

static int write_pages(int fd, size_t pages, unsigned round)
{
    static uint64_t block[16][PAGE / 8];

    for (size_t i = 0; i < pages; i += 16) {
        for (size_t k = 0; k < 16; k++)
            for (size_t w = 0; w < PAGE / 8; w += 64)
                block[k][w] = word_at(i + k, round);
        if (pwrite(fd, block, sizeof(block), (off_t)(i * PAGE)) != sizeof(block))
            return 0;
    }
    return 1;
}

static int file_holds(int fd, size_t pages, unsigned round)
{
    static uint64_t block[16][PAGE / 8];

    for (size_t i = 0; i < pages; i += 16) {
        if (pread(fd, block, sizeof(block), (off_t)(i * PAGE)) != sizeof(block))
            return 0;
        for (size_t k = 0; k < 16; k++)
            for (size_t w = 0; w < PAGE / 8; w += 64)
                if (block[k][w] != word_at(i + k, round))
                    return 0;
    }
    return 1;
}

static void large_file(size_t pages)
{
    int fd = make_file("large", "", 0), good = 1;
    volatile uint64_t *at;

    CHECK(write_pages(fd, pages, 1), "a file of %zu MiB is written in %zu MiB of memory", pages / 256, memory >> 20);
    CHECK(file_holds(fd, pages, 1), "and read back");
    at = (volatile uint64_t *)NEED((long)mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    for (size_t i = 0; i < pages; i++)
        good &= at[i * (PAGE / 8)] == word_at(i, 1);
    CHECK(good, "its mapping shows the same");
    for (size_t i = 0; i < pages; i++)
        for (size_t w = 0; w < PAGE / 8; w += 64)
            at[i * (PAGE / 8) + w] = word_at(i, 2);
    for (size_t i = 0; i < pages; i++)
        good &= at[i * (PAGE / 8)] == word_at(i, 2);
    CHECK(good, "stores to all of it are kept");
    NEED(munmap((void *)at, pages * PAGE));
    CHECK(file_holds(fd, pages, 2), "and are in the file");
    OKAY(fsync(fd), "fsync");
    close(fd);
    NEED(unlink("large"));
}

/* Private memory of half the machine stays while files push through the cache. */
static void anonymous_beside_files(size_t pages)
{
    size_t own = memory / 3 / PAGE;
    uint64_t *at = anon(own * PAGE, PROT_READ | PROT_WRITE);
    int fd = make_file("beside", "", 0), good = 1;

    for (size_t i = 0; i < own; i++)
        at[i * (PAGE / 8)] = word_at(i, 3);
    good = write_pages(fd, pages, 4) && file_holds(fd, pages, 4);
    CHECK(good, "a large file beside a third of the memory in use");
    for (size_t i = 0; i < own; i++)
        good &= at[i * (PAGE / 8)] == word_at(i, 3);
    CHECK(good, "which keeps its contents");
    NEED(munmap(at, own * PAGE));
    close(fd);
    NEED(unlink("beside"));
}

static int eat_everything(void *unused UNUSED)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);

    if (fd >= 0 && write(fd, "1000", 4) != 4) /* on any kernel: this one first */
        return 1;
    for (;;) {
        size_t length = 8 << 20;
        char *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (at == MAP_FAILED)
            return 50;
        for (size_t i = 0; i < length; i += PAGE)
            *(uint64_t *)(at + i) = i * 0x9e3779b97f4a7c15u; /* nothing that compresses to nothing */
    }
}

static void *eat_in_thread(void *unused) { exit(eat_everything(unused)); }

/* The first thread ends; what is left of the process is as large as before. */
static int eat_without_leader(void *unused UNUSED)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, eat_in_thread, NULL) != 0)
        return 1;
    pthread_exit(NULL);
}

static int nothing_special(void *unused UNUSED) { return anon(PAGE, PROT_READ) == MAP_FAILED; }

static void out_of_memory(void)
{
    for (int round = 1; round <= 3; round++) {
        struct ending end = in_child(eat_everything, NULL);

        if (!CHECK(end.signal == SIGKILL || end.status == 50, "memory without end costs its owner's life, time %d",
                   round))
            diag("exit %d, signal %d, code %d", end.status, end.signal, end.code);
        EXITS(nothing_special, NULL, 0, "and the rest goes on");
    }
    {
        struct ending end = in_child(eat_without_leader, NULL);

        CHECK(end.signal == SIGKILL || end.status == 50, "also when its first thread has ended before");
        EXITS(nothing_special, NULL, 0, "and the rest goes on after that, too");
    }
}

/* ---- who is chosen ---- */

static void adjust(const char *adjustment)
{
    int fd = (int)NEED(open("/proc/self/oom_score_adj", O_WRONLY));

    NEED(write(fd, adjustment, strlen(adjustment)));
    close(fd);
}

/* Holds N bytes of noise until RELEASE is closed at the other end; tells by a byte that it has them. */
static pid_t holder(size_t n, const char *adjustment, int ready, const int release[2])
{
    pid_t pid = NEED(fork());
    size_t wrong = 0;
    uint64_t *at;
    char byte = 0;

    if (pid != 0)
        return pid;
    close(release[1]);
    adjust(adjustment);
    at = anon(n, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < n / 8; i++)
        at[i] = noise(i);
    NEED(write(ready, &byte, 1));
    NEED(read(release[0], &byte, 1));
    for (size_t i = 0; i < n / 8; i++)
        wrong += at[i] != noise(i);
    _exit(wrong != 0);
}

static int eat_noise(void *unused UNUSED)
{
    for (uint64_t block = 0;; block++) {
        uint64_t *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (at == MAP_FAILED)
            return 50;
        for (uint64_t i = 0; i < 1 << 17; i++)
            at[i] = noise(i + block * 1000003);
    }
}

/* The eater is smaller than the process that is protected when memory ends. */
static void the_right_one(void)
{
    int ready[2], release[2], status;
    pid_t protected, small;
    struct ending end;
    char byte;

    NEED(pipe(ready));
    NEED(pipe(release));
    protected = holder(memory / 2, "-700", ready[1], release);
    NEED(read(ready[0], &byte, 1));
    small = holder(memory / 20, "0", ready[1], release);
    NEED(read(ready[0], &byte, 1));
    end = in_child(eat_noise, NULL);
    CHECK(end.signal == SIGKILL || end.status == 50, "who eats all that is left dies of it");
    close(release[1]);
    NEED(waitpid(protected, &status, 0));
    CHECK(status == 0, "a larger one with oom_score_adj -700 does not, and keeps every byte");
    NEED(waitpid(small, &status, 0));
    CHECK(status == 0, "nor does a small one");
    close(release[0]);
    close(ready[0]);
    close(ready[1]);
}

static void body(void)
{
    struct sysinfo info;
    struct statvfs disk;
    size_t pages;

    NEED(sysinfo(&info));
    memory = info.totalram * info.mem_unit;
    if (memory > SMALL_MACHINE) {
        skip("more than there is memory", "this machine has too much");
        return;
    }
    pages = memory * 2 / PAGE & -16UL;
    NEED(statvfs(".", &disk));
    if (pages * PAGE > disk.f_bavail * disk.f_frsize / 4 * 3)
        pages = disk.f_bavail * disk.f_frsize / 4 * 3 / PAGE & -16UL;
    large_file(pages);
    anonymous_beside_files(pages);
    out_of_memory();
    the_right_one();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
