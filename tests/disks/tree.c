/* What is on recovered disks of a crash test: tree DEVICE... prints each entry's name, type, links, size and a sum of
 * its bytes and its attributes', as `crash --save` tells it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *const names[] = {"a", "b", "c", "l", "d", "d/a", "d/b", "e", "e/a", "e/b", "e/d", "e/d/a", "e/d/b"};
static const char *const attributes[] = {"user.first", "user.second", "trusted.third"};

static void show(const char *path)
{
    static unsigned char bytes[65536];
    unsigned sum = 1;
    struct stat info;
    ssize_t n = 0;

    if (lstat(path, &info) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            printf("%s: %s\n", path, strerror(errno));
        return;
    }
    if (S_ISREG(info.st_mode)) {
        int fd = open(path, O_RDONLY);

        n = read(fd, bytes, sizeof(bytes));
        close(fd);
    } else if (S_ISLNK(info.st_mode)) {
        n = readlink(path, (char *)bytes, sizeof(bytes));
    }
    for (ssize_t i = 0; i < n; i++)
        sum = sum * 31 + bytes[i];
    for (unsigned k = 0; k < sizeof(attributes) / sizeof(attributes[0]); k++) {
        ssize_t length = lgetxattr(path, attributes[k], bytes, sizeof(bytes));

        for (ssize_t i = 0; i < length; i++)
            sum = sum * 31 + bytes[i];
    }
    printf("%s %c %u %zd %08x\n", path,
           S_ISDIR(info.st_mode)   ? 'd'
           : S_ISLNK(info.st_mode) ? 'l'
                                   : 'f',
           (unsigned)info.st_nlink, n, sum);
}

int main(int argc, char **argv)
{
    setbuf(stdout, NULL);
    mkdir("/mnt", 0755);
    for (int i = 1; i < argc; i++) {
        printf("disk %d\n", i - 1);
        if (mount(argv[i], "/mnt", "ext3", 0, "") != 0 || chdir("/mnt") != 0) {
            printf("mount: %s\n", strerror(errno));
            continue;
        }
        for (unsigned p = 0; p < 3; p++)
            for (unsigned k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
                char path[40];

                snprintf(path, sizeof(path), "p%u/%s", p, names[k]);
                show(path);
            }
        if (chdir("/") != 0 || umount("/mnt") != 0)
            printf("umount: %s\n", strerror(errno));
    }
    return 0;
}
