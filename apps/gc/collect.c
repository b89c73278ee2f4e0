/*
 * Copying: Cheney's algorithm, page by page.
 *
 *      from-space                          to-space
 *     +---------+---------+              +---------+---------+---------+---------+
 *     |  obj .......... forwarded -----> |  black  |  gray   |  gray   | (copies |
 *     +---------+---------+              |         |         |         |  go here)
 *                                        +---------+---------+---------+---------+
 *                                         scanned,  queue of pages to scan ----->
 *                                         open
 *
 * An object that is found is copied to the copy page, the last one of the queue. Scanning a page forwards each value on
 * it, so whatever it refers to is in to-space then. The collector alone touches gray pages, through its own view; a
 * mutator never sees one, whether the world is stopped meanwhile or the pages are closed to it (concurrent.c).
 *
 * The copy page may itself be scanned, up to where copies have been put; it is given up then and another taken.
 *
 * When no page is free for copies, the page of the object that was found is kept instead: it joins to-space as it is,
 * with what is dead on it. Those of its objects that had been copied before leave their new address behind, as
 * everywhere. So a collection never fails.
 *
 * Everything here needs collect_lock or a stopped world.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"
#include "stats.h"
#include "symbol.h"
#include "threads.h"
#include "vm.h"

struct copier copier = {.prot = FULL_ACCESS};

static uint8_t from_space(void) { return heap.to_space ^ SPACE_A ^ SPACE_B; }

/* Page PAGE is to be scanned. */
static void enqueue(size_t page)
{
    atomic_store_explicit(&heap.pages[page].state, UNSCANNED, memory_order_relaxed);
    copier.queue[copier.queue_last++] = page;
}

static void retire_copy_page(void)
{
    if (copier.next < copier.end)
        *copier.next = 0;
    copier.next = copier.end = NULL;
    copier.page = SIZE_MAX;
}

/* False when no page is free. */
static bool new_copy_page(void)
{
    retire_copy_page();
    if (copier.run_next == copier.run_end) {
        size_t count;
        ptrdiff_t first = take_chunk(&count, heap.to_space, copier.prot);
        if (first < 0)
            return false;
        copier.run_next = first;
        copier.run_end = first + count;
    }
    copier.page = copier.run_next++;
    copier.next = collector_words((value)page_address(copier.page));
    copier.end = copier.next + PAGE_WORDS;
    enqueue(copier.page);
    return true;
}

static void close_pages(size_t first, size_t count)
{
    struct vm_range range = {page_address(first), count * PAGE_BYTES, copier.prot};

    if (copier.prot == FULL_ACCESS)
        return;
    for (size_t i = first; i < first + count; i++)
        heap.pages[i].prot = copier.prot;
    protect(&range, 1);
}

/* PAGE joins to-space with all that is on it. */
static void keep_page(size_t page)
{
    heap.pages[page].space = heap.to_space;
    heap.pages[page].kind = KEPT;
    enqueue(page);
    copier.kept_pages++;
    close_pages(page, 1);
}

/* A large object changes space where it is. Closed before anybody can learn its address. */
static void move_large(size_t first, uintptr_t header)
{
    size_t count = heap.pages[first].run;
    bool scanned = header_type(header) < FIRST_RAW;

    for (size_t i = first; i < first + count; i++) {
        heap.pages[i].space = heap.to_space;
        if (scanned)
            enqueue(i);
    }
    if (scanned)
        close_pages(first, count);
    copier.kept_pages += count;
}

/* Most words need nothing: they are no pointers, or to what has been copied to a page that is not KEPT. */
static inline bool is_settled(value v)
{
    if (!is_pointer(v) || !in_heap((void *)v))
        return true;
    const struct page *page = &heap.pages[page_number(v)];
    return page->space == heap.to_space && page->kind != KEPT;
}

/* What V, which is not settled, is in to-space. */
static value move(value v)
{
    value *old = collector_words(v);
    uintptr_t header = *old;
    if (!(header & 1))
        return header;
    size_t number = page_number(v);
    const struct page *page = &heap.pages[number];
    if (__builtin_expect(page->kind != SMALL, 0)) {
        if (page->space == heap.to_space)
            return v;
        if (page->kind == LARGE) {
            move_large(number, header);
            return v;
        }
    }
    size_t words = header_words(header);
    if (__builtin_expect((size_t)(copier.end - copier.next) < words, 0) && !new_copy_page()) {
        keep_page(number);
        return v;
    }
    value *copy = copier.next;
    copier.next = copy + words;
    copier.copied_words += words;
    copy[0] = header;
    for (size_t i = 1; i < words; i++)
        copy[i] = old[i];
    return *old = (value)copy - (value)(heap.view - heap.base);
}

value forward(value v) { return is_settled(v) ? v : move(v); }

static void forward_words(value *word, value *end)
{
    for (; word < end; word++)
        if (!is_settled(*word))
            *word = move(*word);
}

/* The part of a large object that is on PAGE. */
static void scan_large(size_t page)
{
    size_t first = heap.pages[page].kind == LARGE ? page : page - heap.pages[page].run;
    value *object = collector_words((value)page_address(first));
    value *word = collector_words((value)page_address(page)), *end = word + PAGE_WORDS;
    value *object_end = object + header_words(*object);

    if (header_type(*object) >= FIRST_RAW)
        return; /* a string that was written to is remembered like any page */

    forward_words(page == first ? word + 1 : word, end < object_end ? end : object_end);
}

static void scan_small(size_t page)
{
    value *start = collector_words((value)page_address(page)), *end = start + PAGE_WORDS;

    for (value *word = start; word < end;) {
        if (page == copier.page ? word == copier.next : !*word)
            break;
        uintptr_t header = *word;
        bool gone = !(header & 1); /* copied before the page was kept */
        if (gone)
            header = *collector_words(header);
        size_t words = header_words(header);
        if (!gone && header_type(header) < FIRST_RAW)
            forward_words(word + 1, word + words);
        word += words;
    }
    if (page == copier.page)
        retire_copy_page();
}

void scan_page(size_t page)
{
    if (heap.pages[page].kind == SMALL || heap.pages[page].kind == KEPT)
        scan_small(page);
    else
        scan_large(page);
    copier.scanned_pages++;
}

ptrdiff_t next_to_scan(void)
{
    while (copier.queue_first < copier.queue_last) {
        size_t page = copier.queue[copier.queue_first++];
        if (atomic_load_explicit(&heap.pages[page].state, memory_order_relaxed) == UNSCANNED)
            return page;
    }
    return -1;
}

static void forward_root(value *word) { *word = forward(*word); }

void forward_roots(void) { each_root(forward_root); }

void collect_begin(void)
{
    for (struct thread *t = all_threads; t; t = t->next_thread)
        retire_chunk(t);
    heap.to_space = from_space();
    copier_reset();
}

void copier_reset(void)
{
    retire_copy_page();
    copier.run_next = copier.run_end = 0;
    copier.queue_first = copier.queue_last = 0;
    copier.copied_words = copier.scanned_pages = copier.kept_pages = 0;
}

void copier_end(void)
{
    retire_copy_page();
    give_back(copier.run_next, copier.run_end);
    copier.run_next = copier.run_end = 0;
}

void scan_all(void)
{
    for (ptrdiff_t page; (page = next_to_scan()) >= 0;) {
        scan_page(page);
        atomic_store_explicit(&heap.pages[page].state, OPEN, memory_order_relaxed);
    }
}

/* --- The plain way: everything in one stop --- */

/* What is copied needs as much room again; large objects stay where they are. */
void set_trigger_of_semispaces(struct thread *thread)
{
    size_t room = heap.free_pages > heap.nursery_pages ? heap.free_pages - heap.nursery_pages : 0;
    heap.trigger = (heap.page_count - copier.kept_pages) / 2;
    if (room <= heap.trigger + thread->wanted_pages)
        heap.trigger = room / 2;
    if (room <= heap.trigger + thread->wanted_pages || room < heap.page_count / 32)
        heap_exhausted();
}

void collect_stopped(struct thread *thread)
{
    if (!world_stop(thread))
        return;
    uint64_t begun = stats_now();
    collect_begin();
    forward_roots();
    scan_all();
    copier_end();
    free_from_space();
    set_trigger_of_semispaces(thread);
    stats_collection();
    stats_pause(thread, PAUSE_FULL, stats_now() - begun);
    world_start(thread);
}

void collect_when_needed(struct thread *thread)
{
    switch (heap.collector) {
    case STOP:
        if (paranoia(thread) || heap.free_pages <= heap.trigger + thread->wanted_pages)
            collect_stopped(thread);
        break;
    case CONCURRENT:
        concurrent_need(thread);
        break;
    case GENERATIONAL:
        generational_need(thread);
        break;
    }
}

void collect_fully(struct thread *thread)
{
    switch (heap.collector) {
    case STOP:
        collect_stopped(thread);
        break;
    case CONCURRENT:
        concurrent_fully(thread);
        break;
    case GENERATIONAL:
        generational_fully(thread);
        break;
    }
}
