/* SPDX-License-Identifier: GPL-2.0-only */
#include "slowswap.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <unistd.h>

#include "memory.h"

#define BACKING "/tmp/slowswap"
#define SIZE (16UL << 20)
#define PRIORITY 100

static char device[24];
static int loop = -1;

/* The first page of a swap area: see swapon(8), mkswap(8). */
static bool make_swap(int file)
{
	struct {
		char boot[1024];
		uint32_t version, last_page, bad_pages;
		char rest[PAGE - 1036 - 10];
		char magic[10];
	} header = {
		.version = 1,
		.last_page = SIZE / PAGE - 1,
		.magic = "SWAPSPACE2",
	};

	return !ftruncate(file, SIZE) &&
	       write(file, &header, sizeof(header)) == sizeof(header);
}

static bool attach(int file)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);

	if (control >= 0)
		close(control);
	if (number < 0)
		return false;
	snprintf(device, sizeof(device), "/dev/loop%d", number);
	loop = open(device, O_RDWR | O_CLOEXEC);
	return loop >= 0 && !ioctl(loop, LOOP_SET_FD, file);
}

bool slow_swap_begin(void)
{
	int file = open(BACKING, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ready = file >= 0 && make_swap(file) && attach(file) &&
		     !swapon(device, SWAP_FLAG_PREFER | PRIORITY);

	if (file >= 0)
		close(file);
	return ready;
}

void slow_swap_end(void)
{
	swapoff(device);
	ioctl(loop, LOOP_CLR_FD);
	close(loop);
	unlink(BACKING);
}
