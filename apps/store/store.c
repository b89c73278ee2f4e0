/*
 * A store's life, and its transactions.
 *
 *     heap file ----(private mapping, readable)----> base   [page][page][page][page]...
 *                                                              |  first store: trap
 *                                                              v
 *                                                    twins  [old page]  and the page is writable
 *     commit:  differences of page and twin -> one record of the log -> sync; one call protects all touched pages
 *     abort:   twin -> page; protect
 *     checkpoint: sync the log; pages that it has -> heap file; sync; the log is empty
 *
 * The mapping is private, so the kernel never writes a page of an unfinished transaction to the heap file: what is
 * there comes from checkpoints alone. A page that a checkpoint wrote is dropped from the mapping and read from the file
 * again.
 *
 * Locks: lock, then sync_lock. Commits append to the log under lock and wait for the disk under sync_lock only, so
 * those that arrive during one sync share the next.
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
#include <vm.h>

#include "internal.h"

#define DEFAULT_RESERVE (64ull << 30)
#define DEFAULT_LOG_LIMIT (8ull << 20)
#define KEPT_TWINS (1ull << 20) /* bytes that stay for the next transaction */

/* --- Input and output --- */

static ssize_t system_write(void *argument, int file, int fd, const void *from, size_t length, off_t at)
{
    (void)argument, (void)file;
    return pwrite(fd, from, length, at);
}

static int system_sync(void *argument, int file, int fd)
{
    (void)argument, (void)file;
    return fdatasync(fd);
}

static int system_resize(void *argument, int file, int fd, off_t length)
{
    (void)argument, (void)file;
    return ftruncate(fd, length);
}

static const struct store_io system_io = {.write = system_write, .sync = system_sync, .resize = system_resize};

int write_all(struct store *s, int file, int fd, const void *from, size_t length, off_t at)
{
    const char *next = from;

    while (length > 0) {
        ssize_t n = s->io.write(s->io.argument, file, fd, next, length, at);

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

static int sync_file(struct store *s, int file)
{
    s->stats.syncs++;
    return s->io.sync(s->io.argument, file, file == HEAP_FILE ? s->fd : s->log.fd);
}

/* --- The first store to a page --- */

static void refuse(const struct store *s, const struct vm_fault *fault)
{
    char text[120];
    int length = snprintf(text, sizeof(text), "store: %s at heap offset %#lx outside of a transaction\n",
                          fault->access == VM_WRITE ? "a store" : "an access",
                          (unsigned long)((char *)fault->address - s->base));

    if (write(STDERR_FILENO, text, (size_t)length) < 0)
        errno = 0; /* nobody listens: the program ends all the same */
    abort();
}

/* How many pages are opened at once: a transaction that stores to many gets more, so that traps and mappings stay few.
 */
static uint64_t pages_at_once(const struct store *s)
{
    if (s->touched_pages < 4096)
        return 1;
    return s->touched_pages < 65536 ? 16 : 256;
}

/* Keeps the old content of PAGES pages from FIRST on, which are closed. */
static void make_twin(struct store *s, uint64_t first, uint64_t pages)
{
    struct touched *t = &s->touched[s->n_touched++];

    *t = (struct touched){.page = first, .pages = pages, .twin = s->next_twin};
    memcpy(t->twin, s->base + first * STORE_PAGE, pages * STORE_PAGE);
    s->next_twin += pages * STORE_PAGE;
    s->touched_pages += pages;
    for (uint64_t i = 0; i < pages; i++)
        bit_set(s->open, first + i);
}

static void first_store(struct vm_fault *fault, void *argument)
{
    struct store *s = argument;
    uint64_t page = (uint64_t)((char *)fault->address - s->base) / STORE_PAGE;
    uint64_t unit = pages_at_once(s), first = page / unit * unit, end = first + unit;

    if (fault->access != VM_WRITE || !s->writing || !pthread_equal(pthread_self(), s->writer) || page == 0 ||
        page >= s->file_pages)
        refuse(s, fault);
    if (first == 0)
        first = 1;
    if (end > s->file_pages)
        end = s->file_pages;
    for (uint64_t at = first; at < end;) {
        uint64_t stop = at;

        while (stop < end && !bit_get(s->open, stop))
            stop++;
        if (stop > at)
            make_twin(s, at, stop - at);
        at = stop + 1;
    }
    vm_fault_protect(fault, s->base + first * STORE_PAGE, (end - first) * STORE_PAGE, PROT_READ | PROT_WRITE);
}

/* Threads that may be trapped say so to libvm, once. */
static pthread_key_t entered;
static pthread_once_t entered_once = PTHREAD_ONCE_INIT;

static void leave_thread(void *unused)
{
    (void)unused;
    vm_thread_leave();
}

static void make_key(void) { pthread_key_create(&entered, leave_thread); }

static void enter_thread(void)
{
    pthread_once(&entered_once, make_key);
    if (pthread_getspecific(entered) == NULL && vm_thread_enter() == 0)
        pthread_setspecific(entered, &entered);
}

/* --- Transactions --- */

void store_begin(struct store *s)
{
    enter_thread();
    pthread_rwlock_wrlock(&s->lock);
    s->writer = pthread_self();
    s->writing = true;
    s->error = 0;
}

/* Closes the touched pages; all are as they are to stay. */
static void close_pages(struct store *s)
{
    struct vm_range ranges[256];
    size_t n = 0;

    for (size_t i = 0; i < s->n_touched; i++) {
        const struct touched *t = &s->touched[i];

        for (uint64_t p = 0; p < t->pages; p++)
            bit_clear(s->open, t->page + p);
        ranges[n++] = (struct vm_range){s->base + t->page * STORE_PAGE, t->pages * STORE_PAGE, PROT_READ};
        if (n == 256 || i + 1 == s->n_touched) {
            if (vm_protect_ranges(ranges, n) < 0)
                abort(); /* what is open now could be changed unseen */
            n = 0;
        }
    }
    if (s->next_twin > s->twins + KEPT_TWINS)
        madvise(s->twins + KEPT_TWINS, (size_t)(s->next_twin - s->twins - KEPT_TWINS), MADV_DONTNEED);
    s->stats.traps += s->n_touched;
    s->n_touched = 0;
    s->touched_pages = 0;
    s->next_twin = s->twins;
    s->writing = false;
}

static void undo(struct store *s)
{
    for (size_t i = 0; i < s->n_touched; i++)
        memcpy(s->base + s->touched[i].page * STORE_PAGE, s->touched[i].twin, s->touched[i].pages * STORE_PAGE);
    close_pages(s);
}

void store_abort(struct store *s)
{
    undo(s);
    pthread_rwlock_unlock(&s->lock);
}

/* The heap file says whether it needs its log. */
static int mark(struct store *s, uint64_t needs_log)
{
    if (write_all(s, HEAP_FILE, s->fd, &needs_log, sizeof(needs_log), offsetof(struct super, needs_log)) < 0)
        return -1;
    if (sync_file(s, HEAP_FILE) < 0)
        return -1;
    s->marked = needs_log != 0;
    return 0;
}

/* The touched pages' differences as one record of the log. 1: there are none. */
static int append(struct store *s)
{
    if (s->n_touched == 0)
        return 1;
    if (!s->marked && (log_reset(s) < 0 || mark(s, 1) < 0))
        return -1;
    log_begin(s);
    for (size_t i = 0; i < s->n_touched; i++) {
        const struct touched *t = &s->touched[i];

        for (uint64_t p = 0; p < t->pages; p++)
            log_page(s, t->page + p, t->twin + p * STORE_PAGE, s->base + (t->page + p) * STORE_PAGE);
    }
    return log_end(s);
}

static void mark_logged(struct store *s)
{
    for (size_t i = 0; i < s->n_touched; i++) {
        const struct touched *t = &s->touched[i];

        for (uint64_t p = 0; p < t->pages; p++)
            bit_set(s->logged, t->page + p);
        if (t->page < s->first_logged)
            s->first_logged = t->page;
        if (t->page + t->pages > s->end_logged)
            s->end_logged = t->page + t->pages;
    }
}

/* All records up to number COUNT (of this opening) are on the disk. Whoever waits here meanwhile finds his done. */
static int sync_log(struct store *s, uint64_t count)
{
    int result = 0;

    pthread_mutex_lock(&s->sync_lock);
    if (!s->broken && s->synced < count) {
        uint64_t covered = __atomic_load_n(&s->appended, __ATOMIC_ACQUIRE);

        if (sync_file(s, LOG_FILE) == 0)
            s->synced = covered;
        else
            s->broken = true;
    }
    if (s->broken) {
        errno = EIO;
        result = -1;
    }
    pthread_mutex_unlock(&s->sync_lock);
    return result;
}

/* The logged pages, neighbours together, into the heap file. */
static int write_logged(struct store *s)
{
    for (uint64_t at = s->first_logged; at < s->end_logged;) {
        uint64_t stop = at;

        while (stop < s->end_logged && bit_get(s->logged, stop))
            stop++;
        if (stop > at && write_all(s, HEAP_FILE, s->fd, s->base + at * STORE_PAGE, (stop - at) * STORE_PAGE,
                                   (off_t)(at * STORE_PAGE)) < 0)
            return -1;
        at = stop + 1;
        while (at % 64 == 0 && at + 64 <= s->end_logged && s->logged[at / 64] == 0)
            at += 64;
    }
    return 0;
}

/* Private copies are not needed any more: the file has the same. */
static void drop_logged(struct store *s)
{
    if (s->end_logged <= s->first_logged)
        return;
    madvise(s->base + s->first_logged * STORE_PAGE, (s->end_logged - s->first_logged) * STORE_PAGE, MADV_DONTNEED);
    memset(&s->logged[s->first_logged / 64], 0, (s->end_logged / 64 - s->first_logged / 64 + 1) * 8);
    s->first_logged = UINT64_MAX;
    s->end_logged = 0;
}

/* Under lock, no transaction. Any error leaves the log as it is: it has everything. */
static int checkpoint(struct store *s)
{
    if (sync_log(s, s->appended) < 0)
        return -1;
    if (s->end_logged > s->first_logged) {
        if (write_logged(s) < 0 || sync_file(s, HEAP_FILE) < 0)
            return -1;
        pthread_mutex_lock(&s->sync_lock);
        if (log_reset(s) < 0)
            s->broken = true; /* which generation the log has on the disk is not known */
        pthread_mutex_unlock(&s->sync_lock);
        if (s->broken) {
            errno = EIO;
            return -1;
        }
        drop_logged(s);
        s->stats.checkpoints++;
    }
    return 0;
}

int store_checkpoint(struct store *s)
{
    int result;

    pthread_rwlock_wrlock(&s->lock);
    result = checkpoint(s);
    pthread_rwlock_unlock(&s->lock);
    return result;
}

/* Why this transaction cannot be committed; 0: it can. */
static int obstacle(const struct store *s)
{
    if (__atomic_load_n(&s->broken, __ATOMIC_RELAXED))
        return EIO;
    return s->error;
}

int store_commit(struct store *s)
{
    int error = obstacle(s), result = error != 0 ? -1 : append(s);
    uint64_t mine;

    if (result != 0) {
        if (error == 0)
            error = errno;
        undo(s);
        pthread_rwlock_unlock(&s->lock);
        errno = error;
        return result > 0 ? 0 : -1;
    }
    mark_logged(s);
    close_pages(s);
    s->stats.commits++;
    mine = __atomic_add_fetch(&s->appended, 1, __ATOMIC_RELEASE);
    if (s->log.tail >= (off_t)s->log_limit)
        checkpoint(s); /* when it fails the log has all the same, and the next commit tries again */
    pthread_rwlock_unlock(&s->lock);
    return s->no_sync ? 0 : sync_log(s, mine);
}

void store_read(struct store *s) { pthread_rwlock_rdlock(&s->lock); }
void store_read_end(struct store *s) { pthread_rwlock_unlock(&s->lock); }

void store_touch(struct store *s, void *start, size_t length)
{
    char *end = (char *)start + length;

    (void)s;
    for (char *at = start; at < end; at = (char *)(((uintptr_t)at / STORE_PAGE + 1) * STORE_PAGE))
        *(volatile char *)at = *(volatile char *)at;
}

/* The heap file has at least PAGES pages. */
int store_grow(struct store *s, uint64_t pages)
{
    if (pages <= s->file_pages)
        return 0;
    if (pages > s->reserve / STORE_PAGE) {
        errno = ENOSPC;
        return -1;
    }
    if (s->io.resize(s->io.argument, HEAP_FILE, s->fd, (off_t)(pages * STORE_PAGE)) < 0)
        return -1;
    s->file_pages = pages;
    return 0;
}

/* --- Opening and closing --- */

static void *reserve_memory(size_t length)
{
    void *start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return start == MAP_FAILED ? NULL : start;
}

/* A new store is complete before it gets its name. */
static int make_file(struct store *s, const char *path)
{
    char *name = NULL, *heap = calloc(2, STORE_PAGE);
    struct super *super = (struct super *)heap;
    int saved, fd = -1, result = -1;

    if (heap == NULL || asprintf(&name, "%s.new.%d", path, (int)getpid()) < 0)
        goto out;
    *super = (struct super){.magic = SUPER_MAGIC, .version = STORE_VERSION, .page_size = STORE_PAGE};
    if (getrandom(&super->id, sizeof(super->id), 0) != sizeof(super->id))
        goto out;
    heap_format(heap + STORE_PAGE);
    fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || pwrite(fd, heap, 2 * STORE_PAGE, 0) != 2 * STORE_PAGE || fsync(fd) < 0)
        goto out;
    /* Not rename: another process may have made the store meanwhile. */
    result = link(name, path) == 0 || errno == EEXIST ? 0 : -1;
out:
    saved = errno;
    if (fd >= 0) {
        close(fd);
        unlink(name);
    }
    (void)s;
    free(name);
    free(heap);
    errno = saved;
    return result;
}

/* The folder of PATH, so that the names in it are durable. */
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

static int open_heap(struct store *s, const char *path, bool must_exist, bool *made)
{
    s->fd = open(path, O_RDWR | O_CLOEXEC);
    if (s->fd < 0 && errno == ENOENT && !must_exist) {
        if (make_file(s, path) < 0)
            return -1;
        *made = true;
        s->fd = open(path, O_RDWR | O_CLOEXEC);
    }
    if (s->fd < 0)
        return -1;
    if (flock(s->fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            errno = EBUSY;
        return -1;
    }
    return 0;
}

/* Reads page 0, opens the log, applies it. */
static int recover(struct store *s, const char *path, bool made)
{
    struct super super;
    char *log_path;
    int result;

    if (pread(s->fd, &super, sizeof(super), 0) != sizeof(super) || memcmp(super.magic, SUPER_MAGIC, 8) != 0 ||
        super.version != STORE_VERSION || super.page_size != STORE_PAGE) {
        errno = EINVAL;
        return -1;
    }
    s->log.id = super.id;
    s->marked = super.needs_log != 0;
    if (asprintf(&log_path, "%s.log", path) < 0)
        return -1;
    result = log_open(s, log_path, !s->marked);
    free(log_path);
    if (result < 0)
        return -1;
    if (!s->marked)
        return made ? sync_folder(path) : 0;
    return log_recover(s);
}

static int map_heap(struct store *s)
{
    size_t pages = s->reserve / STORE_PAGE;
    struct stat st;

    if (fstat(s->fd, &st) < 0)
        return -1;
    s->file_pages = (size_t)st.st_size / STORE_PAGE;
    if (s->file_pages > pages) {
        errno = EFBIG;
        return -1;
    }
    s->base = mmap(NULL, s->reserve, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, s->fd, 0);
    if (s->base == MAP_FAILED) {
        s->base = NULL;
        return -1;
    }
    s->twins = s->next_twin = reserve_memory(s->reserve);
    s->touched = reserve_memory(pages * sizeof(struct touched));
    s->open = reserve_memory(pages / 8 + 8);
    s->logged = reserve_memory(pages / 8 + 8);
    if (s->twins == NULL || s->touched == NULL || s->open == NULL || s->logged == NULL)
        return -1;
    return vm_trap(s->base, s->reserve, first_store, s);
}

static void unmap(void *start, size_t length)
{
    if (start != NULL)
        munmap(start, length);
}

static void give_back(struct store *s)
{
    size_t pages = s->reserve / STORE_PAGE;

    if (s->base != NULL)
        vm_untrap(s->base, s->reserve);
    unmap(s->base, s->reserve);
    unmap(s->twins, s->reserve);
    unmap(s->touched, pages * sizeof(struct touched));
    unmap(s->open, pages / 8 + 8);
    unmap(s->logged, pages / 8 + 8);
    log_close(s);
    if (s->fd >= 0)
        close(s->fd);
    pthread_rwlock_destroy(&s->lock);
    pthread_mutex_destroy(&s->sync_lock);
    free(s);
}

static void make_locks(struct store *s)
{
    pthread_rwlockattr_t kind;

    pthread_rwlockattr_init(&kind);
#ifdef __GLIBC__
    pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(&s->lock, &kind);
    pthread_mutex_init(&s->sync_lock, NULL);
}

/*
 * Objects that were allocated but never stored to have no record: after a crash, the file becomes as long as its heap
 * all the same. One that was closed and is shorter has been cut.
 */
static int complete_size(struct store *s)
{
    struct store_stats stats = {0};
    bool has_heap = s->file_pages >= 2;

    if (has_heap)
        store_stats(s, &stats);
    if (!has_heap || (!s->marked && s->file_pages < stats.used_pages + stats.free_pages)) {
        errno = EMSGSIZE;
        return -1;
    }
    return store_grow(s, stats.used_pages + stats.free_pages);
}

struct store *store_open(const char *path, const struct store_options *options)
{
    static const struct store_options none;
    const struct store_options *o = options != NULL ? options : &none;
    struct store *s = calloc(1, sizeof(*s));
    bool made = false;
    int saved;

    if (s == NULL)
        return NULL;
    make_locks(s);
    s->fd = s->log.fd = -1;
    s->reserve = (o->reserve != 0 ? o->reserve : DEFAULT_RESERVE) / STORE_PAGE * STORE_PAGE;
    s->log_limit = o->log_limit != 0 ? o->log_limit : DEFAULT_LOG_LIMIT;
    s->no_sync = o->no_sync;
    s->io = o->io != NULL ? *o->io : system_io;
    s->first_logged = UINT64_MAX;
    errno = EINVAL;
    if (vm_page_size() == STORE_PAGE && s->reserve > 2 * STORE_PAGE && open_heap(s, path, o->must_exist, &made) == 0 &&
        recover(s, path, made) == 0 && map_heap(s) == 0 && complete_size(s) == 0)
        return s;
    saved = errno;
    give_back(s);
    errno = saved;
    return NULL;
}

int store_close(struct store *s)
{
    int result = store_checkpoint(s), saved = errno;

    if (result == 0 && s->marked) {
        result = mark(s, 0);
        saved = errno;
    }
    give_back(s);
    errno = saved;
    return result;
}
