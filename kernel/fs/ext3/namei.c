/*
 * Names: looking up, creating, linking, removing, renaming. The VFS has checked what the man pages ask for and holds
 * the locks of the directories.
 *
 * Each call is one handle. What can fail for lack of room comes first, so that a failure leaves nothing half done.
 */
#include "fs/ext3/ext3.h"

#define CREATE_CREDITS (EXT3_NEW_INODE_CREDITS + EXT3_DIR_CREDITS + EXT3_MAP_CREDITS + 8)

static struct inode *lookup(struct inode *dir, struct name name)
{
    struct ext3_disk_dirent *de;
    struct buffer *b = ext3_dir_find(dir, name, &de);
    struct inode *inode;
    u32 ino;

    if (b == NULL)
        return ERR_PTR(-ENOENT);
    if (IS_ERR(b))
        return ERR_PTR(PTR_ERR(b));
    ino = from_le32(de->ino);
    buffer_put(b);
    if (ino == dir->ino)
        return ERR_PTR(ext3_corrupt(ext3_of(dir), "directory %u contains itself", ino));
    inode = ext3_iget(dir->super, ino);
    if (IS_ERR(inode) && PTR_ERR(inode) == -ESTALE)
        return ERR_PTR(
            ext3_corrupt(ext3_of(dir), "directory %lu has a name for deleted inode %u", (unsigned long)dir->ino, ino));
    return inode;
}

/* ---- creating ---- */

/* Ends the handle; a created inode that did not get its name goes. */
static struct inode *end_create(struct ext3_handle *h, const struct inode *dir, struct inode *inode, int error)
{
    if (error != 0) {
        inode->nlink = 0;
        ext3_orphan_add(h, inode); /* until it is gone */
    }
    ext3_end_names(h, dir);
    if (error == 0)
        return inode;
    inode_put(inode);
    return ERR_PTR(error);
}

/* Ends what create and its like began: INODE gets NAME, or goes again. */
static struct inode *finish(struct ext3_handle *h, struct inode *dir, struct name name, struct inode *inode, int error)
{
    if (error == 0)
        error = ext3_write_inode(h, inode);
    if (error == 0)
        error = ext3_dir_add(h, dir, name, inode);
    if (error != 0 && S_ISDIR(inode->mode))
        dir->nlink--;
    return end_create(h, dir, inode, error);
}

static struct inode *begin_create(struct ext3_handle *h, struct inode *dir, u32 mode)
{
    int error = ext3_begin(h, ext3_of(dir), CREATE_CREDITS);
    struct inode *inode;

    if (error != 0)
        return ERR_PTR(error);
    inode = dir->nlink == 0 ? ERR_PTR(-ENOENT) : ext3_new_inode(h, dir, mode);
    if (IS_ERR(inode))
        ext3_end_names(h, dir);
    return inode;
}

static struct inode *try_create(struct inode *dir, struct name name, u32 mode)
{
    struct ext3_handle h;
    struct inode *inode = begin_create(&h, dir, S_IFREG | (mode & ~(u32)S_IFMT));

    return IS_ERR(inode) ? inode : finish(&h, dir, name, inode, 0);
}

static struct inode *try_make_node(struct inode *dir, struct name name, u32 mode, u32 rdev)
{
    struct ext3_handle h;
    struct inode *inode = begin_create(&h, dir, mode);

    if (IS_ERR(inode))
        return inode;
    inode->rdev = rdev;
    return finish(&h, dir, name, inode, 0);
}

static struct inode *try_make_symlink(struct inode *dir, struct name name, const char *target)
{
    struct ext3_handle h;
    struct inode *inode = begin_create(&h, dir, S_IFLNK | 0777);

    return IS_ERR(inode) ? inode : finish(&h, dir, name, inode, ext3_symlink_write(&h, inode, target));
}

static struct inode *try_make_dir(struct inode *dir, struct name name, u32 mode)
{
    struct ext3_handle h;
    struct inode *inode;

    if (dir->nlink >= EXT3_LINK_MAX)
        return ERR_PTR(-EMLINK);
    inode = begin_create(&h, dir, S_IFDIR | (mode & ~(u32)S_IFMT));
    if (IS_ERR(inode))
        return inode;
    inode->nlink = 2;
    dir->nlink++; /* written with the entry; without one, finish takes it back */
    return finish(&h, dir, name, inode, ext3_dir_make_empty(&h, inode, dir->ino));
}

static struct inode *try_make_tmpfile(struct inode *dir, u32 mode)
{
    struct ext3_handle h;
    struct inode *inode = begin_create(&h, dir, S_IFREG | (mode & ~(u32)S_IFMT));
    int error;

    if (IS_ERR(inode))
        return inode;
    inode->nlink = 0;
    error = ext3_orphan_add(&h, inode);
    return end_create(&h, dir, inode, error);
}

static int try_make_link(struct inode *dir, struct name name, struct inode *inode)
{
    struct ext3_handle h;
    int error;

    if (inode->nlink >= EXT3_LINK_MAX)
        return -EMLINK;
    error = ext3_begin(&h, ext3_of(dir), EXT3_DIR_CREDITS + 3);
    if (error != 0)
        return error;
    error = ext3_dir_add(&h, dir, name, inode);
    if (error == 0) {
        inode->nlink++;
        if (inode->nlink == 1) /* of O_TMPFILE */
            ext3_orphan_remove(&h, inode);
        inode_touch(inode, ATTR_CTIME);
        error = ext3_write_inode(&h, inode);
    }
    ext3_end_names(&h, dir);
    return error;
}

/* ---- removing ---- */

/* INODE lost a name, or for directories all. */
static int drop_link(struct ext3_handle *h, struct inode *inode)
{
    if (S_ISDIR(inode->mode))
        inode->nlink = 0;
    else if (inode->nlink > 0)
        inode->nlink--;
    inode_touch(inode, ATTR_CTIME);
    if (inode->nlink == 0)
        return ext3_orphan_add(h, inode);
    return ext3_write_inode(h, inode);
}

/* Finds NAME in DIR, which must mean INODE. ERR_PTR. */
static struct buffer *find_entry(struct inode *dir, struct name name, const struct inode *inode,
                                 struct ext3_disk_dirent **de)
{
    struct buffer *b = ext3_dir_find(dir, name, de);

    if (b == NULL)
        return ERR_PTR(-ENOENT);
    if (!IS_ERR(b) && from_le32((*de)->ino) != inode->ino) {
        buffer_put(b);
        return ERR_PTR(-ENOENT);
    }
    return b;
}

static int delete_entry(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode)
{
    struct ext3_disk_dirent *de;
    struct buffer *b = find_entry(dir, name, inode, &de);
    int error;

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    error = ext3_dir_delete(h, dir, b, de);
    buffer_put(b);
    return error;
}

static int unlink(struct inode *dir, struct name name, struct inode *inode)
{
    struct ext3_handle h;
    int error = ext3_begin(&h, ext3_of(dir), EXT3_DIR_CREDITS + 4);

    if (error != 0)
        return error;
    error = delete_entry(&h, dir, name, inode);
    if (error == 0)
        error = drop_link(&h, inode);
    ext3_end_names(&h, dir);
    return error;
}

static int check_empty(struct inode *dir)
{
    int empty = ext3_dir_is_empty(dir);

    return empty < 0 ? empty : empty ? 0 : -ENOTEMPTY;
}

static void change_links(struct inode *dir, int by)
{
    if (by > 0 || dir->nlink > 2)
        dir->nlink = (u32)((int)dir->nlink + by);
}

static int remove_dir(struct inode *dir, struct name name, struct inode *inode)
{
    struct ext3_handle h;
    int error = check_empty(inode);

    if (error == 0)
        error = ext3_begin(&h, ext3_of(dir), EXT3_DIR_CREDITS + 4);
    if (error != 0)
        return error;
    error = delete_entry(&h, dir, name, inode);
    if (error == 0)
        error = drop_link(&h, inode);
    if (error == 0) {
        change_links(dir, -1);
        error = ext3_write_inode(&h, dir);
    }
    ext3_end_names(&h, dir);
    return error;
}

/* ---- renaming ---- */

/* Makes the ".." of directory INODE mean PARENT. */
static int set_parent(struct ext3_handle *h, struct inode *inode, const struct inode *parent)
{
    struct buffer *b = ext3_dir_bread(inode, 0);
    struct ext3_disk_dirent *de;
    int error = 0;

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    de = (struct ext3_disk_dirent *)b->data;
    if (!ext3_dirent_is_sane(h->fs, inode, de, 0, 0) ||
        from_le16(de->length) > h->fs->block_size - ext3_dirent_size(2)) {
        error = -EUCLEAN;
    } else {
        de = (struct ext3_disk_dirent *)(b->data + from_le16(de->length));
        if (!ext3_name_is(de, (struct name){"..", 2}))
            error = ext3_corrupt(h->fs, "directory %lu has no \"..\"", (unsigned long)inode->ino);
    }
    if (error == 0) {
        ext3_access(h, b);
        de->ino = to_le32((u32)parent->ino);
        ext3_dirty(h, b);
    }
    buffer_put(b);
    return error;
}

/* The existing entry NAME of DIR, which means WAS, shall mean INODE. */
static int replace_entry(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *was,
                         const struct inode *inode)
{
    struct ext3_disk_dirent *de;
    struct buffer *b = find_entry(dir, name, was, &de);
    int error;

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    error = ext3_dir_set(h, dir, b, de, inode);
    buffer_put(b);
    return error;
}

static int exchange(struct ext3_handle *h, struct inode *old_dir, struct name old_name, struct inode *inode,
                    struct inode *new_dir, struct name new_name, struct inode *target)
{
    int moved = S_ISDIR(inode->mode), came = S_ISDIR(target->mode), error;

    if (old_dir != new_dir && moved != came && (came ? old_dir : new_dir)->nlink >= EXT3_LINK_MAX)
        return -EMLINK;
    error = replace_entry(h, new_dir, new_name, target, inode);
    if (error == 0)
        error = replace_entry(h, old_dir, old_name, inode, target);
    if (error == 0 && old_dir != new_dir) {
        if (moved)
            error = set_parent(h, inode, new_dir);
        if (came && error == 0)
            error = set_parent(h, target, old_dir);
        change_links(old_dir, came - moved);
        change_links(new_dir, moved - came);
        ext3_write_inode(h, old_dir);
        ext3_write_inode(h, new_dir);
    }
    inode_touch(inode, ATTR_CTIME);
    inode_touch(target, ATTR_CTIME);
    ext3_write_inode(h, inode);
    ext3_write_inode(h, target);
    return error;
}

/* INODE's new name is there and the old one gone: what else a directory's move means. */
static int finish_move(struct ext3_handle *h, struct inode *old_dir, struct inode *inode, struct inode *new_dir,
                       struct inode *target)
{
    int error = 0;

    if (S_ISDIR(inode->mode)) {
        if (old_dir != new_dir)
            error = set_parent(h, inode, new_dir);
        change_links(new_dir, 1);
        change_links(old_dir, -1);
        if (target != NULL)
            change_links(new_dir, -1);
        ext3_write_inode(h, old_dir);
        ext3_write_inode(h, new_dir);
    }
    inode_touch(inode, ATTR_CTIME);
    ext3_write_inode(h, inode);
    if (target != NULL && error == 0)
        error = drop_link(h, target);
    return error;
}

/* WHITEOUT, if any, comes where INODE was. */
static int move(struct ext3_handle *h, struct inode *old_dir, struct name old_name, struct inode *inode,
                struct inode *new_dir, struct name new_name, struct inode *target, const struct inode *whiteout)
{
    int error = 0;

    if (S_ISDIR(inode->mode) && old_dir != new_dir && target == NULL && new_dir->nlink >= EXT3_LINK_MAX)
        return -EMLINK;
    if (target != NULL && S_ISDIR(target->mode))
        error = check_empty(target);
    if (error == 0)
        error = target != NULL ? replace_entry(h, new_dir, new_name, target, inode)
                               : ext3_dir_add(h, new_dir, new_name, inode);
    if (error == 0)
        error = whiteout != NULL ? replace_entry(h, old_dir, old_name, inode, whiteout)
                                 : delete_entry(h, old_dir, old_name, inode);
    return error != 0 ? error : finish_move(h, old_dir, inode, new_dir, target);
}

/* A move that leaves a whiteout; without its name that goes again. */
static int move_away(struct ext3_handle *h, struct inode *old_dir, struct name old_name, struct inode *inode,
                     struct inode *new_dir, struct name new_name, struct inode *target, struct inode **whiteout)
{
    int error;

    *whiteout = ext3_new_inode(h, old_dir, WHITEOUT_MODE);
    if (IS_ERR(*whiteout))
        return (int)PTR_ERR(*whiteout);
    (*whiteout)->rdev = WHITEOUT_DEVICE;
    error = ext3_write_inode(h, *whiteout);
    if (error == 0)
        error = move(h, old_dir, old_name, inode, new_dir, new_name, target, *whiteout);
    if (error != 0) {
        (*whiteout)->nlink = 0;
        ext3_orphan_add(h, *whiteout);
    }
    return error;
}

static int try_rename(struct inode *old_dir, struct name old_name, struct inode *inode, struct inode *new_dir,
                      struct name new_name, struct inode *target, unsigned flags)
{
    struct inode *whiteout = NULL;
    struct ext3_handle h;
    int error;

    if (target == inode)
        return 0; /* two names of one file: nothing happens */
    error = ext3_begin(&h, ext3_of(old_dir),
                       2 * EXT3_DIR_CREDITS + 8 + (flags & RENAME_WHITEOUT ? EXT3_NEW_INODE_CREDITS + 2 : 0));
    if (error != 0)
        return error;
    if (flags & RENAME_EXCHANGE)
        error = target == NULL ? -ENOENT : exchange(&h, old_dir, old_name, inode, new_dir, new_name, target);
    else if (flags & RENAME_WHITEOUT)
        error = move_away(&h, old_dir, old_name, inode, new_dir, new_name, target, &whiteout);
    else
        error = move(&h, old_dir, old_name, inode, new_dir, new_name, target, NULL);
    ext3_end_names(&h, inode_has_synchronous_names(old_dir) ? old_dir : new_dir);
    if (whiteout != NULL && !IS_ERR(whiteout))
        inode_put(whiteout);
    return error;
}

/* ---- the operations: tried again after a commit if that gives blocks back ---- */

#define WITH_RETRY(dir, result, error_of, call)                         \
    ({                                                                  \
        unsigned attempts_ = 0;                                         \
        do                                                              \
            result = (call);                                            \
        while (ext3_retry(ext3_of(dir), error_of(result), &attempts_)); \
        result;                                                         \
    })
#define INODE_ERROR(inode) (IS_ERR(inode) ? PTR_ERR(inode) : 0)
#define ITSELF(error) (error)

static struct inode *create(struct inode *dir, struct name name, u32 mode)
{
    struct inode *inode;

    return WITH_RETRY(dir, inode, INODE_ERROR, try_create(dir, name, mode));
}

static struct inode *make_dir(struct inode *dir, struct name name, u32 mode)
{
    struct inode *inode;

    return WITH_RETRY(dir, inode, INODE_ERROR, try_make_dir(dir, name, mode));
}

static struct inode *make_symlink(struct inode *dir, struct name name, const char *target)
{
    struct inode *inode;

    return WITH_RETRY(dir, inode, INODE_ERROR, try_make_symlink(dir, name, target));
}

static struct inode *make_node(struct inode *dir, struct name name, u32 mode, u32 rdev)
{
    struct inode *inode;

    return WITH_RETRY(dir, inode, INODE_ERROR, try_make_node(dir, name, mode, rdev));
}

static struct inode *make_tmpfile(struct inode *dir, u32 mode)
{
    struct inode *inode;

    return WITH_RETRY(dir, inode, INODE_ERROR, try_make_tmpfile(dir, mode));
}

static int make_link(struct inode *dir, struct name name, struct inode *inode)
{
    int error;

    return WITH_RETRY(dir, error, ITSELF, try_make_link(dir, name, inode));
}

static int rename(struct inode *old_dir, struct name old_name, struct inode *inode, struct inode *new_dir,
                  struct name new_name, struct inode *target, unsigned flags)
{
    int error;

    return WITH_RETRY(old_dir, error, ITSELF, try_rename(old_dir, old_name, inode, new_dir, new_name, target, flags));
}

const struct inode_ops ext3_dir_inode_ops = {
    .lookup = lookup,
    .create = create,
    .mkdir = make_dir,
    .symlink = make_symlink,
    .mknod = make_node,
    .tmpfile = make_tmpfile,
    .link = make_link,
    .unlink = unlink,
    .rmdir = remove_dir,
    .rename = rename,
    .setattr = ext3_setattr,
    .getxattr = ext3_getxattr,
    .listxattr = ext3_listxattr,
    .setxattr = ext3_setxattr,
    .removexattr = ext3_removexattr,
    .set_flags = ext3_set_flags,
};

const struct inode_ops ext3_file_inode_ops = {
    .find_pages = ext3_find_pages,
    .setattr = ext3_setattr,
    .getxattr = ext3_getxattr,
    .listxattr = ext3_listxattr,
    .setxattr = ext3_setxattr,
    .removexattr = ext3_removexattr,
    .set_flags = ext3_set_flags,
};

const struct inode_ops ext3_special_inode_ops = {
    .setattr = ext3_setattr,
    .getxattr = ext3_getxattr,
    .listxattr = ext3_listxattr,
    .setxattr = ext3_setxattr,
    .removexattr = ext3_removexattr,
};
