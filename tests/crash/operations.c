/*
 * What the programs of a crash run do: each operation is told to the model (model.c) before and after, so that a cut in
 * the middle may leave either state. A part of crash.c. Here: names; contents.c: what files hold; choose.c: which one
 * is next.
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
    p->is_busy = true;
    return p->marks == NULL ? ++now : p->marks[p->n_operations - 1];
}
static u64 end_time(struct process *p)
{
    p->is_busy = false;
    return p->marks == NULL ? ++now : p->marks[p->n_operations];
}

/* ---- slots ---- */

static bool slot_exists(const struct process *p, unsigned slot) { return p->slots[slot] >= 0; }
static bool slot_is(const struct process *p, unsigned slot, char type)
{
    return slot_exists(p, slot) && p->objects[p->slots[slot]].type == type;
}
static bool has_parent(const struct process *p, unsigned slot)
{
    return parent_slots[slot] < 0 || slot_is(p, (unsigned)parent_slots[slot], 'd');
}
static bool is_free(const struct process *p, unsigned slot) { return has_parent(p, slot) && !slot_exists(p, slot); }
static bool is_for_dirs(unsigned slot) { return slot == SLOT_D || slot == SLOT_E || slot == SLOT_E_D; }
static struct thing *object_at(struct process *p, unsigned slot) { return &p->objects[p->slots[slot]]; }
static struct thing *parent_of(struct process *p, unsigned slot)
{
    return parent_slots[slot] < 0 ? &p->top : object_at(p, (unsigned)parent_slots[slot]);
}

static const char *last_name(unsigned slot)
{
    const char *slash = strrchr(slot_names[slot], '/');

    return slash != NULL ? slash + 1 : slot_names[slot];
}

/* The slot below DIR with CHILD's last name; -1 */
static int child_like(unsigned dir, unsigned child)
{
    for (unsigned s = 0; s < N_SLOTS; s++)
        if (parent_slots[s] == (int)dir && strcmp(last_name(s), last_name(child)) == 0)
            return (int)s;
    return -1;
}

static bool is_below(unsigned slot, unsigned dir)
{
    for (int s = parent_slots[slot]; s >= 0; s = parent_slots[s])
        if (s == (int)dir)
            return true;
    return false;
}

static bool has_children(const struct process *p, unsigned slot)
{
    for (unsigned s = 0; s < N_SLOTS; s++)
        if (parent_slots[s] == (int)slot && slot_exists(p, s))
            return true;
    return false;
}

/* Whether the model has slots for all that is below FROM when it comes below TO. */
static bool has_slots(const struct process *p, unsigned from, unsigned to)
{
    for (unsigned s = 0; s < N_SLOTS; s++)
        if (parent_slots[s] == (int)from && slot_exists(p, s)) {
            int there = child_like(to, s);

            if (there < 0 || !has_slots(p, s, (unsigned)there))
                return false;
        }
    return true;
}

static void clear_slots(struct process *p, unsigned slot)
{
    p->slots[slot] = -1;
    for (unsigned s = 0; s < N_SLOTS; s++)
        if (parent_slots[s] == (int)slot)
            clear_slots(p, s);
}

/* What was in and below FROM, is in and below TO. */
static void place_slots(struct process *p, const int *was, unsigned from, unsigned to)
{
    p->slots[to] = was[from];
    for (unsigned s = 0; s < N_SLOTS; s++)
        if (parent_slots[s] == (int)from && was[s] >= 0)
            place_slots(p, was, s, (unsigned)child_like(to, s));
}

/* ---- on the host ---- */

static struct inode *open_slot(struct process *p, unsigned slot);

static struct inode *dir_of(struct process *p, unsigned slot)
{
    if (parent_slots[slot] >= 0)
        return open_slot(p, (unsigned)parent_slots[slot]);
    inode_hold(p->dir);
    return p->dir;
}

static struct inode *open_slot(struct process *p, unsigned slot)
{
    struct inode *dir = dir_of(p, slot), *inode = host_lookup(dir, last_name(slot));

    inode_put(dir);
    if (IS_ERR(inode))
        panic("%s/%s is not there: %ld", p->dir_name, slot_names[slot], PTR_ERR(inode));
    return inode;
}

static void expect(const char *what, long result)
{
    if (result != 0)
        panic("%s: %ld", what, result);
}

/* INODE, or an error, is what WHAT made. */
static void expect_inode(const char *what, struct inode *inode)
{
    if (IS_ERR(inode))
        panic("%s: %ld", what, PTR_ERR(inode));
    inode_put(inode);
}

/* ---- operations ---- */

/* An operation is over; it changed O (NULL: nothing that is left). */
static void done(struct process *p, struct thing *o)
{
    p->snapshots[p->n_snapshots - 1].ended = end_time(p);
    if (o != NULL)
        o->last_snapshot = p->n_snapshots - 1;
}

/* ... and the name in SLOT: its directory's data. */
static void done_in(struct process *p, unsigned slot, struct thing *o)
{
    done(p, o);
    parent_of(p, slot)->last_snapshot = p->n_snapshots - 1;
}

static void op_create(struct process *p, unsigned slot)
{
    struct inode *dir;
    struct thing *o;

    if (is_for_dirs(slot) || !is_free(p, slot))
        return;
    o = new_object(p, slot, 'f');
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "create %s\n", slot_names[slot]);
    } else {
        dir = dir_of(p, slot);
        expect_inode("create", host_create(dir, last_name(slot), 0644));
        inode_put(dir);
    }
    done_in(p, slot, o);
}

static void op_mkdir(struct process *p, unsigned slot)
{
    struct inode *dir;

    if (!is_free(p, slot))
        return;
    new_object(p, slot, 'd');
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "mkdir %s\n", slot_names[slot]);
    } else {
        dir = dir_of(p, slot);
        expect_inode("mkdir", host_mkdir(dir, last_name(slot)));
        inode_put(dir);
    }
    done_in(p, slot, object_at(p, slot));
}

static void op_rmdir(struct process *p, unsigned slot)
{
    struct inode *dir;

    if (!has_parent(p, slot) || !slot_is(p, slot, 'd') || has_children(p, slot))
        return;
    p->slots[slot] = -1;
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "rmdir %s\n", slot_names[slot]);
    } else {
        dir = dir_of(p, slot);
        expect("rmdir", host_rmdir(dir, last_name(slot)));
        inode_put(dir);
    }
    done_in(p, slot, NULL);
}

static void op_symlink(struct process *p, unsigned slot)
{
    struct inode *dir;
    struct thing *o;

    if (is_for_dirs(slot) || !is_free(p, slot))
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
        dir = dir_of(p, slot);
        expect_inode("symlink", host_symlink(dir, last_name(slot), o->target));
        inode_put(dir);
    }
    done_in(p, slot, o);
}

/* STAYS_OPEN: until op_release, which the file's blocks wait for. */
static void op_unlink_open(struct process *p, unsigned slot, bool stays_open)
{
    struct inode *dir;
    struct thing *o;

    if (!has_parent(p, slot) || !slot_exists(p, slot) || slot_is(p, slot, 'd'))
        return;
    o = object_at(p, slot);
    stays_open &= o->type == 'f' && o->nlink == 1 && p->held < 0;
    o->nlink--;
    if (stays_open)
        p->held = p->slots[slot];
    if (stays_open && script == NULL)
        p->held_inode = open_slot(p, slot);
    p->slots[slot] = -1;
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "%s %s\n", stays_open ? "unlinkopen" : "unlink", slot_names[slot]);
    } else {
        dir = dir_of(p, slot);
        expect("unlink", host_unlink(dir, last_name(slot)));
        inode_put(dir);
    }
    done_in(p, slot, o);
}

static void op_unlink(struct process *p, unsigned slot) { op_unlink_open(p, slot, false); }

static void op_link(struct process *p, unsigned from, unsigned to)
{
    struct inode *dir, *inode;
    struct thing *o;

    if (is_for_dirs(to) || !has_parent(p, from) || !is_free(p, to) || !slot_is(p, from, 'f'))
        return;
    o = object_at(p, from);
    o->nlink++;
    p->slots[to] = p->slots[from];
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "link %s %s\n", slot_names[from], slot_names[to]);
    } else {
        inode = open_slot(p, from);
        dir = dir_of(p, to);
        expect("link", host_link(dir, last_name(to), inode));
        inode_put(inode);
        inode_put(dir);
    }
    done_in(p, to, o);
}

/* rename(2) with its rules: directories only over empty ones, files only over files, nothing into itself. */
static bool can_rename(struct process *p, unsigned from, unsigned to)
{
    if (from == to || !has_parent(p, from) || !has_parent(p, to) || !slot_exists(p, from) || is_below(to, from))
        return false;
    if (!slot_is(p, from, 'd') && is_for_dirs(to) && !slot_exists(p, to))
        return false; /* it would be in the way of directories for ever */
    if (!slot_exists(p, to))
        return has_slots(p, from, to);
    return p->slots[from] != p->slots[to] && slot_is(p, from, 'd') == slot_is(p, to, 'd') && !has_children(p, to) &&
           !is_below(from, to) && has_slots(p, from, to);
}

static bool can_exchange(struct process *p, unsigned from, unsigned to)
{
    return from != to && has_parent(p, from) && has_parent(p, to) && slot_exists(p, from) && slot_exists(p, to) &&
           p->slots[from] != p->slots[to] && !is_below(from, to) && !is_below(to, from) && has_slots(p, from, to) &&
           has_slots(p, to, from);
}

static void rename_with(struct process *p, unsigned from, unsigned to, bool exchange)
{
    struct thing *o = object_at(p, from), *was = slot_exists(p, to) ? object_at(p, to) : NULL;
    struct thing *old_parent = parent_of(p, from), *new_parent = parent_of(p, to);
    struct inode *old_dir = NULL, *new_dir = NULL;
    int slots[N_SLOTS];

    if (script == NULL) { /* before the model has moved what is below */
        old_dir = dir_of(p, from);
        new_dir = dir_of(p, to);
    }
    if (was != NULL && !exchange)
        was->nlink--;
    memcpy(slots, p->slots, sizeof(slots));
    clear_slots(p, from);
    clear_slots(p, to);
    place_slots(p, slots, from, to);
    if (exchange)
        place_slots(p, slots, to, from);
    take_snapshot(p, start_time(p));
    if (script != NULL) {
        fprintf(script, "%s %s %s\n", exchange ? "exchange" : "rename", slot_names[from], slot_names[to]);
    } else {
        expect("rename", host_rename(old_dir, last_name(from), new_dir, last_name(to), exchange ? RENAME_EXCHANGE : 0));
        inode_put(old_dir);
        inode_put(new_dir);
    }
    done(p, o);
    old_parent->last_snapshot = new_parent->last_snapshot = p->n_snapshots - 1;
    if (was != NULL)
        was->last_snapshot = p->n_snapshots - 1;
}

static void op_rename(struct process *p, unsigned from, unsigned to)
{
    if (can_rename(p, from, to))
        rename_with(p, from, to, false);
}

static void op_exchange(struct process *p, unsigned from, unsigned to)
{
    if (can_exchange(p, from, to))
        rename_with(p, from, to, true);
}

/* ---- from one process to another ---- */

/* P gets what GIVER had as OLD: the same contents and promises. */
static struct thing *take_object(struct process *p, unsigned slot, struct process *giver, int old, u64 started)
{
    const struct thing *from = &giver->objects[old];
    struct thing *o = new_object(p, slot, from->type);
    struct version *versions = o->versions;
    unsigned known = n_promises;

    *o = *from;
    o->versions = versions;
    giver->objects[old].heir = o;
    for (unsigned v = 0; v < from->n_versions; v++) {
        versions[v] = from->versions[v];
        versions[v].started = started;
        if (versions[v].data != NULL)
            versions[v].data = memcpy(malloc(MAX_FILE), from->versions[v].data, MAX_FILE);
    }
    for (unsigned i = 0; i < known; i++)
        if (promises[i].process == giver->number && promises[i].object == old) {
            promise(promises[i].from, p->number, 0, p->slots[slot], promises[i].version);
            promises[n_promises - 1].at = promises[i].at;
            promises[n_promises - 1].end = promises[i].end;
        }
    return o;
}

/* P renames a file of GIVER's directory into its own: an operation of both. */
static void op_take(struct process *p, struct process *giver, unsigned from, unsigned to)
{
    struct inode *old_dir, *new_dir;
    struct thing *o;
    int old;
    u64 started;

    if (script != NULL || giver == p || giver->is_busy || giver->is_taken || giver->dir == NULL || is_for_dirs(to) ||
        !is_free(p, to) || !has_parent(giver, from) || !slot_is(giver, from, 'f') ||
        object_at(giver, from)->nlink > 1 || n_handovers == ARRAY_SIZE(handovers))
        return;
    giver->is_taken = true;
    started = start_time(p);
    old = giver->slots[from];
    o = take_object(p, to, giver, old, started);
    old_dir = dir_of(giver, from);
    new_dir = dir_of(p, to);
    giver->slots[from] = -1;
    take_snapshot(giver, started);
    take_snapshot(p, started);
    handovers[n_handovers++] = (struct handover){giver->number, p->number, giver->n_snapshots - 1, p->n_snapshots - 1};
    expect("rename", host_rename(old_dir, last_name(from), new_dir, last_name(to), 0));
    inode_put(old_dir);
    inode_put(new_dir);
    done_in(p, to, o);
    giver->snapshots[giver->n_snapshots - 1].ended = p->snapshots[p->n_snapshots - 1].ended;
    parent_of(giver, from)->last_snapshot = giver->n_snapshots - 1;
    giver->is_taken = false;
}
