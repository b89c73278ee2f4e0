/*
 * Files: cached reads and writes, the cost of a sync, names made and removed, mapped files
 * scanned and written. What waits for a disk means little by the clock, which runs on while the hart idles: the
 * plugin's counts are the figures.
 */
#ifndef BENCH_FILES_H
#define BENCH_FILES_H

#include "calls.h"
#include "measure.h"
#include "memory.h"

/* ---- Reads and writes ---- */

#define BIG_PAGES (16 * MIB / PAGE)

MEASURE(pread_4k, "op", "pread 4 KiB, cached")
{
    int fd = warm_file("vmbench.file", 256);
    double result = TIMES(9, 256, must(pread(fd, block_64k, 4096, (off_t)(turn * PAGE)) == 4096, "pread"));

    close(fd);
    unlink("vmbench.file");
    return result;
}

MEASURE(pwrite_4k, "op", "pwrite 4 KiB, cached")
{
    int fd = warm_file("vmbench.file", 256);
    double result = TIMES(9, 256, must(pwrite(fd, block_64k, 4096, (off_t)(turn * PAGE)) == 4096, "pwrite"));

    close(fd);
    unlink("vmbench.file");
    return result;
}

static double write_16m(int sync_it)
{
    int fd = -1;

    return REPEAT(
        3, BIG_PAGES,
        {
            fd = open("vmbench.file", O_RDWR | O_CREAT | O_TRUNC, 0644);
            must(fd >= 0, "vmbench.file");
        },
        {
            for (size_t i = 0; i < 16 * MIB; i += sizeof(block_64k))
                must(write(fd, block_64k, sizeof(block_64k)) == sizeof(block_64k), "write");
            if (sync_it)
                fsync(fd);
        },
        {
            close(fd);
            unlink("vmbench.file");
            sync();
        });
}

MEASURE(seqwrite_16m, "page", "write 16 MiB to a new file, per 4 KiB, no sync") { return write_16m(0); }

MEASURE(seqwrite_16m_fsync, "page", "the same with fsync") { return write_16m(1); }

static double overwrite_and(int (*sync_it)(int), int append)
{
    int fd = warm_file("vmbench.file", 64);
    double result;

    if (append)
        must(lseek(fd, 0, SEEK_END) > 0, "lseek");
    result = TIMES(9, 20, {
        if (append)
            must(write(fd, block_64k, 4096) == 4096, "write");
        else
            must(pwrite(fd, block_64k, 4096, (off_t)(turn * PAGE)) == 4096, "pwrite");
        sync_it(fd);
    });
    close(fd);
    unlink("vmbench.file");
    return result;
}

MEASURE(overwrite_4k_fsync, "op", "pwrite 4 KiB in place + fsync") { return overwrite_and(fsync, 0); }

MEASURE(overwrite_4k_fdatasync, "op", "pwrite 4 KiB in place + fdatasync") { return overwrite_and(fdatasync, 0); }

MEASURE(append_4k_fsync, "op", "append 4 KiB + fsync (a journal commit each)") { return overwrite_and(fsync, 1); }

static double create_files(int sync_it)
{
    return TIMES(9, 20, {
        int fd = open("vmbench.new", O_WRONLY | O_CREAT | O_EXCL, 0644);

        must(fd >= 0 && write(fd, block_64k, 1024) == 1024, "vmbench.new");
        if (sync_it)
            fsync(fd);
        close(fd);
        unlink("vmbench.new");
    });
}

MEASURE(create_unlink, "op", "create + write 1 KiB + close + unlink") { return create_files(0); }

MEASURE(create_fsync_unlink, "op", "the same with fsync before close") { return create_files(1); }

/* ---- Mapped files ---- */

extern uint64_t scan_result; /* so that no compiler drops the sum */
uint64_t scan_result;

/* One load of each 64 bytes. */
static void scan(const char *at, size_t length)
{
    uint64_t sum = 0;

    for (const char *end = at + length; at < end; at += 64)
        sum += *(const volatile uint64_t *)at;
    scan_result = sum;
}

static char *map_file(int fd, size_t pages, int protection)
{
    char *at = mmap(NULL, pages * PAGE, protection, MAP_SHARED, fd, 0);

    must(at != MAP_FAILED, "mmap of a file");
    return at;
}

static double scan_16m(int kept)
{
    int fd = warm_file("vmbench.file", BIG_PAGES);
    char *at = kept ? map_file(fd, BIG_PAGES, PROT_READ) : NULL;
    double result = REPEAT(5, BIG_PAGES, {},
                           {
                               if (kept) {
                                   scan(at, 16 * MIB);
                               } else {
                                   at = map_file(fd, BIG_PAGES, PROT_READ);
                                   scan(at, 16 * MIB);
                                   unmap_pages(at, BIG_PAGES);
                               }
                           },
                           {});

    if (kept)
        unmap_pages(at, BIG_PAGES);
    close(fd);
    unlink("vmbench.file");
    return result;
}

MEASURE(mmap_scan_16m, "page", "mmap 16 MiB warm file, scan, munmap; per 4 KiB") { return scan_16m(0); }

MEASURE(mmap_scan_16m_mapped, "page", "scan with the mapping kept") { return scan_16m(1); }

MEASURE(read_scan_16m, "page", "scan by pread of 64 KiB")
{
    int fd = warm_file("vmbench.file", BIG_PAGES);
    double result =
        REPEAT(5, BIG_PAGES, {},
               {
                   for (size_t i = 0; i < 16 * MIB; i += sizeof(block_64k)) {
                       must(pread(fd, block_64k, sizeof(block_64k), (off_t)i) == sizeof(block_64k), "pread");
                       scan(block_64k, sizeof(block_64k));
                   }
               },
               {});

    close(fd);
    unlink("vmbench.file");
    return result;
}

MEASURE(msync_1page, "op", "store to a shared file page + msync(MS_SYNC)")
{
    int fd = warm_file("vmbench.file", 64);
    char *at = map_file(fd, 64, RW);
    double result = TIMES(9, 20, {
        store_all(at + turn * PAGE, 1);
        msync(at + turn * PAGE, PAGE, MS_SYNC);
    });

    unmap_pages(at, 64);
    close(fd);
    unlink("vmbench.file");
    return result;
}

MEASURE(msync_4m, "page", "msync(MS_SYNC) of 1024 dirty pages, per page")
{
    int fd = warm_file("vmbench.file", FILE_PAGES);
    char *at = map_file(fd, FILE_PAGES, RW);
    double result = REPEAT(5, FILE_PAGES, store_all(at, FILE_PAGES), msync(at, FILE_PAGES * PAGE, MS_SYNC), {});

    unmap_pages(at, FILE_PAGES);
    close(fd);
    unlink("vmbench.file");
    return result;
}

MEASURE(munmap_fsync_4m, "page", "munmap + fsync of 1024 dirty pages, per page")
{
    int fd = warm_file("vmbench.file", FILE_PAGES);
    char *at = NULL;
    double result = REPEAT(
        5, FILE_PAGES,
        {
            at = map_file(fd, FILE_PAGES, RW);
            store_all(at, FILE_PAGES);
        },
        {
            unmap_pages(at, FILE_PAGES);
            fsync(fd);
        },
        {});

    close(fd);
    unlink("vmbench.file");
    return result;
}

#endif
