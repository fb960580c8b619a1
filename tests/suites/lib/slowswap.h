/* SPDX-License-Identifier: GPL-2.0-only */
/* Swap that takes its time: what is paged out stays in the swap cache. */
#ifndef SLOWSWAP_H
#define SLOWSWAP_H

#include <stdbool.h>

/* Preferred to other swap until it ends; false if there is no loop device. */
bool slow_swap_begin(void);
void slow_swap_end(void);

#endif
