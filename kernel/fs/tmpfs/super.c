/* tmpfs: instances, inodes, and files without names. Options as in tmpfs(5): size=, nr_inodes=, mode=, uid=, gid=,
 * huge=. */
#include "fs/super.h"
#include "fs/tmpfs/tmpfs.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/page.h"

static struct super *shm_super; /* memfds and shared anonymous memory */

/* ---- options ---- */

/* A number with an optional k, m, g, or % (of memory, in bytes). False: not one. */
static bool parse_size(const char *text, u64 memory_pages, u64 *bytes)
{
    char *end;
    u64 n = strtoul(text, &end, 0), unit = 1;

    switch (*end) {
    case '%':
        unit = memory_pages * PAGE_SIZE / 100;
        break;
    case 'k':
    case 'K':
        unit = KIB;
        break;
    case 'm':
    case 'M':
        unit = MIB;
        break;
    case 'g':
    case 'G':
        unit = GIB;
        break;
    }
    end += unit != 1;
    return !__builtin_mul_overflow(n, unit, bytes) && end != text && *end == '\0';
}

static int set_option(struct tmpfs_space *space, const char *name, const char *value, u64 memory_pages)
{
    char *end = NULL;
    u64 n = 0;

    if (value == NULL || *value == '\0')
        return -EINVAL;
    if (strcmp(name, "size") == 0 || strcmp(name, "nr_inodes") == 0) {
        if (!parse_size(value, memory_pages, &n))
            return -EINVAL;
        if (name[0] == 's')
            space->max_pages = n == 0 ? TMPFS_NO_LIMIT : n / PAGE_SIZE + (n % PAGE_SIZE != 0);
        else
            space->max_inodes = n;
        return 0;
    }
    if (strcmp(name, "huge") == 0) {
        for (unsigned i = 0; i <= HUGE_SHARED_NEVER; i++) {
            if (strcmp(value, huge_shared_policy_names[i]) == 0) {
                space->huge = (u8)i;
                return 0;
            }
        }
        return -EINVAL;
    }
    if (strcmp(name, "mode") == 0)
        space->root_mode = (u32)strtoul(value, &end, 8) & 07777;
    else if (strcmp(name, "uid") == 0)
        space->uid = (u32)strtoul(value, &end, 10);
    else if (strcmp(name, "gid") == 0)
        space->gid = (u32)strtoul(value, &end, 10);
    return end != NULL && *end == '\0' ? 0 : -EINVAL;
}

/* "name=value,name=value": cuts TEXT into pieces. */
static int parse_options(struct tmpfs_space *space, char *text, u64 memory_pages)
{
    char *next, *value;
    int error = 0;

    for (; text != NULL && *text != '\0' && error == 0; text = next) {
        next = strchr(text, ',');
        if (next != NULL)
            *next++ = '\0';
        value = strchr(text, '=');
        if (value != NULL)
            *value++ = '\0';
        error = set_option(space, text, value, memory_pages);
    }
    return error;
}

static int read_options(struct tmpfs_space *space, const char *options)
{
    struct memory_stats memory;
    char *copy;
    int error;

    memory_stats(&memory);
    if (space->max_pages == 0)
        space->max_pages = memory.total / 2;
    if (*options == '\0')
        return 0;
    copy = kstrndup(options, strlen(options));
    if (copy == NULL)
        return -ENOMEM;
    error = parse_options(space, copy, memory.total);
    kfree(copy);
    return error;
}

/* ---- inodes ---- */

static struct inode *alloc_inode(struct super *super)
{
    struct tmpfs_inode *t = kzalloc(sizeof(*t));

    (void)super;
    if (t == NULL)
        return NULL;
    list_init(&t->xattrs);
    list_init(&t->teardown);
    return &t->inode;
}

static void free_inode(struct inode *inode) { kfree(tmpfs_inode(inode)); }

int tmpfs_charge_inode(struct tmpfs_space *space)
{
    int error = 0;

    spin_lock(&space->lock);
    if (space->max_inodes != 0 && space->used_inodes >= space->max_inodes)
        error = -ENOSPC;
    else
        space->used_inodes++;
    spin_unlock(&space->lock);
    return error;
}

void tmpfs_uncharge_inode(struct tmpfs_space *space)
{
    spin_lock(&space->lock);
    space->used_inodes--;
    spin_unlock(&space->lock);
}

struct inode *tmpfs_new_inode(struct super *super, const struct inode *dir, u32 mode, u32 rdev)
{
    struct tmpfs_space *space = super->private;
    struct inode *inode;
    int error = tmpfs_charge_inode(space);

    if (error != 0)
        return ERR_PTR(error);
    inode = inode_new(super);
    if (IS_ERR(inode)) {
        tmpfs_uncharge_inode(space);
        return inode;
    }
    inode->ino = atomic_add_relaxed(&space->next_ino, 1);
    inode_init_owner(inode, dir, mode);
    inode->rdev = rdev;
    inode->flags = dir != NULL ? dir->flags & (FS_NODUMP_FL | FS_NOATIME_FL) : 0;
    inode->ops = &tmpfs_inode_ops;
    inode->object.ops = &tmpfs_object_ops;
    tmpfs_inode(inode)->seals = F_SEAL_SEAL;
    if (S_ISREG(mode)) {
        inode->file_ops = &tmpfs_file_ops;
    } else if (S_ISDIR(mode)) {
        inode->ops = &tmpfs_dir_inode_ops;
        inode->file_ops = &tmpfs_dir_ops;
        inode->nlink = 2;
        tmpfs_dir_init(tmpfs_inode(inode));
    }
    return inode;
}

static void evict_inode(struct inode *inode)
{
    struct tmpfs_inode *t = tmpfs_inode(inode);
    struct tmpfs_space *space = tmpfs_space(inode);

    if (S_ISDIR(inode->mode))
        tmpfs_dir_destroy(t);
    kfree((void *)inode->link);
    inode->link = NULL;
    tmpfs_free_xattrs(t);
    spin_lock(&space->lock);
    space->used_pages -= t->charged;
    space->used_inodes--;
    spin_unlock(&space->lock);
}

/* ---- super ---- */

static void statfs(struct super *super, struct statfs_info *info)
{
    struct tmpfs_space *space = super->private;

    info->block_size = info->fragment_size = super->block_size;
    info->name_max = NAME_MAX;
    spin_lock(&space->lock);
    if (space->max_pages != TMPFS_NO_LIMIT) {
        info->blocks = space->max_pages;
        info->free = info->available = space->max_pages > space->used_pages ? space->max_pages - space->used_pages : 0;
    }
    info->files = space->max_inodes;
    info->files_free = space->max_inodes > space->used_inodes ? space->max_inodes - space->used_inodes : 0;
    spin_unlock(&space->lock);
}

static int remount(struct super *super, bool read_only, const char *options)
{
    struct tmpfs_space *space = super->private, wanted = *space;
    int error = read_options(&wanted, options);

    (void)read_only;
    if (error != 0)
        return error;
    spin_lock(&space->lock);
    if (wanted.max_pages < space->used_pages || (wanted.max_inodes != 0 && wanted.max_inodes < space->used_inodes)) {
        error = -EINVAL;
    } else {
        space->max_pages = wanted.max_pages;
        space->max_inodes = wanted.max_inodes;
        space->huge = wanted.huge;
    }
    spin_unlock(&space->lock);
    return error;
}

static void put_super(struct super *super) { kfree(super->private); }

static void show_options(struct super *super, char *buf, size_t size)
{
    struct tmpfs_space *space = super->private;

    u64 max = load_relaxed(&space->max_pages);
    int n = snprintf(buf, size, ",size=%luk", max != TMPFS_NO_LIMIT ? max * (PAGE_SIZE / KIB) : 0);

    if (space->huge != HUGE_SHARED_NEVER && (size_t)n < size)
        snprintf(buf + n, size - (size_t)n, ",huge=%s", huge_shared_policy_names[space->huge]);
}

static const struct super_ops tmpfs_super_ops = {
    .alloc_inode = alloc_inode,
    .free_inode = free_inode,
    .evict_inode = evict_inode,
    .statfs = statfs,
    .remount = remount,
    .put_super = put_super,
    .show_options = show_options,
};

int tmpfs_mount(struct super *super, const char *options)
{
    struct tmpfs_space *space = kzalloc(sizeof(*space));
    struct memory_stats memory;
    struct inode *root;
    int error;

    if (space == NULL)
        return -ENOMEM;
    memory_stats(&memory);
    space->root_mode = S_ISVTX | 0777;
    space->huge = HUGE_SHARED_NEVER;
    space->max_inodes = memory.total / 2;
    error = read_options(space, options);
    if (error != 0) {
        kfree(space);
        return error;
    }
    super->ops = &tmpfs_super_ops;
    super->private = space;
    super->block_size = PAGE_SIZE;
    super->max_size = INT64_MAX & ~PAGE_MASK;
    root = tmpfs_new_inode(super, NULL, S_IFDIR | space->root_mode, 0);
    if (IS_ERR(root)) {
        kfree(space);
        return (int)PTR_ERR(root);
    }
    root->uid = space->uid;
    root->gid = space->gid;
    tmpfs_inode(root)->parent = tmpfs_inode(root);
    super->root = root;
    return 0;
}

/* ---- files without names ---- */

void tmpfs_set_shared_policy(enum huge_shared_policy policy)
{
    struct tmpfs_space *space = shm_super->private;

    store_relaxed(&huge_shared_policy, policy);
    if (policy <= HUGE_SHARED_NEVER)
        store_relaxed(&space->huge, (u8)policy);
}

/* OPS: of this file, and when it is opened again. */
static struct file *nameless_file(struct super *super, const struct file_ops *ops, const char *name, u64 size,
                                  u32 flags, unsigned seals)
{
    struct inode *inode = tmpfs_new_inode(super, NULL, S_IFREG | 0777, 0);
    struct file *file;

    if (IS_ERR(inode))
        return (struct file *)inode;
    inode->nlink = 0;
    inode->file_ops = ops;
    tmpfs_inode(inode)->seals = seals;
    inode->link = kstrndup(name, strlen(name)); /* freed with the inode */
    if (inode->link == NULL || object_set_size(&inode->object, size) != 0) {
        inode_put(inode);
        return ERR_PTR(-ENOMEM);
    }
    file = file_create(inode, flags, ops);
    if (IS_ERR(file))
        inode_put(inode);
    else
        file->anon_name = inode->link;
    return file;
}

struct file *tmpfs_file_create(const char *name, u64 size, u32 flags)
{
    char shown[NAME_MAX + 16];

    snprintf(shown, sizeof(shown), "%s (deleted)", name);
    return nameless_file(shm_super, &tmpfs_file_ops, shown, size, flags, F_SEAL_SEAL);
}

struct file *tmpfs_memfd_on(struct super *super, const struct file_ops *ops, const char *name, bool may_seal)
{
    char shown[NAME_MAX + 24];

    snprintf(shown, sizeof(shown), "/memfd:%s (deleted)", name);
    return nameless_file(super, ops, shown, 0, O_RDWR | O_LARGEFILE, may_seal ? 0 : F_SEAL_SEAL);
}

struct file *tmpfs_memfd_create(const char *name, bool may_seal)
{
    return tmpfs_memfd_on(shm_super, &tmpfs_file_ops, name, may_seal);
}

bool file_is_shmem(const struct file *file)
{
    return file->inode->object.ops == &tmpfs_object_ops && S_ISREG(file->inode->mode);
}

static struct fs_type tmpfs_type = {.name = "tmpfs", .magic = TMPFS_MAGIC, .mount = tmpfs_mount};

void tmpfs_init_internal(struct super *super, const struct fs_type *type, u32 minor)
{
    struct tmpfs_space *space;

    super->type = type;
    super->dev = makedev(0, minor);
    super->time_granularity = 1;
    super_add_internal(super);
    if (tmpfs_mount(super, "") != 0)
        panic("no memory for tmpfs");
    space = super->private;
    space->max_pages = TMPFS_NO_LIMIT; /* limited by memory only, as private memory is */
    space->max_inodes = 0;
}

void tmpfs_init(void)
{
    static struct super shm;

    fs_register(&tmpfs_type);
    tmpfs_init_internal(&shm, &tmpfs_type, 0xffe);
    shm_super = &shm;
    tmpfs_huge_init();
}
