// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Plaintext of TLS connections that nobody can decrypt: those that are older than the agent, and those whose library hands
 * out no secrets or whose suite is not covered. It comes from probes on the functions with which the library reads and
 * writes, which stand only while there are such connections. Of a connection that may be read either way both are copied
 * until user space has said CT_BY_PACKETS or CT_CALLED.
 *
 * Which connection a call is of: a read takes bytes from its socket, and tcp_rcv_space_adjust is passed on the way, by the
 * same thread, within the call; so does a handshake. The library's handle (SSL *) is bound to that socket's connection, by
 * process, its start, and pointer: forked workers hold identical pointers. Writes, and reads of what the library had in its
 * buffer, belong to the connection that their handle is bound to. Every further socket seen within a read binds anew; a freed handle is bound
 * to nothing. What is seen of two sockets, or in a call within a call, binds nothing.
 *
 * Why not bind writes by their packets: a raw tracepoint there runs in softirqs too, on top of any thread, and cgroup_skb
 * programs may not ask for the current task on 5.10 and 6.1.
 *
 * A return that is missed, and anything else that is lost of a handle's calls, leaves a hole in their numbers.
 */
#include "core.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "record.h"
#include "call.h"
#include "task.h"
#include "socket.h"

char LICENSE[] SEC("license") = "GPL";

enum { MAX_TARGETS = 4096, MAX_FLOWS = 65536, MAX_CGROUP_DEPTH = 16 }; /* as plaintext.bpf.c */
enum { FC_JOINED = 2 };

/*
 * An entry may be told twice: by the file's second probe, where it is reached through several overlay mounts, or when the
 * kernel has the task execute the instruction again. The same arguments on the same stack within this time, with no return
 * and no socket between, are one call. Was it two after all, with a return that was missed, then mostly nothing was read.
 */
enum { SAME_CALL_NS = 20000000 };

const volatile struct call_options options SEC(".rodata.options") = {};

/* These three are plaintext.bpf.c's own: user space gives their descriptors. key: cgroup id */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_TARGETS);
	__type(key, __u64);
	__type(value, struct target);
} targets SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");
/* key: a hash of the flow id */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CONTROL_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct control);
} controls SEC(".maps");

/* One for both directions: a handle's calls stand in it in their order, since an application makes them one by one. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} ring SEC(".maps");

struct counts {
	__u64 of[CC_COUNTS];
};
/* key: 0 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counts);
} counts SEC(".maps");

struct handle {
	__u64 start;             /* of the process, since boot */
	__u64 ssl;
	__u32 tgid;
	__u32 pad0;
};

/* A call under way. */
struct active {
	struct handle handle;
	__u64 buffer;
	__u64 size;
	__u64 count_at;          /* 0: the returned value is the count */
	__u64 sp;                /* at the entry */
	__u64 ip;
	__u64 since;
	__u64 socket;            /* seen within the call; 0: none yet */
	struct flow_key key;     /* of that socket */
	__u8 kind;
	__u8 doubtful;           /* two sockets, or another call within this one */
	__u8 over;               /* it has returned: the entry waits for the thread's next call */
	__u8 pad0[5];
};
/* key: thread, as bpf_get_current_pid_tgid tells it. LRU: threads end within calls. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct active);
} active SEC(".maps");

struct bound {
	struct flow_key key;
	__u64 flow_id;
	__u64 since;
	__u32 calls;             /* since then */
	__u32 told;              /* user space knows of it */
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct handle);
	__type(value, struct bound);
} bindings SEC(".maps");

static __always_inline void count(enum call_count what, __u64 n)
{
	__u32 zero = 0;
	struct counts *of = bpf_map_lookup_elem(&counts, &zero);

	if (of)
		of->of[what] += n;
}

/* As find_target of plaintext.bpf.c, for the running task. */
static __always_inline int is_target(void)
{
	__u64 id = bpf_get_current_cgroup_id();
	struct target *target = bpf_map_lookup_elem(&targets, &id);

	for (int level = MAX_CGROUP_DEPTH; level > 0 && !target; level--) {
		id = current_ancestor(level);
		if (id)
			target = bpf_map_lookup_elem(&targets, &id);
	}
	return target && target->kind != TK_EXCLUDED;
}

struct task_struct___process {
	struct task_struct___process *group_leader;
	__u64 start_boottime;
} __attribute__((preserve_access_index));

static __always_inline void name_handle(struct handle *handle, __u64 ssl)
{
	struct task_struct___process *task = (void *)bpf_get_current_task(), *leader = 0;

	bpf_probe_read_kernel(&leader, sizeof(leader), &task->group_leader);
	bpf_probe_read_kernel(&handle->start, sizeof(handle->start), &leader->start_boottime);
	handle->ssl = ssl;
	handle->tgid = bpf_get_current_pid_tgid() >> 32;
	handle->pad0 = 0;
}

/* Something of this handle's was lost. */
static __always_inline void leave_hole(const struct handle *handle)
{
	struct bound *bound = bpf_map_lookup_elem(&bindings, handle);

	if (bound)
		bound->calls++;
	count(CC_L_CALLS, 1);
}

static __always_inline int enter(struct pt_regs *regs, enum call_kind kind, __u64 size, __u64 count_at)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct active call = {}, *before;

	if (!is_target()) {
		count(CC_HITS_OF_OTHERS, 1);
		return 0;
	}
	name_handle(&call.handle, regs->di);
	call.buffer = regs->si;
	call.size = size;
	call.count_at = count_at;
	call.sp = regs->sp;
	call.ip = regs->ip;
	call.since = bpf_ktime_get_ns();
	call.kind = kind;
	before = bpf_map_lookup_elem(&active, &thread);
	if (before && !before->over) {
		if (before->ip == call.ip && before->sp == call.sp && before->handle.ssl == call.handle.ssl &&
		    before->buffer == call.buffer && before->size == call.size && !before->socket &&
		    call.since - before->since < SAME_CALL_NS)
			return 0;
		/* Its return was missed, or it goes on below this one, or the thread has several stacks. */
		leave_hole(&before->handle);
		call.doubtful = 1;
	}
	/* In place where it can be: an update may fail on some kernels. */
	if (before)
		__builtin_memcpy(before, &call, sizeof(call));
	else if (bpf_map_update_elem(&active, &thread, &call, BPF_ANY))
		leave_hole(&call.handle);
	return 0;
}

/* What the call's handle is bound to; 0: to nothing, and its bytes are counted. */
static __always_inline struct bound *bind(const struct active *call, __u64 length, struct flow **found)
{
	struct bound *bound = bpf_map_lookup_elem(&bindings, &call->handle);
	struct bound fresh = {};
	struct flow *flow = 0;

	if (call->socket)
		__builtin_memcpy(&fresh.key, &call->key, sizeof(fresh.key));
	else if (bound)
		__builtin_memcpy(&fresh.key, &bound->key, sizeof(fresh.key));
	if (call->socket || bound)
		flow = bpf_map_lookup_elem(&flows, &fresh.key);
	if (flow && bound && bound->flow_id == flow->id) {
		*found = flow;
		return bound;
	}
	if (!flow || !call->socket) {
		bpf_map_delete_elem(&bindings, &call->handle);
		count(CC_L_UNBOUND, length);
		return 0;
	}
	fresh.flow_id = flow->id;
	fresh.since = bpf_ktime_get_ns();
	bpf_map_update_elem(&bindings, &call->handle, &fresh, BPF_ANY);
	count(CC_BINDINGS, 1);
	*found = flow;
	bound = bpf_map_lookup_elem(&bindings, &call->handle);
	if (!bound)
		count(CC_L_UNBOUND, length);
	return bound;
}

/* What user space asks of this flow, CT_…; 0: nothing. */
static __always_inline __u32 asked(__u64 flow_id)
{
	__u32 slot = (__u32)(flow_id ^ (flow_id >> 16) ^ (flow_id >> 32)) & (CONTROL_SLOTS - 1);
	struct control *control = bpf_map_lookup_elem(&controls, &slot);

	return control && control->flow_id == flow_id ? *(volatile __u32 *)&control->flags : 0;
}

/* `flow`: 0: it is gone. */
static __always_inline void fill(struct call *event, const struct bound *bound, const struct flow *flow, enum call_kind kind,
				 __u32 len, __u64 length)
{
	__u8 class = flow ? flow->class : 0;

	event->flow_id = bound->flow_id;
	event->target = flow ? flow->target : 0;
	event->ktime_ns = bpf_ktime_get_ns();
	event->binding = bound->since;
	__builtin_memcpy(event->remote, bound->key.remote, 16);
	__builtin_memcpy(event->local, bound->key.local, 16);
	event->remote_port = bound->key.remote_port;
	event->local_port = bound->key.local_port;
	event->family = bound->key.family;
	event->kind = kind;
	event->class = class;
	event->pad0 = 0;
	event->sequence = bound->calls;
	event->len = len;
	event->length = length;
}

/* A reservation needs a constant size: one class each. `n` is provably 1..SIZE: 5.10 and 6.1 refuse a length that may be 0. */
#define EMIT_CLASS(SIZE)                                                                              \
	do {                                                                                          \
		struct { struct call call; __u8 bytes[SIZE]; } *e;                                    \
		__u32 n = (want - 1) & (SIZE - 1);                                                    \
		e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);                                        \
		if (!e) {                                                                             \
			count(CC_L_RING_FULL, want);                                                  \
			break;                                                                        \
		}                                                                                     \
		asm volatile("" : "+r"(n));                                                           \
		n = (n & (SIZE - 1)) + 1;                                                             \
		fill(&e->call, bound, flow, call->kind, n, length);                                   \
		if (bpf_probe_read_user(e->bytes, n, (void *)call->buffer)) {                         \
			bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);                                     \
			count(CC_L_UNREAD, want);                                                     \
			break;                                                                        \
		}                                                                                     \
		bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);                                              \
		count(CC_COPIED, want);                                                               \
	} while (0)

static __always_inline void emit(const struct active *call, struct bound *bound, const struct flow *flow, __u64 length)
{
	__u64 most = call->kind == CK_WRITE ? WRITE_BYTES : READ_BYTES;
	__u32 want = length < most ? length : most;

	count(CC_E_CUT, length - want);
	if (want <= 256)
		EMIT_CLASS(256);
	else if (want <= 4096)
		EMIT_CLASS(4096);
	else
		EMIT_CLASS(16384);
	bound->told = 1;
}

static __always_inline int leave(struct pt_regs *regs, __u64 sp)
{
	__u64 thread = bpf_get_current_pid_tgid(), length;
	struct active *entry = bpf_map_lookup_elem(&active, &thread), call;
	struct bound *bound;
	struct flow *flow = 0;
	__u32 wishes;

	if (!entry || entry->over)
		return 0;
	__builtin_memcpy(&call, entry, sizeof(call));
	entry->over = 1;
	if (call.doubtful) {
		bpf_map_delete_elem(&bindings, &call.handle);
		count(CC_L_CALLS, 1);
		return 0;
	}
	if (call.sp != sp) {
		/* Another call's return. */
		leave_hole(&call.handle);
		return 0;
	}
	if (call.kind == CK_HANDSHAKE) {
		/* Whatever became of it: only its socket is of interest. */
		length = 0;
		if (!call.socket)
			return 0;
		/*
		 * A connection that is older than the capture has shaken hands before. It is another one, which a callback of
		 * the application's has read: the handle of a library that is handed its bytes has no socket of its own.
		 */
		flow = bpf_map_lookup_elem(&flows, &call.key);
		if (!flow || flow->class == FC_JOINED) {
			bpf_map_delete_elem(&bindings, &call.handle);
			return 0;
		}
	} else {
		length = (__u32)regs->ax;
		if ((__s32)length <= 0)
			return 0;
		if (call.count_at && bpf_probe_read_user(&length, sizeof(length), (void *)call.count_at)) {
			leave_hole(&call.handle);
			return 0;
		}
		if (!length || length > call.size) {
			leave_hole(&call.handle);
			return 0;
		}
		count(CC_CALLED, length);
	}
	bound = bind(&call, length, &flow);
	if (!bound || !flow || call.kind == CK_HANDSHAKE)
		return 0;
	wishes = asked(bound->flow_id);
	if (!flow->target || !(options.classes & 1U << (flow->class & 31)) || wishes & CT_BY_PACKETS)
		count(CC_E_ELSEWHERE, length);
	else if (wishes & CT_IGNORE)
		count(CC_E_IGNORED, length);
	else
		emit(&call, bound, flow, length);
	/* Whether it was put into the ring or not. */
	bound->calls++;
	return 0;
}

/* By where the count is, see library::calls: returned, or behind the fourth or fifth argument. */
SEC("uprobe")
int read_returned(struct pt_regs *regs)
{
	return enter(regs, CK_READ, (__u32)regs->dx, 0);
}

SEC("uprobe")
int read_argument_4(struct pt_regs *regs)
{
	return enter(regs, CK_READ, regs->dx, regs->cx);
}

SEC("uprobe")
int read_argument_5(struct pt_regs *regs)
{
	return enter(regs, CK_READ, regs->dx, regs->r8);
}

SEC("uprobe")
int write_returned(struct pt_regs *regs)
{
	return enter(regs, CK_WRITE, (__u32)regs->dx, 0);
}

SEC("uprobe")
int write_argument_4(struct pt_regs *regs)
{
	return enter(regs, CK_WRITE, regs->dx, regs->cx);
}

SEC("uprobe")
int write_argument_5(struct pt_regs *regs)
{
	return enter(regs, CK_WRITE, regs->dx, regs->r8);
}

/* nginx has OpenSSL read ahead: the first request may come with the end of the handshake, and its read sees no socket. */
SEC("uprobe")
int handshake_entered(struct pt_regs *regs)
{
	return enter(regs, CK_HANDSHAKE, 0, 0);
}

/* At the function's return: the return address is off the stack. */
SEC("uretprobe")
int call_returned(struct pt_regs *regs)
{
	return leave(regs, regs->sp - 8);
}

/* Behind the call, in the function that made it. */
SEC("uprobe")
int call_passed(struct pt_regs *regs)
{
	return leave(regs, regs->sp);
}

/* SSL_free, SSL_clear */
SEC("uprobe")
int handle_freed(struct pt_regs *regs)
{
	struct handle handle = {};
	struct bound *bound;
	struct flow *flow;
	struct call *event;

	if (!is_target()) {
		count(CC_HITS_OF_OTHERS, 1);
		return 0;
	}
	name_handle(&handle, regs->di);
	bound = bpf_map_lookup_elem(&bindings, &handle);
	if (!bound)
		return 0;
	if (!bound->told)
		goto forget;
	flow = bpf_map_lookup_elem(&flows, &bound->key);
	event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	if (event) {
		fill(event, bound, flow && flow->id == bound->flow_id ? flow : 0, CK_END, 0, 0);
		bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	} else {
		count(CC_L_CALLS, 1);
	}
forget:
	bpf_map_delete_elem(&bindings, &handle);
	return 0;
}

SEC("raw_tp/tcp_rcv_space_adjust")
int socket_read(__u64 *args)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct active *call = bpf_map_lookup_elem(&active, &thread);
	struct sock *sk;

	if (!call || call->over)
		return 0;
	sk = (void *)args[0];
	if (call->socket == (__u64)sk || !held_by_task(sk))
		return 0;
	if (call->socket || !key_of(sk, &call->key))
		call->doubtful = 1;
	call->socket = (__u64)sk;
	return 0;
}
