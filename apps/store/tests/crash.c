/*
 * Power failures: all writes, syncs and changes of size that a store makes are recorded; then the record is cut at many
 * moments. What a sync covers is on the disk; of later writes any part may be, in units of 512 bytes. Each state is
 * opened, which recovers it, checked, and compared with what the program was promised: all transactions whose commit
 * had returned, and of the one under way all or nothing.
 */
#include "tap.h"

#include "kv.h"

#define KEYS 150
#define TRANSACTIONS 120
#define SECTOR 512
#ifdef __riscv
#define SHORT 40 /* cuts of each run, unless an argument says how many; in the guest each takes its time */
#else
#define SHORT 60
#endif

/* --- What the disk saw --- */

enum kind { WRITE, SYNC, RESIZE };
struct event {
    enum kind kind;
    int file;
    off_t at; /* RESIZE: the new size */
    size_t length;
    char *data;
};

static struct event *events;
static size_t n_events, room_for_events;
static bool recording, ignore_log_syncs, ignore_heap_syncs, no_sync;

static void record(struct event e)
{
    if (n_events == room_for_events)
        events = realloc(events, (room_for_events = room_for_events * 2 + 100) * sizeof(*events));
    events[n_events++] = e;
}

static ssize_t record_write(void *argument UNUSED, int file, int fd, const void *from, size_t length, off_t at)
{
    if (recording) {
        struct event e = {WRITE, file, at, length, malloc(length)};

        memcpy(e.data, from, length);
        record(e);
    }
    return pwrite(fd, from, length, at);
}

static int record_sync(void *argument UNUSED, int file, int fd)
{
    (void)fd;
    if (recording && !(file == 1 ? ignore_log_syncs : ignore_heap_syncs))
        record((struct event){.kind = SYNC, .file = file});
    return 0;
}

static int record_resize(void *argument UNUSED, int file, int fd, off_t length)
{
    if (recording)
        record((struct event){.kind = RESIZE, .file = file, .at = length});
    return ftruncate(fd, length);
}

static const struct store_io recorder = {.write = record_write, .sync = record_sync, .resize = record_resize};
static const char *const names[2] = {"cut", "cut.log"};

/* --- Random numbers that repeat --- */

static uint64_t random_state = 88172645463325252ull;
static uint64_t dice(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* --- What the program was promised --- */

/* A key's value follows from its number; 0: there is none. */
struct state {
    uint32_t values[KEYS];
};
static struct state states[TRANSACTIONS + 1];
static size_t returned_at[TRANSACTIONS + 1]; /* events seen when the commit returned */
static int commits;

static struct kv_slice make_key(char *text, int key)
{
    return (struct kv_slice){text, (size_t)sprintf(text, "%d-%0*d", key * 7 % KEYS, key % 5 * 40 + 1, key)};
}

static char value_bytes[40000];
static struct kv_slice make_value(uint32_t number)
{
    size_t size = number % 10 == 0 ? number % 37 * 1000 + 1000 : number % 300;

    for (size_t i = 0; i < size; i++)
        value_bytes[i] = (char)(number * 31 + i / 3);
    return (struct kv_slice){value_bytes, size};
}

static bool same_state(struct store *s, const struct state *want)
{
    for (int k = 0; k < KEYS; k++) {
        char key[300];
        struct kv_slice value, wanted = make_value(want->values[k]);
        int found = kv_get(s, make_key(key, k), &value);

        if (found != (want->values[k] != 0))
            return false;
        if (found && (value.size != wanted.size || memcmp(value.data, wanted.data, value.size) != 0))
            return false;
    }
    return true;
}

/* Transactions of random puts and deletes, some aborted; states[] and returned_at[] say what they left. */
static void work(struct store *s)
{
    struct state now = {{0}};

    commits = 0;
    states[0] = now;
    returned_at[0] = 0;
    while (commits < TRANSACTIONS) {
        struct state next = now;
        uint64_t operations = dice(10) == 0 ? 200 : dice(8);

        store_begin(s);
        for (uint64_t i = 0; i < operations; i++) {
            int k = (int)dice(KEYS);
            char key[300];

            next.values[k] = dice(3) == 0 ? 0 : (uint32_t)dice(1 << 20) + 1;
            if (next.values[k] != 0 && kv_put(s, make_key(key, k), make_value(next.values[k])) < 0)
                CHECK(0, "kv_put: %s", errno_name(errno));
            if (next.values[k] == 0)
                kv_delete(s, make_key(key, k));
        }
        if (dice(6) == 0) {
            store_abort(s);
            continue;
        }
        if (store_commit(s) < 0)
            CHECK(0, "store_commit: %s", errno_name(errno));
        now = next;
        states[++commits] = now;
        returned_at[commits] = n_events;
    }
}

/* --- Cutting --- */

enum survival { ALL, NONE, SOME_WRITES, SOME_SECTORS, SURVIVALS };

/* A file as it comes to be, in memory: that is much quicker than to write each event to the file. */
static struct image {
    char *data;
    size_t size, room;
} image;

static void set_size(size_t size)
{
    if (size > image.room) {
        image.room = size * 2;
        image.data = realloc(image.data, image.room);
    }
    if (size > image.size)
        memset(image.data + image.size, 0, size - image.size);
    image.size = size;
}

static void put_event(const struct event *e, enum survival survival)
{
    if (survival == NONE || (survival == SOME_WRITES && dice(2)))
        return;
    if (e->kind == RESIZE) {
        if (survival != SOME_SECTORS || dice(2))
            set_size((size_t)e->at);
        return;
    }
    for (size_t at = 0; at < e->length;) {
        size_t part = SECTOR - (size_t)(e->at + (off_t)at) % SECTOR;

        if (survival != SOME_SECTORS)
            part = e->length;
        if (part > e->length - at)
            part = e->length - at;
        if (survival != SOME_SECTORS || dice(2)) {
            if ((size_t)e->at + at + part > image.size)
                set_size((size_t)e->at + at + part);
            memcpy(image.data + e->at + at, e->data + at, part);
        }
        at += part;
    }
}

/* The two files as a power failure after EVENTS of the record may leave them. */
static void make_files(size_t count, enum survival survival, char *const base[2], const size_t base_size[2])
{
    for (int file = 0; file < 2; file++) {
        size_t synced = 0;

        image.size = 0;
        set_size(base_size[file]);
        memcpy(image.data, base[file], base_size[file]);

        for (size_t i = 0; i < count; i++)
            if (events[i].kind == SYNC && events[i].file == file)
                synced = i;
        for (size_t i = 0; i < count; i++)
            if (events[i].file == file && events[i].kind != SYNC)
                put_event(&events[i], i < synced ? ALL : survival);
        close(make_file(names[file], image.data, image.size));
    }
}

/* Opens the cut store; says in WHY what is wrong with it. */
static bool is_right(size_t count, char *why, size_t room)
{
    struct store_options options = {.must_exist = true, .reserve = 256 << 20, .io = &recorder};
    struct store *s = store_open("cut", &options);
    uint64_t entries, objects;
    bool right = false;
    int done = 0;

    if (s == NULL) {
        snprintf(why, room, "it does not open: %s", errno_name(errno));
        return false;
    }
    while (done < commits && returned_at[done + 1] <= count)
        done++;
    if (store_check(s, why, room) == 0 && kv_check(s, &entries, &objects, why, room) == 0) {
        right = same_state(s, &states[done]) || (done < commits && same_state(s, &states[done + 1]));
        for (int k = 0; no_sync && k < done && !right; k++)
            right = same_state(s, &states[k]);
        if (!right)
            snprintf(why, room, "not what %d transactions left", done);
    }
    store_close(s);
    return right;
}

/* After a crash the store goes on: all can be deleted, and then nothing is in use. */
static bool empties(void)
{
    struct store_options options = {.must_exist = true, .reserve = 256 << 20, .io = &recorder};
    struct store *s = store_open("cut", &options);
    struct store_stats stats;

    if (s == NULL)
        return false;
    store_begin(s);
    for (int k = 0; k < KEYS; k++) {
        char key[300];

        kv_delete(s, make_key(key, k));
    }
    if (store_commit(s) < 0 || store_close(s) < 0)
        return false;
    s = store_open("cut", &options);
    if (s == NULL)
        return false;
    store_stats(s, &stats);
    store_close(s);
    return stats.used_pages <= 3 + (stats.used_pages + stats.free_pages) / 4096 - 1;
}

static void forget(void)
{
    for (size_t i = 0; i < n_events; i++)
        free(events[i].data);
    n_events = 0;
}

/* Records a run, cuts it CUTS times; how many states were wrong. */
static int run(int cuts, bool quiet)
{
    struct store_options options = {.reserve = 256 << 20, .log_limit = 150000, .io = &recorder, .no_sync = no_sync};
    char *base[2], why[200];
    size_t base_size[2];
    struct store *s;
    int wrong = 0;

    forget();
    recording = false;
    unlink("run");
    unlink("run.log");
    s = store_open("run", &options);
    if (s == NULL) {
        CHECK(0, "store_open: %s", errno_name(errno));
        return -1;
    }
    for (int file = 0; file < 2; file++) {
        int fd = open(file == 0 ? "run" : "run.log", O_RDONLY);
        struct stat st;

        fstat(fd, &st);
        base[file] = malloc(base_size[file] = (size_t)st.st_size);
        NEED(read(fd, base[file], base_size[file]));
        close(fd);
    }
    recording = true;
    work(s);
    CHECK(store_close(s) == 0, "the store closes");
    recording = false;
    for (int i = 0; i < cuts; i++) {
        size_t count = i == 0 ? n_events : dice(n_events + 1);
        enum survival survival = (enum survival)dice(SURVIVALS);

        make_files(count, survival, base, base_size);
        if (is_right(count, why, sizeof(why)) && (i % 8 != 0 || empties()))
            continue;
        if (wrong++ < 3 && !quiet)
            diag("cut after %zu of %zu events, way %d: %s", count, n_events, (int)survival, why);
    }
    for (int file = 0; file < 2; file++)
        free(base[file]);
    return wrong;
}

static void body(void)
{
    int cuts = tap_arguments[0] != NULL ? atoi(tap_arguments[0]) : SHORT;

    for (int i = 0; i < 3; i++)
        IS(run(cuts, false), 0, "run %d: %d states after a power failure are right", i + 1, cuts);
    diag("%zu events in the last run", n_events);
    no_sync = true;
    IS(run(cuts, false), 0, "without syncs: %d states have whole transactions", cuts);
    no_sync = false;
    ignore_log_syncs = true;
    CHECK(run(cuts, true) > 0, "a store that does not sync its log is caught");
    ignore_log_syncs = false;
    ignore_heap_syncs = true;
    CHECK(run(cuts, true) > 0, "a store that does not sync its heap is caught");
    forget();
    free(events);
    free(image.data);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
