/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What the kernel side and src/record.rs share. Both sides assert the sizes and offsets. */
#ifndef PODMIRROR_RECORD_H
#define PODMIRROR_RECORD_H

/* record.flags */
enum {
	R_OUT = 1 << 0,          /* server to client; else client to server */
	R_FIN = 1 << 1,          /* this direction ends after these bytes */
	R_RST = 1 << 2,          /* the connection is aborted at seq */
	R_HEAD = 1 << 3,         /* out: a response head begins at seq, by the kernel's framing */
	R_RAW = 1 << 4,          /* out: the kernel does not frame; everything is copied until user space gives a boundary */
	R_JOINED = 1 << 5,       /* the connection is older than the capture */
	R_PACKET = 1 << 6,       /* these are the first payload bytes of a packet */
	R_RESYNC = 1 << 7,       /* out: the kernel lost its place and found it again here */
	R_URGENT = 1 << 8,       /* in: the packet has urgent data, which the server may take out of the stream */
	R_TLS = 1 << 9,          /* out: the kernel walks TLS records. With R_HEAD a record begins at seq, and in_isn is records_before */
};

/* One ring buffer record: this header, then `len` payload bytes (the reservation may be longer). */
struct record {
	__u64 flow_id;
	__u64 ktime_ns;          /* CLOCK_MONOTONIC; out: when TCP sends it */
	__u64 target;            /* cgroup id of the selected cgroup, or of a child of one (TK_PER_CHILD) */
	__u8 remote[16];         /* client's address; IPv4 in the first four bytes */
	__u8 local[16];
	__u16 remote_port;       /* host order */
	__u16 local_port;
	__u8 family;             /* 4 or 6 */
	__u8 pad0;
	__u16 flags;
	__u32 seq;               /* of the first payload byte */
	__u32 ack;
	__u32 base;              /* out: [base, seq) was left out on purpose (a response body) */
	__u32 len;
	union {
		__u32 in_isn;            /* 0 and R_JOINED when the handshake was not seen */
		__u32 records_before;    /* R_TLS: records that began before seq, since the connection or, R_RESYNC, out_at */
	};
	__u32 out_isn;
	__u64 order_ns;          /* CLOCK_MONOTONIC. Records of both directions of a flow are in the order of it; equal: in, then out */
};
_Static_assert(sizeof(struct record) == 96, "src/record.rs reads this layout");
_Static_assert(__builtin_offsetof(struct record, remote_port) == 56, "src/record.rs");
_Static_assert(__builtin_offsetof(struct record, flags) == 62, "src/record.rs");
_Static_assert(__builtin_offsetof(struct record, seq) == 64, "src/record.rs");
_Static_assert(__builtin_offsetof(struct record, out_isn) == 84, "src/record.rs");
_Static_assert(__builtin_offsetof(struct record, order_ns) == 88, "src/kernel/rings.rs");

/* control.flags: what user space asks of one flow. */
enum {
	CT_IGNORE = 1 << 0,      /* nobody reads this connection any more */
	CT_IN_SKIP = 1 << 1,     /* request bytes from in_from up to in_skip are not wanted (body over the cap) */
	CT_OUT_HEAD = 1 << 2,    /* a response head, or TLS record, begins at out_at, and nothing before it is wanted */
	CT_OUT_RESYNC = 1 << 3,  /* user space lost its place in what is handed over whole */
	CT_RAW_SEEN = 1 << 4,    /* what is handed over whole was read up to raw_seen */
	CT_CALLED = 1 << 5,      /* TLS: it is read by its library's calls, and its packets are not */
	CT_BY_PACKETS = 1 << 6,  /* TLS: it is read by its packets, and its library's calls are not */
};

/* One slot of the mmap-ed array `controls`; user space writes, the kernel reads. */
struct control {
	__u64 flow_id;           /* 0: empty. Written last, zeroed first, so that a torn write is never read. */
	__u32 flags;
	__u32 in_skip;
	__u32 out_at;
	__u32 raw_seen;
	__u32 in_from;
	__u32 pad0;
};
_Static_assert(sizeof(struct control) == 32, "src/control.rs writes this layout");
#define CONTROL_SLOTS 65536

/* Counters in bytes unless they say otherwise; src/counters.rs names them in this order. */
enum counter {
	N_SEEN,                  /* TCP payload of selected cgroups, both directions */
	N_COPIED,
	/* seen, not copied, on purpose */
	N_E_RESPONSE_BODY,
	N_E_REQUEST_BODY,        /* over the cap */
	N_E_CLIENT_SIDE,
	N_E_NOT_HTTP,            /* TLS and HTTP/2 included: see coverage */
	N_E_RETRANSMISSION,      /* out */
	N_E_TUNNEL,              /* after 101 or CONNECT, or given up by user space */
	N_E_JOINED,              /* connection older than the capture, no message boundary yet */
	N_E_RELEASED,
	N_E_CALLED,              /* TLS that is read by its library's calls */
	/* seen, wanted, lost */
	N_L_RING_FULL,
	N_L_LOAD,                /* bpf_skb_load_bytes failed */
	N_L_TOO_LARGE,           /* packet over 640 KiB */
	N_L_FLOWS,               /* no room in the flow map */
	N_L_OUT_OF_PLACE,        /* out: the kernel lost its place in the response stream */
	N_L_UNFRAMED,            /* out: handed over whole faster than user space reads; mostly bodies */
	/* not bytes */
	N_L_ENDS,                /* FIN or RST records that found the ring full */
	N_UNREADABLE,            /* packets with no readable IP or TCP header */
	N_COUNTERS = 24,
};

/* target.connections[], counted once per connection. */
enum conn_class {
	CONN_HTTP1,
	CONN_HTTP2,
	CONN_TLS,
	CONN_PROXY,
	CONN_OTHER,
	CONN_CLIENT,
	CONN_JOINED,
	CONN_CLASSES = 8,
};

/* target.kind */
enum target_kind {
	TK_WHOLE,                /* with all that is below */
	TK_PER_CHILD,            /* records carry the id of the child right below: user space tells them apart */
	TK_EXCLUDED,             /* nobody reads it, whatever lies around it */
};

/* Value of the map `targets`; key: cgroup id. */
struct target {
	__u64 since;             /* `generation` when its capture began */
	__u32 kind;
	__u32 pad0;
	__u64 connections[CONN_CLASSES];
};

_Static_assert(sizeof(struct target) == 80, "src/kernel.rs writes this layout");

#endif
