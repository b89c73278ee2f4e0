/* splice(2), tee(2), vmsplice(2): the checks; the moving is in fs/splice.c. */
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/pipe.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

/* Where the side of a splice that is no pipe reads or writes: the user's offset, or the file's own. */
struct place {
    u64 *user;
    u64 pos;
};

static int place_get(struct place *place, struct file *file, u64 user)
{
    *place = (struct place){(u64 *)user, file->pos};
    if (user == 0)
        return 0;
    if (get_user_u64(&place->pos, place->user) != 0)
        return -EFAULT;
    return file->ops->seek == NULL || (s64)place->pos < 0 ? -EINVAL : 0;
}

static int place_put(const struct place *place, struct file *file)
{
    if (place->user != NULL)
        return put_user_u64(place->pos, place->user);
    if (file->ops->seek != NULL)
        file->pos = place->pos;
    return 0;
}

static ssize_t splice(struct file *in, u64 user_in, struct file *out, u64 user_out, size_t n, unsigned flags)
{
    struct pipe *from = file_pipe(in), *to = file_pipe(out);
    struct place source, target;
    ssize_t done;
    int error;

    if ((user_in != 0 && from != NULL) || (user_out != 0 && to != NULL))
        return -ESPIPE;
    if (!in->can_read || !out->can_write)
        return -EBADF;
    error = place_get(&source, in, user_in);
    if (error == 0)
        error = place_get(&target, out, user_out);
    if (error != 0)
        return error;
    if ((from == NULL && to == NULL) || from == to)
        return -EINVAL;
    if (from != NULL && to != NULL)
        return splice_pipes(in, out, n, flags, false);
    if (to != NULL) {
        done = splice_file_to_pipe(in, &source.pos, out, n, flags);
        error = place_put(&source, in);
    } else {
        if (out->flags & O_APPEND)
            return -EINVAL;
        done = splice_pipe_to_file(in, out, &target.pos, n, flags);
        error = place_put(&target, out);
    }
    return done >= 0 && error != 0 ? error : done;
}

DEFINE_SYSCALL(sys_splice)
{
    struct file *in, *out;
    ssize_t result = -EBADF;

    if (a4 == 0)
        return 0;
    if (a5 & ~(u64)SPLICE_F_ALL)
        return -EINVAL;
    in = fd_get((int)a0);
    out = fd_get((int)a2);
    if (in != NULL && out != NULL)
        result = splice(in, a1, out, a3, MIN(a4, RW_MAX), (unsigned)a5);
    if (in != NULL)
        file_put(in);
    if (out != NULL)
        file_put(out);
    return result;
}

static ssize_t tee(struct file *in, struct file *out, size_t n, unsigned flags)
{
    struct pipe *from = file_pipe(in), *to = file_pipe(out);

    if (!in->can_read || !out->can_write)
        return -EBADF;
    if (from == NULL || to == NULL || from == to)
        return -EINVAL;
    return splice_pipes(in, out, n, flags, true);
}

DEFINE_SYSCALL(sys_tee)
{
    struct file *in, *out;
    ssize_t result = -EBADF;

    if (a3 & ~(u64)SPLICE_F_ALL)
        return -EINVAL;
    if (a2 == 0)
        return 0;
    in = fd_get((int)a0);
    out = fd_get((int)a1);
    if (in != NULL && out != NULL)
        result = tee(in, out, MIN(a2, RW_MAX), (unsigned)a3);
    if (in != NULL)
        file_put(in);
    if (out != NULL)
        file_put(out);
    return result;
}

static ssize_t vmsplice(struct file *file, struct uio *uio, unsigned flags)
{
    if (uio->left == 0)
        return 0;
    if (file_pipe(file) == NULL)
        return -EBADF;
    uio->left = MIN(uio->left, RW_MAX);
    return file->can_write ? splice_from_user(file, uio, flags) : splice_to_user(file, uio, flags);
}

DEFINE_SYSCALL(sys_vmsplice)
{
    struct iovec *vec;
    struct file *file;
    struct uio uio;
    ssize_t result;

    if (a3 & ~(u64)SPLICE_F_ALL)
        return -EINVAL;
    file = fd_get((int)a0);
    if (file == NULL)
        return -EBADF;
    if (a2 > IOV_MAX) {
        file_put(file);
        return -EINVAL;
    }
    vec = kmalloc(MAX(a2, 1ul) * sizeof(*vec));
    result = vec == NULL ? -ENOMEM : copy_from_user(vec, (const void *)a1, a2 * sizeof(*vec));
    if (result == 0)
        result = uio_init_vector(&uio, vec, (unsigned)a2);
    if (result == 0)
        result = vmsplice(file, &uio, (unsigned)a3);
    kfree(vec);
    file_put(file);
    return result;
}
