/*
 * The compressed store is put in order: what the slots know of zpool_compact's work. A slot says where its bytes are,
 * so they may lie elsewhere once the slot says so, and whoever reads them holds the slot's lock.
 *
 *     slot 7: handle A          zpool_compact: "7 has an object A that should move"
 *     lock; still A? --> zpool_move copies it, B --> slot 7: handle B; unlock
 */
#include "sched/sched.h"
#include "vm/swap.h"
#include "vm/swapslot.h"
#include "vm/zpool.h"

/* The store says that SLOT had the object; it may have given it up, and be another's. */
static void move_object(u64 slot, u64 handle)
{
    struct swap_slot *s = swap_lock(slot);

    if (s->kind == SLOT_POOL && slot_handle(s) == handle) {
        u64 moved = zpool_move(handle);

        if (moved != 0)
            s->where = moved << SLOT_SIZE_BITS | slot_size(s);
    }
    swap_unlock(slot);
    cond_resched();
}

u64 swap_pack(u64 n) { return zpool_compact(move_object, n); }
