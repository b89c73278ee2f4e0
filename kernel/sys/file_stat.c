/* Attributes looked at: stat(2), statx(2), statfs(2). */
#include "fs/attr.h"
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "lib/string.h"
#include "sys/file_target.h"
#include "sys/syscall.h"
#include "vm/uaccess.h"

/* ---- stat ---- */

struct user_stat { /* asm-generic */
    u64 dev, ino;
    u32 mode, nlink, uid, gid;
    u64 rdev, pad1;
    s64 size;
    s32 blksize, pad2;
    s64 blocks;
    s64 atime;
    u64 atime_nsec;
    s64 mtime;
    u64 mtime_nsec;
    s64 ctime;
    u64 ctime_nsec;
    u32 unused[2];
};
static_assert(sizeof(struct user_stat) == 128, "the ABI's struct stat");

static void fill_stat(struct user_stat *st, const struct inode *inode)
{
    st->dev = inode->super->dev;
    st->ino = inode->ino;
    st->mode = inode->mode;
    st->nlink = inode->nlink;
    st->uid = inode->uid;
    st->gid = inode->gid;
    st->rdev = inode->rdev;
    st->pad1 = 0;
    st->size = (s64)inode_size(inode);
    st->blksize = (s32)inode->super->block_size;
    st->pad2 = 0;
    st->blocks = (s64)inode->blocks;
    st->atime = inode->atime.sec;
    st->atime_nsec = (u64)inode->atime.nsec;
    st->mtime = inode->mtime.sec;
    st->mtime_nsec = (u64)inode->mtime.nsec;
    st->ctime = inode->ctime.sec;
    st->ctime_nsec = (u64)inode->ctime.nsec;
    st->unused[0] = st->unused[1] = 0;
}

/* Fills a buffer that lies in one page where it is, if nothing has to be done for that. Never sleeps. */
static inline bool fill_stat_in_place(struct inode *inode, u64 user)
{
    struct user_stat *st;

    if (unlikely(inode->ops->getattr != NULL || !IS_ALIGNED(user, sizeof(u64)) || !user_is_in_page(user, sizeof(*st))))
        return false;
    st = user_pin_write_present(user);
    if (unlikely(st == NULL))
        return false;
    fill_stat(st, inode);
    user_unpin();
    return true;
}

static noinline_fn int give_stat_slowly(struct inode *inode, u64 user)
{
    struct user_stat st;

    if (inode->ops->getattr != NULL)
        inode->ops->getattr(inode);
    fill_stat(&st, inode);
    return copy_to_user((void *)user, &st, sizeof(st));
}

static inline int give_stat(struct inode *inode, u64 user)
{
    return likely(fill_stat_in_place(inode, user)) ? 0 : give_stat_slowly(inode, user);
}

static int stat_descriptor(int fd, u64 user)
{
    struct fd_use use;
    int error;

    if (!fd_use(fd, true, &use))
        return -EBADF;
    error = give_stat(use.file->inode, user);
    fd_release(&use);
    return error;
}

DEFINE_SYSCALL(sys_fstat) { return stat_descriptor((int)a0, a1); }

static noinline_fn int stat_path_slowly(int dirfd, u64 user_name, unsigned lookup, u64 user)
{
    struct path path;
    int error = path_lookup_user(dirfd, (const char *)user_name, lookup, &path);

    if (error != 0)
        return error;
    error = give_stat(path_inode(&path), user);
    path_put(&path);
    return error;
}

static int stat_path(int dirfd, u64 user_name, unsigned lookup, u64 user)
{
    struct walk w;
    int error = walk_user(&w, dirfd, (const char *)user_name, lookup);
    bool done = true;

    if (likely(error == 0)) {
        if (likely(w.reading))
            done = fill_stat_in_place(w.inode, user);
        else
            error = give_stat(path_inode(&w.path), user);
    }
    walk_end(&w);
    return likely(done) ? error : stat_path_slowly(dirfd, user_name, lookup, user);
}

#define STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)

static noinline_fn int stat_empty_path(int fd, u64 user_name, unsigned flags, u64 user)
{
    struct target t;
    char first;
    int error;

    /* The C library's fstat. */
    if (fd >= 0 && copy_from_user(&first, (void *)user_name, 1) == 0 && first == '\0')
        return stat_descriptor(fd, user);
    error = target_get(&t, fd, user_name, flags);
    if (error != 0)
        return error;
    error = give_stat(t.inode, user);
    target_put(&t);
    return error;
}

DEFINE_SYSCALL(sys_newfstatat)
{
    unsigned flags = (unsigned)a3;

    if (flags & ~(unsigned)STAT_FLAGS)
        return -EINVAL;
    if (unlikely(flags & AT_EMPTY_PATH))
        return stat_empty_path((int)a0, a1, flags, a2);
    return stat_path((int)a0, a1, flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW, a2);
}

/* ---- statx ---- */

struct statx_time {
    s64 sec;
    u32 nsec;
    s32 reserved;
};

struct user_statx {
    u32 mask, blksize;
    u64 attributes;
    u32 nlink, uid, gid;
    u16 mode, pad1;
    u64 ino, size, blocks, attributes_mask;
    struct statx_time atime, btime, ctime, mtime;
    u32 rdev_major, rdev_minor, dev_major, dev_minor;
    u64 mount_id;
    u32 dio_mem_align, dio_offset_align;
    u64 spare[12];
};
static_assert(sizeof(struct user_statx) == 256, "the ABI's struct statx");

#define STATX_BASIC_STATS 0x7ff
#define STATX_BTIME 0x800
#define STATX_MNT_ID 0x1000
#define STATX_RESERVED 0x80000000u
#define STATX_ATTR_FLAGS (FS_COMPR_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL) /* the same bits */
#define STATX_ATTR_MOUNT_ROOT 0x2000
#define AT_STATX_SYNC_TYPE 0x6000

static struct statx_time statx_time(const struct timespec64 *t) { return (struct statx_time){t->sec, (u32)t->nsec, 0}; }

static int give_statx(const struct target *t, u64 user)
{
    struct inode *inode = t->inode;
    bool is_mount_root = t->path.mount != NULL && t->path.dentry == t->path.mount->root;
    struct user_statx st;

    if (inode->ops->getattr != NULL)
        inode->ops->getattr(inode);
    memset(&st, 0, sizeof(st));
    st.mask =
        STATX_BASIC_STATS | (t->path.mount != NULL ? STATX_MNT_ID : 0) | (inode->btime.sec != 0 ? STATX_BTIME : 0);
    st.blksize = inode->super->block_size;
    st.attributes = (is_mount_root ? STATX_ATTR_MOUNT_ROOT : 0) | (inode->flags & STATX_ATTR_FLAGS);
    st.attributes_mask = STATX_ATTR_MOUNT_ROOT | (inode->ops->set_flags != NULL ? STATX_ATTR_FLAGS : 0);
    st.nlink = inode->nlink;
    st.uid = inode->uid;
    st.gid = inode->gid;
    st.mode = (u16)inode->mode;
    st.ino = inode->ino;
    st.size = inode_size(inode);
    st.blocks = inode->blocks;
    st.atime = statx_time(&inode->atime);
    st.btime = statx_time(&inode->btime);
    st.ctime = statx_time(&inode->ctime);
    st.mtime = statx_time(&inode->mtime);
    st.rdev_major = dev_major(inode->rdev);
    st.rdev_minor = dev_minor(inode->rdev);
    st.dev_major = dev_major(inode->super->dev);
    st.dev_minor = dev_minor(inode->super->dev);
    st.mount_id = t->path.mount != NULL ? t->path.mount->id : 0;
    return copy_to_user((void *)user, &st, sizeof(st));
}

DEFINE_SYSCALL(sys_statx)
{
    unsigned flags = (unsigned)a2;
    struct target t;
    int error;

    if (((u32)a3 & STATX_RESERVED) || (flags & ~(unsigned)(STAT_FLAGS | AT_STATX_SYNC_TYPE)) ||
        (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    error = target_get(&t, (int)a0, a1, flags);
    if (error != 0)
        return error;
    error = give_statx(&t, a4);
    target_put(&t);
    return error;
}

/* ---- statfs ---- */

struct user_statfs {
    s64 type, bsize;
    u64 blocks, bfree, bavail, files, ffree;
    s32 fsid[2];
    s64 namelen, frsize, flags, spare[4];
};
static_assert(sizeof(struct user_statfs) == 120, "the ABI's struct statfs");

#define ST_VALID 0x20
#define ST_RELATIME 0x1000

static s64 statfs_flags(const struct mount *mount, bool read_only)
{
    unsigned flags = mount != NULL ? mount->flags : 0;
    s64 result = ST_VALID | (read_only ? 1 : 0) | (flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC)) |
                 (flags & (MS_NOATIME | MS_NODIRATIME));

    return flags & (MS_NOATIME | MS_STRICTATIME) ? result : result | ST_RELATIME;
}

static int give_statfs(const struct target *t, u64 user)
{
    struct super *super = t->inode->super;
    struct statfs_info info = {.type = super->type->magic, .block_size = super->block_size, .name_max = NAME_MAX};
    struct user_statfs st;

    if (super->ops->statfs != NULL)
        super->ops->statfs(super, &info);
    memset(&st, 0, sizeof(st));
    st.type = (s64)(info.type != 0 ? info.type : super->type->magic);
    st.bsize = (s64)info.block_size;
    st.blocks = info.blocks;
    st.bfree = info.free;
    st.bavail = info.available;
    st.files = info.files;
    st.ffree = info.files_free;
    st.fsid[0] = (s32)(info.fsid != 0 ? info.fsid : super->dev);
    st.fsid[1] = (s32)(info.fsid >> 32);
    st.namelen = (s64)info.name_max;
    st.frsize = (s64)(info.fragment_size != 0 ? info.fragment_size : info.block_size);
    st.flags = statfs_flags(t->path.mount, super->read_only);
    return copy_to_user((void *)user, &st, sizeof(st));
}

DEFINE_SYSCALL(sys_statfs)
{
    struct target t;
    int error = target_get(&t, AT_FDCWD, a0, 0);

    if (error != 0)
        return error;
    error = give_statfs(&t, a1);
    target_put(&t);
    return error;
}

DEFINE_SYSCALL(sys_fstatfs)
{
    struct target t;
    int error = target_of_file(&t, (int)a0);

    if (error != 0)
        return error;
    error = give_statfs(&t, a1);
    target_put(&t);
    return error;
}
