/*
 * The inode cache: at most one struct inode per (super, ino), and what happens when the last reference to one goes.
 *
 *     inode_get/inode_new -> in use (refs > 0) <-> unused (refs 0, on the LRU list) -> FREEING -> gone
 *                                   |                                                   ^
 *                                   +------ last name gone (nlink 0) or not keep_unused ---+
 *
 * Locks (spin): cache.lock (hash chains) -> super->lock (the super's lists, `state`, the way from and to 0 references)
 * -> lru_lock. inode_mark_dirty takes super->lock only. An inode on a dirty list may be unused; it is not freed before
 * it was written.
 */
#include "fs/dentry.h"
#include "fs/locks.h"
#include "fs/super.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/reclaim.h"

static struct {
    struct spinlock lock;
    struct list *buckets;
    unsigned mask;
    struct wait_queue changed; /* NEW or FREEING ended */
    u64 count;
} cache = {.changed = WAIT_QUEUE_INIT(cache.changed)};

static struct spinlock lru_lock;
static struct list lru = LIST_INIT(lru);
static u64 n_unused;

static const struct object_ops memory_object_ops;

/* An inode is in use if something besides its names in the cache refers to it. */
static int count_in_use(struct super *super, void *arg)
{
    struct inode *inode;
    struct list *name;
    u64 *count = arg;

    dentry_lock_names();
    spin_lock(&super->lock);
    list_for_each(inode, &super->inodes, super_link) {
        u32 names = 0;

        for (name = inode->dentries.next; name != &inode->dentries; name = name->next)
            names++;
        if (load_relaxed(&inode->refs) > names)
            (*count)++;
    }
    spin_unlock(&super->lock);
    dentry_unlock_names();
    return 0;
}

void inode_counts(u64 *cached, u64 *in_use)
{
    *cached = load_relaxed(&cache.count);
    *in_use = 0;
    super_for_each(count_in_use, in_use);
}

/* ---- times and owners ---- */

struct timespec64 current_time(const struct inode *inode)
{
    u64 now = time_ns() + time_realtime_offset();
    struct timespec64 t = {(s64)(now / NSEC_PER_SEC), (s64)(now % NSEC_PER_SEC / TIME_STEP * TIME_STEP)};

    if (inode->super->time_granularity >= NSEC_PER_SEC)
        t.nsec = 0;
    return t;
}

void inode_init_owner(struct inode *inode, const struct inode *dir, u32 mode)
{
    const struct cred *cred = current->cred;
    bool inherits_group = dir != NULL && (dir->mode & S_ISGID);

    inode->uid = cred != NULL ? cred->fsuid : 0;
    inode->gid = inherits_group ? dir->gid : cred != NULL ? cred->fsgid : 0;
    if (inherits_group && S_ISDIR(mode))
        mode |= S_ISGID;
    else if ((mode & (S_ISGID | 0010)) == (S_ISGID | 0010) && inherits_group && cred != NULL &&
             !cred_in_group(cred, inode->gid) && !capable(cred, CAP_FSETID))
        mode &= ~(u32)S_ISGID;
    inode->mode = mode;
    inode->atime = inode->mtime = inode->ctime = current_time(inode);
}

/* => after a change of its times */
static void forget_that_atime_is_fresh(struct inode *inode)
{
    memory_barrier();
    store_relaxed(&inode->atime_fresh_until, 0);
}

/* Of a file that is stored to through mappings, several may do so at once, without its lock. */
static bool set_time(struct timespec64 *time, struct timespec64 now)
{
    bool changes = load_relaxed(&time->nsec) != now.nsec || load_relaxed(&time->sec) != now.sec;

    store_relaxed(&time->sec, now.sec);
    store_relaxed(&time->nsec, now.nsec);
    return changes;
}

void inode_touch(struct inode *inode, unsigned attr_times)
{
    struct timespec64 now = current_time(inode);
    bool changes = false;

    if (attr_times & ATTR_ATIME)
        changes |= set_time(&inode->atime, now);
    if (attr_times & ATTR_MTIME)
        changes |= set_time(&inode->mtime, now);
    if (attr_times & ATTR_CTIME)
        changes |= set_time(&inode->ctime, now);
    if (changes) {
        forget_that_atime_is_fresh(inode);
        inode_mark_dirty(inode);
    }
}

int inode_setattr(struct inode *inode, const struct attributes *attr)
{
    if (attr->valid & ATTR_MODE)
        inode->mode = (inode->mode & S_IFMT) | (attr->mode & ~(u32)S_IFMT);
    if (attr->valid & ATTR_UID)
        inode->uid = attr->uid;
    if (attr->valid & ATTR_GID)
        inode->gid = attr->gid;
    if (attr->valid & ATTR_ATIME)
        inode->atime = attr->atime;
    if (attr->valid & ATTR_MTIME)
        inode->mtime = attr->mtime;
    if (attr->valid & ATTR_CTIME)
        inode->ctime = attr->ctime;
    forget_that_atime_is_fresh(inode);
    inode_mark_dirty(inode);
    return 0;
}

/* ---- the hash ---- */

static struct list *bucket_of(const struct super *super, u64 ino)
{
    u64 key = (((u64)super >> 7) + ino) * 0x9e3779b97f4a7c15ull;

    return &cache.buckets[(key >> 40) & cache.mask];
}

/* => cache.lock */
static struct inode *find_hashed(struct super *super, u64 ino)
{
    struct inode *inode;

    list_for_each(inode, bucket_of(super, ino), hash_link)
        if (inode->ino == ino && inode->super == super)
            return inode;
    return NULL;
}

static void unhash(struct inode *inode)
{
    spin_lock(&cache.lock);
    list_remove(&inode->hash_link);
    atomic_and(&inode->state, ~(u32)INODE_HASHED);
    spin_unlock(&cache.lock);
}

/* => super->lock */
static void leave_lru(struct inode *inode)
{
    spin_lock(&lru_lock);
    if (!list_empty(&inode->lru_link)) {
        list_remove(&inode->lru_link);
        n_unused--;
    }
    spin_unlock(&lru_lock);
}

/* Takes a reference unless the inode is on its way out. => super->lock */
static bool hold_unless_freeing(struct inode *inode)
{
    if (inode->state & INODE_FREEING)
        return false;
    inode_hold(inode);
    leave_lru(inode);
    return true;
}

/* ---- birth ---- */

static struct inode *alloc_inode(struct super *super)
{
    struct inode *inode = super->ops->alloc_inode != NULL ? super->ops->alloc_inode(super) : kzalloc(sizeof(*inode));

    if (inode == NULL)
        return NULL;
    inode->super = super;
    inode->nlink = 1;
    inode->refs = 1;
    object_init(&inode->object, &memory_object_ops);
    rwlock_init(&inode->lock);
    list_init(&inode->hash_link);
    list_init(&inode->lru_link);
    list_init(&inode->dirty_link);
    list_init(&inode->dentries);
    spin_lock(&super->lock);
    list_add(&super->inodes, &inode->super_link);
    spin_unlock(&super->lock);
    atomic_add_relaxed(&cache.count, 1);
    return inode;
}

static void free_inode(struct inode *inode)
{
    struct super *super = inode->super;

    spin_lock(&super->lock);
    list_remove(&inode->super_link);
    list_remove(&inode->dirty_link);
    spin_unlock(&super->lock);
    reading_wait();
    if (super->ops->free_inode != NULL)
        super->ops->free_inode(inode);
    else
        kfree(inode);
    atomic_sub(&cache.count, 1);
}

struct inode *inode_new(struct super *super)
{
    struct inode *inode = alloc_inode(super);

    if (inode != NULL)
        inode_init_owner(inode, NULL, 0);
    return inode != NULL ? inode : ERR_PTR(-ENOMEM);
}

void inode_insert(struct inode *inode)
{
    spin_lock(&cache.lock);
    list_add(bucket_of(inode->super, inode->ino), &inode->hash_link);
    atomic_or(&inode->state, INODE_HASHED);
    spin_unlock(&cache.lock);
}

static bool is_settled(const struct inode *inode) { return !(load_acquire(&inode->state) & INODE_NEW); }

/* The cached inode with a reference, waiting while it is being made or freed; NULL. */
static struct inode *find_cached(struct super *super, u64 ino)
{
    struct inode *inode;
    bool held;

    for (;;) {
        spin_lock(&cache.lock);
        inode = find_hashed(super, ino);
        if (inode == NULL) {
            spin_unlock(&cache.lock);
            return NULL;
        }
        spin_lock(&super->lock);
        held = hold_unless_freeing(inode);
        spin_unlock(&super->lock);
        spin_unlock(&cache.lock);
        if (!held) {
            /* Looks at the table, not at the inode, which may be gone by now. */
            sched_yield();
            continue;
        }
        wait_event(&cache.changed, is_settled(inode));
        if (load_relaxed(&inode->state) & INODE_HASHED)
            return inode;
        inode_put(inode); /* it could not be read: try ourselves */
    }
}

struct inode *inode_get(struct super *super, u64 ino, bool *is_new)
{
    struct inode *inode, *fresh;

    *is_new = false;
    for (;;) {
        inode = find_cached(super, ino);
        if (inode != NULL)
            return inode;
        fresh = alloc_inode(super);
        if (fresh == NULL)
            return ERR_PTR(-ENOMEM);
        fresh->ino = ino;
        fresh->state = INODE_NEW | INODE_HASHED;
        spin_lock(&cache.lock);
        if (find_hashed(super, ino) == NULL) {
            list_add(bucket_of(super, ino), &fresh->hash_link);
            spin_unlock(&cache.lock);
            *is_new = true;
            return fresh;
        }
        spin_unlock(&cache.lock);
        free_inode(fresh);
    }
}

void inode_ready(struct inode *inode)
{
    atomic_and(&inode->state, ~(u32)INODE_NEW);
    wake_all(&cache.changed);
}

void inode_failed(struct inode *inode)
{
    unhash(inode);
    inode->nlink = 1; /* nothing on the disk to free */
    inode_ready(inode);
    inode_put(inode);
}

/* ---- death ---- */

/* => INODE_FREEING set by the caller, no references */
static void evict(struct inode *inode)
{
    if (inode->super->ops->evict_inode != NULL)
        inode->super->ops->evict_inode(inode);
    object_destroy(&inode->object);
    if (unlikely(inode->locks != NULL))
        locks_free(inode);
    unhash(inode);
    free_inode(inode);
}

static bool is_dirty(const struct inode *inode)
{
    return (load_relaxed(&inode->state) & (INODE_DIRTY | INODE_DIRTY_PAGES)) != 0 ||
           load_relaxed(&inode->object.writeback) != 0;
}

static bool stays_cached(const struct inode *inode)
{
    return inode->nlink != 0 && (inode->state & INODE_HASHED) && (inode->super->keep_unused || is_dirty(inode));
}

void inode_put(struct inode *inode)
{
    struct super *super = inode->super;
    u32 refs = load_relaxed(&inode->refs);

    while (refs != 1)
        if (atomic_cas(&inode->refs, &refs, refs - 1))
            return;
    spin_lock(&super->lock);
    if (atomic_sub(&inode->refs, 1) != 0) {
        spin_unlock(&super->lock);
        return;
    }
    if (stays_cached(inode)) {
        spin_lock(&lru_lock);
        if (list_empty(&inode->lru_link)) {
            list_add_tail(&lru, &inode->lru_link);
            n_unused++;
        }
        spin_unlock(&lru_lock);
        spin_unlock(&super->lock);
        return;
    }
    leave_lru(inode);
    atomic_or(&inode->state, INODE_FREEING);
    list_remove(&inode->dirty_link);
    spin_unlock(&super->lock);
    evict(inode);
}

/* Whether reclaim may free INODE: nothing of it would be lost, and no pages of it are worth keeping. => super->lock */
static bool is_freeable(const struct inode *inode)
{
    return load_relaxed(&inode->refs) == 0 && !is_dirty(inode) && !(inode->state & (INODE_FREEING | INODE_NEW)) &&
           load_relaxed(&inode->object.nr_dirty) == 0;
}

/* An unused, clean inode, marked FREEING; NULL when the list's first one is none (it goes to the end). */
static struct inode *take_unused(void)
{
    struct inode *inode = NULL;
    struct super *super;

    spin_lock(&lru_lock);
    if (!list_empty(&lru)) {
        inode = list_first(&lru, struct inode, lru_link);
        list_remove(&inode->lru_link);
        super = inode->super;
        /* The order is super->lock first. */
        if (!spin_trylock(&super->lock)) {
            list_add_tail(&lru, &inode->lru_link);
            inode = NULL;
        } else {
            if (is_freeable(inode)) {
                n_unused--;
                atomic_or(&inode->state, INODE_FREEING);
            } else if (load_relaxed(&inode->refs) == 0) {
                list_add_tail(&lru, &inode->lru_link);
                inode = NULL;
            } else {
                n_unused--;
                inode = NULL;
            }
            spin_unlock(&super->lock);
        }
    }
    spin_unlock(&lru_lock);
    return inode;
}

static u64 inode_shrink(u64 n_pages)
{
    u64 freed = 0, wanted = n_pages * 4;

    for (u64 looked = 0; looked < 4 * wanted && freed < wanted && load_relaxed(&n_unused) > 0; looked++) {
        struct inode *inode = take_unused();

        if (inode == NULL)
            continue;
        evict(inode);
        freed++;
    }
    return freed / 4;
}

bool super_evict_inodes(struct super *super)
{
    struct inode *inode;
    bool progress = true;

    while (progress) {
        progress = false;
        spin_lock(&super->lock);
        list_for_each(inode, &super->inodes, super_link) {
            if (load_relaxed(&inode->refs) != 0 || (inode->state & INODE_FREEING))
                continue;
            leave_lru(inode);
            atomic_or(&inode->state, INODE_FREEING);
            list_remove(&inode->dirty_link);
            progress = true;
            break;
        }
        spin_unlock(&super->lock);
        if (progress)
            evict(inode);
    }
    return list_empty(&super->inodes);
}

/* ---- dirty inodes ---- */

static void mark(struct inode *inode, u32 bit)
{
    struct super *super = inode->super;

    if (load_relaxed(&inode->state) & bit)
        return;
    spin_lock(&super->lock);
    if (!(inode->state & INODE_FREEING)) {
        atomic_or(&inode->state, bit);
        if (list_empty(&inode->dirty_link)) {
            inode->dirty_since = time_ns();
            list_add_tail(&super->dirty_inodes, &inode->dirty_link);
        }
    }
    spin_unlock(&super->lock);
}

void inode_mark_dirty(struct inode *inode)
{
    if (inode->super->ops->write_inode != NULL)
        mark(inode, INODE_DIRTY);
}

void inode_dirty_pages(struct object *o) { mark(object_inode(o), INODE_DIRTY_PAGES); }

struct inode *super_next_dirty(struct super *super, u64 since_before, struct inode *previous)
{
    struct inode *inode = NULL;

    spin_lock(&super->lock);
    if (!list_empty(&super->dirty_inodes)) {
        inode = list_first(&super->dirty_inodes, struct inode, dirty_link);
        if (inode->dirty_since > since_before)
            inode = NULL;
    }
    if (inode != NULL) {
        list_remove(&inode->dirty_link);
        hold_unless_freeing(inode); /* cannot fail: freeing takes it off the list */
    }
    spin_unlock(&super->lock);
    if (previous != NULL)
        inode_put(previous);
    return inode;
}

struct inode *super_next_inode(struct super *super, struct inode *previous)
{
    struct inode *inode = NULL;
    struct list *next;

    spin_lock(&super->lock);
    next = previous != NULL ? previous->super_link.next : super->inodes.next;
    while (next != &super->inodes) {
        inode = list_entry(next, struct inode, super_link);
        if (!(inode->state & INODE_NEW) && hold_unless_freeing(inode))
            break;
        inode = NULL;
        next = next->next;
    }
    spin_unlock(&super->lock);
    if (previous != NULL)
        inode_put(previous);
    return inode;
}

/* Attributes and pages of INODE, off the dirty list by now, to the file system. */
int inode_write(struct inode *inode, bool wait)
{
    u32 state = atomic_and(&inode->state, ~(u32)(INODE_DIRTY | INODE_DIRTY_PAGES));
    int error = 0, result;

    if (inode->nlink == 0 && !wait) { /* its blocks are probably about to be freed; if not, it may get a name again */
        for (u32 bit = INODE_DIRTY; bit <= INODE_DIRTY_PAGES; bit <<= 1)
            if (state & bit)
                mark(inode, bit);
        return 0;
    }
    if ((state & INODE_DIRTY_PAGES) || load_relaxed(&inode->object.nr_dirty) != 0 || wait)
        error = object_writeback(&inode->object, 0, OBJECT_END, wait);
    if (load_relaxed(&inode->object.nr_dirty) != 0)
        mark(inode, INODE_DIRTY_PAGES);
    state |= atomic_and(&inode->state, ~(u32)INODE_DIRTY); /* writing pages changes attributes: block counts */
    if ((state & INODE_DIRTY) && inode->super->ops->write_inode != NULL) {
        result = inode->super->ops->write_inode(inode, wait);
        if (result != 0)
            inode_mark_dirty(inode);
        error = error != 0 ? error : result;
    }
    return error;
}

int inode_write_now(struct inode *inode)
{
    int error = 0;

    if ((atomic_and(&inode->state, ~(u32)INODE_DIRTY) & INODE_DIRTY) && inode->super->ops->write_inode != NULL) {
        error = inode->super->ops->write_inode(inode, true);
        if (error != 0)
            inode_mark_dirty(inode);
    }
    return error;
}

void inode_init(void)
{
    static struct shrinker shrinker = {.shrink = inode_shrink, .name = "inodes"};
    unsigned n = PAGE_SIZE / sizeof(struct list) * 4;

    cache.buckets = kmalloc(n * sizeof(struct list));
    ASSERT_ALWAYS(cache.buckets != NULL);
    for (unsigned i = 0; i < n; i++)
        list_init(&cache.buckets[i]);
    cache.mask = n - 1;
    shrinker_register(&shrinker);
}
