/*
 * userfaultfd: a program handles the page faults of ranges that it has registered, in another thread or process that
 * reads messages from a descriptor and answers with operations that fill pages in.
 *
 *   thread that faults                context (struct userfault)              thread that serves
 *   fault.c: page missing ---------> pending: [wait][wait]  -- read(2) ------> message: address, kind
 *   sleeps, holds no lock            taken:   [wait]                           UFFDIO_COPY: page into the table,
 *   <------------------------------- userfault_wake(range) <------------------ those who wait for it are woken
 *   munmap, fork... -- event ------> events:  [wait]        -- read(2) ------> message; the call goes on
 *
 * This header is what fs/userfaultfd.c, the descriptor's side, builds on. Source: userfaultfd(2), ioctl_userfaultfd(2).
 */
#ifndef VM_USERFAULT_H
#define VM_USERFAULT_H

#include "vm/space.h"

struct userfault;

/* ---- the ABI's ---- */

#define UFFD_EVENT_PAGEFAULT 0x12
#define UFFD_EVENT_FORK 0x13
#define UFFD_EVENT_REMAP 0x14
#define UFFD_EVENT_REMOVE 0x15
#define UFFD_EVENT_UNMAP 0x16

struct uffd_msg {
    u8 event;
    u8 reserved1;
    u16 reserved2;
    u32 reserved3;
    union {
        struct {
            u64 flags, address;
            u32 thread_id, padding;
        } fault;
        struct {
            u32 fd;
        } fork;
        struct {
            u64 from, to, length;
        } remap;
        struct {
            u64 start, end;
        } remove;
    };
};
static_assert(sizeof(struct uffd_msg) == 32, "the ABI's size");

#define UFFD_PAGEFAULT_FLAG_WRITE BIT(0)
#define UFFD_PAGEFAULT_FLAG_WP BIT(1)
#define UFFD_PAGEFAULT_FLAG_MINOR BIT(2)

#define UFFD_FEATURE_PAGEFAULT_FLAG_WP BIT(0)
#define UFFD_FEATURE_EVENT_FORK BIT(1)
#define UFFD_FEATURE_EVENT_REMAP BIT(2)
#define UFFD_FEATURE_EVENT_REMOVE BIT(3)
#define UFFD_FEATURE_MISSING_HUGETLBFS BIT(4) /* as MINOR_HUGETLBFS: there is no such mapping */
#define UFFD_FEATURE_MISSING_SHMEM BIT(5)
#define UFFD_FEATURE_EVENT_UNMAP BIT(6)
#define UFFD_FEATURE_SIGBUS BIT(7)
#define UFFD_FEATURE_THREAD_ID BIT(8)
#define UFFD_FEATURE_MINOR_HUGETLBFS BIT(9)
#define UFFD_FEATURE_MINOR_SHMEM BIT(10)
#define UFFD_FEATURE_EXACT_ADDRESS BIT(11)
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM BIT(12)
#define UFFD_FEATURE_WP_UNPOPULATED BIT(13)
#define UFFD_FEATURE_POISON BIT(14)
#define UFFD_FEATURE_WP_ASYNC BIT(15)
#define UFFD_FEATURE_MOVE BIT(16)

#define UFFD_REGISTER_MISSING BIT(0)
#define UFFD_REGISTER_WP BIT(1)
#define UFFD_REGISTER_MINOR BIT(2)

/* ---- a context ---- */

/* Of the current space; one reference. FLAGS: USERFAULT_USER_MODE_ONLY, faults of the kernel on a program's behalf
 * fail; the rest is the descriptor's. NULL: no memory. */
#define USERFAULT_USER_MODE_ONLY BIT(0)
struct userfault *userfault_create(u32 flags);
u32 userfault_flags(const struct userfault *u);
void userfault_get(struct userfault *u);
void userfault_put(struct userfault *u);
/* The descriptor is gone: ranges are no longer registered, nobody waits any more. */
void userfault_close(struct userfault *u);
bool userfault_is_of_current(const struct userfault *u);
/* Chooses the features, once: false if they have been. */
bool userfault_enable(struct userfault *u, u32 features);
bool userfault_is_enabled(const struct userfault *u);
u32 userfault_features(const struct userfault *u); /* and bit 31 once they are chosen, as fdinfo shows it */

/* ---- messages ---- */

/* Woken when there is a message. */
struct wait_queue *userfault_readers(struct userfault *u);
bool userfault_has_message(struct userfault *u);
/* The oldest message: false if there is none. One of a fork comes with a reference to the child's context in *FORKED
 * and stays until userfault_fork_taken says whether the reader got its descriptor. */
bool userfault_take(struct userfault *u, struct uffd_msg *message, struct userfault **forked);
void userfault_fork_taken(struct userfault *u, struct userfault *forked, bool taken);
/* Faults whose messages nobody has read, and all that wait. */
void userfault_count(struct userfault *u, u64 *pending, u64 *total);

/* ---- operations; ranges are checked, page aligned and not empty ---- */

bool userfault_is_range(u64 start, u64 length);
/* UFFD_REGISTER_* for all mappings of the range. -EINVAL, -EPERM, -EBUSY, -ENOMEM as ioctl_userfaultfd(2) says. */
int userfault_register(struct userfault *u, u64 start, u64 length, unsigned modes);
int userfault_unregister(struct userfault *u, u64 start, u64 length);
/* Faults in the range are tried again. */
void userfault_wake(struct userfault *u, u64 start, u64 length);
/* Pages where there are none: bytes done, or -errno if none; nobody is woken. WP: stores will be reported. */
enum userfault_fill { FILL_COPY, FILL_ZERO, FILL_CONTINUE, FILL_POISON };
ssize_t userfault_fill(struct userfault *u, enum userfault_fill kind, u64 start, u64 source, u64 length, bool wp);
/* Moves private pages of SOURCE, in the same space, without a copy. */
ssize_t userfault_move(struct userfault *u, u64 start, u64 source, u64 length, bool allow_holes);
/* Stores to the range are reported from now on, or (not ON) no longer. */
int userfault_write_protect(struct userfault *u, u64 start, u64 length, bool on);

/* ---- hooks of other layers ---- */

/* MADV_REMOVE is about to punch a hole behind [start, end): tells who wants to know. => no lock */
void userfault_announce_remove(struct space *s, u64 start, u64 end);
/* How the number of the current thread is found; given at boot. */
void userfault_set_thread_number(u32 (*number)(void));

#endif
