/*
 * Faults as Quire's user traps: the kernel enters vm_upcall_entry (upcall.S) on the thread's handler stack, that calls
 * vm_upcall here, and the value it returns is the number of changes that the resume shall make.
 *
 *     a thread's memory:  [nobody's page][ handler stack  <-- sp ][ save area ][ struct beside ]
 *
 * The save area's own words remember which range the last fault was in: upcall.S calls the handler by them, most often,
 * and this file only when the fault is in another range or may concern the library itself.
 *
 *     program[0] start and [1] length of the range, 0: nothing is remembered, [2] handler, [3] argument, [4] where the
 *     thread's errno is, [5] what it was
 *
 * Who changes a table sets the lengths of all threads to 0. A thread that remembers stores its length first and looks
 * then whether the tables are still of the generation that it searched: one of both sees the other.
 *
 * A struct vm_fault needs no place of its own: it lies across the area's begin, so that the kernel has filled in half
 * of it, and a handler's new pc is where the resume looks for it.
 *
 *     stack's last word  busy: a cause, below 2^32     pc  x[0], which no register uses
 *     address            access, cause: VM_PROTECTION  pc  state
 *
 * Threads that have not registered get SIGSEGV, as on any kernel, and so does a fault while a handler runs; signals.c
 * has it.
 *
 * Source: docs/vmtrap.md, quire/vmtrap.h.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum way vm_way(void)
{
    static atomic_int chosen;
    int known = atomic_load_explicit(&chosen, memory_order_relaxed);

    if (known)
        return known;
    known = WAY_SIGNALS;
#ifdef __riscv
    {
        const char *wish = getenv("VM_BACKEND");
        int saved = errno;

        if (!(wish && strcmp(wish, "signals") == 0) && syscall(VMTRAP_ARM, 0, 0, 0) == 0)
            known = WAY_QUIRE;
        errno = saved;
    }
#endif
    atomic_store_explicit(&chosen, known, memory_order_relaxed);
    return known;
}

const char *vm_backend(void) { return vm_way() == WAY_QUIRE ? "quire" : "signals"; }

#ifdef __riscv

enum { START, LENGTH, HANDLER, ARGUMENT, ERRNO, SAVED_ERRNO };

/* Behind the save area. */
struct beside {
    struct fault_state state;
    struct thread {
        struct vmtrap_area *area;
        struct thread *next, **link; /* under threads_lock */
        char *memory;
        size_t bytes;
    } thread;
};

#define FAULT_BEFORE offsetof(struct vm_fault, access) /* the area */

_Static_assert(offsetof(struct vmtrap_area, program) == 920 && VMTRAP_AREA_SIZE == 1024 &&
                   offsetof(struct beside, state) == 0 && offsetof(struct fault_state, resume) == 0,
               "upcall.S knows this");
_Static_assert(VM_EXEC == VMTRAP_FETCH && VM_READ == VMTRAP_LOAD && VM_WRITE == VMTRAP_STORE && VM_PROTECTION == 0,
               "what the kernel notes is a fault's access and cause");
_Static_assert(offsetof(struct vm_fault, address) == 0 && FAULT_BEFORE == 8 &&
                   offsetof(struct vm_fault, cause) == FAULT_BEFORE + 4 &&
                   offsetof(struct vm_fault, pc) == FAULT_BEFORE + offsetof(struct vmtrap_area, pc) &&
                   offsetof(struct vm_fault, state) == FAULT_BEFORE + offsetof(struct vmtrap_area, x),
               "a fault is a save area");

static THREAD_LOCAL struct vmtrap_area *self; /* NULL: has not registered */

static struct thread *threads;
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;

/* Of registers.c, where it is linked: handlers of this program look at registers that C functions keep. */
extern const char vm_wants_registers __attribute__((weak));

extern char vm_upcall_entry[], vm_upcall_entry_registers[]; /* upcall.S */
unsigned long vm_upcall(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc);

static struct beside *beside(struct vmtrap_area *area) { return (struct beside *)((char *)area + VMTRAP_AREA_SIZE); }

/* Some of AREAS are in WHERE. */
static bool has_some(struct areas *areas, const struct area *where)
{
    struct area other;

    return !areas_empty(areas) && areas_next(areas, where->start, &other) && other.start < where->end;
}

/* Handlers in WHERE are not called by what is remembered alone: stores there may be the library's own affair, or their
 * changes more than the page table's. */
static bool is_delicate(const struct area *where) { return !areas_empty(&vm_shadows) || has_some(&vm_logs, where); }

static _Atomic uint64_t *remembered_length(struct vmtrap_area *area)
{
    return (_Atomic uint64_t *)&area->program[LENGTH];
}

void quire_forget(void)
{
    pthread_mutex_lock(&threads_lock);
    for (struct thread *thread = threads; thread; thread = thread->next)
        atomic_store(remembered_length(thread->area), 0);
    pthread_mutex_unlock(&threads_lock);
}

void quire_lock_threads(void) { pthread_mutex_lock(&threads_lock); }
void quire_unlock_threads(void) { pthread_mutex_unlock(&threads_lock); }

/* Fills the words that remember. False: nobody traps ADDRESS. */
static bool remember(struct vmtrap_area *area, uintptr_t address)
{
    unsigned long generation = areas_generation();
    struct area found;

    if (!areas_find(&vm_traps, address, &found))
        return false;
    area->program[START] = found.start;
    area->program[HANDLER] = (uintptr_t)found.handler;
    area->program[ARGUMENT] = (uintptr_t)found.argument;
    atomic_store(remembered_length(area), is_delicate(&found) ? 0 : found.end - found.start);
    if (atomic_load(&vm_generation) != generation)
        atomic_store(remembered_length(area), 0);
    return true;
}

/* In memory that is armed and that nobody traps any more: the next time it shall be a signal. */
static void nobodys(uintptr_t address) { syscall(VMTRAP_ARM, address & -PAGE_BYTES, PAGE_BYTES, 0); }

/* What is given to the resume. */
static unsigned long changes(struct fault_state *state)
{
    if (state->resume == 0 || areas_empty(&vm_shadows))
        return state->resume;
    vm_apply_changes(state); /* protections in shadowed memory are more than the page table's */
    return 0;
}

unsigned long vm_upcall(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    struct vm_fault *fault = (struct vm_fault *)((char *)area - FAULT_BEFORE);
    struct fault_state *state = &beside(area)->state;
    int *here = (int *)area->program[ERRNO], saved = *here;
    unsigned long count = 0;

    (void)pc;
    fault->address = (void *)address;
    area->busy = cause;
    state->resume = 0;
    if (shadow_fault(fault) || log_fault(fault)) {
        ; /* let the store be tried again */
    } else if (remember(area, address)) {
        ((vm_handler *)area->program[HANDLER])(fault, (void *)area->program[ARGUMENT]);
        count = changes(state);
    } else {
        nobodys(address);
    }
    *here = saved;
    return count;
}

/* Where AREAS says something else than at ADDRESS, below END; *HERE: whether it has an area there, *AREA. */
static uintptr_t until(struct areas *areas, uintptr_t address, uintptr_t end, struct area *area, bool *here)
{
    *here = false;
    if (!areas_next(areas, address, area) || area->start >= end)
        return end;
    *here = area->start <= address;
    return !*here ? area->start : area->end < end ? area->end : end;
}

int quire_arm(uintptr_t start, uintptr_t end, bool clean)
{
    int error = 0;

    if (vm_way() != WAY_QUIRE)
        return 0;
    while (start < end) {
        bool trapped, is_tracked, logged;
        struct area area;
        unsigned long what = 0;
        uintptr_t stop = until(&vm_traps, start, end, &area, &trapped);

        stop = until(&vm_tracked, start, stop, &area, &is_tracked);
        stop = until(&vm_logs, start, stop, &area, &logged);
        if (trapped || logged)
            what |= VMTRAP_FAULTS;
        if (is_tracked)
            what |= VMTRAP_TRACK | (clean ? 0 : VMTRAP_KEEP);
        if (logged)
            what |= VMTRAP_LOGGED((unsigned long)log_number(area.argument));
        if (syscall(VMTRAP_ARM, start, stop - start, what))
            error = errno;
        start = stop;
    }
    return error;
}

bool quire_has_dirty(void)
{
    struct vmtrap_dirty nothing = {.flags = 0};

    return vm_way() == WAY_QUIRE && syscall(VMTRAP_DIRTY, &nothing) == 0;
}

_Static_assert(sizeof(struct vm_range) == sizeof(struct vmtrap_range), "the kernel fills in the program's own");

ssize_t quire_dirty(uintptr_t start, uintptr_t end, struct vm_range *out, size_t max, bool rearm, uintptr_t *next)
{
    struct vmtrap_range where = {start, end - start, 0};
    struct vmtrap_dirty ask = {.ranges = (uintptr_t)&where,
                               .n_ranges = 1,
                               .found = (uintptr_t)out,
                               .max = max,
                               .flags = rearm ? VMTRAP_REARM : 0};
    long count = syscall(VMTRAP_DIRTY, &ask);

    *next = ask.range == ask.n_ranges ? end : ask.address ? ask.address : start;
    return count;
}

int quire_enter(void)
{
    size_t stack = vm_stack_bytes(), bytes = stack + 2 * PAGE_BYTES;
    char *memory, *entry = &vm_wants_registers ? vm_upcall_entry_registers : vm_upcall_entry;
    struct vmtrap_area *area;
    struct thread *thread;

    if (self)
        return 0;
    memory = vm_pages(bytes);
    if (!memory)
        return -1;
    mprotect(memory, PAGE_BYTES, PROT_NONE);
    area = (struct vmtrap_area *)(memory + PAGE_BYTES + stack);
    thread = &beside(area)->thread;
    *beside(area) = (struct beside){
        .state = {0, (uintptr_t *)area->x, area->ranges, 32},
        .thread = {.area = area, .memory = memory, .bytes = bytes},
    };
    area->x[0] = (uintptr_t)&beside(area)->state;
    area->program[ERRNO] = (uintptr_t)&errno;
    if (syscall(VMTRAP_REGISTER, area, entry, (char *)area - 16, 0) != 0) {
        vm_pages_free(memory, bytes);
        return -1;
    }
    pthread_mutex_lock(&threads_lock);
    thread->next = threads;
    thread->link = &threads;
    if (threads)
        threads->link = &thread->next;
    threads = thread;
    pthread_mutex_unlock(&threads_lock);
    self = area;
    return 0;
}

void quire_leave(void)
{
    struct thread *thread;

    if (!self)
        return;
    thread = &beside(self)->thread;
    syscall(VMTRAP_REGISTER, 0, 0, 0, 0);
    pthread_mutex_lock(&threads_lock);
    *thread->link = thread->next;
    if (thread->next)
        thread->next->link = thread->link;
    pthread_mutex_unlock(&threads_lock);
    self = NULL;
    if (!vm_is_on(thread->memory, thread->bytes))
        vm_pages_free(thread->memory, thread->bytes);
}

bool quire_is_busy(void) { return self && self->busy; }

void quire_leave_handler(void)
{
    if (self)
        self->busy = 0;
}

long quire_protect(const struct vmtrap_range *ranges, size_t count) { return syscall(VMTRAP_PROTECT, ranges, count); }

#else /* another machine: vm_way is WAY_SIGNALS, and nobody calls these */

int quire_arm(uintptr_t start, uintptr_t end, bool clean)
{
    (void)start, (void)end, (void)clean;
    return 0;
}

bool quire_has_dirty(void) { return false; }

ssize_t quire_dirty(uintptr_t start, uintptr_t end, struct vm_range *out, size_t max, bool rearm, uintptr_t *next)
{
    (void)start, (void)end, (void)out, (void)max, (void)rearm, (void)next;
    return vm_fail(ENOSYS);
}

int quire_enter(void) { return 0; }
void quire_forget(void) {}
void quire_lock_threads(void) {}
void quire_unlock_threads(void) {}
void quire_leave(void) {}
bool quire_is_busy(void) { return false; }
void quire_leave_handler(void) {}

long quire_protect(const struct vmtrap_range *ranges, size_t count)
{
    (void)ranges, (void)count;
    return vm_fail(ENOSYS);
}

#endif
