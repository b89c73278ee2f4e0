/* Writing what shared mappings stored to files back. Source: msync(2), and Linux 6.12's behaviour where it is silent.
 */
#include "vm/vma.h"

#define MS_ASYNC 1
#define MS_INVALIDATE 2
#define MS_SYNC 4

/* Writes the dirty pages of a shared mapping's part back. The lock is given up meanwhile. */
static int sync_vma(struct space *s, struct vma *v, u64 start, u64 end)
{
    struct file *file = v->file;
    struct object *o = v->object;
    u64 from = v->offset + (start - v->start);
    int result;

    vm_file_ops->get(file);
    read_unlock(&s->lock);
    if (vm_file_ops->sync != NULL)
        result = vm_file_ops->sync(file, from, from + (end - start) - 1);
    else
        result = object_writeback(o, from, from + (end - start) - 1, true);
    vm_file_ops->put(file);
    read_lock(&s->lock);
    return result;
}

int space_msync(struct space *s, u64 address, u64 length, unsigned flags)
{
    u64 end = address + ALIGN_UP(length, PAGE_SIZE);
    bool has_hole = false;
    int result = 0;

    if ((flags & ~(unsigned)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || (address & PAGE_MASK) ||
        (flags & MS_ASYNC && flags & MS_SYNC))
        return -EINVAL;
    if (end < address)
        return -ENOMEM;
    read_lock(&s->lock);
    while (address < end && result == 0) {
        struct vma *v = vma_find(s, address);
        u64 to;

        if (v == NULL || v->start > address) {
            has_hole = true;
            if (v == NULL)
                break;
            address = v->start;
            continue;
        }
        if ((flags & MS_INVALIDATE) && (v->flags & VMA_LOCKED)) {
            result = -EBUSY;
            break;
        }
        to = MIN(v->end, end);
        if ((flags & MS_SYNC) && vma_is_shared(v) && v->object != NULL)
            result = sync_vma(s, v, address, to);
        address = to;
    }
    read_unlock(&s->lock);
    return result != 0 ? result : has_hole ? -ENOMEM : 0;
}
