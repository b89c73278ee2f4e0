/*
 * The interrupted code's registers. A file of its own: in a program that is linked with it (vm_wants_registers is
 * there), Quire's upcalls save the registers that C functions keep, too; others do not pay for that.
 */
#include "internal.h"

#include <string.h>

const char vm_wants_registers = 1;

/* Not x0, and not what other code relies on: gp and tp of RISC-V. */
static bool is_register(const struct vm_fault *fault, int number, bool to_change)
{
    const struct fault_state *state = fault->state;

    if (number < 0 || number >= state->register_count)
        return false;
#ifdef __riscv
    return number != 0 && (!to_change || (number != 3 && number != 4));
#else
    (void)to_change;
    return true;
#endif
}

uintptr_t vm_fault_register(const struct vm_fault *fault, int number)
{
    const struct fault_state *state = fault->state;

    return is_register(fault, number, false) ? state->registers[number] : 0;
}

int vm_fault_set_register(struct vm_fault *fault, int number, uintptr_t value)
{
    struct fault_state *state = fault->state;

    if (!is_register(fault, number, true))
        return vm_fail(EINVAL);
    state->registers[number] = value;
    return 0;
}
