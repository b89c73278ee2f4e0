/* The tables of System V's objects: contract in ipc.h. */
#include "sys/ipc.h"

struct ipc_object *ipc_find_id(const struct ipc_table *table, int id)
{
    struct ipc_object *o;

    list_for_each(o, &table->objects, link)
        if (o->id == id)
            return o;
    return NULL;
}

struct ipc_object *ipc_find_key(const struct ipc_table *table, s32 key)
{
    struct ipc_object *o;

    list_for_each(o, &table->objects, link)
        if (o->perm->key == key)
            return o;
    return NULL;
}

struct ipc_object *ipc_find_index(const struct ipc_table *table, int index)
{
    struct ipc_object *o;

    list_for_each(o, &table->objects, link)
        if (index-- == 0)
            return o;
    return NULL;
}

int ipc_enter(struct ipc_table *table, struct ipc_object *o, struct ipc_perm *perm, s32 key, u32 mode)
{
    const struct cred *c = current->cred;

    *perm = (struct ipc_perm){
        .key = key, .uid = c->euid, .gid = c->egid, .cuid = c->euid, .cgid = c->egid, .mode = mode & 0777};
    o->perm = perm;
    o->id = table->next_id;
    table->next_id = (table->next_id + 1) & INT32_MAX;
    list_add_tail(&table->objects, &o->link);
    table->count++;
    return o->id;
}

void ipc_leave(struct ipc_table *table, struct ipc_object *o)
{
    list_remove(&o->link);
    table->count--;
}
