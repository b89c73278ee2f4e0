/*
 * pager.h - memory of which only a part is in memory.
 *
 * A region of ordinary loads and stores; at most RESIDENT of its pages take up 4096 bytes each, the others are
 * compressed, and where the compressed ones are too many the oldest go to a file. All-zero pages take up nothing.
 */
#ifndef PAGER_H
#define PAGER_H

#include <stddef.h>
#include <stdint.h>

struct pager;

struct pager_options {
    size_t compressed;  /* bytes for compressed pages; 0: a fourth of the region */
    const char *folder; /* for the file, which has no name there; NULL: no file */
};

struct pager_stats {
    uint64_t faults, fetches, evictions, dirty_evictions; /* as struct vm_budget_stats */
    uint64_t compressed_pages, compressed_bytes;          /* there now */
    uint64_t zero_pages, file_pages;                      /* there now */
    uint64_t to_file, from_file;                          /* since the beginning */
    size_t resident, most_resident;
};

/* PAGES pages, zero, RESIDENT of them in memory at most. OPTIONS may be NULL. NULL with errno: EINVAL, ENOMEM, errors
 * of open(2). */
struct pager *pager_open(size_t pages, size_t resident, const struct pager_options *options);

/* Its first byte. When a page cannot be had because there is no space for others, the program ends with a line that
 * says so. */
void *pager_memory(struct pager *p);

void pager_stats(struct pager *p, struct pager_stats *stats);

/* No thread may use the memory any more. */
void pager_close(struct pager *p);

#endif
