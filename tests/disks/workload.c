/*
 * What processes of a crash test do in a guest: workload DEVICE OFFSET SCRIPT... mounts DEVICE; process N performs the
 * lines of the Nth script in the folder pN, and after each writes how many are over to its page of the device, OFFSET
 * bytes and N pages from its beginning. That write waits for the disk, but asks for no flush, which would hide one that
 * is missing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PAGE 4096
#define MAX_FILE 24000

static unsigned process;
static int marks;
static long marks_at;

static _Noreturn void fail(const char *line)
{
    printf("workload: p%u: %s: %s\n", process, line, strerror(errno));
    exit(1);
}

static unsigned char byte_at(unsigned stamp, unsigned at)
{
    if (stamp % 4 == 0 && at % 1024 < 4)
        return (unsigned char)"\xC0\x3B\x39\x98"[at % 4]; /* looks like a block of the journal */
    return (unsigned char)((stamp + at * 7 + at / 256 + process * 53) % 255 + 1);
}

static int write_file(const char *name, unsigned at, unsigned n, unsigned stamp, int flags)
{
    static unsigned char data[MAX_FILE];
    int fd = open(name, O_WRONLY | flags), good;

    for (unsigned i = 0; i < n; i++)
        data[i] = byte_at(stamp, at + i);
    good = fd >= 0 && pwrite(fd, data, n, at) == (ssize_t)n;
    if (fd >= 0)
        close(fd);
    return good ? 0 : -1;
}

static int punch(const char *name, unsigned at, unsigned n)
{
    int fd = open(name, O_WRONLY), result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n);

    close(fd);
    return result;
}

/* chattr +j or -j. */
static int change_journalling(const char *name)
{
    int fd = open(name, O_RDONLY), flags, result;

    result = fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags);
    flags ^= FS_JOURNAL_DATA_FL;
    result = result || ioctl(fd, FS_IOC_SETFLAGS, &flags);
    close(fd);
    return result ? -1 : 0;
}

static int write_mapped(const char *name, unsigned at, unsigned n, unsigned stamp)
{
    int fd = open(name, O_RDWR), result;
    unsigned char *data;
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0)
        return -1;
    data = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return -1;
    close(fd);
    for (unsigned i = 0; i < n; i++)
        data[at + i] = byte_at(stamp, at + i);
    result = msync(data, (size_t)info.st_size, MS_SYNC); /* all of it is promised */
    munmap(data, (size_t)info.st_size);
    return result;
}

static int sync_file(const char *name, int (*how)(int fd))
{
    int fd = open(name, O_RDONLY), result = fd < 0 ? -1 : how(fd);

    if (fd >= 0)
        close(fd);
    return result;
}

static int create(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

    return fd < 0 ? -1 : close(fd);
}

static int held = -1; /* a file without a name */

static int unlink_open(const char *name)
{
    held = open(name, O_RDWR | O_CLOEXEC);
    return held < 0 ? -1 : unlink(name);
}

static int write_to(int fd, unsigned at, unsigned n, unsigned stamp)
{
    static unsigned char data[MAX_FILE];

    for (unsigned i = 0; i < n; i++)
        data[i] = byte_at(stamp, at + i);
    return pwrite(fd, data, n, at) == (ssize_t)n ? 0 : -1;
}

static int release(void)
{
    int result = close(held);

    held = -1;
    return result;
}

static int make_tmpfile(const char *name, unsigned n, unsigned stamp, int sync)
{
    char path[40];
    int fd = open(".", O_TMPFILE | O_RDWR, 0600), result;

    if (fd < 0 || write_to(fd, 0, n, stamp) != 0 || (sync && fsync(fd) != 0))
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    result = linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
    return close(fd) != 0 ? -1 : result;
}

static int set_attribute(const char *name, const char *attribute, unsigned size, int fill)
{
    unsigned char value[1000];

    memset(value, fill, size);
    return setxattr(name, attribute, value, size, 0);
}

/* Of files without a name, and what else is rare. */
static int perform_rare(const char *line)
{
    char what[20] = "", a[20] = "", b[300] = "";
    unsigned at = 0, n = 0, stamp = 0, size = 0, fill = 0;

    sscanf(line, "%19s %19s %299s %u %u", what, a, b, &size, &fill);
    sscanf(line, "%*s %*s %u %u %u", &at, &n, &stamp);
    if (strcmp(what, "exchange") == 0)
        return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
    if (strcmp(what, "setxattr") == 0)
        return set_attribute(a, b, size, (int)fill);
    if (strcmp(what, "removexattr") == 0)
        return removexattr(a, b);
    if (strcmp(what, "tmpfile") == 0 || strcmp(what, "tmpfilesync") == 0)
        return make_tmpfile(a, n, stamp, what[7] == 's');
    if (strcmp(what, "unlinkopen") == 0)
        return unlink_open(a);
    if (strcmp(what, "heldwrite") == 0)
        return write_to(held, at, n, stamp);
    if (strcmp(what, "heldtruncate") == 0)
        return ftruncate(held, at);
    if (strcmp(what, "heldfsync") == 0)
        return fsync(held);
    if (strcmp(what, "release") == 0)
        return release();
    if (strcmp(what, "sync") != 0)
        return -1;
    sync();
    return 0;
}

static int perform(const char *line)
{
    char what[20] = "", a[20] = "", b[300] = "";
    unsigned at = 0, n = 0, stamp = 0;

    sscanf(line, "%19s %19s %299s", what, a, b);
    sscanf(line, "%*s %*s %u %u %u", &at, &n, &stamp);
    if (strcmp(what, "create") == 0)
        return create(a);
    if (strcmp(what, "mkdir") == 0)
        return mkdir(a, 0755);
    if (strcmp(what, "rmdir") == 0)
        return rmdir(a);
    if (strcmp(what, "symlink") == 0)
        return symlink(b, a);
    if (strcmp(what, "unlink") == 0)
        return unlink(a);
    if (strcmp(what, "link") == 0)
        return link(a, b);
    if (strcmp(what, "rename") == 0)
        return rename(a, b);
    if (strcmp(what, "truncate") == 0)
        return truncate(a, at);
    if (strcmp(what, "fsync") == 0)
        return sync_file(a, fsync);
    if (strcmp(what, "fdatasync") == 0)
        return sync_file(a, fdatasync);
    if (strcmp(what, "write") == 0)
        return write_file(a, at, n, stamp, 0);
    if (strcmp(what, "dsync") == 0)
        return write_file(a, at, n, stamp, O_DSYNC);
    if (strcmp(what, "osync") == 0)
        return write_file(a, at, n, stamp, O_SYNC);
    if (strcmp(what, "punch") == 0)
        return punch(a, at, n);
    if (strcmp(what, "chattr-j") == 0)
        return change_journalling(a);
    if (strcmp(what, "msync") == 0)
        return write_mapped(a, at, n, stamp);
    return perform_rare(line);
}

static void mark(uint32_t count)
{
    long at = marks_at + (long)process * PAGE;

    if (pwrite(marks, &count, sizeof(count), at) != sizeof(count) ||
        sync_file_range(marks, at, PAGE,
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) != 0)
        fail("mark");
}

static int live(const char *path)
{
    FILE *script = fopen(path, "re");
    char line[400], folder[40];

    snprintf(folder, sizeof(folder), "/mnt/p%u", process);
    if (script == NULL || chdir(folder) != 0)
        fail(path);
    for (uint32_t n = 1; fgets(line, sizeof(line), script) != NULL; n++) {
        if (perform(line) != 0)
            fail(line);
        mark(n);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int status, bad = 0;

    setbuf(stdout, NULL);
    mkdir("/mnt", 0755);
    if (argc < 4 || mount(argv[1], "/mnt", "ext3", 0, getenv("OPTIONS") != NULL ? getenv("OPTIONS") : "") != 0)
        fail("mount");
    marks = open(argv[1], O_RDWR | O_CLOEXEC);
    marks_at = atol(argv[2]);
    for (process = 0; process < (unsigned)argc - 3; process++)
        if (fork() == 0)
            exit(live(argv[3 + process]));
    while (wait(&status) > 0)
        bad |= status;
    printf("%s\n", bad ? "failed" : "done");
    return bad != 0;
}
