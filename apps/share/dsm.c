/*
 * Shared virtual memory as in Li's IVY: many may read a page, or one may write it, and whose copy is old has none.
 *
 *     process          manager of the page (page mod processes)        owner, holders of copies
 *     load fault  -->  READ   ------------------------ FORWARD ----->  owner: closed to stores
 *     opened      <------------------------------------ DATA --------
 *                 -->  CONFIRM: the next request
 *     store fault -->  WRITE  --- INVALIDATE to holders of copies -->  closed
 *                                 <------------- ACK ---------------
 *                             ------------------------ FORWARD ----->  owner: closed
 *     opened      <------------------------------------ DATA --------  (GRANT by the manager, to who has the page's
 * content)
 *                 -->  CONFIRM: it is the owner now
 *
 * A manager works on one request for a page at a time, from its arrival to its CONFIRM; so a page that is being opened
 * somewhere is never closed there by a later request, and stores are seen in one order by all: memory is sequentially
 * consistent.
 *
 * In each process the program's threads fault, and one thread serves messages. Everything below is under `lock`, which
 * is given up only to wait. A page is opened by the thread that faulted, not by who serves, so that it may well touch
 * it before it is taken away again.
 *
 * Sends may block: there are never more messages under way than a few for each waiting thread, and a socket's buffer
 * holds them.
 *
 * Source: K. Li, P. Hudak, "Memory Coherence in Shared Virtual Memory Systems", ACM TOCS 7(4), 1989: the fixed
 * distributed manager.
 */
#define _GNU_SOURCE
#include "dsm.h"
#include "vm.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum type { READ, WRITE, FORWARD_READ, FORWARD_WRITE, INVALIDATE, ACK, DATA, GRANT, CONFIRM, ARRIVE, RELEASE };

struct message {
    uint32_t type, page;
    uint32_t from;      /* who sent it */
    uint32_t requester; /* whose fault it is about */
};

enum access { NONE, MAY_READ, MAY_WRITE };

struct page {
    /* here */
    uint8_t access;
    bool pending, granted;
    /* as its manager */
    uint8_t owner, copies; /* a bit for each holder, the owner aside */
    bool busy, writing;
    uint8_t requester, acks;
    uint8_t waiting, waiting_writes; /* bits: who asked meanwhile, and for what */
    uint8_t turn;                    /* of those, who is looked at first */
};

static int self, processes, sockets[MOST_PROCESSES];
static bool broken;
static size_t page_count, page_bytes;
static char *view, *inside; /* the program's, with protections; ours */
static struct page *pages;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int arrived;
static unsigned releases;
static bool stopping;
static pthread_t server;
static struct dsm_stats stats;

static void handle(const struct message *message);

static void fail(const char *what)
{
    dprintf(2, "share: process %d: %s: %s\n", self, what, strerror(errno));
    _exit(1);
}

/* --- Messages --------------------------------------------------------------------------------------------------------
 */

static void send_all(int to, const void *data, size_t length)
{
    while (length) {
        ssize_t sent = send(sockets[to], data, length, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            fail("send");
        data = (const char *)data + sent;
        length -= (size_t)sent;
    }
}

static bool receive_all(int from, void *data, size_t length)
{
    while (length) {
        ssize_t got = recv(sockets[from], data, length, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        data = (char *)data + got;
        length -= (size_t)got;
    }
    return true;
}

/* To oneself it is a call. */
static void post(int to, enum type type, uint32_t page, int requester)
{
    struct message message = {type, page, (uint32_t)self, (uint32_t)requester};

    if (to == self) {
        handle(&message);
        return;
    }
    stats.messages++;
    send_all(to, &message, sizeof(message));
    if (type == DATA)
        send_all(to, inside + page * page_bytes, page_bytes);
}

static void set_access(uint32_t number, enum access access)
{
    static const int protections[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};

    if (vm_protect(view + number * page_bytes, page_bytes, protections[access]))
        fail("vm_protect");
    pages[number].access = (uint8_t)access;
}

/* --- A manager's side ------------------------------------------------------------------------------------------------
 */

static int manager_of(uint32_t number) { return (int)(number % (uint32_t)processes); }

/* Nobody has an old copy any more: the page itself goes to the requester. */
static void hand_over(uint32_t number)
{
    struct page *page = &pages[number];

    if (page->owner == page->requester)
        post(page->requester, GRANT, number, page->requester);
    else
        post(page->owner, page->writing ? FORWARD_WRITE : FORWARD_READ, number, page->requester);
}

static void begin(uint32_t number, int requester, bool writing)
{
    struct page *page = &pages[number];
    uint8_t others = page->copies & (uint8_t) ~(1 << requester);

    page->busy = true;
    page->requester = (uint8_t)requester;
    page->writing = writing;
    page->acks = 0;
    if (broken)
        others = 0;
    if (!writing || !others) {
        hand_over(number);
        return;
    }
    page->acks = (uint8_t)__builtin_popcount(others);
    for (int i = 0; i < processes; i++)
        if (others & 1 << i)
            post(i, INVALIDATE, number, requester);
}

/* The requests that came meanwhile take turns. */
static void begin_next(uint32_t number)
{
    struct page *page = &pages[number];

    for (int i = 0; i < processes && !page->busy; i++) {
        int who = (page->turn + i) % processes;
        uint8_t bit = (uint8_t)(1 << who);

        if (page->waiting & bit) {
            bool writing = page->waiting_writes & bit;

            page->waiting &= (uint8_t)~bit;
            page->waiting_writes &= (uint8_t)~bit;
            page->turn = (uint8_t)((who + 1) % processes);
            begin(number, who, writing);
        }
    }
}

static void request(uint32_t number, int requester, bool writing)
{
    struct page *page = &pages[number];

    page->waiting |= (uint8_t)(1 << requester);
    if (writing)
        page->waiting_writes |= (uint8_t)(1 << requester);
    begin_next(number);
}

static void confirm(uint32_t number)
{
    struct page *page = &pages[number];

    if (page->writing) {
        page->owner = page->requester;
        page->copies = 0;
    } else if (page->requester != page->owner) {
        page->copies |= (uint8_t)(1 << page->requester);
    }
    page->busy = false;
    begin_next(number);
}

/* --- Every message ---------------------------------------------------------------------------------------------------
 */

static void arrive(void)
{
    if (++arrived < processes)
        return;
    arrived = 0;
    for (int i = 0; i < processes; i++)
        post(i, RELEASE, 0, 0);
}

static void handle(const struct message *message)
{
    uint32_t number = message->page;
    struct page *page = &pages[number];

    switch ((enum type)message->type) {
    case READ:
    case WRITE:
        request(number, (int)message->requester, message->type == WRITE);
        break;
    case FORWARD_READ:
        if (page->access == MAY_WRITE)
            set_access(number, MAY_READ);
        post((int)message->requester, DATA, number, (int)message->requester);
        break;
    case FORWARD_WRITE:
        set_access(number, NONE);
        post((int)message->requester, DATA, number, (int)message->requester);
        break;
    case INVALIDATE:
        stats.invalidations++;
        set_access(number, NONE);
        post((int)message->from, ACK, number, 0);
        break;
    case ACK:
        if (--page->acks == 0)
            hand_over(number);
        break;
    case DATA:
        stats.pages_received++;
        page->granted = true;
        pthread_cond_broadcast(&changed);
        break;
    case GRANT:
        page->granted = true;
        pthread_cond_broadcast(&changed);
        break;
    case CONFIRM:
        confirm(number);
        break;
    case ARRIVE:
        arrive();
        break;
    case RELEASE:
        releases++;
        pthread_cond_broadcast(&changed);
        break;
    }
}

/* Content that arrives is for a page that is closed here: it is put in place without the lock. */
static bool serve_one(int from)
{
    struct message message;

    if (!receive_all(from, &message, sizeof(message)))
        return false;
    if (message.page >= page_count)
        fail("a message about no page");
    if (message.type == DATA && !receive_all(from, inside + message.page * page_bytes, page_bytes))
        return false;
    pthread_mutex_lock(&lock);
    handle(&message);
    pthread_mutex_unlock(&lock);
    return true;
}

static void *serve(void *unused)
{
    struct pollfd ready[MOST_PROCESSES];

    for (int i = 0; i < processes; i++)
        ready[i] = (struct pollfd){.fd = i == self ? -1 : sockets[i], .events = POLLIN};
    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        int count = poll(ready, (nfds_t)processes, 100);

        if (count < 0 && errno != EINTR)
            fail("poll");
        for (int i = 0; i < processes && count > 0; i++)
            if (ready[i].revents && !serve_one(i))
                ready[i].fd = -1; /* it has ended */
    }
    return unused;
}

/* --- Faults ----------------------------------------------------------------------------------------------------------
 */

static void on_fault(struct vm_fault *fault, void *unused)
{
    uint32_t number = (uint32_t)((size_t)((char *)fault->address - view) / page_bytes);
    bool writing = fault->access == VM_WRITE;
    struct page *page = &pages[number];

    (void)unused;
    pthread_mutex_lock(&lock);
    if (page->pending) { /* another thread of this process asks already: perhaps that is enough */
        while (page->pending)
            pthread_cond_wait(&changed, &lock);
    } else if (page->access < (writing ? MAY_WRITE : MAY_READ)) {
        if (writing)
            stats.write_faults++;
        else
            stats.read_faults++;
        page->pending = true;
        page->granted = false;
        post(manager_of(number), writing ? WRITE : READ, number, self);
        while (!page->granted)
            pthread_cond_wait(&changed, &lock);
        set_access(number, writing ? MAY_WRITE : MAY_READ);
        page->pending = false;
        pthread_cond_broadcast(&changed);
        post(manager_of(number), CONFIRM, number, self);
    }
    pthread_mutex_unlock(&lock);
}

/* --- Life ------------------------------------------------------------------------------------------------------------
 */

void *dsm_start(int number, int count, const int *ways, size_t amount, bool break_it)
{
    void *first, *second;

    self = number;
    processes = count;
    broken = break_it;
    page_bytes = vm_page_size();
    page_count = amount;
    memcpy(sockets, ways, (size_t)count * sizeof(*ways));
    pages = calloc(amount, sizeof(*pages));
    if (!pages || vm_map2(amount * page_bytes, PROT_NONE, &first, PROT_READ | PROT_WRITE, &second))
        return NULL;
    view = first;
    inside = second;
    for (size_t i = 0; i < amount; i++)
        pages[i].owner = (uint8_t)manager_of((uint32_t)i);
    if (vm_trap(view, amount * page_bytes, on_fault, NULL))
        return NULL;
    errno = pthread_create(&server, NULL, serve, NULL);
    return errno ? NULL : view;
}

void dsm_barrier(void)
{
    unsigned before;

    pthread_mutex_lock(&lock);
    before = releases;
    post(0, ARRIVE, 0, 0);
    while (releases == before)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

void dsm_stop(struct dsm_stats *to)
{
    __atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
    pthread_join(server, NULL);
    *to = stats;
}
