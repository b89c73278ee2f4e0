/*
 * Writing dirty files back: sync(2) and its relatives, and the thread that does it by itself, so that what was written
 * reaches the disk within about half a minute, earlier when much is dirty.
 */
#include "dev/block.h"
#include "fs/super.h"
#include "sched/wait.h"
#include "vm/page.h"

#define PERIOD (5 * NSEC_PER_SEC)
#define OLD_AGE (30 * NSEC_PER_SEC)

struct request {
    u64 since_before; /* files that have been dirty since before this moment */
    bool wait;
    int error;
};

static void note(struct request *request, int error)
{
    if (request->error == 0)
        request->error = error;
}

/* Starts writing all dirty files that are due. */
static void write_dirty(struct super *super, struct request *request)
{
    struct inode *inode = NULL;

    while ((inode = super_next_dirty(super, request->since_before, inode)) != NULL) {
        note(request, inode_write(inode, false));
        cond_resched();
    }
}

/* Waits for what is still on its way. */
static void wait_for_files(struct super *super, struct request *request)
{
    struct inode *inode = NULL;

    while ((inode = super_next_inode(super, inode)) != NULL)
        if (load_relaxed(&inode->object.writeback) != 0)
            note(request, object_writeback(&inode->object, 0, OBJECT_END, true));
}

static int sync_one(struct super *super, void *arg)
{
    struct request *request = arg;

    if (super->read_only)
        return 0;
    write_dirty(super, request);
    if (request->wait)
        wait_for_files(super, request);
    if (super->ops->sync != NULL)
        note(request, super->ops->sync(super, request->wait));
    return 0;
}

int super_sync(struct super *super, bool wait)
{
    struct request request = {.since_before = UINT64_MAX - 1, .wait = wait};

    request.since_before = time_ns();
    sync_one(super, &request);
    return request.error;
}

int sync_all(bool wait)
{
    struct request request = {.since_before = time_ns(), .wait = wait};

    super_for_each(sync_one, &request);
    note(&request, block_files_sync(wait));
    return request.error;
}

static bool much_is_dirty(void)
{
    struct memory_stats stats;

    memory_stats(&stats);
    return stats.dirty > stats.total / 10;
}

static void writeback_thread(void *arg)
{
    static struct wait_queue nothing = WAIT_QUEUE_INIT(nothing);

    (void)arg;
    for (;;) {
        u64 now;

        wait_event_state(&nothing, false, THREAD_SLEEPING, time_ns() + PERIOD);
        now = time_ns();
        if (much_is_dirty())
            sync_all(false);
        else if (now > OLD_AGE)
            super_for_each(sync_one, &(struct request){.since_before = now - OLD_AGE});
    }
}

void writeback_init(void)
{
    if (IS_ERR(kernel_thread("writeback", writeback_thread, NULL)))
        panic("no memory for the write-back thread");
}
