/*
 * The B+ tree of kv.h. Nodes are pages.
 *
 *     node   [header][slot][slot]... free ...  [cell][cell]...      slots: where the cells are, in the order of their
 * keys leaf's cell    [key length][value length or LARGE][key][value, or where it is and its size] inner's cell   [key
 * length][child][key]     the child has the keys from KEY on; header.first those before all
 *
 * Cells are made from the page's end downwards; a cell that goes leaves a gap, and a node without room between is
 * packed. A node that is too full is split in two by bytes; one that is less than a third full is merged with a
 * neighbour if both fit into one. At most MAX_CELL bytes a cell, so that four always fit: a longer value is an object
 * of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv.h"

struct node {
    uint16_t is_leaf, count;
    uint16_t low;    /* cells begin here */
    uint16_t wasted; /* bytes of gaps among them */
    store_ref first; /* inner: the leftmost child */
    uint16_t slots[];
};
#define MAX_CELL 960
#define MAX_HEIGHT 24
#define LARGE 0xffff

struct leaf_cell {
    uint16_t key_size, value_size;
    char bytes[];
};

struct inner_cell {
    uint16_t key_size;
    char child[sizeof(store_ref)];
    char key[];
};

struct large {
    store_ref at;
    uint64_t size;
};

/* The way from the root to a leaf: nodes, and in each the number of the slot taken; -1 is node.first. */
struct path {
    store_ref at[MAX_HEIGHT];
    int slot[MAX_HEIGHT];
    int depth; /* of the leaf */
};

#define TREE_ROOT 0

static struct node *node_at(struct store *s, store_ref at) { return store_at(s, at); }

/* Cells lie at even places. */
static size_t even(size_t size) { return (size + 1) & ~(size_t)1; }

static size_t leaf_cell_size(const struct leaf_cell *c)
{
    return even(sizeof(*c) + c->key_size + (c->value_size == LARGE ? sizeof(struct large) : c->value_size));
}

static size_t cell_size(const struct node *n, int i)
{
    const char *at = (const char *)n + n->slots[i];

    if (n->is_leaf)
        return leaf_cell_size((const struct leaf_cell *)at);
    return even(sizeof(struct inner_cell) + ((const struct inner_cell *)at)->key_size);
}

static struct kv_slice cell_key(const struct node *n, int i)
{
    const char *at = (const char *)n + n->slots[i];

    if (n->is_leaf)
        return (struct kv_slice){((const struct leaf_cell *)at)->bytes, ((const struct leaf_cell *)at)->key_size};
    return (struct kv_slice){((const struct inner_cell *)at)->key, ((const struct inner_cell *)at)->key_size};
}

static store_ref child_of(const struct node *n, int i)
{
    store_ref child;

    if (i < 0)
        return n->first;
    memcpy(&child, ((const struct inner_cell *)((const char *)n + n->slots[i]))->child, sizeof(child));
    return child;
}

static struct large large_of(const struct leaf_cell *c)
{
    struct large large;

    memcpy(&large, c->bytes + c->key_size, sizeof(large));
    return large;
}

static struct kv_slice cell_value(struct store *s, const struct node *n, int i)
{
    const struct leaf_cell *c = (const struct leaf_cell *)((const char *)n + n->slots[i]);

    if (c->value_size != LARGE)
        return (struct kv_slice){c->bytes + c->key_size, c->value_size};
    return (struct kv_slice){store_at(s, large_of(c).at), large_of(c).size};
}

static int compare(struct kv_slice a, struct kv_slice b)
{
    size_t least = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, least);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* The first slot whose key is not before KEY. */
static int lower_bound(const struct node *n, struct kv_slice key, bool *equal)
{
    int low = 0, high = n->count;

    *equal = false;
    while (low < high) {
        int middle = (low + high) / 2, order = compare(cell_key(n, middle), key);

        if (order == 0)
            *equal = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Finds KEY's leaf and slot there; true: it is there. The tree is not empty. */
static bool find(struct store *s, struct kv_slice key, struct path *path)
{
    store_ref at = store_root(s, TREE_ROOT);
    bool equal;

    for (int depth = 0;; depth++) {
        const struct node *n = node_at(s, at);
        int slot = lower_bound(n, key, &equal);

        path->at[depth] = at;
        path->depth = depth;
        if (n->is_leaf) {
            path->slot[depth] = slot;
            return equal;
        }
        path->slot[depth] = equal ? slot : slot - 1;
        at = child_of(n, path->slot[depth]);
    }
}

/* --- Cells of a node --- */

static size_t room_of(const struct node *n) { return n->low - sizeof(*n) - n->count * sizeof(uint16_t); }
static size_t used_of(const struct node *n) { return STORE_PAGE - n->low - n->wasted + n->count * sizeof(uint16_t); }
#define CAPACITY (STORE_PAGE - sizeof(struct node))

static void clear(struct node *n, bool is_leaf)
{
    n->is_leaf = is_leaf;
    n->count = 0;
    n->low = STORE_PAGE;
    n->wasted = 0;
    n->first = 0;
}

/* Copies CELL in before slot I; there is room. */
static void insert(struct node *n, int i, const void *cell, size_t size)
{
    n->low = (uint16_t)(n->low - size);
    memcpy((char *)n + n->low, cell, size);
    memmove(&n->slots[i + 1], &n->slots[i], (size_t)(n->count - i) * sizeof(uint16_t));
    n->slots[i] = n->low;
    n->count++;
}

static void take_cell(struct node *n, int i)
{
    size_t size = cell_size(n, i);

    if (n->slots[i] == n->low)
        n->low = (uint16_t)(n->low + size);
    else
        n->wasted = (uint16_t)(n->wasted + size);
    n->count--;
    memmove(&n->slots[i], &n->slots[i + 1], (size_t)(n->count - i) * sizeof(uint16_t));
    if (n->count == 0) {
        n->low = STORE_PAGE;
        n->wasted = 0;
    }
}

/* Adds cells FROM to before TO of SOURCE at the end of N. */
static void append_cells(struct node *n, const struct node *source, int from, int to)
{
    for (int i = from; i < to; i++)
        insert(n, n->count, (const char *)source + source->slots[i], cell_size(source, i));
}

static void pack(struct node *n)
{
    char old[STORE_PAGE] __attribute__((aligned(8)));
    const struct node *was = (const struct node *)old;

    memcpy(old, n, STORE_PAGE);
    clear(n, was->is_leaf);
    n->first = was->first;
    append_cells(n, was, 0, was->count);
}

static bool make_room(struct node *n, size_t size)
{
    if (room_of(n) < size + sizeof(uint16_t) && room_of(n) + n->wasted >= size + sizeof(uint16_t))
        pack(n);
    return room_of(n) >= size + sizeof(uint16_t);
}

/* --- Splitting --- */

static store_ref new_node(struct store *s, bool is_leaf)
{
    store_ref at = store_alloc(s, STORE_PAGE);

    if (at != 0)
        clear(node_at(s, at), is_leaf);
    return at;
}

/*
 * Where to cut N so that both halves have as many bytes as can be, the new cell of SIZE bytes at slot I counted in.
 * What is added at the end gets a new node: keys that come in order leave full nodes behind.
 */
static int cut_of(const struct node *n, int i, size_t size)
{
    size_t all = used_of(n) + size, left = 0;
    int cut = 0;

    if (i == n->count)
        return n->is_leaf ? n->count : n->count - 1;
    while (cut < n->count - 1 && left + cell_size(n, cut) + sizeof(uint16_t) <= all / 2) {
        left += cell_size(n, cut) + sizeof(uint16_t);
        cut++;
        if (cut == i)
            left += size;
    }
    return cut > 0 ? cut : 1;
}

static int insert_at(struct store *s, struct path *path, int depth, const void *cell, size_t size);

/* A new root above the old one. */
static int grow_tree(struct store *s, struct path *path)
{
    store_ref root = new_node(s, false);

    if (root == 0)
        return -1;
    if (path->depth + 2 > MAX_HEIGHT) {
        errno = ENOSPC;
        return -1;
    }
    node_at(s, root)->first = store_root(s, TREE_ROOT);
    store_set_root(s, TREE_ROOT, root);
    memmove(&path->at[1], &path->at[0], sizeof(path->at) - sizeof(path->at[0]));
    memmove(&path->slot[1], &path->slot[0], sizeof(path->slot) - sizeof(path->slot[0]));
    path->at[0] = root;
    path->slot[0] = -1;
    path->depth++;
    return 0;
}

/* Tells the parent of the node at DEPTH about its new right neighbour, whose first key is KEY. */
static int insert_child(struct store *s, struct path *path, int depth, struct kv_slice key, store_ref child)
{
    char bytes[sizeof(struct inner_cell) + KV_MAX_KEY + 1] __attribute__((aligned(8))) = {0};
    struct inner_cell *cell = (struct inner_cell *)bytes;

    cell->key_size = (uint16_t)key.size;
    memcpy(cell->child, &child, sizeof(child));
    memcpy(cell->key, key.data, key.size);
    path->slot[depth - 1]++;
    return insert_at(s, path, depth - 1, cell, even(sizeof(*cell) + key.size));
}

static int split(struct store *s, struct path *path, int depth, const void *cell, size_t size)
{
    char key_bytes[KV_MAX_KEY];
    struct kv_slice key;
    struct node *left, *right;
    store_ref right_at;
    int slot, cut;

    if (depth == 0) {
        if (grow_tree(s, path) < 0)
            return -1;
        depth = 1;
    }
    left = node_at(s, path->at[depth]);
    slot = path->slot[depth];
    cut = cut_of(left, slot, size);
    right_at = new_node(s, left->is_leaf);
    if (right_at == 0)
        return -1;
    right = node_at(s, right_at);
    if (cut < left->count) {
        key = cell_key(left, cut);
    } else { /* a leaf's new last cell */
        key = (struct kv_slice){((const struct leaf_cell *)cell)->bytes, ((const struct leaf_cell *)cell)->key_size};
    }
    memcpy(key_bytes, key.data, key.size);
    key.data = key_bytes;
    if (left->is_leaf) {
        append_cells(right, left, cut, left->count);
    } else { /* the key in the middle goes up, its child is the new node's first */
        right->first = child_of(left, cut);
        append_cells(right, left, cut + 1, left->count);
    }
    while (left->count > cut)
        take_cell(left, left->count - 1);
    if (slot > cut || (slot == cut && left->count == cut && left->is_leaf && right->count == 0)) {
        left = right;
        slot -= left->is_leaf ? cut : cut + 1;
    }
    if (!make_room(left, size)) {
        errno = EOVERFLOW;
        return -1;
    }
    insert(left, slot, cell, size);
    return insert_child(s, path, depth, key, right_at);
}

/* CELL into the node at DEPTH of PATH, before its slot there. */
static int insert_at(struct store *s, struct path *path, int depth, const void *cell, size_t size)
{
    struct node *n = node_at(s, path->at[depth]);

    if (!make_room(n, size))
        return split(s, path, depth, cell, size);
    insert(n, path->slot[depth], cell, size);
    return 0;
}

/* --- The interface --- */

int kv_get(struct store *s, struct kv_slice key, struct kv_slice *value)
{
    struct path path;

    if (store_root(s, TREE_ROOT) == 0 || !find(s, key, &path))
        return 0;
    *value = cell_value(s, node_at(s, path.at[path.depth]), path.slot[path.depth]);
    return 1;
}

/* The value's object, if it has one, goes. */
static void free_value(struct store *s, const struct node *n, int i)
{
    const struct leaf_cell *c = (const struct leaf_cell *)((const char *)n + n->slots[i]);

    if (c->value_size == LARGE)
        store_free(s, large_of(c).at);
}

/* Makes the cell of KEY and VALUE in CELL; its size, or 0 with errno. */
static size_t make_cell(struct store *s, struct leaf_cell *cell, struct kv_slice key, struct kv_slice value)
{
    struct large large = {.size = value.size};

    cell->key_size = (uint16_t)key.size;
    memcpy(cell->bytes, key.data, key.size);
    if (sizeof(*cell) + key.size + value.size <= MAX_CELL) {
        cell->value_size = (uint16_t)value.size;
        if (value.size > 0)
            memcpy(cell->bytes + key.size, value.data, value.size);
        return leaf_cell_size(cell);
    }
    large.at = store_alloc(s, value.size);
    if (large.at == 0)
        return 0;
    memcpy(store_at(s, large.at), value.data, value.size);
    cell->value_size = LARGE;
    memcpy(cell->bytes + key.size, &large, sizeof(large));
    return leaf_cell_size(cell);
}

int kv_put(struct store *s, struct kv_slice key, struct kv_slice value)
{
    char bytes[MAX_CELL + sizeof(struct large)] __attribute__((aligned(8))) = {0};
    struct leaf_cell *cell = (struct leaf_cell *)bytes;
    struct path path;
    struct node *leaf;
    size_t size;

    if (key.size == 0 || key.size > KV_MAX_KEY || value.size > KV_MAX_VALUE) {
        errno = EINVAL;
        return -1;
    }
    if (store_root(s, TREE_ROOT) == 0)
        store_set_root(s, TREE_ROOT, new_node(s, true));
    if (store_root(s, TREE_ROOT) == 0)
        return -1;
    size = make_cell(s, cell, key, value);
    if (size == 0)
        return -1;
    if (find(s, key, &path)) {
        leaf = node_at(s, path.at[path.depth]);
        free_value(s, leaf, path.slot[path.depth]);
        if (cell_size(leaf, path.slot[path.depth]) == size) {
            memcpy((char *)leaf + leaf->slots[path.slot[path.depth]], cell, size);
            return 0;
        }
        take_cell(leaf, path.slot[path.depth]);
    }
    return insert_at(s, &path, path.depth, cell, size);
}

/* --- Deleting --- */

/* The cell at SLOT of the node at DEPTH goes, and with it the right one of the children that it parts. */
static void shrink(struct store *s, struct path *path, int depth, int slot);

/* Both nodes' cells into LEFT, the children before and at SLOT of PARENT; inner nodes get the key that parted them,
 * too. */
static void merge(struct store *s, struct node *parent, int slot)
{
    store_ref right_at = child_of(parent, slot);
    struct node *left = node_at(s, child_of(parent, slot - 1)), *right = node_at(s, right_at);

    pack(left);
    if (!left->is_leaf) {
        char bytes[sizeof(struct inner_cell) + KV_MAX_KEY + 1] __attribute__((aligned(8)));
        size_t size = cell_size(parent, slot);

        memcpy(bytes, (char *)parent + parent->slots[slot], size);
        memcpy(((struct inner_cell *)bytes)->child, &right->first, sizeof(store_ref));
        insert(left, left->count, bytes, size);
    }
    append_cells(left, right, 0, right->count);
    store_free(s, right_at);
}

/* Do the children before and at SLOT fit into one node? */
static bool fit_together(struct store *s, const struct node *parent, int slot)
{
    const struct node *left = node_at(s, child_of(parent, slot - 1)), *right = node_at(s, child_of(parent, slot));
    size_t between = left->is_leaf ? 0 : cell_size(parent, slot) + sizeof(uint16_t);

    return used_of(left) + used_of(right) + between <= CAPACITY;
}

/* The node at DEPTH lost a cell. */
static void balance(struct store *s, struct path *path, int depth)
{
    struct node *n = node_at(s, path->at[depth]), *parent;
    int slot;

    if (depth == 0) {
        if (n->count > 0)
            return;
        store_set_root(s, TREE_ROOT, n->is_leaf ? 0 : n->first);
        store_free(s, path->at[0]);
        return;
    }
    if (used_of(n) >= CAPACITY / 3)
        return;
    parent = node_at(s, path->at[depth - 1]);
    slot = path->slot[depth - 1];
    if (slot >= 0 && fit_together(s, parent, slot))
        shrink(s, path, depth - 1, slot);
    else if (slot + 1 < parent->count && fit_together(s, parent, slot + 1))
        shrink(s, path, depth - 1, slot + 1);
}

static void shrink(struct store *s, struct path *path, int depth, int slot)
{
    struct node *parent = node_at(s, path->at[depth]);

    merge(s, parent, slot);
    take_cell(parent, slot);
    balance(s, path, depth);
}

int kv_delete(struct store *s, struct kv_slice key)
{
    struct path path;
    struct node *leaf;

    if (store_root(s, TREE_ROOT) == 0 || !find(s, key, &path))
        return 0;
    leaf = node_at(s, path.at[path.depth]);
    free_value(s, leaf, path.slot[path.depth]);
    take_cell(leaf, path.slot[path.depth]);
    balance(s, &path, path.depth);
    return 1;
}

/* --- Scanning and checking --- */

typedef int visitor(void *argument, struct kv_slice key, struct kv_slice value);

static int scan_node(struct store *s, store_ref at, const struct kv_slice *from, visitor *visit, void *argument)
{
    const struct node *n = node_at(s, at);
    bool equal = false;
    int i = from == NULL ? 0 : lower_bound(n, *from, &equal), result = 0;

    if (!n->is_leaf) {
        i = equal ? i : i - 1; /* only the first child has keys before FROM */
        for (; i < n->count && result == 0; i++, from = NULL)
            result = scan_node(s, child_of(n, i), from, visit, argument);
        return result;
    }
    for (; i < n->count && result == 0; i++)
        result = visit(argument, cell_key(n, i), cell_value(s, n, i));
    return result;
}

int kv_scan(struct store *s, const struct kv_slice *from, visitor *visit, void *argument)
{
    store_ref root = store_root(s, TREE_ROOT);

    return root == 0 ? 0 : scan_node(s, root, from, visit, argument);
}

struct checking {
    uint64_t entries, objects;
    int leaf_depth; /* of all leaves; 0: none seen */
    const char *wrong;
};

static bool is_sound(const struct node *n)
{
    size_t bytes = 0;

    if (n->is_leaf > 1 || n->low > STORE_PAGE || sizeof(*n) + n->count * sizeof(uint16_t) > n->low)
        return false;
    for (int i = 0; i < n->count; i++) {
        if (n->slots[i] < n->low || n->slots[i] > STORE_PAGE - sizeof(struct leaf_cell) ||
            n->slots[i] + cell_size(n, i) > STORE_PAGE)
            return false;
        bytes += cell_size(n, i);
    }
    return bytes + n->wasted == STORE_PAGE - n->low;
}

/* Keys of the node at AT and below lie from LOW on (NULL: any) and before HIGH. */
static void check_node(struct store *s, store_ref at, int depth, const struct kv_slice *low,
                       const struct kv_slice *high, struct checking *c)
{
    const struct node *n = node_at(s, at);

    c->objects++;
    if (store_size(s, at) != STORE_PAGE || !is_sound(n) || depth > MAX_HEIGHT) {
        c->wrong = "a damaged node";
        return;
    }
    if (n->is_leaf && c->leaf_depth == 0)
        c->leaf_depth = depth;
    if ((n->is_leaf && c->leaf_depth != depth) || (n->count == 0 && depth > 1 && n->is_leaf))
        c->wrong = "leaves of different depths, or empty ones";
    for (int i = 0; i < n->count && c->wrong == NULL; i++) {
        struct kv_slice key = cell_key(n, i), next;

        if ((low != NULL && compare(key, *low) < 0) || (high != NULL && compare(key, *high) >= 0))
            c->wrong = "a key in a wrong place";
        if (i + 1 < n->count && (next = cell_key(n, i + 1), compare(key, next) >= 0))
            c->wrong = "keys out of order";
        if (n->is_leaf && cell_value(s, n, i).size > STORE_MAX_OBJECT)
            c->wrong = "a damaged value";
        if (n->is_leaf && ((const struct leaf_cell *)((const char *)n + n->slots[i]))->value_size == LARGE)
            c->objects++;
    }
    if (n->is_leaf) {
        c->entries += n->count;
        return;
    }
    for (int i = -1; i < n->count && c->wrong == NULL; i++) {
        struct kv_slice from = i < 0 ? (struct kv_slice){NULL, 0} : cell_key(n, i);
        struct kv_slice to = i + 1 < n->count ? cell_key(n, i + 1) : (struct kv_slice){NULL, 0};

        check_node(s, child_of(n, i), depth + 1, i < 0 ? low : &from, i + 1 < n->count ? &to : high, c);
    }
}

int kv_check(struct store *s, uint64_t *entries, uint64_t *objects, char *text, size_t room)
{
    struct checking c = {.entries = 0};
    store_ref root = store_root(s, TREE_ROOT);

    if (root != 0)
        check_node(s, root, 1, NULL, NULL, &c);
    *entries = c.entries;
    *objects = c.objects;
    if (c.wrong == NULL)
        return 0;
    snprintf(text, room, "the tree: %s", c.wrong);
    return -1;
}
