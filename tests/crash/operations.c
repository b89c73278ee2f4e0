/*
 * What the programs of a crash run do: each operation is told to the model (model.c) before and after, so that a cut in
 * the middle may leave either state. A part of crash.c.
 *
 * Who performs them: the file system on the host (`script` NULL), or a guest that was given what these functions write
 * to `script`, a line an operation (tests/disks/workload.c). Then the times are those of the guest's marks in the log
 * of its disk (recorded.c). What a process does depends on its seed alone.
 */

static FILE *script; /* a process's lines */

static unsigned below(struct process *p, unsigned n)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 17;
    p->random ^= p->random << 5;
    return p->random % n;
}

/* When the operation that P begins now starts, and when it is over: NEVER if that was not seen. */
static u64 start_time(struct process *p)
{
    p->n_operations++;
    return p->marks == NULL ? ++now : p->marks[p->n_operations - 1];
}
static u64 end_time(struct process *p) { return p->marks == NULL ? ++now : p->marks[p->n_operations]; }

static struct inode *dir_of(struct process *p, unsigned slot, const char **name)
{
    struct inode *dir;

    *name = slot_names[slot];
    if (slot < SLOT_IN_DIR) {
        inode_hold(p->dir);
        return p->dir;
    }
    *name += 2;
    dir = host_lookup(p->dir, "d");
    if (IS_ERR(dir))
        panic("no directory d");
    return dir;
}

static bool slot_exists(const struct process *p, unsigned slot) { return p->slots[slot] >= 0; }
static bool slot_is(const struct process *p, unsigned slot, char type)
{
    return slot_exists(p, slot) && p->objects[p->slots[slot]].type == type;
}
static bool has_parent(const struct process *p, unsigned slot)
{
    return slot < SLOT_IN_DIR || slot_is(p, SLOT_DIR, 'd');
}
static struct thing *object_at(struct process *p, unsigned slot) { return &p->objects[p->slots[slot]]; }

static struct inode *open_slot(struct process *p, unsigned slot)
{
    const char *name;
    struct inode *dir = dir_of(p, slot, &name), *inode = host_lookup(dir, name);

    inode_put(dir);
    if (IS_ERR(inode))
        panic("%s/%s is not there: %ld", p->dir_name, slot_names[slot], PTR_ERR(inode));
    return inode;
}

/* An operation that began at STARTED is over; it changed the objects A and B. */
static void done(struct process *p, struct thing *a, struct thing *b)
{
    struct snapshot *s = &p->snapshots[p->n_snapshots - 1];

    s->ended = end_time(p);
    if (a != NULL)
        a->last_snapshot = p->n_snapshots - 1;
    if (b != NULL)
        b->last_snapshot = p->n_snapshots - 1;
}

/* ... and the name in SLOT: the directory's data. */
static void done_in(struct process *p, unsigned slot, struct thing *a, struct thing *b)
{
    done(p, a, b);
    if (slot >= SLOT_IN_DIR)
        object_at(p, SLOT_DIR)->last_snapshot = p->n_snapshots - 1;
}

static void op_create(struct process *p, unsigned slot)
{
    const char *name;
    struct inode *dir, *inode;
    struct thing *o;

    if (slot == SLOT_DIR || slot_exists(p, slot) || !has_parent(p, slot))
        return;
    o = new_object(p, slot, 'f');
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "create %s\n", slot_names[slot]);
    } else {
        dir = dir_of(p, slot, &name);
        inode = host_create(dir, name, 0644);
        if (IS_ERR(inode))
            panic("create: %ld", PTR_ERR(inode));
        inode_put(inode);
        inode_put(dir);
    }
    done_in(p, slot, o, NULL);
}

static void op_mkdir(struct process *p)
{
    struct inode *inode;

    if (slot_exists(p, SLOT_DIR))
        return;
    new_object(p, SLOT_DIR, 'd');
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "mkdir d\n");
    } else {
        inode = host_mkdir(p->dir, "d");
        if (IS_ERR(inode))
            panic("mkdir: %ld", PTR_ERR(inode));
        inode_put(inode);
    }
    done(p, object_at(p, SLOT_DIR), NULL);
}

static void op_rmdir(struct process *p)
{
    if (!slot_is(p, SLOT_DIR, 'd') || slot_exists(p, SLOT_IN_DIR) || slot_exists(p, SLOT_IN_DIR + 1))
        return;
    p->slots[SLOT_DIR] = -1;
    take_snapshot(p, start_time(p));
    if (script != NULL)
        fprintf(script, "rmdir d\n");
    else if (host_rmdir(p->dir, "d") != 0)
        panic("rmdir");
    done(p, NULL, NULL);
}

static void op_symlink(struct process *p, unsigned slot)
{
    const char *name;
    struct inode *dir, *inode;
    struct thing *o;

    if (slot == SLOT_DIR || slot_exists(p, slot) || !has_parent(p, slot))
        return;
    o = new_object(p, slot, 'l');
    o->size = below(p, 2) ? 20 : 200;
    memset(o->target, 'a' + (int)below(p, 26), o->size);
    if (o->size == 200)
        memcpy(o->target, "\xC0\x3B\x39\x98", 4); /* looks like a block of the journal */
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "symlink %s %s\n", slot_names[slot], o->target);
    } else {
        dir = dir_of(p, slot, &name);
        inode = host_symlink(dir, name, o->target);
        if (IS_ERR(inode))
            panic("symlink: %ld", PTR_ERR(inode));
        inode_put(inode);
        inode_put(dir);
    }
    done_in(p, slot, o, NULL);
}

static void op_unlink(struct process *p, unsigned slot)
{
    const char *name;
    struct inode *dir;
    struct thing *o;

    if (slot == SLOT_DIR || !has_parent(p, slot) || !slot_exists(p, slot))
        return;
    o = object_at(p, slot);
    o->nlink--;
    p->slots[slot] = -1;
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "unlink %s\n", slot_names[slot]);
    } else {
        dir = dir_of(p, slot, &name);
        if (host_unlink(dir, name) != 0)
            panic("unlink");
        inode_put(dir);
    }
    done_in(p, slot, o, NULL);
}

static void op_link(struct process *p, unsigned from, unsigned to)
{
    const char *name;
    struct inode *dir, *inode;
    struct thing *o;

    if (to == SLOT_DIR || !has_parent(p, from) || !has_parent(p, to) || slot_exists(p, to) || !slot_is(p, from, 'f'))
        return;
    o = object_at(p, from);
    o->nlink++;
    p->slots[to] = p->slots[from];
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "link %s %s\n", slot_names[from], slot_names[to]);
    } else {
        inode = open_slot(p, from);
        dir = dir_of(p, to, &name);
        if (host_link(dir, name, inode) != 0)
            panic("link");
        inode_put(inode);
        inode_put(dir);
    }
    done_in(p, to, o, NULL);
}

static void op_rename(struct process *p, unsigned from, unsigned to)
{
    const char *old_name, *new_name;
    struct inode *old_dir, *new_dir;
    struct thing *o, *was = NULL;

    if (from == to || from == SLOT_DIR || to == SLOT_DIR || !has_parent(p, from) || !has_parent(p, to) ||
        !slot_exists(p, from) || p->slots[from] == p->slots[to])
        return;
    o = object_at(p, from);
    if (slot_exists(p, to)) {
        was = object_at(p, to);
        was->nlink--;
    }
    p->slots[to] = p->slots[from];
    p->slots[from] = -1;
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "rename %s %s\n", slot_names[from], slot_names[to]);
    } else {
        old_dir = dir_of(p, from, &old_name);
        new_dir = dir_of(p, to, &new_name);
        if (host_rename(old_dir, old_name, new_dir, new_name, 0) != 0)
            panic("rename");
        inode_put(old_dir);
        inode_put(new_dir);
    }
    done_in(p, MAX(from, to), o, was);
}

static const char *const ways_to_write[] = {"write", "dsync", "osync", "msync"};
enum way_to_write { PLAIN, O_DSYNC_WRITE, O_SYNC_WRITE, MMAP_WRITE };

/* What is written at AT by an operation with STAMP; workload.c has the same. Some blocks look like the journal's own.
 */
static u8 byte_at(unsigned stamp, unsigned process, u32 at)
{
    if (stamp % 4 == 0 && at % 1024 < 4)
        return (u8) "\xC0\x3B\x39\x98"[at % 4];
    return (u8)((stamp + at * 7 + at / 256 + process * 53) % 255 + 1);
}

static void write_on_host(struct process *p, unsigned slot, u32 at, const u8 *data, u32 n, enum way_to_write way)
{
    struct inode *inode = open_slot(p, slot);
    struct file file = {.inode = inode, .can_write = true};

    if (host_write(inode, at, data, n) != (ssize_t)n)
        panic("write");
    if (way != PLAIN && ext3_fsync(&file, 0, OBJECT_END, way != O_SYNC_WRITE) != 0)
        panic("fsync");
    inode_put(inode);
}

static void op_write_in(struct process *p, unsigned slot, u32 at, u32 n, enum way_to_write way)
{
    struct thing *o;
    u8 data[MAX_FILE];
    u64 started;
    bool grows;

    if (!has_parent(p, slot) || !slot_is(p, slot, 'f'))
        return;
    o = object_at(p, slot);
    if (way == MMAP_WRITE && (o->size == 0 || at >= o->size))
        return;
    if (way == MMAP_WRITE)
        n = MIN(n, o->size - at);
    if (at > MAX_FILE || n > MAX_FILE - at || o->n_versions + 8 > MAX_VERSIONS)
        return;
    grows = at + n > o->size; /* else no metadata may change: the time is perhaps that of the last write */
    p->stamp = (p->stamp + 37) % 256;
    for (u32 i = 0; i < n; i++)
        data[i] = byte_at(p->stamp, p->number, at + i);
    started = start_time(p);
    for (u32 from = at, to; from < at + n; from = to) { /* each page is a step of its own */
        struct version *v;

        to = MIN(at + n, (u32)ALIGN_UP(from + 1, (u32)PAGE_SIZE));
        v = new_version(o, started, MAX(o->size, to));
        v->mapped = way == MMAP_WRITE && script != NULL;
        memcpy(v->data + from, data + (from - at), to - from);
        take_snapshot(p, started);
    }
    if (script != NULL)
        fprintf(script, "%s %s %u %u %u\n", ways_to_write[way], slot_names[slot], at, n, p->stamp);
    else
        write_on_host(p, slot, at, data, n, way);
    done(p, grows ? o : NULL, NULL);
    for (unsigned k = p->n_snapshots; k-- > 0 && p->snapshots[k].ended == NEVER;)
        p->snapshots[k].ended = p->snapshots[p->n_snapshots - 1].ended;
    if (way != PLAIN)
        promise(p->snapshots[p->n_snapshots - 1].ended, p->number, way == O_SYNC_WRITE ? o->last_snapshot : 0,
                p->slots[slot], o->n_versions - 1);
    if (script != NULL && (way == O_DSYNC_WRITE || way == O_SYNC_WRITE))
        promise_only(at, at + n);
}

static void op_write(struct process *p, unsigned slot, u32 at, u32 n) { op_write_in(p, slot, at, n, PLAIN); }

static void op_truncate(struct process *p, unsigned slot, u32 size)
{
    struct thing *o;
    struct inode *inode;
    u64 started;

    if (!has_parent(p, slot) || !slot_is(p, slot, 'f') || size > MAX_FILE)
        return;
    o = object_at(p, slot);
    if (o->n_versions + 8 > MAX_VERSIONS)
        return;
    started = start_time(p);
    new_version(o, started, size);
    take_snapshot(p, started);
    if (script != NULL) {
        fprintf(script, "truncate %s %u\n", slot_names[slot], size);
    } else {
        inode = open_slot(p, slot);
        if (host_truncate(inode, size) != 0)
            panic("truncate");
        inode_put(inode);
    }
    done(p, o, NULL);
}

/* fallocate(2): a hole. Without the order of data, what is written there later may show what a freed block held. */
static void op_punch(struct process *p, unsigned slot, u32 at, u32 n)
{
    struct thing *o;
    struct version *v;
    struct inode *inode;
    u64 started;

    if (data_mode == EXT3_DATA_WRITEBACK || !has_parent(p, slot) || !slot_is(p, slot, 'f'))
        return;
    o = object_at(p, slot);
    if (at >= o->size || o->n_versions + 8 > MAX_VERSIONS)
        return;
    n = MIN(n, o->size - at);
    started = start_time(p);
    v = new_version(o, started, o->size);
    memset(v->data + at, 0, n);
    take_snapshot(p, started);
    if (script != NULL) {
        fprintf(script, "punch %s %u %u 0\n", slot_names[slot], at, n);
    } else {
        inode = open_slot(p, slot);
        if (host_punch(inode, at, n) != 0)
            panic("punch");
        inode_put(inode);
    }
    done(p, o, NULL);
}

static void op_fsync(struct process *p, unsigned slot, bool data_only)
{
    struct file file = {0};
    struct thing *o;
    int object;
    unsigned version, snapshot;

    if (!has_parent(p, slot) || !slot_exists(p, slot) || slot_is(p, slot, 'l'))
        return;
    o = object_at(p, slot);
    object = p->slots[slot];
    version = o->n_versions > 0 ? o->n_versions - 1 : 0;
    snapshot = o->last_snapshot;
    start_time(p);
    if (script != NULL) {
        fprintf(script, "%s %s\n", data_only ? "fdatasync" : "fsync", slot_names[slot]);
    } else {
        file.inode = open_slot(p, slot);
        file.can_write = true;
        if (ext3_fsync(&file, 0, OBJECT_END, data_only) != 0)
            panic("fsync");
        inode_put(file.inode);
    }
    /* A directory's data are its names. */
    promise(end_time(p), p->number, data_only && o->type == 'f' ? 0 : snapshot, o->type == 'f' ? object : -1, version);
}

/* chattr +j or -j: which way the file's data go from now on. Not a change that a crash may leave undone: names, sizes
 * and bytes are the same. */
static void op_journal_data(struct process *p, unsigned slot)
{
    static const struct cred root = {.cap_effective = ~0ull};
    struct inode *inode;

    if (!has_parent(p, slot) || !slot_is(p, slot, 'f'))
        return;
    start_time(p);
    if (script != NULL) {
        fprintf(script, "chattr-j %s\n", slot_names[slot]);
    } else {
        inode = open_slot(p, slot);
        current->cred = (struct cred *)&root;
        write_lock(&inode->lock);
        if (ext3_set_flags(inode, inode->flags ^ FS_JOURNAL_DATA_FL) != 0)
            panic("chattr");
        write_unlock(&inode->lock);
        current->cred = NULL;
        inode_put(inode);
    }
    end_time(p);
}

/* sync(2) promises what was over before it began, everybody's. */
static void op_sync(struct process *caller)
{
    u64 started = start_time(caller), ended;

    if (script != NULL)
        fprintf(script, "sync\n");
    else
        super_sync(super, true);
    ended = end_time(caller);
    for (unsigned i = 0; i < N_PROCESSES; i++) {
        struct process *p = &processes[i];
        unsigned snapshot = p->n_snapshots - 1;

        while (snapshot > 0 && p->snapshots[snapshot].ended > started)
            snapshot--;
        promise(ended, i, snapshot, -1, 0);
        for (unsigned k = 0; k < p->n_objects; k++) {
            const struct thing *o = &p->objects[k];
            unsigned version = o->n_versions > 0 ? o->n_versions - 1 : 0;

            while (version > 0 && o->versions[version].started >= p->snapshots[snapshot].ended)
                version--;
            if (o->type == 'f')
                promise(ended, i, 0, (int)k, version);
        }
    }
}

static void random_operation(struct process *p)
{
    static const u32 sizes[] = {1, 100, 511, 1024, 3000, 4096, 9000};
    unsigned slot = below(p, N_SLOTS), other = below(p, N_SLOTS);
    u32 n = sizes[below(p, ARRAY_SIZE(sizes))], size = slot_exists(p, slot) ? object_at(p, slot)->size : 0;

    switch (below(p, 29)) {
    case 0 ... 2:
        op_create(p, slot);
        break;
    case 3:
        op_mkdir(p);
        break;
    case 4:
        op_rmdir(p);
        break;
    case 5:
        op_symlink(p, slot);
        break;
    case 6 ... 7:
        op_unlink(p, slot);
        break;
    case 8:
        op_link(p, slot, other);
        break;
    case 9 ... 10:
        op_rename(p, slot, other);
        break;
    case 11 ... 14:
        op_write(p, slot, size, n);
        break;
    case 15 ... 16:
        op_write(p, slot, size > 0 ? below(p, size) : 0, n);
        break;
    case 17:
        op_write(p, slot, size + below(p, 8000), n);
        break;
    case 18:
        op_truncate(p, slot, below(p, 2) ? 0 : size > 0 ? below(p, size) : 0);
        break;
    case 19:
        op_truncate(p, slot, size + below(p, 5000));
        break;
    case 20 ... 21:
        op_fsync(p, slot, false);
        break;
    case 22:
        op_fsync(p, slot, true);
        break;
    case 23:
        if (below(p, 4) == 0)
            op_sync(p);
        break;
    case 24 ... 26:
        op_write_in(p, slot, size > 0 ? below(p, size) : 0, n, 1 + below(p, 3));
        break;
    case 27:
        if (below(p, 8) == 0) /* it empties the log, which hides much */
            op_journal_data(p, slot);
        break;
    case 28:
        op_punch(p, slot, size > 0 ? below(p, size) : 0, n);
        break;
    }
}

/* Files that grow and are cut in the middle of a page, while others make commits. */
static void shrinking_operation(struct process *p)
{
    unsigned slot = below(p, 3);
    u32 size = slot_exists(p, slot) ? object_at(p, slot)->size : 0;

    switch (below(p, 8)) {
    case 0 ... 1:
        op_create(p, slot);
        break;
    case 2 ... 3:
        op_write(p, slot, size, 1 + below(p, 9000));
        break;
    case 4 ... 5:
        op_truncate(p, slot, size > 0 ? below(p, size) : 0);
        break;
    default:
        op_fsync(p, slot, below(p, 2));
        break;
    }
}
