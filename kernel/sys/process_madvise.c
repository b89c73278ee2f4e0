/* Advice on another process's memory: process_madvise(2). */
#include "fs/procfs/procfs.h"
#include "proc/pidfd.h"
#include "proc/task.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/space.h"
#include "vm/uaccess.h"
#include "vm/uio.h"

enum { MADV_WILLNEED = 3, MADV_COLD = 20, MADV_PAGEOUT = 21, MADV_COLLAPSE = 25 };

/* Advice that does not change what another process's memory holds. */
static bool is_harmless(int advice)
{
    return advice == MADV_WILLNEED || advice == MADV_COLD || advice == MADV_PAGEOUT || advice == MADV_COLLAPSE;
}

static bool is_in_user_half(u64 start, u64 length)
{
    u64 limit = arch_user_address_limit();

    return length <= limit && start <= limit - length;
}

static long copy_pieces(u64 user, u64 count, struct iovec **pieces)
{
    *pieces = NULL;
    if (count > IOV_MAX)
        return -EINVAL;
    *pieces = kmalloc(MAX(count, (u64)1) * sizeof(**pieces));
    if (*pieces == NULL)
        return -ENOMEM;
    if (copy_from_user(*pieces, (void *)user, count * sizeof(**pieces)) != 0)
        return -EFAULT;
    for (u64 i = 0; i < count; i++) {
        if ((*pieces)[i].length > INT64_MAX)
            return -EINVAL;
        if (!is_in_user_half((*pieces)[i].base, (*pieces)[i].length))
            return -EFAULT;
    }
    return 0;
}

/* Bytes that were advised about, or the first error if there are none. */
static long advise_pieces(struct space *space, const struct iovec *pieces, u64 count, int advice)
{
    long done = 0;

    for (u64 i = 0; i < count; i++) {
        int error = space_madvise(space, pieces[i].base, pieces[i].length, advice);

        if (error != 0)
            return done > 0 ? done : error;
        done += (long)pieces[i].length;
    }
    return done;
}

static long advise_process(struct process *p, const struct iovec *pieces, u64 count, int advice)
{
    struct task *leader;
    struct space *space;
    long result;

    if (!is_harmless(advice))
        return -EINVAL;
    leader = process_leader(p);
    space = leader != NULL ? task_space_guarded(leader, may_trace) : NULL;
    if (space == NULL)
        result = -ESRCH;
    else if (IS_ERR(space))
        result = (long)PTR_ERR(space);
    else if (space != current->space && !capable(current->cred, CAP_SYS_NICE))
        result = -EPERM;
    else
        result = advise_pieces(space, pieces, count, advice);
    if (space != NULL && !IS_ERR(space))
        space_put(space);
    if (leader != NULL)
        task_put(leader);
    return result;
}

DEFINE_SYSCALL(sys_process_madvise)
{
    struct iovec *pieces;
    struct process *p;
    long result;

    if (a4 != 0)
        return -EINVAL;
    result = copy_pieces(a1, a2, &pieces);
    if (result == 0) {
        p = pidfd_process((int)a0, NULL);
        result = IS_ERR(p) ? PTR_ERR(p) : advise_process(p, pieces, a2, (int)a3);
        if (!IS_ERR(p))
            process_put(p);
    }
    kfree(pieces);
    return result;
}
