/* The kernel's side of the vDSO: its data page, and where its signal return is. */
#include "proc/vdso/vdso.h"
#include "arch/riscv/arch.h"
#include "lib/atomic.h"
#include "lib/print.h"
#include "lib/string.h"
#include "sched/spinlock.h"
#include "vm/space.h"

static const u32 sigreturn_code[] = {0x08b00893, 0x00000073}; /* li a7, 139; ecall */

union vdso_page vdso_data_page[1] __attribute__((aligned(4096)));
static struct spinlock update_lock;
static u64 sigreturn_offset;

u64 vdso_offset_sigreturn(void) { return sigreturn_offset; }

/* Readers that see an odd or changed sequence try again. */
void vdso_update_realtime(void)
{
    struct vdso_data *d = &vdso_data_page->data;
    u64 flags = spin_lock_irqsave(&update_lock);

    store_relaxed(&d->sequence, d->sequence + 1);
    memory_barrier();
    store_relaxed(&d->realtime_offset, time_realtime_offset());
    memory_barrier();
    store_relaxed(&d->sequence, d->sequence + 1);
    spin_unlock_irqrestore(&update_lock, flags);
}

void vdso_init(void)
{
    struct vdso_data *d = &vdso_data_page->data;

    d->boot_ticks = time_scale.boot_ticks;
    d->factor = time_scale.factor;
    d->n_harts = machine.harts;
    vdso_update_realtime();
    vm_set_vdso(vdso_data_page, vdso_start, (u64)(vdso_end - vdso_start));
    for (const char *p = vdso_start; p + sizeof(sigreturn_code) <= vdso_end; p += 4) {
        if (memcmp(p, sigreturn_code, sizeof(sigreturn_code)) == 0) {
            sigreturn_offset = (u64)(p - vdso_start);
            return;
        }
    }
    panic("no signal return in the vDSO");
}
