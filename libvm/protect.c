/*
 * PROT1, PROTN, UNPROT.
 */
#include "internal.h"

int vm_protect(void *start, size_t length, int prot)
{
    size_t bytes = vm_whole_pages(start, length);

    if (bytes == 0 || !vm_is_protection(prot))
        return vm_fail(EINVAL);
    if (!areas_empty(&vm_shadows))
        return shadow_protect((uintptr_t)start, bytes, prot);
    return mprotect(start, bytes, prot);
}

int vm_protect_ranges(const struct vm_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (vm_protect(ranges[i].start, ranges[i].length, ranges[i].prot))
            return -1;
    return 0;
}
