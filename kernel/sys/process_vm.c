/* Copies between address spaces: process_vm_readv(2), process_vm_writev(2). The data goes through one page of the
 * kernel's. */
#include "proc/task.h"
#include "sched/thread.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/space.h"
#include "vm/uaccess.h"
#include "vm/uio.h"

/* ptrace(2), "Ptrace access mode checking", PTRACE_MODE_ATTACH_REALCREDS. */
static bool may_trace(struct task *task)
{
    struct cred *theirs = task_cred(task);
    const struct cred *own = current->cred;
    bool same = own->uid == theirs->uid && own->uid == theirs->euid && own->uid == theirs->suid &&
                own->gid == theirs->gid && own->gid == theirs->egid && own->gid == theirs->sgid &&
                !task->process->is_undumpable;

    cred_put(theirs);
    return same || capable(own, CAP_SYS_PTRACE) || task->process == current_process();
}

/* A kernel copy of the vector; NULL for none. */
static struct iovec *copy_vector(u64 user, u64 count, long *error)
{
    struct iovec *vec;

    *error = count > IOV_MAX ? -EINVAL : 0;
    if (*error != 0 || count == 0)
        return NULL;
    vec = kmalloc(count * sizeof(*vec));
    if (vec == NULL)
        *error = -ENOMEM;
    else if (copy_from_user(vec, (void *)user, count * sizeof(*vec)) != 0)
        *error = -EFAULT;
    for (u64 i = 0; *error == 0 && i < count; i++) {
        if ((s64)vec[i].length < 0)
            *error = -EINVAL;
    }
    if (*error != 0) {
        kfree(vec);
        return NULL;
    }
    return vec;
}

/* One remote piece: bytes moved; fewer only at a bad address, then *ERROR. */
static size_t move_piece(struct space *remote, u64 address, size_t n, struct uio *local, void *buffer, bool write,
                         long *error)
{
    size_t done = 0;

    while (done < n && local->left > 0 && *error == 0) {
        if (fatal_signal_pending()) {
            *error = -EINTR;
            break;
        }
        size_t chunk = MIN(MIN(n - done, local->left), PAGE_SIZE - (address & PAGE_MASK)), got;
        ssize_t moved;

        if (write) {
            got = uio_copy_in(local, buffer, chunk);
            moved = got > 0 ? space_write(remote, address, buffer, got, false) : 0;
        } else {
            moved = space_read(remote, address, buffer, chunk, false);
            got = moved > 0 ? uio_copy_out(local, buffer, (size_t)moved) : 0;
            moved = moved > 0 ? (ssize_t)got : moved;
        }
        if (moved < (ssize_t)chunk)
            *error = -EFAULT;
        if (moved > 0) {
            done += (size_t)moved;
            address += (u64)moved;
        }
    }
    return done;
}

static long move_all(struct space *remote, const struct iovec *pieces, u64 count, struct uio *local, bool write)
{
    void *buffer = kmalloc(PAGE_SIZE);
    long total = 0, error = 0;

    if (buffer == NULL)
        return -ENOMEM;
    for (u64 i = 0; i < count && error == 0 && local->left > 0; i++)
        total += (long)move_piece(remote, pieces[i].base, pieces[i].length, local, buffer, write, &error);
    kfree(buffer);
    return total > 0 ? total : error;
}

static long transfer(int pid, struct uio *local, const struct iovec *pieces, u64 count, bool write)
{
    struct task *task = task_find(pid);
    struct space *space;
    long result;

    if (task == NULL)
        return -ESRCH;
    space = task_space_guarded(task, may_trace);
    task_put(task);
    if (space == NULL)
        return -ESRCH;
    if (IS_ERR(space))
        return -EPERM;
    result = move_all(space, pieces, count, local, write);
    space_put(space);
    return result;
}

static long process_vm(const u64 a[6], bool write)
{
    struct iovec *local = NULL, *remote = NULL;
    struct uio u;
    long result = -EINVAL;

    if (a[5] != 0)
        return -EINVAL;
    local = copy_vector(a[1], a[2], &result);
    if (result == 0)
        remote = copy_vector(a[3], a[4], &result);
    if (result == 0)
        result = uio_init_vector(&u, local, (unsigned)a[2]);
    if (result == 0)
        result = transfer((int)a[0], &u, remote, a[4], write);
    kfree(local);
    kfree(remote);
    return result;
}

DEFINE_SYSCALL(sys_process_vm_readv) { return process_vm((u64[]){a0, a1, a2, a3, a4, a5}, false); }
DEFINE_SYSCALL(sys_process_vm_writev) { return process_vm((u64[]){a0, a1, a2, a3, a4, a5}, true); }
