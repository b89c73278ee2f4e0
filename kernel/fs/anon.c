/* Inodes that no directory knows: pipes and sockets have one each, eventfds and their like share one (a file's inode is
 * never NULL). */
#include "fs/file.h"
#include "fs/super.h"
#include "vm/kmalloc.h"

static const struct super_ops anon_super_ops;
static const struct inode_ops anon_inode_ops;
static struct fs_type pipe_type = {.name = "pipefs", .magic = 0x50495045};
static struct fs_type socket_type = {.name = "sockfs", .magic = 0x534f434b};
static struct fs_type anon_type = {.name = "anon_inodefs", .magic = 0x09041934};
static struct super pipe_super, socket_super, anon_super;
static struct inode *shared;
static u64 next_ino = 1;

bool inode_is_anon(const struct inode *inode) { return inode->ops == &anon_inode_ops; }

struct inode *anon_inode(u32 mode)
{
    struct super *super = S_ISFIFO(mode) ? &pipe_super : S_ISSOCK(mode) ? &socket_super : &anon_super;
    struct inode *inode = inode_new(super);

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

static void add_super(struct super *super, struct fs_type *type, u32 dev)
{
    super->type = type;
    super->ops = &anon_super_ops;
    super->dev = dev;
    super->block_size = PAGE_SIZE;
    super->max_size = INT64_MAX;
    super->time_granularity = 1;
    super_add_internal(super);
}

void anon_init(void)
{
    add_super(&pipe_super, &pipe_type, makedev(0, 0xffd));
    add_super(&socket_super, &socket_type, makedev(0, 0xffc));
    add_super(&anon_super, &anon_type, makedev(0, 0xfff));
    shared = anon_inode(0600);
    ASSERT_ALWAYS(!IS_ERR(shared));
}
