/*
 * How a task's credentials change (credentials(7), capabilities(7)). A struct cred never changes once it is in use; the
 * current task replaces its own by a copy. Others read a task's pointer under task_lock.
 */
#include "lib/cred.h"
#include "proc/internal.h"

struct cred *cred_prepare(void) { return cred_copy(current->cred); }

struct cred *cred_replace(struct cred *new)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct cred *old = current->cred;

    current->cred = new;
    spin_unlock_irqrestore(&task_lock, flags);
    return old;
}

void cred_commit(struct cred *new)
{
    struct cred *old = current->cred;
    bool ids_differ =
        old->euid != new->euid || old->egid != new->egid || old->fsuid != new->fsuid || old->fsgid != new->fsgid;

    if (ids_differ) {
        current_process()->is_undumpable = true;
        current_task()->parent_death_signal = 0;
    }
    cred_put(cred_replace(new));
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
