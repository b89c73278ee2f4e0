/* Control and status registers of supervisor mode (RISC-V privileged specification) and their bits. Also for
 * assembly. */
#ifndef ARCH_RISCV_CSR_H
#define ARCH_RISCV_CSR_H

#define SSTATUS_SIE 0x2
#define SSTATUS_SPIE 0x20
#define SSTATUS_SPP 0x100
#define SSTATUS_FS 0x6000 /* floating-point state: off, initial, clean, dirty */
#define SSTATUS_VS 0x600 /* vector state: never on */
#define SSTATUS_FS_CLEAN 0x4000
#define SSTATUS_FS_DIRTY 0x6000
#define SSTATUS_UXL_64 0x200000000

#define SIE_SOFTWARE 0x2
#define SIE_TIMER 0x20
#define SIE_EXTERNAL 0x200

#define CAUSE_INTERRUPT_BIT 63
#define CAUSE_ILLEGAL_INSTRUCTION 2
#define CAUSE_BREAKPOINT 3
#define CAUSE_ECALL 8
#define CAUSE_FETCH_FAULT 12
#define CAUSE_LOAD_FAULT 13
#define CAUSE_STORE_FAULT 15

#define IRQ_SOFTWARE 1
#define IRQ_TIMER 5
#define IRQ_EXTERNAL 9

#define SATP_MODE_SHIFT 60
#define SATP_SV39 8
#define SATP_ASID_SHIFT 44

#define SCOUNTEREN_CYCLE_TIME_INSTRET 7

#define CSR_STIMECMP 0x14d
#define CSR_SENVCFG 0x10a
#define SENVCFG_CBZE 0x80

#ifndef __ASSEMBLER__
#include "lib/types.h"

#define CSR_STRING_(x) #x
#define CSR_NAME_(x) CSR_STRING_(x)
#define csr_read(csr)                                                                                                  \
    ({                                                                                                                 \
        u64 csr_value_;                                                                                                \
        __asm__ volatile("csrr %0, " CSR_NAME_(csr) : "=r"(csr_value_)::"memory");                                     \
        csr_value_;                                                                                                    \
    })
#define csr_write(csr, value) __asm__ volatile("csrw " CSR_NAME_(csr) ", %0" ::"r"((u64)(value)) : "memory")
#define csr_set(csr, bits) __asm__ volatile("csrs " CSR_NAME_(csr) ", %0" ::"r"((u64)(bits)) : "memory")
#define csr_clear(csr, bits) __asm__ volatile("csrc " CSR_NAME_(csr) ", %0" ::"r"((u64)(bits)) : "memory")
#endif

#endif
