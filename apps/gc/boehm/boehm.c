/*
 * The heap of the interpreter when Debian's libgc looks after it (Boehm, Demers, Weiser: a conservative mark and sweep
 * collector): the same interface as heap.c, for comparison. Nothing moves. What libgc cannot find by itself, threads'
 * stacks and global variables, is pushed by push_roots.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GC_THREADS
#include <gc/gc.h>
#include <gc/gc_mark.h>

#include "../heap.h"
#include "../stats.h"
#include "../threads.h"

struct heap heap;
struct copier copier;

static uint64_t stop_begun;
static GC_push_other_roots_proc other_roots;

static void push_word(value *word) { GC_push_all(word, word + 1); }

static void GC_CALLBACK push_roots(void)
{
    each_root(push_word);
    if (other_roots)
        other_roots();
}

static void GC_CALLBACK on_event(GC_EventType event)
{
    if (event == GC_EVENT_PRE_STOP_WORLD)
        stop_begun = stats_now();
    if (event == GC_EVENT_POST_START_WORLD && this_thread) {
        stats_pause(this_thread, PAUSE_FULL, stats_now() - stop_begun);
        stats_collection();
    }
}

int heap_open(enum collector collector, size_t bytes)
{
    (void)collector;
    GC_INIT();
    GC_set_max_heap_size(bytes);
    if (!getenv("GC_GROW"))
        GC_expand_hp(bytes - (bytes >> 4));
    other_roots = GC_get_push_other_roots();
    GC_set_push_other_roots(push_roots);
    GC_set_on_collection_event(on_event);
    return 0;
}

void heap_exhausted(void)
{
    fprintf(stderr, "gc: the heap is full: see --heap\n");
    fflush(NULL);
    _exit(70);
}

size_t heap_used(void) { return (GC_get_heap_size() - GC_get_free_bytes()) / PAGE_BYTES; }

void *boehm_allocate(size_t bytes, bool raw)
{
    void *p = raw ? GC_MALLOC_ATOMIC(bytes) : GC_MALLOC(bytes);
    if (!p)
        heap_exhausted();
    return p;
}

value allocate(struct thread *thread, enum type type, size_t length)
{
    (void)thread;
    value *p = boehm_allocate(object_words(type, length) * sizeof(value), type >= FIRST_RAW);
    *p = make_header(type, length);
    return (value)p;
}

value allocate_filled(struct thread *thread, enum type type, size_t length, const value *fill)
{
    value v = allocate(thread, type, length);
    for (size_t i = 0; i < length; i++)
        slots(v)[i] = *fill;
    return v;
}

void collect_fully(struct thread *thread)
{
    (void)thread;
    GC_gcollect();
}

/* Debian's libgc is made for a newer C library than the compiler's may be. */
long __isoc23_strtol(const char *text, char **end, int base);
unsigned long __isoc23_strtoul(const char *text, char **end, int base);
__attribute__((weak)) long __isoc23_strtol(const char *text, char **end, int base) { return strtol(text, end, base); }
__attribute__((weak)) unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
    return strtoul(text, end, base);
}
