/* Files: Linux's calls with xv6's flags, paths, structures and rules. */
#include "lib/machine.h"
#include "lib/linux.h"
#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/fs.h"
#include "kernel/stat.h"
#include "user/user.h"

#define ACCESS_MODE 3
#define ALL_MAY 0777
#define CONSOLE_DEVICE (5 << 8 | 1)                  /* Linux's numbers */
#define NO_DEVICE(minor) (240 << 8 | ((minor)&0xff)) /* Linux keeps 240 free */

/* What the library itself has open is out of the program's reach. */
static int is_users(int fd) { return fd >= 0 && fd < NOFILE; }

int open(const char *path, int flags)
{
    int how = flags & ACCESS_MODE;
    char taken[MAXPATH];
    long fd;

    if (xv6_take_path(taken, path) < 0)
        return -1;
    if (!taken[0] && !(flags & O_CREATE))
        strcpy(taken, "."); /* xv6 starts there and goes no further */
    how |= (flags & O_CREATE ? LINUX_O_CREAT : 0) | (flags & O_TRUNC ? LINUX_O_TRUNC : 0);
    if (!(flags & O_NOFOLLOW))
        return or_minus_one(linux_(LINUX_openat, LINUX_AT_FDCWD, taken, how, ALL_MAY));
    fd = linux_(LINUX_openat, LINUX_AT_FDCWD, taken, how | LINUX_O_NOFOLLOW, ALL_MAY);
    if (fd == -LINUX_ELOOP) /* a symbolic link itself */
        fd = linux_(LINUX_openat, LINUX_AT_FDCWD, taken, LINUX_O_PATH | LINUX_O_NOFOLLOW, 0);
    return or_minus_one(fd);
}

int close(int fd) { return is_users(fd) ? or_minus_one(linux_(LINUX_close, fd)) : -1; }

int dup(int fd) { return is_users(fd) ? or_minus_one(linux_(LINUX_dup, fd)) : -1; }

int pipe(int fds[2]) { return or_minus_one(linux_(LINUX_pipe2, fds, 0)); }

/* A file takes all of it or fails, and has no holes: after its end there is nothing to write to. Pipes take what they
 * can. */
int write(int fd, const void *from, int length)
{
    struct linux_stat info;
    long at, written;

    if (!is_users(fd) || length < 0)
        return -1;
    at = linux_(LINUX_lseek, fd, 0, LINUX_SEEK_CUR);
    if (at < 0 || linux_(LINUX_fstat, fd, &info) < 0 || (info.mode & LINUX_S_IFMT) != LINUX_S_IFREG)
        return or_minus_one(linux_(LINUX_write, fd, from, length));
    if (at > info.size)
        return -1;
    written = linux_(LINUX_write, fd, from, length);
    return written == length ? length : -1;
}

/* ---- Directories, read as files of 16-byte entries ---- */

/* One entry of Linux's, as xv6's. Inode numbers have 16 bits there, of which 0 says that the entry is free. */
static struct dirent convert(const struct linux_dirent *from)
{
    struct dirent entry = {.inum = (ushort)from->ino ? (ushort)from->ino : 1};

    for (int i = 0; i < DIRSIZ && from->name[i]; i++)
        entry.name[i] = from->name[i];
    return entry;
}

/*
 * Reads whole entries, as many as LENGTH has room for. The place in the directory is the open file's own, which dup
 * and fork share: it is set back to after what was handed out.
 */
static int read_directory(int fd, char *to, int length)
{
    uint64 space[64];
    char *buffer = (char *)space;
    int done = 0, room = length / (int)sizeof(struct dirent);

    while (done < room) {
        long got = linux_(LINUX_getdents64, fd, buffer, sizeof(space)), next = 0;

        if (got <= 0)
            return got < 0 ? -1 : done * (int)sizeof(struct dirent);
        for (long at = 0; at < got && done < room; done++) {
            struct linux_dirent *from = (struct linux_dirent *)(buffer + at);
            struct dirent entry = convert(from);

            if (xv6_copy_out(to + done * sizeof(entry), &entry, sizeof(entry)) < 0)
                return -1;
            at += from->length;
            next = from->next;
        }
        linux_(LINUX_lseek, fd, next, LINUX_SEEK_SET);
    }
    return done * (int)sizeof(struct dirent);
}

int read(int fd, void *to, int length)
{
    long got = is_users(fd) && length >= 0 ? linux_(LINUX_read, fd, to, length) : -1;

    if (got == -LINUX_EISDIR || got == -LINUX_EINVAL) /* EINVAL: some have their end at the largest number there is */
        return read_directory(fd, to, length);
    return or_minus_one(got);
}

/* ---- What files are ---- */

int fstat(int fd, struct stat *to)
{
    struct linux_stat from;
    struct stat result = {0};

    if (!is_users(fd) || linux_(LINUX_fstat, fd, &from) < 0)
        return -1;
    result.dev = (int)from.dev;
    result.ino = (uint)from.ino;
    result.nlink = (short)from.nlink;
    result.size = (uint64)from.size;
    switch (from.mode & LINUX_S_IFMT) {
    case LINUX_S_IFDIR:
        result.type = T_DIR;
        result.nlink--; /* xv6 does not count the folder's own "." */
        break;
    case LINUX_S_IFREG:
        result.type = T_FILE;
        break;
    case LINUX_S_IFLNK:
        result.type = T_SYMLINK;
        break;
    case LINUX_S_IFCHR:
    case LINUX_S_IFBLK:
        result.type = T_DEVICE;
        break;
    default:
        return -1; /* a pipe */
    }
    return xv6_copy_out(to, &result, sizeof(result));
}

int stat(const char *path, struct stat *to)
{
    int fd = open(path, O_RDONLY), result;

    if (fd < 0)
        return -1;
    result = fstat(fd, to);
    close(fd);
    return result;
}

/* ---- Names ---- */

int link(const char *path, const char *new_path)
{
    char taken[MAXPATH], new_taken[MAXPATH];

    if (xv6_take_path(taken, path) < 0 || xv6_take_path(new_taken, new_path) < 0)
        return -1;
    return or_minus_one(linux_(LINUX_linkat, LINUX_AT_FDCWD, taken, LINUX_AT_FDCWD, new_taken, 0));
}

int symlink(const char *target, const char *path)
{
    char taken_target[MAXPATH], taken[MAXPATH];

    if (xv6_take_path(taken_target, target) < 0 || xv6_take_path(taken, path) < 0)
        return -1;
    return or_minus_one(linux_(LINUX_symlinkat, taken_target, LINUX_AT_FDCWD, taken));
}

/* Empty folders go by the same call as files. */
int unlink(const char *path)
{
    char taken[MAXPATH];
    long result;

    if (xv6_take_path(taken, path) < 0)
        return -1;
    result = linux_(LINUX_unlinkat, LINUX_AT_FDCWD, taken, 0);
    if (result == -LINUX_EISDIR)
        result = linux_(LINUX_unlinkat, LINUX_AT_FDCWD, taken, LINUX_AT_REMOVEDIR);
    return or_minus_one(result);
}

int mkdir(const char *path)
{
    char taken[MAXPATH];

    return xv6_take_path(taken, path) < 0 ? -1 : or_minus_one(linux_(LINUX_mkdirat, LINUX_AT_FDCWD, taken, ALL_MAY));
}

int mknod(const char *path, short major, short minor)
{
    int device = major == CONSOLE ? CONSOLE_DEVICE : NO_DEVICE(minor);
    char taken[MAXPATH];

    if (xv6_take_path(taken, path) < 0)
        return -1;
    return or_minus_one(linux_(LINUX_mknodat, LINUX_AT_FDCWD, taken, LINUX_S_IFCHR | ALL_MAY, device));
}

int chdir(const char *path)
{
    char taken[MAXPATH];

    if (xv6_take_path(taken, path) < 0)
        return -1;
    return or_minus_one(linux_(LINUX_chdir, taken[0] ? taken : "."));
}
