// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The secrets of TLS connections of selected cgroups, taken where a TLS library hands them to its key log: a handful of
 * times per connection, never per request, and whether or not anybody asked for a key log.
 *
 * Why uprobes at an entry: arguments are in registers, nothing waits for a return. An inode-wide probe is met by every
 * process that maps the file, so the first thing a program does is to leave for those that are no target.
 *
 * Why a queue and not a ring buffer: a ring's pages are mapped into the agent, where a secret would stay until the ring
 * comes round. What is popped from a queue (Linux 4.20) lies in the agent only where it can be zeroised.
 */
#include "core.h"
#include <bpf/bpf_helpers.h>
#include "record.h"
#include "secret.h"
#include "task.h"

char LICENSE[] SEC("license") = "GPL";

enum { MAX_TARGETS = 4096, MAX_CGROUP_DEPTH = 16 }; /* as plaintext.bpf.c */

const volatile struct secret_options options SEC(".rodata.options") = {};

/* plaintext.bpf.c's own: user space gives its descriptor. key: cgroup id */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_TARGETS);
	__type(key, __u64);
	__type(value, struct target);
} targets SEC(".maps");

/* Room for the handshakes of a few ticks of user space: 5 secrets each. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 8192);
	__type(value, struct secret);
} secrets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1024);
	__type(value, struct exec);
} execs SEC(".maps");

/* User space maps it: to see that nothing happened costs no system call. key: 0 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tally);
} tally SEC(".maps");

/*
 * The last call on this processor. Where a file is reached through several overlay mounts, each has a probe of its own
 * on the one inode below, and one call runs the program once for each.
 */
struct call {
	__u64 thread;
	__u64 ip;
	__u64 ssl;
	__u64 label_at;
	__u64 random;            /* the first bytes */
	__u64 secret;            /* likewise */
};
/* key: 0 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct call);
} last SEC(".maps");

static __always_inline void count(enum secret_count what)
{
	__u32 zero = 0;
	struct tally *counts = bpf_map_lookup_elem(&tally, &zero);

	if (counts)
		__sync_fetch_and_add(&counts->of[what], 1);
}

/* As find_target of plaintext.bpf.c, for the running task. 0: not of a target. */
static __always_inline __u64 find_target(void)
{
	__u64 found = bpf_get_current_cgroup_id(), child = found;
	struct target *target = bpf_map_lookup_elem(&targets, &found);

	for (int level = MAX_CGROUP_DEPTH; level > 0 && !target; level--) {
		found = current_ancestor(level);
		if (!found)
			continue;
		target = bpf_map_lookup_elem(&targets, &found);
		if (!target)
			child = found;
	}
	if (!target || target->kind == TK_EXCLUDED)
		return 0;
	return target->kind == TK_PER_CHILD ? child : found;
}

/* The arguments of a call; lengths as the library gave them. */
struct args {
	enum secret_form form;
	__u64 ip;
	__u64 ssl;
	__u64 label;
	__u64 label_len;         /* 0: ends with a NUL */
	__u64 random;            /* 0: the site does not know it */
	__u64 secret;
	__u64 secret_len;
};

/* Whether another probe on the same instruction has told of this very call. Without a client random nobody can say. */
static __always_inline int repeated(const struct args *args, const struct secret *secret)
{
	__u32 zero = 0;
	struct call *before = bpf_map_lookup_elem(&last, &zero);
	struct call call = {
		.thread = bpf_get_current_pid_tgid(),
		.ip = args->ip,
		.ssl = args->ssl,
		.label_at = args->label,
		.random = *(const __u64 *)secret->random,
	};

	if (!before || !args->random)
		return 0;
	bpf_probe_read_user(&call.secret, sizeof(call.secret), (void *)args->secret);
	if (before->thread == call.thread && before->ip == call.ip && before->ssl == call.ssl &&
	    before->label_at == call.label_at && before->random == call.random && before->secret == call.secret)
		return 1;
	*before = call;
	return 0;
}

static __always_inline void read_label(const struct args *args, struct secret *secret)
{
	long n;

	if (args->label_len) {
		/* 5.10 and 6.1 want to see that it cannot be 0. */
		__u32 len = ((args->label_len - 1) & (LABEL_BYTES - 1)) + 1;

		if (args->label_len == len && !bpf_probe_read_user(secret->label, len, (void *)args->label))
			secret->label_len = len;
	} else {
		n = bpf_probe_read_user_str(secret->label, LABEL_BYTES, (void *)args->label);
		if (n > 1 && n <= LABEL_BYTES)
			secret->label_len = n - 1;
	}
	if (!secret->label_len)
		count(S_NO_LABEL);
}

static __always_inline int push(const struct args *args)
{
	struct secret secret = {};
	__u32 len;

	secret.target = find_target();
	if (!secret.target) {
		count(S_OTHERS);
		return 0;
	}
	if (!args->secret_len || args->secret_len > SECRET_BYTES) {
		count(S_UNWANTED);
		return 0;
	}
	if (args->random) {
		if (bpf_probe_read_user(secret.random, RANDOM_BYTES, (void *)args->random)) {
			count(S_NO_RANDOM);
			return 0;
		}
		secret.random_len = RANDOM_BYTES;
	}
	if (repeated(args, &secret)) {
		count(S_REPEATED);
		return 0;
	}
	/* 5.10 and 6.1 want to see that it cannot be 0. */
	len = args->secret_len - 1;
	asm volatile("" : "+r"(len));
	len = (len & (SECRET_BYTES - 1)) + 1;
	if (bpf_probe_read_user(secret.bytes, len, (void *)args->secret)) {
		count(S_NO_SECRET);
		return 0;
	}
	secret.secret_len = len;
	read_label(args, &secret);
	secret.label_at = args->label;
	secret.ssl = args->ssl;
	secret.form = args->form;
	secret.ip = args->ip;
	secret.tgid = bpf_get_current_pid_tgid() >> 32;
	secret.ktime_ns = bpf_ktime_get_ns();
	/* The count comes last: whoever sees it finds the secret. */
	count(bpf_map_push_elem(&secrets, &secret, 0) ? S_FULL : S_PUSHED);
	return 0;
}

SEC("uprobe")
int secret_inner(struct pt_regs *regs)
{
	struct args args = {
		.form = SF_INNER,
		.ip = regs->ip,
		.ssl = regs->si,
		.label = regs->di,
		.random = regs->dx,
		.secret = regs->r8,
		.secret_len = regs->r9,
	};

	/* The function also logs RSA key exchanges, with 8 bytes of the encrypted secret in the random's place. */
	if (regs->cx != RANDOM_BYTES || !args.random)
		args.secret_len = 0;
	return push(&args);
}

SEC("uprobe")
int secret_log(struct pt_regs *regs)
{
	struct args args = {
		.form = SF_LOG,
		.ip = regs->ip,
		.ssl = regs->di,
		.label = regs->si,
		.secret = regs->dx,
		.secret_len = regs->cx,
	};

	if (options.known) {
		args.random = args.ssl + options.first;
		if (options.deref) {
			__u64 inside = 0;

			/* If that fails, so does reading the random, near address 0. */
			bpf_probe_read_user(&inside, sizeof(inside), (void *)args.random);
			args.random = inside + options.second;
		}
	}
	return push(&args);
}

/* Go's ABIInternal from 1.17 on: a slice takes three registers; AX, BX, CX, DI, SI, R8, R9, R10, R11 in this order. */
SEC("uprobe")
int secret_go(struct pt_regs *regs)
{
	struct args args = {
		.form = SF_GO,
		.ip = regs->ip,
		.ssl = regs->ax,
		.label = regs->bx,
		.label_len = regs->cx,
		.random = regs->di,
		.secret = regs->r9,
		.secret_len = regs->r10,
	};

	if (regs->si != RANDOM_BYTES || !args.random || !args.label_len)
		args.secret_len = 0;
	return push(&args);
}

/* A new program maps other libraries: user space looks at the process at once. */
SEC("raw_tp/sched_process_exec")
int noted_exec(void *ctx)
{
	struct exec exec = {};

	exec.target = find_target();
	if (!exec.target)
		return 0;
	exec.tgid = bpf_get_current_pid_tgid() >> 32;
	count(bpf_map_push_elem(&execs, &exec, 0) ? S_EXECS_FULL : S_EXECS);
	return 0;
}
