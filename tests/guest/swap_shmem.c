/*
 * Shared memory and tmpfs files beyond the machine's memory: pages go into the compressed store or to a swap file and
 * come back whole for mappings, for read and write, after truncation and holes; nothing of what was cut off returns.
 * For small machines.
 */
#include "tap.h"

#include <sys/swap.h>

#define SMALL_MACHINE (300UL << 20)
#define WORDS (PAGE / 8)

static size_t memory;

static uint64_t word_at(size_t i, size_t w, unsigned round)
{
    return w % 61 == 3 ? i * 0x9e3779b97f4a7c15u + round * 77 + w : i + round;
}

static void fill(uint64_t *at, size_t first, size_t n, unsigned round)
{
    for (size_t i = first; i < first + n; i++)
        for (size_t w = 0; w < WORDS; w++)
            at[i * WORDS + w] = word_at(i, w, round);
}

static size_t wrong_pages(const uint64_t *at, size_t first, size_t n, unsigned round)
{
    size_t wrong = 0;

    for (size_t i = first; i < first + n; i++)
        for (size_t w = 0; w < WORDS; w++)
            if (at[i * WORDS + w] != word_at(i, w, round)) {
                wrong++;
                break;
            }
    return wrong;
}

static size_t not_zero(const uint64_t *at, size_t first, size_t n)
{
    size_t wrong = 0;

    for (size_t i = first * WORDS; i < (first + n) * WORDS; i++)
        wrong += at[i] != 0;
    return wrong;
}

static void shared_by_fork(void)
{
    size_t pages = 2 * memory / PAGE;
    uint64_t *at = (uint64_t *)NEED(
        (long)mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    int status;
    pid_t pid;

    fill(at, 0, pages, 1);
    pid = NEED(fork());
    if (pid == 0) {
        if (wrong_pages(at, 0, pages, 1) != 0)
            _exit(1);
        fill(at, 0, pages / 2, 2);
        _exit(0);
    }
    NEED(waitpid(pid, &status, 0));
    CHECK(status == 0, "a child sees %zu MiB of shared memory in %zu MiB", pages / 256, memory >> 20);
    CHECK(wrong_pages(at, 0, pages / 2, 2) == 0 && wrong_pages(at, pages / 2, pages - pages / 2, 1) == 0,
          "the parent what the child changed, and the rest");
    NEED(munmap(at, pages * PAGE));
}

static void file_in_memory(void)
{
    size_t pages = 2 * memory / PAGE & -16UL, good = 1;
    static uint64_t block[16 * WORDS];
    int fd = (int)NEED(memfd_create("swap", 0));
    uint64_t *at;

    for (size_t i = 0; i < pages; i += 16) {
        for (size_t k = 0; k < 16; k++)
            for (size_t w = 0; w < WORDS; w++)
                block[k * WORDS + w] = word_at(i + k, w, 3);
        good &= pwrite(fd, block, sizeof(block), (off_t)(i * PAGE)) == sizeof(block);
    }
    for (size_t i = 0; i < pages; i += 16) {
        good &= pread(fd, block, sizeof(block), (off_t)(i * PAGE)) == sizeof(block);
        for (size_t k = 0; k < 16; k++)
            for (size_t w = 0; w < WORDS; w++)
                good &= block[k * WORDS + w] == word_at(i + k, w, 3);
    }
    CHECK(good, "a memfd of %zu MiB is written and read back", pages / 256);
    OKAY(ftruncate(fd, (off_t)(pages / 2 * PAGE + 100)), "cut in half");
    OKAY(ftruncate(fd, (off_t)(pages * PAGE)), "and made longer again");
    OKAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)(pages / 4 * PAGE)), "a hole");
    at = (uint64_t *)NEED((long)mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    CHECK(not_zero(at, 0, pages / 4) == 0, "the hole reads as zeros");
    CHECK(wrong_pages(at, pages / 4, pages / 4, 3) == 0, "what lies behind it is whole");
    CHECK(not_zero(at, pages / 2 + 1, pages / 2 - 1) == 0, "what was cut off is zeros");
    CHECK(at[pages / 2 * WORDS] == word_at(pages / 2, 0, 3) && at[pages / 2 * WORDS + 13] == 0, "to the byte");
    NEED(munmap(at, pages * PAGE));
    close(fd);
}

static int many_readers(void *argument)
{
    uint64_t *at = argument;
    size_t pages = memory / PAGE / 2;

    for (unsigned round = 0; round < 3; round++)
        if (wrong_pages(at, 0, pages, 5) != 0)
            return 1;
    return 0;
}

/* Each with private memory of its own, all with the same shared memory. */
static void many_processes(void)
{
    size_t pages = memory / PAGE / 2;
    uint64_t *at = (uint64_t *)NEED(
        (long)mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    int good = 1, status;

    fill(at, 0, pages, 5);
    for (int i = 0; i < 6; i++)
        if (NEED(fork()) == 0) {
            uint64_t *own = anon(pages / 2 * PAGE, PROT_READ | PROT_WRITE);

            fill(own, 0, pages / 2, 10 + (unsigned)i);
            _exit(many_readers(at) != 0 || wrong_pages(own, 0, pages / 2, 10 + (unsigned)i) != 0);
        }
    for (int i = 0; i < 6; i++) {
        NEED(wait(&status));
        good &= status == 0;
    }
    CHECK(good, "six processes with half the memory shared and a quarter of their own each");
    NEED(munmap(at, pages * PAGE));
}

static size_t in_core(void *at, size_t pages)
{
    unsigned char vec[256];
    size_t n = 0;

    NEED(mincore(at, pages * PAGE, vec));
    for (size_t i = 0; i < pages; i++)
        n += vec[i] & 1;
    return n;
}

/* MADV_PAGEOUT of what objects show. */
static void paged_out(void)
{
    int fd = make_file("file", "", 0), has_store = access("/proc/quire", R_OK) == 0;
    uint64_t *shared = (uint64_t *)NEED(
                 (long)mmap(NULL, 200 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
             *file;

    NEED(ftruncate(fd, 200 * PAGE));
    file = (uint64_t *)NEED((long)mmap(NULL, 200 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    fill(shared, 0, 200, 6);
    fill(file, 0, 200, 7);
    NEED(fsync(fd));
    OKAY(madvise(shared, 200 * PAGE, MADV_PAGEOUT), "MADV_PAGEOUT of shared memory");
    if (has_store)
        CHECK(in_core(shared, 200) == 0, "is in core no more: %zu pages", in_core(shared, 200));
    CHECK(wrong_pages(shared, 0, 200, 6) == 0, "and comes back");
    OKAY(madvise(file, 200 * PAGE, MADV_PAGEOUT), "MADV_PAGEOUT of a file");
    if (has_store)
        CHECK(in_core(file, 200) == 0, "is in core no more: %zu pages", in_core(file, 200));
    CHECK(wrong_pages(file, 0, 200, 7) == 0, "and comes back");
    NEED(munmap(shared, 200 * PAGE));
    NEED(munmap(file, 200 * PAGE));
    close(fd);
    NEED(unlink("file"));
}

static void body(void)
{
    struct sysinfo info;

    NEED(sysinfo(&info));
    memory = info.totalram * info.mem_unit;
    paged_out();
    if (memory > SMALL_MACHINE) {
        skip("more than there is memory", "this machine has too much");
        return;
    }
    shared_by_fork();
    file_in_memory();
    many_processes();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
