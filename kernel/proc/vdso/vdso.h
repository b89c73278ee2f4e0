/*
 * The vDSO: a small ELF shared object that the kernel maps into every process (vdso(7)), so that clock_gettime and its
 * like need no system call. The mapping is one page of data, read-only to programs, followed by the code.
 *
 * Time is computed as the kernel does: ns = (time CSR - boot_ticks) * factor >> 32. Readers retry while `sequence` is
 * odd or changes.
 */
#ifndef PROC_VDSO_VDSO_H
#define PROC_VDSO_VDSO_H

#include "lib/types.h"

struct vdso_data {
    u32 sequence;
    u32 unused;
    u64 boot_ticks, factor;
    u64 realtime_offset; /* ns to add to the monotonic clock */
    u64 n_harts;
};

union vdso_page {
    struct vdso_data data;
    u8 bytes[PAGE_SIZE];
};

#ifndef VDSO_USER
extern union vdso_page vdso_data_page[1];   /* page aligned */
extern const char vdso_start[], vdso_end[]; /* page aligned */

/* Where __vdso_rt_sigreturn is, from the code's start. */
u64 vdso_offset_sigreturn(void);
void vdso_init(void);
void vdso_update_realtime(void); /* after time_set_realtime */
#endif

#endif
