/* The other side of a read or write, in pieces. Contract in uio.h. */
#include "vm/uio.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vm/uaccess.h"

int uio_init_vector(struct uio *u, const struct iovec *vec, unsigned count)
{
    u64 sum = 0;

    for (unsigned i = 0; i < count; i++) {
        if (vec[i].length > INT64_MAX - sum)
            return -EINVAL;
        sum += vec[i].length;
    }
    u->vec = vec;
    u->offset = 0;
    u->left = sum;
    u->kernel = false;
    u->append = UIO_AS_OPENED;
    return 0;
}

enum direction { TO_UIO, FROM_UIO, ZERO_UIO };

/* Moves N bytes at the uio's address P: bytes not moved. */
static size_t move_piece(bool kernel, enum direction direction, void *p, void *buffer, size_t n)
{
    if (!kernel) {
        if (direction == TO_UIO)
            return copy_to_user_partial(p, buffer, n);
        return direction == FROM_UIO ? copy_from_user_partial(buffer, p, n) : clear_user_partial(p, n);
    }
    if (direction == ZERO_UIO)
        memset(p, 0, n);
    else
        memcpy(direction == TO_UIO ? p : buffer, direction == TO_UIO ? buffer : p, n);
    return 0;
}

static size_t move(struct uio *u, enum direction direction, void *buffer, size_t n)
{
    size_t done = 0;

    n = MIN(n, u->left);
    while (done < n) {
        size_t chunk = MIN(n - done, u->vec->length - u->offset), missed;

        if (chunk == 0) { /* this piece is used up, or empty */
            u->vec++;
            u->offset = 0;
            continue;
        }
        missed = move_piece(u->kernel, direction, (void *)(u->vec->base + u->offset),
                            (char *)buffer + (direction == ZERO_UIO ? 0 : done), chunk);
        u->offset += chunk - missed;
        u->left -= chunk - missed;
        done += chunk - missed;
        if (missed != 0)
            break;
    }
    return done;
}

size_t uio_copy_out_pieces(struct uio *u, const void *src, size_t n) { return move(u, TO_UIO, (void *)(u64)src, n); }
size_t uio_copy_in_pieces(struct uio *u, void *dst, size_t n) { return move(u, FROM_UIO, dst, n); }
size_t uio_clear_out(struct uio *u, size_t n) { return move(u, ZERO_UIO, NULL, n); }
