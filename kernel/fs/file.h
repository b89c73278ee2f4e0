/* Inside fs/ and the file calls of sys/: parts of files that others need not know. */
#ifndef FS_FILE_H
#define FS_FILE_H

#include "fs/vfs.h"

#define RW_MAX 0x7ffff000ul /* bytes that one read or write moves at most */

/* file.c */
struct file *file_alloc(u32 flags);         /* no inode, path, ops yet; NULL */
void file_free(struct file *file);          /* one that was never given to anybody */
int inode_allow_write(struct inode *inode); /* -ETXTBSY */
int inode_deny_write(struct inode *inode);
void path_accessed(const struct path *path);

static inline bool is_later(const struct timespec64 *a, const struct timespec64 *b)
{
    return a->sec > b->sec || (a->sec == b->sec && a->nsec > b->nsec);
}

/* relatime: reading is noted only when the file changed since, or once a day (mount(8)); and only if that would be
 * another time than it has. In how many nanoseconds it will be; 0 or less: it is. */
static inline s64 inode_atime_due_in(const struct inode *inode)
{
    const s64 day = 24 * 3600 * (s64)NSEC_PER_SEC;
    s64 age = (s64)(time_ns() + time_realtime_offset()) - inode->atime.sec * (s64)NSEC_PER_SEC;

    if (likely(is_later(&inode->atime, &inode->mtime) && is_later(&inode->atime, &inode->ctime)))
        return day - age;
    age -= inode->atime.nsec;
    return age < 0 ? 0 : (s64)MAX(TIME_STEP, (u64)inode->super->time_granularity) - age;
}

/* flags.c: ioctl(2)'s of ioctl_iflags(2), ioctl_fsgetxattr(2). -ENOTTY: COMMAND is none of them, or has no flags */
long inode_flags_ioctl(struct file *file, unsigned command, u64 argument);

/* epoll.c */
void epoll_forget_file(struct file *file);

/* device.c: the drivers of device numbers */
int device_register(u32 mode, u32 dev, const struct file_ops *ops, void *private);
/* Gives FILE, opened on a device node, its driver's operations: -ENXIO when there is none. */
int device_open(struct inode *inode, struct file *file);

/* pipe.c */
int fifo_open(struct inode *inode, struct file *file);
int pipe_create(struct file *ends[2], u32 flags);
long pipe_get_size(struct file *file); /* -EBADF: not a pipe */
long pipe_set_size(struct file *file, u64 bytes);

/* FILE's flags in MASK become those of FLAGS; others may be changed at the same time. */
static inline void file_change_flags(struct file *file, u32 mask, u32 flags)
{
    u32 old = load_relaxed(&file->flags);

    while (!atomic_cas(&file->flags, &old, (old & ~mask) | (flags & mask)))
        ;
}

/* attr.c */
int inode_truncate(struct inode *inode, u64 size);
/* The mode without the bits that a change of the contents or the owner takes away. S_ISGID without group execution once
 * meant mandatory locking. */
static inline u32 mode_without_privileges(u32 mode)
{
    mode &= ~(u32)S_ISUID;
    if (mode & 0010)
        mode &= ~(u32)S_ISGID;
    return mode;
}
/* A write by somebody without CAP_FSETID takes setuid and setgid bits away. => inode->lock for writing */
int inode_strip_set_bits(struct inode *inode);
static inline int inode_strip_privileges(struct inode *inode)
{
    return likely(!(inode->mode & (S_ISUID | S_ISGID))) ? 0 : inode_strip_set_bits(inode);
}

/* read_write.c */
static inline bool file_appends(const struct file *file, const struct uio *uio)
{
    return unlikely(uio->append != UIO_AS_OPENED) ? uio->append == UIO_APPEND : (file->flags & O_APPEND) != 0;
}
ssize_t file_read_uio(struct file *file, struct uio *uio, u64 *pos);
ssize_t file_write_uio(struct file *file, struct uio *uio, u64 *pos);
int file_fsync(struct file *file, u64 from, u64 to, bool data_only);

/* anon.c: inodes without a name in any directory: pipes, eventfds... */
struct inode *anon_inode(u32 mode);            /* a new one; ERR_PTR(-ENOMEM) */
bool inode_is_anon(const struct inode *inode); /* of one of these two */
struct inode *anon_inode_shared(void);         /* the one that all anon_inode:[...] files share, referenced */
void anon_init(void);

#endif
