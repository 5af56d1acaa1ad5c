// SPDX-License-Identifier: Apache-2.0
// Lists BPF programs: "<id> <type> <name>" a line for all of the kernel, or, with a cgroup's
// path, "<id>" a line for those attached to its ingress and egress; with --maps, "<id>" a line for all maps.
// For tests; bpftool is not on every machine.
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int list_attached(const char *path)
{
	const enum bpf_attach_type hooks[] = { BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS };
	int cgroup = open(path, O_RDONLY | O_DIRECTORY);

	if (cgroup < 0) {
		perror(path);
		return 1;
	}
	for (int hook = 0; hook < 2; hook++) {
		uint32_t ids[64];
		union bpf_attr attr;

		memset(&attr, 0, sizeof(attr));
		attr.query.target_fd = cgroup;
		attr.query.attach_type = hooks[hook];
		attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
		attr.query.prog_cnt = 64;
		if (bpf(BPF_PROG_QUERY, &attr) < 0) {
			perror("BPF_PROG_QUERY");
			return 1;
		}
		for (uint32_t index = 0; index < attr.query.prog_cnt; index++)
			printf("%u\n", ids[index]);
	}
	return 0;
}

static int list_all(void)
{
	union bpf_attr next;

	memset(&next, 0, sizeof(next));
	while (bpf(BPF_PROG_GET_NEXT_ID, &next) == 0) {
		uint32_t id = next.next_id;
		struct bpf_prog_info info;
		union bpf_attr attr;
		int program;

		memset(&attr, 0, sizeof(attr));
		attr.prog_id = id;
		program = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
		next.start_id = id;
		if (program < 0)
			continue;
		memset(&info, 0, sizeof(info));
		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = program;
		attr.info.info_len = sizeof(info);
		attr.info.info = (uint64_t)(uintptr_t)&info;
		if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0)
			printf("%u %u %s\n", id, info.type, info.name);
		close(program);
	}
	return 0;
}

static int list_maps(void)
{
	union bpf_attr next;

	memset(&next, 0, sizeof(next));
	while (bpf(BPF_MAP_GET_NEXT_ID, &next) == 0) {
		printf("%u\n", next.next_id);
		next.start_id = next.next_id;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--maps") == 0)
		return list_maps();
	return argc > 1 ? list_attached(argv[1]) : list_all();
}
