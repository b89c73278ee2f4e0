/*
 * Traps: how user mode and interrupts enter the kernel and leave it, and the context switch.
 *
 * sscratch tells where a trap comes from: it holds the current thread while user mode runs, 0 while the kernel does
 * (then tp holds the thread). Interrupts are off from the trap on until somebody sets sstatus.SIE.
 *
 * System calls and faults take a short way. The kernel's C code preserves s0-s11 by the calling convention and never
 * touches gp, and the context switch keeps them all, so at the end they still hold the user's values: only the others
 * are saved and loaded. Calls that read or replace the whole context (fork, exec, sigreturn) are listed at
 * `whole_context_calls` and save everything; so does whatever ends with a signal or a reschedule pending, when it gets
 * there.
 */
#include "arch/riscv/csr.h"
#include "arch/riscv/layout.h"

/* struct thread */
#define THREAD_KERNEL_SP 0
#define THREAD_USER_SCRATCH 8
#define THREAD_FLAGS 16
#define THREAD_CONTEXT 32
#define THREAD_WORK 7 /* THREAD_SIGNAL | THREAD_KILLED | THREAD_RESCHED */

/* struct regs */
#define REGS_SIZE 304
#define X(n) (n) * 8
#define REGS_PC 256
#define REGS_STATUS 264
#define REGS_CAUSE 272
#define REGS_TVAL 280
#define REGS_ORIG_A0 288

#define SYSCALL_COUNT 470
#define STACK_BIT 14 /* of sp: set within a stack, clear in its guard (layout.h) */
#define ENOSYS 38

.macro SAVE_CALLER_SAVED
    sd ra, X(1)(sp)
    sd t0, X(5)(sp)
    sd t1, X(6)(sp)
    sd t2, X(7)(sp)
    sd a0, X(10)(sp)
    sd a1, X(11)(sp)
    sd a2, X(12)(sp)
    sd a3, X(13)(sp)
    sd a4, X(14)(sp)
    sd a5, X(15)(sp)
    sd a6, X(16)(sp)
    sd a7, X(17)(sp)
    sd t3, X(28)(sp)
    sd t4, X(29)(sp)
    sd t5, X(30)(sp)
    sd t6, X(31)(sp)
.endm

.macro SAVE_CALLEE_SAVED
    sd gp, X(3)(sp)
    sd s0, X(8)(sp)
    sd s1, X(9)(sp)
    sd s2, X(18)(sp)
    sd s3, X(19)(sp)
    sd s4, X(20)(sp)
    sd s5, X(21)(sp)
    sd s6, X(22)(sp)
    sd s7, X(23)(sp)
    sd s8, X(24)(sp)
    sd s9, X(25)(sp)
    sd s10, X(26)(sp)
    sd s11, X(27)(sp)
.endm

.macro LOAD_CALLEE_SAVED
    ld gp, X(3)(sp)
    ld s0, X(8)(sp)
    ld s1, X(9)(sp)
    ld s2, X(18)(sp)
    ld s3, X(19)(sp)
    ld s4, X(20)(sp)
    ld s5, X(21)(sp)
    ld s6, X(22)(sp)
    ld s7, X(23)(sp)
    ld s8, X(24)(sp)
    ld s9, X(25)(sp)
    ld s10, X(26)(sp)
    ld s11, X(27)(sp)
.endm

/* All but a0, tp and sp. */
.macro LOAD_CALLER_SAVED
    ld ra, X(1)(sp)
    ld t0, X(5)(sp)
    ld t1, X(6)(sp)
    ld t2, X(7)(sp)
    ld a1, X(11)(sp)
    ld a2, X(12)(sp)
    ld a3, X(13)(sp)
    ld a4, X(14)(sp)
    ld a5, X(15)(sp)
    ld a6, X(16)(sp)
    ld a7, X(17)(sp)
    ld t3, X(28)(sp)
    ld t4, X(29)(sp)
    ld t5, X(30)(sp)
    ld t6, X(31)(sp)
.endm

/* sepc and sstatus for sret. Clobbers t0, t1. */
.macro LOAD_STATUS
    ld t0, REGS_STATUS(sp)
    ld t1, REGS_PC(sp)
    csrw sstatus, t0
    csrw sepc, t1
.endm

.section .text.entry, "ax"
.balign 64
.globl trap_entry
trap_entry:
    csrrw tp, sscratch, tp
    beqz tp, from_kernel

    sd sp, THREAD_USER_SCRATCH(tp)
    ld sp, THREAD_KERNEL_SP(tp)
    addi sp, sp, -REGS_SIZE
    SAVE_CALLER_SAVED
    csrrw t0, sscratch, zero
    ld t1, THREAD_USER_SCRATCH(tp)
    csrr t2, sstatus
    csrr t3, sepc
    csrr t4, scause
    sd t0, X(4)(sp)
    sd t1, X(2)(sp)
    sd t2, REGS_STATUS(sp)
    sd t4, REGS_CAUSE(sp)
    li t5, CAUSE_ECALL
    bne t4, t5, user_trap_or_interrupt

    addi t3, t3, 4
    sd t3, REGS_PC(sp)
    sd a0, REGS_ORIG_A0(sp)
    li t0, SYSCALL_COUNT
    bgeu a7, t0, no_such_call
    la t1, whole_context_calls
    add t1, t1, a7
    lbu t1, 0(t1)
    la t0, syscall_table
    slli t2, a7, 3
    add t0, t0, t2
    ld t0, 0(t0)
    bnez t1, whole_context_call
    beqz t0, no_such_call
    csrsi sstatus, SSTATUS_SIE
    jalr t0

syscall_done:
    csrci sstatus, SSTATUS_SIE
    lw t0, THREAD_FLAGS(tp)
    andi t0, t0, THREAD_WORK
    bnez t0, syscall_done_with_work
    LOAD_STATUS
    csrw sscratch, tp
    LOAD_CALLER_SAVED
    ld tp, X(4)(sp)
    ld sp, X(2)(sp)
    sret

no_such_call:
    li a0, -ENOSYS
    j syscall_done

syscall_done_with_work:
    sd a0, X(10)(sp)
    SAVE_CALLEE_SAVED
    j return_to_user

whole_context_call:
    SAVE_CALLEE_SAVED
    li a0, -ENOSYS
    beqz t0, 1f
    ld a0, X(10)(sp)
    csrsi sstatus, SSTATUS_SIE
    jalr t0
1:  sd a0, X(10)(sp)
    j return_to_user

user_trap_or_interrupt:
    csrr t0, stval
    sd t3, REGS_PC(sp)
    sd t0, REGS_TVAL(sp)
    mv a0, sp
    bltz t4, 1f
    csrsi sstatus, SSTATUS_SIE
    call user_trap
    j 2f
1:  call handle_interrupt
2:  csrci sstatus, SSTATUS_SIE
    lw t0, THREAD_FLAGS(tp)
    andi t0, t0, THREAD_WORK
    bnez t0, trap_done_with_work
    LOAD_STATUS
    csrw sscratch, tp
    LOAD_CALLER_SAVED
    ld a0, X(10)(sp)
    ld tp, X(4)(sp)
    ld sp, X(2)(sp)
    sret

trap_done_with_work:
    SAVE_CALLEE_SAVED

/* sp = struct regs of user mode, all of it valid. */
return_to_user:
    csrci sstatus, SSTATUS_SIE
    lw t0, THREAD_FLAGS(tp)
    andi t0, t0, THREAD_WORK
    beqz t0, 1f
    csrsi sstatus, SSTATUS_SIE
    mv a0, sp
    call user_return_work
    j return_to_user
1:  LOAD_STATUS
    csrw sscratch, tp
    LOAD_CALLEE_SAVED
    LOAD_CALLER_SAVED
    ld a0, X(10)(sp)
    ld tp, X(4)(sp)
    ld sp, X(2)(sp)
    sret

/* ---- a trap in the kernel: an interrupt, or a bug ---- */
from_kernel:
    csrrw tp, sscratch, tp
    sd t0, THREAD_USER_SCRATCH(tp)
    addi sp, sp, -REGS_SIZE
    slli t0, sp, 63 - STACK_BIT
    bgez t0, stack_overflow
    ld t0, THREAD_USER_SCRATCH(tp)
    SAVE_CALLER_SAVED
    addi t0, sp, REGS_SIZE
save_rest:
    sd t0, X(2)(sp)
    sd tp, X(4)(sp)
    SAVE_CALLEE_SAVED
    csrr t0, sstatus
    csrr t1, sepc
    csrr t2, scause
    csrr t3, stval
    sd t0, REGS_STATUS(sp)
    sd t1, REGS_PC(sp)
    sd t2, REGS_CAUSE(sp)
    sd t3, REGS_TVAL(sp)
    mv a0, sp
    bgez t2, 1f
    call handle_interrupt
    j 2f
1:  call kernel_trap
2:  LOAD_STATUS
    LOAD_CALLEE_SAVED
    LOAD_CALLER_SAVED
    ld a0, X(10)(sp)
    ld sp, X(2)(sp)
    sret

/* sp is in a guard page (or nowhere): go on with the emergency stack, one hart only; the trap in kernel_trap panics. */
stack_overflow:
    addi t0, sp, REGS_SIZE
    la sp, emergency_stack_busy
    amoswap.w.aq sp, sp, (sp) /* any value but 0 will do */
    beqz sp, 1f
2:  wfi
    j 2b
1:  la sp, emergency_stack_top - REGS_SIZE
    sd t0, X(2)(sp)
    ld t0, THREAD_USER_SCRATCH(tp)
    SAVE_CALLER_SAVED
    ld t0, X(2)(sp)
    j save_rest

/* ---- threads ---- */

/* struct thread *switch_context(struct thread *prev, struct thread *next): returns prev, in next. */
.balign 64
.globl switch_context
switch_context:
    addi t0, a0, THREAD_CONTEXT
    addi t1, a1, THREAD_CONTEXT
    sd ra, 0(t0)
    sd sp, 8(t0)
    sd s0, 16(t0)
    sd s1, 24(t0)
    sd s2, 32(t0)
    sd s3, 40(t0)
    sd s4, 48(t0)
    sd s5, 56(t0)
    sd s6, 64(t0)
    sd s7, 72(t0)
    sd s8, 80(t0)
    sd s9, 88(t0)
    sd s10, 96(t0)
    sd s11, 104(t0)
    sd gp, 112(t0) /* the user's, live in it during a system call */
    sc.d zero, ra, (t0) /* a reservation must not outlive its thread's turn */
    ld ra, 0(t1)
    ld sp, 8(t1)
    ld s0, 16(t1)
    ld s1, 24(t1)
    ld s2, 32(t1)
    ld s3, 40(t1)
    ld s4, 48(t1)
    ld s5, 56(t1)
    ld s6, 64(t1)
    ld s7, 72(t1)
    ld s8, 80(t1)
    ld s9, 88(t1)
    ld s10, 96(t1)
    ld s11, 104(t1)
    ld gp, 112(t1)
    mv tp, a1
    ret

/* Where a new kernel thread begins: a0 = the thread before it, s0 = its function, s1 = the argument. */
.globl kernel_thread_entry
kernel_thread_entry:
    call sched_finish_switch
    csrsi sstatus, SSTATUS_SIE
    mv a0, s1
    jalr s0
    call thread_exit

/* Where a new user thread begins: sp = its struct regs. */
.globl user_thread_entry
user_thread_entry:
    call sched_finish_switch
    j return_to_user

/* ---- floating point: only here does the kernel touch those registers; sstatus.FS must not be off ---- */
.option push
.option arch, +f, +d
.globl fp_registers_save
fp_registers_save:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fsd f\n, \n * 8(a0)
    .endr
    frcsr t0
    sw t0, 256(a0)
    ret

.globl fp_registers_load
fp_registers_load:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fld f\n, \n * 8(a0)
    .endr
    lw t0, 256(a0)
    fscsr t0
    ret
.option pop

.section .rodata
/* By number: rt_sigreturn, clone, execve, execveat, clone3. */
whole_context_calls:
    .set number, 0
    .rept SYSCALL_COUNT
    .byte (number == 139 || number == 220 || number == 221 || number == 281 || number == 435) & 1
    .set number, number + 1
    .endr

.section .bss
.balign 4
emergency_stack_busy:
    .word 0
