/*
 * The text of messages. It lies in pieces of a page at most, so that a long message needs no pages that lie together;
 * the first one ends the message's own structure:
 *
 *     [ message | next | bytes ] --> [ next | bytes ] --> [ next | bytes ]
 *
 * HEAD is the size of that structure, SIZE that of the whole text.
 */
#ifndef SYS_PIECES_H
#define SYS_PIECES_H

#include "lib/types.h"

struct piece {
    struct piece *next;
    char bytes[];
};

/* What the message's own allocation takes. */
size_t pieces_first_allocation(size_t head, u64 size);
/* Copies the text from USER, allocating what FIRST does not hold: 0, or with nothing allocated -ENOMEM, -EFAULT. */
int pieces_from_user(struct piece *first, size_t head, const void *user, u64 size);
/* N of its bytes: 0, -EFAULT. */
int pieces_to_user(const struct piece *first, size_t head, void *user, u64 n);
/* The text of FROM in TO: 0, or with nothing allocated -ENOMEM. */
int pieces_copy(struct piece *to, const struct piece *from, size_t head, u64 size);
/* All but the first, which goes with the message. */
void pieces_free_rest(struct piece *first);

#endif
