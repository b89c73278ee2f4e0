/*
 * userfaultfd's contexts: who waits for what, and the messages about it. The picture is in userfault.h.
 *
 * A wait is on its thread's stack and in one of the context's lists. Whoever ends it does so under the context's lock:
 * takes it out, sets `done`, wakes the thread; the thread takes that lock once more before it goes on, so that its
 * stack is no longer looked at.
 *
 * No wake-up is lost: the fault lines up, then looks at the page-table entry again; who resolves it changes the entry,
 * then looks at the lists.
 */
#include "lib/string.h"
#include "sched/thread.h"
#include "vm/kmalloc.h"
#include "vm/userfaults.h"

static u32 (*thread_number)(void);

void userfault_set_thread_number(u32 (*number)(void)) { thread_number = number; }

/* ---- contexts ---- */

struct userfault *userfault_create(u32 flags)
{
    struct userfault *u = kzalloc(sizeof(*u));

    if (u == NULL)
        return NULL;
    u->refs = 1;
    u->flags = flags;
    u->space = current->space;
    space_hold(u->space);
    spin_init(&u->lock);
    list_init(&u->pending);
    list_init(&u->taken);
    list_init(&u->events);
    list_init(&u->forks);
    list_init(&u->fork_link);
    wait_queue_init(&u->readers);
    return u;
}

void userfault_get(struct userfault *u) { atomic_add_relaxed(&u->refs, 1); }

void userfault_put(struct userfault *u)
{
    if (atomic_sub(&u->refs, 1) != 0)
        return;
    ASSERT(list_empty(&u->pending) && list_empty(&u->taken) && list_empty(&u->events) && list_empty(&u->forks));
    space_drop(u->space);
    kfree(u);
}

u32 userfault_flags(const struct userfault *u) { return u->flags; }

bool userfault_is_of_current(const struct userfault *u) { return u->space == current->space; }

bool userfault_enable(struct userfault *u, u32 features)
{
    u32 none = 0;

    return atomic_cas(&u->features, &none, features | USERFAULT_ENABLED);
}

bool userfault_is_enabled(const struct userfault *u) { return (load_acquire(&u->features) & USERFAULT_ENABLED) != 0; }
u32 userfault_features(const struct userfault *u) { return load_relaxed(&u->features); }

bool userfault_enter(struct userfault *u) { return u->space == current->space || space_try_get(u->space); }

void userfault_leave(struct userfault *u)
{
    if (u->space != current->space)
        space_put(u->space);
}

/* ---- waiting ---- */

/* => u->lock */
static void end_wait(struct userfault_wait *w)
{
    list_remove(&w->link);
    store_release(&w->done, true);
    thread_wake(w->thread, WAKE_ANY);
}

/* Sleeps until W is done or a signal comes that counts; W is in no list afterwards. */
static void sleep_until_done(struct userfault *u, struct userfault_wait *w, enum thread_state state)
{
    for (;;) {
        store_relaxed(&current->state, state);
        memory_barrier();
        if (load_acquire(&w->done) || wait_interrupted(state) != 0)
            break;
        schedule();
    }
    store_relaxed(&current->state, THREAD_RUNNABLE);
    spin_lock(&u->lock);
    if (!w->done)
        list_remove(&w->link);
    spin_unlock(&u->lock);
}

void userfault_queue(struct userfault *u, struct userfault_wait *w, u64 address, u64 flags)
{
    w->thread = current;
    w->done = false;
    w->message = (struct uffd_msg){.event = UFFD_EVENT_PAGEFAULT};
    w->message.fault.flags = flags;
    w->message.fault.address = u->features & UFFD_FEATURE_EXACT_ADDRESS ? address : ALIGN_DOWN(address, PAGE_SIZE);
    if ((u->features & UFFD_FEATURE_THREAD_ID) && thread_number != NULL)
        w->message.fault.thread_id = thread_number();
    userfault_get(u);
    spin_lock(&u->lock);
    list_add_tail(&u->pending, &w->link);
    atomic_add(&u->n_waiting, 1);
    spin_unlock(&u->lock);
    memory_barrier();
}

static void leave_line(struct userfault *u)
{
    atomic_sub(&u->n_waiting, 1);
    userfault_put(u);
}

void userfault_cancel(struct userfault *u, struct userfault_wait *w)
{
    spin_lock(&u->lock);
    if (!w->done)
        list_remove(&w->link);
    spin_unlock(&u->lock);
    leave_line(u);
}

void userfault_sleep(struct userfault *u, struct userfault_wait *w, bool user_mode)
{
    wake_one(&u->readers);
    sleep_until_done(u, w, user_mode ? THREAD_INTERRUPTIBLE : THREAD_KILLABLE);
    leave_line(u);
}

static void wake_in(struct list *waits, u64 start, u64 length)
{
    struct userfault_wait *w, *next;

    list_for_each_safe(w, next, waits, link) {
        if (w->message.fault.address - start < length)
            end_wait(w);
    }
}

void userfault_wake(struct userfault *u, u64 start, u64 length)
{
    memory_barrier();
    if (load_relaxed(&u->n_waiting) == 0)
        return;
    spin_lock(&u->lock);
    wake_in(&u->pending, start, length);
    wake_in(&u->taken, start, length);
    spin_unlock(&u->lock);
}

/* ---- reading ---- */

struct wait_queue *userfault_readers(struct userfault *u) { return &u->readers; }

bool userfault_has_message(struct userfault *u)
{
    return !list_seems_empty(&u->pending) || !list_seems_empty(&u->events);
}

/* => u->lock */
static bool take_locked(struct userfault *u, struct uffd_msg *message, struct userfault **forked)
{
    struct userfault_wait *w;

    if (!list_empty(&u->pending)) {
        w = list_first(&u->pending, struct userfault_wait, link);
        *message = w->message;
        list_remove(&w->link);
        list_add_tail(&u->taken, &w->link);
        return true;
    }
    if (list_empty(&u->events))
        return false;
    w = list_first(&u->events, struct userfault_wait, link);
    *message = w->message;
    if (message->event == UFFD_EVENT_FORK) {
        *forked = w->forked;
        userfault_get(w->forked);
        list_remove(&w->link);
        list_add_tail(&u->forks, &w->link);
    } else {
        end_wait(w);
    }
    return true;
}

bool userfault_take(struct userfault *u, struct uffd_msg *message, struct userfault **forked)
{
    bool more, found;

    *forked = NULL;
    spin_lock(&u->lock);
    found = take_locked(u, message, forked);
    more = userfault_has_message(u);
    spin_unlock(&u->lock);
    if (more)
        wake_one(&u->readers); /* for the next reader: this one may be busy */
    return found;
}

/* The one who forked may have given up meanwhile, then it is not in the list any more. */
void userfault_fork_taken(struct userfault *u, struct userfault *forked, bool taken)
{
    struct userfault_wait *w, *next;

    spin_lock(&u->lock);
    list_for_each_safe(w, next, &u->forks, link) {
        if (w->forked != forked)
            continue;
        if (taken) {
            w->forked = NULL;
            end_wait(w);
        } else {
            list_remove(&w->link);
            list_add(&u->events, &w->link);
        }
    }
    spin_unlock(&u->lock);
}

static u64 length_of(const struct list *waits)
{
    u64 n = 0;

    for (const struct list *i = waits->next; i != waits; i = i->next)
        n++;
    return n;
}

void userfault_count(struct userfault *u, u64 *pending, u64 *total)
{
    spin_lock(&u->lock);
    *pending = length_of(&u->pending);
    *total = *pending + length_of(&u->taken);
    spin_unlock(&u->lock);
}

/* ---- events ---- */

void userfault_send(struct userfault *u, struct userfault_wait *w)
{
    bool is_in_line;

    w->thread = current;
    w->done = false;
    spin_lock(&u->lock);
    is_in_line = !u->closed;
    if (is_in_line)
        list_add_tail(&u->events, &w->link);
    spin_unlock(&u->lock);
    if (is_in_line) { /* also if it is done by now: who ends it may be looking at it still */
        wake_one(&u->readers);
        sleep_until_done(u, w, THREAD_KILLABLE);
    }
    atomic_sub(&u->changing, 1);
}

void userfault_end_waits(struct userfault *u)
{
    struct list *lists[] = {&u->pending, &u->taken, &u->events, &u->forks};

    spin_lock(&u->lock);
    u->closed = true;
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        while (!list_empty(lists[i]))
            end_wait(list_first(lists[i], struct userfault_wait, link));
    spin_unlock(&u->lock);
    wake_all(&u->readers);
}
