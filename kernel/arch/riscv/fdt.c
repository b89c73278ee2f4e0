/*
 * The flattened device tree: a header, a block of memory reservations, a block of tokens and a block of property names.
 *
 *     BEGIN_NODE "name" [PROP length name-offset bytes]* [BEGIN_NODE ... END_NODE]* END_NODE ... END
 *
 * Everything is big-endian and 4-byte aligned. The firmware is trusted to be well-formed beyond its header's magic.
 */
#include "arch/riscv/fdt.h"
#include "arch/riscv/arch.h"
#include "lib/endian.h"
#include "lib/string.h"

#define MAGIC 0xd00dfeed

enum token { BEGIN_NODE = 1, END_NODE = 2, PROP = 3, NOP = 4, END = 9 };

struct header {
    be32 magic, total_size, struct_offset, strings_offset, reservations_offset, version, last_compatible_version;
    be32 boot_hart, strings_size, struct_size;
};

static const struct header *header;
static const be32 *root;
static const char *strings;

bool fdt_init(const void *blob)
{
    header = blob;
    if (from_be32(header->magic) != MAGIC)
        return false;
    root = (const be32 *)((const char *)blob + from_be32(header->struct_offset));
    strings = (const char *)blob + from_be32(header->strings_offset);
    while (from_be32(*root) == NOP)
        root++;
    return from_be32(*root) == BEGIN_NODE;
}

u64 fdt_size(void) { return from_be32(header->total_size); }

static const be32 *skip_bytes(const be32 *at, size_t n) { return at + DIV_ROUND_UP(n, sizeof(be32)); }
static const char *name_at(const be32 *node) { return (const char *)(node + 1); }
static const be32 *skip_name(const be32 *node) { return skip_bytes(node + 1, strlen(name_at(node)) + 1); }
static const be32 *skip_property(const be32 *at) { return skip_bytes(at + 3, from_be32(at[1])); }

void fdt_root(struct fdt_node *node)
{
    node->depth = 0;
    node->path[0] = root;
}

const char *fdt_name(const struct fdt_node *node) { return name_at(node->path[node->depth]); }

bool fdt_next(struct fdt_node *node)
{
    const be32 *at = skip_name(node->path[node->depth]);
    unsigned depth = node->depth + 1; /* that a node begun here would have */

    for (;;) {
        switch (from_be32(*at)) {
        case BEGIN_NODE:
            if (depth > FDT_MAX_DEPTH)
                return false;
            node->depth = depth;
            node->path[depth] = at;
            return true;
        case END_NODE:
            if (--depth == 0)
                return false;
            at++;
            break;
        case PROP:
            at = skip_property(at);
            break;
        case NOP:
            at++;
            break;
        default:
            return false;
        }
    }
}

bool fdt_next_below(struct fdt_node *node, unsigned depth) { return fdt_next(node) && node->depth > depth; }

const void *fdt_property(const struct fdt_node *node, const char *name, unsigned *length)
{
    const be32 *at = skip_name(node->path[node->depth]);

    for (;; at = from_be32(*at) == PROP ? skip_property(at) : at + 1) {
        if (from_be32(*at) == NOP)
            continue;
        if (from_be32(*at) != PROP)
            return NULL;
        if (strcmp(strings + from_be32(at[2]), name) != 0)
            continue;
        if (length != NULL)
            *length = from_be32(at[1]);
        return at + 3;
    }
}

const char *fdt_string(const struct fdt_node *node, const char *name)
{
    unsigned length;
    const char *s = fdt_property(node, name, &length);

    return s != NULL && length > 0 && s[length - 1] == '\0' ? s : NULL;
}

u32 fdt_u32(const struct fdt_node *node, const char *name, u32 default_value)
{
    unsigned length;
    const void *p = fdt_property(node, name, &length);

    return p != NULL && length >= sizeof(be32) ? fdt_cell(p, 0) : default_value;
}

bool fdt_has_string(const struct fdt_node *node, const char *property, const char *string)
{
    unsigned length = 0;
    const char *s = fdt_property(node, property, &length);

    for (const char *end = s + length; s != NULL && s < end; s += strlen(s) + 1)
        if (strcmp(s, string) == 0)
            return true;
    return false;
}

bool fdt_is_okay(const struct fdt_node *node)
{
    const char *status = fdt_string(node, "status");

    return status == NULL || strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0;
}

static u64 read_cells(const be32 *cells, unsigned n)
{
    u64 v = 0;

    while (n-- > 0)
        v = v << 32 | from_be32(*cells++);
    return v;
}

bool fdt_reg(const struct fdt_node *node, unsigned n, u64 *address, u64 *size)
{
    struct fdt_node parent = *node;
    unsigned length, address_cells, size_cells, cells;
    const be32 *reg = fdt_property(node, "reg", &length);

    if (reg == NULL || node->depth == 0)
        return false;
    parent.depth--;
    address_cells = fdt_u32(&parent, "#address-cells", 2);
    size_cells = fdt_u32(&parent, "#size-cells", 1);
    cells = address_cells + size_cells;
    if (cells == 0 || (n + 1) * cells * sizeof(be32) > length)
        return false;
    *address = read_cells(reg + n * cells, address_cells);
    *size = read_cells(reg + n * cells + address_cells, size_cells);
    return true;
}

bool fdt_memory_reservation(unsigned n, u64 *address, u64 *size)
{
    const be32 *entry = (const be32 *)((const char *)header + from_be32(header->reservations_offset)) + n * 4;

    *address = read_cells(entry, 2);
    *size = read_cells(entry + 2, 2);
    return *size != 0;
}

static bool name_matches(const char *name, const char *wanted)
{
    size_t n = strlen(wanted);

    return strncmp(name, wanted, n) == 0 && (name[n] == '\0' || name[n] == '@');
}

bool fdt_find_path(struct fdt_node *node, const char *name)
{
    fdt_root(node);
    while (fdt_next(node))
        if (node->depth == 1 && name_matches(fdt_name(node), name))
            return true;
    return false;
}

bool fdt_find_compatible(struct fdt_node *node, const char *compatible)
{
    while (fdt_next(node))
        if (fdt_has_string(node, "compatible", compatible) && fdt_is_okay(node))
            return true;
    return false;
}

bool fdt_device(const char *compatible, unsigned n, u64 *reg, u64 *size, unsigned *irq)
{
    struct fdt_node node;

    fdt_root(&node);
    while (fdt_find_compatible(&node, compatible)) {
        if (n-- > 0)
            continue;
        *irq = fdt_u32(&node, "interrupts", 0);
        return fdt_reg(&node, 0, reg, size);
    }
    return false;
}
