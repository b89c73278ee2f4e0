/*
 * Faults as Quire's user traps: the kernel enters vm_upcall_entry (upcall.S) on the thread's handler stack, that calls
 * vm_upcall here, and the value it returns is the number of changes that the resume shall make.
 *
 *     a thread's memory:  [nobody's page][ handler stack  <-- sp ][ save area ]
 *
 * The save area's own words remember which range the last fault was in, so that most faults search no table:
 *
 *     program[0] generation of vm_traps, [1] start, [2] end, [3] handler, [4] argument; [5] where the thread's errno
 * is, [6] its struct fault_state
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

enum { GENERATION, START, END, HANDLER, ARGUMENT, ERRNO, STATE };

static THREAD_LOCAL struct {
    struct vmtrap_area *area; /* NULL: has not registered */
    char *memory;
    size_t bytes;
} self;

/* Of registers.c, where it is linked: handlers of this program look at registers that C functions keep. */
extern const char vm_wants_registers __attribute__((weak));

extern char vm_upcall_entry[], vm_upcall_entry_registers[]; /* upcall.S */
unsigned long vm_upcall(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc);

/* Fills the words that remember. False: nobody traps ADDRESS. */
static bool remember(struct vmtrap_area *area, uintptr_t address)
{
    unsigned long generation = areas_generation(&vm_traps);
    struct area found;

    if (!areas_find(&vm_traps, address, &found))
        return false;
    area->program[GENERATION] = generation;
    area->program[START] = found.start;
    area->program[END] = found.end;
    area->program[HANDLER] = (uintptr_t)found.handler;
    area->program[ARGUMENT] = (uintptr_t)found.argument;
    return true;
}

static bool is_remembered(const struct vmtrap_area *area, uintptr_t address)
{
    return address - area->program[START] < area->program[END] - area->program[START] &&
           area->program[GENERATION] == areas_generation(&vm_traps);
}

/* In memory that is armed and that nobody traps any more: the next time it shall be a signal. */
static void nobodys(uintptr_t address) { syscall(VMTRAP_ARM, address & -PAGE_BYTES, PAGE_BYTES, 0); }

/* Stores may be of interest to the library itself. */
static bool takes_stores(void) { return !areas_empty(&vm_shadows) || !areas_empty(&vm_logs); }

static int *errno_of(const struct vmtrap_area *area) { return (int *)area->program[ERRNO]; }

static struct fault_state *state_of(const struct vmtrap_area *area)
{
    return (struct fault_state *)area->program[STATE];
}

/* How many changes the resume shall make. */
static unsigned long changes(struct fault_state *state)
{
    int count = state->changes_count;

    if (count == 0 || areas_empty(&vm_shadows))
        return (unsigned long)count;
    vm_apply_changes(state); /* protections in shadowed memory are more than the page table's */
    return 0;
}

/* The library's own faults, and those in another range than the last. False: let the access be tried again. */
__attribute__((noinline)) static bool is_for_handler(struct vmtrap_area *area, const struct vm_fault *fault)
{
    uintptr_t address = (uintptr_t)fault->address;

    if (takes_stores() && (shadow_fault(fault) || log_fault(fault)))
        return false;
    if (is_remembered(area, address) || remember(area, address))
        return true;
    nobodys(address);
    return false;
}

unsigned long vm_upcall(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    struct fault_state *state = state_of(area);
    struct vm_fault fault;
    int saved = *errno_of(area);
    unsigned long count = 0;

    fault.address = (void *)address;
    fault.access = cause == VMTRAP_STORE ? VM_WRITE : cause == VMTRAP_LOAD ? VM_READ : VM_EXEC;
    fault.cause = VM_PROTECTION;
    fault.pc = (void *)pc;
    fault.state = state;
    state->changes_count = 0;
    if ((is_remembered(area, address) && !takes_stores()) || is_for_handler(area, &fault)) {
        ((vm_handler *)area->program[HANDLER])(&fault, (void *)area->program[ARGUMENT]);
        area->pc = (uintptr_t)fault.pc;
        count = changes(state_of(area));
    }
    *errno_of(area) = saved;
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
    struct fault_state *state;
    char *memory, *entry = &vm_wants_registers ? vm_upcall_entry_registers : vm_upcall_entry;
    struct vmtrap_area *area;

    if (self.area)
        return 0;
    memory = vm_pages(bytes);
    if (!memory)
        return -1;
    mprotect(memory, PAGE_BYTES, PROT_NONE);
    area = (struct vmtrap_area *)(memory + PAGE_BYTES + stack);
    state = (struct fault_state *)((char *)area + VMTRAP_AREA_SIZE);
    *state = (struct fault_state){(uintptr_t *)area->x, 32, 0, area->ranges};
    area->program[ERRNO] = (uintptr_t)&errno;
    area->program[STATE] = (uintptr_t)state;
    if (syscall(VMTRAP_REGISTER, area, entry, (char *)area, 0) != 0) {
        vm_pages_free(memory, bytes);
        return -1;
    }
    self.area = area;
    self.memory = memory;
    self.bytes = bytes;
    return 0;
}

void quire_leave(void)
{
    if (!self.area)
        return;
    syscall(VMTRAP_REGISTER, 0, 0, 0, 0);
    self.area = NULL;
    vm_pages_free(self.memory, self.bytes);
}

bool quire_is_busy(void) { return self.area && self.area->busy; }

void quire_leave_handler(void)
{
    if (self.area)
        self.area->busy = 0;
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
void quire_leave(void) {}
bool quire_is_busy(void) { return false; }
void quire_leave_handler(void) {}

long quire_protect(const struct vmtrap_range *ranges, size_t count)
{
    (void)ranges, (void)count;
    return vm_fail(ENOSYS);
}

#endif
