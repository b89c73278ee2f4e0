/* Changing attributes: chmod(2), chown(2), utimensat(2), truncate(2), and what other changes do to setuid bits. */
#include "fs/attr.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/notify.h"
#include "lib/rlimit.h"
#include "proc/task.h"

bool inode_is_owner(const struct inode *inode, const struct cred *cred)
{
    return cred->fsuid == inode->uid || capable(cred, CAP_FOWNER);
}

/* chattr's +i and +a: attributes stay as they are. */
static bool is_fixed(const struct inode *inode) { return inode->flags & (FS_IMMUTABLE_FL | FS_APPEND_FL); }

int path_want_write(const struct path *path)
{
    return path->mount != NULL && mount_is_read_only(path->mount) ? -EROFS : 0;
}

/* => inode->lock for writing */
static int change_locked(struct inode *inode, struct attributes *attr)
{
    if (!(attr->valid & ATTR_CTIME)) {
        attr->valid |= ATTR_CTIME;
        attr->ctime = current_time(inode);
    }
    if (inode->ops->setattr != NULL)
        return inode->ops->setattr(inode, attr);
    return attr->valid & ATTR_SIZE ? -EINVAL : inode_setattr(inode, attr);
}

int inode_strip_set_bits(struct inode *inode)
{
    struct attributes attr = {.valid = ATTR_MODE, .mode = mode_without_privileges(inode->mode)};

    if (attr.mode == inode->mode || !S_ISREG(inode->mode) || current->cred == NULL ||
        capable(current->cred, CAP_FSETID))
        return 0;
    return change_locked(inode, &attr);
}

int inode_truncate(struct inode *inode, u64 size)
{
    struct attributes attr = {.valid = ATTR_SIZE | ATTR_MTIME, .size = size};
    int error;

    if (size > inode_size(inode)) {
        u64 limit = current->limits != NULL ? current->limits->limit[RLIMIT_FSIZE].soft : RLIM_INFINITY;

        if (size > limit) {
            signal_send_current(SIGXFSZ);
            return -EFBIG;
        }
        if (size > inode->super->max_size)
            return -EFBIG;
    }
    attr.mtime = current_time(inode);
    attr.ctime = attr.mtime;
    attr.valid |= ATTR_CTIME;
    write_lock(&inode->lock);
    error = inode_strip_privileges(inode);
    if (error == 0)
        error = change_locked(inode, &attr);
    write_unlock(&inode->lock);
    return error;
}

/* Who may change what depends on what others may change: it is looked at under the lock. So in the next two. */
static int chmod_locked(struct inode *inode, u32 mode)
{
    const struct cred *cred = current->cred;
    struct attributes attr = {.valid = ATTR_MODE, .mode = mode & 07777};

    if (is_fixed(inode) || !inode_is_owner(inode, cred))
        return -EPERM;
    if ((attr.mode & S_ISGID) && !cred_in_group(cred, inode->gid) && !capable(cred, CAP_FSETID))
        attr.mode &= ~(u32)S_ISGID;
    return change_locked(inode, &attr);
}

int inode_chmod(struct inode *inode, u32 mode)
{
    int error;

    if (S_ISLNK(inode->mode))
        return -EOPNOTSUPP;
    write_lock(&inode->lock);
    error = chmod_locked(inode, mode);
    write_unlock(&inode->lock);
    return error;
}

static int chown_locked(struct inode *inode, u32 uid, u32 gid)
{
    const struct cred *cred = current->cred;
    bool privileged = capable(cred, CAP_CHOWN), changes_uid = uid != (u32)-1, changes_gid = gid != (u32)-1;
    struct attributes attr = {.valid = 0, .uid = uid, .gid = gid};

    if (is_fixed(inode))
        return -EPERM;
    if (changes_uid && !privileged && !(cred->fsuid == inode->uid && uid == inode->uid))
        return -EPERM;
    if (changes_gid && !privileged && !(cred->fsuid == inode->uid && (cred_in_group(cred, gid) || gid == inode->gid)))
        return -EPERM;
    attr.valid = (changes_uid ? ATTR_UID : 0) | (changes_gid ? ATTR_GID : 0);
    if (S_ISREG(inode->mode) && mode_without_privileges(inode->mode) != inode->mode) { /* even root's, as Linux does */
        attr.valid |= ATTR_MODE;
        attr.mode = mode_without_privileges(inode->mode);
    }
    return change_locked(inode, &attr);
}

int inode_chown(struct inode *inode, u32 uid, u32 gid)
{
    int error;

    write_lock(&inode->lock);
    error = chown_locked(inode, uid, gid);
    write_unlock(&inode->lock);
    return error;
}

static int set_times_locked(struct inode *inode, struct attributes *attr, bool now)
{
    int error;

    if (now ? inode->flags & FS_IMMUTABLE_FL : is_fixed(inode))
        return -EPERM;
    if (!inode_is_owner(inode, current->cred)) {
        if (!now)
            return -EPERM;
        error = inode_permission(inode, current->cred, MAY_WRITE);
        if (error != 0)
            return error;
    }
    return change_locked(inode, attr);
}

int inode_set_times(struct inode *inode, struct attributes *attr, bool now)
{
    int error;

    write_lock(&inode->lock);
    error = set_times_locked(inode, attr, now);
    write_unlock(&inode->lock);
    return error;
}

int path_truncate(const struct path *path, u64 size)
{
    struct inode *inode = path_inode(path);
    int error;

    if (S_ISDIR(inode->mode))
        return -EISDIR;
    if (!S_ISREG(inode->mode))
        return -EINVAL;
    error = path_want_write(path);
    if (error == 0)
        error = inode_permission(inode, current->cred, MAY_WRITE);
    if (error == 0 && (inode->flags & FS_APPEND_FL))
        error = -EPERM;
    if (error == 0)
        error = inode_allow_write(inode);
    if (error != 0)
        return error;
    error = inode_truncate(inode, size);
    if (error == 0)
        notify_at(inode, path->dentry, IN_MODIFY);
    atomic_sub(&inode->write_opens, 1);
    return error;
}
