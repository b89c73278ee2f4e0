/*
 * Reading the flattened device tree that the firmware hands over (Devicetree Specification 0.4, chapter 5). Only for
 * arch/; others ask fdt_device (arch.h). Nodes are visited in document order; nothing is unpacked.
 */
#ifndef ARCH_RISCV_FDT_H
#define ARCH_RISCV_FDT_H

#include "lib/types.h"

#define FDT_MAX_DEPTH 8

/* A place in the tree: a node and those above it; path[0] is the root, path[depth] the node itself. */
struct fdt_node {
    const be32 *path[FDT_MAX_DEPTH + 1];
    unsigned depth;
};

/* BLOB stays where it is. False when it is no device tree. */
bool fdt_init(const void *blob);
u64 fdt_size(void);

void fdt_root(struct fdt_node *node);
/* The next node in document order, whatever its depth. */
bool fdt_next(struct fdt_node *node);
/* The next node below the one at PATH's depth DEPTH (a sibling sub-tree ends it): for `while (fdt_next_below(&n,
 * depth))`. */
bool fdt_next_below(struct fdt_node *node, unsigned depth);
bool fdt_find_path(struct fdt_node *node, const char *name); /* child of the root; matches up to '@' */
bool fdt_find_compatible(struct fdt_node *node, const char *compatible); /* from behind NODE on */

const char *fdt_name(const struct fdt_node *node);
/* The property's bytes, or NULL; LENGTH may be NULL. */
const void *fdt_property(const struct fdt_node *node, const char *name, unsigned *length);
const char *fdt_string(const struct fdt_node *node, const char *name); /* NULL unless NUL-terminated */
u32 fdt_u32(const struct fdt_node *node, const char *name, u32 default_value);
/* Whether NAME is one of the strings of a string-list property. */
bool fdt_has_string(const struct fdt_node *node, const char *property, const char *string);
/* The n-th address and size in "reg" by the parent's cell counts. */
bool fdt_reg(const struct fdt_node *node, unsigned n, u64 *address, u64 *size);
bool fdt_is_okay(const struct fdt_node *node);
/* The n-th entry of the header's memory reservation block. */
bool fdt_memory_reservation(unsigned n, u64 *address, u64 *size);

static inline u32 fdt_cell(const void *cells, unsigned n) { return __builtin_bswap32(((const be32 *)cells)[n]); }

#endif
