/* Advisory locks on files: fcntl(2)'s of a process (POSIX) and of an open file (OFD), and flock(2). */
#ifndef FS_LOCKS_H
#define FS_LOCKS_H

#include "fs/vfs.h"

/* fcntl's struct flock */
struct flock_range {
    s16 type; /* F_RDLCK, F_WRLCK, F_UNLCK */
    s16 whence;
    s64 start, length;
    s32 pid;
};
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_NB 4
#define LOCK_UN 8

/* fcntl: sets, or tests (then RANGE tells the first lock that is in the way, F_UNLCK if none). OFD: the owner is FILE,
 * else the process. */
int lock_range_set(struct file *file, const struct flock_range *range, bool ofd, bool wait);
int lock_range_test(struct file *file, struct flock_range *range, bool ofd);
static inline bool is_lock_operation(unsigned operation)
{
    operation &= ~(unsigned)LOCK_NB;
    return operation == LOCK_SH || operation == LOCK_EX || operation == LOCK_UN;
}
int lock_whole(struct file *file, unsigned operation);

/* close(2): the current process's POSIX locks on FILE's inode go. */
void locks_close(struct file *file);
/* FILE's last reference is gone: its OFD and flock locks go. */
void locks_release(struct file *file);
/* The inode is freed: no locks are left on it, its list goes. */
void locks_free(struct inode *inode);

#endif
