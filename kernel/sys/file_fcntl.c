/* System calls on descriptors and open files: dup(2), fcntl(2), flock(2), ioctl(2), pipe2(2), getdents64(2),
 * memfd_create(2). */
#include "fs/async.h"
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/notify.h"
#include "fs/locks.h"
#include "fs/tmpfs/tmpfs.h"
#include "lib/string.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

/* ---- dup ---- */

static long dup_from(int fd, int lowest, bool cloexec)
{
    struct file *file = fd_get_any(fd);
    int result;

    if (file == NULL)
        return -EBADF;
    result = fd_install_from(file, lowest, cloexec);
    if (result < 0)
        file_put(file);
    return result;
}

DEFINE_SYSCALL(sys_dup) { return dup_from((int)a0, 0, false); }

DEFINE_SYSCALL(sys_dup3)
{
    struct file *file;
    int result;

    if ((a2 & ~(u64)O_CLOEXEC) || (int)a0 == (int)a1)
        return -EINVAL;
    file = fd_get_any((int)a0);
    if (file == NULL)
        return -EBADF;
    result = fd_replace(file, (int)a1, (a2 & O_CLOEXEC) != 0);
    if (result < 0)
        file_put(file);
    return result;
}

/* ---- fcntl ---- */

#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_SETFL 4
#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_SETOWN 8
#define F_GETOWN 9
#define F_SETSIG 10
#define F_GETSIG 11
#define F_SETOWN_EX 15
#define F_GETOWN_EX 16
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#define F_SETLEASE 1024
#define F_GETLEASE 1025
#define F_NOTIFY 1026
#define DN_MULTISHOT 0x80000000u
#define F_DUPFD_QUERY 1027
#define F_CREATED_QUERY 1028
#define F_DUPFD_CLOEXEC 1030
#define F_SETPIPE_SZ 1031
#define F_GETPIPE_SZ 1032
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_GET_RW_HINT 1035
#define F_SET_RW_HINT 1036
#define FD_CLOEXEC 1

#define CHANGEABLE_FLAGS (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

static bool is_memfd(const struct file *file) { return file_is_shmem(file) && file->path.dentry == NULL; }

static long set_flags(int fd, struct file *file, u32 flags)
{
    u32 mode = file->inode->mode;
    int error;

    if (((flags ^ file->flags) & O_APPEND) && (file->inode->flags & FS_APPEND_FL))
        return -EPERM;
    if ((flags & O_DIRECT) && ((!S_ISREG(mode) && !S_ISBLK(mode) && !S_ISFIFO(mode)) || is_memfd(file)))
        return -EINVAL;
    if ((flags & O_NOATIME) && !(file->flags & O_NOATIME) && current->cred->fsuid != file->inode->uid &&
        !capable(current->cred, CAP_FOWNER))
        return -EPERM;
    if ((flags ^ file->flags) & O_ASYNC) {
        error = async_switch(file, fd, (flags & O_ASYNC) != 0);
        if (error != 0)
            return error;
    }
    file_change_flags(file, CHANGEABLE_FLAGS, flags);
    return 0;
}

/* ---- whom signals for input and output go to ---- */

struct f_owner_ex { /* the ABI's */
    s32 type, pid;
};

/* Below 0: a group. */
static long set_owner(struct file *file, int who)
{
    if (who == INT32_MIN)
        return -EINVAL;
    return async_set_owner(file, who < 0 ? TARGET_GROUP : TARGET_PROCESS, who < 0 ? -who : who);
}

static long get_owner(struct file *file)
{
    enum signal_target_kind kind;
    int number = async_get_owner(file, &kind);

    return kind == TARGET_GROUP ? -number : number;
}

static long set_owner_ex(struct file *file, u64 user)
{
    struct f_owner_ex owner;

    if (copy_from_user(&owner, (void *)user, sizeof(owner)) != 0)
        return -EFAULT;
    if (owner.type < TARGET_THREAD || owner.type > TARGET_GROUP)
        return -EINVAL;
    return async_set_owner(file, (enum signal_target_kind)owner.type, owner.pid);
}

static long get_owner_ex(struct file *file, u64 user)
{
    enum signal_target_kind kind;
    int number = async_get_owner(file, &kind);
    struct f_owner_ex owner = {(s32)kind, number};

    return copy_to_user((void *)user, &owner, sizeof(owner));
}

/* A process's lock on FILE, which was that of descriptor FD. Who closed that meanwhile has looked for locks before this
 * one was there: it goes again. */
static long set_process_lock(int fd, struct file *file, const struct flock_range *range, bool wait)
{
    struct flock_range none = *range;
    long error = lock_range_set(file, range, false, wait);
    struct file *now;

    if (error != 0 || range->type == F_UNLCK)
        return error;
    now = fd_get_any(fd);
    if (now != file) {
        none.type = F_UNLCK;
        (void)lock_range_set(file, &none, false, false);
        error = -EBADF;
    }
    if (now != NULL)
        file_put(now);
    return error;
}

static long fcntl_lock(int fd, struct file *file, unsigned command, u64 user)
{
    struct flock_range range;
    bool ofd = command >= F_OFD_GETLK;
    int error;

    if (copy_from_user(&range, (void *)user, sizeof(range)) != 0)
        return -EFAULT;
    if (command == F_OFD_SETLK || command == F_OFD_SETLKW)
        return lock_range_set(file, &range, true, command == F_OFD_SETLKW);
    if (command == F_SETLK || command == F_SETLKW)
        return set_process_lock(fd, file, &range, command == F_SETLKW);
    error = lock_range_test(file, &range, ofd);
    if (error != 0)
        return error;
    return copy_to_user((void *)user, &range, sizeof(range));
}

#define RWH_WRITE_LIFE_EXTREME 5

static long set_write_hint(struct inode *inode, u64 user)
{
    u64 hint;

    if (get_user_u64(&hint, (u64 *)user) != 0)
        return -EFAULT;
    if (hint > RWH_WRITE_LIFE_EXTREME)
        return -EINVAL;
    inode->write_hint = (u8)hint;
    return 0;
}

/* Whether descriptor FD is FILE, too. */
static long is_same_file(const struct file *file, int fd)
{
    struct file *other = fd_get_any(fd);
    bool same = other == file;

    if (other == NULL)
        return -EBADF;
    file_put(other);
    return same;
}

static long fcntl_file(int fd, struct file *file, unsigned command, u64 argument)
{
    switch (command) {
    case F_GETFL:
        return (long)file->flags;
    case F_SETFL:
        return set_flags(fd, file, (u32)argument);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return fcntl_lock(fd, file, command, argument);
    case F_GETOWN:
        return get_owner(file);
    case F_SETOWN:
        return set_owner(file, (int)argument);
    case F_GETOWN_EX:
        return get_owner_ex(file, argument);
    case F_SETOWN_EX:
        return set_owner_ex(file, argument);
    case F_GETSIG:
        return async_get_signal(file);
    case F_SETSIG:
        return argument > SIGNAL_MAX ? -EINVAL : async_set_signal(file, (int)argument);
    case F_GETPIPE_SZ:
        return pipe_get_size(file);
    case F_SETPIPE_SZ:
        return pipe_set_size(file, (u32)argument);
    case F_ADD_SEALS:
        return tmpfs_add_seals(file, (unsigned)argument);
    case F_GET_SEALS:
        return tmpfs_get_seals(file);
    case F_NOTIFY:
        return (unsigned)argument & ~DN_MULTISHOT ? -EINVAL : 0; /* 0 ends what never began */
    case F_GETLEASE:
        return F_UNLCK;
    case F_GET_RW_HINT:
        return put_user_u64(file->inode->write_hint, (u64 *)argument);
    case F_SET_RW_HINT:
        return set_write_hint(file->inode, argument);
    case F_DUPFD_QUERY:
        return is_same_file(file, (int)argument);
    case F_CREATED_QUERY:
        return file->was_created;
    default:
        return -EINVAL;
    }
}

static bool allowed_for_path_only(unsigned command)
{
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_GETFD || command == F_SETFD ||
           command == F_GETFL || command == F_DUPFD_QUERY || command == F_CREATED_QUERY;
}

DEFINE_SYSCALL(sys_fcntl)
{
    unsigned command = (unsigned)a1;
    struct file *file;
    long result;

    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return dup_from((int)a0, (int)a2, command == F_DUPFD_CLOEXEC);
    case F_GETFD:
        return fd_get_cloexec((int)a0);
    case F_SETFD:
        return fd_set_cloexec((int)a0, (a2 & FD_CLOEXEC) != 0);
    }
    file = allowed_for_path_only(command) ? fd_get_any((int)a0) : fd_get((int)a0);
    if (file == NULL)
        return -EBADF;
    result = fcntl_file((int)a0, file, command, a2);
    file_put(file);
    return result;
}

#define LOCK_MAND 32

DEFINE_SYSCALL(sys_flock)
{
    struct file *file;
    long result;

    if ((unsigned)a1 & LOCK_MAND) /* was for SMB's servers: Linux ignores it */
        return 0;
    if (!is_lock_operation((unsigned)a1)) /* even if the descriptor is bad, too */
        return -EINVAL;
    file = fd_get((int)a0);
    if (file == NULL)
        return -EBADF;
    result = lock_whole(file, (unsigned)a1);
    file_put(file);
    return result;
}

/* ---- ioctl ---- */

#define FIOCLEX 0x5451
#define FIONCLEX 0x5450
#define FIONBIO 0x5421
#define FIOASYNC 0x5452
#define FIGETBSZ 2
#define FIOQSIZE 0x5460
#define FICLONE 0x40049409
#define FICLONERANGE 0x4020940d

/* No file system here shares blocks between files; what is no file at all is told so first. */
static long refuse_clone(const struct file *to, u64 from_fd)
{
    struct file *from = fd_get((int)from_fd);
    long error = -EOPNOTSUPP;

    if (from == NULL)
        return -EBADF;
    if (from->inode->super != to->inode->super)
        error = -EXDEV;
    else if (S_ISDIR(from->inode->mode) || S_ISDIR(to->inode->mode))
        error = -EISDIR;
    else if (!S_ISREG(from->inode->mode) || !S_ISREG(to->inode->mode))
        error = -EINVAL;
    else if (!from->can_read || !to->can_write || (to->flags & O_APPEND))
        error = -EBADF;
    file_put(from);
    return error;
}

static long set_nonblocking(struct file *file, u64 user)
{
    u32 on;

    if (get_user_u32(&on, (u32 *)user) != 0)
        return -EFAULT;
    if (on)
        atomic_or(&file->flags, O_NONBLOCK);
    else
        atomic_and(&file->flags, ~(u32)O_NONBLOCK);
    return 0;
}

static long set_async(int fd, struct file *file, u64 user)
{
    u32 on;

    if (get_user_u32(&on, (u32 *)user) != 0)
        return -EFAULT;
    if (!on == !(file->flags & O_ASYNC))
        return 0;
    return async_is_possible(file) ? async_switch(file, fd, on != 0) : -ENOTTY;
}

static long ioctl_file(int fd, struct file *file, unsigned command, u64 argument)
{
    struct inode *inode = file->inode;
    long result;

    switch (command) {
    case FIOCLEX:
    case FIONCLEX:
        return fd_set_cloexec(fd, command == FIOCLEX);
    case FIONBIO:
        return set_nonblocking(file, argument);
    case FIOASYNC:
        return set_async(fd, file, argument);
    case FIGETBSZ:
        return put_user_u32(inode->super->block_size, (u32 *)argument);
    case FIOQSIZE:
        if (S_ISREG(inode->mode) || S_ISDIR(inode->mode) || S_ISLNK(inode->mode))
            return put_user_u64(inode_size(inode), (u64 *)argument);
        break;
    case FIONREAD:
        if (S_ISREG(inode->mode))
            return put_user_u32((u32)(inode_size(inode) - file->pos), (u32 *)argument);
        break;
    case FICLONE:
        return refuse_clone(file, argument);
    case FICLONERANGE:
        if (S_ISREG(inode->mode)) /* no file system here shares blocks */
            return -EOPNOTSUPP;
        break;
    }
    result = inode_flags_ioctl(file, command, argument);
    if (result != -ENOTTY)
        return result;
    return file->ops->ioctl != NULL ? file->ops->ioctl(file, command, argument) : -ENOTTY;
}

DEFINE_SYSCALL(sys_ioctl)
{
    struct file *file = fd_get((int)a0);
    long result;

    if (file == NULL)
        return -EBADF;
    result = ioctl_file((int)a0, file, (unsigned)a1, a2);
    file_put(file);
    return result;
}

/* ---- pipe2 ---- */

#define O_NOTIFICATION_PIPE O_EXCL

DEFINE_SYSCALL(sys_pipe2)
{
    u32 flags = (u32)a1;
    bool cloexec = (flags & O_CLOEXEC) != 0;
    struct file *ends[2];
    int fds[2], error;

    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    error = pipe_create(ends, flags & (O_NONBLOCK | O_DIRECT));
    if (error != 0)
        return error;
    fds[0] = fd_install(ends[0], cloexec);
    fds[1] = fds[0] >= 0 ? fd_install(ends[1], cloexec) : -1;
    if (fds[0] >= 0 && fds[1] >= 0) {
        if (copy_to_user((void *)a0, fds, sizeof(fds)) == 0)
            return 0;
        fd_close(fds[1]);
        fd_close(fds[0]);
        return -EFAULT;
    }
    error = fds[0] < 0 ? fds[0] : fds[1];
    file_put(ends[1]);
    if (fds[0] >= 0)
        fd_close(fds[0]);
    else
        file_put(ends[0]);
    return error;
}

/* ---- getdents64 ---- */

struct dirent { /* the ABI's linux_dirent64 */
    u64 ino;
    s64 next;
    u16 length;
    u8 type;
    char name[];
};
#define DIRENT_HEADER 19

/* Entries are collected in kernel memory, since the directory is locked meanwhile. */
struct collector {
    struct dir_context ctx;
    char *buffer;
    size_t size, used;
    int error; /* -EINVAL: not even one entry fits */
};

static bool collect(struct dir_context *ctx, const char *name, unsigned length, u64 ino, unsigned type, u64 next_pos)
{
    struct collector *c = container_of(ctx, struct collector, ctx);
    size_t n = ALIGN_UP((size_t)DIRENT_HEADER + length + 1, 8);
    struct dirent *d = (struct dirent *)(c->buffer + c->used);

    if (c->used + n > c->size) {
        c->error = c->used == 0 ? -EINVAL : 0;
        return false;
    }
    d->ino = ino;
    d->next = (s64)next_pos;
    d->length = (u16)n;
    d->type = (u8)type;
    memcpy((char *)d + DIRENT_HEADER, name, length);
    memset((char *)d + DIRENT_HEADER + length, 0, n - DIRENT_HEADER - length);
    c->used += n;
    return true;
}

static long read_entries(struct file *file, u64 user, size_t size)
{
    struct collector c = {.ctx = {.emit = collect}, .size = MIN(size, 32 * KIB)};
    struct inode *dir = file->inode;
    long result;

    if (file->ops->read_dir == NULL)
        return -ENOTDIR;
    c.buffer = kmalloc(c.size + 8);
    if (c.buffer == NULL)
        return -ENOMEM;
    mutex_lock(&file->pos_lock);
    c.ctx.pos = file->pos;
    read_lock(&dir->lock);
    result = dir->nlink == 0 ? -ENOENT : file->ops->read_dir(file, &c.ctx);
    read_unlock(&dir->lock);
    if (c.used > 0)
        result = copy_to_user((void *)user, c.buffer, c.used) != 0 ? -EFAULT : (long)c.used;
    else if (result == 0)
        result = c.error;
    if (result >= 0)
        file->pos = c.ctx.pos;
    mutex_unlock(&file->pos_lock);
    kfree(c.buffer);
    if (result >= 0) {
        notify_file(file, IN_ACCESS);
        file_accessed(file);
    }
    return result;
}

DEFINE_SYSCALL(sys_getdents64)
{
    struct file *file = fd_get((int)a0);
    long result;

    if (file == NULL)
        return -EBADF;
    result = read_entries(file, a1, (u32)a2);
    file_put(file);
    return result;
}

/* ---- memfd_create ---- */

#define MFD_CLOEXEC 1
#define MFD_ALLOW_SEALING 2
#define MFD_HUGETLB 4
#define MFD_NOEXEC_SEAL 8
#define MFD_EXEC 16
#define MFD_HUGE_SIZE_SHIFT 26 /* which pages: 2^n bytes */
#define MFD_HUGE_SIZE_MASK 63u
#define MFD_NAME_MAX 249

DEFINE_SYSCALL(sys_memfd_create)
{
    unsigned flags = (unsigned)a1, huge_bits = flags >> MFD_HUGE_SIZE_SHIFT & MFD_HUGE_SIZE_MASK;
    bool may_seal = (flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL)) != 0;
    char name[MFD_NAME_MAX + 1];
    struct file *file;
    ssize_t n;

    if (flags & MFD_HUGETLB)
        flags &= ~(MFD_HUGE_SIZE_MASK << MFD_HUGE_SIZE_SHIFT);
    if ((flags & ~(unsigned)(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_NOEXEC_SEAL | MFD_EXEC)) ||
        (flags & (MFD_NOEXEC_SEAL | MFD_EXEC)) == (MFD_NOEXEC_SEAL | MFD_EXEC))
        return -EINVAL;
    n = strncpy_from_user(name, (const char *)a0, sizeof(name));
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    if (flags & MFD_HUGETLB)
        file = tmpfs_huge_memfd_create(name, huge_bits, may_seal);
    else
        file = tmpfs_memfd_create(name, may_seal);
    if (IS_ERR(file))
        return PTR_ERR(file);
    if (flags & MFD_NOEXEC_SEAL) {
        file->inode->mode &= ~(u32)0111;
        tmpfs_inode(file->inode)->seals |= F_SEAL_EXEC;
    }
    return fd_give(file, (flags & MFD_CLOEXEC) != 0);
}
