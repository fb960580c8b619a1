/* SPDX-License-Identifier: GPL-2.0-only */
#include "servant.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Signals without SA_RESTART may come at any time. */
static bool receives(int socket, void *to, size_t length)
{
	ssize_t got;

	do {
		got = recv(socket, to, length, 0);
	} while (got < 0 && errno == EINTR);
	return got == (ssize_t)length;
}

static void serve(int socket, void (*obey)(struct order order))
{
	struct order order;

	while (receives(socket, &order, sizeof(order))) {
		obey(order);
		if (send(socket, "d", 1, MSG_NOSIGNAL) != 1)
			break;
	}
}

struct servant servant_starts(void (*begin)(void *argument),
			      void (*obey)(struct order order), void *argument)
{
	struct servant servant = { 0 };
	int ends[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	servant.pid = fork();
	ck_assert_int_ge(servant.pid, 0);
	if (servant.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		begin(argument);
		serve(ends[1], obey);
		_exit(0);
	}
	close(ends[1]);
	servant.socket = ends[0];
	return servant;
}

enum service servant_obeys(struct servant *servant, struct order order,
			   double seconds)
{
	struct pollfd answer = { .fd = servant->socket, .events = POLLIN };
	char byte;

	if (send(servant->socket, &order, sizeof(order), MSG_NOSIGNAL) > 0) {
		if (poll(&answer, 1, seconds * 1000) != 1)
			return SERVICE_NEVER_ENDS;
		if (receives(servant->socket, &byte, 1))
			return SERVICE_DONE;
	}
	waitpid(servant->pid, &servant->status, 0);
	return SERVANT_DIED;
}

bool servant_leaves(struct servant *servant)
{
	/* Later servants have this end open too. */
	shutdown(servant->socket, SHUT_WR);
	waitpid(servant->pid, &servant->status, 0);
	close(servant->socket);
	return WIFEXITED(servant->status) && !WEXITSTATUS(servant->status);
}
