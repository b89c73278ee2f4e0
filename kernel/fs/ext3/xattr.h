/* Inside extended attributes: xattr.c reads and releases them, xattr_set.c changes them. The picture is in xattr.c. */
#ifndef FS_EXT3_XATTR_H
#define FS_EXT3_XATTR_H

#include "fs/ext3/ext3.h"

struct xattr_area {
    const u8 *base, *entries, *end; /* values' offsets count from base */
};

typedef ssize_t (*xattr_fn)(const struct xattr_area *area, const struct ext3_xattr_entry *e, void *arg);

/* Calls FN for each attribute in AREA until it returns not 0. */
ssize_t ext3_xattr_each(struct inode *inode, const struct xattr_area *area, xattr_fn fn, void *arg);
/* The area in the disk inode DISK. False: there is none, or nothing in it. */
bool ext3_xattr_in_inode(struct ext3 *fs, const struct ext3_inode *ei, const struct ext3_disk_inode *disk,
                         struct xattr_area *area);
/* INODE's attribute block, which it has. ERR_PTR. */
struct buffer *ext3_xattr_block(struct inode *inode);
struct xattr_area ext3_xattr_block_area(const struct buffer *b);
/* The number of NAME's prefix, and where the rest begins; 0: an unknown prefix. */
u8 ext3_xattr_index(const char *name, const char **rest);
/* INODE's block loses a reference, and is freed with the last. => xattr_lock */
void ext3_xattr_put_block(struct ext3_handle *h, struct inode *inode, struct buffer *b);

#endif
