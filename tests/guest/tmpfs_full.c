/*
 * A tmpfs gives as many pages as its size says, to the page, whatever was stored, punched, cut and removed before, and
 * by however many threads at once. Source: tmpfs(5), mmap(2) on SIGBUS, fallocate(2).
 *
 *     tmpfs_full [DIR] [ROUNDS (400)]
 */
#include "tap.h"

#include <linux/falloc.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#define PAGES 64UL
#define THREADS 4
#define PER_THREAD (PAGES / THREADS)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static int rounds = 400;

static int file_of(const char *name, size_t pages)
{
    int fd = NEED(open(name, O_RDWR | O_CREAT | O_EXCL, 0600));

    NEED(ftruncate(fd, pages * PAGE));
    return fd;
}

static volatile char *map(int fd, size_t pages)
{
    return (volatile char *)NEED((long)mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
}

static long free_pages(void)
{
    struct statvfs info;

    NEED(statvfs("mnt", &info));
    return info.f_bfree;
}

static int store(void *at)
{
    *(volatile char *)at = 1;
    return 0;
}

static void to_the_page(const char *when)
{
    int fd = file_of("mnt/full", PAGES + 1);
    volatile char *at = map(fd, PAGES + 1);
    char byte = 1;

    IS(free_pages(), PAGES, "%s: all is free", when);
    for (size_t i = 0; i < PAGES - 1; i++)
        at[i * PAGE] = 1;
    OKAY(pwrite(fd, &byte, 1, (PAGES - 1) * PAGE), "%s: the last page can be written", when);
    IS(free_pages(), 0, "%s: nothing is free", when);
    DIES(store, (void *)(at + PAGES * PAGE), SIGBUS, BUS_ADRERR, (uintptr_t)(at + PAGES * PAGE),
         "%s: no store to one more", when);
    FAILS(pwrite(fd, &byte, 1, PAGES * PAGE), ENOSPC, "%s: no write of one more", when);
    OKAY(fallocate(fd, PUNCH, 0, PAGE), "%s: a hole", when);
    OKAY(pwrite(fd, &byte, 1, PAGES * PAGE), "%s: makes room for it", when);
    munmap((void *)at, (PAGES + 1) * PAGE);
    close(fd);
    NEED(unlink("mnt/full"));
    IS(free_pages(), PAGES, "%s: all is free again", when);
}

struct part {
    int fd;
    volatile char *at;
    size_t first;
};

/* Pages of its own come and go, so that the file's number of pages changes while others look at it. */
static void *come_and_go(void *argument)
{
    const struct part *p = argument;

    for (int round = 0; round < rounds; round++) {
        for (size_t i = p->first; i < p->first + PER_THREAD; i++)
            p->at[i * PAGE] = 1;
        for (size_t i = p->first; i < p->first + PER_THREAD; i++)
            if (fallocate(p->fd, PUNCH, i * PAGE, PAGE) != 0)
                return "no hole";
    }
    return NULL;
}

static void many_at_once(void)
{
    int fd = file_of("mnt/shared", PAGES), failed = 0;
    volatile char *at = map(fd, PAGES);
    pthread_t threads[THREADS];
    struct part parts[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        parts[i] = (struct part){fd, at, i * PER_THREAD};
        NEED(-pthread_create(&threads[i], NULL, come_and_go, &parts[i]));
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *wrong;

        pthread_join(threads[i], &wrong);
        failed += wrong != NULL;
    }
    IS(failed, 0, "threads store and punch beside each other");
    munmap((void *)at, PAGES * PAGE);
    close(fd);
    NEED(unlink("mnt/shared"));
}

static void without_limit(void)
{
    struct statvfs info;
    char byte = 1;
    int fd;

    OKAY(mount("none", "mnt", "tmpfs", 0, "size=0"), "size=0");
    fd = file_of("mnt/file", 0);
    OKAY(pwrite(fd, &byte, 1, 100 * PAGE), "is no limit");
    close(fd);
    NEED(statvfs("mnt", &info));
    IS(info.f_blocks, 0, "and said to be none");
    OKAY(mount("none", "mnt", "tmpfs", MS_REMOUNT, "size=64k"), "there may be one later");
    NEED(statvfs("mnt", &info));
    IS(info.f_blocks, 16, "which holds");
    NEED(umount("mnt"));
}

static long free_inodes(void)
{
    struct statvfs info;

    NEED(statvfs("mnt", &info));
    return info.f_ffree;
}

/* Each name needs memory, so each counts, as the instance's own folder does. */
static void names(void)
{
    int fd;

    NEED(mount("none", "mnt", "tmpfs", 0, "nr_inodes=5"));
    close(file_of("mnt/a", 0));
    OKAY(link("mnt/a", "mnt/b"), "a second name");
    OKAY(link("mnt/a", "mnt/c"), "a third");
    IS(free_inodes(), 1, "count as inodes");
    close(file_of("mnt/other", 0));
    FAILS(link("mnt/a", "mnt/d"), ENOSPC, "no name more than that");
    NEED(unlink("mnt/a"));
    IS(free_inodes(), 1, "unlink gives it back");
    NEED(rename("mnt/other", "mnt/b"));
    IS(free_inodes(), 2, "and rename over it");
    NEED(unlink("mnt/b"));
    NEED(unlink("mnt/c"));
    IS(free_inodes(), 4, "and with the last name the file goes");
    fd = open("mnt", O_TMPFILE | O_RDWR, 0600);
    if (fd >= 0) {
        char name[32];

        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        NEED(linkat(AT_FDCWD, name, AT_FDCWD, "mnt/first", AT_SYMLINK_FOLLOW));
        IS(free_inodes(), 3, "the first name of a file without one is its own");
        close(fd);
        NEED(unlink("mnt/first"));
    }
    IS(free_inodes(), 4, "all is given back");
    NEED(umount("mnt"));
}

static void body(void)
{
    if (tap_arguments[0])
        rounds = atoi(tap_arguments[0]);
    NEED(mkdir("mnt", 0755));
    if (mount("none", "mnt", "tmpfs", 0, "size=256k") != 0) {
        skip("a small tmpfs", "it cannot be mounted");
        return;
    }
    to_the_page("new");
    many_at_once();
    to_the_page("after that");
    NEED(umount("mnt"));
    without_limit();
    names();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
