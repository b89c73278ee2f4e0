/*
 * keeper FILE [DEVICE OFFSET COUNT]: commits numbered transactions to the store FILE (apps/store), from the last that
 * it has on, without end or until COUNT, and says "store N ." when N is durable. With DEVICE it also notes N there, at
 * OFFSET, before that: the write waits for the disk, but asks for no flush, which would hide one that is missing.
 *
 * keeper FILE check: "store N ok" if FILE holds all of the transactions 1 to N and nothing of another; else what is
 * wrong.
 *
 * Transaction N replaces the ITEMS values of group N % GROUPS by ones that follow from N, and the value of "last".
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kv.h"

#define GROUPS 120
#define ITEMS 5
#define PAGE 4096

/* Brought into the heap often; mapped no farther than a file on blocks of 1 KiB may reach. */
static const struct store_options options = {.log_limit = 256 << 10, .reserve = 1ul << 30};

static _Noreturn void fail(const char *what)
{
    printf("store failed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static size_t size_of(unsigned n, unsigned item) { return (n * 37 + item * 911) % 3000; }

static void fill(unsigned char *value, unsigned n, unsigned item)
{
    for (size_t i = 0; i < size_of(n, item); i++)
        value[i] = (unsigned char)(n * 31 + item * 7 + i);
}

static struct kv_slice key_of(char *text, unsigned group, unsigned item)
{
    return (struct kv_slice){text, (size_t)sprintf(text, "group %u item %u", group, item)};
}

static const struct kv_slice last_key = {"last", 4};

static unsigned last_of(struct store *s)
{
    struct kv_slice value;
    unsigned last = 0;

    store_read(s);
    if (kv_get(s, last_key, &value) == 1 && value.size == sizeof(last))
        memcpy(&last, value.data, sizeof(last));
    store_read_end(s);
    return last;
}

static void commit(struct store *s, unsigned n)
{
    static unsigned char value[3000];
    char text[40];

    store_begin(s);
    for (unsigned item = 0; item < ITEMS; item++) {
        fill(value, n, item);
        if (kv_put(s, key_of(text, n % GROUPS, item), (struct kv_slice){value, size_of(n, item)}) < 0)
            fail("put");
    }
    if (kv_put(s, last_key, (struct kv_slice){&n, sizeof(n)}) < 0 || store_commit(s) < 0)
        fail("commit");
}

static void note(int device, off_t at, unsigned n)
{
    if (device >= 0 &&
        (pwrite(device, &n, sizeof(n), at) != sizeof(n) ||
         sync_file_range(device, at, PAGE,
                         SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) != 0))
        fail("note");
}

static bool has_value(struct store *s, unsigned n, unsigned item)
{
    static unsigned char want[3000];
    struct kv_slice value;
    char text[40];

    fill(want, n, item);
    return kv_get(s, key_of(text, n % GROUPS, item), &value) == 1 && value.size == size_of(n, item) &&
           memcmp(value.data, want, value.size) == 0;
}

static int check(struct store *s)
{
    unsigned last = last_of(s), groups = last < GROUPS ? last : GROUPS;
    uint64_t entries = 0, objects = 0;
    char text[200];

    if (store_check(s, text, sizeof(text)) < 0 || kv_check(s, &entries, &objects, text, sizeof(text)) < 0) {
        printf("store damaged: %s\n", text);
        return 1;
    }
    store_read(s);
    for (unsigned n = last - groups + 1; n <= last; n++)
        for (unsigned item = 0; item < ITEMS; item++)
            if (!has_value(s, n, item)) {
                printf("store damaged: transaction %u of %u, item %u\n", n, last, item);
                return 1;
            }
    store_read_end(s);
    if (entries != groups * ITEMS + (last > 0)) {
        printf("store damaged: %llu entries after %u transactions\n", (unsigned long long)entries, last);
        return 1;
    }
    printf("store %u ok\n", last);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned count = argc > 4 ? (unsigned)atoi(argv[4]) : UINT_MAX;
    int device = argc > 4 ? open(argv[2], O_RDWR | O_CLOEXEC) : -1;
    struct store *s;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2 || (argc > 4 && device < 0))
        fail("usage: keeper FILE [DEVICE OFFSET COUNT | check]");
    s = store_open(argv[1], &options);
    if (s == NULL)
        fail(argv[1]);
    if (argc == 3)
        return check(s);
    for (unsigned n = last_of(s) + 1; n <= count; n++) {
        commit(s, n);
        note(device, argc > 4 ? atol(argv[3]) : 0, n);
        printf("store %u .\n", n);
    }
    return 0;
}
