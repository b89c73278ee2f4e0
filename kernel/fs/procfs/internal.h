/*
 * What the files of procfs share. The tree is described by static tables of entries; what is below a process, a thread
 * or a descriptor is looked up anew each time by number, so no inode keeps a process alive.
 *
 *   root [system_entries, sys/...] / PID [process_entries] / task / TID [thread_entries]
 *                                       / fd / N
 *
 * Text is generated into a seq at the first read and again at each read from offset 0.
 */
#ifndef FS_PROCFS_INTERNAL_H
#define FS_PROCFS_INTERNAL_H

#include "fs/procfs/procfs.h"
#include "fs/vfs.h"
#include "lib/print.h"
#include "proc/task.h"
#include "vm/space.h"

/* ---- growing text ---- */
struct seq {
    char *text;
    size_t length, size;
    bool failed; /* out of memory: the read fails */
};
void seq_printf(struct seq *s, const char *fmt, ...) printf_like(2, 3);
void seq_puts(struct seq *s, const char *text);
void seq_write(struct seq *s, const char *bytes, size_t n);
/* Blanks up to COLUMN of the line that began at START. */
void seq_pad(struct seq *s, size_t start, size_t column);
/* TEXT with the bytes of ESCAPED as \ooo. */
void seq_escaped(struct seq *s, const char *text, const char *escaped);
/* FILE's path, newlines escaped. */
void seq_file_path(struct seq *s, struct file *file);

/* ---- entries ---- */
/* Whom a file below /proc/PID is about. */
struct proc_target {
    struct task *task; /* referenced; NULL outside of /proc/PID */
    bool is_thread;    /* below task/TID: of this thread alone, not of the whole process */
    int fd;
    u64 start, end;      /* below map_files: a range of addresses */
    struct space *space; /* PROC_SPACE; NULL: there is none any more */
};

struct proc_dir_ops {
    struct inode *(*lookup)(struct inode *dir, struct name name); /* what is not in `children`; ERR_PTR(-ENOENT) */
    /* Emits those from cookie FROM on; their cookies are FROM + something the directory chooses. False: the buffer is
     * full. */
    bool (*emit)(struct inode *dir, struct dir_context *ctx, u64 first_cookie);
};

struct proc_entry {
    const char *name;
    u32 mode;  /* type and permissions */
    u32 flags; /* PROC_* */
    int (*show)(struct seq *s, const struct proc_target *t);
    /* Long files, part after part: *CURSOR begins at 0; false: that was the last part. */
    bool (*show_part)(struct seq *s, const struct proc_target *t, u64 *cursor);
    /* A write of N bytes, NUL added: 0 or -errno. */
    int (*write)(const struct proc_target *t, char *text, size_t n);
    ssize_t (*read_link)(const struct proc_target *t, char *buf, size_t size);
    int (*follow)(const struct proc_target *t, struct path *path); /* for links that lead to an object, not a name */
    const struct file_ops *file_ops;                               /* NULL: by the functions above */
    const struct proc_entry *children;                             /* directories: ended by one without a name */
    const struct proc_dir_ops *dir;
};
#define PROC_GUARDED BIT(0) /* who may trace the process may look (ptrace(2), "Ptrace access mode checking") */
/* Tells of the space that the process had when it was opened, alone: who could open it may not see the next program's. */
#define PROC_SPACE BIT(1)

extern const struct proc_entry system_entries[], sys_entries[], sysvipc_entries[], journal_entries[], net_entries[],
    process_entries[], thread_entries[];
extern const struct proc_dir_ops root_dir_ops, task_dir_ops, fd_dir_ops, fdinfo_dir_ops, map_files_dir_ops;

#define PROC_FILE(name_, permissions, show_)                          \
    {                                                                 \
        .name = name_, .mode = S_IFREG | (permissions), .show = show_ \
    }
#define PROC_DIRECTORY(name_, children_)                             \
    {                                                                \
        .name = name_, .mode = S_IFDIR | 0555, .children = children_ \
    }

/* ---- inodes ---- */
struct proc_inode {
    struct inode inode;
    const struct proc_entry *entry;
    int tid;      /* 0: not below a process */
    u64 start_ns; /* tells a process from a later one with the same number */
    bool is_thread;
    int fd;
    u64 start, end; /* of a link in map_files */
};
static inline struct proc_inode *proc_inode(struct inode *inode)
{
    return container_of(inode, struct proc_inode, inode);
}
/* The inode of ENTRY in DIR, for the same process as DIR; of TASK when that is not NULL. */
struct inode *proc_inode_create(struct inode *dir, const struct proc_entry *entry, struct task *task);
/* The inode number of ENTRY for NUMBER in DIR. */
u64 proc_ino(struct inode *dir, const struct proc_entry *entry, int number);
/* INODE and all below it are about NUMBER: a descriptor, a hart. */
void proc_inode_set_number(struct inode *inode, int number);
/* Fills a super block whose root is ENTRY, a directory: /proc, and /sys, which is made of the same stuff. */
int proc_mount_tree(struct super *super, const struct proc_entry *entry);
/* What INODE is about: 0, or -ESRCH when it is gone. Ends with proc_target_put. */
int proc_target_get(struct inode *inode, struct proc_target *t);
void proc_target_put(struct proc_target *t);
/* A decimal number without sign or leading zeros, or -1. */
int name_number(struct name name);

/* Emits an entry and moves CTX behind it; false: the buffer is full. */
bool proc_emit(struct dir_context *ctx, const char *name, u64 ino, unsigned type, u64 next_cookie);

extern const struct file_ops proc_file_ops, proc_mem_ops, proc_pagemap_ops, proc_kmsg_ops, proc_kpageflags_ops;
extern const struct inode_ops proc_dir_inode_ops;

/* ---- formats shared by several files ---- */
#define USER_HZ 100
static inline u64 ns_to_ticks(u64 ns) { return ns / (NSEC_PER_SEC / USER_HZ); }
/* The program's own code. */
static inline u64 text_pages(const struct space_layout *l)
{
    return (ALIGN_UP(l->end_code, PAGE_SIZE) - ALIGN_DOWN(l->start_code, PAGE_SIZE)) >> PAGE_SHIFT;
}
static inline u64 pages_to_kib(u64 n_pages) { return n_pages * (PAGE_SIZE / KIB); }
int show_mounts(struct seq *s, const struct proc_target *t);
int show_mountinfo(struct seq *s, const struct proc_target *t);
bool show_maps(struct seq *s, const struct proc_target *t, u64 *cursor);
bool show_smaps(struct seq *s, const struct proc_target *t, u64 *cursor);
int show_smaps_rollup(struct seq *s, const struct proc_target *t);
int show_config(struct seq *s, const struct proc_target *t);
int show_quire(struct seq *s, const struct proc_target *t);
int show_process_stat(struct seq *s, const struct proc_target *t);
int show_process_status(struct seq *s, const struct proc_target *t);
/* The space of INODE's process, to be held (space_drop): NULL if it has none. -EACCES, -ESRCH */
int proc_hold_space(struct inode *inode, struct space **space);
s64 proc_mem_seek(struct file *file, s64 offset, int whence);
int write_clear_refs(const struct proc_target *t, char *text, size_t n);
/* A decimal number, perhaps negative, with blanks around it: 0 or -EINVAL. */
int parse_number(const char *text, long *value);
int show_fdinfo(struct seq *s, const struct proc_target *t);
ssize_t read_fd_link(const struct proc_target *t, char *buf, size_t size);
/* The path of FILE, whose reference is used up, into BUF: its length; NULL: -ENOENT. */
ssize_t read_file_link(struct file *file, char *buf, size_t size);
/* *PATH leads to FILE, whose reference is used up; NULL: -ENOENT. */
int follow_file(struct file *file, struct path *path);
ssize_t read_map_link(const struct proc_target *t, char *buf, size_t size);
int follow_map(const struct proc_target *t, struct path *path);
/* Whether a link in map_files is still true. */
bool map_is_there(struct inode *inode);
int follow_fd(const struct proc_target *t, struct path *path);
ssize_t read_exe_link(const struct proc_target *t, char *buf, size_t size);
ssize_t read_cwd_link(const struct proc_target *t, char *buf, size_t size);
ssize_t read_root_link(const struct proc_target *t, char *buf, size_t size);
int follow_exe(const struct proc_target *t, struct path *path);
int follow_cwd(const struct proc_target *t, struct path *path);
int follow_root(const struct proc_target *t, struct path *path);
struct file *process_exe(struct task *task); /* referenced, or NULL */

#endif
