/* Red-black trees with augmentation: random insertions and removals against a sorted array, all invariants after each
 * step. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#include "lib/tree.c"

#define KEYS 600
#define STEPS 20000

struct item {
    struct tree_node node;
    unsigned key, value;
    unsigned largest; /* augmented: the largest value in the sub-tree */
};

static struct item items[KEYS];
static bool present[KEYS];

static struct item *to_item(struct tree_node *n) { return container_of(n, struct item, node); }
static unsigned largest_of(struct tree_node *n) { return n == NULL ? 0 : to_item(n)->largest; }

static unsigned expected_largest(struct tree_node *n)
{
    unsigned children = MAX(largest_of(n->left), largest_of(n->right));

    return MAX(children, to_item(n)->value);
}

static bool update_largest(struct tree_node *n)
{
    unsigned old = to_item(n)->largest;

    to_item(n)->largest = expected_largest(n);
    return to_item(n)->largest != old;
}

static struct tree tree = {NULL, update_largest};

/* The number of black nodes on every path below N, or -1 when an invariant does not hold. */
static int black_height(const struct tree_node *n, const struct tree_node *parent)
{
    int left, right;

    if (n == NULL)
        return 0;
    if (n->parent != parent || (n->red && (parent == NULL || parent->red)))
        return -1;
    if (to_item((struct tree_node *)n)->largest != expected_largest((struct tree_node *)n))
        return -1;
    left = black_height(n->left, n);
    right = black_height(n->right, n);
    return left < 0 || left != right ? -1 : left + !n->red;
}

static void insert(struct item *item)
{
    struct tree_node *parent = NULL, **link = &tree.root;

    while (*link != NULL) {
        parent = *link;
        link = item->key < to_item(parent)->key ? &parent->left : &parent->right;
    }
    tree_insert(&tree, &item->node, parent, link);
}

static bool order_matches(void)
{
    struct tree_node *n = tree_first(&tree);

    for (unsigned i = 0; i < KEYS; i++) {
        if (!present[i])
            continue;
        if (n == NULL || to_item(n)->key != i)
            return false;
        n = tree_next(n);
    }
    if (n != NULL)
        return false;
    n = tree_last(&tree);
    for (unsigned i = KEYS; i-- > 0;) {
        if (!present[i])
            continue;
        if (n == NULL || to_item(n)->key != i)
            return false;
        n = tree_prev(n);
    }
    return n == NULL;
}

int main(void)
{
    bool invariants = true, order = true;

    CHECK(tree_first(&tree) == NULL && tree_last(&tree) == NULL, "an empty tree has no ends");
    srand(1);
    for (unsigned i = 0; i < KEYS; i++)
        items[i].key = i;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % KEYS;

        if (step % 5 == 4 && present[i]) {
            items[i].value = (unsigned)rand();
            tree_refresh(&tree, &items[i].node);
        } else if (present[i]) {
            tree_remove(&tree, &items[i].node);
            present[i] = false;
        } else {
            items[i].value = (unsigned)rand();
            insert(&items[i]);
            present[i] = true;
        }
        invariants = invariants && black_height(tree.root, NULL) >= 0;
        if (step % 50 == 0)
            order = order && order_matches();
    }
    CHECK(invariants, "colours, links and augmented values hold after every step");
    CHECK(order, "nodes come in order from both ends");
    for (unsigned i = 0; i < KEYS; i++)
        if (present[i])
            tree_remove(&tree, &items[i].node);
    CHECK(tree.root == NULL, "removing all leaves nothing");
    memset(present, 0, sizeof(present));
    for (unsigned i = 0; i < KEYS; i++) {
        insert(&items[i]);
        present[i] = true;
    }
    CHECK(black_height(tree.root, NULL) >= 5 && order_matches(), "ascending insertion stays balanced");
    return tap_done();
}
