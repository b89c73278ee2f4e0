/*
 * Names: hard and symbolic links, every case of rename(2), directories and their errors, reading large directories
 * while they change, path walking, times and statx. Source: link(2), rename(2), symlink(2), mkdir(2), rmdir(2),
 * unlink(2), getdents64(2), path_resolution(7), utimensat(2), statx(2).
 */
#include "tap.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

static char long_path[5000];

static void touch(const char *name) { close(make_file(name, name, strlen(name))); }

static int holds(const char *name, const char *text)
{
    char *found = slurp(name);
    int same = found && !strcmp(found, text);

    free(found);
    return same;
}

static int exists(const char *name)
{
    struct stat stat;

    return lstat(name, &stat) == 0;
}

static ino_t inode(const char *name)
{
    struct stat stat;

    return lstat(name, &stat) ? 0 : stat.st_ino;
}

static nlink_t links(const char *name)
{
    struct stat stat;

    return lstat(name, &stat) ? 0 : stat.st_nlink;
}

static void hard_links(void)
{
    touch("a");
    OKAY(link("a", "b"), "link");
    CHECK(inode("a") == inode("b") && links("a") == 2, "two names, one inode, two links");
    FAILS(link("a", "b"), EEXIST, "link over an existing name");
    FAILS(link("none", "c"), ENOENT, "link of nothing");
    NEED(mkdir("dir", 0755));
    FAILS(link("dir", "c"), EPERM, "link of a directory");
    FAILS(link("a", "none/c"), ENOENT, "link into a folder that is not there");
    FAILS(link("a", "b/c"), ENOTDIR, "link into a file");
    NEED(symlink("a", "sym"));
    NEED(link("sym", "symhard"));
    CHECK(inode("sym") == inode("symhard"), "link of a symlink is of the symlink itself");
    NEED(linkat(AT_FDCWD, "sym", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
    CHECK(inode("followed") == inode("a"), "unless AT_SYMLINK_FOLLOW asks for its target");
    FAILS(linkat(AT_FDCWD, "a", AT_FDCWD, "x", 0x8000), EINVAL, "linkat: unknown flags");
    OKAY(unlink("a"), "unlink");
    CHECK(holds("b", "a") && links("b") == 2, "the file stays under its other names");
    FAILS(unlink("a"), ENOENT, "unlink again");
    FAILS(unlink("dir"), EISDIR, "unlink of a directory");
    FAILS(unlink("b/"), ENOTDIR, "unlink of a file with a slash");
    unlink("b"), unlink("sym"), unlink("symhard"), unlink("followed"), rmdir("dir");
}

static void symbolic_links(void)
{
    char text[200], name[16];
    struct stat info;

    touch("target");
    OKAY(symlink("target", "s"), "symlink");
    IS(readlink("s", text, sizeof(text)), 6, "readlink");
    IS(readlink("s", text, 3), 3, "readlink cuts to the buffer");
    FAILS(readlink("target", text, 10), EINVAL, "readlink of a file");
    FAILS(readlink("s", text, 0), EINVAL, "readlink into no buffer");
    FAILS(symlink("x", "s"), EEXIST, "symlink over a name");
    FAILS(symlink("", "e"), ENOENT, "an empty target");
    NEED(lstat("s", &info));
    CHECK(S_ISLNK(info.st_mode) && info.st_size == 6 && (info.st_mode & 0777) == 0777, "lstat sees the link");
    NEED(stat("s", &info));
    CHECK(S_ISREG(info.st_mode), "stat follows it");
    memset(text, 't', 150);
    text[150] = 0;
    OKAY(symlink(text, "slow"), "a target too long for the inode");
    char back[200] = "";
    IS(readlink("slow", back, sizeof(back)), 150, "reads back");
    CHECK(!memcmp(text, back, 150), "whole");
    memset(long_path, 'l', 4095);
    long_path[4095] = 0;
    if (symlink(long_path, "longest") == 0)
        unlink("longest"); /* as long as a block is large, which the block size decides */
    else
        CHECK(errno == ENAMETOOLONG, "a target longer than a block");
    memset(long_path, 'l', 4096);
    long_path[4096] = 0;
    FAILS(symlink(long_path, "too long"), ENAMETOOLONG, "a target of 4096 bytes");

    NEED(symlink("loop2", "loop1"));
    NEED(symlink("loop1", "loop2"));
    FAILS(open("loop1", O_RDONLY), ELOOP, "two symlinks to each other");
    FAILS(chmod("loop1", 0600), ELOOP, "for chmod too");
    OKAY(unlink("loop1"), "but they can be unlinked");
    unlink("loop2");
    NEED(symlink("target", "l0"));
    for (int i = 1; i <= 40; i++) {
        snprintf(text, sizeof(text), "l%d", i - 1);
        snprintf(name, sizeof(name), "l%d", i);
        NEED(symlink(text, name));
    }
    OKAY(stat("l39", &info), "forty symlinks in a row are followed");
    FAILS(stat("l40", &info), ELOOP, "forty-one are not");
    NEED(mkdir("folder", 0755));
    NEED(symlink("folder", "tofolder"));
    touch("folder/in");
    CHECK(exists("tofolder/in") && exists("tofolder/../target") && exists("./folder/.//../folder/in"),
          "paths with dots, doubled slashes, links");
    NEED(lstat("tofolder/", &info));
    CHECK(S_ISDIR(info.st_mode), "a slash behind a symlink follows it");
    FAILS(rmdir("tofolder"), ENOTDIR, "rmdir of a symlink");
    FAILS(unlink("tofolder/"), ENOTDIR, "unlink of one with a slash");
    for (int i = 0; i <= 40; i++) {
        snprintf(name, sizeof(name), "l%d", i);
        unlink(name);
    }
    unlink("folder/in"), rmdir("folder"), unlink("tofolder"), unlink("s"), unlink("slow"), unlink("target");
}

static void renames(void)
{
    ino_t old;

    touch("a");
    old = inode("a");
    OKAY(rename("a", "b"), "rename to a free name");
    CHECK(!exists("a") && inode("b") == old, "moves it");
    touch("c");
    OKAY(rename("b", "c"), "rename over a file");
    CHECK(!exists("b") && inode("c") == old && holds("c", "a"), "replaces it");
    OKAY(rename("c", "c"), "rename to itself");
    CHECK(exists("c"), "changes nothing");
    NEED(link("c", "c2"));
    OKAY(rename("c", "c2"), "rename to another link of the same file");
    CHECK(exists("c") && exists("c2"), "changes nothing either");
    NEED(unlink("c2"));
    FAILS(rename("none", "d"), ENOENT, "rename of nothing");
    FAILS(rename("c", "none/d"), ENOENT, "rename into nowhere");
    NEED(mkdir("d", 0755));
    NEED(mkdir("e", 0755));
    FAILS(rename("c", "d"), EISDIR, "a file over a directory");
    FAILS(rename("d", "c"), ENOTDIR, "a directory over a file");
    OKAY(rename("d", "e"), "a directory over an empty one");
    CHECK(!exists("d") && exists("e"), "replaces it");
    NEED(mkdir("d", 0755));
    touch("e/full");
    if (rename("d", "e") == -1)
        CHECK(errno == ENOTEMPTY || errno == EEXIST, "a directory over a full one");
    else
        CHECK(0, "a directory over a full one");
    FAILS(rename("e", "e/sub"), EINVAL, "a directory into itself");
    FAILS(rename("e/.", "x"), EBUSY, "the name .");
    FAILS(rename("e/..", "x"), EBUSY, "the name ..");
    FAILS(rename("c", "x/"), ENOTDIR, "a file to a name with a slash");
    OKAY(rename("d", "x/"), "a directory to one");
    OKAY(rename("x", "d"), "and back");
    IS(links("d"), 2, "an empty directory has two links");
    OKAY(rename("e", "d/e"), "a directory into another");
    IS(links("d"), 3, "which gets one more");
    OKAY(rename("d/e/full", "d/e/fuller"), "within a moved directory");
    CHECK(exists("d/e/../e/fuller"), "whose .. leads to its new place");
    NEED(symlink("nowhere", "s"));
    OKAY(rename("s", "s2"), "a dangling symlink");
    CHECK(!exists("s") && exists("s2"), "moves itself");
    OKAY(rename("c", "s2"), "a file over a symlink");
    CHECK(inode("s2") == old, "replaces the link, not its target");
    unlink("d/e/fuller"), rmdir("d/e"), rmdir("d"), unlink("s2");
}

static int renameat_flags(const char *from, const char *to, unsigned flags)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void renames_with_flags(void)
{
    touch("a");
    touch("b");
    FAILS(renameat_flags("a", "b", RENAME_NOREPLACE), EEXIST, "RENAME_NOREPLACE of an existing name");
    OKAY(renameat_flags("a", "c", RENAME_NOREPLACE), "of a free one");
    OKAY(renameat_flags("c", "b", RENAME_EXCHANGE), "RENAME_EXCHANGE");
    CHECK(holds("c", "b") && holds("b", "a"), "swaps two files");
    FAILS(renameat_flags("c", "none", RENAME_EXCHANGE), ENOENT, "with nothing it is ENOENT");
    FAILS(renameat_flags("c", "b", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL, "both flags");
    FAILS(renameat_flags("c", "b", 0x100), EINVAL, "unknown flags");
    NEED(mkdir("d", 0755));
    NEED(mkdir("d/e", 0755));
    OKAY(renameat_flags("c", "d/e", RENAME_EXCHANGE), "a file and a directory change places");
    struct stat stat;
    NEED(lstat("c", &stat));
    CHECK(S_ISDIR(stat.st_mode) && holds("d/e", "b") && links("d") == 2 && inode("c/..") == inode("."),
          "with links and .. right");
    FAILS(renameat_flags("d", "d/e", RENAME_EXCHANGE), EINVAL, "not a directory with what is in it");
    rmdir("c"), unlink("d/e"), rmdir("d"), unlink("b");
}

static void directories(void)
{
    char name[300], text[100];
    struct stat stat;
    int fd;

    OKAY(mkdir("d", 0777), "mkdir");
    NEED(lstat("d", &stat));
    CHECK((stat.st_mode & 07777) == 0755 && stat.st_nlink == 2, "umask applies; two links");
    FAILS(mkdir("d", 0755), EEXIST, "mkdir of an existing name");
    FAILS(mkdir("none/d", 0755), ENOENT, "mkdir in nowhere");
    FAILS(mkdir("", 0755), ENOENT, "mkdir of nothing");
    touch("f");
    FAILS(mkdir("f/d", 0755), ENOTDIR, "mkdir in a file");
    OKAY(mkdir("slash/", 0755), "mkdir with a slash behind");
    FAILS(rmdir("f"), ENOTDIR, "rmdir of a file");
    FAILS(rmdir("none"), ENOENT, "rmdir of nothing");
    FAILS(rmdir("d/."), EINVAL, "rmdir of .");
    NEED(mkdir("d/e", 0755));
    FAILS(rmdir("d"), ENOTEMPTY, "rmdir of a full directory");
    FAILS(rmdir("d/e/.."), ENOTEMPTY, "rmdir of ..");
    FAILS(rmdir("/"), EBUSY, "rmdir of /");
    FAILS(unlinkat(AT_FDCWD, "d", 0x8000), EINVAL, "unlinkat: unknown flags");
    OKAY(unlinkat(AT_FDCWD, "d/e", AT_REMOVEDIR), "unlinkat with AT_REMOVEDIR");

    memset(name, 'n', 256);
    name[255] = 0;
    OKAY(mkdir(name, 0755), "a name of 255 letters");
    OKAY(rmdir(name), "and gone");
    name[255] = 'n';
    name[256] = 0;
    FAILS(mkdir(name, 0755), ENAMETOOLONG, "256 are too long");
    FAILS(lstat(name, &stat), ENAMETOOLONG, "to look up, too");
    for (int i = 0; i < 4200; i += 2)
        memcpy(long_path + i, "./", 3);
    memcpy(long_path + 4093, "f", 2);
    long_path[4092] = '/';
    OKAY(lstat(long_path, &stat), "a path of 4094 letters");
    memset(long_path + 4090, '/', 10);
    memcpy(long_path + 4096, "f", 2);
    FAILS(lstat(long_path, &stat), ENAMETOOLONG, "of 4097 is too long");

    fd = (int)NEED(open("d", O_RDONLY));
    NEED(chdir("d"));
    NEED(rmdir("../d"));
    FAILS(open("new", O_CREAT | O_RDWR, 0644), ENOENT, "nothing can be made in a removed directory");
    FAILS(getcwd(text, sizeof(text)) ? 0 : -1, ENOENT, "which has no path");
    IS(syscall(SYS_getdents64, fd, long_path, 1000) <= 0, 1, "and no entries");
    NEED(chdir(".."));
    close(fd);
    FAILS(getcwd(text, 2) ? 0 : -1, ERANGE, "getcwd into too small a buffer");
    FAILS(chdir("f"), ENOTDIR, "chdir to a file");
    FAILS(fchdir(99), EBADF, "fchdir to nothing");
    FAILS(mknod("blk/none", S_IFREG | 0644, 0), ENOENT, "mknod in nowhere");
    OKAY(mknod("node", S_IFREG | 0600, 0), "mknod of a regular file");
    if (geteuid() == 0) {
        OKAY(mknod("null", S_IFCHR | 0666, makedev(1, 3)), "mknod of a device");
        NEED(lstat("null", &stat));
        CHECK(S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(1, 3), "keeps its numbers");
        unlink("null");
    }
    rmdir("slash"), unlink("f"), unlink("node");
}

/* ---- Large directories ---- */

#define ENTRIES 3000

static char seen[ENTRIES];

struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* Reads on, marks what it sees; returns how many it saw, and in *LAST the offset after the last one. BUDGET entries at
 * most. */
static int scan(int fd, int budget, int64_t *last)
{
    static char block[2048] __attribute__((aligned(8)));
    int found = 0;
    long got;

    while ((got = syscall(SYS_getdents64, fd, block, sizeof(block))) > 0)
        for (long at = 0; at < got; at += ((struct entry *)(block + at))->length) {
            struct entry *entry = (struct entry *)(block + at);
            int number;

            if (sscanf(entry->name, "entry-%d", &number) == 1)
                seen[number]++;
            found++;
            *last = entry->offset;
            if (found == budget) {
                lseek(fd, *last, SEEK_SET);
                return found;
            }
        }
    return got < 0 ? -1 : found;
}

static void large_directory(void)
{
    char name[32], small[8];
    int64_t at = 0;
    int fd, good = 1, found;

    NEED(mkdir("many", 0755));
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(name, sizeof(name), "many/entry-%d", i);
        fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
        good &= fd >= 0;
        close(fd);
    }
    CHECK(good, "%d files in a directory", ENTRIES);
    fd = (int)NEED(open("many", O_RDONLY));
    IS(scan(fd, ENTRIES * 2, &at), ENTRIES + 2, "getdents64 lists them all, with . and ..");
    for (int i = 0; i < ENTRIES; i++)
        good &= seen[i] == 1;
    CHECK(good, "each once");
    FAILS(syscall(SYS_getdents64, fd, small, sizeof(small)) == 0
              ? (lseek(fd, 0, SEEK_SET), syscall(SYS_getdents64, fd, small, 8))
              : -2,
          EINVAL, "getdents64 into too small a buffer");

    memset(seen, 0, sizeof(seen));
    lseek(fd, 0, SEEK_SET);
    found = 0;
    for (int part; (part = scan(fd, 97, &at)) > 0;)
        found += part;
    for (int i = 0; i < ENTRIES; i++)
        good &= seen[i] == 1;
    CHECK(good && found == ENTRIES + 2, "lseek to an entry's offset goes on there");

    memset(seen, 0, sizeof(seen));
    lseek(fd, 0, SEEK_SET);
    found = scan(fd, ENTRIES / 2, &at);
    for (int i = 0; i < ENTRIES; i += 3) { /* a third of them goes while the list is half read; others come */
        snprintf(name, sizeof(name), "many/entry-%d", i);
        NEED(unlink(name));
        snprintf(name, sizeof(name), "many/fresh-%d", i);
        close((int)NEED(open(name, O_CREAT | O_WRONLY, 0644)));
    }
    scan(fd, ENTRIES * 2, &at);
    good = 1;
    for (int i = 0; i < ENTRIES; i++)
        good &= i % 3 == 0 ? seen[i] <= 1 : seen[i] == 1;
    CHECK(good, "entries that stay are seen exactly once while others come and go");
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(name, sizeof(name), i % 3 == 0 ? "many/fresh-%d" : "many/entry-%d", i);
        good &= unlink(name) == 0;
    }
    CHECK(good && rmdir("many") == 0, "all of them can be removed, and then the directory");
    close(fd);
}

/* ---- Times ---- */

static void times_of(const char *name, struct stat *stat) { NEED(lstat(name, stat)); }

static void timestamps(void)
{
    struct timespec set[2] = {{1000000000, 0}, {1100000000, 0}}, omit[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}},
                    bad[2] = {{0, -1}, {0, 0}};
    struct stat before, after;
    struct statx extended;

    touch("t");
    OKAY(utimensat(AT_FDCWD, "t", set, 0), "utimensat");
    times_of("t", &before);
    CHECK(before.st_atim.tv_sec == 1000000000 && before.st_mtim.tv_sec == 1100000000, "sets both times");
    CHECK(before.st_ctim.tv_sec > 1100000000, "and ctime to now");
    NEED(utimensat(AT_FDCWD, "t", omit, 0));
    times_of("t", &after);
    CHECK(after.st_atim.tv_sec == 1000000000 && after.st_mtim.tv_sec > 1100000000, "UTIME_OMIT and UTIME_NOW");
    FAILS(utimensat(AT_FDCWD, "t", bad, 0), EINVAL, "nanoseconds out of range");
    FAILS(utimensat(AT_FDCWD, "none", set, 0), ENOENT, "of nothing");
    NEED(utimensat(AT_FDCWD, "t", set, 0));
    NEED(truncate("t", 0));
    times_of("t", &after);
    CHECK(after.st_mtim.tv_sec > 1100000000, "truncate sets mtime");
    NEED(utimensat(AT_FDCWD, "t", set, 0));
    NEED(chmod("t", 0600));
    times_of("t", &after);
    CHECK(after.st_mtim.tv_sec == 1100000000, "chmod does not");
    NEED(mkdir("td", 0755));
    NEED(utimensat(AT_FDCWD, "td", set, 0));
    touch("td/x");
    times_of("td", &after);
    CHECK(after.st_mtim.tv_sec > 1100000000, "a new name sets its directory's mtime");
    NEED(utimensat(AT_FDCWD, "td", set, 0));
    NEED(unlink("td/x"));
    times_of("td", &after);
    CHECK(after.st_mtim.tv_sec > 1100000000, "so does a name that goes");

    OKAY(statx(AT_FDCWD, "t", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &extended), "statx");
    times_of("t", &after);
    CHECK(extended.stx_ino == after.st_ino && extended.stx_mode == after.st_mode &&
              extended.stx_nlink == after.st_nlink && extended.stx_mtime.tv_sec == after.st_mtim.tv_sec &&
              (extended.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS &&
              makedev(extended.stx_dev_major, extended.stx_dev_minor) == after.st_dev,
          "agrees with lstat");
    FAILS(statx(AT_FDCWD, "t", 0x80000, STATX_BASIC_STATS, &extended), EINVAL, "statx: unknown flags");
    FAILS(statx(AT_FDCWD, "", 0, STATX_BASIC_STATS, &extended), ENOENT, "statx of the empty name");
    int fd = (int)NEED(open("t", O_RDONLY));
    OKAY(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &extended), "with AT_EMPTY_PATH it is the descriptor's file");
    OKAY(fstatat(fd, "", &after, AT_EMPTY_PATH), "for fstatat, too");
    close(fd);
    unlink("t"), rmdir("td");
}

static void body(void)
{
    hard_links();
    symbolic_links();
    renames();
    renames_with_flags();
    directories();
    large_directory();
    timestamps();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
