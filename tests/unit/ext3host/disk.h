/* An image file as a disk: 0 or -1. */
int disk_open(const char *path, unsigned long *size);
int disk_read(int fd, void *data, unsigned long n, unsigned long at);
int disk_write(int fd, const void *data, unsigned long n, unsigned long at);
void disk_close(int fd);
