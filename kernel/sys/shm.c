/*
 * System V shared memory. A segment is a file of tmpfs without a name; each attachment is an open file of its own on
 * that inode, so that the last munmap or exit of it tells us through the file's release. Sources: shmget(2), shmop(2),
 * shmctl(2), sysvipc(7).
 *
 *   segment (key, id, permissions) --> inode (pages) <-- attached file <-- vmas
 *
 * Lock: shm.lock guards the list and all segments. It is never held while a file is put.
 */
#include "fs/vfs.h"
#include "lib/print.h"
#include "proc/internal.h"
#include "sys/ipc.h"
#include "sys/syscall.h"
#include "sys/sysvipc.h"
#include "vm/kmalloc.h"
#include "vm/limits.h"
#include "vm/space.h"
#include "vm/swapobj.h"
#include "vm/uaccess.h"

#define SHM_LOCK 11
#define SHM_UNLOCK 12
#define SHM_STAT 13
#define SHM_INFO 14
#define SHM_STAT_ANY 15
#define SHM_RDONLY 010000
#define SHM_RND 020000
#define SHM_REMAP 040000
#define SHM_EXEC 0100000
#define SHM_HUGETLB 04000
#define SHM_NORESERVE 010000
#define SHM_DEST 01000
#define SHM_LOCKED 02000
#define MAX_SEGMENTS 4096

struct shmid_ds {
    struct ipc_perm perm;
    u64 size;
    s64 atime, dtime, ctime;
    s32 creator, last;
    u64 attached, unused[2];
};
static_assert(sizeof(struct shmid_ds) == 112, "asm-generic/shmbuf.h");

struct segment {
    struct ipc_object ipc;
    struct shmid_ds ds;
    struct inode *inode; /* referenced */
    char name[20];       /* what /proc/PID/maps shows */
    u64 files;           /* open attachments, each with one mapping or, after forks and splits, several */
    bool doomed;         /* IPC_RMID: goes with the last attachment */
    struct user *locker; /* SHM_LOCK: to whose RLIMIT_MEMLOCK its pages count; NULL: to nobody's */
};

static struct {
    struct mutex lock;
    struct ipc_table table;
} shm = {.lock = MUTEX_INIT(shm.lock), .table = {.objects = LIST_INIT(shm.table.objects)}};

static struct segment *segment_of(struct ipc_object *o)
{
    return o != NULL ? container_of(o, struct segment, ipc) : NULL;
}
static struct segment *find_id(int id) { return segment_of(ipc_find_id(&shm.table, id)); }

static struct segment *find_index(int index) { return segment_of(ipc_find_index(&shm.table, index)); }

/* What is doomed has no key. */
static struct segment *find_key(s32 key) { return segment_of(ipc_find_key(&shm.table, key)); }

static bool may_access(const struct segment *s, u32 mode) { return ipc_may_access(&s->ds.perm, mode); }
static bool is_owner(const struct segment *s) { return ipc_is_owner(&s->ds.perm); }

/* ---- staying in memory; => shm.lock ---- */

static u64 pages_of(const struct segment *s) { return DIV_ROUND_UP(s->ds.size, PAGE_SIZE); }

/* S counts to the current user. -ENOMEM: that is more than he may have in memory. */
static int charge_locked(struct segment *s)
{
    struct user *user = user_of(current_process());

    if (atomic_add(&user->shm_pages, pages_of(s)) > rlimit_of_current(RLIMIT_MEMLOCK) / PAGE_SIZE &&
        !capable(current->cred, CAP_IPC_LOCK)) {
        atomic_sub(&user->shm_pages, pages_of(s));
        user_put(user);
        return -ENOMEM;
    }
    s->locker = user;
    return 0;
}

static void uncharge_locked(struct segment *s)
{
    if (s->locker == NULL)
        return;
    atomic_sub(&s->locker->shm_pages, pages_of(s));
    user_put(s->locker);
    s->locker = NULL;
}

/* => shm.lock; S leaves the list. Its inode reference is the caller's to drop without the lock. */
static struct inode *segment_free(struct segment *s)
{
    struct inode *inode = s->inode;

    uncharge_locked(s);
    ipc_leave(&shm.table, &s->ipc);
    kfree(s);
    return inode;
}

/* ---- attachments ---- */

/* file->private of an attachment is its segment's id. */
static void attachment_unmapped(struct file *file)
{
    struct segment *s;

    mutex_lock(&shm.lock);
    s = find_id((int)(u64)file->private);
    if (s != NULL) {
        s->ds.dtime = ipc_now();
        s->ds.last = current->flags & THREAD_USER ? task_pid(current_task()) : 0;
    }
    mutex_unlock(&shm.lock);
}

static void attachment_release(struct file *file)
{
    struct inode *gone = NULL;
    struct segment *s;

    mutex_lock(&shm.lock);
    s = find_id((int)(u64)file->private);
    if (s != NULL) {
        s->files--;
        if (s->doomed && s->files == 0)
            gone = segment_free(s);
    }
    mutex_unlock(&shm.lock);
    if (gone != NULL)
        inode_put(gone);
}

/* MADV_REMOVE: as of any memory file. */
static int attachment_fallocate(struct file *file, int mode, u64 offset, u64 length)
{
    return file->inode->file_ops->fallocate(file, mode, offset, length);
}

static const struct file_ops attachment_ops = {.release = attachment_release,
                                               .map = generic_map,
                                               .unmapped = attachment_unmapped,
                                               .fallocate = attachment_fallocate};

/* A referenced file that maps segment ID. WANTED: permission bits. */
static struct file *attach_file(int id, bool writable, u32 wanted, u64 *size)
{
    struct segment *s;
    struct inode *inode;
    struct file *file;

    mutex_lock(&shm.lock);
    s = find_id(id);
    if (s == NULL || !may_access(s, wanted)) {
        mutex_unlock(&shm.lock);
        return ERR_PTR(s == NULL ? -EINVAL : -EACCES);
    }
    inode = s->inode;
    inode_hold(inode);
    file = file_create(inode, writable ? O_RDWR : O_RDONLY, &attachment_ops);
    if (IS_ERR(file)) {
        mutex_unlock(&shm.lock); /* S may go now */
        inode_put(inode);
        return file;
    }
    file->private = (void *)(u64)id;
    file->anon_name = s->name;
    s->files++;
    s->ds.atime = ipc_now();
    s->ds.last = task_pid(current_task());
    *size = s->ds.size;
    mutex_unlock(&shm.lock);
    return file;
}

DEFINE_SYSCALL(sys_shmat)
{
    u64 address = a1, flags = a2, size;
    bool writable = !(flags & SHM_RDONLY);
    unsigned prot = PROT_READ | (writable ? PROT_WRITE : 0) | (flags & SHM_EXEC ? PROT_EXEC : 0);
    struct mapping m = {.max_prot = PROT_READ | PROT_EXEC | (writable ? PROT_WRITE : 0)};
    long result;

    if (address != 0 && (address & PAGE_MASK) != 0) {
        if (!(flags & SHM_RND))
            return -EINVAL;
        address = ALIGN_DOWN(address, PAGE_SIZE);
    }
    if ((int)a0 < 0 || (address == 0 && (flags & SHM_REMAP)))
        return -EINVAL;
    m.file = attach_file((int)a0, writable, (writable ? 0666 : 0444) | (flags & SHM_EXEC ? 0111 : 0), &size);
    if (IS_ERR(m.file))
        return PTR_ERR(m.file);
    m.object = &m.file->inode->object;
    result = space_mmap(current->space, address, size, prot,
                        MAP_SHARED | (address == 0        ? 0u
                                      : flags & SHM_REMAP ? MAP_FIXED
                                                          : MAP_FIXED_NOREPLACE),
                        &m);
    file_put(m.file);
    return result == -EEXIST ? -EINVAL : result;
}

/* Parts of an attachment may have been unmapped, and something else mapped there: only what is left of it goes. */
DEFINE_SYSCALL(sys_shmdt)
{
    struct file *file = NULL;
    struct space_range r;
    u64 at = a0, end = a0;
    long result = -EINVAL;

    if ((a0 & PAGE_MASK) != 0)
        return -EINVAL;
    for (;;) {
        bool is_part;

        r = (struct space_range){.pages = NULL};
        if ((file != NULL && at >= end) || !space_next_range(current->space, &at, &r))
            break;
        is_part = r.file != NULL && r.file->ops == &attachment_ops && r.start - a0 == r.offset &&
                  (file == NULL || r.file == file);
        if (is_part && file == NULL) {
            file = r.file;
            file_get(file);
            end = a0 + ALIGN_UP(file->inode->object.size, PAGE_SIZE);
        }
        if (r.file != NULL)
            file_put(r.file);
        if (is_part) {
            result = space_munmap(current->space, r.start, r.end - r.start);
            if (result != 0)
                break;
        }
    }
    if (file != NULL)
        file_put(file);
    return result;
}

/* ---- segments ---- */

/* There is no pool of huge pages, of 2 MiB or 1 GiB, for those who may use one. */
static long refuse_huge(u32 mode)
{
    unsigned bits = mode >> 26 & 63;

    if (bits != 0 && bits != 21 && bits != 30)
        return -EINVAL;
    return capable(current->cred, CAP_IPC_LOCK) ? -ENOMEM : -EPERM;
}

/* => shm.lock */
static long segment_create(s32 key, u64 size, u32 mode)
{
    struct segment *s;
    struct file *file;
    int id;

    if (size == 0 || size > INT64_MAX)
        return -EINVAL;
    if (mode & SHM_HUGETLB)
        return refuse_huge(mode);
    if (shm.table.count >= MAX_SEGMENTS)
        return -ENOSPC;
    if (!(mode & SHM_NORESERVE) && !may_commit(NULL, DIV_ROUND_UP(size, PAGE_SIZE)))
        return -ENOMEM;
    s = kzalloc(sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    file = tmpfs_file_create("SYSV", ALIGN_UP(size, PAGE_SIZE), O_RDWR);
    if (IS_ERR(file)) {
        kfree(s);
        return PTR_ERR(file);
    }
    s->inode = file->inode;
    inode_hold(s->inode);
    file_put(file);
    snprintf(s->name, sizeof(s->name), "/SYSV%08x", (unsigned)key);
    s->ds.size = size;
    s->ds.ctime = ipc_now();
    s->ds.creator = task_pid(current_task());
    id = ipc_enter(&shm.table, &s->ipc, &s->ds.perm, key, mode);
    if (id < 0) {
        inode_put(s->inode);
        kfree(s);
    }
    return id;
}

static long shmget_locked(s32 key, u64 size, u32 flags)
{
    struct segment *s = key == IPC_PRIVATE ? NULL : find_key(key);

    if (s == NULL)
        return key == IPC_PRIVATE || (flags & IPC_CREAT) ? segment_create(key, size, flags) : -ENOENT;
    if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
        return -EEXIST;
    if (size > s->ds.size)
        return -EINVAL;
    return may_access(s, flags & 0777) ? s->ipc.id : -EACCES;
}

DEFINE_SYSCALL(sys_shmget)
{
    long result;

    mutex_lock(&shm.lock);
    result = shmget_locked((s32)a0, a1, (u32)a2);
    mutex_unlock(&shm.lock);
    return result;
}

/* Copies what IPC_STAT shows into *DS: 0, or for SHM_STAT and SHM_STAT_ANY, which look by index, the id. */
static long stat_locked(int id, int command, struct shmid_ds *ds)
{
    bool by_index = command != IPC_STAT;
    struct segment *s = by_index ? find_index(id) : find_id(id);

    if (s == NULL)
        return -EINVAL;
    if (command != SHM_STAT_ANY && !may_access(s, 0444))
        return -EACCES;
    *ds = s->ds;
    ds->attached = object_mapping_count(&s->inode->object);
    ds->perm.mode |= s->doomed ? SHM_DEST : 0;
    return by_index ? s->ipc.id : 0;
}

static long set_locked(int id, const struct shmid_ds *ds)
{
    struct segment *s = find_id(id);

    if (s == NULL)
        return -EINVAL;
    if (!is_owner(s))
        return -EPERM;
    s->ds.perm.uid = ds->perm.uid;
    s->ds.perm.gid = ds->perm.gid;
    s->ds.perm.mode = (s->ds.perm.mode & ~0777u) | (ds->perm.mode & 0777);
    s->ds.ctime = ipc_now();
    return 0;
}

/* SHM_LOCK, SHM_UNLOCK: whether the pages may go to swap. */
static long lock_locked(int id, bool lock)
{
    struct segment *s = find_id(id);
    u32 user = current->cred->euid;
    int error;

    if (s == NULL)
        return -EINVAL;
    if (!capable(current->cred, CAP_IPC_LOCK) &&
        ((user != s->ds.perm.uid && user != s->ds.perm.cuid) || (lock && rlimit_of_current(RLIMIT_MEMLOCK) == 0)))
        return -EPERM;
    if (lock && s->locker == NULL) {
        error = charge_locked(s);
        if (error != 0)
            return error;
    } else if (!lock) {
        uncharge_locked(s);
    }
    s->ds.perm.mode = lock ? s->ds.perm.mode | SHM_LOCKED : s->ds.perm.mode & ~(u32)SHM_LOCKED;
    store_relaxed(&s->inode->object.stays_in_memory, lock);
    return 0;
}

static long remove_segment(int id)
{
    struct inode *gone = NULL;
    struct segment *s;
    long result = 0;

    mutex_lock(&shm.lock);
    s = find_id(id);
    if (s == NULL || !is_owner(s)) {
        result = s == NULL ? -EINVAL : -EPERM;
    } else {
        s->doomed = true;
        ipc_give_up_key(&shm.table, &s->ipc);
        if (s->files == 0)
            gone = segment_free(s);
    }
    mutex_unlock(&shm.lock);
    if (gone != NULL)
        inode_put(gone);
    return result;
}

#define SHMALL (UINT64_MAX - (1UL << 24)) /* both limits, as /proc/sys/kernel tells them */

/* IPC_INFO: the limits. The result is the highest index in use. */
static long info(void *user)
{
    u64 limits[9] = {SHMALL, 1, MAX_SEGMENTS, MAX_SEGMENTS, SHMALL};

    long highest;

    mutex_lock(&shm.lock);
    highest = ipc_highest_index(&shm.table);
    mutex_unlock(&shm.lock);
    return copy_to_user(user, limits, sizeof(limits)) != 0 ? -EFAULT : highest;
}

/* SHM_INFO: what is in use. The result is the highest index in use. */
static long usage(void *user)
{
    struct { /* the ABI's struct shm_info */
        s32 segments, pad;
        u64 total, resident, swapped, swap_attempts, swap_successes; /* pages */
    } sum = {0};
    struct segment *s;
    long highest;

    mutex_lock(&shm.lock);
    highest = ipc_highest_index(&shm.table);
    list_for_each(s, &shm.table.objects, ipc.link) {
        sum.segments++;
        sum.total += ALIGN_UP(s->ds.size, PAGE_SIZE) / PAGE_SIZE;
        sum.resident += load_relaxed(&s->inode->object.nr_pages);
    }
    mutex_unlock(&shm.lock);
    return copy_to_user(user, &sum, sizeof(sum)) != 0 ? -EFAULT : highest;
}

DEFINE_SYSCALL(sys_shmctl)
{
    int id = (int)a0, command = (int)a1;
    struct shmid_ds ds;
    long result;

    if (id < 0 || command < 0)
        return -EINVAL;
    switch (command) {
    case IPC_RMID:
        return remove_segment(id);
    case IPC_INFO:
        return info((void *)a2);
    case SHM_INFO:
        return usage((void *)a2);
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY:
        mutex_lock(&shm.lock);
        result = stat_locked(id, command, &ds);
        mutex_unlock(&shm.lock);
        return result >= 0 && copy_to_user((void *)a2, &ds, sizeof(ds)) != 0 ? -EFAULT : result;
    case IPC_SET:
        if (copy_from_user(&ds, (void *)a2, sizeof(ds)) != 0)
            return -EFAULT;
        mutex_lock(&shm.lock);
        result = set_locked(id, &ds);
        mutex_unlock(&shm.lock);
        return result;
    case SHM_LOCK:
    case SHM_UNLOCK:
        mutex_lock(&shm.lock);
        result = lock_locked(id, command == SHM_LOCK);
        mutex_unlock(&shm.lock);
        return result;
    default:
        return -EINVAL;
    }
}

/* ---- /proc/sysvipc/shm ---- */

bool shm_show(unsigned *index, char *line, size_t size)
{
    const struct shmid_ds *ds;
    struct segment *s;
    u64 swapped;

    mutex_lock(&shm.lock);
    s = segment_of(ipc_next(&shm.table, index));
    if (s != NULL) {
        ds = &s->ds;
        swapped = object_count_swapped(&s->inode->object);
        snprintf(line, size, "%10d %10d  %4o %21lu %5u %5u  %5lu %5u %5u %5u %5u %10ld %10ld %10ld %21lu %21lu\n",
                 ds->perm.key, s->ipc.id, ds->perm.mode | (s->doomed ? SHM_DEST : 0), ds->size, (u32)ds->creator,
                 (u32)ds->last, object_mapping_count(&s->inode->object), ds->perm.uid, ds->perm.gid, ds->perm.cuid,
                 ds->perm.cgid, ds->atime, ds->dtime, ds->ctime, (s->inode->object.nr_pages - swapped) * PAGE_SIZE,
                 swapped * PAGE_SIZE);
    }
    mutex_unlock(&shm.lock);
    return s != NULL;
}
