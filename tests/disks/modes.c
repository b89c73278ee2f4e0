/*
 * Files under every data= mode: modes DEVICE MODE [STEPS [SEED]] mounts DEVICE with data=MODE; four processes write,
 * map, cut and punch a file each, and compare it with what it should hold; so does the parent after a new mount.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define LONGEST 300000

static unsigned char want[LONGEST], have[LONGEST]; /* zeros past the end */
static long size;
static unsigned seed, first_seed = 17;
static char path[40];

static _Noreturn void fail(const char *what)
{
    printf("modes: %s: %s: %s\n", path, what, strerror(errno));
    exit(1);
}

static unsigned below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

static void fill(unsigned char *to, long n)
{
    unsigned char first = (unsigned char)(1 + below(255));

    for (long i = 0; i < n; i++)
        to[i] = (unsigned char)(first + i * 7);
    if (n >= 4 && below(4) == 0)
        memcpy(to, "\xC0\x3B\x39\x98", 4); /* looks like a block of the journal */
}

static void do_write(int fd, long at, long n)
{
    if (at + n > LONGEST)
        n = LONGEST - at;
    fill(want + at, n);
    if (pwrite(fd, want + at, (size_t)n, at) != n)
        fail("write");
    if (at + n > size)
        size = at + n;
}

static void do_map(int fd, long at, long n)
{
    unsigned char *map;

    if (at >= size)
        return;
    if (at + n > size)
        n = size - at;
    map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        fail("mmap");
    fill(want + at, n);
    memcpy(map + at, want + at, (size_t)n);
    if (below(2) == 0 && msync(map, (size_t)size, MS_SYNC) != 0)
        fail("msync");
    if (below(4) == 0) /* past the end: never in the file */
        memset(map + size, 0x55, (size_t)(-size & 4095));
    munmap(map, (size_t)size);
}

static void do_truncate(int fd, long to)
{
    if (ftruncate(fd, to) != 0)
        fail("ftruncate");
    if (to < size)
        memset(want + to, 0, (size_t)(size - to));
    size = to;
}

static void do_punch(int fd, long at, long n)
{
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n) != 0) {
        if (errno == EOPNOTSUPP) /* Linux, of files without extents */
            return;
        fail("fallocate");
    }
    if (at < size)
        memset(want + at, 0, (size_t)(at + n > size ? size - at : n));
}

/* Of files that cannot have blocks without bytes both are refused, here and on Linux; where they are not, they count.
 */
static void do_allocate(int fd, long at, long n)
{
    if (fallocate(fd, 0, at, n) == 0 && at + n > size)
        size = at + n;
    if (fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, at, n) == 0 && at < size)
        memset(want + at, 0, (size_t)(at + n > size ? size - at : n));
}

static void do_copy(int fd, long from, long to, long n)
{
    ssize_t done;

    if (labs(from - to) < n) /* EINVAL: they overlap */
        n = labs(from - to);
    if (from >= size || n == 0)
        return;
    done = copy_file_range(fd, &(loff_t){from}, fd, &(loff_t){to}, (size_t)n, 0);
    if (done != (n < size - from ? n : size - from))
        fail("copy_file_range");
    memcpy(want + to, want + from, (size_t)done);
    if (to + done > size)
        size = to + done;
}

static void check_mapped(int fd)
{
    const unsigned char *map = mmap(NULL, (size_t)size + 1, PROT_READ, below(2) ? MAP_SHARED : MAP_PRIVATE, fd, 0);

    if (map == MAP_FAILED)
        fail("mmap");
    if (memcmp(map, want, (size_t)size) != 0)
        fail("a mapping shows other bytes");
    munmap((void *)map, (size_t)size + 1);
}

static void check(int fd)
{
    struct stat info;

    if (fstat(fd, &info) != 0 || info.st_size != size || pread(fd, have, LONGEST, 0) != size)
        fail("its size is wrong");
    for (long i = 0; i < size; i++)
        if (have[i] != want[i]) {
            printf("modes: %s: byte %ld of %ld is 0x%02x, not 0x%02x\n", path, i, size, have[i], want[i]);
            exit(1);
        }
}

static void drop_caches(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

    if (fd >= 0 && write(fd, "3", 1) != 1)
        fail("drop_caches");
    close(fd);
}

static void step(int *fd)
{
    long at = (long)below(LONGEST - 20000), n = 1 + (long)below(below(4) == 0 ? 20000 : 3000);

    switch (below(15)) {
    case 12:
        do_copy(*fd, at, (long)below(LONGEST - 20000), n);
        break;
    case 13:
        check_mapped(*fd);
        break;
    case 14:
        do_allocate(*fd, at, n);
        break;
    case 0 ... 3:
        do_write(*fd, at, n);
        break;
    case 4:
        do_write(*fd, size < LONGEST - 3000 ? size : 0, n);
        break;
    case 5 ... 6:
        do_map(*fd, at, n);
        break;
    case 7:
        do_truncate(*fd, below(3) ? at : 0);
        break;
    case 8:
        do_punch(*fd, at, n);
        break;
    case 9:
        if ((below(2) ? fsync(*fd) : fdatasync(*fd)) != 0)
            fail("fsync");
        break;
    case 10:
        check(*fd);
        if (below(4) == 0)
            drop_caches();
        break;
    default:
        if (below(6) != 0)
            break;
        close(*fd);
        if (unlink(path) != 0 || (*fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600)) < 0)
            fail("unlink");
        do_truncate(*fd, 0);
    }
}

static void work(unsigned worker, unsigned steps)
{
    int fd;

    snprintf(path, sizeof(path), "/mnt/file%u", worker);
    seed = worker * 7919 + first_seed;
    size = 0;
    memset(want, 0, sizeof(want));
    fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        fail("open");
    for (unsigned i = 0; i < steps; i++)
        step(&fd);
    check(fd);
    close(fd);
}

/* What the worker has left, for the parent. */
static void tell(int to)
{
    if (write(to, &size, sizeof(size)) != sizeof(size))
        fail("tell");
    for (long done = 0; done < size;) {
        ssize_t n = write(to, want + done, (size_t)(size - done));

        if (n <= 0)
            fail("tell");
        done += n;
    }
}

static void listen_to(unsigned worker, int from)
{
    int fd;

    snprintf(path, sizeof(path), "/mnt/file%u", worker);
    if (lseek(from, 0, SEEK_SET) != 0 || read(from, &size, sizeof(size)) != sizeof(size) ||
        read(from, want, LONGEST) != size)
        fail("what was told");
    fd = open(path, O_RDONLY);
    if (fd < 0)
        fail("open");
    check(fd);
    close(fd);
}

int main(int argc, char **argv)
{
    unsigned steps = argc > 3 ? (unsigned)atoi(argv[3]) : 400;
    int told[WORKERS], status;
    char options[40];

    if (argc > 4)
        first_seed = (unsigned)atoi(argv[4]) * 31 + 1;
    setbuf(stdout, NULL);
    mkdir("/mnt", 0755);
    snprintf(options, sizeof(options), "data=%s", argc > 2 ? argv[2] : "ordered");
    if (argc < 3 || mount(argv[1], "/mnt", "ext3", 0, options) != 0)
        fail("mount");
    for (unsigned i = 0; i < WORKERS; i++) {
        told[i] = memfd_create("told", 0);
        if (fork() == 0) {
            work(i, steps);
            tell(told[i]);
            exit(0);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++)
        if (wait(&status) < 0 || status != 0)
            fail("a worker failed");
    if (umount("/mnt") != 0 || mount(argv[1], "/mnt", "ext3", 0, "") != 0)
        fail("mount again");
    for (unsigned i = 0; i < WORKERS; i++)
        listen_to(i, told[i]);
    if (umount("/mnt") != 0)
        fail("umount");
    printf("done\n");
    return 0;
}
