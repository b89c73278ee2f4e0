/*
 * Runs that were recorded: a guest did what a script said, on a disk whose writes and flushes QEMU's blklogwrites wrote
 * down in the format of Linux's dm-log-writes:
 *
 *     super block | entry | its data | entry | its data | ...        all in sectors of 512 bytes
 *
 * Behind the file system the guest has a page for each process, where it writes how many operations are over: so the
 * log tells what had returned before what was written. Part of crash.c.
 */
#define LOG_MAGIC 0x6a736677736872ull
#define LOG_FLUSH 1
#define LOG_FUA 2
#define LOG_DISCARD 4

struct log_entry_on_disk {
    u64 sector, n_sectors, flags, length;
};

static u64 recorded_marks[N_PROCESSES][MAX_SNAPSHOTS];

static u8 *read_whole(const char *path, u64 *size)
{
    unsigned long n = 0;
    int fd = disk_open(path, &n);
    u8 *data;

    if (fd < 0)
        panic("%s cannot be read", path);
    data = malloc(n);
    disk_read(fd, data, n, 0);
    disk_close(fd);
    *size = n;
    return data;
}

/* Pages of marks from OFFSET behind the file system on. Each number counts when it is first seen. */
static void note_marks(u64 offset, const u8 *data, u32 length)
{
    for (u32 at = 0; at < length; at += PAGE_SIZE) {
        u64 page = (offset + at) / PAGE_SIZE;
        u32 count;

        memcpy(&count, data + at, sizeof(count));
        if (page < N_PROCESSES && count < MAX_SNAPSHOTS)
            recorded_marks[page][count] = MIN(recorded_marks[page][count], now);
    }
}

/* How many operations of the first process were over at T. */
static unsigned marked_by(u64 t)
{
    unsigned n = 0;

    for (unsigned k = 1; k < MAX_SNAPSHOTS; k++)
        if (recorded_marks[0][k] <= t)
            n = k;
    return n;
}

static void note_write(u64 sector, const u8 *data, u32 length)
{
    struct written *w;

    if (sector * SECTOR_SIZE >= image_size) {
        note_marks(sector * SECTOR_SIZE - image_size, data, length);
        return;
    }
    if (n_writes == room_for_writes) {
        room_for_writes = room_for_writes * 2 + 256;
        writes = realloc(writes, room_for_writes * sizeof(*writes));
    }
    w = &writes[n_writes++];
    *w = (struct written){.sector = sector, .length = length, .submitted = now, .completed = now, .durable = NEVER};
    w->at_submit = malloc(length);
    memcpy(w->at_submit, data, length);
}

/* Each entry is a moment. */
static void read_log(const char *path)
{
    u64 size, at = SECTOR_SIZE, magic, n_entries;
    u8 *log = read_whole(path, &size);

    memcpy(&magic, log, sizeof(magic));
    memcpy(&n_entries, log + 16, sizeof(n_entries));
    if (magic != LOG_MAGIC)
        panic("%s is no log of writes", path);
    for (u64 i = 0; i < n_entries && at + SECTOR_SIZE <= size; i++) {
        struct log_entry_on_disk e;

        memcpy(&e, log + at, sizeof(e));
        at += SECTOR_SIZE;
        now++;
        if (e.flags & LOG_FLUSH) {
            flush_done(now - 1);
            if (n_flush_times < ARRAY_SIZE(flush_times))
                flush_times[n_flush_times++] = now;
        }
        if (e.n_sectors == 0 || (e.flags & LOG_DISCARD))
            continue;
        note_write(e.sector, log + at, (u32)e.n_sectors * SECTOR_SIZE);
        if ((e.flags & LOG_FUA) && n_writes > 0)
            writes[n_writes - 1].durable = now;
        at += e.n_sectors * SECTOR_SIZE;
    }
    free(log);
}

/* The same random choices for the script, for the guest that performs it, and for the check. */
static void prepare_processes(unsigned seed)
{
    fiber_seed(seed);
    reset_model();
    for (unsigned p = 0; p < N_PROCESSES; p++) {
        take_snapshot(&processes[p], 0);
        processes[p].snapshots[0].ended = 0;
    }
}

static bool is_full(const struct process *p)
{
    return p->n_snapshots + 20 >= MAX_SNAPSHOTS || p->n_objects + 4 >= MAX_OBJECTS;
}

static void write_scripts(unsigned seed, unsigned operations, const char *to)
{
    static const u64 no_marks[MAX_SNAPSHOTS];

    prepare_processes(seed);
    for (unsigned i = 0; i < N_PROCESSES; i++) {
        char path[200];

        snprintf(path, sizeof(path), "%s/p%u", to, i);
        script = fopen(path, "w");
        if (script == NULL)
            panic("%s cannot be written", path);
        processes[i].marks = no_marks;
        while (processes[i].n_operations < operations && !is_full(&processes[i]))
            next_operation(&processes[i]);
        fclose(script);
    }
}

/* What the processes did, in the order in which it was over. The last operation of each may not have been. */
static void replay_scripts(unsigned seed, unsigned operations)
{
    prepare_processes(seed);
    script = fopen("/dev/null", "w");
    for (unsigned i = 0; i < N_PROCESSES; i++)
        processes[i].marks = recorded_marks[i];
    for (;;) {
        struct process *first = NULL;
        u64 first_end = 0;

        for (unsigned i = 0; i < N_PROCESSES; i++) {
            struct process *p = &processes[i];
            u64 end = p->n_operations < operations ? recorded_marks[i][p->n_operations + 1] : 0;
            bool begun = p->n_operations == 0 || recorded_marks[i][p->n_operations] != NEVER;

            if (p->n_operations < operations && !is_full(p) && begun && (first == NULL || end < first_end)) {
                first = p;
                first_end = end;
            }
        }
        if (first == NULL)
            break;
        next_operation(first);
    }
    fclose(script);
    script = NULL;
}

/* Writes the dirty state at T to FOLDER/stateN, and what its recovery must show to FOLDER/treeN. */
static void save_for_boot(const char *to, unsigned number, u64 t, enum survival survival)
{
    u8 *work = malloc(image_size);
    char path[200], text[TEXT_SIZE];
    FILE *tree;
    int error;

    memcpy(work, state_image, image_size);
    make_state(work, t, survival);
    snprintf(path, sizeof(path), "%s/state%u", to, number);
    save_state(work, path);
    snprintf(path, sizeof(path), "%s/tree%u", to, number);
    tree = fopen(path, "w");
    super = mount_memory(work, &error);
    if (super == NULL || tree == NULL)
        panic("state %u cannot be told", number);
    for (unsigned p = 0; p < N_PROCESSES; p++)
        for (unsigned s = 0; s < N_SLOTS; s++) {
            static u8 bytes[MAX_FILE];
            struct inode *inode;
            u32 sum = 1, n = 0;

            snprintf(text, sizeof(text), "p%u/%s", p, slot_names[s]);
            inode = host_path(super, text);
            if (IS_ERR(inode))
                continue;
            if (S_ISREG(inode->mode))
                n = (u32)host_read(inode, 0, bytes, sizeof(bytes));
            else if (S_ISLNK(inode->mode))
                n = (u32)inode->ops->read_link(inode, (char *)bytes, sizeof(bytes));
            for (u32 i = 0; i < n; i++)
                sum = sum * 31 + bytes[i];
            for (unsigned k = 0; k < N_ATTRIBUTES && !S_ISLNK(inode->mode); k++) {
                ssize_t length = inode->ops->getxattr(inode, attribute_names[k], bytes, sizeof(bytes));

                for (ssize_t i = 0; i < length; i++)
                    sum = sum * 31 + bytes[i];
            }
            fprintf(tree, "%s %c %u %u %08x\n", text,
                    S_ISDIR(inode->mode)   ? 'd'
                    : S_ISLNK(inode->mode) ? 'l'
                                           : 'f',
                    inode->nlink, n, sum);
            inode_put(inode);
        }
    host_unmount(super);
    fclose(tree);
    free(work);
}

static void recorded_run(const char *image, const char *log, unsigned seed, unsigned operations)
{
    char label[100];
    u64 size;
    u8 *bytes = read_whole(image, &size);

    for (unsigned i = 0; i < N_PROCESSES; i++)
        for (unsigned k = 1; k < MAX_SNAPSHOTS; k++)
            recorded_marks[i][k] = NEVER;
    image_size = size - N_PROCESSES * PAGE_SIZE;
    if (image_size > MAX_IMAGE)
        panic("%s is too large", image);
    memcpy(state_image, bytes, image_size);
    free(bytes);
    forget_record();
    read_log(log);
    if (options.each == NULL)
        replay_scripts(seed, operations);
    else
        fiber_seed(seed);
    snprintf(label, sizeof(label), "recorded, seed %u", seed);
    if (options.each != NULL)
        printf("# %s: %u writes, %lu flushes, %u operations\n", label, n_writes, (unsigned long)n_flushes,
               marked_by(now));
    else
        printf("# %s: %u writes, %lu flushes, %u %u %u operations, %u promises\n", label, n_writes,
               (unsigned long)n_flushes, processes[0].n_operations, processes[1].n_operations,
               processes[2].n_operations, n_promises);
    check_states(label);
    for (unsigned i = 0; i < options.saved; i++)
        save_for_boot(options.save_to, i, fiber_random() % (now + 1), fiber_random() % N_SURVIVALS);
}
