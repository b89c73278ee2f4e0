/* Extended attributes: xattr(7), setxattr(2), getxattr(2), listxattr(2), removexattr(2). */
#include "fs/attr.h"
#include "fs/file.h"
#include "fs/notify.h"
#include "fs/mount.h"
#include "lib/string.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define XATTR_NAME_MAX 255
#define XATTR_SIZE_MAX (64 * KIB)
#define XATTR_LIST_MAX (64 * KIB)

enum found_by { BY_PATH, BY_LINK, BY_FD };

struct subject {
    struct inode *inode;   /* referenced, as is: */
    struct dentry *dentry; /* by what name it was reached; NULL: none */
    bool read_only;
};

/* Of one that was not found, too. */
static void subject_put(struct subject *s)
{
    if (s->inode != NULL)
        inode_put(s->inode);
    if (s->dentry != NULL)
        dentry_put(s->dentry);
}

static int subject_get(struct subject *s, u64 where, enum found_by by)
{
    struct path path;
    struct file *file;
    int error;

    if (by == BY_FD) {
        file = fd_get((int)where);
        if (file == NULL)
            return -EBADF;
        s->inode = file->inode;
        s->read_only = file->path.dentry != NULL && path_want_write(&file->path) != 0;
        inode_hold(s->inode);
        s->dentry = file->path.dentry;
        if (s->dentry != NULL)
            dentry_get(s->dentry);
        file_put(file);
        return 0;
    }
    error = path_lookup_user(AT_FDCWD, (const char *)where, by == BY_PATH ? LOOKUP_FOLLOW : 0, &path);
    if (error != 0)
        return error;
    s->inode = path_inode(&path);
    s->read_only = path_want_write(&path) != 0;
    inode_hold(s->inode);
    s->dentry = path.dentry;
    dentry_get(s->dentry);
    path_put(&path);
    return 0;
}

static int name_get(char *name, u64 user)
{
    ssize_t n = strncpy_from_user(name, (const char *)user, XATTR_NAME_MAX + 1);

    if (n == -ENAMETOOLONG || n == 0)
        return -ERANGE;
    return n < 0 ? (int)n : 0;
}

static bool has_prefix(const char *name, const char *prefix) { return strncmp(name, prefix, strlen(prefix)) == 0; }

/* The rules of each name space; what is in none is a question of the file's mode. */
static int may_access(const struct inode *inode, const char *name, bool write)
{
    const struct cred *cred = current->cred;

    if (write && (inode->flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
        return -EPERM;
    if (has_prefix(name, "trusted."))
        return capable(cred, CAP_SYS_ADMIN) ? 0 : write ? -EPERM : -ENODATA;
    if (has_prefix(name, "security."))
        return !write || capable(cred, CAP_SYS_ADMIN) ? 0 : -EPERM;
    if (has_prefix(name, "user.")) {
        if (!S_ISREG(inode->mode) && !S_ISDIR(inode->mode))
            return write ? -EPERM : -ENODATA;
        if (write && S_ISDIR(inode->mode) && (inode->mode & S_ISVTX) && !inode_is_owner(inode, cred))
            return -EPERM;
    }
    return inode_permission(inode, cred, write ? MAY_WRITE : MAY_READ);
}

/* Is NAME one that files can have, and all of it there? */
static int check_name(const char *name)
{
    static const char *const prefixes[] = {"user.", "trusted.", "security."};

    for (unsigned i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
        if (has_prefix(name, prefixes[i]))
            return name[strlen(prefixes[i])] == '\0' ? -EINVAL : 0;
    return -EOPNOTSUPP;
}

/* ---- access control lists: acl(5); those on the disk are kept, and there are no new ones ---- */

static bool is_acl(const char *name)
{
    return strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
}

static bool can_have_acl(const struct inode *inode) { return inode->ops->setxattr != NULL && !S_ISLNK(inode->mode); }

static bool has_acl(struct inode *inode, const char *name)
{
    ssize_t n;

    read_lock(&inode->lock);
    n = inode->ops->getxattr(inode, name, NULL, 0);
    read_unlock(&inode->lock);
    return n >= 0;
}

static int get_acl(struct inode *inode, const char *name)
{
    return !can_have_acl(inode) || has_acl(inode, name) ? -EOPNOTSUPP : -ENODATA;
}

#define ACL_VERSION 2

/* SIZE 0: none shall be there. */
static int set_acl(struct inode *inode, const char *name, const u8 *value, size_t size)
{
    if (size > 0 && size < sizeof(u32))
        return -EINVAL;
    if (size > 0 && (value[0] != ACL_VERSION || value[1] != 0 || value[2] != 0 || value[3] != 0))
        return -EOPNOTSUPP;
    if (!can_have_acl(inode))
        return -EOPNOTSUPP;
    if (!inode_is_owner(inode, current->cred))
        return -EPERM;
    return size > 0 || has_acl(inode, name) ? -EOPNOTSUPP : 0;
}

/* ---- reading ---- */

static long get(struct inode *inode, const char *name, u64 user, size_t size)
{
    char *buffer = NULL;
    ssize_t n;

    if (inode->ops->getxattr == NULL)
        return -EOPNOTSUPP;
    size = MIN(size, (size_t)XATTR_SIZE_MAX);
    if (size > 0 && (buffer = kmalloc(size)) == NULL)
        return -ENOMEM;
    read_lock(&inode->lock);
    n = inode->ops->getxattr(inode, name, buffer, size);
    read_unlock(&inode->lock);
    if (n > 0 && size > 0 && copy_to_user((void *)user, buffer, (size_t)n) != 0)
        n = -EFAULT;
    kfree(buffer);
    return n;
}

static long get_xattr(u64 where, enum found_by by, u64 user_name, u64 user, size_t size)
{
    char name[XATTR_NAME_MAX + 1];
    struct subject s;
    long result = subject_get(&s, where, by);

    if (result != 0)
        return result;
    result = name_get(name, user_name);
    if (result != 0) {
        ;
    } else if (is_acl(name)) {
        result = get_acl(s.inode, name);
    } else {
        result = may_access(s.inode, name, false);
        if (result == 0)
            result = check_name(name);
        if (result == 0)
            result = get(s.inode, name, user, size);
    }
    subject_put(&s);
    return result;
}

/* Names in trusted. are shown to those who may read them. */
static size_t without_hidden(char *list, size_t n)
{
    size_t kept = 0;

    if (capable(current->cred, CAP_SYS_ADMIN))
        return n;
    for (size_t at = 0; at < n;) {
        size_t length = strnlen(list + at, n - at - 1) + 1;

        if (!has_prefix(list + at, "trusted.")) {
            memmove(list + kept, list + at, length);
            kept += length;
        }
        at += length;
    }
    return kept;
}

static long list(struct inode *inode, u64 user, size_t size)
{
    char *buffer;
    ssize_t n;

    if (inode->ops->listxattr == NULL)
        return 0;
    buffer = kmalloc(XATTR_LIST_MAX);
    if (buffer == NULL)
        return -ENOMEM;
    read_lock(&inode->lock);
    n = inode->ops->listxattr(inode, buffer, XATTR_LIST_MAX);
    read_unlock(&inode->lock);
    if (n > 0) {
        n = (ssize_t)without_hidden(buffer, (size_t)n);
        if (size > 0 && (size_t)n > size)
            n = -ERANGE;
        else if (size > 0 && copy_to_user((void *)user, buffer, (size_t)n) != 0)
            n = -EFAULT;
    }
    kfree(buffer);
    return n;
}

static long list_xattr(u64 where, enum found_by by, u64 user, size_t size)
{
    struct subject s;
    long result = subject_get(&s, where, by);

    if (result != 0)
        return result;
    result = list(s.inode, user, size);
    subject_put(&s);
    return result;
}

/* ---- writing ---- */

/* => inode->lock for writing: flags, mode and owner, which allow it, change under it */
static long change_locked(struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
    const struct inode_ops *ops = inode->ops;
    long result = may_access(inode, name, true);

    if (result != 0)
        return result;
    if (value != NULL ? ops->setxattr == NULL : ops->removexattr == NULL)
        return -EOPNOTSUPP;
    result = check_name(name);
    if (result != 0)
        return result;
    return value != NULL ? ops->setxattr(inode, name, value, size, flags) : ops->removexattr(inode, name);
}

/* VALUE NULL: remove. */
static long change(struct subject *s, const char *name, const void *value, size_t size, int flags)
{
    long result;

    if (s->read_only)
        return -EROFS;
    if (is_acl(name))
        return set_acl(s->inode, name, value, size);
    write_lock(&s->inode->lock);
    result = change_locked(s->inode, name, value, size, flags);
    write_unlock(&s->inode->lock);
    if (result == 0)
        notify_at(s->inode, s->dentry, IN_ATTRIB);
    return result;
}

/* Linux copies what is to be set before it looks for a path, but after it has found a descriptor: errors show it. */
static int find_first(struct subject *s, u64 where, enum found_by by)
{
    return by == BY_FD ? subject_get(s, where, by) : 0;
}
static int find_then(struct subject *s, u64 where, enum found_by by)
{
    return by == BY_FD ? 0 : subject_get(s, where, by);
}

static long set(struct subject *s, u64 where, enum found_by by, const char *name, u64 user_value, size_t size,
                int flags)
{
    char *value = kmalloc(size + 1);
    long result;

    if (value == NULL)
        return -ENOMEM;
    result = size > 0 ? copy_from_user(value, (void *)user_value, size) : 0;
    if (result == 0)
        result = find_then(s, where, by);
    if (result == 0)
        result = change(s, name, value, size, flags);
    kfree(value);
    return result;
}

static long set_xattr(u64 where, enum found_by by, u64 user_name, u64 user_value, size_t size, int flags)
{
    char name[XATTR_NAME_MAX + 1];
    struct subject s = {0};
    long result = find_first(&s, where, by);

    if (result == 0 && (flags & ~3))
        result = -EINVAL;
    if (result == 0)
        result = name_get(name, user_name);
    if (result == 0 && size > XATTR_SIZE_MAX)
        result = -E2BIG;
    if (result == 0)
        result = set(&s, where, by, name, user_value, size, flags);
    subject_put(&s);
    return result;
}

static long remove_xattr(u64 where, enum found_by by, u64 user_name)
{
    char name[XATTR_NAME_MAX + 1];
    struct subject s = {0};
    long result = find_first(&s, where, by);

    if (result == 0)
        result = name_get(name, user_name);
    if (result == 0)
        result = find_then(&s, where, by);
    if (result == 0)
        result = change(&s, name, NULL, 0, 0);
    subject_put(&s);
    return result;
}

#define XATTR_CALLS(prefix, by)                                                               \
    DEFINE_SYSCALL(sys_##prefix##setxattr) { return set_xattr(a0, by, a1, a2, a3, (int)a4); } \
    DEFINE_SYSCALL(sys_##prefix##getxattr) { return get_xattr(a0, by, a1, a2, a3); }          \
    DEFINE_SYSCALL(sys_##prefix##listxattr) { return list_xattr(a0, by, a1, a2); }            \
    DEFINE_SYSCALL(sys_##prefix##removexattr) { return remove_xattr(a0, by, a1); }

XATTR_CALLS(, BY_PATH)
XATTR_CALLS(l, BY_LINK)
XATTR_CALLS(f, BY_FD)
