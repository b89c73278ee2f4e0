/* The tree of /proc: inodes made from the tables of entries, directories, and who may look. Sources: proc(5),
 * ptrace(2). */
#include "fs/procfs/internal.h"
#include "fs/procfs/procfs.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

#define PROC_MAGIC 0x9fa0
#define ROOT_INO 1

/* Cookies of directory entries: 0 ".", 1 "..", then the table's, then what the directory emits itself. */
#define FIRST_CHILD 2

/* Inode numbers: thread and descriptor above the entry's place in the kernel's image. */
#define INO_ENTRY_BITS 27
#define INO_FD_BITS 20

static const struct inode_ops proc_file_inode_ops, proc_link_inode_ops, proc_magic_link_inode_ops;
static const struct file_ops proc_dir_file_ops;
static const struct super_ops proc_super_ops;

static const struct proc_entry root_entry = {
    .name = "", .mode = S_IFDIR | 0555, .children = system_entries, .dir = &root_dir_ops};
static const struct proc_entry pid_entry = {.name = "", .mode = S_IFDIR | 0555, .children = process_entries};
static const struct proc_entry tid_entry = {.name = "", .mode = S_IFDIR | 0555, .children = thread_entries};

int name_number(struct name name)
{
    int number = 0;

    if (name.length == 0 || name.length > 9 || (name.s[0] == '0' && name.length > 1))
        return -1;
    for (unsigned i = 0; i < name.length; i++) {
        if (name.s[i] < '0' || name.s[i] > '9')
            return -1;
        number = number * 10 + (name.s[i] - '0');
    }
    return number;
}

/* ---- who is meant, who may look ---- */

static struct task *find_same_task(const struct proc_inode *p)
{
    struct task *task = task_find(p->tid);

    if (task != NULL && task->start_ns != p->start_ns) {
        task_put(task);
        return NULL;
    }
    return task;
}

int proc_target_get(struct inode *inode, struct proc_target *t)
{
    const struct proc_inode *p = proc_inode(inode);

    *t = (struct proc_target){.is_thread = p->is_thread, .fd = p->fd, .start = p->start, .end = p->end};
    if (p->tid == 0)
        return 0;
    t->task = find_same_task(p);
    return t->task != NULL ? 0 : -ESRCH;
}

struct process *proc_folder_process(struct file *file)
{
    struct inode *inode = file->inode;
    struct process *p = NULL;
    struct proc_target t;

    if (inode->super->ops != &proc_super_ops || proc_inode(inode)->entry != &pid_entry ||
        proc_target_get(inode, &t) != 0)
        return NULL;
    p = t.task->process;
    process_get(p);
    proc_target_put(&t);
    return p;
}

void proc_target_put(struct proc_target *t)
{
    if (t->task != NULL)
        task_put(t->task);
    t->task = NULL;
}

static bool has_same_ids(const struct cred *mine, const struct cred *theirs)
{
    return mine->fsuid == theirs->uid && mine->fsuid == theirs->euid && mine->fsuid == theirs->suid &&
           mine->fsgid == theirs->gid && mine->fsgid == theirs->egid && mine->fsgid == theirs->sgid;
}

bool may_trace(struct task *task)
{
    struct cred *theirs;
    bool allowed;

    if (is_user_thread(current) && task->process == current_process())
        return true;
    if (capable(current->cred, CAP_SYS_PTRACE))
        return true;
    theirs = task_cred(task);
    allowed = has_same_ids(current->cred, theirs) && !task->process->is_undumpable;
    cred_put(theirs);
    return allowed;
}

/* ---- inodes ---- */

/* What belongs to a process belongs to its user, unless that might hold secrets of another's. */
static void set_owner(struct inode *inode, struct task *task)
{
    struct cred *cred = task_cred(task);
    bool is_roots = task->process->is_undumpable && !S_ISDIR(inode->mode);

    inode->uid = is_roots ? 0 : cred->euid;
    inode->gid = is_roots ? 0 : cred->egid;
    cred_put(cred);
}

static u64 entry_ino(const struct proc_inode *p)
{
    u64 entry = (u64)p->entry & (BIT(INO_ENTRY_BITS) - 1);

    return (u64)p->tid << (INO_ENTRY_BITS + INO_FD_BITS) |
           ((u64)(p->fd + 1) & (BIT(INO_FD_BITS) - 1)) << INO_ENTRY_BITS | entry | (p->is_thread && p->tid != 0);
}

static void set_operations(struct inode *inode, const struct proc_entry *entry)
{
    if (S_ISDIR(entry->mode)) {
        inode->ops = &proc_dir_inode_ops;
        inode->file_ops = &proc_dir_file_ops;
    } else if (S_ISLNK(entry->mode)) {
        inode->ops = entry->follow != NULL ? &proc_magic_link_inode_ops : &proc_link_inode_ops;
    } else {
        inode->ops = &proc_file_inode_ops;
        inode->file_ops = entry->file_ops != NULL ? entry->file_ops : &proc_file_ops;
    }
}

struct inode *proc_inode_create(struct inode *dir, const struct proc_entry *entry, struct task *task)
{
    const struct proc_inode *parent = proc_inode(dir);
    int tid = task != NULL ? task_tid(task) : parent->tid;
    struct inode *inode;
    struct proc_inode *p;

    if (task != NULL && tid == 0)
        return ERR_PTR(-ENOENT); /* it was reaped just now */
    inode = inode_new(dir->super);
    if (IS_ERR(inode))
        return inode;
    p = proc_inode(inode);
    p->entry = entry;
    p->tid = tid;
    p->start_ns = task != NULL ? task->start_ns : parent->start_ns;
    p->is_thread = parent->is_thread;
    p->fd = parent->fd;
    inode->mode = entry->mode;
    inode->nlink = S_ISDIR(entry->mode) ? 2 : 1;
    inode->uid = inode->gid = 0;
    inode->ino = entry_ino(p);
    set_operations(inode, entry);
    return inode;
}

u64 proc_ino(struct inode *dir, const struct proc_entry *entry, int number)
{
    const struct proc_inode *parent = proc_inode(dir);
    struct proc_inode p = {.entry = entry, .tid = parent->tid, .is_thread = parent->is_thread, .fd = number};

    return entry_ino(&p);
}

void proc_inode_set_number(struct inode *inode, int number)
{
    proc_inode(inode)->fd = number;
    inode->ino = entry_ino(proc_inode(inode));
}

/* False when the process is gone, or another one by now. */
static bool refresh(struct inode *inode)
{
    struct proc_target t;

    if (proc_inode(inode)->tid == 0)
        return true;
    if (proc_target_get(inode, &t) != 0)
        return false;
    set_owner(inode, t.task);
    proc_target_put(&t);
    return true;
}

static void proc_getattr(struct inode *inode) { (void)refresh(inode); }

/* Nothing here can be given other owners or modes; that a file is cut before it is written to means nothing. */
static int proc_setattr(struct inode *inode, const struct attributes *attr)
{
    return attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -EPERM : 0;
}

/* ---- directories ---- */

static bool name_is(struct name name, const char *s)
{
    return *s == *name.s && strlen(s) == name.length && memcmp(name.s, s, name.length) == 0;
}

static struct inode *lookup_child(struct inode *dir, struct name name)
{
    const struct proc_entry *e = proc_inode(dir)->entry->children;

    struct inode *inode;

    while (e != NULL && e->name != NULL && !name_is(name, e->name))
        e++;
    if (e == NULL || e->name == NULL)
        return ERR_PTR(-ENOENT);
    inode = proc_inode_create(dir, e, NULL);
    if (!IS_ERR(inode) && proc_inode(inode)->tid == 0 && proc_inode(inode)->fd < 0)
        inode->state |= INODE_LASTING; /* about no process, thread, descriptor, ... */
    return inode;
}

static struct inode *proc_lookup(struct inode *dir, struct name name)
{
    const struct proc_dir_ops *ops = proc_inode(dir)->entry->dir;
    struct inode *inode = lookup_child(dir, name);

    if (IS_ERR(inode) && PTR_ERR(inode) == -ENOENT && ops != NULL)
        inode = ops->lookup(dir, name);
    if (!IS_ERR(inode) && !refresh(inode)) {
        inode_put(inode);
        return ERR_PTR(-ENOENT);
    }
    return inode;
}

static bool fd_is_open(const struct proc_inode *p)
{
    struct task *task = find_same_task(p);
    struct fd_table *files = task != NULL ? task_files(task) : NULL;
    struct file *file = files != NULL ? fd_table_file(files, p->fd) : NULL;

    if (files != NULL)
        fd_table_put(files);
    if (task != NULL)
        task_put(task);
    if (file == NULL)
        return false;
    file_put(file);
    return true;
}

static bool proc_revalidate(struct inode *dir, struct name name, struct inode *inode)
{
    const struct proc_dir_ops *ops = proc_inode(dir)->entry->dir;

    if ((ops == &fd_dir_ops || ops == &fdinfo_dir_ops) && !fd_is_open(proc_inode(inode)))
        return false;
    if (ops == &map_files_dir_ops && !map_is_there(inode))
        return false;
    return refresh(inode);
}

bool proc_emit(struct dir_context *ctx, const char *name, u64 ino, unsigned type, u64 next_cookie)
{
    if (!ctx->emit(ctx, name, (unsigned)strlen(name), ino, type, next_cookie))
        return false;
    ctx->pos = next_cookie;
    return true;
}

static int proc_read_dir(struct file *file, struct dir_context *ctx)
{
    const struct proc_inode *p = proc_inode(file->inode);
    const struct proc_entry *e = p->entry->children;
    u64 cookie = FIRST_CHILD;

    if (ctx->pos == 0 && !proc_emit(ctx, ".", file->inode->ino, DT_DIR, 1))
        return 0;
    if (ctx->pos == 1 && !proc_emit(ctx, "..", file->inode->ino, DT_DIR, FIRST_CHILD))
        return 0;
    for (; e != NULL && e->name != NULL; e++, cookie++) {
        struct proc_inode child = {.entry = e, .tid = p->tid, .is_thread = p->is_thread, .fd = p->fd};

        if (cookie >= ctx->pos && !proc_emit(ctx, e->name, entry_ino(&child), mode_to_dt(e->mode), cookie + 1))
            return 0;
    }
    if (p->entry->dir != NULL)
        p->entry->dir->emit(file->inode, ctx, cookie);
    return 0;
}

static int proc_dir_open(struct inode *inode, struct file *file) { return refresh(inode) ? 0 : -ENOENT; }

/* ---- links ---- */

static ssize_t proc_read_link(struct inode *inode, char *buf, size_t size)
{
    const struct proc_entry *entry = proc_inode(inode)->entry;
    struct proc_target t;
    ssize_t n = proc_target_get(inode, &t);

    if (n != 0)
        return n == -ESRCH ? -ENOENT : n;
    if ((entry->flags & PROC_GUARDED) && !may_trace(t.task))
        n = -EACCES;
    else
        n = entry->read_link(&t, buf, size);
    proc_target_put(&t);
    return n;
}

static int proc_follow_link(struct inode *inode, struct path *path)
{
    const struct proc_entry *entry = proc_inode(inode)->entry;
    struct proc_target t;
    int error = proc_target_get(inode, &t);

    if (error != 0)
        return -ENOENT;
    if ((entry->flags & PROC_GUARDED) && !may_trace(t.task))
        error = -EACCES;
    else
        error = entry->follow(&t, path);
    proc_target_put(&t);
    return error;
}

/* ---- processes and threads as directories ---- */

static struct inode *lookup_process(struct inode *dir, struct name name)
{
    int pid = name_number(name);
    struct process *process = pid > 0 ? process_find(pid) : NULL;
    struct task *leader = process != NULL ? process_leader(process) : NULL;
    struct inode *inode = leader != NULL ? proc_inode_create(dir, &pid_entry, leader) : ERR_PTR(-ENOENT);

    if (leader != NULL)
        task_put(leader);
    if (process != NULL)
        process_put(process);
    return inode;
}

static bool emit_number(struct dir_context *ctx, int number, u64 ino, unsigned type, u64 next_cookie)
{
    char name[12];

    snprintf(name, sizeof(name), "%d", number);
    return proc_emit(ctx, name, ino, type, next_cookie);
}

static u64 directory_ino(const struct proc_entry *entry, int tid, bool is_thread)
{
    struct proc_inode p = {.entry = entry, .tid = tid, .is_thread = is_thread};

    return entry_ino(&p);
}

static bool emit_processes(struct inode *dir, struct dir_context *ctx, u64 first)
{
    int pid = ctx->pos > first ? (int)(ctx->pos - first) : 1;
    struct process *process;

    while ((process = process_next(&pid)) != NULL) {
        process_put(process);
        if (!emit_number(ctx, pid, directory_ino(&pid_entry, pid, false), DT_DIR, first + (u64)pid + 1))
            return false;
        pid++;
    }
    return true;
}

const struct proc_dir_ops root_dir_ops = {.lookup = lookup_process, .emit = emit_processes};

static struct inode *lookup_thread(struct inode *dir, struct name name)
{
    struct proc_target t;
    int tid = name_number(name);
    struct task *task = tid > 0 ? task_find(tid) : NULL;
    struct inode *inode = ERR_PTR(-ENOENT);

    if (task == NULL)
        return inode;
    if (proc_target_get(dir, &t) == 0) {
        if (task->process == t.task->process)
            inode = proc_inode_create(dir, &tid_entry, task);
        proc_target_put(&t);
    }
    task_put(task);
    if (!IS_ERR(inode)) {
        proc_inode(inode)->is_thread = true;
        inode->ino = entry_ino(proc_inode(inode));
    }
    return inode;
}

static bool emit_threads(struct inode *dir, struct dir_context *ctx, u64 first)
{
    int tid = ctx->pos > first ? (int)(ctx->pos - first) : 1;
    struct proc_target t;
    struct task *task;
    bool room = true;

    if (proc_target_get(dir, &t) != 0)
        return true;
    while (room && (task = process_next_thread(t.task->process, &tid)) != NULL) {
        task_put(task);
        room = emit_number(ctx, tid, directory_ino(&tid_entry, tid, true), DT_DIR, first + (u64)tid + 1);
        tid++;
    }
    proc_target_put(&t);
    return room;
}

const struct proc_dir_ops task_dir_ops = {.lookup = lookup_thread, .emit = emit_threads};

/* ---- the file system ---- */

const struct inode_ops proc_dir_inode_ops = {
    .lookup = proc_lookup, .revalidate = proc_revalidate, .getattr = proc_getattr, .setattr = proc_setattr};
static const struct inode_ops proc_file_inode_ops = {.getattr = proc_getattr, .setattr = proc_setattr};
static const struct inode_ops proc_link_inode_ops = {
    .read_link = proc_read_link, .getattr = proc_getattr, .setattr = proc_setattr};
static const struct inode_ops proc_magic_link_inode_ops = {
    .read_link = proc_read_link, .follow_link = proc_follow_link, .getattr = proc_getattr, .setattr = proc_setattr};
static const struct file_ops proc_dir_file_ops = {
    .open = proc_dir_open, .read_dir = proc_read_dir, .seek = generic_seek};

static struct inode *proc_alloc_inode(struct super *super)
{
    struct proc_inode *p = kzalloc(sizeof(*p));

    if (p == NULL)
        return NULL;
    p->fd = -1;
    return &p->inode;
}

static void proc_free_inode(struct inode *inode) { kfree(proc_inode(inode)); }

static void proc_statfs(struct super *super, struct statfs_info *info)
{
    *info = (struct statfs_info){
        .type = super->type->magic, .block_size = PAGE_SIZE, .fragment_size = PAGE_SIZE, .name_max = NAME_MAX};
}

static const struct super_ops proc_super_ops = {
    .alloc_inode = proc_alloc_inode, .free_inode = proc_free_inode, .statfs = proc_statfs};

int proc_mount_tree(struct super *super, const struct proc_entry *entry)
{
    struct inode *root;

    super->ops = &proc_super_ops;
    super->block_size = PAGE_SIZE;
    root = inode_new(super);
    if (IS_ERR(root))
        return (int)PTR_ERR(root);
    proc_inode(root)->entry = entry;
    root->mode = entry->mode;
    root->uid = root->gid = 0;
    root->nlink = 2;
    root->ino = ROOT_INO;
    set_operations(root, entry);
    super->root = root;
    return 0;
}

static int proc_mount(struct super *super, const char *options) { return proc_mount_tree(super, &root_entry); }

static struct fs_type proc_type = {.name = "proc", .magic = PROC_MAGIC, .mount = proc_mount};

void procfs_init(void) { fs_register(&proc_type); }
