/*
 * A fault, however it came, on its way to the handler of its range, and what a handler may ask and change.
 */
#include "internal.h"

#include <string.h>

struct areas vm_traps;

int vm_trap(void *start, size_t length, vm_handler *handler, void *argument)
{
    size_t bytes = vm_whole_pages(start, length);
    struct area area = {(uintptr_t)start, (uintptr_t)start + bytes, handler, argument};
    int error;

    if (bytes == 0 || !handler)
        return vm_fail(EINVAL);
    if (msync(start, bytes, MS_ASYNC) && errno == ENOMEM)
        return -1; /* not mapped */
    error = vm_signals_start();
    if (error)
        return vm_fail(error);
    if (vm_thread_enter())
        return -1;
    error = areas_change(&vm_traps, &area);
    if (error)
        return vm_fail(error);
    error = quire_arm(area.start, area.end, false);
    if (error) {
        vm_untrap(start, bytes);
        return vm_fail(error);
    }
    return 0;
}

int vm_untrap(void *start, size_t length)
{
    size_t bytes = vm_whole_pages(start, length);
    struct area area = {(uintptr_t)start, (uintptr_t)start + bytes, NULL, NULL};
    int error;

    if (bytes == 0)
        return vm_fail(EINVAL);
    error = areas_change(&vm_traps, &area);
    quire_arm(area.start, area.end, false); /* it may have holes */
    return error ? vm_fail(error) : 0;
}

bool vm_call_handler(struct vm_fault *fault)
{
    struct area area;

    if (!areas_find(&vm_traps, (uintptr_t)fault->address, &area))
        return false;
    area.handler(fault, area.argument);
    return true;
}

/* All that is to be changed is among the ranges; how many they are. */
static uint64_t as_ranges(struct fault_state *state)
{
    if (state->resume >= PAGE_BYTES) {
        state->changes[0] = (struct vmtrap_range){state->resume & -PAGE_BYTES, PAGE_BYTES, state->resume % PAGE_BYTES};
        state->resume = 1;
    }
    return state->resume;
}

void vm_apply_changes(struct fault_state *state)
{
    uint64_t count = as_ranges(state);

    for (uint64_t i = 0; i < count; i++) {
        const struct vmtrap_range *range = &state->changes[i];

        if (vm_protect((void *)range->start, range->length, (int)range->prot))
            return;
    }
}

int vm_fault_protect_any(struct vm_fault *fault, void *start, size_t length, int prot)
{
    struct fault_state *state = fault->state;
    size_t bytes = vm_whole_pages(start, length);
    uint64_t count = as_ranges(state);

    if (bytes == 0 || !vm_is_protection(prot))
        return vm_fail(EINVAL);
    if (count == VM_FAULT_RANGES)
        return vm_fail(ENOSPC);
    state->changes[count] = (struct vmtrap_range){(uintptr_t)start, bytes, (uint64_t)prot};
    state->resume = count + 1;
    return 0;
}

size_t vm_fault_length(const struct vm_fault *fault)
{
#ifdef __riscv
    uint16_t half;

    memcpy(&half, fault->pc, sizeof(half));
    return vm_decode_length(half);
#else
    (void)fault;
    return 0;
#endif
}

/* --- Threads ---------------------------------------------------------------------------------------------------------
 */

/* A thread that ends leaves, too. */
static pthread_key_t leaving;
static bool has_key;

static void leave(void *unused)
{
    (void)unused;
    vm_thread_leave();
}

static void make_key(void) { has_key = pthread_key_create(&leaving, leave) == 0; }

int vm_thread_enter(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_key);
    if (has_key)
        pthread_setspecific(leaving, &leaving); /* any value but NULL */
    return vm_way() == WAY_QUIRE ? quire_enter() : vm_signals_enter();
}

void vm_thread_leave(void)
{
    if (vm_way() == WAY_QUIRE)
        quire_leave();
    else
        vm_signals_leave();
}

/* A signal may have entered the handler on Quire, too, of a thread that has not registered. */
void vm_leave_handler(void)
{
    if (!vm_signals_leave_handler() && vm_way() == WAY_QUIRE)
        quire_leave_handler();
}
