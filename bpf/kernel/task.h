/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What a program sees of the task that runs it: registers and cgroups. */
#ifndef PODMIRROR_TASK_H
#define PODMIRROR_TASK_H

#if defined(__TARGET_ARCH_x86)
/* arch/x86/include/asm/ptrace.h; the layout is ABI (struct user_regs_struct). */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#else
#error "the probes know the calling conventions of x86-64 only"
#endif

/*
 * bpf_get_current_ancestor_cgroup_id is there for tracing programs from Linux 5.14 on. Before, the object is built with
 * ANCESTOR_IDS and reads the same from the cgroup itself, which needs the kernel's BTF.
 */
#ifdef ANCESTOR_IDS
struct cgroup {
	int level;
	__u64 ancestor_ids[]; /* until 6.0 */
} __attribute__((preserve_access_index));
struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));
struct task_struct {
	struct css_set *cgroups;
} __attribute__((preserve_access_index));

static __always_inline struct cgroup *current_cgroup(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct css_set *set = 0;
	struct cgroup *cgroup = 0;

	bpf_probe_read_kernel(&set, sizeof(set), &task->cgroups);
	bpf_probe_read_kernel(&cgroup, sizeof(cgroup), &set->dfl_cgrp);
	return cgroup;
}

static __always_inline __u64 current_ancestor(int level)
{
	struct cgroup *cgroup = current_cgroup();
	int own = 0;
	__u64 id = 0;

	bpf_probe_read_kernel(&own, sizeof(own), &cgroup->level);
	if (level <= own)
		bpf_probe_read_kernel(&id, sizeof(id), (void *)&cgroup->ancestor_ids + level * sizeof(id));
	return id;
}
#else
static __always_inline __u64 current_ancestor(int level)
{
	return bpf_get_current_ancestor_cgroup_id(level);
}
#endif

#endif
