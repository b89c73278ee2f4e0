/*
 * A fault, however it came, on its way to the handler of its range, and what a handler may ask and change.
 */
#include "internal.h"

#include <string.h>

struct areas vm_traps = AREAS_INITIALIZER;

int vm_trap(void *start, size_t length, vm_handler *handler, void *argument)
{
    size_t bytes = vm_whole_pages(start, length);
    struct area area = {(uintptr_t)start, (uintptr_t)start + bytes, handler, argument};
    int error;

    if (bytes == 0 || !handler)
        return vm_fail(EINVAL);
    error = vm_signals_start();
    if (error)
        return vm_fail(error);
    if (vm_thread_enter())
        return -1;
    error = areas_change(&vm_traps, &area);
    return error ? vm_fail(error) : 0;
}

int vm_untrap(void *start, size_t length)
{
    size_t bytes = vm_whole_pages(start, length);
    struct area area = {(uintptr_t)start, (uintptr_t)start + bytes, NULL, NULL};
    int error;

    if (bytes == 0)
        return vm_fail(EINVAL);
    error = areas_change(&vm_traps, &area);
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

void vm_apply_changes(struct fault_state *state)
{
    for (int i = 0; i < state->changes_count; i++)
        vm_protect(state->changes[i].start, state->changes[i].length, state->changes[i].prot);
}

int vm_fault_protect(struct vm_fault *fault, void *start, size_t length, int prot)
{
    struct fault_state *state = fault->state;
    size_t bytes = vm_whole_pages(start, length);

    if (bytes == 0 || !vm_is_protection(prot))
        return vm_fail(EINVAL);
    if (state->changes_count == VM_FAULT_RANGES)
        return vm_fail(ENOSPC);
    state->changes[state->changes_count++] = (struct vm_range){start, bytes, prot};
    return 0;
}

#ifdef __riscv
#define IS_ZERO(number) ((number) == 0)
#else
#define IS_ZERO(number) false
#endif

uintptr_t vm_fault_register(const struct vm_fault *fault, int number)
{
    const struct fault_state *state = fault->state;

    if (number < 0 || number >= state->register_count || IS_ZERO(number))
        return 0;
    return state->registers[number];
}

int vm_fault_set_register(struct vm_fault *fault, int number, uintptr_t value)
{
    struct fault_state *state = fault->state;

    if (number < 0 || number >= state->register_count || IS_ZERO(number))
        return vm_fail(EINVAL);
    state->registers[number] = value;
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
