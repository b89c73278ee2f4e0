/* What System V's objects have in common: commands, who may use them, and the tables they are in (sysvipc(7)). */
#ifndef SYS_IPC_H
#define SYS_IPC_H

#include "arch/riscv/arch.h"
#include "lib/cred.h"
#include "lib/list.h"
#include "lib/radix.h"
#include "lib/tree.h"
#include "sched/thread.h"

#define IPC_PRIVATE 0
#define IPC_CREAT 01000
#define IPC_EXCL 02000
#define IPC_NOWAIT 04000
#define IPC_RMID 0
#define IPC_SET 1
#define IPC_STAT 2
#define IPC_INFO 3

struct ipc_perm { /* the ABI's struct ipc64_perm */
    s32 key;
    u32 uid, gid, cuid, cgid, mode;
    u16 seq, pad;
    u32 pad2;
    u64 unused[2];
};
static_assert(sizeof(struct ipc_perm) == 48, "asm-generic/ipcbuf.h");

/* The head of each object, and the objects of a kind. => each kind's own lock */
struct ipc_object {
    struct list link;
    struct tree_node by_key; /* in the tree, unless the key is IPC_PRIVATE */
    int id;
    struct ipc_perm *perm; /* part of the object */
};
struct ipc_table {
    struct list objects;
    struct radix by_index;
    struct tree by_key;
    u32 count, next_index, sequence;
};

struct ipc_object *ipc_find_id(struct ipc_table *table, int id); /* NULL: none; so the others */
struct ipc_object *ipc_find_key(struct ipc_table *table, s32 key);
struct ipc_object *ipc_find_index(struct ipc_table *table, int index);
/* The first object at *INDEX or after; *INDEX is then behind it. */
struct ipc_object *ipc_next(const struct ipc_table *table, unsigned *index);
long ipc_highest_index(const struct ipc_table *table); /* 0: of none, too */
/* O, whose permissions are at PERM, is the caller's with KEY and MODE: its new id, or -ENOMEM. */
int ipc_enter(struct ipc_table *table, struct ipc_object *o, struct ipc_perm *perm, s32 key, u32 mode);
void ipc_leave(struct ipc_table *table, struct ipc_object *o);
/* O's key becomes IPC_PRIVATE: others may have it. */
void ipc_give_up_key(struct ipc_table *table, struct ipc_object *o);

static inline s64 ipc_now(void) { return (s64)((time_ns() + time_realtime_offset()) / NSEC_PER_SEC); }

/* MODE: the permission bits wanted, as in a file's mode (0444, 0666). */
static inline bool ipc_may_access(const struct ipc_perm *p, u32 mode)
{
    const struct cred *c = current->cred;
    u32 granted = p->mode;

    if (c->euid == p->uid || c->euid == p->cuid)
        granted >>= 6;
    else if (c->egid == p->gid || c->egid == p->cgid || cred_in_group(c, p->gid) || cred_in_group(c, p->cgid))
        granted >>= 3;
    mode = (mode >> 6 | mode >> 3 | mode) & 7;
    return (mode & ~granted & 7) == 0 || capable(c, CAP_IPC_OWNER);
}

static inline bool ipc_is_owner(const struct ipc_perm *p)
{
    const struct cred *c = current->cred;

    return c->euid == p->uid || c->euid == p->cuid || capable(c, CAP_SYS_ADMIN);
}

#endif
