/*
 * Intrusive balanced binary search tree (red-black), with an optional augmented value per node.
 *
 * The tree knows no keys: the caller descends from `root` by its own comparison and links the new node at the place it
 * found. `update` (may be NULL) recomputes a node's augmented value from its own key and its children and says whether
 * it changed; the tree calls it bottom-up wherever the shape under a node changed, until a value stays what it was.
 * When a key changes in place, the caller calls tree_refresh. No locks of its own. All operations O(log n).
 */
#ifndef LIB_TREE_H
#define LIB_TREE_H

#include "lib/types.h"

struct tree_node {
    struct tree_node *parent, *left, *right;
    bool red;
};

struct tree {
    struct tree_node *root;
    bool (*update)(struct tree_node *node);
};

/* Links NODE as PARENT's child in *LINK (which is &parent->left, &parent->right or &tree->root) and rebalances. */
void tree_insert(struct tree *tree, struct tree_node *node, struct tree_node *parent, struct tree_node **link);
/* The same, where the augmented values above NODE have its own in them already. */
void tree_insert_known(struct tree *tree, struct tree_node *node, struct tree_node *parent, struct tree_node **link);
void tree_remove(struct tree *tree, struct tree_node *node);
void tree_refresh(struct tree *tree, struct tree_node *node);
struct tree_node *tree_first(const struct tree *tree);
struct tree_node *tree_last(const struct tree *tree);
struct tree_node *tree_next(const struct tree_node *node);
struct tree_node *tree_prev(const struct tree_node *node);

#endif
