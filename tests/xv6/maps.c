/* The mmap lab: files mapped privately and shared, written back, unmapped in parts, inherited. */
#include "check.h"

#define FAILED ((char *)-1)
#define LENGTH (PGSIZE + PGSIZE / 2)

static char *at;

static void load_page(void) { exit(*(volatile char *)at); }
static void store_page(void) { exit((*(volatile char *)at = 1)); }

/* Pages of the file, 'a' and 'b', then zeros. */
static int shows_file(const char *map)
{
    for (int i = 0; i < 2 * PGSIZE; i++)
        if (map[i] != (i < PGSIZE ? 'a' : i < LENGTH ? 'b' : 0))
            return 0;
    return 1;
}

static void test_private(void)
{
    int fd = make_file("map", LENGTH, 'a');
    char *map = mmap(0, 2 * PGSIZE, PROT_READ, MAP_PRIVATE, fd, 0), byte;

    CHECK(map != FAILED && shows_file(map), "a file, and zeros after its end");
    at = map;
    CHECK(status_of(store_page) == -1, "which cannot be written without PROT_WRITE");
    CHECK(munmap(map, 2 * PGSIZE) == 0, "munmap");
    CHECK(status_of(load_page) == -1, "after which nothing is there");
    close(fd);

    fd = open("map", O_RDONLY);
    map = mmap(0, 2 * PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(map != FAILED && shows_file(map), "private and writable, of a file that is open for reading");
    map[0] = map[PGSIZE] = 'Z';
    CHECK(munmap(map, 2 * PGSIZE) == 0 && read(fd, &byte, 1) == 1 && byte == 'a', "the file does not see it");
    CHECK(mmap(0, 2 * PGSIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == FAILED,
          "shared and writable, it must be open for writing");
    close(fd);
}

static void test_shared(void)
{
    int fd = open("map", O_RDWR), other;
    char *map = mmap(0, 2 * PGSIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), bytes[2];
    struct stat info;

    CHECK(map != FAILED && close(fd) == 0 && shows_file(map), "a mapping outlives the descriptor");
    map[0] = 'X';
    map[PGSIZE] = 'Y';
    CHECK(munmap(map, PGSIZE) == 0 && map[PGSIZE] == 'Y', "the first page unmapped, the second stays");
    map[2 * PGSIZE - 1] = 'Q'; /* past the end */
    CHECK(munmap(map + PGSIZE, PGSIZE) == 0, "then the second");
    fd = open("map", O_RDONLY);
    CHECK(read(fd, bytes, 1) == 1 && bytes[0] == 'X', "what was written is in the file");
    CHECK(fstat(fd, &info) == 0 && info.size == LENGTH, "which has not grown");
    close(fd);

    other = open("map", O_RDWR);
    map = mmap(0, PGSIZE, PROT_READ, MAP_SHARED, other, 0);
    CHECK(write(other, "W", 1) == 1 && map[0] == 'W', "what is written to the file shows at once");
    munmap(map, PGSIZE);
    map = mmap(0, PGSIZE, PROT_READ, MAP_PRIVATE, other, PGSIZE);
    CHECK(map != FAILED && map[0] == 'Y' && map[1] == 'b', "from an offset");
    munmap(map, PGSIZE);
    close(other);
}

static void test_two(void)
{
    int one = make_file("map1", 6, '1'), other = make_file("map2", 6, '2');
    char *first = mmap(0, PGSIZE, PROT_READ, MAP_PRIVATE, one, 0);
    char *second = mmap(0, PGSIZE, PROT_READ, MAP_PRIVATE, other, 0);

    close(one);
    close(other);
    unlink("map1");
    unlink("map2");
    CHECK(memcmp(first, "111111", 7) == 0 && memcmp(second, "222222", 7) == 0, "two files, without their names");
    munmap(first, PGSIZE);
    CHECK(memcmp(second, "222222", 7) == 0, "one goes, the other stays");
    munmap(second, PGSIZE);
}

static void test_fork(void)
{
    int fd = make_file("map", 2 * PGSIZE, 'a'), pid, status = -1;
    char *mine = mmap(0, 2 * PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *shared = mmap(0, 2 * PGSIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    mine[0] = 'm';
    pid = fork();
    if (pid == 0) {
        int good = mine[0] == 'm' && mine[PGSIZE] == 'b' && shared[PGSIZE] == 'b';

        mine[0] = 'c';
        shared[0] = 's';
        munmap(mine, PGSIZE);
        exit(good ? 0 : 1);
    }
    CHECK(wait(&status) == pid && status == 0, "a child has the mappings");
    CHECK(mine[0] == 'm' && shared[0] == 's', "shared ones are shared, private ones are not");
    munmap(mine, 2 * PGSIZE);
    munmap(shared, 2 * PGSIZE);
    close(fd);
}

/* Dirty pages of a process that ends without unmapping. */
static void leave_dirty(void)
{
    int fd = open("map", O_RDWR);
    char *map = mmap(0, PGSIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    map[1] = 'E';
}

static void test_exit(void)
{
    char bytes[2];
    int fd;

    CHECK(status_of(leave_dirty) == 0, "a process ends with a mapping");
    fd = open("map", O_RDONLY);
    CHECK(read(fd, bytes, 2) == 2 && bytes[1] == 'E', "what it wrote is in the file");
    CHECK(mmap(0, PGSIZE, PROT_READ, MAP_PRIVATE, 12, 0) == FAILED &&
              mmap(0, 0, PROT_READ, MAP_PRIVATE, fd, 0) == FAILED,
          "nothing can be mapped from a closed descriptor, nor of no length");
    close(fd);
    unlink("map");
}

int main(void)
{
    test_private();
    test_shared();
    test_two();
    test_fork();
    test_exit();
    finish();
}
