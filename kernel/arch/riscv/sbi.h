/* The firmware's services (RISC-V Supervisor Binary Interface 0.2 and later). */
#ifndef ARCH_RISCV_SBI_H
#define ARCH_RISCV_SBI_H

#include "lib/types.h"

/* 0 or an SBI error (negative). Hart ids here are the hardware's (hart->sbi_id). */
/* The machine-level CSRs mvendorid, marchid and mimpid. */
void sbi_get_identity(u64 *vendor, u64 *arch, u64 *implementation);
long sbi_hart_start(u64 sbi_hart, u64 start_pa, u64 opaque);
void sbi_set_timer(u64 ticks);
void sbi_send_ipi(u64 sbi_hart);
noreturn_fn void sbi_shutdown(void);
void sbi_reboot(void); /* returns when the firmware cannot */
void sbi_console_putc(char c);

#endif
