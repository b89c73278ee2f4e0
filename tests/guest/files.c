/*
 * Open files and their contents: open's flags, offsets, positioned and vectored transfers, sparse and very large files,
 * truncation, descriptors. Names are namespace's subject, rights permissions'. Source: open(2), lseek(2), read(2),
 * write(2), readv(2), truncate(2), fcntl(2), dup(2), fallocate(2).
 */
#include "tap.h"

#include <sys/uio.h>
#include <sys/vfs.h>

static char buffer[65536];

static void open_flags(void)
{
    int fd, other;
    struct stat stat;

    FAILS(open("none", O_RDONLY), ENOENT, "open: no such file");
    FAILS(open("none/x", O_CREAT | O_RDWR, 0644), ENOENT, "open: O_CREAT in a folder that is not there");
    FAILS(open("", O_RDONLY), ENOENT, "open: the empty name");
    fd = (int)OKAY(open("f", O_CREAT | O_EXCL | O_RDWR, 0640), "open: O_CREAT | O_EXCL");
    NEED(fstat(fd, &stat));
    CHECK(S_ISREG(stat.st_mode) && (stat.st_mode & 07777) == 0640 && stat.st_nlink == 1 && stat.st_size == 0,
          "a new, empty file");
    FAILS(open("f", O_CREAT | O_EXCL | O_RDWR, 0640), EEXIST, "open: O_EXCL of a file that is there");
    NEED(symlink("nowhere", "dangling"));
    FAILS(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0640), EEXIST, "open: O_EXCL of a dangling symlink");
    close((int)OKAY(open("dangling", O_CREAT | O_RDWR, 0640), "open: O_CREAT through a dangling symlink"));
    OKAY(unlink("nowhere"), "makes its target");
    IS(write(fd, "0123456789", 10), 10, "write");
    close(fd);
    fd = (int)NEED(open("f", O_RDONLY));
    FAILS(write(fd, "x", 1), EBADF, "write to a descriptor open for reading");
    FAILS(ftruncate(fd, 0), EINVAL, "ftruncate of one");
    close(fd);
    fd = (int)NEED(open("f", O_WRONLY));
    FAILS(read(fd, buffer, 1), EBADF, "read from a descriptor open for writing");
    close(fd);
    FAILS(read(fd, buffer, 1), EBADF, "read from a closed descriptor");

    fd = (int)NEED(open("f", O_WRONLY | O_APPEND));
    IS(lseek(fd, 2, SEEK_SET), 2, "seek in a file open for appending");
    IS(write(fd, "ab", 2), 2, "write");
    IS(lseek(fd, 0, SEEK_CUR), 12, "goes to the end");
    IS(pwrite(fd, "cd", 2, 0), 2, "pwrite");
    NEED(fstat(fd, &stat));
    IS(stat.st_size, 14, "does too, on Linux");
    close(fd);
    fd = (int)NEED(open("f", O_WRONLY | O_TRUNC));
    NEED(fstat(fd, &stat));
    IS(stat.st_size, 0, "O_TRUNC empties");
    close(fd);

    NEED(mkdir("d", 0755));
    FAILS(open("d", O_WRONLY), EISDIR, "open: a directory for writing");
    FAILS(open("d", O_RDWR | O_CREAT, 0644), EISDIR, "open: a directory with O_CREAT");
    FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR, "open: O_DIRECTORY of a file");
    FAILS(open("f/x", O_RDONLY), ENOTDIR, "open: through a file");
    FAILS(open("f/", O_RDONLY), ENOTDIR, "open: a file with a slash behind it");
    FAILS(open("new/", O_CREAT | O_RDWR, 0644), EISDIR, "open: O_CREAT with a slash behind it");
    fd = (int)NEED(open("d", O_RDONLY | O_DIRECTORY));
    FAILS(read(fd, buffer, 10), EISDIR, "read of a directory");
    other = (int)OKAY(openat(fd, "inside", O_CREAT | O_RDWR, 0644), "openat in a directory's descriptor");
    FAILS(openat(other, "x", O_RDONLY), ENOTDIR, "openat in a file's");
    FAILS(openat(99, "x", O_RDONLY), EBADF, "openat in none");
    close(other);
    OKAY(unlinkat(fd, "inside", 0), "unlinkat in it");
    close(fd);
    NEED(symlink("f", "link"));
    FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP, "open: O_NOFOLLOW of a symlink");
    fd = (int)OKAY(open("link", O_PATH | O_NOFOLLOW), "open: O_PATH | O_NOFOLLOW of a symlink");
    NEED(fstat(fd, &stat));
    CHECK(S_ISLNK(stat.st_mode), "is the symlink itself");
    FAILS(read(fd, buffer, 1), EBADF, "an O_PATH descriptor is not for reading");
    FAILS(fchmod(fd, 0600), EBADF, "nor for fchmod");
    close(fd);
    IS(fcntl(open("f", O_RDWR | O_APPEND | O_CLOEXEC), F_GETFL) & (O_ACCMODE | O_APPEND), O_RDWR | O_APPEND, "F_GETFL");
    FAILS(open("f", O_TMPFILE | O_RDWR, 0600), ENOTDIR, "open: O_TMPFILE in a file");
}

static void tmpfile_flag(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    struct stat stat;

    if (fd < 0) {
        CHECK(errno == EOPNOTSUPP || errno == EISDIR, "O_TMPFILE is not supported, and says so");
        return;
    }
    NEED(fstat(fd, &stat));
    CHECK(stat.st_nlink == 0 && write(fd, "x", 1) == 1, "O_TMPFILE makes a file without a name");
    close(fd);
}

static void offsets(void)
{
    int fd = make_file("offsets", "0123456789", 10), copy;

    IS(lseek(fd, -3, SEEK_END), 7, "SEEK_END");
    IS(lseek(fd, -2, SEEK_CUR), 5, "SEEK_CUR");
    IS(read(fd, buffer, 100), 5, "a read stops at the end");
    IS(read(fd, buffer, 100), 0, "and there it is 0");
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL, "a negative offset");
    FAILS(lseek(fd, 0, 77), EINVAL, "an unknown whence");
    IS(lseek(fd, 1000, SEEK_SET), 1000, "past the end is fine");
    IS(read(fd, buffer, 1), 0, "to read nothing");
    FAILS(pread(fd, buffer, 1, -1), EINVAL, "pread at a negative offset");
    IS(pread(fd, buffer, 3, 4), 3, "pread");
    CHECK(!memcmp(buffer, "456", 3) && lseek(fd, 0, SEEK_CUR) == 1000, "leaves the offset");
    IS(write(fd, "end", 3), 3, "write past the end");
    IS(pread(fd, buffer, 2000, 0), 1003, "makes the file longer");
    CHECK(buffer[500] == 0 && buffer[999] == 0 && buffer[1000] == 'e', "with zeros between");

    copy = (int)OKAY(dup(fd), "dup");
    NEED(lseek(fd, 5, SEEK_SET));
    IS(lseek(copy, 0, SEEK_CUR), 5, "shares the offset");
    IS(dup2(fd, copy), copy, "dup2 onto itself");
    IS(dup2(fd, 100), 100, "dup2 to a number");
    IS(fcntl(fd, F_DUPFD, 100), 101, "F_DUPFD takes the next free one");
    IS(fcntl(100, F_GETFD), 0, "which are not closed on exec");
    IS(dup3(fd, 101, O_CLOEXEC), 101, "dup3");
    IS(fcntl(101, F_GETFD), FD_CLOEXEC, "with O_CLOEXEC is");
    FAILS(dup3(fd, fd, 0), EINVAL, "dup3 onto itself");
    FAILS(dup2(fd, 1 << 30), EBADF, "dup2 past the limit");
    FAILS(fcntl(fd, F_DUPFD, 1 << 30), EINVAL, "F_DUPFD past the limit");
    FAILS(dup(99), EBADF, "dup of nothing");
    FAILS(fcntl(fd, 9999, 0), EINVAL, "an unknown fcntl");
    close(copy), close(fd), close(100), close(101);
    FAILS(close(fd), EBADF, "close twice");
    FAILS(lseek(-1, 0, SEEK_SET), EBADF, "lseek of -1");
    int fds[2];
    NEED(pipe(fds));
    FAILS(lseek(fds[0], 0, SEEK_CUR), ESPIPE, "lseek of a pipe");
    FAILS(pread(fds[0], buffer, 1, 0), ESPIPE, "pread of a pipe");
    close(fds[0]), close(fds[1]);
}

static void vectors(void)
{
    char one[4], two[6], three[100];
    struct iovec in[3] = {{one, 4}, {two, 6}, {three, 100}}, out[3] = {{"abcd", 4}, {NULL, 0}, {"efghijklm", 9}},
                 many[1025];
    int fd = make_file("vectors", "", 0);

    IS(writev(fd, out, 3), 13, "writev gathers");
    NEED(lseek(fd, 0, SEEK_SET));
    IS(readv(fd, in, 3), 13, "readv scatters");
    CHECK(!memcmp(one, "abcd", 4) && !memcmp(two, "efghij", 6) && !memcmp(three, "klm", 3), "in order");
    IS(preadv(fd, in, 2, 3), 10, "preadv");
    CHECK(!memcmp(one, "defg", 4), "at its offset");
    IS(pwritev(fd, out, 1, 20), 4, "pwritev");
    IS(lseek(fd, 0, SEEK_END), 24, "at its offset");
    FAILS(syscall(SYS_readv, fd, in, -1), EINVAL, "a negative number of buffers");
    for (int i = 0; i < 1025; i++)
        many[i] = (struct iovec){one, 1};
    FAILS(writev(fd, many, 1025), EINVAL, "more than 1024 buffers");
    IS(readv(fd, many, 0), 0, "no buffers");
    many[0].iov_len = -1UL;
    FAILS(readv(fd, many, 2), EINVAL, "a negative length");
    IS(preadv2(fd, in, 1, 0, 0), 4, "preadv2");
    FAILS(preadv2(fd, in, 1, 0, 0x40000000), EOPNOTSUPP, "preadv2 with unknown flags");
    close(fd);
}

static void sparse(void)
{
    struct stat stat;
    int fd = make_file("sparse", "", 0);
    off_t data;

    NEED(pwrite(fd, "a", 1, 1 << 20));
    NEED(pwrite(fd, "b", 1, 5 << 20));
    NEED(fsync(fd));
    NEED(fstat(fd, &stat));
    CHECK(stat.st_size == (5 << 20) + 1 && stat.st_blocks < 200, "a file with holes has few blocks (%ld)",
          (long)stat.st_blocks);
    data = lseek(fd, 0, SEEK_DATA);
    CHECK(data == 0 || data == 1 << 20, "SEEK_DATA finds data, or takes all for data (%ld)", (long)data);
    if (data) {
        CHECK(lseek(fd, 1 << 20, SEEK_HOLE) > 1 << 20 && lseek(fd, 1 << 20, SEEK_HOLE) < 2 << 20,
              "SEEK_HOLE finds the hole behind");
        IS(lseek(fd, 2 << 20, SEEK_DATA), 5 << 20, "SEEK_DATA the next data");
        IS(lseek(fd, 0, SEEK_HOLE), 0, "the file begins with a hole");
    }
    FAILS(lseek(fd, 6 << 20, SEEK_DATA), ENXIO, "SEEK_DATA past the end");
    FAILS(lseek(fd, 6 << 20, SEEK_HOLE), ENXIO, "SEEK_HOLE past the end");
    IS(lseek(fd, 5 << 20, SEEK_HOLE), (5 << 20) + 1, "the end is a hole");
    memset(buffer, 1, 4096);
    IS(pread(fd, buffer, 4096, 3 << 20), 4096, "read of a hole");
    CHECK(buffer[0] == 0 && buffer[4095] == 0, "is zeros");
    close(fd);
}

/* Through single, double and triple indirect blocks of any block size, and past 4 GiB. */
static void large_offsets(void)
{
    static const off_t places[] = {0,        11 * 1024, 13 * 1024, 48 * 1024 - 1,  268 * 1024 + 5, 300L << 10,
                                   4L << 20, 60L << 20, 70L << 20, (1L << 30) + 3, (4L << 30) - 2, (4L << 30) + 12345,
                                   5L << 30, 15L << 30};
    const int count = sizeof(places) / sizeof(places[0]);
    int fd = make_file("large", "", 0), good = 1;
    struct stat stat;
    char byte;

    for (int i = 0; i < count; i++) {
        byte = (char)('A' + i);
        if (pwrite(fd, &byte, 1, places[i]) != 1)
            good = 0, diag("pwrite at %ld: %s", (long)places[i], errno_name(errno));
    }
    CHECK(good, "bytes from the start to 15 GiB are written");
    NEED(fsync(fd));
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (int i = 0; i < count; i++) {
        long got = pread(fd, buffer, 3, places[i] ? places[i] - 1 : 0);

        good &= got >= 1 && buffer[places[i] ? 1 : 0] == 'A' + i && (!places[i] || buffer[0] == 0);
    }
    CHECK(good, "and read back, with zeros around them");
    NEED(fstat(fd, &stat));
    CHECK(stat.st_size == (15L << 30) + 1 && stat.st_blocks < 1000, "in few blocks (%ld)", (long)stat.st_blocks);
    OKAY(ftruncate(fd, 300 << 10), "cut down to 300 KiB");
    NEED(fstat(fd, &stat));
    CHECK(stat.st_blocks < 64, "the rest is given back (%ld)", (long)stat.st_blocks);
    OKAY(ftruncate(fd, 70 << 20), "and made longer again");
    IS(pread(fd, buffer, 1, 300 << 10), 1, "read what was cut off");
    IS(buffer[0], 0, "it is zero");
    FAILS(ftruncate(fd, -1), EINVAL, "a negative length");
    FAILS(pwrite(fd, "x", 1, 0x7ffffffffffffff0L), EFBIG, "past what the file system can do is EFBIG");
    FAILS(ftruncate(fd, 0x7ffffffffffffff0L), EFBIG, "for ftruncate too");
    FAILS(truncate("none", 0), ENOENT, "truncate of nothing");
    FAILS(truncate(".", 0), EISDIR, "truncate of a directory");
    close(fd);
    NEED(unlink("large"));
}

static int with_file_limit(void *unused UNUSED)
{
    struct rlimit limit = {1000, 1000};
    int fd = open("limited", O_RDWR | O_CREAT, 0644);

    signal(SIGXFSZ, SIG_IGN);
    if (fd < 0 || setrlimit(RLIMIT_FSIZE, &limit))
        return 1;
    if (pwrite(fd, buffer, 2000, 0) != 1000)
        return 2;
    if (pwrite(fd, buffer, 1, 1000) != -1 || errno != EFBIG)
        return 3;
    if (ftruncate(fd, 1001) != -1 || errno != EFBIG)
        return 4;
    signal(SIGXFSZ, SIG_DFL);
    return (int)pwrite(fd, buffer, 1, 1000);
}

static int with_few_files(void *unused UNUSED)
{
    struct rlimit limit = {20, 20};
    int fd, last = -1, fds[2];

    if (setrlimit(RLIMIT_NOFILE, &limit))
        return 1;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        last = fd;
    if (errno != EMFILE || last != 19)
        return 2;
    if (open("not made", O_WRONLY | O_CREAT, 0600) != -1 || errno != EMFILE || access("not made", F_OK) == 0)
        return 4;
    return pipe(fds) == -1 && errno == EMFILE && dup(0) == -1 && errno == EMFILE ? 0 : 3;
}

static void big_transfers(void)
{
    const size_t length = 3 << 20;
    unsigned *words = malloc(length), *back = malloc(length);
    int fd = make_file("big", "", 0), good;

    for (size_t i = 0; i < length / 4; i++)
        words[i] = (unsigned)i * 2654435761u;
    IS(write(fd, words, length), length, "a write of 3 MiB");
    IS(pread(fd, back, length, 0), length, "a read of 3 MiB");
    CHECK(!memcmp(words, back, length), "gives it back");
    for (size_t at = 1; at < length - 10000; at += 99991)
        NEED(pwrite(fd, (char *)words + at + 1, 7777, at)); /* misaligned overwrites */
    NEED(fsync(fd));
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    good = 1;
    for (size_t at = 1; at < length - 10000; at += 99991)
        good &= pread(fd, back, 7779, at - 1) == 7779 && !memcmp((char *)back + 1, (char *)words + at + 1, 7777) &&
                *(char *)back == ((char *)words)[at - 1] && ((char *)back)[7778] == ((char *)words)[at + 7777];
    CHECK(good, "overwriting pieces changes those and nothing beside them");
    OKAY(fdatasync(fd), "fdatasync");
    OKAY(syncfs(fd), "syncfs");
    close(fd);
    FAILS(fsync(fd), EBADF, "fsync of a closed descriptor");
    free(words);
    free(back);
}

static void space(void)
{
    struct statfs fs;
    int fd = make_file("space", "", 0);
    struct stat stat;

    OKAY(statfs(".", &fs), "statfs");
    CHECK(fs.f_blocks > 0 && fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree && fs.f_namelen == 255 &&
              fs.f_bsize >= 1024,
          "its numbers make sense");
    if (fallocate(fd, 0, 0, 100000) == 0) {
        NEED(fstat(fd, &stat));
        CHECK(stat.st_size == 100000 && stat.st_blocks >= 195, "fallocate allocates");
    } else {
        CHECK(errno == EOPNOTSUPP, "fallocate is EOPNOTSUPP, as on ext3");
    }
    FAILS(fallocate(fd, 0, 0, 0), EINVAL, "fallocate of nothing");
    FAILS(fallocate(fd, 0, -1, 10), EINVAL, "fallocate at a negative offset");
    OKAY(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), "fadvise");
    IS(posix_fadvise(fd, 0, 0, 99), EINVAL, "fadvise: unknown advice");
    close(fd);
}

/* Reads and writes of all small lengths at all alignments, in memory and in the file, and no byte beside them. */
static void small_transfers(void)
{
    static unsigned char content[2048], shadow[2048], room[2048];
    int fd, wrong = 0;

    for (unsigned i = 0; i < sizeof(content); i++)
        content[i] = (unsigned char)(i * 7 + i / 256);
    fd = make_file("small", content, sizeof(content));
    for (unsigned n = 0; n < 1100; n += n < 600 ? 1 : 37)
        for (unsigned at = n % 8; at < 16; at += 3) {
            unsigned from = (at * 5 + n) % 16;

            memset(room, 0xee, sizeof(room));
            wrong += pread(fd, room + at, n, from) != (ssize_t)n || memcmp(room + at, content + from, n) != 0;
            wrong += room[at + n] != 0xee || (at > 0 && room[at - 1] != 0xee);
            memcpy(shadow, content, sizeof(content));
            memcpy(shadow + from, room + at, n);
            memset(room + at, (int)n, n);
            memset(shadow + from, (int)n, n);
            wrong += pwrite(fd, room + at, n, from) != (ssize_t)n;
            wrong += pread(fd, room, sizeof(room), 0) != sizeof(room) || memcmp(room, shadow, sizeof(room)) != 0;
            wrong += pwrite(fd, content, sizeof(content), 0) != sizeof(content);
        }
    IS(wrong, 0, "small reads and writes at all alignments");
    close(fd);
    NEED(unlink("small"));
}

/* An open file without a name works until it is closed. */
static void nameless(void)
{
    int fd = make_file("nameless", "content", 7);
    struct stat stat;

    NEED(unlink("nameless"));
    NEED(fstat(fd, &stat));
    IS(stat.st_nlink, 0, "an unlinked file has no links");
    IS(pwrite(fd, "more", 4, 100000), 4, "but can be written");
    CHECK(pread(fd, buffer, 7, 0) == 7 && !memcmp(buffer, "content", 7), "and read");
    FAILS(open("nameless", O_RDONLY), ENOENT, "though not by its name");
    close(fd);
}

/* Paths wherever they lie in memory: at each alignment, up to the last byte before a hole, across two pages. */
static void paths_in_memory(void)
{
    static const char name[] = "./././///a-name-of-some-length-in-the-folder";
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *end = pages + 8192;
    int found = 1, refused = 1;
    char longest[4096];
    struct stat info;

    NEED(pages != MAP_FAILED ? 0 : -1);
    NEED(munmap(end, 4096));
    close(make_file("a-name-of-some-length-in-the-folder", "x", 1));
    for (size_t skipped = 0; skipped < 12; skipped++) {
        size_t n = sizeof(name) - skipped;
        const char *wanted = name + skipped;
        int whole = skipped <= 8 && wanted[0] != '/';

        for (size_t back = 0; back < 16 && whole; back++) {
            memcpy(end - n - back, wanted, n);
            found = found && stat(end - n - back, &info) == 0 && info.st_size == 1;
            memcpy(pages + 4096 - n / 2 - back, wanted, n);
            found = found && stat(pages + 4096 - n / 2 - back, &info) == 0;
        }
        memset(end - 64, 'x', 64);
        refused = refused && stat(end - 3 - skipped, &info) == -1 && errno == EFAULT;
    }
    CHECK(found, "a path is read at any alignment, up to the end of memory");
    CHECK(refused, "one that runs into a hole is EFAULT");
    memset(longest, '/', sizeof(longest));
    strcpy(longest + 4094, ".");
    OKAY(stat(longest, &info), "a path of 4095 bytes");
    longest[4095] = '/';
    FAILS(stat(longest, &info), ENAMETOOLONG, "one of 4096");
    memset(longest, 'n', 256);
    longest[256] = '\0';
    FAILS(stat(longest, &info), ENAMETOOLONG, "a name of 256 bytes");
    longest[255] = '\0';
    FAILS(stat(longest, &info), ENOENT, "one of 255");
    close(make_file(longest, "x", 1));
    OKAY(stat(longest, &info), "which may be made");
    memset(pages, 0x55, 4096);
    IS(stat("a-name-of-some-length-in-the-folder", (struct stat *)(pages + 4096 - 64)), 0, "stat into two pages");
    IS(((struct stat *)(pages + 4096 - 64))->st_size, 1, "gives all");
    FAILS(stat(longest, (struct stat *)(end - 64)), EFAULT, "stat into a hole");
    NEED(unlink(longest));
    NEED(unlink("a-name-of-some-length-in-the-folder"));
    NEED(munmap(pages, 8192));
}

static struct timespec access_time(int fd)
{
    struct stat st = {0};

    fstat(fd, &st);
    return st.st_atim;
}

static int is_later(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* relatime: a change makes the next reading noted, however soon after others that were not it comes. */
static void access_times(void)
{
    int fd = (int)NEED(open("accessed", O_CREAT | O_RDWR, 0600)), missed = 0, noted = 0;
    struct timespec old[2] = {{1000, 0}, {2000, 0}}, before, after;
    char c;

    OKAY(pwrite(fd, "text", 4, 0), "access times: write");
    for (int i = 0; i < 4; i++) {
        usleep(1200 * 1000); /* the file system's times may be whole seconds */
        IS(pread(fd, &c, 1, 0), 1, "access times: read");
        before = access_time(fd);
        usleep(20 * 1000);
        pread(fd, &c, 1, 0);
        after = access_time(fd);
        noted += is_later(after, before);
        if (i % 2 == 0)
            OKAY(futimens(fd, old), "access times: set back");
        else
            OKAY(pwrite(fd, "more", 4, 0), "access times: write again");
        before = access_time(fd);
        usleep(1200 * 1000);
        pread(fd, &c, 1, 0);
        missed += !is_later(access_time(fd), before);
        if (i % 2 == 0)
            OKAY(pwrite(fd, "more", 4, 0), "access times: write again");
    }
    IS(noted, 0, "access times: a second reading is not noted");
    IS(missed, 0, "access times: a reading after each change is");
    close(fd);
}

static void body(void)
{
    access_times();
    open_flags();
    paths_in_memory();
    tmpfile_flag();
    offsets();
    vectors();
    sparse();
    large_offsets();
    IS(in_child(with_file_limit, NULL).signal, SIGXFSZ, "RLIMIT_FSIZE: short writes, EFBIG, SIGXFSZ");
    EXITS(with_few_files, NULL, 0, "RLIMIT_NOFILE: EMFILE");
    small_transfers();
    big_transfers();
    space();
    nameless();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
