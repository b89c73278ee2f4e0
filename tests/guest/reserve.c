/*
 * Address spaces of hundreds of gigabytes: reserved PROT_NONE, opened and closed piece by piece, as allocators and
 * run-times do. What it costs in page tables follows the pieces, not the reservation. Source: mmap(2), mprotect(2).
 */
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define GIB (1UL << 30)
#define PIECE (64UL << 10)

static long tables_kb(void) { return proc_value("/proc/self/status", "VmPTE"); }

static unsigned random_state = 1;

static unsigned long pick(unsigned long below)
{
    random_state = random_state * 1103515245 + 12345;
    return (random_state >> 4) % below;
}

static int is_dead(int pipe_end, volatile char *at) { return write(pipe_end, (char *)at, 1) == -1 && errno == EFAULT; }

/* COUNT pieces all over a reservation of SIZE, opened, used and closed. */
static void pieces(unsigned long size, unsigned count)
{
    char *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    long before, opened;
    int fds[2], bad = 0;

    if (base == MAP_FAILED) {
        skip("a reservation", "the machine's addresses do not reach so far");
        return;
    }
    NEED(pipe(fds));
    before = tables_kb();
    for (unsigned i = 0; i < count; i++) {
        char *piece = base + size / count * i + pick(size / count / PIECE - 1) * PIECE;

        if (mprotect(piece, PIECE, RW)) {
            diag("piece %u at %#lx of %#lx: %s", i, (long)piece, (long)base, errno_name(errno));
            bad++;
            break;
        }
        memset(piece, (int)i, PIECE);
        bad += piece[0] != (char)i || piece[PIECE - 1] != (char)i;
        bad += !is_dead(fds[1], piece + PIECE) || !is_dead(fds[1], piece - 1);
        if (i % 2 == 0) {
            bad += mprotect(piece, PIECE, PROT_NONE) != 0 || madvise(piece, PIECE, MADV_DONTNEED) != 0;
            bad += !is_dead(fds[1], piece);
        }
    }
    opened = tables_kb() - before;
    IS(bad, 0, "%u pieces of %lu GiB open, hold their bytes and close; their neighbours stay shut", count, size / GIB);
    CHECK(opened <= (long)count * 16 + 64, "their tables are few: %ld kB", opened);
    OKAY(munmap(base, size), "all of it goes at once");
    CHECK(tables_kb() <= before + 16, "and so do the tables");
    close(fds[0]);
    close(fds[1]);
}

/* A heap that grows from below by mprotect, as arenas do: one stretch, dense tables. */
static void grows(void)
{
    unsigned long size = 64 * GIB, step = 128UL << 10;
    char *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *text, *line;
    long before = tables_kb();
    int bad = 0, lines = 0;

    if (base == MAP_FAILED) {
        skip("a heap", "the machine's addresses do not reach so far");
        return;
    }
    for (unsigned long at = 0; at < 64 * step; at += step) {
        bad += mprotect(base + at, step, RW) != 0;
        base[at] = base[at + step - 1] = 1;
    }
    IS(bad, 0, "a heap of %lu GiB grows by steps of %lu kB", size / GIB, step >> 10);
    CHECK(tables_kb() - before <= 64, "over a few tables: %ld kB", tables_kb() - before);
    text = slurp("/proc/self/maps");
    for (line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        unsigned long a, b;

        if (sscanf(line, "%lx-%lx ", &a, &b) == 2 && a >= (unsigned long)base && b <= (unsigned long)base + size)
            lines++;
    }
    free(text);
    IS(lines, 2, "maps shows what is open and what is not");
    OKAY(mprotect(base, size, PROT_READ), "all of it becomes readable");
    CHECK(base[0] == 1 && base[63 * step] == 1 && base[size - 1] == 0, "its bytes, and zeros where none are");
    OKAY(munmap(base, size), "it goes");
}

static int in_a_child(void *base)
{
    char *at = base;

    at[5 * PAGE] = 2;
    return at[0] == 1 && mprotect(at + 300 * GIB, PAGE, RW) == 0 && (at[300 * GIB] = 3) == 3 ? 0 : 1;
}

static int look_at(void *at) { return *(volatile char *)at; }

static void forked(void)
{
    char *base = mmap(NULL, 400 * GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED) {
        skip("fork", "the machine's addresses do not reach so far");
        return;
    }
    NEED(mprotect(base, 16 * PAGE, RW));
    base[0] = 1;
    EXITS(in_a_child, base, 0, "a child has the reservation, and opens pieces of its own");
    CHECK(base[5 * PAGE] == 0, "which the parent does not see");
    DIES(look_at, base + 300 * GIB, SIGSEGV, SEGV_ACCERR, base + 300 * GIB, "the parent's stays shut");
    OKAY(munmap(base, 400 * GIB), "it goes");
}

/* Programs keep marks in the bits above 47 of a pointer: what they did not ask for there is not put there. */
static void below_window(void)
{
    const size_t chunk = 1UL << 42;
    char *at[64];
    int n = 0;

    while (n < 64 &&
           (at[n] = mmap(NULL, chunk, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) != MAP_FAILED)
        n++;
    CHECK(n < 64 && n <= 1 << (47 - 42), "addresses without a hint end at 47 bits: %d times 4 TiB", n);
    for (int i = 0; i < n; i++)
        CHECK((uintptr_t)at[i] + chunk <= 1UL << 47, "reservation %d is below them", i);
    if (n > 0) {
        FAILS((long)mremap(at[0], PAGE, 8 * chunk, MREMAP_MAYMOVE), ENOMEM, "mremap does not go beyond them, either");
        for (int i = 0; i < n; i++)
            NEED(munmap(at[i], chunk));
    }
}

static void body(void)
{
    below_window();
    pieces(100 * GIB, 50);
    pieces(512 * GIB, 64);
    pieces(16UL << 40, 64);
    grows();
    forked();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
