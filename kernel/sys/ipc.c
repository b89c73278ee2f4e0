/*
 * The tables of System V's objects: contract in ipc.h.
 *
 *     id = sequence << 15 | index
 *
 * An index stays an object's own for its life, so that SHM_STAT and its kin, which count through the indexes, meet each
 * object once though others go. Indexes are given out in a circle, and the sequence rises with each turn: a removed
 * object's id comes back late.
 */
#include "sys/ipc.h"

#define INDEX_BITS 15
#define INDEX_MASK ((1u << INDEX_BITS) - 1)
#define SEQUENCE_MASK ((u32)INT32_MAX >> INDEX_BITS)
#define SMALLEST_CIRCLE 64u

struct ipc_object *ipc_find_id(struct ipc_table *table, int id)
{
    struct ipc_object *o = id < 0 ? NULL : radix_get(&table->by_index, (u32)id & INDEX_MASK);

    return o != NULL && o->id == id ? o : NULL;
}

static struct ipc_object *object_of(struct tree_node *node) { return container_of(node, struct ipc_object, by_key); }

/* Where KEY's object is linked, or would be; *PARENT is the node above. */
static struct tree_node **find_link(struct ipc_table *table, s32 key, struct tree_node **parent)
{
    struct tree_node **link = &table->by_key.root;

    *parent = NULL;
    while (*link != NULL && object_of(*link)->perm->key != key) {
        *parent = *link;
        link = key < object_of(*parent)->perm->key ? &(*parent)->left : &(*parent)->right;
    }
    return link;
}

struct ipc_object *ipc_find_key(struct ipc_table *table, s32 key)
{
    struct tree_node *parent, *node = *find_link(table, key, &parent);

    return node != NULL ? object_of(node) : NULL;
}

static void enter_key(struct ipc_table *table, struct ipc_object *o)
{
    struct tree_node *parent, **link;

    if (o->perm->key == IPC_PRIVATE)
        return;
    link = find_link(table, o->perm->key, &parent);
    ASSERT(*link == NULL);
    tree_insert(&table->by_key, &o->by_key, parent, link);
}

void ipc_give_up_key(struct ipc_table *table, struct ipc_object *o)
{
    if (o->perm->key != IPC_PRIVATE)
        tree_remove(&table->by_key, &o->by_key);
    o->perm->key = IPC_PRIVATE;
}

struct ipc_object *ipc_find_index(struct ipc_table *table, int index)
{
    return index < 0 ? NULL : radix_get(&table->by_index, (u32)index & INDEX_MASK);
}

struct ipc_object *ipc_next(const struct ipc_table *table, unsigned *index)
{
    u64 at = *index;
    struct ipc_object *o = radix_next(&table->by_index, &at);

    *index = (unsigned)at + 1;
    return o;
}

long ipc_highest_index(const struct ipc_table *table)
{
    struct ipc_object *o;
    long highest = 0;

    list_for_each(o, &table->objects, link)
        highest = MAX(highest, (long)((u32)o->id & INDEX_MASK));
    return highest;
}

/* The next free index: at least a quarter of the circle is free. */
static u32 choose_index(struct ipc_table *table)
{
    u32 circle = MIN(MAX(table->count + table->count / 2, SMALLEST_CIRCLE), INDEX_MASK);
    u32 index = table->next_index;

    do {
        if (index >= circle) {
            index = 0;
            table->sequence = (table->sequence + 1) & SEQUENCE_MASK;
        }
    } while (radix_get(&table->by_index, index) != NULL && ++index);
    return index;
}

int ipc_enter(struct ipc_table *table, struct ipc_object *o, struct ipc_perm *perm, s32 key, u32 mode)
{
    const struct cred *c = current->cred;
    u32 index = choose_index(table);
    int error = radix_insert(&table->by_index, index, o);

    if (error != 0)
        return error;
    *perm = (struct ipc_perm){.key = key,
                              .uid = c->euid,
                              .gid = c->egid,
                              .cuid = c->euid,
                              .cgid = c->egid,
                              .mode = mode & 0777,
                              .seq = (u16)table->sequence};
    o->perm = perm;
    o->id = (int)(table->sequence << INDEX_BITS | index);
    table->next_index = index + 1;
    list_add_tail(&table->objects, &o->link);
    enter_key(table, o);
    table->count++;
    return o->id;
}

void ipc_leave(struct ipc_table *table, struct ipc_object *o)
{
    radix_remove(&table->by_index, (u32)o->id & INDEX_MASK);
    ipc_give_up_key(table, o);
    list_remove(&o->link);
    table->count--;
}
