/* Symbolic links: a target of less than 60 bytes lies in the inode, in place of the block numbers; a longer one in a
 * block. */
#include "fs/ext3/ext3.h"

static ssize_t read_link(struct inode *inode, char *buf, size_t size)
{
    struct ext3 *fs = ext3_of(inode);
    size_t length = MIN(inode_size(inode), size - 1);
    u32 physical, count;
    struct buffer *b;
    int error;

    if (ext3_is_fast_symlink(inode)) {
        memcpy(buf, ext3_i(inode)->block, length);
        buf[length] = '\0';
        return (ssize_t)length;
    }
    error = ext3_map(inode, 0, 1, &physical, &count);
    if (error == 0 && physical == 0)
        error = ext3_corrupt(fs, "symbolic link %lu has no block", (unsigned long)inode->ino);
    if (error != 0)
        return error;
    b = ext3_bread(fs, physical);
    if (IS_ERR(b))
        return PTR_ERR(b);
    memcpy(buf, b->data, length);
    buf[length] = '\0';
    buffer_put(b);
    return (ssize_t)length;
}

int ext3_symlink_write(struct ext3_handle *h, struct inode *inode, const char *target)
{
    size_t length = strlen(target);
    u32 physical, count;
    struct buffer *b;
    bool fresh;
    int error;

    if (length >= h->fs->block_size)
        return -ENAMETOOLONG;
    if (length < sizeof(ext3_i(inode)->block)) {
        memcpy(ext3_i(inode)->block, target, length);
        inode->object.size = length;
        return 0;
    }
    error = ext3_map_allocate(h, inode, 0, 1, false, &physical, &count, &fresh);
    if (error != 0)
        return error;
    b = ext3_bnew(h, physical);
    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    memcpy(b->data, target, length);
    ext3_dirty(h, b);
    buffer_put(b);
    inode->object.size = length;
    return 0;
}

const struct inode_ops ext3_symlink_inode_ops = {
    .read_link = read_link,
    .setattr = ext3_setattr,
    .getxattr = ext3_getxattr,
    .listxattr = ext3_listxattr,
    .setxattr = ext3_setxattr,
    .removexattr = ext3_removexattr,
};
