/*
 * The only ways in which the kernel touches user memory. They walk the current space's page table, check the permission
 * that a user access would need, fault pages in, and copy through the direct map (sstatus.SUM is never set).
 * => may sleep; no spinlock, no space lock held. User memory may vanish or change between two calls: copy once, then
 * check the copy.
 */
#ifndef VM_UACCESS_H
#define VM_UACCESS_H

#include "arch/riscv/arch.h"
#include "lib/errno.h"
#include "lib/types.h"

/* All or -EFAULT (then an unknown part was copied). N may be 0. */
int copy_from_user(void *dst, const void *user_src, size_t n) must_check;
int copy_to_user(void *user_dst, const void *src, size_t n) must_check;
/* PAGE_SIZE bytes, from anywhere, to a page: as copy_from_user. */
int copy_page_from_user(void *page, const void *user_src) must_check;
/* Bytes NOT copied (0 = all): for calls that return a short count. */
size_t copy_from_user_partial(void *dst, const void *user_src, size_t n) must_check;
size_t copy_to_user_partial(void *user_dst, const void *src, size_t n) must_check;
int clear_user(void *user_dst, size_t n) must_check;
size_t clear_user_partial(void *user_dst, size_t n) must_check; /* bytes NOT cleared */
/* strlen without the NUL, DST then ends in NUL; -EFAULT; -ENAMETOOLONG when there is no NUL in the first SIZE bytes. */
ssize_t strncpy_from_user(char *dst, const char *user_src, size_t size) must_check;
/* -EFAULT as the copies; atomic on aligned words. */
int get_user_u32(u32 *value, const u32 *user) must_check;
int get_user_u64(u64 *value, const u64 *user) must_check;
int put_user_u32(u32 value, u32 *user) must_check;
int put_user_u64(u64 value, u64 *user) must_check;
/* *PREVIOUS = *user; if that is EXPECTED, *user = VALUE, atomically. */
int cmpxchg_user_u32(u32 *user, u32 expected, u32 value, u32 *previous) must_check;
/* As the copies, but fails with -EFAULT instead of sleeping when a page is not there (for use under locks). */
int get_user_u32_nofault(u32 *value, const u32 *user) must_check;
int cmpxchg_user_u32_nofault(u32 *user, u32 expected, u32 value, u32 *previous) must_check;
int copy_to_user_nofault(void *user_dst, const void *src, size_t n) must_check;
/* Has the pages made that such a copy needs. */
int user_fault_in_writable(void *user_dst, size_t n) must_check;

/* A run of bytes in one page, in place: the kernel's address of the user's VA, NULL if it is not accessible. Interrupts
 * are off until user_unpin: whoever takes the page away waits for that. => interrupts on */
void *user_pin_read(u64 va) must_check;
void *user_pin_write(u64 va) must_check;
void *user_pin_write_present(u64 va) must_check; /* also NULL if it would have to be made so first */
const u64 *user_pinned_entry(u64 va);            /* its page-table entry, until then; NULL: look it up */
static inline void user_unpin(void) { irq_enable(); }
static inline bool user_is_in_page(u64 va, size_t n) { return (va & PAGE_MASK) + n <= PAGE_SIZE; }

/* As the copies, quicker for a few words (N bytes, a constant) that lie well. */
static inline int get_user_words(void *dst, u64 va, size_t n)
{
    u64 *d = dst;
    const u64 *s;

    if (unlikely((va & 7) != 0 || !user_is_in_page(va, n)))
        return copy_from_user(dst, (const void *)va, n);
    s = user_pin_read(va);
    if (unlikely(s == NULL))
        return -EFAULT;
#pragma GCC unroll 16
    for (size_t i = 0; i < n / sizeof(u64); i++)
        d[i] = s[i];
    user_unpin();
    return 0;
}
static inline int put_user_words(u64 va, const void *src, size_t n)
{
    u64 *d;
    const u64 *s = src;

    if (unlikely((va & 7) != 0 || !user_is_in_page(va, n)))
        return copy_to_user((void *)va, src, n);
    d = user_pin_write(va);
    if (unlikely(d == NULL))
        return -EFAULT;
#pragma GCC unroll 16
    for (size_t i = 0; i < n / sizeof(u64); i++)
        d[i] = s[i];
    user_unpin();
    return 0;
}

/* What identifies the memory of a futex word: the object and offset of a shared mapping, else space and address. */
struct user_key {
    u64 owner, offset;
};
/* PRIVATE_FUTEX: skip the look-up, the key is space + address. -EFAULT, -EINVAL (not 4-byte aligned). */
int user_memory_key(const u32 *user, bool private_futex, struct user_key *key) must_check;

/* Another process's memory (/proc/PID/mem, process_vm_readv, exec's argument pages): bytes copied, or -errno if none.
 * FORCE ignores page protection as ptrace does (private mappings get copied, never shared ones written against
 * protection). */
struct space;
ssize_t space_read(struct space *space, u64 address, void *dst, size_t n, bool force);
ssize_t space_write(struct space *space, u64 address, const void *src, size_t n, bool force);

#endif
