/*
 * kv.h - keys and values in a store: a B+ tree in its root 0, keys ordered as bytes.
 *
 * Reading: between store_read and store_read_end, or in a transaction. kv_put and kv_delete: in a transaction. What
 * they give is in the mapped file, valid until the transaction or the reading ends, or the tree is changed.
 */
#ifndef KV_H
#define KV_H

#include "store.h"

#define KV_MAX_KEY 511
#define KV_MAX_VALUE STORE_MAX_OBJECT

struct kv_slice {
    const void *data;
    size_t size;
};

/* 1: *VALUE is the value of KEY; 0: there is none. */
int kv_get(struct store *s, struct kv_slice key, struct kv_slice *value);

/* Sets the value of KEY, new or not. EINVAL: too long, or an empty key; ENOSPC. After an error the transaction must be
 * aborted. */
int kv_put(struct store *s, struct kv_slice key, struct kv_slice value);

/* 1: KEY and its value are gone; 0: there was none. */
int kv_delete(struct store *s, struct kv_slice key);

/*
 * Calls VISIT for each key from FROM on (NULL: the first) upwards, until it returns other than 0, or no key is left.
 * Returns what it returned last. VISIT must not change the tree.
 */
int kv_scan(struct store *s, const struct kv_slice *from,
            int (*visit)(void *argument, struct kv_slice key, struct kv_slice value), void *argument);

/* Looks for contradictions in the tree, as store_check does in the heap; *ENTRIES, *BLOCKS: keys, and objects that it
 * is made of. */
int kv_check(struct store *s, uint64_t *entries, uint64_t *objects, char *text, size_t room);

#endif
