/* prctl(2): a process's or a thread's name, its death signal, what its capabilities may become, and other habits. */
#include "lib/string.h"
#include "proc/internal.h"
#include "sys/syscall.h"
#include "vm/space.h"
#include "vm/uaccess.h"

#define SECBIT_KEEP_CAPS 16

enum {
    PR_SET_PDEATHSIG = 1,
    PR_GET_PDEATHSIG = 2,
    PR_GET_DUMPABLE = 3,
    PR_SET_DUMPABLE = 4,
    PR_GET_KEEPCAPS = 7,
    PR_SET_KEEPCAPS = 8,
    PR_GET_TIMING = 13,
    PR_SET_TIMING = 14,
    PR_SET_NAME = 15,
    PR_GET_NAME = 16,
    PR_GET_SECCOMP = 21,
    PR_CAPBSET_READ = 23,
    PR_CAPBSET_DROP = 24,
    PR_GET_SECUREBITS = 27,
    PR_SET_SECUREBITS = 28,
    PR_SET_TIMERSLACK = 29,
    PR_GET_TIMERSLACK = 30,
    PR_MCE_KILL = 33,
    PR_MCE_KILL_GET = 34,
    PR_SET_CHILD_SUBREAPER = 36,
    PR_GET_CHILD_SUBREAPER = 37,
    PR_SET_NO_NEW_PRIVS = 38,
    PR_GET_NO_NEW_PRIVS = 39,
    PR_GET_TID_ADDRESS = 40,
    PR_SET_THP_DISABLE = 41,
    PR_GET_THP_DISABLE = 42,
    PR_CAP_AMBIENT = 47,
    PR_SET_MDWE = 65,
    PR_GET_MDWE = 66,
};
enum { AMBIENT_IS_SET = 1, AMBIENT_RAISE = 2, AMBIENT_LOWER = 3, AMBIENT_CLEAR_ALL = 4 };
#define DEFAULT_TIMER_SLACK (50 * NSEC_PER_USEC)

static long set_name(u64 user)
{
    char name[sizeof(current->name)] = {0};
    ssize_t n = strncpy_from_user(name, (const char *)user, sizeof(name) - 1);

    if (n == -EFAULT)
        return -EFAULT;
    name[sizeof(name) - 1] = '\0'; /* longer names are cut */
    memcpy(current->name, name, sizeof(name));
    return 0;
}

static long set_keep_caps(bool keep)
{
    struct cred *new = cred_prepare();

    if (new == NULL)
        return -ENOMEM;
    new->keep_caps = keep;
    cred_commit(new);
    return 0;
}

static long drop_from_bounding_set(u64 cap)
{
    struct cred *new;

    if (cap > CAP_LAST)
        return -EINVAL;
    if (!capable(current->cred, CAP_SETPCAP))
        return -EPERM;
    new = cred_prepare();
    if (new == NULL)
        return -ENOMEM;
    new->cap_bounding &= ~BIT(cap);
    cred_commit(new);
    return 0;
}

static long change_ambient(u64 what, u64 cap, u64 rest)
{
    const struct cred *old = current->cred;
    struct cred *new;

    if (rest != 0 || (what == AMBIENT_CLEAR_ALL ? cap != 0 : cap > CAP_LAST))
        return -EINVAL;
    if (what == AMBIENT_IS_SET)
        return (long)(old->cap_ambient >> cap & 1);
    if (what != AMBIENT_RAISE && what != AMBIENT_LOWER && what != AMBIENT_CLEAR_ALL)
        return -EINVAL;
    if (what == AMBIENT_RAISE && !(old->cap_permitted & old->cap_inheritable & BIT(cap)))
        return -EPERM;
    new = cred_prepare();
    if (new == NULL)
        return -ENOMEM;
    if (what == AMBIENT_RAISE)
        new->cap_ambient |= BIT(cap);
    else
        new->cap_ambient = what == AMBIENT_LOWER ? new->cap_ambient & ~BIT(cap) : 0;
    cred_commit(new);
    return 0;
}

enum { MCE_KILL_CLEAR, MCE_KILL_SET };
enum { MCE_KILL_LATE, MCE_KILL_EARLY, MCE_KILL_DEFAULT };

/* When a thread would hear of memory that has failed. */
static long set_memory_error_policy(struct task *t, u64 what, u64 policy, u64 rest)
{
    if (rest != 0 || what > MCE_KILL_SET || policy > (what == MCE_KILL_SET ? (u64)MCE_KILL_DEFAULT : 0))
        return -EINVAL;
    t->memory_error_policy = what == MCE_KILL_SET ? (u8)policy : MCE_KILL_DEFAULT;
    return 0;
}

DEFINE_SYSCALL(sys_prctl)
{
    struct task *t = current_task();
    struct process *p = t->process;

    switch ((int)a0) {
    case PR_SET_PDEATHSIG:
        if (a1 > SIGNAL_MAX)
            return -EINVAL;
        t->parent_death_signal = (int)a1;
        return 0;
    case PR_GET_PDEATHSIG:
        return put_user_u32((u32)t->parent_death_signal, (u32 *)a1);
    case PR_GET_DUMPABLE:
        return !p->is_undumpable;
    case PR_SET_DUMPABLE:
        if (a1 > 1)
            return -EINVAL;
        p->is_undumpable = a1 == 0;
        return 0;
    case PR_GET_KEEPCAPS:
        return current->cred->keep_caps;
    case PR_SET_KEEPCAPS:
        return a1 > 1 ? -EINVAL : set_keep_caps(a1 != 0);
    case PR_GET_TIMING:
    case PR_GET_SECCOMP:
        return 0;
    case PR_GET_SECUREBITS:
        return current->cred->keep_caps ? SECBIT_KEEP_CAPS : 0;
    case PR_SET_SECUREBITS: /* the others cannot be set */
        if (!capable(current->cred, CAP_SETPCAP))
            return -EPERM;
        return a1 & ~(u64)SECBIT_KEEP_CAPS ? -EINVAL : set_keep_caps(a1 != 0);
    case PR_SET_TIMING:
        return a1 == 0 ? 0 : -EINVAL;
    case PR_SET_NAME:
        return set_name(a1);
    case PR_GET_NAME:
        return copy_to_user((void *)a1, current->name, sizeof(current->name));
    case PR_CAPBSET_READ:
        return a1 > CAP_LAST ? -EINVAL : (long)(current->cred->cap_bounding >> a1 & 1);
    case PR_CAPBSET_DROP:
        return drop_from_bounding_set(a1);
    case PR_SET_TIMERSLACK:
        t->timer_slack = (s64)a1 > 0 ? a1 : DEFAULT_TIMER_SLACK;
        return 0;
    case PR_MCE_KILL:
        return set_memory_error_policy(t, a1, a2, a3 | a4);
    case PR_MCE_KILL_GET:
        return (a1 | a2 | a3 | a4) != 0 ? -EINVAL : t->memory_error_policy;
    case PR_GET_TIMERSLACK:
        return (long)t->timer_slack;
    case PR_SET_CHILD_SUBREAPER:
        p->is_subreaper = a1 != 0;
        return 0;
    case PR_GET_CHILD_SUBREAPER:
        return put_user_u32(p->is_subreaper, (u32 *)a1);
    case PR_SET_NO_NEW_PRIVS:
        if (a1 != 1 || a2 != 0 || a3 != 0 || a4 != 0)
            return -EINVAL;
        t->no_new_privs = true;
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        return a1 != 0 || a2 != 0 || a3 != 0 || a4 != 0 ? -EINVAL : t->no_new_privs;
    case PR_GET_TID_ADDRESS:
        return put_user_u64((u64)t->clear_child_tid, (u64 *)a1);
    case PR_SET_THP_DISABLE:
        if (a2 != 0 || a3 != 0 || a4 != 0)
            return -EINVAL;
        space_set_no_huge_pages(current->space, a1 != 0);
        return 0;
    case PR_GET_THP_DISABLE:
        return a1 != 0 || a2 != 0 || a3 != 0 || a4 != 0 ? -EINVAL : space_has_no_huge_pages(current->space);
    case PR_SET_MDWE:
        return a2 != 0 || a3 != 0 || a4 != 0 || a1 > UINT32_MAX ? -EINVAL
                                                                : space_set_exec_gain(current->space, (unsigned)a1);
    case PR_GET_MDWE:
        return a1 != 0 || a2 != 0 || a3 != 0 || a4 != 0 ? -EINVAL : (long)space_exec_gain(current->space);
    case PR_CAP_AMBIENT:
        return change_ambient(a1, a2, a3 | a4);
    default:
        return -EINVAL;
    }
}
