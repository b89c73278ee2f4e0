/* Address spaces: creation, end, and where things are placed in a new one. */
#include "lib/random.h"
#include "lib/cmdline.h"
#include "lib/rlimit.h"
#include "lib/string.h"
#include "sched/thread.h"
#include "vm/khugepaged.h"
#include "vm/kmalloc.h"
#include "vm/swapout.h"
#include "vm/tlb.h"

const struct vm_file_ops *vm_file_ops;

static u64 n_spaces;

void vm_set_file_ops(const struct vm_file_ops *ops) { vm_file_ops = ops; }
u64 space_count(void) { return load_relaxed(&n_spaces); }
struct space_layout *space_layout(struct space *s) { return &s->layout; }
void space_get(struct space *s) { atomic_add_relaxed(&s->users, 1); }
void space_hold(struct space *s) { atomic_add_relaxed(&s->holds, 1); }

void space_drop(struct space *s)
{
    if (atomic_sub(&s->holds, 1) == 0)
        kfree(s);
}

bool space_try_get(struct space *s) { return ref_get_unless_zero(&s->users); }

struct space *space_create(void)
{
    struct space *s = kzalloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    s->root = pt_create_root();
    if (s->root == NULL) {
        kfree(s);
        return NULL;
    }
    s->users = s->holds = 1;
    rwlock_init(&s->lock);
    vma_tree_init(&s->vmas);
    spin_init(&s->tables_lock);
    s->counts_exactly = vm_counts_exactly();
    pt_forget_leaves(s);
    s->asid = asid_alloc();
    s->stale = UINT32_MAX; /* an earlier space may have had the ASID */
    s->mmap_top = arch_user_address_limit();
    atomic_add_relaxed(&n_spaces, 1);
    swapout_add_space(s);
    return s;
}

/* Nobody runs in S any more. First the objects forget it, so that nobody comes to its tables from there. */
static void destroy(struct space *s)
{
    struct list removed;

    khugepaged_forget(s);
    swapout_forget_space(s);
    tlb_leave_space(s);
    list_init(&removed);
    pt_destroy(s, vma_forget_objects(s));
    vma_remove_all(s, &removed);
    vma_free_list(&removed);
    vma_drop_spare(s);
    if (s->layout.exe != NULL)
        vm_file_ops->put(s->layout.exe);
    asid_free(s->asid);
    atomic_sub(&n_spaces, 1);
    space_drop(s);
}

void space_put(struct space *s)
{
    if (atomic_sub(&s->users, 1) == 0)
        destroy(s);
}

struct space *space_switch_current(struct space *s)
{
    struct space *old = current->space;
    u64 flags = irq_save();

    current->space = s;
    if (s != NULL)
        space_switch(this_hart(), s);
    irq_restore(flags);
    return old;
}

/* ---- placement ---- */

bool space_is_randomised(void) { return !cmdline_has("norandmaps"); }

/* A number of pages below 2^BITS, as bytes. */
static u64 some_pages(u64 random, unsigned bits) { return (random & (BIT(bits) - 1)) << PAGE_SHIFT; }

void space_randomise(struct space *s, struct space_random *r, bool randomise)
{
    u64 limit = MIN(arch_user_address_limit(), USER_WINDOW), stack = 8 * MIB, gap, random[2] = {0};
    bool is_small = limit < 1ull << 40;

    if (randomise && space_is_randomised())
        random_bytes(random, sizeof(random));

    if (current->limits != NULL)
        stack = current->limits->limit[RLIMIT_STACK].soft;
    r->stack_top = limit - PAGE_SIZE - some_pages(random[0], is_small ? 14 : 22);
    gap = MIN(MAX(stack, 128 * MIB), limit / 6 * 5) + STACK_GUARD_GAP;
    r->mmap_base =
        ALIGN_DOWN(limit - PAGE_SIZE - (BIT(is_small ? 14 : 22) << PAGE_SHIFT) - MIN(gap, limit / 2), PAGE_SIZE) -
        some_pages(random[0] >> 32, is_small ? 18 : 24);
    r->pie_base = ALIGN_DOWN(limit / 3 * 2, PAGE_SIZE) + some_pages(random[1], is_small ? 18 : 24);
    r->brk_gap = some_pages(random[1] >> 32, is_small ? 11 : 13);
    s->mmap_top = r->mmap_base;
    s->gap_hint = NULL; /* which knew the one before */
}

/* ---- the vDSO: a page of data, then its code, all in the kernel image ---- */

static struct {
    const void *data;
    const char *code;
    u64 code_size;
} vdso;

void vm_set_vdso(const void *data_page, const void *code, u64 code_size)
{
    vdso.data = data_page;
    vdso.code = code;
    vdso.code_size = code_size;
}

int space_map_vdso(struct space *s, u64 *base)
{
    struct vma v = {.prot = PROT_READ | PROT_EXEC, .max_prot = PROT_READ | PROT_EXEC, .flags = VMA_VDSO};
    u64 size = PAGE_SIZE + ALIGN_UP(vdso.code_size, PAGE_SIZE);
    struct list removed;
    int error = -ENOMEM;

    list_init(&removed);
    write_lock(&s->lock);
    v.start = vma_find_gap(s, size, 0, s->mmap_top);
    v.end = v.start + size;
    if (v.start != 0)
        error = map_range(s, &v, &removed);
    write_unlock(&s->lock);
    vma_free_list(&removed);
    *base = v.start + PAGE_SIZE; /* behind the data */
    return error;
}

/* Page INDEX of the mapping. */
u64 vdso_pfn(u64 index) { return arch_image_pfn(index == 0 ? vdso.data : vdso.code + (index - 1) * PAGE_SIZE); }
