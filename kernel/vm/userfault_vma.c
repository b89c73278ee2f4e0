/*
 * Which mappings a userfaultfd handles: registration, its end, and the end of the descriptor. A vma is cut where a
 * registered range begins or ends, and merged again when it is no longer registered. Source: ioctl_userfaultfd(2),
 * UFFDIO_REGISTER, UFFDIO_UNREGISTER.
 */
#include "vm/cache.h"
#include "vm/lazy.h"
#include "vm/userfaults.h"

bool userfault_is_range(u64 start, u64 length)
{
    u64 limit = arch_user_address_limit();

    return (start & PAGE_MASK) == 0 && (length & PAGE_MASK) == 0 && length != 0 && start < limit &&
           length <= limit - start;
}

/* Memory without a disk: a missing page is one that the object does not have either. */
static bool is_shmem(const struct vma *v) { return v->object != NULL && object_is_memory(v->object); }
static bool is_anonymous(const struct vma *v) { return v->object == NULL && !(v->flags & VMA_VDSO); }

/* Files on a disk can have their stores reported, but their missing pages are the file system's to bring. */
static bool can_have(const struct vma *v, u32 flags)
{
    if (v->flags & VMA_VDSO)
        return false;
    if ((flags & VMA_UFFD_MINOR) && !is_shmem(v))
        return false;
    return (flags & (VMA_UFFD_MISSING | VMA_UFFD_MINOR | VMA_UFFD_WP)) == VMA_UFFD_WP || is_anonymous(v) || is_shmem(v);
}

static int check_vma(const struct vma *v, const struct userfault *u, u32 flags)
{
    if (!can_have(v, flags))
        return -EINVAL;
    if (!(v->max_prot & PROT_WRITE))
        return -EPERM;
    return v->userfault != NULL && v->userfault != u ? -EBUSY : 0;
}

/* [start, end) within *V becomes a vma of its own and gets U and FLAGS, or is taken from its userfaultfd (NULL, 0).
 * Merges what has become equal; *V is the vma that contains the range then. => write lock */
static int give(struct space *s, struct vma **v, u64 start, u64 end, struct userfault *u, u32 flags,
                struct list *removed)
{
    *v = vma_isolate(s, *v, start, end);
    if (*v == NULL)
        return -ENOMEM;
    lazy_keep(s, *v);
    (*v)->flags = ((*v)->flags & ~(u32)VMA_USERFAULT) | flags;
    (*v)->userfault = u;
    if (unlikely((*v)->flags & VMA_TRAP))
        pt_forget_leaves(s); /* who remembers it: vm/vmtrap.h */
    vma_merge_around(s, *v, removed);
    *v = vma_at(s, start);
    return 0;
}

static u32 flags_of(const struct userfault *u, unsigned modes)
{
    u32 wp = VMA_UFFD_WP | (u->features & UFFD_FEATURE_WP_ASYNC ? VMA_UFFD_ASYNC : 0);

    return (modes & UFFD_REGISTER_MISSING ? VMA_UFFD_MISSING : 0) | (modes & UFFD_REGISTER_WP ? wp : 0) |
           (modes & UFFD_REGISTER_MINOR ? VMA_UFFD_MINOR : 0);
}

/* => write lock */
static int register_range(struct userfault *u, u64 start, u64 end, u32 flags, struct list *removed)
{
    struct space *s = u->space;
    struct vma *first = vma_find(s, start), *v;
    int error = 0;

    if (first == NULL || first->start >= end)
        return -EINVAL;
    for (v = first; error == 0 && v != NULL && v->start < end; v = v->above)
        error = check_vma(v, u, flags);
    for (v = first; error == 0 && v != NULL && v->start < end; v = error == 0 ? v->above : NULL) {
        bool is_done = v->userfault == u && (v->flags & flags) == flags;

        if (!is_done)
            error = give(s, &v, MAX(start, v->start), MIN(end, v->end), u, flags, removed);
    }
    s->has_userfaults = true;
    return error;
}

int userfault_register(struct userfault *u, u64 start, u64 length, unsigned modes)
{
    struct list removed;
    int error;

    if (!userfault_enter(u))
        return -ENOMEM;
    list_init(&removed);
    write_lock(&u->space->lock);
    error = register_range(u, start, start + length, flags_of(u, modes), &removed);
    write_unlock(&u->space->lock);
    vma_free_list(&removed);
    userfault_leave(u);
    return error;
}

/* The part of *V in [start, end) is nobody's any more. => write lock */
static int take_back(struct space *s, struct vma **v, u64 start, u64 end, struct list *removed)
{
    struct userfault *u = (*v)->userfault;
    int error = 0;

    start = MAX(start, (*v)->start);
    end = MIN(end, (*v)->end);
    if ((*v)->flags & VMA_UFFD_WP)
        error = userfault_unprotect_vma(s, *v, start, end);
    if (error == 0)
        error = give(s, v, start, end, NULL, 0, removed);
    userfault_wake(u, start, end - start);
    return error;
}

static int unregister_range(struct space *s, u64 start, u64 end, struct list *removed)
{
    struct vma *first = vma_find(s, start), *v;
    int error = 0;

    if (first == NULL || first->start >= end)
        return -EINVAL;
    for (v = first; v != NULL && v->start < end; v = v->above)
        if (!can_have(v, v->flags))
            return -EINVAL;
    for (v = first; v != NULL && v->start < end; v = error == 0 ? v->above : NULL)
        if (v->userfault != NULL)
            error = take_back(s, &v, start, end, removed);
    return error;
}

int userfault_unregister(struct userfault *u, u64 start, u64 length)
{
    struct list removed;
    int error;

    if (!userfault_enter(u))
        return -ENOMEM;
    list_init(&removed);
    write_lock(&u->space->lock);
    error = unregister_range(u->space, start, start + length, &removed);
    write_unlock(&u->space->lock);
    vma_free_list(&removed);
    userfault_leave(u);
    return error;
}

/* Entries keep UFFD_WP when there is no memory to take it away; without the vma's flag it means nothing.
 * => write lock */
static void release_vmas(struct userfault *u, struct list *removed)
{
    struct space *s = u->space;

    for (struct vma *v = vma_find(s, 0); v != NULL; v = v->above) {
        if (v->userfault != u)
            continue;
        if (v->flags & VMA_UFFD_WP)
            (void)userfault_unprotect_vma(s, v, v->start, v->end);
        (void)give(s, &v, v->start, v->end, NULL, 0, removed); /* whole vmas are not cut */
    }
}

void userfault_close(struct userfault *u)
{
    struct list removed;

    list_init(&removed);
    if (userfault_enter(u)) {
        write_lock(&u->space->lock);
        release_vmas(u, &removed);
        write_unlock(&u->space->lock);
        vma_free_list(&removed);
        userfault_leave(u);
    }
    userfault_end_waits(u);
    userfault_put(u);
}
