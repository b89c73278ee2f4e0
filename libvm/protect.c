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

/* As many as go at once: in one call, as Quire's structure. *DONE counts up. */
static int protect_some(const struct vm_range *ranges, size_t count, size_t *done)
{
    struct vmtrap_range list[64];
    size_t some = 0;
    long result;

    for (; some < count && some < sizeof(list) / sizeof(list[0]); some++) {
        size_t bytes = vm_whole_pages(ranges[some].start, ranges[some].length);

        if (bytes == 0 || !vm_is_protection(ranges[some].prot))
            break;
        list[some] = (struct vmtrap_range){(uintptr_t)ranges[some].start, bytes, (uint64_t)ranges[some].prot};
    }
    if (some == 0)
        return vm_fail(EINVAL);
    result = quire_protect(list, some);
    if (result < 0)
        return -1;
    *done += (size_t)result;
    return 0;
}

int vm_protect_ranges(const struct vm_range *ranges, size_t count)
{
    bool by_vector = vm_way() == WAY_QUIRE && areas_empty(&vm_shadows);
    size_t done = 0;

    while (by_vector && done < count)
        if (protect_some(ranges + done, count - done, &done))
            return -1;
    for (; done < count; done++)
        if (vm_protect(ranges[done].start, ranges[done].length, ranges[done].prot))
            return -1;
    return 0;
}
