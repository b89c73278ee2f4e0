/* Starting the VFS, and the first mounts. */
#include "dev/block.h"
#include "fs/devfs/devfs.h"
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/path.h"
#include "fs/super.h"
#include "fs/tmpfs/tmpfs.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/space.h"

static void hold_mapped(struct file *file) { file_get(file); }
static int sync_mapped(struct file *file, u64 from, u64 to)
{
    return file->ops->fsync != NULL ? file_fsync(file, from, to, false) : 0;
}

static void put_mapped(struct file *file)
{
    if (unlikely(file->ops->unmapped != NULL))
        file->ops->unmapped(file);
    file_put(file);
}

void vfs_init(void)
{
    static const struct vm_file_ops ops = {
        .get = hold_mapped, .put = file_put, .unmapped = put_mapped, .sync = sync_mapped};

    dentry_init();
    inode_init();
    anon_init();
    tmpfs_init();
    devfs_init();
    vm_set_file_ops(&ops);
    writeback_init();
}

/* The first mount becomes the root and current directory of the thread that boots, and so of init. */
static int enter_root(struct mount *m)
{
    struct fs_context *c = kzalloc(sizeof(*c));

    if (c == NULL)
        return -ENOMEM;
    c->refs = 1;
    c->umask = 022;
    c->root = c->cwd = (struct path){m, m->root};
    path_get(&c->root);
    path_get(&c->cwd);
    if (current->fs != NULL)
        fs_context_put(current->fs);
    current->fs = c;
    return 0;
}

/* Mounts what every system has, where the root has a directory for it. */
static void mount_standard(const char *target, const char *type, unsigned flags, const char *options)
{
    struct fs_type *fs = fs_type_find(type);
    struct path at;
    struct mount *m;

    if (fs == NULL || path_lookup(AT_FDCWD, target, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &at) != 0)
        return;
    m = mount_create(fs, NULL, flags, type, options);
    if (IS_ERR(m))
        kprintf("%s on %s: error %ld\n", type, target, -PTR_ERR(m));
    else if (mount_attach(m, &at) != 0)
        mount_put(m);
    path_put(&at);
}

int vfs_mount_root(const char *device, const char *fs_type, bool read_only, const char *options)
{
    struct fs_type *type = fs_type_find(fs_type);
    struct block_device *block = NULL;
    struct mount *m;
    int error;

    if (type == NULL)
        return -ENODEV;
    if (type->needs_device) {
        block = block_find(strncmp(device, "/dev/", 5) == 0 ? device + 5 : device);
        if (block == NULL)
            return -ENXIO;
    }
    m = mount_create(type, block, read_only ? MS_RDONLY : 0, device, options);
    if (IS_ERR(m))
        return (int)PTR_ERR(m);
    error = mount_attach(m, NULL);
    if (error == 0)
        error = enter_root(m);
    if (error != 0)
        return error;
    mount_standard("/dev", "devtmpfs", MS_NOSUID, "");
    mount_standard("/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "");
    mount_standard("/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    mount_standard("/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    mount_standard("/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "");
    return 0;
}
