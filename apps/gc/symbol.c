/*
 * The table of symbols: an array that is reserved once, so entries do not move, and a hash table of their numbers.
 */
#include "symbol.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_SYMBOLS ((size_t)1 << 20)
#define BUCKETS ((size_t)1 << 16)

struct symbol *symbols;
value *globals;

static _Atomic size_t count;
static uint32_t *buckets, *chains; /* numbers plus 1 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("gc: table of symbols");
        _exit(70);
    }
    return p;
}

void symbols_open(void)
{
    symbols = reserve(MOST_SYMBOLS * sizeof(*symbols));
    globals = reserve(MOST_SYMBOLS * sizeof(*globals));
    chains = reserve(MOST_SYMBOLS * sizeof(*chains));
    buckets = reserve(BUCKETS * sizeof(*buckets));
}

static uint32_t hash(const char *name, size_t length)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)name[i]) * 16777619u;
    return (h ^ h >> 16) % BUCKETS;
}

/* With the lock. */
static size_t add(const char *name, size_t length)
{
    size_t n = atomic_load(&count);
    char *copy = malloc(length + 1);
    if (n == MOST_SYMBOLS || !copy) {
        fprintf(stderr, "gc: too many symbols\n");
        fflush(NULL);
        _exit(70);
    }
    memcpy(copy, name, length);
    copy[length] = '\0';
    symbols[n].name = copy;
    symbols[n].length = length;
    globals[n] = UNDEFINED;
    atomic_store(&count, n + 1);
    return n;
}

value intern(const char *name, size_t length)
{
    uint32_t *bucket = &buckets[hash(name, length)];

    pthread_mutex_lock(&lock);
    size_t n = *bucket;
    while (n && !(symbols[n - 1].length == length && !memcmp(symbols[n - 1].name, name, length)))
        n = chains[n - 1];
    if (!n) {
        n = add(name, length) + 1;
        chains[n - 1] = *bucket;
        *bucket = n;
    }
    pthread_mutex_unlock(&lock);
    return IMMEDIATE(SYMBOL, n - 1);
}

value intern_string(const char *name) { return intern(name, strlen(name)); }

value gensym(const char *name)
{
    pthread_mutex_lock(&lock);
    size_t n = add(name, strlen(name));
    pthread_mutex_unlock(&lock);
    return IMMEDIATE(SYMBOL, n);
}

void symbols_each_root(void (*visit)(value *word))
{
    size_t n = atomic_load(&count);
    for (size_t i = 0; i < n; i++)
        visit(&globals[i]);
}
