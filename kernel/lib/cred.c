/* Making, copying and dropping credentials. Contract in cred.h. */
#include "lib/cred.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

#define ALL_CAPS (BIT(CAP_LAST + 1) - 1)

struct cred *cred_create_root(void)
{
    struct cred *c = kzalloc(sizeof(*c));

    if (c == NULL)
        return NULL;
    c->refs = 1;
    c->cap_effective = c->cap_permitted = c->cap_bounding = ALL_CAPS;
    return c;
}

struct cred *cred_copy(const struct cred *from)
{
    struct cred *c = kmalloc(sizeof(*c));
    size_t size = from->n_groups * sizeof(u32);

    if (c == NULL)
        return NULL;
    *c = *from;
    c->refs = 1;
    c->groups = NULL;
    if (size > 0) {
        c->groups = kmalloc(size);
        if (c->groups == NULL) {
            kfree(c);
            return NULL;
        }
        memcpy(c->groups, from->groups, size);
    }
    return c;
}

void cred_put(struct cred *c)
{
    if (atomic_sub(&c->refs, 1) > 0)
        return;
    kfree(c->groups);
    kfree(c);
}

bool cred_in_group(const struct cred *c, u32 gid)
{
    if (c->fsgid == gid)
        return true;
    for (unsigned i = 0; i < c->n_groups; i++)
        if (c->groups[i] == gid)
            return true;
    return false;
}
