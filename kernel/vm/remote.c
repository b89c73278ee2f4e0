/*
 * The memory of other spaces: what /proc/PID/mem, process_vm_readv, exec and the like read and write there. Contract in
 * uaccess.h. Each page is copied under its table's lock; what is not there or not allowed goes through the fault path.
 */
#include "lib/string.h"
#include "vm/fault.h"
#include "vm/uaccess.h"

/* Whether the page of entry E may be read or written by the kernel for somebody who traces the process, or (not FORCE)
 * as the process might. */
static bool is_usable(pte_t e, enum fault_access access, bool force)
{
    const pte_t readable = PTE_V | PTE_U | PTE_R, writable = PTE_V | PTE_U | PTE_W;

    if (!pte_has_page(e))
        return false;
    if (access == FAULT_READ)
        return force || (e & readable) == readable;
    if ((e & writable) == writable)
        return true;
    return force && !(e & PTE_UFFD_WP) && (pte_page(e)->flags & PG_ANON) && load_relaxed(&pte_page(e)->refs) == 1;
}

/* Copies N bytes, which lie in one page, if its entry lets them through. Under the table's lock: nobody makes the page
 * another's, or clean, in the middle of it. */
static bool copy_present(struct space *s, u64 va, void *buf, size_t n, enum fault_access access, bool force)
{
    struct page *table;
    bool done = false, is_code = false;
    pte_t *pte, e;

    read_lock(&s->lock);
    pte = va < arch_user_address_limit() ? pt_find(s, va, &table) : NULL;
    if (pte != NULL) {
        table_lock(table);
        e = load_relaxed(pte);
        done = is_usable(e, access, force);
        if (done) {
            char *p = (char *)page_address(pte_page(e)) + (va & PAGE_MASK);

            is_code = access == FAULT_WRITE && (e & PTE_X);
            if (access == FAULT_WRITE) {
                atomic_or(pte, PTE_D);
                memcpy(p, buf, n);
            } else {
                memcpy(buf, p, n);
            }
        }
        table_unlock(table);
    }
    read_unlock(&s->lock);
    if (is_code) /* a debugger's break point */
        arch_sync_icache((1ull << machine.harts) - 1);
    return done;
}

static ssize_t space_copy(struct space *s, u64 address, void *buf, size_t n, enum fault_access access, bool force)
{
    size_t done = 0;

    while (done < n) {
        size_t chunk = MIN(n - done, PAGE_SIZE - (address & PAGE_MASK));

        if (!copy_present(s, address, (char *)buf + done, chunk, access, force)) {
            if (fault_in(s, address, access, force) != FAULT_MAPPED)
                break;
            continue;
        }
        done += chunk;
        address += chunk;
    }
    return done > 0 || n == 0 ? (ssize_t)done : -EFAULT;
}

ssize_t space_read(struct space *s, u64 address, void *dst, size_t n, bool force)
{
    return space_copy(s, address, dst, n, FAULT_READ, force);
}

ssize_t space_write(struct space *s, u64 address, const void *src, size_t n, bool force)
{
    return space_copy(s, address, (void *)(u64)src, n, FAULT_WRITE, force);
}
