/* The lab on large files: 65803 blocks, and no more. */
#include "check.h"

#define MOST_BLOCKS 65803

static char block[BSIZE];

int main(void)
{
    int fd = open("big", O_CREATE | O_TRUNC | O_RDWR), blocks = 0, good = 1;
    struct stat info;

    for (; blocks <= MOST_BLOCKS; blocks++) {
        *(int *)block = blocks;
        if (write(fd, block, sizeof(block)) != sizeof(block))
            break;
    }
    CHECK(blocks == MOST_BLOCKS, "a file has 65803 blocks");
    CHECK(fstat(fd, &info) == 0 && info.size == (uint64)MOST_BLOCKS * BSIZE, "its size says so");
    close(fd);
    fd = open("big", O_RDONLY);
    for (blocks = 0; good && read(fd, block, sizeof(block)) == sizeof(block); blocks++)
        good = *(int *)block == blocks;
    CHECK(good && blocks == MOST_BLOCKS, "all of them read back");
    close(fd);
    CHECK(unlink("big") == 0, "and it goes");
    finish();
}
