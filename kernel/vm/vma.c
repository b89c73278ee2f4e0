/* The tree of mappings: look-up, insertion, splitting, and the search for free ranges, all O(log n). Contract in vma.h.
 */
#include "vm/vma.h"
#include "vm/kmalloc.h"
#include "vm/mappings.h"
#include "vm/userfaults.h"

static u64 n_vmas;

u64 vma_count(void) { return load_relaxed(&n_vmas); }

static struct vma *vma_of(const struct tree_node *node) { return node ? container_of(node, struct vma, node) : NULL; }

/* Gaps count as no larger than this, so that the huge one that new mappings are cut from does not change every node
 * above it each time. There are few such gaps; who looks for more looks at them one by one. */
#define GAP_CAP (16 * GIB)

/* The free bytes below V, and what new mappings get of them: the part below mmap_top. */
static inline void note_gap(struct vma *v, u64 below_end)
{
    struct space *s = v->space;
    u64 high = MIN(v->start, s->mmap_top);

    v->gap = v->start - below_end;
    v->usable = high > below_end ? MIN(high - below_end, GAP_CAP) : 0;
    if (v->gap >= s->gap_hint_size && s->gap_hint != NULL && v->start > s->gap_hint->start)
        s->gap_hint = v;
}

/* tree.update: a bound for the usable gaps of a subtree. It must not be too small, so the nodes above hear of a larger
 * one at once (raise_bounds); that it has become smaller is left to the search that is misled by it (highest_gap). */
static bool update_gap(struct tree_node *node)
{
    struct vma *v = vma_of(node);
    u64 max = v->usable, old = v->max_gap;

    if (node->left != NULL)
        max = MAX(max, vma_of(node->left)->max_gap);
    if (node->right != NULL)
        max = MAX(max, vma_of(node->right)->max_gap);
    v->max_gap = max;
    return max > old;
}

static inline void raise_bounds(struct tree_node *node, u64 usable)
{
    for (; node != NULL && vma_of(node)->max_gap < usable; node = node->parent)
        vma_of(node)->max_gap = usable;
}

void vma_tree_init(struct tree *tree)
{
    tree->root = NULL;
    tree->update = update_gap;
}

struct vma *vma_find(struct space *s, u64 address)
{
    struct vma *last = load_relaxed(&s->last_found);

    if (last != NULL && address < last->end && address >= last->start - last->gap)
        return last; /* in the last one again, or in the gap below it */
    return vma_search(s, address);
}

struct vma *vma_find_anew(struct space *s, u64 address) { return vma_search(s, address); }

struct vma *vma_alloc(void)
{
    struct vma *v = kmalloc(sizeof(*v));

    if (v != NULL)
        atomic_add_relaxed(&n_vmas, 1);
    return v;
}

void vma_free(struct vma *v)
{
    atomic_sub(&n_vmas, 1);
    kfree(v);
}

struct vma *vma_take(struct space *s)
{
    struct vma *v = s->spare;

    if (v == NULL)
        return vma_alloc();
    s->spare = NULL;
    return v;
}

void vma_give_up(struct space *s, struct vma *v, struct list *removed)
{
    if (v->file == NULL && s->spare == NULL)
        s->spare = v;
    else
        list_add(removed, &v->removed_link);
}

void vma_drop_spare(struct space *s)
{
    if (s->spare != NULL)
        vma_free(s->spare);
    s->spare = NULL;
}

void vma_free_all(struct list *removed)
{
    struct vma *v, *tmp;

    list_for_each_safe(v, tmp, removed, removed_link) {
        if (unlikely(v->flags & VMA_NOTICE))
            userfault_deliver(v);
        if (v->file != NULL)
            vm_file_ops->unmapped(v->file);
        vma_free(v);
    }
}

static inline void set_gap(struct vma *v, u64 below_end)
{
    note_gap(v, below_end);
    raise_bounds(&v->node, v->usable);
}

/* Totals that limits and /proc look at: MORE pages, or fewer, like V's. */
static void count_pages(struct space *s, const struct vma *v, u64 more)
{
    s->total_pages += more;
    if (s->total_pages > s->peak_pages)
        s->peak_pages = s->total_pages;
    if (v->flags & VMA_LOCKED)
        s->locked_pages += more;
    if (v->flags & VMA_GROWSDOWN)
        s->stack_pages += more;
    else if (!(v->flags & VMA_SHARED) && (v->prot & PROT_WRITE))
        s->data_pages += more;
    else if (v->file != NULL && (v->prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC)
        s->exec_pages += more;
}

static u64 vma_pages(const struct vma *v) { return (v->end - v->start) >> PAGE_SHIFT; }

void vma_count_pages(struct space *s, const struct vma *v, bool add)
{
    count_pages(s, v, add ? vma_pages(v) : -vma_pages(v));
}

static void lock_mappings(const struct vma *v)
{
    if (v->object != NULL)
        mutex_lock(&v->object->mappings_lock);
}

static void unlock_mappings(const struct vma *v)
{
    if (v->object != NULL)
        mutex_unlock(&v->object->mappings_lock);
}

static inline void link_below(struct space *s, struct vma *v, struct tree_node *parent, struct tree_node **link)
{
    raise_bounds(parent, v->usable);
    tree_insert_known(&s->vmas, &v->node, parent, link);
}

/* => the object's mappings locked, as for the next */
static void insert_locked(struct space *s, struct vma *v, struct vma *above)
{
    struct vma *below = vma_below(s, above);

    v->space = s;
    v->below = below;
    v->above = above;
    note_gap(v, below ? below->end : 0);
    v->max_gap = v->usable;
    if (below != NULL)
        below->above = v;
    *(above != NULL ? &above->below : &s->highest) = v;
    if (above != NULL && above->node.left == NULL)
        link_below(s, v, &above->node, &above->node.left);
    else if (below != NULL) /* nothing is right of it below the one above */
        link_below(s, v, &below->node, &below->node.right);
    else
        link_below(s, v, NULL, &s->vmas.root);
    if (above != NULL)
        set_gap(above, v->end);
    s->last_found = v;
    s->n_vmas++;
    count_pages(s, v, vma_pages(v));
    if (v->object != NULL)
        mappings_link(v);
}

/* V, which is armed, changes: what threads remember of it (vm/vmtrap.h) is void. */
static inline void note_change(struct space *s, const struct vma *v)
{
    if (unlikely(v->flags & VMA_TRAP))
        pt_forget_leaves(s);
}

static void resize_locked(struct vma *v, u64 start, u64 end)
{
    struct space *s = v->space;
    bool lower_moves = v->start != start, upper_moves = v->end != end;

    note_change(s, v);
    count_pages(s, v, ((end - start) >> PAGE_SHIFT) - vma_pages(v));
    if (v->object != NULL)
        mappings_unlink(v);
    v->offset += start - v->start;
    v->start = start;
    v->end = end;
    if (v->object != NULL)
        mappings_link(v);
    if (lower_moves)
        set_gap(v, v->below ? v->below->end : 0);
    if (upper_moves && v->above != NULL)
        set_gap(v->above, end);
    else if (upper_moves)
        s->gap_hint = NULL;
}

void vma_insert(struct space *s, struct vma *v, struct vma *above)
{
    if (v->object == NULL) {
        insert_locked(s, v, above);
        return;
    }
    lock_mappings(v);
    insert_locked(s, v, above);
    unlock_mappings(v);
}

void vma_resize(struct vma *v, u64 start, u64 end)
{
    if (v->object == NULL) {
        resize_locked(v, start, end);
        return;
    }
    lock_mappings(v);
    resize_locked(v, start, end);
    unlock_mappings(v);
}

static void remove_locked(struct space *s, struct vma *v)
{
    struct vma *below = v->below, *above = v->above;

    note_change(s, v);
    if (v->object != NULL)
        mappings_unlink(v);
    tree_remove(&s->vmas, &v->node);
    if (below != NULL)
        below->above = above;
    *(above != NULL ? &above->below : &s->highest) = below;
    if (above != NULL)
        set_gap(above, below ? below->end : 0);
    if (s->gap_hint == v || above == NULL)
        s->gap_hint = above;
    s->n_vmas--;
    count_pages(s, v, -vma_pages(v));
    if (s->last_found == v)
        s->last_found = above;
}

void vma_remove(struct space *s, struct vma *v)
{
    if (v->object == NULL) {
        remove_locked(s, v);
        return;
    }
    lock_mappings(v);
    remove_locked(s, v);
    unlock_mappings(v);
}

struct vma *vma_forget_objects(struct space *s)
{
    struct vma *lowest = NULL;

    for (struct vma *v = s->highest; v != NULL; v = v->below) {
        lowest = v;
        if (v->object == NULL)
            continue;
        mutex_lock(&v->object->mappings_lock);
        mappings_unlink(v);
        mutex_unlock(&v->object->mappings_lock);
    }
    return lowest;
}

void vma_remove_all(struct space *s, struct list *removed)
{
    struct vma *v = s->highest, *below;

    s->vmas.root = NULL;
    s->highest = s->last_found = s->gap_hint = NULL;
    s->n_vmas = 0;
    for (; v != NULL; v = below) {
        below = v->below;
        list_add(removed, &v->removed_link);
    }
}

int vma_cut(struct space *s, struct vma *v, u64 start, u64 end)
{
    struct vma *upper = vma_take(s);

    if (upper == NULL)
        return -ENOMEM;
    vma_describe(upper, v);
    upper->start = end;
    upper->offset += end - v->start;
    if (upper->file != NULL)
        vm_file_ops->get(upper->file);
    lock_mappings(v); /* once for both: whoever comes from the object finds every page in one of them */
    resize_locked(v, v->start, start);
    insert_locked(s, upper, v->above);
    unlock_mappings(v);
    return 0;
}

bool vma_continues(const struct vma *a, const struct vma *b)
{
    u32 own = (u32) ~(VMA_MARKED | VMA_TRACKED | VMA_LAZY); /* see vma_merged_flags */

    return a->end == b->start && a->object == b->object && a->prot == b->prot &&
           (a->object == NULL || a->offset + (a->end - a->start) == b->offset) && a->file == b->file &&
           a->max_prot == b->max_prot && a->userfault == b->userfault && a->trap == b->trap &&
           (a->flags & own) == (b->flags & own) && !(a->flags & VMA_VDSO);
}

void vma_merge_below(struct space *s, struct vma *v, struct list *removed)
{
    struct vma *below = v->below;
    u64 end = v->end;

    if (below == NULL || !vma_continues(below, v))
        return;
    below->flags = vma_merged_flags(below->flags, v->flags);
    lock_mappings(v); /* once for both, as in vma_cut */
    remove_locked(s, v);
    resize_locked(below, below->start, end);
    unlock_mappings(v);
    vma_give_up(s, v, removed);
}

/* What a new mapping must keep clear below a vma that grows down. */
static u64 guard_below(const struct vma *v) { return v->flags & VMA_GROWSDOWN ? STACK_GUARD_GAP : 0; }

static bool range_is_free(struct space *s, u64 start, u64 end)
{
    struct vma *v = vma_find(s, start);

    return v == NULL || v->start >= end + guard_below(v);
}

/* The highest start of LENGTH free bytes in the gap below V, and below TOP; 0 = none. */
static inline u64 room_below(const struct vma *v, u64 length, u64 top)
{
    u64 low, high;

    if (v->gap < length)
        return 0;
    low = MAX(v->start - v->gap, (u64)USER_MIN);
    high = v->start > guard_below(v) ? MIN(v->start - guard_below(v), top) : 0;
    return high >= low + length ? high - length : 0;
}

static bool may_hold(const struct tree_node *node, u64 want) { return node != NULL && vma_of(node)->max_gap >= want; }

/* The highest start such that LENGTH bytes from there are free, in the gaps of the subtree below TREE, which may hold
 * it, and below TOP; 0 = none. WANT is LENGTH up to the cap. A gap that was promised is there but for TOP, guard gaps,
 * the cap and bounds that are too large; those are put right when the search has been in vain. */
static u64 highest_gap(struct space *s, struct tree_node *tree, u64 length, u64 want, u64 top)
{
    struct tree_node *node = tree, *last;

    do {
        struct vma *v = vma_of(node);
        u64 found;

        if (may_hold(node->right, want)) {
            found = v->start < top ? highest_gap(s, node->right, length, want, top) : 0; /* gaps from v->end on */
            if (found != 0)
                return found;
        }
        found = room_below(v, length, top);
        if (found != 0) {
            s->last_found = v;
            return found;
        }
        last = node;
        node = node->left;
    } while (may_hold(node, want));
    for (; last != tree; last = last->parent)
        (void)update_gap(last);
    (void)update_gap(tree);
    return 0;
}

/* Above mmap_top, where only what was asked for by address is, and stacks: the highest gap below TOP. */
static u64 gap_above(struct space *s, u64 length, u64 top)
{
    for (const struct vma *v = s->highest; v != NULL && v->start > s->mmap_top; v = v->below) {
        u64 low = MAX(v->start - v->gap, s->mmap_top), high = MIN(v->start - guard_below(v), top);

        if (v->start > guard_below(v) && high >= low + length)
            return high - length;
    }
    return 0;
}

#define HINT_STEPS 3

/* What highest_gap would find in the first few gaps that can be large enough. */
static inline u64 hinted_gap(struct space *s, u64 length)
{
    struct vma *v = s->gap_hint;

    if (length < s->gap_hint_size)
        return 0;
    for (unsigned i = 0; i < HINT_STEPS && v != NULL; i++, v = v->below) {
        u64 found = room_below(v, length, s->mmap_top);

        if (found != 0) {
            s->gap_hint = s->last_found = v;
            s->gap_hint_size = length;
            return found;
        }
    }
    return 0;
}

u64 vma_find_place(struct space *s, u64 length, u64 hint)
{
    u64 limit = arch_user_address_limit(), found;

    if (hint > USER_WINDOW || length > USER_WINDOW - hint)
        return vma_find_gap(s, length, hint, limit);
    found = vma_find_gap(s, length, hint, s->mmap_top);
    return found != 0 ? found : vma_find_gap(s, length, 0, MIN(limit, USER_WINDOW));
}

u64 vma_find_gap(struct space *s, u64 length, u64 hint, u64 top)
{
    u64 limit = arch_user_address_limit(), want = MIN(length, GAP_CAP), end, found;

    if (length > limit)
        return 0;
    if (hint == 0 && top == s->mmap_top && (found = hinted_gap(s, length)) != 0)
        return found;
    if (hint >= USER_MIN && hint <= limit - length && range_is_free(s, hint, hint + length))
        return hint;
    end = MAX(s->highest ? s->highest->end : 0, (u64)USER_MIN);
    if (end <= top && top - end >= length)
        return top - length;
    if (top > s->mmap_top && (found = gap_above(s, length, top)) != 0)
        return found;
    if (!may_hold(s->vmas.root, want) || (found = highest_gap(s, s->vmas.root, length, want, top)) == 0)
        return 0;
    if (top >= s->mmap_top) {
        s->gap_hint = s->last_found;
        s->gap_hint_size = length;
    }
    return found;
}
