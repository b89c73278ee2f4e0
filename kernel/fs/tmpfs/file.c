/* tmpfs: regular files. Their pages are the object's own and count against the instance's size once they are stored
 * to. */
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/tmpfs/tmpfs.h"
#include "vm/space.h"

/* ---- counting pages ---- */

/* The file is about to have N pages: charges those that are not charged yet. */
static int charge_up_to(struct inode *inode, u64 n)
{
    struct tmpfs_inode *t = tmpfs_inode(inode);
    struct tmpfs_space *space = tmpfs_space(inode);
    int error = 0;

    if (load_relaxed(&t->charged) >= n)
        return 0;
    spin_lock(&space->lock);
    if (t->charged < n) {
        if (n - t->charged > space->max_pages - MIN(space->used_pages, space->max_pages)) {
            error = -ENOSPC;
        } else {
            space->used_pages += n - t->charged;
            t->charged = n;
        }
    }
    spin_unlock(&space->lock);
    return error;
}

/* Pages may come and go meanwhile: their number is read once, so that what the file is said to have and what the
 * instance is said to have change by the same. One that was charged but is not there yet may lose its charge; the next
 * charge_up_to makes up for it. */
void tmpfs_uncharge(struct inode *inode)
{
    struct tmpfs_inode *t = tmpfs_inode(inode);
    struct tmpfs_space *space = tmpfs_space(inode);
    u64 n;

    spin_lock(&space->lock);
    n = load_relaxed(&inode->object.nr_pages);
    if (t->charged > n) {
        space->used_pages -= t->charged - n;
        t->charged = n;
    }
    spin_unlock(&space->lock);
}

static int prepare_write(struct object *o, u64 index, unsigned from, unsigned to)
{
    u64 n = load_relaxed(&o->nr_pages);

    (void)from;
    (void)to;
    return charge_up_to(object_inode(o), object_has_page(o, index) ? n : n + 1);
}

/* The pages of [round down, round up) around INDEX come together, as transhuge.rst says of huge= and shmem_enabled. */
static bool wants_run(struct object *o, u64 index, bool advised)
{
    struct inode *inode = object_inode(o);
    enum huge_shared_policy policy = load_relaxed(&tmpfs_space(inode)->huge), all = load_relaxed(&huge_shared_policy);

    if (all == HUGE_SHARED_DENY || !S_ISREG(inode->mode))
        return false;
    if (all == HUGE_SHARED_FORCE || policy == HUGE_SHARED_ALWAYS)
        return true;
    if (policy == HUGE_SHARED_WITHIN_SIZE &&
        ALIGN_UP(index + 1, HUGE_PAGES) <= DIV_ROUND_UP(load_relaxed(&o->size), PAGE_SIZE))
        return true;
    return policy <= HUGE_SHARED_ADVISE && advised;
}

static int charge_run(struct object *o)
{
    return charge_up_to(object_inode(o), load_relaxed(&o->nr_pages) + HUGE_PAGES);
}

/* Of memory without a name nobody looks at the times. */
static int mapping_stored(struct object *o)
{
    struct inode *inode = object_inode(o);

    if (inode->nlink != 0)
        inode_touch(inode, ATTR_MTIME | ATTR_CTIME);
    return 0;
}

const struct object_ops tmpfs_object_ops = {
    .prepare_write = prepare_write, .mapping_stored = mapping_stored, .wants_run = wants_run, .charge_run = charge_run};

/* ---- attributes ---- */

int tmpfs_setattr(struct inode *inode, const struct attributes *attr)
{
    unsigned seals = tmpfs_inode(inode)->seals;
    int error;

    if ((attr->valid & ATTR_MODE) && (seals & F_SEAL_EXEC) && ((inode->mode ^ attr->mode) & 0111))
        return -EPERM;
    if (attr->valid & ATTR_SIZE) {
        if (inode_is_hugetlb(inode) && attr->size % inode->super->block_size != 0)
            return -EINVAL;
        if ((attr->size < inode_size(inode) && (seals & F_SEAL_SHRINK)) ||
            (attr->size > inode_size(inode) && (seals & F_SEAL_GROW)))
            return -EPERM;
        error = object_set_size(&inode->object, attr->size);
        if (error != 0)
            return error;
        tmpfs_uncharge(inode);
    }
    return inode_setattr(inode, attr);
}

void tmpfs_getattr(struct inode *inode)
{
    if (S_ISREG(inode->mode))
        inode->blocks = inode->object.nr_pages * (PAGE_SIZE / 512);
}

/* ---- operations ---- */

static int seals_allow(const struct file *file, u64 at, size_t n)
{
    struct inode *inode = file->inode;
    unsigned seals = tmpfs_inode(inode)->seals;

    if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    return (seals & F_SEAL_GROW) && at + n > inode_size(inode) ? -EPERM : 0;
}

static ssize_t write(struct file *file, struct uio *uio, u64 *pos)
{
    return generic_write_if(file, uio, pos, seals_allow);
}

/* The first offset >= FROM that is data, or not; the end of the file is a hole. */
static u64 find_data(struct inode *inode, u64 from, bool data)
{
    struct object *o = &inode->object;
    u64 index = from >> PAGE_SHIFT, found, flags = spin_lock_irqsave(&o->lock), result;

    if (data) {
        found = index;
        result = radix_next(&o->pages, &found) != NULL ? MAX(from, found << PAGE_SHIFT) : UINT64_MAX;
    } else {
        while (radix_get(&o->pages, index) != NULL)
            index++;
        result = MAX(from, index << PAGE_SHIFT);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    return result;
}

static s64 seek(struct file *file, s64 offset, int whence)
{
    u64 size = inode_size(file->inode), found;

    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return generic_seek(file, offset, whence);
    if (offset < 0 || (u64)offset >= size)
        return -ENXIO;
    found = find_data(file->inode, (u64)offset, whence == SEEK_DATA);
    if (found >= size) {
        if (whence == SEEK_DATA)
            return -ENXIO;
        found = size;
    }
    file->pos = found;
    return (s64)found;
}

/* Pages for [offset, end): there, zero, and charged. => inode->lock */
static int allocate(struct inode *inode, u64 offset, u64 end)
{
    for (u64 index = offset >> PAGE_SHIFT; index < DIV_ROUND_UP(end, PAGE_SIZE); index++) {
        bool is_there = object_has_page(&inode->object, index);
        struct page *page;
        int error = prepare_write(&inode->object, index, 0, PAGE_SIZE);

        if (error == 0 && fatal_signal_pending())
            error = -EINTR;
        if (error != 0)
            return error;
        page = object_get_page(&inode->object, index, NULL);
        if (IS_ERR(page))
            return PTR_ERR(page) == -ENOMEM ? -ENOSPC : (int)PTR_ERR(page);
        if (!is_there)
            page_note_untouched(page);
        page_put(page);
        cond_resched();
    }
    return 0;
}

static int fallocate(struct file *file, int mode, u64 offset, u64 length)
{
    struct inode *inode = file->inode;
    unsigned seals;
    int error;

    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
        return -EOPNOTSUPP;
    write_lock(&inode->lock);
    seals = tmpfs_inode(inode)->seals;
    if (mode & FALLOC_FL_PUNCH_HOLE) {
        u64 size = ALIGN_UP(inode_size(inode), PAGE_SIZE);

        error = seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) ? -EPERM : 0;
        if (error == 0 && offset < size)
            error = object_punch(&inode->object, offset, MIN(offset + length, size));
        tmpfs_uncharge(inode);
    } else if ((seals & F_SEAL_GROW) && offset + length > inode_size(inode)) {
        error = -EPERM;
    } else {
        error = allocate(inode, offset, offset + length);
        if (error == 0 && !(mode & FALLOC_FL_KEEP_SIZE) && offset + length > inode_size(inode))
            error = object_set_size(&inode->object, offset + length);
    }
    if (error == 0)
        inode_touch(inode, ATTR_MTIME | ATTR_CTIME);
    write_unlock(&inode->lock);
    return error;
}

static int fsync(struct file *file, u64 from, u64 to, bool data_only)
{
    (void)file;
    (void)from;
    (void)to;
    (void)data_only;
    return 0; /* memory is the only store */
}

/* What has no name is opened again through /proc/PID/fd; it keeps the one it was made with. */
static int open_file(struct inode *inode, struct file *file)
{
    file->anon_name = inode->link;
    return 0;
}

const struct file_ops tmpfs_file_ops = {
    .open = open_file,
    .read = generic_read,
    .write = write,
    .seek = seek,
    .map = generic_map,
    .fsync = fsync,
    .fallocate = fallocate,
};

/* ---- seals ---- */

#define F_ALL_SEALS \
    ((unsigned)(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC))
/* Sealing the mode of an executable file seals its bytes, too. */
#define CODE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

static bool is_memory_file(const struct file *file) { return file_is_shmem(file); }

unsigned file_forbidden_prot(const struct file *file, bool shared)
{
    unsigned forbidden = 0;

    if (file->path.mount != NULL && (file->path.mount->flags & MS_NOEXEC))
        forbidden |= PROT_EXEC;
    if (shared && is_memory_file(file) && (tmpfs_inode(file->inode)->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
        forbidden |= PROT_WRITE;
    return forbidden;
}

static bool may_get_seals(const struct file *file)
{
    return is_memory_file(file) && !(load_relaxed(&tmpfs_inode(file->inode)->seals) & F_SEAL_SEAL);
}

/* The lock orders this before a seal, which sees it, or behind one, which the mapping's maker sees. */
bool file_mapping_begin(struct file *file, bool shared)
{
    if (!shared || !file->can_write || !may_get_seals(file))
        return false;
    read_lock(&file->inode->lock);
    atomic_add(&tmpfs_inode(file->inode)->mappings_under_way, 1);
    read_unlock(&file->inode->lock);
    return true;
}

void file_mapping_end(struct file *file) { atomic_sub(&tmpfs_inode(file->inode)->mappings_under_way, 1); }

long tmpfs_get_seals(struct file *file)
{
    return is_memory_file(file) ? (long)tmpfs_inode(file->inode)->seals : -EINVAL;
}

/* => inode->lock for writing */
static bool may_be_mapped_writable(struct tmpfs_inode *t)
{
    return load_acquire(&t->mappings_under_way) != 0 || object_has_writable_mapping(&t->inode.object);
}

long tmpfs_add_seals(struct file *file, unsigned seals)
{
    struct inode *inode = file->inode;
    struct tmpfs_inode *t;
    long error = 0;

    if (!file->can_write)
        return -EPERM;
    if (!is_memory_file(file) || (seals & ~F_ALL_SEALS))
        return -EINVAL;
    t = tmpfs_inode(inode);
    write_lock(&inode->lock);
    if ((seals & F_SEAL_EXEC) && (inode->mode & 0111))
        seals |= CODE_SEALS;
    if (t->seals & F_SEAL_SEAL)
        error = -EPERM;
    else if ((seals & F_SEAL_WRITE) && !(t->seals & F_SEAL_WRITE) && may_be_mapped_writable(t))
        error = -EBUSY;
    else
        store_relaxed(&t->seals, t->seals | seals);
    write_unlock(&inode->lock);
    return error;
}
