/* May somebody read, write or search a file? path_resolution(7), "Permissions"; capabilities(7). */
#include "fs/vfs.h"

static bool is_fs_writable_type(u32 mode) { return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode); }

/* CAP_DAC_OVERRIDE lets do all but execute a file that nobody may execute; CAP_DAC_READ_SEARCH read, and search
 * directories. */
static bool capability_allows(const struct inode *inode, const struct cred *cred, unsigned may)
{
    if (cred_has_cap(cred, CAP_DAC_OVERRIDE))
        return !(may & MAY_EXEC) || S_ISDIR(inode->mode) || (inode->mode & 0111) != 0;
    if (cred_has_cap(cred, CAP_DAC_READ_SEARCH))
        return may == MAY_READ || (S_ISDIR(inode->mode) && !(may & MAY_WRITE));
    return false;
}

/* For those who are not the owner, or whom the mode refuses as such. */
static noinline_fn int look_further(const struct inode *inode, const struct cred *cred, unsigned may)
{
    u32 bits = inode->mode;

    if (cred->fsuid == inode->uid)
        bits >>= 6;
    else if (cred_in_group(cred, inode->gid))
        bits >>= 3;
    if ((bits & may) == may || capability_allows(inode, cred, may))
        return 0;
    return -EACCES;
}

int inode_permission(const struct inode *inode, const struct cred *cred, unsigned may)
{
    if ((may & MAY_WRITE) && inode->super->read_only && is_fs_writable_type(inode->mode))
        return -EROFS;
    if ((may & MAY_WRITE) && unlikely(inode->flags & FS_IMMUTABLE_FL))
        return -EPERM;
    if (cred == NULL || (cred->fsuid == inode->uid && (inode->mode >> 6 & may) == may))
        return 0; /* NULL: the kernel's own threads */
    return look_further(inode, cred, may);
}
