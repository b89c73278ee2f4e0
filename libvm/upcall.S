/*
 * Where Quire enters a program for a fault in armed memory (docs/vmtrap.md), and the way back:
 *
 *     a0 the save area, a1 the address, a2 the cause, a3 the pc; sp the handler's stack, 16 bytes below the area
 *
 * The registers that C functions may change are in the save area, floating point is the kernel's affair. Those that C
 * functions keep are live, and still have to be at the resume; where handlers may want to look at them they go to the
 * area, too. quire.c tells what is in the area's own words, beside it, and across its begin: the struct vm_fault.
 */
#ifdef __riscv

#define X(number) (16 + 8 * (number)) /* vmtrap_area.x */
#define START 920                     /* vmtrap_area.program */
#define LENGTH 928
#define HANDLER 936
#define ARGUMENT 944
#define ERRNO 952
#define SAVED_ERRNO 960
#define RESUME 1024 /* struct fault_state */
#define VMTRAP_RESUME 1025

    .text
    .hidden vm_upcall
    .balign 4

    .globl vm_upcall_entry
    .hidden vm_upcall_entry
    .type vm_upcall_entry, @function
vm_upcall_entry:
    /* the range of the last fault: its handler */
    ld      t0, START(a0)
    ld      t1, LENGTH(a0)
    sub     t0, a1, t0
    bgeu    t0, t1, 1f
    ld      t0, ERRNO(a0)
    sd      a1, -8(a0)
    lw      t0, 0(t0)
    sd      zero, RESUME(a0)
    sd      t0, SAVED_ERRNO(a0)
    ld      t0, HANDLER(a0)
    ld      a1, ARGUMENT(a0)
    addi    a0, a0, -8
    jalr    t0
    ld      t0, 16 + ERRNO(sp)
    lw      t1, 16 + SAVED_ERRNO(sp)
    ld      a0, 16 + RESUME(sp)
    sw      t1, 0(t0)
resume:
    li      a7, VMTRAP_RESUME
    ecall
    /* A change was not possible: it and those after it are left out. */
    li      a0, 0
    li      a7, VMTRAP_RESUME
    ecall
    ebreak
1:  call    vm_upcall
    j       resume
    .size vm_upcall_entry, . - vm_upcall_entry

    .globl vm_upcall_entry_registers
    .hidden vm_upcall_entry_registers
    .type vm_upcall_entry_registers, @function
vm_upcall_entry_registers:
    .irp number, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 3, 4
    sd      x\number, X(\number)(a0)
    .endr
    call    vm_upcall
    .irp number, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
    ld      x\number, 16 + X(\number)(sp)
    .endr
    j       resume
    .size vm_upcall_entry_registers, . - vm_upcall_entry_registers

#endif
    .section .note.GNU-stack, "", @progbits
