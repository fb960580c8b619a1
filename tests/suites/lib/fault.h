/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory allocations of the calling thread that fail on purpose. */
#ifndef FAULT_H
#define FAULT_H

#include "suite.h"

enum fault_mode {
	FAULT_ONE,    /* the n-th allocation fails */
	FAULT_LATER,  /* the n-th fails, and all after it */
	FAULT_CHANCE, /* each fails with a chance of n in a hundred */
};

struct fault {
	enum fault_mode mode;
	unsigned int n;
};

/* Once a thread, before the others; false if the kernel cannot do it. */
bool faults_begin(void);

/* What the thread allocates from here on may fail. */
void faults_arm(const struct fault *fault);

/* Nothing fails any more; returns how many allocations have. */
unsigned int faults_disarm(void);

#endif
