/* A file's times, when it is mapped and stored to through a mapping. Source: mmap(2), "Timestamps changes for
 * file-backed mappings". */
#include "tap.h"

static int same(struct timespec a, struct timespec b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

static void on(const char *where, const char *path)
{
    static const struct timespec old[2] = {{1000, 0}, {1000, 0}};
    int fd = (int)NEED(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
    struct stat before, after;
    char *memory;

    NEED(write(fd, "hello", 5));
    NEED(futimens(fd, old));
    NEED(fstat(fd, &before));
    memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    NEED(memory == MAP_FAILED ? -1 : 0);
    NEED(fstat(fd, &after));
    CHECK(after.st_atim.tv_sec > 1000, "%s: mapping a file is an access", where);
    CHECK(same(after.st_mtim, before.st_mtim), "%s: not a change", where);
    sleep_ms(50);
    memory[0] = 'j';
    NEED(msync(memory, PAGE, MS_SYNC));
    NEED(fstat(fd, &after));
    CHECK(after.st_mtim.tv_sec > 1000, "%s: a store is", where);
    CHECK(!same(after.st_ctim, before.st_ctim), "%s: of the inode, too", where);
    munmap(memory, PAGE);

    NEED(futimens(fd, old));
    memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    NEED(fstat(fd, &before));
    memory[0] = 'x';
    NEED(fstat(fd, &after));
    CHECK(before.st_atim.tv_sec > 1000, "%s: a private mapping is an access", where);
    CHECK(after.st_mtim.tv_sec == 1000, "%s: its stores are no change", where);
    munmap(memory, PAGE);
    close(fd);
    unlink(path);
}

static void body(void)
{
    on("disk", "file");
    on("memory", "/dev/shm/mmap_times");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
