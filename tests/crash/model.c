/*
 * What programs did, and what a crash may leave of it. Part of crash.c.
 *
 * Each process works in a directory of its own. After each operation (for write(2), after each page of it) it appends a
 * snapshot of all names, sizes, links and targets below; each file keeps every content that it ever had. A promise says
 * which snapshot of which process, and which content of which file, has to survive from some time on.
 *
 * What is demanded of bytes depends on the mode (docs/journal.md): ordered: each is one that the file held there since
 * it was last durable. journal: together they are the content at the moment of the snapshot. writeback: as ordered, but
 * for bytes that have been past the end or in a hole since then.
 */
#define N_PROCESSES 3
#define N_SLOTS 13
#define N_ATTRIBUTES 3
#define MAX_FILE 24000
#define MAX_SNAPSHOTS 4000
#define MAX_OBJECTS 2000
#define MAX_VERSIONS 400

static enum { DATA_ORDERED, DATA_WRITEBACK, DATA_JOURNAL } data_mode;

/* The names that a process uses; directories are as a rule in those that have others below them. */
static const char *const slot_names[N_SLOTS] = {"a", "b",   "c",   "l",   "d",     "d/a",  "d/b",
                                                "e", "e/a", "e/b", "e/d", "e/d/a", "e/d/b"};
static const int parent_slots[N_SLOTS] = {-1, -1, -1, -1, -1, 4, 4, -1, 7, 7, 7, 10, 10};
enum { SLOT_D = 4, SLOT_E = 7, SLOT_E_D = 10 };
static const char *const attribute_names[N_ATTRIBUTES] = {"user.first", "user.second", "trusted.third"};
#define TEXT_SIZE 8000 /* of all names with what they are */

struct version {
    u64 started;
    u32 size;
    bool mapped; /* by stores, which count one by one */
    u8 *data;
};

struct thing {
    char type;                     /* f, d, l */
    unsigned nlink, last_snapshot; /* ... that an operation on it made */
    u32 size;
    char target[PATH_MAX];
    struct attribute {
        u32 size; /* 0: it is not there */
        u8 fill;  /* each byte of its value */
    } attributes[N_ATTRIBUTES];
    struct version *versions; /* files: [0] is empty */
    unsigned n_versions;
    const struct thing *heir; /* the same file, since another process renamed it into its own directory */
};

struct snapshot {
    u64 started; /* when the operation began that made it */
    u64 ended;   /* ... was over */
    char *text;
    int objects[N_SLOTS];
    unsigned versions[N_SLOTS]; /* of those */
};

struct process {
    unsigned number;
    unsigned random, stamp; /* what it does next */
    unsigned n_operations;
    const u64 *marks; /* recorded: when the first of them began, and when each was over; NEVER at the end */
    char dir_name[16];
    struct inode *dir;
    int slots[N_SLOTS]; /* objects; -1 none */
    struct snapshot snapshots[MAX_SNAPSHOTS];
    unsigned n_snapshots;
    struct thing objects[MAX_OBJECTS];
    unsigned n_objects;
    struct thing top; /* its directory */
    int held;         /* an object without a name that is open; -1 none */
    struct inode *held_inode;
    bool is_busy;  /* in an operation */
    bool is_taken; /* another one renames what is in its directory */
};

/* GIVER's file became TAKER's by a rename: after those of their snapshots. */
struct handover {
    unsigned giver, taker, given, taken;
};

struct promise {
    u64 from; /* time */
    unsigned process, snapshot;
    int object; /* -1: none */
    unsigned version;
    u32 at, end; /* bytes that it is about */
};

static struct process processes[N_PROCESSES];
static struct promise *promises;
static unsigned n_promises, room_for_promises;
static struct handover handovers[MAX_SNAPSHOTS];
static unsigned n_handovers;

static void reset_model(void)
{
    for (unsigned p = 0; p < N_PROCESSES; p++) {
        struct process *process = &processes[p];

        for (unsigned i = 0; i < process->n_snapshots; i++)
            free(process->snapshots[i].text);
        for (unsigned i = 0; i < process->n_objects; i++) {
            for (unsigned v = 0; v < process->objects[i].n_versions; v++)
                free(process->objects[i].versions[v].data);
            free(process->objects[i].versions);
        }
        memset(process, 0, sizeof(*process));
        process->number = p;
        process->random = fiber_random() | 1;
        snprintf(process->dir_name, sizeof(process->dir_name), "p%u", p);
        for (unsigned s = 0; s < N_SLOTS; s++)
            process->slots[s] = -1;
        process->held = -1;
    }
    n_promises = n_handovers = 0;
}

static void append_line(char *text, size_t room, const char *name, const struct thing *o)
{
    size_t used = strlen(text);

    used += (size_t)snprintf(text + used, room - used, "%s %c %u %u %s", name, o->type, o->nlink,
                             o->type == 'd' ? 0 : o->size, o->type == 'l' ? o->target : "");
    for (unsigned i = 0; i < N_ATTRIBUTES; i++)
        if (o->attributes[i].size > 0)
            used += (size_t)snprintf(text + used, room - used, " %u:%u*%u", i, o->attributes[i].fill,
                                     o->attributes[i].size);
    snprintf(text + used, room - used, ";");
}

/* A directory has a link for each one in it. */
static unsigned links_of_dir(const struct process *p, unsigned slot)
{
    unsigned n = 2;

    for (unsigned s = 0; s < N_SLOTS; s++)
        n += parent_slots[s] == (int)slot && p->slots[s] >= 0 && p->objects[p->slots[s]].type == 'd';
    return n;
}

static void take_snapshot(struct process *p, u64 started)
{
    struct snapshot *s = &p->snapshots[p->n_snapshots];
    char text[TEXT_SIZE] = "";

    if (p->n_snapshots == MAX_SNAPSHOTS)
        panic("too many snapshots");
    for (unsigned i = 0; i < N_SLOTS; i++) {
        struct thing *o;

        if (p->slots[i] < 0)
            continue;
        o = &p->objects[p->slots[i]];
        if (o->type == 'd')
            o->nlink = links_of_dir(p, i);
        append_line(text, sizeof(text), slot_names[i], o);
    }
    s->started = started;
    s->ended = NEVER;
    s->text = strdup(text);
    memcpy(s->objects, p->slots, sizeof(s->objects));
    for (unsigned i = 0; i < N_SLOTS; i++)
        if (p->slots[i] >= 0 && p->objects[p->slots[i]].n_versions > 0)
            s->versions[i] = p->objects[p->slots[i]].n_versions - 1;
    p->n_snapshots++;
}

static struct thing *new_object(struct process *p, unsigned slot, char type)
{
    struct thing *o = &p->objects[p->n_objects];

    if (p->n_objects == MAX_OBJECTS)
        panic("too many objects");
    p->slots[slot] = (int)p->n_objects++;
    *o = (struct thing){.type = type, .nlink = type == 'd' ? 2 : 1};
    if (type == 'f') {
        o->versions = calloc(MAX_VERSIONS, sizeof(*o->versions));
        o->n_versions = 1;
        o->versions[0].started = now;
    }
    return o;
}

/* The file's content changes: a copy of the last one to be changed. */
static struct version *new_version(struct thing *o, u64 started, u32 size)
{
    struct version *last = &o->versions[o->n_versions - 1], *v = last + 1;

    if (o->n_versions == MAX_VERSIONS)
        panic("too many versions");
    o->n_versions++;
    v->started = started;
    v->size = size;
    v->data = calloc(1, MAX_FILE);
    if (last->data != NULL)
        memcpy(v->data, last->data, last->size);
    if (last->data != NULL && last->size > size)
        memset(v->data + size, 0, MAX_FILE - size);
    o->size = size;
    return v;
}

static void promise(u64 from, unsigned process, unsigned snapshot, int object, unsigned version)
{
    if (n_promises == room_for_promises) {
        room_for_promises = room_for_promises * 2 + 64;
        promises = realloc(promises, room_for_promises * sizeof(*promises));
    }
    promises[n_promises++] = (struct promise){from, process, snapshot, object, version, 0, MAX_FILE};
}

/* The last promise, of an O_SYNC or O_DSYNC write, was about bytes [at, end). With data=journal all that was written
 * before is in the same transaction, or an earlier one. */
static void promise_only(u32 at, u32 end)
{
    if (data_mode == DATA_JOURNAL)
        return;
    promises[n_promises - 1].at = at;
    promises[n_promises - 1].end = end;
}

static bool is_about(const struct promise *promise, const struct process *p, int object, u64 t)
{
    return promise->from <= t && promise->process == p->number && promise->object == object;
}

/* The versions of OBJECT that promises until T make the first ones for each byte. */
static void find_first_versions(const struct process *p, int object, u64 t, u16 *first)
{
    u16 whole = 0;

    for (unsigned i = 0; i < n_promises; i++)
        if (is_about(&promises[i], p, object, t) && promises[i].end - promises[i].at == MAX_FILE)
            whole = MAX(whole, (u16)promises[i].version);
    for (u32 at = 0; at < MAX_FILE; at++)
        first[at] = whole;
    for (unsigned i = 0; i < n_promises; i++)
        if (is_about(&promises[i], p, object, t) && promises[i].end - promises[i].at < MAX_FILE)
            for (u32 at = promises[i].at; at < promises[i].end; at++)
                first[at] = MAX(first[at], (u16)promises[i].version);
}

/* ---- checking ---- */

static char complaint[2000];

static bool complain(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(complaint, sizeof(complaint), fmt, args);
    va_end(args);
    return false;
}

/* The attributes of INODE, of which each byte is to be the same. */
static void describe_attributes(struct inode *inode, struct thing *o)
{
    u8 value[1000];

    for (unsigned i = 0; i < N_ATTRIBUTES; i++) {
        ssize_t n = inode->ops->getxattr(inode, attribute_names[i], value, sizeof(value));

        if (n <= 0)
            continue;
        o->attributes[i] = (struct attribute){.size = (u32)n, .fill = value[0]};
        for (ssize_t at = 1; at < n; at++)
            if (value[at] != value[0])
                o->attributes[i].size = 9999;
    }
}

/* What is in P's directory now. */
static void describe(struct super *fs, struct process *p, char *text, size_t room)
{
    text[0] = '\0';
    for (unsigned i = 0; i < N_SLOTS; i++) {
        char path[64];
        struct thing o = {0};
        struct inode *inode;

        snprintf(path, sizeof(path), "%s/%s", p->dir_name, slot_names[i]);
        inode = host_path(fs, path);
        if (IS_ERR(inode)) {
            if (PTR_ERR(inode) != -ENOENT && PTR_ERR(inode) != -ENOTDIR)
                snprintf(text + strlen(text), room - strlen(text), "%s ERROR %ld;", slot_names[i], PTR_ERR(inode));
            continue;
        }
        o.type = S_ISDIR(inode->mode) ? 'd' : S_ISLNK(inode->mode) ? 'l' : 'f';
        o.nlink = inode->nlink;
        o.size = (u32)inode_size(inode);
        if (o.type != 'l')
            describe_attributes(inode, &o);
        if (o.type == 'l') {
            char target[PATH_MAX];

            inode->ops->read_link(inode, target, sizeof(target));
            snprintf(o.target, sizeof(o.target), "%s", target);
        }
        append_line(text, room, slot_names[i], &o);
        inode_put(inode);
    }
}

/* In one of these versions there was nothing at AT, so its block may be one that was not written yet. */
static bool may_be_stale(const struct thing *o, unsigned first, unsigned last, u32 at)
{
    for (unsigned v = first; v <= last; v++)
        if (at >= o->versions[v].size || o->versions[v].data[at] == 0)
            return data_mode == DATA_WRITEBACK;
    return false;
}

/* Whether the processes that took the file over wrote BYTE at AT until T: that may be there although the rename is
 * lost.
 */
static bool was_written_later(const struct thing *o, u32 at, u8 byte, u64 t)
{
    for (o = o->heir; o != NULL && data_mode != DATA_JOURNAL; o = o->heir)
        for (unsigned v = 0; v < o->n_versions; v++)
            if (o->versions[v].started <= t && at < o->versions[v].size && o->versions[v].data[at] == byte)
                return true;
    return false;
}

static bool is_same(const struct thing *o, unsigned a, unsigned b)
{
    const struct version *x = &o->versions[a], *y = &o->versions[b];

    return x->size == y->size && (x->size == 0 || memcmp(x->data, y->data, x->size) == 0);
}

/* The bytes of the file in SLOT, as of SNAPSHOT, are what the mode demands. */
static bool check_bytes(struct super *fs, struct process *p, unsigned slot, const struct snapshot *snapshot, u64 t)
{
    static u8 found[MAX_FILE];
    static u16 first_of[MAX_FILE];
    int object = snapshot->objects[slot];
    struct thing *o = &p->objects[object];
    unsigned first = 0, last = 0;
    bool has_size = false;
    char path[64];
    struct inode *inode;
    ssize_t n;

    for (unsigned i = 0; i < n_promises; i++)
        if (is_about(&promises[i], p, object, t))
            first = MAX(first, promises[i].version);
    while (last + 1 < o->n_versions && o->versions[last + 1].started <= t)
        last++;
    if (data_mode == DATA_JOURNAL) {
        if (snapshot->versions[slot] < first && !is_same(o, snapshot->versions[slot], first))
            return complain("%s/%s: version %u was promised", p->dir_name, slot_names[slot], first);
        for (first = snapshot->versions[slot]; first < last && o->versions[first + 1].mapped;)
            first++; /* stores of the next operation may be in it */
        last = first;
        first = snapshot->versions[slot];
    }
    snprintf(path, sizeof(path), "%s/%s", p->dir_name, slot_names[slot]);
    inode = host_path(fs, path);
    n = host_read(inode, 0, found, sizeof(found));
    if (n != (ssize_t)inode_size(inode))
        return complain("%s: reading gives %ld of %lu", path, (long)n, (unsigned long)inode_size(inode));
    inode_put(inode);
    for (unsigned v = first; v <= last; v++)
        has_size |= o->versions[v].size == (u32)n;
    if (!has_size)
        return complain("%s: its size is %ld, which it never was in versions %u to %u", path, (long)n, first, last);
    if (data_mode != DATA_JOURNAL)
        find_first_versions(p, object, t, first_of);
    for (ssize_t at = 0; at < n; at++) {
        bool allowed;

        if (data_mode != DATA_JOURNAL)
            first = first_of[at];
        allowed = may_be_stale(o, first, last, (u32)at);

        for (unsigned v = first; v <= last && !allowed; v++)
            allowed = (u32)at < o->versions[v].size && o->versions[v].data[at] == found[at];
        allowed = allowed || was_written_later(o, (u32)at, found[at], t);
        for (unsigned v = 0; v < o->n_versions && !allowed && getenv("VERSIONS") != NULL; v++)
            printf("# version %u: size %u from %lu, byte 0x%02x\n", v, o->versions[v].size,
                   (unsigned long)o->versions[v].started, o->versions[v].data ? o->versions[v].data[at] : 0);
        if (!allowed)
            return complain("%s: byte %ld of %ld is 0x%02x, which it never was in versions %u to %u (now 0x%02x)", path,
                            (long)at, (long)n, found[at], first, last,
                            o->versions[last].data != NULL ? o->versions[last].data[at] : 0);
    }
    return true;
}

/* Whether P's directory is as after one of the snapshots that the promises allow: *FIRST and *LAST of those. */
static bool check_process(struct super *fs, struct process *p, u64 t, unsigned *first, unsigned *last)
{
    char text[TEXT_SIZE];
    unsigned least = 0, match = UINT32_MAX;
    const char *which = "";

    describe(fs, p, text, sizeof(text));
    for (unsigned i = 0; i < n_promises; i++)
        if (promises[i].from <= t && promises[i].process == p->number)
            least = MAX(least, promises[i].snapshot);
    *first = UINT32_MAX;
    for (unsigned k = least; k < p->n_snapshots && p->snapshots[k].started <= t; k++) {
        bool good = true;

        if (strcmp(p->snapshots[k].text, text) != 0)
            continue;
        match = k;
        for (unsigned s = 0; s < N_SLOTS && good; s++)
            if (p->snapshots[k].objects[s] >= 0 && p->objects[p->snapshots[k].objects[s]].type == 'f')
                good = check_bytes(fs, p, s, &p->snapshots[k], t);
        if (!good)
            continue;
        *first = MIN(*first, k);
        *last = k;
    }
    if (*first != UINT32_MAX)
        return true;
    if (match != UINT32_MAX)
        return false; /* check_bytes has complained */
    for (unsigned k = 0; k < p->n_snapshots; k++)
        if (strcmp(p->snapshots[k].text, text) == 0)
            which = k < least ? " (an older one than promised)" : " (one to come)";
    return complain("%s: [%s] is none of snapshots %u on%s; promised is [%s]", p->dir_name, text, least, which,
                    p->snapshots[least].text);
}

/* No process kept an operation that began when one of another's was over that is lost. */
static bool check_order(const unsigned *first, const unsigned *last)
{
    for (unsigned p = 0; p < N_PROCESSES; p++)
        for (unsigned q = 0; q < N_PROCESSES; q++) {
            const struct snapshot *kept = &processes[p].snapshots[first[p]];
            const struct snapshot *lost = &processes[q].snapshots[last[q] + 1];

            if (last[q] + 1 < processes[q].n_snapshots && lost->ended < kept->started && first[p] > 0)
                return complain("p%u kept operation %u, p%u lost the earlier %u", p, first[p], q, last[q] + 1);
        }
    return true;
}

/* A file that went from one process to another is with one of them. */
static bool check_handovers(const unsigned *first, const unsigned *last)
{
    for (unsigned i = 0; i < n_handovers; i++) {
        const struct handover *h = &handovers[i];
        bool both = last[h->giver] >= h->given && last[h->taker] >= h->taken;
        bool neither = first[h->giver] < h->given && first[h->taker] < h->taken;

        if (!both && !neither)
            return complain("a rename from p%u to p%u is half done", h->giver, h->taker);
    }
    return true;
}
