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

/* attr.c */
/* Changes attributes with the inode locked for writing; ctime is set too. => all permission checks done */
int inode_change(struct inode *inode, struct attributes *attr);
int inode_truncate(struct inode *inode, u64 size);
/* A write by somebody without CAP_FSETID takes setuid and setgid bits away. => inode->lock for writing */
int inode_strip_privileges(struct inode *inode);

/* read_write.c */
ssize_t file_read_uio(struct file *file, struct uio *uio, u64 *pos);
ssize_t file_write_uio(struct file *file, struct uio *uio, u64 *pos);
int file_fsync(struct file *file, u64 from, u64 to, bool data_only);

/* anon.c: inodes without a name in any directory: pipes, eventfds... */
struct inode *anon_inode(u32 mode);    /* a new one; ERR_PTR(-ENOMEM) */
struct inode *anon_inode_shared(void); /* the one that all anon_inode:[...] files share, referenced */
void anon_init(void);

#endif
