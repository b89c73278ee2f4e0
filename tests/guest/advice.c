/*
 * Advice on how a file is read, acted upon: which pages come into memory with the one that is touched or read.
 * Sources: madvise(2), posix_fadvise(2), mincore(2).
 */
#include "tap.h"

#define PAGES 1024UL

static int fd;
static char *map;

static void forget(void)
{
    NEED(fsync(fd));
    if (map)
        munmap(map, PAGES * PAGE);
    NEED(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    map = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
}

static int in_core(unsigned long from, unsigned long to)
{
    static unsigned char vec[PAGES];
    int n = 0;

    NEED(mincore(map, PAGES * PAGE, vec));
    for (unsigned long i = from; i < to; i++)
        n += vec[i] & 1;
    return n;
}

/* How many pages are in memory once page AT was touched. */
static int touched(unsigned long at, int advice)
{
    forget();
    NEED(madvise(map, PAGES * PAGE, advice));
    if (map[at * PAGE] != (char)(at * 7 + 1))
        return -1;
    return in_core(0, PAGES);
}

static int read_at(unsigned long at, int advice)
{
    char byte;

    forget();
    NEED(posix_fadvise(fd, 0, 0, advice));
    if (pread(fd, &byte, 1, at * PAGE) != 1 || byte != (char)(at * 7 + 1))
        return -1;
    return in_core(0, PAGES);
}

static void body(void)
{
    static char page[PAGE];
    int normal, sequential;
    char *file;

    fd = NEED(open("advised", O_RDWR | O_CREAT, 0600));
    for (unsigned long i = 0; i < PAGES; i++) {
        memset(page, (int)(i * 7 + 1), PAGE);
        NEED(write(fd, page, PAGE));
    }
    forget();
    IS(in_core(0, PAGES), 0, "FADV_DONTNEED: nothing of the file is in memory");
    normal = touched(200, MADV_NORMAL);
    CHECK(normal > 1, "a touched page comes with some around it (%d)", normal);
    IS(touched(200, MADV_RANDOM), 1, "MADV_RANDOM: alone");
    IS(map[333 * PAGE], (char)(333 * 7 + 1), "another one");
    IS(in_core(0, PAGES), 2, "alone, too");
    sequential = touched(200, MADV_SEQUENTIAL);
    CHECK(sequential >= normal && in_core(200, PAGES) == sequential, "MADV_SEQUENTIAL: with many behind it (%d)",
          sequential);
    IS(read_at(0, POSIX_FADV_RANDOM), 1, "FADV_RANDOM: read() brings in what it reads");
    normal = read_at(0, POSIX_FADV_NORMAL);
    sequential = read_at(0, POSIX_FADV_SEQUENTIAL);
    CHECK(normal > 1 && sequential >= normal, "FADV_SEQUENTIAL: more than without (%d, %d)", sequential, normal);
    forget();
    NEED(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
    file = malloc(PAGES * PAGE);
    IS(pread(fd, file, PAGES * PAGE, 0), (long)(PAGES * PAGE), "all of it is read");
    munmap(map, PAGES * PAGE);
    OKAY(posix_fadvise(fd, 100 * PAGE + 1, 50 * PAGE, POSIX_FADV_DONTNEED), "a part of it is not needed");
    map = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    IS(in_core(101, 150), 0, "whole pages of it go");
    CHECK(in_core(0, 101) == 101 && in_core(150, PAGES) == (int)PAGES - 150, "others stay");
    munmap(map, PAGES * PAGE);
    free(file);
    close(fd);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
