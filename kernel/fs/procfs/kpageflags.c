/*
 * /proc/kpageflags: what each frame of memory holds, a word of 64 bits a frame, by its number; frames that are not
 * memory say so. For root alone. A look, not a lock: a frame may be something else already when the reader sees it.
 * Source: Linux's admin-guide/mm/pagemap, "kpageflags".
 */
#include "fs/procfs/internal.h"
#include "vm/cache.h"
#include "vm/fault.h"
#include "vm/page.h"
#include "vm/uaccess.h"

#define WORD_SIZE sizeof(u64)
#define CHUNK_WORDS 64

/* The ABI's bits. */
#define KPF_ERROR BIT(1)
#define KPF_REFERENCED BIT(2)
#define KPF_UPTODATE BIT(3)
#define KPF_DIRTY BIT(4)
#define KPF_SLAB BIT(7)
#define KPF_WRITEBACK BIT(8)
#define KPF_BUDDY BIT(10)
#define KPF_MMAP BIT(11)
#define KPF_ANON BIT(12)
#define KPF_SWAPCACHE BIT(13)
#define KPF_SWAPBACKED BIT(14)
#define KPF_NOPAGE BIT(20)
#define KPF_ZERO_PAGE BIT(24)
#define KPF_PGTABLE BIT(26)

static const struct {
    u32 ours;
    u64 theirs;
} same_meaning[] = {
    {PG_ERROR, KPF_ERROR},
    {PG_REFERENCED, KPF_REFERENCED},
    {PG_UPTODATE, KPF_UPTODATE},
    {PG_DIRTY, KPF_DIRTY},
    {PG_SLAB, KPF_SLAB},
    {PG_WRITEBACK, KPF_WRITEBACK},
    {PG_ANON, KPF_ANON},
    {PG_ANON, KPF_SWAPBACKED},
    {PG_MEMORY_ONLY, KPF_SWAPBACKED},
    {PG_SWAPCACHE, KPF_SWAPCACHE},
    {PG_TABLE, KPF_PGTABLE},
};

static u64 frame_flags(u64 pfn)
{
    const struct page *page;
    u32 flags;
    u64 all = 0;

    if (pfn < first_pfn || pfn >= end_pfn)
        return KPF_NOPAGE;
    page = pfn_page(pfn);
    flags = load_relaxed(&page->flags);
    if (load_relaxed(&page->refs) == 0) /* inside a free block, or of a larger one: nobody's by itself */
        return flags & PG_FREE ? KPF_BUDDY : 0;
    for (unsigned i = 0; i < ARRAY_SIZE(same_meaning); i++)
        if (flags & same_meaning[i].ours)
            all |= same_meaning[i].theirs;
    if (flags & PG_LAZY)
        all &= ~KPF_SWAPBACKED;
    if (pfn == zero_pfn)
        return all | KPF_ZERO_PAGE;
    /* A private page exists because somebody maps it; one of a file has the cache's own reference besides. */
    if ((flags & PG_ANON) || (!(flags & (PG_TABLE | PG_SLAB | PG_KERNEL | PG_RESERVED)) &&
                              load_relaxed(&page->refs) > 1 && load_relaxed(&page->object) != NULL))
        all |= KPF_MMAP;
    return all;
}

static ssize_t kpageflags_read(struct file *file, struct uio *uio, u64 *pos)
{
    u64 words[CHUNK_WORDS], end = end_pfn * WORD_SIZE;
    ssize_t done = 0;

    if (*pos % WORD_SIZE != 0 || uio->left % WORD_SIZE != 0)
        return -EINVAL;
    while (uio->left > 0 && *pos < end) {
        u64 pfn = *pos / WORD_SIZE;
        size_t n = MIN(MIN(uio->left / WORD_SIZE, (size_t)CHUNK_WORDS), end_pfn - pfn), copied;

        if (fatal_signal_pending())
            return done > 0 ? done : -EINTR;
        for (size_t i = 0; i < n; i++)
            words[i] = frame_flags(pfn + i);
        copied = uio_copy_out(uio, words, n * WORD_SIZE);
        *pos += copied;
        done += (ssize_t)copied;
        if (copied < n * WORD_SIZE)
            return done > 0 ? done : -EFAULT;
        cond_resched();
    }
    return done;
}

const struct file_ops proc_kpageflags_ops = {.read = kpageflags_read, .seek = proc_mem_seek};
