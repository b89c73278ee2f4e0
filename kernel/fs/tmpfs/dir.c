/*
 * tmpfs: directories. An entry's cookie never changes, and new ones get higher numbers, so a reader sees each entry
 * that stays exactly once. Cookie 0 is ".", 1 is "..".
 */
#include "fs/tmpfs/tmpfs.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

#define FIRST_COOKIE 2

struct entry {
    struct tree_node name_node, cookie_node;
    u64 cookie;
    struct inode *inode; /* referenced */
    unsigned length;
    char name[];
};

#define name_entry(node) container_of(node, struct entry, name_node)
#define cookie_entry(node) container_of(node, struct entry, cookie_node)

static int compare(struct name name, const struct entry *e)
{
    int order = memcmp(name.s, e->name, MIN(name.length, e->length));

    return order != 0 ? order : (int)name.length - (int)e->length;
}

static struct entry *find(struct tmpfs_inode *dir, struct name name)
{
    struct tree_node *node = dir->by_name.root;

    while (node != NULL) {
        int order = compare(name, name_entry(node));

        if (order == 0)
            return name_entry(node);
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

static void insert(struct tmpfs_inode *dir, struct entry *e)
{
    struct name name = {e->name, e->length};
    struct tree_node **link = &dir->by_name.root, *parent = NULL;

    while (*link != NULL) {
        parent = *link;
        link = compare(name, name_entry(parent)) < 0 ? &parent->left : &parent->right;
    }
    tree_insert(&dir->by_name, &e->name_node, parent, link);
    e->cookie = dir->next_cookie++;
    parent = tree_last(&dir->by_cookie);
    tree_insert(&dir->by_cookie, &e->cookie_node, parent, parent != NULL ? &parent->right : &dir->by_cookie.root);
}

static void take_out(struct tmpfs_inode *dir, struct entry *e)
{
    tree_remove(&dir->by_name, &e->name_node);
    tree_remove(&dir->by_cookie, &e->cookie_node);
}

static void set_size(struct inode *dir, s64 change)
{
    store_relaxed(&dir->object.size, inode_size(dir) + (u64)(change * 20));
}

/* Enters INODE under NAME; the entry takes a reference of its own. */
static int add(struct inode *dir, struct name name, struct inode *inode)
{
    struct entry *e = kmalloc(sizeof(*e) + name.length);

    if (e == NULL)
        return -ENOMEM;
    memset(e, 0, sizeof(*e));
    e->inode = inode;
    inode_hold(inode);
    e->length = name.length;
    memcpy(e->name, name.s, name.length);
    insert(tmpfs_inode(dir), e);
    set_size(dir, 1);
    inode_touch(dir, ATTR_MTIME | ATTR_CTIME);
    return 0;
}

static void remove(struct inode *dir, struct entry *e)
{
    struct inode *inode = e->inode;

    take_out(tmpfs_inode(dir), e);
    kfree(e);
    set_size(dir, -1);
    inode_touch(dir, ATTR_MTIME | ATTR_CTIME);
    inode_put(inode);
}

void tmpfs_dir_init(struct tmpfs_inode *dir) { dir->next_cookie = FIRST_COOKIE; }

/* Drops all entries of DIR; directories that nobody else uses go to PENDING with the entry's reference. */
static void empty(struct tmpfs_inode *dir, struct list *pending)
{
    struct tree_node *node;

    while ((node = tree_first(&dir->by_name)) != NULL) {
        struct entry *e = name_entry(node);
        struct inode *inode = e->inode;

        take_out(dir, e);
        kfree(e);
        if (S_ISDIR(inode->mode) && load_relaxed(&inode->refs) == 1)
            list_add(pending, &tmpfs_inode(inode)->teardown);
        else
            inode_put(inode);
    }
}

/* Not by recursion: trees may be deep. */
void tmpfs_dir_destroy(struct tmpfs_inode *top)
{
    struct list pending;

    list_init(&pending);
    empty(top, &pending);
    while (!list_empty(&pending)) {
        struct tmpfs_inode *dir = list_first(&pending, struct tmpfs_inode, teardown);

        list_remove(&dir->teardown);
        empty(dir, &pending);
        inode_put(&dir->inode);
    }
}

/* ---- inode operations ---- */

static struct inode *lookup(struct inode *dir, struct name name)
{
    struct entry *e = find(tmpfs_inode(dir), name);

    if (e == NULL)
        return ERR_PTR(-ENOENT);
    inode_hold(e->inode);
    return e->inode;
}

static struct inode *make(struct inode *dir, struct name name, u32 mode, u32 rdev)
{
    struct inode *inode = tmpfs_new_inode(dir->super, dir, mode, rdev);
    int error;

    if (IS_ERR(inode))
        return inode;
    error = add(dir, name, inode);
    if (error != 0) {
        inode->nlink = 0;
        inode_put(inode);
        return ERR_PTR(error);
    }
    return inode;
}

static struct inode *create(struct inode *dir, struct name name, u32 mode) { return make(dir, name, mode, 0); }

static struct inode *tmpfile(struct inode *dir, u32 mode)
{
    struct inode *inode = tmpfs_new_inode(dir->super, dir, mode, 0);

    if (!IS_ERR(inode))
        inode->nlink = 0;
    return inode;
}

static struct inode *mkdir(struct inode *dir, struct name name, u32 mode)
{
    struct inode *inode = make(dir, name, mode, 0);

    if (IS_ERR(inode))
        return inode;
    tmpfs_inode(inode)->parent = tmpfs_inode(dir);
    dir->nlink++;
    return inode;
}

static struct inode *symlink(struct inode *dir, struct name name, const char *target)
{
    char *copy = kstrndup(target, strlen(target));
    struct inode *inode;

    if (copy == NULL)
        return ERR_PTR(-ENOMEM);
    inode = make(dir, name, S_IFLNK | 0777, 0);
    if (IS_ERR(inode)) {
        kfree(copy);
        return inode;
    }
    inode->link = copy;
    store_relaxed(&inode->object.size, strlen(copy));
    return inode;
}

/* The first name of what O_TMPFILE has made is paid for with the inode. */
static int link(struct inode *dir, struct name name, struct inode *inode)
{
    bool is_further = inode->nlink > 0;
    int error = is_further ? tmpfs_charge_inode(tmpfs_space(inode)) : 0;

    if (error != 0)
        return error;
    error = add(dir, name, inode);
    if (error != 0) {
        if (is_further)
            tmpfs_uncharge_inode(tmpfs_space(inode));
        return error;
    }
    inode->nlink++;
    inode_touch(inode, ATTR_CTIME);
    return 0;
}

/* INODE, no directory, loses a name. */
static void drop_name(struct inode *inode)
{
    if (--inode->nlink > 0)
        tmpfs_uncharge_inode(tmpfs_space(inode));
}

static int unlink(struct inode *dir, struct name name, struct inode *inode)
{
    struct entry *e = find(tmpfs_inode(dir), name);

    if (e == NULL)
        return -ENOENT;
    drop_name(inode);
    inode_touch(inode, ATTR_CTIME);
    remove(dir, e);
    return 0;
}

static bool is_empty(struct inode *dir) { return tmpfs_inode(dir)->by_name.root == NULL; }

static int rmdir(struct inode *dir, struct name name, struct inode *inode)
{
    struct entry *e = find(tmpfs_inode(dir), name);

    if (e == NULL)
        return -ENOENT;
    if (!is_empty(inode))
        return -ENOTEMPTY;
    inode->nlink = 0;
    dir->nlink--;
    remove(dir, e);
    return 0;
}

/* INODE's entry is in NEW_DIR now. */
static void moved(struct inode *inode, struct inode *old_dir, struct inode *new_dir)
{
    if (S_ISDIR(inode->mode)) {
        tmpfs_inode(inode)->parent = tmpfs_inode(new_dir);
        old_dir->nlink--;
        new_dir->nlink++;
    }
    inode_touch(inode, ATTR_CTIME);
}

static int exchange(struct inode *old_dir, struct entry *a, struct inode *new_dir, struct entry *b)
{
    struct inode *inode = a->inode;

    a->inode = b->inode;
    b->inode = inode;
    moved(a->inode, new_dir, old_dir);
    moved(b->inode, old_dir, new_dir);
    inode_touch(old_dir, ATTR_MTIME | ATTR_CTIME);
    inode_touch(new_dir, ATTR_MTIME | ATTR_CTIME);
    return 0;
}

/* What moves away leaves WHITEOUT under its old name, whose entry takes the reference. */
static void leave_whiteout(struct inode *old_dir, struct entry *from, struct inode *whiteout)
{
    struct inode *inode = from->inode;

    from->inode = whiteout;
    inode_touch(old_dir, ATTR_MTIME | ATTR_CTIME);
    inode_put(inode);
}

static void drop_whiteout(struct inode *whiteout)
{
    if (whiteout == NULL)
        return;
    whiteout->nlink = 0;
    inode_put(whiteout);
}

static int rename(struct inode *old_dir, struct name old_name, struct inode *inode, struct inode *new_dir,
                  struct name new_name, struct inode *target, unsigned flags)
{
    struct entry *from = find(tmpfs_inode(old_dir), old_name), *to = find(tmpfs_inode(new_dir), new_name);
    struct inode *whiteout = NULL;
    int error;

    if (from == NULL || (target != NULL && to == NULL))
        return -ENOENT;
    if (flags & RENAME_EXCHANGE)
        return exchange(old_dir, from, new_dir, to);
    if (target != NULL && S_ISDIR(target->mode) && !is_empty(target))
        return -ENOTEMPTY;
    if (flags & RENAME_WHITEOUT)
        whiteout = tmpfs_new_inode(old_dir->super, old_dir, WHITEOUT_MODE, WHITEOUT_DEVICE);
    if (IS_ERR(whiteout))
        return (int)PTR_ERR(whiteout);
    error = add(new_dir, new_name, inode); /* first what can fail; the tree holds both for a moment */
    if (error != 0) {
        drop_whiteout(whiteout);
        return error;
    }
    if (target != NULL) {
        if (S_ISDIR(target->mode)) {
            target->nlink = 0;
            new_dir->nlink--;
        } else {
            drop_name(target);
        }
        inode_touch(target, ATTR_CTIME);
        remove(new_dir, to);
    }
    if (whiteout != NULL)
        leave_whiteout(old_dir, from, whiteout);
    else
        remove(old_dir, from);
    moved(inode, old_dir, new_dir);
    return 0;
}

static ssize_t read_link(struct inode *inode, char *buf, size_t size)
{
    return (ssize_t)copy_string(buf, inode->link, size);
}

#define SETTABLE_FLAGS (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL)

static int set_flags(struct inode *inode, u32 flags)
{
    if (flags & ~(u32)SETTABLE_FLAGS)
        return -EOPNOTSUPP;
    store_relaxed(&inode->flags, flags);
    inode_touch(inode, ATTR_CTIME);
    return 0;
}

const struct inode_ops tmpfs_inode_ops = {
    .read_link = read_link,
    .setattr = tmpfs_setattr,
    .getattr = tmpfs_getattr,
    .getxattr = tmpfs_getxattr,
    .listxattr = tmpfs_listxattr,
    .setxattr = tmpfs_setxattr,
    .removexattr = tmpfs_removexattr,
    .set_flags = set_flags,
};

const struct inode_ops tmpfs_dir_inode_ops = {
    .lookup = lookup,
    .create = create,
    .mkdir = mkdir,
    .symlink = symlink,
    .mknod = make,
    .tmpfile = tmpfile,
    .link = link,
    .unlink = unlink,
    .rmdir = rmdir,
    .rename = rename,
    .setattr = tmpfs_setattr,
    .getattr = tmpfs_getattr,
    .getxattr = tmpfs_getxattr,
    .listxattr = tmpfs_listxattr,
    .setxattr = tmpfs_setxattr,
    .removexattr = tmpfs_removexattr,
    .set_flags = set_flags,
};

/* ---- reading ---- */

static struct entry *first_at_or_after(struct tmpfs_inode *dir, u64 cookie)
{
    struct tree_node *node = dir->by_cookie.root;
    struct entry *best = NULL;

    while (node != NULL) {
        struct entry *e = cookie_entry(node);

        if (e->cookie >= cookie) {
            best = e;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

static int read_dir(struct file *file, struct dir_context *ctx)
{
    struct inode *inode = file->inode;
    struct tmpfs_inode *dir = tmpfs_inode(inode);
    struct entry *e;

    if (ctx->pos == 0) {
        if (!ctx->emit(ctx, ".", 1, inode->ino, DT_DIR, 1))
            return 0;
        ctx->pos = 1;
    }
    if (ctx->pos == 1) {
        if (!ctx->emit(ctx, "..", 2, dir->parent->inode.ino, DT_DIR, FIRST_COOKIE))
            return 0;
        ctx->pos = FIRST_COOKIE;
    }
    while ((e = first_at_or_after(dir, ctx->pos)) != NULL) {
        if (!ctx->emit(ctx, e->name, e->length, e->inode->ino, mode_to_dt(e->inode->mode), e->cookie + 1))
            return 0;
        ctx->pos = e->cookie + 1;
    }
    return 0;
}

static int dir_fsync(struct file *file, u64 from, u64 to, bool data_only)
{
    (void)file;
    (void)from;
    (void)to;
    (void)data_only;
    return 0;
}

static s64 dir_seek(struct file *file, s64 offset, int whence)
{
    if (whence == 1)
        offset += (s64)file->pos;
    else if (whence != 0)
        return -EINVAL;
    if (offset < 0)
        return -EINVAL;
    file->pos = (u64)offset;
    return offset;
}

const struct file_ops tmpfs_dir_ops = {.read_dir = read_dir, .seek = dir_seek, .fsync = dir_fsync};
