/*
 * Memory: sbrk, which in xv6 gives memory at once or says that there is none, and the mmap lab's calls.
 *
 * The heap begins after the program, as in xv6. All that may become heap is reserved without access at the start, up to
 * where xv6 has its trap frame if that is free: sbrk opens and closes it.
 *
 *     program | heap, open | reserved ...                  | end of what xv6 gives
 *             heap_start   heap_end                        heap_limit
 *
 * xv6's machine has MOST_MEMORY: so much is given at once, to all programs together (what fork() shares counts once);
 * sbrklazy gives any range. In the lab on lazy allocation sbrk never fails: what is past heap_limit is just not there.
 */
#include "lib/machine.h"
#include "lib/linux.h"
#include "kernel/vm.h"
#include "kernel/memlayout.h"
#include "user/user.h"

#define MOST_MEMORY (PHYSTOP - KERNBASE)
#define LEAST_RESERVED (256UL << 20)

extern char _end[]; /* of the program, by the linker */

static uint64 heap_start, heap_end, heap_limit;

/* Takes the pages from FROM to TO out of use, or, with NO_REPLACE, reserves them if they are free; 0 or -1. */
static int reserve(uint64 from, uint64 to, int no_replace)
{
    int flags = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_NORESERVE |
                (no_replace ? LINUX_MAP_FIXED_NOREPLACE : LINUX_MAP_FIXED);
    long at = from < to ? linux_(LINUX_mmap, from, to - from, LINUX_PROT_NONE, flags, -1, 0) : (long)from;

    return at == (long)from ? 0 : -1;
}

void xv6_heap_init(void)
{
    heap_start = heap_end = PGROUNDUP((uint64)_end);
    heap_limit = TRAPFRAME;
    while (reserve(heap_start, heap_limit, 1) < 0 && heap_limit > LEAST_RESERVED)
        heap_limit = PGROUNDDOWN(heap_limit / 2);
}

/* Opens the pages from FROM to TO, and fills them if they are to be there at once; 0 or -1. */
static int open_pages(uint64 from, uint64 to, int how)
{
    long result = 0;

    if (from >= to)
        return 0;
    if (linux_(LINUX_mprotect, from, to - from, LINUX_PROT_RW) < 0)
        return -1;
    if (how == SBRK_EAGER)
        result = linux_(LINUX_madvise, from, to - from, LINUX_MADV_POPULATE_WRITE);
    if (result == -LINUX_EINVAL) { /* an old kernel */
        for (uint64 at = from; at < to; at += PGSIZE)
            *(volatile char *)at = 0;
        result = 0;
    }
    if (result < 0)
        reserve(from, to, 0);
    return result < 0 ? -1 : 0;
}

/* Counts BYTES more as this program's; 0, or -1 when the machine has no more. */
static int take_memory(int bytes)
{
    struct xv6_slot *mine = &xv6_machine->slots[xv6_slot];
    uint64 all = 0;

    __atomic_add_fetch(&mine->memory, bytes, __ATOMIC_SEQ_CST);
    for (int i = 0; i < NPROC; i++)
        if (xv6_machine->slots[i].pid != SLOT_FREE)
            all += __atomic_load_n(&xv6_machine->slots[i].memory, __ATOMIC_SEQ_CST);
    if (all <= MOST_MEMORY)
        return 0;
    __atomic_sub_fetch(&mine->memory, bytes, __ATOMIC_SEQ_CST);
    return -1;
}

static void give_memory_back(uint64 bytes)
{
    uint64 *mine = &xv6_machine->slots[xv6_slot].memory;

    *mine -= *mine < bytes ? *mine : bytes;
}

static void shrink(uint64 end)
{
    if (PGROUNDUP(end) < heap_limit)
        reserve(PGROUNDUP(end), PGROUNDUP(heap_end) < heap_limit ? PGROUNDUP(heap_end) : heap_limit, 0);
    give_memory_back(heap_end - end);
    heap_end = end;
}

static int grow(int bytes, int how)
{
    uint64 end = heap_end + bytes;

    if (end > heap_limit || (how == SBRK_EAGER && take_memory(bytes) < 0))
        return -1;
    if (open_pages(PGROUNDUP(heap_end), PGROUNDUP(end), how) < 0) {
        if (how == SBRK_EAGER)
            give_memory_back(bytes);
        return -1;
    }
    heap_end = end;
    return 0;
}

char *sys_sbrk(int bytes, int how)
{
    uint64 old = heap_end;

    if (bytes > 0 && grow(bytes, how) < 0)
        return SBRK_ERROR;
    if (bytes < 0 && old + bytes >= heap_start && old + bytes < old) /* else xv6 does nothing, and says nothing */
        shrink(old + bytes);
    return (char *)old;
}

char *sbrklazy(int bytes) { return sys_sbrk(bytes, SBRK_LAZY); }

char *sbrk(int bytes)
{
    char *old;

    if (!xv6_machine->lazy)
        return sys_sbrk(bytes, SBRK_EAGER);
    old = sys_sbrk(bytes, SBRK_LAZY);
    if (old == SBRK_ERROR) {
        old = (char *)heap_end;
        heap_end += bytes;
    }
    return old;
}

void *mmap(void *at, uint64 length, int protection, int flags, int fd, uint64 offset)
{
    long result = fd < NOFILE ? linux_(LINUX_mmap, at, length, protection, flags, fd, offset) : -1;

    return result < 0 && result > -PGSIZE ? (void *)-1 : (void *)result;
}

int munmap(void *at, uint64 length) { return or_minus_one(linux_(LINUX_munmap, at, length)); }
