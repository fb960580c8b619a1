// SPDX-License-Identifier: GPL-2.0-only
#include "tell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For those who watch: see tests/vm/init. */
static void tell_now(const char *text)
{
	const char *path = getenv("VMREMAP_LIVE");
	int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	dprintf(fd, "@tell %s\n", text);
	close(fd);
}

void tell(const char *format, ...)
{
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	char line[900];
	va_list arguments;
	int at;

	at = snprintf(line, sizeof(line),
		      "<14>%s: ", program_invocation_short_name);
	va_start(arguments, format);
	vsnprintf(line + at, sizeof(line) - at, format, arguments);
	va_end(arguments);
	fprintf(stderr, "%s\n", strchr(line, '>') + 1);
	tell_now(strchr(line, '>') + 1);
	if (log < 0)
		return;
	if (write(log, line, strlen(line)) < 0)
		fprintf(stderr, "the kernel log does not take it\n");
	close(log);
}
