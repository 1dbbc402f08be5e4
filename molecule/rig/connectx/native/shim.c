// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A card for an unmodified mstconfig without a machine: LD_PRELOAD.
 *
 * The tool finds /sys, /dev, /tmp/mstflint_lockfiles, /usr/share/mstflint and /etc/mstflint below $RIG_ROOT, and
 * believes that it is root. This library answers accesses to the window in the configuration space of a device (vsc.h),
 * and sends a command in the mailbox to the firmware, over the socket $RIG_SOCKET. It needs no privilege and no
 * namespace. It uses only symbols of the oldest C library in use, so that one build serves the tools of several
 * releases: hence no strtoul, which is another function since glibc 2.38.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef uint32_t u32;
typedef uint8_t u8;
#include "../kernel/vsc.h"

#define CAP_VSC 0xc0		/* as in kernel/functions.c */
#define FILES 256

static const char *const moved[] = {
	"/sys/", "/dev/", "/tmp/mstflint_lockfiles", "/usr/share/mstflint", "/etc/mstflint",
};

static struct vsc window;
/* For each open file: 0, or 1 + the number of the function if the file is its configuration space. */
static u8 function_of[FILES];

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static const char *place(const char *path, char *buffer, size_t size)
{
	const char *root = getenv("RIG_ROOT");
	size_t i;

	for (i = 0; root && path && i < sizeof(moved) / sizeof(*moved); i++) {
		if (!strncmp(path, moved[i], strlen(moved[i]))) {
			snprintf(buffer, size, "%s%s", root, path);
			return buffer;
		}
	}
	return path;
}

static void fail(const char *what)
{
	perror(what);
	_exit(99);
}

/* Notes an open configuration space, and puts the card's hardware id into the window: a file next to config has it. */
static void note(int fd, const char *path)
{
	size_t length = path ? strlen(path) : 0;
	char name[512];
	FILE *file;

	if (fd < 0 || fd >= FILES)
		return;
	function_of[fd] = 0;
	if (length < 10 || strcmp(path + length - 7, "/config"))
		return;
	function_of[fd] = 1 + path[length - 8] - '0';
	snprintf(name, sizeof(name), "%.*s/hardware_id", (int)(length - 7), path);
	file = ((FILE *(*)(const char *, const char *))real("fopen"))(name, "r");
	if (!file || fread(&window.hardware_id, sizeof(u32), 1, file) != 1)
		fail(name);
	fclose(file);
}

static void send_command(int function)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	u32 message[2 + ICMD_MAILBOX_WORDS];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, getenv("RIG_SOCKET"), sizeof(address.sun_path) - 1);
	if (fd < 0 || connect(fd, (void *)&address, sizeof(address)))
		fail("shim: firmware");
	message[0] = function;
	message[1] = window.control;
	memcpy(message + 2, window.mailbox, sizeof(window.mailbox));
	if (send(fd, message, sizeof(message), 0) < 0 || recv(fd, message, sizeof(message), 0) != sizeof(message))
		fail("shim: firmware");
	window.control = message[1];
	memcpy(window.mailbox, message + 2, sizeof(window.mailbox));
	close(fd);
}

static int in_window(int fd, size_t size, off_t offset)
{
	return fd >= 0 && fd < FILES && function_of[fd] && size == 4 && offset >= CAP_VSC + VSC_SPACE &&
	       offset < CAP_VSC + VSC_LENGTH;
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset)
{
	u32 value;

	if (!in_window(fd, size, offset))
		return ((ssize_t (*)(int, void *, size_t, off64_t))real("pread64"))(fd, data, size, offset);
	value = vsc_read(&window, offset - CAP_VSC);
	memcpy(data, &value, sizeof(value));
	return sizeof(value);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	u32 value;

	if (!in_window(fd, size, offset))
		return ((ssize_t (*)(int, const void *, size_t, off64_t))real("pwrite64"))(fd, data, size, offset);
	memcpy(&value, data, sizeof(value));
	if (vsc_write(&window, offset - CAP_VSC, value))
		send_command(function_of[fd] - 1);
	return sizeof(value);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
	return pread64(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return pwrite64(fd, data, size, offset);
}

static int open_file(const char *path, int flags, mode_t mode)
{
	char buffer[512];
	const char *at = place(path, buffer, sizeof(buffer));
	int fd = ((int (*)(const char *, int, ...))real("open64"))(at, flags, mode);

	note(fd, at == buffer ? at : NULL);
	return fd;
}

static mode_t mode_of(int flags, va_list more)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	return open_file(path, flags, mode);
}

FILE *fopen(const char *path, const char *mode)
{
	char buffer[512];

	return ((FILE *(*)(const char *, const char *))real("fopen"))(place(path, buffer, sizeof(buffer)), mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	return fopen(path, mode);
}

DIR *opendir(const char *path)
{
	char buffer[512];

	return ((DIR *(*)(const char *))real("opendir"))(place(path, buffer, sizeof(buffer)));
}

ssize_t readlink(const char *path, char *text, size_t size)
{
	ssize_t (*function)(const char *, char *, size_t) = real("readlink");
	char buffer[512];

	return function(place(path, buffer, sizeof(buffer)), text, size);
}

int access(const char *path, int mode)
{
	char buffer[512];

	return ((int (*)(const char *, int))real("access"))(place(path, buffer, sizeof(buffer)), mode);
}

int mkdir(const char *path, mode_t mode)
{
	char buffer[512];

	return ((int (*)(const char *, mode_t))real("mkdir"))(place(path, buffer, sizeof(buffer)), mode);
}

int stat(const char *path, struct stat *status)
{
	char buffer[512];

	return ((int (*)(const char *, struct stat *))real("stat"))(place(path, buffer, sizeof(buffer)), status);
}

int stat64(const char *path, struct stat64 *status)
{
	char buffer[512];

	return ((int (*)(const char *, struct stat64 *))real("stat64"))(place(path, buffer, sizeof(buffer)), status);
}

uid_t geteuid(void)
{
	return 0;
}
