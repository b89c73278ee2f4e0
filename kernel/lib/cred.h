/* Who a thread acts as (credentials(7)). Shared and immutable: changing means replacing current->cred by a copy. */
#ifndef LIB_CRED_H
#define LIB_CRED_H

#include "lib/atomic.h"
#include "lib/types.h"

struct cred {
    u32 refs;
    u32 uid, euid, suid, fsuid;
    u32 gid, egid, sgid, fsgid;
    u64 cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient;
    bool keep_caps; /* prctl(PR_SET_KEEPCAPS) */
    unsigned n_groups;
    u32 *groups; /* sorted as given; NULL when none */
};

enum {
    CAP_CHOWN = 0,
    CAP_DAC_OVERRIDE = 1,
    CAP_DAC_READ_SEARCH = 2,
    CAP_FOWNER = 3,
    CAP_FSETID = 4,
    CAP_KILL = 5,
    CAP_SETGID = 6,
    CAP_SETUID = 7,
    CAP_SETPCAP = 8,
    CAP_LINUX_IMMUTABLE = 9,
    CAP_NET_BIND_SERVICE = 10,
    CAP_NET_ADMIN = 12,
    CAP_IPC_LOCK = 14,
    CAP_IPC_OWNER = 15,
    CAP_SYS_RAWIO = 17,
    CAP_SYS_CHROOT = 18,
    CAP_SYS_PTRACE = 19,
    CAP_SYS_ADMIN = 21,
    CAP_SYS_BOOT = 22,
    CAP_SYS_NICE = 23,
    CAP_SYS_RESOURCE = 24,
    CAP_SYS_TIME = 25,
    CAP_SYS_TTY_CONFIG = 26,
    CAP_MKNOD = 27,
    CAP_MAC_OVERRIDE = 32,
    CAP_WAKE_ALARM = 35,
    CAP_CHECKPOINT_RESTORE = 40,
    CAP_LAST = 40
};

struct cred *cred_create_root(void);
struct cred *cred_copy(const struct cred *cred); /* refs = 1; NULL = no memory */
static inline void cred_get(struct cred *cred) { atomic_add_relaxed(&cred->refs, 1); }
void cred_put(struct cred *cred);
static inline bool cred_has_cap(const struct cred *cred, unsigned cap) { return (cred->cap_effective >> cap & 1) != 0; }
static inline bool capable(const struct cred *cred, unsigned cap) { return cred_has_cap(cred, cap); }
bool cred_in_group(const struct cred *cred, u32 gid); /* fsgid or a supplementary group */

#endif
