/*
 * Address spaces: what the layers above may do with them. The parts are told in vm/vma.h, vm/pagetable.h and
 * vm/fault.h.
 *
 * A space has users (threads that run in it: space_get/space_put). All functions below take SPACE's lock themselves.
 */
#ifndef VM_SPACE_H
#define VM_SPACE_H

#include "lib/tree.h"
#include "sched/wait.h"
#include "vm/object.h"

struct file;

/* mmap(2)'s */
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define PROT_NONE 0
#define PROT_ALL ((unsigned)(PROT_READ | PROT_WRITE | PROT_EXEC))
#define PROT_SEM 8 /* means nothing, but is allowed */
#define PROT_GROWSDOWN 0x01000000
#define PROT_GROWSUP 0x02000000
#define MAP_SHARED 0x01
#define MAP_PRIVATE 0x02
#define MAP_SHARED_VALIDATE 0x03
#define MAP_DROPPABLE 0x08
#define MAP_TYPE 0x0f
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20
#define MAP_GROWSDOWN 0x0100
#define MAP_DENYWRITE 0x0800
#define MAP_EXECUTABLE 0x1000
#define MAP_LOCKED 0x2000
#define MAP_NORESERVE 0x4000
#define MAP_POPULATE 0x8000
#define MAP_NONBLOCK 0x10000
#define MAP_STACK 0x20000
#define MAP_HUGETLB 0x40000
#define MAP_SYNC 0x80000
#define MAP_FIXED_NOREPLACE 0x100000

/* What mmap maps. FILE is referenced by each vma; its object is what faults read. */
struct mapping {
    struct file *file;     /* NULL: private anonymous */
    struct object *object; /* of FILE */
    u64 offset;            /* bytes, page aligned */
    unsigned max_prot;     /* what mprotect may ever give: PROT_* */
};

/* vm knows no files: fs/ hands these down at boot. */
struct vm_file_ops {
    void (*get)(struct file *file);
    void (*put)(struct file *file);
    void (*unmapped)(struct file *file); /* as put, for a vma's reference: the mapping is gone */
    /* msync: writes bytes [from, to] back and waits. NULL: the pages only */
    int (*sync)(struct file *file, u64 from, u64 to);
};
void vm_set_file_ops(const struct vm_file_ops *ops);

/* Who gets huge pages: /sys/kernel/mm/transparent_hugepage/enabled. */
enum huge_policy { HUGE_ALWAYS, HUGE_MADVISE, HUGE_NEVER };
extern const char *const huge_policy_names[3];
extern enum huge_policy huge_policy;
/* Whose fault brings memory together when it is in pieces, at once or by a thread later: .../defrag. */
enum huge_effort { EFFORT_ALWAYS, EFFORT_DEFER, EFFORT_DEFER_MADVISE, EFFORT_MADVISE, EFFORT_NEVER };
extern const char *const huge_effort_names[5];
extern enum huge_effort huge_effort;
/* The same of shared memory: .../shmem_enabled, and tmpfs's huge= (the first four). */
enum huge_shared_policy {
    HUGE_SHARED_ALWAYS,
    HUGE_SHARED_WITHIN_SIZE,
    HUGE_SHARED_ADVISE,
    HUGE_SHARED_NEVER,
    HUGE_SHARED_DENY, /* nor anybody else, whatever he was mounted with */
    HUGE_SHARED_FORCE /* and everybody else */
};
extern const char *const huge_shared_policy_names[6];
extern enum huge_shared_policy huge_shared_policy;
/* What /proc/vmstat tells as thp_*. */
struct huge_counts {
    u64 fault_alloc, fault_fallback, collapse_alloc, collapse_failed, file_alloc, file_fallback, file_mapped;
    u64 split, split_mapping;     /* of objects, their pages; of spaces, their entries for them */
    u64 compacted, not_compacted; /* blocks that were emptied (vm/compact.c), and that were not after all */
};
void huge_get_counts(struct huge_counts *counts);
/* .../khugepaged: plain numbers, written by root; khugepaged_settings_changed makes the thread look at them at once. */
extern struct khugepaged_settings {
    unsigned pages_to_scan, scan_sleep_ms, alloc_sleep_ms;
    unsigned max_ptes_none, max_ptes_swap, max_ptes_shared;
    unsigned defrag;
} khugepaged_settings;
void khugepaged_settings_changed(void);
void khugepaged_counts(u64 *full_scans, u64 *collapsed);
void khugepaged_init(void);
/* There was no block for a huge page. */
void khugepaged_compact(void);
/* prctl(PR_SET_THP_DISABLE): kept by fork and exec. */
bool space_has_no_huge_pages(const struct space *space);
void space_set_no_huge_pages(struct space *space, bool none);
/* prctl(PR_SET_MDWE): memory that was writable never becomes executable. EXEC_GAIN_REFUSED is for good; fork and exec
 * pass it on unless EXEC_GAIN_NOT_INHERITED. */
#define EXEC_GAIN_REFUSED BIT(0)
#define EXEC_GAIN_NOT_INHERITED BIT(1)
unsigned space_exec_gain(const struct space *space);
int space_set_exec_gain(struct space *space, unsigned bits);
void space_inherit_exec_gain(struct space *child, const struct space *parent);

struct space *space_create(void); /* one user; NULL = no memory */
/* A copy-on-write copy; ERR_PTR(-ENOMEM). Called by a thread of PARENT. STORED: addresses that one of the two, or both,
 * will store to at once (only to be quick; UINT64_MAX: none). */
#define FORK_STORED 2
struct space *space_fork(struct space *parent, const u64 stored[FORK_STORED]);
void space_get(struct space *space);
void space_put(struct space *space); /* the last one unmaps everything */
/* A hold keeps the struct, not its life: who has one may try to become a user, and fails once the last user is gone. */
void space_hold(struct space *space);
void space_drop(struct space *space);
bool space_try_get(struct space *space);
/* Makes SPACE (NULL: none) the current thread's; takes over the caller's reference, returns the old one's. */
struct space *space_switch_current(struct space *space);

/* mmap(2): the address or -errno. M is copied; the file reference is taken, not consumed. PROT, FLAGS as the man page
 * has them; LENGTH in bytes. Flags that concern only files (checks of open modes) are the caller's. */
long space_mmap(struct space *space, u64 address, u64 length, unsigned prot, unsigned flags, const struct mapping *m);
/* What is wrong with the place that such a call asks for, or 0: ENOMEM, EINVAL, EPERM, EEXIST. */
long space_check_place(struct space *space, u64 address, u64 length, unsigned flags);
int space_munmap(struct space *space, u64 address, u64 length);
long space_mprotect(struct space *space, u64 address, u64 length, unsigned prot);
int space_msync(struct space *space, u64 address, u64 length, unsigned flags);
/* madvise(2), mincore(2), mlock(2) and their relatives: 0 or -errno as the man pages say. */
int space_madvise(struct space *space, u64 address, u64 length, int advice);
int space_mincore(struct space *space, u64 address, u64 length, u8 *user_vec);
int space_mlock(struct space *space, u64 address, u64 length, bool on_fault);
int space_munlock(struct space *space, u64 address, u64 length);
int space_mlockall(struct space *space, unsigned flags);
void space_munlockall(struct space *space);
int space_mseal(struct space *space, u64 address, u64 length, u64 flags);
long space_mremap(struct space *space, u64 old, u64 old_length, u64 new_length, unsigned flags, u64 new_address);
/* brk(2) as the system call returns it. */
u64 space_brk(struct space *space, u64 address);

/* exec: the stack mapping below TOP (grows down to the limit), where brk starts, and the vDSO. */
int space_set_up_stack(struct space *space, u64 top, bool executable);
void space_set_brk_start(struct space *space, u64 start);
/* What is cached of the file mapped at [START, END), private, and was used by those who ran it before, is there at
 * once: saves a fault each. What cannot be done is left to the faults. => nobody else uses SPACE yet */
void space_map_used(struct space *space, u64 start, u64 end);
/* PAGE, from page_alloc, becomes the private page at VA, where nothing is yet; false: that cannot be. */
bool space_give_page(struct space *space, u64 va, struct page *page);
/* The cached page at VA becomes a private copy: N bytes, and zeros. False: it is not cached, or there is no memory. */
bool space_copy_head(struct space *space, u64 va, size_t n);
/* The vDSO (vdso(7)): proc/ hands its page of data and its code, both page aligned, down at boot. *BASE: the code's. */
void vm_set_vdso(const void *data_page, const void *code, u64 code_size);
int space_map_vdso(struct space *space, u64 *base);
/* What /proc/PID/{stat,cmdline,environ,auxv} report; plain data, written by exec and prctl. */
struct space_layout {
    u64 start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
    u64 arg_start, arg_end, env_start, env_end;
    u64 auxv[64];
    unsigned n_auxv;
    struct file *exe; /* referenced; vm_file_ops.put at the end */
};
struct space_layout *space_layout(struct space *space);

/* Random offsets for a new space (0 with `norandmaps`): where mmap starts, the stack's top, the PIE base, brk's gap. */
struct space_random {
    u64 mmap_base, stack_top, pie_base, brk_gap;
};
bool space_is_randomised(void);
void space_randomise(struct space *space, struct space_random *r,
                     bool randomise); /* also sets where SPACE's mmaps go */

/* Counters for /proc: pages. */
struct space_stats {
    u64 total, rss_anon, rss_file, rss_shmem, peak_rss, peak_total, data, stack, exec, locked, tables_bytes, swap;
    u64 minor_faults, major_faults;
};
void space_stats(struct space *space, struct space_stats *stats); /* takes no lock */
/* Makes STATS->data exact, which may cost a look at every page: stats go by the vmas' defaults. */
void space_count_data(struct space *space, struct space_stats *stats);

/* /proc/PID/maps and smaps: a line's range, as space_next_range finds it. */
struct space_range {
    u64 start, end;
    unsigned prot;
    bool shared, is_locked;
    u64 offset;
    struct file *file;
    const char *name; /* "[heap]"... or NULL */
    u32 flags;        /* vm/'s own; space_range_flags puts them into words */
    unsigned max_prot;
    bool huge_eligible;
    bool any_prot; /* in: protection makes no difference, nor is it told; which spares a look at every page */
    struct range_pages *pages; /* in: not NULL to have them counted, which costs a look at every page */
};

/* What the pages of a range are. Bytes, but shares are in 1 / 4096 bytes, for they are added up. */
struct range_pages {
    u64 rss, shared_clean, shared_dirty, private_clean, private_dirty, referenced, anonymous, huge, swap;
    u64 huge_shared, lazy;
    u64 pss, pss_dirty, pss_anon, pss_file, pss_shmem, pss_locked, pss_swap; /* a page mapped N times counts 1 / N */
};
#define SHARE_SHIFT 12
/* The words of VmFlags in /proc/PID/smaps: its length. */
#define RANGE_FLAGS_SIZE 128
void space_range_flags(const struct space_range *range, char *buf);
/* The first range of equal protection that ends above *ADDRESS; *ADDRESS becomes its end. FILE comes with a reference.
 * False at the end. */
bool space_next_range(struct space *space, u64 *address, struct space_range *range);

/* /proc/PID/pagemap: what it says of the N pages from ADDRESS on. SHOW_FRAMES: frame numbers too. */
void space_pagemap(struct space *space, u64 address, u64 *entries, unsigned n, bool show_frames);

/* /proc/PID/clear_refs: forgets which pages were used, which were written to, or the peak of resident memory.
 * -ENOMEM: some are forgotten. */
enum clear_refs { CLEAR_ALL = 1, CLEAR_ANONYMOUS, CLEAR_FILES, CLEAR_SOFT_DIRTY, CLEAR_PEAK };
int space_clear_refs(struct space *space, enum clear_refs what);

/* SPACE's threads are dying: what its private pages take is freed at once, whenever the last of them ends. */
void space_reap(struct space *space);

/* A page fault of user mode; the kernel's own are vm/fault.h's. */
enum fault_access { FAULT_READ = PROT_READ, FAULT_WRITE = PROT_WRITE, FAULT_EXEC = PROT_EXEC };
enum fault_result {
    FAULT_MAPPED,    /* try again: it will work, or fault anew */
    FAULT_MAPERR,    /* SIGSEGV, SEGV_MAPERR */
    FAULT_ACCERR,    /* SIGSEGV, SEGV_ACCERR */
    FAULT_BUS,       /* SIGBUS, BUS_ADRERR: past the end of the file, or it cannot be read */
    FAULT_NO_MEMORY, /* the process must die */
};
/* Where there is no memory, a process is made to give some back first (vm_set_out_of_memory). May sleep. */
enum fault_result space_fault(struct space *space, u64 address, enum fault_access access);

#endif
