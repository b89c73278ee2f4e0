/*
 * ext3 on the host: the real file system, buffer cache, page cache and inode cache over an image file, with one thread
 * and no machine. Tests play the VFS: they call the inode operations as it would.
 */
#ifndef TESTS_UNIT_EXT3HOST_H
#define TESTS_UNIT_EXT3HOST_H

#include "fs/ext3/ext3.h"
#include "fs/super.h"

void host_init(void); /* once */
/* Mounts IMAGE: NULL and *ERROR = -errno when that is refused. */
struct super *host_mount(const char *image, bool read_only, int *error);
void host_unmount(struct super *super);
/* The power goes: what is not on the disk is lost. */
void host_crash(struct super *super);
/* Everything to the disk, still mounted. */
void host_sync(struct super *super);
extern char host_messages[65536]; /* what the kernel said */
void host_forget_messages(void);
extern u64 host_fail_after; /* so many block requests, then -EIO; UINT64_MAX never */
extern bool host_quiet;
int host_io_errors(void); /* locks that are still held, pages that leaked: 0 */

static inline struct name host_name(const char *s) { return (struct name){s, (unsigned)strlen(s)}; }
struct inode *host_lookup(struct inode *dir, const char *name); /* ERR_PTR */
struct inode *host_path(struct super *super, const char *path); /* ERR_PTR; no symbolic links */
struct inode *host_create(struct inode *dir, const char *name, u32 mode);
struct inode *host_mkdir(struct inode *dir, const char *name);
struct inode *host_symlink(struct inode *dir, const char *name, const char *target);
int host_unlink(struct inode *dir, const char *name);
int host_rmdir(struct inode *dir, const char *name);
int host_link(struct inode *dir, const char *name, struct inode *inode);
int host_rename(struct inode *old_dir, const char *old_name, struct inode *new_dir, const char *new_name,
                unsigned flags);
ssize_t host_write(struct inode *inode, u64 at, const void *data, size_t n);
ssize_t host_read(struct inode *inode, u64 at, void *data, size_t n);
int host_truncate(struct inode *inode, u64 size);
int host_punch(struct inode *inode, u64 at, u64 n);
s64 host_seek(struct inode *inode, s64 at, int whence);
/* Calls FN for each entry, BATCH names to a call of read_dir. 0 or -errno. */
int host_read_dir(struct inode *dir, unsigned batch, void (*fn)(const char *name, u64 ino, unsigned type, void *arg),
                  void *arg);

#endif
