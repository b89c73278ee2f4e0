/*
 * What the files of a crash run hold: writing, cutting, holes, attributes, and what makes it durable. Part of crash.c;
 * see operations.c.
 */

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
    done(p, grows ? o : NULL);
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
    done(p, o);
}

/* fallocate(2): a hole. Without the order of data, what is written there later may show what a freed block held. */
static void op_punch(struct process *p, unsigned slot, u32 at, u32 n)
{
    struct thing *o;
    struct version *v;
    struct inode *inode;
    u64 started;

    if (data_mode == DATA_WRITEBACK || !has_parent(p, slot) || !slot_is(p, slot, 'f'))
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
    done(p, o);
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

/* fsync(2) of the process's own directory. */
static void op_fsync_top(struct process *p)
{
    struct file file = {.inode = p->dir};

    start_time(p);
    if (script != NULL)
        fprintf(script, "fsync .\n");
    else
        expect("fsync", ext3_fsync(&file, 0, OBJECT_END, false));
    promise(end_time(p), p->number, p->top.last_snapshot, -1, 0);
}

/* setxattr(2), or removexattr(2) if SIZE is 0. */
static void op_attribute(struct process *p, unsigned slot, unsigned which, u32 size)
{
    u8 value[1000];
    struct inode *inode;
    struct thing *o;
    struct attribute *a;

    if (!has_parent(p, slot) || !slot_exists(p, slot) || slot_is(p, slot, 'l'))
        return;
    o = object_at(p, slot);
    a = &o->attributes[which];
    if (size == 0 && a->size == 0)
        return;
    p->stamp = (p->stamp + 37) % 256;
    *a = (struct attribute){.size = size, .fill = size > 0 ? (u8)(p->stamp % 255 + 1) : 0};
    memset(value, a->fill, size);
    take_snapshot(p, start_time(p));
    if (script != NULL && size == 0) {
        fprintf(script, "removexattr %s %s\n", slot_names[slot], attribute_names[which]);
    } else if (script != NULL) {
        fprintf(script, "setxattr %s %s %u %u\n", slot_names[slot], attribute_names[which], size, a->fill);
    } else {
        inode = open_slot(p, slot);
        write_lock(&inode->lock);
        expect("xattr", size > 0 ? inode->ops->setxattr(inode, attribute_names[which], value, size, 0)
                                 : inode->ops->removexattr(inode, attribute_names[which]));
        write_unlock(&inode->lock);
        inode_put(inode);
    }
    done(p, o);
}

/* O_TMPFILE, writing, perhaps fsync, linkat(2). */
static void op_tmpfile(struct process *p, unsigned slot, u32 n, bool syncs)
{
    struct inode *dir, *inode;
    struct thing *o;
    struct version *v;
    u64 started;

    if (is_for_dirs(slot) || !is_free(p, slot) || n > MAX_FILE)
        return;
    o = new_object(p, slot, 'f');
    p->stamp = (p->stamp + 37) % 256;
    started = start_time(p);
    v = new_version(o, started, n);
    for (u32 i = 0; i < n; i++)
        v->data[i] = byte_at(p->stamp, p->number, i);
    take_snapshot(p, started);
    if (script != NULL) {
        fprintf(script, "%s %s %u %u %u\n", syncs ? "tmpfilesync" : "tmpfile", slot_names[slot], 0u, n, p->stamp);
    } else {
        struct file file = {.can_write = true};

        dir = dir_of(p, slot);
        write_lock(&dir->lock);
        inode = dir->ops->tmpfile(dir, 0600);
        write_unlock(&dir->lock);
        if (IS_ERR(inode) || host_write(inode, 0, v->data, n) != (ssize_t)n)
            panic("tmpfile");
        file.inode = inode;
        if (syncs)
            expect("fsync", ext3_fsync(&file, 0, OBJECT_END, false));
        expect("link", host_link(dir, last_name(slot), inode));
        inode_put(inode);
        inode_put(dir);
    }
    done_in(p, slot, o);
    if (syncs)
        promise(p->snapshots[p->n_snapshots - 1].ended, p->number, 0, p->slots[slot], 1);
}

/* A file without a name: nothing of it is seen again but if the unlink is lost, then perhaps what it got later. */
enum held { HELD_WRITE, HELD_TRUNCATE, HELD_FSYNC, HELD_RELEASE };
static void op_held(struct process *p, enum held what, u32 at, u32 n)
{
    static const char *const names[] = {"heldwrite", "heldtruncate", "heldfsync", "release"};
    struct file file = {.inode = p->held_inode, .can_write = true};
    struct thing *o = &p->objects[MAX(p->held, 0)];
    u8 data[MAX_FILE];
    u64 started, ended;

    if (p->held < 0 || o->n_versions + 8 > MAX_VERSIONS || at > MAX_FILE || n > MAX_FILE - at)
        return;
    started = start_time(p);
    if (what == HELD_TRUNCATE)
        new_version(o, started, at);
    if (what == HELD_WRITE) {
        p->stamp = (p->stamp + 37) % 256;
        for (u32 i = 0; i < n; i++)
            data[i] = byte_at(p->stamp, p->number, at + i);
        memcpy(new_version(o, started, MAX(o->size, at + n))->data + at, data, n);
    }
    if (script != NULL)
        fprintf(script, "%s - %u %u %u\n", names[what], at, n, p->stamp);
    else if (what == HELD_WRITE && host_write(file.inode, at, data, n) != (ssize_t)n)
        panic("write");
    else if (what == HELD_TRUNCATE)
        expect("truncate", host_truncate(file.inode, at));
    else if (what == HELD_FSYNC)
        expect("fsync", ext3_fsync(&file, 0, OBJECT_END, false));
    else if (what == HELD_RELEASE)
        inode_put(file.inode);
    ended = end_time(p);
    if (what == HELD_FSYNC)
        promise(ended, p->number, o->last_snapshot, -1, 0);
    if (what != HELD_RELEASE)
        return;
    p->held = -1;
    p->held_inode = NULL;
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
