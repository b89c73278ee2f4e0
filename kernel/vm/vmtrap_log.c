/*
 * Logs of stores: a store to a page that may only be read, in a range that is armed for a log, opens the page, and its
 * address goes into a ring in the program's memory. The program is not entered.
 *
 *   struct vmtrap_log      head       tail       entries[i % n]: addresses of pages
 *                          kernel's   program's  0: taken, about to be filled in
 *
 * The ring is user memory like any other and reached as such; nothing in it is believed: the index is cut to the ring's
 * size, and a wrong head or tail only makes the program miss what it wanted to know. A place is taken by compare and
 * exchange of the head, then filled in, then the page is opened: when the store goes on it is in the log. Two threads
 * that store to a page at once may both log it.
 *
 * A space has a few logs, by number; a vma has the number of its log. Closing a log leaves that: the store is a
 * forbidden access then. fork copies them, each space has its own ring. Lock: space->lock, for writing to change them.
 */
#include "lib/string.h"
#include "quire/vmtrap.h"
#include "sched/thread.h"
#include "vm/tlb.h"
#include "vm/uaccess.h"
#include "vm/vmtrap.h"

static_assert(VMTRAP_LOGS == TRAP_LOGS && offsetof(struct vmtrap_log, tail) == 4,
              "the ring's head and tail are a pair");

#define MAX_ENTRIES (1u << 20)

bool space_has_logs(const struct space *s) { return load_relaxed(&s->has_logs); }

static long open_log(struct space *s, u64 ring, u32 entries)
{
    for (unsigned i = 0; i < TRAP_LOGS; i++) {
        if (s->logs[i].ring != 0)
            continue;
        s->logs[i] = (struct trap_log){ring, entries, i + 1};
        s->has_logs = true;
        return i + 1;
    }
    return -EMFILE;
}

static long close_log(struct space *s, u64 number)
{
    if (number == 0 || number > TRAP_LOGS || s->logs[number - 1].ring == 0)
        return -EBADF;
    s->logs[number - 1].ring = 0;
    pt_forget_leaves(s); /* threads that remember it */
    return 0;
}

long space_log(struct space *s, u64 number, u64 ring, u64 entries)
{
    long result;

    if (entries != 0 && (number != 0 || entries > MAX_ENTRIES || (entries & (entries - 1)) != 0))
        return -EINVAL;
    if (entries != 0 && (ring == 0 || ring % sizeof(struct vmtrap_log) != 0))
        return -EINVAL;
    if (entries != 0 && (ring >= arch_user_address_limit() || put_user_u64(0, (u64 *)ring) != 0)) /* head and tail */
        return -EFAULT;
    write_lock(&s->lock);
    result = entries != 0 ? open_log(s, ring, (u32)entries) : close_log(s, number);
    write_unlock(&s->lock);
    return result;
}

/* Takes the next place; false: the ring is full, or not there. */
static bool take_place(const struct trap_log *log, u32 *place)
{
    u32 *head = (u32 *)(log->ring + offsetof(struct vmtrap_log, head)), seen;
    u64 both;

    do {
        if (get_user_u64(&both, (const u64 *)log->ring) != 0)
            return false;
        *place = (u32)both;
        if (*place - (u32)(both >> 32) >= log->entries)
            return false;
        if (cmpxchg_user_u32(head, *place, *place + 1, &seen) != 0)
            return false;
    } while (seen != *place && !fatal_signal_pending());
    return seen == *place;
}

/* The entry of user page VA, and the kernel's address of it; false: it cannot be remembered. => interrupts off */
static bool note_page(struct space *s, u64 va, const u64 **pte, u64 *entry, u64 **page)
{
    const pte_t need = PTE_V | PTE_U | PTE_R | PTE_W | PTE_A | PTE_D;
    struct page *table;

    *pte = pt_find(s, va, &table);
    if (*pte == NULL)
        return false;
    *entry = load_relaxed(*pte);
    *page = page_address(pte_page(*entry));
    return (*entry & need) == need;
}

/* The current thread remembers LOG and the page of the entry at ENTRY. */
static void note_log(struct space *s, const struct trap_log *log, u64 entry)
{
    struct trap_log_state *l = &current->trap.log;
    u64 flags = irq_save(), generation = load_acquire(&s->leaf_generation);
    u32 number = l->number;
    u64 *slots;

    l->number = 0;
    if (current->trap.noted == generation && note_page(s, log->ring, &l->ring_pte, &l->ring_entry, &l->ring) &&
        note_page(s, entry, &l->slots_pte, &l->slots_entry, &slots)) {
        l->ring = (u64 *)((char *)l->ring + (log->ring & PAGE_MASK));
        l->slots = (char *)slots;
        l->slots_from = ALIGN_DOWN(entry, PAGE_SIZE) - (log->ring + sizeof(struct vmtrap_log));
        l->mask = log->entries - 1;
        l->number = log->number;
        l->in_one_page = (log->ring & PAGE_MASK) + VMTRAP_LOG_SIZE(log->entries) <= PAGE_SIZE;
    }
    for (unsigned i = 0; number != l->number && i < TRAP_HINTS && current->trap.hints != NULL; i++)
        vmtrap_hint_log(&current->trap, &current->trap.hints[i]);
    irq_restore(flags);
}

bool vmtrap_log_store(struct space *s, const struct trap_log *log, u64 address)
{
    u64 page = ALIGN_DOWN(address, PAGE_SIZE), entry;
    u32 place;

    if (log->ring == 0 || !take_place(log, &place))
        return false;
    entry = log->ring + sizeof(struct vmtrap_log) + (place & (log->entries - 1)) * sizeof(u64);
    if (put_user_u64(page, (u64 *)entry) != 0)
        return false;
    note_log(s, log, entry);
    return vmtrap_open(s, address);
}
