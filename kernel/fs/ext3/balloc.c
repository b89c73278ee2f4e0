/*
 * Allocating and freeing blocks.
 *
 * A file that grows gets block after block, from a window: free blocks behind its last one that other files leave alone
 * as long as there are others. A window is a wish in memory, not an allocation: nothing on the disk needs to be undone
 * when the machine stops.
 *
 *   goal taken? -> a run of some length behind the goal -> such a run in any group -> any block at all -> ... of
 * others' windows, too
 *
 * A block that was freed may not be allocated again before the transaction that freed it is durable: until then a crash
 * gives it back to its old file. Such blocks are free in the bitmap and marked in `pending` of their group; the
 * transaction has the list of them (struct freed_chunk).
 *
 * alloc_lock guards bitmaps and counts; window_lock the windows.
 */
#include "fs/ext3/ext3.h"
#include "vm/kmalloc.h"

#define MAX_WINDOWS 64
#define MIN_WINDOW 8
#define MAX_WINDOW 1024

struct run {
    u32 first, count;
};

/* ---- windows ---- */

static bool has_window(const struct ext3_inode *ei) { return ei->window_start < ei->window_end; }

static void drop_window(struct ext3 *fs, struct ext3_inode *ei)
{
    if (!list_empty(&ei->window_link)) {
        list_remove(&ei->window_link);
        fs->n_windows--;
    }
    ei->window_start = ei->window_end = 0;
}

void ext3_discard_window(struct inode *inode)
{
    struct ext3 *fs = ext3_of(inode);

    spin_lock(&fs->window_lock);
    drop_window(fs, ext3_i(inode));
    spin_unlock(&fs->window_lock);
}

static void set_window(struct ext3 *fs, struct inode *inode, u32 start)
{
    struct ext3_inode *ei = ext3_i(inode);
    u32 have = (u32)MIN(inode->blocks / ext3_sectors_per_block(fs), (u64)MAX_WINDOW);

    if (!S_ISREG(inode->mode))
        return;
    spin_lock(&fs->window_lock);
    drop_window(fs, ei);
    if (fs->n_windows >= MAX_WINDOWS)
        drop_window(fs, list_first(&fs->windows, struct ext3_inode, window_link));
    ei->window_start = start;
    ei->window_end = start + MAX(have, (u32)MIN_WINDOW);
    list_add_tail(&fs->windows, &ei->window_link);
    fs->n_windows++;
    spin_unlock(&fs->window_lock);
}

static void discard_all_windows(struct ext3 *fs)
{
    spin_lock(&fs->window_lock);
    while (!list_empty(&fs->windows))
        drop_window(fs, list_first(&fs->windows, struct ext3_inode, window_link));
    spin_unlock(&fs->window_lock);
}

/* Cuts RUN down to what no other inode's window holds, at its front; nothing may be left. *NEXT: where to go on looking
 * then. */
static void avoid_windows(struct ext3 *fs, const struct ext3_inode *self, struct run *run, u32 *next)
{
    struct ext3_inode *ei;

    *next = run->first + run->count;
    spin_lock(&fs->window_lock);
    list_for_each(ei, &fs->windows, window_link) {
        if (ei == self || !has_window(ei) || ei->window_end <= run->first ||
            ei->window_start >= run->first + run->count)
            continue;
        if (ei->window_start > run->first) {
            run->count = ei->window_start - run->first;
        } else {
            *next = ei->window_end;
            run->count = 0;
            break;
        }
    }
    spin_unlock(&fs->window_lock);
}

/* ---- searching ---- */

/* Blocks that can be allocated now. */
static bool group_has_free(const struct ext3 *fs, u32 g, u32 n)
{
    const struct ext3_group *group = &fs->groups[g];

    return !group->bitmap_is_bad && from_le16(group->disk->free_blocks) >= n + group->n_pending;
}

static bool is_pending(const struct ext3_group *group, u32 bit)
{
    return group->pending != NULL && (group->pending[bit / 8] >> bit % 8 & 1);
}

/* How many of the blocks from bit AT on can be allocated: at most MOST are looked at. */
static u32 free_bits(const struct ext3_group *group, const u8 *bitmap, u32 len, u32 at, u32 most)
{
    u32 end = ext3_find_set(bitmap, MIN(len, at + most), at);

    if (group->pending != NULL)
        end = ext3_find_set(group->pending, end, at);
    return end - at;
}

/* The first block from bit FROM on that can be allocated, or LEN. */
static u32 find_free(const struct ext3_group *group, const u8 *bitmap, u32 len, u32 from)
{
    u32 at = ext3_find_clear(bitmap, len, from);

    while (at < len && is_pending(group, at))
        at = ext3_find_clear(bitmap, len, ext3_find_clear(group->pending, len, at));
    return at;
}

/* The first run of at least LEAST free blocks in group G, from block FROM of the group on; at most MOST of it. */
static bool find_run(struct ext3 *fs, const u8 *bitmap, u32 g, u32 from, const struct ext3_inode *self, u32 least,
                     u32 most, struct run *run)
{
    u32 base = ext3_group_first_block(fs, g), len = ext3_group_blocks(fs, g), next;

    const struct ext3_group *group = &fs->groups[g];

    for (u32 at = find_free(group, bitmap, len, from); at < len; at = find_free(group, bitmap, len, next - base)) {
        run->first = base + at;
        run->count = free_bits(group, bitmap, len, at, MAX(least, most));
        avoid_windows(fs, self, run, &next);
        if (run->count >= least)
            return true;
        if (run->count > 0)
            next = run->first + run->count;
    }
    return false;
}

/* Exactly GOAL, if it is free. */
static bool take_goal(struct ext3 *fs, const u8 *bitmap, u32 g, u32 bit, const struct ext3_inode *self, u32 most,
                      struct run *run)
{
    u32 len = ext3_group_blocks(fs, g), next;

    if (bit >= len)
        return false;
    run->first = ext3_group_first_block(fs, g) + bit;
    run->count = free_bits(&fs->groups[g], bitmap, len, bit, most);
    if (run->count == 0)
        return false;
    avoid_windows(fs, self, run, &next);
    return run->count > 0;
}

/* Marks the run, or its first MAX blocks, as used in group G. 0, or -EUCLEAN: the bitmap calls metadata free. =>
 * alloc_lock */
static int take_run(struct ext3_handle *h, u32 g, struct buffer *bitmap, struct run *run, u32 max)
{
    struct ext3 *fs = h->fs;
    struct ext3_disk_group *disk = fs->groups[g].disk;
    u32 bit = run->first - ext3_group_first_block(fs, g);

    run->count = MIN(MIN(run->count, max), (u32)from_le16(disk->free_blocks));
    if (run->count == 0 || ext3_blocks_are_metadata(fs, run->first, run->count)) {
        fs->groups[g].bitmap_is_bad = true;
        return ext3_corrupt(fs, "the block bitmap of group %u is damaged", g);
    }
    ext3_access(h, bitmap);
    ext3_access(h, ext3_descriptor_buffer(fs, g));
    for (u32 i = bit; i < bit + run->count; i++)
        bitmap->data[i / 8] |= (u8)(1 << i % 8);
    disk->free_blocks = to_le16((u16)(from_le16(disk->free_blocks) - run->count));
    store_relaxed(&fs->free_blocks, fs->free_blocks - run->count);
    ext3_dirty(h, bitmap);
    ext3_dirty(h, ext3_descriptor_buffer(fs, g));
    return 0;
}

/* Looks in group G: 0 and *RUN taken; -ENOSPC. GOAL (0 none) lies in the group. */
static int try_group(struct ext3_handle *h, const struct ext3_inode *self, u32 g, u32 goal, u32 least, u32 max,
                     struct run *run)
{
    struct ext3 *fs = h->fs;
    struct buffer *bitmap;
    u32 bit = goal != 0 ? goal - ext3_group_first_block(fs, g) : fs->groups[g].rotor;
    int error = -ENOSPC;

    if (!group_has_free(fs, g, goal != 0 ? 1 : least))
        return -ENOSPC;
    bitmap = ext3_bitmap(fs, &fs->last_block_bitmap, fs->groups[g].block_bitmap);
    if (IS_ERR(bitmap)) {
        if (PTR_ERR(bitmap) == -ENOMEM)
            return -ENOMEM;
        fs->groups[g].bitmap_is_bad = true;
        return -ENOSPC;
    }
    if ((goal != 0 && take_goal(fs, bitmap->data, g, bit, self, max, run)) ||
        find_run(fs, bitmap->data, g, bit, self, least, max, run) ||
        (goal == 0 && bit > 0 && find_run(fs, bitmap->data, g, 0, self, least, max, run)))
        error = take_run(h, g, bitmap, run, max);
    if (error == 0 && goal == 0)
        fs->groups[g].rotor = run->first + run->count - ext3_group_first_block(fs, g);
    return error == -EUCLEAN ? -ENOSPC : error;
}

/* => alloc_lock */
static int search(struct ext3_handle *h, const struct ext3_inode *self, u32 goal, u32 group, u32 max, struct run *run)
{
    struct ext3 *fs = h->fs;
    u32 ideal = MIN(max + MIN_WINDOW, 64u);
    int error = goal != 0 ? try_group(h, self, group, goal, ideal, max, run) : -ENOSPC;

    for (u32 i = 0; i < fs->n_groups && error == -ENOSPC; i++)
        error = try_group(h, self, (group + i) % fs->n_groups, 0, ideal, max, run);
    for (u32 i = 0; i < fs->n_groups && error == -ENOSPC; i++)
        error = try_group(h, self, (group + i) % fs->n_groups, 0, 1, max, run);
    return error;
}

/* ---- allocating ---- */

static bool may_use_reserve(const struct ext3 *fs)
{
    const struct cred *cred = current->cred;

    return cred == NULL || cred->fsuid == fs->reserved_uid || cred_has_cap(cred, CAP_SYS_RESOURCE);
}

u64 ext3_available_blocks(const struct ext3 *fs)
{
    u64 kept = may_use_reserve(fs) ? 0 : fs->reserved_blocks, free_blocks = load_relaxed(&fs->free_blocks);

    return free_blocks > kept ? free_blocks - kept : 0;
}

int ext3_alloc_blocks(struct ext3_handle *h, struct inode *inode, u32 goal, u32 *count, u32 *first)
{
    struct ext3 *fs = h->fs;
    struct ext3_inode *ei = ext3_i(inode);
    struct run run;
    u32 group, max;
    int error;

    if (!ext3_block_is_sane(fs, goal))
        goal = 0;
    group = goal != 0 ? ext3_group_of_block(fs, goal) : ei->group;
    mutex_lock(&fs->alloc_lock);
    max = (u32)MIN((u64)*count, ext3_available_blocks(fs));
    error = max == 0 ? -ENOSPC : search(h, ei, goal, group, max, &run);
    if (error == -ENOSPC && max > 0 && fs->n_windows > 0) {
        discard_all_windows(fs);
        error = search(h, ei, goal, group, max, &run);
    }
    mutex_unlock(&fs->alloc_lock);
    if (error != 0)
        return error;
    *first = run.first;
    *count = run.count;
    if (run.first + run.count > ei->window_end || run.first < ei->window_start || !has_window(ei))
        set_window(fs, inode, run.first + run.count);
    return 0;
}

/* ---- freeing ---- */

/* What a transaction has freed, newest chunk first. */
struct freed_chunk {
    struct freed_chunk *next;
    u32 n;
    struct run runs[60];
};

/* Memory for what cannot be undone any more. */
static void *insist(size_t size)
{
    void *p;

    while ((p = kzalloc(size)) == NULL)
        sched_yield();
    return p;
}

/* Blocks [first, first + count) of group G wait for the handle's transaction. => alloc_lock */
static void add_pending(struct ext3_handle *h, u32 g, u32 first, u32 count)
{
    struct ext3 *fs = h->fs;
    struct ext3_group *group = &fs->groups[g];
    struct freed_chunk **head = (struct freed_chunk **)journal_freed_list(&h->journal), *chunk = *head;
    u32 bit = first - ext3_group_first_block(fs, g), added = 0;
    struct run *last = chunk != NULL ? &chunk->runs[chunk->n - 1] : NULL;

    if (group->pending == NULL)
        group->pending = insist(fs->block_size);
    if (last != NULL && last->first + last->count == first) {
        last->count += count;
    } else if (last != NULL && first + count == last->first) {
        last->first = first;
        last->count += count;
    } else {
        if (chunk == NULL || chunk->n == ARRAY_SIZE(chunk->runs)) {
            chunk = insist(sizeof(*chunk));
            chunk->next = *head;
            *head = chunk;
        }
        chunk->runs[chunk->n++] = (struct run){first, count};
    }
    for (u32 i = bit; i < bit + count; i++) {
        added += !(group->pending[i / 8] >> i % 8 & 1); /* on a damaged disk blocks are freed twice */
        group->pending[i / 8] |= (u8)(1 << i % 8);
    }
    group->n_pending += added;
    store_relaxed(&fs->n_pending, fs->n_pending + added);
}

/* => alloc_lock */
static void remove_pending(struct ext3 *fs, struct run run)
{
    while (run.count > 0) {
        u32 g = ext3_group_of_block(fs, run.first), base = ext3_group_first_block(fs, g), bit = run.first - base;
        u32 n = MIN(run.count, ext3_group_blocks(fs, g) - bit);
        struct ext3_group *group = &fs->groups[g];
        u32 removed = 0;

        for (u32 i = bit; i < bit + n && group->pending != NULL; i++) {
            removed += group->pending[i / 8] >> i % 8 & 1;
            group->pending[i / 8] &= (u8) ~(1 << i % 8);
        }
        group->n_pending -= removed;
        store_relaxed(&fs->n_pending, fs->n_pending - removed);
        if (group->n_pending == 0) {
            kfree(group->pending);
            group->pending = NULL;
        }
        run.first += n;
        run.count -= n;
    }
}

void ext3_release_freed(void *owner, void *freed, u32 tid, int error)
{
    struct ext3 *fs = owner;
    struct freed_chunk *chunk = freed, *next;

    if (chunk == NULL)
        return;
    mutex_lock(&fs->alloc_lock);
    for (; chunk != NULL; chunk = next) {
        next = chunk->next;
        for (u32 i = 0; i < chunk->n; i++)
            remove_pending(fs, chunk->runs[i]);
        kfree(chunk);
    }
    mutex_unlock(&fs->alloc_lock);
}

/* [first, first + count) lie in group G. => alloc_lock */
static void free_in_group(struct ext3_handle *h, u32 g, u32 first, u32 count)
{
    struct ext3 *fs = h->fs;
    struct ext3_disk_group *disk = fs->groups[g].disk;
    struct buffer *bitmap = ext3_bitmap(fs, &fs->last_block_bitmap, fs->groups[g].block_bitmap);
    u32 bit = first - ext3_group_first_block(fs, g), freed = 0;

    if (IS_ERR(bitmap)) { /* they stay in use: e2fsck finds them */
        h->error = (int)PTR_ERR(bitmap);
        return;
    }
    if (h->journal.transaction != NULL)
        add_pending(h, g, first, count);
    ext3_access(h, bitmap);
    ext3_access(h, ext3_descriptor_buffer(fs, g));
    for (u32 i = bit; i < bit + count; i++) {
        freed += bitmap->data[i / 8] >> i % 8 & 1;
        bitmap->data[i / 8] &= (u8) ~(1 << i % 8);
    }
    if (freed != count)
        ext3_corrupt(fs, "blocks of %u..%u were free already", first, first + count - 1);
    freed = MIN(freed, ext3_group_blocks(fs, g) - from_le16(disk->free_blocks));
    disk->free_blocks = to_le16((u16)(from_le16(disk->free_blocks) + freed));
    store_relaxed(&fs->free_blocks, fs->free_blocks + freed);
    ext3_dirty(h, bitmap);
    ext3_dirty(h, ext3_descriptor_buffer(fs, g));
}

void ext3_free_blocks(struct ext3_handle *h, u32 first, u32 count, bool was_metadata)
{
    struct ext3 *fs = h->fs;

    if (!ext3_block_is_sane(fs, first) || count > fs->blocks_count - first ||
        ext3_blocks_are_metadata(fs, first, count)) {
        ext3_corrupt(fs, "blocks %u..%u cannot be a file's", first, first + count - 1);
        return;
    }
    for (u32 i = 0; was_metadata && i < count; i++) {
        int error = ext3_forget(h, first + i);

        if (error != 0) {
            h->error = error;
            return;
        }
    }
    mutex_lock(&fs->alloc_lock);
    while (count > 0) {
        u32 g = ext3_group_of_block(fs, first);
        u32 n = MIN(count, ext3_group_first_block(fs, g) + ext3_group_blocks(fs, g) - first);

        free_in_group(h, g, first, n);
        first += n;
        count -= n;
    }
    mutex_unlock(&fs->alloc_lock);
}
