/* SPDX-License-Identifier: GPL-2.0-only */
/* The module itself: loading it, unloading it, and altering its image. */
#ifndef KMOD_H
#define KMOD_H

#include <elf.h>

#include "suite.h"

#define MODULE_FILE "/lib/vmremap.ko"

/* These return 0 or a negative errno. Unloading never waits. */
int load_module(const char *parameters);
int unload_module(const char *name);

/* Until the last descriptor is gone, where that takes the kernel a moment. */
int unload_module_soon(double seconds);

bool module_is_loaded(const char *name);

struct module_image {
	unsigned char *bytes;
	size_t length;
};

struct module_image read_image(void);
int load_image(struct module_image image);

/* The header of a section, or NULL if there is none of that name. */
Elf64_Shdr *section_of(struct module_image image, const char *name);

/* Where the section has these bytes; fails the test if it has them not. */
void *find_in_section(struct module_image image, const char *name,
		      const void *bytes, size_t length);

#endif
