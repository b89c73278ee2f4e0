/*
 * What a program for xv6 may call. Failures give -1 (for sbrk and mmap, that as a pointer), and no reason.
 * docs/xv6.md says where this differs from Linux.
 */
#ifndef XV6_USER_USER_H
#define XV6_USER_USER_H

#include "kernel/types.h"

#define SBRK_ERROR ((char *)-1)

struct stat;

/* Processes. */
int fork(void);
int exit(int status) __attribute__((noreturn));
int wait(int *status); /* the number given to exit(), or -1 for who was killed */
int kill(int pid);
int exec(const char *path, char **argv);
int getpid(void);
int sleep(int ticks); /* of a tenth of a second */
int pause(int ticks); /* the same */
int uptime(void);
int sigalarm(int ticks, void (*handler)());
int sigreturn(void);

/* Memory. */
char *sbrk(int bytes);
char *sbrklazy(int bytes);
char *sys_sbrk(int bytes, int how);
void *mmap(void *at, uint64 length, int protection, int flags, int fd, uint64 offset);
int munmap(void *at, uint64 length);

/* Files. */
int open(const char *path, int flags);
int close(int fd);
int read(int fd, void *to, int length);
int write(int fd, const void *from, int length);
int dup(int fd);
int pipe(int fds[2]);
int fstat(int fd, struct stat *to);
int link(const char *path, const char *new_path);
int symlink(const char *target, const char *path);
int unlink(const char *path);
int mkdir(const char *path);
int mknod(const char *path, short major, short minor);
int chdir(const char *path);

/* The library. */
int stat(const char *path, struct stat *to);
char *strcpy(char *to, const char *from);
char *strchr(const char *text, char wanted);
int strcmp(const char *one, const char *other);
uint strlen(const char *text);
int atoi(const char *text);
void *memset(void *at, int value, uint length);
void *memmove(void *to, const void *from, int length);
void *memcpy(void *to, const void *from, uint length);
int memcmp(const void *one, const void *other, uint length);
char *gets(char *to, int size);
void printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fprintf(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *malloc(uint bytes);
void free(void *at);

#endif
