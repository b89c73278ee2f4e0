/*
 * The first process of Debian's Linux as the referee: loads the modules that an ext3 disk needs, mounts the disk whose
 * serial number is "quire-root" and goes on from there as the program that the command line names after "--", or
 * guest-run, with what Quire mounts itself mounted.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROOT_SERIAL "quire-root"
#define ATTEMPTS 500
#define ATTEMPT_US 10000

static _Noreturn void fail(const char *what)
{
    dprintf(1, "linux-init: %s: %s\n", what, strerror(errno));
    sync();
    syscall(SYS_reboot, 0xfee1dead, 672274793, 0x01234567, NULL);
    for (;;)
        pause();
}

/* The modules' names, one a line, in the order to load them. */
static void load_modules(void)
{
    FILE *list = fopen("/modules/order", "re");
    char name[128], path[256];

    if (list == NULL)
        fail("/modules/order");
    while (fscanf(list, "%127s", name) == 1) {
        int fd;

        snprintf(path, sizeof(path), "/modules/%s", name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
            fail(path);
        close(fd);
    }
    fclose(list);
}

static int is_root_disk(const char *name)
{
    char path[512], serial[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/sys/block/%s/serial", name);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    (void)!fscanf(file, "%31s", serial);
    fclose(file);
    return strcmp(serial, ROOT_SERIAL) == 0;
}

/* Stores the disk's device path in PATH; disks may still be appearing. */
static int find_root_disk(char *path, size_t size)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        DIR *dir = opendir("/sys/block");
        struct dirent *entry;

        while (dir != NULL && (entry = readdir(dir)) != NULL)
            if (is_root_disk(entry->d_name)) {
                snprintf(path, size, "/dev/%s", entry->d_name);
                closedir(dir);
                return 1;
            }
        if (dir != NULL)
            closedir(dir);
        usleep(ATTEMPT_US);
    }
    return 0;
}

int main(int argc, char **argv)
{
    char disk[300], *program[] = {argc > 1 ? argv[1] : "/sbin/quire-run", NULL};

    mkdir("/dev", 0755);
    mkdir("/sys", 0755);
    mkdir("/disk", 0755);
    if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) < 0 || mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
        fail("mount");
    load_modules();
    errno = ENODEV;
    if (!find_root_disk(disk, sizeof(disk)))
        fail("disk " ROOT_SERIAL);
    if (mount(disk, "/disk", "ext3", 0, NULL) < 0)
        fail(disk);
    if (mount("/dev", "/disk/dev", NULL, MS_MOVE, NULL) < 0 || mount("/sys", "/disk/sys", NULL, MS_MOVE, NULL) < 0)
        fail("mount --move");
    if (chdir("/disk") < 0 || mount("/disk", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        fail("the disk as root");
    mount("proc", "/proc", "proc", 0, NULL);
    mkdir("/dev/shm", 01777);
    mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777");
    mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777");
    execv(program[0], program);
    fail(program[0]);
}
