/* /proc/PID/fd, fdinfo, and the links that lead to a process's files and places: exe, cwd, root. Source: proc(5). */
#include "fs/dentry.h"
#include "fs/procfs/internal.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/space.h"

static const struct proc_entry fd_entry = {
    .name = "", .mode = S_IFLNK | 0700, .flags = PROC_GUARDED, .read_link = read_fd_link, .follow = follow_fd};
#define DESCRIPTION_MAX 4096UL /* bytes of a file's own lines in fdinfo */

static const struct proc_entry fdinfo_entry = {
    .name = "", .mode = S_IFREG | 0400, .flags = PROC_GUARDED, .show = show_fdinfo};

/* ---- descriptors ---- */

static struct file *target_file(const struct proc_target *t)
{
    struct fd_table *files = task_files(t->task);
    struct file *file = files != NULL ? fd_table_file(files, t->fd) : NULL;

    if (files != NULL)
        fd_table_put(files);
    return file;
}

static ssize_t copy_path(char *buf, size_t size, const char *path)
{
    size_t n = strlen(path);

    if (n >= size)
        return -ENAMETOOLONG;
    memcpy(buf, path, n + 1);
    return (ssize_t)n;
}

static ssize_t file_path_into(struct file *file, char *buf, size_t size)
{
    char *scratch = kmalloc(PATH_MAX), *path;
    ssize_t n;

    if (scratch == NULL)
        return -ENOMEM;
    path = file_path(file, scratch, PATH_MAX);
    n = IS_ERR(path) ? PTR_ERR(path) : copy_path(buf, size, path);
    kfree(scratch);
    return n;
}

ssize_t read_file_link(struct file *file, char *buf, size_t size)
{
    ssize_t n;

    if (file == NULL)
        return -ENOENT;
    n = file_path_into(file, buf, size);
    file_put(file);
    return n;
}

ssize_t read_fd_link(const struct proc_target *t, char *buf, size_t size)
{
    return read_file_link(target_file(t), buf, size);
}

/* What has no name, a pipe above all, can be opened again under one that leads nowhere. */
static int make_path(const struct file *file, struct path *path)
{
    inode_hold(file->inode);
    path->mount = NULL;
    path->dentry = dentry_create_unlinked(file->inode->super, file->inode);
    if (path->dentry != NULL)
        return 0;
    inode_put(file->inode);
    return -ENOMEM;
}

int follow_file(struct file *file, struct path *path)
{
    int error;

    if (file == NULL)
        return -ENOENT;
    if (file->path.dentry != NULL && file->path.mount != NULL) {
        *path = file->path;
        path_get(path);
        file_put(file);
        return 0;
    }
    error = make_path(file, path);
    file_put(file);
    return error;
}

int follow_fd(const struct proc_target *t, struct path *path) { return follow_file(target_file(t), path); }

int show_fdinfo(struct seq *s, const struct proc_target *t)
{
    struct fd_table *files = task_files(t->task);
    bool cloexec = false;
    struct file *file = files != NULL ? fd_table_entry(files, t->fd, &cloexec) : NULL;

    if (files != NULL)
        fd_table_put(files);
    if (file == NULL)
        return -ENOENT;
    seq_printf(s, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t0\nino:\t%lu\n", load_relaxed(&file->pos),
               load_relaxed(&file->flags) | (cloexec ? O_CLOEXEC : 0), file->inode->ino);
    if (file->ops->describe != NULL) {
        char *text = kmalloc(DESCRIPTION_MAX);

        if (text != NULL)
            seq_write(s, text, file->ops->describe(file, text, DESCRIPTION_MAX));
        kfree(text);
    }
    file_put(file);
    return 0;
}

static struct inode *create_fd_inode(struct inode *dir, const struct proc_entry *entry, const struct proc_target *t)
{
    struct file *file = target_file(t);
    struct inode *inode;

    if (file == NULL)
        return ERR_PTR(-ENOENT);
    inode = proc_inode_create(dir, entry, NULL);
    if (!IS_ERR(inode)) {
        proc_inode(inode)->fd = t->fd;
        inode->ino += (u64)(t->fd + 1) << 27;
        if (S_ISLNK(entry->mode))
            inode->mode = S_IFLNK | (file->can_read ? 0500 : 0) | (file->can_write ? 0300 : 0);
    }
    file_put(file);
    return inode;
}

static struct inode *lookup_in(struct inode *dir, struct name name, const struct proc_entry *entry)
{
    int fd = name_number(name);
    struct proc_target t;
    struct inode *inode;

    if (fd < 0 || proc_target_get(dir, &t) != 0)
        return ERR_PTR(-ENOENT);
    t.fd = fd;
    inode = may_trace(t.task) ? create_fd_inode(dir, entry, &t) : ERR_PTR(-EACCES);
    proc_target_put(&t);
    return inode;
}

static struct inode *lookup_fd(struct inode *dir, struct name name) { return lookup_in(dir, name, &fd_entry); }
static struct inode *lookup_fdinfo(struct inode *dir, struct name name) { return lookup_in(dir, name, &fdinfo_entry); }

static bool emit_fds_of(struct inode *dir, struct dir_context *ctx, u64 first, struct fd_table *files, unsigned type)
{
    int fd = ctx->pos > first ? (int)(ctx->pos - first) : 0;

    while ((fd = fd_table_next(files, fd)) >= 0) {
        char name[12];

        snprintf(name, sizeof(name), "%d", fd);
        if (!proc_emit(ctx, name, dir->ino + (u64)fd + 1, type, first + (u64)fd + 1))
            return false;
        fd++;
    }
    return true;
}

static bool emit_fds(struct inode *dir, struct dir_context *ctx, u64 first, unsigned type)
{
    struct proc_target t;
    struct fd_table *files;
    bool room = true;

    if (proc_target_get(dir, &t) != 0)
        return true;
    files = may_trace(t.task) ? task_files(t.task) : NULL;
    if (files != NULL) {
        room = emit_fds_of(dir, ctx, first, files, type);
        fd_table_put(files);
    }
    proc_target_put(&t);
    return room;
}

static bool emit_fd_links(struct inode *dir, struct dir_context *ctx, u64 first)
{
    return emit_fds(dir, ctx, first, DT_LNK);
}
static bool emit_fdinfos(struct inode *dir, struct dir_context *ctx, u64 first)
{
    return emit_fds(dir, ctx, first, DT_REG);
}

const struct proc_dir_ops fd_dir_ops = {.lookup = lookup_fd, .emit = emit_fd_links};
const struct proc_dir_ops fdinfo_dir_ops = {.lookup = lookup_fdinfo, .emit = emit_fdinfos};

/* ---- exe, cwd, root ---- */

struct file *process_exe(struct task *task)
{
    struct space *space = task_space(task);
    struct file *exe = NULL;

    if (space == NULL)
        return NULL;
    exe = space_layout(space)->exe;
    if (exe != NULL)
        file_get(exe);
    space_put(space);
    return exe;
}

ssize_t read_exe_link(const struct proc_target *t, char *buf, size_t size)
{
    return read_file_link(process_exe(t->task), buf, size);
}

int follow_exe(const struct proc_target *t, struct path *path) { return follow_file(process_exe(t->task), path); }

static int task_place(struct task *task, bool is_root, struct path *path)
{
    struct fs_context *fs = task_fs(task);

    if (fs == NULL)
        return -ENOENT;
    spin_lock(&fs->lock);
    *path = is_root ? fs->root : fs->cwd;
    path_get(path);
    spin_unlock(&fs->lock);
    fs_context_put(fs);
    return 0;
}

static ssize_t read_place(const struct proc_target *t, bool is_root, char *buf, size_t size)
{
    struct path path;
    int error = task_place(t->task, is_root, &path);
    char *scratch = kmalloc(PATH_MAX), *name;
    ssize_t n = -ENOMEM;

    if (error == 0 && scratch != NULL) {
        name = path_name(&path, scratch, PATH_MAX);
        n = IS_ERR(name) ? PTR_ERR(name) : copy_path(buf, size, name);
    }
    if (error == 0)
        path_put(&path);
    kfree(scratch);
    return error != 0 ? error : n;
}

ssize_t read_cwd_link(const struct proc_target *t, char *buf, size_t size) { return read_place(t, false, buf, size); }
ssize_t read_root_link(const struct proc_target *t, char *buf, size_t size) { return read_place(t, true, buf, size); }
int follow_cwd(const struct proc_target *t, struct path *path) { return task_place(t->task, false, path); }
int follow_root(const struct proc_target *t, struct path *path) { return task_place(t->task, true, path); }
