/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What calls.bpf.c and src/tls_calls share. Both sides assert the sizes and offsets. */
#ifndef PODMIRROR_CALL_H
#define PODMIRROR_CALL_H

/* Of one call, copied at most; a record of TLS holds 16384 bytes (RFC 8446 section 5.1). */
#define READ_BYTES 16384
/* The head of an answer; of its body the length is enough. */
#define WRITE_BYTES 4096

enum call_kind {
	CK_READ,                 /* the server took these bytes of its client's */
	CK_WRITE,                /* the server sent them */
	CK_END,                  /* the library's handle of the connection is freed, or used anew */
	CK_HANDSHAKE,            /* not told: it shows which connection the handle is of */
};

/* One ring buffer record: this header, then `len` bytes of plaintext (the reservation may be longer). */
struct call {
	__u64 flow_id;           /* as record.flow_id */
	__u64 target;            /* as record.target */
	__u64 ktime_ns;          /* CLOCK_MONOTONIC, when the call returned */
	__u64 binding;           /* the time at which this handle was bound to this connection: tells two of them apart */
	__u8 remote[16];         /* as in struct record */
	__u8 local[16];
	__u16 remote_port;       /* host order */
	__u16 local_port;
	__u8 family;             /* 4 or 6 */
	__u8 kind;
	__u8 class;              /* of the connection, enum flow_class of plaintext.bpf.c */
	__u8 pad0;
	__u32 sequence;          /* of this call since the handle was bound; what is missing was lost */
	__u32 len;
	__u64 length;            /* of what was read or written */
};
_Static_assert(sizeof(struct call) == 88, "src/tls_calls/call.rs reads this layout");
_Static_assert(__builtin_offsetof(struct call, remote_port) == 64, "src/tls_calls/call.rs");
_Static_assert(__builtin_offsetof(struct call, class) == 70, "src/tls_calls/call.rs");
_Static_assert(__builtin_offsetof(struct call, sequence) == 72, "src/tls_calls/call.rs");
_Static_assert(__builtin_offsetof(struct call, length) == 80, "src/tls_calls/call.rs");

/* Bytes of plaintext unless they say otherwise; src/tls_calls/counts.rs names them in this order. */
enum call_count {
	CC_CALLED,               /* read and written by targets */
	CC_COPIED,
	/* called, not copied, on purpose */
	CC_E_CUT,                /* behind the part of a call that is copied */
	CC_E_ELSEWHERE,          /* of connections that are read by their packets, or of no target */
	CC_E_IGNORED,            /* nobody reads this connection any more */
	/* called, wanted, lost */
	CC_L_UNBOUND,            /* it is not known which connection they belong to */
	CC_L_RING_FULL,
	CC_L_UNREAD,             /* their page could not be read */
	/* not bytes */
	CC_L_CALLS,              /* calls of which nothing is known: left by another way, within another one, of odd length */
	CC_BINDINGS,
	CC_HITS_OF_OTHERS,       /* by processes that are of no target */
	CC_COUNTS = 16,
};

/* The map `.rodata.options`: set before the programs are loaded. */
struct call_options {
	__u32 classes;           /* of connections that are read here: a bit for each of enum flow_class of plaintext.bpf.c */
	__u32 pad0;
};
_Static_assert(sizeof(struct call_options) == 8, "src/tls_calls/programs.rs writes this layout");

#endif
