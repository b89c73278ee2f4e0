/*
 * System calls that move bytes of open files: read(2), write(2), their vector and positioned relatives, lseek(2),
 * sendfile(2), copy_file_range(2).
 *
 * Files with a position are those with ops->seek. pos_lock is taken only when somebody else may use the same open file,
 * and only where no reader waits for somebody else: of regular files.
 */
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/pipe.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define IOV_SMALL 8
#define RWF_HIPRI 1
#define RWF_DSYNC 2
#define RWF_SYNC 4
#define RWF_NOWAIT 8
#define RWF_APPEND 16
#define RWF_NOAPPEND 32

typedef ssize_t (*move_fn)(struct file *file, struct uio *uio, u64 *pos);

static bool has_position(const struct file *file) { return file->ops->seek != NULL; }

/* A read or write at the file's own position: at a copy of it, since somebody else may move that of a device, whose
 * readers hold no lock, or of a file that is given away just now (pidfd_getfd(2)). */
static inline ssize_t move_at_position(struct file *file, struct uio *uio, move_fn move)
{
    u64 pos, nowhere = 0;
    bool shared;
    ssize_t done;

    if (!has_position(file))
        return move(file, uio, &nowhere);
    shared = load_relaxed(&file->refs) > 1 && S_ISREG(file->inode->mode);
    if (shared)
        mutex_lock(&file->pos_lock);
    pos = load_relaxed(&file->pos);
    done = move(file, uio, &pos);
    if (done >= 0)
        store_relaxed(&file->pos, pos);
    if (shared)
        mutex_unlock(&file->pos_lock);
    return done;
}

static bool may_move(const struct file *file, bool write) { return write ? file->can_write : file->can_read; }

/* => it has a position, and OFFSET is none below 0 */
static inline ssize_t move_at(struct file *file, struct uio *uio, s64 offset, move_fn move)
{
    u64 pos = (u64)offset;

    if (unlikely((s64)(pos + uio->left) < 0))
        return may_move(file, move != file_read_uio) ? -EINVAL : -EBADF;
    return move(file, uio, &pos);
}

/* ---- one buffer ---- */

/* Whether [address, address + N) can be user memory: what is longer than any transfer is looked at as a whole. */
static inline bool is_possible(u64 address, u64 n)
{
    return likely(n <= RW_MAX) || (n <= arch_user_address_limit() && address <= arch_user_address_limit() - n);
}

static noinline_fn ssize_t refuse_buffer(const struct file *file, bool write)
{
    return may_move(file, write) ? -EFAULT : -EBADF;
}

DEFINE_SYSCALL(sys_read)
{
    struct fd_use use;
    struct uio uio;
    ssize_t done;

    if (!fd_use((int)a0, false, &use))
        return -EBADF;
    uio_init_user(&uio, (void *)a1, a2);
    done = is_possible(a1, a2) ? move_at_position(use.file, &uio, file_read_uio) : refuse_buffer(use.file, false);
    fd_release(&use);
    return done;
}

DEFINE_SYSCALL(sys_write)
{
    struct fd_use use;
    struct uio uio;
    ssize_t done;

    if (!fd_use((int)a0, false, &use))
        return -EBADF;
    uio_init_user(&uio, (void *)a1, a2);
    done = is_possible(a1, a2) ? move_at_position(use.file, &uio, file_write_uio) : refuse_buffer(use.file, true);
    fd_release(&use);
    return done;
}

static inline_fn long positioned(int fd, u64 buffer, u64 n, s64 offset, move_fn move)
{
    struct fd_use use;
    struct uio uio;
    ssize_t done;

    if (offset < 0)
        return -EINVAL;
    if (!fd_use(fd, false, &use))
        return -EBADF;
    uio_init_user(&uio, (void *)buffer, n);
    if (unlikely(!has_position(use.file)))
        done = -ESPIPE;
    else if (likely(is_possible(buffer, n)))
        done = move_at(use.file, &uio, offset, move);
    else
        done = refuse_buffer(use.file, move == file_write_uio);
    fd_release(&use);
    return done;
}

DEFINE_SYSCALL(sys_pread64) { return positioned((int)a0, a1, a2, (s64)a3, file_read_uio); }

DEFINE_SYSCALL(sys_pwrite64) { return positioned((int)a0, a1, a2, (s64)a3, file_write_uio); }

/* ---- vectors ---- */

struct vector {
    struct iovec small[IOV_SMALL], *vec;
    struct uio uio;
};

static int vector_get(struct vector *v, u64 user_vec, u64 count)
{
    int error;

    if (count > IOV_MAX)
        return -EINVAL;
    v->vec = v->small;
    if (count > IOV_SMALL) {
        v->vec = kmalloc(count * sizeof(struct iovec));
        if (v->vec == NULL)
            return -ENOMEM;
    }
    error = copy_from_user(v->vec, (void *)user_vec, count * sizeof(struct iovec));
    if (error == 0)
        error = uio_init_vector(&v->uio, v->vec, (unsigned)count);
    if (error != 0 && v->vec != v->small)
        kfree(v->vec);
    return error;
}

static void vector_put(struct vector *v)
{
    if (v->vec != v->small)
        kfree(v->vec);
}

static ssize_t write_synced(struct file *file, struct uio *uio, u64 *pos)
{
    ssize_t done = file_write_uio(file, uio, pos);
    int error;

    if (done <= 0 || file->ops->fsync == NULL)
        return done;
    error = file_fsync(file, *pos - (u64)done, *pos - 1, false);
    return error != 0 ? error : done;
}

/* RWF_ flags: those that are not needed for a correct result are ignored;
 * those whose promise is not kept are refused. */
static int check_flags(const struct file *file, unsigned flags)
{
    if (flags & ~(unsigned)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND))
        return -EOPNOTSUPP;
    if (S_ISDIR(file->inode->mode) && flags != RWF_HIPRI)
        return -EOPNOTSUPP;
    return (flags & RWF_APPEND) && (flags & RWF_NOAPPEND) ? -EINVAL : 0;
}

static bool is_loaded(struct object *o, u64 index)
{
    struct page *page = object_find_page(o, index);

    if (page != NULL)
        page_put(page);
    return page != NULL;
}

/* RWF_NOWAIT for a read of a file on a disk: no more than the pages from POS on that are in memory, or -EAGAIN, and
 * then they are fetched. A page that goes out of memory meanwhile is waited for. */
static int keep_to_cached(struct file *file, struct uio *uio, u64 pos)
{
    struct object *o = &file->inode->object;
    u64 size = inode_size(file->inode), end;
    u64 at = pos;

    if (pos >= size)
        return 0;
    end = pos + MIN(uio->left, size - pos);
    while (at < end && is_loaded(o, at >> PAGE_SHIFT))
        at = ((at >> PAGE_SHIFT) + 1) << PAGE_SHIFT;
    if (at < end)
        object_start_readahead(o, at >> PAGE_SHIFT, (unsigned)MIN(DIV_ROUND_UP(end - at, PAGE_SIZE), 32ul));
    if (at == pos)
        return -EAGAIN;
    uio->left = MIN(uio->left, at - pos);
    return 0;
}

/* RWF_NOWAIT: for reads of files on disks, and where nobody ever waits. */
static int check_nowait(struct file *file, struct uio *uio, s64 offset, bool write)
{
    if (S_ISREG(file->inode->mode))
        return write || file_is_shmem(file) ? -EOPNOTSUPP
                                            : keep_to_cached(file, uio, offset == -1 ? file->pos : (u64)offset);
    return (file->flags & O_NONBLOCK) || file->ops->poll == NULL ? 0 : -EOPNOTSUPP;
}

/* OFFSET -1: at the file's position. */
static long vectored(int fd, u64 user_vec, u64 count, s64 offset, unsigned flags, bool write)
{
    move_fn move = !write ? file_read_uio : flags & (RWF_DSYNC | RWF_SYNC) ? write_synced : file_write_uio;
    struct fd_use use;
    struct vector v;
    ssize_t done;

    if (offset < -1)
        return -EINVAL;
    if (!fd_use(fd, false, &use))
        return -EBADF;
    if (offset != -1 && !has_position(use.file))
        done = -ESPIPE;
    else if (!may_move(use.file, write))
        done = -EBADF;
    else
        done = vector_get(&v, user_vec, count);
    if (done == 0) {
        if (unlikely(flags != 0) && v.uio.left > 0)
            done = check_flags(use.file, flags);
        if (done == 0 && unlikely(flags & RWF_NOWAIT) && v.uio.left > 0)
            done = check_nowait(use.file, &v.uio, offset, write);
        v.uio.append = flags & RWF_APPEND ? UIO_APPEND : flags & RWF_NOAPPEND ? UIO_NOAPPEND : UIO_AS_OPENED;
        if (done == 0 && v.uio.left > 0)
            done = offset == -1 ? move_at_position(use.file, &v.uio, move) : move_at(use.file, &v.uio, offset, move);
        vector_put(&v);
    }
    fd_release(&use);
    return done;
}

DEFINE_SYSCALL(sys_readv) { return vectored((int)a0, a1, a2, -1, 0, false); }

DEFINE_SYSCALL(sys_writev) { return vectored((int)a0, a1, a2, -1, 0, true); }

DEFINE_SYSCALL(sys_preadv) { return (s64)a3 < 0 ? -EINVAL : vectored((int)a0, a1, a2, (s64)a3, 0, false); }

DEFINE_SYSCALL(sys_pwritev) { return (s64)a3 < 0 ? -EINVAL : vectored((int)a0, a1, a2, (s64)a3, 0, true); }

DEFINE_SYSCALL(sys_preadv2) { return vectored((int)a0, a1, a2, (s64)a3, (unsigned)a5, false); }

DEFINE_SYSCALL(sys_pwritev2) { return vectored((int)a0, a1, a2, (s64)a3, (unsigned)a5, true); }

/* ---- lseek ---- */

DEFINE_SYSCALL(sys_lseek)
{
    struct fd_use use;
    s64 result;

    if (!fd_use((int)a0, false, &use))
        return -EBADF;
    if ((unsigned)a2 > 4) {
        result = -EINVAL;
    } else if (use.file->ops->seek == NULL) {
        result = (use.file->inode->mode & S_IFMT) == 0 ? 0 : -ESPIPE; /* eventfd and the like are always at 0 */
    } else {
        mutex_lock(&use.file->pos_lock);
        result = use.file->ops->seek(use.file, (s64)a1, (int)a2);
        mutex_unlock(&use.file->pos_lock);
    }
    fd_release(&use);
    return result;
}

/* ---- from file to file ---- */

#define COPY_CHUNK (64 * KIB)

/* Moves up to N bytes through a kernel buffer; *IN_POS and *OUT_POS advance. A short write ends it, and what was read
 * too much is read again. */
static ssize_t copy_through(struct file *in, u64 *in_pos, struct file *out, u64 *out_pos, u64 n)
{
    size_t chunk = COPY_CHUNK;
    void *buffer = kmalloc_nowait(chunk);
    ssize_t total = 0, got = 0, put = 0;

    if (buffer == NULL) /* no pages that lie together: one will do */
        buffer = kmalloc(chunk = PAGE_SIZE);
    if (buffer == NULL)
        return -ENOMEM;
    while (n > 0) {
        struct uio uio;
        u64 from = *in_pos;

        uio_init_kernel(&uio, buffer, MIN(n, (u64)chunk));
        got = file_read_uio(in, &uio, in_pos);
        if (got <= 0)
            break;
        uio_init_kernel(&uio, buffer, (size_t)got);
        put = file_write_uio(out, &uio, out_pos);
        if (put < got)
            *in_pos = from + (u64)MAX(put, (ssize_t)0);
        if (put <= 0)
            break;
        total += put;
        n -= (u64)put;
        if (put < got || signal_pending())
            break;
        cond_resched();
    }
    kfree(buffer);
    if (total > 0)
        return total;
    return got < 0 ? got : put < 0 ? put : 0;
}

/* A position that is the file's own, or in user memory. */
struct position {
    u64 *user; /* NULL: the file's */
    u64 value;
};

static int position_get(struct position *p, struct file *file, u64 user)
{
    p->user = (u64 *)user;
    p->value = file->pos;
    if (user != 0 && get_user_u64(&p->value, p->user) != 0)
        return -EFAULT;
    if (user != 0 && !has_position(file))
        return -ESPIPE;
    return 0;
}

static bool is_negative(const struct position *p) { return (s64)p->value < 0; }

static int position_put(const struct position *p, struct file *file)
{
    if (p->user != NULL)
        return put_user_u64(p->value, p->user);
    if (has_position(file))
        file->pos = p->value;
    return 0;
}

/* OUT may be NULL: Linux looks at IN first. */
static ssize_t send_file(struct file *out, struct file *in, u64 user_offset, u64 n)
{
    struct position from, to;
    ssize_t done;
    int error;

    if (!in->can_read)
        return -EBADF;
    error = (s64)n < 0 ? -EINVAL : 0;
    if (error == 0)
        error = position_get(&from, in, user_offset);
    if (error == 0 && is_negative(&from))
        error = -EINVAL;
    if (error == 0 && n > (u64)INT64_MAX - from.value)
        error = -EINVAL;
    if (error != 0)
        return error;
    if (out == NULL || !out->can_write)
        return -EBADF;
    if (from.value >= MIN(in->inode->super->max_size, out->inode->super->max_size))
        return -EOVERFLOW;
    error = position_get(&to, out, 0);
    if (error != 0)
        return error;
    if (file_pipe(out) != NULL)
        done =
            splice_file_to_pipe(in, &from.value, out, MIN(n, RW_MAX), out->flags & O_NONBLOCK ? SPLICE_F_NONBLOCK : 0);
    else if ((out->flags & O_APPEND) || in->ops->seek == NULL || (n > 0 && S_ISDIR(in->inode->mode)))
        done = -EINVAL;
    else
        done = copy_through(in, &from.value, out, &to.value, MIN(n, RW_MAX));
    if (done < 0)
        return done;
    error = position_put(&from, in);
    position_put(&to, out);
    return error != 0 ? error : done;
}

DEFINE_SYSCALL(sys_sendfile)
{
    struct file *out = fd_get((int)a0), *in = fd_get((int)a1);
    ssize_t result = -EBADF;

    if (in != NULL)
        result = send_file(out, in, a2, a3);
    if (out != NULL)
        file_put(out);
    if (in != NULL)
        file_put(in);
    return result;
}

static bool ranges_overlap(u64 a, u64 b, u64 n) { return a < b + n && b < a + n; }

static ssize_t copy_range(struct file *in, u64 user_in, struct file *out, u64 user_out, u64 n)
{
    struct position from, to;
    u64 size;
    ssize_t done;
    int error;

    if (S_ISDIR(in->inode->mode) || S_ISDIR(out->inode->mode))
        return -EISDIR;
    if (!S_ISREG(in->inode->mode) || !S_ISREG(out->inode->mode))
        return -EINVAL;
    if (!in->can_read || !out->can_write || (out->flags & O_APPEND))
        return -EBADF;
    if (in->inode->super != out->inode->super)
        return -EXDEV;
    error = position_get(&from, in, user_in);
    if (error == 0)
        error = position_get(&to, out, user_out);
    if (error != 0)
        return error;
    if (from.value + n < n || to.value + n < n)
        return -EOVERFLOW;
    if (is_negative(&from) || is_negative(&to))
        return -EINVAL;
    size = inode_size(in->inode);
    n = from.value < size ? MIN(n, size - from.value) : 0;
    n = MIN(n, RW_MAX);
    if (in->inode == out->inode && ranges_overlap(from.value, to.value, n))
        return -EINVAL;
    done = copy_through(in, &from.value, out, &to.value, n);
    if (done < 0)
        return done;
    error = position_put(&from, in);
    if (error == 0)
        error = position_put(&to, out);
    return error != 0 ? error : done;
}

DEFINE_SYSCALL(sys_copy_file_range)
{
    struct file *in = fd_get((int)a0), *out = fd_get((int)a2);
    ssize_t result = -EBADF;

    if (in != NULL && out != NULL)
        result = a5 != 0 ? -EINVAL : copy_range(in, a1, out, a3, a4);
    if (in != NULL)
        file_put(in);
    if (out != NULL)
        file_put(out);
    return result;
}
