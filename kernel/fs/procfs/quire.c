/*
 * /proc/quire: counts of what is alive in the kernel, a line "name value" each. Tests compare them before and after:
 * what comes back higher has leaked. Caches (inodes, names, file pages) may grow; the other counts may not.
 */
#include "fs/procfs/internal.h"
#include "vm/kmalloc.h"
#include "vm/page.h"
#include "vm/swap.h"
#include "vm/vm.h"

static void show_count(struct seq *s, const char *name, u64 count) { seq_printf(s, "%s %lu\n", name, count); }

static void show_memory(struct seq *s)
{
    struct memory_stats m;
    struct swap_stats swap;

    memory_stats(&m);
    swap_stats(&swap);
    show_count(s, "pages_total", m.total);
    show_count(s, "pages_free", m.free);
    show_count(s, "pages_reserved", m.reserved);
    show_count(s, "pages_anon", m.anon - swap.cached + swap.slots - m.shmem_swapped); /* wherever */
    show_count(s, "pages_shared", m.shmem + m.shmem_swapped);
    show_count(s, "pages_cached", m.cached);
    show_count(s, "pages_shmem", m.shmem);
    show_count(s, "pages_dirty", m.dirty);
    show_count(s, "pages_writeback", m.writeback);
    show_count(s, "pages_pagetable", m.tables);
    show_count(s, "pages_slab", m.slab);
    show_count(s, "pages_kernel", m.kernel);
}

int show_quire(struct seq *s, const struct proc_target *t)
{
    u64 inodes, inodes_open;

    proc_reap_dead();
    inode_counts(&inodes, &inodes_open);
    show_memory(s);
    show_count(s, "vmas", vma_count());
    show_count(s, "spaces", space_count());
    show_count(s, "threads", task_count());
    show_count(s, "processes", process_count());
    show_count(s, "signals_queued", signal_queue_count());
    show_count(s, "files", file_count());
    show_count(s, "inodes", inodes);
    show_count(s, "inodes_open", inodes_open);
    show_count(s, "dentries", dentry_count());
    show_count(s, "pipes", pipe_count());
    return 0;
}
