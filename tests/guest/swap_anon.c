/*
 * Private memory whose bytes are elsewhere (MADV_PAGEOUT, or because there is more of it than memory): it comes back
 * whole, also when it was shared by fork, protected, moved, locked or unmapped meanwhile, or read by others. What is
 * four times the machine's memory fits when it compresses; that is for small machines. Source: madvise(2).
 */
#include "tap.h"

#include <pthread.h>
#include <sys/uio.h>

#define SMALL_MACHINE (300UL << 20)
#define WORDS (PAGE / 8)

static size_t memory;

/* Page I of ROUND: mostly one word, a few others in between, so that each compresses to a few dozen bytes. */
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
                if (wrong++ == 0)
                    diag("page %zu word %zu: %#llx", i, w, (unsigned long long)at[i * WORDS + w]);
                break;
            }
    return wrong;
}

static void four_times(void)
{
    size_t pages = 4 * memory / PAGE;
    uint64_t *at = (uint64_t *)NEED(
        (long)mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));

    fill(at, 0, pages, 1);
    CHECK(wrong_pages(at, 0, pages, 1) == 0, "%zu MiB in a machine of %zu MiB keep every byte", pages / 256,
          memory >> 20);
    fill(at, pages / 2, pages / 2, 2);
    CHECK(wrong_pages(at, 0, pages / 2, 1) == 0 && wrong_pages(at, pages / 2, pages - pages / 2, 2) == 0,
          "and so when half of it is written again");
    NEED(munmap(at, pages * PAGE));
}

/* ---- what happens to pages that are elsewhere ---- */

#define N 600 /* more than one page table has */

static int has_store(void) { return access("/proc/quire", R_OK) == 0; }

static size_t in_core(void *at, size_t pages)
{
    unsigned char *vec = malloc(pages);
    size_t n = 0;

    NEED(mincore(at, pages * PAGE, vec));
    for (size_t i = 0; i < pages; i++)
        n += vec[i] & 1;
    free(vec);
    return n;
}

/* N pages, filled, and sent away. */
static uint64_t *paged_out(unsigned round)
{
    uint64_t *at = anon(N * PAGE, PROT_READ | PROT_WRITE);

    fill(at, 0, N, round);
    NEED(madvise(at, N * PAGE, MADV_COLD));
    NEED(madvise(at, N * PAGE, MADV_PAGEOUT));
    return at;
}

static void advice(void)
{
    uint64_t *at = paged_out(1);
    long swapped = proc_value("/proc/self/status", "VmSwap");

    if (has_store()) {
        CHECK(in_core(at, N) == 0, "MADV_PAGEOUT: nothing is in core");
        CHECK(swapped >= N * 4 && swapped < N * 4 + 400, "VmSwap: %ld KiB", swapped);
    }
    CHECK(wrong_pages(at, 0, N / 2, 1) == 0, "half of it is read again");
    if (has_store())
        CHECK(in_core(at, N) == N / 2, "and in core: %zu pages", in_core(at, N));
    OKAY(madvise(at, N * PAGE, MADV_DONTNEED), "MADV_DONTNEED");
    CHECK(at[0] == 0 && at[(N - 1) * WORDS] == 0, "leaves zeros");
    NEED(munmap(at, N * PAGE));
}

static int reads(void *at) { return (int)*(volatile uint64_t *)at & 0; }

static void protected_and_moved(void)
{
    uint64_t *at = paged_out(2), *to = anon(2 * N * PAGE, PROT_NONE);

    OKAY(mprotect(at, N * PAGE, PROT_NONE), "PROT_NONE over pages that are elsewhere");
    DIES(reads, at + 100 * WORDS, SIGSEGV, SEGV_ACCERR, at + 100 * WORDS, "no access");
    OKAY(mprotect(at, N * PAGE, PROT_READ), "PROT_READ");
    CHECK(wrong_pages(at, 0, 50, 2) == 0, "the bytes are there");
    OKAY(mprotect(at + 50 * WORDS, PAGE, PROT_READ | PROT_WRITE), "one is made writable");
    at[50 * WORDS] = 77;
    OKAY(mprotect(at, N * PAGE, PROT_READ | PROT_WRITE), "all are, which makes one mapping of them again");
    at = (uint64_t *)NEED((long)mremap(at, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 512 * WORDS));
    CHECK(at[50 * WORDS] == 77 && wrong_pages(at, 0, 50, 2) == 0 && wrong_pages(at, 51, N - 51, 2) == 0,
          "moved, the rest comes back where it went");
    NEED(munmap(at, N * PAGE));
    at = paged_out(3);
    NEED(mprotect(at, N * PAGE, PROT_NONE));
    NEED(madvise(at, N * PAGE, MADV_PAGEOUT));
    NEED(munmap(at + 10 * WORDS, 20 * PAGE));
    NEED(mprotect(at, 10 * PAGE, PROT_READ));
    CHECK(wrong_pages(at, 0, 10, 3) == 0, "PROT_NONE pages that went away come back");
    NEED(munmap(at, N * PAGE));
}

static int child_of(uint64_t *at, unsigned round)
{
    if (wrong_pages(at, 0, N, 4) != 0)
        return 1;
    fill(at, 0, N / 2, round);
    NEED(madvise(at, N * PAGE, MADV_PAGEOUT));
    return wrong_pages(at, 0, N / 2, round) != 0 || wrong_pages(at, N / 2, N - N / 2, 4) != 0;
}

static void forked(void)
{
    uint64_t *at = paged_out(4);
    int good = 1, status;

    for (unsigned i = 0; i < 5; i++) {
        if (NEED(fork()) == 0)
            _exit(child_of(at, 10 + i));
        if (i % 2)
            NEED(madvise(at, N * PAGE, MADV_PAGEOUT));
        good &= wrong_pages(at, i * 100, 100, 4) == 0;
    }
    for (unsigned i = 0; i < 5; i++) {
        NEED(wait(&status));
        good &= status == 0;
    }
    CHECK(good && wrong_pages(at, 0, N, 4) == 0, "five children change their copies of pages that are elsewhere");
    NEED(munmap(at, N * PAGE));
}

static int reads_other(void *argument)
{
    static uint64_t page[WORDS];
    uint64_t *at = argument;
    struct iovec local = {page, PAGE}, remote = {at + 5 * WORDS, PAGE};
    char name[64];
    int fd;

    snprintf(name, sizeof(name), "/proc/%d/mem", getppid());
    fd = open(name, O_RDONLY);
    if (process_vm_readv(getppid(), &local, 1, &remote, 1, 0) != PAGE || page[0] != word_at(5, 0, 6))
        return 1;
    return fd < 0 || pread(fd, page, PAGE, (off_t)(uintptr_t)(at + 6 * WORDS)) != PAGE || page[3] != word_at(6, 3, 6);
}

static void from_elsewhere(void)
{
    uint64_t *at = paged_out(6);
    int ends[2];

    EXITS(reads_other, at, 0, "another process reads it");
    NEED(pipe(ends));
    CHECK(write(ends[1], at + 7 * WORDS, 4096) == 4096 && read(ends[0], at + 8 * WORDS, 4096) == 4096 &&
              at[8 * WORDS + 5] == word_at(7, 5, 6),
          "system calls do");
    close(ends[0]);
    close(ends[1]);
    NEED(munmap(at, N * PAGE));
}

static volatile int stop;

/* Somebody who waits to change the space's mappings, nearly all the time. */
static void *mapper(void *unused UNUSED)
{
    while (!stop)
        munmap(anon(PAGE, PROT_READ), PAGE);
    return NULL;
}

static void locked(void)
{
    uint64_t *at = paged_out(7);
    pthread_t thread;

    OKAY(mlock(at, 100 * PAGE), "mlock");
    CHECK(in_core(at, 100) == 100, "brings it in");
    FAILS(madvise(at, N * PAGE, MADV_PAGEOUT), EINVAL, "MADV_PAGEOUT of locked memory");
    if (memory <= SMALL_MACHINE) {
        pthread_create(&thread, NULL, mapper, NULL);
        four_times();
        stop = 1;
        pthread_join(thread, NULL);
        stop = 0;
    }
    CHECK(in_core(at, 100) == 100, "it stays");
    OKAY(munlock(at, 100 * PAGE), "munlock");
    OKAY(madvise(at, N * PAGE, MADV_PAGEOUT), "MADV_PAGEOUT");
    CHECK(wrong_pages(at, 0, N, 7) == 0, "and it is as it was");
    NEED(munmap(at, N * PAGE));
}

/* Threads and children use the same pages while they are sent away again and again. */
static void *pager(void *at)
{
    while (!stop)
        madvise(at, N * PAGE, MADV_PAGEOUT);
    return NULL;
}

static void *user(void *argument)
{
    uint64_t *at = argument;
    size_t wrong = 0;

    for (unsigned round = 0; round < 30; round++) {
        fill(at, 0, 40, 100 + round);
        wrong += wrong_pages(at, 0, 40, 100 + round);
    }
    return (void *)wrong;
}

static void raced(void)
{
    uint64_t *at = anon(N * PAGE, PROT_READ | PROT_WRITE);
    pthread_t threads[4];
    size_t wrong = 0;
    int status;
    void *result;

    pthread_create(&threads[3], NULL, pager, at);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, user, at + i * 40 * WORDS);
    for (int i = 0; i < 8; i++) {
        fill(at, 200, 50, 200 + (unsigned)i);
        if (NEED(fork()) == 0)
            _exit(wrong_pages(at, 200, 50, 200 + (unsigned)i) != 0);
        NEED(wait(&status));
        wrong += status != 0;
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &result);
        wrong += (size_t)result;
    }
    stop = 1;
    pthread_join(threads[3], NULL);
    CHECK(wrong == 0, "no byte is lost while pages go as they are used");
    NEED(munmap(at, N * PAGE));
}

static void body(void)
{
    struct sysinfo info;

    NEED(sysinfo(&info));
    memory = info.totalram * info.mem_unit;
    advice();
    protected_and_moved();
    forked();
    from_elsewhere();
    locked();
    raced();
    if (memory > SMALL_MACHINE) {
        skip("more than there is memory", "this machine has too much");
        return;
    }
    four_times();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
