/*
 * Generators of arguments that many calls take: names, descriptors, offsets, sizes, buffers; and what tells the
 * results that many calls have. See differ.h.
 *
 * Descriptors FIRST_FD and on are what sequences work with: each call that makes one puts it at a place that was drawn,
 * over what was there.
 */
#include "differ.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096

char *buffer;

void fill_buffer(void)
{
    if (!buffer) {
        buffer = mmap(NULL, BUFFER_SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(buffer + BUFFER_SIZE, PAGE, PROT_NONE);
    }
    for (unsigned i = 0; i < BUFFER_SIZE; i++)
        buffer[i] = (char)(i * 7 + i / 256);
}

long descriptor(void)
{
    static const long odd[] = {-1, 99, AT_FDCWD, 1000000};
    long fd = chance(14) ? draw_of(odd, COUNT(odd)) : FIRST_FD + (long)draw(FDS);

    tell(" fd%ld", fd);
    return fd;
}

long dirfd(void)
{
    if (!chance(3))
        return AT_FDCWD;
    return descriptor();
}

#define LONG_NAME                                                                                          \
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
/* The first are drawn the most. */
#define COMMON_NAMES 8
static const char *const names[] = {
    "f",    "g",    "d",      "d/f",       "d/e",     "s",    "sd",    "sd/f",   "dangling",  "loop",
    "fifo", "f/x",  "nope/x", ".",         "..",      "d/",   "f/",    "s/",     "",          "d/.",
    "d/..", "new",  "d/new",  "/dev/null", LONG_NAME, "sock", "new2",  "d/new2", "dangling/", "t/r",
    "t/u",  "gd/a", "gd",     "no/x",      "nx/x",    "ro",   "t/new", "t",      "no",
};

long name(void)
{
    const char *drawn = names[draw(3) ? draw(COMMON_NAMES) : draw(COUNT(names))];

    tell(" %.12s", *drawn ? drawn : "''");
    if (!chance(60))
        return (long)drawn;
    tell("<bad>");
    return 8;
}

static const long offsets[] = {
    0, 1, 100, 4095, 4096, 4097, 8192, 10000, 65536, -1, -4096, 1L << 40, INT64_MAX, INT64_MAX - 4095, 1L << 31};
#define NEAR_OFFSETS 9

static long tell_number(long number)
{
    tell(" %ld", number);
    return number;
}

long file_offset(void) { return tell_number(draw_of(offsets, draw(4) ? NEAR_OFFSETS : COUNT(offsets))); }

/* One that is far but valid would fill the disk, or take long. */
long near_offset(void)
{
    long offset = draw_of(offsets, draw(4) ? NEAR_OFFSETS : COUNT(offsets));

    if (offset > 1 << 20 && offset < 1L << 42)
        offset = 1 << 20;
    return tell_number(offset);
}

long size(void)
{
    static const long sizes[] = {0, 1, 10, 4095, 4096, 4097, 8192, 12000, -1, INT64_MIN, INT64_MAX};

    return tell_number(draw_of(sizes, draw(8) ? 8 : COUNT(sizes)));
}

long in_buffer(void)
{
    if (!chance(40))
        return (long)buffer;
    tell(" <bad>");
    return 16;
}

long out_buffer(void)
{
    memset(buffer, 0, 4096);
    return in_buffer();
}

long no_pointer(void) { return 0; }

/* --- Results --- */

void keep_at(int fd, int place)
{
    if (fd == place)
        return;
    dup2(fd, place);
    close(fd);
}

void show_placed(long result, const long *arguments)
{
    (void)arguments;
    if (result < 0)
        return;
    int place = FIRST_FD + (int)draw(FDS);
    tell(" at %d", place);
    keep_at((int)result, place);
}

static int two_fds[2];

long place_fds(void)
{
    two_fds[0] = two_fds[1] = -1;
    if (!chance(40))
        return (long)two_fds;
    tell(" <bad>");
    return 16;
}

void show_placed_two(long result, const long *arguments)
{
    if (result < 0)
        return;
    /* The first must not be put over the second. */
    int fds[2] = {fcntl(two_fds[0], F_DUPFD, 100), fcntl(two_fds[1], F_DUPFD, 100)};
    close(two_fds[0]);
    close(two_fds[1]);
    show_placed(fds[0], arguments);
    show_placed(fds[1], arguments);
}

void show_bytes(long result, const long *arguments)
{
    (void)arguments;
    if (result > 0)
        tell(" #%lx", sum_of(buffer, result < BUFFER_SIZE ? (size_t)result : BUFFER_SIZE));
    fill_buffer();
}

/* --- Files --- */

static void open_at(int place, const char *path, int flags) { keep_at(open(path, flags, 0644), place); }

void close_below_places(void)
{
    for (int fd = 3; fd < FIRST_FD; fd++)
        close(fd);
}

void make_files(void)
{
    int ends[2];

    close_below_places();
    open_at(10, "f", O_RDWR | O_CREAT);
    if (write(10, buffer, 10000) != 10000)
        _exit(8);
    open_at(11, "g", O_RDWR | O_CREAT);
    if (write(11, buffer, 300) != 300 || mkdir("d", 0755) || mkdir("d/e", 0755) || symlink("f", "s") ||
        symlink("d", "sd") || symlink("void", "dangling") || symlink("loop", "loop") || mkfifo("fifo", 0600))
        _exit(8);
    close(open("d/f", O_CREAT | O_RDWR, 0644));
    open_at(12, "d", O_RDONLY);
    if (pipe2(ends, O_NONBLOCK))
        _exit(8);
    keep_at(ends[0], 13);
    keep_at(ends[1], 14);
    open_at(15, "f", O_RDONLY);
    open_at(16, "f", O_PATH);
    keep_at(memfd_create("x", MFD_ALLOW_SEALING), 17);
    if (ftruncate(17, 20000))
        _exit(8);
    open_at(18, "/dev/zero", O_RDWR);
    open_at(19, "g", O_WRONLY | O_APPEND);
}
