/* Files and folders: flags, limits, names of 14 characters, folders read as files. */
#include "check.h"

static int size_of(const char *path)
{
    struct stat info;

    return stat(path, &info) < 0 ? -1 : (int)info.size;
}

static void test_open(void)
{
    char buffer[16];
    int fd;

    CHECK(open("missing", O_RDONLY) == -1, "open of nothing fails");
    fd = open("file", O_CREATE | O_RDWR);
    CHECK(fd == 3 && write(fd, "hello", 5) == 5, "O_CREATE makes a file; it gets the lowest descriptor");
    close(fd);
    fd = open("file", O_CREATE | O_RDWR);
    CHECK(read(fd, buffer, sizeof(buffer)) == 5 && memcmp(buffer, "hello", 5) == 0, "O_CREATE keeps what is there");
    close(fd);
    close(open("file", O_TRUNC | O_WRONLY));
    CHECK(size_of("file") == 0, "O_TRUNC empties it");
    fd = open("file", O_RDONLY);
    CHECK(write(fd, "x", 1) == -1, "no writing with O_RDONLY");
    close(fd);
    fd = open("file", O_WRONLY);
    CHECK(read(fd, buffer, 1) == -1, "no reading with O_WRONLY");
    close(fd);
    CHECK(close(fd) == -1 && read(fd, buffer, 1) == -1 && dup(fd) == -1, "a closed descriptor is none");
    CHECK(close(-1) == -1 && close(1000) == -1 && dup(1000) == -1 && write(1001, "x", 1) == -1,
          "nor is any other number");
    unlink("file");
}

static void test_writes(void)
{
    int fd = make_file("file", 10, 'a'), other;
    char *end, byte = 0;

    other = open("file", O_TRUNC | O_WRONLY);
    CHECK(write(fd, "x", 1) == -1, "no writing past the end of a file that was cut");
    close(fd);
    end = sbrk(PGSIZE - (uint64)sbrk(0) % PGSIZE);
    end = sbrk(0);
    end[-1] = 'e';
    CHECK(write(other, end - 1, 1) == 1, "what is in memory can be written");
    close(other);
    fd = open("file", O_RDONLY);
    CHECK(read(fd, &byte, 1) == 1 && byte == 'e' && read(fd, &byte, 1) == 0, "and read back");
    close(fd);
    unlink("file");
}

static void test_descriptors(void)
{
    int count = 3, fd, copy;
    char byte;

    while ((fd = open("/", O_RDONLY)) >= 0)
        count++;
    CHECK(count == NOFILE, "NOFILE descriptors and no more");
    for (int i = 3; i < NOFILE; i++)
        close(i);
    fd = make_file("shared", 100, 'a');
    copy = dup(fd);
    close(fd);
    fd = open("shared", O_RDONLY);
    copy = dup(fd);
    CHECK(read(fd, &byte, 1) == 1 && read(copy, &byte, 1) == 1, "dup gives the same open file");
    close(fd);
    CHECK(read(copy, &byte, 1) == 1, "which lives on in the copy");
    close(copy);
    close(3);
    close(4);
    unlink("shared");
}

static void test_names(void)
{
    struct stat one, other;
    int fd;

    close(open("first", O_CREATE | O_RDWR));
    CHECK(link("first", "second") == 0 && stat("first", &one) == 0 && stat("second", &other) == 0 &&
              one.ino == other.ino && one.nlink == 2,
          "link gives a second name");
    CHECK(link("first", "second") == -1 && link("missing", "third") == -1, "not over a name, nor to nothing");
    CHECK(unlink("first") == 0 && stat("first", &one) == -1 && stat("second", &one) == 0, "unlink takes one away");
    fd = open("second", O_RDWR);
    CHECK(unlink("second") == 0 && write(fd, "still", 5) == 5 && fstat(fd, &one) == 0 && one.nlink == 0,
          "a file without a name lives while it is open");
    close(fd);

    CHECK(mkdir("folder") == 0 && mkdir("folder") == -1, "mkdir, once");
    CHECK(stat("folder", &one) == 0 && one.type == T_DIR && one.nlink == 1, "a folder has type T_DIR and one link");
    CHECK(open("folder", O_RDWR) == -1 && open("folder", O_CREATE | O_RDWR) == -1, "and cannot be opened for writing");
    CHECK(link("folder", "linked") == -1, "nor linked");
    CHECK(chdir("folder") == 0 && chdir("missing") == -1, "chdir");
    close(open("inside", O_CREATE | O_RDWR));
    CHECK(unlink("../folder") == -1, "a folder that is not empty stays");
    CHECK(stat("../folder//inside", &one) == 0 && one.type == T_FILE, "slashes count once");
    unlink("inside");
    CHECK(unlink(".") == -1 && unlink("..") == -1, "no unlinking of . and ..");
    CHECK(chdir("..") == 0 && unlink("folder") == 0, "unlink takes an empty folder");
    CHECK(mkdir("") == -1 && open("", O_CREATE | O_RDWR) == -1, "nothing is no name");
}

static void test_long_names(void)
{
    char path[MAXPATH + 1];

    CHECK(mkdir("fourteen_chars") == 0 && mkdir("fourteen_chars_and_more") == -1, "14 characters of a name count");
    CHECK(mkdir("fourteen_charsX/inner") == 0 && chdir("fourteen_chars/inner") == 0, "anywhere in a path");
    chdir("../..");
    CHECK(unlink("fourteen_chars/inner") == 0 && unlink("fourteen_charsY") == 0, "and in unlink");
    memset(path, '/', MAXPATH);
    path[MAXPATH] = 0;
    CHECK(open(path, O_RDONLY) == -1, "a path has less than MAXPATH characters");
}

/* What read() finds in the folder: the number of entries, or -1 when NAME is not among them. */
static int entries_with(const char *folder, const char *name, int step)
{
    struct dirent entries[4];
    int fd = open(folder, O_RDONLY), count = 0, found = 0, got;

    while ((got = read(fd, entries, step * sizeof(*entries))) > 0)
        for (int i = 0; i < got / (int)sizeof(*entries); i++) {
            char text[DIRSIZ + 1];

            if (!entries[i].inum)
                continue;
            memmove(text, entries[i].name, DIRSIZ);
            text[DIRSIZ] = 0;
            found |= strcmp(text, name) == 0;
            count++;
        }
    close(fd);
    return got == 0 && found ? count : -1;
}

static void test_reading_folders(void)
{
    struct dirent entry, childs;
    char name[] = "d/file00";
    int fd, pid, status;

    mkdir("d");
    for (int i = 0; i < 60; i++) {
        name[6] = '0' + i / 10;
        name[7] = '0' + i % 10;
        close(open(name, O_CREATE | O_RDWR));
    }
    CHECK(entries_with("d", "file37", 1) == 62, "read() of a folder gives entries of 16 bytes");
    CHECK(entries_with("d", "..", 4) == 62, "several at a time");
    fd = open("d", O_RDONLY);
    read(fd, &entry, sizeof(entry));
    pid = fork();
    if (pid == 0)
        exit(read(fd, &childs, sizeof(childs)) == 16 && memcmp(&childs, &entry, 16) != 0 ? childs.inum : 0);
    CHECK(wait(&status) == pid && status > 0, "a child goes on where its parent was");
    CHECK(read(fd, &childs, sizeof(childs)) == 16 && childs.inum != status, "and the parent where the child was");
    CHECK(write(fd, &entry, sizeof(entry)) == -1, "a folder cannot be written");
    close(fd);
    for (int i = 0; i < 60; i++) {
        name[6] = '0' + i / 10;
        name[7] = '0' + i % 10;
        unlink(name);
    }
    CHECK(entries_with("d", ".", 1) == 2 && unlink("d") == 0, "removed entries are gone");
}

static void test_devices(void)
{
    struct stat info;
    int ends[2];

    CHECK(mknod("console_file", 1, 1) == 0 && stat("console_file", &info) == 0 && info.type == T_DEVICE,
          "mknod makes a device");
    unlink("console_file");
    pipe(ends);
    CHECK(fstat(ends[0], &info) == -1, "a pipe has no stat");
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    test_open();
    test_writes();
    test_descriptors();
    test_names();
    test_long_names();
    test_reading_folders();
    test_devices();
    finish();
}
