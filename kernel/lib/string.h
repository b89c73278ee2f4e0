/* The parts of C's <string.h> that a kernel needs, and a few bounded helpers. */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include "lib/types.h"

#ifdef QUIRE_HOST
#include <string.h>
#else
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
void *memrchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *haystack, const char *needle);
unsigned long strtoul(const char *s, char **end, int base);
#endif

/* Copies at most SIZE - 1 bytes and always ends DST with NUL; returns strlen(SRC). */
size_t copy_string(char *dst, const char *src, size_t size);

/* A whole page, 8 bytes a store or better; both page aligned. */
void copy_page(void *dst, const void *src);
void clear_page(void *page);

#endif
