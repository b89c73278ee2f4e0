/* The other side of a read or write: user or kernel memory in one or several pieces, consumed from the front. */
#ifndef VM_UIO_H
#define VM_UIO_H

#include "vm/uaccess.h"

#define IOV_MAX 1024 /* pieces in one call */

struct iovec { /* the ABI's */
    u64 base, length;
};

struct uio {
    const struct iovec *vec; /* the current piece */
    size_t offset;           /* consumed of it */
    size_t left;             /* in all pieces */
    bool kernel;             /* pieces are kernel addresses */
    u8 append;               /* UIO_*: what pwritev2 says of O_APPEND */
    struct iovec one;        /* storage for the common case */
};

/* A write goes to the position, or to the end if the file was opened so; to the end; to the position. */
enum { UIO_AS_OPENED, UIO_APPEND, UIO_NOAPPEND };

/* Checks nothing but the sum; the copies find bad pointers. */
static inline void uio_init_one(struct uio *u, void *buffer, size_t n, bool kernel)
{
    u->one = (struct iovec){(u64)buffer, n};
    u->vec = &u->one;
    u->offset = 0;
    u->left = n;
    u->kernel = kernel;
    u->append = UIO_AS_OPENED;
}
static inline void uio_init_user(struct uio *u, void *user_buffer, size_t n) { uio_init_one(u, user_buffer, n, false); }
static inline void uio_init_kernel(struct uio *u, void *buffer, size_t n) { uio_init_one(u, buffer, n, true); }
/* VEC is a kernel copy of the vector: -EINVAL if the lengths overflow ssize_t. */
int uio_init_vector(struct uio *u, const struct iovec *vec, unsigned count);

/* Move N <= left bytes between the uio and kernel memory: bytes moved, fewer only at a bad user address. */
size_t uio_copy_out_pieces(struct uio *u, const void *src, size_t n);
size_t uio_copy_in_pieces(struct uio *u, void *dst, size_t n);
size_t uio_clear_out(struct uio *u, size_t n); /* zeros -> uio */

/* Whether N bytes are user memory in one piece: most often all there is. */
static inline bool uio_is_one_user_piece(const struct uio *u, size_t n)
{
    return likely(!u->kernel) && likely(n <= u->vec->length - u->offset);
}

static inline size_t uio_advance(struct uio *u, size_t n)
{
    u->offset += n;
    u->left -= n;
    return n;
}

static inline size_t uio_copy_out(struct uio *u, const void *src, size_t n) /* kernel -> uio: read(2) */
{
    if (!uio_is_one_user_piece(u, n))
        return uio_copy_out_pieces(u, src, n);
    return uio_advance(u, n - copy_to_user_partial((void *)(u->vec->base + u->offset), src, n));
}

static inline size_t uio_copy_in(struct uio *u, void *dst, size_t n) /* uio -> kernel: write(2) */
{
    if (!uio_is_one_user_piece(u, n))
        return uio_copy_in_pieces(u, dst, n);
    return uio_advance(u, n - copy_from_user_partial(dst, (void *)(u->vec->base + u->offset), n));
}

#endif
