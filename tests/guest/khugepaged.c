/*
 * Khugepaged: what was touched page by page becomes huge after a while, as the settings allow; nothing that is watched
 * does, and no byte is lost while others store, protect, unmap and fork.
 * Source: Linux's admin-guide/mm/transhuge.rst, madvise(2), userfaultfd(2).
 */
#include "huge.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>

#define SYS "/sys/kernel/mm/transparent_hugepage/"

static const char *const settings[] = {
    "enabled",
    "shmem_enabled",
    "khugepaged/scan_sleep_millisecs",
    "khugepaged/alloc_sleep_millisecs",
    "khugepaged/pages_to_scan",
    "khugepaged/max_ptes_none",
    "khugepaged/max_ptes_swap",
    "khugepaged/max_ptes_shared",
};
#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))
static char before[N_SETTINGS][32];

static int set(const char *name, const char *value)
{
    char path[100];
    int fd, ok;

    snprintf(path, sizeof(path), SYS "%s", name);
    fd = open(path, O_WRONLY);
    if (fd < 0)
        return 0;
    ok = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    close(fd);
    return ok;
}

static void get(const char *name, char *value, size_t size)
{
    char path[100], *text, *bracket;

    snprintf(path, sizeof(path), SYS "%s", name);
    text = slurp(path);
    bracket = text ? strchr(text, '[') : NULL;
    snprintf(value, size, "%s", bracket ? bracket + 1 : text ? text : "");
    value[strcspn(value, "]\n")] = '\0';
    free(text);
}

static long number(const char *name)
{
    char value[32];

    get(name, value, sizeof(value));
    return strtol(value, NULL, 10);
}

static void change(const char *name, const char *value) { NEED(set(name, value) ? 0 : -1); }

static char *aside;
/* N spans of memory that is not huge yet, and has no neighbours. */
static volatile char *spans(unsigned n)
{
    char *start;

    aside = anon((n + 2) * HUGE, PROT_NONE);
    start = (char *)(((unsigned long)aside + HUGE) & -HUGE);
    NEED((long)mmap(start, n * HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    return start;
}
static void unmap(volatile char *at, unsigned n)
{
    NEED(munmap((void *)at, n * HUGE));
    NEED(munmap(aside, (n + 2) * HUGE));
}

static long huge_kb(volatile void *at, size_t length) { return smaps_kb(at, length, "AnonHugePages"); }

/* Until AT has KB in huge pages, or the thread has had every opportunity. */
static long wait_huge(volatile void *at, size_t length, long kb)
{
    long until = number("khugepaged/full_scans") + 3, n = 0;

    for (int i = 0; i < 400; i++) {
        n = huge_kb(at, length);
        if (n == kb || number("khugepaged/full_scans") >= until)
            break;
        usleep(10000);
    }
    return huge_kb(at, length);
}

static void the_settings(void)
{
    CHECK(number("khugepaged/pages_to_scan") > 0 && number("khugepaged/full_scans") >= 0, "its settings can be read");
    CHECK(!set("khugepaged/pages_to_scan", "0"), "no pages to scan: EINVAL");
    CHECK(!set("khugepaged/max_ptes_none", "512"), "a whole span may not be missing: EINVAL");
    CHECK(!set("khugepaged/max_ptes_swap", "-1") && !set("khugepaged/scan_sleep_millisecs", "x"), "no numbers: EINVAL");
    CHECK(!set("khugepaged/defrag", "2"), "defrag is a switch");
    CHECK(set("khugepaged/max_ptes_none", "511") && number("khugepaged/max_ptes_none") == 511, "511 is all but one");
}

static void private_memory(void)
{
    volatile char *at = spans(3);
    long collapsed = number("khugepaged/pages_collapsed"), counted = proc_value("/proc/vmstat", "thp_collapse_alloc");

    fill(at, 3 * HUGE_PAGES, 1);
    IS(huge_kb(at, 3 * HUGE), 0, "enabled = madvise: small pages");
    usleep(50000);
    IS(huge_kb(at, 3 * HUGE), 0, "and so they stay");
    NEED(madvise((void *)at, 2 * HUGE, MADV_HUGEPAGE));
    IS(wait_huge(at, 3 * HUGE, 4096), 4096, "with MADV_HUGEPAGE they become huge pages");
    CHECK(is_filled(at, 0, 3 * HUGE_PAGES, 1), "no byte is changed");
    CHECK(number("khugepaged/pages_collapsed") >= collapsed + 2, "pages_collapsed counts");
    CHECK(proc_value("/proc/vmstat", "thp_collapse_alloc") >= counted + 2, "and so does thp_collapse_alloc");
    fill(at, 3 * HUGE_PAGES, 2);
    CHECK(is_filled(at, 0, 3 * HUGE_PAGES, 2), "they can be stored to");
    unmap(at, 3);
}

static void limits(void)
{
    volatile char *at = spans(1);

    change("khugepaged/max_ptes_none", "256");
    fill(at, 255, 3);
    NEED(madvise((void *)at, HUGE, MADV_HUGEPAGE));
    IS(wait_huge(at, HUGE, 2048), 0, "257 pages are missing: too many");
    fill(at, 256, 3);
    IS(wait_huge(at, HUGE, 2048), 2048, "256 are not");
    CHECK(is_filled(at, 0, 256, 3) && is_zero(at, 256, HUGE_PAGES), "those are zeros now");
    unmap(at, 1);
    change("khugepaged/max_ptes_none", "511");

    at = spans(1);
    fill(at, HUGE_PAGES, 4);
    NEED(mprotect((void *)(at + 9 * PAGE), PAGE, PROT_READ));
    NEED(madvise((void *)at, HUGE, MADV_HUGEPAGE));
    IS(wait_huge(at, HUGE, 2048), 0, "a page with another protection keeps it small");
    NEED(mprotect((void *)(at + 9 * PAGE), PAGE, RW));
    IS(wait_huge(at, HUGE, 2048), 2048, "until that is over");
    unmap(at, 1);

    at = spans(1);
    fill(at, HUGE_PAGES, 5);
    NEED(mlock((void *)at, HUGE));
    NEED(madvise((void *)at, HUGE, MADV_HUGEPAGE));
    IS(wait_huge(at, HUGE, 2048), 2048, "locked memory becomes huge, too");
    CHECK(is_filled(at, 0, HUGE_PAGES, 5), "with its bytes");
    IS(smaps_kb(at, HUGE, "Locked"), 2048, "and stays locked");
    unmap(at, 1);
}

static void swapped(void)
{
    volatile char *at = spans(1);

    fill(at, HUGE_PAGES, 6);
    if (madvise((void *)at, 10 * PAGE, 21 /* MADV_PAGEOUT */) != 0 || smaps_kb(at, HUGE, "Swap") != 40) {
        skip("swapped pages", "nothing can be swapped");
        unmap(at, 1);
        return;
    }
    NEED(madvise((void *)at, HUGE, MADV_HUGEPAGE));
    IS(wait_huge(at, HUGE, 2048), 2048, "a few swapped pages are brought in for it");
    CHECK(is_filled(at, 0, HUGE_PAGES, 6), "with their bytes");
    unmap(at, 1);
}

static void watched(void)
{
    volatile char *at = spans(1);
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register r = {.range = {(unsigned long)at, HUGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};

    fill(at, 300, 7);
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0 || ioctl(fd, UFFDIO_REGISTER, &r) != 0) {
        skip("what a userfaultfd watches", "there is none");
    } else {
        NEED(madvise((void *)at, HUGE, MADV_HUGEPAGE));
        IS(wait_huge(at, HUGE, 2048), 0, "what a userfaultfd waits for is not made up");
        NEED(ioctl(fd, UFFDIO_UNREGISTER, &r.range));
        IS(wait_huge(at, HUGE, 2048), 2048, "afterwards it is");
    }
    if (fd >= 0)
        close(fd);
    unmap(at, 1);
}

/* Pagemap's soft-dirty bits of AT. */
static unsigned soft_dirty(volatile char *at)
{
    static unsigned long entries[HUGE_PAGES];
    int fd = NEED(open("/proc/self/pagemap", O_RDONLY));
    unsigned n = 0;

    NEED(pread(fd, entries, sizeof(entries), (long)at / PAGE * 8));
    close(fd);
    for (unsigned i = 0; i < HUGE_PAGES; i++)
        n += entries[i] >> 55 & 1;
    return n;
}

static void tracked(void)
{
    volatile char *at = spans(1);
    int fd;

    fill(at, HUGE_PAGES, 8);
    fd = NEED(open("/proc/self/clear_refs", O_WRONLY));
    if (soft_dirty(at) == 0 || write(fd, "4", 1) != 1) {
        skip("soft-dirty pages", "there are no such bits");
    } else {
        at[5 * PAGE] = 1;
        NEED(madvise((void *)at, HUGE, MADV_HUGEPAGE));
        (void)wait_huge(at, HUGE, 2048);
        IS(soft_dirty(at), 1, "the one page that was stored to is told, also after it came by");
    }
    close(fd);
    unmap(at, 1);
}

static volatile char *shared_at;
static int child_that_waits(void *go)
{
    char byte;

    return is_filled(shared_at, 0, HUGE_PAGES, 9) && read(*(int *)go, &byte, 1) == 0 &&
                   is_filled(shared_at, 0, HUGE_PAGES, 9)
               ? 0
               : 1;
}

static void forks(void)
{
    int go[2], status;
    pid_t pid;

    shared_at = spans(1);
    NEED(madvise((void *)shared_at, HUGE, MADV_HUGEPAGE));
    fill(shared_at, HUGE_PAGES, 9);
    change("khugepaged/max_ptes_shared", "0");
    NEED(pipe(go));
    pid = NEED(fork());
    if (pid == 0) {
        close(go[1]);
        _exit(child_that_waits(go));
    }
    close(go[0]);
    shared_at[0] = shared_at[0]; /* the parent's own table */
    NEED(munmap((void *)(shared_at + 511 * PAGE), PAGE));
    NEED((long)mmap((void *)(shared_at + 511 * PAGE), PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    NEED(madvise((void *)shared_at, HUGE, MADV_HUGEPAGE));
    fill(shared_at + 511 * PAGE, 1, 9 + 511 * 7);
    IS(wait_huge(shared_at, HUGE, 2048), 0, "pages that a child shares are left alone: max_ptes_shared");
    close(go[1]);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0, "the child sees its bytes");
    IS(wait_huge(shared_at, HUGE, 2048), 2048, "once it is gone, they are huge again");
    CHECK(is_filled(shared_at, 0, HUGE_PAGES, 9), "with their bytes");
    change("khugepaged/max_ptes_shared", "256");
    unmap(shared_at, 1);
}

static void shared_memory(void)
{
    int fd = NEED(memfd_create("khugepaged", 0));
    volatile char *at, *other;
    long before_kb = proc_value("/proc/meminfo", "ShmemHugePages"), now = 0;

    NEED(ftruncate(fd, HUGE));
    at = spans(2);
    NEED((long)mmap((void *)at, HUGE, RW, MAP_SHARED | MAP_FIXED, fd, 0));
    fill(at, HUGE_PAGES - 3, 10);
    other = mmap(NULL, HUGE, RW, MAP_SHARED, fd, 0);
    CHECK(is_filled(other, 0, HUGE_PAGES - 3, 10), "two mappings of a memfd");
    NEED(madvise((void *)at, HUGE, MADV_HUGEPAGE));
    for (int i = 0; i < 200 && now != before_kb + 2048; i++) {
        usleep(10000);
        now = proc_value("/proc/meminfo", "ShmemHugePages");
    }
    IS(now, before_kb + 2048, "its pages become a huge one");
    CHECK(is_filled(at, 0, HUGE_PAGES - 3, 10) && is_zero(at, HUGE_PAGES - 3, HUGE_PAGES), "no byte is changed");
    IS(smaps_kb(at, HUGE, "ShmemPmdMapped"), 2048, "it is mapped as such once it is touched");
    fill(at, HUGE_PAGES, 11);
    CHECK(is_filled(other, 0, HUGE_PAGES, 11), "the other mapping sees what is stored");
    close(fd);
    NEED(munmap((void *)other, HUGE));
    unmap(at, 2);
}

/* ---- races ---- */

#define SPANS 4
#define WRITERS 2
static volatile char *race_at;
static volatile int stop, lost;

/* Counts in pages of its own, and looks whether each still says what it said. */
static void *writer(void *number_)
{
    unsigned id = (unsigned)(long)number_, n = 0;
    static unsigned seen[WRITERS][SPANS * HUGE_PAGES];

    while (!stop) {
        for (unsigned i = id; i < SPANS * HUGE_PAGES && !stop; i += 2 * WRITERS) {
            volatile unsigned *word = (volatile unsigned *)(race_at + i * PAGE);

            if (*word != seen[id][i])
                lost++;
            *word = seen[id][i] = ++n;
        }
    }
    return NULL;
}

static int child_of_race(void *unused UNUSED)
{
    volatile unsigned sum = 0;

    for (unsigned i = 0; i < SPANS * HUGE_PAGES; i += 3)
        sum += race_at[i * PAGE]++;
    return 0;
}

static void races(int seconds)
{
    pthread_t threads[WRITERS];
    unsigned seed = 1, small = 2 * WRITERS - 1;
    long collapsed = number("khugepaged/pages_collapsed");
    time_t end = time(NULL) + seconds;

    change("khugepaged/scan_sleep_millisecs", "0");
    race_at = spans(SPANS);
    for (long i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, writer, (void *)i);
    while (time(NULL) < end) {
        /* one of the pages that belong to no writer */
        unsigned span = rand_r(&seed) % SPANS,
                 page = span * HUGE_PAGES + (rand_r(&seed) % 127 * 4 + small) % HUGE_PAGES;
        volatile char *at = race_at + page * PAGE;
        int status;
        pid_t pid;

        switch (rand_r(&seed) % 6) {
        case 0:
            mprotect((void *)at, PAGE, PROT_READ);
            mprotect((void *)at, PAGE, RW);
            break;
        case 1:
            madvise((void *)at, PAGE, MADV_DONTNEED);
            if (*at != 0)
                lost++;
            break;
        case 2:
            mmap((void *)at, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            break;
        case 3:
            pid = fork();
            if (pid == 0)
                _exit(child_of_race(NULL));
            waitpid(pid, &status, 0);
            break;
        case 4:
            madvise((void *)(race_at + span * HUGE), HUGE, 21 /* MADV_PAGEOUT */);
            break;
        default:
            usleep(2000);
        }
        madvise((void *)race_at, SPANS * HUGE, MADV_HUGEPAGE);
    }
    stop = 1;
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    IS(lost, 0, "no store is lost while it comes by");
    CHECK(number("khugepaged/pages_collapsed") > collapsed, "and it did");
    unmap(race_at, SPANS);
}

/* Processes that end while it may be looking at them. */
static int child_that_leaves(void *unused UNUSED)
{
    volatile char *at = spans(4);

    fill(at, 4 * HUGE_PAGES, 12);
    madvise((void *)at, 4 * HUGE, MADV_HUGEPAGE);
    usleep(rand() % 3000);
    return is_filled(at, 0, 4 * HUGE_PAGES, 12) ? 0 : 1;
}

static void exits(void)
{
    int bad = 0, status;

    for (int i = 0; i < 40; i++) {
        pid_t pid = NEED(fork());

        if (pid == 0) {
            srand(i);
            _exit(child_that_leaves(NULL));
        }
        waitpid(pid, &status, 0);
        bad += status != 0;
    }
    IS(bad, 0, "processes may end while it looks at them");
}

static void body(void)
{
    if (access(SYS "khugepaged/full_scans", R_OK) != 0 || proc_value("/proc/meminfo", "MemFree") < 180 << 10) {
        skip("khugepaged", "there is none, or too little memory");
        return;
    }
    for (size_t i = 0; i < N_SETTINGS; i++)
        get(settings[i], before[i], sizeof(before[i]));
    change("enabled", "madvise");
    change("shmem_enabled", "advise");
    change("khugepaged/scan_sleep_millisecs", "10");
    change("khugepaged/alloc_sleep_millisecs", "10");
    the_settings();
    private_memory();
    limits();
    swapped();
    watched();
    tracked();
    forks();
    shared_memory();
    exits();
    races(tap_arguments[0] ? atoi(tap_arguments[0]) : 3);
    for (size_t i = 0; i < N_SETTINGS; i++)
        set(settings[i], before[i]);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
