/* The command line: a search tree in a store larger than the address space. See `address --help`. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vm.h>

#include "../../bench/mark.h"
#include "address.h"

static const char usage_text[] =
    "address [OPTION...] FOLDER COMMAND: a tree of numbers in a store with 64-bit names, seen through a small window.\n"
    "\n"
    "  add N              adds N numbers, in no order\n"
    "  find N             looks N of those up that were added first, and N that never were\n"
    "  walk               all numbers, upwards: their count, whether they are in order, the largest name of one\n"
    "Options:\n"
    "  --window PAGES     of the window (2048); twice what one operation reaches, pages that others point to counted "
    "in\n"
    "  --threads N        that many look up (1)\n"
    "  --help             this text\n"
    "Prints NAME VALUE lines. Status: 0; 1 when something was not found or not in order; 2 when something failed, with "
    "one line\n"
    "that says why.\n";

struct node {
    struct node *left, *right;
    uint64_t number, place; /* how many were added before it */
    char record[208];       /* what a number is looked up for */
};
#define NODE_POINTERS 3

static struct address *store;
static unsigned long threads = 1;
static const char *folder;

static void die(const char *what)
{
    fprintf(stderr, "address: %s: %s\n", what,
            errno == EBUSY    ? "another process has it open"
            : errno == EINVAL ? "not such a store, or a window of fewer than 16 pages"
                              : strerror(errno));
    exit(2);
}

static void misuse(const char *what)
{
    fprintf(stderr, "address: %s: see address --help\n", what);
    exit(2);
}

static unsigned long number(const char *what, const char *text, unsigned long most)
{
    char *end;
    unsigned long n = text == NULL ? 0 : strtoul(text, &end, 10);

    if (text == NULL || *text < '0' || *text > '9' || *end != 0 || n > most) {
        fprintf(stderr, "address: %s: a number up to %lu is wanted: see address --help\n", what, most);
        exit(2);
    }
    return n;
}

/* The Nth number; all differ. Odd ones are never added. */
static uint64_t nth(uint64_t n) { return (n * 0x9e3779b97f4a7c15ull) << 1; }

static void begin(void)
{
    if (address_begin(store) < 0)
        die(folder);
}

static struct node *new_node(uint64_t value, uint64_t place)
{
    struct node *n = address_new(store, sizeof(*n), NODE_POINTERS);

    if (n == NULL)
        die("a new number");
    n->number = value;
    n->place = place;
    snprintf(n->record, sizeof(n->record), "record %llu", (unsigned long long)place);
    return n;
}

/* False: it is there. */
static bool add(uint64_t value, uint64_t place)
{
    struct node *at, **link = NULL;

    begin();
    for (at = address_root(store); at != NULL; at = *link) {
        if (at->number == value) {
            address_end(store);
            return false;
        }
        link = value < at->number ? &at->left : &at->right;
    }
    at = new_node(value, place);
    if (link == NULL)
        address_set_root(store, at);
    else
        *link = at;
    address_end(store);
    return true;
}

static bool find(uint64_t value)
{
    const struct node *at;
    bool found;

    begin();
    at = address_root(store);
    while (at != NULL && at->number != value)
        at = value < at->number ? at->left : at->right;
    found = at != NULL && memcmp(at->record, "record ", 7) == 0;
    address_end(store);
    return found;
}

/* The smallest number from LEAST on: an operation of its own. */
static bool next_number(uint64_t least, uint64_t *value, address_name *name)
{
    struct node *at, *best = NULL;

    begin();
    for (at = address_root(store); at != NULL;) {
        if (at->number >= least)
            best = at;
        at = at->number >= least ? at->left : at->right;
    }
    if (best != NULL) {
        *value = best->number;
        *name = address_name_of(store, best);
    }
    address_end(store);
    return best != NULL;
}

static unsigned long to_find, missing; /* MISSING: atomic */

static void *finder(void *argument)
{
    unsigned long me = (unsigned long)(uintptr_t)argument;

    vm_thread_enter();
    for (unsigned long i = me; i < to_find; i += threads)
        if (!find(nth(i)) || find(nth(i) + 1))
            __atomic_fetch_add(&missing, 1, __ATOMIC_RELAXED);
    if (me != 0)
        vm_thread_leave();
    return NULL;
}

static int find_all(unsigned long count)
{
    pthread_t ids[64];

    to_find = count;
    for (unsigned long t = 1; t < threads; t++)
        if (pthread_create(&ids[t], NULL, finder, (void *)(uintptr_t)t) != 0)
            die("a thread");
    finder((void *)0);
    for (unsigned long t = 1; t < threads; t++)
        pthread_join(ids[t], NULL);
    printf("wrong %lu\n", missing);
    return missing != 0;
}

static int walk(void)
{
    uint64_t value = 0, previous = 0, count = 0, least = 0;
    address_name name = 0, largest = 0;
    int wrong = 0;

    for (; next_number(least, &value, &name); least = value + 1) {
        wrong |= count > 0 && value <= previous;
        previous = value;
        count++;
        if (name > largest)
            largest = name;
        if (value == UINT64_MAX)
            break;
    }
    printf("numbers %llu\nin_order %s\nlargest_name %#llx\n", (unsigned long long)count, wrong ? "no" : "yes",
           (unsigned long long)largest);
    return wrong;
}

/* New numbers follow those that are there; the root node's PLACE would not say how many. */
static int add_many(unsigned long count)
{
    unsigned long first = 0, step = 1ul << 40;

    /* Numbers 0 to before FIRST are there. */
    for (; step > 0; step /= 2)
        if (find(nth(first + step - 1)))
            first += step;
    for (unsigned long i = 0; i < count; i++)
        add(nth(first + i), first + i);
    printf("numbers %lu\n", first + count);
    return 0;
}

static void print_stats(unsigned long long nanoseconds)
{
    struct address_stats s;

    address_stats(store, &s);
    printf("nanoseconds %llu\npages %llu\ntraps %llu\nreads %llu\nwrites %llu\nswizzled %llu\nsweeps %llu\n",
           nanoseconds, (unsigned long long)s.pages, (unsigned long long)s.traps, (unsigned long long)s.reads,
           (unsigned long long)s.writes, (unsigned long long)s.swizzled, (unsigned long long)s.sweeps);
}

static unsigned long long now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

int main(int argc, char **argv)
{
    unsigned long window = 2048, count = 0;
    unsigned long long began;
    int result;

    (void)argc;
    for (argv++; *argv != NULL && argv[0][0] == '-'; argv++) {
        if (strcmp(*argv, "--help") == 0 || strcmp(*argv, "-h") == 0) {
            fputs(usage_text, stdout);
            if (fflush(stdout) == 0)
                return 0;
            perror("address: standard output");
            return 2;
        }
        if (strcmp(*argv, "--window") == 0)
            window = number("--window", *++argv, 1ul << 24);
        else if (strcmp(*argv, "--threads") == 0)
            threads = number("--threads", *++argv, 64);
        else
            misuse("no such option");
    }
    if (threads == 0)
        misuse("--threads: 1 to 64 are possible");
    folder = argv[0];
    if (folder == NULL || argv[1] == NULL)
        misuse("a folder and a command are wanted");
    if (strcmp(argv[1], "add") == 0 || strcmp(argv[1], "find") == 0)
        count = number(argv[1], argv[2], 1ul << 40);
    else if (strcmp(argv[1], "walk") != 0)
        misuse("no such command");
    store = address_open(folder, window);
    if (store == NULL)
        die(folder);
    began = now();
    mark_begin();
    result = strcmp(argv[1], "add") == 0 ? add_many(count) : strcmp(argv[1], "find") == 0 ? find_all(count) : walk();
    mark_end();
    print_stats(now() - began);
    if (address_close(store) < 0)
        die(folder);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return result;
}
