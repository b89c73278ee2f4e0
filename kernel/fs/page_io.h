/*
 * Pages of an object to and from a block device: for file systems' read_pages and write_pages. A call collects pieces
 * (part of a page <-> place on the device); neighbours on the device become one request, also across pages; each page
 * is reported done when its last piece is.
 *
 *   page_io_begin -> page_io_add ... -> page_io_end
 */
#ifndef FS_PAGE_IO_H
#define FS_PAGE_IO_H

#include "dev/block.h"
#include "vm/object.h"

struct page_io;

/* For the N (at most 128) pages BATCH of one read_pages or write_pages call. NULL: no memory; all pages are reported
 * done with -ENOMEM. */
struct page_io *page_io_begin(struct block_device *device, enum block_op op, struct page **batch, unsigned n);
/* Bytes [offset, offset + length) of page number I of the call are at SECTOR. */
void page_io_add(struct page_io *io, unsigned i, unsigned offset, unsigned length, u64 sector);
/* Reading: these bytes have no place and are zeros. */
void page_io_zero(struct page_io *io, unsigned i, unsigned offset, unsigned length);
/* Reading: they are at DATA. */
void page_io_copy(struct page_io *io, unsigned i, unsigned offset, const void *data, unsigned length);
/* Page number I fails. */
void page_io_fail(struct page_io *io, unsigned i, int error);
/* Starts what is left; reports the pages that wait for nothing. IO belongs to the requests then. */
void page_io_end(struct page_io *io);

#endif
