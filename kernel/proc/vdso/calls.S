/*
 * The parts of the vDSO that only enter the kernel. Debuggers and unwinders know a signal frame by the two instructions of
 * __vdso_rt_sigreturn: li a7, 139; ecall. The unwind information says that the caller's registers are in the frame at sp (signal_frame.c).
 */
#define NR_RT_SIGRETURN 139
#define NR_GETCPU 168
#define NR_RISCV_HWPROBE 258
#define NR_RISCV_FLUSH_ICACHE 259
#define FRAME_REGS (128 + 176) /* pc, x1..x31 */

.text
.option norvc

    .balign 8
    .cfi_startproc
    .cfi_signal_frame
    .cfi_def_cfa 2, 0
    .cfi_return_column 64
    .cfi_offset 64, FRAME_REGS
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    .cfi_offset \n, FRAME_REGS + \n * 8
    .endr
    nop /* unwinders look up the address before the return address */
.globl __vdso_rt_sigreturn
.type __vdso_rt_sigreturn, @function
__vdso_rt_sigreturn:
    .word 0x08b00893
    .word 0x00000073
    .size __vdso_rt_sigreturn, . - __vdso_rt_sigreturn
    .cfi_endproc

.macro kernel_call name, number
.globl \name
.type \name, @function
\name:
    .cfi_startproc
    li a7, \number
    ecall
    ret
    .cfi_endproc
    .size \name, . - \name
.endm

kernel_call __vdso_getcpu, NR_GETCPU
kernel_call __vdso_flush_icache, NR_RISCV_FLUSH_ICACHE
kernel_call __vdso_riscv_hwprobe, NR_RISCV_HWPROBE
