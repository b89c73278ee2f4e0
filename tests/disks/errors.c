/*
 * What programs see of a disk whose writes fail: errors DEVICE log|data. The file system has a file "file" of 16 KiB. Sources:
 * fsync(2), mount(8) "errors=".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *name(int result)
{
    return result >= 0 ? "ok" : errno == EIO ? "EIO" : errno == EROFS ? "EROFS" : strerror(errno);
}

static void show(const char *what, int result)
{
    printf("%s:%s ", what, name(result));
}

/* A write of the log fails: the journal is aborted. */
static void fail_log(void)
{
    char path[40], byte;
    struct statvfs info;
    int fd, i, result = 0;

    for (i = 0; i < 2000 && result >= 0; i++) {
        snprintf(path, sizeof(path), "new%d", i);
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        result = fd < 0 ? -1 : fsync(fd);
        if (fd >= 0)
            close(fd);
    }
    printf("%s ", result >= 0 ? "never" : errno == EIO || errno == EROFS ? "failed" : strerror(errno));
    show("create", open("more", O_WRONLY | O_CREAT, 0600));
    show("mkdir", mkdir("dir", 0700));
    show("unlink", unlink("file"));
    statvfs(".", &info);
    printf("%s ", info.f_flag & ST_RDONLY ? "ro" : "rw");
    fd = open("file", O_RDONLY);
    show("read", (int)read(fd, &byte, 1));
    show("fsync", fsync(fd));
    show("remount", mount(NULL, "/mnt", NULL, MS_REMOUNT, NULL));
    close(fd);
}

/* A write of a file's data fails: whoever had the file open is told once. */
static void fail_data(void)
{
    static char data[4096];
    int a = open("file", O_RDWR), b = open("file", O_RDWR), c;

    memset(data, 'x', sizeof(data));
    show("write", (int)pwrite(a, data, sizeof(data), 0));
    show("a", fsync(a));
    show("a", fsync(a));
    show("b", fsync(b));
    show("b", fsync(b));
    c = open("file", O_RDWR);
    show("c", fsync(c));
    show("write", (int)pwrite(c, data, sizeof(data), 8192));
    show("c", fsync(c));
    show("create", close(open("more", O_WRONLY | O_CREAT, 0600)));
    close(a);
    close(b);
    close(c);
}

int main(int argc, char **argv)
{
    setbuf(stdout, NULL);
    mkdir("/mnt", 0755);
    if (argc < 3 || mount(argv[1], "/mnt", "ext3", 0, "") != 0 || chdir("/mnt") != 0) {
        perror("mount");
        return 1;
    }
    if (strcmp(argv[2], "log") == 0)
        fail_log();
    else
        fail_data();
    show("chdir", chdir("/"));
    show("umount", umount("/mnt"));
    printf("\n");
    return 0;
}
