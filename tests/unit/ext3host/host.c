/* See host.h. Included by the tests. */
#include "tests/unit/ext3host/host.h"

#include <stdio.h>
#include <stdlib.h>

#include "fs/page_io.h"
#include "vm/swapdev.h"
#include "vm/swapobj.h"
#include "vm/cache.h"
#include "vm/run.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#include "tests/unit/ext3host/disk.h"

#define HOST_MEMORY (64 * MIB)

/* ---- what the rest of the kernel would provide ---- */

#ifndef HOST_FIBERS
#include "tests/unit/host/locks.h"
#endif

struct machine machine = {.harts = 1, .paging_levels = 3};
#ifndef HOST_FIBERS
static struct thread host_thread = {.hart = &harts[0]};
struct thread *current = &host_thread;
#endif
char *host_memory;
char host_messages[65536];
bool host_quiet = true;
const char *host_options = ""; /* of mounts */
u64 host_fail_after = UINT64_MAX;
static u64 host_clock = 1700000000ull * NSEC_PER_SEC;

void panic(const char *fmt, ...)
{
    va_list args;

    printf("Bail out! panic: ");
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    abort();
}

void kprintf(const char *fmt, ...)
{
    size_t used = strlen(host_messages);
    va_list args;

    if (used + 1000 > sizeof(host_messages))
        used = 0;
    va_start(args, fmt);
    vsnprintf(host_messages + used, sizeof(host_messages) - used - 1, fmt, args);
    va_end(args);
    strcat(host_messages, "\n");
    if (!host_quiet)
        printf("# %s", host_messages + used);
}

void host_forget_messages(void) { host_messages[0] = '\0'; }

u64 time_ns(void) { return host_clock += 1000; }
u64 time_realtime_offset(void) { return 0; }
u64 arch_user_address_limit(void) { return 1ul << 38; }
void clear_page(void *p) { memset(p, 0, PAGE_SIZE); }
void copy_page(void *to, const void *from) { memcpy(to, from, PAGE_SIZE); }
size_t copy_string(char *dst, const char *src, size_t size)
{
    snprintf(dst, size, "%s", src);
    return strlen(src);
}
void *kmalloc_nowait(size_t n) { return malloc(n); }
void shrinker_register(struct shrinker *s) {}
void reclaim_kick(void) {}
bool reclaim_wait(unsigned round, unsigned order, bool for_user) { return false; }
void reclaim_forget_object(struct object *o) {}
bool swapdev_is(const struct block_device *disk) { return false; }
int object_swap_in(struct object *o, u64 index) { return 0; }
void object_forget_marker(struct object *o, u64 index, void *item) {}
bool run_add(struct object *o, u64 index, bool below_size, enum run_wish wish) { return false; }
void run_break(struct page *page) {}
bool cred_in_group(const struct cred *cred, u32 gid) { return false; }
bool inode_is_owner(const struct inode *inode, const struct cred *cred) { return true; }
int path_want_write(const struct path *path) { return 0; }
int get_user_u32(u32 *value, const u32 *user)
{
    *value = *user;
    return 0;
}
int put_user_u32(u32 value, u32 *user)
{
    *user = value;
    return 0;
}
size_t copy_to_user_partial(void *to, const void *from, size_t n) { return n; }
size_t copy_from_user_partial(void *to, const void *from, size_t n) { return n; }
size_t clear_user_partial(void *to, size_t n) { return n; }
void locks_free(struct inode *inode) {}
void mappings_init(struct tree *mappings) {}
void dentry_lock_names(void) {}
void dentry_unlock_names(void) {}
u32 notify_watches; /* nobody watches */
void notify_unmount(struct super *super) {}
void rmap_zap(struct object *o, u64 first, u64 last, bool copies_too) {}
void rmap_write_protect(struct object *o, u64 first, u64 last) {}
int block_file_add(struct block_device *device) { return 0; }
int block_files_sync(bool wait) { return 0; }

#ifdef HOST_FIBERS
#include "tests/crash/host_fibers.c"
#else
void sched_yield(void) {} /* libc's leak checker calls it, too */
#endif

/* ---- pages ---- */

struct page *page_array;
u64 page_to_address, address_to_page;
u64 first_pfn, end_pfn = HOST_MEMORY / PAGE_SIZE, nr_anon_pages;
static struct list free_pages = LIST_INIT(free_pages);
static u64 n_free;

u64 page_total_count(void) { return HOST_MEMORY / PAGE_SIZE; }
u64 page_free_count(void) { return n_free; }

struct page *page_alloc(unsigned flags)
{
    struct page *p;

    if (list_empty(&free_pages))
        panic("out of pages");
    p = list_first(&free_pages, struct page, free_link);
    list_remove(&p->free_link);
    n_free--;
    memset(p, 0, sizeof(*p));
    p->refs = 1;
    memset(page_address(p), flags & ALLOC_ZERO ? 0 : 0xA5, PAGE_SIZE);
    return p;
}

void page_free(struct page *p)
{
    p->flags = PG_FREE;
    list_add(&free_pages, &p->free_link);
    n_free++;
}

void page_put_many(struct page **pages, unsigned n)
{
    while (n > 0)
        page_put(pages[--n]);
}

/* ---- the disk ---- */

static struct block_device disk;
static int disk_fd = -1;

#ifndef HOST_FIBERS
static void submit(struct block_request *r)
{
    u64 at = r->sector * SECTOR_SIZE;

    r->error = host_fail_after == 0 ? -EIO : 0;
    if (host_fail_after != UINT64_MAX && host_fail_after > 0)
        host_fail_after--;
    for (unsigned i = 0; i < r->n_segments && r->error == 0 && r->op != BLOCK_FLUSH; i++) {
        struct block_segment *s = &r->segments[i];
        int failed = r->op == BLOCK_READ ? disk_read(disk_fd, s->address, s->length, at)
                                         : disk_write(disk_fd, s->address, s->length, at);

        if (failed)
            r->error = -EIO;
        at += s->length;
    }
    block_complete(r);
}
#endif

static struct super *mount_open_disk(bool read_only, int *error)
{
    struct super *super = super_mount(fs_type_find("ext3"), &disk, read_only, host_options);

    if (IS_ERR(super) && PTR_ERR(super) == -EINVAL && strstr(host_messages, "its type is ext2") != NULL) {
        host_messages[0] = '\0';
        super = super_mount(fs_type_find("ext2"), &disk, read_only, host_options);
    }
    *error = IS_ERR(super) ? (int)PTR_ERR(super) : 0;
    if (IS_ERR(super)) {
        disk_close(disk_fd);
        return NULL;
    }
    return super;
}

struct super *host_mount(const char *image, bool read_only, int *error)
{
    unsigned long size = 0;

    disk_fd = disk_open(image, &size);
    if (disk_fd < 0)
        panic("no image %s", image);
    disk = (struct block_device){.name = "test",
                                 .dev = 1,
                                 .sectors = size / SECTOR_SIZE,
                                 .write_cache = true,
                                 .max_segments = BLOCK_MAX_SEGMENTS,
                                 .logical_block = SECTOR_SIZE,
                                 .submit = submit};
    return mount_open_disk(read_only, error);
}

void host_unmount(struct super *super)
{
    super_unmount(super);
    disk_close(disk_fd);
}

void host_crash(struct super *super)
{
    int real = disk_fd;

    disk_fd = disk_open("/dev/null", NULL); /* later writes go nowhere */
    super_unmount(super);
    disk_close(disk_fd);
    disk_close(real);
}

void host_sync(struct super *super) { super_sync(super, true); }

int host_io_errors(void) { return locks_held; }

void host_init(void)
{
    host_memory = aligned_alloc(PAGE_SIZE, HOST_MEMORY);
    page_set_array(calloc(HOST_MEMORY / PAGE_SIZE, sizeof(*page_array)));
    for (u64 i = 1; i < HOST_MEMORY / PAGE_SIZE; i++) {
        list_add_tail(&free_pages, &page_array[i].free_link);
        n_free++;
    }
    cache_init();
    inode_init();
    block_init();
    ext3_init();
}

/* ---- what the VFS does around the operations ---- */

ssize_t generic_read(struct file *file, struct uio *uio, u64 *pos)
{
    return object_read(&file->inode->object, uio, pos, &file->readahead);
}

ssize_t generic_write(struct file *file, struct uio *uio, u64 *pos)
{
    ssize_t done;

    write_lock(&file->inode->lock);
    inode_touch(file->inode, ATTR_MTIME | ATTR_CTIME);
    done = object_write(&file->inode->object, uio, pos);
    write_unlock(&file->inode->lock);
    return done;
}
int generic_fsync(struct file *file, u64 from, u64 to, bool data_only) { return 0; }
s64 generic_seek(struct file *file, s64 offset, int whence) { return -EINVAL; }
s64 generic_seek_within(struct file *file, s64 offset, int whence, s64 size, u64 max) { return -EINVAL; }
struct object *generic_map(struct file *file, bool shared) { return &file->inode->object; }

struct inode *host_lookup(struct inode *dir, const char *name)
{
    struct inode *inode;

    if (!S_ISDIR(dir->mode))
        return ERR_PTR(-ENOTDIR);
    read_lock(&dir->lock);
    inode = dir->ops->lookup(dir, host_name(name));
    read_unlock(&dir->lock);
    return inode;
}

struct inode *host_path(struct super *super, const char *path)
{
    struct inode *at = super->root;
    char part[256];

    inode_hold(at);
    while (*path != '\0' && !IS_ERR(at)) {
        size_t n = strcspn(path, "/");
        struct inode *next;

        if (n > 0) {
            snprintf(part, sizeof(part), "%.*s", (int)n, path);
            next = S_ISDIR(at->mode) ? host_lookup(at, part) : ERR_PTR(-ENOTDIR);
            inode_put(at);
            at = next;
        }
        path += n + (path[n] == '/');
    }
    return at;
}

#define LOCKED(dir, expression)                        \
    ({                                                 \
        write_lock(&(dir)->lock);                      \
        __typeof__(expression) result_ = (expression); \
        write_unlock(&(dir)->lock);                    \
        result_;                                       \
    })

struct inode *host_create(struct inode *dir, const char *name, u32 mode)
{
    return LOCKED(dir, dir->ops->create(dir, host_name(name), mode));
}
struct inode *host_mkdir(struct inode *dir, const char *name)
{
    return LOCKED(dir, dir->ops->mkdir(dir, host_name(name), 0755));
}
struct inode *host_symlink(struct inode *dir, const char *name, const char *target)
{
    return LOCKED(dir, dir->ops->symlink(dir, host_name(name), target));
}

int host_link(struct inode *dir, const char *name, struct inode *inode)
{
    return LOCKED(dir, dir->ops->link(dir, host_name(name), inode));
}

int host_unlink(struct inode *dir, const char *name)
{
    struct inode *inode = host_lookup(dir, name);
    int error;

    if (IS_ERR(inode))
        return (int)PTR_ERR(inode);
    error = S_ISDIR(inode->mode) ? -EISDIR : LOCKED(dir, dir->ops->unlink(dir, host_name(name), inode));
    inode_put(inode);
    return error;
}

int host_rmdir(struct inode *dir, const char *name)
{
    struct inode *inode = host_lookup(dir, name);
    int error;

    if (IS_ERR(inode))
        return (int)PTR_ERR(inode);
    error = !S_ISDIR(inode->mode) ? -ENOTDIR : LOCKED(dir, dir->ops->rmdir(dir, host_name(name), inode));
    inode_put(inode);
    return error;
}

int host_rename(struct inode *old_dir, const char *old_name, struct inode *new_dir, const char *new_name,
                unsigned flags)
{
    struct inode *inode = host_lookup(old_dir, old_name), *target = host_lookup(new_dir, new_name);
    int error;

    if (IS_ERR(inode))
        return (int)PTR_ERR(inode);
    if (IS_ERR(target))
        target = NULL;
    if (target != NULL && flags == 0 && S_ISDIR(target->mode) != S_ISDIR(inode->mode))
        error = -ENOTDIR;
    else
        error = LOCKED(old_dir, old_dir->ops->rename(old_dir, host_name(old_name), inode, new_dir, host_name(new_name),
                                                     target, flags));
    inode_put(inode);
    if (target != NULL)
        inode_put(target);
    return error;
}

ssize_t host_write(struct inode *inode, u64 at, const void *data, size_t n)
{
    struct file file = {.inode = inode, .can_write = true};
    struct uio uio;

    uio_init_kernel(&uio, (void *)(u64)data, n);
    return inode->file_ops->write(&file, &uio, &at);
}

ssize_t host_read(struct inode *inode, u64 at, void *data, size_t n)
{
    struct file file = {.inode = inode};
    struct uio uio;

    uio_init_kernel(&uio, data, n);
    return inode->file_ops->read(&file, &uio, &at);
}

int host_truncate(struct inode *inode, u64 size)
{
    struct attributes attr = {.valid = ATTR_SIZE | ATTR_MTIME, .size = size, .mtime = current_time(inode)};

    return LOCKED(inode, inode->ops->setattr(inode, &attr));
}

int host_punch(struct inode *inode, u64 at, u64 n)
{
    struct file file = {.inode = inode, .can_write = true};

    return LOCKED(inode, inode->file_ops->fallocate(&file, 3, at, n));
}

s64 host_seek(struct inode *inode, s64 at, int whence)
{
    struct file file = {.inode = inode};

    return inode->file_ops->seek(&file, at, whence);
}

struct reader {
    struct dir_context ctx;
    unsigned left;
    void (*fn)(const char *, u64, unsigned, void *);
    void *arg;
};

static bool emit(struct dir_context *ctx, const char *name, unsigned length, u64 ino, unsigned type, u64 next_pos)
{
    struct reader *r = container_of(ctx, struct reader, ctx);
    char text[256];

    if (r->left == 0)
        return false;
    r->left--;
    memcpy(text, name, length);
    text[length] = '\0';
    r->fn(text, ino, type, r->arg);
    return true;
}

int host_read_dir(struct inode *dir, unsigned batch, void (*fn)(const char *name, u64 ino, unsigned type, void *arg),
                  void *arg)
{
    struct file file = {.inode = dir};
    struct reader r = {.ctx = {.emit = emit}, .fn = fn, .arg = arg};
    int error = 0;

    do {
        r.left = batch;
        read_lock(&dir->lock);
        error = dir->file_ops->read_dir(&file, &r.ctx);
        read_unlock(&dir->lock);
    } while (error == 0 && r.left < batch);
    return error;
}
