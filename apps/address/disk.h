/*
 * Pages by 64-bit numbers in files. A name is [volume: 24 bits][byte: 40 bits]; each volume is a file in the folder,
 * with holes where nothing was written.
 */
#ifndef ADDRESS_DISK_H
#define ADDRESS_DISK_H

#include <stdint.h>

#define PAGE 4096ul
#define VOLUMES 64 /* that are open at once, at most */

/* What "super" in the folder has. */
struct disk_super {
    char magic[8];
    uint64_t root;  /* a name */
    uint64_t pages; /* that were handed out */
    uint64_t fill;  /* bytes used of the last of them */
};

struct disk {
    int folder, super;
    struct {
        uint64_t number;
        int fd;
    } volumes[VOLUMES];
    unsigned n_volumes;
};

int disk_open(struct disk *disk, const char *folder, struct disk_super *super);
int disk_write_super(struct disk *disk, const struct disk_super *super);
int disk_sync(struct disk *disk);
void disk_close(struct disk *disk);

/* The number of the Nth page that is handed out: they are spread over the whole space. Page N / PAGE of name N. */
uint64_t disk_page(uint64_t n);

int disk_read(struct disk *disk, uint64_t page, void *to);
int disk_write(struct disk *disk, uint64_t page, const void *from);

#endif
