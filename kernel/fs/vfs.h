/*
 * The virtual file system: what file systems provide (super_ops, inode_ops, file_ops), and the objects they share.
 *
 *   fd table -> file (open description: offset, flags) -> inode (the file; embeds its page cache `object`) -> super
 *   path -> dentry (a name in the name cache; fs/dentry.h) -> inode
 *
 * A super is a mounted file system. File systems know inodes and names, never dentries or paths. Errors are negative
 * errnos.
 *
 * Locks (all sleeping): super.rename_lock (moves of directories) -> inode.lock of directories (parent first, else by
 * address) -> inode.lock of files -> the file system's own. VFS holds dir->lock for writing around create...rename, for
 * reading around lookup and readdir; the file's lock for writing around write, setattr, fallocate. No inode lock is
 * held while user memory is touched, except by write(): its source may be a mapping, so page faults never take
 * inode.lock (object.h's prepare_write neither).
 */
#ifndef FS_VFS_H
#define FS_VFS_H

#include "lib/cred.h"
#include "fs/name.h"
#include "lib/errno.h"
#include "lib/list.h"
#include "sched/wait.h"
#include "vm/object.h"
#include "vm/uio.h"

struct inode;
struct file;
struct super;
struct dentry;
struct poll_table;
struct path;
struct mount;

/* ---- ABI numbers (stat(2), open(2), asm-generic) ---- */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFLNK 0120000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define S_ISUID 04000
#define S_ISGID 02000
#define S_ISVTX 01000
#define S_ISREG(m) (((m)&S_IFMT) == S_IFREG)
#define S_ISDIR(m) (((m)&S_IFMT) == S_IFDIR)
#define S_ISLNK(m) (((m)&S_IFMT) == S_IFLNK)
#define S_ISCHR(m) (((m)&S_IFMT) == S_IFCHR)
#define S_ISBLK(m) (((m)&S_IFMT) == S_IFBLK)
#define S_ISFIFO(m) (((m)&S_IFMT) == S_IFIFO)
#define S_ISSOCK(m) (((m)&S_IFMT) == S_IFSOCK)

#define O_RDONLY 00
#define O_WRONLY 01
#define O_RDWR 02
#define O_ACCMODE 03
#define O_CREAT 0100
#define O_EXCL 0200
#define O_NOCTTY 0400
#define O_TRUNC 01000
#define O_APPEND 02000
#define O_NONBLOCK 04000
#define O_DSYNC 010000
#define O_ASYNC 020000
#define O_DIRECT 040000
#define O_LARGEFILE 0100000
#define O_DIRECTORY 0200000
#define O_NOFOLLOW 0400000
#define O_NOATIME 01000000
#define O_CLOEXEC 02000000
#define O_SYNC 04010000
#define O_PATH 010000000
#define O_TMPFILE 020200000

#define DT_UNKNOWN 0
#define DT_FIFO 1
#define DT_CHR 2
#define DT_DIR 4
#define DT_BLK 6
#define DT_REG 8
#define DT_LNK 10
#define DT_SOCK 12
#define mode_to_dt(mode) (((mode)&S_IFMT) >> 12)

#define PATH_MAX 4096

/* A device number as the kernel's stat structures have it (32 bits: 12-bit major, 20-bit minor). */
#define makedev(major, minor) ((u32)(((minor)&0xff) | ((major) << 8) | (((minor) & ~0xffu) << 12)))
#define dev_major(dev) (((dev) >> 8) & 0xfff)
#define dev_minor(dev) (((dev)&0xff) | (((dev) >> 12) & 0xfff00))

struct timespec64 {
    s64 sec;
    s64 nsec;
};

/* ---- inode ---- */
struct inode {
    struct super *super;
    u64 ino;
    u32 mode; /* type and permissions */
    u32 uid, gid;
    u32 nlink;
    u32 rdev; /* devices */
    u32 generation;
    u32 flags;  /* FS_*_FL: chattr(1) */
    u64 blocks; /* 512-byte units */
    struct timespec64 atime, mtime, ctime;
    u64 atime_fresh_until;   /* arch_ticks(): relatime notes no reading before; 0: not known. A hint of generic.c */
    struct timespec64 btime; /* when it was made; 0: not known */
    const struct inode_ops *ops;
    const struct file_ops *file_ops; /* of files opened on it; devices and FIFOs get theirs at open */
    struct object object;            /* page cache; object.size is the file's size, for every type */
    struct rwlock lock;

    /* fs/inode.c */
    u32 refs;
    u32 state; /* INODE_* */
    struct list hash_link, lru_link, dirty_link, super_link;
    struct list dentries;    /* aliases */
    struct watch *watches;   /* inotify.c */
    struct pipe *pipe;       /* FIFOs */
    struct lock_list *locks; /* fcntl, flock */
    u32 write_opens;         /* files open for writing; negative counts deny (ETXTBSY) are kept in exec_opens */
    u32 exec_opens;
    const char *link; /* symlinks held in memory: the target; else ops->read_link */
    u64 dirty_since;  /* time_ns() of the first change since it was clean */
    u8 write_hint;    /* fcntl F_SET_RW_HINT: told again, not acted upon */
};
#define INODE_NEW BIT(0)         /* being filled in; look-ups wait */
#define INODE_DIRTY BIT(1)       /* super_ops.write_inode is due (attributes) */
#define INODE_DIRTY_PAGES BIT(2) /* object has dirty pages */
#define INODE_FREEING BIT(3)
#define INODE_HASHED BIT(4)   /* inode_get finds it */
#define INODE_SWAP BIT(5)     /* a swap file: keeps its blocks and its name */
#define INODE_NAMELESS BIT(7) /* of O_TMPFILE | O_EXCL: never gets a name */
#define INODE_LASTING BIT(6)  /* its name stays, though its directory has names that come and go (revalidate) */

static inline struct inode *object_inode(struct object *o) { return container_of(o, struct inode, object); }
static inline u64 inode_size(const struct inode *inode) { return load_relaxed(&inode->object.size); }

/* ioctl_iflags(2)'s: those that the VFS heeds. The others are the file system's, inherited and shown. */
#define FS_COMPR_FL 0x4
#define FS_SYNC_FL 0x8
#define FS_IMMUTABLE_FL 0x10
#define FS_APPEND_FL 0x20
#define FS_NODUMP_FL 0x40
#define FS_NOATIME_FL 0x80
#define FS_JOURNAL_DATA_FL 0x4000
#define FS_DIRSYNC_FL 0x10000
#define FS_DAX_FL 0x2000000
#define FS_PROJINHERIT_FL 0x20000000
#define FS_FLAGS_SHOWN 0x725bdfffu /* the rest is a disk format's own */

struct attributes { /* what setattr changes: the fields of `valid` */
    unsigned valid; /* ATTR_* */
    u32 mode, uid, gid;
    u64 size;
    struct timespec64 atime, mtime, ctime;
};
#define ATTR_MODE BIT(0)
#define ATTR_UID BIT(1)
#define ATTR_GID BIT(2)
#define ATTR_SIZE BIT(3)
#define ATTR_ATIME BIT(4)
#define ATTR_MTIME BIT(5)
#define ATTR_CTIME BIT(6)

#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#define RENAME_WHITEOUT 4 /* the old name is a character device 0:0 then, as overlays mark what is gone */
#define WHITEOUT_MODE S_IFCHR
#define WHITEOUT_DEVICE 0

/* Of several files' operations: lseek(2), fallocate(2), setxattr(2), ioctl(2). */
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define SEEK_DATA 3
#define SEEK_HOLE 4
#define FALLOC_FL_KEEP_SIZE 0x01
#define FALLOC_FL_PUNCH_HOLE 0x02
#define XATTR_CREATE 0x1
#define XATTR_REPLACE 0x2
#define FIONREAD 0x541B /* how many bytes can be read */

/* NEW inodes come back with one reference. The VFS has checked names, types, permissions, mounts, and that source and
 * target are what the man page wants (EEXIST, ENOTDIR; ENOTEMPTY is the file system's). */
struct inode_ops {
    /* The inode that NAME means in DIR: ERR_PTR(-ENOENT, -EIO...). Never "." or "..". */
    struct inode *(*lookup)(struct inode *dir, struct name name);
    struct inode *(*create)(struct inode *dir, struct name name, u32 mode); /* regular file; mode with umask applied */
    struct inode *(*mkdir)(struct inode *dir, struct name name, u32 mode);
    struct inode *(*symlink)(struct inode *dir, struct name name, const char *target);
    struct inode *(*mknod)(struct inode *dir, struct name name, u32 mode, u32 rdev); /* devices, FIFOs, sockets */
    struct inode *(*tmpfile)(struct inode *dir, u32 mode);                           /* O_TMPFILE: nlink 0 */
    int (*link)(struct inode *dir, struct name name, struct inode *inode);
    int (*unlink)(struct inode *dir, struct name name, struct inode *inode);
    int (*rmdir)(struct inode *dir, struct name name, struct inode *inode); /* -ENOTEMPTY */
    /* TARGET is what is there under the new name, or NULL. FLAGS: RENAME_EXCHANGE, RENAME_WHITEOUT
     * or 0. */
    int (*rename)(struct inode *old_dir, struct name old_name, struct inode *inode, struct inode *new_dir,
                  struct name new_name, struct inode *target, unsigned flags);
    /* Symlink's target into BUF (PATH_MAX bytes, NUL added): length. */
    ssize_t (*read_link)(struct inode *inode, char *buf, size_t size);
    /* Changes attributes (all checks done), object_set_size included; NULL: inode_setattr. */
    int (*setattr)(struct inode *inode, const struct attributes *attr);
    /* Refreshes fields that are computed (procfs) before stat; NULL: nothing to do. */
    void (*getattr)(struct inode *inode);
    /* Where page INDEX and those behind it are on the super block's device: the sector, and in *N how many follow each
     * other, at most what it was; 0: it has no place, or is not in one piece. For swap files; NULL: -EINVAL. */
    int (*find_pages)(struct inode *inode, u64 index, unsigned *n, u64 *sector);
    /* procfs: a "magic" link that leads to an open file, not a path (fd, exe, cwd): *PATH referenced. NULL:
     * ordinary. */
    int (*follow_link)(struct inode *inode, struct path *path);
    /* procfs: may a cached name still be used? NULL: yes. */
    bool (*revalidate)(struct inode *dir, struct name name, struct inode *inode);
    /* Extended attributes; NULL: -EOPNOTSUPP. */
    ssize_t (*getxattr)(struct inode *inode, const char *name, void *buf, size_t size);
    ssize_t (*listxattr)(struct inode *inode, char *buf, size_t size);
    int (*setxattr)(struct inode *inode, const char *name, const void *value, size_t size, int flags);
    int (*removexattr)(struct inode *inode, const char *name);
    /* All FS_*_FL shall be FLAGS; what the call's man page asks for is checked. => inode->lock for writing.
     * -EOPNOTSUPP, -EPERM... NULL: no flags, -ENOTTY */
    int (*set_flags)(struct inode *inode, u32 flags);
};

struct dir_context {
    u64 pos; /* cookie of the next entry; the file's offset */
    /* False: the buffer is full, stop before this entry (its cookie stays). NEXT_POS: the cookie after it. */
    bool (*emit)(struct dir_context *ctx, const char *name, unsigned length, u64 ino, unsigned type, u64 next_pos);
};

/* ---- open file description ---- */
struct path {
    struct mount *mount;
    struct dentry *dentry;
};

struct file {
    u32 refs;
    u32 flags; /* O_* as F_GETFL shows; O_APPEND, O_NONBLOCK... may change */
    bool can_read, can_write;
    struct inode *inode; /* referenced */
    struct path path;    /* referenced; dentry NULL for pipes and the like */
    const struct file_ops *ops;
    u64 pos;
    struct mutex pos_lock; /* read, write, lseek, getdents of one offset */
    struct readahead readahead;
    u32 error_seen; /* object.error_sequence that fsync has reported */
    void *private;
    bool was_created;                /* by the open that made this: fcntl(F_CREATED_QUERY) */
    bool counts_write, denies_write; /* part of inode->write_opens, inode->exec_opens until the last reference goes */
    struct list epoll_links;         /* fs/epoll.c */
    struct async *async;             /* fs/async.c: whom to signal; NULL: never asked for */
    /* "pipe:[12]", "anon_inode:[eventfd]"...: what /proc/PID/fd shows without a dentry; the owner's memory. NULL for
     * sockets, which are named after their inode. */
    const char *anon_name;
};

#define POLLIN 0x1
#define POLLPRI 0x2
#define POLLOUT 0x4
#define POLLERR 0x8
#define POLLHUP 0x10
#define POLLNVAL 0x20
#define POLLRDNORM 0x40
#define POLLRDBAND 0x80
#define POLLWRNORM 0x100
#define POLLWRBAND 0x200
#define POLLRDHUP 0x2000

struct file_ops {
    int (*open)(struct inode *inode, struct file *file); /* may replace file->ops, set private; NULL: fine */
    void (*release)(struct file *file);                  /* last reference is gone */
    int (*flush)(struct file *file);                     /* each close(2) */
    void (*unmapped)(struct file *file);                 /* a mapping of it is gone. NULL: nothing */
    /* Bytes or -errno; *POS advances. Non-blocking when file->flags & O_NONBLOCK. NULL: -EINVAL. */
    ssize_t (*read)(struct file *file, struct uio *uio, u64 *pos);
    ssize_t (*write)(struct file *file, struct uio *uio, u64 *pos);
    s64 (*seek)(struct file *file, s64 offset, int whence);           /* NULL: -ESPIPE; generic_seek */
    int (*read_dir)(struct file *file, struct dir_context *ctx);      /* "." and ".." too. NULL: -ENOTDIR */
    long (*ioctl)(struct file *file, unsigned command, u64 argument); /* NULL: -ENOTTY */
    /* Ready events; with TABLE not NULL, first poll_wait() on each queue that tells of changes. NULL: always readable
     * and writable. */
    unsigned (*poll)(struct file *file, struct poll_table *table);
    /* What mmap maps: the object (no reference given; FILE keeps it), NULL for private anonymous memory (/dev/zero),
     * ERR_PTR(-ENODEV). Op NULL: -ENODEV. */
    struct object *(*map)(struct file *file, bool shared);
    int (*fsync)(struct file *file, u64 from, u64 to, bool data_only);     /* NULL: -EINVAL */
    int (*fallocate)(struct file *file, int mode, u64 offset, u64 length); /* NULL: -EOPNOTSUPP */
    /* More lines for /proc/PID/fdinfo, into BUF: how many bytes. NULL: none. */
    size_t (*describe)(struct file *file, char *buf, size_t size);
};

/* Ready-made operations for files that live in the page cache. */
ssize_t generic_read(struct file *file, struct uio *uio, u64 *pos);
/* All of write(2): takes inode->lock, appends, keeps to limits, strips setuid bits, stamps times, object_write, and
 * ops->fsync for O_SYNC. */
ssize_t generic_write(struct file *file, struct uio *uio, u64 *pos);
/* The same, if MAY says 0 of N bytes at POS. => MAY: inode->lock for writing */
ssize_t generic_write_if(struct file *file, struct uio *uio, u64 *pos,
                         int (*may)(const struct file *file, u64 pos, size_t n));
/* Writes the file's pages and, unless DATA_ONLY, its attributes back, then super_ops.sync: 0 or the first error. */
int generic_fsync(struct file *file, u64 from, u64 to, bool data_only);
/* Something was read: updates atime as the mount's options and O_NOATIME say (relatime). generic_read does it
 * itself. */
void file_accessed(struct file *file);
s64 generic_seek_within(struct file *file, s64 offset, int whence, s64 size, u64 max);
s64 generic_seek(struct file *file, s64 offset, int whence); /* 0..max size; SEEK_DATA/HOLE treat all as data */
struct object *generic_map(struct file *file, bool shared);

/* ---- super block ---- */
struct statfs_info {
    u64 type, block_size, blocks, free, available, files, files_free, name_max, fragment_size, fsid, flags;
};

struct super_ops {
    struct inode *(*alloc_inode)(struct super *super);  /* the file system's struct that embeds an inode, zeroed */
    void (*free_inode)(struct inode *inode);            /* its memory only */
    int (*write_inode)(struct inode *inode, bool wait); /* attributes to the buffers/disk. NULL: nothing on disk */
    /* Last reference gone (and nlink 0, or the cache lets go): with nlink 0, free the blocks and the disk inode. VFS
     * destroys the object afterwards. NULL: nothing. */
    void (*evict_inode)(struct inode *inode);
    /* Metadata, after VFS wrote all dirty inodes and pages; WAIT: on the medium. */
    int (*sync)(struct super *super, bool wait);
    void (*statfs)(struct super *super, struct statfs_info *info);
    /* Before it becomes read-only: no change begins (who wants to, waits), those under way end: 0. -EBUSY: one cannot
     * end in a while. RELEASE takes that back afterwards. NULL: changes are no concern. */
    int (*hold)(struct super *super);
    void (*release)(struct super *super);
    int (*remount)(struct super *super, bool read_only, const char *options);
    void (*put_super)(struct super *super);                            /* unmount: everything is synced and evicted */
    void (*show_options)(struct super *super, char *buf, size_t size); /* for /proc/mounts, "" or ",name=value..." */
};

struct super {
    const struct fs_type *type;
    const struct super_ops *ops;
    struct block_device *device; /* NULL: none */
    u32 dev;                     /* st_dev */
    unsigned block_size;
    bool read_only;
    bool synchronous;          /* mount -o sync: what a call changes is durable when it returns */
    bool synchronous_names;    /* mount -o dirsync: ... what it changes in directories */
    bool keep_unused;          /* inodes with no references stay cached (disk file systems) */
    unsigned time_granularity; /* ns: 1 or NSEC_PER_SEC */
    u64 max_size;
    struct inode *root; /* referenced */
    struct mutex rename_lock;
    void *private;
    /* fs/inode.c, fs/mount.c */
    struct spinlock lock; /* the lists */
    struct list inodes, dirty_inodes, link;
    unsigned mounts;
};

/* What a call changes in it is durable when it returns; and of a directory, its names. */
static inline bool inode_is_synchronous(const struct inode *inode)
{
    return inode->super->synchronous || (inode->flags & FS_SYNC_FL);
}
static inline bool inode_has_synchronous_names(const struct inode *inode)
{
    return inode_is_synchronous(inode) || inode->super->synchronous_names || (inode->flags & FS_DIRSYNC_FL);
}

struct fs_type {
    const char *name;
    bool needs_device;
    unsigned magic; /* statfs f_type */
    /* Fills SUPER (type, device, read_only are set): 0 or -errno. OPTIONS: mount(2)'s data, "" when none. */
    int (*mount)(struct super *super, const char *options);
    struct fs_type *next;
    bool single; /* all mounts show the same instance (devtmpfs) */
};
void fs_register(struct fs_type *type);

/* ---- inode cache (fs/inode.c) ---- */
/* The inode of (SUPER, INO) with a reference. *IS_NEW: it was not cached; fill it in, then inode_ready() or
 * inode_failed(). ERR_PTR(-ENOMEM). */
struct inode *inode_get(struct super *super, u64 ino, bool *is_new);
/* Not in the cache yet (ino unknown, or never looked up); one reference, owner and times from current. ERR_PTR. */
struct inode *inode_new(struct super *super);
void inode_insert(struct inode *inode); /* enters a new one under its ino */
void inode_ready(struct inode *inode);
void inode_failed(struct inode *inode); /* drops the reference too */
static inline void inode_hold(struct inode *inode) { atomic_add_relaxed(&inode->refs, 1); }
void inode_put(struct inode *inode);
void inode_mark_dirty(struct inode *inode); /* attributes changed; callable under spinlocks */
void inode_dirty_pages(struct object *o);   /* for object_ops.dirtied */
int inode_setattr(struct inode *inode, const struct attributes *attr); /* copies fields, marks dirty; not the size */
/* A fresh inode's owner, group (setgid directories), mode and times, as creat(2) wants. */
void inode_init_owner(struct inode *inode, const struct inode *dir, u32 mode);
/* As coarse as Linux's: what happens within one step needs no second write of the inode. */
#define TIME_STEP (4 * NSEC_PER_MSEC)
struct timespec64 current_time(const struct inode *inode); /* realtime, cut to the file system's granularity */
/* ATTR_ATIME | ATTR_MTIME | ATTR_CTIME := now; marks dirty. */
void inode_touch(struct inode *inode, unsigned attr_times);
int inode_write_now(struct inode *inode); /* its dirty attributes, at once: 0 or -errno */
int super_sync(struct super *super, bool wait);
int sync_all(bool wait);
/* For /proc: inodes in the cache, and those of them that something refers to. */
void inode_counts(u64 *cached, u64 *in_use);
u64 dentry_count(void);
u64 file_count(void);
u64 pipe_count(void);

/* ---- permissions (fs/permission.c) ---- */
#define MAY_EXEC 1
#define MAY_WRITE 2
#define MAY_READ 4
int inode_permission(const struct inode *inode, const struct cred *cred, unsigned may); /* 0, -EACCES, -EROFS */

/* ---- files (fs/file.c) ---- */
/* A file on INODE (reference taken over), not from a path: pipes, memfd. ERR_PTR(-ENFILE, -ENOMEM). */
struct file *file_create(struct inode *inode, u32 flags, const struct file_ops *ops);
static inline void file_get(struct file *file) { atomic_add_relaxed(&file->refs, 1); }
void file_put(struct file *file);
/* Opens PATH in the kernel's own name or the current thread's (exec, init): permissions are checked against CRED. */
struct file *file_open(const char *path, u32 flags, u32 mode);
struct file *file_open_at(int dirfd, const char *path, u32 flags, u32 mode);
/* Regular, executable, not noexec; nobody may write it as long as the file (also a mapping's) is there. */
struct file *file_open_exec(int dirfd, const char *path, int at_flags);
void file_put_exec(struct file *file);
ssize_t file_read(struct file *file, void *buf, size_t n, u64 pos); /* into kernel memory */
ssize_t file_write(struct file *file, const void *buf, size_t n, u64 pos);
/* What a path to FILE is from the root of the current thread, into BUF from its end: pointer into BUF; " (deleted)"
 * appended as Linux does. */
char *file_path(struct file *file, char *buf, size_t size);
char *path_name(const struct path *path, char *buf, size_t size);
void path_get(const struct path *path);
void path_put(const struct path *path);
/* A memory-only file (shared anonymous memory, memfd, SysV): unlinked, on tmpfs. NAME is what maps shows, e.g.
 * "/dev/zero". */
struct file *tmpfs_file_create(const char *name, u64 size, u32 flags);
/* PROT_* that a mapping of FILE may never have: PROT_EXEC on a noexec mount, PROT_WRITE of a shared one of a memfd
 * sealed against writing. */
unsigned file_forbidden_prot(const struct file *file, bool shared);
/* FILE's rights are looked at and a mapping that can become writable is made: until file_mapping_end() nobody can seal
 * FILE against that. False: nobody ever will, and there is nothing to end. */
bool file_mapping_begin(struct file *file, bool shared);
void file_mapping_end(struct file *file);
/* Whether a file's mapping counts as shmem (RssShmem). */
bool file_is_shmem(const struct file *file);
/* Of a file of huge pages, which has no memory: its sizes and offsets are multiples of super->block_size. */
bool inode_is_hugetlb(const struct inode *inode);

/* ---- descriptors (fs/fdtable.c) ---- */
struct fd_table *fd_table_create(void);
struct fd_table *fd_table_copy(struct fd_table *from); /* fork; ERR_PTR(-ENOMEM) */
void fd_table_get(struct fd_table *t);
void fd_table_put(struct fd_table *t);           /* the last one closes all */
/* The current thread gets a copy of its own if it shares its table; -ENOMEM. Others look at it meanwhile (task_files). */
int fd_table_unshare(void);
int fd_table_unshare_for_exec(void); /* the same, then closes close-on-exec ones */
/* The process whose folder below /proc FILE is, referenced; NULL: it is something else, or the process has gone. */
struct process *proc_folder_process(struct file *file);
struct file *fd_get(int fd);     /* current's; with a reference; NULL = EBADF (also for O_PATH: fd_get_any) */
struct file *fd_get_any(int fd); /* O_PATH descriptors too */
struct file *fd_table_file(struct fd_table *t, int fd); /* another process's (procfs): with a reference, or NULL */
int fd_table_next(struct fd_table *t, int fd);          /* lowest open descriptor >= FD, or -1 */
/* The file under FD, referenced, and whether exec closes it, at one moment; NULL: there is none. */
struct file *fd_table_entry(struct fd_table *t, int fd, bool *cloexec);
bool fd_table_cloexec(struct fd_table *t, int fd);
int fd_install(struct file *file, bool cloexec); /* lowest free; takes the reference over on success: fd or -EMFILE */
/* The same; but takes the reference over in any case, and FILE may be an error, which is returned. */
int fd_give(struct file *file, bool cloexec);

/* ---- root, cwd, umask (fs/fs_context.c) ---- */
struct fs_context {
    u32 refs;
    struct spinlock lock;
    struct path root, cwd;
    u32 umask;
};
struct fs_context *fs_context_copy(struct fs_context *from);
void fs_context_get(struct fs_context *c);
void fs_context_put(struct fs_context *c);

/* ---- poll (fs/poll.c) ---- */
void poll_wait(struct poll_table *table, struct wait_queue *queue);

/* ---- devices (fs/devfs) ---- */
/* Makes /dev/NAME (may contain '/') with OPS for opened files; they find PRIVATE in file->private. MODE includes
 * S_IFCHR or S_IFBLK. */
int devfs_add(const char *name, u32 mode, u32 dev, const struct file_ops *ops, void *private);
void devfs_remove(const char *name);
void devfs_set_owner(const char *name, u32 uid, u32 gid); /* a new node is root's */

/* ---- mounts (fs/mount.c) ---- */
/* The line of /proc/mounts (or, with INFO, of /proc/PID/mountinfo) for the next mount after *ID (0 at first), seen from
 * the current root: its length, or 0 after the last one. */
size_t mount_line(unsigned *id, bool info, char *buf, size_t size);
/* The NUMBERth registered file system type, or NULL: /proc/filesystems. */
const struct fs_type *fs_type_nth(unsigned number);

/* ---- boot ---- */
void vfs_init(void); /* caches, tmpfs, devfs, pipefs */
/* "/dev/vda", "ext3", ..., "data=journal"; and /dev, /proc, /sys, /tmp, /dev/shm where the directories exist. */
int vfs_mount_root(const char *device, const char *fs_type, bool read_only, const char *options);
void vfs_shutdown(void); /* sync, unmount everything; called once nothing runs any more */

#endif
