/*
 * From the store to a device: when the store has grown large and there is a device with room, what has been in the
 * store for long goes there. A clock's hand turns over the slots: one that was stored since the last turn loses that
 * mark, one that was not is unpacked into a page for the way and written, many in a run.
 */
#include "sched/sched.h"
#include "vm/swap.h"
#include "vm/swapdev.h"
#include "vm/swapslot.h"

#define RUN 16

struct run {
    unsigned n;
    u64 slots[RUN], where[RUN];
    struct page *pages[RUN];
};

static u64 hand = 1;

/* If SLOT has been in the store for long, its bytes join the run. => a page for it is there */
static void look_at(struct run *run, u64 slot)
{
    struct swap_slot *s = swap_lock(slot);

    if (s->kind != SLOT_POOL || s->page != NULL) { /* one word costs nothing where it is */
    } else if (s->is_young) {
        s->is_young = false;
    } else if (swap_unpack(s, run->pages[run->n])) {
        run->slots[run->n] = slot;
        run->where[run->n] = s->where;
        run->n++;
    }
    swap_unlock(slot);
}

/* The bytes of number I of the run are on BLOCK, too: the store may forget them, if the slot still has them there. */
static bool change_place(const struct run *run, unsigned i, u64 block)
{
    struct swap_slot *s = swap_lock(run->slots[i]);
    bool same = s->kind == SLOT_POOL && s->where == run->where[i];

    if (same) {
        swap_forget_copy(s);
        s->kind = SLOT_DEVICE;
        s->where = block;
        swapdev_note(block, run->slots[i]);
    }
    swap_unlock(run->slots[i]);
    return same;
}

static u64 write_run(struct run *run)
{
    unsigned done = 0, got;
    u64 moved = 0, block;

    while (done < run->n && (got = swapdev_alloc(run->n - done, &block)) > 0) {
        int error = swapdev_write(block, &run->pages[done], got);

        for (unsigned i = 0; i < got; i++) {
            if (error == 0 && change_place(run, done + i, block + i))
                moved++;
            else
                swapdev_free(block + i);
        }
        done += got;
    }
    run->n = 0;
    swap_count_written_back(moved);
    return moved;
}

u64 swap_write_back(u64 n)
{
    struct run run = {0};
    u64 moved = 0, limit = swap_slot_limit();
    unsigned n_pages = 0;

    while (n_pages < RUN && (run.pages[n_pages] = page_alloc(ALLOC_RESERVE | ALLOC_NO_WAIT)) != NULL)
        n_pages++;
    for (u64 looked = 0; n_pages > 0 && moved < n && looked < 2 * limit && swapdev_has_room(); looked++) {
        if (hand >= limit)
            hand = 1;
        look_at(&run, hand++);
        if (run.n == n_pages)
            moved += write_run(&run);
        if (looked % 256 == 0)
            cond_resched();
    }
    moved += write_run(&run);
    while (n_pages > 0)
        page_put(run.pages[--n_pages]);
    return moved;
}
