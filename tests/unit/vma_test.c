/* The tree of mappings against a plain model: a byte per page of a small address space. Random maps and unmaps;
 * look-ups, gaps, merging. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#include "lib/tree.c"
#include "vm/mappings.h"
#include "vm/vma.c"

#define vma_of mappings_vma_of
#include "vm/mappings.c"
#undef vma_of

#define PAGES 4096
#define BASE (1ul << 20)

struct machine machine = {.harts = 1, .paging_levels = 3};
const struct vm_file_ops *vm_file_ops;
static u8 model[PAGES]; /* 0: free, else the protection + 1 */

void *kmalloc(size_t size) { return malloc(size); }
void kfree(void *p) { free(p); }
void userfault_deliver(struct vma *notice) {}
void pt_forget_leaves(struct space *s) {}
void mutex_lock(struct mutex *m) { (void)m; }
void mutex_unlock(struct mutex *m) { (void)m; }
u64 arch_user_address_limit(void) { return BASE + PAGES * PAGE_SIZE; }

static u64 address_of(unsigned page) { return BASE + page * PAGE_SIZE; }

/* Every node's max_gap is a bound, addresses rise, gaps are what lies between. */
static bool is_sound(struct space *s)
{
    struct vma *last = NULL;
    u64 below = 0;
    unsigned n = 0;

    for (struct tree_node *node = tree_first(&s->vmas); node != NULL; node = tree_next(node), n++) {
        struct vma *v = vma_of(node);
        u64 max = v->gap;

        if (v->below != last || (last != NULL && last->above != v))
            return false;
        last = v;
        if (v->start < below || v->end <= v->start || v->gap != v->start - below)
            return false;
        if (node->left)
            max = MAX(max, vma_of(node->left)->max_gap);
        if (node->right)
            max = MAX(max, vma_of(node->right)->max_gap);
        if (max > v->max_gap)
            return false;
        below = v->end;
    }
    return n == s->n_vmas && s->highest == last;
}

static bool agrees(struct space *s)
{
    for (unsigned i = 0; i < PAGES; i++) {
        struct vma *v = vma_at(s, address_of(i));

        if ((v == NULL) != (model[i] == 0) || (v != NULL && v->prot + 1 != model[i]))
            return false;
    }
    return true;
}

static void map(struct space *s, unsigned first, unsigned n, unsigned prot)
{
    struct list removed = LIST_INIT(removed);
    struct vma *v = vma_alloc(), *above;

    memset(v, 0, sizeof(*v));
    v->start = address_of(first);
    v->end = address_of(first + n);
    v->prot = prot;
    above = vma_find(s, v->start);
    vma_insert(s, v, above);
    vma_merge_below(s, v, &removed);
    if (above != NULL)
        vma_merge_below(s, above, &removed);
    vma_free_list(&removed);
    memset(&model[first], (int)prot + 1, n);
}

static void unmap(struct space *s, unsigned first, unsigned n)
{
    u64 start = address_of(first), end = address_of(first + n);
    struct vma *v;

    while ((v = vma_find(s, start)) != NULL && v->start < end) {
        if (v->start < start) {
            vma_split(s, v, start);
        } else if (v->end > end) {
            vma_split(s, v, end);
        } else {
            vma_remove(s, v);
            vma_free(v);
        }
    }
    memset(&model[first], 0, n);
}

/* The highest free run of N pages below page TOP in the model, or -1. */
static int model_gap(unsigned n, unsigned top)
{
    unsigned run = 0;

    for (unsigned i = top; i-- > 0;) {
        run = model[i] == 0 ? run + 1 : 0;
        if (run == n)
            return (int)i;
    }
    return -1;
}

static bool gap_agrees(struct space *s, unsigned n, unsigned top)
{
    int want = model_gap(n, top);
    u64 found = vma_find_gap(s, n * PAGE_SIZE, 0, address_of(top));

    if (want < 0) /* below the model's base there is room that the model does not know */
        return found == 0 || found < BASE;
    return found == address_of((unsigned)want);
}

static void random_run(unsigned seed, unsigned steps)
{
    struct space s = {.mmap_top = BASE + PAGES * PAGE_SIZE};
    bool sound = true, same = true, gaps = true;

    srand(seed);
    memset(model, 0, sizeof(model));
    vma_tree_init(&s.vmas);
    for (unsigned i = 0; i < steps; i++) {
        unsigned n = 1 + (unsigned)rand() % (rand() % 4 == 0 ? 300 : 8), first = (unsigned)rand() % (PAGES - n);

        unmap(&s, first, n);
        if (rand() % 3 != 0)
            map(&s, first, n, (unsigned)rand() % 4);
        gaps = gaps && gap_agrees(&s, 1 + (unsigned)rand() % 64, (unsigned)rand() % PAGES);
        gaps = gaps && gap_agrees(&s, 1 + (unsigned)rand() % (rand() % 2 ? 4 : 64), PAGES); /* as mmap asks */
        sound = sound && is_sound(&s);
        if (i % 64 == 0)
            same = same && agrees(&s);
    }
    CHECK(sound, "seed %u: the tree is sound after every step", seed);
    CHECK(same && agrees(&s), "seed %u: every page is found with its protection", seed);
    CHECK(gaps, "seed %u: the highest gap is found", seed);
    unmap(&s, 0, PAGES);
    vma_drop_spare(&s);
    CHECK(s.n_vmas == 0 && s.vmas.root == NULL && vma_count() == 0, "seed %u: nothing is left", seed);
    CHECK(s.total_pages == 0 && s.data_pages == 0, "seed %u: counters return to zero", seed);
}

static void test_stack_guard(void)
{
    struct space s = {.mmap_top = BASE + PAGES * PAGE_SIZE};
    struct vma *stack;

    memset(model, 0, sizeof(model));
    vma_tree_init(&s.vmas);
    map(&s, 2000, 10, 3);
    stack = vma_at(&s, address_of(2000));
    stack->flags |= VMA_GROWSDOWN;
    CHECK(vma_find_gap(&s, PAGE_SIZE, 0, address_of(2000)) == address_of(2000 - 256 - 1),
          "a new mapping keeps off the stack's guard gap");
    CHECK(vma_find_gap(&s, PAGE_SIZE, address_of(1990), address_of(2000)) != address_of(1990),
          "a hint inside the guard gap is not taken");
    CHECK(vma_find_gap(&s, PAGE_SIZE, address_of(1000), address_of(2000)) == address_of(1000), "a free hint is taken");
    stack->flags = 0;
    unmap(&s, 0, PAGES);
}

/* Random intervals in an object's tree: each query visits exactly the right ones, once, in order of their first pages.
 */
static void test_mappings(void)
{
    static struct vma v[300];
    struct object o = {0};
    bool in_tree[300] = {false}, right = true, ordered = true;

    mappings_init(&o.mappings);
    srand(3);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)rand() % 300;
        u64 first = (u64)rand() % 1000, last = first + (u64)rand() % 50, before = 0;
        unsigned expected = 0, seen = 0;
        struct vma *m;

        if (in_tree[i]) {
            mappings_unlink(&v[i]);
        } else {
            v[i] = (struct vma){.object = &o,
                                .offset = ((u64)rand() % 1000) << PAGE_SHIFT,
                                .end = (1 + (u64)rand() % 40) << PAGE_SHIFT};
            mappings_link(&v[i]);
        }
        in_tree[i] = !in_tree[i];
        for (unsigned j = 0; j < 300; j++)
            expected += in_tree[j] && vma_first_page(&v[j]) <= last && vma_last_page(&v[j]) >= first;
        for_each_mapping(m, &o, first, last) {
            seen++;
            right = right && vma_first_page(m) <= last && vma_last_page(m) >= first;
            ordered = ordered && vma_first_page(m) >= before;
            before = vma_first_page(m);
        }
        right = right && seen == expected;
    }
    CHECK(right, "the mappings of a range of pages are found");
    CHECK(ordered, "in the order of their first pages");
}

int main(void)
{
    test_mappings();
    for (unsigned seed = 1; seed <= 5; seed++)
        random_run(seed, 4000);
    test_stack_guard();
    return tap_done();
}
