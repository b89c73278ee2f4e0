/* The image file, away from the kernel's headers, which have names of libc's. */
#include "tests/unit/ext3host/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int disk_open(const char *path, unsigned long *size)
{
    struct stat st;
    int fd = open(path, O_RDWR);

    if (fd >= 0 && size != 0 && fstat(fd, &st) == 0)
        *size = (unsigned long)st.st_size;
    return fd;
}

int disk_read(int fd, void *data, unsigned long n, unsigned long at)
{
    return pread(fd, data, n, (off_t)at) == (ssize_t)n ? 0 : -1;
}
int disk_write(int fd, const void *data, unsigned long n, unsigned long at)
{
    return pwrite(fd, data, n, (off_t)at) == (ssize_t)n ? 0 : -1;
}
void disk_close(int fd) { close(fd); }
