/*
 * System calls on users, groups and capabilities: getuid(2), setresuid(2), setgroups(2), capget(2) and their
 * relatives (credentials(7)).
 */
#include "lib/string.h"
#include "proc/internal.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define UNCHANGED UINT32_MAX
#define GROUPS_MAX 65536

DEFINE_SYSCALL(sys_getuid) { return current->cred->uid; }
DEFINE_SYSCALL(sys_geteuid) { return current->cred->euid; }
DEFINE_SYSCALL(sys_getgid) { return current->cred->gid; }
DEFINE_SYSCALL(sys_getegid) { return current->cred->egid; }

static int put_three(u64 to[3], u32 a, u32 b, u32 c)
{
    if (put_user_u32(a, (u32 *)to[0]) != 0 || put_user_u32(b, (u32 *)to[1]) != 0)
        return -EFAULT;
    return put_user_u32(c, (u32 *)to[2]);
}

DEFINE_SYSCALL(sys_getresuid)
{
    const struct cred *c = current->cred;

    return put_three((u64[]){a0, a1, a2}, c->uid, c->euid, c->suid);
}

DEFINE_SYSCALL(sys_getresgid)
{
    const struct cred *c = current->cred;

    return put_three((u64[]){a0, a1, a2}, c->gid, c->egid, c->sgid);
}

/* ---- user ids ---- */

/* capabilities(7), "Effect of user ID changes on capabilities". */
static void adjust_caps(struct cred *new, const struct cred *old)
{
    bool had_root = old->uid == 0 || old->euid == 0 || old->suid == 0;
    bool has_root = new->uid == 0 || new->euid == 0 || new->suid == 0;

    if (had_root && !has_root) {
        if (!new->keep_caps)
            new->cap_permitted = 0;
        new->cap_effective = new->cap_ambient = 0;
    }
    if (old->euid == 0 && new->euid != 0)
        new->cap_effective = 0;
    if (old->euid != 0 && new->euid == 0)
        new->cap_effective = new->cap_permitted;
}

/* The capabilities over files alone: they follow the file-system user id. */
#define FILE_CAPS                                                                                            \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | \
     BIT(CAP_LINUX_IMMUTABLE) | BIT(CAP_MKNOD) | BIT(CAP_MAC_OVERRIDE))

static void adjust_file_caps(struct cred *new, const struct cred *old)
{
    if (old->fsuid == 0 && new->fsuid != 0)
        new->cap_effective &= ~FILE_CAPS;
    if (old->fsuid != 0 && new->fsuid == 0)
        new->cap_effective |= new->cap_permitted &FILE_CAPS;
}

/* The process counts to the new real user from now on. -EAGAIN: no memory for that. */
static int change_user(const struct cred *new)
{
    struct process *p = current_process();
    struct user *user = user_get(new->uid), *old;
    u64 flags;

    if (user == NULL)
        return -EAGAIN;
    flags = spin_lock_irqsave(&p->signal_lock);
    old = p->user;
    p->user = user;
    atomic_add_relaxed(&user->processes, p->n_undead);
    atomic_sub(&old->processes, p->n_undead);
    spin_unlock_irqrestore(&p->signal_lock, flags);
    user_put(old);
    return 0;
}

/* Takes NEW, whose user ids have changed, into use. */
static int commit_uids(struct cred *new)
{
    int error;

    new->fsuid = new->euid;
    adjust_caps(new, current->cred);
    error = change_user(new);
    if (error != 0)
        cred_put(new);
    else
        cred_commit(new);
    return error;
}

static bool is_own_uid(const struct cred *c, u32 id) { return id == c->uid || id == c->euid || id == c->suid; }
static bool is_own_gid(const struct cred *c, u32 id) { return id == c->gid || id == c->egid || id == c->sgid; }

DEFINE_SYSCALL(sys_setuid)
{
    u32 uid = (u32)a0;
    const struct cred *old = current->cred;
    bool privileged = capable(old, CAP_SETUID);
    struct cred *new;

    if (uid == UNCHANGED)
        return -EINVAL;
    if (!privileged && uid != old->uid && uid != old->suid)
        return -EPERM;
    new = cred_prepare();
    if (new == NULL)
        return -ENOMEM;
    if (privileged)
        new->uid = new->suid = uid;
    new->euid = uid;
    return commit_uids(new);
}

DEFINE_SYSCALL(sys_setreuid)
{
    u32 ruid = (u32)a0, euid = (u32)a1;
    const struct cred *old = current->cred;
    struct cred *new;

    if (!capable(old, CAP_SETUID)) {
        if (ruid != UNCHANGED && ruid != old->uid && ruid != old->euid)
            return -EPERM;
        if (euid != UNCHANGED && !is_own_uid(old, euid))
            return -EPERM;
    }
    new = cred_prepare();
    if (new == NULL)
        return -ENOMEM;
    if (ruid != UNCHANGED)
        new->uid = ruid;
    if (euid != UNCHANGED)
        new->euid = euid;
    if (ruid != UNCHANGED || (euid != UNCHANGED && euid != old->uid))
        new->suid = new->euid;
    return commit_uids(new);
}

DEFINE_SYSCALL(sys_setresuid)
{
    u32 ids[3] = {(u32)a0, (u32)a1, (u32)a2};
    const struct cred *old = current->cred;
    struct cred *new;

    for (int i = 0; i < 3; i++)
        if (ids[i] != UNCHANGED && !is_own_uid(old, ids[i]) && !capable(old, CAP_SETUID))
            return -EPERM;
    new = cred_prepare();
    if (new == NULL)
        return -ENOMEM;
    if (ids[0] != UNCHANGED)
        new->uid = ids[0];
    if (ids[1] != UNCHANGED)
        new->euid = ids[1];
    if (ids[2] != UNCHANGED)
        new->suid = ids[2];
    return commit_uids(new);
}

/* Returns the old value whether or not it changes. */
DEFINE_SYSCALL(sys_setfsuid)
{
    u32 uid = (u32)a0, old_id = current->cred->fsuid;
    struct cred *new;

    if (uid == UNCHANGED || uid == old_id)
        return old_id;
    if (!is_own_uid(current->cred, uid) && !capable(current->cred, CAP_SETUID))
        return old_id;
    new = cred_prepare();
    if (new == NULL)
        return old_id;
    new->fsuid = uid;
    adjust_file_caps(new, current->cred);
    cred_commit(new);
    return old_id;
}

/* ---- group ids ---- */

static int commit_gids(struct cred *new)
{
    new->fsgid = new->egid;
    cred_commit(new);
    return 0;
}

DEFINE_SYSCALL(sys_setgid)
{
    u32 gid = (u32)a0;
    const struct cred *old = current->cred;
    bool privileged = capable(old, CAP_SETGID);
    struct cred *new;

    if (gid == UNCHANGED)
        return -EINVAL;
    if (!privileged && gid != old->gid && gid != old->sgid)
        return -EPERM;
    new = cred_prepare();
    if (new == NULL)
        return -ENOMEM;
    if (privileged)
        new->gid = new->sgid = gid;
    new->egid = gid;
    return commit_gids(new);
}

DEFINE_SYSCALL(sys_setregid)
{
    u32 rgid = (u32)a0, egid = (u32)a1;
    const struct cred *old = current->cred;
    struct cred *new;

    if (!capable(old, CAP_SETGID)) {
        if (rgid != UNCHANGED && rgid != old->gid && rgid != old->egid)
            return -EPERM;
        if (egid != UNCHANGED && !is_own_gid(old, egid))
            return -EPERM;
    }
    new = cred_prepare();
    if (new == NULL)
        return -ENOMEM;
    if (rgid != UNCHANGED)
        new->gid = rgid;
    if (egid != UNCHANGED)
        new->egid = egid;
    if (rgid != UNCHANGED || (egid != UNCHANGED && egid != old->gid))
        new->sgid = new->egid;
    return commit_gids(new);
}

DEFINE_SYSCALL(sys_setresgid)
{
    u32 ids[3] = {(u32)a0, (u32)a1, (u32)a2};
    const struct cred *old = current->cred;
    struct cred *new;

    for (int i = 0; i < 3; i++)
        if (ids[i] != UNCHANGED && !is_own_gid(old, ids[i]) && !capable(old, CAP_SETGID))
            return -EPERM;
    new = cred_prepare();
    if (new == NULL)
        return -ENOMEM;
    if (ids[0] != UNCHANGED)
        new->gid = ids[0];
    if (ids[1] != UNCHANGED)
        new->egid = ids[1];
    if (ids[2] != UNCHANGED)
        new->sgid = ids[2];
    return commit_gids(new);
}

DEFINE_SYSCALL(sys_setfsgid)
{
    u32 gid = (u32)a0, old_id = current->cred->fsgid;
    struct cred *new;

    if (gid == UNCHANGED || gid == old_id)
        return old_id;
    if (!is_own_gid(current->cred, gid) && !capable(current->cred, CAP_SETGID))
        return old_id;
    new = cred_prepare();
    if (new == NULL)
        return old_id;
    new->fsgid = gid;
    cred_commit(new);
    return old_id;
}

DEFINE_SYSCALL(sys_getgroups)
{
    const struct cred *c = current->cred;

    if ((int)a0 < 0)
        return -EINVAL;
    if ((int)a0 == 0)
        return c->n_groups;
    if ((unsigned)a0 < c->n_groups)
        return -EINVAL;
    if (copy_to_user((void *)a1, c->groups, c->n_groups * sizeof(u32)) != 0)
        return -EFAULT;
    return c->n_groups;
}

DEFINE_SYSCALL(sys_setgroups)
{
    u64 n = a0;
    u32 *groups = NULL;
    struct cred *new;

    if (!capable(current->cred, CAP_SETGID))
        return -EPERM;
    if (n > GROUPS_MAX)
        return -EINVAL;
    if (n > 0) {
        groups = kmalloc(n * sizeof(u32));
        if (groups == NULL)
            return -ENOMEM;
        if (copy_from_user(groups, (const void *)a1, n * sizeof(u32)) != 0) {
            kfree(groups);
            return -EFAULT;
        }
    }
    new = cred_prepare();
    if (new == NULL) {
        kfree(groups);
        return -ENOMEM;
    }
    kfree(new->groups);
    new->groups = groups;
    new->n_groups = (unsigned)n;
    cred_commit(new);
    return 0;
}

/* ---- capabilities ---- */

#define CAP_VERSION_1 0x19980330
#define CAP_VERSION_2 0x20071026
#define CAP_VERSION_3 0x20080522
#define ALL_CAPS (BIT(CAP_LAST + 1) - 1)

struct cap_header {
    u32 version;
    s32 pid;
};
struct cap_data { /* 32 bits of each set; version 3 has two of these */
    u32 effective, permitted, inheritable;
};

/* Number of 32-bit words of HEADER's version; an unknown one is answered with ours. */
static int get_cap_header(u64 user, struct cap_header *header)
{
    if (copy_from_user(header, (const void *)user, sizeof(*header)) != 0)
        return -EFAULT;
    if (header->version == CAP_VERSION_1)
        return 1;
    if (header->version == CAP_VERSION_2 || header->version == CAP_VERSION_3)
        return 2;
    if (put_user_u32(CAP_VERSION_3, (u32 *)user) != 0)
        return -EFAULT;
    return -EINVAL;
}

/* Of a process that has ended and is not yet waited for; NULL: there is none. */
static struct cred *cred_of_ended(int pid)
{
    struct process *p = process_find(pid);
    struct task *leader = p != NULL ? process_leader(p) : NULL;
    struct cred *c = leader != NULL ? task_cred(leader) : NULL;

    if (leader != NULL)
        task_put(leader);
    if (p != NULL)
        process_put(p);
    return c;
}

DEFINE_SYSCALL(sys_capget)
{
    struct cap_header header;
    struct cap_data data[2];
    int words = get_cap_header(a0, &header);
    struct task *t;
    struct cred *c;

    if (a1 == 0) /* only the version is asked for */
        return words == -EFAULT ? -EFAULT : 0;
    if (words < 0)
        return words;
    if (header.pid < 0)
        return -EINVAL;
    t = header.pid == 0 ? current_task() : task_find(header.pid);
    c = t != NULL ? task_cred(t) : cred_of_ended(header.pid);
    if (header.pid != 0 && t != NULL)
        task_put(t);
    if (c == NULL)
        return -ESRCH;
    for (int i = 0; i < 2; i++)
        data[i] = (struct cap_data){(u32)(c->cap_effective >> 32 * i), (u32)(c->cap_permitted >> 32 * i),
                                    (u32)(c->cap_inheritable >> 32 * i)};
    cred_put(c);
    return copy_to_user((void *)a1, data, (size_t)words * sizeof(data[0]));
}

DEFINE_SYSCALL(sys_capset)
{
    struct cap_header header;
    struct cap_data data[2] = {{0}};
    int words = get_cap_header(a0, &header);
    u64 effective, permitted, inheritable;
    const struct cred *old = current->cred;
    struct cred *new;

    if (words < 0)
        return words;
    if (header.pid != 0 && header.pid != task_tid(current_task()))
        return -EPERM;
    if (copy_from_user(data, (const void *)a1, (size_t)words * sizeof(data[0])) != 0)
        return -EFAULT;
    effective = (data[0].effective | (u64)data[1].effective << 32) & ALL_CAPS;
    permitted = (data[0].permitted | (u64)data[1].permitted << 32) & ALL_CAPS;
    inheritable = (data[0].inheritable | (u64)data[1].inheritable << 32) & ALL_CAPS;
    if ((permitted & ~old->cap_permitted) != 0 || (effective & ~permitted) != 0)
        return -EPERM;
    if (!capable(old, CAP_SETPCAP) && (inheritable & ~(old->cap_inheritable | old->cap_permitted)) != 0)
        return -EPERM;
    if ((inheritable & ~(old->cap_inheritable | old->cap_bounding)) != 0)
        return -EPERM;
    new = cred_prepare();
    if (new == NULL)
        return -ENOMEM;
    new->cap_effective = effective;
    new->cap_permitted = permitted;
    new->cap_inheritable = inheritable;
    new->cap_ambient &= permitted &inheritable;
    cred_commit(new);
    return 0;
}
