/*
 * Inside ext3: the mounted file system, its inodes, and what its files offer each other.
 *
 *   namei.c  file.c  symlink.c  xattr.c          operations that the VFS calls
 *      |        |        |         |
 *   dir.c, htree.c    map.c, truncate.c          names in directories; logical to physical blocks
 *      |              jdata.c                    data that go through the journal
 *      |                 |
 *   inode.c, orphan.c  balloc.c, ialloc.c        disk inodes; bitmaps
 *      |                 |
 *   handle.c           group.c                   every change of metadata; group descriptors
 *      +------ fs/buffer.h ------+
 *
 * Every change of metadata happens within a handle (handle.c): ext3_begin, then for each buffer ext3_access before and
 * ext3_dirty after the change, ext3_end. Blocks that were metadata are freed through ext3_forget. The journal
 * (fs/journal) makes what happens within a handle one change, and handles durable in their order.
 *
 * Locks (sleeping), after the VFS's inode.lock: handle -> xattr_lock -> ext3_inode.data_lock -> map_lock -> orphan_lock
 * -> inode_lock -> alloc_lock. Spin: window_lock, copy_lock.
 *
 * Numbers from the disk are checked where they are read: block numbers by ext3_block_is_sane, inode numbers by
 * ext3_ino_is_sane, directory entries by ext3_dirent_is_sane. What is wrong is told in one line (ext3_corrupt) and
 * fails with -EUCLEAN.
 */
#ifndef FS_EXT3_EXT3_H
#define FS_EXT3_EXT3_H

#include "fs/buffer.h"
#include "fs/ext3/format.h"
#include "fs/journal/journal.h"
#include "fs/vfs.h"
#include "lib/string.h"

struct ext3_group {
    struct ext3_disk_group *disk; /* in a descriptor buffer that stays referenced */
    u32 block_bitmap, inode_bitmap, inode_table;
    bool bitmap_is_bad; /* do not allocate here. Under alloc_lock, inode_lock */
    u8 *pending;        /* blocks that were freed, but not by a durable transaction: a bitmap, or NULL. alloc_lock */
    u32 n_pending;
    u32 super_blocks; /* of copies of the super block and the descriptors, at its start */
    u32 rotor;        /* where the last search without a goal ended; alloc_lock */
};

struct ext3_options {
    enum { EXT3_DATA_ORDERED, EXT3_DATA_WRITEBACK, EXT3_DATA_JOURNAL } data;
    enum { EXT3_ON_ERROR_CONTINUE = 1, EXT3_ON_ERROR_READ_ONLY, EXT3_ON_ERROR_PANIC } on_error;
    unsigned commit_seconds;
    bool barrier, no_load, data_is_given;
};
#define EXT3_COMMIT_SECONDS 5 /* unless told otherwise */

struct ext3 {
    struct super *super;
    struct block_device *device;
    struct journal *journal; /* NULL: none, or not used */
    bool is_ext2;            /* mounted as such: without a journal */
    bool journal_runs;
    struct ext3_log_run { /* blocks of the disk that are the journal's; all lie in [log_start, log_end) */
        u32 first, count;
    } * log_runs;
    unsigned n_log_runs;
    u32 log_start, log_end;
    bool is_writing; /* the disk says that it is in use */
    struct ext3_options options;
    struct buffer *super_buffer;
    struct ext3_disk_super *disk; /* in super_buffer */
    u32 block_size, block_bits, inode_size, desc_per_block, addr_per_block, addr_bits;
    u32 blocks_count, inodes_count, first_data_block, first_ino, reserved_blocks;
    u32 blocks_per_group, inodes_per_group, inode_blocks_per_group, n_groups, gdt_blocks;
    bool has_filetype, has_dir_index, sparse_super;
    u32 hash_seed[4];
    unsigned hash_unsigned;   /* 3 when names' bytes count as unsigned in hashes: added to the version, else 0 */
    bool was_valid;           /* state to go back to at unmount */
    bool told_corrupt;        /* EXT3_ERROR_FS is set already */
    char last_complaint[128]; /* of ext3_corrupt; racing writers only garble it */
    u32 reserved_uid;
    struct buffer **descriptors;
    struct ext3_group *groups;
    struct mutex alloc_lock;          /* block bitmaps, free_blocks of the groups */
    struct mutex inode_lock;          /* inode bitmaps, free_inodes and used_dirs of the groups */
    struct buffer *last_block_bitmap; /* the one used last stays referenced; NULL. alloc_lock */
    struct buffer *last_inode_bitmap; /* inode_lock */
    struct mutex orphan_lock;
    struct mutex xattr_lock;    /* reference counts of attribute blocks */
    struct list orphans;        /* ext3_inode.orphan_link, in the disk list's order; orphan_lock */
    u64 free_blocks;            /* all groups'; alloc_lock to change */
    u64 n_pending;              /* of those: may not be allocated before a commit */
    u64 free_inodes, used_dirs; /* inode_lock to change */
    struct spinlock copy_lock;  /* disk inodes' contents, and what inode.c knows of them */
    struct list changed;        /* ext3_inode.changed_link: their disk inodes are older. copy_lock */
    struct spinlock window_lock;
    struct list windows; /* ext3_inode.window_link, least recently used first; window_lock */
    unsigned n_windows;
    u32 next_generation; /* atomic */
};

struct ext3_inode {
    struct inode vfs;
    struct rwlock map_lock;                                /* block[], indirect blocks, vfs.blocks */
    struct mutex data_lock;                                /* jdata.c: pages and what the journal has of them */
    le32 block[EXT3_N_BLOCKS] __attribute__((aligned(8))); /* as in the disk inode */
    u32 file_acl, dtime;
    u32 group; /* where its blocks begin to be looked for */
    u32 extra_isize;
    struct list orphan_link; /* orphan_lock */
    u32 orphan_next;         /* next on the disk list; orphan_lock */
    /* Where the next block goes, map_lock: after block last_physical of the disk for last_logical of the file. */
    u32 last_logical, last_physical;
    u32 past_end; /* 1 + the last logical block allocated beyond the size, to be freed again; 0 none. map_lock */
    /* Free blocks that others should leave alone, window_lock. */
    u32 window_start, window_end;
    struct list window_link;
    struct journal_data data;   /* its pages, in the journal's eyes */
    u32 sync_tid, datasync_tid; /* transactions that fsync, fdatasync must wait for. copy_lock */
    /* Directories, vfs.lock for writing: the block where the last insertion found room. */
    u32 insert_hint;
    /* ... A block that is often wanted, referenced, or NULL: the root of the index, or the last insertion's. For
     * readers, too. */
    u32 kept_logical;
    struct buffer *kept_block;
    struct buffer *home;          /* that of the disk inode, referenced, since it was first written; set once */
    struct ext3_disk_inode *disk; /* in `home`, set before. copy_lock */
    struct list changed_link;     /* of fs->changed: the running transaction has `home`. copy_lock */
    bool is_fresh;                /* what the disk inode holds is a former file's; cleared by its creator */
};

static inline struct ext3_inode *ext3_i(const struct inode *inode)
{
    return container_of(inode, struct ext3_inode, vfs);
}
static inline struct ext3 *ext3_of(const struct inode *inode) { return inode->super->private; }

/* ---- handle.c ---- */
struct ext3_handle {
    struct ext3 *fs;
    struct handle journal; /* its transaction is NULL without a journal, and after an abort */
    int error;
};
int ext3_begin(struct ext3_handle *h, struct ext3 *fs, unsigned credits);
/* The change so far is complete in itself; more follows. => no locks of ext3 held */
int ext3_restart(struct ext3_handle *h, unsigned credits);
int ext3_end(struct ext3_handle *h);
/* ... of a call that changed INODE, which chattr +S makes durable at once; names in DIR: mount -o dirsync, chattr +D.
 */
int ext3_end_inode(struct ext3_handle *h, const struct inode *inode);
int ext3_end_names(struct ext3_handle *h, const struct inode *dir);
/* Before data of B changes. */
static inline int ext3_access(struct ext3_handle *h, struct buffer *b)
{
    ASSERT(buffer_is_uptodate(b));
    return likely(h->fs->journal != NULL) ? journal_access(&h->journal, b) : 0;
}
int ext3_access_new(struct ext3_handle *h, struct buffer *b); /* the same for a block that was free */
/* After. */
static inline void ext3_dirty(struct ext3_handle *h, struct buffer *b)
{
    if (likely(h->fs->journal != NULL))
        journal_dirty(&h->journal, b);
    else
        buffer_mark_dirty(b);
}
/* BLOCK was metadata and is about to be free. -EROFS: then it must not be. */
int ext3_forget(struct ext3_handle *h, u32 block);
/* How many more buffers the handle may change. */
unsigned ext3_credits(const struct ext3_handle *h);
/* An operation failed with ERROR for want of blocks that have been freed, but not durably yet: commits. True: try
 * again. => no handle. *ATTEMPTS starts at 0 */
bool ext3_retry(struct ext3 *fs, long error, unsigned *attempts);
/* Buffers of block BLOCK, whose number is sane; ext3_bnew: zeroed, up to date and accessed. ERR_PTR. */
struct buffer *ext3_bread(struct ext3 *fs, u32 block);
struct buffer *ext3_bnew(struct ext3_handle *h, u32 block);
/* B holds a file's bytes from now on, in the journal's data mode. False: it holds metadata, which are not to be written
 * over although the disk says that the block is the file's, too. The other way round ext3_bread fails. */
bool ext3_claim_for_data(struct buffer *b);
/* Upper bounds of buffers that common steps change. */
#define EXT3_ALLOC_CREDITS 3 /* bitmap, descriptor, super block */
#define EXT3_MAP_CREDITS (4 * EXT3_ALLOC_CREDITS + 4)
#define EXT3_INODE_CREDITS 2 /* its block, super block (large_file) */
#define EXT3_DIR_CREDITS (2 * EXT3_MAP_CREDITS + 6)
#define EXT3_TRUNCATE_CREDITS 64
#define EXT3_NEW_INODE_CREDITS (EXT3_ALLOC_CREDITS + EXT3_INODE_CREDITS + 1)

/* ---- super.c ---- */
void ext3_init(void); /* registers the file system */
/* Something on the disk makes no sense: one line, the disk is marked as having errors. Returns -EUCLEAN. */
int ext3_corrupt(struct ext3 *fs, const char *fmt, ...) printf_like(2, 3);

/* ---- journal.c ---- */
/* Finds and opens the journal, if there is one; replays it unless NO_LOAD. *RECOVERED: what was read before is stale.
 */
int ext3_open_journal(struct ext3 *fs, bool *recovered);
/* Handles may begin. */
int ext3_run_journal(struct ext3 *fs);
/* Past the journal, which cannot be used: the disk's super block says that there were errors. */
void ext3_mark_error(struct ext3 *fs);
int ext3_fsync(struct file *file, u64 from, u64 to, bool data_only);

/* ---- options.c ---- */
/* 0 and *OPTIONS changed, or -EINVAL. */
int ext3_parse_options(const char *text, struct ext3_options *options);
/* At a mount: what was not given is the disk's to say. 0, or -EINVAL: they do not fit the disk. */
int ext3_complete_options(struct ext3 *fs);
/* As /proc/mounts has them; ALL: also those that go without saying. */
size_t ext3_show_options(const struct ext3 *fs, char *buf, size_t size, bool all);

/* ---- group.c ---- */
int ext3_load_groups(struct ext3 *fs);
void ext3_free_groups(struct ext3 *fs);
bool ext3_group_has_super(const struct ext3 *fs, u32 group);
static inline u32 ext3_group_first_block(const struct ext3 *fs, u32 group)
{
    return fs->first_data_block + group * fs->blocks_per_group;
}
u32 ext3_group_blocks(const struct ext3 *fs, u32 group); /* the last one may be shorter */
static inline u32 ext3_group_of_block(const struct ext3 *fs, u32 block)
{
    return (block - fs->first_data_block) / fs->blocks_per_group;
}
struct buffer *ext3_descriptor_buffer(const struct ext3 *fs, u32 group);
bool ext3_block_is_sane(const struct ext3 *fs, u32 block); /* can be a file's: inside the disk */
bool ext3_blocks_are_metadata(const struct ext3 *fs, u32 block,
                              u32 n); /* touch super blocks, descriptors, bitmaps or inode tables */
static inline bool ext3_ino_is_sane(const struct ext3 *fs, u32 ino)
{
    return ino == EXT3_ROOT_INO || (ino >= fs->first_ino && ino <= fs->inodes_count);
}
/* The bitmap at BLOCK, which comes to be *LAST, that keeps the reference. ERR_PTR. => LAST's lock */
struct buffer *ext3_bitmap(struct ext3 *fs, struct buffer **last, u32 block);
/* Bits of a bitmap, LEN of them: the first one >= FROM that is clear or set, or LEN. */
u32 ext3_find_clear(const u8 *bitmap, u32 len, u32 from);
u32 ext3_find_set(const u8 *bitmap, u32 len, u32 from);

/* ---- balloc.c ---- */
/* Allocates up to *COUNT contiguous blocks, near GOAL (0: the inode's group): the first; *COUNT says how many. -ENOSPC,
 * -EIO. => map_lock for writing */
int ext3_alloc_blocks(struct ext3_handle *h, struct inode *inode, u32 goal, u32 *count, u32 *first);
/* WAS_METADATA: pending writes of their buffers are called off. They can be allocated again once this is durable. */
void ext3_free_blocks(struct ext3_handle *h, u32 first, u32 count, bool was_metadata);
void ext3_discard_window(struct inode *inode);
/* journal_ops.committed: what the transaction freed may be allocated. */
void ext3_release_freed(void *owner, void *freed, u32 tid, int error);
/* Blocks that the current thread may still take. */
u64 ext3_available_blocks(const struct ext3 *fs);

/* ---- ialloc.c ---- */
/* A fresh inode of MODE with owner and times set, entered in the cache, its disk inode written. ERR_PTR. */
struct inode *ext3_new_inode(struct ext3_handle *h, struct inode *dir, u32 mode);
void ext3_free_inode_number(struct ext3_handle *h, u32 ino, bool was_directory);
/* Is INO marked as used? 1, 0, -errno */
int ext3_ino_in_use(struct ext3 *fs, u32 ino);

/* ---- inode.c ---- */
struct inode *ext3_iget(struct super *super, u64 ino); /* ERR_PTR */
struct buffer *ext3_inode_buffer(struct ext3 *fs, u64 ino, struct ext3_disk_inode **disk);
struct inode *ext3_iget_orphan(struct super *super, u64 ino); /* the same, also without links */
/* INODE has changed, and its disk inode will be what it is when the transaction takes no more handles, or when it
 * leaves the cache; without a journal at once. -EIO, -ENOMEM: the buffer cannot be read. */
int ext3_write_inode(struct ext3_handle *h, struct inode *inode);
void ext3_copy_inodes(void *fs); /* journal_ops.locked */
/* Inodes that somebody still has at unmount must not keep buffers of a disk that may be another's soon. */
void ext3_leave_buffers(struct super *super);
/* INODE's dirty pages must be on the disk before the handle's transaction is. */
void ext3_order(struct ext3_handle *h, struct inode *inode);
int ext3_write_inode_op(struct inode *inode, bool wait);
void ext3_evict_inode(struct inode *inode);
int ext3_setattr(struct inode *inode, const struct attributes *attr);
void ext3_set_ops(struct inode *inode);
bool ext3_is_fast_symlink(const struct inode *inode);
/* 512-byte units */
static inline u32 ext3_sectors_per_block(const struct ext3 *fs) { return fs->block_size / SECTOR_SIZE; }

/* ---- map.c ---- */
/* The blocks of INODE from LOGICAL on, at most MAX of them: 0 or -errno; *COUNT of them are contiguous at *PHYSICAL, or
 * a hole when that is 0. */
int ext3_find_pages(struct inode *inode, u64 index, unsigned *n, u64 *sector); /* inode_ops.find_pages */
int ext3_map(struct inode *inode, u32 logical, u32 max, u32 *physical, u32 *count);
int ext3_map_locked(struct inode *inode, u32 logical, u32 max, u32 *physical, u32 *count); /* => map_lock */
/* Makes sure that [logical, logical + max) starts with blocks, allocating if it is a hole. *FRESH: they were just
 * allocated. BELOW_SIZE: none past the file's end, which others may move meanwhile; -ERANGE. => inode dirty afterwards
 */
int ext3_map_allocate(struct ext3_handle *h, struct inode *inode, u32 logical, u32 max, bool below_size, u32 *physical,
                      u32 *count, bool *fresh);
/* Block LOGICAL gets another place on the disk, and the old one is freed: 1, or 0 for a hole, -ENOSPC... => the page
 * becomes dirty within the handle, and the inode ordered */
int ext3_map_replace(struct ext3_handle *h, struct inode *inode, u32 logical);
/* Which pointers lead to LOGICAL: how many levels (1 = direct), or 0 when the file cannot be that long. */
unsigned ext3_map_path(const struct ext3 *fs, u32 logical, u32 path[4]);
u64 ext3_max_size(const struct ext3 *fs);
/* The way to a block, as far as it exists: slot[0] in the inode, slot[i] in buffer[i]; stops at the first empty slot or
 * at the last level. What lies behind is not set. */
struct ext3_chain {
    u32 path[4];
    unsigned depth, level; /* levels in all; where it stopped */
    le32 *slot[4];
    struct buffer *buffer[4]; /* buffer[0] is NULL */
};
int ext3_walk(struct inode *inode, u32 logical, struct ext3_chain *chain); /* 0, -EFBIG, -EIO, -EUCLEAN. => map_lock */
void ext3_chain_put(struct ext3_chain *chain);
/* How many blocks of the file share the empty slot where the walk stopped, from its block on. */
u32 ext3_chain_hole(const struct ext3 *fs, const struct ext3_chain *chain);
/* How many slots there are from the last level's on. */
u32 ext3_chain_slots(const struct ext3 *fs, const struct ext3_chain *chain);

/* ---- flags.c ---- */
int ext3_set_flags(struct inode *inode, u32 flags); /* inode_ops.set_flags */
long ext3_ioctl(struct file *file, unsigned command, u64 argument);
u32 ext3_inherited_flags(const struct inode *dir, u32 mode);

/* ---- jdata.c ---- */
/* The file's data go through the journal. */
bool ext3_journals_data(const struct inode *inode);
/* Blocks [at, end) of the file, as far as they exist, are logged with the contents of PAGE (NULL: zeros), in which they
 * lie: a credit each. 0, -EIO, -EUCLEAN: they were not found. */
int ext3_log_data(struct ext3_handle *h, struct inode *inode, struct page *page, u64 at, u64 end);
int ext3_log_page(struct ext3_handle *h, struct inode *inode, struct page *page); /* all of it */
/* Calls PUBLISH(ARG, ERROR), which changes PAGE, and logs as above. */
void ext3_publish_data(struct ext3_handle *h, struct inode *inode, struct page *page, u64 at, u64 end, int error,
                       void (*publish)(void *arg, int error), void *arg);
void ext3_write_range(struct object *o, u64 first, u64 last, bool wait); /* object_ops.write_range */

/* ---- truncate.c ---- */
/* Frees the blocks of logical [first, end) and indirect blocks that get empty, in pieces of one handle each. H may be
 * restarted. => map_lock not held */
int ext3_free_range(struct ext3_handle *h, struct inode *inode, u32 first, u32 end);
/* Frees what lies past the size. */
int ext3_truncate(struct inode *inode);
/* Frees what a failed or short write allocated past the size. => inode->lock for writing */
void ext3_trim(struct inode *inode);

/* ---- orphan.c ---- */
int ext3_orphan_add(struct ext3_handle *h, struct inode *inode);
int ext3_orphan_remove(struct ext3_handle *h, struct inode *inode);
void ext3_process_orphans(struct ext3 *fs);

/* ---- dir.c ---- */
bool ext3_dirent_is_sane(struct ext3 *fs, const struct inode *dir, const struct ext3_disk_dirent *de, u32 offset,
                         u32 block);
static inline u32 ext3_dirent_size(unsigned name_length) { return ALIGN_UP(EXT3_DIRENT_HEADER + name_length, 4u); }
/* Directory block LOGICAL: ERR_PTR(-EIO, -EUCLEAN: a hole). */
struct buffer *ext3_dir_bread(struct inode *dir, u32 logical);
struct buffer *ext3_dir_block(struct inode *dir, u32 logical); /* the same. => dir->lock */
/* B is block LOGICAL, and will be wanted again. => dir->lock for writing */
void ext3_dir_keep(struct inode *dir, struct buffer *b, u32 logical);
/* A new block at the end of DIR, zeroed and accessed. */
struct buffer *ext3_dir_append(struct ext3_handle *h, struct inode *dir, u32 *logical);
/* The entry called NAME: its buffer (to be put) and *DE in it; NULL: not there; ERR_PTR. */
struct buffer *ext3_dir_find(struct inode *dir, struct name name, struct ext3_disk_dirent **de);
struct buffer *ext3_dir_find_in_block(struct inode *dir, struct buffer *b, u32 logical, struct name name,
                                      struct ext3_disk_dirent **de);
int ext3_dir_add(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode);
/* Room in block B for NAME: 0, -ENOSPC, -EUCLEAN. */
int ext3_dir_add_to_block(struct ext3_handle *h, struct inode *dir, struct buffer *b, struct name name, u32 ino,
                          u32 mode);
int ext3_dir_delete(struct ext3_handle *h, struct inode *dir, struct buffer *b, struct ext3_disk_dirent *de);
int ext3_dir_set(struct ext3_handle *h, struct inode *dir, struct buffer *b, struct ext3_disk_dirent *de,
                 const struct inode *inode);
int ext3_dir_make_empty(struct ext3_handle *h, struct inode *dir, u64 parent);
int ext3_dir_is_empty(struct inode *dir); /* 1, 0, -errno */
void ext3_dirent_set_type(const struct ext3 *fs, struct ext3_disk_dirent *de, u32 mode);
unsigned ext3_dirent_type(const struct ext3 *fs, const struct ext3_disk_dirent *de); /* DT_* */
static inline u32 ext3_dir_blocks(const struct inode *dir)
{
    return (u32)(inode_size(dir) >> ext3_of(dir)->block_bits);
}
static inline bool ext3_name_is(const struct ext3_disk_dirent *de, struct name name)
{
    return de->ino != 0 && de->name_length == name.length && memcmp(de->name, name.s, name.length) == 0;
}
extern const struct file_ops ext3_dir_file_ops;

/* ---- hash.c ---- */
#define EXT3_HASH_EOF 0xfffffffeu /* no name's hash: the end of a directory in hash order */
enum {
    EXT3_HASH_LEGACY,
    EXT3_HASH_HALF_MD4,
    EXT3_HASH_TEA,
    EXT3_HASH_LEGACY_UNSIGNED,
    EXT3_HASH_HALF_MD4_UNSIGNED,
    EXT3_HASH_TEA_UNSIGNED
};
/* The lowest bit is clear. False: an unknown version. */
bool ext3_hash(unsigned version, const u32 seed[4], const char *name, unsigned length, u32 *hash);

/* ---- htree.c ---- */
static inline bool ext3_is_indexed(const struct inode *dir)
{
    return ext3_of(dir)->has_dir_index && (dir->flags & EXT3_INDEX_FL) != 0;
}
/* Read in the order of hashes: indexed, or small enough to become so. */
bool ext3_reads_by_hash(const struct inode *dir);
/* As ext3_dir_find. -EBADF: the index is unusable; search all blocks. */
struct buffer *ext3_htree_find(struct inode *dir, struct name name, struct ext3_disk_dirent **de);
/* As ext3_dir_add. -EBADF: as above. */
int ext3_htree_add(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode);
/* DIR, of one full block, gets an index and NAME. */
int ext3_htree_create(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode);
int ext3_htree_read_dir(struct inode *dir, struct dir_context *ctx);

/* ---- xattr.c ---- */
ssize_t ext3_getxattr(struct inode *inode, const char *name, void *buf, size_t size);
ssize_t ext3_listxattr(struct inode *inode, char *buf, size_t size);
int ext3_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags);
int ext3_removexattr(struct inode *inode, const char *name);
/* The inode goes: drops its reference to its attribute block. */
void ext3_release_xattrs(struct ext3_handle *h, struct inode *inode);

/* ---- the rest ---- */
extern const struct inode_ops ext3_dir_inode_ops, ext3_file_inode_ops, ext3_symlink_inode_ops, ext3_special_inode_ops;
extern const struct file_ops ext3_file_ops;
extern const struct object_ops ext3_object_ops, ext3_journalled_object_ops;
int ext3_symlink_write(struct ext3_handle *h, struct inode *inode, const char *target);

#endif
