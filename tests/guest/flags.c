/*
 * Flags of inodes: what may be set by whom, what +i and +a forbid to everybody, what is inherited, what +j, +S and +D
 * leave as it is, statx's attributes. Source: ioctl_iflags(2), ioctl_fsgetxattr(2), chattr(1), statx(2).
 */
#include "tap.h"

#include <grp.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#define ALICE 1000
#define IOC_GETVERSION_EXT _IOR('f', 3, long)

static int flags_of(const char *name)
{
    int flags = -1, fd = open(name, O_RDONLY | O_NONBLOCK);

    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags))
        flags = -1;
    close(fd);
    return flags;
}

static int set_flags(const char *name, int flags)
{
    int fd = open(name, O_RDONLY | O_NONBLOCK), result, saved;

    if (fd < 0)
        return -1;
    result = ioctl(fd, FS_IOC_SETFLAGS, &flags);
    saved = errno;
    close(fd);
    errno = saved;
    return result;
}

static void make(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        CHECK(0, "make %s", name);
    close(fd);
}

static int opens(const char *name, int flags)
{
    int fd = open(name, flags, 0644);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

static unsigned long attributes_of(const char *name, unsigned long *mask)
{
    struct statx st;

    if (statx(AT_FDCWD, name, 0, STATX_BASIC_STATS | STATX_BTIME, &st))
        return ~0ul;
    *mask = st.stx_attributes_mask;
    return st.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP | STATX_ATTR_COMPRESSED);
}

/* ---- what can be set ---- */

static void setting(void)
{
    unsigned long mask = 0;
    int fd, value = 0, was;
    struct statx st;

    make("f", "text");
    mkdir("d", 0755);
    IS(flags_of("f"), 0, "a new file has no flags");
    OKAY(set_flags("f", FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_COMPR_FL | FS_SECRM_FL), "set some");
    IS(flags_of("f"), FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_COMPR_FL | FS_SECRM_FL, "they are there");
    IS(attributes_of("f", &mask), STATX_ATTR_NODUMP | STATX_ATTR_COMPRESSED, "statx says so");
    CHECK((mask & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP | STATX_ATTR_COMPRESSED)) ==
              (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP | STATX_ATTR_COMPRESSED),
          "... and which it knows: 0x%lx", mask);
    FAILS(set_flags("f", FS_DIRSYNC_FL), EOPNOTSUPP, "+D on a file");
    FAILS(set_flags("f", FS_TOPDIR_FL), EOPNOTSUPP, "+T on a file");
    FAILS(set_flags("f", 0x2000), EOPNOTSUPP, "a flag that is none");
    OKAY(set_flags("f", FS_INDEX_FL), "one that is shown, but not to be set, is passed by");
    IS(flags_of("f"), 0, "... and the others are gone");
    FAILS(set_flags("f", FS_EXTENT_FL), EINVAL, "+e: the format has no extents");
    FAILS(set_flags("f", 0x40000000), EOPNOTSUPP, "+F");
    OKAY(set_flags("d", FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_SYNC_FL), "+DTS on a folder");
    IS(flags_of("d"), FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_SYNC_FL, "they are there");
    OKAY(set_flags("d", 0), "none");
    fd = open("f", O_RDONLY);
    FAILS(ioctl(fd, FS_IOC_GETFLAGS, (void *)8), EFAULT, "a bad pointer");
    FAILS(ioctl(fd, FS_IOC_SETFLAGS, (void *)8), EFAULT, "a bad pointer to set from");
    OKAY(ioctl(fd, FS_IOC_GETVERSION, &was), "FS_IOC_GETVERSION");
    OKAY(ioctl(fd, IOC_GETVERSION_EXT, &value), "... under its older number");
    IS(value, was, "the same");
    value = 4711;
    OKAY(ioctl(fd, FS_IOC_SETVERSION, &value), "FS_IOC_SETVERSION");
    OKAY(ioctl(fd, FS_IOC_GETVERSION, &was), "get it again");
    IS(was, 4711, "it is there");
    close(fd);
    OKAY(statx(AT_FDCWD, "f", 0, STATX_BTIME, &st), "statx");
    CHECK((st.stx_mask & STATX_BTIME) && st.stx_btime.tv_sec <= st.stx_ctime.tv_sec && st.stx_btime.tv_sec > 0,
          "knows when the file was made");
    fd = open("/dev/null", O_RDONLY);
    FAILS(ioctl(fd, FS_IOC_GETFLAGS, &value), ENOTTY, "a device has no flags");
    close(fd);
}

static void fsxattr(void)
{
    struct fsxattr x;
    int fd = open("f", O_RDONLY), dir = open("d", O_RDONLY);

    OKAY(set_flags("f", FS_NODUMP_FL | FS_COMPR_FL), "+dc");
    memset(&x, 0xff, sizeof(x));
    OKAY(ioctl(fd, FS_IOC_FSGETXATTR, &x), "FS_IOC_FSGETXATTR");
    IS(x.fsx_xflags, FS_XFLAG_NODUMP, "shows what it has a number for");
    CHECK(x.fsx_extsize == 0 && x.fsx_nextents == 0 && x.fsx_projid == 0 && x.fsx_cowextsize == 0, "and nothing else");
    x.fsx_xflags = FS_XFLAG_NOATIME | FS_XFLAG_SYNC;
    OKAY(ioctl(fd, FS_IOC_FSSETXATTR, &x), "FS_IOC_FSSETXATTR");
    IS(flags_of("f"), FS_NOATIME_FL | FS_SYNC_FL | FS_COMPR_FL, "changes those, and leaves the others");
    x.fsx_xflags = FS_XFLAG_EXTSZINHERIT;
    FAILS(ioctl(fd, FS_IOC_FSSETXATTR, &x), EINVAL, "a folder's flag on a file");
    x.fsx_xflags = FS_XFLAG_EXTSIZE;
    FAILS(ioctl(dir, FS_IOC_FSSETXATTR, &x), EINVAL, "a file's flag on a folder");
    x.fsx_xflags = 0;
    x.fsx_projid = 5;
    FAILS(ioctl(fd, FS_IOC_FSSETXATTR, &x), EOPNOTSUPP, "a project, where there are none");
    FAILS(ioctl(fd, FS_IOC_FSGETXATTR, (void *)8), EFAULT, "a bad pointer");
    FAILS(ioctl(fd, FS_IOC_FSSETXATTR, (void *)8), EFAULT, "a bad pointer to set from");
    OKAY(set_flags("f", 0), "no flags");
    close(fd);
    close(dir);
}

/* ---- who may ---- */

struct wish {
    const char *name;
    int flags;
};

static int as_alice(void *argument)
{
    struct wish *wish = argument;

    if (setgroups(0, NULL) || setresgid(ALICE, ALICE, ALICE) || setresuid(ALICE, ALICE, ALICE))
        return 250;
    return set_flags(wish->name, wish->flags) ? errno : 0;
}

static int result_as_alice(const char *name, int flags)
{
    struct wish wish = {name, flags};

    return in_child(as_alice, &wish).status;
}

static void rights(void)
{
    make("hers", "text");
    CHECK(chown("hers", ALICE, ALICE) == 0 && chmod(".", 0755) == 0, "a file of Alice's");
    IS(result_as_alice("f", FS_NODUMP_FL), EPERM, "another's file");
    IS(result_as_alice("hers", FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL), 0, "her own");
    IS(result_as_alice("hers", FS_IMMUTABLE_FL), EPERM, "+i needs a capability");
    IS(result_as_alice("hers", FS_APPEND_FL), EPERM, "+a too");
    IS(result_as_alice("hers", FS_JOURNAL_DATA_FL), EPERM, "+j needs another one");
    OKAY(set_flags("hers", FS_APPEND_FL), "root sets +a");
    IS(result_as_alice("hers", 0), EPERM, "she cannot take it away");
    OKAY(set_flags("hers", 0), "root can");
}

/* ---- +i, +a ---- */

static int store(void *address)
{
    *(volatile char *)address = 'x';
    return 0;
}

static void immutable(void)
{
    struct timespec past[2] = {{1, 0}, {1, 0}};
    int fd = open("f", O_RDWR);
    char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    map[0] = 'T'; /* the page is dirty, and mapped for writing */
    OKAY(set_flags("f", FS_IMMUTABLE_FL), "+i");
    FAILS(write(fd, "x", 1), EPERM, "write by a descriptor that was open before");
    DIES(store, map, SIGBUS, ANY_CODE, 0, "store through a mapping that was there before");
    FAILS(ftruncate(fd, 0), EPERM, "ftruncate");
    FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1), EPERM, "fallocate");
    FAILS(fchmod(fd, 0600), EPERM, "fchmod");
    munmap(map, PAGE);
    close(fd);
    FAILS(opens("f", O_WRONLY), EPERM, "open for writing");
    FAILS(opens("f", O_RDWR | O_APPEND), EPERM, "open for appending");
    FAILS(opens("f", O_RDONLY | O_TRUNC), EPERM, "open with O_TRUNC");
    OKAY(opens("f", O_RDONLY), "open for reading");
    FAILS(access("f", W_OK), EPERM, "access W_OK");
    FAILS(truncate("f", 0), EPERM, "truncate");
    FAILS(chmod("f", 0600), EPERM, "chmod");
    FAILS(chown("f", 1, 1), EPERM, "chown");
    FAILS(utimensat(AT_FDCWD, "f", past, 0), EPERM, "utimensat");
    FAILS(utimensat(AT_FDCWD, "f", NULL, 0), EPERM, "utimensat to the present");
    FAILS(unlink("f"), EPERM, "unlink");
    FAILS(rename("f", "g"), EPERM, "rename");
    make("other", "other");
    FAILS(rename("other", "f"), EPERM, "rename over it");
    FAILS(link("f", "g"), EPERM, "link");
    FAILS(setxattr("f", "user.a", "1", 1, 0), EPERM, "setxattr");
    FAILS(setxattr("f", "trusted.a", "1", 1, 0), EPERM, "setxattr trusted.");
    FAILS(set_flags("f", FS_IMMUTABLE_FL | FS_NODUMP_FL), EPERM, "other flags while it is there");
    OKAY(set_flags("f", FS_IMMUTABLE_FL), "the same again");
    OKAY(set_flags("f", FS_NODUMP_FL), "taking it away, with another change");
    OKAY(set_flags("f", 0), "none");
    OKAY(opens("f", O_RDWR), "it can be written again");
}

/* While somebody sets attributes all the time: once +i is there, none changes. */
static void immutable_meanwhile(void)
{
    int fd, changed = 0, immutable = FS_IMMUTABLE_FL, none = 0;
    pid_t pid;

    make("busy", "text");
    fd = (int)NEED(open("busy", O_RDWR));
    OKAY(fsetxattr(fd, "user.n", &none, sizeof(none), 0), "an attribute");
    pid = (pid_t)NEED(fork());
    if (pid == 0)
        for (int n = 0;; n++)
            fsetxattr(fd, "user.n", &n, sizeof(n), 0);
    for (int round = 0; round < 1000; round++) {
        int before = -1, after = -2;

        NEED(ioctl(fd, FS_IOC_SETFLAGS, &immutable));
        fgetxattr(fd, "user.n", &before, sizeof(before));
        for (volatile int wait = 0; wait < 2000; wait++)
            ;
        fgetxattr(fd, "user.n", &after, sizeof(after));
        changed += before != after;
        NEED(ioctl(fd, FS_IOC_SETFLAGS, &none));
        for (volatile int wait = round % 300; wait > 0; wait--)
            ;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    IS(changed, 0, "an attribute does not change any more once +i is there");
    close(fd);
    OKAY(unlink("busy"), "and the file goes");
}

static void immutable_folder(void)
{
    make("d/there", "text");
    OKAY(set_flags("d", FS_IMMUTABLE_FL), "+i on a folder");
    FAILS(opens("d/new", O_WRONLY | O_CREAT), EPERM, "create");
    FAILS(mkdir("d/new", 0755), EPERM, "mkdir");
    FAILS(symlink("x", "d/new"), EPERM, "symlink");
    FAILS(mknod("d/new", S_IFIFO | 0600, 0), EPERM, "mknod");
    FAILS(link("other", "d/new"), EPERM, "link");
    FAILS(unlink("d/there"), EPERM, "unlink");
    FAILS(rename("d/there", "d/here"), EPERM, "rename in it");
    FAILS(rename("other", "d/other"), EPERM, "rename into it");
    FAILS(rename("d", "e"), EPERM, "rename it");
    FAILS(rmdir("d"), EPERM, "rmdir");
    FAILS(opens("d", O_TMPFILE | O_RDWR), EPERM, "O_TMPFILE");
    OKAY(opens("d/there", O_RDWR | O_CREAT), "what is there can be written");
    OKAY(set_flags("d", FS_APPEND_FL), "+a instead");
    OKAY(opens("d/new", O_WRONLY | O_CREAT), "create");
    OKAY(mkdir("d/dir", 0755), "mkdir");
    FAILS(unlink("d/new"), EPERM, "unlink");
    FAILS(rmdir("d/dir"), EPERM, "rmdir");
    FAILS(rename("d/new", "d/newer"), EPERM, "rename");
    OKAY(rename("other", "d/other"), "rename into it");
    IS(flags_of("d/dir"), 0, "neither is inherited");
    OKAY(set_flags("d", 0), "none");
}

static void append_only(void)
{
    struct timespec past[2] = {{1, 0}, {1, 0}};
    int fd;
    char text[16] = "";

    make("f", "text");
    OKAY(set_flags("f", FS_APPEND_FL), "+a");
    FAILS(opens("f", O_WRONLY), EPERM, "open for writing");
    FAILS(opens("f", O_WRONLY | O_APPEND | O_TRUNC), EPERM, "open with O_TRUNC");
    OKAY(opens("f", O_RDONLY), "open for reading");
    fd = open("f", O_RDWR | O_APPEND);
    CHECK(fd >= 0, "open for appending");
    OKAY(pwrite(fd, "+", 1, 0), "write goes to the end");
    CHECK(pread(fd, text, sizeof(text), 0) == 5 && !memcmp(text, "text+", 5), "... and nowhere else");
    FAILS(fcntl(fd, F_SETFL, 0), EPERM, "F_SETFL cannot take O_APPEND away");
    OKAY(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK), "... but change others");
    FAILS(ftruncate(fd, 0), EPERM, "ftruncate");
    FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1), EPERM, "a hole");
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES, "a shared mapping");
    CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED, "a private one may be");
    close(fd);
    FAILS(truncate("f", 0), EPERM, "truncate");
    FAILS(truncate("f", 100), EPERM, "truncate to more");
    FAILS(chmod("f", 0600), EPERM, "chmod");
    FAILS(chown("f", 1, 1), EPERM, "chown");
    FAILS(utimensat(AT_FDCWD, "f", past, 0), EPERM, "utimensat");
    OKAY(utimensat(AT_FDCWD, "f", NULL, 0), "utimensat to the present");
    FAILS(unlink("f"), EPERM, "unlink");
    FAILS(link("f", "g"), EPERM, "link");
    FAILS(rename("f", "g"), EPERM, "rename");
    FAILS(setxattr("f", "user.a", "1", 1, 0), EPERM, "setxattr");
    OKAY(set_flags("f", 0), "none");
}

/* ---- inheritance ---- */

static void inheritance(void)
{
    int in_folder = FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_DIRSYNC_FL | FS_JOURNAL_DATA_FL | FS_TOPDIR_FL;

    mkdir("p", 0755);
    OKAY(set_flags("p", in_folder), "a folder with flags");
    make("p/file", "text");
    mkdir("p/dir", 0755);
    mknod("p/fifo", S_IFIFO | 0600, 0);
    IS(flags_of("p/file"), FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_JOURNAL_DATA_FL, "what a file inherits");
    IS(flags_of("p/dir"), in_folder & ~FS_TOPDIR_FL, "what a folder inherits");
    OKAY(unlink("p/file"), "unlink the journalled file");
}

/* ---- +j, +S, +A ---- */

static char big[300 * 1024], again[sizeof(big)];

static void fill(unsigned seed)
{
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(seed = seed * 1103515245 + 12345);
}

static int same(int fd)
{
    return pread(fd, again, sizeof(again), 0) == (ssize_t)sizeof(again) && !memcmp(big, again, sizeof(big));
}

static void journalled(void)
{
    int fd = open("j", O_RDWR | O_CREAT, 0644);
    char *map;

    for (int round = 0; round < 6; round++) {
        int on = round % 2 == 0 ? FS_JOURNAL_DATA_FL : 0;

        fill(round);
        OKAY(pwrite(fd, big, sizeof(big), 0), "round %d: write", round);
        map = mmap(NULL, sizeof(big), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        map[5 * PAGE + 7] = big[5 * PAGE + 7] = 'm';
        if (round == 3)
            fsync(fd);
        OKAY(set_flags("j", on), "change the mode with dirty pages");
        IS(flags_of("j"), on, "it has changed");
        map[9 * PAGE + 7] = big[9 * PAGE + 7] = 'n';
        big[3 * PAGE + 3] = 'w';
        OKAY(pwrite(fd, "w", 1, 3 * PAGE + 3), "write in the new mode");
        munmap(map, sizeof(big));
        if (round >= 4)
            OKAY(fsync(fd), "fsync");
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        CHECK(same(fd), "the file has what it should");
    }
    OKAY(ftruncate(fd, 1000), "truncate");
    OKAY(set_flags("j", FS_JOURNAL_DATA_FL), "+j");
    OKAY(ftruncate(fd, 10), "truncate");
    OKAY(set_flags("j", FS_SYNC_FL | FS_NOATIME_FL), "+SA");
    OKAY(pwrite(fd, "text", 4, 2), "write");
    OKAY(ftruncate(fd, 6), "truncate");
    close(fd);
}

static void no_atime(void)
{
    struct timespec past[2] = {{1000, 0}, {2000, 0}};
    struct stat st;
    char c;
    int fd = open("j", O_RDONLY);

    OKAY(futimens(fd, past), "an access long ago");
    OKAY(read(fd, &c, 1), "read");
    OKAY(fstat(fd, &st), "stat");
    IS(st.st_atime, 1000, "+A: is not noted");
    OKAY(set_flags("j", 0), "-A");
    OKAY(read(fd, &c, 1), "read");
    OKAY(fstat(fd, &st), "stat");
    CHECK(st.st_atime > 1000, "is noted");
    close(fd);
}

static void body(void)
{
    setting();
    fsxattr();
    rights();
    immutable();
    immutable_meanwhile();
    immutable_folder();
    append_only();
    inheritance();
    journalled();
    no_atime();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
