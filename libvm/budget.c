/*
 * A region of which at most so many pages are in memory.
 *
 *     the program's view   [ - ][ R ][ - ][RW ][ - ]...   trapped; what is not open faults
 *     the pager's view     [           RW           ]     the same memory, for fetch and evict
 *
 *     page_frames[page]: 0 absent, COMING while somebody finds a frame for it, else the number of its frame
 *     frames[1..]:       what is known of a page that takes up memory, on one of three lists
 *
 *                 opened (by a fault)        closed, in a batch        evicted, dropped
 *      absent  ------------------->  OPEN  ---------------->  CLOSED  ------------------>  absent
 *                                     ^                         |
 *                                     +--- used again: rescued -+
 *
 * Both lists are first in, first out, so what is closed and used again has its second chance. A frame that is being
 * filled, evicted or flushed is BUSY and on no list; who faults on it waits.
 *
 * Invariants, under the lock:
 *   1. What the page table lets a program do with a page is `prot` of its frame, or less; an absent page is closed.
 *   2. A page with PROT_WRITE is dirty. So the first store to a clean page faults.
 *   3. A page is handed to evict only while the program cannot store to it, and it is dropped only in that same state.
 *   4. `resident` frames have a page; a frame is counted until its page is dropped.
 *
 * The lock is taken in handlers, never across fetch or evict. Whoever takes it holds cancellation back, and outside a
 * handler signals, too, until he has done with the page: others may wait for it.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMING UINT32_MAX
#define BATCH 64     /* pages closed at once, at most */
#define UNKNOWN 0xff /* a protection, after one could not be changed: any */

enum state { FREE, BUSY, OPEN, CLOSED };

struct frame {
    size_t page;
    uint32_t next, previous; /* on its state's list; of FREE frames only next */
    uint8_t state, prot;
    bool dirty;
};

/* Frame 0 is the head of the list of open frames, the last one that of the closed. */
struct list {
    uint32_t first, last;
    size_t count;
};

struct vm_budget {
    size_t pages, limit;
    char *view, *inside; /* the program's, the pager's */
    struct vm_pager pager;
    void (*on_error)(void *argument, size_t page, int error);
    void *on_error_argument;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a frame is not BUSY any more, or a page not COMING */
    uint32_t *page_frames;
    struct frame *frames; /* [0] is none */
    uint32_t unused;      /* frames from here on have never been used */
    uint32_t free;        /* list of those that have */
    struct list open, closed;
    size_t busy;
    struct vm_budget_stats stats; /* resident in it counts */
};

/* --- The lock --------------------------------------------------------------------------------------------------------
 */

/* What a holder of the lock must not meet outside a handler: a signal's handler that touches the region. */
struct held {
    sigset_t mask;
    int cancel;
};

/* Nor may he end. */
static void lock_in_handler(struct vm_budget *budget, struct held *held)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &held->cancel);
    pthread_mutex_lock(&budget->lock);
}

static void unlock_in_handler(struct vm_budget *budget, const struct held *held)
{
    pthread_mutex_unlock(&budget->lock);
    pthread_setcancelstate(held->cancel, NULL);
}

static void lock(struct vm_budget *budget, struct held *held)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &held->mask);
    lock_in_handler(budget, held);
}

static void unlock(struct vm_budget *budget, const struct held *held)
{
    unlock_in_handler(budget, held);
    pthread_sigmask(SIG_SETMASK, &held->mask, NULL);
}

/* --- Lists -----------------------------------------------------------------------------------------------------------
 */

static void append(struct vm_budget *budget, struct list *list, uint32_t number)
{
    struct frame *frame = &budget->frames[number];

    frame->next = 0;
    frame->previous = list->last;
    if (list->last)
        budget->frames[list->last].next = number;
    else
        list->first = number;
    list->last = number;
    list->count++;
}

static void take_out(struct vm_budget *budget, struct list *list, uint32_t number)
{
    struct frame *frame = &budget->frames[number];

    if (frame->previous)
        budget->frames[frame->previous].next = frame->next;
    else
        list->first = frame->next;
    if (frame->next)
        budget->frames[frame->next].previous = frame->previous;
    else
        list->last = frame->previous;
    list->count--;
}

/* Moves a frame from its state's list to that of STATE. */
static void set_state(struct vm_budget *budget, uint32_t number, enum state state)
{
    struct frame *frame = &budget->frames[number];

    if (frame->state == OPEN)
        take_out(budget, &budget->open, number);
    else if (frame->state == CLOSED)
        take_out(budget, &budget->closed, number);
    else if (frame->state == BUSY)
        budget->busy--;
    if (frame->state == BUSY)
        pthread_cond_broadcast(&budget->changed);
    frame->state = state;
    if (state == OPEN)
        append(budget, &budget->open, number);
    else if (state == CLOSED)
        append(budget, &budget->closed, number);
    else if (state == BUSY)
        budget->busy++;
}

/* --- Pages -----------------------------------------------------------------------------------------------------------
 */

static char *outside(const struct vm_budget *budget, size_t page) { return budget->view + page * vm_page_size(); }

static char *inside(const struct vm_budget *budget, size_t page) { return budget->inside + page * vm_page_size(); }

static int protect(struct vm_budget *budget, struct frame *frame, int prot)
{
    if (frame->prot == prot)
        return 0;
    if (vm_protect(outside(budget, frame->page), vm_page_size(), prot))
        return errno;
    frame->prot = (uint8_t)prot;
    return 0;
}

/* The BUSY or listed frame's closed page leaves memory; the frame is the caller's, BUSY. */
static void drop_page(struct vm_budget *budget, uint32_t number)
{
    struct frame *frame = &budget->frames[number];

    vm_discard(inside(budget, frame->page), vm_page_size());
    budget->page_frames[frame->page] = 0;
    set_state(budget, number, BUSY);
}

static uint32_t new_frame(struct vm_budget *budget)
{
    uint32_t number = budget->free;

    if (number)
        budget->free = budget->frames[number].next;
    else
        number = budget->unused++;
    if (++budget->stats.resident > budget->stats.most)
        budget->stats.most = budget->stats.resident;
    set_state(budget, number, BUSY);
    return number;
}

static void free_frame(struct vm_budget *budget, uint32_t number)
{
    set_state(budget, number, FREE);
    budget->frames[number].next = budget->free;
    budget->free = number;
    budget->stats.resident--;
    pthread_cond_broadcast(&budget->changed);
}

/* --- Making room -----------------------------------------------------------------------------------------------------
 */

/* Closes the pages that were open longest, all by one vector: an eighth of the budget. */
static void close_batch(struct vm_budget *budget)
{
    struct vm_range ranges[BATCH];
    size_t want = budget->limit / 8 + 1, count = 0, page = vm_page_size();
    uint32_t number = budget->open.first;

    if (want > BATCH)
        want = BATCH;
    for (size_t i = 0; i < want && number; i++, number = budget->frames[number].next) {
        char *at = outside(budget, budget->frames[number].page);
        struct vm_range *last = count ? &ranges[count - 1] : NULL;

        if (last && (char *)last->start + last->length == at)
            last->length += page;
        else
            ranges[count++] = (struct vm_range){at, page, PROT_NONE};
    }
    if (vm_protect_ranges(ranges, count)) {
        number = budget->open.first;
        for (size_t i = 0; i < want && number; i++, number = budget->frames[number].next)
            budget->frames[number].prot = UNKNOWN;
        return;
    }
    for (size_t i = 0; i < want && budget->open.first; i++) {
        number = budget->open.first;
        budget->frames[number].prot = PROT_NONE;
        set_state(budget, number, CLOSED);
    }
}

/* Evicts the closed frame NUMBER, without the lock meanwhile. 0: its page is gone, the frame BUSY and the caller's. */
static int evict(struct vm_budget *budget, uint32_t number)
{
    struct frame *frame = &budget->frames[number];
    int error = 0;

    if (budget->pager.evict) {
        size_t page = frame->page;
        bool dirty = frame->dirty;

        set_state(budget, number, BUSY);
        pthread_mutex_unlock(&budget->lock);
        error = budget->pager.evict(budget->pager.argument, page, inside(budget, page), dirty);
        pthread_mutex_lock(&budget->lock);
    }
    if (error) {
        budget->stats.failures++;
        set_state(budget, number, CLOSED);
        return error;
    }
    budget->stats.evictions++;
    budget->stats.dirty_evictions += frame->dirty;
    drop_page(budget, number);
    return 0;
}

/* One page leaves memory; its frame, BUSY, goes to *NUMBER. Waits while all are BUSY. An errno when none can leave. */
static int make_room(struct vm_budget *budget, uint32_t *number)
{
    size_t tried = 0;
    int error = 0;

    for (;;) {
        if (budget->closed.count == 0)
            close_batch(budget);
        if (budget->closed.count == 0 && budget->busy == 0)
            return error ? error : ENOMEM;
        if (budget->closed.count == 0) {
            pthread_cond_wait(&budget->changed, &budget->lock);
            continue;
        }
        *number = budget->closed.first;
        error = evict(budget, *number);
        if (!error)
            return 0;
        if (++tried >= budget->limit)
            return error;
        /* What refuses to go leaves the turn to those that are open. */
        if (tried >= budget->closed.count)
            close_batch(budget);
    }
}

static int get_frame(struct vm_budget *budget, uint32_t *number)
{
    for (;;) {
        int error;

        if (budget->stats.resident < budget->limit) {
            *number = new_frame(budget);
            return 0;
        }
        error = make_room(budget, number);
        if (error || budget->stats.resident <= budget->limit)
            return error;
        free_frame(budget, *number); /* the limit became less meanwhile */
    }
}

/* --- Faults ----------------------------------------------------------------------------------------------------------
 */

/* Opens a page that is in memory for ACCESS. */
static int open_frame(struct vm_budget *budget, uint32_t number, int access)
{
    struct frame *frame = &budget->frames[number];
    bool dirty = frame->dirty || access == VM_WRITE;
    int error;

    if (frame->state == CLOSED) {
        budget->stats.rescues++;
        set_state(budget, number, OPEN);
    }
    error = protect(budget, frame, dirty ? PROT_READ | PROT_WRITE : PROT_READ);
    if (!error)
        frame->dirty = dirty;
    return error;
}

/* Brings in a page that is absent; the lock is given up in between. */
static int bring_in(struct vm_budget *budget, size_t page, int access)
{
    struct frame *frame;
    uint32_t number;
    int error;

    budget->page_frames[page] = COMING;
    error = get_frame(budget, &number);
    if (error) {
        budget->page_frames[page] = 0;
        pthread_cond_broadcast(&budget->changed);
        return error;
    }
    frame = &budget->frames[number];
    frame->page = page;
    frame->prot = PROT_NONE;
    frame->dirty = false;
    budget->page_frames[page] = number;
    if (budget->pager.fetch) {
        pthread_mutex_unlock(&budget->lock);
        error = budget->pager.fetch(budget->pager.argument, page, inside(budget, page));
        pthread_mutex_lock(&budget->lock);
    }
    if (!error) {
        budget->stats.fetches += budget->pager.fetch != NULL;
        set_state(budget, number, OPEN);
        error = open_frame(budget, number, access);
        if (!error)
            return 0;
    }
    budget->stats.failures++;
    drop_page(budget, number);
    free_frame(budget, number);
    return error;
}

static int serve(struct vm_budget *budget, size_t page, int access)
{
    for (;;) {
        uint32_t number = budget->page_frames[page];

        if (number == 0)
            return bring_in(budget, page, access);
        if (number != COMING && budget->frames[number].state != BUSY)
            return open_frame(budget, number, access);
        pthread_cond_wait(&budget->changed, &budget->lock);
    }
}

static void die(void)
{
    struct sigaction fatal = {.sa_handler = SIG_DFL};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    sigaction(SIGBUS, &fatal, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(SIGBUS);
    abort();
}

static void on_fault(struct vm_fault *fault, void *argument)
{
    struct vm_budget *budget = argument;
    size_t page = (size_t)((char *)fault->address - budget->view) / vm_page_size();
    struct held held;
    int error;

    lock_in_handler(budget, &held);
    budget->stats.faults++;
    error = serve(budget, page, fault->access);
    unlock_in_handler(budget, &held);
    if (!error)
        return;
    if (!budget->on_error)
        die();
    budget->on_error(budget->on_error_argument, page, error);
}

/* --- From outside ----------------------------------------------------------------------------------------------------
 */

static size_t map_bytes(size_t pages) { return vm_whole_pages(NULL, pages * sizeof(uint32_t)); }

static size_t frames_bytes(size_t pages) { return vm_whole_pages(NULL, (pages + 1) * sizeof(struct frame)); }

struct vm_budget *vm_budget_open(size_t pages, size_t resident, const struct vm_pager *pager)
{
    size_t bytes = pages * vm_page_size();
    struct vm_budget *budget;
    void *view, *second;
    int saved;

    if (pages == 0 || pages >= COMING || bytes / vm_page_size() != pages || resident < VM_BUDGET_LEAST || !pager) {
        errno = EINVAL;
        return NULL;
    }
    budget = calloc(1, sizeof(*budget));
    if (!budget)
        return NULL;
    if (vm_map2(bytes, PROT_NONE, &view, PROT_READ | PROT_WRITE, &second)) {
        free(budget);
        return NULL;
    }
    budget->pages = pages;
    budget->limit = resident;
    budget->view = view;
    budget->inside = second;
    budget->pager = *pager;
    budget->unused = 1;
    pthread_mutex_init(&budget->lock, NULL);
    pthread_cond_init(&budget->changed, NULL);
    budget->page_frames = vm_pages(map_bytes(pages));
    budget->frames = vm_pages(frames_bytes(pages));
    if (budget->page_frames && budget->frames && vm_trap(view, bytes, on_fault, budget) == 0)
        return budget;
    saved = errno;
    vm_budget_close(budget);
    errno = saved;
    return NULL;
}

void *vm_budget_base(const struct vm_budget *budget) { return budget->view; }

void vm_budget_on_error(struct vm_budget *budget, void (*on_error)(void *argument, size_t page, int error),
                        void *argument)
{
    struct held held;

    lock(budget, &held);
    budget->on_error = on_error;
    budget->on_error_argument = argument;
    unlock(budget, &held);
}

void vm_budget_stats(struct vm_budget *budget, struct vm_budget_stats *stats)
{
    struct held held;
    struct vm_budget_stats copy;

    lock(budget, &held);
    copy = budget->stats;
    unlock(budget, &held);
    *stats = copy;
}

int vm_budget_resize(struct vm_budget *budget, size_t resident)
{
    struct held held;
    int error = 0;

    if (resident < VM_BUDGET_LEAST)
        return vm_fail(EINVAL);
    lock(budget, &held);
    budget->limit = resident;
    while (!error && budget->stats.resident > budget->limit) {
        uint32_t number;

        error = make_room(budget, &number);
        if (!error)
            free_frame(budget, number);
    }
    pthread_cond_broadcast(&budget->changed);
    unlock(budget, &held);
    return error ? vm_fail(error) : 0;
}

/* Collects up to MAX dirty frames from page *PAGE on, BUSY and closed to stores; waits for those that others have.
 * *ERROR: they could not be closed, and stay as they are. */
static size_t dirty_frames(struct vm_budget *budget, size_t *page, uint32_t *numbers, size_t max, int *error)
{
    struct vm_range ranges[BATCH];
    size_t count = 0, count_ranges = 0;

    while (*page < budget->pages && count < max) {
        uint32_t number = budget->page_frames[*page];

        if (number == COMING || (number && budget->frames[number].state == BUSY)) {
            if (count)
                break; /* not while others wait for what we have */
            pthread_cond_wait(&budget->changed, &budget->lock);
            continue;
        }
        if (number && budget->frames[number].dirty) {
            struct frame *frame = &budget->frames[number];

            if (frame->prot & PROT_WRITE)
                ranges[count_ranges++] = (struct vm_range){outside(budget, *page), vm_page_size(), PROT_READ};
            set_state(budget, number, BUSY);
            numbers[count++] = number;
        }
        ++*page;
    }
    if (vm_protect_ranges(ranges, count_ranges)) {
        *error = errno;
        for (size_t i = 0; i < count; i++) {
            budget->frames[numbers[i]].prot = UNKNOWN;
            set_state(budget, numbers[i], OPEN);
        }
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        budget->frames[numbers[i]].prot &= PROT_READ;
    return count;
}

int vm_budget_flush(struct vm_budget *budget)
{
    uint32_t numbers[BATCH];
    struct held held;
    size_t page = 0;
    int first = 0;

    if (!budget->pager.evict)
        return 0;
    lock(budget, &held);
    while (page < budget->pages) {
        int errors[BATCH], error = 0;
        size_t count = dirty_frames(budget, &page, numbers, BATCH, &error);

        first = first ? first : error;
        pthread_mutex_unlock(&budget->lock);
        for (size_t i = 0; i < count; i++) {
            size_t number = budget->frames[numbers[i]].page;

            errors[i] = budget->pager.evict(budget->pager.argument, number, inside(budget, number), 1);
        }
        pthread_mutex_lock(&budget->lock);
        for (size_t i = 0; i < count; i++) {
            struct frame *frame = &budget->frames[numbers[i]];

            if (errors[i]) {
                first = first ? first : errors[i];
                budget->stats.failures++;
            } else {
                frame->dirty = false;
            }
            set_state(budget, numbers[i], frame->prot ? OPEN : CLOSED);
        }
    }
    unlock(budget, &held);
    return first ? vm_fail(first) : 0;
}

int vm_budget_drop(struct vm_budget *budget, size_t first, size_t pages)
{
    struct held held;
    int error = 0;

    if (pages == 0 || first >= budget->pages || pages > budget->pages - first)
        return vm_fail(EINVAL);
    lock(budget, &held);
    for (size_t page = first; page < first + pages && !error;) {
        uint32_t number = budget->page_frames[page];

        if (number == COMING || (number && budget->frames[number].state == BUSY)) {
            pthread_cond_wait(&budget->changed, &budget->lock);
            continue;
        }
        if (number) {
            error = protect(budget, &budget->frames[number], PROT_NONE);
            if (error)
                break;
            drop_page(budget, number);
            free_frame(budget, number);
        }
        page++;
    }
    unlock(budget, &held);
    return error ? vm_fail(error) : 0;
}

void vm_budget_close(struct vm_budget *budget)
{
    size_t bytes = budget->pages * vm_page_size();

    vm_free(budget->view, bytes);
    vm_free(budget->inside, bytes);
    vm_pages_free(budget->page_frames, map_bytes(budget->pages));
    vm_pages_free(budget->frames, frames_bytes(budget->pages));
    pthread_mutex_destroy(&budget->lock);
    pthread_cond_destroy(&budget->changed);
    free(budget);
}
