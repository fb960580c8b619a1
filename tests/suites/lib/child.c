/* SPDX-License-Identifier: GPL-2.0-only */
#include "child.h"

#include <sys/wait.h>

struct child child_waits(child_part part, void *argument)
{
	struct child child;
	int pipe_ends[2];
	char byte;

	ck_assert_int_eq(pipe(pipe_ends), 0);
	child.pid = fork();
	ck_assert_int_ge(child.pid, 0);
	if (child.pid == 0) {
		close(pipe_ends[1]);
		/* Ends with the parent too, should that die first. */
		if (read(pipe_ends[0], &byte, 1) != 1)
			_exit(2);
		_exit(part(argument) ? 0 : 1);
	}
	close(pipe_ends[0]);
	child.go = pipe_ends[1];
	return child;
}

bool child_ends(struct child *child)
{
	int status;

	ck_assert_int_eq(write(child->go, "g", 1), 1);
	close(child->go);
	ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool in_child(child_part part, void *argument)
{
	struct child child = child_waits(part, argument);

	return child_ends(&child);
}

bool ends_within(pid_t pid, double seconds, int *status)
{
	double deadline = now() + seconds;

	while (now() < deadline) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		usleep(5000);
	}
	return false;
}
