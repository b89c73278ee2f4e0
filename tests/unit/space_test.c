/*
 * Whole address spaces against a plain model, with no machine: the test plays the MMU. It walks the page tables that
 * vm/ makes as the hardware would, calls space_fault where the hardware would trap, and compares every outcome (the
 * byte, or the kind of fault) with a model that keeps one record per page. Random sequences of mmap, munmap, mprotect,
 * mremap, madvise, fork, stores, loads, read(), write(), truncation and write-back.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/cred.h"
#include "lib/rlimit.h"
#include "tests/unit/tap.h"
#include "vm/cache.h"
#include "vm/huge.h"
#include "vm/kmalloc.h"
#include "vm/run.h"
#include "vm/swap.h"
#include "vm/swapdev.h"
#include "vm/swapobj.h"
#include "vm/compact.h"
#include "vm/swapout.h"
#include "vm/tlb.h"
#include "vm/uaccess.h"

#define MEMORY (64 * MIB)
#define MOST_PAGES 1210
#define FIRST (0x40000000ul - 96 * PAGE_SIZE) /* the model's window of addresses: in two leaf tables, or four */
#define FILE_PAGES 1100
#define FEW_FILE_PAGES 40 /* but for memory files with runs */
#define SPACES 4

/* ---- what the rest of the kernel would provide ---- */

#include "tests/unit/host/locks.h"

struct machine machine = {.harts = 1, .paging_levels = 3, .asid_bits = 8};
static struct cred cred = {.cap_effective = UINT64_MAX};
static struct rlimits limits;
static struct thread thread = {.hart = &harts[0], .cred = &cred, .limits = &limits};
struct thread *current = &thread;
char *host_memory;

void panic(const char *fmt, ...)
{
    printf("Bail out! panic: %s\n", fmt);
    abort();
}
void clear_page(void *p) { memset(p, 0, PAGE_SIZE); }
void copy_page(void *to, const void *from) { memcpy(to, from, PAGE_SIZE); }
void reclaim_kick(void) {}
struct khugepaged_settings khugepaged_settings = {.defrag = true};
void khugepaged_compact(void) {}
void khugepaged_register(struct space *s) {}
void khugepaged_forget(struct space *s) {}
bool reclaim_wait(unsigned round, unsigned order, bool for_user) { return false; }
void reclaim_forget_object(struct object *o) {}
u64 arch_user_address_limit(void) { return 1ul << 38; }
bool cmdline_has(const char *name) { return true; }
const char *cmdline_get(const char *name) { return NULL; }
void random_bytes(void *p, size_t n) { memset(p, 0, n); }

/* ---- a swap device, in memory ---- */

#define SWAP_BLOCKS 200
static u8 swap_blocks[SWAP_BLOCKS][PAGE_SIZE];
static bool swap_block_used[SWAP_BLOCKS];
static u64 swap_block_slot[SWAP_BLOCKS];
static unsigned swap_blocks_used;

void reclaim_pause(bool on) {}
void reclaim_object_range(struct object *o, u64 first, u64 last) {}
bool swapdev_has_room(void) { return swap_blocks_used < SWAP_BLOCKS; }
bool swap_prefers_device(void) { return rand() % 2; }
void swapdev_stats(u64 *total, u64 *free) { *total = *free = 0; }

unsigned swapdev_alloc(unsigned n, u64 *block)
{
    unsigned at = 0, got = 0;

    while (at < SWAP_BLOCKS && swap_block_used[at])
        at++;
    while (got < n && at + got < SWAP_BLOCKS && !swap_block_used[at + got])
        swap_block_used[at + got++] = true;
    swap_blocks_used += got;
    *block = 1ul << 48 | at;
    return got;
}

void swapdev_free(u64 block)
{
    if (!swap_block_used[block & 0xffff])
        panic("a free block of swap is freed");
    swap_block_used[block & 0xffff] = false;
    swap_blocks_used--;
}

void swapdev_note(u64 block, u64 slot) { swap_block_slot[block & 0xffff] = slot; }
u64 swapdev_slot(u64 block) { return swap_block_slot[block & 0xffff]; }

void swapdev_group(u64 block, u64 *first, unsigned *n)
{
    *first = block - (block & 0xffff) % *n;
    *n = (unsigned)MIN((u64)*n, (1ul << 48 | SWAP_BLOCKS) - *first);
}

int swapdev_write(u64 block, struct page **pages, unsigned n)
{
    if (rand() % 16 == 0)
        return -EIO;
    for (unsigned i = 0; i < n; i++)
        memcpy(swap_blocks[(block & 0xffff) + i], page_address(pages[i]), PAGE_SIZE);
    return 0;
}

int swapdev_read(u64 block, struct page **pages, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        memcpy(page_address(pages[i]), swap_blocks[(block + i) & 0xffff], PAGE_SIZE);
    return 0;
}

/* ---- a file on an imaginary disk ---- */

struct file {
    int refs;
    struct object object;
    u8 disk[FILE_PAGES * PAGE_SIZE];
    bool placed[FILE_PAGES];
    unsigned writes;
};
static struct file file;
static unsigned file_limit; /* pages */

static void file_get(struct file *f) { f->refs++; }
static void file_put(struct file *f) { f->refs--; }
static const struct vm_file_ops file_ops = {.get = file_get, .put = file_put, .unmapped = file_put};

static void disk_read(struct object *o, struct page **pages, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        u64 at = pages[i]->index * PAGE_SIZE, have = at < o->size ? MIN(o->size - at, PAGE_SIZE) : 0;

        memset(page_address(pages[i]), 0, PAGE_SIZE);
        memcpy(page_address(pages[i]), file.disk + at, have);
        page_read_done(pages[i], 0);
    }
}

static void disk_write(struct object *o, struct page **pages, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (pages[i]->index < FILE_PAGES && file.placed[pages[i]->index])
            memcpy(file.disk + pages[i]->index * PAGE_SIZE, page_address(pages[i]), PAGE_SIZE);
        file.writes++;
        page_write_done(pages[i], 0);
    }
}

static int disk_prepare(struct object *o, u64 index, unsigned from, unsigned to)
{
    if (index >= FILE_PAGES)
        return -ENOSPC;
    file.placed[index] = true;
    return 0;
}
static const struct object_ops disk_ops = {
    .read_pages = disk_read, .write_pages = disk_write, .prepare_write = disk_prepare};

/* A file in memory instead, which comes in runs of 2 MiB where it can. */
static bool memory_wants_run(struct object *o, u64 index, bool advised) { return rand() % 4 != 0; }
static int memory_charge_run(struct object *o) { return rand() % 8 != 0 ? 0 : -ENOSPC; }
static const struct object_ops memory_ops = {.wants_run = memory_wants_run, .charge_run = memory_charge_run};
static bool is_in_memory(void) { return file.object.ops == &memory_ops; }

/* ---- the model ---- */

static unsigned shared_tables_seen, huge_pages_seen, runs_seen;
static u64 swapped_seen;

struct model_page {
    bool mapped, shared, is_file;
    bool given_up; /* by MADV_FREE: may be zero at any time, and then stays so */
    unsigned prot;
    unsigned index; /* of the file */
    bool own;       /* private and written: `byte` is its content */
    u8 byte;
};
struct model {
    struct space *space;
    struct model_page page[MOST_PAGES];
};
static struct model models[SPACES];
static u8 file_byte[FILE_PAGES];
static u64 file_pages;
static unsigned window_pages;
static bool without_files; /* then fork shares tables */
static bool agreed = true;

static void fail(const char *what, unsigned page)
{
    if (agreed)
        printf("# first difference: %s at page %u\n", what, page);
    agreed = false;
}

/* What an access to model page P of M must give: FAULT_MAPPED, or the fault. */
static enum fault_result model_access(const struct model *m, unsigned p, enum fault_access access)
{
    const struct model_page *mp = &m->page[p];

    if (!mp->mapped)
        return FAULT_MAPERR;
    if (!((mp->prot | (mp->prot & PROT_WRITE) >> 1) & access))
        return FAULT_ACCERR;
    return mp->is_file && mp->index >= file_pages ? FAULT_BUS : FAULT_MAPPED;
}

static u8 model_byte(const struct model_page *mp)
{
    if (mp->own)
        return mp->byte;
    return mp->is_file ? file_byte[mp->index] : 0;
}

/* The MMU: the host's address of user address VA in S, or NULL and *FAULT. */
static u8 *mmu(struct space *s, u64 va, enum fault_access access, enum fault_result *fault)
{
    static const pte_t need[] = {[FAULT_READ] = PTE_R, [FAULT_WRITE] = PTE_W, [FAULT_EXEC] = PTE_X};

    for (unsigned tries = 0; tries < 8; tries++) {
        pte_t *t = s->root, e = 0;
        unsigned level = machine.paging_levels;

        while (level-- > 0) {
            e = t[pt_index(va, level)];
            if (!(e & PTE_V) || pte_is_leaf(e))
                break;
            t = phys_to_virt(pte_pfn(e) << PAGE_SHIFT);
        }
        if ((e & (PTE_V | PTE_U)) == (PTE_V | PTE_U) && (e & need[access])) {
            u64 size = level_size(level);

            if ((e & PTE_W) && !(e & PTE_R))
                panic("an entry with W but not R");
            t[pt_index(va, level)] |= PTE_A | (access == FAULT_WRITE ? PTE_D : 0);
            huge_pages_seen += level > 0;
            return (u8 *)phys_to_virt(pte_pfn(e) << PAGE_SHIFT) + (va & (size - 1));
        }
        *fault = space_fault(s, va, access);
        if (*fault != FAULT_MAPPED)
            return NULL;
    }
    panic("a fault that makes no progress");
    return NULL;
}

static void touch(struct model *m, unsigned p, enum fault_access access)
{
    enum fault_result expected = model_access(m, p, access), fault = FAULT_MAPPED;
    u8 *at = mmu(m->space, FIRST + p * PAGE_SIZE, access, &fault);
    struct model_page *mp = &m->page[p];

    if ((at != NULL) != (expected == FAULT_MAPPED) || (at == NULL && fault != expected)) {
        fail("another kind of fault", p);
        return;
    }
    if (at == NULL)
        return;
    if (mp->given_up && *at == 0)
        mp->own = mp->given_up = false;
    if (*at != model_byte(mp))
        fail("another byte", p);
    if (access != FAULT_WRITE)
        return;
    *at = (u8)rand();
    if (mp->shared && mp->is_file) {
        file_byte[mp->index] = *at;
    } else {
        mp->own = true;
        mp->given_up = false;
        mp->byte = *at;
    }
}

static void check_all(struct model *m)
{
    for (unsigned p = 0; p < window_pages && agreed; p++)
        touch(m, p, FAULT_READ);
}

/* ---- operations on both ---- */

static void map(struct model *m, unsigned first, unsigned n, unsigned prot, bool is_file, bool shared, unsigned index)
{
    struct mapping map = {.max_prot = 7};
    unsigned flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE);
    long at;

    if (is_file)
        map = (struct mapping){.file = &file, .object = &file.object, .offset = index * PAGE_SIZE, .max_prot = 7};
    at = space_mmap(m->space, FIRST + first * PAGE_SIZE, n * PAGE_SIZE - (unsigned)rand() % PAGE_SIZE, prot, flags,
                    &map);
    if (at != (long)(FIRST + first * PAGE_SIZE))
        fail("mmap failed", first);
    for (unsigned i = 0; i < n; i++)
        m->page[first + i] =
            (struct model_page){.mapped = true, .shared = shared, .is_file = is_file, .prot = prot, .index = index + i};
}

static void do_mmap(struct model *m, unsigned first, unsigned n)
{
    bool is_file = rand() % 2 && !without_files, shared = is_file && rand() % 2;
    unsigned prot = window_pages > 192 && rand() % 2 ? PROT_READ | PROT_WRITE : (unsigned)rand() % 8,
             index = (unsigned)rand() % (file_limit / 2);

    if (is_in_memory() && rand() % 4 != 0)
        index = (first + 512 - 96) % 512 + 512 * ((unsigned)rand() % 2); /* where a run can be mapped as one */
    if (is_file && n > file_limit - index)
        n = file_limit - index;
    map(m, first, n, prot, is_file, shared, index);
}

/* Stores from below, as huge pages are begun. */
static void do_fill(struct model *m, unsigned first, unsigned n)
{
    for (unsigned p = first; p < first + n; p++)
        if (m->page[p].mapped && (m->page[p].prot & PROT_WRITE))
            touch(m, p, FAULT_WRITE);
}

static void do_munmap(struct model *m, unsigned first, unsigned n)
{
    if (space_munmap(m->space, FIRST + first * PAGE_SIZE, n * PAGE_SIZE) != 0)
        fail("munmap failed", first);
    memset(&m->page[first], 0, n * sizeof(m->page[0]));
}

static void do_mprotect(struct model *m, unsigned first, unsigned n)
{
    unsigned prot = (unsigned)rand() % 8, i = 0;
    long result = space_mprotect(m->space, FIRST + first * PAGE_SIZE, n * PAGE_SIZE, prot);

    for (; i < n && m->page[first + i].mapped; i++)
        m->page[first + i].prot = prot;
    if (result != (i == n ? 0 : -ENOMEM))
        fail("mprotect's result", first);
}

static bool all_mapped(const struct model *m, unsigned first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!m->page[first + i].mapped)
            return false;
    return true;
}

static void do_dontneed(struct model *m, unsigned first, unsigned n)
{
    int result = space_madvise(m->space, FIRST + first * PAGE_SIZE, n * PAGE_SIZE, 4 /* MADV_DONTNEED */);

    if (result != (all_mapped(m, first, n) ? 0 : -ENOMEM))
        fail("madvise's result", first);
    for (unsigned i = 0; i < n; i++)
        m->page[first + i].own = m->page[first + i].given_up = false;
}

static void do_free(struct model *m, unsigned first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!m->page[first + i].mapped || m->page[first + i].is_file)
            return;
    if (space_madvise(m->space, FIRST + first * PAGE_SIZE, n * PAGE_SIZE, 8 /* MADV_FREE */) != 0)
        fail("MADV_FREE", first);
    for (unsigned i = 0; i < n; i++)
        m->page[first + i].given_up = true;
}

/* Moves a run of pages that one vma holds; the model cannot know which vma, so -EFAULT is fine as long as nothing has
 * changed then. */
static void do_mremap(struct model *m, unsigned first, unsigned n, unsigned to)
{
    long at =
        space_mremap(m->space, FIRST + first * PAGE_SIZE, n * PAGE_SIZE, n * PAGE_SIZE, 3, FIRST + to * PAGE_SIZE);

    if (at == -EFAULT || (at == -EINVAL && to < first + n && first < to + n)) {
        if (at ==
            -EFAULT) /* the target has been unmapped by then, as on Linux, unless the source is no mapping at all */
            for (unsigned i = 0; i < n; i++) {
                struct vma *v = vma_find(m->space, FIRST + (to + i) * PAGE_SIZE);

                if (v == NULL || v->start > FIRST + (to + i) * PAGE_SIZE)
                    m->page[to + i] = (struct model_page){0};
            }
        return;
    }
    if (at != (long)(FIRST + to * PAGE_SIZE)) {
        fail("mremap failed", first);
        return;
    }
    for (unsigned i = 1; i < n; i++)
        if (prot_effective(m->page[first + i].prot) != prot_effective(m->page[first].prot))
            fail("mremap of several protections", first + i);
    memcpy(&m->page[to], &m->page[first], n * sizeof(m->page[0]));
    memset(&m->page[first], 0, n * sizeof(m->page[0]));
}

static void do_fork(struct model *m)
{
    struct model *child = &models[rand() % SPACES];
    u64 stored[FORK_STORED] = {UINT64_MAX, UINT64_MAX};

    if (child == m)
        return;
    if (child->space != NULL) {
        check_all(child);
        space_put(child->space);
    }
    *child = *m;
    for (unsigned i = 0; i < FORK_STORED && rand() % 2; i++)
        stored[i] = FIRST + (u64)rand() % window_pages * PAGE_SIZE;
    child->space = space_fork(m->space, stored);
    if (IS_ERR(child->space))
        panic("fork failed");
}

static void do_write_call(unsigned index)
{
    u8 byte = (u8)rand(), data[PAGE_SIZE];
    u64 pos = index * PAGE_SIZE;
    struct uio u;

    memset(data, byte, sizeof(data));
    uio_init_kernel(&u, data, rand() % 2 ? sizeof(data) : 100);
    if (object_write(&file.object, &u, &pos) <= 0)
        fail("write failed", index);
    file_byte[index] = byte;
    for (u64 i = file_pages; i < index; i++)
        file_byte[i] = 0;
    file_pages = MAX(file_pages, (u64)index + 1);
}

static void do_read_call(unsigned index)
{
    u8 data[10];
    u64 pos = index * PAGE_SIZE;
    struct uio u;
    ssize_t n;

    uio_init_kernel(&u, data, sizeof(data));
    n = object_read(&file.object, &u, &pos, NULL);
    if ((index < file_pages) != (n > 0) || (n > 0 && data[0] != file_byte[index]))
        fail("read() sees another byte", index);
}

static void do_truncate(u64 pages)
{
    if (object_set_size(&file.object, pages * PAGE_SIZE - (u64)(rand() % 2 ? 5 : 0)) != 0)
        fail("truncate failed", (unsigned)pages);
    for (u64 i = pages; i < file_pages; i++) {
        file.placed[i] = false; /* as a file system frees the blocks */
        memset(file.disk + i * PAGE_SIZE, 0, PAGE_SIZE);
    }
    for (u64 i = MIN(pages, file_pages); i < file_limit; i++)
        file_byte[i] = 0;
    for (unsigned k = 0; k < SPACES; k++) /* private copies past the end go, too */
        for (unsigned p = 0; models[k].space != NULL && p < window_pages; p++)
            if (models[k].page[p].is_file && models[k].page[p].index >= pages)
                models[k].page[p].own = false;
    file_pages = pages;
}

static void do_writeback(void)
{
    if (object_writeback(&file.object, 0, OBJECT_END, true) != 0 || file.object.nr_dirty != 0)
        fail("write-back", 0);
    for (u64 i = 0; i < file_pages && !is_in_memory(); i++)
        if (file.placed[i] && file.disk[i * PAGE_SIZE] != file_byte[i])
            fail("the disk has another byte", (unsigned)i);
    if (rand() % 2 && !is_in_memory())
        object_drop_clean(&file.object);
}

/* What reclaim does to a page: out of all mappings, then out of the cache if it is clean. Nothing may change for the
 * programs. */
static void do_evict(unsigned index)
{
    struct page *page = object_find_page(&file.object, index);

    if (page == NULL)
        return;
    rmap_unmap_unused(&file.object, page); /* the first look forgets that it was used */
    if (!rmap_unmap_unused(&file.object, page) || page->refs != 2)
        fail("an unused page stays mapped", index);
    page_put(page);
    if (is_in_memory())
        swap_store(object_swap_out_locked(&file.object, page));
    else if (rand() % 2)
        object_drop_clean(&file.object);
}

static void do_punch(u64 first, u64 end)
{
    if (object_punch(&file.object, first * PAGE_SIZE, end * PAGE_SIZE) != 0)
        fail("punch failed", (unsigned)first);
    for (u64 i = first; i < end; i++)
        file_byte[i] = 0;
}

/* What MADV_PAGEOUT and MADV_COLD do. */
static void do_page_out(struct model *m, unsigned first, unsigned n)
{
    read_lock(&m->space->lock);
    swapout_range(m->space, FIRST + first * PAGE_SIZE, FIRST + (first + n) * PAGE_SIZE, rand() % 4 != 0);
    read_unlock(&m->space->lock);
    swapped_seen += swapout_count(m->space);
}

/* One of the file's two runs goes and comes again, mapped as a huge page if that works. */
static void do_run(struct model *m)
{
    unsigned run = 512 * ((unsigned)rand() % 2), first = 96 + 512 * ((unsigned)rand() % 2);

    do_write_call(file_limit - 1);
    do_punch(run, run + 512);
    map(m, first, 512, PROT_READ | PROT_WRITE, true, true, run);
    do_fill(m, first, 1 + (unsigned)rand() % 512);
}

static void step(struct model *m)
{
    unsigned n = 1 + (unsigned)rand() % (rand() % 4 ? 6 : 40), first;
    unsigned index = (unsigned)rand() % file_limit;

    if (window_pages > 192 && rand() % 3 == 0)
        n = rand() % 2 ? 1 + (unsigned)rand() % 1100 : 512 * (1 + (unsigned)rand() % 2);
    first = (unsigned)rand() % (window_pages - n);
    if (window_pages > 192 && rand() % 3 == 0)
        first = n <= 512 ? 96 + 512 * ((unsigned)rand() % 2) : 96;
    if (first + n > window_pages)
        first = window_pages - n;

    switch (rand() % 26) {
    case 0:
    case 1:
    case 2:
        do_mmap(m, first, n);
        if (window_pages > 192 && rand() % 2)
            do_fill(m, first, n);
        break;
    case 3:
        do_munmap(m, first, n);
        break;
    case 4:
    case 5:
    case 6:
        do_mprotect(m, first, n);
        break;
    case 7:
        if (rand() % 2)
            do_free(m, first, n);
        else
            do_dontneed(m, first, n);
        break;
    case 8:
        do_fork(m);
        break;
    case 9:
        do_write_call(index);
        break;
    case 10:
        do_read_call(index);
        break;
    case 11:
        if (rand() % 8 == 0)
            do_truncate(1 + (u64)rand() % file_limit);
        else if (is_in_memory() && index < file_pages) /* most often a whole run, for the next one to come */
            do_punch(rand() % 4 ? index / 512 * 512 : index, rand() % 4 ? file_pages : MIN(index + n, file_pages));
        break;
    case 12:
        if (rand() % 4 == 0)
            do_writeback();
        break;
    case 13:
        do_mremap(m, first, n, (unsigned)rand() % (window_pages - n));
        break;
    case 14:
        check_all(m);
        break;
    case 15:
        if (!is_in_memory() || rand() % 16 == 0) /* which ends a run */
            do_evict(index);
        if (is_in_memory() && rand() % 8 == 0)
            do_run(m);
        break;
    case 16:
        do_page_out(m, first, n);
        break;
    case 17:
        if (rand() % 3 == 0)
            compact_memory();
        swapout_scan(1 + (u64)rand() % 600);
        swap_write_back((u64)rand() % 40);
        break;
    default:
        touch(m, (unsigned)rand() % window_pages, 1u << (unsigned)rand() % 3);
    }
    if (locks_held != 0 || m->space->lock.state != 0)
        panic("a lock is still held");
}

/* What /proc/PID/maps would show has the model's protections. */
static void check_maps(struct model *m)
{
    struct space_range r = {0};
    u64 at = 0;

    while (space_next_range(m->space, &at, &r)) {
        for (u64 va = r.start; va < r.end; va += PAGE_SIZE)
            if (va >= FIRST && va < FIRST + window_pages * PAGE_SIZE) {
                unsigned shown = r.prot, is = m->page[(va - FIRST) / PAGE_SIZE].prot;

                if (prot_effective(shown) != prot_effective(is))
                    fail("maps shows another protection", (unsigned)((va - FIRST) / PAGE_SIZE));
            }
        if (r.file != NULL)
            file_put(r.file);
    }
}

/* What the space's counters should say: pages in its tables, those shared since a fork as well. */
static void count_pages_below(pte_t *t, unsigned level, unsigned n, u64 *rss)
{
    for (unsigned i = 0; i < n; i++) {
        if (level == 0 && pte_has_page(t[i]) && !(pte_page(t[i])->flags & PG_RESERVED))
            rss[rss_kind(pte_page(t[i]))]++;
        if (level == 1 && pte_is_huge(t[i])) {
            const pte_t *leaf = page_address(pt_leaf_table(&t[i], t[i]));
            enum rss_kind kind = rss_kind(pte_page(t[i]));

            rss[kind] += PT_ENTRIES;
            for (unsigned k = 0; k < PT_ENTRIES; k++)
                if ((leaf[k] | PTE_A) !=
                        (t[i] | PTE_A) + ((u64)k << PTE_PPN_SHIFT) || /* the clock takes A from above */
                    (kind == RSS_ANON && pte_page(leaf[k])->refs != 1))
                    fail("the table of a huge page says something else", k);
        } else if (level > 0 && (pte_is_table(t[i]) || pte_is_shared(t[i])))
            count_pages_below(page_address(pte_page(t[i])), level - 1, PT_ENTRIES, rss);
        if (level == 1 && pte_is_shared(t[i]))
            rss[RSS_ANON] += pte_page(t[i])->table_evicted; /* still counted by every space that shares it */
        shared_tables_seen += level == 1 && pte_is_shared(t[i]);
    }
}

static void check_rss(const struct model *m)
{
    u64 rss[RSS_KINDS] = {0};

    count_pages_below(m->space->root, machine.paging_levels - 1, PT_ENTRIES / 2, rss);
    for (unsigned k = 0; k < RSS_KINDS; k++)
        if (rss[k] != m->space->rss[k])
            fail("another number of resident pages", k);
}

static void random_run(unsigned seed, unsigned steps, unsigned levels, bool huge, bool runs)
{
    u64 anon = nr_anon_pages, tables = pt_count();
    struct swap_stats swap;
    unsigned done = 0;

    srand(seed);
    agreed = true;
    machine.paging_levels = levels;
    without_files = (seed % 2 || huge) && !runs;
    window_pages = huge || runs ? MOST_PAGES : 192;
    file_limit = runs ? FILE_PAGES : FEW_FILE_PAGES;
    runs_seen = (unsigned)huge_counts.file_mapped;
    huge_policy = huge ? HUGE_ALWAYS : HUGE_NEVER;
    huge_pages_seen = 0;
    shared_tables_seen = 0;
    swapped_seen = 0;
    memset(models, 0, sizeof(models));
    memset(&file, 0, sizeof(file));
    memset(file_byte, 0, sizeof(file_byte));
    object_init(&file.object, runs ? &memory_ops : &disk_ops);
    file.object.size = file_limit * PAGE_SIZE;
    file_pages = file_limit;
    models[0].space = space_create();
    for (; done < steps && agreed; done++) {
        struct model *m = &models[rand() % SPACES];

        if (m->space == NULL)
            continue;
        thread.space = m->space;
        step(m);
        if (done % 256 == 0)
            check_maps(m);
        if (done % 64 == 0)
            check_rss(m);
    }
    CHECK(agreed, "seed %u, %u levels: %u steps agree with the model", seed, levels, done);
    CHECK(swapped_seen > 0, "seed %u: %lu pages were elsewhere", seed, (unsigned long)swapped_seen);
    CHECK(!without_files || shared_tables_seen > 0, "seed %u: %u shared tables were seen", seed, shared_tables_seen);
    CHECK(!huge || huge_pages_seen > 0, "seed %u: %u accesses went to huge pages", seed, huge_pages_seen);
    CHECK(!runs || huge_counts.file_mapped > runs_seen, "seed %u: %u runs were mapped", seed,
          (unsigned)huge_counts.file_mapped - runs_seen);
    for (unsigned i = 0; i < SPACES; i++)
        if (models[i].space != NULL) {
            check_all(&models[i]);
            space_put(models[i].space);
        }
    CHECK(file.refs == 0, "seed %u: all file references are back", seed);
    CHECK(vma_count() == 0 && space_count() == 0 && pt_count() == tables, "seed %u: no vma, space or table is left",
          seed);
    object_destroy(&file.object);
    swap_stats(&swap);
    CHECK(swap.slots == 0 && swap.cached == 0 && swap.compressed == 0 && swap.store_pages == 0 && swap_blocks_used == 0,
          "seed %u: no slot of swap is left", seed);
    CHECK(nr_anon_pages == anon && nr_cached_pages == 0 && nr_dirty_pages == 0 && nr_memory_pages == 0 &&
              nr_runs == 0 && nr_huge_shared == 0,
          "seed %u: no page is left", seed);
}

/* space_test [STEPS [N]]: the Nth dozen of seeds, instead of the first. */
int main(int argc, char **argv)
{
    struct phys_range ram = {0, MEMORY}, reserved[] = {{0, PAGE_SIZE}};
    unsigned steps = argc > 1 ? (unsigned)atoi(argv[1]) : 300000, others = argc > 2 ? 12 * (unsigned)atoi(argv[2]) : 0;

    host_memory = aligned_alloc(4 * MIB, MEMORY);
    for (unsigned i = 0; i < RLIMIT_COUNT; i++)
        limits.limit[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    vm_set_file_ops(&file_ops);
    page_init(ram, reserved, 1);
    tlb_init();
    fault_init();
    cache_init();
    for (unsigned seed = 1; seed <= 6; seed++)
        random_run(others + seed, steps, 3 + seed % 3, false, false);
    for (unsigned seed = 7; seed <= 9; seed++)
        random_run(others + seed, steps / 10, 3 + seed % 3, true, false);
    for (unsigned seed = 10; seed <= 12; seed++)
        random_run(others + seed, steps / 10, 3 + seed % 3, seed % 2, true);
    free(host_memory);
    return tap_done();
}
