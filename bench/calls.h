/*
 * Plain system calls, and names of files.
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include "measure.h"

static char block_64k[65536];

MEASURE(clock_gettime_call, "op", "clock_gettime(CLOCK_MONOTONIC)")
{
    struct timespec time;

    return TIMES(9, 1000, clock_gettime(CLOCK_MONOTONIC, &time));
}

MEASURE(null_getppid, "op", "getppid") { return TIMES(9, 1000, getppid()); }

static double transfer(const char *device, int write_it, size_t length)
{
    int fd = open(device, O_RDWR);
    double result;

    must(fd >= 0, device);
    if (write_it)
        result = TIMES(9, 500, must(write(fd, block_64k, length) == (ssize_t)length, device));
    else
        result = TIMES(9, 500, must(read(fd, block_64k, length) == (ssize_t)length, device));
    close(fd);
    return result;
}

MEASURE(null_read, "op", "read 1 byte of /dev/zero") { return transfer("/dev/zero", 0, 1); }

MEASURE(read_zero_4k, "op", "read 4096 bytes of /dev/zero") { return transfer("/dev/zero", 0, 4096); }

MEASURE(null_write, "op", "write 1 byte to /dev/null") { return transfer("/dev/null", 1, 1); }

static char small_file[600];

/* By its absolute path, as programs mostly name files; what it costs depends on how deep the folder lies. */
static void make_small_file(void)
{
    int fd;

    must(getcwd(small_file, 500) != NULL, "getcwd");
    strcat(small_file, "/vmbench.small");
    fd = open(small_file, O_RDWR | O_CREAT | O_TRUNC, 0644);
    must(fd >= 0 && write(fd, block_64k, 4096) == 4096, small_file);
    close(fd);
}

MEASURE(open_close, "op", "open + close a file of $VMBENCH_DIR")
{
    double result;

    make_small_file();
    result = TIMES(9, 200, close(open(small_file, O_RDONLY)));
    unlink(small_file);
    return result;
}

MEASURE(stat_path, "op", "stat that file")
{
    struct stat info;
    double result;

    make_small_file();
    result = TIMES(9, 200, stat(small_file, &info));
    unlink(small_file);
    return result;
}

MEASURE(fstat_fd, "op", "fstat")
{
    struct stat info;
    double result;
    int fd;

    make_small_file();
    fd = open(small_file, O_RDONLY);
    result = TIMES(9, 300, fstat(fd, &info));
    close(fd);
    unlink(small_file);
    return result;
}

#endif
