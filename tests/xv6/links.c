/* The lab on symbolic links. */
#include "check.h"

static int type_of(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | flags);
    struct stat info = {.type = -1};

    if (fd < 0)
        return -1;
    fstat(fd, &info);
    close(fd);
    return info.type;
}

static char first_byte(const char *path)
{
    int fd = open(path, O_RDONLY);
    char byte = 0;

    if (fd < 0 || read(fd, &byte, 1) != 1)
        byte = 0;
    close(fd);
    return byte;
}

int main(void)
{
    int fd;

    mkdir("links");
    chdir("links");
    close(make_file("target", 4, 't'));
    CHECK(symlink("target", "one") == 0, "symlink");
    CHECK(first_byte("one") == 't', "opens its target");
    CHECK(type_of("one", O_NOFOLLOW) == T_SYMLINK && type_of("one", 0) == T_FILE, "O_NOFOLLOW opens the link itself");
    CHECK(type_of("target", O_NOFOLLOW) == T_FILE, "and is nothing to other files");
    CHECK(symlink("target", "one") == -1, "not over a name");
    fd = open("one", O_RDWR);
    CHECK(write(fd, "T", 1) == 1 && first_byte("target") == 'T', "writing goes through");
    close(fd);
    CHECK(symlink("one", "two") == 0 && symlink("two", "three") == 0 && first_byte("three") == 'T', "a chain");
    CHECK(unlink("target") == 0 && open("three", O_RDONLY) == -1, "the target gone, it cannot be opened");
    CHECK(type_of("one", O_NOFOLLOW) == T_SYMLINK, "but the links are there");
    CHECK(symlink("nowhere", "dangling") == 0 && open("dangling", O_RDONLY) == -1, "a target need not exist");
    CHECK(symlink("circle2", "circle1") == 0 && symlink("circle1", "circle2") == 0 && open("circle1", O_RDWR) == -1,
          "a circle leads nowhere");
    fd = make_file("target", 4, 'n');
    close(fd);
    CHECK(first_byte("three") == 'n', "a new target is found");
    CHECK(unlink("three") == 0 && first_byte("target") == 'n' && first_byte("two") == 'n', "unlink removes the link");

    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            for (int k = 0; k < 100; k++) {
                symlink("/links/target", "racing");
                unlink("racing");
            }
            exit(0);
        }
    wait(0);
    wait(0);
    CHECK(type_of("racing", O_NOFOLLOW) == -1 && first_byte("target") == 'n', "two who make and remove the same link");
    unlink("one");
    unlink("two");
    unlink("dangling");
    unlink("circle1");
    unlink("circle2");
    unlink("target");
    CHECK(chdir("..") == 0 && unlink("links") == 0, "nothing is left");
    finish();
}
