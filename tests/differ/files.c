/*
 * Calls on files, by name and by descriptor; the set "user" is the same by a user without rights among files of
 * several owners.
 */
#include "differ.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>

/* --- Arguments --- */

static long open_flags(void)
{
    static const long more[] = {O_CREAT,    O_CREAT,     O_EXCL,    O_TRUNC,    O_APPEND,  O_DIRECTORY,
                                O_NOFOLLOW, O_PATH,      O_TMPFILE, O_NONBLOCK, O_CLOEXEC, O_NOATIME,
                                O_DSYNC,    O_LARGEFILE, O_ASYNC,   1L << 30,   1L << 25};
    long flags = (long)draw(4) | O_NONBLOCK;

    for (unsigned i = draw(4); i > 0; i--)
        flags |= draw_of(more, COUNT(more));
    tell(" 0%lo", flags);
    return flags;
}

static struct stat attributes;
static long stat_buffer(void)
{
    memset(&attributes, 0, sizeof(attributes));
    return (long)&attributes;
}

/* The size of a folder is up to the file system, and the descriptors of other kinds have modes of the kernel's own. */
static void show_stat(long result, const long *arguments)
{
    (void)arguments;
    if (result != 0 || attributes.st_mode == 0)
        return;
    tell(" mode %o nlink %u size %ld owner %u:%u blksize %ld", attributes.st_mode, (unsigned)attributes.st_nlink,
         S_ISREG(attributes.st_mode) || S_ISLNK(attributes.st_mode) ? (long)attributes.st_size : 0, attributes.st_uid,
         attributes.st_gid, S_ISREG(attributes.st_mode) ? (long)attributes.st_blksize : 0);
}

static struct statx extended;
static long statx_buffer(void)
{
    memset(&extended, 0, sizeof(extended));
    return chance(40) ? 8 : (long)&extended;
}

static void show_statx(long result, const long *arguments)
{
    (void)arguments;
    if (result == 0 && S_ISREG(extended.stx_mode))
        tell(" mask %x size %ld nlink %u attributes %lx", extended.stx_mask & STATX_BASIC_STATS,
             (long)extended.stx_size, extended.stx_nlink, (long)extended.stx_attributes);
}

static struct timespec times[2];
static long two_times(void)
{
    static const long parts[] = {0, 5, 999999999, 1000000000, -1, UTIME_NOW, UTIME_OMIT};

    if (chance(4))
        return 0;
    for (int i = 0; i < 2; i++) {
        times[i].tv_sec = (long)draw(100);
        times[i].tv_nsec = draw_of(parts, COUNT(parts));
        tell(" %ld.%ld", (long)times[i].tv_sec, times[i].tv_nsec);
    }
    return (long)times;
}

static long name_or_null(void) { return chance(5) ? 0 : name(); }

/* A position that a call reads and moves, or none. */
static loff_t positions[2];
static unsigned next_position;
static long position(void)
{
    loff_t *p = &positions[next_position++ % 2];

    if (chance(2))
        return 0;
    *p = DRAW_OF(0, 10, 100, 4096, 9999, 1 << 20, -1, INT64_MAX);
    return (long)p;
}

static void show_positions(long result, const long *arguments)
{
    (void)result;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            if (arguments[i] == (long)&positions[j])
                tell(" position %ld", (long)positions[j]);
}

static struct iovec vector[3];
static long vectors(void)
{
    vector[0] = (struct iovec){buffer, 10};
    vector[1] = (struct iovec){buffer + 10, draw(2) ? 0 : 4000};
    vector[2] = (struct iovec){chance(10) ? (void *)8 : buffer + 5000, 300};
    tell(" %zu%s", vector[1].iov_len, vector[2].iov_base == (void *)8 ? "<bad>" : "");
    return (long)vector;
}

static void show_vectors(long result, const long *arguments)
{
    (void)arguments;
    if (result > 0)
        tell(" #%lx #%lx", sum_of(buffer, 4010), sum_of(buffer + 5000, 300));
    fill_buffer();
}

static void show_link(long result, const long *arguments)
{
    (void)arguments;
    if (result > 0)
        tell(" %.*s", result > 12 ? 12 : (int)result, buffer);
    fill_buffer();
}

/* --- Calls that need more than a line --- */

static void run_getdents(void)
{
    int fd = (int)descriptor();
    unsigned room = chance(3) ? draw(40) : BUFFER_SIZE;
    long result;

    tell(" %u", room);
    result = syscall(SYS_getdents64, fd, buffer, room);
    if (result > 0)
        tell(" = some");
    else
        tell_result(result);
    fill_buffer();
}

static void run_fcntl(void)
{
    int fd = (int)descriptor();
    long command = DRAW_OF(F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETPIPE_SZ, F_SETPIPE_SZ, F_GET_SEALS, F_ADD_SEALS,
                           F_GETOWN, F_SETOWN, F_GETSIG, F_SETSIG, F_GETLEASE, 777, F_GET_RW_HINT, F_SET_RW_HINT,
                           F_GETOWN_EX, 1024 + 3 /* F_DUPFD_QUERY */, 1024 + 4 /* F_CREATED_QUERY */, F_NOTIFY);
    long value = DRAW_OF(0, 1, 4096, O_APPEND, O_NONBLOCK | O_APPEND, -1, 1 << 20);

    if (command == F_GET_RW_HINT || command == F_SET_RW_HINT || command == F_GETOWN_EX) {
        static uint64_t cell[2];

        cell[0] = value & 7;
        value = (long)cell;
    }
    if (command == F_NOTIFY) /* would outlive the call */
        value = 0;
    tell_result(syscall(SYS_fcntl, fd, command, value));
}

static void run_dupfd(void)
{
    int fd = (int)descriptor();
    long command = DRAW_OF(F_DUPFD, F_DUPFD_CLOEXEC), lowest = DRAW_OF(30, 31, 1 << 20, -1);
    long result = syscall(SYS_fcntl, fd, command, lowest);

    tell_result(result);
    if (result >= 30)
        close((int)result);
}

static void run_ioctl(void)
{
    static char room[64];
    int fd = (int)descriptor(), *value = (int *)room;
    long command = DRAW_OF(FIONREAD, FIOCLEX, FIONCLEX, FIONBIO, FIOASYNC, TCGETS, TIOCGWINSZ, 2, 0x12345, FIOQSIZE,
                           FIGETBSZ, FICLONE, BLKGETSIZE64);
    long result;

    memset(room, 0, sizeof(room));
    if (command == FIONBIO)
        *value = 1;
    result = syscall(SYS_ioctl, fd, command, command == FICLONE ? 11 : (long)room);
    tell_result(result);
    if (result == 0 && (command == FIONREAD || command == FIGETBSZ))
        tell(" %d", *value);
}

static void run_poll(void)
{
    struct pollfd p[2];

    p[0].fd = (int)descriptor();
    p[0].events = 0x7fff;
    p[1].fd = (int)descriptor();
    p[1].events = POLLIN;
    p[0].revents = p[1].revents = 0;
    tell_result(poll(p, 2, 0));
    tell(" %x %x", p[0].revents, p[1].revents);
}

static void run_statfs(void)
{
    struct statfs s = {0};
    long result = chance(2) ? fstatfs((int)descriptor(), &s) : statfs((const char *)name(), &s);

    tell_result(result);
    if (result == 0)
        tell(" type %lx block %ld name %ld", (long)s.f_type, (long)s.f_bsize, (long)s.f_namelen);
}

static void show_folder(long result, const long *arguments)
{
    (void)arguments;
    if (result == 0 && chdir(folder))
        _exit(8);
}

/* --- Extended attributes --- */

static long attribute(void)
{
    static const char *const attribute_names[] = {
        "user.a", "user.b", "user.", "trusted.t", "security.s", "nope.x", "", "user.a", "system.posix_acl_access",
        "user"};
    const char *drawn = attribute_names[draw(COUNT(attribute_names))];

    tell(" %s", *drawn ? drawn : "''");
    return chance(60) ? 8 : (long)drawn;
}

/* --- The table --- */

#define NAME FROM(name)
#define FD FROM(descriptor)
#define DIRFD FROM(dirfd)
#define OFFSET FROM(file_offset)
#define NEAR FROM(near_offset)
#define SIZE FROM(size)
#define AT_CWD ONE_OF(AT_FDCWD)

static const struct call calls[] = {
    TOLD(openat, 4, show_placed, DIRFD, NAME, FROM(open_flags), ONE_OF(0640)),
    CALL(close, 1, FD),
    CALL(write, 2, FD, FROM(in_buffer), SIZE),
    TOLD(read, 2, show_bytes, FD, FROM(out_buffer), SIZE),
    TOLD(pread64, 1, show_bytes, FD, FROM(out_buffer), SIZE, OFFSET),
    CALL(pwrite64, 1, FD, FROM(in_buffer), SIZE, NEAR),
    CALL(lseek, 1, FD, OFFSET, ONE_OF(0, 1, 2, 3, 4, 5, 77)),
    CALL(ftruncate, 1, FD, NEAR),
    CALL(truncate, 1, NAME, NEAR),
    CALL(fallocate, 1, FD, ONE_OF(0, 1, 2, 3, 3, 8, 16, 17, 32, 64, 128), NEAR, NEAR),
    CALL(unlinkat, 2, DIRFD, NAME, ONE_OF(0, 0, AT_REMOVEDIR, 0x1000)),
    CALL(mkdirat, 1, DIRFD, NAME, ONE_OF(0750, 01777, 07777)),
    CALL(renameat2, 3, DIRFD, NAME, AT_CWD, NAME, ONE_OF(0, 0, 0, 1, 2, 3, 4, 5, 8)),
    CALL(linkat, 2, DIRFD, NAME, AT_CWD, NAME, ONE_OF(0, 0, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, 1)),
    CALL(symlinkat, 1, NAME, DIRFD, NAME),
    TOLD(readlinkat, 1, show_link, DIRFD, NAME, FROM(out_buffer), ONE_OF(100, 0, 1, 3, -1)),
    TOLD(newfstatat, 2, show_stat, DIRFD, NAME, FROM(stat_buffer),
         ONE_OF(0, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, 1, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
                0x10000)),
    TOLD(fstat, 1, show_stat, FD, FROM(stat_buffer)),
    TOLD(statx, 1, show_statx, DIRFD, NAME,
         ONE_OF(0, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC, 0x6000, 1),
         ONE_OF(STATX_BASIC_STATS, STATX_SIZE, 0, 1L << 31, 0xfff), FROM(statx_buffer)),
    RUN(statfs, 1),
    CALL(faccessat, 1, DIRFD, NAME, ONE_OF(0, 1, 2, 4, 7, 8)),
    CALL(faccessat2, 1, DIRFD, NAME, ONE_OF(0, 1, 2, 4, 7, 8),
         ONE_OF(0, AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1)),
    CALL(fchmodat, 1, DIRFD, NAME, ONE_OF(0644, 0777, 04755, 0100000, 0, 02000)),
    CALL(fchmodat2, 1, DIRFD, NAME, ONE_OF(0644, 0777, 06755), ONE_OF(0, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, 1)),
    CALL(fchmod, 1, FD, ONE_OF(0644, 0600, 07777)),
    CALL(fchownat, 1, DIRFD, NAME, ONE_OF(0, 1000, -1), ONE_OF(0, 1000, -1),
         ONE_OF(0, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, 2)),
    CALL(utimensat, 1, DIRFD, FROM(name_or_null), FROM(two_times), ONE_OF(0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1)),
    RUN(fcntl, 2),
    CALL(dup3, 1, FD, FD, ONE_OF(0, O_CLOEXEC, 1)),
    RUN(dupfd, 1),
    TOLD(pipe2, 1, show_placed_two, FROM(place_fds),
         ONE_OF(O_NONBLOCK, O_NONBLOCK | O_CLOEXEC, O_NONBLOCK | O_DIRECT, 1)),
    TOLD(sendfile, 1, show_positions, FD, FD, FROM(position), SIZE),
    TOLD(splice, 1, show_positions, FD, FROM(position), FD, FROM(position), SIZE, ONE_OF(2, 2, 3, 6, 18)),
    CALL(tee, 1, FD, FD, SIZE, ONE_OF(2, 3, 18)),
    TOLD(vmsplice, 1, show_vectors, FD, FROM(vectors), ONE_OF(3, 2, 1, 0, 1025), ONE_OF(2, 2, 10, 18)),
    TOLD(copy_file_range, 1, show_positions, FD, FROM(position), FD, FROM(position), SIZE, ONE_OF(0, 0, 0, 1)),
    CALL(flock, 1, FD, ONE_OF(LOCK_SH | LOCK_NB, LOCK_EX | LOCK_NB, LOCK_UN, LOCK_NB, 77, 32 | LOCK_NB)),
    CALL(fsync, 1, FD),
    CALL(fdatasync, 1, FD),
    CALL(syncfs, 1, FD),
    RUN(getdents, 1),
    TOLD(fchdir, 1, show_folder, FD),
    TOLD(chdir, 1, show_folder, NAME),
    CALL(mknodat, 1, DIRFD, NAME,
         ONE_OF(S_IFIFO | 0600, S_IFREG | 0600, 0600, S_IFDIR | 0700, S_IFCHR | 0600, S_IFSOCK | 0600, S_IFLNK | 0777,
                0xf000),
         ONE_OF(0x103)),
    TOLD(preadv2, 1, show_vectors, FD, FROM(vectors), ONE_OF(3, 3, 2, 0, 1025, -1), OFFSET, ONE_OF(0),
         ONE_OF(0, 0, 1, 2, 4, 16, 0x40, 0x100)),
    CALL(pwritev2, 1, FD, FROM(vectors), ONE_OF(3, 3, 2, 0, 1025, -1), NEAR, ONE_OF(0),
         ONE_OF(0, 0, 1, 2, 4, 8, 16, 0x20, 0x40, 0x100)),
    CALL(fadvise64, 1, FD, OFFSET, OFFSET, ONE_OF(0, 1, 2, 3, 4, 5, 6, 77)),
    CALL(readahead, 1, FD, OFFSET, SIZE),
    CALL(sync_file_range, 1, FD, OFFSET, OFFSET, ONE_OF(0, 1, 2, 4, 7, 8)),
    RUN(ioctl, 1),
    RUN(poll, 1),
    TOLD(socketpair, 1, show_placed_two, ONE_OF(1, 1, 2, 99),
         ONE_OF(SOCK_NONBLOCK | 1, SOCK_NONBLOCK | 2, SOCK_NONBLOCK | 5, SOCK_NONBLOCK | 3, 9), ONE_OF(0, 0, 0, 1, 77),
         FROM(place_fds)),
    TOLD(eventfd2, 1, show_placed, ONE_OF(0, 3, 0xffffffff),
         ONE_OF(EFD_NONBLOCK, EFD_NONBLOCK | EFD_CLOEXEC, EFD_NONBLOCK | EFD_SEMAPHORE, 2)),
    TOLD(memfd_create, 1, show_placed, FROM(attribute), ONE_OF(0, 1, 2, 3, 8, 0x10, 0x18, 64)),
    CALL(setxattr, 1, NAME, FROM(attribute), FROM(in_buffer), ONE_OF(0, 1, 10, 200, 70000, 5000),
         ONE_OF(0, 0, 1, 2, 3, 4)),
    CALL(lsetxattr, 1, NAME, FROM(attribute), FROM(in_buffer), ONE_OF(1, 10), ONE_OF(0)),
    CALL(fsetxattr, 1, FD, FROM(attribute), FROM(in_buffer), ONE_OF(0, 1, 10, 200), ONE_OF(0, 1, 2)),
    TOLD(getxattr, 1, show_bytes, NAME, FROM(attribute), FROM(out_buffer), ONE_OF(0, 1, 300, 70000)),
    TOLD(fgetxattr, 1, show_bytes, FD, FROM(attribute), FROM(out_buffer), ONE_OF(0, 1, 300)),
    CALL(listxattr, 1, NAME, FROM(out_buffer), ONE_OF(0, 1, 300)),
    CALL(removexattr, 1, NAME, FROM(attribute)),
    CALL(fremovexattr, 1, FD, FROM(attribute)),
};

/* --- The sets --- */

static void quiet_signals(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGIO, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

static void prepare_files(void)
{
    quiet_signals();
    make_files();
}

static void make_owned(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    if (chown(path, uid, gid) || chmod(path, mode))
        _exit(8);
}

#define USER 1000

static void prepare_user(void)
{
    prepare_files();
    close(open("t", O_RDONLY));
    if (mkdir("t", 01777) || mkdir("gd", 0775) || mkdir("no", 0700) || mkdir("nx", 0766))
        _exit(8);
    close(open("t/r", O_CREAT | O_RDWR, 0644));
    close(open("t/u", O_CREAT | O_RDWR, 0644));
    close(open("ro", O_CREAT | O_RDWR, 0444));
    make_owned("t", 0, 0, 01777);
    make_owned("t/u", USER, USER, 06755);
    make_owned("gd", 0, USER, 02775);
    make_owned("d", USER, USER, 0755);
    make_owned("d/e", USER, USER, 0755);
    make_owned("f", USER, 0, 0664);
    make_owned("ro", USER, USER, 0444);
    make_owned("nx", 0, 0, 0766);
    make_owned(".", USER, USER, 0755);
    if (setgroups(0, NULL) || setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
        _exit(8);
}

const struct set files_set = {"files", calls, COUNT(calls), prepare_files, NULL, NULL, NULL};
const struct set user_set = {"user", calls, COUNT(calls), prepare_user, NULL, NULL, NULL};
