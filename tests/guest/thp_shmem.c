/*
 * Huge pages of shared memory: who gets them (shmem_enabled, tmpfs's huge=, MADV_HUGEPAGE), that several mappings show
 * the same one, what splits them, and that no byte is lost or shown twice on the way. Source: tmpfs(5), madvise(2),
 * Linux's admin-guide/mm/transhuge.rst, proc_pid_smaps(5).
 */
#include "huge.h"

#include <pthread.h>
#include <sys/mount.h>
#include <sys/shm.h>

#ifndef MADV_REMOVE
#define MADV_REMOVE 9
#endif

#define SWITCH "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

static long huge_kb(volatile void *at, size_t length) { return smaps_kb(at, length, "ShmemPmdMapped"); }

static int load(void *at) { return *(volatile char *)at; }

static int set_switch(const char *to)
{
    int fd = open(SWITCH, O_WRONLY), done = fd >= 0 && write(fd, to, strlen(to)) == (ssize_t)strlen(to);

    close(fd);
    return done;
}

static int file_of(size_t size)
{
    int fd = NEED(memfd_create("thp", 0));

    NEED(ftruncate(fd, size));
    return fd;
}

/* N huge pages of FD from OFFSET on, at an address where they fit. */
static volatile char *map(int fd, unsigned n, off_t offset, int prot)
{
    char *at = anon((n + 1) * HUGE, PROT_NONE);
    char *start = (char *)(((unsigned long)at + HUGE - 1) & -HUGE);

    NEED((long)mmap(start, n * HUGE, prot, MAP_SHARED | MAP_FIXED, fd, offset));
    if (start > at)
        munmap(at, start - at);
    munmap(start + n * HUGE, at + HUGE - start);
    return start;
}

static void choices(void)
{
    CHECK(strstr(slurp(SWITCH), "[never]") != NULL, "nobody gets them unless asked for");
    FAILS(set_switch("sometimes") ? 0 : -1, EINVAL, "nonsense is refused");
    CHECK(set_switch("within_size"), "within_size");
    CHECK(strstr(slurp(SWITCH), "always [within_size] advise never deny force") != NULL, "it can be read back");
    CHECK(set_switch("never"), "never");

    int fd = file_of(2 * HUGE);
    volatile char *at = map(fd, 2, 0, RW);
    NEED(madvise((void *)at, 2 * HUGE, MADV_HUGEPAGE));
    fill(at, 2 * HUGE_PAGES, 1);
    IS(huge_kb(at, 2 * HUGE), 0, "never: not even for those who ask");
    NEED(munmap((void *)at, 2 * HUGE));
    close(fd);

    CHECK(set_switch("advise\n"), "advise");
    fd = file_of(4 * HUGE);
    at = map(fd, 4, 0, RW);
    NEED(madvise((void *)at, 2 * HUGE, MADV_HUGEPAGE));
    fill(at, 4 * HUGE_PAGES, 1);
    IS(huge_kb(at, 4 * HUGE), 4096, "advise: those who ask, where they ask");
    IS(smaps_kb(at, 2 * HUGE, "THPeligible"), 1, "smaps says so");
    IS(smaps_kb(at + 2 * HUGE, 2 * HUGE, "THPeligible"), 0, "and of the rest that it is not");
    CHECK(proc_value("/proc/meminfo", "ShmemHugePages") >= 4096, "meminfo: ShmemHugePages");
    CHECK(proc_value("/proc/meminfo", "ShmemPmdMapped") >= 4096, "meminfo: ShmemPmdMapped");
    CHECK(is_filled(at, 0, 4 * HUGE_PAGES, 1), "the bytes are there");
    NEED(munmap((void *)at, 4 * HUGE));
    close(fd);

    CHECK(set_switch("within_size"), "within_size again");
    fd = file_of(HUGE + HUGE / 2);
    at = map(fd, 2, 0, RW);
    fill(at, HUGE_PAGES + HUGE_PAGES / 2, 2);
    IS(huge_kb(at, 2 * HUGE), 2048, "within_size: what the file fills");
    NEED(munmap((void *)at, 2 * HUGE));
    close(fd);

    CHECK(set_switch("deny"), "deny");
    CHECK(set_switch("force"), "force");
    CHECK(set_switch("always"), "always");
}

static void mappings(void)
{
    int fd = file_of(2 * HUGE);
    volatile char *a = map(fd, 2, 0, RW), *b;
    unsigned char vec[2 * HUGE_PAGES];
    struct stat st;
    char byte = 'q';

    fill(a, 2 * HUGE_PAGES, 3);
    IS(huge_kb(a, 2 * HUGE), 4096, "always: a file's mapping is huge");
    NEED(fstat(fd, &st));
    IS(st.st_blocks, (long)(2 * HUGE / 512), "the file has all its pages");
    b = map(fd, 2, 0, PROT_READ);
    CHECK(is_filled(b, 0, 2 * HUGE_PAGES, 3), "another mapping shows the same");
    IS(huge_kb(b, 2 * HUGE), 4096, "as huge pages, too");
    a[5 * PAGE] = 'x';
    IS(b[5 * PAGE], 'x', "a store through one is seen through the other");
    IS(pwrite(fd, &byte, 1, 7 * PAGE), 1, "write()");
    CHECK(a[7 * PAGE] == 'q' && b[7 * PAGE] == 'q', "is seen through both");
    a[8 * PAGE] = 'r';
    CHECK(pread(fd, &byte, 1, 8 * PAGE) == 1 && byte == 'r', "and read() sees what is stored");
    IS(huge_kb(a, 2 * HUGE) + huge_kb(b, 2 * HUGE), 8192, "nothing of that splits");
    OKAY(mincore((void *)a, 2 * HUGE, vec), "mincore");
    CHECK(memchr(vec, 0, sizeof(vec)) == NULL, "all pages are in core");
    fill(a, 2 * HUGE_PAGES, 3);

    NEED(mprotect((void *)(a + 3 * PAGE), PAGE, PROT_READ));
    IS(huge_kb(a, 2 * HUGE), 2048, "mprotect of a page splits this mapping's");
    IS(huge_kb(b, 2 * HUGE), 4096, "and not the other's");
    CHECK(is_filled(a, 0, 2 * HUGE_PAGES, 3), "no byte changes");
    a[4 * PAGE] = a[4 * PAGE + PAGE - 1] = 'y';
    IS(b[4 * PAGE], 'y', "it is still the same memory");
    fill(a + 4 * PAGE, 1, 3 + 4 * 7);
    NEED(munmap((void *)(b + HUGE + 10 * PAGE), PAGE));
    IS(huge_kb(b, 2 * HUGE), 2048, "munmap of a page splits that mapping's");
    CHECK(is_filled(b, 0, HUGE_PAGES + 10, 3) && is_filled(b, HUGE_PAGES + 11, 2 * HUGE_PAGES, 3), "the rest stays");
    NEED(munmap((void *)b, 2 * HUGE));
    NEED(munmap((void *)a, 2 * HUGE));
    a = map(fd, 2, 0, RW);
    CHECK(is_filled(a, 0, 2 * HUGE_PAGES, 3), "mapped anew");
    IS(huge_kb(a, 2 * HUGE), 4096, "it is huge");
    NEED(madvise((void *)a, 2 * HUGE, MADV_DONTNEED));
    CHECK(is_filled(a, 0, 2 * HUGE_PAGES, 3), "DONTNEED leaves shared memory's bytes");
    NEED(mprotect((void *)a, 2 * HUGE, PROT_NONE));
    NEED(mprotect((void *)a, 2 * HUGE, RW));
    CHECK(is_filled(a, 0, 2 * HUGE_PAGES, 3), "and so does mprotect");
    NEED(munmap((void *)a, 2 * HUGE));
    a = map(fd, 1, HUGE, RW);
    CHECK(is_filled(a, 0, HUGE_PAGES, 3 + HUGE_PAGES * 7), "the second half alone");
    IS(huge_kb(a, HUGE), 2048, "is huge");
    NEED(munmap((void *)a, HUGE));
    close(fd);
}

static void holes(void)
{
    int fd = file_of(2 * HUGE);
    volatile char *a = map(fd, 2, 0, RW), *b = map(fd, 2, 0, RW);
    struct stat st;

    fill(a, 2 * HUGE_PAGES, 4);
    CHECK(is_filled(b, 0, 2 * HUGE_PAGES, 4), "two mappings");
    OKAY(fallocate(fd, 3 /* punch, keep size */, 5 * PAGE, 3 * PAGE), "a hole");
    CHECK(is_filled(a, 0, 5, 4) && is_zero(a, 5, 8) && is_filled(a, 8, 2 * HUGE_PAGES, 4), "is zero in one mapping");
    CHECK(is_filled(b, 0, 5, 4) && is_zero(b, 5, 8) && is_filled(b, 8, 2 * HUGE_PAGES, 4), "and in the other");
    a[6 * PAGE] = 'h';
    IS(b[6 * PAGE], 'h', "a store into it is seen by both");
    OKAY(madvise((void *)(b + HUGE), HUGE, MADV_REMOVE), "MADV_REMOVE of a whole one");
    CHECK(is_zero(a, HUGE_PAGES, 2 * HUGE_PAGES), "is zero");
    fill(b + HUGE, HUGE_PAGES, 5);
    CHECK(is_filled(a + HUGE, 0, HUGE_PAGES, 5), "and comes again");
    OKAY(ftruncate(fd, HUGE + 2 * PAGE + 100), "truncated inside the second one");
    DIES(load, (char *)a + HUGE + 3 * PAGE, SIGBUS, ANY_CODE, NULL, "past the end: SIGBUS");
    DIES(load, (char *)b + 2 * HUGE - 1, SIGBUS, ANY_CODE, NULL, "in the other mapping, too");
    CHECK(a[HUGE + 2 * PAGE] != 0 && a[HUGE + 2 * PAGE + PAGE - 1] == 0, "the last page ends in zeros");
    OKAY(ftruncate(fd, 2 * HUGE), "longer again");
    CHECK(is_filled(a + HUGE, 0, 2, 5) && is_zero(a + HUGE, 3, HUGE_PAGES), "what was cut off is zero");
    OKAY(ftruncate(fd, 0), "empty");
    NEED(fstat(fd, &st));
    IS(st.st_blocks, 0, "no page is left");
    NEED(munmap((void *)a, 2 * HUGE));
    NEED(munmap((void *)b, 2 * HUGE));
    close(fd);

    fd = file_of(HUGE + PAGE);
    a = map(fd, 2, 0, RW);
    fill(a, HUGE_PAGES + 1, 6);
    DIES(load, (char *)a + HUGE + PAGE * 400, SIGBUS, ANY_CODE, NULL, "what the file does not fill has an end");
    NEED(munmap((void *)a, 2 * HUGE));
    close(fd);
}

static volatile char *shared;

static int child_writes(void *unused UNUSED)
{
    if (!is_filled(shared, 0, 2 * HUGE_PAGES, 7))
        return 1;
    fill(shared, 2 * HUGE_PAGES, 8);
    return 0;
}

static int child_splits(void *unused UNUSED)
{
    NEED(mprotect((void *)(shared + 9 * PAGE), PAGE, PROT_NONE));
    NEED(munmap((void *)(shared + HUGE), HUGE / 2));
    return is_filled(shared, 0, 9, 8) && is_filled(shared, 10, HUGE_PAGES, 8) ? 0 : 1;
}

static void processes(void)
{
    int id;

    shared = mmap(NULL, 2 * HUGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    IS((unsigned long)shared % HUGE, 0, "shared anonymous memory begins where a huge page can");
    fill(shared, 2 * HUGE_PAGES, 7);
    IS(huge_kb(shared, 2 * HUGE), 4096, "and is huge");
    EXITS(child_writes, NULL, 0, "a child writes to it");
    CHECK(is_filled(shared, 0, 2 * HUGE_PAGES, 8), "which its parent sees");
    NEED(mprotect((void *)shared, 2 * HUGE, PROT_READ));
    NEED(mprotect((void *)shared, 2 * HUGE, RW));
    EXITS(child_splits, NULL, 0, "a child splits its mapping");
    CHECK(is_filled(shared, 0, 2 * HUGE_PAGES, 8), "of which its parent sees nothing");
    IS(huge_kb(shared, 2 * HUGE), 4096, "and keeps its own");
    NEED(munmap((void *)shared, 2 * HUGE));

    id = NEED(shmget(IPC_PRIVATE, 2 * HUGE, 0600 | IPC_CREAT));
    shared = shmat(id, NULL, 0);
    CHECK(shared != (void *)-1, "a System V segment");
    IS((unsigned long)shared % HUGE, 0, "is where huge pages can be");
    fill(shared, 2 * HUGE_PAGES, 7);
    IS(huge_kb(shared, 2 * HUGE), 4096, "and has them");
    EXITS(child_writes, NULL, 0, "a child writes to it, too");
    CHECK(is_filled(shared, 0, 2 * HUGE_PAGES, 8), "which its parent sees");
    NEED(shmctl(id, IPC_RMID, NULL));
    NEED(shmdt((void *)shared));
}

static void mounts(void)
{
    volatile char *at;
    int fd;

    if (!set_switch("never")) {
        skip("mounts", "no switch");
        return;
    }
    NEED(mkdir("/tmp/thp_mount", 0755));
    FAILS(mount("x", "/tmp/thp_mount", "tmpfs", 0, "huge=often"), EINVAL, "huge=often is refused");
    OKAY(mount("x", "/tmp/thp_mount", "tmpfs", 0, "huge=always,size=64M"), "a tmpfs with huge=always");
    CHECK(strstr(slurp("/proc/mounts"), "huge=always") != NULL, "which /proc/mounts shows");
    fd = NEED(open("/tmp/thp_mount/f", O_RDWR | O_CREAT, 0600));
    NEED(ftruncate(fd, 2 * HUGE));
    at = map(fd, 2, 0, RW);
    fill(at, 2 * HUGE_PAGES, 9);
    IS(huge_kb(at, 2 * HUGE), 4096, "its files have huge pages, whatever the switch says");
    CHECK(set_switch("deny"), "but for deny");
    NEED(munmap((void *)at, 2 * HUGE));
    NEED(ftruncate(fd, 0));
    NEED(ftruncate(fd, 2 * HUGE));
    at = map(fd, 2, 0, RW);
    fill(at, 2 * HUGE_PAGES, 9);
    IS(huge_kb(at, 2 * HUGE), 0, "then none");
    NEED(munmap((void *)at, 2 * HUGE));
    close(fd);
    OKAY(umount("/tmp/thp_mount"), "unmounted");
    OKAY(mount("x", "/tmp/thp_mount", "tmpfs", 0, "huge=always,size=3M"), "one that is small");
    CHECK(set_switch("never"), "the switch as it was");
    fd = NEED(open("/tmp/thp_mount/f", O_RDWR | O_CREAT, 0600));
    NEED(ftruncate(fd, 2 * HUGE));
    at = map(fd, 2, 0, RW);
    fill(at, HUGE_PAGES + HUGE_PAGES / 2 - 20, 10);
    CHECK(is_filled(at, 0, HUGE_PAGES + HUGE_PAGES / 2 - 20, 10), "has as many pages as it may");
    NEED(munmap((void *)at, 2 * HUGE));
    close(fd);
    NEED(umount("/tmp/thp_mount"));
    NEED(rmdir("/tmp/thp_mount"));
}

static void collapse(void)
{
    int fd = file_of(3 * HUGE);
    volatile char *a = map(fd, 3, 0, RW), *b = map(fd, 3, 0, RW);
    int old;

    NEED(madvise((void *)a, 3 * HUGE, MADV_NOHUGEPAGE));
    for (int i = 0; i < 3; i++) /* the third has a hole */
        fill(a + i * HUGE, i < 2 ? HUGE_PAGES : 100, 11 + i);
    NEED(madvise((void *)a, 3 * HUGE, MADV_HUGEPAGE));
    IS(huge_kb(a, 3 * HUGE), 0, "small pages");
    CHECK(is_filled(b, 0, HUGE_PAGES, 11), "which another mapping shows, too");
    OKAY(madvise((void *)a, 3 * HUGE, MADV_COLLAPSE), "MADV_COLLAPSE");
    IS(huge_kb(a, 3 * HUGE), 6144, "makes huge pages of them");
    for (int i = 0; i < 3; i++)
        CHECK(is_filled(a + i * HUGE, 0, i < 2 ? HUGE_PAGES : 100, 11 + i), "with their bytes");
    CHECK(is_zero(a + 2 * HUGE, 100, HUGE_PAGES), "and zeros in the hole");
    CHECK(is_filled(b, 0, HUGE_PAGES, 11), "the other mapping shows the same");
    old = a[77 * PAGE];
    b[77 * PAGE] = (char)(old + 1);
    IS(a[77 * PAGE], (char)(old + 1), "and is the same memory");
    OKAY(madvise((void *)a, 3 * HUGE, MADV_COLLAPSE), "once more changes nothing");
    NEED(munmap((void *)b, 3 * HUGE));
    NEED(munmap((void *)a, 3 * HUGE));
    close(fd);
}

/* ---- threads fault, punch, protect and map at the same time ---- */

#define THREADS 4
#define SPANS 4
#define PART (HUGE_PAGES / THREADS) /* each thread's pages of each span */

static volatile int stop;
static int arena_fd;
static volatile char *arena;

static void *worker(void *argument)
{
    size_t me = (size_t)argument;
    unsigned state = (unsigned)me * 77 + 1;
    long bad = 0;

    for (int round = 0; !stop; round++) {
        unsigned random = (state = state * 1103515245 + 12345) >> 8;
        size_t first = (random % SPANS) * HUGE_PAGES + me * PART;
        volatile char *at = arena + first * PAGE, *other;

        fill(at, PART, round);
        bad += !is_filled(at, 0, PART, round);
        switch (random / 64 % 5) {
        case 0:
            fallocate(arena_fd, 3, (first + 3) * PAGE, 5 * PAGE);
            bad += !is_zero(at, 3, 8) || !is_filled(at, 8, PART, round);
            break;
        case 1:
            mprotect((void *)(at + PAGE), PAGE, PROT_READ);
            bad += !is_filled(at, 0, PART, round);
            mprotect((void *)(at + PAGE), PAGE, RW);
            break;
        case 3: /* EAGAIN where another one is at it */
            madvise((void *)(arena + random % SPANS * HUGE), HUGE, MADV_COLLAPSE);
            bad += !is_filled(at, 0, PART, round);
            break;
        case 2:
            other = map(arena_fd, 1, random % SPANS * HUGE, RW);
            bad += !is_filled(other + me * PART * PAGE, 0, PART, round);
            munmap((void *)other, HUGE);
            break;
        default:
            madvise((void *)at, PART * PAGE, MADV_DONTNEED);
            bad += !is_filled(at, 0, PART, round);
        }
    }
    return (void *)bad;
}

/* Punches a span that no worker uses, so that whole ones come and go. */
static void *puncher(void *unused UNUSED)
{
    volatile char *at = arena + SPANS * HUGE;
    long bad = 0;

    for (int round = 0; !stop; round++) {
        fill(at, HUGE_PAGES, round);
        bad += !is_filled(at, 0, HUGE_PAGES, round);
        fallocate(arena_fd, 3, SPANS * HUGE, HUGE);
        bad += !is_zero(at, 0, HUGE_PAGES);
        if (round % 2) /* with no hole meanwhile, which a worker's mapping could get */
            NEED((long)mmap((void *)at, HUGE, RW, MAP_SHARED | MAP_FIXED, arena_fd, SPANS * HUGE));
    }
    return (void *)bad;
}

static void races(void)
{
    pthread_t thread[THREADS + 1];
    long bad = 0;
    void *result;

    arena_fd = file_of((SPANS + 1) * HUGE);
    arena = map(arena_fd, SPANS + 1, 0, RW);
    for (size_t i = 0; i <= THREADS; i++)
        pthread_create(&thread[i], NULL, i < THREADS ? worker : puncher, (void *)i);
    sleep(3);
    stop = 1;
    for (size_t i = 0; i <= THREADS; i++) {
        pthread_join(thread[i], &result);
        bad += (long)result;
    }
    IS(bad, 0, "no byte is lost while threads fault, punch, protect and map");
    NEED(munmap((void *)arena, (SPANS + 1) * HUGE));
    close(arena_fd);
}

static volatile int begun;

static void *collapser(void *at)
{
    begun = 1;
    madvise(at, HUGE, MADV_COLLAPSE);
    return NULL;
}

/* A file is cut while it is collapsed: nothing stays past its end. */
static void cut(void)
{
    int fd = NEED(memfd_create("cut", 0)), left = 0;
    volatile char *at = map(fd, 1, 0, RW);
    struct stat st;

    for (unsigned round = 0; round < 100; round++) {
        pthread_t thread;
        volatile unsigned moment = 0;

        NEED(ftruncate(fd, HUGE));
        for (size_t page = 0; page < HUGE / PAGE; page += 2)
            at[page * PAGE] = 1;
        begun = 0;
        pthread_create(&thread, NULL, collapser, (void *)at);
        while (!begun)
            sched_yield();
        while (moment < round * 2000)
            moment++;
        NEED(ftruncate(fd, PAGE));
        pthread_join(thread, NULL);
        NEED(fstat(fd, &st));
        left += st.st_blocks > (blkcnt_t)(PAGE / 512);
    }
    if (access("/proc/quire", R_OK) == 0)
        IS(left, 0, "nothing is left past the end of a file that is cut while it is collapsed");
    else
        skip("nothing is left past the end of a file that is cut while it is collapsed",
             "Linux keeps a huge page, often");
    NEED(munmap((void *)at, HUGE));
    close(fd);
}

/* Pages that fallocate has reserved are out of core until somebody uses them. */
static void reserved(void)
{
    int fd = NEED(memfd_create("reserved", 0));
    unsigned char vec[4];
    volatile char *at;

    NEED(fallocate(fd, 0, 0, 4 * PAGE));
    at = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    CHECK(mincore((void *)at, sizeof(vec) * PAGE, vec) == 0 && !(vec[0] | vec[1] | vec[2] | vec[3]),
          "what fallocate has reserved is not in core");
    at[PAGE] = 1;
    CHECK(pwrite(fd, "x", 1, 3 * PAGE) == 1, "a page is stored to, another one written by a call");
    CHECK(mincore((void *)at, sizeof(vec) * PAGE, vec) == 0 && !(vec[0] | vec[2]) && (vec[1] & vec[3] & 1),
          "they are in core then");
    NEED(munmap((void *)at, 4 * PAGE));
    at = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    CHECK(mincore((void *)at, sizeof(vec) * PAGE, vec) == 0 && !(vec[0] | vec[2]) && (vec[1] & vec[3] & 1),
          "a new mapping sees the same");
    NEED(munmap((void *)at, 4 * PAGE));
    close(fd);
}

static void body(void)
{
    int has_switch = access(SWITCH, W_OK) == 0 && set_switch("never"); /* somebody may have changed it */

    reserved();
    if (!has_switch || proc_value("/proc/meminfo", "MemTotal") < 180 << 10) {
        skip("huge pages of shared memory", "no switch for them here, or too little memory");
        return;
    }
    choices();
    mappings();
    holes();
    processes();
    collapse();
    cut();
    races();
    mounts();
    set_switch("never");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
