/*
 * mremap, madvise and mincore on pages of every kind: contents, protections and sharing go along; what is left behind
 * is gone. Their errors are mmap_errors' subject. Source: mremap(2), madvise(2), mincore(2).
 */
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 32

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static int load(void *at) { return *(volatile char *)at & 0; }

static int store(void *at)
{
    *(volatile char *)at = 1;
    return 0;
}

static void fill(char *at, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        at[i * PAGE] = (char)(i + 1);
}

static int is_filled(const volatile char *at, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (at[i * PAGE] != (char)(i + 1))
            return 0;
    return 1;
}

/* A free range of so many pages. */
static char *room(size_t pages)
{
    char *at = anon(pages * PAGE, PROT_NONE);

    NEED(munmap(at, pages * PAGE));
    return at;
}

static void moving(void)
{
    char *at = anon(PAGES * PAGE, RW), *there = room(PAGES), *moved;

    fill(at, PAGES);
    moved = mremap(at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there);
    IS((long)moved, (long)there, "moved to a place of choice");
    CHECK(is_filled(moved, 0, PAGES), "with its contents");
    DIES(load, at, SIGSEGV, SEGV_MAPERR, at, "nothing is left at the old place");
    NEED(munmap(moved, PAGES * PAGE));
}

static void protections(void)
{
    char *at = anon(PAGES * PAGE, RW), *there = room(2 * PAGES), *moved;

    fill(at, PAGES);
    NEED(mprotect(at + 4 * PAGE, 4 * PAGE, PROT_READ));
    moved = mremap(at + 4 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there);
    IS((long)moved, (long)there, "the read-only middle moves alone");
    CHECK(is_filled(moved - 4 * PAGE, 4, 8), "with its contents");
    DIES(store, moved, SIGSEGV, SEGV_ACCERR, moved, "and is read-only there");
    CHECK(is_filled(at, 0, 4) && is_filled(at, 8, PAGES), "its neighbours stay");
    moved = mremap(at + 8 * PAGE, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && is_filled(moved - 8 * PAGE, 8, 12) && moved[4 * PAGE] == 0,
          "another part moves and grows");
    char *elsewhere = room(2 * PAGES);
    NEED(mprotect(at, PAGE, PROT_READ));
    FAILS((long)mremap(at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere), EFAULT,
          "a range of two protections: EFAULT");
    FAILS((long)mremap(at, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE), EFAULT, "also where it should grow");
    IS((long)mremap(at, 4 * PAGE, 4 * PAGE, 0), (long)at, "what stays as it is may have them");
    NEED(mprotect(at, PAGE, RW));
    moved = mremap(at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
    CHECK(moved == elsewhere && is_filled(moved, 0, 4), "with one protection again it moves");
    NEED(munmap(moved, 4 * PAGE));
    NEED(munmap(moved, 8 * PAGE));
    NEED(munmap(there, 4 * PAGE));
    NEED(munmap(at, PAGES * PAGE));
}

static void files(void)
{
    int fd = make_file("file", "", 0);
    char *at, *moved, *twice, back;

    NEED(ftruncate(fd, PAGES * PAGE));
    at = (char *)NEED((long)mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 4 * PAGE));
    fill(at, 4);
    moved = mremap(at, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && is_filled(moved, 0, 4), "a file's mapping grows");
    moved[7 * PAGE] = 'e';
    CHECK(pread(fd, &back, 1, 11 * PAGE) == 1 && back == 'e', "over the file's next pages");
    twice = mremap(moved, 0, 8 * PAGE, MREMAP_MAYMOVE);
    CHECK(twice != MAP_FAILED && twice != moved, "old length 0 maps shared pages once more");
    if (twice != MAP_FAILED) {
        twice[PAGE] = 'T';
        IS(moved[PAGE], 'T', "the very same pages");
        NEED(munmap(twice, 8 * PAGE));
    }
    NEED(munmap(moved, 8 * PAGE));
    at = anon(PAGE, RW);
    FAILS((long)mremap(at, 0, PAGE, MREMAP_MAYMOVE), EINVAL, "which private memory does not allow");
    NEED(munmap(at, PAGE));
    close(fd);
}

static void leaving_it_mapped(void)
{
    char *at = anon(4 * PAGE, RW), *moved;

    fill(at, 4);
    moved = mremap(at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    if (moved == MAP_FAILED) {
        CHECK(errno == EINVAL, "MREMAP_DONTUNMAP is not there, and says so");
        NEED(munmap(at, 4 * PAGE));
        return;
    }
    CHECK(is_filled(moved, 0, 4), "MREMAP_DONTUNMAP moves the contents");
    CHECK(at[0] == 0 && at[3 * PAGE] == 0, "and leaves zeros, still mapped");
    NEED(munmap(at, 4 * PAGE));
    NEED(munmap(moved, 4 * PAGE));
}

static int child_sees_moved(void *argument)
{
    char *at = argument;
    char *moved = mremap(at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room(PAGES));

    if (moved == MAP_FAILED || !is_filled(moved, 0, PAGES))
        return 1;
    moved[0] = 99;
    return is_filled(moved, 1, PAGES) ? 0 : 2;
}

static void across_fork(void)
{
    char *at = anon(PAGES * PAGE, RW);

    fill(at, PAGES);
    EXITS(child_sees_moved, at, 0, "a child moves copy-on-write pages and stores to them");
    CHECK(is_filled(at, 0, PAGES), "the parent's stay, where they were");
    NEED(munmap(at, PAGES * PAGE));
}

static int resident(char *at, size_t pages)
{
    unsigned char vector[PAGES];
    int count = 0;

    NEED(mincore(at, pages * PAGE, vector));
    for (size_t i = 0; i < pages; i++)
        count += vector[i] & 1;
    return count;
}

static void populated(void)
{
    char *at = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    CHECK(at != MAP_FAILED && resident(at, 8) == 8, "MAP_POPULATE brings every page in");
    CHECK(at[0] == 0 && at[8 * PAGE - 1] == 0, "as zeros");
    NEED(munmap(at, 8 * PAGE));
}

static void advice(void)
{
    char *at = anon(PAGES * PAGE, RW), back;
    int fd = make_file("advice", "0123456789", 10);

    madvise(at, PAGES * PAGE, MADV_NOHUGEPAGE);
    IS(resident(at, PAGES), 0, "untouched pages are not in memory");
    fill(at, 5);
    IS(resident(at, PAGES), 5, "touched ones are");
    NEED(madvise(at, 2 * PAGE, MADV_DONTNEED));
    IS(resident(at, PAGES), 3, "dropped ones are not");
    CHECK(at[0] == 0 && at[2 * PAGE] == 3, "and are zero");
    OKAY(madvise(at, PAGES * PAGE, MADV_WILLNEED) == -1 && errno != EBADF ? -1 : 0, "MADV_WILLNEED");
    OKAY(madvise(at, PAGES * PAGE, MADV_SEQUENTIAL), "MADV_SEQUENTIAL");
    if (madvise(at, PAGES * PAGE, MADV_POPULATE_WRITE) == 0)
        IS(resident(at, PAGES), PAGES, "MADV_POPULATE_WRITE brings all in");
    else
        CHECK(errno == EINVAL, "MADV_POPULATE_WRITE is not there, and says so");
    if (madvise(at, PAGE, MADV_DONTFORK) == 0) {
        DIES(load, at, SIGSEGV, SEGV_MAPERR, at, "MADV_DONTFORK keeps a page from a child");
        NEED(madvise(at, PAGE, MADV_DOFORK));
        EXITS(load, at, 0, "MADV_DOFORK does not");
    }
    if (madvise(at + 2 * PAGE, PAGE, MADV_WIPEONFORK) == 0) {
        pid_t pid = (pid_t)NEED(fork());
        int status;

        if (pid == 0)
            _exit(at[2 * PAGE]);
        waitpid(pid, &status, 0);
        IS(status, 0, "MADV_WIPEONFORK gives a child zeros");
        IS(at[2 * PAGE], 3, "and the parent its own");
    }
    NEED(munmap(at, PAGES * PAGE));

    at = (char *)NEED((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0));
    at[0] = 'x';
    NEED(madvise(at, PAGE, MADV_DONTNEED));
    IS(at[0], '0', "MADV_DONTNEED of a private file page brings the file's back");
    NEED(munmap(at, PAGE));
    at = (char *)NEED((long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0));
    at[1] = 'y';
    NEED(madvise(at, PAGE, MADV_DONTNEED));
    CHECK(at[1] == 'y' && pread(fd, &back, 1, 1) == 1 && back == 'y', "of a shared one it loses nothing");
    NEED(munmap(at, PAGE));
    close(fd);
}

/* A part that mprotect made different grows as what it is. */
static void growing_parts(void)
{
    char *at = anon(PAGES * PAGE, RW), *there = room(PAGES), *moved, *last = at + (PAGES - 1) * PAGE;

    fill(at, PAGES);
    NEED(mprotect(at + 8 * PAGE, 2 * PAGE, PROT_READ));
    moved = mremap(at + 8 * PAGE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there);
    IS((long)moved, (long)there, "two read-only pages among writable ones move and grow");
    EXITS(load, moved + 3 * PAGE, 0, "what has been added can be read");
    DIES(store, moved + 2 * PAGE, SIGSEGV, SEGV_ACCERR, moved + 2 * PAGE, "but not written");
    NEED(munmap(moved, 4 * PAGE));

    NEED(munmap(last, PAGE));
    last -= PAGE;
    NEED(mprotect(last, PAGE, PROT_READ));
    moved = mremap(last, PAGE, 2 * PAGE, 0);
    IS((long)moved, (long)last, "a read-only page at the end grows where it is");
    DIES(store, last + PAGE, SIGSEGV, SEGV_ACCERR, last + PAGE, "what has been added cannot be written");
    EXITS(store, last - PAGE, 0, "what lies before can");
    NEED(munmap(at, PAGES * PAGE));

    at = mmap(NULL, PAGES * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(at == MAP_FAILED ? -1 : 0);
    NEED(mprotect(at + 4 * PAGE, PAGE, PROT_READ));
    moved = mremap(at + 4 * PAGE, 0, PAGE, MREMAP_MAYMOVE);
    NEED(moved == MAP_FAILED ? -1 : 0);
    DIES(store, moved, SIGSEGV, SEGV_ACCERR, moved, "another view of a read-only page is read-only");
    NEED(munmap(moved, PAGE));
    NEED(munmap(at, PAGES * PAGE));
}

static void body(void)
{
    moving();
    protections();
    growing_parts();
    files();
    leaving_it_mapped();
    across_fork();
    populated();
    advice();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
