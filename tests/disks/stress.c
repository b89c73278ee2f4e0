/*
 * Everything that changes a file system, at random and by many at once: stress DEVICE OPTIONS STEPS [SEED] mounts
 * DEVICE; eight processes share one small tree of names. Any call may fail as it likes, but for EIO, EUCLEAN, EROFS and
 * their kin; what is left is for e2fsck to judge, and is read once more after a new mount.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
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

#define WORKERS 8
#define LONGEST 400000

static unsigned seed, worker;
static char bytes[70000];
static sigjmp_buf no_page; /* a full disk has none for a store */

static unsigned below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

/* A name one to three levels below /mnt; its static room is one of two. */
static const char *any_name(void)
{
    static char names[2][40];
    static unsigned next;
    char *name = names[next++ % 2];
    int at = sprintf(name, "/mnt");

    for (unsigned depth = 1 + below(3); depth > 0; depth--)
        at += sprintf(name + at, "/%c", 'a' + (int)below(6));
    return name;
}

/* RESULT of WHAT, which may fail as long as the file system is well. */
static long note(const char *what, long result)
{
    if (result < 0 && (errno == EIO || errno == EUCLEAN || errno == EROFS || errno == EFAULT || errno == ENOSYS)) {
        printf("stress: %u: %s: %s\n", worker, what, strerror(errno));
        exit(1);
    }
    return result;
}

static void change_names(void)
{
    static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT};
    const char *a = any_name(), *b = any_name();

    switch (below(9)) {
    case 0 ... 1:
        note("mkdir", mkdir(a, 0755));
        break;
    case 2:
        note("rmdir", rmdir(a));
        break;
    case 3:
        note("unlink", unlink(a));
        break;
    case 4 ... 5:
        note("rename", renameat2(AT_FDCWD, a, AT_FDCWD, b, flags[below(5)]));
        break;
    case 6:
        note("link", link(a, b));
        break;
    case 7:
        memset(bytes, 'x', sizeof(bytes));
        bytes[below(2) ? 20 : 1 + below(900)] = '\0';
        note("symlink", symlink(bytes, a));
        break;
    default:
        note("mknod", mknod(a, below(2) ? S_IFIFO | 0600 : S_IFCHR | 0600, 0x103));
    }
}

static void change_attributes(void)
{
    static const char *const names[] = {"user.a", "user.b", "trusted.c"};
    const char *name = any_name(), *attribute = names[below(3)];

    switch (below(5)) {
    case 0 ... 1:
        note("setxattr", lsetxattr(name, attribute, bytes, below(2) ? below(60) : below(4000), (int)below(3)));
        break;
    case 2:
        note("removexattr", lremovexattr(name, attribute));
        break;
    case 3:
        note("chmod", chmod(name, 0600 + below(64)));
        break;
    default:
        note("chown", lchown(name, below(100), below(100)));
    }
}

static void on_bus_error(int sig) { siglongjmp(no_page, sig); }

static void store(int fd, long at, size_t n)
{
    struct stat info;
    char *map;

    if (fstat(fd, &info) != 0 || info.st_size <= at || !S_ISREG(info.st_mode))
        return;
    map = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return;
    if (sigsetjmp(no_page, 1) == 0) {
        memset(map + at, (int)below(256), n < (size_t)(info.st_size - at) ? n : (size_t)(info.st_size - at));
        if (below(3) == 0)
            note("msync", msync(map, (size_t)info.st_size, MS_SYNC));
    }
    munmap(map, (size_t)info.st_size);
}

static void change_data(int fd)
{
    static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
                                FALLOC_FL_ZERO_RANGE};
    long at = (long)below(LONGEST), to = (long)below(LONGEST);
    size_t n = below(3) == 0 ? below(sizeof(bytes)) : below(3000);
    int flags;

    memset(bytes, (int)below(256), n);
    switch (below(12)) {
    case 0 ... 3:
        note("pwrite", pwrite(fd, bytes, n, at));
        break;
    case 4:
        note("ftruncate", ftruncate(fd, below(2) ? at : 0));
        break;
    case 5:
        note("fallocate", fallocate(fd, modes[below(4)], at, 1 + (long)n));
        break;
    case 6 ... 7:
        store(fd, at, n);
        break;
    case 8:
        note("copy_file_range", copy_file_range(fd, &at, fd, &to, n, 0));
        break;
    case 9:
        note("fsync", below(2) ? fsync(fd) : fdatasync(fd));
        break;
    case 10:
        if (below(4) == 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
            flags ^= FS_JOURNAL_DATA_FL;
            note("chattr", ioctl(fd, FS_IOC_SETFLAGS, &flags));
        }
        break;
    default:
        note("pread", pread(fd, bytes, n, at));
    }
}

static void work_on_file(void)
{
    const char *name = any_name();
    int fd;

    switch (below(8)) {
    case 0:
        fd = open("/mnt", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        break;
    case 1 ... 3:
        fd = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        break;
    default:
        fd = open(name, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC | (below(8) == 0 ? O_SYNC : 0), 0600);
    }
    note("open", fd);
    for (unsigned n = below(5); fd >= 0 && n > 0; n--)
        change_data(fd);
    if (fd >= 0 && below(6) == 0)
        unlink(name);
    if (fd >= 0 && below(4) == 0) {
        char path[40];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        note("linkat", linkat(AT_FDCWD, path, AT_FDCWD, any_name(), AT_SYMLINK_FOLLOW));
    }
    if (fd >= 0)
        note("close", close(fd));
}

static int visit(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    int fd = S_ISREG(info->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n;

    (void)type, (void)walk;
    while (fd >= 0 && (n = note("read", read(fd, bytes, sizeof(bytes)))) > 0)
        ;
    if (fd >= 0)
        close(fd);
    note("listxattr", llistxattr(path, bytes, sizeof(bytes)));
    return 0;
}

static void step(void)
{
    unsigned what = below(40);

    if (what < 16)
        change_names();
    else if (what < 20)
        change_attributes();
    else if (what < 38)
        work_on_file();
    else if (what == 38 && below(8) == 0)
        sync();
    else if (below(8) == 0)
        nftw("/mnt", visit, 20, FTW_PHYS);
}

int main(int argc, char **argv)
{
    unsigned steps = argc > 3 ? (unsigned)atoi(argv[3]) : 0, first = argc > 4 ? (unsigned)atoi(argv[4]) : 1;
    int status, bad = 0;

    setbuf(stdout, NULL);
    signal(SIGBUS, on_bus_error);
    mkdir("/mnt", 0755);
    if (steps == 0 || mount(argv[1], "/mnt", "ext3", 0, argv[2]) != 0) {
        printf("stress: mount: %s\n", strerror(errno));
        return 1;
    }
    for (worker = 0; worker < WORKERS; worker++)
        if (fork() == 0) {
            seed = first * 7919 + worker * 104729 + 1;
            for (unsigned i = 0; i < steps; i++)
                step();
            exit(0);
        }
    while (wait(&status) > 0)
        bad |= status;
    if (umount("/mnt") != 0 || mount(argv[1], "/mnt", "ext3", 0, argv[2]) != 0) {
        printf("stress: mounting again: %s\n", strerror(errno));
        return 1;
    }
    nftw("/mnt", visit, 20, FTW_PHYS);
    if (umount("/mnt") != 0)
        bad = 1;
    printf("%s\n", bad ? "failed" : "done");
    return bad != 0;
}
