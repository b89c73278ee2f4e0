/*
 * Transparent huge pages: who gets them, what keeps them whole, what splits them, and that no byte is lost on the way.
 * Source: madvise(2), prctl(2), fork(2), Linux's admin-guide/mm/transhuge.rst, proc_pid_smaps(5).
 */
#include "huge.h"

#include <pthread.h>
#include <sys/prctl.h>

#define ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"

static char *aside; /* what anon() gave, to unmap it */

/* N huge pages' worth of aligned memory, which has no neighbour that it could be merged with. */
static volatile char *aligned(unsigned n)
{
    char *at = anon((n + 2) * HUGE, PROT_NONE);
    char *start = (char *)(((unsigned long)at + HUGE) & -HUGE);

    aside = at;
    NEED((long)mmap(start, n * HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    return start;
}

static long huge_kb(volatile void *at, size_t length) { return smaps_kb(at, length, "AnonHugePages"); }

/* Two huge pages, filled; says whether they are huge. */
static volatile char *two(int seed)
{
    volatile char *at = aligned(2);

    NEED(madvise((void *)at, 2 * HUGE, MADV_HUGEPAGE));
    fill(at, 2 * HUGE_PAGES, seed);
    return at;
}

static void done(volatile char *at)
{
    NEED(munmap((void *)at, 2 * HUGE));
    NEED(munmap(aside, 4 * HUGE));
}

static void basics(void)
{
    volatile char *at = two(1);
    unsigned char vec[2 * HUGE_PAGES];
    char byte = 0;

    IS(huge_kb(at, 2 * HUGE), 4096, "madvised memory is in huge pages when it is touched");
    IS(smaps_kb(at, 2 * HUGE, "THPeligible"), 1, "smaps says that it may be");
    CHECK(proc_value("/proc/meminfo", "AnonHugePages") >= 4096, "meminfo counts them");
    CHECK(is_filled(at, 0, 2 * HUGE_PAGES, 1), "its bytes are there");
    OKAY(mincore((void *)at, 2 * HUGE, vec), "mincore");
    CHECK(memchr(vec, 0, sizeof(vec)) == NULL, "all pages are in core");
    IS(huge_kb(at, 2 * HUGE), 4096, "to look does not split");
    int fd = NEED(open("/proc/self/mem", O_RDWR));
    CHECK(pread(fd, &byte, 1, (long)at + 77 * PAGE) == 1 && byte == at[77 * PAGE], "/proc/self/mem reads a huge page");
    byte = 'z';
    CHECK(pwrite(fd, &byte, 1, (long)at + 77 * PAGE + 5) == 1 && at[77 * PAGE + 5] == 'z', "and writes it");
    close(fd);
    int pipes[2];
    NEED(pipe(pipes));
    CHECK(write(pipes[1], (char *)at + 3 * PAGE - 10, 20) == 20 && read(pipes[0], (char *)at + HUGE - 10, 20) == 20 &&
              !memcmp((char *)at + HUGE - 10, (char *)at + 3 * PAGE - 10, 20),
          "system calls read and write across pages of it");
    close(pipes[0]);
    close(pipes[1]);
    done(at);
}

static void splits(void)
{
    volatile char *at = two(2);

    NEED(munmap((void *)(at + 100 * PAGE), 10 * PAGE));
    IS(huge_kb(at, 2 * HUGE), 2048, "munmap of a part splits one");
    CHECK(is_filled(at, 0, 100, 2) && is_filled(at, 110, 2 * HUGE_PAGES, 2), "the rest stays");
    done(at);

    at = two(3);
    NEED(mprotect((void *)(at + 5 * PAGE), PAGE, PROT_READ));
    IS(huge_kb(at, 2 * HUGE), 2048, "mprotect of a page splits one");
    CHECK(is_filled(at, 0, 2 * HUGE_PAGES, 3), "no byte changes");
    at[4 * PAGE] = 1;
    at[6 * PAGE] = 1;
    done(at);

    at = two(4);
    NEED(mprotect((void *)at, 2 * HUGE, PROT_READ));
    IS(huge_kb(at, 2 * HUGE), 4096, "mprotect of all keeps them");
    NEED(mprotect((void *)at, 2 * HUGE, PROT_NONE));
    NEED(mprotect((void *)at, 2 * HUGE, RW));
    CHECK(is_filled(at, 0, 2 * HUGE_PAGES, 4), "and the bytes");
    fill(at, 2 * HUGE_PAGES, 5);
    CHECK(is_filled(at, 0, 2 * HUGE_PAGES, 5), "and they can be written again");
    done(at);

    at = two(5);
    NEED(madvise((void *)(at + HUGE - 3 * PAGE), 6 * PAGE, MADV_DONTNEED));
    IS(huge_kb(at, 2 * HUGE), 0, "DONTNEED across the border splits both");
    CHECK(is_filled(at, 0, HUGE_PAGES - 3, 5) && is_zero(at, HUGE_PAGES - 3, HUGE_PAGES + 3) &&
              is_filled(at, HUGE_PAGES + 3, 2 * HUGE_PAGES, 5),
          "six pages are zero, the others are not");
    NEED(madvise((void *)at, 2 * HUGE, MADV_DONTNEED));
    CHECK(is_zero(at, 0, 2 * HUGE_PAGES), "DONTNEED of all: all zero");
    done(at);

    at = two(6);
    char *to = anon(2 * HUGE, RW);
    CHECK(mremap((void *)(at + 10 * PAGE), HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap of a part");
    CHECK(is_filled(at, 0, 10, 6) && is_filled(at, HUGE_PAGES + 10, 2 * HUGE_PAGES, 6), "what stays");
    CHECK(is_filled(to - 10 * PAGE, 10, HUGE_PAGES + 10, 6), "what moved");
    NEED(munmap(to, 2 * HUGE));
    done(at);
}

static volatile char *shared_at;

static int child_of_huge(void *unused UNUSED)
{
    if (!is_filled(shared_at, 0, 2 * HUGE_PAGES, 7))
        return 1;
    fill(shared_at, HUGE_PAGES, 8);
    munmap((void *)(shared_at + HUGE + 30 * PAGE), HUGE / 2);
    return is_filled(shared_at, 0, HUGE_PAGES, 8) && is_filled(shared_at, HUGE_PAGES, HUGE_PAGES + 30, 7) ? 0 : 2;
}

static int child_that_leaves(void *unused UNUSED) { return 0; }

static void forks(void)
{
    pid_t pid;
    int go[2], status;
    char byte;

    shared_at = two(7);
    EXITS(child_that_leaves, NULL, 0, "a child that touches nothing");
    CHECK(is_filled(shared_at, 0, 2 * HUGE_PAGES, 7), "the parent's bytes are there after it");
    IS(huge_kb(shared_at, 2 * HUGE), 4096, "in huge pages");
    EXITS(child_of_huge, NULL, 0, "a child that writes and unmaps");
    CHECK(is_filled(shared_at, 0, 2 * HUGE_PAGES, 7), "is not seen by the parent");
    NEED(pipe(go));
    pid = NEED(fork());
    if (pid == 0) { /* the parent writes while the child has the old bytes */
        close(go[1]);
        status = read(go[0], &byte, 1);
        _exit(is_filled(shared_at, 0, 2 * HUGE_PAGES, 7) ? 0 : 1);
    }
    fill(shared_at, 2 * HUGE_PAGES, 9);
    close(go[1]);
    close(go[0]);
    waitpid(pid, &status, 0);
    IS(status, 0, "a child keeps what was there at the fork");
    CHECK(is_filled(shared_at, 0, 2 * HUGE_PAGES, 9), "the parent has what it wrote");
    done(shared_at);
}

static void collapse(void)
{
    volatile char *at = aligned(2);
    volatile char *file;
    int fd;

    NEED(madvise((void *)at, 2 * HUGE, MADV_NOHUGEPAGE));
    fill(at, 2 * HUGE_PAGES, 10);
    IS(huge_kb(at, 2 * HUGE), 0, "NOHUGEPAGE: none");
    FAILS(madvise((void *)at, 2 * HUGE, MADV_COLLAPSE), EINVAL, "and COLLAPSE is refused");
    NEED(madvise((void *)at, 2 * HUGE, MADV_HUGEPAGE));
    IS(huge_kb(at, 2 * HUGE), 0, "HUGEPAGE does not move what is there");
    OKAY(madvise((void *)at, 2 * HUGE, MADV_COLLAPSE), "COLLAPSE does");
    IS(huge_kb(at, 2 * HUGE), 4096, "into two huge pages");
    CHECK(is_filled(at, 0, 2 * HUGE_PAGES, 10), "with their bytes");
    fill(at, 2 * HUGE_PAGES, 11);
    CHECK(is_filled(at, 0, 2 * HUGE_PAGES, 11), "which can be written");
    OKAY(madvise((void *)at, 2 * HUGE, MADV_COLLAPSE), "once more changes nothing");
    NEED(munmap((void *)at, 2 * HUGE));
    FAILS(madvise((void *)at, 2 * HUGE, MADV_COLLAPSE), ENOMEM, "nothing there: ENOMEM");
    fd = make_file("small", "x", 1);
    file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    FAILS(madvise((void *)file, PAGE, MADV_COLLAPSE), EINVAL, "a range without a span: EINVAL");
    munmap((void *)file, PAGE);
    close(fd);
    NEED(munmap(aside, 4 * HUGE));
}

/* Prints nothing; exits with the AnonHugePages of a fresh madvised mapping in MiB. */
static int huge_mib(void *unused UNUSED)
{
    volatile char *at = two(12);

    return (int)(huge_kb(at, 2 * HUGE) >> 10);
}

static int disabled_child(void *unused UNUSED)
{
    return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1 && huge_mib(NULL) == 0 ? 0 : 1;
}

static int disable(void *unused UNUSED)
{
    struct ending end;

    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) || prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) != 1 || huge_mib(NULL) != 0)
        return 1;
    end = in_child(disabled_child, NULL);
    return end.status;
}

static void switches(void)
{
    char *before = slurp(ENABLED);
    int fd = open(ENABLED, O_WRONLY);

    IS(proc_value("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152") >= -1, 1, "hpage_pmd_size");
    EXITS(disable, NULL, 0, "PR_SET_THP_DISABLE: none, and fork keeps that");
    FAILS(prctl(PR_SET_THP_DISABLE, 1, 1, 0, 0), EINVAL, "its further arguments are zero");
    if (fd < 0 || before == NULL) {
        skip("sysfs", "the switch cannot be written here");
        return;
    }
    CHECK(write(fd, "never", 5) == 5, "enabled = never");
    EXITS(huge_mib, NULL, 0, "nobody gets any");
    CHECK(write(fd, "madvise\n", 8) == 8, "enabled = madvise");
    EXITS(huge_mib, NULL, 4, "who asks gets them");
    CHECK(strstr(slurp(ENABLED), "[madvise]") != NULL, "it can be read back");
    FAILS(write(fd, "sometimes", 9), EINVAL, "nonsense is refused");
    CHECK(write(fd, "always", 6) == 6, "enabled = always");
    for (const char *name = strtok(before, " \n"); name; name = strtok(NULL, " \n"))
        if (*name == '[')
            CHECK(write(fd, name + 1, strlen(name) - 2) > 0, "as it was");
    close(fd);
}

/* ---- threads fault, split and fork at the same time ---- */

#define THREADS 4
static volatile int stop;
static volatile char *arena;
#define ARENA 8

static void *worker(void *argument)
{
    long me = (long)argument, bad = 0;
    unsigned state = (unsigned)me * 77 + 1;

    for (int round = 0; !stop; round++) {
        unsigned span = (state = state * 1103515245 + 12345) >> 8;
        volatile char *at = arena + span % ARENA * HUGE + (unsigned)me * (HUGE / THREADS);
        size_t pages = HUGE_PAGES / THREADS;

        fill(at, pages, round);
        bad += !is_filled(at, 0, pages, round);
        switch (span / 64 % 4) {
        case 0:
            madvise((void *)(at + 3 * PAGE), 5 * PAGE, MADV_DONTNEED);
            bad += !is_zero(at, 3, 8) || !is_filled(at, 8, pages, round);
            break;
        case 1:
            mprotect((void *)(at + PAGE), PAGE, PROT_READ);
            bad += !is_filled(at, 0, pages, round);
            mprotect((void *)(at + PAGE), PAGE, RW);
            break;
        case 2:
            madvise((void *)arena, ARENA * HUGE, MADV_COLLAPSE);
            bad += !is_filled(at, 0, pages, round);
            break;
        default:
            break;
        }
    }
    return (void *)bad;
}

static int reads_arena(void *unused UNUSED)
{
    volatile char sum = 0;

    for (size_t i = 0; i < ARENA * HUGE_PAGES; i++)
        sum += arena[i * PAGE];
    for (size_t i = 10; i < 700; i += HUGE_PAGES / THREADS) { /* one that no thread ever protects */
        fill(arena + i * PAGE, 50, 1);
        if (!is_filled(arena + i * PAGE, 0, 50, 1))
            return 1;
    }
    return 0;
}

static void races(void)
{
    pthread_t threads[THREADS];
    long bad = 0;
    void *result;

    arena = aligned(ARENA);
    NEED(madvise((void *)arena, ARENA * HUGE, MADV_HUGEPAGE));
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, worker, (void *)i);
    for (int i = 0; i < 30; i++)
        bad += in_child(reads_arena, NULL).status != 0;
    stop = 1;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        bad += (long)result;
    }
    IS(bad, 0, "threads that fill, split, collapse and drop while one forks never miss a byte");
    NEED(munmap((void *)arena, ARENA * HUGE));
    NEED(munmap(aside, (ARENA + 2) * HUGE));
}

static void body(void)
{
    struct sysinfo info;

    sysinfo(&info);
    if (info.totalram * info.mem_unit < 180UL << 20) {
        skip("huge pages", "memory is too small for any");
        return;
    }
    basics();
    splits();
    forks();
    collapse();
    switches();
    races();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
