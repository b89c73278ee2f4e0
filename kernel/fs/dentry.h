/*
 * The name cache: what (directory, name) means, remembered. A dentry without an inode is a negative entry: "there is no
 * such name".
 *
 *   root of a super <- parent - dentry <- parent - dentry          a child references its parent
 *                                 |
 *                               inode  (referenced; inode->dentries lists its names)
 *
 * A reference to a positive dentry keeps it positive, and its inode. Names and parents change in dentry_move and
 * dentry_exchange only, under super->rename_lock and the locks of the directories; readers without them hold names_lock
 * (dentry_lock_names).
 *
 * A path is walked over names that are cached without locks and references (sched/reading.h). What moves meanwhile is
 * told by name_moves; a reference that such a walk takes in the end is refused by a dentry that is DYING.
 *
 * Locks (spin): names_lock (LRU, children, aliases, moves, the last reference) -> a bucket's lock (its chain; taking a
 * reference to a dentry that has none) -> super->lock.
 */
#ifndef FS_DENTRY_H
#define FS_DENTRY_H

#include "fs/vfs.h"
#include "sched/reading.h"

struct dentry {
    u32 refs;              /* users | DENTRY_CARE | DENTRY_DYING */
    u32 hash;              /* of parent and name */
    struct dentry *parent; /* itself: a root */
    struct inode *inode;   /* NULL: negative */
    const char *name;      /* as in name.h */
    u32 length;
    u32 flags; /* DENTRY_*, atomic */
    struct dentry *next_hashed;
    struct list lru_link, child_link, alias_link;
    struct list children;
    char short_name[];
};
static_assert(sizeof(struct dentry) % NAME_WORD == 0, "short_name begins with a word");

#define DENTRY_CARE \
    BIT(31) /* in refs: the last put must look closer (not on the LRU list, or not in the cache any more) */

#define DENTRY_DYING \
    BIT(30) /* in refs: it is being freed, or becomes negative: no references for who holds no lock of it */

#define DENTRY_UNHASHED BIT(0)   /* nobody finds it any more: unlinked */
#define DENTRY_MOUNTED BIT(1)    /* some mount covers it */
#define DENTRY_REVALIDATE BIT(2) /* ask the directory's revalidate before use */
#define DENTRY_ROOT BIT(3)

static inline struct inode *dentry_inode(const struct dentry *d) { return load_acquire(&d->inode); }
static inline bool dentry_is_unlinked(const struct dentry *d)
{
    return (load_relaxed(&d->flags) & DENTRY_UNHASHED) != 0;
}
static inline struct name dentry_name(const struct dentry *d) { return (struct name){d->name, d->length}; }

/* The table, here only so that finding a name is short. */
struct dentry_bucket {
    struct spinlock lock;
    struct dentry *first;
};
extern struct dentry_bucket *dentry_buckets;
extern u32 dentry_bucket_mask;

static inline u32 dentry_full_hash(const struct dentry *parent, u32 hash)
{
    return (u32)(((((u64)parent >> 6) + hash) * 0x9e3779b97f4a7c15ull) >> 32);
}

static inline bool dentry_has_name(const struct dentry *d, const struct dentry *parent, struct name name)
{
    return d->parent == parent && d->length == name.length && name_matches(d->name, name);
}

/* Moves of names and of mounts, which make a walk that met them worth nothing. A walk looks at ENDED first, and in the
 * end at whether as many have BEGUN. */
struct name_moves {
    u64 begun, ended;
};
extern struct name_moves name_moves;
static inline void name_move_begin(void) { __atomic_add_fetch(&name_moves.begun, 1, __ATOMIC_SEQ_CST); }
static inline void name_move_end(void) { atomic_add(&name_moves.ended, 1); }
static inline u64 name_moves_ended(void) { return load_acquire(&name_moves.ended); }
static inline bool name_moves_begun_since(u64 ended)
{
    memory_barrier();
    return load_relaxed(&name_moves.begun) != ended;
}

/* The dentry, or NULL; to be believed only if no name moves meanwhile. => in a reading */
static inline struct dentry *dentry_read_key(const struct dentry *parent, const struct name_key *key)
{
    u32 full = dentry_full_hash(parent, key->hash);
    struct dentry *d = load_relaxed(&dentry_buckets[full & dentry_bucket_mask].first);

    while (d != NULL && !(d->hash == full && d->parent == parent && d->length == key->length &&
                          name_matches_key(load_relaxed(&d->name), key)))
        d = load_relaxed(&d->next_hashed);
    return d;
}

/* A reference to what was found so; false: it is too late for one. => in a reading */
static inline bool dentry_try_get(struct dentry *d)
{
    u32 refs = load_relaxed(&d->refs);

    while (likely(!(refs & DENTRY_DYING)))
        if (atomic_cas_acquire(&d->refs, &refs, refs + 1))
            return true;
    return false;
}

/* HASH of all functions: name_hash() of the name. Results come with a reference. */
static inline struct dentry *dentry_find(struct dentry *parent, struct name name, u32 hash)
{
    u32 full = dentry_full_hash(parent, hash);
    struct dentry_bucket *b = &dentry_buckets[full & dentry_bucket_mask];
    struct dentry *d;

    spin_lock(&b->lock);
    for (d = b->first; d != NULL; d = d->next_hashed)
        if (d->hash == full && dentry_has_name(d, parent, name)) {
            atomic_add_relaxed(&d->refs, 1);
            break;
        }
    spin_unlock(&b->lock);
    return d;
}
/* Enters INODE (NULL: negative), whose reference it takes over; what is there already wins. => parent's inode locked.
 * ERR_PTR(-ENOMEM). */
struct dentry *dentry_add(struct dentry *parent, struct name name, u32 hash, struct inode *inode);
/* The name in PARENT: from the cache, or asked of the file system. => parent's inode locked. Negative when there is
 * none. ERR_PTR. */
struct dentry *dentry_lookup_locked(struct dentry *parent, struct name name, u32 hash);
struct dentry *dentry_lookup(struct dentry *parent, struct name name, u32 hash); /* => not locked */
struct dentry *dentry_create_root(struct inode *inode); /* takes the inode's reference over; NULL: no memory */
/* A dentry in no directory: an O_TMPFILE's. Takes the inode's reference over. */
struct dentry *dentry_create_unlinked(struct super *super, struct inode *inode);
static inline void dentry_get(struct dentry *d) { atomic_add_relaxed(&d->refs, 1); }
void dentry_put_last(struct dentry *d);
static inline void dentry_put(struct dentry *d)
{
    u32 refs = load_relaxed(&d->refs);

    /* Who may be the last one of a dentry that needs care decrements under names_lock, so that it cannot be ended
     * twice. */
    while (likely(refs != (1 | DENTRY_CARE)))
        if (atomic_cas(&d->refs, &refs, refs - 1))
            return;
    dentry_put_last(d);
}
void dentry_instantiate(struct dentry *d,
                        struct inode *inode); /* a negative one becomes INODE's, whose reference it takes over */
void dentry_delete(struct dentry *d);         /* the name is gone: negative, or out of the cache when it is in use */
void dentry_invalidate(struct dentry *d);     /* out of the cache, with all below it that is unused */
/* The name of D moved to where TARGET is, which is forgotten. => both directories and rename_lock. -ENOMEM: drops D
 * from the cache instead. */
void dentry_move(struct dentry *d, struct dentry *target);
void dentry_exchange(struct dentry *a, struct dentry *b);
/* Unused dentries below D go; its negative children too. */
void dentry_prune(struct dentry *d);
/* Is ANCESTOR above or at D? => rename_lock */
bool dentry_is_below(const struct dentry *d, const struct dentry *ancestor);
void dentry_lock_names(void);
void dentry_unlock_names(void);
void dentry_init(void);

#endif
