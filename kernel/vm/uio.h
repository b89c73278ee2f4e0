/* The other side of a read or write: user or kernel memory in one or several pieces, consumed from the front. */
#ifndef VM_UIO_H
#define VM_UIO_H

#include "lib/types.h"

struct iovec { /* the ABI's */
    u64 base, length;
};

struct uio {
    const struct iovec *vec; /* the current piece */
    size_t offset;           /* consumed of it */
    size_t left;             /* in all pieces */
    bool kernel;             /* pieces are kernel addresses */
    struct iovec one;        /* storage for the common case */
};

/* Checks nothing but the sum; the copies find bad pointers. */
void uio_init_user(struct uio *u, void *user_buffer, size_t n);
void uio_init_kernel(struct uio *u, void *buffer, size_t n);
/* VEC is a kernel copy of the vector: -EINVAL if the lengths overflow ssize_t. */
int uio_init_vector(struct uio *u, const struct iovec *vec, unsigned count);

/* Move N <= left bytes between the uio and kernel memory: bytes moved, fewer only at a bad user address. */
size_t uio_copy_out(struct uio *u, const void *src, size_t n); /* kernel -> uio: read(2) */
size_t uio_copy_in(struct uio *u, void *dst, size_t n);        /* uio -> kernel: write(2) */
size_t uio_clear_out(struct uio *u, size_t n);                 /* zeros -> uio */

#endif
