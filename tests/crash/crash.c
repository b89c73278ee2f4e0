/*
 * Crashes on the host: the kernel's file system and journal, programs that run beside each other, a disk that completes
 * in any order and loses what no flush covers. After each cut: recovery by the same code, by e2fsck, and the promises
 * of docs/journal.md.
 *
 *   crash [--seed N] [--runs N] [--states N] [--fsck N] [--data MODE] [--fault NAME] [--small |
 *         --sequences N | --known FILE | --shrinking] [--verbose]
 *   crash --script FOLDER --seed N --operations N
 *   crash --recorded IMAGE LOG --seed N --operations N [--states N] [--fsck N] [--save N FOLDER]
 *   crash --recorded IMAGE LOG --each COMMAND [--seed N] [--states N]
 *
 * --states: cuts of one run; --fsck: every Nth state is also given to e2fsck; --small: all sequences of one or two
 * operations instead of long random runs; --sequences: N random ones of three, with fsync and its like between;
 * --known: the sequences of known.txt; --shrinking: files that grow and are cut, and nothing else; --data: journal,
 * ordered (as without it) or writeback; --fault: break the journal, and expect to be caught. --script: writes what the
 * processes of a guest shall do; --recorded: checks what QEMU recorded of it (recorded.c); --save: so many of its
 * states, and what they must show, for machines to boot with; --each: what was recorded is another program's, and
 * COMMAND IMAGE N is to say whether the N operations that were over then are in the recovered IMAGE.
 */
#include "tests/unit/ext3host/host.c"

#include "fs/journal/internal.h"

#include "tests/crash/record.c"

u64 host_now(void);
u64 host_now(void) { return now; }
#include "tests/crash/model.c"

static const u64 image_sizes[3] = {4 * MIB, 6 * MIB, 9 * MIB}; /* of 1, 2, 4 KiB blocks: with a journal of 1024 */
static u64 image_size;
#define MAX_IMAGE (24 * MIB)

static struct {
    unsigned seed, runs, states, fsck_every, sequences;
    bool small, shrinking, verbose;
    const char *fault;
    unsigned operations, saved;
    const char *script_to, *image, *log, *save_to, *each, *known;
} options = {.operations = 300, .seed = 1, .runs = 4, .states = 100, .fsck_every = 10};

static char folder[64];
static u8 *fresh_image[3], *start_image, *state_image;
static struct super *super;
static u64 states_checked, states_fscked, failures;

static int run(const char *fmt, ...) printf_like(1, 2);
static int run(const char *fmt, ...)
{
    char command[1000];
    va_list args;

    va_start(args, fmt);
    vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    return system(command);
}

/* ---- images in memory ---- */

/* The journal in IMAGE has checksums from now on. */
static void use_checksums(u8 *image, u64 size, u32 kind)
{
    for (u64 at = 0; at < size; at += 1024) {
        struct log_super *s = (struct log_super *)(image + at);

        if (s->header.magic != to_be32(JOURNAL_MAGIC) || s->header.type != to_be32(BLOCK_SUPER_V2))
            continue;
        s->incompat |= to_be32(kind);
        s->checksum_type = CHECKSUM_CRC32C;
        s->checksum = 0;
        journal_crc_init();
        s->checksum = to_be32(journal_crc32c(~0u, s, sizeof(*s)));
        return;
    }
    panic("no journal in the image");
}

static void make_images(void)
{
    for (unsigned i = 0; i < 3; i++) {
        char path[100];
        int fd;

        snprintf(path, sizeof(path), "%s/fresh", folder);
        run("rm -f %s; mke2fs -q -F -t ext3 -b %u -N 256 -J size=%u %s %luk >/dev/null 2>&1", path, 1024u << i, 1u << i,
            path, image_sizes[i] / 1024);
        fresh_image[i] = calloc(1, image_sizes[i]);
        fd = disk_open(path, NULL);
        if (fd < 0)
            panic("mke2fs failed");
        disk_read(fd, fresh_image[i], image_sizes[i], 0);
        disk_close(fd);
        if (i > 0)
            use_checksums(fresh_image[i], image_sizes[i], i == 1 ? LOG_INCOMPAT_CSUM_V2 : LOG_INCOMPAT_CSUM_V3);
    }
    start_image = malloc(MAX_IMAGE);
    state_image = malloc(MAX_IMAGE);
}

static struct super *mount_memory(u8 *data, int *error)
{
    memory_disk = data;
    memory_disk_size = image_size;
    disk = (struct block_device){.name = "test",
                                 .dev = 1,
                                 .sectors = image_size / SECTOR_SIZE,
                                 .write_cache = true,
                                 .max_segments = 16,
                                 .logical_block = SECTOR_SIZE,
                                 .submit = submit};
    return mount_open_disk(false, error);
}

#include "tests/crash/operations.c"
#include "tests/crash/contents.c"
#include "tests/crash/choose.c"

/* ---- a run ---- */

static unsigned steps_of_run;

static void live(void *arg)
{
    struct process *p = arg;

    for (unsigned i = 0; i < steps_of_run && p->n_snapshots + 20 < MAX_SNAPSHOTS && p->n_objects + 4 < MAX_OBJECTS;
         i++) {
        while (p->is_taken)
            give_way();
        if (options.shrinking)
            shrinking_operation(p);
        else
            next_operation(p);
        maybe_give_way();
    }
}

static void start_run(unsigned image)
{
    int error, fault = (int)journal_fault;

    image_size = image_sizes[image];
    memcpy(start_image, fresh_image[image], image_size);
    host_forget_messages();
    journal_fault = 0; /* it is not the start that is to be tested */
    super = mount_memory(start_image, &error);
    if (super == NULL)
        panic("the fresh image cannot be mounted: %d, %s", error, host_messages);
    ASSERT(ext3_of(super->root)->journal != NULL);
    reset_model();
    for (unsigned p = 0; p < N_PROCESSES; p++) {
        inode_put(host_mkdir(super->root, processes[p].dir_name));
        take_snapshot(&processes[p], 0);
        processes[p].snapshots[0].ended = 0;
    }
    host_unmount(super);
    journal_fault = (unsigned)fault;
    disk_is_async = true;
    super = mount_memory(start_image, &error);
    memcpy(state_image, start_image, image_size);
    for (unsigned p = 0; p < N_PROCESSES; p++)
        processes[p].dir = host_lookup(super->root, processes[p].dir_name);
    forget_record();
    observer = &recorder;
}

/* The power goes: nothing of what comes is recorded. */
static void end_run(void)
{
    observer = NULL;
    for (unsigned p = 0; p < N_PROCESSES; p++) {
        if (processes[p].held_inode != NULL)
            inode_put(processes[p].held_inode);
        inode_put(processes[p].dir);
    }
    host_unmount(super);
    while (fiber_alive() > 0)
        give_way();
    while (complete_one(0))
        ;
    disk_is_async = false;
}

static void save_state(const u8 *image, const char *path)
{
    int fd;

    run("head -c %lu /dev/zero >%s", (unsigned long)image_size, path);
    fd = disk_open(path, NULL);
    disk_write(fd, image, image_size, 0);
    disk_close(fd);
}

/* e2fsck recovers a copy; then it is clean, and its tree is ours. */
static bool fsck_agrees(const u8 *before, char texts[N_PROCESSES][TEXT_SIZE])
{
    static u8 *after;
    char text[TEXT_SIZE], path[100];
    int error, fd;
    bool same = true;

    states_fscked++;
    snprintf(path, sizeof(path), "%s/state", folder);
    save_state(before, path);
    /* -E journal_only leaves orphans, which -p deletes. */
    if (run("LC_ALL=C e2fsck -E journal_only -y %s/state >%s/fsck.log 2>&1; test $? -le 1 && LC_ALL=C e2fsck -p "
            "%s/state >>%s/fsck.log "
            "2>&1; test $? -le 1 && LC_ALL=C e2fsck -fn %s/state >>%s/fsck.log 2>&1",
            folder, folder, folder, folder, folder, folder) != 0) {
        run("sed 's/^/# /' %s/fsck.log | head -20", folder);
        return complain("e2fsck finds errors after its own recovery");
    }
    if (after == NULL)
        after = malloc(MAX_IMAGE);
    fd = disk_open(path, NULL);
    disk_read(fd, after, image_size, 0);
    disk_close(fd);
    super = mount_memory(after, &error);
    if (super == NULL)
        return complain("e2fsck's recovery cannot be mounted: %d", error);
    for (unsigned p = 0; p < N_PROCESSES && same; p++) {
        describe(super, &processes[p], text, sizeof(text));
        if (strcmp(text, texts[p]) != 0)
            same = complain("e2fsck's recovery differs from ours: [%s], ours [%s]", text, texts[p]);
    }
    host_unmount(super);
    return same;
}

static bool our_image_is_clean(const u8 *image)
{
    char path[100];

    snprintf(path, sizeof(path), "%s/ours", folder);
    save_state(image, path);
    if (run("LC_ALL=C e2fsck -fn %s/ours >%s/fsck.log 2>&1", folder, folder) == 0)
        return true;
    run("sed 's/^/# /' %s/fsck.log | head -20", folder);
    return complain("e2fsck finds errors after our recovery");
}

static unsigned marked_by(u64 t); /* recorded.c */

/* COMMAND IMAGE N: of a program that is not in the model. */
static bool another_finds_all(const u8 *image, u64 t)
{
    char path[100];

    snprintf(path, sizeof(path), "%s/ours", folder);
    save_state(image, path);
    if (run("%s %s/ours %u >%s/each.log 2>&1", options.each, folder, marked_by(t), folder) == 0)
        return true;
    run("sed 's/^/# /' %s/each.log | head -20", folder);
    return complain("%s finds that something is missing of %u", options.each, marked_by(t));
}

static bool check_state(u64 t, enum survival survival, bool with_fsck)
{
    static u8 *work;
    static char texts[N_PROCESSES][TEXT_SIZE];
    unsigned first[N_PROCESSES], last[N_PROCESSES];
    int error;
    bool good = true;

    if (work == NULL)
        work = malloc(MAX_IMAGE);
    memcpy(work, state_image, image_size);
    make_state(work, t, survival);
    states_checked++;
    if (options.verbose || with_fsck)
        memcpy(start_image, work, image_size);
    host_forget_messages();
    super = mount_memory(work, &error);
    if (super == NULL)
        return complain("not mounted: %d: %s", error, host_messages);
    if (options.each != NULL) {
        host_unmount(super);
        return another_finds_all(work, t);
    }
    for (unsigned p = 0; p < N_PROCESSES && good; p++) {
        good = check_process(super, &processes[p], t, &first[p], &last[p]);
        describe(super, &processes[p], texts[p], sizeof(texts[p]));
    }
    if (good)
        good = check_order(first, last) && check_handovers(first, last);
    host_unmount(super);
    if (good && strstr(host_messages, "e2fsck") != NULL)
        good = complain("the kernel complains: %s", host_messages);
    if (good && with_fsck)
        good = our_image_is_clean(work) && fsck_agrees(start_image, texts);
    return good;
}

static u64 flush_times[100000]; /* recorded runs: when the flushes were done */
static unsigned n_flush_times;

/* The end; then just after each flush and just before; then any. */
static u64 moment(unsigned i, u64 end)
{
    if (i == 0)
        return end;
    if (i <= 2 * n_flush_times)
        return flush_times[(i - 1) / 2] - i % 2;
    return fiber_random() % (end + 1);
}

static void check_states(const char *label)
{
    static const char *const survivals[] = {"all", "none", "some writes", "some sectors", "all but one", "only one"};
    u64 end = now;

    for (unsigned i = 0; i < options.states; i++) {
        u64 t = moment(i, end);
        enum survival survival = fiber_random() % N_SURVIVALS;
        bool with_fsck = options.fsck_every != 0 && states_checked % options.fsck_every == 0;

        complaint[0] = '\0';
        if (check_state(t, survival, with_fsck))
            continue;
        failures++;
        printf("# %s, cut at %lu of %lu, unflushed writes: %s: %s\n", label, (unsigned long)t, (unsigned long)end,
               survivals[survival], complaint);
        if (options.fault != NULL || failures > 10)
            return;
    }
}

static void long_run(unsigned seed)
{
    char label[100];

    fiber_seed(seed);
    start_run(seed % 3);
    steps_of_run = 20 + fiber_random() % 150;
    for (unsigned p = 0; p < N_PROCESSES; p++)
        fiber_start(live, &processes[p]);
    while (fiber_alive() > 1) /* the journal's thread stays */
        give_way();
    snprintf(label, sizeof(label), "seed %u", seed);
    if (options.verbose)
        printf("# %s: %u writes, %lu flushes, %u promises, %u %u %u snapshots\n", label, n_writes,
               (unsigned long)n_flushes, n_promises, processes[0].n_snapshots, processes[1].n_snapshots,
               processes[2].n_snapshots);
    if (getenv("WRITES") != NULL)
        for (unsigned i = 0; i < n_writes; i++)
            printf("# write %u: sector %lu, %u bytes, submitted %lu completed %lu durable %ld, first 0x%02x\n", i,
                   (unsigned long)writes[i].sector, writes[i].length, (unsigned long)writes[i].submitted,
                   (unsigned long)writes[i].completed, (long)writes[i].durable, writes[i].at_submit[0]);
    end_run();
    check_states(label);
}

#include "tests/crash/recorded.c"

/* ---- small workloads, all of them ---- */

#define N_SMALL 40

static const char *small_operation(struct process *p, unsigned n)
{
    switch (n) {
    case 0:
        op_create(p, 1);
        return "create b";
    case 1:
        op_write(p, 0, object_at(p, 0)->size, 500);
        return "append a";
    case 2:
        op_write(p, 0, 0, 4096);
        return "overwrite a";
    case 3:
        op_write(p, 0, 3000, 3000);
        return "overlap a";
    case 4:
        op_write(p, 0, 12000, 500);
        return "write past the end of a";
    case 5:
        op_truncate(p, 0, 0);
        return "truncate a to 0";
    case 6:
        op_truncate(p, 0, 2500);
        return "shrink a";
    case 7:
        op_truncate(p, 0, 7000);
        return "grow a";
    case 8:
        op_unlink(p, 0);
        return "unlink a";
    case 9:
        op_link(p, 0, 1);
        return "link a b";
    case 10:
        op_link(p, 0, 5);
        return "link a d/a";
    case 11:
        op_rename(p, 0, 1);
        return "rename a b";
    case 12:
        op_rename(p, 0, 5);
        return "rename a d/a";
    case 13:
        op_rename(p, 6, 0);
        return "rename d/b a";
    case 14:
        op_symlink(p, 3);
        return "symlink l";
    case 15:
        op_unlink(p, 6);
        return "unlink d/b";
    case 16:
        op_rmdir(p, SLOT_D);
        return "rmdir d";
    case 17:
        op_create(p, 5);
        return "create d/a";
    case 18:
        op_fsync(p, 0, false);
        return "fsync a";
    case 19:
        op_fsync(p, 0, true);
        return "fdatasync a";
    case 20:
        op_fsync(p, SLOT_D, false);
        return "fsync d";
    case 21:
        op_fsync(p, SLOT_D, true);
        return "fdatasync d";
    case 22:
        op_sync(p);
        return "sync";
    case 23:
        op_write(p, 1, 0, 5000);
        return "write b";
    case 24:
        op_unlink(p, 1);
        return "unlink b";
    case 25:
        op_write_in(p, 0, 1000, 3500, MMAP_WRITE);
        return "mmap, store, msync a";
    case 26:
        op_write_in(p, 0, object_at(p, 0)->size, 700, O_DSYNC_WRITE);
        return "append to a with O_DSYNC";
    case 27:
        op_punch(p, 0, 900, 3700);
        return "hole in a";
    case 28:
        op_journal_data(p, 0);
        return "chattr j a";
    case 29:
        op_rename(p, SLOT_D, SLOT_E);
        return "rename d e";
    case 30:
        op_rename(p, SLOT_D, SLOT_E_D);
        return "rename d e/d";
    case 31:
        op_exchange(p, 0, 6);
        return "exchange a d/b";
    case 32:
        op_exchange(p, SLOT_D, SLOT_E);
        return "exchange d e";
    case 33:
        op_attribute(p, 0, 0, object_at(p, 0)->attributes[0].size == 0 ? 10 : 0);
        return "attribute in a's inode";
    case 34:
        op_attribute(p, 0, 1, object_at(p, 0)->attributes[1].size == 290 ? 200 : 290);
        return "attribute in a's block";
    case 35:
        op_tmpfile(p, 2, 3000, false);
        return "tmpfile c";
    case 36:
        op_unlink_open(p, 0, true);
        return "unlink a, which is open";
    case 37:
        op_link(p, 6, 8);
        return "link d/b e/a";
    case 38:
        op_exchange(p, 0, SLOT_E);
        return "exchange a e";
    default:
        op_fsync_top(p);
        return "fsync .";
    }
}

struct small {
    unsigned operations[8], n;
    char label[300];
};

static void live_small(void *arg)
{
    struct small *s = arg;
    struct process *p = &processes[0];

    op_create(p, 0);
    op_write(p, 0, 0, 5000);
    op_mkdir(p, SLOT_D);
    op_create(p, 6);
    op_write(p, 6, 0, 300);
    op_mkdir(p, SLOT_E);
    op_attribute(p, 0, 1, 200);
    op_sync(p);
    for (unsigned i = 0; i < s->n; i++) {
        if (!slot_exists(p, 0))
            op_create(p, 0);
        snprintf(s->label + strlen(s->label), sizeof(s->label) - strlen(s->label), "%s%s", i > 0 ? "; " : "",
                 small_operation(p, s->operations[i]));
    }
}

static void small_run(struct small s, unsigned seed)
{
    fiber_seed(seed);
    start_run(seed % 3);
    s.label[0] = '\0';
    fiber_start(live_small, &s);
    while (fiber_alive() > 1)
        give_way();
    end_run();
    check_states(s.label);
}

static void small_runs(void)
{
    for (unsigned a = 0; a < N_SMALL; a++)
        for (unsigned b = 0; b < N_SMALL; b++)
            for (unsigned last = 18; last < 23; last++)
                small_run((struct small){.operations = {a, b, last}, .n = 3},
                          options.seed + (a * N_SMALL + b) * 5 + last);
}

/* COUNT sequences of three operations, each followed by one that makes something durable, or by none; as the third
 * level of ACE, of which all would be too many. */
static void sequence_runs(unsigned count)
{
    unsigned random = options.seed * 2654435761u + 1;

    for (unsigned i = 0; i < count; i++) {
        struct small s = {.n = 0};

        for (unsigned k = 0; k < 3; k++) {
            random = random * 1664525 + 1013904223;
            s.operations[s.n++] = (random >> 8) % N_SMALL;
            if (k == 2 || (random >> 16) % 2 == 0)
                s.operations[s.n++] = 18 + (random >> 20) % 5;
        }
        small_run(s, options.seed + i);
    }
}

/* ---- sequences that other file systems once failed at ---- */

/* A line of the file: NAME: OPERATION; OPERATION; ... */
static void live_line(void *arg)
{
    char *line = arg, *next;

    for (line = strchr(line, ':') + 1; line != NULL; line = next) {
        next = strchr(line, ';');
        if (next != NULL)
            *next++ = '\0';
        perform_line(&processes[0], line);
        maybe_give_way();
    }
}

static void known_runs(const char *path)
{
    char line[1000], copy[1000];
    FILE *file = fopen(path, "r");

    if (file == NULL)
        panic("%s cannot be read", path);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strchr(line, ':') == NULL || line[0] == '#')
            continue;
        for (unsigned image = 0; image < 3; image++) {
            fiber_seed(options.seed + image);
            start_run(image);
            strcpy(copy, line);
            fiber_start(live_line, copy);
            while (fiber_alive() > 1)
                give_way();
            end_run();
            check_states(line);
        }
    }
    fclose(file);
}

static void set_fault(const char *name)
{
    static const char *const names[] = {"none",      "no-flush",        "no-revoke",  "early-commit", "no-order",
                                        "no-escape", "no-second-flush", "early-tail", "no-tail-flush"};

    options.fault = name;
    if (strcmp(name, "no-data") == 0) /* after --data journal: its promises, without its doing */
        host_options = "data=ordered";
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(names[i], name) == 0)
            journal_fault = i;
}

static void set_data_mode(const char *name)
{
    static const char *const options_of_mode[] = {"data=ordered", "data=writeback", "data=journal"};

    for (unsigned i = 0; i < ARRAY_SIZE(options_of_mode); i++)
        if (strcmp(options_of_mode[i] + strlen("data="), name) == 0) {
            data_mode = i;
            host_options = options_of_mode[i];
            return;
        }
    panic("--data journal, ordered or writeback");
}

static bool is_for_long_runs(void)
{
    return !options.small && options.sequences == 0 && options.image == NULL && options.known == NULL;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--small") == 0)
            options.small = true;
        else if (strcmp(argv[i], "--sequences") == 0)
            options.sequences = (unsigned)atoi(value), i++;
        else if (strcmp(argv[i], "--known") == 0)
            options.known = value, i++;
        else if (strcmp(argv[i], "--shrinking") == 0)
            options.shrinking = true;
        else if (strcmp(argv[i], "--verbose") == 0)
            options.verbose = true;
        else if (strcmp(argv[i], "--seed") == 0)
            options.seed = (unsigned)atoi(value), i++;
        else if (strcmp(argv[i], "--runs") == 0)
            options.runs = (unsigned)atoi(value), i++;
        else if (strcmp(argv[i], "--states") == 0)
            options.states = (unsigned)atoi(value), i++;
        else if (strcmp(argv[i], "--fsck") == 0)
            options.fsck_every = (unsigned)atoi(value), i++;
        else if (strcmp(argv[i], "--operations") == 0)
            options.operations = (unsigned)atoi(value), i++;
        else if (strcmp(argv[i], "--script") == 0)
            options.script_to = value, i++;
        else if (strcmp(argv[i], "--recorded") == 0 && i + 2 < argc)
            options.image = value, options.log = argv[i + 2], i += 2;
        else if (strcmp(argv[i], "--each") == 0)
            options.each = value, i++;
        else if (strcmp(argv[i], "--save") == 0 && i + 2 < argc)
            options.saved = (unsigned)atoi(value), options.save_to = argv[i + 2], i += 2;
        else if (strcmp(argv[i], "--data") == 0)
            set_data_mode(value), i++;
        else if (strcmp(argv[i], "--fault") == 0)
            set_fault(value), i++;
    }
    snprintf(folder, sizeof(folder), "%s/quire-crash-XXXXXX", run("test -w /dev/shm") == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(folder) == NULL)
        panic("no folder for scratch files");
    setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
    host_init();
    if (options.script_to != NULL) {
        write_scripts(options.seed, options.operations, options.script_to);
        return 0;
    }
    make_images();
    if (options.image != NULL)
        recorded_run(options.image, options.log, options.seed, options.operations);
    if (options.small)
        small_runs();
    sequence_runs(options.sequences);
    if (options.known != NULL)
        known_runs(options.known);
    for (unsigned i = 0; i < options.runs && is_for_long_runs(); i++) {
        long_run(options.seed + i);
        if (options.fault != NULL && failures > 0)
            break;
    }
    run("rm -rf %s", folder);
    printf("%lu states, %lu of them also recovered by e2fsck, %lu bad\n", (unsigned long)states_checked,
           (unsigned long)states_fscked, (unsigned long)failures);
    return options.fault != NULL ? failures == 0 : failures != 0;
}
