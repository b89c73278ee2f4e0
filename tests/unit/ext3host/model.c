/*
 * A file system in a few arrays, and random operations that are done to it and to ext3; then the two are compared, and
 * debugfs is asked, too. Included by the tests, after host.c.
 */
static char folder[64]; /* scratch files */
static char image[96];

__attribute__((format(printf, 1, 2))) static int run(const char *fmt, ...)
{
    char command[1024];
    va_list args;
    int status;

    va_start(args, fmt);
    vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    status = system(command);
    return status == 0 ? 0 : 1;
}

static void make_image(unsigned block_size, unsigned inode_size, const char *size, const char *more)
{
    if (run("rm -f %s; mke2fs -q -F -t ext3 -b %u -I %u %s %s %s >%s/mke2fs.log 2>&1", image, block_size, inode_size,
            more, image, size, folder))
        panic("mke2fs failed");
}

/* e2fsck -fn says clean, and prints nothing about totals either. */
static bool is_clean(void)
{
    bool bad = run("LC_ALL=C e2fsck -fn %s >%s/fsck.log 2>&1", image, folder) ||
               !run("grep -Eq 'wrong|WARNING|Fix|Clear|differ' %s/fsck.log", folder);

    if (bad)
        run("sed 's/^/# /' %s/fsck.log | head -30", folder);
    return !bad;
}

/* What a power failure now would leave: a copy, which e2fsck recovers from the journal, has nothing to repair. */
static bool is_clean_after_crash(void)
{
    bool bad = run("cp %s %s/copy && LC_ALL=C e2fsck -E journal_only -y %s/copy >%s/fsck.log 2>&1 && "
                   "LC_ALL=C e2fsck -fn %s/copy >>%s/fsck.log 2>&1",
                   image, folder, folder, folder, folder, folder);

    if (bad)
        run("sed 's/^/# /' %s/fsck.log | head -30", folder);
    return !bad;
}

static struct super *mount_it(void)
{
    int error;
    struct super *super = host_mount(image, false, &error);

    if (super == NULL)
        panic("mount: error %d; %s", -error, host_messages);
    return super;
}

static u32 random_state = 1;
static u32 random_below(u32 n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (u32)((u64)random_state * n >> 32);
}

/* ---- the model ---- */

#define MAX_NODES 400
#define MAX_BYTES 300000

struct node {  /* a file, directory or symbolic link; several names may lead to a file */
    char type; /* 0 unused, 'f', 'd', 'l' */
    unsigned names;
    u64 size;
    u8 *data;
};
struct entry {
    int parent, node; /* nodes; parent -1: unused */
    char name[64];
};
static struct node nodes[MAX_NODES];
static struct entry entries[MAX_NODES];

static void model_reset(void)
{
    for (int i = 0; i < MAX_NODES; i++) {
        free(nodes[i].data);
        nodes[i] = (struct node){0};
        entries[i].parent = -1;
    }
    nodes[0].type = 'd';
}

static int new_node(char type)
{
    for (int i = 1; i < MAX_NODES; i++)
        if (nodes[i].type == 0) {
            nodes[i] = (struct node){.type = type};
            return i;
        }
    return -1;
}
static int new_entry(int parent, int node, const char *name)
{
    for (int i = 0; i < MAX_NODES; i++)
        if (entries[i].parent < 0) {
            entries[i].parent = parent;
            entries[i].node = node;
            snprintf(entries[i].name, sizeof(entries[i].name), "%s", name);
            nodes[node].names++;
            return i;
        }
    return -1;
}
static bool entries_full(void)
{
    int n = 0;

    for (int i = 0; i < MAX_NODES; i++)
        n += entries[i].parent < 0;
    return n < 10;
}
static void drop_entry(int e)
{
    struct node *node = &nodes[entries[e].node];

    entries[e].parent = -1;
    if (--node->names == 0) {
        free(node->data);
        *node = (struct node){0};
    }
}
static int random_entry(char type)
{
    for (int tries = 0; tries < 200; tries++) {
        int e = (int)random_below(MAX_NODES);

        if (entries[e].parent >= 0 && (type == 0 || nodes[entries[e].node].type == type))
            return e;
    }
    return -1;
}
static int random_dir(void)
{
    int e = random_below(3) == 0 ? -1 : random_entry('d');

    return e < 0 ? 0 : entries[e].node;
}
static int find_child(int dir, const char *name)
{
    for (int e = 0; e < MAX_NODES; e++)
        if (entries[e].parent == dir && strcmp(entries[e].name, name) == 0)
            return e;
    return -1;
}
static bool has_children(int dir)
{
    for (int e = 0; e < MAX_NODES; e++)
        if (entries[e].parent == dir)
            return true;
    return false;
}
static int entry_of_dir(int dir)
{
    for (int e = 0; e < MAX_NODES; e++)
        if (entries[e].parent >= 0 && entries[e].node == dir)
            return e;
    return -1;
}
static bool is_below(int dir, int ancestor)
{
    while (dir != 0 && dir != ancestor)
        dir = entries[entry_of_dir(dir)].parent;
    return dir == ancestor;
}
static void path_of(int dir, char *path, size_t size)
{
    char above[4096];

    if (dir == 0) {
        snprintf(path, size, "%s", "");
        return;
    }
    path_of(entries[entry_of_dir(dir)].parent, above, sizeof(above));
    snprintf(path, size, "%s/%s", above, entries[entry_of_dir(dir)].name);
}

/* ---- random operations on both ---- */

static struct super *super;
static u8 buffer[MAX_BYTES];

static struct inode *inode_of_dir(int dir)
{
    char path[4096];

    path_of(dir, path, sizeof(path));
    return host_path(super, path);
}
static struct inode *inode_of_entry(int e)
{
    struct inode *dir = inode_of_dir(entries[e].parent), *inode;

    if (IS_ERR(dir))
        return dir;
    inode = host_lookup(dir, entries[e].name);
    inode_put(dir);
    return inode;
}

static void random_name(char *name)
{
    unsigned length = random_below(10) == 0 ? 20 + random_below(40) : 1 + random_below(8);

    for (unsigned i = 0; i < length; i++)
        name[i] = (char)('a' + random_below(26));
    name[length] = '\0';
}

static bool ok_or_full(long error) { return error >= 0 || error == -ENOSPC; }

static bool make_something(void)
{
    int dir = random_dir(), e, node;
    struct inode *parent = inode_of_dir(dir), *inode;
    char name[64], type = "ffffddl"[random_below(7)], target[3000];

    random_name(name);
    if (IS_ERR(parent))
        return false;
    if (!S_ISDIR(parent->mode)) { /* of a damaged image */
        inode_put(parent);
        return false;
    }
    if (find_child(dir, name) >= 0 || entries_full()) {
        inode_put(parent);
        return true;
    }
    memset(target, 'x', sizeof(target));
    target[1 + random_below(random_below(2) ? 80 : 1000)] = '\0';
    inode = type == 'd'   ? host_mkdir(parent, name)
            : type == 'l' ? host_symlink(parent, name, target)
                          : host_create(parent, name, 0644);
    inode_put(parent);
    if (IS_ERR(inode))
        return ok_or_full(PTR_ERR(inode));
    inode_put(inode);
    node = new_node(type);
    e = new_entry(dir, node, name);
    if (type == 'l') {
        nodes[node].size = strlen(target);
        nodes[node].data = (u8 *)strdup(target);
    } else if (type == 'f') {
        nodes[node].data = calloc(1, MAX_BYTES);
    }
    return e >= 0;
}

static bool write_something(void)
{
    int e = random_entry('f');
    struct node *node;
    struct inode *inode;
    u64 at, n;
    ssize_t done;

    if (e < 0)
        return true;
    node = &nodes[entries[e].node];
    inode = inode_of_entry(e);
    if (!IS_ERR(inode) && !S_ISREG(inode->mode)) {
        inode_put(inode);
        return false;
    }
    if (IS_ERR(inode))
        return false;
    n = 1 + random_below(random_below(4) == 0 ? 60000 : 5000);
    at = random_below(3) == 0 ? random_below(MAX_BYTES) : random_below((u32)node->size + 1);
    n = MIN(n, MAX_BYTES - at);
    for (u64 i = 0; i < n; i++)
        buffer[i] = (u8)random_below(256);
    done = host_write(inode, at, buffer, n);
    inode_put(inode);
    if (done > 0) {
        memcpy(node->data + at, buffer, (size_t)done);
        node->size = MAX(node->size, at + (u64)done);
    }
    return ok_or_full(done);
}

static bool truncate_something(void)
{
    int e = random_entry('f');
    struct node *node;
    struct inode *inode;
    u64 size;
    int error;

    if (e < 0)
        return true;
    node = &nodes[entries[e].node];
    inode = inode_of_entry(e);
    if (!IS_ERR(inode) && !S_ISREG(inode->mode)) {
        inode_put(inode);
        return false;
    }
    if (IS_ERR(inode))
        return false;
    if (random_below(3) == 0 && node->size > 0) {
        u64 at = random_below((u32)node->size), n = 1 + random_below(20000);

        error = host_punch(inode, at, n);
        n = MIN(n, node->size - at);
        memset(node->data + at, 0, n);
    } else {
        size = random_below(random_below(2) ? MAX_BYTES : 20000);
        error = host_truncate(inode, size);
        if (error == 0 && size < node->size)
            memset(node->data + size, 0, node->size - size);
        if (error == 0)
            node->size = size;
    }
    inode_put(inode);
    return error == 0;
}

static bool remove_something(void)
{
    int e = random_entry(0), node = e < 0 ? -1 : entries[e].node;
    struct inode *parent;
    int error;

    if (e < 0)
        return true;
    parent = inode_of_dir(entries[e].parent);
    if (!IS_ERR(parent) && !S_ISDIR(parent->mode)) {
        inode_put(parent);
        return false;
    }
    if (IS_ERR(parent))
        return false;
    error = nodes[node].type == 'd' ? host_rmdir(parent, entries[e].name) : host_unlink(parent, entries[e].name);
    inode_put(parent);
    if (nodes[node].type == 'd' && has_children(node))
        return error == -ENOTEMPTY;
    if (error == 0)
        drop_entry(e);
    return error == 0;
}

static bool link_something(void)
{
    int e = random_entry('f'), dir = random_dir();
    struct inode *inode, *parent;
    char name[64];
    int error;

    random_name(name);
    if (e < 0 || find_child(dir, name) >= 0 || entries_full())
        return true;
    inode = inode_of_entry(e);
    parent = inode_of_dir(dir);
    error = IS_ERR(inode) || IS_ERR(parent) || !S_ISDIR(parent->mode) || S_ISDIR(inode->mode)
                ? -EIO
                : host_link(parent, name, inode);
    if (!IS_ERR(inode))
        inode_put(inode);
    if (!IS_ERR(parent))
        inode_put(parent);
    if (error == 0)
        new_entry(dir, entries[e].node, name);
    return ok_or_full(error);
}

static bool rename_something(void)
{
    int e = random_entry(0), dir = random_dir(), target = random_below(2) ? random_entry(0) : -1,
        node = e < 0 ? -1 : entries[e].node, other;
    struct inode *from, *to;
    bool swap = target >= 0 && random_below(4) == 0, moved_dir;
    char name[64];
    int error;

    random_name(name);
    if (target >= 0) {
        dir = entries[target].parent;
        snprintf(name, sizeof(name), "%s", entries[target].name);
    }
    if (e < 0 || e == target)
        return true;
    target = find_child(dir, name);
    other = target < 0 ? -1 : entries[target].node;
    moved_dir = nodes[node].type == 'd';
    if ((moved_dir && is_below(dir, node)) ||
        (other >= 0 && nodes[other].type == 'd' && is_below(entries[e].parent, other)))
        return true; /* the VFS refuses these */
    if (!swap && other >= 0 && (nodes[other].type == 'd') != moved_dir)
        return true;
    if (other == node)
        return true;
    from = inode_of_dir(entries[e].parent);
    to = inode_of_dir(dir);
    if (IS_ERR(from) || IS_ERR(to) || !S_ISDIR(from->mode) || !S_ISDIR(to->mode))
        error = -EIO;
    else
        error = host_rename(from, entries[e].name, to, name, swap && other >= 0 ? RENAME_EXCHANGE : 0);
    if (!IS_ERR(from))
        inode_put(from);
    if (!IS_ERR(to))
        inode_put(to);
    if (!(swap && other >= 0) && other >= 0 && nodes[other].type == 'd' && has_children(other))
        return error == -ENOTEMPTY;
    if (error != 0)
        return ok_or_full(error);
    if (swap && other >= 0) {
        entries[e].node = other;
        entries[target].node = node;
        return true;
    }
    if (other >= 0)
        drop_entry(target);
    entries[e].parent = dir;
    snprintf(entries[e].name, sizeof(entries[e].name), "%s", name);
    return true;
}

static bool (*const operations[])(void) = {make_something,   make_something,  make_something,  write_something,
                                           write_something,  write_something, write_something, truncate_something,
                                           remove_something, link_something,  rename_something};

/* ---- comparing ---- */

static bool same_file(int e)
{
    struct node *node = &nodes[entries[e].node];
    struct inode *inode = inode_of_entry(e);
    static char text[PATH_MAX];
    bool same = !IS_ERR(inode);
    ssize_t n;

    if (!same)
        return false;
    if (node->type == 'd') {
        same = S_ISDIR(inode->mode);
    } else if (node->type == 'l') {
        n = inode->ops->read_link(inode, text, sizeof(text));
        same = n == (ssize_t)node->size && memcmp(text, node->data, node->size) == 0;
    } else {
        memset(buffer, 0xEE, sizeof(buffer));
        n = host_read(inode, 0, buffer, sizeof(buffer));
        same = inode->nlink == node->names && n == (ssize_t)node->size && memcmp(buffer, node->data, node->size) == 0;
    }
    inode_put(inode);
    return same;
}

static void count_name(const char *name, u64 ino, unsigned type, void *arg)
{
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        ++*(unsigned *)arg;
}

static bool agrees(void)
{
    for (int e = 0; e < MAX_NODES; e++) {
        if (entries[e].parent < 0)
            continue;
        if (!same_file(e)) {
            printf("# %s (%c) differs\n", entries[e].name, nodes[entries[e].node].type);
            return false;
        }
        if (nodes[entries[e].node].type == 'd') {
            struct inode *dir = inode_of_entry(e);
            unsigned found = 0, expected = 0;
            int error = host_read_dir(dir, 3, count_name, &found);

            inode_put(dir);
            for (int c = 0; c < MAX_NODES; c++)
                expected += entries[c].parent == entries[e].node;
            if (error != 0 || found != expected) {
                printf("# directory %s: %u names, not %u, error %d\n", entries[e].name, found, expected, error);
                return false;
            }
        }
    }
    return true;
}

/* debugfs, which shares no code with us, reads the same bytes. */
static bool debugfs_agrees(void)
{
    char path[4096], file[128];
    unsigned checked = 0;
    bool same = true;

    snprintf(file, sizeof(file), "%s/dump", folder);
    for (int e = 0; e < MAX_NODES && checked < 12 && same; e++) {
        struct node *node = entries[e].parent < 0 ? NULL : &nodes[entries[e].node];
        FILE *f;

        if (node == NULL || node->type != 'f')
            continue;
        path_of(entries[e].parent, path, sizeof(path));
        run("rm -f %s; debugfs -R 'dump %s/%s %s' %s >/dev/null 2>&1", file, path, entries[e].name, file, image);
        f = fopen(file, "r");
        same = f != NULL && fread(buffer, 1, sizeof(buffer), f) == node->size &&
               memcmp(buffer, node->data, node->size) == 0;
        if (f != NULL)
            fclose(f);
        checked++;
    }
    return same;
}
