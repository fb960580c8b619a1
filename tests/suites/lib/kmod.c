/* SPDX-License-Identifier: GPL-2.0-only */
#include "kmod.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "memory.h"

int load_module(const char *parameters)
{
	int fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	rc = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return rc;
}

int unload_module(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

int unload_module_soon(double seconds)
{
	double deadline = now() + seconds;
	int rc;

	while ((rc = unload_module("vmremap")) == -EWOULDBLOCK &&
	       now() < deadline)
		usleep(2000);
	return rc;
}

bool module_is_loaded(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return access(path, F_OK) == 0;
}

struct module_image read_image(void)
{
	struct module_image image = { 0 };
	FILE *file = fopen(MODULE_FILE, "re");
	struct stat st;

	ck_assert_msg(file, MODULE_FILE ": %s", strerror(errno));
	ck_sys(fstat(fileno(file), &st));
	image.length = st.st_size;
	image.bytes = malloc(image.length);
	ck_assert_ptr_nonnull(image.bytes);
	ck_assert_uint_eq(fread(image.bytes, 1, image.length, file),
			  image.length);
	fclose(file);
	return image;
}

int load_image(struct module_image image)
{
	return syscall(SYS_init_module, image.bytes, image.length, "") ? -errno
								       : 0;
}

Elf64_Shdr *section_of(struct module_image image, const char *name)
{
	Elf64_Ehdr *header = (Elf64_Ehdr *)image.bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(image.bytes + header->e_shoff);
	const char *names =
		(char *)image.bytes + sections[header->e_shstrndx].sh_offset;
	size_t i;

	for (i = 0; i < header->e_shnum; i++) {
		if (!strcmp(names + sections[i].sh_name, name))
			return &sections[i];
	}
	return NULL;
}

void *find_in_section(struct module_image image, const char *name,
		      const void *bytes, size_t length)
{
	Elf64_Shdr *section = section_of(image, name);
	void *found;

	ck_assert_msg(section, "the module has no %s", name);
	found = memmem(image.bytes + section->sh_offset, section->sh_size,
		       bytes, length);
	ck_assert_msg(found, "%s lacks what should be there", name);
	return found;
}
