/*
 * Red-black trees (Cormen, Leiserson, Rivest, Stein: Introduction to Algorithms, chapter 13) with augmentation.
 *
 * Invariants: the root is black; a red node has no red child; every path from a node down to a missing child has the
 * same number of black nodes. NULL children count as black. After each operation every node's augmented value agrees
 * with its children.
 */
#include "lib/tree.h"

static bool is_red(const struct tree_node *n) { return n != NULL && n->red; }

static void update(struct tree *tree, struct tree_node *n)
{
    if (tree->update != NULL)
        tree->update(n);
}

void tree_refresh(struct tree *tree, struct tree_node *node)
{
    if (tree->update == NULL)
        return;
    while (node != NULL && tree->update(node))
        node = node->parent;
}

/* Puts NEW (may be NULL) where OLD hangs under PARENT (NULL: the root). */
static void replace_child(struct tree *tree, struct tree_node *parent, struct tree_node *old, struct tree_node *new)
{
    if (parent == NULL)
        tree->root = new;
    else if (parent->left == old)
        parent->left = new;
    else
        parent->right = new;
    if (new != NULL)
        new->parent = parent;
}

/*
 *        n                 r
 *       / \               / \
 *      a   r     --->    n   c
 *         / \           / \
 *        b   c         a   b
 */
static void rotate_left(struct tree *tree, struct tree_node *n)
{
    struct tree_node *r = n->right;

    replace_child(tree, n->parent, n, r);
    n->right = r->left;
    if (r->left != NULL)
        r->left->parent = n;
    r->left = n;
    n->parent = r;
    update(tree, n);
    update(tree, r);
}

static void rotate_right(struct tree *tree, struct tree_node *n)
{
    struct tree_node *l = n->left;

    replace_child(tree, n->parent, n, l);
    n->left = l->right;
    if (l->right != NULL)
        l->right->parent = n;
    l->right = n;
    n->parent = l;
    update(tree, n);
    update(tree, l);
}

/* N and its parent are red: the only invariant that is broken. */
static noinline_fn void fix_red_parent(struct tree *tree, struct tree_node *n)
{
    do {
        struct tree_node *parent = n->parent, *grand = parent->parent;
        bool parent_is_left = grand->left == parent;
        struct tree_node *uncle = parent_is_left ? grand->right : grand->left;

        if (is_red(uncle)) {
            parent->red = uncle->red = false;
            grand->red = true;
            n = grand;
            continue;
        }
        if (parent_is_left) {
            if (n == parent->right) {
                rotate_left(tree, parent);
                parent = n;
            }
            rotate_right(tree, grand);
        } else {
            if (n == parent->left) {
                rotate_right(tree, parent);
                parent = n;
            }
            rotate_left(tree, grand);
        }
        parent->red = false;
        grand->red = true;
        break;
    } while (is_red(n->parent));
}

/* N was just hung into the tree. */
static inline void fix_insert(struct tree *tree, struct tree_node *n)
{
    if (is_red(n->parent))
        fix_red_parent(tree, n);
    tree->root->red = false;
}

static inline void hang(struct tree_node *node, struct tree_node *parent, struct tree_node **link)
{
    node->parent = parent;
    node->left = node->right = NULL;
    node->red = true;
    *link = node;
}

void tree_insert_known(struct tree *tree, struct tree_node *node, struct tree_node *parent, struct tree_node **link)
{
    hang(node, parent, link);
    fix_insert(tree, node);
}

void tree_insert(struct tree *tree, struct tree_node *node, struct tree_node *parent, struct tree_node **link)
{
    hang(node, parent, link);
    update(tree, node);
    tree_refresh(tree, parent);
    fix_insert(tree, node);
}

/* The paths through N (may be NULL), PARENT's child, are one black node short. */
static void fix_remove(struct tree *tree, struct tree_node *n, struct tree_node *parent)
{
    while (n != tree->root && !is_red(n)) {
        bool left = parent->left == n;
        struct tree_node *sibling = left ? parent->right : parent->left;
        struct tree_node *near, *far;

        if (is_red(sibling)) {
            sibling->red = false;
            parent->red = true;
            if (left)
                rotate_left(tree, parent);
            else
                rotate_right(tree, parent);
            sibling = left ? parent->right : parent->left;
        }
        near = left ? sibling->left : sibling->right;
        far = left ? sibling->right : sibling->left;
        if (!is_red(near) && !is_red(far)) {
            sibling->red = true;
            n = parent;
            parent = n->parent;
            continue;
        }
        if (!is_red(far)) {
            near->red = false;
            sibling->red = true;
            if (left)
                rotate_right(tree, sibling);
            else
                rotate_left(tree, sibling);
            far = sibling;
            sibling = near;
        }
        sibling->red = parent->red;
        parent->red = far->red = false;
        if (left)
            rotate_left(tree, parent);
        else
            rotate_right(tree, parent);
        break;
    }
    if (n != NULL)
        n->red = false;
    if (tree->root != NULL)
        tree->root->red = false;
}

static noinline_fn void remove_any(struct tree *tree, struct tree_node *node)
{
    struct tree_node *child, *parent, *moved = NULL;
    bool removed_red;

    if (node->left == NULL || node->right == NULL) {
        child = node->left != NULL ? node->left : node->right;
        parent = node->parent;
        removed_red = node->red;
        replace_child(tree, parent, node, child);
    } else { /* the next node, which has no left child, takes NODE's place and colour */
        struct tree_node *next = node->right;

        while (next->left != NULL)
            next = next->left;
        child = next->right;
        removed_red = next->red;
        if (next->parent == node) {
            parent = next;
        } else {
            parent = next->parent;
            replace_child(tree, parent, next, child);
            next->right = node->right;
            next->right->parent = next;
        }
        replace_child(tree, node->parent, node, next);
        next->left = node->left;
        next->left->parent = next;
        next->red = node->red;
        moved = next;
    }
    tree_refresh(tree, parent);
    if (moved != NULL) { /* its old value says nothing about the place where it is now */
        update(tree, moved);
        tree_refresh(tree, moved->parent);
    }
    if (!removed_red && tree->root != NULL)
        fix_remove(tree, child, parent);
    node->parent = node->left = node->right = NULL;
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
    struct tree_node *parent = node->parent;

    if (!node->red || node->left != NULL || node->right != NULL) {
        remove_any(tree, node);
        return;
    }
    *(parent->left == node ? &parent->left : &parent->right) = NULL; /* red without children: nothing to mend */
    node->parent = NULL;
    tree_refresh(tree, parent);
}

struct tree_node *tree_first(const struct tree *tree)
{
    struct tree_node *n = tree->root;

    while (n != NULL && n->left != NULL)
        n = n->left;
    return n;
}

struct tree_node *tree_last(const struct tree *tree)
{
    struct tree_node *n = tree->root;

    while (n != NULL && n->right != NULL)
        n = n->right;
    return n;
}

struct tree_node *tree_next(const struct tree_node *node)
{
    struct tree_node *n = node->right;

    if (n != NULL) {
        while (n->left != NULL)
            n = n->left;
        return n;
    }
    for (n = node->parent; n != NULL && n->right == node; n = n->parent)
        node = n;
    return n;
}

struct tree_node *tree_prev(const struct tree_node *node)
{
    struct tree_node *n = node->left;

    if (n != NULL) {
        while (n->right != NULL)
            n = n->right;
        return n;
    }
    for (n = node->parent; n != NULL && n->left == node; n = n->parent)
        node = n;
    return n;
}
