/*
 * Between the node's kernel and ptrace(2): has it read and write a part of NT_X86_XSTATE, as long as
 * it has room for. Linux reads any part, but writes the whole or nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long (*ptrace_function)(enum __ptrace_request, pid_t, void *, void *);

long ptrace(enum __ptrace_request request, ...)
{
	static ptrace_function next;
	static char registers[1 << 16] __attribute__((aligned(64)));  /* the kernel has one thread */
	struct iovec all = {registers, sizeof registers};
	va_list arguments;

	va_start(arguments, request);
	pid_t pid = va_arg(arguments, pid_t);
	void *address = va_arg(arguments, void *);
	void *data = va_arg(arguments, void *);
	va_end(arguments);

	if (!next)
		next = (ptrace_function)dlsym(RTLD_NEXT, "ptrace");
	int is_read = request == PTRACE_GETREGSET;
	if (!(is_read || request == PTRACE_SETREGSET) || address != (void *)NT_X86_XSTATE)
		return next(request, pid, address, data);

	long failed = next(PTRACE_GETREGSET, pid, address, &all);
	if (failed)
		return failed;
	struct iovec *part = data;
	if (part->iov_len > all.iov_len)
		part->iov_len = all.iov_len;
	if (is_read) {
		memcpy(part->iov_base, registers, part->iov_len);
		return 0;
	}
	memcpy(registers, part->iov_base, part->iov_len);
	return next(PTRACE_SETREGSET, pid, address, &all);
}
