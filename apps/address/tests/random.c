/*
 * A graph of objects, changed at random: pointers are stored, objects made, and a list of names outside says what must
 * be there. Threads look at it at the same time.
 */
#include "tap.h"

#include <pthread.h>
#include <vm.h>

#include "address.h"

#define OBJECTS 3000
#define LINKS 3
#define STEPS 20000

/* Of different sizes, with pointers in odd places. */
struct object {
    uint64_t number;
    struct object *link[LINKS];
    uint64_t not_a_pointer; /* but looks like a name */
    uint64_t rest[];
};
#define POINTERS (2 | 4 | 8)

static struct address *store;
static address_name names[OBJECTS];
static int targets[OBJECTS][LINKS]; /* -1: NULL */
static int count;

static size_t rest_of(int number) { return number % 50 == 0 ? 450 : 100 + (size_t)number % 7; }

static bool is_right(int i)
{
    struct object *o = address_at(store, names[i]);

    if (o->number != (uint64_t)i || o->not_a_pointer != names[i])
        return false;
    for (size_t r = 0; r < rest_of(i); r++)
        if (o->rest[r] != (uint64_t)i * r)
            return false;
    for (int l = 0; l < LINKS; l++)
        if (targets[i][l] < 0 ? o->link[l] != NULL
                              : o->link[l] == NULL || o->link[l]->number != (uint64_t)targets[i][l])
            return false;
    return true;
}

static bool make(void)
{
    struct object *o;

    if (address_begin(store) < 0)
        return false;
    o = address_new(store, sizeof(*o) + rest_of(count) * 8, POINTERS);
    if (o == NULL)
        return false;
    o->number = (uint64_t)count;
    o->not_a_pointer = names[count] = address_name_of(store, o);
    for (size_t r = 0; r < rest_of(count); r++)
        o->rest[r] = (uint64_t)count * r;
    for (int l = 0; l < LINKS; l++)
        targets[count][l] = -1;
    count++;
    address_end(store);
    return true;
}

static bool change(unsigned *seed)
{
    int from = rand_r(seed) % count, to = rand_r(seed) % count, link = rand_r(seed) % LINKS;
    struct object *o;
    bool right;

    if (address_begin(store) < 0)
        return false;
    o = address_at(store, names[from]);
    right = is_right(from);
    targets[from][link] = rand_r(seed) % 5 == 0 ? -1 : to;
    o->link[link] = targets[from][link] < 0 ? NULL : address_at(store, names[to]);
    address_end(store);
    return right;
}

static int wrong; /* atomic */

static void *reader(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;

    vm_thread_enter();
    for (int i = 0; i < 3000; i++) {
        if (address_begin(store) < 0 || !is_right(rand_r(&seed) % count))
            __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
        address_end(store);
    }
    vm_thread_leave();
    return NULL;
}

static void body(void)
{
    pthread_t ids[4];
    unsigned seed = 9;
    int bad = 0;

    store = address_open("graph", 150);
    if (store == NULL) {
        CHECK(0, "address_open: %s", errno_name(errno));
        return;
    }
    FAILS(address_open("graph", 150) ? 0 : -1, EBUSY, "a store is one process's");
    for (int i = 0; i < STEPS; i++) {
        if (count == 0 || (count < OBJECTS && rand_r(&seed) % 4 == 0))
            bad += !make();
        else
            bad += !change(&seed);
    }
    IS(bad, 0, "objects and links, made and changed, are what they should be");
    OKAY(address_close(store), "it closes");
    store = address_open("graph", 500);
    for (uintptr_t t = 0; t < 4; t++)
        pthread_create(&ids[t], NULL, reader, (void *)(t + 1));
    for (int t = 0; t < 4; t++)
        pthread_join(ids[t], NULL);
    IS(wrong, 0, "opened again, four threads see the same");
    bad = 0;
    for (int i = 0; i < count; i++) {
        bad += address_begin(store) < 0 || !is_right(i);
        address_end(store);
    }
    IS(bad, 0, "all %d objects", count);
    OKAY(address_close(store), "it closes");
    FAILS(address_open("other", 8) ? 0 : -1, EINVAL, "a window that is too small");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
