/* SPDX-License-Identifier: GPL-2.0-only */
#include "pin.h"

bool pin_pages(struct pin *pin, void *base, size_t pages)
{
	struct iovec buffer = { .iov_base = base, .iov_len = pages * PAGE };
	int rc = io_uring_queue_init(2, &pin->ring, 0);

	if (rc == -ENOSYS || rc == -EPERM)
		return false;
	ck_assert_int_eq(rc, 0);
	rc = io_uring_register_buffers(&pin->ring, &buffer, 1);
	ck_assert_msg(rc == 0, "registering a buffer: %s", strerror(-rc));
	return true;
}

void unpin_pages(struct pin *pin)
{
	ck_assert_int_eq(io_uring_unregister_buffers(&pin->ring), 0);
	io_uring_queue_exit(&pin->ring);
}
