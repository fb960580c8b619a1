/* SPDX-License-Identifier: GPL-2.0-only */
#include "passing.h"

#include <string.h>
#include <sys/socket.h>

struct parcel {
	char byte;
	struct iovec data;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message;
};

/* The message points into it, so it is made where it stays. */
static void make_parcel(struct parcel *parcel)
{
	*parcel = (struct parcel){
		.data = { .iov_base = &parcel->byte, .iov_len = 1 },
		.message = {
			.msg_iov = &parcel->data,
			.msg_iovlen = 1,
			.msg_control = &parcel->control,
			.msg_controllen = sizeof(parcel->control.room),
		},
	};
}

bool send_descriptor(int socket, int fd, int flags)
{
	struct parcel parcel;
	struct cmsghdr *header = &parcel.control.header;

	make_parcel(&parcel);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &parcel.message, flags) == 1;
}

int receive_descriptor(int socket, int flags)
{
	const struct cmsghdr *header;
	struct parcel parcel;
	int fd;

	make_parcel(&parcel);
	if (recvmsg(socket, &parcel.message, flags | MSG_CMSG_CLOEXEC) != 1)
		return -1;
	header = CMSG_FIRSTHDR(&parcel.message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}
