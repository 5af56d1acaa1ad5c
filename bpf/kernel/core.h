/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The few kernel types that the capture programs touch; stands in for a 3 MB vmlinux.h. */
#ifndef PODMIRROR_CORE_H
#define PODMIRROR_CORE_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u16 __sum16;

/* UAPI numbers (include/uapi/linux/bpf.h): stable, so no relocation is wanted. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0 };
enum { BPF_F_MMAPABLE = 1U << 10 };
enum { BPF_RB_NO_WAKEUP = 1ULL << 0, BPF_RB_AVAIL_DATA = 0 };

/* UAPI program context; the verifier rewrites the accesses, the offsets are ABI. */
struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority,
		ingress_ifindex, ifindex, tc_index;
	__u32 cb[5];
	__u32 hash, tc_classid, data, data_end, napi_id, family, remote_ip4, local_ip4;
	__u32 remote_ip6[4], local_ip6[4];
	__u32 remote_port, local_port;
	__u32 data_meta;
	__u64 flow_keys, tstamp;
	__u32 wire_len, gso_segs;
	struct bpf_sock *sk;
};
struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol, mark, priority, src_ip4;
	__u32 src_ip6[4];
	__u32 src_port;
	__be16 dst_port;
	__u16 pad0;
	__u32 dst_ip4;
	__u32 dst_ip6[4];
	__u32 state;
};
enum { BPF_TCP_LISTEN = 10 };

/* Wire formats: RFC 791, RFC 8200, RFC 9293. */
struct ipv4hdr {
	__u8 version_ihl, tos;
	__be16 tot_len, id, frag_off;
	__u8 ttl, protocol;
	__sum16 check;
	__u8 saddr[4], daddr[4];
};
struct ipv6hdr {
	__u8 version_class, flow[3];
	__be16 payload_len;
	__u8 nexthdr, hop_limit;
	__u8 saddr[16], daddr[16];
};
struct tcphdr {
	__be16 source, dest;
	__be32 seq, ack_seq;
	__u8 doff_res, flags;
	__be16 window;
	__sum16 check;
	__be16 urg_ptr;
};
enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10, TCP_URG = 0x20 };
enum { IPPROTO_HOPOPTS = 0, IPPROTO_TCP = 6, IPPROTO_ROUTING = 43, IPPROTO_DSTOPTS = 60 };

#endif
