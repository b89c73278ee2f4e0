/* The name cache. Contract and locks in dentry.h. */
#include "fs/dentry.h"
#include "fs/notify.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/page.h"
#include "vm/reclaim.h"

struct dentry_bucket *dentry_buckets;
u32 dentry_bucket_mask;
struct name_moves name_moves;
static struct spinlock names_lock;
static struct list lru = LIST_INIT(lru); /* least recently released first */
static u64 n_dentries;

u64 dentry_count(void) { return load_relaxed(&n_dentries); }
void dentry_lock_names(void) { spin_lock(&names_lock); }
void dentry_unlock_names(void) { spin_unlock(&names_lock); }

/* ---- the hash table ---- */

static struct dentry_bucket *bucket_of(u32 full) { return &dentry_buckets[full & dentry_bucket_mask]; }

/* => the bucket's lock */
static struct dentry *chain_find(struct dentry_bucket *b, u32 full, const struct dentry *parent, struct name name)
{
    for (struct dentry *d = b->first; d != NULL; d = d->next_hashed)
        if (d->hash == full && dentry_has_name(d, parent, name))
            return d;
    return NULL;
}

static void chain_add(struct dentry_bucket *b, struct dentry *d)
{
    store_relaxed(&d->next_hashed, b->first);
    store_release(&b->first, d);
}

static void chain_remove(struct dentry_bucket *b, struct dentry *d)
{
    struct dentry **link = &b->first;

    while (*link != d)
        link = &(*link)->next_hashed;
    store_relaxed(link, d->next_hashed);
}

/* Out of the table, for good. => names_lock */
static void unhash(struct dentry *d)
{
    struct dentry_bucket *b = bucket_of(d->hash);

    if (d->flags & (DENTRY_UNHASHED | DENTRY_ROOT))
        return;
    spin_lock(&b->lock);
    chain_remove(b, d);
    atomic_or(&d->flags, DENTRY_UNHASHED);
    spin_unlock(&b->lock);
    atomic_or(&d->refs, DENTRY_CARE);
}

/* ---- birth and death ---- */

static void copy_name(char *to, struct name name)
{
    memset(to + name_room(name.length) - NAME_WORD, 0, NAME_WORD);
    memcpy(to, name.s, name.length);
}

/* A dentry no longer leads to INODE, whose reference it had. => no locks of ours */
static void give_up_inode(struct inode *inode)
{
    notify_name_is_gone(inode);
    inode_put(inode);
}

static struct dentry *dentry_alloc(struct name name)
{
    struct dentry *d = kmalloc(sizeof(*d) + name_room(name.length));

    if (d == NULL)
        return NULL;
    memset(d, 0, sizeof(*d));
    copy_name(d->short_name, name);
    d->name = d->short_name;
    d->length = name.length;
    d->refs = 1 | DENTRY_CARE;
    list_init(&d->lru_link);
    list_init(&d->child_link);
    list_init(&d->alias_link);
    list_init(&d->children);
    atomic_add_relaxed(&n_dentries, 1);
    return d;
}

static void dentry_free(struct dentry *d)
{
    if (d->name != d->short_name)
        kfree((void *)d->name);
    kfree(d);
    atomic_sub(&n_dentries, 1);
}

/* Ends D, which is DYING. The caller must put its parent, which is returned (NULL: it was its own), and *INODE. =>
 * names_lock; D is unhashed */
static struct dentry *dentry_kill_locked(struct dentry *d, struct inode **inode)
{
    struct dentry *parent = d->parent;

    list_remove(&d->lru_link);
    list_remove(&d->child_link);
    list_remove(&d->alias_link);
    *inode = d->inode;
    reading_wait();
    dentry_free(d);
    return parent != d ? parent : NULL;
}

/* REFS, as it is expected to be, gets DYING. False: somebody was quicker. */
static bool refuse_references(struct dentry *d, u32 refs) { return atomic_cas(&d->refs, &refs, refs | DENTRY_DYING); }

/* D's last reference is gone, with CARE set. => names_lock, which is released */
static void last_put_locked(struct dentry *d)
{
    struct inode *inode;

    for (;;) {
        if (d->flags & DENTRY_REVALIDATE) /* may be of a process that is gone: not worth keeping */
            unhash(d);
        if (!(d->flags & (DENTRY_UNHASHED | DENTRY_ROOT))) { /* stays cached, unused */
            list_add_tail(&lru, &d->lru_link);
            atomic_and(&d->refs, ~(u32)DENTRY_CARE);
            break;
        }
        if (!refuse_references(d, DENTRY_CARE)) /* found just before */
            break;
        d = dentry_kill_locked(d, &inode);
        spin_unlock(&names_lock);
        if (inode != NULL)
            give_up_inode(inode);
        if (d == NULL)
            return;
        spin_lock(&names_lock);
        if (atomic_sub(&d->refs, 1) != DENTRY_CARE)
            break;
    }
    spin_unlock(&names_lock);
}

void dentry_put_last(struct dentry *d)
{
    spin_lock(&names_lock);
    if (atomic_sub(&d->refs, 1) == DENTRY_CARE)
        last_put_locked(d);
    else
        spin_unlock(&names_lock);
}

struct dentry *dentry_create_root(struct inode *inode)
{
    struct dentry *d = dentry_alloc((struct name){"/", 1});

    if (d == NULL)
        return NULL;
    d->parent = d;
    d->flags = DENTRY_ROOT;
    d->inode = inode;
    spin_lock(&names_lock);
    list_add(&inode->dentries, &d->alias_link);
    spin_unlock(&names_lock);
    return d;
}

struct dentry *dentry_create_unlinked(struct super *super, struct inode *inode)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "#%lu", inode->ino);
    struct dentry *d = dentry_alloc((struct name){text, (unsigned)n});

    (void)super;
    if (d == NULL)
        return NULL;
    d->parent = d;
    d->flags = DENTRY_UNHASHED;
    d->inode = inode;
    return d;
}

struct dentry *dentry_add(struct dentry *parent, struct name name, u32 hash, struct inode *inode)
{
    struct dentry *d = dentry_alloc(name), *other;
    struct dentry_bucket *b;

    if (d == NULL) {
        if (inode != NULL)
            inode_put(inode);
        return ERR_PTR(-ENOMEM);
    }
    d->hash = dentry_full_hash(parent, hash);
    d->parent = parent;
    d->inode = inode;
    if (parent->inode->ops->revalidate != NULL && !(inode != NULL && (inode->state & INODE_LASTING)))
        d->flags = DENTRY_REVALIDATE;
    b = bucket_of(d->hash);
    spin_lock(&names_lock);
    spin_lock(&b->lock);
    other = chain_find(b, d->hash, parent, name);
    if (other != NULL) {
        dentry_get(other);
        spin_unlock(&b->lock);
        spin_unlock(&names_lock);
        dentry_free(d);
        if (inode != NULL)
            inode_put(inode);
        return other;
    }
    dentry_get(parent);
    list_add(&parent->children, &d->child_link);
    if (inode != NULL)
        list_add(&inode->dentries, &d->alias_link);
    chain_add(b, d);
    spin_unlock(&b->lock);
    spin_unlock(&names_lock);
    return d;
}

/* ---- lookup through the file system ---- */

static bool is_stale(struct dentry *d)
{
    struct inode *dir = d->parent->inode, *inode = dentry_inode(d);

    return inode != NULL && dir->ops->revalidate != NULL && !dir->ops->revalidate(dir, dentry_name(d), inode);
}

/* From the cache, if it may be used. */
static struct dentry *find_valid(struct dentry *parent, struct name name, u32 hash)
{
    struct dentry *d = dentry_find(parent, name, hash);

    if (likely(d == NULL || !(load_relaxed(&d->flags) & DENTRY_REVALIDATE)))
        return d;
    if (!is_stale(d))
        return d;
    dentry_invalidate(d);
    dentry_put(d);
    return NULL;
}

struct dentry *dentry_lookup_locked(struct dentry *parent, struct name name, u32 hash)
{
    struct inode *dir = parent->inode, *inode;
    struct dentry *d;

    if (name.length > NAME_MAX)
        return ERR_PTR(-ENAMETOOLONG);
    d = find_valid(parent, name, hash);
    if (d != NULL)
        return d;
    if (dir->ops->lookup == NULL)
        return ERR_PTR(-ENOTDIR);
    if (dir->nlink == 0)
        return ERR_PTR(-ENOENT);
    inode = dir->ops->lookup(dir, name);
    if (IS_ERR(inode)) {
        /* Names that come and go by themselves are not remembered as missing. */
        if (PTR_ERR(inode) != -ENOENT || dir->ops->revalidate != NULL)
            return (struct dentry *)inode;
        inode = NULL;
    }
    return dentry_add(parent, name, hash, inode);
}

struct dentry *dentry_lookup(struct dentry *parent, struct name name, u32 hash)
{
    struct dentry *d = find_valid(parent, name, hash);
    struct inode *dir = parent->inode;

    if (d != NULL)
        return d;
    read_lock(&dir->lock);
    d = dentry_lookup_locked(parent, name, hash);
    read_unlock(&dir->lock);
    return d;
}

/* ---- changes ---- */

void dentry_instantiate(struct dentry *d, struct inode *inode)
{
    spin_lock(&names_lock);
    list_add(&inode->dentries, &d->alias_link);
    store_release(&d->inode, inode);
    spin_unlock(&names_lock);
}

/* Whether the caller's reference is the only one; then it stays so until DYING is taken back. => the bucket's lock */
static bool keep_others_off(struct dentry *d)
{
    u32 refs;

    do {
        refs = load_relaxed(&d->refs);
        if ((refs & ~(u32)DENTRY_CARE) != 1)
            return false;
    } while (!refuse_references(d, refs));
    return true;
}

void dentry_delete(struct dentry *d)
{
    struct inode *inode = NULL;
    struct dentry_bucket *b;

    dentry_prune(d);
    spin_lock(&names_lock);
    b = bucket_of(d->hash);
    spin_lock(&b->lock);
    if (!(d->flags & (DENTRY_UNHASHED | DENTRY_MOUNTED)) && keep_others_off(d)) {
        inode = d->inode;
        list_remove(&d->alias_link);
        store_release(&d->inode, NULL);
        atomic_and(&d->refs, ~(u32)DENTRY_DYING);
    }
    spin_unlock(&b->lock);
    if (inode == NULL)
        unhash(d);
    spin_unlock(&names_lock);
    if (inode != NULL)
        give_up_inode(inode);
}

void dentry_invalidate(struct dentry *d)
{
    dentry_prune(d);
    spin_lock(&names_lock);
    if (!(d->flags & DENTRY_MOUNTED))
        unhash(d);
    spin_unlock(&names_lock);
}

/* D takes the place NAME in PARENT. => names_lock; D is out of the table */
static void rehash_as(struct dentry *d, struct dentry *parent, const char *name, u32 length, u32 full)
{
    struct dentry_bucket *b = bucket_of(full);

    store_release(&d->name, name);
    d->length = length;
    d->parent = parent;
    d->hash = full;
    list_remove(&d->child_link);
    list_add(&parent->children, &d->child_link);
    spin_lock(&b->lock);
    chain_add(b, d);
    spin_unlock(&b->lock);
}

static void take_out(struct dentry *d)
{
    struct dentry_bucket *b = bucket_of(d->hash);

    spin_lock(&b->lock);
    chain_remove(b, d);
    spin_unlock(&b->lock);
}

/* A copy of D's name that does not live inside it. */
static const char *name_copy(const struct dentry *d)
{
    char *copy = kmalloc(name_room(d->length));

    if (copy != NULL)
        copy_name(copy, dentry_name(d));
    return copy;
}

void dentry_move(struct dentry *d, struct dentry *target)
{
    const char *name = name_copy(target), *old_name = NULL;
    struct dentry *parent = target->parent, *old_parent = d->parent;

    dentry_prune(target);
    spin_lock(&names_lock);
    unhash(target);
    if (name == NULL || (d->flags & DENTRY_UNHASHED)) {
        unhash(d);
        spin_unlock(&names_lock);
        kfree((void *)name);
        return;
    }
    name_move_begin();
    take_out(d);
    if (d->name != d->short_name)
        old_name = d->name;
    dentry_get(parent);
    rehash_as(d, parent, name, target->length, target->hash);
    name_move_end();
    spin_unlock(&names_lock);
    reading_wait();
    kfree((void *)old_name);
    dentry_put(old_parent);
}

void dentry_exchange(struct dentry *a, struct dentry *b)
{
    const char *name_a = name_copy(a), *name_b = name_copy(b), *old_a, *old_b;
    struct dentry *parent_a = a->parent;
    u32 length_a = a->length, hash_a = a->hash;

    spin_lock(&names_lock);
    if (name_a == NULL || name_b == NULL || ((a->flags | b->flags) & DENTRY_UNHASHED)) {
        unhash(a);
        unhash(b);
        spin_unlock(&names_lock);
        kfree((void *)name_a);
        kfree((void *)name_b);
        return;
    }
    name_move_begin();
    take_out(a);
    take_out(b);
    old_a = a->name != a->short_name ? a->name : NULL;
    old_b = b->name != b->short_name ? b->name : NULL;
    rehash_as(a, b->parent, name_b, b->length, b->hash); /* the two references to parents change owners */
    rehash_as(b, parent_a, name_a, length_a, hash_a);
    name_move_end();
    spin_unlock(&names_lock);
    reading_wait();
    kfree((void *)old_a);
    kfree((void *)old_b);
}

bool dentry_is_below(const struct dentry *d, const struct dentry *ancestor)
{
    while (d != ancestor) {
        if (d->parent == d)
            return false;
        d = d->parent;
    }
    return true;
}

/* ---- shrinking ---- */

/* Takes D out of the table if nobody uses it. => names_lock */
static bool unhash_unused(struct dentry *d)
{
    struct dentry_bucket *b = bucket_of(d->hash);
    bool unused;

    if (d->flags & (DENTRY_UNHASHED | DENTRY_ROOT | DENTRY_MOUNTED))
        return false;
    spin_lock(&b->lock);
    unused = refuse_references(d, 0);
    if (unused) {
        chain_remove(b, d);
        atomic_or(&d->flags, DENTRY_UNHASHED);
        atomic_or(&d->refs, DENTRY_CARE);
    }
    spin_unlock(&b->lock);
    return unused;
}

/* Ends the unused D, and parents that thereby become unused and uncached. => names_lock, which is released for a
 * moment */
static void end_unused(struct dentry *d)
{
    struct inode *inode;
    struct dentry *parent = dentry_kill_locked(d, &inode);

    if (parent != NULL && atomic_sub(&parent->refs, 1) == DENTRY_CARE)
        last_put_locked(parent);
    else
        spin_unlock(&names_lock);
    if (inode != NULL)
        give_up_inode(inode);
    spin_lock(&names_lock);
}

/* An unused leaf below D; NULL. Goes down the first branch that ends in one. => names_lock */
static struct dentry *unused_leaf(struct dentry *top)
{
    struct dentry *d = top;
    struct list *next = d->children.next;

    for (;;) {
        if (next != &d->children) {
            struct dentry *child = list_entry(next, struct dentry, child_link);

            if (list_empty(&child->children)) {
                if ((load_relaxed(&child->refs) & ~(u32)DENTRY_CARE) == 0 && !(child->flags & DENTRY_MOUNTED))
                    return child;
                next = next->next;
            } else {
                d = child;
                next = d->children.next;
            }
            continue;
        }
        if (d == top)
            return NULL;
        next = d->child_link.next;
        d = d->parent;
    }
}

void dentry_prune(struct dentry *d)
{
    struct dentry *leaf;

    if (list_empty(&d->children))
        return;
    spin_lock(&names_lock);
    while ((leaf = unused_leaf(d)) != NULL && unhash_unused(leaf))
        end_unused(leaf);
    spin_unlock(&names_lock);
}

static u64 dentry_shrink(u64 n_pages)
{
    u64 wanted = n_pages * (PAGE_SIZE / 256), freed = 0, looked = 0;

    spin_lock(&names_lock);
    while (freed < wanted && looked++ < 4 * wanted && !list_empty(&lru)) {
        struct dentry *d = list_first(&lru, struct dentry, lru_link);

        list_remove(&d->lru_link);
        if (unhash_unused(d)) {
            end_unused(d);
            freed++;
            continue;
        }
        /* In use: it comes back when it is released. A put beside us sees CARE and waits for the lock, or was
         * before. */
        if ((atomic_or(&d->refs, DENTRY_CARE) & ~(u32)DENTRY_CARE) == 0) {
            list_add_tail(&lru, &d->lru_link); /* a mount point, or just released */
            atomic_and(&d->refs, ~(u32)DENTRY_CARE);
        }
    }
    spin_unlock(&names_lock);
    return freed * 256 / PAGE_SIZE;
}

void dentry_init(void)
{
    static struct shrinker shrinker = {.shrink = dentry_shrink, .name = "dentries"};
    unsigned order = 0;

    while (order < 6 && (page_total_count() >> (order + 11)) > 0) /* a bucket for about 64 KiB of memory */
        order++;
    while ((dentry_buckets = NULL, order > 0)) {
        struct page *page = page_alloc_order(order, ALLOC_ZERO);

        if (page != NULL) {
            dentry_buckets = page_address(page);
            break;
        }
        order--;
    }
    if (dentry_buckets == NULL)
        dentry_buckets = kzalloc(PAGE_SIZE);
    ASSERT_ALWAYS(dentry_buckets != NULL);
    dentry_bucket_mask = (u32)((PAGE_SIZE << order) / sizeof(struct dentry_bucket)) - 1;
    shrinker_register(&shrinker);
}
