/*
 * Data races, caught in the act: the kernel that DEBUG=races builds.
 *
 * The compiler calls the functions below before each access to memory (-fsanitize=thread, but with this run-time
 * instead of its own). Every now and then a hart puts up a watchpoint for what it is about to access, waits a moment,
 * and looks:
 *
 *     hart 0                                     hart 1
 *     about to read x: watch x, x is 5
 *     ... waits ...                              about to write x: x is watched, says who it is
 *     x is 7: a race, both places are known      writes x
 *
 * A race is two accesses at the same time, one of them a write, that are not both marked (lib/atomic.h: load_relaxed,
 * store_relaxed and the others; volatile). Of a plain read only one that saw the value change counts; plain writes of a
 * word beside marked reads of it do not. Nothing that is not a race is ever reported, but what does not happen in a run
 * is not found in it.
 *
 * Each pair of places is told once, by a thread, since races happen where nothing may be printed:
 *
 *     race: 0xPLACE reads 8 bytes at 0xADDRESS while 0xPLACE writes them: 0x5 became 0x7
 *
 * tools/races.sh says what lines those are. The method is that of "Effective Data-Race Detection for the Kernel"
 * (Erickson and others, OSDI 2010).
 */
#include "sched/race.h"
#include "sched/sched.h"
#include "sched/wait.h"

#ifdef RACES

#define SLOTS 512u           /* watchpoints, by address */
#define ACCESSES 200u        /* about so many pass between two watchpoints of a hart */
#define DELAY 4000u          /* rounds of waiting: so many to twice that, */
#define LONG_DELAY_EVERY 64u /* but now and then */
#define LONG_DELAY 40000u
#define MAX_RACES 256u
#define PRINT_NS (50 * NSEC_PER_MSEC)

enum { IS_WRITE = 1, IS_MARKED = 2 };

/* A slot's key: 0, or the watched word's address / 8 from bit 9 on, which of its bytes from bit 1 on, IS_WRITE; while
 * another hart tells who it is, SAYING, then SAID. */
enum { KEY_BYTES = 1, KEY_WORD = 9, SAYING = 1, SAID = 0x201 };
struct slot {
    u64 key;
    u64 other; /* where the other access is, and what it does in the lowest bit */
};
static struct slot slots[SLOTS];

struct race {
    u64 place, other; /* 0: not known, a device or code that is not watched */
    u64 address, before, after;
    u32 size;
    bool is_write, told;
};
static struct race races[MAX_RACES];
static u32 race_count, races_busy;

static struct watcher {
    u32 left; /* accesses until the next watchpoint */
    u32 random;
    bool waits;
} watchers[MAX_HARTS];

static bool watching;

static u32 random_of(struct watcher *w)
{
    w->random = w->random * 1664525 + 1013904223;
    return w->random >> 8;
}

static u64 value_at(u64 address, unsigned size)
{
    switch (size) {
    case 1:
        return *(volatile u8 *)address;
    case 2:
        return *(volatile u16 *)address;
    case 4:
        return *(volatile u32 *)address;
    default:
        return *(volatile u64 *)address;
    }
}

static void note_race(const struct race *found)
{
    u32 i = 0;

    u64 flags = irq_save();
    while (arch_swap_acquire(&races_busy, 1) != 0)
        cpu_relax();
    while (i < race_count && (races[i].place != found->place || races[i].other != found->other) &&
           (races[i].place != found->other || races[i].other != found->place))
        i++;
    if (i == race_count && i < MAX_RACES) {
        races[i] = *found;
        store_release(&race_count, i + 1);
    }
    store_release(&races_busy, 0);
    irq_restore(flags);
}

static void wait_a_moment(struct watcher *w)
{
    u32 n = random_of(w) % LONG_DELAY_EVERY == 0 ? LONG_DELAY : DELAY + random_of(w) % DELAY;

    while (n-- > 0)
        cpu_relax();
}

/* What another hart has said, or 0; the slot is free. */
static u64 take_down(struct slot *slot, u64 key)
{
    u64 other, now = key;

    if (atomic_cas(&slot->key, &now, 0))
        return 0;
    while (load_acquire(&slot->key) != SAID)
        cpu_relax();
    other = slot->other;
    store_release(&slot->key, 0);
    return other;
}

static void watch(struct watcher *w, struct slot *slot, u64 key, struct race *r)
{
    u64 free = 0;

    if (!atomic_cas(&slot->key, &free, key))
        return;
    r->before = value_at(r->address, r->size);
    wait_a_moment(w);
    r->after = value_at(r->address, r->size);
    r->other = take_down(slot, key);
    if (r->before != r->after || (r->is_write && r->other != 0))
        note_race(r);
}

static inline_fn void accessed(const volatile void *at, unsigned size, unsigned kind, void *place)
{
    u64 address = (u64)at, word = address << 6 >> KEY_WORD, key;
    unsigned bytes = ((1u << size) - 1) << (address & 7) & 0xff;
    struct slot *slot = &slots[(word ^ word >> 9) % SLOTS];
    struct watcher *w;

    if (unlikely(!load_relaxed(&watching)))
        return;
    key = load_relaxed(&slot->key);
    if (unlikely(key >> KEY_WORD == word) && (key >> KEY_BYTES & bytes) != 0 && ((key | kind) & IS_WRITE) != 0 &&
        kind != IS_MARKED) {
        if (atomic_cas(&slot->key, &key, SAYING)) {
            slot->other = (u64)place | (kind & IS_WRITE);
            store_release(&slot->key, SAID);
        }
        return;
    }
    w = &watchers[this_hart()->id];
    if ((kind & IS_MARKED) || w->waits || w->left-- > 0)
        return;
    w->left = ACCESSES / 2 + random_of(w) % ACCESSES;
    w->waits = true;
    watch(w, slot, word << KEY_WORD | (u64)bytes << KEY_BYTES | (kind & IS_WRITE),
          &(struct race){.place = (u64)place, .address = address, .size = size, .is_write = kind & IS_WRITE});
    w->waits = false;
}

/* ---- what the compiler calls ---- */

#define PLACE __builtin_return_address(0)

void __tsan_init(void);
void __tsan_init(void) {}

#define DEFINE_ACCESS(name, size, kind) \
    void __tsan_##name(void *at);       \
    void __tsan_##name(void *at) { accessed(at, size, kind, PLACE); }

#define DEFINE_ACCESSES(size, bytes)                      \
    DEFINE_ACCESS(read##size, bytes, 0)                   \
    DEFINE_ACCESS(write##size, bytes, IS_WRITE)           \
    DEFINE_ACCESS(unaligned_read##size, bytes, 0)         \
    DEFINE_ACCESS(unaligned_write##size, bytes, IS_WRITE) \
    DEFINE_ACCESS(volatile_read##size, bytes, IS_MARKED)  \
    DEFINE_ACCESS(volatile_write##size, bytes, IS_MARKED | IS_WRITE)

DEFINE_ACCESSES(1, 1)
DEFINE_ACCESSES(2, 2)
DEFINE_ACCESSES(4, 4)
DEFINE_ACCESSES(8, 8)
DEFINE_ACCESSES(16, 8) /* its first half */

void __tsan_read_range(void *at, size_t size);
void __tsan_write_range(void *at, size_t size);
void __tsan_read_range(void *at, size_t size) { accessed(at, MIN(size, (size_t)8), 0, PLACE); }
void __tsan_write_range(void *at, size_t size) { accessed(at, MIN(size, (size_t)8), IS_WRITE, PLACE); }

/* Atomic operations are done here, in the strongest order. */
#define DEFINE_FETCH(type, bits, name)                             \
    type __tsan_atomic##bits##_##name(type *p, type v, int order); \
    type __tsan_atomic##bits##_##name(type *p, type v, int order)  \
    {                                                              \
        accessed(p, bits / 8, IS_MARKED | IS_WRITE, PLACE);        \
        return __atomic_##name(p, v, __ATOMIC_SEQ_CST);            \
    }

#define DEFINE_CAS(type, bits, name)                                                                  \
    int __tsan_atomic##bits##_compare_exchange_##name(type *p, type *expected, type v, int a, int b); \
    int __tsan_atomic##bits##_compare_exchange_##name(type *p, type *expected, type v, int a, int b)  \
    {                                                                                                 \
        accessed(p, bits / 8, IS_MARKED | IS_WRITE, PLACE);                                           \
        return __atomic_compare_exchange_n(p, expected, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);    \
    }

#define DEFINE_ATOMICS(type, bits)                                   \
    type __tsan_atomic##bits##_load(const type *p, int order);       \
    type __tsan_atomic##bits##_load(const type *p, int order)        \
    {                                                                \
        accessed(p, bits / 8, IS_MARKED, PLACE);                     \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);                 \
    }                                                                \
    void __tsan_atomic##bits##_store(type *p, type v, int order);    \
    void __tsan_atomic##bits##_store(type *p, type v, int order)     \
    {                                                                \
        accessed(p, bits / 8, IS_MARKED | IS_WRITE, PLACE);          \
        __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                    \
    }                                                                \
    type __tsan_atomic##bits##_exchange(type *p, type v, int order); \
    type __tsan_atomic##bits##_exchange(type *p, type v, int order)  \
    {                                                                \
        accessed(p, bits / 8, IS_MARKED | IS_WRITE, PLACE);          \
        return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);          \
    }                                                                \
    DEFINE_FETCH(type, bits, fetch_add)                              \
    DEFINE_FETCH(type, bits, fetch_sub)                              \
    DEFINE_FETCH(type, bits, fetch_and)                              \
    DEFINE_FETCH(type, bits, fetch_or)                               \
    DEFINE_FETCH(type, bits, fetch_xor)                              \
    DEFINE_CAS(type, bits, strong)                                   \
    DEFINE_CAS(type, bits, weak)

DEFINE_ATOMICS(u8, 8)
DEFINE_ATOMICS(u16, 16)
DEFINE_ATOMICS(u32, 32)
DEFINE_ATOMICS(u64, 64)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order) { memory_barrier(); }

/* ---- telling ---- */

static void tell(const struct race *r)
{
    if (r->other != 0)
        kprintf("race: 0x%lx %s %u bytes at 0x%lx while 0x%lx %s them: 0x%lx became 0x%lx", r->place,
                r->is_write ? "writes" : "reads", r->size, r->address, r->other & ~1ul,
                r->other & IS_WRITE ? "writes" : "reads", r->before, r->after);
    else
        kprintf("race: 0x%lx %s %u bytes at 0x%lx that change meanwhile: 0x%lx became 0x%lx", r->place,
                r->is_write ? "writes" : "reads", r->size, r->address, r->before, r->after);
}

/* Nobody wakes the thread, since who finds a race may hold any lock. */
static void tell_races(void *unused)
{
    static struct wait_queue nobody = WAIT_QUEUE_INIT(nobody);

    for (u32 told = 0;; told++) {
        while (told == load_acquire(&race_count))
            (void)wait_event_state(&nobody, told != load_acquire(&race_count), THREAD_SLEEPING, time_ns() + PRINT_NS);
        tell(&races[told]);
    }
}

/* A race there must be, or nobody watches. */
static __attribute__((noinline)) void plant_race(void)
{
    static u64 planted;

    __tsan_read8(&planted);
    __tsan_write8(&planted);
    (*(volatile u64 *)&planted)++;
}

static void plant_races(void *unused)
{
    for (u32 before = load_relaxed(&race_count); load_relaxed(&race_count) == before && machine.harts > 1;
         cond_resched())
        plant_race();
}

void race_init(void)
{
    if (IS_ERR(kernel_thread("races", tell_races, NULL)) || IS_ERR(kernel_thread("race-1", plant_races, NULL)) ||
        IS_ERR(kernel_thread("race-2", plant_races, NULL)))
        panic("no memory for the threads that tell races");
    for (unsigned i = 0; i < MAX_HARTS; i++)
        watchers[i].random = i;
    store_release(&watching, true);
}

#endif
