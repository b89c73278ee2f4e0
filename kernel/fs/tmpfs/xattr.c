/* tmpfs: extended attributes, a list per inode (xattr(7)). The VFS has checked name spaces and rights. Lock:
 * inode->lock. */
#include "fs/tmpfs/tmpfs.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

struct xattr {
    struct list link;
    size_t size;
    char *name;
    char value[];
};

static struct xattr *find(struct inode *inode, const char *name)
{
    struct xattr *x;

    list_for_each(x, &tmpfs_inode(inode)->xattrs, link)
        if (strcmp(x->name, name) == 0)
            return x;
    return NULL;
}

static void free_xattr(struct xattr *x)
{
    list_remove(&x->link);
    kfree(x->name);
    kfree(x);
}

ssize_t tmpfs_getxattr(struct inode *inode, const char *name, void *buf, size_t size)
{
    struct xattr *x = find(inode, name);

    if (x == NULL)
        return -ENODATA;
    if (size == 0)
        return (ssize_t)x->size;
    if (x->size > size)
        return -ERANGE;
    memcpy(buf, x->value, x->size);
    return (ssize_t)x->size;
}

ssize_t tmpfs_listxattr(struct inode *inode, char *buf, size_t size)
{
    size_t total = 0;
    struct xattr *x;

    list_for_each(x, &tmpfs_inode(inode)->xattrs, link) {
        size_t n = strlen(x->name) + 1;

        if (size != 0) {
            if (total + n > size)
                return -ERANGE;
            memcpy(buf + total, x->name, n);
        }
        total += n;
    }
    return (ssize_t)total;
}

int tmpfs_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
    struct xattr *old = find(inode, name), *x;

    if (old != NULL && (flags & XATTR_CREATE))
        return -EEXIST;
    if (old == NULL && (flags & XATTR_REPLACE))
        return -ENODATA;
    x = kmalloc(sizeof(*x) + size);
    if (x == NULL)
        return -ENOMEM;
    x->name = kstrndup(name, strlen(name));
    if (x->name == NULL) {
        kfree(x);
        return -ENOMEM;
    }
    x->size = size;
    memcpy(x->value, value, size);
    if (old != NULL)
        free_xattr(old);
    list_add_tail(&tmpfs_inode(inode)->xattrs, &x->link);
    inode_touch(inode, ATTR_CTIME);
    return 0;
}

int tmpfs_removexattr(struct inode *inode, const char *name)
{
    struct xattr *x = find(inode, name);

    if (x == NULL)
        return -ENODATA;
    free_xattr(x);
    inode_touch(inode, ATTR_CTIME);
    return 0;
}

void tmpfs_free_xattrs(struct tmpfs_inode *t)
{
    while (!list_empty(&t->xattrs))
        free_xattr(list_first(&t->xattrs, struct xattr, link));
}
