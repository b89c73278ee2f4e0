/* Inodes that no directory knows: pipes have one each, eventfds and their like share one (a file's inode is never
 * NULL). */
#include "fs/file.h"
#include "fs/super.h"
#include "vm/kmalloc.h"

static const struct super_ops anon_super_ops;
static const struct inode_ops anon_inode_ops;
static struct fs_type anon_type = {.name = "anon_inodefs", .magic = 0x09041934};
static struct super anon_super;
static struct inode *shared;
static u64 next_ino = 1;

struct inode *anon_inode(u32 mode)
{
    struct inode *inode = inode_new(&anon_super);

    if (IS_ERR(inode))
        return inode;
    inode->ino = atomic_add_relaxed(&next_ino, 1);
    inode->mode = mode;
    inode->ops = &anon_inode_ops;
    return inode;
}

struct inode *anon_inode_shared(void)
{
    inode_hold(shared);
    return shared;
}

void anon_init(void)
{
    anon_super.type = &anon_type;
    anon_super.ops = &anon_super_ops;
    anon_super.dev = makedev(0, 0xfff);
    anon_super.block_size = PAGE_SIZE;
    anon_super.max_size = INT64_MAX;
    super_add_internal(&anon_super);
    shared = anon_inode(0600);
    ASSERT_ALWAYS(!IS_ERR(shared));
}
