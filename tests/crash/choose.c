/* Which operation is next. Part of crash.c. */

static unsigned any_slot(struct process *p)
{
    unsigned slot;

    do
        slot = below(p, N_SLOTS);
    while (!has_parent(p, slot));
    return slot;
}

static unsigned any_dir(struct process *p)
{
    static const unsigned dirs[] = {SLOT_D, SLOT_E, SLOT_E_D};

    return dirs[below(p, ARRAY_SIZE(dirs))];
}

static void random_operation(struct process *p)
{
    /* Three of the largest fit into a block of 1 KiB; small ones into the inode. */
    static const u32 attribute_sizes[] = {0, 10, 50, 200, 290};
    static const u32 sizes[] = {1, 100, 511, 1024, 3000, 4096, 9000};
    unsigned slot = any_slot(p), other = any_slot(p);
    u32 n = sizes[below(p, ARRAY_SIZE(sizes))], size = slot_exists(p, slot) ? object_at(p, slot)->size : 0;

    switch (below(p, 36)) {
    case 0 ... 2:
        op_create(p, slot);
        break;
    case 3:
        op_mkdir(p, any_dir(p));
        break;
    case 4:
        op_rmdir(p, any_dir(p));
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
    case 29:
        op_rename(p, any_dir(p), any_dir(p));
        break;
    case 30:
        if (below(p, 2))
            op_exchange(p, slot, other);
        else
            op_exchange(p, any_dir(p), any_dir(p));
        break;
    case 31 ... 32:
        op_attribute(p, slot, below(p, N_ATTRIBUTES), attribute_sizes[below(p, ARRAY_SIZE(attribute_sizes))]);
        break;
    case 33:
        op_tmpfile(p, slot, n, below(p, 2));
        break;
    case 34:
        if (p->held < 0)
            op_unlink_open(p, slot, true);
        else
            op_held(p, below(p, 4), below(p, 9000), n);
        break;
    case 35:
        if (below(p, 2))
            op_fsync_top(p);
        else
            op_take(p, &processes[below(p, N_PROCESSES)], slot, other);
        break;
    }
}

/* One more operation of P. */
static void next_operation(struct process *p)
{
    unsigned n = p->n_operations;

    while (p->n_operations == n)
        random_operation(p);
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

/* ---- operations by name: the lines of known.txt ---- */

/* The slot that NAME is; -1 for ".", P's own directory. */
static int slot_of(const char *name)
{
    for (unsigned s = 0; s < N_SLOTS; s++)
        if (strcmp(slot_names[s], name) == 0)
            return (int)s;
    if (strcmp(name, ".") != 0)
        panic("no slot '%s'", name);
    return -1;
}

/* As the lines of a script (operations.c), without stamps: WHAT NAME [NAME] [AT] [COUNT]. */
static void perform_line(struct process *p, const char *line)
{
    char what[20] = "", a[20] = "", b[20] = "";
    u32 at = 0, n = 0, before = p->n_operations;
    unsigned slot, to;

    if (sscanf(line, "%19s %19s %19s", what, a, b) < 1 || strcmp(what, "sync") == 0)
        return op_sync(p);
    slot = (unsigned)slot_of(strcmp(a, "-") == 0 ? "." : a);
    sscanf(line, "%*s %*s %u %u", &at, &n);
    to = strchr("abcdel", b[0]) != NULL && b[0] != '\0' ? (unsigned)slot_of(b) : 0;
    if (strcmp(what, "create") == 0)
        op_create(p, slot);
    else if (strcmp(what, "mkdir") == 0)
        op_mkdir(p, slot);
    else if (strcmp(what, "rmdir") == 0)
        op_rmdir(p, slot);
    else if (strcmp(what, "symlink") == 0)
        op_symlink(p, slot);
    else if (strcmp(what, "unlink") == 0)
        op_unlink(p, slot);
    else if (strcmp(what, "unlinkopen") == 0)
        op_unlink_open(p, slot, true);
    else if (strcmp(what, "link") == 0)
        op_link(p, slot, to);
    else if (strcmp(what, "rename") == 0)
        op_rename(p, slot, to);
    else if (strcmp(what, "exchange") == 0)
        op_exchange(p, slot, to);
    else if (strcmp(what, "tmpfile") == 0 || strcmp(what, "tmpfilesync") == 0)
        op_tmpfile(p, slot, n, strcmp(what, "tmpfilesync") == 0);
    else if (strcmp(what, "write") == 0)
        op_write(p, slot, at, n);
    else if (strcmp(what, "append") == 0)
        op_write(p, slot, slot_exists(p, slot) ? object_at(p, slot)->size : 0, at);
    else if (strcmp(what, "dsync") == 0)
        op_write_in(p, slot, at, n, O_DSYNC_WRITE);
    else if (strcmp(what, "osync") == 0)
        op_write_in(p, slot, at, n, O_SYNC_WRITE);
    else if (strcmp(what, "msync") == 0)
        op_write_in(p, slot, at, n, MMAP_WRITE);
    else if (strcmp(what, "truncate") == 0)
        op_truncate(p, slot, at);
    else if (strcmp(what, "punch") == 0)
        op_punch(p, slot, at, n);
    else if (strcmp(what, "setxattr") == 0)
        op_attribute(p, slot, at, n);
    else if (strcmp(what, "removexattr") == 0)
        op_attribute(p, slot, at, 0);
    else if (strcmp(what, "chattr-j") == 0)
        op_journal_data(p, slot);
    else if (strcmp(what, "fsync") == 0 && strcmp(a, ".") == 0)
        op_fsync_top(p);
    else if (strcmp(what, "fsync") == 0 || strcmp(what, "fdatasync") == 0)
        op_fsync(p, slot, what[1] == 'd');
    else if (strncmp(what, "held", 4) == 0)
        op_held(p, what[4] == 'w' ? HELD_WRITE : what[4] == 't' ? HELD_TRUNCATE : HELD_FSYNC, at, n);
    else if (strcmp(what, "release") == 0)
        op_held(p, HELD_RELEASE, 0, 0);
    else
        panic("no operation '%s'", what);
    if (p->n_operations == before && (strcmp(what, "punch") != 0 || data_mode != DATA_WRITEBACK))
        panic("'%s' is not possible", line);
}
