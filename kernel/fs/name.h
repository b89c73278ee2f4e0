/*
 * Names as the name cache compares and hashes them: as little-endian words of eight bytes, the last one filled up with
 * NULs. A name that the cache keeps is stored so; one that is looked for lies anywhere in a path and is put together
 * from two aligned words each, which lie in the path's own pages.
 */
#ifndef FS_NAME_H
#define FS_NAME_H

#include "lib/types.h"

#define NAME_MAX 255
#define NAME_WORD sizeof(u64)

struct name {
    const char *s; /* not NUL-terminated */
    unsigned length;
};

/* What a directory's entries are looked for by: a component of a path, cut out. */
struct name_key {
    size_t length; /* more than NAME_MAX: there is nothing else */
    u32 hash;
    u64 words[(NAME_MAX + 1) / NAME_WORD]; /* as many as LENGTH needs */
};

#ifdef __SANITIZE_ADDRESS__ /* which would see bytes before and behind the name being read */
#define reads_words __attribute__((no_sanitize_address, noinline, unused))
#else
#define reads_words inline
#endif

#define NAME_ONES 0x0101010101010101ull

static inline u64 name_hash_add(u64 hash, u64 word) { return (hash + word) * 0x9e3779b97f4a7c15ull; }
static inline u32 name_hash_end(u64 hash) { return (u32)(hash >> 32); }

/* The lowest byte that ends a component has its top bit set, none below it. 0: there is no such byte. */
static inline u64 name_find_end(u64 word)
{
    u64 slashes = word ^ NAME_ONES * '/';

    return (((word - NAME_ONES) & ~word) | ((slashes - NAME_ONES) & ~slashes)) & NAME_ONES << 7;
}

/* Cuts the component that begins at S out: its end. */
static reads_words const char *name_scan(const char *s, struct name_key *key)
{
    u64 skip = (u64)s % NAME_WORD * 8, hash = 0, word, end, inside;
    const u64 *from = (const u64 *)((u64)s - skip / 8);
    u64 from_end = name_find_end(*from | ~(~0ull << skip)); /* what lies before S ends nothing */
    u64 *to = key->words;
    size_t length = 0;

    for (;; length += NAME_WORD) {
        word = *from >> skip;
        end = from_end >> skip;
        if (end == 0) {
            from++;
            from_end = name_find_end(*from);
            word |= *from << 1 << (63 - skip);
            end = from_end << 1 << (63 - skip);
        }
        if (end != 0 || length > NAME_MAX)
            break;
        *to++ = word;
        hash = name_hash_add(hash, word);
    }
    inside = ((end - 1) & ~end) >> 7; /* all bits of the bytes below the end */
    length += (inside & NAME_ONES) * NAME_ONES >> 56;
    if (inside != 0 && length <= NAME_MAX) {
        *to = word & inside;
        hash = name_hash_add(hash, *to);
    }
    key->length = length;
    key->hash = name_hash_end(hash);
    return s + length;
}

/* The first LEFT bytes (> 0; at most 8) from S on, NULs behind them. */
static reads_words u64 name_word(const char *s, size_t left)
{
    u64 skipped = (u64)s % NAME_WORD * 8;
    const u64 *from = (const u64 *)((u64)s - skipped / 8);
    u64 word = from[0] >> skipped;

    if (skipped / 8 + MIN(left, NAME_WORD) > NAME_WORD)
        word |= from[1] << (64 - skipped);
    return left >= NAME_WORD ? word : word & ((1ull << left * 8) - 1);
}

/* The key's hash, of a name that was not cut out of a path. */
static inline u32 name_hash(const char *s, unsigned length)
{
    u64 hash = 0;

    for (size_t at = 0; at < length; at += NAME_WORD)
        hash = name_hash_add(hash, name_word(s + at, length - at));
    return name_hash_end(hash);
}

/* STORED is a name as the cache keeps it, as long as NAME. */
static inline bool name_matches(const char *stored, struct name name)
{
    const u64 *words = (const u64 *)stored;

    for (size_t at = 0; at < name.length; at += NAME_WORD)
        if (*words++ != name_word(name.s + at, name.length - at))
            return false;
    return true;
}

static inline bool name_matches_key(const char *stored, const struct name_key *key)
{
    const u64 *words = (const u64 *)stored;
    size_t n = 0;

    do
        if (words[n] != key->words[n])
            return false;
    while (++n * NAME_WORD < key->length);
    return true;
}

/* Bytes that the cache needs for a name; the last word is cleared before the name is copied. */
static inline size_t name_room(unsigned length) { return ALIGN_UP(length + 1, NAME_WORD); }

#endif
