/* The interval tree of an object's vmas. Contract in mappings.h. */
#include "vm/mappings.h"

static struct vma *vma_of(const struct tree_node *node) { return container_of(node, struct vma, mapping_node); }
static bool reaches(const struct tree_node *node, u64 first)
{
    return node != NULL && vma_of(node)->max_last_page >= first;
}

/* tree.update: the largest last page of a subtree. */
static bool update_last(struct tree_node *node)
{
    struct vma *v = vma_of(node);
    u64 max = vma_last_page(v), old = v->max_last_page;

    if (node->left != NULL)
        max = MAX(max, vma_of(node->left)->max_last_page);
    if (node->right != NULL)
        max = MAX(max, vma_of(node->right)->max_last_page);
    v->max_last_page = max;
    return max != old;
}

void mappings_init(struct tree *mappings)
{
    mappings->root = NULL;
    mappings->update = update_last;
}

void mappings_link(struct vma *v)
{
    struct tree *mappings = &v->object->mappings;
    struct tree_node **link = &mappings->root, *parent = NULL;

    while (*link != NULL) {
        parent = *link;
        link = vma_first_page(v) < vma_first_page(vma_of(parent)) ? &parent->left : &parent->right;
    }
    v->max_last_page = vma_last_page(v);
    tree_insert(mappings, &v->mapping_node, parent, link);
}

void mappings_unlink(struct vma *v) { tree_remove(&v->object->mappings, &v->mapping_node); }

/* The first match below NODE, which reaches FIRST: left of a node nothing begins later, so where the left subtree
 * reaches, it is there or nowhere. */
static struct vma *first_below(struct tree_node *node, u64 first, u64 last)
{
    for (;;) {
        struct vma *v = vma_of(node);

        if (reaches(node->left, first)) {
            node = node->left;
            continue;
        }
        if (vma_first_page(v) > last)
            return NULL;
        if (vma_last_page(v) >= first)
            return v;
        if (!reaches(node->right, first))
            return NULL;
        node = node->right;
    }
}

struct vma *mappings_first(const struct tree *mappings, u64 first, u64 last)
{
    return reaches(mappings->root, first) ? first_below(mappings->root, first, last) : NULL;
}

struct vma *mappings_next(const struct vma *v, u64 first, u64 last)
{
    const struct tree_node *node = &v->mapping_node;

    for (;;) {
        const struct tree_node *child;

        if (reaches(node->right, first))
            return first_below(node->right, first, last);
        do { /* up, to the first node of whose left subtree this is part */
            child = node;
            node = node->parent;
            if (node == NULL)
                return NULL;
        } while (child == node->right);
        if (vma_first_page(vma_of(node)) > last)
            return NULL;
        if (vma_last_page(vma_of(node)) >= first)
            return vma_of(node);
    }
}

bool object_has_writable_mapping(struct object *o)
{
    bool found = false;
    struct vma *v;

    mutex_lock(&o->mappings_lock);
    for_each_mapping(v, o, 0, UINT64_MAX)
        found |= vma_is_shared(v) && (v->max_prot & PROT_WRITE);
    mutex_unlock(&o->mappings_lock);
    return found;
}

u64 object_mapping_count(struct object *o)
{
    struct vma *v;
    u64 n = 0;

    mutex_lock(&o->mappings_lock);
    for_each_mapping(v, o, 0, UINT64_MAX)
        n++;
    mutex_unlock(&o->mappings_lock);
    return n;
}
