/* A program's first instructions. */
    .globl _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    mv a0, sp
    li s0, 0
    call xv6_start

/* xv6_enter(argc, argv, stack): a stack grows down from `stack`. */
    .globl xv6_enter
xv6_enter:
    mv sp, a2
    li s0, 0
    call main
    call exit

/* int sigreturn(void): goes on where the alarm's handler interrupted the program, with all of its registers. */
    .globl sigreturn
sigreturn:
    addi sp, sp, -16
    sd ra, 8(sp)
    call xv6_alarm_again /* the frame, or 0 outside of a handler */
    beqz a0, 1f
    mv sp, a0
    li a7, 139 /* rt_sigreturn: takes its frame from the stack pointer */
    ecall
1:  ld ra, 8(sp)
    addi sp, sp, 16
    li a0, -1
    ret

    .section .note.GNU-stack, "", @progbits
