/*
 * One file seen by every way there is, against a model of its bytes: read, write, O_DIRECT, shared and private
 * mappings, truncation, holes, fallocate, copies inside the file and by sendfile, msync, fsync, and the cache dropped
 * in between. One random sequence of operations per process, several processes beside each other, on the disk and in
 * memory. After what makes a difference the whole file is compared, so a stale, lost or shifted byte is found near the
 * operation that caused it; the last ones are printed.
 *
 *     coherence FOLDER [OPERATIONS [PROCESSES [SEED [FILE_KB [EATEN_MB]]]]]
 *
 * EATEN_MB: another process stores to so much memory, again and again, so that pages are evicted all the time.
 */
#include "tap.h"
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>

#define RW (PROT_READ | PROT_WRITE)
#define MAX_SIZE (max_kb << 10)
#define DIRECT_UNIT 4096ul
#define TRACE 24
#define ANCHOR 100 /* a descriptor that the file, which has no name, is opened again by */

static unsigned long operations = 1500, processes = 3, seed = 1, max_kb = 256, eaten_mb;
static unsigned char *model, *buffer;
static size_t size;
static int fd, direct_fd;
static char path[256];
static unsigned long long state;
static unsigned long step;
static struct {
    const char *name;
    size_t at, length;
} trace[TRACE];

static unsigned long draw(unsigned long below)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return below != 0 ? (state >> 33) % below : 0;
}

static void note(const char *name, size_t at, size_t length)
{
    trace[step % TRACE].name = name;
    trace[step % TRACE].at = at;
    trace[step % TRACE].length = length;
}

static void give_up(const char *why, size_t at)
{
    diag("%s: step %lu, at %#lx of %#lx: %s (%s)", path, step, at, size, why, errno_name(errno));
    for (unsigned long i = step >= TRACE ? step - TRACE + 1 : 0; i <= step; i++)
        diag("%lu %s %#lx+%#lx", i, trace[i % TRACE].name, trace[i % TRACE].at, trace[i % TRACE].length);
    _exit(1);
}

static void compare(const unsigned char *got, size_t at, size_t length, const char *how)
{
    for (size_t i = 0; i < length; i++)
        if (got[i] != model[at + i]) {
            diag("%02x instead of %02x", got[i], model[at + i]);
            give_up(how, at + i);
        }
}

static void fill(unsigned char *to, size_t length)
{
    unsigned char byte = draw(255) + 1;

    for (size_t i = 0; i < length; i++)
        to[i] = byte + i;
}

static void grow_to(size_t end)
{
    if (end > size)
        size = end; /* the model is zero there */
}

/* A piece of the file; not empty unless the file is. */
static void pick(size_t *at, size_t *length)
{
    *at = draw(size);
    *length = size == 0 ? 0 : 1 + draw(draw(3) ? 9000 : size);
    if (*length > size - *at)
        *length = size - *at;
}

static void pick_beyond(size_t *at, size_t *length)
{
    *at = draw(draw(4) ? size + 1 : MAX_SIZE);
    *length = 1 + draw(draw(3) ? 9000 : 64000);
    if (*at + *length > MAX_SIZE)
        *length = MAX_SIZE - *at;
}

static unsigned char *map(size_t at, size_t length, int prot, int flags, unsigned char **from)
{
    size_t skip = at % PAGE;
    unsigned char *m = mmap(NULL, length + skip, prot, flags, fd, at - skip);

    if (m == MAP_FAILED)
        give_up("mmap", at);
    *from = m;
    return m + skip;
}

static void unmap(unsigned char *from, const unsigned char *m, size_t length) { munmap(from, m - from + length); }

static void do_read(void)
{
    size_t at, length;

    pick(&at, &length);
    note("read", at, length);
    if (pread(fd, buffer, length, at) != (ssize_t)length)
        give_up("read", at);
    compare(buffer, at, length, "read");
}

static void do_write(void)
{
    size_t at, length;

    pick_beyond(&at, &length);
    note("write", at, length);
    fill(buffer, length);
    if (pwrite(fd, buffer, length, at) != (ssize_t)length)
        give_up("write", at);
    memcpy(model + at, buffer, length);
    grow_to(at + length);
}

static void do_map_read(void)
{
    unsigned char *m, *from;
    size_t at, length;
    int flags = draw(2) ? MAP_SHARED : MAP_PRIVATE;

    pick(&at, &length);
    note(flags == MAP_SHARED ? "map_read" : "map_read_private", at, length);
    if (length == 0)
        return;
    m = map(at, length, PROT_READ, flags | (draw(4) ? 0 : MAP_POPULATE), &from);
    compare(m, at, length, "a mapping");
    /* What is behind the end in its last page is zero. */
    for (size_t i = length; at + length == size && (at + i) % PAGE != 0; i++)
        if (m[i] != 0)
            give_up("not zero behind the end", at + i);
    unmap(from, m, length);
}

static void do_map_write(void)
{
    unsigned char *m, *from;
    size_t at, length;

    pick(&at, &length);
    note("map_write", at, length);
    if (length == 0)
        return;
    m = map(at, length, RW, MAP_SHARED | (draw(4) ? 0 : MAP_POPULATE), &from);
    fill(m, length);
    memcpy(model + at, m, length);
    if (at + length == size && (at + length) % PAGE != 0 && draw(2))
        m[length] = 0xee; /* behind the end: never part of the file */
    if (draw(3) == 0 && msync(from, m - from + length, draw(2) ? MS_SYNC : MS_ASYNC) != 0)
        give_up("msync", at);
    if (at + length == size && (at + length) % PAGE != 0)
        m[length] = 0;
    unmap(from, m, length);
}

/* Stores to a private mapping are nobody else's. */
static void do_private_write(void)
{
    unsigned char *m, *from;
    size_t at, length;

    pick(&at, &length);
    note("private_write", at, length);
    if (length == 0)
        return;
    m = map(at, length, RW, MAP_PRIVATE, &from);
    for (size_t i = 0; i < length; i += 1 + draw(6000))
        m[i] ^= 0xff;
    madvise(from, m - from + length, MADV_DONTNEED);
    compare(m, at, length, "private, after DONTNEED");
    unmap(from, m, length);
}

static void do_truncate(void)
{
    size_t to = draw(draw(4) ? size + 1 : MAX_SIZE);

    note("truncate", to, 0);
    if (ftruncate(fd, to) != 0)
        give_up("ftruncate", to);
    if (to < size)
        memset(model + to, 0, size - to);
    size = to;
}

/* A mapping that is there while the file shrinks and grows again under it. */
static void do_truncate_mapped(void)
{
    unsigned char *m, *from;
    size_t old = size, to = draw(size);

    note("truncate_mapped", to, size);
    if (size == 0)
        return;
    m = map(0, size, RW, MAP_SHARED, &from);
    for (size_t i = 0; i < size; i += PAGE)
        m[i] = model[i] = m[i] + 1;
    if (ftruncate(fd, to) != 0 || ftruncate(fd, old) != 0)
        give_up("ftruncate", to);
    memset(model + to, 0, old - to);
    compare(m, 0, size, "after shrinking under a mapping");
    unmap(from, m, size);
}

static void do_punch(void)
{
    size_t at, length, past;

    pick(&at, &length);
    note("punch", at, length);
    if (length == 0)
        return;
    past = draw(3) ? 0 : draw(10000);
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length + past) != 0) {
        if (errno != EOPNOTSUPP)
            give_up("a hole", at);
        return;
    }
    length = at + length + past > size ? size - at : length + past;
    memset(model + at, 0, length);
}

static void do_allocate(void)
{
    size_t at, length;
    int keep = draw(2) ? FALLOC_FL_KEEP_SIZE : 0;

    pick_beyond(&at, &length);
    note(keep ? "allocate_keep" : "allocate", at, length);
    if (length == 0)
        return;
    if (fallocate(fd, keep, at, length) != 0) {
        if (errno != EOPNOTSUPP)
            give_up("fallocate", at);
    } else if (!keep) {
        grow_to(at + length);
    }
}

static void do_copy(void)
{
    size_t at, length, to;
    off_t in, out;

    pick(&at, &length);
    to = draw(size);
    if (to + length > MAX_SIZE)
        length = MAX_SIZE - to;
    if (to < at + length && at < to + length)
        return;
    note("copy", at, length);
    in = at;
    out = to;
    if (length == 0)
        return;
    if (draw(2)) {
        if (copy_file_range(fd, &in, fd, &out, length, 0) != (ssize_t)length)
            give_up("copy_file_range", at);
    } else {
        lseek(fd, to, SEEK_SET);
        if (sendfile(fd, fd, &in, length) != (ssize_t)length)
            give_up("sendfile", at);
    }
    memmove(model + to, model + at, length);
    grow_to(to + length);
}

/* Bytes that come from a mapping of the file itself: write() faults on pages of the file it writes to. */
static void do_write_from_mapping(void)
{
    unsigned char *m, *from;
    size_t at, length, to = draw(size);

    pick(&at, &length);
    if (to + length > MAX_SIZE)
        length = MAX_SIZE - to;
    if (length == 0 || (to < at + length && at < to + length))
        return;
    note("write_from_mapping", at, length);
    m = map(at, length, PROT_READ, MAP_SHARED, &from);
    if (pwrite(fd, m, length, to) != (ssize_t)length)
        give_up("write from a mapping", at);
    unmap(from, m, length);
    memcpy(model + to, model + at, length);
    grow_to(to + length);
}

static void do_direct(void)
{
    size_t at = draw(size) & -DIRECT_UNIT, length = DIRECT_UNIT * (1 + draw(8));
    ssize_t n, want;

    note("direct", at, length);
    if (direct_fd < 0 || at + length > MAX_SIZE)
        return;
    if (draw(2)) {
        want = at >= size ? 0 : at + length > size ? size - at : length;
        n = pread(direct_fd, buffer, length, at);
        if (n != want)
            give_up("read with O_DIRECT", at);
        compare(buffer, at, n, "read with O_DIRECT");
    } else {
        fill(buffer, length);
        if (pwrite(direct_fd, buffer, length, at) != (ssize_t)length)
            give_up("write with O_DIRECT", at);
        memcpy(model + at, buffer, length);
        grow_to(at + length);
    }
}

static void do_sync(void)
{
    note("sync", 0, 0);
    if (draw(2) ? fsync(fd) : fdatasync(fd))
        give_up("fsync", 0);
    if (draw(2))
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void open_it(int flags)
{
    fd = open(path, O_RDWR | flags, 0600);
    if (fd < 0)
        give_up("open", 0);
    direct_fd = open(path, O_RDWR | O_DIRECT);
}

static void do_reopen(void)
{
    note("reopen", 0, 0);
    close(fd);
    if (direct_fd >= 0)
        close(direct_fd);
    open_it(0);
}

static void compare_all(void)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || (size_t)st.st_size != size)
        give_up("the size", st.st_size);
    if (pread(fd, buffer, MAX_SIZE, 0) != (ssize_t)size)
        give_up("reading it all", 0);
    compare(buffer, 0, size, "all of it");
}

static const struct {
    void (*call)(void);
    unsigned weight;
} moves[] = {{do_read, 10},
             {do_write, 10},
             {do_map_read, 12},
             {do_map_write, 14},
             {do_private_write, 4},
             {do_truncate, 6},
             {do_truncate_mapped, 3},
             {do_punch, 4},
             {do_allocate, 3},
             {do_copy, 4},
             {do_write_from_mapping, 4},
             {do_direct, 6},
             {do_sync, 2},
             {do_reopen, 2},
             {compare_all, 2}};

static void one_step(void)
{
    unsigned total = 0, n, i;

    for (i = 0; i < sizeof(moves) / sizeof(*moves); i++)
        total += moves[i].weight;
    n = draw(total);
    for (i = 0; n >= moves[i].weight; i++)
        n -= moves[i].weight;
    moves[i].call();
}

static int worker(const char *folder, unsigned number)
{
    snprintf(path, sizeof(path), "%s/coherence.%d.%u", folder, getpid(), number);
    state = seed * 1000003 + number * 7919;
    model = mmap(NULL, MAX_SIZE + 65536, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    buffer = mmap(NULL, MAX_SIZE + 65536, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    open_it(O_CREAT | O_TRUNC);
    unlink(path);
    if (dup2(fd, ANCHOR) != ANCHOR)
        give_up("dup2", 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ANCHOR);
    for (step = 0; step < operations; step++)
        one_step();
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    note("end", 0, 0);
    compare_all();
    return 0;
}

static int eater(void)
{
    size_t length = eaten_mb << 20;
    unsigned char *m = mmap(NULL, length, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned round = 1;; round++)
        for (size_t i = 0; i < length; i += PAGE) {
            if (round > 1 && *(unsigned *)(m + i) != round - 1 + i)
                _exit(1);
            *(unsigned *)(m + i) = round + i;
        }
}

static void test_folder(const char *folder, const char *name)
{
    pid_t pids[64], hungry = -1;
    int status, bad = 0, eaten = 0;

    if (eaten_mb != 0 && (hungry = fork()) == 0)
        _exit(eater());
    for (unsigned i = 0; i < processes; i++)
        if ((pids[i] = fork()) == 0)
            _exit(worker(folder, i));
    for (unsigned i = 0; i < processes; i++) {
        waitpid(pids[i], &status, 0);
        if (status != 0)
            diag("process %u: status %#x", i, status);
        bad += status != 0;
    }
    if (hungry > 0) {
        kill(hungry, SIGKILL);
        waitpid(hungry, &status, 0);
        eaten = !WIFSIGNALED(status);
    }
    IS(bad, 0, "%s: %lu processes, %lu operations each, seed %lu", name, processes, operations, seed);
    IS(eaten, 0, "nothing else is wrong");
}

static unsigned long argument(int i, unsigned long otherwise)
{
    for (int j = 0; j <= i; j++)
        if (tap_arguments == NULL || tap_arguments[j] == NULL)
            return otherwise;
    return strtoul(tap_arguments[i], NULL, 0);
}

static void body(void)
{
    operations = argument(0, operations);
    processes = argument(1, processes);
    seed = argument(2, seed);
    max_kb = argument(3, max_kb);
    eaten_mb = argument(4, eaten_mb);
    if (processes > 64)
        processes = 64;
    test_folder(".", "the disk");
    test_folder("/dev/shm", "memory");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
