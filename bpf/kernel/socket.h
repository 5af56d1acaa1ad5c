/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What a tracing program reads of a TCP socket: whose it is, and between whom. Fields are found by the kernel's BTF. */
#ifndef PODMIRROR_SOCKET_H
#define PODMIRROR_SOCKET_H

/*
 * A connection as plaintext.bpf.c has it; key of its map `flows`. Its value, too, as far as it is read here.
 */
struct flow_key {
	__u64 cgroup;
	__u8 remote[16];
	__u8 local[16];
	__u16 remote_port;
	__u16 local_port;
	__u32 family;
};
struct flow {
	__u8 of_packets[96];
	__u64 id;
	__u64 target;
	__u32 generation;
	__u32 in_isn, out_isn;
	__u8 class, flags, server_spoke, older_tls;
	__u64 pad0[4];
};
_Static_assert(sizeof(struct flow_key) == 48 && __builtin_offsetof(struct flow, id) == 96 &&
	       __builtin_offsetof(struct flow, class) == 124 && sizeof(struct flow) == 160, "as in plaintext.bpf.c");

struct in6_addr {
	__u8 bytes[16];
};
struct sock_common {
	unsigned short skc_family;
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
} __attribute__((preserve_access_index));
typedef struct {
	int owned;
} __attribute__((preserve_access_index)) socket_lock_t;
struct sock_cgroup_data {
	__u64 first;
};
struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct sock_cgroup_data sk_cgrp_data;
} __attribute__((preserve_access_index));
struct kernfs_node {
	__u64 id;
} __attribute__((preserve_access_index));
struct cgroup___of_socket {
	struct kernfs_node *kn;
} __attribute__((preserve_access_index));

enum { AF_INET = 2, AF_INET6 = 10 };

/*
 * Whether the running task holds the socket, as it does in recvmsg. What a softirq does, on top of whatever task happens to
 * run, it does to sockets that nobody holds.
 */
static __always_inline int held_by_task(struct sock *sk)
{
	int owned = 0;

	bpf_probe_read_kernel(&owned, sizeof(owned), &sk->sk_lock.owned);
	return owned == 1;
}

/* The id that bpf_skb_cgroup_id gives for packets of the socket; 0: not known. */
static __always_inline __u64 cgroup_of(struct sock *sk)
{
	__u64 word = 0, id = 0;
	struct kernfs_node *node = 0;
	struct cgroup___of_socket *cgroup;

	/* The pointer comes first; before 5.15 with two bits of flags, of which the lower says that it is none. */
	bpf_probe_read_kernel(&word, sizeof(word), &sk->sk_cgrp_data);
	if (word & 1)
		return 0;
	cgroup = (void *)(word & ~3ULL);
	bpf_probe_read_kernel(&node, sizeof(node), &cgroup->kn);
	bpf_probe_read_kernel(&id, sizeof(id), &node->id);
	return id;
}

/* 0: neither IPv4 nor IPv6. */
static __always_inline int key_of(struct sock *sk, struct flow_key *key)
{
	unsigned short family = 0;
	__be16 port = 0;

	bpf_probe_read_kernel(&family, sizeof(family), &sk->__sk_common.skc_family);
	bpf_probe_read_kernel(&port, sizeof(port), &sk->__sk_common.skc_dport);
	bpf_probe_read_kernel(&key->local_port, sizeof(key->local_port), &sk->__sk_common.skc_num);
	key->remote_port = bpf_ntohs(port);
	key->cgroup = cgroup_of(sk);
	if (family == AF_INET) {
		bpf_probe_read_kernel(key->remote, 4, &sk->__sk_common.skc_daddr);
		bpf_probe_read_kernel(key->local, 4, &sk->__sk_common.skc_rcv_saddr);
		key->family = 4;
		return 1;
	}
	if (family != AF_INET6)
		return 0;
	bpf_probe_read_kernel(key->remote, 16, &sk->__sk_common.skc_v6_daddr);
	bpf_probe_read_kernel(key->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	key->family = 6;
	/* ::ffff:192.0.2.1 (RFC 4291 section 2.5.5.2): its packets are IPv4. */
	if (!*(__u64 *)key->remote && *(__u32 *)(key->remote + 8) == bpf_htonl(0xffff)) {
		__builtin_memcpy(key->remote, key->remote + 12, 4);
		__builtin_memcpy(key->local, key->local + 12, 4);
		__builtin_memset(key->remote + 4, 0, 12);
		__builtin_memset(key->local + 4, 0, 12);
		key->family = 4;
	}
	return 1;
}

#endif
