/* System calls on processes: ids, groups and sessions, exit, limits, usage, names and habits (prctl(2)). */
#include "lib/string.h"
#include "proc/internal.h"
#include "proc/usage.h"
#include "sys/syscall.h"
#include "vm/limits.h"
#include "vm/space.h"
#include "vm/uaccess.h"

DEFINE_SYSCALL(sys_exit) { task_exit(((int)a0 & 0xff) << 8); }
DEFINE_SYSCALL(sys_exit_group) { process_exit(((int)a0 & 0xff) << 8); }

DEFINE_SYSCALL(sys_getpid) { return current_process()->pid->number; }
DEFINE_SYSCALL(sys_gettid) { return current_task()->pid->number; }

/* The parent may exit just now, but its struct pid outlives the look: it is read without sleeping and with interrupts
 * off. */
DEFINE_SYSCALL(sys_getppid)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    const struct process *parent = current_process()->parent;
    int number = parent != NULL ? parent->pid->number : 0;

    spin_unlock_irqrestore(&task_lock, flags);
    return number;
}

/* ---- groups and sessions ---- */

/* => task_lock. The process that has this pid (0: the caller), or NULL. */
static struct process *process_at(int pid)
{
    struct pid *found = pid_lookup(pid);

    if (pid == 0)
        return current_process();
    return found != NULL && found->task != NULL ? found->task->process : NULL;
}

DEFINE_SYSCALL(sys_getpgid)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct process *p = process_at((int)a0);
    long result = p != NULL ? p->group->number : -ESRCH;

    spin_unlock_irqrestore(&task_lock, flags);
    return result;
}

DEFINE_SYSCALL(sys_getsid)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct process *p = process_at((int)a0);
    long result = p != NULL ? p->session->number : -ESRCH;

    spin_unlock_irqrestore(&task_lock, flags);
    return result;
}

/* => task_lock. POSIX's rules, in Linux's order. */
static int set_group(int pid, int pgid)
{
    struct process *self = current_process(), *p = process_at(pid), *first;
    struct pid *group;

    if (p == NULL)
        return -ESRCH;
    if (pid != 0 && p->pid->number != pid)
        return -EINVAL; /* a thread's id */
    if (p != self && p->parent != self)
        return -ESRCH;
    if (p != self && p->session != self->session)
        return -EPERM;
    if (p != self && p->did_exec)
        return -EACCES;
    if (p->session == p->pid)
        return -EPERM;
    group = pgid == 0 ? p->pid : pid_lookup(pgid);
    if (group != p->pid) {
        if (group == NULL || list_empty(&group->group))
            return -EPERM;
        first = list_first(&group->group, struct process, group_link);
        if (first->session != self->session)
            return -EPERM;
    }
    if (group == p->group)
        return 0;
    group_leave(p);
    group_join(p, group);
    return 0;
}

DEFINE_SYSCALL(sys_setpgid)
{
    u64 flags;
    int result;

    if ((int)a1 < 0 || ((int)a1 == 0 && (int)a0 < 0))
        return -EINVAL;
    flags = spin_lock_irqsave(&task_lock);
    result = set_group((int)a0, (int)a1);
    spin_unlock_irqrestore(&task_lock, flags);
    return result;
}

DEFINE_SYSCALL(sys_setsid)
{
    struct process *p = current_process();
    u64 flags = spin_lock_irqsave(&task_lock);
    long result = p->pid->number;

    if (p->session == p->pid || !list_empty(&p->pid->group)) {
        result = -EPERM;
    } else {
        group_leave(p);
        session_leave(p);
        session_join(p, p->pid);
        group_join(p, p->pid);
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return result;
}

/* ---- limits ---- */

/* Who may read and set another's limits (prlimit(2)): all its ids are the caller's real ones. */
static bool may_see_limits(struct process *p)
{
    const struct cred *own = current->cred;
    struct task *leader;
    struct cred *c;
    bool same;

    if (p == current_process() || capable(own, CAP_SYS_RESOURCE))
        return true;
    leader = process_leader(p);
    if (leader == NULL)
        return false;
    c = task_cred(leader);
    same = own->uid == c->uid && own->uid == c->euid && own->uid == c->suid && own->gid == c->gid &&
           own->gid == c->egid && own->gid == c->sgid;
    cred_put(c);
    task_put(leader);
    return same;
}

static int check_limit(unsigned resource, const struct rlimit *new, const struct rlimit *old)
{
    if (new->soft > new->hard)
        return -EINVAL;
    if (resource == RLIMIT_NOFILE && new->hard > BIT(20))
        return -EPERM; /* fs.nr_open */
    return new->hard > old->hard && !capable(current->cred, CAP_SYS_RESOURCE) ? -EPERM : 0;
}

/* P has a limit for its data now. */
static void count_data(struct process *p)
{
    struct space *space = process_space(p);

    if (space == NULL)
        return;
    space_count_exactly(space);
    space_put(space);
}

static int change_limit(struct process *p, unsigned resource, const struct rlimit *new, struct rlimit *old)
{
    struct rlimit *limit = &p->limits.limit[resource];
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    int error = 0;

    *old = *limit;
    if (new != NULL) {
        error = check_limit(resource, new, old);
        if (error == 0)
            *limit = *new;
    }
    spin_unlock_irqrestore(&p->signal_lock, flags);
    if (error == 0 && new != NULL && resource == RLIMIT_CPU)
        cpu_limit_start(p);
    if (error == 0 && new != NULL && resource == RLIMIT_DATA &&new->soft != RLIM_INFINITY)
        count_data(p);
    return error;
}

DEFINE_SYSCALL(sys_prlimit64)
{
    struct process *p;
    struct rlimit new, old;
    int error;

    if (a2 != 0 && copy_from_user(&new, (const void *)a2, sizeof(new)) != 0)
        return -EFAULT;
    p = process_find((int)a0 == 0 ? process_pid(current_process()) : (int)a0);
    if (p == NULL)
        return -ESRCH;
    error = !may_see_limits(p)   ? -EPERM
            : a1 >= RLIMIT_COUNT ? -EINVAL
                                 : change_limit(p, (unsigned)a1, a2 != 0 ? &new : NULL, &old);
    process_put(p);
    if (error != 0)
        return error;
    return a3 != 0 ? copy_to_user((void *)a3, &old, sizeof(old)) : 0;
}

DEFINE_SYSCALL(sys_getrlimit) { return a0 >= RLIMIT_COUNT ? -EINVAL : sys_prlimit64(0, a0, 0, a1, 0, 0); }

DEFINE_SYSCALL(sys_setrlimit)
{
    struct rlimit new, old;

    if (copy_from_user(&new, (const void *)a1, sizeof(new)) != 0)
        return -EFAULT;
    return a0 >= RLIMIT_COUNT ? -EINVAL : change_limit(current_process(), (unsigned)a0, &new, &old);
}

/* ---- usage ---- */

enum { RUSAGE_SELF = 0, RUSAGE_CHILDREN = -1, RUSAGE_THREAD = 1 };

DEFINE_SYSCALL(sys_getrusage)
{
    struct process *p = current_process();
    struct user_rusage out;
    struct usage u;
    u64 flags;

    switch ((int)a0) {
    case RUSAGE_SELF:
        process_usage(p, &u);
        break;
    case RUSAGE_CHILDREN:
        flags = spin_lock_irqsave(&p->signal_lock);
        u = p->children_usage;
        spin_unlock_irqrestore(&p->signal_lock, flags);
        break;
    case RUSAGE_THREAD:
        task_usage(current_task(), &u);
        break;
    default:
        return -EINVAL;
    }
    usage_to_user(&out, &u);
    return copy_to_user((void *)a1, &out, sizeof(out));
}

/* ---- personality ---- */

#define PERSONALITY_QUERY 0xffffffffu

DEFINE_SYSCALL(sys_personality)
{
    struct process *p = current_process();
    unsigned old = p->personality;

    if ((u32)a0 != PERSONALITY_QUERY)
        p->personality = (u32)a0;
    return old;
}
