/*
 * System calls on the address space: what a file allows is checked here, the rest in vm/. Sources: mmap(2), munmap(2),
 * mprotect(2), msync(2), brk(2), and Linux 6.12 where they are silent (order of errors, legacy flags).
 */
#include "fs/vfs.h"
#include "sys/syscall.h"
#include "vm/limits.h"
#include "vm/space.h"
#include "vm/userfault.h"

/* Which size of huge pages is meant: 2^n bytes, or 0. */
#define MAP_HUGE_SIZE(flags) ((flags) >> 26 & 63)
#define MAP_HUGE_SIZES (31u << 26) /* the sizes that old programs may name, all together */

/* What MAP_SHARED_VALIDATE accepts. */
#define KNOWN_FLAGS                                                                                       \
    (MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_LOCKED | \
     MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_HUGE_SIZES)

/* What FILE lets a mapping do: fills M's object and max_prot. */
static int check_file(struct file *file, unsigned prot, unsigned flags, u64 length, struct mapping *m)
{
    bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;
    u64 max = INT64_MAX;
    unsigned forbidden = file_forbidden_prot(file, shared);
    struct object *o;

    if (m->offset > max || length > max - m->offset)
        return -EOVERFLOW;
    if (!file->can_read || (shared && (prot & PROT_WRITE) && !file->can_write))
        return -EACCES;
    if (shared && file->can_write && (file->inode->flags & FS_APPEND_FL))
        return -EACCES;
    if (prot & forbidden)
        return -EPERM;
    if (file->ops->map == NULL)
        return -ENODEV;
    if ((flags & MAP_GROWSDOWN) || (inode_is_hugetlb(file->inode) && m->offset % file->inode->super->block_size != 0))
        return -EINVAL;
    o = file->ops->map(file, shared);
    if (IS_ERR(o))
        return (int)PTR_ERR(o);
    m->object = o;
    m->max_prot = (shared && !file->can_write ? PROT_READ | PROT_EXEC : PROT_ALL) & ~forbidden;
    m->file = o != NULL ? file : NULL;
    return 0;
}

/* M: the offset of the mapping in its new memory, and what it may be made. Of /dev/zero the memory is as long as the
 * mapping, wherever that begins in it. */
static noinline_fn long map_shared_memory(u64 address, u64 length, unsigned prot, unsigned flags, struct mapping m)
{
    long result;

    if (flags & MAP_GROWSDOWN)
        return -EINVAL;
    if (!(flags & MAP_NORESERVE) && !may_commit(current->space, DIV_ROUND_UP(length, PAGE_SIZE)))
        return -ENOMEM;
    m.file = tmpfs_file_create("/dev/zero", ALIGN_UP(length, PAGE_SIZE), O_RDWR);
    if (IS_ERR(m.file))
        return PTR_ERR(m.file);
    m.object = &m.file->inode->object;
    result = space_mmap(current->space, address, length, prot, flags, &m);
    file_put(m.file);
    return result;
}

/* The pages of a file from a negative offset on go past the last page that can be numbered. */
static bool offset_overflows(s64 offset, u64 length)
{
    u64 first = (u64)(offset >> PAGE_SHIFT);

    return first + (length >> PAGE_SHIFT) < first;
}

static bool is_huge_size(unsigned bits) { return bits == 21 || bits == 30; }

/* There is no pool of huge pages, of whatever size; before that matters, the place must be one for them. */
static noinline_fn long refuse_huge(u64 address, u64 length, unsigned flags, u64 offset)
{
    unsigned bits = MAP_HUGE_SIZE(flags) != 0 ? MAP_HUGE_SIZE(flags) : 21;
    u64 size = 1ul << (bits & 63);
    long misplaced;

    if (!is_huge_size(bits) || length == 0 || ALIGN_UP(length, size) < length)
        return -EINVAL;
    if (offset_overflows((s64)offset, ALIGN_UP(length, size)))
        return -EOVERFLOW;
    if ((flags & MAP_GROWSDOWN) || (flags & MAP_TYPE) == 0 || (flags & MAP_TYPE) > MAP_SHARED_VALIDATE)
        return -EINVAL;
    if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && (address & (size - 1)))
        return -EINVAL;
    misplaced = space_check_place(current->space, address, ALIGN_UP(length, size), flags);
    if (misplaced != 0)
        return misplaced;
    return offset & (size - 1) ? -EINVAL : -ENOMEM;
}

static long map_anonymous(u64 address, u64 length, unsigned prot, unsigned flags)
{
    static const struct mapping memory = {.max_prot = PROT_ALL};

    if ((flags & MAP_TYPE) == MAP_DROPPABLE && (flags & (MAP_LOCKED | MAP_GROWSDOWN)))
        return -EINVAL;
    if ((flags & MAP_TYPE) != MAP_PRIVATE && (flags & MAP_TYPE) != MAP_DROPPABLE)
        return map_shared_memory(address, length, prot, flags, memory);
    return space_mmap(current->space, address, length, prot, flags, &memory);
}

/* Linux looks at the place before it looks at the kind of mapping and the file: if both are wrong, that is the error.
 */
static noinline_fn long refuse(u64 address, u64 length, unsigned flags, long error)
{
    long misplaced = space_check_place(current->space, address, ALIGN_UP(length, PAGE_SIZE), flags);

    return misplaced != 0 ? misplaced : error;
}

static inline bool is_known_type(unsigned flags)
{
    u64 known =
        BIT(MAP_SHARED) | BIT(MAP_PRIVATE) | (flags & MAP_ANONYMOUS ? BIT(MAP_DROPPABLE) : BIT(MAP_SHARED_VALIDATE));

    return (known >> (flags & MAP_TYPE) & 1) != 0;
}

/* => LENGTH is not yet rounded */
static inline long check_length(u64 length, u64 offset)
{
    if (length == 0)
        return -EINVAL;
    if (ALIGN_UP(length, PAGE_SIZE) < length)
        return -ENOMEM;
    return unlikely((s64)offset < 0) && offset_overflows((s64)offset, ALIGN_UP(length, PAGE_SIZE)) ? -EOVERFLOW : 0;
}

static noinline_fn long map_file(int fd, u64 address, u64 length, unsigned prot, unsigned flags, u64 offset)
{
    struct mapping m = {.offset = offset};
    struct file *file = fd_get(fd);
    bool begun;
    long result;

    if (file == NULL)
        return -EBADF;
    begun = file_mapping_begin(file, (flags & MAP_TYPE) != MAP_PRIVATE);
    result = (flags & MAP_HUGETLB) && !inode_is_hugetlb(file->inode) ? -EINVAL : check_length(length, offset);
    if (result != 0)
        goto out;
    if (!is_known_type(flags))
        result = -EINVAL;
    else if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE && (flags & ~(unsigned)KNOWN_FLAGS))
        result = -EOPNOTSUPP;
    else
        result = check_file(file, prot, flags, ALIGN_UP(length, PAGE_SIZE), &m);
    if (result != 0)
        result = refuse(address, length, flags, result);
    else if (m.object == NULL && (flags & MAP_TYPE) != MAP_PRIVATE) /* /dev/zero: each mapping its own memory */
        result = map_shared_memory(address, length, prot, flags, m);
    else
        result = space_mmap(current->space, address, length, prot, flags, &m);
    if (result >= 0 && S_ISREG(file->inode->mode))
        file_accessed(file); /* now, not when the first page is touched */
out:
    if (unlikely(begun))
        file_mapping_end(file);
    file_put(file);
    return result;
}

DEFINE_SYSCALL(sys_mmap)
{
    u64 address = a0, length = a1, offset = a5;
    unsigned prot = (unsigned)a2 & PROT_ALL, flags = (unsigned)a3;
    long error;

    if ((offset & PAGE_MASK) != 0)
        return -EINVAL;
    if (!(flags & MAP_ANONYMOUS))
        return map_file((int)a4, address, length, prot, flags, offset);
    if (unlikely(flags & MAP_HUGETLB))
        return refuse_huge(address, length, flags, offset);
    error = check_length(length, offset);
    if (likely(error == 0))
        error = is_known_type(flags) ? map_anonymous(address, length, prot, flags)
                                     : refuse(address, length, flags, -EINVAL);
    return error;
}

DEFINE_SYSCALL(sys_munmap) { return space_munmap(current->space, a0, a1); }

DEFINE_SYSCALL(sys_mprotect) { return space_mprotect(current->space, a0, a1, (unsigned)a2); }

DEFINE_SYSCALL(sys_msync) { return space_msync(current->space, a0, a1, (unsigned)a2); }

DEFINE_SYSCALL(sys_brk) { return (long)space_brk(current->space, a0); }

DEFINE_SYSCALL(sys_mremap) { return space_mremap(current->space, a0, a1, a2, (unsigned)a3, a4); }
DEFINE_SYSCALL(sys_mincore) { return space_mincore(current->space, a0, a1, (u8 *)a2); }

#define MADV_REMOVE 9

/* MADV_REMOVE: a hole in each file that [address, address + length) maps shared and writable. */
static long remove_range(u64 address, u64 length)
{
    u64 end = address + ALIGN_UP(length, PAGE_SIZE), at = address;
    struct space_range r = {.any_prot = true};
    long result = 0, unmapped = 0;

    if ((address & PAGE_MASK) != 0 || end < address || (length != 0 && end == address))
        return -EINVAL;
    while (result == 0 && address < end) {
        if (!space_next_range(current->space, &at, &r))
            return -ENOMEM;
        if (r.start > address) { /* what lies behind is treated all the same */
            unmapped = -ENOMEM;
            address = MIN(r.start, end);
        }
        if (address == end) {
            ;
        } else if (r.file == NULL || r.is_locked) {
            result = -EINVAL;
        } else if (!r.shared || !(r.max_prot & PROT_WRITE)) {
            result = -EACCES;
        } else if (r.file->ops->fallocate == NULL) {
            result = -EOPNOTSUPP;
        } else {
            userfault_announce_remove(current->space, address, MIN(r.end, end));
            result = r.file->ops->fallocate(r.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, r.offset,
                                            MIN(r.end, end) - address);
        }
        if (r.file != NULL)
            file_put(r.file);
        address = at;
    }
    return result != 0 ? result : unmapped;
}

DEFINE_SYSCALL(sys_madvise)
{
    return (int)a2 == MADV_REMOVE ? remove_range(a0, a1) : space_madvise(current->space, a0, a1, (int)a2);
}

DEFINE_SYSCALL(sys_mseal) { return space_mseal(current->space, a0, a1, a2); }

DEFINE_SYSCALL(sys_mlock) { return space_mlock(current->space, a0, a1, false); }
DEFINE_SYSCALL(sys_munlock) { return space_munlock(current->space, a0, a1); }
DEFINE_SYSCALL(sys_mlockall) { return space_mlockall(current->space, (unsigned)a0); }

DEFINE_SYSCALL(sys_munlockall)
{
    space_munlockall(current->space);
    return 0;
}

#define MLOCK_ONFAULT 1

DEFINE_SYSCALL(sys_mlock2)
{
    return a2 & ~(u64)MLOCK_ONFAULT ? -EINVAL : space_mlock(current->space, a0, a1, a2 & MLOCK_ONFAULT);
}

/* ---- remap_file_pages(2): as Linux does it since 4.0, by a mapping in the place of the old one ---- */

/* [START, END) is one file's, shared, side by side: what the mapping at START is like, its file referenced. */
static int find_shared_range(u64 start, u64 end, struct space_range *first)
{
    struct space_range next = {.pages = NULL};
    u64 at = start;

    *first = next;
    if (!space_next_range(current->space, &at, first))
        return -EINVAL;
    if (first->start != start || !first->shared || first->file == NULL) {
        if (first->file != NULL)
            file_put(first->file);
        return -EINVAL;
    }
    while (at < end) {
        u64 from = at;
        bool same = space_next_range(current->space, &at, &next) && next.start == from && next.file == first->file &&
                    next.shared;

        if (next.file != NULL)
            file_put(next.file);
        if (!same) {
            file_put(first->file);
            return -EINVAL;
        }
        next.file = NULL;
    }
    return 0;
}

DEFINE_SYSCALL(sys_remap_file_pages)
{
    u64 start = ALIGN_DOWN(a0, PAGE_SIZE), size = ALIGN_DOWN(a1, PAGE_SIZE), page = a3;
    struct mapping m = {.offset = page << PAGE_SHIFT};
    struct space_range r;
    unsigned flags = ((unsigned)a4 & MAP_NONBLOCK) | MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    bool begun;
    long result;

    if (a2 != 0 || start + size <= start || page + (size >> PAGE_SHIFT) < page)
        return -EINVAL;
    result = find_shared_range(start, start + size, &r);
    if (result != 0)
        return result;
    begun = file_mapping_begin(r.file, true);
    if (page > UINT64_MAX >> PAGE_SHIFT)
        result = -EOVERFLOW;
    else
        result = check_file(r.file, r.prot, flags, size, &m);
    if (result == 0 && m.object == NULL)
        result = -EINVAL;
    if (result == 0)
        result = space_mmap(current->space, start, size, r.prot, flags | (r.is_locked ? MAP_LOCKED : 0), &m);
    if (begun)
        file_mapping_end(r.file);
    file_put(r.file);
    return result < 0 ? result : 0;
}
