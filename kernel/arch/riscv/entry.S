/*
 * Traps: how user mode and interrupts enter the kernel and leave it, and the context switch.
 *
 * sscratch tells where a trap comes from: 0 while the kernel runs (then tp holds the thread); while user mode runs the
 * current thread, or with isolation=on this hart's part of stub_data. Interrupts are off from the trap on until
 * somebody sets sstatus.SIE.
 *
 * The user's registers go to thread->regs, reached by tp. System calls and faults take a short way: the kernel's C code
 * preserves s0-s11 by the calling convention and never touches gp, and the context switch keeps them all, so at the end
 * they still hold the user's values: only the others are saved and loaded. Calls that read or replace the whole context
 * (fork, exec) save everything; so does whatever ends with a signal or a reschedule pending, when it gets there.
 *
 * sstatus is neither saved nor loaded: outside the first and last instructions of a trap SPP is 0 and SPIE is 1, and FS
 * is always that of the current thread (fp.c).
 *
 * User traps (docs/vmtrap.md) have a way of their own in front of all that: a forbidden access to armed memory goes to
 * the program's handler, and comes back, without a stop in thread->regs and with interrupts off all the time.
 *
 * user_entry.inc is assembled twice: as it is, and for isolation=on. Then user mode runs on a page table that has
 * nothing of the kernel but two pages, code and data of the stub below, which changes satp on the way in and out:
 *
 *     user table:    program              | stub_enter, stub_leave | stub_data
 *     kernel table:            the kernel | stub_enter, stub_leave | stub_data
 *
 * The kernel reaches user memory through its direct map, so its own table never shows any of it and one serves all.
 */
#include "arch/riscv/csr.h"
#include "arch/riscv/layout.h"

/* struct thread */
#define THREAD_KERNEL_SP 0
#define THREAD_SCRATCH 8
#define THREAD_FLAGS 16
#define THREAD_HART 24
#define THREAD_REGS 32
#define THREAD_CONTEXT 336
#define THREAD_TRAP 456 /* struct trap_state */
#define TRAP_GENERATION THREAD_TRAP + 0
#define TRAP_CURRENT THREAD_TRAP + 8
#define TRAP_AREA_PTE THREAD_TRAP + 16
#define TRAP_AREA_ENTRY THREAD_TRAP + 24
#define TRAP_AREA THREAD_TRAP + 32
#define TRAP_HINTS THREAD_TRAP + 40
#define TRAP_USER_AREA THREAD_TRAP + 48
#define TRAP_ENTRY THREAD_TRAP + 56
#define TRAP_STACK THREAD_TRAP + 64
#define TRAP_STATUS THREAD_TRAP + 72
#define TRAP_WAY THREAD_TRAP + 80
#define TRAP_FAULT_SUM THREAD_TRAP + 88
#define TRAP_STORE_SUM THREAD_TRAP + 96
#define TRAP_PAGES THREAD_TRAP + 104
#define TRAP_ALONE THREAD_TRAP + 112
#define TRAP_ASID THREAD_TRAP + 120
#define LOG_RING_PTE THREAD_TRAP + 128 /* struct trap_log_state */
#define LOG_RING_ENTRY THREAD_TRAP + 136
#define LOG_RING THREAD_TRAP + 144
#define LOG_MASK THREAD_TRAP + 152
#define LOG_SLOTS_PTE THREAD_TRAP + 160
#define LOG_SLOTS_ENTRY THREAD_TRAP + 168
#define LOG_SLOTS THREAD_TRAP + 176
#define LOG_SLOTS_FROM THREAD_TRAP + 184
#define THREAD_WORK 7 /* THREAD_SIGNAL | THREAD_KILLED | THREAD_RESCHED */

/* struct trap_hint (vm/vmtrap.h), an array of 32 by address / 2 MiB */
#define HINT_START 0
#define HINT_LENGTH 8
#define HINT_ENTRIES 16
#define HINT_PLAIN_LENGTH 24
#define HINT_LOG_LENGTH 32
#define HINT_LOCK 40
#define HINT_OPEN 48
#define HINT_ABSENT 56
#define HINT_LOG 60
#define HINT_INDEX_SHIFT 15 /* 21 - 6: each has 64 bytes */
#define HINT_INDEX_MASK 0x7c0

/* struct vmtrap_area: the save area */
#define AREA_BUSY 0
#define AREA_PC 8
#define AREA(n) 16 + X(n)

/* struct vmtrap_log: the ring of a log */
#define RING_HEAD 0
#define RING_TAIL 4
#define RING_ENTRIES 64

/* struct regs: in a thread, and on the kernel's stack for traps of the kernel itself */
#define REGS_SIZE 304
#define X(n) (n) * 8
#define REGS_PC 256
#define REGS_STATUS 264
#define REGS_CAUSE 272
#define REGS_TVAL 280
#define REGS_ORIG_A0 288
#define USER(n) THREAD_REGS + X(n)

/* struct stub, one for each hart, and where struct hart points to it */
#define STUB_T0 0
#define STUB_TP 8
#define STUB_THREAD 16
#define STUB_KERNEL_SATP 24
#define STUB_USER_SATP 32
#define HART_STUB 0

/* Page-table entries: vm/pagetable.h */
#define PTE_ANY_W 0x104 /* PTE_W | PTE_SOFT_W; W of an absent page, too */
#define PTE_V_R 0x003
#define PTE_V_RWX_WP 0x20f /* WP: UFFD_WP */
#define PTE_V_RWX_WP_SOFT_W 0x30f
#define PTE_V_KIND_WP 0x231
#define PTE_RESIDENT 0x020
#define PTE_TO_PAGE 5 /* pfn << 10, to an index of struct page, times 32 bytes */
#define PAGE_STRUCTS -32
#define PROT_READ_WRITE 3
#define SYSCALL_COUNT 470
#define STACK_BIT 14 /* of sp: set within a stack, clear in its guard (layout.h) */
#define ENOSYS 38
#define VMTRAP_REGISTER 1024 /* the first of them: libvm/include/quire/vmtrap.h */
#define VMTRAP_RESUME 1025
#define VMTRAP_CALLS 6

.macro SAVE_CALLER_SAVED base, at
    sd t0, \at + X(5)(\base)
    SAVE_CALLER_SAVED_BUT_T0 \base, \at
.endm

.macro SAVE_CALLER_SAVED_BUT_T0 base, at
    sd ra, \at + X(1)(\base)
    sd t1, \at + X(6)(\base)
    sd t2, \at + X(7)(\base)
    sd a0, \at + X(10)(\base)
    sd a1, \at + X(11)(\base)
    sd a2, \at + X(12)(\base)
    sd a3, \at + X(13)(\base)
    sd a4, \at + X(14)(\base)
    sd a5, \at + X(15)(\base)
    sd a6, \at + X(16)(\base)
    sd a7, \at + X(17)(\base)
    sd t3, \at + X(28)(\base)
    sd t4, \at + X(29)(\base)
    sd t5, \at + X(30)(\base)
    sd t6, \at + X(31)(\base)
.endm

.macro SAVE_CALLEE_SAVED base, at
    sd gp, \at + X(3)(\base)
    sd s0, \at + X(8)(\base)
    sd s1, \at + X(9)(\base)
    sd s2, \at + X(18)(\base)
    sd s3, \at + X(19)(\base)
    sd s4, \at + X(20)(\base)
    sd s5, \at + X(21)(\base)
    sd s6, \at + X(22)(\base)
    sd s7, \at + X(23)(\base)
    sd s8, \at + X(24)(\base)
    sd s9, \at + X(25)(\base)
    sd s10, \at + X(26)(\base)
    sd s11, \at + X(27)(\base)
.endm

.macro LOAD_CALLEE_SAVED base, at
    ld gp, \at + X(3)(\base)
    ld s0, \at + X(8)(\base)
    ld s1, \at + X(9)(\base)
    ld s2, \at + X(18)(\base)
    ld s3, \at + X(19)(\base)
    ld s4, \at + X(20)(\base)
    ld s5, \at + X(21)(\base)
    ld s6, \at + X(22)(\base)
    ld s7, \at + X(23)(\base)
    ld s8, \at + X(24)(\base)
    ld s9, \at + X(25)(\base)
    ld s10, \at + X(26)(\base)
    ld s11, \at + X(27)(\base)
.endm

/* All but a0, tp and sp. */
.macro LOAD_CALLER_SAVED base, at
    ld ra, \at + X(1)(\base)
    ld t0, \at + X(5)(\base)
    ld t1, \at + X(6)(\base)
    ld t2, \at + X(7)(\base)
    ld a1, \at + X(11)(\base)
    ld a2, \at + X(12)(\base)
    ld a3, \at + X(13)(\base)
    ld a4, \at + X(14)(\base)
    ld a5, \at + X(15)(\base)
    ld a6, \at + X(16)(\base)
    ld a7, \at + X(17)(\base)
    ld t3, \at + X(28)(\base)
    ld t4, \at + X(29)(\base)
    ld t5, \at + X(30)(\base)
    ld t6, \at + X(31)(\base)
.endm

/* ---- the stub, alone in its page ---- */
.section .text.stub, "ax"
.balign 4096
.globl stub_enter
stub_enter:
    csrrw tp, sscratch, tp
    beqz tp, 1f
    sd t0, STUB_T0(tp)
    ld t0, STUB_KERNEL_SATP(tp)
    csrw satp, t0
    ld t0, STUB_T0(tp)
    ld tp, STUB_THREAD(tp)
    j isolated_trap_of_user
1:  j from_kernel

/* tp = this hart's part of stub_data, all other registers are the user's */
stub_leave:
    sd t0, STUB_T0(tp)
    ld t0, STUB_USER_SATP(tp)
    csrw satp, t0
    ld t0, STUB_T0(tp)
    ld tp, STUB_TP(tp)
    sret
.balign 4096

.section .text.entry, "ax"
.balign 64
.globl trap_entry
trap_entry:
    csrrw tp, sscratch, tp
    beqz tp, from_kernel
#define NAME(name) name
#define ISOLATED 0
#include "arch/riscv/user_entry.inc"
#undef NAME
#undef ISOLATED
.balign 64
#define NAME(name) isolated_##name
#define ISOLATED 1
#include "arch/riscv/user_entry.inc"

/* ---- a trap in the kernel: an interrupt, or a bug ---- */
from_kernel:
    csrrw tp, sscratch, tp
    sd t0, THREAD_SCRATCH(tp)
    addi sp, sp, -REGS_SIZE
    slli t0, sp, 63 - STACK_BIT
    bgez t0, stack_overflow
    ld t0, THREAD_SCRATCH(tp)
    SAVE_CALLER_SAVED sp, 0
    addi t0, sp, REGS_SIZE
save_rest:
    sd t0, X(2)(sp)
    sd tp, X(4)(sp)
    SAVE_CALLEE_SAVED sp, 0
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
2:  ld t0, REGS_STATUS(sp)
    ld t1, REGS_PC(sp)
    csrw sstatus, t0
    csrw sepc, t1
    LOAD_CALLEE_SAVED sp, 0
    LOAD_CALLER_SAVED sp, 0
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
    ld t0, THREAD_SCRATCH(tp)
    SAVE_CALLER_SAVED sp, 0
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

/* ---- floating point: only here does the kernel touch those registers; sstatus.FS must not be off ---- */
.option push
.option arch, +f, +d
.globl fp_registers_save
fp_registers_save:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fsd f\n, \n * 8(a0)
    .endr
    frcsr t0
    sd t0, 256(a0) /* and the padding behind it */
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

.section .bss
.balign 4
emergency_stack_busy:
    .word 0
