/*
 * The file of checkpoints.
 *
 *     [header, a page] [checkpoint] [checkpoint] ...
 *     checkpoint:  [struct segment] [index: a struct entry for each page] [to a multiple of 4096] [bytes of the pages
 * that are not zero]
 *
 * Each has the pages that changed since the one before; all of them, in order, are the memory. A checkpoint counts if
 * its number follows and its checksums are right; the file is synced before the next one begins, so only the last can
 * be torn, and what comes next is written over it. When most bytes are of old versions of pages, the newest ones are
 * written to a new file, as one checkpoint, which then takes the name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

struct header {
    char magic[8];
    uint64_t version, id, address, length, checksum;
};
#define HEADER_MAGIC "QuCheck"
#define VERSION 1

struct segment {
    uint64_t magic, id, sequence, count;
    uint64_t checksum; /* of what is above and the index */
};
#define SEGMENT_MAGIC 0x746e656d67655371ull

#define WASTE_LEAST 256 /* pages */

static uint64_t add_checksum(uint64_t sum, const void *from, size_t length)
{
    const char *at = from;

    for (; length >= 8; length -= 8, at += 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
        sum ^= sum >> 29;
    }
    return sum;
}

uint64_t page_checksum(const void *page) { return add_checksum(1, page, PAGE); }

static uint64_t segment_checksum(const struct segment *s, const struct entry *index)
{
    return add_checksum(add_checksum(2, s, offsetof(struct segment, checksum)), index, s->count * sizeof(*index));
}

static int write_fully(int fd, const void *from, size_t length, off_t at)
{
    const char *next = from;

    while (length > 0) {
        ssize_t n = pwrite(fd, next, length, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        next += n;
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

static int read_fully(int fd, void *to, size_t length, off_t at)
{
    char *next = to;

    while (length > 0) {
        ssize_t n = pread(fd, next, length, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENODATA;
            return -1;
        }
        next += n;
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

int image_write(struct image *image, const void *from, size_t length, off_t at)
{
    return write_fully(image->fd, from, length, at);
}

/* Where the bytes of a checkpoint at AT begin, that has COUNT pages. */
static off_t data_of(off_t at, uint64_t count)
{
    return (off_t)((at + sizeof(struct segment) + count * sizeof(struct entry) + PAGE - 1) / PAGE * PAGE);
}

/* The same of the one that is to come next. */
off_t image_data(const struct image *image, uint64_t count) { return data_of(image->end, count); }

static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    int fd = folder == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;

    free(folder);
    if (fd < 0)
        return -1;
    result = fsync(fd);
    close(fd);
    return result;
}

/* --- Making --- */

static void make_header(struct header *h, const struct image *image)
{
    memset(h, 0, sizeof(*h));
    memcpy(h->magic, HEADER_MAGIC, 8);
    h->version = VERSION;
    h->id = image->id;
    h->address = image->address;
    h->length = image->length;
    h->checksum = add_checksum(0, h, offsetof(struct header, checksum));
}

static int write_segment(int fd, const struct image *image, off_t at, uint64_t sequence, const struct entry *index,
                         uint64_t count)
{
    struct segment s = {.magic = SEGMENT_MAGIC, .id = image->id, .sequence = sequence, .count = count};

    s.checksum = segment_checksum(&s, index);
    if (write_fully(fd, index, count * sizeof(*index), at + (off_t)sizeof(s)) < 0)
        return -1;
    return write_fully(fd, &s, sizeof(s), at);
}

/* The pages of an index have bytes at DATA on from now on; returns where these end. */
static off_t use_index(struct image *image, const struct entry *index, uint64_t count, off_t data)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page = index[i].page & ~ZERO_PAGE;

        if (image->where[page] != 0)
            image->live--;
        image->where[page] = 0;
        if (index[i].page & ZERO_PAGE)
            continue;
        image->where[page] = (uint64_t)data;
        image->live++;
        data += PAGE;
    }
    return data;
}

/* The bytes are written: index and head follow, and a sync, and the checkpoint counts. */
int image_add(struct image *image, struct entry *index, uint64_t count)
{
    off_t data = image_data(image, count);

    if (write_segment(image->fd, image, image->end, image->sequence + 1, index, count) < 0 || fdatasync(image->fd) < 0)
        return -1;
    image->end = use_index(image, index, count, data);
    image->sequence++;
    return 0;
}

/* --- Reading --- */

/* Reads and checks the checkpoint at image->end; its index goes to *INDEX. 0: there is none that counts. */
static uint64_t read_segment(const struct image *image, struct entry **index)
{
    struct segment s;
    char page[PAGE];
    off_t data;

    *index = NULL;
    if (read_fully(image->fd, &s, sizeof(s), image->end) < 0 || s.magic != SEGMENT_MAGIC || s.id != image->id ||
        (image->sequence != 0 && s.sequence != image->sequence + 1) || s.count == 0 || s.count > image->length / PAGE)
        return 0;
    *index = malloc(s.count * sizeof(**index));
    if (*index == NULL || read_fully(image->fd, *index, s.count * sizeof(**index), image->end + (off_t)sizeof(s)) < 0 ||
        s.checksum != segment_checksum(&s, *index))
        return 0;
    data = data_of(image->end, s.count);
    for (uint64_t i = 0; i < s.count; i++) {
        if (((*index)[i].page & ~ZERO_PAGE) >= image->length / PAGE)
            return 0;
        if ((*index)[i].page & ZERO_PAGE)
            continue;
        if (read_fully(image->fd, page, PAGE, data) < 0 || page_checksum(page) != (*index)[i].checksum)
            return 0;
        data += PAGE;
    }
    return s.count;
}

/* Finds all checkpoints that count. */
static int read_all(struct image *image)
{
    struct entry *index;
    uint64_t count;

    image->end = PAGE;
    while ((count = read_segment(image, &index)) > 0) {
        struct segment s;

        if (read_fully(image->fd, &s, sizeof(s), image->end) < 0)
            return -1;
        image->end = use_index(image, index, count, data_of(image->end, count));
        image->sequence = s.sequence;
        free(index);
    }
    free(index);
    return 0;
}

static int make_image(struct image *image)
{
    struct header h;

    if (getrandom(&image->id, sizeof(image->id), 0) != sizeof(image->id))
        return -1;
    make_header(&h, image);
    if (ftruncate(image->fd, 0) < 0 || write_fully(image->fd, &h, sizeof(h), 0) < 0 || fsync(image->fd) < 0)
        return -1;
    image->end = PAGE;
    return sync_folder(image->path);
}

/* Locks the file that has the name PATH when the lock is had: a compaction may put another in its place. */
static int open_locked(const char *path)
{
    for (;;) {
        struct stat here, there;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            close(fd);
            errno = errno == EWOULDBLOCK ? EBUSY : errno;
            return -1;
        }
        if (fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino)
            return fd;
        close(fd);
    }
}

/* Opens or makes the file; ADDRESS is for a new one. A file that was never finished being made is made anew. */
int image_open(struct image *image, const char *path, uint64_t address, size_t length)
{
    struct header h = {.version = 0}, again;
    struct stat st;

    image->path = strdup(path);
    image->fd = open_locked(path);
    if (image->fd < 0 || image->path == NULL || fstat(image->fd, &st) < 0)
        return -1;
    image->address = address;
    image->length = length;
    if ((size_t)st.st_size >= sizeof(h) && read_fully(image->fd, &h, sizeof(h), 0) < 0)
        return -1;
    if (st.st_size != 0) {
        image->id = h.id;
        image->address = h.address;
        image->length = h.length;
        make_header(&again, image);
        if (memcmp(&h, &again, sizeof(h)) != 0 || (length != 0 && h.length != length))
            image->length = 0;
    }
    if (image->length == 0 || image->length % PAGE != 0) {
        errno = EINVAL;
        return -1;
    }
    image->where = calloc(image->length / PAGE, sizeof(*image->where));
    if (image->where == NULL)
        return -1;
    return st.st_size == 0 ? make_image(image) : read_all(image);
}

/* Calls VISIT for the newest bytes of each page that has some. */
int image_index(struct image *image, int (*visit)(void *argument, uint64_t page, const void *bytes), void *argument)
{
    char bytes[PAGE];

    for (uint64_t page = 0; page < image->length / PAGE; page++) {
        if (image->where[page] == 0)
            continue;
        if (read_fully(image->fd, bytes, PAGE, (off_t)image->where[page]) < 0 || visit(argument, page, bytes) < 0)
            return -1;
    }
    return 0;
}

void image_close(struct image *image)
{
    if (image->fd >= 0)
        close(image->fd);
    free(image->path);
    free(image->where);
}

/* --- Compaction --- */

bool image_is_wasteful(const struct image *image)
{
    return (uint64_t)image->end / PAGE > 3 * image->live + WASTE_LEAST;
}

/* Writes the newest pages to FD as one checkpoint with the number of the last. INDEX has room for all. */
static int write_compact(struct image *image, int fd, struct entry *index, off_t *end)
{
    struct header h;
    uint64_t count = 0, pages = image->length / PAGE;
    off_t data = data_of(PAGE, image->live > 0 ? image->live : 1), at = data;
    char bytes[PAGE];

    make_header(&h, image);
    if (write_fully(fd, &h, sizeof(h), 0) < 0)
        return -1;
    for (uint64_t page = 0; page < pages; page++) {
        if (image->where[page] == 0)
            continue;
        if (read_fully(image->fd, bytes, PAGE, (off_t)image->where[page]) < 0 || write_fully(fd, bytes, PAGE, at) < 0)
            return -1;
        index[count++] = (struct entry){page, page_checksum(bytes)};
        at += PAGE;
    }
    if (count == 0) /* all zero: one page says so */
        index[count++] = (struct entry){ZERO_PAGE, 0};
    if (write_segment(fd, image, PAGE, image->sequence, index, count) < 0 || fsync(fd) < 0)
        return -1;
    *end = use_index(image, index, count, data);
    return 0;
}

/* A new file with what counts takes the place of this one. On an error this one stays. */
int image_compact(struct image *image)
{
    char *name = NULL;
    struct entry *index = malloc((image->live + 1) * sizeof(*index));
    uint64_t *where = malloc(image->length / PAGE * sizeof(*where));
    off_t end;
    int fd = -1;

    if (index == NULL || where == NULL || asprintf(&name, "%s.new", image->path) < 0)
        goto fail;
    memcpy(where, image->where, image->length / PAGE * sizeof(*where));
    fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || write_compact(image, fd, index, &end) < 0 ||
        rename(name, image->path) < 0) {
        uint64_t *kept = image->where;

        image->where = where;
        where = kept;
        if (fd >= 0)
            unlink(name);
        goto fail;
    }
    close(image->fd);
    image->fd = fd;
    image->end = end;
    sync_folder(image->path);
    free(index);
    free(where);
    free(name);
    return 0;
fail:
    if (fd >= 0)
        close(fd);
    free(index);
    free(where);
    free(name);
    return -1;
}
