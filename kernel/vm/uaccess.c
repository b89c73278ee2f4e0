/*
 * User memory, reached by walking the page table: the entry is found and checked and the bytes are moved with
 * interrupts off. Whoever unmaps the page meanwhile waits in the TLB shootdown until this hart answers (vm/tlb.h), so
 * the frame cannot be freed under the copy; no reference is taken. What is not there or not allowed goes through the
 * same fault path as a user access.
 */
#include "vm/uaccess.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "sched/thread.h"
#include "vm/fault.h"

#define NEED_READ (PTE_V | PTE_U | PTE_R)
#define NEED_WRITE (PTE_V | PTE_U | PTE_W)

/* What the hardware would set in the entry, or has. */
static inline pte_t used_bits(pte_t need) { return need == NEED_WRITE ? PTE_A | PTE_D : PTE_A; }

static inline void *address_in(pte_t e, u64 va)
{
    return (char *)phys_to_virt(pte_pfn(e) << PAGE_SHIFT) + (va & PAGE_MASK);
}

/* &t->leaves[(va >> SPAN_SHIFT) % THREAD_LEAVES], put so that it takes one shift: each access to user memory begins
 * with it. */
static inline struct leaf_hint *leaf_hint(struct thread *t, u64 va)
{
    static_assert(sizeof(struct leaf_hint) == 32, "2^5");
    return (struct leaf_hint *)((char *)t->leaves + (va >> (SPAN_SHIFT - 5) & (THREAD_LEAVES - 1) << 5));
}

/* The leaf entry of VA, or NULL; its table is remembered. => interrupts off */
static pte_t *walk(struct space *s, u64 va)
{
    u64 generation = load_acquire(&s->leaf_generation);
    struct page *table;
    pte_t *pte = va < arch_user_address_limit() ? pt_find(s, va, &table) : NULL;

    if (pte != NULL)
        *leaf_hint(current, va) = (struct leaf_hint){generation, va >> SPAN_SHIFT, pte - pt_index(va, 0), 0};
    return pte;
}

/* The kernel's address of user address VA, or NULL if the entry does not give what NEED says. => interrupts off until
 * the last use */
static void *user_address(struct space *s, u64 va, pte_t need)
{
    pte_t *pte = walk(s, va), e, used = used_bits(need);

    if (pte == NULL)
        return NULL;
    for (e = load_relaxed(pte); (e & need) == need;)
        if ((e & used) == used || atomic_cas(pte, &e, e | used))
            return address_in(e, va);
    return NULL;
}

static noinline_fn void *pin_slowly(u64 va, pte_t need)
{
    struct space *s = current->space;

    while (s != NULL) {
        void *p;

        irq_disable();
        p = user_address(s, va, need);
        if (p != NULL)
            return p;
        irq_enable();
        if (space_fault_by_kernel(s, va, need == NEED_WRITE ? FAULT_WRITE : FAULT_READ) != FAULT_MAPPED)
            return NULL;
    }
    return NULL;
}

/* The hint for VA's table, if the thread needed that before: most often. Else NULL. The table's generation is still the
 * space's while interrupts are off: whoever changes that frees no table before this hart answers. => interrupts off
 * until the last use */
static inline const struct leaf_hint *known_leaf(u64 va)
{
    struct thread *t = current;
    struct space *s = t->space;
    const struct leaf_hint *leaf = leaf_hint(t, va);

    if (unlikely(s == NULL || leaf->generation != load_relaxed(&s->leaf_generation) || leaf->span != va >> SPAN_SHIFT))
        return NULL;
    return leaf;
}

/* What VA's entry says; 0: it is not known. */
static inline_fn pte_t remembered_value(u64 va)
{
    const struct leaf_hint *leaf = known_leaf(va);

    return leaf != NULL ? load_relaxed(leaf->entries + pt_index(va, 0)) : 0;
}

/* Whether E gives what NEED says, with nothing to be set in it. */
static inline bool is_ready(pte_t e, pte_t need) { return (~e & (need | used_bits(need))) == 0; }

/* The kernel's address of VA with interrupts off, if nothing has to be done for that; else NULL, and they are on.
 * Interrupts are on before: all that may sleep is called so. */
static inline_fn void *pin_present(u64 va, pte_t need)
{
    pte_t e;

    ASSERT(irqs_enabled());
    irq_disable();
    e = remembered_value(va);
    if (likely(is_ready(e, need)))
        return address_in(e, va);
    irq_enable();
    return NULL;
}

/* Interrupts are off with a kernel address of VA, or they are on and there is none. */
static inline_fn void *pin_user(u64 va, pte_t need)
{
    pte_t e;

    ASSERT(irqs_enabled());
    irq_disable();
    e = remembered_value(va);
    return likely(is_ready(e, need)) ? address_in(e, va) : pin_slowly(va, need);
}

void *user_pin_read(u64 va) { return pin_user(va, NEED_READ); }
void *user_pin_write(u64 va) { return pin_user(va, NEED_WRITE); }
void *user_pin_write_present(u64 va) { return pin_present(va, NEED_WRITE); }
const u64 *user_pinned_entry(u64 va)
{
    const struct leaf_hint *leaf = known_leaf(va);

    return leaf != NULL ? leaf->entries + pt_index(va, 0) : NULL;
}

/* Moves N bytes to (TO_USER) or from user memory at VA: bytes not moved. */
static inline_fn size_t move_slowly(u64 va, char *kernel, size_t n, bool to_user)
{
    while (n > 0) {
        size_t chunk = MIN(n, PAGE_SIZE - (va & PAGE_MASK));
        void *p = pin_user(va, to_user ? NEED_WRITE : NEED_READ);

        if (p == NULL)
            break;
        memcpy(to_user ? p : kernel, to_user ? kernel : p, chunk);
        irq_enable();
        kernel += chunk;
        va += chunk;
        n -= chunk;
    }
    return n;
}

static noinline_fn size_t read_slowly(u64 va, void *dst, size_t n) { return move_slowly(va, dst, n, false); }
static noinline_fn size_t write_slowly(u64 va, const void *src, size_t n)
{
    return move_slowly(va, (char *)(u64)src, n, true);
}

/* As move_slowly, within one page that is there; else false. */
static inline_fn bool move_present(u64 va, char *kernel, size_t n, bool to_user)
{
    void *p = pin_present(va, to_user ? NEED_WRITE : NEED_READ);

    if (unlikely(p == NULL))
        return false;
    memcpy(to_user ? p : kernel, to_user ? kernel : p, n);
    irq_enable();
    return true;
}

/* N bytes: HERE of them at FIRST, the others at SECOND. => interrupts off */
static noinline_fn void read_apart(char *kernel, const char *first, size_t n, size_t here, const char *second)
{
    memcpy(kernel, first, here);
    memcpy(kernel + here, second, n - here);
}

static noinline_fn void write_apart(char *first, const char *kernel, size_t n, size_t here, char *second)
{
    memcpy(first, kernel, here);
    memcpy(second, kernel + here, n - here);
}

/* As move_present, over the end of a page: HERE bytes before it. Frames that lie together are copied at once. */
static inline_fn bool move_present_two(u64 va, char *kernel, size_t here, size_t n, bool to_user)
{
    pte_t need = to_user ? NEED_WRITE : NEED_READ, first, second;
    const struct leaf_hint *leaf;
    const pte_t *pte;
    char *p, *q;

    ASSERT(irqs_enabled());
    irq_disable();
    leaf = pt_index(va, 0) < PT_ENTRIES - 1 ? known_leaf(va) : NULL;
    if (unlikely(leaf == NULL))
        goto no;
    pte = leaf->entries + pt_index(va, 0);
    first = load_relaxed(&pte[0]);
    second = load_relaxed(&pte[1]);
    if (unlikely(!is_ready(first & second, need)))
        goto no;
    p = address_in(first, va);
    q = address_in(second, 0);
    if (q == p + here)
        memcpy(to_user ? p : kernel, to_user ? kernel : p, n);
    else if (to_user)
        write_apart(p, kernel, n, here, q);
    else
        read_apart(kernel, p, n, here, q);
    irq_enable();
    return true;
no:
    irq_enable();
    return false;
}

/* Most copies lie in one page, or in two, that are there. */
static inline_fn size_t move(u64 va, char *kernel, size_t n, bool to_user)
{
    size_t here = PAGE_SIZE - (va & PAGE_MASK);

    if (likely(n <= here)) {
        if (likely(move_present(va, kernel, n, to_user)))
            return 0;
    } else if (n - here <= PAGE_SIZE && likely(move_present_two(va, kernel, here, n, to_user))) {
        return 0;
    }
    return to_user ? write_slowly(va, kernel, n) : read_slowly(va, kernel, n);
}

size_t copy_from_user_partial(void *dst, const void *user_src, size_t n) { return move((u64)user_src, dst, n, false); }
size_t copy_to_user_partial(void *user_dst, const void *src, size_t n)
{
    return move((u64)user_dst, (char *)(u64)src, n, true);
}

/* Bytes not cleared. */
size_t clear_user_partial(void *user_dst, size_t n)
{
    u64 va = (u64)user_dst;

    while (n > 0) {
        size_t chunk = MIN(n, PAGE_SIZE - (va & PAGE_MASK));
        void *p = pin_user(va, NEED_WRITE);

        if (p == NULL)
            break;
        memset(p, 0, chunk);
        irq_enable();
        va += chunk;
        n -= chunk;
    }
    return n;
}

int copy_from_user(void *dst, const void *user_src, size_t n)
{
    return copy_from_user_partial(dst, user_src, n) == 0 ? 0 : -EFAULT;
}
/* The page of VA, to be read once, if nothing has to be done for that. => interrupts off until the last use */
static const void *page_to_read(struct space *s, u64 va)
{
    struct page *table;
    const pte_t *pte = va < arch_user_address_limit() ? pt_find(s, va, &table) : NULL;
    pte_t e = pte != NULL ? load_relaxed(pte) : 0;

    return (e & (NEED_READ | PTE_A)) == (NEED_READ | PTE_A) ? address_in(e, va) : NULL;
}

int copy_page_from_user(void *page, const void *user_src)
{
    const void *from = NULL;
    u64 flags;

    if (IS_ALIGNED((u64)user_src, PAGE_SIZE) && current->space != NULL) {
        flags = irq_save();
        from = page_to_read(current->space, (u64)user_src);
        if (from != NULL)
            copy_page(page, from);
        irq_restore(flags);
    }
    return from != NULL ? 0 : copy_from_user(page, user_src, PAGE_SIZE);
}

int copy_to_user(void *user_dst, const void *src, size_t n)
{
    return copy_to_user_partial(user_dst, src, n) == 0 ? 0 : -EFAULT;
}
int clear_user(void *user_dst, size_t n) { return clear_user_partial(user_dst, n) == 0 ? 0 : -EFAULT; }

#define ONES 0x0101010101010101ull

/* In the lowest byte that is 0 the top bit is set, none below it. 0: there is no such byte. */
static inline u64 find_zero_byte(u64 word) { return (word - ONES) & ~word & ONES << 7; }

/* How many bytes lie below the one that find_zero_byte found. */
static inline size_t bytes_before(u64 found) { return (((found - 1) & ~found) >> 7 & ONES) * ONES >> 56; }

/* Copies what is at P up to the first NUL, N bytes at most, to TO: where the NUL is there, NULL when there is none. By
 * words where both sides are aligned alike; bytes behind the NUL may come along. What is looked at is the copy: P may
 * change all the time. */
static inline char *take_string(char *to, const char *p, size_t n)
{
    for (; n > 0; n--) {
        bool aligned = ((u64)p | (u64)to) % sizeof(u64) == 0; /* stays so: asked once, not for each word */

        for (; aligned && n >= sizeof(u64); n -= sizeof(u64)) {
            u64 word = load_relaxed((const u64 *)p), found = find_zero_byte(word);

            *(u64 *)to = word;
            if (found != 0)
                return to + bytes_before(found);
            p += sizeof(word);
            to += sizeof(word);
        }
        if (n == 0)
            break;
        *to = load_relaxed(p++);
        if (*to++ == '\0')
            return to - 1;
    }
    return NULL;
}

static noinline_fn ssize_t strncpy_slowly(char *dst, const char *user_src, size_t size)
{
    u64 va = (u64)user_src;
    size_t done = 0;

    while (done < size) {
        size_t chunk = MIN(size - done, PAGE_SIZE - (va & PAGE_MASK));
        const char *p = pin_user(va, NEED_READ);
        const char *end;

        if (p == NULL)
            return -EFAULT;
        end = take_string(dst + done, p, chunk);
        irq_enable();
        if (end != NULL)
            return end - dst;
        done += chunk;
        va += chunk;
    }
    return -ENAMETOOLONG;
}

/* Most strings lie in one page that is there. */
ssize_t strncpy_from_user(char *dst, const char *user_src, size_t size)
{
    u64 va = (u64)user_src;
    const char *p = pin_present(va, NEED_READ);

    if (likely(p != NULL)) {
        const char *end = take_string(dst, p, MIN(size, PAGE_SIZE - (va & PAGE_MASK)));

        irq_enable();
        if (likely(end != NULL))
            return end - dst;
    }
    return strncpy_slowly(dst, user_src, size);
}

/* ---- single words ---- */

int get_user_u32(u32 *value, const u32 *user)
{
    u32 *p;

    if (((u64)user & 3) != 0)
        return copy_from_user(value, user, sizeof(*value));
    p = pin_user((u64)user, NEED_READ);
    if (p == NULL)
        return -EFAULT;
    *value = load_acquire(p);
    irq_enable();
    return 0;
}

int get_user_u64(u64 *value, const u64 *user)
{
    u64 *p;

    if (((u64)user & 7) != 0)
        return copy_from_user(value, user, sizeof(*value));
    p = pin_user((u64)user, NEED_READ);
    if (p == NULL)
        return -EFAULT;
    *value = load_acquire(p);
    irq_enable();
    return 0;
}

int put_user_u32(u32 value, u32 *user)
{
    u32 *p;

    if (((u64)user & 3) != 0)
        return copy_to_user(user, &value, sizeof(value));
    p = pin_user((u64)user, NEED_WRITE);
    if (p == NULL)
        return -EFAULT;
    store_release(p, value);
    irq_enable();
    return 0;
}

int put_user_u64(u64 value, u64 *user)
{
    u64 *p;

    if (((u64)user & 7) != 0)
        return copy_to_user(user, &value, sizeof(value));
    p = pin_user((u64)user, NEED_WRITE);
    if (p == NULL)
        return -EFAULT;
    store_release(p, value);
    irq_enable();
    return 0;
}

int cmpxchg_user_u32(u32 *user, u32 expected, u32 value, u32 *previous)
{
    u32 *p;

    if (((u64)user & 3) != 0)
        return -EFAULT;
    p = pin_user((u64)user, NEED_WRITE);
    if (p == NULL)
        return -EFAULT;
    *previous = expected;
    atomic_cas(p, previous, value);
    irq_enable();
    return 0;
}

int get_user_u32_nofault(u32 *value, const u32 *user)
{
    u64 flags = irq_save();
    struct space *s = current->space;
    u32 *p = s != NULL && ((u64)user & 3) == 0 ? user_address(s, (u64)user, NEED_READ) : NULL;

    if (p != NULL)
        *value = load_acquire(p);
    irq_restore(flags);
    return p != NULL ? 0 : -EFAULT;
}

int cmpxchg_user_u32_nofault(u32 *user, u32 expected, u32 value, u32 *previous)
{
    u64 flags = irq_save();
    struct space *s = current->space;
    u32 *p = s != NULL && ((u64)user & 3) == 0 ? user_address(s, (u64)user, NEED_WRITE) : NULL;

    if (p != NULL) {
        *previous = expected;
        atomic_cas(p, previous, value);
    }
    irq_restore(flags);
    return p != NULL ? 0 : -EFAULT;
}

int copy_to_user_nofault(void *user_dst, const void *src, size_t n)
{
    u64 va = (u64)user_dst;

    if (likely(user_is_in_page(va, n)) && likely(move_present(va, (char *)(u64)src, n, true)))
        return 0;
    for (size_t done = 0, chunk; done < n; done += chunk) {
        u64 flags = irq_save();
        struct space *s = current->space;
        char *p = s != NULL ? user_address(s, va + done, NEED_WRITE) : NULL;

        chunk = MIN(n - done, PAGE_SIZE - ((va + done) & PAGE_MASK));
        if (p != NULL)
            memcpy(p, (const char *)src + done, chunk);
        irq_restore(flags);
        if (p == NULL)
            return -EFAULT;
    }
    return 0;
}

int user_fault_in_writable(void *user_dst, size_t n)
{
    for (u64 va = (u64)user_dst, end = va + n; va < end; va = ALIGN_DOWN(va, PAGE_SIZE) + PAGE_SIZE) {
        if (pin_user(va, NEED_WRITE) == NULL)
            return -EFAULT;
        irq_enable();
    }
    return 0;
}

int user_memory_key(const u32 *user, bool private_futex, struct user_key *key)
{
    struct space *s = current->space;
    u64 va = (u64)user;
    struct vma *v;

    if ((va & 3) != 0)
        return -EINVAL;
    if (va >= arch_user_address_limit())
        return -EFAULT;
    key->owner = (u64)s;
    key->offset = va;
    if (private_futex)
        return 0;
    read_lock(&s->lock);
    v = vma_at(s, va);
    if (v != NULL && vma_is_shared(v)) {
        key->owner = (u64)v->object;
        key->offset = v->offset + (va - v->start);
    }
    read_unlock(&s->lock);
    return v != NULL ? 0 : -EFAULT;
}
