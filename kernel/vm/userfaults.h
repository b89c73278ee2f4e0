/*
 * userfaultfd inside vm/: contexts, who waits for them, and the hooks of faults and of calls that change mappings.
 *
 * A vma that is registered points to its context without a reference: closing the descriptor takes the pointers away
 * under space->lock for writing before it gives its reference up. Who sleeps takes a reference under space->lock.
 */
#ifndef VM_USERFAULTS_H
#define VM_USERFAULTS_H

#include "vm/tlb.h"
#include "vm/userfault.h"

/* A thread that waits for a fault to be resolved or for an event to be read; on its stack, `link` is in a list while it
 * is not done. */
struct userfault_wait {
    struct list link;
    struct thread *thread;
    bool done;
    struct uffd_msg message;
    struct userfault *forked; /* UFFD_EVENT_FORK: the child's context, until a reader has its descriptor */
};

struct userfault {
    u32 refs;
    u32 features; /* UFFD_FEATURE_*, and whether they have been chosen */
    u32 flags;    /* as userfault_create got them */
    bool closed;
    u32 changing;        /* atomic: events that announce changes, not read yet */
    struct space *space; /* held */

    struct spinlock lock; /* the lists and their members */
    u32 n_waiting;        /* faults; atomic for who looks without the lock */
    struct list pending;  /* faults whose messages are to be read, */
    struct list taken;    /* ... those that have been read, */
    struct list events;   /* ... events to be read, */
    struct list forks;    /* ... and those for whose descriptors a reader cares just now */
    struct wait_queue readers;

    /* of a child's context, during the fork */
    struct list fork_link;
    struct userfault *parent;
};
#define USERFAULT_ENABLED BIT(31)

/* May the operation go on in U's space? Not if nobody lives there any more; userfault_leave ends it. */
bool userfault_enter(struct userfault *u);
void userfault_leave(struct userfault *u);
static inline bool userfault_is_changing(const struct userfault *u) { return load_acquire(&u->changing) != 0; }

/* ---- a fault ---- */

/* Lines W up; FLAGS are UFFD_PAGEFAULT_FLAG_*. A reference to U is held until userfault_sleep or userfault_cancel.
 * => space->lock, through which U was found. The caller looks at the entry again before it sleeps. */
void userfault_queue(struct userfault *u, struct userfault_wait *w, u64 address, u64 flags);
void userfault_cancel(struct userfault *u, struct userfault_wait *w);
/* Until somebody wakes the address, or a signal comes (USER_MODE: any, else a fatal one). => nothing held */
void userfault_sleep(struct userfault *u, struct userfault_wait *w, bool user_mode);

/* Has W's event read; U->changing, which the caller has counted it in, is less by one then. Returns early when U is
 * closed or the thread is killed. => nothing held but references */
void userfault_send(struct userfault *u, struct userfault_wait *w);
/* Nobody waits for U any more. */
void userfault_end_waits(struct userfault *u);

static inline bool vma_is_wp_async(const struct vma *v) { return (v->flags & VMA_UFFD_ASYNC) != 0; }

/* ---- entries: userfault_protect.c ---- */

/* *PTE of V gets UFFD_WP; one without a page only with MARK_ABSENT. True if TLBs may hold an entry that allows stores.
 * => table locked */
bool userfault_protect_entry(const struct vma *v, struct page *table, pte_t *pte, bool mark_absent);
/* Whether an untouched page of V can have UFFD_WP. */
bool userfault_marks_absent(const struct vma *v);
/* All of [start, end) in V loses UFFD_WP. -ENOMEM. => lock */
int userfault_unprotect_vma(struct space *s, const struct vma *v, u64 start, u64 end);

/* ---- mappings change: userfault_event.c ---- */

/* COPY is V's copy in CHILD: decides whether it stays registered. FORKS collects contexts of the child. -ENOMEM
 * => parent's write lock */
int userfault_fork_vma(const struct vma *v, struct vma *copy, struct space *child, struct list *forks);
/* Tells of the fork and waits; or takes everything back. => no lock */
void userfault_forked(struct list *forks);
void userfault_fork_failed(struct list *forks);

/* Something happens to [start, end) that contexts want to be told of: notices go onto REMOVED, and vma_free_list
 * delivers them. -ENOMEM. => write lock, S has userfaults */
int userfault_note_unmap(struct space *s, u64 start, u64 end, struct list *removed);
/* [from, from + length) goes to TO, where COPY will be. *NOTICE may be NULL, and is taken back by the other. */
int userfault_note_remap(struct vma *copy, u64 from, u64 to, u64 length, struct list *removed, struct vma **notice);
void userfault_drop_notice(struct vma *notice);
/* A notice that vma_free_list found. => no lock */
void userfault_deliver(struct vma *notice);
/* Pages of V in [start, end) are about to go. True: who wanted to know was told, and the lock was given up meanwhile.
 * => lock for reading */
bool userfault_removing(struct space *s, struct vma *v, u64 start, u64 end);

#endif
