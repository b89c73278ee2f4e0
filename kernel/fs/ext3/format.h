/*
 * What ext3 looks like on the disk, all integers little-endian (the ext2 documentation of e2fsprogs;
 * docs.kernel.org/filesystems/ext4).
 *
 *   block 0 or 1: super block | group descriptors | group 0: block bitmap, inode bitmap, inode table, data | group 1:
 * ... | ...
 *
 * The super block starts at byte 1024. With 1 KiB blocks block 0 belongs to no group (first_data_block is 1).
 */
#ifndef FS_EXT3_FORMAT_H
#define FS_EXT3_FORMAT_H

#include "lib/endian.h"

#define EXT3_MAGIC 0xEF53
#define EXT3_SUPER_OFFSET 1024
#define EXT3_MIN_BLOCK_SIZE 1024
#define EXT3_MAX_BLOCK_SIZE 4096

enum { EXT3_ROOT_INO = 2, EXT3_RESIZE_INO = 7, EXT3_JOURNAL_INO = 8, EXT3_OLD_FIRST_INO = 11 };

struct ext3_disk_super {
    le32 inodes_count, blocks_count, reserved_blocks, free_blocks, free_inodes, first_data_block, log_block_size,
        log_cluster_size;
    le32 blocks_per_group, clusters_per_group, inodes_per_group, mount_time, write_time;
    le16 mount_count, max_mount_count, magic, state, errors, minor_revision;
    le32 last_check, check_interval, creator_os, revision;
    le16 default_reserved_uid, default_reserved_gid;
    le32 first_ino;
    le16 inode_size, block_group_number;
    le32 feature_compat, feature_incompat, feature_ro_compat;
    u8 uuid[16], volume_name[16], last_mounted[64];
    le32 algorithm_bitmap;
    u8 preallocate_blocks, preallocate_dir_blocks;
    le16 reserved_gdt_blocks;
    u8 journal_uuid[16];
    le32 journal_inum, journal_dev, last_orphan;
    le32 hash_seed[4];
    u8 default_hash_version, journal_backup_type;
    le16 descriptor_size;
    le32 default_mount_options, first_meta_bg, mkfs_time, journal_blocks[17];
    le32 blocks_count_high, reserved_blocks_high, free_blocks_high;
    le16 min_extra_isize, want_extra_isize;
    le32 flags;
    u8 rest[668];
};
static_assert(sizeof(struct ext3_disk_super) == 1024, "fixed by the format");
static_assert(offsetof(struct ext3_disk_super, hash_seed) == 0xEC, "fixed by the format");
static_assert(offsetof(struct ext3_disk_super, flags) == 0x160, "fixed by the format");

/* state */
#define EXT3_VALID_FS 1
#define EXT3_ERROR_FS 2
/* flags */
#define EXT3_FLAGS_SIGNED_HASH 1
#define EXT3_FLAGS_UNSIGNED_HASH 2

/* default_mount_options: the mode of data */
#define EXT3_DEFAULT_DATA_MASK 0x60
#define EXT3_DEFAULT_DATA_JOURNAL 0x20
#define EXT3_DEFAULT_DATA_WRITEBACK 0x60

#define EXT3_COMPAT_HAS_JOURNAL 0x4
#define EXT3_COMPAT_EXT_ATTR 0x8
#define EXT3_COMPAT_DIR_INDEX 0x20
#define EXT3_INCOMPAT_FILETYPE 0x2
#define EXT3_INCOMPAT_RECOVER 0x4
#define EXT3_INCOMPAT_SUPPORTED (EXT3_INCOMPAT_FILETYPE | EXT3_INCOMPAT_RECOVER)
#define EXT3_RO_COMPAT_SPARSE_SUPER 0x1
#define EXT3_RO_COMPAT_LARGE_FILE 0x2
#define EXT3_RO_COMPAT_BTREE_DIR 0x4
#define EXT3_RO_COMPAT_SUPPORTED (EXT3_RO_COMPAT_SPARSE_SUPER | EXT3_RO_COMPAT_LARGE_FILE | EXT3_RO_COMPAT_BTREE_DIR)

struct ext3_disk_group {
    le32 block_bitmap, inode_bitmap, inode_table;
    le16 free_blocks, free_inodes, used_dirs, flags;
    le32 unused[3];
};
static_assert(sizeof(struct ext3_disk_group) == 32, "fixed by the format");

#define EXT3_N_DIRECT 12
#define EXT3_N_BLOCKS 15 /* direct, indirect, double, triple */

struct ext3_disk_inode {
    le16 mode, uid;
    le32 size, atime, ctime, mtime, dtime;
    le16 gid, links;
    le32 blocks, flags, version;
    le32 block[EXT3_N_BLOCKS];
    le32 generation, file_acl, size_high, fragment;
    le16 blocks_high, file_acl_high, uid_high, gid_high;
    le32 unused;
    /* Inodes of more than 128 bytes. Fields count if they lie within 128 + extra_isize. */
    le16 extra_isize, checksum_high;
    le32 ctime_extra, mtime_extra, atime_extra, crtime, crtime_extra, version_high, project;
};
#define EXT3_OLD_INODE_SIZE 128
static_assert(offsetof(struct ext3_disk_inode, extra_isize) == EXT3_OLD_INODE_SIZE, "fixed by the format");
static_assert(sizeof(struct ext3_disk_inode) == 160, "fixed by the format");
#define EXT3_WANT_EXTRA_ISIZE 32

/* flags of inodes; FS_*_FL (fs/vfs.h) are among them */
#define EXT3_INDEX_FL 0x1000
#define EXT3_TOPDIR_FL 0x20000
#define EXT3_EXTENTS_FL 0x80000
#define EXT3_EA_INODE_FL 0x200000
#define EXT3_INLINE_DATA_FL 0x10000000
#define EXT3_CASEFOLD_FL 0x40000000
#define EXT3_FOREIGN_FL (EXT3_EXTENTS_FL | EXT3_EA_INODE_FL | EXT3_INLINE_DATA_FL) /* of features that are refused */
#define EXT3_SETTABLE_FL                                                                                               \
    0x624bc0ffu                       /* by programs, among them some that mean nothing: secrm, unrm, compr, notail... \
                                       */
#define EXT3_INHERITED_FL 0x6201c4cfu /* what a new inode gets from its directory: not immutable, append, index */
#define EXT3_DIRECTORY_FL 0x60030000u /* only directories': dirsync, topdir, projinherit, casefold */
#define EXT3_OTHER_FL 0xc0u           /* all that others than directories and files have: nodump, noatime */

struct ext3_disk_dirent {
    le32 ino; /* 0: unused */
    le16 length;
    u8 name_length, type;
    char name[];
};
static_assert(sizeof(struct ext3_disk_dirent) == 8, "fixed by the format");
#define EXT3_DIRENT_HEADER 8
enum {
    EXT3_FT_UNKNOWN,
    EXT3_FT_REG,
    EXT3_FT_DIR,
    EXT3_FT_CHR,
    EXT3_FT_BLK,
    EXT3_FT_FIFO,
    EXT3_FT_SOCK,
    EXT3_FT_SYMLINK,
    EXT3_FT_MAX
};

#define EXT3_LINK_MAX 32000

/* Extended attributes: in an inode behind extra_isize (magic, entries), and in one block (header, entries). Values lie
 * at the end, growing down. */
#define EXT3_XATTR_MAGIC 0xEA020000
struct ext3_xattr_header {
    le32 magic, refcount, blocks, hash, checksum, reserved[3];
};
static_assert(sizeof(struct ext3_xattr_header) == 32, "fixed by the format");
struct ext3_xattr_entry {
    u8 name_length, name_index;
    le16 value_offset;
    le32 value_inode, value_size, hash;
    char name[];
};
static_assert(sizeof(struct ext3_xattr_entry) == 16, "fixed by the format");

#endif
