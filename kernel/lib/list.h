/* Intrusive doubly linked circular list. A head is a `struct list`; an element embeds one. No locks of its own. */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include "lib/atomic.h"
#include "lib/types.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(head) {&(head), &(head)}

static inline void list_init(struct list *head) { head->next = head->prev = head; }
static inline bool list_empty(const struct list *head) { return head->next == head; }
/* Without the lock that guards it: it may be otherwise at once. */
static inline bool list_seems_empty(const struct list *head) { return load_relaxed(&head->next) == head; }

static inline void list_insert_between(struct list *item, struct list *prev, struct list *next)
{
    item->next = next;
    item->prev = prev;
    prev->next = item;
    next->prev = item;
}

static inline void list_add(struct list *head, struct list *item) { list_insert_between(item, head, head->next); }
static inline void list_add_tail(struct list *head, struct list *item) { list_insert_between(item, head->prev, head); }

/* Unlinks ITEM and leaves it an empty list, so removing twice is harmless and list_empty(item) tells membership. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* Moves all of FROM to the tail of TO; FROM is empty then. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_entry(item, type, member) container_of(item, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member) list_entry((head)->prev, type, member)
#define list_for_each(pos, head, member)                                                                               \
    for (pos = list_first(head, __typeof__(*pos), member); &pos->member != (head);                                     \
         pos = list_first(&pos->member, __typeof__(*pos), member))
/* The body may remove POS. */
#define list_for_each_safe(pos, tmp, head, member)                                                                     \
    for (pos = list_first(head, __typeof__(*pos), member), tmp = list_first(&pos->member, __typeof__(*pos), member);   \
         &pos->member != (head); pos = tmp, tmp = list_first(&pos->member, __typeof__(*pos), member))

#endif
