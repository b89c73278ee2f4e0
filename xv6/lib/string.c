/* Strings and bytes. */
#include "user/user.h"

char *strcpy(char *to, const char *from)
{
    char *at = to;

    while ((*at++ = *from++))
        ;
    return to;
}

int strcmp(const char *one, const char *other)
{
    while (*one && *one == *other)
        one++, other++;
    return (uchar)*one - (uchar)*other;
}

uint strlen(const char *text)
{
    uint length = 0;

    while (text[length])
        length++;
    return length;
}

char *strchr(const char *text, char wanted)
{
    for (; *text; text++)
        if (*text == wanted)
            return (char *)text;
    return 0;
}

int atoi(const char *text)
{
    int value = 0;

    while (*text >= '0' && *text <= '9')
        value = value * 10 + *text++ - '0';
    return value;
}

void *memset(void *at, int value, uint length)
{
    for (uint i = 0; i < length; i++)
        ((char *)at)[i] = (char)value;
    return at;
}

/* The ranges may overlap. */
void *memmove(void *to, const void *from, int length)
{
    char *target = to;
    const char *source = from;

    if (source > target)
        for (int i = 0; i < length; i++)
            target[i] = source[i];
    else
        for (int i = length; i-- > 0;)
            target[i] = source[i];
    return to;
}

void *memcpy(void *to, const void *from, uint length) { return memmove(to, from, (int)length); }

int memcmp(const void *one, const void *other, uint length)
{
    const uchar *left = one, *right = other;

    for (uint i = 0; i < length; i++)
        if (left[i] != right[i])
            return left[i] - right[i];
    return 0;
}
