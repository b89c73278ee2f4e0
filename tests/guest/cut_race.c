/*
 * A file that is made shorter while others store to it through mappings keeps no block past its end: e2fsck would find
 * such blocks, and nobody else.
 *
 *     cut_race [DIR] [ROUNDS (150)]
 */
#include "tap.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

#define PAGES 12
#define STORERS 3
#define MOST_SECTORS (PAGE / 512) /* of a file that has one page left */

static int rounds = 150;
static atomic_int round_of_all, stored, is_over;
static volatile char *at;
static __thread sigjmp_buf no_page;

static void on_bus_error(int sig UNUSED) { siglongjmp(no_page, 1); }

static void store_one(size_t page)
{
    if (sigsetjmp(no_page, 1) == 0)
        at[page * PAGE] = 1;
}

/* In each round, stores to pages that come and go until the file is short for good. */
static void *store_pages(void *first)
{
    for (int round = 1; round <= rounds; round++) {
        while (atomic_load(&round_of_all) < 2 * round - 1)
            sched_yield();
        while (atomic_load(&round_of_all) == 2 * round - 1)
            for (size_t i = 1; i < PAGES; i++)
                store_one(((size_t)first + i) % (PAGES - 1) + 1);
        atomic_fetch_add(&stored, 1);
    }
    return NULL;
}

/* Commits of the file system's journal, for which who changes something has to wait. */
static void *commit(void *unused UNUSED)
{
    int fd = NEED(open("other", O_RDWR | O_CREAT, 0600));

    while (!atomic_load(&is_over)) {
        if (pwrite(fd, "x", 1, 0) != 1 || ftruncate(fd, 0) != 0 || fsync(fd) != 0)
            return "the other file";
    }
    close(fd);
    return NULL;
}

static long sectors(int fd)
{
    struct stat st;

    NEED(fstat(fd, &st));
    return st.st_blocks;
}

/* The sectors of the file once all storers have stopped. */
static long cut(int fd, int round)
{
    atomic_store(&round_of_all, 2 * round - 1);
    for (int i = 0; i < 4; i++) {
        NEED(ftruncate(fd, PAGES * PAGE));
        usleep(300);
        NEED(ftruncate(fd, PAGE));
    }
    atomic_store(&round_of_all, 2 * round);
    while (atomic_load(&stored) < STORERS * round)
        sched_yield();
    return sectors(fd);
}

static void body(void)
{
    pthread_t threads[STORERS], committer;
    struct sigaction action = {.sa_handler = on_bus_error, .sa_flags = SA_NODEFER};
    int fd = NEED(open("file", O_RDWR | O_CREAT, 0600)), too_many = 0;
    void *wrong;

    if (tap_arguments[0])
        rounds = atoi(tap_arguments[0]);
    NEED(sigaction(SIGBUS, &action, NULL));
    NEED(ftruncate(fd, PAGE));
    at = (volatile char *)NEED((long)mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    for (size_t i = 0; i < STORERS; i++)
        NEED(-pthread_create(&threads[i], NULL, store_pages, (void *)(i * 4)));
    NEED(-pthread_create(&committer, NULL, commit, NULL));
    for (int round = 1; round <= rounds; round++)
        too_many += cut(fd, round) > (long)MOST_SECTORS;
    IS(too_many, 0, "a page's blocks are all that the file has after each round");
    atomic_store(&is_over, 1);
    for (size_t i = 0; i < STORERS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(committer, &wrong);
    CHECK(wrong == NULL, "another file is synced meanwhile");
    munmap((void *)at, PAGES * PAGE);
    close(fd);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
