/* /proc/PID/map_files: a link START-END for each range that maps a file, to that file. Source: proc_pid_map_files(5).
 */
#include "fs/dentry.h"
#include "fs/procfs/internal.h"
#include "lib/string.h"

static const struct proc_entry map_entry = {
    .name = "", .mode = S_IFLNK | 0700, .flags = PROC_GUARDED, .read_link = read_map_link, .follow = follow_map};

/* The range of T's process that begins at or above ADDRESS and maps a file, with a reference to it. */
static bool next_file_range(const struct proc_target *t, u64 address, struct space_range *r)
{
    struct space *space = task_space(t->task);
    bool found = false;

    while (space != NULL && !found) {
        *r = (struct space_range){.pages = NULL};
        if (!space_next_range(space, &address, r))
            break;
        found = r->file != NULL;
    }
    if (space != NULL)
        space_put(space);
    return found;
}

/* The file that T's process maps at exactly [start, end), with a reference, or NULL. */
static struct file *mapped_file(const struct proc_target *t, struct space_range *r)
{
    if (!next_file_range(t, t->start, r))
        return NULL;
    if (r->start == t->start && r->end == t->end)
        return r->file;
    file_put(r->file);
    return NULL;
}

ssize_t read_map_link(const struct proc_target *t, char *buf, size_t size)
{
    struct space_range r;

    return read_file_link(mapped_file(t, &r), buf, size);
}

int follow_map(const struct proc_target *t, struct path *path)
{
    struct space_range r;

    if (!capable(current->cred, CAP_SYS_ADMIN) && !capable(current->cred, CAP_CHECKPOINT_RESTORE))
        return -EPERM;
    return follow_file(mapped_file(t, &r), path);
}

/* ---- the directory ---- */

static const char *parse_hex(const char *s, const char *end, u64 *value)
{
    const char *begin = s;

    *value = 0;
    for (; s < end && s - begin < 16; s++) {
        unsigned digit = *s >= '0' && *s <= '9'   ? (unsigned)(*s - '0')
                         : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a' + 10)
                                                  : 16;

        if (digit == 16)
            break;
        *value = *value << 4 | digit;
    }
    return s == begin || (*begin == '0' && s - begin > 1) ? NULL : s;
}

/* "START-END" in hexadecimal digits without leading zeros. */
static bool parse_name(struct name name, u64 *start, u64 *end)
{
    const char *limit = name.s + name.length, *s = parse_hex(name.s, limit, start);

    if (s == NULL || s == limit || *s != '-')
        return false;
    return parse_hex(s + 1, limit, end) == limit;
}

static u32 link_mode(const struct file *file)
{
    return S_IFLNK | (file->can_read ? 0400 : 0) | (file->can_write ? 0200 : 0);
}

static u64 link_ino(const struct inode *dir, u64 start) { return dir->ino ^ start >> PAGE_SHIFT << 27; }

static struct inode *lookup_map(struct inode *dir, struct name name)
{
    struct inode *inode = ERR_PTR(-ENOENT);
    struct proc_target t;
    struct space_range r;
    struct file *file;

    if (proc_target_get(dir, &t) != 0)
        return inode;
    if (!may_trace(t.task))
        inode = ERR_PTR(-EACCES);
    else if (parse_name(name, &t.start, &t.end) && (file = mapped_file(&t, &r)) != NULL) {
        inode = proc_inode_create(dir, &map_entry, NULL);
        if (!IS_ERR(inode)) {
            proc_inode(inode)->start = t.start;
            proc_inode(inode)->end = t.end;
            inode->ino = link_ino(dir, t.start);
            inode->mode = link_mode(file);
        }
        file_put(file);
    }
    proc_target_put(&t);
    return inode;
}

/* A cookie is one more than the page number from which the next link is looked for. */
static bool emit_maps(struct inode *dir, struct dir_context *ctx, u64 first)
{
    u64 address = ctx->pos > first ? (ctx->pos - first) << PAGE_SHIFT : 0;
    struct proc_target t;
    struct space_range r;
    bool room = true;

    if (proc_target_get(dir, &t) != 0)
        return true;
    while (room && may_trace(t.task) && next_file_range(&t, address, &r)) {
        char name[40];

        snprintf(name, sizeof(name), "%lx-%lx", r.start, r.end);
        file_put(r.file);
        room = proc_emit(ctx, name, link_ino(dir, r.start), DT_LNK, first + (r.end >> PAGE_SHIFT));
        address = r.end;
    }
    proc_target_put(&t);
    return room;
}

bool map_is_there(struct inode *inode)
{
    struct proc_target t;
    struct space_range r;
    struct file *file;

    if (proc_target_get(inode, &t) != 0)
        return false;
    file = mapped_file(&t, &r);
    if (file != NULL)
        file_put(file);
    proc_target_put(&t);
    return file != NULL;
}

const struct proc_dir_ops map_files_dir_ops = {.lookup = lookup_map, .emit = emit_maps};
