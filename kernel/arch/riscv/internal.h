/* What the files of arch/riscv share among themselves. */
#ifndef ARCH_RISCV_INTERNAL_H
#define ARCH_RISCV_INTERNAL_H

#include "arch/riscv/arch.h"
#include "arch/riscv/csr.h"
#include "arch/riscv/layout.h"
#include "arch/riscv/pte.h"

/* kernel.ld; all page aligned but text_end */
extern char image_start[], text_end[], rodata_start[], data_start[], bss_end[], image_end[];

static inline bool is_kernel_text(u64 address) { return address >= (u64)image_start && address < (u64)text_end; }

/* Physical address of something in the image. */
extern u64 image_pa;
static inline u64 image_virt_to_phys(const void *p) { return (u64)p - (u64)image_start + image_pa; }

/* paging.c */
void paging_init(void);            /* the final kernel map, and the widest format */
u64 kernel_satp(void);
u64 satp_for(unsigned levels, u64 root_pfn, u64 asid);
extern u64 stack_map_generation;   /* counts changes in the kernel-stack area */

/* entry.S, start.S */
void trap_entry(void);
void secondary_start(void);
struct thread *switch_context(struct thread *prev, struct thread *next);
void kernel_thread_entry(void);
void user_thread_entry(void);
void isolated_user_thread_entry(void);
void stub_enter(void);
void fp_registers_save(struct fp_state *fp);
void fp_registers_load(const struct fp_state *fp);

/* fp.c, trap.c */
void fp_switch(struct thread *prev, struct thread *next);
void hart_init_traps(void);        /* this hart's trap vector, interrupt enables, counters for user mode */

/* isolation.c: the pages that user mode keeps of the kernel, and this hart's part of them */
void isolation_init(void);
void isolation_init_hart(void);
void isolation_init_root(u64 *root);

/* ipi.c */
void ipi_interrupt(void);

/* time.c */
void time_init(void);
void timer_interrupt(void);

/* plic.c */
void plic_init(void);
void plic_init_hart(void); /* on each of the other harts */
void plic_interrupt(void);

/* platform.c */
void platform_init(const void *fdt);

/* symbols.c: the function that contains ADDRESS, or NULL; how far into it. */
const char *symbol_find(u64 address, u64 *offset);

#endif
