// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Plaintext capture: reads TCP payload of selected cgroups, classifies each
 * connection once, and copies to the ring only what somebody will read.
 *
 * Why cgroup_skb: it is attached per cgroup, so other workloads never pay; it sees
 * packets of both directions with the socket known, before encapsulation; and it
 * loads on every kernel from 5.8 on. It returns 1 on every path: nothing is ever blocked.
 *
 * In (client to server) everything is copied up to the body cap, which user space
 * enforces through `controls`. Segments may be out of order or forged here, so the
 * kernel draws no conclusion from them beyond the first bytes of the connection.
 *
 * Out (server to client) comes from the host's own TCP, in order. The kernel walks
 * the response framing (RFC 9112 section 6) itself: heads are copied, bodies are not.
 * Anything it does not understand is handed over whole (R_RAW).
 *
 * TLS: the same, but the framing walked is that of records (RFC 8446 section 5.1). What the client sends is copied but what
 * user space says is body over the cap; of what the server sends, the records that follow the client's data, for user space to decrypt. The others are counted.
 */
#include "core.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "record.h"

char LICENSE[] SEC("license") = "GPL";

/* Raised by user space whenever `targets` changed: flows look their target up again. */
volatile __u32 generation = 1;

/* The size of ring_out. */
const volatile __u32 ring_bytes = 8 << 20;

/* Whether TLS connections are copied for user space to decrypt. */
const volatile __u8 copy_tls = 0;

enum { MAX_FLOWS = 65536, MAX_TARGETS = 4096, MAX_CGROUP_DEPTH = 16 };
enum { HEAD_SHORT = 256, HEAD_SCAN = 2048, HEAD_LINES = 32, CHUNK_STEPS = 256, MAX_PIECES = 40 };
enum { MAX_AGAIN = 30 }; /* the kernel allows 33 tail calls */

/*
 * Of the server's TLS records, those that begin within so many bytes behind the client's last data are copied: the heads
 * of its answers are among them, be they in a record of their own or with the body. The record that reaches over the limit
 * is copied to its end, for it verifies as a whole only.
 */
enum { WHOLE_BYTES = 16384, MAX_RECORDS = 64 };
/* RFC 5246 section 6.2.3 */
enum { RECORD_HEADER = 5, RECORD_BYTES = 16384 + 2048 };

/*
 * A ring per direction. Client and server often run on two processors, and a ring that both write to passes its lock
 * and its position between their caches with every record. User space merges the two by record.order_ns.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring_in SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring_out SEC(".maps");

/* Answers to pipelined requests share packets: the egress program calls itself for each further one.
 * A loop around the walk would multiply what the verifier has to check. key: 0 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} again SEC(".maps");

/* One value, so that what every packet counts shares a cache line. key: 0 */
struct counters {
	__u64 of[N_COUNTERS];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

/* key: cgroup id */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_TARGETS);
	__type(key, __u64);
	__type(value, struct target);
} targets SEC(".maps");

/* key: a hash of the flow id, see read_control */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CONTROL_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct control);
} controls SEC(".maps");

/*
 * A connection as seen from one socket. Not the socket cookie: the first client data
 * can still carry the listener's. The cgroup tells apart equal tuples of two network
 * namespaces.
 */
struct flow_key {
	__u64 cgroup;
	__u8 remote[16];
	__u8 local[16];
	__u16 remote_port;
	__u16 local_port;
	__u32 family;
};

/* FC_CALLED: TLS whose packets nobody can read, and whose library's calls are read instead. */
enum flow_class { FC_NEW, FC_HTTP1, FC_JOINED, FC_CLIENT, FC_OTHER, FC_TUNNEL, FC_TLS, FC_CALLED };
enum out_mode {
	OM_HEAD,    /* a response head begins at out_next */
	OM_BODY,    /* out_left bytes of body follow */
	OM_CHUNK,   /* inside a chunked body */
	OM_CLOSE,   /* the body ends with the connection */
	OM_RAW,     /* user space frames */
	OM_RESYNC,  /* place unknown; wait for a response that begins where the client's ACK stood */
};
enum chunk_state {
	CS_FIRST,         /* of a size's digits */
	CS_SIZE,
	CS_EXT,           /* up to the line's end */
	CS_SIZED,         /* the line has ended */
	CS_DATA,
	CS_TRAILER,       /* a line begins */
	CS_TRAILER_LINE,
	CS_TRAILER_CR,
	CS_END,
	CS_LOST,
};
enum { FF_JOINED = 1 }; /* flow.flags, set when the flow is opened */
enum {                  /* flow.in_flags: ingress runs without the socket's lock, so each side has its own */
	FI_FIN = 1,
	FI_ANCHORED = 2,
	FI_HEAD = 4,    /* the first request sent at the anchor was HEAD */
};
enum {                  /* flow.out_flags */
	FO_FIN = 1,
	FO_BODY_START = 2,
	FO_RESYNC = 4,
	FO_AGAIN = 8,   /* this packet holds another message at span_off: the program calls itself */
	FO_RECORD = 16, /* TLS: what is copied of this packet begins with a record */
};

/*
 * Ingress and egress of a connection often run on two processors, and a cache line that both touch and one writes is
 * paid for: so what ingress writes, what egress writes and what hardly anybody writes have one each. The map puts 48
 * bytes and the key before it, 256 in all.
 */
struct flow {
	/* ingress writes */
	__u32 anchor;       /* the client's ACK when it last sent what looks like a request; TLS: end of its last data */
	__u16 requests;     /* packets that begin with one */
	__u8 in_flags;
	__u8 in_mixed;      /* in_ns is not to be used, see cause_ns */
	__u64 in_ns;        /* of the last record */
	__u32 in_cpu;       /* that opened the flow */
	__u32 pad0;
	__u64 older_ns;     /* older_tls: of the client's last packet */

	/* egress writes; ingress does not even read it */
	__u64 out_left;     /* body, chunk or record bytes still to pass */
	__u32 out_next;     /* next response byte to be walked */
	__u32 out_base;     /* end of what user space was last told of */
	__u32 span_off, span_seq, span_len; /* see forget */
	union {
		__u32 head_len;     /* of the head just copied */
		__u32 whole_from;   /* TLS: the part of this packet that is copied */
	};
	union {
		__u32 raw_from;     /* the packet in which OM_RAW began */
		__u32 records_before; /* TLS: that began before whole_from */
	};
	union {
		__u32 raw_told;     /* end of what was handed over whole */
		__u32 answered;     /* TLS: `anchor` when whole_left was last filled up */
	};
	__u16 responses;    /* heads */
	__u8 out_mode;
	union {
		__u8 chunk_state;
		__u8 header_seen;   /* TLS: bytes of a record's header, when a packet ends within it */
	};
	union {
		__u8 chunk_digits;
		__u8 record_elided; /* TLS: the record being walked is not copied */
	};
	__u8 out_flags;
	__u8 again;         /* times that the program called itself for this packet */
	__u8 head_answer;   /* of the response being walked */
	union {
		__u8 interim;       /* so is this */
		__u8 length_high;   /* TLS: first byte of a record's length, when header_seen is 4 */
	};
	__u8 raw_dropped;   /* something was passed by in OM_RAW */
	__u8 pad2[2];
	__u32 whole_to;     /* TLS */
	__u32 whole_left;   /* TLS: records that begin within so many bytes are copied */
	__u32 records;      /* TLS: begun */

	__u64 id;
	__u64 target;
	__u32 generation;
	__u32 in_isn, out_isn;
	__u8 class, flags, server_spoke;
	__u8 older_tls;     /* FC_JOINED, and its packets look like TLS, or FC_CALLED: nobody can decrypt it */
	__u64 pad4[4];
};
_Static_assert(sizeof(struct flow_key) == 48 && __builtin_offsetof(struct flow, out_left) == 32 &&
	       __builtin_offsetof(struct flow, id) == 96 && sizeof(struct flow) == 160, "a cache line each");
/* socket.h has both, too. */
_Static_assert(__builtin_offsetof(struct flow, older_ns) == 24 && __builtin_offsetof(struct flow, class) == 124 &&
	       __builtin_offsetof(struct flow, older_tls) == 127 && __builtin_offsetof(struct flow, out_flags) == 77,
	       "src/kernel/older.rs reads these");
_Static_assert(FC_JOINED == 2, "calls.bpf.c");

/* LRU: a host with more connections than this forgets the idle ones, which join late. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

/* The part of a packet that is being looked at. */
struct span {
	__u32 off;          /* of the first byte, in the skb */
	__u32 seq;
	__u32 len;
	__u32 ack;
	__u16 flags;        /* of the next record */
	__u16 tcp_flags;
};

/*
 * `x`, of which the verifier then knows nothing; `with` is a number that it does not know either. Before Linux 6.4 it takes
 * every number in a program with subprograms to matter, so each bit that it knows multiplies what it has to check:
 * without this the egress program is over the limit on 5.10 and 6.1.
 */
static __always_inline __u32 blur(__u32 x, __u32 with)
{
	asm volatile("%0 ^= %1\n%0 ^= %1" : "+r"(x) : "r"(with));
	return x;
}

static __always_inline void count(enum counter counter, __u64 n)
{
	__u32 zero = 0;
	struct counters *counts = bpf_map_lookup_elem(&counters, &zero);

	if (counts && counter < N_COUNTERS)
		counts->of[counter] += n;
}

static __always_inline void count_connection(__u64 target_id, enum conn_class class)
{
	struct target *target = bpf_map_lookup_elem(&targets, &target_id);

	if (target && class < CONN_CLASSES)
		__sync_fetch_and_add(&target->connections[class], 1);
}

/* Copies what user space asks of this flow; all zero when it asks nothing. */
static __always_inline void read_control(struct flow *flow, struct control *copy)
{
	__u32 slot = (__u32)(flow->id ^ (flow->id >> 16) ^ (flow->id >> 32)) & (CONTROL_SLOTS - 1);
	struct control *control = bpf_map_lookup_elem(&controls, &slot);

	copy->flags = 0;
	if (!control || control->flow_id != flow->id)
		return;
	copy->in_skip = *(volatile __u32 *)&control->in_skip;
	copy->out_at = *(volatile __u32 *)&control->out_at;
	copy->raw_seen = *(volatile __u32 *)&control->raw_seen;
	copy->in_from = *(volatile __u32 *)&control->in_from;
	copy->flags = *(volatile __u32 *)&control->flags;
	/* Another flow may have taken the slot in between. */
	if (*(volatile __u64 *)&control->flow_id != flow->id)
		copy->flags = 0;
}

/* Half of what src/tls_calls/older.rs waits for a client. */
enum { OLDER_SILENT_NS = 60000000000 };

/*
 * Raised with each connection that is found to be TLS and older than the capture, and each that nobody
 * can decrypt and that was silent.
 */
volatile __u32 older_tls_count = 0;

/* Whether nobody wants packets of this flow any more. */
static __always_inline int is_given_up(struct flow *flow, const struct control *control)
{
	if (!(control->flags & (CT_IGNORE | CT_CALLED)))
		return 0;
	if (control->flags & CT_IGNORE) {
		flow->class = FC_TUNNEL;
	} else {
		__u64 now = bpf_ktime_get_ns();

		/* Said long ago, and heard only now: the probes may be gone by then. */
		if (now - flow->in_ns > OLDER_SILENT_NS)
			__sync_fetch_and_add(&older_tls_count, 1);
		flow->class = FC_CALLED;
		flow->older_tls = 1;
		flow->older_ns = now;
	}
	return 1;
}

/*
 * The time up to which all that may have caused an outgoing packet came in: that of the flow's last record. It saves
 * reading the clock. Only the processor that opened the flow, for an incoming packet, writes in_ns, so it does not go
 * back; a flow whose packets came in on others too, or that egress opened, needs the clock. Call it before the
 * reservation.
 */
static __always_inline __u64 cause_ns(const struct flow *flow)
{
	return flow->in_mixed ? bpf_ktime_get_ns() : flow->in_ns;
}

/* The time of an incoming record. Call it behind the reservation. */
static __always_inline __u64 arrival_ns(struct flow *flow)
{
	__u64 now = bpf_ktime_get_ns();

	if (flow->in_cpu == bpf_get_smp_processor_id())
		flow->in_ns = now;
	else
		flow->in_mixed = 1;
	return now;
}

/* When TCP sends it, or would with pacing. */
static __always_inline __u64 departure_ns(const struct __sk_buff *skb)
{
	__u64 stamp = skb->tstamp;

	return stamp ? stamp : bpf_ktime_get_ns();
}

static __always_inline void fill(struct record *r, const struct flow_key *key, const struct flow *flow,
				 const struct span *span, __u32 len, __u64 ktime_ns, __u64 order_ns)
{
	r->flow_id = flow->id;
	r->ktime_ns = ktime_ns;
	r->order_ns = order_ns;
	r->target = flow->target;
	__builtin_memcpy(r->remote, key->remote, 16);
	__builtin_memcpy(r->local, key->local, 16);
	r->remote_port = key->remote_port;
	r->local_port = key->local_port;
	r->family = key->family;
	r->pad0 = 0;
	r->flags = span->flags | (flow->flags & FF_JOINED ? R_JOINED : 0);
	r->seq = span->seq;
	r->ack = span->ack;
	r->base = span->flags & R_OUT ? flow->out_base : 0;
	r->len = len;
	r->in_isn = span->flags & R_TLS ? flow->records_before : flow->in_isn;
	r->out_isn = flow->out_isn;
}

static __always_inline void advance(struct span *span, __u32 n)
{
	span->off += n;
	span->seq += n;
	span->len -= n;
}

/*
 * Makes the verifier forget what it knows of the span (a way through memory does that), so that
 * it checks what follows once and not once for each way here. A socket's egress is serial.
 */
static __always_inline void forget(struct flow *flow, struct span *span)
{
	*(volatile __u32 *)&flow->span_off = span->off;
	*(volatile __u32 *)&flow->span_seq = span->seq;
	*(volatile __u32 *)&flow->span_len = span->len;
	span->off = *(volatile __u32 *)&flow->span_off;
	span->seq = *(volatile __u32 *)&flow->span_seq;
	span->len = *(volatile __u32 *)&flow->span_len;
	span->flags = blur(span->flags, span->len);
}

/* The flags that belong to the first record of a message or packet only. */
#define FIRST_ONLY (R_HEAD | R_PACKET | R_RESYNC)

/*
 * Copies the next `piece` bytes (1..SIZE) to a record. A reservation needs a constant size:
 * one class each. `n` is provably 1..SIZE: 5.10 and 6.1 refuse a length that may be 0.
 */
#define EMIT_CLASS(SIZE, RING, OUT)                                                                   \
	do {                                                                                          \
		struct { struct record r; __u8 bytes[SIZE]; } *e;                                     \
		__u32 n = (piece - 1) & (SIZE - 1);                                                   \
		__u64 order_ns = OUT ? cause_ns(flow) : 0, ktime_ns;                                  \
		e = bpf_ringbuf_reserve(RING, sizeof(*e), 0);                                         \
		if (!e) {                                                                             \
			count(N_L_RING_FULL, piece);                                                  \
			break;                                                                        \
		}                                                                                     \
		asm volatile("" : "+r"(n));                                                           \
		n = (n & (SIZE - 1)) + 1;                                                             \
		ktime_ns = OUT ? departure_ns(skb) : arrival_ns(flow);                                \
		fill(&e->r, key, flow, span, n, ktime_ns, OUT ? order_ns : ktime_ns);                 \
		if (bpf_skb_load_bytes(skb, span->off, e->bytes, n)) {                                \
			bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);                                     \
			count(N_L_LOAD, piece);                                                       \
			break;                                                                        \
		}                                                                                     \
		bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);                                              \
		count(N_COPIED, piece);                                                               \
	} while (0)

/* Out: user space was told of everything before span->seq, whether the ring had room or not,
 * so that a lost record shows as a hole between its last byte and the next record's base. */
static __always_inline void told(struct flow *flow, struct span *span, __u32 piece)
{
	advance(span, piece);
	if (span->flags & R_OUT)
		flow->out_base = span->seq;
	span->flags &= ~FIRST_ONLY;
}

/* Copies span->len bytes, which is at least 1, and moves the span behind them. */
#define EMIT(RING, OUT)                                                                               \
	do {                                                                                          \
		__u32 piece = 16384;                                                                  \
		for (int i = 0; i < MAX_PIECES; i++) {                                                \
			if (span->len <= 16384)                                                       \
				break;                                                                \
			EMIT_CLASS(16384, RING, OUT);                                                 \
			told(flow, span, piece);                                                      \
		}                                                                                     \
		piece = span->len;                                                                    \
		if (!piece)                                                                           \
			return 0;                                                                     \
		if (piece <= 256)                                                                     \
			EMIT_CLASS(256, RING, OUT);                                                   \
		else if (piece <= 1024)                                                               \
			EMIT_CLASS(1024, RING, OUT);                                                  \
		else if (piece <= 2048)                                                               \
			EMIT_CLASS(2048, RING, OUT);                                                  \
		else if (piece <= 4096)                                                               \
			EMIT_CLASS(4096, RING, OUT);                                                  \
		else if (piece <= 16384)                                                              \
			EMIT_CLASS(16384, RING, OUT);                                                 \
		else                                                                                  \
			count(N_L_TOO_LARGE, piece);                                                  \
		told(flow, span, piece);                                                              \
	} while (0)

static __noinline int emit_in(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow, struct span *span)
{
	EMIT(&ring_in, 0);
	return 0;
}

static __noinline int emit_out(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow, struct span *span)
{
	EMIT(&ring_out, 1);
	return 0;
}

/*
 * Flows whose end found the ring full; key: flow id. Without it user space would keep their
 * unanswered requests for an hour.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u8);
} lost_ends SEC(".maps");

/* Raised with every entry of lost_ends, so that user space need not look at the map. */
volatile __u32 lost_ends_count = 0;

/* FIN or RST: a record of its own without payload, behind the packet's data. */
static __always_inline void emit_end(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow,
				     struct span *span, int out)
{
	__u64 order_ns = out ? cause_ns(flow) : 0, ktime_ns;
	struct record *r = bpf_ringbuf_reserve(out ? (void *)&ring_out : (void *)&ring_in, sizeof(*r), 0);

	if (!r) {
		__u8 one = 1;

		count(N_L_ENDS, 1);
		/* An incoming FIN does not end it, an incoming RST may be forged: only our own. */
		if (out) {
			bpf_map_update_elem(&lost_ends, &flow->id, &one, BPF_ANY);
			__sync_fetch_and_add(&lost_ends_count, 1);
		}
		return;
	}
	ktime_ns = out ? departure_ns(skb) : arrival_ns(flow);
	fill(r, key, flow, span, 0, ktime_ns, out ? order_ns : ktime_ns);
	r->flags |= span->tcp_flags & TCP_RST ? R_RST : R_FIN;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
}

/* Eight bytes in lower case: every byte that matters here keeps its value or becomes a small letter. */
#define LOWER8(p) (*(const __u64 *)(p) | 0x2020202020202020ULL)
#define WORD8(a, b, c, d, e, f, g, h)                                                                 \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |      \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

/* "HTTP/1." */
static __always_inline int is_http1(__u64 word)
{
	return (word & 0xffffffffffffffULL) == WORD8('H', 'T', 'T', 'P', '/', '1', '.', 0);
}

/*
 * What a look at a response head found. It is kept in memory and not in registers: the verifier
 * then sees one state per byte instead of one per byte and history, and few open branches
 * per byte (it gives up at 8192).
 */
struct scan {
	__u32 filled;            /* bytes that are the packet's */
	__u32 len;               /* of the head with its empty line; more than `filled`, or 0: not found */
	__u32 line_count;
	__u32 length_at, encoding_at;
	__u16 lines[HEAD_LINES]; /* where lines begin that may be of interest */
	__u8 lengths, encodings, pad[2];
};

/* By its first byte: a line that may be Content-Length or Transfer-Encoding, or may be the empty one. */
enum { LC_FRAMING = 1, LC_LF = 1 << 1, LC_CR = 2 << 1 }; /* the empty line's length, one bit up */
static const __u8 line_class[256] = {
	['c'] = LC_FRAMING, ['C'] = LC_FRAMING, ['t'] = LC_FRAMING, ['T'] = LC_FRAMING,
	['\r'] = LC_CR, ['\n'] = LC_LF,
};

/* The top bit of each byte of `word` that is LF. */
static __always_inline __u64 line_feeds(__u64 word)
{
	word ^= 0x0a0a0a0a0a0a0a0aULL;
	return ~(((word & 0x7f7f7f7f7f7f7f7fULL) + 0x7f7f7f7f7f7f7f7fULL) | word) & 0x8080808080808080ULL;
}

/*
 * Finds the end of the head and the lines of interest, eight bytes at a time: this is much of what a response costs
 * its server. Two LF stand behind the filled bytes.
 */
static __noinline int find_end(const __u8 *bytes, struct scan *scan, __u32 limit)
{
	for (__u32 at = 0; at < limit; at += 8) {
		__u64 found = line_feeds(*(const __u64 *)(bytes + at));

		/* Five LF in eight bytes end the head before: an empty line is among them. */
		for (int n = 0; n < 4; n++) {
			__u32 i;
			__u8 class;

			if (!found)
				break;
			/* Behind the lowest flagged byte; little endian. */
			i = at + 1 + ((((found & -found) >> 7) * 0x0001020304050607ULL) >> 56 & 7);
			found &= found - 1;
			class = line_class[bytes[i]];
			if (class & (LC_CR | LC_LF)) {
				scan->len = i + (class >> 1);
				return 0;
			}
			scan->lines[scan->line_count & (HEAD_LINES - 1)] = i;
			scan->line_count += class & LC_FRAMING;
		}
	}
	return 0;
}

/* Finds Content-Length and Transfer-Encoding among the lines. */
static __noinline int find_framing(const __u8 *bytes, struct scan *head, __u32 mask)
{
	for (__u32 i = 0; i < HEAD_LINES; i++) {
		const __u8 *p;

		if (i >= head->line_count)
			break;
		p = bytes + (head->lines[i] & mask);
		if (LOWER8(p) == WORD8('c', 'o', 'n', 't', 'e', 'n', 't', '-')) {
			if (LOWER8(p + 7) == WORD8('-', 'l', 'e', 'n', 'g', 't', 'h', ':')) {
				head->lengths++;
				head->length_at = head->lines[i] + 15;
			}
		} else if (LOWER8(p) == WORD8('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')) {
			if (LOWER8(p + 10) == WORD8('n', 'c', 'o', 'd', 'i', 'n', 'g', ':')) {
				head->encodings++;
				head->encoding_at = head->lines[i] + 18;
			}
		}
	}
	return 0;
}

/*
 * The digits at p[at], to out_left; 0 when it is not a plain number that ends with its line.
 * Its state is in memory for the same reason as find_end's.
 */
static __always_inline int parse_digits(const __u8 *p, __u32 at, struct flow *flow, __u32 mask)
{
	flow->out_left = 0;
	flow->chunk_digits = 0;
	for (int i = 0; i < 20; i++) {
		__u8 c = p[(at + i) & mask];
		__u32 digit = c - '0';

		if (digit <= 9) {
			if (flow->chunk_digits++ > 15)
				return 0;
			flow->out_left = flow->out_left * 10 + digit;
		} else if (c == '\r' || c == '\n') {
			return flow->chunk_digits != 0;
		} else if ((c != ' ' && c != '\t') || flow->chunk_digits) {
			return 0;
		}
	}
	return 0;
}

/*
 * The same for up to seven digits behind at most one blank, which is what servers write, at once: eight bytes, and then
 * pairs of them, fours and the whole become one number each. Anything else goes digit by digit.
 */
static __always_inline int parse_length(const __u8 *p, __u32 at, struct flow *flow, __u32 mask)
{
	__u32 pos = at & mask, digits;
	__u64 word, other;
	__u8 end;

	if (p[pos] == ' ')
		pos = (pos + 1) & mask;
	word = *(const __u64 *)(p + pos) ^ 0x3030303030303030ULL;
	/* The top bit of each byte that is over 9. */
	other = (((word & 0x7f7f7f7f7f7f7f7fULL) + 0x7676767676767676ULL) | word) & 0x8080808080808080ULL;
	/* 0: the first is none, or all are. */
	digits = ((((other & -other) >> 7) * 0x0001020304050607ULL) >> 56) & 7;
	end = p[(pos + digits) & mask];
	if (!digits || (end != '\r' && end != '\n'))
		return parse_digits(p, at, flow, mask);
	/* Zeros before the first digit; little endian. */
	word <<= 64 - digits * 8;
	word = (word * 10 + (word >> 8)) & 0x00ff00ff00ff00ffULL;
	word = (word * 100 + (word >> 16)) & 0x0000ffff0000ffffULL;
	flow->out_left = (__u32)(word * 10000 + (word >> 32));
	return 1;
}

static __always_inline int is_chunked(const __u8 *p, __u32 at, __u32 mask)
{
	__u32 pos = at & mask;

	if (p[pos] == ' ')
		pos = (pos + 1) & mask;
	return LOWER8(p + pos) == (WORD8('c', 'h', 'u', 'n', 'k', 'e', 'd', '\r') | 0x20ULL << 56);
}

/* What follows the head in p (RFC 9112 section 6.3): sets out_mode and what belongs to it. */
static __always_inline void frame_body(const __u8 *p, const struct scan *head, struct flow *flow, __u32 mask)
{
	__u8 hundreds = p[9];

	flow->interim = hundreds == '1';
	flow->out_flags |= FO_BODY_START;
	if (hundreds == '1' && p[10] == '0' && p[11] == '1') {
		flow->class = FC_TUNNEL;
	} else if (hundreds == '1' || (hundreds == '2' && p[10] == '0' && p[11] == '4') ||
		   (hundreds == '3' && p[10] == '0' && p[11] == '4') || flow->head_answer) {
		flow->out_mode = OM_HEAD;
	} else if (head->encodings) {
		if (head->encodings == 1 && !head->lengths && is_chunked(p, head->encoding_at, mask)) {
			flow->out_mode = OM_CHUNK;
			flow->chunk_state = CS_FIRST;
			flow->out_left = 0;
		} else {
			flow->out_mode = OM_RAW;
		}
	} else if (head->lengths) {
		if (head->lengths == 1 && parse_length(p, head->length_at, flow, mask))
			flow->out_mode = flow->out_left ? OM_BODY : OM_HEAD;
		else
			flow->out_mode = OM_RAW;
	} else {
		flow->out_mode = OM_CLOSE;
	}
}

/* A record's first lines, with a short head in it: another processor has read them last, and they are fetched side by side. */
enum { CACHE_LINE = 64, LINES_AHEAD = 6 };

enum look { LOOK_FOUND, LOOK_NO_ROOM, LOOK_NO_LOAD, LOOK_NO_END };

/*
 * Looks for a response head in the next SIZE bytes (a power of two) and copies it. Two sizes, because what is
 * reserved stays taken until the ring is drained and costs cache lines: most heads are short. The scan's state stands
 * where the record will, for the same reason.
 */
#define LOOK_AT_HEAD(SIZE)                                                                            \
	({                                                                                            \
		struct { union { struct record r; struct scan scan; }; __u8 bytes[SIZE + 64]; } *e;   \
		enum look look = LOOK_NO_ROOM;                                                        \
		__u32 n = span->len > SIZE ? SIZE : span->len;                                        \
		__u64 order_ns = cause_ns(flow);                                                      \
		e = bpf_ringbuf_reserve(&ring_out, sizeof(*e), 0);                                    \
		if (e) {                                                                              \
			for (__u32 at = 0; at < LINES_AHEAD * CACHE_LINE; at += CACHE_LINE)           \
				*(volatile __u64 *)((__u8 *)e + at) = 0;                               \
			n = (blur(n - 1, span->seq) & (SIZE - 1)) + 1;                                \
			if (bpf_skb_load_bytes(skb, span->off, e->bytes, n))                          \
				look = LOOK_NO_LOAD;                                                  \
			else                                                                          \
				look = look_at_head(e->bytes, &e->scan, n, flow, SIZE);               \
			if (look == LOOK_FOUND) {                                                     \
				fill(&e->r, key, flow, span, flow->head_len, departure_ns(skb), order_ns); \
				bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);                              \
			} else {                                                                      \
				bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);                             \
			}                                                                             \
		}                                                                                     \
		look;                                                                                 \
	})

/* The flow's head_len and out_mode are set when it is found; what stands behind it is zeroed. */
static __noinline enum look look_at_head(__u8 *bytes, struct scan *scan, __u32 n, struct flow *flow, __u32 size)
{
	__u32 mask = size - 1, len;

	n = ((n - 1) & mask) + 1;
	bytes[n] = '\n';
	bytes[n + 1] = '\n';
	scan->filled = n;
	scan->len = 0;
	scan->line_count = 0;
	scan->length_at = 0;
	scan->encoding_at = 0;
	scan->lengths = 0;
	scan->encodings = 0;
	find_end(bytes, scan, size + 8);
	len = scan->len;
	if (len < 16 || len > scan->filled || scan->line_count >= HEAD_LINES || !is_http1(*(__u64 *)bytes) ||
	    bytes[(len - 1) & mask] != '\n')
		return LOOK_NO_END;
	find_framing(bytes, scan, mask);
	frame_body(bytes, scan, flow, mask);
	flow->head_len = len;
	/* What stands behind the head is body: it does not leave the kernel, not even unread. */
	for (__u32 i = 0; i < size; i += 8) {
		__u32 at = len + i;

		/* Sixteen of the 64 spare bytes take what the last store and the two LF reach over. */
		if (at >= scan->filled + 2 || at > size + 8)
			break;
		*(__u64 *)(bytes + at) = 0;
	}
	return LOOK_FOUND;
}

/* Copies one response head and leaves the span at the first byte behind it. */
static __always_inline int walk_head(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow,
				     struct span *span)
{
	enum look look;

	/*
	 * Behind an answer that was taken for one to HEAD comes the next one, or the body that it has after all. An answer
	 * begins where the client's ACK stands, unless the client pipelines.
	 */
	if (flow->head_answer && !(flow->in_flags & FI_ANCHORED && flow->anchor == span->seq)) {
		flow->head_answer = 0;
		flow->out_mode = OM_RAW;
		return 0;
	}
	span->flags |= R_HEAD;
	if (flow->out_flags & FO_RESYNC) {
		span->flags |= R_RESYNC;
		flow->out_flags &= ~FO_RESYNC;
		flow->out_base = span->seq;
	}
	/*
	 * With one request outstanding, whose answer begins where the client's ACK stood, its method is the answer's. That is
	 * a guess: a method is only counted where it begins a packet, so requests that share one, or one that comes in
	 * pieces, make the number too low. When it is wrong, what follows shows it: see walk_body.
	 */
	flow->head_answer = flow->in_flags & FI_HEAD && flow->in_flags & FI_ANCHORED && flow->anchor == span->seq &&
			    (__u16)(flow->requests - flow->responses) == 1;
	span->flags = blur(span->flags, span->seq);
	look = LOOK_AT_HEAD(HEAD_SHORT);
	if (look == LOOK_NO_END && span->len > HEAD_SHORT)
		look = LOOK_AT_HEAD(HEAD_SCAN);
	if (look == LOOK_NO_END) {
		/* A head in several packets, or none: user space frames from here. */
		flow->out_mode = OM_RAW;
		return 0;
	}
	if (look != LOOK_FOUND) {
		/* Not seen, so the place in the stream is lost with it. */
		count(look == LOOK_NO_ROOM ? N_L_RING_FULL : N_L_LOAD, span->len);
		flow->out_mode = OM_RESYNC;
		advance(span, span->len);
		return 0;
	}
	if (!flow->interim)
		flow->responses++;
	count(N_COPIED, flow->head_len);
	advance(span, flow->head_len);
	flow->out_base = span->seq;
	span->flags &= ~FIRST_ONLY;
	return 0;
}

/* Characters of chunked framing. */
enum { CC_OTHER, CC_HEX, CC_CR, CC_LF, CC_SEPARATOR, CC_CLASSES };

/* A table, because each branch in the loop is one that the verifier keeps open. */
static const __u8 char_class[256] = {
	['\r'] = CC_CR, ['\n'] = CC_LF, [';'] = CC_SEPARATOR, [' '] = CC_SEPARATOR, ['\t'] = CC_SEPARATOR,
	['0'] = CC_HEX, ['1'] = CC_HEX, ['2'] = CC_HEX, ['3'] = CC_HEX, ['4'] = CC_HEX, ['5'] = CC_HEX,
	['6'] = CC_HEX, ['7'] = CC_HEX, ['8'] = CC_HEX, ['9'] = CC_HEX,
	['a'] = CC_HEX, ['b'] = CC_HEX, ['c'] = CC_HEX, ['d'] = CC_HEX, ['e'] = CC_HEX, ['f'] = CC_HEX,
	['A'] = CC_HEX, ['B'] = CC_HEX, ['C'] = CC_HEX, ['D'] = CC_HEX, ['E'] = CC_HEX, ['F'] = CC_HEX,
};
#define ROW(other, hex, cr, lf, separator)                                                            \
	{ [CC_OTHER] = other, [CC_HEX] = hex, [CC_CR] = cr, [CC_LF] = lf, [CC_SEPARATOR] = separator }
static const __u8 chunk_next[16][8] = {
	[CS_FIRST] = ROW(CS_LOST, CS_SIZE, CS_LOST, CS_LOST, CS_LOST),
	[CS_SIZE] = ROW(CS_LOST, CS_SIZE, CS_EXT, CS_LOST, CS_EXT),
	[CS_EXT] = ROW(CS_EXT, CS_EXT, CS_EXT, CS_SIZED, CS_EXT),
	[CS_TRAILER] = ROW(CS_TRAILER_LINE, CS_TRAILER_LINE, CS_TRAILER_CR, CS_LOST, CS_LOST),
	[CS_TRAILER_LINE] = ROW(CS_TRAILER_LINE, CS_TRAILER_LINE, CS_TRAILER_LINE, CS_TRAILER, CS_TRAILER_LINE),
	[CS_TRAILER_CR] = ROW(CS_LOST, CS_LOST, CS_LOST, CS_END, CS_LOST),
};

/* Passes over a chunked body (RFC 9112 section 7.1); out_mode becomes OM_HEAD behind its end. */
static __noinline int walk_chunks(struct __sk_buff *skb, struct flow *flow, struct span *span)
{
	for (int i = 0; i < CHUNK_STEPS; i++) {
		__u8 c = 0;

		if (!span->len)
			return 0;
		if (flow->chunk_state == CS_DATA) {
			__u32 n = flow->out_left < span->len ? flow->out_left : span->len;

			flow->out_left -= n;
			advance(span, n);
			flow->chunk_state = flow->out_left ? CS_DATA : CS_FIRST;
			continue;
		}
		bpf_skb_load_bytes(skb, span->off, &c, 1);
		advance(span, 1);
		flow->chunk_state = chunk_next[flow->chunk_state & 15][char_class[c] & 7];
		if (flow->chunk_state == CS_SIZE) {
			/* '0'..'9' are 0x30.., letters 0x41.. or 0x61.. */
			flow->out_left = flow->out_left << 4 | ((c & 15) + (c >> 6) * 9);
			if (flow->out_left >> 48)
				break;
		} else if (flow->chunk_state == CS_SIZED) {
			/* The data's own CRLF goes with it. */
			flow->chunk_state = flow->out_left ? CS_DATA : CS_TRAILER;
			flow->out_left += 2;
		} else if (flow->chunk_state == CS_END) {
			flow->out_mode = OM_HEAD;
			return 0;
		} else if (flow->chunk_state == CS_LOST) {
			break;
		}
	}
	/* Not chunked coding, or too many chunks in one packet. */
	flow->out_mode = OM_RESYNC;
	return 0;
}

/*
 * Passes over body bytes. A body that begins like a response may be the answer behind one to HEAD, whatever the requests
 * looked like: user space, which has read them, knows.
 */
static __always_inline void walk_body(struct __sk_buff *skb, struct flow *flow, struct span *span)
{
	__u32 before = span->len;

	if (!before || flow->out_mode == OM_HEAD || flow->out_mode >= OM_RAW)
		return;
	if (flow->out_flags & FO_BODY_START) {
		__u64 word = 0;

		flow->out_flags &= ~FO_BODY_START;
		if (before >= 8 && !bpf_skb_load_bytes(skb, span->off, &word, 8) && is_http1(word)) {
			flow->out_mode = OM_RAW;
			return;
		}
		/* Too short to tell: let user space look. */
		if (before < 8 && !bpf_skb_load_bytes(skb, span->off, &word, 1) && (__u8)word == 'H') {
			flow->out_mode = OM_RAW;
			return;
		}
	}
	if (flow->out_mode == OM_BODY) {
		__u32 n = flow->out_left < before ? flow->out_left : before;

		flow->out_left -= n;
		advance(span, n);
		if (!flow->out_left)
			flow->out_mode = OM_HEAD;
	} else if (flow->out_mode == OM_CHUNK) {
		walk_chunks(skb, flow, span);
	} else {
		advance(span, before);
	}
	count(N_E_RESPONSE_BODY, before - span->len);
}

static __always_inline int begins_response(struct __sk_buff *skb, const struct span *span)
{
	__u64 word = 0;

	return span->len >= 16 && !bpf_skb_load_bytes(skb, span->off, &word, 8) && is_http1(word);
}

/* Finds the place of this packet in the stream; 0: nothing in it is to be walked. */
static __always_inline int place(struct __sk_buff *skb, struct flow *flow, struct span *span)
{
	struct control control = {};
	__u32 behind;

	/* Where the kernel frames, only to ignore can be asked, and ingress sees that too: not worth a cache miss a packet. */
	if (flow->out_mode >= OM_CLOSE)
		read_control(flow, &control);
	if (control.flags & CT_IGNORE) {
		flow->class = FC_TUNNEL;
		return 0;
	}
	if (flow->out_mode == OM_RESYNC) {
		if (!(flow->in_flags & FI_ANCHORED) || span->seq != flow->anchor || !begins_response(skb, span))
			return 0;
		flow->out_next = span->seq;
		flow->out_mode = OM_HEAD;
		flow->out_flags = (flow->out_flags & ~FO_BODY_START) | FO_RESYNC;
		/* How many are outstanding is not known any more. */
		flow->requests = flow->responses + 2;
	}
	behind = flow->out_next - span->seq;
	if ((__s32)behind < 0) {
		/* Data that this program never saw went before it: the place is lost. */
		count(N_L_OUT_OF_PLACE, span->len);
		flow->out_mode = OM_RESYNC;
		advance(span, span->len);
		return 0;
	}
	if (behind) {
		__u32 n = behind < span->len ? behind : span->len;

		count(N_E_RETRANSMISSION, n);
		advance(span, n);
		if (!span->len)
			return 0;
	}
	flow->out_next = span->seq + span->len;
	if (flow->out_mode != OM_RAW) {
		flow->raw_from = span->seq;
		flow->raw_dropped = 0;
	}
	if (flow->out_mode == OM_RAW && control.flags & CT_OUT_RESYNC) {
		flow->out_mode = OM_RESYNC;
		return 0;
	}
	if (flow->out_mode == OM_RAW && control.flags & CT_OUT_HEAD && (__s32)(control.out_at - span->seq) >= 0) {
		flow->out_left = control.out_at - span->seq;
		flow->out_mode = flow->out_left ? OM_BODY : OM_HEAD;
		flow->out_flags &= ~FO_BODY_START;
		flow->head_answer = 0;
	} else if (flow->out_mode == OM_RAW && flow->raw_dropped && control.flags & CT_RAW_SEEN &&
		   control.raw_seen == flow->raw_told) {
		/* User space has read all that it got, and cannot know the place behind what was passed by. */
		flow->out_mode = OM_RESYNC;
		return 0;
	}
	flow->again = 0;
	return 1;
}

/* Bytes handed over whole that user space has not looked at yet. */
static __always_inline __s32 raw_ahead(struct flow *flow, struct span *span)
{
	struct control control = {};
	__u32 from = flow->raw_from;

	read_control(flow, &control);
	if (control.flags & CT_RAW_SEEN && (__s32)(control.raw_seen - from) > 0)
		from = control.raw_seen;
	return span->seq - from;
}

/* The length in a record's header; -1: it is none. */
static __always_inline __s32 record_length(const __u8 *header)
{
	__u32 length = header[3] << 8 | header[4];

	/* change_cipher_spec (20) to heartbeat (24); all versions have the same first byte. */
	if (header[0] < 20 || header[0] > 24 || header[1] != 3 || length > RECORD_BYTES)
		return -1;
	return length;
}

/* A record begins at `pos` of the packet: decides whether it is copied. */
static __always_inline void begin_record(struct flow *flow, __u32 pos, __u32 len)
{
	flow->record_elided = !flow->whole_left;
	if (!flow->record_elided && flow->whole_from == len) {
		flow->whole_from = pos;
		flow->records_before = flow->records;
		flow->out_flags |= FO_RECORD;
	} else if (flow->record_elided && flow->whole_from < len && flow->whole_to == len) {
		flow->whole_to = pos;
	}
	flow->records++;
}

/*
 * Walks the records of a packet of the server's. Within one packet what is copied is one piece: whole_left is filled up
 * before, and once it is used up only counted records follow. Sets whole_from and whole_to, counted from the span's
 * first byte. Out of what is no record, or of more records than can be walked, the way is OM_RAW.
 */
static __noinline int walk_records(struct __sk_buff *skb, struct flow *flow, const struct span *span)
{
	__u32 len = span->len, pos = 0, begins;
	__u8 no_record = 0;

	for (int i = 0; i < MAX_RECORDS; i++) {
		__u8 header[8] = {};
		__s32 length;
		__u32 n;

		if (pos >= len)
			return 0;
		if (!flow->out_left) {
			if (!flow->header_seen)
				begin_record(flow, pos, len);
			if (!flow->header_seen && len - pos >= RECORD_HEADER) {
				bpf_skb_load_bytes(skb, span->off + pos, header, RECORD_HEADER);
				pos += RECORD_HEADER;
			} else {
				/* Byte by byte: those of a header that two packets share. Its first two were looked at, or are not. */
				bpf_skb_load_bytes(skb, span->off + pos, header, 1);
				pos++;
				flow->header_seen++;
				if (flow->header_seen == 4)
					flow->length_high = header[0];
				if (flow->header_seen < RECORD_HEADER)
					continue;
				flow->header_seen = 0;
				header[4] = header[0];
				header[3] = flow->length_high;
				header[0] = 23;
				header[1] = 3;
			}
			length = record_length(header);
			if (length < 0) {
				no_record = 1;
				break;
			}
			flow->out_left = length;
			if (!flow->record_elided)
				flow->whole_left -= flow->whole_left > (__u32)length ? length : flow->whole_left;
		}
		n = flow->out_left < len - pos ? flow->out_left : len - pos;
		flow->out_left -= n;
		pos += n;
	}
	if (pos >= len)
		return 0;
	/* All that is left is copied too, from a record on that is counted: so user space does not lose its place. */
	begins = pos - flow->header_seen;
	if (!no_record && flow->whole_from == len) {
		flow->whole_from = begins;
		flow->records_before = flow->records - (flow->header_seen ? 1 : 0);
		flow->out_flags |= FO_RECORD;
	} else if (!no_record) {
		flow->whole_to = len;
	} else if (flow->whole_to == len && flow->whole_from > pos) {
		flow->whole_from = pos;
	}
	flow->out_mode = OM_RAW;
	flow->out_left = 0;
	flow->header_seen = 0;
	return 0;
}

/* Copies what a packet of the server's has of the records that user space is to decrypt. */
static __always_inline int egress_tls(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow,
				      struct span *span)
{
	__u32 len, from, to, behind;

	if (flow->out_mode == OM_RESYNC) {
		flow->out_next = span->seq;
		flow->out_base = span->seq;
		flow->out_mode = OM_RAW;
		flow->raw_from = span->seq;
	}
	behind = flow->out_next - span->seq;
	if ((__s32)behind < 0) {
		/* Data that this program never saw went before it. */
		flow->out_base = span->seq;
		flow->out_mode = OM_RAW;
		flow->raw_from = span->seq;
	} else if (behind) {
		__u32 n = behind < span->len ? behind : span->len;

		count(N_E_RETRANSMISSION, n);
		advance(span, n);
		if (!span->len)
			return 0;
	}
	flow->out_next = span->seq + span->len;
	if (flow->out_mode == OM_RAW) {
		struct control control = {};

		read_control(flow, &control);
		if (is_given_up(flow, &control))
			return 0;
		if (control.flags & CT_OUT_HEAD && (__s32)(control.out_at - span->seq) >= 0) {
			/* User space found a record's end: from there on the kernel walks again, and counts anew. */
			flow->out_mode = OM_HEAD;
			flow->out_left = control.out_at - span->seq;
			flow->out_flags |= FO_RESYNC;
			flow->header_seen = 0;
			flow->record_elided = 0;
			flow->records = 0;
		}
	}
	if (flow->out_mode == OM_RAW) {
		span->flags |= R_RAW;
		if (raw_ahead(flow, span) > (__s32)(ring_bytes / 4) ||
		    bpf_ringbuf_query(&ring_out, BPF_RB_AVAIL_DATA) > ring_bytes / 2) {
			count(N_L_UNFRAMED, span->len);
			advance(span, span->len);
			flow->out_base = span->seq;
			return 0;
		}
		return emit_out(skb, key, flow, span);
	}
	if (flow->answered != flow->anchor) {
		flow->answered = flow->anchor;
		flow->whole_left = WHOLE_BYTES;
	}
	len = span->len;
	flow->whole_from = !flow->record_elided && (flow->out_left || flow->header_seen) ? 0 : len;
	flow->whole_to = len;
	flow->out_flags &= ~FO_RECORD;
	forget(flow, span);
	walk_records(skb, flow, span);
	forget(flow, span);
	from = flow->whole_from;
	to = flow->whole_to;
	if (from < to && to <= len) {
		count(N_E_RESPONSE_BODY, from);
		advance(span, from);
		span->len = to - from;
		span->flags |= R_TLS;
		if (flow->out_flags & FO_RECORD) {
			span->flags |= R_HEAD;
			if (flow->out_flags & FO_RESYNC)
				span->flags |= R_RESYNC;
			flow->out_flags &= ~FO_RESYNC;
		}
		emit_out(skb, key, flow, span);
		span->flags &= ~(FIRST_ONLY | R_TLS);
		span->len = flow->out_next - span->seq;
	}
	count(N_E_RESPONSE_BODY, span->len);
	advance(span, span->len);
	/* Where records_before was. */
	if (flow->out_mode == OM_RAW)
		flow->raw_from = flow->out_next;
	return 0;
}

static __always_inline int egress(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow,
				  struct span *span)
{
	__u8 again = flow->out_flags & FO_AGAIN;

	flow->out_flags &= ~FO_AGAIN;
	if (flow->class == FC_TLS)
		return egress_tls(skb, key, flow, span);
	if (flow->class != FC_HTTP1)
		return 0;
	if (again) {
		span->off = flow->span_off;
		span->seq = flow->span_seq;
		span->len = flow->span_len;
		span->flags &= ~R_PACKET;
	} else if (!place(skb, flow, span)) {
		return 0;
	}
	forget(flow, span);
	walk_body(skb, flow, span);
	forget(flow, span);
	if (span->len && flow->out_mode == OM_HEAD) {
		walk_head(skb, key, flow, span);
		forget(flow, span);
		walk_body(skb, flow, span);
		forget(flow, span);
	}
	if (!span->len)
		return 0;
	if (flow->out_mode == OM_RESYNC) {
		count(N_L_OUT_OF_PLACE, span->len);
		advance(span, span->len);
		return 0;
	}
	if (flow->class == FC_TUNNEL)
		return 0;
	if (flow->out_mode == OM_HEAD && flow->again < MAX_AGAIN) {
		flow->again++;
		flow->out_flags |= FO_AGAIN;
		return 0;
	}
	/* Not understood, or more messages in this packet than can be walked: user space frames. */
	if (raw_ahead(flow, span) > (__s32)(ring_bytes / 4) || bpf_ringbuf_query(&ring_out, BPF_RB_AVAIL_DATA) > ring_bytes / 2) {
		/*
		 * One download must not take the room of all others. Its place is kept: user space
		 * may know by now where the next head begins.
		 */
		count(N_L_UNFRAMED, span->len);
		advance(span, span->len);
		flow->out_base = span->seq;
		flow->out_mode = OM_RAW;
		flow->raw_dropped = 1;
		return 0;
	}
	if (flow->out_mode == OM_HEAD)
		span->flags |= R_HEAD;
	flow->out_mode = OM_RAW;
	span->flags |= R_RAW;
	flow->raw_told = span->seq + span->len;
	return emit_out(skb, key, flow, span);
}

/* "GET ", "POST"…: a registered method (RFC 9110 section 9.3, RFC 5789) at the start of a packet. */
static __always_inline int begins_request(__u64 word)
{
	__u32 four = (__u32)word;

	return four == 0x20544547 /* "GET " */ || four == 0x54534f50 /* "POST" */ || four == 0x20545550 /* "PUT " */ ||
	       four == 0x44414548 /* "HEAD" */ || four == 0x454c4544 /* "DELE" */ || four == 0x4954504f /* "OPTI" */ ||
	       four == 0x43544150 /* "PATC" */ || four == 0x4e4e4f43 /* "CONN" */ || four == 0x43415254 /* "TRAC" */;
}

/* By the first bytes of a connection, as far as there are any. */
static __always_inline enum conn_class classify(__u64 word, __u32 len)
{
	__u8 first = word;

	if (len >= 8 && word == WORD8('P', 'R', 'I', ' ', '*', ' ', 'H', 'T'))
		return CONN_HTTP2;
	if (len >= 6 && (word & 0xffffffffffffULL) == WORD8('P', 'R', 'O', 'X', 'Y', ' ', 0, 0))
		return CONN_PROXY;
	if (len >= 8 && word == WORD8('\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q'))
		return CONN_PROXY;
	if (first == 0x16 && (len < 2 || ((word >> 8) & 0xff) == 3))
		return CONN_TLS;
	/* A method is a token; an empty line before the request line is allowed (RFC 9112 section 2.2). */
	if ((first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z') || first == '\r' || first == '\n')
		return CONN_HTTP1;
	return CONN_OTHER;
}

/* A record of TLS (RFC 8446 section 5.1) at the start of a packet: its type, its version, its length. */
static __always_inline int begins_record(__u64 word, __u32 len)
{
	__u8 type = word, major = word >> 8, minor = word >> 16;

	return len >= 5 && type >= 20 && type <= 24 && major == 3 && minor <= 4 && ((word >> 24) & 0xff) <= 0x48;
}

/* src/kernel.rs sees from it for which targets the probes of calls.bpf.c have to stand. */
static __always_inline void note_older(struct flow *flow, __u64 word, __u32 len)
{
	__u64 now;

	if (!flow->older_tls && !begins_record(word, len))
		return;
	now = bpf_ktime_get_ns();
	/* Found, or found again: who looks after it may have given it up. */
	if (!flow->older_tls || now - flow->older_ns > OLDER_SILENT_NS)
		__sync_fetch_and_add(&older_tls_count, 1);
	flow->older_tls = 1;
	flow->older_ns = now;
}

static __noinline int ingress(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow, struct span *span)
{
	struct control control = {};
	__u64 word = 0;

	if (flow->class != FC_CLIENT && flow->class != FC_TUNNEL && flow->class != FC_TLS && flow->class != FC_CALLED) {
		if (span->len >= 8)
			bpf_skb_load_bytes(skb, span->off, &word, 8);
		else if (span->len >= 4)
			bpf_skb_load_bytes(skb, span->off, &word, 4);
		else
			bpf_skb_load_bytes(skb, span->off, &word, 1);
	}
	if (flow->class == FC_NEW && span->seq == flow->in_isn + 1) {
		enum conn_class class = classify(word, span->len);

		count_connection(flow->target, class);
		flow->class = class == CONN_HTTP1 ? FC_HTTP1 : class == CONN_TLS && copy_tls ? FC_TLS : FC_OTHER;
	} else if (flow->class == FC_OTHER && span->seq == flow->in_isn + 1 && !flow->server_spoke && begins_request(word)) {
		/* The first copy of these bytes was another: not ours to tell which one the server took. */
		flow->class = FC_HTTP1;
		span->flags |= R_URGENT;
	} else if (flow->class == FC_JOINED && begins_request(word)) {
		flow->class = FC_HTTP1;
	} else if (flow->class == FC_JOINED || flow->class == FC_CALLED) {
		note_older(flow, word, span->len);
	}
	if (flow->class == FC_HTTP1 && begins_request(word)) {
		flow->requests++;
		if (!(flow->in_flags & FI_ANCHORED) || flow->anchor != span->ack) {
			__u8 head = (__u32)word == 0x44414548 /* "HEAD" */ ? FI_HEAD : 0;

			flow->anchor = span->ack;
			flow->in_flags = (flow->in_flags & ~FI_HEAD) | FI_ANCHORED | head;
		}
	}
	if (flow->class == FC_TLS)
		flow->anchor = span->seq + span->len;
	/* FC_NEW: the first segment is still missing; user space puts them in order. */
	if (flow->class != FC_HTTP1 && flow->class != FC_NEW && flow->class != FC_TLS && flow->class != FC_CALLED)
		return 0;
	read_control(flow, &control);
	if (is_given_up(flow, &control) || flow->class == FC_CALLED)
		return 0;
	if (control.flags & CT_IN_SKIP && (__s32)(span->seq - control.in_from) >= 0) {
		__s32 ahead = control.in_skip - span->seq;

		if (ahead > 0) {
			__u32 n = (__u32)ahead < span->len ? (__u32)ahead : span->len;

			count(N_E_REQUEST_BODY, n);
			advance(span, n);
			span->flags &= ~R_PACKET;
		}
	}
	return emit_in(skb, key, flow, span);
}

/* What is left in the span was not wanted: by class. */
static __always_inline void count_rest(const struct flow *flow, const struct span *span)
{
	__u32 reason = N_E_NOT_HTTP;

	if (!span->len)
		return;
	if (flow->class == FC_CLIENT)
		reason = N_E_CLIENT_SIDE;
	else if (flow->class == FC_TUNNEL)
		reason = N_E_TUNNEL;
	else if (flow->class == FC_CALLED)
		reason = N_E_CALLED;
	else if (flow->class == FC_JOINED || (flow->class == FC_HTTP1 && flow->out_mode == OM_RESYNC))
		reason = N_E_JOINED;
	count(reason, span->len);
}

/*
 * The selected cgroup that this socket's cgroup is or lies in, the innermost, or the child of one that tells its children
 * apart; 0: none (any more), or an excluded one. `since`: `generation` when its capture began.
 */
static __always_inline __u64 find_target(struct __sk_buff *skb, __u64 cgroup, __u32 *since)
{
	struct target *target = bpf_map_lookup_elem(&targets, &cgroup);
	__u64 found = cgroup, child = cgroup;

	for (int level = MAX_CGROUP_DEPTH; level > 0 && !target; level--) {
		found = bpf_skb_ancestor_cgroup_id(skb, level);
		if (!found)
			continue;
		target = bpf_map_lookup_elem(&targets, &found);
		if (!target)
			child = found;
	}
	if (!target || target->kind == TK_EXCLUDED)
		return 0;
	*since = target->since;
	return target->kind == TK_PER_CHILD ? child : found;
}

/* 2^57 ns are four years of uptime; two processors may open a flow in the same nanosecond. */
static __always_inline __u64 new_flow_id(void)
{
	return bpf_ktime_get_ns() << 6 | (bpf_get_smp_processor_id() & 63);
}

/*
 * flow.generation of a flow whose target was found: `before` is `generation` as it stood before the search, for a target may
 * change behind it, and then the next packet is to look again. One that began meanwhile was followed since.
 */
static __always_inline __u32 looked_up(__u32 before, __u32 since)
{
	return (__s32)(since - before) > 0 ? since : before;
}

/* A connection seen for the first time: by its SYN, or in mid-stream. */
static __always_inline struct flow *open_flow(struct __sk_buff *skb, const struct flow_key *key,
					      const struct span *span, int out)
{
	struct flow flow = {};
	__u32 before = generation, since;

	flow.target = find_target(skb, key->cgroup, &since);
	if (!flow.target)
		return 0;
	flow.generation = looked_up(before, since);
	flow.id = new_flow_id();
	flow.in_cpu = bpf_get_smp_processor_id();
	/* An outgoing packet does not tell where its packets come in. */
	flow.in_mixed = out;
	if (span->tcp_flags & TCP_SYN) {
		int active = !(span->tcp_flags & TCP_ACK);

		if (out == active) { /* SYN out, or SYN+ACK in: we are the client */
			flow.class = FC_CLIENT;
			count_connection(flow.target, CONN_CLIENT);
		} else if (!active) { /* SYN+ACK out without its SYN: attached within the handshake */
			flow.in_isn = span->ack - 1;
		} else {
			flow.in_isn = span->seq;
			flow.out_mode = OM_RESYNC; /* until the SYN+ACK */
		}
	} else {
		flow.class = FC_JOINED;
		flow.out_mode = OM_RESYNC;
		flow.flags = FF_JOINED;
		count_connection(flow.target, CONN_JOINED);
	}
	bpf_map_update_elem(&flows, key, &flow, BPF_ANY);
	return bpf_map_lookup_elem(&flows, key);
}

/* Targets changed: the flow may belong to another one, or may have gone unseen for a while. */
static __noinline int retarget(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow)
{
	__u32 before = generation, since = 0;

	flow->target = find_target(skb, key->cgroup, &since);
	if (since > flow->generation) {
		flow->id = new_flow_id();
		flow->in_isn = 0;
		flow->out_isn = 0;
		flow->out_mode = OM_RESYNC;
		flow->flags = FF_JOINED;
		flow->in_flags = 0;
		flow->out_flags = 0;
		flow->older_tls = 0;
		if (flow->class == FC_NEW || flow->class == FC_HTTP1 || flow->class == FC_TLS || flow->class == FC_CALLED) {
			flow->class = FC_JOINED;
			count_connection(flow->target, CONN_JOINED);
		}
	}
	flow->generation = looked_up(before, since);
	return 0;
}

/* `out` is a constant of each caller, so that the verifier walks one direction per program. */
static __always_inline int segment(struct __sk_buff *skb, struct flow_key *key, struct span *span, int out)
{
	__u8 tcp_flags = span->tcp_flags;
	struct flow *flow;
	__u32 since;

	key->cgroup = bpf_skb_cgroup_id(skb);
	flow = bpf_map_lookup_elem(&flows, key);
	if (out && flow && flow->out_flags & FO_AGAIN) {
		if (flow->span_seq - span->seq < span->len) {
			/* Counted already; only what is left is to be booked. */
			advance(span, flow->span_seq - span->seq);
			goto walk;
		}
		/* Of an earlier packet: the call did not happen. */
		flow->out_flags &= ~FO_AGAIN;
		flow->out_mode = OM_RESYNC;
	}
	count(N_SEEN, span->len);
	/*
	 * Only our own SYN+ACK begins a known tuple anew: anybody can send a SYN or data to a listener, where
	 * this hook runs before TCP refuses them.
	 */
	if (flow && out && (tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) && flow->class != FC_CLIENT &&
	    flow->in_isn != span->ack - 1)
		flow = 0;
	if (!flow) {
		if (tcp_flags & (TCP_RST | TCP_FIN) && !span->len)
			return 1;
		if (!out && !(tcp_flags & TCP_SYN) && skb->sk && skb->sk->state == BPF_TCP_LISTEN) {
			count(N_E_JOINED, span->len);
			return 1;
		}
		flow = open_flow(skb, key, span, out);
	} else if (flow->generation != generation) {
		retarget(skb, key, flow);
	}
	if (!flow) {
		count(find_target(skb, key->cgroup, &since) ? N_L_FLOWS : N_E_RELEASED, span->len);
		return 1;
	}
	if (!flow->target) {
		/* When somebody selects it again, it is a connection that was joined late. */
		bpf_map_delete_elem(&flows, key);
		count(N_E_RELEASED, span->len);
		return 1;
	}
	if (tcp_flags & TCP_SYN) {
		span->seq += 1; /* TCP Fast Open: data begins behind the SYN */
		if (out && tcp_flags & TCP_ACK) {
			flow->out_isn = span->seq - 1;
			flow->out_next = span->seq;
			flow->out_base = span->seq;
			flow->out_mode = OM_HEAD;
		}
	}
walk:
	if (span->len) {
		span->flags |= R_PACKET;
		if (out) {
			if (!flow->server_spoke)
				flow->server_spoke = 1;
			/* The server speaks first (SMTP, MySQL): not HTTP. */
			if (flow->class == FC_NEW) {
				flow->class = FC_OTHER;
				count_connection(flow->target, CONN_OTHER);
			}
			egress(skb, key, flow, span);
			if (flow->out_flags & FO_AGAIN)
				return 2;
		} else {
			ingress(skb, key, flow, span);
		}
		count_rest(flow, span);
		advance(span, span->len);
	}
	if (tcp_flags & (TCP_FIN | TCP_RST)) {
		if (flow->class == FC_HTTP1 || flow->class == FC_TUNNEL || flow->class == FC_NEW || flow->class == FC_TLS ||
		    flow->class == FC_CALLED)
			emit_end(skb, key, flow, span, out);
		/* An incoming RST may be forged: the map's LRU takes the flow in time. */
		if (tcp_flags & TCP_RST) {
			if (out)
				bpf_map_delete_elem(&flows, key);
		} else {
			if (out)
				flow->out_flags |= FO_FIN;
			else
				flow->in_flags |= FI_FIN;
			/* Behind its own FIN the server answers nothing: what still comes is not read. */
			if (out && (flow->class == FC_HTTP1 || flow->class == FC_TLS || flow->class == FC_CALLED))
				flow->class = FC_TUNNEL;
			if (flow->in_flags & FI_FIN && flow->out_flags & FO_FIN)
				bpf_map_delete_elem(&flows, key);
		}
	}
	return 1;
}

/* Reads the IP and TCP headers; they are linear by the time cgroup_skb runs. */
static __always_inline int packet(struct __sk_buff *skb, int out)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct flow_key key = {};
	struct span span = { .flags = out ? R_OUT : 0 };
	struct tcphdr *tcp;
	__u8 *remote, *local, first;
	__u32 off;

	if (data + sizeof(struct ipv4hdr) > end)
		goto unreadable;
	first = *(__u8 *)data;
	if (first >> 4 == 4) {
		struct ipv4hdr *ip = data;

		if (ip->protocol != IPPROTO_TCP)
			return 1;
		off = (first & 15) * 4;
		remote = out ? ip->daddr : ip->saddr;
		local = out ? ip->saddr : ip->daddr;
		__builtin_memcpy(key.remote, remote, 4);
		__builtin_memcpy(key.local, local, 4);
		key.family = 4;
	} else {
		struct ipv6hdr *ip = data;
		__u8 next;

		if (data + sizeof(*ip) > end)
			goto unreadable;
		next = ip->nexthdr;
		off = sizeof(*ip);
		remote = out ? ip->daddr : ip->saddr;
		local = out ? ip->saddr : ip->daddr;
		__builtin_memcpy(key.remote, remote, 16);
		__builtin_memcpy(key.local, local, 16);
		key.family = 6;
		/* Extension headers (RFC 8200 section 4); BIG TCP puts a hop-by-hop one in front. */
		for (int i = 0; i < 4; i++) {
			__u8 ext[2];

			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
				break;
			if (bpf_skb_load_bytes(skb, off, ext, 2))
				goto unreadable;
			next = ext[0];
			off += (ext[1] + 1) * 8;
		}
		if (next != IPPROTO_TCP)
			return 1;
	}
	off &= 0xfff;
	tcp = data + off;
	if ((void *)(tcp + 1) > end)
		goto unreadable;
	off += (tcp->doff_res >> 4) * 4;
	span.tcp_flags = tcp->flags;
	span.len = skb->len > off ? skb->len - off : 0;
	/* Pure acknowledgements carry nothing: the cheap way out. */
	if (!span.len && !(tcp->flags & (TCP_SYN | TCP_FIN | TCP_RST)))
		return 1;
	if (!out && tcp->flags & TCP_URG)
		span.flags |= R_URGENT;
	span.off = off;
	span.seq = bpf_ntohl(tcp->seq);
	span.ack = bpf_ntohl(tcp->ack_seq);
	key.remote_port = bpf_ntohs(out ? tcp->dest : tcp->source);
	key.local_port = bpf_ntohs(out ? tcp->source : tcp->dest);
	return segment(skb, &key, &span, out);
unreadable:
	count(N_UNREADABLE, 1);
	return 1;
}

SEC("cgroup_skb/ingress")
int podmirror_in(struct __sk_buff *skb)
{
	return packet(skb, 0);
}

SEC("cgroup_skb/egress")
int podmirror_out(struct __sk_buff *skb)
{
	if (packet(skb, 1) == 2)
		bpf_tail_call(skb, &again, 0);
	return 1;
}
