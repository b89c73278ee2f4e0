/*
 * Inside proc/: a program that is about to be run. exec_load.c and exec_stack.c prepare it in a space of its own,
 * exec.c makes it the current one.
 */
#ifndef PROC_EXEC_H
#define PROC_EXEC_H

#include "proc/elf.h"
#include "proc/task.h"
#include "vm/space.h"

#define SCRIPT_LEVELS 4
#define EXEC_HEAD_SIZE 256

/* argv or envp: of user memory, or of the kernel's own. */
struct exec_strings {
    u64 user;                  /* user address of the pointers */
    const char *const *kernel; /* not NULL: these instead */
    u32 count;
};

struct exec {
    char *name;              /* what was asked for: AT_EXECFN, and comm comes from it */
    struct file *file;       /* what is run, a script's interpreter: from file_open_exec */
    u8 head[EXEC_HEAD_SIZE]; /* its first bytes; zeros after its end */
    struct elf elf;          /* its headers, or why there are none, which exec_load tells: */
    int elf_error;
    char *prefix[2 * SCRIPT_LEVELS + 1]; /* scripts: what comes instead of argv[0], last one first; kmalloc'ed */
    unsigned n_prefix;
    bool name_is_closed; /* `name` is that of a descriptor that exec closes */
    bool set_uid, set_gid; /* by the file's mode; FILE_UID, FILE_GID then */
    u32 file_uid, file_gid;
    struct exec_strings args, environment;
    const struct rlimits *limits;
    unsigned personality; /* of the process */
    struct cred *cred;    /* of the new program */

    struct space *space;
    struct space_random random;
    struct elf_placement program;
    u64 entry, interpreter_base;
    u16 phnum;
    u64 sp, vdso_base;
    u64 stack_position; /* the lowest byte used so far */
    u8 *page;           /* exec_stack.c: what is going to be the page at page_address; from page_alloc, or NULL */
    u64 page_address;
    u64 *addresses; /* of the argument and environment strings, in order */
};

/* exec.c: all that can fail without harm, in a space that nobody uses yet. */
int exec_prepare(struct exec *x, int dirfd, const char *name, int at_flags, bool no_new_privs);
void exec_discard(struct exec *x); /* frees X and what it still holds */
void exec_start_registers(struct regs *regs, const struct exec *x);
void exec_set_comm(struct thread *t, const char *path);
/* exec_load.c: opens NAME (relative to DIRFD), follows #! lines. */
int exec_open(struct exec *x, int dirfd, const char *name, int at_flags);
/* Maps the program and its interpreter into x->space. */
int exec_load(struct exec *x);
/* exec_stack.c: strings, then the table of pointers and the auxiliary vector; sets x->sp. */
int exec_count_strings(struct exec *x);
int exec_push_strings(struct exec *x);
int exec_push_table(struct exec *x);

#endif
