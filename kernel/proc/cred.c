/*
 * Credentials (credentials(7), capabilities(7)). A struct cred never changes once it is in use; the current task
 * replaces its own by a copy. Others read a task's pointer under task_lock.
 */
#include "fs/cred.h"
#include "lib/string.h"
#include "proc/internal.h"
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

struct cred *cred_prepare(void) { return cred_copy(current->cred); }

void cred_commit(struct cred *new)
{
    struct cred *old = current->cred;
    bool ids_differ =
        old->euid != new->euid || old->egid != new->egid || old->fsuid != new->fsuid || old->fsgid != new->fsgid;
    u64 flags;

    if (ids_differ) {
        current_process()->is_undumpable = true;
        current_task()->parent_death_signal = 0;
    }
    flags = spin_lock_irqsave(&task_lock);
    current->cred = new;
    spin_unlock_irqrestore(&task_lock, flags);
    cred_put(old);
}

/* capabilities(7), "Transformation of capabilities during execve()", for files without capabilities of their own. */
void cred_after_exec(struct cred *c, bool set_uid, u32 file_uid, bool set_gid, u32 file_gid)
{
    bool is_root;

    if (set_uid)
        c->euid = file_uid;
    if (set_gid)
        c->egid = file_gid;
    c->keep_caps = false;
    c->suid = c->fsuid = c->euid;
    c->sgid = c->fsgid = c->egid;
    if (set_uid || set_gid)
        c->cap_ambient = 0;
    is_root = c->uid == 0 || c->euid == 0;
    c->cap_permitted = is_root ? (c->cap_inheritable | c->cap_bounding) : c->cap_ambient;
    c->cap_effective = c->euid == 0 ? c->cap_permitted : c->cap_ambient;
}
