/*
 * The first instructions of every hart. The firmware jumps here in physical addresses with paging off: a0 = hart id, a1
 * = the device tree's physical address (the boot hart).
 *
 * OpenSBI 1.1 may send a hart that is being started to the image's start instead of where it was told to, or where it
 * was told to with an old a1: it notes that it starts before it notes where and with what. So the second one who comes
 * here stops, and is started again (boot.c); and a1 is not used.
 *
 * The boot hart makes a first Sv39 map: the image (8 MiB, read-write-execute for now) at KERNEL_IMAGE and the direct
 * map in 1 GiB leaves. Sv39 exists wherever a wider format does; paging.c goes on from here. Writing satp makes the
 * next fetch fault, as the physical address is not mapped, and the trap vector is where we want to be: no identity map
 * is needed.
 */
#include "arch/riscv/csr.h"
#include "arch/riscv/layout.h"

#define LEAF_RWX 0xef    /* D A G X W R V */
#define LEAF_RW 0xe7     /* D A G W R V */
#define TABLE 0x1        /* V */
#define IMAGE_LEAVES 4   /* of 2 MiB */
#define DIRECT_LEAVES 128 /* of 1 GiB */
#define DIRECT_ROOT_INDEX 256
#define IMAGE_ROOT_INDEX 510
#define HART_START_SIZE 24 /* struct hart_start: SBI's number, satp, thread */
#define SBI_HSM 0x48534d
#define SBI_HSM_STOP 1
#define PAGE_TO_PTE 2    /* a PTE has the page number 2 bits below the address's */

.section .text.head, "ax"
.globl _start
_start:
    j boot_hart
    .balign 8
    .dword 0x200000                /* the Linux image header, which boot loaders read: offset from the start of RAM */
    .dword image_end - image_start
    .dword 0
    .word 2
    .word 0
    .dword 0
    .ascii "RISCV\0\0\0"
    .ascii "RSC\x05"
    .word 0

boot_hart:
    csrw sie, zero
    la t0, boot_hart_is_here
    li t1, 1
    amoswap.w t1, t1, (t0)
    bnez t1, lost_hart
    mv s0, a0
    mv s1, a1

    la t0, bss_start
    la t1, bss_end
1:  sd zero, 0(t0)
    sd zero, 8(t0)
    sd zero, 16(t0)
    sd zero, 24(t0)
    addi t0, t0, 32
    bltu t0, t1, 1b

    la s2, image_start
    la s3, kernel_table3
    la s4, image_table1

    srli t0, s2, PAGE_TO_PTE
    ori t0, t0, LEAF_RWX
    li t1, IMAGE_LEAVES
    li t2, 0x200000 >> PAGE_TO_PTE
    mv t3, s4
1:  sd t0, 0(t3)
    add t0, t0, t2
    addi t3, t3, 8
    addi t1, t1, -1
    bnez t1, 1b

    srli t0, s4, PAGE_TO_PTE
    ori t0, t0, TABLE
    li t1, IMAGE_ROOT_INDEX * 8
    add t1, t1, s3
    sd t0, 0(t1)

    li t0, LEAF_RW
    li t1, DIRECT_LEAVES
    li t2, 0x40000000 >> PAGE_TO_PTE
    li t3, DIRECT_ROOT_INDEX * 8
    add t3, t3, s3
1:  sd t0, 0(t3)
    add t0, t0, t2
    addi t3, t3, 8
    addi t1, t1, -1
    bnez t1, 1b

    srli a0, s3, 12
    li t0, SATP_SV39
    slli t0, t0, SATP_MODE_SHIFT
    or a0, a0, t0
    mv a1, s2
    call enable_paging

    la sp, boot_stack_top
    la tp, boot_thread
    mv a0, s0
    mv a1, s1
    mv a2, s2
    call boot_main
1:  j 1b

lost_hart:
    li a7, SBI_HSM
    li a6, SBI_HSM_STOP
    ecall
1:  j 1b

.section .data
.balign 4
boot_hart_is_here: /* not in .bss, which the boot hart clears */
    .word 0
.section .text.head, "ax"

/* Another hart. */
.balign 4
.globl secondary_start
secondary_start:
    csrw sie, zero
    la t0, hart_starts - HART_START_SIZE
1:  addi t0, t0, HART_START_SIZE
    ld s0, 16(t0) /* its idle thread */
    beqz s0, lost_hart
    ld t1, 0(t0)
    bne t1, a0, 1b
    ld a0, 8(t0) /* satp */
    la a1, image_start
    call enable_paging
    mv tp, s0
    ld sp, 0(tp)
    call secondary_main
1:  j 1b

/* Goes on at the virtual address of its return. a0 = satp, a1 = the image's physical address. Clobbers t0, t1. */
enable_paging:
    li t0, KERNEL_IMAGE
    sub t0, t0, a1
    add ra, ra, t0
    la t1, 1f
    add t1, t1, t0
    csrw stvec, t1
    sfence.vma
    csrw satp, a0
    .balign 4
1:  la t0, trap_entry
    csrw stvec, t0
    csrw sscratch, zero
    ret

/*
 * The boot hart's stack, with an unmapped guard page below (paging.c), and the stack on which an overflow is reported:
 *
 *     boot_stacks                    + 12 KiB          + 16 KiB                         + 32 KiB
 *     | emergency stack               | guard          | boot stack                     |
 */
.section .bss.stacks, "aw", @nobits
.balign STACK_SLOT
.globl boot_stacks, boot_stack_guard, emergency_stack_top, boot_stack, boot_stack_top
boot_stacks:
    .space KERNEL_STACK_SIZE - 4096
emergency_stack_top:
boot_stack_guard:
    .space 4096
boot_stack:
    .space KERNEL_STACK_SIZE
boot_stack_top:
