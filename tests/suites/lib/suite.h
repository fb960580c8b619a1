/* SPDX-License-Identifier: GPL-2.0-only */
/* What every suite starts from: the device, the cases, skips and knobs. */
#ifndef SUITE_H
#define SUITE_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libvmremap.h"
#include "vmremap.h"

#define PAGE 4096UL
#define BLOCK (2UL << 20)
#define BLOCK_PAGES (BLOCK / PAGE)
#define MIB_PAGES ((1UL << 20) / PAGE)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The descriptor of /dev/vmremap that each test finds open. */
extern int dev;

/* A case whose tests find `dev` open and the kernel's knobs at their start. */
TCase *add_case(Suite *suite, const char *name);

/* The same, but the tests open the device themselves. */
TCase *add_case_without_device(Suite *suite, const char *name);

/* Runs it as the CK_* environment says; returns main's exit status. */
int run_suite(Suite *suite);

/* Ends the test, and tells the harness why it could not show anything. */
#define SKIP(reason)                         \
	do {                                 \
		note_skip(__func__, reason); \
		return;                      \
	} while (0)
void note_skip(const char *function, const char *reason);

/* Seconds from an environment variable, for tests that run for a time. */
unsigned int seconds_from(const char *variable, unsigned int otherwise);
double now(void);

/* Whether the kernel checks itself all the time, so that tests do less. */
bool slow_kernel(void);

/* A sysfs, procfs or sysctl file: its number, or its text. */
bool write_knob(const char *path, const char *text);
long read_knob(const char *path);

/* Reads a file to its end, for what the kernel does meanwhile. */
void read_whole(const char *path);

#define THP_DIR "/sys/kernel/mm/transparent_hugepage/"
#define KSM_DIR "/sys/kernel/mm/ksm/"

#endif
