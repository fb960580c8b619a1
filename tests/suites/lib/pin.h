/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages pinned for DMA, as io_uring does with its registered buffers. */
#ifndef PIN_H
#define PIN_H

#include <liburing.h>

#include "suite.h"

struct pin {
	struct io_uring ring;
};

/* False where io_uring is not to be had. */
bool pin_pages(struct pin *pin, void *base, size_t pages);
void unpin_pages(struct pin *pin);

#endif
