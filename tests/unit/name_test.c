/* Names cut out of paths by words, against a byte-wise model: all lengths and alignments, random bytes. */
#include <stdlib.h>
#include <string.h>

#include "fs/name.h"
#include "tests/unit/tap.h"

#define LONGEST 300

static size_t model_length(const char *s) { return strcspn(s, "/"); }

/* A component of LENGTH random bytes and an end, at ALIGNMENT, between bytes that must not matter. */
static char *make_component(char *room, unsigned alignment, unsigned length)
{
    char *s = room + 8 + alignment;

    for (char *p = room; p < room + LONGEST + 32; p++)
        *p = rand() % 4 == 0 ? '/' : (char)(rand() % 3); /* 0 and 1 too */
    for (unsigned i = 0; i < length; i++)
        do
            s[i] = rand() % 2 ? (char)rand() : (char)('/' ^ rand() % 3);
        while (s[i] == '\0' || s[i] == '/');
    s[length] = rand() % 2 ? '/' : '\0';
    return s;
}

static bool is_cut_right(const char *s)
{
    size_t length = model_length(s);
    u64 stored[LONGEST / 8 + 2] = {0};
    struct name_key key;
    const char *end = name_scan(s, &key);
    struct name name = {s, (unsigned)length};

    if (length > NAME_MAX)
        return key.length > NAME_MAX;
    if (end != s + length || key.length != length)
        return false;
    if (length == 0)
        return true;
    memcpy(stored, s, length);
    if (key.hash != name_hash(s, (unsigned)length) || !name_matches((char *)stored, name) ||
        !name_matches_key((char *)stored, &key))
        return false;
    ((char *)stored)[(size_t)rand() % length] ^= 0x10;
    return !name_matches((char *)stored, name) && !name_matches_key((char *)stored, &key);
}

int main(void)
{
    char *room = aligned_alloc(8, LONGEST + 36);
    unsigned wrong = 0;

    for (unsigned round = 0; round < 20; round++)
        for (unsigned alignment = 0; alignment < 8; alignment++)
            for (unsigned length = 0; length < 280; length++)
                wrong += !is_cut_right(make_component(room, alignment, length));
    CHECK(wrong == 0, "components of all lengths at all alignments are cut out, hashed and compared right");
    CHECK(name_room(7) == 8 && name_room(8) == 16 && name_room(255) == 256, "a name is kept with a NUL behind it");
    free(room);
    return tap_done();
}
