/* The text of messages in pieces: contract in pieces.h. */
#include "sys/pieces.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "sched/sched.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define REST (PAGE_SIZE - sizeof(struct piece)) /* bytes in each but the first */

size_t pieces_first_allocation(size_t head, u64 size) { return head + MIN(size, PAGE_SIZE - head); }

/* Another piece behind LAST, for up to SIZE bytes; NULL. */
static struct piece *append(struct piece *last, u64 size)
{
    struct piece *p = kmalloc(sizeof(*p) + MIN(size, REST));

    if (p != NULL)
        p->next = NULL;
    last->next = p;
    return p;
}

int pieces_from_user(struct piece *first, size_t head, const void *user, u64 size)
{
    u64 n = MIN(size, PAGE_SIZE - head), done = 0;
    struct piece *p = first;
    int error = 0;

    first->next = NULL;
    for (;;) {
        if (copy_from_user(p->bytes, (const char *)user + done, n) != 0)
            error = -EFAULT;
        done += n;
        if (error != 0 || done == size)
            break;
        p = append(p, size - done);
        if (p == NULL) {
            error = -ENOMEM;
            break;
        }
        n = MIN(size - done, REST);
        cond_resched();
    }
    if (error != 0)
        pieces_free_rest(first);
    return error;
}

int pieces_to_user(const struct piece *first, size_t head, void *user, u64 n)
{
    u64 part = MIN(n, PAGE_SIZE - head), done = 0;

    for (const struct piece *p = first;; p = p->next) {
        if (copy_to_user((char *)user + done, p->bytes, part) != 0)
            return -EFAULT;
        done += part;
        if (done == n)
            return 0;
        part = MIN(n - done, REST);
    }
}

int pieces_copy(struct piece *to, const struct piece *from, size_t head, u64 size)
{
    u64 n = MIN(size, PAGE_SIZE - head), left = size;
    struct piece *p = to;

    to->next = NULL;
    for (;;) {
        memcpy(p->bytes, from->bytes, n);
        left -= n;
        if (left == 0)
            return 0;
        p = append(p, left);
        if (p == NULL) {
            pieces_free_rest(to);
            return -ENOMEM;
        }
        from = from->next;
        n = MIN(left, REST);
    }
}

void pieces_free_rest(struct piece *first)
{
    struct piece *p = first->next;

    while (p != NULL) {
        struct piece *next = p->next;

        kfree(p);
        p = next;
    }
    first->next = NULL;
}
