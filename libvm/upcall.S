/*
 * Where Quire enters a program for a fault in armed memory (docs/vmtrap.md), and the way back:
 *
 *     a0 the save area, a1 the address, a2 the cause, a3 the pc; sp the handler's stack
 *
 * The registers that C functions may change are in the save area, floating point is the kernel's affair. Those that C functions
 * keep are live, and still have to be at the resume; where handlers may want to look at them they go to the area, too.
 */
#ifdef __riscv

#define X(number) (16 + 8 * (number)) /* vmtrap_area.x */
#define VMTRAP_RESUME 1025

    .text
    .hidden vm_upcall
    .balign 4

    .globl vm_upcall_entry
    .hidden vm_upcall_entry
    .type vm_upcall_entry, @function
vm_upcall_entry:
    call    vm_upcall
resume:
    li      a7, VMTRAP_RESUME
    ecall
    /* A change was not possible: it and those after it are left out. */
    li      a0, 0
    li      a7, VMTRAP_RESUME
    ecall
    ebreak
    .size vm_upcall_entry, . - vm_upcall_entry

    .globl vm_upcall_entry_registers
    .hidden vm_upcall_entry_registers
    .type vm_upcall_entry_registers, @function
vm_upcall_entry_registers:
    .irp number, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 3, 4
    sd      x\number, X(\number)(a0)
    .endr
    addi    sp, sp, -16
    sd      a0, 0(sp)
    call    vm_upcall
    ld      t0, 0(sp)
    .irp number, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
    ld      x\number, X(\number)(t0)
    .endr
    j       resume
    .size vm_upcall_entry_registers, . - vm_upcall_entry_registers

#endif
    .section .note.GNU-stack, "", @progbits
