/* Descriptor tables. Contract in fdtable.h; the rules are those of dup(2), close(2), close_range(2) and
 * getrlimit(2). */
#include "fs/fdtable.h"
#include "fs/locks.h"
#include "lib/rlimit.h"
#include "lib/string.h"
#include "proc/task.h"
#include "vm/kmalloc.h"

static u64 *bitmap_word(u64 *map, unsigned fd) { return &map[fd / 64]; }
static u64 bitmap_bit(unsigned fd) { return 1ull << (fd % 64); }
static bool bitmap_test(const u64 *map, unsigned fd) { return (map[fd / 64] & bitmap_bit(fd)) != 0; }

static u64 limit(void) { return current->limits != NULL ? current->limits->limit[RLIMIT_NOFILE].soft : 1024; }

/* ---- tables ---- */

static size_t block_size(unsigned capacity) { return capacity * sizeof(struct file *) + 2 * (capacity / 8); }

static void set_arrays(struct fd_table *t, void *block, unsigned capacity)
{
    t->files = block;
    t->open = (u64 *)(t->files + capacity);
    t->cloexec = t->open + capacity / 64;
    t->capacity = capacity;
}

static struct fd_table *table_alloc(unsigned capacity)
{
    struct fd_table *t = kzalloc(sizeof(*t));
    void *block = kzalloc(block_size(capacity));

    if (t == NULL || block == NULL) {
        kfree(t);
        kfree(block);
        return NULL;
    }
    t->refs = 1;
    set_arrays(t, block, capacity);
    return t;
}

struct fd_table *fd_table_create(void)
{
    struct fd_table *t = table_alloc(64);

    return t != NULL ? t : ERR_PTR(-ENOMEM);
}

/* One past the highest open descriptor, in whole words. => lock */
static unsigned used_capacity(const struct fd_table *t)
{
    unsigned words = t->capacity / 64;

    while (words > 1 && t->open[words - 1] == 0)
        words--;
    return words * 64;
}

struct fd_table *fd_table_copy(struct fd_table *from)
{
    struct fd_table *t;
    unsigned capacity;

    spin_lock(&from->lock);
    capacity = used_capacity(from);
    spin_unlock(&from->lock);
    t = table_alloc(capacity);
    if (t == NULL)
        return ERR_PTR(-ENOMEM);
    spin_lock(&from->lock);
    while (unlikely(used_capacity(from) > capacity)) { /* another thread opened more */
        capacity = used_capacity(from);
        spin_unlock(&from->lock);
        fd_table_put(t);
        t = table_alloc(capacity);
        if (t == NULL)
            return ERR_PTR(-ENOMEM);
        spin_lock(&from->lock);
    }
    for (unsigned i = 0; i < capacity / 64; i++) {
        t->open[i] = from->open[i];
        t->cloexec[i] = from->cloexec[i];
        for (u64 bits = t->open[i]; bits != 0; bits &= bits - 1) {
            unsigned fd = i * 64 + (unsigned)__builtin_ctzll(bits);

            /* A number that is reserved but has no file yet belongs to the other thread's open. */
            if (from->files[fd] == NULL) {
                t->open[i] &= ~bitmap_bit(fd);
                continue;
            }
            t->files[fd] = from->files[fd];
            file_get(t->files[fd]);
        }
    }
    spin_unlock(&from->lock);
    return t;
}

void fd_table_get(struct fd_table *t) { atomic_add_relaxed(&t->refs, 1); }

void fd_table_put(struct fd_table *t)
{
    if (atomic_sub(&t->refs, 1) != 0)
        return;
    for (unsigned i = 0; i < t->capacity / 64; i++)
        for (u64 bits = t->open[i]; bits != 0; bits &= bits - 1) {
            struct file *file = t->files[i * 64 + (unsigned)__builtin_ctzll(bits)];

            if (file != NULL)
                file_close(file);
        }
    kfree(t->files);
    kfree(t);
}

/* Makes room for descriptor FD. => lock, which is released for a while. */
static int grow(struct fd_table *t, unsigned fd)
{
    while (fd >= t->capacity) {
        unsigned old = t->capacity, capacity = MAX(old * 2, ALIGN_UP(fd + 1, 64u));
        struct fd_table bigger;
        void *block, *old_block;

        spin_unlock(&t->lock);
        block = kzalloc(block_size(capacity));
        spin_lock(&t->lock);
        if (block == NULL)
            return -ENOMEM;
        if (t->capacity != old) { /* somebody else was quicker */
            kfree(block);
            continue;
        }
        set_arrays(&bigger, block, capacity);
        memcpy(bigger.files, t->files, old * sizeof(struct file *));
        memcpy(bigger.open, t->open, old / 8);
        memcpy(bigger.cloexec, t->cloexec, old / 8);
        old_block = t->files;
        set_arrays(t, block, capacity);
        kfree(old_block);
    }
    return 0;
}

/* ---- looking up ---- */

static struct file *file_at(const struct fd_table *t, unsigned fd) { return fd < t->capacity ? t->files[fd] : NULL; }

static bool is_path_only(const struct file *file) { return (file->flags & O_PATH) != 0; }

struct file *fd_table_file(struct fd_table *t, int fd)
{
    struct file *file;

    spin_lock(&t->lock);
    file = file_at(t, (unsigned)fd);
    if (file != NULL)
        file_get(file);
    spin_unlock(&t->lock);
    return file;
}

struct file *fd_table_entry(struct fd_table *t, int fd, bool *cloexec)
{
    struct file *file;

    spin_lock(&t->lock);
    file = file_at(t, (unsigned)fd);
    if (file != NULL) {
        file_get(file);
        *cloexec = bitmap_test(t->cloexec, (unsigned)fd);
    }
    spin_unlock(&t->lock);
    return file;
}

struct file *fd_get_any(int fd) { return fd_table_file(current->files, fd); }

struct file *fd_get(int fd)
{
    struct file *file = fd_get_any(fd);

    if (file == NULL || likely(!is_path_only(file)))
        return file;
    file_put(file);
    return NULL;
}

bool fd_use_shared(int fd, bool any, struct fd_use *use)
{
    use->file = fd_table_file(current->files, fd);
    use->referenced = true;
    if (use->file == NULL)
        return false;
    if (any || !is_path_only(use->file))
        return true;
    file_put(use->file);
    return false;
}

int fd_table_next(struct fd_table *t, int fd)
{
    int found = -1;

    spin_lock(&t->lock);
    for (unsigned n = (unsigned)MAX(fd, 0); n < t->capacity && found < 0; n++)
        if (t->files[n] != NULL)
            found = (int)n;
    spin_unlock(&t->lock);
    return found;
}

bool fd_table_cloexec(struct fd_table *t, int fd)
{
    bool on;

    spin_lock(&t->lock);
    on = (unsigned)fd < t->capacity && bitmap_test(t->cloexec, (unsigned)fd);
    spin_unlock(&t->lock);
    return on;
}

/* ---- giving and taking numbers ---- */

/* The lowest number >= LOWEST that is not in use; may be the capacity. => lock */
static inline unsigned lowest_free(const struct fd_table *t, unsigned lowest)
{
    unsigned start = MAX(lowest, t->first_free_hint);

    if (start >= t->capacity || likely(!bitmap_test(t->open, start)))
        return start;
    for (unsigned word = start / 64; word < t->capacity / 64; word++) {
        u64 unused = ~t->open[word];

        if (word == start / 64)
            unused &= ~0ull << (start % 64);
        if (unused != 0)
            return word * 64 + (unsigned)__builtin_ctzll(unused);
    }
    return t->capacity;
}

static inline void set_entry(struct fd_table *t, unsigned fd, struct file *file, bool cloexec)
{
    t->files[fd] = file;
    *bitmap_word(t->open, fd) |= bitmap_bit(fd);
    if (cloexec)
        *bitmap_word(t->cloexec, fd) |= bitmap_bit(fd);
    else
        *bitmap_word(t->cloexec, fd) &= ~bitmap_bit(fd);
}

static inline struct file *clear_entry(struct fd_table *t, unsigned fd)
{
    struct file *file = t->files[fd];

    t->files[fd] = NULL;
    *bitmap_word(t->open, fd) &= ~bitmap_bit(fd);
    *bitmap_word(t->cloexec, fd) &= ~bitmap_bit(fd);
    if (fd < t->first_free_hint)
        t->first_free_hint = fd;
    return file;
}

int fd_make_room(void)
{
    struct fd_table *t = current->files;
    u64 max = MIN(limit(), (u64)FD_MAX);
    unsigned fd;
    int error = 0;

    spin_lock(&t->lock);
    while (error == 0) {
        fd = lowest_free(t, 0);
        if (fd < max && fd < t->capacity)
            break;
        error = fd >= max ? -EMFILE : grow(t, fd);
    }
    spin_unlock(&t->lock);
    return error;
}

/* Makes room for the lowest free number >= LOWEST: that, or -EMFILE, -ENOMEM. => lock, which is released for a while */
static noinline_fn int grow_for_lowest(struct fd_table *t, unsigned lowest, u64 max)
{
    unsigned fd = lowest_free(t, lowest);
    int error = 0;

    while (error == 0 && fd < max && fd >= t->capacity) {
        error = grow(t, fd);
        fd = lowest_free(t, lowest);
    }
    return error != 0 ? error : fd < max ? (int)fd : -EMFILE;
}

int fd_install_from(struct file *file, int lowest, bool cloexec)
{
    struct fd_table *t = current->files;
    u64 max = MIN(limit(), (u64)FD_MAX);
    int fd;

    if (lowest < 0 || (u64)lowest >= max)
        return lowest > 0 || lowest < 0 ? -EINVAL : -EMFILE;
    spin_lock(&t->lock);
    fd = (int)lowest_free(t, (unsigned)lowest);
    if (unlikely((unsigned)fd >= t->capacity || (u64)fd >= max))
        fd = grow_for_lowest(t, (unsigned)lowest, max);
    if (likely(fd >= 0)) {
        set_entry(t, (unsigned)fd, file, cloexec);
        if ((unsigned)lowest <= t->first_free_hint)
            t->first_free_hint = (unsigned)fd + 1;
    }
    spin_unlock(&t->lock);
    return fd;
}

int fd_install(struct file *file, bool cloexec) { return fd_install_from(file, 0, cloexec); }

int fd_give(struct file *file, bool cloexec)
{
    int fd;

    if (IS_ERR(file))
        return (int)PTR_ERR(file);
    fd = fd_install(file, cloexec);
    if (fd < 0)
        file_put(file);
    return fd;
}

int fd_replace(struct file *file, int fd, bool cloexec)
{
    struct fd_table *t = current->files;
    struct file *old = NULL;
    int error;

    if (fd < 0 || (u64)fd >= MIN(limit(), (u64)FD_MAX))
        return -EBADF;
    spin_lock(&t->lock);
    error = grow(t, (unsigned)fd);
    if (error == 0) {
        old = t->files[fd];
        set_entry(t, (unsigned)fd, file, cloexec);
    }
    spin_unlock(&t->lock);
    if (old != NULL)
        file_close(old);
    return error != 0 ? error : fd;
}

int fd_close(int fd)
{
    struct fd_table *t = current->files;
    struct file *file;

    spin_lock(&t->lock);
    file = file_at(t, (unsigned)fd);
    if (file != NULL)
        clear_entry(t, (unsigned)fd);
    spin_unlock(&t->lock);
    return file != NULL ? file_close(file) : -EBADF;
}

int fd_close_range(unsigned first, unsigned last, bool only_mark)
{
    struct fd_table *t = current->files;

    spin_lock(&t->lock);
    for (unsigned fd = first; fd < t->capacity && fd <= last; fd++) {
        struct file *file = t->files[fd];

        if (file == NULL)
            continue;
        if (only_mark) {
            *bitmap_word(t->cloexec, fd) |= bitmap_bit(fd);
            continue;
        }
        clear_entry(t, fd);
        spin_unlock(&t->lock);
        file_close(file);
        spin_lock(&t->lock);
    }
    spin_unlock(&t->lock);
    return 0;
}

int fd_get_cloexec(int fd)
{
    struct file *file = fd_get_any(fd);

    if (file == NULL)
        return -EBADF;
    file_put(file);
    return fd_table_cloexec(current->files, fd);
}

int fd_set_cloexec(int fd, bool on)
{
    struct fd_table *t = current->files;
    int error = -EBADF;

    spin_lock(&t->lock);
    if (file_at(t, (unsigned)fd) != NULL) {
        set_entry(t, (unsigned)fd, t->files[fd], on);
        error = 0;
    }
    spin_unlock(&t->lock);
    return error;
}

/* ---- giving up sharing; exec ---- */

static void close_marked(struct fd_table *t)
{
    for (unsigned word = 0; word < t->capacity / 64; word++) {
        u64 bits;

        while ((bits = t->cloexec[word] & t->open[word]) != 0) {
            struct file *file;

            spin_lock(&t->lock);
            file = clear_entry(t, word * 64 + (unsigned)__builtin_ctzll(bits));
            spin_unlock(&t->lock);
            if (file != NULL)
                file_close(file);
        }
    }
}

int fd_table_unshare(void)
{
    struct fd_table *old = current->files, *own;
    u64 flags;

    if (load_relaxed(&old->refs) == 1)
        return 0;
    own = fd_table_copy(old);
    if (IS_ERR(own))
        return (int)PTR_ERR(own);
    flags = spin_lock_irqsave(&task_lock);
    current->files = own;
    spin_unlock_irqrestore(&task_lock, flags);
    fd_table_put(old);
    return 0;
}

int fd_table_unshare_for_exec(void)
{
    int error = fd_table_unshare();

    if (error == 0)
        close_marked(current->files);
    return error;
}
