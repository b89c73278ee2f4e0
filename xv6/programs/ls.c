/* ls [PATH...]: name, type, inode number and size of files, and of what is in folders. */
#include "kernel/types.h"
#include "kernel/fcntl.h"
#include "kernel/fs.h"
#include "kernel/stat.h"
#include "user/user.h"

static void show(const char *name, const struct stat *info)
{
    printf("%s", name);
    for (int column = strlen(name); column <= DIRSIZ; column++)
        printf(" ");
    printf("%d %d %lu\n", info->type, (int)info->ino, info->size);
}

static void list(const char *path)
{
    char full[128 + DIRSIZ + 2];
    struct dirent entry;
    struct stat info;
    int fd = open(path, O_RDONLY);

    if (fd < 0 || fstat(fd, &info) < 0 || strlen(path) > 128) {
        fprintf(2, "ls: cannot open %s\n", path);
        exit(1);
    }
    if (info.type != T_DIR)
        show(path, &info);
    while (info.type == T_DIR && read(fd, &entry, sizeof(entry)) == sizeof(entry)) {
        struct stat inner;
        char *name = full + strlen(path) + 1;

        if (entry.inum == 0)
            continue;
        strcpy(full, path);
        name[-1] = '/';
        memmove(name, entry.name, DIRSIZ);
        name[DIRSIZ] = 0;
        if (stat(full, &inner) < 0)
            printf("%s: cannot be opened\n", name);
        else
            show(name, &inner);
    }
    close(fd);
}

int main(int argc, char *argv[])
{
    if (argc < 2)
        list(".");
    for (int i = 1; i < argc; i++)
        list(argv[i]);
    exit(0);
}
